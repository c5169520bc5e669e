/* Text as Go has it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "cmd/etchctl/go_text.h"

static void expect_quoted(struct slice text, const char *quoted)
{
    struct buf out = {0};

    go_quote(&out, text);
    buf_append_char(&out, '\0');
    assert_string_equal(out.at, quoted);
    buf_deinit(&out);
}

static void quoted_text(void **state)
{
    (void)state;
    expect_quoted(SLICE(""), "\"\"");
    expect_quoted(SLICE("plain text"), "\"plain text\"");
    expect_quoted(SLICE("a\"b\\c'd"), "\"a\\\"b\\\\c'd\"");
    expect_quoted(SLICE("\a\b\f\n\r\t\v"), "\"\\a\\b\\f\\n\\r\\t\\v\"");
    expect_quoted(SLICE("\x01\x1f\x7f"), "\"\\x01\\x1f\\x7f\"");
    expect_quoted(SLICE("a\0b"), "\"a\\x00b\"");
    expect_quoted(SLICE("täxt ☃ 𝄞"), "\"täxt ☃ 𝄞\"");
    expect_quoted(SLICE("\xc2\x85\xc2\xa0"), "\"\\u0085\\u00a0\"");
    expect_quoted(SLICE("\xef\xbb\xbf"), "\"\\ufeff\"");
    expect_quoted(SLICE("\xf3\xa0\x80\x81"), "\"\\U000e0001\"");
    /* What is no UTF-8: a lone byte, an overlong one, a surrogate, cut off. */
    expect_quoted(SLICE("\xff"), "\"\\xff\"");
    expect_quoted(SLICE("\xc0\x80"), "\"\\xc0\\x80\"");
    expect_quoted(SLICE("\xed\xa0\x80"), "\"\\xed\\xa0\\x80\"");
    expect_quoted(SLICE("\xe2\x98"), "\"\\xe2\\x98\"");
}

static void expect_unquoted(const char *text, const char *plain, size_t size,
                            size_t used)
{
    struct buf out = {0};
    size_t got;

    assert_true(go_unquote(slice_str(text), &got, &out));
    assert_int_equal(got, used);
    assert_int_equal(out.size, size);
    if (size > 0)
        assert_memory_equal(out.at, plain, size);
    buf_deinit(&out);
}

static void expect_no_quotes(const char *text)
{
    struct buf out = {0};
    size_t used;

    assert_false(go_unquote(slice_str(text), &used, &out));
    buf_deinit(&out);
}

static void unquoted_text(void **state)
{
    (void)state;
    expect_unquoted("\"\"", "", 0, 2);
    expect_unquoted("\"abc\") = ", "abc", 3, 5);
    expect_unquoted("`a\\n\"b`x", "a\\n\"b", 5, 7);
    expect_unquoted("\"\\x41\\101\\n\\\"\"", "AA\n\"", 4, 14);
    expect_unquoted("\"\\u00e4\\U0001d11e\"", "ä𝄞", 6, 18);
    expect_no_quotes("abc");
    expect_no_quotes("");
    expect_no_quotes("\"abc");
    expect_no_quotes("`abc");
    expect_no_quotes("\"a\\");
    expect_no_quotes("\"\\q\"");
    expect_no_quotes("\"\\x4\"");
    expect_no_quotes("\"\\400\"");
    expect_no_quotes("\"\\ud800\"");
    expect_no_quotes("\"\\U00110000\"");
    expect_no_quotes("\"a\nb\"");
}

static void what_is_quoted_can_be_unquoted(void **state)
{
    (void)state;
    for (int first = 0; first < 256; first++) {
        for (int second = 0; second < 256; second += 5) {
            const char text[] = {(char)first, (char)second, 'x'};
            struct buf quoted = {0};
            struct buf plain = {0};
            size_t used;
            go_quote(&quoted, slice_of(text, 3));
            assert_true(go_unquote(buf_slice(&quoted), &used, &plain));
            assert_int_equal(used, quoted.size);
            assert_int_equal(plain.size, 3);
            assert_memory_equal(plain.at, text, 3);
            buf_deinit(&quoted);
            buf_deinit(&plain);
        }
    }
}

static void expect_int(const char *text, int base, int64_t number)
{
    int64_t out;

    assert_int_equal(go_parse_int(text, base, &out), ERR_OK);
    assert_true(out == number);
}

static void expect_no_int(const char *text, int base, const char *note)
{
    int64_t out = 77;

    assert_int_not_equal(go_parse_int(text, base, &out), ERR_OK);
    assert_string_equal(err_note(), note);
    assert_int_equal(out, 77);
}

static void numbers(void **state)
{
    (void)state;
    uint64_t number;

    expect_int("0", 10, 0);
    expect_int("-12", 10, -12);
    expect_int("+12", 10, 12);
    expect_int("ff", 16, 255);
    expect_int("FF", 16, 255);
    expect_int("0x1f", 0, 31);
    expect_int("010", 0, 8);
    expect_int("0b101", 0, 5);
    expect_int("0o17", 0, 15);
    expect_int("9223372036854775807", 10, INT64_MAX);
    expect_int("-9223372036854775808", 10, INT64_MIN);
    expect_no_int("", 10, "strconv.ParseInt: parsing \"\": invalid syntax");
    expect_no_int("zz", 16, "strconv.ParseInt: parsing \"zz\": invalid syntax");
    expect_no_int("0x12", 16,
                  "strconv.ParseInt: parsing \"0x12\": invalid syntax");
    expect_no_int("9223372036854775808", 10,
                  "strconv.ParseInt: parsing \"9223372036854775808\": value "
                  "out of range");
    expect_no_int("99999999999999999999999", 10,
                  "strconv.ParseInt: parsing \"99999999999999999999999\": "
                  "value out of range");
    assert_int_equal(go_parse_uint("ffffffffffffffff", 16, &number), ERR_OK);
    assert_true(number == UINT64_MAX);
    assert_int_equal(go_parse_uint("-1", 16, &number), ERR_INVALID);
    assert_string_equal(err_note(),
                        "strconv.ParseUint: parsing \"-1\": invalid syntax");
}

static void expect_split(const char *line, const char *const *parts,
                         size_t count)
{
    struct arena arena;
    struct words words;

    arena_init(&arena, 0);
    assert_int_equal(go_split(&arena, slice_str(line), &words), ERR_OK);
    assert_int_equal(words.count, count);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(words.at[i], parts[i]);
    arena_deinit(&arena);
}

#define SPLIT(line, ...)                                      \
    expect_split(line, (const char *const[]){__VA_ARGS__},    \
                 sizeof((const char *const[]){__VA_ARGS__}) / \
                     sizeof(const char *))

static void the_words_of_a_line(void **state)
{
    (void)state;
    struct arena arena;
    struct words words;

    expect_split("", NULL, 0);
    expect_split(" \t ", NULL, 0);
    SPLIT("put key value", "put", "key", "value");
    SPLIT("  put\tkey  ", "put", "key");
    SPLIT("put \"a key\" 'a value'", "put", "a key", "a value");
    SPLIT("put \"a\\\"b\" '\\n'", "put", "a\"b", "\\n");
    SPLIT("x=\"a b\"", "x=\"a", "b\"");
    SPLIT("\"\" ''", "", "");
    /* Quotes that aren't closed. */
    SPLIT("put \"abc def", "put", "abc", "def");
    SPLIT("it's", "it's");

    arena_init(&arena, 0);
    assert_int_equal(go_split(&arena, SLICE("put \"\\q\""), &words),
                     ERR_INVALID);
    arena_deinit(&arena);
}

static void expect_size(uint64_t bytes, const char *text)
{
    struct buf out = {0};

    go_size(&out, bytes);
    buf_append_char(&out, '\0');
    assert_string_equal(out.at, text);
    buf_deinit(&out);
}

static void sizes(void **state)
{
    (void)state;
    expect_size(0, "0 B");
    expect_size(9, "9 B");
    expect_size(10, "10 B");
    expect_size(999, "999 B");
    expect_size(1000, "1.0 kB");
    expect_size(20480, "20 kB");
    expect_size(9949, "9.9 kB");
    expect_size(1140000, "1.1 MB");
    expect_size(8000000000ULL, "8.0 GB");
    expect_size(UINT64_MAX, "18 EB");
}

static void errors(void **state)
{
    (void)state;
    struct arena arena;

    arena_init(&arena, 0);
    assert_string_equal(go_error(&arena, ENOENT), "no such file or directory");
    assert_string_equal(go_error(&arena, EACCES), "permission denied");
    arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quoted_text),
        cmocka_unit_test(unquoted_text),
        cmocka_unit_test(what_is_quoted_can_be_unquoted),
        cmocka_unit_test(numbers),
        cmocka_unit_test(the_words_of_a_line),
        cmocka_unit_test(sizes),
        cmocka_unit_test(errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
