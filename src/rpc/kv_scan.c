/* Ranges whose answers are long, in bounded memory: at one revision, with the
 * lock given up between the pieces.
 *
 *   Range        MEASURE --rpc->steps--> PRODUCE: one message of a known
 *                                        length, pulled as the client reads
 *   RangeStream  messages, pushed while the client reads; header, count and
 *                more are in the last one
 *
 * A scan that a compaction overtakes breaks off: the stream is reset, or the
 * call fails.
 */
#include "base/check.h"
#include "proto/pb.h"
#include "rpc/kv_int.h"

enum {
    /* In one slice, with the lock held. */
    MEASURED_KEYS_MAX = 4096,
    CHUNK_KEYS_FIRST = 10,
    CHUNK_BYTES = 512 * 1024,
    RESPONSE = 1, /* RangeStreamResponse.range_response */
};

/* Clients of gRPC take no message that is longer. */
#define MESSAGE_BYTES_MAX ((uint64_t)INT32_MAX)

struct scan {
    struct list link; /* in rpc->steps, while it is measured */
    struct call *call;
    struct txn_scan *scan;
    uint64_t bytes;
    uint64_t made;
    bool first; /* nothing was sent yet */
    size_t head_size;
    char head[RPC_HEADER_BYTES_MAX];
};

static void free_scan(struct scan *scan)
{
    list_remove(&scan->link);
    txn_scan_free(scan->scan);
    mem_free(scan);
}

static void on_gone(struct call *call)
{
    free_scan(call->context);
}

static void fail(struct scan *scan, enum err err)
{
    struct call *call = scan->call;
    free_scan(scan);
    call__fail_err(call, err);
}

/* NULL: the call has failed. Needs: rpc__read_begin; it is ended. */
static struct scan *new_scan(struct call *call,
                             const Etcdserverpb__RangeRequest *request,
                             revision now)
{
    struct rpc *rpc = call->rpc;
    struct txn_answer answer = {0};
    struct txn_scan *inner = NULL;
    enum err err = txn_scan_new(rpc->reader, request, now, &answer, &inner);
    rpc__read_end(rpc);
    if (err != ERR_OK || answer.error != V3_OK) {
        enum v3_error error = answer.error;
        txn_answer_deinit(&answer);
        kv__fail(call, err, error);
        return NULL;
    }
    struct scan *scan = mem_alloc_zero(sizeof(*scan));
    list_init(&scan->link);
    scan->call = call;
    scan->scan = inner;
    scan->first = true;
    scan->head_size = rpc__header(rpc, answer.revision, scan->head);
    txn_answer_deinit(&answer);
    call->context = scan;
    call->on_gone = on_gone;
    return scan;
}

/* ---- one message ----------------------------------------------------- */

static enum http_more produce(struct http_exchange *exchange, void *context,
                              struct buf *out)
{
    struct scan *scan = context;
    struct rpc *rpc = scan->call->rpc;
    size_t before = out->size;
    bool done = false;
    if (scan->first) {
        scan->first = false;
        buf_append(out, scan->head, scan->head_size);
    }
    rpc__read_begin(rpc);
    enum err err =
        txn_scan_next(scan->scan, rpc->reader, RPC_PIECE_BYTES, out, &done);
    rpc__read_end(rpc);
    scan->made += out->size - before;
    if (err == ERR_OK && !done) {
        return HTTP_MORE;
    }
    CHECK(err != ERR_OK || scan->made == scan->bytes);
    free_scan(scan);
    if (err != ERR_OK) {
        http_fail(exchange);
    }
    return HTTP_LAST;
}

static void begin_message(struct scan *scan)
{
    struct call *call = scan->call;
    scan->bytes += scan->head_size;
    if (scan->bytes > MESSAGE_BYTES_MAX) {
        const char *text = arena_printf(
            &call->arena,
            "grpc: trying to send message larger than max (%llu vs. %llu)",
            (unsigned long long)scan->bytes,
            (unsigned long long)MESSAGE_BYTES_MAX);
        free_scan(scan);
        call__fail_code(call, GRPC_RESOURCE_EXHAUSTED, text);
        return;
    }
    call->via->produce(call, scan->bytes, produce, scan);
}

static void measure(struct scan *scan)
{
    struct rpc *rpc = scan->call->rpc;
    bool done = false;
    rpc__read_begin(rpc);
    enum err err = txn_scan_measure(scan->scan, rpc->reader, MEASURED_KEYS_MAX,
                                    &done, &scan->bytes);
    rpc__read_end(rpc);
    if (err != ERR_OK) {
        fail(scan, err);
    } else if (done) {
        list_remove(&scan->link);
        begin_message(scan);
    }
}

void kv__scan(struct call *call, const Etcdserverpb__RangeRequest *request,
              revision now)
{
    rpc__read_begin(call->rpc);
    struct scan *scan = new_scan(call, request, now);
    if (scan != NULL) {
        list_push_back(&call->rpc->steps, &scan->link);
    }
}

/* One after the other, so that each has its turn. */
bool kv__step(struct rpc *rpc)
{
    struct list *node = list_first(&rpc->steps);
    if (node == NULL) {
        return false;
    }
    list_remove(node);
    list_push_back(&rpc->steps, node);
    measure(CONTAINER_OF(node, struct scan, link));
    return !list_is_empty(&rpc->steps);
}

/* ---- many messages --------------------------------------------------- */

/* A chunk's bytes are fields of a RangeResponse: what stands before them says
 * how many they are. Returns how long that is. */
static size_t
put_chunk_head(const struct scan *scan, size_t size, bool last,
               char head[1 + VARINT_BYTES_MAX + RPC_HEADER_BYTES_MAX])
{
    size_t header = last ? scan->head_size : 0;
    head[0] = RESPONSE << 3 | PB_BYTES;
    size_t at = 1 + put_varint(head + 1, size + header);
    memcpy(head + at, scan->head, header);
    return at + header;
}

/* The first one is short, so that the client has something to begin with. */
static enum err make_chunk(struct scan *scan, struct buf *out, bool *last)
{
    struct rpc *rpc = scan->call->rpc;
    enum err err = ERR_OK;
    size_t pieces = 0;
    *last = false;
    rpc__read_begin(rpc);
    if (scan->first) {
        for (; pieces < CHUNK_KEYS_FIRST && err == ERR_OK && !*last; pieces++) {
            err = txn_scan_next(scan->scan, rpc->reader, 1, out, last);
        }
    } else {
        err = txn_scan_next(scan->scan, rpc->reader, CHUNK_BYTES, out, last);
    }
    rpc__read_end(rpc);
    scan->first = false;
    return err;
}

static void send_chunks(struct call *call)
{
    struct scan *scan = call->context;
    char head[1 + VARINT_BYTES_MAX + RPC_HEADER_BYTES_MAX];
    bool last = false;
    while (!last && call__unsent(call) <= LIMIT_HTTP_OUT_HIGH_BYTES) {
        struct buf *out = rpc__body(call->rpc);
        enum err err = make_chunk(scan, out, &last);
        if (err != ERR_OK) {
            fail(scan, err);
            return;
        }
        size_t size = put_chunk_head(scan, out->size, last, head);
        call__send_parts(call, slice_of(head, size), buf_slice(out));
    }
    if (last) {
        free_scan(scan);
        call__finish(call);
    }
}

void kv__scan_stream(struct call *call,
                     const Etcdserverpb__RangeRequest *request)
{
    Etcdserverpb__RangeRequest *kept = kv__keep(call, request);
    rpc__read_begin(call->rpc);
    if (!kv__may_range(call, kept) || !kv__as_of(call, kept)) {
        return;
    }
    kv__tell_newest_time(call);
    struct scan *scan = new_scan(call, kept, rpc__revision(call->rpc));
    if (scan != NULL) {
        call->on_drained = send_chunks;
        send_chunks(call);
    }
}
