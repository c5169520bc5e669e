/* Lease: what is granted, kept alive and revoked is written by the node;
 * questions are answered here, from the table.
 *
 * A keepalive is a write like any other, and a stream may have many on their
 * way. They are answered in the order in which they were asked; what a client
 * has asked and wasn't told yet counts against its window.
 */
#include "rpc/lease_int.h"

#include "base/check.h"
#include "proto/pb.h"

enum {
    GRANT_TTL = 1,
    GRANT_ID = 2,
    LEASE_ID_BITS = 62,
};
#define SECOND_NS INT64_C(1000000000)

static void give_back(struct task *done)
{
    if (done->write.err == ERR_OK) {
        txn_answer_deinit(&done->write.answer);
    }
}

/* ---- granting ------------------------------------------------------------ */

/* The time is in it, as a process that begins again begins with its seed. */
lease_id lease__new_id(struct rpc *rpc)
{
    uint64_t now = (uint64_t)clock_wall_ns(rpc->shared->api->clock);
    uint64_t id;
    do {
        id =
            prng_next(&rpc->watches->prng) ^ now * UINT64_C(0x9e3779b97f4a7c15);
        id &= (UINT64_C(1) << LEASE_ID_BITS) - 1;
    } while (id == 0);
    CHECK(!lease_is_v2((lease_id)id));
    return (lease_id)id;
}

void lease__put_grant(struct buf *out, int64_t ttl_s, lease_id id)
{
    pb_put_i64(out, GRANT_TTL, ttl_s);
    pb_put_i64(out, GRANT_ID, id);
}

static void grant(struct call *call, int64_t ttl_s, lease_id id);

/* `number`: what was granted, where the id was ours to choose. */
static void finish_grant(struct rpc *rpc, struct task *done)
{
    struct txn_answer *answer = &done->write.answer;
    struct call *call = done->call;
    (void)rpc;
    if (call == NULL) {
        give_back(done);
    } else if (done->write.err != ERR_OK) {
        call__fail_err(call, done->write.err);
    } else if (answer->error == V3_LEASE_EXIST && done->context != NULL) {
        give_back(done);
        grant(call, done->number, 0);
    } else if (answer->error != V3_OK) {
        enum v3_error error = answer->error;
        give_back(done);
        call__fail(call, error);
    } else {
        call__answer(call, answer->revision, buf_slice(&answer->body));
        give_back(done);
    }
}

static void grant(struct call *call, int64_t ttl_s, lease_id id)
{
    struct task *task = task__new(call->rpc, call, finish_grant);
    struct buf *out = rpc__body(call->rpc);
    task->number = ttl_s;
    if (id == 0) {
        task->context = call; /* the choice is ours */
        id = lease__new_id(call->rpc);
    }
    lease__put_grant(out, ttl_s, id);
    task__write_message(task, COMMAND_LEASE_GRANT, buf_slice(out));
}

void lease__grant(struct call *call, ProtobufCMessage *message)
{
    const Etcdserverpb__LeaseGrantRequest *request = (void *)message;
    if (request->ttl > LEASE_TTL_S_MAX) {
        call__fail(call, V3_LEASE_TTL_TOO_LARGE);
    } else if (lease_is_v2(request->id)) {
        call__fail(call, V3_LEASE_EXIST);
    } else {
        grant(call, request->ttl, request->id);
    }
}

/* ---- revoking ------------------------------------------------------------ */

static void finish_revoke(struct rpc *rpc, struct task *done)
{
    struct txn_answer *answer = &done->write.answer;
    (void)rpc;
    if (done->call != NULL) {
        if (done->write.err != ERR_OK) {
            call__fail_err(done->call, done->write.err);
        } else if (answer->error != V3_OK) {
            call__fail(done->call, answer->error);
        } else {
            call__answer(done->call, answer->revision,
                         buf_slice(&answer->body));
        }
    }
    give_back(done);
}

void lease__revoke(struct call *call, ProtobufCMessage *message)
{
    struct buf *out = rpc__body(call->rpc);
    message_encode(message, out);
    task__write_message(task__new(call->rpc, call, finish_revoke),
                        COMMAND_LEASE_REVOKE, buf_slice(out));
}

/* ---- keeping alive ------------------------------------------------------- */

/* A stream's; what was asked and isn't answered, the oldest first. */
struct keep_alive {
    struct list asked;
};

struct asked {
    struct list link;
    size_t request_bytes;
    bool is_done;
    revision at;
    struct buf body;
};

static void free_asked(struct asked *asked)
{
    list_remove(&asked->link);
    buf_deinit(&asked->body);
    mem_free(asked);
}

/* Tasks that are still away have lost their call. */
static void free_keep_alive(struct keep_alive *keep_alive)
{
    struct list *link;
    while ((link = list_first(&keep_alive->asked)) != NULL) {
        free_asked(CONTAINER_OF(link, struct asked, link));
    }
    mem_free(keep_alive);
}

static void end(struct call *call)
{
    free_keep_alive(call->context);
    call->context = NULL;
    call->on_gone = NULL;
}

static void fail_stream(struct call *call, enum err err, enum v3_error error)
{
    end(call);
    if (err != ERR_OK) {
        call__fail_err(call, err);
    } else {
        call__fail(call, error);
    }
}

static void tell(struct call *call, const struct asked *asked)
{
    char header[RPC_HEADER_BYTES_MAX];
    size_t size = rpc__header(call->rpc, asked->at, header);
    call__send_parts(call, slice_of(header, size), buf_slice(&asked->body));
    call__consumed(call, asked->request_bytes);
}

/* Those in front that are done. While the client doesn't read it is told
 * nothing, and so can't go on asking. */
static void tell_done(struct call *call)
{
    struct keep_alive *keep_alive = call->context;
    struct list *link;
    while ((link = list_first(&keep_alive->asked)) != NULL) {
        struct asked *asked = CONTAINER_OF(link, struct asked, link);
        if (!asked->is_done || call__unsent(call) > LIMIT_HTTP_OUT_HIGH_BYTES) {
            return;
        }
        tell(call, asked);
        free_asked(asked);
    }
    if (call->half_closed) {
        end(call);
        call__finish(call);
    }
}

static void finish_renew(struct rpc *rpc, struct task *done)
{
    struct txn_answer *answer = &done->write.answer;
    struct call *call = done->call;
    (void)rpc;
    if (call == NULL) {
        give_back(done);
        return;
    }
    if (done->write.err != ERR_OK || answer->error != V3_OK) {
        enum v3_error error = answer->error;
        give_back(done);
        fail_stream(call, done->write.err, error);
        return;
    }
    struct asked *asked = done->context;
    asked->is_done = true;
    asked->at = answer->revision;
    asked->body = answer->body;
    answer->body = (struct buf){0};
    give_back(done);
    tell_done(call);
}

/* Whether the call is still there: the node may refuse. A stream goes on under
 * what its user may do now. */
static bool renew(struct call *call, struct task *task, lease_id lease)
{
    struct command command = {
        .type = COMMAND_LEASE_RENEW,
        .renew = {.leases = &lease, .count = 1},
    };
    who__sign(call, &command);
    bool ended = false;
    bool *outer = call->ended;
    call->ended = &ended;
    task__write(task, command_encode(&command));
    if (!ended) {
        call->ended = outer;
    } else if (outer != NULL) {
        *outer = true;
    }
    return !ended;
}

static void on_message(struct call *call, struct slice message)
{
    struct keep_alive *keep_alive = call->context;
    ProtobufCMessage *decoded;
    enum err err =
        message_decode(&etcdserverpb__lease_keep_alive_request__descriptor,
                       message, &call->arena, &decoded);
    if (err != ERR_OK) {
        end(call);
        call__fail_malformed(call);
        return;
    }
    lease_id lease = ((Etcdserverpb__LeaseKeepAliveRequest *)decoded)->id;
    enum v3_error error = who__has_changed(call) ? who__again(call) : V3_OK;
    if (error != V3_OK) {
        fail_stream(call, ERR_OK, error);
        return;
    }
    struct asked *asked = mem_alloc_zero(sizeof(*asked));
    arena_reset(&call->arena);
    asked->request_bytes = message.size;
    list_push_back(&keep_alive->asked, &asked->link);
    struct task *task = task__new(call->rpc, call, finish_renew);
    task->context = asked;
    if (!renew(call, task, lease)) {
        free_keep_alive(keep_alive);
    }
}

static void on_half_close(struct call *call)
{
    CHECK(call->half_closed);
    tell_done(call);
}

static void on_gone(struct call *call)
{
    end(call);
}

void lease__keep_alive(struct call *call, ProtobufCMessage *request)
{
    struct keep_alive *keep_alive = mem_alloc_zero(sizeof(*keep_alive));
    CHECK(request == NULL);
    list_init(&keep_alive->asked);
    call->context = keep_alive;
    call->on_message = on_message;
    call->on_half_close = on_half_close;
    call->on_gone = on_gone;
    call->on_drained = tell_done;
}

/* ---- questions ----------------------------------------------------------- */

enum {
    TTL_ID = 2,
    TTL_TTL = 3,
    TTL_GRANTED = 4,
    TTL_KEYS = 5,
    LEASES_LEASES = 2,
    STATUS_ID = 1,
};

static void put_lease_key(void *context, enum mvcc_table table,
                          struct slice key)
{
    if (table == MVCC_KEYS) {
        pb_put_bytes_always(context, TTL_KEYS, key);
    }
}

/* Whole seconds; one that is over, but wasn't ended yet, has none left. */
static int64_t left_s(struct rpc *rpc, int64_t expire_ns)
{
    int64_t now_ns = clock_wall_ns(rpc->shared->api->clock);
    return expire_ns > now_ns ? (expire_ns - now_ns) / SECOND_NS : 0;
}

static void put_time_to_live(struct rpc *rpc, struct buf *out, lease_id id,
                             bool with_keys)
{
    const struct lease_table *leases = node_leases(rpc->node);
    struct lease_info info;
    pb_put_i64(out, TTL_ID, id);
    if (!lease_info(leases, id, &info)) {
        pb_put_i64(out, TTL_TTL, -1);
        return;
    }
    pb_put_i64(out, TTL_TTL, left_s(rpc, info.expire_ns));
    pb_put_i64(out, TTL_GRANTED, info.granted_s);
    if (with_keys) {
        lease_each_key(leases, id, put_lease_key, out);
    }
}

/* How long it lives anybody may know, its keys who may read them
 * (CVE-2023-32082). Needs: the shared lock. */
static enum v3_error
may_look(const struct call *call,
         const Etcdserverpb__LeaseTimeToLiveRequest *request)
{
    const struct auth *auth = node_auth(call->rpc->node);
    enum v3_error error = auth_may_ask(auth, call->user);
    if (error == V3_OK && request->keys) {
        error = auth_may_lease(auth, call->user, AUTH_READ,
                               node_leases(call->rpc->node), request->id);
    }
    return error;
}

static void answer_time_to_live(struct call *call, void *context)
{
    const Etcdserverpb__LeaseTimeToLiveRequest *request = context;
    struct rpc *rpc = call->rpc;
    struct buf *out = rpc__body(rpc);
    rpc__read_begin(rpc);
    revision at = rpc__revision(rpc);
    enum v3_error error = may_look(call, request);
    if (error == V3_OK) {
        put_time_to_live(rpc, out, request->id, request->keys);
    }
    rpc__read_end(rpc);
    if (error != V3_OK) {
        call__fail(call, error);
    } else {
        call__answer(call, at, buf_slice(out));
    }
}

void lease__time_to_live(struct call *call, ProtobufCMessage *request)
{
    task__when_current(call, false, request, answer_time_to_live);
}

static void put_status(void *context, lease_id id)
{
    char status[1 + VARINT_BYTES_MAX];
    status[0] = STATUS_ID << 3;
    size_t size = 1 + put_varint(status + 1, (uint64_t)id);
    pb_put_bytes_always(context, LEASES_LEASES, slice_of(status, size));
}

/* As in etcd who asks for all must be able to read the keys of all. */
struct all_leases {
    const struct call *call;
    enum v3_error error;
};

static void look_at(void *context, lease_id id)
{
    struct all_leases *all = context;
    struct node *node = all->call->rpc->node;
    if (all->error == V3_OK) {
        all->error = auth_may_lease(node_auth(node), all->call->user, AUTH_READ,
                                    node_leases(node), id);
    }
}

/* Needs: the shared lock. */
static enum v3_error may_look_at_all(const struct call *call)
{
    struct node *node = call->rpc->node;
    struct all_leases all = {.call = call};
    if (auth_may_admin(node_auth(node), call->user) == V3_OK) {
        return V3_OK;
    }
    all.error = auth_may_ask(node_auth(node), call->user);
    lease_each(node_leases(node), look_at, &all);
    return all.error;
}

/* etcd doesn't ask its leader here, either. */
void lease__leases(struct call *call, ProtobufCMessage *request)
{
    struct rpc *rpc = call->rpc;
    struct buf *out = rpc__body(rpc);
    (void)request;
    rpc__read_begin(rpc);
    revision at = rpc__revision(rpc);
    enum v3_error error = may_look_at_all(call);
    if (error == V3_OK) {
        lease_each(node_leases(rpc->node), put_status, out);
    }
    rpc__read_end(rpc);
    if (error != V3_OK) {
        call__fail(call, error);
    } else {
        call__answer(call, at, buf_slice(out));
    }
}
