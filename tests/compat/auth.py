#!/usr/bin/python3
"""Users, roles and authentication on the command line: the same session with
Debian's etcdctl (3.4, both API versions) and with etchctl, on etcd and on
etched, each pair with a fresh server. What they print and their exit codes
must be those of etcdctl on etcd; and so must what the servers answer to the
requests of v2's API, but where it is said why not.

    tests/compat/auth.py [--only WORD] [--verbose] [--etcd-only]
"""
import argparse
import base64
import contextlib
import http.client
import json
import os
import pty
import re
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BIN = os.environ.get("ETCHED_BIN", os.path.join(TOP, "bin"))
SERVERS = {"etcd": "/usr/bin/etcd", "etched": os.path.join(BIN, "etched")}
TOOLS = {"etcdctl": "/usr/bin/etcdctl",
         "etchctl": os.path.join(BIN, "etchctl")}
SECONDS = 20


# ---- servers ----------------------------------------------------------------

def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]


class Server:
    """One member with an empty store."""

    def __init__(self, name, folder):
        self.name = name
        ports = free_ports(2)
        self.port = ports[0]
        self.client = "http://127.0.0.1:%d" % ports[0]
        peer = "http://127.0.0.1:%d" % ports[1]
        os.makedirs(folder)
        argv = [SERVERS[name], "--name", "n1", "--data-dir", folder + "/data",
                "--listen-client-urls", self.client,
                "--advertise-client-urls", self.client,
                "--listen-peer-urls", peer,
                "--initial-advertise-peer-urls", peer,
                "--initial-cluster", "n1=" + peer]
        if name == "etcd":
            argv.append("--enable-v2=true")
        with open(folder + "/log", "wb") as log:
            self.process = self.start(argv, log)
        until = time.monotonic() + SECONDS
        while True:
            try:
                if self.ask("GET", "/health").status == 200:
                    return
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError("%s didn't come up" % name)
            time.sleep(0.05)

    def start(self, argv, log):
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log,
                                stderr=log)

    def ask(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port,
                                                timeout=SECONDS)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            answer.text = answer.read().decode("utf-8", "replace")
            return answer
        finally:
            connection.close()

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


# ---- tools ------------------------------------------------------------------

def environment(api, more):
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith("ETCDCTL_")}
    return {**kept, "ETCDCTL_API": str(api), **more}


def mask(out, server):
    """etcdctl's log of what it tries again, ids and ports."""
    out = re.sub(r'(?m)^\{"level":"warn".*\n', "", out)
    out = re.sub(r"(?m)^stty: .*\n", "", out)
    out = re.sub(r'("(?:ClusterID|MemberID|RaftTerm)" : )\d+', r"\1N", out)
    out = re.sub(r'("(?:cluster_id|member_id|raft_term)":)\d+', r"\1N", out)
    return out.replace(str(server.port), "PORT")


def run_tool(tool, server, api, words, stdin="", more=None):
    """(exit code, stdout, stderr)"""
    argv = [TOOLS[tool], "--endpoints", server.client] + words
    if api == 2 and tool == "etcdctl":
        argv.insert(1, "--no-sync")
    try:
        done = subprocess.run(argv, input=stdin.encode(), timeout=SECONDS,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              start_new_session=True,
                              env=environment(api, more or {}))
    except subprocess.TimeoutExpired:
        return "hangs", "", ""
    return (done.returncode, mask(done.stdout.decode("latin-1"), server),
            mask(done.stderr.decode("latin-1"), server))


def run_at_terminal(tool, server, api, words, answers):
    """The same, at a terminal of its own; types each of the answers when it
    is asked for. (exit code, what stood there)"""
    argv = [TOOLS[tool], "--endpoints", server.client] + words
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(argv[0], argv, environment(api, {}))
    shown = b""
    waiting = list(answers)
    asked = 0
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        if not select.select([terminal], [], [], 0.2)[0]:
            continue
        try:
            got = os.read(terminal, 4096)
        except OSError:
            got = b""
        if not got:
            break
        shown += got
        prompts = len(re.findall(rb": (?=\r|\n|$)", shown))
        if waiting and prompts > asked and shown.endswith(b": "):
            asked = prompts
            time.sleep(0.1)  # until the echo is off
            os.write(terminal, waiting.pop(0).encode() + b"\n")
    os.close(terminal)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    text = shown.decode("latin-1").replace("\r\n", "\n")
    return code, mask(re.sub(r"(?m) +$", "", text), server)


# ---- the session with API version 3 -----------------------------------------

ROOT = ["--user", "root:pw"]

V3 = """
user list
user add
user add alice:secret
user add alice:other
user add :x
user add nobody --no-password
user add bob --new-user-password=hush
user add a b
user list
user list x
user get alice
user get
user get unknown
user delete unknown
user delete
role list
role add reader
role add reader
role add
role add writer
role add both
role list
role list x
role get reader
role get unknown
role grant-permission reader read /a
role grant-permission reader read /b --prefix
role grant-permission reader read /c /d
role grant-permission reader read /x --from-key
role grant-permission writer write /a
role grant-permission writer WRITE /w /z
role grant-permission both readwrite k --prefix
role grant-permission both readwrite k1
role grant-permission both read k1
role grant-permission both other k1
role grant-permission both read
role grant-permission unknown read k
role grant-permission both read a b --prefix
role grant-permission both read a b --from-key
role grant-permission both read a --prefix --from-key
role get reader
role get writer
role get both
role revoke-permission both k1
role revoke-permission both k1
role revoke-permission both k --prefix
role revoke-permission reader /x --from-key
role revoke-permission reader /c /d
role revoke-permission both
role revoke-permission unknown k
role get both
user grant-role alice reader
user grant-role alice reader
user grant-role bob writer
user grant-role bob both
user grant-role alice unknown
user grant-role unknown reader
user grant-role alice
user get alice
user get alice --detail
user get bob --detail
user get nobody --detail
user revoke-role alice writer
user revoke-role alice
user revoke-role bob both
user get bob
put /a 1
put /w 2
put /b/x 3
auth enable
auth enable x
auth disable x
user add root:pw
auth enable
get /a
--user alice:wrong get /a
--user unknown:secret get /a
--user nobody: get /a
--user alice:secret get /a
--user alice --password secret get /b/x
--user alice --password secret get /b --prefix
--user alice:secret get /w
--user alice:secret get /a /z
--user alice:secret put /a 2
--user bob:hush put /a 3
--user bob:hush put /w 4
--user bob:hush get /a
--user bob:hush del /w
--user bob:hush put --prev-kv /a 4
--user alice:secret watch /w
--user alice:secret user list
--user alice:secret user get alice
--user alice:secret user get bob
--user alice:secret role get reader
--user alice:secret role get writer
--user alice:secret role add mine
--user alice:secret auth disable
--user root:pw user list
--user root:pw role list
--user root:pw user get root
--user root:pw get /a
--user root:pw put /any 1
--user root:pw user delete root
--user root:pw user revoke-role root root
--user root:pw role delete root
--user root:pw role delete reader
--user alice:secret get /a
--user root:pw user get alice
--user root:pw user delete alice
--user alice:secret get /a
--user root:pw auth disable
get /a
user get root
role get root
role delete both
role delete unknown
role delete
user delete bob
user list
role list
auth disable
"""

FORMATS = """
user add carl:x
role add r1
role grant-permission r1 read a
role grant-permission r1 readwrite b c
role grant-permission r1 write "" --from-key
user grant-role carl r1
user get carl
user get carl --detail
user list
role get r1
role list
role revoke-permission r1 b c
user revoke-role carl r1
role delete r1
user delete carl
auth disable
"""



def v3_session(tool, server):
    for line in V3.strip().split("\n"):
        words = [word.replace('""', "") for word in line.split(" ")]
        yield "3: " + line, run_tool(tool, server, 3, words)
    for form in ("simple", "json", "fields", "table", "protobuf"):
        for line in FORMATS.strip().split("\n"):
            words = ["" if word == '""' else word for word in line.split(" ")]
            result = run_tool(tool, server, 3, ["-w", form] + words)
            if form == "protobuf":  # has ids in it, in bytes
                result = (result[0], len(result[1]) > 0, result[2])
            yield "3: -w %s %s" % (form, line), result
    yield "3: stdin", run_tool(tool, server, 3, [
        "user", "add", "dora", "--interactive=false"], "pw1 more\n")
    yield "3: stdin passwd", run_tool(tool, server, 3, [
        "user", "passwd", "dora", "--interactive=false"], "pw2\n")
    yield "3: terminal", run_at_terminal(tool, server, 3, [
        "user", "add", "emil"], ["geheim", "geheim"])
    yield "3: terminal, different", run_at_terminal(tool, server, 3, [
        "user", "add", "fred"], ["geheim", "anders"])
    yield "3: terminal, empty", run_at_terminal(tool, server, 3, [
        "user", "add", "fred"], [""])
    yield "3: terminal, passwd", run_at_terminal(tool, server, 3, [
        "user", "passwd", "emil"], ["neu", "neu"])
    yield "3: users", run_tool(tool, server, 3, ["user", "list"])
    for words in (["user", "add", "root:pw"], ["role", "add", "root"],
                  ["user", "grant-role", "root", "root"], ["auth", "enable"]):
        yield "3: " + " ".join(words), run_tool(tool, server, 3, words)
    yield "3: environment", run_tool(
        tool, server, 3, ["user", "list"], more={"ETCDCTL_USER": "root:pw"})
    yield "3: two of them", run_tool(
        tool, server, 3, ["user", "list"],
        more={"ETCDCTL_USER": "root", "ETCDCTL_PASSWORD": "pw"})
    yield "3: asked", run_at_terminal(
        tool, server, 3, ["--user", "root", "get", "x"], ["pw"])
    yield "3: off", run_tool(tool, server, 3, ROOT + ["auth", "disable"])
    yield "3: empty", run_tool(tool, server, 3, ["user", "add", "empty:"])


# ---- the session with API version 2 -----------------------------------------

V2 = """
user list
user add alice:secret
user add alice:other
user add bob:hush
user get alice
user get unknown
user get
user list x
user list
role list
role add reader
role add reader
role add writer
role add
role get reader
role get root
role get unknown
role grant reader --path /a --read
role grant reader --path /b/* --read
role grant reader --path /a --read
role grant writer --path /a --write
role grant writer --path /w* --readwrite
role grant writer --path /w* --rw
role grant unknown --path /a --read
role grant reader --path a --read
role grant reader --path /x//y --read
role grant reader --read
role grant reader --path /a
role grant reader --path /a --read --write
role grant --path /a --read
role get reader
role get writer
role revoke writer --path /a --write
role revoke writer --path /w* --read
role get writer
role grant writer --path /a --write
user grant alice --roles reader
user grant alice --roles reader
user grant alice
user grant unknown --roles reader
user grant bob --roles writer
user get bob
user revoke bob --roles reader
user revoke bob --roles writer
user get bob
user grant bob --roles writer
auth enable
auth enable x
user add root:pw
user get root
set /a 1
set /b/c 2
set /w1 3
auth enable
auth enable
get /a
-u root:pw role list
-u root:pw role get guest
-u root:pw role revoke guest --path /* --readwrite
get /a
set /a 2
ls /
-u alice:wrong get /a
-u unknown:secret get /a
-u alice:secret get /a
-u alice:secret get /b/c
-u alice:secret get /w1
-u alice:secret set /a 2
-u bob:hush set /a 3
-u bob:hush set /w2 3
-u bob:hush get /a
-u bob:hush rm /w2
-u alice:secret user list
-u alice:secret role list
-u alice:secret auth disable
-u root:pw get /a
-u root:pw ls / --recursive --sort
-u root:pw user remove root
-u root:pw role remove root
-u root:pw user remove bob
-u bob:hush set /w3 1
-u root:pw user list
-u root:pw auth disable
get /w1
auth disable
role remove writer
role remove writer
role remove
user remove root
user remove unknown
user remove
user list
"""


def v2_session(tool, server):
    for line in V2.strip().split("\n"):
        yield "2: " + line, run_tool(tool, server, 2, line.split(" "))
    yield "2: terminal", run_at_terminal(tool, server, 2, [
        "user", "add", "emil"], ["geheim"])
    yield "2: terminal, passwd", run_at_terminal(tool, server, 2, [
        "user", "passwd", "emil"], ["neu"])
    yield "2: users", run_tool(tool, server, 2, ["user", "list"])


# ---- requests of the v2 API -------------------------------------------------

def basic(text):
    return {"Authorization": "Basic " +
            base64.b64encode(text.encode()).decode()}


FORM = {"Content-Type": "application/x-www-form-urlencoded"}
U, R, E = "/v2/auth/users", "/v2/auth/roles", "/v2/auth/enable"


def role(name, read=None, write=None, **more):
    return {"role": name, "permissions": {
        "kv": {"read": read, "write": write}}, **more}


def kv(read=None, write=None):
    return {"kv": {"read": read, "write": write}}


# (method, path, body, who)
HTTP = [
    ("GET", E, None, None),
    ("GET", U, None, None),
    ("GET", U + "/", None, None),
    ("GET", R, None, None),
    ("POST", U, {}, None),
    ("PUT", U, {}, None),
    ("DELETE", R, None, None),
    ("POST", E, None, None),
    ("PATCH", U + "/a", None, None),
    ("PUT", E, None, None),
    ("DELETE", E, None, None),
    ("GET", U + "/a/b", None, None),
    ("GET", R + "/a/b", None, None),
    ("GET", U + "/no", None, None),
    ("DELETE", U + "/no", None, None),
    ("GET", R + "/no", None, None),
    ("DELETE", R + "/no", None, None),
    ("PUT", U + "/a", "nonsense", None),
    ("PUT", U + "/a", "", None),
    ("PUT", U + "/a", [], None),
    ("PUT", U + "/a", {"user": 7}, None),
    ("PUT", U + "/a", {"user": "b"}, None),
    ("PUT", U + "/a", {"user": "a"}, None),
    ("PUT", U + "/a", {"user": "a", "password": ""}, None),
    ("PUT", U + "/a", {"user": "a", "grant": ["x"]}, None),
    ("PUT", U + "/a", {"user": "a", "roles": ["x"], "grant": ["y"]}, None),
    ("PUT", U + "/a", {"user": "a", "password": "p"}, None),
    ("PUT", U + "/a", {"USER": "a", "Password": "p2"}, None),
    ("PUT", U + "/a", {"user": "a"}, None),
    ("GET", U + "/a", None, None),
    ("PUT", R + "/r", role("x"), None),
    ("PUT", R + "/r", "nonsense", None),
    ("PUT", R + "/root", role("root"), None),
    ("PUT", R + "/root", {"role": "root", "grant": kv(["/x"])}, None),
    ("DELETE", R + "/root", None, None),
    ("GET", R + "/root", None, None),
    ("PUT", R + "/r", role("r", ["/r", "/s*"], ["/r"]), None),
    ("PUT", R + "/r", role("r"), None),
    ("PUT", R + "/s", {"role": "s"}, None),
    ("GET", R + "/s", None, None),
    ("GET", R + "/r", None, None),
    ("PUT", R + "/r", role("r", ["/x"], grant=kv(["/y"])), None),
    ("PUT", R + "/no", {"role": "no", "grant": kv(["/y"])}, None),
    ("PUT", R + "/r", {"role": "r", "grant": kv(["/r"])}, None),
    ("PUT", R + "/r", {"role": "r", "grant": kv(None, ["/r"])}, None),
    ("PUT", R + "/r", {"role": "r", "grant": kv(["/t", "/b"], ["/t"])}, None),
    ("PUT", R + "/r", {"role": "r", "revoke": kv(["/none"])}, None),
    ("PUT", R + "/r", {"role": "r", "grant": kv(["/u"]),
                       "revoke": kv(["/s*", "/t"])}, None),
    ("GET", R + "/r", None, None),
    ("GET", R, None, None),
    ("PUT", U + "/b", {"user": "b", "password": "p", "roles": ["r", "s"]},
     None),
    ("PUT", U + "/b", {"user": "b", "password": "p", "roles": ["r"]}, None),
    ("PUT", U + "/a", {"user": "a", "grant": ["s", "r"]}, None),
    ("PUT", U + "/a", {"user": "a", "grant": ["s"]}, None),
    ("PUT", U + "/a", {"user": "a", "revoke": ["root"]}, None),
    ("PUT", U + "/a", {"user": "a", "revoke": ["s"], "password": "q"}, None),
    ("GET", U + "/a", None, None),
    ("GET", U, None, None),
    ("PUT", U + "/root", {"user": "root", "password": "pw"}, None),
    ("GET", U + "/root", None, None),
    ("PUT", "/v2/keys/r", "value=1", None),
    ("PUT", "/v2/keys/s/1", "value=1", None),
    ("PUT", "/v2/keys/other", "value=1", None),
    ("PUT", E, None, None),
    ("GET", E, None, None),
    ("PUT", E, None, None),
    ("PUT", E, None, "root:pw"),
    ("GET", R + "/guest", None, "root:pw"),
    ("GET", U, None, None),
    ("GET", U, None, "a:q"),
    ("GET", U, None, "a:wrong"),
    ("GET", U + "/a", None, "a:q"),
    ("GET", R, None, "root:wrong"),
    ("PUT", U + "/c", {"user": "c", "password": "x"}, "a:q"),
    ("PUT", U + "/c", {"user": "c", "password": "x"}, "root:pw"),
    ("DELETE", U + "/root", None, "root:pw"),
    ("DELETE", E, None, "a:q"),
    ("GET", "/v2/keys/other", None, None),
    ("PUT", "/v2/keys/guests", "value=1", None),
    ("DELETE", "/v2/keys/guests", None, None),
    ("GET", "/v2/keys/other", None, "unknown:x"),
    ("GET", "/v2/keys/other", None, "a:wrong"),
    ("GET", "/v2/keys/other", None, "a:q"),
    ("GET", "/v2/keys/r", None, "b:p"),
    ("PUT", "/v2/keys/r", "value=2", "b:p"),
    ("PUT", "/v2/keys/other", "value=2", "b:p"),
    ("POST", "/v2/keys/other", "value=2", "b:p"),
    ("DELETE", "/v2/keys/other", None, "b:p"),
    ("DELETE", "/v2/keys/?recursive=true", None, "b:p"),
    ("GET", "/v2/keys/?recursive=true", None, "b:p"),
    ("GET", "/v2/keys/?recursive=true&wait=true", None, "b:p"),
    ("GET", "/v2/keys/?quorum=true", None, "b:p"),
    ("GET", "/v2/keys/?recursive=nonsense", None, "b:p"),
    ("GET", "/v2/keys/other", None, "root:pw"),
    ("GET", "/v2/keys/?recursive=true&sorted=true", None, "root:pw"),
    ("GET", "/v2/members/nothing", None, "a:wrong"),
    ("POST", "/v2/members", {}, None),
    ("POST", "/v2/members", {}, "a:q"),
    ("DELETE", "/v2/members/1234", None, None),
    ("DELETE", "/v2/members/1234", None, "root:pw"),
    ("GET", "/v2/stats/store", None, "a:wrong"),
    ("GET", "/v2/machines", None, "a:wrong"),
    ("GET", "/health", None, "a:wrong"),
    ("PUT", R + "/guest", {"role": "guest", "revoke": kv(["/*"], ["/*"])},
     "root:pw"),
    ("GET", "/v2/keys/other", None, None),
    ("PUT", "/v2/keys/other", "value=1", None),
    ("DELETE", U + "/b", None, "root:pw"),
    ("GET", "/v2/keys/r", None, "b:p"),
    ("DELETE", R + "/r", None, "root:pw"),
    ("DELETE", E, None, "root:pw"),
    ("DELETE", E, None, None),
    ("GET", "/v2/keys/other", None, None),
    ("DELETE", U + "/root", None, None),
]


def http_session(server):
    for method, path, body, who in HTTP:
        text = body if body is None or isinstance(body, str) else \
            json.dumps(body)
        headers = basic(who) if who else {}
        if path.startswith("/v2/keys") and body is not None:
            headers = {**headers, **FORM}
        elif body is not None:
            headers = {**headers, "Content-Type": "application/json"}
        name = "%s %s %s %s" % (method, path, text or "", who or "")
        answer = server.ask(method, path, text, headers)
        shown = {key: answer.getheader(key) for key in
                 ("Content-Type", "Allow", "X-Etcd-Index")}
        has_cluster = answer.getheader("X-Etcd-Cluster-Id") is not None or \
            path.startswith("/v2/members")
        out = re.sub(r'("(?:created|modified)Index":|"index":)\d+', r"\1N",
                     answer.text)
        if path.startswith("/v2/stats"):
            out = "stats"
        if shown["X-Etcd-Index"] not in (None, "0"):
            shown["X-Etcd-Index"] = "N"
        yield "http: " + name, (answer.status, shown, has_cluster,
                                out.replace(str(server.port), "PORT"))


# ---- what is meant to be different --------------------------------------------

# (step, tool, server): the result; None: any tool, any server.
DIFFERENT = [
    # etcdctl doesn't read what the server says here.
    ("2: -u alice:secret role list", "etchctl", None,
     (1, "", "Insufficient credentials\n")),
    # CVE-2020-15115: nobody has a password that everybody knows.
    ("3: empty", None, "etched",
     (1, "", "Error: rpc error: code = InvalidArgument desc = etched: the "
      "password is empty\n")),
    # Who may not read a key isn't told what was in it.
    ("2: -u bob:hush rm /w2", None, "etched", (0, "PrevNode.Value: \n", "")),
]


def meant(step, tool, server):
    for name, its_tool, its_server, result in DIFFERENT:
        if step.split(" ", 1)[1] == name and its_tool in (None, tool) and \
                its_server in (None, server):
            return result
    return None


# ---- all of it --------------------------------------------------------------

def play(kind, tool, server):
    sessions = {"3": v3_session, "2": v2_session}
    steps = http_session(server) if kind == "http" else \
        sessions[kind](tool, server)
    return {"%d %s" % (number, name): result
            for number, (name, result) in enumerate(steps, 1)}


def pairs(only_etcd):
    """(kind, tool, server): first the one that the others are held to."""
    servers = ["etcd"] if only_etcd else ["etcd", "etched"]
    for kind in ("3", "2", "http"):
        tools = ["-"] if kind == "http" else ["etcdctl", "etchctl"]
        yield kind, [(tool, server) for server in servers for tool in tools]


def compare(kind, them, folder, options):
    expected = None
    wrong = 0
    for number, (tool, name) in enumerate(them):
        server = Server(name, "%s/%s-%d" % (folder, kind, number))
        try:
            got = play(kind, tool, server)
        finally:
            server.stop()
        if expected is None:
            expected = got
            continue
        before = wrong
        for step, result in expected.items():
            if options.only and options.only not in step:
                continue
            result = meant(step, tool, name) or result
            good = got[step] == result
            wrong += not good
            if not good or options.verbose:
                print("%s %s on %s: %s" % ("ok" if good else "not ok", tool,
                                           name, step))
            if not good:
                print("    expected %r\n    got      %r" % (result, got[step]))
        print("%s %s: users and roles by %s on %s, %d steps" %
              ("ok" if wrong == before else "not ok", kind, tool, name,
               len(expected)), flush=True)
    return wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--etcd-only", action="store_true")
    parser.add_argument("--kind")
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="etched-auth-")
    wrong = 0
    try:
        for kind, them in pairs(options.etcd_only):
            if not options.kind or options.kind == kind:
                wrong += compare(kind, them, folder, options)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
