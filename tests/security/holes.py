#!/usr/bin/env python3
"""The holes that others had: each has a test that goes by its name. Here is the
table of all of them, and the stories of those that need a whole server and are
nobody else's.

    tests/security/holes.py [WORD]...   only lines that have a WORD
"""
import base64
import glob
import json
import os
import re
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import story  # noqa: E402
from world import Failure, Server, check, equal  # noqa: E402

# Each hole by all its names, and the places of tests of which one has a test
# by one of the names. NOT_OURS: a reason.
UNIT = "tests/unit/"
HOLES = (
    # Published advisories.
    ("CVE-2018-1098 GHSA-5gjm-fj42-x983", UNIT + "api"),
    ("CVE-2018-1099 GHSA-wf43-55jj-vwq8", "tests/security/process.py"),
    ("CVE-2018-16886 GHSA-h6xx-pmxh-3wgp", UNIT + "api tests/security"),
    ("CVE-2020-15106 GHSA-p4g4-wgrh-qrg2 TOB-ETCD-007", UNIT + "wal"),
    ("CVE-2020-15112 GHSA-m332-53r6-2w93 TOB-ETCD-006", UNIT + "wal"),
    ("CVE-2020-15113 GHSA-chh6-ppwq-jh92 TOB-ETCD-003",
     UNIT + "host/test_data_dir.c"),
    ("CVE-2020-15114 GHSA-2xhq-gv6c-p224 TOB-ETCD-002",
     UNIT + "host tests/security"),
    ("CVE-2020-15115 GHSA-4993-m7g5-r9hh TOB-ETCD-008",
     UNIT + "auth " + UNIT + "api " + UNIT + "rpc tests/security"),
    ("CVE-2020-15136 GHSA-wr2v-9rpq-c35q TOB-ETCD-004",
     UNIT + "host tests/security"),
    ("GHSA-528j-9r78-wffx TOB-ETCD-012", "tests/security/holes.py"),
    ("GHSA-9gp7-6833-wv89 TOB-ETCD-014",
     UNIT + "host/test_bootstrap_discovery.c"),
    ("GHSA-h8g9-6gvh-5mrc TOB-ETCD-005", UNIT + "host tests/security"),
    ("GHSA-5x4g-q5rc-36jp TOB-ETCD-015", UNIT + "host tests/security"),
    ("GHSA-vjg6-93fv-qv64 TOB-ETCD-009",
     UNIT + "rpc " + UNIT + "api tests/security"),
    ("GHSA-pm3m-32r3-7mfh TOB-ETCD-011", UNIT + "host/test_config_check.c"),
    ("GHSA-j86v-2vjr-fg8f TOB-ETCD-001", UNIT + "host tests/security"),
    ("CVE-2021-28235 GHSA-gmph-wf7j-9gcm", "tests/security/holes.py"),
    ("CVE-2023-32082 GHSA-3p4g-rcw5-8298", UNIT + "auth " + UNIT + "rpc"),
    ("CVE-2023-44487", UNIT + "wire/test_http2_calm.c"),
    ("CVE-2026-33186", UNIT + "wire/test_http2.c"),
    ("CVE-2026-33343 GHSA-rfx7-8w68-q57q", UNIT + "auth " + UNIT + "rpc"),
    ("CVE-2026-33413 GHSA-q8m4-xhhv-38mg", UNIT + "rpc tests/security"),
    ("CVE-2026-44283 GHSA-x35m-3gp4-4fh5", UNIT + "auth " + UNIT + "rpc"),
    ("CVE-2026-73499 GHSA-xg4h-6gfc-h4m8", UNIT + "auth " + UNIT + "rpc"),
    ("CVE-2026-73500 GHSA-6vch-q96h-7gc3", UNIT + "host tests/security"),
    ("GHSA-3wh4-j44w-pg92", UNIT + "host tests/tls"),
    # What the audit of 2020 found beside them.
    ("TOB-ETCD-010", "tests/security/holes.py"),
    ("TOB-ETCD-013", UNIT + "wal"),
    ("TOB-ETCD-016", "tests/security/process.py"),
    ("TOB-ETCD-017", UNIT + "host tests/security"),
)
NOT_OURS = {
    "CVE-2022-34038 GHSA-65rp-cv85-263x":
        "disputed: a buffer of etcd's that only etcd's own code writes to; "
        "the log here writes whole frames (tests/unit/wal)",
    "GHSA-hrxh-6v49-42gf":
        "of a library of Go's that isn't used here",
}


def text_of(places):
    text = ""
    for place in places.split():
        path = os.path.join(story.TOP, place)
        files = [path] if os.path.isfile(path) else sorted(
            glob.glob(path + "/**/*.c", recursive=True) +
            glob.glob(path + "/**/*.py", recursive=True))
        for file in files:
            # The table itself is no test.
            own = os.path.abspath(file) == os.path.abspath(__file__)
            with open(file, encoding="utf-8") as opened:
                lines = opened.read()
            text += lines.split("# ---- stories")[-1] if own else lines
    return text.lower().replace("-", "_")


def table():
    """A line for each hole: is there a test by its name?"""
    words = sys.argv[1:]
    failed = 0
    for names, places in HOLES:
        if words and not any(word in names for word in words):
            continue
        text = text_of(places)
        found = any(name.lower().replace("-", "_") in text
                    for name in names.split())
        failed += not found
        print(f"ok {names} has its test" if found else
              f"not ok {names}: no test in {places} goes by that name",
              flush=True)
    return failed


# ---- stories ---------------------------------------------------------------

PASSWORD = "Correct-Horse-9-Battery"
WRONG = "Wrong-Horse-7-Battery"


def call(server, path, fields, token=None):
    connection = server.connect()
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = token
    connection.request("POST", path, json.dumps(fields), headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def must(server, path, fields, token=None):
    status, body = call(server, path, fields, token)
    equal(status, 200, f"{path}: {body!r}")
    return json.loads(body)


def encoded(text):
    return base64.b64encode(text.encode()).decode()


def turn_auth_on(server):
    must(server, "/v3/auth/user/add", {"name": "root", "password": PASSWORD})
    must(server, "/v3/auth/role/add", {"name": "root"})
    must(server, "/v3/auth/user/grant", {"user": "root", "role": "root"})
    must(server, "/v3/auth/enable", {})
    answer = must(server, "/v3/auth/authenticate",
                  {"name": "root", "password": PASSWORD})
    return answer["token"]


def with_password(server, method, path, password):
    connection = server.connect()
    connection.request(method, path, headers={
        "Authorization": "Basic " + encoded("root:" + password)})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def all_files(folder):
    for base, _folders, names in os.walk(folder):
        for name in names:
            with open(os.path.join(base, name), "rb") as file:
                yield os.path.join(base, name), file.read()


def secrets(folder):
    """CVE-2021-28235 GHSA-528j-9r78-wffx TOB-ETCD-012: passwords and tokens
    are nowhere: not in the log, the write-ahead log, the store, the audit log,
    the metrics, the debug pages"""
    audit = os.path.join(folder, "audit.log")
    with Server(folder, "--log-level=debug", "--audit-log", audit) as server:
        token = turn_auth_on(server)
        for password, status in ((PASSWORD, 404), (WRONG, 401)):
            equal(with_password(server, "GET", "/v2/keys/none", password),
                  status, password)
        call(server, "/v3/auth/authenticate",
             {"name": "root", "password": WRONG})
        call(server, "/v3/auth/authenticate",
             {"name": "root", "password": WRONG, "no": "such field"})
        must(server, "/v3/kv/put",
             {"key": encoded("a"), "value": encoded("b")}, token)
        call(server, "/v3/kv/put",
             {"key": encoded("a"), "value": encoded("b")}, token + "x")
        must(server, "/v3/auth/user/changepw",
             {"name": "root", "password": PASSWORD + "2"}, token)
        pages = b""
        for path in ("/debug/vars", "/debug/requests", "/debug/pprof/cmdline",
                     "/metrics", "/v2/stats/self", "/v2/stats/store",
                     "/health", "/v2/auth/users/root"):
            connection = server.connect()
            connection.request("GET", path, headers={
                "Authorization": "Basic " + encoded(
                    "root:" + PASSWORD + "2")})
            pages += connection.getresponse().read()
            connection.close()
        check(b"etcd_" in pages or b"etched_" in pages, "the metrics")
    found = [("the pages", pages)] + list(all_files(folder))
    check(any("wal" in name for name, _bytes in found), "the write-ahead log")
    needles = [PASSWORD, WRONG, encoded("root:" + PASSWORD),
               encoded("root:" + WRONG), token]
    for name, content in found:
        for needle in needles:
            check(needle.encode() not in content,
                  f"{needle!r} is in {name}")


def metric(server, name):
    text = server.get("/metrics").body.decode()
    found = re.search(rf"^{name} (\d+)$", text, re.M)
    check(found, "there is no metric " + name)
    return int(found.group(1))


def compaction_counts(folder):
    """TOB-ETCD-010: the metrics of compaction count"""
    with Server(folder) as server:
        for i in range(20):
            must(server, "/v3/kv/put", {"key": encoded("a"),
                                        "value": encoded(str(i))})
        before = metric(server, "etched_compactions_total")
        must(server, "/v3/kv/compaction", {"revision": "15",
                                           "physical": True})
        equal(metric(server, "etcd_debugging_mvcc_compact_revision"), 15,
              "the revision")
        equal(metric(server, "etched_compactions_total"), before + 1,
              "how many")


def negative_retention(folder):
    """GHSA-pm3m-32r3-7mfh TOB-ETCD-011: a retention below 0 is refused"""
    for flags in (("--auto-compaction-retention=-1",),
                  ("--auto-compaction-retention=-1h",),
                  ("--auto-compaction-mode=revision",
                   "--auto-compaction-retention=-1000")):
        began = time.monotonic()
        server = Server(folder, *flags, start=False)
        status, text = server.start_in_vain()
        check(status != 0 and "auto-compaction-retention" in text,
              f"{flags}: {status} {text[-300:]}")
        check(time.monotonic() - began < 10, "at once")


if __name__ == "__main__":
    missing = table()
    try:
        story.tell_all((secrets, compaction_counts, negative_retention))
    except SystemExit as end:
        sys.exit(1 if missing or end.code else 0)
    except Failure:
        sys.exit(1)
