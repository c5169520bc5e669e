#!/usr/bin/env python3
"""Faults under load: kill -9, SIGSTOP, partitions of every shape. Clients
record what they did and were told; afterwards every history must be
linearizable, and what was acknowledged must be there on every member.

    tests/cluster/faults.py [--seconds 600] [--members 3] [--seed 1]
"""
import argparse
import os
import random
import sys
import tempfile
import shutil
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

from history import Recorder, TooHard  # noqa: E402
from members import (Cluster, Failure, Skip, check, dump_logs,  # noqa: E402
                     wait_for)


class Faults:
    """One fault after another, each healed before the next."""

    def __init__(self, cluster, seed):
        self.cluster = cluster
        self.rng = random.Random(seed)
        self.done = {}

    def victim(self):
        """The leader, every other time."""
        if self.rng.random() < 0.5:
            leader = self.cluster.leader()
            if leader:
                return leader
        return self.rng.choice(self.cluster.members)

    def kill_one(self):
        member = self.victim()
        member.kill()
        time.sleep(self.rng.uniform(0, 1.5))
        member.start()

    def kill_most(self):
        for member in self.rng.sample(self.cluster.members,
                                      len(self.cluster.members) // 2 + 1):
            member.kill()
        time.sleep(self.rng.uniform(0, 1))
        for member in self.cluster.members:
            if member.process is None:
                member.start()

    def pause_one(self):
        member = self.victim()
        member.pause()
        time.sleep(self.rng.uniform(0.3, 3))
        member.go_on()

    def isolate_one(self):
        self.cluster.net.isolate(self.victim().number)
        time.sleep(self.rng.uniform(0.5, 3.5))
        self.cluster.net.mend()

    def cut_pair(self):
        a, b = self.rng.sample(range(len(self.cluster.members)), 2)
        self.cluster.net.cut(a, b)
        time.sleep(self.rng.uniform(0.5, 3))
        self.cluster.net.mend()

    def cut_one_way(self):
        a = self.victim().number
        for b in range(len(self.cluster.members)):
            if b != a and self.rng.random() < 0.7:
                self.cluster.net.cut_one_way(a, b)
        time.sleep(self.rng.uniform(0.5, 3))
        self.cluster.net.mend()

    def halves(self):
        members = list(range(len(self.cluster.members)))
        self.rng.shuffle(members)
        at = self.rng.randrange(1, len(members))
        for a in members[:at]:
            for b in members[at:]:
                self.cluster.net.cut(a, b)
        time.sleep(self.rng.uniform(0.5, 3))
        self.cluster.net.mend()

    def run(self, seconds):
        kinds = [self.kill_one, self.kill_most, self.pause_one]
        if self.cluster.net:
            kinds += [self.isolate_one, self.cut_pair, self.cut_one_way,
                      self.halves]
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            kind = self.rng.choice(kinds)
            kind()
            self.done[kind.__name__] = self.done.get(kind.__name__, 0) + 1
            for member in self.cluster.members:
                if member.process.poll() is not None:
                    raise Failure(f"{member.name} ended by itself with status "
                                  f"{member.process.returncode}")
            time.sleep(self.rng.uniform(0.3, 2))


def acknowledged_is_there(cluster, recorder):
    """The last word on each key, read of every member."""
    for key in recorder.histories:
        values = {member.get(f"/jepsen/{key}", quorum=True)
                  for member in cluster.members}
        check(len(values) == 1, f"members differ about {key}: {values}")


def torment(folder, count, seconds, seed, net):
    with Cluster(folder, count, "--snapshot-count=500", net=net) as cluster:
        recorder = Recorder([(m.host, m.client_port)
                             for m in cluster.members], seed)
        recorder.start()
        faults = Faults(cluster, seed)
        try:
            faults.run(seconds)
            recorder.stop()
            for member in cluster.members:
                wait_for(lambda member=member: member.try_put("/healed", "x",
                                                              5),
                         f"a write through {member.name} when all is healed",
                         30)
            try:
                wrong = recorder.wrong()
            except TooHard as hard:
                raise Failure(f"too hard to check: {hard}") from None
            if wrong:
                key, operations = wrong
                for operation in operations:
                    print(f"#   {operation}")
                raise Failure(f"the history of {key} is not linearizable "
                              f"(seed {seed})")
            acknowledged_is_there(cluster, recorder)
        except Failure:
            recorder.ending = True
            dump_logs(cluster)
            raise
        check(recorder.answered > seconds * 10,
              f"only {recorder.answered} answers in {seconds} s")
        shown = ", ".join(f"{count} {kind}" for kind, count
                          in sorted(faults.done.items()))
        print(f"#    {count} members, {seconds} s, seed {seed}: "
              f"{recorder.answered} answers, {recorder.unknown} unknown, "
              f"{len(recorder.histories)} keys; {shown}", flush=True)


def three_killed_and_paused(folder):
    """three members, killed and paused under load: linearizable"""
    torment(folder, 3, 15, 1, False)


def three_cut_off(folder):
    """three members, cut off in network namespaces too: linearizable"""
    torment(folder, 3, 20, 2, True)


def five_cut_off(folder):
    """five members, all faults: linearizable"""
    torment(folder, 5, 20, 3, True)


STORIES = [three_killed_and_paused, three_cut_off, five_cut_off]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--members", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-net", action="store_true",
                        help="no network namespaces, so no partitions")
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="etched-faults-")
    try:
        torment(folder, options.members, options.seconds, options.seed,
                not options.no_net)
        print("ok faults")
        return 0
    except Skip as skip:
        print(f"ok faults # SKIP {skip}")
        return 0
    except Failure as failure:
        print(f"not ok faults: {failure}")
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
