#include "runner_users.h"

#include <string.h>

#include "base/check.h"
#include "proto/message.h"
#include "proto/rpc.pb-c.h"

void world_grant(struct world_users *users, const char *user,
                 enum runner_right right, const char *prefix)
{
    CHECK_LT(users->count, WORLD_GRANTS_MAX);
    users->are_there = true;
    users->grants[users->count++] = (struct world_grant){user, right, prefix};
}

void world_revoke(struct world_users *users, const char *user,
                  const char *prefix)
{
    size_t kept = 0;
    for (size_t i = 0; i < users->count; i++)
        if (strcmp(users->grants[i].user, user) != 0 ||
            strcmp(users->grants[i].prefix, prefix) != 0)
            users->grants[kept++] = users->grants[i];
    users->count = kept;
}

/* All from `key` to `end` begins with the prefix. */
static bool covers(const char *prefix, struct slice key, struct slice end)
{
    struct slice begin = slice_str(prefix);
    if (!slice_has_prefix(key, begin))
        return false;
    if (end.size == 0 || begin.size == 0 || slice_has_prefix(end, begin))
        return true;
    return end.size == begin.size &&
           memcmp(end.at, begin.at, end.size - 1) == 0 &&
           end.at[end.size - 1] == begin.at[begin.size - 1] + 1;
}

static bool has_grant(const struct world_users *users, struct slice user,
                      enum runner_right right, struct slice key,
                      struct slice end)
{
    for (size_t i = 0; i < users->count; i++) {
        const struct world_grant *grant = &users->grants[i];
        if (slice_eq(slice_str(grant->user), user) && grant->right == right &&
            covers(grant->prefix, key, end))
            return true;
    }
    return false;
}

bool world_may(struct world_users *users, struct slice user,
               enum runner_right right, struct slice key, struct slice end)
{
    users->asked++;
    if (!users->are_there || slice_eq(user, SLICE("root")))
        return true;
    return right != RUNNER_ADMIN && has_grant(users, user, right, key, end);
}

static bool may_effect(struct world_users *users, struct slice owner,
                       ProtobufCBinaryData key, ProtobufCBinaryData end)
{
    struct slice name = message_bytes(key);
    return slice_has_prefix(name, SLICE("/_recipes/")) ||
           has_grant(users, owner, RUNNER_WRITE, name, message_bytes(end));
}

static bool may_all(struct world_users *users, struct slice owner,
                    Etcdserverpb__RequestOp *const *ops, size_t count)
{
    const ProtobufCBinaryData none = {0};
    bool may = true;
    for (size_t i = 0; may && i < count; i++) {
        const Etcdserverpb__RequestOp *op = ops[i];
        if (op->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT)
            may = may_effect(users, owner, op->request_put->key, none);
        else if (op->request_case ==
                 ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE)
            may = may_effect(users, owner, op->request_delete_range->key,
                             op->request_delete_range->range_end);
        else if (op->request_case ==
                 ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN)
            may = may_all(users, owner, op->request_txn->success,
                          op->request_txn->n_success) &&
                  may_all(users, owner, op->request_txn->failure,
                          op->request_txn->n_failure);
    }
    return may;
}

bool world_may_txn(struct world_users *users, struct slice owner,
                   struct slice request)
{
    struct arena arena;
    ProtobufCMessage *message = NULL;
    if (!users->are_there)
        return true;
    arena_init(&arena, 0);
    enum err err = message_decode(&etcdserverpb__txn_request__descriptor,
                                  request, &arena, &message);
    CHECK_EQ(err, ERR_OK);
    const Etcdserverpb__TxnRequest *txn = (const void *)message;
    bool may = may_all(users, owner, txn->success, txn->n_success) &&
               may_all(users, owner, txn->failure, txn->n_failure);
    arena_deinit(&arena);
    return may;
}
