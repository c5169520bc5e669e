/* make-mirror: copies keys to another cluster, and goes on with what changes.
 * The keys as of one revision first, in pieces; then, by a watch from the next
 * revision on, what each revision changed, in one txn. */
#include <stdio.h>
#include <string.h>

#include "cmd/etchctl/v3_keys.h"
#include "cmd/etchctl/v3_print.h"
#include "cmd/etchctl/v3_watcher.h"

enum {
    BATCH_KEYS = 1000,
    OPS_MAX_DEFAULT = 128, /* etcd's --max-txn-ops */
    SAY_MS = 30 * 1000,
};

static const struct pflag_spec flags[] = {
    {"prefix", 0, PFLAG_STRING, NULL, "only keys that begin with this"},
    {"rev", 0, PFLAG_INT, NULL,
     "without the keys as they are: changes from this revision on"},
    {"max-txn-ops", 0, PFLAG_INT, "128", "changes in one txn"},
    {"dest-prefix", 0, PFLAG_STRING, NULL,
     "in place of the prefix, over there"},
    {"no-dest-prefix", 0, PFLAG_BOOL, NULL, "without a prefix, over there"},
    {"dest-cert", 0, PFLAG_STRING, NULL, "as --cert, for the destination"},
    {"dest-key", 0, PFLAG_STRING, NULL, "as --key"},
    {"dest-cacert", 0, PFLAG_STRING, NULL, "as --cacert"},
    {"dest-insecure-transport", 0, PFLAG_BOOL, "true",
     "as --insecure-transport"},
    {0},
};

struct mirror {
    struct v3 *v3;
    struct rpc_client *to;
    const char *prefix;
    const char *to_prefix;
    size_t ops_max;
    int64_t revision;
    uint64_t total; /* keys that were changed over there */
    int64_t say_ms;

    /* The txn that is gathered, of one revision. */
    struct arena arena;
    Etcdserverpb__RequestOp **ops;
    size_t op_count;
    int64_t op_revision;
};

/* ---- to the destination ------------------------------------------------- */

static ProtobufCBinaryData renamed(struct mirror *mirror,
                                   ProtobufCBinaryData key)
{
    struct slice from = message_bytes(key);
    size_t skip = strlen(mirror->prefix);
    size_t front = strlen(mirror->to_prefix);
    char *copy = arena_alloc(&mirror->arena, from.size + front + 1);

    if (skip > from.size)
        skip = from.size;
    memcpy(copy, mirror->to_prefix, front);
    memcpy(copy + front, from.at + skip, from.size - skip);
    return message_data(slice_of(copy, front + from.size - skip));
}

static bool send_txn(struct mirror *mirror)
{
    Etcdserverpb__TxnRequest request = ETCDSERVERPB__TXN_REQUEST__INIT;
    struct v3_call call = {
        .method = "KV/Txn",
        .request = &request.base,
        .answer = &etcdserverpb__txn_response__descriptor,
    };
    struct arena *outer = mirror->v3->arena;
    struct arena arena;
    bool good;

    if (mirror->op_count == 0)
        return true;
    arena_init(&arena, 0);
    mirror->v3->arena = &arena; /* for there is no end to them */
    request.success = mirror->ops;
    request.n_success = mirror->op_count;
    good = v3_call_on(mirror->v3, mirror->to, &call) != NULL;
    mirror->v3->arena = outer;
    if (!good)
        mirror->v3->failure = arena_printf(outer, "%s", mirror->v3->failure);
    arena_deinit(&arena);
    mirror->total += good ? mirror->op_count : 0;
    mirror->op_count = 0;
    arena_reset(&mirror->arena);
    return good;
}

/* Adds a change; before it, what was gathered of another revision is sent, or
 * what is as much as goes into one. */
static Etcdserverpb__RequestOp *add_op(struct mirror *mirror, int64_t revision)
{
    Etcdserverpb__RequestOp *op;

    if ((mirror->op_revision != revision ||
         mirror->op_count == mirror->ops_max) &&
        !send_txn(mirror))
        return NULL;
    op = arena_alloc(&mirror->arena, sizeof(*op));
    etcdserverpb__request_op__init(op);
    mirror->ops[mirror->op_count++] = op;
    mirror->op_revision = revision;
    return op;
}

static ProtobufCBinaryData kept(struct mirror *mirror, ProtobufCBinaryData data)
{
    return message_data(slice_of(
        arena_dup(&mirror->arena, data.data ? data.data : (void *)"", data.len),
        data.len));
}

static bool add_put(struct mirror *mirror, const Mvccpb__KeyValue *kv,
                    int64_t revision)
{
    Etcdserverpb__RequestOp *op = add_op(mirror, revision);

    if (!op)
        return false;
    op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    op->request_put = arena_alloc(&mirror->arena, sizeof(*op->request_put));
    etcdserverpb__put_request__init(op->request_put);
    op->request_put->key = renamed(mirror, kv->key);
    op->request_put->value = kept(mirror, kv->value);
    return true;
}

static bool add_delete(struct mirror *mirror, const Mvccpb__KeyValue *kv,
                       int64_t revision)
{
    Etcdserverpb__RequestOp *op = add_op(mirror, revision);

    if (!op)
        return false;
    op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
    op->request_delete_range =
        arena_alloc(&mirror->arena, sizeof(*op->request_delete_range));
    etcdserverpb__delete_range_request__init(op->request_delete_range);
    op->request_delete_range->key = renamed(mirror, kv->key);
    return true;
}

/* ---- the keys as they are ----------------------------------------------- */

static const Etcdserverpb__RangeResponse *
read_range(struct mirror *mirror, const Etcdserverpb__RangeRequest *request)
{
    struct v3_call call = {
        .method = "KV/Range",
        .request = &request->base,
        .answer = &etcdserverpb__range_response__descriptor,
        .is_repeatable = true,
    };

    return v3_call(mirror->v3, &call);
}

static void say_total(struct mirror *mirror)
{
    if (rpc_client_now_ms() < mirror->say_ms)
        return;
    mirror->say_ms = rpc_client_now_ms() + SAY_MS;
    printf("%llu\n", (unsigned long long)mirror->total);
    fflush(stdout);
}

/* A piece; *next is where the next one begins, of no length: nowhere. */
static bool copy_piece(struct mirror *mirror,
                       const Etcdserverpb__RangeRequest *request,
                       struct buf *next)
{
    struct arena *outer = mirror->v3->arena;
    const Etcdserverpb__RangeResponse *answer;
    struct arena arena;
    bool good;

    arena_init(&arena, 0);
    mirror->v3->arena = &arena; /* so that it is gone with the piece */
    answer = read_range(mirror, request);
    good = answer != NULL;
    for (size_t i = 0; good && i < answer->n_kvs; i++)
        good = add_put(mirror, answer->kvs[i], 0);
    good = good && send_txn(mirror);
    buf_reset(next);
    if (good && answer->more && answer->n_kvs > 0) {
        buf_append_slice(next,
                         message_bytes(answer->kvs[answer->n_kvs - 1]->key));
        buf_append_char(next, '\0');
    }
    mirror->v3->arena = outer;
    if (!good)
        mirror->v3->failure = arena_printf(outer, "%s", mirror->v3->failure);
    arena_deinit(&arena);
    return good;
}

static bool copy_keys(struct mirror *mirror)
{
    struct v3_range range = v3_prefix_range(mirror->v3->arena, mirror->prefix);
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    struct buf next = {0};
    bool good = true;

    request.key = range.key;
    request.range_end = range.end;
    request.limit = BATCH_KEYS;
    request.revision = mirror->revision;
    do {
        struct buf from = next;
        next = (struct buf){0};
        if (from.size > 0)
            request.key = message_data(buf_slice(&from));
        good = copy_piece(mirror, &request, &next);
        buf_deinit(&from);
        say_total(mirror);
    } while (good && next.size > 0);
    buf_deinit(&next);
    return good;
}

static bool find_revision(struct mirror *mirror)
{
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    const Etcdserverpb__RangeResponse *answer;

    request.key = message_data(SLICE("foo"));
    answer = read_range(mirror, &request);
    if (answer && answer->header)
        mirror->revision = answer->header->revision;
    return answer != NULL;
}

/* ---- what changes ------------------------------------------------------- */

/* Only gathers: to send from here would be to block in a callback. */
struct batch {
    struct batch *next;
    struct arena arena;
    const Etcdserverpb__WatchResponse *answer;
};

struct updates {
    struct mirror *mirror;
    struct batch *first, **last;
};

static void on_answer(void *context, const Etcdserverpb__WatchResponse *answer)
{
    struct updates *updates = context;
    struct batch *batch = mem_alloc_zero(sizeof(*batch));
    struct buf bytes = {0};
    ProtobufCMessage *copy;

    arena_init(&batch->arena, 0);
    message_encode(&answer->base, &bytes);
    if (message_decode(answer->base.descriptor, buf_slice(&bytes),
                       &batch->arena, &copy) == ERR_OK)
        batch->answer = (const Etcdserverpb__WatchResponse *)copy;
    buf_deinit(&bytes);
    *updates->last = batch;
    updates->last = &batch->next;
    rpc_client_wake(updates->mirror->v3->client);
}

static bool copy_batch(struct mirror *mirror,
                       const Etcdserverpb__WatchResponse *answer)
{
    if (answer->compact_revision != 0) {
        mirror->v3->failure =
            arena_printf(mirror->v3->arena, "%s", v3_error_text(V3_COMPACTED));
        return false;
    }
    for (size_t i = 0; i < answer->n_events; i++) {
        const Mvccpb__Event *event = answer->events[i];
        bool is_put = event->type == MVCCPB__EVENT__EVENT_TYPE__PUT;
        if (!(is_put ? add_put : add_delete)(mirror, event->kv,
                                             event->kv->mod_revision))
            return false;
    }
    return send_txn(mirror);
}

static bool copy_batches(struct updates *updates)
{
    bool good = true;

    while (updates->first) {
        struct batch *batch = updates->first;
        updates->first = batch->next;
        if (!updates->first)
            updates->last = &updates->first;
        good = good &&
               (!batch->answer || copy_batch(updates->mirror, batch->answer));
        arena_deinit(&batch->arena);
        mem_free(batch);
    }
    return good;
}

static void follow(struct mirror *mirror)
{
    struct v3 *v3 = mirror->v3;
    struct v3_range range = v3_prefix_range(v3->arena, mirror->prefix);
    struct updates updates = {.mirror = mirror, .last = &updates.first};
    struct v3_watcher watcher = {
        .request = ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT,
        .on_answer = on_answer,
        .context = &updates,
    };
    bool good = true;

    watcher.request.key = range.key;
    watcher.request.range_end = range.end;
    watcher.request.start_revision = mirror->revision + 1;
    v3_watcher_start(&watcher, v3, v3->client);
    while (good && !watcher.is_over) {
        int64_t next_ms = v3_watcher_work(&watcher);
        rpc_client_run(v3->client,
                       next_ms < mirror->say_ms ? next_ms : mirror->say_ms, -1);
        good = copy_batches(&updates);
        say_total(mirror);
    }
    if (good && watcher.failure)
        v3->failure = watcher.failure;
    v3_watcher_stop(&watcher);
    copy_batches(&updates);
}

/* ---- the command -------------------------------------------------------- */

static int check_flags(struct v3 *v3)
{
    if (pflags_bool(&v3->flags, "no-dest-prefix") &&
        pflags_text(&v3->flags, "dest-prefix")[0])
        return v3_fail(v3, V3_BAD_ARGUMENTS,
                       "`--dest-prefix` and `--no-dest-prefix` cannot be set "
                       "at the same time, choose one");
    return V3_DONE;
}

static void set_up(struct mirror *mirror)
{
    struct v3 *v3 = mirror->v3;
    int64_t ops_max = pflags_number(&v3->flags, "max-txn-ops");

    mirror->prefix = pflags_text(&v3->flags, "prefix");
    mirror->to_prefix = pflags_text(&v3->flags, "dest-prefix");
    if (!pflags_bool(&v3->flags, "no-dest-prefix") && !mirror->to_prefix[0])
        mirror->to_prefix = mirror->prefix;
    mirror->ops_max =
        ops_max > 0 && ops_max < 65536 ? (size_t)ops_max : OPS_MAX_DEFAULT;
    mirror->ops =
        arena_alloc(v3->arena, mirror->ops_max * sizeof(*mirror->ops));
    mirror->revision = pflags_number(&v3->flags, "rev");
    mirror->say_ms = rpc_client_now_ms() + SAY_MS;
    arena_init(&mirror->arena, 0);
}

static int run(struct v3 *v3)
{
    struct mirror mirror = {.v3 = v3};
    int code;

    if (v3->words.count != 1)
        return v3_fail(v3, V3_BAD_ARGUMENTS,
                       "make-mirror takes one destination argument");
    code = v3_connect(v3);
    if (code == V3_DONE)
        code = check_flags(v3);
    if (code == V3_DONE)
        code = v3_connect_away(v3, v3_word(v3, 0), &mirror.to);
    if (code != V3_DONE)
        return code;
    set_up(&mirror);
    if (mirror.revision > 0) {
        mirror.revision--; /* it is one of those to come */
        follow(&mirror);
    } else if (find_revision(&mirror) && copy_keys(&mirror)) {
        follow(&mirror);
    }
    rpc_client_close(mirror.to);
    arena_deinit(&mirror.arena);
    return v3_fail(v3, V3_ERROR, "%s",
                   v3->failure[0] ? v3->failure
                                  : "watch is canceled by the server");
}

const struct v3_command v3_command_make_mirror = {
    .name = "make-mirror",
    .arguments = "[flags] <destination>",
    .summary = "copies keys to another cluster, and what changes",
    .about =
        "<destination> is an endpoint. Every 30 seconds it prints how many\n"
        "changes it has made there.\n",
    .flags = flags,
    .run = run,
};
