/* When an entry is committed. The member under test is 1 and leads. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/prng.h"
#include "raft/raft_int.h"
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

static raft_index commit(void)
{
    return one_status(&one).commit;
}

static void propose(int count)
{
    for (int i = 0; i < count; i++) {
        assert_int_equal(one_propose(&one, "x"), ERR_OK);
    }
}

static void two_of_three_are_enough(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    propose(1);
    one_settle(&one);
    assert_int_equal(commit(), 1);
    one_pull(&one);
    one_agree(&one, 3, 2);
    assert_int_equal(commit(), 2);
    assert_int_equal(one.update.apply_from, 2);
}

static void two_of_four_are_not(void **state)
{
    (void)state;
    struct raft_config config = one_config(1, 4, 0);
    start_with(&config);
    one_lead_in_step(&one);
    propose(1);
    one_settle(&one);
    one_pull(&one);
    one_agree(&one, 2, 2);
    assert_int_equal(commit(), 1);
    one_agree(&one, 3, 2);
    assert_int_equal(commit(), 2);
}

static void learners_do_not_count(void **state)
{
    (void)state;
    struct raft_config config = one_config(1, 3, 2);
    start_with(&config);
    one_lead_in_step(&one);
    propose(1);
    one_settle(&one);
    one_pull(&one);
    one_agree(&one, 4, 2);
    one_agree(&one, 5, 2);
    assert_int_equal(commit(), 1);
    one_agree(&one, 2, 2);
    assert_int_equal(commit(), 2);
}

static void its_own_disk_counts_like_any_other(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    propose(1);
    one_pull(&one);
    one_agree(&one, 2, 2);
    assert_int_equal(commit(), 1);
    one_persist(&one);
    assert_int_equal(commit(), 2);
}

/* Thesis 10.2.1: the others suffice. It is applied here when it is durable
 * here. */
static void the_others_may_be_faster_than_its_own_disk(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    propose(1);
    one_pull(&one);
    one_agree(&one, 2, 2);
    one_agree(&one, 3, 2);
    assert_int_equal(commit(), 2);
    assert_int_equal(one.update.apply_from, 0);
    one_persist(&one);
    assert_int_equal(one.update.apply_from, 2);
}

/* Paper 5.4.2, fig. 8. */
static void an_old_terms_entry_waits_for_one_of_its_own(void **state)
{
    (void)state;
    static const raft_term terms[] = {1, 2, 2};
    struct raft_config config = one.config;
    one_deinit(&one);
    one_init_log(&one, &config, (struct raft_hard_state){.term = 3}, terms, 3);
    one_lead(&one);
    one_pull(&one);
    one_agree(&one, 2, 3);
    one_agree(&one, 3, 3);
    assert_int_equal(commit(), 0);
    one_agree(&one, 2, 4);
    assert_int_equal(commit(), 4);
}

static void in_joint_consensus_both_lists_agree(void **state)
{
    (void)state;
    struct raft_config config = one_config(1, 3, 0);
    member_id outgoing[] = {1, 4, 5};
    memcpy(config.members.outgoing, outgoing, sizeof(outgoing));
    config.members.outgoing_count = 3;
    start_with(&config);
    one_step(&one, (struct raft_event){.type = RAFT_CAMPAIGN});
    one_pre_vote_answer(&one, 2, true);
    one_pre_vote_answer(&one, 4, true);
    one_settle(&one);
    one_vote_answer(&one, 2, true);
    one_vote_answer(&one, 4, true);
    one_settle(&one);
    one_pull(&one);
    one_agree(&one, 2, 1);
    one_agree(&one, 3, 1);
    assert_int_equal(commit(), 0);
    one_agree(&one, 5, 1);
    assert_int_equal(commit(), 1);
}

/* Thesis 4.2.2: while it isn't a member any more, others alone decide. */
static void a_leader_that_leaves_does_not_count_itself(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    struct raft_members next;
    struct raft_change change = {RAFT_REMOVE, 1};
    assert_int_equal(
        raft_members_change(raft_members(one.raft), &change, 1, &next), ERR_OK);
    assert_int_equal(one_propose_members(&one, &next), ERR_OK);
    one_settle(&one);
    one_pull(&one);
    one_agree(&one, 2, 2);
    assert_int_equal(commit(), 1);
    one_agree(&one, 3, 2);
    assert_int_equal(commit(), 2);
}

static void time_does_not_fall(void **state)
{
    (void)state;
    one_lead_in_step(&one);
    struct raft_entry entries[] = {{.type = RAFT_ENTRY_COMMAND, .time_ns = 70},
                                   {.type = RAFT_ENTRY_COMMAND, .time_ns = 60},
                                   {.type = RAFT_ENTRY_COMMAND, .time_ns = 80}};
    one_step(&one, (struct raft_event){
                       .type = RAFT_PROPOSE, .entries = entries, .count = 3});
    assert_int_equal(raft_entry_at(one.raft, 2)->time_ns, 70);
    assert_int_equal(raft_entry_at(one.raft, 3)->time_ns, 70);
    assert_int_equal(raft_entry_at(one.raft, 4)->time_ns, 80);
    one_settle(&one);
    one_pull(&one);
    one_all_agree(&one);
    /* Even behind what was forgotten. */
    one_step(&one, (struct raft_event){.type = RAFT_COMPACT, .index = 4});
    entries[0].time_ns = 1;
    one_step(&one, (struct raft_event){
                       .type = RAFT_PROPOSE, .entries = entries, .count = 1});
    assert_int_equal(raft_entry_at(one.raft, 5)->time_ns, 80);
}

/* ---- quorums beside a slow and simple count ------------------------------ */

static uint64_t match_of(const struct raft_peer *peer)
{
    return peer->match;
}

static size_t reached_in(const struct raft *raft, unsigned list, uint64_t own,
                         uint64_t value, size_t *all)
{
    size_t reached = (raft->self_in & list) != 0 && own >= value;
    *all = (raft->self_in & list) != 0;
    for (size_t i = 0; i < raft->peer_count; i++) {
        if ((raft->peers[i].voter_in & list) != 0) {
            (*all)++;
            reached += raft->peers[i].match >= value;
        }
    }
    return reached;
}

static bool quorum_reached(const struct raft *raft, uint64_t own,
                           uint64_t value)
{
    size_t all;
    bool reached = reached_in(raft, RAFT_IN_VOTERS, own, value, &all) * 2 > all;
    if (raft_members(raft)->outgoing_count > 0) {
        reached =
            reached &&
            reached_in(raft, RAFT_IN_OUTGOING, own, value, &all) * 2 > all;
    }
    return reached;
}

static void a_quorum_is_the_greatest_value_that_a_majority_has(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 5);
    for (int run = 0; run < 300; run++) {
        struct raft_config config =
            one_config(1 + prng_below(&prng, 9), 1 + prng_below(&prng, 7),
                       prng_below(&prng, 2));
        size_t outgoing = prng_below(&prng, 5);
        for (size_t i = 0; i < outgoing; i++) {
            config.members.outgoing[i] = 3 + i;
        }
        config.members.outgoing_count = outgoing;
        config.members.learner_count = 0;
        start_with(&config);
        for (int i = 0; i < 20; i++) {
            for (size_t p = 0; p < one.raft->peer_count; p++) {
                one.raft->peers[p].match = prng_below(&prng, 12);
            }
            uint64_t own = prng_below(&prng, 12);
            uint64_t found = raft__quorum(one.raft, match_of, own);
            assert_true(found == 0 || quorum_reached(one.raft, own, found));
            assert_false(quorum_reached(one.raft, own, found + 1));
        }
    }
}

static void without_voters_nothing_is_reached(void **state)
{
    (void)state;
    struct raft_config config = one_config(1, 0, 0);
    start_with(&config);
    assert_int_equal(raft__quorum(one.raft, match_of, 9), 0);
    assert_false(raft__is_alone(one.raft));
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(two_of_three_are_enough),
        STORY(two_of_four_are_not),
        STORY(learners_do_not_count),
        STORY(its_own_disk_counts_like_any_other),
        STORY(the_others_may_be_faster_than_its_own_disk),
        STORY(an_old_terms_entry_waits_for_one_of_its_own),
        STORY(in_joint_consensus_both_lists_agree),
        STORY(a_leader_that_leaves_does_not_count_itself),
        STORY(time_does_not_fall),
        STORY(a_quorum_is_the_greatest_value_that_a_majority_has),
        STORY(without_voters_nothing_is_reached),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
