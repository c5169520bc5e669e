/* Documents that are right, and the plans that come of them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "recipe/machine.h"
#include "recipe_support.h"

static const int64_t second = 1000000000;

#define HEAD "name: r\n"
#define IF "if: [{key: '/a/{x}'}]\n"
#define THEN "then: [{log: hi}]\n"

/* ---- the whole ---------------------------------------------------------- */

static void what_is_left_out_has_its_default(void **state)
{
    (void)state;
    struct recipe *recipe = parse_recipe(HEAD IF THEN);
    ASSERT_TEXT(recipe->name, "r");
    assert_int_equal(recipe->description.size, 0);
    assert_int_equal(recipe->labels.kind, VALUE_MAP);
    assert_int_equal(recipe->labels.map->count, 0);
    assert_true(recipe->enabled);
    assert_false(recipe->shadow);
    assert_int_equal(recipe->order, ORDER_PER_KEY);
    assert_int_equal(recipe->mode, MODE_QUEUED);
    assert_int_equal(recipe->max, RECIPE_ACTIVE_MAX);
    assert_int_equal(recipe->start, START_NOW);
    assert_int_equal(recipe->on_gap, GAP_PAUSE);
    assert_int_equal(recipe->max_depth, RECIPE_DEPTH_DEFAULT);
    assert_false(recipe->reentrant);
    assert_int_equal(recipe->breaker.count, 1000);
    assert_int_equal(recipe->breaker.per_ns, 60 * second);
    assert_int_equal(recipe->keep_runs, 1000);
    assert_int_equal(recipe->keep_ns, 7 * 86400 * second);
    assert_int_equal(recipe->debounce_ns, 0);
    assert_int_equal(recipe->throttle.count, 0);
    assert_null(recipe->dedupe.key);
    assert_null(recipe->tests);
    assert_int_equal(recipe->triggers[0].events, EVENT_PUT);
    recipe_free(recipe);
}

static void what_is_written_counts(void **state)
{
    (void)state;
    struct recipe *recipe = parse_recipe(
        HEAD "description: d\nlabels: {team: infra}\nenabled: false\n"
             "shadow: true\nowner: alice\norder: strict\nmode: parallel\n"
             "max: 7\ndedupe: {key: '{{x}}', ttl: 10m}\n"
             "throttle: {count: 5, per: 1h}\ndebounce: 30s\n"
             "start: {revision: 9007199254740993}\non_gap: resync\n"
             "loop: {max_depth: 3, reentrant: true, breaker: {count: 9, per: "
             "2s}}\nkeep: {runs: 10, for: 1d12h}\ntests: []\n" IF THEN);
    ASSERT_TEXT(recipe->description, "d");
    ASSERT_TEXT(value_member(&recipe->labels, SLICE("team"))->text, "infra");
    assert_false(recipe->enabled);
    assert_true(recipe->shadow);
    ASSERT_TEXT(recipe->owner, "alice");
    assert_int_equal(recipe->order, ORDER_STRICT);
    assert_int_equal(recipe->mode, MODE_PARALLEL);
    assert_int_equal(recipe->max, 7);
    assert_non_null(recipe->dedupe.key);
    assert_int_equal(recipe->dedupe.ttl_ns, 600 * second);
    assert_int_equal(recipe->throttle.count, 5);
    assert_int_equal(recipe->throttle.per_ns, 3600 * second);
    assert_int_equal(recipe->debounce_ns, 30 * second);
    assert_int_equal(recipe->start, START_REVISION);
    assert_int_equal(recipe->start_revision, 9007199254740993);
    assert_int_equal(recipe->on_gap, GAP_RESYNC);
    assert_int_equal(recipe->max_depth, 3);
    assert_true(recipe->reentrant);
    assert_int_equal(recipe->breaker.count, 9);
    assert_int_equal(recipe->breaker.per_ns, 2 * second);
    assert_int_equal(recipe->keep_runs, 10);
    assert_int_equal(recipe->keep_ns, 36 * 3600 * second);
    assert_non_null(recipe->tests);
    recipe_free(recipe);
}

static void start_has_three_spellings(void **state)
{
    (void)state;
    struct recipe *recipe = parse_recipe(HEAD IF THEN "start: beginning\n");
    assert_int_equal(recipe->start, START_BEGINNING);
    recipe_free(recipe);
    recipe = parse_recipe(HEAD IF THEN "start: 'revision: 12'\n");
    assert_int_equal(recipe->start, START_REVISION);
    assert_int_equal(recipe->start_revision, 12);
    recipe_free(recipe);
}

static void too_much_is_too_large(void **state)
{
    (void)state;
    struct recipe *recipe;
    struct recipe_fault fault;
    struct buf text = {0};
    buf_append_str(&text, HEAD IF THEN "description: ");
    memset(buf_extend(&text, RECIPE_BYTES_MAX), 'a', RECIPE_BYTES_MAX);
    assert_int_equal(recipe_parse(buf_slice(&text), NULL, &recipe, &fault),
                     ERR_TOO_LARGE);
    assert_null(recipe);
    buf_deinit(&text);
}

static void durations_have_days(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ns;
    } rows[] = {
        {"5m", 300000000000},
        {"1h30m", 5400000000000},
        {"7d", 604800000000000},
        {"250ms", 250000000},
        {"1d12h", 129600000000000},
        {"1.5s", 1500000000},
        {"0s", 0},
        {"106751d", 9223286400000000000},
    };
    static const char *const bad[] = {"",        "5",   "d",     "-5m",
                                      "+5m",     "1w",  "1d-5m", "1h2d",
                                      "106752d", "5 m", "1.5d"};
    int64_t ns;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_true(recipe_duration(slice_str(rows[i].text), &ns));
        assert_int_equal(ns, rows[i].ns);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(recipe_duration(slice_str(bad[i]), &ns));
}

/* ---- triggers ----------------------------------------------------------- */

static struct recipe *parse_trigger(const char *text)
{
    static char document[1024];
    snprintf(document, sizeof document, HEAD "if:\n  - %s\n" THEN, text);
    return parse_recipe(document);
}

static void a_key_trigger_has_its_conditions(void **state)
{
    (void)state;
    struct recipe *recipe = parse_trigger(
        "{key: '/m/{host}/disk', events: [create, expire], for: 5m, "
        "crosses: {of: value.used, above: 90, reset: 85}, changed: true}");
    const struct trigger *trigger = &recipe->triggers[0];
    assert_int_equal(trigger->kind, TRIGGER_KEY);
    assert_int_equal(trigger->events, EVENT_CREATE | EVENT_EXPIRE);
    assert_int_equal(trigger->for_ns, 300 * second);
    assert_true(expr_reads(trigger->crosses.of, INGREDIENT_VALUE));
    assert_true(trigger->crosses.limit > 89.9 && trigger->crosses.limit < 90.1);
    assert_true(trigger->crosses.reset > 84.9 && trigger->crosses.reset < 85.1);
    assert_false(trigger->crosses.below);
    assert_true(expr_reads(trigger->changed, INGREDIENT_VALUE));
    assert_int_equal(trigger->capture_slots[0], INGREDIENT_COUNT);
    ASSERT_TEXT(recipe->names.names[INGREDIENT_COUNT].name, "host");
    recipe_free(recipe);
}

static void below_is_armed_again_where_it_was_crossed(void **state)
{
    (void)state;
    struct recipe *recipe =
        parse_trigger("{key: /a, crosses: {of: value, below: 2.5}}");
    const struct trigger *trigger = &recipe->triggers[0];
    assert_true(trigger->crosses.below);
    assert_true(trigger->crosses.limit > 2.4 && trigger->crosses.limit < 2.6);
    assert_true(trigger->crosses.reset > 2.4 && trigger->crosses.reset < 2.6);
    recipe_free(recipe);
}

static void clocks_have_schedules(void **state)
{
    (void)state;
    struct recipe *recipe = parse_recipe(
        HEAD THEN "if:\n- every: 1m\n- {cron: '0 9 * * 1-5', tz: "
                  "Europe/Berlin, misfire: all}\n"
                  "- {at: 2026-12-24T18:00:00+01:00, misfire: skip}\n");
    const struct trigger *triggers = recipe->triggers;
    assert_int_equal(triggers[0].schedule.every_ns, 60 * second);
    assert_int_equal(triggers[0].misfire, MISFIRE_LAST);
    assert_int_equal(triggers[1].misfire, MISFIRE_ALL);
    assert_int_equal(triggers[1].schedule.kind, SCHEDULE_CRON);
    /* A Monday in July, 09:00 of Berlin. */
    assert_int_equal(schedule_next(&triggers[1].schedule, 1783296000 * second),
                     1783321200 * second);
    assert_int_equal(triggers[2].schedule.at_ns, 1798131600 * second);
    assert_int_equal(triggers[2].misfire, MISFIRE_SKIP);
    recipe_free(recipe);
}

static void each_trigger_watches_its_place_in_the_inbox(void **state)
{
    (void)state;
    struct recipe *recipe = parse_recipe(
        HEAD THEN "if:\n- every: 1m\n- webhook: github/push\n"
                  "- feed: {url: 'https://e.org/rss'}\n"
                  "- {recipe: {name: other, outcome: any}}\n- manual: true\n"
                  "- {absent: '/hosts/{x...}', for: 30s}\n");
    static const char *const patterns[] = {
        "/_recipes/in/r/0/{id}",    "/_recipes/in/r/1/{id}",
        "/_recipes/in/r/2/{id}",    "/_recipes/run/other/",
        "/_recipes/in/r/4/{id}",    "/hosts/{x...}",
        "/_recipes/in/r/call/{id}",
    };
    assert_int_equal(recipe->trigger_count, 7);
    for (size_t i = 0; i < 7; i++) {
        const struct trigger *trigger = &recipe->triggers[i];
        ASSERT_TEXT(trigger->pattern.text, patterns[i]);
        assert_int_equal(trigger->index, i);
        if (trigger->kind != TRIGGER_ABSENT)
            assert_int_equal(trigger->events, EVENT_CREATE);
        for (size_t j = 0; j < trigger->pattern.captures; j++)
            assert_true(trigger->capture_slots[j] < recipe->names.count);
    }
    assert_int_equal(recipe->triggers[6].kind, TRIGGER_CALL);
    assert_int_equal(recipe->triggers[3].other.outcomes,
                     1u << RUN_OK | 1u << RUN_FAILED | 1u << RUN_CANCELLED);
    recipe_free(recipe);
}

static void webhooks_and_polls_say_what_comes_in(void **state)
{
    (void)state;
    struct recipe *recipe = parse_recipe(
        HEAD "if:\n- webhook: {path: a, secret: s, header: X-Sig, dedupe: "
             "body.id, dedupe_ttl: 1h}\n- webhook: b\n"
             "- poll: {url: \"https://e.org?k={{secret('k')}}\", every: 10s, "
             "items: body.list, id: item.id}\n"
             "- poll: {url: 'https://e.org', id: item}\n"
             "where: [item.x == 1, body.y == 2, headers.z == '3']\n" THEN);
    const struct trigger *triggers = recipe->triggers;
    ASSERT_TEXT(triggers[0].hook.path, "a");
    ASSERT_TEXT(triggers[0].hook.secret, "s");
    ASSERT_TEXT(triggers[0].hook.header, "x-sig");
    assert_true(expr_reads(triggers[0].hook.dedupe, INGREDIENT_BODY));
    assert_int_equal(triggers[0].hook.dedupe_ns, 3600 * second);
    ASSERT_TEXT(triggers[1].hook.header, "x-hub-signature-256");
    assert_int_equal(triggers[1].hook.secret.size, 0);
    assert_null(triggers[1].hook.dedupe);
    assert_int_equal(triggers[1].hook.dedupe_ns, 86400 * second);
    assert_int_equal(template_uses(triggers[2].fetch.url), EXPR_USES_SECRET);
    assert_int_equal(triggers[2].fetch.every_ns, 10 * second);
    assert_true(expr_reads(triggers[2].fetch.items, INGREDIENT_BODY));
    assert_true(expr_reads(triggers[2].fetch.id, INGREDIENT_ITEM));
    assert_int_equal(triggers[3].fetch.every_ns, 300 * second);
    assert_true(expr_reads(triggers[3].fetch.items, INGREDIENT_BODY));
    recipe_free(recipe);
}

static void one_trigger_needs_no_list(void **state)
{
    (void)state;
    struct recipe *recipe =
        parse_recipe(HEAD "if: {key: /a, events: delete}\nwhere: key == 'x'\n"
                          "then: {log: hi}\n");
    assert_int_equal(recipe->trigger_count, 2);
    assert_int_equal(recipe->triggers[0].events, EVENT_DELETE);
    assert_int_equal(recipe->where_count, 1);
    assert_int_equal(recipe->then_count, 1);
    recipe_free(recipe);
}

/* A name has one slot, in however many triggers it is captured. */
static void captures_and_lets_have_slots(void **state)
{
    (void)state;
    struct recipe *recipe =
        parse_recipe(HEAD "if: [{key: '/a/{x}/{y}'}, {key: '/b/{y}/{z...}'}]\n"
                          "let: {m: '{{x}}', n: '{{m}}{{z}}'}\n"
                          "where: [\"n == 'q'\"]\n" THEN);
    static const char *const names[] = {"x", "y", "z", "", "m", "n"};
    assert_int_equal(recipe->names.count, INGREDIENT_COUNT + 6);
    for (size_t i = 0; i < 6; i++)
        ASSERT_TEXT(recipe->names.names[INGREDIENT_COUNT + i].name, names[i]);
    assert_int_equal(recipe->triggers[0].capture_slots[1],
                     recipe->triggers[1].capture_slots[0]);
    assert_int_equal(recipe->let_count, 2);
    assert_int_equal(recipe->lets[1].slot, INGREDIENT_COUNT + 5);
    assert_true(template_reads(recipe->lets[1].value, recipe->lets[0].slot));
    assert_true(expr_reads(recipe->where[0].expr, recipe->lets[1].slot));
    ASSERT_TEXT(recipe->where[0].text, "n == 'q'");
    recipe_free(recipe);
}

/* ---- actions ------------------------------------------------------------ */

static struct recipe *parse_action(const char *text)
{
    static char document[1024];
    snprintf(document, sizeof document, HEAD IF "then:\n  - %s\n", text);
    return parse_recipe(document);
}

static void a_put_has_a_form_for_its_value(void **state)
{
    (void)state;
    struct recipe *recipe = parse_action(
        "put: {key: '/b/{{x}}', ttl: 1h, value: {a: [1, '{{x}}', 'p{{{{q'], "
        "b: 12345678901234567}}");
    const struct action *put = &recipe->then[0];
    assert_int_equal(put->kind, ACTION_PUT);
    assert_int_equal(put->ttl_ns, 3600 * second);
    ASSERT_TEXT(put->id, "0");
    assert_int_equal(put->value->kind, FORM_MAP);
    ASSERT_TEXT(put->value->names[1], "b");
    assert_int_equal(put->value->items[1].constant.integer, 12345678901234567);
    const struct form *list = &put->value->items[0];
    assert_int_equal(list->kind, FORM_LIST);
    assert_int_equal(list->items[0].constant.integer, 1);
    assert_int_equal(list->items[1].kind, FORM_TEMPLATE);
    assert_int_equal(list->items[2].kind, FORM_CONSTANT);
    ASSERT_TEXT(list->items[2].constant.text, "p{{q");
    recipe_free(recipe);
}

static void a_txn_compares_and_writes(void **state)
{
    (void)state;
    struct recipe *recipe = parse_action(
        "txn: {compare: [{key: /l, exists: false}, {key: /m, version: 3, op: "
        "'>'}, {key: /n, value: '{{x}}', op: '!='}], then: [{put: {key: /l, "
        "value: 1}}], else: [{delete: {key: /p/, prefix: true}}, {delete: "
        "/q}]}");
    const struct action *txn = &recipe->then[0];
    assert_int_equal(txn->kind, ACTION_TXN);
    assert_int_equal(txn->compare_count, 3);
    assert_int_equal(txn->compares[0].target, COMPARE_EXISTS);
    assert_false(txn->compares[0].value->constant.boolean);
    assert_int_equal(txn->compares[1].target, COMPARE_VERSION);
    assert_int_equal(txn->compares[1].operator, COMPARE_GREATER);
    assert_int_equal(txn->compares[2].operator, COMPARE_UNEQUAL);
    assert_int_equal(txn->then_count, 1);
    assert_int_equal(txn->otherwise_count, 2);
    assert_int_equal(txn->otherwise[0].kind, ACTION_DELETE);
    assert_true(txn->otherwise[0].prefix);
    assert_false(txn->otherwise[1].prefix);
    recipe_free(recipe);
}

static void http_is_get_without_a_body(void **state)
{
    (void)state;
    struct recipe *recipe = parse_recipe(
        HEAD IF
        "then:\n- http: {url: 'https://e.org'}\n"
        "- {http: {url: 'https://e.org', json: {a: 1}}, id: b, timeout: "
        "3s, retry: {max: 0, base: 2s, cap: 1m}, if: \"x == 'q'\"}\n"
        "- http: {url: \"{{secret('u')}}\", method: PUT, body: x, "
        "headers: {a: '{{steps.b.status}}'}, redirects: true}\n");
    const struct action *then = recipe->then;
    ASSERT_TEXT(template_literal_prefix(then[0].method), "GET");
    assert_int_equal(then[0].timeout_ns, 10 * second);
    assert_int_equal(then[0].retry.max, 8);
    assert_int_equal(then[0].retry.base_ns, second);
    assert_int_equal(then[0].retry.cap_ns, 300 * second);
    assert_false(then[0].redirects);
    ASSERT_TEXT(template_literal_prefix(then[1].method), "POST");
    ASSERT_TEXT(then[1].id, "b");
    assert_int_equal(then[1].timeout_ns, 3 * second);
    assert_int_equal(then[1].retry.max, 0);
    assert_int_equal(then[1].retry.cap_ns, 60 * second);
    assert_non_null(then[1].when);
    ASSERT_TEXT(template_literal_prefix(then[2].method), "PUT");
    assert_int_equal(then[2].headers->kind, FORM_MAP);
    assert_true(then[2].redirects);
    recipe_free(recipe);
}

static void the_others_have_what_they_need(void **state)
{
    (void)state;
    struct recipe *recipe = parse_recipe(
        HEAD IF "then:\n"
                "- email: {server: 'smtp://m', from: a@b, to: c@d, subject: s, "
                "text: '{{x}}'}\n"
                "- exec: [/usr/bin/page, '{{x}}']\n"
                "- exec: {args: [/bin/cat], input: {a: '{{x}}'}}\n"
                "- log: hi\n- log: {message: no, level: error}\n"
                "- call: other\n- call: {recipe: other, args: {a: 1}}\n"
                "- wait: 30s\n"
                "on_failure:\n- log: '{{error}}'\n");
    const struct action *then = recipe->then;
    assert_int_equal(then[0].to->kind, FORM_LIST);
    assert_int_equal(then[0].to->count, 1);
    assert_int_equal(then[1].arguments->count, 2);
    ASSERT_TEXT(then[1].arguments->items[0].constant.text, "/usr/bin/page");
    assert_non_null(then[2].input);
    assert_int_equal(then[3].level, LOG_AT_INFO);
    assert_int_equal(then[4].level, LOG_AT_ERROR);
    ASSERT_TEXT(then[5].callee, "other");
    assert_null(then[5].args);
    assert_int_equal(then[6].args->kind, FORM_MAP);
    assert_int_equal(then[7].wait_ns, 30 * second);
    ASSERT_TEXT(then[7].id, "7");
    ASSERT_TEXT(recipe->on_failure[0].id, "f0");
    for (size_t i = 0; i < recipe->then_count; i++)
        assert_int_equal(action_is_outside(then[i].kind), i < 3);
    assert_string_equal(action_kind_text(then[7].kind), "wait");
    assert_string_equal(event_type_text(EVENT_EXPIRE), "expire");
    recipe_free(recipe);
    recipe_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_left_out_has_its_default),
        cmocka_unit_test(what_is_written_counts),
        cmocka_unit_test(start_has_three_spellings),
        cmocka_unit_test(too_much_is_too_large),
        cmocka_unit_test(durations_have_days),
        cmocka_unit_test(a_key_trigger_has_its_conditions),
        cmocka_unit_test(below_is_armed_again_where_it_was_crossed),
        cmocka_unit_test(clocks_have_schedules),
        cmocka_unit_test(each_trigger_watches_its_place_in_the_inbox),
        cmocka_unit_test(webhooks_and_polls_say_what_comes_in),
        cmocka_unit_test(one_trigger_needs_no_list),
        cmocka_unit_test(captures_and_lets_have_slots),
        cmocka_unit_test(a_put_has_a_form_for_its_value),
        cmocka_unit_test(a_txn_compares_and_writes),
        cmocka_unit_test(http_is_get_without_a_body),
        cmocka_unit_test(the_others_have_what_they_need),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
