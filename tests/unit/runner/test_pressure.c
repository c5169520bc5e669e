/* Much at once, much behind, and much that is kept. */
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

static const char copy[] =
    "{name: copy, start: beginning, if: [{key: '/from/{id}'}],"
    " then: [{put: {key: '/to/{{event.revision}}', value: '{{id}}'}}],"
    " keep: {runs: 100}}";

static struct work *work_of(const struct world *world, int index)
{
    struct def *def = def__find(world->clients[index].runner, SLICE("copy"));
    return def ? def->work : NULL;
}

static void put_many(struct world *world, int count, const char *value)
{
    for (int i = 0; i < count; i++) {
        char key[64];
        snprintf(key, sizeof key, "/from/%d", i % 50);
        world_put(world, key, value);
    }
}

static void test_a_full_queue_reads_no_more(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 1);
    world.faults.delay_ns = 10 * MILLI; /* a slow store */
    world_define(&world, copy);
    world_start(&world, 0);
    world_run(&world, SECOND);
    size_t most = 0;
    bool was_held = false;
    put_many(&world, 20000, "x");
    for (int i = 0; i < 600; i++) {
        world_run(&world, 10 * MILLI);
        const struct work *work = work_of(&world, 0);
        was_held = was_held || work->is_held;
        if (work->queue_count > most)
            most = work->queue_count;
    }
    world_run(&world, 20 * SECOND);
    assert_true(was_held);
    /* It ends at the end of a response; what the net had on its way to it
     * comes for a watch that is no more. */
    assert_in_range(most, QUEUE_EVENTS_MAX, QUEUE_EVENTS_MAX + 500);
    assert_int_equal(world_count(&world, "/to/"), 20000);
    assert_false(work_of(&world, 0)->is_held);
    world_deinit(&world);
}

static void test_large_values_fill_it_too(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 2);
    world.faults.delay_ns = 10 * MILLI;
    world_define(&world, copy);
    world_start(&world, 0);
    world_run(&world, SECOND);
    static char large[64 << 10];
    memset(large, 'x', sizeof large - 1);
    put_many(&world, 400, large);
    size_t most = 0;
    for (int i = 0; i < 300; i++) {
        world_run(&world, 10 * MILLI);
        if (work_of(&world, 0)->queue_bytes > most)
            most = work_of(&world, 0)->queue_bytes;
    }
    world_run(&world, 20 * SECOND);
    assert_in_range(most, QUEUE_BYTES_MAX, QUEUE_BYTES_MAX * 2);
    assert_int_equal(world_count(&world, "/to/"), 400);
    world_deinit(&world);
}

static void test_one_that_is_behind_catches_up(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 3);
    world_define(&world, copy);
    world_define(&world, "{name: other, start: beginning,"
                         " if: [{key: '/from/{id}'}],"
                         " then: [{put: {key: '/two/{{event.revision}}',"
                         " value: x}}]}");
    world_start(&world, 0);
    world_run(&world, SECOND);
    world_put(&world, "/_recipes/status/copy", "{\"state\":\"paused\"}");
    world_run(&world, SECOND);
    put_many(&world, 500, "x");
    world_run(&world, 2 * SECOND);
    assert_int_equal(world_count(&world, "/two/"), 500);
    world_delete(&world, "/_recipes/status/copy");
    world_run(&world, 100 * MILLI);
    /* The feed is further: it has a watch of its own for a while. */
    put_many(&world, 100, "x");
    world_run(&world, 3 * SECOND);
    assert_int_equal(world_count(&world, "/to/"), 600);
    assert_int_equal(work_of(&world, 0)->subs[0].state, SUB_LIVE);
    const struct def *other =
        def__find(world.clients[0].runner, SLICE("other"));
    assert_true(work_of(&world, 0)->subs[0].feed == other->work->subs[0].feed);
    world_deinit(&world);
}

static void test_recipes_of_one_range_share_a_watch(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 4);
    for (int i = 0; i < 40; i++) {
        char text[256];
        snprintf(text, sizeof text,
                 "{name: r%d, start: beginning, if: [{key: '/from/{id}'}],"
                 " then: [{put: {key: '/to/%d/{{id}}', value: x}}]}",
                 i, i);
        world_define(&world, text);
    }
    put_many(&world, 10, "x");
    world_start(&world, 0);
    world_run(&world, 3 * SECOND);
    assert_int_equal(world_count(&world, "/to/"), 400);
    /* Four for definitions and workers, one for /from/, one for all inboxes. */
    assert_int_equal(world.clients[0].watch_count, 6);
    /* And without recipes there are none. */
    for (int i = 0; i < 40; i++) {
        char name[32];
        snprintf(name, sizeof name, "r%d", i);
        world_undefine(&world, name);
    }
    world_run(&world, 3 * SECOND);
    assert_int_equal(world.clients[0].watch_count, 4);
    world_deinit(&world);
}

static void test_records_are_kept_so_many(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 5);
    world_define(&world, copy);
    world_start(&world, 0);
    world_run(&world, SECOND);
    for (int i = 0; i < 40; i++) {
        put_many(&world, 10, "x");
        world_run(&world, 200 * MILLI);
    }
    assert_int_equal(world_count(&world, "/to/"), 400);
    world_run(&world, 70 * SECOND);
    size_t left = world_count(&world, "/_recipes/run/copy/");
    assert_in_range(left, 8, 101);
    /* What an earlier worker left goes too. */
    world_kill(&world, 0);
    world_run(&world, 10 * SECOND);
    world_define(&world,
                 "{name: copy, start: beginning, if: [{key: '/from/{id}'}],"
                 " then: [{put: {key: '/to/{{event.revision}}',"
                 " value: '{{id}}'}}], keep: {runs: 3}}");
    world_start(&world, 1);
    world_run(&world, 180 * SECOND);
    assert_true(world_count(&world, "/_recipes/run/copy/") < left);
    assert_in_range(world_count(&world, "/_recipes/run/copy/"), 1, 3);
    world_deinit(&world);
}

static void test_records_are_kept_so_long(void **state)
{
    (void)state;
    for (int is_etched = 0; is_etched < 2; is_etched++) {
        struct world world;
        world_init(&world, 6);
        world.is_etched = is_etched;
        world_define(&world, "{name: copy, start: beginning,"
                             " if: [{key: '/from/{id}'}], then: [{put: {key:"
                             " '/to/{{event.revision}}', value: '{{id}}'}}],"
                             " keep: {for: 2h}}");
        world_start(&world, 0);
        world_run(&world, SECOND);
        put_many(&world, 10, "x");
        world_run(&world, 90 * 60 * SECOND);
        assert_true(world_count(&world, "/_recipes/run/copy/") > 0);
        put_many(&world, 1, "x");
        world_run(&world, 95 * 60 * SECOND);
        assert_int_equal(world_count(&world, "/_recipes/run/copy/"), 1);
        world_deinit(&world);
    }
}

static int64_t cursor_revision(const struct world *world)
{
    return memory_store_get(&world->store, SLICE("/_recipes/cursor/copy"), 0)
        ->mod_revision;
}

static void test_a_cursor_without_turns_is_written_at_leisure(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 7);
    world_define(&world, "{name: copy, if: [{key: '/from/{id}'}],"
                         " where: [\"raw == 'never'\"],"
                         " then: [{put: {key: /to, value: x}}]}");
    world_start(&world, 0);
    world_run(&world, SECOND);
    int64_t before = cursor_revision(&world);
    put_many(&world, 10, "x");
    world_run(&world, 50 * SECOND);
    assert_int_equal(cursor_revision(&world), before);
    world_run(&world, 15 * SECOND);
    assert_true(cursor_revision(&world) > before);
    before = cursor_revision(&world);
    put_many(&world, 20000, "x");
    world_run(&world, 10 * SECOND);
    assert_true(cursor_revision(&world) > before);
    assert_int_equal(work_of(&world, 0)->skipped, 20010);
    assert_int_equal(world_puts(&world, "/to"), 0);
    world_deinit(&world);
}

static void test_a_quiet_recipe_keeps_up(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 8);
    world_define(&world, "{name: copy, if: [{key: '/quiet/{id}'}],"
                         " then: [{put: {key: '/to/{{id}}', value: x}}]}");
    world_define(&world, "{name: other, if: [{key: '/from/{id}'}],"
                         " then: [{put: {key: '/two/{{id}}', value: x}}]}");
    world_start(&world, 0);
    world_run(&world, SECOND);
    int64_t before = cursor_revision(&world);
    for (int i = 0; i < 30; i++) {
        put_many(&world, 200, "x");
        world_put(&world, i % 2 ? "/quiet/a" : "/calm", "x");
        world_run(&world, 60 * SECOND);
    }
    assert_true(cursor_revision(&world) > before);
    assert_true(world.store.revision - cursor_revision(&world) < 4000);
    world_deinit(&world);
}

static void test_what_metrics_tell(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 9);
    world_define(&world, copy);
    world_start(&world, 0);
    put_many(&world, 25, "x");
    world_run(&world, 3 * SECOND);
    struct buf text = {0};
    runner_metrics(world.clients[0].runner, &text);
    buf_append_char(&text, 0);
    assert_non_null(strstr(text.at, "\netched_recipes_fired_total 25\n"));
    assert_non_null(strstr(text.at, "\netched_recipes_events_total 25\n"));
    assert_non_null(strstr(text.at, "\netched_recipes_workers 1\n"));
    assert_non_null(strstr(text.at, "\netched_recipes_owned 1\n"));
    assert_non_null(
        strstr(text.at, "\netched_recipes_defs{state=\"running\"} 1\n"));
    assert_non_null(strstr(
        text.at, "\netched_recipes_recipe_fired_total{recipe=\"copy\"} 25\n"));
    assert_non_null(
        strstr(text.at, "\netched_recipes_lag_revisions{recipe=\"copy\"} 0\n"));
    assert_non_null(
        strstr(text.at, "etched_recipes_commit_seconds_bucket{le=\"+Inf\"}"));
    buf_deinit(&text);
    world_deinit(&world);
}

static void test_how_far_behind_it_is(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 10);
    world_define(&world, copy);
    world_start(&world, 0);
    world_run(&world, SECOND);
    int64_t revisions;
    double seconds;
    world.faults.delay_ns = 200 * MILLI;
    put_many(&world, 3000, "x");
    world_run(&world, 2 * SECOND);
    struct runner *runner = world.clients[0].runner;
    work__lag(runner, def__find(runner, SLICE("copy")), &revisions, &seconds);
    assert_true(revisions > 1000);
    assert_true(seconds > 1 && seconds < 3);
    world.faults.delay_ns = MILLI;
    world_run(&world, 10 * SECOND);
    work__lag(runner, def__find(runner, SLICE("copy")), &revisions, &seconds);
    assert_int_equal(revisions, 0);
    assert_true(seconds == 0);
    world_deinit(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_full_queue_reads_no_more),
        cmocka_unit_test(test_large_values_fill_it_too),
        cmocka_unit_test(test_one_that_is_behind_catches_up),
        cmocka_unit_test(test_recipes_of_one_range_share_a_watch),
        cmocka_unit_test(test_records_are_kept_so_many),
        cmocka_unit_test(test_records_are_kept_so_long),
        cmocka_unit_test(test_a_cursor_without_turns_is_written_at_leisure),
        cmocka_unit_test(test_a_quiet_recipe_keeps_up),
        cmocka_unit_test(test_what_metrics_tell),
        cmocka_unit_test(test_how_far_behind_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
