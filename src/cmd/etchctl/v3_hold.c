#include "cmd/etchctl/v3_hold.h"

#include "cmd/etchctl/v3_keys.h"

/* ---- the lease ---------------------------------------------------------- */

static int grant(struct v3_hold *hold, int64_t ttl)
{
    struct v3 *v3 = hold->v3;
    Etcdserverpb__LeaseGrantRequest request =
        ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    const Etcdserverpb__LeaseGrantResponse *answer;
    struct v3_call call = {
        .method = "Lease/LeaseGrant",
        .request = &request.base,
        .answer = &etcdserverpb__lease_grant_response__descriptor,
    };

    request.ttl = ttl;
    answer = v3_call(v3, &call);
    if (!answer)
        return v3_fail(v3, V3_ERROR, "%s", v3->failure);
    hold->lease = answer->id;
    return V3_DONE;
}

int v3_hold_open(struct v3_hold *hold, struct v3 *v3, const char *name,
                 int64_t ttl)
{
    int code;

    *hold = (struct v3_hold){.v3 = v3};
    v3_catch_signals(v3);
    code = v3_connect(v3);
    if (code == V3_DONE)
        code = grant(hold, ttl);
    if (code != V3_DONE)
        return code;
    hold->prefix = arena_printf(v3->arena, "%s/", name);
    hold->key = arena_printf(v3->arena, "%s%llx", hold->prefix,
                             (unsigned long long)hold->lease);
    v3_keeper_start(&hold->keeper, v3, hold->lease, NULL, NULL);
    return V3_DONE;
}

void v3_hold_close(struct v3_hold *hold)
{
    struct v3 *v3 = hold->v3;
    Etcdserverpb__LeaseRevokeRequest request =
        ETCDSERVERPB__LEASE_REVOKE_REQUEST__INIT;
    struct v3_call call = {
        .method = "Lease/LeaseRevoke",
        .request = &request.base,
        .answer = &etcdserverpb__lease_revoke_response__descriptor,
        .deadline_ms = v3_deadline(v3),
    };

    v3_keeper_stop(&hold->keeper);
    if (!v3->client || hold->lease == 0)
        return;
    request.id = hold->lease;
    rpc_client_set_stop_fd(v3->client, -1);
    v3_call(v3, &call); /* if it fails, the lease ends by itself */
}

/* ---- the key ------------------------------------------------------------ */

/* Is there no key, or (with a revision) still the one that was made then? */
static void compare_created(const struct v3_hold *hold, int64_t revision,
                            Etcdserverpb__Compare *out)
{
    etcdserverpb__compare__init(out);
    out->key = v3_text(hold->key);
    out->target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE;
    out->target_union_case =
        ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION;
    out->create_revision = revision;
}

bool v3_hold_enter(struct v3_hold *hold, const char *value)
{
    Etcdserverpb__TxnRequest request = ETCDSERVERPB__TXN_REQUEST__INIT;
    Etcdserverpb__Compare compare;
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__RequestOp op = ETCDSERVERPB__REQUEST_OP__INIT;
    const Etcdserverpb__TxnResponse *answer;
    Etcdserverpb__Compare *compares[] = {&compare};
    Etcdserverpb__RequestOp *ops[] = {&op};
    struct v3_call call = {
        .method = "KV/Txn",
        .request = &request.base,
        .answer = &etcdserverpb__txn_response__descriptor,
    };

    compare_created(hold, 0, &compare);
    put.key = v3_text(hold->key);
    put.value = v3_text(value);
    put.lease = hold->lease;
    op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    op.request_put = &put;
    request.compare = compares;
    request.n_compare = 1;
    request.success = ops;
    request.n_success = 1;
    answer = v3_call(hold->v3, &call);
    if (!answer)
        return false;
    hold->revision = answer->header ? answer->header->revision : 0;
    hold->header_revision = hold->revision;
    return true;
}

bool v3_hold_leave(struct v3_hold *hold)
{
    Etcdserverpb__TxnRequest request = ETCDSERVERPB__TXN_REQUEST__INIT;
    Etcdserverpb__Compare compare;
    Etcdserverpb__DeleteRangeRequest delete =
        ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    Etcdserverpb__RequestOp op = ETCDSERVERPB__REQUEST_OP__INIT;
    Etcdserverpb__Compare *compares[] = {&compare};
    Etcdserverpb__RequestOp *ops[] = {&op};
    struct v3_call call = {
        .method = "KV/Txn",
        .request = &request.base,
        .answer = &etcdserverpb__txn_response__descriptor,
        .deadline_ms = v3_deadline(hold->v3),
    };

    compare_created(hold, hold->revision, &compare);
    delete.key = v3_text(hold->key);
    op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
    op.request_delete_range = &delete;
    request.compare = compares;
    request.n_compare = 1;
    request.success = ops;
    request.n_success = 1;
    /* After a signal, too. */
    rpc_client_set_stop_fd(hold->v3->client, -1);
    return v3_call(hold->v3, &call) != NULL;
}

/* ---- waiting ------------------------------------------------------------ */

enum v3_wait v3_hold_wait(struct v3_hold *hold, int fd)
{
    for (;;) {
        int64_t next_ms = v3_keeper_work(&hold->keeper);
        enum rpc_wake wake;
        if (hold->keeper.is_over)
            return V3_WAIT_EXPIRED;
        wake = rpc_client_run(hold->v3->client, next_ms, fd);
        if (wake == RPC_STOPPED)
            return V3_WAIT_STOPPED;
        if (wake == RPC_READABLE)
            return V3_WAIT_READABLE;
    }
}

enum v3_wait v3_hold_watch(struct v3_hold *hold, struct v3_watcher *watcher,
                           const bool *is_done)
{
    struct v3 *v3 = hold->v3;
    enum v3_wait result = V3_WAIT_DONE;

    v3_watcher_start(watcher, v3, v3->client);
    while (!*is_done && result == V3_WAIT_DONE) {
        int64_t keep_ms = v3_keeper_work(&hold->keeper);
        int64_t watch_ms = v3_watcher_work(watcher);
        if (watcher->is_over) {
            v3->failure = watcher->failure
                              ? watcher->failure
                              : arena_printf(v3->arena, "%s", "lost watcher");
            result = V3_WAIT_FAILED;
        } else if (hold->keeper.is_over) {
            result = V3_WAIT_EXPIRED;
        } else if (rpc_client_run(v3->client,
                                  keep_ms < watch_ms ? keep_ms : watch_ms,
                                  -1) == RPC_STOPPED) {
            result = V3_WAIT_STOPPED;
        }
    }
    v3_watcher_stop(watcher);
    return result;
}

static void on_event(void *context, const Etcdserverpb__WatchResponse *answer)
{
    bool *is_gone = context;

    for (size_t i = 0; i < answer->n_events; i++)
        if (answer->events[i]->type == MVCCPB__EVENT__EVENT_TYPE__DELETE)
            *is_gone = true;
}

static enum v3_wait wait_gone(struct v3_hold *hold, ProtobufCBinaryData key,
                              int64_t revision)
{
    bool is_gone = false;
    struct v3_watcher watcher = {
        .request = ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT,
        .on_answer = on_event,
        .context = &is_gone,
    };

    watcher.request.key = key;
    watcher.request.start_revision = revision;
    return v3_hold_watch(hold, &watcher, &is_gone);
}

const Etcdserverpb__RangeResponse *
v3_hold_range(struct v3_hold *hold, const Etcdserverpb__RangeRequest *request)
{
    struct v3_call call = {
        .method = "KV/Range",
        .request = &request->base,
        .answer = &etcdserverpb__range_response__descriptor,
        .is_repeatable = true,
    };

    return v3_call(hold->v3, &call);
}

enum v3_wait v3_hold_wait_turn(struct v3_hold *hold)
{
    struct v3_range range = v3_prefix_range(hold->v3->arena, hold->prefix);
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    enum v3_wait result = V3_WAIT_DONE;

    request.key = range.key;
    request.range_end = range.end;
    request.limit = 1;
    request.sort_target = ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__CREATE;
    request.sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND;
    request.max_create_revision = hold->revision - 1;
    while (result == V3_WAIT_DONE) {
        const Etcdserverpb__RangeResponse *answer =
            v3_hold_range(hold, &request);
        if (!answer)
            return V3_WAIT_FAILED;
        hold->header_revision = answer->header ? answer->header->revision : 0;
        if (answer->n_kvs == 0)
            return V3_WAIT_DONE;
        result = wait_gone(hold, answer->kvs[0]->key, hold->header_revision);
    }
    return result;
}

void v3_hold_first(const struct v3_hold *hold,
                   Etcdserverpb__RangeRequest *request)
{
    struct v3_range range = v3_prefix_range(hold->v3->arena, hold->prefix);

    etcdserverpb__range_request__init(request);
    request->key = range.key;
    request->range_end = range.end;
    request->limit = 1;
    request->sort_target = ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__CREATE;
    request->sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__ASCEND;
}
