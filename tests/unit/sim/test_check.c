/* The checkers object. A good world is led, then something is put into it that
 * must not be: into a message, into what the checkers remember (as if a member
 * had been otherwise), or into what is known of all. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/sim/sim_worlds.h"

/* ---- what members say ---------------------------------------------------- */

/* A message of raft's as node/ sends it. */
static void say(struct sim_member *member, struct raft_message message)
{
    struct buf bytes = {0};
    message.from = member->id;
    message.to = message.to ? message.to : 1;
    buf_append_char(&bytes, 1);
    raft_message_encode(&message, &bytes);
    sim__check_message(member, buf_slice(&bytes));
    buf_deinit(&bytes);
}

#define SAY(member, type_, ...) \
    say(member,                 \
        (struct raft_message){.type = RAFT_MESSAGE_##type_, __VA_ARGS__})

static void test_one_vote_a_term(void **state)
{
    (void)state;
    struct sim *sim = world_new(3);
    SAY(sim->members[1], VOTE_ANSWER, .term = 50, .to = 7);
    SAY(sim->members[1], VOTE_ANSWER, .term = 50, .to = 7);
    SAY(sim->members[1], VOTE_ANSWER, .term = 51, .to = 8);
    SAY(sim->members[2], VOTE_ANSWER, .term = 50, .to = 8);
    assert_false(sim->over);
    SAY(sim->members[1], VOTE_ANSWER, .term = 50, .to = 8);
    world_has_failed(sim, "m1: what it says: votes for two in term 50");
}

static void test_who_stands_votes_for_himself(void **state)
{
    (void)state;
    struct sim *sim = world_new(3);
    SAY(sim->members[1], VOTE, .term = 50);
    assert_false(sim->over);
    SAY(sim->members[1], VOTE_ANSWER, .term = 50, .to = 7);
    world_has_failed(sim, "votes for two");
}

static void test_a_refusal_is_no_vote(void **state)
{
    (void)state;
    struct sim *sim = world_new(3);
    SAY(sim->members[1], VOTE_ANSWER, .term = 50, .to = 7);
    SAY(sim->members[1], VOTE_ANSWER, .term = 50, .to = 8, .rejected = true);
    SAY(sim->members[1], PRE_VOTE_ANSWER, .term = 50, .to = 8);
    SAY(sim->members[1], PRE_VOTE, .term = 50);
    assert_false(sim->over);
    world_free(sim);
}

static void test_what_is_acknowledged_is_durable(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    struct sim_member *member = world_follower(sim);
    SAY(member, APPEND_ANSWER, .term = 1, .index = member->view.durable);
    assert_false(sim->over);
    SAY(member, APPEND_ANSWER, .term = 1, .index = member->view.durable + 1);
    world_has_failed(sim, "is acknowledged, and durable is");
}

static void test_other_messages_say_nothing(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    struct sim_member *member = world_follower(sim);
    SAY(member, APPEND_ANSWER, .term = 1, .index = 900000, .rejected = true);
    SAY(member, HEARTBEAT, .term = 900);
    SAY(member, HEARTBEAT_ANSWER, .term = 900);
    sim__check_message(member, SLICE(""));
    sim__check_message(member, SLICE("\2\x08\x04"));
    sim__check_message(member, SLICE("\1\xff\xff"));
    assert_true(member->view.promised < 900);
    world_free(sim);
}

static void test_an_act_in_a_term_is_for_ever(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    struct sim_member *member = world_follower(sim);
    SAY(member, VOTE_ANSWER, .term = 50, .to = 7);
    assert_int_equal(member->view.promised, 50);
    sim__kill(member);
    sim__start(member);
    world_has_failed(sim, "and had acted in 50");
}

/* ---- logs ---------------------------------------------------------------- */

static void test_logs_match(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    struct sim_member *member = world_leader(sim);
    struct ledger_place *place = &sim->ledger.places[member->view.last];
    place->seen->chain ^= 1;
    member->view.last = 0; /* as if it had just come */
    sim__check_step(member);
    world_has_failed(sim, "logs differ at or before index");
}

static void test_an_entry_is_committed_once(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    struct sim_member *member = world_follower(sim);
    sim->ledger.places[member->view.commit].chain ^= 1;
    member->view.commit--;
    sim__check_step(member);
    world_has_failed(sim, "is committed as two entries");
}

static void test_a_commit_does_not_go_back(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    struct sim_member *member = world_follower(sim);
    member->view.commit += 1;
    sim__check_step(member);
    world_has_failed(sim, "its commit goes back");
}

static void test_a_term_does_not_go_back(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    world_follower(sim)->view.term += 1;
    sim__check_step(world_follower(sim));
    world_has_failed(sim, "its term goes back");
}

static void test_a_store_does_not_go_back(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    world_done(world_leader(sim), SIM_SET, 0);
    world_follower(sim)->view.revision += 1;
    sim__check_step(world_follower(sim));
    world_has_failed(sim, "its store goes back");
}

static void test_one_revision_an_index(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    struct sim_member *member = world_follower(sim);
    sim->ledger.places[member->view.applied].revision = 77;
    member->view.applied--;
    sim__check_step(member);
    world_has_failed(sim, "on another member 77");
}

/* ---- leaders ------------------------------------------------------------- */

static void test_one_leader_a_term(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    struct sim_member *leader = world_leader(sim);
    sim->ledger.leaders[leader->view.term] = world_follower(sim)->id;
    sim__check_step(leader);
    world_has_failed(sim, "two leaders in term");
}

static void test_a_leader_has_what_was_committed(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    struct sim_member *leader = world_leader(sim);
    /* As if it led for the first time, and all had been committed before in
     * other words. */
    sim->ledger.leaders[leader->view.term] = 0;
    for (raft_index at = 1; at <= sim->ledger.commit; at++)
        sim->ledger.places[at].commit_term = 0;
    sim->ledger.places[sim->ledger.commit].chain ^= 1;
    sim__check_step(leader);
    world_has_failed(sim, "leads without the committed index");
}

/* Moves the leader's view back by one entry, so that it commits it again. */
static struct sim_member *recommit(struct sim *sim)
{
    struct sim_member *leader = world_leader(sim);
    world_done(leader, SIM_SET, 0);
    leader->view.commit--;
    return leader;
}

static void test_a_commit_is_durable_on_a_quorum(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    struct sim_member *leader = recommit(sim);
    for (int i = 1; i <= 3; i++)
        if (sim->members[i] != leader)
            sim->members[i]->view.durable = 1;
    sim__check_step(leader);
    world_has_failed(sim, "is committed, and not durable on a quorum");
}

static void test_two_of_three_are_a_quorum(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    struct sim_member *leader = recommit(sim);
    world_follower(sim)->view.durable = 1;
    sim__check_step(leader);
    world_free(sim);
}

static void test_another_entry_there_does_not_count(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    struct sim_member *leader = recommit(sim);
    for (int i = 1; i <= 3; i++)
        if (sim->members[i] != leader)
            sim->members[i]->view.chains[leader->view.commit + 1] ^= 1;
    sim__check_step(leader);
    world_has_failed(sim, "not durable on a quorum");
}

static void test_a_leader_counts_its_own_term(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    struct sim_member *leader = recommit(sim);
    raft_index index = leader->view.commit + 1;
    const struct raft_entry *entry =
        raft_entry_at(node_raft(leader->node), index);
    ((struct raft_entry *)(uintptr_t)entry)->term--;
    leader->view.terms[index]--;
    sim__check_step(leader);
    ((struct raft_entry *)(uintptr_t)entry)->term++;
    world_has_failed(sim, "a leader counts an entry of an old term");
}

/* ---- restarts ------------------------------------------------------------ */

/* A follower that was killed, and what the checkers know of its log. */
static struct sim_member *killed(struct sim *sim)
{
    struct sim_member *member = world_follower(sim);
    sim->flush_ns = 1000 * SIM_SECOND; /* it stays in the log */
    world_wait(sim, 500);
    world_done(world_leader(sim), SIM_SET, 0);
    sim__kill(member);
    return member;
}

static void test_what_was_durable_is_there(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    struct sim_member *member = killed(sim);
    assert_true(member->view.durable > 0);
    sim__start(member);
    world_wait(sim, 100);
    world_free(sim);
}

static void test_what_was_durable_is_not_shorter(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    struct sim_member *member = killed(sim);
    /* One more than it has. */
    raft_index more = ++member->view.durable;
    member->view.last = more;
    member->view.chains[more] = 1;
    member->view.terms[more] = member->view.terms[more - 1];
    sim__start(member);
    world_has_failed(sim, "was durable, and is gone");
}

static void test_what_was_durable_is_not_otherwise(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    struct sim_member *member = killed(sim);
    member->view.chains[member->view.durable] ^= 1;
    sim__start(member);
    world_has_failed(sim, "was durable, and is gone");
}

static void test_a_newer_term_may_have_replaced_it(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    struct sim_member *member = killed(sim);
    raft_index last = member->view.durable;
    member->view.chains[last] ^= 1;
    member->view.terms[last] = 0;
    sim__start(member);
    world_free(sim);
}

/* ---- the store ----------------------------------------------------------- */

/* The twin's newest record of a key, to be tampered with. */
static struct record *twin_of(struct sim *sim, const char *key)
{
    const struct record *record = ledger_get(
        &sim->ledger, MVCC_KEYS, slice_str(key), sim->ledger.revision);
    assert_non_null(record);
    return (struct record *)(uintptr_t)record;
}

static void test_the_store_is_the_twin(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    world_done(world_leader(sim), SIM_SET, 0);
    world_done(world_leader(sim), SIM_TTL, 1);
    for (int i = 1; i <= 3; i++)
        sim__check_store(sim->members[i]);
    world_free(sim);
}

static void test_a_value_that_differs(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    world_done(world_leader(sim), SIM_SET, 0);
    /* The leader's commit is the twin's own: another member shows it. */
    struct record *twin = twin_of(sim, "/k0");
    struct slice value = twin->value;
    twin->value.size--;
    sim__kill(world_follower(sim));
    sim__start(world_follower(sim));
    twin->value = value;
    world_has_failed(sim, "members differ in the value");
}

static void test_a_key_too_few(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    world_done(sim->members[1], SIM_SET, 0);
    struct record *twin = twin_of(sim, "/k0");
    twin->flags |= MVCC_TOMBSTONE;
    sim__check_store(sim->members[1]);
    world_has_failed(sim, "/k0 lives, and should not");
}

static void test_a_key_too_many(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    world_done(sim->members[1], SIM_SET, 0);
    world_done(sim->members[1], SIM_DELETE, 0);
    struct ledger_key *key =
        map_get(&sim->ledger.keys[MVCC_KEYS], SLICE("/k0"));
    key->count--;
    sim__check_store(sim->members[1]);
    world_has_failed(sim, "keys, should be");
}

static void test_a_lease_that_is_lost(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    struct sim_member *member = sim->members[1];
    world_done(member, SIM_TTL, 0);
    struct record *twin = twin_of(sim, "/t/0");
    lease_set(node_leases(member->node), twin->lease, twin->expire_ns + 1);
    sim__check_store(member);
    world_has_failed(sim, "its lease is lost");
}

static void test_a_lease_too_many(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    struct sim_member *member = sim->members[1];
    lease_set(node_leases(member->node), 5, INT64_MAX);
    sim__check_store(member);
    world_has_failed(sim, "1 leases, should be 0");
}

static void test_where_the_file_will_fail_nobody_looks(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    lease_set(node_leases(sim->members[1]->node), 5, INT64_MAX);
    sim->members[1]->armed = true;
    sim__check_store(sim->members[1]);
    world_free(sim);
}

/* ---- the first counts ---------------------------------------------------- */

static void test_the_first_failure_is_told(void **state)
{
    (void)state;
    struct sim *sim = world_new(1);
    sim__fail(sim, "the %s", "first");
    sim__fail(sim, "the second");
    assert_true(sim->over);
    assert_int_equal(world_count(sim, SIM_TRACE_FAILED), 1);
    assert_string_equal(sim->result.why, "the first");
    world_has_failed(sim, "the first");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_vote_a_term),
        cmocka_unit_test(test_who_stands_votes_for_himself),
        cmocka_unit_test(test_a_refusal_is_no_vote),
        cmocka_unit_test(test_what_is_acknowledged_is_durable),
        cmocka_unit_test(test_other_messages_say_nothing),
        cmocka_unit_test(test_an_act_in_a_term_is_for_ever),
        cmocka_unit_test(test_logs_match),
        cmocka_unit_test(test_an_entry_is_committed_once),
        cmocka_unit_test(test_a_commit_does_not_go_back),
        cmocka_unit_test(test_a_term_does_not_go_back),
        cmocka_unit_test(test_a_store_does_not_go_back),
        cmocka_unit_test(test_one_revision_an_index),
        cmocka_unit_test(test_one_leader_a_term),
        cmocka_unit_test(test_a_leader_has_what_was_committed),
        cmocka_unit_test(test_a_commit_is_durable_on_a_quorum),
        cmocka_unit_test(test_two_of_three_are_a_quorum),
        cmocka_unit_test(test_another_entry_there_does_not_count),
        cmocka_unit_test(test_a_leader_counts_its_own_term),
        cmocka_unit_test(test_what_was_durable_is_there),
        cmocka_unit_test(test_what_was_durable_is_not_shorter),
        cmocka_unit_test(test_what_was_durable_is_not_otherwise),
        cmocka_unit_test(test_a_newer_term_may_have_replaced_it),
        cmocka_unit_test(test_the_store_is_the_twin),
        cmocka_unit_test(test_a_value_that_differs),
        cmocka_unit_test(test_a_key_too_few),
        cmocka_unit_test(test_a_key_too_many),
        cmocka_unit_test(test_a_lease_that_is_lost),
        cmocka_unit_test(test_a_lease_too_many),
        cmocka_unit_test(test_where_the_file_will_fail_nobody_looks),
        cmocka_unit_test(test_the_first_failure_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
