"""What the stories of tests/operation share: servers, clients, checks."""
import http.client
import json
import os
import re
import resource
import signal
import socket
import subprocess
import time
import urllib.parse

BIN = os.environ.get("ETCHED_BIN") or os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "..", "..", "bin")
ETCHED = os.path.join(BIN, "etched")
HOST = "127.0.0.1"
FORM = "application/x-www-form-urlencoded"
START_SECONDS = 20
REPORTS = ("ERROR: ", "LeakSanitizer", "ThreadSanitizer", "runtime error:",
           "check failed")

taken_ports = set()


class Failure(Exception):
    pass


class Skip(Exception):
    pass


def check(holds, what):
    if not holds:
        raise Failure(what)


def equal(found, wanted, what):
    if found != wanted:
        raise Failure(f"{what}: {found!r}, not {wanted!r}")


def wait_for(holds, what, seconds=5):
    """Looks again and again; gives back what `holds` gave."""
    end = time.monotonic() + seconds
    while True:
        found = holds()
        if found:
            return found
        if time.monotonic() > end:
            raise Failure(f"after {seconds} s still not: {what}")
        time.sleep(0.01)


def free_port():
    while True:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port = probe.getsockname()[1]
        if port not in taken_ports:
            taken_ports.add(port)
            return port


def is_sanitized():
    """True for a build whose memory and speed are not the program's own."""
    with open(ETCHED, "rb") as file:
        return b"__asan_init" in file.read() or is_thread_sanitized()


def is_thread_sanitized():
    with open(ETCHED, "rb") as file:
        return b"__tsan_init" in file.read()


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    def json(self):
        try:
            return json.loads(self.body.decode("utf-8"))
        except ValueError as error:
            raise Failure(f"not JSON ({error}): {self.body[:200]!r}") from None

    def value(self):
        return self.json()["node"]["value"]

    def __repr__(self):
        return f"{self.status} {self.body[:300]!r}"


def run(*flags, env=None, seconds=10, **popen):
    """The program, to its end: status, standard output, standard error."""
    clean = {name: value for name, value in os.environ.items()
             if not name.startswith(("ETCD_", "ETCHED_"))}
    clean.update(env or {})
    done = subprocess.run([ETCHED, *flags], env=clean, timeout=seconds,
                          stdin=subprocess.DEVNULL, capture_output=True,
                          check=False, **popen)
    out, err = done.stdout.decode(), done.stderr.decode("utf-8", "replace")
    check_reports(err)
    check(done.returncode >= 0,
          f"ended by signal {-done.returncode}: {err[-500:]}")
    return done.returncode, out, err


def check_reports(text):
    for line in text.splitlines():
        # A line of the program's own log can't be taken for a report: it
        # begins with its time or is JSON.
        if any(report in line for report in REPORTS) and \
                not re.match(r"\d{4}-\d\d-\d\dT|\{", line):
            at = text.index(line)
            raise Failure("the server's own report: " + text[at:at + 1500])


class Server:
    """One server on ports of its own. `start`: False only prepares it."""

    def __init__(self, folder, *flags, data=None, name="s", env=None,
                 start=True, plain=False, log=None, **popen):
        self.data = data or os.path.join(folder, name + ".data")
        self.log_path = os.path.join(folder, name + ".log")
        self.client_port, self.peer_port = free_port(), free_port()
        self.url = f"http://{HOST}:{self.client_port}"
        self.peer_url = f"http://{HOST}:{self.peer_port}"
        self.flags = list(flags) if plain else self.own_flags() + list(flags)
        self.env = env or {}
        self.popen = popen
        self.log = log
        self.process = None
        if start:
            self.start()

    def own_flags(self):
        return ["--data-dir", self.data,
                "--listen-client-urls", self.url,
                "--advertise-client-urls", self.url,
                "--listen-peer-urls", self.peer_url,
                "--initial-advertise-peer-urls", self.peer_url,
                "--initial-cluster", f"default={self.peer_url}"]

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if self.process and self.process.poll() is None:
            if kind is None:
                self.stop()
            else:
                self.kill()
        if kind is None:
            check_reports(self.log_text())

    def launch(self):
        clean = {name: value for name, value in os.environ.items()
                 if not name.startswith(("ETCD_", "ETCHED_"))}
        clean.update(self.env)
        popen = dict(self.popen)
        with open(self.log_path, "ab") as log:
            popen.setdefault("stdout", log)
            popen.setdefault("stderr", log)
            self.process = subprocess.Popen(
                [ETCHED, *self.flags], env=clean, stdin=subprocess.DEVNULL,
                **popen)

    def start(self):
        self.launch()
        try:
            wait_for(self.is_up, "the server answers", START_SECONDS)
        except Failure:
            self.kill()
            raise
        return self

    def is_up(self):
        if self.process.poll() is not None:
            raise Failure(f"the server ended with {self.process.returncode}: "
                          + self.log_text()[-800:])
        try:
            return self.get("/version", timeout=2).status == 200
        except (OSError, http.client.HTTPException):
            return False

    def start_in_vain(self, seconds=15):
        """For what must not start: the status and what it said."""
        before = len(self.log_text())
        self.launch()
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failure("it started, though it should not") from None
        text = self.log_text()[before:]
        check_reports(text)
        check(status >= 0, f"ended by signal {-status}: {text[-800:]}")
        return status, text

    def log_text(self):
        try:
            with open(self.log_path, encoding="utf-8",
                      errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def stop(self, number=signal.SIGTERM, within=5.0):
        """Stops it as a person does; gives back how long it took."""
        began = time.monotonic()
        self.process.send_signal(number)
        try:
            status = self.process.wait(within + 20)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failure("it did not stop") from None
        took = time.monotonic() - began
        equal(status, 0, "exit status; log: " + self.log_text()[-800:])
        check(took < within, f"the stop took {took:.1f} s")
        return took

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * resource.getpagesize()

    # ---- requests -----------------------------------------------------------

    def connect(self, timeout=20):
        return http.client.HTTPConnection(HOST, self.client_port,
                                          timeout=timeout)

    def ask(self, method, path, fields=None, connection=None, timeout=20,
            body=None):
        own = connection or self.connect(timeout)
        headers = {}
        if fields is not None:
            body = urllib.parse.urlencode(fields)
            headers["Content-Type"] = FORM
        try:
            own.request(method, path, body, headers)
            response = own.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            if connection is None:
                own.close()

    def get(self, path, **more):
        return self.ask("GET", path, **more)

    def put(self, key, value, connection=None, **fields):
        return self.ask("PUT", "/v2/keys" + key, {"value": value, **fields},
                        connection)

    def fill(self, prefix, count):
        """Keys prefix/0... one after the other, each acknowledged."""
        connection = self.connect()
        for i in range(count):
            answer = self.put(f"{prefix}/{i}", f"value {i}", connection)
            check(answer.status in (200, 201), f"a put: {answer}")
        connection.close()

    def check_filled(self, prefix, count):
        connection = self.connect()
        for i in range(count):
            answer = self.get(f"/v2/keys{prefix}/{i}", connection=connection)
            equal(answer.status, 200, f"{prefix}/{i}")
            equal(answer.value(), f"value {i}", f"{prefix}/{i}")
        connection.close()


# ---- raw sockets ------------------------------------------------------------

def dial(server, timeout=15):
    sock = socket.create_connection((HOST, server.client_port), timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def read_answer(file):
    """One answer from a socket's file; None at its end."""
    line = file.readline()
    if not line:
        return None
    match = re.match(rb"HTTP/1\.[01] (\d{3}) ", line)
    check(match, f"not a status line: {line[:100]!r}")
    headers = {}
    while True:
        line = file.readline()
        check(line.endswith(b"\r\n"), f"a head that breaks off: {line!r}")
        if line == b"\r\n":
            break
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    if headers.get("transfer-encoding") == "chunked":
        body = read_chunks(file)
    else:
        size = int(headers.get("content-length", "0"))
        body = file.read(size)
        equal(len(body), size, "a body's size")
    return Answer(int(match.group(1)), headers, body)


def read_chunks(file):
    body = b""
    while True:
        size = int(file.readline(), 16)
        piece = file.read(size + 2)
        equal(len(piece), size + 2, "a chunk's size")
        check(piece.endswith(b"\r\n"), "a chunk that doesn't end")
        if size == 0:
            return body
        body += piece[:-2]


def say(server, data, timeout=15):
    """Sends bytes as they are; gives back all answers till the close, or till
    nothing more comes. A reset after an answer is no matter."""
    answers = []
    with dial(server, timeout) as sock:
        try:
            sock.sendall(data)
        except OSError:
            pass
        file = sock.makefile("rb")
        try:
            while True:
                answer = read_answer(file)
                if answer is None:
                    return answers, True
                answers.append(answer)
                # All but an answer that closes is the caller's to count.
                if answer.headers.get("connection") != "close":
                    return answers, False
        except ConnectionError:
            return answers, True
        except socket.timeout:
            return answers, False


def raise_file_limit(wanted):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise Skip(f"only {hard} open files are allowed")
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
