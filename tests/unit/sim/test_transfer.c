/* Snapshots on their way: whole, in chunks, broken off and taken up again, and
 * what becomes of them when one of the two ends. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/sim/sim_worlds.h"

/* A follower that is so far behind that the leader's log doesn't reach back to
 * it. It is cut off still. */
static struct sim *far_behind(struct sim_member **behind)
{
    struct sim *sim = world_unborn(3);
    sim->catch_up_entries = 8;
    sim->flush_ns = 20 * SIM_MS;
    sim->value_bytes = 500;
    sim->chunk_bytes = 2000;
    sim__begin(sim);
    world_wait(sim, 6000);
    *behind = world_follower(sim);
    for (int i = 1; i <= 3; i++)
        sim__link(sim, i, (*behind)->place)->cut = true;
    for (int i = 0; i < 60; i++)
        world_done(world_leader(sim), i % 3 == 0 ? SIM_IN_ORDER : SIM_SET,
                   i % SIM_KEYS);
    return sim;
}

static void join(struct sim *sim)
{
    for (int a = 1; a <= 3; a++)
        for (int b = 1; b <= 3; b++)
            sim__link(sim, a, b)->cut = false;
}

/* Goes on until chunk `n` of a snapshot has come. */
static void until_chunk(struct sim *sim, size_t n)
{
    size_t before = world_count(sim, SIM_TRACE_SNAP_CHUNK);
    for (int i = 0; i < 200000; i++) {
        if (world_count(sim, SIM_TRACE_SNAP_CHUNK) >= before + n)
            return;
        sim__turn(sim);
        if (sim->over)
            break;
    }
    fail_msg("no chunk has come: %s", sim->result.why);
}

static uint64_t snapshots(const struct sim *sim)
{
    return sim->result.counts[SIM_COUNT_SNAPSHOTS];
}

static void all_is_there(struct sim *sim, struct sim_member *behind)
{
    world_wait(sim, 15000);
    assert_int_equal(behind->view.applied, sim->ledger.commit);
    sim__check_store(behind);
    world_done(behind, SIM_READ, 0);
    assert_null(sim->transfers);
}

static void test_a_snapshot_brings_it_up(void **state)
{
    (void)state;
    struct sim_member *behind;
    struct sim *sim = far_behind(&behind);
    assert_int_equal(snapshots(sim), 0);
    join(sim);
    all_is_there(sim, behind);
    assert_true(snapshots(sim) >= 1);
    assert_true(world_count(sim, SIM_TRACE_SNAP_CHUNK) > 5);
    world_free(sim);
}

static void test_one_is_enough_though_writes_go_on(void **state)
{
    (void)state;
    struct sim_member *behind;
    struct sim *sim = far_behind(&behind);
    sim->chunk_bytes = 300;
    join(sim);
    until_chunk(sim, 3);
    /* They are flushed long before the snapshot has come to its end, and the
     * log behind it is held all the same. */
    for (int i = 0; i < 3; i++) {
        struct world_answer answer;
        world_ask(&answer, world_leader(sim), SIM_SET, i);
        world_wait(sim, 30);
        assert_true(answer.told);
    }
    all_is_there(sim, behind);
    assert_int_equal(snapshots(sim), 1);
    world_free(sim);
}

static void test_in_one_chunk(void **state)
{
    (void)state;
    struct sim_member *behind;
    struct sim *sim = far_behind(&behind);
    sim->chunk_bytes = 1024 * 1024;
    join(sim);
    all_is_there(sim, behind);
    assert_int_equal(world_count(sim, SIM_TRACE_SNAP_CHUNK), snapshots(sim));
    world_free(sim);
}

static void test_it_goes_on_where_it_broke_off(void **state)
{
    (void)state;
    struct sim_member *behind;
    struct sim *sim = far_behind(&behind);
    join(sim);
    until_chunk(sim, 3);
    size_t opened = world_count(sim, SIM_TRACE_SNAP_OPEN);
    sim__link(sim, world_leader(sim)->place, behind->place)->cut = true;
    world_wait(sim, 100);
    assert_non_null(sim->transfers);
    join(sim);
    until_chunk(sim, 1);
    /* The same snapshot, from there on. */
    assert_int_equal(world_count(sim, SIM_TRACE_SNAP_OPEN), opened);
    all_is_there(sim, behind);
    world_free(sim);
}

static void test_the_receiver_dies_and_comes_back(void **state)
{
    (void)state;
    struct sim_member *behind;
    struct sim *sim = far_behind(&behind);
    join(sim);
    until_chunk(sim, 3);
    sim__kill(behind);
    world_wait(sim, 200);
    sim__start(behind);
    all_is_there(sim, behind);
    world_free(sim);
}

static void test_the_receiver_stays_away(void **state)
{
    (void)state;
    struct sim_member *behind;
    struct sim *sim = far_behind(&behind);
    join(sim);
    until_chunk(sim, 2);
    sim__kill(behind);
    world_wait(sim, 20000);
    /* It was given up: nothing is held for it any more. */
    assert_null(sim->transfers);
    sim__start(behind);
    all_is_there(sim, behind);
    world_free(sim);
}

static void test_the_sender_dies(void **state)
{
    (void)state;
    struct sim_member *behind;
    struct sim *sim = far_behind(&behind);
    join(sim);
    until_chunk(sim, 2);
    struct sim_member *sender = world_leader(sim);
    sim__kill(sender);
    assert_null(sim->transfers);
    world_wait(sim, 10000);
    sim__start(sender);
    all_is_there(sim, behind);
    world_free(sim);
}

static void test_the_sender_sleeps(void **state)
{
    (void)state;
    struct sim_member *behind;
    struct sim *sim = far_behind(&behind);
    join(sim);
    until_chunk(sim, 2);
    size_t chunks = world_count(sim, SIM_TRACE_SNAP_CHUNK);
    sim__pause(world_leader(sim), 400 * SIM_MS);
    world_wait(sim, 300);
    assert_int_equal(world_count(sim, SIM_TRACE_SNAP_CHUNK), chunks);
    all_is_there(sim, behind);
    world_free(sim);
}

static void test_the_receiver_sleeps(void **state)
{
    (void)state;
    struct sim_member *behind;
    struct sim *sim = far_behind(&behind);
    join(sim);
    until_chunk(sim, 2);
    sim__pause(behind, 700 * SIM_MS);
    all_is_there(sim, behind);
    world_free(sim);
}

static void test_the_receivers_disk_fails(void **state)
{
    (void)state;
    struct sim_member *behind;
    struct sim *sim = far_behind(&behind);
    behind->armed = true;
    kv_memory_fail_after(behind->kv, 40, ERR_IO);
    join(sim);
    world_wait(sim, 8000);
    kv_memory_fail_after(behind->kv, 0, ERR_OK);
    all_is_there(sim, behind);
    world_free(sim);
}

static void test_chunks_that_are_lost(void **state)
{
    (void)state;
    struct sim_member *behind;
    struct sim *sim = far_behind(&behind);
    sim->weather.loss_ppm = 200000;
    join(sim);
    world_wait(sim, 20000);
    sim->weather.loss_ppm = 0;
    all_is_there(sim, behind);
    world_free(sim);
}

static void test_not_twice_to_the_same(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    struct sim_member *leader = world_leader(sim);
    struct sim_member *to = world_follower(sim);
    world_wait(sim, 500);
    sim__transfer_begin(leader, to->id);
    struct sim_transfer *first = sim->transfers;
    assert_non_null(first);
    sim__transfer_begin(leader, to->id);
    assert_ptr_equal(sim->transfers, first);
    /* It is as far already: so it ends well, with nothing installed. */
    world_wait(sim, 3000);
    assert_null(sim->transfers);
    assert_int_equal(world_count(sim, SIM_TRACE_SNAP_CHUNK), 0);
    world_free(sim);
}

static void test_who_does_not_lead_has_none_to_send(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    struct sim_member *from = world_follower(sim);
    sim__transfer_begin(from, world_leader(sim)->id);
    world_wait(sim, 100);
    assert_null(sim->transfers);
    assert_int_equal(world_count(sim, SIM_TRACE_SNAP_END), 1);
    assert_int_equal(snapshots(sim), 0);
    world_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_snapshot_brings_it_up),
        cmocka_unit_test(test_one_is_enough_though_writes_go_on),
        cmocka_unit_test(test_in_one_chunk),
        cmocka_unit_test(test_it_goes_on_where_it_broke_off),
        cmocka_unit_test(test_the_receiver_dies_and_comes_back),
        cmocka_unit_test(test_the_receiver_stays_away),
        cmocka_unit_test(test_the_sender_dies),
        cmocka_unit_test(test_the_sender_sleeps),
        cmocka_unit_test(test_the_receiver_sleeps),
        cmocka_unit_test(test_the_receivers_disk_fails),
        cmocka_unit_test(test_chunks_that_are_lost),
        cmocka_unit_test(test_not_twice_to_the_same),
        cmocka_unit_test(test_who_does_not_lead_has_none_to_send),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
