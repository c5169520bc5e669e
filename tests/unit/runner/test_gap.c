/* History that was compacted before a recipe had read it: said, and then done
 * as the recipe wants. Never silence. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "runner_world.h"

#define MILLI INT64_C(1000000)
#define SECOND INT64_C(1000000000)

static void define(struct world *world, const char *more)
{
    char text[512];
    snprintf(text, sizeof text,
             "{name: copy, if: [{key: '/from/{id}'}], %s"
             " then: [{put: {key: '/to/{{id}}', value: '{{raw}}'}}]}",
             more);
    world_define(world, text);
}

static void put_some(struct world *world, int from, int to, const char *value)
{
    for (int i = from; i < to; i++) {
        char key[64];
        snprintf(key, sizeof key, "/from/%d", i);
        world_put(world, key, value);
    }
}

/* A worker takes two events and dies; then there are six more, of which one is
 * overwritten and one deleted, and history is compacted. */
static void lose_some(struct world *world, uint64_t seed, const char *more)
{
    world_init(world, seed);
    world->lease_ns = 2 * SECOND;
    define(world, more);
    world_start(world, 0);
    world_run(world, SECOND);
    put_some(world, 0, 2, "one");
    world_run(world, SECOND);
    assert_int_equal(world_count(world, "/to/"), 2);
    world_kill(world, 0);
    put_some(world, 2, 8, "one");
    world_put(world, "/from/3", "two");
    world_delete(world, "/from/4");
    world_run(world, 5 * SECOND);
    memory_store_compact(&world->store, world->store.revision);
    world_put(world, "/from/8", "three");
    world_start(world, 1);
    world_run(world, 3 * SECOND);
}

static void assert_status(const struct world *world, const char *state)
{
    struct slice status = world_get(world, "/_recipes/status/copy");
    assert_non_null(memmem(status.at, status.size, state, strlen(state)));
    assert_non_null(memmem(status.at, status.size, "compacted", 9));
}

static void test_it_stops_and_says_so(void **state)
{
    (void)state;
    struct world world;
    lose_some(&world, 1, "");
    assert_int_equal(world_count(&world, "/to/"), 2);
    assert_status(&world, "\"gap\"");
    /* Resumed, it goes on behind the gap. */
    world_delete(&world, "/_recipes/status/copy");
    world_run(&world, 3 * SECOND);
    assert_int_equal(world_count(&world, "/to/"), 3);
    assert_memory_equal(world_get(&world, "/to/8").at, "three", 5);
    assert_int_equal(world_get(&world, "/_recipes/status/copy").size, 0);
    world_deinit(&world);
}

static void test_or_goes_on_and_says_so(void **state)
{
    (void)state;
    struct world world;
    lose_some(&world, 2, "on_gap: skip,");
    assert_int_equal(world_count(&world, "/to/"), 3);
    assert_status(&world, "\"running\"");
    world_put(&world, "/from/9", "four");
    world_run(&world, SECOND);
    assert_int_equal(world_count(&world, "/to/"), 4);
    world_deinit(&world);
}

static void test_or_takes_what_is_there(void **state)
{
    (void)state;
    struct world world;
    lose_some(&world, 3, "on_gap: resync,");
    /* All but the one that is gone, in its last version, each once. */
    assert_int_equal(world_count(&world, "/to/"), 8);
    assert_int_equal(world_get(&world, "/to/4").size, 0);
    assert_memory_equal(world_get(&world, "/to/3").at, "two", 3);
    for (int i = 0; i < 9; i++) {
        char key[64];
        snprintf(key, sizeof key, "/to/%d", i);
        if (i != 4)
            assert_int_equal(world_puts(&world, key), 1);
    }
    assert_status(&world, "\"running\"");
    world_deinit(&world);
}

static void test_a_resync_survives_its_worker(void **state)
{
    (void)state;
    for (uint64_t seed = 10; seed < 18; seed++) {
        struct world world;
        world_init(&world, seed);
        world.lease_ns = 2 * SECOND;
        define(&world, "on_gap: resync,");
        world_start(&world, 0);
        world_run(&world, SECOND);
        put_some(&world, 0, 1, "one");
        world_run(&world, SECOND);
        world_kill(&world, 0);
        put_some(&world, 0, 3000, "two");
        memory_store_compact(&world.store, world.store.revision);
        world_run(&world, 5 * SECOND);
        for (int i = 1; i < 5; i++) {
            world_start(&world, i);
            world_run(&world,
                      prng_between(&world.prng, 20 * MILLI, 60 * MILLI));
            world_kill(&world, i);
            world_run(&world, 3 * SECOND);
        }
        world_start(&world, 1);
        world_run(&world, 10 * SECOND);
        assert_int_equal(world_count(&world, "/to/"), 3000);
        for (int i = 1; i < 3000; i++) {
            char key[64];
            snprintf(key, sizeof key, "/to/%d", i);
            assert_int_equal(world_puts(&world, key), 1);
        }
        world_deinit(&world);
    }
}

static void test_the_beginning_is_where_history_begins(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 4);
    put_some(&world, 0, 5, "one");
    memory_store_compact(&world.store, world.store.revision);
    put_some(&world, 5, 7, "one");
    define(&world, "start: beginning,");
    world_start(&world, 0);
    world_run(&world, 2 * SECOND);
    assert_int_equal(world_count(&world, "/to/"), 2);
    assert_int_equal(world_get(&world, "/_recipes/status/copy").size, 0);
    world_deinit(&world);
}

static void test_a_tombstone_of_the_compacted_revision(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 5);
    world.lease_ns = 2 * SECOND;
    world_put(&world, "/from/a", "x");
    world_define(&world, "{name: copy, if: [{key: '/from/{id}', events:"
                         " [delete]}], then: [{put: {key: '/to/{{id}}',"
                         " value: gone}}]}");
    world_start(&world, 0);
    world_run(&world, SECOND);
    world_kill(&world, 0);
    world_run(&world, 5 * SECOND);
    int64_t cursor =
        memory_store_get(&world.store, SLICE("/_recipes/cursor/copy"), 0)
            ->mod_revision;
    /* Everything else that was written meanwhile comes after it. */
    assert_in_range(cursor, 1, world.store.revision);
    int64_t deleted = world_delete(&world, "/from/a");
    memory_store_compact(&world.store, deleted);
    world_start(&world, 1);
    world_run(&world, 3 * SECOND);
    /* It can't be had any more, and that is said. */
    assert_int_equal(world_count(&world, "/to/"), 0);
    assert_status(&world, "\"gap\"");
    world_deinit(&world);
}

static void test_definitions_are_read_again(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 6);
    define(&world, "");
    world_start(&world, 0);
    world_run(&world, SECOND);
    /* The stream breaks, and what it would go on from is gone. */
    world.faults.is_away = true;
    world_run(&world, SECOND);
    world_undefine(&world, "copy");
    world_define(&world, "{name: other, start: beginning,"
                         " if: [{key: '/from/{id}'}],"
                         " then: [{put: {key: '/other/{{id}}', value: x}}]}");
    put_some(&world, 0, 2, "one");
    memory_store_compact(&world.store, world.store.revision);
    put_some(&world, 2, 3, "one");
    world.faults.is_away = false;
    world_run(&world, 12 * SECOND);
    put_some(&world, 3, 4, "one");
    world_run(&world, 2 * SECOND);
    assert_int_equal(world_count(&world, "/to/"), 0);
    assert_int_equal(world_count(&world, "/other/"), 2);
    world_deinit(&world);
}

static void test_an_inbox_loses_nothing(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 7);
    world.lease_ns = 2 * SECOND;
    world_define(&world, "{name: called, if: [{manual: true}],"
                         " then: [{put: {key: '/to/{{event.revision}}',"
                         " value: x}}]}");
    world_start(&world, 0);
    world_run(&world, SECOND);
    world_kill(&world, 0);
    for (int i = 0; i < 5; i++) {
        char key[64];
        snprintf(key, sizeof key, "/_recipes/in/called/call/%d", i);
        world_put(&world, key, "{}");
    }
    world_run(&world, 5 * SECOND);
    memory_store_compact(&world.store, world.store.revision);
    world_start(&world, 1);
    world_run(&world, 3 * SECOND);
    assert_int_equal(world_count(&world, "/to/"), 5);
    world_deinit(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_stops_and_says_so),
        cmocka_unit_test(test_or_goes_on_and_says_so),
        cmocka_unit_test(test_or_takes_what_is_there),
        cmocka_unit_test(test_a_resync_survives_its_worker),
        cmocka_unit_test(test_the_beginning_is_where_history_begins),
        cmocka_unit_test(test_a_tombstone_of_the_compacted_revision),
        cmocka_unit_test(test_definitions_are_read_again),
        cmocka_unit_test(test_an_inbox_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
