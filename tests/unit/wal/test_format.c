/* The bytes on disk. Logs that are out there must stay readable: what is here
 * as bytes was made from the tables in wal.c by other means than ours. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/crc.h"
#include "base/mem.h"
#include "base/prng.h"
#include "wal/wal_int.h"

static const struct wal__header golden_header = {
    .cluster_id = 0x1122334455667788,
    .member_id = 0x99,
    .number = 2,
    .first_index = 19,
    .sequence = 7,
    .state = {.term = 5, .vote = 3, .commit = 17},
};

/* Up to the zeros. */
static const unsigned char header_bytes[80] = {
    0x65, 0x74, 0x63, 0x68, 0x65, 0x64, 0x57, 0x4c, 0xdb, 0x81, 0xdf, 0x4a,
    0x01, 0x00, 0x00, 0x00, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,
    0x99, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x13, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x07, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x11, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
};

static const uint32_t golden_seed = 0x4adf81db;

/* At offset 512: an entry "abc" and an empty one. */
static const unsigned char frame_bytes[120] = {
    0x45, 0x57, 0x46, 0x31, 0xe5, 0x16, 0xf0, 0x1c, 0x1c, 0x87, 0x4f, 0x2c,
    0x78, 0x00, 0x00, 0x00, 0x07, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x13, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x11, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00,
    0x05, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xe8, 0x03, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x61, 0x62, 0x63, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x05, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0x00,
};

static struct wal__frame golden_frame(void)
{
    return (struct wal__frame){
        .sequence = 7,
        .state = {.term = 5, .vote = 3, .commit = 17},
        .first_index = 19,
        .entry_count = 2,
        .bytes = sizeof frame_bytes,
    };
}

static void a_header_is_these_bytes(void **state)
{
    (void)state;
    char bytes[WAL__HEADER_BYTES];
    memset(bytes, 0xff, sizeof bytes);
    assert_int_equal(wal__header_encode(&golden_header, bytes), golden_seed);
    assert_memory_equal(bytes, header_bytes, sizeof header_bytes);
    assert_true(wal__all_zero(bytes + 80, sizeof bytes - 80));

    struct wal__header header;
    uint32_t seed = 0;
    assert_int_equal(wal__header_decode(bytes, &header, &seed),
                     WAL__HEADER_GOOD);
    assert_int_equal(seed, golden_seed);
    assert_memory_equal(&header, &golden_header, sizeof header);
}

/* Such a one has another version and one more field; the rest is the same. */
static void a_header_that_starts_anew_is_these_bytes(void **state)
{
    (void)state;
    char bytes[WAL__HEADER_BYTES];
    struct wal__header made = golden_header;
    made.anew_term = 4;
    assert_int_equal(wal__header_encode(&made, bytes), 0x5904d265);
    assert_memory_equal(bytes, header_bytes, 8);
    assert_int_equal(get_le32(bytes + 12), 2);
    assert_memory_equal(bytes + 16, header_bytes + 16, 64);
    assert_int_equal(get_le64(bytes + 80), 4);
    assert_true(wal__all_zero(bytes + 88, sizeof bytes - 88));

    struct wal__header header;
    uint32_t seed = 0;
    assert_int_equal(wal__header_decode(bytes, &header, &seed),
                     WAL__HEADER_GOOD);
    assert_int_equal(seed, 0x5904d265);
    assert_memory_equal(&header, &made, sizeof header);
}

static enum wal__header_result decode_sealed(char *bytes)
{
    struct wal__header header;
    uint32_t seed;
    put_le32(bytes + 8, crc32c(0, bytes + 12, WAL__HEADER_BYTES - 12));
    return wal__header_decode(bytes, &header, &seed);
}

static void a_version_has_its_fields_and_no_others(void **state)
{
    (void)state;
    char bytes[WAL__HEADER_BYTES];
    wal__header_encode(&golden_header, bytes);
    assert_int_equal(decode_sealed(bytes), WAL__HEADER_GOOD);
    put_le64(bytes + 80, 4);
    assert_int_equal(decode_sealed(bytes), WAL__HEADER_BAD);
    put_le32(bytes + 12, 2);
    assert_int_equal(decode_sealed(bytes), WAL__HEADER_GOOD);
    bytes[88] = 1;
    assert_int_equal(decode_sealed(bytes), WAL__HEADER_BAD);
    bytes[88] = 0;
    put_le64(bytes + 80, 0);
    assert_int_equal(decode_sealed(bytes), WAL__HEADER_BAD);
    put_le32(bytes + 12, 3);
    assert_int_equal(decode_sealed(bytes), WAL__HEADER_NEWER);
}

static void a_frame_is_these_bytes(void **state)
{
    (void)state;
    char bytes[sizeof frame_bytes];
    struct wal__frame frame = golden_frame();
    struct raft_entry first = {.term = 5,
                               .index = 19,
                               .time_ns = 1000,
                               .type = RAFT_ENTRY_COMMAND,
                               .data = refbuf_dup("abc", 3)};
    struct raft_entry second = {
        .term = 5, .index = 20, .time_ns = -1, .type = RAFT_ENTRY_EMPTY};
    const struct raft_entry *entries[] = {&first, &second};
    memset(bytes, 0xff, sizeof bytes);
    wal__frame_encode(&frame, golden_seed, 512, entries, bytes);
    assert_memory_equal(bytes, frame_bytes, sizeof frame_bytes);
    refbuf_unref(first.data);
}

static void a_frame_is_read_from_these_bytes(void **state)
{
    (void)state;
    const char *bytes = (const char *)frame_bytes;
    struct wal__frame frame;
    struct wal__entries entries;
    struct wal__entry entry;
    assert_true(wal__frame_decode(bytes, golden_seed, 512, &frame));
    assert_true(wal__frame_body_good(&frame, bytes));
    assert_int_equal(frame.sequence, 7);
    assert_int_equal(frame.state.term, 5);
    assert_int_equal(frame.state.vote, 3);
    assert_int_equal(frame.state.commit, 17);
    assert_int_equal(frame.bytes, sizeof frame_bytes);

    wal__entries_init(&entries, &frame, bytes);
    assert_int_equal(wal__entries_next(&entries, &entry), ERR_OK);
    assert_int_equal(entry.index, 19);
    assert_int_equal(entry.term, 5);
    assert_int_equal(entry.time_ns, 1000);
    assert_int_equal(entry.type, RAFT_ENTRY_COMMAND);
    assert_true(slice_eq(entry.data, SLICE("abc")));
    assert_int_equal(wal__entries_next(&entries, &entry), ERR_OK);
    assert_int_equal(entry.index, 20);
    assert_int_equal(entry.time_ns, -1);
    assert_int_equal(entry.data.size, 0);
    assert_int_equal(wal__entries_next(&entries, &entry), ERR_END);
    assert_int_equal(wal__entries_next(&entries, &entry), ERR_END);
}

static void a_frame_holds_only_at_its_place(void **state)
{
    (void)state;
    const char *bytes = (const char *)frame_bytes;
    struct wal__frame frame;
    assert_false(wal__frame_decode(bytes, golden_seed, 520, &frame));
    assert_false(wal__frame_decode(bytes, golden_seed + 1, 512, &frame));
    assert_false(wal__frame_decode(bytes, 0, 512, &frame));
}

static void a_changed_bit_is_seen(void **state)
{
    (void)state;
    char bytes[WAL__HEADER_BYTES];
    struct wal__header header;
    struct wal__frame frame;
    uint32_t seed;
    wal__header_encode(&golden_header, bytes);
    for (size_t bit = 0; bit < sizeof bytes * 8; bit++) {
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
        assert_int_equal(wal__header_decode(bytes, &header, &seed),
                         WAL__HEADER_BAD);
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
    }
    memcpy(bytes, frame_bytes, sizeof frame_bytes);
    for (size_t bit = 0; bit < sizeof frame_bytes * 8; bit++) {
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
        assert_false(wal__frame_decode(bytes, golden_seed, 512, &frame) &&
                     wal__frame_body_good(&frame, bytes));
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
    }
}

static void random_frames_come_back_as_they_were(void **state)
{
    (void)state;
    enum { COUNT = 8 };
    struct prng prng;
    prng_init(&prng, 1);
    for (int round = 0; round < 500; round++) {
        struct raft_entry made[COUNT];
        const struct raft_entry *pointers[COUNT];
        size_t count = (size_t)prng_below(&prng, COUNT + 1);
        for (size_t i = 0; i < count; i++) {
            size_t size = (size_t)prng_below(&prng, 40);
            made[i] = (struct raft_entry){
                .term = prng_next(&prng),
                .index = 100 + i,
                .time_ns = (int64_t)prng_next(&prng),
                .type = (enum raft_entry_type)prng_below(&prng, 3),
                .data = size ? refbuf_new(size) : NULL,
            };
            for (size_t at = 0; at < size; at++)
                made[i].data->bytes[at] = (char)prng_next(&prng);
            pointers[i] = &made[i];
        }
        struct wal__frame frame = {
            .sequence = 1 + prng_below(&prng, INT64_MAX - 1),
            .first_index = count ? 100 : 0,
            .entry_count = (uint32_t)count,
            .bytes = (uint32_t)wal_frame_bytes(made, count),
        };
        uint64_t offset = prng_below(&prng, 1 << 30) * 8;
        char *bytes = mem_alloc(frame.bytes);
        wal__frame_encode(&frame, 77, offset, pointers, bytes);

        struct wal__frame found;
        struct wal__entries entries;
        struct wal__entry entry;
        assert_true(wal__frame_decode(bytes, 77, offset, &found));
        assert_true(wal__frame_body_good(&found, bytes));
        assert_int_equal(found.sequence, frame.sequence);
        wal__entries_init(&entries, &found, bytes);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(wal__entries_next(&entries, &entry), ERR_OK);
            assert_int_equal(entry.index, made[i].index);
            assert_int_equal(entry.term, made[i].term);
            assert_int_equal(entry.time_ns, made[i].time_ns);
            assert_int_equal(entry.type, made[i].type);
            struct refbuf *data = made[i].data;
            assert_true(
                slice_eq(entry.data, data ? slice_of(data->bytes, data->size)
                                          : slice_of(NULL, 0)));
            refbuf_unref(data);
        }
        assert_int_equal(wal__entries_next(&entries, &entry), ERR_END);
        mem_free(bytes);
    }
}

static void zeros_are_known_by_every_byte(void **state)
{
    (void)state;
    char bytes[100] = {0};
    assert_true(wal__all_zero(NULL, 0));
    assert_true(wal__all_zero(bytes, 1));
    assert_true(wal__all_zero(bytes, sizeof bytes));
    for (size_t at = 0; at < sizeof bytes; at++) {
        bytes[at] = 1;
        assert_false(wal__all_zero(bytes, sizeof bytes));
        assert_true(wal__all_zero(bytes, at));
        bytes[at] = 0;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_is_these_bytes),
        cmocka_unit_test(a_header_that_starts_anew_is_these_bytes),
        cmocka_unit_test(a_version_has_its_fields_and_no_others),
        cmocka_unit_test(a_frame_is_these_bytes),
        cmocka_unit_test(a_frame_is_read_from_these_bytes),
        cmocka_unit_test(a_frame_holds_only_at_its_place),
        cmocka_unit_test(a_changed_bit_is_seen),
        cmocka_unit_test(random_frames_come_back_as_they_were),
        cmocka_unit_test(zeros_are_known_by_every_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
