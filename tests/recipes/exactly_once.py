#!/usr/bin/env python3
"""Each event has its effect once, whoever is killed, whenever.

    tests/recipes/exactly_once.py [--rounds 4] [--seed 1]

server: events are put while the server, with the service in it, is killed with
-9 and started again, round after round.

worker: the server lives, and one of three stand-alone workers is killed in each
round; its recipes go to the others.

Each event is a key of its own, and each effect too, put by a recipe that never
puts one twice: at the end each acknowledged event has its effect, each effect
an event, and the version of each effect's key is 1. Events of recipes that wait
and that follow each other are counted in the same way. The full run is
`tests/recipes/exactly_once.py --rounds 200`.
"""
import argparse
import http.client
import random
import shutil
import sys
import tempfile
import threading
import time

from place import (Failure, Store, apply, free_port, server, until, worker)

RECIPES = {
    # One to one.
    "plain": """
name: plain
if: [{key: "/in/plain/{n}"}]
then: [{put: {key: "/out/plain/{{n}}", value: "{{raw}}"}}]
""",
    # Its events are effects of the first one's.
    "chained": """
name: chained
if: [{key: "/out/plain/{n}"}]
loop: {breaker: {count: 1000000, per: 1m}}
then: [{put: {key: "/out/chained/{{n}}", value: "{{raw}}"}}]
""",
    # A run that goes on in a later transaction.
    "waiting": """
name: waiting
if: [{key: "/in/waiting/{n}"}]
then:
  - put: {key: "/out/before/{{n}}", value: "{{raw}}"}
  - wait: 300ms
  - put: {key: "/out/waiting/{{n}}", value: "{{raw}}"}
""",
    # An edge with hysteresis: a memo for each key.
    "crossing": """
name: crossing
if: [{key: "/in/crossing/{n}", crosses: {of: value.x, above: 10, reset: 5}}]
then: [{put: {key: "/out/crossing/{{n}}", value: "{{value.x}}"}}]
""",
}


class Writers:
    """Put events until they are told to stop; who isn't answered doesn't know
    whether it was done, and looks at the end."""

    def __init__(self, port, seed):
        self.store = Store(port)
        self.random = random.Random(seed)
        self.stop = threading.Event()
        self.sent = {"plain": set(), "waiting": set(), "crossing": set()}
        self.threads = [threading.Thread(target=self.run, args=(i,))
                        for i in range(3)]

    def run(self, which):
        kind = list(self.sent)[which]
        n = 0
        while not self.stop.is_set():
            n += 1
            name = f"{which}-{n}"
            try:
                if kind == "crossing":
                    self.store.put(f"/in/crossing/{name}", '{"x": 1}')
                    self.store.put(f"/in/crossing/{name}", '{"x": 20}')
                    self.store.put(f"/in/crossing/{name}", '{"x": 12}')
                else:
                    self.store.put(f"/in/{kind}/{name}", name)
                self.sent[kind].add(name)
            except (OSError, http.client.HTTPException, Failure):
                time.sleep(0.02)
            time.sleep(0.002)

    def start(self):
        for thread in self.threads:
            thread.start()

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()


def wanted(store):
    """The effects that there must be, by what is in the store."""
    plain = {key.rsplit("/", 1)[1] for key in store.below("/in/plain/")}
    waiting = {key.rsplit("/", 1)[1] for key in store.below("/in/waiting/")}
    # One that was never above the limit, as its second put was not
    # answered and not done, has no effect.
    crossed = {key.rsplit("/", 1)[1]
               for key, (value, version) in store.below("/in/crossing/").items()
               if version >= 2}
    return {"plain": plain, "chained": plain, "before": waiting,
            "waiting": waiting, "crossing": crossed}


def check(store, writers):
    want = wanted(store)
    for kind, sent in writers.sent.items():
        lost = sent - want[kind]
        if lost:
            raise Failure(f"acknowledged and lost: {sorted(lost)[:5]}")
    until("all have had their effects",
          lambda: all(len(store.below(f"/out/{kind}/")) >= len(names)
                      for kind, names in want.items()), 90)
    time.sleep(0.5)
    total = 0
    for kind, names in want.items():
        out = store.below(f"/out/{kind}/")
        have = {key.rsplit("/", 1)[1] for key in out}
        if have != names:
            raise Failure(f"{kind}: without effect {sorted(names - have)[:5]}, "
                          f"without event {sorted(have - names)[:5]}")
        twice = [key for key, (_, version) in out.items() if version != 1]
        if twice:
            raise Failure(f"{kind}: twice {twice[:5]}")
        total += len(out)
    return total


def play_server(folder, log, rounds, rand):
    port, peer = free_port(), free_port()
    process = server(folder, log, port, peer, ["--recipes-lease-ttl=2s"])
    writers = None
    try:
        process.wait()
        for name, document in RECIPES.items():
            apply(port, name, document)
        writers = Writers(port, 1)
        writers.start()
        for _ in range(rounds):
            time.sleep(rand.uniform(0.2, 1.2))
            process.kill()
            process = server(folder, log, port, peer,
                             ["--recipes-lease-ttl=2s"])
            process.wait()
        time.sleep(1)
        writers.end()
        total = check(Store(port), writers)
        process.stop()
        return total
    finally:
        if writers:
            writers.end()
        process.end()


def play_workers(folder, log, rounds, rand):
    port, peer = free_port(), free_port()
    process = server(folder, log, port, peer, ["--recipes=false"])
    ports = [free_port() for _ in range(3)]
    workers = []
    writers = None
    try:
        process.wait()
        workers = [worker(log, one, port, ["--recipes-lease-ttl=2s"])
                   for one in ports]
        for one in workers:
            one.wait("/health")
        for name, document in RECIPES.items():
            apply(ports[0], name, document)
        writers = Writers(port, 2)
        writers.start()
        for _ in range(rounds):
            time.sleep(rand.uniform(0.2, 1.2))
            which = rand.randrange(3)
            workers[which].kill()
            workers[which] = worker(log, ports[which], port,
                                    ["--recipes-lease-ttl=2s"])
        time.sleep(1)
        writers.end()
        total = check(Store(port), writers)
        for one in workers:
            one.stop()
        process.stop()
        return total
    finally:
        if writers:
            writers.end()
        for one in workers:
            one.end()
        process.end()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=("server", "worker"))
    options = parser.parse_args()
    rand = random.Random(options.seed)
    failed = 0
    for name, play in (("server", play_server), ("worker", play_workers)):
        if options.only and name != options.only:
            continue
        folder = tempfile.mkdtemp(prefix="etched-recipes-")
        with open(folder + "/log", "wb") as log:
            try:
                total = play(folder + "/data", log, options.rounds, rand)
                print(f"ok kill -9 of the {name}, {options.rounds} rounds: "
                      f"{total} effects, each once")
                shutil.rmtree(folder)
            except Failure as error:
                failed += 1
                print(f"not ok kill -9 of the {name}: {error}; see {folder}")
        sys.stdout.flush()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
