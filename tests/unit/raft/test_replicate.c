/* A leader and the logs of the others. The member under test is 1 and leads;
 * the test speaks for the others. */
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
    config.append_entries_max = 4;
    config.inflight_messages_max = 3;
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

static void propose(int count)
{
    for (int i = 0; i < count; i++) {
        assert_int_equal(one_propose(&one, "x"), ERR_OK);
    }
}

static struct raft_peer_status peer(member_id id)
{
    struct raft_peer_status out;
    assert_true(raft_peer_status(one.raft, id, &out));
    return out;
}

static void reject(member_id from, raft_index index, raft_index hint,
                   raft_term hint_term)
{
    one_receive(&one, (struct raft_message){.type = RAFT_MESSAGE_APPEND_ANSWER,
                                            .from = from,
                                            .rejected = true,
                                            .index = index,
                                            .hint_index = hint,
                                            .hint_term = hint_term});
}

/* The append to 2 of what was pulled last; only one. */
static const struct raft_message *append_to_2(void)
{
    const struct raft_message *found = NULL;
    for (size_t i = 0; i < one.sent_count; i++) {
        if (one.sent[i].to == 2 && one.sent[i].type == RAFT_MESSAGE_APPEND) {
            assert_null(found);
            found = &one.sent[i];
        }
    }
    assert_non_null(found);
    return found;
}

static void assert_append(raft_index index, size_t count)
{
    const struct raft_message *append = append_to_2();
    assert_int_equal(append->index, index);
    assert_int_equal(append->count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(append->entries[i].index, index + i + 1);
    }
}

/* A leader of term 5 whose log was `terms`, and the first probes are gone. */
static void lead_with_log(const raft_term *terms, size_t count)
{
    struct raft_config config = one.config;
    one_deinit(&one);
    one_init_log(&one, &config, (struct raft_hard_state){.term = 4}, terms,
                 count);
    one_lead(&one);
    one_pull(&one);
    assert_append(count, 1);
}

/* ---- probing ------------------------------------------------------------- */

static void a_new_leader_probes_with_its_first_entry(void **state)
{
    (void)state;
    one_lead(&one);
    assert_int_equal(one_pull(&one), 2);
    assert_append(0, 1);
    assert_int_equal(peer(2).state, RAFT_PEER_PROBE);
    assert_int_equal(peer(2).match, 0);
    propose(1);
    assert_int_equal(one_pull(&one), 0);
    one_agree(&one, 2, 1);
    assert_int_equal(peer(2).state, RAFT_PEER_REPLICATE);
    one_pull(&one);
    assert_append(1, 1);
}

static void a_probe_that_was_lost_is_sent_again_after_a_heartbeat(void **state)
{
    (void)state;
    one_lead(&one);
    one_pull(&one);
    one_tick(&one, 100);
    one_pull(&one);
    assert_int_equal(one_count(&one, RAFT_MESSAGE_HEARTBEAT), 2);
    assert_int_equal(one_count(&one, RAFT_MESSAGE_APPEND), 0);
    one_heartbeat_answer(&one, 2, 0);
    assert_int_equal(one_pull(&one), 1);
    assert_append(0, 1);
}

/* Paper 5.3, end: one step back for a whole term, not for an entry. */
static void a_mismatch_is_passed_over_by_terms(void **state)
{
    (void)state;
    static const raft_term terms[] = {1, 1, 1, 4, 4, 4, 4, 4, 4};
    lead_with_log(terms, 9);
    /* The other has 1 1 1 2 2 2 2 2 2: of terms up to 4 all might agree by its
     * own log; by the leader's those of up to 2 end at 3. */
    reject(2, 9, 9, 2);
    one_pull(&one);
    assert_append(3, 4);
    one_agree(&one, 2, 7);
    assert_int_equal(peer(2).state, RAFT_PEER_REPLICATE);
    one_pull(&one);
    assert_append(7, 3);
}

static void a_short_log_is_asked_about_at_its_end(void **state)
{
    (void)state;
    static const raft_term terms[] = {1, 1, 1, 4, 4, 4, 4, 4, 4};
    lead_with_log(terms, 9);
    reject(2, 9, 5, 4);
    one_pull(&one);
    assert_append(5, 4);
}

static void a_hint_never_leads_forward(void **state)
{
    (void)state;
    static const raft_term terms[] = {1, 1, 4, 4};
    lead_with_log(terms, 4);
    reject(2, 4, 99, 9);
    assert_int_equal(peer(2).next, 4);
    one_pull(&one);
    assert_append(3, 2);
}

static void an_old_rejection_is_passed_over(void **state)
{
    (void)state;
    static const raft_term terms[] = {1, 1, 4, 4};
    lead_with_log(terms, 4);
    reject(2, 3, 1, 1);
    assert_int_equal(peer(2).next, 5);
    assert_int_equal(one_pull(&one), 0);
    one_agree(&one, 2, 5);
    reject(2, 4, 1, 1);
    assert_int_equal(peer(2).state, RAFT_PEER_REPLICATE);
    assert_int_equal(peer(2).match, 5);
}

static void an_empty_log_is_filled_from_the_start(void **state)
{
    (void)state;
    static const raft_term terms[] = {1, 1, 4, 4};
    lead_with_log(terms, 4);
    reject(2, 4, 0, 0);
    one_pull(&one);
    assert_append(0, 4);
    assert_int_equal(append_to_2()->log_term, 0);
    reject(2, 0, 0, 0); /* nobody can: it is passed over */
    assert_int_equal(peer(2).next, 1);
}

/* Its log is full, say. It isn't asked again and again. */
static void a_probe_that_brings_nothing_waits_for_a_heartbeat(void **state)
{
    (void)state;
    static const raft_term terms[] = {1, 1, 4, 4};
    lead_with_log(terms, 4);
    reject(2, 4, 2, 1);
    one_pull(&one);
    assert_append(2, 3);
    one_agree(&one, 2, 2);
    assert_int_equal(peer(2).state, RAFT_PEER_REPLICATE);
    one_pull(&one);
    assert_append(2, 3);
    reject(2, 5, 2, 1); /* of a later one */
    one_pull(&one);
    assert_append(2, 3);
    one_agree(&one, 2, 2);
    assert_int_equal(one_pull(&one), 0);
    assert_int_equal(peer(2).state, RAFT_PEER_PROBE);
    one_heartbeat_answer(&one, 2, 0);
    one_pull(&one);
    assert_append(2, 3);
}

/* ---- replicating --------------------------------------------------------- */

/* Thesis 10.2.1. */
static void appends_leave_before_the_own_write(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    propose(2);
    assert_int_equal(one.update.persist_from, 2);
    assert_int_equal(one_pull(&one), 2);
    assert_append(1, 2);
    assert_int_equal(one_status(&one).persisted, 1);
}

static void appends_follow_without_waiting_for_answers(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    propose(1);
    one_pull(&one);
    assert_append(1, 1);
    propose(1);
    one_pull(&one);
    assert_append(2, 1);
    assert_int_equal(peer(2).inflight_messages, 2);
    assert_int_equal(peer(2).next, 4);
    assert_int_equal(peer(2).match, 1);
    one_agree(&one, 2, 3);
    assert_int_equal(peer(2).inflight_messages, 0);
    assert_int_equal(peer(2).inflight_bytes, 0);
}

static void what_comes_in_one_turn_leaves_in_one_append(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    propose(4);
    assert_int_equal(one_pull(&one), 2);
    assert_append(1, 4);
}

static void an_append_holds_so_many_entries(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    propose(6);
    assert_int_equal(one_pull(&one), 4);
    const struct raft_message *first = one_sent(&one, RAFT_MESSAGE_APPEND, 2);
    assert_int_equal(first->count, 4);
    assert_int_equal(peer(2).inflight_messages, 2);
}

static void an_append_holds_so_many_bytes(void **state)
{
    (void)state;
    struct raft_config config = one_config(1, 3, 0);
    config.append_bytes_max = 300;
    start_with(&config);
    one_lead_in_step(&one);
    char large[400] = {0};
    memset(large, 'l', sizeof(large) - 1);
    propose(2);
    assert_int_equal(one_propose(&one, large), ERR_OK);
    propose(1);
    one_pull(&one);
    /* Two small ones, the one that is too large by itself, the last. */
    size_t counts[3];
    size_t count = 0;
    for (size_t i = 0; i < one.sent_count; i++) {
        if (one.sent[i].to == 2) {
            assert_true(count < 3);
            counts[count++] = one.sent[i].count;
        }
    }
    assert_int_equal(count, 3);
    assert_int_equal(counts[0], 2);
    assert_int_equal(counts[1], 1);
    assert_int_equal(counts[2], 1);
}

static void a_window_of_messages(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    for (int i = 0; i < 5; i++) {
        propose(1);
        one_pull(&one);
    }
    assert_int_equal(peer(2).inflight_messages, 3);
    assert_int_equal(peer(2).next, 5);
    one_agree(&one, 2, 2);
    one_pull(&one);
    assert_append(4, 2);
    assert_int_equal(peer(2).inflight_messages, 3);
}

static void a_window_of_bytes(void **state)
{
    (void)state;
    struct raft_config config = one_config(1, 3, 0);
    config.inflight_bytes_max = 40;
    config.append_entries_max = 1;
    start_with(&config);
    one_lead_in_step(&one);
    propose(6);
    one_pull(&one);
    /* It may be passed by the last one. */
    assert_int_equal(peer(2).inflight_messages, 2);
    assert_in_range(peer(2).inflight_bytes, 41, 80);
    one_agree(&one, 2, 2);
    one_pull(&one);
    assert_append(3, 1);
}

static void an_append_ends_where_the_ring_turns(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    /* 64 slots: entry 64 is in slot 0. */
    for (raft_index last = 1; last < 62;) {
        propose(1);
        one_settle(&one);
        one_pull(&one);
        one_all_agree(&one);
        one_pull(&one);
        last = one_status(&one).last;
        one_step(&one,
                 (struct raft_event){.type = RAFT_COMPACT, .index = last});
    }
    propose(4);
    one_pull(&one);
    size_t counts[2];
    size_t count = 0;
    for (size_t i = 0; i < one.sent_count; i++) {
        if (one.sent[i].to == 2) {
            assert_true(count < 2);
            counts[count++] = one.sent[i].count;
        }
    }
    assert_int_equal(count, 2);
    assert_int_equal(counts[0], 1); /* 63 */
    assert_int_equal(counts[1], 3); /* 64 to 66 */
}

static void each_has_its_own_pace(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    propose(2);
    one_pull(&one);
    one_agree(&one, 2, 3);
    assert_int_equal(peer(2).match, 3);
    assert_int_equal(peer(3).match, 1);
    assert_int_equal(peer(3).inflight_messages, 1);
}

/* ---- losses -------------------------------------------------------------- */

static void a_gap_is_filled_from_what_is_known(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    propose(1);
    one_pull(&one); /* lost */
    propose(1);
    one_pull(&one);
    reject(2, 2, 1, 1);
    assert_int_equal(peer(2).state, RAFT_PEER_PROBE);
    assert_int_equal(peer(2).inflight_messages, 0);
    one_pull(&one);
    assert_append(1, 2);
}

/* Nothing follows the lost one that would show it: heartbeats do. */
static void the_last_append_is_missed_within_two_rounds(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    propose(1);
    one_pull(&one); /* lost */
    one_tick(&one, 100);
    one_pull(&one);
    one_heartbeat_answer(&one, 2, 0);
    one_pull(&one);
    if (one_sent(&one, RAFT_MESSAGE_APPEND, 2) == NULL) {
        one_heartbeat_answer(&one, 2, 0);
        one_pull(&one);
    }
    assert_append(2, 0);
    assert_int_equal(append_to_2()->hint_index, 1);
    reject(2, 2, 1, 1);
    one_pull(&one);
    assert_append(1, 1);
}

static void who_keeps_answering_is_not_nudged(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    for (raft_index i = 2; i < 10; i++) {
        propose(1);
        one_settle(&one);
        one_pull(&one);
        one_heartbeat_answer(&one, 2, 0);
        one_pull(&one);
        assert_null(one_sent(&one, RAFT_MESSAGE_APPEND, 2));
        one_agree(&one, 2, i);
        one_agree(&one, 3, i);
        one_settle(&one);
        one_pull(&one);
    }
}

static void unreachable_means_beginning_where_it_is_known(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    propose(2);
    one_pull(&one);
    one_step(&one, (struct raft_event){.type = RAFT_UNREACHABLE, .member = 2});
    assert_int_equal(peer(2).state, RAFT_PEER_PROBE);
    assert_int_equal(peer(2).next, 2);
    one_pull(&one);
    assert_append(1, 2);
    /* Once: what is sent to nobody needn't be repeated. */
    one_step(&one, (struct raft_event){.type = RAFT_UNREACHABLE, .member = 2});
    one_step(&one, (struct raft_event){.type = RAFT_PEER_LOST, .member = 2});
    assert_int_equal(one_pull(&one), 0);
    one_step(&one, (struct raft_event){.type = RAFT_UNREACHABLE, .member = 9});
    assert_int_equal(one_pull(&one), 0);
}

static void answers_that_can_not_be_are_passed_over(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    one_agree(&one, 2, 99);
    assert_int_equal(peer(2).match, 1);
    one_agree(&one, 9, 1);
    propose(1);
    one_pull(&one);
    one_agree(&one, 2, 2);
    one_agree(&one, 2, 1); /* late */
    assert_int_equal(peer(2).match, 2);
    one_heartbeat_answer(&one, 2, 99);
    one_heartbeat_answer(&one, 9, 0);
}

/* ---- heartbeats, and news of the commit ---------------------------------- */

static void heartbeats_come_in_time(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    assert_int_equal(one.update.deadline_ms, one.now_ms + 100);
    one_tick(&one, 99);
    assert_int_equal(one_pull(&one), 0);
    one_tick(&one, 1);
    assert_int_equal(one_pull(&one), 2);
    assert_int_equal(one_count(&one, RAFT_MESSAGE_HEARTBEAT), 2);
    assert_int_equal(one.update.deadline_ms, one.now_ms + 100);
}

/* Beyond what agrees its log could be another one. */
static void a_heartbeat_tells_no_more_than_agrees(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    propose(3);
    one_settle(&one);
    one_pull(&one);
    one_agree(&one, 3, 4);
    assert_int_equal(one_status(&one).commit, 4);
    one_agree(&one, 2, 2);
    one_tick(&one, 100);
    one_pull(&one);
    assert_int_equal(one_sent(&one, RAFT_MESSAGE_HEARTBEAT, 2)->commit, 2);
    assert_int_equal(one_sent(&one, RAFT_MESSAGE_HEARTBEAT, 3)->commit, 4);
}

static void a_commit_is_told_at_once(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    propose(1);
    one_settle(&one);
    one_pull(&one);
    one_agree(&one, 2, 2);
    one_pull(&one);
    assert_append(2, 0);
    assert_int_equal(append_to_2()->commit, 2);
    assert_int_equal(append_to_2()->hint_index, 2);
    assert_non_null(one_sent(&one, RAFT_MESSAGE_APPEND, 3));
    assert_int_equal(one_pull(&one), 0);
}

static void news_ride_on_entries_where_there_are_any(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    propose(1);
    one_settle(&one);
    one_pull(&one);
    one_agree(&one, 2, 2);
    propose(1);
    one_pull(&one);
    assert_append(2, 1);
    assert_int_equal(append_to_2()->commit, 2);
    assert_int_equal(one_pull(&one), 0);
}

/* ---- snapshots ----------------------------------------------------------- */

static void lose_3(int entries)
{
    one_lead_in_step(&one);
    for (int i = 0; i < entries; i++) {
        propose(1);
        one_settle(&one);
        one_pull(&one);
        one_agree(&one, 2, one_status(&one).last);
        one_settle(&one);
        one_pull(&one);
    }
    one_step(&one, (struct raft_event){.type = RAFT_UNREACHABLE, .member = 3});
    one_pull(&one);
    one_step(&one, (struct raft_event){.type = RAFT_COMPACT, .index = 8});
}

static void who_is_left_behind_gets_a_snapshot(void **state)
{
    (void)state;
    lose_3(10);
    assert_int_equal(one.update.snapshot_to_count, 0);
    one_heartbeat_answer(&one, 3, 0);
    assert_int_equal(one.update.snapshot_to_count, 1);
    assert_int_equal(one.update.snapshot_to[0], 3);
    assert_int_equal(peer(3).state, RAFT_PEER_SNAPSHOT);
    raft_update_init(&one.update);
    propose(1);
    one_heartbeat_answer(&one, 3, 0);
    one_pull(&one);
    assert_null(one_sent(&one, RAFT_MESSAGE_APPEND, 3));
    assert_int_equal(one.update.snapshot_to_count, 0);
    one_step(&one, (struct raft_event){
                       .type = RAFT_SNAPSHOT_SENT, .member = 3, .index = 9});
    assert_int_equal(peer(3).state, RAFT_PEER_PROBE);
    one_pull(&one);
    const struct raft_message *append = one_sent(&one, RAFT_MESSAGE_APPEND, 3);
    assert_non_null(append);
    assert_int_equal(append->index, 9);
    /* It counts when the member itself says so. */
    assert_int_equal(peer(3).match, 1);
    one_agree(&one, 3, 12);
    assert_int_equal(peer(3).match, 12);
}

static void its_own_word_ends_the_wait_for_a_snapshot(void **state)
{
    (void)state;
    lose_3(10);
    one_heartbeat_answer(&one, 3, 0);
    one_agree(&one, 3, 7);
    assert_int_equal(peer(3).state, RAFT_PEER_SNAPSHOT);
    one_agree(&one, 3, 8);
    assert_int_equal(peer(3).state, RAFT_PEER_REPLICATE);
    one_pull(&one);
    assert_int_equal(one_sent(&one, RAFT_MESSAGE_APPEND, 3)->index, 8);
}

static void a_snapshot_that_failed_is_tried_when_it_lives(void **state)
{
    (void)state;
    lose_3(10);
    one_heartbeat_answer(&one, 3, 0);
    raft_update_init(&one.update);
    one_step(&one, (struct raft_event){.type = RAFT_SNAPSHOT_SENT,
                                       .member = 3,
                                       .failed = true});
    one_tick(&one, 100);
    one_pull(&one);
    assert_int_equal(one.update.snapshot_to_count, 0);
    one_heartbeat_answer(&one, 3, 0);
    assert_int_equal(one.update.snapshot_to_count, 1);
}

static void a_snapshot_too_old_is_followed_by_another(void **state)
{
    (void)state;
    lose_3(10);
    one_heartbeat_answer(&one, 3, 0);
    raft_update_init(&one.update);
    one_step(&one, (struct raft_event){
                       .type = RAFT_SNAPSHOT_SENT, .member = 3, .index = 5});
    assert_int_equal(one.update.snapshot_to_count, 1);
    one_step(&one, (struct raft_event){
                       .type = RAFT_SNAPSHOT_SENT, .member = 2, .index = 5});
    assert_int_equal(peer(2).state, RAFT_PEER_REPLICATE);
}

static void nobody_who_is_silent_gets_one(void **state)
{
    (void)state;
    lose_3(10);
    for (int i = 0; i < 20; i++) {
        one_tick(&one, 100);
        one_pull(&one);
        one_heartbeat_answer(&one, 2, 0);
    }
    assert_int_equal(one.update.snapshot_to_count, 0);
}

/* ---- what may be forgotten ----------------------------------------------- */

static void the_log_is_needed_from_the_slowest_on(void **state)
{
    (void)state;
    one_lead(&one);
    assert_int_equal(raft_needed_from(one.raft), 1);
    one_pull(&one);
    one_all_agree(&one);
    propose(5);
    one_settle(&one);
    one_pull(&one);
    one_agree(&one, 2, 6);
    assert_int_equal(raft_needed_from(one.raft), 2);
    one_agree(&one, 3, 4);
    assert_int_equal(raft_needed_from(one.raft), 5);
    one_agree(&one, 3, 6);
    assert_int_equal(raft_needed_from(one.raft), 6);
}

static void who_gets_a_snapshot_needs_no_log(void **state)
{
    (void)state;
    lose_3(10);
    one_heartbeat_answer(&one, 3, 0);
    assert_int_equal(raft_needed_from(one.raft), 11);
}

/* Found by sim --seed 1994: with a log kept short, those that snapshots came
 * to were behind it again each time, for ever. */
static void who_had_a_snapshot_needs_the_log_behind_it(void **state)
{
    (void)state;
    lose_3(10);
    assert_int_equal(raft_behind_from(one.raft), 11);
    one_heartbeat_answer(&one, 3, 0);
    assert_int_equal(raft_behind_from(one.raft), 11); /* the caller holds it */
    one_step(&one, (struct raft_event){
                       .type = RAFT_SNAPSHOT_SENT, .member = 3, .index = 8});
    one_pull(&one);
    assert_int_equal(raft_behind_from(one.raft), 9);
    one_agree(&one, 2, 11); /* who never was behind has no part in it */
    one_agree(&one, 3, 9);
    assert_int_equal(raft_behind_from(one.raft), 10);
    one_agree(&one, 3, 11);
    assert_int_equal(raft_behind_from(one.raft), 11);
    assert_int_equal(raft_needed_from(one.raft), 11);
}

/* Nor is the log kept for one that is gone. */
static void who_is_silent_keeps_no_log(void **state)
{
    (void)state;
    lose_3(10);
    one_heartbeat_answer(&one, 3, 0);
    one_step(&one, (struct raft_event){
                       .type = RAFT_SNAPSHOT_SENT, .member = 3, .index = 8});
    assert_int_equal(raft_behind_from(one.raft), 9);
    for (int i = 0; i < 20; i++) {
        one_tick(&one, 100);
        one_pull(&one);
        one_heartbeat_answer(&one, 2, 0);
    }
    assert_int_equal(raft_behind_from(one.raft), 11);
}

static void only_a_leader_knows_the_others(void **state)
{
    (void)state;
    struct raft_peer_status out;
    assert_false(raft_peer_status(one.raft, 2, &out));
    one_lead_in_step(&one);
    assert_true(raft_peer_status(one.raft, 2, &out));
    assert_true(out.is_voter);
    assert_int_equal(out.heard_ms, one.now_ms);
    assert_false(raft_peer_status(one.raft, 9, &out));
    assert_false(raft_peer_status(one.raft, 1, &out));
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_new_leader_probes_with_its_first_entry),
        STORY(a_probe_that_was_lost_is_sent_again_after_a_heartbeat),
        STORY(a_mismatch_is_passed_over_by_terms),
        STORY(a_short_log_is_asked_about_at_its_end),
        STORY(a_hint_never_leads_forward),
        STORY(an_old_rejection_is_passed_over),
        STORY(an_empty_log_is_filled_from_the_start),
        STORY(a_probe_that_brings_nothing_waits_for_a_heartbeat),
        STORY(appends_leave_before_the_own_write),
        STORY(appends_follow_without_waiting_for_answers),
        STORY(what_comes_in_one_turn_leaves_in_one_append),
        STORY(an_append_holds_so_many_entries),
        STORY(an_append_holds_so_many_bytes),
        STORY(a_window_of_messages),
        STORY(a_window_of_bytes),
        STORY(an_append_ends_where_the_ring_turns),
        STORY(each_has_its_own_pace),
        STORY(a_gap_is_filled_from_what_is_known),
        STORY(the_last_append_is_missed_within_two_rounds),
        STORY(who_keeps_answering_is_not_nudged),
        STORY(unreachable_means_beginning_where_it_is_known),
        STORY(answers_that_can_not_be_are_passed_over),
        STORY(heartbeats_come_in_time),
        STORY(a_heartbeat_tells_no_more_than_agrees),
        STORY(a_commit_is_told_at_once),
        STORY(news_ride_on_entries_where_there_are_any),
        STORY(who_is_left_behind_gets_a_snapshot),
        STORY(its_own_word_ends_the_wait_for_a_snapshot),
        STORY(a_snapshot_that_failed_is_tried_when_it_lives),
        STORY(a_snapshot_too_old_is_followed_by_another),
        STORY(nobody_who_is_silent_gets_one),
        STORY(the_log_is_needed_from_the_slowest_on),
        STORY(who_gets_a_snapshot_needs_no_log),
        STORY(who_had_a_snapshot_needs_the_log_behind_it),
        STORY(who_is_silent_keeps_no_log),
        STORY(only_a_leader_knows_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
