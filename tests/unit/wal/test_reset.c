/* A follower's log: a snapshot takes the place of what it holds, and the
 * leader replaces what nobody committed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "support/wal_world.h"
#include "wal/wal_int.h"

enum { SEGMENT = 1024, SIZE = 100 }; /* two entries a segment */

static const struct raft_hard_state before = {.term = 2, .vote = 5};
static const struct raft_hard_state after = {
    .term = 6, .vote = 7, .commit = 100};

/* A log of entries 1 to 9 in five segments, and a vote. */
static void world_begin(struct wal_world *world)
{
    wal_world_init(world, 1, SEGMENT);
    assert_int_equal(wal_world_create(world), ERR_OK);
    assert_int_equal(wal_append(world->wal, &before, NULL, 0), ERR_OK);
    wal_world_fill(world, 1, 9, 2, SIZE);
}

static int files(const struct wal_world *world)
{
    int count = 0;
    while (disk_memory_name(world->memory, (size_t)count))
        count++;
    return count;
}

static struct wal_stats stats_of(const struct wal_world *world)
{
    struct wal_stats stats;
    wal_stats(world->wal, &stats);
    return stats;
}

/* What is reported: entries `first` to `last`, good ones; none: last is 0. */
static void assert_found(const struct wal_world *world, raft_index first,
                         raft_index last)
{
    const struct wal_copy *found = &world->found;
    assert_int_equal(wal_copy_last(found), last);
    if (last == 0)
        return;
    assert_int_equal(found->entries[0].index, first);
    for (raft_index index = first; index <= last; index++)
        assert_true(wal_world_entry_good(wal_copy_at(found, index)));
}

static void assert_state(const struct wal_world *world,
                         const struct raft_hard_state *state)
{
    assert_memory_equal(&world->found.state, state, sizeof *state);
}

static void assert_anew(const struct wal_world *world, raft_index index,
                        raft_term term)
{
    assert_int_equal(world->opened.first_index, index + 1);
    assert_int_equal(world->opened.last_index, index);
    assert_int_equal(world->opened.last_term, term);
    assert_int_equal(world->opened.entry_count, 0);
    assert_found(world, 0, 0);
    assert_state(world, &after);
}

/* ---- a snapshot --------------------------------------------------------- */

static void a_reset_log_holds_nothing_but_the_state(void **state)
{
    (void)state;
    struct wal_world world;
    world_begin(&world);
    assert_true(stats_of(&world).segments >= 5);
    assert_int_equal(wal_reset(world.wal, 100, 4, &after), ERR_OK);
    assert_int_equal(stats_of(&world).segments, 1);
    assert_int_equal(stats_of(&world).first_index, 0);
    wal_world_crash(&world);
    assert_int_equal(files(&world), 1);
    wal_world_reopen(&world);
    assert_anew(&world, 100, 4);
    wal_world_deinit(&world);
}

static void the_log_goes_on_behind_the_snapshot(void **state)
{
    (void)state;
    struct wal_world world;
    world_begin(&world);
    assert_int_equal(wal_reset(world.wal, 100, 4, &after), ERR_OK);
    wal_world_fill(&world, 101, 101, 4, SIZE);
    assert_int_equal(stats_of(&world).first_index, 101);
    wal_world_fill(&world, 102, 110, 6, SIZE);
    wal_world_crash(&world);
    wal_world_reopen(&world);
    assert_found(&world, 101, 110);
    assert_int_equal(world.opened.first_index, 101);
    assert_int_equal(world.opened.last_term, 6);
    assert_state(&world, &after);

    /* And loses its beginning like any other. */
    assert_int_equal(wal_trim(world.wal, 105), ERR_OK);
    wal_world_crash(&world);
    world.skip_to = 105;
    wal_world_reopen(&world);
    assert_found(&world, 106, 110);
    assert_true(world.opened.first_index > 101);
    assert_true(world.opened.first_index <= 106);
    wal_world_deinit(&world);
}

/* Our entries 5 to 9 are those of a leader that has lost. */
static void a_snapshot_may_be_of_less_than_the_log_has(void **state)
{
    (void)state;
    struct wal_world world;
    world_begin(&world);
    assert_int_equal(wal_reset(world.wal, 5, 4, &after), ERR_OK);
    wal_world_fill(&world, 6, 7, 4, SIZE);
    wal_world_reopen(&world);
    assert_found(&world, 6, 7);
    assert_int_equal(wal_copy_at(&world.found, 6)->term, 4);
    wal_world_deinit(&world);
}

static void one_reset_follows_another(void **state)
{
    (void)state;
    struct wal_world world;
    world_begin(&world);
    assert_int_equal(wal_reset(world.wal, 50, 3, &after), ERR_OK);
    assert_int_equal(wal_reset(world.wal, 100, 4, &after), ERR_OK);
    wal_world_crash(&world);
    assert_int_equal(files(&world), 1);
    wal_world_reopen(&world);
    assert_anew(&world, 100, 4);
    assert_int_equal(wal_reset(world.wal, 200, 6, &after), ERR_OK);
    wal_world_reopen(&world);
    assert_anew(&world, 200, 6);
    wal_world_deinit(&world);
}

static void an_empty_log_may_begin_anew(void **state)
{
    (void)state;
    struct wal_world world;
    wal_world_init(&world, 1, SEGMENT);
    assert_int_equal(wal_world_create(&world), ERR_OK);
    assert_int_equal(wal_reset(world.wal, 1, 1, &after), ERR_OK);
    wal_world_crash(&world);
    wal_world_reopen(&world);
    assert_anew(&world, 1, 1);
    wal_world_deinit(&world);
}

/* The frame under way is of the old log: it goes with it. */
static void what_is_not_synced_goes_too(void **state)
{
    (void)state;
    struct wal_world world;
    world_begin(&world);
    assert_int_equal(wal_world_append(&world, 10, 1, 2, SIZE), ERR_OK);
    assert_int_equal(wal_reset(world.wal, 100, 4, &after), ERR_OK);
    wal_world_fill(&world, 101, 101, 5, SIZE);
    wal_world_crash(&world);
    wal_world_reopen(&world);
    assert_found(&world, 101, 101);
    wal_world_deinit(&world);
}

/* ---- when something fails ----------------------------------------------- */

static void a_full_disk_leaves_the_log_as_it_was(void **state)
{
    (void)state;
    struct wal_world world;
    world_begin(&world);
    disk_memory_limit(world.memory, disk_memory_used(world.memory));
    wal_world_fill(&world, 10, 10, 2, SIZE); /* in the room it has */
    assert_int_equal(wal_reset(world.wal, 100, 4, &after), ERR_DISK_FULL);
    disk_memory_limit(world.memory, 0);
    wal_world_fill(&world, 11, 11, 2, SIZE);
    wal_world_reopen(&world);
    assert_found(&world, 1, 11);
    assert_state(&world, &before);
    assert_int_equal(wal_reset(world.wal, 100, 4, &after), ERR_OK);
    wal_world_deinit(&world);
}

static void a_broken_log_is_not_reset(void **state)
{
    (void)state;
    struct wal_world world;
    world_begin(&world);
    assert_int_equal(wal_world_append(&world, 10, 1, 2, SIZE), ERR_OK);
    disk_memory_fail_call(world.memory, 1, ERR_IO);
    assert_int_equal(wal_sync(world.wal), ERR_IO);
    assert_int_equal(wal_reset(world.wal, 100, 4, &after), ERR_IO);
    wal_world_crash(&world);
    wal_world_reopen(&world);
    assert_int_equal(world.opened.first_index, 1);
    assert_state(&world, &before);
    wal_world_deinit(&world);
}

/* The calls of a reset before its first removal: create and allocate the
 * segment, write, sync, rename, sync the names. */
enum { CALLS_BEFORE = 6 };

/* Resets, and fails to remove the n-th of the old segments. */
static void reset_and_leave_some(struct wal_world *world, uint64_t n)
{
    disk_memory_fail_call(world->memory, CALLS_BEFORE + 2 * (n - 1) + 1,
                          ERR_DISK_FULL);
    assert_int_equal(wal_reset(world->wal, 100, 4, &after), ERR_OK);
    assert_string_equal(err_note(), "");
    disk_memory_fail_call(world->memory, 0, ERR_OK);
    assert_true(files(world) > 1);
}

static void what_could_not_be_removed_is_at_the_next_trim(void **state)
{
    (void)state;
    struct wal_world world;
    world_begin(&world);
    reset_and_leave_some(&world, 3);
    assert_true(stats_of(&world).segments > 1);
    wal_world_fill(&world, 101, 101, 5, SIZE);
    assert_int_equal(stats_of(&world).first_index, 101);
    assert_int_equal(wal_trim(world.wal, 1), ERR_OK);
    assert_int_equal(stats_of(&world).segments, 1);
    wal_world_reopen(&world);
    assert_int_equal(files(&world), 1);
    assert_found(&world, 101, 101);
    wal_world_deinit(&world);
}

static void or_at_the_next_opening(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 5; n++) {
        struct wal_world world;
        world_begin(&world);
        reset_and_leave_some(&world, n);
        wal_world_fill(&world, 101, 106, 5, SIZE); /* several segments */
        wal_world_crash(&world);
        wal_world_reopen(&world);
        assert_found(&world, 101, 106);
        assert_state(&world, &after);
        assert_int_equal(stats_of(&world).segments, 3);
        assert_int_equal(stats_of(&world).first_index, 101);
        assert_int_equal(world.opened.segment_count, 3);
        assert_int_equal(files(&world), 3);
        wal_world_deinit(&world);
    }
}

/* Also where a file of the old log has become unreadable: it doesn't count. */
static void what_is_left_is_not_read(void **state)
{
    (void)state;
    struct wal_world world;
    world_begin(&world);
    reset_and_leave_some(&world, 1);
    wal_world_crash(&world);
    disk_memory_flip(world.memory, disk_memory_name(world.memory, 0), 3, 1);
    disk_memory_flip(world.memory, disk_memory_name(world.memory, 1), 600, 1);
    wal_world_reopen(&world);
    assert_anew(&world, 100, 4);
    assert_int_equal(files(&world), 1);
    wal_world_deinit(&world);
}

/* It opens even if they can't be removed then. */
static void what_is_left_is_in_nobodys_way(void **state)
{
    (void)state;
    int opened = 0;
    int left = 0;
    for (uint64_t call = 1; call <= 24; call++) {
        struct wal_world world;
        world_begin(&world);
        reset_and_leave_some(&world, 1);
        wal_world_crash(&world);
        disk_memory_fail_call(world.memory, call, ERR_DISK_FULL);
        enum err err = wal_world_open(&world);
        disk_memory_fail_call(world.memory, 0, ERR_OK);
        if (err == ERR_OK) {
            opened++;
            left += stats_of(&world).segments > 1;
            assert_anew(&world, 100, 4);
            wal_world_fill(&world, 101, 103, 5, SIZE);
            assert_int_equal(wal_trim(world.wal, 100), ERR_OK);
            assert_int_equal(stats_of(&world).first_index, 101);
            assert_int_equal(stats_of(&world).segments, 2);
        }
        wal_world_reopen(&world);
        assert_int_equal(wal_copy_last(&world.found), err ? 0 : 103);
        wal_world_deinit(&world);
    }
    assert_int_equal(left, 5); /* each of five removals has failed */
    assert_true(opened > left);
}

/* A crash at the end of each call: the old log or the new one, and never one
 * without a vote. */
static void a_crash_leaves_the_old_or_the_new(void **state)
{
    (void)state;
    int old_ones = 0;
    int new_ones = 0;
    for (uint64_t call = 1; call <= CALLS_BEFORE + 10; call++) {
        struct wal_world world;
        world_begin(&world);
        disk_memory_fail_call(world.memory, call, ERR_IO);
        enum err err = wal_reset(world.wal, 100, 4, &after);
        disk_memory_fail_call(world.memory, 0, ERR_OK);
        wal_world_crash(&world);
        wal_world_reopen(&world);
        if (world.opened.first_index == 101) {
            assert_anew(&world, 100, 4);
            assert_int_equal(files(&world), 1);
            new_ones++;
        } else {
            assert_int_not_equal(err, ERR_OK);
            assert_found(&world, 1, 9);
            assert_state(&world, &before);
            old_ones++;
        }
        wal_world_deinit(&world);
    }
    assert_true(old_ones >= 3);
    assert_true(new_ones >= 8);
}

/* ---- a damaged disk ----------------------------------------------------- */

static void a_damaged_header_is_said_to_be_so(void **state)
{
    (void)state;
    struct wal_world world;
    world_begin(&world);
    reset_and_leave_some(&world, 5);
    wal_world_crash(&world);
    int count = files(&world);
    disk_memory_flip(world.memory,
                     disk_memory_name(world.memory, (size_t)count - 1), 80, 2);
    assert_int_equal(wal_world_open(&world), ERR_CORRUPT);
    assert_int_equal(files(&world), count);
    wal_world_deinit(&world);
}

/* A copy of such a segment under another's name doesn't end the old log. */
static void a_header_of_another_segment_begins_nothing(void **state)
{
    (void)state;
    struct wal_world world;
    char bytes[WAL__HEADER_BYTES];
    struct wal__header header = {
        .cluster_id = 0xc1,
        .member_id = 0x3e3,
        .number = 77,
        .first_index = 101,
        .sequence = 50,
        .state = after,
        .anew_term = 4,
    };
    world_begin(&world);
    wal_world_close(&world);
    size_t count = (size_t)files(&world);
    struct wal__segment last;
    assert_true(
        wal__name_parse(disk_memory_name(world.memory, count - 1), &last));
    wal__header_encode(&header, bytes);
    disk_memory_put(world.memory, wal__name_of(&last).text,
                    slice_of(bytes, sizeof bytes));
    assert_int_equal(wal_world_open(&world), ERR_CORRUPT);
    assert_int_equal(files(&world), count);
    wal_world_deinit(&world);
}

/* ---- replaced entries --------------------------------------------------- */

/* The store has 1 to 7 when the log is opened. Entries 8 and 9 are of a leader
 * that lost: the one that replaced 7's successors begins lower. */
static void what_was_replaced_does_not_come_back(void **state)
{
    (void)state;
    struct wal_world world;
    world_begin(&world);
    wal_world_fill(&world, 7, 7, 3, SIZE);
    world.skip_to = 7;
    wal_world_crash(&world);
    wal_world_reopen(&world);
    assert_int_equal(world.opened.last_index, 7);
    assert_int_equal(world.opened.last_term, 3);
    assert_null(wal_copy_at(&world.found, 8));
    assert_found(&world, 7, 7);
    assert_int_equal(wal_copy_at(&world.found, 7)->term, 3);

    /* What comes then is reported without a gap. */
    wal_world_fill(&world, 8, 12, 3, SIZE);
    wal_world_crash(&world);
    world.skip_to = 8;
    wal_world_reopen(&world);
    assert_found(&world, 7, 12);
    for (raft_index index = 7; index <= 12; index++)
        assert_int_equal(wal_copy_at(&world.found, index)->term, 3);
    wal_world_deinit(&world);
}

/* A new leader's log is shorter, again and again; and each time a term and a
 * vote come alone before its entries. */
static void a_follower_under_one_leader_after_another(void **state)
{
    (void)state;
    struct wal_world world;
    struct raft_hard_state hard = before;
    raft_index last = 9;
    world_begin(&world);
    for (raft_term term = 3; term < 12; term++) {
        hard.term = term;
        hard.vote = term % 3;
        assert_int_equal(wal_append(world.wal, &hard, NULL, 0), ERR_OK);
        wal_world_fill(&world, last - 2, last + 1, term, SIZE);
        last++;
        wal_world_crash(&world);
        wal_world_reopen(&world);
        assert_found(&world, 1, last);
        assert_state(&world, &hard);
        assert_int_equal(wal_copy_at(&world.found, last - 3)->term, term);
        assert_int_equal(world.opened.last_term, term);
    }
    wal_world_deinit(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reset_log_holds_nothing_but_the_state),
        cmocka_unit_test(the_log_goes_on_behind_the_snapshot),
        cmocka_unit_test(a_snapshot_may_be_of_less_than_the_log_has),
        cmocka_unit_test(one_reset_follows_another),
        cmocka_unit_test(an_empty_log_may_begin_anew),
        cmocka_unit_test(what_is_not_synced_goes_too),
        cmocka_unit_test(a_full_disk_leaves_the_log_as_it_was),
        cmocka_unit_test(a_broken_log_is_not_reset),
        cmocka_unit_test(what_could_not_be_removed_is_at_the_next_trim),
        cmocka_unit_test(or_at_the_next_opening),
        cmocka_unit_test(what_is_left_is_not_read),
        cmocka_unit_test(what_is_left_is_in_nobodys_way),
        cmocka_unit_test(a_crash_leaves_the_old_or_the_new),
        cmocka_unit_test(a_damaged_header_is_said_to_be_so),
        cmocka_unit_test(a_header_of_another_segment_begins_nothing),
        cmocka_unit_test(what_was_replaced_does_not_come_back),
        cmocka_unit_test(a_follower_under_one_leader_after_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
