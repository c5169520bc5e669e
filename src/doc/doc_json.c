/* JSON into the tree, by jansson. Its values live only within doc_parse_json:
 * they are copied into the arena and freed.
 *
 * jansson rejects integers beyond 64 bits with a sign rather than round them;
 * so do we, with a text that says so. Duplicate keys are refused: which one
 * counts would otherwise depend on who reads. */
#include "doc/doc.h"

#include <jansson.h>

#include "base/check.h"
#include "doc/doc_int.h"

static enum err convert(struct doc_builder *builder, const json_t *from,
                        int depth, struct doc_value **out);

static enum err convert_list(struct doc_builder *builder, const json_t *from,
                             int depth, struct doc_value *list)
{
    for (size_t i = 0; i < json_array_size(from); i++) {
        struct doc_value *item;
        enum err err =
            convert(builder, json_array_get(from, i), depth + 1, &item);
        if (!err) {
            err = doc__add_item(builder, list, item);
        }
        if (err) {
            return err;
        }
    }
    return ERR_OK;
}

static enum err convert_map(struct doc_builder *builder, json_t *from,
                            int depth, struct doc_value *map)
{
    for (void *at = json_object_iter(from); at;
         at = json_object_iter_next(from, at)) {
        struct doc_member member = {0};
        struct slice name = slice_str(json_object_iter_key(at));
        enum err err = doc__copy(builder, name, &member.name);
        if (!err) {
            err = convert(builder, json_object_iter_value(at), depth + 1,
                          &member.value);
        }
        if (!err) {
            err = doc__add_member(builder, map, &member);
        }
        if (err) {
            return err;
        }
    }
    return ERR_OK;
}

static enum doc_kind kind_of(const json_t *from)
{
    switch (json_typeof(from)) {
    case JSON_OBJECT:
        return DOC_MAP;
    case JSON_ARRAY:
        return DOC_LIST;
    case JSON_STRING:
        return DOC_STRING;
    case JSON_INTEGER:
        return DOC_INT;
    case JSON_REAL:
        return DOC_DOUBLE;
    case JSON_TRUE:
    case JSON_FALSE:
        return DOC_BOOL;
    case JSON_NULL:
        return DOC_NULL;
    }
    UNREACHABLE();
}

static enum err convert(struct doc_builder *builder, const json_t *from,
                        int depth, struct doc_value **out)
{
    enum err err = doc__check_depth(builder->limits, depth, 0, 0);
    if (!err) {
        err = doc__new_value(builder, kind_of(from), 0, 0, out);
    }
    if (err) {
        return err;
    }
    struct doc_value *value = *out;
    switch (value->kind) {
    case DOC_NULL:
        return ERR_OK;
    case DOC_BOOL:
        value->boolean = json_is_true(from);
        return ERR_OK;
    case DOC_INT:
        value->integer = json_integer_value(from);
        value->number = (double)value->integer;
        return ERR_OK;
    case DOC_DOUBLE:
        value->number = json_real_value(from);
        return ERR_OK;
    case DOC_STRING:
        return doc__copy(
            builder,
            slice_of(json_string_value(from), json_string_length(from)),
            &value->text);
    case DOC_LIST:
        return convert_list(builder, from, depth, value);
    case DOC_MAP:
        /* jansson's iterator wants it without const; it changes nothing. */
        return convert_map(builder, (json_t *)(uintptr_t)from, depth, value);
    }
    UNREACHABLE();
}

static enum err explain(const json_error_t *error)
{
    switch (json_error_code(error)) {
    case json_error_numeric_overflow:
        return doc__error(error->line, error->column,
                          "the number is beyond 64 bits (integers go from "
                          "-9223372036854775808 to 9223372036854775807)");
    case json_error_out_of_memory:
        return err_set(ERR_NO_MEMORY, "no memory for the document");
    case json_error_stack_overflow:
        return err_set(ERR_TOO_LARGE, "nested too deep");
    default:
        return doc__error(error->line, error->column, "%s", error->text);
    }
}

enum err doc_parse_json(struct arena *arena, struct slice text,
                        const struct doc_limits *limits, struct doc_value **out)
{
    *out = NULL;
    enum err err = doc__check_size(limits, text);
    if (err) {
        return err;
    }
    json_error_t error;
    json_t *root = json_loadb(
        text.size ? text.at : "", text.size,
        JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (!root) {
        return explain(&error);
    }
    struct doc_builder builder;
    doc__builder_init(&builder, arena, limits);
    struct doc_value *value = NULL;
    err = convert(&builder, root, 1, &value);
    doc__builder_deinit(&builder);
    json_decref(root);
    if (!err) {
        CHECK(value);
        *out = value;
    }
    return err;
}
