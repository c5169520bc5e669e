/* What isn't kept for ever: records of runs by number and by age, and the
 * distance between a quiet recipe's cursor and the present. */
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
#define HOUR (3600 * SECOND)

static const char copy[] =
    "{name: copy, start: beginning, if: [{key: '/from/{id}'}],"
    " then: [{put: {key: '/to/{{id}}', value: x}}], keep: {runs: 10}}";

/* One turn, and so one key of records, each. */
static void put_one_by_one(struct world *world, int from, int count)
{
    for (int i = from; i < from + count; i++) {
        char key[64];
        snprintf(key, sizeof key, "/from/%d", i);
        world_put(world, key, "x");
        world_run(world, 20 * MILLI);
    }
}

/* The revision in the name of the oldest record; 0: there is none. */
static int64_t oldest_record(const struct world *world)
{
    struct slice prefix = SLICE("/_recipes/run/copy/");
    for (size_t i = 0; i < world->store.key_count; i++) {
        struct slice key = world->store.keys[i]->key;
        struct run_id id;
        if (!slice_has_prefix(key, prefix) ||
            !memory_store_get(&world->store, key, 0))
            continue;
        struct slice rest =
            slice_of(key.at + prefix.size, key.size - prefix.size);
        assert_true(run_id_parse(rest, &id));
        return id.revision;
    }
    return 0;
}

static void test_the_newest_ten_stay(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 1);
    world_define(&world, copy);
    world_start(&world, 0);
    world_run(&world, SECOND);
    put_one_by_one(&world, 0, 9);
    world_run(&world, 80 * SECOND);
    assert_int_equal(world_count(&world, "/_recipes/run/copy/"), 9);
    put_one_by_one(&world, 9, 25);
    int64_t last = world.store.revision;
    world_run(&world, 80 * SECOND);
    assert_int_equal(world_count(&world, "/_recipes/run/copy/"), 10);
    /* Each event has a revision, and each of its turns. */
    assert_true(oldest_record(&world) < last - 10);
    assert_true(oldest_record(&world) > last - 30);
    assert_int_equal(world_count(&world, "/to/"), 34);
    world_deinit(&world);
}

static void test_what_an_earlier_owner_left(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 2);
    world_define(&world, copy);
    world_start(&world, 0);
    world_run(&world, SECOND);
    /* More than is read at once, and it dies before it tidies up. */
    put_one_by_one(&world, 0, 90);
    world_kill(&world, 0);
    size_t left = world_count(&world, "/_recipes/run/copy/");
    assert_true(left >= 60);
    world_start(&world, 1);
    world_run(&world, 5 * SECOND);
    assert_int_equal(world_count(&world, "/_recipes/run/copy/"), left);
    world_run(&world, 120 * SECOND);
    assert_int_equal(world_count(&world, "/_recipes/run/copy/"), 10);
    /* It knows them now: one more comes, one goes. */
    put_one_by_one(&world, 90, 12);
    world_run(&world, 30 * SECOND);
    assert_in_range(world_count(&world, "/_recipes/run/copy/"), 10, 10);
    world_deinit(&world);
}

static void test_records_of_one_turn_count_each(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 3);
    world_define(&world, copy);
    for (int i = 0; i < 50; i++) {
        char key[64];
        snprintf(key, sizeof key, "/from/%d", i);
        world_put(&world, key, "x");
    }
    world_start(&world, 0);
    world_run(&world, 90 * SECOND);
    /* They came in one or two turns: a list isn't cut. */
    assert_int_equal(world_count(&world, "/to/"), 50);
    assert_in_range(world_count(&world, "/_recipes/run/copy/"), 1, 2);
    put_one_by_one(&world, 50, 10);
    world_run(&world, 30 * SECOND);
    assert_int_equal(world_count(&world, "/_recipes/run/copy/"), 10);
    world_deinit(&world);
}

/* The store has a delete of records: from now on its answers take long. */
static int slow_down(struct world *world, enum runner_method method,
                     struct slice request)
{
    bool is_delete = method == RUNNER_TXN &&
                     memmem(request.at, request.size, "/_recipes/run/", 14) &&
                     !memmem(request.at, request.size, "/_recipes/cursor/", 17);
    if (is_delete)
        world->faults.delay_ns = 2 * SECOND;
    return 0;
}

static bool is_slow(struct world *world)
{
    return world->faults.delay_ns == 2 * SECOND;
}

static void keep_while_slow(uint64_t seed)
{
    struct world world;
    world_init(&world, seed);
    world.lease_ns = 60 * SECOND;
    world.refuse = slow_down;
    world_define(&world, copy);
    world_start(&world, 0);
    world_run(&world, SECOND);
    put_one_by_one(&world, 0, 30);
    assert_true(world_run_until(&world, is_slow, 120 * SECOND));
    for (int i = 0; i < 3; i++)
        put_one_by_one(&world, 100 + i, 1);
    world_run(&world, 30 * SECOND);
    world.refuse = NULL;
    world.faults.delay_ns = MILLI;
    world_run(&world, 60 * SECOND);
    assert_int_equal(world_count(&world, "/to/"), 33);
    assert_in_range(world_count(&world, "/_recipes/run/copy/"), 8, 10);
    world_deinit(&world);
}

static void test_what_ends_during_a_delete_goes_too(void **state)
{
    (void)state;
    for (uint64_t seed = 10; seed < 40; seed++)
        keep_while_slow(seed);
}

/* ---- age ---------------------------------------------------------------- */

static const char aged[] =
    "{name: copy, start: beginning, if: [{key: '/from/{id}'}],"
    " then: [{put: {key: '/to/{{id}}', value: x}}],"
    " keep: {runs: 1000, for: 3h}}";

static void run_aged(bool is_etched)
{
    struct world world;
    world_init(&world, 4);
    world.is_etched = is_etched;
    world.lease_ns = 600 * SECOND;
    world_define(&world, aged);
    world_start(&world, 0);
    world_run(&world, SECOND);
    put_one_by_one(&world, 0, 5);
    world_run(&world, 2 * HOUR);
    put_one_by_one(&world, 5, 5);
    int64_t middle = oldest_record(&world);
    assert_int_equal(world_count(&world, "/_recipes/run/copy/"), 10);
    world_run(&world, 150 * 60 * SECOND);
    /* The first five are four hours and a half old. */
    assert_int_equal(world_count(&world, "/_recipes/run/copy/"), 5);
    assert_true(oldest_record(&world) > middle);
    world_run(&world, 3 * HOUR);
    assert_int_equal(world_count(&world, "/_recipes/run/copy/"), 0);
    world_deinit(&world);
}

static void test_the_old_ones_go(void **state)
{
    (void)state;
    run_aged(true);
}

static void test_the_old_ones_go_where_nobody_knows_times(void **state)
{
    (void)state;
    run_aged(false);
}

/* ---- cursors ------------------------------------------------------------ */

static int64_t cursor_revision(const struct world *world)
{
    const struct store_version *version =
        memory_store_get(&world->store, SLICE("/_recipes/cursor/copy"), 0);
    return version ? version->mod_revision : 0;
}

static void test_a_quiet_recipe_moves_its_cursor_now_and_then(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 5);
    world.lease_ns = 600 * SECOND;
    world_define(&world, copy);
    world_start(&world, 0);
    world_run(&world, SECOND);
    int64_t first = cursor_revision(&world);
    /* A little behind is no reason to write. */
    for (int i = 0; i < 500; i++)
        world_put(&world, "/elsewhere", "x");
    world_run(&world, 1300 * SECOND);
    assert_int_equal(cursor_revision(&world), first);
    for (int i = 0; i < 1000; i++)
        world_put(&world, "/elsewhere", "x");
    /* It knows how far the store is by what its own range is told. */
    world_put(&world, "/from/a", "x");
    world_run(&world, SECOND);
    int64_t second = cursor_revision(&world);
    assert_true(second > first);
    assert_int_equal(world_count(&world, "/to/"), 1);
    world_deinit(&world);
}

static void test_events_that_fire_nothing_move_it_too(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 6);
    world.lazy_ns = 30 * SECOND;
    world_define(&world, "{name: copy, start: beginning,"
                         " if: [{key: '/from/{id}'}], where: ['false'],"
                         " then: [{put: {key: '/to/{{id}}', value: x}}]}");
    world_start(&world, 0);
    world_run(&world, SECOND);
    int64_t first = cursor_revision(&world);
    world_put(&world, "/from/a", "x");
    world_run(&world, 28 * SECOND);
    assert_int_equal(cursor_revision(&world), first);
    world_run(&world, 4 * SECOND);
    int64_t second = cursor_revision(&world);
    assert_true(second > first);
    /* Once; and then it is quiet. */
    world_run(&world, 300 * SECOND);
    assert_int_equal(cursor_revision(&world), second);
    assert_int_equal(world_count(&world, "/_recipes/run/"), 0);
    world_deinit(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_newest_ten_stay),
        cmocka_unit_test(test_what_an_earlier_owner_left),
        cmocka_unit_test(test_records_of_one_turn_count_each),
        cmocka_unit_test(test_what_ends_during_a_delete_goes_too),
        cmocka_unit_test(test_the_old_ones_go),
        cmocka_unit_test(test_the_old_ones_go_where_nobody_knows_times),
        cmocka_unit_test(test_a_quiet_recipe_moves_its_cursor_now_and_then),
        cmocka_unit_test(test_events_that_fire_nothing_move_it_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
