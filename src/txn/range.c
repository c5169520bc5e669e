/* Range, in one piece. */
#include "txn/txn_int.h"

#include <inttypes.h>

void txn_bounds(struct slice key, struct slice range_end, struct slice *from,
                struct slice *end, bool *single)
{
    *from = key;
    *single = range_end.size == 0;
    *end = range_end;
    if (range_end.size == 1 && range_end.at[0] == '\0')
        *end = (struct slice){NULL, 0};
}

/* With a target but no order, etcd cuts to the limit (and one, to know of
 * more) BEFORE it sorts; with an order or a filter, after. */
static uint64_t look_max_of(const struct range_plan *plan)
{
    const Etcdserverpb__RangeRequest *request = plan->request;
    if (!plan->sorted || plan->filtered || plan->limit == 0 ||
        request->sort_order != ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__NONE)
        return 0;
    return plan->limit + 1;
}

void txn__plan(struct range_plan *plan,
               const Etcdserverpb__RangeRequest *request, revision now)
{
    CHECK(request->key.len > 0);
    *plan = (struct range_plan){
        .request = request,
        .sorted = request->sort_target !=
                  ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__KEY,
        .descend = request->sort_order ==
                   ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND,
        .filtered_by_create = request->min_create_revision != 0 ||
                              request->max_create_revision != 0,
        .limit = request->limit > 0 ? (uint64_t)request->limit : 0,
        .at = request->revision > 0 ? request->revision : now,
    };
    plan->back = plan->descend && !plan->sorted;
    plan->filtered = plan->filtered_by_create ||
                     request->min_mod_revision != 0 ||
                     request->max_mod_revision != 0;
    plan->look_max = look_max_of(plan);
    txn_bounds(message_bytes(request->key), message_bytes(request->range_end),
               &plan->from, &plan->end, &plan->single);
}

static bool passes(int64_t number, int64_t min, int64_t max)
{
    return (max == 0 || number <= max) && (min == 0 || number >= min);
}

bool txn__passes_mod(const struct range_plan *plan, revision mod)
{
    return !plan->filtered || passes(mod, plan->request->min_mod_revision,
                                     plan->request->max_mod_revision);
}

bool txn__passes_create(const struct range_plan *plan, revision create)
{
    return !plan->filtered_by_create ||
           passes(create, plan->request->min_create_revision,
                  plan->request->max_create_revision);
}

enum err txn__record(struct mvcc_reader *reader, struct rev rev,
                     struct record *out)
{
    enum err err = mvcc_get_rev(reader, rev, out);
    if (err == ERR_NOT_FOUND)
        return err_set(ERR_CORRUPT,
                       "record %" PRId64 "/%" PRIu32
                       " of the index is not in the store",
                       rev.main, rev.sub);
    return err;
}

void txn__put_range_tail(struct buf *out, bool more, uint64_t count)
{
    pb_put_bool(out, FIELD_RANGE_MORE, more);
    pb_put_u64(out, FIELD_RANGE_COUNT, count);
}

static enum err count_of(struct mvcc_reader *reader,
                         const struct range_plan *plan, uint64_t *count)
{
    return mvcc_count(reader, MVCC_KEYS, plan->from, plan->end, plan->at,
                      count);
}

/* ---- one key ------------------------------------------------------------- */

static enum err range_single(struct mvcc_reader *reader,
                             const struct range_plan *plan, size_t bytes_max,
                             struct buf *out)
{
    struct record record;
    struct rev rev;
    bool keys_only = plan->request->keys_only;
    bool count_only = plan->request->count_only;
    enum err err =
        count_only ? mvcc_find(reader, MVCC_KEYS, plan->from, plan->at, &rev)
                   : mvcc_get(reader, MVCC_KEYS, plan->from, plan->at, &record);
    if (err != ERR_OK)
        return err == ERR_NOT_FOUND ? ERR_OK : err;
    if (!count_only && txn__passes_mod(plan, record.rev.main) &&
        txn__passes_create(plan, record.create)) {
        if (txn__kv_field_bytes(&record, keys_only) > bytes_max)
            return ERR_TOO_LARGE;
        txn__put_kv(out, FIELD_RANGE_KVS, &record, keys_only);
    }
    txn__put_range_tail(out, false, 1);
    return ERR_OK;
}

/* ---- in the order of keys ------------------------------------------------ */

enum err txn__walk_init(struct mvcc_walk *walk, struct mvcc_reader *reader,
                        const struct range_plan *plan)
{
    enum err err = mvcc_walk_init(walk, reader, MVCC_KEYS, plan->from,
                                  plan->end, plan->at);
    if (err == ERR_OK && plan->back)
        mvcc_walk_seek_back(walk, plan->end);
    return err;
}

static enum err range_by_key(struct mvcc_reader *reader,
                             const struct range_plan *plan, size_t bytes_max,
                             struct buf *out)
{
    struct mvcc_walk walk;
    struct slice key;
    struct rev rev;
    struct record record;
    uint64_t seen = 0, given = 0;
    bool more = false;
    bool keys_only = plan->request->keys_only;
    size_t end =
        bytes_max < SIZE_MAX - out->size ? out->size + bytes_max : SIZE_MAX;
    enum err err = txn__walk_init(&walk, reader, plan);
    while (err == ERR_OK && !more &&
           (err = txn__walk_step(&walk, plan, &key, &rev)) == ERR_OK) {
        seen++;
        if (!txn__passes_mod(plan, rev.main))
            continue;
        err = txn__record(reader, rev, &record);
        if (err != ERR_OK || !txn__passes_create(plan, record.create))
            continue;
        more = plan->limit != 0 && given == plan->limit;
        if (more)
            continue;
        txn__put_kv(out, FIELD_RANGE_KVS, &record, keys_only);
        given++;
        if (out->size > end)
            err = ERR_TOO_LARGE;
    }
    if (err == ERR_OK) /* not at the end */
        err = count_of(reader, plan, &seen);
    if (err == ERR_OK || err == ERR_END) {
        txn__put_range_tail(out, more, seen);
        err = ERR_OK;
    }
    return err;
}

/* ---- in another order ---------------------------------------------------- */

/* All that pass, to the sorter. */
static enum err gather(struct sorter *sorter, struct mvcc_reader *reader,
                       const struct range_plan *plan)
{
    struct mvcc_walk walk;
    struct slice key;
    struct rev rev, dropped;
    struct record record;
    uint64_t seen = 0;
    enum err err = txn__walk_init(&walk, reader, plan);
    while (err == ERR_OK && (plan->look_max == 0 || seen < plan->look_max) &&
           (err = txn__walk_step(&walk, plan, &key, &rev)) == ERR_OK) {
        seen++;
        if (!txn__passes_mod(plan, rev.main))
            continue;
        err = txn__record(reader, rev, &record);
        if (err == ERR_OK && txn__passes_create(plan, record.create))
            err = txn__sorter_add(sorter, reader, rev, &record, &dropped);
    }
    if (err == ERR_OK || err == ERR_END)
        err = txn__sorter_seal(sorter, reader);
    return err;
}

static enum err range_sorted(struct mvcc_reader *reader,
                             const struct range_plan *plan, size_t bytes_max,
                             struct buf *out)
{
    struct sorter sorter;
    struct record record;
    struct rev rev;
    uint64_t count;
    size_t start = out->size;
    txn__sorter_init(&sorter, plan);
    enum err err = gather(&sorter, reader, plan);
    while (err == ERR_OK && (err = txn__sorter_peek(&sorter, &rev)) == ERR_OK) {
        err = txn__record(reader, rev, &record);
        if (err != ERR_OK)
            break;
        txn__put_kv(out, FIELD_RANGE_KVS, &record, plan->request->keys_only);
        err = out->size - start > bytes_max ? ERR_TOO_LARGE
                                            : txn__sorter_pop(&sorter, reader);
    }
    if (err == ERR_END)
        err = count_of(reader, plan, &count);
    if (err == ERR_OK)
        txn__put_range_tail(out, plan->limit != 0 && sorter.seen > plan->limit,
                            count);
    txn__sorter_deinit(&sorter);
    return err;
}

/* ---- all of them --------------------------------------------------------- */

enum err txn__range(struct mvcc_reader *reader, const struct range_plan *plan,
                    size_t bytes_max, struct buf *out)
{
    if (plan->single)
        return range_single(reader, plan, bytes_max, out);
    if (plan->request->count_only) {
        uint64_t count;
        enum err err = count_of(reader, plan, &count);
        if (err == ERR_OK)
            txn__put_range_tail(out, false, count);
        return err;
    }
    if (plan->sorted)
        return range_sorted(reader, plan, bytes_max, out);
    return range_by_key(reader, plan, bytes_max, out);
}

bool txn__is_answer(enum err err, struct txn_answer *answer)
{
    if (err != ERR_COMPACTED && err != ERR_FUTURE_REVISION)
        return false;
    answer->error = err == ERR_COMPACTED ? V3_COMPACTED : V3_FUTURE_REV;
    return true;
}

enum err txn_range(struct mvcc_reader *reader,
                   const Etcdserverpb__RangeRequest *request, revision now,
                   size_t bytes_max, struct txn_answer *answer)
{
    struct range_plan plan;
    size_t before = answer->body.size;
    CHECK(now > 0);
    answer->revision = now;
    if (request->revision > now) {
        answer->error = V3_FUTURE_REV;
        return ERR_OK;
    }
    txn__plan(&plan, request, now);
    enum err err = txn__range(reader, &plan, bytes_max, &answer->body);
    if (err != ERR_OK)
        answer->body.size = before;
    return txn__is_answer(err, answer) ? ERR_OK : err;
}
