/* Operators on values: CEL's overloads (cel-spec "Language Definition",
 * "List of Standard Definitions").
 *
 * Arithmetic stays within one kind: 1 + 1.0 is refused, since which of the two
 * was meant is for the writer to say. What overflows is an error, never a
 * number that wrapped. Comparisons mix kinds of numbers. */
#include "expr/expr_int.h"

#include <math.h>

#include "base/check.h"
#include "expr/code_int.h"
#include "expr/value_int.h"

enum {
    BYTES_A_STEP = 64,
    ITEMS_A_STEP = 8,
};

static void fail(struct run *run, struct value *out, const char *text)
{
    *out = run__error(run, "%s", text);
}

static void no_overload(struct run *run, enum operator op,
                        const struct value *left, const struct value *right,
                        struct value *out)
{
    const char *a = value_kind_text(left->kind);
    const char *b = value_kind_text(right->kind);
    bool is_mixed = op <= OPERATOR_MODULO && left->kind != right->kind &&
                    value__is_number(left) && value__is_number(right);
    if (op == OPERATOR_INDEX)
        *out = run__error(run, "no such overload: %s[%s]", a, b);
    else
        *out = run__error(
            run, "no such overload: %s %s %s%s", a, operator__text(op), b,
            is_mixed ? " (convert one with int() or double())" : "");
}

/* ---- arithmetic --------------------------------------------------------- */

static void set_int(struct value *out, enum value_kind kind, int64_t integer)
{
    out->kind = kind;
    out->integer = integer;
}

static void divide_int(struct run *run, enum operator op, int64_t a, int64_t b,
                       struct value *out)
{
    if (b == 0) {
        fail(run, out,
             op == OPERATOR_DIVIDE ? "divide by zero" : "modulus by zero");
        return;
    }
    if (a == INT64_MIN && b == -1) {
        fail(run, out, "int overflow");
        return;
    }
    set_int(out, VALUE_INT, op == OPERATOR_DIVIDE ? a / b : a % b);
}

static void apply_int(struct run *run, enum operator op, int64_t a, int64_t b,
                      struct value *out)
{
    int64_t result;
    bool is_over;
    switch (op) {
    case OPERATOR_ADD:
        is_over = __builtin_add_overflow(a, b, &result);
        break;
    case OPERATOR_SUBTRACT:
        is_over = __builtin_sub_overflow(a, b, &result);
        break;
    case OPERATOR_MULTIPLY:
        is_over = __builtin_mul_overflow(a, b, &result);
        break;
    default:
        divide_int(run, op, a, b, out);
        return;
    }
    if (is_over)
        fail(run, out, "int overflow");
    else
        set_int(out, VALUE_INT, result);
}

static void divide_uint(struct run *run, enum operator op, uint64_t a,
                        uint64_t b, struct value *out)
{
    if (b == 0) {
        fail(run, out,
             op == OPERATOR_DIVIDE ? "divide by zero" : "modulus by zero");
        return;
    }
    out->kind = VALUE_UINT;
    out->natural = op == OPERATOR_DIVIDE ? a / b : a % b;
}

static void apply_uint(struct run *run, enum operator op, uint64_t a,
                       uint64_t b, struct value *out)
{
    uint64_t result;
    bool is_over;
    switch (op) {
    case OPERATOR_ADD:
        is_over = __builtin_add_overflow(a, b, &result);
        break;
    case OPERATOR_SUBTRACT:
        is_over = __builtin_sub_overflow(a, b, &result);
        break;
    case OPERATOR_MULTIPLY:
        is_over = __builtin_mul_overflow(a, b, &result);
        break;
    default:
        divide_uint(run, op, a, b, out);
        return;
    }
    if (is_over) {
        fail(run, out, "uint overflow");
        return;
    }
    out->kind = VALUE_UINT;
    out->natural = result;
}

/* IEEE 754: a division by zero is an infinity or NaN. */
static bool apply_double(enum operator op, double a, double b,
                         struct value *out)
{
    switch (op) {
    case OPERATOR_ADD:
        out->number = a + b;
        break;
    case OPERATOR_SUBTRACT:
        out->number = a - b;
        break;
    case OPERATOR_MULTIPLY:
        out->number = a * b;
        break;
    case OPERATOR_DIVIDE:
        out->number = a / b;
        break;
    default:
        return false;
    }
    out->kind = VALUE_DOUBLE;
    return true;
}

/* ---- times -------------------------------------------------------------- */

/* What the sum or the difference is; VALUE_ERROR: there is none such. */
static enum value_kind time_kind(enum operator op, enum value_kind a,
                                 enum value_kind b)
{
    if (op != OPERATOR_ADD && op != OPERATOR_SUBTRACT)
        return VALUE_ERROR;
    if (a == VALUE_DURATION && b == VALUE_DURATION)
        return VALUE_DURATION;
    if (a == VALUE_TIMESTAMP && b == VALUE_DURATION)
        return VALUE_TIMESTAMP;
    if (a == VALUE_DURATION && b == VALUE_TIMESTAMP)
        return op == OPERATOR_ADD ? VALUE_TIMESTAMP : VALUE_ERROR;
    if (a == VALUE_TIMESTAMP && b == VALUE_TIMESTAMP)
        return op == OPERATOR_SUBTRACT ? VALUE_DURATION : VALUE_ERROR;
    return VALUE_ERROR;
}

static bool apply_times(struct run *run, enum operator op,
                        const struct value *left, const struct value *right,
                        struct value *out)
{
    enum value_kind kind = time_kind(op, left->kind, right->kind);
    if (kind == VALUE_ERROR)
        return false;
    int64_t result;
    bool is_over =
        op == OPERATOR_ADD
            ? __builtin_add_overflow(left->integer, right->integer, &result)
            : __builtin_sub_overflow(left->integer, right->integer, &result);
    if (is_over)
        *out = run__error(run, "%s out of range", value_kind_text(kind));
    else
        set_int(out, kind, result);
    return true;
}

/* ---- joining ------------------------------------------------------------ */

static void join_texts(struct run *run, const struct value *left,
                       const struct value *right, struct value *out)
{
    size_t size = left->text.size + right->text.size;
    if (left->text.size == 0 || right->text.size == 0) {
        *out = left->text.size ? *left : *right;
        return;
    }
    char *bytes = NULL;
    if (run__steps(run, size / BYTES_A_STEP))
        bytes = run__alloc(run, size);
    if (bytes == NULL)
        return;
    memcpy(bytes, left->text.at, left->text.size);
    memcpy(bytes + left->text.size, right->text.at, right->text.size);
    *out = (struct value){.kind = left->kind, .text = slice_of(bytes, size)};
}

static void join_lists(struct run *run, const struct value_list *left,
                       const struct value_list *right, struct value *out)
{
    size_t count = left->count + right->count;
    struct value_list *list = NULL;
    if (run__steps(run, count / ITEMS_A_STEP))
        list = run__alloc(run, sizeof *list + count * sizeof *list->items);
    if (list == NULL)
        return;
    list->count = count;
    list->items = (struct value *)(list + 1);
    if (left->count)
        memcpy(list->items, left->items, left->count * sizeof *list->items);
    if (right->count)
        memcpy(list->items + left->count, right->items,
               right->count * sizeof *list->items);
    *out = (struct value){.kind = VALUE_LIST, .list = list};
}

static bool join(struct run *run, enum operator op, const struct value *left,
                 const struct value *right, struct value *out)
{
    if (op != OPERATOR_ADD || left->kind != right->kind)
        return false;
    if (left->kind == VALUE_STRING || left->kind == VALUE_BYTES)
        join_texts(run, left, right, out);
    else if (left->kind == VALUE_LIST)
        join_lists(run, left->list, right->list, out);
    else
        return false;
    return true;
}

static void arithmetic(struct run *run, enum operator op,
                       const struct value *left, const struct value *right,
                       struct value *out)
{
    bool is_done = false;
    if (left->kind == right->kind && left->kind == VALUE_UINT) {
        apply_uint(run, op, left->natural, right->natural, out);
        return;
    }
    if (left->kind == right->kind && left->kind == VALUE_DOUBLE)
        is_done = apply_double(op, left->number, right->number, out);
    else
        is_done = join(run, op, left, right, out) ||
                  apply_times(run, op, left, right, out);
    if (!is_done)
        no_overload(run, op, left, right, out);
}

/* ---- comparing ---------------------------------------------------------- */

static bool is_met(enum operator op, int order)
{
    switch (op) {
    case OPERATOR_LESS:
        return order < 0;
    case OPERATOR_LESS_EQUAL:
        return order <= 0;
    case OPERATOR_GREATER:
        return order > 0;
    default:
        CHECK_EQ(op, OPERATOR_GREATER_EQUAL);
        return order >= 0;
    }
}

static void compare(struct run *run, enum operator op, const struct value *left,
                    const struct value *right, struct value *out)
{
    int order;
    if ((left->kind == VALUE_STRING || left->kind == VALUE_BYTES) &&
        !run__steps(run, left->text.size / BYTES_A_STEP))
        return;
    if (value__compare(left, right, &order))
        *out = value_bool(is_met(op, order));
    else if (value__is_number(left) && value__is_number(right))
        *out = value_bool(false); /* NaN is neither more nor less */
    else
        no_overload(run, op, left, right, out);
}

/* ---- in, index ---------------------------------------------------------- */

static void in_list(struct run *run, const struct value *wanted,
                    const struct value_list *list, struct value *out)
{
    bool is_there = false;
    for (size_t i = 0; i < list->count && !is_there; i++) {
        is_there = value__equals(run, wanted, &list->items[i]);
        if (i % ITEMS_A_STEP == ITEMS_A_STEP - 1 && !run__steps(run, 1))
            return;
    }
    *out = value_bool(is_there);
}

static void in(struct run *run, const struct value *left,
               const struct value *right, struct value *out)
{
    if (right->kind == VALUE_LIST)
        in_list(run, left, right->list, out);
    else if (right->kind == VALUE_MAP &&
             (value__is_key(left) || left->kind == VALUE_DOUBLE))
        *out = value_bool(value__at_key(run, right->map, left) != NULL);
    else
        no_overload(run, OPERATOR_IN, left, right, out);
}

/* A list's index, of any kind of number; a map's key, as people read it. */
static void explain_key(struct run *run, const struct value *key,
                        struct value *out)
{
    char text[NUMBER_TEXT_BYTES_MAX];
    switch (key->kind) {
    case VALUE_STRING:
        *out = run__error(run, "no such key: %.*s",
                          key->text.size > 128 ? 128 : (int)key->text.size,
                          key->text.at);
        return;
    case VALUE_BOOL:
        *out =
            run__error(run, "no such key: %s", key->boolean ? "true" : "false");
        return;
    case VALUE_INT:
        *out = run__error(run, "no such key: %lld", (long long)key->integer);
        return;
    case VALUE_UINT:
        *out = run__error(run, "no such key: %llu",
                          (unsigned long long)key->natural);
        return;
    default: {
        CHECK_EQ(key->kind, VALUE_DOUBLE);
        size_t size = value__number_text(key->number, text);
        *out = run__error(run, "no such key: %.*s", (int)size, text);
    }
    }
}

static void index_map(struct run *run, const struct value *map,
                      const struct value *key, struct value *out)
{
    if (!value__is_key(key) && key->kind != VALUE_DOUBLE) {
        no_overload(run, OPERATOR_INDEX, map, key, out);
        return;
    }
    const struct value *found = value__at_key(run, map->map, key);
    if (found != NULL)
        *out = *found;
    else
        explain_key(run, key, out);
}

static void index_list(struct run *run, const struct value *list,
                       const struct value *index, struct value *out)
{
    size_t count = list->list->count;
    struct value end = {.kind = VALUE_UINT, .natural = count};
    struct value zero = value_int(0);
    if (!value__is_number(index)) {
        no_overload(run, OPERATOR_INDEX, list, index, out);
        return;
    }
    if (index->kind == VALUE_DOUBLE && index->number != floor(index->number)) {
        fail(run, out, "the index isn't a whole number");
        return;
    }
    int above = value__compare_numbers(index, &zero);
    if (above < 0 || above == 2 || value__compare_numbers(index, &end) >= 0) {
        char text[NUMBER_TEXT_BYTES_MAX];
        double shown = index->kind == VALUE_INT    ? (double)index->integer
                       : index->kind == VALUE_UINT ? (double)index->natural
                                                   : index->number;
        size_t size = value__number_text(shown, text);
        *out = run__error(run, "index out of range: %.*s, of %zu items",
                          (int)size, text, count);
        return;
    }
    size_t at = index->kind == VALUE_DOUBLE ? (size_t)index->number
                                            : (size_t)index->natural;
    CHECK_LT(at, count);
    *out = list->list->items[at];
}

static void index_value(struct run *run, const struct value *left,
                        const struct value *right, struct value *out)
{
    if (left->kind == VALUE_MAP)
        index_map(run, left, right, out);
    else if (left->kind == VALUE_LIST)
        index_list(run, left, right, out);
    else
        no_overload(run, OPERATOR_INDEX, left, right, out);
}

/* ---- the doors ---------------------------------------------------------- */

static void apply(struct run *run, enum operator op, const struct value *left,
                  const struct value *right, struct value *out)
{
    switch (op) {
    case OPERATOR_ADD:
    case OPERATOR_SUBTRACT:
    case OPERATOR_MULTIPLY:
    case OPERATOR_DIVIDE:
    case OPERATOR_MODULO:
        if (left->kind == VALUE_INT && right->kind == VALUE_INT)
            apply_int(run, op, left->integer, right->integer, out);
        else
            arithmetic(run, op, left, right, out);
        return;
    case OPERATOR_EQUAL:
        *out = value_bool(value__equals(run, left, right));
        return;
    case OPERATOR_UNEQUAL:
        *out = value_bool(!value__equals(run, left, right));
        return;
    case OPERATOR_LESS:
    case OPERATOR_LESS_EQUAL:
    case OPERATOR_GREATER:
    case OPERATOR_GREATER_EQUAL:
        compare(run, op, left, right, out);
        return;
    case OPERATOR_IN:
        in(run, left, right, out);
        return;
    case OPERATOR_INDEX:
        index_value(run, left, right, out);
        return;
    }
    UNREACHABLE();
}

/* The result may be written over an operand. */
void operator__apply(struct run *run, enum operator op,
                     const struct value *left, const struct value *right,
                     struct value *out)
{
    struct value result = {.kind = VALUE_NULL};
    CHECK(left->kind != VALUE_LAZY && right->kind != VALUE_LAZY);
    if (left->kind == VALUE_ERROR)
        result = *left;
    else if (right->kind == VALUE_ERROR)
        result = *right;
    else
        apply(run, op, left, right, &result);
    *out = result;
}

void operator__negate(struct run *run, const struct value *operand,
                      struct value *out)
{
    switch (operand->kind) {
    case VALUE_ERROR:
        *out = *operand;
        return;
    case VALUE_INT:
        if (operand->integer == INT64_MIN)
            fail(run, out, "int overflow");
        else
            set_int(out, VALUE_INT, -operand->integer);
        return;
    case VALUE_DOUBLE:
        out->number = -operand->number;
        out->kind = VALUE_DOUBLE;
        return;
    default:
        *out = run__error(run, "no such overload: -%s",
                          value_kind_text(operand->kind));
    }
}
