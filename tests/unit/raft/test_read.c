/* Read indexes. The member under test is 1; 2 and 3 are the others. */
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

/* The reads that are ready, by the numbers; forgets them. */
static void assert_ready(size_t count, uint64_t read, raft_index index)
{
    assert_int_equal(one.update.read_count, count);
    if (count > 0) {
        assert_int_equal(one.update.reads[count - 1].read, read);
        assert_int_equal(one.update.reads[count - 1].index, index);
    }
    one.update.read_count = 0;
}

static uint64_t round_sent_to(member_id to)
{
    const struct raft_message *heartbeat =
        one_sent(&one, RAFT_MESSAGE_HEARTBEAT, to);
    assert_non_null(heartbeat);
    return heartbeat->read;
}

/* ---- a leader ------------------------------------------------------------ */

static void a_read_waits_for_the_answers_of_a_quorum(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    assert_int_equal(one_read(&one, 7), ERR_OK);
    assert_ready(0, 0, 0);
    assert_int_equal(one_pull(&one), 2);
    uint64_t round = round_sent_to(3);
    assert_int_equal(round_sent_to(2), round);
    one_heartbeat_answer(&one, 3, round);
    assert_ready(1, 7, 1);
}

static void an_answer_to_an_earlier_round_says_nothing(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    one_tick(&one, 100);
    one_pull(&one);
    uint64_t before = round_sent_to(2);
    assert_int_equal(one_read(&one, 7), ERR_OK);
    one_heartbeat_answer(&one, 2, before);
    assert_ready(0, 0, 0);
    one_pull(&one);
    assert_true(round_sent_to(2) > before);
    one_heartbeat_answer(&one, 2, round_sent_to(2));
    assert_ready(1, 7, 1);
}

static void reads_of_one_turn_share_a_round(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    for (uint64_t read = 1; read <= 50; read++) {
        assert_int_equal(one_read(&one, read), ERR_OK);
    }
    assert_int_equal(one_pull(&one), 2);
    uint64_t first = round_sent_to(2);
    assert_int_equal(one_read(&one, 51), ERR_OK);
    assert_int_equal(one_pull(&one), 2);
    uint64_t second = round_sent_to(2);
    assert_int_equal(second, first + 1);
    one_heartbeat_answer(&one, 2, first);
    assert_ready(1, 50, 1); /* and all below */
    one_heartbeat_answer(&one, 3, second);
    assert_ready(1, 51, 1);
}

static void a_later_round_confirms_the_earlier_ones(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    assert_int_equal(one_read(&one, 1), ERR_OK);
    one_pull(&one);
    assert_int_equal(one_read(&one, 2), ERR_OK);
    one_pull(&one);
    one_heartbeat_answer(&one, 2, round_sent_to(2));
    assert_ready(2, 2, 1);
}

static void a_lost_round_is_made_good_by_the_next_heartbeat(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    assert_int_equal(one_read(&one, 1), ERR_OK);
    one_pull(&one); /* lost */
    one_tick(&one, 100);
    one_pull(&one);
    one_heartbeat_answer(&one, 2, round_sent_to(2));
    assert_ready(1, 1, 1);
}

static void it_sees_what_is_committed_when_it_is_asked(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    assert_int_equal(one_propose(&one, "x"), ERR_OK);
    one_settle(&one);
    assert_int_equal(one_read(&one, 1), ERR_OK);
    one_pull(&one);
    one_agree(&one, 2, 2);
    one_heartbeat_answer(&one, 2, round_sent_to(2));
    assert_ready(1, 1, 1);
}

/* Thesis 6.4: it doesn't know what is committed. */
static void a_new_leader_can_not_say_before_its_first_commit(void **state)
{
    (void)state;
    one_lead(&one);
    assert_int_equal(one_read(&one, 1), ERR_NO_LEADER);
    one_pull(&one);
    one_all_agree(&one);
    assert_int_equal(one_read(&one, 1), ERR_OK);
}

static void a_leader_that_falls_answers_nothing(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    assert_int_equal(one_read(&one, 1), ERR_OK);
    one_pull(&one);
    uint64_t round = round_sent_to(2);
    one_append(&one, 3, 9, 1, 1, 1, NULL, 0);
    one_heartbeat_answer(&one, 2, round);
    assert_ready(0, 0, 0);
    one_settle(&one);
    /* It asks the new one instead. */
    one_pull(&one);
    const struct raft_message *ask = one_sent(&one, RAFT_MESSAGE_READ, 3);
    assert_non_null(ask);
    one_receive(&one, (struct raft_message){.type = RAFT_MESSAGE_READ_ANSWER,
                                            .from = 3,
                                            .index = 6,
                                            .read = ask->read});
    assert_ready(1, 1, 6);
}

static void alone_it_needs_no_round(void **state)
{
    (void)state;
    struct raft_config config = one_config(1, 1, 1);
    start_with(&config);
    one_lead_in_step(&one);
    assert_int_equal(one_read(&one, 1), ERR_OK);
    assert_ready(1, 1, 1);
    /* A learner that asks is answered at once, too. */
    one_receive(&one, (struct raft_message){
                          .type = RAFT_MESSAGE_READ, .from = 2, .read = 77});
    one_pull(&one);
    const struct raft_message *answer =
        one_sent(&one, RAFT_MESSAGE_READ_ANSWER, 2);
    assert_non_null(answer);
    assert_int_equal(answer->read, 77);
    assert_int_equal(answer->index, 1);
}

static void waiting_reads_are_bounded(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    enum err err = ERR_OK;
    uint64_t read = 0;
    while (err == ERR_OK && read < 5000) {
        err = one_read(&one, ++read);
        one_pull(&one);
    }
    assert_int_equal(err, ERR_FULL);
    assert_in_range(read, 1000, 1100);
    one_heartbeat_answer(&one, 2, round_sent_to(2));
    assert_int_equal(one.update.reads[one.update.read_count - 1].read,
                     read - 1);
}

/* ---- for followers ------------------------------------------------------- */

static void a_followers_question_rides_on_a_round(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    one_receive(&one, (struct raft_message){
                          .type = RAFT_MESSAGE_READ, .from = 3, .read = 900});
    assert_int_equal(one_read(&one, 1), ERR_OK);
    assert_int_equal(one_pull(&one), 2);
    one_heartbeat_answer(&one, 2, round_sent_to(2));
    assert_ready(1, 1, 1);
    one_pull(&one);
    const struct raft_message *answer =
        one_sent(&one, RAFT_MESSAGE_READ_ANSWER, 3);
    assert_non_null(answer);
    assert_int_equal(answer->read, 900);
    assert_int_equal(answer->index, 1);
}

static void who_can_not_say_says_nothing(void **state)
{
    (void)state;
    one_lead(&one);
    one_pull(&one);
    one_receive(&one, (struct raft_message){
                          .type = RAFT_MESSAGE_READ, .from = 3, .read = 900});
    one_heartbeat_answer(&one, 2, 1);
    one_pull(&one);
    assert_null(one_sent(&one, RAFT_MESSAGE_READ_ANSWER, 3));
}

/* ---- a follower ---------------------------------------------------------- */

static void follow_2(void)
{
    one_append(&one, 2, 1, 0, 0, 0, (const raft_term[]){1}, 1);
    one_settle(&one);
    one_pull(&one);
}

static void answer(uint64_t key, raft_index index)
{
    one_receive(&one, (struct raft_message){.type = RAFT_MESSAGE_READ_ANSWER,
                                            .from = 2,
                                            .index = index,
                                            .read = key});
}

static void without_a_leader_there_is_nobody_to_ask(void **state)
{
    (void)state;
    assert_int_equal(one_read(&one, 1), ERR_NO_LEADER);
}

static void a_follower_asks_once_for_all_that_wait(void **state)
{
    (void)state;
    follow_2();
    for (uint64_t read = 1; read <= 9; read++) {
        assert_int_equal(one_read(&one, read), ERR_OK);
    }
    assert_int_equal(one_pull(&one), 1);
    assert_int_equal(one.sent[0].type, RAFT_MESSAGE_READ);
    answer(one.sent[0].read, 5);
    assert_ready(1, 9, 5);
    assert_int_equal(one_pull(&one), 0);
}

static void a_question_that_was_lost_is_put_again(void **state)
{
    (void)state;
    follow_2();
    assert_int_equal(one_read(&one, 1), ERR_OK);
    one_pull(&one);
    uint64_t first = one.sent[0].read;
    /* A heartbeat of the very round that it began is no reason to. */
    one_receive(
        &one, (struct raft_message){.type = RAFT_MESSAGE_HEARTBEAT, .from = 2});
    one_pull(&one);
    assert_null(one_sent(&one, RAFT_MESSAGE_READ, 2));
    one_tick(&one, 100);
    one_receive(
        &one, (struct raft_message){.type = RAFT_MESSAGE_HEARTBEAT, .from = 2});
    one_pull(&one);
    const struct raft_message *ask = one_sent(&one, RAFT_MESSAGE_READ, 2);
    assert_non_null(ask);
    assert_true(ask->read != first);
    /* Late, but good: it was asked after the read had come. */
    answer(first, 5);
    assert_ready(1, 1, 5);
    answer(ask->read, 6);
    assert_ready(0, 0, 0);
}

static void a_late_answer_does_for_what_was_asked_then(void **state)
{
    (void)state;
    follow_2();
    assert_int_equal(one_read(&one, 1), ERR_OK);
    one_pull(&one);
    uint64_t first = one.sent[0].read;
    assert_int_equal(one_read(&one, 2), ERR_OK);
    one_pull(&one);
    uint64_t second = one.sent[0].read;
    answer(first, 5);
    assert_ready(1, 1, 5);
    answer(second, 8);
    assert_ready(1, 2, 8);
}

static void answers_that_nobody_asked_for_are_nothing(void **state)
{
    (void)state;
    follow_2();
    assert_int_equal(one_read(&one, 1), ERR_OK);
    one_pull(&one);
    answer(one.sent[0].read + 1, 3);
    answer(1, 3);
    answer(0, 3);
    assert_ready(0, 0, 0);
    answer(one.sent[0].read, 5);
    assert_ready(1, 1, 5);
    answer(one.sent[0].read, 5); /* twice */
    assert_ready(0, 0, 0);
}

/* What was asked in another life of this member is not taken for what is asked
 * in this one. */
static void keys_differ_from_life_to_life(void **state)
{
    (void)state;
    uint64_t keys[3];
    for (int life = 0; life < 3; life++) {
        struct raft_config config = one_config(1, 3, 0);
        one_deinit(&one);
        memset(&one, 0, sizeof(one));
        one.config = config;
        one.now_ms = 10000 + life;
        one.raft =
            raft_new(&config, &(struct raft_hard_state){.term = 1}, 0, 0);
        raft_restore_done(one.raft);
        raft_update_init(&one.update);
        one_tick(&one, 0);
        follow_2();
        assert_int_equal(one_read(&one, 1), ERR_OK);
        one_pull(&one);
        keys[life] = one.sent[0].read;
    }
    for (int life = 0; life < 2; life++) {
        uint64_t apart = keys[life + 1] - keys[life];
        assert_true(apart > 1000000 && 0 - apart > 1000000);
    }
}

/* ---- by the lease -------------------------------------------------------- */

static void lead_with_lease(void)
{
    struct raft_config config = one_config(1, 3, 0);
    config.lease_reads = true;
    config.drift_percent = 20;
    start_with(&config);
    one_lead_in_step(&one);
}

static void with_a_lease_no_round_is_needed(void **state)
{
    (void)state;
    lead_with_lease();
    one_tick(&one, 100);
    one_pull(&one);
    uint64_t round = round_sent_to(2);
    one.now_ms += 50;
    one_heartbeat_answer(&one, 2, round);
    assert_int_equal(one_read(&one, 1), ERR_OK);
    assert_ready(1, 1, 1);
    /* It counts from when the round began, less the drift: 800 ms. */
    one.now_ms += 749;
    assert_int_equal(one_read(&one, 2), ERR_OK);
    assert_ready(1, 2, 1);
    one.now_ms += 1;
    assert_int_equal(one_read(&one, 3), ERR_OK);
    assert_ready(0, 0, 0);
}

static void a_lease_needs_a_quorum(void **state)
{
    (void)state;
    lead_with_lease();
    one_tick(&one, 100);
    one_pull(&one);
    assert_int_equal(one_read(&one, 1), ERR_OK);
    assert_ready(0, 0, 0);
}

/* Somebody may be elected with everybody's consent. */
static void a_transfer_gives_the_lease_up(void **state)
{
    (void)state;
    lead_with_lease();
    one_tick(&one, 100);
    one_pull(&one);
    one_heartbeat_answer(&one, 2, round_sent_to(2));
    one_step(&one, (struct raft_event){.type = RAFT_TRANSFER, .member = 2});
    assert_int_equal(one_read(&one, 1), ERR_OK);
    assert_ready(0, 0, 0);
    for (int i = 0; i < 15; i++) {
        one_tick(&one, 100);
        one_pull(&one);
        one_heartbeat_answer(&one, 2, round_sent_to(2));
    }
    one.update.read_count = 0;
    assert_int_equal(one_status(&one).transfer_to, 0);
    assert_int_equal(one_read(&one, 2), ERR_OK);
    assert_ready(0, 0, 0);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_read_waits_for_the_answers_of_a_quorum),
        STORY(an_answer_to_an_earlier_round_says_nothing),
        STORY(reads_of_one_turn_share_a_round),
        STORY(a_later_round_confirms_the_earlier_ones),
        STORY(a_lost_round_is_made_good_by_the_next_heartbeat),
        STORY(it_sees_what_is_committed_when_it_is_asked),
        STORY(a_new_leader_can_not_say_before_its_first_commit),
        STORY(a_leader_that_falls_answers_nothing),
        STORY(alone_it_needs_no_round),
        STORY(waiting_reads_are_bounded),
        STORY(a_followers_question_rides_on_a_round),
        STORY(who_can_not_say_says_nothing),
        STORY(without_a_leader_there_is_nobody_to_ask),
        STORY(a_follower_asks_once_for_all_that_wait),
        STORY(a_question_that_was_lost_is_put_again),
        STORY(a_late_answer_does_for_what_was_asked_then),
        STORY(answers_that_nobody_asked_for_are_nothing),
        STORY(keys_differ_from_life_to_life),
        STORY(with_a_lease_no_round_is_needed),
        STORY(a_lease_needs_a_quorum),
        STORY(a_transfer_gives_the_lease_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
