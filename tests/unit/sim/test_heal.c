/* The end of a run: it ends when all is well, and objects when that takes too
 * long, saying what is missing. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "unit/sim/sim_worlds.h"

/* Until the world is over, or for so long. */
static void finish(struct sim *sim, int64_t seconds)
{
    int64_t end_ns = sim->now_ns + seconds * SIM_SECOND;
    while (!sim->over && sim->now_ns < end_ns)
        sim__turn(sim);
}

static void ends_well(struct sim *sim, int64_t seconds)
{
    finish(sim, seconds);
    if (sim->result.failed)
        fail_msg("%s", sim->result.why);
    assert_true(sim->over);
    sim_free(sim);
}

static void ends_badly(struct sim *sim, const char *words)
{
    finish(sim, 200);
    world_has_failed(sim, words);
}

static void test_a_good_cluster_ends_soon(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    sim__heal_start(sim);
    ends_well(sim, 3);
}

static void test_one_alone_ends_too(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    sim__heal_start(sim);
    ends_well(sim, 3);
}

static void test_each_member_is_asked(void **state)
{
    (void)state;
    struct sim *sim = world_led(5);
    sim__heal_start(sim);
    finish(sim, 5);
    for (int i = 1; i <= 5; i++) {
        assert_true(sim->healing.wrote[i]);
        assert_true(sim->healing.read[i]);
    }
    assert_int_equal(sim->result.counts[SIM_COUNT_WRITES], 5);
    assert_int_equal(sim->result.counts[SIM_COUNT_READS], 5);
    ends_well(sim, 1);
}

static void test_the_dead_rise_and_sleepers_wake(void **state)
{
    (void)state;
    struct sim *sim = world_led(5);
    sim__kill(sim->members[1]);
    sim__kill(sim->members[2]);
    sim__pause(sim->members[3], 1000 * SIM_SECOND);
    sim__link(sim, 4, 5)->cut = true;
    sim__heal_start(sim);
    finish(sim, 20);
    for (int i = 1; i <= 5; i++)
        assert_int_equal(sim->members[i]->state, SIM_UP);
    ends_well(sim, 1);
}

static void test_leases_must_end(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    world_done(world_leader(sim), SIM_TTL, 0);
    assert_int_equal(lease_count(node_leases(world_leader(sim)->node)), 1);
    sim__heal_start(sim);
    finish(sim, 30);
    assert_int_equal(lease_count(node_leases(sim->members[1]->node)), 0);
    ends_well(sim, 1);
}

static void test_watchers_must_be_told(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    sim->watcher_count = 2;
    sim__watchers_start(sim);
    world_done(world_leader(sim), SIM_SET, 0);
    sim__heal_start(sim);
    finish(sim, 20);
    assert_null(sim__watcher_behind(sim));
    ends_well(sim, 1);
}

static void test_one_that_nobody_added_is_left_alone(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    struct sim_member *idle = sim__member_new(sim, false);
    sim__start(idle);
    sim__heal_start(sim);
    ends_well(sim, 5);
}

/* ---- objections ---------------------------------------------------------- */

static void test_no_quorum_is_no_progress(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    sim__heal_start(sim);
    /* The wires are cut anew, and stay so. */
    for (int a = 1; a <= 3; a++)
        for (int b = 1; b <= 3; b++)
            sim__link(sim, a, b)->cut = true;
    ends_badly(sim, "no progress after the faults: m");
}

static void test_one_that_is_cut_off_is_seen(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    struct sim_member *alone = world_follower(sim);
    char words[40];
    sim__heal_start(sim);
    for (int b = 1; b <= 3; b++) {
        sim__link(sim, alone->place, b)->cut = true;
        sim__link(sim, b, alone->place)->cut = true;
    }
    snprintf(words, sizeof words, "faults: %s answers no", alone->name);
    ends_badly(sim, words);
}

static void test_a_lease_that_stays_is_seen(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    lease_set(node_leases(sim->members[1]->node), 5, INT64_MAX);
    sim__heal_start(sim);
    ends_badly(sim, "a lease does not end");
}

static void test_a_watcher_that_hears_nothing_is_seen(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    sim->watcher_count = 1;
    sim__watchers_start(sim);
    world_wait(sim, 100);
    struct sim_watcher *watcher = &sim->watchers[0];
    watch_hub_remove(sim->members[1]->hub, &watcher->watcher);
    world_done(sim->members[1], SIM_SET, 0);
    sim__heal_start(sim);
    finish(sim, 200);
    /* So that the end can take it out once more. */
    watch_hub_add(sim->members[1]->hub, &watcher->watcher, 1000000);
    world_has_failed(sim, "watcher 1 on m1 waits for revision");
}

static void test_a_store_that_differs_is_seen(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    world_done(sim->members[1], SIM_SET, 0);
    struct ledger_key *key =
        map_get(&sim->ledger.keys[MVCC_KEYS], SLICE("/k0"));
    key->count = 0;
    sim__heal_start(sim);
    ends_badly(sim, "k0");
}

static void test_a_majority_that_is_lost_is_excused(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    sim__kill(sim->members[1]);
    sim__kill(sim->members[2]);
    sim->members[1]->state = SIM_BROKEN;
    sim->members[2]->state = SIM_BROKEN;
    sim__heal_start(sim);
    ends_well(sim, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_good_cluster_ends_soon),
        cmocka_unit_test(test_one_alone_ends_too),
        cmocka_unit_test(test_each_member_is_asked),
        cmocka_unit_test(test_the_dead_rise_and_sleepers_wake),
        cmocka_unit_test(test_leases_must_end),
        cmocka_unit_test(test_watchers_must_be_told),
        cmocka_unit_test(test_one_that_nobody_added_is_left_alone),
        cmocka_unit_test(test_no_quorum_is_no_progress),
        cmocka_unit_test(test_one_that_is_cut_off_is_seen),
        cmocka_unit_test(test_a_lease_that_stays_is_seen),
        cmocka_unit_test(test_a_watcher_that_hears_nothing_is_seen),
        cmocka_unit_test(test_a_store_that_differs_is_seen),
        cmocka_unit_test(test_a_majority_that_is_lost_is_excused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
