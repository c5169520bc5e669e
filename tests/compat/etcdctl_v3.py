#!/usr/bin/env python3
"""One session of v3 command lines with etcd's own etcdctl (3.4) and with ours,
each against a fresh server of its own; stdout, stderr and the exit code of each
must be the same, but for ids, times and sizes.

    tests/compat/etcdctl_v3.py [--server NAME] [--only WORD] [--verbose]

`--server etcd` runs both tools against etcd: the tools are compared, and only
they. `--server etched` runs ours against our server ($ETCHED_BIN/etched), so
that the servers are compared too. Without the flag: etcd, then etched where
that was built. The programs are those of $ETCHED_BIN, by default bin/.

Prints `ok name` or `not ok name: why` for each command line.
"""
import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BIN = os.environ.get("ETCHED_BIN", os.path.join(TOP, "bin"))
THEIRS = "/usr/bin/etcdctl"
SERVERS = {"etcd": "/usr/bin/etcd", "etched": os.path.join(BIN, "etched")}
SECONDS = 20


# ---- the world --------------------------------------------------------------

def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]


class Server:
    """A server of one member with an empty store."""

    def __init__(self, program, folder):
        ports = free_ports(2)
        self.endpoint = "127.0.0.1:%d" % ports[0]
        self.peer = "127.0.0.1:%d" % ports[1]
        client, peer = "http://" + self.endpoint, "http://" + self.peer
        os.makedirs(folder)
        argv = [program, "--name", "n1", "--data-dir", folder + "/data",
                "--listen-client-urls", client,
                "--advertise-client-urls", client,
                "--listen-peer-urls", peer,
                "--initial-advertise-peer-urls", peer,
                "--initial-cluster", "n1=" + peer]
        with open(folder + "/log", "wb") as log:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.ids = {}
        try:
            self.wait_ready()
        except Exception:
            self.stop()
            raise

    def wait_ready(self):
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            done = run_tool(THEIRS, self, ["member", "list", "-w", "json"])
            if done[0] == 0:
                answer = json.loads(done[1])
                self.learn(answer["header"]["cluster_id"], "CLUSTER")
                self.learn(answer["members"][0]["ID"], "MEMBER")
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        raise RuntimeError("the server didn't come up")

    def learn(self, number, name):
        """From now on this number is shown by a name."""
        self.ids["%d" % number] = name
        self.ids["%x" % number] = name

    def mask_header(self, output):
        """The ids and the term of a header in the format protobuf."""
        numbers = [int(word) for word, name in self.ids.items()
                   if name in ("CLUSTER", "MEMBER") and
                   re.fullmatch(r"\d{17,}", word)]
        if len(numbers) < 2:
            return output
        ids = b"\x08" + varint(numbers[0]) + b"\x10" + varint(numbers[1])
        # And the term, which is what it took to elect the only member.
        return re.sub(rb"(\n.)?" + re.escape(ids) +
                      rb"(\x18[\x80-\xff]*[\x00-\x7f])?( [\x00-\x7f])?",
                      rb"IDS\2", output)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def varint(number):
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def environment(more):
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith("ETCDCTL_")}
    return {**kept, "ETCDCTL_API": "3", **more}


def run_tool(tool, server, words, stdin="", env=None):
    """(exit code, stdout, stderr)"""
    argv = [tool] + words
    if not any(word.startswith("--endpoints") for word in words) and \
            "ETCDCTL_ENDPOINTS" not in (env or {}):
        argv = [tool, "--endpoints", server.endpoint] + words
    try:
        done = subprocess.run(argv, input=stdin.encode(), timeout=SECONDS,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=environment(env or {}))
    except subprocess.TimeoutExpired:
        return "hangs", "", ""
    return done.returncode, text(server.mask_header(done.stdout)), text(
        done.stderr)


def text(output):
    return output.decode("utf-8", "backslashreplace")


# ---- what may differ --------------------------------------------------------

def mask_ids(output, server):
    """Ids by names; those that aren't known yet are leases."""
    def name(match):
        word = match.group(0)
        if word in server.ids:
            return server.ids[word]
        if re.fullmatch(r"[0-9]{17,19}", word):
            number = int(word)
        elif re.fullmatch(r"[0-9a-f]{14,16}", word) and \
                not word.startswith("0000"):
            number = int(word, 16)
        else:
            return word
        if "%x" % number not in server.ids:
            count = sum(1 for name in server.ids.values()
                        if name.startswith("LEASE"))
            server.learn(number, "LEASE%d" % (count // 2 + 1))
        return server.ids["%x" % number]
    return re.sub(r"\b[0-9a-f]{12,20}\b", name, output)


def sort_members(match):
    return " ".join(sorted(match.group(1).split(",")))


MASKS = [
    (r'"(raft_term|raftTerm|raftIndex|raftAppliedIndex|dbSize|dbSizeInUse|hash'
     r'|compact_revision)":-?\d+', r'"\1":N'),
    (r'"(RaftTerm|DBSize|RaftIndex|RaftAppliedIndex|Hash)" : \d+', r'"\1" : N'),
    (r'"(version|Version)"( ?: ?)"\d[\d.a-z-]+"', r'"\1"\2"V"'),
    # Of newer servers.
    (r',"(storageVersion|dbSizeQuota|hash_revision)":("[^"]*"|\d+)', ""),
    (r',"downgradeInfo":{[^}]*}', ""),
    (r"took = \S+", "took = T"),
    (r'"took":"[^"]+"', '"took":"T"'),
    (r'"Took" : \S+', '"Took" : T'),
    (r"remaining\(\d+s\)", "remaining(N)"),
    (r'"ttl":\d+', '"ttl":N'),
    (r"(?m)^((?:http://)?ENDPOINT, MEMBER), .*", r"\1, ..."),
    (r"(?m)^(ENDPOINT, )\d+$", r"\1HASH"),
    (r'ETCD_INITIAL_CLUSTER="(.*)"', sort_members),
    (r"(?m)^\S+ version: .*\nAPI version: .*$", "VERSION"),
]


def mask_table(output):
    """Boxes are as wide as what is in them: their words only."""
    if not output.startswith("+"):
        return output
    lines = [line for line in output.split("\n") if not line.startswith("+")]
    rows = ["|".join(cell.strip() for cell in line.split("|"))
            for line in lines]
    return re.sub(r"(?m)(ENDPOINT\|)(true|MEMBER|\d+).*", r"\1...",
                  "\n".join(rows))


def mask(output, server):
    output = output.replace(server.endpoint, "ENDPOINT")
    output = output.replace(server.peer, "PEER")
    output = mask_ids(output, server)
    for pattern, to in MASKS:
        output = re.sub(pattern, to, output)
    output = re.sub(r" +(CLUSTER|MEMBER|NEW)", r" \1", output)
    return mask_table(output)


def mask_errors(output, server, is_usage):
    """Without etcd's client's log, and what ours says of connections. Of a bad
    command line what is wrong counts, not the help that is shown."""
    lines = []
    for line in mask(output, server).split("\n"):
        line = re.sub(r"^\d{4}-\d\d-\d\d \S+ [WC] \| pkg/flags: ", "", line)
        if line.startswith(('{"level":', "etcdctl: ")):
            continue
        if is_usage and not line.startswith("Error: "):
            continue
        if is_usage and line in lines:
            continue
        lines.append(line)
    return "\n".join(lines)


# ---- the session ------------------------------------------------------------

class Step:
    """One command line. In its words {L} stands for the last lease, {M} for
    the member, {E} for the endpoint, {DIR} for a directory."""

    def __init__(self, line, stdin="", env=None, usage=False, sort=False,
                 only=None, until=None, then=None, stop=signal.SIGKILL):
        self.words = line if isinstance(line, list) else line.split(" ")
        self.stdin = stdin
        self.env = env or {}
        self.usage = usage  # the command line is bad
        self.sort = sort    # in any order
        self.only = only    # the server that ours is compared on
        # Of what doesn't end: the text after which others follow, those, and
        # the signal it is ended by.
        self.until = until
        self.then = then or []
        self.stop = stop

    @property
    def name(self):
        env = "".join("%s=%s " % pair for pair in sorted(self.env.items()))
        words = " ".join(word if re.fullmatch(r"[\w./:=,{}-]+", word)
                         else repr(word) for word in self.words)
        given = " <<< %r" % self.stdin if self.stdin else ""
        return env + words + given


def quiet(*lines, env=None):
    return [Step(line, env=env) for line in lines]


def usage(*lines):
    return [Step(line, usage=True) for line in lines]


def keys():
    return quiet(
        "put key1 value1", "get key1", "get nothing", "put key1 value2",
        "put --prev-kv key1 value3", "put key1 value4 --prev-kv -w json",
        "put key1 value5 -w fields", "put key1 value6 --prev-kv -w fields",
        "put key1 value7 -w json", "put key2 x", "put key3 y", "put other z",
        "get key1 key3", "get key1 key3 -w json", "get key --prefix",
        "get key --prefix -w fields", "get --prefix key --limit 2",
        "get --prefix key --limit 2 -w json", "get --from-key key3",
        "get --from-key key3 -w json", "get --prefix key --keys-only",
        "get --prefix key --keys-only -w json",
        "get --prefix key --print-value-only",
        "get --prefix --order=DESCEND key", "get --prefix --order=descend key",
        "get --prefix --sort-by=MODIFY key",
        "get --prefix --sort-by=CREATE --order=DESCEND key",
        "get --prefix --sort-by=VERSION key",
        "get --prefix --sort-by=value --order=ascend key",
        "get --prefix --sort-by=KEY --order=ASCEND key",
        "get --consistency=s key1", "get --consistency=l key1",
        "get --hex key1", "get --hex --print-value-only key1",
        "get --rev=2 key1", "get --rev=3 key1 -w json", "get --rev=1 key1",
        "get --rev=-1 key1", "get key1 -w protobuf",
        "get key1 --write-out=json", "-w json get key1", "-wjson get key1",
        "get -w=json key1", "ge key1", "put -w table a b",
        "get key1 -w table", "get key1 -w nothing",
    ) + [
        Step(["get", "", "--prefix", "--keys-only"]),
        Step(["get", "", "--from-key", "--limit=1"]),
        Step(["get", ""]), Step(["put", "", "x"]), Step(["del", ""]),
        Step(["put", "spaces and \"quotes\"", "täxt\n\ttab\x01"]),
        Step("get spaces --prefix -w fields"),
        Step("get spaces --prefix -w json"),
        Step("get spaces --prefix --hex"),
        Step("put fromstdin", stdin="line one\nline two\n"),
        Step("get fromstdin"),
        Step("put -- --dash -5"), Step("get -- --dash"),
        Step("put key4 -- -5"), Step("get key4"),
        Step("put --ignore-value key1"), Step("get key1 -w json"),
        Step("put --ignore-value nokey"),
        Step("put --ignore-lease nokey x"),
    ]


def bad_keys():
    return quiet(
        "get", "get a b --prefix", "get a b --from-key",
        "get a --prefix --from-key", "get a --consistency=x",
        "get a --order=x", "get a --sort-by=x", "get --rev=1000 key1",
        "get key1 -w json --print-value-only", "put", "put nothing",
        "put --ignore-value a b", "put a b --lease=zz", "put a b --lease=12",
        "put a b --lease=1234567890abcdef1", "del", "del a b c",
        "del a b --prefix", "del a b --from-key", "del a --prefix --from-key",
    ) + usage(
        "get --bogus a", "get --limit=x a", "get --limit", "get -x a",
        "get --prefix=maybe a", "get --limit=99999999999999999999 a",
        "nosuch", "--command-timeout=5 get a", "--dial-timeout=x get a",
        "put --=a b c", "get -w", "--hex=2 get a",
    )


def deletes():
    return quiet(
        "put d/1 a", "put d/2 b", "put d/3 c", "put d/4 d", "put d/5 e",
        "del d/1", "del d/1", "del d/2 d/4 --prev-kv",
        "del d/4 -w json --prev-kv", "del d/4 -w json", "put d/4 x",
        "del d/ --prefix -w fields --prev-kv", "put z/1 a", "put z/2 b",
        "del z/2 --from-key", "del --prefix z/",
    )


def transactions():
    def txn(*lines, flags="", usage=False):
        return Step(["txn"] + flags.split(), stdin="\n".join(lines) + "\n",
                    usage=usage)
    return [
        txn('value("key1") = "value7"', "", "put t1 a", "get t1", "del t1",
            "", "put t2 b", "", flags="-i"),
        txn('value("key1") = "value7"', "", "put t1 a", "get key1", "",
            "put t2 b", ""),
        txn('value("key1") = "no"', "", "put t1 a", "", "put t2 'b c'",
            'put "t 3" "\\x41\\u00e4"', "get t --prefix", "del t2 --prev-kv",
            ""),
        txn('mod("key1") > "1"', 'create("key1") < "100"', 'ver("none") = "0"',
            'c("none") = "0"', 'm("key1") != "5"', 'version("key1") > "1"', "",
            "get key1 --keys-only", "", "", flags="-w json"),
        txn('val("key1")  =   "value7"', "", "put t4 x --prev-kv", "", "",
            flags="-w json"),
        txn("", "get key --prefix --limit=1", "del nothing", "put t5 y", "",
            "", flags="-w fields"),
        txn("", "put t5 z", "get t5", "", "", flags="-w protobuf"),
        txn("", "put t6 z", "", "", flags="-w table"),
        txn("", "", ""), txn("", "put t7 a", "put t7 b", "", ""),
        txn("", "p t8 a", "g t8", "d t8", "", ""),
        txn("foo"), txn('foo("k") = "1"'), txn('mod("k") = "x"'),
        txn('mod("k")= "1"'), txn('mod("k") = 1'), txn('mod(k) = "1"'),
        txn('mod("k" = "1"'), txn('mod("k") ='), txn('value("k) = "1"'),
        txn("", "foo bar"), txn("", "put"),
        txn("", "get x --bogus", usage=True),
        txn("", "get"), txn("", "put a b c --ignore-value"),
        txn('value("key1") = "a"'), txn("", "get a --order=x", "", ""),
        Step("txn foo"),
        Step("txn", stdin=""),
    ]


def leases():
    steps = quiet(
        "lease grant", "lease grant x", "lease grant 1 2", "lease grant 300",
        "lease timetolive {L}", "lease timetolive {L} -w json",
        "put leased a --lease={L}", "put leased b --lease={L} -w json",
        "lease timetolive {L} --keys", "lease timetolive {L} --keys -w json",
        "lease timetolive {L} --keys -w fields", "get leased -w json",
        "get leased -w fields", "put leased --ignore-value --ignore-lease",
        "lease keep-alive {L} --once", "lease keep-alive {L} --once -w json",
        "lease keep-alive {L} --once -w fields", "lease list",
        "lease list -w json", "lease list -w fields", "lease list -w table",
        "lease revoke", "lease revoke {L}", "get leased",
        "lease revoke {L}", "lease timetolive {L}",
        "lease timetolive {L} -w json", "lease timetolive {L} -w fields",
        "lease keep-alive {L} --once", "lease keep-alive {L}",
        "lease keep-alive {L} -w json", "lease keep-alive",
        "lease revoke zz", "lease revoke 0x12", "lease timetolive zz",
        "lease timetolive", "lease timetolive 12", "lease keep-alive zz",
        "lease grant 99999999999", "lease grant 400 -w json",
        "lease grant 500 -w fields", "lease grant 500 -w protobuf",
        "lease grant 500 -w table",
    )
    steps += [Step("lease list", sort=True), Step("lease bogus", usage=True),
              Step("lease grant -5", usage=True), Step("lease grant -- -5")]
    steps += [Step("lease grant 3"),
              Step("lease keep-alive {L}", until="keepalived with TTL(3)")]
    return steps


def watches():
    events = [["put", "w1", "a"], ["put", "w1", "b"], ["put", "w2", "c"],
              ["del", "w1"]]
    def watch(line, until, then=events, **more):
        return Step(line, until=until, then=then, **more)
    return [
        watch("watch w1", "DELETE\nw1\n"),
        watch("watch w1 -w json", '"type":1'),
        watch("watch w1 --prev-kv -w json", '"type":1'),
        watch("watch w1 -w fields", '"Type" : DELETE'),
        watch("watch --prefix w --prev-kv", "DELETE\nw1\nb\nw1\n"),
        watch("watch w1 w3", "DELETE\nw1\n"),
        watch("watch w1 --rev=3 -w simple --hex", "\\x77\\x31\n\\x61", []),
        watch(["watch", "w1", "--", "sh", "-c",
               "echo $ETCD_WATCH_EVENT_TYPE $ETCD_WATCH_KEY "
               "$ETCD_WATCH_VALUE"], 'DELETE" "w1'),
        watch(["watch", "--prefix", "w", "--", "echo", "changed"],
              "changed\nDELETE\nw1\n\nchanged"),
        Step(["watch", "w1", "--rev=4", "--", "sh", "-c", "exit 3"]),
        Step(["watch", "w1", "--rev=4", "--", "no-such-program-here"]),
        watch("watch", "DELETE\nw1\n", env={"ETCDCTL_WATCH_KEY": "w1"}),
        watch("watch -- echo x", "DELETE\nw1\n\nx",
              env={"ETCDCTL_WATCH_KEY": "w1",
                   "ETCDCTL_WATCH_RANGE_END": "w9"}),
        Step("watch foo", env={"ETCDCTL_WATCH_KEY": "w1"}),
        Step("watch foo -- echo", env={"ETCDCTL_WATCH_KEY": "w1"}),
        Step("watch", env={"ETCDCTL_WATCH_RANGE_END": "w\"1"}),
        Step("watch"), Step("watch --prefix a b"), Step("watch foo --"),
        Step("watch --rev=1"), Step("watch --rev=x a", usage=True),
        watch("watch -i", "DELETE\nw1\n", stdin="watch w1\n"),
        watch("watch -i", "DELETE\nw2\nc\nw2\n",
              stdin="watch --prefix w --prev-kv\n",
              then=[["put", "w2", "c"], ["del", "w2"]]),
        watch("watch -i", "progress notify: ", [],
              stdin="watch w1\n\x00progress\n"),
        Step("watch -i", stdin="bogus\n\nwatch\nwatch a b --prefix\n"),
        Step("watch -i", stdin="watch --bogus\n"),
        Step("watch -i", stdin="watch foo --\n"),
        Step("watch -i", stdin=""),
    ]


def locks():
    stop = signal.SIGTERM
    return [
        Step(["lock", "l1", "--", "sh", "-c", "echo held; exit 0"]),
        Step("lock l1 echo held"),
        Step(["lock", "l1", "--", "sh", "-c", "exit 3"]),
        Step("lock l1 no-such-program-here"),
        Step(["lock", "l1", "--", "sh", "-c",
              "[ -n \"$ETCD_LOCK_KEY\" ] && [ $ETCD_LOCK_REV -gt 1 ] && "
              "echo good"]),
        Step("lock"), Step("lock l1 --ttl=x", usage=True),
        Step("get --prefix l1/"),
        Step("lock l2", until="l2/", stop=stop),
        Step("lock l3 --ttl=2", until="l3/", stop=stop),
        Step("get --prefix --keys-only l"),
        Step("elect"), Step("elect e1"), Step("elect e1 a b"),
        Step("elect e1 a -l"),
        Step("elect e1 proposal", until="proposal\n", stop=stop),
        Step("elect -l e1", until="me\n", stop=stop,
             then=[["put", "e1/12", "me"]]),
        Step("elect -l e1", until="us\n", stop=stop,
             then=[["put", "e1/12", "us"]]),
        Step("del e1 --prefix"),
    ]


def upkeep():
    return quiet(
        "member list", "member list -w json", "member list -w table",
        "member list -w fields", "member add", "member add n2",
        "member add n2 http://127.0.0.1:1",
        "member remove", "member remove zz", "member remove 12",
        "member update", "member update 12",
        "member update 12 --peer-urls=http://127.0.0.1:1",
        "member update zz --peer-urls=x", "member promote",
        "member promote zz", "member promote 12", "member promote {M}",
        "member update {M} --peer-urls=http://{P}",
        "endpoint health", "endpoint health -w json",
        "endpoint health -w fields", "endpoint health -w table",
        "endpoint health -w protobuf", "endpoint health --cluster",
        "endpoint status", "endpoint status -w json",
        "endpoint status -w table", "endpoint status -w fields",
        "endpoint status --cluster", "endpoint hashkv",
        "endpoint hashkv -w json", "endpoint hashkv -w fields",
        "endpoint hashkv -w table", "endpoint hashkv --rev=100000",
        "alarm list", "alarm disarm", "alarm list x", "alarm disarm x",
        "defrag", "defrag --cluster", "move-leader", "move-leader zz",
        "move-leader 12", "compaction", "compaction x", "compaction 5",
        "compaction 5", "compaction 100000", "compaction 6 --physical",
        "compaction 99999999999999999999", "get key1 --rev=3",
        "watch key1 --rev=2", "watch key1 --rev=2 -w json",
        "snapshot save", "snapshot save {DIR}/snapshot.db",
        "snapshot save {DIR}/none/snapshot.db", "version",
    ) + [Step("alarm list -w json", only="etcd")] + usage(
        "alarm", "endpoint", "member bogus",
    )


def endpoints():
    none = "--endpoints=127.0.0.1:1 --dial-timeout=200ms --command-timeout=500ms "
    return quiet(
        none + "get a", none + "put a b", none + "del a",
        none + "lease grant 5", none + "lease revoke 5",
        none + "member list", none + "endpoint status",
        none + "endpoint health", none + "endpoint hashkv", none + "defrag",
        none + "defrag --cluster", none + "move-leader 12",
        none + "compaction 5", none + "alarm list",
        none + "snapshot save {DIR}/x.db",
        "--endpoints= get key1", "--endpoints=http://{E} get key1",
        "--endpoints=http://{E}/ get key1",
        "--endpoints=127.0.0.1:1,{E} get key1",
        "--endpoints=127.0.0.1:1 --endpoints={E} get key1",
        "--endpoints={E},{E} snapshot save {DIR}/x.db",
        "--endpoints={E} --user=root:x get key1",
        "--endpoints={E} --cert= get key1",
        "--endpoints={E} --keepalive-time=1s --keepalive-timeout=1s get key1",
    ) + [
        Step("get key1", env={"ETCDCTL_ENDPOINTS": "{E}",
                              "ETCDCTL_WRITE_OUT": "json"}),
        Step("get key1", env={"ETCDCTL_HEX": "true"}),
        Step("get key1", env={"ETCDCTL_BOGUS": "1"}),
        Step("get key1", env={"ETCDCTL_COMMAND_TIMEOUT": "x"}),
        Step("get key1 -w json", env={"ETCDCTL_WRITE_OUT": "json"}),
        Step("endpoint health", env={"ETCDCTL_CLUSTER": "true"}),
    ]


def members():
    """Last: with members that aren't there nothing goes on."""
    def members(line):
        return Step(line, sort=True)
    return [
        members("member add n2 --peer-urls=http://127.0.0.1:1 --learner"),
        members("member list"), members("member list -w fields"),
    ] + quiet(
        "member add n3 --peer-urls=http://127.0.0.1:2 --learner",
        "member add n3 --peer-urls=bogus",
        "member add n3 --peer-urls=http://127.0.0.1",
        "member add n3 --peer-urls=http://127.0.0.1:1/path",
        "member update {N} --peer-urls=x://127.0.0.1:1", "member promote {N}",
        "member add n3 --peer-urls=http://127.0.0.1:3 -w fields",
    ) + [
        # etcd makes the same id of the same URL, and says that it is there.
        Step("member add n3 --peer-urls=http://127.0.0.1:1", only="etcd"),
        members("member list"), Step("member remove {M}"),
    ]


SESSION = [
    ("keys", keys), ("bad", bad_keys), ("del", deletes),
    ("txn", transactions), ("lease", leases), ("watch", watches),
    ("lock", locks), ("upkeep", upkeep), ("endpoints", endpoints),
    ("members", members),
]


# ---- running it -------------------------------------------------------------

class Side:
    """One tool, one server, one session."""

    def __init__(self, tool, program, folder):
        self.tool = tool
        self.folder = folder
        self.server = Server(program, folder)
        self.lease = "0"
        self.new_member = "0"

    def fill(self, text):
        for name, value in (("{L}", self.lease), ("{N}", self.new_member),
                            ("{E}", self.server.endpoint),
                            ("{P}", self.server.peer), ("{DIR}", self.folder),
                            ("{M}", self.member())):
            text = text.replace(name, value)
        return text

    def member(self):
        return [key for key, name in self.server.ids.items()
                if name == "MEMBER"][1]

    def learn(self, output):
        """Ids that later steps name."""
        found = re.search(r"lease ([0-9a-f]{16}) granted with TTL\(\d+s\)$",
                          output, re.M)
        if found:
            self.lease = found.group(1)
        found = re.search(r"Member +([0-9a-f]+) added", output)
        if found:
            self.new_member = found.group(1)
            self.server.learn(int(self.new_member, 16), "NEW")

    def run(self, step):
        words = [self.fill(word) for word in step.words]
        env = {name: self.fill(value) for name, value in step.env.items()}
        if step.until is None:
            code, out, err = run_tool(self.tool, self.server, words,
                                      step.stdin, env)
        else:
            code, out, err = self.run_endless(step, words, env)
        self.learn(out)
        folder = lambda text: text.replace(self.folder, "DIR")
        out = mask(folder(out), self.server)
        err = mask_errors(folder(err), self.server, step.usage)
        if step.usage:
            out = ""
        if step.sort:
            out = "\n".join(sorted(out.split("\n")))
        return code, out, err

    def run_endless(self, step, words, env):
        """A command that waits for events: `then` makes them, and it is
        stopped once it has said what is expected."""
        argv = [self.tool, "--endpoints", self.server.endpoint] + words
        out_path, err_path = self.folder + "/out", self.folder + "/err"
        with open(out_path, "wb") as out, open(err_path, "wb") as err:
            process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=out,
                                       stderr=err, env=environment(env))
        # A NUL is a pause: what was said before has its effect first.
        for part in step.stdin.split("\x00"):
            process.stdin.write(part.encode())
            process.stdin.flush()
            time.sleep(0.4)
        for line in step.then:
            run_tool(THEIRS, self.server, line)
        until = time.monotonic() + SECONDS
        said = ""
        while time.monotonic() < until and process.poll() is None:
            with open(out_path, "rb") as file:
                said = text(file.read())
            if step.until in said:
                break
            time.sleep(0.02)
        process.send_signal(step.stop)
        code = process.wait(SECONDS)
        process.stdin.close()
        with open(err_path, "rb") as file:
            errors = text(file.read())
        if step.stop == signal.SIGKILL:
            said = said[:said.find(step.until) + len(step.until)]
        return code, said, errors


def compare(step, theirs, ours):
    """Why they differ, or None."""
    for what, left, right in zip(("exit code", "stdout", "stderr"), theirs,
                                 ours):
        if left != right:
            return "%s: etcd's %r, ours %r" % (what, left, right)
    return None


def run_session(server, only, verbose):
    program = SERVERS[server]
    failed = count = 0
    folder = tempfile.mkdtemp(prefix="etched-etcdctl-")
    sides = []
    try:
        sides.append(Side(THEIRS, SERVERS["etcd"], folder + "/theirs"))
        sides.append(Side(os.path.join(BIN, "etcdctl"), program,
                          folder + "/ours"))
        for family, steps in SESSION:
            for step in steps():
                if only and only not in family and only not in step.name:
                    continue
                if step.only not in (None, server):
                    continue
                theirs, ours = [side.run(step) for side in sides]
                why = compare(step, theirs, ours)
                count += 1
                failed += why is not None
                name = "%s: %s" % (server, step.name)
                print("ok %s" % name if why is None
                      else "not ok %s: %s" % (name, why), flush=True)
                if verbose:
                    print("   ", theirs)
    finally:
        for side in sides:
            side.server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    print("%s: %d of %d command lines are the same" % (server, count - failed,
                                                       count))
    return failed


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--server", choices=sorted(SERVERS))
    parser.add_argument("--only", metavar="WORD")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    servers = [options.server] if options.server else [
        name for name in ("etcd", "etched") if os.path.exists(SERVERS[name])]
    return sum(run_session(server, options.only, options.verbose)
               for server in servers) != 0


if __name__ == "__main__":
    sys.exit(main())
