"""Kill -9 beneath v3's writers: what was acknowledged is there, a txn is there
whole or not at all, and leases go on with the time that they had."""
import contextlib
import random
import threading
import time

import h2
from h2 import H2, message, put_op
from world import Failure, Server, check, equal

ROUNDS = 10
WRITERS = 6


def delete_op(key):
    return message((3, message((1, key))))


class Writer(threading.Thread):
    """Has keys of its own, in pairs that only txns write: both of a pair always
    hold the same. Knows what each may hold: one value, or (while an answer is
    missing) one of two. None: it isn't there."""

    def __init__(self, server, number, seed, may_be):
        super().__init__(daemon=True)
        self.server = server
        self.number = number
        self.random = random.Random(seed * 100 + number)
        self.may_be = may_be
        self.acknowledged = 0
        self.wrong = None
        self.revision = 0

    def name(self, i):
        return f"/w{self.number}/{i}"

    def run(self):
        try:
            with H2(self.server, timeout=10) as client:
                while not client.closed:
                    self.step(client)
        except (OSError, Failure) as failure:
            # The kill ends a call in its midst; all else is an error.
            if "the connection ended" not in str(failure) and \
                    not isinstance(failure, OSError):
                self.wrong = repr(failure)

    def step(self, client):
        rng = self.random
        name = self.name(rng.randrange(30))
        now = self.may_be.setdefault(name, [None])
        new = f"v{rng.random()}" * rng.choice([1, 1, 50])
        roll = rng.random()
        if roll < 0.15:
            new = None
            change = [delete_op(name + "/a"), delete_op(name + "/b")]
        else:
            change = [put_op(name + "/a", new), put_op(name + "/b", new)]
        compares = []
        if roll > 0.7 and now[-1] is not None:
            compares = [h2.is_value(name + "/a", now[-1])]
        self.may_be[name] = now + [new]
        answer = client.txn(compares, change).answer()
        self.may_be[name] = [new if answer.number(2) else now[-1]]
        if answer.number(2) == 0:
            raise Failure(f"{name} was not {now[-1]!r:.50}")
        self.saw(answer)
        single = f"{name}/single"
        now = self.may_be.setdefault(single, [None])
        self.may_be[single] = now + [str(self.acknowledged)]
        self.saw(client.put(single, str(self.acknowledged)).answer())
        self.may_be[single] = self.may_be[single][-1:]
        self.acknowledged += 2

    def saw(self, answer):
        revision = answer.one(1).number(3)
        check(revision >= self.revision,
              f"the revision fell from {self.revision} to {revision}")
        self.revision = revision

    def settle(self, client):
        """What is there must be one of what may be."""
        for name, values in self.may_be.items():
            if name.endswith("/single"):
                found = client.value(name)
            else:
                found, other = (client.value(name + end)
                                for end in ("/a", "/b"))
                equal(other, found, f"the other half of the txn on {name}")
            found = found.decode() if found is not None else None
            check(found in values, f"{name} is {found!r:.60}, "
                  f"not one of {values!r:.200}")
            self.may_be[name] = [found]


def newest(client):
    return client.range("/none").answer().one(1).number(3)


def write_and_kill(server, state, seed, last):
    writers = [Writer(server, i, seed, state.setdefault(i, {}))
               for i in range(WRITERS)]
    with H2(server) as client:
        for writer in writers:
            writer.settle(client)
        revision = newest(client)
        check(revision >= last, f"the revision fell from {last} to {revision}")
    for writer in writers:
        writer.start()
    time.sleep(random.Random(seed).uniform(0.05, 0.3))
    server.kill()
    for writer in writers:
        writer.join(20)
        check(not writer.is_alive(), "a writer hangs")
        equal(writer.wrong, None, "a writer's error")
    return (sum(writer.acknowledged for writer in writers),
            max(writer.revision for writer in writers))


def kill_beneath_writers(folder):
    state, acknowledged, last = {}, 0, 0
    with Server(folder) as server:
        for seed in range(ROUNDS):
            more, seen = write_and_kill(server, state, seed, last)
            acknowledged, last = acknowledged + more, max(last, seen)
            server.start()
        with H2(server) as client:
            check(newest(client) >= last, "the revision fell")
            for number, may_be in state.items():
                Writer(server, number, 0, may_be).settle(client)
    check(acknowledged > 10 * ROUNDS, f"only {acknowledged} writes: this "
          "showed nothing")


def watch_goes_on_after_a_kill(folder):
    """From the revision after the last that it saw: nothing twice, nothing
    left out, whatever was killed in between."""
    with Server(folder) as server:
        seen, revision, wanted = [], 1, 0
        for _ in range(4):
            with H2(server) as watcher, H2(server) as writer:
                stream = watcher.watch("/k/", revision, "/k0")
                for _ in range(50):
                    writer.put(f"/k/{wanted % 7}", str(wanted)).answer()
                    wanted += 1
                while len(seen) < wanted - 20:
                    for event in watcher.next_message(stream).each(11):
                        seen.append(int(event.one(2).bytes(5)))
                        revision = event.one(2).number(3) + 1
                server.kill()
            server.start()
        with H2(server) as watcher:
            stream = watcher.watch("/k/", revision, "/k0")
            while len(seen) < wanted:
                for event in watcher.next_message(stream).each(11):
                    seen.append(int(event.one(2).bytes(5)))
        equal(seen, list(range(wanted)), "events")


def compaction_survives(folder):
    with Server(folder) as server:
        with H2(server) as client:
            for i in range(20):
                client.put("/c", str(i)).answer()
            at = newest(client) - 5
            client.call("/etcdserverpb.KV/Compact", (1, at), (2, 1)).answer()
        server.kill()
        server.start()
        with H2(server) as client:
            old = client.call("/etcdserverpb.KV/Range", (1, "/c"),
                              (4, at - 1))
            equal((old.code(), old.text()),
                  (h2.OUT_OF_RANGE, "etcdserver: mvcc: required revision has "
                   "been compacted"), "a read of what is gone")
            kept = client.call("/etcdserverpb.KV/Range", (1, "/c"),
                               (4, at)).answer()
            equal(kept.each(2)[0].bytes(5), b"14", "what is kept")


# ---- leases -----------------------------------------------------------------

def lease_keeps_its_time(folder):
    with Server(folder) as server:
        with H2(server) as client:
            lease = client.grant(30)
            client.put("/leased", "1", lease).answer()
            time.sleep(2.1)
            before = client.left(lease)
            check(25 <= before <= 28, f"{before} s of 30 after 2")
        for _ in range(2):
            server.kill()
            server.start()
            with H2(server) as client:
                left = client.left(lease)
                check(before - 4 <= left <= before,
                      f"{left} s are left of {before} before the kill")
                equal(client.value("/leased"), b"1", "its key")
        with H2(server) as client:
            stream = client.begin("/etcdserverpb.Lease/LeaseKeepAlive",
                                  (1, lease), end=False)
            equal(client.next_message(stream).number(3), 30, "kept alive")
        server.kill()
        server.start()
        with H2(server) as client:
            left = client.left(lease)
            check(27 <= left <= 30, f"{left} s after a keepalive and a kill")
            client.call("/etcdserverpb.Lease/LeaseRevoke", (1, lease)).answer()
        server.kill()
        server.start()
        with H2(server) as client:
            equal(client.left(lease), -1, "a revoked lease")
            equal(client.value("/leased"), None, "its key")


def leases_end_after_a_kill(folder):
    """One that ran out while nobody was there ends soon after the start; its
    keys go in one revision, and a watcher is told."""
    with Server(folder) as server:
        with H2(server) as client:
            short, kept = client.grant(2), client.grant(60)
            for i in range(20):
                client.put(f"/short/{i}", "1", short).answer()
            client.put("/kept", "1", kept).answer()
            revision = newest(client)
        server.kill()
        time.sleep(1)
        server.start()
        with H2(server) as client:
            stream = client.watch("/short/", revision + 1, "/short0")
            events = []
            while len(events) < 20:
                events += client.next_message(stream, 15).each(11)
            equal({event.number(1) for event in events}, {1}, "deletes")
            equal(len({event.one(2).number(3) for event in events}), 1,
                  "revisions")
            equal(client.left(short), -1, "the lease")
            equal(client.value("/kept"), b"1", "the other's key")
            check(client.left(kept) > 50, "the other")


def many_leases_survive(folder):
    count = 300
    with Server(folder) as server:
        with H2(server) as client:
            streams = [client.begin("/etcdserverpb.Lease/LeaseGrant", (1, 100))
                       for _ in range(count)]
            leases = [client.finish(one).answer().number(2)
                      for one in streams]
            equal(len(set(leases)), count, "different leases")
            for lease in leases:
                client.put(f"/many/{lease}", "1", lease).answer()
        server.kill()
        server.start()
        with H2(server) as client:
            listed = client.call("/etcdserverpb.Lease/LeaseLeases").answer()
            equal(sorted(one.number(1) for one in listed.each(2)),
                  sorted(leases), "leases")
            for lease in leases[::2]:
                client.call("/etcdserverpb.Lease/LeaseRevoke",
                            (1, lease)).answer()
            found = client.range("/many/", "/many0").answer()
            equal(found.number(4), count // 2, "keys of the others")


def lock_survives(folder):
    """A lock is a key: its holder holds it through a kill."""
    with Server(folder) as server:
        with H2(server) as client:
            lease = client.grant(60)
            mine = client.call("/v3lockpb.Lock/Lock", (1, "/lock"),
                               (2, lease)).answer().bytes(2)
        server.kill()
        server.start()
        with H2(server) as client, H2(server) as other:
            waits = other.begin("/v3lockpb.Lock/Lock", (1, "/lock"),
                                (2, other.grant(60)))
            with contextlib.suppress(Failure):
                other.pump(waits.is_over, 0.5)
            check(not waits.is_over(), f"two hold one lock: {waits}")
            client.call("/v3lockpb.Lock/Unlock", (1, mine)).answer()
            other.finish(waits, 5).answer()


def snapshot_beneath_writes(folder):
    """A snapshot that a kill cuts off leaves nothing behind."""
    with Server(folder) as server:
        with H2(server) as client:
            for i in range(100):
                client.put(f"/s/{i}", "v" * 20000).answer()
        with H2(server, reads=False) as client:
            client.begin("/etcdserverpb.Maintenance/Snapshot")
            client.listen(0.3)
            server.kill()
        server.start()
        with H2(server) as client:
            stream = client.begin("/etcdserverpb.Maintenance/Snapshot")
            size, left = 0, 1
            while left > 0:
                piece = client.next_message(stream)
                size, left = size + len(piece.bytes(3)), piece.number(2)
            check(size > 100 * 20000, f"a snapshot of {size} bytes")
            client.finish(stream)
            equal(stream.code(), h2.OK, "its status")


STORIES = [
    ("v3 crash: kill -9 beneath writers", kill_beneath_writers),
    ("v3 crash: a watch goes on", watch_goes_on_after_a_kill),
    ("v3 crash: a compaction stays", compaction_survives),
    ("v3 crash: a lease keeps its time", lease_keeps_its_time),
    ("v3 crash: leases that end", leases_end_after_a_kill),
    ("v3 crash: many leases", many_leases_survive),
    ("v3 crash: a lock stays locked", lock_survives),
    ("v3 crash: a snapshot cut off", snapshot_beneath_writes),
]
