"""How members find their cluster: lists, discovery, 0.4's peers; who is
refused, and in which words; proxies."""
import http.client
import json
import os
import re
import shutil
import subprocess
import time

from world import (HOST, Failure, Server, Skip, check, equal, free_port,
                   wait_for)

TOKEN = ("--initial-cluster-token", "story")
ETCD = "/usr/bin/etcd"


# ---- members ----------------------------------------------------------------

def make(folder, name, *flags):
    """A server of that name that isn't started; it has no list yet."""
    server = Server(folder, "--name", name, *flags, name=name, start=False)
    at = server.flags.index("--initial-cluster")
    del server.flags[at:at + 2]
    server.name = name
    return server


def list_of(servers):
    return ",".join(f"{one.name}={one.peer_url}" for one in servers)


def start_all(servers):
    """At once, since none serves before more than half are there."""
    for one in servers:
        one.launch()
    for one in servers:
        wait_for(one.is_up, f"{one.name} answers", 20)
        wait_for(lambda one=one: is_ready(one), f"{one.name} is ready", 20)


def is_ready(server):
    return server.get("/readyz").status == 200


def three(folder, group):
    servers = [group.add(make(folder, name)) for name in ("a", "b", "c")]
    for one in servers:
        one.flags += ["--initial-cluster", list_of(servers), *TOKEN]
    start_all(servers)
    return servers


class Group:
    """Servers that are stopped at the story's end, whatever happens."""

    def __init__(self, *servers):
        self.servers = list(servers)

    def __enter__(self):
        return self

    def add(self, *servers):
        self.servers += servers
        return servers[0]

    def __exit__(self, *_error):
        for one in self.servers:
            one.kill()


def refused(server, *words):
    """It doesn't start, and says these words."""
    status, text = server.start_in_vain(30)
    equal(status, 1, f"exit status of {server.name}")
    for word in words:
        check(word in text, f"no {word!r} in {text[-800:]!r}")


def members_of(server):
    return server.get("/v2/members").json()["members"]


def peer_get(server, path, method="GET", body=None):
    connection = http.client.HTTPConnection(HOST, server.peer_port, timeout=10)
    try:
        connection.request(method, path, body)
        return connection.getresponse().read()
    finally:
        connection.close()


def add_member(server, peer_url):
    connection = server.connect()
    connection.request("POST", "/v2/members",
                       json.dumps({"peerURLs": [peer_url]}),
                       {"Content-Type": "application/json"})
    response = connection.getresponse()
    body = response.read()
    connection.close()
    equal(response.status, 201, f"member add: {body!r}")
    return json.loads(body)["id"]


def remove_member(server, member):
    answer = server.ask("DELETE", "/v2/members/" + member)
    equal(answer.status, 204, f"member remove: {answer}")


def has(server, key, value):
    answer = server.get("/v2/keys" + key)
    return answer.status == 200 and answer.value() == value


def forget(server):
    server.kill()
    shutil.rmtree(server.data)


# ---- a list -----------------------------------------------------------------

def three_by_a_list(folder):
    """Three members, one cluster; later other flags don't matter."""
    with Group() as group:
        a, b, c = three(folder, group)
        equal(a.put("/x", "1").status, 201, "a put")
        for one in (a, b, c):
            wait_for(lambda one=one: has(one, "/x", "1"), "all have it")
        equal(sorted(one["name"] for one in members_of(b)), ["a", "b", "c"],
              "the members")
        equal(members_of(a), members_of(c), "what two members tell")
        c.stop()
        at = c.flags.index("--initial-cluster")
        c.flags[at + 1] = "nobody=http://127.0.0.1:1"
        c.flags += ["--initial-cluster-token", "other",
                    "--initial-cluster-state", "existing"]
        c.start()
        wait_for(lambda: has(c, "/x", "1"), "it is there again")


def ids_are_etcds(folder):
    """The same list gives the same ids as with etcd itself."""
    if not os.path.exists(ETCD):
        raise Skip("no etcd here")
    names = [f"http://{HOST}:{free_port()}" for _ in range(4)]
    listed = (f"a={names[0]},b={names[1]},c={names[2]},a={names[3]}")
    flags = ["--name", "a", "--data-dir", os.path.join(folder, "etcd"),
             "--listen-peer-urls", f"{names[0]},{names[3]}",
             "--initial-advertise-peer-urls", f"{names[3]},{names[0]}",
             "--listen-client-urls", f"http://{HOST}:{free_port()}",
             "--advertise-client-urls", "http://x:1",
             "--initial-cluster", listed, *TOKEN]
    log = os.path.join(folder, "etcd.log")
    with open(log, "wb") as file:
        etcd = subprocess.Popen([ETCD, *flags], stdout=file, stderr=file,
                                stdin=subprocess.DEVNULL)
    try:
        found = wait_for(lambda: re.search(
            r"starting member (\w+) in cluster (\w+)", open(log).read()),
            "etcd tells its ids", 15)
    finally:
        etcd.kill()
        etcd.wait()
    flags[3] = os.path.join(folder, "etched")
    with Group() as group:
        one = group.add(Server(folder, *flags, plain=True, start=False))
        one.launch()
        ours = wait_for(lambda: re.search(
            r"a new cluster cluster=(\w+) member=(\w+)", one.log_text()),
            "etched tells its ids", 15)
        equal((ours[2], ours[1]), (found[1], found[2]), "member and cluster")


def lists_that_are_wrong(folder):
    """The name isn't there, a URL is there twice, or is another."""
    one = make(folder, "a")
    own = ["--initial-cluster"]
    plain = list(one.flags)
    one.flags = plain + own + ["b=" + one.peer_url]
    refused(one, "couldn't find local name")
    one.flags = plain + own + [f"a={one.peer_url},b={one.peer_url}"]
    refused(one, "initial cluster has duplicate url", "(of a and b)")
    one.flags = plain + own + ["a=http://127.0.0.1:1"]
    refused(one, "--initial-cluster has a=http://127.0.0.1:1 but missing from")
    one.flags = plain + own + [f"a={one.peer_url}",
                               "--initial-cluster-state", "existing"]
    refused(one, "existing needs the cluster's other members")
    check(not os.path.exists(os.path.join(one.data, "wal", "identity")),
          "one that was refused left data")


def another_token(folder):
    """A member with another token is told before it mixes with others."""
    with Group() as group:
        a, b, c = three(folder, group)
        forget(c)
        c.flags += ["--initial-cluster-token", "another"]
        refused(c, "belongs to cluster", "but these flags make cluster")
        equal(a.put("/x", "1").status, 201, "a put of the other two")


def lost_data(folder):
    """A member without its data must not come back as it was, but as a new
    one."""
    with Group() as group:
        a, b, c = three(folder, group)
        equal(a.put("/x", "1").status, 201, "a put")
        member = next(one["id"] for one in members_of(a)
                      if one["name"] == "c")
        forget(c)
        refused(c, f"member {member} has already been bootstrapped",
                f"etchctl member remove {member}")
        c.flags += ["--initial-cluster-state", "existing"]
        refused(c, f"member {member} has already been bootstrapped")
        remove_member(a, member)
        refused(c, "no member of the cluster has the peer URLs")
        again = add_member(a, c.peer_url)
        check(again != member, "the id came back")
        c.start()
        wait_for(lambda: has(c, "/x", "1"), "it has what the others have", 10)


def removed_and_back(folder):
    """A member that was removed ends; started anew it is told why not."""
    with Group() as group:
        a, b, c = three(folder, group)
        member = next(one["id"] for one in members_of(a)
                      if one["name"] == "c")
        remove_member(a, member)
        equal(c.process.wait(15), 0, "exit status of the one removed")
        forget(c)
        refused(c, f"member {member} was removed from its cluster")


# ---- one that exists --------------------------------------------------------

def joining(folder):
    """A second, a third: each is added, then started."""
    with Group() as group:
        a = make(folder, "a")
        a.flags += ["--initial-cluster", list_of([a]), *TOKEN]
        group.add(a).start()
        wait_for(lambda: is_ready(a), "a is ready")
        a.fill("/one", 20)
        servers = [a]
        for name in ("b", "c"):
            one = group.add(make(folder, name))
            servers.append(one)
            one.flags += ["--initial-cluster", list_of(servers),
                          "--initial-cluster-state", "existing"]
            refused(one, "was it added with member add?")
            add_member(a, one.peer_url)
            one.start()
            wait_for(lambda one=one: is_ready(one), f"{name} is ready", 15)
            wait_for(lambda one=one: has(one, "/one/19", "value 19"),
                     "it has what was there")
        wait_for(lambda: sorted(one["name"] for one in members_of(a)) ==
                 ["a", "b", "c"], "all have told their names", 10)
        wait_for(lambda: sorted(machines_of(a).values()) ==
                 ["follower", "follower", "leader"], "all vote", 10)
        a.kill()
        wait_for(lambda: servers[1].put("/x", "1").status in (200, 201),
                 "two of three go on", 15)


def another_name(folder):
    """A member that was added with a name keeps to it."""
    with Group() as group:
        a, b, c = three(folder, group)
        c.kill()
        other = make(folder, "d")
        at = other.flags.index("--initial-advertise-peer-urls")
        other.flags[at + 1] = c.peer_url
        other.flags += ["--initial-cluster", f"a={a.peer_url},d={c.peer_url}",
                        "--initial-cluster-state", "existing"]
        refused(other, "the cluster knows the member with these peer URLs as")


# ---- discovery --------------------------------------------------------------

def discovery(folder):
    """Another server of ours is the service; the third is one too many."""
    with Group() as group:
        service = group.add(Server(folder, name="service"))
        url = service.url + "/v2/keys/discovery/one"
        a, b, c = (make(folder, name, "--discovery", url)
                   for name in ("a", "b", "c"))
        group.add(a, b, c)
        refused(a, "size key not found", "has the token been made?")
        service.put("/discovery/one/_config/size", "2")
        a.launch()
        wait_for(lambda: "waiting for other members" in a.log_text(),
                 "it waits for the other", 10)
        # Broken off and made again, it has the same place.
        a.kill()
        start_all([a, b])
        equal(a.put("/x", "1").status, 201, "a put")
        wait_for(lambda: has(b, "/x", "1"), "the other has it")
        refused(c, "cluster is full: 2 members have registered")
        c.flags += ["--discovery-fallback", "proxy"]
        c.start()
        wait_for(lambda: has(c, "/x", "1"), "the third is a proxy", 10)
        forget(a)
        refused(a, "has previously registered with discovery service",
                "and that cluster has begun")
        c.stop()


# ---- 0.4's peers ------------------------------------------------------------

def old(folder, name, *flags):
    """With the flags of 0.4."""
    server = Server(folder, name=name, plain=True, start=False)
    server.name = name
    server.flags = ["-name", name, "-data-dir", server.data,
                    "-addr", f"{HOST}:{server.client_port}",
                    "-peer-addr", f"{HOST}:{server.peer_port}",
                    "-retry-interval", "0.2", "-max-retry-attempts", "2",
                    *flags]
    return server


def machines_of(server):
    return {one["name"]: one["state"]
            for one in json.loads(peer_get(server, "/v2/admin/machines"))}


def peers(folder):
    """The first begins alone, the others join; the fourth stands by."""
    with Group() as group:
        a = group.add(old(folder, "a", "-peers", f"{HOST}:{free_port()}"))
        a.start()
        check("begins a new cluster of one" in a.log_text(),
              "nothing is said of beginning alone")
        wait_for(lambda: is_ready(a), "a is ready")
        peer_get(a, "/v2/admin/config", "PUT", '{"activeSize":3}')
        path = os.path.join(folder, "peers")
        with open(path, "w", encoding="ascii") as file:
            file.write(f"# the first\n{HOST}:{a.peer_port}\n")
        for name in ("b", "c", "d"):
            one = group.add(old(folder, name, "-peers-file", path))
            one.start()
            # A standby is never ready: whoever only follows is not.
            wait_for(lambda name=name: name in machines_of(a),
                     f"{name} is known", 15)
        equal(a.put("/x", "1").status, 201, "a put")
        wait_for(lambda: has(group.servers[3], "/x", "1"),
                 "the standby has it")
        wait_for(lambda: sorted(machines_of(a).values()) ==
                 ["follower", "follower", "leader", "standby"],
                 "three vote, one stands by", 10)
        equal(sorted(machines_of(a)), ["a", "b", "c", "d"], "the machines")
        check("as a standby" in group.servers[3].log_text(),
              "the standby doesn't know it")
        # The same name is another machine's.
        again = group.add(old(folder, "again", "-peers-file", path))
        again.flags[1] = "b"
        refused(again, "another machine of the cluster has this name")


# ---- proxies ----------------------------------------------------------------

def proxy(folder):
    """A proxy serves reads, writes and watches; a member's death is no
    matter."""
    with Group() as group:
        a, b, c = three(folder, group)
        front = group.add(make(folder, "front", "--proxy", "on",
                               "--proxy-refresh-interval", "200",
                               "--proxy-failure-wait", "500"))
        front.flags += ["--initial-cluster", list_of([a, b])]
        front.start()

        def endpoints():
            answer = front.get("/v2/config/local/proxy")
            return sorted(answer.json()["endpoints"])

        wait_for(lambda: endpoints() == sorted([a.url, b.url, c.url]),
                 "it knows all three", 10)
        equal(front.put("/x", "1").status, 201, "a put")
        wait_for(lambda: has(c, "/x", "1"), "the cluster has it")
        connection = front.connect()
        connection.request("GET", "/v2/keys/x?wait=true&stream=true")
        stream = connection.getresponse()
        check("X-Etcd-Index" in stream.headers, "the head of a watch")
        front.put("/x", "2")
        equal(json.loads(stream.readline())["node"]["value"], "2", "an event")
        connection.close()
        a.kill()

        def can_write():
            return front.put("/x", "3").status in (200, 201)

        wait_for(can_write, "writes go on without one member", 10)
        for _ in range(10):
            # Of whoever is asked: it may not have heard of the write yet.
            equal(front.get("/v2/keys/x?quorum=true").value(), "3", "a read")
        front.fill("/many", 50)
        front.check_filled("/many", 50)
        check(not os.path.exists(front.data), "a proxy made a data directory")
        front.stop()


def proxy_for_reading(folder):
    """--proxy readonly refuses writes; without members it says so."""
    with Group() as group:
        one = group.add(Server(folder))
        front = group.add(make(folder, "front", "--proxy", "readonly"))
        front.flags += ["--initial-cluster", f"default={one.peer_url}"]
        one.put("/x", "1")
        front.start()
        wait_for(lambda: has(front, "/x", "1"), "a read", 10)
        equal(front.put("/x", "2").status, 501, "a put")
        equal(one.get("/v2/keys/x").value(), "1", "what the store has")
        one.kill()
        status = front.get("/v2/keys/x").status
        check(status in (502, 503), f"without a member: {status}")
        equal(front.get("/v2/keys/x").status, 503, "and then")
        front.stop()


def data_makes_a_member(folder):
    """A folder with a member's data starts as that, proxy or not."""
    with Server(folder) as one:
        one.put("/x", "1")
        one.stop()
        one.flags += ["--proxy", "on"]
        one.start()
        wait_for(lambda: has(one, "/x", "1"), "it is the member")
        check("--proxy is not looked at" in one.log_text(), "nothing is said")


def ways_that_exclude_each_other(folder):
    """Two ways to find a cluster at once are refused."""
    one = make(folder, "a", "--discovery", "http://127.0.0.1:1/x",
               "--initial-cluster", "a=http://127.0.0.1:1")
    status, text = one.start_in_vain()
    equal(status, 2, "exit status")
    check("multiple discovery or bootstrap flags are set" in text, text)
    began = time.monotonic()
    other = make(folder, "b", "--discovery-endpoints", "http://127.0.0.1:1")
    equal(other.start_in_vain()[0], 2, "exit status with v3 discovery")
    if time.monotonic() - began > 10:
        raise Failure("it took long to be refused")


STORIES = [
    ("bootstrap: three members by a list", three_by_a_list),
    ("bootstrap: ids are those of etcd", ids_are_etcds),
    ("bootstrap: lists that are wrong", lists_that_are_wrong),
    ("bootstrap: another token", another_token),
    ("bootstrap: a member that lost its data", lost_data),
    ("bootstrap: a member that was removed", removed_and_back),
    ("bootstrap: joining one that exists", joining),
    ("bootstrap: another name", another_name),
    ("bootstrap: discovery", discovery),
    ("bootstrap: peers of 0.4", peers),
    ("bootstrap: ways that exclude each other", ways_that_exclude_each_other),
    ("proxy: reads, writes, watches", proxy),
    ("proxy: for reading only", proxy_for_reading),
    ("proxy: data makes a member", data_makes_a_member),
]
