"""What is sent: random requests of v3, valid and not.

A request is a plain dict with the message's fields. Revisions in it are At: an
offset from the sequence's first write, to which each server's own number is
added. Nothing here knows of a server; Model is told what the answers said.
"""
KEYS = [b"a", b"a", b"a", b"aa", b"ab", b"ab", b"b", b"b", b"b\x00", b"c",
        b"c", b"", b"\xff\xff", b"d" * 50]
VALUES = [b"", b"1", b"1", b"2", b"two", b"\x00\xff\xfe", b"a=b&c",
          b"x" * 300, "snow \u2603".encode()]
LEASES = [101, 102, 103, 104, 0x7fffffffffffff01]
TTLS = [1000, 5000, 5000, 70000, 100000, 9000000000, 9000000001, 1 << 62]
SHORT_TTLS = [0, 1, 2, 3, -5]
EVERY = 1 << 62
OPS_MAX = 128  # etcd's --max-txn-ops
REQUEST_MAX = 1536 * 1024  # and --max-request-bytes


class At(int):
    """A revision relative to the sequence's begin."""

    def __repr__(self):
        return f"@{int(self):+d}"


def resolve(spec, base):
    if isinstance(spec, At):
        return int(spec) + base
    if isinstance(spec, dict):
        return {name: resolve(value, base) for name, value in spec.items()}
    if isinstance(spec, list):
        return [resolve(value, base) for value in spec]
    return spec


def prefix_end(prefix):
    kept = prefix.rstrip(b"\xff")
    if not kept:
        return b"\x00"
    return kept[:-1] + bytes([kept[-1] + 1])


def covers(spec, key):
    """Whether a watch's or range's span has this key."""
    begin, end = spec.get("key", b"") or b"\x00", spec.get("range_end", b"")
    if not end:
        return key == begin
    return begin <= key and (end == b"\x00" or key < end)


class Model:
    """What is known of the sequence so far, in relative revisions."""

    def __init__(self):
        self.now = 0
        self.compacted = 0
        self.granted = set()


class Generator:
    def __init__(self, rng, prefix, model):
        self.rng = rng
        self.prefix = prefix
        self.model = model
        self.deleting = False  # the txn that is made may delete

    def chance(self, part):
        return self.rng.random() < part

    def pick(self, spec, name, choices, chance):
        if self.chance(chance):
            spec[name] = self.rng.choice(choices)

    # ---- pieces -------------------------------------------------------------

    def key(self):
        if self.chance(0.01):
            return b""
        return self.prefix + self.rng.choice(KEYS)

    def span(self, spec):
        """A key alone, two of them, a prefix, all from a key on, everything."""
        roll = self.rng.random()
        spec["key"] = self.key()
        if roll < 0.45:
            return
        if roll < 0.6:
            spec["range_end"] = self.prefix + self.rng.choice(KEYS)
        elif roll < 0.84:
            if self.chance(0.6):
                spec["key"] = self.prefix
            spec["range_end"] = prefix_end(spec["key"] or b"\xff")
        elif roll < 0.93:
            spec["range_end"] = b"\x00"
        elif roll < 0.97:
            spec["key"] = spec["range_end"] = b"\x00"
        elif roll < 0.99:
            spec["range_end"] = spec["key"]
        else:
            spec["range_end"] = spec["key"] + b"\x00"

    def revision(self):
        model, rng = self.model, self.rng
        roll = rng.random()
        if roll < 0.75:
            return At(rng.randint(model.compacted, max(model.now, 1)))
        return rng.choice([
            At(model.now), At(model.now + 1), At(model.now + 100),
            At(model.compacted), At(model.compacted - 1),
            At(model.compacted + 1), 0, 1, -1, (1 << 63) - 1])

    def lease(self):
        granted = sorted(self.model.granted)
        if granted and self.chance(0.8):
            return self.rng.choice(granted)
        return self.rng.choice(LEASES + [999, -1])

    # ---- keys and values ----------------------------------------------------

    def range(self, alone=True):
        spec = {}
        self.span(spec)
        self.pick(spec, "limit", [1, 1, 2, 3, -1, 1 << 40], 0.3)
        if self.chance(0.3):
            spec["revision"] = self.revision()
        # An order that there is not (not in a txn, which then would be made or
        # not); a target that there is not ends etcd 3.4 itself, and isn't sent.
        self.pick(spec, "sort_order", [0, 1, 1, 1, 2, 2, 2], 0.4)
        if alone and self.chance(0.004):
            spec["sort_order"] = 3
        self.pick(spec, "sort_target", [0, 1, 2, 3, 4], 0.35)
        for name, chance in (("serializable", 0.2), ("keys_only", 0.15),
                             ("count_only", 0.1)):
            self.pick(spec, name, [True], chance)
        for name in ("min_mod_revision", "max_mod_revision",
                     "min_create_revision", "max_create_revision"):
            if self.chance(0.07):
                spec[name] = self.revision()
        return spec

    def put(self, ignoring=True):
        spec = {"key": self.key()}
        self.pick(spec, "value", VALUES, 0.92)
        if self.chance(0.01):
            spec["value"] = b"v" * 5000
        if self.chance(0.25):
            spec["lease"] = self.lease()
        self.pick(spec, "prev_kv", [True], 0.3)
        if not ignoring:
            return spec
        if self.chance(0.06):
            spec["ignore_value"] = True
            if self.chance(0.8):
                spec.pop("value", None)
        if self.chance(0.06):
            spec["ignore_lease"] = True
            if self.chance(0.8):
                spec.pop("lease", None)
        return spec

    def delete(self):
        spec = {}
        self.span(spec)
        if "range_end" in spec and self.chance(0.5):
            # Not too often all of it.
            del spec["range_end"]
        self.pick(spec, "prev_kv", [True], 0.4)
        return spec

    def compare(self):
        rng = self.rng
        spec = {}
        self.span(spec)
        if self.chance(0.6):
            spec.pop("range_end", None)
        target = rng.choice([0, 1, 2, 3, 3, 4])
        spec["result"] = rng.choice([0, 0, 1, 2, 3])
        spec["target"] = target
        union = target if not self.chance(0.03) else rng.choice([0, 3, 4])
        if self.chance(0.98):
            if union == 0:
                spec["version"] = rng.choice([0, 0, 1, 2, 3, -1])
            elif union in (1, 2):
                name = ("create_revision", "mod_revision")[union - 1]
                spec[name] = self.revision()
            elif union == 3:
                spec["value"] = rng.choice(VALUES)
            else:
                spec["lease"] = rng.choice([0, 0] + LEASES)
        if self.chance(0.005):
            spec["target"] = 9
        if self.chance(0.005):
            spec["result"] = 9
        return spec

    def operation(self, depth):
        """What ignores a value or a lease that the same txn has deleted ends
        etcd 3.4: a txn has the one kind or the other."""
        roll = self.rng.random()
        if roll < 0.35:
            return {"request_range": self.range(alone=False)}
        if roll < 0.72:
            return {"request_put": self.put(not self.deleting)}
        if roll < 0.87:
            return {"request_delete_range": self.delete()} if self.deleting \
                else {"request_range": self.range(alone=False)}
        if roll < 0.995 and depth < 4:
            return {"request_txn": self.txn(depth + 1)}
        return {}

    def txn(self, depth=0):
        rng = self.rng
        if depth == 0:
            self.deleting = self.chance(0.7)
        count = rng.choices([0, 1, 2, 3], [35, 40, 17, 8])[0]
        spec = {"compare": [self.compare() for _ in range(count)]}
        for branch in ("success", "failure"):
            count = rng.choices([0, 1, 2, 3, 4], [12, 32, 30, 17, 9])[0]
            spec[branch] = [self.operation(depth) for _ in range(count)]
        if self.chance(0.004):
            many = {"compare": self.compare(),
                    "success": {"request_range": {"key": self.prefix}},
                    "failure": {"request_put": self.put(not self.deleting)}}
            name = rng.choice(list(many))
            spec[name] = [many[name]] * (OPS_MAX + rng.choice([0, 1]))
        return spec

    def compact(self):
        spec = {"revision": self.revision()}
        if not self.chance(0.1) and spec["revision"] > self.model.now - 2:
            # Mostly something stays to be read in the past.
            low = self.model.compacted
            spec["revision"] = At(low + self.rng.randint(
                0, max(self.model.now - low, 1) // 2))
        self.pick(spec, "physical", [True], 0.6)
        return spec

    def hash_kv(self):
        if self.chance(0.5):
            return {}
        return {"revision": self.revision()}

    # ---- leases -------------------------------------------------------------

    def grant(self):
        return {"TTL": self.rng.choice(TTLS), "ID": self.rng.choice(LEASES)}

    def grant_short(self):
        """One that would end by itself; it is revoked at once."""
        return {"TTL": self.rng.choice(SHORT_TTLS), "ID": 901}

    def revoke(self):
        return {"ID": 0 if self.chance(0.03) else self.lease()}

    def time_to_live(self):
        spec = {"ID": 0 if self.chance(0.03) else self.lease()}
        self.pick(spec, "keys", [True], 0.6)
        return spec

    def keep_alive(self):
        return [{"ID": self.lease()}
                for _ in range(self.rng.choice([1, 1, 1, 2, 4]))]

    # ---- watches ------------------------------------------------------------

    def watch(self, over):
        """`over`: ids of watches that a compaction has ended. etcd keeps
        these, so that none of them is taken anew here."""
        rng = self.rng
        spec = {}
        self.span(spec)
        if self.chance(0.3):
            spec["key"] = self.prefix
            spec["range_end"] = prefix_end(self.prefix)
        if self.chance(0.55):
            spec["start_revision"] = self.revision()
        self.pick(spec, "prev_kv", [True], 0.4)
        self.pick(spec, "filters", [[0], [1], [1], [0, 1], [0, 0], [5]], 0.25)
        self.pick(spec, "progress_notify", [True], 0.15)
        self.pick(spec, "fragment", [True], 0.15)
        ids = [7, 100, 1 << 40]
        if "start_revision" not in spec:
            # Those that etcd would choose itself.
            ids += [1, 2, 3]
        self.pick(spec, "watch_id", [one for one in ids if one not in over],
                  0.15)
        return spec

    def cancel(self, ids, over):
        """And none of `over` is cancelled once more: etcd would say so."""
        ids = [one for one in ids if one not in over]
        if ids and self.chance(0.9):
            return {"watch_id": self.rng.choice(ids)}
        return {"watch_id": self.rng.choice(
            [one for one in (0, 5, 77, -2) if one not in over])}

    # ---- others -------------------------------------------------------------

    def alarm(self):
        """Nothing that would stop the server from writing. (An action that
        there is not ends etcd 3.4.)"""
        return self.rng.choice([{}, {}, {"action": 0, "alarm": 1},
                                {"action": 2, "alarm": 1},
                                {"action": 2, "alarm": 2},
                                {"action": 2}])

    def wrong(self):
        """(path, body): what no client library would send."""
        rng = self.rng
        kv = "/etcdserverpb.KV/"
        roll = rng.random()
        if roll < 0.3:
            return (rng.choice([kv + "Nothing", "/etcdserverpb.None/Range",
                                "/none", kv, "/KV/Range", "/a/b/c"]), b"")
        if roll < 0.7:
            method = rng.choice([kv + "Range", kv + "Put", kv + "Txn",
                                 "/etcdserverpb.Lease/LeaseGrant"])
            return method, rng.choice([
                b"\x0a\x05ab", b"\x0a", b"\xff\xff\xff", b"\x0b", b"\x07\x01",
                b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01a",
                b"\x18" + b"\xff" * 10 + b"\x01"])
        if roll < 0.9:
            # Fields that nobody knows are skipped.
            return kv + "Range", b"\x0a\x01k" + rng.choice([
                b"\x78\x01", b"\xfa\x07\x02ab", b"\xf9\x07abcdefgh",
                b"\x0a\x01j"])
        return kv + "Put", (b"\x0a\x01k\x12" + varint(REQUEST_MAX) +
                            b"v" * REQUEST_MAX)


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)
