"""Clusters of real processes, each member on ports (or in a network namespace)
of its own; and what can be done to them."""
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "operation"))
sys.dont_write_bytecode = True

from world import (BIN, ETCHED, Failure, Skip, check, check_reports,  # noqa
                   equal, free_port, is_sanitized, wait_for)

HOST = "127.0.0.1"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def ip(*words):
    return subprocess.run(["ip", *words], check=True, capture_output=True,
                          text=True).stdout


class Net:
    """Network namespaces, one a member, on a bridge; cut at will."""

    made = 0

    def __init__(self, count):
        Net.made += 1
        self.tag = f"e{os.getpid() % 100000}{chr(96 + Net.made % 26)}"
        # Of its own, so that what another run left behind isn't in the way.
        self.prefix = f"10.{64 + os.getpid() // 256 % 128}.{os.getpid() % 256}"
        self.bridge = self.tag + "br"
        self.count = 0
        try:
            ip("link", "add", self.bridge, "type", "bridge")
            ip("addr", "add", self.host(253) + "/24", "dev", self.bridge)
            ip("link", "set", self.bridge, "up")
            for number in range(count):
                self.add(number)
        except (OSError, subprocess.CalledProcessError) as error:
            self.close()
            raise Skip(f"no right to make network namespaces ({error})") \
                from None

    def host(self, number):
        return f"{self.prefix}.{number + 1}"

    def name(self, number):
        return f"{self.tag}n{number}"

    def add(self, number):
        name, link = self.name(number), f"{self.tag}v{number}"
        ip("netns", "add", name)
        self.count = number + 1
        ip("link", "add", link, "type", "veth", "peer", "name", "eth0",
           "netns", name)
        ip("link", "set", link, "master", self.bridge, "up")
        ip("-n", name, "link", "set", "lo", "up")
        ip("-n", name, "addr", "add", self.host(number) + "/24", "dev",
           "eth0")
        ip("-n", name, "link", "set", "eth0", "up")

    def command(self, number):
        return ["ip", "netns", "exec", self.name(number)]

    def cut_one_way(self, a, b):
        """Nothing leaves `a` for `b`."""
        ip("-n", self.name(a), "route", "replace", "blackhole",
           self.host(b) + "/32")

    def mend_one_way(self, a, b):
        subprocess.run(["ip", "-n", self.name(a), "route", "del", "blackhole",
                        self.host(b) + "/32"], check=False,
                       capture_output=True)

    def cut(self, a, b):
        self.cut_one_way(a, b)
        self.cut_one_way(b, a)

    def isolate(self, number):
        """From everybody, clients too, without a sign."""
        ip("link", "set", f"{self.tag}v{number}", "down")

    def mend(self):
        for a in range(self.count):
            ip("link", "set", f"{self.tag}v{a}", "up")
            for b in range(self.count):
                if a != b:
                    self.mend_one_way(a, b)

    def close(self):
        for number in range(self.count):
            subprocess.run(["ip", "netns", "del", self.name(number)],
                           check=False, capture_output=True)
        subprocess.run(["ip", "link", "del", self.bridge], check=False,
                       capture_output=True)


class Member:
    def __init__(self, cluster, number, *flags):
        self.cluster = cluster
        self.number = number
        self.name = f"m{number}"
        self.net = cluster.net
        self.host = self.net.host(number) if self.net else HOST
        self.client_port = 2379 if self.net else free_port()
        self.peer_port = 2380 if self.net else free_port()
        self.url = f"http://{self.host}:{self.client_port}"
        self.peer_url = f"http://{self.host}:{self.peer_port}"
        self.data = os.path.join(cluster.folder, self.name + ".data")
        self.log_path = os.path.join(cluster.folder, self.name + ".log")
        self.flags = list(flags)
        self.process = None
        self.paused = False

    def command(self):
        before = self.net.command(self.number) if self.net else []
        return before + self.cluster.program + [
            "--name", self.name, "--data-dir", self.data,
            "--listen-client-urls", self.url,
            "--advertise-client-urls", self.url,
            "--listen-peer-urls", self.peer_url,
            "--initial-advertise-peer-urls", self.peer_url] + self.flags

    def start(self):
        check(self.process is None, f"{self.name} runs already")
        clean = {name: value for name, value in os.environ.items()
                 if not name.startswith(("ETCD_", "ETCHED_"))}
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command(), env=clean, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log)

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
        self.paused = False

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)
        self.paused = True

    def go_on(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
        self.paused = False

    def stop(self, seconds=20):
        """Asks it to end; its exit status."""
        self.process.terminate()
        status = self.process.wait(seconds)
        self.process = None
        return status

    def wait(self, seconds=20):
        """Until it ends by itself; its exit status."""
        status = self.process.wait(seconds)
        self.process = None
        return status

    def runs(self):
        return self.process is not None and self.process.poll() is None

    def ask(self, method, path, body=None, headers=None, timeout=10,
            peer=False):
        """(status, body)"""
        port = self.peer_port if peer else self.client_port
        connection = http.client.HTTPConnection(self.host, port,
                                                timeout=timeout)
        try:
            connection.request(method, path, body,
                               headers or (FORM if body else {}))
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def json(self, method, path, body=None, headers=None, **more):
        status, text = self.ask(method, path, body, headers, **more)
        try:
            return status, json.loads(text)
        except ValueError:
            raise Failure(f"{method} {path}: not JSON: {text[:200]!r}") \
                from None

    def try_json(self, method, path, body=None, **more):
        try:
            return self.json(method, path, body, **more)
        except (OSError, http.client.HTTPException, Failure):
            return 0, {}

    def put(self, key, value, timeout=10):
        return self.json("PUT", "/v2/keys" + key, f"value={value}",
                         timeout=timeout)

    def try_put(self, key, value, timeout=10):
        return self.try_json("PUT", "/v2/keys" + key, f"value={value}",
                             timeout=timeout)[0] in (200, 201)

    def get(self, key, quorum=True, timeout=10):
        status, body = self.json(
            "GET", f"/v2/keys{key}" + ("?quorum=true" if quorum else ""),
            timeout=timeout)
        return body["node"]["value"] if status == 200 else None

    def id(self):
        return self.json("GET", "/v2/stats/self")[1]["id"]

    def state(self):
        return self.try_json("GET", "/v2/stats/self", timeout=2)[1]


class Cluster:
    def __init__(self, folder, count, *flags, net=False, program=None,
                 start=True):
        self.folder = folder
        self.net = Net(count + 2) if net else None
        self.program = program or [ETCHED]
        self.flags = list(flags)
        self.members = [Member(self, number) for number in range(count)]
        listed = ",".join(f"{m.name}={m.peer_url}" for m in self.members)
        for member in self.members:
            member.flags = ["--initial-cluster", listed] + self.flags
        if start:
            try:
                for member in self.members:
                    member.start()
                self.wait_for_leader()
            except BaseException:
                self.close(quiet=True)
                raise

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.close(quiet=error is not None)

    def add(self, *flags):
        """One more, not started and not a member of anything yet."""
        member = Member(self, len(self.members), *flags)
        self.members.append(member)
        return member

    def close(self, quiet=False):
        for member in self.members:
            if member.process is not None and member.paused:
                member.go_on()
            if member.process is not None:
                member.process.kill()
                member.process.wait()
        if self.net:
            self.net.close()
        if not quiet and self.program == [ETCHED]:
            for member in self.members:
                if os.path.exists(member.log_path):
                    check_reports(member.log())

    def running(self):
        return [m for m in self.members if m.runs() and not m.paused]

    def leader(self, among=None):
        """The member that leads, as at least one other sees it too."""
        for member in among or self.running():
            state = member.state()
            if state.get("state") == "StateLeader":
                return member
        return None

    def wait_for_leader(self, seconds=30, among=None):
        """One that leads and can write."""
        def found():
            for member in among or self.members:
                if member.process is not None and \
                        member.process.poll() is not None:
                    raise Failure(f"{member.name} ended by itself with status "
                                  f"{member.process.returncode}: "
                                  + member.log()[-600:])
            leader = self.leader(among)
            if leader and leader.try_put("/cluster/ready", "yes", timeout=2):
                return leader
            return None
        return wait_for(found, "a leader that writes", seconds)

    def wait_for_all(self, key, value, seconds=20, among=None):
        """Until every running member has it, by itself."""
        for member in among or self.running():
            def there(member=member):
                try:
                    return member.get(key, quorum=False, timeout=2) == value
                except (OSError, http.client.HTTPException, Failure):
                    return False
            wait_for(there, f"{member.name} has {key}", seconds)


def dump_logs(cluster, lines=15):
    for member in cluster.members:
        if os.path.exists(member.log_path):
            print(f"# {member.name}:")
            for line in member.log().splitlines()[-lines:]:
                print("#   " + line[:240])


def can_listen(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def now():
    return time.monotonic()
