#!/usr/bin/env python3
"""A hold is exact across kill -9.

    tests/recipes/hold.py [--seconds 10]

survives: a hold of 10 s; the server is killed with -9 at second 5 and started
again; it fires at second 10, once.

broken: the store lives, and the only worker is killed; the hold is broken
meanwhile, and the worker comes back: it never fires.
"""
import argparse
import shutil
import sys
import tempfile
import time

from place import (Failure, Store, apply, free_port, server, until, worker)


def recipe(seconds):
    return f"""
name: hold
if:
  - key: /metrics/{{host}}
    crosses: {{of: value.used, above: 90}}
    for: {seconds}s
then:
  - put: {{key: "/alerts/{{{{host}}}}", value: "{{{{value.used}}}}"}}
"""


def survives(folder, log, seconds):
    port, peer = free_port(), free_port()
    process = server(folder, log, port, peer, ["--recipes-lease-ttl=2s"])
    try:
        process.wait()
        apply(port, "hold", recipe(seconds))
        store = Store(port)
        store.put("/metrics/a", '{"used": 95}')
        begun = time.time()
        time.sleep(seconds / 2)
        process.kill()
        process = server(folder, log, port, peer, ["--recipes-lease-ttl=2s"])
        process.wait()
        until("the hold fires", lambda: store.get("/alerts/a") is not None,
              seconds)
        took = time.time() - begun
        if not seconds - 0.1 <= took <= seconds + 1:
            raise Failure(f"it fired after {took:.2f} s, not {seconds}")
        time.sleep(2)
        if store.below("/alerts/")["/alerts/a"][1] != 1:
            raise Failure("it fired twice")
        process.stop()
        return f"fired after {took:.2f} s"
    finally:
        process.end()


def broken(folder, log, seconds):
    port, peer, at = free_port(), free_port(), free_port()
    process = server(folder, log, port, peer, ["--recipes=false"])
    one = None
    try:
        process.wait()
        one = worker(log, at, port, ["--recipes-lease-ttl=2s"])
        one.wait("/health")
        apply(at, "hold", recipe(seconds))
        store = Store(port)
        store.put("/metrics/a", '{"used": 95}')
        store.put("/metrics/b", '{"used": 95}')
        time.sleep(seconds / 2)
        one.kill()
        store.put("/metrics/a", '{"used": 10}')
        time.sleep(seconds / 2)
        one = worker(log, at, port, ["--recipes-lease-ttl=2s"])
        until("the other hold fires",
              lambda: store.get("/alerts/b") is not None, 15)
        time.sleep(2)
        if store.get("/alerts/a") is not None:
            raise Failure("a hold that was broken has fired")
        one.stop()
        process.stop()
        return "the one that was broken never fired"
    finally:
        if one:
            one.end()
        process.end()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=int, default=10)
    options = parser.parse_args()
    failed = 0
    for play in (survives, broken):
        folder = tempfile.mkdtemp(prefix="etched-recipes-")
        with open(folder + "/log", "wb") as log:
            try:
                said = play(folder + "/data", log, options.seconds)
                print(f"ok a hold of {options.seconds} s, {play.__name__}: "
                      f"{said}")
                shutil.rmtree(folder)
            except Failure as error:
                failed += 1
                print(f"not ok hold {play.__name__}: {error}; see {folder}")
        sys.stdout.flush()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
