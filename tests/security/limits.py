#!/usr/bin/env python3
"""What one client may have: connections, requests a second, bytes in flight,
watchers; each with its refusal and its metric, and nothing of it by default.

    tests/security/limits.py [WORD]...   only stories whose line has a WORD
"""
import base64
import json
import os
import re
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import story  # noqa: E402
from world import (BIN, HOST, Failure, Server, check, dial,  # noqa: E402
                   equal, read_answer, wait_for)

ETCHCTL = os.path.join(BIN, "etchctl")


def met(server, limit):
    text = server.get("/metrics").body.decode()
    found = re.search(r'^etched_client_limit_total{limit="%s"} (\d+)$' % limit,
                      text, re.M)
    check(found, "no metric of " + limit)
    return int(found.group(1))


def etchctl(server, *words, seconds=10):
    environment = dict(os.environ, ETCDCTL_API="3", ETCHCTL_API="3")
    return subprocess.run(
        [ETCHCTL, f"--endpoints={HOST}:{server.client_port}", *words],
        env=environment, capture_output=True, text=True, timeout=seconds,
        check=False)


# ---- connections -------------------------------------------------------------

def connections(folder):
    """limits: one connection too many is told 503, the others go on"""
    with Server(folder, "--limit-connections-per-client", "5") as server:
        def held():
            kept = []
            for _ in range(5):
                sock = dial(server)
                file = sock.makefile("rb")
                sock.sendall(b"GET /version HTTP/1.1\r\n"
                             b"Host: localhost\r\n\r\n")
                answer = read_answer(file)
                kept.append((sock, file))
                if answer is None or answer.status != 200:
                    for one, _file in kept:
                        one.close()
                    return None  # the one that looked whether it is up
            return kept
        kept = wait_for(held, "five connections")
        with dial(server) as sock:
            sock.sendall(b"GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = read_answer(sock.makefile("rb"))
            equal(answer.status, 503, "the sixth")
            check("too many connections from this address"
                  in answer.json()["message"], repr(answer))
        sock, file = kept[0]
        sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = read_answer(file)
        check(re.search(rb'limit="connections"} [1-9]', answer.body),
              "the metric")
        for sock, file in kept:
            file.close()
            sock.close()
        wait_for(lambda: up(server), "room again")


def up(server):
    try:
        return server.get("/version").status == 200
    except OSError:
        return False


# ---- requests ------------------------------------------------------------------

def burst(server, count, path="/version"):
    """The statuses of so many requests on one connection."""
    statuses = []
    with dial(server) as sock:
        file = sock.makefile("rb")
        for _ in range(count):
            sock.sendall(f"GET {path} HTTP/1.1\r\n"
                         "Host: localhost\r\n\r\n".encode())
            answer = read_answer(file)
            statuses.append(answer.status)
            if answer.status == 429:
                equal(answer.headers["retry-after"], "1", "Retry-After")
                check("requests from this address" in
                      answer.json()["message"], repr(answer))
    return statuses


def requests(folder):
    """limits: requests above the rate are told 429 with Retry-After"""
    with Server(folder, "--limit-requests-per-second", "50") as server:
        time.sleep(1.1)
        statuses = burst(server, 120)
        good = statuses.count(200)
        check(45 <= good <= 110 and statuses.count(429) == 120 - good,
              f"{good} of 120 went through")
        time.sleep(1.1)
        equal(burst(server, 10), [200] * 10, "a second later")
        check(met(server, "requests_per_second") >= 120 - good, "the metric")
    # The naive server is one without the flag.
    with Server(folder, name="any") as server:
        equal(burst(server, 120), [200] * 120, "without a limit")
        equal(met(server, "requests_per_second"), 0, "the metric")


def requests_of_grpc(folder):
    """limits: calls of gRPC above the rate are RESOURCE_EXHAUSTED"""
    with Server(folder, "--limit-requests-per-second", "5") as server:
        time.sleep(1.1)
        burst(server, 30)
        done = etchctl(server, "put", "a", "1")
        check(done.returncode != 0 and
              "too many requests from this address" in done.stderr,
              f"{done.returncode} {done.stderr}")
        time.sleep(1.1)
        done = etchctl(server, "put", "a", "1")
        equal(done.returncode, 0, done.stderr)


# ---- bytes ---------------------------------------------------------------------

def unfinished(server, size):
    """A request whose body doesn't end, of which the server has `size`."""
    sock = dial(server)
    sock.sendall(b"PUT /v2/keys/big HTTP/1.1\r\nHost: localhost\r\n"
                 b"Content-Type: application/x-www-form-urlencoded\r\n"
                 b"Content-Length: 1000000\r\n\r\nvalue=" + b"x" * (size - 6))
    return sock


def bytes_in_flight(folder):
    """limits: who has too many bytes on their way is told 429"""
    with Server(folder, "--limit-bytes-in-flight", "600000") as server:
        equal(server.put("/a", "x" * 1000).status, 201, "a put")
        kept = [unfinished(server, 250000) for _ in range(3)]

        def refused():
            return server.put("/a", "x" * 1000).status == 429
        wait_for(refused, "a put is refused")
        check(met_anyhow(server), "the metric")
        for sock in kept:
            sock.close()
        wait_for(lambda: server.put("/a", "y").status == 200, "room again")
        # A larger one than all that it may have isn't refused for ever.
        equal(server.put("/b", "x" * 800000).status, 201, "a large put")


def met_anyhow(server):
    """While it has too much, /metrics is refused as all else is."""
    return server.get("/metrics").status in (200, 429)


# ---- watchers --------------------------------------------------------------------

def watchers(folder):
    """limits: one watcher too many on a connection is canceled, with the
    reason; a second connection has its own"""
    with Server(folder, "--limit-watchers-per-connection", "1") as server:
        create = json.dumps({"create_request": {
            "key": base64.b64encode(b"a").decode()}}).encode()
        body = create + create
        head = (f"POST /v3/watch HTTP/1.1\r\nHost: localhost\r\n"
                f"Content-Length: {len(body)}\r\n\r\n").encode()
        with dial(server, 5) as sock:
            sock.sendall(head + body)
            text = b""
            end = time.monotonic() + 5
            while b"too many watchers" not in text:
                check(time.monotonic() < end, f"it said {text!r}")
                try:
                    text += sock.recv(65536)
                except socket.timeout:
                    raise Failure(f"it said {text!r}") from None
            check(b'"created":true' in text, repr(text))
            with dial(server, 5) as other:
                other.sendall(head.replace(
                    b"%d" % len(body), b"%d" % len(create)) + create)
                text = other.recv(65536)
                while b"created" not in text:
                    text += other.recv(65536)
                check(b"too many" not in text, repr(text))
        equal(met(server, "watchers"), 1, "the metric")


if __name__ == "__main__":
    story.tell_all((connections, requests, requests_of_grpc, bytes_in_flight,
                    watchers))
