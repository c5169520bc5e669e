"""What the stories of tests/recipes share: servers and workers to be killed,
REST, what the store has seen, and the bookkeeping of effects."""
import base64
import json
import os
import signal
import subprocess
import sys
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "operation"))
sys.dont_write_bytecode = True

import http.client  # noqa: E402
import h2  # noqa: E402
from h2 import H2  # noqa: E402
from world import (ETCHED, HOST, Answer, Failure, Server, Skip,  # noqa: E402
                   check, check_reports, equal, free_port, is_sanitized,
                   wait_for)

__all__ = ["Answer", "Event", "Etcd", "Failure", "H2", "HOST", "Member",
           "Server", "Skip", "Worker", "apply", "ask", "check", "check_reports",
           "clean_env", "delete", "equal", "events_of", "free_port", "h2",
           "is_sanitized", "kvs", "put", "rest", "slowness", "wait_for"]

SLOW = 6 if is_sanitized() else 1


def slowness():
    """How much longer than usual things may take with this build."""
    return SLOW


# ---- processes --------------------------------------------------------------

def clean_env(more=None):
    env = {name: value for name, value in os.environ.items()
           if not name.startswith(("ETCD_", "ETCHED_"))}
    env.update(more or {})
    return env


class Process:
    """Something that is started, killed and started again."""

    def __init__(self, folder, name):
        self.log_path = os.path.join(folder, name + ".log")
        self.process = None

    def command(self):
        raise NotImplementedError

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command(), env=clean_env(), stdin=subprocess.DEVNULL,
                stdout=log, stderr=log)
        return self

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        if self.is_running():
            self.process.kill()
            self.process.wait()

    def stop(self):
        if not self.is_running():
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failure("it did not stop") from None

    def log_text(self):
        try:
            with open(self.log_path, encoding="utf-8",
                      errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, error, trace):
        self.kill()
        if kind is None:
            check_reports(self.log_text())


class Worker(Process):
    """`etched recipes`, beside a store."""

    def __init__(self, folder, name, endpoints, *flags):
        super().__init__(folder, name)
        self.name = name
        self.client_port = free_port()
        self.endpoints = endpoints
        self.flags = flags

    def command(self):
        return [ETCHED, "recipes", "--endpoints=" + ",".join(self.endpoints),
                "--name", self.name, "--recipes-lease-ttl=2s",
                f"--listen-client-urls=http://{HOST}:{self.client_port}",
                *self.flags]

    def wait_ready(self):
        def is_ready():
            try:
                return ask(self, "GET", "/health", seconds=2).status == 200
            except OSError:
                return False
        wait_for(is_ready, "the worker is ready", 20 * SLOW)
        return self


class Member(Process):
    """One of several; they are told of each other by Member.cluster."""

    def __init__(self, folder, name, *flags):
        super().__init__(folder, name)
        self.name = name
        self.data = os.path.join(folder, name + ".data")
        self.client_port, self.peer_port = free_port(), free_port()
        self.peer_url = f"http://{HOST}:{self.peer_port}"
        self.initial = ""
        self.flags = flags

    @staticmethod
    def cluster(folder, count, *flags):
        members = [Member(folder, f"m{i}", *flags) for i in range(count)]
        for member in members:
            member.initial = ",".join(f"{other.name}={other.peer_url}"
                                      for other in members)
        return members

    def command(self):
        url = f"http://{HOST}:{self.client_port}"
        return [ETCHED, "--name", self.name, "--data-dir", self.data,
                "--listen-client-urls", url, "--advertise-client-urls", url,
                "--listen-peer-urls", self.peer_url,
                "--initial-advertise-peer-urls", self.peer_url,
                "--initial-cluster", self.initial, *self.flags]

    def wait_ready(self):
        def is_ready():
            try:
                put(self, "/is-up", "x")
                return True
            except (OSError, Failure):
                return False
        wait_for(is_ready, f"{self.name} takes writes", 20 * SLOW)
        return self


class Etcd(Process):
    """Debian's etcd, as the store."""

    def __init__(self, folder, program="/usr/bin/etcd"):
        super().__init__(folder, "etcd")
        if not os.access(program, os.X_OK):
            raise Skip("there is no etcd on this machine")
        self.program = program
        self.data = os.path.join(folder, "etcd.data")
        self.client_port, self.peer_port = free_port(), free_port()

    def command(self):
        url = f"http://{HOST}:{self.client_port}"
        peer = f"http://{HOST}:{self.peer_port}"
        return [self.program, "--name", "e", "--data-dir", self.data,
                "--listen-client-urls", url, "--advertise-client-urls", url,
                "--listen-peer-urls", peer,
                "--initial-advertise-peer-urls", peer,
                "--initial-cluster", f"e={peer}"]

    def wait_ready(self):
        def is_ready():
            try:
                put(self, "/is-up", "x")
                return True
            except (OSError, Failure):
                return False
        wait_for(is_ready, "etcd takes writes", 20)
        return self


# ---- requests ---------------------------------------------------------------

def ask(server, method, path, body=None, headers=None, seconds=10):
    connection = http.client.HTTPConnection(HOST, server.client_port,
                                            timeout=seconds)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    except http.client.HTTPException as error:
        raise ConnectionError(str(error)) from None
    finally:
        connection.close()


def rest(server, method, path, body=None, headers=None, seconds=10):
    """Below /recipes/v1/; a service that isn't there yet is asked again."""
    end = time.monotonic() + seconds * SLOW
    if isinstance(body, dict):
        body = json.dumps(body)
    while True:
        try:
            answer = ask(server, method, "/recipes/v1/" + path, body, headers,
                         seconds)
        except OSError:
            answer = None
        if answer and answer.status not in (502, 503):
            return answer
        if time.monotonic() > end:
            raise Failure(f"{method} {path}: {answer}")
        time.sleep(0.05)


def apply(server, text):
    """A document, saved."""
    name = None
    for line in text.splitlines():
        if line.startswith("name:"):
            name = line[5:].strip()
    answer = rest(server, "PUT", "defs/" + name, text,
                  {"Content-Type": "application/yaml"})
    check(answer.status in (200, 201), f"{name}: {answer}")


def put(server, key, value):
    with H2(server, timeout=10) as client:
        return client.put(key, value).answer().one(1).number(3)


def delete(server, key):
    with H2(server, timeout=10) as client:
        return client.call("/etcdserverpb.KV/DeleteRange",
                           (1, key)).answer().one(1).number(3)


def behind(prefix):
    """Where a range ends that begins with it."""
    text = prefix.encode()
    return text[:-1] + bytes([text[-1] + 1])


def kvs(server, prefix, keys_only=False):
    """All below it: key -> (value, create_revision, mod_revision, version)."""
    found = {}
    with H2(server, timeout=30) as client:
        start = prefix.encode()
        while True:
            answer = client.call(
                "/etcdserverpb.KV/Range", (1, start), (2, behind(prefix)),
                (3, 5000), (8, keys_only)).answer()
            page = answer.each(2)
            for kv in page:
                found[kv.bytes(1).decode()] = (
                    kv.bytes(5), kv.number(2), kv.number(3), kv.number(4))
            if not answer.number(3):
                return found
            start = page[-1].bytes(1) + b"\0"


class Event:
    def __init__(self, fields):
        kv = fields.one(2)
        self.is_delete = fields.number(1) == 1
        self.key = kv.bytes(1).decode()
        self.value = kv.bytes(5).decode("utf-8", "replace")
        self.revision = kv.number(3)
        self.version = kv.number(4)


def events_of(server, prefix):
    """All that ever happened below it (nothing must be compacted)."""
    found = []
    with H2(server, timeout=60) as client:
        # A mark, behind which nothing is looked for.
        last = client.put(prefix + "~", "end").answer().one(1).number(3)
        stream = client.watch(prefix, 1, behind(prefix))
        while True:
            for fields in client.next_message(stream).each(11):
                event = Event(fields)
                if event.revision >= last:
                    return found
                if event.key != prefix + "~":
                    found.append(event)


def quote(text):
    return urllib.parse.quote(text, safe="")


def unbase64(text):
    return base64.b64decode(text)
