"""A client of HTTP/2 and gRPC that may do what good ones don't: frames are
written as they are given. Header compression has no table of its own (we ask
for none), so an answer's head is static entries, literals and Huffman's code.
Messages are written and read field by field, without their definitions.
"""
import socket
import struct
import time

from world import HOST, Failure, check, equal

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = 0, 1, 2, 3, 4
PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 5, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS, PADDED = 1, 1, 4, 8

NO_ERROR, PROTOCOL_ERROR, FLOW_CONTROL_ERROR = 0, 1, 3
STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL = 5, 6, 7, 8
COMPRESSION_ERROR, ENHANCE_YOUR_CALM = 9, 11

WINDOW = 65535
FRAME_BYTES_MAX = 16384

OK, CANCELLED, UNKNOWN, INVALID_ARGUMENT, DEADLINE_EXCEEDED = 0, 1, 2, 3, 4
NOT_FOUND, RESOURCE_EXHAUSTED, FAILED_PRECONDITION = 5, 8, 9
OUT_OF_RANGE, UNIMPLEMENTED, INTERNAL, UNAVAILABLE = 11, 12, 13, 14


# ---- messages ---------------------------------------------------------------

def varint(number):
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number, value):
    """One field: an int, a bool, text, bytes, or a list of these."""
    if isinstance(value, list):
        return b"".join(field(number, one) for one in value)
    if isinstance(value, int):
        return varint(number << 3) + varint(int(value))
    if isinstance(value, str):
        value = value.encode()
    return varint(number << 3 | 2) + varint(len(value)) + value


def message(*fields):
    """message((1, "key"), (3, 5)): the fields in this order."""
    return b"".join(field(number, value) for number, value in fields)


def read_varint(data, at):
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return number, at


class Fields:
    """A message that was read: of each number, all its values in order."""

    def __init__(self, data):
        self.all = {}
        at = 0
        while at < len(data):
            tag, at = read_varint(data, at)
            if tag & 7 == 0:
                value, at = read_varint(data, at)
            else:
                equal(tag & 7, 2, "a field's type")
                size, at = read_varint(data, at)
                value, at = bytes(data[at:at + size]), at + size
                equal(len(value), size, "a field's size")
            self.all.setdefault(tag >> 3, []).append(value)

    def number(self, which):
        value = self.all.get(which, [0])[-1]
        return value - (1 << 64) if value >> 63 else value

    def bytes(self, which):
        return self.all.get(which, [b""])[-1]

    def one(self, which):
        return Fields(self.bytes(which))

    def each(self, which):
        return [Fields(data) for data in self.all.get(which, [])]


def framed(data, flag=0):
    """A message of gRPC: whether it is compressed, its size, itself."""
    return struct.pack(">BI", flag, len(data)) + data


# ---- header compression -----------------------------------------------------

STATIC = [line.partition("=")[::2] for line in """
:authority :method=GET :method=POST :path=/ :path=/index.html :scheme=http
:scheme=https :status=200 :status=204 :status=206 :status=304 :status=400
:status=404 :status=500 accept-charset accept-encoding accept-language
accept-ranges accept access-control-allow-origin age allow authorization
cache-control content-disposition content-encoding content-language
content-length content-location content-range content-type cookie date etag
expect expires from host if-match if-modified-since if-none-match if-range
if-unmodified-since last-modified link location max-forwards
proxy-authenticate proxy-authorization range referer refresh retry-after
server set-cookie strict-transport-security transfer-encoding user-agent vary
via www-authenticate""".split()]

# Huffman's code is canonical: from how many bits a character has its code
# follows. These are the ones that heads of ours may have.
BITS = {
    5: "012aceiost",
    6: " %-./3456789=A_bdfghlmnpru",
    7: ":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz",
    8: "&*,;XZ",
    10: "!\"()?",
    11: "'+|",
    12: "#>",
    13: "\0$@[]~",
    14: "^}",
    15: "<`{",
    19: "\\",
}


def make_codes():
    codes, code, size = {}, 0, 0
    for bits, characters in BITS.items():
        code <<= bits - size
        size = bits
        for character in characters:
            codes[bits, code] = character
            code += 1
    return codes


CODES = make_codes()


def unpack_huffman(data):
    out, code, size = [], 0, 0
    for byte in data:
        for shift in range(7, -1, -1):
            code, size = code << 1 | byte >> shift & 1, size + 1
            character = CODES.get((size, code))
            if character is not None:
                out.append(character)
                code = size = 0
    check(size < 8 and code == (1 << size) - 1, f"no Huffman code: {data!r}")
    return "".join(out)


def pack_number(first, bits, number):
    most = (1 << bits) - 1
    if number < most:
        return bytes([first | number])
    return bytes([first | most]) + varint(number - most)


def unpack_number(data, at, bits):
    most = (1 << bits) - 1
    number, at = data[at] & most, at + 1
    if number < most:
        return number, at
    more, at = read_varint(data, at)
    return number + more, at


def pack_text(text):
    if isinstance(text, str):
        text = text.encode("latin-1")
    return pack_number(0, 7, len(text)) + text


def pack_head(headers):
    """Literals, never indexed."""
    return b"".join(b"\x10" + pack_text(name) + pack_text(value)
                    for name, value in headers)


def unpack_text(data, at):
    huffman = data[at] & 128
    size, at = unpack_number(data, at, 7)
    text = data[at:at + size]
    return (unpack_huffman(text) if huffman else text.decode("latin-1"),
            at + size)


def unpack_head(data):
    headers, at = [], 0
    while at < len(data):
        byte = data[at]
        if byte & 0x80:
            index, at = unpack_number(data, at, 7)
            headers.append(tuple(STATIC[index - 1]))
        elif byte & 0xe0 == 0x20:
            size, at = unpack_number(data, at, 5)
            equal(size, 0, "the table that we did not ask for")
        else:
            index, at = unpack_number(data, at, 6 if byte & 0x40 else 4)
            if index:
                name = STATIC[index - 1][0]
            else:
                name, at = unpack_text(data, at)
            value, at = unpack_text(data, at)
            headers.append((name, value))
    return headers


# ---- a connection -----------------------------------------------------------

class Stream:
    def __init__(self, number):
        self.number = number
        self.headers = {}  # trailers too
        self.data = bytearray()
        self.ended = False
        self.reset = None  # its code
        self.window = WINDOW
        self.read = 0      # bytes that `messages` has given

    def is_over(self):
        return self.ended or self.reset is not None

    def code(self):
        """gRPC's; None: it has not ended, or without one."""
        text = self.headers.get("grpc-status")
        return None if text is None else int(text)

    def text(self):
        return self.headers.get("grpc-message", "")

    def messages(self):
        """Those that are whole and were not given yet."""
        found = []
        while len(self.data) >= self.read + 5:
            size = struct.unpack_from(">I", self.data, self.read + 1)[0]
            if len(self.data) < self.read + 5 + size:
                break
            at = self.read + 5
            found.append(bytes(self.data[at:at + size]))
            self.read = at + size
        return found

    def answer(self):
        """A unary call's, as Fields."""
        equal((self.code(), self.text(), self.reset), (OK, "", None),
              "the call")
        found = self.messages()
        equal(len(found), 1, "messages of an answer")
        return Fields(found[0])

    def __repr__(self):
        return (f"{self.headers} reset: {self.reset} "
                f"{len(self.data)} bytes")


class H2:
    """`reads`: what comes is acknowledged, so that more may come."""

    def __init__(self, server, reads=True, buffer=None, timeout=20,
                 window=None, begin=True):
        port = server if isinstance(server, int) else server.client_port
        self.sock = socket.socket()
        self.sock.settimeout(timeout)
        self.timeout = timeout
        if buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.connect((HOST, port))
        self.reads = reads
        self.got = bytearray()
        self.streams = {}
        self.next = 1
        self.window = WINDOW
        self.stream_window = WINDOW
        self.goaway = None  # (last stream, code, words)
        self.closed = False
        self.pongs = []
        if begin:
            settings = struct.pack(">HI", 1, 0)
            if window is not None:
                settings += struct.pack(">HI", 4, window)
            self.sock.sendall(PREFACE + self.pack(SETTINGS, 0, 0, settings))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    # ---- what goes ----

    @staticmethod
    def pack(kind, flags, stream, payload=b""):
        return struct.pack(">I", len(payload))[1:] + \
            struct.pack(">BBI", kind, flags, stream) + payload

    def send(self, *frame):
        self.write(self.pack(*frame))

    def write(self, data):
        """A peer that has had enough may be gone already."""
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            self.closed = True

    @staticmethod
    def head(path, method="POST", kind="application/grpc", more=()):
        headers = [(":method", method), (":scheme", "http"), (":path", path),
                   (":authority", "localhost")]
        if kind is not None:
            headers.append(("content-type", kind))
        return pack_head(headers + [("te", "trailers")] + list(more))

    def open(self, head, end=False):
        """A stream with this head, in one frame."""
        stream = Stream(self.next)
        stream.window = self.stream_window
        self.next += 2
        self.streams[stream.number] = stream
        self.send(HEADERS, END_HEADERS | (END_STREAM if end else 0),
                  stream.number, head)
        return stream

    def say(self, stream, data, end=False):
        """Body, as far and as soon as the windows allow."""
        data = memoryview(data)
        while True:
            size = min(len(data), FRAME_BYTES_MAX, self.window, stream.window)
            if size or not data:
                self.window -= size
                stream.window -= size
                self.send(DATA, END_STREAM if end and size == len(data) else 0,
                          stream.number, bytes(data[:size]))
                data = data[size:]
                if not data:
                    return
            elif stream.is_over() or self.closed:
                return
            else:
                self.pump(lambda: stream.is_over() or (
                    self.window > 0 and stream.window > 0))

    def tell(self, stream, data, end=False):
        """One message."""
        self.say(stream, framed(data), end)

    # ---- what comes ----

    def pump(self, holds, seconds=None, what="it"):
        """Takes frames until `holds`, or until the connection is closed."""
        end = time.monotonic() + (seconds or self.timeout)
        while not holds() and not self.closed:
            left = end - time.monotonic()
            if left <= 0:
                raise Failure(f"after {seconds or self.timeout} s still not: "
                              f"{what}")
            self.sock.settimeout(left)
            try:
                data = self.sock.recv(1 << 18)
            except socket.timeout:
                continue
            except ConnectionResetError:
                data = b""
            finally:
                self.sock.settimeout(self.timeout)
            if data:
                self.got += data
                self.take()
            else:
                self.closed = True

    def listen(self, seconds):
        """Takes all that comes in this time."""
        end = time.monotonic() + seconds
        try:
            self.pump(lambda: time.monotonic() > end, seconds)
        except Failure:
            pass

    def take(self):
        at = 0
        while len(self.got) >= at + 9:
            size = int.from_bytes(self.got[at:at + 3], "big")
            if len(self.got) < at + 9 + size:
                break
            kind, flags, number = struct.unpack_from(">BBI", self.got, at + 3)
            self.hear(kind, flags, number,
                      bytes(self.got[at + 9:at + 9 + size]))
            at += 9 + size
        del self.got[:at]

    def hear(self, kind, flags, number, payload):
        stream = self.streams.get(number)
        if kind == SETTINGS and not flags & ACK:
            self.hear_settings(payload)
        elif kind == PING and flags & ACK:
            self.pongs.append(payload)
        elif kind == PING:
            self.send(PING, ACK, 0, payload)
        elif kind == GOAWAY:
            last, code = struct.unpack_from(">II", payload)
            self.goaway = (last, code, payload[8:].decode())
        elif kind == WINDOW_UPDATE:
            self.hear_window(stream, number, struct.unpack(">I", payload)[0])
        elif stream is None:
            return  # of a stream that was opened by hand
        elif kind == RST_STREAM:
            stream.reset = struct.unpack(">I", payload)[0]
        elif kind == HEADERS:
            check(flags & END_HEADERS, "a head in pieces")
            stream.headers.update(unpack_head(payload))
            stream.ended |= bool(flags & END_STREAM)
        elif kind == DATA:
            self.hear_data(stream, flags, payload)

    def hear_settings(self, payload):
        for at in range(0, len(payload), 6):
            which, value = struct.unpack_from(">HI", payload, at)
            if which == 4:
                for stream in self.streams.values():
                    stream.window += value - self.stream_window
                self.stream_window = value
        self.send(SETTINGS, ACK, 0)

    def hear_window(self, stream, number, more):
        if number == 0:
            self.window += more
        elif stream is not None:
            stream.window += more

    def hear_data(self, stream, flags, payload):
        stream.data += payload
        stream.ended |= bool(flags & END_STREAM)
        if payload and self.reads:
            self.open_window(0, len(payload))
            if not stream.ended:
                self.open_window(stream.number, len(payload))

    def open_window(self, number, more):
        self.send(WINDOW_UPDATE, 0, number, struct.pack(">I", more))

    # ---- calls ----

    def begin(self, path, *fields, more=(), end=True):
        """A call with one message, which may be the only one."""
        stream = self.open(self.head(path, more=more))
        self.tell(stream, message(*fields), end)
        return stream

    def finish(self, stream, seconds=None):
        self.pump(stream.is_over, seconds, "the call's end")
        check(stream.is_over(), f"the connection ended: {self.goaway}")
        return stream

    def call(self, path, *fields, more=(), seconds=None):
        return self.finish(self.begin(path, *fields, more=more), seconds)

    def next_message(self, stream, seconds=None):
        """The next one of a stream of answers."""
        found = []

        def one_came():
            size = len(stream.data) - stream.read
            whole = size >= 5 and size >= 5 + struct.unpack_from(
                ">I", stream.data, stream.read + 1)[0]
            return whole or stream.is_over()
        self.pump(one_came, seconds, "the next message")
        at = stream.read
        if len(stream.data) >= at + 5:
            size = struct.unpack_from(">I", stream.data, at + 1)[0]
            found = bytes(stream.data[at + 5:at + 5 + size])
            # What was read isn't kept: a stream may be long.
            del stream.data[:at + 5 + size]
            stream.read = 0
            return Fields(found)
        raise Failure(f"the stream ended: {stream}, {self.goaway}")

    def put(self, key, value, lease=0, **more):
        return self.call("/etcdserverpb.KV/Put", (1, key), (2, value),
                         (3, lease), **more)

    def range(self, key, end=b"", **more):
        return self.call("/etcdserverpb.KV/Range", (1, key), (2, end), **more)

    def value(self, key, serializable=False):
        """A key's value, or None."""
        answer = self.call("/etcdserverpb.KV/Range", (1, key),
                           (7, serializable)).answer()
        found = answer.each(2)
        return found[0].bytes(5) if found else None

    def txn(self, compares, success, failure=()):
        return self.call("/etcdserverpb.KV/Txn", (1, list(compares)),
                         (2, list(success)), (3, list(failure)))

    def watch(self, key, revision=0, end=b"", **more):
        """A stream with one watch, created."""
        create = message((1, key), (2, end), (3, revision))
        stream = self.begin("/etcdserverpb.Watch/Watch", (1, create),
                            end=False, **more)
        equal(self.next_message(stream).number(3), 1, "created")
        return stream

    def grant(self, ttl, lease=0):
        return self.call("/etcdserverpb.Lease/LeaseGrant", (1, ttl),
                         (2, lease)).answer().number(2)

    def left(self, lease):
        """Seconds that a lease has yet; -1: it is gone."""
        return self.call("/etcdserverpb.Lease/LeaseTimeToLive",
                         (1, lease)).answer().number(3)


def put_op(key, value):
    return message((2, message((1, key), (2, value))))


def is_value(key, value):
    """A comparison for a txn: equal, VALUE."""
    return message((1, 0), (2, 3), (3, key), (7, value))


def is_missing(key):
    """Equal, VERSION, 0."""
    return message((1, 0), (2, 0), (3, key), (4, 0))
