/* Kinds, as far as they are known before anything is evaluated. A kind that
 * isn't known goes with everything: the evaluation will tell. */
#include "base/check.h"
#include "expr/code_int.h"
#include "expr/function_int.h"

#define KIND(name) (1u << VALUE_##name)
#define BIT(operator) (1u << OPERATOR_##operator)
#define NUMBERS (KIND(INT) | KIND(UINT) | KIND(DOUBLE))
#define ANY 0xFFFFu

/* CEL's overloads, save that numbers of different kinds have an order. */
struct overload {
    uint16_t operators;
    uint16_t left;
    uint16_t right;
    uint8_t gives; /* VALUE_LAZY: it depends */
};

#define ORDERS (BIT(LESS) | BIT(LESS_EQUAL) | BIT(GREATER) | BIT(GREATER_EQUAL))
#define ARITHMETIC (BIT(ADD) | BIT(SUBTRACT) | BIT(MULTIPLY) | BIT(DIVIDE))

static const struct overload overloads[] = {
    {ARITHMETIC | BIT(MODULO), KIND(INT), KIND(INT), VALUE_INT},
    {ARITHMETIC | BIT(MODULO), KIND(UINT), KIND(UINT), VALUE_UINT},
    {ARITHMETIC, KIND(DOUBLE), KIND(DOUBLE), VALUE_DOUBLE},
    {BIT(ADD), KIND(STRING), KIND(STRING), VALUE_STRING},
    {BIT(ADD), KIND(BYTES), KIND(BYTES), VALUE_BYTES},
    {BIT(ADD), KIND(LIST), KIND(LIST), VALUE_LIST},
    {BIT(ADD), KIND(DURATION), KIND(TIMESTAMP), VALUE_TIMESTAMP},
    {BIT(ADD) | BIT(SUBTRACT), KIND(TIMESTAMP), KIND(DURATION),
     VALUE_TIMESTAMP},
    {BIT(ADD) | BIT(SUBTRACT), KIND(DURATION), KIND(DURATION), VALUE_DURATION},
    {BIT(SUBTRACT), KIND(TIMESTAMP), KIND(TIMESTAMP), VALUE_DURATION},
    {ORDERS, NUMBERS, NUMBERS, VALUE_BOOL},
    {ORDERS, KIND(BOOL), KIND(BOOL), VALUE_BOOL},
    {ORDERS, KIND(STRING), KIND(STRING), VALUE_BOOL},
    {ORDERS, KIND(BYTES), KIND(BYTES), VALUE_BOOL},
    {ORDERS, KIND(TIMESTAMP), KIND(TIMESTAMP), VALUE_BOOL},
    {ORDERS, KIND(DURATION), KIND(DURATION), VALUE_BOOL},
    {BIT(EQUAL) | BIT(UNEQUAL), ANY, ANY, VALUE_BOOL},
    {BIT(IN), ANY, KIND(LIST) | KIND(MAP), VALUE_BOOL},
    {BIT(INDEX), KIND(LIST), NUMBERS, VALUE_LAZY},
    {BIT(INDEX), KIND(MAP), NUMBERS | KIND(BOOL) | KIND(STRING), VALUE_LAZY},
};

static const char *const operator_texts[] = {
    [OPERATOR_ADD] = "+",
    [OPERATOR_SUBTRACT] = "-",
    [OPERATOR_MULTIPLY] = "*",
    [OPERATOR_DIVIDE] = "/",
    [OPERATOR_MODULO] = "%",
    [OPERATOR_EQUAL] = "==",
    [OPERATOR_UNEQUAL] = "!=",
    [OPERATOR_LESS] = "<",
    [OPERATOR_LESS_EQUAL] = "<=",
    [OPERATOR_GREATER] = ">",
    [OPERATOR_GREATER_EQUAL] = ">=",
    [OPERATOR_IN] = "in",
    [OPERATOR_INDEX] = "[]",
};

const char *operator__text(enum operator operator)
{
    CHECK((size_t) operator<sizeof operator_texts / sizeof operator_texts[0]);
    return operator_texts[operator];
}

/* The kinds that an operand may have, as bits. */
static unsigned bits_of(enum value_kind kind)
{
    return kind == VALUE_LAZY ? ANY : 1u << kind;
}

static const char *advice(enum operator operator, enum value_kind left,
                          enum value_kind right)
{
    unsigned both = bits_of(left) | bits_of(right);
    if (operator== OPERATOR_IN)
        return "on the right of 'in' stands a list or a map; for a part of a "
               "text write text.contains(part)";
    if (operator== OPERATOR_INDEX)
        return "only lists and maps have items";
    if (operator== OPERATOR_ADD &&(both &KIND(STRING)))
        return "convert with string(...)";
    if ((both & NUMBERS) && !(both & ~NUMBERS))
        return "both sides need the same kind: convert with int(...), "
               "uint(...) or double(...)";
    return "these two kinds don't go together";
}

/* Where one side isn't known. */
static const char *kind_text(enum value_kind kind)
{
    return kind == VALUE_LAZY ? "dyn" : value_kind_text(kind);
}

enum value_kind check__binary(struct parser *parser, enum operator operator,
                              struct operand left, struct operand right)
{
    unsigned gives = 0;
    for (size_t i = 0; i < sizeof overloads / sizeof overloads[0]; i++) {
        const struct overload *row = &overloads[i];
        if ((row->operators & 1u << operator) &&
            (row->left & bits_of(left.kind)) &&
            (row->right & bits_of(right.kind)))
            gives |= 1u << row->gives;
    }
    if (gives == 0 && !parser->err)
        parse__refuse(parser, right.at, "no such overload: %s %s %s (%s)",
                      kind_text(left.kind), operator__text(operator),
                      kind_text(right.kind),
                      advice(operator, left.kind, right.kind));
    /* Known where it is the same whatever the sides turn out to be. */
    if (gives == 0 || (gives & (gives - 1)) != 0)
        return VALUE_LAZY;
    return (enum value_kind)__builtin_ctz(gives);
}

enum value_kind check__bool(struct parser *parser, struct operand operand,
                            const char *whose)
{
    if (operand.kind != VALUE_BOOL && operand.kind != VALUE_LAZY &&
        !parser->err)
        parse__refuse(parser, operand.at,
                      "%s is a bool (true or false), and this is of kind %s",
                      whose, value_kind_text(operand.kind));
    return VALUE_BOOL;
}

enum value_kind check__negate(struct parser *parser, struct operand operand)
{
    unsigned takes = KIND(INT) | KIND(DOUBLE) | KIND(DURATION);
    if (!(bits_of(operand.kind) & takes) && !parser->err)
        parse__refuse(parser, operand.at,
                      "no such overload: -%s (an int, a double or a duration "
                      "can be negative)",
                      value_kind_text(operand.kind));
    return operand.kind;
}

bool check__field(struct parser *parser, struct operand target,
                  struct slice name)
{
    if (parser->err || target.kind == VALUE_LAZY || target.kind == VALUE_MAP)
        return !parser->err;
    parse__refuse(parser, target.at,
                  "only a map has fields, and this is of kind %s: it has no "
                  "'%.*s'",
                  value_kind_text(target.kind), (int)name.size, name.at);
    return false;
}

/* ---- calls -------------------------------------------------------------- */

/* "a string", "an int or a uint". */
static void write_kinds(unsigned kinds, char *out, size_t room)
{
    size_t size = 0;
    out[0] = '\0';
    for (unsigned kind = 0; kind < VALUE_ERROR; kind++) {
        if (!(kinds & 1u << kind))
            continue;
        const char *text = value_kind_text((enum value_kind)kind);
        struct slice word = slice_str(text);
        size_t more = word.size + (size ? 4 : 0);
        if (size + more + 1 > room)
            return;
        if (size)
            memcpy(out + size, " or ", 4);
        memcpy(out + size + more - word.size, word.at, word.size);
        size += more;
        out[size] = '\0';
    }
}

static void refuse_count(struct parser *parser, const struct function *function,
                         size_t count, size_t at)
{
    /* A method's target isn't written between the parentheses. */
    unsigned before = function->is_method ? 1 : 0;
    unsigned least = function->count_min - before;
    unsigned most = function->count_max - before;
    if (least == most)
        parse__refuse(parser, at, "%s() takes %u argument%s, and here %s %zu",
                      function->name, least, least == 1 ? "" : "s",
                      count - before == 1 ? "is" : "are", count - before);
    else
        parse__refuse(parser, at,
                      "%s() takes %u to %u arguments, and here %s %zu",
                      function->name, least, most,
                      count - before == 1 ? "is" : "are", count - before);
}

/* A pattern that is known by now is compiled once, to see whether it can be. */
static bool check_pattern(struct parser *parser, struct operand pattern)
{
    struct value why;
    const struct op *op = &parser->ops[pattern.begin];
    if (pattern.end - pattern.begin != 1 || op->code != OP_CONSTANT ||
        op->constant->kind != VALUE_STRING ||
        !regex__is_bad(&parser->fold, op->constant->text, &why))
        return true;
    CHECK_EQ(why.kind, VALUE_ERROR);
    parse__refuse(parser, pattern.at, "%.*s", (int)why.text.size, why.text.at);
    return false;
}

bool check__call(struct parser *parser, const struct function *function,
                 const struct operand *arguments, size_t count, size_t at)
{
    if (parser->err)
        return false;
    if (count < function->count_min || count > function->count_max) {
        refuse_count(parser, function, count, at);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        unsigned takes = function->takes[i];
        if (takes == 0 || (takes & bits_of(arguments[i].kind)))
            continue;
        char kinds[96];
        write_kinds(takes, kinds, sizeof kinds);
        parse__refuse(parser, arguments[i].at,
                      "no such overload: %s%s() takes %s here, and this is of "
                      "kind %s",
                      function->is_method ? "." : "", function->name, kinds,
                      value_kind_text(arguments[i].kind));
        return false;
    }
    return function->call != function__matches ||
           check_pattern(parser, arguments[1]);
}
