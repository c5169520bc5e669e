/* What comes in as a key first: ticks, webhooks, items, calls; and records of
 * other recipes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "machine_world.h"

static void a_tick(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: t\nif: [{every: 1m}]\n"
                       "then: [{put: {key: /b, value: '{{value.scheduled}} "
                       "{{event.revision}}'}}]");
    world_come_in(&world, "0", "60",
                  "{\"time\":\"a\",\"scheduled\":\"1970-01-01T00:01:00Z\"}");
    world_run(&world);
    world_expect(&world, "put /b 1970-01-01T00:01:00Z 1\n");
    /* It went with the turn that took it. */
    assert_int_equal(world_count(&world, "/_recipes/in/"), 0);
    world_run(&world);
    assert_int_equal(world.fired, 1);
    world_close(&world);
}

static void a_webhook(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: w\nif: [{webhook: push}]\n"
                       "where: [\"headers['x-event'] == 'push'\"]\n"
                       "then: [{put: {key: '/b/{{body.ref}}', value: "
                       "'{{headers[\"x-event\"]}}'}}]");
    world_come_in(&world, "0", "1",
                  "{\"body\":\"{\\\"ref\\\":\\\"main\\\"}\",\"headers\":"
                  "{\"x-event\":\"push\"}}");
    world_come_in(&world, "0", "2",
                  "{\"body\":{\"ref\":\"dev\"},\"headers\":{\"x-event\":"
                  "\"push\"}}");
    world_come_in(&world, "0", "3",
                  "{\"body\":\"\",\"headers\":{\"x-event\":\"ping\"}}");
    world_run(&world);
    world_expect(&world, "put /b/main push\nput /b/dev push\n");
    assert_int_equal(world.skipped, 1);
    /* They stay as long as their ids are remembered. */
    assert_int_equal(world_count(&world, "/_recipes/in/"), 3);
    world_close(&world);
}

static void an_item(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: f\nif: [{feed: {url: 'http://h/feed'}}]\n"
                       "then: [{put: {key: '/b/{{item.id}}', value: "
                       "'{{item.title}}'}}]");
    world_come_in(&world, "0", "x",
                  "{\"item\":{\"id\":\"x\",\"title\":\"News\"}}");
    world_run(&world);
    world_expect(&world, "put /b/x News\n");
    world_close(&world);
}

static void a_call_has_a_caller(void **state)
{
    struct world caller;
    struct world callee;
    (void)state;
    world_open(&caller, "name: caller\nif: [{key: '/a/{x}'}]\n"
                        "then: [{id: c, call: {recipe: callee, args: {x: "
                        "'{{x}}', n: 5}}}]");
    world_put_deep(&caller, "/a/1", "", 2);
    world_run(&caller);
    const char prefix[] = "/_recipes/in/callee/call/";
    assert_int_equal(world_count(&caller, prefix), 1);
    struct slice key = world_key(&caller, prefix, 0);
    assert_true(slice_eq(key, SLICE("/_recipes/in/callee/call/"
                                    "caller.0000000000000000001.00000.0000"
                                    ".c")));
    struct slice value = world_find(&caller, key, INT64_MAX)->value;
    assert_true(slice_eq(value, SLICE("{\"args\":{\"x\":\"1\",\"n\":5},"
                                      "\"depth\":3,\"parent\":"
                                      "\"caller/1\"}")));
    world_open(&callee, "name: callee\nif: [{manual: true}]\n"
                        "then: [{put: {key: '/b/{{args.x}}', value: "
                        "'{{args.n + 1}} {{event.depth}}'}}]");
    callee.revision++;
    world_put_slice(&callee, "/_recipes/in/callee/call/k", value);
    world_run(&callee);
    world_expect(&callee, "put /b/1 6 3\n");
    assert_true(world_has(&callee.last, "\"parent\":\"caller/1\""));
    assert_true(world_has(&callee.last, "\"trigger\":1"));
    assert_true(world_has(&callee.last, "\"id\":\"2.0.2001\""));
    assert_int_equal(world_count(&callee, "/_recipes/in/"), 0);
    world_close(&caller);
    world_close(&callee);
}

static void by_hand(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: m\nif: [{manual: true}]\n"
                       "then: [{put: {key: /b, value: '{{size(args)}}'}}]");
    world_come_in(&world, "0", "1", "{}");
    world_come_in(&world, "call", "2", "not even JSON");
    world_run(&world);
    world_expect(&world, "put /b 0\nput /b 0\n");
    world_close(&world);
}

static const char list[] =
    "[{\"id\":\"5\",\"status\":\"ok\",\"depth\":0},"
    "{\"id\":\"6\",\"status\":\"failed\",\"error\":\"bad\",\"depth\":1},"
    "{\"id\":\"7\",\"status\":\"skipped\",\"depth\":0},"
    "{\"id\":\"8\",\"status\":\"ok\",\"depth\":4}]";

static void the_outcome_of_another(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: after\nif: [{recipe: first}]\n"
                       "then: [{put: {key: '/b/{{value.id}}', value: "
                       "'{{event.depth}}'}}]");
    world_other(&world, "first", "x", list);
    world_other(&world, "second", "x", list);
    world_run(&world);
    world_expect(&world, "put /b/5 1\nput /b/8 5\n");
    assert_true(world_has(&world.last, "\"parent\":\"first/8\""));
    assert_true(world_has(&world.last, "\"id\":\"1.3\""));
    world_close(&world);
}

static void its_failures(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: after\nif: [{recipe: {name: first, outcome: "
                       "failed}}]\n"
                       "then: [{put: {key: /b, value: '{{value.error}}'}}]");
    world_other(&world, "first", "x", list);
    world_other(&world, "first", "y", "no list");
    world_run(&world);
    world_expect(&world, "put /b bad\n");
    world_close(&world);
}

/* A list may be longer than a turn: it goes on where the cursor says. */
static void a_list_over_several_turns(void **state)
{
    struct world world;
    struct buf text = {0};
    struct prng prng;
    (void)state;
    prng_init(&prng, 5);
    for (int i = 0; i < 250; i++)
        buf_printf(&text, "%c{\"id\":\"%d\",\"status\":\"%s\"}", i ? ',' : '[',
                   i, i % 5 ? "ok" : "failed");
    buf_append_char(&text, ']');
    buf_append_char(&text, '\0');
    world_open(&world, "name: after\nif: [{recipe: first}]\n"
                       "then: [{put: {key: '/b/{{value.id}}', value: 1}}]");
    world.prng = &prng;
    world.crash_percent = 50;
    world_other(&world, "first", "x", text.at);
    world_run(&world);
    assert_true(world.crashes > 0);
    assert_int_equal(world.fired, 200);
    assert_int_equal(world_count(&world, "/b/"), 200);
    buf_deinit(&text);
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tick),
        cmocka_unit_test(a_webhook),
        cmocka_unit_test(an_item),
        cmocka_unit_test(a_call_has_a_caller),
        cmocka_unit_test(by_hand),
        cmocka_unit_test(the_outcome_of_another),
        cmocka_unit_test(its_failures),
        cmocka_unit_test(a_list_over_several_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
