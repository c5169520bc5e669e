/* Maps by their fields, and faults: where, and what to write instead. */
#include <stdio.h>

#include "base/check.h"
#include "recipe/recipe_int.h"

/* ---- the path ----------------------------------------------------------- */

size_t reader__enter(struct reader *reader, struct slice name)
{
    size_t mark = reader->path_size;
    size_t room = sizeof reader->path - mark;
    int size = snprintf(reader->path + mark, room, "%s%.*s", mark ? "." : "",
                        SHOWN(name));
    CHECK_LE(0, size);
    reader->path_size += (size_t)size < room ? (size_t)size : room - 1;
    return mark;
}

size_t reader__enter_item(struct reader *reader, size_t index)
{
    size_t mark = reader->path_size;
    size_t room = sizeof reader->path - mark;
    int size = snprintf(reader->path + mark, room, "[%zu]", index);
    CHECK_LE(0, size);
    reader->path_size += (size_t)size < room ? (size_t)size : room - 1;
    return mark;
}

void reader__leave(struct reader *reader, size_t mark)
{
    CHECK_LE(mark, reader->path_size);
    reader->path_size = mark;
    reader->path[mark] = '\0';
}

/* ---- faults ------------------------------------------------------------- */

static void fail(struct reader *reader, int line, int column,
                 const char *format, va_list args)
{
    struct recipe_fault *fault = reader->fault;
    if (reader->err)
        return;
    reader->err = ERR_INVALID;
    fault->line = line;
    fault->column = column;
    memcpy(fault->path, reader->path, sizeof fault->path);
    vsnprintf(fault->text, sizeof fault->text, format, args);
}

void reader__fail_at(struct reader *reader, int line, int column,
                     const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fail(reader, line, column, format, args);
    va_end(args);
}

void reader__fail(struct reader *reader, const struct doc_value *at,
                  const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fail(reader, at->line, at->column, format, args);
    va_end(args);
}

/* The byte of the document at a line and a column, which counts characters;
 * the text's size where there is none. */
static size_t find_place(struct slice text, int line, int column)
{
    size_t at = 0;
    for (; line > 1 && at < text.size; at++)
        line -= text.at[at] == '\n';
    for (; column > 1 && at < text.size; column--) {
        do {
            at++;
        } while (at < text.size && (text.at[at] & 0xc0) == 0x80);
    }
    return at;
}

static int count_characters(struct slice text)
{
    int count = 0;
    for (size_t i = 0; i < text.size; i++)
        count += (text.at[i] & 0xc0) != 0x80;
    return count;
}

/* Bytes of the document for the next byte of a scalar's text: one, or two where
 * it is escaped; 0: they don't agree. */
static size_t source_bytes(struct slice source, char quote, char byte)
{
    if (source.size >= 2 && quote == '\'' && byte == '\'')
        return source.at[0] == '\'' && source.at[1] == '\'' ? 2 : 0;
    if (source.size >= 2 && quote == '"' && source.at[0] == '\\')
        return source.at[1] == byte && strchr("\"\\/", byte) ? 2 : 0;
    return source.size >= 1 && source.at[0] == byte && byte != '\n' ? 1 : 0;
}

/* The columns from the scalar's place to a byte of its text; false where they
 * can't be told. */
static bool count_columns(const struct reader *reader,
                          const struct doc_value *value, size_t offset,
                          int *columns)
{
    size_t at = find_place(reader->text, value->line, value->column);
    if (value->line == 0 || at >= reader->text.size)
        return false;
    size_t begin = at;
    char quote = reader->text.at[at];
    if (quote == '|' || quote == '>')
        return false;
    if (quote == '"' || quote == '\'')
        at++;
    else
        quote = 0;
    for (size_t i = 0; i < offset; i++) {
        struct slice left =
            slice_of(reader->text.at + at, reader->text.size - at);
        size_t taken = source_bytes(left, quote, value->text.at[i]);
        if (taken == 0)
            return false;
        at += taken;
    }
    *columns = count_characters(slice_of(reader->text.at + begin, at - begin));
    return true;
}

/* "column 7", "line 2, column 7" of a text that the document has in another
 * form. */
static void write_place(struct slice before, char out[64])
{
    int line = 1;
    for (ptrdiff_t end; (end = slice_find(before, '\n')) >= 0; line++)
        before = slice_of(before.at + end + 1, before.size - (size_t)end - 1);
    int column = count_characters(before) + 1;
    if (line == 1)
        snprintf(out, 64, "column %d", column);
    else
        snprintf(out, 64, "line %d, column %d", line, column);
}

void reader__fail_inside(struct reader *reader, const struct doc_value *at,
                         size_t offset, const char *format, ...)
{
    int columns;
    char place[64];
    char text[sizeof reader->fault->text];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (at->kind != DOC_STRING) {
        reader__fail(reader, at, "%s", text);
        return;
    }
    CHECK_LE(offset, at->text.size);
    if (count_columns(reader, at, offset, &columns)) {
        reader__fail_at(reader, at->line, at->column + columns, "%s", text);
        return;
    }
    write_place(slice_of(at->text.at, offset), place);
    reader__fail(reader, at, "%s of the text: %s", place, text);
}

/* ---- fields ------------------------------------------------------------- */

static const struct field *find_field(const struct schema *schema,
                                      struct slice name)
{
    for (size_t i = 0; i < schema->count; i++) {
        if (slice_eq(name, slice_str(schema->fields[i].name)))
            return &schema->fields[i];
    }
    return NULL;
}

static bool is_later(const struct schema *schema, struct slice name)
{
    for (size_t i = 0; schema->later && schema->later[i]; i++) {
        if (slice_eq(name, slice_str(schema->later[i])))
            return true;
    }
    return false;
}

static bool is_kind(const struct schema *schema, const struct field *field)
{
    size_t index = (size_t)(field - schema->fields);
    return index >= schema->kind_first &&
           index < schema->kind_first + schema->kind_count;
}

/* The names of its fields, of the kinds alone or of those that go with a
 * kind. */
static size_t list_fields(const struct schema *schema, bool kinds_only,
                          unsigned kind, const char **out)
{
    size_t count = 0;
    for (size_t i = 0; i < schema->count; i++) {
        const struct field *field = &schema->fields[i];
        if (kinds_only ? is_kind(schema, field)
                       : !field->with || (field->with >> kind & 1))
            out[count++] = field->name;
    }
    return count;
}

enum { FIELDS_MAX = 32 };

static void refuse_unknown(struct reader *reader, const struct schema *schema,
                           unsigned kind, const struct doc_member *member)
{
    const char *names[FIELDS_MAX];
    CHECK_LE(schema->count, FIELDS_MAX);
    size_t count = list_fields(schema, false, kind, names);
    const char *near = suggest__near(member->name, names, count);
    size_t mark = reader__enter(reader, member->name);
    if (near)
        reader__fail_at(reader, member->line, member->column,
                        "unknown field \"%.*s\": did you mean \"%s\"?",
                        SHOWN(member->name), near);
    else
        reader__fail_at(reader, member->line, member->column,
                        "unknown field \"%.*s\": %s has %s",
                        SHOWN(member->name), schema->what,
                        reader__list(reader, names, count));
    reader__leave(reader, mark);
}

/* "key", "cron and every" */
static const char *list_kinds(struct reader *reader,
                              const struct schema *schema, unsigned with)
{
    const char *names[FIELDS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < schema->kind_count; i++) {
        if (with >> i & 1)
            names[count++] = schema->fields[schema->kind_first + i].name;
    }
    return reader__list(reader, names, count);
}

static void check_members(struct reader *reader, const struct doc_value *map,
                          const struct schema *schema, unsigned kind)
{
    for (size_t i = 0; i < map->count && !reader->err; i++) {
        const struct doc_member *member = &map->members[i];
        const struct field *field = find_field(schema, member->name);
        if (!field) {
            refuse_unknown(reader, schema, kind, member);
        } else if (field->with && !(field->with >> kind & 1)) {
            size_t mark = reader__enter(reader, member->name);
            reader__fail_at(reader, member->line, member->column,
                            "\"%s\" goes with %s, not with %s: leave it out",
                            field->name,
                            list_kinds(reader, schema, field->with),
                            schema->fields[schema->kind_first + kind].name);
            reader__leave(reader, mark);
        }
    }
}

void reader__map(struct reader *reader, const struct doc_value *map,
                 const struct schema *schema, unsigned kind, void *into)
{
    const char *names[FIELDS_MAX];
    if (reader->err)
        return;
    if (map->kind != DOC_MAP) {
        size_t count = list_fields(schema, false, kind, names);
        reader__fail(reader, map, "%s is here: write a map with %s",
                     doc_kind_text(map->kind),
                     reader__list(reader, names, count));
        return;
    }
    check_members(reader, map, schema, kind);
    for (size_t i = 0; i < schema->count && !reader->err; i++) {
        const struct field *field = &schema->fields[i];
        const struct doc_value *value = doc_get(map, field->name);
        bool has = !field->with || (field->with >> kind & 1);
        if (value && field->read) {
            size_t mark = reader__enter(reader, slice_str(field->name));
            field->read(reader, value, into);
            reader__leave(reader, mark);
        } else if (!value && has && field->needed) {
            reader__fail(reader, map, "\"%s\" is missing: write %s",
                         field->name, field->needed);
        }
    }
}

static void refuse_later(struct reader *reader, const struct schema *schema,
                         const struct doc_member *member)
{
    size_t mark = reader__enter(reader, member->name);
    bool was_ok = !reader->err;
    /* "a trigger" -> "triggers" */
    const char *noun = strchr(schema->what, ' ');
    reader__fail_at(reader, member->line, member->column, "%.*s %ss come later",
                    SHOWN(member->name), noun ? noun + 1 : schema->what);
    if (was_ok)
        reader->err = ERR_UNSUPPORTED;
    reader__leave(reader, mark);
}

static void refuse_two_kinds(struct reader *reader, const struct schema *schema,
                             const struct doc_member *second, const char *first)
{
    size_t mark = reader__enter(reader, second->name);
    reader__fail_at(reader, second->line, second->column,
                    "\"%s\" and \"%.*s\" are two: write each as an item of its "
                    "own (%s is one of them)",
                    first, SHOWN(second->name), schema->what);
    reader__leave(reader, mark);
}

static void refuse_no_kind(struct reader *reader, const struct doc_value *map,
                           const struct schema *schema)
{
    const char *names[FIELDS_MAX];
    size_t count = list_fields(schema, true, 0, names);
    for (size_t i = 0; i < map->count; i++) {
        struct slice name = map->members[i].name;
        const char *near = suggest__near(name, names, count);
        if (find_field(schema, name) || !near)
            continue;
        size_t mark = reader__enter(reader, name);
        reader__fail_at(reader, map->members[i].line, map->members[i].column,
                        "unknown field \"%.*s\": did you mean \"%s\"?",
                        SHOWN(name), near);
        reader__leave(reader, mark);
        return;
    }
    reader__fail(reader, map, "this isn't %s yet: write one of %s",
                 schema->what, reader__list(reader, names, count));
}

int reader__kind(struct reader *reader, const struct doc_value *map,
                 const struct schema *schema)
{
    const struct field *found = NULL;
    for (size_t i = 0; i < map->count && map->kind == DOC_MAP; i++) {
        const struct doc_member *member = &map->members[i];
        const struct field *field = find_field(schema, member->name);
        if (is_later(schema, member->name))
            refuse_later(reader, schema, member);
        if (!field || !is_kind(schema, field))
            continue;
        if (found)
            refuse_two_kinds(reader, schema, member, found->name);
        found = field;
    }
    if (!found)
        refuse_no_kind(reader, map, schema);
    if (reader->err)
        return -1;
    return (int)(found - schema->fields - (ptrdiff_t)schema->kind_first);
}

void reader__items(struct reader *reader, const struct doc_value *value,
                   size_t max, struct items *out)
{
    out->one = (struct doc_value *)(uintptr_t)value;
    out->list = value->kind == DOC_LIST ? value->items : &out->one;
    out->count = value->kind == DOC_LIST ? value->count : 1;
    if (out->count > max)
        reader__fail(reader, value, "%zu of them, and %zu is the most",
                     out->count, max);
    if (reader->err)
        out->count = 0;
}
