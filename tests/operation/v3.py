"""Stories of v3's clients that send what they should not, send too much, or
don't read. Each is told so in the way its protocol has for that; nobody else
notices."""
import contextlib
import gzip
import os
import random
import socket
import struct
import subprocess
import time

import h2
from h2 import H2, field, framed, message, put_op
from world import (HOST, Failure, Server, Skip, check, equal, free_port,
                   is_sanitized)

PUT = "/etcdserverpb.KV/Put"
RANGE = "/etcdserverpb.KV/Range"
TXN = "/etcdserverpb.KV/Txn"
WATCH = "/etcdserverpb.Watch/Watch"
A_PUT = message((1, "/bad"), (2, "x"))


@contextlib.contextmanager
def serving(folder, *flags):
    """A server; a bystander with a watch, which must not be disturbed."""
    with Server(folder, *flags) as server, H2(server) as bystander:
        watch = bystander.watch("/here")
        said = []

        def undisturbed(what):
            said.append(f"after {what}")
            bystander.put("/here", said[-1]).answer()
            event = bystander.next_message(watch).one(11).one(2)
            equal(event.bytes(5).decode(), said[-1], "the bystander's watch")
            with H2(server) as fresh:
                equal(fresh.value("/here").decode(), said[-1], "a new client")
            equal(server.get("/v2/keys/here").value(), said[-1], "HTTP/1.1")

        undisturbed("nothing")
        yield server, undisturbed
        undisturbed("all")


def usable(client, what):
    """This very connection goes on."""
    client.put("/usable", what).answer()
    equal(client.value("/usable").decode(), what, f"after {what}")


def refused(client, stream, code, words, what):
    client.finish(stream)
    check(stream.code() == code and words in stream.text(),
          f"{what}: {stream}, not {code} {words!r}")
    usable(client, what)


# ---- calls that are wrong ---------------------------------------------------

def bad_heads(folder):
    cases = [
        ("/etcdserverpb.KV/Nope", (), h2.UNIMPLEMENTED,
         "unknown method Nope for service etcdserverpb.KV"),
        ("/etcdserverpb.Nope/Put", (), h2.UNIMPLEMENTED,
         "unknown service etcdserverpb.Nope"),
        ("/Put", (), h2.UNIMPLEMENTED, "malformed method name"),
        ("/", (), h2.UNIMPLEMENTED, "malformed method name"),
        ("/etcdserverpb.KV/Put/", (), h2.UNIMPLEMENTED, "unknown service"),
        ("/" + "x" * 5000 + "/y", (), h2.UNIMPLEMENTED, "unknown service"),
        (PUT, [("grpc-encoding", "snappy")], h2.UNIMPLEMENTED,
         'not installed for grpc-encoding "snappy"'),
        (PUT, [("grpc-timeout", "soon")], h2.INTERNAL, "malformed"),
        (PUT, [("grpc-timeout", "123456789S")], h2.INTERNAL, "malformed"),
        (PUT, [("grpc-timeout", "-1S")], h2.INTERNAL, "malformed"),
        (PUT, [("grpc-timeout", "S")], h2.INTERNAL, "malformed"),
    ]
    with serving(folder) as (server, undisturbed), H2(server) as client:
        for path, more, code, words in cases:
            stream = client.open(client.head(path, more=more))
            client.tell(stream, A_PUT, True)
            refused(client, stream, code, words, f"{path[:30]} {more}")
        for method in ("GET", "PUT", "DELETE"):
            stream = client.open(client.head(PUT, method=method), end=True)
            refused(client, stream, h2.INTERNAL, "POST", method)
            equal(stream.headers[":status"], "405", method)
        # Not gRPC at all: the pages of HTTP answer, as on HTTP/1.1.
        for kind in ("text/plain", "application/grpcx", "application/grpc-web",
                     "", None):
            stream = client.open(client.head(PUT, kind=kind))
            client.tell(stream, A_PUT, True)
            client.finish(stream)
            equal(stream.headers[":status"], "404", f"{kind}")
            equal(stream.code(), None, f"{kind}")
            usable(client, f"content-type {kind}")
        for kind in ("application/grpc+proto", "application/grpc;a=b",
                     "Application/GRPC"):
            stream = client.open(client.head(PUT, kind=kind))
            client.tell(stream, message((1, "/good"), (2, kind)), True)
            client.finish(stream).answer()
        undisturbed("bad heads")
        equal(client.value("/bad"), None, "what was refused")


def bad_messages(folder):
    huge = b"\xff" * 9 + b"\x01"
    cases = [
        ("no message", b"", h2.INTERNAL, "no request message"),
        ("half a prefix", b"\0\0", h2.INTERNAL, "unexpected EOF"),
        ("half a message", framed(A_PUT)[:-1], h2.INTERNAL, "unexpected EOF"),
        ("a prefix alone", b"\0\0\0\0\x07", h2.INTERNAL, "unexpected EOF"),
        ("compressed by nothing", framed(A_PUT, 1), h2.INTERNAL,
         "compressed flag set"),
        ("4 GiB", b"\0\xff\xff\xff\xff", h2.RESOURCE_EXHAUSTED,
         "larger than max"),
        ("just too large", b"\0\0\x20\0\x01", h2.RESOURCE_EXHAUSTED,
         "(2097153 vs. 2097152)"),
        ("sent whole", framed(bytes(3000000)), h2.RESOURCE_EXHAUSTED,
         "larger than max"),
        ("a field that breaks off", framed(b"\x0a\x05ab"), h2.INTERNAL,
         "unmarshalling"),
        ("a tag that breaks off", framed(b"\x80"), h2.INTERNAL,
         "unmarshalling"),
        ("a size of 2^64", framed(b"\x0a" + huge), h2.INTERNAL,
         "unmarshalling"),
        ("field 0", framed(b"\x02\x01a"), h2.INTERNAL, "unmarshalling"),
        ("wire type 7", framed(b"\x0f\x01"), h2.INTERNAL, "unmarshalling"),
        ("noise", framed(random.Random(3).randbytes(500)), h2.INTERNAL,
         "unmarshalling"),
        ("no key", framed(message((2, "x"))), h2.INVALID_ARGUMENT,
         "key is not provided"),
        ("over max-request-bytes", framed(message((1, "/bad"),
                                                  (2, "x" * 1700000))),
         h2.INVALID_ARGUMENT, "request is too large"),
        ("a lease of nobody", framed(message((1, "/bad"), (3, 77))),
         h2.NOT_FOUND, "lease not found"),
    ]
    with serving(folder) as (server, undisturbed), H2(server) as client:
        for what, body, code, words in cases:
            stream = client.open(client.head(PUT))
            client.say(stream, body, True)
            refused(client, stream, code, words, what)
        undisturbed("bad messages")
        equal(client.value("/bad"), None, "what was refused")
        # A field that nobody knows is passed over: clients will be newer.
        client.call(PUT, (1, "/new"), (2, "1"), (99, b"x"), (77, 5)).answer()
        equal(client.value("/new"), b"1", "with fields of the future")


def compressed_messages(folder):
    gzipped = [("grpc-encoding", "gzip")]
    bomb = gzip.compress(bytes(50 << 20))
    good = gzip.compress(message((1, "/zip"), (2, "z" * 1000)))
    broken = good[:-9] + bytes([good[-9] ^ 1]) + good[-8:]
    cases = [
        ("no gzip", framed(b"no gzip at all", 1), h2.INTERNAL, ""),
        ("half of it", framed(good[:20], 1), h2.INTERNAL, ""),
        ("a wrong sum", framed(good[:-8] + bytes(8), 1), h2.INTERNAL, ""),
        ("a flipped bit", framed(broken, 1), h2.INTERNAL, ""),
        ("a bomb", framed(bomb, 1), h2.RESOURCE_EXHAUSTED, "larger than max"),
        ("flag 2", framed(good, 2), h2.INTERNAL, ""),
    ]
    with serving(folder) as (server, undisturbed), H2(server) as client:
        before = server.resident_bytes()
        for what, body, code, words in cases:
            stream = client.open(client.head(PUT, more=gzipped))
            client.say(stream, body, True)
            refused(client, stream, code, words, what)
        grown = (server.resident_bytes() - before) >> 20
        check(grown < 30 or is_sanitized(), f"{grown} MiB for a bomb")
        stream = client.open(client.head(PUT, more=gzipped))
        client.say(stream, framed(good, 1), True)
        client.finish(stream)
        equal(stream.code(), h2.OK, "a good one")
        equal(stream.headers["grpc-encoding"], "gzip", "its answer's")
        equal(client.value("/zip"), b"z" * 1000, "its key")
        undisturbed("compressed messages")


def nested_txn(depth):
    inner = put_op("/bad", "deep")
    for _ in range(depth):
        inner = message((4, message((2, inner))))
    return message((2, inner))


def bad_txns(folder):
    duplicate = [put_op("/bad", "1"), put_op("/bad", "2")]
    cases = [
        ("too deep", nested_txn(100), h2.INTERNAL, "unmarshalling"),
        ("far too deep", nested_txn(3000), h2.INTERNAL, "unmarshalling"),
        ("129 puts", message((2, [put_op(f"/bad{i}", "1")
                                  for i in range(129)])),
         h2.INVALID_ARGUMENT, "too many operations"),
        ("one key twice", message((2, duplicate)), h2.INVALID_ARGUMENT,
         "duplicate key"),
        ("one key twice, else", message((3, duplicate)), h2.INVALID_ARGUMENT,
         "duplicate key"),
        ("a put with no key", message((2, put_op("", "1"))),
         h2.INVALID_ARGUMENT, "key is not provided"),
        ("one good, one with a lease of nobody",
         message((2, [put_op("/bad", "1"),
                      message((2, message((1, "/bad2"), (3, 99))))])),
         h2.NOT_FOUND, "lease not found"),
    ]
    with serving(folder) as (server, undisturbed), H2(server) as client:
        for what, data, code, words in cases:
            stream = client.open(client.head(TXN))
            client.tell(stream, data, True)
            refused(client, stream, code, words, what)
            equal(client.value("/bad"), None, f"after {what}")
        client.finish(client.begin(TXN)).answer()
        stream = client.open(client.head(TXN))
        client.tell(stream, nested_txn(10), True)
        client.finish(stream).answer()
        equal(client.value("/bad"), b"deep", "one that is nested well")
        undisturbed("bad txns")


def deadlines(folder):
    """What can't end in time ends in time, and leaves nothing behind."""
    soon = [("grpc-timeout", "200m")]
    with serving(folder) as (server, undisturbed), H2(server) as client:
        holder = client.call("/v3lockpb.Lock/Lock", (1, "/lock"),
                             (2, client.grant(60))).answer().bytes(2)
        waiting = [
            ("a lock", client.begin("/v3lockpb.Lock/Lock", (1, "/lock"),
                                    (2, client.grant(60)), more=soon)),
            ("a watch", client.watch("/none", more=soon)),
            ("half a message", client.open(client.head(PUT, more=soon))),
            ("keepalives", client.open(client.head(
                "/etcdserverpb.Lease/LeaseKeepAlive", more=soon))),
        ]
        client.say(waiting[2][1], framed(A_PUT)[:9])
        began = time.monotonic()
        for what, stream in waiting:
            client.finish(stream, 5)
            equal(stream.code(), h2.DEADLINE_EXCEEDED, f"{what}: {stream}")
            usable(client, what)
        took = time.monotonic() - began
        check(took < 3, f"they took {took:.1f} s")
        # The lock that nobody waits for any more goes to who comes next.
        client.call("/v3lockpb.Lock/Unlock", (1, holder)).answer()
        client.call("/v3lockpb.Lock/Lock", (1, "/lock"),
                    (2, client.grant(60)), seconds=5).answer()
        client.put("/in/time", "1", more=[("grpc-timeout", "99999999H")])
        equal(client.value("/in/time"), b"1", "a deadline far away")
        undisturbed("deadlines")


def cancelled_calls(folder):
    """A client may lose interest at any point."""
    whole = framed(message((1, "/cut"), (2, "v" * 30)))
    with serving(folder) as (server, undisturbed), H2(server) as client:
        for size in range(len(whole)):
            stream = client.open(client.head(PUT))
            client.say(stream, whole[:size])
            client.send(h2.RST_STREAM, 0, stream.number,
                        struct.pack(">I", h2.CANCEL))
            if size % 10 == 0:
                usable(client, f"a put cut at {size}")
        equal(client.value("/cut"), None, "the key")
        watches = [client.watch("/usable") for _ in range(50)]
        for stream in watches:
            client.send(h2.RST_STREAM, 0, stream.number,
                        struct.pack(">I", h2.CANCEL))
        usable(client, "50 watches that are over")
        for stream in watches:
            equal(stream.data[stream.read:], b"", "a watch after its end")
        undisturbed("cancelled calls")
    frames = h2.PREFACE + H2.pack(h2.SETTINGS, 0, 0) + \
        H2.pack(h2.HEADERS, h2.END_HEADERS, 1, H2.head(PUT)) + \
        H2.pack(h2.DATA, h2.END_STREAM, 1, whole)
    below = os.path.join(folder, "2")
    os.mkdir(below)
    with serving(below) as (server, undisturbed):
        for size in range(1, len(frames)):
            with H2(server, begin=False) as client:
                client.write(frames[:size])
                if size % 2:
                    client.sock.shutdown(socket.SHUT_WR)
        undisturbed("connections that break off")
        with H2(server) as client:
            equal(client.value("/cut"), None, "the key")


# ---- frames that are wrong --------------------------------------------------

def bad_streams(folder):
    """A request that isn't one costs its stream, not the connection."""
    def head(*headers):
        return h2.pack_head(headers)

    usual = [(":method", "POST"), (":scheme", "http"), (":path", PUT),
             ("content-type", "application/grpc")]
    cases = [
        ("no path", head(*usual[:2], usual[3])),
        ("no method", head(*usual[1:])),
        ("two paths", head(*usual[:3], (":path", "/b"), usual[3])),
        ("an empty path", head(*usual[:2], (":path", ""), usual[3])),
        ("a capital letter", head(*usual, ("Abc", "d"))),
        ("a line end", head(*usual, ("abc", "d\r\ne: f"))),
        ("a zero", head(*usual, ("abc", "d\0e"))),
        ("connection", head(*usual, ("connection", "close"))),
        ("te", head(*usual, ("te", "gzip"))),
        ("a late :authority", head(*usual, (":authority", "localhost"))),
        ("an unknown :thing", head((":thing", "x"), *usual)),
        ("an answer's :status", head((":status", "200"), *usual)),
    ]
    with serving(folder) as (server, undisturbed), H2(server) as client:
        for what, block in cases:
            stream = client.open(block, end=True)
            client.finish(stream)
            check(stream.reset == h2.PROTOCOL_ERROR or
                  stream.headers.get(":status") == "400", f"{what}: {stream}")
            usable(client, what)
        stream = client.open(client.head(PUT, more=[("content-length", "9")]))
        client.say(stream, framed(A_PUT), True)
        client.finish(stream)
        equal(stream.reset, h2.PROTOCOL_ERROR, "a wrong content-length")
        stream = client.open(client.head(PUT))
        client.send(h2.HEADERS, h2.END_HEADERS, stream.number,
                    h2.pack_head([("late", "1")]))
        client.finish(stream)
        equal(stream.reset, h2.PROTOCOL_ERROR, "trailers that end nothing")
        stream = client.open(client.head(PUT, more=[("x", "y")] * 120))
        client.say(stream, b"", True)
        client.finish(stream)
        equal(stream.headers.get(":status"), "431", "120 headers")
        usable(client, "bad streams")
        equal(client.value("/bad"), None, "what was refused")
        undisturbed("bad streams")


def bad_connections(folder):
    """These can't go on; they hear why."""
    head = H2.head(PUT)
    cases = [
        ("DATA for stream 0", h2.PROTOCOL_ERROR,
         [(h2.DATA, 0, 0, b"x")]),
        ("DATA for a stream that isn't open", h2.PROTOCOL_ERROR,
         [(h2.DATA, 0, 7, b"x")]),
        ("an even stream", h2.PROTOCOL_ERROR,
         [(h2.HEADERS, h2.END_HEADERS, 2, head)]),
        ("a frame that is too long", h2.FRAME_SIZE_ERROR,
         [(h2.DATA, 0, 1, bytes(16385))]),
        ("a PING of 7 bytes", h2.FRAME_SIZE_ERROR,
         [(h2.PING, 0, 0, bytes(7))]),
        ("SETTINGS of 5 bytes", h2.FRAME_SIZE_ERROR,
         [(h2.SETTINGS, 0, 0, bytes(5))]),
        ("a window of 2^31", h2.FLOW_CONTROL_ERROR,
         [(h2.SETTINGS, 0, 0, struct.pack(">HI", 4, 1 << 31))]),
        ("windows opened too far", h2.FLOW_CONTROL_ERROR,
         [(h2.WINDOW_UPDATE, 0, 0, struct.pack(">I", 0x7fffffff))] * 2),
        ("the window opened by 0", h2.PROTOCOL_ERROR,
         [(h2.WINDOW_UPDATE, 0, 0, bytes(4))]),
        ("a stream's window opened by 0", h2.PROTOCOL_ERROR,
         [(h2.HEADERS, 4, 1, head), (h2.WINDOW_UPDATE, 0, 1, bytes(4))]),
        ("PUSH_PROMISE", h2.PROTOCOL_ERROR,
         [(h2.HEADERS, 4, 1, head), (h2.PUSH_PROMISE, 4, 1, bytes(4))]),
        ("CONTINUATION of nothing", h2.PROTOCOL_ERROR,
         [(h2.CONTINUATION, 4, 1, head)]),
        ("a head that PING interrupts", h2.PROTOCOL_ERROR,
         [(h2.HEADERS, 0, 1, head), (h2.PING, 0, 0, bytes(8))]),
        ("a head that can't be unpacked", h2.COMPRESSION_ERROR,
         [(h2.HEADERS, 4, 1, b"\xff\xff\xff\xff\xff\xff")]),
        ("an entry that isn't there", h2.COMPRESSION_ERROR,
         [(h2.HEADERS, 4, 1, b"\xfe")]),
        ("more padding than frame", h2.PROTOCOL_ERROR,
         [(h2.HEADERS, h2.PADDED | 4, 1, b"\x09abc")]),
    ]
    with serving(folder) as (server, undisturbed):
        for what, code, frames in cases:
            with H2(server) as client:
                for frame in frames:
                    client.send(*frame)
                client.pump(lambda: client.goaway, 5, what)  # noqa: B023
                equal(client.goaway[1], code, f"{what}: {client.goaway}")
                client.pump(lambda: False, 5, "closed after " + what)
            undisturbed(what)


def over_the_window(folder):
    """More body than was asked for."""
    with serving(folder) as (server, undisturbed), H2(server) as client:
        client.listen(0.1)
        stream = client.open(client.head(PUT))
        # A message that fills all, in one call whose window isn't opened in
        # time for the rest, however fast the server is: it is not read.
        many = [client.open(client.head(WATCH)) for _ in range(3)]
        for one in many:
            one.window = 1 << 30
        client.window = 1 << 30
        with contextlib.suppress(Failure):
            for _ in range(2000):
                for one in many:
                    client.send(h2.DATA, 0, one.number, bytes(16384))
                if client.closed:
                    break
        # Five zeros are an empty message, of which a watch takes as many as
        # come; so what was taken was taken by its rules.
        client.listen(0.5)
        check(client.goaway is None or
              client.goaway[1] in (h2.FLOW_CONTROL_ERROR, h2.NO_ERROR),
              f"{client.goaway}")
        equal(stream.code(), None, "a call beside them")
        undisturbed("a flood of body")


def noise(folder):
    rng = random.Random(11)
    frames = [(h2.HEADERS, 5, 1, H2.head(RANGE)),
              (h2.DATA, 0, 1, framed(A_PUT)), (h2.PING, 0, 0, bytes(8)),
              (h2.WINDOW_UPDATE, 0, 1, b"\0\0\0\1"),
              (h2.SETTINGS, 0, 0, struct.pack(">HI", 3, 9)),
              (h2.PRIORITY, 0, 3, bytes(5)), (h2.GOAWAY, 0, 0, bytes(8))]
    with serving(folder) as (server, undisturbed):
        for _ in range(300):
            data = bytearray()
            for kind, flags, number, payload in rng.choices(frames, k=5):
                data += H2.pack(kind, flags, number, payload)
            for _ in range(rng.randrange(1, 4)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            with H2(server, begin=False) as client:
                client.write(h2.PREFACE + H2.pack(h2.SETTINGS, 0, 0) + data)
                if rng.random() < 0.1:
                    client.listen(0.02)
        undisturbed("noise in frames")
        for _ in range(100):
            with H2(server, begin=False) as client:
                client.write(h2.PREFACE + rng.randbytes(
                    rng.randrange(1, 300)))
        undisturbed("noise behind a preface")


# ---- floods -----------------------------------------------------------------

def flood(server, undisturbed, what, frames, words, prepare=None):
    """Sends until it is stopped: it must be, calmly, and soon."""
    with H2(server) as client:
        if prepare:
            prepare(client)
        before = server.resident_bytes()
        began = time.monotonic()
        number = 0
        while not client.closed and not client.goaway:
            client.write(b"".join(frames(number + i) for i in range(200)))
            number += 200
            if number > 100000 or time.monotonic() - began > 15:
                raise Failure(f"{what}: {number} of them are too few")
            client.listen(0.001)
        client.listen(0.1)
        # What was on its way when it closed may have reset it before we read.
        if client.goaway is not None:
            equal(client.goaway[1], h2.ENHANCE_YOUR_CALM,
                  f"{what}: {client.goaway}")
            check(words in client.goaway[2], f"{what}: {client.goaway}")
        grown = (server.resident_bytes() - before) >> 20
        check(grown < 30 or is_sanitized(), f"{what}: {grown} MiB more")
    undisturbed(what)
    return client.goaway is not None


def floods(folder):
    pack = H2.pack
    head = H2.head(RANGE)
    put_head = H2.head(PUT)
    cancel = struct.pack(">I", h2.CANCEL)

    def opens_a_call(client):
        client.open(client.head(PUT))

    def reset(i):
        return pack(h2.HEADERS, h2.END_HEADERS, 2 * i + 1, head) + \
            pack(h2.RST_STREAM, 0, 2 * i + 1, cancel)

    def made_to_reset(i):
        return pack(h2.HEADERS, h2.END_HEADERS, 2 * i + 1, put_head) + \
            pack(h2.HEADERS, h2.END_HEADERS, 2 * i + 1, b"")

    def malformed(i):
        return pack(h2.HEADERS, 5, 2 * i + 1, h2.pack_head([(":a", "b")]))

    def asks(i):
        return pack(h2.PING, 0, 0, struct.pack(">Q", i))

    def pongs(i):
        return pack(h2.PING, h2.ACK, 0, struct.pack(">Q", i))

    def settings(i):
        return pack(h2.SETTINGS, 0, 0, struct.pack(">HI", 3, 100 + i % 7))

    def empty_settings(_):
        return pack(h2.SETTINGS, 0, 0)

    def continuations(i):
        if i == 0:
            return pack(h2.HEADERS, 0, 1, head)
        return pack(h2.CONTINUATION, 0, 1)

    def long_head(i):
        if i == 0:
            return pack(h2.HEADERS, 0, 1, head)
        return pack(h2.CONTINUATION, 0, 1,
                    h2.pack_head([(f"x{i}", "y" * 1000)]))

    def empty_data(_):
        return pack(h2.DATA, 0, 1)

    def padded_data(_):
        return pack(h2.DATA, h2.PADDED, 1, b"\x01\0")

    def priorities(i):
        return pack(h2.PRIORITY, 0, 2 * i + 1, bytes(4) + b"\x07")

    def windows(_):
        return pack(h2.WINDOW_UPDATE, 0, 0, b"\0\0\0\1")

    cases = [
        ("rapid reset", reset, "too many resets", None),
        ("resets that it has to send", made_to_reset, "too many resets", None),
        ("heads that are none", malformed, "too many resets", None),
        ("PING", asks, "too_many_pings", None),
        ("PING beside a call", asks, "too_many_pings", opens_a_call),
        ("pongs", pongs, "too_many_pings", None),
        ("SETTINGS", settings, "too many settings", None),
        ("empty SETTINGS", empty_settings, "too many settings", None),
        ("empty CONTINUATION", continuations, "too many continuations", None),
        ("CONTINUATION", long_head, "too many continuations", None),
        ("empty DATA", empty_data, "too much empty data", opens_a_call),
        ("DATA of padding", padded_data, "too much empty data", opens_a_call),
        ("PRIORITY", priorities, "too many frames", None),
        ("WINDOW_UPDATE", windows, "too many frames", None),
    ]
    heard = 0
    with serving(folder) as (server, undisturbed):
        for what, frames, words, prepare in cases:
            heard += flood(server, undisturbed, what, frames, words, prepare)
    check(heard > len(cases) / 2, f"only {heard} heard why they were closed")


def busy_but_good(folder):
    """What looks like a flood, and is a client at work, goes through."""
    with serving(folder) as (server, undisturbed), H2(server) as client:
        for i in range(3000):
            client.put("/busy", str(i)).answer()
        # A watch opened and given up with each of many calls.
        for i in range(1000):
            stream = client.watch("/busy")
            client.send(h2.RST_STREAM, 0, stream.number,
                        struct.pack(">I", h2.CANCEL))
        # Pings between answers, as clients measure their lines.
        for i in range(300):
            client.send(h2.PING, 0, 0, struct.pack(">Q", i))
            client.put("/busy", str(i)).answer()
        equal(len(client.pongs), 300, "pings answered")
        equal(client.goaway, None, "a goodbye")
        undisturbed("a busy client")


def too_many_streams(folder):
    with serving(folder, "--max-concurrent-streams", "20") as \
            (server, undisturbed), H2(server) as client:
        client.listen(0.2)
        watches = [client.watch("/usable") for _ in range(19)]
        usable(client, "19 watches")
        for watch in watches:
            client.next_message(watch)
        # Who doesn't mind the limit that it was told and has acknowledged.
        for _ in range(5):
            client.open(client.head(WATCH))
        client.pump(lambda: client.goaway, 5)
        check(client.goaway[1] in (h2.PROTOCOL_ERROR, h2.REFUSED_STREAM),
              f"{client.goaway}")
        undisturbed("many streams")


# ---- clients that don't read ------------------------------------------------

KEYS, VALUE_BYTES = 200, 100000


def slow_ranges(folder):
    """A large answer waits where it is, not in memory."""
    with serving(folder) as (server, undisturbed), H2(server) as writer, \
            contextlib.ExitStack() as many:
        for i in range(KEYS):
            writer.put(f"/large/{i:03d}", f"{i:03d}" * (VALUE_BYTES // 3)
                       ).answer()
        everything = [(1, "/large/"), (2, "/large0")]
        writer.call(RANGE, *everything).answer()
        before = server.resident_bytes()
        lazy = []
        # Half of them don't open windows, half don't take what TCP brings.
        for i in range(20):
            client = many.enter_context(
                H2(server, reads=False, buffer=4096,
                   window=None if i % 2 else (1 << 31) - 1))
            if i % 2 == 0:
                client.open_window(0, 1 << 30)
            lazy.append((client, client.begin(RANGE, *everything)))
        time.sleep(1)
        grown = (server.resident_bytes() - before) >> 20
        check(grown < 64 or is_sanitized(),
              f"{grown} MiB more for 20 readers that don't read")
        undisturbed("ranges that nobody reads")
        for client, stream in lazy[:4]:
            client.reads = True
            client.open_window(0, 1 << 20)
            if client is lazy[1][0] or client is lazy[3][0]:
                client.open_window(stream.number, 1 << 20)
            answer = client.finish(stream).answer()
            equal(answer.number(4), KEYS, "keys for a late reader")
            for i, kv in enumerate(answer.each(2)):
                equal(kv.bytes(5)[:3], b"%03d" % i, f"value {i}")
                equal(len(kv.bytes(5)), VALUE_BYTES // 3 * 3, f"value {i}")
        undisturbed("late readers")


def slow_watches(folder):
    """Watches that nobody reads cost bounded memory, and miss nothing."""
    events = 400
    with serving(folder) as (server, undisturbed), H2(server) as writer, \
            contextlib.ExitStack() as many:
        clients = [many.enter_context(H2(server, reads=False, buffer=4096))
                   for _ in range(20)]
        watches = [client.watch("/w") for client in clients]
        before = server.resident_bytes()
        for i in range(events):
            writer.put("/w", f"{i:05d}" * 10000).answer()
        grown = (server.resident_bytes() - before) >> 20
        check(grown < 200 or is_sanitized(), f"{grown} MiB more")
        undisturbed("watches that nobody reads")
        for client, watch in list(zip(clients, watches))[:3]:
            client.reads = True
            client.open_window(0, 1 << 20)
            client.open_window(watch.number, 1 << 20)
            seen = 0
            while seen < events:
                for event in client.next_message(watch).each(11):
                    equal(event.one(2).bytes(5)[:5], b"%05d" % seen,
                          "the next event")
                    seen += 1
        undisturbed("late watchers")


def slow_and_fast_together(folder):
    """On one connection: a stream whose window is shut holds up no other."""
    with serving(folder) as (server, undisturbed), \
            H2(server, reads=False) as client:
        big = "v" * 60000
        client.put("/w", big).answer()
        client.open_window(0, 1 << 24)
        shut = [client.watch("/w") for _ in range(5)]
        for i in range(20):
            client.put("/w", big).answer()
        usable(client, "five shut windows")
        for stream in shut:
            client.open_window(stream.number, 1 << 24)
            seen = 0
            while seen < 20:
                seen += len(client.next_message(stream).each(11))
            equal(seen, 20, "events")
        undisturbed("shut windows")


# ---- other people's clients -------------------------------------------------

def tool(*words):
    try:
        done = subprocess.run(words, capture_output=True, timeout=20,
                              check=False, env={**os.environ,
                                                "ETCDCTL_API": "3"})
    except FileNotFoundError:
        raise Skip(f"no {words[0]}") from None
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def curl_by_prior_knowledge(folder):
    """curl's own HTTP/2, for pages and for a call."""
    with serving(folder) as (server, undisturbed):
        curl = ["curl", "-sS", "--http2-prior-knowledge", "--max-time", "10"]
        status, out, err = tool(*curl, server.url + "/version")
        check(status == 0 and "etcdserver" in out, f"{out} {err}")
        status, out, err = tool(*curl, "-XPUT", "-d", "value=curl",
                                server.url + "/v2/keys/curl")
        check(status == 0 and '"value":"curl"' in out, f"{out} {err}")
        status, out, err = tool(*curl, "-d", '{"key":"L2N1cmw="}',
                                server.url + "/v3/kv/range")
        check(status == 0 and '"kvs"' in out, f"{out} {err}")
        body, answer = (os.path.join(folder, name) for name in ("b", "a"))
        with open(body, "wb") as file:
            file.write(framed(message((1, "/curl"))))
        call = ["-H", "content-type: application/grpc", "-H", "te: trailers",
                "--data-binary", "@" + body, "-o", answer, "-D", "-"]
        status, out, err = tool(*curl, *call, server.url + RANGE)
        check(status == 0 and "grpc-status: 0" in out, f"{out} {err}")
        with open(answer, "rb") as file:
            found = h2.Fields(file.read()[5:])
        equal(found.each(2)[0].bytes(5), b"curl", "what v2 put")
        with open(body, "wb") as file:
            file.write(framed(b""))
        status, out, err = tool(*curl, *call, server.url + PUT)
        check("grpc-status: 3" in out, f"{out} {err}")
        undisturbed("curl")


def etcdctl_meets_errors(folder):
    """What Debian's client says of our refusals, and of nobody there."""
    with serving(folder) as (server, undisturbed):
        ctl = ["etcdctl", "--endpoints", server.url]
        equal(tool(*ctl, "put", "a", "b")[:2], (0, "OK\n"), "a put")
        for words, said in (
                (["get", "a", "--rev", "999"], "future revision"),
                (["put", "a", "b", "--lease=123"], "lease not found"),
                (["lease", "revoke", "123"], "lease not found"),
                (["compact", "9999"], "future revision"),
                (["member", "remove", "123"], "member not found"),
                (["move-leader", "123"], ""),
                (["put", "", "x"], "key is not provided"),
                (["user", "get", "nobody"], "user name not found"),
                (["auth", "enable"], "root user does not exist")):
            status, out, err = tool(*ctl, *words)
            check(status != 0 and said in err,
                  f"{words}: {status} {out} {err}")
            check("panic" not in err, err)
        status, out, err = tool("etcdctl", "--endpoints",
                                f"http://{HOST}:{free_port()}",
                                "--command-timeout", "1s", "get", "a")
        check(status != 0, "a get from nobody")
        undisturbed("etcdctl")


# ---- a stop -----------------------------------------------------------------

def stop_with_streams(folder):
    """Each stream is told, each connection hears GOAWAY, and it is quick."""
    with Server(folder) as server, contextlib.ExitStack() as many:
        clients = [many.enter_context(H2(server)) for _ in range(20)]
        for client in clients:
            client.open_streams = [
                client.watch("/w"),
                client.open(client.head(
                    "/etcdserverpb.Lease/LeaseKeepAlive")),
                client.open(client.head(PUT))]
            usable(client, "streams")
        took = server.stop()
        check(took < 1.5 or is_sanitized(), f"it took {took:.1f} s")
        for client in clients:
            client.pump(lambda: False, 5)
            check(client.goaway and client.goaway[1] == h2.NO_ERROR,
                  f"{client.goaway}")
            for stream in client.open_streams:
                # A call that was not complete may be made elsewhere.
                check(stream.code() == h2.UNAVAILABLE or
                      stream.reset in (h2.REFUSED_STREAM, h2.CANCEL),
                      f"{stream}")
        server.start()
        with H2(server) as client:
            equal(client.value("/usable"), b"streams", "afterwards")


def stop_under_calls(folder):
    """A put is acknowledged and there, or it is not acknowledged."""
    with Server(folder) as server:
        with H2(server) as client:
            client.listen(0.1)
            streams = [client.begin(PUT, (1, f"/n/{i}"), (2, "x" * 500))
                       for i in range(100)]
            server.stop()
            client.pump(lambda: False, 5)
        server.start()
        with H2(server) as client:
            acknowledged = 0
            for i, stream in enumerate(streams):
                if stream.code() == h2.OK:
                    acknowledged += 1
                    equal(client.value(f"/n/{i}"), b"x" * 500, f"put {i}")
        check(acknowledged > 0, "no put came through")


STORIES = [
    ("v3: heads that are wrong", bad_heads),
    ("v3: messages that are wrong", bad_messages),
    ("v3: compressed messages", compressed_messages),
    ("v3: txns that are wrong", bad_txns),
    ("v3: deadlines", deadlines),
    ("v3: calls cut anywhere", cancelled_calls),
    ("v3: requests that are none", bad_streams),
    ("v3: connections that can't go on", bad_connections),
    ("v3: more body than the window", over_the_window),
    ("v3: noise in frames", noise),
    ("v3: floods", floods),
    ("v3: a busy client is no flood", busy_but_good),
    ("v3: too many streams", too_many_streams),
    ("v3: ranges that nobody reads", slow_ranges),
    ("v3: watches that nobody reads", slow_watches),
    ("v3: shut windows beside open ones", slow_and_fast_together),
    ("v3: curl by prior knowledge", curl_by_prior_knowledge),
    ("v3: etcdctl meets errors", etcdctl_meets_errors),
    ("v3: a stop with open streams", stop_with_streams),
    ("v3: a stop under calls", stop_under_calls),
]
