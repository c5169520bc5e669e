#!/usr/bin/python3
"""A session of Debian's python3-etcd3, with all that it can do, against etcd
and against etched: what it returns and raises must be the same.

    tests/compat/python_etcd3.py [--only WORD] [--reference-twice] [--verbose]

Each step is a case: it runs on both, on the same state, and its results are
compared, revisions relative to the session's begin.
"""
import argparse
import hashlib
import io
import os
import queue
import sys
import threading
import time

sys.dont_write_bytecode = True
# pylint: disable=wrong-import-position
import etcd3
import grpc

import v3_compare
import v3_wire

SECONDS = 10
STEP_SECONDS = 20
STEPS = []


def step(function):
    STEPS.append(function)
    return function


class Session:
    """A client of one server, and what its steps keep for later ones."""

    def __init__(self, server):
        self.server = server
        self.client = etcd3.client(
            host=v3_wire.HOST, port=server.port, timeout=SECONDS,
            grpc_options=v3_wire.OPTIONS)
        self.t = self.client.transactions
        begun = self.client.put("begin", "0")
        self.base = begun.header.revision
        self.kept = {}

    # ---- results in a form that can be compared -----------------------------

    def rel(self, revision):
        return v3_compare.relative(revision, self.base)

    def message(self, message):
        out = v3_compare.plain(message, self.base)
        # What this client's messages don't have, it doesn't see.
        return without(out, "unknown")

    def pair(self, pair):
        """(value, KVMetadata)."""
        value, meta = pair
        if meta is None:
            return value, None
        return (value, meta.key, self.rel(meta.create_revision),
                self.rel(meta.mod_revision), meta.version, meta.lease_id,
                self.rel(meta.response_header.revision))

    def pairs(self, pairs):
        return [self.pair(pair) for pair in pairs]

    def event(self, event):
        kind = type(event).__name__
        return (kind, event.key, event.value, event.prev_value,
                self.rel(event.mod_revision), self.rel(event.create_revision),
                event.version, event.lease)

    def txn(self, result):
        succeeded, responses = result
        out = []
        for one in responses:
            if isinstance(one, list):
                out.append([(value, meta.key, self.rel(meta.mod_revision))
                            for value, meta in one])
            elif isinstance(one, tuple):
                out.append(self.txn(one))
            else:
                out.append(self.message(one))
        return succeeded, out

    def fails(self, call, *args, **kwargs):
        """What a call raises."""
        try:
            got = call(*args, **kwargs)
            if hasattr(got, "__next__"):
                got = list(got)
            return f"no error: {type(got).__name__}"
        except grpc.RpcError as error:
            return error.code().name, error.details()
        except (etcd3.Etcd3Exception, ValueError, TypeError) as error:
            return type(error).__name__, str(error)


def without(value, name):
    if isinstance(value, dict):
        return {key: without(inner, name) for key, inner in value.items()
                if key != name}
    if isinstance(value, list):
        return [without(inner, name) for inner in value]
    return value


# ---- keys and values --------------------------------------------------------

@step
def put_and_get(s):
    c = s.client
    return [s.message(c.put("k", "one")), s.message(c.put("k", b"two\x00\xff")),
            s.message(c.put("k", "three", prev_kv=True)),
            s.pair(c.get("k")), s.pair(c.get("k", serializable=True)),
            c.get("nothing"), s.message(c.get_response("k")),
            s.message(c.put("empty", "")), s.pair(c.get("empty")),
            s.message(c.put("snow \u2603", "\u2603")),
            s.pair(c.get("snow \u2603"))]


@step
def prefixes_and_ranges(s):
    c = s.client
    for at, name in enumerate(["p/c", "p/a", "p/b", "p/a/1", "p/a/2", "q"]):
        c.put(name, f"{9 - at}")
    c.put("p/b", "x")
    out = [s.pairs(c.get_prefix("p/")), s.pairs(c.get_prefix("none/")),
           s.pairs(c.get_range("p/a", "p/b")), s.pairs(c.get_range("z", "a")),
           s.message(c.get_prefix_response("p/a")),
           s.message(c.get_range_response("p/", "q")),
           s.pairs(c.get_prefix("p/", keys_only=True)),
           s.pairs(c.get_all()), s.message(c.get_all_response(keys_only=True))]
    for order in ("ascend", "descend"):
        for target in ("key", "version", "create", "mod", "value"):
            out.append(s.pairs(c.get_prefix("p/", sort_order=order,
                                            sort_target=target)))
            out.append(s.pairs(c.get_range("p/", "q0", sort_order=order,
                                           sort_target=target)))
    out.append(s.fails(c.get_prefix_response, "p", sort_order="upwards"))
    out.append(s.fails(c.get_prefix_response, "p", key="x"))
    return out


@step
def deletes(s):
    c = s.client
    for at in range(5):
        c.put(f"d/{at}", str(at))
    return [c.delete("d/0"), c.delete("d/0"), c.delete("none"),
            s.message(c.delete("d/1", prev_kv=True, return_response=True)),
            s.message(c.delete("d/1", prev_kv=True, return_response=True)),
            s.message(c.delete_prefix("d/")), s.message(c.delete_prefix("d/")),
            s.pairs(c.get_prefix("d/"))]


@step
def conditions(s):
    c = s.client
    return [c.put_if_not_exists("cond", "1"), c.put_if_not_exists("cond", "2"),
            c.replace("cond", "1", "3"), c.replace("cond", "1", "4"),
            c.replace("none", "1", "4"), s.pair(c.get("cond"))]


@step
def errors(s):
    c = s.client
    return [s.fails(c.put, "", "x"), s.fails(c.get, ""),
            s.fails(c.put, "k", "v", lease=4711),
            s.fails(c.delete, ""), s.fails(c.revoke_lease, 4711),
            s.fails(c.compact, 1 << 40),
            s.fails(c.put, "big", "v" * (2 << 20)),
            s.fails(c.put, "big", "v" * (1536 * 1024 + 1))]


# ---- transactions -----------------------------------------------------------

@step
def transactions(s):
    c, t = s.client, s.t
    c.put("t/a", "1")
    c.put("t/b", "2")
    both = {"success": [t.put("t/won", "y"), t.get("t/a")],
            "failure": [t.put("t/lost", "y"), t.get("t/b")]}
    return [s.txn(c.transaction(compare=compare, **both)) for compare in (
        [], [t.value("t/a") == "1"], [t.value("t/a") != "1"],
        [t.value("t/a") < "2"], [t.value("t/a") > "2"],
        [t.version("t/a") == 1, t.version("t/b") == 2],
        [t.version("none") == 0], [t.create("none") == 0],
        [t.create("t/a") > s.base], [t.mod("t/a") < s.base],
        [t.mod("t/a") == t_mod(s, "t/a")],
        [t.value("none") == ""], [t.version("t/", "t0") > 0],
        [t.version("t/", "t0") > 1])]


def t_mod(s, key):
    return s.client.get(key)[1].mod_revision


@step
def transactions_of_all_kinds(s):
    c, t = s.client, s.t
    c.put("u/a", "1")
    c.put("u/m", "1")
    return [
        s.txn(c.transaction([], [
            t.put("u/b", "2", prev_kv=True), t.put("u/a", "3", prev_kv=True),
            t.get("u/a"), t.get("u/", "u0"), t.delete("u/m", prev_kv=True),
            t.delete("u/x", "u/z"), t.get("u/", "u0")], [])),
        s.txn(c.transaction([], [
            t.txn([t.value("u/b") == "2"], [
                t.put("u/c", "deep"),
                t.txn([t.value("u/c") == "deep"], [t.get("u/c")], [])], []),
            t.get("u/c")], [])),
        s.fails(c.transaction, [], [t.put("u/d", "1"), t.put("u/d", "2")], []),
        s.fails(c.transaction, [], [t.put("u/d", "1"), t.delete("u/d")], []),
        s.fails(c.transaction, [], [t.get("")], []),
        s.fails(c.transaction, [], [t.get("k")] * 129, []),
        s.fails(c.transaction, [], [t.put("u/d", "1", lease=4711)], []),
        s.txn(c.transaction([], [], [])), s.pairs(c.get_prefix("u/"))]


# ---- leases -----------------------------------------------------------------

@step
def leases(s):
    c = s.client
    lease = c.lease(1000, lease_id=77)
    c.put("l/a", "1", lease=lease)
    c.put("l/b", "1", lease=77)
    c.put("l/c", "1", lease=lease)
    c.put("l/c", "no lease now")
    own = c.lease(500)
    out = [lease.id, lease.ttl, own.ttl, own.id > 0,
           999 <= lease.remaining_ttl <= 1000, lease.granted_ttl,
           sorted(lease.keys), own.keys,
           [(r.ID, r.TTL) for r in lease.refresh()],
           [(r.ID, r.TTL) for r in c.refresh_lease(4711)],
           s.fails(c.lease, 100, lease_id=77),
           s.fails(c.lease, 1 << 40, lease_id=78),
           c.get_lease_info(4711).TTL, c.get_lease_info(4711).grantedTTL]
    lease.revoke()
    own.revoke()
    out += [s.pairs(c.get_prefix("l/")), c.get_lease_info(77).TTL,
            s.fails(lease.revoke)]
    return out


@step
def lease_that_ends(s):
    c = s.client
    lease = c.lease(1)
    c.put("ends", "soon", lease=lease)
    event = c.watch_once("ends", timeout=SECONDS)
    return [lease.ttl, s.event(event), c.get("ends"),
            c.get_lease_info(lease.id).TTL]


@step
def locks(s):
    c = s.client
    lock = c.lock("one", ttl=30)
    other = c.lock("one", ttl=30)
    # (With Debian's tenacity, this client can't wait for a lock.)
    out = [lock.is_acquired(), lock.acquire(), lock.is_acquired(),
           s.fails(other.acquire, 0.3), other.is_acquired(),
           [r.TTL for r in lock.refresh()], lock.release(), lock.release(),
           other.acquire(timeout=3), other.is_acquired(), other.release()]
    with c.lock("two", ttl=20) as held:
        out.append(held.is_acquired())
    out.append(held.is_acquired())
    return out


# ---- watches ----------------------------------------------------------------

@step
def watch_with_callback(s):
    c = s.client
    came = queue.Queue()
    watch = c.add_watch_callback("w/a", came.put, prev_kv=True)
    under = c.add_watch_prefix_callback("w/", came.put)
    c.put("w/a", "1")
    out = [one_of_each(s, came, 2)]
    c.put("w/b", "1")
    out.append(one_of_each(s, came, 1))
    c.transaction([], [s.t.put("w/a", "2"), s.t.put("w/c", "2"),
                       s.t.delete("w/b")], [])
    out.append(one_of_each(s, came, 2))
    c.cancel_watch(watch)
    c.cancel_watch(under)
    c.put("w/a", "3")
    time.sleep(0.2)
    return out + [watch, under, came.empty()]


def one_of_each(s, came, count):
    """Responses of several watches come in no order."""
    responses = [came.get(timeout=SECONDS) for _ in range(count)]
    return sorted(([s.event(event) for event in response.events],
                   s.rel(response.header.revision)) for response in responses)


@step
def watch_with_iterator(s):
    c = s.client
    events, cancel = c.watch("i")
    c.put("i", "1")
    c.put("i", "2")
    c.delete("i")
    out = [s.event(next(events)) for _ in range(3)]
    cancel()
    out.append(list(events))
    events, cancel = c.watch_prefix("i/", prev_kv=True)
    c.put("i/a", "1")
    c.put("i/b", "1")
    c.delete_prefix("i/")
    out += [s.event(next(events)) for _ in range(4)]
    cancel()
    responses, cancel = c.watch_prefix_response("i/")
    c.put("i/c", "1")
    response = next(responses)
    cancel()
    return out + [s.rel(response.header.revision),
                  [s.event(event) for event in response.events]]


@step
def watch_the_past(s):
    c = s.client
    begin = c.put("past/a", "1").header.revision
    c.put("past/b", "1")
    c.put("past/a", "2")
    c.delete("past/a")
    out = []
    events, cancel = c.watch_prefix("past/", start_revision=begin,
                                    prev_kv=True)
    out.append([s.event(next(events)) for _ in range(4)])
    cancel()
    # (This client can't send filters.)
    event = c.watch_once("past/a", start_revision=begin + 1, timeout=SECONDS)
    out.append(s.event(event))
    event = c.watch_prefix_once("past/", start_revision=begin + 1,
                                timeout=SECONDS)
    out.append(s.event(event))
    return out


@step
def watch_once(s):
    c = s.client
    return [s.fails(c.watch_once, "never", timeout=0.2),
            s.fails(c.watch_prefix_once, "never", timeout=0.2)]


@step
def watch_progress(s):
    """Asked for, but the interval of ten minutes doesn't pass here."""
    c = s.client
    events, cancel = c.watch("progress", progress_notify=True)
    c.put("progress", "1")
    out = s.event(next(events))
    cancel()
    return out


# ---- compaction, upkeep -----------------------------------------------------

@step
def compaction(s):
    c = s.client
    c.put("comp", "1")
    c.put("comp", "2")
    now = c.put("comp", "3").header.revision
    out = [c.compact(now - 1), s.fails(c.compact, now - 1),
           s.fails(c.compact, now + 1), s.pair(c.get("comp"))]
    events, cancel = c.watch("comp", start_revision=now - 2)
    out.append(s.fails(lambda: next(events))[0])
    cancel()
    out.append(c.compact(now, physical=True))
    return out


@step
def compacted_watch_says_where(s):
    c = s.client
    events, cancel = c.watch("comp", start_revision=s.base)
    try:
        next(events)
        return "no error"
    except etcd3.exceptions.RevisionCompactedError as error:
        return s.rel(error.compacted_revision)
    finally:
        cancel()


@step
def members(s):
    c = s.client
    found = list(c.members)
    one = found[0]
    return [len(found), one.name, list(one.peer_urls) == [s.server.peer],
            list(one.client_urls) == [s.server.url],
            list(one.active_alarms), str(one).startswith("Member "),
            s.fails(c.add_member, [s.server.peer]),
            s.fails(c.add_member, ["no url"]),
            s.fails(c.add_member, []),
            s.fails(c.remove_member, 4711),
            s.fails(c.update_member, 4711, ["http://127.0.0.1:1"])]


@step
def member_update(s):
    c = s.client
    one = next(iter(c.members))
    url = f"http://127.0.0.1:{v3_wire.free_port()}"
    one.update([url])
    out = [list(next(iter(c.members)).peer_urls) == [url]]
    one.update([s.server.peer])
    return out + [list(next(iter(c.members)).peer_urls) == [s.server.peer]]


@step
def status(s):
    found = s.client.status()
    parts = found.version.split(".")
    return [len(parts), parts[0], found.db_size > 0, found.leader.name,
            found.raft_index > s.base, found.raft_term > 0]


@step
def upkeep(s):
    c = s.client
    return [c.defragment(), c.hash() > 0, c.hash() == c.hash(),
            s.pair(c.get("comp"))]


@step
def alarms(s):
    c = s.client
    me = next(iter(c.members)).id
    out = [list(c.list_alarms()), list(c.disarm_alarm())]
    raised = c.create_alarm(member_id=me)
    out.append([(a.alarm_type, a.member_id == me) for a in raised])
    out += [[(a.alarm_type, a.member_id == me) for a in c.list_alarms()],
            [(a.alarm_type, a.member_id == me)
             for a in next(iter(c.members)).active_alarms],
            s.fails(c.put, "k", "full"), s.pair(c.get("k")),
            s.fails(c.transaction, [], [s.t.put("k", "full")], []),
            s.fails(c.lease, 100, lease_id=99),
            c.delete("empty"), s.txn(c.transaction([], [s.t.get("k")], []))]
    out.append([(a.alarm_type, a.member_id == me)
                for a in c.disarm_alarm(member_id=me)])
    out += [list(c.list_alarms()), s.message(c.put("k", "again"))]
    return out


@step
def snapshot(s):
    """A database with its hash at the end."""
    out = io.BytesIO()
    s.client.snapshot(out)
    data = out.getvalue()
    return [len(data) % 512, data[16:20].hex(),
            hashlib.sha256(data[:-32]).digest() == data[-32:]]


@step
def second_client(s):
    """A context of its own, closed at its end."""
    with etcd3.client(host=v3_wire.HOST, port=s.server.port,
                      timeout=SECONDS) as c:
        return [s.pair(c.get("k")), s.message(c.put("k", "2nd"))]


@step
def everything_at_the_end(s):
    return s.pairs(s.client.get_all())


# ---- both -------------------------------------------------------------------

def run_step(function, session):
    """On a thread, since an event that never comes is waited for without an
    end."""
    out = []

    def run():
        try:
            out.append(function(session))
        # Whatever a step raises is what it came to.
        except Exception as error:  # pylint: disable=broad-except
            out.append(f"{type(error).__name__}: {error}"[:2000])

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(STEP_SECONDS)
    return out[0] if out else f"Error: not done in {STEP_SECONDS} s"


def compare(name, theirs, ours, verbose):
    if verbose:
        print(f"#   {theirs!r}"[:2000])
    if theirs == ours:
        # The reference's own failure would hide ours.
        if isinstance(theirs, str) and "Error: " in theirs:
            print(f"not ok python3-etcd3: {name}: both failed: {theirs}")
            return False
        print(f"ok python3-etcd3: {name}")
        return True
    print(f"not ok python3-etcd3: {name}")
    for line in v3_compare.first_difference(as_lists(theirs), as_lists(ours)):
        print("# " + line[:1500].replace("\n", "\n# "))
    return False


def as_lists(value):
    if isinstance(value, (list, tuple)):
        return [as_lists(one) for one in value]
    return value


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="")
    parser.add_argument("--reference-twice", action="store_true")
    parser.add_argument("--server", default="etched")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    folder = v3_wire.scratch_folder()
    servers = []
    failed = 0
    try:
        servers.append(v3_wire.Server("etcd", folder))
        servers.append(v3_wire.Server(
            "etcd" if options.reference_twice else options.server, folder))
        sessions = [Session(server) for server in servers]
        for function in STEPS:
            name = function.__name__.replace("_", " ")
            if options.only not in name:
                continue
            results = [run_step(function, session) for session in sessions]
            failed += not compare(name, *results, options.verbose)
            sys.stdout.flush()
    finally:
        for server in servers:
            server.stop()
        v3_wire.remove(folder)
    sys.stdout.flush()
    # The clients' own watching threads would go on trying.
    os._exit(1 if failed else 0)


if __name__ == "__main__":
    main()
