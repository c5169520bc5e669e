/* TOML's keys, strings, numbers and booleans (TOML 1.0, except dates). */
#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "doc/doc_toml_int.h"

/* A number longer than this is a mistake; it has to be copied without its
 * underscores for strtod. */
enum { NUMBER_BYTES_MAX = 400 };

void toml__advance(struct toml *toml)
{
    CHECK(toml->at < toml->end);
    char c = *toml->at++;
    if (c == '\n') {
        toml->line++;
        toml->line_start = toml->at;
        toml->tail_bytes = 0;
    } else if (((unsigned char)c & 0xc0) == 0x80) {
        toml->tail_bytes++;
    }
}

bool toml__take(struct toml *toml, char c)
{
    CHECK(c != '\0');
    if (toml__peek(toml, 0) != c) {
        return false;
    }
    toml__advance(toml);
    return true;
}

void toml__skip_blanks(struct toml *toml)
{
    while (toml__peek(toml, 0) == ' ' || toml__peek(toml, 0) == '\t') {
        toml__advance(toml);
    }
}

enum err toml__error(const struct toml *toml, const char *text)
{
    return doc__error(toml->line, toml__column(toml), "%s", text);
}

/* ---- strings ----------------------------------------------------------- */

static bool is_control(char c)
{
    return ((unsigned char)c < 0x20 && c != '\t') || c == 0x7f;
}

static void append_utf8(struct buf *out, uint32_t rune)
{
    if (rune < 0x80) {
        buf_append_char(out, (char)rune);
    } else if (rune < 0x800) {
        buf_append_char(out, (char)(0xc0 | rune >> 6));
        buf_append_char(out, (char)(0x80 | (rune & 63)));
    } else if (rune < 0x10000) {
        buf_append_char(out, (char)(0xe0 | rune >> 12));
        buf_append_char(out, (char)(0x80 | (rune >> 6 & 63)));
        buf_append_char(out, (char)(0x80 | (rune & 63)));
    } else {
        buf_append_char(out, (char)(0xf0 | rune >> 18));
        buf_append_char(out, (char)(0x80 | (rune >> 12 & 63)));
        buf_append_char(out, (char)(0x80 | (rune >> 6 & 63)));
        buf_append_char(out, (char)(0x80 | (rune & 63)));
    }
}

/* \uXXXX and \UXXXXXXXX, from the first digit on. */
static enum err parse_rune(struct toml *toml, size_t digits, struct buf *out)
{
    int64_t rune;
    bool fits;
    if ((size_t)(toml->end - toml->at) < digits ||
        !doc__integer(slice_of(toml->at, digits), 16, false, &rune, &fits)) {
        return toml__error(toml, digits == 4 ? "\\u wants 4 hex digits"
                                             : "\\U wants 8 hex digits");
    }
    CHECK(fits);
    if (rune > 0x10ffff || (rune >= 0xd800 && rune <= 0xdfff)) {
        return toml__error(toml, "this is not a Unicode character");
    }
    append_utf8(out, (uint32_t)rune);
    for (size_t i = 0; i < digits; i++) {
        toml__advance(toml);
    }
    return ERR_OK;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* A backslash at the end of a line joins it to the next word. False when
 * there is anything but blanks before the line's end. */
static bool join_lines(struct toml *toml)
{
    size_t ahead = 0;
    while (toml__peek(toml, ahead) == ' ' || toml__peek(toml, ahead) == '\t' ||
           toml__peek(toml, ahead) == '\r') {
        ahead++;
    }
    if (toml__peek(toml, ahead) != '\n') {
        return false;
    }
    while (is_space(toml__peek(toml, 0))) {
        toml__advance(toml);
    }
    return true;
}

/* The backslash is behind us. */
static enum err parse_escape(struct toml *toml, bool is_multiline,
                             struct buf *out)
{
    static const char letters[] = "btnfr\"\\";
    static const char meanings[] = "\b\t\n\f\r\"\\";
    if (is_multiline && join_lines(toml)) {
        return ERR_OK;
    }
    char c = toml__peek(toml, 0);
    const char *found = c ? strchr(letters, c) : NULL;
    if (found) {
        buf_append_char(out, meanings[found - letters]);
        toml__advance(toml);
        return ERR_OK;
    }
    if (c == 'u' || c == 'U') {
        toml__advance(toml);
        return parse_rune(toml, c == 'u' ? 4 : 8, out);
    }
    return toml__error(toml, "an unknown escape; there are \\b \\t \\n \\f "
                             "\\r \\\" \\\\ \\uXXXX \\UXXXXXXXX");
}

/* The quotes that end a multi-line string; up to two more belong to it. */
static bool take_three_quotes(struct toml *toml, char quote, struct buf *out)
{
    size_t count = 0;
    while (count < 5 && toml__peek(toml, count) == quote) {
        count++;
    }
    if (count < 3) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (i >= 3) {
            buf_append_char(out, quote);
        }
        toml__advance(toml);
    }
    return true;
}

/* The opening quotes are behind us; up to and with the closing ones. */
static enum err parse_string_body(struct toml *toml, char quote,
                                  bool is_multiline, struct buf *out)
{
    for (;;) {
        char c = toml__peek(toml, 0);
        if (toml__is_at_end(toml)) {
            return toml__error(toml, "the string does not end");
        }
        if (is_multiline ? take_three_quotes(toml, quote, out)
                         : toml__take(toml, quote)) {
            return ERR_OK;
        }
        if (c == '\\' && quote == '"') {
            toml__advance(toml);
            enum err err = parse_escape(toml, is_multiline, out);
            if (err) {
                return err;
            }
            continue;
        }
        bool is_newline =
            c == '\n' || (c == '\r' && toml__peek(toml, 1) == '\n');
        if (is_newline && !is_multiline) {
            return toml__error(toml, "the string does not end in this line");
        }
        if (is_control(c) && !is_newline) {
            return toml__error(toml, "a control character in a string");
        }
        buf_append_char(out, c);
        toml__advance(toml);
    }
}

enum err toml__parse_string(struct toml *toml, bool may_be_multiline,
                            struct slice *out)
{
    char quote = toml__peek(toml, 0);
    CHECK(quote == '"' || quote == '\'');
    bool is_multiline = may_be_multiline && toml__peek(toml, 1) == quote &&
                        toml__peek(toml, 2) == quote;
    for (int i = 0; i < (is_multiline ? 3 : 1); i++) {
        toml__advance(toml);
    }
    if (is_multiline) {
        /* A newline right after the opening quotes isn't part of it. */
        if (toml__peek(toml, 0) == '\r' && toml__peek(toml, 1) == '\n') {
            toml__advance(toml);
        }
        toml__take(toml, '\n');
    }
    struct buf text = {0};
    enum err err = parse_string_body(toml, quote, is_multiline, &text);
    if (!err) {
        err = doc__copy(&toml->builder, buf_slice(&text), out);
    }
    buf_deinit(&text);
    return err;
}

/* ---- keys -------------------------------------------------------------- */

static bool is_bare(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '_' || c == '-';
}

enum err toml__parse_name(struct toml *toml, struct slice *out)
{
    char c = toml__peek(toml, 0);
    if (c == '"' || c == '\'') {
        return toml__parse_string(toml, false, out);
    }
    const char *start = toml->at;
    while (is_bare(toml__peek(toml, 0))) {
        toml__advance(toml);
    }
    if (toml->at == start) {
        return toml__error(toml, "a key is wanted here");
    }
    return doc__copy(&toml->builder,
                     slice_of(start, (size_t)(toml->at - start)), out);
}

/* ---- numbers and booleans ---------------------------------------------- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex_digit(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* Copies the word without its underscores, each of which has to stand between
 * two digits. Returns the size; 0 when the word is no number. */
static size_t strip_underscores(struct slice word, char *out)
{
    size_t size = 0;
    if (word.size >= NUMBER_BYTES_MAX) {
        return 0;
    }
    for (size_t i = 0; i < word.size; i++) {
        if (word.at[i] != '_') {
            out[size++] = word.at[i];
        } else if (i == 0 || i + 1 == word.size ||
                   !is_hex_digit(word.at[i - 1]) ||
                   !is_hex_digit(word.at[i + 1])) {
            return 0;
        }
    }
    out[size] = '\0';
    return size;
}

/* [+-]? digits ( . digits )? ( [eE] [+-]? digits )?, no leading zeros, and
 * with a fraction or an exponent (else it is an integer). */
static bool is_float(const char *text)
{
    const char *at = text + (*text == '+' || *text == '-');
    if (!is_digit(*at) || (*at == '0' && is_digit(at[1]))) {
        return false;
    }
    while (is_digit(*at)) {
        at++;
    }
    bool is_integer = true;
    if (*at == '.') {
        is_integer = false;
        if (!is_digit(*++at)) {
            return false;
        }
        while (is_digit(*at)) {
            at++;
        }
    }
    if (*at == 'e' || *at == 'E') {
        is_integer = false;
        at++;
        at += *at == '+' || *at == '-';
        if (!is_digit(*at)) {
            return false;
        }
        while (is_digit(*at)) {
            at++;
        }
    }
    return *at == '\0' && !is_integer;
}

static bool parse_integer(const char *text, size_t size, int64_t *out,
                          bool *fits)
{
    size_t sign = *text == '+' || *text == '-';
    struct slice digits = slice_of(text + sign, size - sign);
    int base = 10;
    if (sign == 0 && slice_has_prefix(digits, SLICE("0x"))) {
        base = 16;
    } else if (sign == 0 && slice_has_prefix(digits, SLICE("0o"))) {
        base = 8;
    } else if (sign == 0 && slice_has_prefix(digits, SLICE("0b"))) {
        base = 2;
    }
    if (base != 10) {
        digits = slice_of(digits.at + 2, digits.size - 2);
    } else if (digits.size > 1 && digits.at[0] == '0') {
        return false;
    }
    return doc__integer(digits, base, *text == '-', out, fits);
}

/* inf and nan with or without a sign. */
static bool parse_special_float(const char *text, double *out)
{
    const char *word = text + (*text == '+' || *text == '-');
    if (strcmp(word, "inf") == 0) {
        *out = *text == '-' ? -HUGE_VAL : HUGE_VAL;
        return true;
    }
    *out = (double)NAN;
    return strcmp(word, "nan") == 0;
}

static enum err set_number(struct doc_value *value, struct slice word)
{
    char text[NUMBER_BYTES_MAX];
    size_t size = strip_underscores(word, text);
    bool fits = true;
    if (size && parse_integer(text, size, &value->integer, &fits)) {
        value->kind = DOC_INT;
        value->number = (double)value->integer;
    } else if (size && is_float(text)) {
        value->kind = DOC_DOUBLE;
        value->number = strtod(text, NULL);
    } else if (size && parse_special_float(text, &value->number)) {
        value->kind = DOC_DOUBLE;
    } else {
        int shown = word.size < 40 ? (int)word.size : 40;
        return doc__error(value->line, value->column,
                          "\"%.*s\" is not a value (strings stand in quotes; "
                          "dates are not supported)",
                          shown, word.at);
    }
    if (!fits) {
        return doc__error(value->line, value->column,
                          "the integer is beyond 64 bits");
    }
    return ERR_OK;
}

static bool is_word(char c)
{
    return is_bare(c) || c == '+' || c == '.' || c == ':' || c == '/' ||
           ((unsigned char)c & 0x80);
}

enum err toml__parse_word(struct toml *toml, struct doc_value **out)
{
    int line = toml->line;
    int column = toml__column(toml);
    const char *start = toml->at;
    while (is_word(toml__peek(toml, 0))) {
        toml__advance(toml);
    }
    struct slice word = slice_of(start, (size_t)(toml->at - start));
    if (word.size == 0) {
        return toml__error(toml, "a value is wanted here");
    }
    enum err err = doc__new_value(&toml->builder, DOC_BOOL, line, column, out);
    if (err) {
        return err;
    }
    if (slice_eq(word, SLICE("true"))) {
        (*out)->boolean = true;
        return ERR_OK;
    }
    if (slice_eq(word, SLICE("false"))) {
        return ERR_OK;
    }
    return set_number(*out, word);
}
