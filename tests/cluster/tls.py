#!/usr/bin/env python3
"""Clusters whose members speak TLS to each other and to clients.

    tests/cluster/tls.py [WORD]...     only stories whose name has a WORD
"""
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

from members import (BIN, FORM, Cluster, Failure, Member, Skip,  # noqa: E402
                     check, dump_logs, equal, free_port, is_sanitized,
                     wait_for)

STORY_SECONDS = 60
CERTIFICATES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..",
                            "support", "certificates")
JSON = {"Content-Type": "application/json"}


class Secure(Member):
    """A member whose two ports have TLS, and ask for certificates."""

    shows = None

    def secure(self, folder, name=None):
        self.folder = folder
        self.shows = name or f"m{self.number + 1}"
        self.url = self.url.replace("http:", "https:")
        self.peer_url = self.peer_url.replace("http:", "https:")

    def file(self, name):
        return os.path.join(self.folder, name)

    def command(self):
        own, ca = self.file(self.shows), self.file("ca.pem")
        return super().command() + [
            "--cert-file", own + ".pem", "--key-file", own + ".key",
            "--trusted-ca-file", ca, "--client-cert-auth",
            "--peer-cert-file", own + ".pem", "--peer-key-file", own + ".key",
            "--peer-trusted-ca-file", ca, "--peer-client-cert-auth"]

    def context(self, name="client"):
        context = ssl.create_default_context(cafile=self.file("ca.pem"))
        if name:
            context.load_cert_chain(self.file(name + ".pem"),
                                    self.file(name + ".key"))
        return context

    def ask(self, method, path, body=None, headers=None, timeout=10,
            peer=False):
        port = self.peer_port if peer else self.client_port
        connection = http.client.HTTPSConnection(
            self.host, port, timeout=timeout, context=self.context())
        try:
            connection.request(method, path, body,
                               headers or (FORM if body else {}))
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


class SecureCluster(Cluster):
    def __init__(self, folder, count, *flags):
        self.certificates = os.path.join(folder, "certificates")
        subprocess.run([CERTIFICATES, self.certificates], check=True)
        super().__init__(folder, 0, *flags, start=False)
        for _ in range(count):
            self.add_secure()
        for member in self.members:
            member.flags = ["--initial-cluster", self.listing()] + self.flags
        try:
            for member in self.members:
                member.start()
            self.wait_for_leader()
        except BaseException:
            dump_logs(self)
            self.close(quiet=True)
            raise

    def add_secure(self, name=None):
        member = Secure(self, len(self.members))
        member.secure(self.certificates, name)
        self.members.append(member)
        return member

    def listing(self):
        return ",".join(f"{m.name}={m.peer_url}" for m in self.members)

    def file(self, name):
        return os.path.join(self.certificates, name)

    def etchctl(self, *words, api="3", name="client", ca="ca",
                endpoints=None, env=None, seconds=20):
        """(status, what it printed, what it complained of)"""
        clean = {key: value for key, value in os.environ.items()
                 if not key.startswith("ETCDCTL_")}
        names = ("cacert", "cert", "key") if api == "3" else \
            ("ca-file", "cert-file", "key-file")
        flags = ["--endpoints",
                 endpoints or ",".join(m.url for m in self.running())]
        if ca:
            flags += ["--" + names[0], self.file(ca + ".pem")]
        if name:
            flags += ["--" + names[1], self.file(name + ".pem"),
                      "--" + names[2], self.file(name + ".key")]
        done = subprocess.run(
            [os.path.join(BIN, "etchctl"), *flags, *words],
            env={**clean, "ETCDCTL_API": api, **(env or {})},
            timeout=seconds, stdin=subprocess.DEVNULL, capture_output=True,
            check=False)
        return (done.returncode, done.stdout.decode(),
                done.stderr.decode("utf-8", "replace"))


def replace(source, target):
    """As an administrator would: the new file in place of the old, whole."""
    shutil.copyfile(source, target + ".new")
    os.rename(target + ".new", target)


def serial_of(member, port):
    """Of the certificate that a new connection is shown."""
    with socket.create_connection((member.host, port), timeout=5) as plain:
        with member.context().wrap_socket(
                plain, server_hostname=member.host) as tls:
            return tls.getpeercert()["serialNumber"]


def add_member(cluster, through, peer_url):
    status, body = through.json("POST", "/v2/members",
                                json.dumps({"peerURLs": [peer_url]}), JSON)
    equal(status, 201, f"added: {body}")
    return body["id"]


def join(cluster, new):
    new.flags = ["--initial-cluster", cluster.listing(),
                 "--initial-cluster-state", "existing"] + cluster.flags
    new.start()


# ---- stories ---------------------------------------------------------------


def the_leader_dies(folder):
    """three members over TLS: writes, a leader killed, one that comes back"""
    with SecureCluster(folder, 3) as cluster:
        leader = cluster.wait_for_leader()
        leader.put("/a", "1")
        cluster.wait_for_all("/a", "1")
        for member in cluster.members:
            check("tls=TLSv1.3" in member.log(), "connected with TLS")
        begin = time.monotonic()
        leader.kill()
        rest = cluster.running()
        wait_for(lambda: any(m.try_put("/b", "2", 2) for m in rest),
                 "a write after the leader's death", 10)
        took = time.monotonic() - begin
        # The end of its connections says it, not the election timeout.
        check(took < 0.9 or is_sanitized(), f"that took {took:.2f} s")
        cluster.wait_for_all("/b", "2")
        leader.start()
        wait_for(lambda: leader.try_put("/c", "3", 2),
                 "the killed one writes again", 15)
        cluster.wait_for_all("/c", "3")


def strangers(folder):
    """who has a certificate of another authority, or none, doesn't get in"""
    with SecureCluster(folder, 3) as cluster:
        one = cluster.members[0]
        stranger = cluster.add_secure("stranger")
        add_member(cluster, one, stranger.peer_url)
        join(cluster, stranger)
        wait_for(lambda: "no TLS with a member" in one.log() or
                 "refused" in one.log(), "the members say why", 20)
        wait_for(lambda: not stranger.runs() or
                 "certificate" in stranger.log(), "it says why", 20)
        check(not stranger.try_put("/x", "y", 1), "it serves nothing")
        for member in cluster.members[:3]:
            check(member.try_put(f"/still/{member.name}", "here"),
                  "the others go on")
        for name in (None, "stranger", "expired"):
            for port in (one.client_port, one.peer_port):
                try:
                    context = one.context(name)
                    connection = http.client.HTTPSConnection(
                        one.host, port, timeout=5, context=context)
                    connection.request("GET", "/members")
                    status = connection.getresponse().status
                    raise Failure(f"{name} at {port}: {status}")
                except (ssl.SSLError, OSError, http.client.HTTPException):
                    pass
        equal(one.ask("GET", "/members", peer=True)[0], 200,
              "one of ours asks the peer port")


def plain_and_tls(folder):
    """a member that was told http where the others have https is told why"""
    with SecureCluster(folder, 1) as cluster:
        one = cluster.members[0]
        plain = Member(cluster, 1)
        cluster.members.append(plain)
        add_member(cluster, one, plain.peer_url)
        plain.flags = [
            "--initial-cluster",
            f"m0={one.peer_url.replace('https', 'http')},"
            f"m1={plain.peer_url}", "--initial-cluster-state", "existing"]
        plain.start()
        wait_for(lambda: "has its peer port TLS, https?" in plain.log(),
                 "it says why", 20)
        wait_for(lambda: "http request" in one.log(), "so does the other", 20)
        check(one.runs(), "which runs on")


def a_url_becomes_https(folder):
    """members that were told http of one whose port has TLS say so"""
    with Cluster(folder, 3) as cluster:
        one = cluster.members[0]
        certificates = os.path.join(folder, "certificates")
        subprocess.run([CERTIFICATES, certificates], check=True)
        one.kill()
        one.peer_url = one.peer_url.replace("http:", "https:")
        one.flags += ["--peer-cert-file", os.path.join(certificates, "m1.pem"),
                      "--peer-key-file", os.path.join(certificates, "m1.key")]
        one.start()
        for member in cluster.members[1:]:
            wait_for(lambda member=member: "has to begin with https"
                     in member.log(), "it says why", 15)
        check(cluster.members[1].try_put("/a", "1"), "the others go on")


def joins(folder):
    """a member joins over https, and is brought a snapshot over TLS"""
    with SecureCluster(folder, 3, "--snapshot-count", "50",
                       "--max-wals", "1") as cluster:
        one = cluster.members[0]
        for number in range(300):
            one.put(f"/before/{number}", "x" * 1000)
        new = cluster.add_secure("m4")
        new_id = add_member(cluster, one, new.peer_url)
        join(cluster, new)
        wait_for(lambda: new.try_put("/through/new", "x"),
                 "a write through the new member", 25)
        equal(new.id(), new_id, "its id")
        for number in (0, 100, 299):
            equal(new.get(f"/before/{number}", quorum=False), "x" * 1000,
                  f"it has key {number}")
        check("installed a snapshot" in new.log(), "by a snapshot")


def certificates_change(folder):
    """certificates are replaced under load; kept connections stay"""
    with SecureCluster(folder, 3) as cluster:
        one = cluster.members[0]
        before = [serial_of(one, one.client_port),
                  serial_of(one, one.peer_port)]
        kept = http.client.HTTPSConnection(one.host, one.client_port,
                                           timeout=10, context=one.context())
        kept.request("PUT", "/v2/keys/kept", "value=1", FORM)
        check(kept.getresponse().read(), "an answer")
        for ending in (".key", ".pem"):
            replace(cluster.file("m4" + ending), cluster.file("m1" + ending))
        begin = time.monotonic()
        wait_for(lambda: serial_of(one, one.client_port) != before[0] and
                 serial_of(one, one.peer_port) != before[1],
                 "new connections are shown the new one", 3)
        took = time.monotonic() - begin
        check(took < 1.5 or is_sanitized(), f"after {took:.2f} s")
        kept.request("PUT", "/v2/keys/kept", "value=2", FORM)
        equal(kept.getresponse().status, 200, "the kept connection")
        kept.close()
        # The peers' connections are there still; new ones are with the new.
        two = cluster.members[1]
        two.kill()
        two.start()
        wait_for(lambda: two.try_put("/after", "x"), "it is back", 20)
        cluster.wait_for_all("/after", "x")
        check("no TLS with" not in two.log(), two.log()[-300:])


def a_revoked_member(folder):
    """a certificate is revoked while the cluster runs"""
    with SecureCluster(folder, 3, "--peer-crl-file",
                       os.path.join(folder, "certificates", "crl.pem"),
                       "--client-crl-file",
                       os.path.join(folder, "certificates",
                                    "crl.pem")) as cluster:
        three = cluster.members[2]
        check(three.try_put("/a", "1"), "it is let in")
        done = subprocess.run(
            "openssl ca -batch -config ca.cnf -revoke m3.pem && "
            "openssl ca -batch -config ca.cnf -gencrl -out crl.new && "
            "mv crl.new crl.pem",
            shell=True, cwd=cluster.certificates, capture_output=True,
            check=False)
        equal(done.returncode, 0, f"revoked: {done.stderr}")
        time.sleep(1)
        three.kill()
        three.start()
        wait_for(lambda: "no TLS with a member" in
                 cluster.members[0].log(), "it isn't spoken to", 15)
        check(not three.try_put("/b", "2", 2), "nor does it write")
        check(cluster.members[0].try_put("/c", "3"), "the others do")


def by_etchctl(folder):
    """etchctl over TLS: v2, v3, environment, and who is not verified"""
    with SecureCluster(folder, 1) as cluster:
        one = cluster.members[0]
        place = f"{one.host}:{one.client_port}"
        equal(cluster.etchctl("put", "a", "1")[:2], (0, "OK\n"), "put")
        equal(cluster.etchctl("get", "a", endpoints=place)[1], "a\n1\n",
              "a file gives TLS to an endpoint that doesn't say")
        equal(cluster.etchctl("set", "/b", "2", api="2")[:2], (0, "2\n"),
              "set")
        equal(cluster.etchctl("get", "/b", api="2", ca=None, name=None, env={
            "ETCDCTL_CA_FILE": cluster.file("ca.pem"),
            "ETCDCTL_CERT_FILE": cluster.file("client.pem"),
            "ETCDCTL_KEY_FILE": cluster.file("client.key")})[1], "2\n",
              "by the environment, v2")
        equal(cluster.etchctl("get", "a", ca=None, name=None, env={
            "ETCDCTL_CACERT": cluster.file("ca.pem"),
            "ETCDCTL_CERT": cluster.file("client.pem"),
            "ETCDCTL_KEY": cluster.file("client.key")})[1], "a\n1\n",
              "by the environment, v3")
        large = "x" * 1000
        for number in range(300):
            one.put(f"/large/{number}", large)
        status, out, _ = cluster.etchctl("get", "", "--prefix",
                                         "--keys-only=false")
        equal(status, 0, "a long answer")
        for flags, why in (
                ({"ca": "other"}, "certificate is refused"),
                ({"ca": None}, "certificate is refused"),
                ({"name": None}, "does it want a"),
                ({"name": "stranger"}, "does it want a")):
            status, _, error = cluster.etchctl(
                "--command-timeout", "1s", "get", "a", **flags)
            equal(status, 1, f"{flags}: status")
            check(why in error and "context deadline exceeded" in error,
                  f"{flags}: {error}")
        status, _, error = cluster.etchctl(
            "--command-timeout", "1s", "get", "a", ca=None, name=None,
            endpoints=place)
        check(status == 1 and "does it want https?" in error, error)
        equal(cluster.etchctl("--insecure-skip-tls-verify", "get", "a",
                              ca=None)[1], "a\n1\n", "unseen")
        status, _, error = cluster.etchctl("get", "a", ca="none")
        check(status == 128 and "no such file" in error, error)
        status, _, error = cluster.etchctl("--key", "", "get", "a")
        check(status == 128 and "empty string is passed to --key" in error,
              error)


def a_mirror(folder):
    """make-mirror from one cluster with TLS to another"""
    os.mkdir(os.path.join(folder, "to"))
    with SecureCluster(folder, 1) as source, \
            SecureCluster(os.path.join(folder, "to"), 1) as target:
        equal(source.etchctl("put", "a", "1")[0], 0, "put")
        process = subprocess.Popen(
            [os.path.join(BIN, "etchctl"), "--endpoints",
             source.members[0].url, "--cacert", source.file("ca.pem"),
             "--cert", source.file("client.pem"), "--key",
             source.file("client.key"), "make-mirror",
             "--dest-cacert", target.file("ca.pem"),
             "--dest-cert", target.file("client.pem"),
             "--dest-key", target.file("client.key"),
             target.members[0].url.replace("https://", "")],
            env={**os.environ, "ETCDCTL_API": "3"},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for(lambda: target.etchctl("get", "a")[1] == "a\n1\n",
                     "the key is there", 10)
        finally:
            process.kill()
            process.wait()


def by_discovery(folder):
    """a discovery service over https, by --discovery-cacert"""
    registry_folder = os.path.join(folder, "registry")
    os.mkdir(registry_folder)
    with SecureCluster(registry_folder, 1) as registry:
        token = "/v2/keys/_etcd/registry/t1"
        one = registry.members[0]
        one.json("PUT", token + "/_config/size", "value=1")
        flags = ["--discovery", one.url + token,
                 "--discovery-cacert", registry.file("ca.pem"),
                 "--discovery-cert", registry.file("client.pem"),
                 "--discovery-key", registry.file("client.key")]
        cluster = Cluster(folder, 1, start=False)
        member = cluster.members[0]
        member.flags = flags
        try:
            member.start()
            wait_for(lambda: member.try_put("/a", "1", 2), "it serves", 20)
        finally:
            cluster.close(quiet=True)
        other = Cluster(folder, 1, start=False)
        member = other.members[0]
        member.name, member.data = "other", member.data + "2"
        member.flags = flags[:2]
        try:
            member.start()
            wait_for(lambda: "certificate" in member.log(),
                     "who doesn't know the authority doesn't ask", 20)
        finally:
            other.close(quiet=True)


def by_proxy(folder):
    """a proxy in front of a cluster with TLS"""
    with SecureCluster(folder, 1) as cluster:
        one = cluster.members[0]
        proxy = Member(cluster, 9)
        own = cluster.file("m4")
        proxy.flags = ["--proxy", "on", "--initial-cluster",
                       f"m0={one.peer_url}", "--peer-cert-file", own + ".pem",
                       "--peer-key-file", own + ".key",
                       "--peer-trusted-ca-file", cluster.file("ca.pem")]
        cluster.members.append(proxy)
        proxy.start()
        wait_for(lambda: proxy.try_put("/by/proxy", "x", 3),
                 "a write through the proxy", 15)
        equal(one.get("/by/proxy"), "x", "it is there")


def own_certificates(folder):
    """--auto-tls and --peer-auto-tls: encrypted, and said to be unseen"""
    cluster = Cluster(folder, 3, "--peer-auto-tls", start=False)
    for member in cluster.members:
        member.peer_url = member.peer_url.replace("http:", "https:")
    listed = ",".join(f"{m.name}={m.peer_url}" for m in cluster.members)
    for member in cluster.members:
        member.flags = ["--initial-cluster", listed, "--peer-auto-tls"]
    with cluster:
        for member in cluster.members:
            member.start()
        cluster.wait_for_leader()
        check("certificates unseen" in cluster.members[0].log(), "it says so")


def recipes_alone(folder):
    """etched recipes works on a store with https"""
    with SecureCluster(folder, 1) as cluster:
        port = free_port()
        log = os.path.join(folder, "recipes.log")
        with open(log, "wb") as out:
            process = subprocess.Popen(
                [os.path.join(BIN, "etched"), "recipes",
                 "--endpoints", cluster.members[0].url,
                 "--cacert", cluster.file("ca.pem"),
                 "--cert", cluster.file("client.pem"),
                 "--key", cluster.file("client.key"),
                 "--cert-file", cluster.file("m2.pem"),
                 "--key-file", cluster.file("m2.key"),
                 "--listen-client-urls", f"https://127.0.0.1:{port}"],
                stdout=out, stderr=out, stdin=subprocess.DEVNULL)

        def healthy():
            try:
                connection = http.client.HTTPSConnection(
                    "127.0.0.1", port, timeout=5,
                    context=cluster.members[0].context(None))
                connection.request("GET", "/health")
                return connection.getresponse().status == 200
            except (OSError, http.client.HTTPException):
                return False
        try:
            wait_for(healthy, "it has found its store", 20)
        finally:
            process.terminate()
            process.wait(20)


STORIES = [the_leader_dies, strangers, plain_and_tls, a_url_becomes_https,
           joins,
           certificates_change, a_revoked_member, by_etchctl, a_mirror,
           by_discovery, by_proxy, own_certificates, recipes_alone]


def too_late(_number, _frame):
    raise Failure(f"took longer than {STORY_SECONDS} s")


def tell(story):
    folder = tempfile.mkdtemp(prefix="etched-tls-")
    title = story.__doc__.splitlines()[0]
    signal.signal(signal.SIGALRM, too_late)
    signal.alarm(STORY_SECONDS)
    begin = time.monotonic()
    try:
        story(folder)
        print(f"ok {story.__name__}: {title} "
              f"({time.monotonic() - begin:.1f} s)", flush=True)
        return True
    except Skip as skip:
        print(f"ok {story.__name__} # SKIP {skip}", flush=True)
        return True
    except (Failure, OSError, subprocess.SubprocessError,
            http.client.HTTPException) as error:
        print(f"not ok {story.__name__}: {title}\n# {error!r}", flush=True)
        for name in sorted(os.listdir(folder)):
            if name.endswith(".log"):
                with open(os.path.join(folder, name), encoding="utf-8",
                          errors="replace") as file:
                    for line in file.read().splitlines()[-12:]:
                        print(f"#   {name}: {line[:240]}")
        return False
    finally:
        signal.alarm(0)
        shutil.rmtree(folder, ignore_errors=True)


def main():
    words = sys.argv[1:]
    wanted = [story for story in STORIES
              if not words or any(word in story.__name__ for word in words)]
    told = [tell(story) for story in wanted]
    return 0 if all(told) else 1


if __name__ == "__main__":
    sys.exit(main())
