#!/usr/bin/env python3
"""Random sequences of v2 requests, sent to etched and to Debian's etcd, and
the answers compared.

    tests/compat/v2.py [--sequences 400] [--requests 50] [--seed 1]

All verbs and parameters, valid and not, over a small set of paths, so that
they meet. Indexes are compared relative to a write at each sequence's start,
times by whether they are there; listings that were not asked to be sorted are
sorted first (etcd's order is random). Where etched differs on purpose,
DIFFERENCES names it; docs/compat-v2.md gives the reasons.
"""
import argparse
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse

BIN = os.environ.get("ETCHED_BIN") or os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "..", "..", "bin")
HOST = "127.0.0.1"
INDEX_FIELDS = ("modifiedIndex", "createdIndex")
# An answer that isn't there by now waits; what a busy machine may add.
WAIT_SECONDS = 0.25
LATE_SECONDS = 3


def free_port():
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


class Server:
    def __init__(self, command, folder):
        port = free_port()
        url = f"http://{HOST}:{port}"
        peer = f"http://{HOST}:{free_port()}"
        self.port = port
        self.log = open(os.path.join(folder, f"{port}.log"), "wb")
        self.process = subprocess.Popen(
            command + [
                "--name", "compat", "--data-dir",
                os.path.join(folder, f"{port}"),
                "--listen-client-urls", url, "--advertise-client-urls", url,
                "--listen-peer-urls", peer,
                "--initial-advertise-peer-urls", peer,
                "--initial-cluster", f"compat={peer}"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.sock = None
        self.wait()

    def wait(self):
        for _ in range(500):
            try:
                status, _, _ = self.ask("PUT", "/v2/keys/ready", "value=1")
                if status in (200, 201):
                    return
            except OSError:
                pass
            if self.process.poll() is not None:
                raise SystemExit("a server ended by itself; see its log")
            time.sleep(0.02)
        raise SystemExit("a server did not answer")

    def stop(self):
        if self.sock:
            self.sock.close()
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()

    def connect(self):
        self.sock = socket.create_connection((HOST, self.port), timeout=10)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def send(self, method, target, body=None, form=True):
        if self.sock is None:
            self.connect()
        head = f"{method} {target} HTTP/1.1\r\nHost: {HOST}\r\n"
        if body is not None:
            data = body.encode("utf-8", "surrogateescape")
            if form:
                head += "Content-Type: application/x-www-form-urlencoded\r\n"
            head += f"Content-Length: {len(data)}\r\n"
        else:
            data = b""
        self.sock.sendall(head.encode("utf-8", "surrogateescape") +
                          b"\r\n" + data)

    def fill(self):
        data = self.sock.recv(262144)
        if not data:
            raise OSError("the connection was closed")
        self.buffer += data

    def line(self):
        while b"\r\n" not in self.buffer:
            self.fill()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def take(self, size):
        while len(self.buffer) < size:
            self.fill()
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def receive(self, method):
        try:
            status = int(self.line().split()[1])
            headers = {}
            while True:
                line = self.line()
                if not line:
                    break
                name, value = line.decode("latin-1").split(":", 1)
                headers[name.lower()] = value.strip()
            body = b""
            if method == "HEAD" or status in (204, 304):
                pass
            elif headers.get("transfer-encoding") == "chunked":
                while True:
                    size = int(self.line(), 16)
                    body += self.take(size)
                    self.line()
                    if size == 0:
                        break
            else:
                body = self.take(int(headers.get("content-length", "0")))
            if headers.get("connection") == "close":
                self.close()
            return status, headers, body
        except OSError:
            self.close()
            raise

    def close(self):
        self.sock.close()
        self.sock = None

    def ask(self, method, target, body=None, form=True):
        self.send(method, target, body, form)
        return self.receive(method)


# ---- what is sent ------------------------------------------------------------

NAMES = ["a", "b", "c", "d.e", "a-b", "_h", "x y", "ü"]
VALUES = ["", "1", "two", "a=b&c", "<html> & \"quotes\"", "line\nbreak",
          "\u2028", "snow \u2603", "x" * 300]
BOOLS = ["true", "false", "1", "0", "t", "F", "TRUE", "yes", "", "maybe"]


class Sequence:
    def __init__(self, rng, number):
        self.rng = rng
        self.root = f"/s{number}"
        self.events = []  # (relative index, path) of writes that succeeded

    def path(self):
        rng = self.rng
        if rng.random() < 0.02:
            return "/"
        depth = rng.choice([0, 1, 1, 1, 2, 2, 3])
        names = [rng.choice(NAMES[:5] if rng.random() < 0.8 else NAMES)
                 for _ in range(depth)]
        return self.root + "".join("/" + name for name in names)

    def pick(self, params, name, choices, chance):
        if self.rng.random() < chance:
            params.append((name, self.rng.choice(choices)))

    def good(self, params, name, chance):
        if self.rng.random() < chance:
            bad = self.rng.random() < 0.06
            params.append((name, self.rng.choice(BOOLS) if bad else "true"))

    def index(self, base):
        rng = self.rng
        roll = rng.random()
        if self.events and roll < 0.7:
            return str(rng.choice(self.events)[0] + base)
        return rng.choice([str(base), "1", "0", "-1", "abc", "", "1.5",
                           "99999999999999999999", str(base + 100000)])

    def request(self, bases):
        """(method, [target for each server], [body for each server])"""
        method = self.rng.choices(
            ["GET", "PUT", "POST", "DELETE", "HEAD"], [30, 40, 8, 20, 2])[0]
        path = self.path()
        state = self.rng.getstate()
        both = []
        for base in bases:
            self.rng.setstate(state)
            both.append(self.build(method, path, base))
        return method, both

    def build(self, method, path, base):
        rng = self.rng
        params = []
        if method in ("GET", "HEAD"):
            self.good(params, "recursive", 0.4)
            self.good(params, "sorted", 0.4)
            self.good(params, "quorum", 0.1)
            self.pick(params, "waitIndex", ["abc", "-1", "1.5"], 0.02)
            self.pick(params, "stream", ["maybe", ""], 0.01)
        else:
            self.write_params(method, params, base)
        query = body = None
        text = urllib.parse.urlencode(params, errors="surrogateescape")
        in_query = method in ("GET", "HEAD", "DELETE") or rng.random() < 0.1
        if in_query:
            query = text
        else:
            body = text
        if rng.random() < 0.01:
            body = (body or "") + rng.choice(["&%zz=1", "%", "&a;b", "&=&&"])
            query = query if method != "GET" else query
        target = "/v2/keys" + urllib.parse.quote(path)
        if rng.random() < 0.02:
            target += "/"
        if query:
            target += "?" + query
        if method in ("GET", "HEAD"):
            body = None
        return target, body, rng.random() < 0.98

    def write_params(self, method, params, base):
        rng = self.rng
        if method != "DELETE":
            self.pick(params, "value", VALUES, 0.75)
            # Long ones: none may end while the sequences run.
            self.pick(params, "ttl", ["20000", "50000", "70000", "", "abc",
                                      "-5", "1.5", "100000000"], 0.18)
        self.good(params, "dir", 0.25 if method != "POST" else 0.1)
        if method == "DELETE":
            self.good(params, "recursive", 0.4)
        if method in ("PUT", "DELETE") and rng.random() < 0.25:
            self.pick(params, "prevValue", VALUES, 0.6)
            if rng.random() < 0.5:
                params.append(("prevIndex", self.index(base)))
        if method == "PUT":
            self.pick(params, "prevExist",
                      ["true", "true", "false", "false", "maybe", ""], 0.25)
            self.good(params, "refresh", 0.06)
        self.good(params, "noValueOnSuccess", 0.05)
        self.pick(params, "wait", ["true", "false", "x"], 0.01)

    def watch(self, base):
        """A watch from a past index, which must find something."""
        relative, path = self.rng.choice(self.events)
        roll = self.rng.random()
        recursive = roll < 0.5
        if recursive and self.rng.random() < 0.5 and "/_" not in path:
            path = self.root
        params = [("wait", "true"), ("waitIndex", str(relative + base))]
        if recursive:
            params.append(("recursive", "true"))
        return ("/v2/keys" + urllib.parse.quote(path) + "?" +
                urllib.parse.urlencode(params))


# ---- what comes back ---------------------------------------------------------

def relative_key(key, base):
    """In-order names are indexes."""
    return re.sub(r"(?<=/)\d{20}(?=/|$)",
                  lambda m: f"#{int(m.group()) - base}", key)


def relative_node(node, base, is_sorted):
    if node is None:
        return None
    out = dict(node)
    for field in INDEX_FIELDS:
        if field in out:
            out[field] -= base
    if "key" in out:
        out["key"] = relative_key(out["key"], base)
    if "expiration" in out:
        out["expiration"] = "there"
    if "ttl" in out:
        out["ttl"] = "about " + str(round(out["ttl"] / 5000))
    if "nodes" in out:
        nodes = [relative_node(n, base, is_sorted) for n in out["nodes"]]
        if not is_sorted:
            nodes.sort(key=lambda n: n["key"])
        out["nodes"] = nodes
    return out


def relative_cause(cause, base):
    cause = re.sub(r"\[(\d+) != (\d+)\]",
                   lambda m: f"[{shift(m.group(1), base)} != "
                             f"{shift(m.group(2), base)}]", cause)
    return relative_key(cause, base)


def relative_index(target, base):
    return re.sub(r"(?<=Index=)\d+",
                  lambda m: str(shift(m.group(), base)), target)


def shift(number, base):
    """0 is no index, and 1 one that is sent as it is."""
    return int(number) - base if int(number) > 1 else int(number)


def normal(answer, base, method, is_sorted):
    status, headers, body = answer
    out = {"status": status,
           "type": headers.get("content-type"),
           "allow": headers.get("allow"),
           "location": relative_index(headers.get("location", ""), base),
           "cluster": "x-etcd-cluster-id" in headers}
    if "x-etcd-index" in headers:
        out["index"] = shift(headers["x-etcd-index"], base)
    if method == "HEAD":
        return out
    try:
        data = json.loads(body)
    except ValueError:
        out["text"] = body
        return out
    if isinstance(data, dict):
        out["ends"] = body.endswith(b"\n")
        out["order"] = list(data)
        if "index" in data:
            data["index"] = shift(data["index"], base)
        if "cause" in data:
            data["cause"] = relative_cause(data["cause"], base)
        for field in ("node", "prevNode"):
            if field in data:
                data[field] = relative_node(data[field], base, is_sorted)
    out["body"] = data
    return out


# ---- what may differ ----------------------------------------------------------

def utf8(theirs, ours, request):
    """A key that is not UTF-8: etcd stores it and shows it damaged."""
    return ours.get("body", {}).get("errorCode") == 209 and \
        "UTF-8" in ours["body"].get("cause", "")


def hidden_event(answer):
    """etcd hides such an event from a watcher that waits, and shows it to one
    that asks for the past; etched hides it from both."""
    status, _, body = answer
    return status == 200 and \
        "/_" in json.loads(body).get("node", {}).get("key", "")


DIFFERENCES = {
    "bad UTF-8 in a key is refused": utf8,
}


def compare(theirs, ours, request, tally):
    if theirs == ours:
        return True
    for name, test in DIFFERENCES.items():
        if test(theirs, ours, request):
            tally[name] = tally.get(name, 0) + 1
            return True
    return False


class Run:
    def __init__(self, etcd, etched):
        self.servers = [etcd, etched]
        self.tally = {}
        self.compared = 0

    def bases(self, sequence):
        """Both write the same key; its index is where counting starts."""
        out = []
        for server in self.servers:
            _, headers, _ = server.ask(
                "PUT", "/v2/keys" + sequence.root + "/start", "value=s")
            out.append(int(headers["x-etcd-index"]))
        return out

    def ask_both(self, method, both, seconds=10):
        for server, (target, body, form) in zip(self.servers, both):
            server.send(method, target, body, form)
            server.sock.settimeout(seconds)
        return [server.receive(method) for server in self.servers]

    def watch(self, sequence, rng, bases):
        """A watch from a past index. One that finds nothing would wait: then
        both must."""
        state = rng.getstate()
        both = []
        for base in bases:
            rng.setstate(state)
            both.append((sequence.watch(base), None, True))
        waiting = []
        answers = []
        for server, (target, _, _) in zip(self.servers, both):
            server.send("GET", target)
            # Where the first has answered, the other may be late.
            server.sock.settimeout(
                LATE_SECONDS if False in waiting else WAIT_SECONDS)
            try:
                answers.append(server.receive("GET"))
                waiting.append(False)
            except TimeoutError:
                answers.append(None)
                waiting.append(True)
        self.compared += 1
        if waiting == [True, True]:
            self.tally["(a watch found nothing, with both)"] = \
                self.tally.get("(a watch found nothing, with both)", 0) + 1
            return None
        if answers[0] and "/_" not in both[0][0] and \
                hidden_event(answers[0]):
            name = "a hidden key's past event is not shown from above"
            self.tally[name] = self.tally.get(name, 0) + 1
            return None
        if waiting != [False, False]:
            return f"{both[0][0]}: only one waits: {waiting} {answers}"
        theirs, ours = (normal(answer, base, "GET", False)
                        for answer, base in zip(answers, bases))
        if compare(theirs, ours, both[0], self.tally):
            return None
        return report("GET", both, theirs, ours, answers)

    def one(self, method, both, bases, sequence):
        is_sorted = "sorted=true" in both[0][0] and \
            "sorted=true" in both[1][0]
        answers = self.ask_both(method, both)
        theirs, ours = (normal(answer, base, method, is_sorted)
                        for answer, base in zip(answers, bases))
        self.compared += 1
        if not compare(theirs, ours, both[0], self.tally):
            return report(method, both, theirs, ours, answers)
        if method in ("PUT", "POST", "DELETE") and ours["status"] < 300 and \
                "node" in (ours.get("body") or ()):
            node = ours["body"]["node"]
            if "refresh=" not in str(both[0]):
                sequence.events.append(
                    (ours["index"],
                     json.loads(answers[1][2])["node"]["key"]
                     if "#" not in node.get("key", "") else sequence.root))
        return None

    def sequence(self, rng, number, requests):
        sequence = Sequence(rng, number)
        bases = self.bases(sequence)
        for _ in range(requests):
            if sequence.events and rng.random() < 0.06:
                problem = self.watch(sequence, rng, bases)
            else:
                method, both = sequence.request(bases)
                problem = self.one(method, both, bases, sequence)
            if problem:
                return problem
        # What was built must be the same, and is then removed.
        problem = self.one("GET", [(f"/v2/keys{sequence.root}?recursive=true"
                                    "&sorted=true", None, True)] * 2,
                           bases, sequence)
        for server in self.servers:
            server.ask("DELETE",
                       f"/v2/keys{sequence.root}?recursive=true")
            self.clear_root(server)
        return problem

    def clear_root(self, server):
        """Keys that were posted to the root itself."""
        nodes = json.loads(server.ask("GET", "/v2/keys/")[2])["node"]
        for node in nodes.get("nodes", []):
            if re.fullmatch(r"/\d{20}", node["key"]):
                server.ask("DELETE",
                           f"/v2/keys{node['key']}?recursive=true")


def report(method, both, theirs, ours, answers):
    lines = [f"{method} {both[0][0]}  body={both[0][1]!r} form={both[0][2]}"]
    for key in sorted(set(theirs) | set(ours)):
        if theirs.get(key) != ours.get(key):
            lines.append(f"  {key}: etcd   {theirs.get(key)!r}")
            lines.append(f"  {' ' * len(key)}  etched {ours.get(key)!r}")
    lines.append(f"  raw: etcd   {answers[0][2][:400]!r}")
    lines.append(f"       etched {answers[1][2][:400]!r}")
    return "\n".join(line[:600] for line in lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sequences", type=int, default=400)
    parser.add_argument("--requests", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep-going", type=int, default=3,
                        help="differences to show before giving up")
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="etched-compat-")
    servers = []
    problems = 0
    try:
        servers.append(Server(["etcd", "--enable-v2=true"], folder))
        servers.append(Server([os.path.join(BIN, "etched")], folder))
        run = Run(*servers)
        for number in range(options.sequences):
            rng = random.Random(options.seed * 1000003 + number)
            problem = run.sequence(rng, f"{options.seed}-{number}",
                                   options.requests)
            if problem:
                problems += 1
                print(f"# sequence {number} of seed {options.seed}: "
                      + problem.replace("\n", "\n# "))
                if problems >= options.keep_going:
                    break
        name = (f"v2: {options.sequences} random sequences of "
                f"{options.requests} requests")
        for difference, count in sorted(run.tally.items()):
            print(f"# {count} times: {difference}")
        print(f"# {run.compared} answers compared")
        print(f"not ok {name}" if problems else f"ok {name}")
    finally:
        for server in servers:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
