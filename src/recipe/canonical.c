/* The document as it is stored: JSON, members in the order of the
 * specification, what says the same as leaving it out left out, one value
 * where a list may stand made a list. What users wrote as JSON of their own
 * (values, labels, tests) stays in its order.
 *
 * Reading it again gives the same plan and the same text.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "doc/json_write.h"
#include "recipe/recipe_int.h"

/* As short as it can be with nothing lost; never without a point or an
 * exponent: it is read as a double again. */
static void write_double(struct buf *out, double number)
{
    char text[40];
    int size = 0;
    CHECK(isfinite(number)); /* form.c has refused others */
    for (int digits = 15; digits <= 17; digits++) {
        size = snprintf(text, sizeof text, "%.*g", digits, number);
        char *end;
        if (strtod(text, &end) == number)
            break;
    }
    buf_append(out, text, (size_t)size);
    if (!strpbrk(text, ".e"))
        buf_append_str(out, ".0");
}

static void write_plain(struct buf *out, const struct doc_value *value)
{
    switch (value->kind) {
    case DOC_NULL:
        buf_append_str(out, "null");
        break;
    case DOC_BOOL:
        buf_append_str(out, value->boolean ? "true" : "false");
        break;
    case DOC_INT:
        buf_append_i64(out, value->integer);
        break;
    case DOC_DOUBLE:
        write_double(out, value->number);
        break;
    case DOC_STRING:
        json_write_string(out, value->text);
        break;
    case DOC_LIST:
        buf_append_char(out, '[');
        for (size_t i = 0; i < value->count; i++) {
            buf_append_str(out, i ? "," : "");
            write_plain(out, value->items[i]);
        }
        buf_append_char(out, ']');
        break;
    case DOC_MAP:
        buf_append_char(out, '{');
        for (size_t i = 0; i < value->count; i++) {
            buf_append_str(out, i ? "," : "");
            json_write_string(out, value->members[i].name);
            buf_append_char(out, ':');
            write_plain(out, value->members[i].value);
        }
        buf_append_char(out, '}');
        break;
    }
}

/* ---- by the schemas ----------------------------------------------------- */

static void write_map(struct buf *out, const struct doc_value *map,
                      const struct schema *schema);

static void write_inside(struct buf *out, const struct doc_value *value,
                         const struct field *field)
{
    bool wraps = field->is_list && value->kind != DOC_LIST;
    if (wraps)
        buf_append_char(out, '[');
    if (!field->inside) {
        write_plain(out, value);
    } else if (value->kind == DOC_MAP) {
        write_map(out, value, field->inside);
    } else if (value->kind == DOC_LIST && field->is_list) {
        buf_append_char(out, '[');
        for (size_t i = 0; i < value->count; i++) {
            buf_append_str(out, i ? "," : "");
            write_map(out, value->items[i], field->inside);
        }
        buf_append_char(out, ']');
    } else {
        write_plain(out, value);
    }
    if (wraps)
        buf_append_char(out, ']');
}

/* "600s" is "10m" too. */
static bool is_same_duration(struct slice json, struct slice standard)
{
    int64_t a, b;
    return json.size > 2 && standard.size > 2 && json.at[0] == '"' &&
           standard.at[0] == '"' &&
           recipe_duration(slice_of(json.at + 1, json.size - 2), &a) &&
           recipe_duration(slice_of(standard.at + 1, standard.size - 2), &b) &&
           a == b;
}

static bool says_nothing(struct slice json, const struct field *field)
{
    struct slice standard = slice_str(field->standard);
    if (field->standard &&
        (slice_eq(json, standard) || is_same_duration(json, standard)))
        return true;
    return field->inside && !field->needed && slice_eq(json, SLICE("{}"));
}

static void write_map(struct buf *out, const struct doc_value *map,
                      const struct schema *schema)
{
    bool is_first = true;
    struct buf member = {0};
    CHECK_EQ(map->kind, DOC_MAP);
    buf_append_char(out, '{');
    for (size_t i = 0; i < schema->count; i++) {
        const struct field *field = &schema->fields[i];
        const struct doc_value *value = doc_get(map, field->name);
        buf_reset(&member);
        if (value)
            write_inside(&member, value, field);
        if (!value || says_nothing(buf_slice(&member), field))
            continue;
        buf_append_str(out, is_first ? "" : ",");
        json_write_string(out, slice_str(field->name));
        buf_append_char(out, ':');
        buf_append_slice(out, buf_slice(&member));
        is_first = false;
    }
    buf_append_char(out, '}');
    buf_deinit(&member);
}

void canonical__write(struct buf *out, const struct doc_value *document)
{
    write_map(out, document, &document__schema);
}
