#!/usr/bin/env python3
"""A webhook that was answered 2xx is an event, once.

    tests/recipes/webhook.py [--rounds 4] [--seed 1]

Deliveries with an HMAC signature go to the server, each until it is answered
2xx, and now and then once more; the server is killed with -9 and started again,
round after round. At the end each has had its effect once. What is signed wrong
is refused.
"""
import argparse
import hashlib
import hmac
import http.client
import json
import os
import random
import shutil
import sys
import tempfile
import threading
import time

from place import (Failure, Store, apply, ask, free_port, server, until)

SECRET = b"a secret of the code host"
RECIPE = """
name: hook
if:
  - webhook: {path: push, secret: push_secret, dedupe: "headers['x-delivery']"}
then:
  - put: {key: "/pushed/{{body.n}}", value: "{{body.n}}"}
"""


def deliver(port, n, secret=SECRET):
    body = json.dumps({"n": n}).encode()
    signature = hmac.new(secret, body, hashlib.sha256).hexdigest()
    return ask(port, "POST", "/recipes/v1/hooks/push", body,
               {"X-Hub-Signature-256": "sha256=" + signature,
                "X-Delivery": str(n), "Content-Type": "application/json"})


class Sender(threading.Thread):
    def __init__(self, port, seed):
        super().__init__()
        self.port = port
        self.random = random.Random(seed)
        self.stopping = threading.Event()
        self.done = set()
        self.wrong = None

    def run(self):
        n = 0
        while not self.stopping.is_set():
            try:
                status, text = deliver(self.port, n)
                if status // 100 == 2:
                    if self.random.random() < 0.1:
                        again, said = deliver(self.port, n)
                        if again // 100 == 2 and \
                                not json.loads(said).get("duplicate"):
                            self.wrong = f"{n} came in twice: {said}"
                    self.done.add(n)
                    n += 1
                elif status in (401, 400, 404) and n > 0:
                    self.wrong = f"{n}: {status} {text[:200]}"
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(0.003)


def play(folder, log, rounds, rand):
    port, peer = free_port(), free_port()
    keys = os.path.join(os.path.dirname(folder), "keys")
    with open(keys, "w", encoding="ascii") as out:
        out.write(os.urandom(32).hex() + "\n")
    os.chmod(keys, 0o600)
    flags = ["--recipes-lease-ttl=2s", f"--recipes-secret-key-file={keys}"]
    process = server(folder, log, port, peer, flags)
    sender = None
    try:
        process.wait()
        apply(port, "hook", RECIPE)
        status, text = ask(port, "PUT", "/recipes/v1/secrets/push_secret",
                           SECRET)
        if status != 200:
            raise Failure(f"the secret: {status} {text}")
        status, _ = deliver(port, "x", b"wrong")
        if status != 401:
            raise Failure(f"a wrong signature was answered {status}")
        sender = Sender(port, 1)
        sender.start()
        for _ in range(rounds):
            time.sleep(rand.uniform(0.2, 1.0))
            process.kill()
            process = server(folder, log, port, peer, flags)
            process.wait()
        time.sleep(0.5)
        sender.stopping.set()
        sender.join()
        if sender.wrong:
            raise Failure(sender.wrong)
        store = Store(port)
        want = {f"/pushed/{n}" for n in sender.done}
        until("each delivery has its effect",
              lambda: want <= set(store.below("/pushed/")), 60)
        time.sleep(0.5)
        twice = [key for key, (_, version) in store.below("/pushed/").items()
                 if version != 1]
        if twice:
            raise Failure(f"twice: {twice[:5]}")
        process.stop()
        return len(want)
    finally:
        if sender:
            sender.stopping.set()
            sender.join()
        process.end()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="etched-recipes-")
    with open(folder + "/log", "wb") as log:
        try:
            count = play(folder + "/data", log, options.rounds,
                         random.Random(options.seed))
            print(f"ok webhooks, {options.rounds} rounds of kill -9: {count} "
                  f"deliveries, each an event once")
            shutil.rmtree(folder)
        except Failure as error:
            print(f"not ok webhooks: {error}; see {folder}")
            sys.exit(1)


if __name__ == "__main__":
    main()
