/* From one segment to the next: rotation, trimming, a full disk, what a crash
 * leaves half made, and what a failed write means. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/mem.h"
#include "support/wal_world.h"
#include "wal/wal_int.h"

#define NEXT "next.wal.tmp"

static int segments_of(const struct wal_world *world)
{
    struct wal_stats stats;
    wal_stats(world->wal, &stats);
    return stats.segments;
}

static raft_index first_of(const struct wal_world *world)
{
    struct wal_stats stats;
    wal_stats(world->wal, &stats);
    return stats.first_index;
}

static bool has_next(const struct wal_world *world)
{
    return disk_memory_bytes(world->memory, NEXT).size > 0;
}

static void names_tell_number_and_first_index(void **state)
{
    (void)state;
    struct wal__segment segment = {.number = 0x2f, .named_index = 0xabcdef};
    struct wal__segment parsed;
    struct wal__name name = wal__name_of(&segment);
    assert_string_equal(name.text, "000000000000002f-0000000000abcdef.wal");
    assert_true(wal__name_parse(name.text, &parsed));
    assert_int_equal(parsed.number, 0x2f);
    assert_int_equal(parsed.named_index, 0xabcdef);

    static const char *const others[] = {
        "",
        ".wal",
        NEXT,
        "000000000000002f-0000000000abcdef.wa",
        "000000000000002f-0000000000abcdef.wal2",
        "000000000000002f_0000000000abcdef.wal",
        "000000000000002F-0000000000abcdef.wal",
        "000000000000002f-0000000000abcdeg.wal",
        "00000000000000 f-0000000000abcdef.wal",
        "+00000000000002f-0000000000abcdef.wal",
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(wal__name_parse(others[i], &parsed));
}

static void a_full_segment_is_followed_by_another(void **state)
{
    (void)state;
    struct wal_world world;
    wal_world_init(&world, 1, 4096);
    assert_int_equal(wal_world_create(&world), ERR_OK);
    wal_world_fill(&world, 1, 100, 1, 100);
    /* 64 + 24 + 100, rounded up: 19 frames of 192 bytes a segment. */
    assert_int_equal(segments_of(&world), 6);
    assert_string_equal(disk_memory_name(world.memory, 0),
                        "0000000000000001-0000000000000001.wal");
    assert_string_equal(disk_memory_name(world.memory, 1),
                        "0000000000000002-0000000000000013.wal"); /* 19 */
    wal_world_reopen(&world);
    assert_int_equal(world.opened.segment_count, 6);
    assert_int_equal(world.found.count, 100);
    wal_world_fill(&world, 101, 200, 1, 100);
    wal_world_reopen(&world);
    assert_int_equal(world.found.count, 200);
    wal_world_deinit(&world);
}

static void
segments_of_any_order_in_the_directory_are_read_in_order(void **state)
{
    (void)state;
    struct wal_world world;
    struct slice bytes;
    wal_world_init(&world, 1, 4096);
    assert_int_equal(wal_world_create(&world), ERR_OK);
    wal_world_fill(&world, 1, 100, 1, 100);
    wal_world_close(&world);
    /* Putting a file anew moves it to the end of the list. */
    for (size_t i = 4; i-- > 0;) {
        char name[DISK_NAME_BYTES_MAX];
        snprintf(name, sizeof name, "%s", disk_memory_name(world.memory, i));
        bytes = disk_memory_bytes(world.memory, name);
        disk_memory_put(world.memory, name, bytes);
    }
    wal_world_reopen(&world);
    assert_int_equal(world.found.count, 100);
    wal_world_deinit(&world);
}

static void other_files_are_left_alone(void **state)
{
    (void)state;
    struct wal_world world;
    wal_world_init(&world, 1, 4096);
    disk_memory_put(world.memory, "notes.txt", SLICE("hello"));
    disk_memory_put(world.memory, "1.wal", SLICE("hello"));
    assert_int_equal(wal_world_create(&world), ERR_OK);
    wal_world_fill(&world, 1, 100, 1, 100);
    assert_int_equal(wal_trim(world.wal, 100), ERR_OK);
    wal_world_reopen(&world);
    assert_int_equal(disk_memory_bytes(world.memory, "notes.txt").size, 5);
    assert_int_equal(disk_memory_bytes(world.memory, "1.wal").size, 5);
    wal_world_deinit(&world);
}

static void the_next_segment_is_made_ahead(void **state)
{
    (void)state;
    struct wal_world world;
    wal_world_init(&world, 1, 4096);
    assert_int_equal(wal_world_create(&world), ERR_OK);
    wal_world_fill(&world, 1, 5, 1, 100);
    assert_false(has_next(&world));
    wal_world_fill(&world, 6, 12, 1, 100);
    assert_true(has_next(&world));
    assert_int_equal(segments_of(&world), 1);
    /* A killed process leaves it behind; an ended one doesn't. */
    wal_world_kill(&world);
    assert_true(has_next(&world));
    wal_world_reopen(&world);
    assert_false(has_next(&world));
    wal_world_fill(&world, 13, 13, 1, 100);
    assert_true(has_next(&world));
    wal_world_close(&world);
    assert_false(has_next(&world));
    wal_world_deinit(&world);
}

static void reserved_room_needs_no_more_from_the_file_system(void **state)
{
    (void)state;
    struct wal_world world;
    wal_world_init(&world, 1, 4096);
    assert_int_equal(wal_world_create(&world), ERR_OK);
    raft_index index = 1;
    for (size_t size = 1; size < 9000; size = size * 2 + 1) {
        struct raft_entry entry = wal_world_entry(index, 1, size);
        uint64_t bytes = wal_frame_bytes(&entry, 1);
        refbuf_unref(entry.data);
        disk_memory_limit(world.memory, 0);
        assert_int_equal(wal_reserve(world.wal, bytes), ERR_OK);
        disk_memory_limit(world.memory, 1); /* now there is no room */
        wal_world_fill(&world, index, index, 1, size);
        index++;
    }
    wal_world_reopen(&world);
    assert_int_equal(world.found.count, index - 1);
    wal_world_deinit(&world);
}

static void a_full_disk_is_an_answer_and_not_a_broken_log(void **state)
{
    (void)state;
    struct wal_world world;
    wal_world_init(&world, 1, 4096);
    assert_int_equal(wal_world_create(&world), ERR_OK);
    /* Half a segment more. */
    disk_memory_limit(world.memory, 4096 + 512 + 2000);
    raft_index last = 0;
    while (wal_reserve(world.wal, 192) == ERR_OK) {
        last++;
        wal_world_fill(&world, last, last, 1, 100);
    }
    assert_int_equal(last, 18);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(wal_reserve(world.wal, 192), ERR_DISK_FULL);
        assert_int_equal(wal_world_append(&world, last + 1, 1, 1, 100),
                         ERR_DISK_FULL);
        assert_false(has_next(&world)); /* nor a half file */
        assert_null(disk_memory_name(world.memory, 1));
    }
    /* Small things still have their place. */
    struct raft_hard_state hard_state = {.term = 2, .vote = 1};
    assert_int_equal(wal_append(world.wal, &hard_state, NULL, 0), ERR_OK);
    assert_int_equal(wal_sync(world.wal), ERR_OK);

    disk_memory_limit(world.memory, 0);
    assert_int_equal(wal_reserve(world.wal, 192), ERR_OK);
    wal_world_fill(&world, last + 1, 60, 2, 100);
    wal_world_reopen(&world);
    assert_int_equal(world.found.count, 60);
    wal_world_deinit(&world);
}

/* The room for a usual frame, made ahead, isn't given up for a large one. */
static void
a_large_frame_on_a_full_disk_costs_the_small_ones_nothing(void **state)
{
    (void)state;
    struct wal_world world;
    wal_world_init(&world, 1, 4096);
    assert_int_equal(wal_world_create(&world), ERR_OK);
    wal_world_fill(&world, 1, 12, 1, 100);
    assert_true(has_next(&world));
    disk_memory_limit(world.memory, 2 * (4096 + 512));
    assert_int_equal(wal_reserve(world.wal, 100000), ERR_DISK_FULL);
    assert_true(has_next(&world));
    assert_int_equal(disk_memory_bytes(world.memory, NEXT).size, 4096 + 512);
    wal_world_fill(&world, 13, 30, 1, 100);
    assert_int_equal(segments_of(&world), 2);
    disk_memory_limit(world.memory, 0);
    assert_int_equal(wal_reserve(world.wal, 100000), ERR_OK);
    wal_world_fill(&world, 31, 31, 1, 99000);
    wal_world_reopen(&world);
    assert_int_equal(world.found.count, 31);
    wal_world_deinit(&world);
}

static void trimming_removes_whole_segments_only(void **state)
{
    (void)state;
    struct wal_world world;
    wal_world_init(&world, 1, 4096);
    assert_int_equal(wal_world_create(&world), ERR_OK);
    wal_world_fill(&world, 1, 100, 1, 100);
    assert_int_equal(first_of(&world), 1);
    assert_int_equal(wal_trim(world.wal, 0), ERR_OK);
    assert_int_equal(wal_trim(world.wal, 17), ERR_OK);
    assert_int_equal(segments_of(&world), 6);
    assert_int_equal(wal_trim(world.wal, 18), ERR_OK); /* 1 to 18 */
    assert_int_equal(segments_of(&world), 5);
    assert_int_equal(first_of(&world), 19);
    assert_int_equal(wal_trim(world.wal, 60), ERR_OK);
    assert_int_equal(segments_of(&world), 3);
    assert_int_equal(first_of(&world), 55);

    world.skip_to = 60;
    wal_world_reopen(&world);
    assert_int_equal(world.found.entries[0].index, 61);
    assert_int_equal(wal_copy_last(&world.found), 100);
    assert_int_equal(first_of(&world), 55);
    wal_world_deinit(&world);
}

static void the_newest_segment_always_stays(void **state)
{
    (void)state;
    struct wal_world world;
    wal_world_init(&world, 1, 4096);
    assert_int_equal(wal_world_create(&world), ERR_OK);
    assert_int_equal(wal_trim(world.wal, UINT64_MAX), ERR_OK);
    wal_world_fill(&world, 1, 100, 1, 100);
    assert_int_equal(wal_trim(world.wal, UINT64_MAX), ERR_OK);
    assert_int_equal(segments_of(&world), 1);
    wal_world_reopen(&world);
    assert_int_equal(wal_copy_last(&world.found), 100);
    wal_world_fill(&world, 101, 150, 1, 100);
    wal_world_reopen(&world);
    assert_int_equal(wal_copy_last(&world.found), 150);
    wal_world_deinit(&world);
}

/* The hard state was written long ago, in a segment that is trimmed. */
static void the_hard_state_outlives_trimming(void **state)
{
    (void)state;
    struct raft_hard_state written = {.term = 7, .vote = 3, .commit = 1};
    struct wal_world world;
    wal_world_init(&world, 1, 4096);
    assert_int_equal(wal_world_create(&world), ERR_OK);
    assert_int_equal(wal_append(world.wal, &written, NULL, 0), ERR_OK);
    wal_world_fill(&world, 1, 30, 7, 100);
    assert_int_equal(wal_trim(world.wal, 30), ERR_OK);
    assert_int_equal(segments_of(&world), 1);
    wal_world_reopen(&world);
    assert_int_equal(world.found.state.term, 7);
    assert_int_equal(world.found.state.vote, 3);

    /* Even where a segment has only its header: a frame too large for what
     * is left begins a new one, and is then not written. */
    assert_int_equal(wal_reserve(world.wal, 5000), ERR_OK);
    assert_int_equal(wal_trim(world.wal, 30), ERR_OK);
    assert_int_equal(segments_of(&world), 1);
    assert_int_equal(first_of(&world), 0);
    wal_world_crash(&world);
    wal_world_reopen(&world);
    assert_int_equal(world.found.count, 0);
    assert_int_equal(world.found.state.term, 7);
    assert_int_equal(world.found.state.vote, 3);
    wal_world_fill(&world, 31, 31, 7, 100);
    wal_world_deinit(&world);
}

/* What a segment holds counts, not what its name says: entries of an index
 * below it may have replaced others. */
static void replaced_entries_keep_their_segment(void **state)
{
    (void)state;
    struct wal_world world;
    wal_world_init(&world, 1, 4096);
    assert_int_equal(wal_world_create(&world), ERR_OK);
    wal_world_fill(&world, 1, 20, 1, 100); /* two segments */
    assert_int_equal(segments_of(&world), 2);
    wal_world_fill(&world, 5, 6, 2, 100); /* in the second */
    assert_int_equal(wal_trim(world.wal, 6), ERR_OK);
    assert_int_equal(segments_of(&world), 2); /* the first has 7 to 18, too */
    wal_world_fill(&world, 7, 30, 2, 100);
    assert_int_equal(wal_trim(world.wal, 18), ERR_OK);
    assert_int_equal(first_of(&world), 5);
    world.skip_to = 18;
    wal_world_reopen(&world);
    assert_int_equal(first_of(&world), 5);
    assert_int_equal(wal_copy_last(&world.found), 30);
    wal_world_deinit(&world);
}

static void replaced_entries_count_as_long_as_they_are_there(void **state)
{
    (void)state;
    struct wal_world world;
    wal_world_init(&world, 1, 4096);
    assert_int_equal(wal_world_create(&world), ERR_OK);
    wal_world_fill(&world, 1, 17, 1, 100);
    wal_world_fill(&world, 5, 5, 2, 100); /* the last that fits */
    wal_world_fill(&world, 6, 6, 2, 100);
    assert_int_equal(segments_of(&world), 2);
    assert_int_equal(wal_trim(world.wal, 16), ERR_OK);
    assert_int_equal(segments_of(&world), 2);
    assert_int_equal(wal_trim(world.wal, 17), ERR_OK);
    assert_int_equal(segments_of(&world), 1);
    wal_world_deinit(&world);
}

static void a_failed_write_or_sync_is_final(void **state)
{
    (void)state;
    for (uint64_t call = 1; call <= 2; call++) {
        struct wal_world world;
        wal_world_init(&world, call, 4096);
        assert_int_equal(wal_world_create(&world), ERR_OK);
        wal_world_fill(&world, 1, 3, 1, 100);
        disk_memory_fail_call(world.memory, call, ERR_IO);
        enum err err = wal_world_append(&world, 4, 1, 1, 100);
        if (err == ERR_OK)
            err = wal_sync(world.wal);
        assert_int_equal(err, ERR_IO);
        assert_non_null(strstr(err_note(), "made to fail"));

        uint64_t calls = disk_memory_calls(world.memory);
        struct raft_hard_state hard_state = {.term = 1};
        for (int i = 0; i < 2; i++) {
            assert_int_equal(wal_sync(world.wal), ERR_IO);
            assert_int_equal(wal_reserve(world.wal, 1), ERR_IO);
            assert_int_equal(wal_trim(world.wal, 1), ERR_IO);
            assert_int_equal(wal_append(world.wal, &hard_state, NULL, 0),
                             ERR_IO);
            assert_int_equal(wal_append(world.wal, NULL, NULL, 0), ERR_IO);
            assert_int_equal(wal_world_append(&world, 4, 1, 1, 100), ERR_IO);
            assert_non_null(strstr(err_note(), "made to fail"));
        }
        assert_int_equal(disk_memory_calls(world.memory), calls);
        wal_world_crash(&world);
        wal_world_reopen(&world);
        assert_true(world.found.count == 3 || world.found.count == 4);
        wal_world_deinit(&world);
    }
}

/* A disk that is full in the middle of a frame, in spite of the allocation,
 * is broken all the same. */
static void a_full_disk_under_a_frame_is_final(void **state)
{
    (void)state;
    struct wal_world world;
    wal_world_init(&world, 1, 4096);
    assert_int_equal(wal_world_create(&world), ERR_OK);
    disk_memory_fail_call(world.memory, 1, ERR_DISK_FULL);
    assert_int_equal(wal_world_append(&world, 1, 1, 1, 100), ERR_IO);
    assert_int_equal(wal_reserve(world.wal, 192), ERR_IO);
    wal_world_deinit(&world);
}

/* The name of a new segment isn't durable yet when the process ends; the next
 * one finds it there, writes into it, and then the power goes. */
static void a_new_process_makes_the_names_durable(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct wal_world world;
        wal_world_init(&world, seed, 4096);
        assert_int_equal(wal_world_create(&world), ERR_OK);
        wal_world_fill(&world, 1, 3, 1, 100);
        disk_memory_fail_call(world.memory, seed % 7 + 1, ERR_IO);
        enum err err = wal_reserve(world.wal, 5000);
        assert_int_equal(err, seed % 7 < 6 ? ERR_IO : ERR_OK);
        disk_memory_fail_call(world.memory, 0, ERR_OK);
        wal_world_reopen(&world);
        wal_world_fill(&world, 4, 6, 1, 100);
        wal_world_crash(&world);
        wal_world_reopen(&world);
        assert_int_equal(wal_copy_last(&world.found), 6);
        wal_world_deinit(&world);
    }
}

static void a_removal_that_fails_is_tried_again(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct wal_world world;
        wal_world_init(&world, seed, 4096);
        assert_int_equal(wal_world_create(&world), ERR_OK);
        wal_world_fill(&world, 1, 50, 1, 100);
        disk_memory_fail_call(world.memory, 1, ERR_IO);
        assert_int_equal(wal_trim(world.wal, 40), ERR_IO);
        wal_world_fill(&world, 51, 51, 1, 100);
        assert_int_equal(wal_trim(world.wal, 40), ERR_OK);
        assert_int_equal(first_of(&world), 37);
        wal_world_crash(&world);
        wal_world_reopen(&world);
        assert_int_equal(wal_copy_last(&world.found), 51);
        wal_world_deinit(&world);
    }
}

static void a_crash_while_trimming_leaves_no_gap(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct wal_world world;
        wal_world_init(&world, seed, 4096);
        assert_int_equal(wal_world_create(&world), ERR_OK);
        wal_world_fill(&world, 1, 100, 1, 100);
        /* Five segments go, each by a removal and a sync. */
        disk_memory_fail_call(world.memory, seed % 11 + 1, ERR_IO);
        enum err err = wal_trim(world.wal, 90);
        assert_int_equal(err, seed % 11 < 10 ? ERR_IO : ERR_OK);
        disk_memory_fail_call(world.memory, 0, ERR_OK);
        wal_world_crash(&world);
        wal_world_reopen(&world);
        assert_int_equal(wal_copy_last(&world.found), 100);
        wal_world_deinit(&world);
    }
}

static void a_half_made_next_segment_is_cleaned_up(void **state)
{
    (void)state;
    struct wal_world world;
    wal_world_init(&world, 1, 4096);
    disk_memory_put(world.memory, NEXT, SLICE("half a header"));
    bool exists = true;
    assert_int_equal(wal_exists(world.config.disk, &exists), ERR_OK);
    assert_false(exists); /* a crash while the first was made */
    assert_int_equal(wal_world_create(&world), ERR_OK);
    assert_false(has_next(&world));
    wal_world_close(&world);

    disk_memory_put(world.memory, NEXT, SLICE("half a header"));
    wal_world_reopen(&world);
    assert_false(has_next(&world));
    wal_world_fill(&world, 1, 100, 1, 100);
    wal_world_deinit(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_tell_number_and_first_index),
        cmocka_unit_test(a_full_segment_is_followed_by_another),
        cmocka_unit_test(
            segments_of_any_order_in_the_directory_are_read_in_order),
        cmocka_unit_test(other_files_are_left_alone),
        cmocka_unit_test(the_next_segment_is_made_ahead),
        cmocka_unit_test(reserved_room_needs_no_more_from_the_file_system),
        cmocka_unit_test(a_full_disk_is_an_answer_and_not_a_broken_log),
        cmocka_unit_test(
            a_large_frame_on_a_full_disk_costs_the_small_ones_nothing),
        cmocka_unit_test(trimming_removes_whole_segments_only),
        cmocka_unit_test(the_newest_segment_always_stays),
        cmocka_unit_test(the_hard_state_outlives_trimming),
        cmocka_unit_test(replaced_entries_keep_their_segment),
        cmocka_unit_test(replaced_entries_count_as_long_as_they_are_there),
        cmocka_unit_test(a_failed_write_or_sync_is_final),
        cmocka_unit_test(a_full_disk_under_a_frame_is_final),
        cmocka_unit_test(a_new_process_makes_the_names_durable),
        cmocka_unit_test(a_removal_that_fails_is_tried_again),
        cmocka_unit_test(a_crash_while_trimming_leaves_no_gap),
        cmocka_unit_test(a_half_made_next_segment_is_cleaned_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
