/* A txn's comparisons, and with them the branches it takes. All of them see
 * the store as it is before the txn, those of txns within it too (etcd's
 * compareToPath). */
#include "base/plant.h"
#include "txn/txn_int.h"

static bool holds(const Etcdserverpb__Compare *compare, int order)
{
    switch (compare->result) {
    case ETCDSERVERPB__COMPARE__COMPARE_RESULT__EQUAL:
        return order == 0;
    case ETCDSERVERPB__COMPARE__COMPARE_RESULT__NOT_EQUAL:
        return order != 0;
    case ETCDSERVERPB__COMPARE__COMPARE_RESULT__GREATER:
        return order > 0;
    case ETCDSERVERPB__COMPARE__COMPARE_RESULT__LESS:
        return order < 0;
    default:
        return true; /* as etcd */
    }
}

static int compare_numbers(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

/* A number that was sent for another target counts as 0. */
static int64_t number_of(const Etcdserverpb__Compare *compare)
{
    switch (compare->target) {
    case ETCDSERVERPB__COMPARE__COMPARE_TARGET__VERSION:
        return compare->target_union_case ==
                       ETCDSERVERPB__COMPARE__TARGET_UNION_VERSION
                   ? compare->version
                   : 0;
    case ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE:
        return compare->target_union_case ==
                       ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION
                   ? compare->create_revision
                   : 0;
    case ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD:
        return compare->target_union_case ==
                       ETCDSERVERPB__COMPARE__TARGET_UNION_MOD_REVISION
                   ? compare->mod_revision
                   : 0;
    default:
        return compare->target_union_case ==
                       ETCDSERVERPB__COMPARE__TARGET_UNION_LEASE
                   ? compare->lease
                   : 0;
    }
}

static struct slice value_of(const Etcdserverpb__Compare *compare)
{
    if (compare->target_union_case != ETCDSERVERPB__COMPARE__TARGET_UNION_VALUE)
        return slice_of("", 0);
    return message_bytes(compare->value);
}

static bool is_true_of(const Etcdserverpb__Compare *compare,
                       const struct record *record)
{
    switch (compare->target) {
    case ETCDSERVERPB__COMPARE__COMPARE_TARGET__VERSION:
        return holds(compare,
                     compare_numbers(record->version, number_of(compare)));
    case ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE:
        return holds(compare,
                     compare_numbers(record->create, number_of(compare)));
    case ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD:
        return holds(compare,
                     compare_numbers(record->rev.main, number_of(compare)));
    case ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE:
        return holds(compare, slice_cmp(record->value, value_of(compare)));
    case ETCDSERVERPB__COMPARE__COMPARE_TARGET__LEASE:
        return holds(compare,
                     compare_numbers(record->lease, number_of(compare)));
    default:
        return holds(compare, 0); /* as etcd */
    }
}

/* A key that isn't there has the number 0 for everything, and no value that
 * could be compared. */
static bool is_true_of_none(const Etcdserverpb__Compare *compare)
{
    if (compare->target == ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE)
        return false;
    return is_true_of(compare, &(struct record){0});
}

/* What only asks for the newest revision is answered by the index alone. */
static enum err find_record(struct mvcc_reader *reader,
                            const Etcdserverpb__Compare *compare,
                            struct record *out)
{
    struct slice key = message_bytes(compare->key);
    revision at = 0;
    revision compacted;
    if (PLANTED(TXN_STALE)) {
        mvcc_reader_revisions(reader, &at, &compacted);
        at = at - 1 > compacted ? at - 1 : 0;
    }
    if (compare->target != ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD)
        return mvcc_get(reader, MVCC_KEYS, key, at, out);
    *out = (struct record){0};
    return mvcc_find(reader, MVCC_KEYS, key, at, &out->rev);
}

static enum err compare_single(struct mvcc_reader *reader,
                               const Etcdserverpb__Compare *compare,
                               bool *is_true)
{
    struct record record;
    enum err err = find_record(reader, compare, &record);
    if (err == ERR_OK)
        *is_true = is_true_of(compare, &record);
    if (err == ERR_NOT_FOUND)
        *is_true = is_true_of_none(compare);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* True of every key that is there. */
static enum err compare_range(struct mvcc_reader *reader,
                              const Etcdserverpb__Compare *compare,
                              struct slice from, struct slice end,
                              bool *is_true)
{
    struct mvcc_walk walk;
    struct slice key;
    struct rev rev;
    struct record record;
    uint64_t seen = 0;
    enum err err = mvcc_walk_init(&walk, reader, MVCC_KEYS, from, end, 0);
    *is_true = true;
    while (err == ERR_OK && *is_true &&
           (err = mvcc_walk_next(&walk, &key, &rev)) == ERR_OK) {
        err = txn__record(reader, rev, &record);
        if (err == ERR_OK)
            *is_true = is_true_of(compare, &record);
        seen++;
    }
    if (err == ERR_END && seen == 0)
        *is_true = is_true_of_none(compare);
    return err == ERR_END ? ERR_OK : err;
}

static enum err compare_all(struct mvcc_reader *reader,
                            const Etcdserverpb__TxnRequest *request,
                            bool *are_true)
{
    enum err err = ERR_OK;
    *are_true = true;
    for (size_t i = 0; i < request->n_compare && *are_true && err == ERR_OK;
         i++) {
        const Etcdserverpb__Compare *compare = request->compare[i];
        struct slice from, end;
        bool single;
        txn_bounds(message_bytes(compare->key),
                   message_bytes(compare->range_end), &from, &end, &single);
        err = single ? compare_single(reader, compare, are_true)
                     : compare_range(reader, compare, from, end, are_true);
    }
    return err;
}

/* ---- the path ------------------------------------------------------------ */

void txn__path_init(struct path *path)
{
    path->taken = path->few;
    path->count = 0;
    path->capacity = sizeof path->few;
}

void txn__path_deinit(struct path *path)
{
    if (path->taken != path->few)
        mem_free(path->taken);
    path->taken = NULL;
}

static void push(struct path *path, bool taken)
{
    if (path->count == path->capacity) {
        size_t capacity = path->capacity * 2;
        bool is_first = path->taken == path->few;
        path->taken = mem_realloc(is_first ? NULL : path->taken, capacity);
        if (is_first)
            memcpy(path->taken, path->few, sizeof path->few);
        path->capacity = capacity;
    }
    CHECK_LT(path->count, path->capacity);
    path->taken[path->count++] = taken;
}

enum err txn__path_find(struct path *path, struct mvcc_reader *reader,
                        const Etcdserverpb__TxnRequest *request)
{
    bool are_true;
    enum err err = compare_all(reader, request, &are_true);
    if (err != ERR_OK)
        return err;
    push(path, are_true);
    struct branch branch = txn__branch(request, are_true);
    for (size_t i = 0; i < branch.count && err == ERR_OK; i++) {
        if (branch.ops[i]->request_case ==
            ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN)
            err = txn__path_find(path, reader, branch.ops[i]->request_txn);
    }
    return err;
}
