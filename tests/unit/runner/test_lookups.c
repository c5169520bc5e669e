/* get(), exists() and count() are what was there AT THE EVENT, however late it
 * is worked; and what becomes of it when that is gone. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "proto/message.h"
#include "runner/runner_core.h"
#include "runner_world.h"

#define MILLI INT64_C(1000000)
#define SECOND INT64_C(1000000000)

static void assert_value(const struct world *world, const char *key,
                         const char *value)
{
    struct slice is = world_get(world, key);
    if (!slice_eq(is, slice_str(value)))
        fprintf(stderr, "%s is \"%.*s\"\n", key, (int)is.size, is.at);
    assert_true(slice_eq(is, slice_str(value)));
}

static const char look[] =
    "{name: look, start: beginning, if: [{key: '/from/{id}'}],"
    " then: [{put: {key: '/to/{{id}}',"
    " value: \"{{get('/a')}}|{{exists('/b')}}|{{count('/c/')}}\"}}]}";

static void test_as_it_was_at_the_event(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 1);
    world_define(&world, look);
    world_put(&world, "/from/1", "x");
    world_put(&world, "/a", "one");
    world_put(&world, "/c/1", "x");
    world_put(&world, "/c/2", "x");
    world_put(&world, "/c", "isn't below it");
    world_put(&world, "/from/2", "x");
    world_put(&world, "/b", "");
    world_put(&world, "/a", "two");
    world_delete(&world, "/c/1");
    world_put(&world, "/from/3", "x");
    world_delete(&world, "/a");
    world_delete(&world, "/b");
    world_put(&world, "/from/4", "x");
    /* All of it long ago, when somebody looks. */
    world_start(&world, 0);
    world_run(&world, 2 * SECOND);
    assert_value(&world, "/to/2", "one|false|2");
    assert_value(&world, "/to/3", "two|true|1");
    assert_int_equal(world_count(&world, "/to/"), 4);
    assert_value(&world, "/to/4", "null|false|1");
    world_deinit(&world);
}

static void test_a_condition_on_another_key(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 2);
    world_define(&world, "{name: cond, start: beginning,"
                         " if: [{key: '/from/{id}'}],"
                         " where: [\"!exists('/muted/' + id)\"],"
                         " then: [{put: {key: '/to/{{id}}', value: x}}]}");
    world_start(&world, 0);
    world_run(&world, SECOND);
    for (int i = 0; i < 40; i++) {
        char from[32];
        char muted[32];
        snprintf(from, sizeof from, "/from/%d", i);
        snprintf(muted, sizeof muted, "/muted/%d", i);
        if (i % 4 == 0)
            world_put(&world, muted, "x");
        world_put(&world, from, "x");
        if (i % 4 == 1)
            world_put(&world, muted, "too late");
        if (i % 4 == 0)
            world_delete(&world, muted);
    }
    world_run(&world, 3 * SECOND);
    assert_int_equal(world_count(&world, "/to/"), 30);
    assert_value(&world, "/to/4", "");
    assert_value(&world, "/to/5", "x");
    world_deinit(&world);
}

/* ---- what is asked ------------------------------------------------------ */

static size_t ranges;
static size_t counts;
static int64_t asked_revision;
static int refuse_code;

static int note_range(struct world *world, enum runner_method method,
                      struct slice request)
{
    (void)world;
    if (method != RUNNER_RANGE ||
        memmem(request.at, request.size, "_recipes", 8))
        return 0;
    struct arena arena;
    ProtobufCMessage *message;
    arena_init(&arena, 0);
    enum err err = message_decode(&etcdserverpb__range_request__descriptor,
                                  request, &arena, &message);
    assert_int_equal(err, ERR_OK);
    const Etcdserverpb__RangeRequest *range =
        (const Etcdserverpb__RangeRequest *)message;
    ranges++;
    counts += range->count_only != 0;
    asked_revision = range->revision;
    if (range->count_only)
        assert_true(slice_eq(message_bytes(range->range_end), SLICE("/c0")));
    else
        assert_int_equal(range->range_end.len, 0);
    arena_deinit(&arena);
    return refuse_code;
}

static void begin(struct world *world, uint64_t seed)
{
    world_init(world, seed);
    world->refuse = note_range;
    ranges = counts = 0;
    refuse_code = 0;
    world_define(world, look);
    world_put(world, "/a", "one");
    world_start(world, 0);
    world_run(world, SECOND);
}

static void test_each_is_asked_once_for_an_event(void **state)
{
    (void)state;
    struct world world;
    begin(&world, 3);
    int64_t revision = world_put(&world, "/from/1", "x");
    world_run(&world, SECOND);
    /* One each of get, exists and count; values of what is counted stay where
     * they are. */
    assert_int_equal(ranges, 3);
    assert_int_equal(counts, 1);
    assert_int_equal(asked_revision, revision);
    /* Nothing is kept for the next event. */
    world_put(&world, "/a", "two");
    world_put(&world, "/from/2", "x");
    world_run(&world, SECOND);
    assert_int_equal(ranges, 6);
    assert_value(&world, "/to/1", "one|false|0");
    assert_value(&world, "/to/2", "two|false|0");
    const struct def *def = def__find(world.clients[0].runner, SLICE("look"));
    assert_int_equal(def->work->lookups.count, 0);
    assert_int_equal(def->work->lookups_out, 0);
    world_deinit(&world);
}

static void test_what_cannot_be_read_now_is_asked_again(void **state)
{
    (void)state;
    struct world world;
    begin(&world, 4);
    refuse_code = 14;
    world_put(&world, "/from/1", "x");
    world_run(&world, 3 * SECOND);
    assert_int_equal(world_count(&world, "/to/"), 0);
    assert_true(ranges >= 3);
    /* Not at full speed. */
    assert_true(ranges < 60);
    refuse_code = 0;
    world_run(&world, 12 * SECOND);
    assert_value(&world, "/to/1", "one|false|0");
    assert_int_equal(world_puts(&world, "/to/1"), 1);
    world_deinit(&world);
}

static void test_killed_while_it_asks(void **state)
{
    (void)state;
    struct world world;
    begin(&world, 5);
    world.faults.delay_ns = 50 * MILLI;
    for (int i = 0; i < 30; i++) {
        char key[32];
        snprintf(key, sizeof key, "/from/%d", i);
        world_put(&world, key, "x");
    }
    /* Paused, changed and killed in the midst of it. */
    world_run(&world, 170 * MILLI);
    world_put(&world, "/_recipes/status/look", "{\"state\":\"paused\"}");
    world_run(&world, 500 * MILLI);
    world_delete(&world, "/_recipes/status/look");
    world_run(&world, 310 * MILLI);
    world_define(&world, look);
    world_run(&world, 310 * MILLI);
    world_kill(&world, 0);
    world_run(&world, 6 * SECOND);
    world_start(&world, 1);
    world_run(&world, 20 * SECOND);
    assert_int_equal(world_count(&world, "/to/"), 30);
    for (int i = 0; i < 30; i++) {
        char key[32];
        snprintf(key, sizeof key, "/to/%d", i);
        assert_int_equal(world_puts(&world, key), 1);
    }
    world_deinit(&world);
}

/* ---- compacted ---------------------------------------------------------- */

static int64_t compact_before;
static int compact_when_asked(struct world *world, enum runner_method method,
                              struct slice request)
{
    bool is_lookup = method == RUNNER_RANGE &&
                     !memmem(request.at, request.size, "_recipes", 8);
    if (is_lookup && compact_before == 0) {
        compact_before = world_put(world, "/elsewhere", "x");
        memory_store_compact(&world->store, compact_before);
    }
    return 0;
}

static void test_what_was_compacted_is_an_error_and_no_guess(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 6);
    world.refuse = compact_when_asked;
    compact_before = 0;
    world_define(&world, look);
    world_put(&world, "/a", "one");
    world_start(&world, 0);
    world_run(&world, SECOND);
    world_put(&world, "/from/1", "x");
    world_run(&world, 3 * SECOND);
    assert_true(compact_before > 0);
    /* What it would have written isn't known, so it isn't written; the run is
     * on record, as one that failed. */
    assert_int_equal(world_count(&world, "/to/"), 0);
    assert_true(world.clients[0].runner->told.failed > 0);
    /* And it goes on with the next. */
    world_put(&world, "/from/2", "x");
    world_run(&world, 3 * SECOND);
    assert_value(&world, "/to/2", "one|false|0");
    world_deinit(&world);
}

/* ---- many, on a bad net ------------------------------------------------- */

static void test_on_a_bad_net_it_is_the_same(void **state)
{
    (void)state;
    for (uint64_t seed = 10; seed < 16; seed++) {
        struct world world;
        world_init(&world, seed);
        world.faults = (struct world_faults){.delay_ns = 20 * MILLI,
                                             .lost = 60,
                                             .late_ns = SECOND,
                                             .broken = 10,
                                             .fragments = 300};
        world_define(&world, "{name: n, start: beginning,"
                             " if: [{key: '/from/{id}'}], then:"
                             " [{put: {key: '/to/{{id}}',"
                             " value: \"{{count('/from/')}}\"}}]}");
        world_start(&world, 0);
        world_start(&world, 1);
        for (int i = 1; i <= 40; i++) {
            char key[32];
            snprintf(key, sizeof key, "/from/%d", i);
            world_put(&world, key, "x");
            world_run(&world, 30 * MILLI);
        }
        world.faults = (struct world_faults){.delay_ns = MILLI};
        world_run(&world, 40 * SECOND);
        /* The n-th was the n-th, whenever it was worked. */
        for (int i = 1; i <= 40; i++) {
            char key[32];
            char value[32];
            snprintf(key, sizeof key, "/to/%d", i);
            snprintf(value, sizeof value, "%d", i);
            assert_value(&world, key, value);
            assert_int_equal(world_puts(&world, key), 1);
        }
        world_deinit(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_it_was_at_the_event),
        cmocka_unit_test(test_a_condition_on_another_key),
        cmocka_unit_test(test_each_is_asked_once_for_an_event),
        cmocka_unit_test(test_what_cannot_be_read_now_is_asked_again),
        cmocka_unit_test(test_killed_while_it_asks),
        cmocka_unit_test(test_what_was_compacted_is_an_error_and_no_guess),
        cmocka_unit_test(test_on_a_bad_net_it_is_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
