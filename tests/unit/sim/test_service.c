/* Workers in the simulated cluster: their recipes are done, whatever becomes of
 * them, of what they ask, and of the members that they ask. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "sim/service.h"
#include "unit/sim/sim_worlds.h"

/* A cluster with workers that have taken their recipes up. */
static struct sim *served(int members, int workers)
{
    struct sim *sim = world_led(members);
    sim__service_start(sim, workers);
    sim->service->lease_ns = 2 * SIM_SECOND;
    world_wait(sim, 6000);
    assert_null(firing_recipe(sim->service->defined));
    return sim;
}

static struct sim_worker *worker_of(struct sim *sim, int number)
{
    return &sim->service->workers[number - 1];
}

static void write_some(struct sim *sim)
{
    for (int i = 0; i < SIM_KEYS; i++)
        world_done(world_leader(sim), SIM_PUT, i);
    world_done(world_leader(sim), SIM_PUT, SIM_KEYS); /* a pair */
    world_done(world_leader(sim), SIM_END, 3);
}

/* All has come of it that must. */
static void settles(struct sim *sim, int64_t ms)
{
    struct buf why = {0};
    world_wait(sim, ms);
    bool complete = firings_are_complete(&sim->service->firings, &why);
    buf_append_char(&why, 0);
    if (!complete)
        fail_msg("%s", why.at);
    buf_deinit(&why);
}

static uint64_t effects(const struct sim *sim)
{
    return sim->result.counts[SIM_COUNT_EFFECTS];
}

static void test_recipes_are_done(void **state)
{
    (void)state;
    struct sim *sim = served(1, 1);
    write_some(sim);
    settles(sim, 5000);
    /* Of count and chain 7 each, the pair, before and after, sent or dead. */
    assert_true(effects(sim) >= 7 + 7 + 2 + 2 + 1);
    assert_true(sim->service->firings.effects[SIM_EFFECT_TICK] >= 5);
    world_free(sim);
}

static void test_another_takes_over(void **state)
{
    (void)state;
    struct sim *sim = served(3, 2);
    write_some(sim);
    sim__worker_kill(worker_of(sim, 1));
    assert_int_equal(worker_of(sim, 1)->state, SIM_WORKER_DOWN);
    write_some(sim);
    /* Its lease has to end first. */
    settles(sim, 10000);
    sim__worker_start(worker_of(sim, 1));
    sim__worker_kill(worker_of(sim, 2));
    write_some(sim);
    settles(sim, 10000);
    world_free(sim);
}

static void test_one_that_was_paused_is_too_late(void **state)
{
    (void)state;
    struct sim *sim = served(3, 2);
    for (int i = 0; i < 4; i++) {
        struct sim_worker *worker = worker_of(sim, 1 + i % 2);
        world_done(world_leader(sim), SIM_PUT, 0);
        sim__worker_pause(worker, 5 * SIM_SECOND);
        assert_int_equal(worker->state, SIM_WORKER_PAUSED);
        write_some(sim);
        world_wait(sim, 5000);
        assert_int_equal(worker->state, SIM_WORKER_UP);
    }
    settles(sim, 10000);
    world_free(sim);
}

static void test_one_that_is_cut_off_comes_back(void **state)
{
    (void)state;
    struct sim *sim = served(3, 1);
    struct sim_worker *worker = worker_of(sim, 1);
    worker->cut_until_ns = sim->now_ns + 60 * SIM_SECOND;
    sim__stream_break(worker);
    write_some(sim);
    uint64_t before = effects(sim);
    assert_true(worker->cut_until_ns > sim->now_ns);
    settles(sim, 80000);
    assert_true(effects(sim) > before + 10);
    world_free(sim);
}

static void test_calls_that_are_lost(void **state)
{
    (void)state;
    struct sim *sim = served(3, 2);
    sim->service->lost_ppm = 300000;
    for (int i = 0; i < 5; i++)
        write_some(sim);
    assert_true(sim__calls_wait(sim->service));
    sim->service->lost_ppm = 0;
    settles(sim, 20000);
    world_free(sim);
}

static void test_members_come_and_go(void **state)
{
    (void)state;
    struct sim *sim = served(3, 2);
    for (int i = 1; i <= 3; i++) {
        sim__kill(sim->members[i]);
        world_wait(sim, 5000);
        write_some(sim);
        sim__start(sim->members[i]);
        world_wait(sim, 1000);
    }
    settles(sim, 10000);
    world_free(sim);
}

static void test_a_cluster_of_one_begins_again(void **state)
{
    (void)state;
    struct sim *sim = served(1, 1);
    write_some(sim);
    sim__kill(sim->members[1]);
    world_wait(sim, 1000);
    assert_null(sim__any_serving(sim->service));
    assert_null(sim__worker_home(worker_of(sim, 1)));
    sim__start(sim->members[1]);
    world_wait(sim, 3000);
    assert_ptr_equal(sim__any_serving(sim->service), sim->members[1]);
    write_some(sim);
    settles(sim, 10000);
    world_free(sim);
}

static void test_a_member_that_is_paused(void **state)
{
    (void)state;
    struct sim *sim = served(3, 1);
    struct sim_member *home = worker_of(sim, 1)->home;
    assert_non_null(home);
    sim__pause(home, 3 * SIM_SECOND);
    world_wait(sim, 3000);
    write_some(sim);
    settles(sim, 10000);
    world_free(sim);
}

static void test_who_leaves_gives_its_recipes_up(void **state)
{
    (void)state;
    struct sim *sim = served(1, 2);
    revision before = sim->ledger.revision;
    sim__worker_leave(worker_of(sim, 1));
    sim__worker_leave(worker_of(sim, 1)); /* once is enough */
    world_wait(sim, 500);
    assert_null(worker_of(sim, 1)->runner);
    /* Sooner than its lease would have ended. */
    assert_true(sim->ledger.revision > before);
    write_some(sim);
    settles(sim, 3000);
    world_free(sim);
}

static void test_history_that_is_gone_is_told(void **state)
{
    (void)state;
    struct sim *sim = world_unborn(1);
    sim->compaction_keep = 5;
    sim__begin(sim);
    world_wait(sim, 6000);
    sim__service_start(sim, 1);
    world_wait(sim, 6000);
    sim__worker_kill(worker_of(sim, 1));
    for (int i = 0; i < 20; i++)
        write_some(sim);
    world_wait(sim, 8000);
    sim__worker_start(worker_of(sim, 1));
    world_wait(sim, 8000);
    const struct record *status =
        ledger_get(&sim->ledger, MVCC_KEYS, SLICE("/_recipes/status/count"),
                   sim->ledger.revision);
    assert_non_null(status);
    assert_non_null(memmem(status->value.at, status->value.size, "gap", 3));
    assert_false(firings_are_complete(&sim->service->firings, NULL));
    world_free(sim);
}

/* ---- the whole ----------------------------------------------------------- */

static void run_whole(uint64_t seed, bool calm, struct sim_result *result)
{
    struct sim *sim = sim_new(&(struct sim_options){
        .seed = seed, .seconds = 5, .workers = 2, .calm = calm});
    sim_run(sim, result);
    if (result->failed)
        fail_msg("seed %d: %s", (int)seed, result->why);
    sim_free(sim);
}

static void test_a_whole_run_is_good_and_repeats(void **state)
{
    (void)state;
    struct sim_result result;
    struct sim_result again;
    for (uint64_t seed = 1; seed < 4; seed++) {
        run_whole(seed, seed == 1, &result);
        run_whole(seed, seed == 1, &again);
        assert_true(result.counts[SIM_COUNT_EFFECTS] > 20);
        assert_int_equal(result.digest, again.digest);
    }
}

static void test_without_workers_there_is_no_service(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    assert_null(sim->service);
    assert_true(sim__service_is_over(sim));
    sim__service_heal(sim);
    sim__service_stop(sim);
    world_free(sim);
}

static void test_the_end_waits_for_the_last_effect(void **state)
{
    (void)state;
    struct sim *sim = served(1, 1);
    struct buf why = {0};
    write_some(sim);
    /* What has no effect yet keeps the world from its end. */
    sim__worker_kill(worker_of(sim, 1));
    world_done(world_leader(sim), SIM_PUT, 4);
    assert_false(sim__service_is_over(sim));
    sim__service_say_why(sim, &why);
    assert_non_null(memmem(why.at, why.size, "events", 6));
    buf_deinit(&why);
    /* That look has brought the worker back. */
    for (int i = 0; i < 800 && !sim__service_is_over(sim); i++)
        world_wait(sim, 50);
    assert_true(sim__service_is_over(sim));
    assert_null(worker_of(sim, 1)->runner);
    world_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recipes_are_done),
        cmocka_unit_test(test_another_takes_over),
        cmocka_unit_test(test_one_that_was_paused_is_too_late),
        cmocka_unit_test(test_one_that_is_cut_off_comes_back),
        cmocka_unit_test(test_calls_that_are_lost),
        cmocka_unit_test(test_members_come_and_go),
        cmocka_unit_test(test_a_cluster_of_one_begins_again),
        cmocka_unit_test(test_a_member_that_is_paused),
        cmocka_unit_test(test_who_leaves_gives_its_recipes_up),
        cmocka_unit_test(test_history_that_is_gone_is_told),
        cmocka_unit_test(test_a_whole_run_is_good_and_repeats),
        cmocka_unit_test(test_without_workers_there_is_no_service),
        cmocka_unit_test(test_the_end_waits_for_the_last_effect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
