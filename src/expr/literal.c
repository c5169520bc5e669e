/* Numbers, and the escapes of strings. */
#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "expr/lex_int.h"

enum {
    /* Of one number: no double needs more than 767 digits to be exact. */
    NUMBER_BYTES_MAX = 800,
    RUNE_MAX = 0x10FFFF,
};

/* ---- numbers ------------------------------------------------------------ */

static char char_at(const struct lexer *lexer, size_t at)
{
    return at < lexer->text.size ? lexer->text.at[at] : '\0';
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return 99;
}

static size_t skip_digits(const struct lexer *lexer, size_t at, int base)
{
    while (digit_value(char_at(lexer, at)) < base)
        at++;
    return at;
}

static void refuse(struct lexer *lexer, struct token *token, const char *why)
{
    token->kind = TOKEN_BAD;
    lexer->why = why;
    lexer->why_at = token->at;
}

/* Where a fraction or an exponent ends; `at` where there is none. */
static size_t skip_fraction(const struct lexer *lexer, size_t at)
{
    if (char_at(lexer, at) == '.' && digit_value(char_at(lexer, at + 1)) < 10)
        at = skip_digits(lexer, at + 1, 10);
    if ((char_at(lexer, at) | 0x20) == 'e') {
        size_t digits = at + 1;
        if (char_at(lexer, digits) == '+' || char_at(lexer, digits) == '-')
            digits++;
        if (digit_value(char_at(lexer, digits)) < 10)
            at = skip_digits(lexer, digits, 10);
    }
    return at;
}

static void read_double(struct lexer *lexer, struct token *token, size_t end)
{
    char text[NUMBER_BYTES_MAX + 1];
    size_t size = end - token->at;
    memcpy(text, lexer->text.at + token->at, size);
    text[size] = '\0';
    token->kind = TOKEN_DOUBLE;
    token->number = strtod(text, NULL);
    if (isinf(token->number))
        refuse(lexer, token, "this number is too large for a double");
}

static void read_integer(struct lexer *lexer, struct token *token, size_t begin,
                         size_t end, int base)
{
    uint64_t number = 0;
    bool fits = true;
    for (size_t at = begin; at < end; at++) {
        unsigned digit = (unsigned)digit_value(lexer->text.at[at]);
        fits = fits && !__builtin_mul_overflow(number, base, &number) &&
               !__builtin_add_overflow(number, digit, &number);
    }
    token->natural = number;
    token->kind = TOKEN_INT;
    if ((char_at(lexer, end) | 0x20) == 'u') {
        token->kind = TOKEN_UINT;
        lexer->at = end + 1;
        if (!fits)
            refuse(lexer, token, "this number is too large for a uint");
    } else if (!fits || number > (uint64_t)INT64_MAX + 1) {
        refuse(lexer, token,
               "this number is too large for an int (a uint is written 1u, a "
               "double 1.0)");
    }
}

void lex__number(struct lexer *lexer, struct token *out)
{
    size_t begin = lexer->at;
    bool is_hex = char_at(lexer, begin) == '0' &&
                  (char_at(lexer, begin + 1) | 0x20) == 'x';
    if (is_hex)
        begin += 2;
    size_t end = skip_digits(lexer, begin, is_hex ? 16 : 10);
    size_t fraction_end = is_hex ? end : skip_fraction(lexer, end);
    lexer->at = fraction_end;
    if (fraction_end - out->at > NUMBER_BYTES_MAX)
        refuse(lexer, out, "this number has too many digits");
    else if (is_hex && end == begin)
        refuse(lexer, out, "expected hexadecimal digits after 0x");
    else if (fraction_end > end)
        read_double(lexer, out, fraction_end);
    else
        read_integer(lexer, out, begin, end, is_hex ? 16 : 10);
    if (out->kind != TOKEN_BAD && lex__is_name_char(char_at(lexer, lexer->at)))
        refuse(lexer, out,
               "a number ends here and a name begins (a duration is written "
               "duration('5m'))");
}

/* ---- escapes ------------------------------------------------------------ */

struct unescape {
    struct slice in;
    size_t at;
    bool is_bytes;
    char *out;
    size_t size;
    const char *why;
};

static bool fail(struct unescape *text, const char *why)
{
    text->why = why;
    return false;
}

static void put_rune(struct unescape *text, uint32_t rune)
{
    char *out = text->out + text->size;
    if (rune < 0x80) {
        out[0] = (char)rune;
        text->size += 1;
    } else if (rune < 0x800) {
        out[0] = (char)(0xC0 | rune >> 6);
        out[1] = (char)(0x80 | (rune & 0x3F));
        text->size += 2;
    } else if (rune < 0x10000) {
        out[0] = (char)(0xE0 | rune >> 12);
        out[1] = (char)(0x80 | (rune >> 6 & 0x3F));
        out[2] = (char)(0x80 | (rune & 0x3F));
        text->size += 3;
    } else {
        out[0] = (char)(0xF0 | rune >> 18);
        out[1] = (char)(0x80 | (rune >> 12 & 0x3F));
        out[2] = (char)(0x80 | (rune >> 6 & 0x3F));
        out[3] = (char)(0x80 | (rune & 0x3F));
        text->size += 4;
    }
}

/* `count` digits at `at`, which moves behind them. */
static bool read_digits(struct unescape *text, size_t count, int base,
                        uint32_t *out)
{
    *out = 0;
    for (size_t i = 0; i < count; i++, text->at++) {
        int digit =
            text->at < text->in.size ? digit_value(text->in.at[text->at]) : 99;
        if (digit >= base)
            return false;
        *out = *out * (uint32_t)base + (uint32_t)digit;
    }
    return true;
}

/* In bytes \x and \ooo are a byte, in strings a code point. */
static void put_number(struct unescape *text, uint32_t number)
{
    if (text->is_bytes)
        text->out[text->size++] = (char)number;
    else
        put_rune(text, number);
}

static bool take_unicode(struct unescape *text, size_t digits)
{
    uint32_t rune;
    if (text->is_bytes)
        return fail(text, "\\u and \\U are for strings; in bytes write \\x");
    if (!read_digits(text, digits, 16, &rune))
        return fail(text, digits == 4
                              ? "\\u is followed by 4 hexadecimal digits"
                              : "\\U is followed by 8 hexadecimal digits");
    if (rune > RUNE_MAX || (rune >= 0xD800 && rune < 0xE000))
        return fail(text, "this escape is not a character of Unicode");
    put_rune(text, rune);
    return true;
}

static bool take_octal(struct unescape *text)
{
    uint32_t number;
    if (!read_digits(text, 3, 8, &number) || number > 0xFF)
        return fail(text, "an octal escape is \\000 to \\377");
    put_number(text, number);
    return true;
}

/* What stands behind a backslash. */
static bool take_escape(struct unescape *text)
{
    static const char letters[] = "abfnrtv\\?\"'`";
    static const char meanings[] = "\a\b\f\n\r\t\v\\?\"'`";
    if (text->at == text->in.size)
        return fail(text, "a backslash is followed by something");
    char c = text->in.at[text->at];
    if (c >= '0' && c <= '3')
        return take_octal(text);
    text->at++;
    if (c == 'u' || c == 'U')
        return take_unicode(text, c == 'u' ? 4 : 8);
    if (c == 'x' || c == 'X') {
        uint32_t number;
        if (!read_digits(text, 2, 16, &number))
            return fail(text, "\\x is followed by 2 hexadecimal digits");
        put_number(text, number);
        return true;
    }
    const char *found = c ? strchr(letters, c) : NULL;
    if (found == NULL)
        return fail(text, "there is no such escape (a backslash is written "
                          "\\\\, or the string r'...')");
    text->out[text->size++] = meanings[found - letters];
    return true;
}

bool lex__unescape(struct arena *arena, const struct token *token,
                   struct slice *out, const char **why, size_t *why_at)
{
    CHECK(token->kind == TOKEN_STRING || token->kind == TOKEN_BYTES);
    *out = token->body;
    if (token->is_raw || slice_find(token->body, '\\') < 0)
        return true;
    /* No escape is shorter than what it stands for: \U0001F600 is 10 bytes for
     * 4, \xff 4 bytes for 2. */
    struct unescape text = {.in = token->body,
                            .is_bytes = token->kind == TOKEN_BYTES,
                            .out = arena_alloc(arena, token->body.size)};
    while (text.at < text.in.size) {
        size_t begin = text.at;
        char c = text.in.at[text.at++];
        if (c != '\\') {
            text.out[text.size++] = c;
        } else if (!take_escape(&text)) {
            *why = text.why;
            *why_at = begin;
            return false;
        }
    }
    CHECK_LE(text.size, token->body.size);
    *out = slice_of(text.out, text.size);
    return true;
}
