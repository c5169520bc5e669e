"""Exactly once, with real processes: writers put and delete keys that recipes
watch, and the server (or the workers beside it) is killed again and again.
In the end each event that the store has seen must have had its effects, once.

Each effect is a key that names the event which it is for, so one that is
missing, one too many and one that was done twice are told apart:

    fx/<what>/<revision>/<writer>/<key>

What must have come of the events is computed here, from the store's history.
"""
import random
import threading
import time

from service import (H2, Failure, Server, Worker, apply, check, equal,
                     events_of, h2, kvs, slowness, wait_for)

WRITERS = 4
KEYS = 6
LIMIT, RESET = 60, 30

ALL = "events: [create, update, delete, expire]"
RECIPES = [
    # Everything that happens.
    f"""name: count
start: beginning
if: [{{key: '/in/{{w}}/{{k}}', {ALL}}}]
then:
  - put: {{key: 'fx/count/{{{{event.revision}}}}/{{{{w}}}}/{{{{k}}}}', value: '{{{{event.type}}}}'}}
""",
    # What the first has done.
    """name: chain
start: beginning
if: [{key: 'fx/count/{at}/{w}/{k}'}]
loop: {breaker: {count: 1000000, per: 1m}}
then:
  - put: {key: 'fx/chain/{{at}}/{{w}}/{{k}}', value: '{{raw}}'}
""",
    # An edge, with hysteresis.
    f"""name: edge
start: beginning
if: [{{key: '/in/{{w}}/{{k}}', crosses: {{of: value, above: {LIMIT}, reset: {RESET}}}}}]
then:
  - put: {{key: 'fx/edge/{{{{event.revision}}}}/{{{{w}}}}/{{{{k}}}}', value: '{{{{raw}}}}'}}
""",
    # Conditions at the event's revision.
    """name: where
start: beginning
if: [{key: '/in/{w}/{k}'}]
where:
  - "value % 2 == 0"
  - "exists('/in/' + w + '/0')"
order: strict
then:
  - put: {key: 'fx/where/{{event.revision}}/{{w}}/{{k}}', value: '{{raw}}'}
""",
    # A run that waits, beside others.
    """name: waits
start: beginning
if: [{key: '/in/{w}/1'}]
order: none
then:
  - put: {key: 'fx/before/{{event.revision}}/{{w}}/1', value: '{{raw}}'}
  - wait: 100ms
  - put: {key: 'fx/after/{{event.revision}}/{{w}}/1', value: '{{raw}}'}
""",
    # One run after the other, each of which waits.
    """name: queued
start: beginning
if: [{key: '/in/{w}/2'}]
where: ["value % 10 == 0"]
order: per-key
mode: queued
max: 100
then:
  - wait: 20ms
  - put: {key: 'fx/queued/{{event.revision}}/{{w}}/2', value: '{{raw}}'}
""",
]


class Writer(threading.Thread):
    """Puts and deletes until its server is killed; knows what was
    acknowledged."""

    def __init__(self, server, number, seed):
        super().__init__(daemon=True)
        self.server = server
        self.number = number
        self.random = random.Random(seed * 100 + number)
        self.acknowledged = []  # (revision, key, value or None)
        self.ended = False
        self.wrong = None

    def run(self):
        try:
            with H2(self.server, timeout=20) as client:
                while not client.closed and not self.ended:
                    self.step(client)
        except OSError:
            pass
        except Failure as failure:
            # The kill ends a call in its midst; all else is an error.
            if "the connection ended" not in str(failure):
                self.wrong = str(failure)

    def step(self, client):
        rng = self.random
        key = f"/in/{self.number}/{rng.randrange(KEYS)}"
        if rng.random() < 0.1:
            answer = client.call("/etcdserverpb.KV/DeleteRange",
                                 (1, key)).answer()
            if answer.number(2):
                self.note(answer, key, None)
        else:
            value = str(rng.randrange(100))
            self.note(client.put(key, value).answer(), key, value)
        if rng.random() < 0.5:
            time.sleep(rng.random() * 0.01)

    def note(self, answer, key, value):
        self.acknowledged.append((answer.one(1).number(3), key, value))


def write_for(server, seconds, seed, then):
    """Writers at work; `then` after so long; what they were acknowledged."""
    writers = [Writer(server, i, seed) for i in range(WRITERS)]
    for writer in writers:
        writer.start()
    time.sleep(seconds)
    then()
    for writer in writers:
        writer.ended = True
    for writer in writers:
        writer.join(30)
        check(not writer.is_alive(), "a writer hangs")
        equal(writer.wrong, None, "a writer's error")
    return [one for writer in writers for one in writer.acknowledged]


# ---- what must have come of it ----------------------------------------------

def must_be(events):
    """The keys of all effects, by the history of what was written."""
    effects, values, over = set(), {}, set()
    for event in events:
        key = event.key
        rest = f"{event.revision}/{key[len('/in/'):]}"
        effects |= {f"fx/count/{rest}", f"fx/chain/{rest}"}
        if event.is_delete:
            values.pop(key, None)
            over.discard(key)
            continue
        value = int(event.value)
        values[key] = value
        if key not in over and value > LIMIT:
            over.add(key)
            effects.add(f"fx/edge/{rest}")
        elif key in over and value <= RESET:
            over.discard(key)
        writer, name = key.split("/")[2:4]
        if value % 2 == 0 and f"/in/{writer}/0" in values:
            effects.add(f"fx/where/{rest}")
        if name == "1":
            effects |= {f"fx/before/{rest}", f"fx/after/{rest}"}
        if name == "2" and value % 10 == 0:
            effects.add(f"fx/queued/{rest}")
    return effects


def states(server):
    """What the service says of its recipes, for a failure's text."""
    return {key: value[0] for key, value in
            kvs(server, "/_recipes/status/").items()}


def settle(server, acknowledged, where=None, seconds=60):
    """Waits until all has had its effects, and looks at them."""
    events = events_of(server, "/in/")
    seen = {(event.revision, event.key,
             None if event.is_delete else event.value) for event in events}
    lost = [one for one in acknowledged if one not in seen]
    check(not lost, f"acknowledged, and not in the store: {lost[:5]}")
    wanted = must_be(events)

    def missing():
        return wanted - set(kvs(server, "fx/", keys_only=True))
    try:
        wait_for(lambda: not missing(), "all effects", seconds * slowness())
    except Failure as failure:
        some = sorted(missing())
        raise Failure(f"{failure}: {len(some)} of {len(wanted)} are missing: "
                      f"{some[:5]} {states(where or server)}") from None
    # What was thought to be lost may be done yet.
    time.sleep(1)
    effects = kvs(server, "fx/")
    effects.pop("fx/~", None)
    more = sorted(set(effects) - wanted)
    check(not more, f"{len(more)} effects without an event: {more[:5]}")
    twice = [key for key, (_, created, modified, version) in effects.items()
             if version != 1 or created != modified]
    check(not twice, f"{len(twice)} effects were done twice: {twice[:5]}")
    puts = {}
    for event in events_of(server, "fx/"):
        puts[event.key] = puts.get(event.key, 0) + 1
    again = [key for key, count in puts.items() if count != 1]
    check(not again and len(puts) == len(wanted),
          f"{len(again)} effects were made again: {again[:5]}")
    return len(events), len(wanted)


def kill_the_server(folder, rounds=4, seed=1):
    """each event has its effects once, though the server is killed"""
    acknowledged = []
    rng = random.Random(seed)
    with Server(folder, "--recipes-lease-ttl=2s") as server:
        for text in RECIPES:
            apply(server, text)
        for number in range(rounds):
            acknowledged += write_for(server, rng.uniform(0.1, 0.6),
                                      seed * 1000 + number, server.kill)
            server.start()
            if rng.random() < 0.3:
                # While it takes its work up again.
                time.sleep(rng.uniform(0, 0.4))
                server.kill()
                server.start()
        events, effects = settle(server, acknowledged)
    check(events > 20 * rounds, f"only {events} events: this showed nothing")
    return events, effects


def kill_the_workers(folder, rounds=6, seed=1):
    """each event has its effects once, though workers are killed"""
    acknowledged = []
    rng = random.Random(seed)
    with Server(folder, "--recipes=false") as server:
        workers = [Worker(folder, f"w{i}", [f"127.0.0.1:{server.client_port}"])
                   for i in range(3)]
        try:
            for worker in workers[:2]:
                worker.start()
            workers[0].wait_ready()
            for text in RECIPES:
                apply(workers[0], text)
            for number in range(rounds):
                acknowledged += write_for(
                    server, rng.uniform(0.1, 0.5), seed * 1000 + number,
                    lambda: shake(rng, workers))
            for worker in workers:
                if not worker.is_running():
                    worker.start()
            events, effects = settle(server, acknowledged)
        finally:
            for worker in workers:
                worker.kill()
    check(events > 20 * rounds, f"only {events} events: this showed nothing")
    return events, effects


def shake(rng, workers):
    """Some die, some leave, some come; one is there always."""
    for worker in workers:
        if not worker.is_running():
            worker.start()
    victims = rng.sample(workers, rng.choice([1, 1, 2]))
    for worker in victims:
        if rng.random() < 0.2:
            worker.stop()
        else:
            worker.kill()
    if rng.random() < 0.5:
        victims[0].start()


def kill_all(folder, rounds=4, seed=1):
    """each event has its effects once, though all are killed"""
    acknowledged = []
    rng = random.Random(seed)
    with Server(folder, "--recipes=false") as server:
        workers = [Worker(folder, f"w{i}", [f"127.0.0.1:{server.client_port}"])
                   for i in range(2)]

        def kill_some():
            server.kill()
            if rng.random() < 0.7:
                rng.choice(workers).kill()
        try:
            for worker in workers:
                worker.start()
            workers[0].wait_ready()
            for text in RECIPES:
                apply(workers[0], text)
            for number in range(rounds):
                acknowledged += write_for(server, rng.uniform(0.1, 0.5),
                                          seed * 1000 + number, kill_some)
                server.start()
                for worker in workers:
                    if not worker.is_running():
                        worker.start()
            events, effects = settle(server, acknowledged)
        finally:
            for worker in workers:
                worker.kill()
    check(events > 10 * rounds, f"only {events} events: this showed nothing")
    return events, effects


def the_arithmetic(folder):
    """what must come of a history is told rightly"""
    del folder

    class Past:
        def __init__(self, revision, key, value):
            self.revision, self.key = revision, key
            self.value, self.is_delete = value, value is None
    effects = must_be([Past(2, "/in/0/0", "61"), Past(3, "/in/0/0", "90"),
                       Past(4, "/in/0/0", "30"), Past(5, "/in/0/0", "62"),
                       Past(6, "/in/0/0", None), Past(7, "/in/0/2", "70")])
    equal(sorted(effects), sorted(
        [f"fx/{what}/{at}/0/0" for what in ("count", "chain")
         for at in range(2, 7)] +
        ["fx/count/7/0/2", "fx/chain/7/0/2", "fx/edge/2/0/0", "fx/edge/5/0/0",
         "fx/edge/7/0/2", "fx/queued/7/0/2"] +
        [f"fx/where/{at}/0/0" for at in (3, 4, 5)]), "effects")


STORIES = [the_arithmetic, kill_the_server, kill_the_workers, kill_all]
