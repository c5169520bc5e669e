/* Election: who leads has the oldest key, and says something by its value. */
#include "base/check.h"
#include "proto/election.pb-c.h"
#include "proto/pb.h"
#include "rpc/contest.h"

enum {
    CAMPAIGN_LEADER = 2,
    LEADER_NAME = 1,
    LEADER_KEY = 2,
    LEADER_REV = 3,
    LEADER_LEASE = 4,
    RESPONSE_KV = 2,
};

static const char not_leader[] = "election: not leader";
static const char no_leader[] = "election: no leader";
static const char missing_leader[] = "\"leader\" field must be provided";

/* ---- Campaign, Proclaim, Resign ------------------------------------------ */

static void on_elected(struct contest *contest, revision at)
{
    struct call *call = contest->call;
    struct slice name = buf_slice(&contest->prefix);
    struct buf leader = {0};
    struct buf *out = rpc__body(call->rpc);
    (void)at; /* as etcd has it: the header is of the key's */
    name.size--;
    pb_put_bytes(&leader, LEADER_NAME, name);
    pb_put_bytes(&leader, LEADER_KEY, buf_slice(&contest->key));
    pb_put_i64(&leader, LEADER_REV, contest->create);
    pb_put_i64(&leader, LEADER_LEASE, contest->lease);
    pb_put_bytes_always(out, CAMPAIGN_LEADER, buf_slice(&leader));
    buf_deinit(&leader);
    revision header = contest->header;
    contest__free(contest);
    call__answer(call, header, buf_slice(out));
}

void election__campaign(struct call *call, ProtobufCMessage *message)
{
    const V3electionpb__CampaignRequest *request = (void *)message;
    struct contest *contest =
        contest__new(call, message_bytes(request->value), request->lease);
    contest__enter(contest, message_bytes(request->name), on_elected,
                   not_leader);
}

/* The contest that is behind a leader's key; NULL: there is none, and the call
 * has failed. */
static struct contest *resume(struct call *call,
                              const V3electionpb__LeaderKey *leader,
                              struct slice value)
{
    if (leader == NULL) {
        contest__fail_text(call, missing_leader);
        return NULL;
    }
    struct contest *contest = contest__new(call, value, leader->lease);
    buf_append_slice(&contest->key, message_bytes(leader->key));
    contest->create = leader->rev;
    return contest;
}

static void proclaim(struct contest *contest)
{
    contest__change(contest, false, not_leader);
}

void election__proclaim(struct call *call, ProtobufCMessage *message)
{
    const V3electionpb__ProclaimRequest *request = (void *)message;
    struct contest *contest =
        resume(call, request->leader, message_bytes(request->value));
    if (contest != NULL) {
        contest__with_lease(contest, proclaim);
    }
}

void election__resign(struct call *call, ProtobufCMessage *message)
{
    const V3electionpb__ResignRequest *request = (void *)message;
    struct contest *contest = resume(call, request->leader, SLICE(""));
    if (contest != NULL) {
        contest__change(contest, true, NULL);
    }
}

/* ---- Leader -------------------------------------------------------------- */

static struct slice prefix_of(struct arena *arena, ProtobufCBinaryData name)
{
    char *prefix = arena_alloc(arena, name.len + 1);
    if (name.len > 0) {
        memcpy(prefix, name.data, name.len);
    }
    prefix[name.len] = '/';
    return slice_of(prefix, name.len + 1);
}

static void answer_leader(struct call *call, void *context)
{
    const V3electionpb__LeaderRequest *request = context;
    struct contest_seek seek = {
        .prefix = prefix_of(&call->arena, request->name),
        .wants_kv = true,
    };
    enum v3_error error = contest__may_look(call, seek.prefix);
    if (error != V3_OK) {
        contest__fail(call, ERR_OK, error);
        return;
    }
    enum err err = contest__seek(call->rpc, &seek);
    if (err != ERR_OK) {
        call__fail_err(call, err);
    } else if (!seek.found) {
        contest__fail_text(call, no_leader);
    } else {
        struct buf *out = rpc__body(call->rpc);
        pb_put_bytes_always(out, RESPONSE_KV, buf_slice(&seek.kv));
        call__answer(call, seek.at, buf_slice(out));
    }
    contest__seek_deinit(&seek);
}

void election__leader(struct call *call, ProtobufCMessage *request)
{
    task__when_current(call, false, request, answer_leader);
}

/* ---- Observe ------------------------------------------------------------- */

/* Follows the leader's key through history, and then the next leader's. It is
 * woken by a watch, and looks for itself: so it holds nothing, however slowly
 * its client reads.
 *
 *   FIND --> there is one: told --> FOLLOW --> its changes, each told
 *    ^  '--> wait for a put           |
 *    '------------ it has gone -------'
 */
struct observer {
    struct rpc *rpc;
    struct call *call;
    struct slice prefix; /* in the call's arena */
    struct slice end;
    bool has_leader;
    struct buf key;
    revision next; /* of the leader's key */
    struct inner_watch watch;
};

static void observe(struct observer *observer);

static void on_change(struct inner_watch *watch)
{
    observe(CONTAINER_OF(watch, struct observer, watch));
}

static void observer_free(struct observer *observer)
{
    inner_watch__end(&observer->watch);
    observer->call->on_gone = NULL;
    observer->call->on_drained = NULL;
    buf_deinit(&observer->key);
    mem_free(observer);
}

static void tell(struct observer *observer, revision at, struct slice kv)
{
    struct rpc *rpc = observer->rpc;
    struct buf *out = rpc__body(rpc);
    rpc__put_header(rpc, out, at);
    pb_put_bytes_always(out, RESPONSE_KV, kv);
    call__send(observer->call, buf_slice(out));
}

/* ERR_END: there is none yet, and it waits. */
static enum err find(struct observer *observer)
{
    struct contest_seek seek = {.prefix = observer->prefix, .wants_kv = true};
    enum err err = contest__seek(observer->rpc, &seek);
    if (err == ERR_OK && seek.found) {
        tell(observer, seek.at, buf_slice(&seek.kv));
        observer->has_leader = true;
        observer->next = seek.at + 1;
        buf_reset(&observer->key);
        buf_append_slice(&observer->key, buf_slice(&seek.key));
    } else if (err == ERR_OK) {
        inner_watch__begin(&observer->watch, observer->rpc, observer->prefix,
                           observer->end, seek.at + 1, INNER_PUT, on_change);
        err = ERR_END;
    }
    contest__seek_deinit(&seek);
    return err;
}

/* The next change of the leader's key. Where history is gone it is looked for
 * anew: the newest is what counts. */
static enum err read_change(struct observer *observer, struct buf *kv,
                            revision *at, bool *gone)
{
    struct rpc *rpc = observer->rpc;
    struct record record;
    struct rev rev;
    rpc__read_begin(rpc);
    *at = rpc__revision(rpc);
    enum err err =
        mvcc_key_history(rpc->reader, MVCC_KEYS, buf_slice(&observer->key),
                         observer->next, &rev);
    if (err == ERR_OK) {
        err = mvcc_get_rev(rpc->reader, rev, &record);
    }
    *gone = err == ERR_COMPACTED ||
            (err == ERR_OK && (record.flags & MVCC_TOMBSTONE) != 0);
    if (err == ERR_OK && !*gone) {
        *at = record.rev.main;
        txn_key_value(kv, &record);
    }
    rpc__read_end(rpc);
    return err == ERR_COMPACTED ? ERR_OK : err;
}

/* ERR_END: it waits. */
static enum err follow(struct observer *observer)
{
    struct buf kv = {0};
    revision at;
    bool gone;
    enum err err = read_change(observer, &kv, &at, &gone);
    if (err == ERR_OK && gone) {
        observer->has_leader = false;
    } else if (err == ERR_OK) {
        tell(observer, at, buf_slice(&kv));
        observer->next = at + 1;
    } else if (err == ERR_END) {
        inner_watch__begin(&observer->watch, observer->rpc,
                           buf_slice(&observer->key), slice_of(NULL, 0), at + 1,
                           INNER_PUT | INNER_DELETE, on_change);
    }
    buf_deinit(&kv);
    return err;
}

/* False: its user may not look any more, and it is over. */
static bool may_observe(struct observer *observer)
{
    struct call *call = observer->call;
    if (!who__has_changed(call)) {
        return true;
    }
    enum v3_error error = who__again(call);
    if (error == V3_OK) {
        error = contest__may_look(call, observer->prefix);
    }
    if (error != V3_OK) {
        observer_free(observer);
        contest__fail(call, ERR_OK, error);
    }
    return error == V3_OK;
}

/* Until there is nothing to tell, or the client doesn't read. */
static void observe(struct observer *observer)
{
    struct call *call = observer->call;
    enum err err = ERR_OK;
    if (!may_observe(observer)) {
        return;
    }
    while (err == ERR_OK) {
        if (call__unsent(call) > LIMIT_HTTP_OUT_HIGH_BYTES) {
            return; /* on_drained comes */
        }
        err = observer->has_leader ? follow(observer) : find(observer);
    }
    if (err != ERR_END) {
        observer_free(observer);
        call__fail_err(call, err);
    }
}

static void on_gone(struct call *call)
{
    observer_free(call->context);
}

static void on_drained(struct call *call)
{
    struct observer *observer = call->context;
    if (observer->watch.rpc == NULL) {
        observe(observer);
    }
}

static void begin_observing(struct call *call, void *context)
{
    const V3electionpb__LeaderRequest *request = context;
    struct slice prefix = prefix_of(&call->arena, request->name);
    enum v3_error error = contest__may_look(call, prefix);
    if (error != V3_OK) {
        contest__fail(call, ERR_OK, error);
        return;
    }
    struct observer *observer = mem_alloc_zero(sizeof(*observer));
    observer->rpc = call->rpc;
    observer->call = call;
    observer->prefix = prefix;
    char *end =
        arena_dup(&call->arena, observer->prefix.at, observer->prefix.size);
    end[observer->prefix.size - 1]++;
    observer->end = slice_of(end, observer->prefix.size);
    call->context = observer;
    call->on_gone = on_gone;
    call->on_drained = on_drained;
    observe(observer);
}

void election__observe(struct call *call, ProtobufCMessage *request)
{
    task__when_current(call, false, request, begin_observing);
}
