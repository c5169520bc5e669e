/* Macros are known by their form, not by what is called: all, exists,
 * exists_one, filter and map, behind a dot, with a name first; and has().
 * exists() that isn't behind a dot is a function of ours. */
#include "base/check.h"
#include "expr/code_int.h"

static const char *const macro_names[MACRO_COUNT] = {
    [MACRO_ALL] = "all",
    [MACRO_EXISTS] = "exists",
    [MACRO_EXISTS_ONE] = "exists_one",
    [MACRO_FILTER] = "filter",
    [MACRO_MAP] = "map",
};

bool macro__find(struct slice name, enum macro *out)
{
    for (unsigned i = 0; i < MACRO_COUNT; i++) {
        if (slice_eq(name, slice_str(macro_names[i]))) {
            *out = (enum macro)i;
            return true;
        }
    }
    return false;
}

/* ---- has ---------------------------------------------------------------- */

/* The last operation, which reads, becomes the one that asks. */
static bool make_question(struct parser *parser, struct operand operand)
{
    if (parser->err || parser->count == 0)
        return false;
    struct op *last = &parser->ops[parser->count - 1];
    if (operand.is_field) {
        CHECK(last->code == OP_FIELD);
        last->code = OP_HAS_FIELD;
        /* has(prev.used) is false, not an error, where there is no prev. */
        if (operand.begin + 2 == parser->count && last[-1].code == OP_SLOT)
            last[-1].detail = SLOT_MAY_BE_ABSENT;
        return true;
    }
    if (operand.begin + 1 == parser->count && last->code == OP_SLOT) {
        last->code = OP_HAS_SLOT;
        return true;
    }
    return false;
}

struct operand macro__parse_has(struct parser *parser, size_t at)
{
    struct operand operand = parse__nested(parser);
    if (!make_question(parser, operand))
        parse__refuse(parser, operand.at,
                      "has() takes a field, as in has(value.used), or the "
                      "name of an ingredient (for a key in brackets write "
                      "'name' in map)");
    if (parser->token.kind == TOKEN_COMMA)
        parse__refuse(parser, parser->token.at, "has() takes one argument");
    parse__expect(parser, TOKEN_PAREN_CLOSE);
    return emit__operand(parser, operand.begin, at, VALUE_BOOL);
}

/* ---- loops -------------------------------------------------------------- */

static void check_range(struct parser *parser, struct operand range,
                        enum macro macro)
{
    if (parser->err || range.kind == VALUE_LAZY || range.kind == VALUE_LIST ||
        range.kind == VALUE_MAP)
        return;
    parse__refuse(parser, range.at,
                  "%s() is asked of a list or a map, and this is of kind %s",
                  macro_names[macro], value_kind_text(range.kind));
}

static bool is_word(struct slice name)
{
    static const char *const words[] = {"true", "false", "null", "in"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (slice_eq(name, slice_str(words[i])))
            return true;
    }
    return false;
}

/* "x," */
static bool parse_local(struct parser *parser, enum macro macro)
{
    struct slice name = parse__token_text(parser);
    bool is_name = parser->token.kind == TOKEN_NAME && !is_word(name);
    const char *text = macro_names[macro];
    size_t at = parser->token.at;
    if (is_name)
        parse__next(parser);
    if (!is_name || parser->token.kind != TOKEN_COMMA) {
        parse__refuse(parser, is_name ? parser->token.at : at,
                      "%s() takes a name for the item, a comma and %s: "
                      "list.%s(x, %s)",
                      text, macro == MACRO_MAP ? "a value" : "a condition",
                      text, macro == MACRO_MAP ? "x + 1" : "x > 0");
        return false;
    }
    parse__next(parser);
    CHECK(parser->local_count < EXPR_DEPTH_MAX);
    parser->locals[parser->local_count++] = name;
    return true;
}

/* What the body gives is what the loop's end takes. */
static void parse_body(struct parser *parser, enum macro macro)
{
    struct operand body = parse__nested(parser);
    if (macro == MACRO_MAP && parse__accept(parser, TOKEN_COMMA)) {
        check__bool(parser, body, "the condition of map()");
        emit__op(parser, (struct op){.code = OP_LOOP_IF}, -1);
        parse__nested(parser);
    } else if (macro != MACRO_MAP) {
        check__bool(parser, body, "the condition of a macro");
    }
}

struct operand macro__parse(struct parser *parser, struct operand range,
                            enum macro macro)
{
    check_range(parser, range, macro);
    uint32_t local = parser->local_count;
    uint32_t loop = emit__op(
        parser, (struct op){.code = OP_LOOP, .detail = (uint8_t)macro}, -1);
    if (!parser->err && parse_local(parser, macro))
        parse_body(parser, macro);
    parse__expect(parser, TOKEN_PAREN_CLOSE);
    parser->local_count = local;
    /* The item's value goes, the result comes. */
    uint32_t end = emit__op(
        parser, (struct op){.code = OP_LOOP_END, .index = loop + 1}, 0);
    if (!parser->err)
        parser->ops[loop].index = end;
    bool is_list = macro == MACRO_FILTER || macro == MACRO_MAP;
    return emit__operand(parser, range.begin, range.at,
                         is_list ? VALUE_LIST : VALUE_BOOL);
}
