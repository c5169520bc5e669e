#!/usr/bin/env python3
"""Who a certificate is: with --client-cert-auth its common name is the user,
by v2, by v3 and by the gateway; a password or a token goes before it.

    tests/tls/users.py [WORD]...   only stories whose line has a WORD
"""
import base64
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from secure import (Certificates, SecureServer, check,  # noqa: E402
                    equal, tell_all)


def text64(text):
    return base64.b64encode(text.encode()).decode()


class Caller:
    """One who shows this certificate with each call; `name` None: none."""

    def __init__(self, server, name):
        self.server = server
        self.name = name

    def etcdctl(self, *words, user=None):
        certificates = self.server.certificates
        cert, key = certificates.pair(self.name)
        login = ["--user", user] if user else []
        done = subprocess.run(
            ["etcdctl", "--endpoints", self.server.url, "--command-timeout=5s",
             "--cacert", certificates.path("ca.pem"), "--cert", cert, "--key",
             key, *login, *words],
            env=dict(os.environ, ETCDCTL_API="3"), capture_output=True,
            text=True, timeout=30, check=False)
        return done.stdout + done.stderr.splitlines()[-1] if done.stderr \
            else done.stdout

    def http(self, method, path, body=None, **headers):
        context = self.server.certificates.client(self.name)
        self.server.context = context
        connection = self.server.connect()
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def gateway_get(self, key, **headers):
        return self.http("POST", "/v3/kv/range",
                         json.dumps({"key": text64(key)}), **headers)

    def v2_get(self, path, user=None):
        headers = {}
        if user:
            headers["Authorization"] = "Basic " + text64(user)
        return self.http("GET", "/v2/keys" + path, **headers)[0]


def set_up(server):
    """root; client, who may use /a/ and has no password; m2 nothing."""
    root = Caller(server, "m3")
    for words in (["user", "add", "root:secret"],
                  ["user", "grant-role", "root", "root"],
                  ["put", "/a/1", "one"], ["put", "/b/1", "one"],
                  ["role", "add", "a"],
                  ["role", "grant-permission", "a", "readwrite", "/a/",
                   "--prefix"],
                  ["user", "add", "client", "--no-password"],
                  ["user", "grant-role", "client", "a"],
                  ["user", "add", "m2", "--no-password"],
                  ["auth", "enable"]):
        said = root.etcdctl(*words)
        check("rror" not in said, f"{words}: {said}")


def flags(certificates):
    return ["--client-cert-auth", "--trusted-ca-file",
            certificates.path("ca.pem")]


def names_are_users(folder):
    """names are users: each API knows them by their certificates"""
    certificates = Certificates(folder)
    with SecureServer(folder, certificates, *flags(certificates),
                      context=certificates.client("client")) as server:
        set_up(server)
        client = Caller(server, "client")
        equal(client.etcdctl("get", "/a/1"), "/a/1\none\n", "its own")
        check("permission denied" in client.etcdctl("get", "/b/1"), "others'")
        check("permission denied" in client.etcdctl("put", "/b/1", "x"), "put")
        equal(client.etcdctl("put", "/a/2", "two"), "OK\n", "its own put")
        equal(client.v2_get("/a/2"), 200, "v2, its own")
        equal(client.v2_get("/b/1"), 401, "v2, others'")
        status, said = client.gateway_get("/a/1")
        equal(status, 200, "the gateway")
        check(text64("one") in said, said)
        equal(client.gateway_get("/b/1")[0], 403, "the gateway, others'")
        nobody = Caller(server, "m2")
        check("permission denied" in nobody.etcdctl("get", "/a/1"), "m2")
        equal(nobody.v2_get("/a/1"), 401, "v2, m2")
        stranger = Caller(server, "m4")  # no user is called so
        check("rror" in stranger.etcdctl("get", "/a/1"), "m4")
        equal(stranger.v2_get("/a/1"), 401, "v2, m4")


def the_servers_own(folder):
    """the server's own: its certificate lets nobody in by the gateway (CVE-2018-16886)"""
    certificates = Certificates(folder)
    with SecureServer(folder, certificates, *flags(certificates),
                      context=certificates.client("client")) as server:
        set_up(server)
        said = Caller(server, "m3").etcdctl(
            "user", "add", "m1", "--no-password", user="root:secret")
        check("rror" not in said, said)
        Caller(server, "m3").etcdctl("user", "grant-role", "m1", "root",
                                     user="root:secret")
        # The server itself shows m1, which is root: its callers aren't.
        status, said = Caller(server, "m2").gateway_get("/a/1")
        equal(status, 403, said)
        equal(Caller(server, "m1").gateway_get("/b/1")[0], 200, "m1 itself")


def a_login_goes_first(folder):
    """a login goes first: who logs in is who they say, not the certificate"""
    certificates = Certificates(folder)
    with SecureServer(folder, certificates, *flags(certificates),
                      context=certificates.client("client")) as server:
        set_up(server)
        client = Caller(server, "client")
        equal(client.etcdctl("get", "/b/1", user="root:secret"),
              "/b/1\none\n", "by password")
        equal(client.v2_get("/b/1", user="root:secret"), 200, "v2")
        equal(client.v2_get("/a/1", user="root:wrong"), 401, "a wrong one")
        status, said = client.gateway_get("/a/1", Authorization="nonsense.1")
        equal(status, 401, said)


def not_asked_for(folder):
    """not asked for: without --client-cert-auth a name is nobody"""
    certificates = Certificates(folder)
    with SecureServer(folder, certificates, "--trusted-ca-file",
                      certificates.path("ca.pem"),
                      context=certificates.client("client")) as server:
        set_up(server)
        client = Caller(server, "client")
        check("user name is empty" in client.etcdctl("get", "/a/1"), "v3")
        equal(client.v2_get("/a/1"), 401, "v2")


tell_all([names_are_users, the_servers_own, a_login_goes_first, not_asked_for])
