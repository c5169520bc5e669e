/* A snapshot has come. The member under test is 1; 2 leads and has sent it. */
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

static void snapshot(raft_term term, raft_index index, raft_term log_term)
{
    struct raft_members members = {.voter_count = 4, .voters = {1, 2, 3, 4}};
    one_receive(&one, (struct raft_message){.type = RAFT_MESSAGE_SNAPSHOT,
                                            .from = 2,
                                            .term = term,
                                            .index = index,
                                            .log_term = log_term,
                                            .members = &members});
}

static void installed(raft_index index)
{
    raft_update_init(&one.update);
    one_step(&one, (struct raft_event){.type = RAFT_INSTALLED, .index = index});
}

/* Three entries of term 1, all durable, the first committed. */
static void follow_a_little(void)
{
    one_append(&one, 2, 1, 0, 0, 1, (const raft_term[]){1, 1, 1}, 3);
    one_settle(&one);
    one_pull(&one);
}

static void a_newer_state_is_asked_for(void **state)
{
    (void)state;
    follow_a_little();
    snapshot(2, 50, 2);
    assert_true(one.update.install);
    assert_int_equal(one.update.install_index, 50);
    assert_int_equal(one.update.install_term, 2);
    /* Not yet. */
    assert_int_equal(one_status(&one).commit, 1);
    assert_int_equal(raft_members(one.raft)->voter_count, 3);
}

static void when_it_is_in_place_the_log_begins_behind_it(void **state)
{
    (void)state;
    follow_a_little();
    snapshot(2, 50, 2);
    one_persist(&one);
    installed(50);
    struct raft_status status = one_status(&one);
    assert_int_equal(status.first, 51);
    assert_int_equal(status.last, 50);
    assert_int_equal(status.commit, 50);
    assert_int_equal(status.applied, 50);
    assert_int_equal(status.persisted, 50);
    assert_int_equal(raft_members(one.raft)->voter_count, 4);
    assert_null(raft_entry_at(one.raft, 3));
    one_pull(&one);
    const struct raft_message *answer =
        one_sent(&one, RAFT_MESSAGE_APPEND_ANSWER, 2);
    assert_non_null(answer);
    assert_int_equal(answer->index, 50);
    one_append(&one, 2, 2, 50, 2, 51, (const raft_term[]){2}, 1);
    one_settle(&one);
    assert_int_equal(one_status(&one).applied, 51);
}

static void meanwhile_the_log_is_left_alone(void **state)
{
    (void)state;
    follow_a_little();
    snapshot(2, 50, 2);
    one_persist(&one);
    one_pull(&one);
    one.update.install = false; /* the caller is at it */
    one_append(&one, 2, 2, 3, 1, 5, (const raft_term[]){2, 2}, 2);
    one_receive(&one, (struct raft_message){.type = RAFT_MESSAGE_HEARTBEAT,
                                            .from = 2,
                                            .commit = 3});
    snapshot(2, 60, 2);
    assert_int_equal(one_status(&one).last, 3);
    assert_int_equal(one_status(&one).commit, 1);
    assert_int_equal(one.update.persist_from, 0);
    assert_int_equal(one.update.apply_from, 0);
    assert_false(one.update.install);
    /* Its leader hears that it lives, and nothing else. */
    assert_int_equal(one_pull(&one), 1);
    assert_int_equal(one.sent[0].type, RAFT_MESSAGE_HEARTBEAT_ANSWER);
    one_tick(&one, 10000);
    assert_int_equal(one_status(&one).role, RAFT_FOLLOWER);
    installed(50);
    assert_int_equal(one_status(&one).last, 50);
}

/* Entries that came in the same turn belong to what is replaced. */
static void what_waits_to_be_written_or_applied_is_dropped(void **state)
{
    (void)state;
    one_append(&one, 2, 1, 0, 0, 0, (const raft_term[]){1, 1, 1}, 3);
    one_settle(&one);
    one_append(&one, 2, 1, 3, 1, 2, (const raft_term[]){1}, 1);
    assert_int_equal(one.update.apply_from, 1);
    assert_int_equal(one.update.persist_from, 4);
    snapshot(1, 50, 1);
    assert_true(one.update.install);
    assert_int_equal(one.update.apply_from, 0);
    assert_int_equal(one.update.persist_from, 0);
    installed(50);
    assert_int_equal(one_status(&one).applied, 50);
}

static void an_older_state_is_not_wanted(void **state)
{
    (void)state;
    one_append(&one, 2, 1, 0, 0, 3, (const raft_term[]){1, 1, 1}, 3);
    one_settle(&one);
    one_pull(&one);
    snapshot(1, 2, 1);
    snapshot(1, 3, 1);
    assert_false(one.update.install);
    assert_int_equal(one_pull(&one), 2);
    assert_int_equal(one.sent[0].type, RAFT_MESSAGE_APPEND_ANSWER);
    assert_int_equal(one.sent[0].index, 3);
}

/* All of it is here: only the commit index was behind. */
static void a_state_that_the_log_leads_to_is_not_needed(void **state)
{
    (void)state;
    follow_a_little();
    snapshot(1, 3, 1);
    assert_false(one.update.install);
    assert_int_equal(one_status(&one).commit, 3);
    assert_int_equal(one.update.apply_to, 3);
    one_pull(&one);
    assert_int_equal(one_sent(&one, RAFT_MESSAGE_APPEND_ANSWER, 2)->index, 3);
}

static void another_entry_there_means_another_log(void **state)
{
    (void)state;
    follow_a_little();
    snapshot(3, 2, 2);
    assert_true(one.update.install);
    one_persist(&one);
    installed(2);
    assert_int_equal(one_status(&one).last, 2);
}

static void a_state_that_can_not_be_is_passed_over(void **state)
{
    (void)state;
    follow_a_little();
    snapshot(2, 50, 3); /* of a term to come */
    snapshot(2, 50, 0);
    snapshot(2, 0, 0);
    assert_false(one.update.install);
    assert_int_equal(one_status(&one).term, 1);
}

/* What is committed is committed whoever says so. */
static void its_senders_term_may_be_over(void **state)
{
    (void)state;
    follow_a_little();
    one_append(&one, 3, 7, 3, 1, 1, NULL, 0);
    one_settle(&one);
    one_pull(&one);
    snapshot(1, 50, 1);
    assert_true(one.update.install);
    assert_int_equal(one_status(&one).term, 7);
    installed(50);
    one_pull(&one);
    assert_int_equal(one_sent(&one, RAFT_MESSAGE_APPEND_ANSWER, 3)->index, 50);
}

static void a_candidate_gives_up_for_it(void **state)
{
    (void)state;
    follow_a_little();
    one_step(&one, (struct raft_event){.type = RAFT_CAMPAIGN});
    one_pre_vote_answer(&one, 3, true);
    one_settle(&one);
    assert_int_equal(one_status(&one).role, RAFT_CANDIDATE);
    snapshot(1, 50, 1);
    assert_true(one.update.install);
    assert_int_equal(one_status(&one).role, RAFT_FOLLOWER);
    installed(50);
    one_pull(&one);
    assert_int_equal(one_sent(&one, RAFT_MESSAGE_APPEND_ANSWER, 2)->index, 50);
}

static void a_leader_has_all_there_is(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    snapshot(1, 50, 1);
    assert_false(one.update.install);
    assert_int_equal(one_status(&one).role, RAFT_LEADER);
    snapshot(9, 50, 1);
    assert_true(one.update.install);
    assert_int_equal(one_status(&one).role, RAFT_FOLLOWER);
}

static void it_votes_while_it_installs(void **state)
{
    (void)state;
    follow_a_little();
    snapshot(2, 50, 2);
    one_persist(&one);
    one_pull(&one);
    one_receive(&one, (struct raft_message){.type = RAFT_MESSAGE_VOTE,
                                            .from = 3,
                                            .term = 3,
                                            .index = 50,
                                            .log_term = 2,
                                            .forced = true});
    one_persist(&one);
    one_pull(&one);
    assert_false(one_sent(&one, RAFT_MESSAGE_VOTE_ANSWER, 3)->rejected);
    installed(50);
    assert_int_equal(one_status(&one).term, 3);
}

/* The hard state of before may be older than the log that was put in place. */
static void a_restart_behind_a_snapshot_knows_its_term(void **state)
{
    (void)state;
    struct raft_config config = one_config(1, 3, 0);
    struct raft *raft = raft_new(
        &config, &(struct raft_hard_state){.term = 1, .vote = 2}, 50, 4);
    raft_restore_done(raft);
    struct raft_status status;
    raft_status(raft, &status);
    assert_int_equal(status.term, 4);
    assert_int_equal(status.commit, 50);
    raft_free(raft);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_newer_state_is_asked_for),
        STORY(when_it_is_in_place_the_log_begins_behind_it),
        STORY(meanwhile_the_log_is_left_alone),
        STORY(what_waits_to_be_written_or_applied_is_dropped),
        STORY(an_older_state_is_not_wanted),
        STORY(a_state_that_the_log_leads_to_is_not_needed),
        STORY(another_entry_there_means_another_log),
        STORY(a_state_that_can_not_be_is_passed_over),
        STORY(its_senders_term_may_be_over),
        STORY(a_candidate_gives_up_for_it),
        STORY(a_leader_has_all_there_is),
        STORY(it_votes_while_it_installs),
        STORY(a_restart_behind_a_snapshot_knows_its_term),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
