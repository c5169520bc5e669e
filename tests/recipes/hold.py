"""Time is state: what has to hold for ten seconds survives whoever counts them,
and fires if and only if it held."""
import random
import time

from service import (Failure, Member, Server, Worker, apply, check, kvs, put,
                     slowness, wait_for)

HOLD = """name: held
if:
  - key: /m/{h}
    crosses: {of: value, above: 90, reset: 85}
    for: %ds
then:
  - put: {key: 'fx/held/{{h}}/{{event.revision}}', value: '{{event.time}}'}
"""


def fired(server):
    """Which keys have fired, and how often."""
    count = {}
    for key, (_, created, modified, version) in kvs(server, "fx/").items():
        check(version == 1 and created == modified, f"{key} was done twice")
        host = key.split("/")[2]
        count[host] = count.get(host, 0) + 1
    return count


def wait_fired(server, host, began, due, early=1.0, late=1.0):
    """It fires `due` seconds after `began`, about."""
    late *= slowness()
    while not fired(server).get(host):
        if time.monotonic() > began + due + late:
            raise Failure(f"{host} hasn't fired after {due + late:.0f} s")
        time.sleep(0.02)
    took = time.monotonic() - began
    check(due - early <= took, f"{host} has fired after {took:.1f} s, not "
          f"after {due}")


def stays(server, count, seconds):
    time.sleep(seconds)
    found = fired(server)
    check(found == count, f"{found} have fired, not {count}")


def survives_a_kill(folder):
    """a hold of 10 s survives a kill -9 at second 5, and fires at second 10"""
    with Server(folder, "--recipes-lease-ttl=2s") as server:
        apply(server, HOLD % 10)
        put(server, "/m/before", "10")
        began = time.monotonic()
        put(server, "/m/a", "95")
        put(server, "/m/b", "95")
        time.sleep(5)
        server.kill()
        server.start()
        # Of this one nothing is left to fire.
        put(server, "/m/b", "20")
        # It changes, and still holds.
        put(server, "/m/a", "88")
        check(not fired(server), "it has fired too soon")
        wait_fired(server, "a", began, 10)
        stays(server, {"a": 1}, 2)


def is_decided_by_history(folder):
    """a hold that ended while nobody looked is decided by what was written"""
    with Server(folder, "--recipes=false") as server:
        worker = Worker(folder, "w", [f"127.0.0.1:{server.client_port}"])
        try:
            worker.start().wait_ready()
            apply(worker, HOLD % 4)
            put(server, "/m/warm", "95")
            wait_for(lambda: kvs(server, "/_recipes/state/held/hold"),
                     "it counts", 5 * slowness())
            began = time.monotonic()
            for host in ("broken", "long", "open"):
                put(server, f"/m/{host}", "95")
            time.sleep(1)
            worker.kill()
            time.sleep(1)
            put(server, "/m/broken", "20")  # at second 2 of 4
            time.sleep(max(0, began + 4.5 - time.monotonic()))
            put(server, "/m/long", "20")    # at second 4.5
            time.sleep(0.5)
            check(not fired(server), "somebody acts who is dead")
            worker.start()
            wait_for(lambda: fired(server).get("open"), "it fires late",
                     10 * slowness())
            stays(server, {"warm": 1, "long": 1, "open": 1}, 2)
        finally:
            worker.kill()


def goes_to_another(folder):
    """a hold of 10 s goes to another member when its own is killed, and one
    that is broken through another member does not fire"""
    members = Member.cluster(folder, 3, "--recipes-lease-ttl=2s")
    try:
        for member in members:
            member.start()
        for member in members:
            member.wait_ready()
        apply(members[0], HOLD % 10)
        owner = wait_for(lambda: owner_of(members[0]), "somebody has it",
                         10 * slowness())
        victim = next(member for member in members
                      if member.name == owner)
        other = random.choice([member for member in members
                               if member is not victim])
        began = time.monotonic()
        put(other, "/m/a", "95")
        put(other, "/m/b", "95")
        time.sleep(5)
        victim.kill()
        # A new leader may have to be found.
        other.wait_ready()
        put(other, "/m/b", "20")
        wait_fired(other, "a", began, 10)
        stays(other, {"a": 1}, 1)
        victim.start().wait_ready()
        stays(victim, {"a": 1}, 2)
    finally:
        for member in members:
            member.kill()


def owner_of(server):
    """The name of the member that has the recipe."""
    found = kvs(server, "/_recipes/owner/held")
    for value, *_ in found.values():
        worker = kvs(server, "/_recipes/worker/" + value.decode())
        for name, *_ in worker.values():
            return name.decode().split('"name":"')[1].split('"')[0]
    return None


STORIES = [survives_a_kill, is_decided_by_history, goes_to_another]
