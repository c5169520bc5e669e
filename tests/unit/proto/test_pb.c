/* The protobuf wire format: what protoc's own documentation gives as examples,
 * and what must be refused. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/prng.h"
#include "proto/pb.h"

static void numbers_are_varints(void **state)
{
    (void)state;
    struct buf out = {0};
    pb_put_u64(&out, 1, 150);
    assert_int_equal(out.size, 3);
    assert_memory_equal(out.at, "\x08\x96\x01", 3);
    buf_deinit(&out);
}

static void text_has_its_length_before_it(void **state)
{
    (void)state;
    struct buf out = {0};
    pb_put_bytes(&out, 2, SLICE("testing"));
    assert_int_equal(out.size, 9);
    assert_memory_equal(out.at, "\x12\x07testing", 9);
    buf_deinit(&out);
}

static void zero_is_left_out(void **state)
{
    (void)state;
    struct buf out = {0};
    pb_put_u64(&out, 1, 0);
    pb_put_i64(&out, 1, 0);
    pb_put_bool(&out, 1, false);
    pb_put_bytes(&out, 1, SLICE(""));
    assert_int_equal(out.size, 0);
    pb_put_bytes_always(&out, 1, SLICE(""));
    assert_int_equal(out.size, 2);
    buf_deinit(&out);
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    struct buf out = {0};
    struct pb_reader reader;
    struct pb_field field;
    pb_put_i64(&out, 1, -1);
    pb_put_bool(&out, 2, true);
    pb_put_bytes(&out, 536870911, SLICE("far")); /* the largest number */
    pb_reader_init(&reader, buf_slice(&out));
    assert_true(pb_next(&reader, &field));
    assert_int_equal(field.number, 1);
    assert_int_equal((int64_t)field.value, -1);
    assert_true(pb_next(&reader, &field));
    assert_int_equal(field.number, 2);
    assert_int_equal(field.value, 1);
    assert_true(pb_next(&reader, &field));
    assert_int_equal(field.number, 536870911);
    assert_int_equal(field.type, PB_BYTES);
    assert_memory_equal(field.bytes.at, "far", 3);
    assert_false(pb_next(&reader, &field));
    assert_false(reader.failed);
    buf_deinit(&out);
}

static void fixed_widths_are_read(void **state)
{
    (void)state;
    struct pb_reader reader;
    struct pb_field field;
    pb_reader_init(&reader, SLICE("\x09\x01\0\0\0\0\0\0\x80\x15\x02\0\0\x80"));
    assert_true(pb_next(&reader, &field));
    assert_int_equal(field.type, PB_FIXED64);
    assert_true(field.value == 0x8000000000000001u);
    assert_true(pb_next(&reader, &field));
    assert_int_equal(field.type, PB_FIXED32);
    assert_int_equal(field.number, 2);
    assert_true(field.value == 0x80000002u);
    assert_false(pb_next(&reader, &field));
    assert_false(reader.failed);
}

static void malformed_input_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        struct slice input;
    } cases[] = {
        {"a tag without a value", {"\x08", 1}},
        {"a varint that doesn't end", {"\x08\x80\x80", 3}},
        {"a varint of 11 bytes",
         {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12}},
        {"field number 0", {"\x00\x01", 2}},
        {"a length beyond the end",
         {"\x12\x05"
          "abc",
          5}},
        {"a length of 2^64-1",
         {"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11}},
        {"fixed 64 cut short", {"\x09\x01\x02", 3}},
        {"fixed 32 cut short", {"\x15\x01", 2}},
        {"a group's start (deprecated)", {"\x0b", 1}},
        {"wire type 6", {"\x0e\x01", 2}},
        {"a field number over 32 bits", {"\x80\x80\x80\x80\x80\x01\x01", 7}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pb_reader reader;
        struct pb_field field;
        pb_reader_init(&reader, cases[i].input);
        while (pb_next(&reader, &field)) {
        }
        if (!reader.failed) {
            fail_msg("accepted: %s", cases[i].why);
        }
        assert_false(pb_next(&reader, &field)); /* and it stays failed */
    }
}

/* Random fields, written and read back in order. */
static void random_fields_come_back(void **state)
{
    (void)state;
    enum { ROUNDS = 500, FIELDS = 40 };
    struct prng prng;
    struct buf out = {0};
    prng_init(&prng, 21);
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t numbers[FIELDS];
        size_t sizes[FIELDS];
        buf_reset(&out);
        for (uint32_t i = 0; i < FIELDS; i++) {
            numbers[i] = prng_next(&prng) >> prng_below(&prng, 64);
            sizes[i] = prng_below(&prng, 300);
            char *text = mem_alloc(sizes[i] + 1);
            memset(text, (int)('a' + i % 26), sizes[i] + 1);
            pb_put_u64(&out, i + 1, numbers[i]);
            pb_put_bytes_always(&out, 1000 + i, slice_of(text, sizes[i]));
            mem_free(text);
        }
        struct pb_reader reader;
        struct pb_field field;
        pb_reader_init(&reader, buf_slice(&out));
        for (uint32_t i = 0; i < FIELDS; i++) {
            if (numbers[i] != 0) {
                assert_true(pb_next(&reader, &field));
                assert_int_equal(field.number, i + 1);
                assert_true(field.value == numbers[i]);
            }
            assert_true(pb_next(&reader, &field));
            assert_int_equal(field.number, 1000 + i);
            assert_int_equal(field.bytes.size, sizes[i]);
            assert_true(sizes[i] == 0 ||
                        field.bytes.at[sizes[i] - 1] == (char)('a' + i % 26));
        }
        assert_false(pb_next(&reader, &field));
        assert_false(reader.failed);
    }
    buf_deinit(&out);
}

/* Cut anywhere, the reader fails or ends early; it never reads on. */
static void cut_anywhere_it_ends(void **state)
{
    (void)state;
    struct buf out = {0};
    pb_put_u64(&out, 1, 300);
    pb_put_bytes(&out, 2, SLICE("some bytes"));
    pb_put_u64(&out, 3, UINT64_MAX);
    for (size_t size = 0; size < out.size; size++) {
        struct pb_reader reader;
        struct pb_field field;
        size_t count = 0;
        char *copy = mem_dup(out.at, size);
        pb_reader_init(&reader, slice_of(copy, size));
        while (pb_next(&reader, &field)) {
            count++;
        }
        assert_true(count < 3);
        mem_free(copy);
    }
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_varints),
        cmocka_unit_test(text_has_its_length_before_it),
        cmocka_unit_test(zero_is_left_out),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(fixed_widths_are_read),
        cmocka_unit_test(malformed_input_is_refused),
        cmocka_unit_test(random_fields_come_back),
        cmocka_unit_test(cut_anywhere_it_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
