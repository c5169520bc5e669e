#!/usr/bin/env python3
"""Certificates, authorities and revocations that change under load: kept
connections go on, new ones have the new files within a second.

    tests/tls/rotation.py [WORD]...   only stories whose line has a WORD
"""
import os
import shutil
import socket
import ssl
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from secure import (HOST, Certificates, SecureServer,  # noqa: E402
                    check, equal, is_refused, tell_all, wait_for)

WITHIN_SECONDS = 1.0


class Load:
    """Puts on kept connections, one after the other; none may fail."""

    def __init__(self, server, count=4):
        self.server = server
        self.stopping = False
        self.done = [0] * count
        self.failures = []
        self.threads = [threading.Thread(target=self.put, args=(i,))
                        for i in range(count)]

    def put(self, i):
        try:
            kept = self.server.connect()
            while not self.stopping:
                answer = self.server.put(f"/load/{i}", "v" * 200, kept)
                if answer.status not in (200, 201):
                    raise OSError(repr(answer))
                self.done[i] += 1
            kept.close()
        except Exception as error:  # whatever it was, it is a failure
            self.failures.append(f"connection {i}: {error!r}")

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        wait_for(lambda: min(self.done) > 5, "the load is there")
        return self

    def __exit__(self, *_error):
        self.stopping = True
        for thread in self.threads:
            thread.join()

    def check_goes_on(self):
        before = list(self.done)
        wait_for(lambda: self.failures or all(
            now > then + 5 for now, then in zip(self.done, before)),
            "each kept connection goes on")
        equal(self.failures, [], "failed requests")


def replace(certificates, name, by):
    """As people do: a new file is renamed to where the old one is."""
    new = certificates.path("new")
    shutil.copyfile(certificates.path(by), new)
    os.rename(new, certificates.path(name))


def shown(server):
    """The common name of the certificate that a new connection gets."""
    context = server.certificates.client()
    with context.wrap_socket(socket.create_connection(
            (HOST, server.client_port), 10), server_hostname=HOST) as sock:
        for field in sock.getpeercert()["subject"]:
            if field[0][0] == "commonName":
                return field[0][1]
    return None


def soon(holds, what):
    began = time.monotonic()
    wait_for(holds, what, WITHIN_SECONDS + 0.5)
    took = time.monotonic() - began
    check(took < WITHIN_SECONDS, f"{what}: only after {took:.2f} s")


def use(certificates, name):
    replace(certificates, "now.pem", name + ".pem")
    replace(certificates, "now.key", name + ".key")


def certificate(folder):
    """certificate: a new one is shown within a second, no request fails"""
    certificates = Certificates(folder)
    use(certificates, "m1")
    with SecureServer(folder, certificates, name="now") as server, \
            Load(server) as load:
        equal(shown(server), "m1", "at first")
        for name in ("m2", "m3", "m1", "m4"):
            use(certificates, name)
            soon(lambda name=name: shown(server) == name, name + " is shown")
            load.check_goes_on()


def bad_files(folder):
    """bad: files that can't be used leave the old ones, with a warning"""
    certificates = Certificates(folder)
    use(certificates, "m1")
    with SecureServer(folder, certificates, name="now") as server, \
            Load(server) as load:
        with open(certificates.path("now.pem"), "w", encoding="ascii") as file:
            file.write("-----BEGIN CERTIFICATE-----\nMIIB\n")
        wait_for(lambda: "changed files can't be used" in server.log_text(),
                 "a warning")
        equal(shown(server), "m1", "what is shown")
        os.unlink(certificates.path("now.key"))
        time.sleep(WITHIN_SECONDS)
        equal(shown(server), "m1", "what is shown without a key file")
        load.check_goes_on()
        use(certificates, "m2")
        soon(lambda: shown(server) == "m2", "good ones again")


def revocation(folder):
    """revoked: who is newly revoked, or of an authority no longer trusted, is
    refused within a second"""
    certificates = Certificates(folder)
    shutil.copyfile(certificates.path("empty.pem"),
                    certificates.path("list.pem"))
    shutil.copyfile(certificates.path("ca.pem"),
                    certificates.path("trusted.pem"))
    flags = ("--trusted-ca-file", certificates.path("trusted.pem"),
             "--client-crl-file", certificates.path("list.pem"))
    context = certificates.client("revoked")
    # Sessions from before don't help either.
    with SecureServer(folder, certificates, *flags,
                      context=certificates.client("client")) as server, \
            Load(server) as load:
        equal(is_refused(server.client_port, context), "", "at first")
        old = certificates.client("revoked",
                                  maximum_version=ssl.TLSVersion.TLSv1_2)
        with old.wrap_socket(socket.create_connection(
                (HOST, server.client_port), 10),
                server_hostname=HOST) as sock:
            session = sock.session
        replace(certificates, "list.pem", "crl.pem")
        soon(lambda: is_refused(server.client_port, context), "the refusal")
        try:
            with old.wrap_socket(socket.create_connection(
                    (HOST, server.client_port), 10),
                    server_hostname=HOST, session=session):
                check(False, "it came back with an old session")
        except OSError:
            pass
        load.check_goes_on()
        replace(certificates, "trusted.pem", "other.pem")
        soon(lambda: is_refused(server.client_port,
                                certificates.client("client")),
             "the old authority's are refused")
        load.check_goes_on()
        replace(certificates, "trusted.pem", "ca.pem")
        soon(lambda: not is_refused(server.client_port,
                                    certificates.client("client")),
             "the old authority is back")


tell_all([certificate, bad_files, revocation])
