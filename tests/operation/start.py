"""Stories of starting: what is said, what is refused, what is kept."""
import hashlib
import json
import os
import re
import resource
import shutil
import signal
import socket
import stat
import subprocess
import tempfile

from world import (Failure, HOST, Server, Skip, check, equal, is_sanitized,
                   run, wait_for)


def has(text, words, what):
    check(words in text, f"{what}: {words!r} is not in {text[-800:]!r}")


def digest(path):
    """Of all files below: names, sizes and bytes."""
    total = hashlib.sha256()
    for folder, _, names in sorted(os.walk(path)):
        for name in sorted(names):
            if name in ("LOCK", "db-lock"):
                continue
            total.update(os.path.join(folder, name).encode())
            with open(os.path.join(folder, name), "rb") as file:
                total.update(file.read())
    return total.hexdigest()


# ---- what is said -----------------------------------------------------------

def says_where_to_point_curl(folder):
    with Server(folder) as server:
        text = server.log_text()
        ready = [line for line in text.splitlines()
                 if "ready to serve client requests" in line]
        equal(len(ready), 1, "lines that say it is ready")
        found = re.search(r'try="curl [^"]*?(http://[^" \']+)', ready[0])
        check(found, f"no curl command in {ready[0]!r}")
        has(found.group(1), f"{HOST}:{server.client_port}", "the command")
        path = found.group(1).split(str(server.client_port), 1)[1]
        equal(server.get(path).status, 200, "the command's status")
        has(ready[0], server.data, "the ready line")


def says_what_scripts_wait_for(folder):
    with Server(folder) as server:
        text = server.log_text()
        at = [text.find(words) for words in (
            "published", "enabled capabilities for version",
            "ready to serve client requests")]
        check(-1 not in at, f"a line is missing: {text}")
        equal(at, sorted(at), "the lines' order")


def help_and_version(folder):
    del folder
    for flag in ("-version", "--version"):
        status, out, err = run(flag)
        equal((status, err), (0, ""), flag)
        check(re.match(r"etched Version: \d+\.\d+\.\d+\n", out), out)
    texts = set()
    for flag in ("-h", "-help", "--help"):
        status, out, err = run(flag)
        equal((status, err), (0, ""), flag)
        texts.add(out)
    equal(len(texts), 1, "help texts")
    text = texts.pop()
    for word in ("--data-dir", "--listen-client-urls", "--name", "ETCD_",
                 "--config-file", "-f"):
        has(text, word, "the help")
    long = [line for line in text.splitlines() if len(line) > 80]
    equal(long, [], "lines of the help over 80 columns")


def unknown_flag(folder):
    data = os.path.join(folder, "d")
    for flag, near in (("--data-dri", "--data-dir"),
                       ("-nmae", "--name"),
                       ("--listen-client-url", "--listen-client-urls")):
        status, _, err = run(flag, "x", "--data-dir", data)
        equal(status, 2, f"exit status of {flag}")
        has(err, near, flag)
    status, _, err = run("--heartbeat-interval", "soon", "--data-dir", data)
    equal(status, 2, "exit status of a bad number")
    has(err, "heartbeat-interval", "a bad number")
    check(not os.path.exists(data), "a data directory was made")


def port_in_use(folder):
    with Server(folder) as first:
        first.fill("/a", 3)
        second = Server(folder, name="second", start=False)
        second.flags += ["--listen-client-urls", first.url]
        status, text = second.start_in_vain()
        equal(status, 1, "exit status")
        has(text, "in use", "the message")
        has(text, first.url, "the message")
        check(not os.path.exists(second.data), "a data directory was made")
        first.check_filled("/a", 3)


def peer_port_in_use(folder):
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = Server(folder, "--listen-peer-urls", f"http://{HOST}:{port}",
                        start=False)
        status, text = server.start_in_vain()
        equal(status, 1, "exit status")
        has(text, f":{port}", "the message")
        check(not os.path.exists(server.data), "a data directory was made")


def second_process_on_the_data(folder):
    with Server(folder) as first:
        first.fill("/a", 3)
        second = Server(folder, name="second", data=first.data, start=False)
        status, text = second.start_in_vain()
        equal(status, 1, "exit status")
        has(text, "in use by another process", "the message")
        has(text, first.data, "the message")
        first.fill("/b", 3)
        first.stop()
        first.start()
        first.check_filled("/a", 3)
        first.check_filled("/b", 3)


# ---- the data directory -----------------------------------------------------

def data_is_private(folder):
    data = os.path.join(folder, "deep", "data")
    os.makedirs(data)
    os.chmod(data, 0o755)
    with Server(folder, data=data,
                preexec_fn=lambda: os.umask(0)) as server:
        server.fill("/a", 3)
        has(server.log_text(), "narrowing", "the log")
        found = 0
        for path, folders, files in os.walk(data):
            for name in folders:
                mode = stat.S_IMODE(os.stat(os.path.join(path, name)).st_mode)
                equal(oct(mode), "0o700", name)
            for name in files:
                mode = stat.S_IMODE(os.stat(os.path.join(path, name)).st_mode)
                equal(oct(mode), "0o600", name)
                found += 1
        check(found >= 3, "hardly any files")
        equal(oct(stat.S_IMODE(os.stat(data).st_mode)), "0o700", "the folder")


def become_nobody():
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)


def let_others_through(folder):
    """The folders of a test run are closed to others, on the way here too."""
    top = os.path.realpath(tempfile.gettempdir())
    folder = os.path.realpath(folder)
    while folder.startswith(top) and os.stat(folder).st_uid == os.getuid():
        mode = os.stat(folder).st_mode & 0o7777
        if mode & 0o011 != 0o011:
            os.chmod(folder, mode | 0o011)
        folder = os.path.dirname(folder)


def data_cannot_be_written(folder):
    if os.getuid() != 0:
        more = {}
    else:
        more = {"preexec_fn": become_nobody}
        let_others_through(folder)
    locked = os.path.join(folder, "locked")
    os.mkdir(locked, 0o555)
    server = Server(folder, data=os.path.join(locked, "data"), start=False,
                    **more)
    try:
        status, text = server.start_in_vain()
    except (PermissionError, subprocess.SubprocessError):
        raise Skip("others may not run the program here") from None
    equal(status, 1, "exit status")
    has(text, server.data, "the message")
    has(text, "ermission denied", "the message")


def data_dir_is_a_file(folder):
    path = os.path.join(folder, "file")
    with open(path, "w", encoding="ascii") as file:
        file.write("mine")
    server = Server(folder, data=path, start=False)
    status, text = server.start_in_vain()
    equal(status, 1, "exit status")
    has(text, path, "the message")
    with open(path, encoding="ascii") as file:
        equal(file.read(), "mine", "the file")


def files_may_not_grow(folder):
    """ulimit -f: an error with a text, not an end by a signal."""
    server = Server(folder, start=False, preexec_fn=lambda: resource.setrlimit(
        resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)))
    status, text = server.start_in_vain()
    equal(status, 1, "exit status")
    has(text, "File too large", "the message")


def data_of_etcd(folder):
    server = Server(folder, start=False)
    os.makedirs(os.path.join(server.data, "member", "wal"))
    with open(os.path.join(server.data, "member", "wal", "0.tmp"), "wb") as f:
        f.write(b"etcd's")
    before = digest(server.data)
    status, text = server.start_in_vain()
    equal(status, 1, "exit status")
    has(text, "data of an etcd server", "the message")
    server.flags.append("-f")
    equal(server.start_in_vain()[0], 1, "exit status with -f")
    equal(digest(server.data), before, "the data")


def identities_mixed(folder):
    with Server(folder, name="one") as one, Server(folder, name="two") as two:
        one.fill("/one", 5)
        two.fill("/two", 5)
        one.stop()
        two.stop()
        own = os.path.join(one.data, "wal")
        kept = os.path.join(folder, "kept")
        os.rename(own, kept)
        shutil.copytree(os.path.join(two.data, "wal"), own)
        before = digest(one.data)
        status, text = one.start_in_vain()
        equal(status, 1, "exit status")
        has(text, "belongs to another cluster or member", "the message")
        equal(digest(one.data), before, "the data")
        shutil.rmtree(own)
        status, text = one.start_in_vain()
        equal(status, 1, "exit status without a log")
        has(text, "log is missing", "the message")
        shutil.rmtree(own)
        os.rename(kept, own)
        one.start()
        one.check_filled("/one", 5)


def other_flags_same_member(folder):
    """A member keeps the ids that it was made with."""
    with Server(folder) as server:
        server.fill("/a", 3)
        before = server.get("/v2/members").json()["members"][0]["id"]
        server.stop()
        server.flags += ["--initial-cluster-token", "another"]
        server.start()
        server.check_filled("/a", 3)
        after = server.get("/v2/members").json()["members"][0]["id"]
        equal(after, before, "the member's id")


# ---- what is damaged --------------------------------------------------------

def newest_segment(data):
    path = os.path.join(data, "wal")
    names = sorted(n for n in os.listdir(path) if n.endswith(".wal"))
    return os.path.join(path, names[-1])


def flip(path, at):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 0x40]))


def find_in(path, words):
    with open(path, "rb") as file:
        at = file.read().find(words)
    check(at >= 0, f"{words!r} is not in {path}")
    return at


def log_only(folder):
    """A killed server whose newest keys are in the log alone."""
    server = Server(folder, "--backend-batch-interval", "1h")
    server.fill("/a", 30)
    server.kill()
    return server


def damage_in_the_middle(folder):
    server = log_only(folder)
    path = newest_segment(server.data)
    at = find_in(path, b"value 15")
    flip(path, at)
    before = digest(server.data)
    for _ in range(2):
        status, text = server.start_in_vain()
        equal(status, 1, "exit status")
        has(text, os.path.basename(path), "the message")
        said = re.search(r"offset (\d+)", text)
        check(said, f"no offset in {text}")
        check(at - 400 < int(said.group(1)) <= at,
              f"offset {said.group(1)}, where {at} was damaged")
        check(re.search(r"restore|backup|move|empty data", text),
              f"not said what can be done: {text}")
        equal(digest(server.data), before, "the data")
    flip(path, at)
    with server.start():
        server.check_filled("/a", 30)


def damage_in_the_tail(folder):
    server = log_only(folder)
    path = newest_segment(server.data)
    at = find_in(path, b"value 29")
    flip(path, at)
    with server.start():
        server.check_filled("/a", 29)
        equal(server.get("/v2/keys/a/29").status, 404, "the last key")
        has(server.log_text(), "cut a torn tail", "the log")
        has(server.log_text(), os.path.basename(path), "the log")
        notices = server.log_text().count("cut a torn tail")
        server.fill("/b", 5)
        server.stop()
        server.start()
        server.check_filled("/a", 29)
        server.check_filled("/b", 5)
        equal(server.log_text().count("cut a torn tail"), notices, "notices")


def kv_file_damaged(folder):
    with Server(folder) as server:
        server.fill("/a", 20)
        server.stop()
        path = os.path.join(server.data, "db")
        with open(path, "rb") as file:
            whole = file.read()

        def with_db(content, how):
            with open(path, "wb") as file:
                file.write(content)
            status, text = server.start_in_vain()
            equal(status, 1, f"exit status, {how}")
            has(text, "db", f"the message, {how}")

        with_db(b"\x5a" * len(whole), "garbage")
        with_db(b"#!/bin/sh\n", "another file")
        with_db(whole[:4096], "only its first page")
        with_db(whole[:len(whole) // 2 // 4096 * 4096], "half of it")
        with_db(b"\0" * len(whole), "zeros")
        with open(path, "wb") as file:
            file.write(whole)
        server.start()
        server.check_filled("/a", 20)


def kv_file_pages_damaged(folder):
    """Any page of it zeroed or scribbled over: it may be one that is not in
    use; else the error is clear. Never a crash, never a wrong value."""
    with Server(folder) as server:
        server.fill("/a", 60)
        server.stop()
        path = os.path.join(server.data, "db")
        with open(path, "rb") as file:
            whole = file.read()
        for page in range(2, len(whole) // 4096):
            for fill in (b"\0", b"\xa5"):
                broken = bytearray(whole)
                broken[page * 4096:(page + 1) * 4096] = fill * 4096
                with open(path, "wb") as file:
                    file.write(broken)
                server.launch()
                try:
                    wait_for(server.is_up, "an answer")
                except Failure:
                    status = server.process.wait(5)
                    check(status == 1, f"page {page} with {fill!r}: status "
                          f"{status}: {server.log_text()[-600:]}")
                    continue
                server.check_filled("/a", 60)
                server.kill()
        with open(path, "wb") as file:
            file.write(whole)
        server.start()
        server.check_filled("/a", 60)


def force_begins_anew(folder):
    wal = os.path.join(folder, "wal-elsewhere")
    os.mkdir(wal)
    with open(os.path.join(wal, "notes.txt"), "w", encoding="ascii") as file:
        file.write("not the server's")
    with Server(folder, "--wal-dir", wal) as server:
        server.fill("/a", 5)
        server.stop()
        server.start()
        server.check_filled("/a", 5)
        server.stop()
        server.flags.append("-f")
        server.start()
        equal(server.get("/v2/keys/a/0").status, 404, "an old key")
        equal(server.get("/v2/keys/").headers["X-Etcd-Index"], "1", "index")
        server.fill("/b", 5)
        check(os.path.exists(os.path.join(wal, "notes.txt")),
              "-f removed a file that is not the server's")
        server.stop()
        server.flags.remove("-f")
        server.start()
        server.check_filled("/b", 5)


def force_on_damage(folder):
    """-f is the way out of damaged data, too."""
    server = log_only(folder)
    flip(newest_segment(server.data),
         find_in(newest_segment(server.data), b"value 15"))
    with open(os.path.join(server.data, "db"), "wb") as file:
        file.write(b"garbage" * 1000)
    server.flags.append("--force")
    with server.start():
        server.fill("/b", 3)
        server.check_filled("/b", 3)


def restart_keeps_all(folder):
    with Server(folder) as server:
        server.fill("/a", 20)
        server.ask("PUT", "/v2/keys/dir", {"dir": "true"})
        server.ask("PUT", "/v2/keys/dir/ttl", {"value": "t", "ttl": "600"})
        server.ask("POST", "/v2/keys/queue", {"value": "first"})
        server.ask("DELETE", "/v2/keys/a/3")
        server.put("/a/4", "anew")
        text = 'naïve ☃ "quoted" \\ \t\n'
        server.put("/text", text)
        before = server.get("/v2/keys/?recursive=true&sorted=true")
        for how in (server.stop, server.kill, server.stop):
            how()
            server.start()
            after = server.get("/v2/keys/?recursive=true&sorted=true")
            equal(after.headers["X-Etcd-Index"],
                  before.headers["X-Etcd-Index"], "the index")
            old, new = before.json(), after.json()
            drop_ttl(old)
            equal(drop_ttl(new), 1, "keys with a TTL")
            equal(new, old, "the tree")
            equal(server.get("/v2/keys/text").value(), text, "a text")
        # History is kept, too: a watch from the past.
        answer = server.get("/v2/keys/a/3?wait=true&waitIndex=2")
        equal(answer.json()["action"], "set", "an event of the past")


def drop_ttl(node):
    """Removes the running TTLs; gives back how many."""
    found = 0
    if isinstance(node, dict):
        found += 1 if node.pop("ttl", None) is not None else 0
        for value in node.values():
            found += drop_ttl(value)
    elif isinstance(node, list):
        for value in node:
            found += drop_ttl(value)
    return found


# ---- the log ----------------------------------------------------------------

def log_as_json(folder):
    with Server(folder, "--log-format", "json", "--logger", "zap",
                "--log-outputs", "stderr", "--max-snapshots", "7",
                "--name", 'a "näme"', start=False) as server:
        at = server.flags.index("--initial-cluster")
        del server.flags[at:at + 2]
        server.start()
        server.stop()
        lines = server.log_text().splitlines()
        check(len(lines) >= 4, "hardly any lines")
        for line in lines:
            entry = json.loads(line)
            for field in ("level", "ts", "logger", "msg"):
                check(field in entry, f"no {field} in {line}")
        names = [json.loads(line).get("name") for line in lines]
        check('a "näme"' in names, f"the name is not in {names}")
        check(any(json.loads(line)["level"] == "warn" for line in lines),
              "no warning of a flag without effect")


def log_level(folder):
    with Server(folder, "--log-level", "error") as server:
        server.fill("/a", 2)
        server.stop()
        equal(server.log_text(), "", "the log at level error")
    status, _, err = run("--log-level", "loud")
    equal(status, 2, "exit status of an unknown level")
    has(err, "loud", "the message")


def hang_up_reads_the_level(folder):
    path = os.path.join(folder, "etched.yml")

    def write(level):
        with open(path, "w", encoding="ascii") as file:
            file.write(f"log-level: {level}\n")

    write("warn")
    with Server(folder, "--config-file", path) as server:
        log = [line for line in server.log_text().splitlines()
               if not (is_sanitized() and "system calls" in line)]
        equal(log, [], "the log at level warn")
        write("info")
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "log level" in server.log_text(), "the new level")
        write("nonsense: [")
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "can't be read anew" in server.log_text(), "an error")
        equal(server.put("/a", "1").status, 201, "a put")
        server.stop()
        has(server.log_text(), "stopping", "the log")


def log_to_files(folder):
    path = os.path.join(folder, "own.log")
    with Server(folder, "--log-outputs", f"{path},stderr") as server:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        has(text, "ready to serve client requests", "the file")
        equal(text, server.log_text(), "the two")
        equal(oct(stat.S_IMODE(os.stat(path).st_mode)), "0o600", "its mode")
        server.stop()
        server.start()
        with open(path, encoding="utf-8") as file:
            equal(file.read().count("ready to serve"), 2, "lines appended")
    status, _, err = run("--log-outputs", os.path.join(folder, "no", "x"),
                         "--data-dir", os.path.join(folder, "d"))
    equal(status, 1, "exit status where the log can't be opened")
    has(err, os.path.join(folder, "no", "x"), "the message")


def log_reader_goes_away(folder):
    """A closed pipe is no reason to end, nor are closed standard streams."""
    reader, writer = os.pipe()
    with Server(folder, "--log-level", "debug", stdout=writer,
                stderr=writer) as server:
        os.close(writer)
        os.close(reader)
        server.process.send_signal(signal.SIGHUP)
        server.fill("/a", 3)
        server.check_filled("/a", 3)


def close_streams():
    for fd in (0, 1, 2):
        os.close(fd)


def without_standard_streams(folder):
    with Server(folder, "--log-level", "debug",
                preexec_fn=close_streams) as server:
        server.fill("/a", 5)
        server.process.send_signal(signal.SIGHUP)
        server.stop()
        for path, _, names in os.walk(server.data):
            for name in names:
                with open(os.path.join(path, name), "rb") as file:
                    check(b"stopping" not in file.read(),
                          f"the log was written into {name}")
        server.start()
        server.check_filled("/a", 5)


# ---- files and environment --------------------------------------------------

def configured_by_files(folder):
    texts = {
        "toml": 'addr = "{host}:{port}"\ndata_dir = "{data}"\n'
                'name = "from-a-file"\n[peer]\naddr = "{host}:{peer}"\n',
        "yaml": "name: from-a-file\ndata-dir: {data}\n"
                "listen-client-urls: http://{host}:{port}\n"
                "advertise-client-urls: http://{host}:{port}\n"
                "listen-peer-urls: http://{host}:{peer}\n"
                "initial-advertise-peer-urls: http://{host}:{peer}\n",
        "json": '{{"name": "from-a-file", "data-dir": "{data}",'
                '"listen-client-urls": "http://{host}:{port}",'
                '"advertise-client-urls": "http://{host}:{port}",'
                '"listen-peer-urls": "http://{host}:{peer}"}}',
        "env": "ETCD_NAME=from-a-file\nETCD_DATA_DIR={data}\n"
               "ETCD_LISTEN_CLIENT_URLS=http://{host}:{port}\n"
               "ETCD_ADVERTISE_CLIENT_URLS=http://{host}:{port}\n"
               "ETCD_LISTEN_PEER_URLS=http://{host}:{peer}\n",
    }
    for kind, text in texts.items():
        path = os.path.join(folder, "config." + kind)
        server = Server(folder, "-config", path, name=kind, plain=True,
                        start=False)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.format(host=HOST, port=server.client_port,
                                   peer=server.peer_port, data=server.data))
        with server.start():
            server.fill("/a", 2)
            member = server.get("/v2/members").json()["members"][0]
            equal(member["name"], "from-a-file", f"the name by {kind}")
            check(os.path.isdir(server.data), f"no data by {kind}")


def configured_by_environment(folder):
    server = Server(folder, plain=True, start=False)
    server.env = {
        "ETCD_DATA_DIR": "/nonexistent/loses-against-ETCHED",
        "ETCHED_DATA_DIR": server.data,
        "ETCD_LISTEN_CLIENT_URLS": server.url,
        "ETCD_ADVERTISE_CLIENT_URLS": server.url,
        "ETCD_LISTEN_PEER_URLS": server.peer_url,
        "ETCD_NAME": "from-the-environment",
    }
    with server.start():
        member = server.get("/v2/members").json()["members"][0]
        equal(member["name"], "from-the-environment", "the name")
        equal(member["clientURLs"], [server.url], "client URLs")


def unix_socket(folder):
    path = os.path.join(folder, "sock")
    server = Server(folder, start=False)
    server.flags += ["--listen-client-urls", f"{server.url},unix://{path}"]
    with server.start():
        server.put("/a", "over TCP")
        ask_unix(path)
        server.kill()
        server.start()
        ask_unix(path)


def unix_socket_in_a_files_place(folder):
    """A plain file where the socket should be is somebody's: it stays."""
    path = os.path.join(folder, "notes")
    with open(path, "w", encoding="ascii") as file:
        file.write("mine")
    server = Server(folder, start=False)
    server.flags += ["--listen-client-urls", f"unix://{path}"]
    status, text = server.start_in_vain()
    equal(status, 1, "exit status")
    has(text, path, "the message")
    with open(path, encoding="ascii") as file:
        equal(file.read(), "mine", "the file")
    check(not os.path.exists(server.data), "a data directory was made")


def configuration_missing(folder):
    """A file that was asked for must be there; so must what is in it."""
    path = os.path.join(folder, "none.yml")
    status, _, err = run("--config-file", path)
    equal(status, 2, "exit status without the file")
    has(err, path, "the message")
    with open(path, "w", encoding="ascii") as file:
        file.write("name: one\ndata-dri: two\n")
    status, _, err = run("--config-file", path)
    equal(status, 2, "exit status of an unknown key")
    has(err, "data-dri", "the message")


def ask_unix(path):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(10)
        sock.connect(path)
        sock.sendall(b"GET /v2/keys/a HTTP/1.1\r\nHost: localhost\r\n"
                     b"Connection: close\r\n\r\n")
        found = b""
        while piece := sock.recv(65536):
            found += piece
    check(b'"value":"over TCP"' in found, f"over a Unix socket: {found!r}")


STORIES = [
    ("start: one line says where to point curl", says_where_to_point_curl),
    ("start: the lines that scripts wait for", says_what_scripts_wait_for),
    ("start: help and version", help_and_version),
    ("start: an unknown flag is told the nearest", unknown_flag),
    ("start: a port in use", port_in_use),
    ("start: a peer port in use", peer_port_in_use),
    ("start: a second process on the data", second_process_on_the_data),
    ("start: data is private", data_is_private),
    ("start: data can't be written", data_cannot_be_written),
    ("start: the data directory is a file", data_dir_is_a_file),
    ("start: files may not grow", files_may_not_grow),
    ("start: etcd's own data is refused", data_of_etcd),
    ("start: the log of another member", identities_mixed),
    ("start: a member keeps its ids", other_flags_same_member),
    ("start: damage in the middle of the log", damage_in_the_middle),
    ("start: damage in the tail of the log", damage_in_the_tail),
    ("start: the kv file is damaged", kv_file_damaged),
    ("start: any page of the kv file is damaged", kv_file_pages_damaged),
    ("start: -f begins anew", force_begins_anew),
    ("start: -f on damaged data", force_on_damage),
    ("start: a restart keeps all", restart_keeps_all),
    ("start: the log as JSON", log_as_json),
    ("start: the log's level", log_level),
    ("start: SIGHUP reads the level anew", hang_up_reads_the_level),
    ("start: the log in files", log_to_files),
    ("start: the log's reader goes away", log_reader_goes_away),
    ("start: closed standard streams", without_standard_streams),
    ("start: files of four kinds", configured_by_files),
    ("start: by the environment alone", configured_by_environment),
    ("start: a Unix socket", unix_socket),
    ("start: a plain file in its place", unix_socket_in_a_files_place),
    ("start: a configuration that isn't there", configuration_missing),
]
