"""v3 on three members: what a client asks of one that doesn't lead, and what
it sees when the one that leads is killed, paused or stopped."""
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "cluster"))

import h2  # noqa: E402
from h2 import H2, message, put_op  # noqa: E402
from members import Cluster  # noqa: E402
from world import Failure, check, equal, wait_for  # noqa: E402

KEEPALIVE = "/etcdserverpb.Lease/LeaseKeepAlive"
# Errors with which a client tries again; all others are the test's.
PASSING = (h2.UNAVAILABLE, h2.DEADLINE_EXCEEDED)


def leader_and_followers(cluster):
    leader = cluster.wait_for_leader()
    return leader, [m for m in cluster.running() if m is not leader]


def dial(member, **more):
    return H2(member.client_port, **more)


def header(answer):
    return answer.one(1)


def events_of(client, stream, count, seconds=20):
    """(key, value) of so many events."""
    found = []
    while len(found) < count:
        for event in client.next_message(stream, seconds).each(11):
            kv = event.one(2)
            found.append((kv.bytes(1).decode(), kv.bytes(5).decode()))
    equal(len(found), count, "events")
    return found


def through_followers(folder):
    """A put through one is read at once through any, and each answers in its
    own name."""
    with Cluster(folder, 3) as cluster:
        leader, followers = leader_and_followers(cluster)
        clients = [dial(m) for m in (leader, *followers)]
        revisions = []
        for i in range(30):
            answer = clients[i % 3].put("/f", str(i)).answer()
            revisions.append(header(answer).number(3))
            for client in clients:
                equal(client.value("/f"), str(i).encode(), f"after put {i}")
        equal(revisions, list(range(revisions[0], revisions[0] + 30)),
              "revisions")
        ids = {header(client.range("/f").answer()).number(2)
               for client in clients}
        equal(len(ids), 3, "members that answered")
        clusters = {header(client.range("/f").answer()).number(1)
                    for client in clients}
        equal(len(clusters), 1, "clusters")
        # A txn through one, and refusals too.
        answer = clients[1].txn([h2.is_value("/f", "29")],
                                [put_op("/t", "yes")]).answer()
        equal(answer.number(2), 1, "succeeded")
        equal(clients[2].value("/t"), b"yes", "what it put")
        lost = clients[1].put("/f", "x", lease=999)
        equal((lost.code(), lost.text()),
              (h2.NOT_FOUND, "etcdserver: requested lease not found"),
              "a lease of nobody")
        member = followers[0]
        equal(member.get("/f"), "29", "v2 on a follower")
        for client in clients:
            client.sock.close()


def watches_on_followers(folder):
    """All see the same, in the same order, at the same revisions."""
    with Cluster(folder, 3) as cluster:
        members = cluster.running()
        clients = [dial(m) for m in members]
        first = header(clients[0].put("/w/0", "first").answer()).number(3)
        streams = [client.watch("/w/", first, "/w0",
                                more=[("hasleader", "true")])
                   for client in clients]
        for i in range(60):
            clients[i % 3].put(f"/w/{i % 5}", str(i)).answer()
        seen = [events_of(client, stream, 61)
                for client, stream in zip(clients, streams)]
        equal(seen[0][1:], [(f"/w/{i % 5}", str(i)) for i in range(60)],
              "what one saw")
        equal(seen[1], seen[0], "what the second saw")
        equal(seen[2], seen[0], "what the third saw")
        for client in clients:
            client.sock.close()


def leases_through_followers(folder):
    with Cluster(folder, 3) as cluster:
        leader, followers = leader_and_followers(cluster)
        near, far, third = (dial(m) for m in (*followers, leader))
        lease, short = near.grant(3), far.grant(2)
        near.put("/kept", "1", lease).answer()
        far.put("/short", "1", short).answer()
        # Kept alive beyond its time, through one that doesn't lead.
        stream = near.open(near.head(KEEPALIVE))
        end = time.monotonic() + 5
        while time.monotonic() < end:
            near.tell(stream, message((1, lease)))
            equal(near.next_message(stream).number(3), 3, "kept alive")
            time.sleep(0.5)
        for client in (near, far, third):
            equal(client.value("/kept"), b"1", "the key that is kept")
            equal(client.value("/short"), None, "the one that is not")
            check(1 <= client.left(lease) <= 3, "what is left of it")
            equal(client.left(short), -1, "the short one")
        near.tell(stream, message((1, short)))
        equal(near.next_message(stream).number(3), 0, "one that is gone")
        far.call("/etcdserverpb.Lease/LeaseRevoke", (1, lease)).answer()
        equal(third.value("/kept"), None, "after it was revoked")
        for client in (near, far, third):
            client.sock.close()


class Client(threading.Thread):
    """Puts /c/N one after the other, on whichever member answers; knows which
    were acknowledged."""

    def __init__(self, members, number):
        super().__init__(daemon=True)
        self.members = members
        self.number = number
        self.acknowledged = []
        self.slowest = 0.0
        self.wrong = None
        self.ended = False

    def run(self):
        at, count = self.number, 0
        last = time.monotonic()
        while not self.ended:
            try:
                with dial(self.members[at % 3], timeout=3) as client:
                    while not self.ended:
                        self.put(client, count)
                        now = time.monotonic()
                        self.slowest = max(self.slowest, now - last)
                        last, count = now, count + 1
            except (OSError, Failure) as failure:
                if str(failure).startswith("status"):
                    self.wrong = str(failure)
                    return
                at, count = at + 1, count + 1
                time.sleep(0.02)

    def put(self, client, count):
        key = f"/c{self.number}/{count}"
        stream = client.put(key, "v" + key, seconds=3,
                            more=[("grpc-timeout", "2S")])
        if stream.code() in PASSING or stream.reset is not None:
            raise Failure(f"not now: {stream}")
        if stream.code() != h2.OK:
            raise Failure(f"status {stream}")
        self.acknowledged.append(key)


def clients_of(cluster):
    clients = [Client(cluster.members, number) for number in range(3)]
    for client in clients:
        client.start()
    return clients


def settle(cluster, clients):
    for client in clients:
        client.ended = True
    for client in clients:
        client.join(15)
        check(not client.is_alive(), "a client hangs")
        equal(client.wrong, None, "a client's error")
        check(len(client.acknowledged) > 20, "hardly a put")
        check(client.slowest < 10, f"{client.slowest:.1f} s without a put")
    for member in cluster.running():
        with dial(member) as reader:
            for client in clients:
                answer = reader.range(f"/c{client.number}/",
                                      f"/c{client.number}0").answer()
                found = {kv.bytes(1).decode(): kv.bytes(5).decode()
                         for kv in answer.each(2)}
                lost = [key for key in client.acknowledged
                        if found.get(key) != "v" + key]
                equal(lost, [], f"lost on {member.name}")


def leader_killed(folder):
    """Clients go on; a watch on a follower doesn't even notice; a lease keeps
    its time."""
    with Cluster(folder, 3) as cluster:
        leader, followers = leader_and_followers(cluster)
        with dial(followers[0]) as watcher:
            watch = watcher.watch("/seen")
            lease = watcher.grant(30)
            watcher.put("/leased", "1", lease).answer()
            clients = clients_of(cluster)
            time.sleep(0.7)
            leader.kill()
            new = cluster.wait_for_leader(among=followers)
            with dial(new) as writer:
                writer.put("/seen", "after").answer()
            equal(events_of(watcher, watch, 1), [("/seen", "after")],
                  "the watch")
            left = watcher.left(lease)
            check(15 < left <= 30, f"{left} s of 30")
            equal(watcher.value("/leased"), b"1", "the leased key")
            time.sleep(0.7)
            leader.start()
            wait_for(lambda: leader.try_put("/back", "1"), "it is back", 20)
            settle(cluster, clients)


def leader_paused(folder):
    """One that hangs and wakes up has missed an election: what it answers
    then is not of the past."""
    with Cluster(folder, 3) as cluster:
        leader, followers = leader_and_followers(cluster)
        with dial(leader) as old:
            old.put("/p", "1").answer()
            leader.pause()
            new = cluster.wait_for_leader(among=followers)
            with dial(new) as writer:
                writer.put("/p", "2").answer()
            leader.go_on()
            answer = old.range("/p")
            if answer.code() == h2.OK:
                equal(answer.answer().each(2)[0].bytes(5), b"2", "its answer")
            else:
                check(answer.code() in PASSING, f"{answer}")
            wait_for(lambda: old.range("/p").code() == h2.OK, "it follows")
            equal(old.value("/p"), b"2", "and then")


def no_quorum(folder):
    """One of three alone: no writes, no reads but serializable ones, and who
    asked for a leader is told that there is none."""
    with Cluster(folder, 3) as cluster:
        leader, followers = leader_and_followers(cluster)
        with dial(leader) as client:
            client.put("/q", "1").answer()
            watch = client.watch("/q", more=[("hasleader", "true")])
            patient = client.watch("/q")
            for member in followers:
                member.kill()
            soon = [("grpc-timeout", "1500m")]
            put = client.put("/q", "2", more=soon)
            check(put.code() in PASSING, f"a put: {put}")
            read = client.range("/q", more=soon)
            check(read.code() in PASSING, f"a read: {read}")
            equal(client.value("/q", serializable=True), b"1",
                  "a serializable read")
            client.finish(watch, 20)
            equal((watch.code(), watch.text()),
                  (h2.UNAVAILABLE, "etcdserver: no leader"),
                  "a watch that wants a leader")
            check(not patient.is_over(), "one that doesn't")
            followers[0].start()
            wait_for(lambda: client.put("/q", "3", more=soon).code() == h2.OK,
                     "two of three write", 30)
            values = []
            while "3" not in values:
                values += [event.one(2).bytes(5).decode() for event in
                           client.next_message(patient).each(11)]
            check(set(values) <= {"2", "3"}, f"{values}")


def leader_stopped(folder):
    """SIGTERM hands over first: hardly a call is lost."""
    with Cluster(folder, 3) as cluster:
        leader, followers = leader_and_followers(cluster)
        clients = clients_of(cluster)
        time.sleep(0.5)
        with dial(leader) as held:
            watch = held.watch("/none")
            equal(leader.stop(), 0, "exit status")
            held.pump(lambda: False, 5, "closed")
            check(held.goaway, "no GOAWAY")
            equal(watch.code(), h2.UNAVAILABLE, f"the watch: {watch}")
        cluster.wait_for_leader(among=followers)
        time.sleep(0.5)
        settle(cluster, clients)


STORIES = [
    ("v3 cluster: through followers", through_followers),
    ("v3 cluster: watches on followers", watches_on_followers),
    ("v3 cluster: leases through followers", leases_through_followers),
    ("v3 cluster: the leader killed", leader_killed),
    ("v3 cluster: the leader paused", leader_paused),
    ("v3 cluster: no quorum", no_quorum),
    ("v3 cluster: the leader stopped", leader_stopped),
]
