/* The membership, as the log has it. The member under test is 1. */
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

static struct raft_members members_of(size_t voters, const member_id *ids)
{
    struct raft_members members = {.voter_count = voters};
    memcpy(members.voters, ids, voters * sizeof(*ids));
    return members;
}

#define MEMBERS(...)                                                   \
    members_of(sizeof((member_id[]){__VA_ARGS__}) / sizeof(member_id), \
               (member_id[]){__VA_ARGS__})

static enum err change(enum raft_change_op op, member_id id)
{
    struct raft_members next;
    struct raft_change what = {op, id};
    enum err err = raft_members_change(raft_members(one.raft), &what, 1, &next);
    assert_int_equal(err, ERR_OK);
    return one_propose_members(&one, &next);
}

static struct raft_entry entry_of(raft_index index, raft_term term,
                                  const struct raft_members *members)
{
    struct buf bytes = {0};
    raft_members_encode(members, &bytes);
    struct raft_entry entry = {.index = index,
                               .term = term,
                               .type = RAFT_ENTRY_CHANGE,
                               .data = refbuf_dup(bytes.at, bytes.size)};
    buf_deinit(&bytes);
    return entry;
}

/* From leader 2 of `term`, a change behind `index`. */
static void append_change(raft_term term, raft_index index, raft_term log_term,
                          raft_index commit, const struct raft_members *members)
{
    struct raft_entry entry = entry_of(index + 1, term, members);
    one_receive(&one, (struct raft_message){.type = RAFT_MESSAGE_APPEND,
                                            .from = 2,
                                            .term = term,
                                            .index = index,
                                            .log_term = log_term,
                                            .commit = commit,
                                            .entries = &entry,
                                            .count = 1});
    refbuf_unref(entry.data);
}

static size_t voters(void)
{
    return raft_members(one.raft)->voter_count;
}

/* ---- a leader ------------------------------------------------------------ */

/* Thesis 4.1. */
static void a_change_counts_as_soon_as_it_is_in_the_log(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    assert_int_equal(change(RAFT_ADD_VOTER, 4), ERR_OK);
    assert_int_equal(voters(), 4);
    assert_true(one_status(&one).change_pending);
    struct raft_peer_status peer;
    assert_true(raft_peer_status(one.raft, 4, &peer));
    assert_true(peer.is_voter);
    one_settle(&one);
    one_pull(&one);
    assert_non_null(one_sent(&one, RAFT_MESSAGE_APPEND, 4));
    /* Now of four. */
    one_agree(&one, 2, 2);
    assert_int_equal(one_status(&one).commit, 1);
    one_agree(&one, 3, 2);
    assert_int_equal(one_status(&one).commit, 2);
    assert_false(one_status(&one).change_pending);
}

static void one_change_at_a_time(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    assert_int_equal(change(RAFT_ADD_LEARNER, 4), ERR_OK);
    assert_int_equal(change(RAFT_ADD_LEARNER, 5), ERR_BUSY);
    assert_int_equal(one_status(&one).last, 2);
    one_settle(&one);
    one_pull(&one);
    one_agree(&one, 2, 2);
    assert_int_equal(change(RAFT_ADD_LEARNER, 5), ERR_OK);
}

static void none_before_the_terms_first_commit(void **state)
{
    (void)state;
    one_lead(&one);
    assert_int_equal(change(RAFT_ADD_LEARNER, 4), ERR_BUSY);
    one_pull(&one);
    one_all_agree(&one);
    assert_int_equal(change(RAFT_ADD_LEARNER, 4), ERR_OK);
}

static void two_in_one_proposal_are_too_many(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    struct raft_members next = MEMBERS(1, 2, 3, 4);
    struct raft_entry entries[] = {entry_of(0, 0, &next),
                                   entry_of(0, 0, &next)};
    assert_int_equal(one_try(&one, (struct raft_event){.type = RAFT_PROPOSE,
                                                       .entries = entries,
                                                       .count = 2}),
                     ERR_BUSY);
    assert_int_equal(one_status(&one).last, 1);
    assert_int_equal(voters(), 3);
    refbuf_unref(entries[0].data);
    refbuf_unref(entries[1].data);
}

static void more_than_one_step_is_refused(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    struct raft_members wrong[] = {MEMBERS(1, 2, 3, 4, 5), MEMBERS(1),
                                   MEMBERS(1, 2, 4),       MEMBERS(4),
                                   MEMBERS(1, 2, 3, 4),    MEMBERS(1)};
    /* Into joint consensus, but from another membership. */
    wrong[4].outgoing[0] = 1;
    wrong[4].outgoing[1] = 2;
    wrong[4].outgoing_count = 2;
    wrong[5].voter_count = 0; /* nobody */
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(one_propose_members(&one, &wrong[i]), ERR_INVALID);
    }
    struct raft_entry entry = {.type = RAFT_ENTRY_CHANGE};
    assert_int_equal(one_try(&one, (struct raft_event){.type = RAFT_PROPOSE,
                                                       .entries = &entry,
                                                       .count = 1}),
                     ERR_INVALID);
    assert_int_equal(one_status(&one).last, 1);
}

/* What the caller puts behind the membership may be all that is new. */
static void the_same_membership_again_is_a_step(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    struct raft_members same = MEMBERS(1, 2, 3);
    assert_int_equal(one_propose_members(&one, &same), ERR_OK);
    one_settle(&one);
    one_pull(&one);
    one_agree(&one, 2, 2);
    assert_false(one_status(&one).change_pending);
}

/* Thesis 4.3. */
static void several_at_once_go_through_joint_consensus(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    struct raft_change swap[] = {
        {RAFT_REMOVE, 3}, {RAFT_ADD_VOTER, 4}, {RAFT_ADD_VOTER, 5}};
    struct raft_members next;
    assert_int_equal(
        raft_members_change(raft_members(one.raft), swap, 3, &next), ERR_OK);
    assert_true(next.outgoing_count > 0);
    assert_int_equal(one_propose_members(&one, &next), ERR_OK);
    one_settle(&one);
    one_pull(&one);
    assert_false(one_status(&one).leave_joint_due);
    one_agree(&one, 4, 2);
    one_agree(&one, 5, 2);
    assert_int_equal(one_status(&one).commit, 1); /* the old ones, too */
    one_agree(&one, 3, 2);
    assert_int_equal(one_status(&one).commit, 2);
    assert_true(one_status(&one).leave_joint_due);
    /* Nothing but its end can follow. */
    struct raft_members other = next;
    other.outgoing_count = 0;
    other.voter_count--;
    assert_int_equal(one_propose_members(&one, &other), ERR_INVALID);
    struct raft_members end;
    raft_members_leave_joint(raft_members(one.raft), &end);
    assert_int_equal(one_propose_members(&one, &end), ERR_OK);
    assert_false(one_status(&one).leave_joint_due);
    assert_int_equal(voters(), 4);
}

/* Thesis 4.2.2. */
static void a_leader_that_is_removed_leads_until_it_is_committed(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    assert_int_equal(change(RAFT_REMOVE, 1), ERR_OK);
    one_settle(&one);
    one_pull(&one);
    one_agree(&one, 2, 2);
    one_agree(&one, 3, 2);
    assert_int_equal(one_status(&one).role, RAFT_LEADER);
    /* It says so, and has one of the others stand. */
    one_pull(&one);
    assert_int_equal(one_sent(&one, RAFT_MESSAGE_APPEND, 2)->commit, 2);
    one_settle(&one);
    assert_int_equal(one_status(&one).role, RAFT_FOLLOWER);
    assert_int_equal(one_status(&one).applied, 2);
    one_pull(&one);
    assert_int_equal(one_count(&one, RAFT_MESSAGE_TIMEOUT_NOW), 1);
    assert_true(one.update.deadline_ms == INT64_MAX);
    one_tick(&one, 100000);
    assert_int_equal(one_status(&one).role, RAFT_FOLLOWER);
}

static void who_is_removed_is_told(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    assert_int_equal(change(RAFT_REMOVE, 3), ERR_OK);
    struct raft_peer_status peer;
    assert_false(raft_peer_status(one.raft, 3, &peer));
    one_settle(&one);
    one_pull(&one);
    assert_int_equal(one_sent(&one, RAFT_MESSAGE_APPEND, 3)->count, 1);
    one_agree(&one, 3, 2); /* it doesn't count */
    assert_int_equal(one_status(&one).commit, 1);
    one_agree(&one, 2, 2);
    assert_int_equal(one_status(&one).commit, 2);
    one_pull(&one);
    assert_int_equal(one_sent(&one, RAFT_MESSAGE_APPEND, 3)->commit, 2);
    /* From then on not a word. */
    one_tick(&one, 100);
    one_pull(&one);
    assert_null(one_sent(&one, RAFT_MESSAGE_HEARTBEAT, 3));
    assert_non_null(one_sent(&one, RAFT_MESSAGE_HEARTBEAT, 2));
}

static void who_is_removed_and_silent_is_told_for_a_while(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    assert_int_equal(change(RAFT_REMOVE, 3), ERR_OK);
    one_settle(&one);
    one_pull(&one);
    one_agree(&one, 2, 2);
    size_t told = 0;
    for (int i = 0; i < 20; i++) {
        one_tick(&one, 100);
        one_pull(&one);
        told += one_sent(&one, RAFT_MESSAGE_HEARTBEAT, 3) != NULL;
        one_heartbeat_answer(&one, 2, 0);
    }
    assert_in_range(told, 5, 10);
}

static void down_to_one_it_goes_on_alone(void **state)
{
    (void)state;
    struct raft_config config = one_config(1, 2, 0);
    one_deinit(&one);
    one_init(&one, &config);
    one_lead_in_step(&one);
    assert_int_equal(one_read(&one, 1), ERR_OK);
    assert_int_equal(one.update.read_count, 0);
    assert_int_equal(change(RAFT_REMOVE, 2), ERR_OK);
    /* Who waited for the other needn't any more. */
    assert_int_equal(one.update.read_count, 1);
    one_settle(&one);
    assert_int_equal(one_status(&one).commit, 2);
    for (int i = 0; i < 20; i++) {
        one_tick(&one, 100);
        one_pull(&one);
    }
    assert_int_equal(one_status(&one).role, RAFT_LEADER);
    assert_true(one.update.deadline_ms == INT64_MAX);
}

static void from_one_to_two(void **state)
{
    (void)state;
    struct raft_config config = one_config(1, 1, 0);
    one_deinit(&one);
    one_init(&one, &config);
    one_lead_in_step(&one);
    assert_true(one.update.deadline_ms == INT64_MAX);
    assert_int_equal(change(RAFT_ADD_VOTER, 2), ERR_OK);
    one_settle(&one);
    assert_int_equal(one_status(&one).commit, 1);
    one_pull(&one);
    one_receive(&one, (struct raft_message){.type = RAFT_MESSAGE_APPEND_ANSWER,
                                            .from = 2,
                                            .rejected = true,
                                            .index = 2});
    one_pull(&one);
    assert_int_equal(one_sent(&one, RAFT_MESSAGE_APPEND, 2)->count, 2);
    one_agree(&one, 2, 2);
    assert_int_equal(one_status(&one).commit, 2);
    assert_true(one.update.deadline_ms < INT64_MAX);
}

/* ---- a follower ---------------------------------------------------------- */

static void a_follower_takes_it_from_its_leader(void **state)
{
    (void)state;
    struct raft_config config = one_config(1, 0, 0); /* one that joins */
    one_deinit(&one);
    one_init(&one, &config);
    struct raft_members with_1 = MEMBERS(1, 2);
    append_change(3, 0, 0, 0, &with_1);
    assert_int_equal(voters(), 2);
    one_settle(&one);
    one_tick(&one, 5000);
    assert_int_equal(one_status(&one).role, RAFT_PRE_CANDIDATE);
}

static void what_is_cut_off_counts_no_more(void **state)
{
    (void)state;
    struct raft_members four = MEMBERS(1, 2, 3, 4);
    struct raft_members five = MEMBERS(1, 2, 3, 4, 5);
    append_change(1, 0, 0, 0, &four);
    append_change(1, 1, 1, 0, &five);
    assert_int_equal(voters(), 5);
    one_append(&one, 3, 2, 1, 1, 0, (const raft_term[]){2}, 1);
    assert_int_equal(voters(), 4);
    one_append(&one, 2, 3, 0, 0, 0, (const raft_term[]){3}, 1);
    assert_int_equal(voters(), 3);
    one_settle(&one);
    one_pull(&one);
    one_step(&one, (struct raft_event){.type = RAFT_CAMPAIGN});
    assert_int_equal(one_pull(&one), 2);
}

/* It may hear late of what is committed, and of any of them that it isn't. */
static void many_may_wait_for_their_commit(void **state)
{
    (void)state;
    struct raft_members members[3] = {MEMBERS(1, 2, 3), MEMBERS(1, 2, 3, 4),
                                      MEMBERS(1, 2, 3, 4, 5)};
    for (raft_index i = 0; i < 30; i++) {
        append_change(1, i, i == 0 ? 0 : 1, 0, &members[i % 3]);
    }
    assert_int_equal(one_status(&one).last, 30);
    assert_int_equal(voters(), 5);
    one_settle(&one);
    one_append(&one, 2, 1, 30, 1, 20, NULL, 0); /* 20 is of four */
    one_settle(&one);
    assert_true(one_status(&one).change_pending);
    one_step(&one, (struct raft_event){.type = RAFT_COMPACT, .index = 20});
    one_append(&one, 3, 2, 25, 1, 20, (const raft_term[]){2}, 1);
    assert_int_equal(voters(), 3); /* 25 */
    one_append(&one, 2, 3, 20, 1, 20, (const raft_term[]){3}, 1);
    assert_int_equal(voters(), 4); /* 20 itself */
    assert_false(one_status(&one).change_pending);
}

/* Thesis 4.2.2, fig. 4.6: two voters, one of which removes itself and goes
 * down before the other has heard of it. Only it has the whole log. */
static void who_may_have_lost_its_vote_stands_all_the_same(void **state)
{
    (void)state;
    struct raft_config config = one_config(1, 2, 0);
    struct raft_members left = MEMBERS(2);
    struct raft_hard_state hard = {.term = 1, .vote = 1, .commit = 1};
    one_deinit(&one);
    memset(&one, 0, sizeof(one));
    one.config = config;
    one.raft = raft_new(&config, &hard, 0, 0);
    struct raft_entry first = {.index = 1, .term = 1};
    struct raft_entry second = entry_of(2, 1, &left);
    assert_int_equal(raft_restore_entry(one.raft, &first), ERR_OK);
    assert_int_equal(raft_restore_entry(one.raft, &second), ERR_OK);
    raft_restore_done(one.raft);
    raft_update_init(&one.update);
    one_step(&one, (struct raft_event){.type = RAFT_CAMPAIGN});
    one_pre_vote_answer(&one, 2, true);
    one_settle(&one);
    assert_int_equal(one_status(&one).role, RAFT_CANDIDATE);
    one_vote_answer(&one, 2, true);
    assert_int_equal(one_status(&one).role, RAFT_LEADER);
    one_settle(&one);
    one_pull(&one);
    one_agree(&one, 2, 3);
    one_settle(&one);
    assert_int_equal(one_status(&one).commit, 3);
    assert_int_equal(one_status(&one).role, RAFT_FOLLOWER);
    assert_true(one.update.deadline_ms == INT64_MAX);
}

/* ---- from the disk ------------------------------------------------------- */

static void a_restart_finds_the_membership_in_the_log(void **state)
{
    (void)state;
    struct raft_config config = one_config(1, 3, 0);
    struct raft *raft =
        raft_new(&config, &(struct raft_hard_state){.term = 1}, 0, 0);
    struct raft_members members[2] = {MEMBERS(1, 2, 3), MEMBERS(1, 2, 3, 4)};
    for (raft_index i = 1; i <= 40; i++) {
        struct raft_entry entry = entry_of(i, 1, &members[i % 2]);
        assert_int_equal(raft_restore_entry(raft, &entry), ERR_OK);
    }
    assert_int_equal(raft_members(raft)->voter_count, 3);
    struct raft_entry again = entry_of(30, 1, &members[1]);
    assert_int_equal(raft_restore_entry(raft, &again), ERR_OK);
    assert_int_equal(raft_members(raft)->voter_count, 4);
    raft_restore_done(raft);
    assert_int_equal(raft_members(raft)->voter_count, 4);
    raft_free(raft);
}

static void a_change_on_disk_that_can_not_be_read_is_corrupt(void **state)
{
    (void)state;
    struct raft_config config = one_config(1, 3, 0);
    struct raft *raft =
        raft_new(&config, &(struct raft_hard_state){.term = 1}, 0, 0);
    struct raft_entry entry = {.index = 1,
                               .term = 1,
                               .type = RAFT_ENTRY_CHANGE,
                               .data = refbuf_dup("\377\377", 2)};
    assert_int_equal(raft_restore_entry(raft, &entry), ERR_CORRUPT);
    assert_non_null(strstr(err_note(), "entry 1"));
    refbuf_unref(entry.data);
    entry.data = NULL;
    assert_int_equal(raft_restore_entry(raft, &entry), ERR_CORRUPT);
    raft_free(raft);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_change_counts_as_soon_as_it_is_in_the_log),
        STORY(one_change_at_a_time),
        STORY(none_before_the_terms_first_commit),
        STORY(two_in_one_proposal_are_too_many),
        STORY(more_than_one_step_is_refused),
        STORY(the_same_membership_again_is_a_step),
        STORY(several_at_once_go_through_joint_consensus),
        STORY(a_leader_that_is_removed_leads_until_it_is_committed),
        STORY(who_is_removed_is_told),
        STORY(who_is_removed_and_silent_is_told_for_a_while),
        STORY(down_to_one_it_goes_on_alone),
        STORY(from_one_to_two),
        STORY(a_follower_takes_it_from_its_leader),
        STORY(what_is_cut_off_counts_no_more),
        STORY(many_may_wait_for_their_commit),
        STORY(who_may_have_lost_its_vote_stands_all_the_same),
        STORY(a_restart_finds_the_membership_in_the_log),
        STORY(a_change_on_disk_that_can_not_be_read_is_corrupt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
