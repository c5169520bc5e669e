#!/usr/bin/python3
"""One session of Debian's etcdctl (3.4, ETCDCTL_API=3), on etcd and on etched:
exit codes and all that it prints must be the same, but for ids, ports, sizes
and times.

    tests/compat/etcdctl_session.py [--only WORD] [--slow] [--verbose]
                                    [--reference-twice]

The two begin with the same revision, so these are compared as they are.
`--slow` adds `check perf` and `check datascale` (over a minute).
"""
import argparse
import os
import re
import signal
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
# pylint: disable=wrong-import-position
import v3_wire

ETCDCTL = "/usr/bin/etcdctl"
SECONDS = 20
BEGAN = time.monotonic()
FORMATS = ("simple", "json", "fields", "table", "protobuf")
STEPS = []


def step(function):
    STEPS.append(function)
    return function


class Session:
    """etcdctl with one server; what it printed, with ids taken out."""

    def __init__(self, server, folder, messages):
        self.server = server
        self.folder = folder
        self.lines = []
        code, text, body = server.call("/etcdserverpb.Maintenance/Status", b"")
        if code != "OK":
            raise SystemExit(f"{server.name}: status: {code} {text}")
        header = messages.StatusResponse.FromString(body).header
        self.names = {
            f"{header.cluster_id}": "CLUSTER", f"{header.member_id}": "MEMBER",
            f"{header.cluster_id:x}": "CLUSTER",
            f"{header.member_id:x}": "MEMBER",
            folder: "FOLDER", str(server.port): "PORT",
            server.peer.rsplit(":", 1)[1]: "PEER"}
        self.raw_ids = [encode(2 ** 64 + number if number < 0 else number)
                        for number in (header.cluster_id, header.member_id)]
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": folder, "ETCDCTL_API": "3",
            "LC_ALL": "C.UTF-8"}

    def start(self, *words, stdin=None):
        if not any(word.startswith("--endpoints") for word in words):
            words = ("--endpoints=" + self.server.url,) + words
        return subprocess.Popen(
            [ETCDCTL] + list(words), env=self.environment,
            cwd=self.folder, stdin=stdin or subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run(self, *words, text=None, seconds=SECONDS, show=True):
        """One command line to its end; returns what it printed."""
        child = self.start(*words, stdin=subprocess.PIPE if text is not None
                           else None)
        try:
            out, err = child.communicate(
                text.encode() if text is not None else None, seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            out, err = child.communicate()
            err += b"(not done in time)"
        if show:
            self.note(words, child.returncode, out, err)
        return out.decode("utf-8", "replace")

    def note(self, words, code, out, err):
        self.lines.append(self.mask("$ etcdctl " + " ".join(words)))
        self.lines.append(f"exit {code}")
        binary = "protobuf" in words
        for name, data in (("out", out), ("err", err)):
            if binary and name == "out":
                text = self.mask_binary(data)
            else:
                text = self.mask(data.decode("utf-8", "backslashreplace"))
            self.lines += [f"{name} {line}" for line in text.splitlines()]

    # ---- what is different in each run --------------------------------------

    def mask(self, text):
        for name, shown in sorted(self.names.items(),
                                  key=lambda item: -len(item[0])):
            text = re.sub(rf"(?<![\w.]){re.escape(name)}(?![\w])", shown, text)
        text = re.sub(r'("(?:raft_?[tT]erm|raft_?(?:[aA]pplied_?)?[iI]ndex|'
                      r'RaftTerm|RaftIndex|RaftAppliedIndex|'
                      r'dbSize(?:InUse)?)" ?: ?)\d+', r"\1N", text)
        text = re.sub(r'("(?:dbSize(?:InUse)?|DBSize(?:InUse)?)" ?: ?)"?[\d.]+'
                      r'( [kM]?B)?"?', r"\1N", text)
        text = re.sub(r'("(?:ID|leaseid|lease|LeaseID|Lease|grantedID|'
                      r'member_id|id)" ?: ?)\d{15,}', r"\1ID", text)
        text = re.sub(r"(?<![\w])[0-9a-f]{12,16}(?![\w])", "HEX16", text)
        text = re.sub(r"endpoint://client-[-0-9a-f]+", "endpoint://CLIENT",
                      text)
        text = re.sub(r"0x[0-9a-f]{6,}\??|goroutine \d+", "0xN", text)
        # Seconds that a lease still has.
        text = re.sub(r"(remaining\(|\"[tT][tT][lL]\" ?: ?)\d+", r"\1N", text)
        text = re.sub(r"took = [\d.]+[mµn]?s|took [\d.]+[mµn]?s", "took T",
                      text)
        text = re.sub(r'"ts":"[^"]*"|"ts":[\d.]+', '"ts":T', text)
        text = re.sub(r"\d+-\d+-\d+ \d+:\d+:\d+\.\d+", "TIME", text)
        text = re.sub(r'"took":"[^"]*"', '"took":T', text)
        text = re.sub(r"go:\d+", "go:N", text)
        text = re.sub(r"[\d.]+[mµn]s", "T", text)
        # A table is as wide as what stands in it.
        text = re.sub(r"-{2,}", "--", text)
        return re.sub(r" {2,}", " ", text)

    def mask_binary(self, data):
        for number in self.raw_ids:
            data = data.replace(number, b"ID")
        # The header's raft term, which ends it.
        data = re.sub(rb"(?s)(\x10ID(?:\x18[\x80-\xff]*.)?)\x20[\x01-\x7f]",
                      rb"\1 T", data)
        # Ports, and the lengths that they change, which stand before them.
        data = re.sub(rb"([\x1a\"]).(http://127.0.0.1:)\d+", rb"\1L\2N", data)
        data = re.sub(rb"\x12.(?=\x08ID\x12\x06compat)", b"L", data)
        data = re.sub(rb"^\n.(?=\x08ID\x10ID)", b"L", data)
        return repr(data)

    # ---- commands that go on until they are told to end ---------------------

    def background(self, *words, stdin=None):
        return Background(self, words, stdin)


def encode(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


class Background:
    def __init__(self, session, words, stdin):
        self.session = session
        self.words = words
        self.child = session.start(*words, stdin=stdin)
        self.out = b""
        self.changed = threading.Condition()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        while True:
            data = os.read(self.child.stdout.fileno(), 65536)
            with self.changed:
                self.out += data
                self.changed.notify_all()
            if not data:
                return

    def say(self, text):
        self.child.stdin.write(text.encode())
        self.child.stdin.flush()

    def wait(self, pattern, count=1):
        """Until it has printed this so often."""
        end = time.monotonic() + SECONDS
        with self.changed:
            while len(re.findall(pattern, self.out)) < count:
                left = end - time.monotonic()
                if left <= 0 or not self.reader.is_alive():
                    self.session.lines.append(
                        f"never printed {count} times {pattern!r}")
                    return
                self.changed.wait(min(left, 0.2))

    def end(self, number=signal.SIGINT, seconds=SECONDS):
        """Its exit code after a signal is of no interest."""
        if number is not None and self.child.poll() is None:
            # What it is about to print.
            time.sleep(0.15)
            self.child.send_signal(number)
        try:
            code = self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.child.kill()
            code = self.child.wait()
            self.session.lines.append("did not end when told to")
        self.reader.join(SECONDS)
        err = self.child.stderr.read()
        for pipe in (self.child.stdin, self.child.stdout, self.child.stderr):
            if pipe:
                pipe.close()
        self.session.note(self.words, code if number is None else "-",
                          self.out, err if number is None else b"")


def wait_for_watch():
    """etcdctl does not say when its watch is there; it is then soon."""
    time.sleep(0.3)


# ---- keys and values --------------------------------------------------------

@step
def put(s):
    for words in (["put", "a", "1"], ["put", "a", "2", "--prev-kv"],
                  ["put", "a", "--ignore-value"], ["put", "none",
                                                   "--ignore-value"],
                  ["put", "a", "x", "--ignore-value"], ["put", "", "x"],
                  ["put", "a"], ["put"], ["put", "b", "--", "-dash"],
                  ["put", "a", "x", "--lease=4711"],
                  ["put", "a", "x", "--lease=zz"],
                  ["put", "a", "x", "--ignore-lease"]):
        s.run(*words)
    s.run("put", "from/stdin", text="a value\nof lines\n")
    s.run("put", "snow\u2603", "\u2603 <html> \"quoted\" \\ \t end")
    for shown in FORMATS:
        s.run("put", "form", shown, "--prev-kv", "-w", shown)
        s.run("put", "form", shown, "--prev-kv", "-w", shown, "--hex")
    s.run("put", "form", "x", "-w", "nothing")


@step
def get(s):
    for name in ("g/c", "g/a", "g/b", "g/a1", "h"):
        s.run("put", name, "of " + name, show=False)
    s.run("put", "g/b", "again", show=False)
    for words in (["g/a"], ["none"], ["g/", "--prefix"], ["g/a", "g/b"],
                  ["g/", "--prefix", "--limit=2"],
                  ["g/", "--prefix", "--keys-only"],
                  ["g/a", "--print-value-only"], ["g/b", "--from-key"],
                  ["", "--prefix", "--keys-only"], ["", "--from-key",
                                                    "--keys-only"],
                  ["g/a", "--consistency=s"], ["g/a", "--consistency=x"],
                  ["g/b", "--rev=12345678"], ["g/b", "--rev=1"],
                  ["g/", "--prefix", "--from-key"], [], ["a", "b", "c"],
                  [""], ["g/a", "--hex"], ["g/", "--prefix", "--hex"],
                  ["g/", "--prefix", "--order=sideways"],
                  ["g/", "--prefix", "--sort-by=size"]):
        s.run("get", *words)
    for order in ("ASCEND", "DESCEND"):
        for by in ("KEY", "CREATE", "MODIFY", "VALUE", "VERSION"):
            s.run("get", "g/", "--prefix", "--order", order, "--sort-by", by)
    for shown in FORMATS:
        s.run("get", "g/", "--prefix", "-w", shown)
        s.run("get", "g/", "--prefix", "--limit=1", "-w", shown, "--hex")
        s.run("get", "none", "-w", shown)


@step
def delete(s):
    for at in range(8):
        s.run("put", f"d/{at}", f"{at}", show=False)
    for words in (["d/0"], ["d/0"], ["d/1", "--prev-kv"], ["d/2", "d/4"],
                  ["d/", "--prefix", "--prev-kv"], ["d/", "--prefix"], [],
                  [""], ["zz", "--from-key"]):
        s.run("del", *words)
    for shown in FORMATS:
        s.run("put", "d/x", "1", show=False)
        s.run("del", "d/x", "--prev-kv", "-w", shown)


# ---- transactions -----------------------------------------------------------

@step
def txn(s):
    s.run("put", "t", "1", show=False)
    texts = (
        'value("t") = "1"\n\nput t 2\nget t\n\nput t 3\n\n',
        'value("t") = "1"\n\nput t 2\nget t\n\nput t 3\ndel none\n\n',
        '\nget t\n\n\n', '\n\n\n',
        'version("t") > "0"\nmod("t") > "1"\ncreate("none") = "0"\n\n'
        'put t2 "two words"\nget t --prefix\ndel t --prefix --prev-kv\n\n\n',
        'lease("t2") = "0"\n\nget t2\n\nget none\n\n',
        'value("t") ! "1"\n\nget t\n\n\n',
        '\nput t 1\nput t 2\n\n\n', '\nput t 1\ndel t\n\n\n',
        'nonsense\n\nget t\n\n\n', '\nnonsense\n\n\n', '')
    for text in texts:
        s.run("txn", text=text)
        s.run("txn", "-i", text=text)
    for shown in FORMATS:
        s.run("txn", "-w", shown, text=texts[0])
        s.run("txn", "-w", shown, text='\nput t3 1\nput t4 --prev-kv 1\n'
              'get t3\nget t3 --hex\n\n\n')
    s.run("get", "t", "--prefix")


# ---- watches ----------------------------------------------------------------

@step
def watch(s):
    watching = [s.background("watch", "w"),
                s.background("watch", "w", "--prefix", "--prev-kv"),
                s.background("watch", "w", "x", "-w", "json"),
                s.background("watch", "w", "--prefix", "-w", "fields"),
                s.background("watch", "w", "--prefix", "--hex")]
    wait_for_watch()
    s.run("put", "w", "1")
    s.run("put", "w/a", "1")
    s.run("put", "w", "2")
    s.run("del", "w", "--prefix")
    for one, pattern in zip(watching, (
            rb"DELETE", rb"DELETE\nw/a", rb'"type":1', rb"DELETE",
            rb"DELETE")):
        one.wait(pattern, 1)
        one.end()


@step
def watch_the_past(s):
    s.run("put", "past", "1")
    begin = re.search(r'"revision":(\d+)', s.run(
        "put", "past", "2", "-w", "json")).group(1)
    s.run("put", "past", "3")
    s.run("del", "past")
    for words in (["past", "--rev=" + begin], ["past", "--prefix",
                                               "--prev-kv", "--rev=" + begin]):
        one = s.background("watch", *words)
        one.wait(rb"DELETE")
        one.end()
    s.run("watch")
    s.run("watch", "--rev=x", "a")


@step
def watch_runs_a_command(s):
    one = s.background("watch", "run", "--", "sh", "-c",
                       "env | grep ETCD_WATCH_ | sort; echo done")
    wait_for_watch()
    s.run("put", "run", "1 2")
    one.wait(rb"(?m)^done$")
    s.run("del", "run")
    one.wait(rb"(?m)^done$", 2)
    one.end()


@step
def watch_interactively(s):
    one = s.background("watch", "-i", stdin=subprocess.PIPE)
    one.say("watch i\n")
    one.say("watch --prefix j\n")
    one.say("watch k -- echo was put\n")
    one.say("nonsense\n")
    one.say("progress\n")
    one.wait(rb"progress notify")
    wait_for_watch()
    for key, count in (("i", 1), ("j/a", 2), ("k", 3)):
        s.run("put", key, "1")
        one.wait(rb"(?m)^PUT", count)
    one.wait(rb"was put")
    one.end()


# ---- leases -----------------------------------------------------------------

def granted(s, *words):
    out = s.run("lease", "grant", *words)
    found = re.search(r"lease ([0-9a-f]+) granted", out)
    return found.group(1) if found else "0"


@step
def leases(s):
    lease = granted(s, "1000")
    s.run("put", "l/a", "1", "--lease=" + lease)
    s.run("put", "l/b", "1", "--lease=" + lease)
    s.run("put", "l/a", "2", "--ignore-lease")
    for words in (["timetolive", lease], ["timetolive", lease, "--keys"],
                  ["list"], ["keep-alive", "--once", lease],
                  ["keep-alive", "--once", "4711"], ["timetolive", "4711"],
                  ["timetolive", "zz"], ["revoke", "zz"], ["revoke", "4711"],
                  ["grant", "x"], ["grant"], ["grant", "10000000000"],
                  ["revoke"], ["keep-alive"]):
        one_line = s.run("lease", *words, show=words[-1] != "--keys")
        if words[-1] == "--keys":
            # Its keys stand in no order.
            s.lines += sorted(re.findall(r"l/\w", one_line))
    alive = s.background("lease", "keep-alive", lease)
    alive.wait(rb"keepalived")
    alive.end()
    s.run("lease", "revoke", lease)
    s.run("get", "l/", "--prefix")
    for shown in FORMATS:
        lease = granted(s, "500", "-w", "simple")
        for words in (["timetolive", lease], ["list"],
                      ["keep-alive", "--once", lease], ["revoke", lease]):
            if shown != "protobuf":
                s.run("lease", *words, "-w", shown)


# ---- locks, elections -------------------------------------------------------

@step
def lock(s):
    s.run("lock", "one", "echo", "is held")
    s.run("lock", "one", "--ttl=20", "false")
    s.run("lock", "one", "sh", "-c", "env | grep ETCD_LOCK_ | sort | "
          "sed 's/REV=.*/REV=N/'")
    s.run("lock")
    first = s.background("lock", "two")
    first.wait(rb"two/")
    second = s.background("lock", "two", "echo", "second")
    time.sleep(0.3)
    s.lines.append(f"second waits: {second.out == b''}")
    s.run("get", "two", "--prefix", "--keys-only")
    s.run("get", "two", "--prefix", "--count-only")
    first.end()
    second.wait(rb"second")
    second.end(None)
    s.run("get", "two", "--prefix", "--keys-only")


@step
def elect(s):
    listener = s.background("elect", "-l", "house")
    wait_for_watch()
    first = s.background("elect", "house", "me")
    first.wait(rb"me")
    listener.wait(rb"me")
    second = s.background("elect", "house", "you")
    time.sleep(0.3)
    s.lines.append(f"second waits: {second.out == b''}")
    # In the order of their leases' random ids.
    s.lines += sorted(s.mask(s.run("get", "house", "--prefix",
                                   show=False)).splitlines())
    first.end()
    second.wait(rb"you")
    listener.wait(rb"you")
    second.end()
    listener.end()
    s.run("elect")
    s.run("elect", "house")
    s.run("get", "house", "--prefix")


# ---- members, endpoints, upkeep ---------------------------------------------

@step
def members(s):
    for shown in FORMATS:
        s.run("member", "list", "-w", shown)
    for words in (["add", "x", "--peer-urls=" + s.server.peer],
                  ["add", "x", "--peer-urls=nothing"], ["add", "x"], ["add"],
                  ["remove", "1234"], ["remove", "zz"], ["remove"],
                  ["update", "1234", "--peer-urls=http://127.0.0.1:1"],
                  ["update", "1234"], ["promote", "1234"], ["promote"]):
        s.run("member", *words)
    out = s.run("member", "add", "x", "--learner",
                "--peer-urls=http://127.0.0.1:1", show=False)
    # In the order of the ids, which are other ones each time.
    s.lines += sorted(re.split(r'[",\n]+', s.mask(out)))
    found = re.search(r"Member\s+([0-9a-f]+) added", out)
    learner = found.group(1) if found else "0"
    for shown in ("simple", "table", "fields"):
        out = s.run("member", "list", "-w", shown, show=False)
        s.lines += sorted(s.mask(out).splitlines())
    s.run("member", "promote", learner)
    s.run("member", "update", learner, "--peer-urls=http://127.0.0.1:2")
    s.run("member", "remove", learner)
    s.run("member", "list")


@step
def endpoints(s):
    def without_version(text):
        return re.sub(r"\b\d+\.\d+\.\d+\b", "VERSION", re.sub(
            r"[\d.]+ [kM]?B", "SIZE", text))

    for shown in ("simple", "json", "fields", "table"):
        for words in (["status"], ["status", "--cluster"]):
            text = s.run("endpoint", *words, "-w", shown, show=False)
            text = re.sub(r"(true|false)((?:,| \|) *(?:true|false))"
                          r"((?:,| \|) *)\d+((?:,| \|) *)\d+"
                          r"((?:,| \|) *)\d+",
                          r"\1\2\3N\4N\5N", text)
            s.lines += s.mask(without_version(text)).splitlines()
    for words in (["health"], ["health", "--cluster"]):
        for shown in ("simple", "json", "table"):
            s.run("endpoint", *words, "-w", shown)


@step
def hashes(s):
    """Of a store without what has a lease, whose number is in it."""
    s.run("del", "", "--from-key", show=False)
    revision = re.search(r'"revision":(\d+)', s.run(
        "put", "hash", "1", "-w", "json")).group(1)
    s.run("compaction", revision, "--physical")
    s.run("put", "hash", "2")
    s.run("put", "hash2", "2")
    s.run("del", "hash")
    for words in (["hashkv"], ["hashkv", "--rev=1"], ["hashkv", "--cluster"],
                  ["hashkv", "--rev=" + revision],
                  ["hashkv", "--rev=123456789"]):
        for shown in ("simple", "json", "fields", "table"):
            s.run("endpoint", *words, "-w", shown)


@step
def upkeep(s):
    for words in (["alarm", "list"], ["alarm", "disarm"], ["defrag"],
                  ["move-leader", "1234"], ["move-leader"],
                  ["version"], ["defrag", "--cluster"],
                  ["nothing"], ["--help"]):
        s.run(*words)


@step
def compaction(s):
    revision = int(re.search(r'"revision":(\d+)', s.run(
        "put", "c", "1", "-w", "json")).group(1))
    s.run("put", "c", "2")
    s.run("put", "c", "3")
    for words in ([str(revision)], [str(revision)], [str(revision + 100)],
                  ["x"], [], [str(revision + 1), "--physical"]):
        s.run("compaction", *words)
    s.run("get", "c", f"--rev={revision}")
    s.run("get", "c", f"--rev={revision + 1}")
    s.run("watch", "c", f"--rev={revision}")


@step
def snapshot(s):
    """Saved, looked at, restored by etcd's own tool, and read by an etcd."""
    file = os.path.join(s.folder, "saved.db")
    s.run("snapshot", "save", file, show=False)
    text = s.run("snapshot", "status", file, "-w", "json", show=False)
    s.lines += re.findall(r'"revision":\d+', text) or [text]
    s.run("snapshot", "save", "/nowhere/saved.db", show=False)
    restored = os.path.join(s.folder, "restored")
    s.run("snapshot", "restore", file, "--data-dir", restored, show=False)
    before = s.run("get", "", "--prefix", "-w", "json")
    s.lines.append("restored: " + str(
        kvs(before) == kvs(read_restored(s, restored))))


def kvs(text):
    return re.sub(r'.*"kvs"', "", text)


def read_restored(s, data):
    url, peer = (f"http://127.0.0.1:{v3_wire.free_port()}" for _ in range(2))
    child = subprocess.Popen(
        ["etcd", "--data-dir", data, "--listen-client-urls", url,
         "--advertise-client-urls", url, "--listen-peer-urls", peer,
         "--initial-advertise-peer-urls", peer, "--initial-cluster",
         f"default={peer}", "--log-outputs=/dev/null", "--logger=zap"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            text = s.run("--endpoints=" + url, "get", "", "--prefix",
                         "-w", "json", show=False)
            if text or child.poll() is not None:
                return text
            time.sleep(0.1)
        return ""
    finally:
        child.terminate()
        child.wait(SECONDS)


@step
def mirror(s):
    """Into another prefix of the same server."""
    for at in range(5):
        s.run("put", f"from/{at}", f"{at}", show=False)
    one = s.background("make-mirror", "--prefix=from/", "--dest-prefix=to/",
                       s.server.url)
    wait_until(s, "to/4", "4")
    s.run("put", "from/5", "5")
    s.run("del", "from/0")
    wait_until(s, "to/5", "5")
    wait_until(s, "to/0", "")
    one.end()
    s.run("get", "to/", "--prefix")


def wait_until(s, key, value):
    for _ in range(100):
        if s.run("get", key, "--print-value-only", show=False).strip() == \
                value:
            return
        time.sleep(0.05)
    s.lines.append(f"{key} never was {value!r}")


@step
def flags(s):
    """Of the root command."""
    for words in (["get", "g/a", "--endpoints=" + s.server.url + ",http://"
                   "127.0.0.1:1"],
                  ["get", "g/a", "--command-timeout=3s", "--dial-timeout=3s",
                   "--keepalive-time=2s", "--keepalive-timeout=2s"],
                  ["get", "g/a", "--endpoints", s.server.url.split("//")[1]],
                  ["get", "g/a", "--nothing"]):
        s.run(*words)


def slow_checks(s):
    for words in (["perf", "--load=s"], ["datascale", "--load=s"]):
        out = s.run("check", *words, seconds=150, show=False)
        s.lines += re.findall(r"(?m)^(PASS|FAIL)", out)


# ---- both -------------------------------------------------------------------

def compare(name, theirs, ours, verbose):
    if verbose:
        print("\n".join("# " + line for line in theirs))
        print(f"# at {time.monotonic() - BEGAN:.1f} s")
    if theirs == ours:
        print(f"ok etcdctl: {name} ({len(theirs)} lines)", flush=True)
        return True
    print(f"not ok etcdctl: {name}")
    at = next((at for at, pair in enumerate(zip(theirs, ours))
               if pair[0] != pair[1]), min(len(theirs), len(ours)))
    command = next((line for line in reversed(theirs[:at + 1])
                    if line.startswith("$ ")), "")
    print(f"# {command}")
    for side, lines in (("etcd", theirs), ("etched", ours)):
        for line in lines[at:at + 4]:
            print(f"#   {side:6} {line[:500]}")
    sys.stdout.flush()
    return False


def run_on_both(function, sessions):
    """At once: a session mostly waits."""
    def run(session):
        session.lines = []
        try:
            function(session)
        # Whatever a step raises is what it came to.
        except Exception as error:  # pylint: disable=broad-except
            session.lines.append(f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=run, args=(session,))
               for session in sessions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="")
    parser.add_argument("--slow", action="store_true")
    parser.add_argument("--server", default="etched")
    parser.add_argument("--reference-twice", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    top = v3_wire.scratch_folder()
    servers = []
    failed = 0
    try:
        messages = v3_wire.Messages()
        servers.append(v3_wire.Server("etcd", top))
        servers.append(v3_wire.Server(
            "etcd" if options.reference_twice else options.server, top))
        v3_wire.align(servers, messages)
        sessions = []
        for at, server in enumerate(servers):
            folder = os.path.join(top, f"session{at}")
            os.mkdir(folder)
            sessions.append(Session(server, folder, messages))
        for function in STEPS + ([slow_checks] if options.slow else []):
            name = function.__name__.replace("_", " ")
            if options.only not in name:
                continue
            run_on_both(function, sessions)
            failed += not compare(name, *(session.lines for session in
                                          sessions), options.verbose)
    finally:
        for server in servers:
            server.stop()
        v3_wire.remove(top)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
