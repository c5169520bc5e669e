#!/usr/bin/python3
"""Tokens end: a server that begins again knows none. etchctl's commands that go
on for long (watch, lease keep-alive, lock) log in again by themselves, and
lose nothing; those with a password that isn't good any more end and say why.

    tests/security/login_again.py
"""
import contextlib
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BIN = os.environ.get("ETCHED_BIN", os.path.join(TOP, "bin"))
SECONDS = 20
PREPARE = """
role add keys
role grant-permission keys readwrite k --prefix
user add alice:secret
user grant-role alice keys
user add root:pw
auth enable
"""


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]


class Server:
    def __init__(self, folder):
        ports = free_ports(2)
        self.folder = folder
        self.client = "http://127.0.0.1:%d" % ports[0]
        peer = "http://127.0.0.1:%d" % ports[1]
        self.argv = [
            os.path.join(BIN, "etched"), "--name", "n1",
            "--data-dir", folder + "/data",
            "--listen-client-urls", self.client,
            "--advertise-client-urls", self.client,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
            "--initial-cluster", "n1=" + peer]
        self.process = None
        self.start()

    def start(self):
        with open(self.folder + "/log", "ab") as log:
            self.process = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until = time.monotonic() + SECONDS
        while not self.is_up():
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError("etched didn't come up")
            time.sleep(0.05)

    def is_up(self):
        with contextlib.suppress(OSError):
            with urllib.request.urlopen(self.client + "/health") as answer:
                return answer.status == 200
        return False

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def command(self, words):
        return [os.path.join(BIN, "etchctl"), "--endpoints", self.client] + \
            list(words)

    def run(self, *words, check=True):
        return subprocess.run(
            self.command(words), check=check, timeout=SECONDS,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "ETCDCTL_API": "3"})

    def begin(self, *words):
        return subprocess.Popen(
            self.command(words), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env={**os.environ, "ETCDCTL_API": "3"})


def read_lines(process, count):
    """That many lines of its stdout, or what came in time."""
    got = b""
    until = time.monotonic() + SECONDS
    while got.count(b"\n") < count and time.monotonic() < until:
        if select.select([process.stdout], [], [], 0.2)[0]:
            piece = os.read(process.stdout.fileno(), 4096)
            if not piece:
                break
            got += piece
    return got.decode().split("\n")[:-1]


WRONG = []


def expect(what, got, wanted):
    good = got == wanted
    print("%s %s" % ("ok" if good else "not ok", what))
    if not good:
        print("    expected %r\n    got      %r" % (wanted, got))
        WRONG.append(what)


ALICE = ("--user", "alice:secret")
ROOT = ("--user", "root:pw")


def go_on(server, begun):
    for line in PREPARE.strip().split("\n"):
        server.run(*line.split(" "))
    lease = server.run(*ALICE, "lease", "grant", "600").stdout.split()[1]
    watch = server.begin(*ALICE, "watch", "k1")
    keep = server.begin(*ALICE, "lease", "keep-alive", lease)
    lock = server.begin(*ALICE, "lock", "k/lock", "--ttl", "600")
    begun += [watch, keep, lock]
    held = read_lines(lock, 1)[:1]
    expect("the lock is held", len(held), 1)
    expect("the lease is kept", len(read_lines(keep, 1)), 1)
    time.sleep(0.5)  # until the watch has begun
    server.run(*ALICE, "put", "k1", "before")
    expect("the watch tells", read_lines(watch, 3), ["PUT", "k1", "before"])

    server.stop()
    server.start()
    server.run(*ALICE, "put", "k1", "after")
    expect("the watch goes on", read_lines(watch, 3), ["PUT", "k1", "after"])
    expect("the lock is there", server.run(
        *ALICE, "get", held[0], "--keys-only").stdout.split(), held)
    lock.terminate()
    lock.wait(SECONDS)
    expect("and is given back", server.run(
        *ALICE, "get", held[0], "--keys-only").stdout.split(), [])
    expect("the lease goes on", keep.poll(), None)


def end(server, begun):
    """With another password nothing goes on."""
    watch = server.begin(*ALICE, "watch", "k2")
    begun.append(watch)
    time.sleep(0.5)
    subprocess.run(server.command(
        ROOT + ("user", "passwd", "alice", "--interactive=false")),
        input=b"other\n", check=True, timeout=SECONDS,
        stdout=subprocess.DEVNULL, env={**os.environ, "ETCDCTL_API": "3"})
    server.stop()
    server.start()
    expect("an old password's watch ends", watch.wait(SECONDS) != 0, True)
    expect("and says so", b"invalid user ID or password" in watch.stderr.read(), True)


def main():
    folder = tempfile.mkdtemp(prefix="etched-login-")
    begun = []
    try:
        server = Server(folder)
        try:
            go_on(server, begun)
            end(server, begun)
        finally:
            for process in begun:
                if process.poll() is None:
                    process.kill()
                process.wait()
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if WRONG else 0


if __name__ == "__main__":
    sys.exit(main())
