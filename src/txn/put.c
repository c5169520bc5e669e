/* Put. */
#include "base/plant.h"
#include "txn/txn_int.h"

bool txn__has_lease(const struct txn *txn, lease_id lease)
{
    int64_t expire_ns;
    return !lease_is_v2(lease) && lease_get(txn->leases, lease, &expire_ns);
}

void txn__set_lease(struct txn *txn, struct slice key, lease_id lease)
{
    lease_id old;
    int64_t expire_ns;
    if (lease_count(txn->leases) == 0)
        return;
    if (!lease_of_key(txn->leases, MVCC_KEYS, key, &old))
        old = 0;
    if (old == lease)
        return;
    if (old != 0)
        lease_detach(txn->leases, old, MVCC_KEYS, key);
    if (lease != 0 && lease_get(txn->leases, lease, &expire_ns))
        lease_attach(txn->leases, lease, MVCC_KEYS, key);
}

void txn__break_off(struct txn *txn)
{
    struct mvcc_commit *commit = mvcc_commit(txn->mvcc);
    if (commit != NULL)
        mvcc_commit_unref(commit);
}

bool txn__put_needs_prev(const Etcdserverpb__PutRequest *request, bool wanted)
{
    return request->ignore_value || request->ignore_lease ||
           (request->prev_kv && wanted);
}

enum err txn__put_prev(struct mvcc_reader *reader,
                       const Etcdserverpb__PutRequest *request,
                       struct record *prev, bool *has_prev)
{
    enum err err =
        mvcc_get(reader, MVCC_KEYS, message_bytes(request->key), 0, prev);
    *has_prev = err == ERR_OK;
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* Who ignores the lease keeps what the key has, also a TTL of v2's. A key
 * that was there when the txn was checked may have been deleted by it since
 * (overlap.c: by a delete of "all from the key on"): then there is nothing to
 * keep, and the value is empty. */
void txn__put_apply(struct txn *txn, const Etcdserverpb__PutRequest *request,
                    const struct record *prev)
{
    static const struct record none;
    struct mvcc_put put = {
        .table = MVCC_KEYS,
        .cause = txn->by_recipe ? MVCC_RECIPE : MVCC_PUT,
        .key = message_bytes(request->key),
        .value = message_bytes(request->value),
        .lease = request->lease,
    };
    if (prev == NULL)
        prev = &none;
    if (request->ignore_value)
        put.value = prev->value;
    if (request->ignore_lease) {
        put.lease = prev->lease;
        put.expire_ns = prev->expire_ns;
    }
    mvcc_put(txn->mvcc, &put);
    txn__set_lease(txn, put.key, put.lease);
}

enum err txn_put(struct txn *txn, const Etcdserverpb__PutRequest *request,
                 int64_t time_ns, bool wanted, struct txn_answer *answer,
                 struct mvcc_commit **commit)
{
    struct record prev;
    bool has_prev = false;
    CHECK(request->key.len > 0 && answer->body.size == 0);
    *commit = NULL;
    answer->revision = mvcc_next_revision(txn->mvcc) - 1;
    if (request->lease != 0 && !txn__has_lease(txn, request->lease) &&
        !PLANTED(PUT_NO_LEASE)) {
        answer->error = V3_LEASE_NOT_FOUND;
        return ERR_OK;
    }
    if (txn__put_needs_prev(request, wanted)) {
        enum err err = txn__put_prev(txn->reader, request, &prev, &has_prev);
        if (err != ERR_OK)
            return err_wrap(err, "put");
    }
    if (!has_prev && (request->ignore_value || request->ignore_lease)) {
        answer->error = V3_KEY_NOT_FOUND;
        return ERR_OK;
    }
    if (has_prev && wanted && request->prev_kv)
        txn_put_key_value(&answer->body, FIELD_PUT_PREV, &prev);
    mvcc_begin(txn->mvcc, time_ns);
    txn__put_apply(txn, request, has_prev ? &prev : NULL);
    *commit = mvcc_commit(txn->mvcc);
    CHECK(*commit != NULL && (*commit)->count == 1);
    answer->revision = (*commit)->main;
    answer->count.puts = 1;
    return ERR_OK;
}
