/* JSON strings, byte for byte as Go's encoding/json (1.19) has them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/prng.h"
#include "doc/json_write.h"

static void expect(struct slice text, const char *wanted)
{
    /* A copy of the very size shows a sanitizer what is read beyond it. */
    char *copy = mem_dup(text.at, text.size);
    struct buf out = {0};
    buf_append_str(&out, "=");
    json_write_string(&out, slice_of(copy, text.size));
    buf_append_char(&out, '\0');
    assert_string_equal(out.at + 1, wanted);
    buf_deinit(&out);
    mem_free(copy);
}

static void plain_text_is_copied(void **state)
{
    (void)state;
    expect(SLICE(""), "\"\"");
    expect(SLICE("hello world"), "\"hello world\"");
    expect(SLICE("/a/b-c_d.e?f=g#h~'`"), "\"/a/b-c_d.e?f=g#h~'`\"");
    expect(SLICE("\x7f"), "\"\x7f\"");
    expect(slice_of(NULL, 0), "\"\"");
}

static void quotes_and_control_characters_are_escaped(void **state)
{
    (void)state;
    expect(SLICE("say \"hi\"\\"), "\"say \\\"hi\\\"\\\\\"");
    expect(SLICE("a\nb\rc\td"), "\"a\\nb\\rc\\td\"");
    expect(SLICE("\b\f"), "\"\\u0008\\u000c\"");
    expect(SLICE("\0"), "\"\\u0000\"");
    expect(SLICE("\x01\x1f"), "\"\\u0001\\u001f\"");
}

static void what_html_could_trip_over_is_escaped(void **state)
{
    (void)state;
    expect(SLICE("<a href=x>&"), "\"\\u003ca href=x\\u003e\\u0026\"");
    expect(SLICE("1\xe2\x80\xa8"
                 "2\xe2\x80\xa9"
                 "3"),
           "\"1\\u20282\\u20293\"");
}

static void well_formed_utf8_is_copied(void **state)
{
    (void)state;
    expect(SLICE("é"), "\"é\"");
    expect(SLICE("键值"), "\"键值\"");
    expect(SLICE("\xe2\x80\xa7\xe2\x80\xaa"), "\"\xe2\x80\xa7\xe2\x80\xaa\"");
    expect(SLICE("\xf0\x9f\x8c\xb3"), "\"\xf0\x9f\x8c\xb3\"");
    expect(SLICE("\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80"
                 "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"),
           "\"\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80"
           "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"");
}

static void each_byte_that_is_no_utf8_becomes_one_mark(void **state)
{
    (void)state;
    expect(SLICE("a\xff"
                 "b"),
           "\"a\\ufffdb\"");
    /* A tail alone, a lead alone, a lead cut short at the end. */
    expect(SLICE("\x80"), "\"\\ufffd\"");
    expect(SLICE("\xc3("), "\"\\ufffd(\"");
    expect(SLICE("\xe9\x94"), "\"\\ufffd\\ufffd\"");
    expect(SLICE("\xf0\x9f\x8c"), "\"\\ufffd\\ufffd\\ufffd\"");
    /* Overlongs, surrogates, beyond U+10FFFF. */
    expect(SLICE("\xc0\xaf"), "\"\\ufffd\\ufffd\"");
    expect(SLICE("\xe0\x9f\xbf"), "\"\\ufffd\\ufffd\\ufffd\"");
    expect(SLICE("\xed\xa0\x80"), "\"\\ufffd\\ufffd\\ufffd\"");
    expect(SLICE("\xf0\x8f\xbf\xbf"), "\"\\ufffd\\ufffd\\ufffd\\ufffd\"");
    expect(SLICE("\xf4\x90\x80\x80"), "\"\\ufffd\\ufffd\\ufffd\\ufffd\"");
    expect(SLICE("\xf5\x80"), "\"\\ufffd\\ufffd\"");
}

/* Every byte by itself between two letters, against the rule said anew. */
static void every_single_byte_follows_the_rule(void **state)
{
    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        char text[3] = {'x', (char)byte, 'y'};
        struct buf wanted = {0};
        buf_append_str(&wanted, "\"x");
        if (byte == '"' || byte == '\\') {
            buf_printf(&wanted, "\\%c", byte);
        } else if (byte == '\n' || byte == '\r' || byte == '\t') {
            buf_append_str(&wanted, byte == '\n'   ? "\\n"
                                    : byte == '\r' ? "\\r"
                                                   : "\\t");
        } else if (byte < 0x20 || byte == '<' || byte == '>' || byte == '&') {
            buf_printf(&wanted, "\\u%04x", (unsigned)byte);
        } else if (byte >= 0x80) {
            buf_append_str(&wanted, "\\ufffd");
        } else {
            buf_append_char(&wanted, (char)byte);
        }
        buf_append(&wanted, "y\"", 3);
        expect(slice_of(text, 3), wanted.at);
        buf_deinit(&wanted);
    }
}

static void a_long_text_keeps_its_length(void **state)
{
    (void)state;
    struct buf text = {0};
    for (int i = 0; i < 100000; i++) {
        buf_append_str(&text, i % 1000 ? "k" : "<");
    }
    struct buf out = {0};
    json_write_string(&out, buf_slice(&text));
    assert_int_equal(out.size, 2 + 100000 + 100 * 5);
    buf_deinit(&out);
    buf_deinit(&text);
}

static void base64_is_the_standard_one_with_padding(void **state)
{
    (void)state;
    /* RFC 4648, section 10. */
    static const char *const pairs[][2] = {
        {"", "\"\""},
        {"f", "\"Zg==\""},
        {"fo", "\"Zm8=\""},
        {"foo", "\"Zm9v\""},
        {"foob", "\"Zm9vYg==\""},
        {"fooba", "\"Zm9vYmE=\""},
        {"foobar", "\"Zm9vYmFy\""},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        struct buf out = {0};
        json_write_base64(&out, slice_str(pairs[i][0]));
        buf_append_char(&out, '\0');
        assert_string_equal(out.at, pairs[i][1]);
        buf_deinit(&out);
    }
    struct buf out = {0};
    json_write_base64(&out, SLICE("\xfb\xff\xbf\0"));
    buf_append_char(&out, '\0');
    assert_string_equal(out.at, "\"+/+/AA==\"");
    buf_deinit(&out);
}

static void what_was_in_the_buffer_stays(void **state)
{
    (void)state;
    struct buf out = {0};
    buf_append_str(&out, "{");
    json_write_string(&out, SLICE("k"));
    buf_append_str(&out, ":");
    json_write_base64(&out, SLICE("v"));
    buf_append(&out, "}", 2);
    assert_string_equal(out.at, "{\"k\":\"dg==\"}");
    buf_deinit(&out);
}

/* ---- a naive twin ------------------------------------------------------ */

/* One rune as Go decodes it: its size, and 0xfffd with size 1 for a byte that
 * is none. Written from the ranges alone, unlike the table in the source. */
static size_t decode(const unsigned char *at, size_t left, uint32_t *rune)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t size = at[0] < 0x80             ? 1
                  : (at[0] & 0xe0) == 0xc0 ? 2
                  : (at[0] & 0xf0) == 0xe0 ? 3
                  : (at[0] & 0xf8) == 0xf0 ? 4
                                           : 0;
    *rune = 0xfffd;
    if (size == 0 || size > left) {
        return 1;
    }
    uint32_t value = size == 1 ? at[0] : at[0] & (0x7fU >> size);
    for (size_t i = 1; i < size; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            return 1;
        }
        value = value << 6 | (at[i] & 0x3f);
    }
    if (value < least[size] || value > 0x10ffff ||
        (value >= 0xd800 && value < 0xe000)) {
        return 1;
    }
    *rune = value;
    return size;
}

static void write_naively(struct buf *out, struct slice text)
{
    const unsigned char *at = (const unsigned char *)text.at;
    buf_append_char(out, '"');
    for (size_t i = 0; i < text.size;) {
        uint32_t rune;
        size_t size = decode(at + i, text.size - i, &rune);
        if (rune == 0xfffd && size == 1) {
            buf_append_str(out, "\\ufffd");
        } else if (rune == 0x2028 || rune == 0x2029 || rune == '<' ||
                   rune == '>' || rune == '&') {
            buf_printf(out, "\\u%04x", rune);
        } else if (rune == '"' || rune == '\\') {
            buf_printf(out, "\\%c", (char)rune);
        } else if (rune < 0x20) {
            const char *letter = rune == '\n'   ? "\\n"
                                 : rune == '\r' ? "\\r"
                                 : rune == '\t' ? "\\t"
                                                : NULL;
            if (letter) {
                buf_append_str(out, letter);
            } else {
                buf_printf(out, "\\u%04x", rune);
            }
        } else {
            buf_append(out, at + i, size);
        }
        i += size;
    }
    buf_append_char(out, '"');
}

/* Random bytes, most of them such as stand near an edge of some rule. */
static size_t make_text(struct prng *prng, char *text, size_t size_max)
{
    static const unsigned char edges[] = {
        0x00, 0x09, 0x0a, 0x0d, 0x1f, 0x20, '"',  '\\', '<',  '>',  '&',  0x7f,
        0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xa7, 0xa8, 0xa9, 0xaa, 0xbf, 0xc0, 0xc1,
        0xc2, 0xdf, 0xe0, 0xe2, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xff};
    size_t size = (size_t)prng_below(prng, size_max + 1);
    for (size_t i = 0; i < size; i++) {
        text[i] = prng_below(prng, 4)
                      ? (char)edges[prng_below(prng, sizeof edges)]
                      : (char)prng_below(prng, 256);
    }
    return size;
}

static void random_bytes_are_written_as_the_twin_does(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 5);
    struct buf out = {0};
    struct buf wanted = {0};
    for (int i = 0; i < 20000; i++) {
        char text[24];
        size_t size = make_text(&prng, text, sizeof text);
        buf_reset(&out);
        buf_reset(&wanted);
        char *copy = mem_dup(text, size);
        json_write_string(&out, slice_of(copy, size));
        mem_free(copy);
        write_naively(&wanted, slice_of(text, size));
        assert_int_equal(out.size, wanted.size);
        assert_memory_equal(out.at, wanted.at, wanted.size);
        assert_true(slice_is_utf8(buf_slice(&out)));
    }
    buf_deinit(&out);
    buf_deinit(&wanted);
}

static void all_runes_are_written_as_the_twin_does(void **state)
{
    (void)state;
    struct buf out = {0};
    struct buf wanted = {0};
    for (uint32_t rune = 0x80; rune < 0x800; rune++) {
        char text[2] = {(char)(0xc0 | rune >> 6), (char)(0x80 | (rune & 63))};
        buf_reset(&out);
        json_write_string(&out, slice_of(text, 2));
        assert_int_equal(out.size, 4);
    }
    for (uint32_t rune = 0x800; rune < 0x10000; rune++) {
        char text[3] = {(char)(0xe0 | rune >> 12),
                        (char)(0x80 | (rune >> 6 & 63)),
                        (char)(0x80 | (rune & 63))};
        buf_reset(&out);
        buf_reset(&wanted);
        json_write_string(&out, slice_of(text, 3));
        write_naively(&wanted, slice_of(text, 3));
        assert_true(slice_eq(buf_slice(&out), buf_slice(&wanted)));
    }
    buf_deinit(&out);
    buf_deinit(&wanted);
}

/* Base64 back to bytes, the slow way. */
static void random_bytes_come_back_from_base64(void **state)
{
    (void)state;
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz0123456789+/";
    struct prng prng;
    prng_init(&prng, 6);
    struct buf out = {0};
    for (int i = 0; i < 5000; i++) {
        char bytes[50];
        size_t size = make_text(&prng, bytes, sizeof bytes);
        buf_reset(&out);
        json_write_base64(&out, slice_of(bytes, size));
        assert_int_equal(out.size, (size + 2) / 3 * 4 + 2);
        uint32_t bits = 0;
        int count = 0;
        size_t found = 0;
        for (size_t at = 1; out.at[at] != '"' && out.at[at] != '='; at++) {
            const char *digit = strchr(digits, out.at[at]);
            assert_non_null(digit);
            bits = bits << 6 | (uint32_t)(digit - digits);
            count += 6;
            if (count >= 8) {
                count -= 8;
                assert_true(found < size);
                assert_int_equal(bits >> count & 0xff,
                                 (unsigned char)bytes[found]);
                found++;
            }
        }
        assert_int_equal(found, size);
    }
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_text_is_copied),
        cmocka_unit_test(quotes_and_control_characters_are_escaped),
        cmocka_unit_test(what_html_could_trip_over_is_escaped),
        cmocka_unit_test(well_formed_utf8_is_copied),
        cmocka_unit_test(each_byte_that_is_no_utf8_becomes_one_mark),
        cmocka_unit_test(every_single_byte_follows_the_rule),
        cmocka_unit_test(a_long_text_keeps_its_length),
        cmocka_unit_test(base64_is_the_standard_one_with_padding),
        cmocka_unit_test(what_was_in_the_buffer_stays),
        cmocka_unit_test(random_bytes_are_written_as_the_twin_does),
        cmocka_unit_test(all_runes_are_written_as_the_twin_does),
        cmocka_unit_test(random_bytes_come_back_from_base64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
