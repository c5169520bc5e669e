/* Who made an event: the depth of what recipes do to each other, found without
 * a mark in the user's data; and where it ends. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "runner/runner_core.h"
#include "runner_world.h"

#define MILLI INT64_C(1000000)
#define SECOND INT64_C(1000000000)

static void define_chain(struct world *world, int links)
{
    for (int i = 0; i < links; i++) {
        char text[512];
        snprintf(text, sizeof text,
                 "{name: c%d, start: beginning, if: [{key: '/%d/{id}'}],"
                 " then: [{put: {key: '/%d/{{id}}',"
                 " value: '{{event.depth}}'}}]}",
                 i, i, i + 1);
        world_define(world, text);
    }
}

static void assert_value(const struct world *world, const char *key,
                         const char *value)
{
    struct slice is = world_get(world, key);
    assert_int_equal(is.size, strlen(value));
    assert_memory_equal(is.at, value, is.size);
}

/* /1/ has what /0/'s event had: 0; /2/ has 1, and so on. */
static void run_chain(uint64_t seed, bool is_etched, int workers)
{
    struct world world;
    world_init(&world, seed);
    world.is_etched = is_etched;
    define_chain(&world, 5);
    for (int i = 0; i < workers; i++)
        world_start(&world, i);
    world_run(&world, 2 * SECOND);
    for (int i = 0; i < 150; i++) {
        char key[32];
        snprintf(key, sizeof key, "/0/%d", i);
        world_put(&world, key, "x");
    }
    /* A user may write there too, and is no recipe. */
    world_put(&world, "/3/user", "x");
    world_run(&world, 10 * SECOND);
    assert_value(&world, "/1/7", "0");
    assert_value(&world, "/2/7", "1");
    assert_value(&world, "/3/149", "2");
    assert_value(&world, "/5/149", "4");
    assert_value(&world, "/4/user", "0");
    assert_value(&world, "/5/user", "1");
    world_deinit(&world);
}

static void test_a_chain_of_one_worker(void **state)
{
    (void)state;
    run_chain(1, true, 1);
    run_chain(2, false, 1);
}

static void test_a_chain_of_several_workers(void **state)
{
    (void)state;
    run_chain(3, true, 3);
    run_chain(4, false, 3);
}

static void test_nobody_is_asked_about_a_users_events(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 5);
    define_chain(&world, 2);
    world_start(&world, 0);
    world_run(&world, 2 * SECOND);
    uint64_t before = world.calls;
    world_put(&world, "/0/a", "x");
    world_run(&world, 100 * MILLI);
    /* Its turn, and that of the second link, whose maker we are. */
    assert_in_range(world.calls - before, 2, 3);
    assert_value(&world, "/2/a", "1");
    world_deinit(&world);
}

static void test_a_ring_ends(void **state)
{
    (void)state;
    for (int is_etched = 0; is_etched < 2; is_etched++) {
        struct world world;
        world_init(&world, 6);
        world.is_etched = is_etched;
        world_define(&world, "{name: ping, if: [{key: '/ping/{id}'}], then:"
                             " [{put: {key: '/pong/{{id}}', value: x}}]}");
        world_define(&world, "{name: pong, if: [{key: '/pong/{id}'}], then:"
                             " [{put: {key: '/ping/{{id}}', value: x}}]}");
        world_start(&world, 0);
        world_start(&world, 1);
        world_run(&world, 3 * SECOND);
        world_put(&world, "/ping/a", "x");
        world_run(&world, 20 * SECOND);
        size_t rounds = world_puts(&world, "/ping/a");
        assert_in_range(rounds, 2, 12);
        world_run(&world, 10 * SECOND);
        assert_int_equal(world_puts(&world, "/ping/a"), rounds);
        world_deinit(&world);
    }
}

static void test_one_trips_that_goes_too_fast(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 7);
    world_define(&world, "{name: first, if: [{key: '/a/{id}'}], then:"
                         " [{put: {key: '/b/{{id}}', value: x}}]}");
    world_define(&world, "{name: second, if: [{key: '/b/{id}'}],"
                         " loop: {breaker: {count: 20, per: 1m}}, then:"
                         " [{put: {key: '/c/{{id}}', value: x}}]}");
    world_start(&world, 0);
    world_run(&world, 2 * SECOND);
    for (int i = 0; i < 100; i++) {
        char key[32];
        snprintf(key, sizeof key, "/a/%d", i);
        world_put(&world, key, "x");
        world_run(&world, 20 * MILLI);
    }
    world_run(&world, SECOND);
    assert_int_equal(world_count(&world, "/b/"), 100);
    assert_in_range(world_count(&world, "/c/"), 10, 40);
    struct slice status = world_get(&world, "/_recipes/status/second");
    assert_non_null(memmem(status.at, status.size, "\"tripped\"", 9));
    const struct def *def = def__find(world.clients[0].runner, SLICE("second"));
    assert_int_equal(def->state, DEF_TRIPPED);
    assert_true(def->why.size > 0);
    /* Resumed, it goes on behind what it had taken. */
    world_delete(&world, "/_recipes/status/second");
    world_run(&world, 60 * SECOND);
    world_deinit(&world);
}

static void test_a_recipe_of_another_ones_outcome(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 8);
    define_chain(&world, 1);
    world_define(&world, "{name: after, if: [{recipe: c0}], then:"
                         " [{put: {key: '/after/{{event.revision}}',"
                         " value: '{{event.depth}}'}}]}");
    world_start(&world, 0);
    world_run(&world, 2 * SECOND);
    world_put(&world, "/0/a", "x");
    world_run(&world, 2 * SECOND);
    assert_int_equal(world_count(&world, "/after/"), 1);
    for (size_t i = 0; i < world.store.key_count; i++) {
        struct slice key = world.store.keys[i]->key;
        if (slice_has_prefix(key, SLICE("/after/")))
            assert_memory_equal(world.store.keys[i]->versions[0].value.at, "1",
                                1);
    }
    world_deinit(&world);
}

static void test_a_call_says_how_deep_it_is(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 9);
    world_define(&world, "{name: caller, if: [{key: '/a/{id}'}], then:"
                         " [{call: {recipe: callee, args: {id: '{{id}}'}}}]}");
    world_define(&world, "{name: callee, if: [{manual: true}], then:"
                         " [{put: {key: '/b/{{args.id}}',"
                         " value: '{{event.depth}}'}}]}");
    world_start(&world, 0);
    world_run(&world, 2 * SECOND);
    world_put(&world, "/a/7", "x");
    world_run(&world, 2 * SECOND);
    assert_value(&world, "/b/7", "1");
    assert_int_equal(world_count(&world, "/_recipes/in/"), 0);
    world_deinit(&world);
}

static void test_more_makers_than_are_asked_one_by_one(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 10);
    for (int i = 0; i < 80; i++) {
        char text[256];
        snprintf(text, sizeof text,
                 "{name: m%d, if: [{key: '/m/%d'}], then:"
                 " [{put: {key: '/all/%d', value: x}}]}",
                 i, i, i);
        world_define(&world, text);
    }
    world_define(&world, "{name: all, if: [{key: '/all/{id}'}], then:"
                         " [{put: {key: '/out/{{id}}',"
                         " value: '{{event.depth}}'}}]}");
    world_start(&world, 0);
    world_start(&world, 1);
    world_run(&world, 4 * SECOND);
    for (int i = 0; i < 80; i++) {
        char key[32];
        snprintf(key, sizeof key, "/m/%d", i);
        world_put(&world, key, "x");
    }
    world_put(&world, "/all/user", "x");
    world_run(&world, 5 * SECOND);
    assert_int_equal(world_count(&world, "/out/"), 81);
    assert_value(&world, "/out/5", "1");
    assert_value(&world, "/out/79", "1");
    assert_value(&world, "/out/user", "0");
    world_deinit(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_chain_of_one_worker),
        cmocka_unit_test(test_a_chain_of_several_workers),
        cmocka_unit_test(test_nobody_is_asked_about_a_users_events),
        cmocka_unit_test(test_a_ring_ends),
        cmocka_unit_test(test_one_trips_that_goes_too_fast),
        cmocka_unit_test(test_a_recipe_of_another_ones_outcome),
        cmocka_unit_test(test_a_call_says_how_deep_it_is),
        cmocka_unit_test(test_more_makers_than_are_asked_one_by_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
