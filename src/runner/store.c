/* Calls to the store: requests made, answers read, callbacks.
 *
 * Requests are written with proto/pb.h. An answer is told once; a call that
 * was canceled, or that timed out, is forgotten, and its answer passed over. */
#include "proto/message.h"
#include "proto/rpc.pb-c.h"
#include "runner/runner_core.h"

enum {
    CODE_OK = 0,
    CODE_CANCELED = 1,
    CODE_DEADLINE = 4,
    CODE_INTERNAL = 13,
    CODE_UNAVAILABLE = 14
};

struct call {
    uint64_t id;
    enum runner_method method;
    bool is_raw;
    store_done done;
    void *context;
    struct list age;
    int64_t sent_ns;
};

const char *runner_method_path(enum runner_method method)
{
    static const char *const paths[RUNNER_METHOD_COUNT] = {
        [RUNNER_RANGE] = "/etcdserverpb.KV/Range",
        [RUNNER_TXN] = "/etcdserverpb.KV/Txn",
        [RUNNER_LEASE_GRANT] = "/etcdserverpb.Lease/LeaseGrant",
        [RUNNER_LEASE_REVOKE] = "/etcdserverpb.Lease/LeaseRevoke",
        [RUNNER_LEASE_KEEPALIVE] = "/etcdserverpb.Lease/LeaseKeepAlive",
        [RUNNER_COMPACT] = "/etcdserverpb.KV/Compact",
        [RUNNER_HISTORY] = "/etched.v1.History/Records",
        [RUNNER_REVISION_AT] = "/etched.v1.History/RevisionAt",
    };
    CHECK_LT(method, RUNNER_METHOD_COUNT);
    return paths[method];
}

void store__init(struct runner *runner)
{
    struct store *store = &runner->store;
    map_u64_init(&store->calls);
    list_init(&store->by_age);
    arena_init(&store->arena, 0);
}

void store__deinit(struct runner *runner)
{
    struct store *store = &runner->store;
    size_t position = 0;
    uint64_t id;
    struct call *call;
    while ((call = map_u64_next(&store->calls, &position, &id)))
        mem_free(call);
    map_u64_deinit(&store->calls);
    arena_deinit(&store->arena);
}

/* ---- calls -------------------------------------------------------------- */

static void knock(struct runner *runner, uint64_t id, enum runner_method method,
                  struct slice user, struct slice request)
{
    const struct runner_doors *doors = &runner->config.doors;
    if (user.at && doors->call_as)
        doors->call_as(doors->context, id, method, user, request);
    else
        doors->call(doors->context, id, method, request);
}

static uint64_t send_call(struct runner *runner, enum runner_method method,
                          struct slice user, struct slice request, bool is_raw,
                          store_done done, void *context)
{
    struct store *store = &runner->store;
    struct call *call = mem_alloc(sizeof *call);
    *call = (struct call){
        .id = ++store->next_id,
        .method = method,
        .is_raw = is_raw,
        .done = done,
        .context = context,
        .sent_ns = runner->now.mono_ns,
    };
    list_init(&call->age);
    /* A read of history may take as long as it likes. */
    if (method != RUNNER_HISTORY)
        list_push_back(&store->by_age, &call->age);
    map_u64_put(&store->calls, call->id, call);
    knock(runner, call->id, method, user, request);
    return call->id;
}

uint64_t store__call(struct runner *runner, enum runner_method method,
                     struct slice request, store_done done, void *context)
{
    return send_call(runner, method, slice_of(NULL, 0), request, false, done,
                     context);
}

uint64_t store__call_as(struct runner *runner, enum runner_method method,
                        struct slice user, struct slice request,
                        store_done done, void *context)
{
    return send_call(runner, method, user, request, false, done, context);
}

uint64_t store__call_raw(struct runner *runner, enum runner_method method,
                         struct slice request, store_done done, void *context)
{
    return send_call(runner, method, slice_of(NULL, 0), request, true, done,
                     context);
}

static struct call *take_call(struct store *store, uint64_t id)
{
    struct call *call = map_u64_remove(&store->calls, id);
    if (call)
        list_remove(&call->age);
    return call;
}

void store__cancel(struct runner *runner, uint64_t id)
{
    if (id != 0)
        mem_free(take_call(&runner->store, id));
}

/* Says once that the store is away, and once that it is back. */
static void note_presence(struct runner *runner, int code, struct slice text)
{
    struct store *store = &runner->store;
    bool is_away = code == CODE_UNAVAILABLE || code == CODE_DEADLINE;
    if (is_away == store->is_away || (!is_away && code != CODE_OK))
        return;
    store->is_away = is_away;
    if (is_away) {
        store->away_since_ns = runner->now.mono_ns;
        log_warn("recipes", "the store is away; nothing is lost meanwhile",
                 LOG_SLICE("why", text));
        return;
    }
    int64_t away_ns = runner->now.mono_ns - store->away_since_ns;
    log_info("recipes", "the store is back",
             LOG_INT("away_ms", away_ns / MILLI_NS));
}

static bool decode(struct store *store, const struct call *call,
                   struct store_answer *answer)
{
    ProtobufCMessage *message = NULL;
    const ProtobufCMessageDescriptor *type =
        call->method == RUNNER_RANGE ? &etcdserverpb__range_response__descriptor
                                     : &etcdserverpb__txn_response__descriptor;
    if (message_decode(type, answer->message, &store->arena, &message))
        return false;
    if (call->method == RUNNER_RANGE)
        answer->range = (const Etcdserverpb__RangeResponse *)message;
    else
        answer->txn = (const Etcdserverpb__TxnResponse *)message;
    return true;
}

static void tell(struct runner *runner, struct call *call,
                 struct store_answer *answer)
{
    struct store *store = &runner->store;
    note_presence(runner, answer->code, answer->text);
    bool is_kv = call->method == RUNNER_RANGE || call->method == RUNNER_TXN;
    if (answer->code == CODE_OK && is_kv) {
        runner__see_revision(runner, store__header_revision(answer->message));
        if (!call->is_raw && !decode(store, call, answer)) {
            answer->code = CODE_INTERNAL;
            answer->text = SLICE("the answer can't be read");
        }
    }
    call->done(runner, call->context, answer);
    arena_reset(&store->arena);
}

void runner_answered(struct runner *runner, uint64_t id, int code,
                     struct slice text, struct slice message, bool more)
{
    struct store *store = &runner->store;
    struct call *call = map_u64_get(&store->calls, id);
    if (!call)
        return;
    struct store_answer answer = {
        .code = code, .text = text, .message = message, .more = more};
    if (more) {
        CHECK_EQ(call->method, RUNNER_HISTORY);
        call->done(runner, call->context, &answer);
        return;
    }
    take_call(store, id);
    tell(runner, call, &answer);
    mem_free(call);
}

int64_t store__run(struct runner *runner)
{
    struct store *store = &runner->store;
    while (!list_is_empty(&store->by_age)) {
        struct call *call =
            CONTAINER_OF(list_first(&store->by_age), struct call, age);
        int64_t at_ns = call->sent_ns + CALL_TIMEOUT_S * SECOND_NS;
        if (at_ns > runner->now.mono_ns)
            return at_ns;
        take_call(store, call->id);
        struct store_answer answer = {.code = CODE_DEADLINE,
                                      .text = SLICE("no answer")};
        tell(runner, call, &answer);
        mem_free(call);
    }
    return INT64_MAX;
}

bool store__is_unsure(const struct store_answer *answer)
{
    /* INVALID_ARGUMENT, NOT_FOUND, PERMISSION_DENIED, RESOURCE_EXHAUSTED,
     * FAILED_PRECONDITION, OUT_OF_RANGE, UNIMPLEMENTED, UNAUTHENTICATED: the
     * store has refused it. */
    const unsigned refusals = 1u << 3 | 1u << 5 | 1u << 7 | 1u << 8 | 1u << 9 |
                              1u << 11 | 1u << 12 | 1u << 16;
    if (answer->code == CODE_OK)
        return false;
    return answer->code < 0 || answer->code > 16 ||
           !(refusals >> answer->code & 1);
}

/* ---- answers, in place -------------------------------------------------- */

int64_t store__header_revision(struct slice message)
{
    struct pb_reader reader;
    struct pb_field field;
    pb_reader_init(&reader, message);
    while (pb_next(&reader, &field)) {
        if (field.number != 1 || field.type != PB_BYTES)
            continue;
        struct pb_reader header;
        pb_reader_init(&header, field.bytes);
        while (pb_next(&header, &field))
            if (field.number == 3 && field.type == PB_VARINT)
                return (int64_t)field.value;
        return 0;
    }
    return 0;
}

bool store__succeeded(struct slice message, int64_t *revision)
{
    struct pb_reader reader;
    struct pb_field field;
    bool succeeded = false;
    *revision = store__header_revision(message);
    pb_reader_init(&reader, message);
    while (pb_next(&reader, &field))
        if (field.number == 2 && field.type == PB_VARINT)
            succeeded = field.value != 0;
    return succeeded && !reader.failed;
}

/* ---- requests ----------------------------------------------------------- */

size_t store__nest(struct buf *out, uint32_t number)
{
    char tag[VARINT_BYTES_MAX];
    buf_append(out, tag, put_varint(tag, (uint64_t)number << 3 | PB_BYTES));
    return out->size;
}

void store__unnest(struct buf *out, size_t mark)
{
    CHECK_LE(mark, out->size);
    char length[VARINT_BYTES_MAX];
    size_t body = out->size - mark;
    size_t bytes = put_varint(length, body);
    buf_extend(out, bytes);
    memmove(out->at + mark + bytes, out->at + mark, body);
    memcpy(out->at + mark, length, bytes);
}

void store__prefix_end(struct slice prefix, struct buf *out)
{
    size_t size = prefix.size;
    while (size > 0 && (unsigned char)prefix.at[size - 1] == 0xff)
        size--;
    if (size == 0) {
        buf_append_char(out, '\0'); /* etcd's word for: all from key on */
        return;
    }
    buf_append(out, prefix.at, size);
    out->at[out->size - 1]++;
}

static void put_range(struct buf *out, struct slice key, struct slice end,
                      int64_t revision, int64_t limit)
{
    pb_put_bytes(out, 1, key);
    pb_put_bytes(out, 2, end);
    pb_put_i64(out, 3, limit);
    pb_put_i64(out, 4, revision);
}

uint64_t store__range(struct runner *runner, struct slice key,
                      const struct slice *end, int64_t revision, int64_t limit,
                      store_done done, void *context)
{
    struct buf request = {0};
    put_range(&request, key, end ? *end : SLICE(""), revision, limit);
    uint64_t id =
        store__call(runner, RUNNER_RANGE, buf_slice(&request), done, context);
    buf_deinit(&request);
    return id;
}

enum { TXN_COMPARE = 1, TXN_THEN = 2, TXN_ELSE = 3 };
enum { OP_RANGE = 1, OP_PUT = 2, OP_DELETE = 3, OP_TXN = 4 };

void store_txn__begin(struct store_txn *txn)
{
    *txn = (struct store_txn){0};
}

/* Compare.target and .result, and the number of the union's member, by ours. */
static const struct {
    uint8_t target;
    uint8_t member;
} compare_targets[] = {
    [TURN_MOD_REVISION] = {2, 6},
    [TURN_CREATE_REVISION] = {1, 5},
    [TURN_VERSION] = {0, 4},
    [TURN_VALUE] = {3, 7},
};
static const uint8_t compare_results[] = {
    [TURN_EQUAL] = 0, [TURN_GREATER] = 1, [TURN_LESS] = 2, [TURN_UNEQUAL] = 3};

static void put_compare(struct buf *out, const struct turn_compare *compare)
{
    size_t mark = store__nest(out, TXN_COMPARE);
    uint8_t member = compare_targets[compare->target].member;
    pb_put_u64(out, 1, compare_results[compare->operator]);
    pb_put_u64(out, 2, compare_targets[compare->target].target);
    pb_put_bytes(out, 3, compare->key);
    if (compare->target == TURN_VALUE) {
        pb_put_bytes_always(out, member, compare->value);
    } else if (compare->number != 0) {
        pb_put_i64(out, member, compare->number);
    } else {
        /* A member of a union is there even when it is zero. */
        buf_append_char(out, (char)(member << 3 | PB_VARINT));
        buf_append_char(out, 0);
    }
    store__unnest(out, mark);
}

void store_txn__compare(struct store_txn *txn,
                        const struct turn_compare *compare)
{
    put_compare(&txn->body, compare);
}

void store_txn__compare_number(struct store_txn *txn, struct slice key,
                               int target, int64_t number)
{
    CHECK_NE(target, TURN_VALUE);
    struct turn_compare compare = {
        .key = key, .operator= TURN_EQUAL, .number = number};
    compare.target = target == TURN_MOD_REVISION      ? TURN_MOD_REVISION
                     : target == TURN_CREATE_REVISION ? TURN_CREATE_REVISION
                                                      : TURN_VERSION;
    put_compare(&txn->body, &compare);
}

static void put_put(struct buf *out, uint32_t branch, struct slice key,
                    struct slice value, int64_t lease)
{
    size_t op = store__nest(out, branch);
    size_t put = store__nest(out, OP_PUT);
    pb_put_bytes(out, 1, key);
    pb_put_bytes(out, 2, value);
    pb_put_i64(out, 3, lease);
    store__unnest(out, put);
    store__unnest(out, op);
}

static void put_delete(struct buf *out, uint32_t branch, struct slice key,
                       struct slice end)
{
    size_t op = store__nest(out, branch);
    size_t delete = store__nest(out, OP_DELETE);
    pb_put_bytes(out, 1, key);
    pb_put_bytes(out, 2, end);
    store__unnest(out, delete);
    store__unnest(out, op);
}

void store_txn__put(struct store_txn *txn, struct slice key, struct slice value,
                    int64_t lease)
{
    put_put(&txn->body, TXN_THEN, key, value, lease);
}

void store_txn__delete(struct store_txn *txn, struct slice key,
                       struct slice end)
{
    put_delete(&txn->body, TXN_THEN, key, end);
}

static void put_operation(struct buf *out, uint32_t branch,
                          const struct turn_operation *operation,
                          store_lease_of lease_of, const void *context);

static void put_txn(struct buf *out, uint32_t branch,
                    const struct turn_txn *txn, store_lease_of lease_of,
                    const void *context)
{
    size_t op = store__nest(out, branch);
    size_t inner = store__nest(out, OP_TXN);
    for (size_t i = 0; i < txn->compare_count; i++)
        put_compare(out, &txn->compares[i]);
    for (size_t i = 0; i < txn->then_count; i++)
        put_operation(out, TXN_THEN, &txn->then[i], lease_of, context);
    for (size_t i = 0; i < txn->otherwise_count; i++)
        put_operation(out, TXN_ELSE, &txn->otherwise[i], lease_of, context);
    store__unnest(out, inner);
    store__unnest(out, op);
}

static void put_operation(struct buf *out, uint32_t branch,
                          const struct turn_operation *operation,
                          store_lease_of lease_of, const void *context)
{
    switch (operation->kind) {
    case TURN_PUT:
        put_put(out, branch, operation->key, operation->value,
                operation->ttl_ns ? lease_of(context, operation->ttl_ns) : 0);
        break;
    case TURN_DELETE:
        put_delete(out, branch, operation->key, operation->end);
        break;
    case TURN_TXN:
        put_txn(out, branch, operation->txn, lease_of, context);
        break;
    }
}

void store_txn__operation(struct store_txn *txn,
                          const struct turn_operation *operation,
                          store_lease_of lease_of, const void *context)
{
    put_operation(&txn->body, TXN_THEN, operation, lease_of, context);
}

static void put_get(struct buf *out, uint32_t branch, struct slice key,
                    struct slice end, int64_t revision, int64_t limit)
{
    size_t op = store__nest(out, branch);
    size_t range = store__nest(out, OP_RANGE);
    put_range(out, key, end, revision, limit);
    store__unnest(out, range);
    store__unnest(out, op);
}

void store_txn__else_get(struct store_txn *txn, struct slice key)
{
    put_get(&txn->body, TXN_ELSE, key, SLICE(""), 0, 0);
}

void store_txn__range(struct store_txn *txn, struct slice key, struct slice end,
                      int64_t revision, int64_t limit)
{
    put_get(&txn->body, TXN_THEN, key, end, revision, limit);
}

static uint64_t send_txn(struct runner *runner, struct store_txn *txn,
                         bool is_raw, store_done done, void *context)
{
    uint64_t id = send_call(runner, RUNNER_TXN, txn->user,
                            buf_slice(&txn->body), is_raw, done, context);
    buf_deinit(&txn->body);
    return id;
}

uint64_t store_txn__send(struct runner *runner, struct store_txn *txn,
                         store_done done, void *context)
{
    return send_txn(runner, txn, false, done, context);
}

uint64_t store_txn__send_raw(struct runner *runner, struct store_txn *txn,
                             store_done done, void *context)
{
    return send_txn(runner, txn, true, done, context);
}

void store__forget(struct runner *runner, void *context,
                   const struct store_answer *answer)
{
    (void)runner;
    (void)context;
    (void)answer;
}
