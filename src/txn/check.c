/* Checks of a request's form, in etcd's order (server/etcdserver/api/v3rpc/
 * key.go): who sends two faults at once hears of the same one. */
#include "txn/txn_int.h"

enum v3_error txn_check_range(const Etcdserverpb__RangeRequest *request)
{
    if (request->key.len == 0)
        return V3_EMPTY_KEY;
    if ((unsigned)request->sort_order >
            ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND ||
        (unsigned)request->sort_target >
            ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VALUE)
        return V3_INVALID_SORT_OPTION;
    return V3_OK;
}

enum v3_error txn_check_put(const Etcdserverpb__PutRequest *request)
{
    if (request->key.len == 0)
        return V3_EMPTY_KEY;
    if (request->ignore_value && request->value.len != 0)
        return V3_VALUE_PROVIDED;
    if (request->ignore_lease && request->lease != 0)
        return V3_LEASE_PROVIDED;
    return V3_OK;
}

enum v3_error
txn_check_delete_range(const Etcdserverpb__DeleteRangeRequest *request)
{
    return request->key.len == 0 ? V3_EMPTY_KEY : V3_OK;
}

/* ---- txns ---------------------------------------------------------------- */

static enum v3_error check_forms(const Etcdserverpb__TxnRequest *request,
                                 size_t ops_max);

static enum v3_error check_op(const Etcdserverpb__RequestOp *op, size_t ops_max)
{
    switch (op->request_case) {
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE:
        return txn_check_range(op->request_range);
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT:
        return txn_check_put(op->request_put);
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE:
        return txn_check_delete_range(op->request_delete_range);
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN:
        return check_forms(op->request_txn, ops_max);
    default:
        return V3_KEY_NOT_FOUND; /* what etcd says of an empty operation */
    }
}

static enum v3_error check_ops(struct branch branch, size_t ops_max)
{
    enum v3_error error = V3_OK;
    for (size_t i = 0; i < branch.count && error == V3_OK; i++)
        error = check_op(branch.ops[i], ops_max);
    return error;
}

/* A txn within another may have what that one's longest list has left. How
 * deep they lie in each other is bounded where messages are decoded. */
static enum v3_error check_forms(const Etcdserverpb__TxnRequest *request,
                                 size_t ops_max)
{
    size_t longest = request->n_compare;
    if (longest < request->n_success)
        longest = request->n_success;
    if (longest < request->n_failure)
        longest = request->n_failure;
    if (longest > ops_max)
        return V3_TOO_MANY_OPS;
    for (size_t i = 0; i < request->n_compare; i++) {
        if (request->compare[i]->key.len == 0)
            return V3_EMPTY_KEY;
    }
    enum v3_error error =
        check_ops(txn__branch(request, true), ops_max - longest);
    if (error == V3_OK)
        error = check_ops(txn__branch(request, false), ops_max - longest);
    return error;
}

enum v3_error txn_check(const Etcdserverpb__TxnRequest *request, size_t ops_max)
{
    enum v3_error error = check_forms(request, ops_max);
    if (error == V3_OK)
        error = txn__check_overlap(txn__branch(request, true));
    if (error == V3_OK)
        error = txn__check_overlap(txn__branch(request, false));
    return error;
}

/* ---- what is in a txn ---------------------------------------------------- */

/* True if `wanted` is true of an operation in either branch. */
static bool any_op(const Etcdserverpb__TxnRequest *request,
                   bool (*wanted)(const Etcdserverpb__RequestOp *op))
{
    for (int succeeded = 0; succeeded < 2; succeeded++) {
        struct branch branch = txn__branch(request, succeeded);
        for (size_t i = 0; i < branch.count; i++) {
            const Etcdserverpb__RequestOp *op = branch.ops[i];
            bool found = op->request_case ==
                                 ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN
                             ? any_op(op->request_txn, wanted)
                             : wanted(op);
            if (found)
                return true;
        }
    }
    return false;
}

static bool is_write(const Etcdserverpb__RequestOp *op)
{
    return op->request_case != ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
}

static bool is_put(const Etcdserverpb__RequestOp *op)
{
    return op->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
}

static bool is_linearizable(const Etcdserverpb__RequestOp *op)
{
    return is_write(op) || !op->request_range->serializable;
}

bool txn_is_read_only(const Etcdserverpb__TxnRequest *request)
{
    return !any_op(request, is_write);
}

bool txn_has_put(const Etcdserverpb__TxnRequest *request)
{
    return any_op(request, is_put);
}

bool txn_is_serializable(const Etcdserverpb__TxnRequest *request)
{
    return !any_op(request, is_linearizable);
}
