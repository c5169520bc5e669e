/* dedupe, debounce, throttle, loops, the breaker. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "machine_world.h"

static void seen_before(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: d\nif: [{key: '/a/{x}'}]\n"
                       "dedupe: {key: '{{value.id}}', ttl: 10m}\n"
                       "then: [{put: {key: '/b/{{x}}', value: '{{value.id}}'}}"
                       "]");
    world_put(&world, "/a/1", "{\"id\":5}");
    world_put(&world, "/a/2", "{\"id\":5}");
    world_put(&world, "/a/3", "{\"id\":6}");
    world_run(&world);
    world_expect(&world, "put /b/1 5\nput /b/3 6\n");
    assert_int_equal(world.skipped, 1);
    world_crash(&world);
    world_advance(&world, 10 * WORLD_MINUTE - 1);
    world_put(&world, "/a/4", "{\"id\":6}");
    world_run(&world);
    world_expect(&world, "");
    world_advance(&world, 1);
    world_put(&world, "/a/5", "{\"id\":6}");
    world_run(&world);
    world_expect(&world, "put /b/5 6\n");
    /* The memo of 5 has passed, and goes with the next cursor. */
    assert_int_equal(world_count(&world, "/_recipes/state/d/dedupe/"), 2);
    machine_due(world.machine, world.now_ns, &world.lookups, &world.turn);
    world_commit(&world);
    assert_int_equal(world_count(&world, "/_recipes/state/d/dedupe/"), 1);
    world_close(&world);
}

static void an_id_may_be_long_or_missing(void **state)
{
    struct world world;
    char text[1000];
    (void)state;
    world_open(&world, "name: d\nif: [{key: '/a/{x}'}]\n"
                       "dedupe: {key: '{{value}}', ttl: 10m}\n"
                       "then: [{put: {key: '/b/{{x}}', value: 1}}]");
    memset(text, 'x', sizeof text);
    text[999] = '\0';
    world_put(&world, "/a/1", text);
    world_put(&world, "/a/2", text);
    text[500] = 'y';
    world_put(&world, "/a/3", text);
    world_run(&world);
    world_expect(&world, "put /b/1 1\nput /b/3 1\n");
    assert_true(world_key(&world, "/_recipes/state/d/dedupe/#", 0).size < 80);
    world_close(&world);
    world_open(&world, "name: d\nif: [{key: '/a/{x}'}]\n"
                       "dedupe: {key: '{{value.id}}', ttl: 10m}\n"
                       "then: [{put: {key: '/b/{{x}}', value: 1}}]");
    world_put(&world, "/a/1", "none");
    world_run(&world);
    world_expect_runs(&world, "failed /a/1\n");
    assert_true(world_has(&world.last, "\"error\":\"dedupe: "));
    world_close(&world);
}

static void when_it_is_quiet(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: q\nif: [{key: '/a/{x}'}]\ndebounce: 30s\n"
                       "then: [{put: {key: '/b/{{x}}', value: '{{value}}'}}]");
    world_put(&world, "/a/1", "one");
    world_advance(&world, 20 * WORLD_SECOND);
    world_put(&world, "/a/1", "two");
    world_put(&world, "/a/2", "other");
    world_advance(&world, 20 * WORLD_SECOND);
    world_crash(&world);
    world_put(&world, "/a/1", "three");
    world_advance(&world, 10 * WORLD_SECOND);
    world_expect(&world, "put /b/2 other\n");
    world_advance(&world, 20 * WORLD_SECOND);
    world_expect(&world, "put /b/1 three\n");
    assert_int_equal(world.fired, 2);
    assert_true(world_has(&world.last, ".0.1000\",\"uid\":7,"));
    assert_int_equal(world_count(&world, "/_recipes/state/q/"), 0);
    world_close(&world);
}

static void strictly_it_is_quiet_of_all(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: q\nif: [{key: '/a/{x}'}]\ndebounce: 30s\n"
                       "order: strict\n"
                       "then: [{put: {key: '/b/{{x}}', value: '{{value}}'}}]");
    world_put(&world, "/a/1", "one");
    world_put(&world, "/a/2", "two");
    world_advance(&world, 30 * WORLD_SECOND);
    world_expect(&world, "put /b/2 two\n");
    world_close(&world);
}

/* Hooks have a key each: they are quiet together. */
static void hooks_are_quiet_together(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: q\nif: [{webhook: push}]\ndebounce: 30s\n"
                       "then: [{put: {key: /b, value: '{{body}}'}}]");
    world_come_in(&world, "0", "x", "{\"body\":\"1\",\"headers\":{}}");
    world_advance(&world, 5 * WORLD_SECOND);
    world_come_in(&world, "0", "y", "{\"body\":\"2\",\"headers\":{}}");
    world_advance(&world, 30 * WORLD_SECOND);
    world_expect(&world, "put /b 2\n");
    world_close(&world);
}

static void too_many(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: t\nif: [{key: '/a/{x}'}]\n"
                       "throttle: {count: 2, per: 1m}\n"
                       "then: [{put: {key: '/b/{{x}}', value: 1}}]");
    world_put(&world, "/a/1", "");
    world_advance(&world, 30 * WORLD_SECOND);
    world_put(&world, "/a/2", "");
    world_put(&world, "/a/3", "");
    world_run(&world);
    world_expect(&world, "put /b/1 1\nput /b/2 1\n");
    world_crash(&world);
    world_advance(&world, 30 * WORLD_SECOND); /* the first has passed */
    world_put(&world, "/a/4", "");
    world_put(&world, "/a/5", "");
    world_run(&world);
    world_expect(&world, "put /b/4 1\n");
    assert_int_equal(world.skipped, 2);
    world_close(&world);
}

static void very_many(void **state)
{
    struct world world;
    char key[32];
    (void)state;
    world_open(&world, "name: t\nif: [{key: '/a/{x}'}]\n"
                       "throttle: {count: 150, per: 1m}\n"
                       "then: [{log: x}]");
    for (int i = 0; i < 200; i++) {
        snprintf(key, sizeof key, "/a/%d", i);
        world_put(&world, key, "");
    }
    world_run(&world);
    assert_int_equal(world.fired, 150);
    assert_int_equal(world.skipped, 50);
    world_crash(&world);
    world_advance(&world, WORLD_MINUTE);
    world_put(&world, "/a/1", "");
    world_run(&world);
    assert_int_equal(world.fired, 151);
    world_close(&world);
}

static void too_deep(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: l\nif: [{key: '/a/{x}'}]\n"
                       "loop: {max_depth: 3}\n"
                       "then: [{put: {key: '/b/{{x}}', value: "
                       "'{{event.depth}}'}}]\n"
                       "on_failure: [{put: {key: /bad, value: x}}]");
    world_put_deep(&world, "/a/1", "", 3);
    world_put_deep(&world, "/a/2", "", 4);
    world_run(&world);
    world_expect(&world, "put /b/1 3\n");
    world_expect_runs(&world, "ok /a/1\nfailed /a/2\n");
    assert_true(world_has(&world.last, "\"error\":\"loop: depth 4 > 3\""));
    assert_true(world_has(&world.last, "\"parent\":\"other/1\""));
    world_close(&world);
}

static void a_batch_has_one_depth(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: l\nif: [{key: '/a/{x}'}]\n"
                       "then: [{put: {key: '/b/{{x}}', value: 1}}]");
    world_put_deep(&world, "/a/1", "", 0);
    world_put_deep(&world, "/a/2", "", 2);
    world_put_deep(&world, "/a/3", "", 2);
    world_run(&world);
    assert_int_equal(world.turns, 2);
    assert_true(
        slice_has_prefix(slice_str(world_get(&world, "/_recipes/cursor/l")),
                         SLICE("{\"depth\":2,\"run\":\"2\",")));
    world_close(&world);
}

static void the_breaker_stops_it(void **state)
{
    struct world world;
    char key[32];
    (void)state;
    world_open(&world, "name: l\nif: [{key: '/a/{x}'}]\n"
                       "loop: {breaker: {count: 5, per: 10s}}\n"
                       "then: [{put: {key: '/b/{{x}}', value: 1}}]");
    for (int i = 0; i < 7; i++) {
        snprintf(key, sizeof key, "/a/%d", i);
        world_put_deep(&world, key, "", i == 0 ? 0 : 1);
    }
    world_run(&world);
    assert_true(world.has_stopped);
    assert_true(world_has(&world.stop, "loop: more than 5 runs"));
    assert_int_equal(world.fired, 6); /* one that nobody made, five others */
    assert_int_equal(world_count(&world, "/_recipes/state/l/breaker/"), 0);
    /* It does nothing more. */
    struct turn turn;
    turn_init(&turn);
    assert_int_equal(machine_next_due(world.machine), INT64_MAX);
    assert_int_equal(machine_due(world.machine, world.now_ns, NULL, &turn),
                     TURN_TAKEN);
    assert_true(turn_is_empty(&turn));
    turn_deinit(&turn);
    /* Somebody has it go on: nothing was lost. */
    world.has_stopped = false;
    world_crash(&world);
    world_run(&world);
    assert_false(world.has_stopped);
    assert_string_equal(world_get(&world, "/b/6"), "1");
    assert_int_equal(world.fired, 7);
    world_close(&world);
}

static void the_breaker_forgets(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, "name: l\nif: [{key: '/a/{x}'}]\n"
                       "loop: {breaker: {count: 1, per: 10s}}\n"
                       "then: [{put: {key: '/b/{{x}}', value: 1}}]");
    for (int i = 0; i < 5; i++) {
        world_put_deep(&world, "/a/1", "", 1);
        world_crash(&world);
        world_advance(&world, 10 * WORLD_SECOND);
    }
    assert_false(world.has_stopped);
    assert_int_equal(world.fired, 5);
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seen_before),
        cmocka_unit_test(an_id_may_be_long_or_missing),
        cmocka_unit_test(when_it_is_quiet),
        cmocka_unit_test(strictly_it_is_quiet_of_all),
        cmocka_unit_test(hooks_are_quiet_together),
        cmocka_unit_test(too_many),
        cmocka_unit_test(very_many),
        cmocka_unit_test(too_deep),
        cmocka_unit_test(a_batch_has_one_depth),
        cmocka_unit_test(the_breaker_stops_it),
        cmocka_unit_test(the_breaker_forgets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
