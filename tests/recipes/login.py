"""`etched recipes` beside a store with users, etched or Debian's etcd: it logs
in, and anew whenever its token is of no use any more."""
import os
import subprocess

import auth
from service import (HOST, Etcd, Server, Worker, apply, check, clean_env,
                     equal, slowness, wait_for)

USERS = """
role add all
role grant-permission all readwrite '' --prefix
user add worker:secret
user grant-role worker all
user add root:toor
user grant-role root root
auth enable
"""
COPY = """name: copy
if: [{key: '/in/{x}'}]
then: [{put: {key: '/out/{{x}}', value: '{{value}}'}}]
"""


def etcdctl(store, line, *flags):
    words = ["" if word == "''" else word for word in line.split()]
    done = subprocess.run(
        [os.path.join(auth.BIN, "etcdctl"), "--endpoints",
         f"http://{HOST}:{store.client_port}", *flags] + words,
        env=clean_env({"ETCDCTL_API": "3"}), capture_output=True, text=True,
        timeout=60, check=False)
    equal(done.returncode, 0, f"{line}: {done.stderr}")


def make_users(store):
    lines = USERS.strip().splitlines()
    if isinstance(store, Server):  # /_recipes/ is the service's own there
        lines = [line.replace("worker all", "worker root") for line in lines]
    for line in lines:
        etcdctl(store, line)


def worker_with(folder, store, name, password):
    path = os.path.join(folder, name + ".password")
    with open(path, "w", encoding="ascii") as file:
        file.write(password + "\n")
    os.chmod(path, 0o600)
    return Worker(folder, name, [f"{HOST}:{store.client_port}"],
                  "--recipes-user=worker", f"--recipes-password-file={path}")


def copied(store, number):
    def is_put():
        try:
            auth.put(store, f"/in/{number}", "x")
            return True
        except OSError:  # it begins
            return False
    wait_for(is_put, f"event {number}", 20 * slowness())
    wait_for(lambda: auth.get(store, f"/out/{number}") == "x",
             f"effect {number}", 20 * slowness())


def log_of(worker):
    with open(worker.log_path, encoding="utf-8") as file:
        return file.read()


def works_with_users(folder, store, restart):
    make_users(store)
    stranger = worker_with(folder, store, "stranger", "wrong")
    worker = worker_with(folder, store, "worker", "secret")
    try:
        stranger.start()
        worker.start().wait_ready()
        apply(worker, COPY)
        copied(store, 1)
        etcdctl(store, "role add more", "--user", "root:toor")
        copied(store, 2)  # the revision of its token is old
        restart()
        copied(store, 3)  # its token is unknown
        wait_for(lambda: "can't log in" in log_of(stranger),
                 "what the other one says", 10)
        check("invalid user ID or password" in log_of(stranger), "why not")
        check("secret" not in log_of(worker), "its password is in the log")
    finally:
        worker.kill()
        stranger.kill()


def beside_etched(folder):
    """a service beside an etched with users logs in, and anew when its token is
    of no use any more"""
    with Server(folder, "--recipes=false") as server:

        def restart():
            server.kill()
            server.start()
        works_with_users(folder, server, restart)


def beside_etcd(folder):
    """a service beside an etcd with users logs in, and anew when its token is of
    no use any more"""
    with Etcd(folder) as store:
        store.wait_ready()

        def restart():
            store.kill()
            store.start()
        works_with_users(folder, store, restart)


def given_users_later(folder):
    """a store is given users while a service with a login works: it goes on"""
    with Etcd(folder) as store:
        store.wait_ready()
        worker = worker_with(folder, store, "worker", "secret")
        try:
            worker.start().wait_ready()
            apply(worker, COPY)
            make_users(store)
            copied(store, 1)
        finally:
            worker.kill()


def without_a_password(folder):
    """a user without a password is an error at the start that says what to
    give"""
    del folder
    done = subprocess.run(
        [os.path.join(auth.BIN, "etched"), "recipes", "--endpoints=127.0.0.1:1",
         "--recipes-user=worker"], env=clean_env(), capture_output=True,
        text=True, timeout=20, check=False)
    check(done.returncode != 0 and
          "--recipes-user: worker has no password" in done.stderr and
          "ETCHED_RECIPES_PASSWORD" in done.stderr, done.stderr)


STORIES = [beside_etched, beside_etcd, given_users_later, without_a_password]
