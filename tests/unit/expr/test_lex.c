/* Text to tokens: numbers, strings and their escapes, marks, what is refused.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "expr/lex_int.h"
#include "expr_ask.h"

/* ---- the kinds of tokens ------------------------------------------------ */

static void expect_kinds(const char *text, const enum token_kind *kinds,
                         size_t count)
{
    struct lexer lexer = {.text = slice_str(text)};
    struct token token;
    for (size_t i = 0; i < count; i++) {
        lex__next(&lexer, &token);
        assert_int_equal(token.kind, kinds[i]);
    }
    lex__next(&lexer, &token);
    assert_int_equal(token.kind, TOKEN_END);
    /* The end stays the end. */
    lex__next(&lexer, &token);
    assert_int_equal(token.kind, TOKEN_END);
}

#define EXPECT_KINDS(text, ...)                                    \
    do {                                                           \
        const enum token_kind kinds[] = {__VA_ARGS__};             \
        expect_kinds(text, kinds, sizeof kinds / sizeof kinds[0]); \
    } while (0)

static void marks_are_as_long_as_they_can_be(void **state)
{
    (void)state;
    EXPECT_KINDS("< <= > >= == != ! ", TOKEN_LESS, TOKEN_LESS_EQUAL,
                 TOKEN_GREATER, TOKEN_GREATER_EQUAL, TOKEN_EQUAL, TOKEN_UNEQUAL,
                 TOKEN_NOT);
    EXPECT_KINDS("<==", TOKEN_LESS_EQUAL, TOKEN_BAD);
    EXPECT_KINDS("!!=", TOKEN_NOT, TOKEN_UNEQUAL);
    EXPECT_KINDS("||&&", TOKEN_OR, TOKEN_AND);
    EXPECT_KINDS("+-*/%?:,.()[]{}", TOKEN_PLUS, TOKEN_MINUS, TOKEN_TIMES,
                 TOKEN_SLASH, TOKEN_PERCENT, TOKEN_QUESTION, TOKEN_COLON,
                 TOKEN_COMMA, TOKEN_DOT, TOKEN_PAREN_OPEN, TOKEN_PAREN_CLOSE,
                 TOKEN_BRACKET_OPEN, TOKEN_BRACKET_CLOSE, TOKEN_BRACE_OPEN,
                 TOKEN_BRACE_CLOSE);
}

static void space_and_comments_are_passed_over(void **state)
{
    (void)state;
    EXPECT_KINDS(" \t\r\n\f", TOKEN_END);
    EXPECT_KINDS("a // b c d\n e", TOKEN_NAME, TOKEN_NAME);
    EXPECT_KINDS("a//", TOKEN_NAME);
    EXPECT_KINDS("a / / b", TOKEN_NAME, TOKEN_SLASH, TOKEN_SLASH, TOKEN_NAME);
    EXPECT_KINDS("'// no comment'", TOKEN_STRING);
}

static void a_name_is_letters_digits_and_underscores(void **state)
{
    (void)state;
    EXPECT_KINDS("a _b C9 __", TOKEN_NAME, TOKEN_NAME, TOKEN_NAME, TOKEN_NAME);
    EXPECT_KINDS("a-b", TOKEN_NAME, TOKEN_MINUS, TOKEN_NAME);
    EXPECT_KINDS("a.b", TOKEN_NAME, TOKEN_DOT, TOKEN_NAME);
    /* r, b and br are names too where no quote follows. */
    EXPECT_KINDS("r b br rb bar", TOKEN_NAME, TOKEN_NAME, TOKEN_NAME,
                 TOKEN_NAME, TOKEN_NAME);
    EXPECT_KINDS("r'' b'' br'' BR\"\"", TOKEN_STRING, TOKEN_BYTES, TOKEN_BYTES,
                 TOKEN_BYTES);
    /* Only this order: rb is a name, and a string follows it. */
    EXPECT_KINDS("rb''", TOKEN_NAME, TOKEN_STRING);
}

static void a_token_says_where_it_stands(void **state)
{
    (void)state;
    struct lexer lexer = {.text = SLICE("  ab == 'c'")};
    struct token token;
    const size_t places[][2] = {{2, 2}, {5, 2}, {8, 3}, {11, 0}};
    for (size_t i = 0; i < 4; i++) {
        lex__next(&lexer, &token);
        assert_int_equal(token.at, places[i][0]);
        assert_int_equal(token.size, places[i][1]);
    }
}

static void a_zero_byte_is_no_end(void **state)
{
    (void)state;
    assert_string_equal(ask_size("1\0", 2),
                        "refused: column 2: this character is not part of "
                        "the language");
    assert_string_equal(ask_size("'a\0b'", 5), "\"a\\u0000b\"");
    assert_string_equal(ask_size("1 // \0", 6), "1");
}

/* ---- numbers ------------------------------------------------------------ */

static void ints_are_exact(void **state)
{
    (void)state;
    static const struct question table[] = {
        {"0", "0"},
        {"007", "7"},
        {"9223372036854775807", "9223372036854775807"},
        {"-9223372036854775808", "-9223372036854775808"},
        {"- 9223372036854775808", "-9223372036854775808"},
        {"0xff", "255"},
        {"0XFF", "255"},
        {"-0x10", "-16"},
        {"0x7fffffffffffffff", "9223372036854775807"},
        {"-0x8000000000000000", "-9223372036854775808"},
        {"18446744073709551615u == 0xFFFFFFFFFFFFFFFFu", "true"},
        {"1u", "1"},
        {"1U", "1"},
        {"value.big", "9007199254740993"},
        {"value.big + 1", "9007199254740994"},
    };
    ASK_ALL(table);
}

static void doubles_need_a_fraction_or_an_exponent(void **state)
{
    (void)state;
    static const struct question table[] = {
        {"1.5", "1.5"},
        {".5", "0.5"},
        {"-.5", "-0.5"},
        {"1e3 == 1000.0", "true"},
        {"1E+3 == 1000.0", "true"},
        {"2.5e-1 == 0.25", "true"},
        {"type(1e3) == double", "true"},
        {"type(1) == int", "true"},
        {"type(1u) == uint", "true"},
        {"1e308 * 10.0 > 1e308", "true"},
        {"4.9e-324 > 0.0", "true"},
        {"1e-999 == 0.0", "true"},
    };
    ASK_ALL(table);
}

static void wrong_numbers_are_refused_with_what_to_write(void **state)
{
    (void)state;
    static const struct question table[] = {
        {"9223372036854775808",
         "refused: column 1: this number is too large for an int (a uint is "
         "written 1u, a double 1.0)"},
        {"-9223372036854775809",
         "refused: column 2: this number is too large for an int (a uint is "
         "written 1u, a double 1.0)"},
        {"18446744073709551616u",
         "refused: column 1: this number is too large for a uint"},
        {"1 + 0x1ffffffffffffffff",
         "refused: column 5: this number is too large for an int (a uint is "
         "written 1u, a double 1.0)"},
        {"0x", "refused: column 1: expected hexadecimal digits after 0x"},
        {"0xg", "refused: column 1: expected hexadecimal digits after 0x"},
        {"1e999", "refused: column 1: this number is too large for a double"},
        {"5m",
         "refused: column 1: a number ends here and a name begins (a duration "
         "is written duration('5m'))"},
        {"1uu",
         "refused: column 1: a number ends here and a name begins (a duration "
         "is written duration('5m'))"},
        {"1e",
         "refused: column 1: a number ends here and a name begins (a duration "
         "is written duration('5m'))"},
        {"1.", "refused: column 3: expected a name here, found the end"},
    };
    ASK_ALL(table);
}

static void a_number_with_endless_digits_is_refused(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct slice text = ask_repeat(&arena, "0.", "1", 50000, "");
    assert_string_equal(ask_size(text.at, text.size),
                        "refused: column 1: this number has too many digits");
    text = ask_repeat(&arena, "", "0", 700, "1");
    assert_string_equal(ask_size(text.at, text.size), "1");
    arena_deinit(&arena);
}

/* ---- strings ------------------------------------------------------------ */

static void strings_have_four_kinds_of_quotes(void **state)
{
    (void)state;
    static const struct question table[] = {
        {"''", "\"\""},
        {"\"\"", "\"\""},
        {"'a\"b'", "\"a\\\"b\""},
        {"\"a'b\"", "\"a'b\""},
        {"'''a'b''c'''", "\"a'b''c\""},
        {"\"\"\"a\n\"b\"\"\"", "\"a\\n\\\"b\""},
        {"''''''", "\"\""},
        {"'''\\''''", "\"'\""},
        {"'\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80'",
         "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
    };
    ASK_ALL(table);
}

static void escapes_are_undone(void **state)
{
    (void)state;
    static const struct question table[] = {
        {"'\\\\'", "\"\\\\\""},
        {"'\\'' == \"'\"", "true"},
        {"'\\\"' == '\"'", "true"},
        {"'\\`\\?'", "\"`?\""},
        {"'\\n\\r\\t'", "\"\\n\\r\\t\""},
        {"'\\a\\b\\f\\v' == '\\x07\\x08\\x0c\\x0b'", "true"},
        {"'\\x41\\X42'", "\"AB\""},
        {"'\\101\\102'", "\"AB\""},
        {"'\\u00e9' == '\xc3\xa9'", "true"},
        {"'\\xe9' == '\xc3\xa9'", "true"},
        {"'\\351' == '\xc3\xa9'", "true"},
        {"'\\u20ac\\U0001F600'", "\"\xe2\x82\xac\xf0\x9f\x98\x80\""},
        {"'\\U0010FFFF' == '\xf4\x8f\xbf\xbf'", "true"},
        {"'\\u0000'", "\"\\u0000\""},
        {"r'\\n\\'", "\"\\\\n\\\\\""},
        {"R\"\\x\"", "\"\\\\x\""},
        {"r'''\\''' == '\\\\'", "true"},
    };
    ASK_ALL(table);
}

static void bytes_are_bytes(void **state)
{
    (void)state;
    static const struct question table[] = {
        {"b'abc'", "\"YWJj\""},
        {"b'\\xff\\377'", "\"//8=\""},
        {"b'\xc3\xa9' == b'\\xc3\\xa9'", "true"},
        {"b'\\x41' == b'A'", "true"},
        {"br'\\x' == b'\\\\x'", "true"},
        {"b'''a\nb''' == b'a\\nb'", "true"},
        {"b'\\u0041'",
         "refused: column 3: \\u and \\U are for strings; in bytes write \\x"},
        {"b'\\U00000041'",
         "refused: column 3: \\u and \\U are for strings; in bytes write \\x"},
    };
    ASK_ALL(table);
}

static void wrong_strings_are_refused_where_they_are_wrong(void **state)
{
    (void)state;
    static const char unclosed[] =
        "refused: column 1: this string isn't closed (one of several lines "
        "is written between \"\"\" and \"\"\")";
    static const struct question table[] = {
        {"'abc", unclosed},
        {"'abc\ndef'", unclosed},
        {"'abc\\'", unclosed},
        {"'", unclosed},
        {"r'", unclosed},
        {"'''abc'", "refused: column 1: this string isn't closed"},
        {"'''abc''", "refused: column 1: this string isn't closed"},
        {"'ab\\q'",
         "refused: column 4: there is no such escape (a backslash is written "
         "\\\\, or the string r'...')"},
        {"'\\x4'",
         "refused: column 2: \\x is followed by 2 hexadecimal digits"},
        {"'\\u004'",
         "refused: column 2: \\u is followed by 4 hexadecimal digits"},
        {"'\\U0000004g'",
         "refused: column 2: \\U is followed by 8 hexadecimal digits"},
        {"'\\ud800'",
         "refused: column 2: this escape is not a character of Unicode"},
        {"'\\U00110000'",
         "refused: column 2: this escape is not a character of Unicode"},
        {"'\\400'",
         "refused: column 2: there is no such escape (a backslash is written "
         "\\\\, or the string r'...')"},
        {"'\\18'", "refused: column 2: an octal escape is \\000 to \\377"},
        {"'\xc3\xa9\xc3\xa9\\q'",
         "refused: column 4: there is no such escape (a backslash is written "
         "\\\\, or the string r'...')"},
    };
    ASK_ALL(table);
}

static void characters_that_mean_nothing_say_what_does(void **state)
{
    (void)state;
    static const struct question table[] = {
        {"1 = 1",
         "refused: column 3: '=' alone is not an operator: write '=='"},
        {"ready & ready",
         "refused: column 7: '&' alone is not an operator: write '&&'"},
        {"ready | ready",
         "refused: column 7: '|' alone is not an operator: write '||'"},
        {"`a`", "refused: column 1: names in backticks are not part of this "
                "language: write map['name']"},
        {"$host",
         "refused: column 1: '$' is not part of this language: names are "
         "written bare, as in value.used"},
        {"1; 2",
         "refused: column 2: an expression is one expression: ';' is not part "
         "of it"},
        {"1 # 2",
         "refused: column 3: this character is not part of the language"},
        {"\xc3\xa9",
         "refused: column 1: this character is not part of the language"},
        {"\xff", "refused: column 1: this text is not UTF-8"},
        {"'\xff'", "refused: column 1: this text is not UTF-8"},
    };
    ASK_ALL(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(marks_are_as_long_as_they_can_be),
        cmocka_unit_test(space_and_comments_are_passed_over),
        cmocka_unit_test(a_name_is_letters_digits_and_underscores),
        cmocka_unit_test(a_token_says_where_it_stands),
        cmocka_unit_test(a_zero_byte_is_no_end),
        cmocka_unit_test(ints_are_exact),
        cmocka_unit_test(doubles_need_a_fraction_or_an_exponent),
        cmocka_unit_test(wrong_numbers_are_refused_with_what_to_write),
        cmocka_unit_test(a_number_with_endless_digits_is_refused),
        cmocka_unit_test(strings_have_four_kinds_of_quotes),
        cmocka_unit_test(escapes_are_undone),
        cmocka_unit_test(bytes_are_bytes),
        cmocka_unit_test(wrong_strings_are_refused_where_they_are_wrong),
        cmocka_unit_test(characters_that_mean_nothing_say_what_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
