/* Explain, backtest, and resume from elsewhere, as a person uses them: why,
 * why not, what would have been, and all that can't be asked. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "rest_world.h"

#define SECOND INT64_C(1000000000)

static int setup(void **state)
{
    *state = rest_scene_new(19);
    return 0;
}

static int teardown(void **state)
{
    rest_scene_free(*state);
    return 0;
}

#define ASKING (&((struct rest_scene *)*state)->asking)
#define WORLD (&((struct rest_scene *)*state)->world)

#define DISK                                                                 \
    "name: disk\n"                                                           \
    "if: [{key: '/m/{host}', crosses: {of: value, above: 90, reset: 80}}]\n" \
    "where: [\"!exists('/muted/' + host)\"]\n"                               \
    "then: [{put: {key: '/alert/{{host}}', value: 'disk {{value}}'}}]\n"

static int explain(void **state, const char *recipe, int64_t revision)
{
    char target[96];
    (void)snprintf(target, sizeof target, "explain?recipe=%s&revision=%lld",
                   recipe, (long long)revision);
    return rest_ask(ASKING, "GET", target, NULL);
}

static int64_t put(void **state, const char *key, const char *value)
{
    int64_t revision = world_put(WORLD, key, value);
    world_run(WORLD, SECOND);
    return revision;
}

/* ---- explain ------------------------------------------------------------- */

static void test_why_and_why_not(void **state)
{
    rest_define(ASKING, "disk", DISK);
    (void)put(state, "/m/a", "50");
    int64_t rises = put(state, "/m/a", "95");
    int64_t stays = put(state, "/m/a", "97");
    (void)put(state, "/muted/b", "1");
    (void)put(state, "/m/b", "10");
    int64_t muted = put(state, "/m/b", "99");
    int64_t other = put(state, "/else", "1");
    assert_int_equal(explain(state, "disk", rises), 200);
    assert_string_equal(rest_at(ASKING, "taken"), "true");
    assert_true(rest_number(ASKING, "taken_at") > rises);
    assert_string_equal(rest_at(ASKING, "accounts"), "1");
    assert_string_equal(rest_at(ASKING, "accounts.0.outcome"), "fired");
    assert_string_equal(rest_at(ASKING, "accounts.0.key"), "/m/a");
    assert_int_equal(rest_number(ASKING, "accounts.0.event.revision"), rises);
    assert_true(rest_number(ASKING, "accounts.0.checks") >= 2);
    assert_int_equal(explain(state, "disk", stays), 200);
    assert_string_equal(rest_at(ASKING, "accounts.0.outcome"),
                        "not fired: the trigger is false");
    assert_int_equal(explain(state, "disk", muted), 200);
    assert_string_equal(rest_at(ASKING, "accounts.0.outcome"),
                        "condition 1 is false");
    assert_int_equal(explain(state, "disk", other), 200);
    assert_string_equal(rest_at(ASKING, "accounts"), "0");
    assert_string_equal(rest_at(ASKING, "changed.0.key"), "/else");
    assert_non_null(strstr(rest_at(ASKING, "outcome"), "no trigger"));
}

/* What was muted then is muted in its account, whatever it is now. */
static void test_conditions_see_what_was(void **state)
{
    rest_define(ASKING, "disk", DISK);
    (void)put(state, "/muted/a", "1");
    int64_t revision = put(state, "/m/a", "95");
    world_delete(WORLD, "/muted/a");
    world_run(WORLD, SECOND);
    assert_int_equal(explain(state, "disk", revision), 200);
    assert_string_equal(rest_at(ASKING, "accounts.0.outcome"),
                        "condition 1 is false");
}

/* The definition that was there then, not the one of now. */
static void test_the_version_of_then(void **state)
{
    rest_define(ASKING, "disk", DISK);
    int64_t revision = put(state, "/m/a", "95");
    rest_define(ASKING, "disk",
                "name: disk\nif: [{key: '/other/{x}'}]\n"
                "then: [{delete: {key: /x}}]");
    assert_int_equal(explain(state, "disk", revision), 200);
    assert_string_equal(rest_at(ASKING, "accounts.0.outcome"), "fired");
}

static void test_before_the_recipe_was(void **state)
{
    int64_t revision = put(state, "/m/a", "95");
    rest_define(ASKING, "disk", DISK);
    assert_int_equal(explain(state, "disk", revision), 200);
    assert_string_equal(rest_at(ASKING, "accounts"), "0");
    assert_string_not_equal(rest_at(ASKING, "outcome"), "");
}

static void test_while_it_is_paused(void **state)
{
    rest_define(ASKING, "disk", DISK);
    assert_int_equal(rest_ask(ASKING, "POST", "defs/disk/pause", NULL), 200);
    world_run(WORLD, SECOND);
    int64_t revision = put(state, "/m/a", "95");
    assert_int_equal(explain(state, "disk", revision), 200);
    assert_string_equal(rest_at(ASKING, "taken"), "false");
    assert_string_equal(rest_at(ASKING, "state"), "paused");
    assert_string_equal(rest_at(ASKING, "accounts.0.outcome"), "fired");
    assert_int_equal(world_count(WORLD, "/alert/"), 0);
}

static void test_what_cant_be_explained(void **state)
{
    rest_define(ASKING, "disk", DISK);
    int64_t revision = put(state, "/m/a", "95");
    assert_int_equal(explain(state, "none", revision), 404);
    assert_int_equal(rest_ask(ASKING, "GET", "explain", NULL), 400);
    assert_int_equal(rest_ask(ASKING, "GET", "explain?recipe=disk", NULL), 400);
    assert_int_equal(
        rest_ask(ASKING, "GET", "explain?recipe=disk&revision=x", NULL), 400);
    int status = explain(state, "disk", 99999);
    assert_true(status == 400 || status == 404);
    assert_int_equal(explain(state, "disk", INT64_MAX), 400);
    memory_store_compact(&WORLD->store, WORLD->store.revision);
    assert_int_equal(explain(state, "disk", revision), 410);
    assert_string_equal(rest_code(ASKING), "compacted");
}

static void test_a_store_without_history(void **state)
{
    struct world *world = WORLD;
    world_kill(world, 0);
    world->is_etched = false;
    world_start(world, 0);
    world_run(world, 3 * SECOND);
    rest_define(ASKING, "disk", DISK);
    assert_int_equal(explain(state, "disk", 5), 501);
    assert_int_equal(
        rest_ask(ASKING, "POST", "backtest", "{\"recipe\": \"disk\"}"), 501);
    assert_string_equal(rest_code(ASKING), "unsupported");
}

/* ---- backtest ------------------------------------------------------------ */

static void test_the_running_version(void **state)
{
    rest_define(ASKING, "disk", DISK);
    (void)put(state, "/m/a", "95");
    (void)put(state, "/m/a", "10");
    (void)put(state, "/m/a", "96");
    int64_t before = WORLD->store.revision;
    assert_int_equal(
        rest_ask(ASKING, "POST", "backtest", "{\"recipe\": \"disk\"}"), 200);
    assert_int_equal(WORLD->store.revision, before); /* nothing is written */
    assert_string_equal(rest_at(ASKING, "recipe"), "disk");
    assert_string_equal(rest_at(ASKING, "would.fired"), "2");
    assert_string_equal(rest_at(ASKING, "would.run_count"), "2");
    assert_string_equal(rest_at(ASKING, "would.effect_count"), "2");
    assert_string_equal(rest_at(ASKING, "would.effects.0.put"), "/alert/a");
    assert_string_equal(rest_at(ASKING, "would.runs.0.status"), "ok");
    assert_string_equal(rest_at(ASKING, "difference.both"), "2");
    assert_string_equal(rest_at(ASKING, "difference.only_draft"), "0");
    assert_string_equal(rest_at(ASKING, "difference.only_past"), "0");
    assert_string_not_equal(rest_at(ASKING, "from_time"), "");
}

static void test_a_draft_beside_it(void **state)
{
    rest_define(ASKING, "disk", DISK);
    (void)put(state, "/m/a", "85");
    (void)put(state, "/m/a", "95");
    (void)put(state, "/m/b", "99");
    assert_int_equal(
        rest_ask(ASKING, "POST", "backtest",
                 "recipe:\n"
                 "  name: disk\n"
                 "  if: [{key: '/m/a'}]\n"
                 "  then: [{put: {key: '/warn', value: '{{value}}'}}]\n"),
        200);
    assert_string_equal(rest_at(ASKING, "would.fired"), "2");
    assert_string_equal(rest_at(ASKING, "difference.only_draft"), "1");
    assert_string_equal(rest_at(ASKING, "difference.only_past"), "1");
    assert_string_equal(rest_at(ASKING, "difference.both"), "1");
    /* One of another name has no past. */
    assert_int_equal(
        rest_ask(ASKING, "POST", "backtest",
                 "{\"recipe\": \"name: new\\nif: [{key: '/m/{x}'}]\\n"
                 "then: [{http: {url: 'http://x/'}}]\"}"),
        200);
    assert_string_equal(rest_at(ASKING, "would.fired"), "3");
    assert_string_equal(rest_at(ASKING, "would.effects.0.http"), "0");
    assert_string_equal(rest_at(ASKING, "difference.both"), "0");
    assert_int_equal(world_count(WORLD, "/warn"), 0);
    assert_int_equal(WORLD->acted.size, 0);
}

static void test_a_draft_with_a_clock_makes_its_ticks(void **state)
{
    (void)put(state, "/x", "1");
    world_run(WORLD, 60 * SECOND);
    (void)put(state, "/x", "2");
    assert_int_equal(
        rest_ask(ASKING, "POST", "backtest",
                 "recipe: {name: t, if: [{every: 5s}],"
                 " then: [{put: {key: /t, value: \"{{get('/x')}}\"}}]}\n"
                 "from: 31s\n"
                 "to: 1s\n"),
        200);
    assert_string_equal(rest_at(ASKING, "would.fired"), "6");
    assert_string_equal(rest_at(ASKING, "would.failed"), "0");
}

/* A hold that began within the span and ended behind it isn't of it. */
static void test_a_hold_over_the_end(void **state)
{
    rest_define(ASKING, "hold",
                "name: hold\nif: [{key: '/h/{x}', for: 20s}]\n"
                "then: [{put: {key: /held, value: '{{x}}'}}]\n");
    int64_t first = put(state, "/h/a", "1");
    int64_t last = put(state, "/h/b", "1");
    world_run(WORLD, 60 * SECOND);
    assert_int_equal(world_puts(WORLD, "/held"), 2);
    char body[128];
    (void)snprintf(body, sizeof body,
                   "{\"recipe\":\"hold\",\"from\":%lld,\"to\":%lld}",
                   (long long)first, (long long)last);
    assert_int_equal(rest_ask(ASKING, "POST", "backtest", body), 200);
    assert_string_equal(rest_at(ASKING, "difference.only_past"), "0");
    assert_string_equal(rest_at(ASKING, "difference.both"), "0");
    (void)snprintf(body, sizeof body, "{\"recipe\":\"hold\",\"from\":%lld}",
                   (long long)first);
    assert_int_equal(rest_ask(ASKING, "POST", "backtest", body), 200);
    assert_string_equal(rest_at(ASKING, "difference.both"), "2");
}

/* Records that are kept no more, and runs that haven't ended, took place. */
static void test_what_took_place_is_told_by_history(void **state)
{
    rest_define(ASKING, "few",
                "name: few\nif: [{key: '/f/{x}'}]\nkeep: {runs: 1}\n"
                "then: [{put: {key: /done, value: '{{x}}'}}]\n");
    rest_define(ASKING, "slow",
                "name: slow\nif: [{key: '/f/{x}'}]\n"
                "then: [{wait: 1h}, {put: {key: /slow, value: '{{x}}'}}]\n");
    for (int i = 0; i < 5; i++)
        (void)put(state, "/f/a", "1");
    world_run(WORLD, 100 * SECOND);
    assert_int_equal(world_count(WORLD, "/_recipes/run/few/"), 1);
    assert_int_equal(
        rest_ask(ASKING, "POST", "backtest", "{\"recipe\": \"few\"}"), 200);
    assert_string_equal(rest_at(ASKING, "difference.both"), "5");
    assert_string_equal(rest_at(ASKING, "difference.only_draft"), "0");
    assert_int_equal(
        rest_ask(ASKING, "POST", "backtest", "{\"recipe\": \"slow\"}"), 200);
    assert_string_equal(rest_at(ASKING, "difference.both"), "5");
    assert_string_equal(rest_at(ASKING, "difference.only_draft"), "0");
}

static void test_what_cant_be_tried(void **state)
{
    static const char *const bad[] = {
        "",
        "{\"recipe\": 7}",
        "{\"recipe\": {\"name\": \"x\"}}",
        "{\"recipe\": \"not: a recipe\"}",
        "{\"recipe\": \"disk\", \"from\": 0}",
        "{\"recipe\": \"disk\", \"from\": \"noon\"}",
        "{\"recipe\": \"disk\", \"to\": -5}",
        "{\"recipe\": \"disk\", \"form\": 5}",
        "{\"recipe\": \"disk\", \"from\": 9, \"to\": 3}",
        "{\"recipe\": ",
    };
    rest_define(ASKING, "disk", DISK);
    for (int i = 0; i < 9; i++)
        (void)put(state, "/m/a", "95");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (rest_ask(ASKING, "POST", "backtest", bad[i]) != 400)
            fail_msg("%s: %s", bad[i], rest_text(ASKING));
    assert_int_equal(
        rest_ask(ASKING, "POST", "backtest", "{\"recipe\": \"none\"}"), 404);
    memory_store_compact(&WORLD->store, 10);
    assert_int_equal(rest_ask(ASKING, "POST", "backtest",
                              "{\"recipe\": \"disk\", \"from\": 5}"),
                     410);
    /* From the oldest there is. */
    assert_int_equal(
        rest_ask(ASKING, "POST", "backtest",
                 "{\"recipe\": {\"name\": \"n\", \"if\": [{\"key\": \"/m/a\"}],"
                 " \"then\": [{\"delete\": {\"key\": \"/y\"}}]}}"),
        200);
    assert_true(rest_number(ASKING, "from") > 10);
}

/* ---- bounds -------------------------------------------------------------- */

static void test_no_more_than_four_at_once(void **state)
{
    static const char *const body = "{\"recipe\": \"disk\"}";
    uint64_t ids[5];
    rest_define(ASKING, "disk", DISK);
    for (int i = 0; i < 5; i++)
        ids[i] = rest_send(ASKING, "POST", "backtest", NULL, slice_str(body));
    assert_int_equal(rest_read(ASKING, ids[4]), 1);
    assert_int_equal(ASKING->status, 429);
    assert_string_equal(rest_code(ASKING), "busy");
    rest_leave(ASKING, ids[0]);
    ids[4] = rest_send(ASKING, "POST", "backtest", NULL, slice_str(body));
    assert_int_equal(rest_read(ASKING, ids[4]), 0);
    for (int i = 0; i < 20; i++) {
        world_run(WORLD, SECOND);
        (void)rest_ask(ASKING, "GET", "secrets", NULL);
    }
    for (int i = 1; i < 5; i++) {
        assert_int_equal(rest_read(ASKING, ids[i]), 1);
        assert_int_equal(ASKING->status, 200);
    }
    assert_int_equal(rest_read(ASKING, ids[0]), 0);
    assert_int_equal(rest_ask(ASKING, "POST", "backtest", body), 200);
}

/* History comes in parts; where one ends within a revision it is read again,
 * and one that is larger than a part is taken whole. */
static void test_revisions_larger_than_a_part(void **state)
{
    char key[32];
    rest_define(ASKING, "count",
                "name: count\nif: [{key: '/big/{x}', events: [delete]}]\n"
                "then: [{put: {key: '/sum/{{x}}', value: '{{prev}}'}}]\n"
                "keep: {runs: 100000}\n");
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 700; i++) {
            (void)snprintf(key, sizeof key, "/big/%d", i);
            world_put(WORLD, key, "v");
        }
        world_run(WORLD, 5 * SECOND);
        /* One revision with 700 events: leases end together. */
        struct store_reply reply;
        Etcdserverpb__DeleteRangeRequest range =
            ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
        Etcdserverpb__RequestOp op = ETCDSERVERPB__REQUEST_OP__INIT;
        Etcdserverpb__RequestOp *ops[] = {&op};
        Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT;
        struct buf request = {0};
        range.key = message_data(SLICE("/big/"));
        range.range_end = message_data(SLICE("/big0"));
        op.request_case =
            ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
        op.request_delete_range = &range;
        txn.success = ops;
        txn.n_success = 1;
        message_encode(&txn.base, &request);
        memory_store_txn(&WORLD->store, buf_slice(&request), "delete", &reply);
        buf_deinit(&request);
        buf_deinit(&reply.message);
        world_run(WORLD, 20 * SECOND);
    }
    assert_int_equal(world_puts(WORLD, "/sum/699"), 3);
    assert_int_equal(
        rest_ask(ASKING, "POST", "backtest", "{\"recipe\": \"count\"}"), 200);
    assert_string_equal(rest_at(ASKING, "would.fired"), "2100");
    assert_string_equal(rest_at(ASKING, "difference.both"), "2100");
    assert_string_equal(rest_at(ASKING, "difference.only_draft"), "0");
}

static void test_a_client_that_goes_in_the_middle(void **state)
{
    rest_define(ASKING, "disk", DISK);
    for (int i = 0; i < 30; i++)
        (void)put(state, "/m/a", i % 2 ? "95" : "10");
    for (int64_t ns = 0; ns < 40 * SECOND / 1000; ns += SECOND / 1000) {
        uint64_t id = rest_send(ASKING, "POST", "backtest", NULL,
                                SLICE("{\"recipe\": \"disk\"}"));
        uint64_t other = rest_send(
            ASKING, "GET", "explain?recipe=disk&revision=20", NULL, SLICE(""));
        world_run(WORLD, ns);
        rest_leave(ASKING, id);
        rest_leave(ASKING, other);
    }
    /* None of them is counted any more. */
    assert_int_equal(
        rest_ask(ASKING, "POST", "backtest", "{\"recipe\": \"disk\"}"), 200);
}

static void test_the_store_goes_away_in_the_middle(void **state)
{
    rest_define(ASKING, "disk", DISK);
    for (int i = 0; i < 10; i++)
        (void)put(state, "/m/a", i % 2 ? "95" : "10");
    WORLD->faults.lost = 150;
    for (int i = 0; i < 40; i++) {
        int status =
            rest_ask(ASKING, "POST", "backtest", "{\"recipe\": \"disk\"}");
        assert_true(status == 200 || status == 503);
        status = explain(state, "disk", 12);
        assert_true(status == 200 || status == 503);
    }
}

/* ---- resume from elsewhere ----------------------------------------------- */

static void pause(void **state, const char *name)
{
    char target[64];
    (void)snprintf(target, sizeof target, "defs/%s/pause", name);
    assert_int_equal(rest_ask(ASKING, "POST", target, NULL), 200);
    world_run(WORLD, SECOND);
}

static void test_resume_from_now_or_from_a_revision(void **state)
{
    char body[64];
    rest_define(ASKING, "copy",
                "name: copy\nif: [{key: '/c/{x}'}]\n"
                "then: [{put: {key: '/d', value: '{{raw}}'}}]\n");
    pause(state, "copy");
    int64_t lost = put(state, "/c/a", "lost");
    assert_int_equal(
        rest_ask(ASKING, "POST", "defs/copy/resume", "{\"from\": \"now\"}"),
        200);
    world_run(WORLD, 3 * SECOND);
    assert_int_equal(world_puts(WORLD, "/d"), 0);
    (void)put(state, "/c/a", "kept");
    assert_int_equal(world_puts(WORLD, "/d"), 1);
    pause(state, "copy");
    (void)snprintf(body, sizeof body, "{\"from\": %lld}", (long long)lost);
    assert_int_equal(rest_ask(ASKING, "POST", "defs/copy/resume", body), 200);
    world_run(WORLD, 3 * SECOND);
    assert_int_equal(world_puts(WORLD, "/d"), 3);
    assert_true(slice_eq(world_get(WORLD, "/d"), SLICE("kept")));
}

static void test_resume_that_cant_be(void **state)
{
    rest_define(ASKING, "disk", DISK);
    assert_int_equal(
        rest_ask(ASKING, "POST", "defs/disk/resume", "{\"from\": \"now\"}"),
        409);
    assert_string_equal(rest_code(ASKING), "running");
    pause(state, "disk");
    assert_int_equal(rest_ask(ASKING, "POST", "defs/disk/resume",
                              "{\"from\": \"yesterday\"}"),
                     400);
    assert_int_equal(
        rest_ask(ASKING, "POST", "defs/disk/resume", "{\"form\": \"now\"}"),
        400);
    assert_int_equal(rest_ask(ASKING, "GET", "defs/disk", NULL), 200);
    assert_string_equal(rest_at(ASKING, "status.state"), "paused");
    assert_int_equal(rest_ask(ASKING, "POST", "defs/disk/resume", NULL), 200);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_why_and_why_not),
        TEST(test_conditions_see_what_was),
        TEST(test_the_version_of_then),
        TEST(test_before_the_recipe_was),
        TEST(test_while_it_is_paused),
        TEST(test_what_cant_be_explained),
        TEST(test_a_store_without_history),
        TEST(test_the_running_version),
        TEST(test_a_draft_beside_it),
        TEST(test_a_draft_with_a_clock_makes_its_ticks),
        TEST(test_a_hold_over_the_end),
        TEST(test_what_took_place_is_told_by_history),
        TEST(test_what_cant_be_tried),
        TEST(test_no_more_than_four_at_once),
        TEST(test_revisions_larger_than_a_part),
        TEST(test_a_client_that_goes_in_the_middle),
        TEST(test_the_store_goes_away_in_the_middle),
        TEST(test_resume_from_now_or_from_a_revision),
        TEST(test_resume_that_cant_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
