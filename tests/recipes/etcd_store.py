"""The same, with Debian's etcd as the store and the service beside it; and what
can't be had there, which is said."""
import random
import time

import exactly_once
import hold
import outside
from service import (HOST, Etcd, Worker, apply, check, equal, kvs, put, rest,
                     slowness, wait_for)

# etcd doesn't say what made a change, so there is no "expire".
RECIPES = [text.replace("events: [create, update, delete, expire]",
                        "events: [create, update, delete]")
           for text in exactly_once.RECIPES]


def start_workers(folder, store, count, *flags):
    return [Worker(folder, f"w{i}", [f"{HOST}:{store.client_port}"], *flags)
            for i in range(count)]


def exactly_once_on_etcd(folder, rounds=4, seed=1):
    """on etcd each event has its effects once, though workers are killed, and
    etcd too"""
    acknowledged = []
    rng = random.Random(seed)
    with Etcd(folder) as store:
        store.wait_ready()
        workers = start_workers(folder, store, 3)

        def kill_some():
            exactly_once.shake(rng, workers)
            if rng.random() < 0.4:
                store.kill()
        try:
            for worker in workers[:2]:
                worker.start()
            workers[0].wait_ready()
            for text in RECIPES:
                apply(workers[0], text)
            for number in range(rounds):
                acknowledged += exactly_once.write_for(
                    store, rng.uniform(0.1, 0.5), seed * 1000 + number,
                    kill_some)
                if not store.is_running():
                    store.start().wait_ready()
            for worker in workers:
                if not worker.is_running():
                    worker.start()
            events, effects = exactly_once.settle(store, acknowledged)
        finally:
            for worker in workers:
                worker.kill()
    check(events > 10 * rounds, f"only {events} events: this showed nothing")
    return events, effects


def holds_on_etcd(folder):
    """on etcd a hold of 10 s survives its worker at second 5, and fires at
    second 10; one that was broken while nobody looked does not fire"""
    with Etcd(folder) as store:
        store.wait_ready()
        worker, other = start_workers(folder, store, 2)
        try:
            worker.start().wait_ready()
            apply(worker, hold.HOLD % 10)
            put(store, "/m/warm", "10")
            began = time.monotonic()
            put(store, "/m/a", "95")
            put(store, "/m/b", "95")
            wait_for(lambda: len(kvs(store, "/_recipes/state/held/hold")) == 2,
                     "it counts", 5)
            time.sleep(max(0, began + 5 - time.monotonic()))
            worker.kill()
            put(store, "/m/b", "20")
            other.start()
            hold.wait_fired(store, "a", began, 10)
            hold.stays(store, {"a": 1}, 2)
        finally:
            worker.kill()
            other.kill()


def outside_on_etcd(folder):
    """on etcd what goes outside arrives or is a dead letter, though the worker
    is killed"""
    receiver = outside.Receiver()
    kinds = ("fine", "fails", "later", "drops", "refused", "broken")
    with Etcd(folder) as store:
        store.wait_ready()
        worker, other = start_workers(folder, store, 2,
                                      "--recipes-allow-local")
        try:
            worker.start().wait_ready()
            apply(worker, outside.TELL % (HOST, receiver.port()))
            paths = outside.send(store, kinds, 3)
            time.sleep(0.2)
            worker.kill()
            other.start()
            paths += outside.send(store, kinds, 3, 3)
            outside.wait_all(store, paths, 30)
            outside.check_keys(receiver)
            outside.check_waits(receiver)
            arrived = receiver.arrived()
            other.wait_ready()
            letters = {letter["key"].replace("/tell", "", 1)
                       for letter in outside.dead(other)}
            lost = set(paths) - arrived - letters
            check(not lost, f"lost: {sorted(lost)[:5]}")
        finally:
            worker.kill()
            other.kill()
    receiver.shutdown()


EXPIRES = """name: expires
if: [{key: '/e/{x}', events: [%s]}]
then:
  - put: {key: 'fx/{{x}}', value: '{{event.type}}'}
"""


def what_cant_be_had(folder):
    """on etcd what can't be had is refused with words that say so"""
    with Etcd(folder) as store:
        store.wait_ready()
        worker = start_workers(folder, store, 1)[0]
        try:
            worker.start().wait_ready()
            apply(worker, EXPIRES % "delete")
            at = put(store, "/e/a", "x")
            wait_for(lambda: kvs(store, "/_recipes/owner/"), "it is at work",
                     10 * slowness())
            for method, path, body in (
                    ("GET", f"explain?recipe=expires&revision={at}", None),
                    ("POST", "backtest", {"recipe": "expires", "from": 1})):
                answer = rest(worker, method, path, body)
                equal(answer.status, 501, f"{path} on etcd")
                error = answer.json()["error"]
                check("needs etched" in error["message"], f"{path}: {error}")
            answer = rest(worker, "PUT", "defs/expires",
                          EXPIRES % "expire",
                          {"Content-Type": "application/yaml"})
            equal(answer.status, 400, f"events: [expire] on etcd: {answer}")
            check("etcd" in answer.json()["error"]["message"],
                  f"events: [expire]: {answer}")
        finally:
            worker.kill()


def an_expiry_is_a_delete(folder):
    """on etcd the end of a lease is a delete"""
    with Etcd(folder) as store:
        store.wait_ready()
        worker = start_workers(folder, store, 1)[0]
        try:
            worker.start().wait_ready()
            apply(worker, EXPIRES % "delete")
            with exactly_once.H2(store) as client:
                lease = client.grant(1)
                client.put("/e/short", "x", lease=lease).answer()
            found = wait_for(lambda: kvs(store, "fx/"), "it fires",
                             10 * slowness())
            equal(found["fx/short"][0], b"delete", "its type")
        finally:
            worker.kill()


ALL_SORTS = (
    """name: tick
if: [{every: 1s}]
then: [{put: {key: fx/tick, value: '{{event.type}}'}}]
""",
    """name: silent
if: [{absent: /beat, for: 2s}]
then: [{put: {key: fx/silent, value: '{{key}}'}}]
""",
    """name: hook
if: [{webhook: {path: it, dedupe: body.id}}]
then:
  - put: {key: 'fx/hook/{{body.id}}/{{event.revision}}', value: x}
  - call: {recipe: called, args: {from: '{{body.id}}'}}
""",
    """name: called
if: [{manual: true}]
then:
  - wait: 1s
  - put: {key: 'fx/called/{{args.from}}', value: x, ttl: 1h}
""",
    """name: after
if: [{recipe: {name: called}}]
then: [{put: {key: fx/after, value: '{{value.status}}'}}]
""",
    """name: cause
if: [{key: '/c/{x}'}]
where: ["!exists('/c/none')"]
then: [{put: {key: fx/cause, value: '<{{event.cause}}>'}}]
""")


def all_sorts_on_etcd(folder):
    """on etcd clocks, silence, webhooks, calls, waits, leases, conditions and
    other recipes' outcomes are what they are on etched; a cause isn't known"""
    with Etcd(folder) as store:
        store.wait_ready()
        worker = start_workers(folder, store, 1)[0]
        try:
            worker.start().wait_ready()
            for text in ALL_SORTS:
                apply(worker, text)
            put(store, "/beat", "x")
            body = '{"id": "1"}'
            wait_for(lambda: rest(worker, "POST", "hooks/it", body).status
                     == 202, "a delivery", 10 * slowness())
            equal(rest(worker, "POST", "hooks/it", body).json()["duplicate"],
                  True, "the same delivery")
            put(store, "/c/1", "x")
            wanted = {"fx/tick", "fx/silent", "fx/called/1", "fx/after",
                      "fx/cause"}
            wait_for(lambda: wanted <= set(kvs(store, "fx/")), "all of it",
                     20 * slowness())
            found = kvs(store, "fx/")
            equal(len([key for key in found if key.startswith("fx/hook/")]),
                  1, "deliveries that had their effect")
            equal(found["fx/silent"][0], b"/beat", "who was silent")
            equal(found["fx/after"][0], b"ok", "how it ended")
            equal(found["fx/cause"][0], b"<>", "a cause on etcd")
        finally:
            worker.kill()


def a_gap_is_told(folder):
    """on etcd, which compacts when it is asked to, a recipe that was behind is
    told of a gap, and goes on when it is resumed"""
    with Etcd(folder) as store:
        store.wait_ready()
        worker = start_workers(folder, store, 1)[0]
        try:
            worker.start().wait_ready()
            apply(worker, EXPIRES % "create")
            put(store, "/e/1", "x")
            wait_for(lambda: "fx/1" in kvs(store, "fx/"), "it works",
                     10 * slowness())
            worker.kill()
            for number in range(2, 5):
                at = put(store, f"/e/{number}", "x")
            with exactly_once.H2(store) as client:
                client.call("/etcdserverpb.KV/Compact", (1, at)).answer()
            worker.start().wait_ready()

            def state():
                return rest(worker, "GET",
                            "defs/expires").json()["status"]["state"]
            wait_for(lambda: state() == "gap", "it says so", 20 * slowness())
            equal(rest(worker, "POST", "defs/expires/resume").status, 200,
                  "resume")
            put(store, "/e/5", "x")
            wait_for(lambda: "fx/5" in kvs(store, "fx/"), "it goes on",
                     10 * slowness())
        finally:
            worker.kill()


STORIES = [exactly_once_on_etcd, holds_on_etcd, outside_on_etcd,
           what_cant_be_had, an_expiry_is_a_delete, all_sorts_on_etcd,
           a_gap_is_told]
