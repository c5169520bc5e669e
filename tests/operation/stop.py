"""Stories of stopping: quickly, properly, with nothing lost."""
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import threading
import time

from world import (FORM, Failure, Server, check, dial, equal, read_answer,
                   read_chunks, wait_for)


def open_watch(server, query):
    """A socket whose watch has begun, and its file after the head."""
    sock = dial(server)
    sock.sendall(f"GET /v2/keys/a?{query} HTTP/1.1\r\nHost: localhost\r\n\r\n"
                 .encode())
    file = sock.makefile("rb")
    line = file.readline()
    check(line.startswith(b"HTTP/1.1 200 "), f"a watch: {line!r}")
    while line not in (b"\r\n", b""):
        line = file.readline()
    return sock, file


def watches_end_properly(folder):
    with Server(folder) as server:
        server.put("/a", "1")
        polls = [open_watch(server, "wait=true") for _ in range(20)]
        streams = [open_watch(server, "wait=true&stream=true")
                   for _ in range(20)]
        equal(server.put("/b", "2").status, 201, "a put beside them")
        ended = []
        stopping = threading.Thread(
            target=lambda: ended.append(server.stop()))
        stopping.start()
        for sock, file in polls + streams:
            with sock:
                equal(read_chunks(file), b"", "what a watch got")
                equal(file.read(), b"", "what came after its end")
        stopping.join()
        check(ended, "the stop failed")
        check("ERROR" not in server.log_text(), server.log_text())


def streams_keep_their_events(folder):
    """What was committed before the stop reaches the watchers."""
    with Server(folder) as server:
        server.put("/a", "0")
        sock, file = open_watch(server, "wait=true&stream=true")
        connection = server.connect()
        for i in range(200):
            equal(server.put("/a", str(i), connection).status, 200, "a put")
        server.stop()
        with sock:
            text = read_chunks(file).decode()
        events = [json.loads(line) for line in text.splitlines()]
        equal([event["node"]["value"] for event in events],
              [str(i) for i in range(200)], "the events")


class Writer(threading.Thread):
    """Puts keys of its own until the server is gone."""

    def __init__(self, server, number):
        super().__init__()
        self.server = server
        self.number = number
        self.acknowledged = 0
        self.odd = None

    def run(self):
        connection = self.server.connect(timeout=10)
        try:
            while True:
                answer = self.server.put(
                    f"/w{self.number}/{self.acknowledged}",
                    f"value {self.acknowledged}", connection)
                if answer.status != 201:
                    # Told that it was not done: as it should be.
                    self.odd = None if answer.status == 503 else answer
                    return
                self.acknowledged += 1
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()


def nothing_acknowledged_is_lost(folder):
    with Server(folder) as server:
        counts = {}
        for number, how in enumerate((signal.SIGTERM, signal.SIGINT)):
            writers = [Writer(server, f"{number}-{i}") for i in range(6)]
            for writer in writers:
                writer.start()
            wait_for(lambda: all(w.acknowledged > 20 for w in writers),
                     "some writes", 20)
            server.stop(how)
            for writer in writers:
                writer.join()
                check(writer.odd is None, f"an answer: {writer.odd}")
                counts[writer.number] = writer.acknowledged
            server.start()
            for name, count in counts.items():
                server.check_filled(f"/w{name}", count)


def stops_with_all_threads_at_work(folder):
    """Several I/O threads with writers and watchers each, keys that expire:
    whatever thread ends first, the others may still have something for it."""
    for number in range(3):
        with Server(folder, "--io-threads", "4", name=f"s{number}") as server:
            server.put("/a", "1")
            watches = [open_watch(server,
                                  "recursive=true&wait=true&stream=true")
                       for _ in range(8)]
            connection = server.connect()
            for i in range(50):
                server.put(f"/a/short/{i}" if i % 2 else f"/ttl/{i}", "x",
                           connection, ttl="1")
            writers = [Writer(server, i) for i in range(8)]
            for writer in writers:
                writer.start()
            # Keys expire while it stops.
            time.sleep(0.8 + number * 0.1)
            server.stop()
            for writer in writers:
                writer.join()
                check(writer.odd is None, f"an answer: {writer.odd}")
            for sock, _ in watches:
                sock.close()


def the_log_is_taken_away(folder):
    """A member that can't write its log stops by itself and says why."""
    with Server(folder) as server:
        server.fill("/a", 10)
        shutil.rmtree(os.path.join(server.data, "wal"))
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = server.connect()
            # More than what is allocated.
            for i in range(300):
                if server.put(f"/big/{i % 5}", "x" * 1000000,
                              connection).status >= 500:
                    break
        status = server.process.wait(20)
        equal(status, 1, "exit status")
        last = server.log_text().splitlines()[-1]
        check("can't go on" in last and "wal" in last, last)
        status, text = server.start_in_vain()
        equal(status, 1, "exit status without the log")
        check("log is missing" in text, text)


def idle_connections_do_not_delay(folder):
    with Server(folder) as server:
        server.put("/a", "1")
        idle = []
        for _ in range(200):
            connection = server.connect()
            server.get("/v2/keys/a", connection=connection)
            idle.append(connection)
        fresh = [dial(server) for _ in range(50)]
        server.get("/version")
        took = server.stop()
        check(took < 2, f"the stop took {took:.1f} s")
        for sock in fresh:
            with sock:
                check(sock.recv(100) in (b"",), "a fresh connection's end")
        for connection in idle:
            connection.close()


def unfinished_requests_do_not_delay(folder):
    with Server(folder) as server:
        server.put("/a", "1")
        half_head = dial(server)
        half_head.sendall(b"GET /v2/keys/a HT")
        half_body = dial(server)
        half_body.sendall(b"PUT /v2/keys/half HTTP/1.1\r\nHost: localhost\r\n"
                          b"Content-Type: " + FORM.encode() +
                          b"\r\nContent-Length: 100\r\n\r\nvalue=x")
        server.get("/version")
        server.stop()
        with half_head, half_body:
            for sock in (half_head, half_body):
                sock.settimeout(5)
                try:
                    while sock.recv(4096):
                        pass
                except ConnectionError:
                    pass
        server.start()
        equal(server.get("/v2/keys/half").status, 404, "half a put")


def slow_reader_does_not_delay(folder):
    with Server(folder) as server:
        for i in range(40):
            server.put(f"/big/{i}", "x" * 500000)
        sock = dial(server)
        sock.sendall(b"GET /v2/keys/big HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(0.3)
        with sock:
            server.stop()


def a_second_signal_ends_at_once(folder):
    with Server(folder) as server:
        for i in range(20):
            server.put(f"/big/{i}", "x" * 500000)
        sock = dial(server)
        sock.sendall(b"GET /v2/keys/big HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(0.3)
        with sock:
            server.process.send_signal(signal.SIGINT)
            wait_for(lambda: "stopping" in server.log_text(), "the stop")
            time.sleep(0.2)
            began = time.monotonic()
            server.process.send_signal(signal.SIGINT)
            status = server.process.wait(20)
            took = time.monotonic() - began
            check(took < 1 and status == -signal.SIGINT,
                  f"status {status} after {took:.1f} s")
        server.start()
        equal(server.get("/v2/keys/big/19").status, 200, "a key")


def a_request_on_its_way_is_answered(folder):
    """Requests that were sent whole before the signal get whole answers."""
    with Server(folder) as server:
        server.put("/a", "1")
        for _ in range(10):
            socks = [dial(server) for _ in range(50)]
            for i, sock in enumerate(socks):
                body = f"value={i}"
                sock.sendall(
                    f"PUT /v2/keys/last/{i} HTTP/1.1\r\nHost: localhost\r\n"
                    f"Content-Type: {FORM}\r\n"
                    f"Content-Length: {len(body)}\r\n\r\n{body}".encode())
            answered = set()
            server.process.send_signal(signal.SIGTERM)
            for i, sock in enumerate(socks):
                with sock:
                    if read_last(sock) in (200, 201):
                        answered.add(i)
            equal(server.process.wait(10), 0, "exit status")
            server.start()
            for i in answered:
                equal(server.get(f"/v2/keys/last/{i}").value(), str(i),
                      f"key {i}")


def read_last(sock):
    """The status of an answer that is whole or not there at all."""
    try:
        answer = read_answer(sock.makefile("rb"))
    except ConnectionError:
        return None
    except (socket.timeout, ValueError) as error:
        raise Failure(f"a broken answer: {error}") from None
    return answer.status if answer else None


STORIES = [
    ("stop: watches end properly", watches_end_properly),
    ("stop: streams keep their events", streams_keep_their_events),
    ("stop: nothing acknowledged is lost", nothing_acknowledged_is_lost),
    ("stop: with all threads at work", stops_with_all_threads_at_work),
    ("stop: by itself, without its log", the_log_is_taken_away),
    ("stop: idle connections don't delay it", idle_connections_do_not_delay),
    ("stop: unfinished requests don't", unfinished_requests_do_not_delay),
    ("stop: a slow reader doesn't", slow_reader_does_not_delay),
    ("stop: a second signal ends it at once", a_second_signal_ends_at_once),
    ("stop: a request on its way is answered",
     a_request_on_its_way_is_answered),
]
