#!/usr/bin/python3
"""Users, roles and their passwords move with a snapshot, both ways: from etcd
to etched, and from etched to etcd; each with Debian's etcdctl where it is
etcd's side, and etchctl where it is ours.

    tests/compat/auth_snapshot.py [--verbose]
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
# pylint: disable=wrong-import-position
import auth

PREPARE = """
role add r
role grant-permission r read /a --prefix
role grant-permission r readwrite /b
role grant-permission r write /c --from-key
user add alice:secret
user grant-role alice r
user add cert --no-password
user add root:pw
role add root
user grant-role root root
put /a/1 one
put /b two
put /z three
auth enable
"""

# What both servers must say after the move: (line, code, what stands there)
AFTER = """
--user alice:secret get /a --prefix
--user alice:secret get /b
--user alice:secret put /b 2
--user alice:secret put /a/1 x
--user alice:secret put /d x
--user alice:secret get /z
--user alice:wrong get /b
--user root:pw get /z
--user root:pw user list
--user root:pw user get alice --detail
--user root:pw user get cert
--user root:pw role list
get /b
--user root:pw user passwd alice --interactive=false
--user alice:new get /b
--user alice:secret get /b
--user root:pw auth disable
get /z
"""


class Moved(auth.Server):
    """A server that begins with what a snapshot has."""

    def __init__(self, name, folder, restore):
        self.restore = restore
        super().__init__(name, folder)

    def start(self, argv, log):
        peer = argv[argv.index("--listen-peer-urls") + 1]
        data = argv[argv.index("--data-dir") + 1]
        self.restore(data, peer)
        return super().start(argv, log)


def run(tool, *words):
    done = subprocess.run([auth.TOOLS[tool]] + list(words),
                          env=auth.environment(3, {}), timeout=auth.SECONDS,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False)
    if done.returncode != 0:
        raise RuntimeError("%s: %s" % (" ".join(words), done.stdout))


def ask(server, line):
    return auth.run_tool("etcdctl", server, 3, line.split(" "),
                         "new\n" if "passwd" in line else "")


def session(server):
    return [(line, ask(server, line)) for line in AFTER.strip().split("\n")]


def prepared(name, folder):
    server = auth.Server(name, folder)
    try:
        for line in PREPARE.strip().split("\n"):
            result = ask(server, line)
            if result[0] != 0:
                raise RuntimeError("%s: %s: %s" % (name, line, result))
    except Exception:
        server.stop()
        raise
    return server


def move(source, saver, target, restorer, folder):
    """What the other server answers."""
    os.makedirs(folder)
    kept = "%s/%s.db" % (folder, source)
    server = prepared(source, folder + "/from-" + source)
    try:
        run(saver, "--endpoints", server.client, "--user", "root:pw",
            "snapshot", "save", kept)
    finally:
        server.stop()

    def restore(data, peer):
        run(restorer, "snapshot", "restore", kept, "--data-dir", data,
            "--name", "n1", "--initial-cluster", "n1=" + peer,
            "--initial-advertise-peer-urls", peer)

    moved = Moved(target, folder + "/to-" + target, restore)
    try:
        return session(moved)
    finally:
        moved.stop()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="etched-auth-")
    wrong = 0
    try:
        server = prepared("etcd", folder + "/expected")
        try:
            expected = session(server)
        finally:
            server.stop()
        for names in (("etcd", "etcdctl", "etched", "etchctl"),
                      ("etched", "etchctl", "etcd", "etcdctl"),
                      ("etched", "etchctl", "etched", "etchctl")):
            got = move(*names, folder + "/" + "-".join(names))
            before = wrong
            for (line, want), (_, result) in zip(expected, got):
                good = want == result
                wrong += not good
                if not good or options.verbose:
                    print("%s %s to %s: %s" % ("ok" if good else "not ok",
                                               names[0], names[2], line))
                if not good:
                    print("    expected %r\n    got      %r" % (want, result))
            print("%s users move from %s to %s" %
                  ("ok" if wrong == before else "not ok", names[0], names[2]),
                  flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print("%d steps, 3 moves, %d differ" % (len(expected), wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
