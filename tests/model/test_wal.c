/* Random lives of a log against a naive twin: an array of what was appended.
 *
 * Whatever comes (frames of any size, replaced entries, trims, a full disk,
 * failing calls, crashes that keep, lose and tear what wasn't synced): what
 * was synced is there when the log is opened again, whole and in order, and
 * beyond that at most the one frame that was under way, wholly or not at all.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/prng.h"
#include "support/wal_world.h"

enum { LAST_MAX = 2000, FRAME_ENTRIES_MAX = 6, SEEDS = 1000, STEPS = 120 };

struct fact {
    raft_term term;
    size_t size;
};

struct frame {
    raft_index first; /* 0: no entries */
    size_t count;
    raft_term term;
    size_t size;
    struct raft_hard_state state;
};

struct model {
    struct wal_world world;
    struct prng prng;
    uint64_t seed;
    int step;

    /* The twin: what must be there. */
    struct fact log[LAST_MAX + 1]; /* by index */
    raft_index last;
    struct raft_hard_state state;
    /* What may be there, on top: a frame that isn't synced, and one after it
     * whose append failed. The second only with the first. */
    struct frame pending[2];
    int pending_count;
    /* The log may have begun anew behind a snapshot, with nothing else. */
    bool resetting;
    raft_index reset_index;
    raft_term reset_term;
    struct raft_hard_state reset_state;

    raft_index committed; /* never replaced */
    raft_index trimmed;   /* need not be there any more */
    int crashes;
    int kept; /* pending frames that a crash kept */
    int torn;
    int resets;
    int half_resets; /* that a crash has finished */
};

static uint64_t below(struct model *model, uint64_t bound)
{
    return prng_below(&model->prng, bound);
}

static void wrong(const struct model *model, const char *what)
{
    fail_msg("seed %llu step %d: %s: %s", (unsigned long long)model->seed,
             model->step, what, err_note());
}

/* ---- the twin ----------------------------------------------------------- */

static void twin_push(struct model *model, const struct frame *frame)
{
    if (model->pending_count == 2)
        fail_msg("three frames that aren't durable");
    model->pending[model->pending_count++] = *frame;
}

/* The first that is pending is there for good. */
static void twin_apply(struct model *model)
{
    if (model->pending_count == 0)
        return;
    const struct frame *frame = &model->pending[0];
    for (size_t i = 0; i < frame->count; i++)
        model->log[frame->first + i] = (struct fact){frame->term, frame->size};
    if (frame->count)
        model->last = frame->first + frame->count - 1;
    model->state = frame->state;
    model->pending[0] = model->pending[1];
    model->pending_count--;
}

static bool state_eq(const struct raft_hard_state *a,
                     const struct raft_hard_state *b)
{
    return a->term == b->term && a->vote == b->vote && a->commit == b->commit;
}

static void twin_reset(struct model *model)
{
    model->last = model->trimmed = model->committed = model->reset_index;
    model->log[model->last] = (struct fact){model->reset_term, 0};
    model->state = model->reset_state;
    model->pending_count = 0;
    model->resetting = false;
}

static bool has_begun_anew(const struct model *model)
{
    const struct wal_opened *opened = &model->world.opened;
    return model->resetting && opened->entry_count == 0 &&
           opened->first_index == model->reset_index + 1 &&
           opened->last_term == model->reset_term &&
           state_eq(&model->world.found.state, &model->reset_state);
}

/* Above `skip_to` nothing is missing, and nothing is left of what was
 * replaced. */
static bool twin_matches(const struct model *model)
{
    const struct wal_copy *found = &model->world.found;
    raft_index skip_to = model->world.skip_to;
    if (skip_to < model->trimmed) /* it has begun anew since */
        skip_to = model->trimmed;
    raft_index last = wal_copy_last(found);
    if (!state_eq(&found->state, &model->state))
        return false;
    if (model->world.opened.last_index != model->last)
        return false;
    if (model->last > skip_to ? last != model->last : last > skip_to)
        return false;
    for (raft_index i = skip_to + 1; i <= model->last; i++) {
        const struct raft_entry *entry = wal_copy_at(found, i);
        if (entry == NULL || entry->term != model->log[i].term ||
            (entry->data ? entry->data->size : 0) != model->log[i].size ||
            !wal_world_entry_good(entry))
            return false;
    }
    return true;
}

static void open_and_compare(struct model *model)
{
    raft_index more = model->committed - model->trimmed;
    model->world.skip_to = model->trimmed + below(model, more + 1);
    if (wal_world_open(&model->world) != ERR_OK)
        wrong(model, "it doesn't open");
    model->torn += model->world.opened.torn;
    if (has_begun_anew(model)) {
        twin_reset(model);
        model->half_resets++;
    }
    model->resetting = false;
    while (!twin_matches(model)) {
        if (model->pending_count == 0)
            wrong(model, "it is neither what was synced nor with what came");
        twin_apply(model);
        model->kept++;
    }
    model->pending_count = 0;
}

/* ---- steps -------------------------------------------------------------- */

static void crash(struct model *model)
{
    disk_memory_fail_call(model->world.memory, 0, ERR_OK);
    disk_memory_limit(model->world.memory, 0);
    wal_world_crash(&model->world);
    model->crashes++;
    open_and_compare(model);
}

/* What a failed call means: full is an answer, all else ends this life. */
static bool went_well(struct model *model, enum err err)
{
    if (err == ERR_OK)
        return true;
    if (err == ERR_DISK_FULL)
        disk_memory_limit(model->world.memory, 0);
    else if (err == ERR_IO)
        crash(model);
    else
        wrong(model, "an error that nobody made");
    return false;
}

/* Where the log ends, with what is under way. */
static struct frame tip_of(const struct model *model)
{
    struct frame tip = {.first = model->last,
                        .term = model->last ? model->log[model->last].term : 1,
                        .state = model->state};
    if (model->pending_count) {
        const struct frame *pending = &model->pending[0];
        tip.state = pending->state;
        if (pending->count) {
            tip.first = pending->first + pending->count - 1;
            tip.term = pending->term;
        }
    }
    return tip;
}

static struct frame random_frame(struct model *model)
{
    static const size_t sizes[] = {0, 1, 30, 100, 500, 1500, 6000};
    struct frame tip = tip_of(model);
    raft_index last = tip.first;
    struct frame frame = {.state = tip.state};
    if (below(model, 4) == 0) {
        frame.state.term += below(model, 2);
        frame.state.vote = below(model, 4);
        frame.state.commit = model->committed;
    }
    if (below(model, 8) == 0 || last + FRAME_ENTRIES_MAX > LAST_MAX)
        return frame;
    frame.first = last + 1;
    if (below(model, 6) == 0 && last > model->committed)
        frame.first = last - below(model, last - model->committed);
    frame.count = (size_t)below(model, FRAME_ENTRIES_MAX) + 1;
    frame.size = sizes[below(model, sizeof sizes / sizeof *sizes)];
    frame.term = tip.term + (below(model, 8) == 0);
    return frame;
}

static enum err append_frame(struct model *model, const struct frame *frame)
{
    struct raft_entry entries[FRAME_ENTRIES_MAX];
    const struct raft_entry *pointers[FRAME_ENTRIES_MAX] = {0};
    for (size_t i = 0; i < frame->count; i++) {
        entries[i] =
            wal_world_entry(frame->first + i, frame->term, frame->size);
        pointers[i] = &entries[i];
    }
    struct wal *wal = model->world.wal;
    enum err err = ERR_OK;
    if (below(model, 2))
        err = wal_reserve(wal, wal_frame_bytes(entries, frame->count));
    if (err == ERR_OK)
        err = wal_append(wal, &frame->state, pointers, frame->count);
    for (size_t i = 0; i < frame->count; i++)
        refbuf_unref(entries[i].data);
    return err;
}

/* A second append makes the frame before it durable first, or fails. */
static void step_append(struct model *model)
{
    struct frame frame = random_frame(model);
    enum err err = append_frame(model, &frame);
    if (err == ERR_OK)
        twin_apply(model);
    if (err == ERR_OK || err == ERR_IO) /* failed, but perhaps there */
        twin_push(model, &frame);
    went_well(model, err);
}

static void step_sync(struct model *model)
{
    if (went_well(model, wal_sync(model->world.wal)))
        twin_apply(model);
}

static void step_trim(struct model *model)
{
    if (model->pending_count || model->last == 0)
        return;
    model->committed += below(model, model->last - model->committed + 1);
    model->trimmed += below(model, model->committed - model->trimmed + 1);
    went_well(model, wal_trim(model->world.wal, model->trimmed));
}

/* A snapshot of what comes later, or of what is here in part. */
static void step_reset(struct model *model)
{
    struct frame tip = tip_of(model);
    model->reset_index = model->committed + 1 + below(model, 20);
    if (model->reset_index + FRAME_ENTRIES_MAX > LAST_MAX)
        return;
    model->reset_term = tip.term + below(model, 2);
    model->reset_state = tip.state;
    if (model->reset_state.term < model->reset_term)
        model->reset_state.term = model->reset_term;
    model->reset_state.commit = model->reset_index;
    model->resetting = true;
    if (below(model, 2))
        disk_memory_fail_call(model->world.memory, 1 + below(model, 10),
                              ERR_IO);
    if (went_well(model, wal_reset(model->world.wal, model->reset_index,
                                   model->reset_term, &model->reset_state))) {
        twin_reset(model);
        model->resets++;
    }
    model->resetting = false;
}

/* Room for a frame that then doesn't come, or for more and more; it may begin
 * a new segment, and one at most. */
static void step_reserve(struct model *model)
{
    struct wal_stats before;
    struct wal_stats after;
    uint64_t bytes = 0;
    enum err err = ERR_OK;
    wal_stats(model->world.wal, &before);
    for (uint64_t left = 1 + below(model, 4); left > 0 && !err; left--) {
        bytes += below(model, 5000);
        err = wal_reserve(model->world.wal, bytes);
    }
    wal_stats(model->world.wal, &after);
    if (after.segments > before.segments + 1)
        wrong(model, "an empty segment is left behind");
    went_well(model, err);
}

/* Ends and begins again: what was written is there, synced or not, and is
 * durable from then on. */
static void step_reopen(struct model *model)
{
    disk_memory_fail_call(model->world.memory, 0, ERR_OK);
    wal_world_close(&model->world);
    twin_apply(model);
    open_and_compare(model);
}

static void step_trouble(struct model *model)
{
    struct disk_memory *memory = model->world.memory;
    if (below(model, 2))
        disk_memory_fail_call(memory, 1 + below(model, 12),
                              below(model, 3) ? ERR_IO : ERR_DISK_FULL);
    else
        disk_memory_limit(memory,
                          disk_memory_used(memory) + below(model, 6000));
}

static void step(struct model *model)
{
    uint64_t chance = below(model, 100);
    if (chance < 50)
        step_append(model);
    else if (chance < 75)
        step_sync(model);
    else if (chance < 80)
        step_reserve(model);
    else if (chance < 83)
        step_trim(model);
    else if (chance < 84)
        step_reset(model);
    else if (chance < 88)
        step_trouble(model);
    else if (chance < 95)
        crash(model);
    else
        step_reopen(model);
}

static void live(struct model *model, uint64_t seed)
{
    static const uint64_t segments[] = {1024, 2048, 4096, 20000};
    *model = (struct model){.seed = seed};
    prng_init(&model->prng, seed);
    wal_world_init(&model->world, seed, segments[below(model, 4)]);
    if (wal_world_create(&model->world) != ERR_OK)
        wrong(model, "it can't be made");
    for (; model->step < STEPS; model->step++)
        step(model);
    crash(model);
    wal_world_deinit(&model->world);
}

static void a_thousand_lives(void **state)
{
    (void)state;
    struct model *model = mem_alloc_zero(sizeof *model);
    int crashes = 0;
    int kept = 0;
    int torn = 0;
    int resets = 0;
    int half_resets = 0;
    /* ETCHED_SEED=n plays one alone. */
    const char *text = getenv("ETCHED_SEED");
    uint64_t only;
    if (text && slice_to_u64(slice_str(text), &only)) {
        live(model, only);
    } else {
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
            live(model, seed);
            crashes += model->crashes;
            kept += model->kept;
            torn += model->torn;
            resets += model->resets;
            half_resets += model->half_resets;
        }
        /* What this is about has happened, often. */
        assert_true(crashes > SEEDS * 5);
        assert_true(kept > SEEDS / 2);
        assert_true(torn > SEEDS / 2);
        assert_true(resets > SEEDS / 2);
        assert_true(half_resets > SEEDS / 100);
    }
    mem_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thousand_lives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
