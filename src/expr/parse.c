/* The grammar, by recursive descent: operations are emitted as it reads, so
 * there is no tree. What nests (parentheses, brackets, calls) recurses, and
 * is counted; chains (a + b + c, a.b.c, a ? b : c ? d : e) are loops.
 *
 *   expression = or [ "?" or ":" expression ]
 *   or .. product, by the table of levels below; all lead from left to right
 *   unary      = { "!" } member | { "-" } member
 *   member     = primary { "." NAME | "." NAME "(" arguments ")"
 *                        | "[" expression "]" }
 *   primary    = literal | NAME | NAME "(" arguments ")" | "(" expression ")"
 *              | "[" items "]" | "{" pairs "}"
 */
#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"
#include "expr/code_int.h"

enum { FOLD_STEPS_MAX = 10000, FOLD_BYTES_MAX = 256 << 10 };

static const struct expr_world no_world;

void parse__init(struct parser *parser, struct arena *arena, struct slice text,
                 const struct expr_names *names)
{
    static const struct expr_budget budget = {FOLD_STEPS_MAX, FOLD_BYTES_MAX};
    *parser = (struct parser){.arena = arena, .names = names};
    run__init(&parser->fold, &no_world, &budget, arena, NULL);
    parser->lexer.text = text;
    if (text.size > EXPR_TEXT_BYTES_MAX)
        parse__refuse_size(parser, 0, "this is %zu bytes long, and %d is most",
                           text.size, EXPR_TEXT_BYTES_MAX);
    else if (!slice_is_utf8(text))
        parse__refuse(parser, 0, "this text is not UTF-8");
    else
        parser->lexer.text.at = arena_dup(arena, text.at, text.size);
}

void parse__restart(struct parser *parser, size_t at)
{
    CHECK_EQ(parser->depth, 0);
    parser->lexer.at = at;
    parser->ops = NULL;
    parser->count = parser->capacity = 0;
    parser->height = parser->height_max = 0;
    parser->uses = 0;
}

/* ---- faults ------------------------------------------------------------- */

/* Columns are counted in characters. */
static void locate(struct slice text, size_t at, int *line, int *column)
{
    *line = 1;
    *column = 1;
    for (size_t i = 0; i < at && i < text.size; i++) {
        if (text.at[i] == '\n') {
            ++*line;
            *column = 1;
        } else if ((text.at[i] & 0xC0) != 0x80) {
            ++*column;
        }
    }
}

/* What was cut off in the middle of a character ends before it. */
static void trim_text(char *text)
{
    size_t size = strlen(text);
    while (size > 0 && !slice_is_utf8(slice_of(text, size)))
        size--;
    text[size] = '\0';
}

static void refuse(struct parser *parser, enum err err, size_t at,
                   const char *format, va_list args)
{
    if (parser->err)
        return;
    struct expr_fault *fault = &parser->fault;
    parser->err = err;
    locate(parser->lexer.text, at, &fault->line, &fault->column);
    vsnprintf(fault->text, sizeof fault->text, format, args);
    trim_text(fault->text);
}

void parse__refuse(struct parser *parser, size_t at, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    refuse(parser, ERR_INVALID, at, format, args);
    va_end(args);
}

void parse__refuse_size(struct parser *parser, size_t at, const char *format,
                        ...)
{
    va_list args;
    va_start(args, format);
    refuse(parser, ERR_TOO_LARGE, at, format, args);
    va_end(args);
}

enum err parse__report(const struct parser *parser, struct expr_fault *fault)
{
    const struct expr_fault *found = &parser->fault;
    CHECK(parser->err != ERR_OK);
    if (fault != NULL)
        *fault = *found;
    if (found->line == 1)
        return err_set(parser->err, "column %d: %s", found->column,
                       found->text);
    return err_set(parser->err, "line %d, column %d: %s", found->line,
                   found->column, found->text);
}

/* ---- tokens ------------------------------------------------------------- */

/* After a fault there is nothing but the end: every loop ends. */
void parse__next(struct parser *parser)
{
    struct token *token = &parser->token;
    if (!parser->err)
        lex__next(&parser->lexer, token);
    if (!parser->err && token->kind == TOKEN_BAD)
        parse__refuse(parser, parser->lexer.why_at, "%s", parser->lexer.why);
    if (parser->err)
        token->kind = TOKEN_END;
}

struct slice parse__token_text(const struct parser *parser)
{
    return slice_of(parser->lexer.text.at + parser->token.at,
                    parser->token.size);
}

/* The token that is next, as a message shows it. */
static void write_found(const struct parser *parser, char out[40])
{
    struct slice text = parse__token_text(parser);
    if (parser->token.kind == TOKEN_END)
        snprintf(out, 40, "the end");
    else if (text.size > 20)
        snprintf(out, 40, "'%.20s...'", text.at);
    else
        snprintf(out, 40, "'%.*s'", (int)text.size, text.at);
}

void parse__expect_mark(struct parser *parser, const char *expected)
{
    char found[40];
    write_found(parser, found);
    parse__refuse(parser, parser->token.at, "expected %s here, found %s",
                  expected, found);
}

bool parse__accept(struct parser *parser, enum token_kind kind)
{
    if (parser->err || parser->token.kind != kind)
        return false;
    parse__next(parser);
    return true;
}

bool parse__expect(struct parser *parser, enum token_kind kind)
{
    if (parse__accept(parser, kind))
        return true;
    parse__expect_mark(parser, token__text(kind));
    return false;
}

/* `and` for `&&`: said where an operator is missing. */
static const char *meant_operator(struct slice word)
{
    static const char *const words[][2] = {
        {"and", "&&"},
        {"or", "||"},
        {"eq", "=="},
        {"is", "=="},
        {"mod", "%"},
        {"not", "!"},
        {"like", "matches(...)"},
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (slice_eq_nocase(word, slice_str(words[i][0])))
            return words[i][1];
    }
    return NULL;
}

/* A closing token after an operand, or else what a person may have meant. */
static void expect_close(struct parser *parser, enum token_kind kind)
{
    const char *meant = NULL;
    if (parser->token.kind == TOKEN_NAME)
        meant = meant_operator(parse__token_text(parser));
    if (meant != NULL && !parser->err)
        parse__refuse(parser, parser->token.at,
                      "expected an operator here, found '%.*s': write %s",
                      (int)parser->token.size, parse__token_text(parser).at,
                      meant);
    parse__expect(parser, kind);
}

/* ---- literals ----------------------------------------------------------- */

static struct operand parse_text(struct parser *parser)
{
    struct value value = {
        .kind = parser->token.kind == TOKEN_BYTES ? VALUE_BYTES : VALUE_STRING};
    const char *why = NULL;
    size_t why_at = 0;
    if (!lex__unescape(parser->arena, &parser->token, &value.text, &why,
                       &why_at))
        parse__refuse(parser,
                      (size_t)(parser->token.body.at - parser->lexer.text.at) +
                          why_at,
                      "%s", why);
    struct operand operand = emit__value(parser, &value, parser->token.at);
    parse__next(parser);
    return operand;
}

/* `is_negative`: a '-' stood before it, and belongs to it. */
static struct operand parse_number(struct parser *parser, bool is_negative)
{
    const struct token *token = &parser->token;
    struct value value = {.kind = VALUE_DOUBLE};
    if (token->kind == TOKEN_DOUBLE) {
        value.number = is_negative ? -token->number : token->number;
    } else if (token->kind == TOKEN_UINT) {
        value.kind = VALUE_UINT;
        value.natural = token->natural;
    } else {
        value.kind = VALUE_INT;
        value.integer =
            (int64_t)(is_negative ? 0 - token->natural : token->natural);
        if (!is_negative && token->natural > INT64_MAX)
            parse__refuse(parser, token->at,
                          "this number is too large for an int (a uint is "
                          "written 1u, a double 1.0)");
    }
    struct operand operand = emit__value(parser, &value, token->at);
    parse__next(parser);
    return operand;
}

static void refuse_optional(struct parser *parser)
{
    if (parser->token.kind == TOKEN_QUESTION)
        parse__refuse(parser, parser->token.at,
                      "optional syntax ('.?', '[?') is not part of this "
                      "language: write has(a.b) ? a.b : other");
}

static struct operand parse_list(struct parser *parser)
{
    uint32_t begin = parser->count;
    size_t at = parser->token.at;
    size_t count = 0;
    parse__next(parser);
    while (!parser->err && parser->token.kind != TOKEN_BRACKET_CLOSE) {
        refuse_optional(parser);
        parse__nested(parser);
        count++;
        if (!parse__accept(parser, TOKEN_COMMA))
            break;
    }
    expect_close(parser, TOKEN_BRACKET_CLOSE);
    return emit__collect(parser, OP_LIST, begin, count, at);
}

static struct operand parse_map(struct parser *parser)
{
    uint32_t begin = parser->count;
    size_t at = parser->token.at;
    size_t count = 0;
    parse__next(parser);
    while (!parser->err && parser->token.kind != TOKEN_BRACE_CLOSE) {
        refuse_optional(parser);
        parse__nested(parser);
        expect_close(parser, TOKEN_COLON);
        parse__nested(parser);
        count++;
        if (!parse__accept(parser, TOKEN_COMMA))
            break;
    }
    expect_close(parser, TOKEN_BRACE_CLOSE);
    return emit__collect(parser, OP_MAP, begin, count, at);
}

static struct operand parse_primary(struct parser *parser)
{
    struct operand operand = {.at = parser->token.at, .kind = VALUE_LAZY};
    switch (parser->token.kind) {
    case TOKEN_INT:
    case TOKEN_UINT:
    case TOKEN_DOUBLE:
        return parse_number(parser, false);
    case TOKEN_STRING:
    case TOKEN_BYTES:
        return parse_text(parser);
    case TOKEN_DOT:
    case TOKEN_NAME:
        return name__parse(parser);
    case TOKEN_BRACKET_OPEN:
        return parse_list(parser);
    case TOKEN_BRACE_OPEN:
        return parse_map(parser);
    case TOKEN_PAREN_OPEN:
        parse__next(parser);
        operand = parse__nested(parser);
        expect_close(parser, TOKEN_PAREN_CLOSE);
        return operand;
    default:
        parse__expect_mark(parser, "a value");
        return operand;
    }
}

/* ---- members ------------------------------------------------------------ */

static struct operand select_field(struct parser *parser, struct operand target,
                                   struct slice name)
{
    check__field(parser, target, name);
    struct slice *copy = arena_dup(parser->arena, &name, sizeof name);
    emit__op(parser, (struct op){.code = OP_FIELD, .text = copy}, 0);
    struct operand operand =
        emit__operand(parser, target.begin, target.at, VALUE_LAZY);
    operand.is_field = true;
    return operand;
}

/* Behind the '.'. */
static struct operand parse_dot(struct parser *parser, struct operand target)
{
    struct slice name = parse__token_text(parser);
    size_t at = parser->token.at;
    refuse_optional(parser);
    if (!parse__expect(parser, TOKEN_NAME))
        return target;
    if (slice_eq(name, SLICE("in")) || slice_eq(name, SLICE("true")) ||
        slice_eq(name, SLICE("false")) || slice_eq(name, SLICE("null")))
        parse__refuse(parser, at,
                      "'%.*s' is a word of the language: write map['%.*s']",
                      (int)name.size, name.at, (int)name.size, name.at);
    if (parse__accept(parser, TOKEN_PAREN_OPEN))
        return name__parse_method(parser, target, name, at);
    return select_field(parser, target, name);
}

/* Behind the '['. */
static struct operand parse_index(struct parser *parser, struct operand target)
{
    refuse_optional(parser);
    struct operand index = parse__nested(parser);
    expect_close(parser, TOKEN_BRACKET_CLOSE);
    enum value_kind kind = check__binary(parser, OPERATOR_INDEX, target, index);
    return emit__binary(parser, OPERATOR_INDEX, target, index, kind);
}

static struct operand parse_suffixes(struct parser *parser,
                                     struct operand operand)
{
    while (!parser->err) {
        if (parse__accept(parser, TOKEN_DOT))
            operand = parse_dot(parser, operand);
        else if (parse__accept(parser, TOKEN_BRACKET_OPEN))
            operand = parse_index(parser, operand);
        else
            break;
    }
    return operand;
}

static bool is_number(enum token_kind kind)
{
    return kind == TOKEN_INT || kind == TOKEN_DOUBLE;
}

/* Any run of one sign is a loop. The last '-' before a number belongs to it:
 * the least int could not be written else. */
static struct operand parse_unary(struct parser *parser)
{
    enum token_kind sign = parser->token.kind;
    size_t at = parser->token.at;
    size_t count = 0;
    if (sign != TOKEN_NOT && sign != TOKEN_MINUS)
        return parse_suffixes(parser, parse_primary(parser));
    while (parse__accept(parser, sign))
        count++;
    struct operand operand;
    if (sign == TOKEN_MINUS && is_number(parser->token.kind)) {
        operand = parse_suffixes(parser, parse_number(parser, true));
        count--;
    } else if (parser->token.kind == TOKEN_NOT ||
               parser->token.kind == TOKEN_MINUS) {
        parse__expect_mark(parser, "a value (!-x and -!x mean nothing)");
        return (struct operand){.kind = VALUE_LAZY};
    } else {
        operand = parse_suffixes(parser, parse_primary(parser));
    }
    for (; count > 0 && !parser->err; count--) {
        bool is_not = sign == TOKEN_NOT;
        enum value_kind kind = is_not ? check__bool(parser, operand,
                                                    "what '!' "
                                                    "takes")
                                      : check__negate(parser, operand);
        operand.at = at;
        operand =
            emit__unary(parser, is_not ? OP_NOT : OP_NEGATE, operand, kind);
    }
    return operand;
}

/* ---- operators ---------------------------------------------------------- */

/* How tight a token binds as an operator between two; 0: it isn't one. */
enum level {
    LEVEL_NONE,
    LEVEL_OR,
    LEVEL_AND,
    LEVEL_RELATION,
    LEVEL_SUM,
    LEVEL_PRODUCT,
};

struct infix {
    uint8_t level;
    uint8_t operator; /* an enum operator, but for || and && */
};

static const struct infix infixes[TOKEN_COUNT] = {
    [TOKEN_OR] = {LEVEL_OR, 0},
    [TOKEN_AND] = {LEVEL_AND, 0},
    [TOKEN_EQUAL] = {LEVEL_RELATION, OPERATOR_EQUAL},
    [TOKEN_UNEQUAL] = {LEVEL_RELATION, OPERATOR_UNEQUAL},
    [TOKEN_LESS] = {LEVEL_RELATION, OPERATOR_LESS},
    [TOKEN_LESS_EQUAL] = {LEVEL_RELATION, OPERATOR_LESS_EQUAL},
    [TOKEN_GREATER] = {LEVEL_RELATION, OPERATOR_GREATER},
    [TOKEN_GREATER_EQUAL] = {LEVEL_RELATION, OPERATOR_GREATER_EQUAL},
    [TOKEN_PLUS] = {LEVEL_SUM, OPERATOR_ADD},
    [TOKEN_MINUS] = {LEVEL_SUM, OPERATOR_SUBTRACT},
    [TOKEN_TIMES] = {LEVEL_PRODUCT, OPERATOR_MULTIPLY},
    [TOKEN_SLASH] = {LEVEL_PRODUCT, OPERATOR_DIVIDE},
    [TOKEN_PERCENT] = {LEVEL_PRODUCT, OPERATOR_MODULO},
};

static struct infix next_infix(const struct parser *parser)
{
    if (parser->err)
        return (struct infix){LEVEL_NONE, 0};
    if (parser->token.kind == TOKEN_NAME &&
        slice_eq(parse__token_text(parser), SLICE("in")))
        return (struct infix){LEVEL_RELATION, OPERATOR_IN};
    return infixes[parser->token.kind];
}

static struct operand parse_infix(struct parser *parser, unsigned level);

/* `left && right`: right is passed over where left decides. */
static struct operand parse_logic(struct parser *parser, struct operand left,
                                  bool is_and)
{
    const char *whose = is_and ? "each side of '&&'" : "each side of '||'";
    check__bool(parser, left, whose);
    uint32_t jump = emit__op(
        parser, (struct op){.code = is_and ? OP_AND_LEFT : OP_OR_LEFT}, 0);
    struct operand right =
        parse_infix(parser, is_and ? LEVEL_AND + 1 : LEVEL_OR + 1);
    check__bool(parser, right, whose);
    emit__op(parser, (struct op){.code = is_and ? OP_AND : OP_OR}, -1);
    if (!parser->err)
        parser->ops[jump].index = parser->count;
    return emit__operand(parser, left.begin, left.at, VALUE_BOOL);
}

/* Operators of `level` or tighter. Recurses once a level at the most. */
static struct operand parse_infix(struct parser *parser, unsigned level)
{
    struct operand left = parse_unary(parser);
    for (;;) {
        struct infix infix = next_infix(parser);
        if (infix.level == LEVEL_NONE || infix.level < level)
            return left;
        parse__next(parser);
        if (infix.level <= LEVEL_AND) {
            left = parse_logic(parser, left, infix.level == LEVEL_AND);
            continue;
        }
        struct operand right = parse_infix(parser, infix.level + 1u);
        enum operator operator=(enum operator) infix.operator;
        enum value_kind kind = check__binary(parser, operator, left, right);
        left = emit__binary(parser, operator, left, right, kind);
    }
}

/* The two branches: known where they are of one kind. */
static enum value_kind join_kinds(enum value_kind a, enum value_kind b)
{
    return a == b ? a : VALUE_LAZY;
}

/* `c ? a : (d ? b : ...)` without the recursion: the jumps to the end are a
 * chain, each holding the place of the one before, until the end is known. */
static struct operand parse_expression(struct parser *parser)
{
    uint32_t begin = parser->count;
    uint32_t last_jump = UINT32_MAX;
    enum value_kind kind = VALUE_LAZY;
    struct operand operand = parse_infix(parser, LEVEL_OR);
    size_t at = operand.at;
    while (parse__accept(parser, TOKEN_QUESTION)) {
        check__bool(parser, operand, "what stands before '?'");
        uint32_t choose = emit__op(parser, (struct op){.code = OP_CHOOSE}, -1);
        struct operand then = parse_infix(parser, LEVEL_OR);
        expect_close(parser, TOKEN_COLON);
        kind =
            last_jump == UINT32_MAX ? then.kind : join_kinds(kind, then.kind);
        last_jump = emit__op(
            parser, (struct op){.code = OP_JUMP, .index = last_jump}, -1);
        if (!parser->err)
            parser->ops[choose].index = parser->count;
        operand = parse_infix(parser, LEVEL_OR);
    }
    if (last_jump == UINT32_MAX || parser->err)
        return operand;
    while (last_jump != UINT32_MAX) {
        uint32_t before = parser->ops[last_jump].index;
        parser->ops[last_jump].index = parser->count;
        last_jump = before;
    }
    return emit__operand(parser, begin, at, join_kinds(kind, operand.kind));
}

struct operand parse__nested(struct parser *parser)
{
    struct operand operand = {.at = parser->token.at, .kind = VALUE_LAZY};
    if (parser->depth >= EXPR_DEPTH_MAX)
        parse__refuse_size(parser, parser->token.at,
                           "this is nested more than %d deep", EXPR_DEPTH_MAX);
    if (parser->err)
        return operand;
    parser->depth++;
    operand = parse_expression(parser);
    parser->depth--;
    return operand;
}

struct expr *parse__expression(struct parser *parser)
{
    CHECK(parser->count == 0 && parser->height == 0);
    parse__next(parser);
    struct operand operand = parse__nested(parser);
    if (parser->err)
        return NULL;
    CHECK_EQ(parser->height, 1);
    CHECK_EQ(parser->depth, 0);
    struct expr *expr = arena_alloc(parser->arena, sizeof *expr);
    *expr = (struct expr){.ops = parser->ops,
                          .count = parser->count,
                          .stack_max = parser->height_max,
                          .gives = operand.kind,
                          .uses = parser->uses};
    return expr;
}

enum err expr_compile(struct arena *arena, struct slice text,
                      const struct expr_names *names, struct expr **out,
                      struct expr_fault *fault)
{
    struct parser parser;
    parse__init(&parser, arena, text, names);
    *out = NULL;
    struct expr *expr = parse__expression(&parser);
    if (!parser.err)
        expect_close(&parser, TOKEN_END);
    if (parser.err)
        return parse__report(&parser, fault);
    *out = expr;
    return ERR_OK;
}
