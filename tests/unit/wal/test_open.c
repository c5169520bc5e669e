/* Reading a log in pieces: frames larger than a piece, damage on the edges of
 * pieces, files that change under the reader; and what a caller must not do.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/prng.h"
#include "support/wal_world.h"
#include "wal/wal_int.h"

#define FIRST "0000000000000001-0000000000000001.wal"

enum {
    PIECE = 256 * 1024, /* read at once */
    BLOCK = 4096,       /* looked through at once */
};

/* Frames of all sizes around that of a piece, so that they begin and end
 * everywhere about its edges. */
static void frames_of_every_size_about_a_piece(void **state)
{
    (void)state;
    for (size_t more = 0; more < 200; more += 13) {
        struct wal_world world;
        wal_world_init(&world, 1, 4 * 1024 * 1024);
        assert_int_equal(wal_world_create(&world), ERR_OK);
        size_t sizes[] = {PIECE - 700 + more, 100, more, PIECE + more, 1,
                          2 * PIECE - more,   0,   PIECE};
        enum { COUNT = sizeof sizes / sizeof *sizes };
        for (raft_index i = 0; i < COUNT; i++)
            wal_world_fill(&world, i + 1, i + 1, 1, sizes[i]);
        wal_world_reopen(&world);
        assert_int_equal(wal_copy_last(&world.found), COUNT);
        for (raft_index i = 0; i < COUNT; i++) {
            const struct raft_entry *entry = wal_copy_at(&world.found, i + 1);
            assert_int_equal(entry->data ? entry->data->size : 0, sizes[i]);
            assert_true(wal_world_entry_good(entry));
        }
        wal_world_deinit(&world);
    }
}

/* The damaged frame is followed by a whole one, `far` bytes behind: it must
 * be found, wherever the blocks and pieces begin. */
static void assert_later_frame_is_found(size_t far)
{
    struct wal_world world;
    wal_world_init(&world, 1, 1024 * 1024);
    assert_int_equal(wal_world_create(&world), ERR_OK);
    wal_world_fill(&world, 1, 1, 1, 100);
    uint64_t from = world.wal->end;
    wal_world_fill(&world, 2, 2, 1, far - 64 - 24);
    assert_int_equal(world.wal->end, from + far);
    wal_world_fill(&world, 3, 3, 1, 10);
    struct buf file = {0};
    buf_append_slice(&file, disk_memory_bytes(world.memory, FIRST));
    wal_world_close(&world);

    char offset[64];
    snprintf(offset, sizeof offset, "offset %llu:", (unsigned long long)from);
    /* Once with what was in the frame left, once as a hole. */
    file.at[from] = 0;
    for (int hole = 0; hole <= 1; hole++) {
        if (hole)
            memset(file.at + from, 0, far);
        disk_memory_put(world.memory, FIRST, buf_slice(&file));
        assert_int_equal(wal_world_open(&world), ERR_CORRUPT);
        assert_non_null(strstr(err_note(), offset));
        assert_non_null(strstr(err_note(), "yet frame 3"));
    }
    buf_deinit(&file);
    wal_world_deinit(&world);
}

static void a_frame_behind_a_hole_is_found_anywhere(void **state)
{
    (void)state;
    /* The first frame ends at 704. */
    for (size_t edge = BLOCK; edge <= PIECE; edge *= 8) {
        for (size_t i = 0; i <= 144; i += 8) {
            assert_later_frame_is_found(edge - 80 + i);
            assert_later_frame_is_found(edge - 704 - 80 + i);
        }
    }
    assert_later_frame_is_found(700 * 1024);
}

/* A tail that is full of what looks like the beginning of a frame. */
static void a_tail_of_false_beginnings_is_cut(void **state)
{
    (void)state;
    enum { SIZE = 1024 * 1024 };
    struct wal_world world;
    wal_world_init(&world, 1, SIZE);
    assert_int_equal(wal_world_create(&world), ERR_OK);
    wal_world_fill(&world, 1, 3, 1, 100);
    uint64_t end = world.wal->end;
    struct buf file = {0};
    buf_append_slice(&file, disk_memory_bytes(world.memory, FIRST));
    wal_world_close(&world);
    for (uint64_t at = end; at + 8 <= SIZE; at += 8)
        memcpy(file.at + at, "EWF1EWF1", 8);
    disk_memory_put(world.memory, FIRST, buf_slice(&file));
    wal_world_reopen(&world);
    assert_int_equal(wal_copy_last(&world.found), 3);
    assert_int_equal(world.opened.torn_offset, end);
    assert_int_equal(world.opened.torn_bytes, SIZE - end);
    buf_deinit(&file);
    wal_world_deinit(&world);
}

/* A file whose size is no multiple of anything. */
static void a_file_of_any_size_is_opened(void **state)
{
    (void)state;
    struct wal_world world;
    wal_world_init(&world, 1, 4096);
    assert_int_equal(wal_world_create(&world), ERR_OK);
    wal_world_fill(&world, 1, 3, 1, 100);
    uint64_t end = world.wal->end;
    struct buf file = {0};
    buf_append_slice(&file, disk_memory_bytes(world.memory, FIRST));
    wal_world_close(&world);
    for (uint64_t more = 0; more < 80; more++) {
        disk_memory_put(world.memory, FIRST, slice_of(file.at, end + more));
        disk_memory_limit(world.memory, 1); /* it can't be made larger */
        wal_world_reopen(&world);
        assert_false(world.opened.torn);
        assert_int_equal(wal_copy_last(&world.found), 3);
        assert_int_equal(world.wal->room, (end + more) & ~UINT64_C(7));
        disk_memory_limit(world.memory, 0);
        wal_world_fill(&world, 4, 5, 1, 100); /* elsewhere */
        wal_world_reopen(&world);
        assert_int_equal(wal_copy_last(&world.found), 5);
        struct disk *disk = world.config.disk;
        wal_world_close(&world);
        assert_int_equal(
            disk->ops->remove(disk, "0000000000000002-0000000000000004.wal"),
            ERR_OK);
    }
    buf_deinit(&file);
    wal_world_deinit(&world);
}

static const struct disk_ops *real_ops;

static enum err size_too_large(struct disk *disk, struct disk_file *file,
                               uint64_t *out)
{
    enum err err = real_ops->size(disk, file, out);
    *out += 4096;
    return err;
}

/* The file is shorter when it is read than it was when it was measured. */
static void a_file_that_shrinks_is_an_error(void **state)
{
    (void)state;
    struct wal_world world;
    wal_world_init(&world, 1, 4096);
    assert_int_equal(wal_world_create(&world), ERR_OK);
    wal_world_fill(&world, 1, 3, 1, 100);
    wal_world_close(&world);
    struct disk *disk = world.config.disk;
    struct disk_ops ops = *disk->ops;
    real_ops = disk->ops;
    ops.size = size_too_large;
    disk->ops = &ops;
    assert_int_equal(wal_world_open(&world), ERR_IO);
    assert_non_null(strstr(err_note(), "short read"));
    disk->ops = real_ops;
    wal_world_reopen(&world);
    wal_world_deinit(&world);
}

static void what_was_counted_is_told(void **state)
{
    (void)state;
    struct wal_world world;
    struct wal_stats stats;
    wal_world_init(&world, 1, 4096);
    assert_int_equal(wal_world_create(&world), ERR_OK);
    wal_stats(world.wal, &stats);
    assert_int_equal(stats.syncs, 1);
    assert_int_equal(stats.bytes_written, WAL__HEADER_BYTES);
    wal_world_fill(&world, 1, 20, 1, 100);
    wal_stats(world.wal, &stats);
    assert_int_equal(stats.frames, 20);
    assert_int_equal(stats.syncs, 22);
    assert_int_equal(stats.bytes_written, 2 * WAL__HEADER_BYTES + 20 * 192);
    assert_int_equal(stats.segments, 2);
    assert_int_equal(stats.first_index, 1);
    wal_world_reopen(&world);
    wal_stats(world.wal, &stats);
    assert_int_equal(stats.frames, 0); /* of this process */
    assert_int_equal(stats.segments, 2);
    assert_int_equal(stats.first_index, 1);
    wal_world_deinit(&world);
}

/* ---- bugs of the caller stop the program -------------------------------- */

enum misuse {
    RIGHT,
    A_GAP,
    INDEX_ZERO,
    ENTRIES_NOT_IN_ORDER,
    A_TERM_THAT_FALLS,
    A_STATE_THAT_FALLS,
    AN_UNKNOWN_TYPE,
    MISUSE_COUNT
};

static void do_it(struct wal_world *world, enum misuse misuse)
{
    struct raft_hard_state hard_state = {.term = 5};
    struct raft_entry entries[2] = {
        {.index = 4, .term = 5},
        {.index = 5, .term = 5},
    };
    const struct raft_entry *pointers[] = {&entries[0], &entries[1]};
    if (misuse == A_GAP)
        entries[0].index++, entries[1].index++;
    if (misuse == INDEX_ZERO)
        entries[0].index = 0, entries[1].index = 1;
    if (misuse == ENTRIES_NOT_IN_ORDER)
        entries[1].index = 6;
    if (misuse == A_TERM_THAT_FALLS)
        entries[0].term = 4;
    if (misuse == A_STATE_THAT_FALLS)
        hard_state.term = 4;
    if (misuse == AN_UNKNOWN_TYPE)
        entries[1].type = (enum raft_entry_type)3;
    enum err err = wal_append(world->wal, &hard_state, pointers, 2);
    (void)err;
}

static bool aborts(struct wal_world *world, enum misuse misuse)
{
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (freopen("/dev/null", "w", stderr) == NULL)
            _exit(2);
        signal(SIGABRT, SIG_DFL); /* cmocka's would print and go on */
        do_it(world, misuse);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void what_can_not_be_a_log_is_a_bug(void **state)
{
    (void)state;
    struct wal_world world;
    struct raft_hard_state hard_state = {.term = 5};
    wal_world_init(&world, 1, 4096);
    assert_int_equal(wal_world_create(&world), ERR_OK);
    assert_int_equal(wal_append(world.wal, &hard_state, NULL, 0), ERR_OK);
    wal_world_fill(&world, 1, 3, 5, 100);
    for (int misuse = RIGHT; misuse < MISUSE_COUNT; misuse++)
        assert_int_equal(aborts(&world, (enum misuse)misuse), misuse != RIGHT);
    wal_world_deinit(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_of_every_size_about_a_piece),
        cmocka_unit_test(a_frame_behind_a_hole_is_found_anywhere),
        cmocka_unit_test(a_tail_of_false_beginnings_is_cut),
        cmocka_unit_test(a_file_of_any_size_is_opened),
        cmocka_unit_test(a_file_that_shrinks_is_an_error),
        cmocka_unit_test(what_was_counted_is_told),
        cmocka_unit_test(what_can_not_be_a_log_is_a_bug),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
