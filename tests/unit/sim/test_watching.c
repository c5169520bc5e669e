/* Watchers are told of each record once, in order, also where their member ends
 * and they go on at another; and they object where they are not. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/sim/sim_worlds.h"

/* A world with so many watchers, all of which have begun. */
static struct sim *watched(int members, int watchers)
{
    struct sim *sim = world_led(members);
    sim->watcher_count = watchers;
    sim__watchers_start(sim);
    world_wait(sim, 1000 * watchers);
    for (int i = 0; i < watchers; i++)
        assert_non_null(sim->watchers[i].member);
    return sim;
}

static uint64_t told(const struct sim *sim)
{
    return sim->result.counts[SIM_COUNT_TOLD];
}

static void test_all_are_told(void **state)
{
    (void)state;
    struct sim *sim = watched(1, SIM_WATCHERS_MAX);
    world_done(sim->members[1], SIM_SET, 0);
    world_wait(sim, 300);
    assert_null(sim__watcher_behind(sim));
    /* The one on all, the one on the key, and the one on a range of keys. */
    assert_int_equal(told(sim), 3);
    world_done(sim->members[1], SIM_SET, 1);
    world_wait(sim, 300);
    assert_int_equal(told(sim), 5);
    world_done(sim->members[1], SIM_IN_ORDER, 0);
    world_wait(sim, 300);
    assert_null(sim__watcher_behind(sim));
    world_free(sim);
}

static void test_the_past_is_told_too(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    for (int i = 0; i < 120; i++)
        world_done(sim->members[1], SIM_SET, 0);
    sim->watcher_count = 1;
    sim__watchers_start(sim);
    assert_ptr_equal(sim__watcher_behind(sim), &sim->watchers[0]);
    /* Now and then it can't take more, for a while. */
    world_wait(sim, 5000);
    assert_null(sim__watcher_behind(sim));
    assert_int_equal(told(sim), 120);
    world_free(sim);
}

static void test_a_watcher_goes_on_elsewhere(void **state)
{
    (void)state;
    struct sim *sim = watched(3, 1);
    for (int i = 0; i < 10; i++) {
        struct sim_member *member = sim->watchers[0].member;
        world_done(world_leader(sim), SIM_SET, 0);
        sim__kill(member);
        assert_null(sim->watchers[0].member);
        world_wait(sim, 4000);
        sim__start(member);
        world_wait(sim, 2000);
        world_done(world_leader(sim), SIM_SET, 1);
    }
    world_wait(sim, 1000);
    assert_null(sim__watcher_behind(sim));
    assert_true(world_count(sim, SIM_TRACE_WATCH) > 10);
    world_free(sim);
}

static void test_over_a_pause(void **state)
{
    (void)state;
    struct sim *sim = watched(3, 3);
    struct sim_member *sleeper = sim->watchers[0].member;
    sim__pause(sleeper, 500 * SIM_MS);
    world_wait(sim, 6000);
    for (int i = 0; i < 20; i++)
        world_done(world_leader(sim), SIM_SET, 0);
    world_wait(sim, 1000);
    assert_null(sim__watcher_behind(sim));
    world_free(sim);
}

static void test_over_a_snapshot(void **state)
{
    (void)state;
    struct sim *sim = watched(3, 3);
    sim->catch_up_entries = 8;
    for (int i = 1; i <= 3; i++) {
        sim__kill(sim->members[i]);
        sim__start(sim->members[i]);
    }
    world_wait(sim, 8000);
    struct sim_member *behind = world_follower(sim);
    for (int i = 1; i <= 3; i++)
        if (i != behind->place)
            sim__link(sim, i, behind->place)->cut = true;
    for (int i = 0; i < 40; i++)
        world_done(world_leader(sim), SIM_SET, i % SIM_KEYS);
    world_wait(sim, 1000);
    for (int i = 1; i <= 3; i++)
        sim__link(sim, i, behind->place)->cut = false;
    world_wait(sim, 12000);
    assert_true(sim->result.counts[SIM_COUNT_SNAPSHOTS] >= 1);
    assert_null(sim__watcher_behind(sim));
    world_free(sim);
}

static void test_one_that_lags_is_told_later(void **state)
{
    (void)state;
    struct sim *sim = watched(1, 1);
    struct sim_watcher *watcher = &sim->watchers[0];
    watcher->lags = true;
    watch_lag(watcher->member->hub, &watcher->watcher);
    world_done(sim->members[1], SIM_SET, 0);
    assert_null(sim__watcher_behind(sim));
    assert_false(watcher->lags);
    world_free(sim);
}

static void test_compaction_is_told(void **state)
{
    (void)state;
    struct sim *sim = world_unborn(1);
    sim->compaction_keep = 10;
    sim__begin(sim);
    world_wait(sim, 3000);
    for (int i = 0; i < 60; i++)
        world_done(sim->members[1], SIM_SET, 0);
    world_wait(sim, 20000);
    sim->watcher_count = 1;
    sim__watchers_start(sim);
    world_wait(sim, 3000);
    assert_int_equal(world_count(sim, SIM_TRACE_COMPACTED), 1);
    assert_null(sim__watcher_behind(sim));
    assert_in_range(told(sim), 5, 30);
    world_free(sim);
}

/* ---- objections ---------------------------------------------------------- */

static void test_what_was_told_is_not_told_again(void **state)
{
    (void)state;
    struct sim *sim = watched(1, 1);
    struct sim_member *member = sim->members[1];
    world_done(member, SIM_SET, 0);
    world_done(member, SIM_SET, 0);
    /* As if the next one were already known. */
    sim->watchers[0].cursor.main += 1;
    struct world_answer answer;
    world_ask(&answer, member, SIM_SET, 0);
    world_fails(sim, 500, "watcher 1 on m1 is told of revision");
}

static void test_nothing_is_left_out(void **state)
{
    (void)state;
    struct sim *sim = watched(1, 1);
    struct sim_member *member = sim->members[1];
    world_done(member, SIM_SET, 0);
    /* As if it had never been told of that one. */
    sim->watchers[0].cursor.main = sim->ledger.revision;
    sim->watchers[0].cursor.sub = 0;
    struct world_answer answer;
    world_ask(&answer, member, SIM_SET, 0);
    world_fails(sim, 500, "watcher 1 on m1 is told of revision");
}

static void test_a_compaction_that_nobody_wants(void **state)
{
    (void)state;
    struct sim *sim = watched(1, 1);
    struct sim_watcher *watcher = &sim->watchers[0];
    world_done(sim->members[1], SIM_SET, 0);
    watch_hub_remove(watcher->member->hub, &watcher->watcher);
    watcher->watcher.on_compacted(&watcher->watcher, 1);
    watcher->member = NULL;
    world_has_failed(sim, "is told of a compaction at 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_are_told),
        cmocka_unit_test(test_the_past_is_told_too),
        cmocka_unit_test(test_a_watcher_goes_on_elsewhere),
        cmocka_unit_test(test_over_a_pause),
        cmocka_unit_test(test_over_a_snapshot),
        cmocka_unit_test(test_one_that_lags_is_told_later),
        cmocka_unit_test(test_compaction_is_told),
        cmocka_unit_test(test_what_was_told_is_not_told_again),
        cmocka_unit_test(test_nothing_is_left_out),
        cmocka_unit_test(test_a_compaction_that_nobody_wants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
