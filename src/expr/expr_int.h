/* What the files of expr/ share. */
#ifndef ETCHED_EXPR_EXPR_INT_H
#define ETCHED_EXPR_EXPR_INT_H

#include "expr/expr.h"

/* One evaluation under way. */
struct run {
    const struct expr_world *world;
    struct arena *arena;
    struct value *slots;
    uint64_t steps_left;
    size_t bytes_left;
    size_t bytes_max;
    enum expr_end end; /* EXPR_DONE so far */
    const char *spent; /* EXPR_TOO_FAR: of what there was too much ("steps") */
    /* Of the arena: what had been used when it began, and what the world has
     * put there since. */
    size_t bytes_begin;
    size_t foreign_bytes;
};

/* Take from the budget; false where it is used up (run->end says so). */
bool run__steps(struct run *run, uint64_t steps);
/* Bytes of the evaluation's own, aligned; NULL where the budget is used up. */
void *run__alloc(struct run *run, size_t size);
/* Take what a walk through all of a value costs; false where that is more than
 * is left. A few operations can make a list whose items are shared and whose
 * walk would never end: whoever compares or writes lists and maps asks first.
 */
bool run__weigh(struct run *run, const struct value *value);
/* An error value whose text counts for the budget. */
struct value run__error(struct run *run, const char *format, ...)
    PRINTF_LIKE(2, 3);

/* ---- functions ---------------------------------------------------------- */

enum { FUNCTION_ARGUMENTS_MAX = 4 };

/* Arguments are never errors: those were passed on. A wrong kind or value is
 * an error value in *out ("no such overload: size(int)"). Where the run has
 * ended (budget, pending) *out isn't read. A method's target is argument 0. */
typedef void (*function_call)(struct run *run, const struct value *arguments,
                              size_t count, struct value *out);
struct function {
    const char *name;  /* "size", "time.hour" */
    bool is_method;    /* x.f(): argument 0 is x */
    uint8_t count_min; /* arguments, with the target */
    uint8_t count_max;
    uint8_t gives; /* enum value_kind; VALUE_LAZY: it depends */
    uint8_t uses;  /* enum expr_use */
    /* For the checker: kinds that an argument may have, as bits 1 << kind; 0:
     * any. */
    uint16_t takes[FUNCTION_ARGUMENTS_MAX];
    function_call call;
};
/* NULL: none of this name. `text` may be called both ways where two entries
 * say so ("size(x)", "x.size()"). */
const struct function *function__find(struct slice name, bool is_method);

/* Whether matches() has no use for this pattern, whatever the text; why, as an
 * error value in *out. Where the budget is used up it isn't known: false. */
bool regex__is_bad(struct run *run, struct slice pattern, struct value *out);

/* Operators, for eval and for constant folding: CEL's overloads, overflow and
 * division by zero as error values. */
enum operator{
    OPERATOR_ADD,
    OPERATOR_SUBTRACT,
    OPERATOR_MULTIPLY,
    OPERATOR_DIVIDE,
    OPERATOR_MODULO,
    OPERATOR_EQUAL,
    OPERATOR_UNEQUAL,
    OPERATOR_LESS,
    OPERATOR_LESS_EQUAL,
    OPERATOR_GREATER,
    OPERATOR_GREATER_EQUAL,
    OPERATOR_IN,
    OPERATOR_INDEX,
};
void operator__apply(struct run *run, enum operator operator,
                     const struct value * left, const struct value *right,
                     struct value *out);
void operator__negate(struct run *run, const struct value *operand,
                      struct value *out);
/* -1, 0, 1; false where the two kinds have no order. */
bool value__compare(const struct value *a, const struct value *b, int *order);

#endif
