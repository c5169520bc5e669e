/* Dead letters that are wanted again: many at once, those that aren't there,
 * wished for twice, and while the worker changes. */
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

static int status;
static int times;

static bool answer(struct world *world, const struct act *act,
                   struct act_answer *out)
{
    (void)world;
    (void)act;
    times++;
    out->status = status;
    return true;
}

/* So many letters have died: a status that says that trying is no use. */
static void begin(struct world *world, uint64_t seed, int count)
{
    world_init(world, seed);
    world->act = answer;
    world->act_ns = 2 * MILLI;
    world->lease_ns = 2 * SECOND;
    status = 400;
    times = 0;
    world_define(world, "{name: post, start: beginning,"
                        " if: [{key: '/from/{id}'}], then:"
                        " [{http: {url: 'http://x/{{id}}'}},"
                        " {put: {key: '/done/{{id}}', value: x}}]}");
    world_start(world, 0);
    world_run(world, SECOND);
    for (int i = 0; i < count; i++) {
        char key[32];
        snprintf(key, sizeof key, "/from/%d", i);
        world_put(world, key, "x");
    }
    world_run(world, 3 * SECOND);
    assert_int_equal(world_count(world, "/_recipes/dead/post/"), count);
    assert_int_equal(times, count);
    status = 200;
    times = 0;
}

static void want_all(struct world *world)
{
    struct slice prefix = SLICE("/_recipes/dead/post/");
    for (size_t i = 0; i < world->store.key_count; i++) {
        struct slice key = world->store.keys[i]->key;
        char wish[256];
        if (!slice_has_prefix(key, prefix) ||
            !memory_store_get(&world->store, key, 0))
            continue;
        snprintf(wish, sizeof wish, "/_recipes/in/post/retry/%.*s",
                 (int)(key.size - prefix.size), key.at + prefix.size);
        world_put(world, wish, "");
    }
}

static void assert_all_done(const struct world *world, int count)
{
    assert_int_equal(world_count(world, "/_recipes/dead/"), 0);
    assert_int_equal(world_count(world, "/_recipes/in/"), 0);
    assert_int_equal(world_count(world, "/_recipes/active/"), 0);
    assert_int_equal(world_count(world, "/done/"), count);
}

static void test_more_than_one_turn_takes(void **state)
{
    (void)state;
    struct world world;
    begin(&world, 1, 70);
    want_all(&world);
    world_run(&world, 10 * SECOND);
    assert_all_done(&world, 70);
    assert_int_equal(times, 70);
    const struct runner *runner = world.clients[0].runner;
    assert_int_equal(runner->told.retried, 70);
    world_deinit(&world);
}

static void test_one_that_is_not_there(void **state)
{
    (void)state;
    struct world world;
    begin(&world, 2, 1);
    world_put(&world, "/_recipes/in/post/retry/nobody", "");
    world_put(&world, "/_recipes/in/post/retry/5.0.0.page", "");
    world_put(&world, "/_recipes/in/post/retry/", "");
    world_run(&world, 3 * SECOND);
    /* The wish goes; nothing is done for it, and nothing is amiss. */
    assert_int_equal(times, 0);
    assert_int_equal(world_count(&world, "/_recipes/dead/post/"), 1);
    assert_int_equal(world_count(&world, "/_recipes/in/post/retry/nobody"), 0);
    assert_int_equal(world.clients[0].runner->told.conflicts, 0);
    want_all(&world);
    world_run(&world, 3 * SECOND);
    assert_int_equal(world_count(&world, "/done/"), 1);
    world_deinit(&world);
}

static void test_wished_for_twice_it_is_tried_once(void **state)
{
    (void)state;
    struct world world;
    begin(&world, 3, 5);
    want_all(&world);
    want_all(&world);
    world_run(&world, 5 * SECOND);
    assert_all_done(&world, 5);
    assert_int_equal(times, 5);
    world_deinit(&world);
}

static void test_it_may_die_again(void **state)
{
    (void)state;
    struct world world;
    begin(&world, 4, 3);
    status = 400;
    want_all(&world);
    world_run(&world, 3 * SECOND);
    assert_int_equal(times, 3);
    assert_int_equal(world_count(&world, "/_recipes/dead/post/"), 3);
    assert_int_equal(world_count(&world, "/_recipes/in/"), 0);
    status = 200;
    want_all(&world);
    world_run(&world, 3 * SECOND);
    assert_all_done(&world, 3);
    world_deinit(&world);
}

static void test_wished_for_while_nobody_is_there(void **state)
{
    (void)state;
    struct world world;
    begin(&world, 5, 30);
    world_kill(&world, 0);
    want_all(&world);
    world_run(&world, 5 * SECOND);
    assert_int_equal(times, 0);
    world_start(&world, 1);
    world_run(&world, 10 * SECOND);
    assert_all_done(&world, 30);
    assert_int_equal(times, 30);
    world_deinit(&world);
}

static void test_on_a_bad_net_none_is_lost(void **state)
{
    (void)state;
    for (uint64_t seed = 10; seed < 18; seed++) {
        struct world world;
        begin(&world, seed, 25);
        world.faults = (struct world_faults){.delay_ns = 20 * MILLI,
                                             .lost = 100,
                                             .late_ns = 3 * SECOND,
                                             .broken = 30};
        want_all(&world);
        for (int i = 0; i < 4; i++) {
            world_run(&world, 300 * MILLI);
            world_kill(&world, i);
            world_start(&world, i + 1);
            world_run(&world, 4 * SECOND);
        }
        world.faults = (struct world_faults){.delay_ns = MILLI};
        world_run(&world, 30 * SECOND);
        assert_all_done(&world, 25);
        /* Outside it is at least once; inside exactly. */
        assert_true(times >= 25);
        for (int i = 0; i < 25; i++) {
            char key[32];
            snprintf(key, sizeof key, "/done/%d", i);
            assert_int_equal(world_puts(&world, key), 1);
        }
        world_deinit(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_more_than_one_turn_takes),
        cmocka_unit_test(test_one_that_is_not_there),
        cmocka_unit_test(test_wished_for_twice_it_is_tried_once),
        cmocka_unit_test(test_it_may_die_again),
        cmocka_unit_test(test_wished_for_while_nobody_is_there),
        cmocka_unit_test(test_on_a_bad_net_none_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
