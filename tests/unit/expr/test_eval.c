/* Evaluating: errors as values, macros, ingredients that are absent, asked of
 * the world or pending. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>

#include "expr_ask.h"

/* ---- logic -------------------------------------------------------------- */

/* The errors here can't be known before: value.x isn't there. */
static void and_passes_over_an_error_where_the_other_side_is_false(void **state)
{
    (void)state;
    static const struct question table[] = {
        {"ready && ready", "true"},
        {"ready && !ready", "false"},
        {"!ready && value.x", "false"},
        {"value.x && !ready", "false"},
        {"ready && value.x", "error: no such key: x"},
        {"value.x && ready", "error: no such key: x"},
        {"value.x && value.y", "error: no such key: x"},
        {"value.x && value.y && !ready", "false"},
        {"!ready && value.x && value.y", "false"},
        {"value.used && !ready", "false"},
        {"!ready && value.used", "false"},
        {"value.used && ready",
         "error: no such overload: && of a value of kind int"},
        {"ready && value.used",
         "error: no such overload: && of a value of kind int"},
        {"value.used && value.x",
         "error: no such overload: && of a value of kind int"},
    };
    ASK_ALL(table);
}

static void or_passes_over_an_error_where_the_other_side_is_true(void **state)
{
    (void)state;
    static const struct question table[] = {
        {"!ready || !ready", "false"},
        {"!ready || ready", "true"},
        {"ready || value.x", "true"},
        {"value.x || ready", "true"},
        {"!ready || value.x", "error: no such key: x"},
        {"value.x || !ready", "error: no such key: x"},
        {"value.x || value.y || ready", "true"},
        {"value.used || ready", "true"},
        {"value.used || !ready",
         "error: no such overload: || of a value of kind int"},
        {"1 / 0 > 1 || 2 > 1", "true"},
        {"2 > 1 || 1 / 0 > 1", "true"},
    };
    ASK_ALL(table);
}

static void a_choice_evaluates_one_branch(void **state)
{
    (void)state;
    static const struct question table[] = {
        {"ready ? 1 : value.x", "1"},
        {"!ready ? value.x : 2", "2"},
        {"ready ? value.x : 2", "error: no such key: x"},
        {"value.x ? 1 : 2", "error: no such key: x"},
        {"value.used ? 1 : 2",
         "error: no such overload: ?: of a value of kind int"},
        {"(value.x ? 1 : 2) == 1 || ready", "true"},
        {"value.x ? 1 : ready ? 2 : 3", "error: no such key: x"},
        {"[ready ? 1 : 2, !ready ? 3 : 4]", "[1,4]"},
        {"ready ? (!ready ? 1 : 2) : 3", "2"},
        {"value.tags.map(t, t == 'a' ? 1 : t == 'b' ? 2 : 3)", "[1,2,3]"},
    };
    ASK_ALL(table);
}

static void other_operators_pass_the_first_error_on(void **state)
{
    (void)state;
    static const struct question table[] = {
        {"value.x + value.y", "error: no such key: x"},
        {"1 + value.y", "error: no such key: y"},
        {"!value.x", "error: no such key: x"},
        {"-value.x", "error: no such key: x"},
        {"[1, value.x, value.y]", "error: no such key: x"},
        {"{'a': value.x}", "error: no such key: x"},
        {"{value.x: 1}", "error: no such key: x"},
        {"value.x.y.z", "error: no such key: x"},
        {"value.x[0]", "error: no such key: x"},
        {"value[value.x]", "error: no such key: x"},
        {"size(value.x)", "error: no such key: x"},
        {"host.startsWith(value.x)", "error: no such key: x"},
        {"value.x == value.x", "error: no such key: x"},
        {"value.x in [1]", "error: no such key: x"},
        {"value.x.map(t, t)", "error: no such key: x"},
        {"has(value.x.y)", "error: no such key: x"},
    };
    ASK_ALL(table);
}

/* ---- fields ------------------------------------------------------------- */

static void fields_are_of_maps(void **state)
{
    (void)state;
    static const struct question table[] = {
        {"value.used", "95"},
        {"value.none", "null"},
        {"value.deep.x", "{\"y\":1}"},
        {"value.used.x", "error: no such overload: the field 'x' of a value "
                         "of kind int, which is no map"},
        {"value.tags.x", "error: no such overload: the field 'x' of a value "
                         "of kind list, which is no map"},
        {"value.none.x", "error: no such overload: the field 'x' of a value "
                         "of kind null_type, which is no map"},
        {"{1: 'a', true: 'b', 2u: 'c', 'x': 'd'}[1]", "\"a\""},
        {"{1: 'a', true: 'b', 2u: 'c', 'x': 'd'}.x", "\"d\""},
        {"{1.5: 1}", "error: no such overload: a map's key is a bool, an "
                     "int, a uint or a string, and this is of kind double"},
        {"{null: 1}", "error: no such overload: a map's key is a bool, an "
                      "int, a uint or a string, and this is of kind "
                      "null_type"},
        {"{host: 1, 'web-17': 2}", "error: a map has the same key twice"},
        {"{count: 1, 7: 2}", "error: a map has the same key twice"},
    };
    ASK_ALL(table);
}

static void has_asks_without_reading(void **state)
{
    (void)state;
    static const struct question table[] = {
        {"has(value.used)", "true"},
        {"has(value.none)", "true"},
        {"has(value.x)", "false"},
        {"has(value.deep.x.y)", "true"},
        {"has(value.deep.x.z)", "false"},
        {"has((value.deep).x)", "true"},
        {"has(value.none.x)", "false"},
        {"has(null.x)",
         "refused: column 5: only a map has fields, and this is of kind "
         "null_type: it has no 'x'"},
        {"!has(value.x)", "true"},
        {"has({'a': 1}.a)", "true"},
        {"has({'a': 1}.b)", "false"},
        {"has(value.used.x)", "error: no such overload: has() of a value of "
                              "kind int, which is no map"},
        {"has(value.x) && value.x > 1", "false"},
        {"has(value.used) ? value.used : 0", "95"},
        {"has(host)", "true"},
    };
    ASK_ALL(table);
}

static void an_absent_ingredient_is_an_error_that_has_can_ask_for(void **state)
{
    (void)state;
    static const struct question table[] = {
        {"prev", "error: there is no 'prev' at this event"},
        {"prev.used", "error: there is no 'prev' at this event"},
        {"prev == null", "error: there is no 'prev' at this event"},
        {"has(prev)", "false"},
        {"has(prev.used)", "false"},
        {"has(prev.used.x)", "error: there is no 'prev' at this event"},
        {"has(prev) && prev.used > 1", "false"},
        {"has(prev) ? prev.used : 0", "0"},
        {"prev.used > 1 || true", "true"},
        {"[prev]", "error: there is no 'prev' at this event"},
        {"size(prev)", "error: there is no 'prev' at this event"},
    };
    ASK_ALL(table);
}

/* ---- macros ------------------------------------------------------------- */

static void all_is_a_chain_of_ands(void **state)
{
    (void)state;
    static const struct question table[] = {
        {"[].all(x, false)", "true"},
        {"{}.all(x, false)", "true"},
        {"[1, 2].all(x, x > 0)", "true"},
        {"[1, 2].all(x, x > 1)", "false"},
        {"value.tags.all(t, t != 'b')", "false"},
        {"value.all(k, k != 'zz')", "true"},
        {"[0, 1].all(x, 1 / x == 5)", "false"},
        {"[1, 0].all(x, 1 / x == 5)", "false"},
        {"[1, 0].all(x, 1 / x == 1)", "error: divide by zero"},
        {"[0, 1].all(x, 1 / x == 1)", "error: divide by zero"},
        {"value.tags.all(t, t)",
         "error: no such overload: a condition gave a value of kind string"},
        {"value.used.all(t, true)",
         "error: no such overload: a macro over a value of kind int, which "
         "is no list and no map"},
    };
    ASK_ALL(table);
}

static void exists_is_a_chain_of_ors(void **state)
{
    (void)state;
    static const struct question table[] = {
        {"[].exists(x, true)", "false"},
        {"[1, 2].exists(x, x > 1)", "true"},
        {"[1, 2].exists(x, x > 2)", "false"},
        {"value.exists(k, k == 'used')", "true"},
        {"[0, 1].exists(x, 1 / x == 1)", "true"},
        {"[1, 0].exists(x, 1 / x == 1)", "true"},
        {"[1, 0].exists(x, 1 / x == 5)", "error: divide by zero"},
        {"[2, 0].exists(x, x)",
         "error: no such overload: a condition gave a value of kind int"},
        {"value.tags.exists(t, t)",
         "error: no such overload: a condition gave a value of kind string"},
    };
    ASK_ALL(table);
}

static void exists_one_counts_and_forgives_no_error(void **state)
{
    (void)state;
    static const struct question table[] = {
        {"[].exists_one(x, true)", "false"},
        {"[1, 2, 3].exists_one(x, x > 2)", "true"},
        {"[1, 2, 3].exists_one(x, x > 1)", "false"},
        {"[1, 2, 3].exists_one(x, x > 5)", "false"},
        {"[1, 1].exists_one(x, x == 1)", "false"},
        {"[1, 0].exists_one(x, 1 / x == 1)", "error: divide by zero"},
        {"value.exists_one(k, k == 'used')", "true"},
        {"value.tags.exists_one(t, 1)",
         "refused: column 26: the condition of a macro is a bool (true or "
         "false), and this is of kind int"},
    };
    ASK_ALL(table);
}

static void filter_and_map_make_lists(void **state)
{
    (void)state;
    static const struct question table[] = {
        {"[].filter(x, true)", "[]"},
        {"[].map(x, x)", "[]"},
        {"[1, 2, 3].filter(x, x % 2 == 1)", "[1,3]"},
        {"[1, 2, 3].filter(x, false)", "[]"},
        {"value.tags.map(t, t + t)", "[\"aa\",\"bb\",\"cc\"]"},
        {"{'a': 1, 'b': 2}.map(k, k)", "[\"a\",\"b\"]"},
        {"{'a': 1, 'b': 2}.filter(k, k != 'a')", "[\"b\"]"},
        {"[1, 2, 3].map(x, x > 1, x * 10)", "[20,30]"},
        {"[1, 2, 3].map(x, false, 1 / 0)", "[]"},
        {"[1, 2, 3].map(x, x == 3, x)", "[3]"},
        {"[1, 2, 3].map(x, x == 1, x)", "[1]"},
        {"[1, 0].map(x, 1 / x)", "error: divide by zero"},
        {"[1, 0].filter(x, 1 / x == 1)", "error: divide by zero"},
        {"[1, 0].map(x, 1 / x == 1, x)", "error: divide by zero"},
        {"[1, 0].map(x, x == 0, 1 / x)", "error: divide by zero"},
        {"value.tags.map(t, t, 1)",
         "error: no such overload: map() of a value of kind string"},
        {"value.tags.map(t, 1).size()", "3"},
    };
    ASK_ALL(table);
}

static void macros_nest(void **state)
{
    (void)state;
    static const struct question table[] = {
        {"[[1, 2], [3]].map(x, x.map(y, y + 1))", "[[2,3],[4]]"},
        {"[1, 2].map(x, [10, 20].map(y, x + y))", "[[11,21],[12,22]]"},
        {"[1, 2].all(x, [2, 3].exists(y, y > x))", "true"},
        {"[1, 2, 3].filter(x, [2, 3].exists(y, y == x))", "[2,3]"},
        {"[1, 2].map(x, [1, 2, 3].filter(y, y > x).map(z, z * x))",
         "[[2,3],[6]]"},
        /* One ends early within another that goes on. */
        {"[1, 2, 3].map(x, [1, 2, 3].exists(y, y == x))", "[true,true,true]"},
        {"[0, 1].map(x, [1].exists(y, 1 / x == 1)).size()",
         "error: divide by zero"},
        {"[0, 1].map(x, [].map(y, 1 / x)).size()", "2"},
        {"[1].map(a, [2].map(b, [3].map(c, [a, b, c])))", "[[[[1,2,3]]]]"},
        {"value.tags.exists(t, t == 'c') && [1].all(t, t == 1)", "true"},
    };
    ASK_ALL(table);
}

/* ---- the world ---------------------------------------------------------- */

static void what_is_asked_of_the_world_is_asked_when_it_is_wanted(void **state)
{
    (void)state;
    static const struct question table[] = {
        {"later", "42"},
        {"later + later", "84"},
        {"ready || later", "true"},
        {"never", "waits"},
        {"never == 1", "waits"},
        {"has(never)", "waits"},
        {"has(later)", "true"},
        {"ready || never", "true"},
        {"!ready && never", "false"},
        {"never || ready", "waits"},
        {"ready ? 1 : never", "1"},
        {"[1, 2].all(x, never == x)", "waits"},
        {"[].all(x, never == x)", "true"},
    };
    ASK_ALL(table);
}

struct counted {
    int asked;
    bool is_known;
};

static enum expr_found find_counted(void *context, size_t slot,
                                    struct arena *arena, struct value *out)
{
    struct counted *counted = context;
    (void)slot;
    counted->asked++;
    *out = value_string(slice_of(arena_dup(arena, "abc", 3), 3));
    return counted->is_known ? EXPR_FOUND : EXPR_PENDING;
}

static void
an_ingredient_is_asked_for_once_and_again_where_it_was_pending(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct counted counted = {0};
    struct expr_world world = {.context = &counted, .ingredient = find_counted};
    struct expr *expr;
    assert_int_equal(expr_compile(&arena, SLICE("prev + prev + prev"),
                                  &ask_names, &expr, NULL),
                     ERR_OK);
    struct value slots[ASK_SLOTS], out;
    ask_fill(&arena, slots);
    slots[ASK_PREV].kind = VALUE_LAZY;
    assert_int_equal(expr_eval(expr, slots, &world, NULL, &arena, &out),
                     EXPR_WAITS);
    assert_int_equal(counted.asked, 1);
    assert_int_equal(slots[ASK_PREV].kind, VALUE_LAZY);
    counted.is_known = true;
    assert_int_equal(expr_eval(expr, slots, &world, NULL, &arena, &out),
                     EXPR_DONE);
    assert_int_equal(counted.asked, 2);
    assert_int_equal(slots[ASK_PREV].kind, VALUE_STRING);
    assert_true(slice_eq(out.text, SLICE("abcabcabc")));
    arena_deinit(&arena);
}

static void without_a_world_what_is_lazy_is_absent(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct expr *expr;
    assert_int_equal(
        expr_compile(&arena, SLICE("has(later)"), &ask_names, &expr, NULL),
        ERR_OK);
    struct value slots[ASK_SLOTS], out;
    ask_fill(&arena, slots);
    assert_int_equal(expr_eval(expr, slots, NULL, NULL, &arena, &out),
                     EXPR_DONE);
    assert_int_equal(out.kind, VALUE_BOOL);
    assert_false(out.boolean);
    arena_deinit(&arena);
}

static void
without_a_world_our_functions_say_that_they_can_not_be_had(void **state)
{
    (void)state;
    assert_string_equal(ask("get('/a')"), "error: get() can't be had here");
    assert_string_equal(ask("exists('/a')"),
                        "error: exists() can't be had here");
}

/* ---- sharing ------------------------------------------------------------ */

struct shared {
    const struct expr *expr;
    int right;
};

static void *evaluate_often(void *context)
{
    struct shared *shared = context;
    struct arena arena;
    arena_init(&arena, 0);
    for (int i = 0; i < 2000; i++) {
        struct value slots[ASK_SLOTS], out;
        ask_fill(&arena, slots);
        slots[ASK_COUNT] = value_int(i);
        enum expr_end end =
            expr_eval(shared->expr, slots, NULL, NULL, &arena, &out);
        shared->right += end == EXPR_DONE && out.kind == VALUE_INT &&
                         out.integer == i + 3 + 6;
        arena_reset(&arena);
    }
    arena_deinit(&arena);
    return NULL;
}

static void many_threads_may_evaluate_one_expression(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct expr *expr;
    assert_int_equal(
        expr_compile(&arena,
                     SLICE("count + value.tags.map(t, t + host).size() + "
                           "(host.matches('^web-[0-9]+$') ? 6 : 0)"),
                     &ask_names, &expr, NULL),
        ERR_OK);
    struct shared shared[2] = {{expr, 0}, {expr, 0}};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, evaluate_often, &shared[i]), 0);
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(shared[i].right, 2000);
    }
    arena_deinit(&arena);
}

/* More values on the stack than it has of its own. */
static void a_high_stack_is_the_arenas(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct slice text = ask_repeat(&arena, "[", "count,", 3000, "][2999]");
    assert_string_equal(ask_size(text.at, text.size), "7");
    arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            and_passes_over_an_error_where_the_other_side_is_false),
        cmocka_unit_test(or_passes_over_an_error_where_the_other_side_is_true),
        cmocka_unit_test(a_choice_evaluates_one_branch),
        cmocka_unit_test(other_operators_pass_the_first_error_on),
        cmocka_unit_test(fields_are_of_maps),
        cmocka_unit_test(has_asks_without_reading),
        cmocka_unit_test(an_absent_ingredient_is_an_error_that_has_can_ask_for),
        cmocka_unit_test(all_is_a_chain_of_ands),
        cmocka_unit_test(exists_is_a_chain_of_ors),
        cmocka_unit_test(exists_one_counts_and_forgives_no_error),
        cmocka_unit_test(filter_and_map_make_lists),
        cmocka_unit_test(macros_nest),
        cmocka_unit_test(what_is_asked_of_the_world_is_asked_when_it_is_wanted),
        cmocka_unit_test(
            an_ingredient_is_asked_for_once_and_again_where_it_was_pending),
        cmocka_unit_test(without_a_world_what_is_lazy_is_absent),
        cmocka_unit_test(
            without_a_world_our_functions_say_that_they_can_not_be_had),
        cmocka_unit_test(many_threads_may_evaluate_one_expression),
        cmocka_unit_test(a_high_stack_is_the_arenas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
