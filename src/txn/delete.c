/* DeleteRange, and the end of a lease. */
#include "txn/txn_int.h"

#include <stdlib.h>

#include "base/plant.h"

static bool end_key(struct txn *txn, struct slice key)
{
    enum mvcc_cause cause = txn->by_recipe ? MVCC_RECIPE : MVCC_DELETE_RANGE;
    enum err err = mvcc_delete(txn->mvcc, MVCC_KEYS, key, cause, 0);
    if (err == ERR_OK)
        txn__set_lease(txn, key, 0);
    return err == ERR_OK;
}

/* ---- DeleteRange --------------------------------------------------------- */

/* A key that goes, as it was. */
static enum err put_prev(struct txn *txn, struct slice key, struct buf *out)
{
    struct record record;
    enum err err = mvcc_get(txn->reader, MVCC_KEYS, key, 0, &record);
    if (err == ERR_OK)
        txn_put_key_value(out, FIELD_DELETE_PREVS, &record);
    return err;
}

static enum err delete_single(struct txn *txn, struct slice key, bool with_prev,
                              struct buf *out, uint64_t *deleted)
{
    struct buf prev = {0};
    enum err err = with_prev ? put_prev(txn, key, &prev) : ERR_OK;
    if (err == ERR_OK)
        *deleted = end_key(txn, key);
    if (err == ERR_OK && out != NULL) {
        pb_put_u64(out, FIELD_DELETE_DELETED, *deleted);
        buf_append_slice(out, buf_slice(&prev));
    }
    buf_deinit(&prev);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* How many go stands in front of them, so they are counted first. A response
 * that has become too long is not added to (txn__bound_answer). */
static enum err delete_many(struct txn *txn, struct slice from,
                            struct slice end, bool with_prev, struct buf *out,
                            uint64_t *deleted)
{
    struct mvcc_walk walk;
    struct slice key;
    struct rev rev;
    uint64_t count;
    enum err err = mvcc_count(txn->reader, MVCC_KEYS, from, end, 0, &count);
    if (err == ERR_OK && out != NULL)
        pb_put_u64(out, FIELD_DELETE_DELETED, count);
    if (err == ERR_OK)
        err = mvcc_walk_init(&walk, txn->reader, MVCC_KEYS, from, end, 0);
    while (err == ERR_OK &&
           (err = mvcc_walk_next(&walk, &key, &rev)) == ERR_OK) {
        if (with_prev && out->size <= TXN_ANSWER_BYTES_MAX)
            err = put_prev(txn, key, out);
        CHECK(err != ERR_NOT_FOUND);
        if (err == ERR_OK)
            *deleted += end_key(txn, key);
    }
    CHECK(err != ERR_END || *deleted == count);
    return err == ERR_END ? ERR_OK : err;
}

enum err txn__delete_apply(struct txn *txn,
                           const Etcdserverpb__DeleteRangeRequest *request,
                           struct buf *out, uint64_t *deleted)
{
    struct slice from, end;
    bool single;
    bool with_prev = request->prev_kv && out != NULL;
    *deleted = 0;
    txn_bounds(message_bytes(request->key), message_bytes(request->range_end),
               &from, &end, &single);
    if (single)
        return delete_single(txn, from, with_prev, out, deleted);
    return delete_many(txn, from, end, with_prev, out, deleted);
}

enum err txn_delete_range(struct txn *txn,
                          const Etcdserverpb__DeleteRangeRequest *request,
                          int64_t time_ns, bool wanted,
                          struct txn_answer *answer,
                          struct mvcc_commit **commit)
{
    uint64_t deleted;
    CHECK(request->key.len > 0 && answer->body.size == 0);
    *commit = NULL;
    answer->revision = mvcc_next_revision(txn->mvcc) - 1;
    mvcc_begin(txn->mvcc, time_ns);
    enum err err = txn__delete_apply(txn, request,
                                     wanted ? &answer->body : NULL, &deleted);
    if (err != ERR_OK) {
        txn__break_off(txn);
        return err_wrap(err, "delete range");
    }
    *commit = mvcc_commit(txn->mvcc);
    CHECK((*commit != NULL) == (deleted > 0));
    answer->count.deletes = 1;
    if (*commit != NULL)
        answer->revision = (*commit)->main;
    txn__bound_answer(answer);
    return ERR_OK;
}

/* ---- leases -------------------------------------------------------------- */

struct held {
    struct slice *keys;
    size_t count, capacity;
};

static void hold(void *context, enum mvcc_table table, struct slice key)
{
    struct held *held = context;
    CHECK_EQ(table, MVCC_KEYS);
    if (held->count == held->capacity) {
        held->capacity = held->capacity * 2 + 8;
        held->keys =
            mem_realloc(held->keys, held->capacity * sizeof *held->keys);
    }
    held->keys[held->count++] = key;
}

static int compare_keys(const void *a, const void *b)
{
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

/* By name, as in etcd: the order in which keys were attached isn't the same
 * on a member that was started again. The slices are the table's own, and
 * good until the lease is revoked: so the keys are detached by that. */
enum err txn_lease_end(struct txn *txn, lease_id lease, enum mvcc_cause cause,
                       int64_t time_ns, struct mvcc_commit **commit)
{
    struct held held = {0};
    CHECK(txn__has_lease(txn, lease));
    CHECK(cause == MVCC_EXPIRE || cause == MVCC_REVOKE);
    lease_each_key(txn->leases, lease, hold, &held);
    if (held.count > 1)
        qsort(held.keys, held.count, sizeof *held.keys, compare_keys);
    if (PLANTED(LEASE_HALF) && held.count > 1)
        held.count--;
    mvcc_begin(txn->mvcc, time_ns);
    for (size_t i = 0; i < held.count; i++) {
        enum err err =
            mvcc_delete(txn->mvcc, MVCC_KEYS, held.keys[i], cause, 0);
        CHECK_EQ(err, ERR_OK); /* a key that is held lives */
    }
    *commit = mvcc_commit(txn->mvcc);
    CHECK((*commit != NULL) == (held.count > 0));
    mem_free(held.keys);
    lease_revoke(txn->leases, lease);
    return ERR_OK;
}
