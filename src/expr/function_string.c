/* Functions of one or two strings. Letters are ASCII's: what a key's lower
 * case is must not depend on a table of Unicode's that changes. */
#include "expr/function_int.h"

#include "base/check.h"
#include "expr/glob_int.h"

static bool pay(struct run *run, const struct value *text)
{
    return run__steps(run, text->text.size / FUNCTION_BYTES_A_STEP);
}

/* Code points: all bytes but those that go on with one. */
static int64_t count_points(struct slice text)
{
    int64_t count = 0;
    for (size_t i = 0; i < text.size; i++)
        count += ((unsigned char)text.at[i] & 0xc0) != 0x80;
    return count;
}

void function__size(struct run *run, const struct value *arguments,
                    size_t count, struct value *out)
{
    const struct value *value = &arguments[0];
    switch (value->kind) {
    case VALUE_STRING:
        if (pay(run, value))
            *out = value_int(count_points(value->text));
        return;
    case VALUE_BYTES:
        *out = value_int((int64_t)value->text.size);
        return;
    case VALUE_LIST:
        *out = value_int((int64_t)value->list->count);
        return;
    case VALUE_MAP:
        *out = value_int((int64_t)value->map->count);
        return;
    default:
        function__no_overload(run, "size", arguments, count, out);
    }
}

void function__contains(struct run *run, const struct value *arguments,
                        size_t count, struct value *out)
{
    if (!function__are_strings(run, "contains", arguments, count, out) ||
        !pay(run, &arguments[0]))
        return;
    struct slice text = arguments[0].text, part = arguments[1].text;
    *out = value_bool(part.size == 0 ||
                      (text.size >= part.size &&
                       memmem(text.at, text.size, part.at, part.size) != NULL));
}

void function__starts_with(struct run *run, const struct value *arguments,
                           size_t count, struct value *out)
{
    if (function__are_strings(run, "startsWith", arguments, count, out) &&
        pay(run, &arguments[1]))
        *out =
            value_bool(slice_has_prefix(arguments[0].text, arguments[1].text));
}

void function__ends_with(struct run *run, const struct value *arguments,
                         size_t count, struct value *out)
{
    if (!function__are_strings(run, "endsWith", arguments, count, out) ||
        !pay(run, &arguments[1]))
        return;
    struct slice text = arguments[0].text, end = arguments[1].text;
    *out = value_bool(
        text.size >= end.size &&
        slice_eq(slice_of(text.at + (text.size - end.size), end.size), end));
}

static void change_letters(struct run *run, const struct value *text, char low,
                           struct value *out)
{
    size_t size = text->text.size;
    char *bytes = pay(run, text) ? run__alloc(run, size) : NULL;
    if (bytes == NULL)
        return;
    for (size_t i = 0; i < size; i++) {
        char c = text->text.at[i];
        bytes[i] = (char)(c >= low && c <= low + 25 ? c ^ 0x20 : c);
    }
    *out = value_string(slice_of(bytes, size));
}

void function__lower(struct run *run, const struct value *arguments,
                     size_t count, struct value *out)
{
    if (function__are_strings(run, "lower", arguments, count, out))
        change_letters(run, &arguments[0], 'A', out);
}

void function__upper(struct run *run, const struct value *arguments,
                     size_t count, struct value *out)
{
    if (function__are_strings(run, "upper", arguments, count, out))
        change_letters(run, &arguments[0], 'a', out);
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

void function__trim(struct run *run, const struct value *arguments,
                    size_t count, struct value *out)
{
    if (!function__are_strings(run, "trim", arguments, count, out) ||
        !pay(run, &arguments[0]))
        return;
    struct slice text = arguments[0].text;
    while (text.size > 0 && is_space(text.at[0]))
        text = slice_of(text.at + 1, text.size - 1);
    while (text.size > 0 && is_space(text.at[text.size - 1]))
        text.size--;
    *out = value_string(text);
}

void function__glob(struct run *run, const struct value *arguments,
                    size_t count, struct value *out)
{
    if (!function__are_strings(run, "glob", arguments, count, out))
        return;
    struct slice pattern = arguments[0].text, text = arguments[1].text;
    if (pattern.size > GLOB_PATTERN_BYTES_MAX) {
        *out = run__error(run, "glob: a pattern has at most %d bytes",
                          GLOB_PATTERN_BYTES_MAX);
        return;
    }
    /* Each byte of the one is looked at with each of the other. */
    if (run__steps(run, pattern.size * text.size / (FUNCTION_BYTES_A_STEP / 4)))
        *out = value_bool(glob_matches(pattern, text));
}
