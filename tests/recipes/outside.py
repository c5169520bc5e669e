"""At least once outside: a server that fails, hangs, puts off, hangs up and
refuses, while the service is killed. Each entry arrives or is a dead letter,
each try of one has the same Idempotency-Key, and dead letters can be tried
again."""
import collections
import http.server
import random
import threading
import time

from service import (HOST, Failure, Server, apply, check, equal, kvs, put,
                     rest, slowness, wait_for)

TELL = """name: tell
if: [{key: '/tell/{kind}/{id}'}]
order: none
then:
  - id: tell
    http:
      method: POST
      url: 'http://%s:%d/{{kind}}/{{id}}'
      body: '{{raw}}'
    timeout: 500ms
    retry: {max: 4, base: 50ms, cap: 500ms}
  - put: {key: 'fx/told/{{kind}}/{{id}}', value: '{{steps.tell.status}}'}
on_failure:
  - put: {key: 'fx/dead/{{kind}}/{{id}}', value: '{{error}}'}
"""

# What becomes of an entry when nothing else happens.
ARRIVE = ("fine", "fails", "later", "hangs", "drops", "moody")
DIE = ("refused", "broken", "silent")


class Receiver(http.server.ThreadingHTTPServer):
    """What came, and when: path -> [(time, key, body, the answer)]."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self):
        super().__init__((HOST, 0), Handler)
        self.lock = threading.Lock()
        self.came = collections.defaultdict(list)
        self.is_well = False
        self.random = random.Random(1)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def port(self):
        return self.server_address[1]

    def handle_error(self, request, client_address):
        pass  # a client that was killed

    def answer_for(self, kind, tries):
        """A status; 0: hangs; -1: hangs up."""
        if self.is_well or kind == "fine":
            return 200
        if kind == "moody":
            return self.random.choice([200, 200, 500, 503])
        if kind in ("refused", "broken", "silent"):
            return {"refused": 404, "broken": 500, "silent": 0}[kind]
        bad = {"fails": 500, "later": 429, "hangs": 0, "drops": -1}[kind]
        return bad if tries < 2 else 200

    def arrived(self):
        return {path for path, tries in list(self.came.items())
                if any(status == 200 for *_, status in tries)}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):  # noqa: N802 (http.server's name)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        server = self.server
        with server.lock:
            tries = server.came[self.path]
            status = server.answer_for(self.path.split("/")[1], len(tries))
            tries.append((time.monotonic(),
                          self.headers.get("Idempotency-Key"), body, status))
        if status <= 0:
            if status == 0:
                time.sleep(2)
            self.close_connection = True
            return
        self.send_response(status)
        if status == 429:
            self.send_header("Retry-After", "1")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")


def send(server, kinds, each, begin=0):
    """Puts the keys; the paths that must come of it."""
    paths = []
    for number in range(begin, begin + each):
        for kind in kinds:
            put(server, f"/tell/{kind}/{number}", f"{kind} {number}")
            paths.append(f"/{kind}/{number}")
    return paths


def dead(server):
    """path -> the letter's place below dead/."""
    answer = rest(server, "GET", "dead?limit=1000")
    equal(answer.status, 200, "the list of dead letters")
    return answer.json()["dead"]


def ends(server):
    """Which have come to an end, and how: path -> told, dead."""
    return {"/" + "/".join(key.split("/")[2:]): key.split("/")[1]
            for key in kvs(server, "fx/", keys_only=True)}


def check_keys(receiver):
    """One key an entry, and no key for two."""
    seen = {}
    for path, tries in receiver.came.items():
        keys = {key for _, key, _, _ in tries}
        check(None not in keys, f"{path}: without an Idempotency-Key")
        equal(len(keys), 1, f"{path}: different keys {keys}")
        equal({body for _, _, body, _ in tries},
              {path[1:].replace("/", " ").encode()}, f"{path}: bodies")
        key = keys.pop()
        check(key not in seen, f"{path} and {seen.get(key)} share {key}")
        seen[key] = path


def check_waits(receiver):
    """Who says Retry-After: 1 isn't asked again for a second."""
    for path, tries in receiver.came.items():
        for before, after in zip(tries, tries[1:]):
            check(before[3] != 429 or after[0] - before[0] > 0.9,
                  f"{path} was tried after {after[0] - before[0]:.2f} s, "
                  "though told to wait for 1 s")


def wait_all(server, paths, seconds):
    try:
        wait_for(lambda: set(paths) <= set(ends(server)), "all came to an end",
                 seconds * slowness())
    except Failure as failure:
        missing = sorted(set(paths) - set(ends(server)))
        raise Failure(f"{failure}: {missing[:8]} didn't") from None


def retry_all(server):
    """So many at a time."""
    def none_left():
        answer = rest(server, "POST", "dead/retry")
        check(answer.status in (200, 202), f"retry: {answer}")
        time.sleep(0.2)
        return not dead(server)
    wait_for(none_left, "no dead letter is left", 30 * slowness())


def arrives_or_is_dead(folder):
    """what goes outside arrives or is a dead letter, with one key for all its
    tries; dead letters live again when they are tried again"""
    receiver = Receiver()
    with Server(folder, "--recipes-allow-local") as server:
        apply(server, TELL % (HOST, receiver.port()))
        paths = send(server, ARRIVE + DIE, 5)
        wait_all(server, paths, 40)
        found = ends(server)
        for path in paths:
            kind = path.split("/")[1]
            check(kind == "moody" or
                  found[path] == ("told" if kind in ARRIVE else "dead"),
                  f"{path} is {found[path]}")
            tries = len(receiver.came[path])
            check(kind != "refused" or tries == 1, f"{path}: {tries} tries")
            check(kind != "broken" or 4 <= tries <= 5,
                  f"{path}: {tries} tries")
        check_keys(receiver)
        check_waits(receiver)
        letters = dead(server)
        equal(len(letters), sum(how == "dead" for how in found.values()),
              "dead letters")
        before = {path: receiver.came[path][0][1] for path in paths}
        receiver.is_well = True
        one = letters[0]
        answer = rest(server, "POST",
                      f"dead/{one['recipe']}/{one['id']}/retry")
        check(answer.status in (200, 202), f"retry of one: {answer}")
        wait_for(lambda: len(dead(server)) < len(letters), "one less",
                 10 * slowness())
        retry_all(server)
        wait_for(lambda: set(paths) <= receiver.arrived(), "all arrive",
                 20 * slowness())
        wait_for(lambda: len(kvs(server, "fx/told/")) == len(paths),
                 "all go on from there", 10 * slowness())
        for path in paths:
            equal(receiver.came[path][0][1], before[path], path)
    receiver.shutdown()


def none_is_lost(folder, rounds=5, seed=1):
    """what has to go outside is not lost when the server is killed"""
    receiver = Receiver()
    rng = random.Random(seed)
    paths = []
    kinds = ("fine", "fails", "later", "drops", "moody", "broken")
    with Server(folder, "--recipes-allow-local",
                "--recipes-lease-ttl=2s") as server:
        apply(server, TELL % (HOST, receiver.port()))
        for number in range(rounds):
            paths += send(server, kinds, 4, 4 * number)
            time.sleep(rng.uniform(0, 0.6))
            server.kill()
            server.start()
        wait_all(server, paths, 40 + rounds)
        arrived = receiver.arrived()
        letters = {letter["key"].replace("/tell", "", 1)
                   for letter in dead(server)}
        lost = [path for path in paths
                if path not in arrived and path not in letters]
        check(not lost, f"{len(lost)} are lost: {lost[:5]}")
        check_keys(receiver)
        check_waits(receiver)
        for path, how in ends(server).items():
            check((how == "dead") == (path in letters),
                  f"{path} is {how}, and {'' if path in letters else 'not '}"
                  "a dead letter")
        for key, (_, _, _, version) in kvs(server, "fx/").items():
            equal(version, 1, f"how often {key} was put")
    receiver.shutdown()
    return sum(len(tries) for tries in receiver.came.values()), len(paths)


STORIES = [arrives_or_is_dead, none_is_lost]
