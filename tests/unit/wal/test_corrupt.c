/* Damage: what was durable and is so no more stops the member, with an error
 * that says which file, where, and what can be done; and no bytes, whatever
 * their checksums, do any harm. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/crc.h"
#include "base/mem.h"
#include "support/wal_world.h"
#include "wal/wal_int.h"

#define FIRST "0000000000000001-0000000000000001.wal"
#define SECOND "0000000000000002-0000000000000013.wal"

enum {
    FRAME = 192,  /* an entry of 100 bytes */
    IN_FIRST = 18 /* so many of them fit a segment of 4096 bytes */
};

static void assert_note_has(const char *text)
{
    if (strstr(err_note(), text) == NULL)
        fail_msg("\"%s\" is not in the note \"%s\"", text, err_note());
}

static void assert_corrupt(struct wal_world *world, const char *file,
                           uint64_t offset)
{
    char where[64];
    snprintf(where, sizeof where, "offset %llu:", (unsigned long long)offset);
    assert_int_equal(wal_world_open(world), ERR_CORRUPT);
    assert_note_has(file);
    assert_note_has(where);
    assert_note_has("add it anew");
}

/* Three segments, closed; damage is then done to them. */
static void world_begin(struct wal_world *world)
{
    wal_world_init(world, 1, 4096);
    assert_int_equal(wal_world_create(world), ERR_OK);
    wal_world_fill(world, 1, 50, 1, 100);
    wal_world_close(world);
    assert_non_null(disk_memory_bytes(world->memory, SECOND).at);
}

static void any_bit_of_a_frame_in_the_middle(void **state)
{
    (void)state;
    struct wal_world world;
    wal_world_init(&world, 1, 4096);
    assert_int_equal(wal_world_create(&world), ERR_OK);
    wal_world_fill(&world, 1, 10, 1, 100);
    wal_world_close(&world);
    uint64_t from = WAL__HEADER_BYTES + 4 * FRAME;
    for (uint64_t i = 0; i < FRAME; i++) {
        disk_memory_flip(world.memory, FIRST, from + i,
                         (unsigned char)(1 << i % 8));
        assert_corrupt(&world, FIRST, from);
        assert_note_has("frame 5 is damaged");
        assert_note_has("frame 6 was written after it");
        assert_int_equal(wal_copy_last(&world.found), 4);
        disk_memory_flip(world.memory, FIRST, from + i,
                         (unsigned char)(1 << i % 8));
    }
    wal_world_reopen(&world);
    assert_int_equal(wal_copy_last(&world.found), 10);
    wal_world_deinit(&world);
}

static void any_frame_of_any_segment_but_the_last_one(void **state)
{
    (void)state;
    struct wal_world world;
    world_begin(&world);
    for (uint64_t i = 0; i < 49; i++) {
        char file[DISK_NAME_BYTES_MAX];
        snprintf(file, sizeof file, "%s",
                 disk_memory_name(world.memory, (size_t)(i / IN_FIRST)));
        uint64_t from = WAL__HEADER_BYTES + i % IN_FIRST * FRAME;
        disk_memory_flip(world.memory, file, from + 80, 0x10);
        assert_corrupt(&world, file, from);
        disk_memory_flip(world.memory, file, from + 80, 0x10);
    }
    wal_world_reopen(&world);
    assert_int_equal(wal_copy_last(&world.found), 50);
    wal_world_deinit(&world);
}

/* A write that the disk said was done, and wasn't. */
static void a_lost_write_is_not_taken_for_the_end(void **state)
{
    (void)state;
    struct wal_world world;
    world_begin(&world);
    const char *newest = disk_memory_name(world.memory, 2);
    struct buf file = {0};
    buf_append_slice(&file, disk_memory_bytes(world.memory, newest));
    memset(file.at + WAL__HEADER_BYTES + FRAME, 0, 3 * FRAME);
    disk_memory_put(world.memory, newest, buf_slice(&file));
    assert_corrupt(&world, disk_memory_name(world.memory, 2),
                   WAL__HEADER_BYTES + FRAME);
    buf_deinit(&file);
    wal_world_deinit(&world);
}

/* etcd went on with a reader that it didn't have (TOB-ETCD-013). */
static void a_segment_in_the_middle_that_is_cut_off(void **state)
{
    (void)state;
    struct wal_world world;
    world_begin(&world);
    struct buf file = {0};
    buf_append_slice(&file, disk_memory_bytes(world.memory, FIRST));
    uint64_t end = WAL__HEADER_BYTES + IN_FIRST * FRAME;
    for (uint64_t size = WAL__HEADER_BYTES; size < end; size += 37) {
        uint64_t whole = (size - WAL__HEADER_BYTES) / FRAME;
        disk_memory_put(world.memory, FIRST, slice_of(file.at, size));
        assert_corrupt(&world, FIRST, WAL__HEADER_BYTES + whole * FRAME);
    }
    /* What is behind its last frame doesn't matter. */
    disk_memory_put(world.memory, FIRST, slice_of(file.at, end));
    wal_world_reopen(&world);
    assert_int_equal(wal_copy_last(&world.found), 50);
    buf_deinit(&file);
    wal_world_deinit(&world);
}

static void any_byte_of_a_header(void **state)
{
    (void)state;
    struct wal_world world;
    world_begin(&world);
    for (uint64_t at = 0; at < WAL__HEADER_BYTES; at += at < 88 ? 1 : 29) {
        disk_memory_flip(world.memory, SECOND, at, 0x20);
        assert_corrupt(&world, SECOND, 0);
        disk_memory_flip(world.memory, SECOND, at, 0x20);
    }
    disk_memory_put(world.memory, SECOND, SLICE("etchedWL"));
    assert_corrupt(&world, SECOND, 0);
    assert_note_has("cut off");
    disk_memory_put(world.memory, SECOND, SLICE(""));
    assert_corrupt(&world, SECOND, 0);
    wal_world_deinit(&world);
}

static void move(struct wal_world *world, const char *from, const char *to)
{
    struct disk *disk = world->config.disk;
    assert_int_equal(disk->ops->rename(disk, from, to), ERR_OK);
}

static void a_segment_that_is_missing_or_in_the_wrong_place(void **state)
{
    (void)state;
    struct wal_world world;
    world_begin(&world);
    move(&world, SECOND, "away");
    assert_int_equal(wal_world_open(&world), ERR_CORRUPT);
    assert_note_has("0000000000000003-");
    assert_note_has("missing");

    move(&world, "away", "0000000000000002-0000000000000014.wal");
    assert_int_equal(wal_world_open(&world), ERR_CORRUPT);
    assert_note_has("0000000000000002-0000000000000014.wal");
    assert_note_has("of another segment");

    move(&world, "0000000000000002-0000000000000014.wal",
         "0000000000000001-0000000000000013.wal");
    assert_int_equal(wal_world_open(&world), ERR_CORRUPT);
    assert_note_has("two of this number");
    move(&world, "0000000000000001-0000000000000013.wal", SECOND);

    disk_memory_put(world.memory, "0000000000000000-0000000000000001.wal",
                    SLICE("x"));
    assert_int_equal(wal_world_open(&world), ERR_CORRUPT);
    assert_note_has("move it away");
    move(&world, "0000000000000000-0000000000000001.wal",
         "ffffffffffffffff-0000000000000001.wal");
    assert_int_equal(wal_world_open(&world), ERR_CORRUPT);
    move(&world, "ffffffffffffffff-0000000000000001.wal", "away");
    wal_world_reopen(&world);
    assert_int_equal(wal_copy_last(&world.found), 50);
    wal_world_deinit(&world);
}

/* One of its own, but of an earlier life of the log. */
static void a_segment_that_does_not_follow(void **state)
{
    (void)state;
    struct wal_world world;
    world_begin(&world);
    char bytes[WAL__HEADER_BYTES];
    struct wal__header header = {.cluster_id = world.config.cluster_id,
                                 .member_id = world.config.member_id,
                                 .number = 2,
                                 .first_index = 19,
                                 .sequence = 18};
    wal__header_encode(&header, bytes);
    disk_memory_put(world.memory, SECOND, slice_of(bytes, sizeof bytes));
    assert_corrupt(&world, SECOND, 0);
    assert_note_has("doesn't follow");
    header.sequence = 20;
    wal__header_encode(&header, bytes);
    disk_memory_put(world.memory, SECOND, slice_of(bytes, sizeof bytes));
    assert_corrupt(&world, FIRST, WAL__HEADER_BYTES + IN_FIRST * FRAME);
    assert_note_has("frame 19 is damaged, yet frame 20");
    wal_world_deinit(&world);
}

static void a_newer_version_is_said_to_be_one(void **state)
{
    (void)state;
    struct wal_world world;
    struct buf file = {0};
    world_begin(&world);
    buf_append_slice(&file, disk_memory_bytes(world.memory, FIRST));
    put_le32(file.at + 12, 3);
    put_le32(file.at + 8, crc32c(0, file.at + 12, WAL__HEADER_BYTES - 12));
    disk_memory_put(world.memory, FIRST, buf_slice(&file));
    assert_int_equal(wal_world_open(&world), ERR_UNSUPPORTED);
    assert_note_has(FIRST);
    buf_deinit(&file);
    wal_world_deinit(&world);
}

static void what_is_damaged_is_left_as_it_is(void **state)
{
    (void)state;
    struct wal_world world;
    world_begin(&world);
    disk_memory_put(world.memory, "next.wal.tmp", SLICE("half"));
    disk_memory_flip(world.memory, SECOND, 1000, 1);
    struct buf before[4] = {{0}};
    for (size_t i = 0; i < 4; i++)
        buf_append_slice(
            &before[i],
            disk_memory_bytes(world.memory, disk_memory_name(world.memory, i)));
    assert_int_equal(wal_world_open(&world), ERR_CORRUPT);
    for (size_t i = 0; i < 4; i++) {
        const char *name = disk_memory_name(world.memory, i);
        assert_true(slice_eq(buf_slice(&before[i]),
                             disk_memory_bytes(world.memory, name)));
        buf_deinit(&before[i]);
    }
    assert_null(disk_memory_name(world.memory, 4));
    wal_world_deinit(&world);
}

/* What the note offers as the last way out works. */
static void giving_up_what_is_behind_the_damage(void **state)
{
    (void)state;
    struct wal_world world;
    world_begin(&world);
    uint64_t offset = WAL__HEADER_BYTES + 2 * FRAME;
    disk_memory_flip(world.memory, SECOND, offset, 1);
    assert_corrupt(&world, SECOND, offset);
    assert_note_has("cut the file at 896 bytes and move later segments away");
    struct buf file = {0};
    buf_append_slice(&file, disk_memory_bytes(world.memory, SECOND));
    disk_memory_put(world.memory, SECOND, slice_of(file.at, 896));
    move(&world, disk_memory_name(world.memory, 2), "away");
    wal_world_reopen(&world);
    assert_int_equal(wal_copy_last(&world.found), 20);
    assert_false(world.opened.torn);
    wal_world_fill(&world, 21, 90, 2, 100);
    wal_world_reopen(&world);
    assert_int_equal(wal_copy_last(&world.found), 90);
    buf_deinit(&file);
    wal_world_deinit(&world);
}

/* ---- bytes with good checksums and bad contents ------------------------- */

struct forged {
    struct wal__frame frame;
    raft_term terms[2];
    uint32_t sizes[2]; /* as said in the entry */
    uint32_t type;
    uint32_t padding; /* the last bytes of the frame */
};

/* Of two entries of 8 bytes, that would join entries 1 to 3 of term 2. */
static struct forged forged_new(void)
{
    return (struct forged){
        .frame = {.sequence = 4,
                  .first_index = 4,
                  .entry_count = 2,
                  .bytes =
                      WAL__FRAME_BYTES_MIN + 2 * (WAL__ENTRY_BYTES_MIN + 8),
                  .state = {.term = 2}},
        .terms = {2, 2},
        .sizes = {8, 8},
        .type = RAFT_ENTRY_COMMAND,
    };
}

/* Everything written by hand: the checksums are right, whatever is in it. */
static void forge(struct forged *forged, uint32_t seed, uint64_t offset,
                  char *bytes)
{
    char place[8];
    struct wal__frame *frame = &forged->frame;
    memset(bytes, 0, 128);
    for (int i = 0; i < 2; i++) {
        char *entry = bytes + WAL__FRAME_BYTES_MIN + 32 * i;
        put_le32(entry, forged->sizes[i]);
        put_le32(entry + 4, forged->type);
        put_le64(entry + 8, forged->terms[i]);
    }
    put_le32(bytes + 124, forged->padding);
    memcpy(bytes, "EWF1", 4);
    if (frame->bytes >= 64 && frame->bytes <= 128)
        put_le32(bytes + 8, crc32c(0, bytes + 64, frame->bytes - 64));
    put_le32(bytes + 12, frame->bytes);
    put_le64(bytes + 16, frame->sequence);
    put_le64(bytes + 24, frame->first_index);
    put_le64(bytes + 32, frame->state.term);
    put_le32(bytes + 56, frame->entry_count);
    put_le64(place, offset);
    put_le32(bytes + 4, crc32c(crc32c(seed, place, 8), bytes + 8, 56));
}

/* Opens a log of three entries with the forged frame behind them. */
static enum err open_forged(struct forged *forged)
{
    struct wal_world world;
    struct raft_hard_state hard_state = {.term = 2};
    char bytes[128];
    wal_world_init(&world, 1, 4096);
    assert_int_equal(wal_world_create(&world), ERR_OK);
    struct raft_entry entries[3];
    for (size_t i = 0; i < 3; i++) {
        entries[i] = wal_world_entry(i + 1, 2, 100);
        const struct raft_entry *pointer = &entries[i];
        assert_int_equal(wal_append(world.wal, &hard_state, &pointer, 1),
                         ERR_OK);
        refbuf_unref(entries[i].data);
    }
    assert_int_equal(wal_sync(world.wal), ERR_OK);
    uint64_t end = world.wal->end;
    forge(forged, world.wal->seed, end, bytes);
    struct buf file = {0};
    buf_append_slice(&file, disk_memory_bytes(world.memory, FIRST));
    memcpy(file.at + end, bytes, sizeof bytes);
    wal_world_close(&world);
    disk_memory_put(world.memory, FIRST, buf_slice(&file));
    buf_deinit(&file);

    enum err err = wal_world_open(&world);
    if (err == ERR_OK)
        assert_int_equal(world.opened.torn, wal_copy_last(&world.found) == 3);
    else
        assert_int_equal(wal_copy_last(&world.found), 3);
    if (err == ERR_OK && !world.opened.torn)
        err = ERR_END; /* all of it was taken */
    if (err == ERR_CORRUPT)
        assert_note_has(FIRST ": offset 1088:");
    wal_world_deinit(&world);
    return err;
}

static void a_forged_frame_that_is_right_is_taken(void **state)
{
    (void)state;
    struct forged forged = forged_new();
    assert_int_equal(open_forged(&forged), ERR_END);
    forged.frame.first_index = 3; /* replaces one */
    forged.terms[0] = 1;
    assert_int_equal(open_forged(&forged), ERR_END);
    forged = forged_new();
    forged.sizes[1] = 5; /* and 3 bytes of padding, zero */
    assert_int_equal(open_forged(&forged), ERR_END);
}

/* An entry whose index is far beyond the log: etcd took it for a place in an
 * array (TOB-ETCD-006). */
static void cve_2020_15112_an_index_out_of_range(void **state)
{
    (void)state;
    static const raft_index indexes[] = {5, 6, 1000, UINT32_MAX,
                                         (raft_index)INT64_MAX - 2};
    for (size_t i = 0; i < sizeof indexes / sizeof *indexes; i++) {
        struct forged forged = forged_new();
        forged.frame.first_index = indexes[i];
        assert_int_equal(open_forged(&forged), ERR_CORRUPT);
        assert_note_has("a gap before the first entry");
    }
    /* Beyond what any index can be, it isn't even a frame. */
    struct forged forged = forged_new();
    forged.frame.first_index = UINT64_MAX;
    assert_int_equal(open_forged(&forged), ERR_OK);
    forged.frame.first_index = 0; /* there are entries, but no first */
    assert_int_equal(open_forged(&forged), ERR_OK);
}

/* A length that nothing bounds: etcd allocated it (TOB-ETCD-007). */
static void cve_2020_15106_an_oversized_record(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {9, 100, 4096, INT32_MAX, UINT32_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (size_t entry = 0; entry < 2; entry++) {
            struct forged forged = forged_new();
            forged.sizes[entry] = sizes[i];
            assert_int_equal(open_forged(&forged), ERR_CORRUPT);
            assert_note_has("not made right");
        }
    }
    static const uint32_t frames[] = {
        0,
        8,
        56,
        63,
        65,
        129,
        4096,
        INT32_MAX,
        UINT32_MAX & ~7U,
        UINT32_MAX,
        LIMIT_WAL_FRAME_BYTES_MAX,
    };
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        struct forged forged = forged_new();
        forged.frame.bytes = frames[i];
        assert_int_equal(open_forged(&forged), ERR_OK); /* cut */
    }
}

static void more_entries_than_the_frame_can_hold(void **state)
{
    (void)state;
    static const uint32_t counts[] = {3, 1000, INT32_MAX, UINT32_MAX};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct forged forged = forged_new();
        forged.frame.entry_count = counts[i];
        assert_int_equal(open_forged(&forged), ERR_OK); /* cut */
    }
    struct forged forged = forged_new();
    forged.frame.entry_count = 1; /* the other is left over */
    assert_int_equal(open_forged(&forged), ERR_CORRUPT);
    forged.frame.entry_count = 0;
    assert_int_equal(open_forged(&forged), ERR_OK);
}

static void an_entry_of_an_unknown_type(void **state)
{
    (void)state;
    struct forged forged = forged_new();
    forged.type = 3;
    assert_int_equal(open_forged(&forged), ERR_CORRUPT);
    forged.type = UINT32_MAX;
    assert_int_equal(open_forged(&forged), ERR_CORRUPT);
}

static void bytes_behind_the_last_entry(void **state)
{
    (void)state;
    struct forged forged = forged_new();
    forged.sizes[1] = 5;
    forged.padding = 0x01000000;
    assert_int_equal(open_forged(&forged), ERR_CORRUPT);
    forged = forged_new();
    forged.sizes[1] = 0; /* 8 bytes too many */
    assert_int_equal(open_forged(&forged), ERR_CORRUPT);
}

static void terms_that_fall(void **state)
{
    (void)state;
    struct forged forged = forged_new();
    forged.terms[0] = 1; /* than the entry before it */
    assert_int_equal(open_forged(&forged), ERR_CORRUPT);
    assert_note_has("term of an entry falls");
    forged = forged_new();
    forged.terms[0] = 4;
    forged.terms[1] = 3;
    assert_int_equal(open_forged(&forged), ERR_CORRUPT);
    forged = forged_new();
    forged.frame.state.term = 1;
    assert_int_equal(open_forged(&forged), ERR_CORRUPT);
    assert_note_has("term of the hard state falls");
}

static void a_frame_out_of_sequence(void **state)
{
    (void)state;
    struct forged forged = forged_new();
    forged.frame.sequence = 3; /* an old one: cut */
    assert_int_equal(open_forged(&forged), ERR_OK);
    forged.frame.sequence = 5; /* then one was lost */
    assert_int_equal(open_forged(&forged), ERR_CORRUPT);
    assert_note_has("frame 4 is damaged, yet frame 5 was");
    forged.frame.sequence = UINT64_MAX;
    assert_int_equal(open_forged(&forged), ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_bit_of_a_frame_in_the_middle),
        cmocka_unit_test(any_frame_of_any_segment_but_the_last_one),
        cmocka_unit_test(a_lost_write_is_not_taken_for_the_end),
        cmocka_unit_test(a_segment_in_the_middle_that_is_cut_off),
        cmocka_unit_test(any_byte_of_a_header),
        cmocka_unit_test(a_segment_that_is_missing_or_in_the_wrong_place),
        cmocka_unit_test(a_segment_that_does_not_follow),
        cmocka_unit_test(a_newer_version_is_said_to_be_one),
        cmocka_unit_test(what_is_damaged_is_left_as_it_is),
        cmocka_unit_test(giving_up_what_is_behind_the_damage),
        cmocka_unit_test(a_forged_frame_that_is_right_is_taken),
        cmocka_unit_test(cve_2020_15112_an_index_out_of_range),
        cmocka_unit_test(cve_2020_15106_an_oversized_record),
        cmocka_unit_test(more_entries_than_the_frame_can_hold),
        cmocka_unit_test(an_entry_of_an_unknown_type),
        cmocka_unit_test(bytes_behind_the_last_entry),
        cmocka_unit_test(terms_that_fall),
        cmocka_unit_test(a_frame_out_of_sequence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
