#!/usr/bin/env python3
"""The same command lines to our etchctl and to etcd's own etcdctl (3.4, with
ETCDCTL_API=2), each against a fresh server of its own; stdout, stderr and the
exit code must be the same, but for the indexes' starting points and times.

    tests/compat/etchctl.py [--server NAME] [--only WORD] [--verbose]

`--server etcd` runs both tools against etcd: the tools are compared, and only
they. `--server etched` runs ours against our server ($ETCHED_BIN/etched) and
theirs against etcd: the servers are compared too. `--server COMMAND` is any
other for ours, where {client}, {peer} and {data} stand for its URLs and its
directory. Without the flag: etcd, then etched where that was built.

Prints `ok name` or `not ok name: why` for each case.
"""
import argparse
import contextlib
import http.client
import http.server
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BIN = os.environ.get("ETCHED_BIN", os.path.join(TOP, "bin"))
THEIRS = "/usr/bin/etcdctl"
FLAGS = ("--name n1 --data-dir {data} --listen-client-urls {client} "
         "--advertise-client-urls {client} --listen-peer-urls {peer} "
         "--initial-advertise-peer-urls {peer} --initial-cluster n1={peer}")
SERVERS = {
    "etcd": "/usr/bin/etcd --enable-v2=true " + FLAGS,
    "etched": os.path.join(BIN, "etched") + " " + FLAGS,
}
SECONDS = 20


# ---- the world --------------------------------------------------------------

def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def request(url, method, path, body=None):
    """One plain HTTP request: (status, headers, body)."""
    place = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname, place.port,
                                            timeout=SECONDS)
    headers = {}
    if body is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


class Server:
    """A server of one member with an empty store."""

    def __init__(self, command, folder):
        self.client = "http://127.0.0.1:%d" % free_port()
        self.peer = "http://127.0.0.1:%d" % free_port()
        os.makedirs(folder)
        self.argv = [word.format(client=self.client, peer=self.peer,
                                 data=os.path.join(folder, "data"))
                     for word in shlex.split(command)]
        self.log_path = os.path.join(folder, "log")
        self.start()
        # Indexes above every number that the cases write themselves.
        for _ in range(100):
            request(self.client, "PUT", "/v2/keys/_before", "value=x")
        self.base = int(request(self.client, "GET", "/v2/keys/")[1]
                        ["X-Etcd-Index"])

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self.wait_ready()
        except Exception:
            self.stop()
            raise

    def wait_ready(self):
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                if (request(self.client, "GET", "/health")[0] == 200 and
                        request(self.client, "GET", "/v2/keys/")[0] == 200):
                    return
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise RuntimeError("the server didn't come up")

    def watchers(self):
        answer = request(self.client, "GET", "/v2/stats/store")[2]
        return json.loads(answer)["watchers"]

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


HEALTH = {"/healthy": (200, b'{"health":"true"}'),
          "/well": (200, b'{"health": true}'),
          "/sick": (503, b'{"health":"false"}'),
          "/silent": (200, b"{}")}


class Fake(http.server.ThreadingHTTPServer):
    """A server that answers badly: by the last segment of the path."""
    daemon_threads = True

    def __init__(self, target):
        super().__init__(("127.0.0.1", 0), FakeHandler)
        self.url = "http://127.0.0.1:%d" % self.server_address[1]
        self.target = target
        threading.Thread(target=self.serve_forever, daemon=True).start()


class FakeHandler(http.server.BaseHTTPRequestHandler):
    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        self.rfile.read(length)
        before, what = self.path.split("?")[0].rsplit("/", 1)
        body = b"garbage\n"
        headers = {}
        status = int(what) if what.isdigit() else 200
        if before.endswith("/v2") and before.startswith("/members="):
            body = self.members(before.split("/")[1][len("members="):])
        elif what == "health" and before in HEALTH:
            status, body = HEALTH[before]
        elif what == "empty":
            body = b""
        elif what == "slow":
            time.sleep(3)
        elif what == "json":
            status, body = 404, (b'{"errorCode":100,"message":"Key not found",'
                                 b'"cause":"/x","index":7}')
        elif what == "there":
            status = 307
            headers["Location"] = self.server.target + self.path
        elif what == "loop":
            status = 307
            headers["Location"] = self.server.url + self.path
        elif what == "nowhere":
            status = 307
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        # Who waited for a slow answer may have gone.
        with contextlib.suppress(ConnectionError):
            self.end_headers()
            self.wfile.write(body)

    def members(self, states):
        """A list of members, each with an address for its state."""
        members = []
        for number, state in enumerate(states.split("+")):
            urls = ["%s/%s" % (self.server.url, one)
                    for one in state.split("-") if one != "none"]
            members.append({"id": "%016x" % (number + 10), "name": "n",
                            "peerURLs": [], "clientURLs": urls})
        return json.dumps({"members": members}).encode()

    do_GET = do_PUT = do_POST = do_DELETE = answer

    def log_message(self, *_args):
        pass


# ---- cases ------------------------------------------------------------------

class Case:
    """One command line.

    ENDPOINT, DEAD and FAKE in its words stand for URLs; `endpoint=False`
    leaves `--endpoints ENDPOINT` away. `sort`: lines of stdout come in any
    order. `out`, `err`: "same", "first" (the first line only) or "any".
    `pause`: seconds to wait before, so that something expires.
    """

    def __init__(self, name, words, stdin="", env=None, endpoint=True,
                 sort=False, out="same", err="same", pause=0.0):
        self.name = name
        self.words = words if isinstance(words, list) else shlex.split(words)
        self.stdin = stdin
        self.env = env or {}
        self.endpoint = endpoint
        self.sort = sort
        self.out = out
        self.err = err
        self.pause = pause


class Watch(Case):
    """A command that waits for what `changes` does to the store.

    `lines`: how many lines of stdout to wait for before the signal `stop`; 0:
    it ends by itself.
    """

    def __init__(self, name, words, changes, lines=0, **more):
        super().__init__(name, words, **more)
        self.changes = changes
        self.lines = lines
        self.stop = signal.SIGINT


class Ours(Case):
    """What we do otherwise, on purpose: `code`, and a text in the output."""

    def __init__(self, name, words, code, text, **more):
        super().__init__(name, words, **more)
        self.code = code
        self.text = text


class OurWatch(Watch):
    """A watch of our tool alone: exactly `text` on stdout, and `code`."""

    def __init__(self, name, words, changes, text, lines=0, code=0,
                 stop=signal.SIGINT):
        super().__init__(name, words, changes, lines)
        self.text = text
        self.code = code
        self.stop = stop


KEYS = [
    Case("set a key", "set /foo bar"),
    Case("get a key", "get /foo"),
    Case("get without the slash", "get foo"),
    Case("get, extended", "-o extended get /foo"),
    Case("get, json", "--output json get /foo"),
    Case("get, --output=simple", "--output=simple get /foo"),
    Case("get, one dash", "-output=extended get /foo"),
    Case("get with --quorum", "get --quorum /foo"),
    Case("get with -q and --sort", "get -q --sort /foo"),
    Case("get what isn't there", "get /nope"),
    Case("get what isn't there, json", "-o json get /nope"),
    Case("get without a key", "get"),
    Case("get the root", "get /"),
    Case("get an empty name", ["get", ""]),
    Case("get more than one", "get /foo /bar"),
    Case("flags ended by --", "-- get /foo"),
    Case("set again, extended", "-o extended set /foo bar2"),
    Case("set again, json", "-o json set /foo bar3"),
    Case("set with a TTL after the words", "set /ttl v --ttl 100"),
    Case("get with a TTL", "-o extended get /ttl"),
    Case("get with a TTL, json", "-o json get /ttl"),
    Case("set with a hexadecimal TTL", "-o extended set --ttl=0x64 /ttl v"),
    Case("set with a negative TTL", "-o extended set --ttl -5 /ttl v"),
    Case("set with a TTL between", "set /ttl --ttl 100 w"),
    Case("set without a key", "set"),
    Case("set without a value", "set /x"),
    Case("set from stdin", "set /stdin", stdin="two\nlines\n"),
    Case("get what came from stdin", "get /stdin"),
    Case("set an empty value", ["set", "/empty", ""]),
    Case("get an empty value", "get /empty"),
    Case("get an empty value, extended", "-o extended get /empty"),
    Case("set the empty key", ["set", "", "v"]),
    Case("set more words than two", "set /foo 1 2 3"),
    Case("set a value with a dash", "set /foo -1"),
    Case("set a value with two dashes", "set /foo --bogus"),
    Case("set a value after --", "set /foo -- --ttl"),
    Case("set all after --", "set -- /foo -2"),
    Case("set a dash", "set /foo -"),
    Case("set odd characters", ["set", "/sp ace?x#y&z", "v=&+ \u00e9%41"]),
    Case("get odd characters", ["get", "/sp ace?x#y&z"]),
    Case("get odd characters, json", ["-o", "json", "get", "/sp ace?x#y&z"]),
    Case("set what JSON escapes", ["set", "/esc", "<\"\\\t\n&>\u2028"]),
    Case("get what JSON escapes, json", "-o json get /esc"),
    Case("paths are cleaned", "set a//./b/../c v"),
    Case("get the cleaned path", "get /a/c"),
    Case("percent is itself", "get /a%2fc"),
    Case("set a directory", "set /a v"),
    Case("get a directory", "get /a"),
    Case("swap with the value", "set /foo 2 --swap-with-value -"),
    Case("swap with another value", "set /foo 3 --swap-with-value 9"),
    Case("swap with another index", "set --swap-with-index 1 /foo 3"),
    Case("swap with both", "set --swap-with-value zz --swap-with-index 1 "
         "/foo 5"),
    Case("swap, with a TTL", "-o extended set --ttl 100 --swap-with-value 2 "
         "/foo 3"),
    Case("swap what isn't there", "set --swap-with-value x /nope 5"),
    Case("mk", "mk /mk v"),
    Case("mk again", "mk /mk v"),
    Case("mk with a TTL", "-o extended mk --ttl 100 /mk2 v"),
    Case("mk without a key", "mk"),
    Case("mk without a value", "mk /mk3"),
    Case("mk from stdin", "mk /mk4", stdin="v"),
    Case("mk in order", "mk --in-order /queue a"),
    Case("mk in order, json", "-o json mk --in-order /queue b"),
    Case("mk in order, extended, with a TTL",
         "-o extended mk --in-order --ttl 100 /queue c"),
    Case("mk in order without a key", "mk --in-order"),
    Case("update", "update /mk w"),
    Case("update, extended", "-o extended update /mk x"),
    Case("update with a TTL", "-o extended update --ttl 100 /mk y"),
    Case("update takes the TTL away", "-o extended update /mk z"),
    Case("update what isn't there", "update /nope v"),
    Case("update without a key", "update"),
    Case("update without a value", "update /mk"),
    Case("update from stdin", "update /mk", stdin="s\n"),
]

DIRECTORIES = [
    Case("mkdir", "mkdir /d"),
    Case("mkdir again", "mkdir /d"),
    Case("mkdir, extended", "-o extended mkdir --ttl 100 /d2"),
    Case("mkdir, json", "-o json mkdir /d3"),
    Case("mkdir without a key", "mkdir"),
    Case("mkdir below a key", "mkdir /foo/x"),
    Case("setdir", "setdir /sd"),
    Case("setdir again", "setdir /sd"),
    Case("setdir, extended", "-o extended setdir /sd2 --ttl 100"),
    Case("setdir without a key", "setdir"),
    Case("updatedir", "updatedir /sd"),
    Case("updatedir with a TTL, extended",
         "-o extended updatedir --ttl 100 /sd"),
    Case("updatedir, json", "-o json updatedir /sd"),
    Case("updatedir what isn't there", "updatedir --ttl 5 /nope"),
    Case("updatedir without a key", "updatedir"),
    Case("ls", "ls", sort=True),
    Case("ls the root", "ls /", sort=True),
    Case("ls --sort", "ls --sort"),
    Case("ls -p", "ls -p", sort=True),
    Case("ls --recursive", "ls --recursive", sort=True),
    Case("ls --recursive --sort -p", "ls --recursive --sort -p"),
    Case("ls -r -p=false", "ls -r -p=false", sort=True),
    Case("ls --quorum of one", "ls --quorum --sort /queue"),
    Case("ls a key", "ls /foo"),
    Case("ls what isn't there", "ls /nope"),
    Case("ls an empty one", "ls /sd"),
    Case("ls --sort, json", "-o json ls --sort --recursive /a"),
    Case("ls, extended", "-o extended ls"),
    Case("rm a directory", "rm /d"),
    Case("rm --dir", "rm --dir /d"),
    Case("rmdir", "rmdir /d2"),
    Case("rmdir, extended", "-o extended rmdir /d3"),
    Case("rmdir of a full one", "rmdir /queue"),
    Case("rmdir of a key", "rmdir /mk4"),
    Case("rmdir what isn't there", "rmdir /nope"),
    Case("rmdir without a key", "rmdir"),
    Case("rm", "rm /mk2"),
    Case("rm, extended", "-o extended rm /ttl"),
    Case("rm, json", "-o json rm /empty"),
    Case("rm what isn't there", "rm /nope"),
    Case("rm without a key", "rm"),
    Case("rm the root", "rm /"),
    Case("rm --recursive the root", "rm --recursive /"),
    Case("rm with another value", "rm --with-value x /foo"),
    Case("rm with another index", "rm --with-index 1 /foo"),
    Case("rm with its value", "rm --with-value 3 /foo"),
    Case("rm --recursive", "rm --recursive /queue"),
    Case("rm -r, json", "-o json rm -r /sd2"),
    Case("rm --dir --recursive", "rm --dir --recursive /a"),
    Case("rm --recursive --with-value", "rm --recursive --with-value x /sd"),
]

CLUSTER = [
    Case("cluster-health", "cluster-health"),
    Case("cluster-health of nobody", "--endpoints DEAD cluster-health",
         endpoint=False),
    Case("member add without words", "member add"),
    Case("member add without an address", "member add x"),
    Case("member add with no address", "member add x y", err="any"),
    Case("member remove without words", "member remove"),
    Case("member remove of none", "member remove 99"),
    Case("member update without words", "member update"),
    Case("member update of none", "member update 99 http://127.0.0.1:1"),
    Case("all are healthy", "--endpoints FAKE/members=healthy+well "
         "cluster-health", endpoint=False),
    Case("one is sick", "--endpoints FAKE/members=healthy+sick "
         "cluster-health", endpoint=False),
    Case("all are sick", "--endpoints FAKE/members=sick+sick cluster-health",
         endpoint=False),
    Case("one has no address", "--endpoints FAKE/members=none+healthy "
         "cluster-health", endpoint=False),
    Case("none has an address", "--endpoints FAKE/members=none "
         "cluster-health", endpoint=False),
    Case("one says nothing", "--endpoints FAKE/members=silent cluster-health",
         endpoint=False),
    Case("the second address answers",
         "--endpoints FAKE/members=200-healthy cluster-health",
         endpoint=False),
    Case("no address answers", "--endpoints FAKE/members=200-404 "
         "cluster-health", endpoint=False),
    Case("nobody has an address", "--endpoints FAKE/members=none get /foo",
         endpoint=False),
    Case("member list", "member list"),
    Case("member list with a word", "member list x"),
    Case("member list of nobody", "--no-sync --endpoints DEAD member list",
         endpoint=False),
    Case("--debug get", "--debug get --sort /foo"),
    Case("--debug set", "--debug set --ttl 100 /foo 'a b&c'"),
    Case("--debug set with a swap",
         "--debug set --swap-with-value 'a b' --swap-with-index 1 /foo x"),
    Case("--debug mk --in-order", "--debug mk --in-order /q v"),
    Case("--debug mk", "--debug mk /foo v"),
    Case("--debug mkdir", "--debug mkdir /dd"),
    Case("--debug updatedir", "--debug updatedir --ttl 100 /dd"),
    Case("--debug rm", "--debug rm --recursive --dir /dd"),
    Case("--debug rm with a value", "--debug rm --with-value 'a b' /foo"),
    Case("--debug ls", "--debug ls -r --sort"),
    Case("--debug odd characters", ["--debug", "get", "/x y/$&+,:;=@[]!'()*"]),
    Case("--debug --no-sync", "--debug --no-sync get /foo"),
    Case("--debug member list", "--debug member list"),
    Case("--debug cluster-health", "--debug cluster-health"),
    Case("--debug=false", "--debug=false get /foo"),
    Case("--username with a password", "-u root:x get /foo"),
    Case("--timeout and --total-timeout",
         "--timeout 5s --total-timeout=1m get /foo"),
]

ENDPOINTS = [
    Case("--peers", "--peers ENDPOINT get /foo", endpoint=False),
    Case("-C", "-C ENDPOINT get /foo", endpoint=False),
    Case("--endpoint", "--endpoint ENDPOINT get /foo", endpoint=False),
    Case("an endpoint with a slash", "--endpoints ENDPOINT/ get /foo",
         endpoint=False),
    Case("ETCDCTL_ENDPOINTS", "get /foo", endpoint=False,
         env={"ETCDCTL_ENDPOINTS": "ENDPOINT", "ETCDCTL_PEERS": "DEAD"}),
    Case("ETCDCTL_ENDPOINT", "get /foo", endpoint=False,
         env={"ETCDCTL_ENDPOINT": "ENDPOINT"}),
    Case("ETCDCTL_PEERS", "get /foo", endpoint=False,
         env={"ETCDCTL_PEERS": "ENDPOINT"}),
    Case("a flag over the environment", "--endpoints ENDPOINT get /foo",
         endpoint=False, env={"ETCDCTL_ENDPOINTS": "DEAD"}),
    Case("the next endpoint answers", "--endpoints DEAD,ENDPOINT get /foo",
         endpoint=False),
    Case("the next endpoint answers, no sync",
         "--no-sync --endpoints DEAD,ENDPOINT set /foo next", endpoint=False),
    Case("nobody answers", "--endpoints DEAD get /foo", endpoint=False),
    Case("nobody answers a rmdir", "--endpoints DEAD rmdir /foo",
         endpoint=False),
    Case("nobody answers a set with a swap",
         "--endpoints DEAD set --swap-with-value x /foo y", endpoint=False),
    Case("nobody answers, no sync", "--no-sync --endpoints DEAD get /foo",
         endpoint=False),
    Case("nobody answers a set", "--no-sync --endpoints DEAD set /foo x",
         endpoint=False),
    Case("nobody answers a mk", "--no-sync --endpoints DEAD mk /foo x",
         endpoint=False),
    Case("nobody answers a mk in order",
         "--no-sync --endpoints DEAD mk --in-order /foo x", endpoint=False),
    Case("nobody answers a mkdir", "--no-sync --endpoints DEAD mkdir /foo",
         endpoint=False),
    Case("nobody answers a rm", "--no-sync --endpoints DEAD rm /foo",
         endpoint=False),
    Case("nobody answers a watch", "--no-sync --endpoints DEAD watch /foo",
         endpoint=False),
    Case("nobody answers an exec-watch",
         "--endpoints DEAD exec-watch -r /foo -- true", endpoint=False),
    Case("an unknown scheme", "--endpoints ftp://127.0.0.1:1 get /foo",
         endpoint=False),
    Case("no leader (500)", "--no-sync --endpoints FAKE get /500",
         endpoint=False),
    Case("no leader (503)", "--no-sync --endpoints FAKE set /503 x",
         endpoint=False),
    Case("no leader, one shot", "--no-sync --endpoints FAKE mk /503 x",
         endpoint=False),
    Case("a gateway's time-out", "--no-sync --endpoints FAKE get /504",
         endpoint=False),
    Case("a bad gateway", "--no-sync --endpoints FAKE get /502",
         endpoint=False),
    Case("no JSON", "--no-sync --endpoints FAKE get /200", endpoint=False),
    Case("no JSON in an error", "--no-sync --endpoints FAKE get /404",
         endpoint=False),
    Case("an empty answer", "--no-sync --endpoints FAKE get /empty",
         endpoint=False),
    Case("an error in JSON", "--no-sync --endpoints FAKE get /json",
         endpoint=False),
    Case("no members to be had", "--debug --endpoints FAKE get /json",
         endpoint=False),
    Case("a redirect", "--no-sync --endpoints FAKE set /there x",
         endpoint=False),
    Case("after a redirect", "get /there"),
    Case("too many redirects", "--no-sync --endpoints FAKE get /loop",
         endpoint=False),
    Case("a redirect to nowhere", "--no-sync --endpoints FAKE get /nowhere",
         endpoint=False),
    Case("a slow answer", "--no-sync --timeout 300ms --endpoints FAKE "
         "get /slow", endpoint=False),
    Case("a slow answer, one shot", "--no-sync --timeout 300ms "
         "--endpoints FAKE mk /slow x", endpoint=False),
    Case("too slow altogether", "--no-sync --timeout 2s --total-timeout 300ms "
         "--endpoints FAKE get /slow", endpoint=False),
    Case("member list without members", "--endpoints FAKE/404/x member list",
         endpoint=False, err="any"),
    Case("a file that isn't there", "--ca-file /nonexistent/ca get /foo"),
    Case("a certificate without a key", "--cert-file /nonexistent/c get /foo"),
    Case("files that aren't there",
         "--cert-file /nonexistent/c --key-file /nonexistent/k get /foo"),
    Case("ETCDCTL_CA_FILE", "get /foo",
         env={"ETCDCTL_CA_FILE": "/nonexistent/ca"}),
    Case("ETCDCTL_CERT_FILE", "get /foo",
         env={"ETCDCTL_CERT_FILE": "/nonexistent/c",
              "ETCDCTL_KEY_FILE": "/nonexistent/k"}),
]

USAGE = [
    Case("an unknown flag", "set --bogus /foo 5", out="any", err="first"),
    Case("an unknown global flag", "--bogus get /foo", out="any",
         err="first"),
    Case("a TTL that is no number", "set --ttl abc /foo 5", out="any",
         err="first"),
    Case("an empty TTL", "set --ttl= /foo 5", out="any", err="first"),
    Case("a boolean that is none", "ls -p=maybe", out="any", err="first"),
    Case("a time-out that is none", "--timeout 5 get /foo", out="any",
         err="first"),
    Case("letters don't cluster", "ls -rp", out="any", err="first"),
    Case("an unknown command", "bogus", err="first"),
    Case("an unknown subcommand", "member bogus", err="first"),
    Case("help", "help", out="any"),
    Case("--help", "--help", out="any"),
    Case("help of a command", "help get", out="any"),
    Case("--help of a command", "get --help", out="any"),
    Case("help of what isn't there", "help nope", err="first"),
    Case("no command", "", out="any"),
    Case("a group alone", "member", out="any"),
    Case("exec-watch without a command", "exec-watch /foo"),
    Case("watch without a key", "watch"),
]

# A change of the store: the server is stopped, and started again.
RESTART = ("RESTART", "", None)
SET_FOO = ("PUT", "/v2/keys/w/k", "value=v1")
WATCHES = [
    Watch("watch a key", "watch /w/k", [SET_FOO]),
    Watch("watch, extended", "-o extended watch /w/k", [SET_FOO]),
    Watch("watch, json", "-o json watch /w/k", [SET_FOO]),
    Watch("watch, --debug", "--debug watch /w/k", [SET_FOO]),
    Watch("watch --recursive", "watch --recursive /w", [SET_FOO]),
    Watch("watch passes over directories", "watch -r /w",
          [("PUT", "/v2/keys/w/dir?dir=true", ""), SET_FOO]),
    Watch("watch --forever", "watch --forever --recursive /w",
          [SET_FOO, ("PUT", "/v2/keys/w/k?prevExist=true", "value=v2"),
           ("DELETE", "/v2/keys/w/k", None),
           ("PUT", "/v2/keys/w/j", "value=v3")], lines=8),
    Watch("watch -f, extended", "-o extended watch -f /w/k",
          [SET_FOO, ("DELETE", "/v2/keys/w/k", None)], lines=13),
    Watch("watch -f, json, compared",
          "-o json watch -f -r /w",
          [SET_FOO, ("PUT", "/v2/keys/w/k?prevValue=v1", "value=v2"),
           ("DELETE", "/v2/keys/w/k?prevValue=v2", None)], lines=6),
    Watch("watch an expiry", "-o extended watch -f /w/t",
          [("PUT", "/v2/keys/w/t", "value=v&ttl=1")], lines=14),
    Watch("watch --after-index", "watch --after-index 1 -r /w", []),
    Watch("exec-watch", ["exec-watch", "--recursive", "/w", "--", "sh", "-c",
                         "echo $ETCD_WATCH_ACTION $ETCD_WATCH_KEY "
                         "$ETCD_WATCH_VALUE MODIFIED_INDEX="
                         "$ETCD_WATCH_MODIFIED_INDEX"],
          [SET_FOO, ("PUT", "/v2/keys/w/dir2?dir=true", ""),
           ("DELETE", "/v2/keys/w/k", None)], lines=2),
]

OURS = [
    Ours("an endpoint without a scheme", "--endpoints HOSTPORT get /there", 0,
         "x", endpoint=False),
    Ours("a global flag after the command", "get /there -o extended", 0,
         "Key: /there"),
    Ours("a flag without its value", "get /there -o", 1,
         "flag needs an argument: -o"),
    Ours("a typo in a flag", "get --quorun /foo", 1, "Did you mean --quorum?"),
    Ours("a typo in a flag after the key", "get /foo --quorun", 1,
         "Did you mean --quorum?"),
    Ours("a typo in a command", "gte /foo", 3, "Did you mean"),
    Ours("an unknown format, before anything is done",
         "-o bogus set /there y", 1, "Unsupported output format: bogus"),
    Ours("... and nothing was done", "get /there", 0, "x"),
    Ours("an empty endpoint", "--endpoints ENDPOINT,,DEAD get /there", 1,
         "an endpoint is empty", endpoint=False),
    Ours("backup comes later", "backup --data-dir x", 1,
         "comes with a later version"),
    Ours("import comes later", "import", 1, "comes with a later version"),
    Ours("no such API", "get a", 1, "unsupported API version 4",
         env={"ETCDCTL_API": "4"}),
    Ours("--discovery-srv comes later", "--discovery-srv example.org get /a",
         1, "comes with a later version"),
    Ours("--version", "--version", 0, "API version: 2"),
]

OUR_WATCHES = [
    OurWatch("watch --forever outlives its server", "watch --forever /w/r",
             [("PUT", "/v2/keys/w/r", "value=one"), RESTART,
              ("PUT", "/v2/keys/w/r", "value=two")], "one\ntwo\n", lines=2),
    OurWatch("... and has seen nothing yet", "watch --forever -r /w/r2",
             [RESTART, ("PUT", "/v2/keys/w/r2", "value=x"),
              ("PUT", "/v2/keys/w/r2", "value=y")],
             "[set] /w/r2\nx\n[set] /w/r2\ny\n", lines=4),
    OurWatch("... and is told so by SIGTERM", "watch --forever /w/r3",
             [("PUT", "/v2/keys/w/r3", "value=x")], "x\n", lines=1,
             stop=signal.SIGTERM),
    OurWatch("exec-watch with the key first", "exec-watch /w/r4 -- sh -c "
             "'echo $ETCD_WATCH_VALUE'",
             [("PUT", "/v2/keys/w/r4", "value=x")], "x\n", lines=1),
    OurWatch("exec-watch without --", "exec-watch /w/r5 echo -n -e x\\\\n",
             [("PUT", "/v2/keys/w/r5", "value=x")], "x\n", lines=1),
    OurWatch("exec-watch of no program", "exec-watch /w/r6 /nonexistent",
             [("PUT", "/v2/keys/w/r6", "value=x")], "", code=1),
]


# ---- running ----------------------------------------------------------------

class Side:
    """A tool and its server."""

    def __init__(self, tool, server, fake, dead):
        self.tool = tool
        self.server = server
        self.fake = fake
        self.dead = dead

    def fill(self, word):
        for name, value in (("ENDPOINT", self.server.client),
                            ("HOSTPORT", self.server.client[7:]),
                            ("DEAD", self.dead), ("FAKE", self.fake.url)):
            word = word.replace(name, value)
        return word

    def argv(self, case):
        before = ["--endpoints", self.server.client] if case.endpoint else []
        return [self.tool] + before + [self.fill(one) for one in case.words]

    def environment(self, case):
        env = {name: value for name, value in os.environ.items()
               if not name.startswith("ETCDCTL_")}
        env["ETCDCTL_API"] = "2"
        env.update({name: self.fill(value)
                    for name, value in case.env.items()})
        return env

    def run(self, case):
        if isinstance(case, Watch):
            return self.watch(case)
        done = subprocess.run(self.argv(case), env=self.environment(case),
                              input=case.stdin.encode(), capture_output=True,
                              timeout=SECONDS, check=False)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def watch(self, case):
        """Changes the store once the tool waits; SIGINT after the lines."""
        with tempfile.TemporaryFile() as err:
            child = subprocess.Popen(self.argv(case), stderr=err,
                                     env=self.environment(case),
                                     stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE)
            # What hangs is killed, and seen by its missing output.
            timer = threading.Timer(SECONDS, child.kill)
            timer.start()
            try:
                self.make_changes(child, case.changes)
                out = b""
                for _ in range(case.lines):
                    out += child.stdout.readline()
                if case.lines:
                    child.send_signal(case.stop)
                out += child.stdout.read()
                code = child.wait()
            finally:
                timer.cancel()
                child.kill()
                child.wait()
                child.stdout.close()
            err.seek(0)
            return code, out.decode(), err.read().decode()

    def make_changes(self, child, changes):
        for method, path, body in changes:
            until = time.monotonic() + SECONDS / 2
            while (self.server.watchers() == 0 and child.poll() is None and
                   time.monotonic() < until):
                time.sleep(0.01)
            if method == "RESTART":
                self.server.stop()
                self.server.start()
                continue
            request(self.server.client, method, path, body)
            # Its programs run side by side: one after the other, so that
            # their lines come in order.
            time.sleep(0.15)

    def normal(self, text):
        """The text without what two servers never have in common."""
        for url, name in ((self.server.client, "CLIENT"),
                          (self.server.peer, "PEER"),
                          (self.fake.url, "FAKE")):
            text = text.replace(url, name).replace(url[7:], name)
        text = re.sub(r"\b[0-9a-f]{12,16}(?=:| is | on )", "ID", text)
        # What isn't JSON is told in words of one's own.
        text = re.sub(r"(?m)( on \S+: )(?:invalid character|status) .*$",
                      r"\1NO REPORT", text)
        text = re.sub(r'"expiration":"[^"]*"', '"expiration":"T"', text)
        # A second may pass between a set and a get.
        text = re.sub(r'((?:TTL: |"ttl":))(?:99|98)\b', r"\g<1>100", text)
        for pattern in (r'((?:created|modified)Index":)(\d+)',
                        r"((?:Created-|Modified-|^)Index: )(\d+)",
                        r"(MODIFIED_INDEX=)(\d+)",
                        r"(\[\d+ != )(\d+)(?=\])",
                        r"(\) \[)(\d+)(?=\]$)",
                        r"(/)(\d{20})\b"):
            text = re.sub(pattern, self.relative, text, flags=re.M)
        return text

    def relative(self, match):
        index = int(match.group(2))
        if index < self.server.base:
            return match.group(0)
        return "%s<+%d>" % (match.group(1), index - self.server.base)


def view(case, side, result):
    """What of a result is compared."""
    code, out, err = result
    out, err = side.normal(out), side.normal(err)
    if case.sort:
        out = "\n".join(sorted(out.split("\n")))
    shown = {"same": lambda text: text, "any": lambda text: "",
             "first": lambda text: text.split("\n")[0]}
    return "\n".join(["exit code %d" % code, "stdout:",
                      shown[case.out](out), "stderr:", shown[case.err](err)])


def compare(case, ours, theirs):
    """Why they differ, or None."""
    time.sleep(case.pause)
    got = ours.run(case)
    if isinstance(case, OurWatch):
        if (got[0], got[1]) != (case.code, case.text):
            return "exit code %d: %r, not %r: %s" % (got[0], got[1],
                                                     case.text, got[2])
        return None
    if isinstance(case, Ours):
        if got[0] != case.code:
            return "exit code %d, not %d: %s" % (got[0], case.code, got[2])
        if case.text not in got[1] + got[2]:
            return "no %r in %r" % (case.text, got[1] + got[2])
        return None
    mine = view(case, ours, got)
    its = view(case, theirs, theirs.run(case))
    if mine == its:
        return None
    return "ours\n%s\ntheirs\n%s" % (mine, its)


def report(name, why):
    if why is None:
        print("ok " + name, flush=True)
        return True
    lines = why.rstrip().split("\n")
    print("not ok %s: %s" % (name, lines[0]), flush=True)
    for line in lines[1:]:
        print("# " + line, flush=True)
    return False


def run_cases(name, command, cases, folder):
    """All cases with our tool at `command`; True when all are the same."""
    good = True
    with contextlib.ExitStack() as stack:
        sides = []
        for who, tool, server_command in (
                ("ours", os.path.join(BIN, "etchctl"), command),
                ("theirs", THEIRS, SERVERS["etcd"])):
            server = Server(server_command, os.path.join(folder, name, who))
            stack.callback(server.stop)
            fake = Fake(server.client)
            stack.callback(fake.server_close)
            stack.callback(fake.shutdown)
            dead = "http://127.0.0.1:%d" % dead_port
            sides.append(Side(tool, server, fake, dead))
        for case in cases:
            try:
                why = compare(case, *sides)
            except (OSError, subprocess.TimeoutExpired, ValueError) as error:
                why = str(error)
            good = report("%s: %s" % (name, case.name), why) and good
    return good


# Nobody listens there: bound, but never listened on, as long as we run.
dead_socket = socket.socket()
dead_socket.bind(("127.0.0.1", 0))
dead_port = dead_socket.getsockname()[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", help="etcd, etched, or a command line")
    parser.add_argument("--only", default="",
                        help="cases with this in their name (they may need "
                        "what those before them have set)")
    options = parser.parse_args()
    for tool in (THEIRS, "/usr/bin/etcd"):
        if not os.access(tool, os.X_OK):
            print("ok etchctl # SKIP there is no " + tool)
            return 0
    names = [options.server] if options.server else ["etcd"]
    if not options.server and os.access(os.path.join(BIN, "etched"), os.X_OK):
        names.append("etched")
    cases = [case for case in KEYS + DIRECTORIES + CLUSTER + ENDPOINTS +
             USAGE + OURS + WATCHES + OUR_WATCHES
             if options.only in case.name]
    folder = tempfile.mkdtemp(prefix="etchctl-")
    good = True
    try:
        for name in names:
            label = name if name in SERVERS else "other"
            command = SERVERS.get(name, name)
            try:
                good = run_cases(label, command, cases, folder) and good
            except (OSError, RuntimeError) as error:
                good = report(label + ": start", str(error))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
