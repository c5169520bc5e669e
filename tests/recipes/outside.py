#!/usr/bin/env python3
"""At least once outside, whatever the other side does.

    tests/recipes/outside.py [--events 40] [--seed 1]

A server of ours takes what recipes send, and fails, hangs, says 429 with a
Retry-After, drops connections, or says 404 and means it; etched is killed with
-9 in the middle. At the end each entry has arrived, or is in the dead-letter
list; each try of one carries the same Idempotency-Key; and what is dead arrives
when it is wanted again.
"""
import argparse
import http.client
import http.server
import json
import random
import shutil
import sys
import tempfile
import threading
import time

from place import (HOST, Failure, Store, apply, ask, free_port, server, until)


def recipe(port):
    return f"""
name: out
if: [{{key: "/jobs/{{n}}"}}]
then:
  - id: send
    http:
      method: POST
      url: "http://{HOST}:{port}/{{{{n}}}}"
      json: {{n: "{{{{n}}}}"}}
    timeout: 1s
    retry: {{max: 30, base: 100ms, cap: 500ms}}
  - put: {{key: "/sent/{{{{n}}}}", value: "{{{{steps.send.status}}}}"}}
"""


class Target(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, seed):
        super().__init__((HOST, 0), Handler)
        self.lock = threading.Lock()
        self.random = random.Random(seed)
        self.tries = {}    # name -> keys, one for each try
        self.arrived = {}  # name -> how often it was taken
        self.heals = False


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def say(self, status, headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def do_POST(self):
        name = self.path[1:]
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with self.server.lock:
            keys = self.server.tries.setdefault(name, [])
            keys.append(self.headers.get("Idempotency-Key"))
            mood = self.server.random.choice(
                ("fine", "fine", "500", "429", "hang", "drop"))
            if self.server.heals:
                mood = "fine"
            elif name.startswith("dead"):
                mood = "404"
            if mood == "fine":
                self.server.arrived[name] = \
                    self.server.arrived.get(name, 0) + 1
        if mood == "fine":
            self.say(200)
        elif mood == "429":
            self.say(429, [("Retry-After", "1")])
        elif mood == "hang":
            time.sleep(1.5)
            self.close_connection = True
        elif mood == "drop":
            self.close_connection = True
        else:
            self.say(int(mood))


def dead(port):
    status, text = ask(port, "GET", "/recipes/v1/dead?recipe=out&limit=1000")
    if status != 200:
        raise Failure(f"dead: {status} {text[:200]}")
    return json.loads(text)["dead"]


def play(folder, log, events, seed):
    target = Target(seed)
    threading.Thread(target=target.serve_forever, daemon=True).start()
    port, peer = free_port(), free_port()
    flags = ["--recipes-lease-ttl=2s", "--recipes-allow-local=true"]
    process = server(folder, log, port, peer, flags)
    try:
        process.wait()
        apply(port, "out", recipe(target.server_address[1]))
        store = Store(port)
        names = [f"job{i}" for i in range(events)]
        lost = [f"dead{i}" for i in range(3)]
        for i, name in enumerate(names + lost):
            store.put(f"/jobs/{name}", "1")
            if i in (events // 3, 2 * events // 3):
                process.kill()
                process = server(folder, log, port, peer, flags)
                process.wait()
        until("each job was sent, and the answer is known",
              lambda: {f"/sent/{name}" for name in names} <=
              set(store.below("/sent/")), 120)
        until("those that are refused are in the list",
              lambda: len(dead(port)) == len(lost), 60)
        with target.lock:
            missing = [name for name in names if name not in target.arrived]
            mixed = [name for name, keys in target.tries.items()
                     if len(set(keys)) != 1 or not keys[0]]
            target.heals = True
            tries = sum(len(keys) for keys in target.tries.values())
        if missing:
            raise Failure(f"said to be sent, and not seen: {missing[:5]}")
        if mixed:
            raise Failure(f"tries with other keys: {mixed[:5]}")
        status, text = ask(port, "POST", "/recipes/v1/dead/retry?recipe=out")
        if status != 202:
            raise Failure(f"retry: {status} {text[:200]}")
        until("the dead have arrived", lambda: not dead(port) and
              all(name in target.arrived for name in lost), 60)
        process.stop()
        return tries
    finally:
        process.end()
        target.shutdown()
        target.server_close()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--events", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="etched-recipes-")
    with open(folder + "/log", "wb") as log:
        try:
            tries = play(folder + "/data", log, options.events, options.seed)
            print(f"ok actions outside: {options.events} arrived and 3 were "
                  f"given up and sent again, in {tries} tries")
            shutil.rmtree(folder)
        except (Failure, OSError, http.client.HTTPException) as error:
            print(f"not ok actions outside: {error}; see {folder}")
            sys.exit(1)


if __name__ == "__main__":
    main()
