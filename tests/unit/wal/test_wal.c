/* A log from day to day: made, written, closed, read again. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "support/wal_world.h"

static void assert_note_has(const char *text)
{
    if (strstr(err_note(), text) == NULL)
        fail_msg("\"%s\" is not in the note \"%s\"", text, err_note());
}

static void assert_found(const struct wal_world *world, raft_index first,
                         raft_index last, raft_term term)
{
    assert_int_equal(world->found.count, last - first + 1);
    for (raft_index index = first; index <= last; index++) {
        const struct raft_entry *entry = wal_copy_at(&world->found, index);
        assert_non_null(entry);
        assert_int_equal(entry->index, index);
        assert_int_equal(entry->term, term);
        assert_true(wal_world_entry_good(entry));
    }
}

static void a_new_log_is_empty_and_there(void **state)
{
    (void)state;
    struct wal_world world;
    struct wal_stats stats;
    bool exists = true;
    wal_world_init(&world, 1, 4096);
    assert_int_equal(wal_exists(world.config.disk, &exists), ERR_OK);
    assert_false(exists);
    assert_int_equal(wal_world_open(&world), ERR_NOT_FOUND);

    assert_int_equal(wal_world_create(&world), ERR_OK);
    assert_int_equal(wal_exists(world.config.disk, &exists), ERR_OK);
    assert_true(exists);
    wal_stats(world.wal, &stats);
    assert_int_equal(stats.segments, 1);
    assert_int_equal(stats.frames, 0);
    assert_int_equal(stats.first_index, 0);
    assert_string_equal(disk_memory_name(world.memory, 0),
                        "0000000000000001-0000000000000001.wal");
    assert_null(disk_memory_name(world.memory, 1));

    wal_world_reopen(&world);
    assert_int_equal(world.found.count, 0);
    assert_int_equal(world.found_states, 0);
    assert_int_equal(world.opened.segment_count, 1);
    assert_int_equal(world.opened.entry_count, 0);
    assert_false(world.opened.torn);
    wal_world_deinit(&world);
}

static void a_new_log_outlives_a_crash_at_once(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct wal_world world;
        wal_world_init(&world, seed, 4096);
        assert_int_equal(wal_world_create(&world), ERR_OK);
        wal_world_crash(&world);
        assert_int_equal(wal_world_open(&world), ERR_OK);
        wal_world_deinit(&world);
    }
}

static void there_is_only_one_log_in_a_directory(void **state)
{
    (void)state;
    struct wal_world world;
    wal_world_init(&world, 1, 4096);
    assert_int_equal(wal_world_create(&world), ERR_OK);
    wal_world_close(&world);
    assert_int_equal(wal_world_create(&world), ERR_EXISTS);
    assert_null(world.wal);
    wal_world_deinit(&world);
}

static void what_is_appended_is_read_again(void **state)
{
    (void)state;
    struct wal_world world;
    wal_world_init(&world, 1, 64 * 1024);
    assert_int_equal(wal_world_create(&world), ERR_OK);
    wal_world_fill(&world, 1, 20, 3, 33);
    wal_world_reopen(&world);
    assert_found(&world, 1, 20, 3);
    assert_int_equal(world.opened.entry_count, 20);

    /* And it goes on from there. */
    wal_world_fill(&world, 21, 40, 3, 200);
    wal_world_reopen(&world);
    assert_int_equal(world.found.count, 40);
    assert_int_equal(wal_copy_at(&world.found, 20)->data->size, 33);
    assert_int_equal(wal_copy_at(&world.found, 21)->data->size, 200);
    wal_world_deinit(&world);
}

static void entries_of_every_type_and_size_come_back(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 7, 8, 9, 63, 64, 65, 4095, 4097};
    enum { COUNT = sizeof sizes / sizeof *sizes };
    struct raft_entry entries[COUNT];
    const struct raft_entry *pointers[COUNT];
    struct wal_world world;
    wal_world_init(&world, 1, 64 * 1024);
    assert_int_equal(wal_world_create(&world), ERR_OK);
    for (size_t i = 0; i < COUNT; i++) {
        entries[i] = wal_world_entry(i + 1, 1, sizes[i]);
        entries[i].type = (enum raft_entry_type)(i % 3);
        entries[i].time_ns = i % 2 ? INT64_MAX : -(int64_t)i;
        pointers[i] = &entries[i];
    }
    assert_int_equal(wal_append(world.wal, NULL, pointers, COUNT), ERR_OK);
    assert_int_equal(wal_sync(world.wal), ERR_OK);
    wal_world_reopen(&world);
    assert_int_equal(world.found.count, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        const struct raft_entry *found = wal_copy_at(&world.found, i + 1);
        assert_int_equal(found->type, entries[i].type);
        assert_int_equal(found->time_ns, entries[i].time_ns);
        if (sizes[i] == 0) {
            assert_null(found->data);
        } else {
            assert_int_equal(found->data->size, sizes[i]);
            assert_memory_equal(found->data->bytes, entries[i].data->bytes,
                                sizes[i]);
        }
        refbuf_unref(entries[i].data);
    }
    wal_world_deinit(&world);
}

static void the_hard_state_comes_back(void **state)
{
    (void)state;
    struct wal_world world;
    struct raft_hard_state first = {.term = 4, .vote = 7, .commit = 0};
    struct raft_hard_state second = {.term = 5, .vote = 0, .commit = 2};
    wal_world_init(&world, 1, 4096);
    assert_int_equal(wal_world_create(&world), ERR_OK);
    assert_int_equal(wal_append(world.wal, &first, NULL, 0), ERR_OK);
    assert_int_equal(wal_sync(world.wal), ERR_OK);
    wal_world_fill(&world, 1, 3, 4, 10); /* these carry it on */
    assert_int_equal(wal_append(world.wal, &second, NULL, 0), ERR_OK);
    assert_int_equal(wal_sync(world.wal), ERR_OK);
    wal_world_reopen(&world);
    assert_int_equal(world.found.state.term, 5);
    assert_int_equal(world.found.state.vote, 0);
    assert_int_equal(world.found.state.commit, 2);
    assert_int_equal(world.found_states, 2); /* each change, once */
    assert_found(&world, 1, 3, 4);
    wal_world_deinit(&world);
}

static void nothing_to_append_is_no_frame(void **state)
{
    (void)state;
    struct wal_world world;
    struct wal_stats stats;
    wal_world_init(&world, 1, 4096);
    assert_int_equal(wal_world_create(&world), ERR_OK);
    disk_memory_fail_call(world.memory, 0, ERR_OK);
    assert_int_equal(wal_append(world.wal, NULL, NULL, 0), ERR_OK);
    assert_int_equal(wal_sync(world.wal), ERR_OK);
    assert_int_equal(disk_memory_calls(world.memory), 0);
    wal_stats(world.wal, &stats);
    assert_int_equal(stats.frames, 0);
    wal_world_deinit(&world);
}

static void later_entries_replace_earlier_ones(void **state)
{
    (void)state;
    struct wal_world world;
    wal_world_init(&world, 1, 64 * 1024);
    assert_int_equal(wal_world_create(&world), ERR_OK);
    wal_world_fill(&world, 1, 10, 1, 20);
    assert_int_equal(wal_world_append(&world, 6, 2, 2, 30), ERR_OK);
    assert_int_equal(wal_sync(world.wal), ERR_OK);
    wal_world_fill(&world, 8, 8, 2, 40);
    wal_world_reopen(&world);
    assert_int_equal(wal_copy_last(&world.found), 8);
    assert_int_equal(wal_copy_at(&world.found, 5)->term, 1);
    for (raft_index index = 6; index <= 8; index++)
        assert_int_equal(wal_copy_at(&world.found, index)->term, 2);
    assert_int_equal(world.opened.entry_count, 13);
    /* It goes on after the replacement, not after what was there. */
    wal_world_fill(&world, 9, 9, 2, 1);
    wal_world_reopen(&world);
    assert_int_equal(wal_copy_last(&world.found), 9);
    wal_world_deinit(&world);
}

/* A leader of a later term may bring back an entry of an earlier one. */
static void a_replacement_may_have_a_lower_term(void **state)
{
    (void)state;
    struct wal_world world;
    wal_world_init(&world, 1, 64 * 1024);
    assert_int_equal(wal_world_create(&world), ERR_OK);
    wal_world_fill(&world, 1, 2, 1, 5);
    wal_world_fill(&world, 3, 4, 3, 5);
    wal_world_fill(&world, 3, 4, 2, 5);
    wal_world_reopen(&world);
    assert_int_equal(wal_copy_at(&world.found, 4)->term, 2);
    wal_world_deinit(&world);
}

static void entries_that_are_not_needed_are_not_reported(void **state)
{
    (void)state;
    struct wal_world world;
    wal_world_init(&world, 1, 64 * 1024);
    assert_int_equal(wal_world_create(&world), ERR_OK);
    wal_world_fill(&world, 1, 20, 1, 20);
    world.skip_to = 15;
    wal_world_reopen(&world);
    assert_found(&world, 16, 20, 1);
    assert_int_equal(world.found_entries, 5);
    world.skip_to = 20;
    wal_world_reopen(&world);
    assert_int_equal(world.found_entries, 0);
    wal_world_fill(&world, 21, 21, 1, 20);
    wal_world_deinit(&world);
}

/* A member that begins with a snapshot. */
static void the_first_entry_may_have_any_index(void **state)
{
    (void)state;
    struct wal_world world;
    struct wal_stats stats;
    wal_world_init(&world, 1, 4096);
    assert_int_equal(wal_world_create(&world), ERR_OK);
    wal_world_fill(&world, 1001, 1100, 9, 100);
    wal_stats(world.wal, &stats);
    assert_int_equal(stats.first_index, 1001);
    assert_true(stats.segments > 2);
    wal_world_reopen(&world);
    assert_found(&world, 1001, 1100, 9);
    wal_stats(world.wal, &stats);
    assert_int_equal(stats.first_index, 1001);
    wal_world_deinit(&world);
}

static void a_log_of_others_is_refused_and_left_alone(void **state)
{
    (void)state;
    struct wal_world world;
    wal_world_init(&world, 1, 4096);
    assert_int_equal(wal_world_create(&world), ERR_OK);
    wal_world_fill(&world, 1, 3, 1, 20);
    wal_world_close(&world);

    disk_memory_put(world.memory, "next.wal.tmp", SLICE("half"));
    world.config.cluster_id = 0xbad;
    assert_int_equal(wal_world_open(&world), ERR_WRONG_CLUSTER);
    assert_note_has("0000000000000001-0000000000000001.wal");
    assert_note_has("c1");
    assert_note_has("bad");
    assert_int_equal(disk_memory_bytes(world.memory, "next.wal.tmp").size, 4);
    world.config.cluster_id = 0xc1;
    world.config.member_id = 5;
    assert_int_equal(wal_world_open(&world), ERR_WRONG_CLUSTER);
    assert_note_has("member");
    world.config.member_id = 0x3e3;
    wal_world_reopen(&world);
    assert_found(&world, 1, 3, 1);
    wal_world_deinit(&world);
}

static void an_error_of_the_reader_stops_the_opening(void **state)
{
    (void)state;
    struct wal_world world;
    wal_world_init(&world, 1, 4096);
    assert_int_equal(wal_world_create(&world), ERR_OK);
    wal_world_fill(&world, 1, 9, 1, 20);
    wal_world_close(&world);
    world.fail_at = 5;
    assert_int_equal(wal_world_open(&world), ERR_FULL);
    assert_note_has("the reader has had enough");
    assert_found(&world, 1, 4, 1);
    world.fail_at = 0;
    wal_world_reopen(&world);
    assert_found(&world, 1, 9, 1);
    wal_world_deinit(&world);
}

static void one_commit_is_one_write_and_one_sync(void **state)
{
    (void)state;
    struct wal_world world;
    struct wal_stats before;
    struct wal_stats after;
    wal_world_init(&world, 1, 1024 * 1024);
    assert_int_equal(wal_world_create(&world), ERR_OK);
    wal_world_fill(&world, 1, 1, 1, 100); /* zeros ahead, and the buffer */
    wal_stats(world.wal, &before);
    disk_memory_fail_call(world.memory, 0, ERR_OK);
    mem_fail_after(1); /* no allocation of theirs, either */
    for (raft_index index = 2; index <= 101; index++) {
        assert_int_equal(wal_world_append(&world, index, 1, 1, 100), ERR_OK);
        assert_int_equal(wal_sync(world.wal), ERR_OK);
    }
    mem_fail_after(0);
    assert_int_equal(disk_memory_calls(world.memory), 200);
    assert_int_equal(disk_memory_syncs(world.memory), 100);
    wal_stats(world.wal, &after);
    assert_int_equal(after.frames - before.frames, 100);
    assert_int_equal(after.syncs - before.syncs, 100);
    struct raft_entry entry = wal_world_entry(1, 1, 100);
    assert_int_equal(after.bytes_written - before.bytes_written,
                     100 * wal_frame_bytes(&entry, 1));
    refbuf_unref(entry.data);
    wal_world_deinit(&world);
}

/* Else two torn frames could look like a durable one behind a lost one. */
static void a_frame_is_made_durable_before_the_next(void **state)
{
    (void)state;
    struct wal_world world;
    wal_world_init(&world, 1, 1024 * 1024);
    assert_int_equal(wal_world_create(&world), ERR_OK);
    disk_memory_fail_call(world.memory, 0, ERR_OK);
    assert_int_equal(wal_world_append(&world, 1, 1, 1, 100), ERR_OK);
    assert_int_equal(disk_memory_syncs(world.memory), 0);
    assert_int_equal(wal_world_append(&world, 2, 1, 1, 100), ERR_OK);
    assert_int_equal(disk_memory_syncs(world.memory), 1);
    assert_int_equal(wal_sync(world.wal), ERR_OK);
    assert_int_equal(wal_sync(world.wal), ERR_OK); /* nothing left */
    assert_int_equal(disk_memory_syncs(world.memory), 2);
    wal_world_deinit(&world);
}

static void without_syncs_nothing_is_synced(void **state)
{
    (void)state;
    struct wal_world world;
    wal_world_init(&world, 1, 4096);
    world.config.unsafe_no_sync = true;
    assert_int_equal(wal_world_create(&world), ERR_OK);
    wal_world_fill(&world, 1, 100, 1, 100);
    assert_int_equal(wal_trim(world.wal, 50), ERR_OK);
    wal_world_reopen(&world);
    assert_int_equal(wal_copy_last(&world.found), 100);
    assert_int_equal(disk_memory_syncs(world.memory), 0);
    wal_world_deinit(&world);
}

/* The process that wrote a frame died before its sync; the next one reads it,
 * acts on it, and then the power goes. */
static void what_was_read_is_durable(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct wal_world world;
        wal_world_init(&world, seed, 4096);
        assert_int_equal(wal_world_create(&world), ERR_OK);
        wal_world_fill(&world, 1, 3, 1, 50);
        assert_int_equal(wal_world_append(&world, 4, 1, 1, 50), ERR_OK);
        wal_world_close(&world); /* no sync */
        wal_world_reopen(&world);
        assert_found(&world, 1, 4, 1);
        wal_world_crash(&world);
        wal_world_reopen(&world);
        assert_found(&world, 1, 4, 1);
        wal_world_deinit(&world);
    }
}

/* And the slack. */
static void a_closed_log_takes_only_what_it_holds(void **state)
{
    (void)state;
    struct wal_world world;
    wal_world_init(&world, 1, 64 * 1024);
    assert_int_equal(wal_world_create(&world), ERR_OK);
    assert_int_equal(disk_memory_used(world.memory), 72 * 1024);
    wal_world_fill(&world, 1, 3, 1, 50);
    wal_world_close(&world);
    assert_true(disk_memory_used(world.memory) < 1024 + 8 * 1024);
    wal_world_reopen(&world);
    assert_found(&world, 1, 3, 1);
    assert_int_equal(disk_memory_used(world.memory), 72 * 1024);
    wal_world_deinit(&world);
}

static void a_large_frame_finds_room_and_gives_the_memory_back(void **state)
{
    (void)state;
    struct wal_world world;
    wal_world_init(&world, 1, 4096);
    assert_int_equal(wal_world_create(&world), ERR_OK);
    wal_world_fill(&world, 1, 1, 1, 10);
    wal_world_fill(&world, 2, 2, 1, 12 * 1024 * 1024);
    wal_world_fill(&world, 3, 3, 1, 10);
    wal_world_reopen(&world);
    assert_found(&world, 1, 3, 1);
    assert_int_equal(wal_copy_at(&world.found, 2)->data->size,
                     12 * 1024 * 1024);
    wal_world_deinit(&world);
}

static void a_frame_beyond_the_limit_is_refused(void **state)
{
    (void)state;
    struct wal_world world;
    wal_world_init(&world, 1, 4096);
    assert_int_equal(wal_world_create(&world), ERR_OK);
    assert_int_equal(wal_reserve(world.wal, UINT64_MAX), ERR_TOO_LARGE);
    /* Many entries of one large piece of data. */
    enum { COUNT = 9 };
    struct refbuf *data = refbuf_new(16 * 1024 * 1024);
    struct raft_entry entries[COUNT];
    const struct raft_entry *pointers[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        entries[i] =
            (struct raft_entry){.index = i + 1, .term = 1, .data = data};
        pointers[i] = &entries[i];
    }
    assert_int_equal(wal_append(world.wal, NULL, pointers, COUNT),
                     ERR_TOO_LARGE);
    refbuf_unref(data);
    wal_world_fill(&world, 1, 1, 1, 10); /* the log is as it was */
    wal_world_deinit(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_log_is_empty_and_there),
        cmocka_unit_test(a_new_log_outlives_a_crash_at_once),
        cmocka_unit_test(there_is_only_one_log_in_a_directory),
        cmocka_unit_test(what_is_appended_is_read_again),
        cmocka_unit_test(entries_of_every_type_and_size_come_back),
        cmocka_unit_test(the_hard_state_comes_back),
        cmocka_unit_test(nothing_to_append_is_no_frame),
        cmocka_unit_test(later_entries_replace_earlier_ones),
        cmocka_unit_test(a_replacement_may_have_a_lower_term),
        cmocka_unit_test(entries_that_are_not_needed_are_not_reported),
        cmocka_unit_test(the_first_entry_may_have_any_index),
        cmocka_unit_test(a_log_of_others_is_refused_and_left_alone),
        cmocka_unit_test(an_error_of_the_reader_stops_the_opening),
        cmocka_unit_test(one_commit_is_one_write_and_one_sync),
        cmocka_unit_test(a_frame_is_made_durable_before_the_next),
        cmocka_unit_test(without_syncs_nothing_is_synced),
        cmocka_unit_test(what_was_read_is_durable),
        cmocka_unit_test(a_closed_log_takes_only_what_it_holds),
        cmocka_unit_test(a_large_frame_finds_room_and_gives_the_memory_back),
        cmocka_unit_test(a_frame_beyond_the_limit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
