/* Time is state: holds, ticks, waits and absences are the same whoever is
 * there to see to them, and whoever isn't. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/plant.h"
#include "runner_world.h"

#define MILLI INT64_C(1000000)
#define SECOND INT64_C(1000000000)

static const char hold[] =
    "{name: hold, if: [{key: '/load/{host}', crosses: {of: value, above: 90},"
    " for: 10s}], then: [{put: {key: '/hot/{{host}}/{{event.revision}}',"
    " value: '{{raw}}'}}]}";

static void begin(struct world *world, uint64_t seed, const char *recipe)
{
    world_init(world, seed);
    world->lease_ns = 2 * SECOND;
    world_define(world, recipe);
    world_start(world, 0);
    world_run(world, SECOND);
}

static void test_a_hold_fires_when_it_has_held(void **state)
{
    (void)state;
    struct world world;
    begin(&world, 1, hold);
    world_put(&world, "/load/a", "95");
    world_run(&world, 9900 * MILLI);
    assert_int_equal(world_count(&world, "/hot/"), 0);
    world_run(&world, 300 * MILLI);
    assert_int_equal(world_count(&world, "/hot/"), 1);
    world_deinit(&world);
}

static void test_a_hold_survives_its_worker(void **state)
{
    (void)state;
    struct world world;
    begin(&world, 2, hold);
    world_put(&world, "/load/a", "95");
    world_run(&world, 5 * SECOND);
    world_kill(&world, 0);
    world_start(&world, 1);
    world_run(&world, 4900 * MILLI);
    assert_int_equal(world_count(&world, "/hot/"), 0);
    world_run(&world, 300 * MILLI);
    assert_int_equal(world_count(&world, "/hot/"), 1);
    world_run(&world, 30 * SECOND);
    assert_int_equal(world_count(&world, "/hot/"), 1);
    world_deinit(&world);
}

static void test_a_hold_broken_while_nobody_looked_does_not_fire(void **state)
{
    (void)state;
    struct world world;
    begin(&world, 3, hold);
    world_put(&world, "/load/a", "95");
    world_put(&world, "/load/b", "95");
    world_run(&world, 5 * SECOND);
    world_kill(&world, 0);
    world_put(&world, "/load/a", "10");
    world_run(&world, 20 * SECOND);
    /* This one held long enough before it was broken. */
    world_put(&world, "/load/b", "10");
    world_start(&world, 1);
    world_run(&world, 5 * SECOND);
    assert_int_equal(world_count(&world, "/hot/a/"), 0);
    assert_int_equal(world_count(&world, "/hot/b/"), 1);
    world_deinit(&world);
}

/* Keys are written just when their holds are due; a slow net lets the clock
 * come first. What fires is compared with what the store has seen. */
static bool holds_are_right(uint64_t seed)
{
    struct world world;
    begin(&world, seed, hold);
    world.faults.delay_ns = 300 * MILLI;
    int wanted = 0;
    for (int i = 0; i < 12; i++) {
        char key[32];
        snprintf(key, sizeof key, "/load/%d", i);
        world_put(&world, key, "95");
        int64_t began_ns = world.mono_ns;
        world_run(&world,
                  prng_between(&world.prng, 9700 * MILLI, 10100 * MILLI));
        wanted += world.mono_ns - began_ns >= 10 * SECOND;
        world_put(&world, key, "10");
        world_run(&world, SECOND);
    }
    world_run(&world, 15 * SECOND);
    bool is_right = world_count(&world, "/hot/") == (size_t)wanted;
    world_deinit(&world);
    return is_right;
}

static void test_a_hold_fires_only_if_it_held(void **state)
{
    (void)state;
    for (uint64_t seed = 10; seed < 20; seed++)
        assert_true(holds_are_right(seed));
}

static void test_ticks_are_made_once(void **state)
{
    (void)state;
    struct world world;
    begin(&world, 4,
          "{name: tick, if: [{every: 10s}],"
          " then: [{put: {key: '/tick/{{event.revision}}', value: x}}]}");
    world_run(&world, 65 * SECOND);
    assert_in_range(world_count(&world, "/tick/"), 6, 7);
    /* Missed ones: the last of them, once. */
    size_t before = world_count(&world, "/tick/");
    world_kill(&world, 0);
    world_run(&world, 65 * SECOND);
    assert_int_equal(world_count(&world, "/tick/"), before);
    world_start(&world, 1);
    world_run(&world, 2 * SECOND);
    assert_int_equal(world_count(&world, "/tick/"), before + 1);
    /* What has been worked doesn't stay. */
    world_run(&world, 30 * SECOND);
    assert_in_range(world_count(&world, "/_recipes/in/"), 0, 1);
    world_deinit(&world);
}

/* Two workers, lost answers: each tick has one effect all the same. */
static bool ticks_are_right(uint64_t seed)
{
    struct world world;
    begin(&world, seed,
          "{name: tick, if: [{every: 2s, misfire: all}],"
          " then: [{put: {key: '/tick/{{value.time}}', value: x}}]}");
    world.lazy_ns = SECOND;
    world.faults = (struct world_faults){.delay_ns = 10 * MILLI,
                                         .lost = 150,
                                         .late_ns = 12 * SECOND,
                                         .broken = 20};
    world_start(&world, 1);
    for (int i = 0; i < 8; i++) {
        world_run(&world, 5 * SECOND);
        world_kill(&world, i % 2);
        world_run(&world, SECOND);
        world_start(&world, i % 2);
    }
    world.faults = (struct world_faults){.delay_ns = 2 * MILLI};
    world_run(&world, 20 * SECOND);
    bool is_right = world_count(&world, "/tick/") >= 30;
    for (size_t i = 0; i < world.store.key_count; i++) {
        const struct store_key *key = world.store.keys[i];
        if (slice_has_prefix(key->key, SLICE("/tick/")))
            is_right = is_right && key->count == 1;
    }
    world_deinit(&world);
    return is_right;
}

static void test_ticks_are_exact(void **state)
{
    (void)state;
    for (uint64_t seed = 30; seed < 45; seed++)
        assert_true(ticks_are_right(seed));
}

static void test_waits_go_on(void **state)
{
    (void)state;
    struct world world;
    begin(&world, 5,
          "{name: later, if: [{key: '/from/{id}'}], then: [{wait: 20s},"
          " {put: {key: '/to/{{id}}', value: x}}]}");
    world_put(&world, "/from/a", "1");
    world_run(&world, 10 * SECOND);
    world_kill(&world, 0);
    world_run(&world, 5 * SECOND);
    world_start(&world, 1);
    world_run(&world, 4 * SECOND);
    assert_int_equal(world_count(&world, "/to/"), 0);
    world_run(&world, 2 * SECOND);
    assert_int_equal(world_count(&world, "/to/"), 1);
    world_deinit(&world);
}

static void test_a_heartbeat_that_stays_away(void **state)
{
    (void)state;
    struct world world;
    begin(&world, 6,
          "{name: beat, if: [{absent: '/beat/{host}', for: 5s}],"
          " then: [{put: {key: '/missing/{{host}}', value: x}}]}");
    for (int i = 0; i < 20; i++) {
        world_put(&world, "/beat/a", "x");
        if (i < 5)
            world_put(&world, "/beat/b", "x");
        if (i == 12) {
            world_kill(&world, 0);
            world_start(&world, 1);
        }
        world_run(&world, SECOND);
    }
    assert_int_equal(world_count(&world, "/missing/a"), 0);
    assert_int_equal(world_count(&world, "/missing/b"), 1);
    assert_int_equal(world_puts(&world, "/missing/b"), 1);
    world_run(&world, 6 * SECOND);
    assert_int_equal(world_puts(&world, "/missing/a"), 1);
    world_deinit(&world);
}

#ifdef ETCHED_PLANTED
static void test_a_hold_unseen_is_found(void **state)
{
    (void)state;
    bool found = false;
    plant_active = PLANT_RECIPE_HOLD_UNSEEN;
    for (uint64_t seed = 10; seed < 40 && !found; seed++)
        found = !holds_are_right(seed);
    plant_active = PLANT_NONE;
    assert_true(found);
}

static void test_a_tick_unseen_is_found(void **state)
{
    (void)state;
    bool found = false;
    plant_active = PLANT_RECIPE_TICK_UNSEEN;
    for (uint64_t seed = 30; seed < 90 && !found; seed++)
        found = !ticks_are_right(seed);
    plant_active = PLANT_NONE;
    assert_true(found);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_hold_fires_when_it_has_held),
        cmocka_unit_test(test_a_hold_survives_its_worker),
        cmocka_unit_test(test_a_hold_broken_while_nobody_looked_does_not_fire),
        cmocka_unit_test(test_a_hold_fires_only_if_it_held),
        cmocka_unit_test(test_ticks_are_made_once),
        cmocka_unit_test(test_ticks_are_exact),
        cmocka_unit_test(test_waits_go_on),
        cmocka_unit_test(test_a_heartbeat_that_stays_away),
#ifdef ETCHED_PLANTED
        cmocka_unit_test(test_a_hold_unseen_is_found),
        cmocka_unit_test(test_a_tick_unseen_is_found),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
