#include "cel_table.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>

#include "zone_build.h"

static const struct expr_name name_table[] = {
    {{"x", 1}, VALUE_LAZY}, {{"a", 1}, VALUE_LAZY}, {{"n", 1}, VALUE_LAZY},
    {{"s", 1}, VALUE_LAZY}, {{"d", 1}, VALUE_LAZY}, {{"t", 1}, VALUE_LAZY},
    {{"u", 1}, VALUE_LAZY},
};
enum { NAMES = sizeof name_table / sizeof name_table[0] };
static const struct expr_names names = {.names = name_table, .count = NAMES};

static void fill(struct arena *arena, struct value slots[NAMES])
{
    slots[0] = value_from_text(arena, SLICE("{\"name\":1024,\"list\":[1,2],"
                                            "\"deep\":{\"a\":{\"b\":\"c\"}}}"));
    slots[1] = value_from_text(arena, SLICE("[0]"));
    slots[2] = value_int(7);
    slots[3] = value_string(SLICE("text"));
    slots[4] = (struct value){.kind = VALUE_DOUBLE, .number = 0};
    slots[5] = value_bool(true);
    slots[6] = (struct value){.kind = VALUE_UINT, .natural = 2};
}

/* ---- the notation ------------------------------------------------------- */

static void write_quoted(struct buf *out, struct slice text)
{
    buf_append_char(out, '\'');
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if (c < 0x20 || c == 0x7f || c == '\'' || c == '\\')
            buf_printf(out, "\\x%02x", c);
        else
            buf_append_char(out, (char)c);
    }
    buf_append_char(out, '\'');
}

static void write_bytes(struct buf *out, struct slice bytes)
{
    buf_append_str(out, "b'");
    for (size_t i = 0; i < bytes.size; i++) {
        unsigned char c = (unsigned char)bytes.at[i];
        buf_printf(out, c > 0x20 && c < 0x7f ? "%c" : "\\x%02x", c);
    }
    buf_append_char(out, '\'');
}

static void write_items(struct buf *out, const struct value *keys,
                        const struct value *values, size_t count)
{
    buf_append_char(out, keys ? '{' : '[');
    for (size_t i = 0; i < count; i++) {
        buf_append_str(out, i ? ", " : "");
        if (keys) {
            cel_write(out, &keys[i]);
            buf_append_str(out, ": ");
        }
        cel_write(out, &values[i]);
    }
    buf_append_char(out, keys ? '}' : ']');
}

static void write_double(struct buf *out, const struct value *value)
{
    size_t begin = out->size;
    value_write_text(out, value);
    struct slice text = slice_of(out->at + begin, out->size - begin);
    if (isfinite(value->number) && slice_find(text, '.') < 0 &&
        slice_find(text, 'e') < 0)
        buf_append_str(out, ".0");
}

static void write_call(struct buf *out, const char *name,
                       const struct value *value)
{
    buf_printf(out, "%s('", name);
    value_write_text(out, value);
    buf_append_str(out, "')");
}

void cel_write(struct buf *out, const struct value *value)
{
    static const struct value no_keys;
    switch (value->kind) {
    case VALUE_UINT:
        buf_append_u64(out, value->natural);
        buf_append_char(out, 'u');
        return;
    case VALUE_DOUBLE:
        write_double(out, value);
        return;
    case VALUE_STRING:
        write_quoted(out, value->text);
        return;
    case VALUE_BYTES:
        write_bytes(out, value->text);
        return;
    case VALUE_LIST:
        write_items(out, NULL, value->list->items, value->list->count);
        return;
    case VALUE_MAP:
        write_items(out, value->map->count ? value->map->keys : &no_keys,
                    value->map->values, value->map->count);
        return;
    case VALUE_TIMESTAMP:
        write_call(out, "timestamp", value);
        return;
    case VALUE_DURATION:
        write_call(out, "duration", value);
        return;
    case VALUE_ERROR:
        buf_append_str(out, "error: ");
        buf_append_slice(out, value->text);
        return;
    default:
        value_write_text(out, value);
    }
}

/* ---- asking ------------------------------------------------------------- */

static void answer(struct arena *arena, const char *text, struct buf *out)
{
    struct value slots[NAMES], value = {.kind = VALUE_NULL};
    struct expr *expr;
    struct expr_fault fault;
    const struct expr_world world = {
        .zones = &zone_build_door,
        .now_ns = INT64_C(1234567890) * 1000000000,
    };
    fill(arena, slots);
    if (expr_compile(arena, slice_str(text), &names, &expr, &fault)) {
        buf_printf(out, "refused: %s", fault.text);
        return;
    }
    enum expr_end end = expr_eval(expr, slots, &world, NULL, arena, &value);
    assert_int_not_equal(end, EXPR_WAITS);
    /* What is known when it is compiled has to be true. */
    enum value_kind gives = expr_gives(expr);
    if (value.kind != VALUE_ERROR && gives != VALUE_LAZY)
        assert_int_equal(value.kind, gives);
    cel_write(out, &value);
}

/* Of errors and refusals a part of the text will do. */
static bool is_as_expected(struct slice got, struct slice expected)
{
    static const struct slice prefixes[] = {{"error: ", 7}, {"refused: ", 9}};
    for (size_t i = 0; i < 2; i++) {
        struct slice prefix = prefixes[i];
        if (!slice_has_prefix(expected, prefix))
            continue;
        return slice_has_prefix(got, prefix) &&
               memmem(got.at, got.size, expected.at + prefix.size,
                      expected.size - prefix.size) != NULL;
    }
    return slice_eq(got, expected);
}

void cel_check(const struct cel_row *rows, size_t count)
{
    size_t wrong = 0;
    for (size_t i = 0; i < count; i++) {
        struct arena arena;
        struct buf got = {0};
        arena_init(&arena, 0);
        answer(&arena, rows[i].text, &got);
        if (!is_as_expected(buf_slice(&got), slice_str(rows[i].expected))) {
            print_error("%s\n    gave   %.*s\n    wanted %s\n", rows[i].text,
                        (int)got.size, got.at, rows[i].expected);
            wrong++;
        }
        buf_deinit(&got);
        arena_deinit(&arena);
    }
    assert_int_equal(wrong, 0);
}
