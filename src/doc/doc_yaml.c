/* YAML into the tree, by libyaml's events, one document a text.
 *
 * A plain scalar is what YAML 1.2's core schema says (section 10.3.2): null,
 * true, false, integers (decimal, 0o17, 0x1f), floats; all else is a string.
 * So "no" and "on" are strings, as are all quoted scalars. A scalar keeps its
 * text, so that who wants a string can take a plain 0123 for what it says.
 *
 * Refused: anchors and aliases (a few bytes could stand for gigabytes), tags
 * other than !!str, keys that aren't scalars, several documents. */
#include "doc/doc.h"

#include <math.h>
#include <stdlib.h>
#include <yaml.h>

#include "base/check.h"
#include "doc/doc_int.h"

struct yaml_source {
    struct doc_builder builder;
    yaml_parser_t parser;
    yaml_event_t event; /* the one at hand */
    bool has_event;
};

static int event_line(const struct yaml_source *source)
{
    return (int)source->event.start_mark.line + 1;
}

static int event_column(const struct yaml_source *source)
{
    return (int)source->event.start_mark.column + 1;
}

static enum err parser_error(const yaml_parser_t *parser)
{
    if (parser->error == YAML_MEMORY_ERROR) {
        return err_set(ERR_NO_MEMORY, "no memory for the document");
    }
    const char *problem = parser->problem ? parser->problem : "bad YAML";
    if (parser->error == YAML_READER_ERROR) {
        return err_set(ERR_INVALID, "byte %zu: %s", parser->problem_offset + 1,
                       problem);
    }
    return doc__error((int)parser->problem_mark.line + 1,
                      (int)parser->problem_mark.column + 1, "%s", problem);
}

static enum err next(struct yaml_source *source)
{
    if (source->has_event) {
        yaml_event_delete(&source->event);
        source->has_event = false;
    }
    if (!yaml_parser_parse(&source->parser, &source->event)) {
        return parser_error(&source->parser);
    }
    source->has_event = true;
    return ERR_OK;
}

/* ---- plain scalars ----------------------------------------------------- */

static bool is_one_of(struct slice text, const char *const *words)
{
    for (; *words; words++) {
        if (slice_eq(text, slice_str(*words))) {
            return true;
        }
    }
    return false;
}

static size_t count_digits(struct slice text, size_t from)
{
    size_t at = from;
    while (at < text.size && text.at[at] >= '0' && text.at[at] <= '9') {
        at++;
    }
    return at - from;
}

static size_t sign_size(struct slice text, size_t at)
{
    return at < text.size && (text.at[at] == '-' || text.at[at] == '+');
}

/* [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )? */
static bool is_float(struct slice text)
{
    size_t at = sign_size(text, 0);
    size_t whole = count_digits(text, at);
    at += whole;
    if (at < text.size && text.at[at] == '.') {
        size_t fraction = count_digits(text, at + 1);
        at += 1 + fraction;
        whole += fraction;
    }
    if (whole == 0) {
        return false;
    }
    if (at < text.size && (text.at[at] == 'e' || text.at[at] == 'E')) {
        at++;
        at += sign_size(text, at);
        size_t exponent = count_digits(text, at);
        if (exponent == 0) {
            return false;
        }
        at += exponent;
    }
    return at == text.size;
}

static bool resolve_special_float(struct doc_value *value)
{
    static const char *const infinities[] = {".inf", ".Inf", ".INF", NULL};
    static const char *const not_numbers[] = {".nan", ".NaN", ".NAN", NULL};
    struct slice text = value->text;
    size_t sign = sign_size(text, 0);
    struct slice rest = slice_of(text.at + sign, text.size - sign);
    if (is_one_of(rest, infinities)) {
        value->number = text.at[0] == '-' ? -HUGE_VAL : HUGE_VAL;
    } else if (is_one_of(text, not_numbers)) {
        value->number = (double)NAN;
    } else {
        return false;
    }
    value->kind = DOC_DOUBLE;
    return true;
}

/* Sets kind and integer when the text is one; *err when it is too large. */
static bool resolve_integer(struct doc_value *value, enum err *err)
{
    struct slice text = value->text;
    int base = 10;
    size_t at = sign_size(text, 0);
    bool negative = at == 1 && text.at[0] == '-';
    if (slice_has_prefix(text, SLICE("0x"))) {
        base = 16;
        at = 2;
    } else if (slice_has_prefix(text, SLICE("0o"))) {
        base = 8;
        at = 2;
    }
    bool fits;
    struct slice digits = slice_of(text.at + at, text.size - at);
    if (!doc__integer(digits, base, negative, &value->integer, &fits)) {
        return false;
    }
    if (!fits) {
        *err = doc__error(value->line, value->column,
                          "the integer is beyond 64 bits (quote it where it "
                          "is meant as text)");
    }
    value->kind = DOC_INT;
    value->number = (double)value->integer;
    return true;
}

static enum err resolve_plain(struct doc_value *value)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const trues[] = {"true", "True", "TRUE", NULL};
    static const char *const falses[] = {"false", "False", "FALSE", NULL};
    enum err err = ERR_OK;
    if (is_one_of(value->text, nulls)) {
        value->kind = DOC_NULL;
    } else if (is_one_of(value->text, trues)) {
        value->kind = DOC_BOOL;
        value->boolean = true;
    } else if (is_one_of(value->text, falses)) {
        value->kind = DOC_BOOL;
    } else if (!resolve_integer(value, &err) && !resolve_special_float(value) &&
               is_float(value->text)) {
        value->kind = DOC_DOUBLE;
        value->number = strtod(value->text.at, NULL);
    }
    return err;
}

/* ---- nodes ------------------------------------------------------------- */

static enum err check_marks(struct yaml_source *source,
                            const yaml_char_t *anchor, const yaml_char_t *tag)
{
    if (anchor) {
        return doc__error(event_line(source), event_column(source),
                          "anchors are not supported");
    }
    if (tag && strcmp((const char *)tag, YAML_STR_TAG) != 0) {
        return doc__error(event_line(source), event_column(source),
                          "the tag \"%s\" is not supported", (const char *)tag);
    }
    return ERR_OK;
}

static enum err parse_scalar(struct yaml_source *source, struct doc_value **out)
{
    bool is_plain = source->event.data.scalar.plain_implicit &&
                    source->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    struct slice text = slice_of(source->event.data.scalar.value,
                                 source->event.data.scalar.length);
    enum err err = check_marks(source, source->event.data.scalar.anchor,
                               source->event.data.scalar.tag);
    if (!err) {
        err = doc__new_value(&source->builder, DOC_STRING, event_line(source),
                             event_column(source), out);
    }
    if (!err) {
        err = doc__copy(&source->builder, text, &(*out)->text);
    }
    if (!err && is_plain) {
        err = resolve_plain(*out);
    }
    return err;
}

static enum err parse_node(struct yaml_source *source, int depth,
                           struct doc_value **out);

static enum err parse_list(struct yaml_source *source, int depth,
                           struct doc_value **out)
{
    enum err err = check_marks(source, source->event.data.sequence_start.anchor,
                               source->event.data.sequence_start.tag);
    if (!err) {
        err = doc__new_value(&source->builder, DOC_LIST, event_line(source),
                             event_column(source), out);
    }
    while (!err) {
        err = next(source);
        if (err || source->event.type == YAML_SEQUENCE_END_EVENT) {
            break;
        }
        struct doc_value *item;
        err = parse_node(source, depth + 1, &item);
        if (!err) {
            err = doc__add_item(&source->builder, *out, item);
        }
    }
    return err;
}

/* The key is at hand. Its place is told before its value is read, since a
 * key that is there twice should be found at the second one. */
static enum err parse_member(struct yaml_source *source, int depth,
                             struct doc_value *map)
{
    struct doc_member member = {.line = event_line(source),
                                .column = event_column(source)};
    if (source->event.type != YAML_SCALAR_EVENT) {
        return doc__error(member.line, member.column,
                          "a key has to be a scalar");
    }
    enum err err = check_marks(source, source->event.data.scalar.anchor,
                               source->event.data.scalar.tag);
    if (!err) {
        err = doc__copy(&source->builder,
                        slice_of(source->event.data.scalar.value,
                                 source->event.data.scalar.length),
                        &member.name);
    }
    if (!err) {
        err = next(source);
    }
    if (!err) {
        err = parse_node(source, depth + 1, &member.value);
    }
    if (!err) {
        err = doc__add_member(&source->builder, map, &member);
    }
    return err;
}

static enum err parse_map(struct yaml_source *source, int depth,
                          struct doc_value **out)
{
    enum err err = check_marks(source, source->event.data.mapping_start.anchor,
                               source->event.data.mapping_start.tag);
    if (!err) {
        err = doc__new_value(&source->builder, DOC_MAP, event_line(source),
                             event_column(source), out);
    }
    while (!err) {
        err = next(source);
        if (err || source->event.type == YAML_MAPPING_END_EVENT) {
            break;
        }
        err = parse_member(source, depth, *out);
    }
    return err;
}

/* The node's first event is at hand; afterwards its last one is. */
static enum err parse_node(struct yaml_source *source, int depth,
                           struct doc_value **out)
{
    enum err err = doc__check_depth(source->builder.limits, depth,
                                    event_line(source), event_column(source));
    if (err) {
        return err;
    }
    switch (source->event.type) {
    case YAML_SCALAR_EVENT:
        return parse_scalar(source, out);
    case YAML_SEQUENCE_START_EVENT:
        return parse_list(source, depth, out);
    case YAML_MAPPING_START_EVENT:
        return parse_map(source, depth, out);
    case YAML_ALIAS_EVENT:
        return doc__error(event_line(source), event_column(source),
                          "aliases are not supported");
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_START_EVENT:
    case YAML_DOCUMENT_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        break;
    }
    UNREACHABLE();
}

/* Stream start, document, stream end; a stream without any is null. */
static enum err parse_stream(struct yaml_source *source, struct doc_value **out)
{
    enum err err = next(source);
    if (!err) {
        CHECK_EQ(source->event.type, YAML_STREAM_START_EVENT);
        err = next(source);
    }
    if (err) {
        return err;
    }
    if (source->event.type == YAML_STREAM_END_EVENT) {
        return doc__new_value(&source->builder, DOC_NULL, 1, 1, out);
    }
    CHECK_EQ(source->event.type, YAML_DOCUMENT_START_EVENT);
    err = next(source);
    if (!err) {
        err = parse_node(source, 1, out);
    }
    if (!err) {
        err = next(source);
    }
    if (!err) {
        CHECK_EQ(source->event.type, YAML_DOCUMENT_END_EVENT);
        err = next(source);
    }
    if (!err && source->event.type != YAML_STREAM_END_EVENT) {
        err = doc__error(event_line(source), event_column(source),
                         "a second document begins here; only one is read");
    }
    return err;
}

enum err doc_parse_yaml(struct arena *arena, struct slice text,
                        const struct doc_limits *limits, struct doc_value **out)
{
    *out = NULL;
    enum err err = doc__check_size(limits, text);
    if (err) {
        return err;
    }
    struct yaml_source source = {.has_event = false};
    if (!yaml_parser_initialize(&source.parser)) {
        return err_set(ERR_NO_MEMORY, "no memory for the document");
    }
    yaml_parser_set_encoding(&source.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(
        &source.parser, (const unsigned char *)(text.size ? text.at : ""),
        text.size);
    doc__builder_init(&source.builder, arena, limits);
    struct doc_value *value = NULL;
    err = parse_stream(&source, &value);
    if (source.has_event) {
        yaml_event_delete(&source.event);
    }
    doc__builder_deinit(&source.builder);
    yaml_parser_delete(&source.parser);
    if (!err) {
        CHECK(value);
        *out = value;
    }
    return err;
}
