/* Opening and closing the store, its state, and the marks. */
#include "mvcc/mvcc.h"

#include "base/check.h"
#include "base/plant.h"
#include "mvcc/mvcc_int.h"

const char *mvcc_cause_text(enum mvcc_cause cause)
{
    switch (cause) {
#define X(name, number, text) \
    case MVCC_##name:         \
        return text;
        MVCC_CAUSE_TABLE(X)
#undef X
    }
    UNREACHABLE();
}

struct mvcc_commit *mvcc_commit_ref(struct mvcc_commit *commit)
{
    unsigned refs =
        atomic_fetch_add_explicit(&commit->refs, 1, memory_order_relaxed);
    CHECK(refs > 0 && refs < UINT32_MAX / 2);
    return commit;
}

void mvcc_commit_unref(struct mvcc_commit *commit)
{
    if (commit == NULL)
        return;
    unsigned refs =
        atomic_fetch_sub_explicit(&commit->refs, 1, memory_order_acq_rel);
    CHECK(refs > 0);
    if (refs == 1)
        mem_free(commit);
}

/* ---- opening and closing ------------------------------------------------- */

/* All that comes from the file or goes there. */
static void init_contents(struct mvcc *mvcc)
{
    slab_init(&mvcc->slab);
    for (unsigned i = 0; i < MVCC_TABLE_COUNT; i++)
        index__init(&mvcc->tables[i], &mvcc->slab);
    meta__init(&mvcc->meta, &mvcc->slab);
    mvcc->current = MVCC_FIRST_REVISION;
    mvcc->tail.first = MVCC_FIRST_REVISION + 1;
}

/* As if it had never been: what init_contents needs. */
static void deinit_contents(struct mvcc *mvcc)
{
    compact__deinit(&mvcc->compaction);
    tail__deinit(&mvcc->tail);
    mem_free(mvcc->leased.revs);
    mvcc->leased = (struct leased){0};
    meta__deinit(&mvcc->meta);
    for (unsigned i = 0; i < MVCC_TABLE_COUNT; i++)
        index__deinit(&mvcc->tables[i]);
    slab_deinit(&mvcc->slab);
}

enum err mvcc_open(const struct mvcc_config *config, struct mvcc **out)
{
    *out = NULL;
    CHECK(config->kv != NULL);
    struct mvcc *mvcc = mem_alloc_zero(sizeof *mvcc);
    mvcc->kv = config->kv;
    mvcc->seed = config->seed;
    init_contents(mvcc);
    arena_init(&mvcc->draft.arena, 0);

    enum err err = load__all(mvcc);
    if (err == ERR_OK)
        err = mvcc_reader_new(mvcc, &mvcc->reader);
    if (err != ERR_OK) {
        mvcc_close(mvcc);
        return err_wrap(err, "open the store");
    }
    *out = mvcc;
    return ERR_OK;
}

void mvcc_close(struct mvcc *mvcc)
{
    if (mvcc == NULL)
        return;
    CHECK(!mvcc->draft.open && !mvcc->flushing);
    mvcc_reader_free(mvcc->reader);
    CHECK_EQ(mvcc->readers, 0);
    deinit_contents(mvcc);
    mem_free(mvcc->draft.records);
    arena_deinit(&mvcc->draft.arena);
    mem_free(mvcc);
}

/* ---- another state ------------------------------------------------------- */

static void forget_contents(struct mvcc *mvcc)
{
    deinit_contents(mvcc);
    init_contents(mvcc);
    mvcc->time_ns = mvcc->durable_time_ns = 0;
    mvcc->durable_main = 0;
    mvcc->now = mvcc->ground = mvcc->durable = (struct mark){0};
    mvcc->ground_marked = mvcc->durable_finished = false;
}

enum err mvcc_reload(struct mvcc *mvcc)
{
    CHECK(!mvcc->draft.open && !mvcc->flushing);
    CHECK(!mvcc->reader->reading);
    forget_contents(mvcc);
    mem_trim();
    enum err err = load__all(mvcc);
    if (PLANTED(SNAPSHOT_NO_LEASES))
        mvcc->leased.count = 0;
    return err_wrap(err, "open the store again");
}

/* ---- as it is ------------------------------------------------------------ */

void mvcc_status(const struct mvcc *mvcc, struct mvcc_status *out)
{
    const struct index *keys = &mvcc->tables[MVCC_KEYS];
    const struct index *dirs = &mvcc->tables[MVCC_DIRS];
    CHECK_EQ(mvcc->tail.first + (revision)mvcc->tail.count, mvcc->current + 1);
    *out = (struct mvcc_status){
        .current = mvcc->current,
        .compacted = mvcc->now.compacted,
        .compacting = mvcc->compaction.walking,
        .keys = keys->live,
        .dirs = dirs->live,
        .index_bytes = keys->bytes + dirs->bytes + mvcc->meta.index.bytes +
                       mvcc->slab.bytes,
        .tail_bytes = mvcc->tail.bytes,
        .tail_commits = mvcc->tail.count,
        .applied_index = mvcc->now.applied_index,
        .applied_term = mvcc->now.applied_term,
        .flushed_index = mvcc->durable.applied_index,
        .time_ns = mvcc->time_ns,
    };
}

/* ---- marks --------------------------------------------------------------- */

void mvcc__mark(struct mvcc *mvcc)
{
    CHECK(!mvcc->draft.open);
    mvcc->now.meta_end = mvcc->meta.taken + mvcc->meta.count;
    if (mvcc->tail.count > 0) {
        struct tail_slot *slot = tail__slot(&mvcc->tail, mvcc->tail.count - 1);
        slot->marked = true;
        slot->mark = mvcc->now;
    } else {
        mvcc->ground_marked = true;
        mvcc->ground = mvcc->now;
    }
}

void mvcc__mark_unlogged(struct mvcc *mvcc)
{
    if (mvcc->now.applied_index == 0)
        mvcc__mark(mvcc);
}

void mvcc_set_applied(struct mvcc *mvcc, uint64_t index, uint64_t term)
{
    CHECK(!mvcc->draft.open);
    CHECK(index >= mvcc->now.applied_index);
    CHECK(term >= mvcc->now.applied_term);
    mvcc->now.applied_index = index;
    mvcc->now.applied_term = term;
    mvcc__mark(mvcc);
}
