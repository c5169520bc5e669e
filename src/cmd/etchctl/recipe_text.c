/* Tables, and documents as YAML, for people. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cmd/etchctl/recipe.h"
#include "doc/json_write.h"

/* ---- cells --------------------------------------------------------------- */

/* U+0080 to U+009F, in two bytes: a terminal obeys these, too. The first byte
 * alone is nothing to it, nor is the second. */
static bool is_order(struct slice text, size_t at)
{
    return (unsigned char)text.at[at] == 0xc2 && at + 1 < text.size &&
           (unsigned char)text.at[at + 1] < 0xa0;
}

void recipe_plain(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if (c == '\n' || c == '\t')
            buf_append_char(out, ' ');
        else if (c < 0x20 || c == 0x7f)
            buf_append_char(out, '?');
        else if (is_order(text, i))
            continue;
        else
            buf_append_char(out, (char)c);
    }
}

static void scalar(struct buf *out, const struct doc_value *value)
{
    switch (value->kind) {
    case DOC_STRING:
        buf_append_slice(out, value->text);
        break;
    case DOC_BOOL:
        buf_append_str(out, value->boolean ? "true" : "false");
        break;
    case DOC_INT:
        buf_append_i64(out, value->integer);
        break;
    case DOC_DOUBLE:
        buf_printf(out, "%.15g", value->number);
        break;
    case DOC_MAP:
    case DOC_LIST:
    case DOC_NULL:
        break;
    }
}

struct slice recipe_cell(struct arena *arena, const struct doc_value *map,
                         const char *name)
{
    const struct doc_value *value = map ? doc_get(map, name) : NULL;
    struct buf text = {0};
    struct slice out = SLICE("");

    if (!value)
        return out;
    scalar(&text, value);
    for (size_t i = 0; value->kind == DOC_MAP && i < value->count; i++) {
        buf_append_str(&text, i > 0 ? "," : "");
        buf_append_slice(&text, value->members[i].name);
        buf_append_char(&text, '=');
        scalar(&text, value->members[i].value);
    }
    if (text.size > 0)
        out = slice_of(arena_dup(arena, text.at, text.size), text.size);
    buf_deinit(&text);
    return out;
}

const struct doc_value *recipe_list(const struct doc_value *map,
                                    const char *name)
{
    static const struct doc_value none = {.kind = DOC_LIST};
    const struct doc_value *list = doc_get(map, name);

    return list && list->kind == DOC_LIST ? list : &none;
}

int64_t recipe_number(const struct doc_value *map, const char *name)
{
    const struct doc_value *value = doc_get(map, name);

    return value && value->kind == DOC_INT ? value->integer : 0;
}

void recipe_json_text(struct buf *out, const char *name, struct slice text)
{
    if (out->size > 0 && out->at[out->size - 1] != '{')
        buf_append_char(out, ',');
    json_write_string(out, slice_str(name));
    buf_append_char(out, ':');
    json_write_string(out, text);
}

/* ---- tables -------------------------------------------------------------- */

void recipe_table_init(struct recipe_table *table, struct arena *arena,
                       const char *const *heads)
{
    *table = (struct recipe_table){.arena = arena, .heads = heads};
    while (heads[table->columns])
        table->columns++;
    CHECK_LE(table->columns, RECIPE_COLUMNS_MAX);
}

void recipe_table_add(struct recipe_table *table, struct slice text)
{
    struct buf plain = {0};

    if (table->count == table->capacity) {
        size_t capacity = table->capacity ? 2 * table->capacity : 64;
        struct slice *cells =
            arena_alloc(table->arena, capacity * sizeof(*cells));
        if (table->count > 0)
            memcpy(cells, table->cells, table->count * sizeof(*cells));
        table->cells = cells;
        table->capacity = capacity;
    }
    recipe_plain(&plain, text);
    table->cells[table->count++] =
        slice_of(arena_dup(table->arena, plain.at ? plain.at : "", plain.size),
                 plain.size);
    buf_deinit(&plain);
}

/* Letters, not bytes. */
static size_t width_of(struct slice text)
{
    size_t width = 0;

    for (size_t i = 0; i < text.size; i++)
        width += ((unsigned char)text.at[i] & 0xc0) != 0x80;
    return width;
}

static void write_row(struct buf *out, const struct slice *cells, size_t count,
                      const size_t *widths)
{
    size_t last = count;

    while (last > 0 && cells[last - 1].size == 0)
        last--;
    for (size_t i = 0; i < last; i++) {
        buf_append_slice(out, cells[i]);
        if (i + 1 < last)
            buf_printf(out, "%*s", (int)(widths[i] - width_of(cells[i]) + 2),
                       "");
    }
    buf_append_char(out, '\n');
}

void recipe_table_write(const struct recipe_table *table, struct buf *out)
{
    struct slice heads[RECIPE_COLUMNS_MAX];
    size_t widths[RECIPE_COLUMNS_MAX];

    CHECK_EQ(table->count % table->columns, 0);
    for (size_t i = 0; i < table->columns; i++) {
        heads[i] = slice_str(table->heads[i]);
        widths[i] = heads[i].size;
    }
    for (size_t i = 0; i < table->count; i++) {
        size_t width = width_of(table->cells[i]);
        if (width > widths[i % table->columns])
            widths[i % table->columns] = width;
    }
    write_row(out, heads, table->columns, widths);
    for (size_t i = 0; i < table->count; i += table->columns)
        write_row(out, &table->cells[i], table->columns, widths);
}

/* ---- YAML ---------------------------------------------------------------- */

static bool is_word_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || (c != '\0' && strchr("_-./", c) != NULL);
}

/* What YAML takes for something else than a string. */
static bool is_special_word(struct slice text)
{
    static const char *const words[] = {"true", "false", "yes", "no", "on",
                                        "off",  "null",  "y",   "n",  "~"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (slice_eq_nocase(text, slice_str(words[i])))
            return true;
    return false;
}

/* A string that needs no quotes: a name, a path, and blanks between. */
static bool is_bare(struct slice text)
{
    if (text.size == 0 || text.size > 100 || is_special_word(text) ||
        text.at[text.size - 1] == ' ' ||
        (text.at[0] != '/' && (text.at[0] < 'A' || text.at[0] == '_')))
        return false;
    for (size_t i = 0; i < text.size; i++)
        if (text.at[i] != ' ' && !is_word_byte(text.at[i]))
            return false;
    return true;
}

static void write_string(struct buf *out, struct slice text)
{
    if (is_bare(text)) {
        buf_append_slice(out, text);
        return;
    }
    buf_append_char(out, '"');
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else if (c == '\n')
            buf_append_str(out, "\\n");
        else if (c == '\t')
            buf_append_str(out, "\\t");
        else if (c < 0x20 || c == 0x7f)
            buf_printf(out, "\\x%02x", c);
        else if (is_order(text, i))
            buf_printf(out, "\\u%04x", (unsigned char)text.at[++i]);
        else
            buf_append_char(out, (char)c);
    }
    buf_append_char(out, '"');
}

static void write_number(struct buf *out, double number)
{
    struct buf short_one = {0};

    /* As short as reads back to the same. */
    for (int digits = 15; digits <= 17; digits++) {
        buf_reset(&short_one);
        buf_printf(&short_one, "%.*g", digits, number);
        buf_append_char(&short_one, '\0');
        if (strtod(short_one.at, NULL) == number)
            break;
    }
    buf_append_str(out, short_one.at);
    if (strpbrk(short_one.at, ".en") == NULL)
        buf_append_str(out, ".0");
    buf_deinit(&short_one);
}

static void indent(struct buf *out, int depth)
{
    buf_append_char(out, '\n');
    for (int i = 0; i < depth; i++)
        buf_append_str(out, "  ");
}

static bool is_block(const struct doc_value *value)
{
    return (value->kind == DOC_MAP || value->kind == DOC_LIST) &&
           value->count > 0;
}

static void write_value(struct buf *out, const struct doc_value *value,
                        int depth, bool is_fresh);

/* `is_fresh`: the line is indented already. */
static void write_map(struct buf *out, const struct doc_value *map, int depth,
                      bool is_fresh)
{
    for (size_t i = 0; i < map->count; i++) {
        const struct doc_member *member = &map->members[i];
        if (!is_fresh || i > 0)
            indent(out, depth);
        write_string(out, member->name);
        buf_append_char(out, ':');
        if (!is_block(member->value))
            buf_append_char(out, ' ');
        write_value(out, member->value, depth + 1, false);
    }
}

static void write_list(struct buf *out, const struct doc_value *list, int depth,
                       bool is_fresh)
{
    for (size_t i = 0; i < list->count; i++) {
        if (!is_fresh || i > 0)
            indent(out, depth);
        buf_append_str(out, "- ");
        write_value(out, list->items[i], depth + 1, true);
    }
}

static void write_value(struct buf *out, const struct doc_value *value,
                        int depth, bool is_fresh)
{
    switch (value->kind) {
    case DOC_NULL:
        buf_append_str(out, "null");
        break;
    case DOC_BOOL:
    case DOC_INT:
        scalar(out, value);
        break;
    case DOC_DOUBLE:
        write_number(out, value->number);
        break;
    case DOC_STRING:
        write_string(out, value->text);
        break;
    case DOC_LIST:
        if (value->count == 0)
            buf_append_str(out, "[]");
        write_list(out, value, depth, is_fresh);
        break;
    case DOC_MAP:
        if (value->count == 0)
            buf_append_str(out, "{}");
        write_map(out, value, depth, is_fresh);
        break;
    }
}

void recipe_flow(struct buf *out, const struct doc_value *value)
{
    bool is_map = value->kind == DOC_MAP;

    if (!is_map && value->kind != DOC_LIST) {
        write_value(out, value, 0, true);
        return;
    }
    buf_append_char(out, is_map ? '{' : '[');
    for (size_t i = 0; i < value->count; i++) {
        buf_append_str(out, i > 0 ? ", " : "");
        if (is_map) {
            write_string(out, value->members[i].name);
            buf_append_str(out, ": ");
        }
        recipe_flow(out, is_map ? value->members[i].value : value->items[i]);
    }
    buf_append_char(out, is_map ? '}' : ']');
}

void recipe_yaml(struct buf *out, const struct doc_value *value)
{
    write_value(out, value, 0, true);
    buf_append_char(out, '\n');
}
