"""Stories of a full disk: a small file system of the test's own."""
import errno
import http.client
import json
import os
import subprocess
import sys

from world import (Failure, Server, Skip, check, equal, wait_for)

# Two of the log's segments of 64 MiB, and a little more.
DISK_BYTES = 140 << 20
KEY_BYTES = 20000


def with_small_disk(what):
    """Runs one of INNER in a mount namespace, with a small disk in its
    folder: what is mounted there is gone when it ends."""
    def story(folder):
        try:
            done = subprocess.run(
                ["unshare", "--mount", "--", sys.executable,
                 os.path.abspath(__file__), what, folder],
                stdin=subprocess.DEVNULL, capture_output=True, text=True,
                check=False, timeout=55)
        except FileNotFoundError:
            raise Skip("no unshare here") from None
        except subprocess.TimeoutExpired:
            raise Failure("took too long") from None
        said = done.stdout.strip().splitlines()
        if done.returncode == 77 or "unshare failed" in done.stderr or \
                "Operation not permitted" in done.stderr:
            raise Skip("mounting is not permitted")
        if done.returncode != 0:
            raise Failure(said[-1] if said else done.stderr[-500:])
    return story


def mount_disk(folder):
    path = os.path.join(folder, "disk")
    os.mkdir(path)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0700", "none",
         path], capture_output=True, check=False)
    if done.returncode != 0:
        sys.exit(77)
    return path


def fill_up(path, leave=0):
    """A ballast file that takes all that is left, but `leave`."""
    ballast = os.path.join(path, "ballast")
    stat = os.statvfs(path)
    size = stat.f_bavail * stat.f_frsize - leave
    with open(ballast, "wb", buffering=0) as file:
        try:
            for _ in range(size // 4096):
                file.write(b"\0" * 4096)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
    return ballast


def put_until_refused(server, prefix, limit=20000):
    """Keys that were acknowledged, and the answer that ended it."""
    connection = server.connect()
    for i in range(limit):
        answer = server.put(f"{prefix}/{i}", "v" * KEY_BYTES + str(i),
                            connection)
        if answer.status != 201:
            connection.close()
            return i, answer
    raise Failure("the disk is full, but no write was refused")


def check_keys(server, prefix, count):
    connection = server.connect()
    for i in range(count):
        answer = server.get(f"/v2/keys{prefix}/{i}", connection=connection)
        equal(answer.status, 200, f"{prefix}/{i}")
        equal(answer.value(), "v" * KEY_BYTES + str(i), f"{prefix}/{i}")
    connection.close()


def health(server):
    answer = server.get("/health")
    return answer.status, json.loads(answer.body).get("health")


def full_and_free_again(folder):
    disk = mount_disk(folder)
    server = Server(folder, data=os.path.join(disk, "data"))
    with server:
        server.fill("/before", 50)
        equal(health(server), (200, "true"), "health before")
        ballast = fill_up(disk)
        count, refusal = put_until_refused(server, "/full")
        # The refusal: v2's form, and words that say why.
        check(refusal.status in (500, 503, 507), f"{refusal}")
        error = refusal.json()
        equal(error["errorCode"], 300, "the error's code")
        check("space" in error["cause"], f"{error}")
        # Reads go on; health says so; what makes room may still be done.
        server.check_filled("/before", 50)
        check_keys(server, "/full", count)
        equal(health(server), (503, "false"), "health when full")
        equal(server.get("/readyz").status, 200, "readyz when full")
        answer = server.ask("DELETE", "/v2/keys/before/0")
        check(answer.status in (200, 500), f"a delete: {answer}")
        deleted = answer.status == 200
        again = server.put("/again", "1")
        check(again.status == refusal.status, f"a second try: {again}")
        # Room again: writes resume by themselves.
        os.unlink(ballast)
        wait_for(lambda: server.put("/after", "1").status in (200, 201),
                 "writes resume", 15)
        wait_for(lambda: health(server) == (200, "true"), "health", 15)
        equal(server.get("/v2/keys/again").status, 404, "what was refused")
        server.fill("/later", 50)
        for how in (server.stop, server.kill):
            how()
            server.start()
            check_keys(server, "/full", count)
            server.check_filled("/later", 50)
            equal(server.get("/v2/keys/before/0").status,
                  404 if deleted else 200, "the deleted key")
            equal(server.get("/v2/keys/again").status, 404, "a refused key")


def full_when_stopped(folder):
    """Stopped and started on the full disk: reads are served, and with room
    so are writes."""
    disk = mount_disk(folder)
    with Server(folder, data=os.path.join(disk, "data")) as server:
        server.fill("/before", 50)
        ballast = fill_up(disk)
        count, _ = put_until_refused(server, "/full")
        server.stop()
        server.start()
        server.check_filled("/before", 50)
        check_keys(server, "/full", count)
        server.kill()
        server.start()
        check_keys(server, "/full", count)
        os.unlink(ballast)
        wait_for(lambda: server.put("/after", "1").status in (200, 201),
                 "writes resume", 15)
        server.stop()
        server.start()
        check_keys(server, "/full", count)


def log_has_no_room(folder):
    """No room for the log's next segment: an answer, not an end."""
    disk = mount_disk(folder)
    with Server(folder, "--backend-batch-interval", "1h", "--wal-dir",
                os.path.join(disk, "wal")) as server:
        server.put("/before", "1")
        ballast = fill_up(disk)
        connection = server.connect()
        count = 0
        while True:
            answer = server.put(f"/full/{count}", "v" * 500000, connection)
            if answer.status != 201:
                break
            count += 1
            check(count < 600, "the disk is full, but no write was refused")
        equal(answer.json()["errorCode"], 300, "the error's code")
        equal(server.get("/v2/keys/before").value(), "1", "a read")
        equal(health(server), (503, "false"), "health")
        os.unlink(ballast)
        wait_for(lambda: server.put("/after", "1").status in (200, 201),
                 "writes resume", 15)
        server.kill()
        server.start()
        for i in range(count):
            equal(len(server.get(f"/v2/keys/full/{i}").value()), 500000,
                  f"key {i}")
        equal(server.get(f"/v2/keys/full/{count}").status, 404, "the refused")


def too_small_to_start(folder):
    disk = mount_disk(folder)
    ballast = fill_up(disk, 1 << 20)
    server = Server(folder, data=os.path.join(disk, "data"), start=False)
    status, text = server.start_in_vain()
    equal(status, 1, "exit status")
    check("space" in text, text)
    os.unlink(ballast)
    with server.start():
        server.fill("/a", 5)


INNER = {
    "again": full_and_free_again,
    "stopped": full_when_stopped,
    "log": log_has_no_room,
    "small": too_small_to_start,
}

STORIES = [
    ("disk: full, and free again", with_small_disk("again")),
    ("disk: full at a restart", with_small_disk("stopped")),
    ("disk: no room for the log", with_small_disk("log")),
    ("disk: too small to start", with_small_disk("small")),
]


def main():
    what, folder = sys.argv[1:]
    try:
        INNER[what](folder)
    except Failure as failure:
        print(failure)
        sys.exit(1)
    except (OSError, http.client.HTTPException) as error:
        print(f"{type(error).__name__}: {error}")
        sys.exit(1)


if __name__ == "__main__":
    main()
