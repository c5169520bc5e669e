/* A recipe over a past that is given: time passes between the events, actions
 * outside are answered, nothing is committed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "base/check.h"
#include "recipe/explain.h"

#define SECOND INT64_C(1000000000)
#define BEGIN (INT64_C(1790000000) * SECOND)

struct trial {
    struct recipe *recipe;
    struct backtest *backtest;
    struct lookups lookups;
    struct lookup found;
    bool is_shy; /* what is looked up is known when asked again */
    uint64_t known[1000];
    size_t wanted;
    int64_t revision;
    struct arena arena;
    struct buf json;
};

/* All that is looked up is "at <revision>", but for what has "none" in it. */
static const struct lookup *look(void *context, int kind, int64_t revision,
                                 struct slice key)
{
    struct trial *trial = context;
    uint64_t id = slice_hash(key, (uint64_t)revision * 2 + (uint64_t)kind);
    size_t at = 0;
    while (at < trial->wanted && trial->known[at] != id)
        at++;
    if (trial->is_shy && at == trial->wanted) {
        CHECK_LT(trial->wanted, sizeof trial->known / sizeof trial->known[0]);
        trial->known[trial->wanted++] = id;
        return NULL;
    }
    bool is_none = memmem(key.at, key.size, "none", 4) != NULL;
    char *text = arena_printf(&trial->arena, "at %lld", (long long)revision);
    trial->found =
        (struct lookup){.revision = revision,
                        .key = key,
                        .found = is_none ? LOOKUP_NONE : LOOKUP_FOUND,
                        .value = slice_str(is_none ? "" : text),
                        .count = is_none ? 0 : 1};
    trial->found.kind = kind == LOOKUP_COUNT ? LOOKUP_COUNT : LOOKUP_GET;
    return &trial->found;
}

static void open_trial(struct trial *trial, const char *yaml, int64_t length_ns,
                       bool own_ticks)
{
    struct recipe_fault fault;
    *trial = (struct trial){.revision = 10};
    trial->lookups = (struct lookups){.context = trial, .find = look};
    arena_init(&trial->arena, 0);
    enum err err = recipe_parse(slice_str(yaml), NULL, &trial->recipe, &fault);
    if (err)
        fail_msg("%s: %s", fault.path, fault.text);
    const struct backtest_config config = {
        .machine = {.recipe = trial->recipe, .uid = 3, .seed = 1},
        .from_ns = BEGIN,
        .to_ns = BEGIN + length_ns,
        .own_ticks = own_ticks};
    trial->backtest = backtest_new(&config);
    err = machine_load_cursor(backtest_machine(trial->backtest), SLICE(""),
                              trial->revision);
    assert_int_equal(err, ERR_OK);
}

static void close_trial(struct trial *trial)
{
    backtest_free(trial->backtest);
    recipe_free(trial->recipe);
    arena_deinit(&trial->arena);
    buf_deinit(&trial->json);
}

/* It is told again until it is taken, as the runner does. */
static void give(struct trial *trial, size_t trigger, int64_t at_ns,
                 const char *key, const char *value)
{
    const struct recipe_event event = {.id = {.revision = ++trial->revision},
                                       .time_ns = BEGIN + at_ns,
                                       .type = EVENT_UPDATE,
                                       .cause = SLICE("put"),
                                       .key = slice_str(key),
                                       .raw = slice_str(value),
                                       .mod_revision = trial->revision};
    for (int tries = 0;; tries++) {
        assert_true(tries < 100000);
        if (backtest_event(trial->backtest, trigger, &event, &trial->lookups) ==
            TURN_TAKEN)
            return;
    }
}

static void end(struct trial *trial)
{
    for (int tries = 0;; tries++) {
        assert_true(tries < 100000);
        if (backtest_end(trial->backtest, &trial->lookups) == TURN_TAKEN)
            break;
    }
    buf_reset(&trial->json);
    backtest_write(trial->backtest, &trial->json);
    buf_append_char(&trial->json, '\0');
}

static size_t times(const struct trial *trial, const char *words)
{
    size_t count = 0;
    for (const char *at = trial->json.at; (at = strstr(at, words)) != NULL;
         at++)
        count++;
    return count;
}

static void assert_has(const struct trial *trial, const char *words)
{
    if (times(trial, words) == 0)
        fail_msg("no %s in %s", words, trial->json.at);
}

/* ---- events -------------------------------------------------------------- */

static void nothing_happens_to_nobody(void **state)
{
    struct trial trial;
    const struct run_id *runs;
    (void)state;
    open_trial(&trial,
               "name: t\nif: [{key: '/a/{x}'}]\n"
               "then: [{put: {key: /b, value: x}}]",
               3600 * SECOND, false);
    end(&trial);
    assert_string_equal(
        trial.json.at,
        "{\"runs\":[],\"run_count\":0,\"effects\":[],\"effect_count\":0,"
        "\"fired\":0,\"skipped\":0,\"failed\":0,\"loops\":0,"
        "\"per_hour\":0.000}");
    assert_int_equal(backtest_runs(trial.backtest, &runs), 0);
    close_trial(&trial);
}

static void events_have_their_effects(void **state)
{
    struct trial trial;
    const struct run_id *runs;
    (void)state;
    open_trial(&trial,
               "name: t\nif: [{key: '/a/{x}'}]\nwhere: ['value != 2']\n"
               "then:\n"
               "  - put: {key: '/b/{{x}}', value: '{{raw}}'}\n"
               "  - delete: {key: '/c/{{x}}'}\n"
               "  - delete: {key: '/d/', prefix: true}\n",
               1800 * SECOND, false);
    give(&trial, 0, 0, "/a/1", "1");
    give(&trial, 0, SECOND, "/a/2", "2");
    give(&trial, 0, SECOND, "/a/3", "3");
    end(&trial);
    assert_has(&trial, "\"fired\":2,\"skipped\":1,\"failed\":0");
    assert_has(&trial, "\"effect_count\":6");
    assert_has(&trial, "{\"put\":\"/b/3\",\"value\":\"3\"}");
    assert_has(&trial, "{\"delete\":\"/c/1\"}");
    assert_has(&trial, "{\"delete_prefix\":\"/d/\"}");
    assert_has(&trial, "\"per_hour\":4.000");
    assert_int_equal(backtest_runs(trial.backtest, &runs), 2);
    assert_int_equal(runs[0].revision, 11);
    assert_int_equal(runs[1].revision, 13);
    close_trial(&trial);
}

static void a_run_that_fails(void **state)
{
    struct trial trial;
    (void)state;
    open_trial(&trial,
               "name: t\nif: [{key: '/a/{x}'}]\n"
               "then: [{put: {key: /b, value: '{{value.none}}'}}]\n"
               "on_failure: [{put: {key: /sorry, value: x}}]",
               SECOND, false);
    give(&trial, 0, 0, "/a/1", "{}");
    end(&trial);
    assert_has(&trial, "\"failed\":1");
    assert_has(&trial, "\"status\":\"failed\"");
    assert_has(&trial, "{\"put\":\"/sorry\"");
    close_trial(&trial);
}

static void values_are_shown_in_part_and_any_bytes(void **state)
{
    struct trial trial;
    char large[20000];
    (void)state;
    memset(large, 'x', sizeof large);
    large[sizeof large - 1] = '\0';
    open_trial(&trial,
               "name: t\nif: [{key: '/a/{x}'}]\n"
               "then: [{put: {key: '/b/{{x}}', value: '{{raw}}'}}]",
               SECOND, false);
    give(&trial, 0, 0, "/a/1", large);
    give(&trial, 0, 0, "/a/2", "\xff\xfe");
    end(&trial);
    assert_has(&trial, "\"effect_count\":2");
    assert_true(trial.json.size < 8000);
    assert_true(slice_is_utf8(buf_slice(&trial.json)));
    close_trial(&trial);
}

/* ---- time ---------------------------------------------------------------- */

static void holds_fire_when_they_have_held(void **state)
{
    struct trial trial;
    const struct run_id *runs;
    (void)state;
    open_trial(&trial,
               "name: t\n"
               "if: [{key: '/a/{x}', crosses: {of: value, above: 5}, for: 10s}]"
               "\nthen: [{put: {key: '/b/{{x}}', value: x}}]",
               60 * SECOND, false);
    give(&trial, 0, 0, "/a/1", "9");      /* holds */
    give(&trial, 0, SECOND, "/a/2", "9"); /* is broken */
    give(&trial, 0, 9 * SECOND, "/a/2", "1");
    give(&trial, 0, 30 * SECOND, "/a/3", "9"); /* holds */
    give(&trial, 0, 55 * SECOND, "/a/4", "9"); /* the end comes first */
    end(&trial);
    assert_has(&trial, "\"fired\":2");
    assert_has(&trial, "\"put\":\"/b/1\"");
    assert_has(&trial, "\"put\":\"/b/3\"");
    assert_int_equal(backtest_runs(trial.backtest, &runs), 2);
    assert_int_equal(runs[0].tag, RUN_TAG_DUE);
    close_trial(&trial);
}

static void waits_end_and_actions_outside_are_answered(void **state)
{
    struct trial trial;
    (void)state;
    open_trial(&trial,
               "name: t\nif: [{key: '/a/{x}'}]\nthen:\n"
               "  - id: call\n    http: {url: 'http://x/{{x}}'}\n"
               "  - wait: 5s\n"
               "  - put: {key: '/b/{{x}}', value: '{{steps.call.status}}'}\n",
               60 * SECOND, false);
    give(&trial, 0, 0, "/a/1", "1");
    give(&trial, 0, 58 * SECOND, "/a/2", "1"); /* waits at the end */
    end(&trial);
    assert_int_equal(times(&trial, "{\"http\":\"call\"}"), 2);
    assert_has(&trial, "{\"put\":\"/b/1\",\"value\":\"200\"}");
    assert_int_equal(times(&trial, "\"put\":\"/b/2\""), 0);
    assert_has(&trial, "\"run_count\":2");
    assert_int_equal(times(&trial, "\"status\":\"ok\",\"steps\""), 1);
    close_trial(&trial);
}

static void limits_count_in_the_events_time(void **state)
{
    struct trial trial;
    (void)state;
    open_trial(&trial,
               "name: t\nif: [{key: '/a/{x}'}]\n"
               "throttle: {count: 2, per: 10s}\n"
               "then: [{put: {key: /b, value: '{{x}}'}}]",
               60 * SECOND, false);
    for (int i = 0; i < 8; i++)
        give(&trial, 0, i * 3 * SECOND, "/a/1", "1");
    end(&trial);
    /* At 0 and 3, 12 and 15, and at 21 none but 12's place is taken. */
    assert_has(&trial, "\"fired\":4,\"skipped\":4");
    close_trial(&trial);
}

/* ---- ticks --------------------------------------------------------------- */

static void ticks_of_its_own(void **state)
{
    struct trial trial;
    (void)state;
    open_trial(&trial,
               "name: t\nif: [{every: 10s}, {every: 15s}]\n"
               "then: [{put: {key: /b, value: \"{{get('/k')}}\"}}]\n"
               "order: none",
               60 * SECOND, true);
    end(&trial);
    /* 10 20 30 40 50 60 and 15 30 45 60: none is left out where they meet. */
    assert_has(&trial, "\"fired\":10");
    assert_has(&trial, "\"failed\":0");
    close_trial(&trial);
}

static void ticks_of_history_are_passed_over_then(void **state)
{
    struct trial trial;
    (void)state;
    for (int own = 0; own < 2; own++) {
        open_trial(&trial,
                   "name: t\nif: [{every: 1h}]\n"
                   "then: [{put: {key: /b, value: x}}]",
                   60 * SECOND, own);
        give(&trial, 0, SECOND, "/_recipes/in/t/0/2026-09-21T15:00:00Z",
             "{\"time\":\"2026-09-21T15:00:00Z\","
             "\"scheduled\":\"2026-09-21T15:00:00Z\"}");
        end(&trial);
        assert_has(&trial, own ? "\"fired\":0" : "\"fired\":1");
        close_trial(&trial);
    }
}

/* ---- what has to be fetched ---------------------------------------------- */

/* Whatever waits for a lookup, in an event, a tick, a hold or behind an answer
 * from outside: it comes out the same, and nothing is told twice. */
static void lookups_may_be_late(void **state)
{
    static const char *const yaml =
        "name: t\nif: [{key: '/a/{x}'}, {every: 20s}]\n"
        "where: [\"!exists('/none')\"]\n"
        "then:\n"
        "  - id: call\n    http: {url: \"http://x/{{get('/u')}}\"}\n"
        "  - put: {key: /b, value: \"{{get('/k')}} {{count('/p/')}}\"}\n"
        "  - wait: 3s\n"
        "  - put: {key: /c, value: \"{{get('/l')}}\"}\n"
        "order: none\n";
    struct buf texts[2] = {{0}, {0}};
    (void)state;
    for (int shy = 0; shy < 2; shy++) {
        struct trial trial;
        open_trial(&trial, yaml, 100 * SECOND, true);
        trial.is_shy = shy;
        for (int i = 0; i < 10; i++)
            give(&trial, 0, i * 7 * SECOND, i % 2 ? "/a/1" : "/a/2", "1");
        end(&trial);
        assert_int_equal(trial.wanted > 0, shy);
        assert_has(&trial, "\"fired\":15");
        assert_int_equal(times(&trial, "{\"http\":\"call\"}"), 15);
        /* The last tick waits still when the end comes. */
        assert_int_equal(times(&trial, "{\"put\":\"/c\""), 14);
        buf_append_slice(&texts[shy], buf_slice(&trial.json));
        close_trial(&trial);
    }
    assert_string_equal(texts[0].at, texts[1].at);
    buf_deinit(&texts[0]);
    buf_deinit(&texts[1]);
}

/* ---- bounds -------------------------------------------------------------- */

/* A day of seconds isn't one step: others have their turn between. */
static void a_long_time_comes_in_steps(void **state)
{
    struct trial trial;
    size_t steps = 0;
    (void)state;
    open_trial(&trial,
               "name: t\nif: [{every: 1s}]\n"
               "then: [{log: x}]",
               40000 * SECOND, true);
    while (backtest_end(trial.backtest, &trial.lookups) != TURN_TAKEN)
        steps++;
    assert_true(steps > 1);
    end(&trial);
    assert_has(&trial, "\"fired\":40000");
    assert_has(&trial, "\"run_count\":40000");
    /* Told one by one up to a bound, and counted beyond. */
    assert_int_equal(times(&trial, "\"status\":\"ok\",\"steps\""), 10000);
    close_trial(&trial);
}

/* A loop is stopped by its breaker here too, and said. */
static void a_loop_trips(void **state)
{
    struct trial trial;
    (void)state;
    open_trial(&trial,
               "name: t\nif: [{key: '/a/{x}'}]\n"
               "loop: {reentrant: true, max_depth: 8}\n"
               "then: [{put: {key: '/a/{{x}}', value: x}}]",
               60 * SECOND, false);
    for (int i = 0; i < 1100; i++) {
        const struct recipe_event event = {.id = {.revision = ++trial.revision},
                                           .time_ns = BEGIN + i,
                                           .type = EVENT_UPDATE,
                                           .cause = SLICE("recipe"),
                                           .key = SLICE("/a/1"),
                                           .raw = SLICE("x"),
                                           .mod_revision = trial.revision,
                                           .depth = 1,
                                           .parent = SLICE("t/5")};
        while (backtest_event(trial.backtest, 0, &event, &trial.lookups) !=
               TURN_TAKEN)
            ;
    }
    end(&trial);
    assert_has(&trial, "\"tripped\":\"loop: more than 1000 runs");
    assert_has(&trial, "\"fired\":1000");
    close_trial(&trial);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_happens_to_nobody),
        cmocka_unit_test(events_have_their_effects),
        cmocka_unit_test(a_run_that_fails),
        cmocka_unit_test(values_are_shown_in_part_and_any_bytes),
        cmocka_unit_test(holds_fire_when_they_have_held),
        cmocka_unit_test(waits_end_and_actions_outside_are_answered),
        cmocka_unit_test(limits_count_in_the_events_time),
        cmocka_unit_test(ticks_of_its_own),
        cmocka_unit_test(ticks_of_history_are_passed_over_then),
        cmocka_unit_test(lookups_may_be_late),
        cmocka_unit_test(a_long_time_comes_in_steps),
        cmocka_unit_test(a_loop_trips),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
