"""Stories of many: connections, file descriptors, readers that don't read."""
import contextlib
import multiprocessing
import resource
import selectors
import socket
import time

from world import (HOST, Server, check, dial, equal, is_sanitized,
                   raise_file_limit, read_answer, wait_for)

MANY_CONNECTIONS = 5000
MANY_KEYS = 100000


def ask_on(sock, path="/v2/keys/here"):
    """A request on a connection that stays open."""
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return read_answer(sock.makefile("rb"))


def many_idle_connections(folder):
    raise_file_limit(MANY_CONNECTIONS + 200)
    with Server(folder, "--max-connections", "6000") as server, \
            contextlib.ExitStack() as open_socks:
        server.put("/here", "still")
        before = server.resident_bytes()
        socks = [open_socks.enter_context(dial(server))
                 for _ in range(MANY_CONNECTIONS)]
        for sock in socks[::2]:
            sock.sendall(b"GET /v2/keys/here HTTP/1.1\r\n"
                         b"Host: localhost\r\n\r\n")
        for sock in socks[::2]:
            equal(read_answer(sock.makefile("rb")).status, 200, "one of them")
        grown = (server.resident_bytes() - before) // MANY_CONNECTIONS
        if not is_sanitized():
            check(grown < 16384, f"{grown} bytes an idle connection")
        began = time.monotonic()
        equal(server.put("/new", "1").status, 201, "a put beside them")
        check(time.monotonic() - began < 1, "it was slow beside them")
        check(server.stop() < 5, "the stop")


def one_connection_too_many(folder):
    # The recipes' own connection would be one of them.
    with Server(folder, "--max-connections", "50",
                "--recipes=false") as server:
        server.put("/here", "still")
        socks = [dial_served(server) for _ in range(50)]
        for _ in range(20):
            with dial(server) as sock:
                # As clients do: the request is sent at once.
                with contextlib.suppress(OSError):
                    sock.sendall(b"GET /version HTTP/1.1\r\n"
                                 b"Host: localhost\r\n\r\n")
                file = sock.makefile("rb")
                answer = read_answer(file)
                equal(answer.status, 503, "the 51st")
                check("too many connections" in answer.json()["message"],
                      f"{answer}")
        for sock in socks:
            equal(ask_on(sock).status, 200, "one of the 50, afterwards")
        for sock in socks[:5]:
            sock.close()
        wait_for(lambda: takes(server), "a new one is taken")
        for sock in socks[5:]:
            equal(ask_on(sock).status, 200, "one of the 45")
            sock.close()


def dial_served(server):
    """A connection that was answered. One that we closed a moment ago may
    still be counted."""
    def attempt():
        sock = dial(server)
        if ask_on(sock).status == 200:
            return sock
        sock.close()
        return None
    return wait_for(attempt, "a connection is served")


def takes(server):
    with contextlib.suppress(OSError):
        return server.get("/version").status == 200
    return False


def limit_files(count):
    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))
    return limit


def no_file_descriptor_left(folder):
    """Connections don't take the descriptors that the log needs."""
    with Server(folder, preexec_fn=limit_files(80)) as server:
        server.put("/here", "still")
        check("fewer connections" in server.log_text(), "no warning")
        first = dial(server)
        equal(ask_on(first).status, 200, "the first")
        socks = []
        refused = 0
        for _ in range(150):
            sock = dial(server)
            sock.settimeout(5)
            socks.append(sock)
            with contextlib.suppress(ConnectionError):
                answer = ask_on(sock)
                refused += answer is None or answer.status == 503
        check(refused > 50, f"only {refused} of 150 were refused")
        # The one that was there goes on, and its writes reach the disk: more
        # than a segment of the log holds.
        connection = server.connect()
        connection.sock = first
        for i in range(75):
            answer = server.put(f"/large/{i % 8}", "v" * 1000000, connection)
            check(answer.status in (200, 201), f"put {i}: {answer.status}")
        for sock in socks:
            sock.close()
        wait_for(lambda: takes(server), "new connections are taken")
        first.close()
        server.stop()
        server.start()
        equal(len(server.get("/v2/keys/large/7").value()), 1000000, "a key")


def too_few_file_descriptors(folder):
    server = Server(folder, preexec_fn=limit_files(20), start=False)
    status, text = server.start_in_vain()
    equal(status, 1, "exit status")
    check("ulimit -n" in text or "open files" in text, text)


# ---- a large directory ------------------------------------------------------

def fill_quickly(server, count):
    """Puts /many/0... over 64 pipelined connections."""
    selector = selectors.DefaultSelector()
    ways = 64
    for way in range(ways):
        data = b"".join(
            b"PUT /v2/keys/many/%06d HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/x-www-form-urlencoded\r\n"
            b"Content-Length: 11\r\n\r\nvalue=%05x" % (i, i)
            for i in range(way, count, ways))
        sock = dial(server)
        sock.setblocking(False)
        selector.register(sock, selectors.EVENT_READ | selectors.EVENT_WRITE,
                          [memoryview(data), 0, len(range(way, count, ways))])
    while selector.get_map():
        for key, events in selector.select(10):
            turn(selector, key, events)


def turn(selector, key, events):
    left, done, wanted = key.data
    if events & selectors.EVENT_WRITE and left:
        with contextlib.suppress(BlockingIOError):
            key.data[0] = left[key.fileobj.send(left[:65536]):]
        if not key.data[0]:
            selector.modify(key.fileobj, selectors.EVENT_READ, key.data)
    if events & selectors.EVENT_READ:
        with contextlib.suppress(BlockingIOError):
            got = key.fileobj.recv(1 << 18)
            check(got, "a connection was closed")
            key.data[1] = done + got.count(b'"action":"set"')
        if key.data[1] >= wanted:
            selector.unregister(key.fileobj)
            key.fileobj.close()


def put_beside(server, pipe):
    """In a process of its own, so that only the server can slow it down: puts
    one after the other until told; says how many, the slowest, an error."""
    count, slowest, wrong = 0, 0.0, None
    connection = server.connect()
    try:
        while not pipe.poll() and not wrong:
            began = time.monotonic()
            answer = server.put("/beside", str(count), connection)
            if answer.status not in (200, 201):
                wrong = repr(answer)
            slowest = max(slowest, time.monotonic() - began)
            count += 1
    except OSError as error:
        wrong = repr(error)
    pipe.send((count, slowest, wrong))


@contextlib.contextmanager
def puts_beside(server):
    """Gives a list in which, at the end, is what put_beside says."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(
        target=put_beside, args=(server, theirs), daemon=True)
    said = []
    process.start()
    try:
        yield said
        ours.send("stop")
        check(ours.poll(20), "the puts beside don't end")
        said.extend(ours.recv())
    finally:
        process.kill()
        process.join()


def large_listings(folder):
    keys = MANY_KEYS // 10 if is_sanitized() else MANY_KEYS
    with Server(folder) as server:
        fill_quickly(server, keys)
        with puts_beside(server) as said:
            for path in ("/many", "/many?sorted=true", "/?recursive=true"):
                look_at_listing(server, path, keys)
            before = server.resident_bytes()
            with contextlib.ExitStack() as open_socks:
                lazy = [open_socks.enter_context(lazy_reader(server))
                        for _ in range(50)]
                time.sleep(1)
                grown = (server.resident_bytes() - before) >> 20
                check(grown < 80 or is_sanitized(),
                      f"{grown} MiB more for 50 readers that don't read")
                finish(lazy[0], keys)
        count, slowest, wrong = said
        check(wrong is None, f"a put beside: {wrong}")
        check(count > 20, f"only {count} puts beside")
        check(slowest < 2 or is_sanitized(), f"a put took {slowest:.1f} s")


def look_at_listing(server, path, keys):
    nodes = server.get("/v2/keys" + path).json()["node"]["nodes"]
    if path == "/?recursive=true":
        nodes = [n for n in nodes if n["key"] == "/many"][0]["nodes"]
    equal(len(nodes), keys, f"keys in {path}")
    names = [node["key"] for node in nodes]
    equal(names[:2] + names[-1:],
          ["/many/000000", "/many/000001", f"/many/{keys - 1:06d}"],
          "their names")


def lazy_reader(server):
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(20)
    sock.connect((HOST, server.client_port))
    sock.sendall(b"GET /v2/keys/many HTTP/1.1\r\nHost: localhost\r\n"
                 b"Connection: close\r\n\r\n")
    return sock


def finish(sock, keys):
    """One that reads after all gets everything, whole."""
    answer = read_answer(sock.makefile("rb"))
    equal(len(answer.json()["node"]["nodes"]), keys, "keys for a late reader")


def slow_watchers(folder):
    """Streams that nobody reads cost bounded memory, and miss nothing."""
    with Server(folder) as server:
        server.put("/w", "0")
        socks = []
        for _ in range(20):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.settimeout(20)
            sock.connect((HOST, server.client_port))
            sock.sendall(b"GET /v2/keys/w?wait=true&stream=true&waitIndex=1 "
                         b"HTTP/1.1\r\nHost: localhost\r\n\r\n")
            socks.append(sock)
        connection = server.connect()
        before = server.resident_bytes()
        for i in range(400):
            server.put("/w", "x" * 50000, connection)
        grown = (server.resident_bytes() - before) >> 20
        check(grown < 200 or is_sanitized(), f"{grown} MiB more")
        file = socks[0].makefile("rb")
        while file.readline() not in (b"\r\n", b""):
            pass
        seen = 0  # an index in each event, and one in each prevNode
        while seen < 801:
            size = int(file.readline(), 16)
            check(size > 0, "the stream ended")
            seen += file.read(size + 2).count(b'"modifiedIndex"')
        for sock in socks:
            sock.close()


STORIES = [
    ("crowd: 5,000 idle connections", many_idle_connections),
    ("crowd: one connection too many", one_connection_too_many),
    ("crowd: no file descriptor left", no_file_descriptor_left),
    ("crowd: too few file descriptors to start", too_few_file_descriptors),
    ("crowd: listings of a large directory", large_listings),
    ("crowd: watchers that don't read", slow_watchers),
]
