"""Webhooks: a 2xx means that it is in the store. The server is killed while
deliveries come in; what was acknowledged has its effect, and what was sent
again, because nobody knows, has it once."""
import hashlib
import hmac
import json
import os
import random
import threading
import time

from service import (Failure, Server, apply, ask, check, equal, kvs, rest,
                     slowness, wait_for)

SECRET = "a-long-random-text"
HOOK = """name: hook
if:
  - webhook: {path: in/it, secret: push, dedupe: "body.id"}
then:
  - put: {key: 'fx/hook/{{body.id}}/{{event.revision}}', value: '{{body.text}}'}
"""
SENDERS = 4


def sign(body, secret=SECRET):
    return "sha256=" + hmac.new(secret.encode(), body.encode(),
                                hashlib.sha256).hexdigest()


def deliver(server, number, secret=SECRET, seconds=5, signature=None):
    body = json.dumps({"id": number, "text": f"text of {number}"})
    return ask(server, "POST", "/recipes/v1/hooks/in/it", body,
               {"X-Hub-Signature-256": signature or sign(body, secret),
                "Content-Type": "application/json"}, seconds)


class Sender(threading.Thread):
    """Delivers one after the other, each until it is acknowledged, as senders
    of webhooks do; and some that were acknowledged once more."""

    def __init__(self, server, number, seed):
        super().__init__(daemon=True)
        self.server = server
        self.number = number
        self.random = random.Random(seed * 100 + number)
        self.acknowledged = []
        self.tries = 0
        self.ended = False
        self.wrong = None

    def run(self):
        count = 0
        while not self.ended:
            count += 1
            if not self.deliver(f"{self.number}-{count}"):
                return
            if self.acknowledged and self.random.random() < 0.1:
                self.deliver(self.random.choice(self.acknowledged))

    def deliver(self, number):
        while True:
            self.tries += 1
            try:
                answer = deliver(self.server, number)
            except OSError:
                answer = None
            if answer and 200 <= answer.status < 300:
                self.acknowledged.append(number)
                return True
            # A service that begins may not have read its definitions.
            if answer and answer.status not in (404, 429, 500, 503):
                self.wrong = str(answer)
                return False
            if self.ended:
                return False
            time.sleep(0.01)


def begin(folder):
    key = os.path.join(folder, "key")
    with open(key, "w", encoding="ascii") as file:
        file.write("5a" * 32 + "\n")
    os.chmod(key, 0o600)
    return Server(folder, "--recipes-lease-ttl=2s",
                  "--recipes-secret-key-file=" + key)


def prepare(server):
    answer = rest(server, "PUT", "secrets/push", SECRET)
    check(answer.status in (200, 201), f"a secret: {answer}")
    apply(server, HOOK)
    wait_for(lambda: deliver(server, "first").status // 100 == 2,
             "it takes the first", 10 * slowness())


def none_is_lost(folder, rounds=6, seed=1):
    """a webhook that was answered 2xx is never lost, and one that comes again
    isn't a second event"""
    rng = random.Random(seed)
    with begin(folder) as server:
        prepare(server)
        senders = [Sender(server, i, seed) for i in range(SENDERS)]
        for sender in senders:
            sender.start()
        for _ in range(rounds):
            time.sleep(rng.uniform(0.1, 0.6))
            server.kill()
            server.start()
        time.sleep(0.5)
        for sender in senders:
            sender.ended = True
        for sender in senders:
            sender.join(30)
            check(not sender.is_alive(), "a sender hangs")
            equal(sender.wrong, None, "a sender's answer")
        acknowledged = {number for sender in senders
                        for number in sender.acknowledged}
        check(len(acknowledged) > 5 * rounds,
              f"only {len(acknowledged)} deliveries: this showed nothing")
        check_effects(server, acknowledged, len(senders))
        tries = sum(sender.tries for sender in senders)
    return tries, len(acknowledged)


def effects_of(server):
    """How often each had its effect."""
    count = {}
    for key, (value, _, _, version) in kvs(server, "fx/hook/").items():
        number = key.split("/")[2]
        equal(value.decode(), f"text of {number}", key)
        equal(version, 1, f"how often {key} was put")
        count[number] = count.get(number, 0) + 1
    return count


def check_effects(server, acknowledged, unsure):
    try:
        wait_for(lambda: acknowledged <= set(effects_of(server)),
                 "all effects", 30 * slowness())
    except Failure as failure:
        missing = acknowledged - set(effects_of(server))
        raise Failure(f"{failure}: {len(missing)} are lost: "
                      f"{sorted(missing)[:5]}") from None
    time.sleep(1)
    count = effects_of(server)
    twice = [number for number, times in count.items() if times != 1]
    check(not twice, f"{twice[:5]} had their effects more than once")
    more = set(count) - acknowledged - {"first"}
    check(len(more) <= unsure, f"nobody has sent these: {sorted(more)[:5]}")


def signatures(folder):
    """a webhook with a bad signature is refused, and does nothing"""
    with begin(folder) as server:
        prepare(server)
        equal(deliver(server, "bad", "another-secret").status, 401,
              "another secret")
        equal(deliver(server, "bad", signature="sha256=00").status, 401,
              "half a signature")
        equal(deliver(server, "bad", signature="nonsense").status, 401,
              "no signature at all")
        body = json.dumps({"id": "bad", "text": "x"})
        equal(ask(server, "POST", "/recipes/v1/hooks/in/it", body).status, 401,
              "without the header")
        equal(ask(server, "POST", "/recipes/v1/hooks/in/it", body,
                  {"X-Hub-Signature-256": sign(body + " ")}).status, 401,
              "of another body")
        equal(ask(server, "POST", "/recipes/v1/hooks/in/no", body).status, 404,
              "another path")
        check(deliver(server, "good").status // 100 == 2, "a good one")
        wait_for(lambda: "good" in effects_of(server), "its effect",
                 10 * slowness())
        equal(sorted(effects_of(server)), ["first", "good"], "effects")


STORIES = [none_is_lost, signatures]
