/* etcdserverpb.KV: keys and values. Writes go to the node as they came; reads
 * are made here, under the shared lock.
 *
 * The hot ones, Put and Range of a key, aren't decoded by protobuf-c: their
 * requests are views into the message.
 */
#include "base/check.h"
#include "base/time_text.h"
#include "proto/pb.h"
#include "rpc/count.h"
#include "rpc/kv_int.h"

enum {
    /* A longer answer is made in pieces. */
    ANSWER_BYTES_MAX = 1024 * 1024,
    SHARED_BYTES_MIN = 32 * 1024,
    COMPACTION_LOOK_MS = 20,
};

void kv__fail(struct call *call, enum err err, enum v3_error error)
{
    if (err != ERR_OK) {
        call__fail_err(call, err);
    } else {
        call__fail(call, error);
    }
}

void kv__tell_newest_time(struct call *call)
{
    CHECK(call->rpc->reading);
    call__tell_time(call, mvcc_newest_time_ns(node_mvcc(call->rpc->node)));
}

/* ---- writes ---------------------------------------------------------- */

static void finish_write(struct rpc *rpc, struct task *done)
{
    struct call *call = done->call;
    struct txn_answer *answer = &done->write.answer;
    (void)rpc;
    if (call != NULL) {
        if (done->write.err != ERR_OK || answer->error != V3_OK) {
            kv__fail(call, done->write.err, answer->error);
        } else {
            call__tell_time(call, answer->time_ns);
            call__answer(call, answer->revision, buf_slice(&answer->body));
        }
    }
    if (done->write.err == ERR_OK) {
        txn_answer_deinit(answer);
    }
}

static void propose(struct call *call, enum command_type type,
                    struct slice message)
{
    if (message.size > call->rpc->shared->request_bytes_max) {
        call__fail(call, V3_REQUEST_TOO_LARGE);
        return;
    }
    struct command command = {
        .type = type,
        .by_recipe = call->by_recipe,
        .message = message,
    };
    who__sign(call, &command);
    task__write(task__new(call->rpc, call, finish_write),
                command_encode(&command));
}

/* ---- Put ------------------------------------------------------------- */

static bool read_put(struct slice message, Etcdserverpb__PutRequest *put)
{
    struct pb_reader reader;
    struct pb_field field;
    etcdserverpb__put_request__init(put);
    pb_reader_init(&reader, message);
    while (pb_next(&reader, &field)) {
        if (field.number <= 6 &&
            field.type != (field.number <= 2 ? PB_BYTES : PB_VARINT)) {
            return false;
        }
        switch (field.number) {
        case 1:
            put->key = message_data(field.bytes);
            break;
        case 2:
            put->value = message_data(field.bytes);
            break;
        case 3:
            put->lease = (int64_t)field.value;
            break;
        case 4:
            put->prev_kv = field.value != 0;
            break;
        case 5:
            put->ignore_value = field.value != 0;
            break;
        case 6:
            put->ignore_lease = field.value != 0;
            break;
        default:
            break;
        }
    }
    return !reader.failed;
}

static void put(struct call *call, const Etcdserverpb__PutRequest *request,
                struct slice message)
{
    enum v3_error error = txn_check_put(request);
    who__about(call, message_bytes(request->key), SLICE(""));
    if (error != V3_OK) {
        call__fail(call, error);
        return;
    }
    propose(call, COMMAND_PUT, message);
}

bool kv__put_bytes(struct call *call, struct slice message)
{
    Etcdserverpb__PutRequest request;
    if (!read_put(message, &request)) {
        return false;
    }
    put(call, &request, message);
    return true;
}

/* What the gateway made of JSON, as bytes. */
static struct slice encoded(struct call *call, const ProtobufCMessage *request)
{
    struct buf *out = rpc__body(call->rpc);
    message_encode(request, out);
    return buf_slice(out);
}

void kv__put(struct call *call, ProtobufCMessage *request)
{
    put(call, (void *)request, encoded(call, request));
}

/* ---- DeleteRange ----------------------------------------------------- */

static void delete_range(struct call *call,
                         const Etcdserverpb__DeleteRangeRequest *request,
                         struct slice message)
{
    enum v3_error error = txn_check_delete_range(request);
    who__about(call, message_bytes(request->key),
               message_bytes(request->range_end));
    if (error != V3_OK) {
        call__fail(call, error);
        return;
    }
    propose(call, COMMAND_DELETE_RANGE, message);
}

/* Decoded, and proposed as it came. False: it can't be. */
static bool decode(struct call *call, struct slice message,
                   ProtobufCMessage **request)
{
    return message_decode(call->method->request, message, &call->arena,
                          request) == ERR_OK;
}

bool kv__delete_range_bytes(struct call *call, struct slice message)
{
    ProtobufCMessage *request;
    if (!decode(call, message, &request)) {
        return false;
    }
    delete_range(call, (void *)request, message);
    return true;
}

void kv__delete_range(struct call *call, ProtobufCMessage *request)
{
    delete_range(call, (void *)request, encoded(call, request));
}

/* ---- Txn ------------------------------------------------------------- */

static void read_txn(struct call *call, void *context)
{
    const Etcdserverpb__TxnRequest *request = context;
    struct rpc *rpc = call->rpc;
    struct txn_answer answer = {0};
    enum err err = ERR_OK;
    rpc__read_begin(rpc);
    kv__tell_newest_time(call);
    answer.error = auth_may_txn(node_auth(rpc->node), call->user, request,
                                node_leases(rpc->node));
    if (answer.error == V3_OK) {
        err = txn_read(rpc->reader, request, &answer);
    }
    rpc__read_end(rpc);
    count__add(COUNT_RANGES, (int64_t)answer.count.ranges);
    count__add(COUNT_READ_TXNS, answer.count.ranges > 1);
    if (err != ERR_OK || answer.error != V3_OK) {
        kv__fail(call, err, answer.error);
    } else {
        call__answer(call, answer.revision, buf_slice(&answer.body));
    }
    txn_answer_deinit(&answer);
}

static void about_txn(struct call *call,
                      const Etcdserverpb__TxnRequest *request)
{
    if (request->n_compare > 0) {
        who__about(call, message_bytes(request->compare[0]->key),
                   message_bytes(request->compare[0]->range_end));
    }
}

/* The request lives in the call's arena. */
static void txn(struct call *call, Etcdserverpb__TxnRequest *request,
                struct slice message)
{
    about_txn(call, request);
    enum v3_error error = txn_check(request, call->rpc->shared->txn_ops_max);
    if (error != V3_OK) {
        call__fail(call, error);
    } else if (txn_is_read_only(request)) {
        task__when_current(call, txn_is_serializable(request), request,
                           read_txn);
    } else {
        propose(call, COMMAND_TXN, message);
    }
}

bool kv__txn_bytes(struct call *call, struct slice message)
{
    ProtobufCMessage *request;
    if (!decode(call, message, &request)) {
        return false;
    }
    txn(call, (void *)request, message);
    return true;
}

void kv__txn(struct call *call, ProtobufCMessage *request)
{
    txn(call, (void *)request, encoded(call, request));
}

/* ---- Range ----------------------------------------------------------- */

/* The fields of a RangeRequest that are numbers, by their numbers. */
static bool set_number(Etcdserverpb__RangeRequest *range, uint32_t number,
                       uint64_t value)
{
    switch (number) {
    case 3:
        range->limit = (int64_t)value;
        break;
    case 4:
        range->revision = (int64_t)value;
        break;
    case 7:
        range->serializable = value != 0;
        break;
    case 8:
        range->keys_only = value != 0;
        break;
    case 9:
        range->count_only = value != 0;
        break;
    case 5:
    case 6:
    case 10:
    case 11:
    case 12:
    case 13:
        return false; /* rare: left to protobuf-c */
    default:
        break;
    }
    return true;
}

static bool read_range(struct slice message, Etcdserverpb__RangeRequest *range)
{
    struct pb_reader reader;
    struct pb_field field;
    etcdserverpb__range_request__init(range);
    pb_reader_init(&reader, message);
    while (pb_next(&reader, &field)) {
        if (field.number <= 13 &&
            field.type != (field.number <= 2 ? PB_BYTES : PB_VARINT)) {
            return false;
        }
        if (field.number == 1) {
            range->key = message_data(field.bytes);
        } else if (field.number == 2) {
            range->range_end = message_data(field.bytes);
        } else if (!set_number(range, field.number, field.value)) {
            return false;
        }
    }
    return !reader.failed;
}

Etcdserverpb__RangeRequest *kv__keep(struct call *call,
                                     const Etcdserverpb__RangeRequest *request)
{
    struct arena *arena = &call->arena;
    Etcdserverpb__RangeRequest *kept =
        arena_dup(arena, request, sizeof(*request));
    if (kept->key.len > 0) {
        kept->key.data = arena_dup(arena, kept->key.data, kept->key.len);
    }
    if (kept->range_end.len > 0) {
        kept->range_end.data =
            arena_dup(arena, kept->range_end.data, kept->range_end.len);
    }
    return kept;
}

static void fail_as_of(struct call *call, enum err err, const char *text)
{
    rpc__read_end(call->rpc);
    if (err == ERR_OK || err == ERR_NOT_FOUND) {
        call__fail_code(call, GRPC_INVALID_ARGUMENT, text);
    } else {
        call__fail_err(call, err);
    }
}

bool kv__may_range(struct call *call, const Etcdserverpb__RangeRequest *request)
{
    struct rpc *rpc = call->rpc;
    CHECK(rpc->reading);
    enum v3_error error =
        auth_may_range(node_auth(rpc->node), call->user, request);
    if (error != V3_OK) {
        rpc__read_end(rpc);
        call__fail(call, error);
    }
    return error == V3_OK;
}

bool kv__as_of(struct call *call, Etcdserverpb__RangeRequest *request)
{
    int64_t time_ns;
    revision at = 0;
    struct slice text = call__metadata(call, "etched-at");
    if (text.at == NULL) {
        return true;
    }
    if (!time_from_rfc3339(text, &time_ns)) {
        fail_as_of(call, ERR_OK, "etched: etched-at is no time of RFC 3339");
        return false;
    }
    if (request->revision > 0) {
        fail_as_of(call, ERR_OK,
                   "etched: etched-at and a revision exclude each other");
        return false;
    }
    enum err err = mvcc_revision_at(call->rpc->reader, time_ns, &at);
    if (err != ERR_OK) {
        fail_as_of(call, err, "etched: nothing was committed before etched-at");
        return false;
    }
    request->revision = at;
    return true;
}

/* The memory of rpc->out, for an answer that is made and sent at once. While
 * it is lent, who uses rpc->out (the gateway) has another. It begins with room
 * for the head of a refbuf. */
static struct buf lend_out(struct rpc *rpc)
{
    struct buf lent = *rpc__body(rpc);
    rpc->out = (struct buf){0};
    buf_reserve(&lent, rpc->range_bytes);
    buf_extend(&lent, REFBUF_HEAD_BYTES);
    return lent;
}

static void return_out(struct rpc *rpc, struct buf *lent)
{
    if (rpc->out.at == NULL) {
        rpc->out = *lent;
        *lent = (struct buf){0};
    } else {
        buf_deinit(lent);
    }
}

/* A long answer waits as it is for the client to take it; a short one is
 * copied to where frames are made. */
static void answer_range(struct call *call, struct txn_answer *answer)
{
    struct buf *made = &answer->body;
    struct rpc *rpc = call->rpc;
    size_t size = made->size - REFBUF_HEAD_BYTES;
    if (size < SHARED_BYTES_MIN) {
        rpc->range_bytes = 0;
        call__answer(call, answer->revision,
                     slice_of(made->at + REFBUF_HEAD_BYTES, size));
        return;
    }
    /* The next one is taken to be as long, so that it needn't grow. */
    rpc->range_bytes =
        made->size < RPC_OUT_BYTES_KEPT ? made->size + made->size / 8 : 0;
    struct refbuf *shared = refbuf_from(made->at, made->size);
    *made = (struct buf){0};
    call__answer_shared(call, answer->revision, shared);
    refbuf_unref(shared);
}

/* `request` need not outlive this. */
static void range_now(struct call *call, Etcdserverpb__RangeRequest *request)
{
    struct rpc *rpc = call->rpc;
    rpc__read_begin(rpc);
    if (!kv__may_range(call, request) || !kv__as_of(call, request)) {
        return;
    }
    struct txn_answer answer = {.body = lend_out(rpc)};
    kv__tell_newest_time(call);
    revision now = rpc__revision(rpc);
    size_t bytes_max = call->via->produce != NULL ? ANSWER_BYTES_MAX : SIZE_MAX;
    enum err err = txn_range(rpc->reader, request, now, bytes_max, &answer);
    rpc__read_end(rpc);
    if (err == ERR_TOO_LARGE) {
        kv__scan(call, kv__keep(call, request), now);
    } else if (err != ERR_OK || answer.error != V3_OK) {
        kv__fail(call, err, answer.error);
    } else {
        answer_range(call, &answer);
    }
    return_out(rpc, &answer.body);
}

static void range_current(struct call *call, void *context)
{
    range_now(call, context);
}

static bool is_learner(const struct rpc *rpc)
{
    struct node_progress progress;
    node_progress(rpc->node, &progress);
    return progress.is_learner;
}

/* `request` is kept where it has to wait. */
static void range(struct call *call, Etcdserverpb__RangeRequest *request)
{
    bool at_once =
        request->serializable || node_reads_are_current(call->rpc->node);
    if (!at_once && is_learner(call->rpc)) {
        call__fail(call, V3_NOT_SUPPORTED_FOR_LEARNER);
        return;
    }
    enum v3_error error = txn_check_range(request);
    who__about(call, message_bytes(request->key),
               message_bytes(request->range_end));
    if (error != V3_OK) {
        call__fail(call, error);
    } else if (at_once) {
        range_now(call, request);
    } else {
        task__when_current(call, false, kv__keep(call, request), range_current);
    }
}

bool kv__range_bytes(struct call *call, struct slice message)
{
    Etcdserverpb__RangeRequest request;
    if (!read_range(message, &request)) {
        return false;
    }
    range(call, &request);
    return true;
}

void kv__range(struct call *call, ProtobufCMessage *request)
{
    range(call, (void *)request);
}

static void stream_current(struct call *call, void *context)
{
    kv__scan_stream(call, context);
}

void kv__range_stream(struct call *call, ProtobufCMessage *request)
{
    Etcdserverpb__RangeRequest *range_request = (void *)request;
    enum v3_error error = txn_check_range(range_request);
    who__about(call, message_bytes(range_request->key),
               message_bytes(range_request->range_end));
    if (error != V3_OK) {
        call__fail(call, error);
        return;
    }
    task__when_current(call, range_request->serializable, range_request,
                       stream_current);
}

/* ---- Compact --------------------------------------------------------- */

/* A physical compaction is answered when what was dropped is gone. */
struct compaction {
    struct list link; /* in rpc->compactions */
    struct call *call;
    revision answer;
};

static bool is_compacting(struct rpc *rpc)
{
    struct mvcc_status status;
    lock_read(node_lock(rpc->node));
    mvcc_status(node_mvcc(rpc->node), &status);
    unlock_read(node_lock(rpc->node));
    return status.compacting;
}

static void leave_compaction(struct call *call)
{
    struct compaction *compaction = call->context;
    list_remove(&compaction->link);
}

static void wait_for_compaction(struct call *call, revision answer)
{
    struct compaction *compaction =
        arena_alloc(&call->arena, sizeof(*compaction));
    *compaction = (struct compaction){.call = call, .answer = answer};
    list_push_back(&call->rpc->compactions, &compaction->link);
    call->context = compaction;
    call->on_gone = leave_compaction;
}

static void finish_compact(struct rpc *rpc, struct task *done)
{
    struct call *call = done->call;
    if (call == NULL || done->write.err != ERR_OK ||
        done->write.answer.error != V3_OK || done->number == 0 ||
        !is_compacting(rpc)) {
        finish_write(rpc, done);
        return;
    }
    wait_for_compaction(call, done->write.answer.revision);
    txn_answer_deinit(&done->write.answer);
}

void kv__compact(struct call *call, ProtobufCMessage *request)
{
    const Etcdserverpb__CompactionRequest *compact = (void *)request;
    struct command command = {
        .type = COMMAND_COMPACT,
        .compact = compact->revision,
    };
    who__sign(call, &command);
    struct task *task = task__new(call->rpc, call, finish_compact);
    task->number = compact->physical ? 1 : 0;
    task__write(task, command_encode(&command));
}

void kv__tick(struct rpc *rpc)
{
    struct list *node;
    if (list_is_empty(&rpc->compactions) || is_compacting(rpc)) {
        return;
    }
    while ((node = list_first(&rpc->compactions)) != NULL) {
        struct compaction *done = CONTAINER_OF(node, struct compaction, link);
        list_remove(node);
        call__answer(done->call, done->answer, SLICE(""));
    }
}

int64_t kv__deadline_ms(const struct rpc *rpc)
{
    return list_is_empty(&rpc->compactions) ? INT64_MAX
                                            : rpc->now_ms + COMPACTION_LOOK_MS;
}
