#include "rpc/contest.h"

#include "base/check.h"
#include "proto/pb.h"
#include "rpc/lease_int.h"

enum {
    /* As etcd's sessions have it. */
    OWN_LEASE_TTL_S = 60,
};

/* Fields of the messages that are written here. */
enum {
    TXN_COMPARE = 1,
    TXN_SUCCESS = 2,
    TXN_FAILURE = 3,
    COMPARE_TARGET = 2,
    COMPARE_KEY = 3,
    COMPARE_CREATE = 5,
    OP_RANGE = 1,
    OP_PUT = 2,
    OP_DELETE_RANGE = 3,
    PUT_KEY = 1,
    PUT_VALUE = 2,
    PUT_LEASE = 3,
};

void contest__fail_text(struct call *call, const char *text)
{
    call__fail_code(call, GRPC_UNKNOWN, text);
}

void contest__fail(struct call *call, enum err err, enum v3_error error)
{
    if (err != ERR_OK) {
        call__fail_err(call, err);
    } else {
        contest__fail_text(call, v3_error_text(error));
    }
}

/* ---- life ---------------------------------------------------------------- */

void contest__free(struct contest *contest)
{
    CHECK(!contest->is_away);
    CHECK(contest->before.rpc == NULL && contest->own.rpc == NULL);
    if (contest->call != NULL) {
        contest->call->context = NULL;
        contest->call->on_gone = NULL;
    }
    buf_deinit(&contest->prefix);
    buf_deinit(&contest->key);
    buf_deinit(&contest->value);
    buf_deinit(&contest->user);
    buf_deinit(&contest->before_key);
    mem_free(contest);
}

static void stop_watching(struct contest *contest)
{
    inner_watch__end(&contest->before);
    inner_watch__end(&contest->own);
}

/* Its call has failed. */
static void fail(struct contest *contest, enum err err, enum v3_error error)
{
    struct call *call = contest->call;
    CHECK(call != NULL);
    contest__free(contest);
    contest__fail(call, err, error);
}

static void fail_text(struct contest *contest, const char *text)
{
    struct call *call = contest->call;
    CHECK(call != NULL);
    contest__free(contest);
    contest__fail_text(call, text);
}

/* ---- what is asked of the node ------------------------------------------- */

static void put_op(struct buf *out, uint32_t branch, uint32_t kind,
                   const struct buf *request)
{
    struct buf op = {0};
    pb_put_bytes_always(&op, kind, buf_slice(request));
    pb_put_bytes_always(out, branch, buf_slice(&op));
    buf_deinit(&op);
}

/* That the key was created at this revision; 0: isn't there. */
static void put_compare(struct buf *out, struct slice key, revision create)
{
    char number[1 + VARINT_BYTES_MAX];
    struct buf compare = {0};
    pb_put_u64(&compare, COMPARE_TARGET,
               ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE);
    pb_put_bytes(&compare, COMPARE_KEY, key);
    number[0] = COMPARE_CREATE << 3;
    buf_append(&compare, number, 1 + put_varint(number + 1, (uint64_t)create));
    pb_put_bytes_always(out, TXN_COMPARE, buf_slice(&compare));
    buf_deinit(&compare);
}

static void put_put(struct buf *out, const struct contest *contest)
{
    struct buf put = {0};
    pb_put_bytes(&put, PUT_KEY, buf_slice(&contest->key));
    pb_put_bytes(&put, PUT_VALUE, buf_slice(&contest->value));
    pb_put_i64(&put, PUT_LEASE, contest->lease);
    put_op(out, TXN_SUCCESS, OP_PUT, &put);
    buf_deinit(&put);
}

/* A range or a deletion of the key alone. */
static void put_key(struct buf *out, uint32_t branch, uint32_t kind,
                    struct slice key)
{
    struct buf request = {0};
    pb_put_bytes(&request, PUT_KEY, key);
    put_op(out, branch, kind, &request);
    buf_deinit(&request);
}

/* What it does next its user asks for now: whether he may is seen when it is
 * applied. */
static void write_command(const struct contest *contest, struct task *task,
                          enum command_type type, struct slice message)
{
    const struct auth *auth = node_auth(contest->rpc->node);
    struct command command = {
        .type = type,
        .user = buf_slice(&contest->user),
        .auth_revision = auth_is_on(auth) ? auth_revision(auth) : 0,
        .message = message,
    };
    task__write(task, command_encode(&command));
}

/* The contest outlives the task: tasks of its own don't know its call. */
static void submit(struct contest *contest, enum command_type type,
                   struct buf *message,
                   void (*finish)(struct rpc *rpc, struct task *done))
{
    struct rpc *rpc = contest->rpc;
    CHECK(!contest->is_away);
    if (message->size > rpc->shared->request_bytes_max) {
        buf_deinit(message);
        fail(contest, ERR_OK, V3_REQUEST_TOO_LARGE);
        return;
    }
    struct task *task = task__new(rpc, NULL, finish);
    task->context = contest;
    contest->is_away = true;
    write_command(contest, task, type, buf_slice(message));
    buf_deinit(message);
}

static void give_back(struct task *done)
{
    if (done->write.err == ERR_OK) {
        txn_answer_deinit(&done->write.answer);
    }
}

static void finish_leave(struct rpc *rpc, struct task *done)
{
    (void)rpc; /* where it failed the key goes with its lease */
    give_back(done);
}

/* Nobody waits any more: the key goes, if it was put for this alone. */
static void leave(struct contest *contest)
{
    struct buf txn = {0};
    CHECK(contest->call == NULL);
    if (contest->is_new) {
        struct slice key = buf_slice(&contest->key);
        put_compare(&txn, key, contest->create);
        put_key(&txn, TXN_SUCCESS, OP_DELETE_RANGE, key);
        struct task *task = task__new(contest->rpc, NULL, finish_leave);
        write_command(contest, task, COMMAND_TXN, buf_slice(&txn));
        buf_deinit(&txn);
    }
    contest__free(contest);
}

static void on_gone(struct call *call)
{
    struct contest *contest = call->context;
    CHECK(contest->call == call);
    contest->call = NULL;
    stop_watching(contest);
    if (!contest->is_away) {
        leave(contest);
    }
}

struct contest *contest__new(struct call *call, struct slice value,
                             lease_id lease)
{
    struct contest *contest = mem_alloc_zero(sizeof(*contest));
    contest->rpc = call->rpc;
    contest->call = call;
    contest->lease = lease;
    buf_append_slice(&contest->value, value);
    buf_append_slice(&contest->user, call->user);
    call->context = contest;
    call->on_gone = on_gone;
    return contest;
}

/* What comes back: false where it is over, and the contest is gone. */
static bool take_back(struct task *done)
{
    struct contest *contest = done->context;
    const struct txn_answer *answer = &done->write.answer;
    contest->is_away = false;
    if (done->write.err != ERR_OK || answer->error != V3_OK) {
        enum v3_error error = answer->error;
        give_back(done);
        if (contest->call != NULL) {
            fail(contest, done->write.err, error);
        } else {
            contest__free(contest);
        }
        return false;
    }
    contest->header = answer->revision;
    return true;
}

/* ---- a lease ------------------------------------------------------------- */

static void finish_grant(struct rpc *rpc, struct task *done);

static void grant(struct contest *contest)
{
    struct buf message = {0};
    contest->lease = lease__new_id(contest->rpc);
    lease__put_grant(&message, OWN_LEASE_TTL_S, contest->lease);
    submit(contest, COMMAND_LEASE_GRANT, &message, finish_grant);
}

static void finish_grant(struct rpc *rpc, struct task *done)
{
    struct contest *contest = done->context;
    (void)rpc;
    if (done->write.err == ERR_OK &&
        done->write.answer.error == V3_LEASE_EXIST && contest->call != NULL) {
        contest->is_away = false;
        give_back(done);
        grant(contest);
        return;
    }
    if (!take_back(done)) {
        return;
    }
    give_back(done);
    if (contest->call == NULL) {
        contest__free(contest); /* the lease ends by itself */
    } else {
        contest->then(contest);
    }
}

void contest__with_lease(struct contest *contest,
                         void (*then)(struct contest *contest))
{
    contest->then = then;
    if (contest->lease != 0) {
        then(contest);
    } else {
        grant(contest);
    }
}

/* ---- waiting ------------------------------------------------------------- */

static void look(struct contest *contest);

static void on_before(struct inner_watch *watch)
{
    struct contest *contest = CONTAINER_OF(watch, struct contest, before);
    look(contest);
}

static void on_own(struct inner_watch *watch)
{
    struct contest *contest = CONTAINER_OF(watch, struct contest, own);
    look(contest);
}

/* Its own key is still the one that it has put. */
static enum err is_in(struct contest *contest, bool *in, revision *at)
{
    struct rpc *rpc = contest->rpc;
    struct record record;
    rpc__read_begin(rpc);
    enum err err =
        mvcc_get(rpc->reader, MVCC_KEYS, buf_slice(&contest->key), 0, &record);
    *in = err == ERR_OK && record.create == contest->create;
    *at = rpc__revision(rpc);
    rpc__read_end(rpc);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static void wait_for(struct contest *contest, revision own_at,
                     const struct contest_seek *seek)
{
    const struct slice none = slice_of(NULL, 0);
    contest->waited = true;
    buf_reset(&contest->before_key);
    buf_append_slice(&contest->before_key, buf_slice(&seek->key));
    inner_watch__begin(&contest->before, contest->rpc,
                       buf_slice(&contest->before_key), none, seek->at + 1,
                       INNER_DELETE, on_before);
    inner_watch__begin(&contest->own, contest->rpc, buf_slice(&contest->key),
                       none, own_at + 1, INNER_DELETE, on_own);
}

/* Without its call nobody would have it that the key goes. */
static void fail_waiting(struct contest *contest, enum err err)
{
    struct call *call = contest->call;
    call->context = NULL;
    call->on_gone = NULL;
    contest->call = NULL;
    leave(contest);
    call__fail_err(call, err);
}

static void look(struct contest *contest)
{
    struct contest_seek seek = {
        .prefix = buf_slice(&contest->prefix),
        .below = contest->create,
        .last = true,
    };
    revision own_at;
    bool in;
    CHECK(contest->call != NULL && !contest->is_away);
    stop_watching(contest);
    enum err err = is_in(contest, &in, &own_at);
    if (err == ERR_OK && in) {
        err = contest__seek(contest->rpc, &seek);
    }
    if (err != ERR_OK) {
        fail_waiting(contest, err);
    } else if (!in) {
        fail_text(contest, contest->lost);
    } else if (seek.found) {
        wait_for(contest, own_at, &seek);
    } else {
        contest->won(contest, contest->waited ? seek.at : contest->header);
    }
    contest__seek_deinit(&seek);
}

/* ---- its key ------------------------------------------------------------- */

/* The key was there: that is this lease's, from another call. */
static void read_key(struct contest *contest,
                     const Etcdserverpb__TxnResponse *response,
                     bool *other_value)
{
    const Mvccpb__KeyValue *kv;
    CHECK(response->n_responses == 1 &&
          response->responses[0]->response_case ==
              ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_RANGE);
    const Etcdserverpb__RangeResponse *range =
        response->responses[0]->response_range;
    CHECK(range->n_kvs == 1);
    kv = range->kvs[0];
    contest->create = kv->create_revision;
    *other_value =
        !slice_eq(message_bytes(kv->value), buf_slice(&contest->value));
}

/* *other_value: the key is there, with another value. */
static void read_entry(struct contest *contest, const struct txn_answer *answer,
                       bool *other_value)
{
    ProtobufCMessage *message;
    struct arena arena;
    arena_init(&arena, 0);
    enum err err = message_decode(&etcdserverpb__txn_response__descriptor,
                                  buf_slice(&answer->body), &arena, &message);
    CHECK_EQ(err, ERR_OK); /* it is our own */
    const Etcdserverpb__TxnResponse *response =
        (const Etcdserverpb__TxnResponse *)message;
    *other_value = false;
    if (response->succeeded) {
        contest->is_new = true;
        contest->create = answer->revision;
    } else {
        read_key(contest, response, other_value);
    }
    arena_deinit(&arena);
}

static void finish_value(struct rpc *rpc, struct task *done)
{
    struct contest *contest = done->context;
    revision header = contest->header;
    (void)rpc;
    if (!take_back(done)) {
        return;
    }
    give_back(done);
    contest->header = header;
    if (contest->call == NULL) {
        leave(contest);
    } else {
        look(contest); /* which finds out if the key has gone meanwhile */
    }
}

/* Who campaigns again may do so with another value. */
static void put_value(struct contest *contest)
{
    struct buf txn = {0};
    put_compare(&txn, buf_slice(&contest->key), contest->create);
    put_put(&txn, contest);
    submit(contest, COMMAND_TXN, &txn, finish_value);
}

static void finish_entry(struct rpc *rpc, struct task *done)
{
    struct contest *contest = done->context;
    bool other_value;
    (void)rpc;
    if (!take_back(done)) {
        return;
    }
    read_entry(contest, &done->write.answer, &other_value);
    give_back(done);
    if (contest->call == NULL) {
        leave(contest);
    } else if (other_value) {
        put_value(contest);
    } else {
        look(contest);
    }
}

static void put_own_key(struct contest *contest)
{
    struct buf txn = {0};
    bool negative = contest->lease < 0; /* as Go's %x has it */
    buf_append_slice(&contest->key, buf_slice(&contest->prefix));
    if (negative) {
        buf_append_char(&contest->key, '-');
    }
    buf_append_hex(&contest->key, negative ? -(uint64_t)contest->lease
                                           : (uint64_t)contest->lease);
    struct slice key = buf_slice(&contest->key);
    put_compare(&txn, key, 0);
    put_put(&txn, contest);
    put_key(&txn, TXN_FAILURE, OP_RANGE, key);
    submit(contest, COMMAND_TXN, &txn, finish_entry);
}

void contest__enter(struct contest *contest, struct slice name,
                    void (*won)(struct contest *contest, revision at),
                    const char *lost)
{
    buf_append_slice(&contest->prefix, name);
    buf_append_char(&contest->prefix, '/');
    enum v3_error error =
        contest__may_look(contest->call, buf_slice(&contest->prefix));
    if (error != V3_OK) {
        fail(contest, ERR_OK, error);
        return;
    }
    contest->won = won;
    contest->lost = lost;
    contest__with_lease(contest, put_own_key);
}

/* ---- one step alone ------------------------------------------------------ */

static bool has_succeeded(const struct txn_answer *answer)
{
    struct pb_reader reader;
    struct pb_field field;
    bool succeeded = false;
    pb_reader_init(&reader, buf_slice(&answer->body));
    while (pb_next(&reader, &field)) {
        if (field.number == 2 && field.type == PB_VARINT) {
            succeeded = field.value != 0;
        }
    }
    CHECK(!reader.failed);
    return succeeded;
}

static void finish_change(struct rpc *rpc, struct task *done)
{
    struct contest *contest = done->context;
    (void)rpc;
    if (!take_back(done)) {
        return;
    }
    bool is_refused =
        contest->lost != NULL && !has_succeeded(&done->write.answer);
    give_back(done);
    struct call *call = contest->call;
    const char *refusal = contest->lost;
    revision at = contest->header;
    contest__free(contest);
    if (call == NULL) {
        return;
    }
    if (is_refused) {
        contest__fail_text(call, refusal);
    } else {
        call__answer(call, at, SLICE(""));
    }
}

void contest__change(struct contest *contest, bool deletes, const char *refusal)
{
    struct buf txn = {0};
    struct slice key = buf_slice(&contest->key);
    if (key.size == 0) {
        fail(contest, ERR_OK, V3_EMPTY_KEY);
        return;
    }
    contest->lost = refusal;
    put_compare(&txn, key, contest->create);
    if (deletes) {
        put_key(&txn, TXN_SUCCESS, OP_DELETE_RANGE, key);
    } else {
        put_put(&txn, contest);
    }
    submit(contest, COMMAND_TXN, &txn, finish_change);
}
