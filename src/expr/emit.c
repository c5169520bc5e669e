/* Operations are appended as the parser reads. Where all that an operation
 * takes is constant, it is done here and now, and what it took is dropped
 * again: nothing can have jumped to there, since a constant alone has no
 * branches.
 *
 * Errors aren't kept: 1 / 0 is left to the evaluation, where `|| true` may
 * pass over it, and a zone that isn't known here may be known there.
 */
#include "base/check.h"
#include "expr/code_int.h"

enum { OPS_FIRST = 32 };

static void grow(struct parser *parser)
{
    uint32_t capacity = parser->capacity ? parser->capacity * 2 : OPS_FIRST;
    struct op *ops = arena_alloc(parser->arena, capacity * sizeof *ops);
    if (parser->count)
        memcpy(ops, parser->ops, parser->count * sizeof *ops);
    parser->ops = ops;
    parser->capacity = capacity;
}

uint32_t emit__op(struct parser *parser, struct op op, int pushes)
{
    if (parser->err)
        return 0;
    if (parser->count >= EXPR_NODES_MAX) {
        parse__refuse_size(parser, parser->token.at,
                           "this expression has more than %d parts",
                           EXPR_NODES_MAX);
        return 0;
    }
    if (parser->count == parser->capacity)
        grow(parser);
    CHECK(pushes >= 0 || parser->height >= (uint32_t)-pushes);
    parser->height += (uint32_t)pushes;
    if (parser->height > parser->height_max)
        parser->height_max = parser->height;
    parser->ops[parser->count] = op;
    return parser->count++;
}

struct operand emit__operand(const struct parser *parser, uint32_t begin,
                             size_t at, enum value_kind kind)
{
    return (struct operand){
        .begin = begin, .end = parser->count, .at = at, .kind = kind};
}

struct operand emit__value(struct parser *parser, const struct value *value,
                           size_t at)
{
    uint32_t begin = parser->count;
    struct value *copy = arena_dup(parser->arena, value, sizeof *value);
    emit__op(parser, (struct op){.code = OP_CONSTANT, .constant = copy}, 1);
    return emit__operand(parser, begin, at, value->kind);
}

/* ---- constants ---------------------------------------------------------- */

/* True where all since `begin` is `count` constants. */
static bool are_constants(const struct parser *parser, uint32_t begin,
                          size_t count)
{
    if (parser->err || parser->count - begin != count)
        return false;
    for (uint32_t i = begin; i < parser->count; i++) {
        if (parser->ops[i].code != OP_CONSTANT)
            return false;
    }
    return true;
}

static const struct value *constant_at(const struct parser *parser, uint32_t at)
{
    CHECK(parser->ops[at].code == OP_CONSTANT);
    return parser->ops[at].constant;
}

/* Put `result` in the place of the constants since `begin`; false where it is
 * none to keep. */
static bool replace(struct parser *parser, uint32_t begin,
                    const struct value *result)
{
    if (parser->fold.end != EXPR_DONE || result->kind == VALUE_ERROR)
        return false;
    parser->height -= parser->count - begin;
    parser->count = begin;
    emit__value(parser, result, 0);
    return true;
}

/* The constants since `begin`, side by side. NULL where there is no budget
 * left to compute anything. */
static struct value *copy_constants(struct parser *parser, uint32_t begin)
{
    size_t count = parser->count - begin;
    if (parser->fold.end != EXPR_DONE || !run__steps(&parser->fold, count + 1))
        return NULL;
    struct value *values =
        run__alloc(&parser->fold, count * sizeof(struct value));
    for (uint32_t i = 0; values != NULL && i < count; i++)
        values[i] = *constant_at(parser, begin + i);
    return values;
}

struct operand emit__binary(struct parser *parser, enum operator operator,
                            struct operand left, struct operand right,
                            enum value_kind kind)
{
    struct value result;
    if (are_constants(parser, left.begin, 2) && parser->fold.end == EXPR_DONE &&
        run__steps(&parser->fold, 1)) {
        operator__apply(&parser->fold, operator,
                        constant_at(parser, left.begin),
                        constant_at(parser, right.begin), &result);
        if (replace(parser, left.begin, &result))
            return emit__operand(parser, left.begin, left.at, result.kind);
    }
    emit__op(parser,
             (struct op){.code = OP_BINARY, .detail = (uint8_t) operator}, -1);
    return emit__operand(parser, left.begin, left.at, kind);
}

static void apply_unary(struct run *run, enum op_code code,
                        const struct value *operand, struct value *out)
{
    if (code == OP_NEGATE)
        operator__negate(run, operand, out);
    else if (operand->kind == VALUE_BOOL)
        *out = value_bool(!operand->boolean);
    else
        out->kind = VALUE_ERROR; /* the evaluation says which */
}

struct operand emit__unary(struct parser *parser, enum op_code code,
                           struct operand operand, enum value_kind kind)
{
    CHECK(code == OP_NEGATE || code == OP_NOT);
    struct value result;
    if (are_constants(parser, operand.begin, 1) &&
        parser->fold.end == EXPR_DONE && run__steps(&parser->fold, 1)) {
        apply_unary(&parser->fold, code, constant_at(parser, operand.begin),
                    &result);
        if (replace(parser, operand.begin, &result))
            return emit__operand(parser, operand.begin, operand.at,
                                 result.kind);
    }
    emit__op(parser, (struct op){.code = (uint8_t)code}, 0);
    return emit__operand(parser, operand.begin, operand.at, kind);
}

struct operand emit__call(struct parser *parser,
                          const struct function *function, uint32_t begin,
                          size_t count, size_t at)
{
    struct value result;
    struct value *arguments = NULL;
    if (function->uses == 0 && are_constants(parser, begin, count))
        arguments = copy_constants(parser, begin);
    if (arguments != NULL) {
        function->call(&parser->fold, arguments, count, &result);
        /* dyn() hides the kind on purpose. */
        if (parser->fold.end == EXPR_DONE && replace(parser, begin, &result))
            return emit__operand(parser, begin, at, function->gives);
    }
    emit__op(parser,
             (struct op){.code = OP_CALL,
                         .index = (uint32_t)count,
                         .function = function},
             1 - (int)count);
    parser->uses |= function->uses;
    return emit__operand(parser, begin, at, function->gives);
}

struct operand emit__collect(struct parser *parser, enum op_code code,
                             uint32_t begin, size_t count, size_t at)
{
    bool is_map = code == OP_MAP;
    size_t values = is_map ? count * 2 : count;
    enum value_kind kind = is_map ? VALUE_MAP : VALUE_LIST;
    struct value *constants = NULL;
    if (are_constants(parser, begin, values))
        constants = copy_constants(parser, begin);
    if (constants != NULL) {
        struct value result;
        if (is_map)
            collect__map(&parser->fold, constants, count, &result);
        else
            collect__list(&parser->fold, constants, count, &result);
        if (replace(parser, begin, &result))
            return emit__operand(parser, begin, at, kind);
    }
    emit__op(parser,
             (struct op){.code = (uint8_t)code, .index = (uint32_t)count},
             1 - (int)values);
    return emit__operand(parser, begin, at, kind);
}
