/* Reading a recipe from the store, and definitions with all that may come
 * between. */
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

static void test_more_memos_than_a_page(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 1);
    world_define(&world,
                 "{name: edge, start: beginning, if: [{key: '/load/{host}',"
                 " crosses: {of: value, above: 90, reset: 80}}],"
                 " then: [{put: {key: '/hot/{{host}}/{{event.revision}}',"
                 " value: x}}]}");
    world_start(&world, 0);
    world_run(&world, SECOND);
    for (int i = 0; i < 2500; i++) {
        char key[32];
        snprintf(key, sizeof key, "/load/%d", i);
        world_put(&world, key, "95");
    }
    world_run(&world, 10 * SECOND);
    assert_int_equal(world_count(&world, "/hot/"), 2500);
    assert_int_equal(world_count(&world, "/_recipes/state/edge/"), 2500);
    /* Who loads them all knows which have crossed already. */
    world_kill(&world, 0);
    world_run(&world, 10 * SECOND);
    world_start(&world, 1);
    for (int i = 0; i < 2500; i += 10) {
        char key[32];
        snprintf(key, sizeof key, "/load/%d", i);
        world_put(&world, key, i % 20 ? "99" : "10");
    }
    world_run(&world, 5 * SECOND);
    assert_int_equal(world_count(&world, "/hot/"), 2500);
    assert_int_equal(world_count(&world, "/_recipes/state/edge/"), 2375);
    world_put(&world, "/load/20", "95");
    world_run(&world, SECOND);
    assert_int_equal(world_count(&world, "/hot/"), 2501);
    world_deinit(&world);
}

static void test_a_compaction_while_it_is_read(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 2);
    world_define(&world,
                 "{name: edge, start: beginning, if: [{key: '/load/{host}',"
                 " crosses: {of: value, above: 90}}],"
                 " then: [{put: {key: '/hot/{{host}}', value: x}}]}");
    world_start(&world, 0);
    world_run(&world, SECOND);
    for (int i = 0; i < 3500; i++) {
        char key[32];
        snprintf(key, sizeof key, "/load/%d", i);
        world_put(&world, key, "95");
    }
    world_run(&world, 10 * SECOND);
    world_stop(&world, 0);
    world_run(&world, SECOND);
    /* The pages are of one revision, which is gone before the last one. */
    world.faults.delay_ns = 30 * MILLI;
    world_start(&world, 1);
    for (int i = 0; i < 20; i++) {
        world_run(&world, 20 * MILLI);
        memory_store_compact(&world.store, world.store.revision);
        world_put(&world, "/other", "x");
    }
    world_run(&world, 10 * SECOND);
    world_put(&world, "/load/new", "95");
    world_run(&world, 3 * SECOND);
    /* It may have a gap by now, but then it says so. */
    bool says_so = world_get(&world, "/_recipes/status/edge").size > 0;
    assert_true(says_so || world_count(&world, "/hot/") == 3501);
    world_deinit(&world);
}

static void test_active_runs_are_read_too(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 3);
    world_define(&world,
                 "{name: slow, start: beginning, order: none, mode: parallel,"
                 " max: 1000, if: [{key: '/from/{id}'}], then: [{wait: 1m},"
                 " {put: {key: '/to/{{id}}', value: x}}]}");
    world_start(&world, 0);
    for (int i = 0; i < 700; i++) {
        char key[32];
        snprintf(key, sizeof key, "/from/%d", i);
        world_put(&world, key, "x");
    }
    world_run(&world, 10 * SECOND);
    assert_int_equal(world_count(&world, "/_recipes/active/slow/"), 700);
    world_kill(&world, 0);
    world_run(&world, 10 * SECOND);
    world_start(&world, 1);
    world_run(&world, 30 * SECOND);
    assert_int_equal(world_count(&world, "/to/"), 0);
    world_run(&world, 20 * SECOND);
    assert_int_equal(world_count(&world, "/to/"), 700);
    assert_int_equal(world_count(&world, "/_recipes/active/"), 0);
    world_deinit(&world);
}

/* As many as there may be wait; the events behind them wait too, and time goes
 * on for both. */
static void test_a_full_recipe_goes_on(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 4);
    world_define(&world,
                 "{name: slow, start: beginning, order: none, mode: parallel,"
                 " max: 3, if: [{key: '/from/{id}'}], then: [{wait: 5s},"
                 " {put: {key: '/to/{{id}}', value: x}}]}");
    world_start(&world, 0);
    for (int i = 0; i < 12; i++) {
        char key[32];
        snprintf(key, sizeof key, "/from/%d", i);
        world_put(&world, key, "x");
    }
    world_run(&world, 3 * SECOND);
    assert_in_range(world_count(&world, "/_recipes/active/slow/"), 1, 4);
    world_run(&world, 40 * SECOND);
    assert_int_equal(world_count(&world, "/to/"), 12);
    world_deinit(&world);
}

static void test_a_status_before_its_definition(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 5);
    world_start(&world, 0);
    world_run(&world, SECOND);
    struct runner *runner = world.clients[0].runner;
    world_put(&world, "/_recipes/status/late",
              "{\"state\":\"paused\",\"why\":\"by alice\"}");
    world_run(&world, SECOND);
    assert_null(def__find(runner, SLICE("late")));
    world_define(&world, "{name: late, if: [{key: '/from/{id}'}],"
                         " then: [{put: {key: '/to/{{id}}', value: x}}]}");
    world_run(&world, SECOND);
    struct def *def = def__find(runner, SLICE("late"));
    assert_non_null(def);
    assert_int_equal(def->state, DEF_PAUSED);
    assert_true(slice_eq(def->why, SLICE("by alice")));
    assert_string_equal(def_state_text(def->state), "paused");
    world_delete(&world, "/_recipes/status/late");
    world_run(&world, SECOND);
    assert_int_equal(def->state, DEF_RUNS);
    /* One that can't be read stops it: better so than the other way. */
    world_put(&world, "/_recipes/status/late", "what?");
    world_run(&world, SECOND);
    assert_int_equal(def->state, DEF_PAUSED);
    world_undefine(&world, "late");
    world_delete(&world, "/_recipes/status/late");
    world_run(&world, SECOND);
    assert_null(def__find(runner, SLICE("late")));
    assert_int_equal(runner->defs.by_name.count, 0);
    world_deinit(&world);
}

static void test_one_that_is_disabled(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 6);
    world_define(&world, "{name: off, enabled: false,"
                         " if: [{key: '/from/{id}'}],"
                         " then: [{put: {key: '/to/{{id}}', value: x}}]}");
    world_start(&world, 0);
    world_run(&world, SECOND);
    world_put(&world, "/from/a", "x");
    world_run(&world, SECOND);
    assert_int_equal(def__find(world.clients[0].runner, SLICE("off"))->state,
                     DEF_DISABLED);
    assert_int_equal(world_count(&world, "/to/"), 0);
    /* It has no cursor yet, and begins where it was defined. */
    world_define(&world, "{name: off, if: [{key: '/from/{id}'}],"
                         " then: [{put: {key: '/to/{{id}}', value: x}}]}");
    world_run(&world, SECOND);
    assert_int_equal(world_count(&world, "/to/"), 1);
    world_deinit(&world);
}

static void test_it_begins_at_a_revision(void **state)
{
    (void)state;
    struct world world;
    int64_t from = 0;
    world_init(&world, 7);
    for (int i = 0; i < 10; i++) {
        char key[32];
        snprintf(key, sizeof key, "/from/%d", i);
        int64_t revision = world_put(&world, key, "x");
        from = i == 6 ? revision : from;
    }
    char text[256];
    snprintf(text, sizeof text,
             "{name: some, start: {revision: %lld},"
             " if: [{key: '/from/{id}'}],"
             " then: [{put: {key: '/to/{{id}}', value: x}}]}",
             (long long)from);
    world_define(&world, text);
    world_start(&world, 0);
    world_run(&world, 2 * SECOND);
    assert_int_equal(world_count(&world, "/to/"), 4);
    assert_int_equal(world_get(&world, "/to/5").size, 0);
    assert_int_equal(world_get(&world, "/to/6").size, 1);
    world_deinit(&world);
}

static void test_one_that_comes_back_is_a_new_one(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 8);
    const char *text = "{name: again, if: [{key: '/from/{id}'}],"
                       " then: [{put: {key: '/to/{{id}}', value: x}}]}";
    world_define(&world, text);
    world_start(&world, 0);
    world_run(&world, SECOND);
    /* As REST deletes: all of it in one transaction, more or less. */
    world_undefine(&world, "again");
    world_delete(&world, "/_recipes/cursor/again");
    world_put(&world, "/from/a", "x");
    world_define(&world, text);
    world_run(&world, 3 * SECOND);
    assert_int_equal(world_count(&world, "/to/"), 0);
    world_put(&world, "/from/b", "x");
    world_run(&world, 2 * SECOND);
    assert_int_equal(world_count(&world, "/to/"), 1);
    world_deinit(&world);
}

/* The names of triggers are their patterns: one that was edited begins anew,
 * one that wasn't goes on. */
static void test_an_edit_of_one_trigger(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 9);
    const char *format = "{name: two, if: [{key: '/%s/{id}'}, {key:"
                         " '/same/{id}'}], then: [{put: {key:"
                         " '/to{{key}}/{{event.revision}}', value: x}}]}";
    char text[256];
    snprintf(text, sizeof text, format, "old");
    world_define(&world, text);
    world_start(&world, 0);
    world_run(&world, SECOND);
    world_put(&world, "/_recipes/status/two", "{\"state\":\"paused\"}");
    world_run(&world, SECOND);
    world_put(&world, "/old/1", "x");
    world_put(&world, "/same/1", "x");
    world_put(&world, "/new/1", "x");
    snprintf(text, sizeof text, format, "new");
    world_define(&world, text);
    world_delete(&world, "/_recipes/status/two");
    world_put(&world, "/new/2", "x");
    world_run(&world, 3 * SECOND);
    assert_int_equal(world_count(&world, "/to/same/1/"), 1);
    assert_int_equal(world_count(&world, "/to/new/2/"), 1);
    assert_int_equal(world_count(&world, "/to/new/1/"), 0);
    assert_int_equal(world_count(&world, "/to/old/"), 0);
    world_deinit(&world);
}

/* A store that is away is found by each call; it is said once, and all goes
 * on by itself. */
static void test_away_and_back(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 10);
    for (int i = 0; i < 100; i++) {
        char text[256];
        snprintf(text, sizeof text,
                 "{name: r%d, start: beginning, if: [{key: '/from/%d'}],"
                 " then: [{put: {key: '/to/%d/{{event.revision}}',"
                 " value: x}}]}",
                 i, i, i);
        world_define(&world, text);
    }
    world_start(&world, 0);
    world_run(&world, 3 * SECOND);
    world.faults.is_away = true;
    uint64_t before = world.calls;
    for (int i = 0; i < 100; i++) {
        char key[32];
        snprintf(key, sizeof key, "/from/%d", i);
        world_put(&world, key, "x");
    }
    world_run(&world, 120 * SECOND);
    assert_true(world.calls - before < 600);
    world.faults.is_away = false;
    world_run(&world, 25 * SECOND);
    assert_int_equal(world_count(&world, "/to/"), 100);
    world_deinit(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_more_memos_than_a_page),
        cmocka_unit_test(test_a_compaction_while_it_is_read),
        cmocka_unit_test(test_active_runs_are_read_too),
        cmocka_unit_test(test_a_full_recipe_goes_on),
        cmocka_unit_test(test_a_status_before_its_definition),
        cmocka_unit_test(test_one_that_is_disabled),
        cmocka_unit_test(test_it_begins_at_a_revision),
        cmocka_unit_test(test_one_that_comes_back_is_a_new_one),
        cmocka_unit_test(test_an_edit_of_one_trigger),
        cmocka_unit_test(test_away_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
