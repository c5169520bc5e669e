/* Wildcards: a table, and random ones against a twin that tries everything. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/prng.h"
#include "expr/expr.h"
#include "expr/glob_int.h"

static bool matches(const char *pattern, const char *text)
{
    return glob_matches(slice_str(pattern), slice_str(text));
}

static void wildcards_mean_what_they_say(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        const char *text;
        bool expected;
    } table[] = {
        {"", "", true},
        {"", "a", false},
        {"a", "", false},
        {"abc", "abc", true},
        {"abc", "abcd", false},
        {"*", "", true},
        {"*", "abc", true},
        {"*", "a/b", false},
        {"**", "a/b", true},
        {"***", "a/b", true},
        {"/a/*", "/a/b", true},
        {"/a/*", "/a/", true},
        {"/a/*", "/a/b/c", false},
        {"/a/*/c", "/a/b/c", true},
        {"/a/*/c", "/a/b/x/c", false},
        {"/a/**/c", "/a/b/x/c", true},
        {"/a/**c", "/a/c", true},
        {"/**/*.conf", "/x/y/z.conf", true},
        {"/**/*.conf", "/x/y/z.conf/w", false},
        {"*a*b*", "xxaxxbxx", true},
        {"*a*b*", "xxbxxaxx", false},
        {"a?c", "abc", true},
        {"a?c", "ac", false},
        {"a?c", "a/c", false},
        {"[a-c]x", "bx", true},
        {"[a-c]x", "dx", false},
        {"[!a-c]x", "dx", true},
        {"[^a-c]x", "dx", true},
        {"[!a-c]x", "bx", false},
        {"[!a]", "/", false},
        {"[abc-]", "-", true},
        {"[]a]", "]", true},
        {"[!]a]", "b", true},
        {"[!]a]", "]", false},
        {"[a-", "[a-", true},
        {"[", "[", true},
        {"[]", "[]", true},
        {"[z-a]", "m", false},
        {"*[0-9]", "web7", true},
        {"*[0-9]", "web", false},
        {"**[0-9]", "a/b/7", true},
        {"*", "\xff\xfe", true},
        {"\\*", "\\abc", true},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (matches(table[i].pattern, table[i].text) != table[i].expected)
            fail_msg("'%s' on '%s'", table[i].pattern, table[i].text);
    }
}

/* ---- the twin ----------------------------------------------------------- */

static bool slow(const char *pattern, const char *text)
{
    if (*pattern == '\0')
        return *text == '\0';
    if (*pattern == '*') {
        bool is_any = pattern[1] == '*';
        while (*pattern == '*')
            pattern++;
        for (;; text++) {
            if (slow(pattern, text))
                return true;
            if (*text == '\0' || (*text == '/' && !is_any))
                return false;
        }
    }
    if (*text == '\0')
        return false;
    if (pattern[0] == '[' && pattern[1] == 'a' && pattern[2] == ']')
        return *text == 'a' && slow(pattern + 3, text + 1);
    bool is_one = *pattern == '?' ? *text != '/' : *pattern == *text;
    return is_one && slow(pattern + 1, text + 1);
}

static void random_ones_agree_with_trying_everything(void **state)
{
    (void)state;
    static const char *const pieces[] = {"a", "b", "/", "*", "**", "?", "[a]"};
    static const char letters[] = "aab/";
    struct prng prng;
    prng_init(&prng, 11);
    size_t matched = 0;
    for (int i = 0; i < 50000; i++) {
        char pattern[32] = "", text[12] = "";
        size_t at = 0;
        for (uint64_t n = prng_next(&prng) % 7; n > 0; n--) {
            const char *piece = pieces[prng_next(&prng) % 7];
            memcpy(pattern + at, piece, strlen(piece));
            at += strlen(piece);
        }
        size_t size = prng_next(&prng) % 9;
        for (size_t k = 0; k < size; k++)
            text[k] = letters[prng_next(&prng) % 4];
        bool expected = slow(pattern, text);
        if (matches(pattern, text) != expected)
            fail_msg("'%s' on '%s'", pattern, text);
        matched += expected;
    }
    assert_true(matched > 5000); /* it isn't all "no" */
}

/* ---- limits ------------------------------------------------------------- */

/* With going back and trying again this would take longer than there is. */
static void many_stars_on_a_long_text_take_no_time(void **state)
{
    (void)state;
    enum { STARS = 100, LETTERS = 20000 };
    struct buf pattern = {0}, text = {0};
    for (int i = 0; i < STARS; i++)
        buf_append_str(&pattern, i % 2 ? "**a" : "*a");
    for (int i = 0; i < LETTERS; i++)
        buf_append_char(&text, 'a');
    assert_true(glob_matches(buf_slice(&pattern), buf_slice(&text)));
    buf_append_char(&pattern, 'b');
    assert_false(glob_matches(buf_slice(&pattern), buf_slice(&text)));
    buf_deinit(&pattern);
    buf_deinit(&text);
}

static void the_longest_pattern_is_taken_and_no_longer(void **state)
{
    (void)state;
    char pattern[GLOB_PATTERN_BYTES_MAX + 1];
    memset(pattern, '?', sizeof pattern);
    char text[GLOB_PATTERN_BYTES_MAX + 1];
    memset(text, 'x', sizeof text);
    assert_true(glob_matches(slice_of(pattern, GLOB_PATTERN_BYTES_MAX),
                             slice_of(text, GLOB_PATTERN_BYTES_MAX)));
    assert_false(glob_matches(slice_of(pattern, sizeof pattern),
                              slice_of(text, sizeof text)));
    memset(pattern, '*', sizeof pattern);
    assert_true(glob_matches(slice_of(pattern, GLOB_PATTERN_BYTES_MAX),
                             slice_of(text, sizeof text)));
}

static void a_zero_byte_is_a_byte(void **state)
{
    (void)state;
    assert_true(glob_matches(SLICE("a\0*"), SLICE("a\0b")));
    assert_false(glob_matches(SLICE("a\0*"), SLICE("ab")));
    assert_true(glob_matches(SLICE("a?b"), SLICE("a\0b")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wildcards_mean_what_they_say),
        cmocka_unit_test(random_ones_agree_with_trying_everything),
        cmocka_unit_test(many_stars_on_a_long_text_take_no_time),
        cmocka_unit_test(the_longest_pattern_is_taken_and_no_longer),
        cmocka_unit_test(a_zero_byte_is_a_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
