/* Tests that stand in documents: those of recipes/, and what such a test can
 * find. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "recipe/test.h"
#include "recipe_support.h"

/* ---- the examples -------------------------------------------------------- */

static void run_file(const char *name, size_t *passed)
{
    static char text[RECIPE_BYTES_MAX + 1];
    char path[300];
    snprintf(path, sizeof path, "recipes/%s", name);
    FILE *file = fopen(path, "rbe");
    assert_non_null(file);
    size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[size] = '\0';
    struct buf why = {0};
    struct recipe *recipe = parse_recipe(text);
    struct recipe_test_result result = recipe_test(recipe, &recipe_zones, &why);
    if (result.failed > 0)
        fail_msg("%s: %.*s", path, (int)why.size, why.at);
    if (result.passed == 0)
        fail_msg("%s has no tests", path);
    /* A file is found by its recipe's name. */
    assert_int_equal(strlen(name), recipe->name.size + strlen(".yaml"));
    assert_memory_equal(name, recipe->name.at, recipe->name.size);
    *passed += result.passed;
    recipe_free(recipe);
    buf_deinit(&why);
}

static void examples_pass_their_tests(void **state)
{
    (void)state;
    size_t count = 0;
    size_t passed = 0;
    DIR *folder = opendir("recipes");
    const struct dirent *entry;
    assert_non_null(folder);
    while ((entry = readdir(folder)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        run_file(entry->d_name, &passed);
        count++;
    }
    closedir(folder);
    assert_true(count >= 12);
    assert_true(passed >= 24);
}

/* ---- what a test says ---------------------------------------------------- */

/* A recipe with one test, of which all but these is the same. */
static void expect_result(const char *recipe_text, const char *given,
                          const char *expect, const char *failure)
{
    static char text[4000];
    int size = snprintf(text, sizeof text,
                        "name: r\n%s\ntests:\n  - given: %s\n"
                        "    expect: %s\n",
                        recipe_text, given, expect);
    assert_true(size > 0 && (size_t)size < sizeof text);
    struct buf why = {0};
    struct recipe *recipe = parse_recipe(text);
    struct recipe_test_result result = recipe_test(recipe, &recipe_zones, &why);
    buf_append_char(&why, '\0');
    assert_string_equal(why.at, failure);
    assert_int_equal(result.passed, failure[0] == '\0');
    assert_int_equal(result.failed, failure[0] != '\0');
    recipe_free(recipe);
    buf_deinit(&why);
}

#define COPIES                 \
    "if: [{key: '/in/{x}'}]\n" \
    "then: [{put: {key: '/out/{{x}}', value: '{{value}}', ttl: 1h}}]"

static void what_is_missing_or_too_much_is_said(void **state)
{
    (void)state;
    const char *given = "[{put: {key: /in/a, value: '{\"n\": 1, \"m\": 2}'}}]";
    expect_result(COPIES, given, "[{put: /out/a}]", "");
    /* A map need not be complete, and JSON is JSON. */
    expect_result(COPIES, given, "[{put: /out/a, value: {n: 1}}]", "");
    expect_result(COPIES, given, "[{put: /out/a, value: '{\"m\":2}', ttl: 1h}]",
                  "");
    expect_result(COPIES, given, "[{put: /out/a, value: {n: 2}}]",
                  "test 1: expected put /out/a with value {\"n\":2}, saw put "
                  "/out/a with value {\"n\":1,\"m\":2}, ttl 1h0m0s\n");
    expect_result(COPIES, given, "[{put: /out/a, ttl: 2h}]",
                  "test 1: expected put /out/a with ttl \"2h\", saw put /out/a "
                  "with value {\"n\":1,\"m\":2}, ttl 1h0m0s\n");
    expect_result(COPIES, given, "[]",
                  "test 1: expected nothing more, saw put /out/a with value "
                  "{\"n\":1,\"m\":2}, ttl 1h0m0s\n");
    expect_result(COPIES, given, "[{put: /out/a}, {delete: /out/b}]",
                  "test 1: expected delete /out/b, saw nothing\n");
    expect_result(COPIES, "[{put: {key: /else, value: 1}}]", "[{put: /out/a}]",
                  "test 1: expected put /out/a, saw nothing\n");
}

static void each_failure_is_counted_and_named(void **state)
{
    (void)state;
    struct buf why = {0};
    struct recipe *recipe =
        parse_recipe("name: r\n" COPIES "\ntests:\n"
                     "  - {given: [], expect: []}\n"
                     "  - {name: second, given: [], expect: [{put: /a}]}\n"
                     "  - {given: [], expect: [{delete: /b}]}\n");
    struct recipe_test_result result = recipe_test(recipe, &recipe_zones, &why);
    buf_append_char(&why, '\0');
    assert_int_equal(result.passed, 1);
    assert_int_equal(result.failed, 2);
    assert_string_equal(why.at,
                        "test 2 (second): expected put /a, saw nothing\n"
                        "test 3: expected delete /b, saw nothing\n");
    recipe_free(recipe);
    buf_deinit(&why);
}

static void a_recipe_without_tests_passes_none(void **state)
{
    (void)state;
    struct buf why = {0};
    struct recipe *recipe = parse_recipe("name: r\n" COPIES "\n");
    struct recipe_test_result result = recipe_test(recipe, &recipe_zones, &why);
    assert_int_equal(result.passed + result.failed, 0);
    assert_int_equal(why.size, 0);
    recipe_free(recipe);
}

/* ---- failures ------------------------------------------------------------ */

static void failures_are_to_be_expected(void **state)
{
    (void)state;
    const char *fails = "if: [{key: '/in/{x}'}]\n"
                        "then: [{put: {key: /out, value: '{{value.a}}'}}]";
    const char *given = "[{put: {key: /in/a, value: 7}}]";
    expect_result(fails, given, "[{failed: 'step 0 (put)'}]", "");
    expect_result(fails, given, "[{failed: other}]",
                  "test 1: expected failed other, saw failed step 0 (put): "
                  "no such overload: the field 'a' of a value of kind int, "
                  "which is no map\n");
}

static void a_failure_that_is_dealt_with_need_not_be_expected(void **state)
{
    (void)state;
    const char *deals =
        "if: [{key: '/in/{x}'}]\n"
        "then: [{put: {key: /out, value: '{{value.a}}'}}]\n"
        "on_failure: [{put: {key: /failed, value: '{{error}}'}}]";
    const char *given = "[{put: {key: /in/a, value: 7}}]";
    expect_result(deals, given, "[{put: /failed}]", "");
    expect_result(deals, given, "[{put: /failed}, {failed: step}]", "");
}

/* ---- actions outside ----------------------------------------------------- */

#define ASKS                                                               \
    "if: [{key: '/in/{x}'}]\n"                                             \
    "then:\n"                                                              \
    "  - {id: ask, http: {url: 'http://a/{{x}}', method: POST, json: {x: " \
    "'{{x}}'}}, retry: {max: 3, base: 1s, cap: 1m}}\n"                     \
    "  - {put: {key: /said, value: '{{steps.ask.status}} "                 \
    "{{steps.ask.body}}'}}"

static void answers_are_given(void **state)
{
    (void)state;
    const char *put = "{put: {key: /in/a, value: 1}}";
    char given[200];
    snprintf(given, sizeof given, "[%s]", put);
    expect_result(ASKS, given,
                  "[{http: ask, url: http://a/a, method: POST, json: {x: a}}, "
                  "{put: /said, value: '200 '}]",
                  "");
    snprintf(given, sizeof given,
             "[{answer: {ask: {status: 201, body: fine}}}, %s]", put);
    expect_result(ASKS, given, "[{http: ask}, {put: /said, value: 201 fine}]",
                  "");
    snprintf(given, sizeof given, "[{answer: {ask: {status: 404}}}, %s]", put);
    expect_result(ASKS, given, "[{http: ask}, {failed: 'step ask (http)'}]",
                  "");
    expect_result(ASKS, "[{put: {key: /in/a, value: 1}}]",
                  "[{http: ask, json: {x: b}}]",
                  "test 1: expected http ask with json {\"x\":\"b\"}, saw http "
                  "ask with {\"method\":\"POST\",\"url\":\"http://a/a\","
                  "\"json\":{\"x\":\"a\"}}\n");
}

/* Tried again after pauses, which pass in an advance; told once. */
static void what_may_be_tried_again_is(void **state)
{
    (void)state;
    expect_result(ASKS,
                  "[{answer: {ask: {status: 503}}}, {put: {key: /in/a, "
                  "value: 1}}]",
                  "[{http: ask}]", "");
    expect_result(ASKS,
                  "[{answer: {ask: {status: 503}}}, {put: {key: /in/a, "
                  "value: 1}}, {advance: 1h}]",
                  "[{http: ask}, {failed: 'step ask (http)'}]", "");
    expect_result(ASKS,
                  "[{answer: {ask: {status: 503}}}, {put: {key: /in/a, "
                  "value: 1}}, {answer: {ask: {status: 200}}}, {advance: 1h}]",
                  "[{http: ask}, {put: /said, value: '200 '}]", "");
}

static void mails_programs_calls_and_logs(void **state)
{
    (void)state;
    expect_result(
        "if: [{key: '/in/{x}'}]\n"
        "then:\n"
        "  - {id: mail, email: {server: 'smtp://m', from: a@b, to: [c@d], "
        "subject: '{{x}}', text: t}}\n"
        "  - {id: page, exec: [/bin/page, '{{x}}']}\n"
        "  - {call: {recipe: other, args: {x: '{{x}}'}}}\n"
        "  - {log: {message: 'saw {{x}}', level: warn}}",
        "[{put: {key: /in/a, value: 1}}]",
        "[{log: saw a}, {email: mail, subject: a}, {exec: page}, "
        "{call: other, args: {x: a}}]",
        "");
}

/* ---- what comes in ------------------------------------------------------- */

#define HOOKED                                                  \
    "if: [{webhook: {path: a/b}}, {webhook: {path: c, dedupe: " \
    "'body.id'}}]\n"                                            \
    "then: [{put: {key: /got, value: \"{{headers['x-a']}} "     \
    "{{body.id}}\"}}]"

static void webhooks_come_in_once(void **state)
{
    (void)state;
    expect_result(HOOKED,
                  "[{webhook: {path: a/b, headers: {X-A: q}, body: {id: 1}}}]",
                  "[{put: /got, value: q 1}]", "");
    expect_result(HOOKED,
                  "[{webhook: {path: c, headers: {x-a: q}, body: {id: 1}}}, "
                  "{webhook: {path: c, headers: {x-a: r}, body: {id: 1}}}, "
                  "{webhook: {path: c, headers: {x-a: s}, body: {id: 2}}}]",
                  "[{put: /got, value: q 1}, {put: /got, value: s 2}]", "");
    /* Without a dedupe of its own: by the delivery's number, or the body. */
    expect_result(HOOKED,
                  "[{webhook: {headers: {x-a: q, Webhook-Id: z}, body: {id: "
                  "1}}}, {webhook: {headers: {x-a: q, Webhook-Id: z}, body: "
                  "{id: 2}}}, {webhook: {headers: {x-a: r}, body: {id: 2}}}, "
                  "{webhook: {headers: {x-a: s}, body: {id: 2}}}]",
                  "[{put: /got, value: q 1}, {put: /got, value: r 2}]", "");
    /* And again once it is forgotten. */
    expect_result(HOOKED,
                  "[{webhook: {path: c, headers: {x-a: q}, body: {id: 1}}}, "
                  "{advance: 25h}, "
                  "{webhook: {path: c, headers: {x-a: r}, body: {id: 1}}}]",
                  "[{put: /got, value: q 1}, {put: /got, value: r 1}]", "");
}

static void items_come_in_once(void **state)
{
    (void)state;
    const char *polls = "if: [{poll: {url: 'http://a/', id: item.n}}]\n"
                        "then: [{put: {key: '/n/{{item.n}}', value: x}}]";
    expect_result(polls, "[{item: {n: 1}}, {item: {n: 2}}, {item: {n: 1}}]",
                  "[{put: /n/1}, {put: /n/2}]", "");
    const char *feeds = "if: [{feed: {url: 'http://a/'}}]\n"
                        "then: [{put: {key: '/t/{{item.title}}', value: x}}]";
    expect_result(feeds,
                  "[{item: {id: a, title: t}}, {item: {id: a, title: u}}]",
                  "[{put: /t/t}]", "");
}

static void calls_have_arguments(void **state)
{
    (void)state;
    const char *called = "if: [{manual: true}]\n"
                         "then: [{put: {key: '/{{args.k}}', value: x}}]";
    expect_result(called, "[{run: {args: {k: a}}}]", "[{put: /a}]", "");
    expect_result(called, "[{run: {k: b}}]", "[{put: /b}]", "");
}

static void a_test_that_is_wrong_says_so(void **state)
{
    (void)state;
    expect_result(COPIES, "[{tick: {}}]", "[]",
                  "test 1: given[0]: the recipe has no every, cron or at "
                  "trigger\n");
    expect_result(COPIES, "[{tick: 0}]", "[]",
                  "test 1: given[0]: if[0] is no every, cron or at\n");
    expect_result(COPIES, "[{advance: 1s}, {item: {id: 1}}]", "[]",
                  "test 1: given[1]: the recipe has no feed or poll trigger\n");
    expect_result(COPIES, "[{webhook: {path: x}}]", "[]",
                  "test 1: given[0]: the recipe has no webhook at x\n");
    expect_result(COPIES, "[{webhook: {}}]", "[]",
                  "test 1: given[0]: the recipe has no webhook trigger\n");
    expect_result(COPIES,
                  "[{at: '2026-06-01T00:00:00Z'}, {put: {key: /x, value: 1}}, "
                  "{at: '2026-05-01T00:00:00Z'}]",
                  "[]", "test 1: given[2]: time doesn't run back\n");
}

/* ---- time ---------------------------------------------------------------- */

static void clocks_strike_while_time_passes(void **state)
{
    (void)state;
    const char *clocks = "if: [{every: 10m}, {cron: '30 * * * *'}]\n"
                         "then: [{put: {key: '/at/{{event.time}}', value: x}}]";
    expect_result(clocks, "[{at: '2026-06-01T00:05:00Z'}, {advance: 30m}]",
                  "[{put: '/at/2026-06-01T00:10:00Z'}, "
                  "{put: '/at/2026-06-01T00:20:00Z'}, "
                  "{put: '/at/2026-06-01T00:30:00Z'}, "
                  "{put: '/at/2026-06-01T00:30:00Z'}]",
                  "");
    expect_result(clocks, "[{at: '2026-06-01T00:05:00Z'}, {tick: 1}]",
                  "[{put: '/at/2026-06-01T00:05:00Z'}]", "");
}

/* What was put with a ttl goes by its lease, and that is an event too. */
static void keys_expire(void **state)
{
    (void)state;
    const char *mourns =
        "if: [{key: '/in/{x}'}, {key: '/out/{x}', events: [expire]}]\n"
        "then:\n"
        "  - {put: {key: '/out/{{x}}', value: 1, ttl: 1m}, if: \"event.type == "
        "'create'\"}\n"
        "  - {put: {key: '/gone/{{x}}', value: '{{prev}}'}, if: \"event.type "
        "== 'expire'\"}\n"
        "loop: {reentrant: true}";
    const char *put = "{put: {key: /in/a, value: 1}}";
    char given[100];
    snprintf(given, sizeof given, "[%s, {advance: 59s}]", put);
    expect_result(mourns, given, "[{put: /out/a, ttl: 1m}]", "");
    snprintf(given, sizeof given, "[%s, {advance: 1m}]", put);
    expect_result(mourns, given,
                  "[{put: /out/a, ttl: 1m}, {put: /gone/a, value: 1}]", "");
}

/* What is due comes before what happens at that moment. */
static void a_hold_that_is_due_fires_first(void **state)
{
    (void)state;
    const char *holds =
        "if: [{key: '/in/{x}', crosses: {of: value, above: 5, reset: 3}, "
        "for: 1m}]\n"
        "then: [{put: {key: '/high/{{x}}', value: '{{value}}'}}]";
    expect_result(holds,
                  "[{put: {key: /in/a, value: 9}}, {advance: 60s}, "
                  "{put: {key: /in/a, value: 0}}]",
                  "[{put: /high/a, value: 9}]", "");
    expect_result(holds,
                  "[{put: {key: /in/a, value: 9}}, {advance: 59s}, "
                  "{put: {key: /in/a, value: 0}}, {advance: 1h}]",
                  "[]", "");
}

/* ---- its effects are events ---------------------------------------------- */

/* All of a turn is one revision, and is there before any of it is seen. */
static void effects_are_seen_whole(void **state)
{
    (void)state;
    const char *both =
        "if: [{key: /in}, {key: /one}]\n"
        "then:\n"
        "  - {put: {key: /one, value: 1}, if: \"key == '/in'\"}\n"
        "  - {put: {key: /two, value: 2}, if: \"key == '/in'\"}\n"
        "  - {put: {key: /three, value: '{{get(\"/two\")}}'}, if: \"key == "
        "'/one'\"}\n"
        "loop: {reentrant: true}";
    expect_result(both, "[{put: {key: /in, value: x}}]",
                  "[{put: /one}, {put: /two}, {put: /three, value: 2}]", "");
}

static void what_goes_round_comes_to_an_end(void **state)
{
    (void)state;
    const char *round = "if: [{key: /n}]\n"
                        "then: [{put: {key: /n, value: '{{value + 1}}'}}]\n"
                        "loop: {reentrant: true, max_depth: 3}";
    struct buf why = {0};
    char text[400];
    snprintf(text, sizeof text,
             "name: r\n%s\ntests: [{given: [{put: {key: /n, value: 1}}], "
             "expect: [{put: /n}, {put: /n}, {put: /n, value: 4}, {put: /n}, "
             "{failed: 'loop: depth'}]}]\n",
             round);
    struct recipe *recipe = parse_recipe(text);
    struct recipe_test_result result = recipe_test(recipe, &recipe_zones, &why);
    if (result.failed)
        fail_msg("%.*s", (int)why.size, why.at);
    recipe_free(recipe);
    buf_deinit(&why);
}

static void transactions_and_prefixes(void **state)
{
    (void)state;
    const char *takes =
        "if: [{key: '/in/{x}'}]\n"
        "then:\n"
        "  - txn:\n"
        "      compare: [{key: /lock, exists: false}]\n"
        "      then: [{put: {key: /lock, value: '{{x}}'}}]\n"
        "      else: [{put: {key: '/late/{{x}}', value: '{{x}}'}}]\n"
        "  - {delete: {key: '/tmp/', prefix: true}}";
    expect_result(takes,
                  "[{put: {key: /in/a, value: 1}}, {put: {key: /in/b, value: "
                  "1}}]",
                  "[{put: /lock, value: a}, {delete: /tmp/}, {put: /late/b}, "
                  "{delete: /tmp/}]",
                  "");
}

/* A shadow shows what it would do. */
static void shadows_are_tested_as_if_they_were_none(void **state)
{
    (void)state;
    expect_result("shadow: true\n" COPIES, "[{put: {key: /in/a, value: 1}}]",
                  "[{put: /out/a}]", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples_pass_their_tests),
        cmocka_unit_test(what_is_missing_or_too_much_is_said),
        cmocka_unit_test(each_failure_is_counted_and_named),
        cmocka_unit_test(a_recipe_without_tests_passes_none),
        cmocka_unit_test(failures_are_to_be_expected),
        cmocka_unit_test(a_failure_that_is_dealt_with_need_not_be_expected),
        cmocka_unit_test(answers_are_given),
        cmocka_unit_test(what_may_be_tried_again_is),
        cmocka_unit_test(mails_programs_calls_and_logs),
        cmocka_unit_test(webhooks_come_in_once),
        cmocka_unit_test(items_come_in_once),
        cmocka_unit_test(calls_have_arguments),
        cmocka_unit_test(a_test_that_is_wrong_says_so),
        cmocka_unit_test(clocks_strike_while_time_passes),
        cmocka_unit_test(keys_expire),
        cmocka_unit_test(a_hold_that_is_due_fires_first),
        cmocka_unit_test(effects_are_seen_whole),
        cmocka_unit_test(what_goes_round_comes_to_an_end),
        cmocka_unit_test(transactions_and_prefixes),
        cmocka_unit_test(shadows_are_tested_as_if_they_were_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
