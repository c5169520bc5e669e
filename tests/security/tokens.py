#!/usr/bin/python3
"""Signed tokens of a running server: what Debian's etcd makes with the same key
is good here, and ours there; keys are replaced while it runs; what a wrong
--auth-token is told; the shortest password.

    tests/security/tokens.py [WORD]
"""
import base64
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

from story import TOP, Failure, Skip, tell_all

BIN = os.environ.get("ETCHED_BIN", os.path.join(TOP, "bin"))
SECONDS = 10


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]


def openssl(*words):
    if shutil.which("openssl") is None:
        raise Skip("openssl isn't installed")
    subprocess.run(("openssl",) + words, check=True, capture_output=True)


def make_keys(folder, name, curve="prime256v1"):
    """PATH.key and PATH.pub."""
    path = os.path.join(folder, name)
    openssl("ecparam", "-name", curve, "-genkey", "-noout", "-out",
            path + ".key")
    openssl("ec", "-in", path + ".key", "-pubout", "-out", path + ".pub")
    return path


def wait_for(what, text):
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if what():
            return
        time.sleep(0.05)
    raise Failure(text)


class Server:
    """With the users root:rootpw and ann:annpw, who may have a to c."""

    def __init__(self, folder, program, *flags):
        ports = free_ports(2)
        self.url = "http://127.0.0.1:%d" % ports[0]
        peer = "http://127.0.0.1:%d" % ports[1]
        self.log = os.path.join(folder, os.path.basename(program) + ".log")
        argv = [program, "--name", "n1", "--data-dir",
                os.path.join(folder, os.path.basename(program) + ".data"),
                "--listen-client-urls", self.url,
                "--advertise-client-urls", self.url,
                "--listen-peer-urls", peer,
                "--initial-advertise-peer-urls", peer,
                "--initial-cluster", "n1=" + peer, "--bcrypt-cost", "4",
                *flags]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)

    def __enter__(self):
        wait_for(self.is_ready, "the server isn't ready; see its log")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Failure("the server doesn't stop")

    def is_ready(self):
        try:
            with urllib.request.urlopen(self.url + "/health", timeout=1) as got:
                return b"true" in got.read()
        except (OSError, urllib.error.URLError):
            return False

    def call(self, path, body, token=None):
        request = urllib.request.Request(self.url + "/v3/" + path,
                                         json.dumps(body).encode())
        if token is not None:
            request.add_header("Authorization", token)
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as got:
                return json.load(got)
        except urllib.error.HTTPError as error:
            return json.load(error)

    def must(self, path, body):
        answer = self.call(path, body)
        if "error" in answer:
            raise Failure(f"{path}: {answer['error']}")
        return answer

    def add_users(self):
        self.must("auth/user/add", {"name": "root", "password": "rootpw"})
        self.must("auth/user/add", {"name": "ann", "password": "annpw"})
        self.must("auth/role/add", {"name": "r"})
        self.must("auth/role/grant", {"name": "r", "perm": {
            "permType": "READWRITE", "key": "YQ==", "range_end": "Yw=="}})
        self.must("auth/user/grant", {"user": "ann", "role": "r"})
        self.must("auth/user/grant", {"user": "root", "role": "root"})
        self.must("auth/enable", {})

    def log_in(self):
        return self.must("auth/authenticate",
                         {"name": "ann", "password": "annpw"})["token"]

    def put(self, token, key=b"a"):
        """"ok", or the error."""
        answer = self.call("kv/put", {
            "key": base64.b64encode(key).decode(), "value": "eA=="}, token)
        return answer.get("error", "ok")


def expect(is_now, wanted, what):
    if is_now != wanted:
        raise Failure(f"{what}: {is_now!r}, not {wanted!r}")


INVALID = "etcdserver: invalid auth token"


def with_etcd(folder):
    """tokens: those of etcd are good here, and ours there"""
    etcd = "/usr/bin/etcd"
    if not os.path.exists(etcd):
        raise Skip("etcd isn't installed")
    keys = make_keys(folder, "ec")
    flag = (f"--auth-token=jwt,sign-method=ES256,priv-key={keys}.key,"
            f"pub-key={keys}.pub,ttl=5m")
    with Server(folder, os.path.join(BIN, "etched"), flag) as ours, \
            Server(folder, etcd, flag) as theirs:
        ours.add_users()
        theirs.add_users()
        for maker in ours, theirs:
            token = maker.log_in()
            for taker in ours, theirs:
                expect(taker.put(token), "ok", "a key that is ann's")
                expect(taker.put(token, b"x"),
                       "etcdserver: permission denied", "one that isn't")
                expect(taker.put(token[:-4] + "AAAA"), INVALID, "bent")
        parts = token.split(".")
        none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}')
        none = none.decode().rstrip("=")
        expect(ours.put(f"{none}.{parts[1]}."), INVALID, "unsigned")
        expect(ours.put(f"{none}.{parts[1]}.{parts[2]}"), INVALID, "none")
        # A change of users: whoever logged in before does it again.
        ours.call("auth/user/add", {"name": "bob", "password": "bobpw"},
                  ours.must("auth/authenticate", {
                      "name": "root", "password": "rootpw"})["token"])
        expect(ours.put(token), "etcdserver: revision of auth store is old",
               "of an old revision")


def replaced(folder):
    """tokens: a key is replaced while the server runs"""
    old = make_keys(folder, "old")
    new = make_keys(folder, "new")
    private = os.path.join(folder, "now.key")
    public = os.path.join(folder, "now.pub")
    before = os.path.join(folder, "before.pub")

    def put_in_place(source, target):
        shutil.copy(source, target + ".new")
        os.rename(target + ".new", target)

    for name in (public, before):
        put_in_place(old + ".pub", name)
    put_in_place(old + ".key", private)
    flag = (f"--auth-token=jwt,sign-method=ES256,priv-key={private},"
            f"pub-key={public},pub-key={before}")
    with Server(folder, os.path.join(BIN, "etched"), flag) as server:
        server.add_users()
        first = server.log_in()
        expect(server.put(first), "ok", "with the old key")
        # One file after the other: for a moment they don't belong together.
        put_in_place(new + ".pub", public)
        put_in_place(new + ".key", private)

        def is_new():
            log = open(server.log, encoding="utf-8").read()
            return log.count("signed and verified by new keys") >= 1

        wait_for(is_new, "the new keys aren't in use")
        second = server.log_in()
        expect(server.put(second), "ok", "with the new key")
        expect(server.put(first), "ok", "the old one is trusted")
        put_in_place(new + ".pub", before)
        wait_for(lambda: server.put(first) == INVALID,
                 "the old key is still trusted")
        expect(server.put(second), "ok", "with the new key")
        with open(private, "w", encoding="utf-8") as file:
            file.write("nonsense\n")
        wait_for(lambda: "can't be used" in open(server.log).read(),
                 "nobody is told of a wrong key file")
        expect(server.put(server.log_in()), "ok", "the last good key")
        if second in open(server.log).read():
            raise Failure("a token is in the log")


def verify_only(folder):
    """tokens: a member with the public key makes none"""
    keys = make_keys(folder, "ec")
    flag = f"--auth-token=jwt,sign-method=ES256,pub-key={keys}.pub"
    with Server(folder, os.path.join(BIN, "etched"), flag) as server:
        server.add_users()
        answer = server.call("auth/authenticate",
                             {"name": "ann", "password": "annpw"})
        expect(answer.get("error"),
               "auth: token signing attempted with verify-only key",
               "a login")


def refused(folder):
    """tokens: a wrong --auth-token is told what is wrong"""
    ec = make_keys(folder, "ec")
    other = make_keys(folder, "other")
    p384 = make_keys(folder, "p384", "secp384r1")
    for flag, text in (
            ("jwt", "jwt needs a sign-method"),
            ("token", '"token" is neither simple nor jwt'),
            (f"jwt,sign-method=HS256,pub-key={ec}.pub",
             "HS256 has a shared secret"),
            (f"jwt,sign-method=HS256,priv-key={ec}.pub",
             "a PEM file is no shared secret"),
            (f"jwt,sign-method=ES256,priv-key={p384}.key",
             "not a key of the curve prime256v1"),
            (f"jwt,sign-method=ES256,priv-key={ec}.key,pub-key={other}.pub",
             "no pub-key belongs to the priv-key"),
            ("jwt,sign-method=ES256,priv-key=/nowhere/key",
             "/nowhere/key: No such file or directory")):
        ports = free_ports(2)
        ended = subprocess.run(
            [os.path.join(BIN, "etched"), "--data-dir",
             os.path.join(folder, "data"), "--auth-token", flag,
             "--listen-client-urls", "http://127.0.0.1:%d" % ports[0],
             "--advertise-client-urls", "http://127.0.0.1:%d" % ports[0],
             "--listen-peer-urls", "http://127.0.0.1:%d" % ports[1],
             "--initial-advertise-peer-urls",
             "http://127.0.0.1:%d" % ports[1],
             "--initial-cluster", "default=http://127.0.0.1:%d" % ports[1]],
            capture_output=True, text=True, timeout=SECONDS)
        if ended.returncode == 0:
            raise Failure(f"{flag}: it goes on")
        if text not in ended.stdout + ended.stderr:
            raise Failure(f"{flag}: {ended.stderr}")


def shortest_password(folder):
    """CVE-2020-15115: no empty passwords, and --password-min-length"""
    with Server(folder, os.path.join(BIN, "etched"),
                "--password-min-length=8") as server:
        for password, text in (
                ("", "etched: the password is empty"),
                ("1234567", "etched: a password has at least 8 bytes"),
                ("p" * 73, "etched: a password has at most 72 bytes"),
                ("12345678", None)):
            answer = server.call("auth/user/add",
                                 {"name": "ann", "password": password})
            expect(answer.get("error"), text, f"a password {password!r}")
        answer = server.call("auth/user/changepw",
                             {"name": "ann", "password": "short"})
        expect(answer.get("error"), "etched: a password has at least 8 bytes",
               "a new password")


if __name__ == "__main__":
    tell_all([with_etcd, replaced, verify_only, refused, shortest_password])
