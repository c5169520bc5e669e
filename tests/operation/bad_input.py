"""Stories of clients that send what they should not. After each, the server
serves a new connection and one that was there before."""
import contextlib
import json
import random
import socket
import threading
import time

from world import (FORM, HOST, Server, check, dial, equal, read_answer, say)

HOST_LINE = b"Host: localhost\r\n"


@contextlib.contextmanager
def serving(folder, *flags):
    """A server, and a bystander that must not be disturbed."""
    with Server(folder, *flags) as server:
        server.put("/here", "still")
        bystander = server.connect()

        def undisturbed(what):
            answer = server.get("/v2/keys/here", connection=bystander)
            equal(answer.value(), "still", f"the bystander after {what}")
            equal(server.put("/new", "1").status in (200, 201), True,
                  f"a new connection after {what}")

        undisturbed("nothing")
        yield server, undisturbed
        undisturbed("all")
        bystander.close()


def statuses(answers):
    return [answer.status for answer in answers]


def garbage(folder):
    rng = random.Random(1)
    with serving(folder) as (server, undisturbed):
        for data in (b"\0" * 100, b"\xff" * 1000, b"\r\n" * 1000,
                     b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" +
                     bytes(500), b"GET\r\n\r\n", b" / HTTP/1.1\r\n\r\n",
                     b"SSH-2.0-OpenSSH_9.2\r\n", b"{\"a\":1}\n",
                     b"GET /v2/keys/a HTTP/1.1\r\nno colon\r\n\r\n",
                     b"GET /v2/keys/a HTTP/1.1\r\n: x\r\n\r\n",
                     b"GET /v2/keys/a\0b HTTP/1.1\r\n" + HOST_LINE + b"\r\n",
                     b"GET /v2/keys/a HTTP/1.1\r\nA: b\0c\r\n\r\n"):
            answers, closed = say(server, data, timeout=1)
            check(all(a.status in (400, 501) for a in answers),
                  f"{data[:40]!r}: {answers}")
            check(closed or not answers, f"{data[:40]!r}: left open")
        undisturbed("garbage")
        for _ in range(200):
            with dial(server) as sock, contextlib.suppress(OSError):
                sock.sendall(rng.randbytes(rng.randrange(1, 300)))
                if rng.random() < 0.5:
                    sock.shutdown(socket.SHUT_WR)
                    sock.settimeout(5)
                    sock.recv(65536)
        undisturbed("random bytes")


def half_requests(folder):
    """A good request, cut anywhere, with the client gone."""
    whole = (b"PUT /v2/keys/cut HTTP/1.1\r\n" + HOST_LINE + b"Content-Type: "
             + FORM.encode() + b"\r\nTransfer-Encoding: chunked\r\n\r\n"
             b"7\r\nvalue=1\r\n0\r\n\r\n")
    with serving(folder) as (server, undisturbed):
        for size in range(1, len(whole)):
            with dial(server) as sock, contextlib.suppress(OSError):
                sock.sendall(whole[:size])
                if size % 2:
                    sock.shutdown(socket.SHUT_WR)
        undisturbed("half requests")
        equal(server.get("/v2/keys/cut").status, 404, "the key")
        equal(statuses(say(server, whole)[0]), [201], "the whole request")


def bad_framing(folder):
    put = b"PUT /v2/keys/x HTTP/1.1\r\n" + HOST_LINE + \
        b"Content-Type: " + FORM.encode() + b"\r\n"
    cases = [
        (b"Content-Length: abc\r\n\r\n", [400]),
        (b"Content-Length: -1\r\n\r\n", [400]),
        (b"Content-Length: 1e3\r\n\r\n", [400]),
        (b"Content-Length: 99999999999999999999999\r\n\r\n", [400, 413]),
        (b"Content-Length: 7\r\nContent-Length: 8\r\n\r\nvalue=1", [400]),
        (b"Content-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n"
         b"7\r\nvalue=1\r\n0\r\n\r\n", [400]),
        (b"Transfer-Encoding: gzip\r\n\r\n", [400, 501]),
        (b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", [400]),
        (b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
         [400, 413]),
        (b"Transfer-Encoding: chunked\r\n\r\n3\r\nvalue=1\r\n0\r\n\r\n",
         [400]),
    ]
    with serving(folder) as (server, undisturbed):
        for rest, wanted in cases:
            answers, closed = say(server, put + rest)
            check(len(answers) == 1 and answers[0].status in wanted and closed,
                  f"{rest!r}: {answers}, closed: {closed}")
        undisturbed("bad framing")
        equal(server.get("/v2/keys/x").status, 404, "the key")


def methods_and_versions(folder):
    with serving(folder) as (server, undisturbed):
        for method in ("PATCH", "BREW", "TRACE", "CONNECT", "get"):
            answers, _ = say(server, f"{method} /v2/keys/a HTTP/1.1\r\n"
                             "Host: localhost\r\n"
                             "Connection: close\r\n\r\n".encode())
            check(len(answers) == 1 and answers[0].status in (400, 405, 501),
                  f"{method}: {answers}")
            undisturbed(method)
        answer = server.ask("PATCH", "/v2/keys/a")
        equal(answer.status, 405, "PATCH")
        check("GET" in answer.headers["Allow"], "Allow")
        for version in (b"HTTP/2.0", b"HTTP/9.9", b"HTTP/1.x", b"ICY/1.0"):
            answers, closed = say(server, b"GET / " + version + b"\r\n" +
                                  HOST_LINE + b"\r\n")
            check(closed and statuses(answers) in ([400], [505]),
                  f"{version!r}: {answers}")
        undisturbed("versions")
        equal(server.get("/no/such/page").status, 404, "an unknown path")


def too_large_heads(folder):
    with serving(folder) as (server, undisturbed):
        for head in (b"GET /v2/keys/" + b"a" * 300000 + b" HTTP/1.1\r\n",
                     b"GET /v2/keys/a HTTP/1.1\r\nX: " + b"a" * 300000,
                     b"GET /v2/keys/a HTTP/1.1\r\n" + b"X: y\r\n" * 101,
                     b"GET /v2/keys/a HTTP/1.1\r\n" + b"X: y\r\n" * 100000):
            answers, closed = say(server, head + b"\r\n\r\n")
            check(closed, "left open")
            # The rest of what was sent may reset the connection before the
            # answer is read.
            check(statuses(answers) in ([431], []), f"{answers}")
        answers, _ = say(server, b"GET /v2/keys/a HTTP/1.1\r\n" +
                         b"X: y\r\n" * 101 + b"\r\n")
        equal(statuses(answers), [431], "101 headers")
        undisturbed("large heads")


def too_large_bodies(folder):
    with serving(folder) as (server, undisturbed):
        put = b"PUT /v2/keys/x HTTP/1.1\r\n" + HOST_LINE + b"Content-Type: " \
            + FORM.encode() + b"\r\n"
        # The wire takes what JSON of the largest request needs; more is
        # refused by its length, and what v2 doesn't take when it has come.
        answers, _ = say(server, put + b"Content-Length: 4000000\r\n\r\n")
        equal(statuses(answers), [413], "by its length")
        answers, _ = say(server, put + b"Content-Length: 4000000\r\n"
                         b"Expect: 100-continue\r\n\r\n")
        equal(statuses(answers), [413], "before it was sent")
        answer = server.put("/x", "v" * 1600000)
        equal(answer.status, 413, "one that was sent whole")
        piece = b"10000\r\n" + b"v" * 65536 + b"\r\n"
        answers, closed = say(server, put + b"Transfer-Encoding: chunked\r\n"
                              b"\r\n" + piece * 60)
        check(closed and statuses(answers) in ([413], []), f"{answers}")
        undisturbed("large bodies")
        equal(server.put("/x", "v" * 1400000).status, 201, "a large one")
        equal(len(server.get("/v2/keys/x").value()), 1400000, "its size")
    with Server(folder, "--max-request-bytes", "1000", name="small") as server:
        equal(server.put("/x", "v" * 2000).status, 413, "with a lower limit")
        equal(server.put("/x", "v" * 900).status, 201, "below it")


def slow_head(folder):
    """A head must come within 10 seconds, however steadily it drips."""
    with serving(folder) as (server, undisturbed):
        began = time.monotonic()
        with dial(server, timeout=20) as sock:
            sock.sendall(b"GET /v2/keys/a HTTP/1.1\r\n")
            drip = threading.Thread(target=drip_into, args=(sock, began))
            drip.start()
            answer = read_answer(sock.makefile("rb"))
            took = time.monotonic() - began
            drip.join()
        equal(answer.status, 408, "the answer")
        check(9 < took < 13, f"after {took:.1f} s")
        undisturbed("a slow head")


def drip_into(sock, began):
    with contextlib.suppress(OSError):
        while time.monotonic() - began < 9:
            sock.sendall(b"X: y\r\n")
            time.sleep(0.5)


def pipelined(folder):
    """A thousand requests at once: as many answers, in order."""
    with serving(folder) as (server, undisturbed):
        data = b""
        for i in range(500):
            body = b"value=v%d" % i
            data += b"PUT /v2/keys/p/%d HTTP/1.1\r\n" % i + HOST_LINE + \
                b"Content-Type: " + FORM.encode() + \
                b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            data += b"GET /v2/keys/p/%d HTTP/1.1\r\n" % i + HOST_LINE + b"\r\n"
        with dial(server, 30) as sock:
            sender = threading.Thread(target=sock.sendall, args=(data,))
            sender.start()
            file = sock.makefile("rb")
            for i in range(500):
                equal(read_answer(file).status, 201, f"put {i}")
                equal(read_answer(file).value(), f"v{i}", f"get {i}")
            sender.join()
        undisturbed("1,000 at once")
        # And one that is not read: it costs the server no more than others.
        with dial(server) as sock:
            sock.settimeout(0.5)
            with contextlib.suppress(socket.timeout):
                for _ in range(200):
                    sock.sendall(b"GET /metrics HTTP/1.1\r\n"
                                 b"Host: localhost\r\n\r\n"
                                 * 100)
            undisturbed("requests whose answers nobody reads")


def half_closed(folder):
    with serving(folder) as (server, undisturbed):
        put = b"PUT /v2/keys/h HTTP/1.1\r\n" + HOST_LINE + b"Content-Type: " \
            + FORM.encode() + b"\r\nContent-Length: 7\r\n\r\nvalue=1"
        get = b"GET /v2/keys/h HTTP/1.1\r\n" + HOST_LINE + b"\r\n"
        for data, wanted in ((put, [201]), (get, [200]),
                             (put + get + get, [200, 200, 200])):
            with dial(server) as sock:
                sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)
                file = sock.makefile("rb")
                found = []
                while answer := read_answer(file):
                    found.append(answer.status)
                equal(found, wanted, "answers after a half close")
        undisturbed("half-closed clients")
        # Ones that never close: the server doesn't spin on them.
        held = []
        for _ in range(20):
            sock = dial(server)
            sock.sendall(b"GET /v2/keys/none?wait=true HTTP/1.1\r\n" +
                         HOST_LINE + b"\r\n")
            sock.shutdown(socket.SHUT_WR)
            held.append(sock)
        before = cpu_seconds(server)
        time.sleep(1)
        used = cpu_seconds(server) - before
        check(used < 0.5, f"{used} s of CPU in one idle second")
        for sock in held:
            sock.close()


def cpu_seconds(server):
    with open(f"/proc/{server.process.pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def resets(folder):
    """Clients that are gone before, while and after they are answered."""
    with serving(folder) as (server, undisturbed):
        for i in range(300):
            sock = dial(server)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                            b"\1\0\0\0\0\0\0\0")
            path = ("/v2/keys/a?wait=true", "/metrics", "/v2/keys/here",
                    "/v2/keys/?recursive=true&wait=true&stream=true")[i % 4]
            sock.sendall(f"GET {path} HTTP/1.1\r\n"
                         f"Host: localhost\r\n\r\n".encode())
            if i % 3 == 0:
                sock.recv(10)
            sock.close()
        undisturbed("resets")
        for i in range(100):
            sock = dial(server)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                            b"\1\0\0\0\0\0\0\0")
            body = b"value=" + b"v" * 1000
            sock.sendall(b"PUT /v2/keys/r/%d HTTP/1.1\r\n" % i + HOST_LINE +
                         b"Content-Type: " + FORM.encode() +
                         b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            sock.close()
        undisturbed("writers that are gone")


# ---- requests that are well formed but wrong --------------------------------

def v2_error(answer, code, what):
    equal(answer.headers["Content-Type"], "application/json", what)
    found = answer.json()
    check("message" in found and "index" in found, f"{what}: {found}")
    check(found["errorCode"] in (code if isinstance(code, tuple) else (code,)),
          f"{what}: {answer}")


def bad_keys(folder):
    with serving(folder) as (server, undisturbed):
        for key in ("%ff", "a%c3", "%ed%a0%80", "%c0%ae", "a%00b", "%f8%88"):
            answer = server.put("/utf/" + key, "1")
            check(answer.status in (201, 400), f"{key}: {answer}")
            if answer.status == 400:
                v2_error(answer, (209, 210), key)
            listing = server.get("/v2/keys/?recursive=true")
            equal(listing.status, 200, "a listing")
            listing.json()
            undisturbed(key)
        answer = server.put("/" + "k" * 65600, "1")
        equal(answer.status, 400, "a key over the limit")
        answer.json()
        equal(server.put("/" + "k" * 65000, "1").status, 201, "a long key")
        answer = server.put("/d" * 300, "1")
        equal(answer.status, 400, "a deep path")
        answer.json()
        equal(server.put("/d" * 200, "1").status, 201, "a path less deep")
        for path in ("%zz", "%", "%2", "a%"):
            answer = server.get("/v2/keys/" + path)
            check(answer.status in (400, 404), f"{path}: {answer}")
        for path in ("//a///b//", "/./a/../b", "/../../etc/passwd", "/%2e%2e"):
            # As Go's servers: a path that isn't clean is sent elsewhere.
            answer = server.put("/dots" + path, "1")
            equal(answer.status, 301, path)
            check("/." not in answer.headers["Location"], answer.headers)
        undisturbed("bad keys")


def bad_values(folder):
    cases = [
        ("PUT", "/a", {"value": "1", "ttl": "soon"}, 202),
        ("PUT", "/a", {"value": "1", "ttl": "-1"}, 202),
        ("PUT", "/a", {"value": "1", "ttl": "99999999999999999999"}, 202),
        ("PUT", "/a", {"value": "1", "prevIndex": "x"}, 203),
        ("PUT", "/a", {"value": "1", "prevIndex": "-1"}, 203),
        ("PUT", "/a", {"value": "1", "prevExist": "maybe"}, 209),
        ("PUT", "/a", {"value": "1", "prevValue": ""}, 201),
        ("PUT", "/a", {"ttl": "5", "refresh": "perhaps"}, 209),
        ("PUT", "/a", {"refresh": "true"}, 212),
        ("PUT", "/a", {"refresh": "true", "ttl": "5", "value": "1"}, 211),
        ("PUT", "/a", {"value": "1", "dir": "2"}, 209),
        ("POST", "/a", {"value": "1", "ttl": "1.5"}, 202),
        ("DELETE", "/a?prevIndex=x", None, 203),
        ("DELETE", "/a?recursive=so", None, 209),
        ("DELETE", "/a?prevValue=", None, 201),
        ("GET", "/a?recursive=2", None, 209),
        ("GET", "/a?sorted=x", None, 209),
        ("GET", "/a?wait=yes", None, 209),
        ("GET", "/a?wait=true&waitIndex=x", None, 203),
        ("GET", "/a?wait=true&waitIndex=-5", None, 203),
        ("GET", "/a?wait=true&waitIndex=99999999999999999999", None, 203),
        ("PUT", "/", {"value": "1"}, (102, 107)),
        ("GET", "/missing", None, 100),
        ("PUT", "/here/below", {"value": "1"}, 104),
    ]
    with serving(folder) as (server, undisturbed):
        for method, path, fields, code in cases:
            answer = server.ask(method, "/v2/keys" + path, fields)
            v2_error(answer, code, f"{method} {path} {fields}")
        for body in ("value=%zz", "%", "a=%"):
            with dial(server) as sock:
                sock.sendall(b"PUT /v2/keys/a HTTP/1.1\r\n" + HOST_LINE +
                             b"Content-Type: " + FORM.encode() +
                             b"\r\nContent-Length: %d\r\n\r\n" % len(body) +
                             body.encode())
                v2_error(read_answer_of(sock), 210, body)
        # As large as a number goes: no overflow, whatever it comes to.
        for ttl in ("9223372036854775807", "18446744073709551615",
                    "9223372036", "4611686018427387904"):
            answer = server.put("/long", "1", ttl=ttl)
            check(answer.status in (200, 201, 400), f"ttl {ttl}: {answer}")
            answer.json()
            server.get("/v2/keys/long").json()
            undisturbed(f"ttl {ttl}")
        equal(server.get("/v2/keys/a").status, 404, "what was refused")


def read_answer_of(sock):
    answer = read_answer(sock.makefile("rb"))
    answer.headers = {name.title(): value
                      for name, value in answer.headers.items()}
    return answer


def other_pages(folder):
    """Every page takes every query, body and path below it."""
    pages = ("/version", "/health", "/metrics", "/v2/members", "/v2/machines",
             "/v2/stats/self", "/v2/stats/store", "/v2/stats/leader",
             "/v2/members/leader", "/livez", "/readyz", "/debug/vars",
             "/v2/leader", "/v2/admin/machines", "/")
    bodies = (b"", b"{", b"[" * 5000, b'{"peerURLs":7}',
              b'{"peerURLs":["http://x:1"]}', b"\xff" * 100)
    with serving(folder) as (server, undisturbed):
        for page in pages:
            for path in (page, page + "?a=%", page + "/x/../y?" + "z" * 5000,
                         page + "/%00"):
                for method in ("GET", "PUT", "POST", "DELETE", "OPTIONS"):
                    for body in bodies[:1] if method == "GET" else bodies:
                        own = server.connect()
                        own.request(method, path, body,
                                    {"Content-Type": "application/json"})
                        status = own.getresponse().status
                        own.close()
                        check(status < 600 and status != 500,
                              f"{method} {path} {body[:20]!r}: {status}")
            undisturbed(page)
        # One of the documents was good: a member that nobody runs, and that
        # doesn't count before it comes.
        names = [member["name"] for member
                 in json.loads(server.get("/v2/members").body)["members"]]
        equal(sorted(names), ["", "default"], "members")
        check(server.get("/v2/keys/?quorum=true").status == 200, "a quorum")
        with socket.create_connection((HOST, server.peer_port), 5) as sock:
            sock.sendall(b"GET /members HTTP/1.1\r\nHost: localhost\r\n\r\n")
            equal(read_answer(sock.makefile("rb")).status, 200, "peer port")


STORIES = [
    ("input: garbage", garbage),
    ("input: requests cut anywhere", half_requests),
    ("input: bad framing", bad_framing),
    ("input: methods and versions", methods_and_versions),
    ("input: heads that are too large", too_large_heads),
    ("input: bodies that are too large", too_large_bodies),
    ("input: a head that drips", slow_head),
    ("input: 1,000 requests at once", pipelined),
    ("input: half-closed clients", half_closed),
    ("input: clients that reset", resets),
    ("input: keys that can't be", bad_keys),
    ("input: values that can't be", bad_values),
    ("input: every page with anything", other_pages),
]
