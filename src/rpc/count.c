#include "rpc/count.h"

#include <stdatomic.h>

#include "base/check.h"
#include "rpc/rpc_int.h"

enum { METHODS_MAX = 80, CODES = GRPC_UNAUTHENTICATED + 1 };

static struct counted {
    _Atomic uint64_t started;
    _Atomic uint64_t handled[CODES];
    _Atomic uint64_t received;
    _Atomic uint64_t received_bytes;
    _Atomic uint64_t sent;
    _Atomic uint64_t sent_bytes;
} counts[METHODS_MAX];

static _Atomic int64_t numbers[COUNT_NUMBERS];

static const char *const code_names[CODES] = {
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
};

static void add(_Atomic uint64_t *to, uint64_t by)
{
    atomic_fetch_add_explicit(to, by, memory_order_relaxed);
}

static uint64_t get(_Atomic uint64_t *from)
{
    return atomic_load_explicit(from, memory_order_relaxed);
}

static struct counted *counted_of(const struct method *method)
{
    size_t count;
    ptrdiff_t at = method - method__table(&count);
    CHECK(at >= 0 && (size_t)at < count && count <= METHODS_MAX);
    return &counts[at];
}

void count__started(const struct method *method)
{
    add(&counted_of(method)->started, 1);
}

void count__handled(const struct method *method, enum grpc_code code)
{
    CHECK_LT((unsigned)code, CODES);
    add(&counted_of(method)->handled[code], 1);
}

void count__received(const struct method *method, size_t bytes)
{
    add(&counted_of(method)->received, 1);
    add(&counted_of(method)->received_bytes, bytes);
}

void count__sent(const struct method *method, size_t bytes)
{
    add(&counted_of(method)->sent, 1);
    add(&counted_of(method)->sent_bytes, bytes);
}

void count__add(enum count_number number, int64_t by)
{
    CHECK_LT(number, COUNT_NUMBERS);
    atomic_fetch_add_explicit(&numbers[number], by, memory_order_relaxed);
}

const char *count__code_name(enum grpc_code code)
{
    CHECK_LT((unsigned)code, CODES);
    return code_names[code];
}

/* ---- the text -------------------------------------------------------- */

static void head(struct buf *out, const char *name, const char *type,
                 const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void number(struct buf *out, const char *name, const char *type,
                   uint64_t value, const char *help)
{
    head(out, name, type, help);
    buf_printf(out, "%s %llu\n", name, (unsigned long long)value);
}

/* grpc_method="Range",grpc_service="etcdserverpb.KV",grpc_type="unary" */
static void labels(struct buf *out, const struct method *method)
{
    struct slice path = slice_str(method->path + 1);
    ptrdiff_t slash = slice_find(path, '/');
    CHECK_LT(0, slash);
    const char *type = !method->server_streams  ? "unary"
                       : method->client_streams ? "bidi_stream"
                                                : "server_stream";
    buf_printf(out, "grpc_method=\"%s\",grpc_service=\"%.*s\",grpc_type=\"%s\"",
               path.at + slash + 1, (int)slash, path.at, type);
}

static void by_method(struct buf *out, const char *name, size_t field,
                      const char *help)
{
    size_t count;
    const struct method *methods = method__table(&count);
    head(out, name, "counter", help);
    for (size_t i = 0; i < count; i++) {
        void *at = (char *)&counts[i] + field;
        buf_printf(out, "%s{", name);
        labels(out, &methods[i]);
        buf_printf(out, "} %llu\n", (unsigned long long)get(at));
    }
}

/* Codes that no call has had yet are left out, as etcd does. */
static void by_code(struct buf *out)
{
    const char *name = "grpc_server_handled_total";
    size_t count;
    const struct method *methods = method__table(&count);
    head(out, name, "counter", "Calls that have ended, by their status.");
    for (size_t i = 0; i < count; i++) {
        for (unsigned code = 0; code < CODES; code++) {
            uint64_t value = get(&counts[i].handled[code]);
            if (value > 0) {
                buf_printf(out, "%s{grpc_code=\"%s\",", name, code_names[code]);
                labels(out, &methods[i]);
                buf_printf(out, "} %llu\n", (unsigned long long)value);
            }
        }
    }
}

static struct counted *by_path(const char *path)
{
    return counted_of(method__find(slice_str(path)));
}

static uint64_t well(const char *path)
{
    return get(&by_path(path)->handled[GRPC_OK]);
}

/* Calls of this method that are open. */
static uint64_t open_calls(const char *path)
{
    struct counted *counted = by_path(path);
    uint64_t ended = 0;
    for (unsigned code = 0; code < CODES; code++) {
        ended += get(&counted->handled[code]);
    }
    uint64_t started = get(&counted->started);
    return started > ended ? started - ended : 0;
}

static uint64_t now(enum count_number which)
{
    int64_t value = atomic_load_explicit(&numbers[which], memory_order_relaxed);
    return value > 0 ? (uint64_t)value : 0;
}

/* As etcd counts: what was applied here, whoever was asked for it, and what
 * was read here. */
static void write_store(struct buf *out, const struct node *node)
{
    struct node_counters done;
    node_counters(node, &done);
    number(out, "etcd_mvcc_range_total", "counter",
           well("/etcdserverpb.KV/Range") +
               well("/etcdserverpb.KV/RangeStream") + now(COUNT_RANGES) +
               done.ranges,
           "v3 ranges by this member.");
    number(out, "etcd_mvcc_put_total", "counter", done.puts,
           "v3 puts applied, those in txns too.");
    number(out, "etcd_mvcc_delete_total", "counter", done.deletes,
           "v3 deletions applied, those in txns and of leases too.");
    number(out, "etcd_mvcc_txn_total", "counter",
           done.txns + now(COUNT_READ_TXNS),
           "v3 requests of more than one operation.");
    number(out, "etcd_debugging_lease_granted_total", "counter",
           done.leases_granted, "Leases granted.");
    number(out, "etcd_debugging_lease_revoked_total", "counter",
           done.leases_revoked, "Leases revoked, or expired.");
    number(out, "etcd_debugging_lease_renewed_total", "counter",
           done.leases_renewed, "Leases kept alive.");
}

static void write_watches(struct buf *out)
{
    number(out, "etcd_debugging_mvcc_watch_stream_total", "gauge",
           open_calls("/etcdserverpb.Watch/Watch"),
           "v3 streams of watches that are open.");
    number(out, "etcd_debugging_mvcc_watcher_total", "gauge",
           now(COUNT_WATCHERS), "v3 watches that are open.");
    number(out, "etcd_debugging_mvcc_slow_watcher_total", "gauge",
           now(COUNT_SLOW_WATCHERS), "v3 watches that read history.");
    number(out, "etcd_debugging_mvcc_events_total", "counter",
           now(COUNT_EVENTS), "Events sent to v3's watches.");
}

static void write_bytes(struct buf *out)
{
    uint64_t received = 0;
    uint64_t sent = 0;
    for (size_t i = 0; i < METHODS_MAX; i++) {
        received += get(&counts[i].received_bytes);
        sent += get(&counts[i].sent_bytes);
    }
    number(out, "etcd_network_client_grpc_received_bytes_total", "counter",
           received, "Bytes of clients' messages.");
    number(out, "etcd_network_client_grpc_sent_bytes_total", "counter", sent,
           "Bytes of messages to clients.");
}

void rpc_metrics(const struct node *node, struct buf *out)
{
    by_method(out, "grpc_server_started_total",
              offsetof(struct counted, started), "Calls that have begun.");
    by_code(out);
    by_method(out, "grpc_server_msg_received_total",
              offsetof(struct counted, received), "Messages that came.");
    by_method(out, "grpc_server_msg_sent_total", offsetof(struct counted, sent),
              "Messages sent.");
    write_bytes(out);
    write_store(out, node);
    write_watches(out);
}
