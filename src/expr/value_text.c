/* Values as text and as JSON.
 *
 * Unlike etcd's answers (doc/json_write.h), this JSON keeps `<`, `>` and `&`
 * as they are: it is read by people and by other programs' webhooks. */
#include "expr/value_int.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/time_text.h"
#include "doc/json_write.h"

enum {
    /* From here on (10^21), and below 10^-6, a number has an exponent. */
    EXPONENT_FROM = 21,
    EXPONENT_TO = -7,
    DIGITS_MAX = 17, /* a double's, so that it reads back the same */
    /* Deeper than documents (64) and literals (64) together. What an evaluation
     * makes of deeper values still ends, with a word in their place. */
    DEPTH_MAX = 200,
};

/* ---- numbers ------------------------------------------------------------ */

/* Digits and the decimal exponent of the first one: 0.00123 is "123", -3. */
struct decimal {
    char digits[DIGITS_MAX + 1];
    size_t count;
    int exponent;
};

/* Print with ever more digits until it reads back as the same number. Fifteen
 * are right for any text of up to fifteen, but for the very smallest numbers,
 * which have fewer. */
static void shortest(double number, struct decimal *out)
{
    char text[NUMBER_TEXT_BYTES_MAX];
    int digits = number != 0 && number < DBL_MIN ? 1 : DBL_DIG;
    for (int precision = digits - 1; precision < DIGITS_MAX; precision++) {
        snprintf(text, sizeof text, "%.*e", precision, number);
        if (strtod(text, NULL) == number)
            break;
    }
    char *mark = strchr(text, 'e');
    CHECK(mark != NULL);
    out->exponent = (int)strtol(mark + 1, NULL, 10);
    out->count = 0;
    for (char *at = text; at < mark; at++) {
        if (*at >= '0' && *at <= '9')
            out->digits[out->count++] = *at;
    }
    while (out->count > 1 && out->digits[out->count - 1] == '0')
        out->count--;
}

static size_t put(char *out, size_t at, const char *bytes, size_t size)
{
    CHECK_LE(at + size, NUMBER_TEXT_BYTES_MAX);
    memcpy(out + at, bytes, size);
    return at + size;
}

static size_t put_zeros(char *out, size_t at, int count)
{
    for (int i = 0; i < count; i++)
        at = put(out, at, "0", 1);
    return at;
}

static size_t put_scientific(char *out, size_t at, const struct decimal *number)
{
    char tail[8];
    at = put(out, at, number->digits, 1);
    if (number->count > 1) {
        at = put(out, at, ".", 1);
        at = put(out, at, number->digits + 1, number->count - 1);
    }
    int size = snprintf(tail, sizeof tail, "e%+d", number->exponent);
    return put(out, at, tail, (size_t)size);
}

static size_t put_plain(char *out, size_t at, const struct decimal *number)
{
    if (number->exponent < 0) {
        at = put(out, at, "0.", 2);
        at = put_zeros(out, at, -number->exponent - 1);
        return put(out, at, number->digits, number->count);
    }
    size_t whole = (size_t)number->exponent + 1;
    if (number->count <= whole) {
        at = put(out, at, number->digits, number->count);
        return put_zeros(out, at, (int)(whole - number->count));
    }
    at = put(out, at, number->digits, whole);
    at = put(out, at, ".", 1);
    return put(out, at, number->digits + whole, number->count - whole);
}

size_t value__number_text(double number, char out[NUMBER_TEXT_BYTES_MAX])
{
    if (isnan(number))
        return put(out, 0, "NaN", 3);
    size_t at = signbit(number) ? put(out, 0, "-", 1) : 0;
    number = fabs(number);
    if (isinf(number))
        return put(out, at, "Infinity", 8);
    struct decimal decimal;
    shortest(number, &decimal);
    return decimal.exponent >= EXPONENT_FROM || decimal.exponent <= EXPONENT_TO
               ? put_scientific(out, at, &decimal)
               : put_plain(out, at, &decimal);
}

size_t value__duration_text(int64_t duration_ns,
                            char out[NUMBER_TEXT_BYTES_MAX])
{
    const uint64_t second_ns = 1000000000;
    size_t at = duration_ns < 0 ? put(out, 0, "-", 1) : 0;
    uint64_t ns =
        duration_ns < 0 ? 0 - (uint64_t)duration_ns : (uint64_t)duration_ns;
    at += u64_to_text(ns / second_ns, out + at);
    uint64_t part = ns % second_ns;
    if (part != 0) {
        char digits[16];
        int size = snprintf(digits, sizeof digits, ".%09u", (unsigned)part);
        while (digits[size - 1] == '0')
            size--;
        at = put(out, at, digits, (size_t)size);
    }
    return put(out, at, "s", 1);
}

/* ---- JSON --------------------------------------------------------------- */

/* The size of the UTF-8 sequence at the beginning; 0: it is none. */
static size_t sequence_size(struct slice text)
{
    unsigned char first = (unsigned char)text.at[0];
    size_t size = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    return size <= text.size && slice_is_utf8(slice_of(text.at, size)) ? size
                                                                       : 0;
}

static void write_escape(struct buf *out, char c)
{
    switch (c) {
    case '"':
    case '\\':
        buf_append_char(out, '\\');
        buf_append_char(out, c);
        return;
    case '\n':
        buf_append_str(out, "\\n");
        return;
    case '\r':
        buf_append_str(out, "\\r");
        return;
    case '\t':
        buf_append_str(out, "\\t");
        return;
    default:
        buf_printf(out, "\\u%04x", (unsigned)(unsigned char)c);
    }
}

static bool is_plain(char c)
{
    return (unsigned char)c >= 0x20 && c != '"' && c != '\\' &&
           (unsigned char)c < 0x7f;
}

static void write_string(struct buf *out, struct slice text)
{
    buf_append_char(out, '"');
    for (size_t at = 0; at < text.size;) {
        size_t run = at;
        while (run < text.size && is_plain(text.at[run]))
            run++;
        buf_append(out, text.at + at, run - at);
        at = run;
        if (at == text.size)
            break;
        if ((unsigned char)text.at[at] < 0x80) {
            write_escape(out, text.at[at++]);
            continue;
        }
        size_t size = sequence_size(slice_of(text.at + at, text.size - at));
        if (size == 0)
            buf_append_str(out, "\\ufffd");
        buf_append(out, text.at + at, size);
        at += size ? size : 1;
    }
    buf_append_char(out, '"');
}

/* What is a word of its own: the same in text and, between quotes, in JSON. */
static void write_word(struct buf *out, const struct value *value)
{
    char text[NUMBER_TEXT_BYTES_MAX];
    static_assert((int)NUMBER_TEXT_BYTES_MAX >= (int)TIME_TEXT_BYTES_MAX,
                  "a time fits, too");
    switch (value->kind) {
    case VALUE_TIMESTAMP:
        buf_append(out, text, time_to_rfc3339(value->integer, text));
        return;
    case VALUE_DURATION:
        buf_append(out, text, value__duration_text(value->integer, text));
        return;
    case VALUE_DOUBLE:
        buf_append(out, text, value__number_text(value->number, text));
        return;
    default:
        CHECK_EQ(value->kind, VALUE_TYPE);
        buf_append_str(out, value_kind_text((enum value_kind)value->integer));
    }
}

static void write_quoted(struct buf *out, const struct value *value)
{
    buf_append_char(out, '"');
    write_word(out, value);
    buf_append_char(out, '"');
}

static void write_json(struct buf *out, const struct value *value, int depth);

static void write_list(struct buf *out, const struct value_list *list,
                       int depth)
{
    buf_append_char(out, '[');
    for (size_t i = 0; i < list->count; i++) {
        if (i > 0)
            buf_append_char(out, ',');
        write_json(out, &list->items[i], depth + 1);
    }
    buf_append_char(out, ']');
}

/* JSON's names are strings: {1: 'a'} is {"1":"a"}. */
static void write_name(struct buf *out, const struct value *key, int depth)
{
    if (key->kind == VALUE_STRING) {
        write_string(out, key->text);
        return;
    }
    CHECK(value__is_key(key));
    buf_append_char(out, '"');
    write_json(out, key, depth + 1);
    buf_append_char(out, '"');
}

static void write_map(struct buf *out, const struct value_map *map, int depth)
{
    buf_append_char(out, '{');
    for (size_t i = 0; i < map->count; i++) {
        if (i > 0)
            buf_append_char(out, ',');
        write_name(out, &map->keys[i], depth);
        buf_append_char(out, ':');
        write_json(out, &map->values[i], depth + 1);
    }
    buf_append_char(out, '}');
}

static void write_json(struct buf *out, const struct value *value, int depth)
{
    if (depth >= DEPTH_MAX) {
        buf_append_str(out, "\"(nested too deep)\"");
        return;
    }
    switch (value->kind) {
    case VALUE_NULL:
    case VALUE_ABSENT:
    case VALUE_LAZY:
        buf_append_str(out, "null");
        return;
    case VALUE_BOOL:
        buf_append_str(out, value->boolean ? "true" : "false");
        return;
    case VALUE_INT:
        buf_append_i64(out, value->integer);
        return;
    case VALUE_UINT:
        buf_append_u64(out, value->natural);
        return;
    case VALUE_DOUBLE:
        if (isfinite(value->number))
            write_word(out, value);
        else
            write_quoted(out, value);
        return;
    case VALUE_STRING:
    case VALUE_ERROR:
        write_string(out, value->text);
        return;
    case VALUE_BYTES:
        json_write_base64(out, value->text);
        return;
    case VALUE_LIST:
        write_list(out, value->list, depth);
        return;
    case VALUE_MAP:
        write_map(out, value->map, depth);
        return;
    case VALUE_TIMESTAMP:
    case VALUE_DURATION:
    case VALUE_TYPE:
        write_quoted(out, value);
        return;
    }
    UNREACHABLE();
}

void value_write_json(struct buf *out, const struct value *value)
{
    write_json(out, value, 0);
}

/* Base64 without the quotes that JSON has around it. */
static void write_bytes(struct buf *out, struct slice bytes)
{
    size_t begin = out->size;
    json_write_base64(out, bytes);
    size_t size = out->size - begin - 2;
    memmove(out->at + begin, out->at + begin + 1, size);
    out->size = begin + size;
}

void value_write_text(struct buf *out, const struct value *value)
{
    switch (value->kind) {
    case VALUE_STRING:
    case VALUE_ERROR:
        buf_append_slice(out, value->text);
        return;
    case VALUE_BYTES:
        write_bytes(out, value->text);
        return;
    case VALUE_DOUBLE:
    case VALUE_TIMESTAMP:
    case VALUE_DURATION:
    case VALUE_TYPE:
        write_word(out, value);
        return;
    default:
        write_json(out, value, 0);
    }
}
