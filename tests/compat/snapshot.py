#!/usr/bin/env python3
"""Snapshots from Debian's etcd into etched and from etched into etcd, with each
one's own tool, and what the servers then have compared: keys, values, every
revision, versions, leases, the compaction, HashKV.

    tests/compat/snapshot.py [--keys 3000] [--seed 1] [--keep]
"""
import argparse
import base64
import http.client
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time

HOST = "127.0.0.1"
TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BIN = os.environ.get("ETCHED_BIN") or os.path.join(TOP, "bin")
ETCD, ETCDCTL = "/usr/bin/etcd", "/usr/bin/etcdctl"
ETCHED, ETCHCTL = os.path.join(BIN, "etched"), os.path.join(BIN, "etchctl")
START_SECONDS = 20
ALL = {"key": "AA==", "range_end": "AA=="}


class Failure(Exception):
    """What was compared is not the same."""


def check(condition, text):
    if not condition:
        raise Failure(text)


def same(what, one, other):
    if one == other:
        return
    if isinstance(one, dict):
        for name in sorted(set(one) | set(other), key=str):
            if one.get(name) != other.get(name):
                raise Failure(f"{what}: {name}: {str(one.get(name))[:300]} "
                              f"and {str(other.get(name))[:300]}")
    raise Failure(f"{what}: {str(one)[:300]} and {str(other)[:300]}")


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind((HOST, 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def b64(text):
    data = text if isinstance(text, bytes) else text.encode()
    return base64.b64encode(data).decode()


# ---- tools -----------------------------------------------------------------

def clean_environment():
    env = {name: value for name, value in os.environ.items()
           if not name.startswith(("ETCD", "ETCHED"))}
    return dict(env, ETCDCTL_API="3")


def tool(program, *words):
    return subprocess.run([program, *words], env=clean_environment(),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=120, check=False)


def tool_ok(program, *words):
    done = tool(program, *words)
    check(done.returncode == 0, f"{os.path.basename(program)} "
          f"{' '.join(words)}: {done.stderr[-600:]}")
    return done.stdout


# ---- servers ---------------------------------------------------------------

class Server:
    """One member on a data directory, spoken to in JSON (the v3 gateway)."""

    def __init__(self, world, program, folder, member=None, words=()):
        self.program = program
        self.folder = folder
        if member is None:
            member = Member("default", *free_ports(2))
        self.member = member
        self.endpoint = f"{HOST}:{member.client}"
        self.url = "http://" + self.endpoint
        self.log = open(os.path.join(world.folder, f"{member.client}.log"),
                        "ab")
        self.process = subprocess.Popen(
            [program, "--name", member.name, "--data-dir", folder,
             "--listen-client-urls", self.url,
             "--advertise-client-urls", self.url,
             "--listen-peer-urls", member.peer_url,
             "--initial-advertise-peer-urls", member.peer_url,
             *words], env=clean_environment(), stdin=subprocess.DEVNULL,
            stdout=self.log, stderr=self.log)
        world.servers.append(self)
        self.http = None

    def wait(self):
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            check(self.process.poll() is None,
                  f"{self.program} ended by itself; see {self.log.name}")
            try:
                self.ask("/kv/range", {"key": b64("x")})
                return self
            except (OSError, http.client.HTTPException, Failure):
                self.http = None
                time.sleep(0.05)
        raise Failure(f"{self.program} does not answer; see {self.log.name}")

    def stop(self):
        if self.http is not None:
            self.http.close()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()

    def ask_raw(self, path, request):
        if self.http is None:
            self.http = http.client.HTTPConnection(HOST, self.member.client,
                                                   timeout=30)
        self.http.request("POST", "/v3" + path, json.dumps(request))
        answer = self.http.getresponse()
        return answer.status, json.loads(answer.read())

    def ask(self, path, request):
        status, answer = self.ask_raw(path, request)
        if status != 200:
            raise Failure(f"{path}: {status} {answer}")
        return answer

    def put(self, key, value, lease=0):
        return self.ask("/kv/put", {"key": b64(key), "value": b64(value),
                                    "lease": lease})

    def revision(self):
        answer = self.ask("/kv/range", {"key": b64("x")})
        return int(answer["header"]["revision"])

    def save(self, path):
        tool_ok(ETCDCTL, "--endpoints", self.endpoint, "snapshot", "save", path)
        return path


class Member:
    """A name and two ports."""

    def __init__(self, name, client, peer):
        self.name, self.client, self.peer = name, client, peer
        self.peer_url = f"http://{HOST}:{peer}"


class World:
    """A folder, and the servers in it."""

    def __init__(self, options):
        self.options = options
        self.folder = tempfile.mkdtemp(prefix="etched-snapshot-")
        self.servers = []
        self.count = 0

    def path(self, word):
        self.count += 1
        return os.path.join(self.folder, f"{self.count}-{word}")

    def new(self, program):
        member = Member("default", *free_ports(2))
        return Server(self, program, self.path("data"), member,
                      ["--initial-cluster",
                       f"default={member.peer_url}"]).wait()

    def restore(self, ctl, program, file, *words):
        member = Member("default", *free_ports(2))
        folder = self.path("data")
        tool_ok(ctl, "snapshot", "restore", file, "--data-dir", folder,
                "--name", "default", "--initial-cluster",
                f"default={member.peer_url}",
                "--initial-advertise-peer-urls", member.peer_url, *words)
        return Server(self, program, folder, member).wait()

    def close(self):
        for server in self.servers:
            server.stop()
        if self.options.keep:
            print("kept:", self.folder)
        else:
            shutil.rmtree(self.folder)


# ---- a store with a past ----------------------------------------------------

def random_value(rng):
    size = rng.choice([0, 1, 10, 100, 100, 1000, 5000])
    if rng.random() < 0.005:
        size = rng.choice([4096, 70000, 1000000])
    return rng.randbytes(size)


def random_txn(rng, name, leases):
    """Several changes in one revision."""
    changes = []
    for _ in range(rng.randrange(1, 6)):
        key = name()
        if any(key in one for one, _ in changes):
            continue
        if rng.random() < 0.3:
            changes.append(((key,), {
                "request_delete_range": {"key": b64(key)}}))
        else:
            changes.append(((key,), {
                "request_put": {"key": b64(key),
                                "value": b64(random_value(rng)),
                                "lease": rng.choice(leases)}}))
    return {"success": [change for _, change in changes]}


def fill(server, options):
    """Puts, deletes, txns and leases, with a compaction on the way."""
    rng = random.Random(options.seed)
    leases = [0, 0, 0, 0]
    for number in range(5):
        server.ask("/lease/grant", {"ID": 7000 + number,
                                    "TTL": 100000 + number})
        leases.append(7000 + number)
    server.ask("/lease/grant", {"ID": 2 ** 62 - 1, "TTL": 500000})

    def name():
        return f"{rng.choice(['/a/b/', '/', 'k', 'dir/'])}" \
               f"{rng.randrange(options.keys // 3)}"

    for step in range(options.keys):
        kind = rng.random()
        if kind < 0.6:
            server.put(name(), random_value(rng), rng.choice(leases))
        elif kind < 0.75:
            server.ask("/kv/deleterange", {"key": b64(name())})
        elif kind < 0.77:
            server.ask("/kv/deleterange", {"key": b64("/a/b/1"),
                                           "range_end": b64("/a/b/12")})
        else:
            server.ask("/kv/txn", random_txn(rng, name, leases))
        if step == options.keys // 2:
            at = server.revision() - 50
            server.ask("/kv/compaction", {"revision": at, "physical": True})
    server.ask("/lease/revoke", {"ID": 7004})


# ---- what a server has ------------------------------------------------------

def kvs_of(answer):
    return [{name: kv.get(name, "0") for name in
             ("key", "value", "create_revision", "mod_revision", "version",
              "lease")} for kv in answer.get("kvs", [])]


def leases_of(server):
    found = {}
    listed = server.ask("/lease/leases", {})
    for lease in listed.get("leases", []):
        told = server.ask("/lease/timetolive", {"ID": lease["ID"],
                                                "keys": True})
        check(int(told["TTL"]) > 0, f"lease {lease['ID']} is over")
        found[lease["ID"]] = (told["grantedTTL"],
                              sorted(told.get("keys", [])))
    return found


def state_of(server):
    answer = server.ask("/kv/range", ALL)
    revision = int(answer["header"]["revision"])
    hashed = json.loads(tool_ok(ETCDCTL, "--endpoints", server.endpoint,
                                "endpoint", "hashkv", "-w", "json"))
    hashed = hashed[0]["HashKV"]
    compacted = int(hashed.get("compact_revision", 0))
    state = {
        "revision": revision, "kvs": kvs_of(answer),
        "leases": leases_of(server), "hash": hashed["hash"],
        "compacted": compacted,
    }
    for at in range(max(compacted, 1), revision, max(1, revision // 40)):
        state[f"at {at}"] = kvs_of(server.ask("/kv/range",
                                              dict(ALL, revision=at)))
    if compacted > 1:
        status, answer = server.ask_raw("/kv/range",
                                        dict(ALL, revision=compacted - 1))
        state["below"] = (status, answer.get("message") or answer["error"])
    return state


def events_of(server, start):
    """All events from a revision on, as the watch tells them."""
    connection = http.client.HTTPConnection(HOST, server.member.client,
                                            timeout=30)
    end = server.revision()
    connection.request("POST", "/v3/watch", json.dumps({
        "create_request": dict(ALL, start_revision=start)}))
    answer = connection.getresponse()
    events = []
    while True:
        line = answer.readline()
        check(line, "a watch ended")
        for event in json.loads(line)["result"].get("events", []):
            kv = event["kv"]
            events.append((event.get("type", "PUT"), kv["key"],
                           kv["mod_revision"], kv.get("value", "")))
        if events and int(events[-1][2]) >= end:
            connection.close()
            return events


def work_on(server, state):
    """It goes on as a store does, and what it wrote stays."""
    before = state["revision"]
    server.put("after/1", b"x" * 9000)
    server.ask("/kv/deleterange", ALL)
    server.put("after/2", "y", 7001)
    check(server.revision() == before + 3, "the revision doesn't go on")
    server.ask("/kv/compaction", {"revision": before + 2, "physical": True})
    server.ask("/lease/revoke", {"ID": 7001})
    left = kvs_of(server.ask("/kv/range", ALL))
    check(left == [], f"a lease left its key: {left}")
    tool_ok(ETCDCTL, "--endpoints", server.endpoint, "defrag")
    check(server.revision() == before + 4, "the revision is lost")


# ---- the stories ------------------------------------------------------------

def compare_status(file):
    for form in ("simple", "json", "table", "fields"):
        words = ("snapshot", "status", file, "-w", form)
        same(f"status, {form}", tool_ok(ETCDCTL, *words),
             tool_ok(ETCHCTL, *words))


def story_from_etcd(world):
    """etcd's snapshot becomes ours, and ours becomes etcd's again."""
    theirs = world.new(ETCD)
    fill(theirs, world.options)
    expected = state_of(theirs)
    events = events_of(theirs, expected["compacted"] + 1)
    file = theirs.save(world.path("etcd.db"))
    theirs.stop()
    compare_status(file)
    ours = world.restore(ETCHCTL, ETCHED, file)
    same("from etcd", expected, state_of(ours))
    same("events", events, events_of(ours, expected["compacted"] + 1))
    file = ours.save(world.path("etched.db"))
    compare_status(file)
    again = world.restore(ETCDCTL, ETCD, file)
    same("back in etcd", expected, state_of(again))
    same("events again", events, events_of(again, expected["compacted"] + 1))
    twice = world.restore(ETCHCTL, ETCHED, file)
    same("back in etched", expected, state_of(twice))
    for server in (ours, again, twice):
        work_on(server, expected)


def story_from_etched(world):
    """A store that began as ours."""
    ours = world.new(ETCHED)
    fill(ours, world.options)
    expected = state_of(ours)
    file = ours.save(world.path("etched.db"))
    compare_status(file)
    theirs = world.restore(ETCDCTL, ETCD, file)
    same("from etched", expected, state_of(theirs))
    work_on(theirs, expected)


def story_empty(world):
    """Nothing is a state too."""
    for program, ctl, other in ((ETCD, ETCHCTL, ETCHED),
                                (ETCHED, ETCDCTL, ETCD)):
        server = world.new(program)
        expected = state_of(server)
        file = server.save(world.path("empty.db"))
        compare_status(file)
        restored = world.restore(ctl, other, file)
        same("empty", expected, state_of(restored))
        restored.put("a", "b")
        check(restored.revision() == 2, "the first put is revision 2")


def story_members(world):
    """Three members of one file, made one after the other."""
    theirs = world.new(ETCD)
    fill(theirs, argparse.Namespace(seed=2, keys=300))
    theirs.ask("/lease/grant", {"ID": 4711, "TTL": 4})
    theirs.put("short", "lived", 4711)
    expected = state_of(theirs)
    file = theirs.save(world.path("etcd.db"))
    ports = free_ports(6)
    members = [Member(f"m{i}", ports[2 * i], ports[2 * i + 1])
               for i in range(3)]
    cluster = ",".join(f"{one.name}={one.peer_url}" for one in members)
    folders = []
    for member in members:
        folders.append(world.path(member.name))
        tool_ok(ETCHCTL, "snapshot", "restore", file, "--data-dir",
                folders[-1], "--name", member.name, "--initial-cluster",
                cluster, "--initial-cluster-token", "three",
                "--initial-advertise-peer-urls", member.peer_url)
        time.sleep(0.3)
    servers = [Server(world, ETCHED, folder, member)
               for folder, member in zip(folders, members)]
    for server in servers:
        same("a member", expected, state_of(server.wait()))
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if servers[1].ask("/kv/range", {"key": b64("short")}).get("kvs") is \
                None:
            break
        time.sleep(0.2)
    states = [state_of(server) for server in servers]
    check("4711" not in states[0]["leases"], "a lease has no end")
    for state in states[1:]:
        same("another member", states[0], state)


def story_bump(world):
    """--bump-revision and --mark-compacted."""
    theirs = world.new(ETCD)
    fill(theirs, argparse.Namespace(seed=3, keys=200))
    expected = state_of(theirs)
    file = theirs.save(world.path("etcd.db"))
    ours = world.restore(ETCHCTL, ETCHED, file, "--bump-revision", "1000000",
                         "--mark-compacted")
    state = state_of(ours)
    same("revision", expected["revision"] + 1000000, state["revision"])
    same("keys", expected["kvs"], state["kvs"])
    status, _ = ours.ask_raw("/kv/range", dict(
        ALL, revision=expected["revision"]))
    check(status == 400, "what is compacted can be read")
    ours.put("a", "b")
    same("next", expected["revision"] + 1000001, ours.revision())


def story_refused(world):
    """What is not whole is not taken."""
    server = world.new(ETCD)
    server.put("a", "b")
    with open(server.save(world.path("good.db")), "rb") as stream:
        good = stream.read()
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 1
    cases = {"flipped": bytes(flipped), "bare": good[:-32],
             "short": good[:5000], "nothing": b"", "text": b"hello" * 1000}
    for name, data in cases.items():
        path = world.path(name)
        with open(path, "wb") as stream:
            stream.write(data)
        for ctl in (ETCDCTL, ETCHCTL):
            done = tool(ctl, "snapshot", "restore", path, "--data-dir",
                        world.path("data"))
            check(done.returncode != 0, f"{ctl} takes {name}")
    world.restore(ETCHCTL, ETCHED, os.path.join(
        world.folder, path_ending(world, "bare")), "--skip-hash-check")
    full = world.path("full")
    os.makedirs(full)
    with open(os.path.join(full, "x"), "w", encoding="utf-8"):
        pass
    done = tool(ETCHCTL, "snapshot", "restore",
                os.path.join(world.folder, path_ending(world, "good.db")),
                "--data-dir", full)
    check(done.returncode != 0 and "not empty" in done.stderr,
          f"a folder that is in use: {done.stderr}")


def path_ending(world, word):
    return next(name for name in os.listdir(world.folder)
                if name.endswith("-" + word))


STORIES = [story_empty, story_refused, story_from_etcd, story_from_etched,
           story_bump, story_members]


def run(options):
    for story in STORIES:
        if options.only and options.only not in story.__name__:
            continue
        world = World(options)
        try:
            story(world)
        finally:
            world.close()
        print(f"{story.__name__}: {story.__doc__.strip()} ok", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="a story")
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    for program in (ETCD, ETCDCTL):
        if not os.path.exists(program):
            print("skipped:", program, "is not installed")
            return 77
    try:
        run(options)
    except Failure as failure:
        print("DIFFERENT:", failure)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
