/* Operators against a naive twin that has more bits, and their budget. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>

#include "base/prng.h"
#include "expr/value_int.h"

__extension__ typedef __int128 wide;

static struct arena arena;
static struct run run;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    run = (struct run){
        .arena = &arena, .steps_left = 1000000, .bytes_left = 1 << 20};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

static struct value apply(enum operator op, struct value left,
                          struct value right)
{
    struct value out;
    operator__apply(&run, op, &left, &right, &out);
    return out;
}

static struct value of_uint(uint64_t natural)
{
    return (struct value){.kind = VALUE_UINT, .natural = natural};
}

static struct value of_double(double number)
{
    return (struct value){.kind = VALUE_DOUBLE, .number = number};
}

static struct value of_text(const char *text)
{
    return value_from_text(&arena, slice_str(text));
}

static void assert_error(struct value value, const char *text)
{
    assert_int_equal(value.kind, VALUE_ERROR);
    if (!slice_eq(value.text, slice_str(text)))
        fail_msg("'%.*s', not '%s'", (int)value.text.size, value.text.at, text);
}

/* ---- the twin ----------------------------------------------------------- */

/* Small, large, and next to the edges. */
static int64_t some_int(struct prng *prng)
{
    uint64_t bits = prng_next(prng);
    switch (bits % 4) {
    case 0:
        return (int64_t)(bits >> 56) - 128;
    case 1:
        return INT64_MAX - (int64_t)(bits >> 60);
    case 2:
        return INT64_MIN + (int64_t)(bits >> 60);
    default:
        return (int64_t)bits;
    }
}

static bool wide_result(enum operator op, wide a, wide b, wide *out)
{
    switch (op) {
    case OPERATOR_ADD:
        *out = a + b;
        return true;
    case OPERATOR_SUBTRACT:
        *out = a - b;
        return true;
    case OPERATOR_MULTIPLY:
        *out = a * b;
        return true;
    default:
        if (b == 0)
            return false;
        *out = op == OPERATOR_DIVIDE ? a / b : a % b;
        return true;
    }
}

static void integers_agree_with_more_bits(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 1);
    for (int i = 0; i < 20000; i++) {
        enum operator op =(enum operator)(prng_next(&prng) % 5);
        int64_t a = some_int(&prng), b = some_int(&prng);
        wide expected;
        bool is_known = wide_result(op, a, b, &expected) &&
                        expected >= INT64_MIN && expected <= INT64_MAX;
        /* CEL's rule: the one quotient that doesn't fit has no rest. */
        if (a == INT64_MIN && b == -1 && op == OPERATOR_MODULO)
            is_known = false;
        struct value got = apply(op, value_int(a), value_int(b));
        assert_int_equal(got.kind, is_known ? VALUE_INT : VALUE_ERROR);
        if (is_known)
            assert_true(got.integer == (int64_t)expected);
    }
}

static void naturals_agree_with_more_bits(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 2);
    for (int i = 0; i < 20000; i++) {
        enum operator op =(enum operator)(prng_next(&prng) % 5);
        uint64_t a = (uint64_t)some_int(&prng), b = (uint64_t)some_int(&prng);
        wide expected = -1;
        /* The product of two full ones has 128 bits, and no sign. */
        bool is_known = op == OPERATOR_MULTIPLY && a != 0 && b > UINT64_MAX / a
                            ? false
                            : wide_result(op, (wide)a, (wide)b, &expected);
        is_known = is_known && expected >= 0 && expected <= (wide)UINT64_MAX;
        struct value got = apply(op, of_uint(a), of_uint(b));
        assert_int_equal(got.kind, is_known ? VALUE_UINT : VALUE_ERROR);
        if (is_known)
            assert_true(got.natural == (uint64_t)expected);
    }
}

/* long double has 64 bits of a number: each int, uint and double is one. */
static void comparisons_over_kinds_agree_with_more_bits(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 3);
    for (int i = 0; i < 30000; i++) {
        struct value values[2];
        long double exact[2];
        for (size_t k = 0; k < 2; k++) {
            int64_t integer = some_int(&prng);
            switch (prng_next(&prng) % 4) {
            case 0:
                values[k] = value_int(integer);
                exact[k] = (long double)integer;
                break;
            case 1:
                values[k] = of_uint((uint64_t)integer);
                exact[k] = (long double)(uint64_t)integer;
                break;
            case 2:
                values[k] = of_double((double)integer);
                exact[k] = (long double)(double)integer;
                break;
            default:
                values[k] = of_double((double)(integer >> 57) / 2);
                exact[k] = (long double)(double)(integer >> 57) / 2;
            }
        }
        int order;
        assert_true(value__compare(&values[0], &values[1], &order));
        int expected = (exact[0] > exact[1]) - (exact[0] < exact[1]);
        assert_int_equal(order, expected);
        assert_int_equal(value_equals(&values[0], &values[1]), expected == 0);
        assert_int_equal(
            apply(OPERATOR_LESS_EQUAL, values[0], values[1]).boolean,
            expected <= 0);
        assert_int_equal(apply(OPERATOR_UNEQUAL, values[0], values[1]).boolean,
                         expected != 0);
    }
}

/* ---- what is said ------------------------------------------------------- */

static void errors_say_what_was_tried(void **state)
{
    (void)state;
    struct value seven = value_int(7), text = value_string(SLICE("x"));
    struct value map = of_text("{\"a\":1}"), list = of_text("[1,2]");
    assert_error(apply(OPERATOR_ADD, seven, text),
                 "no such overload: int + string");
    assert_error(apply(OPERATOR_ADD, seven, of_double(1)),
                 "no such overload: int + double (convert one with int() or "
                 "double())");
    assert_error(apply(OPERATOR_LESS, map, map), "no such overload: map < map");
    assert_error(apply(OPERATOR_IN, seven, text),
                 "no such overload: int in string");
    assert_error(apply(OPERATOR_INDEX, text, seven),
                 "no such overload: string[int]");
    assert_error(apply(OPERATOR_INDEX, map, text), "no such key: x");
    assert_error(apply(OPERATOR_INDEX, map, of_uint(3)), "no such key: 3");
    assert_error(apply(OPERATOR_INDEX, list, value_int(2)),
                 "index out of range: 2, of 2 items");
    assert_error(apply(OPERATOR_INDEX, list, value_int(INT64_MIN)),
                 "index out of range: -9223372036854776000, of 2 items");
    assert_error(apply(OPERATOR_DIVIDE, seven, value_int(0)), "divide by zero");
}

static void an_error_passes_through(void **state)
{
    (void)state;
    struct value error = value_error(&arena, "first");
    struct value other = value_error(&arena, "second");
    for (int op = OPERATOR_ADD; op <= OPERATOR_INDEX; op++) {
        assert_error(apply((enum operator)op, error, value_int(1)), "first");
        assert_error(apply((enum operator)op, value_int(1), error), "first");
        assert_error(apply((enum operator)op, error, other), "first");
    }
    struct value out;
    operator__negate(&run, &error, &out);
    assert_error(out, "first");
}

static void the_result_may_take_the_place_of_an_operand(void **state)
{
    (void)state;
    struct value value = value_int(20), two = value_int(2);
    operator__apply(&run, OPERATOR_ADD, &value, &two, &value);
    assert_int_equal(value.integer, 22);
    operator__apply(&run, OPERATOR_SUBTRACT, &two, &value, &value);
    assert_int_equal(value.integer, -20);
    operator__negate(&run, &value, &value);
    assert_int_equal(value.integer, 20);
    value = of_text("[7]");
    struct value zero = value_int(0);
    operator__apply(&run, OPERATOR_INDEX, &value, &zero, &value);
    assert_int_equal(value.integer, 7);
}

static void what_has_no_order_says_so(void **state)
{
    (void)state;
    int order = 5;
    struct value one = value_int(1), text = of_text("x"), list = of_text("[]");
    struct value nan = of_double(NAN), null = {.kind = VALUE_NULL};
    assert_false(value__compare(&one, &text, &order));
    assert_false(value__compare(&list, &list, &order));
    assert_false(value__compare(&null, &null, &order));
    assert_false(value__compare(&nan, &one, &order));
    assert_false(value__compare(&one, &nan, &order));
}

/* ---- the budget --------------------------------------------------------- */

static void joining_takes_bytes_and_steps(void **state)
{
    (void)state;
    char bytes[1000];
    memset(bytes, 'a', sizeof bytes);
    struct value text = value_string(slice_of(bytes, sizeof bytes));
    run.bytes_left = 2500;
    struct value both = apply(OPERATOR_ADD, text, text);
    assert_int_equal(both.text.size, 2000);
    assert_int_equal(run.bytes_left, 500);
    assert_int_equal(run.end, EXPR_DONE);
    (void)apply(OPERATOR_ADD, text, text);
    assert_int_equal(run.end, EXPR_TOO_FAR);
}

static void an_empty_side_costs_nothing(void **state)
{
    (void)state;
    struct value text = of_text("text"), empty = value_string(SLICE(""));
    size_t before = run.bytes_left;
    struct value joined = apply(OPERATOR_ADD, text, empty);
    assert_ptr_equal(joined.text.at, text.text.at);
    joined = apply(OPERATOR_ADD, empty, text);
    assert_ptr_equal(joined.text.at, text.text.at);
    assert_int_equal(run.bytes_left, before);
}

static void a_search_through_a_long_list_takes_steps(void **state)
{
    (void)state;
    struct value items[1000];
    for (int i = 0; i < 1000; i++)
        items[i] = value_int(i);
    struct value_list list = {1000, items};
    struct value all = {.kind = VALUE_LIST, .list = &list};
    run.steps_left = 200;
    assert_true(apply(OPERATOR_IN, value_int(999), all).boolean);
    assert_true(run.steps_left <= 200 - 1000 / 8);
    assert_int_equal(run.end, EXPR_DONE);
    (void)apply(OPERATOR_IN, value_int(999), all);
    assert_int_equal(run.end, EXPR_TOO_FAR);
}

static void a_map_against_itself_backwards_takes_steps(void **state)
{
    (void)state;
    enum { COUNT = 500 };
    struct value keys[COUNT], turned[COUNT], values[COUNT];
    for (int i = 0; i < COUNT; i++) {
        keys[i] = turned[COUNT - 1 - i] = value_int(i);
        values[i] = value_int(1);
    }
    struct value_map a = {COUNT, keys, values}, b = {COUNT, turned, values};
    struct value left = {.kind = VALUE_MAP, .map = &a};
    struct value right = {.kind = VALUE_MAP, .map = &b};
    assert_true(apply(OPERATOR_EQUAL, left, right).boolean);
    assert_true(1000000 - run.steps_left > COUNT * COUNT / 32);
    run.steps_left = 100;
    (void)apply(OPERATOR_EQUAL, left, right);
    assert_int_equal(run.end, EXPR_TOO_FAR);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(integers_agree_with_more_bits),
        TEST(naturals_agree_with_more_bits),
        TEST(comparisons_over_kinds_agree_with_more_bits),
        TEST(errors_say_what_was_tried),
        TEST(an_error_passes_through),
        TEST(the_result_may_take_the_place_of_an_operand),
        TEST(what_has_no_order_says_so),
        TEST(joining_takes_bytes_and_steps),
        TEST(an_empty_side_costs_nothing),
        TEST(a_search_through_a_long_list_takes_steps),
        TEST(a_map_against_itself_backwards_takes_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
