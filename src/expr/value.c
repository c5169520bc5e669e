/* Values: making them, finding members, kinds' names. */
#include "expr/expr.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"
#include "expr/value_int.h"

enum {
    /* A document is 64 deep at the most (doc_limits_default); what is deeper
     * was refused before it came here. */
    DOC_DEPTH_MAX = 1000,
    ERROR_TEXT_BYTES_MAX = 256,
};

const char *value_kind_text(enum value_kind kind)
{
    static const char *const texts[] = {
        [VALUE_NULL] = "null_type",    [VALUE_BOOL] = "bool",
        [VALUE_INT] = "int",           [VALUE_UINT] = "uint",
        [VALUE_DOUBLE] = "double",     [VALUE_STRING] = "string",
        [VALUE_BYTES] = "bytes",       [VALUE_LIST] = "list",
        [VALUE_MAP] = "map",           [VALUE_TIMESTAMP] = "timestamp",
        [VALUE_DURATION] = "duration", [VALUE_TYPE] = "type",
        [VALUE_ERROR] = "error",       [VALUE_ABSENT] = "absent",
        [VALUE_LAZY] = "dyn",
    };
    CHECK((unsigned)kind < sizeof texts / sizeof texts[0]);
    return texts[kind];
}

/* ---- making ------------------------------------------------------------- */

struct value value_string(struct slice text)
{
    return (struct value){.kind = VALUE_STRING, .text = text};
}

struct value value_int(int64_t integer)
{
    return (struct value){.kind = VALUE_INT, .integer = integer};
}

struct value value_bool(bool boolean)
{
    return (struct value){.kind = VALUE_BOOL, .boolean = boolean};
}

struct value value_error(struct arena *arena, const char *format, ...)
{
    char text[ERROR_TEXT_BYTES_MAX];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    CHECK(length >= 0);
    size_t size = (size_t)length;
    if (size > sizeof text - 1)
        size = sizeof text - 1;
    return (struct value){
        .kind = VALUE_ERROR,
        .text = slice_of(arena_dup(arena, text, size), size),
    };
}

static struct value from_doc(struct arena *arena, const struct doc_value *doc,
                             int depth);

static struct value list_from_doc(struct arena *arena,
                                  const struct doc_value *doc, int depth)
{
    struct value_list *list = arena_alloc(arena, sizeof *list);
    list->count = doc->count;
    list->items = arena_alloc(arena, doc->count * sizeof *list->items);
    for (size_t i = 0; i < doc->count; i++)
        list->items[i] = from_doc(arena, doc->items[i], depth + 1);
    return (struct value){.kind = VALUE_LIST, .list = list};
}

/* The document has each name once: its reader refuses a second. */
static struct value map_from_doc(struct arena *arena,
                                 const struct doc_value *doc, int depth)
{
    struct value_map *map = arena_alloc(arena, sizeof *map);
    map->count = doc->count;
    map->keys = arena_alloc(arena, doc->count * sizeof *map->keys);
    map->values = arena_alloc(arena, doc->count * sizeof *map->values);
    for (size_t i = 0; i < doc->count; i++) {
        map->keys[i] = value_string(doc->members[i].name);
        map->values[i] = from_doc(arena, doc->members[i].value, depth + 1);
    }
    return (struct value){.kind = VALUE_MAP, .map = map};
}

static struct value from_doc(struct arena *arena, const struct doc_value *doc,
                             int depth)
{
    CHECK_LT(depth, DOC_DEPTH_MAX);
    switch (doc->kind) {
    case DOC_NULL:
        return (struct value){.kind = VALUE_NULL};
    case DOC_BOOL:
        return value_bool(doc->boolean);
    case DOC_INT:
        return value_int(doc->integer);
    case DOC_DOUBLE:
        return (struct value){.kind = VALUE_DOUBLE, .number = doc->number};
    case DOC_STRING:
        return value_string(doc->text);
    case DOC_LIST:
        return list_from_doc(arena, doc, depth);
    case DOC_MAP:
        return map_from_doc(arena, doc, depth);
    }
    UNREACHABLE();
}

struct value value_from_doc(struct arena *arena, const struct doc_value *doc)
{
    CHECK(doc != NULL);
    return from_doc(arena, doc, 0);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Most values are plain words: their first byte tells that they aren't JSON,
 * and the reader isn't asked. */
static bool may_be_json(struct slice text)
{
    size_t at = 0;
    while (at < text.size && is_space(text.at[at]))
        at++;
    return at < text.size &&
           memchr("{[\"-0123456789tfn", text.at[at], 17) != NULL;
}

struct value value_from_text(struct arena *arena, struct slice text)
{
    struct doc_value *doc;
    if (may_be_json(text) &&
        doc_parse_json(arena, text, &doc_limits_default, &doc) == ERR_OK)
        return value_from_doc(arena, doc);
    return (struct value){
        .kind = slice_is_utf8(text) ? VALUE_STRING : VALUE_BYTES,
        .text = text,
    };
}

/* ---- members ------------------------------------------------------------ */

const struct value *value_member(const struct value *map, struct slice name)
{
    if (map->kind != VALUE_MAP)
        return NULL;
    const struct value *keys = map->map->keys;
    for (size_t i = 0; i < map->map->count; i++) {
        if (keys[i].text.size == name.size && keys[i].kind == VALUE_STRING &&
            slice_eq(keys[i].text, name))
            return &map->map->values[i];
    }
    return NULL;
}
