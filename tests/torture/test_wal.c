/* The log while everything around it fails: each call of the disk in turn,
 * each allocation of a size that a file or a client gives. An error comes
 * out, never a crash; and what was durable is there when it is opened again.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "support/wal_world.h"

enum { ENTRIES = 40, TRIMMED = 15, SIZE = 100, SNAPSHOT = 200 };

static const struct raft_hard_state voted = {.term = 2, .vote = 5};
static const struct raft_hard_state installed = {
    .term = 4, .vote = 7, .commit = SNAPSHOT};

/* A life of a log: made, written over three segments, trimmed, closed,
 * opened, written again, also what is larger than a segment, begun anew behind
 * a snapshot, and written. Stops at the first error. */
struct life {
    struct wal_world world;
    raft_index written; /* appended, if perhaps not durable */
    raft_index durable;
    bool trimmed; /* if perhaps not */
    bool made;
    bool voted;
    bool resetting; /* it may be anew... */
    bool reset;     /* ...and it is */
};

static enum err write_up_to(struct life *life, raft_index last)
{
    enum err err = ERR_OK;
    while (err == ERR_OK && life->durable < last) {
        struct raft_entry entry = {.data = NULL};
        err =
            wal_reserve(life->world.wal, wal_frame_bytes(&entry, 1) + SIZE + 8);
        if (err == ERR_OK) {
            life->written = life->durable + 1;
            err = wal_world_append(&life->world, life->written, 1,
                                   life->reset ? 3 : 1, SIZE);
        }
        if (err == ERR_OK)
            err = wal_sync(life->world.wal);
        if (err == ERR_OK)
            life->durable = life->written;
    }
    return err;
}

/* What is asked for grows beyond a segment before anything is written. */
static enum err write_large(struct life *life)
{
    enum err err = ERR_OK;
    for (uint64_t bytes = 500; err == ERR_OK && bytes <= 6000; bytes += 500)
        err = wal_reserve(life->world.wal, bytes);
    if (err == ERR_OK) {
        life->written = life->durable + 1;
        err = wal_world_append(&life->world, life->written, 1, 1, 5900);
    }
    if (err == ERR_OK)
        err = wal_sync(life->world.wal);
    if (err == ERR_OK)
        life->durable = life->written;
    return err;
}

static enum err vote(struct life *life)
{
    enum err err = wal_append(life->world.wal, &voted, NULL, 0);
    if (err == ERR_OK)
        err = wal_sync(life->world.wal);
    life->voted = err == ERR_OK;
    return err;
}

static enum err begin_anew(struct life *life)
{
    life->resetting = true;
    enum err err = wal_reset(life->world.wal, SNAPSHOT, 3, &installed);
    if (err)
        return err;
    life->reset = true;
    life->written = life->durable = SNAPSHOT;
    err = write_up_to(life, SNAPSHOT + 12);
    return err ? err : wal_trim(life->world.wal, SNAPSHOT);
}

static enum err live(struct life *life)
{
    struct wal_world *world = &life->world;
    bool exists;
    enum err err = wal_exists(world->config.disk, &exists);
    if (err == ERR_OK)
        err = wal_world_create(world);
    if (err)
        return err;
    life->made = true;
    err = vote(life);
    if (err == ERR_OK)
        err = write_up_to(life, ENTRIES - 10);
    if (err)
        return err;
    life->trimmed = true;
    err = wal_trim(world->wal, TRIMMED);
    if (err)
        return err;
    wal_world_close(world);
    err = wal_world_open(world);
    if (err == ERR_OK)
        err = write_large(life);
    if (err == ERR_OK)
        err = write_up_to(life, ENTRIES);
    return err ? err : begin_anew(life);
}

/* It is the old log or the one behind the snapshot, nothing between, and the
 * vote is there in both. */
static void assert_old_or_anew(struct life *life)
{
    const struct wal_world *world = &life->world;
    const struct raft_hard_state *state = &world->found.state;
    if (world->opened.first_index == SNAPSHOT + 1) {
        assert_true(life->resetting);
        if (!life->reset)
            life->written = life->durable = SNAPSHOT;
        life->reset = true;
        assert_memory_equal(state, &installed, sizeof installed);
        if (world->found.count == 0)
            assert_int_equal(world->opened.last_term, 3);
    } else {
        assert_false(life->reset);
        assert_true(state->vote == voted.vote || !life->voted);
        assert_true(state->term == voted.term || !life->voted);
    }
}

/* After a crash all that was durable is there, and at most one frame that
 * wasn't; and the log goes on. */
static void assert_well_after_a_crash(struct life *life)
{
    struct wal_world *world = &life->world;
    wal_world_crash(world);
    enum err err = wal_world_open(world);
    if (!life->made && err == ERR_NOT_FOUND)
        err = wal_world_create(world);
    assert_int_equal(err, ERR_OK);
    assert_old_or_anew(life);
    raft_index last = world->opened.last_index;
    raft_index first = life->trimmed ? TRIMMED + 1 : 1;
    if (life->reset)
        first = SNAPSHOT + 1;
    assert_true(last >= life->durable);
    assert_true(last <= life->written);
    assert_true(last < first || last == wal_copy_last(&world->found));
    for (raft_index index = first; index <= last; index++) {
        const struct raft_entry *entry = wal_copy_at(&world->found, index);
        assert_non_null(entry);
        assert_true(wal_world_entry_good(entry));
    }
    life->durable = last;
    assert_int_equal(write_up_to(life, last + 30), ERR_OK);
    wal_world_reopen(world);
    assert_int_equal(wal_copy_last(&world->found), last + 30);
}

static uint64_t calls_of_a_life(void)
{
    struct life life = {0};
    wal_world_init(&life.world, 1, 2048);
    assert_int_equal(live(&life), ERR_OK);
    uint64_t calls = disk_memory_calls(life.world.memory);
    wal_world_deinit(&life.world);
    return calls;
}

static void fail_each_call(enum err err)
{
    uint64_t calls = calls_of_a_life();
    uint64_t unnoticed = 0;
    assert_true(calls > 100);
    for (uint64_t call = 1; call <= calls; call++) {
        for (uint64_t seed = 0; seed < 4; seed++) {
            struct life life = {0};
            wal_world_init(&life.world, call * 31 + seed, 2048);
            disk_memory_fail_call(life.world.memory, call, err);
            unnoticed += live(&life) == ERR_OK;
            disk_memory_fail_call(life.world.memory, 0, ERR_OK);
            assert_well_after_a_crash(&life);
            wal_world_deinit(&life.world);
        }
    }
    /* Only what is done ahead or out of courtesy may fail in silence: making
     * the next segment, giving room back, taking it again. */
    assert_true(unnoticed > 0);
    assert_true(unnoticed < 4 * calls / 5);
}

static void each_call_of_the_disk_fails(void **state)
{
    (void)state;
    fail_each_call(ERR_IO);
}

static void each_call_finds_the_disk_full(void **state)
{
    (void)state;
    fail_each_call(ERR_DISK_FULL);
}

/* The power goes in the middle of any call. */
static void a_crash_at_each_call(void **state)
{
    (void)state;
    uint64_t calls = calls_of_a_life();
    for (uint64_t call = 1; call <= calls; call++) {
        struct life life = {0};
        wal_world_init(&life.world, call, 2048);
        disk_memory_fail_call(life.world.memory, call, ERR_IO);
        enum err ignored = live(&life);
        (void)ignored;
        disk_memory_fail_call(life.world.memory, 0, ERR_OK);
        disk_memory_crash(life.world.memory);
        /* And again while it is opened. */
        wal_world_close(&life.world);
        disk_memory_fail_call(life.world.memory, call % 9 + 1, ERR_IO);
        enum err err = wal_world_open(&life.world);
        assert_true(err == ERR_OK || err == ERR_IO || err == ERR_NOT_FOUND);
        disk_memory_fail_call(life.world.memory, 0, ERR_OK);
        assert_well_after_a_crash(&life);
        wal_world_deinit(&life.world);
    }
}

static void each_allocation_fails(void **state)
{
    (void)state;
    mem_fail_after(0);
    calls_of_a_life();
    uint64_t tries = mem_fail_after(0);
    assert_true(tries >= 4);
    for (uint64_t n = 1; n <= tries; n++) {
        struct life life = {0};
        wal_world_init(&life.world, n, 2048);
        mem_fail_after(n);
        enum err err = live(&life);
        mem_fail_after(0);
        assert_int_equal(err, ERR_NO_MEMORY);
        /* Nothing is broken by it. */
        if (life.world.wal)
            assert_int_equal(write_up_to(&life, life.durable + 1), ERR_OK);
        assert_well_after_a_crash(&life);
        wal_world_deinit(&life.world);
    }
}

/* The room of the disk ends at every possible place: the writer is told so,
 * goes on when there is room, and nothing is lost. */
static void the_disk_is_full_at_every_size(void **state)
{
    (void)state;
    for (uint64_t limit = 1; limit < 9000; limit += 97) {
        struct life life = {0};
        wal_world_init(&life.world, limit, 2048);
        disk_memory_limit(life.world.memory, limit);
        assert_int_equal(live(&life), ERR_DISK_FULL);
        assert_true(disk_memory_used(life.world.memory) <= limit);
        disk_memory_limit(life.world.memory, 0);
        if (life.world.wal)
            assert_int_equal(write_up_to(&life, ENTRIES), ERR_OK);
        assert_well_after_a_crash(&life);
        wal_world_deinit(&life.world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_call_of_the_disk_fails),
        cmocka_unit_test(each_call_finds_the_disk_full),
        cmocka_unit_test(a_crash_at_each_call),
        cmocka_unit_test(each_allocation_fails),
        cmocka_unit_test(the_disk_is_full_at_every_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
