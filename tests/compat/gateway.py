#!/usr/bin/python3
"""One session of v3's JSON gateway, as curl would speak to it, on etcd and on
etched: status, content type and body must be the same.

    tests/compat/gateway.py [--only WORD] [--verbose] [--reference-twice]

The two begin with the same revision. Ids are masked. Where etched differs on
purpose, DIFFERENCES names it; docs/compat-v3.md gives the reasons.
"""
import argparse
import base64
import hashlib
import http.client
import json
import re
import sys
import time

sys.dont_write_bytecode = True
# pylint: disable=wrong-import-position
import v3_wire

SECONDS = 10
STEPS = []


def step(function):
    STEPS.append(function)
    return function


def b64(text):
    data = text if isinstance(text, bytes) else text.encode()
    return base64.b64encode(data).decode()


class Session:
    """What one server answered, in order."""

    def __init__(self, server):
        self.server = server
        self.got = []  # (request, answer)
        self.ids = {}
        header = self.ask("/v3/kv/range", {"key": b64("x")}, keep=False)
        header = header["json"]["header"]
        self.ids[header["cluster_id"]] = "CLUSTER"
        self.ids[header["member_id"]] = "MEMBER"
        self.member = header["member_id"]

    def send(self, path, body, method="POST", headers=None):
        connection = http.client.HTTPConnection(
            v3_wire.HOST, self.server.port, timeout=SECONDS)
        if not isinstance(body, (str, bytes, type(None))):
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode()
        connection.request(method, path, body, headers or {})
        return connection, connection.getresponse()

    def ask(self, path, body, method="POST", headers=None, keep=True):
        connection, answer = self.send(path, body, method, headers)
        try:
            data = answer.read()
        finally:
            connection.close()
        out = {"status": answer.status,
               "type": answer.headers.get("content-type")}
        self.add_body(out, data)
        if keep:
            self.keep(f"{method} {path} {body!r}"[:300], out)
        return out

    @staticmethod
    def add_body(out, data):
        text = data.decode("utf-8", "replace")
        try:
            out["json"] = json.loads(text)
            out["order"] = re.findall(r'"(\w+)":', text)
        except ValueError:
            out["text"] = text

    def stream(self, path, body, lines, between=None, method="POST"):
        """The first lines of a streamed answer; `between` is called when the
        first one is there."""
        connection, answer = self.send(path, body, method)
        out = {"status": answer.status,
               "type": answer.headers.get("content-type"),
               "chunked": answer.headers.get("transfer-encoding"),
               "lines": []}
        try:
            while len(out["lines"]) < lines:
                line = answer.readline()
                if not line:
                    out["end"] = True
                    break
                out["lines"].append(json.loads(line))
                if between:
                    between()
                    between = None
        except (TimeoutError, ValueError) as error:
            out["lines"].append(f"{type(error).__name__}: {error}")
        finally:
            connection.close()
        self.keep(f"{method} {path} {body!r}"[:300], out)
        return out

    def keep(self, request, answer):
        self.got.append((self.mask(request), self.mask(answer)))

    def mask(self, value):
        if isinstance(value, dict):
            return {key: "N" if key in ("raft_term", "raftTerm", "raftIndex",
                                        "raftAppliedIndex", "dbSize",
                                        "dbSizeInUse") else self.mask(inner)
                    for key, inner in value.items()}
        if isinstance(value, list):
            return [self.mask(inner) for inner in value]
        if isinstance(value, str):
            for number, name in self.ids.items():
                value = value.replace(number, name)
            return re.sub(r"127\.0\.0\.1:\d+", "ADDRESS", value)
        return value

    def learn(self, number, name):
        self.ids[str(number)] = name


# ---- keys and values --------------------------------------------------------

@step
def put_and_range(s):
    s.ask("/v3/kv/put", {"key": b64("a"), "value": b64("1")})
    s.ask("/v3/kv/put", {"key": b64("a"), "value": b64(b"\x00\xff"),
                         "prev_kv": True})
    s.ask("/v3/kv/put", {"key": b64("b")})
    s.ask("/v3/kv/put", {"key": b64("b"), "ignore_value": True})
    s.ask("/v3/kv/put", {"key": b64("\u2603")})
    s.ask("/v3/kv/range", {"key": b64("a")})
    s.ask("/v3/kv/range", {"key": b64("none")})
    s.ask("/v3/kv/range", {"key": b64("a"), "range_end": b64("z")})
    s.ask("/v3/kv/range", {"key": b64("\0"), "range_end": b64("\0"),
                           "limit": 1})
    s.ask("/v3/kv/range", {"key": b64("\0"), "range_end": b64("\0"),
                           "limit": "1", "keys_only": True})
    s.ask("/v3/kv/range", {"key": b64("a"), "range_end": b64("z"),
                           "count_only": True, "serializable": True})
    for order in ("DESCEND", "ASCEND", "NONE", 2, "2"):
        s.ask("/v3/kv/range", {"key": b64("a"), "range_end": b64("z"),
                               "sort_order": order, "sort_target": "MOD"})
    s.ask("/v3/kv/deleterange", {"key": b64("b"), "prev_kv": True})
    s.ask("/v3/kv/deleterange", {"key": b64("b")})


@step
def large_values(s):
    """Up to what a request may be, what is refused for it, and what gRPC
    itself refuses."""
    for size in (1200000, 1572820, 1572864, 2097100, 2097152):
        s.ask("/v3/kv/put", {"key": b64("large"), "value": b64("x" * size)})
    s.ask("/v3/kv/range", {"key": b64("large"), "keys_only": True})
    s.ask("/v3/kv/deleterange", {"key": b64("large")})


@step
def names_of_fields(s):
    """In camelCase, too; null is nothing."""
    s.ask("/v3/kv/range", {"key": b64("a"), "rangeEnd": b64("z")})
    s.ask("/v3/kv/put", {"key": b64("a"), "value": b64("2"), "prevKv": True})
    s.ask("/v3/kv/range", {"key": b64("a"), "range_end": None})
    s.ask("/v3/kv/range", {"key": b64("a"), "nothing": 1})
    s.ask("/v3/kv/range", '{"key":"%s","key":"%s"}' % (b64("a"), b64("b")))


@step
def prefixes_of_paths(s):
    body = {"key": b64("a")}
    for path in ("/v3/kv/range", "/v3beta/kv/range", "/v3alpha/kv/range",
                 "/v4/kv/range", "/v3/kv/nothing", "/v3/", "/v3",
                 "/v3/kv/range/", "/v3/kv/range?key=x"):
        s.ask(path, body)
    for method in ("GET", "PUT", "DELETE", "HEAD", "OPTIONS"):
        s.ask("/v3/kv/range", None, method)


@step
def bad_bodies(s):
    for body in ("", "{", "[]", "null", "1", '"x"', '{"key": 1}',
                 '{"key": "not base64!"}', '{"key": "YQ"}',
                 '{"key": "YWE="} trailing', '{"limit": "x", "key": "YQ=="}',
                 '{"limit": 1.5, "key": "YQ=="}',
                 '{"limit": 99999999999999999999, "key": "YQ=="}',
                 '{"serializable": "true", "key": "YQ=="}',
                 '{"sort_order": "UP", "key": "YQ=="}',
                 '{"key": "_-8="}', "{}", '{"key": ""}', b"\xff\xfe"):
        s.ask("/v3/kv/range", body)
    for kind in ("text/plain", "application/x-www-form-urlencoded",
                 "application/json; charset=utf-8"):
        s.ask("/v3/kv/range", {"key": b64("a")},
              headers={"Content-Type": kind})


@step
def errors(s):
    s.ask("/v3/kv/put", {"value": b64("x")})
    s.ask("/v3/kv/put", {"key": b64("a"), "lease": "4711"})
    s.ask("/v3/kv/range", {"key": b64("a"), "revision": "123456789"})
    s.ask("/v3/kv/compaction", {"revision": "123456789"})
    s.ask("/v3/lease/revoke", {"ID": "4711"})
    s.ask("/v3/kv/txn", {"success": [{}]})


@step
def txns(s):
    s.ask("/v3/kv/txn", {
        "compare": [{"key": b64("a"), "target": "VALUE", "result": "EQUAL",
                     "value": b64("2")}],
        "success": [{"request_put": {"key": b64("t"), "value": b64("1")}},
                    {"request_range": {"key": b64("t")}},
                    {"request_txn": {"failure": [], "success": [
                        {"requestDeleteRange": {"key": b64("t2")}}]}}],
        "failure": [{"request_range": {"key": b64("a")}}]})
    s.ask("/v3/kv/txn", {
        "compare": [{"key": b64("a"), "target": "MOD", "result": "GREATER",
                     "mod_revision": "1"},
                    {"key": b64("a"), "target": "VERSION", "result": 3,
                     "version": "0"},
                    {"key": b64("none"), "target": "CREATE",
                     "createRevision": 0},
                    {"key": b64("none"), "target": "LEASE", "lease": 0}],
        "failure": [{"request_put": {"key": b64("t"), "value": b64("1")}}]})
    s.ask("/v3/kv/txn", {"success": [
        {"request_put": {"key": b64("t")}},
        {"request_put": {"key": b64("t")}}]})
    s.ask("/v3/kv/txn", {})


# ---- leases -----------------------------------------------------------------

@step
def leases(s):
    s.ask("/v3/lease/grant", {"ID": "77", "TTL": "1000"})
    s.ask("/v3/lease/grant", {"ID": 77, "TTL": 1000})
    s.ask("/v3/lease/grant", {"ID": "78", "TTL": "99999999999"})
    s.ask("/v3/kv/put", {"key": b64("l"), "lease": 77})
    for path in ("/v3/lease/timetolive", "/v3/kv/lease/timetolive"):
        answer = s.ask(path, {"ID": "77", "keys": True}, keep=False)
        if 990 <= int(answer.get("json", {}).get("TTL", "0")) <= 1000:
            answer["json"]["TTL"] = "close"
        s.keep(path, answer)
    s.ask("/v3/lease/timetolive", {"ID": "4711"})
    s.ask("/v3/lease/leases", {})
    s.ask("/v3/kv/lease/leases", {})
    s.stream("/v3/lease/keepalive", {"ID": "77"}, 2)
    s.stream("/v3/lease/keepalive", {"ID": "4711"}, 2)
    s.stream("/v3/lease/keepalive", '{"ID":"77"}\n{"ID":"77"}', 3)
    s.ask("/v3/kv/lease/revoke", {"ID": "77"})
    s.ask("/v3/lease/revoke", {"ID": "77"})
    s.ask("/v3/kv/range", {"key": b64("l")})


# ---- streams ----------------------------------------------------------------

@step
def watches(s):
    def change():
        s.ask("/v3/kv/put", {"key": b64("w"), "value": b64("1")}, keep=False)
        s.ask("/v3/kv/deleterange", {"key": b64("w")}, keep=False)

    s.stream("/v3/watch", {"create_request": {"key": b64("w")}}, 3, change)
    s.stream("/v3/watch", {"create_request": {
        "key": b64("w"), "range_end": b64("x"), "prev_kv": True,
        "filters": ["NOPUT"], "watch_id": "5"}}, 2, change)
    s.stream("/v3beta/watch", {"createRequest": {
        "key": b64("w"), "filters": ["NODELETE"]}}, 2, change)
    answer = s.ask("/v3/kv/put", {"key": b64("past"), "value": b64("1")})
    begin = answer["json"]["header"]["revision"]
    s.ask("/v3/kv/put", {"key": b64("past"), "value": b64("2")})
    s.stream("/v3/watch", {"create_request": {
        "key": b64("past"), "start_revision": begin}}, 2)
    s.stream("/v3/watch", '{"create_request":{"key":"%s"}}\n'
             '{"progress_request":{}}' % b64("w"), 2)
    s.stream("/v3/watch", '{"create_request":{"key":"%s"}}\n'
             '{"cancel_request":{"watch_id":"0"}}' % b64("w"), 2)
    s.stream("/v3/watch", {"create_request": {
        "key": b64("z"), "range_end": b64("a")}}, 1)
    s.stream("/v3/watch", '{"create_request":{"key":"!"}}', 1)
    s.stream("/v3/watch", "{", 1)


@step
def snapshots(s):
    connection, answer = s.send("/v3/maintenance/snapshot", {})
    data = b""
    left = []
    try:
        for line in answer:
            result = json.loads(line)["result"]
            data += base64.b64decode(result.get("blob", ""))
            left.append(int(result.get("remaining_bytes", "0")))
    finally:
        connection.close()
    s.keep("snapshot", {
        "status": answer.status, "type": answer.headers.get("content-type"),
        "hash": hashlib.sha256(data[:-32]).digest() == data[-32:],
        "falls": left == sorted(left, reverse=True), "end": left[-1:]})


# ---- locks, elections -------------------------------------------------------

@step
def locks(s):
    s.ask("/v3/lease/grant", {"ID": "81", "TTL": "1000"})
    s.ask("/v3/lock/lock", {"name": b64("lock"), "lease": "81"})
    held = s.ask("/v3/lock/lock", {"name": b64("lock"), "lease": "81"})
    key = held.get("json", {}).get("key", "")
    s.ask("/v3/kv/range", {"key": key})
    s.ask("/v3/lock/unlock", {"key": key})
    s.ask("/v3/lock/unlock", {"key": key})
    s.ask("/v3/lock/lock", {"name": b64("lock"), "lease": "4711"})
    s.ask("/v3beta/lock/lock", {"name": b64("lock2"), "lease": "81"})


@step
def elections(s):
    s.ask("/v3/lease/grant", {"ID": "82", "TTL": "1000"})
    s.ask("/v3/election/leader", {"name": b64("e")})
    won = s.ask("/v3/election/campaign", {"name": b64("e"), "lease": "82",
                                          "value": b64("me")})
    leader = won.get("json", {}).get("leader", {})
    s.ask("/v3/election/leader", {"name": b64("e")})
    s.stream("/v3/election/observe", {"name": b64("e")}, 2, lambda: s.ask(
        "/v3/election/proclaim", {"leader": leader, "value": b64("still me")},
        keep=False))
    s.ask("/v3/election/proclaim", {"leader": leader, "value": b64("me")})
    s.ask("/v3/election/resign", {"leader": leader})
    s.ask("/v3/election/proclaim", {"leader": leader, "value": b64("me")})
    s.ask("/v3/election/resign", {"leader": leader})
    s.ask("/v3/election/proclaim", {"value": b64("me")})
    s.ask("/v3/election/campaign", {"name": b64("e"), "lease": "4711"})


# ---- members, upkeep --------------------------------------------------------

@step
def members(s):
    s.ask("/v3/cluster/member/list", {})
    s.ask("/v3/cluster/member/add", {"peerURLs": ["nothing"]})
    s.ask("/v3/cluster/member/add", {"peerURLs": [s.server.peer]})
    s.ask("/v3/cluster/member/remove", {"ID": "1234"})
    s.ask("/v3/cluster/member/update", {
        "ID": "1234", "peerURLs": ["http://127.0.0.1:1"]})
    s.ask("/v3/cluster/member/promote", {"ID": "1234"})


@step
def upkeep(s):
    status = s.ask("/v3/maintenance/status", {}, keep=False)
    status.get("json", {}).pop("version", None)
    s.keep("status", status)
    s.ask("/v3/maintenance/alarm", {"action": "GET"})
    s.ask("/v3/maintenance/alarm", {"action": "ACTIVATE", "alarm": "NOSPACE",
                                    "memberID": s.member})
    s.ask("/v3/maintenance/alarm", {})
    s.ask("/v3/kv/put", {"key": b64("full")})
    s.ask("/v3/maintenance/alarm", {"action": "DEACTIVATE", "alarm": 1,
                                    "memberID": s.member})
    s.ask("/v3/maintenance/defragment", {})
    s.ask("/v3/maintenance/transfer-leadership", {"targetID": "1234"})


@step
def hashes(s):
    """Of the whole database, so only that there is one can be compared."""
    answer = s.ask("/v3/maintenance/hash", {}, keep=False)
    answer["json"]["hash"] = answer["json"]["hash"] > 0
    s.keep("hash", answer)


@step
def compactions(s):
    answer = s.ask("/v3/kv/put", {"key": b64("c")})
    now = int(answer["json"]["header"]["revision"])
    s.ask("/v3/kv/compaction", {"revision": str(now), "physical": True})
    s.ask("/v3/kv/compaction", {"revision": now})
    s.ask("/v3/kv/range", {"key": b64("c"), "revision": now - 1})
    s.stream("/v3/watch", {"create_request": {
        "key": b64("c"), "start_revision": now - 1}}, 2)
    s.ask("/v3/kv/range", {"key": b64("\0"), "range_end": b64("\0")})


# ---- what may differ --------------------------------------------------------

def error_of(answer):
    """(code, message) of an error's body, of either form; None: it is none."""
    body = answer.get("json")
    if body is None and answer.get("lines"):
        body = answer["lines"][0]
    if isinstance(body, dict) and isinstance(body.get("error"), dict):
        body = body["error"]
    if isinstance(body, dict) and "code" in body:
        return body["code"], body.get("message")
    return None


def later_error(_request, theirs, ours):
    """3.6's gateway has `details`, and 400 for what 3.4's had 412."""
    status = {412: 400}.get(theirs["status"], theirs["status"])
    return error_of(theirs) is not None and ours["status"] == status and \
        error_of(theirs) == error_of(ours)


def other_words(_request, theirs, ours):
    """What is no JSON, or not of the message, is refused in other words; a
    stream's with 400, too."""
    go = ("json: ", "unexpected EOF", "illegal base64", "invalid character",
          "unknown value")
    error = error_of(theirs)
    return error is not None and error[1].startswith(go) and \
        ours["status"] == 400 and error_of(ours)[0] == 3


def more_base64(request, theirs, ours):
    """Without its padding, and of the kind for URLs: as with 3.6."""
    return ("YQ\"" in request or "_-8=" in request) and \
        theirs["status"] == 400 and ours["status"] == 200


def said_twice(_request, theirs, ours):
    """A field that is there twice is refused, as with 3.6."""
    return theirs["status"] == 200 and ours["status"] == 400 and \
        "twice" in str(error_of(ours))


def no_such_path(request, theirs, ours):
    """Errors about paths and methods are JSON, as with 3.6; and what 3.4
    redirects from is not there."""
    if theirs["status"] in (404, 405):
        return theirs["status"] == ours["status"] and \
            ours["type"] == "application/json"
    return theirs["status"] == 301 and ours["status"] == 404 and \
        "POST /v3 " in request


def oldest_prefix(request, _theirs, ours):
    return request.startswith("POST /v3alpha/") and ours["status"] == 200


def options(request, theirs, ours):
    return request.startswith("OPTIONS ") and \
        theirs["status"] == ours["status"] == 200


def later_fields(_request, theirs, ours):
    """Headers where 3.4 has none, and Status' fields of 3.6."""
    bodies = theirs.get("json"), ours.get("json")
    later = ("header", "storageVersion", "dbSizeQuota", "downgradeInfo")
    return all(isinstance(body, dict) for body in bodies) and \
        theirs["status"] == ours["status"] == 200 and \
        {**bodies[0]} == {name: value for name, value in bodies[1].items()
                          if name in bodies[0] or name not in later}


DIFFERENCES = {
    "an error's body is that of 3.6's gateway": later_error,
    "what can't be read is refused in other words": other_words,
    "more kinds of base64 are read": more_base64,
    "a field that is there twice is refused": said_twice,
    "errors about paths are JSON": no_such_path,
    "/v3alpha/ is served, too": oldest_prefix,
    "OPTIONS has another content type": options,
    "answers have the fields of 3.6": later_fields,
}


def same(request, theirs, ours, tally):
    if theirs == ours:
        return True
    for name, test in DIFFERENCES.items():
        if test(request, theirs, ours):
            tally[name] = tally.get(name, 0) + 1
            return True
    return False


def compare(name, sessions, tally, verbose):
    theirs, ours = (session.got for session in sessions)
    bad = [(one, other) for one, other in zip(theirs, ours)
           if not same(one[0], one[1], other[1], tally)]
    if verbose:
        for one in theirs:
            print(f"# {one[0]}\n#   {json.dumps(one[1])[:1000]}")
    good = not bad and len(theirs) == len(ours)
    print(f"{'ok' if good else 'not ok'} gateway: {name} "
          f"({len(theirs)} requests)", flush=True)
    for one, other in bad:
        print(f"# {one[0]}")
        for side, answer in (("etcd", one[1]), ("etched", other[1])):
            print(f"#   {side:6} {json.dumps(answer)[:900]}")
    return good


def run_step(function, session):
    session.got = []
    try:
        function(session)
    # Whatever a step raises is what it came to.
    except Exception as error:  # pylint: disable=broad-except
        session.keep("the step", f"{type(error).__name__}: {error}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="")
    parser.add_argument("--server", default="etched")
    parser.add_argument("--reference-twice", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    folder = v3_wire.scratch_folder()
    servers = []
    failed = 0
    tally = {}
    began = time.monotonic()
    try:
        servers.append(v3_wire.Server("etcd", folder))
        servers.append(v3_wire.Server(
            "etcd" if options.reference_twice else options.server, folder))
        v3_wire.align(servers, v3_wire.Messages())
        sessions = [Session(server) for server in servers]
        for function in STEPS:
            name = function.__name__.replace("_", " ")
            if options.only not in name:
                continue
            for session in sessions:
                run_step(function, session)
            failed += not compare(name, sessions, tally, options.verbose)
    finally:
        for server in servers:
            server.stop()
        v3_wire.remove(folder)
    for name, count in sorted(tally.items()):
        print(f"# {count} times: {name}")
    print(f"# {time.monotonic() - began:.1f} s")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
