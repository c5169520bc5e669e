/* What is known before anything is evaluated: names, kinds, calls, constants.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "expr/code_int.h"
#include "expr_ask.h"

/* ---- names -------------------------------------------------------------- */

static void an_unknown_name_gets_the_nearest_one(void **state)
{
    (void)state;
    static const struct question table[] = {
        {"hots", "refused: column 1: unknown name 'hots': did you mean "
                 "'host'?"},
        {"Value.used", "refused: column 1: unknown name 'Value': did you "
                       "mean 'value'?"},
        {"1 + cuont", "refused: column 5: unknown name 'cuont': did you mean "
                      "'count'?"},
        {"xyz", "refused: column 1: unknown name 'xyz': expected one of "
                "value, host, count, ready, prev, later, never (a text is "
                "written in quotes)"},
        {"x", "refused: column 1: unknown name 'x': expected one of value, "
              "host, count, ready, prev, later, never (a text is written in "
              "quotes)"},
    };
    ASK_ALL(table);
}

static const char *note_of(const char *text, const struct expr_names *names)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct expr *expr;
    assert_int_equal(expr_compile(&arena, slice_str(text), names, &expr, NULL),
                     ERR_INVALID);
    arena_deinit(&arena);
    return err_note();
}

static void a_hint_stands_for_the_list_of_names(void **state)
{
    (void)state;
    struct expr_name host = {SLICE("host"), VALUE_STRING};
    struct expr_names names = {&host, 1, "the captures of the pattern"};
    assert_string_equal(note_of("foo", &names),
                        "column 1: unknown name 'foo': expected one of the "
                        "captures of the pattern (a text is written in "
                        "quotes)");
    struct expr_names none = {NULL, 0, NULL};
    assert_string_equal(note_of("foo", &none),
                        "column 1: unknown name 'foo' (a text is written in "
                        "quotes)");
    assert_string_equal(note_of("foo", NULL),
                        "column 1: unknown name 'foo' (a text is written in "
                        "quotes)");
}

static void a_list_of_many_names_is_cut(void **state)
{
    (void)state;
    struct expr_name table[200];
    char texts[200][24];
    for (int i = 0; i < 200; i++) {
        snprintf(texts[i], sizeof texts[i], "ingredient%d", i);
        table[i] = (struct expr_name){slice_str(texts[i]), VALUE_LAZY};
    }
    struct expr_names names = {table, 200, NULL};
    const char *note = note_of("zzz", &names);
    assert_non_null(strstr(note, "ingredient9, "));
    assert_non_null(strstr(note, ", ... (a text"));
}

/* Names may be longer than those that suggestions are looked for. */
static void long_names_are_names_too(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct slice name = ask_repeat(&arena, "", "n", 1000, "");
    struct slice other = ask_repeat(&arena, "", "m", 1000, "");
    struct expr_name known = {name, VALUE_INT};
    struct expr_names names = {&known, 1, NULL};
    struct expr *expr;
    assert_int_equal(expr_compile(&arena, name, &names, &expr, NULL), ERR_OK);
    assert_int_equal(expr_gives(expr), VALUE_INT);
    assert_int_equal(expr_compile(&arena, other, &names, &expr, NULL),
                     ERR_INVALID);
    arena_deinit(&arena);
}

static void an_ingredient_may_be_called_like_a_kind(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct expr_name name = {SLICE("type"), VALUE_STRING};
    struct expr_names names = {&name, 1, NULL};
    struct expr *expr;
    assert_int_equal(
        expr_compile(&arena, SLICE("type + 'a'"), &names, &expr, NULL), ERR_OK);
    assert_true(expr_reads(expr, 0));
    arena_deinit(&arena);
    assert_string_equal(ask("type(int) == type"), "true");
}

/* ---- kinds -------------------------------------------------------------- */

static void operators_refuse_kinds_that_do_not_go_together(void **state)
{
    (void)state;
    static const struct question table[] = {
        {"1 + 1.0",
         "refused: column 5: no such overload: int + double (both sides need "
         "the same kind: convert with int(...), uint(...) or double(...))"},
        {"count - 1u",
         "refused: column 9: no such overload: int - uint (both sides need "
         "the same kind: convert with int(...), uint(...) or double(...))"},
        {"host + 1", "refused: column 8: no such overload: string + int "
                     "(convert with string(...))"},
        {"1.5 % 2.0", "refused: column 7: no such overload: double % double "
                      "(both sides need the same kind: convert with "
                      "int(...), uint(...) or double(...))"},
        {"true + true", "refused: column 8: no such overload: bool + bool "
                        "(these two kinds don't go together)"},
        {"host < 1", "refused: column 8: no such overload: string < int "
                     "(these two kinds don't go together)"},
        {"null < null",
         "refused: column 8: no such overload: null_type < null_type (these "
         "two kinds don't go together)"},
        {"[1] < [2]", "refused: column 7: no such overload: list < list "
                      "(these two kinds don't go together)"},
        {"'a' in host",
         "refused: column 8: no such overload: string in string (on the "
         "right of 'in' stands a list or a map; for a part of a text write "
         "text.contains(part))"},
        {"host[0]", "refused: column 6: no such overload: string [] int "
                    "(only lists and maps have items)"},
        {"[1]['a']", "refused: column 5: no such overload: list [] string "
                     "(only lists and maps have items)"},
        /* The other side isn't known, but no kind would do. */
        {"value + true", "refused: column 9: no such overload: dyn + bool "
                         "(convert with string(...))"},
        {"-host", "refused: column 2: no such overload: -string (an int, a "
                  "double or a duration can be negative)"},
        {"-1u", "refused: column 2: no such overload: -uint (an int, a "
                "double or a duration can be negative)"},
        {"host.used", "refused: column 1: only a map has fields, and this is "
                      "of kind string: it has no 'used'"},
    };
    ASK_ALL(table);
}

static void logic_refuses_what_is_no_bool(void **state)
{
    (void)state;
    static const struct question table[] = {
        {"ready && 1", "refused: column 10: each side of '&&' is a bool "
                       "(true or false), and this is of kind int"},
        {"host || ready", "refused: column 1: each side of '||' is a bool "
                          "(true or false), and this is of kind string"},
        {"!1", "refused: column 2: what '!' takes is a bool (true or false), "
               "and this is of kind int"},
        {"count ? 1 : 2", "refused: column 1: what stands before '?' is a "
                          "bool (true or false), and this is of kind int"},
        {"[1].all(x, 1)", "refused: column 12: the condition of a macro is a "
                          "bool (true or false), and this is of kind int"},
        {"[1].map(x, 1, 2)", "refused: column 12: the condition of map() is "
                             "a bool (true or false), and this is of kind "
                             "int"},
        {"host.all(x, true)", "refused: column 1: all() is asked of a list "
                              "or a map, and this is of kind string"},
        {"[1].filter(x, x > 0).size() && true",
         "refused: column 1: each side of '&&' is a bool (true or false), and "
         "this is of kind int"},
    };
    ASK_ALL(table);
}

static void what_is_not_known_is_left_to_the_evaluation(void **state)
{
    (void)state;
    static const struct question table[] = {
        {"value.used + 1", "96"},
        {"value.name + 1", "error: no such overload: string + int"},
        {"dyn(1) + dyn('a')", "error: no such overload: int + string"},
        {"value.name ? 1 : 2",
         "error: no such overload: ?: of a value of kind string"},
        {"!dyn(1)", "error: no such overload: !int"},
        {"-dyn('a')", "error: no such overload: -string"},
        {"dyn(1) ? 2 : 3", "error: no such overload: ?: of a value of kind "
                           "int"},
        {"!value.name", "error: no such overload: !string"},
        /* Numbers of any kind compare by value. */
        {"1 < 1.5", "true"},
        {"1u == 1", "true"},
        {"2.0 >= 2u", "true"},
        /* And everything may be asked whether it is equal. */
        {"1 == 'a'", "false"},
        {"host != null", "true"},
        {"[1] == {'a': 1}", "false"},
    };
    ASK_ALL(table);
}

struct kind_of {
    const char *text;
    enum value_kind kind;
};

static enum value_kind gives(const char *text)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct expr *expr;
    assert_int_equal(
        expr_compile(&arena, slice_str(text), &ask_names, &expr, NULL), ERR_OK);
    enum value_kind kind = expr_gives(expr);
    arena_deinit(&arena);
    return kind;
}

static void the_kind_of_the_result_is_known_where_it_can_be(void **state)
{
    (void)state;
    static const struct kind_of table[] = {
        {"1", VALUE_INT},
        {"host", VALUE_STRING},
        {"value", VALUE_LAZY},
        {"value.used", VALUE_LAZY},
        {"value.used > 1", VALUE_BOOL},
        {"value.used + 1", VALUE_INT},
        {"value.used + value.used", VALUE_LAZY},
        {"value.name + 'a'", VALUE_STRING},
        {"value in value", VALUE_BOOL},
        {"ready && value", VALUE_BOOL},
        {"!value", VALUE_BOOL},
        {"-value", VALUE_LAZY},
        {"-count", VALUE_INT},
        {"ready ? 1 : 2", VALUE_INT},
        {"ready ? 1 : 'a'", VALUE_LAZY},
        {"ready ? 1 : ready ? 2 : 3", VALUE_INT},
        {"ready ? 1 : ready ? 2 : 'a'", VALUE_LAZY},
        {"ready ? 'a' : ready ? 2 : 3", VALUE_LAZY},
        {"[value]", VALUE_LIST},
        {"{'a': value}", VALUE_MAP},
        {"[value][0]", VALUE_LAZY},
        {"value.tags.map(t, t)", VALUE_LIST},
        {"value.tags.filter(t, true)", VALUE_LIST},
        {"value.tags.all(t, true)", VALUE_BOOL},
        {"value.tags.exists_one(t, true)", VALUE_BOOL},
        {"has(value.x)", VALUE_BOOL},
        {"has(prev)", VALUE_BOOL},
        {"null", VALUE_NULL},
        {"b'a' + b'b'", VALUE_BYTES},
        {"int", VALUE_TYPE},
        {"value.size()", VALUE_INT},
        {"dyn(1)", VALUE_LAZY}, /* though it is constant */
        {"dyn(count)", VALUE_LAZY},
        /* A duration or a timestamp, that isn't known. */
        {"value - duration('1s')", VALUE_LAZY},
        {"value * 2", VALUE_INT},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (gives(table[i].text) != table[i].kind)
            print_error("%s gives kind %d\n", table[i].text,
                        (int)gives(table[i].text));
        assert_int_equal(gives(table[i].text), table[i].kind);
    }
}

/* ---- calls -------------------------------------------------------------- */

static void calls_are_held_against_the_functions(void **state)
{
    (void)state;
    static const struct question table[] = {
        {"nothing(1)", "refused: column 1: there is no function nothing()"},
        {"host.nothing()",
         "refused: column 6: there is no function .nothing()"},
        {"startsWith(host, 'a')",
         "refused: column 1: startsWith() is written behind a dot: "
         "text.startsWith(...)"},
        {"host.dyn()", "refused: column 6: dyn() isn't written behind a dot: "
                       "dyn(...)"},
        {"size()", "refused: column 1: size() takes 1 argument, and here are "
                   "0"},
        {"size('a', 'b')", "refused: column 1: size() takes 1 argument, and "
                           "here are 2"},
        {"host.size(1)", "refused: column 6: size() takes 0 arguments, and "
                         "here is 1"},
        {"host.startsWith()", "refused: column 6: startsWith() takes 1 "
                              "argument, and here are 0"},
        {"host.startsWith(1)", "refused: column 17: no such overload: "
                               ".startsWith() takes string here, and this is "
                               "of kind int"},
        {"count.startsWith('a')", "refused: column 1: no such overload: "
                                  ".startsWith() takes string here, and this "
                                  "is of kind int"},
        {"dyn(1, 2, 3, 4, 5, 6, 7)", "refused: column 1: dyn() takes 1 "
                                     "argument, and here are 7"},
        {"has()", "refused: column 5: expected a value here, found ')'"},
        {"has(1)", "refused: column 5: has() takes a field, as in "
                   "has(value.used), or the name of an ingredient (for a key "
                   "in brackets write 'name' in map)"},
        {"has(value['a'])", "refused: column 5: has() takes a field, as in "
                            "has(value.used), or the name of an ingredient "
                            "(for a key in brackets write 'name' in map)"},
        {"has(ready ? value.a : value.b)",
         "refused: column 5: has() takes a field, as in has(value.used), or "
         "the name of an ingredient (for a key in brackets write 'name' in "
         "map)"},
        {"has(value.a, value.b)",
         "refused: column 12: has() takes one argument"},
        {"has(value.a + value.b)",
         "refused: column 5: has() takes a field, as in has(value.used), or "
         "the name of an ingredient (for a key in brackets write 'name' in "
         "map)"},
    };
    ASK_ALL(table);
}

static unsigned uses(const char *text)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct expr *expr;
    assert_int_equal(
        expr_compile(&arena, slice_str(text), &ask_names, &expr, NULL), ERR_OK);
    unsigned found = expr_uses(expr);
    arena_deinit(&arena);
    return found;
}

static void what_an_expression_uses_is_known(void **state)
{
    (void)state;
    assert_int_equal(uses("value.used > 1"), 0);
    assert_int_equal(uses("host.startsWith('a')"), 0);
    assert_int_equal(uses("exists('/a')"), EXPR_USES_STORE);
    assert_int_equal(uses("exists('/' + host)"), EXPR_USES_STORE);
    assert_int_equal(uses("time.hour(8, 22, 'UTC')"), EXPR_USES_TIME);
    assert_int_equal(uses("false && exists('/a') && time.hour(1, 2, 'UTC')"),
                     EXPR_USES_STORE | EXPR_USES_TIME);
    /* The macro of that name is none of ours. */
    assert_int_equal(uses("[1].exists(x, x == 1)"), 0);
}

static void what_an_expression_reads_is_known(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct expr *expr;
    assert_int_equal(expr_compile(&arena,
                                  SLICE("[1].all(host, host == count) && "
                                        "has(prev) && has(value.x)"),
                                  &ask_names, &expr, NULL),
                     ERR_OK);
    assert_false(expr_reads(expr, ASK_HOST)); /* a macro's variable */
    assert_true(expr_reads(expr, ASK_COUNT));
    assert_true(expr_reads(expr, ASK_PREV));
    assert_true(expr_reads(expr, ASK_VALUE));
    assert_false(expr_reads(expr, ASK_READY));
    assert_false(expr_reads(expr, 1000));
    arena_deinit(&arena);
}

/* ---- constants ---------------------------------------------------------- */

/* How many operations are left of it. */
static uint32_t count_ops(const char *text)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct expr *expr;
    assert_int_equal(
        expr_compile(&arena, slice_str(text), &ask_names, &expr, NULL), ERR_OK);
    uint32_t count = expr->count;
    arena_deinit(&arena);
    return count;
}

static void constant_parts_are_computed_once(void **state)
{
    (void)state;
    assert_int_equal(count_ops("1 + 2 * 3 - -4"), 1);
    assert_int_equal(count_ops("'a' + 'b' == 'ab'"), 1);
    assert_int_equal(count_ops("!true"), 1);
    assert_int_equal(count_ops("[1, 2, [3, 'a']]"), 1);
    assert_int_equal(count_ops("{'a': [1], 'b': {}}"), 1);
    assert_int_equal(count_ops("size('abc') + 1"), 1);
    assert_int_equal(count_ops("'abc'.startsWith('a')"), 1);
    assert_int_equal(count_ops("[1, 2][1]"), 1);
    assert_int_equal(count_ops("host in ['a', 'b' + 'c']"), 3);
    assert_int_equal(count_ops("count + (1 + 2)"), 3);
    /* From left to right: (count + 1) + 2. */
    assert_int_equal(count_ops("count + 1 + 2"), 5);
}

static void what_would_be_an_error_is_left_to_the_evaluation(void **state)
{
    (void)state;
    assert_int_equal(count_ops("1 / 0"), 3);
    static const struct question table[] = {
        {"1 / 0", "error: divide by zero"},
        {"1 / 0 == 1 || true", "true"},
        {"9223372036854775807 + 1", "error: int overflow"},
        {"{'a': 1, 'a': 2}", "error: a map has the same key twice"},
        {"[1][2]", "error: index out of range: 2, of 1 items"},
    };
    ASK_ALL(table);
}

/* Only so much is spent on it: the rest is computed when it is evaluated,
 * where there is a budget as well. */
static void constants_do_not_make_compiling_long(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct slice text = ask_repeat(&arena, "'", "x", 30000, "'");
    struct slice more = ask_repeat(&arena, "", " + 'y'", 4000, "");
    struct buf whole = {0};
    buf_append_slice(&whole, text);
    buf_append_slice(&whole, more);
    size_t before = arena.used_bytes;
    struct expr *expr;
    assert_int_equal(
        expr_compile(&arena, buf_slice(&whole), &ask_names, &expr, NULL),
        ERR_OK);
    assert_true(arena.used_bytes - before < 2 << 20);
    struct value out;
    assert_int_equal(expr_eval(expr, NULL, NULL, NULL, &arena, &out),
                     EXPR_TOO_FAR);
    buf_deinit(&whole);
    arena_deinit(&arena);
}

/* ---- patterns ----------------------------------------------------------- */

/* One that is known can be held against PCRE2 before anything is evaluated. */
static void a_pattern_that_is_none_is_refused(void **state)
{
    (void)state;
    static const struct question table[] = {
        {"host.matches('(')", "refused: column 14: matches: bad pattern, at "
                              "byte 1: missing closing parenthesis"},
        {"count == 7 && host.matches('[z-a]')",
         "refused: column 28: matches: bad pattern, at byte 3: range out of "
         "order in character class"},
        {"matches(host, '*')",
         "refused: column 15: matches: bad pattern, at byte 0: quantifier does "
         "not follow a repeatable item"},
        {"host.matches('a' + '(')",
         "refused: column 14: matches: bad pattern, at byte 2: missing closing "
         "parenthesis"},
        {"true || host.matches('a)')",
         "refused: column 22: matches: bad pattern, at byte 1: unmatched "
         "closing parenthesis"},
        {"host.matches(r'\\C')",
         "refused: column 14: matches: bad pattern, at byte 2: using \\C is "
         "disabled by the application"},
        /* What isn't known yet is left to the evaluation. */
        {"host.matches('(' + host)", "error: matches: bad pattern, at byte 7: "
                                     "missing closing parenthesis"},
        {"host.matches(ready ? '(' : 'w')",
         "error: matches: bad pattern, at byte 1: missing closing parenthesis"},
        {"['('].all(p, host.matches(p))",
         "error: matches: bad pattern, at byte 1: missing closing parenthesis"},
        {"host.matches('^web-[0-9]+$')", "true"},
        {"host.matches('')", "true"},
    };
    ASK_ALL(table);
}

/* A template has the place in the text of its hole. */
static void a_pattern_in_a_template_is_looked_at_too(void **state)
{
    (void)state;
    static const struct question table[] = {
        {"{{host.matches('w')}}", "true"},
        {"is {{host.matches('(')}}",
         "refused: column 19: matches: bad pattern, at byte 1: missing closing "
         "parenthesis"},
    };
    ASK_ALL_TEMPLATES(table);
}

/* Each look costs some of the budget for constants; without any left, what is
 * wrong is said by the evaluation, as ever. */
static void looking_at_patterns_has_an_end(void **state)
{
    (void)state;
    struct arena arena;
    struct expr *expr;
    arena_init(&arena, 0);
    struct buf text = {0};
    buf_append_str(&text, "[host.matches('a{1,900}b{1,900}c{1,900}')");
    for (int i = 1; i < 1500; i++)
        buf_append_str(&text, ",host.matches('a{1,900}b{1,900}c{1,900}')");
    buf_append_str(&text, ",host.matches('(')]");
    assert_int_equal(
        expr_compile(&arena, buf_slice(&text), &ask_names, &expr, NULL),
        ERR_OK);
    buf_deinit(&text);
    arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unknown_name_gets_the_nearest_one),
        cmocka_unit_test(a_hint_stands_for_the_list_of_names),
        cmocka_unit_test(a_list_of_many_names_is_cut),
        cmocka_unit_test(long_names_are_names_too),
        cmocka_unit_test(an_ingredient_may_be_called_like_a_kind),
        cmocka_unit_test(operators_refuse_kinds_that_do_not_go_together),
        cmocka_unit_test(logic_refuses_what_is_no_bool),
        cmocka_unit_test(what_is_not_known_is_left_to_the_evaluation),
        cmocka_unit_test(the_kind_of_the_result_is_known_where_it_can_be),
        cmocka_unit_test(calls_are_held_against_the_functions),
        cmocka_unit_test(what_an_expression_uses_is_known),
        cmocka_unit_test(what_an_expression_reads_is_known),
        cmocka_unit_test(constant_parts_are_computed_once),
        cmocka_unit_test(what_would_be_an_error_is_left_to_the_evaluation),
        cmocka_unit_test(constants_do_not_make_compiling_long),
        cmocka_unit_test(a_pattern_that_is_none_is_refused),
        cmocka_unit_test(a_pattern_in_a_template_is_looked_at_too),
        cmocka_unit_test(looking_at_patterns_has_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
