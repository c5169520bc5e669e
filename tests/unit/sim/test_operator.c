/* Who comes and who goes: changes of membership through any member, and what
 * the operator doesn't do. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/sim/sim_worlds.h"

/* Asks, and waits until it is told. */
static void change(struct sim *sim, enum node_change_op op,
                   struct sim_member *member)
{
    assert_non_null(sim__operator_ask(sim, op, member));
    world_wait(sim, 3000);
    assert_null(sim->operators.change);
}

static struct sim_member *newcomer(struct sim *sim)
{
    struct sim_member *member = sim__member_new(sim, false);
    sim__start(member);
    return member;
}

static void test_a_voter_comes(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    struct sim_member *member = newcomer(sim);
    world_done(world_leader(sim), SIM_SET, 0);
    change(sim, NODE_ADD_VOTER, member);
    assert_true(raft_members_votes(&sim->ledger.members, member->id));
    assert_int_equal(sim->ledger.members.voter_count, 4);
    world_wait(sim, 3000);
    assert_int_equal(member->view.applied, sim->ledger.commit);
    world_done(member, SIM_SET, 0);
    world_done(member, SIM_READ, 0);
    world_free(sim);
}

static void test_a_learner_comes_and_is_promoted(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    struct sim_member *member = newcomer(sim);
    change(sim, NODE_ADD_LEARNER, member);
    assert_true(raft_members_have(&sim->ledger.members, member->id));
    assert_false(raft_members_votes(&sim->ledger.members, member->id));
    world_wait(sim, 3000);
    world_done(member, SIM_SET, 0);
    change(sim, NODE_PROMOTE, member);
    assert_true(raft_members_votes(&sim->ledger.members, member->id));
    world_free(sim);
}

static void test_a_standby_becomes_a_voter(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    struct sim_member *member = newcomer(sim);
    change(sim, NODE_ADD_STANDBY, member);
    world_wait(sim, 10000);
    assert_true(raft_members_votes(&sim->ledger.members, member->id));
    world_free(sim);
}

static void test_one_goes(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    struct sim_member *member = world_follower(sim);
    change(sim, NODE_REMOVE, member);
    assert_false(raft_members_have(&sim->ledger.members, member->id));
    world_wait(sim, 30000);
    assert_int_equal(member->state, SIM_ENDED);
    world_done(world_leader(sim), SIM_SET, 0);
    world_free(sim);
}

static void test_the_leader_goes(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    struct sim_member *member = world_leader(sim);
    change(sim, NODE_REMOVE, member);
    world_wait(sim, 30000);
    assert_int_equal(member->state, SIM_ENDED);
    assert_non_null(world_leader(sim));
    assert_int_equal(sim->ledger.members.voter_count, 2);
    world_done(world_leader(sim), SIM_SET, 0);
    world_free(sim);
}

static void test_a_cluster_grows_from_one(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    for (int i = 0; i < 20; i++)
        world_done(world_leader(sim), SIM_SET, i % SIM_KEYS);
    for (size_t voters = 2; voters <= 4; voters++) {
        struct sim_member *member = newcomer(sim);
        change(sim, NODE_ADD_VOTER, member);
        world_wait(sim, 4000);
        assert_int_equal(sim->ledger.members.voter_count, voters);
        sim__check_store(member);
    }
    for (int i = 1; i <= 4; i++)
        world_done(sim->members[i], SIM_SET, 0);
    world_free(sim);
}

static void test_one_change_at_a_time(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    struct sim_member *member = newcomer(sim);
    assert_non_null(sim__operator_ask(sim, NODE_ADD_LEARNER, member));
    assert_null(sim__operator_ask(sim, NODE_REMOVE, member));
    world_wait(sim, 3000);
    assert_null(sim->operators.change);
    world_free(sim);
}

static void test_where_nobody_is_up_nobody_is_asked(void **state)
{
    (void)state;
    struct sim *sim = world_new(1);
    sim__kill(sim->members[1]);
    assert_null(sim__operator_ask(sim, NODE_REMOVE, sim->members[1]));
    assert_null(sim->operators.change);
    world_free(sim);
}

static void test_churn_keeps_a_cluster(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    sim->faults = SIM_FAULT_CHURN;
    world_wait(sim, 120000);
    const struct raft_members *now = &sim->ledger.members;
    assert_true(now->voter_count >= 2);
    assert_true(now->voter_count + now->learner_count <= SIM_MEMBERS_MAX);
    assert_true(sim->result.counts[SIM_COUNT_CHANGES] > 5);
    sim->faults = 0;
    world_wait(sim, 10000);
    world_done(world_leader(sim), SIM_SET, 0);
    world_free(sim);
}

static void test_a_standby_takes_a_dead_ones_place(void **state)
{
    (void)state;
    struct sim *sim = world_unborn(4);
    sim->active_size = 3;
    sim->remove_delay_s = 2;
    sim__begin(sim);
    world_wait(sim, 15000);
    assert_int_equal(sim->ledger.members.voter_count, 3);
    assert_int_equal(sim->ledger.members.learner_count, 1);
    struct sim_member *dead = NULL;
    for (int i = 1; i <= 4; i++)
        if (raft_members_votes(&sim->ledger.members, sim->members[i]->id) &&
            sim->members[i] != world_leader(sim))
            dead = sim->members[i];
    sim__kill(dead);
    world_wait(sim, 7000);
    assert_int_equal(sim->ledger.members.voter_count, 3);
    assert_false(raft_members_votes(&sim->ledger.members, dead->id));
    world_done(world_leader(sim), SIM_SET, 0);
    /* It comes back, and is a standby. */
    sim__start(dead);
    world_wait(sim, 10000);
    assert_int_equal(sim->ledger.members.voter_count, 3);
    world_done(dead, SIM_READ, 0);
    world_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_voter_comes),
        cmocka_unit_test(test_a_learner_comes_and_is_promoted),
        cmocka_unit_test(test_a_standby_becomes_a_voter),
        cmocka_unit_test(test_one_goes),
        cmocka_unit_test(test_the_leader_goes),
        cmocka_unit_test(test_a_cluster_grows_from_one),
        cmocka_unit_test(test_one_change_at_a_time),
        cmocka_unit_test(test_where_nobody_is_up_nobody_is_asked),
        cmocka_unit_test(test_churn_keeps_a_cluster),
        cmocka_unit_test(test_a_standby_takes_a_dead_ones_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
