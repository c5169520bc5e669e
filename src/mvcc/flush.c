/* The flush: from the tail to the file, in one durable transaction each time.
 *
 *   begin  shared lock   chooses a mark to end at (mvcc_int.h) and lists what
 *                        leads to it: nothing is copied
 *   write  no lock       appends records, deletes drops, puts meta and state
 *   done   exclusive     the tail, the queue of meta and the drop set forget
 *                        what is in the file now
 *   free   no lock       frees it
 *
 * Between begin and done nobody else takes from the front of the three, and
 * what is in them does not change: so the lists stay right without a lock.
 */
#include <stdlib.h>

#include "base/check.h"
#include "mvcc/mvcc_int.h"

struct mvcc_flush {
    struct mvcc *mvcc;
    struct state state; /* as the file will have it */
    bool ground;        /* the mark is the ground's, and there are no commits */

    struct mvcc_commit **commits;
    size_t commit_count;
    uint64_t commit_bytes; /* known when they are written */

    struct meta_value **changes;
    size_t change_count;

    struct drop_set *drops;
    size_t drops_end;

    bool done; /* what is listed above is ours to free */
};

/* ---- begin --------------------------------------------------------------- */

/* The lock is held: the commits themselves, which the processor's cache may
 * have forgotten, are not looked at. */

/* How many commits lead to the mark where this flush ends: as many as allowed
 * and more only where there is no mark before. */
static size_t choose_commits(const struct mvcc *mvcc, size_t commits_max)
{
    const struct tail *tail = &mvcc->tail;
    size_t most = commits_max < tail->count ? commits_max : tail->count;
    for (size_t i = most; i > 0; i--)
        if (tail__slot(tail, i - 1)->marked)
            return i;
    for (size_t i = most + 1; i <= tail->count; i++)
        if (tail__slot(tail, i - 1)->marked)
            return i;
    return 0;
}

static void take_commits(struct mvcc_flush *flush, size_t count)
{
    const struct tail *tail = &flush->mvcc->tail;
    flush->commits = mem_alloc(count * sizeof(*flush->commits));
    flush->commit_count = count;
    for (size_t i = 0; i < count; i++)
        flush->commits[i] = tail__slot(tail, i)->commit;
    if (count == 0)
        return;
    const struct tail_slot *last = tail__slot(tail, count - 1);
    CHECK(last->marked);
    CHECK_EQ(last->commit->main, tail->first + (revision)count - 1);
    flush->state.mark = last->mark;
    flush->state.main = last->commit->main;
    flush->state.time_ns = last->commit->time_ns;
}

static void take_changes(struct mvcc_flush *flush)
{
    const struct meta *meta = &flush->mvcc->meta;
    uint64_t end = flush->state.mark.meta_end;
    CHECK(end >= meta->taken && end <= meta->taken + meta->count);
    flush->change_count = (size_t)(end - meta->taken);
    if (flush->change_count == 0)
        return;
    flush->changes = mem_dup(meta->changes + meta->head,
                             flush->change_count * sizeof(*flush->changes));
}

/* Drops belong to a compaction that the file knows of by then. The pages that
 * a transaction touches stay in memory until it commits, and in the worst case
 * each dropped record is in a page of its own: hence the bound. */
static void take_drops(struct mvcc_flush *flush, size_t drops_max)
{
    struct drop_set *set = flush->mvcc->compaction.closed;
    if (set == NULL || set->at > flush->state.mark.compacted)
        return;
    CHECK(set->at <= flush->state.main && set->done < set->count);
    flush->drops = set;
    flush->drops_end =
        set->count - set->done > drops_max ? set->done + drops_max : set->count;
}

static bool is_finished(const struct mvcc_flush *flush)
{
    const struct mvcc *mvcc = flush->mvcc;
    const struct compaction *compaction = &mvcc->compaction;
    revision compacted = flush->state.mark.compacted;
    if (compacted == mvcc->durable.compacted && mvcc->durable_finished)
        return true;
    if (compacted != mvcc->now.compacted || compaction->walking)
        return false;
    return compaction->closed == NULL ||
           (flush->drops == compaction->closed &&
            compaction->closed->next == NULL &&
            flush->drops_end == flush->drops->count);
}

struct mvcc_flush *mvcc_flush_begin(struct mvcc *mvcc, size_t commits_max)
{
    CHECK(!mvcc->draft.open && !mvcc->flushing && commits_max > 0);
    struct mvcc_flush *flush = mem_alloc_zero(sizeof *flush);
    flush->mvcc = mvcc;
    flush->state.main = mvcc->durable_main;
    flush->state.time_ns = mvcc->durable_time_ns;
    flush->state.mark = mvcc->durable;
    take_commits(flush, choose_commits(mvcc, commits_max));
    if (flush->commit_count == 0 && mvcc->ground_marked) {
        flush->ground = true;
        flush->state.mark = mvcc->ground;
    }
    take_changes(flush);
    take_drops(flush, commits_max);
    flush->state.finished = is_finished(flush);
    if (flush->commit_count == 0 && !flush->ground && flush->drops == NULL &&
        flush->state.finished == mvcc->durable_finished) {
        CHECK_EQ(flush->change_count, 0);
        mvcc_flush_free(flush);
        return NULL;
    }
    mvcc->flushing = true;
    return flush;
}

/* ---- write --------------------------------------------------------------- */

static enum err write_commits(struct mvcc_flush *flush, struct kv_txn *txn)
{
    struct kv *kv = flush->mvcc->kv;
    struct buf buf = {0};
    enum err err = ERR_OK;
    flush->commit_bytes = 0;
    for (size_t i = 0; i < flush->commit_count && err == ERR_OK; i++) {
        const struct mvcc_commit *commit = flush->commits[i];
        flush->commit_bytes += commit->bytes;
        for (uint32_t sub = 0; sub < commit->count && err == ERR_OK; sub++) {
            const struct record *record = &commit->records[sub];
            char key[RECORD_KEY_BYTES];
            CHECK(record->rev.main == commit->main && record->rev.sub == sub);
            record__encode_key(record->rev, key);
            buf_reset(&buf);
            record__encode(&buf, record);
            err = kv->ops->append(kv, txn, MVCC_KV_RECORDS,
                                  slice_of(key, sizeof key), buf_slice(&buf));
        }
    }
    buf_deinit(&buf);
    return err_wrap(err, "records");
}

static int compare_revs(const void *a, const void *b)
{
    const struct rev *left = a, *right = b;
    if (left->main != right->main)
        return left->main < right->main ? -1 : 1;
    return (left->sub > right->sub) - (left->sub < right->sub);
}

/* A record may be gone already: the walk started over after a crash. */
static enum err delete_drops(const struct mvcc_flush *flush, struct kv_txn *txn)
{
    struct kv *kv = flush->mvcc->kv;
    struct drop_set *set = flush->drops;
    enum err err = ERR_OK;
    if (set == NULL)
        return ERR_OK;
    if (!set->sorted) {
        CHECK_EQ(set->done, 0);
        qsort(set->revs, set->count, sizeof *set->revs, compare_revs);
        set->sorted = true;
    }
    for (size_t i = set->done; i < flush->drops_end && err == ERR_OK; i++) {
        char key[RECORD_KEY_BYTES];
        CHECK(set->revs[i].main <= flush->state.mark.compacted);
        record__encode_key(set->revs[i], key);
        err = kv->ops->del(kv, txn, MVCC_KV_RECORDS, slice_of(key, sizeof key));
        if (err == ERR_NOT_FOUND)
            err = ERR_OK;
    }
    return err_wrap(err, "compaction");
}

static enum err write_changes(const struct mvcc_flush *flush,
                              struct kv_txn *txn)
{
    struct kv *kv = flush->mvcc->kv;
    struct buf buf = {0};
    enum err err = ERR_OK;
    for (size_t i = 0; i < flush->change_count && err == ERR_OK; i++) {
        const struct meta_value *change = flush->changes[i];
        struct slice name = meta__name(change);
        if (change->removed) {
            err = kv->ops->del(kv, txn, MVCC_KV_META, name);
            if (err == ERR_NOT_FOUND)
                err = ERR_OK;
            continue;
        }
        buf_reset(&buf);
        meta__encode(&buf, change);
        err = kv->ops->put(kv, txn, MVCC_KV_META, name, buf_slice(&buf));
    }
    buf_deinit(&buf);
    return err_wrap(err, "meta");
}

static enum err write_state(const struct mvcc_flush *flush, struct kv_txn *txn)
{
    struct kv *kv = flush->mvcc->kv;
    char bytes[STATE_BYTES];
    state__encode(&flush->state, bytes);
    return err_wrap(kv->ops->put(kv, txn, MVCC_KV_STATE, state__key,
                                 slice_of(bytes, sizeof bytes)),
                    "state");
}

enum err mvcc_flush_write(struct mvcc_flush *flush)
{
    struct kv *kv = flush->mvcc->kv;
    struct kv_txn *txn;
    CHECK(!flush->done);
    enum err err = kv->ops->begin_write(kv, &txn);
    if (err != ERR_OK)
        return err_wrap(err, "flush");
    err = write_commits(flush, txn);
    if (err == ERR_OK)
        err = delete_drops(flush, txn);
    if (err == ERR_OK)
        err = write_changes(flush, txn);
    if (err == ERR_OK)
        err = write_state(flush, txn);
    if (err == ERR_OK)
        err = kv->ops->commit(kv, txn);
    else
        kv->ops->abort(kv, txn);
    return err_wrap(err, "flush");
}

/* ---- done ---------------------------------------------------------------- */

static bool same_mark(const struct mark *a, const struct mark *b)
{
    return a->applied_index == b->applied_index &&
           a->applied_term == b->applied_term && a->compacted == b->compacted &&
           a->meta_end == b->meta_end;
}

/* The mark where the flush ended may have moved on meanwhile, without a new
 * commit: then it is the ground's, for the next flush. */
static void release_commits(struct mvcc *mvcc, const struct mvcc_flush *flush)
{
    struct mark newest = mvcc->ground;
    if (flush->commit_count > 0) {
        const struct tail_slot *last =
            tail__slot(&mvcc->tail, flush->commit_count - 1);
        CHECK(last->marked);
        newest = last->mark;
        CHECK(tail__slot(&mvcc->tail, 0)->commit == flush->commits[0]);
        tail__take(&mvcc->tail, flush->commit_count, flush->commit_bytes);
    } else if (!flush->ground) {
        return;
    }
    mvcc->ground = newest;
    mvcc->ground_marked = !same_mark(&newest, &flush->state.mark);
}

static void release_changes(struct meta *meta, const struct mvcc_flush *flush)
{
    CHECK_LE(flush->change_count, meta->count);
    CHECK(flush->change_count == 0 ||
          meta->changes[meta->head] == flush->changes[0]);
    meta->head += flush->change_count;
    meta->count -= flush->change_count;
    meta->taken += flush->change_count;
    if (meta->count == 0)
        meta->head = 0;
}

static void release_drops(struct compaction *compaction,
                          struct mvcc_flush *flush)
{
    struct drop_set *set = flush->drops;
    if (set == NULL)
        return;
    CHECK(set == compaction->closed && flush->drops_end > set->done);
    set->done = flush->drops_end;
    if (set->done == set->count)
        compaction->closed = set->next;
    else
        flush->drops = NULL; /* not ours to free */
}

void mvcc_flush_done(struct mvcc *mvcc, struct mvcc_flush *flush,
                     enum err written)
{
    CHECK(flush->mvcc == mvcc && mvcc->flushing && !flush->done);
    mvcc->flushing = false;
    if (written != ERR_OK)
        return;
    release_commits(mvcc, flush);
    release_changes(&mvcc->meta, flush);
    release_drops(&mvcc->compaction, flush);
    flush->done = true;
    mvcc->durable = flush->state.mark;
    mvcc->durable_main = flush->state.main;
    mvcc->durable_time_ns = flush->state.time_ns;
    mvcc->durable_finished = flush->state.finished;
    CHECK_EQ(mvcc->durable_main + 1, mvcc->tail.first);
    CHECK_EQ(mvcc->durable.meta_end, mvcc->meta.taken);
}

void mvcc_flush_free(struct mvcc_flush *flush)
{
    if (flush == NULL)
        return;
    if (flush->done) {
        for (size_t i = 0; i < flush->commit_count; i++)
            mvcc_commit_unref(flush->commits[i]);
        for (size_t i = 0; i < flush->change_count; i++)
            meta__value_unref(flush->changes[i]);
        compact__drop_set_free(flush->drops);
    }
    mem_free(flush->commits);
    mem_free(flush->changes);
    mem_free(flush);
}

bool mvcc_is_flushing(const struct mvcc *mvcc)
{
    return mvcc->flushing;
}
