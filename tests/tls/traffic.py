#!/usr/bin/env python3
"""Requests and answers over TLS of sizes that don't fit a record, a read or
the socket; and those who go without a goodbye.

    tests/tls/traffic.py [WORD]...   only stories whose line has a WORD
"""
import os
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from secure import (HOST, Certificates, SecureServer,  # noqa: E402
                    check, equal, tell_all, wait_for)
from world import read_answer  # noqa: E402


def dial(server, small=False):
    plain = socket.socket()
    plain.settimeout(20)
    if small:  # so that the server has to wait
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.connect((HOST, server.client_port))
    return server.context.wrap_socket(plain, server_hostname=HOST)


def get(path):
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def pipelined(folder):
    """pipelined: many requests in one record and a record of each byte"""
    with SecureServer(folder, Certificates(folder)) as server:
        server.put("/a", "value")
        with dial(server) as sock:
            file = sock.makefile("rb")
            # 500 requests: three records, one read.
            sock.sendall(get("/v2/keys/a") * 500)
            for _ in range(500):
                equal(read_answer(file).value(), "value", "a value")
            # What came in one read with another's end is answered as well.
            for byte in get("/v2/keys/a"):
                sock.sendall(bytes([byte]))
            sock.sendall(get("/v2/keys/a") + get("/version"))
            for _ in range(2):
                equal(read_answer(file).value(), "value", "a value")
            equal(read_answer(file).status, 200, "the last")


def large(folder):
    """large: a megabyte goes in and comes out, on one connection after
    another"""
    with SecureServer(folder, Certificates(folder)) as server:
        for size in (1, 16383, 16384, 16385, 65536, 300000, 1000000):
            value = "".join(chr(97 + i % 26) for i in range(size))
            connection = server.connect()
            for _ in range(2):
                check(server.put("/large", value, connection).status
                      in (200, 201), f"a put of {size}")
                answer = server.get("/v2/keys/large", connection=connection)
                check(answer.value() == value, f"{size} bytes came otherwise")
            connection.close()


def slow(folder):
    """slow: who reads slowly gets all of it, and delays nobody"""
    with SecureServer(folder, Certificates(folder)) as server:
        for i in range(40):
            server.put(f"/many/{i}", "v" * 100000)
        with dial(server, small=True) as sock:
            sock.sendall(get("/v2/keys/many") + get("/version"))
            time.sleep(0.3)
            began = time.monotonic()
            equal(server.put("/other", "x").status, 201, "another's put")
            check(time.monotonic() - began < 2, "another waited")
            file = sock.makefile("rb")
            nodes = read_answer(file).json()["node"]["nodes"]
            equal(sorted(len(node["value"]) for node in nodes),
                  [100000] * 40, "values")
            equal(read_answer(file).status, 200, "the next answer")


def waiting(folder):
    """waiting: a long poll and a stream of events over TLS"""
    with SecureServer(folder, Certificates(folder)) as server:
        with dial(server) as once, dial(server) as stream:
            once.sendall(get("/v2/keys/w?wait=true"))
            stream.sendall(get("/v2/keys/w?wait=true&stream=true"))
            wait_for(lambda: server.metric(
                "etcd_debugging_store_watchers") >= 2, "both wait")
            for i in range(3):
                server.put("/w", f"event {i}")
            equal(read_answer(once.makefile("rb")).value(), "event 0", "once")
            got = b""
            while b"event 2" not in got:
                piece = stream.recv(65536)
                check(piece, "the stream ended")
                got += piece
            check(got.index(b"event 0") < got.index(b"event 1"), repr(got))


def goodbyes(folder):
    """goodbyes: the server says goodbye, and bears those who don't"""
    with SecureServer(folder, Certificates(folder)) as server:
        before = server.metric("etched_connections")
        for _ in range(50):  # in the midst of a request, an answer
            sock = dial(server)
            sock.sendall(get("/metrics") * 5 + b"GET /v2")
            sock.close()
        with dial(server) as sock:
            sock.suppress_ragged_eofs = False
            sock.sendall(get("/version").replace(
                b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            got = b""
            while True:  # an end without a goodbye would raise
                piece = sock.recv(65536)
                if not piece:
                    break
                got += piece
            check(got.startswith(b"HTTP/1.1 200"), repr(got[:100]))
        equal(server.get("/version").status, 200, "the next one")
        wait_for(lambda: server.metric("etched_connections") == before,
                 "none is left open")


tell_all([pipelined, large, slow, waiting, goodbyes])
