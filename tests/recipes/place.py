"""Servers and workers for the tests of Recipes: real processes on free ports of
loopback, killed by process id."""
import base64
import http.client
import json
import os
import signal
import socket
import subprocess
import time

BIN = os.environ.get("ETCHED_BIN") or os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "..", "..", "bin")
HOST = "127.0.0.1"


class Failure(Exception):
    pass


def free_port():
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return listener.getsockname()[1]


def ask(port, method, path, body=None, headers=None, timeout=10):
    """Status and body; OSError and HTTPException as they come."""
    connection = http.client.HTTPConnection(HOST, port, timeout=timeout)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def encode(text):
    raw = text if isinstance(text, bytes) else text.encode()
    return base64.b64encode(raw).decode()


class Process:
    def __init__(self, arguments, log, port):
        self.port = port
        self.log = log
        self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL,
                                        stdout=log, stderr=log)

    def wait(self, path="/version", seconds=20):
        end = time.time() + seconds
        while time.time() < end:
            try:
                if ask(self.port, "GET", path)[0] == 200:
                    return
            except (OSError, http.client.HTTPException):
                pass
            if self.process.poll() is not None:
                raise Failure(f"it ended by itself with status "
                              f"{self.process.returncode}")
            time.sleep(0.02)
        raise Failure(f"nothing answers at {path}")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        self.process.terminate()
        try:
            status = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failure("it didn't stop")
        if status != 0:
            raise Failure(f"its exit status was {status}")

    def end(self):
        if self.process.poll() is None:
            self.kill()


def server(folder, log, port, peer, flags=()):
    url, peer_url = f"http://{HOST}:{port}", f"http://{HOST}:{peer}"
    return Process(
        [os.path.join(BIN, "etched"), "--data-dir", folder,
         "--listen-client-urls", url, "--advertise-client-urls", url,
         "--listen-peer-urls", peer_url, "--initial-advertise-peer-urls",
         peer_url, "--initial-cluster", f"default={peer_url}", *flags],
        log, port)


def worker(log, port, endpoint, flags=()):
    return Process(
        [os.path.join(BIN, "etched"), "recipes",
         f"--endpoints={HOST}:{endpoint}",
         f"--listen-client-urls=http://{HOST}:{port}", *flags], log, port)


class Store:
    """The v3 JSON gateway, as far as it's needed."""

    def __init__(self, port):
        self.port = port

    def call(self, path, body, timeout=10):
        status, text = ask(self.port, "POST", path, json.dumps(body), {},
                           timeout)
        if status != 200:
            raise Failure(f"{path}: {status} {text[:200]}")
        return json.loads(text)

    def put(self, key, value):
        answer = self.call("/v3/kv/put", {"key": encode(key),
                                          "value": encode(value)})
        return int(answer["header"]["revision"])

    def delete(self, key):
        self.call("/v3/kv/deleterange", {"key": encode(key)})

    def get(self, key):
        kvs = self.call("/v3/kv/range", {"key": encode(key)}).get("kvs", [])
        return base64.b64decode(kvs[0].get("value", "")) if kvs else None

    def below(self, prefix):
        """{key: (value, version)}"""
        out = {}
        start = prefix.encode()
        end = start[:-1] + bytes([start[-1] + 1])
        while True:
            answer = self.call("/v3/kv/range", {
                "key": encode(start), "range_end": encode(end),
                "limit": 5000}, 30)
            for kv in answer.get("kvs", []):
                key = base64.b64decode(kv["key"])
                out[key.decode()] = (base64.b64decode(kv.get("value", "")),
                                     int(kv["version"]))
                start = key + b"\0"
            if not answer.get("more"):
                return out


def apply(port, name, document, seconds=20):
    """Until it's taken: the definitions may not have been read yet."""
    end = time.time() + seconds
    while True:
        try:
            status, text = ask(port, "PUT", f"/recipes/v1/defs/{name}",
                               document)
            if status in (200, 201):
                return
        except (OSError, http.client.HTTPException) as error:
            status, text = 0, str(error)
        if time.time() > end or status == 400:
            raise Failure(f"PUT {name}: {status} {text}")
        time.sleep(0.05)


def until(what, condition, seconds=60):
    end = time.time() + seconds
    while True:
        try:
            if condition():
                return
        except (OSError, http.client.HTTPException, Failure):
            pass
        if time.time() > end:
            raise Failure(f"not within {seconds} s: {what}")
        time.sleep(0.05)
