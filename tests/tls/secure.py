"""What the scripts of tests/tls share: certificates, servers with TLS, and
handshakes of all kinds with them."""
import http.client
import os
import socket
import ssl
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(TOP, "tests", "security"))
sys.path.insert(0, os.path.join(TOP, "tests", "operation"))
sys.dont_write_bytecode = True

from story import tell_all  # noqa: E402,F401
from world import (ETCHED, HOST, Failure, Server, Skip,  # noqa: E402,F401
                   check, check_reports, equal, free_port, is_sanitized,
                   is_thread_sanitized, wait_for)


class Certificates:
    """Of tests/support/certificates, in a folder."""

    def __init__(self, folder):
        self.folder = os.path.join(folder, "certificates")
        subprocess.run([os.path.join(TOP, "tests", "support", "certificates"),
                        self.folder], check=True, stdout=subprocess.DEVNULL)

    def path(self, name):
        return os.path.join(self.folder, name)

    def pair(self, name):
        return self.path(name + ".pem"), self.path(name + ".key")

    def flags(self, name, of=""):
        cert, key = self.pair(name)
        return [f"--{of}cert-file", cert, f"--{of}key-file", key]

    def client(self, name=None, authority="ca", **more):
        """A context as a client has it; `name`: what it shows."""
        context = ssl.create_default_context(
            cafile=self.path(authority + ".pem"))
        if name:
            context.load_cert_chain(*self.pair(name))
        for field, value in more.items():
            setattr(context, field, value)
        return context


class SecureServer(Server):
    """A server whose client port is https; `context` is its own client's."""

    def __init__(self, folder, certificates, *flags, name="m1", context=None,
                 **more):
        self.certificates = certificates
        self.context = context or certificates.client()
        super().__init__(folder, *certificates.flags(name), *flags, **more)

    def own_flags(self):
        self.url = f"https://{HOST}:{self.client_port}"
        return super().own_flags()

    def connect(self, timeout=20):
        return http.client.HTTPSConnection(HOST, self.client_port,
                                           timeout=timeout,
                                           context=self.context)

    def metric(self, name):
        for line in self.get("/metrics").body.decode().splitlines():
            if line.startswith(name + " "):
                return int(line.split()[-1])
        raise Failure("no metric " + name)


def s_client(port, *words, typed=b"", seconds=15):
    """What `openssl s_client` says of a handshake, to its end."""
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"{HOST}:{port}", *words],
        input=typed, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        timeout=seconds, check=False)
    return done.returncode, done.stdout.decode("utf-8", "replace")


def is_up(said):
    """An s_client that got through names the suite that it has."""
    return "Cipher is (NONE)" not in said and "Cipher is" in said


def ask(port, context, path="/version", host=HOST, unix=None):
    """One request on a new connection: its status. Raises what went wrong.
    With TLS 1.3 a client hears only then that it wasn't let in."""
    if unix:
        plain = socket.socket(socket.AF_UNIX)
        plain.settimeout(10)
        plain.connect(unix)
    else:
        plain = socket.create_connection((HOST, port), 10)
    with context.wrap_socket(plain, server_hostname=host) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n"
                     "Connection: close\r\n\r\n".encode())
        answer = b""
        while True:
            piece = sock.recv(65536)
            if not piece:
                break
            answer += piece
    if not answer.startswith(b"HTTP/1.1 "):
        raise OSError("no answer")
    return int(answer[9:12])


def is_refused(port, context, **more):
    """Why it wasn't let in; "": it was."""
    try:
        equal(ask(port, context, **more), 200, "/version")
        return ""
    except OSError as error:
        return str(error) or type(error).__name__
