/* A recipe at work: from a put to a put, and what the store sees of it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "runner_world.h"

#define MILLI INT64_C(1000000)
#define SECOND INT64_C(1000000000)

static const char copy[] =
    "{name: copy, start: beginning, if: [{key: '/from/{id}'}],"
    " then: [{put: {key: '/to/{{id}}', value: '{{raw}}'}}]}";

static size_t wanted;
static bool all_are_there(struct world *world)
{
    return world_count(world, "/to/") >= wanted;
}

static void put_some(struct world *world, const char *where, int from, int to)
{
    for (int i = from; i < to; i++) {
        char key[64];
        char value[64];
        snprintf(key, sizeof key, "%s%d", where, i);
        snprintf(value, sizeof value, "value %d", i);
        world_put(world, key, value);
    }
}

static void assert_copied(const struct world *world, int count)
{
    for (int i = 0; i < count; i++) {
        char key[64];
        char value[64];
        snprintf(key, sizeof key, "/to/%d", i);
        snprintf(value, sizeof value, "value %d", i);
        struct slice is = world_get(world, key);
        assert_int_equal(is.size, strlen(value));
        assert_memory_equal(is.at, value, is.size);
        assert_int_equal(world_puts(world, key), 1);
    }
}

static void test_a_put_makes_a_put(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 1);
    world_define(&world, copy);
    world_start(&world, 0);
    world_run(&world, SECOND);
    put_some(&world, "/from/", 0, 1);
    wanted = 1;
    assert_true(world_run_until(&world, all_are_there, SECOND));
    assert_copied(&world, 1);
    /* And a record of the run, and a cursor that is past it. */
    assert_int_equal(world_count(&world, "/_recipes/run/copy/"), 1);
    assert_int_equal(world_count(&world, "/_recipes/cursor/copy"), 1);
    world_deinit(&world);
}

static void test_many_events_are_few_transactions(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 2);
    world_define(&world, copy);
    put_some(&world, "/from/", 0, 5000);
    world_start(&world, 0);
    wanted = 5000;
    assert_true(world_run_until(&world, all_are_there, 20 * SECOND));
    assert_copied(&world, 5000);
    assert_in_range(world_puts(&world, "/_recipes/cursor/copy"), 40, 200);
    assert_in_range(world.store.txn_operations_seen, 50, 128);
    world_deinit(&world);
}

static void test_what_came_before_it_is_not_its_business(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 3);
    put_some(&world, "/from/", 100, 110);
    world_define(&world,
                 "{name: copy, if: [{key: '/from/{id}'}],"
                 " then: [{put: {key: '/to/{{id}}', value: '{{raw}}'}}]}");
    put_some(&world, "/from/", 0, 3);
    world_start(&world, 0);
    world_run(&world, 2 * SECOND);
    assert_int_equal(world_count(&world, "/to/"), 3);
    assert_copied(&world, 3);
    world_deinit(&world);
}

static void test_a_restart_goes_on_where_it_was(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 4);
    world_define(&world, copy);
    put_some(&world, "/from/", 0, 10);
    world_start(&world, 0);
    wanted = 10;
    assert_true(world_run_until(&world, all_are_there, 5 * SECOND));
    world_kill(&world, 0);
    put_some(&world, "/from/", 10, 20);
    world_run(&world, 10 * SECOND);
    assert_int_equal(world_count(&world, "/to/"), 10);
    world_start(&world, 1);
    wanted = 20;
    assert_true(world_run_until(&world, all_are_there, 10 * SECOND));
    world_run(&world, SECOND);
    assert_copied(&world, 20);
    world_deinit(&world);
}

static void test_one_that_leaves_hands_over_at_once(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 5);
    world_define(&world, copy);
    world_start(&world, 0);
    world_start(&world, 1);
    world_run(&world, 2 * SECOND);
    assert_int_equal(world_count(&world, "/_recipes/worker/"), 2);
    for (int i = 0; i < 2; i++)
        if (world.clients[i].runner && world.clients[1 - i].runner) {
            world_stop(&world, i);
            put_some(&world, "/from/", 0, 4);
            world_run(&world, 200 * MILLI);
        }
    assert_int_equal(world_count(&world, "/_recipes/worker/"), 1);
    assert_int_equal(world_count(&world, "/to/"), 4);
    world_deinit(&world);
}

static void test_an_effect_with_a_ttl_ends(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 6);
    world_define(&world, "{name: brief, if: [{key: '/from/{id}'}],"
                         " then: [{put: {key: '/to/{{id}}', value: x,"
                         " ttl: 30s}}]}");
    world_start(&world, 0);
    world_run(&world, SECOND);
    put_some(&world, "/from/", 0, 50);
    wanted = 50;
    assert_true(world_run_until(&world, all_are_there, 2 * SECOND));
    /* A lease a turn, not one an effect; beside the worker's. */
    assert_in_range(world.store.lease_count, 2, 20);
    world_run(&world, 29 * SECOND);
    assert_int_equal(world_count(&world, "/to/"), 50);
    world_run(&world, 3 * SECOND);
    assert_int_equal(world_count(&world, "/to/"), 0);
    world_deinit(&world);
}

static void test_conditions_read_the_revision_of_the_event(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 7);
    world_define(&world,
                 "{name: unless, start: beginning, if: [{key: '/from/{id}'}],"
                 " where: [\"!exists('/muted/' + id)\"],"
                 " then: [{put: {key: '/to/{{id}}',"
                 " value: \"{{get('/word')}}\"}}]}");
    world_put(&world, "/word", "early");
    world_put(&world, "/muted/1", "x");
    put_some(&world, "/from/", 0, 3);
    world_put(&world, "/muted/0", "x");
    world_delete(&world, "/muted/1");
    world_put(&world, "/word", "late");
    world_start(&world, 0);
    world_run(&world, 2 * SECOND);
    assert_int_equal(world_count(&world, "/to/"), 2);
    assert_memory_equal(world_get(&world, "/to/0").at, "early", 5);
    assert_memory_equal(world_get(&world, "/to/2").at, "early", 5);
    world_deinit(&world);
}

static void test_paused_and_resumed(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 8);
    world_define(&world, copy);
    world_start(&world, 0);
    world_run(&world, SECOND);
    world_put(&world, "/_recipes/status/copy", "{\"state\":\"paused\"}");
    world_run(&world, SECOND);
    put_some(&world, "/from/", 0, 5);
    world_run(&world, SECOND);
    assert_int_equal(world_count(&world, "/to/"), 0);
    world_delete(&world, "/_recipes/status/copy");
    wanted = 5;
    assert_true(world_run_until(&world, all_are_there, 2 * SECOND));
    assert_copied(&world, 5);
    world_deinit(&world);
}

static void test_an_edit_keeps_the_place(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 9);
    world_define(&world, copy);
    world_start(&world, 0);
    world_run(&world, SECOND);
    put_some(&world, "/from/", 0, 5);
    wanted = 5;
    assert_true(world_run_until(&world, all_are_there, 2 * SECOND));
    world_define(&world,
                 "{name: copy, if: [{key: '/from/{id}'}],"
                 " then: [{put: {key: '/two/{{id}}', value: '{{raw}}'}}]}");
    world_run(&world, SECOND);
    put_some(&world, "/from/", 5, 10);
    world_run(&world, SECOND);
    assert_int_equal(world_count(&world, "/to/"), 5);
    assert_int_equal(world_count(&world, "/two/"), 5);
    world_deinit(&world);
}

static void test_a_deleted_one_does_nothing_more(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 10);
    world_define(&world, copy);
    world_start(&world, 0);
    world_run(&world, SECOND);
    world_undefine(&world, "copy");
    world_run(&world, SECOND);
    put_some(&world, "/from/", 0, 5);
    world_run(&world, SECOND);
    assert_int_equal(world_count(&world, "/to/"), 0);
    assert_int_equal(world_count(&world, "/_recipes/owner/"), 0);
    world_deinit(&world);
}

static void test_without_etcheds_words_too(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 11);
    world.is_etched = false;
    world_define(&world, copy);
    put_some(&world, "/from/", 0, 200);
    world_start(&world, 0);
    wanted = 200;
    assert_true(world_run_until(&world, all_are_there, 5 * SECOND));
    put_some(&world, "/from/", 200, 300);
    wanted = 300;
    assert_true(world_run_until(&world, all_are_there, 5 * SECOND));
    assert_copied(&world, 300);
    world_deinit(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_put_makes_a_put),
        cmocka_unit_test(test_many_events_are_few_transactions),
        cmocka_unit_test(test_what_came_before_it_is_not_its_business),
        cmocka_unit_test(test_a_restart_goes_on_where_it_was),
        cmocka_unit_test(test_one_that_leaves_hands_over_at_once),
        cmocka_unit_test(test_an_effect_with_a_ttl_ends),
        cmocka_unit_test(test_conditions_read_the_revision_of_the_event),
        cmocka_unit_test(test_paused_and_resumed),
        cmocka_unit_test(test_an_edit_keeps_the_place),
        cmocka_unit_test(test_a_deleted_one_does_nothing_more),
        cmocka_unit_test(test_without_etcheds_words_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
