"""Histories of clients, and whether they are linearizable.

A history is a list of operations on one register (one key): when each began
and ended, what it did and what it was told. It is linearizable when there is
an order of them, with each at some moment between its begin and its end, in
which a register one at a time would have said the same (Herlihy and Wing
1990). The search is the one of Wing and Gong (1993), with a memory of what it
has been through (Lowe 2017).
"""
import http.client
import json
import random
import socket
import threading
import time
import urllib.parse

ABSENT = None
NEVER = float("inf")
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Operation:
    """kind: "read" (result), "write" (value), "swap" (expected, value; result:
    True, or False where the register held something else).
    end NEVER: nobody knows whether it was done, or will be."""

    def __init__(self, kind, begin, end, value=None, expected=None,
                 result=None):
        self.kind = kind
        self.begin = begin
        self.end = end
        self.value = value
        self.expected = expected
        self.result = result

    def step(self, state):
        """(fits, state after it)"""
        if self.kind == "read":
            return self.result == state, state
        if self.kind == "write":
            return True, self.value
        if self.end == NEVER:
            return True, self.value if state == self.expected else state
        if self.result:
            return state == self.expected, self.value
        return state != self.expected, state

    def __repr__(self):
        return (f"{self.kind}({self.expected!r}, {self.value!r}) -> "
                f"{self.result!r} [{self.begin:.4f}, {self.end:.4f}]")


class TooHard(Exception):
    pass


def linearizable(operations, start=ABSENT, steps_max=2000000):
    """True or False; TooHard when the search takes too long."""
    # A read that was never answered says nothing.
    todo = sorted((op for op in operations
                   if op.kind != "read" or op.end != NEVER),
                  key=lambda op: op.begin)
    count = len(todo)
    must = 0
    for i, op in enumerate(todo):
        if op.end != NEVER:
            must |= 1 << i
    seen = set()
    stack = [(0, start, 0)]  # done, state, the first that isn't done
    steps = 0
    while stack:
        done, state, first = stack.pop()
        if done & must == must:
            return True
        if (done, state) in seen:
            continue
        seen.add((done, state))
        steps += 1
        if steps > steps_max:
            raise TooHard(f"{count} operations, {steps} steps")
        while done >> first & 1:
            first += 1
        # What begins after another has ended can't come before it.
        limit = NEVER
        i = first
        while i < count and todo[i].begin <= limit:
            if not done >> i & 1:
                limit = min(limit, todo[i].end)
            i += 1
        found = []
        i = first
        while i < count and todo[i].begin <= limit:
            if not done >> i & 1:
                fits, after = todo[i].step(state)
                if fits:
                    found.append((done | 1 << i, after, first))
            i += 1
        # Those that must come, and soonest, are tried first.
        stack.extend(reversed(found))
    return False


class Recorder:
    """Clients that work on keys of their own choice until they are stopped;
    what they did and were told is in `histories` by key."""

    def __init__(self, addresses, seed, clients=6, pause=0.004, timeout=8,
                 prefix="/v2/keys/jepsen"):
        self.addresses = addresses
        self.pause = pause
        self.timeout = timeout
        self.prefix = prefix
        self.histories = {}
        self.lock = threading.Lock()
        self.ending = False
        self.answered = 0
        self.unknown = 0
        self.began = time.monotonic()
        self.threads = [
            threading.Thread(target=self.work, daemon=True,
                             args=(number, random.Random(seed * 100 + number)))
            for number in range(clients)]

    def start(self):
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.ending = True
        for thread in self.threads:
            thread.join(self.timeout + 10)

    def key(self, rng):
        """A few at a time, new ones every other second: short histories."""
        return f"k{int((time.monotonic() - self.began) / 2)}-{rng.randrange(3)}"

    def work(self, number, rng):
        connection = None
        member = number % len(self.addresses)
        count = 0
        last = {}
        while not self.ending:
            count += 1
            key = self.key(rng)
            if connection is None:
                host, port = self.addresses[member]
                connection = http.client.HTTPConnection(host, port,
                                                        timeout=self.timeout)
            op = self.operation(rng, number, count, last.get(key))
            if not self.perform(connection, key, op, last):
                connection.close()
                connection = None
                member = rng.randrange(len(self.addresses))
            time.sleep(rng.random() * self.pause * 2)

    @staticmethod
    def operation(rng, number, count, last):
        value = f"{number}.{count}"
        dice = rng.random()
        if dice < 0.4:
            return Operation("read", 0, NEVER)
        if dice < 0.75 or last is None:
            return Operation("write", 0, NEVER, value=value)
        return Operation("swap", 0, NEVER, value=value, expected=last)

    def perform(self, connection, key, op, last):
        path = f"{self.prefix}/{key}"
        op.begin = time.monotonic()
        try:
            if op.kind == "read":
                connection.request("GET", path + "?quorum=true")
            else:
                fields = {"value": op.value}
                if op.kind == "swap":
                    fields["prevValue"] = op.expected
                connection.request("PUT", path, urllib.parse.urlencode(fields),
                                   FORM)
            answer = connection.getresponse()
            body = json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError):
            self.note(key, op, None, last)
            return False
        return self.note(key, op, body, last)

    def note(self, key, op, body, last):
        """True: it was answered, and the member is as good as any."""
        end = time.monotonic()
        code = body.get("errorCode") if body else None
        known = True
        if body is None or code == 300 or code == 301:
            known = False
        elif op.kind == "read":
            op.result = body["node"]["value"] if code is None else ABSENT
            known = code in (None, 100)
        elif op.kind == "swap":
            op.result = code is None
            known = code in (None, 100, 101)
        else:
            known = code is None
        if known:
            op.end = end
            if op.kind == "read":
                last[key] = op.result
            elif op.kind == "write" or op.result:
                last[key] = op.value
        with self.lock:
            self.histories.setdefault(key, []).append(op)
            self.answered += known
            self.unknown += not known
        return known

    def wrong(self):
        """The first key whose history is not linearizable, with it; None."""
        for key, operations in self.histories.items():
            if not linearizable(operations):
                return key, sorted(operations, key=lambda op: op.begin)
        return None


def check_itself():
    """The checker finds what is wrong and lets pass what isn't."""
    def write(value, begin, end):
        return Operation("write", begin, end, value=value)

    def read(result, begin, end):
        return Operation("read", begin, end, result=result)

    def swap(expected, value, result, begin, end):
        return Operation("swap", begin, end, value=value, expected=expected,
                         result=result)

    good = [
        [],
        [read(ABSENT, 0, 1)],
        [write("a", 0, 1), read("a", 2, 3)],
        [write("a", 0, 5), read(ABSENT, 1, 2), read("a", 3, 4)],
        [write("a", 0, NEVER), read(ABSENT, 1, 2), read("a", 3, 4)],
        [write("a", 0, NEVER), read(ABSENT, 1, 2)],
        [write("a", 0, 1), write("b", 0, 1), read("a", 2, 3),
         read("a", 4, 5)],
        [write("a", 0, 1), swap("a", "b", True, 2, 3), read("b", 4, 5)],
        [write("a", 0, 1), swap("x", "b", False, 2, 3), read("a", 4, 5)],
        [write("a", 0, 1), swap("a", "b", None, 2, NEVER), read("a", 4, 5),
         read("b", 6, 7)],
    ]
    bad = [
        [read("a", 0, 1)],
        [write("a", 0, 1), read(ABSENT, 2, 3)],
        [write("a", 0, 1), write("b", 2, 3), read("a", 4, 5)],
        [write("a", 0, 5), read("a", 1, 2), read(ABSENT, 3, 4)],
        [write("a", 0, 1), write("b", 0, 1), read("a", 2, 3),
         read("b", 4, 5)],
        [write("a", 0, 1), swap("a", "b", True, 2, 3),
         swap("a", "c", True, 4, 5)],
        [write("a", 0, 1), swap("a", "b", False, 2, 3)],
        [write("a", 0, NEVER), read("a", 1, 2), read(ABSENT, 3, 4)],
    ]
    return (all(linearizable(history) for history in good) and
            not any(linearizable(history) for history in bad))
