/* A torn tail: what was being written when the power went. It was never
 * acknowledged, so it is cut, with a notice; all before it is there. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/prng.h"
#include "support/wal_world.h"
#include "wal/wal_int.h"

#define FIRST "0000000000000001-0000000000000001.wal"

enum {
    SEGMENT = 2048,
    WHOLE = 5, /* entries before the last frame */
    SIZE = 100,
    FRAME = 64 + 3 * (24 + SIZE) + 4, /* of three entries: 440 */
};

struct story {
    struct wal_world world;
    struct buf file;   /* as it was when the power went */
    uint64_t from, to; /* of the last frame */
};

static struct buf copy_of(const struct wal_world *world)
{
    struct buf copy = {0};
    buf_append_slice(&copy, disk_memory_bytes(world->memory, FIRST));
    return copy;
}

static void story_begin(struct story *story, uint64_t seed)
{
    struct wal_world *world = &story->world;
    struct wal_stats stats;
    wal_world_init(world, seed, SEGMENT);
    assert_int_equal(wal_world_create(world), ERR_OK);
    wal_world_fill(world, 1, WHOLE, 1, SIZE);
    wal_stats(world->wal, &stats);
    story->from = stats.bytes_written;
    assert_int_equal(wal_world_append(world, WHOLE + 1, 3, 1, SIZE), ERR_OK);
    assert_int_equal(wal_sync(world->wal), ERR_OK);
    story->to = story->from + FRAME;
    story->file = copy_of(world);
    wal_world_close(world);
    assert_int_equal(story->file.size, SEGMENT + SEGMENT / 8);
}

static void story_end(struct story *story)
{
    buf_deinit(&story->file);
    wal_world_deinit(&story->world);
}

static void assert_prefix(const struct wal_world *world, raft_index last)
{
    assert_int_equal(wal_copy_last(&world->found), last);
    for (raft_index index = 1; index <= last; index++)
        assert_true(wal_world_entry_good(wal_copy_at(&world->found, index)));
}

/* Opens `file` in place of what is there: the frames before the last are
 * found, the rest is cut, and the log goes on. */
static void assert_cut(struct story *story, struct slice file, bool torn)
{
    struct wal_world *world = &story->world;
    disk_memory_put(world->memory, FIRST, file);
    assert_int_equal(wal_world_open(world), ERR_OK);
    assert_prefix(world, WHOLE);
    assert_int_equal(world->opened.torn, torn);
    if (torn) {
        assert_string_equal(world->opened.torn_file, FIRST);
        assert_int_equal(world->opened.torn_offset, story->from);
        assert_true(world->opened.torn_bytes > 0);
        assert_true(story->from + world->opened.torn_bytes <= file.size);
    }
    /* What comes now takes the place of what is cut. */
    wal_world_fill(world, WHOLE + 1, WHOLE + 1, 2, 10);
    wal_world_crash(world);
    assert_int_equal(wal_world_open(world), ERR_OK);
    assert_false(world->opened.torn);
    assert_prefix(world, WHOLE + 1);
    assert_int_equal(wal_copy_at(&world->found, WHOLE + 1)->term, 2);
    wal_world_close(world);
}

static void the_whole_file_is_found_whole(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, 1);
    disk_memory_put(story.world.memory, FIRST, buf_slice(&story.file));
    wal_world_reopen(&story.world);
    assert_prefix(&story.world, WHOLE + 3);
    assert_false(story.world.opened.torn);
    story_end(&story);
}

static void cut_off_at_every_byte(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, 1);
    for (uint64_t at = story.from; at < story.to; at++)
        assert_cut(&story, slice_of(story.file.at, at), at > story.from);
    story_end(&story);
}

static void zero_from_every_byte_on(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, 1);
    /* The last 4 bytes are padding. */
    for (uint64_t at = story.to - 5; at >= story.from; at--) {
        memset(story.file.at + at, 0, story.to - at);
        assert_cut(&story, buf_slice(&story.file), at > story.from);
    }
    story_end(&story);
}

static void zero_up_to_every_byte(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, 1);
    for (uint64_t at = story.from + 1; at <= story.to; at++) {
        memset(story.file.at + story.from, 0, at - story.from);
        assert_cut(&story, buf_slice(&story.file), at < story.to - 4);
    }
    story_end(&story);
}

static void garbage_from_every_byte_on(void **state)
{
    (void)state;
    struct story story;
    struct prng prng;
    prng_init(&prng, 7);
    story_begin(&story, 1);
    for (uint64_t at = story.to - 1; at >= story.from; at--) {
        for (uint64_t i = at; i < story.to; i++)
            story.file.at[i] = (char)prng_below(&prng, 256);
        assert_cut(&story, buf_slice(&story.file), true);
    }
    story_end(&story);
}

static void every_single_bit_of_the_last_frame(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, 1);
    for (uint64_t at = story.from; at < story.to; at++) {
        char *byte = story.file.at + at;
        char mask = (char)(1 << at % 8);
        *byte = (char)(*byte ^ mask);
        assert_cut(&story, buf_slice(&story.file), true);
        *byte = (char)(*byte ^ mask);
    }
    story_end(&story);
}

static void garbage_to_the_end_of_the_file(void **state)
{
    (void)state;
    struct story story;
    struct prng prng;
    for (uint64_t seed = 0; seed < 20; seed++) {
        prng_init(&prng, seed);
        story_begin(&story, seed);
        for (uint64_t i = story.from; i < story.file.size; i++)
            story.file.at[i] = (char)prng_below(&prng, 256);
        assert_cut(&story, buf_slice(&story.file), true);
        story_end(&story);
    }
}

/* A tail longer than what is read at once, with a last byte far behind. */
static void a_long_tail_is_cut_to_its_last_byte(void **state)
{
    (void)state;
    enum { LONG = 1200 * 1024 };
    struct wal_world world;
    wal_world_init(&world, 1, LONG);
    assert_int_equal(wal_world_create(&world), ERR_OK);
    wal_world_fill(&world, 1, 3, 1, SIZE);
    struct buf file = copy_of(&world);
    wal_world_close(&world);
    assert_int_equal(file.size, LONG + LONG / 8);
    file.at[700 * 1024] = 1;
    file.at[LONG - 7] = 1;
    disk_memory_put(world.memory, FIRST, buf_slice(&file));
    wal_world_reopen(&world);
    assert_prefix(&world, 3);
    assert_true(world.opened.torn);
    assert_int_equal(world.opened.torn_offset + world.opened.torn_bytes,
                     LONG - 6);
    wal_world_kill(&world);
    struct slice now = disk_memory_bytes(world.memory, FIRST);
    assert_int_equal(now.size, LONG + LONG / 8);
    assert_true(wal__all_zero(now.at + world.opened.torn_offset,
                              LONG - world.opened.torn_offset));
    buf_deinit(&file);
    wal_world_deinit(&world);
}

/* The cut itself may be cut short; it is then done again. */
static void a_crash_while_cutting_is_no_harm(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct story story;
        struct wal_world *world = &story.world;
        story_begin(&story, seed);
        story.file.at[story.from + 70]++;
        disk_memory_put(world->memory, FIRST, buf_slice(&story.file));
        disk_memory_fail_call(world->memory, seed % 12 + 1, ERR_IO);
        enum err err = wal_world_open(world);
        assert_true(err == ERR_OK || err == ERR_IO);
        disk_memory_fail_call(world->memory, 0, ERR_OK);
        wal_world_crash(world);
        wal_world_reopen(world);
        assert_prefix(world, WHOLE);
        story_end(&story);
    }
}

/* One frame with a value in which there is a frame, made for `offset`; then
 * its own header is torn. Returns what wal_open says. */
static enum err open_torn_around_a_frame(struct wal_world *world,
                                         uint64_t offset)
{
    char inside[512];
    struct raft_entry later = wal_world_entry(20, 1, SIZE);
    const struct raft_entry *laters[] = {&later};
    struct wal__frame frame = {.sequence = 50,
                               .first_index = 20,
                               .entry_count = 1,
                               .bytes = (uint32_t)wal_frame_bytes(&later, 1)};
    wal__frame_encode(&frame, world->wal->seed, offset, laters, inside);
    struct refbuf *value = refbuf_dup(inside, frame.bytes);
    struct raft_entry entry = {.index = WHOLE + 1, .term = 1, .data = value};
    const struct raft_entry *entries[] = {&entry};
    uint64_t from = world->wal->end;
    assert_int_equal(wal_append(world->wal, NULL, entries, 1), ERR_OK);
    assert_int_equal(wal_sync(world->wal), ERR_OK);
    refbuf_unref(value);
    refbuf_unref(later.data);
    wal_world_close(world);
    disk_memory_flip(world->memory, FIRST, from, 1);
    return wal_world_open(world);
}

/* A value may hold the bytes of a log, frames and all; when it is torn they
 * are not taken for frames, since they were made for another place. */
static void a_frame_inside_a_torn_value_is_not_a_frame(void **state)
{
    (void)state;
    for (int at_its_place = 0; at_its_place <= 1; at_its_place++) {
        struct wal_world world;
        wal_world_init(&world, 1, 4096);
        assert_int_equal(wal_world_create(&world), ERR_OK);
        wal_world_fill(&world, 1, WHOLE, 1, SIZE);
        uint64_t from = world.wal->end;
        uint64_t place = from + WAL__FRAME_BYTES_MIN + WAL__ENTRY_BYTES_MIN;
        if (at_its_place) { /* this test would see one */
            assert_int_equal(open_torn_around_a_frame(&world, place),
                             ERR_CORRUPT);
        } else {
            assert_int_equal(open_torn_around_a_frame(&world, 1024), ERR_OK);
            assert_true(world.opened.torn);
            assert_int_equal(world.opened.torn_offset, from);
            assert_prefix(&world, WHOLE);
        }
        wal_world_deinit(&world);
    }
}

/* A whole frame, durable but never acknowledged, is as good as any. */
static void a_frame_that_was_not_acknowledged_may_be_there(void **state)
{
    (void)state;
    int whole = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct wal_world world;
        wal_world_init(&world, seed, SEGMENT);
        assert_int_equal(wal_world_create(&world), ERR_OK);
        wal_world_fill(&world, 1, 2, 1, SIZE);
        assert_int_equal(wal_world_append(&world, 3, 3, 1, SIZE), ERR_OK);
        wal_world_crash(&world);
        wal_world_reopen(&world);
        assert_true(world.found.count == 2 || world.found.count == 5);
        assert_prefix(&world, world.found.count);
        whole += world.found.count == 5;
        wal_world_deinit(&world);
    }
    assert_true(whole > 20 && whole < 180);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_whole_file_is_found_whole),
        cmocka_unit_test(cut_off_at_every_byte),
        cmocka_unit_test(zero_from_every_byte_on),
        cmocka_unit_test(zero_up_to_every_byte),
        cmocka_unit_test(garbage_from_every_byte_on),
        cmocka_unit_test(every_single_bit_of_the_last_frame),
        cmocka_unit_test(garbage_to_the_end_of_the_file),
        cmocka_unit_test(a_long_tail_is_cut_to_its_last_byte),
        cmocka_unit_test(a_crash_while_cutting_is_no_harm),
        cmocka_unit_test(a_frame_inside_a_torn_value_is_not_a_frame),
        cmocka_unit_test(a_frame_that_was_not_acknowledged_may_be_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
