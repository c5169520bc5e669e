/* Ticks: every, cron and at; what is missed, and what isn't. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/time_text.h"
#include "runner_world.h"

#define MILLI INT64_C(1000000)
#define SECOND INT64_C(1000000000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)

/* A tick's effect is named by the time that it was for. */
static void define(struct world *world, const char *trigger)
{
    char text[512];
    snprintf(text, sizeof text,
             "{name: tick, if: [{%s}], then: [{put: {key:"
             " '/tick/{{value.time}}', value: '{{event.revision}}'}}]}",
             trigger);
    world_define(world, text);
}

static size_t ticks(const struct world *world)
{
    return world_count(world, "/tick/");
}

/* Each of them was worked once. */
static void assert_each_once(const struct world *world)
{
    for (size_t i = 0; i < world->store.key_count; i++)
        if (slice_has_prefix(world->store.keys[i]->key, SLICE("/tick/")))
            assert_int_equal(world->store.keys[i]->count, 1);
}

static bool has_tick(const struct world *world, int64_t wall_ns)
{
    char key[TIME_TEXT_BYTES_MAX + 8] = "/tick/";
    size_t size = time_to_rfc3339(wall_ns, key + 6);
    key[6 + size] = 0;
    return world_get(world, key).size > 0;
}

static void test_every_is_the_same_for_all(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 1);
    world_run(&world, 3500 * MILLI);
    define(&world, "every: 10s");
    world_start(&world, 0);
    world_run(&world, 60 * SECOND);
    assert_in_range(ticks(&world), 5, 6);
    /* Counted from 1970, not from whenever it began. */
    int64_t first = (world_wall(&world) / (10 * SECOND)) * (10 * SECOND);
    for (int i = 0; i < 5; i++)
        assert_true(has_tick(&world, first - i * 10 * SECOND));
    assert_each_once(&world);
    world_deinit(&world);
}

static void miss_an_hour(struct world *world, uint64_t seed,
                         const char *trigger)
{
    world_init(world, seed);
    world->lease_ns = 2 * SECOND;
    define(world, trigger);
    world_start(world, 0);
    world_run(world, 130 * SECOND);
    assert_int_equal(ticks(world), 2);
    world_kill(world, 0);
    world_run(world, HOUR);
    assert_int_equal(ticks(world), 2);
    world_start(world, 1);
    world_run(world, 5 * SECOND);
}

static void test_of_the_missed_the_last(void **state)
{
    (void)state;
    struct world world;
    miss_an_hour(&world, 2, "every: 1m");
    assert_int_equal(ticks(&world), 3);
    int64_t last = (world_wall(&world) / MINUTE) * MINUTE;
    assert_true(has_tick(&world, last));
    world_run(&world, 2 * MINUTE);
    assert_int_equal(ticks(&world), 5);
    assert_each_once(&world);
    world_deinit(&world);
}

static void test_of_the_missed_none(void **state)
{
    (void)state;
    struct world world;
    miss_an_hour(&world, 3, "every: 1m, misfire: skip");
    /* One may be on time: it is late by less than half a minute. */
    size_t now = ticks(&world);
    assert_in_range(now, 2, 3);
    world_run(&world, 2 * MINUTE);
    assert_int_equal(ticks(&world), now + 2);
    assert_each_once(&world);
    world_deinit(&world);
}

static void test_of_the_missed_all(void **state)
{
    (void)state;
    struct world world;
    miss_an_hour(&world, 4, "every: 1m, misfire: all");
    assert_int_equal(ticks(&world), 62);
    assert_each_once(&world);
    world_deinit(&world);
}

static void test_all_has_an_end(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 5);
    world.lease_ns = 2 * SECOND;
    define(&world, "every: 1s, misfire: all");
    world_start(&world, 0);
    world_run(&world, 5 * SECOND);
    size_t before = ticks(&world);
    world_kill(&world, 0);
    world_run(&world, 12 * HOUR);
    world_start(&world, 1);
    world_run(&world, 3 * SECOND);
    assert_in_range(ticks(&world), before + 100, before + 104);
    world_run(&world, 20 * SECOND);
    assert_in_range(ticks(&world), before + 119, before + 124);
    assert_each_once(&world);
    world_deinit(&world);
}

static void test_a_moment(void **state)
{
    (void)state;
    struct world world;
    char trigger[96] = "at: '";
    world_init(&world, 6);
    int64_t at_ns = (world_wall(&world) / SECOND + 90) * SECOND;
    size_t size = time_to_rfc3339(at_ns, trigger + 5);
    memcpy(trigger + 5 + size, "'", 2);
    define(&world, trigger);
    world_start(&world, 0);
    world_run(&world, 89 * SECOND);
    assert_int_equal(ticks(&world), 0);
    world_run(&world, 2 * SECOND);
    assert_int_equal(ticks(&world), 1);
    world_kill(&world, 0);
    world_run(&world, HOUR);
    world_start(&world, 1);
    world_run(&world, HOUR);
    assert_int_equal(ticks(&world), 1);
    assert_each_once(&world);
    world_deinit(&world);
}

static void test_a_moment_that_nobody_saw(void **state)
{
    (void)state;
    struct world world;
    char trigger[96] = "at: '";
    world_init(&world, 7);
    world.lease_ns = 2 * SECOND;
    int64_t at_ns = (world_wall(&world) / SECOND + 90) * SECOND;
    size_t size = time_to_rfc3339(at_ns, trigger + 5);
    memcpy(trigger + 5 + size, "'", 2);
    define(&world, trigger);
    world_start(&world, 0);
    world_run(&world, 10 * SECOND);
    world_kill(&world, 0);
    world_run(&world, HOUR);
    world_start(&world, 1);
    world_run(&world, 10 * SECOND);
    assert_int_equal(ticks(&world), 1);
    world_deinit(&world);
}

static void test_a_moment_long_gone(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 8);
    define(&world, "at: '2020-01-01T00:00:00Z'");
    world_start(&world, 0);
    world_run(&world, HOUR);
    assert_int_equal(ticks(&world), 0);
    world_deinit(&world);
}

static void test_cron(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 9);
    define(&world, "cron: '*/15 * * * *'");
    world_start(&world, 0);
    world_run(&world, 3 * HOUR);
    assert_in_range(ticks(&world), 11, 13);
    int64_t quarter = 15 * MINUTE;
    int64_t last = (world_wall(&world) / quarter) * quarter;
    for (int i = 0; i < 10; i++)
        assert_true(has_tick(&world, last - i * quarter));
    assert_each_once(&world);
    world_deinit(&world);
}

static void test_paused_it_does_not_tick(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 10);
    define(&world, "every: 10s");
    world_start(&world, 0);
    world_run(&world, 35 * SECOND);
    size_t before = ticks(&world);
    world_put(&world, "/_recipes/status/tick", "{\"state\":\"paused\"}");
    world_run(&world, 5 * MINUTE);
    assert_in_range(ticks(&world), before, before + 1);
    before = ticks(&world);
    world_delete(&world, "/_recipes/status/tick");
    world_run(&world, SECOND);
    /* Resumed, what was missed is missed: the last one. */
    assert_int_equal(ticks(&world), before + 1);
    assert_each_once(&world);
    world_deinit(&world);
}

static void test_two_clocks_of_one_recipe(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 11);
    define(&world, "every: 10s}, {every: 1m");
    world_start(&world, 0);
    world_run(&world, 2 * MINUTE);
    /* At a full minute both tick, each with a key of its own. */
    size_t puts = 0;
    for (size_t i = 0; i < world.store.event_count; i++)
        puts += world.store.events[i].kv.version &&
                slice_has_prefix(world.store.events[i].key->key,
                                 SLICE("/_recipes/in/tick/"));
    assert_in_range(puts, 13, 14);
    assert_in_range(ticks(&world), 11, 12);
    assert_int_equal(world_count(&world, "/_recipes/state/tick/tick/"), 2);
    world_deinit(&world);
}

static void test_many_workers_tick_as_one(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 12);
    world.lease_ns = 2 * SECOND;
    define(&world, "every: 2s");
    for (int i = 0; i < 4; i++)
        world_start(&world, i);
    for (int i = 0; i < 12; i++) {
        world_run(&world, 10 * SECOND);
        world_stop(&world, i % 4);
        world_run(&world, SECOND);
        if (!world.clients[i % 4].runner)
            world_start(&world, i % 4);
    }
    /* They hand over at once: hardly any is missed. */
    assert_in_range(ticks(&world), 60, 67);
    assert_each_once(&world);
    world_deinit(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_is_the_same_for_all),
        cmocka_unit_test(test_of_the_missed_the_last),
        cmocka_unit_test(test_of_the_missed_none),
        cmocka_unit_test(test_of_the_missed_all),
        cmocka_unit_test(test_all_has_an_end),
        cmocka_unit_test(test_a_moment),
        cmocka_unit_test(test_a_moment_that_nobody_saw),
        cmocka_unit_test(test_a_moment_long_gone),
        cmocka_unit_test(test_cron),
        cmocka_unit_test(test_paused_it_does_not_tick),
        cmocka_unit_test(test_two_clocks_of_one_recipe),
        cmocka_unit_test(test_many_workers_tick_as_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
