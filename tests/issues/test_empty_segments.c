/* A follower that took in many messages in one turn asked the log for more and
 * more room before it wrote anything. Each demand beyond a segment began
 * another one, and left the one before it behind, empty: 256 files in one
 * turn. Found by the simulator. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "support/wal_world.h"

enum { SEGMENT = 4096, MOST = 40 * 1000 };

static int segments_of(const struct wal_world *world)
{
    struct wal_stats stats;
    wal_stats(world->wal, &stats);
    return stats.segments;
}

static void begin(struct wal_world *world, uint64_t seed)
{
    wal_world_init(world, seed, SEGMENT);
    assert_int_equal(wal_world_create(world), ERR_OK);
    wal_world_fill(world, 1, 10, 1, 100);
}

static enum err ask_for_more_and_more(struct wal_world *world)
{
    enum err err = ERR_OK;
    for (uint64_t bytes = 200; err == ERR_OK && bytes <= MOST; bytes += 200)
        err = wal_reserve(world->wal, bytes);
    return err;
}

static void growing_demands_make_one_segment(void **state)
{
    struct wal_world world;
    (void)state;
    begin(&world, 1);
    assert_int_equal(ask_for_more_and_more(&world), ERR_OK);
    assert_int_equal(segments_of(&world), 2);
    /* What was asked for is there. */
    disk_memory_limit(world.memory, 1);
    wal_world_fill(&world, 11, 11, 1, MOST - 100);
    wal_world_crash(&world);
    disk_memory_limit(world.memory, 0);
    wal_world_reopen(&world);
    assert_int_equal(wal_copy_last(&world.found), 11);
    assert_int_equal(segments_of(&world), 2);
    wal_world_fill(&world, 12, 50, 1, 100);
    wal_world_reopen(&world);
    assert_int_equal(wal_copy_last(&world.found), 50);
    wal_world_deinit(&world);
}

/* Each demand may be the one that finds the disk full: it leaves nothing
 * behind, and what the one before it was promised stays promised. */
static void a_full_disk_in_between_is_an_answer(void **state)
{
    (void)state;
    for (uint64_t room = 100; room < MOST - 2 * SEGMENT; room += 997) {
        struct wal_world world;
        uint64_t bytes = 200;
        begin(&world, room);
        disk_memory_limit(world.memory, disk_memory_used(world.memory) + room);
        while (wal_reserve(world.wal, bytes) == ERR_OK)
            bytes += 200;
        uint64_t used = disk_memory_used(world.memory);
        assert_true(bytes < MOST);
        assert_int_equal(wal_reserve(world.wal, bytes), ERR_DISK_FULL);
        assert_int_equal(disk_memory_used(world.memory), used);
        wal_world_fill(&world, 11, 11, 1, (size_t)bytes - 200 - 100);
        assert_int_equal(disk_memory_used(world.memory), used);
        wal_world_crash(&world);
        wal_world_reopen(&world);
        assert_int_equal(wal_copy_last(&world.found), 11);
        wal_world_deinit(&world);
    }
}

/* The power goes, or the disk fails, at any call on the way. */
static void a_crash_at_each_demand(void **state)
{
    (void)state;
    enum { CALLS = 40 };
    for (uint64_t seed = 0; seed < (uint64_t)CALLS * 10; seed++) {
        struct wal_world world;
        begin(&world, seed);
        disk_memory_fail_call(world.memory, 1 + seed % CALLS, ERR_IO);
        enum err err = ask_for_more_and_more(&world);
        assert_true(err == ERR_OK || err == ERR_IO);
        disk_memory_fail_call(world.memory, 0, ERR_OK);
        wal_world_crash(&world);
        wal_world_reopen(&world);
        assert_false(world.opened.torn);
        assert_int_equal(wal_copy_last(&world.found), 10);
        wal_world_fill(&world, 11, 40, 1, 100);
        wal_world_crash(&world);
        wal_world_reopen(&world);
        assert_int_equal(wal_copy_last(&world.found), 40);
        wal_world_deinit(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(growing_demands_make_one_segment),
        cmocka_unit_test(a_full_disk_in_between_is_an_answer),
        cmocka_unit_test(a_crash_at_each_demand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
