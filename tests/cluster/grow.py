"""Stories of membership: who joins, who leaves, who is not let in."""
import json
import os
import subprocess
import time

from members import (BIN, Cluster, Member, check, equal, free_port, wait_for)

JSON = {"Content-Type": "application/json"}


def post_member(through, peer_url):
    return through.json("POST", "/v2/members",
                        json.dumps({"peerURLs": [peer_url]}), JSON)


def listing(cluster):
    return ",".join(f"{m.name}={m.peer_url}" for m in cluster.members)


def add_and_remove(folder):
    """a member is added, serves, is removed, ends by itself, stays out"""
    with Cluster(folder, 3) as cluster:
        first = cluster.members[0]
        for number in range(50):
            first.put(f"/before/{number}", str(number))
        new = cluster.add()
        status, body = post_member(cluster.members[1], new.peer_url)
        equal((status, body["peerURLs"]), (201, [new.peer_url]), "added")
        new_id = body["id"]
        status, body = post_member(first, new.peer_url)
        equal(status, 409, "added again")
        new.flags = ["--initial-cluster", listing(cluster),
                     "--initial-cluster-state", "existing"]
        new.start()
        wait_for(lambda: new.try_json("GET", "/version", timeout=1)[0] == 200,
                 "the new member answers", 20)
        wait_for(lambda: new.try_put("/through/new", "x"),
                 "a write through the new member", 20)
        for number in range(50):
            equal(new.get(f"/before/{number}"), str(number),
                  f"the new member has key {number}")
        equal(new.id(), new_id, "its id")
        status, _ = first.ask("DELETE", f"/v2/members/{new_id}")
        equal(status, 204, "removed")
        equal(new.wait(), 0, "its exit status")
        check("removed" in new.log(), "it says why")
        status, _ = first.ask("DELETE", f"/v2/members/{new_id}")
        equal(status, 410, "removed again")
        status, _ = first.ask("DELETE", "/v2/members/123456")
        equal(status, 404, "one that never was")
        new.start()
        equal(new.wait(), 0, "started again, it ends again")
        equal(len(first.json("GET", "/v2/members")[1]["members"]), 3,
              "members")


def the_leader_leaves(folder):
    """the leader is removed: another leads, it ends"""
    with Cluster(folder, 3) as cluster:
        leader = cluster.leader()
        rest = [m for m in cluster.members if m is not leader]
        status, _ = rest[0].ask("DELETE", f"/v2/members/{leader.id()}",
                                timeout=15)
        equal(status, 204, "removed")
        equal(leader.wait(), 0, "its exit status")
        cluster.wait_for_leader(among=rest)
        check(rest[0].try_put("/go/on", "x"), "a write afterwards")


def addresses_change(folder):
    """a member moves to another peer address"""
    with Cluster(folder, 3) as cluster:
        moved = cluster.members[2]
        moved_id = moved.id()
        moved.stop()
        moved.peer_port = free_port()
        moved.peer_url = f"http://{moved.host}:{moved.peer_port}"
        status, _ = cluster.members[0].ask(
            "PUT", f"/v2/members/{moved_id}",
            json.dumps({"peerURLs": [moved.peer_url]}), JSON, timeout=15)
        equal(status, 204, "its new address is told")
        moved.start()
        cluster.wait_for_leader()
        cluster.members[0].put("/moved", "yes")
        cluster.wait_for_all("/moved", "yes")


def refusals(folder):
    """who doesn't belong is told so: wrong cluster, name twice, not added"""
    with Cluster(folder, 3) as cluster:
        # It was never added.
        new = cluster.add()
        new.flags = ["--initial-cluster", listing(cluster),
                     "--initial-cluster-state", "existing"]
        new.start()
        check(new.wait(30) != 0, "one that wasn't added started")
        check("member" in new.log(), f"it says why: {new.log()[-300:]}")
        # The same name twice.
        twice = Member(cluster, 7)
        twice.flags = ["--initial-cluster",
                       f"m7={twice.peer_url},m7=http://127.0.0.1:1,"
                       f"m8={twice.peer_url}"]
        twice.start()
        check(twice.wait(10) != 0, "one address for two names started")
        # Of another cluster: the same members, another token.
        other = cluster.members[2]
        other.kill()
        other.flags += ["--initial-cluster-token", "another"]
        other.data += ".new"
        other.start()
        time.sleep(1.5)
        check("cluster" in other.log().lower(), "it says what is wrong")
        equal(len(cluster.members[0].json("GET", "/v2/members")[1]["members"]),
              3, "members")
        check(cluster.members[0].try_put("/others", "go on"), "others go on")
        check(other.get("/others", quorum=False) is None
              if other.runs() else True, "it has nothing of theirs")


def machines_of_0_4(folder):
    """0.4's machines join by -peers; the fourth is a standby; it takes over
    for one that died, by itself, and no write fails"""
    with Cluster(folder, 1, "--cluster-active-size=3",
                 "--cluster-remove-delay=2") as cluster:
        first = cluster.members[0]
        for _ in range(3):
            new = cluster.add()
            new.flags = ["-peers", f"127.0.0.1:{first.peer_port}"]
            new.start()
            wait_for(lambda new=new: new.try_put(f"/join/{new.name}", "x", 3),
                     f"a write through {new.name}", 20)

        def states():
            status, machines = first.try_json(
                "GET", "/v2/admin/machines", peer=True, timeout=3)
            if status != 200:
                return []
            return sorted(machine["state"] for machine in machines)

        wait_for(lambda: states() == ["follower", "follower", "leader",
                                      "standby"],
                 "three voters and a standby", 20)
        status, config = first.json("GET", "/v2/admin/config", peer=True)
        equal((config["activeSize"], config["removeDelay"]), (3, 2),
              "the configuration")
        named = {member.name: member for member in cluster.members}
        machines = first.json("GET", "/v2/admin/machines", peer=True)[1]
        standby = named[next(machine["name"] for machine in machines
                             if machine["state"] == "standby")]
        check(standby.try_put("/standby", "forwards"), "a standby's client")
        victim = next(named[machine["name"]] for machine in machines
                      if machine["state"] == "follower" and
                      machine["name"] != first.name)
        failed = []
        victim.kill()
        began = time.monotonic()
        while time.monotonic() - began < 7:
            if not first.try_put("/steady", str(time.monotonic())):
                failed.append(time.monotonic() - began)
            if states().count("standby") == 1 and promoted(first, standby):
                break
            time.sleep(0.02)
        took = time.monotonic() - began
        check(promoted(first, standby), "the standby was not promoted")
        check(2 <= took < 2 + 5, f"it took {took:.1f} s")
        equal(failed, [], "writes that failed")
        victim.start()
        wait_for(lambda: victim.try_put("/back", "x", 3), "it is back", 20)
        wait_for(lambda: states() == ["follower", "follower", "leader",
                                      "standby"],
                 "the one that came back is a standby", 20)


def promoted(through, standby):
    status, machine = through.try_json(
        "GET", f"/v2/admin/machines/{standby.name}", peer=True, timeout=3)
    return status == 200 and machine is not None and \
        machine.get("state") in ("follower", "leader")


def active_size(folder):
    """a smaller active size makes standbys of voters, a larger one the
    other way round"""
    with Cluster(folder, 4) as cluster:
        first = cluster.members[0]

        def standbys():
            machines = first.try_json("GET", "/v2/admin/machines",
                                      peer=True, timeout=3)[1]
            return [m["state"] for m in machines or []].count("standby")

        equal(standbys(), 0, "standbys of four")
        status, config = cluster.members[1].json(
            "PUT", "/v2/admin/config", '{"activeSize": 3}', JSON, peer=True)
        equal((status, config["activeSize"]), (200, 3), "set to three")
        wait_for(lambda: standbys() == 1, "one standby", 15)
        cluster.members[1].json("PUT", "/v2/admin/config",
                                '{"activeSize": 5}', JSON, peer=True)
        wait_for(lambda: standbys() == 0, "no standby", 15)
        status, _ = first.ask("PUT", "/v2/admin/config", "nonsense", JSON,
                              peer=True)
        equal(status, 500, "what isn't JSON")
        check(first.try_put("/sized", "x"), "a write")


def by_discovery(folder):
    """three members find each other through our own discovery service; a
    fourth is told that the cluster is full"""
    with Cluster(os.path.join(folder), 1) as registry:
        service = registry.members[0]
        token = "/v2/keys/_etcd/registry/a1b2"
        service.json("PUT", token + "/_config/size", "value=3")
        inner = os.path.join(folder, "found")
        os.mkdir(inner)
        with Cluster(inner, 3, start=False) as cluster:
            for member in cluster.members:
                member.flags = ["--discovery", service.url + token]
                member.start()
            cluster.wait_for_leader()
            equal(len(cluster.members[0].json("GET", "/v2/members")[1]
                      ["members"]), 3, "members")
            fourth = cluster.add("--discovery", service.url + token,
                                 "--discovery-fallback", "exit")
            fourth.start()
            check(fourth.wait(20) != 0, "the fourth started")
            check("full" in fourth.log(), f"it says: {fourth.log()[-300:]}")


def by_etchctl(folder):
    """etchctl: member add, update, remove, and cluster-health"""
    with Cluster(folder, 3) as cluster:
        first = cluster.members[0]

        def ctl(*words):
            return subprocess.run(
                [os.path.join(BIN, "etcdctl"), "--endpoints", first.url,
                 *words], capture_output=True, text=True, timeout=20,
                check=False,
                env=dict(os.environ, ETCDCTL_API="2")).stdout

        text = ctl("cluster-health")
        check("cluster is healthy" in text, f"health: {text}")
        equal(ctl("member", "list").count("isLeader=true"), 1, "leaders")
        new = cluster.add()
        text = ctl("member", "add", "m3", new.peer_url)
        check("Added member named m3 with ID" in text and
              'ETCD_INITIAL_CLUSTER_STATE="existing"' in text,
              f"member add: {text}")
        new_id = text.split("with ID ")[1].split()[0]
        text = ctl("member", "update", new_id, "http://127.0.0.1:1")
        check(f"Updated member with ID {new_id} in cluster" in text, text)
        text = ctl("member", "remove", new_id)
        check(f"Removed member {new_id} from cluster" in text, text)
        equal(ctl("member", "list").count("peerURLs"), 3, "members")


def by_one_command(folder):
    """a proxy in front of a cluster: reads, writes, watches, a death"""
    with Cluster(folder, 3) as cluster:
        port = free_port()
        proxy = Member(cluster, 9)
        proxy.client_port = port
        proxy.url = f"http://127.0.0.1:{port}"
        proxy.flags = ["--proxy", "on", "--initial-cluster",
                       ",".join(f"{m.name}={m.peer_url}"
                                for m in cluster.members)]
        cluster.members.append(proxy)
        proxy.start()
        wait_for(lambda: proxy.try_put("/by/proxy", "x", 3),
                 "a write through the proxy", 15)
        equal(cluster.members[0].get("/by/proxy"), "x", "it is there")
        endpoints = proxy.json("GET", "/v2/config/local/proxy")[1]["endpoints"]
        equal(sorted(endpoints), sorted(m.url for m in cluster.members[:3]),
              "its endpoints")
        cluster.members[0].kill()
        for number in range(10):
            wait_for(lambda number=number:
                     proxy.try_put(f"/by/{number}", "x", 5),
                     "a write after a member's death", 15)


STORIES = [add_and_remove, the_leader_leaves, addresses_change, refusals,
           machines_of_0_4, active_size, by_discovery, by_etchctl,
           by_one_command]
