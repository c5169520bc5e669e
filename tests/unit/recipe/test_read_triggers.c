/* Triggers, each with all that it may have and with nothing: what the plan has
 * of them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "recipe_plan.h"
#include "recipe_support.h"

struct row {
    const char *text;
    const char *plan;
};

static const struct row keys_rows[] = {
    {"key: /a", "key /a create update"},
    {"key: '/m/{host}/{disk...}'",
     "key /m/{host}/{disk...} host@13 disk@14 create update"},
    {"key: /config/", "key /config/ create update"},
    {"key: '{all...}'", "key {all...} all@13 create update"},
    {"{key: /a, events: create}", "key /a create"},
    {"{key: /a, events: [update]}", "key /a update"},
    {"{key: /a, events: [put]}", "key /a create update"},
    {"{key: /a, events: [delete, expire]}", "key /a delete expire"},
    {"{key: /a, events: [put, put, create]}", "key /a create update"},
    {"{key: /a, events: [create, update, delete, expire]}",
     "key /a create update delete expire"},
    {"{key: /a, changed: true}", "key /a create update changed=E(value dyn)"},
    {"{key: '/a/{x}', changed: \"value.state + x\"}",
     "key /a/{x} x@13 create update changed=E(value x string)"},
    {"{key: /a, changed: \"exists('/b') && prev != null\"}",
     "key /a create update changed=E(prev bool store())"},
    {"{key: /a, crosses: {of: value, above: 90}}",
     "key /a create update of=E(value dyn) above=90 reset=90"},
    {"{key: /a, crosses: {of: value, above: 90, reset: 90}}",
     "key /a create update of=E(value dyn) above=90 reset=90"},
    {"{key: /a, crosses: {of: value.used, above: 1e3, reset: -1e3}}",
     "key /a create update of=E(value dyn) above=1000 reset=-1000"},
    {"{key: /a, crosses: {of: \"double(value)\", below: 0.5}}",
     "key /a create update of=E(value double) below=0.5 reset=0.5"},
    {"{key: /a, crosses: {of: \"size(raw)\", below: -3, reset: 3}}",
     "key /a create update of=E(raw int) below=-3 reset=3"},
    {"{key: /a, crosses: {reset: 80, above: 90, of: \"count('/a/')\"}}",
     "key /a create update of=E(int store()) above=90 reset=80"},
    {"{key: /a, for: 1ms}", "key /a create update for=1ms"},
    {"{key: /a, for: 1d1h1m1s}", "key /a create update for=90061000ms"},
    {"{for: 5m, key: /a, events: delete}", "key /a delete for=300000ms"},
    {"{key: /a, for: 30s, changed: true, crosses: {of: value, above: 1}, "
     "events: [put, delete]}",
     "key /a create update delete changed=E(value dyn) of=E(value dyn) above=1 "
     "reset=1 for=30000ms"},
};

static const struct row absents_rows[] = {
    {"{absent: '/hosts/{host}', for: 30s}",
     "absent /hosts/{host} host@13 create update delete expire for=30000ms"},
    {"{absent: /a/, for: 1ms}",
     "absent /a/ create update delete expire for=1ms"},
    {"{for: 2d, absent: '/h/{a}/{b...}'}",
     "absent /h/{a}/{b...} a@13 b@14 create update delete expire "
     "for=172800000ms"},
};

static const struct row clocks_rows[] = {
    {"every: 1s",
     "every /_recipes/in/r/0/{id} create every=1000ms misfire=last"},
    {"every: 90m",
     "every /_recipes/in/r/0/{id} create every=5400000ms misfire=last"},
    {"{every: 1d, misfire: skip}",
     "every /_recipes/in/r/0/{id} create every=86400000ms misfire=skip"},
    {"{every: 36h, misfire: all}",
     "every /_recipes/in/r/0/{id} create every=129600000ms misfire=all"},
    {"{misfire: last, every: 1.5s}",
     "every /_recipes/in/r/0/{id} create every=1500ms misfire=last"},
    {"cron: '0 9 * * 1-5'",
     "cron /_recipes/in/r/0/{id} create cron=1/200/fffffffe/1ffe/3e any-day "
     "zone=0 misfire=last"},
    {"{cron: '*/20 0 1 1 0', tz: Europe/Berlin}",
     "cron /_recipes/in/r/0/{id} create cron=10000100001/1/2/2/1 zone=7200 "
     "misfire=last"},
    {"{cron: '59 23 31 12 7', tz: America/New_York, misfire: all}",
     "cron /_recipes/in/r/0/{id} create "
     "cron=800000000000000/800000/80000000/1000/1 zone=-14400 misfire=all"},
    {"{cron: '@hourly', tz: UTC}",
     "cron /_recipes/in/r/0/{id} create cron=1/ffffff/fffffffe/1ffe/7f any-day "
     "any-weekday zone=0 misfire=last"},
    {"{cron: '@weekly', tz: +05:45}",
     "cron /_recipes/in/r/0/{id} create cron=1/1/fffffffe/1ffe/1 any-day "
     "zone=20700 misfire=last"},
    {"{cron: '0 0 * feb-apr,12 *', tz: Australia/Lord_Howe, misfire: skip}",
     "cron /_recipes/in/r/0/{id} create cron=1/1/fffffffe/101c/7f any-day "
     "any-weekday zone=37800 misfire=skip"},
    {"at: 2026-12-24T18:00:00Z",
     "at /_recipes/in/r/0/{id} create at=1798135200000ms misfire=last"},
    {"at: 2026-12-24T18:00:00.25+01:00",
     "at /_recipes/in/r/0/{id} create at=1798131600250ms misfire=last"},
    {"{at: '1970-01-01T00:00:00Z', misfire: skip}",
     "at /_recipes/in/r/0/{id} create at=0ms misfire=skip"},
    {"{at: 1969-12-31T23:59:59Z, misfire: all}",
     "at /_recipes/in/r/0/{id} create at=-1000ms misfire=all"},
};

static const struct row webhooks_rows[] = {
    {"webhook: github/push",
     "webhook /_recipes/in/r/0/{id} create path=github/push secret= "
     "header=x-hub-signature-256 remember=86400000ms"},
    {"webhook: A-z.0_9~/x",
     "webhook /_recipes/in/r/0/{id} create path=A-z.0_9~/x secret= "
     "header=x-hub-signature-256 remember=86400000ms"},
    {"webhook: {path: a}",
     "webhook /_recipes/in/r/0/{id} create path=a secret= "
     "header=x-hub-signature-256 remember=86400000ms"},
    {"webhook: {path: a, secret: s.k-1}",
     "webhook /_recipes/in/r/0/{id} create path=a secret=s.k-1 "
     "header=x-hub-signature-256 remember=86400000ms"},
    {"webhook: {path: a, secret: s, header: X-Hub-Signature}",
     "webhook /_recipes/in/r/0/{id} create path=a secret=s "
     "header=x-hub-signature remember=86400000ms"},
    {"webhook: {path: a, dedupe: body.id}",
     "webhook /_recipes/in/r/0/{id} create path=a secret= "
     "header=x-hub-signature-256 remember=86400000ms dedupe=E(body dyn)"},
    {"webhook: {path: a, dedupe: \"headers['x-id'] + labels.team\"}",
     "webhook /_recipes/in/r/0/{id} create path=a secret= "
     "header=x-hub-signature-256 remember=86400000ms dedupe=E(labels headers "
     "dyn)"},
    {"webhook: {dedupe_ttl: 1s, dedupe: string(body), header: H, secret: t, "
     "path: z}",
     "webhook /_recipes/in/r/0/{id} create path=z secret=t header=h "
     "remember=1000ms dedupe=E(body string)"},
};

static const struct row fetches_rows[] = {
    {"feed: {url: 'https://e.org/rss'}",
     "feed /_recipes/in/r/0/{id} create url=\"https://e.org/rss\" "
     "every=300000ms"},
    {"feed: {url: 'http://e.org/', every: 1s}",
     "feed /_recipes/in/r/0/{id} create url=\"http://e.org/\" every=1000ms"},
    {"feed: {url: \"{{secret('feed')}}\"}",
     "feed /_recipes/in/r/0/{id} create url=T( secret()) every=300000ms"},
    {"feed: {url: \"https://{{recipe}}.org/{{labels.x}}\", every: 2h}",
     "feed /_recipes/in/r/0/{id} create url=T(https:// recipe labels) "
     "every=7200000ms"},
    {"feed: {url: \"htt{{secret('rest')}}\"}",
     "feed /_recipes/in/r/0/{id} create url=T(htt secret()) every=300000ms"},
    {"poll: {url: 'https://e.org', id: item.id}",
     "poll /_recipes/in/r/0/{id} create url=\"https://e.org\" every=300000ms "
     "items=E(body dyn) id=E(item dyn)"},
    {"poll: {url: 'https://e.org', every: 15s, items: body.list, id: "
     "\"string(item)\"}",
     "poll /_recipes/in/r/0/{id} create url=\"https://e.org\" every=15000ms "
     "items=E(body dyn) id=E(item string)"},
    {"poll: {id: item, items: \"body.filter(i, i.new)\", url: "
     "'https://e.org/{{recipe}}'}",
     "poll /_recipes/in/r/0/{id} create url=T(https://e.org/ recipe) "
     "every=300000ms items=E(body list) id=E(item dyn)"},
    {"poll: {url: 'https://e.org', items: '[1, 2]', id: \"item + labels.x\"}",
     "poll /_recipes/in/r/0/{id} create url=\"https://e.org\" every=300000ms "
     "items=E(list) id=E(labels item dyn)"},
};

static const struct row others_rows[] = {
    {"recipe: other", "recipe /_recipes/run/other/ create of=other outcomes=1"},
    {"recipe: {name: other}",
     "recipe /_recipes/run/other/ create of=other outcomes=1"},
    {"recipe: {name: o.t-h_3r, outcome: ok}",
     "recipe /_recipes/run/o.t-h_3r/ create of=o.t-h_3r outcomes=1"},
    {"recipe: {outcome: failed, name: other}",
     "recipe /_recipes/run/other/ create of=other outcomes=2"},
    {"recipe: {name: other, outcome: any}",
     "recipe /_recipes/run/other/ create of=other outcomes=b"},
    {"manual: true", "manual /_recipes/in/r/0/{id} create"},
};
/* Each is planned so; and what is stored of it says the same. */
static void expect_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char text[1024];
        struct buf plan = {0};
        snprintf(text, sizeof text, "name: r\nif:\n  - %s\nthen: [{log: hi}]\n",
                 rows[i].text);
        struct recipe *recipe = parse_recipe(text);
        plan_write_trigger(&plan, recipe, &recipe->triggers[0]);
        if (!slice_eq(buf_slice(&plan), slice_str(rows[i].plan)))
            fail_msg("%s\nis    %.*s\nnot   %s", rows[i].text, (int)plan.size,
                     plan.at, rows[i].plan);
        plan_expect_fixed_point(recipe);
        recipe_free(recipe);
        buf_deinit(&plan);
    }
}
#define EXPECT_ROWS(rows) expect_rows(rows, sizeof(rows) / sizeof(rows)[0])

static void a_key_has_events_conditions_and_a_hold(void **state)
{
    (void)state;
    EXPECT_ROWS(keys_rows);
}

static void an_absence_has_a_hold(void **state)
{
    (void)state;
    EXPECT_ROWS(absents_rows);
}

static void clocks_have_a_schedule_and_what_is_missed(void **state)
{
    (void)state;
    EXPECT_ROWS(clocks_rows);
}

static void a_webhook_has_a_path_and_what_it_is_known_by(void **state)
{
    (void)state;
    EXPECT_ROWS(webhooks_rows);
}

static void feeds_and_polls_have_an_address_and_a_pace(void **state)
{
    (void)state;
    EXPECT_ROWS(fetches_rows);
}

static void others_are_told_by_a_name(void **state)
{
    (void)state;
    EXPECT_ROWS(others_rows);
}

/* ---- several ------------------------------------------------------------ */

/* Each in its place: in the inbox, among the kinds, with slots that they
 * share. */
static void triggers_stand_side_by_side(void **state)
{
    (void)state;
    static const char text[] = "name: r\n"
                               "if:\n"
                               "- {key: '/a/{x}/{y}', for: 5s}\n"
                               "- every: 5s\n"
                               "- {absent: '/b/{y}/{z...}', for: 1m}\n"
                               "- {webhook: w}\n"
                               "- {key: '/c/{z}'}\n"
                               "- {recipe: o}\n"
                               "- {manual: true}\n"
                               "let: {m: '{{x}}{{z}}'}\n"
                               "then: {log: '{{m}}'}\n";
    static const char *const plans[] = {
        "key /a/{x}/{y} x@13 y@14 create update for=5000ms",
        "every /_recipes/in/r/1/{id} create every=5000ms misfire=last",
        "absent /b/{y}/{z...} y@14 z@16 create update delete expire "
        "for=60000ms",
        "webhook /_recipes/in/r/3/{id} create path=w secret= "
        "header=x-hub-signature-256 remember=86400000ms",
        "key /c/{z} z@16 create update",
        "recipe /_recipes/run/o/ create of=o outcomes=1",
        "manual /_recipes/in/r/6/{id} create",
        "call /_recipes/in/r/call/{id} create",
    };
    struct recipe *recipe = parse_recipe(text);
    assert_int_equal(recipe->trigger_count, sizeof plans / sizeof plans[0]);
    for (size_t i = 0; i < recipe->trigger_count; i++) {
        struct buf plan = {0};
        plan_write_trigger(&plan, recipe, &recipe->triggers[i]);
        buf_append_char(&plan, '\0');
        assert_string_equal(plan.at, plans[i]);
        buf_deinit(&plan);
    }
    plan_expect_fixed_point(recipe);
    recipe_free(recipe);
}

/* Two slots have no name: those of the inbox. None is found by it. */
static void inbox_captures_have_no_name(void **state)
{
    (void)state;
    struct recipe *recipe;
    struct recipe_fault fault;
    assert_int_equal(recipe_parse(SLICE("name: r\nif: {every: 5s}\n"
                                        "then: {log: '{{id}}'}\n"),
                                  NULL, &recipe, &fault),
                     ERR_INVALID);
    assert_non_null(strstr(fault.text, "unknown name 'id'"));
    /* So a capture of the user's may be called like that. */
    recipe = parse_recipe("name: r\nif: [{every: 5s}, {key: '/a/{id}'}]\n"
                          "then: {log: '{{id}}'}\n");
    assert_true(template_reads(recipe->then[0].message,
                               recipe->triggers[1].capture_slots[0]));
    assert_false(template_reads(recipe->then[0].message,
                                recipe->triggers[0].capture_slots[0]));
    recipe_free(recipe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_has_events_conditions_and_a_hold),
        cmocka_unit_test(an_absence_has_a_hold),
        cmocka_unit_test(clocks_have_a_schedule_and_what_is_missed),
        cmocka_unit_test(a_webhook_has_a_path_and_what_it_is_known_by),
        cmocka_unit_test(feeds_and_polls_have_an_address_and_a_pace),
        cmocka_unit_test(others_are_told_by_a_name),
        cmocka_unit_test(triggers_stand_side_by_side),
        cmocka_unit_test(inbox_captures_have_no_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
