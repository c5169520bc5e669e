/* What stands in the control table and in headers, byte by byte. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/crc.h"
#include "snap/snap_int.h"
#include "support/snap_world.h"

/* ---- headers ------------------------------------------------------------- */

static struct buf encoded(void)
{
    struct buf bytes = {0};
    snap_header_encode(&snap_world_header, &bytes);
    return bytes;
}

static void a_header_comes_back_as_it_was(void **state)
{
    (void)state;
    struct snap_header header = {0};
    struct buf bytes = encoded();
    assert_int_equal(bytes.size, SNAP_HEADER_BYTES);
    assert_int_equal(snap_header_decode(buf_slice(&bytes), &header), ERR_OK);
    assert_memory_equal(&header, &snap_world_header, sizeof header);
    buf_deinit(&bytes);
}

/* Members of different versions meet: the bytes don't change. */
static void a_header_is_these_bytes(void **state)
{
    (void)state;
    struct buf bytes = encoded();
    static const uint8_t numbers[] = {0xc1, 0xa1, 0x51, 3, 700 & 255, 2};
    assert_int_equal(get_le32(bytes.at), crc32c(0, bytes.at + 4, 49));
    assert_int_equal(bytes.at[4], 1);
    for (size_t i = 0; i < sizeof numbers; i++)
        assert_int_equal((uint8_t)bytes.at[5 + 8 * i], numbers[i]);
    assert_int_equal(bytes.at[5 + 8 * 4 + 1], 700 >> 8);
    buf_deinit(&bytes);
}

static void a_header_is_appended(void **state)
{
    (void)state;
    struct snap_header header;
    struct buf bytes = {0};
    buf_append_str(&bytes, "before");
    snap_header_encode(&snap_world_header, &bytes);
    assert_memory_equal(bytes.at, "before", 6);
    assert_int_equal(
        snap_header_decode(slice_of(bytes.at + 6, bytes.size - 6), &header),
        ERR_OK);
    assert_int_equal(header.index, 700);
    buf_deinit(&bytes);
}

static void a_damaged_header_is_seen(void **state)
{
    (void)state;
    struct snap_header header;
    struct buf bytes = encoded();
    for (size_t i = 0; i < bytes.size * 8; i++) {
        bytes.at[i / 8] ^= (char)(1 << i % 8);
        assert_int_equal(snap_header_decode(buf_slice(&bytes), &header),
                         ERR_CORRUPT);
        assert_string_equal(err_note(),
                            "header of a snapshot: a wrong checksum");
        assert_int_equal(header.index, 0);
        bytes.at[i / 8] ^= (char)(1 << i % 8);
    }
    buf_deinit(&bytes);
}

static void a_header_of_another_size_is_none(void **state)
{
    (void)state;
    struct snap_header header;
    struct buf bytes = encoded();
    for (size_t size = 0; size < bytes.size; size++)
        assert_int_equal(snap_header_decode(slice_of(bytes.at, size), &header),
                         ERR_CORRUPT);
    /* One that is longer, and rightly sealed. */
    buf_append_char(&bytes, 0);
    snap__seal_end(&bytes, 0);
    assert_int_equal(snap_header_decode(buf_slice(&bytes), &header),
                     ERR_CORRUPT);
    assert_string_equal(err_note(), "header of a snapshot: 54 bytes");
    buf_deinit(&bytes);
}

static void a_format_to_come_is_refused(void **state)
{
    (void)state;
    struct snap_header header;
    struct buf bytes = encoded();
    bytes.at[4] = 2;
    put_le32(bytes.at, crc32c(0, bytes.at + 4, bytes.size - 4));
    assert_int_equal(snap_header_decode(buf_slice(&bytes), &header),
                     ERR_CORRUPT);
    assert_string_equal(err_note(), "header of a snapshot: unknown format 2");
    buf_deinit(&bytes);
}

/* ---- places -------------------------------------------------------------- */

static void the_start_is_an_empty_place(void **state)
{
    (void)state;
    struct buf bytes = {0};
    struct snap__place place = {0};
    snap__place_encode(&place, &bytes);
    assert_int_equal(bytes.size, 0);
    place.pairs = 7;
    assert_true(snap__place_decode(buf_slice(&bytes), &place));
    assert_int_equal(place.pairs, 0);
    assert_int_equal(place.key.size, 0);
}

static void a_place_comes_back_as_it_was(void **state)
{
    (void)state;
    char key[KV_KEY_BYTES_MAX];
    memset(key, 'k', sizeof key);
    for (size_t size = 1; size <= sizeof key; size += 51) {
        struct buf bytes = {0};
        struct snap__place found, place = {.pairs = UINT64_C(1) << 40,
                                           .crc = 0xdeadbeef,
                                           .table = 3,
                                           .key = slice_of(key, size)};
        snap__place_encode(&place, &bytes);
        assert_int_equal(bytes.size, SNAP_PLACE_BYTES_MIN + size);
        assert_true(snap__place_decode(buf_slice(&bytes), &found));
        assert_true(found.pairs == place.pairs && found.crc == place.crc);
        assert_int_equal(found.table, 3);
        assert_true(slice_eq(found.key, place.key));
        buf_deinit(&bytes);
    }
}

static void what_is_no_place_is_refused(void **state)
{
    (void)state;
    struct buf bytes = {0};
    struct snap__place found;
    struct snap__place place = {
        .pairs = 1, .crc = 2, .table = 1, .key = SLICE("k")};
    snap__place_encode(&place, &bytes);
    for (size_t size = 1; size < bytes.size; size++)
        assert_false(snap__place_decode(slice_of(bytes.at, size), &found));
    bytes.at[12] = SNAP_SET_TABLES;
    assert_false(snap__place_decode(buf_slice(&bytes), &found));
    bytes.at[12] = 1;
    bytes.at[0] = 0; /* no pair, and yet a key */
    assert_false(snap__place_decode(buf_slice(&bytes), &found));
    bytes.at[0] = 1;
    assert_true(snap__place_decode(buf_slice(&bytes), &found));
    memset(buf_extend(&bytes, KV_KEY_BYTES_MAX), 'k', KV_KEY_BYTES_MAX);
    assert_false(snap__place_decode(buf_slice(&bytes), &found));
    assert_int_equal(found.key.size, 0);
    buf_deinit(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_comes_back_as_it_was),
        cmocka_unit_test(a_header_is_these_bytes),
        cmocka_unit_test(a_header_is_appended),
        cmocka_unit_test(a_damaged_header_is_seen),
        cmocka_unit_test(a_header_of_another_size_is_none),
        cmocka_unit_test(a_format_to_come_is_refused),
        cmocka_unit_test(the_start_is_an_empty_place),
        cmocka_unit_test(a_place_comes_back_as_it_was),
        cmocka_unit_test(what_is_no_place_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
