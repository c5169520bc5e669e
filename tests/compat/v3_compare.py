"""What comes back, in a form that two servers can agree on; and where they may
differ (docs/compat-v3.md gives the reasons)."""
import re

REVISIONS = {"revision", "create_revision", "mod_revision",
             "compact_revision", "hash_revision", "rev"}
TTL_APART = 3


def relative(number, base):
    """0 and -1 are no revisions, and 1 is one that is asked for as it is."""
    return number - base if number > 1 else number


def header(message, base):
    """Ids are compared by whether they are there."""
    return {"revision": relative(message.revision, base),
            "ids": [message.cluster_id != 0, message.member_id != 0,
                    message.raft_term != 0]}


def plain(message, base):
    """A message as a dict of what is set, revisions relative."""
    out = {}
    for field, value in message.ListFields():
        name = field.name
        if name == "header":
            out[name] = header(value, base)
        elif field.message_type is not None:
            if field.label == field.LABEL_REPEATED:
                out[name] = [plain(one, base) for one in value]
            else:
                out[name] = plain(value, base)
        elif field.label == field.LABEL_REPEATED:
            out[name] = list(value)
        elif name in REVISIONS:
            out[name] = relative(value, base)
        else:
            out[name] = value
    unknown = message.UnknownFields()
    if len(unknown):
        out["unknown"] = [one.field_number for one in unknown]
    shape = SHAPES.get(message.DESCRIPTOR.name)
    if shape is not None:
        shape(message, out)
    return out


# ---- messages of which only the form can be compared ------------------------

def status_shape(message, out):
    out["version"] = re.sub(r"\d+", "N", message.version)
    out["leader"] = message.leader == message.header.member_id
    out["raftTerm"] = message.raftTerm == message.header.raft_term
    out["dbSize"] = 0 < message.dbSizeInUse <= message.dbSize
    for name in ("raftIndex", "raftAppliedIndex"):
        out[name] = name in out
    out.pop("dbSizeInUse", None)


def members_shape(message, out):
    for member in out.get("members", ()):
        member["ID"] = member["ID"] == message.header.member_id
        for name in ("peerURLs", "clientURLs"):
            member[name] = [re.sub(r":\d+$", ":N", url)
                            for url in member.get(name, ())]


def alarm_shape(message, out):
    for alarm in out.get("alarms", ()):
        alarm["memberID"] = alarm.get("memberID") == message.header.member_id


def hash_shape(_message, out):
    out["hash"] = "hash" in out


def leases_shape(_message, out):
    # etcd sorts by when they end; equal ones have no order.
    out["leases"] = sorted(lease["ID"] for lease in out.get("leases", ()))


def lease_shape(_message, out):
    # etcd gives them in no order.
    out["keys"] = sorted(out.get("keys", ()))


SHAPES = {"StatusResponse": status_shape, "MemberListResponse": members_shape,
          "AlarmResponse": alarm_shape, "HashResponse": hash_shape,
          "LeaseLeasesResponse": leases_shape,
          "LeaseTimeToLiveResponse": lease_shape}


# ---- what may differ --------------------------------------------------------
# Each makes our answer into what etcd's would be, where it is different on
# purpose; None where it has nothing to say.

def unreadable(request, theirs, ours):
    """Both refuse what is no message; the words are the decoder's."""
    if request.get("wrong") and theirs["code"] == "INTERNAL" and \
            "unmarshal" in theirs["message"] and \
            "unmarshal" in ours["message"]:
        return {**ours, "message": theirs["message"]}
    return None


def unordered(request, theirs, ours):
    """etcd 3.4 takes an order that there is not for none; 3.6 refuses it."""
    if "'sort_order': 3" in str(request) and \
            ours["message"] == "etcdserver: invalid sort option":
        return theirs
    return None


def later_fields(*names):
    """Fields that 3.4 does not have."""
    def forgive(_request, theirs, ours):
        there = [name for name in names if name in (ours.get("body") or ())
                 and name not in (theirs.get("body") or ())]
        if not there or not isinstance(theirs.get("body"), dict):
            return None
        return {**ours, "body": {name: value for name, value
                                 in ours["body"].items() if name not in there}}
    return forgive


def whole_header(request, theirs, ours):
    """Answers of Alarm have no header with 3.4, those about members none with
    a revision; 3.6 fills them."""
    if not request["name"].startswith(("Alarm", "Defragment", "Member")) or \
            theirs["code"] != "OK" or ours["code"] != "OK":
        return None
    header = ours["body"].get("header", {})
    if header.get("ids") != [True, True, True] or \
            header.get("revision", -1) < 0:
        return None
    return {**ours, "body": {name: (theirs["body"].get(name) if name ==
                                    "header" else value)
                             for name, value in ours["body"].items()
                             if name != "header" or "header" in
                             theirs["body"]}}


def far_end(_request, theirs, ours):
    """Times are nanoseconds since 1970 in 64 bits: they end in 2262."""
    body = ours.get("body") or {}
    if body.get("grantedTTL") == 9000000000 and \
            7000000000 < body.get("TTL", 0) < 9000000000:
        return {**ours, "body": {**body, "TTL": theirs["body"].get("TTL")}}
    return None


def no_method(_request, theirs, ours):
    """The code that gRPC has for it today."""
    if theirs["code"] == "RESOURCE_EXHAUSTED" and \
            "malformed method name" in theirs["message"] and \
            ours["code"] == "UNIMPLEMENTED":
        return {**ours, "code": theirs["code"]}
    return None


def health_by_name(request, theirs, ours):
    """3.4 knows the health of the whole alone."""
    if request["name"] == "HealthCheckRequest" and \
            request["spec"].get("service") == "etcdserverpb.KV" and \
            ours.get("body") == {"status": 1}:
        return theirs
    return None


DIFFERENCES = {
    "a lease ends in 2262 at the latest": far_end,
    "a malformed method name is UNIMPLEMENTED": no_method,
    "each service's health is known by its name": health_by_name,
    "a body that can't be decoded: other words": unreadable,
    "a sort order that there is not is refused": unordered,
    "Status has the fields of 3.6": later_fields(
        "storageVersion", "dbSizeQuota", "downgradeInfo"),
    "HashKV says hash_revision": later_fields("hash_revision"),
    "a header is whole where 3.4's is not": whole_header,
}


def close_ttl(theirs, ours):
    """Seconds that are left: they may have passed between the two."""
    bodies = (theirs.get("body") or {}, ours.get("body") or {})
    if all("grantedTTL" in body and "TTL" in body for body in bodies):
        if abs(bodies[0]["TTL"] - bodies[1]["TTL"]) <= TTL_APART:
            bodies[0]["TTL"] = bodies[1]["TTL"] = "close"


def same(request, theirs, ours, tally):
    if theirs == ours:
        return True
    close_ttl(theirs, ours)
    if theirs == ours:
        return True
    names = []
    for name, forgive in DIFFERENCES.items():
        made = forgive(request, theirs, ours)
        if made is not None and made != ours:
            ours = made
            names.append(name)
    if theirs != ours:
        return False
    for name in names:
        tally[name] = tally.get(name, 0) + 1
    return True


def first_difference(theirs, ours, path=""):
    """The innermost place where the two part, as lines."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for name in list(theirs) + [n for n in ours if n not in theirs]:
            if theirs.get(name) != ours.get(name):
                return first_difference(theirs.get(name), ours.get(name),
                                        f"{path}.{name}")
    if isinstance(theirs, list) and isinstance(ours, list):
        for at in range(max(len(theirs), len(ours))):
            pair = [side[at] if at < len(side) else "(nothing)"
                    for side in (theirs, ours)]
            if pair[0] != pair[1]:
                return first_difference(*pair, f"{path}[{at}]")
    return [f"at {path or '.'}:", f"  etcd   {theirs!r}",
            f"  etched {ours!r}"]
