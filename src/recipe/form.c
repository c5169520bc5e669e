/* JSON whose strings are templates. */
#include <math.h>

#include "base/check.h"
#include "recipe/recipe_int.h"

static void read_leaf(struct reader *reader, const struct doc_value *value,
                      unsigned scope, struct form *out)
{
    out->kind = FORM_CONSTANT;
    if (value->kind == DOC_DOUBLE && !isfinite(value->number))
        reader__fail(reader, value,
                     "JSON has no such number: write one that "
                     "is finite");
    CHECK(value->kind != DOC_LIST && value->kind != DOC_MAP);
    if (value->kind != DOC_STRING) {
        out->constant = value_from_doc(reader->arena, value);
        return;
    }
    struct template *template = names__template(reader, value, scope);
    if (!template)
        return;
    if (template_is_literal(template)) {
        out->constant = value_string(template_literal_prefix(template));
    } else {
        out->kind = FORM_TEMPLATE;
        out->template = template;
    }
}

static void read_into(struct reader *reader, const struct doc_value *value,
                      unsigned scope, struct form *out);

static void read_list(struct reader *reader, const struct doc_value *value,
                      unsigned scope, struct form *out)
{
    for (size_t i = 0; i < value->count && !reader->err; i++) {
        size_t mark = reader__enter_item(reader, i);
        read_into(reader, value->items[i], scope, &out->items[i]);
        reader__leave(reader, mark);
    }
}

static void read_map(struct reader *reader, const struct doc_value *value,
                     unsigned scope, struct form *out)
{
    out->names =
        arena_alloc(reader->arena, (value->count + 1) * sizeof *out->names);
    for (size_t i = 0; i < value->count && !reader->err; i++) {
        const struct doc_member *member = &value->members[i];
        size_t mark = reader__enter(reader, member->name);
        out->names[i] = member->name;
        if (slice_find(member->name, '{') >= 0 && member->name.size > 1 &&
            memmem(member->name.at, member->name.size, "{{", 2))
            reader__fail_at(reader, member->line, member->column,
                            "a name can't have {{ }} in it, a value can");
        if (slice_find(member->name, '\0') >= 0)
            reader__fail_at(reader, member->line, member->column,
                            "a name can't have a zero byte in it");
        read_into(reader, member->value, scope, &out->items[i]);
        reader__leave(reader, mark);
    }
}

/* As deep as a document may be. */
static void read_into(struct reader *reader, const struct doc_value *value,
                      unsigned scope, struct form *out)
{
    *out = (struct form){.kind = FORM_CONSTANT};
    if (value->kind != DOC_LIST && value->kind != DOC_MAP) {
        read_leaf(reader, value, scope, out);
        return;
    }
    out->kind = value->kind == DOC_LIST ? FORM_LIST : FORM_MAP;
    out->count = value->count;
    out->items =
        arena_alloc(reader->arena, (value->count + 1) * sizeof *out->items);
    if (out->kind == FORM_LIST)
        read_list(reader, value, scope, out);
    else
        read_map(reader, value, scope, out);
}

struct form *form__read(struct reader *reader, const struct doc_value *value,
                        unsigned scope)
{
    struct form *form = arena_alloc(reader->arena, sizeof *form);
    read_into(reader, value, scope, form);
    CHECK(reader->err || form->kind != FORM_TEMPLATE || form->template);
    return form;
}

struct form *form__read_strings(struct reader *reader,
                                const struct doc_value *value, unsigned scope)
{
    struct slice text;
    struct items items;
    struct form *form = arena_alloc(reader->arena, sizeof *form);
    *form = (struct form){.kind = FORM_LIST};
    reader__items(reader, value, 256, &items);
    if (!reader->err && items.count == 0)
        reader__fail(reader, value, "an empty list: write at least one");
    form->items =
        arena_alloc(reader->arena, (items.count + 1) * sizeof *form->items);
    for (size_t i = 0; i < items.count && !reader->err; i++) {
        size_t mark = reader->path_size;
        if (value->kind == DOC_LIST)
            reader__enter_item(reader, i);
        if (reader__string(reader, items.list[i], &text))
            read_into(reader, items.list[i], scope, &form->items[i]);
        form->count++;
        reader__leave(reader, mark);
    }
    return form;
}
