/* Who works, and who has what. */
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

static void test_weights_never_change(void **state)
{
    (void)state;
    /* All versions have to reckon alike: these are from the first one. */
    assert_true(workers__weight(SLICE("disk-full"), SLICE("694d9a1f")) ==
                UINT64_C(0x3d490b80e84eeef4));
    assert_true(workers__weight(SLICE(""), SLICE("")) ==
                UINT64_C(0xb9034ad37056f5fb));
}

static void test_weights_share_evenly(void **state)
{
    (void)state;
    int counts[4] = {0};
    for (int i = 0; i < 10000; i++) {
        char name[32];
        snprintf(name, sizeof name, "recipe-%d", i);
        int best = 0;
        uint64_t most = 0;
        for (int w = 0; w < 4; w++) {
            char worker[32];
            snprintf(worker, sizeof worker, "694d9a1f0%d", w);
            uint64_t weight =
                workers__weight(slice_str(name), slice_str(worker));
            if (weight > most) {
                most = weight;
                best = w;
            }
        }
        counts[best]++;
    }
    for (int w = 0; w < 4; w++)
        assert_in_range(counts[w], 2300, 2700);
}

static void define_many(struct world *world, int count)
{
    for (int i = 0; i < count; i++) {
        char text[256];
        snprintf(text, sizeof text,
                 "{name: r%d, start: beginning, if: [{key: '/from/%d/{id}'}],"
                 " then: [{put: {key: '/to/%d/{{id}}', value: '{{raw}}'}}]}",
                 i, i, i);
        world_define(world, text);
    }
}

static size_t count_works(const struct world *world, int index)
{
    const struct runner *runner = world->clients[index].runner;
    size_t count = 0;
    for (size_t i = 0; i < runner->defs.count; i++)
        count += runner->defs.sorted[i]->work != NULL;
    return count;
}

static void put_each(struct world *world, int count, const char *id)
{
    for (int i = 0; i < count; i++) {
        char key[64];
        snprintf(key, sizeof key, "/from/%d/%s", i, id);
        world_put(world, key, "x");
    }
}

static void test_recipes_are_shared_out(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 1);
    define_many(&world, 300);
    for (int i = 0; i < 3; i++)
        world_start(&world, i);
    world_run(&world, 5 * SECOND);
    size_t sum = 0;
    for (int i = 0; i < 3; i++) {
        assert_in_range(count_works(&world, i), 60, 150);
        sum += count_works(&world, i);
    }
    assert_int_equal(sum, 300);
    assert_int_equal(world_count(&world, "/_recipes/owner/"), 300);
    put_each(&world, 300, "a");
    world_run(&world, 2 * SECOND);
    assert_int_equal(world_count(&world, "/to/"), 300);
    /* Another one comes, and gets its part, and no more moves than that. */
    world_start(&world, 3);
    world_run(&world, 5 * SECOND);
    assert_in_range(count_works(&world, 3), 40, 120);
    put_each(&world, 300, "b");
    world_run(&world, 2 * SECOND);
    assert_int_equal(world_count(&world, "/to/"), 600);
    /* One dies: within its lease its part is the others'. */
    world_kill(&world, 0);
    put_each(&world, 300, "c");
    world_run(&world, 8 * SECOND);
    assert_int_equal(world_count(&world, "/to/"), 900);
    world_deinit(&world);
}

static void test_what_is_in_doubt_is_dropped(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 2);
    define_many(&world, 10);
    world_start(&world, 0);
    world_run(&world, 2 * SECOND);
    assert_int_equal(count_works(&world, 0), 10);
    world.faults.is_away = true;
    world_run(&world, 4 * SECOND);
    assert_int_equal(count_works(&world, 0), 10);
    /* No keepalive was answered for as long as its lease lasts. */
    world_run(&world, 2 * SECOND);
    assert_int_equal(count_works(&world, 0), 0);
    world.faults.is_away = false;
    world_run(&world, 15 * SECOND);
    assert_int_equal(count_works(&world, 0), 10);
    assert_int_equal(world_count(&world, "/_recipes/worker/"), 1);
    put_each(&world, 10, "a");
    world_run(&world, SECOND);
    assert_int_equal(world_count(&world, "/to/"), 10);
    world_deinit(&world);
}

static void test_a_lease_that_was_revoked(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 3);
    define_many(&world, 10);
    world_start(&world, 0);
    world_run(&world, 2 * SECOND);
    struct buf request = {0};
    struct store_reply reply;
    pb_put_i64(&request, 1, world.store.leases[0].id);
    memory_store_revoke(&world.store, buf_slice(&request), &reply);
    buf_deinit(&request);
    buf_deinit(&reply.message);
    assert_int_equal(world_count(&world, "/_recipes/owner/"), 0);
    world_run(&world, 6 * SECOND);
    assert_int_equal(count_works(&world, 0), 10);
    put_each(&world, 10, "a");
    world_run(&world, SECOND);
    assert_int_equal(world_count(&world, "/to/"), 10);
    world_deinit(&world);
}

static void test_who_leaves_is_gone_at_once(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 4);
    define_many(&world, 50);
    world_start(&world, 0);
    world_start(&world, 1);
    world_run(&world, 4 * SECOND);
    put_each(&world, 50, "a");
    world_run(&world, 2 * MILLI);
    world_stop(&world, 0);
    world_run(&world, 500 * MILLI);
    assert_null(world.clients[0].runner);
    assert_int_equal(world_count(&world, "/_recipes/worker/"), 1);
    assert_int_equal(count_works(&world, 1), 50);
    assert_int_equal(world_count(&world, "/to/"), 50);
    world_deinit(&world);
}

static void test_one_that_never_began_stops_too(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 5);
    world.faults.is_away = true;
    world_start(&world, 0);
    world_run(&world, SECOND);
    world_stop(&world, 0);
    world_run(&world, SECOND);
    assert_null(world.clients[0].runner);
    world_deinit(&world);
}

static void test_a_broken_definition_is_nobodys(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 6);
    define_many(&world, 1);
    world_put(&world, "/_recipes/def/odd", "{\"name\":\"odd\"}");
    world_put(&world, "/_recipes/def/other", "{\"name\":\"r0\",");
    world_start(&world, 0);
    world_run(&world, 2 * SECOND);
    const struct def *odd = def__find(world.clients[0].runner, SLICE("odd"));
    assert_non_null(odd);
    assert_int_equal(odd->state, DEF_BROKEN);
    assert_true(odd->why.size > 0);
    assert_int_equal(world_count(&world, "/_recipes/owner/"), 1);
    /* In the order of their names. */
    struct runner *runner = world.clients[0].runner;
    struct def *def = def__next(runner, SLICE(""));
    assert_true(slice_eq(def->name, SLICE("odd")));
    def = def__next(runner, def->name);
    assert_true(slice_eq(def->name, SLICE("other")));
    def = def__next(runner, def->name);
    assert_true(slice_eq(def->name, SLICE("r0")));
    assert_null(def__next(runner, def->name));
    world_deinit(&world);
}

static void test_more_definitions_than_a_page(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 7);
    define_many(&world, 1200);
    put_each(&world, 1200, "a");
    world_start(&world, 0);
    world_run(&world, 10 * SECOND);
    assert_int_equal(count_works(&world, 0), 1200);
    assert_int_equal(world_count(&world, "/to/"), 1200);
    world_deinit(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weights_never_change),
        cmocka_unit_test(test_weights_share_evenly),
        cmocka_unit_test(test_recipes_are_shared_out),
        cmocka_unit_test(test_what_is_in_doubt_is_dropped),
        cmocka_unit_test(test_a_lease_that_was_revoked),
        cmocka_unit_test(test_who_leaves_is_gone_at_once),
        cmocka_unit_test(test_one_that_never_began_stops_too),
        cmocka_unit_test(test_a_broken_definition_is_nobodys),
        cmocka_unit_test(test_more_definitions_than_a_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
