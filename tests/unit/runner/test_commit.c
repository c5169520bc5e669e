/* Turns that the store won't have: refused, without space, with a lease that
 * has ended, of a recipe that can't be read. Nothing spins, nothing is lost,
 * and somebody is told. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "proto/pb.h"
#include "runner/runner_core.h"
#include "runner_world.h"

#define MILLI INT64_C(1000000)
#define SECOND INT64_C(1000000000)

static const char copy[] =
    "{name: copy, start: beginning, if: [{key: '/from/{id}'}],"
    " then: [{put: {key: '/to/{{id}}', value: '{{raw}}'}}]}";

static void put_some(struct world *world, int from, int to)
{
    for (int i = from; i < to; i++) {
        char key[64];
        snprintf(key, sizeof key, "/from/%d", i);
        world_put(world, key, "x");
    }
}

static bool has_effect(struct slice request, const char *key)
{
    return memmem(request.at, request.size, key, strlen(key)) != NULL;
}

static unsigned refused;
static int refuse_code;
static const char *refuse_key;
static int refuse_some(struct world *world, enum runner_method method,
                       struct slice request)
{
    (void)world;
    if (method != RUNNER_TXN || !refuse_code ||
        !has_effect(request, refuse_key))
        return 0;
    refused++;
    return refuse_code;
}

static void begin(struct world *world, uint64_t seed, int code, const char *key)
{
    world_init(world, seed);
    refused = 0;
    refuse_code = code;
    refuse_key = key;
    world->refuse = refuse_some;
    world_define(world, copy);
    world_start(world, 0);
    world_run(world, SECOND);
}

static void test_one_that_is_refused_for_ever(void **state)
{
    (void)state;
    struct world world;
    begin(&world, 1, 3, "/to/7");
    put_some(&world, 0, 20);
    world_run(&world, 10 * SECOND);
    /* All before it have their effects; it trips, and says why. */
    assert_int_equal(world_count(&world, "/to/"), 7);
    struct slice status = world_get(&world, "/_recipes/status/copy");
    assert_non_null(memmem(status.at, status.size, "\"tripped\"", 9));
    assert_non_null(memmem(status.at, status.size, "refuses", 7));
    assert_in_range(refused, 2, 4);
    world_run(&world, 60 * SECOND);
    assert_in_range(refused, 2, 4);
    /* The store has changed its mind. */
    refuse_code = 0;
    world_delete(&world, "/_recipes/status/copy");
    world_run(&world, 5 * SECOND);
    assert_int_equal(world_count(&world, "/to/"), 20);
    world_deinit(&world);
}

static void test_no_space_is_waited_for(void **state)
{
    (void)state;
    struct world world;
    begin(&world, 2, 8, "/to/");
    put_some(&world, 0, 20);
    world_run(&world, 120 * SECOND);
    assert_int_equal(world_count(&world, "/to/"), 0);
    assert_int_equal(world_get(&world, "/_recipes/status/copy").size, 0);
    /* At most every few seconds. */
    assert_in_range(refused, 8, 60);
    refuse_code = 0;
    world_run(&world, 15 * SECOND);
    assert_int_equal(world_count(&world, "/to/"), 20);
    world_deinit(&world);
}

static unsigned grants;
static int count_grants(struct world *world, enum runner_method method,
                        struct slice request)
{
    (void)request;
    if (method == RUNNER_LEASE_GRANT)
        grants++;
    /* A lease of effects ends before it is used. */
    if (method == RUNNER_TXN && has_effect(request, "/to/") && grants == 2 &&
        world->store.lease_count > 1) {
        world->store.lease_count = 1;
    }
    return 0;
}

static void test_a_lease_that_ended_is_asked_for_again(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 3);
    grants = 0;
    world.refuse = count_grants;
    world_define(&world, "{name: brief, start: beginning,"
                         " if: [{key: '/from/{id}'}],"
                         " then: [{put: {key: '/to/{{id}}', value: x,"
                         " ttl: 1m}}, {put: {key: '/too/{{id}}', value: x,"
                         " ttl: 2m}}, {put: {key: '/three/{{id}}', value: x,"
                         " ttl: 1m}}]}");
    world_start(&world, 0);
    world_run(&world, SECOND);
    put_some(&world, 0, 3);
    world_run(&world, 10 * SECOND);
    assert_int_equal(world_count(&world, "/to/"), 3);
    assert_int_equal(world_count(&world, "/too/"), 3);
    /* The worker's own, and two a turn at the most; those that failed, too. */
    assert_in_range(grants, 3, 9);
    /* Each has the ttl that it should have. */
    world_run(&world, 70 * SECOND);
    assert_int_equal(world_count(&world, "/to/"), 0);
    assert_int_equal(world_count(&world, "/three/"), 0);
    assert_int_equal(world_count(&world, "/too/"), 3);
    world_run(&world, 60 * SECOND);
    assert_int_equal(world_count(&world, "/too/"), 0);
    world_deinit(&world);
}

static void test_leases_are_shared_for_a_moment(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 4);
    world_define(&world, "{name: brief, start: beginning,"
                         " if: [{key: '/from/{id}'}],"
                         " then: [{put: {key: '/to/{{id}}', value: x,"
                         " ttl: 10m}}]}");
    world_start(&world, 0);
    world_run(&world, SECOND);
    size_t before = world.store.lease_count;
    for (int i = 0; i < 100; i++) {
        put_some(&world, i, i + 1);
        world_run(&world, 20 * MILLI);
    }
    world_run(&world, SECOND);
    assert_int_equal(world_count(&world, "/to/"), 100);
    /* Two seconds of work: not a hundred leases. */
    assert_in_range(world.store.lease_count - before, 1, 5);
    world_deinit(&world);
}

static void test_what_cannot_be_read_is_not_written_over(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 5);
    world_define(&world, copy);
    world_start(&world, 0);
    world_run(&world, SECOND);
    put_some(&world, 0, 2);
    world_run(&world, SECOND);
    world_kill(&world, 0);
    world_put(&world, "/_recipes/cursor/copy", "{\"half a cur");
    world_run(&world, 8 * SECOND);
    world_start(&world, 1);
    put_some(&world, 2, 4);
    world_run(&world, 5 * SECOND);
    assert_int_equal(world_count(&world, "/to/"), 2);
    struct slice status = world_get(&world, "/_recipes/status/copy");
    assert_non_null(memmem(status.at, status.size, "\"tripped\"", 9));
    assert_non_null(memmem(status.at, status.size, "cursor", 6));
    assert_true(slice_eq(world_get(&world, "/_recipes/cursor/copy"),
                         SLICE("{\"half a cur")));
    world_deinit(&world);
}

static void test_a_deposed_owner_does_nothing(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 6);
    world_define(&world, copy);
    world_start(&world, 0);
    world_run(&world, SECOND);
    /* Somebody else has it now, and this worker hasn't heard of it. */
    world_put(&world, "/_recipes/owner/copy", "0");
    world_delete(&world, "/_recipes/owner/copy");
    world_put(&world, "/_recipes/owner/copy", "abc");
    put_some(&world, 0, 5);
    world_run(&world, 3 * SECOND);
    assert_int_equal(world_count(&world, "/to/"), 0);
    assert_null(def__find(world.clients[0].runner, SLICE("copy"))->work);
    world_delete(&world, "/_recipes/owner/copy");
    world_run(&world, 3 * SECOND);
    assert_int_equal(world_count(&world, "/to/"), 5);
    world_deinit(&world);
}

/* A cursor that somebody moved is believed: it is the state. */
static void test_a_cursor_that_was_moved(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 7);
    world_define(&world, copy);
    world_start(&world, 0);
    world_run(&world, SECOND);
    put_some(&world, 0, 5);
    world_run(&world, SECOND);
    const struct store_key *cursor = NULL;
    for (size_t i = 0; i < world.store.key_count; i++)
        if (slice_eq(world.store.keys[i]->key, SLICE("/_recipes/cursor/copy")))
            cursor = world.store.keys[i];
    assert_non_null(cursor);
    char first[512];
    snprintf(first, sizeof first, "%.*s", (int)cursor->versions[0].value.size,
             cursor->versions[0].value.at);
    world_put(&world, "/_recipes/cursor/copy", first);
    put_some(&world, 5, 6);
    world_run(&world, 3 * SECOND);
    assert_int_equal(world_puts(&world, "/to/0"), 2);
    assert_int_equal(world_puts(&world, "/to/5"), 1);
    world_deinit(&world);
}

static void test_a_txn_of_the_users_own(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 8);
    world_define(&world,
                 "{name: lock, start: beginning, if: [{key: '/from/{id}',"
                 " events: [create]}], then: [{txn: {compare:"
                 " [{key: /lock, exists: false}],"
                 " then: [{put: {key: /lock, value: '{{id}}'}},"
                 " {put: {key: '/won/{{id}}', value: x, ttl: 1h}}],"
                 " else: [{put: {key: '/lost/{{id}}', value: x}}]}}]}");
    world_start(&world, 0);
    put_some(&world, 0, 6);
    world_run(&world, 5 * SECOND);
    assert_int_equal(world_count(&world, "/won/"), 1);
    assert_int_equal(world_count(&world, "/lost/"), 5);
    assert_true(slice_eq(world_get(&world, "/lock"), SLICE("0")));
    world_deinit(&world);
}

static void test_a_delete_below_a_prefix(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 9);
    for (int i = 0; i < 30; i++) {
        char key[64];
        snprintf(key, sizeof key, "/data/%d/%d", i % 3, i);
        world_put(&world, key, "x");
    }
    world_define(&world,
                 "{name: clean, if: [{key: '/from/{id}', events: [create]}],"
                 " then: [{delete: {key: '/data/{{id}}/', prefix: true}},"
                 " {put: {key: '/log', value: '{{id}}'}}]}");
    world_start(&world, 0);
    world_run(&world, SECOND);
    put_some(&world, 0, 2);
    world_run(&world, 3 * SECOND);
    assert_int_equal(world_count(&world, "/data/"), 10);
    assert_int_equal(world_puts(&world, "/log"), 2);
    world_deinit(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_that_is_refused_for_ever),
        cmocka_unit_test(test_no_space_is_waited_for),
        cmocka_unit_test(test_a_lease_that_ended_is_asked_for_again),
        cmocka_unit_test(test_leases_are_shared_for_a_moment),
        cmocka_unit_test(test_what_cannot_be_read_is_not_written_over),
        cmocka_unit_test(test_a_deposed_owner_does_nothing),
        cmocka_unit_test(test_a_cursor_that_was_moved),
        cmocka_unit_test(test_a_txn_of_the_users_own),
        cmocka_unit_test(test_a_delete_below_a_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
