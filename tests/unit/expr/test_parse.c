/* The grammar: what binds tighter, what nests, what is refused and where. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "expr_ask.h"

/* ---- what is taken ------------------------------------------------------ */

static void products_bind_tighter_than_sums_than_relations(void **state)
{
    (void)state;
    static const struct question table[] = {
        {"1 + 2 * 3", "7"},
        {"1 * 2 + 3", "5"},
        {"(1 + 2) * 3", "9"},
        {"7 - 2 - 1", "4"},
        {"7 - (2 - 1)", "6"},
        {"100 / 10 / 2", "5"},
        {"17 % 10 * 2", "14"},
        {"2 * 17 % 10", "4"},
        {"1 + 2 == 3", "true"},
        {"1 < 2 == true", "true"},
        {"true == 1 < 2",
         "refused: column 13: no such overload: bool < int (these two kinds "
         "don't go together)"},
        {"-2 * -3", "6"},
        {"1 - -1", "2"},
        {"1--1", "2"},
        {"-count + 8", "1"},
        {"- - count", "7"},
        {"---1", "-1"},
        {"-(1)", "-1"},
    };
    ASK_ALL(table);
}

static void and_binds_tighter_than_or_than_choice(void **state)
{
    (void)state;
    static const struct question table[] = {
        {"true || false && false", "true"},
        {"(true || false) && false", "false"},
        {"false && true || true", "true"},
        {"1 == 1 && 2 == 2", "true"},
        {"!true || true", "true"},
        {"!(true || true)", "false"},
        {"!!ready", "true"},
        {"!!!ready", "false"},
        {"true ? 1 : 2", "1"},
        {"false ? 1 : 2", "2"},
        {"false || true ? 1 : 2", "1"},
        {"true ? false ? 1 : 2 : 3",
         "refused: column 14: expected ':' here, found '?'"},
        {"true ? (false ? 1 : 2) : 3", "2"},
        {"false ? 1 : true ? 2 : 3", "2"},
        {"false ? 1 : false ? 2 : 3", "3"},
        {"false ? 1 : false ? 2 : false ? 3 : 4", "4"},
        {"(false ? 1 : 2) + 1", "3"},
        {"true ? 1 : 2 + 10", "1"},
        {"false ? 1 : 2 + 10", "12"},
        {"ready ? 'a' + 'b' : 'c'", "\"ab\""},
    };
    ASK_ALL(table);
}

static void in_is_a_relation(void **state)
{
    (void)state;
    static const struct question table[] = {
        {"1 in [1, 2]", "true"},
        {"1 + 1 in [1, 2]", "true"},
        {"3 in [1, 2] || true", "true"},
        {"'used' in value", "true"},
        {"'x' in value", "false"},
        {"1 in [1] == true", "true"},
        {"host in ['web-17', 'web-18']", "true"},
        {"in", "refused: column 1: 'in' is a reserved word and can't be a "
               "name"},
        {"1 in", "refused: column 5: expected a value here, found the end"},
        /* A name that begins with it is a name. */
        {"[1].all(inside, inside in [1])", "true"},
    };
    ASK_ALL(table);
}

static void members_follow_each_other(void **state)
{
    (void)state;
    static const struct question table[] = {
        {"value.deep.x.y", "1"},
        {"value['deep']['x']['y']", "1"},
        {"value.deep['x'].y", "1"},
        {"value . deep . x . y", "1"},
        {"value.tags[1]", "\"b\""},
        {"value.tags[value.deep.x.y]", "\"b\""},
        {"[[1, 2], [3]][0][1]", "2"},
        {"{'a': {'b': 2}}.a.b", "2"},
        {"-value.used", "-95"},
        {"!value.tags.exists(t, t == 'z')", "true"},
        {".value.used", "95"},
        {"(value).used", "95"},
        {"('a' + 'b').startsWith('a')", "true"},
        /* Reserved words are fields like others; four words are not. */
        {"{'for': 1}.for", "1"},
        {"{'if': 1}.if", "1"},
        {"value.true", "refused: column 7: 'true' is a word of the language: "
                       "write map['true']"},
        {"value.in", "refused: column 7: 'in' is a word of the language: "
                     "write map['in']"},
    };
    ASK_ALL(table);
}

static void lists_and_maps_may_end_with_a_comma(void **state)
{
    (void)state;
    static const struct question table[] = {
        {"[]", "[]"},
        {"[1]", "[1]"},
        {"[1,]", "[1]"},
        {"[1, 'a', null, [true]]", "[1,\"a\",null,[true]]"},
        {"{}", "{}"},
        {"{'a': 1}", "{\"a\":1}"},
        {"{'a': 1, 'b': [2],}", "{\"a\":1,\"b\":[2]}"},
        {"{'b': 1, 'a': 2}", "{\"b\":1,\"a\":2}"},
        {"{host: count}", "{\"web-17\":7}"},
        {"[count, host]", "[7,\"web-17\"]"},
        {"[,]", "refused: column 2: expected a value here, found ','"},
        {"[1,,2]", "refused: column 4: expected a value here, found ','"},
        {"{,}", "refused: column 2: expected a value here, found ','"},
    };
    ASK_ALL(table);
}

static void macros_are_known_by_their_form(void **state)
{
    (void)state;
    static const struct question table[] = {
        {"[1, 2].all(x, x > 0)", "true"},
        {"[1, 2].exists(x, x > 1)", "true"},
        {"[1, 2].exists_one(x, x > 1)", "true"},
        {"[1, 2].filter(x, x > 1)", "[2]"},
        {"[1, 2].map(x, x + 1)", "[2,3]"},
        {"[1, 2].map(x, x > 1, x * 10)", "[20]"},
        /* One argument and no dot: ours. */
        {"[1].exists(exists, exists == 1)", "true"},
        {"[1].map(map, [map].map(map, map + 1))", "[[2]]"},
        {"[1].all(1, true)",
         "refused: column 9: all() takes a name for the item, a comma and a "
         "condition: list.all(x, x > 0)"},
        {"[1].all(x)",
         "refused: column 10: all() takes a name for the item, a comma and a "
         "condition: list.all(x, x > 0)"},
        {"[1].all(x.y, true)",
         "refused: column 10: all() takes a name for the item, a comma and a "
         "condition: list.all(x, x > 0)"},
        {"[1].all(true, true)",
         "refused: column 9: all() takes a name for the item, a comma and a "
         "condition: list.all(x, x > 0)"},
        {"[1].map()",
         "refused: column 9: map() takes a name for the item, a comma and a "
         "value: list.map(x, x + 1)"},
        {"[1].filter(x, true, x)",
         "refused: column 19: expected ')' here, found ','"},
        {"[1].map(x, true, x, x)",
         "refused: column 19: expected ')' here, found ','"},
        {"all(x, true)",
         "refused: column 1: all() is asked of a list or a map: list.all(x, "
         "...)"},
    };
    ASK_ALL(table);
}

static void a_macros_name_ends_with_it(void **state)
{
    (void)state;
    static const struct question table[] = {
        {"[1].all(item, item == 1) && item == 1",
         "refused: column 29: unknown name 'item': expected one of value, "
         "host, count, ready, prev, later, never (a text is written in "
         "quotes)"},
        /* The innermost one counts; ingredients come after. */
        {"[1].map(x, [2].map(x, x))", "[[2]]"},
        {"[1].map(x, [2].map(y, [x, y]))", "[[[1,2]]]"},
        {"[1, 2].map(host, host)", "[1,2]"},
        {"[1].map(host, .host)", "[\"web-17\"]"},
        {"[[1], [2, 3]].map(x, x.map(y, x.size() + y))", "[[2],[4,5]]"},
        /* The range doesn't see the name. */
        {"[1].map(host, [host].map(host, host + 1))", "[[2]]"},
    };
    ASK_ALL(table);
}

static void names_may_have_dots_where_a_function_has(void **state)
{
    (void)state;
    static const struct question table[] = {
        {"type(timestamp('2020-01-01T00:00:00Z')) == "
         "google.protobuf.Timestamp",
         "true"},
        {"type(duration('1s')) == google.protobuf.Duration", "true"},
        {"time.noon()",
         "refused: column 1: unknown name 'time': expected one of value, "
         "host, count, ready, prev, later, never (a text is written in "
         "quotes)"},
        {"time.hour", "refused: column 10: expected '(' here, found the end"},
    };
    ASK_ALL(table);
}

/* ---- what is refused ---------------------------------------------------- */

static void faults_say_where_and_what_was_expected(void **state)
{
    (void)state;
    static const struct question table[] = {
        {"", "refused: column 1: expected a value here, found the end"},
        {"  ", "refused: column 3: expected a value here, found the end"},
        {"// nothing",
         "refused: column 11: expected a value here, found the end"},
        {"1 +", "refused: column 4: expected a value here, found the end"},
        {"(1]", "refused: column 3: expected ')' here, found ']'"},
        {"(1", "refused: column 3: expected ')' here, found the end"},
        {"[1", "refused: column 3: expected ']' here, found the end"},
        {"[1 2]", "refused: column 4: expected ']' here, found '2'"},
        {"{'a' 1}", "refused: column 6: expected ':' here, found '1'"},
        {"{'a': 1", "refused: column 8: expected '}' here, found the end"},
        {"value.", "refused: column 7: expected a name here, found the end"},
        {"value.1", "refused: column 6: expected an operator or the end here, "
                    "found '.1'"},
        {"value[1", "refused: column 8: expected ']' here, found the end"},
        {"value[]", "refused: column 7: expected a value here, found ']'"},
        {"size(", "refused: column 6: expected a value here, found the end"},
        {"1 2", "refused: column 3: expected an operator or the end here, "
                "found '2'"},
        {"1)", "refused: column 2: expected an operator or the end here, "
               "found ')'"},
        {"ready ? 1", "refused: column 10: expected ':' here, found the end"},
        {"ready ? : 2", "refused: column 9: expected a value here, found "
                        "':'"},
        {"* 2", "refused: column 1: expected a value here, found '*'"},
        {"!-1", "refused: column 2: expected a value (!-x and -!x mean "
                "nothing) here, found '-'"},
        {"1 ==\n  ==", "refused: line 2, column 3: expected a value here, "
                       "found '=='"},
        {"1 +\n\n\n", "refused: line 4, column 1: expected a value here, "
                      "found the end"},
        {"'\xc3\xa9\xe2\x82\xac' 1",
         "refused: column 6: expected an operator or the end here, found "
         "'1'"},
        {"1 a_name_that_is_too_long_to_be_shown",
         "refused: column 3: expected an operator or the end here, found "
         "'a_name_that_is_too_l...'"},
    };
    ASK_ALL(table);
}

static void words_of_other_languages_are_answered_with_ours(void **state)
{
    (void)state;
    static const struct question table[] = {
        {"ready and ready",
         "refused: column 7: expected an operator here, found 'and': write "
         "&&"},
        {"ready OR ready",
         "refused: column 7: expected an operator here, found 'OR': write "
         "||"},
        {"(host is 'a')",
         "refused: column 7: expected an operator here, found 'is': write "
         "=="},
        {"[host like 'a']",
         "refused: column 7: expected an operator here, found 'like': write "
         "matches(...)"},
        {"let", "refused: column 1: 'let' is a reserved word and can't be a "
                "name"},
        {"if(ready)", "refused: column 1: there is no function if()"},
    };
    ASK_ALL(table);
}

static void what_the_subset_leaves_out_is_named(void **state)
{
    (void)state;
    static const char message[] =
        "refused: column 1: message construction is not part of this "
        "language: there are no protobuf types (a map is written {'name': "
        "value})";
    static const char optional[] =
        "refused: column 7: optional syntax ('.?', '[?') is not part of this "
        "language: write has(a.b) ? a.b : other";
    static const struct question table[] = {
        {"Point{x: 1}", message},
        {"Point {}", message},
        {"a.b.Point{x: 1}", message},
        {"value.?used", optional},
        {"value[?1]", optional},
        {"[?value]", "refused: column 2: optional syntax ('.?', '[?') is not "
                     "part of this language: write has(a.b) ? a.b : other"},
        {"{?'a': 1}", "refused: column 2: optional syntax ('.?', '[?') is "
                      "not part of this language: write has(a.b) ? a.b : "
                      "other"},
    };
    ASK_ALL(table);
}

static void the_fault_is_told_apart_from_the_note(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct expr *expr;
    struct expr_fault fault = {0};
    enum err err =
        expr_compile(&arena, SLICE("1 +\n (2]"), &ask_names, &expr, &fault);
    assert_int_equal(err, ERR_INVALID);
    assert_null(expr);
    assert_int_equal(fault.line, 2);
    assert_int_equal(fault.column, 4);
    assert_string_equal(fault.text, "expected ')' here, found ']'");
    assert_string_equal(err_note(),
                        "line 2, column 4: expected ')' here, found ']'");
    arena_deinit(&arena);
}

/* A long name fills the fault: it is cut, and not in the middle of a
 * character. */
static void a_long_fault_is_cut_between_characters(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    for (size_t before = 0; before < 4; before++) {
        struct expr_name name = {.kind = VALUE_LAZY};
        char hint[400];
        memset(hint, 'x', before);
        for (size_t i = before; i + 3 < sizeof hint; i += 3)
            memcpy(hint + i, "\xe2\x82\xac", 4);
        struct expr_names names = {&name, 0, hint};
        struct expr *expr;
        struct expr_fault fault;
        assert_int_equal(
            expr_compile(&arena, SLICE("foo"), &names, &expr, &fault),
            ERR_INVALID);
        assert_true(strlen(fault.text) > 240);
        assert_true(slice_is_utf8(slice_str(fault.text)));
    }
    arena_deinit(&arena);
}

/* ---- limits ------------------------------------------------------------- */

static enum err compile_repeated(const char *before, const char *piece,
                                 size_t count, const char *after)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct expr *expr;
    struct slice text = ask_repeat(&arena, before, piece, count, after);
    enum err err = expr_compile(&arena, text, &ask_names, &expr, NULL);
    arena_deinit(&arena);
    return err;
}

/* `open` `count` times, 1, `close` as often. */
static enum err compile_nested(const char *open, const char *close,
                               size_t count)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct expr *expr;
    struct slice head = ask_repeat(&arena, "", open, count, "1");
    struct slice tail = ask_repeat(&arena, "", close, count, "");
    struct buf text = {0};
    buf_append_slice(&text, head);
    buf_append_slice(&text, tail);
    enum err err =
        expr_compile(&arena, buf_slice(&text), &ask_names, &expr, NULL);
    buf_deinit(&text);
    arena_deinit(&arena);
    return err;
}

static void nesting_has_a_limit(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"(", ")"},    {"[", "]"},          {"{'a':", "}"},    {"dyn(", ")"},
        {"[1][", "]"}, {"[1].map(x,", ")"}, {"true?1:(", ")"}, {"1+(", ")"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        /* The whole is a level, too. */
        const char *open = pairs[i][0], *close = pairs[i][1];
        assert_int_equal(compile_nested(open, close, EXPR_DEPTH_MAX - 1),
                         ERR_OK);
        assert_int_equal(compile_nested(open, close, EXPR_DEPTH_MAX),
                         ERR_TOO_LARGE);
        assert_int_equal(compile_nested(open, close, 5000), ERR_TOO_LARGE);
    }
}

static void chains_are_no_nesting(void **state)
{
    (void)state;
    assert_int_equal(compile_repeated("1", "+1", 4000, ""), ERR_OK);
    assert_int_equal(compile_repeated("count", "+1", 4000, ""), ERR_OK);
    assert_int_equal(compile_repeated("ready", "&&ready", 3000, ""), ERR_OK);
    assert_int_equal(compile_repeated("ready", "||ready", 3000, ""), ERR_OK);
    assert_int_equal(compile_repeated("value", ".a", 4000, ""), ERR_OK);
    assert_int_equal(compile_repeated("value", "[1]", 4000, ""), ERR_OK);
    assert_int_equal(compile_repeated("", "ready?1:", 2000, "2"), ERR_OK);
    assert_int_equal(compile_repeated("", "!", 4000, "ready"), ERR_OK);
    assert_int_equal(compile_repeated("", "-", 4000, "count"), ERR_OK);
    assert_int_equal(compile_repeated("[", "count,", 4000, "]"), ERR_OK);
}

static void the_number_of_parts_has_a_limit(void **state)
{
    (void)state;
    assert_int_equal(compile_repeated("[", "count,", 9999, "]"), ERR_OK);
    assert_int_equal(compile_repeated("[", "count,", 10000, "]"),
                     ERR_TOO_LARGE);
    assert_int_equal(compile_repeated("", "!", 50000, "ready"), ERR_TOO_LARGE);
    assert_string_equal(err_note(), "column 50006: this expression has more "
                                    "than 10000 parts");
}

static void the_text_has_a_limit(void **state)
{
    (void)state;
    assert_int_equal(compile_repeated("'", "x", EXPR_TEXT_BYTES_MAX - 2, "'"),
                     ERR_OK);
    assert_int_equal(compile_repeated("'", "x", EXPR_TEXT_BYTES_MAX - 1, "'"),
                     ERR_TOO_LARGE);
    assert_string_equal(err_note(), "column 1: this is 65537 bytes long, and "
                                    "65536 is most");
}

/* Every beginning of a correct text is refused or correct, and never read
 * beyond its end: each is a copy of the very size. */
static void every_beginning_of_a_text_ends_well(void **state)
{
    (void)state;
    static const char text[] =
        "value.tags.map(t, t != 'a', {'k': [b'\\x41', r'\\', -1.5e3, 0x1Fu]})"
        "[0].k == '''x\\u00e9''' || has(prev.a) ? \"\"\"q\"\"\" : .host";
    for (size_t size = 0; size < sizeof text; size++) {
        struct arena arena;
        arena_init(&arena, 0);
        char *copy = mem_dup(text, size);
        struct expr *expr;
        enum err err =
            expr_compile(&arena, slice_of(copy, size), &ask_names, &expr, NULL);
        /* Nothing of the text is needed any longer. */
        memset(copy, '!', size);
        mem_free(copy);
        assert_int_equal(err == ERR_OK, expr != NULL);
        if (size == sizeof text - 1)
            assert_int_equal(err, ERR_OK);
        arena_deinit(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_bind_tighter_than_sums_than_relations),
        cmocka_unit_test(and_binds_tighter_than_or_than_choice),
        cmocka_unit_test(in_is_a_relation),
        cmocka_unit_test(members_follow_each_other),
        cmocka_unit_test(lists_and_maps_may_end_with_a_comma),
        cmocka_unit_test(macros_are_known_by_their_form),
        cmocka_unit_test(a_macros_name_ends_with_it),
        cmocka_unit_test(names_may_have_dots_where_a_function_has),
        cmocka_unit_test(faults_say_where_and_what_was_expected),
        cmocka_unit_test(words_of_other_languages_are_answered_with_ours),
        cmocka_unit_test(what_the_subset_leaves_out_is_named),
        cmocka_unit_test(the_fault_is_told_apart_from_the_note),
        cmocka_unit_test(a_long_fault_is_cut_between_characters),
        cmocka_unit_test(nesting_has_a_limit),
        cmocka_unit_test(chains_are_no_nesting),
        cmocka_unit_test(the_number_of_parts_has_a_limit),
        cmocka_unit_test(the_text_has_a_limit),
        cmocka_unit_test(every_beginning_of_a_text_ends_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
