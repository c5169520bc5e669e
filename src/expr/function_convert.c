/* Conversions: int() and the like, type(), json(). */
#include "expr/function_int.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/time_text.h"
#include "expr/value_int.h"

enum {
    TEXT_SHOWN_MAX = 60,    /* of a text that isn't a number, in its error */
    NUMBER_BYTES_MAX = 400, /* longer ones no double needs */
};

static const int64_t second_ns = 1000000000;

static void not_one(struct run *run, struct slice text, const char *what,
                    struct value *out)
{
    int size = text.size > TEXT_SHOWN_MAX ? TEXT_SHOWN_MAX : (int)text.size;
    *out = run__error(run, "'%.*s' isn't %s", size, text.at, what);
}

static void out_of_range(struct run *run, const char *what, struct value *out)
{
    *out = run__error(run, "%s out of range", what);
}

/* ---- numbers ------------------------------------------------------------ */

/* Towards zero; NaN is in no range. */
static void int_of_double(struct run *run, double number, struct value *out)
{
    if (number > -0x1p63 && number < 0x1p63)
        *out = value_int((int64_t)number);
    else
        out_of_range(run, "int", out);
}

void function__int(struct run *run, const struct value *arguments, size_t count,
                   struct value *out)
{
    const struct value *value = &arguments[0];
    int64_t integer;
    switch (value->kind) {
    case VALUE_INT:
        *out = *value;
        return;
    case VALUE_UINT:
        if (value->natural <= INT64_MAX)
            *out = value_int((int64_t)value->natural);
        else
            out_of_range(run, "int", out);
        return;
    case VALUE_DOUBLE:
        int_of_double(run, value->number, out);
        return;
    case VALUE_STRING:
        if (slice_to_i64(value->text, &integer))
            *out = value_int(integer);
        else
            not_one(run, value->text, "an int", out);
        return;
    case VALUE_TIMESTAMP:
        integer = value->integer / second_ns;
        *out = value_int(integer - (value->integer % second_ns < 0));
        return;
    default:
        function__no_overload(run, "int", arguments, count, out);
    }
}

static void give_uint(struct value *out, uint64_t natural)
{
    *out = (struct value){.kind = VALUE_UINT, .natural = natural};
}

void function__uint(struct run *run, const struct value *arguments,
                    size_t count, struct value *out)
{
    const struct value *value = &arguments[0];
    uint64_t natural;
    switch (value->kind) {
    case VALUE_UINT:
        *out = *value;
        return;
    case VALUE_INT:
        if (value->integer >= 0)
            give_uint(out, (uint64_t)value->integer);
        else
            out_of_range(run, "uint", out);
        return;
    case VALUE_DOUBLE:
        if (value->number > -1 && value->number < 0x1p64)
            give_uint(out, (uint64_t)value->number);
        else
            out_of_range(run, "uint", out);
        return;
    case VALUE_STRING:
        if (slice_to_u64(value->text, &natural))
            give_uint(out, natural);
        else
            not_one(run, value->text, "a uint", out);
        return;
    default:
        function__no_overload(run, "uint", arguments, count, out);
    }
}

/* strtod, but without spaces, hexadecimal, and the names it has for NaN. */
static bool parse_double(struct slice text, double *out)
{
    char copy[NUMBER_BYTES_MAX + 1];
    if (text.size == 0 || text.size > NUMBER_BYTES_MAX)
        return false;
    memcpy(copy, text.at, text.size);
    copy[text.size] = '\0';
    size_t sign = copy[0] == '-' || copy[0] == '+';
    bool is_word = slice_eq(slice_str(copy + sign), SLICE("Infinity")) ||
                   slice_eq(slice_str(copy), SLICE("NaN"));
    if (!is_word && strspn(copy, "0123456789+-.eE") != text.size)
        return false;
    char *end;
    *out = strtod(copy, &end);
    return end == copy + text.size;
}

void function__double(struct run *run, const struct value *arguments,
                      size_t count, struct value *out)
{
    const struct value *value = &arguments[0];
    double number;
    switch (value->kind) {
    case VALUE_DOUBLE:
        *out = *value;
        return;
    case VALUE_INT:
        number = (double)value->integer;
        break;
    case VALUE_UINT:
        number = (double)value->natural;
        break;
    case VALUE_STRING:
        if (!parse_double(value->text, &number)) {
            not_one(run, value->text, "a double", out);
            return;
        }
        break;
    default:
        function__no_overload(run, "double", arguments, count, out);
        return;
    }
    *out = (struct value){.kind = VALUE_DOUBLE, .number = number};
}

void function__bool(struct run *run, const struct value *arguments,
                    size_t count, struct value *out)
{
    static const char *const yes[] = {"1", "t", "T", "true", "True", "TRUE"};
    static const char *const no[] = {"0", "f", "F", "false", "False", "FALSE"};
    const struct value *value = &arguments[0];
    if (value->kind == VALUE_BOOL) {
        *out = *value;
        return;
    }
    if (!function__are_strings(run, "bool", arguments, count, out))
        return;
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        bool is_yes = slice_eq(value->text, slice_str(yes[i]));
        if (is_yes || slice_eq(value->text, slice_str(no[i]))) {
            *out = value_bool(is_yes);
            return;
        }
    }
    not_one(run, value->text, "a bool", out);
}

/* ---- texts -------------------------------------------------------------- */

static size_t small_text(const struct value *value,
                         char out[NUMBER_TEXT_BYTES_MAX])
{
    switch (value->kind) {
    case VALUE_INT: {
        uint64_t size = (uint64_t)value->integer;
        if (value->integer >= 0)
            return u64_to_text(size, out);
        out[0] = '-';
        return 1 + u64_to_text(0 - size, out + 1);
    }
    case VALUE_UINT:
        return u64_to_text(value->natural, out);
    case VALUE_DOUBLE:
        return value__number_text(value->number, out);
    case VALUE_TIMESTAMP:
        return time_to_rfc3339(value->integer, out);
    case VALUE_DURATION:
        return value__duration_text(value->integer, out);
    default:
        return 0;
    }
}

static void string_of_bytes(struct run *run, const struct value *value,
                            struct value *out)
{
    if (!run__steps(run, value->text.size / FUNCTION_BYTES_A_STEP))
        return;
    if (slice_is_utf8(value->text))
        *out = value_string(value->text);
    else
        *out = run__error(run, "string: the bytes are invalid UTF-8");
}

void function__string(struct run *run, const struct value *arguments,
                      size_t count, struct value *out)
{
    const struct value *value = &arguments[0];
    char text[NUMBER_TEXT_BYTES_MAX];
    size_t size;
    switch (value->kind) {
    case VALUE_STRING:
        *out = *value;
        return;
    case VALUE_BOOL:
        *out = value_string(value->boolean ? SLICE("true") : SLICE("false"));
        return;
    case VALUE_BYTES:
        string_of_bytes(run, value, out);
        return;
    default:
        size = small_text(value, text);
        if (size > 0)
            function__give_string(run, text, size, out);
        else
            function__no_overload(run, "string", arguments, count, out);
    }
}

void function__bytes(struct run *run, const struct value *arguments,
                     size_t count, struct value *out)
{
    const struct value *value = &arguments[0];
    if (value->kind == VALUE_STRING || value->kind == VALUE_BYTES)
        *out = (struct value){.kind = VALUE_BYTES, .text = value->text};
    else
        function__no_overload(run, "bytes", arguments, count, out);
}

/* ---- times -------------------------------------------------------------- */

void function__timestamp(struct run *run, const struct value *arguments,
                         size_t count, struct value *out)
{
    const struct value *value = &arguments[0];
    struct value result = {.kind = VALUE_TIMESTAMP};
    switch (value->kind) {
    case VALUE_TIMESTAMP:
        *out = *value;
        return;
    case VALUE_INT:
        if (__builtin_mul_overflow(value->integer, second_ns, &result.integer))
            out_of_range(run, "timestamp", out);
        else
            *out = result;
        return;
    case VALUE_STRING:
        if (time_from_rfc3339(value->text, &result.integer))
            *out = result;
        else
            not_one(run, value->text,
                    "a timestamp of RFC 3339 in the range 1678 to 2262", out);
        return;
    default:
        function__no_overload(run, "timestamp", arguments, count, out);
    }
}

void function__duration(struct run *run, const struct value *arguments,
                        size_t count, struct value *out)
{
    const struct value *value = &arguments[0];
    struct value result = {.kind = VALUE_DURATION};
    if (value->kind == VALUE_DURATION)
        *out = *value;
    else if (!function__are_strings(run, "duration", arguments, count, out))
        return;
    else if (duration_from_text(value->text, &result.integer))
        *out = result;
    else
        not_one(run, value->text,
                "a duration like '1h30m' in the range of 292 years", out);
}

/* ---- kinds -------------------------------------------------------------- */

void function__type(struct run *run, const struct value *arguments,
                    size_t count, struct value *out)
{
    (void)run;
    CHECK_EQ(count, 1);
    *out = (struct value){.kind = VALUE_TYPE,
                          .integer = (int64_t)arguments[0].kind};
}

void function__dyn(struct run *run, const struct value *arguments, size_t count,
                   struct value *out)
{
    (void)run;
    CHECK_EQ(count, 1);
    *out = arguments[0];
}

/* The document's tree lives in the arena as well, so it is what is left of the
 * budget that bounds the count of its values. */
void function__json(struct run *run, const struct value *arguments,
                    size_t count, struct value *out)
{
    const struct value *text = &arguments[0];
    if (text->kind != VALUE_STRING && text->kind != VALUE_BYTES) {
        function__no_overload(run, "json", arguments, count, out);
        return;
    }
    /* Reading is some ten times slower than what else goes over bytes. */
    if (!run__steps(run, 1 + text->text.size / (FUNCTION_BYTES_A_STEP / 16)))
        return;
    struct doc_limits limits = doc_limits_default;
    size_t each = sizeof(struct doc_value) + sizeof(struct doc_member) +
                  2 * sizeof(struct value);
    if (limits.values_max > run->bytes_left / each)
        limits.values_max = run->bytes_left / each;
    size_t before = run->arena->used_bytes;
    struct doc_value *doc;
    enum err err = doc_parse_json(run->arena, text->text, &limits, &doc);
    if (err) {
        *out = run__error(run, "json: %s", err_note());
        return;
    }
    *out = value_from_doc(run->arena, doc);
    size_t used = run->arena->used_bytes - before;
    run->bytes_left -= used < run->bytes_left ? used : run->bytes_left;
}
