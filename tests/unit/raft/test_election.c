/* Who leads: pre-votes, votes, and when a member stands. The member under test
 * is 1; the test speaks for the others. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "unit/raft/raft_one.h"

static struct raft_one one;

static int set_up(void **state)
{
    (void)state;
    struct raft_config config = one_config(1, 3, 0);
    one_init(&one, &config);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    one_deinit(&one);
    return 0;
}

static void start_with(const struct raft_config *config)
{
    one_deinit(&one);
    one_init(&one, config);
}

static enum raft_role role(void)
{
    return one_status(&one).role;
}

static raft_term term(void)
{
    return one_status(&one).term;
}

static void campaign(void)
{
    one_step(&one, (struct raft_event){.type = RAFT_CAMPAIGN});
}

/* A request from `from`, as if its log ended at last/last_term. */
static void ask(enum raft_message_type type, member_id from, raft_term of_term,
                raft_index last, raft_term last_term, bool forced)
{
    one_receive(&one, (struct raft_message){.type = type,
                                            .from = from,
                                            .term = of_term,
                                            .index = last,
                                            .log_term = last_term,
                                            .forced = forced});
}

static void hear_heartbeat(member_id from, raft_term of_term)
{
    one_receive(&one, (struct raft_message){.type = RAFT_MESSAGE_HEARTBEAT,
                                            .from = from,
                                            .term = of_term});
}

/* Pulls, and says whether the one answer to `to` is a yes. */
static bool answered_yes(enum raft_message_type type, member_id to)
{
    one_pull(&one);
    const struct raft_message *answer = one_sent(&one, type, to);
    assert_non_null(answer);
    return !answer->rejected;
}

/* ---- standing ------------------------------------------------------------ */

static void first_it_asks_whether_it_would_win(void **state)
{
    (void)state;
    campaign();
    assert_int_equal(role(), RAFT_PRE_CANDIDATE);
    assert_int_equal(term(), 0);
    assert_false(one.update.hard_state_changed);
    assert_int_equal(one_pull(&one), 2);
    for (member_id to = 2; to <= 3; to++) {
        const struct raft_message *request =
            one_sent(&one, RAFT_MESSAGE_PRE_VOTE, to);
        assert_non_null(request);
        assert_int_equal(request->term, 1);
    }
    assert_int_equal(one_pull(&one), 0);
}

static void a_quorum_of_pre_votes_makes_a_candidate(void **state)
{
    (void)state;
    campaign();
    one_pull(&one);
    one_pre_vote_answer(&one, 3, true);
    assert_int_equal(role(), RAFT_CANDIDATE);
    assert_int_equal(term(), 1);
    assert_true(one.update.hard_state_changed);
    assert_int_equal(one.update.hard_state.vote, 1);
}

static void it_asks_for_votes_when_its_own_is_durable(void **state)
{
    (void)state;
    campaign();
    one_pull(&one);
    one_pre_vote_answer(&one, 3, true);
    assert_int_equal(one_pull(&one), 0);
    one_persist(&one);
    assert_int_equal(one_pull(&one), 2);
    const struct raft_message *request = one_sent(&one, RAFT_MESSAGE_VOTE, 2);
    assert_non_null(request);
    assert_int_equal(request->term, 1);
    assert_false(request->forced);
}

static void votes_of_a_quorum_make_a_leader(void **state)
{
    (void)state;
    campaign();
    one_pull(&one);
    one_pre_vote_answer(&one, 2, true);
    one_persist(&one);
    one_vote_answer(&one, 2, true);
    assert_int_equal(role(), RAFT_LEADER);
    assert_int_equal(one_status(&one).term_start, 1);
    /* The news leaves at once, as an append. */
    assert_int_equal(one_pull(&one), 2);
    const struct raft_message *append = one_sent(&one, RAFT_MESSAGE_APPEND, 3);
    assert_non_null(append);
    assert_int_equal(append->count, 1);
    assert_int_equal(append->entries[0].type, RAFT_ENTRY_EMPTY);
}

static void others_votes_do_not_count_before_its_own(void **state)
{
    (void)state;
    campaign();
    one_pull(&one);
    one_pre_vote_answer(&one, 2, true);
    one_vote_answer(&one, 2, true);
    one_vote_answer(&one, 3, true);
    assert_int_equal(role(), RAFT_CANDIDATE);
    one_persist(&one);
    assert_int_equal(role(), RAFT_LEADER);
}

static void the_same_vote_counts_once(void **state)
{
    (void)state;
    struct raft_config config = one_config(1, 5, 0);
    start_with(&config);
    campaign();
    one_pull(&one);
    one_pre_vote_answer(&one, 2, true);
    one_pre_vote_answer(&one, 2, true);
    assert_int_equal(role(), RAFT_PRE_CANDIDATE);
    one_pre_vote_answer(&one, 9, true); /* nobody */
    assert_int_equal(role(), RAFT_PRE_CANDIDATE);
    one_pre_vote_answer(&one, 3, true);
    assert_int_equal(role(), RAFT_CANDIDATE);
}

static void who_is_refused_by_a_quorum_follows_again(void **state)
{
    (void)state;
    campaign();
    one_pull(&one);
    one_pre_vote_answer(&one, 2, false);
    assert_int_equal(role(), RAFT_PRE_CANDIDATE);
    one_pre_vote_answer(&one, 3, false);
    assert_int_equal(role(), RAFT_FOLLOWER);
    assert_int_equal(term(), 0);
}

static void a_later_term_in_a_refusal_is_taken_over(void **state)
{
    (void)state;
    campaign();
    one_receive(&one,
                (struct raft_message){.type = RAFT_MESSAGE_PRE_VOTE_ANSWER,
                                      .from = 2,
                                      .term = 7,
                                      .rejected = true});
    assert_int_equal(role(), RAFT_FOLLOWER);
    assert_int_equal(term(), 7);
}

static void a_leader_of_its_term_ends_a_candidacy(void **state)
{
    (void)state;
    campaign();
    one_pull(&one);
    one_pre_vote_answer(&one, 2, true);
    one_settle(&one);
    hear_heartbeat(3, 1);
    assert_int_equal(role(), RAFT_FOLLOWER);
    assert_int_equal(one_status(&one).leader, 3);
    one_vote_answer(&one, 2, true);
    assert_int_equal(role(), RAFT_FOLLOWER);
}

static void nobody_answers_and_it_asks_again(void **state)
{
    (void)state;
    campaign();
    one_pull(&one);
    int64_t wait_ms = one.update.deadline_ms - one.now_ms;
    assert_in_range(wait_ms, 1000, 1999);
    one_tick(&one, wait_ms - 1);
    assert_int_equal(one_pull(&one), 0);
    one_tick(&one, 1);
    assert_int_equal(one_pull(&one), 2);
}

static void without_pre_votes_it_stands_at_once(void **state)
{
    (void)state;
    struct raft_config config = one_config(1, 3, 0);
    config.pre_vote = false;
    start_with(&config);
    campaign();
    assert_int_equal(role(), RAFT_CANDIDATE);
    assert_int_equal(term(), 1);
}

static void learners_and_strangers_never_stand(void **state)
{
    (void)state;
    member_id who[] = {4, 9};
    for (size_t i = 0; i < 2; i++) {
        struct raft_config config = one_config(who[i], 3, 1);
        start_with(&config);
        assert_true(one.update.deadline_ms == INT64_MAX);
        one_tick(&one, 100000);
        campaign();
        assert_int_equal(role(), RAFT_FOLLOWER);
        assert_int_equal(one_pull(&one), 0);
    }
}

/* Thesis 4.3. */
static void in_joint_consensus_both_lists_elect(void **state)
{
    (void)state;
    struct raft_config config = one_config(1, 3, 0);
    member_id outgoing[] = {1, 4, 5};
    memcpy(config.members.outgoing, outgoing, sizeof(outgoing));
    config.members.outgoing_count = 3;
    start_with(&config);
    campaign();
    assert_int_equal(one_pull(&one), 4);
    one_pre_vote_answer(&one, 2, true);
    one_pre_vote_answer(&one, 3, true);
    assert_int_equal(role(), RAFT_PRE_CANDIDATE);
    one_pre_vote_answer(&one, 4, true);
    assert_int_equal(role(), RAFT_CANDIDATE);
    one_persist(&one);
    one_vote_answer(&one, 4, true);
    assert_int_equal(role(), RAFT_CANDIDATE);
    /* The old list alone can refuse it. */
    one_vote_answer(&one, 2, true);
    assert_int_equal(role(), RAFT_LEADER);
}

static void in_joint_consensus_either_list_refuses(void **state)
{
    (void)state;
    struct raft_config config = one_config(1, 3, 0);
    member_id outgoing[] = {1, 4, 5};
    memcpy(config.members.outgoing, outgoing, sizeof(outgoing));
    config.members.outgoing_count = 3;
    start_with(&config);
    campaign();
    one_pre_vote_answer(&one, 2, true);
    one_pre_vote_answer(&one, 3, true);
    one_pre_vote_answer(&one, 4, false);
    one_pre_vote_answer(&one, 5, false);
    assert_int_equal(role(), RAFT_FOLLOWER);
}

/* ---- voting -------------------------------------------------------------- */

static void a_vote_leaves_when_it_is_durable(void **state)
{
    (void)state;
    ask(RAFT_MESSAGE_VOTE, 2, 1, 0, 0, false);
    assert_true(one.update.hard_state_changed);
    assert_int_equal(one.update.hard_state.vote, 2);
    assert_int_equal(one_pull(&one), 0);
    one_persist(&one);
    assert_true(answered_yes(RAFT_MESSAGE_VOTE_ANSWER, 2));
}

static void one_vote_a_term(void **state)
{
    (void)state;
    ask(RAFT_MESSAGE_VOTE, 2, 1, 0, 0, false);
    one_persist(&one);
    assert_true(answered_yes(RAFT_MESSAGE_VOTE_ANSWER, 2));
    ask(RAFT_MESSAGE_VOTE, 3, 1, 0, 0, false);
    assert_false(answered_yes(RAFT_MESSAGE_VOTE_ANSWER, 3));
    /* The same one again: its answer may have been lost. */
    ask(RAFT_MESSAGE_VOTE, 2, 1, 0, 0, false);
    assert_true(answered_yes(RAFT_MESSAGE_VOTE_ANSWER, 2));
    ask(RAFT_MESSAGE_VOTE, 3, 2, 0, 0, false);
    one_persist(&one);
    assert_true(answered_yes(RAFT_MESSAGE_VOTE_ANSWER, 3));
}

static void a_vote_is_remembered_over_a_restart(void **state)
{
    (void)state;
    struct raft_config config = one_config(1, 3, 0);
    one_deinit(&one);
    one_init_log(&one, &config, (struct raft_hard_state){.term = 4, .vote = 3},
                 NULL, 0);
    ask(RAFT_MESSAGE_VOTE, 2, 4, 0, 0, false);
    assert_false(answered_yes(RAFT_MESSAGE_VOTE_ANSWER, 2));
    ask(RAFT_MESSAGE_VOTE, 3, 4, 0, 0, false);
    assert_true(answered_yes(RAFT_MESSAGE_VOTE_ANSWER, 3));
}

/* A write is under way for the term; the vote came after it was given out. */
static void a_write_of_before_does_not_carry_a_vote(void **state)
{
    (void)state;
    hear_heartbeat(3, 2);
    one_step(&one, (struct raft_event){.type = RAFT_PEER_LOST, .member = 3});
    assert_true(one.update.hard_state_changed);
    raft_update_init(&one.update); /* term 2, no vote: being written */
    ask(RAFT_MESSAGE_VOTE, 2, 2, 0, 0, false);
    one_step(&one, (struct raft_event){.type = RAFT_PERSISTED, .term = 2});
    one_pull(&one);
    assert_null(one_sent(&one, RAFT_MESSAGE_VOTE_ANSWER, 2));
    assert_true(one_persist(&one));
    assert_true(answered_yes(RAFT_MESSAGE_VOTE_ANSWER, 2));
}

static void a_vote_that_was_overtaken_is_not_sent(void **state)
{
    (void)state;
    ask(RAFT_MESSAGE_VOTE, 2, 1, 0, 0, false);
    ask(RAFT_MESSAGE_VOTE, 3, 2, 0, 0, false);
    one_persist(&one);
    one_pull(&one);
    assert_null(one_sent(&one, RAFT_MESSAGE_VOTE_ANSWER, 2));
    assert_non_null(one_sent(&one, RAFT_MESSAGE_VOTE_ANSWER, 3));
}

/* Paper 5.4.1. */
static void whose_log_is_behind_gets_no_vote(void **state)
{
    (void)state;
    static const raft_term terms[] = {1, 1, 3};
    static const struct {
        raft_index last;
        raft_term last_term;
        bool good;
    } logs[] = {{9, 2, false}, {2, 3, false}, {3, 3, true},
                {1, 4, true},  {4, 3, true},  {0, 0, false}};
    for (size_t i = 0; i < sizeof(logs) / sizeof(logs[0]); i++) {
        struct raft_config config = one_config(1, 3, 0);
        one_deinit(&one);
        one_init_log(&one, &config, (struct raft_hard_state){.term = 4}, terms,
                     3);
        ask(RAFT_MESSAGE_PRE_VOTE, 2, 5, logs[i].last, logs[i].last_term,
            false);
        assert_int_equal(answered_yes(RAFT_MESSAGE_PRE_VOTE_ANSWER, 2),
                         logs[i].good);
        ask(RAFT_MESSAGE_VOTE, 3, 5, logs[i].last, logs[i].last_term, false);
        one_persist(&one);
        assert_int_equal(answered_yes(RAFT_MESSAGE_VOTE_ANSWER, 3),
                         logs[i].good);
        assert_int_equal(term(), 5);
    }
}

static void a_pre_vote_promises_nothing(void **state)
{
    (void)state;
    ask(RAFT_MESSAGE_PRE_VOTE, 2, 1, 0, 0, false);
    assert_true(answered_yes(RAFT_MESSAGE_PRE_VOTE_ANSWER, 2));
    assert_int_equal(one.sent[0].term, 1);
    ask(RAFT_MESSAGE_PRE_VOTE, 3, 1, 0, 0, false);
    assert_true(answered_yes(RAFT_MESSAGE_PRE_VOTE_ANSWER, 3));
    assert_int_equal(term(), 0);
    assert_false(one.update.hard_state_changed);
}

static void a_pre_vote_for_an_old_term_is_refused_with_the_new(void **state)
{
    (void)state;
    hear_heartbeat(3, 6);
    one_settle(&one);
    one_tick(&one, 900);
    ask(RAFT_MESSAGE_PRE_VOTE, 2, 6, 0, 0, false);
    assert_false(answered_yes(RAFT_MESSAGE_PRE_VOTE_ANSWER, 2));
    assert_int_equal(one_sent(&one, RAFT_MESSAGE_PRE_VOTE_ANSWER, 2)->term, 6);
}

static void a_vote_for_an_old_term_is_refused_with_the_new(void **state)
{
    (void)state;
    hear_heartbeat(3, 6);
    one_settle(&one);
    ask(RAFT_MESSAGE_VOTE, 2, 5, 0, 0, false);
    assert_false(answered_yes(RAFT_MESSAGE_VOTE_ANSWER, 2));
    assert_int_equal(one_sent(&one, RAFT_MESSAGE_VOTE_ANSWER, 2)->term, 6);
}

/* Thesis 4.2.3. */
static void who_hears_its_leader_stands_by_it(void **state)
{
    (void)state;
    hear_heartbeat(3, 1);
    one_settle(&one);
    one_pull(&one);
    one.now_ms += 999;
    ask(RAFT_MESSAGE_PRE_VOTE, 2, 2, 0, 0, false);
    assert_false(answered_yes(RAFT_MESSAGE_PRE_VOTE_ANSWER, 2));
    ask(RAFT_MESSAGE_VOTE, 2, 2, 0, 0, false);
    assert_int_equal(one_pull(&one), 0);
    assert_int_equal(term(), 1);
    one.now_ms += 1;
    ask(RAFT_MESSAGE_PRE_VOTE, 2, 2, 0, 0, false);
    assert_true(answered_yes(RAFT_MESSAGE_PRE_VOTE_ANSWER, 2));
    ask(RAFT_MESSAGE_VOTE, 2, 2, 0, 0, false);
    assert_int_equal(term(), 2);
}

static void a_leader_that_is_heard_stands_by_itself(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    ask(RAFT_MESSAGE_VOTE, 2, 9, 50, 9, false);
    assert_int_equal(role(), RAFT_LEADER);
    ask(RAFT_MESSAGE_PRE_VOTE, 2, 9, 50, 9, false);
    assert_false(answered_yes(RAFT_MESSAGE_PRE_VOTE_ANSWER, 2));
}

static void a_forced_vote_overrides_the_leader(void **state)
{
    (void)state;
    hear_heartbeat(3, 1);
    one_settle(&one);
    one_pull(&one);
    ask(RAFT_MESSAGE_VOTE, 2, 2, 0, 0, true);
    one_persist(&one);
    assert_true(answered_yes(RAFT_MESSAGE_VOTE_ANSWER, 2));
}

static void a_pre_candidate_may_vote_for_another(void **state)
{
    (void)state;
    ask(RAFT_MESSAGE_VOTE, 3, 1, 0, 9, true); /* a term is known, no vote */
    one_settle(&one);
    one_pull(&one);
    campaign();
    ask(RAFT_MESSAGE_VOTE, 2, 2, 0, 0, false);
    one_persist(&one);
    assert_true(answered_yes(RAFT_MESSAGE_VOTE_ANSWER, 2));
    assert_int_equal(role(), RAFT_FOLLOWER);
}

/* ---- the leader is lost -------------------------------------------------- */

static void a_broken_connection_to_the_leader_is_enough(void **state)
{
    (void)state;
    hear_heartbeat(3, 1);
    one_settle(&one);
    one_step(&one, (struct raft_event){.type = RAFT_PEER_LOST, .member = 3});
    assert_int_equal(one_status(&one).leader, 0);
    assert_true(one.update.role_changed);
    assert_in_range(one.update.deadline_ms, one.now_ms, one.now_ms + 12);
    one_pull(&one);
    one_tick(&one, one.update.deadline_ms - one.now_ms);
    assert_int_equal(role(), RAFT_PRE_CANDIDATE);
    assert_int_equal(one_pull(&one), 2);
}

static void any_other_connection_is_not(void **state)
{
    (void)state;
    hear_heartbeat(3, 1);
    one_settle(&one);
    int64_t deadline_ms = one.update.deadline_ms;
    one_step(&one, (struct raft_event){.type = RAFT_PEER_LOST, .member = 2});
    assert_int_equal(one_status(&one).leader, 3);
    assert_int_equal(one.update.deadline_ms, deadline_ms);
}

static void who_lost_the_leader_votes_for_others(void **state)
{
    (void)state;
    hear_heartbeat(3, 1);
    one_settle(&one);
    one_step(&one, (struct raft_event){.type = RAFT_PEER_LOST, .member = 3});
    one_pull(&one);
    ask(RAFT_MESSAGE_PRE_VOTE, 2, 2, 0, 0, false);
    assert_true(answered_yes(RAFT_MESSAGE_PRE_VOTE_ANSWER, 2));
}

static void a_heartbeat_brings_the_leader_back(void **state)
{
    (void)state;
    hear_heartbeat(3, 1);
    one_settle(&one);
    one_step(&one, (struct raft_event){.type = RAFT_PEER_LOST, .member = 3});
    hear_heartbeat(3, 1);
    assert_int_equal(one_status(&one).leader, 3);
    assert_in_range(one.update.deadline_ms, one.now_ms + 1000,
                    one.now_ms + 1999);
}

/* Two that begin at once would split the votes. */
static void the_others_do_not_stand_all_at_once(void **state)
{
    (void)state;
    for (raft_term of_term = 1; of_term <= 20; of_term++) {
        int64_t due_ms[5] = {0};
        for (member_id id = 1; id <= 4; id++) {
            struct raft_config config = one_config(id, 5, 0);
            start_with(&config);
            hear_heartbeat(5, of_term);
            one_settle(&one);
            one_step(&one,
                     (struct raft_event){.type = RAFT_PEER_LOST, .member = 5});
            due_ms[id] = one.update.deadline_ms - one.now_ms;
            assert_in_range(due_ms[id], 0, 30);
        }
        for (member_id a = 1; a <= 4; a++) {
            for (member_id b = a + 1; b <= 4; b++) {
                int64_t apart = due_ms[a] - due_ms[b];
                assert_true(apart >= 4 || apart <= -4);
            }
        }
    }
}

static void if_it_can_not_win_it_soon_tries_again(void **state)
{
    (void)state;
    hear_heartbeat(3, 1);
    one_settle(&one);
    one_step(&one, (struct raft_event){.type = RAFT_PEER_LOST, .member = 3});
    int64_t waited_ms = 0;
    for (int i = 0; i < 5; i++) {
        int64_t wait_ms = one.update.deadline_ms - one.now_ms;
        waited_ms += wait_ms;
        one_tick(&one, wait_ms);
        assert_int_equal(role(), RAFT_PRE_CANDIDATE);
        one_pre_vote_answer(&one, 2, false);
        one_pre_vote_answer(&one, 3, false);
        assert_int_equal(role(), RAFT_FOLLOWER);
    }
    assert_true(waited_ms < 700);
    /* But not for ever. */
    for (int i = 0; i < 5; i++) {
        one_tick(&one, one.update.deadline_ms - one.now_ms);
    }
    assert_in_range(one.update.deadline_ms - one.now_ms, 1000, 1999);
}

static void even_without_pre_votes_a_lost_leader_begins_with_one(void **state)
{
    (void)state;
    struct raft_config config = one_config(1, 3, 0);
    config.pre_vote = false;
    start_with(&config);
    hear_heartbeat(3, 1);
    one_settle(&one);
    one_step(&one, (struct raft_event){.type = RAFT_PEER_LOST, .member = 3});
    one_tick(&one, 20);
    assert_int_equal(role(), RAFT_PRE_CANDIDATE);
}

/* The leader may answer reads by its lease: that is a promise to it. */
static void with_leases_a_broken_connection_changes_nothing(void **state)
{
    (void)state;
    struct raft_config config = one_config(1, 3, 0);
    config.lease_reads = true;
    start_with(&config);
    one_tick(&one, 1000);
    one_settle(&one);
    hear_heartbeat(3, 1);
    one_settle(&one);
    one_step(&one, (struct raft_event){.type = RAFT_PEER_LOST, .member = 3});
    assert_int_equal(one_status(&one).leader, 3);
    one_pull(&one);
    ask(RAFT_MESSAGE_PRE_VOTE, 2, 2, 0, 0, false);
    assert_false(answered_yes(RAFT_MESSAGE_PRE_VOTE_ANSWER, 2));
}

static void with_leases_a_member_that_starts_waits_with_its_vote(void **state)
{
    (void)state;
    struct raft_config config = one_config(1, 3, 0);
    config.lease_reads = true;
    start_with(&config);
    one.now_ms += 999;
    ask(RAFT_MESSAGE_PRE_VOTE, 2, 2, 0, 0, false);
    assert_false(answered_yes(RAFT_MESSAGE_PRE_VOTE_ANSWER, 2));
    one.now_ms += 1;
    ask(RAFT_MESSAGE_PRE_VOTE, 2, 2, 0, 0, false);
    assert_true(answered_yes(RAFT_MESSAGE_PRE_VOTE_ANSWER, 2));
}

/* Whatever is heard of other terms meanwhile. */
static void a_promise_outlives_the_term(void **state)
{
    (void)state;
    struct raft_config config = one_config(1, 3, 0);
    config.lease_reads = true;
    start_with(&config);
    one.now_ms += 1000;
    hear_heartbeat(3, 1);
    one_settle(&one);
    one_receive(&one, (struct raft_message){.type = RAFT_MESSAGE_VOTE_ANSWER,
                                            .from = 2,
                                            .term = 5,
                                            .rejected = true});
    one_settle(&one);
    assert_int_equal(one_status(&one).leader, 0);
    one.now_ms += 999;
    one_step(&one, (struct raft_event){.type = RAFT_CAMPAIGN});
    assert_int_equal(role(), RAFT_FOLLOWER);
    ask(RAFT_MESSAGE_PRE_VOTE, 2, 6, 0, 0, false);
    assert_false(answered_yes(RAFT_MESSAGE_PRE_VOTE_ANSWER, 2));
    one.now_ms += 1;
    ask(RAFT_MESSAGE_PRE_VOTE, 2, 6, 0, 0, false);
    assert_true(answered_yes(RAFT_MESSAGE_PRE_VOTE_ANSWER, 2));
    one_step(&one, (struct raft_event){.type = RAFT_CAMPAIGN});
    assert_int_equal(role(), RAFT_PRE_CANDIDATE);
}

/* ---- stepping down ------------------------------------------------------- */

/* Thesis 6.2. */
static void a_leader_that_no_quorum_answers_steps_down(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    for (int i = 0; i < 10; i++) {
        one_tick(&one, 100);
        one_pull(&one);
        assert_int_equal(role(), RAFT_LEADER);
    }
    one_tick(&one, 100);
    assert_int_equal(role(), RAFT_FOLLOWER);
    assert_int_equal(one_status(&one).leader, 0);
    assert_int_equal(term(), 1);
}

static void one_of_two_others_is_quorum_enough(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    for (int i = 0; i < 50; i++) {
        one_tick(&one, 100);
        one_pull(&one);
        one_heartbeat_answer(&one, 2, 0);
    }
    assert_int_equal(role(), RAFT_LEADER);
}

static void without_check_quorum_it_goes_on(void **state)
{
    (void)state;
    struct raft_config config = one_config(1, 3, 0);
    config.check_quorum = false;
    start_with(&config);
    one_lead_in_step(&one);
    for (int i = 0; i < 50; i++) {
        one_tick(&one, 100);
        one_pull(&one);
    }
    assert_int_equal(role(), RAFT_LEADER);
    ask(RAFT_MESSAGE_VOTE, 2, 9, 50, 9, false);
    assert_int_equal(role(), RAFT_FOLLOWER);
}

static void a_later_term_ends_a_leadership(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    one_receive(&one, (struct raft_message){.type = RAFT_MESSAGE_APPEND_ANSWER,
                                            .from = 2,
                                            .term = 5,
                                            .rejected = true});
    assert_int_equal(role(), RAFT_FOLLOWER);
    assert_int_equal(term(), 5);
    assert_int_equal(one_propose(&one, "x"), ERR_NOT_LEADER);
}

static void a_leader_of_an_old_term_is_told(void **state)
{
    (void)state;
    hear_heartbeat(3, 6);
    one_settle(&one);
    one_pull(&one);
    hear_heartbeat(2, 5);
    one_append(&one, 2, 5, 0, 0, 0, NULL, 0);
    assert_int_equal(one_pull(&one), 2);
    assert_int_equal(one.sent[0].type, RAFT_MESSAGE_HEARTBEAT_ANSWER);
    assert_int_equal(one.sent[1].type, RAFT_MESSAGE_APPEND_ANSWER);
    for (int i = 0; i < 2; i++) {
        assert_true(one.sent[i].rejected);
        assert_int_equal(one.sent[i].term, 6);
        assert_int_equal(one.sent[i].to, 2);
    }
    assert_int_equal(one_status(&one).leader, 3);
}

static void a_message_for_another_is_left_alone(void **state)
{
    (void)state;
    struct raft_message message = {
        .type = RAFT_MESSAGE_VOTE, .from = 2, .to = 3, .term = 9};
    one_step(&one,
             (struct raft_event){.type = RAFT_RECEIVE, .message = &message});
    message.to = 1;
    message.from = 1;
    one_step(&one,
             (struct raft_event){.type = RAFT_RECEIVE, .message = &message});
    message.from = 0;
    one_step(&one,
             (struct raft_event){.type = RAFT_RECEIVE, .message = &message});
    assert_int_equal(term(), 0);
    assert_int_equal(one_pull(&one), 0);
}

/* More than the queue holds: the oldest is gone, as if lost on the way. */
static void answers_are_bounded(void **state)
{
    (void)state;
    for (raft_term t = 1; t <= 400; t++) {
        ask(RAFT_MESSAGE_PRE_VOTE, 2, t, 0, 0, false);
    }
    size_t count = one_pull(&one);
    assert_in_range(count, 1, 399);
    assert_int_equal(one.sent[count - 1].term, 400);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(first_it_asks_whether_it_would_win),
        STORY(a_quorum_of_pre_votes_makes_a_candidate),
        STORY(it_asks_for_votes_when_its_own_is_durable),
        STORY(votes_of_a_quorum_make_a_leader),
        STORY(others_votes_do_not_count_before_its_own),
        STORY(the_same_vote_counts_once),
        STORY(who_is_refused_by_a_quorum_follows_again),
        STORY(a_later_term_in_a_refusal_is_taken_over),
        STORY(a_leader_of_its_term_ends_a_candidacy),
        STORY(nobody_answers_and_it_asks_again),
        STORY(without_pre_votes_it_stands_at_once),
        STORY(learners_and_strangers_never_stand),
        STORY(in_joint_consensus_both_lists_elect),
        STORY(in_joint_consensus_either_list_refuses),
        STORY(a_vote_leaves_when_it_is_durable),
        STORY(one_vote_a_term),
        STORY(a_vote_is_remembered_over_a_restart),
        STORY(a_write_of_before_does_not_carry_a_vote),
        STORY(a_vote_that_was_overtaken_is_not_sent),
        STORY(whose_log_is_behind_gets_no_vote),
        STORY(a_pre_vote_promises_nothing),
        STORY(a_pre_vote_for_an_old_term_is_refused_with_the_new),
        STORY(a_vote_for_an_old_term_is_refused_with_the_new),
        STORY(who_hears_its_leader_stands_by_it),
        STORY(a_leader_that_is_heard_stands_by_itself),
        STORY(a_forced_vote_overrides_the_leader),
        STORY(a_pre_candidate_may_vote_for_another),
        STORY(a_broken_connection_to_the_leader_is_enough),
        STORY(any_other_connection_is_not),
        STORY(who_lost_the_leader_votes_for_others),
        STORY(a_heartbeat_brings_the_leader_back),
        STORY(the_others_do_not_stand_all_at_once),
        STORY(if_it_can_not_win_it_soon_tries_again),
        STORY(even_without_pre_votes_a_lost_leader_begins_with_one),
        STORY(with_leases_a_broken_connection_changes_nothing),
        STORY(with_leases_a_member_that_starts_waits_with_its_vote),
        STORY(a_promise_outlives_the_term),
        STORY(a_leader_that_no_quorum_answers_steps_down),
        STORY(one_of_two_others_is_quorum_enough),
        STORY(without_check_quorum_it_goes_on),
        STORY(a_later_term_ends_a_leadership),
        STORY(a_leader_of_an_old_term_is_told),
        STORY(a_message_for_another_is_left_alone),
        STORY(answers_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
