/* A process on a machine: it starts, runs when it should, is paused, killed,
 * stopped, and comes back with what was durable. Its clocks are its own. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/sim/sim_worlds.h"

/* ---- clocks -------------------------------------------------------------- */

static int64_t mono(struct sim_member *member)
{
    return clock_monotonic_ns(&member->clock);
}

static int64_t wall(struct sim_member *member)
{
    return clock_wall_ns(&member->clock);
}

static void test_clocks_go_on(void **state)
{
    (void)state;
    struct sim *sim = world_new(1);
    struct sim_member *member = sim->members[1];
    int64_t mono_ns = mono(member);
    int64_t wall_ns = wall(member);
    world_wait(sim, 1000);
    assert_in_range(mono(member) - mono_ns, 999 * SIM_MS, 1001 * SIM_MS);
    assert_in_range(wall(member) - wall_ns, 999 * SIM_MS, 1001 * SIM_MS);
    world_free(sim);
}

static void test_clocks_drift(void **state)
{
    (void)state;
    struct sim *sim = world_new(2);
    sim->members[1]->rate_ppm = 1000;
    sim->members[2]->rate_ppm = -1000;
    int64_t fast_ns = mono(sim->members[1]);
    int64_t slow_ns = mono(sim->members[2]);
    world_wait(sim, 10000);
    assert_in_range(mono(sim->members[1]) - fast_ns, 10009 * SIM_MS,
                    10011 * SIM_MS);
    assert_in_range(mono(sim->members[2]) - slow_ns, 9989 * SIM_MS,
                    9991 * SIM_MS);
    world_free(sim);
}

static void test_only_the_wall_clock_jumps(void **state)
{
    (void)state;
    struct sim *sim = world_new(1);
    struct sim_member *member = sim->members[1];
    int64_t mono_ns = mono(member);
    int64_t wall_ns = wall(member);
    member->wall_offset_ns -= 30 * SIM_SECOND;
    assert_int_equal(wall(member), wall_ns - 30 * SIM_SECOND);
    assert_int_equal(mono(member), mono_ns);
    world_free(sim);
}

static void test_what_a_step_costs_is_seen_in_it(void **state)
{
    (void)state;
    struct sim *sim = world_new(1);
    struct sim_member *member = sim->members[1];
    int64_t mono_ns = mono(member);
    member->sync_ns = 7 * SIM_MS;
    assert_int_equal(sim__done_ns(member), sim->now_ns);
    member->in_run = true;
    member->syncs_before = disk_memory_syncs(member->disk) - 3;
    assert_int_equal(sim__done_ns(member), sim->now_ns + 21 * SIM_MS);
    assert_true(mono(member) >= mono_ns + 20 * SIM_MS);
    member->in_run = false;
    /* And it doesn't run back when the step is over. */
    assert_true(mono(member) >= mono_ns + 20 * SIM_MS);
    world_free(sim);
}

static void test_another_life_counts_from_elsewhere(void **state)
{
    (void)state;
    struct sim *sim = world_new(1);
    struct sim_member *member = sim->members[1];
    int64_t base_ns = member->mono_base_ns;
    sim__kill(member);
    sim__start(member);
    assert_int_not_equal(member->mono_base_ns, base_ns);
    assert_int_equal(member->incarnation, 2);
    world_free(sim);
}

/* ---- lives --------------------------------------------------------------- */

static void test_one_alone_serves_at_once(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    world_done(sim->members[1], SIM_SET, 0);
    world_done(sim->members[1], SIM_READ, 0);
    world_free(sim);
}

static void test_a_kill_keeps_what_was_acknowledged(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    struct sim_member *member = sim->members[1];
    for (int i = 0; i < 20; i++)
        world_done(member, SIM_SET, i % 3);
    revision before = member->view.revision;
    sim__kill(member);
    assert_null(member->node);
    assert_int_equal(member->state, SIM_DOWN);
    sim__start(member);
    world_wait(sim, 5000);
    assert_true(member->view.revision >= before);
    world_done(member, SIM_READ, 0);
    world_free(sim);
}

static void test_a_stop_in_order_flushes(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    struct sim_member *member = sim->members[1];
    world_done(member, SIM_SET, 0);
    raft_index applied = member->view.applied;
    sim__stop(member);
    assert_int_equal(member->state, SIM_DOWN);
    sim__start(member);
    struct mvcc_status status;
    lock_read(&member->lock);
    mvcc_status(node_mvcc(member->node), &status);
    unlock_read(&member->lock);
    assert_true(status.flushed_index >= applied);
    world_free(sim);
}

static void test_killing_the_dead_is_nothing(void **state)
{
    (void)state;
    struct sim *sim = world_new(1);
    sim__kill(sim->members[1]);
    sim__kill(sim->members[1]);
    sim__stop(sim->members[1]);
    sim__pause(sim->members[1], SIM_SECOND);
    assert_int_equal(sim->members[1]->state, SIM_DOWN);
    sim__resume(sim->members[1]);
    assert_int_equal(sim->members[1]->state, SIM_DOWN);
    sim__wake(sim->members[1]);
    assert_false(sim__is_set(&sim->members[1]->run));
    assert_null(sim__any_up(sim, &sim->prng));
    world_free(sim);
}

static void test_a_sleeper_does_nothing(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    struct sim_member *member = sim->members[1];
    struct world_answer answer;
    sim__pause(member, 300 * SIM_MS);
    world_ask(&answer, member, SIM_SET, 0);
    world_wait(sim, 250);
    assert_false(answer.told);
    assert_int_equal(member->state, SIM_PAUSED);
    world_wait(sim, 250);
    assert_int_equal(member->state, SIM_UP);
    assert_true(answer.told);
    assert_int_equal(answer.err, ERR_OK);
    world_free(sim);
}

static void test_it_can_be_woken(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    sim__pause(sim->members[1], 300 * SIM_SECOND);
    sim__resume(sim->members[1]);
    world_done(sim->members[1], SIM_SET, 0);
    assert_false(sim__is_set(&sim->members[1]->rise));
    world_free(sim);
}

static void test_who_waits_for_the_dead_is_not_told(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    struct world_answer answer;
    world_ask(&answer, sim->members[1], SIM_SET, 0);
    sim__kill(sim->members[1]);
    world_wait(sim, 100);
    assert_false(answer.told);
    assert_int_equal(sim->histories[0].ops[0].return_ns, LINEAR_NEVER);
    assert_int_equal(sim->result.counts[SIM_COUNT_UNKNOWN], 1);
    world_free(sim);
}

static void test_an_answer_leaves_when_the_disk_is_done(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    struct world_answer answer;
    sim->members[1]->sync_ns = 50 * SIM_MS;
    world_ask(&answer, sim->members[1], SIM_SET, 0);
    world_wait(sim, 45);
    assert_false(answer.told);
    world_wait(sim, 30);
    assert_true(answer.told);
    world_free(sim);
}

/* ---- breaking down ------------------------------------------------------- */

static void test_a_disk_that_fails_ends_the_member(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    struct sim_member *member = sim->members[1];
    struct world_answer answer;
    member->armed = true;
    disk_memory_fail_call(member->disk, 1, ERR_IO);
    world_ask(&answer, member, SIM_SET, 0);
    world_wait(sim, 20);
    assert_int_equal(member->state, SIM_DOWN);
    assert_int_equal(world_count(sim, SIM_TRACE_BREAK), 1);
    /* It comes again by itself. */
    world_wait(sim, 6000);
    assert_int_equal(member->state, SIM_UP);
    assert_false(member->armed);
    world_done(member, SIM_SET, 0);
    world_free(sim);
}

static void test_without_a_reason_it_may_not_end(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    struct world_answer answer;
    disk_memory_fail_call(sim->members[1]->disk, 1, ERR_IO);
    world_ask(&answer, sim->members[1], SIM_SET, 0);
    world_fails(sim, 100, "m1: breaks down without a reason");
}

static void test_a_kv_file_that_fails_ends_it_too(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    struct sim_member *member = sim->members[1];
    struct world_answer answer;
    member->armed = true;
    kv_memory_fail_after(member->kv, 1, ERR_IO);
    world_ask(&answer, member, SIM_SET, 0);
    world_wait(sim, 1000);
    assert_true(world_count(sim, SIM_TRACE_BREAK) >= 1);
    world_wait(sim, 6000);
    world_done(member, SIM_SET, 0);
    world_free(sim);
}

static void test_a_full_disk_is_an_answer(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    struct sim_member *member = sim->members[1];
    enum err err = ERR_OK;
    member->full = true;
    disk_memory_limit(member->disk, disk_memory_used(member->disk) + 1);
    for (int i = 0; i < 2000 && err == ERR_OK; i++) {
        struct world_answer answer;
        world_ask(&answer, member, SIM_SET, i % SIM_KEYS);
        world_wait(sim, 10);
        assert_true(answer.told);
        err = answer.err;
    }
    assert_true(err == ERR_DISK_FULL || err == ERR_NO_SPACE);
    assert_int_equal(member->state, SIM_UP);
    sim__mend_disk(member);
    world_wait(sim, 3000);
    world_done(member, SIM_SET, 0);
    world_free(sim);
}

/* All that is old in its files, turned round. */
static void damage(struct sim_member *member)
{
    const char *name;
    for (size_t n = 0; (name = disk_memory_name(member->disk, n)); n++) {
        uint64_t bytes = disk_memory_old_bytes(member->disk, name);
        for (uint64_t at = 0; at < bytes; at += 16)
            disk_memory_flip(member->disk, name, at, 0x55);
    }
}

static void test_damage_is_found(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    struct sim_member *member = sim->members[1];
    for (int i = 0; i < 10; i++)
        world_done(member, SIM_SET, 0);
    sim__kill(member);
    damage(member);
    member->damaged = true;
    sim__start(member);
    assert_int_equal(member->state, SIM_BROKEN);
    assert_int_equal(world_count(sim, SIM_TRACE_REFUSED), 1);
    assert_null(member->node);
    world_free(sim);
}

static void test_without_damage_it_may_not_refuse(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    struct sim_member *member = sim->members[1];
    for (int i = 0; i < 10; i++)
        world_done(member, SIM_SET, 0);
    sim__kill(member);
    damage(member);
    sim__start(member);
    world_has_failed(sim, "m1: refuses to start");
}

static void test_a_disk_that_fails_at_the_start(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    struct sim_member *member = sim->members[1];
    sim__kill(member);
    member->armed = true;
    disk_memory_fail_call(member->disk, 2, ERR_IO);
    sim__start(member);
    assert_int_equal(member->state, SIM_DOWN);
    assert_int_equal(world_count(sim, SIM_TRACE_REFUSED), 1);
    world_wait(sim, 5000);
    assert_int_equal(member->state, SIM_UP);
    world_free(sim);
}

/* ---- several ------------------------------------------------------------- */

static void test_members_are_found_by_id(void **state)
{
    (void)state;
    struct sim *sim = world_new(3);
    for (int i = 1; i <= 3; i++) {
        struct sim_member *member = sim->members[i];
        assert_ptr_equal(sim__member_of(sim, member->id), member);
        assert_int_equal(member->place, i);
    }
    assert_null(sim__member_of(sim, 77));
    world_free(sim);
}

static void test_any_that_is_up(void **state)
{
    (void)state;
    struct sim *sim = world_new(3);
    bool seen[4] = {0};
    sim__kill(sim->members[2]);
    for (int i = 0; i < 100; i++)
        seen[sim__any_up(sim, &sim->prng)->place] = true;
    assert_true(seen[1] && seen[3] && !seen[2]);
    world_free(sim);
}

static void test_three_go_on_without_one(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    struct sim_member *leader = world_leader(sim);
    world_done(leader, SIM_SET, 0);
    sim__kill(leader);
    world_wait(sim, 5000);
    struct sim_member *next = world_leader(sim);
    assert_non_null(next);
    assert_ptr_not_equal(next, leader);
    world_done(world_follower(sim) == leader ? next : world_follower(sim),
               SIM_SET, 0);
    sim__start(leader);
    world_wait(sim, 1000);
    assert_int_equal(leader->view.applied, next->view.applied);
    world_done(leader, SIM_READ, 0);
    world_free(sim);
}

static void test_three_do_nothing_without_two(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    struct world_answer answer;
    struct sim_member *left = sim->members[1];
    sim__kill(sim->members[2]);
    sim__kill(sim->members[3]);
    world_ask(&answer, left, SIM_SET, 0);
    world_wait(sim, 20000);
    assert_true(answer.told);
    assert_true(answer.err == ERR_NO_LEADER || answer.err == ERR_TIMEOUT);
    assert_null(world_leader(sim));
    world_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clocks_go_on),
        cmocka_unit_test(test_clocks_drift),
        cmocka_unit_test(test_only_the_wall_clock_jumps),
        cmocka_unit_test(test_what_a_step_costs_is_seen_in_it),
        cmocka_unit_test(test_another_life_counts_from_elsewhere),
        cmocka_unit_test(test_one_alone_serves_at_once),
        cmocka_unit_test(test_a_kill_keeps_what_was_acknowledged),
        cmocka_unit_test(test_a_stop_in_order_flushes),
        cmocka_unit_test(test_killing_the_dead_is_nothing),
        cmocka_unit_test(test_a_sleeper_does_nothing),
        cmocka_unit_test(test_it_can_be_woken),
        cmocka_unit_test(test_who_waits_for_the_dead_is_not_told),
        cmocka_unit_test(test_an_answer_leaves_when_the_disk_is_done),
        cmocka_unit_test(test_a_disk_that_fails_ends_the_member),
        cmocka_unit_test(test_without_a_reason_it_may_not_end),
        cmocka_unit_test(test_a_kv_file_that_fails_ends_it_too),
        cmocka_unit_test(test_a_full_disk_is_an_answer),
        cmocka_unit_test(test_damage_is_found),
        cmocka_unit_test(test_without_damage_it_may_not_refuse),
        cmocka_unit_test(test_a_disk_that_fails_at_the_start),
        cmocka_unit_test(test_members_are_found_by_id),
        cmocka_unit_test(test_any_that_is_up),
        cmocka_unit_test(test_three_go_on_without_one),
        cmocka_unit_test(test_three_do_nothing_without_two),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
