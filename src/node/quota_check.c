/* Whether a write fits below the quotas of its keys. It is asked before the
 * write is applied, by every member the same.
 *
 * What a write adds is what it puts, less what the keys have now. A txn adds
 * what the worse of its branches does, wherever it goes; what it deletes isn't
 * taken off. Who adds nothing to a quota is let through, though more may live
 * below it than it allows by now: so what was too much can be made less. */
#include "base/check.h"
#include "node/node_int.h"
#include "proto/message.h"

enum { ORDER_DIGITS = 20 }; /* of the name that an in-order create makes */

/* What a write adds below one prefix. */
struct growth {
    int64_t keys;
    int64_t bytes;
};

/* One question. */
struct check {
    struct node *node;
    struct slice prefix; /* of the quota that is looked at */
    enum err err;        /* of the store */
};

static bool is_over(uint64_t now, int64_t more, uint64_t max)
{
    return max > 0 && more > 0 && (now > max || (uint64_t)more > max - now);
}

static bool is_too_much(const struct node_quota *quota, struct growth growth)
{
    CHECK(quota->keys_max > 0 || quota->bytes_max > 0);
    return is_over(quota->keys, growth.keys, quota->keys_max) ||
           is_over(quota->bytes, growth.bytes, quota->bytes_max);
}

/* ---- what a write adds --------------------------------------------------- */

static void look(struct check *check, struct slice key, struct record *now,
                 bool *lives)
{
    CHECK(key.size > 0);
    enum err err = mvcc_get(check->node->reader, MVCC_KEYS, key, 0, now);
    *lives = err == ERR_OK;
    CHECK(!*lives || slice_eq(now->key, key));
    if (err != ERR_OK && err != ERR_NOT_FOUND) {
        check->err = err_wrap(err, "look at a quota");
    }
}

static struct growth growth_of(struct check *check, struct slice key,
                               size_t value_bytes)
{
    struct record now;
    bool lives;
    CHECK(slice_has_prefix(key, check->prefix));
    look(check, key, &now, &lives);
    return lives ? (struct growth){.bytes = (int64_t)value_bytes -
                                            (int64_t)now.value.size}
                 : (struct growth){.keys = 1,
                                   .bytes = (int64_t)(key.size + value_bytes)};
}

/* Where the value is left as it is, the key is there or nothing is done. */
static struct growth growth_of_put(struct check *check,
                                   const Etcdserverpb__PutRequest *put)
{
    struct slice key = message_bytes(put->key);
    if (put->ignore_value || !slice_has_prefix(key, check->prefix)) {
        return (struct growth){0};
    }
    return growth_of(check, key, put->value.len);
}

static struct growth growth_of_txn(struct check *check,
                                   const Etcdserverpb__TxnRequest *txn);

static struct growth growth_of_branch(struct check *check,
                                      Etcdserverpb__RequestOp *const *ops,
                                      size_t count)
{
    struct growth sum = {0};
    CHECK(count == 0 || ops != NULL);
    for (size_t i = 0; i < count; i++) {
        struct growth one = {0};
        if (ops[i]->request_case ==
            ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT) {
            one = growth_of_put(check, ops[i]->request_put);
        } else if (ops[i]->request_case ==
                   ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN) {
            one = growth_of_txn(check, ops[i]->request_txn);
        }
        CHECK(one.keys >= 0); /* deletes aren't looked at */
        sum.keys += one.keys;
        sum.bytes += one.bytes;
    }
    return sum;
}

static int64_t worse(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static struct growth growth_of_txn(struct check *check,
                                   const Etcdserverpb__TxnRequest *txn)
{
    CHECK(check->prefix.at != NULL);
    struct growth a = growth_of_branch(check, txn->success, txn->n_success);
    struct growth b = growth_of_branch(check, txn->failure, txn->n_failure);
    return (struct growth){.keys = worse(a.keys, b.keys),
                           .bytes = worse(a.bytes, b.bytes)};
}

/* ---- puts and txns ------------------------------------------------------- */

/* The first quota, from `at` outwards, for which it is too much. */
static int first_over(const struct node *node, int at, struct growth growth)
{
    while (at != NODE_NO_QUOTA &&
           !is_too_much(&node->quotas[at].seen, growth)) {
        CHECK_LT(node->quotas[at].around, at);
        at = node->quotas[at].around;
    }
    return at;
}

/* All quotas around a put have the same growth, so it is looked at once. */
static bool put_is_over(struct check *check,
                        const Etcdserverpb__PutRequest *put)
{
    struct node *node = check->node;
    int at = node__quota_of(node, message_bytes(put->key));
    return at != NODE_NO_QUOTA &&
           first_over(node, at, growth_of_put(check, put)) != NODE_NO_QUOTA;
}

/* True: there is one that the key is below. */
static bool mark(struct node *node, struct slice key)
{
    int first = node__quota_of(node, key);
    int at = first;
    while (at != NODE_NO_QUOTA && !node->quotas[at].is_touched) {
        CHECK(slice_has_prefix(key, node->quotas[at].seen.prefix));
        node->quotas[at].is_touched = true;
        at = node->quotas[at].around;
    }
    return first != NODE_NO_QUOTA;
}

static bool mark_txn(struct node *node, const Etcdserverpb__TxnRequest *txn);

static bool mark_branch(struct node *node, Etcdserverpb__RequestOp *const *ops,
                        size_t count)
{
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        if (ops[i]->request_case ==
            ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT) {
            any |= mark(node, message_bytes(ops[i]->request_put->key));
        } else if (ops[i]->request_case ==
                   ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN) {
            any |= mark_txn(node, ops[i]->request_txn);
        }
    }
    return any;
}

static bool mark_txn(struct node *node, const Etcdserverpb__TxnRequest *txn)
{
    bool any = mark_branch(node, txn->success, txn->n_success);
    return mark_branch(node, txn->failure, txn->n_failure) || any;
}

/* Looks at those that were marked; they aren't any more afterwards. */
static bool txn_is_over(struct check *check,
                        const Etcdserverpb__TxnRequest *txn)
{
    struct node *node = check->node;
    bool refused = false;
    if (!mark_txn(node, txn)) {
        return false;
    }
    for (size_t i = 0; i < node->quota_count; i++) {
        struct quota *quota = &node->quotas[i];
        if (quota->is_touched && !refused && check->err == ERR_OK) {
            check->prefix = quota->seen.prefix;
            refused = is_too_much(&quota->seen, growth_of_txn(check, txn));
        }
        quota->is_touched = false;
    }
    return refused;
}

enum err node__check_quotas(struct node *node, const struct command *command,
                            const ProtobufCMessage *message,
                            enum v3_error *error)
{
    struct check check = {.node = node, .prefix = SLICE("")};
    bool refused = false;
    CHECK_EQ(*error, V3_OK);
    if (node->quota_count == 0) {
        return ERR_OK;
    }
    if (command->type == COMMAND_PUT) {
        refused = put_is_over(&check, (const void *)message);
    } else if (command->type == COMMAND_TXN) {
        refused = txn_is_over(&check, (const void *)message);
    }
    if (check.err == ERR_OK && refused) {
        *error = V3_QUOTA_USED_UP;
        node__count(node, NODE_COUNTER(quota_refused), 1);
    }
    return check.err;
}

/* ---- v2 ------------------------------------------------------------------ */

/* The key that the write makes or changes; it is in the arena where it isn't
 * the path. */
static struct slice key_of(struct node *node, const struct tree_command *tree)
{
    if (tree->op != TREE_CREATE_IN_ORDER) {
        return tree->path;
    }
    CHECK(tree->path.size > 0);
    unsigned long long next =
        (unsigned long long)mvcc_next_revision(node->mvcc);
    char *key = arena_printf(&node->arena, "%.*s/%0*llu",
                             tree->path.size == 1 ? 0 : (int)tree->path.size,
                             tree->path.at, ORDER_DIGITS, next);
    return slice_str(key);
}

/* A directory is no key; a refresh leaves the value as it is. */
static bool makes_file(const struct tree_command *tree)
{
    return !tree->dir && !tree->refresh && tree->op != TREE_DELETE &&
           tree->op != TREE_COMPARE_AND_DELETE;
}

/* What is going to fail for another reason adds nothing. */
static struct growth growth_of_tree(struct check *check, struct slice key,
                                    const struct tree_command *tree)
{
    struct growth growth = growth_of(check, key, tree->value.size);
    bool lives = growth.keys == 0;
    bool needs_it =
        tree->op == TREE_UPDATE || tree->op == TREE_COMPARE_AND_SWAP;
    bool makes_it = tree->op == TREE_CREATE || tree->op == TREE_CREATE_IN_ORDER;
    CHECK(makes_file(tree));
    return (needs_it && !lives) || (makes_it && lives) ? (struct growth){0}
                                                       : growth;
}

static void refuse_tree(struct node *node, struct slice prefix,
                        struct tree_result *result)
{
    struct buf cause = {0};
    buf_append_str(&cause, "etched: the quota of the prefix ");
    buf_append_slice(&cause, prefix);
    buf_append_str(&cause, " is used up");
    *result = (struct tree_result){
        .error = TREE_RAFT_INTERNAL,
        .index = mvcc_next_revision(node->mvcc) - 1,
        .cause = mem_dup(cause.at, cause.size),
        .cause_size = cause.size,
    };
    buf_deinit(&cause);
    node__count(node, NODE_COUNTER(quota_refused), 1);
}

enum err node__check_tree_quotas(struct node *node,
                                 const struct tree_command *tree,
                                 struct tree_result *result)
{
    struct check check = {.node = node, .prefix = SLICE("")};
    CHECK_EQ(result->error, TREE_NONE);
    CHECK(result->cause == NULL && result->commit == NULL);
    if (node->quota_count == 0 || !makes_file(tree)) {
        return ERR_OK;
    }
    struct slice key = key_of(node, tree);
    int at = node__quota_of(node, key);
    if (at == NODE_NO_QUOTA) {
        return ERR_OK;
    }
    struct growth growth = growth_of_tree(&check, key, tree);
    at = check.err == ERR_OK ? first_over(node, at, growth) : NODE_NO_QUOTA;
    if (at != NODE_NO_QUOTA) {
        refuse_tree(node, node->quotas[at].seen.prefix, result);
    }
    return check.err;
}
