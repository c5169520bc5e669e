#!/usr/bin/python3
"""Who may ask for what over HTTP: every route of both ports x every method x
{nobody, a wrong password, a user without the right, a user with it, root},
while authentication is on; and, in the end, off.

    tests/security/matrix_http.py [--verbose]

The routes are read from the tables in src/api; each of their methods must have
a row here that says who may, and a row that no route has is wrong too. So no
route comes without somebody having thought of it.
"""
import argparse
import base64
import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BIN = os.environ.get("ETCHED_BIN", os.path.join(TOP, "bin"))
SECONDS = 20

# ---- what is expected -------------------------------------------------------

ANYONE, ROOT, READER, WRITER = "anyone", "root", "reader", "writer"

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
MEMBER = '{"peerURLs":["nonsense"]}'

# (port, route, method): who may, what to ask for, with which body
ROWS = {
    ("client", "/", "GET"): (ANYONE, "/", None),
    ("client", "/", "HEAD"): (ANYONE, "/", None),
    ("client", "/config/local/log", "PUT"):
        (ROOT, "/config/local/log", '{"Level":"INFO"}'),
    ("client", "/debug/vars", "GET"): (ROOT, "/debug/vars", None),
    ("client", "/health", "GET"): (ANYONE, "/health", None),
    ("client", "/livez", "GET"): (ANYONE, "/livez", None),
    ("client", "/livez/", "GET"):
        (ANYONE, "/livez/serializable_read", None),
    ("client", "/metrics", "GET"): (ANYONE, "/metrics", None),
    ("client", "/readyz", "GET"): (ANYONE, "/readyz", None),
    ("client", "/readyz/", "GET"):
        (ANYONE, "/readyz/serializable_read", None),
    ("client", "/v2/auth/enable", "GET"): (ANYONE, "/v2/auth/enable", None),
    ("client", "/v2/auth/enable", "PUT"): (ROOT, "/v2/auth/enable", None),
    # Asked for by root in the end only.
    ("client", "/v2/auth/enable", "DELETE"): (ROOT, "/v2/auth/enable", None),
    ("client", "/v2/auth/roles", "GET"): (ROOT, "/v2/auth/roles", None),
    ("client", "/v2/auth/roles/", "GET"): (ROOT, "/v2/auth/roles/no", None),
    ("client", "/v2/auth/roles/", "PUT"):
        (ROOT, "/v2/auth/roles/made", '{"role":"made"}'),
    ("client", "/v2/auth/roles/", "DELETE"):
        (ROOT, "/v2/auth/roles/no", None),
    ("client", "/v2/auth/users", "GET"): (ROOT, "/v2/auth/users", None),
    ("client", "/v2/auth/users/", "GET"): (ROOT, "/v2/auth/users/no", None),
    ("client", "/v2/auth/users/", "PUT"):
        (ROOT, "/v2/auth/users/made", '{"user":"made","password":"x"}'),
    ("client", "/v2/auth/users/", "DELETE"):
        (ROOT, "/v2/auth/users/no", None),
    ("client", "/v2/keys/", "GET"): (READER, "/v2/keys/k", None),
    ("client", "/v2/keys/", "HEAD"): (READER, "/v2/keys/k", None),
    ("client", "/v2/keys/", "PUT"): (WRITER, "/v2/keys/k/put", "value=1"),
    ("client", "/v2/keys/", "POST"): (WRITER, "/v2/keys/k/post", "value=1"),
    ("client", "/v2/keys/", "DELETE"): (WRITER, "/v2/keys/k/put", None),
    ("client", "/v2/leader", "GET"): (ANYONE, "/v2/leader", None),
    ("client", "/v2/leader", "HEAD"): (ANYONE, "/v2/leader", None),
    ("client", "/v2/machines", "GET"): (ANYONE, "/v2/machines", None),
    ("client", "/v2/machines", "HEAD"): (ANYONE, "/v2/machines", None),
    ("client", "/v2/members", "GET"): (ANYONE, "/v2/members", None),
    ("client", "/v2/members", "POST"): (ROOT, "/v2/members", MEMBER),
    ("client", "/v2/members", "PUT"): (ROOT, "/v2/members", MEMBER),
    ("client", "/v2/members", "DELETE"): (ROOT, "/v2/members", None),
    ("client", "/v2/members/", "GET"): (ANYONE, "/v2/members/leader", None),
    ("client", "/v2/members/", "POST"): (ROOT, "/v2/members/99", MEMBER),
    ("client", "/v2/members/", "PUT"): (ROOT, "/v2/members/99", MEMBER),
    ("client", "/v2/members/", "DELETE"): (ROOT, "/v2/members/99", None),
    ("client", "/v2/stats/leader", "GET"):
        (ANYONE, "/v2/stats/leader", None),
    ("client", "/v2/stats/self", "GET"): (ANYONE, "/v2/stats/self", None),
    ("client", "/v2/stats/store", "GET"): (ANYONE, "/v2/stats/store", None),
    ("client", "/version", "GET"): (ANYONE, "/version", None),
    ("peer", "/etcdURL", "GET"): (ANYONE, "/etcdURL", None),
    ("peer", "/join", "POST"): (ANYONE, "/join", "{}"),
    ("peer", "/members", "GET"): (ANYONE, "/members", None),
    ("peer", "/name", "GET"): (ANYONE, "/name", None),
    ("peer", "/remove/", "DELETE"): (ROOT, "/remove/no", None),
    ("peer", "/v2/admin/config", "GET"): (ANYONE, "/v2/admin/config", None),
    ("peer", "/v2/admin/config", "HEAD"): (ANYONE, "/v2/admin/config", None),
    ("peer", "/v2/admin/config", "PUT"): (ROOT, "/v2/admin/config", "{}"),
    ("peer", "/v2/admin/machines", "GET"):
        (ANYONE, "/v2/admin/machines", None),
    ("peer", "/v2/admin/machines", "HEAD"):
        (ANYONE, "/v2/admin/machines", None),
    ("peer", "/v2/admin/machines/", "GET"):
        (ANYONE, "/v2/admin/machines/no", None),
    ("peer", "/v2/admin/machines/", "HEAD"):
        (ANYONE, "/v2/admin/machines/no", None),
    ("peer", "/v2/admin/machines/", "DELETE"):
        (ROOT, "/v2/admin/machines/no", None),
    ("peer", "/version", "GET"): (ANYONE, "/version", None),
}
# What keys are asked for beside: (method, path, body, who may).
KEYS = [
    ("GET", "/v2/keys/k?quorum=true", None, READER),
    ("GET", "/v2/keys/k?recursive=true", None, READER),
    ("GET", "/v2/keys/k?sorted=true", None, READER),
    ("GET", "/v2/keys/?recursive=true", None, ROOT),
    ("GET", "/v2/keys/", None, ROOT),
    ("GET", "/v2/keys/?recursive=true&quorum=true", None, ROOT),
    ("GET", "/v2/keys/other", None, ROOT),
    ("GET", "/v2/keys/k/../other", None, None),  # a redirect
    ("GET", "/v2/keys/k%2f..%2fother", None, None),
    ("PUT", "/v2/keys/other", "value=1", ROOT),
    ("PUT", "/v2/keys/other?prevExist=true", "value=1", ROOT),
    ("PUT", "/v2/keys/k/cas?prevValue=x", "value=1", WRITER),
    ("PUT", "/v2/keys/k/dir?dir=true", "", WRITER),
    ("DELETE", "/v2/keys/other?recursive=true", None, ROOT),
    ("DELETE", "/v2/keys/?recursive=true", None, ROOT),
    ("POST", "/v2/keys/", "value=1", ROOT),
    ("PUT", "/v2/keys/_recipes/x", "value=1", ROOT),
]

# Who asks -> what he may besides what all may.
CALLERS = {
    None: set(),
    "reader:wrong": set(),
    "stranger:x": set(),
    "other:o": set(),
    "reader:r": {READER},
    "writer:w": {READER, WRITER},
    "root:pw": {READER, WRITER, ROOT},
}


# ---- what the source has ----------------------------------------------------

def routes():
    """(port, path, methods, rule) of each row of the tables."""
    found = []
    for name in ("api.c", "admin.c"):
        with open(os.path.join(TOP, "src/api", name)) as file:
            text = file.read()
        tables = re.findall(
            r"const struct route (\w+)\[\] = \{(.*?)\n\};", text, re.S)
        assert tables, name
        for table, body in tables:
            port = "peer" if "peer" in table else "client"
            rows = re.findall(
                r'\{\s*"(/[^"]*)",\s*[A-Z_ |]+,\s*("[A-Z,]+"|[A-Z_]+),\s*'
                r"(ACCESS_\w+),\s*\w+\s*\}", body)
            # Every row has been understood.
            assert len(rows) == body.count("ACCESS_") == \
                len(re.findall(r'\{\s*"/', body)), table
            for path, allow, rule in rows:
                if not allow.startswith('"'):
                    allow = re.search(
                        r'#define %s\s+("[A-Z,]+")' % allow, text).group(1)
                found.append((port, path, allow.strip('"').split(","), rule))
    with open(os.path.join(TOP, "src/api/api.c")) as file:
        keys = re.search(
            r'struct route keys_route = \{.*?\.path = "([^"]+)".*?'
            r'\.allow = "([^"]+)".*?\.rule = (\w+)', file.read(), re.S)
    found.append(("client", keys.group(1), keys.group(2).split(","),
                  keys.group(3)))
    return found


RULES = {
    "ACCESS_ANYONE": lambda method: {ANYONE},
    "ACCESS_ROOT": lambda method: {ROOT},
    "ACCESS_ROOT_CHANGES":
        lambda method: {ANYONE if method in ("GET", "HEAD") else ROOT},
    "ACCESS_KEYS": lambda method: {READER, WRITER},
}


# ---- the server -------------------------------------------------------------

def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]


class Server:
    def __init__(self, folder):
        ports = free_ports(2)
        self.ports = {"client": ports[0], "peer": ports[1]}
        client = "http://127.0.0.1:%d" % ports[0]
        peer = "http://127.0.0.1:%d" % ports[1]
        argv = [os.path.join(BIN, "etched"), "--name", "n1",
                "--data-dir", folder + "/data",
                "--listen-client-urls", client,
                "--advertise-client-urls", client,
                "--listen-peer-urls", peer,
                "--initial-advertise-peer-urls", peer,
                "--initial-cluster", "n1=" + peer]
        with open(folder + "/log", "wb") as log:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until = time.monotonic() + SECONDS
        while True:
            with contextlib.suppress(OSError):
                if self.ask("client", None, "GET", "/v2/keys/", None)[0] == 200:
                    return
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError("etched didn't come up")
            time.sleep(0.05)

    def ask(self, port, who, method, path, body):
        headers = {}
        if who:
            headers["Authorization"] = "Basic " + base64.b64encode(
                who.encode()).decode()
        if body is not None:
            headers["Content-Type"] = JSON if body.startswith("{") else FORM
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.ports[port], timeout=SECONDS)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            text = answer.read().decode("utf-8", "replace")
            sniff = answer.getheader("X-Content-Type-Options")
            return answer.status, text, sniff
        finally:
            connection.close()

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Matrix:
    def __init__(self, server, verbose):
        self.server = server
        self.verbose = verbose
        self.count = 0
        self.wrong = 0

    def note(self, good, what):
        self.count += 1
        self.wrong += not good
        if not good or self.verbose:
            print("%s %s" % ("ok" if good else "not ok", what))

    def cell(self, port, who, method, path, body, may):
        """401 with v2's words, or anything else."""
        status, text, sniff = self.server.ask(port, who, method, path, body)
        what = "%s %s as %s: %d %s" % (method, path, who, status, text[:70])
        good = (status != 401) == may
        if status == 401 and method != "HEAD":
            answer = json.loads(text)
            good = good and (answer.get("errorCode") == 110 if
                             path.startswith("/v2/keys") else
                             answer == {"message": "Insufficient credentials"})
        self.note(good and sniff == "nosniff", what)


def prepare(server):
    def need(status, *request):
        got = server.ask("client", None, *request)
        assert got[0] == status, (request, got)

    need(201, "PUT", "/v2/keys/k/a", "value=1")
    need(201, "PUT", "/v2/keys/other", "value=1")
    for name, read, write in (("readers", ["/k*"], []),
                              ("writers", ["/k*"], ["/k*"]),
                              ("others", ["/x*"], ["/x*"]),
                              ("guest", [], [])):
        need(201, "PUT", "/v2/auth/roles/" + name, json.dumps(
            {"role": name,
             "permissions": {"kv": {"read": read, "write": write}}}))
    for name, password, role in (("reader", "r", "readers"),
                                 ("writer", "w", "writers"),
                                 ("other", "o", "others")):
        need(200, "PUT", "/v2/auth/users/" + name, json.dumps(
            {"user": name, "password": password, "roles": [role]}))
    need(201, "PUT", "/v2/auth/users/root",
         '{"user":"root","password":"pw"}')
    need(200, "PUT", "/v2/auth/enable", None)


def check_table(matrix):
    """The routes and the rows are the same ones."""
    seen = set()
    for port, path, methods, rule in routes():
        for method in methods:
            key = (port, path, method)
            seen.add(key)
            row = ROWS.get(key)
            matrix.note(row is not None, "%s %s %s has a row" % key)
            if row:
                matrix.note(row[0] in RULES[rule](method),
                            "%s %s %s is for %s: %s" % (key + (row[0], rule)))
    for key in ROWS:
        matrix.note(key in seen, "%s %s %s is a route" % key)


def run(matrix):
    for (port, path, method), (may, target, body) in ROWS.items():
        for who, rights in CALLERS.items():
            if path == "/v2/auth/enable" and method == "DELETE" and \
                    ROOT in rights:
                continue
            matrix.cell(port, who, method, target, body,
                        may == ANYONE or may in rights)
    for method, target, body, may in KEYS:
        for who, rights in CALLERS.items():
            # Root deletes nothing that others ask for.
            if method == "DELETE" and ROOT in rights:
                continue
            if may is not None:
                matrix.cell("client", who, method, target, body, may in rights)
                continue
            status, text, _ = matrix.server.ask("client", who, method, target,
                                                body)
            leaks = '"value"' in text and ROOT not in rights
            matrix.note(status in (301, 401, 404, 200) and not leaks,
                        "%s %s as %s: %d" % (method, target, who, status))
    matrix.cell("client", "root:pw", "DELETE", "/v2/auth/enable", None, True)
    for (port, _, method), (_, target, body) in ROWS.items():
        if target != "/v2/auth/enable":
            matrix.cell(port, None, method, target, body, True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="etched-matrix-")
    try:
        server = Server(folder)
        try:
            matrix = Matrix(server, options.verbose)
            check_table(matrix)
            prepare(server)
            run(matrix)
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print("%s every route by every caller: %d cells, %d wrong" %
          ("not ok" if matrix.wrong else "ok", matrix.count, matrix.wrong))
    return 1 if matrix.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
