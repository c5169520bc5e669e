/* Leadership is handed over. The member under test is 1; it leads at first. */
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
    struct raft_config config = one_config(1, 3, 1);
    one_init(&one, &config);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    one_deinit(&one);
    return 0;
}

static enum err transfer(member_id to)
{
    return one_try(&one,
                   (struct raft_event){.type = RAFT_TRANSFER, .member = to});
}

static bool told_to_stand(member_id who)
{
    one_pull(&one);
    return one_sent(&one, RAFT_MESSAGE_TIMEOUT_NOW, who) != NULL;
}

static void who_has_everything_is_told_at_once(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    assert_int_equal(transfer(2), ERR_OK);
    assert_int_equal(one_status(&one).transfer_to, 2);
    assert_true(told_to_stand(2));
    assert_int_equal(one_status(&one).role, RAFT_LEADER);
}

static void who_is_behind_is_told_when_it_has_everything(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    assert_int_equal(one_propose(&one, "x"), ERR_OK);
    one_settle(&one);
    one_pull(&one);
    assert_int_equal(transfer(2), ERR_OK);
    assert_false(told_to_stand(2));
    one_agree(&one, 2, 2);
    assert_true(told_to_stand(2));
}

static void meanwhile_nothing_is_proposed(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    assert_int_equal(transfer(2), ERR_OK);
    assert_int_equal(one_propose(&one, "x"), ERR_NOT_LEADER);
    assert_int_equal(transfer(3), ERR_BUSY);
}

static void after_an_election_timeout_it_leads_on(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    assert_int_equal(transfer(2), ERR_OK);
    size_t told = 0;
    for (int i = 0; i < 9; i++) {
        one_tick(&one, 100);
        told += told_to_stand(2); /* the word may have been lost */
        one_heartbeat_answer(&one, 2, 0);
    }
    assert_int_equal(told, 9);
    assert_int_equal(one_status(&one).transfer_to, 2);
    one_tick(&one, 100);
    assert_false(told_to_stand(2));
    assert_int_equal(one_status(&one).transfer_to, 0);
    assert_int_equal(one_propose(&one, "x"), ERR_OK);
}

static void only_a_voter_can_take_it(void **state)
{
    (void)state;
    assert_int_equal(transfer(2), ERR_NOT_LEADER);
    one_lead_in_step(&one);
    assert_int_equal(transfer(4), ERR_INVALID); /* a learner */
    assert_int_equal(transfer(9), ERR_INVALID);
    assert_int_equal(transfer(1), ERR_OK); /* it has it already */
    assert_int_equal(one_status(&one).transfer_to, 0);
}

static void the_fittest_is_who_has_most(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    assert_int_equal(one_propose(&one, "x"), ERR_OK);
    one_settle(&one);
    one_pull(&one);
    one_agree(&one, 3, 2);
    one_agree(&one, 4, 2); /* not a learner */
    assert_int_equal(transfer(0), ERR_OK);
    assert_int_equal(one_status(&one).transfer_to, 3);
}

static void the_fittest_is_not_who_is_silent(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    for (int i = 0; i < 20; i++) {
        one_tick(&one, 100);
        one_pull(&one);
        one_heartbeat_answer(&one, 3, 0);
    }
    assert_int_equal(transfer(0), ERR_OK);
    assert_int_equal(one_status(&one).transfer_to, 3);
}

static void alone_there_is_nobody(void **state)
{
    (void)state;
    struct raft_config config = one_config(1, 1, 0);
    one_deinit(&one);
    one_init(&one, &config);
    one_lead_in_step(&one);
    assert_int_equal(transfer(0), ERR_INVALID);
}

/* Thesis 3.10. */
static void who_is_told_stands_without_asking_around(void **state)
{
    (void)state;
    one_append(&one, 2, 1, 0, 0, 0, (const raft_term[]){1}, 1);
    one_settle(&one);
    one_pull(&one);
    one_receive(&one, (struct raft_message){.type = RAFT_MESSAGE_TIMEOUT_NOW,
                                            .from = 2});
    assert_int_equal(one_status(&one).role, RAFT_CANDIDATE);
    assert_int_equal(one_status(&one).term, 2);
    one_persist(&one);
    one_pull(&one);
    assert_true(one_sent(&one, RAFT_MESSAGE_VOTE, 3)->forced);
}

static void nobody_but_the_leader_can_tell(void **state)
{
    (void)state;
    one_append(&one, 2, 1, 0, 0, 0, (const raft_term[]){1}, 1);
    one_settle(&one);
    one_receive(&one, (struct raft_message){.type = RAFT_MESSAGE_TIMEOUT_NOW,
                                            .from = 3});
    assert_int_equal(one_status(&one).role, RAFT_FOLLOWER);
}

static void a_word_of_an_old_term_is_nothing(void **state)
{
    (void)state;
    one_append(&one, 2, 4, 0, 0, 0, (const raft_term[]){1}, 1);
    one_settle(&one);
    one_receive(&one, (struct raft_message){.type = RAFT_MESSAGE_TIMEOUT_NOW,
                                            .from = 2,
                                            .term = 3});
    assert_int_equal(one_status(&one).role, RAFT_FOLLOWER);
}

static void the_old_leader_follows_the_new_one(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    assert_int_equal(transfer(2), ERR_OK);
    one_pull(&one);
    one_receive(&one, (struct raft_message){.type = RAFT_MESSAGE_VOTE,
                                            .from = 2,
                                            .term = 2,
                                            .index = 1,
                                            .log_term = 1,
                                            .forced = true});
    assert_int_equal(one_status(&one).role, RAFT_FOLLOWER);
    assert_int_equal(one_status(&one).transfer_to, 0);
    one_persist(&one);
    one_pull(&one);
    assert_false(one_sent(&one, RAFT_MESSAGE_VOTE_ANSWER, 2)->rejected);
    one_append(&one, 2, 2, 1, 1, 1, (const raft_term[]){2}, 1);
    assert_int_equal(one_status(&one).leader, 2);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(who_has_everything_is_told_at_once),
        STORY(who_is_behind_is_told_when_it_has_everything),
        STORY(meanwhile_nothing_is_proposed),
        STORY(after_an_election_timeout_it_leads_on),
        STORY(only_a_voter_can_take_it),
        STORY(the_fittest_is_who_has_most),
        STORY(the_fittest_is_not_who_is_silent),
        STORY(alone_there_is_nobody),
        STORY(who_is_told_stands_without_asking_around),
        STORY(nobody_but_the_leader_can_tell),
        STORY(a_word_of_an_old_term_is_nothing),
        STORY(the_old_leader_follows_the_new_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
