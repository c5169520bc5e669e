/* The record's stored form: byte by byte, back and forth, and what is not
 * one. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/crc.h"
#include "base/mem.h"
#include "base/prng.h"
#include "mvcc/record.h"

static void assert_same(const struct record *a, const struct record *b)
{
    assert_int_equal(a->table, b->table);
    assert_int_equal(a->cause, b->cause);
    assert_int_equal(a->flags, b->flags);
    assert_int_equal(a->rev.main, b->rev.main);
    assert_int_equal(a->rev.sub, b->rev.sub);
    assert_int_equal(a->create, b->create);
    assert_int_equal(a->version, b->version);
    assert_int_equal(a->prev.main, b->prev.main);
    assert_int_equal(a->prev.sub, b->prev.sub);
    assert_int_equal(a->lease, b->lease);
    assert_int_equal(a->expire_ns, b->expire_ns);
    assert_int_equal(a->time_ns, b->time_ns);
    assert_true(slice_eq(a->key, b->key));
    assert_true(slice_eq(a->value, b->value));
}

/* What comes back lies in the bytes, and needs no more than them. */
static void back_and_forth(const struct record *record)
{
    struct buf bytes = {0};
    buf_append_str(&bytes, "before"); /* encode appends */
    record__encode(&bytes, record);
    size_t size = bytes.size - 6;
    char *exact = mem_dup(bytes.at + 6, size);
    struct record got;
    assert_int_equal(record__decode(slice_of(exact, size), record->rev,
                                    RECORD_CHECK_ALL, &got),
                     ERR_OK);
    assert_same(&got, record);
    assert_true(got.key.at >= exact && got.key.at <= exact + size);
    assert_ptr_equal(got.value.at, got.key.at + got.key.size);
    assert_int_equal(record__decode(slice_of(exact, size), record->rev,
                                    RECORD_CHECK_HEAD, &got),
                     ERR_OK);
    assert_same(&got, record);
    mem_free(exact);
    buf_deinit(&bytes);
}

static struct record plain(void)
{
    return (struct record){
        .cause = MVCC_PUT,
        .rev = {1000, 3},
        .create = 1000,
        .version = 1,
        .time_ns = 1700000000000000000,
        .key = slice_str("/key"),
        .value = slice_str("value"),
    };
}

/* ---- keys ---------------------------------------------------------------- */

static void test_the_order_of_keys_is_that_of_revisions(void **state)
{
    (void)state;
    static const struct rev revs[] = {
        {1, 0},         {1, 1},          {1, 255},
        {1, 256},       {1, UINT32_MAX}, {2, 0},
        {255, 7},       {256, 0},        {65536, 1},
        {1LL << 32, 0}, {1LL << 40, 0},  {INT64_MAX, UINT32_MAX},
    };
    char last[RECORD_KEY_BYTES] = {0};
    for (size_t i = 0; i < sizeof revs / sizeof revs[0]; i++) {
        char key[RECORD_KEY_BYTES];
        struct rev got;
        record__encode_key(revs[i], key);
        assert_true(memcmp(last, key, sizeof key) < 0);
        memcpy(last, key, sizeof key);
        assert_int_equal(record__decode_key(slice_of(key, sizeof key), &got),
                         ERR_OK);
        assert_int_equal(got.main, revs[i].main);
        assert_int_equal(got.sub, revs[i].sub);
    }
}

static void test_keys_that_are_none(void **state)
{
    (void)state;
    struct rev got;
    char key[RECORD_KEY_BYTES + 1] = {0};
    for (size_t size = 0; size <= sizeof key; size++) {
        key[7] = 1;
        enum err want = size == RECORD_KEY_BYTES ? ERR_OK : ERR_CORRUPT;
        assert_int_equal(record__decode_key(slice_of(key, size), &got), want);
    }
    key[7] = 0;
    assert_int_equal(record__decode_key(slice_of(key, 12), &got), ERR_CORRUPT);
    key[0] = (char)0x80;
    assert_int_equal(record__decode_key(slice_of(key, 12), &got), ERR_CORRUPT);
    key[0] = 0x7f;
    assert_int_equal(record__decode_key(slice_of(key, 12), &got), ERR_OK);
}

/* ---- values -------------------------------------------------------------- */

/* The format as record.h has it: a file of today is read by tomorrow. */
static void test_the_bytes_of_a_plain_record(void **state)
{
    (void)state;
    static const unsigned char want[] = {
        0, 1,   0,    0,                            /* table ... fields */
        0, 0,   0x2a, 0x36, 0xfe, 0x9c, 0x97, 0x17, /* time */
        4, '/', 'k',  'e',  'y',                    /* key */
    };
    struct buf bytes = {0};
    struct record record = plain();
    record__encode(&bytes, &record);
    assert_int_equal(bytes.size, 8 + sizeof want + 5);
    assert_memory_equal(bytes.at + 8, want, sizeof want);
    assert_memory_equal(bytes.at + 25, "value", 5);
    assert_int_equal(get_le32(bytes.at), crc32c(0, bytes.at + 8, sizeof want));
    assert_int_equal(get_le32(bytes.at + 4), crc32c(0, "value", 5));
    buf_deinit(&bytes);
}

static void test_the_bytes_of_a_full_record(void **state)
{
    (void)state;
    static const unsigned char want[] = {
        1,    9,   6, 31,             /* dirs, expire, part+refresh, all */
        5,    0,   0, 0,  0, 0, 0, 0, /* time */
        0xe8, 7,                      /* created 1000 before */
        2,                            /* version */
        1,    7,                      /* one before, sub 7 */
        0x80, 1,                      /* lease 128 */
        3,                            /* expires */
        1,    'k',
    };
    struct record record = {
        .table = MVCC_DIRS,
        .cause = MVCC_EXPIRE,
        .flags = MVCC_PART | MVCC_REFRESH,
        .rev = {1002, 0},
        .create = 2,
        .version = 2,
        .prev = {1001, 7},
        .lease = 128,
        .expire_ns = 3,
        .time_ns = 5,
        .key = slice_str("k"),
        .value = slice_str("v"),
    };
    struct buf bytes = {0};
    record__encode(&bytes, &record);
    assert_int_equal(bytes.size, 8 + sizeof want + 1);
    assert_memory_equal(bytes.at + 8, want, sizeof want);
    buf_deinit(&bytes);
    back_and_forth(&record);
}

static void test_the_bytes_of_a_tombstone(void **state)
{
    (void)state;
    static const unsigned char want[] = {
        0, 2, 1, 4, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1, 'k',
    };
    struct record record = {
        .cause = MVCC_DELETE_RANGE,
        .flags = MVCC_TOMBSTONE,
        .rev = {4, 0},
        .prev = {2, 0},
        .key = slice_str("k"),
    };
    struct buf bytes = {0};
    record__encode(&bytes, &record);
    assert_int_equal(bytes.size, 8 + sizeof want);
    assert_memory_equal(bytes.at + 8, want, sizeof want);
    assert_int_equal(get_le32(bytes.at + 4), 0);
    buf_deinit(&bytes);
    back_and_forth(&record);
}

static void test_each_field_alone(void **state)
{
    (void)state;
    struct record record = plain();
    back_and_forth(&record);
    record.create = 1;
    back_and_forth(&record);
    record = plain();
    record.version = INT64_MAX;
    back_and_forth(&record);
    record = plain();
    record.prev = (struct rev){1000, 2};
    back_and_forth(&record);
    record.prev = (struct rev){1, UINT32_MAX};
    back_and_forth(&record);
    record = plain();
    record.lease = -1;
    back_and_forth(&record);
    record = plain();
    record.expire_ns = INT64_MIN;
    back_and_forth(&record);
    record = plain();
    record.time_ns = -1;
    back_and_forth(&record);
    record = plain();
    record.key = slice_str("");
    back_and_forth(&record);
    record = plain();
    record.value = slice_str("");
    back_and_forth(&record);
    record = plain();
    record.rev.main = record.create = INT64_MAX;
    back_and_forth(&record);
}

static void test_each_cause_and_flag(void **state)
{
    (void)state;
    struct record record = plain();
#define X(name, number, text)   \
    record.cause = MVCC_##name; \
    back_and_forth(&record);
    MVCC_CAUSE_TABLE(X)
#undef X
    for (unsigned flags = 0; flags < 8; flags++) {
        record = plain();
        record.flags = flags;
        if (flags & MVCC_TOMBSTONE) {
            record.create = record.version = 0;
            record.value.size = 0;
        }
        back_and_forth(&record);
    }
}

static void test_random_records(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 11);
    static char bytes[5000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)prng_next(&prng);
    for (int i = 0; i < 20000; i++) {
        int64_t main =
            1 + (int64_t)(prng_next(&prng) >> prng_below(&prng, 63) >> 2);
        bool ends = prng_below(&prng, 4) == 0;
        struct record record = {
            .table = (enum mvcc_table)prng_below(&prng, 2),
            .cause = (enum mvcc_cause)(1 + prng_below(&prng, 11)),
            .flags = (uint32_t)prng_below(&prng, 4) << 1 | ends,
            .rev = {main, 1 + (uint32_t)prng_below(&prng, 1000)},
            .create = ends ? 0 : prng_between(&prng, 1, main),
            .version = ends ? 0 : prng_between(&prng, 1, INT64_MAX),
            .lease = (int64_t)prng_next(&prng),
            .expire_ns = (int64_t)(prng_next(&prng) >> prng_below(&prng, 64)),
            .time_ns = (int64_t)prng_next(&prng),
            .key = slice_of(bytes, prng_below(&prng, 200)),
            .value = slice_of(bytes, ends ? 0 : prng_below(&prng, 5000)),
        };
        if (prng_below(&prng, 2))
            record.prev = (struct rev){prng_between(&prng, 1, main), 0};
        back_and_forth(&record);
    }
}

/* ---- what is no record --------------------------------------------------- */

/* With the checksum made right again, so that the form is what is judged. */
static enum err decode_forged(const struct buf *bytes, size_t key_end)
{
    struct record got;
    put_le32(bytes->at, crc32c(0, bytes->at + 8, key_end - 8));
    return record__decode(buf_slice(bytes), (struct rev){1000, 3},
                          RECORD_CHECK_HEAD, &got);
}

static void test_every_changed_bit_is_seen(void **state)
{
    (void)state;
    struct buf bytes = {0};
    struct record record = plain();
    record.create = 900;
    record.version = 9;
    record.prev = (struct rev){950, 2};
    record__encode(&bytes, &record);
    for (size_t bit = 0; bit < bytes.size * 8; bit++) {
        struct record got;
        bytes.at[bit / 8] ^= (char)(1 << bit % 8);
        assert_int_equal(record__decode(buf_slice(&bytes), record.rev,
                                        RECORD_CHECK_ALL, &got),
                         ERR_CORRUPT);
        assert_true(
            slice_has_prefix(slice_str(err_note()), SLICE("record 1000/3: ")));
        /* Of the value and its checksum a look at the head says nothing. */
        bool of_value = (bit >= 32 && bit < 64) || bit >= (bytes.size - 5) * 8;
        assert_int_equal(record__decode(buf_slice(&bytes), record.rev,
                                        RECORD_CHECK_HEAD, &got),
                         of_value ? ERR_OK : ERR_CORRUPT);
        bytes.at[bit / 8] ^= (char)(1 << bit % 8);
    }
    buf_deinit(&bytes);
}

static void test_every_cut_is_seen(void **state)
{
    (void)state;
    struct buf bytes = {0};
    struct record record = plain();
    record__encode(&bytes, &record);
    for (size_t size = 0; size < bytes.size; size++) {
        struct record got;
        char *exact = mem_dup(bytes.at, size);
        assert_int_equal(record__decode(slice_of(exact, size), record.rev,
                                        RECORD_CHECK_ALL, &got),
                         ERR_CORRUPT);
        mem_free(exact);
    }
    buf_append_char(&bytes, 'x'); /* and a byte more */
    struct record got;
    assert_int_equal(
        record__decode(buf_slice(&bytes), record.rev, RECORD_CHECK_ALL, &got),
        ERR_CORRUPT);
    buf_deinit(&bytes);
}

static void test_numbers_that_mean_nothing(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        unsigned char byte;
    } odd[] = {
        {8, 2},    {8, 255},            /* no such table */
        {9, 0},    {9, 12},   {9, 255}, /* no such cause */
        {10, 8},   {10, 128},           /* no such flag */
        {11, 32},  {11, 255},           /* no such field */
        {10, 1},                        /* a tombstone with a value */
        {20, 200},                      /* a key beyond the end */
    };
    struct buf bytes = {0};
    struct record record = plain();
    record__encode(&bytes, &record);
    assert_int_equal(decode_forged(&bytes, 25), ERR_OK);
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        char before = bytes.at[odd[i].at];
        bytes.at[odd[i].at] = (char)odd[i].byte;
        assert_int_equal(decode_forged(&bytes, 25), ERR_CORRUPT);
        bytes.at[odd[i].at] = before;
    }
    assert_int_equal(decode_forged(&bytes, 25), ERR_OK);
    buf_deinit(&bytes);
}

static enum err decode_fields(unsigned flags, unsigned fields,
                              const char *bytes, size_t size)
{
    struct buf forged = {0};
    char head[20] = {0};
    head[9] = MVCC_PUT;
    head[10] = (char)flags;
    head[11] = (char)fields;
    buf_append(&forged, head, sizeof head);
    buf_append(&forged, bytes, size);
    buf_append_str(&forged, "\1k");
    enum err err = decode_forged(&forged, forged.size);
    buf_deinit(&forged);
    return err;
}

/* Of revision 1000/3. */
static void test_fields_that_cannot_be(void **state)
{
    (void)state;
#define DECODE(flags, fields, bytes) \
    decode_fields(flags, fields, bytes, sizeof(bytes) - 1)
    /* created: 1 to 999 revisions before */
    assert_int_equal(DECODE(0, 1, "\1"), ERR_OK);
    assert_int_equal(DECODE(0, 1, "\xe7\7"), ERR_OK);
    assert_int_equal(DECODE(0, 1, "\xe8\7"), ERR_CORRUPT);
    assert_int_equal(DECODE(0, 1, "\0"), ERR_CORRUPT);
    assert_int_equal(DECODE(MVCC_TOMBSTONE, 1, "\1"), ERR_CORRUPT);
    /* version: 2 and more */
    assert_int_equal(DECODE(0, 2, "\2"), ERR_OK);
    assert_int_equal(DECODE(0, 2, "\1"), ERR_CORRUPT);
    assert_int_equal(DECODE(0, 2, "\0"), ERR_CORRUPT);
    assert_int_equal(DECODE(0, 2, "\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
                     ERR_OK);
    assert_int_equal(DECODE(0, 2, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\1"),
                     ERR_CORRUPT);
    assert_int_equal(DECODE(MVCC_TOMBSTONE, 2, "\2"), ERR_CORRUPT);
    /* predecessor: before this one */
    assert_int_equal(DECODE(0, 4, "\0\2"), ERR_OK);
    assert_int_equal(DECODE(0, 4, "\0\3"), ERR_CORRUPT);
    assert_int_equal(DECODE(0, 4, "\1\3"), ERR_OK);
    assert_int_equal(DECODE(MVCC_TOMBSTONE, 4, "\1\3"), ERR_OK);
    assert_int_equal(DECODE(0, 4, "\xe8\7\0"), ERR_CORRUPT);
    assert_int_equal(DECODE(0, 4, "\1\xff\xff\xff\xff\x0f"), ERR_OK);
    assert_int_equal(DECODE(0, 4, "\1\x80\x80\x80\x80\x10"), ERR_CORRUPT);
    /* lease and expiry: not zero */
    assert_int_equal(DECODE(0, 8, "\1"), ERR_OK);
    assert_int_equal(DECODE(0, 8, "\0"), ERR_CORRUPT);
    assert_int_equal(DECODE(0, 16, "\1"), ERR_OK);
    assert_int_equal(DECODE(0, 16, "\0"), ERR_CORRUPT);
    /* a number that doesn't end */
    assert_int_equal(DECODE(0, 8, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
                     ERR_CORRUPT);
#undef DECODE
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_order_of_keys_is_that_of_revisions),
        cmocka_unit_test(test_keys_that_are_none),
        cmocka_unit_test(test_the_bytes_of_a_plain_record),
        cmocka_unit_test(test_the_bytes_of_a_full_record),
        cmocka_unit_test(test_the_bytes_of_a_tombstone),
        cmocka_unit_test(test_each_field_alone),
        cmocka_unit_test(test_each_cause_and_flag),
        cmocka_unit_test(test_random_records),
        cmocka_unit_test(test_every_changed_bit_is_seen),
        cmocka_unit_test(test_every_cut_is_seen),
        cmocka_unit_test(test_numbers_that_mean_nothing),
        cmocka_unit_test(test_fields_that_cannot_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
