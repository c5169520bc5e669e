/* What a member must write without having asked for room, a vote and the
 * empty entry of a new leader, has its place on a full disk too. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "support/wal_world.h"
#include "wal/wal_int.h"

/* A segment and its slack: of eight hard states. */
enum { SEGMENT = 4096, SLACK = 512, HARD = 64, SIZE = 100, FRAME = 192 };

/* Written up to the last frame that fits, on a disk with no room for more.
 * Returns the index of the last entry. */
static raft_index begin_full(struct wal_world *world, uint64_t segment_bytes)
{
    raft_index last = 0;
    wal_world_init(world, 1, segment_bytes);
    assert_int_equal(wal_world_create(world), ERR_OK);
    disk_memory_limit(world->memory, disk_memory_used(world->memory));
    while (wal_reserve(world->wal, FRAME) == ERR_OK) {
        last++;
        wal_world_fill(world, last, last, 1, SIZE);
    }
    assert_int_equal(wal_reserve(world->wal, FRAME), ERR_DISK_FULL);
    return last;
}

static enum err vote(struct wal_world *world, raft_term term)
{
    struct raft_hard_state hard = {.term = term, .vote = term % 3};
    enum err err = wal_append(world->wal, &hard, NULL, 0);
    return err ? err : wal_sync(world->wal);
}

/* Votes until there is no room; returns the last term. */
static raft_term vote_on(struct wal_world *world, raft_term term)
{
    enum err err;
    while ((err = vote(world, term + 1)) == ERR_OK)
        term++;
    assert_int_equal(err, ERR_DISK_FULL);
    return term;
}

static enum err lead(struct wal_world *world, raft_index index, raft_term term)
{
    struct raft_hard_state hard = {.term = term, .vote = 1};
    struct raft_entry entry = {
        .type = RAFT_ENTRY_EMPTY, .term = term, .index = index};
    const struct raft_entry *entries[] = {&entry};
    enum err err = wal_append(world->wal, &hard, entries, 1);
    return err ? err : wal_sync(world->wal);
}

static void votes_have_room_on_a_full_disk(void **state)
{
    (void)state;
    struct wal_world world;
    raft_index last = begin_full(&world, SEGMENT);
    raft_term term = vote_on(&world, 1);
    assert_true(term > SLACK / HARD);
    /* It is an answer, again and again, and what was there stays. */
    assert_int_equal(vote(&world, term + 1), ERR_DISK_FULL);
    assert_int_equal(lead(&world, last + 1, term + 1), ERR_DISK_FULL);
    assert_null(disk_memory_name(world.memory, 1));
    wal_world_crash(&world);
    wal_world_reopen(&world);
    assert_int_equal(world.found.state.term, term);
    assert_int_equal(wal_copy_last(&world.found), last);
    assert_int_equal(vote(&world, term + 1), ERR_DISK_FULL);

    disk_memory_limit(world.memory, 0);
    assert_int_equal(vote(&world, term + 1), ERR_OK);
    wal_world_fill(&world, last + 1, last + 30, term + 1, SIZE);
    wal_world_reopen(&world);
    assert_int_equal(world.found.state.term, term + 1);
    assert_int_equal(wal_copy_last(&world.found), last + 30);
    wal_world_deinit(&world);
}

static void of_the_usual_size_there_are_thousands(void **state)
{
    (void)state;
    struct wal_world world;
    begin_full(&world, 2 * 1024 * 1024);
    assert_true(vote_on(&world, 1) > 4000);
    wal_world_deinit(&world);
}

static void a_new_leader_has_room_for_its_entry(void **state)
{
    (void)state;
    struct wal_world world;
    raft_index last = begin_full(&world, SEGMENT);
    raft_term term = 1;
    while (lead(&world, last + 1, term + 1) == ERR_OK) {
        last++;
        term++;
    }
    assert_true(term > SLACK / (WAL__SMALL_BYTES + 8));
    wal_world_crash(&world);
    wal_world_reopen(&world);
    assert_int_equal(wal_copy_last(&world.found), last);
    assert_int_equal(world.found.state.term, term);
    wal_world_deinit(&world);
}

/* Whoever can be told that there is no room is told so. */
static void other_frames_leave_the_slack_alone(void **state)
{
    (void)state;
    struct wal_world world;
    raft_index last = begin_full(&world, SEGMENT);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(wal_world_append(&world, last + 1, 1, 1, SIZE),
                         ERR_DISK_FULL);
        assert_int_equal(wal_world_append(&world, last + 1, 3, 1, 0),
                         ERR_DISK_FULL);
        assert_int_equal(wal_reserve(world.wal, FRAME), ERR_DISK_FULL);
    }
    assert_true(vote_on(&world, 1) > SLACK / HARD);
    wal_world_deinit(&world);
}

/* When the slack is in use and there is room again, a new segment has a new
 * slack. */
static void room_again_is_slack_again(void **state)
{
    (void)state;
    struct wal_world world;
    struct wal_stats stats;
    begin_full(&world, SEGMENT);
    raft_term term = vote_on(&world, 1);
    disk_memory_limit(world.memory, 0);
    assert_int_equal(vote(&world, ++term), ERR_OK);
    wal_stats(world.wal, &stats);
    assert_int_equal(stats.segments, 2);
    disk_memory_limit(world.memory, 1);
    raft_term more = vote_on(&world, term);
    assert_true(more > term + SEGMENT / HARD - 16);
    wal_world_deinit(&world);
}

/* What was promised for a frame isn't lost to votes that come before it, nor
 * to the empty entry that joins it. */
static void reserved_room_holds_with_what_comes_between(void **state)
{
    (void)state;
    for (int joins = 0; joins < 2; joins++) {
        struct wal_world world;
        wal_world_init(&world, 1, SEGMENT);
        assert_int_equal(wal_world_create(&world), ERR_OK);
        disk_memory_limit(world.memory, 1);
        /* All of the segment, to the last byte before the slack. */
        enum { ALL = SEGMENT - WAL__HEADER_BYTES };
        enum { DATA = ALL - WAL__FRAME_BYTES_MIN - WAL__ENTRY_BYTES_MIN };
        assert_int_equal(wal_reserve(world.wal, ALL + 8), ERR_DISK_FULL);
        assert_int_equal(wal_reserve(world.wal, ALL), ERR_OK);
        struct raft_entry empty = {
            .type = RAFT_ENTRY_EMPTY, .term = 1, .index = 1};
        struct raft_entry large =
            wal_world_entry(1 + (raft_index)joins, 1, DATA);
        const struct raft_entry *both[] = {&empty, &large};
        if (joins == 0)
            for (raft_term term = 1; term <= 4; term++)
                assert_int_equal(vote(&world, term), ERR_OK);
        enum err err =
            wal_append(world.wal, NULL, both + (joins == 0), joins ? 2 : 1);
        assert_int_equal(err, ERR_OK);
        refbuf_unref(large.data);
        wal_world_reopen(&world);
        assert_int_equal(world.found.count, 1 + joins);
        assert_int_equal(world.found.state.term, joins ? 0 : 4);
        wal_world_deinit(&world);
    }
}

/* The room that a closed log gives back may be gone when it is opened. */
static void a_log_that_is_opened_on_a_full_disk_has_slack(void **state)
{
    (void)state;
    struct wal_world world;
    wal_world_init(&world, 1, SEGMENT);
    assert_int_equal(wal_world_create(&world), ERR_OK);
    for (raft_term term = 1; term <= SLACK / HARD; term++) {
        disk_memory_limit(world.memory, 0);
        wal_world_reopen(&world);
        wal_world_close(&world);
        disk_memory_limit(world.memory, disk_memory_used(world.memory));
        wal_world_reopen(&world);
        assert_int_equal(world.found.state.term, term - 1);
        assert_int_equal(wal_reserve(world.wal, FRAME), ERR_DISK_FULL);
        for (raft_index i = 0; i < SLACK / WAL__SMALL_BYTES; i++)
            assert_int_equal(vote(&world, term), ERR_OK);
    }
    wal_world_deinit(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(votes_have_room_on_a_full_disk),
        cmocka_unit_test(of_the_usual_size_there_are_thousands),
        cmocka_unit_test(a_new_leader_has_room_for_its_entry),
        cmocka_unit_test(other_frames_leave_the_slack_alone),
        cmocka_unit_test(room_again_is_slack_again),
        cmocka_unit_test(reserved_room_holds_with_what_comes_between),
        cmocka_unit_test(a_log_that_is_opened_on_a_full_disk_has_slack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
