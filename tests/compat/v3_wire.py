"""What the tests of v3 share: messages, servers, calls.

The messages come from src/proto/*.proto at run time: protoc-c compiles them to
descriptors, and protobuf makes classes of these; nothing generated is kept.
"""
import http.client
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BIN = os.environ.get("ETCHED_BIN") or os.path.join(TOP, "bin")
HOST = "127.0.0.1"
START_SECONDS = 20
CALL_SECONDS = 20
OPTIONS = [("grpc.max_receive_message_length", -1),
           ("grpc.max_send_message_length", -1),
           ("grpc.use_local_subchannel_pool", 1),
           ("grpc.enable_http_proxy", 0),
           ("grpc.enable_retries", 0)]


# ---- messages ---------------------------------------------------------------

class Messages:
    """Classes by short name: messages.RangeRequest."""

    def __init__(self):
        self._pool = descriptor_pool.DescriptorPool()
        self._factory = message_factory.MessageFactory(self._pool)
        self.services = {}
        for file in self._files():
            self._pool.Add(file)
            for service in file.service:
                self._add_service(file.package, service)
            for message in file.message_type:
                kind = self._pool.FindMessageTypeByName(
                    f"{file.package}.{message.name}")
                setattr(self, message.name, self._factory.GetPrototype(kind))

    @staticmethod
    def _files():
        """The files' descriptors, each after those that it imports."""
        folder = os.path.join(TOP, "src", "proto")
        names = sorted("proto/" + name for name in os.listdir(folder)
                       if name.endswith(".proto")
                       and not name.startswith("reflection"))
        with tempfile.TemporaryDirectory() as scratch:
            out = os.path.join(scratch, "set")
            subprocess.run(
                ["protoc-c", "-I" + os.path.join(TOP, "src"),
                 "--include_imports", "--descriptor_set_out=" + out] + names,
                check=True, cwd=os.path.join(TOP, "src"))
            with open(out, "rb") as file:
                files = descriptor_pb2.FileDescriptorSet.FromString(
                    file.read())
        return files.file

    def _add_service(self, package, service):
        for method in service.method:
            self.services[f"/{package}.{service.name}/{method.name}"] = method

    def of_method(self, path):
        """The classes of a method's request and response."""
        method = self.services[path]
        return (getattr(self, method.input_type.rsplit(".", 1)[1]),
                getattr(self, method.output_type.rsplit(".", 1)[1]))


# ---- servers ----------------------------------------------------------------

def free_port():
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def command_of(name):
    """Flags that are the one's own; `name` may be a path to a program."""
    if name == "etcd":
        return ["etcd", "--enable-v2=true", "--logger=zap",
                "--log-level=error"]
    if name == "etched":
        return [os.path.join(BIN, "etched")]
    return name.split()


def scratch_folder():
    """In memory where that is possible: disks are not what is compared. In
    the tests' own directory where it was given one: it is removed with it."""
    if "ETCHED_BIN" not in os.environ and os.access("/dev/shm", os.W_OK):
        return tempfile.mkdtemp(prefix="etched-compat-", dir="/dev/shm")
    return tempfile.mkdtemp(prefix="etched-compat-")


class Server:
    """A member alone, with an empty store, and a channel to it."""

    def __init__(self, name, folder, flags=(), member="compat"):
        self.name = name
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}"
        self.peer = f"http://{HOST}:{free_port()}"
        self.data = os.path.join(folder, str(self.port))
        self.log = os.path.join(folder, f"{self.port}.log")
        self.command = command_of(name) + [
            "--name", member, "--data-dir", self.data,
            "--listen-client-urls", self.url,
            "--advertise-client-urls", self.url,
            "--listen-peer-urls", self.peer,
            "--initial-advertise-peer-urls", self.peer,
            "--initial-cluster", f"{member}={self.peer}"] + list(flags)
        self.process = None
        self.channel = None
        self.stubs = {}
        self.start()

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise

    def _wait(self):
        """Until it answers a linearizable read."""
        self._open_channel()
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise SystemExit(f"{self.name} ended by itself: "
                                 + self.tail_of_log())
            code, _, _ = self.call("/etcdserverpb.KV/Range", b"\x0a\x01k",
                                   seconds=1)
            if code == "OK":
                return
            if code != "UNAVAILABLE":
                time.sleep(0.1)
                continue
            # A channel that was refused waits long before it tries again.
            time.sleep(0.03)
            self._open_channel()
        raise SystemExit(f"{self.name} did not answer a range: "
                         + self.tail_of_log())

    def tail_of_log(self):
        with open(self.log, "rb") as log:
            return log.read()[-1500:].decode("utf-8", "replace")

    def _open_channel(self):
        if self.channel is not None:
            self.channel.close()
        self.channel = grpc.insecure_channel(f"{HOST}:{self.port}",
                                             options=OPTIONS)
        self.stubs = {}

    def alive(self):
        return self.process.poll() is None

    def stop(self):
        if self.channel is not None:
            self.channel.close()
            self.channel = None
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def call(self, path, body, metadata=None, seconds=CALL_SECONDS):
        """One unary call, bytes to bytes: (code's name, message, body)."""
        stub = self.stubs.get(path)
        if stub is None:
            stub = self.stubs[path] = self.channel.unary_unary(path)
        try:
            answer = stub(body, timeout=seconds, metadata=metadata)
            return "OK", "", answer
        except grpc.RpcError as error:
            return error.code().name, error.details() or "", b""

    def gather(self, path, bodies, metadata=None, seconds=CALL_SECONDS):
        """A stream to its end: (code's name, message, list of bodies)."""
        call = self.channel.stream_stream(path)(
            iter(bodies), timeout=seconds, metadata=metadata)
        got = []
        try:
            got.extend(call)
            return "OK", "", got
        except grpc.RpcError as error:
            return error.code().name, error.details() or "", got

    def metric(self, name):
        """A value of /metrics; None where there is none of that name."""
        connection = http.client.HTTPConnection(HOST, self.port,
                                                timeout=CALL_SECONDS)
        try:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        finally:
            connection.close()
        found = re.search(rf"(?m)^{name} (\S+)$", text)
        return float(found.group(1)) if found else None

    def stream(self, path, metadata=None):
        return Stream(self, path, metadata)


class Stream:
    """A bidirectional stream that stays open; a thread reads what comes."""

    def __init__(self, server, path, metadata=None):
        self.got = []
        self.end = None  # (code's name, message) when it has ended
        self.changed = threading.Condition()
        self.outgoing = []
        self.closing = False
        self.call = server.channel.stream_stream(path)(
            self._requests(), metadata=metadata)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _requests(self):
        """Runs on a thread of grpc's."""
        while True:
            with self.changed:
                while not self.outgoing and not self.closing:
                    self.changed.wait()
                if not self.outgoing:
                    return
                body = self.outgoing.pop(0)
            yield body

    def _read(self):
        try:
            for body in self.call:
                with self.changed:
                    self.got.append(body)
                    self.changed.notify_all()
            ended = ("OK", "")
        except grpc.RpcError as error:
            ended = (error.code().name, error.details() or "")
        with self.changed:
            self.end = ended
            self.closing = True
            self.changed.notify_all()

    def send(self, body):
        with self.changed:
            self.outgoing.append(body)
            self.changed.notify_all()

    def half_close(self):
        with self.changed:
            self.closing = True
            self.changed.notify_all()

    def wait(self, test, seconds):
        """Until test(got) or the stream's end; False if neither came."""
        end = time.monotonic() + seconds
        with self.changed:
            while not test(self.got):
                left = end - time.monotonic()
                if left <= 0 or self.end is not None:
                    return bool(test(self.got))
                self.changed.wait(left)
        return True

    def cancel(self):
        self.half_close()
        self.call.cancel()
        self.reader.join(CALL_SECONDS)


def align(servers, messages):
    """Brings them to the same revision, with nothing in the store and nothing
    of its past: then revisions need no mapping, and hashes can be compared."""
    every = messages.DeleteRangeRequest(key=b"\x00", range_end=b"\x00")

    def must(server, path, message):
        code, text, body = server.call(path, message.SerializeToString())
        if code != "OK":
            raise SystemExit(f"{server.name}: {path}: {code} {text}")
        answer = messages.of_method(path)[1].FromString(body)
        return answer.header.revision

    put = messages.PutRequest(key=b"align")
    at = [must(server, "/etcdserverpb.KV/Put", put) for server in servers]
    for server, revision in zip(servers, at):
        for _ in range(max(at) - revision):
            must(server, "/etcdserverpb.KV/Put", put)
    for server in servers:
        now = must(server, "/etcdserverpb.KV/DeleteRange", every)
        must(server, "/etcdserverpb.KV/Compact",
             messages.CompactionRequest(revision=now, physical=True))


def remove(folder):
    shutil.rmtree(folder, ignore_errors=True)
