#!/usr/bin/env python3
"""Handshakes with a real server, by `openssl s_client` and Python's ssl: which
versions and suites, whose certificates, on which ports.

    tests/tls/handshakes.py [WORD]...   only stories whose line has a WORD
"""
import os
import re
import shutil
import socket
import ssl
import stat
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from secure import (HOST, Certificates, Failure, SecureServer,  # noqa: E402
                    Server, ask, check, equal, free_port, is_refused, is_up,
                    s_client, tell_all, wait_for)

# The weakest that the client's library would do at all.
ANYTHING = ("-cipher", "ALL:COMPLEMENTOFALL:@SECLEVEL=0")


# ---- versions and suites -----------------------------------------------------

def versions(folder):
    """versions: TLS 1.2 and 1.3, and nothing before them"""
    certificates = Certificates(folder)
    with SecureServer(folder, certificates) as server:
        for version in ("tls1_2", "tls1_3"):
            _, said = s_client(server.client_port, "-" + version)
            check(is_up(said), f"{version}: {said[-300:]}")
        for version in ("tls1", "tls1_1"):
            _, said = s_client(server.client_port, "-" + version, *ANYTHING)
            check(not is_up(said), f"{version} was let in")
            check("protocol version" in said, f"{version}: {said[-300:]}")


def suites(folder):
    """suites: forward secret and authenticated ones only (GHSA-5x4g-q5rc-36jp,
    TOB-ETCD-015)"""
    certificates = Certificates(folder)
    # For the suites of RSA too.
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout",
         certificates.path("rsa.key"), "-out", certificates.path("rsa.pem"),
         "-days", "2", "-subj", "/CN=rsa", "-addext",
         "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    listed = subprocess.run(["openssl", "ciphers", "-tls1_2",
                             "ALL:COMPLEMENTOFALL:@SECLEVEL=0"], check=True,
                            capture_output=True, text=True).stdout
    names = [name for name in listed.strip().split(":")
             if not name.startswith("TLS_")]
    check(len(names) > 40, f"only {len(names)} suites to try")
    good = set()
    rsa = certificates.client(authority="rsa")
    with SecureServer(folder, certificates) as first, \
            SecureServer(folder, certificates, name="rsa", context=rsa,
                         data=os.path.join(folder, "rsa.data")) as second:
        for server in (first, second):
            for name in names:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
                context.maximum_version = ssl.TLSVersion.TLSv1_2
                try:
                    context.set_ciphers(name + ":@SECLEVEL=0")
                    with context.wrap_socket(socket.create_connection(
                            (HOST, server.client_port), 10)) as sock:
                        good.add(sock.cipher()[0])
                except (OSError, ssl.SSLError):
                    pass
    equal(good, {f"ECDHE-{kind}-{suite}" for kind in ("ECDSA", "RSA")
                 for suite in ("AES128-GCM-SHA256", "AES256-GCM-SHA384",
                               "CHACHA20-POLY1305")}, "suites of TLS 1.2")


def no_extras(folder):
    """extras: no compression, no renegotiation"""
    certificates = Certificates(folder)
    with SecureServer(folder, certificates) as server:
        _, said = s_client(server.client_port, "-tls1_2", "-comp",
                           "-legacy_renegotiation")
        check("Compression: NONE" in said, said[-600:])
        # A line of R asks for a renegotiation.
        _, said = s_client(server.client_port, "-tls1_2", typed=b"R\n")
        check("RENEGOTIATING" in said and "no renegotiation" in said,
              said[-300:])


def chosen(folder):
    """chosen: --tls-min-version, --tls-max-version and --cipher-suites hold"""
    certificates = Certificates(folder)
    with SecureServer(folder, certificates, "--tls-min-version",
                      "TLS1.3") as server:
        check(not is_up(s_client(server.client_port, "-tls1_2")[1]), "1.2")
        check(is_up(s_client(server.client_port, "-tls1_3")[1]), "1.3")
    with SecureServer(folder, certificates, "--tls-max-version", "TLS1.2",
                      "--cipher-suites",
                      "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384") as server:
        check(not is_up(s_client(server.client_port, "-tls1_3")[1]), "1.3")
        _, said = s_client(server.client_port)
        check("Cipher is ECDHE-ECDSA-AES256-GCM-SHA384" in said, said[-300:])


def refusals(folder):
    """refusals: what can't be meant is refused at the start, and says why"""
    certificates = Certificates(folder)

    def vain(words, *flags):
        server = SecureServer(folder, certificates, *flags, start=False)
        status, said = server.start_in_vain()
        check(status != 0 and words in said, f"{flags}: {said[-400:]}")
        shutil.rmtree(server.data, ignore_errors=True)

    vain("no cipher suite that is forward secret", "--cipher-suites",
         "TLS_RSA_WITH_AES_128_CBC_SHA")
    vain("the least version is TLS1.2 or TLS1.3", "--tls-min-version",
         "TLS1.0")
    vain("nowhere.pem", "--cert-file", "nowhere.pem")
    vain("key values mismatch", "--key-file",
         certificates.path("m2.key"))
    vain("a trusted CA is needed", "--client-cert-auth")
    vain("a trusted CA is needed", "--client-cert-allowed-cn", "client")
    vain("a trusted CA is needed", "--client-crl-file",
         certificates.path("crl.pem"))
    bare = Server(folder, start=False)
    bare.flags[bare.flags.index(bare.url)] = "https" + bare.url[4:]
    status, said = bare.start_in_vain()
    check(status != 0 and "needs --cert-file and --key-file" in said,
          said[-400:])


# ---- certificates ------------------------------------------------------------

def servers_certificates(folder):
    """certificates: a careful client turns away from each that is bad"""
    certificates = Certificates(folder)
    careful = certificates.client()
    for name, words in (("m1", ""), ("expired", "expired"),
                        ("elsewhere", "IP address mismatch"),
                        ("stranger", "unable to get local issuer"),
                        ("self", "self-signed")):
        context = certificates.client(check_hostname=False,
                                      verify_mode=ssl.CERT_NONE)
        with SecureServer(folder, certificates, name=name,
                          context=context) as server:
            why = is_refused(server.client_port, careful)
            check(bool(why) == bool(words) and words in why, f"{name}: {why}")


def clients_certificates(folder):
    """clients: who has no good certificate of the trusted CA isn't let in"""
    certificates = Certificates(folder)
    flags = ("--client-cert-auth", "--trusted-ca-file",
             certificates.path("ca.pem"), "--client-crl-file",
             certificates.path("crl.pem"))
    known = certificates.client("client")
    with SecureServer(folder, certificates, *flags, context=known) as server:
        failed = server.metric('etched_tls_handshakes_total{result="failed"}')
        for name in ("client", "m2", "elsewhere"):
            equal(is_refused(server.client_port, certificates.client(name)),
                  "", name)
        for name in (None, "expired", "revoked", "stranger", "self"):
            for highest in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                context = certificates.client(name, maximum_version=highest)
                check(is_refused(server.client_port, context),
                      f"{name} was let in")
        wait_for(lambda: server.metric(
            'etched_tls_handshakes_total{result="failed"}') == failed + 10,
            "ten failures are counted")
    # 0.4's flag is the same and asks for one as well.
    with SecureServer(folder, certificates, "-ca-file",
                      certificates.path("ca.pem"), context=known) as server:
        check(is_refused(server.client_port, certificates.client()), "none")
        check(is_refused(server.client_port, certificates.client("stranger")),
              "another's")


def names(folder):
    """names: only certificates with an allowed name are let in"""
    certificates = Certificates(folder)
    trusted = ("--trusted-ca-file", certificates.path("ca.pem"))
    for flag, value, good, bad in (
            ("--client-cert-allowed-cn", "m3,client", "client", "m2"),
            ("--client-cert-allowed-hostname", "elsewhere.example",
             "elsewhere", "client")):
        with SecureServer(folder, certificates, *trusted, flag, value,
                          context=certificates.client(good)) as server:
            check(is_refused(server.client_port, certificates.client(bad)),
                  f"{bad} was let in by {flag}")


def everywhere(folder):
    """everywhere: each port of the clients' side checks the same, CRL too
    (GHSA-3wh4-j44w-pg92)"""
    certificates = Certificates(folder)
    more, metrics = free_port(), free_port()
    sock = os.path.join(folder, "sock")
    flags = ("--trusted-ca-file", certificates.path("ca.pem"),
             "--client-crl-file", certificates.path("crl.pem"),
             "--client-cert-allowed-cn", "client,revoked",
             "--listen-client-http-urls", f"https://{HOST}:{more}",
             "--listen-metrics-urls", f"https://{HOST}:{metrics}")
    server = SecureServer(folder, certificates, *flags, start=False,
                          context=certificates.client("client"))
    at = server.flags.index(server.url)
    server.flags[at] += ",unixs://" + sock
    with server.start():
        for port, unix in ((server.client_port, None), (more, None),
                           (metrics, None), (0, sock)):
            equal(is_refused(port, certificates.client("client"), unix=unix,
                             host="localhost"), "", f"port {port}")
            for name in (None, "revoked", "m2", "stranger"):
                check(is_refused(port, certificates.client(name), unix=unix,
                                 host="localhost"),
                      f"{name} was let in at {unix or port}")


# ---- ports -------------------------------------------------------------------

def side_by_side(folder):
    """ports: http, https, unix and unixs side by side"""
    certificates = Certificates(folder)
    plain = free_port()
    socks = [os.path.join(folder, name) for name in ("plain", "secure")]
    server = SecureServer(folder, certificates, start=False)
    server.flags[server.flags.index(server.url)] += (
        f",http://{HOST}:{plain},unix://{socks[0]},unixs://{socks[1]}")
    with server.start():
        equal(server.put("/a", "by https").status, 201, "a put")
        words = ("curl", "-sS", "--cacert", certificates.path("ca.pem"))
        for more in ((f"https://{HOST}:{server.client_port}",),
                     (f"http://{HOST}:{plain}",),
                     ("--unix-socket", socks[0], "http://localhost"),
                     ("--unix-socket", socks[1], "https://localhost")):
            done = subprocess.run(
                [*words, *more[:-1], more[-1] + "/v2/keys/a"],
                capture_output=True, text=True, timeout=15, check=False)
            check("by https" in done.stdout, f"{more}: {done}")
        # Neither is taken for the other.
        check(subprocess.run([*words, f"http://{HOST}:{server.client_port}"],
                             capture_output=True, timeout=15,
                             check=False).returncode != 0, "http to https")
        check(is_refused(plain, certificates.client()), "https to http")


def metrics_only(folder):
    """metrics: a port of their own, and nothing else there"""
    certificates = Certificates(folder)
    port = free_port()
    with SecureServer(folder, certificates, "--listen-metrics-urls",
                      f"https://{HOST}:{port}") as server:
        trusting = certificates.client()
        for path in ("/metrics", "/health", "/livez", "/readyz", "/version"):
            equal(ask(port, trusting, path), 200, path)
        server.put("/a", "value")
        for path in ("/v2/keys/a", "/v2/members", "/", "/v2/stats/self",
                     "/debug/vars", "/_recipes/v1"):
            equal(ask(port, trusting, path), 404, path)
        # Nor by HTTP/2, with which v3 would be there.
        done = subprocess.run(
            ["curl", "-sS", "--http2", "--cacert", certificates.path("ca.pem"),
             "-d", '{"key":"YQ=="}', "-w", " %{http_version} %{http_code}",
             f"https://{HOST}:{port}/v3/kv/range"], capture_output=True,
            text=True, timeout=15, check=False)
        check(done.stdout.endswith(" 2 404"), repr(done))


def protocols(folder):
    """alpn: h2 before http/1.1; who names neither is turned away"""
    certificates = Certificates(folder)
    with SecureServer(folder, certificates) as server:
        for offered, taken in ((["h2", "http/1.1"], "h2"),
                               (["http/1.1", "h2"], "h2"),
                               (["http/1.1"], "http/1.1"), ([], None)):
            context = certificates.client()
            if offered:
                context.set_alpn_protocols(offered)
            with context.wrap_socket(
                    socket.create_connection((HOST, server.client_port), 10),
                    server_hostname=HOST) as sock:
                equal(sock.selected_alpn_protocol(), taken, str(offered))
                if taken == "h2":  # its settings come unasked
                    equal(sock.recv(9)[3:4], b"\x04", "the first frame")
        context = certificates.client()
        context.set_alpn_protocols(["spdy/3"])
        check(is_refused(server.client_port, context), "spdy/3 was let in")
        for version in ("--http1.1", "--http2"):
            done = subprocess.run(
                ["curl", "-sS", version, "--cacert",
                 certificates.path("ca.pem"), "-w", " %{http_version}",
                 f"{server.url}/version"], capture_output=True, text=True,
                timeout=15, check=False)
            check(done.stdout.endswith(" " + version[6:]), repr(done))


def resumption(folder):
    """resumption: by a ticket, with the same identity as at first"""
    certificates = Certificates(folder)
    flags = ("--trusted-ca-file", certificates.path("ca.pem"))
    known = certificates.client("client")
    with SecureServer(folder, certificates, *flags, context=known) as server:
        for highest in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = certificates.client("client", maximum_version=highest)
            before = server.metric("etched_tls_resumed_total")
            session = None
            for turn in range(3):
                with context.wrap_socket(
                        socket.create_connection((HOST, server.client_port),
                                                 10),
                        server_hostname=HOST, session=session) as sock:
                    equal(sock.session_reused, turn > 0, f"turn {turn}")
                    sock.sendall(b"GET /version HTTP/1.1\r\nHost: localhost"
                                 b"\r\n\r\n")
                    check(sock.recv(4096).startswith(b"HTTP/1.1 200"), "it")
                    session = sock.session
            equal(server.metric("etched_tls_resumed_total"), before + 2,
                  "they are counted")


def own_certificate(folder):
    """auto: --auto-tls makes a certificate, keeps it, and its key is private"""
    server = Server(folder, "--auto-tls", start=False)
    server.flags[server.flags.index(server.url)] = "https" + server.url[4:]
    server.is_up = lambda: "ready to serve" in server.log_text()
    made = os.path.join(server.data, "fixtures", "client")

    def shown():
        return ssl.get_server_certificate((HOST, server.client_port))
    with server.start():
        first = shown()
        mode = os.stat(os.path.join(made, "key.pem")).st_mode
        equal(stat.S_IMODE(mode), 0o600, "the key's mode")
        context = ssl.create_default_context(
            cafile=os.path.join(made, "cert.pem"))
        equal(is_refused(server.client_port, context), "", "by its address")
        text = subprocess.run(
            ["openssl", "x509", "-noout", "-text"], input=first, text=True,
            capture_output=True, check=True).stdout
        check("prime256v1" in text and "IP Address:127.0.0.1" in text, text)
    open(server.log_path, "w", encoding="ascii").close()
    with server.start():
        equal(shown(), first, "after a restart")


def etcdctl(folder):
    """etcdctl: Debian's puts and gets over TLS, and is refused without"""
    if not shutil.which("etcdctl"):
        raise Failure("no etcdctl")
    certificates = Certificates(folder)
    cert, key = certificates.pair("client")
    trust = ["--cacert", certificates.path("ca.pem")]
    show = ["--cert", cert, "--key", key]
    with SecureServer(folder, certificates, "--trusted-ca-file",
                      certificates.path("ca.pem"),
                      context=certificates.client("client")) as server:
        def run(*words):
            return subprocess.run(
                ["etcdctl", "--endpoints", server.url, "--command-timeout=3s",
                 "--dial-timeout=2s", *words],
                env=dict(os.environ, ETCDCTL_API="3"), capture_output=True,
                text=True, timeout=20, check=False)
        equal(run(*trust, *show, "put", "k", "v").stdout, "OK\n", "a put")
        equal(run(*trust, *show, "get", "k").stdout, "k\nv\n", "a get")
        check(run(*trust, "get", "k").returncode != 0, "without certificate")
        check(run(*show, "get", "k").returncode != 0, "without the CA")
        status = run(*trust, *show, "endpoint", "health")
        check(re.search("is healthy", status.stdout + status.stderr),
              repr(status))


tell_all([versions, suites, no_extras, chosen, refusals, servers_certificates,
          clients_certificates, names, everywhere, side_by_side, metrics_only,
          protocols, resumption, own_certificate, etcdctl])
