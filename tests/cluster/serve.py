"""Stories of a cluster at work: every member serves, whoever leads."""
import http.client
import json
import threading
import time

from members import Cluster, check, equal, wait_for


def members_of(member):
    status, body = member.json("GET", "/v2/members")
    equal(status, 200, "the list of members")
    return body["members"]


def every_member_serves(folder):
    """three members: each takes writes, each has them, all agree who leads"""
    with Cluster(folder, 3) as cluster:
        for member in cluster.members:
            status, body = member.put(f"/from/{member.name}", "hello")
            equal((status, body["action"]), (201, "set"),
                  f"a write through {member.name}")
        for member in cluster.members:
            for writer in cluster.members:
                equal(member.get(f"/from/{writer.name}"), "hello",
                      f"{member.name} reads what {writer.name} took")
        lists = [sorted((m["name"], m["id"], tuple(m["peerURLs"]),
                         tuple(m["clientURLs"])) for m in members_of(member))
                 for member in cluster.members]
        equal(len(lists[0]), 3, "members listed")
        check(lists[0] == lists[1] == lists[2], f"lists differ: {lists}")
        leaders = {member.state()["leaderInfo"]["leader"]
                   for member in cluster.members}
        equal(len(leaders), 1, "leaders that are told of")
        for member in cluster.members:
            status, body = member.json("GET", "/v2/members/leader")
            equal((status, body["id"]), (200, leaders.copy().pop()),
                  "the leader as a member")


def same_answers(folder):
    """a follower's answers are the leader's: indexes, errors, conditions"""
    with Cluster(folder, 3) as cluster:
        leader = cluster.leader()
        follower = next(m for m in cluster.members if m is not leader)
        status, body = follower.put("/same/a", "1")
        first = body["node"]["modifiedIndex"]
        equal(status, 201, "made through the follower")
        status, body = leader.put("/same/a", "2")
        equal((status, body["prevNode"]["modifiedIndex"]), (200, first),
              "changed through the leader")
        equal(body["node"]["modifiedIndex"], first + 1, "the next index")
        path = "/v2/keys/same/a"
        status, body = follower.json("PUT", path + "?prevValue=1", "value=3")
        equal((status, body["errorCode"]), (412, 101), "a wrong prevValue")
        status, body = follower.json("PUT", path + "?prevValue=2", "value=3")
        equal((status, body["action"]), (200, "compareAndSwap"), "a swap")
        status, body = follower.json("POST", "/v2/keys/same/q", "value=x")
        equal((status, body["node"]["key"].startswith("/same/q/")),
              (201, True), "in-order")
        status, body = follower.json("DELETE", "/v2/keys/none")
        equal((status, body["errorCode"]), (404, 100), "nothing to delete")
        status, body = follower.json("PUT", "/v2/keys/same/t",
                                     "value=x&ttl=1")
        equal(status, 201, "a key with a second to live")
        wait_for(lambda: leader.get("/same/t") is None and
                 follower.get("/same/t") is None, "it is gone everywhere", 8)


def watches(folder):
    """a watch on one member sees what another took, in order, without a gap"""
    with Cluster(folder, 3) as cluster:
        one, other = cluster.members[0], cluster.members[2]
        first = one.put("/watched/0", "x")[1]["node"]["modifiedIndex"]
        seen = []

        def follow():
            connection = http.client.HTTPConnection(one.host, one.client_port,
                                                    timeout=20)
            connection.request("GET", "/v2/keys/watched?wait=true&stream=true"
                               f"&recursive=true&waitIndex={first}")
            answer = connection.getresponse()
            while len(seen) < 200:
                line = answer.readline()
                if not line:
                    return
                if line.strip():
                    seen.append(json.loads(line)["node"]["modifiedIndex"])

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        told = [first]
        for number in range(1, 200):
            told.append(other.put(f"/watched/{number % 7}",
                                  str(number))[1]["node"]["modifiedIndex"])
        thread.join(20)
        equal(seen, told, "the events")


def statistics(folder):
    """statistics: the leader counts its followers' answers, real numbers"""
    with Cluster(folder, 3) as cluster:
        leader = cluster.leader()
        for number in range(50):
            leader.put("/stats", str(number))
        status, body = leader.json("GET", "/v2/stats/leader")
        equal((status, len(body["followers"])), (200, 2), "the followers")
        for follower in body["followers"].values():
            check(follower["counts"]["success"] > 0 and
                  0 < follower["latency"]["average"] < 1000 and
                  follower["latency"]["minimum"] <=
                  follower["latency"]["maximum"], f"of a follower: {follower}")
        other = next(m for m in cluster.members if m is not leader)
        status, _ = other.ask("GET", "/v2/stats/leader")
        equal(status, 403, "asked of a follower")
        check(other.state()["recvAppendRequestCnt"] > 0, "appends received")
        check(leader.state()["sendAppendRequestCnt"] > 0, "appends sent")
        text = leader.ask("GET", "/metrics")[1].decode()
        equal(text.count("etcd_network_active_peers{"), 2, "active peers")


def no_leader(folder):
    """without a quorum: error 300 within the election time, local reads go on"""
    with Cluster(folder, 3) as cluster:
        cluster.members[0].put("/kept", "yes")
        cluster.wait_for_all("/kept", "yes")
        alone = cluster.members[0]
        for member in cluster.members[1:]:
            member.kill()
        time.sleep(2.5)
        began = time.monotonic()
        status, body = alone.put("/lost", "x", timeout=20)
        took = time.monotonic() - began
        check(status >= 500 and body.get("errorCode") in (300, 301),
              f"a write: {status} {body}")
        check(took < 9, f"the error came after {took:.1f} s")
        status, body = alone.json("GET", "/v2/keys/kept?quorum=true",
                                  timeout=20)
        check(body.get("errorCode") in (300, 301), f"a quorum read: {body}")
        equal(alone.get("/kept", quorum=False), "yes", "a local read")
        status, body = alone.json("GET", "/v2/members/leader")
        equal(status, 503, "who leads")
        status, body = alone.json("GET", "/health")
        equal((status, body["health"]), (503, "false"), "health")
        for member in cluster.members[1:]:
            member.start()
        cluster.wait_for_leader()
        equal(alone.get("/kept"), "yes", "after they came back")


def leader_dies(folder):
    """the leader is killed, again and again: writes go on, none is lost"""
    with Cluster(folder, 3) as cluster:
        told = {}
        for turn in range(5):
            for number in range(20):
                key = f"/turn/{turn}-{number}"
                if cluster.members[(turn + number) % 3].try_put(key, key):
                    told[key] = key
            leader = cluster.wait_for_leader()
            leader.kill()
            began = time.monotonic()
            rest = [m for m in cluster.members if m is not leader]
            wait_for(lambda: rest[0].try_put(f"/after/{turn}", "x", 3),
                     "a write after the leader's death", 20)
            told[f"/after/{turn}"] = "x"
            print(f"#    writes again after "
                  f"{(time.monotonic() - began) * 1000:.0f} ms")
            leader.start()
            wait_for(lambda: leader.try_json("GET", "/version")[0] == 200,
                     "the old leader is back", 20)
        check(len(told) > 60, f"too few writes were taken: {len(told)}")
        for member in cluster.members:
            for key, value in told.items():
                equal(member.get(key), value, f"{key} on {member.name}")


def leader_stops(folder):
    """a clean stop of the leader hands leadership over: no write fails"""
    with Cluster(folder, 3) as cluster:
        leader = cluster.leader()
        rest = [m for m in cluster.members if m is not leader]
        failed, done, ending = [], [], threading.Event()

        def write():
            number = 0
            while not ending.is_set():
                number += 1
                try:
                    status, body = rest[0].put("/steady", str(number))
                    if status not in (200, 201):
                        failed.append(body)
                except (OSError, http.client.HTTPException) as error:
                    failed.append(error)
                done.append(number)

        thread = threading.Thread(target=write)
        thread.start()
        time.sleep(0.3)
        equal(leader.stop(), 0, "its exit status")
        time.sleep(0.7)
        ending.set()
        thread.join()
        check(len(done) > 20, f"only {len(done)} writes")
        equal(failed, [], "writes that failed")


def all_restart(folder):
    """all are killed at once and started again: everything is there"""
    with Cluster(folder, 3) as cluster:
        for number in range(100):
            cluster.members[number % 3].put(f"/all/{number}", str(number))
        for member in cluster.members:
            member.kill()
        for member in cluster.members:
            member.start()
        cluster.wait_for_leader()
        for number in range(100):
            equal(cluster.members[(number + 1) % 3].get(f"/all/{number}"),
                  str(number), f"key {number}")


def five_members(folder):
    """five members: two may die"""
    with Cluster(folder, 5) as cluster:
        cluster.leader().kill()
        cluster.wait_for_leader(among=cluster.running())
        cluster.leader(cluster.running()).kill()
        leader = cluster.wait_for_leader(among=cluster.running())
        equal(len(cluster.running()), 3, "members that live")
        leader.put("/five", "x")
        cluster.wait_for_all("/five", "x")


STORIES = [every_member_serves, same_answers, watches, statistics, no_leader,
           leader_dies, leader_stops, all_restart, five_members]
