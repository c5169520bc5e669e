/* What the parsers of JSON, YAML and TOML share (see doc_int.h). */
#include "doc/doc.h"

#include <stdio.h>

#include "base/check.h"
#include "doc/doc_int.h"

const struct doc_limits doc_limits_default = {
    .bytes_max = 1024 * 1024,
    .depth_max = 64,
    .values_max = 100000,
};

struct doc_value *doc_get(const struct doc_value *map, const char *name)
{
    if (!map || map->kind != DOC_MAP) {
        return NULL;
    }
    struct slice wanted = slice_str(name);
    for (size_t i = 0; i < map->count; i++) {
        if (slice_eq(map->members[i].name, wanted)) {
            return map->members[i].value;
        }
    }
    return NULL;
}

const char *doc_kind_text(enum doc_kind kind)
{
    switch (kind) {
    case DOC_NULL:
        return "nothing";
    case DOC_BOOL:
        return "true or false";
    case DOC_INT:
        return "an integer";
    case DOC_DOUBLE:
        return "a number";
    case DOC_STRING:
        return "a string";
    case DOC_LIST:
        return "a list";
    case DOC_MAP:
        return "a map";
    }
    UNREACHABLE();
}

/* ---- names ------------------------------------------------------------- */

/* A key is the address of the map, then the name: unique in the document. */
struct name_entry {
    struct slice key;
    struct doc_value *value;
};

static struct slice key_of_entry(const void *entry)
{
    return ((const struct name_entry *)entry)->key;
}

static struct slice make_key(struct doc_builder *builder,
                             const struct doc_value *map, struct slice name)
{
    buf_reset(&builder->key);
    buf_append(&builder->key, &map, sizeof map);
    buf_append_slice(&builder->key, name);
    return buf_slice(&builder->key);
}

void doc__builder_init(struct doc_builder *builder, struct arena *arena,
                       const struct doc_limits *limits)
{
    CHECK(arena);
    CHECK(limits);
    *builder = (struct doc_builder){.arena = arena, .limits = limits};
    /* Where the arena lies is as good a secret as a parser without a source
     * of chance can have; the order of the map never shows. */
    map_init(&builder->names, key_of_entry, (uint64_t)(uintptr_t)arena->at);
}

void doc__builder_deinit(struct doc_builder *builder)
{
    map_deinit(&builder->names);
    buf_deinit(&builder->key);
}

struct doc_value *doc__find(struct doc_builder *builder,
                            const struct doc_value *map, struct slice name)
{
    struct name_entry *entry =
        map_get(&builder->names, make_key(builder, map, name));
    return entry ? entry->value : NULL;
}

/* ---- values ------------------------------------------------------------ */

static enum err no_memory(void)
{
    return err_set(ERR_NO_MEMORY, "no memory for the document");
}

enum err doc__new_sized(struct doc_builder *builder, enum doc_kind kind,
                        int line, int column, size_t size,
                        struct doc_value **out)
{
    CHECK_LE(sizeof(struct doc_value), size);
    if (builder->values >= builder->limits->values_max) {
        return err_set(ERR_TOO_LARGE, "more than %zu values",
                       builder->limits->values_max);
    }
    struct doc_value *value = arena_try_alloc(builder->arena, size);
    if (!value) {
        return no_memory();
    }
    memset(value, 0, size);
    value->kind = kind;
    value->line = line;
    value->column = column;
    builder->values++;
    *out = value;
    return ERR_OK;
}

enum err doc__new_value(struct doc_builder *builder, enum doc_kind kind,
                        int line, int column, struct doc_value **out)
{
    return doc__new_sized(builder, kind, line, column, sizeof(struct doc_value),
                          out);
}

/* Room for one more in an array of `count` elements of `size` bytes. It holds
 * 4 to begin with and doubles; what it grew out of stays in the arena. */
static void *grow(struct arena *arena, void *old, size_t count, size_t size)
{
    bool is_full = count == 0 || (count >= 4 && (count & (count - 1)) == 0);
    if (!is_full) {
        return old;
    }
    size_t capacity = count == 0 ? 4 : count * 2;
    void *larger = arena_try_alloc(arena, capacity * size);
    if (larger && count) {
        memcpy(larger, old, count * size);
    }
    return larger;
}

enum err doc__add_item(struct doc_builder *builder, struct doc_value *list,
                       struct doc_value *item)
{
    CHECK_EQ(list->kind, DOC_LIST);
    struct doc_value **items =
        grow(builder->arena, list->items, list->count, sizeof *items);
    if (!items) {
        return no_memory();
    }
    list->items = items;
    items[list->count++] = item;
    return ERR_OK;
}

enum err doc__add_member(struct doc_builder *builder, struct doc_value *map,
                         const struct doc_member *member)
{
    CHECK_EQ(map->kind, DOC_MAP);
    if (doc__find(builder, map, member->name)) {
        /* Enough to know it by; the note is short. */
        int shown = member->name.size < 64 ? (int)member->name.size : 64;
        return doc__error(member->line, member->column,
                          "the key \"%.*s\" is there twice", shown,
                          member->name.at);
    }
    struct doc_member *members =
        grow(builder->arena, map->members, map->count, sizeof *members);
    struct name_entry *entry =
        members ? arena_try_alloc(builder->arena, sizeof *entry) : NULL;
    if (!entry) {
        return no_memory();
    }
    *entry = (struct name_entry){.value = member->value};
    /* doc__find left this member's key in `key`. */
    enum err err = doc__copy(builder, buf_slice(&builder->key), &entry->key);
    if (err) {
        return err;
    }
    CHECK(!map_put(&builder->names, entry));
    map->members = members;
    members[map->count++] = *member;
    return ERR_OK;
}

enum err doc__copy(struct doc_builder *builder, struct slice text,
                   struct slice *out)
{
    char *copy = arena_try_alloc(builder->arena, text.size + 1);
    if (!copy) {
        return no_memory();
    }
    if (text.size) {
        memcpy(copy, text.at, text.size);
    }
    copy[text.size] = '\0';
    *out = slice_of(copy, text.size);
    return ERR_OK;
}

/* ---- limits and errors ------------------------------------------------- */

enum err doc__check_size(const struct doc_limits *limits, struct slice text)
{
    if (text.size <= limits->bytes_max) {
        return ERR_OK;
    }
    return err_set(ERR_TOO_LARGE, "%zu bytes, more than %zu", text.size,
                   limits->bytes_max);
}

enum err doc__check_depth(const struct doc_limits *limits, int depth, int line,
                          int column)
{
    if (depth <= limits->depth_max) {
        return ERR_OK;
    }
    err_set(ERR_TOO_LARGE, "nested more than %d deep", limits->depth_max);
    if (line) {
        return err_wrap(ERR_TOO_LARGE, "line %d, column %d", line, column);
    }
    return ERR_TOO_LARGE;
}

enum err doc__error(int line, int column, const char *format, ...)
{
    char text[ERR_NOTE_BYTES_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (line <= 0) {
        return err_set(ERR_INVALID, "%s", text);
    }
    return err_set(ERR_INVALID, "line %d, column %d: %s", line, column, text);
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return 99;
}

bool doc__integer(struct slice digits, int base, bool negative, int64_t *out,
                  bool *fits)
{
    CHECK(base == 2 || base == 8 || base == 10 || base == 16);
    uint64_t bound = negative ? (uint64_t)INT64_MAX + 1 : INT64_MAX;
    uint64_t number = 0;
    *fits = true;
    for (size_t i = 0; i < digits.size; i++) {
        int digit = digit_value(digits.at[i]);
        if (digit >= base) {
            return false;
        }
        if (number > (bound - (uint64_t)digit) / (uint64_t)base) {
            *fits = false;
        } else {
            number = number * (uint64_t)base + (uint64_t)digit;
        }
    }
    /* 0 - number wraps to the right bits for INT64_MIN too. */
    *out = (int64_t)(negative ? 0 - number : number);
    return digits.size > 0;
}
