/* Chunks: what is written is read, and nothing else is. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "snap/snap_int.h"

static const struct snap__pair three[] = {
    {0, {"a", 1}, {"one", 3}},
    {0, {"b", 1}, {"", 0}},
    {3, {"a", 1}, {"three", 5}},
};

static struct buf write_pairs(const struct snap__pair *pairs, size_t count,
                              struct slice behind, bool last, uint64_t total)
{
    struct buf out = {0};
    struct snap__chunk_writer writer;
    snap__chunk_begin(&writer, &out, behind);
    for (size_t i = 0; i < count; i++)
        snap__chunk_pair(&writer, &pairs[i]);
    uint32_t crc = snap__chunk_end(&writer, last, total);
    assert_int_equal(get_le32(out.at), crc);
    return out;
}

static struct buf write_three(bool last)
{
    return write_pairs(three, 3, SLICE("behind"), last, 3);
}

/* How reading it ends; *pairs counts what came before. */
static enum err read_all(struct slice bytes, unsigned *pairs)
{
    struct snap__chunk chunk;
    struct snap__pair pair;
    *pairs = 0;
    enum err err = snap__chunk_open(bytes, &chunk);
    while (err == ERR_OK) {
        err = snap__chunk_next(&chunk, &pair);
        *pairs += err == ERR_OK;
    }
    return err;
}

static void expect_bad(struct buf *chunk, const char *why)
{
    unsigned pairs;
    char note[100] = "chunk of a snapshot: ";
    snap__seal_end(chunk, 0);
    strncat(note, why, sizeof note - strlen(note) - 1);
    assert_int_equal(read_all(buf_slice(chunk), &pairs), ERR_CORRUPT);
    assert_string_equal(err_note(), note);
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    for (int last = 0; last < 2; last++) {
        struct buf bytes = write_three(last);
        struct snap__chunk chunk;
        struct snap__pair pair;
        assert_int_equal(snap__chunk_open(buf_slice(&bytes), &chunk), ERR_OK);
        assert_int_equal(chunk.crc, get_le32(bytes.at));
        assert_int_equal(chunk.last, last);
        assert_int_equal(chunk.pairs, 3);
        assert_int_equal(chunk.total, last ? 3 : 0);
        assert_true(slice_eq(chunk.behind, SLICE("behind")));
        for (size_t i = 0; i < 3; i++) {
            assert_int_equal(snap__chunk_next(&chunk, &pair), ERR_OK);
            assert_int_equal(pair.table, three[i].table);
            assert_true(slice_eq(pair.key, three[i].key));
            assert_true(slice_eq(pair.value, three[i].value));
        }
        assert_int_equal(snap__chunk_next(&chunk, &pair), ERR_END);
        assert_int_equal(snap__chunk_next(&chunk, &pair), ERR_END);
        buf_deinit(&bytes);
    }
}

static void it_is_appended_to_what_is_there(void **state)
{
    (void)state;
    unsigned pairs;
    struct buf out = {0};
    struct snap__chunk_writer writer;
    buf_append_str(&out, "head");
    snap__chunk_begin(&writer, &out, SLICE(""));
    snap__chunk_pair(&writer, &three[0]);
    snap__chunk_end(&writer, false, 9);
    assert_memory_equal(out.at, "head", 4);
    assert_int_equal(read_all(slice_of(out.at + 4, out.size - 4), &pairs),
                     ERR_END);
    assert_int_equal(pairs, 1);
    buf_deinit(&out);
}

static void the_largest_key_and_place_fit(void **state)
{
    (void)state;
    char long_key[SNAP_PLACE_BYTES_MAX];
    unsigned pairs;
    memset(long_key, 'k', sizeof long_key);
    struct snap__pair pair = {2, slice_of(long_key, KV_KEY_BYTES_MAX),
                              slice_of(long_key, 300)};
    struct buf bytes =
        write_pairs(&pair, 1, slice_of(long_key, sizeof long_key), true, 1);
    struct snap__chunk chunk;
    assert_int_equal(read_all(buf_slice(&bytes), &pairs), ERR_END);
    assert_int_equal(pairs, 1);
    assert_int_equal(snap__chunk_open(buf_slice(&bytes), &chunk), ERR_OK);
    assert_int_equal(chunk.behind.size, sizeof long_key);
    buf_deinit(&bytes);
}

static void a_last_one_may_be_empty(void **state)
{
    (void)state;
    unsigned pairs;
    struct buf bytes = write_pairs(NULL, 0, SLICE("place"), true, 77);
    struct snap__chunk chunk;
    assert_int_equal(read_all(buf_slice(&bytes), &pairs), ERR_END);
    assert_int_equal(pairs, 0);
    assert_int_equal(snap__chunk_open(buf_slice(&bytes), &chunk), ERR_OK);
    assert_int_equal(chunk.total, 77);
    buf_deinit(&bytes);
}

static void any_bit_that_turns_is_seen(void **state)
{
    (void)state;
    unsigned pairs;
    struct buf bytes = write_three(true);
    for (size_t i = 0; i < bytes.size * 8; i++) {
        bytes.at[i / 8] ^= (char)(1 << i % 8);
        assert_int_equal(read_all(buf_slice(&bytes), &pairs), ERR_CORRUPT);
        assert_int_equal(pairs, 0);
        bytes.at[i / 8] ^= (char)(1 << i % 8);
    }
    for (size_t size = 0; size < bytes.size; size++)
        assert_int_equal(read_all(slice_of(bytes.at, size), &pairs),
                         ERR_CORRUPT);
    buf_deinit(&bytes);
}

/* From here on the checksums are right, as of a sender that is wrong. */

static void a_head_that_cant_be(void **state)
{
    (void)state;
    unsigned pairs;
    struct buf bytes = write_three(false);
    bytes.at[SNAP_SEAL_BYTES] = 2;
    expect_bad(&bytes, "a head that can't be");
    bytes.at[SNAP_SEAL_BYTES] = 0;
    bytes.at[SNAP_SEAL_BYTES + 6] = 2; /* a place of 518 bytes */
    expect_bad(&bytes, "a head that can't be");
    bytes.at[SNAP_SEAL_BYTES + 6] = 0;
    put_le32(bytes.at + SNAP_SEAL_BYTES + 1, 0);
    expect_bad(&bytes, "it is empty and not the last");
    for (size_t size = SNAP_SEAL_BYTES; size < SNAP_SEAL_BYTES + 7; size++) {
        bytes.size = size;
        expect_bad(&bytes, "no head");
    }
    buf_deinit(&bytes);
    bytes = write_pairs(NULL, 0, SLICE("p"), true, 0);
    bytes.size--; /* the total is cut */
    expect_bad(&bytes, "a head that can't be");
    bytes.size++;
    snap__seal_end(&bytes, 0);
    assert_int_equal(read_all(buf_slice(&bytes), &pairs), ERR_END);
    buf_deinit(&bytes);
}

static void a_count_that_is_not_theirs(void **state)
{
    (void)state;
    struct buf bytes = write_three(true);
    put_le32(bytes.at + SNAP_SEAL_BYTES + 1, 2);
    expect_bad(&bytes, "more than its pairs");
    put_le32(bytes.at + SNAP_SEAL_BYTES + 1, 4);
    expect_bad(&bytes, "fewer pairs than it says");
    put_le32(bytes.at + SNAP_SEAL_BYTES + 1, 0);
    expect_bad(&bytes, "more than its pairs");
    put_le32(bytes.at + SNAP_SEAL_BYTES + 1, 3);
    bytes.size -= 2;
    expect_bad(&bytes, "a pair that can't be");
    buf_deinit(&bytes);
}

/* One pair of table, key size and value size; there are 3 bytes behind. */
static void expect_bad_pair(const char *head, size_t size, const char *why)
{
    struct buf bytes = {0};
    struct snap__chunk_writer writer;
    snap__chunk_begin(&writer, &bytes, SLICE(""));
    buf_append(&bytes, head, size);
    buf_append_str(&bytes, "abc");
    writer.pairs = 1;
    snap__chunk_end(&writer, false, 1);
    expect_bad(&bytes, why);
    buf_deinit(&bytes);
}

static void pairs_that_cant_be(void **state)
{
    (void)state;
    const char *cant = "a pair that can't be";
    expect_bad_pair("\4\1\2", 3, cant);     /* table 4 */
    expect_bad_pair("\xff\1\2", 3, cant);   /* table 255 */
    expect_bad_pair("\0\0\3", 3, cant);     /* no key */
    expect_bad_pair("\0\4\0", 3, cant);     /* the key ends behind */
    expect_bad_pair("\0\1\3", 3, cant);     /* the value ends behind */
    expect_bad_pair("\0\x80\4\1", 4, cant); /* a key of 512 bytes */
    expect_bad_pair("\0\1\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", 12, cant);
    expect_bad_pair("\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\1\1", 12, cant);
    expect_bad_pair("\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12,
                    "a pair is cut short");
    expect_bad_pair("\0\1\1", 3, "more than its pairs");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(it_is_appended_to_what_is_there),
        cmocka_unit_test(the_largest_key_and_place_fit),
        cmocka_unit_test(a_last_one_may_be_empty),
        cmocka_unit_test(any_bit_that_turns_is_seen),
        cmocka_unit_test(a_head_that_cant_be),
        cmocka_unit_test(a_count_that_is_not_theirs),
        cmocka_unit_test(pairs_that_cant_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
