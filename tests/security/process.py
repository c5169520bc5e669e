#!/usr/bin/env python3
"""The process: what it gives up, whose its files are, what it says of open
doors, and by which names it is called. Real processes, loopback only, all
below $TMPDIR.

    tests/security/process.py [WORD]...   only stories whose line has a WORD
"""
import os
import pwd
import re
import signal
import socket
import stat
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import story  # noqa: E402
from world import (ETCHED, HOST, Server, Skip, check, equal,  # noqa: E402
                   is_sanitized, say, wait_for)


def status_of(server):
    with open(f"/proc/{server.process.pid}/status", encoding="ascii") as file:
        return dict(re.findall(r"^(\w+):\s*(.*)$", file.read(), re.M))


def needs_root():
    if os.geteuid() != 0:
        raise Skip("only root can try that")


def let_through(folder):
    """Another user may pass through, from the folder of all tests on."""
    above = os.path.dirname(folder)
    if above != "/tmp" and os.stat(above).st_uid == os.geteuid():
        os.chmod(above, os.stat(above).st_mode | 0o011)
    os.chmod(folder, 0o711)


def nobody():
    try:
        return pwd.getpwnam("nobody")
    except KeyError:
        raise Skip("there is no user nobody") from None


# ---- what it gives up -------------------------------------------------------

def gives_up_rights(folder):
    """process: no new rights, no core file, few system calls"""
    with Server(folder) as server:
        status = status_of(server)
        equal(status["NoNewPrivs"], "1", "NoNewPrivs")
        with open(f"/proc/{server.process.pid}/limits",
                  encoding="ascii") as file:
            cores = re.search(r"^Max core file size\s+(\S+)\s+(\S+)",
                              file.read(), re.M)
        equal(cores.groups(), ("0", "0"), "RLIMIT_CORE")
        filtered = "system calls aren't filtered" not in server.log_text()
        equal(status["Seccomp"], "2" if filtered else "0", "Seccomp")
        if not is_sanitized():
            check(filtered, "the filter is on by default")


def keeps_them_when_asked(folder):
    """process: --seccomp=off and --core-dumps do what they say"""
    with Server(folder, "--seccomp=off", "--core-dumps") as server:
        status = status_of(server)
        equal(status["Seccomp"], "0", "Seccomp")
        equal(status["NoNewPrivs"], "1", "NoNewPrivs")
        check("--seccomp=off" in server.log_text(), "it is logged")


def every_thread_is_filtered(folder):
    """process: every thread has the filter, those that come later too"""
    with Server(folder) as server:
        if status_of(server)["Seccomp"] == "0":
            raise Skip("no filter in this build")
        check(server.put("/a", "1").status == 201, "a put")
        tasks = f"/proc/{server.process.pid}/task"
        for task in os.listdir(tasks):
            with open(f"{tasks}/{task}/status", encoding="ascii") as file:
                check("Seccomp:\t2" in file.read(), f"thread {task}")


def becomes_another_user(folder):
    """process: --user: it starts as root and goes on as somebody else"""
    needs_root()
    who = nobody()
    let_through(folder)
    data = os.path.join(folder, "n.data")
    for _ in range(2):  # what it made itself it opens again
        with Server(folder, "--user", "nobody", name="n") as server:
            status = status_of(server)
            equal(status["Uid"].split(), [str(who.pw_uid)] * 4, "its user")
            equal(status["Gid"].split(), [str(who.pw_gid)] * 4, "its group")
            equal(int(status["CapEff"], 16), 0, "its capabilities")
            check(server.put("/a", "1").status in (200, 201), "a put")
    for path in (data, data + "/db", data + "/wal", data + "/LOCK"):
        equal(os.stat(path).st_uid, who.pw_uid, "who owns " + path)


def takes_over_what_root_has(folder):
    """process: --user: what root made before becomes that user's"""
    needs_root()
    who = nobody()
    let_through(folder)
    with Server(folder, name="n") as server:
        server.put("/a", "kept")
    with Server(folder, "--user", "nobody", name="n") as server:
        equal(server.get("/v2/keys/a").value(), "kept", "/a")
    data = os.path.join(folder, "n.data")
    for name in os.listdir(data + "/wal"):
        equal(os.stat(f"{data}/wal/{name}").st_uid, who.pw_uid, name)


def only_root_becomes_another(folder):
    """process: --user is refused for who isn't root"""
    who = nobody()
    extra = {} if os.geteuid() != 0 else {"user": who.pw_uid}
    name = "root" if extra else pwd.getpwuid(0).pw_name
    if extra:
        os.chmod(folder, 0o777)
    server = Server(folder, "--user", name, start=False, **extra)
    status, text = server.start_in_vain()
    check(status != 0, "it must not start")
    check("only root can become another user" in text, text[-400:])
    server = Server(folder, "--user", "no-such-user", name="t", start=False)
    status, text = server.start_in_vain()
    check(status != 0 and "no-such-user" in text, text[-400:])


# ---- its files ---------------------------------------------------------------

def mode_of(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


def narrows_rights(folder):
    """CVE-2020-15113 TOB-ETCD-003: wider rights of an existing data directory
    are taken away"""
    with Server(folder) as server:
        server.put("/a", "1")
    data = server.data
    paths = [data, data + "/wal", data + "/db", data + "/LOCK"]
    paths += [f"{data}/wal/{name}" for name in os.listdir(data + "/wal")]
    for path in paths:
        os.chmod(path, 0o777)
    server.start()
    try:
        for path in paths:
            if os.path.exists(path):
                equal(mode_of(path), 0o700 if os.path.isdir(path) else 0o600,
                      path)
        check("narrowing the rights" in server.log_text(), "it is logged")
    finally:
        server.stop()


def refuses_what_is_not_ours(folder):
    """CVE-2020-15113: a data directory of another user's is refused"""
    needs_root()
    server = Server(folder, start=False)
    os.mkdir(server.data, 0o700)
    os.chown(server.data, nobody().pw_uid, -1)
    status, text = server.start_in_vain()
    check(status != 0 and "belongs to user" in text, text[-400:])
    equal(os.listdir(server.data), [], "what it has left there")


def follows_no_links(folder):
    """CVE-2020-15113: links in the data directory are not followed"""
    for name in ("db", "LOCK", "wal"):
        server = Server(folder, name=name, start=False)
        target = os.path.join(folder, name + ".target")
        os.mkdir(server.data, 0o700)
        os.symlink(target, os.path.join(server.data, name))
        status, text = server.start_in_vain()
        check(status != 0 and name in text, text[-400:])
        check(not os.path.exists(target), "the link's target was made")


def audit_file(folder):
    """process: the audit log is 0600, no link, and opened anew on SIGHUP"""
    path = os.path.join(folder, "audit.log")
    with open(path, "w", encoding="ascii"):
        pass
    os.chmod(path, 0o644)
    with Server(folder, "--audit-log", path) as server:
        equal(mode_of(path), 0o600, "the file's rights")
        os.rename(path, path + ".1")
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: os.path.exists(path), "a new file of its name")
        equal(mode_of(path), 0o600, "the new file's rights")
    os.unlink(path)
    os.symlink(os.path.join(folder, "elsewhere"), path)
    server = Server(folder, "--audit-log", path, name="t", start=False)
    status, text = server.start_in_vain()
    check(status != 0 and "symbolic link" in text, text[-400:])


# ---- how it was built --------------------------------------------------------

def readelf(*options):
    try:
        done = subprocess.run(["readelf", *options, ETCHED], check=True,
                              capture_output=True, timeout=30)
    except FileNotFoundError:
        raise Skip("there is no readelf") from None
    return done.stdout.decode()


def hardened_build(_folder):
    """build: position independent, read-only relocations, no stack that runs,
    stack protector, checked functions"""
    if is_sanitized():
        raise Skip("a sanitizer's build is for tests")
    segments = readelf("-lW")
    dynamic = readelf("-dW")
    check("DYN" in segments.split("There are")[0], "PIE: " + segments[:200])
    check("GNU_RELRO" in segments, "RELRO")
    stack = re.search(r"GNU_STACK.* (R\S*) ", segments)
    check(stack and "E" not in stack.group(1), "GNU_STACK")
    check(not re.search(r"LOAD.* RWE ", segments), "a segment to write and run")
    check("BIND_NOW" in dynamic or "NOW" in dynamic, "BIND_NOW")
    check("TEXTREL" not in dynamic, "TEXTREL")
    check("RPATH" not in dynamic and "RUNPATH" not in dynamic, "RPATH")
    symbols = readelf("-sW", "--dyn-syms")
    check("__stack_chk_fail" in symbols, "the stack protector")
    check(re.search(r"__\w+_chk\b", symbols), "_FORTIFY_SOURCE")
    if os.uname().machine == "x86_64":
        # endbr64, where an indirect jump may land. (The ELF note that says so
        # is only there where the C library was built that way, too.)
        with open(ETCHED, "rb") as file:
            check(file.read().count(b"\xf3\x0f\x1e\xfa") > 1000,
                  "-fcf-protection")


# ---- open doors --------------------------------------------------------------

def loud_line(folder):
    """TOB-ETCD-016: it says aloud when others can reach it without TLS or
    users"""
    with Server(folder) as server:
        wait_for(lambda: "ready to serve" in server.log_text(), "ready")
        check("INSECURE" not in server.log_text(), "on loopback alone")
    open_one = Server(folder, name="o", start=False)
    flags = open_one.own_flags()
    at = flags.index("--listen-client-urls") + 1
    flags[at] = f"http://0.0.0.0:{open_one.client_port}"
    open_one.flags = flags
    with open_one.start():
        wait_for(lambda: "INSECURE" in open_one.log_text(), "the loud line")


# ---- by which name -----------------------------------------------------------

ROUTES = ("GET /v2/keys/", "GET /v2/keys/secret", "GET /v2/members",
          "GET /v2/stats/self", "GET /v2/machines", "GET /version",
          "GET /health", "GET /metrics", "GET /debug/vars",
          "GET /v2/auth/users", "POST /v3/kv/range", "POST /v3beta/kv/put",
          "GET /_recipes/", "PUT /v2/keys/secret", "DELETE /v2/keys/secret",
          "GET /no/such/path")


def ask_by_name(server, route, name):
    method, path = route.split()
    body = b"{}" if method == "POST" else b""
    head = (f"{method} {path} HTTP/1.1\r\nHost: {name}\r\n"
            f"Content-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n")
    return say(server, head.encode() + body)[0][0]


def dns_rebinding(folder):
    """CVE-2018-1099 GHSA-wf43-55jj-vwq8: a page that lets its own name stand
    for 127.0.0.1 gets nothing, on any route"""
    with Server(folder) as server:
        server.put("/secret", "x")
        for route in ROUTES:
            answer = ask_by_name(server, route, "evil.example:2379")
            equal(answer.status, 403, route)
            check("--host-whitelist" in answer.json()["message"], route)
            for name in ("localhost", f"{HOST}:2379", "[::1]:1",
                         socket.gethostname()):
                answer = ask_by_name(server, "GET /v2/keys/secret", name)
                equal(answer.status, 200, name)
    # The naive server is this one.
    with Server(folder, "--host-whitelist=*", name="any") as server:
        server.put("/secret", "x")
        answer = ask_by_name(server, "GET /v2/keys/secret", "evil.example")
        equal(answer.status, 200, "whoever asks for it")


def names_that_were_given(folder):
    """CVE-2018-1099: --host-whitelist is all there is, as in etcd"""
    with Server(folder, "--host-whitelist", f"good.example,{HOST}") as server:
        for name, status in (("good.example", 200), ("good.example:1", 200),
                             (HOST, 200), ("localhost", 403),
                             ("evil.example", 403)):
            equal(ask_by_name(server, "GET /version", name).status, status,
                  name)


def peer_port_by_name(folder):
    """CVE-2018-1099: the peer port's HTTP asks for the name as well"""
    with Server(folder) as server:
        server.client_port, own = server.peer_port, server.client_port
        equal(ask_by_name(server, "GET /version", "evil.example").status, 403,
              "a strange name")
        equal(ask_by_name(server, "GET /version", "localhost").status, 200,
              "localhost")
        server.client_port = own


if __name__ == "__main__":
    story.tell_all((
        gives_up_rights, keeps_them_when_asked, every_thread_is_filtered,
        becomes_another_user, takes_over_what_root_has,
        only_root_becomes_another, narrows_rights, refuses_what_is_not_ours,
        follows_no_links, audit_file, hardened_build, loud_line, dns_rebinding,
        names_that_were_given, peer_port_by_name))
