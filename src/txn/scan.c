/* A range in pieces, at one revision.
 *
 *            measure (or not)                     next, next, ...
 *   by key   a sweep that adds up the sizes       a sweep that gives them
 *   sorted   a sweep that fills the sorter,       (the same sweep, if it was
 *            the sizes added up                   not done) what comes out
 *
 * A SWEEP walks the keys of the range and leaves its place between slices as
 * the last key's name. While the lock is given up keys may come and go: at the
 * scan's revision nothing changes, until a compaction overtakes it.
 *
 * What one slice may look at without giving anything is bounded, so that a
 * filter that lets nothing pass doesn't keep the lock.
 */
#include "txn/txn_int.h"

enum { LOOK_MAX = 10000 }; /* keys: some milliseconds */

struct sweep {
    struct buf last; /* the key that it stands on */
    bool begun;
    bool ended;      /* no need to go on */
    uint64_t seen;   /* living keys */
    uint64_t passed; /* of them, those that pass the filters */
};

struct txn_scan {
    struct range_plan plan;
    struct buf single_end; /* of a range that is one key */
    bool count_known;
    uint64_t count; /* of all living keys */
    bool measured;
    struct sweep measure; /* of a sorted one: that fills the sorter */
    struct sweep give;
    struct sorter sorter;
    uint64_t bytes; /* of what was measured so far, without the tail */
    bool done;
};

/* ---- sweeps -------------------------------------------------------------- */

static enum err sweep_begin(const struct sweep *sweep,
                            const struct range_plan *plan,
                            struct mvcc_reader *reader, struct mvcc_walk *walk)
{
    enum err err = txn__walk_init(walk, reader, plan);
    if (err != ERR_OK || !sweep->begun)
        return err;
    if (plan->back)
        mvcc_walk_seek_back(walk, buf_slice(&sweep->last));
    else
        mvcc_walk_seek(walk, buf_slice(&sweep->last));
    return ERR_OK;
}

/* On the way on, the place is the shortest name behind the key. */
static void sweep_leave(struct sweep *sweep, const struct range_plan *plan,
                        struct slice key)
{
    buf_reset(&sweep->last);
    buf_append_slice(&sweep->last, key);
    if (!plan->back)
        buf_append_char(&sweep->last, '\0');
    sweep->begun = true;
}

/* What a sweep does with a record that passes the filters; `passed` counts
 * those before it. */
typedef enum err (*scan_take)(struct txn_scan *scan, struct mvcc_reader *reader,
                              const struct record *record, void *context);

/* Looks at one key: ERR_END when there is no next. */
static enum err sweep_step(struct txn_scan *scan, struct sweep *sweep,
                           struct mvcc_walk *walk, struct slice *key,
                           scan_take take, void *context)
{
    const struct range_plan *plan = &scan->plan;
    struct record record;
    struct rev rev;
    enum err err = txn__walk_step(walk, plan, key, &rev);
    if (err != ERR_OK)
        return err;
    sweep->seen++;
    bool wanted = !plan->request->count_only &&
                  (plan->look_max == 0 || sweep->seen <= plan->look_max) &&
                  txn__passes_mod(plan, rev.main);
    /* Of a walk by key, what is beyond the limit is only counted. */
    if (wanted && !plan->sorted && !plan->filtered_by_create &&
        plan->limit != 0 && sweep->passed >= plan->limit) {
        sweep->passed++;
        return ERR_OK;
    }
    if (!wanted)
        return ERR_OK;
    err = txn__record(walk->reader, rev, &record);
    if (err == ERR_OK && txn__passes_create(plan, record.create)) {
        if (plan->sorted || plan->limit == 0 || sweep->passed < plan->limit)
            err = take(scan, walk->reader, &record, context);
        sweep->passed++;
    }
    return err;
}

/* Nothing that the sweep could still find matters. */
static bool is_enough(const struct txn_scan *scan, const struct sweep *sweep)
{
    const struct range_plan *plan = &scan->plan;
    if (!scan->count_known)
        return false;
    if (plan->request->count_only)
        return true;
    if (plan->sorted)
        return plan->look_max != 0 && sweep->seen >= plan->look_max;
    return plan->limit != 0 && sweep->passed > plan->limit;
}

/* Up to keys_max keys, and no more once `out` (may be NULL) is `full`. */
static enum err sweep_slice(struct txn_scan *scan, struct sweep *sweep,
                            struct mvcc_reader *reader, size_t keys_max,
                            const struct buf *out, size_t full, scan_take take,
                            void *context)
{
    struct mvcc_walk walk;
    struct slice key = {NULL, 0};
    enum err err = sweep_begin(sweep, &scan->plan, reader, &walk);
    if (is_enough(scan, sweep))
        sweep->ended = true;
    for (size_t i = 0; i < keys_max && !sweep->ended && err == ERR_OK; i++) {
        err = sweep_step(scan, sweep, &walk, &key, take, context);
        if (err == ERR_END || is_enough(scan, sweep))
            sweep->ended = true;
        if (out != NULL && out->size >= full)
            break;
    }
    if (err == ERR_END && !scan->count_known) {
        scan->count = sweep->seen;
        scan->count_known = true;
    }
    if (key.at != NULL && !sweep->ended)
        sweep_leave(sweep, &scan->plan, key);
    return err == ERR_END ? ERR_OK : err;
}

/* ---- new, free ----------------------------------------------------------- */

/* As of now the count costs nothing; of the past it is the walk that tells. */
static enum err count_now(struct txn_scan *scan, struct mvcc_reader *reader)
{
    const struct range_plan *plan = &scan->plan;
    revision current, compacted;
    struct mvcc_walk walk;
    enum err err = txn__walk_init(&walk, reader, plan);
    mvcc_reader_revisions(reader, &current, &compacted);
    if (err != ERR_OK || plan->at != current)
        return err;
    scan->count_known = true;
    return mvcc_count(reader, MVCC_KEYS, plan->from, plan->end, plan->at,
                      &scan->count);
}

enum err txn_scan_new(struct mvcc_reader *reader,
                      const Etcdserverpb__RangeRequest *request, revision now,
                      struct txn_answer *answer, struct txn_scan **out)
{
    *out = NULL;
    answer->revision = now;
    if (request->revision > now) {
        answer->error = V3_FUTURE_REV;
        return ERR_OK;
    }
    struct txn_scan *scan = mem_alloc_zero(sizeof *scan);
    txn__plan(&scan->plan, request, now);
    if (scan->plan.single) {
        buf_append_slice(&scan->single_end, scan->plan.from);
        buf_append_char(&scan->single_end, '\0');
        scan->plan.end = buf_slice(&scan->single_end);
    }
    txn__sorter_init(&scan->sorter, &scan->plan);
    enum err err = count_now(scan, reader);
    if (err == ERR_OK)
        *out = scan;
    else
        txn_scan_free(scan);
    return txn__is_answer(err, answer) ? ERR_OK : err;
}

void txn_scan_free(struct txn_scan *scan)
{
    if (scan == NULL)
        return;
    txn__sorter_deinit(&scan->sorter);
    buf_deinit(&scan->single_end);
    buf_deinit(&scan->measure.last);
    buf_deinit(&scan->give.last);
    mem_free(scan);
}

/* ---- measuring, sorting -------------------------------------------------- */

static uint64_t bytes_of(const struct txn_scan *scan,
                         const struct record *record)
{
    return txn__kv_field_bytes(record, scan->plan.request->keys_only);
}

static enum err take_size(struct txn_scan *scan, struct mvcc_reader *reader,
                          const struct record *record, void *context)
{
    (void)reader;
    (void)context;
    scan->bytes += bytes_of(scan, record);
    return ERR_OK;
}

/* What goes for the new one isn't given: its size is taken off again. */
static enum err take_item(struct txn_scan *scan, struct mvcc_reader *reader,
                          const struct record *record, void *context)
{
    struct rev dropped;
    struct record gone;
    (void)context;
    enum err err =
        txn__sorter_add(&scan->sorter, reader, record->rev, record, &dropped);
    if (err != ERR_OK)
        return err;
    scan->bytes += bytes_of(scan, record);
    if (dropped.main == 0)
        return ERR_OK;
    err = txn__record(reader, dropped, &gone);
    if (err == ERR_OK)
        scan->bytes -= bytes_of(scan, &gone);
    return err;
}

static enum err measure_slice(struct txn_scan *scan, struct mvcc_reader *reader,
                              size_t keys_max)
{
    bool sorted = scan->plan.sorted;
    CHECK(!scan->measured && keys_max > 0);
    enum err err = sweep_slice(scan, &scan->measure, reader, keys_max, NULL, 0,
                               sorted ? take_item : take_size, NULL);
    if (err != ERR_OK || !scan->measure.ended)
        return err;
    scan->measured = true;
    return sorted ? txn__sorter_seal(&scan->sorter, reader) : ERR_OK;
}

static void put_tail(const struct txn_scan *scan, const struct sweep *sweep,
                     struct buf *out)
{
    uint64_t limit = scan->plan.limit;
    CHECK(scan->count_known && sweep->ended);
    txn__put_range_tail(out, limit != 0 && sweep->passed > limit, scan->count);
}

enum err txn_scan_measure(struct txn_scan *scan, struct mvcc_reader *reader,
                          size_t keys_max, bool *done, uint64_t *bytes)
{
    struct buf tail = {0};
    CHECK(!scan->give.begun && !scan->done);
    enum err err =
        scan->measured ? ERR_OK : measure_slice(scan, reader, keys_max);
    *done = err == ERR_OK && scan->measured;
    *bytes = scan->bytes;
    if (*done) {
        put_tail(scan, &scan->measure, &tail);
        *bytes += tail.size;
        buf_deinit(&tail);
    }
    return err;
}

/* ---- giving -------------------------------------------------------------- */

static enum err take_kv(struct txn_scan *scan, struct mvcc_reader *reader,
                        const struct record *record, void *context)
{
    (void)reader;
    txn__put_kv(context, FIELD_RANGE_KVS, record,
                scan->plan.request->keys_only);
    return ERR_OK;
}

static enum err give_sorted(struct txn_scan *scan, struct mvcc_reader *reader,
                            size_t full, struct buf *out)
{
    struct record record;
    struct rev rev;
    enum err err = ERR_OK;
    if (!scan->measured)
        return measure_slice(scan, reader, LOOK_MAX);
    while (err == ERR_OK && out->size < full &&
           (err = txn__sorter_peek(&scan->sorter, &rev)) == ERR_OK) {
        err = txn__record(reader, rev, &record);
        if (err == ERR_OK)
            err = take_kv(scan, reader, &record, out);
        if (err == ERR_OK)
            err = txn__sorter_pop(&scan->sorter, reader);
    }
    scan->done = err == ERR_END;
    return scan->done ? ERR_OK : err;
}

enum err txn_scan_next(struct txn_scan *scan, struct mvcc_reader *reader,
                       size_t bytes_max, struct buf *out, bool *done)
{
    enum err err;
    bool sorted = scan->plan.sorted;
    size_t full =
        bytes_max < SIZE_MAX - out->size ? out->size + bytes_max : SIZE_MAX;
    CHECK(!scan->done && bytes_max > 0);
    if (sorted) {
        err = give_sorted(scan, reader, full, out);
    } else {
        err = sweep_slice(scan, &scan->give, reader, LOOK_MAX, out, full,
                          take_kv, out);
        scan->done = err == ERR_OK && scan->give.ended;
    }
    if (scan->done)
        put_tail(scan, sorted ? &scan->measure : &scan->give, out);
    *done = scan->done;
    return err;
}
