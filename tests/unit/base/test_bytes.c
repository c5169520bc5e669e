#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/prng.h"

/* ---- slices ------------------------------------------------------------- */

static void slices_are_equal_by_their_bytes(void **state)
{
    (void)state;
    assert_true(slice_eq(SLICE("abc"), slice_str("abc")));
    assert_false(slice_eq(SLICE("abc"), SLICE("abd")));
    assert_false(slice_eq(SLICE("abc"), SLICE("ab")));
    assert_true(slice_eq(slice_of(NULL, 0), SLICE("")));
    assert_true(slice_eq(slice_str(NULL), SLICE("")));
    assert_false(slice_eq(SLICE("a\0b"), SLICE("a\0c")));
}

static void a_prefix_is_found_at_the_front_only(void **state)
{
    (void)state;
    assert_true(slice_has_prefix(SLICE("/v2/keys"), SLICE("/v2/")));
    assert_true(slice_has_prefix(SLICE("/v2/"), SLICE("/v2/")));
    assert_true(slice_has_prefix(SLICE("/v2/"), slice_of(NULL, 0)));
    assert_false(slice_has_prefix(SLICE("/v2"), SLICE("/v2/")));
    assert_false(slice_has_prefix(SLICE("x/v2/"), SLICE("/v2/")));
}

static void order_is_bytewise_and_unsigned(void **state)
{
    (void)state;
    const struct slice rising[] = {
        SLICE(""),  SLICE("\0"),   SLICE("a"),    SLICE("a\0"),  SLICE("aa"),
        SLICE("b"), SLICE("\x7f"), SLICE("\x80"), SLICE("\xff"),
    };
    size_t count = sizeof rising / sizeof rising[0];
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count; j++) {
            int order = slice_cmp(rising[i], rising[j]);
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
        }
    }
}

static void case_is_ignored_for_ascii_letters_alone(void **state)
{
    (void)state;
    assert_true(slice_eq_nocase(SLICE("Content-TYPE"), SLICE("content-type")));
    assert_false(slice_eq_nocase(SLICE("content"), SLICE("contents")));
    /* The neighbours of the letters differ by the same bit as the cases. */
    assert_false(slice_eq_nocase(SLICE("@"), SLICE("`")));
    assert_false(slice_eq_nocase(SLICE("["), SLICE("{")));
    assert_false(slice_eq_nocase(SLICE("\xC4"), SLICE("\xE4")));
}

static void find_gives_the_first_place(void **state)
{
    (void)state;
    assert_int_equal(slice_find(SLICE("/a/b"), '/'), 0);
    assert_int_equal(slice_find(SLICE("key=a=b"), '='), 3);
    assert_int_equal(slice_find(SLICE("key"), '='), -1);
    assert_int_equal(slice_find(SLICE("ab\0c"), '\0'), 2);
    assert_int_equal(slice_find(slice_of(NULL, 0), 'a'), -1);
}

/* ---- UTF-8 -------------------------------------------------------------- */

/* The naive twin: decode by the bit patterns, then look at the value. */
static bool naive_utf8(const unsigned char *at, size_t size)
{
    while (size > 0) {
        size_t length = at[0] < 0x80             ? 1
                        : (at[0] & 0xE0) == 0xC0 ? 2
                        : (at[0] & 0xF0) == 0xE0 ? 3
                        : (at[0] & 0xF8) == 0xF0 ? 4
                                                 : 0;
        if (length == 0 || length > size)
            return false;
        static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
        static const uint32_t first_bits[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
        uint32_t code = at[0] & first_bits[length];
        for (size_t i = 1; i < length; i++) {
            if ((at[i] & 0xC0) != 0x80)
                return false;
            code = code << 6 | (at[i] & 0x3F);
        }
        if (code < least[length] || code > 0x10FFFF ||
            (code >= 0xD800 && code <= 0xDFFF))
            return false;
        at += length;
        size -= length;
    }
    return true;
}

static void assert_as_naive(const unsigned char *bytes, size_t size)
{
    if (slice_is_utf8(slice_of(bytes, size)) != naive_utf8(bytes, size))
        fail_msg("differs for %02x %02x %02x %02x, size %zu", bytes[0],
                 bytes[1], bytes[2], bytes[3], size);
}

static void every_sequence_of_up_to_three_bytes_is_judged_right(void **state)
{
    (void)state;
    for (uint32_t n = 0; n < 1u << 24; n += n < 0x10000 ? 1 : 7) {
        unsigned char bytes[4] = {(unsigned char)n, (unsigned char)(n >> 8),
                                  (unsigned char)(n >> 16), 0};
        assert_as_naive(bytes, n > 0xFFFF ? 3 : n > 0xFF ? 2 : 1);
    }
}

static void four_byte_sequences_are_judged_right(void **state)
{
    (void)state;
    static const unsigned char edges[] = {0x00, 0x7F, 0x80, 0x8F, 0x90,
                                          0x9F, 0xA0, 0xBF, 0xC0, 0xFF};
    enum { EDGES = sizeof edges };
    for (unsigned first = 0xE0; first <= 0xFF; first++) {
        for (unsigned n = 0; n < EDGES * EDGES * EDGES; n++) {
            unsigned char bytes[4] = {(unsigned char)first, edges[n % EDGES],
                                      edges[n / EDGES % EDGES],
                                      edges[n / EDGES / EDGES]};
            assert_as_naive(bytes, 4);
        }
    }
}

/* Eight ASCII bytes at a time are passed over: a bad one must be seen
 * wherever it stands among them. */
static void a_bad_byte_is_seen_at_any_place(void **state)
{
    (void)state;
    char text[40];
    for (size_t size = 1; size <= sizeof text; size++) {
        memset(text, 'a', sizeof text);
        assert_true(slice_is_utf8(slice_of(text, size)));
        for (size_t at = 0; at < size; at++) {
            text[at] = (char)0x80;
            assert_false(slice_is_utf8(slice_of(text, size)));
            text[at] = 'a';
        }
    }
    assert_true(slice_is_utf8(slice_of(NULL, 0)));
    assert_true(slice_is_utf8(SLICE("gr\xC3\xBC\xC3\x9F \xE2\x82\xAC")));
    assert_false(slice_is_utf8(SLICE("cut in the euro sign: \xE2\x82")));
}

/* ---- numbers ------------------------------------------------------------ */

static void unsigned_numbers_are_read_strictly(void **state)
{
    (void)state;
    uint64_t n = 7;
    assert_true(slice_to_u64(SLICE("0"), &n) && n == 0);
    assert_true(slice_to_u64(SLICE("007"), &n) && n == 7);
    assert_true(slice_to_u64(SLICE("18446744073709551615"), &n));
    assert_true(n == UINT64_MAX);

    static const char *const bad[] = {
        "",     "-1",
        "+1",   " 1",
        "1 ",   "0x",
        "1.",   "1e3",
        "one",  "18446744073709551616",
        ":",    "/",
        "\xB2", "99999999999999999999999999",
    };
    n = 42;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(slice_to_u64(slice_str(bad[i]), &n));
    assert_false(slice_to_u64(SLICE("1\0"), &n));
    assert_true(n == 42); /* untouched */
}

static void signed_numbers_are_read_strictly(void **state)
{
    (void)state;
    int64_t n = 7;
    assert_true(slice_to_i64(SLICE("-0"), &n) && n == 0);
    assert_true(slice_to_i64(SLICE("-12"), &n) && n == -12);
    assert_true(slice_to_i64(SLICE("9223372036854775807"), &n));
    assert_true(n == INT64_MAX);
    assert_true(slice_to_i64(SLICE("-9223372036854775808"), &n));
    assert_true(n == INT64_MIN);

    static const char *const bad[] = {
        "",   "-",   "--1",
        "+1", "1-",  "9223372036854775808",
        "- ", "- 1", "-9223372036854775809",
    };
    n = 42;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(slice_to_i64(slice_str(bad[i]), &n));
    assert_true(n == 42);
}

static void assert_digits(uint64_t number)
{
    char expected[32];
    int length = snprintf(expected, sizeof expected, "%" PRIu64, number);
    char out[20];
    assert_int_equal(u64_to_text(number, out), length);
    assert_memory_equal(out, expected, (size_t)length);
    uint64_t back;
    assert_true(slice_to_u64(slice_of(out, (size_t)length), &back));
    assert_true(back == number);
}

static void numbers_are_written_as_printf_writes_them(void **state)
{
    (void)state;
    for (uint64_t power = 1;; power *= 10) {
        assert_digits(power - 1);
        assert_digits(power);
        assert_digits(power + 1);
        if (power > UINT64_MAX / 10)
            break;
    }
    assert_digits(UINT64_MAX);
    struct prng prng;
    prng_init(&prng, 1);
    for (int i = 0; i < 20000; i++)
        assert_digits(prng_next(&prng) >> prng_below(&prng, 64));
}

/* ---- fixed and variable width ------------------------------------------- */

static void fixed_width_numbers_have_the_byte_order_they_say(void **state)
{
    (void)state;
    char at[9] = {0}; /* from 1 on: not aligned */
    put_le32(at + 1, 0x01020304);
    assert_memory_equal(at + 1, "\x04\x03\x02\x01", 4);
    assert_int_equal(get_le32(at + 1), 0x01020304);
    put_be32(at + 1, 0x01020304);
    assert_memory_equal(at + 1, "\x01\x02\x03\x04", 4);
    assert_int_equal(get_be32(at + 1), 0x01020304);
    put_le64(at + 1, UINT64_C(0x0102030405060708));
    assert_memory_equal(at + 1, "\x08\x07\x06\x05\x04\x03\x02\x01", 8);
    assert_true(get_le64(at + 1) == UINT64_C(0x0102030405060708));
    put_be64(at + 1, UINT64_C(0x0102030405060708));
    assert_memory_equal(at + 1, "\x01\x02\x03\x04\x05\x06\x07\x08", 8);
    assert_true(get_be64(at + 1) == UINT64_C(0x0102030405060708));
}

static void varints_are_those_of_protobuf(void **state)
{
    (void)state;
    char out[VARINT_BYTES_MAX];
    assert_int_equal(put_varint(out, 0), 1);
    assert_memory_equal(out, "\0", 1);
    assert_int_equal(put_varint(out, 127), 1);
    assert_memory_equal(out, "\x7F", 1);
    assert_int_equal(put_varint(out, 128), 2);
    assert_memory_equal(out, "\x80\x01", 2);
    assert_int_equal(put_varint(out, 300), 2);
    assert_memory_equal(out, "\xAC\x02", 2);
    assert_int_equal(put_varint(out, UINT64_MAX), 10);
    assert_memory_equal(out, "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", 10);
}

static void a_varint_comes_back_and_not_from_less(void **state)
{
    (void)state;
    for (int bits = 0; bits <= 64; bits++) {
        uint64_t number = bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
        char out[VARINT_BYTES_MAX + 1];
        size_t size = put_varint(out, number);
        assert_int_equal(size, bits == 0 ? 1 : (bits + 6) / 7);
        out[size] = 'x';

        uint64_t back = 0;
        const char *at = out;
        assert_true(get_varint(&at, out + size + 1, &back));
        assert_true(back == number);
        assert_ptr_equal(at, out + size);
        for (size_t less = 0; less < size; less++) {
            at = out;
            assert_false(get_varint(&at, out + less, &back));
            assert_ptr_equal(at, out);
        }
    }
}

static void a_varint_of_more_than_64_bits_is_refused(void **state)
{
    (void)state;
    uint64_t out = 42;
    static const char two_too_many[] =
        "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x02";
    const char *at = two_too_many;
    assert_false(get_varint(&at, two_too_many + 10, &out));
    static const char eleven[] = "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01";
    at = eleven;
    assert_false(get_varint(&at, eleven + 11, &out));
    assert_true(out == 42);
    /* Longer than need be, but of 64 bits: protobuf takes it, so do we. */
    static const char padded[] = "\x81\x80\x00";
    at = padded;
    assert_true(get_varint(&at, padded + 3, &out));
    assert_true(out == 1);
    assert_ptr_equal(at, padded + 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_are_equal_by_their_bytes),
        cmocka_unit_test(a_prefix_is_found_at_the_front_only),
        cmocka_unit_test(order_is_bytewise_and_unsigned),
        cmocka_unit_test(case_is_ignored_for_ascii_letters_alone),
        cmocka_unit_test(find_gives_the_first_place),
        cmocka_unit_test(every_sequence_of_up_to_three_bytes_is_judged_right),
        cmocka_unit_test(four_byte_sequences_are_judged_right),
        cmocka_unit_test(a_bad_byte_is_seen_at_any_place),
        cmocka_unit_test(unsigned_numbers_are_read_strictly),
        cmocka_unit_test(signed_numbers_are_read_strictly),
        cmocka_unit_test(numbers_are_written_as_printf_writes_them),
        cmocka_unit_test(fixed_width_numbers_have_the_byte_order_they_say),
        cmocka_unit_test(varints_are_those_of_protobuf),
        cmocka_unit_test(a_varint_comes_back_and_not_from_less),
        cmocka_unit_test(a_varint_of_more_than_64_bits_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
