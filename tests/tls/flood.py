#!/usr/bin/env python3
"""Thousands who connect and never finish a handshake: nobody else notices
(CVE-2026-73500, GHSA-6vch-q96h-7gc3).

    tests/tls/flood.py [WORD]...   only stories whose line has a WORD
"""
import http.client
import multiprocessing
import os
import resource
import select
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from secure import (HOST, Certificates, SecureServer, Skip,  # noqa: E402
                    check, equal, is_sanitized, is_thread_sanitized, tell_all,
                    wait_for)

CROWD = 5000
P99_MS = 100
SECONDS = 4
# How a handshake begins: a record of 512 bytes, of which 1 is there.
BEGIN = b"\x16\x03\x01\x02\x00\x01"


def knock(port):
    sock = socket.socket()
    sock.setblocking(False)
    sock.connect_ex((HOST, port))
    return sock


def flood(port, made, count):
    """In a process of its own: as many as the server lets stand, up to so
    many; whoever is turned away comes back at once."""
    crowd = {}
    poll = select.poll()

    def add():
        sock = knock(port)
        crowd[sock.fileno()] = sock
        poll.register(sock.fileno(), select.POLLOUT)
        made.value += 1
    while True:
        for _ in range(min(100, count - len(crowd))):
            add()
        for fd, events in poll.poll(10):
            sock = crowd[fd]
            try:
                if events & select.POLLOUT:
                    if fd % 2:  # the others say nothing at all
                        sock.send(BEGIN)
                    poll.modify(fd, select.POLLIN)
                    continue
            except OSError:
                pass
            poll.unregister(fd)
            crowd.pop(fd).close()


def raise_limit(wanted):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise Skip(f"only {hard} open files are allowed")
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def p99(times):
    return sorted(times)[int(len(times) * 0.99)] * 1000


def measure(server, kept, seconds):
    """The 99th percentile of requests on a kept connection and on new ones,
    in ms."""
    old, new = [], []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        equal(server.put("/good", "value", kept).status // 100, 2, "a put")
        old.append(time.monotonic() - began)
        began = time.monotonic()
        equal(server.put("/good", "value").status // 100, 2,
              "a put on a new connection")
        new.append(time.monotonic() - began)
    return p99(old), p99(new), len(new)


def a_crowd(folder):
    """flood: 5,000 half-open handshakes delay a good client by less than 100 ms
    (p99), on old connections and new ones"""
    raise_limit(CROWD + 500)
    if is_thread_sanitized():
        raise Skip("a gate ten times slower is another one")
    mark = P99_MS * (10 if is_sanitized() else 1)
    certificates = Certificates(folder)
    with SecureServer(folder, certificates) as server:
        kept = server.connect()
        quiet = measure(server, kept, 1)
        made = multiprocessing.Value("i", 0)
        crowd = multiprocessing.Process(
            target=flood, args=(server.client_port, made, CROWD), daemon=True)
        crowd.start()
        try:
            wait_for(lambda: made.value >= CROWD, "the crowd is there", 20)
            wait_for(lambda: server.metric(
                'etched_tls_handshakes_total{result="displaced"}') > 0,
                "the oldest give way", 10)
            # Other work on the machine delays too: the best of three.
            rounds = []
            while len(rounds) < 3:
                rounds.append(measure(server, kept, SECONDS))
                if max(rounds[-1][:2]) < mark:
                    break
            best = min(rounds, key=lambda one: max(one[:2]))
            print("# p99: %.1f ms kept, %.1f ms new (%d of them); without a "
                  "crowd %.1f and %.1f; %d came" % (*best, *quiet[:2],
                                                    made.value), flush=True)
            check(max(best[:2]) < mark, f"p99 in ms: {rounds}")
            check(server.metric("etched_tls_handshakes_open") <= 4096,
                  "more handshakes than there may be")
        finally:
            crowd.kill()
            crowd.join()
        kept.close()
        wait_for(lambda: server.metric("etched_tls_handshakes_open") == 0,
                 "all of them are gone", 10)


def a_deadline(folder):
    """deadline: who doesn't finish within 5 s is let go"""
    certificates = Certificates(folder)
    with SecureServer(folder, certificates) as server:
        began = time.monotonic()
        silent, slow = knock(server.client_port), knock(server.client_port)
        for sock in (silent, slow):
            sock.setblocking(True)
            sock.settimeout(15)
        slow.sendall(BEGIN)
        for sock in (silent, slow):
            try:
                while sock.recv(100):
                    pass
            except ConnectionResetError:
                pass
            took = time.monotonic() - began
            check(4.5 < took < 8, f"it took {took:.1f} s")
            sock.close()
        equal(server.metric(
            'etched_tls_handshakes_total{result="timed_out"}'), 2, "counted")
        try:
            equal(server.get("/version").status, 200, "the next one")
        except http.client.HTTPException as error:
            check(False, str(error))


tell_all([a_crowd, a_deadline])
