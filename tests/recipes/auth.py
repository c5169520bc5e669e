"""Where the server has users: a recipe does what its owner may, sees what its
owner may read, and is whoever's who has permission on its key."""
import base64
import hashlib
import hmac
import http.client
import json
import os
import ssl
import subprocess
import time

from service import (HOST, Server, ask, check, clean_env, equal, free_port,
                     slowness, wait_for)
from webhook import SECRET, begin

BIN = os.environ.get("ETCHED_BIN") or os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "..", "..", "bin")
USERS = """
role add alice
role grant-permission alice read /in/ --prefix
role grant-permission alice readwrite /to/out/ --prefix
role grant-permission alice readwrite /_recipes/def/a --prefix
role add bob
role grant-permission bob read /_recipes/def/a --prefix
role grant-permission bob readwrite /_recipes/def/b --prefix
user add alice:wonderland
user grant-role alice alice
user add bob:builder
user grant-role bob bob
user add root:toor
auth enable
"""
COPY = """if: [{key: '/in/{x}'}]
then: [{put: {key: '/to/{{value}}/{{x}}', value: '{{x}}'}}]
"""
HOOK = """if: [{webhook: {path: it, secret: push}}]
then: [{put: {key: '/to/out/{{body.id}}', value: '{{body.id}}'}}]
"""
PASSWORDS = {"root": "toor", "alice": "wonderland", "bob": "builder"}


def prepare(server):
    url = f"http://{HOST}:{server.client_port}"
    for line in USERS.strip().splitlines():
        done = subprocess.run(
            [os.path.join(BIN, "etcdctl"), "--endpoints", url] + line.split(),
            env=clean_env({"ETCDCTL_API": "3"}), capture_output=True,
            text=True, timeout=60, check=False)
        equal(done.returncode, 0, f"{line}: {done.stderr}")


def basic(user, password=None):
    text = f"{user}:{password or PASSWORDS[user]}"
    return {"Authorization": "Basic " + base64.b64encode(
        text.encode()).decode()}


def token_of(server, user):
    answer = ask(server, "POST", "/v3/auth/authenticate", json.dumps(
        {"name": user, "password": PASSWORDS[user]}))
    equal(answer.status, 200, f"a token for {user}: {answer}")
    return answer.json()["token"]


def to_recipes(server, user, method, path, body=None, headers=None):
    """As a user; None: as nobody. A service that begins is asked again."""
    end = time.monotonic() + 20 * slowness()
    named = dict(headers or {}, **(basic(user) if user else {}))
    while True:
        answer = ask(server, method, "/recipes/v1/" + path, body, named)
        if answer.status != 503 or time.monotonic() > end:
            return answer
        time.sleep(0.05)


def save(server, user, name, text):
    answer = to_recipes(server, user, "PUT", "defs/" + name, text)
    check(answer.status in (200, 201), f"{user} saves {name}: {answer}")


def encode(text):
    return base64.b64encode(text.encode()).decode()


def kv(server, verb, body, user="root"):
    answer = ask(server, "POST", "/v3/kv/" + verb, json.dumps(body),
                 {"Authorization": token_of(server, user)})
    equal(answer.status, 200, f"{verb} by {user}: {answer}")
    return answer.json()


def put(server, key, value):
    kv(server, "put", {"key": encode(key), "value": encode(value)})


def get(server, key):
    found = kv(server, "range", {"key": encode(key)}).get("kvs", [])
    return base64.b64decode(found[0]["value"]).decode() if found else None


def wait_put(server, key):
    wait_for(lambda: get(server, key) is not None, key, 10 * slowness())


def errors_of(server, name):
    answer = to_recipes(server, "root", "GET",
                        f"runs?recipe={name}&status=failed")
    equal(answer.status, 200, "failed runs")
    return {run["key"]: run["error"] for run in answer.json()["runs"]}


def effects_are_the_owners(folder):
    """with users, a recipe does what its owner may; what it mustn't is a failed
    run that says so, and what comes after it is done"""
    with Server(folder, "--recipes-lease-ttl=2s") as server:
        prepare(server)
        save(server, "alice", "a", COPY)
        put(server, "/in/1", "out")
        wait_put(server, "/to/out/1")
        put(server, "/in/2", "etc")
        put(server, "/in/3", "out")
        wait_put(server, "/to/out/3")
        equal(get(server, "/to/etc/2"), None, "what alice mustn't write")
        error = wait_for(lambda: errors_of(server, "a").get("/in/2"),
                         "the failed run", 10 * slowness())
        check("its owner, alice, may not do this" in error and
              "permission denied" in error, error)
        # As it was: what is refused is no reason to stop.
        server.kill()
        server.start()
        put(server, "/in/4", "out")
        wait_put(server, "/to/out/4")
        shown = to_recipes(server, "alice", "GET", "defs/a").json()
        equal(shown["recipe"]["owner"], "alice", "its owner")
        equal(shown["status"]["state"], "running", "its state")


def what_it_sees(folder):
    """with users, a trigger on what its owner can't read is refused, and one
    whose permission ends stops and says so"""
    with Server(folder, "--recipes-lease-ttl=2s") as server:
        prepare(server)
        answer = to_recipes(server, "alice", "PUT", "defs/a",
                            "if: [{key: '/{x}/y'}]\nthen: [{log: hi}]\n")
        equal(answer.status, 403, f"a trigger on all there is: {answer}")
        save(server, "alice", "a", COPY)
        put(server, "/in/1", "out")
        wait_put(server, "/to/out/1")
        url = f"http://{HOST}:{server.client_port}"
        subprocess.run(
            [os.path.join(BIN, "etcdctl"), "--endpoints", url, "--user",
             "root:toor", "role", "revoke-permission", "alice", "/in/",
             "--prefix"], env=clean_env({"ETCDCTL_API": "3"}), check=True,
            capture_output=True, timeout=60)
        put(server, "/in/2", "out")

        def status():
            return to_recipes(server, "root", "GET",
                              "defs/a").json()["status"]
        wait_for(lambda: status()["state"] == "tripped", "it stops",
                 20 * slowness())
        check("may not read" in status()["why"], status())
        equal(get(server, "/to/out/2"), None, "what it mustn't see")


def who_may_ask(folder):
    """with users, the REST interface asks who one is: by a password, or by a
    token; a webhook has its signature"""
    with begin(folder) as server:
        prepare(server)
        save(server, "alice", "a", COPY)
        for user, method, path, body, status in (
                (None, "GET", "defs", None, 401),
                (None, "GET", "defs/a", None, 401),
                (None, "GET", "stream", None, 401),
                ("bob", "GET", "defs/a", None, 200),
                ("bob", "GET", "runs?recipe=a", None, 200),
                ("bob", "PUT", "defs/a", COPY, 403),
                ("bob", "POST", "defs/a/pause", None, 403),
                ("bob", "DELETE", "defs/a", None, 403),
                ("bob", "GET", "secrets", None, 403),
                ("alice", "POST", "defs/a/pause", None, 200),
                ("alice", "POST", "defs/a/resume", None, 200),
                ("alice", "PUT", "defs/b", COPY, 403),
                ("alice", "PUT", "defs/a", "owner: bob\n" + COPY, 403),
                ("root", "PUT", "defs/x", COPY, 400),
                ("root", "PUT", "defs/x", "owner: alice\n" + COPY, 201)):
            answer = to_recipes(server, user, method, path, body)
            equal(answer.status, status, f"{user}: {method} {path}: {answer}")
        equal(ask(server, "GET", "/recipes/v1/defs/a",
                  headers=basic("bob", "wrong")).status, 401,
              "a wrong password")
        for word, status in (("Bearer " + token_of(server, "bob"), 200),
                             ("Bearer none.1", 401)):
            equal(ask(server, "GET", "/recipes/v1/defs/a",
                      headers={"Authorization": word}).status, status, word)
        equal([recipe["name"] for recipe in to_recipes(
            server, "bob", "GET", "defs").json()["recipes"]], ["a"],
            "bob's list")
        equal(to_recipes(server, "root", "PUT", "secrets/push",
                         SECRET).status, 200, "root's secret")
        save(server, "alice", "a-hook", HOOK)
        body = json.dumps({"id": "7"})
        mac = hmac.new(SECRET.encode(), body.encode(), hashlib.sha256)
        wait_for(lambda: to_recipes(
            server, None, "POST", "hooks/it", body,
            {"X-Hub-Signature-256": "sha256=" + mac.hexdigest()}).status
            == 202, "a delivery without a login", 10 * slowness())
        wait_put(server, "/to/out/7")


def without_a_plain_port(folder):
    """recipes run where the server listens with TLS alone"""
    port, peer = free_port(), free_port()
    url, peer_url = f"https://{HOST}:{port}", f"http://{HOST}:{peer}"
    log = os.path.join(folder, "tls.log")
    context = ssl._create_unverified_context()

    def to(method, path, body=None):
        connection = http.client.HTTPSConnection(HOST, port, timeout=10,
                                                 context=context)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError as error:
            return 0, str(error)
        finally:
            connection.close()

    with open(log, "ab") as out:
        server = subprocess.Popen(
            [os.path.join(BIN, "etched"), "--name", "m", "--auto-tls",
             "--data-dir", os.path.join(folder, "tls.data"),
             "--listen-client-urls", url, "--advertise-client-urls", url,
             "--listen-peer-urls", peer_url,
             "--initial-advertise-peer-urls", peer_url,
             "--initial-cluster", "m=" + peer_url], env=clean_env(),
            stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        wait_for(lambda: to("PUT", "/recipes/v1/defs/copy", COPY)[0]
                 in (200, 201), "a recipe is saved", 20 * slowness())
        wait_for(lambda: to("PUT", "/v2/keys/in/1", "value=out")[0]
                 in (200, 201), "a put", 10 * slowness())
        # v2 keeps its keys apart: a recipe watches those of v3.
        body = json.dumps({"key": encode("/in/1"), "value": encode("out")})
        equal(to("POST", "/v3/kv/put", body)[0], 200, "a put")
        ask_for = json.dumps({"key": encode("/to/out/1")})
        wait_for(lambda: "kvs" in to("POST", "/v3/kv/range", ask_for)[1],
                 "its effect", 10 * slowness())
    finally:
        server.kill()
        server.wait()


STORIES = [effects_are_the_owners, what_it_sees, who_may_ask,
           without_a_plain_port]
