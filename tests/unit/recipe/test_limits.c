/* How much of everything there may be: the most is taken, one more is refused,
 * and said so. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "recipe_plan.h"
#include "recipe_support.h"

/* What is told of `before`, `count` times `piece` with %d for the number, and
 * `behind`; "taken" where nothing is wrong. */
static const char *told_of(const char *before, const char *piece, int count,
                           const char *behind)
{
    static char told[1024];
    struct buf text = {0};
    struct recipe *recipe;
    struct recipe_fault fault;
    const char *hole = strstr(piece, "%d");
    buf_append_str(&text, before);
    for (int i = 0; i < count; i++) {
        if (hole) {
            buf_append(&text, piece, (size_t)(hole - piece));
            buf_append_i64(&text, i);
            buf_append_str(&text, hole + 2);
        } else {
            buf_append_str(&text, piece);
        }
    }
    buf_append_str(&text, behind);
    enum err err =
        recipe_parse(buf_slice(&text), &recipe_zones, &recipe, &fault);
    snprintf(told, sizeof told, "%s: %s", fault.path, fault.text);
    if (!err) {
        plan_expect_fixed_point(recipe);
        snprintf(told, sizeof told, "taken");
    }
    buf_deinit(&text);
    recipe_free(recipe);
    return told;
}

/* The most of them, and one more. */
static void expect_most(const char *before, const char *piece, int most,
                        const char *behind, const char *told)
{
    assert_string_equal(told_of(before, piece, most, behind), "taken");
    assert_string_equal(told_of(before, piece, most + 1, behind), told);
}

#define HEAD "name: r\n"
#define IF "if: [{key: '/a/{x}'}]\n"
#define THEN "then: [{log: hi}]\n"

static void lists_have_an_end(void **state)
{
    (void)state;
    expect_most(HEAD THEN "if:\n", "- every: 1%ds\n", RECIPE_TRIGGERS_MAX, "",
                "if: 17 of them, and 16 is the most");
    expect_most(HEAD IF "then:\n", "- log: m%d\n", RECIPE_ACTIONS_MAX, "",
                "then: 33 of them, and 32 is the most");
    expect_most(HEAD IF THEN "on_failure:\n", "- log: m%d\n",
                RECIPE_ACTIONS_MAX, "",
                "on_failure: 33 of them, and 32 is the most");
    expect_most(HEAD IF THEN "where:\n", "- value > %d\n", 32, "",
                "where: 33 of them, and 32 is the most");
    expect_most(HEAD IF THEN "let:\n", "  l%d: x\n", 64, "",
                "let: 65 of them, and 64 is the most");
    expect_most(HEAD IF "then:\n- txn:\n    then: [{delete: /b}]\n"
                        "    compare:\n",
                "    - {key: /c%d, exists: true}\n", RECIPE_ACTIONS_MAX, "",
                "then[0].txn.compare: 33 of them, and 32 is the most");
    expect_most(HEAD IF "then:\n- txn:\n    compare: []\n    else:\n",
                "    - delete: /c%d\n", RECIPE_ACTIONS_MAX, "",
                "then[0].txn.else: 33 of them, and 32 is the most");
    expect_most(HEAD IF "then:\n- email: {server: 'smtp://m', from: a, "
                        "subject: s, text: t, to: [b",
                ", c%d", 255, "]}\n",
                "then[0].email.to: 257 of them, and 256 is the most");
    expect_most(HEAD IF "then:\n- exec: [a", ", c%d", 255, "]\n",
                "then[0].exec: 257 of them, and 256 is the most");
    expect_most(HEAD THEN "if: {key: /a, events: [put", ", update", 15, "]}\n",
                "if[0].events: 17 of them, and 16 is the most");
}

/* Two full lists have ids enough: each action of both may be asked for. */
static void both_lists_may_be_full(void **state)
{
    (void)state;
    struct buf text = {0};
    buf_append_str(&text, HEAD IF "then:\n");
    for (int i = 0; i < RECIPE_ACTIONS_MAX; i++)
        buf_printf(&text, "- {http: {url: 'http://e.org'}, id: a%d}\n", i);
    buf_append_str(&text, "on_failure:\n");
    for (int i = 0; i < RECIPE_ACTIONS_MAX; i++)
        buf_printf(&text, "- {log: '{{steps.a%d}}', id: b%d}\n", i, i);
    buf_append_char(&text, '\0');
    struct recipe *recipe = parse_recipe(text.at);
    assert_int_equal(recipe->then_count, RECIPE_ACTIONS_MAX);
    assert_int_equal(recipe->on_failure_count, RECIPE_ACTIONS_MAX);
    ASSERT_TEXT(recipe->on_failure[31].id, "b31");
    recipe_free(recipe);
    buf_deinit(&text);
}

static void names_have_an_end(void **state)
{
    (void)state;
    expect_most("name: a", "b", RECIPE_NAME_BYTES_MAX - 1, "\n" IF THEN,
                "name: \"abbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\" "
                "can't be a recipe's name: write small letters, digits, '.', "
                "'_' and '-', a letter or digit first, at most 128");
    expect_most(HEAD IF THEN "let: {l", "a", 63, ": x}\n",
                "let.laaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: "
                "\"laaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\" can't "
                "be a name: write letters, digits and '_', a letter first, at "
                "most 64");
    expect_most(HEAD IF "then: {log: a, id: ", "i", 64, "}\n",
                "then[0].id: \"iiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii"
                "\" can't be an id: write letters, digits and '_', a letter "
                "first, at most 64, so that steps.<id> is its answer");
    expect_most(HEAD THEN "if: {webhook: ", "p", 256, "}\n",
                "if[0].webhook: \"ppppppppppppppppppppppppppppppppppppppppppp"
                "ppppp\" can't be a webhook's path: write letters, digits and "
                "-._~/ with no slash at either end, github/push");
    expect_most(HEAD IF "then: {http: {url: 'http://e', method: ", "M", 32,
                "}}\n",
                "then[0].http.method: \"MMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMM\" is "
                "no method: write it in capitals, GET, POST, PUT, PATCH, "
                "DELETE");
    expect_most(HEAD THEN "if: {key: '/{", "c", 64, "}'}\n",
                "if[0].key: \"cccccccccccccccccccccccccccccccccccccccccccccccc"
                "cccccccccccccccc\" can't be a capture's name: write letters, "
                "digits and '_', a letter first, at most 64, as {host}");
}

static void patterns_have_an_end(void **state)
{
    (void)state;
    static const char told[] =
        "if[0].key: a pattern has at most 1024 bytes and 64 segments; end it "
        "earlier with {rest...}";
    expect_most(HEAD THEN "if: {key: '", "k", PATTERN_CAPTURES_MAX * 64, "'}\n",
                told);
    expect_most(HEAD THEN "if: {key: '", "/k", PATTERN_SEGMENTS_MAX - 1, "'}\n",
                told);
    expect_most(HEAD THEN "if: {key: '", "/{c%d}", PATTERN_CAPTURES_MAX, "'}\n",
                "if[0].key: more than 16 captures");
}

/* Captures of all triggers, and all lets: each has a slot of its own. */
static void the_table_of_names_may_be_full(void **state)
{
    (void)state;
    struct buf text = {0};
    buf_append_str(&text, HEAD "if:\n");
    for (int i = 0; i < RECIPE_TRIGGERS_MAX; i++) {
        buf_append_str(&text, "- key: '");
        for (int j = 0; j < PATTERN_CAPTURES_MAX; j++)
            buf_printf(&text, "/{c%d_%d}", i, j);
        buf_append_str(&text, "'\n");
    }
    buf_append_str(&text, "let:\n");
    for (int i = 0; i < 64; i++)
        buf_printf(&text, "  l%d: '{{c%d_%d}}'\n", i, i % 16, i / 4);
    buf_append_str(&text, "then: {log: '{{l63}}{{c15_15}}'}\n");
    buf_append_char(&text, '\0');
    struct recipe *recipe = parse_recipe(text.at);
    assert_int_equal(recipe->names.count, INGREDIENT_COUNT + 16 * 16 + 1 + 64);
    assert_int_equal(recipe->lets[63].slot, recipe->names.count - 1);
    plan_expect_fixed_point(recipe);
    recipe_free(recipe);
    buf_deinit(&text);
}

static void numbers_have_bounds(void **state)
{
    (void)state;
    static const struct {
        const char *before, *behind;
        int64_t least, most;
    } rows[] = {
        {"max: ", "", 1, RECIPE_ACTIVE_MAX},
        {"throttle: {per: 1s, count: ", "}", 1, 1000000},
        {"loop: {max_depth: ", "}", 1, 1000},
        {"loop: {breaker: {per: 1s, count: ", "}}", 1, 1000000},
        {"keep: {runs: ", "}", 1, 1000000},
        {"start: {revision: ", "}", 1, INT64_MAX},
        {"on_failure: {exec: [a], retry: {max: ", "}}", 0, 1000},
        {"tests: [{expect: [], given: [{tick: ", "}]}]", 0,
         RECIPE_TRIGGERS_MAX - 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bool is_last = rows[i].most == INT64_MAX;
        int64_t tries[] = {rows[i].least, rows[i].most, rows[i].least - 1,
                           is_last ? INT64_MIN : rows[i].most + 1};
        for (int j = 0; j < 4; j++) {
            char before[128], number[32];
            snprintf(before, sizeof before, HEAD IF THEN "%s", rows[i].before);
            snprintf(number, sizeof number, "%lld", (long long)tries[j]);
            const char *told = told_of(before, number, 1, rows[i].behind);
            if ((strcmp(told, "taken") == 0) != (j < 2))
                fail_msg("%s%s: %s", rows[i].before, number, told);
            if (j >= 2)
                assert_non_null(strstr(told, "write a whole number from "));
        }
    }
}

/* ---- the whole document ------------------------------------------------- */

/* In the form in which it is stored, so that this is as large. */
static enum err parse_padded(size_t size)
{
    struct recipe *recipe;
    struct recipe_fault fault;
    struct buf text = {0};
    static const char behind[] =
        "\",\"if\":[{\"key\":\"/a\"}],\"then\":[{\"log\":\"hi\"}]}";
    buf_append_str(&text, "{\"name\":\"r\",\"description\":\"");
    size_t room = size - text.size - strlen(behind);
    memset(buf_extend(&text, room), 'd', room);
    buf_append_str(&text, behind);
    assert_int_equal(text.size, size);
    enum err err = recipe_parse(buf_slice(&text), NULL, &recipe, &fault);
    assert_true(err || slice_eq(recipe->json, buf_slice(&text)));
    recipe_free(recipe);
    buf_deinit(&text);
    return err;
}

static void documents_have_a_size(void **state)
{
    (void)state;
    assert_int_equal(parse_padded(RECIPE_BYTES_MAX), ERR_OK);
    assert_int_equal(parse_padded(RECIPE_BYTES_MAX + 1), ERR_TOO_LARGE);
    assert_non_null(strstr(err_note(), "65536"));
}

/* What is taken can be read again: the stored form fits too. */
static void what_is_stored_has_a_size_too(void **state)
{
    (void)state;
    int sixth = RECIPE_BYTES_MAX / 6;
    assert_string_equal(
        told_of(HEAD IF THEN "description: \"", ">", sixth - 100, "\"\n"),
        "taken");
    /* A '>' is written as \u003e. */
    assert_string_equal(
        told_of(HEAD IF THEN "description: \"", ">", sixth, "\"\n"),
        ": it is stored as JSON, which has 65607 bytes, more than 65536");
    assert_string_equal(
        told_of(HEAD IF "then: {put: {key: /b, value: [1", ",1", 9989, "]}}\n"),
        "taken");
}

/* As deep as a document may be, in both languages; and one further. */
static void documents_have_a_depth(void **state)
{
    (void)state;
    static const struct {
        const char *before, *open, *close, *behind;
    } forms[] = {
        {HEAD IF "then: {put: {key: /b, value: ", "[", "]", "}}\n"},
        {HEAD IF "then: {put: {key: /b, value: ", "{a: ", "}", "}}\n"},
        {"{\"name\":\"r\",\"if\":{\"key\":\"/a\"},\"then\":{\"put\":{\"key\":"
         "\"/b\",\"value\":",
         "[", "]", "}}}"},
        {"{\"name\":\"r\",\"if\":{\"key\":\"/a\"},\"then\":{\"put\":{\"key\":"
         "\"/b\",\"value\":",
         "{\"a\":", "}", "}}}"},
    };
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        int taken = 0;
        for (int depth = 0; depth < 200; depth++) {
            struct recipe *recipe;
            struct recipe_fault fault;
            struct buf text = {0};
            buf_append_str(&text, forms[i].before);
            for (int j = 0; j < depth; j++)
                buf_append_str(&text, forms[i].open);
            buf_append_str(&text, "1");
            for (int j = 0; j < depth; j++)
                buf_append_str(&text, forms[i].close);
            buf_append_str(&text, forms[i].behind);
            enum err err =
                recipe_parse(buf_slice(&text), NULL, &recipe, &fault);
            assert_true(err == ERR_OK || err == ERR_INVALID ||
                        err == ERR_TOO_LARGE);
            if (err == ERR_OK) {
                assert_int_equal(taken, depth); /* once too deep, always */
                plan_expect_fixed_point(recipe);
                taken++;
            }
            recipe_free(recipe);
            buf_deinit(&text);
        }
        assert_in_range(taken, 27, 31);
    }
}

static void documents_have_so_many_values(void **state)
{
    (void)state;
    assert_string_equal(
        told_of(HEAD IF "then: {put: {key: /b, value: [1", ",1", 9900, "]}}\n"),
        "taken");
    assert_non_null(strstr(told_of(HEAD IF "then: {put: {key: /b, value: [1",
                                   ",1", 10000, "]}}\n"),
                           "10000 values"));
    /* As many labels as that leaves room for. */
    assert_string_equal(
        told_of(HEAD IF THEN "labels:\n", "  l%d: v\n", 4000, ""), "taken");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_have_an_end),
        cmocka_unit_test(both_lists_may_be_full),
        cmocka_unit_test(names_have_an_end),
        cmocka_unit_test(patterns_have_an_end),
        cmocka_unit_test(the_table_of_names_may_be_full),
        cmocka_unit_test(numbers_have_bounds),
        cmocka_unit_test(documents_have_a_size),
        cmocka_unit_test(what_is_stored_has_a_size_too),
        cmocka_unit_test(documents_have_a_depth),
        cmocka_unit_test(documents_have_so_many_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
