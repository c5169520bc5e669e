#!/usr/bin/env python3
"""Quotas by prefix, as etchctl and the clients of both APIs meet them.

    tests/security/quota.py [WORD]...   only stories whose line has a WORD
"""
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import story  # noqa: E402
from world import BIN, HOST, Server, check, equal  # noqa: E402

ETCHCTL = os.path.join(BIN, "etchctl")
USED_UP = "etched: the quota of a prefix is used up"


def etchctl(server, *words, seconds=10):
    environment = dict(os.environ, ETCDCTL_API="3", ETCHCTL_API="3")
    return subprocess.run(
        [ETCHCTL, f"--endpoints={HOST}:{server.client_port}", *words],
        env=environment, capture_output=True, text=True, timeout=seconds,
        check=False)


def said(server, *words):
    done = etchctl(server, *words)
    equal(done.returncode, 0, f"{words}: {done.stderr}")
    return done.stdout


def refused(server, *words):
    done = etchctl(server, *words)
    check(done.returncode != 0 and USED_UP in done.stderr,
          f"{words}: {done.returncode} {done.stderr}")


def metric(server, name):
    text = server.get("/metrics").body.decode()
    found = re.search("^" + re.escape(name) + r" (\d+)$", text, re.M)
    return int(found.group(1)) if found else None


def filled(folder):
    """quota: a prefix is filled, by v3 and v2; what is more is refused, and
    deletes make room"""
    with Server(folder) as server:
        equal(said(server, "quota", "list"), "", "no quotas")
        equal(said(server, "quota", "set", "/a/", "--keys", "3"),
              "Quota of /a/ set\n", "set")
        equal(said(server, "put", "/a/1", "x"), "OK\n", "a put")
        equal(server.put("/a/2", "x").status, 201, "a put of v2")
        equal(said(server, "put", "/a/3", "x"), "OK\n", "a put")
        refused(server, "put", "/a/4", "x")
        answer = server.put("/a/4", "x")
        equal(answer.status, 500, "a put of v2")
        told = answer.json()
        equal((told["errorCode"], told["cause"]),
              (300, "etched: the quota of the prefix /a/ is used up"), "v2")
        equal(metric(server, "etched_quota_refused_total"), 2, "the metric")
        equal(metric(server, 'etched_quota_keys{prefix="/a/"}'), 3, "keys")
        equal(metric(server, 'etched_quota_bytes{prefix="/a/"}'), 15, "bytes")
        equal(said(server, "put", "/b/4", "x"), "OK\n", "elsewhere")
        equal(said(server, "del", "/a/2"), "1\n", "a delete")
        equal(server.put("/a/4", "x").status, 201, "there is room again")


def listed(folder):
    """quota: all are listed in each format, changed and removed"""
    with Server(folder) as server:
        said(server, "quota", "set", '/q"\\', "--bytes", "20")
        said(server, "quota", "set", "/a", "--keys=5", "--bytes=50")
        said(server, "put", "/a", "12")
        equal(said(server, "quota", "list"),
              '/a, 1, 5, 4, 50\n/q"\\, 0, any, 0, 20\n', "simple")
        told = json.loads(said(server, "quota", "list", "-w", "json"))
        equal(told["quotas"][0], {"prefix": "L2E=", "keys_max": 5,
                                  "bytes_max": 50, "keys": 1, "bytes": 4},
              "json")
        table = said(server, "quota", "list", "-w", "table").splitlines()
        equal(len(table), 6, "lines of the table")
        check("PREFIX" in table[1].upper() and "/a" in table[3], repr(table))
        equal(metric(server, 'etched_quota_bytes{prefix="/q\\"\\\\"}'), 0,
              "the label is escaped")
        said(server, "quota", "set", "/a", "--bytes", "2")
        refused(server, "put", "/a", "123")
        equal(said(server, "put", "/a", "1"), "OK\n", "less is let through")
        equal(said(server, "quota", "remove", "/a"), "Quota of /a removed\n",
              "remove")
        equal(said(server, "put", "/a", "1234"), "OK\n", "no bound any more")
        done = etchctl(server, "quota", "remove", "/a")
        check(done.returncode == 1 and "the prefix has no quota" in done.stderr,
              done.stderr)
        equal(etchctl(server, "quota", "set", "/a").returncode, 128, "no bound")


def kept(folder):
    """quota: an end by kill -9 changes nothing of it"""
    with Server(folder) as server:
        said(server, "quota", "set", "/a/", "--keys", "2")
        said(server, "put", "/a/1", "x")
        said(server, "put", "/a/2", "x")
        server.kill()
        server.start()
        equal(said(server, "quota", "list"), "/a/, 2, 2, 10, any\n", "the list")
        refused(server, "put", "/a/3", "x")


def roots(folder):
    """quota: with users, only root sets and sees them"""
    with Server(folder) as server:
        for name in ("root", "app"):
            said(server, "user", "add", f"{name}:{name}")
        said(server, "role", "add", "all")
        said(server, "role", "grant-permission", "all", "readwrite", "/",
             "--prefix")
        said(server, "user", "grant-role", "app", "all")
        said(server, "auth", "enable")
        said(server, "--user", "root:root", "quota", "set", "/a/", "--keys",
             "1")
        said(server, "--user", "app:app", "put", "/a/1", "x")
        refused(server, "--user", "app:app", "put", "/a/2", "x")
        for words in (("list",), ("remove", "/a/"),
                      ("set", "/a/", "--keys", "5")):
            done = etchctl(server, "--user", "app:app", "quota", *words)
            check(done.returncode != 0 and "permission denied" in done.stderr,
                  f"{words}: {done.stderr}")


if __name__ == "__main__":
    story.tell_all((filled, listed, kept, roots))
