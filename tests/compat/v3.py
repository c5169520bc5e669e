#!/usr/bin/python3
"""Random sessions of v3's gRPC API, with etched and with Debian's etcd, and
the answers compared field by field.

    tests/compat/v3.py [--sequences 150] [--requests 50] [--seed 1]
                       [--first 0] [--jobs 3] [--reference-twice]

Ranges, puts, deletes, nested txns, compactions, leases, watches, hashes and
plain nonsense, over a few keys, so that they meet. Revisions are compared
relative to a write at each sequence's begin, ids by whether they are there.
A watch is waited for where that matters (before a compaction, a cancel and at
the end), so that nothing depends on time. Each sequence starts with an empty
store and depends on its seed and number alone: a difference is printed with
the line that plays it again. Where etched differs on purpose, DIFFERENCES in
v3_compare.py names it; docs/compat-v3.md gives the reasons.
"""
import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
# pylint: disable=wrong-import-position
import v3_compare
import v3_generate
import v3_wire
from v3_generate import At, covers, resolve

KV = "/etcdserverpb.KV/"
LEASE = "/etcdserverpb.Lease/"
WATCH = "/etcdserverpb.Watch/Watch"
UPKEEP = "/etcdserverpb.Maintenance/"
EVENT_SECONDS = 10
SLOW_WATCHERS = "etcd_debugging_mvcc_slow_watcher_total"
ALL = {"key": b"\x00", "range_end": b"\x00"}
WEIGHTS = {
    "range": 26, "put": 28, "delete": 8, "txn": 14, "compact": 2.5,
    "grant": 4, "grant_short": 0.7, "grant_auto": 0.5, "revoke": 2,
    "time_to_live": 3, "leases": 1, "keep_alive": 2, "hash_kv": 2,
    "alarm": 1, "members": 0.5, "status": 0.5, "hash": 0.3, "health": 0.3,
    "wrong": 1.5,
}
WATCH_WEIGHTS = {"watch": 7, "cancel": 2, "progress": 1, "empty_watch": 0.1}


class Difference(Exception):
    """The two don't answer the same."""


class Oracle:
    """All of etcd's events, to know what a watch must still be told."""

    def __init__(self, run):
        self.stream = run.servers[0].stream(WATCH)
        self.messages = run.messages
        self.seen = 0
        self.events = []  # (revision, event)
        self.stream.send(self.messages.WatchRequest(
            create_request=ALL).SerializeToString())
        if not self.stream.wait(lambda got: got, EVENT_SECONDS):
            raise SystemExit("etcd does not watch")

    def read(self):
        for body in self.stream.got[self.seen:]:
            self.seen += 1
            answer = self.messages.WatchResponse.FromString(body)
            self.events += [(event.kv.mod_revision, event)
                            for event in answer.events]
        return self.events[-1][0] if self.events else 0

    def wait(self, revision, base):
        """All events of a sequence, up to a revision."""
        if not self.stream.wait(
                lambda _: self.read() >= revision or revision <= base,
                EVENT_SECONDS):
            raise SystemExit("etcd's own watch has stopped")
        return [(at - base, event) for at, event in self.events if at > base]

    def forget(self):
        self.read()
        self.events = self.events[-1:]
        with self.stream.changed:
            del self.stream.got[:self.seen]
            self.seen = 0


class Side:
    """One server's end of the watch streams of a sequence."""

    def __init__(self, server, messages, base):
        self.stream = server.stream(WATCH)
        self.messages = messages
        self.base = base
        self.seen = 0
        self.by_id = {}  # watch id -> what came, in order
        self.created = []

    def read(self):
        for body in self.stream.got[self.seen:]:
            self.seen += 1
            answer = self.messages.WatchResponse.FromString(body)
            self.sort_in(answer)

    def sort_in(self, answer):
        came = self.by_id.setdefault(answer.watch_id, [])
        if answer.created:
            self.created.append(answer)
        for event in answer.events:
            out = v3_compare.plain(event, self.base)
            if answer.header.revision < event.kv.mod_revision:
                out["header of"] = answer.header.revision - self.base
            came.append(out)
        if not answer.events or answer.canceled:
            out = v3_compare.plain(answer, self.base)
            out.pop("events", None)
            out["ids"] = out.pop("header", {}).get("ids")
            if answer.created or answer.watch_id == -1:
                out["at"] = answer.header.revision - self.base
            came.append(out)

    def wait(self, test):
        def check(_):
            self.read()
            return test()
        return self.stream.wait(check, EVENT_SECONDS)

    def count(self, watch_id, test):
        return sum(1 for one in self.by_id.get(watch_id, ()) if test(one))


class Watch:
    """One that was created on both sides."""

    def __init__(self, spec, answer, model, base):
        self.id = answer.watch_id
        self.spec = spec
        start = resolve(spec.get("start_revision", 0), base)
        self.compacted = not answer.canceled and start != 0 and \
            start - base < model.compacted
        self.live = not answer.canceled and not self.compacted
        self.told = False
        self.begin = start - base if start else \
            answer.header.revision - base + 1
        # What stood at the compacted revision itself may be gone already.
        self.certain = max(self.begin, model.compacted + 1)
        self.created_at = answer.header.revision - base

    def expects(self, events):
        filters = self.spec.get("filters", ())
        return sum(1 for at, event in events
                   if at >= self.certain and event.type not in filters
                   and covers(self.spec, event.kv.key))

    def certainly(self, item):
        """An event of the kind that expects() counts."""
        return "kv" in item and item["kv"]["mod_revision"] >= self.certain


class Sequence:
    """One random session with both."""

    def __init__(self, run, number, requests):
        self.run = run
        self.messages = run.messages
        self.servers = run.servers
        self.rng = random.Random(f"v3 {run.seed} {number}")
        slash = "/" if self.rng.random() < 0.4 else ""
        self.prefix = f"{slash}s{run.seed}-{number}/".encode()
        self.model = v3_generate.Model()
        self.generator = v3_generate.Generator(self.rng, self.prefix,
                                               self.model)
        self.requests = requests
        self.bases = [0, 0]
        self.sides = None
        self.watches = []
        self.cancels = {}  # watch id -> how many cancels must have come
        self.compacting = False
        self.log = []
        weights = dict(WEIGHTS)
        if self.rng.random() < 0.6:
            weights.update(WATCH_WEIGHTS)
        self.kinds = list(weights)
        self.weights = list(weights.values())

    # ---- the frame ----------------------------------------------------------

    def play(self):
        self.bases = self.run.clean_begin(self.prefix)
        try:
            for _ in range(self.requests):
                kind = self.rng.choices(self.kinds, self.weights)[0]
                getattr(self, "do_" + kind)()
            self.end()
        finally:
            for side in self.sides or ():
                side.stream.cancel()

    def end(self):
        self.drain()
        self.ask(KV + "Range", ALL)
        self.ask(UPKEEP + "HashKV", {})
        self.ask(LEASE + "LeaseLeases", {})
        if self.sides:
            self.compare_watches()

    def note(self, *words):
        self.log.append(" ".join(str(word) for word in words))

    def ask(self, path, spec, metadata=None, wrong=None):
        """One unary call to both; etcd's answer, if it was a good one."""
        self.note(path.rsplit("/", 1)[1], wrong or spec)
        if metadata is None and self.rng.random() < 0.05:
            metadata = [("hasleader", "true")]
        answers, good = [], None
        known = self.messages.services.get(path)
        if known:
            request_class, answer_class = self.messages.of_method(path)
        for server, base in zip(self.servers, self.bases):
            body = wrong if wrong is not None else request_class(
                **resolve(spec, base)).SerializeToString()
            code, text, body = server.call(path, body, metadata)
            answer = {"code": code, "message": text}
            if code == "OK":
                message = answer_class.FromString(body)
                answer["body"] = v3_compare.plain(message, base)
                self.fold_hash(answer, path)
                good = good or message
            answers.append(answer)
        request = {"name": request_class.DESCRIPTOR.name if known else path,
                   "wrong": wrong is not None, "spec": spec}
        self.compare(request, *answers)
        if answers[0]["code"] != "OK":
            return None
        revision = answers[0]["body"].get("header", {}).get("revision", 0)
        self.model.now = max(self.model.now, revision)
        return good

    def fold_hash(self, answer, path):
        """The hash has the revisions in it: other ones, another hash. And
        what etcd's compaction has not removed yet may be in it or not."""
        if path.endswith("HashKV") and (
                self.bases[0] != self.bases[1] or self.compacting):
            answer["body"]["hash"] = "there"

    def compare(self, request, theirs, ours):
        self.run.compared += 1
        if not v3_compare.same(request, theirs, ours, self.run.tally):
            for server in self.servers:
                if not server.alive():
                    raise SystemExit(f"{server.name} ended after: "
                                     + self.log[-1][:2000])
            raise Difference("\n".join(
                v3_compare.first_difference(theirs, ours) +
                [f"etcd   {theirs}"[:700], f"etched {ours}"[:700]]))

    # ---- unary calls --------------------------------------------------------

    def do_range(self):
        self.ask(KV + "Range", self.generator.range())

    def do_put(self):
        self.ask(KV + "Put", self.generator.put())

    def do_delete(self):
        self.ask(KV + "DeleteRange", self.generator.delete())

    def do_txn(self):
        self.ask(KV + "Txn", self.generator.txn())

    def do_compact(self):
        self.drain()
        spec = self.generator.compact()
        if self.ask(KV + "Compact", spec):
            self.model.compacted = resolve(spec["revision"],
                                           self.bases[0]) - self.bases[0]
            self.compacting = not spec.get("physical")

    def do_hash_kv(self):
        self.ask(UPKEEP + "HashKV", self.generator.hash_kv())

    def do_grant(self):
        spec = self.generator.grant()
        if self.ask(LEASE + "LeaseGrant", spec):
            self.model.granted.add(spec["ID"])

    def do_grant_short(self):
        spec = self.generator.grant_short()
        self.ask(LEASE + "LeaseGrant", spec)
        self.ask(LEASE + "LeaseRevoke", {"ID": spec["ID"]})

    def do_grant_auto(self):
        """Each chooses an id of its own."""
        self.note("LeaseGrant without an id")
        answers = []
        for server in self.servers:
            body = self.messages.LeaseGrantRequest(TTL=1000)
            code, text, body = server.call(LEASE + "LeaseGrant",
                                           body.SerializeToString())
            answer = self.messages.LeaseGrantResponse.FromString(body)
            answers.append({"code": code, "message": text,
                            "id": answer.ID > 0, "TTL": answer.TTL})
            server.call(LEASE + "LeaseRevoke",
                        self.messages.LeaseRevokeRequest(
                            ID=answer.ID).SerializeToString())
        self.compare({"name": "LeaseGrant without an id"}, *answers)

    def do_revoke(self):
        spec = self.generator.revoke()
        if self.ask(LEASE + "LeaseRevoke", spec):
            self.model.granted.discard(spec["ID"])

    def do_time_to_live(self):
        self.ask(LEASE + "LeaseTimeToLive", self.generator.time_to_live())

    def do_leases(self):
        self.ask(LEASE + "LeaseLeases", {})

    def do_alarm(self):
        self.ask(UPKEEP + "Alarm", self.generator.alarm())

    def do_members(self):
        self.ask("/etcdserverpb.Cluster/MemberList", {})

    def do_status(self):
        self.ask(UPKEEP + "Status", {})

    def do_hash(self):
        self.ask(UPKEEP + "Hash", {})

    def do_health(self):
        self.ask("/grpc.health.v1.Health/Check", {"service": self.rng.choice(
            ["", "", "etcdserverpb.KV", "nothing"])})

    def do_wrong(self):
        path, body = self.generator.wrong()
        self.ask(path, {}, wrong=body)

    def do_keep_alive(self):
        specs = self.generator.keep_alive()
        self.note("LeaseKeepAlive", specs)
        answers = []
        for server, base in zip(self.servers, self.bases):
            code, text, bodies = server.gather(
                LEASE + "LeaseKeepAlive",
                [self.messages.LeaseKeepAliveRequest(
                    **spec).SerializeToString() for spec in specs])
            answers.append({"code": code, "message": text, "body": [
                v3_compare.plain(
                    self.messages.LeaseKeepAliveResponse.FromString(body),
                    base) for body in bodies]})
        self.compare({"name": "LeaseKeepAlive", "spec": specs}, *answers)

    # ---- watches ------------------------------------------------------------

    def do_watch(self):
        if self.sides is None:
            self.sides = [Side(server, self.messages, base) for server, base
                          in zip(self.servers, self.bases)]
        spec = self.generator.watch(self.over())
        self.note("Watch", spec)
        self.send("create_request", spec)
        wanted = len(self.watches) + 1
        for side, server in zip(self.sides, self.servers):
            if not side.wait(lambda s=side: len(s.created) >= wanted):
                raise Difference(f"{server.name} does not create the watch; "
                                 f"stream's end: {side.stream.end}")
        answers = [{"code": "OK", "message": "", "body":
                    v3_compare.plain(side.created[-1], side.base)}
                   for side in self.sides]
        self.compare({"name": "WatchCreateRequest", "spec": spec}, *answers)
        self.watches.append(Watch(spec, self.sides[0].created[-1], self.model,
                                  self.bases[0]))

    def over(self):
        return {watch.id for watch in self.watches if watch.compacted}

    def do_empty_watch(self):
        """Neither create nor cancel nor progress: nothing happens."""
        if self.sides:
            self.note("an empty WatchRequest")
            for side in self.sides:
                side.stream.send(b"")

    def do_cancel(self):
        if not self.sides:
            return
        self.drain()
        spec = self.generator.cancel((watch.id for watch in self.watches),
                                     self.over())
        self.note("Watch cancel", spec)
        self.send("cancel_request", spec)
        for watch in self.watches:
            if watch.id == spec["watch_id"] and watch.live:
                watch.live = False
                self.wait_for_cancel(watch)

    def do_progress(self):
        if not self.sides:
            return
        self.drain()
        self.note("Watch progress")
        before = self.sides[0].count(-1, lambda _: True)
        self.send("progress_request", {})
        self.wait_on_both(lambda side: side.count(-1, lambda _: True),
                          before + 1, "the progress")

    def send(self, name, spec):
        for side in self.sides:
            side.stream.send(self.messages.WatchRequest(
                **{name: resolve(spec, side.base)}).SerializeToString())

    def wait_on_both(self, count, wanted, what):
        for side, server in zip(self.sides, self.servers):
            if side.wait(lambda s=side: count(s) >= wanted):
                continue
            raise Difference(f"{server.name} does not send {what}: "
                             f"{count(side)} of {wanted}; stream's end: "
                             f"{side.stream.end}; so far {side.by_id}")

    def drain(self):
        """Until every watch has been told all that has happened."""
        if not self.sides:
            return
        events = self.run.oracle.wait(self.bases[0] + self.model.now,
                                      self.bases[0])
        for watch in self.watches:
            if watch.compacted and not watch.told:
                watch.told = True
                self.wait_for_cancel(watch)
            if watch.live:
                self.wait_on_both(
                    lambda side, watch=watch: side.count(
                        watch.id, watch.certainly),
                    watch.expects(events), f"the events of {watch.spec}")
        self.settle()

    def wait_for_cancel(self, watch):
        """The next one of this id."""
        self.cancels[watch.id] = self.cancels.get(watch.id, 0) + 1
        self.wait_on_both(
            lambda side: side.count(watch.id,
                                    lambda one: one.get("canceled")),
            self.cancels[watch.id], f"the end of watch {watch.id}")

    def settle(self):
        """A watch from the past that finds nothing there says nothing, but
        etcd takes up to 100 ms to know that; a compaction meanwhile would end
        it, and a cancel leave out what it finds at the compacted revision."""
        quiet = [watch for watch in self.watches
                 if watch.live and watch.begin <= watch.created_at]
        end = time.monotonic() + EVENT_SECONDS
        for server in self.servers if quiet else ():
            while server.metric(SLOW_WATCHERS) and time.monotonic() < end:
                time.sleep(0.005)
        for watch in quiet:
            watch.created_at = watch.begin - 1

    def compare_watches(self):
        """All that each watch was told."""
        unsure = {watch.id: (watch.begin, watch.certain)
                  for watch in self.watches}
        told = []
        for side in self.sides:
            side.read()
            told.append({str(watch_id): [
                one for one in came
                if not tombstone(one, unsure.get(watch_id))]
                for watch_id, came in sorted(side.by_id.items())})
            told[-1]["end"] = side.stream.end
        self.note("what the watches were told")
        self.compare({"name": "Watch"}, {"code": "OK", "body": told[0]},
                     {"code": "OK", "body": told[1]})


def tombstone(item, span):
    """A delete at the very revision that was compacted when the watch came:
    there or not, as etcd's cleaning goes on in the background."""
    return span is not None and item.get("type") == 1 and \
        span[0] <= item["kv"]["mod_revision"] < span[1]


class Run:
    """A pair of servers, and the sequences that are played with them."""

    def __init__(self, options, folder):
        self.seed = options.seed
        self.messages = v3_wire.Messages()
        self.tally = {}
        self.compared = 0
        self.servers = []
        self.folder = folder
        self.oracle = None
        try:
            self.servers.append(v3_wire.Server("etcd", folder))
            ours = "etcd" if options.reference_twice else options.server
            self.servers.append(v3_wire.Server(ours, folder))
            self.oracle = Oracle(self)
        except BaseException:
            self.stop()
            raise

    def stop(self):
        if self.oracle:
            self.oracle.stream.cancel()
        for server in self.servers:
            server.stop()

    def must(self, server, path, spec):
        request, answer = self.messages.of_method(path)
        code, text, body = server.call(path,
                                       request(**spec).SerializeToString())
        if code != "OK":
            raise SystemExit(f"{server.name}: {path} {spec}: {code} {text}")
        return answer.FromString(body)

    def clean_begin(self, prefix):
        """Nothing of the sequences before is left. The revisions are brought
        to the same number, so that hashes, which have them in them, can be
        compared. Returns each server's revision where counting starts."""
        for server in self.servers:
            for lease in self.must(server, LEASE + "LeaseLeases", {}).leases:
                self.must(server, LEASE + "LeaseRevoke", {"ID": lease.ID})
            self.must(server, KV + "DeleteRange", ALL)
        at = [self.must(server, KV + "Put", {"key": b"align"}).header.revision
              for server in self.servers]
        behind = self.servers[0 if at[0] < at[1] else 1]
        for _ in range(abs(at[0] - at[1])):
            self.must(behind, KV + "Put", {"key": b"align"})
        bases = []
        for server in self.servers:
            self.must(server, KV + "DeleteRange", {"key": b"align"})
            base = self.must(server, KV + "Put",
                             {"key": prefix, "value": b"begin"})
            bases.append(base.header.revision)
            self.must(server, KV + "Compact", {"revision": bases[-1],
                                              "physical": True})
        self.oracle.forget()
        return bases

    def play(self, number, requests):
        """None, or what differed."""
        sequence = Sequence(self, number, requests)
        try:
            sequence.play()
            return None
        except Difference as difference:
            return (f"request {len(sequence.log)}: {sequence.log[-1][:1500]}\n"
                    + str(difference)[:6000])


# ---- processes --------------------------------------------------------------

def work(options):
    """One of the processes: each `--jobs`th sequence, a line for each that
    differs, and a line of totals."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = v3_wire.scratch_folder()
    end = time.monotonic() + options.seconds
    run = None
    played = problems = 0
    try:
        run = Run(options, folder)
        for number in range(options.first + options.worker,
                            options.first + options.sequences, options.jobs):
            if time.monotonic() > end or problems >= options.keep_going:
                break
            difference = run.play(number, options.requests)
            played += 1
            if difference:
                problems += 1
                print(json.dumps({"number": number, "text": difference}),
                      flush=True)
        print(json.dumps({"played": played, "compared": run.compared,
                          "tally": run.tally}), flush=True)
    finally:
        if run:
            run.stop()
        v3_wire.remove(folder)


def start_workers(options):
    workers = []
    for number in range(options.jobs):
        workers.append(subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), "--worker",
             str(number)] + sys.argv[1:] + ["--jobs", str(options.jobs)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True))
    return workers


def report(options, lines):
    """What the workers said; whether all is well."""
    tally = {}
    played = compared = problems = 0
    for line in lines:
        if "text" in line:
            problems += 1
            print(f"# sequence {line['number']} of seed {options.seed}: "
                  + line["text"].replace("\n", "\n#   "))
            print(f"# again: tests/compat/v3.py --seed {options.seed} "
                  f"--first {line['number']} --sequences 1 "
                  f"--requests {options.requests}")
            continue
        played += line["played"]
        compared += line["compared"]
        for name, count in line["tally"].items():
            tally[name] = tally.get(name, 0) + count
    for name, count in sorted(tally.items()):
        print(f"# {count} times: {name}")
    print(f"# {played} sequences played, {compared} answers compared")
    return not problems and played == options.sequences


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sequences", type=int, default=150)
    parser.add_argument("--requests", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0,
                        help="number of the first sequence")
    parser.add_argument("--jobs", type=int, default=3,
                        help="processes, each with a pair of servers")
    parser.add_argument("--seconds", type=int, default=1500,
                        help="then it fails for want of time")
    parser.add_argument("--keep-going", type=int, default=3,
                        help="differences of a process before it gives up")
    parser.add_argument("--server", default="etched",
                        help="what is compared with etcd: a command")
    parser.add_argument("--reference-twice", action="store_true",
                        help="etcd with etcd: of this test itself")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.jobs = max(1, min(options.jobs, options.sequences))
    if options.worker is not None:
        work(options)
        return
    workers = start_workers(options)
    lines = []
    try:
        for worker in workers:
            lines += [json.loads(line) for line in worker.stdout]
        failed = [worker for worker in workers if worker.wait() != 0]
    finally:
        for worker in workers:
            if worker.poll() is None:
                worker.terminate()
                worker.wait()
    good = report(options, lines) and not failed
    print(f"{'ok' if good else 'not ok'} v3: {options.sequences} random "
          f"sequences of {options.requests} requests")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
