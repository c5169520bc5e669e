/* Who belongs to the cluster: who comes, who goes, who stands by. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/check.h"
#include "node/node_int.h"
#include "support/node_cluster.h"

static struct node_cluster world;
static struct arena arena;

static int begin(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    cluster_init(&world, 3, 3, 1);
    return 0;
}

static int end(void **state)
{
    (void)state;
    cluster_deinit(&world);
    arena_deinit(&arena);
    return 0;
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, begin, end)
#define SET(at, key, value) \
    assert_int_equal(cluster_set(&world, at, key, value), ERR_OK)
#define VALUE(at, key, value) \
    assert_string_equal(cluster_get(&world, at, key), value)
#define CHANGE(at, op, who) \
    assert_int_equal(cluster_change(&world, at, op, who), ERR_OK)
#define REFUSED(at, op, who, why) \
    assert_int_equal(cluster_change(&world, at, op, who), why)
#define OPEN(at) assert_int_equal(cluster_open(&world, at), ERR_OK)

static void start(size_t count, size_t more)
{
    cluster_deinit(&world);
    cluster_init(&world, count, more, 1);
    cluster_open_all(&world);
    (void)cluster_leader(&world);
    cluster_run(&world, 500);
}

static size_t members_of(size_t at)
{
    struct node_member *members;
    return node_members(world.members[at].node, &arena, &members);
}

static struct node_member member_of(size_t at, size_t who)
{
    struct node_member member;
    bool found =
        node_member(world.members[at].node, cluster_id(who), &arena, &member);
    return found ? member : (struct node_member){0};
}

static size_t voters_of(size_t at)
{
    struct node_member *members;
    size_t count = node_members(world.members[at].node, &arena, &members);
    size_t voters = 0;
    for (size_t i = 0; i < count; i++)
        voters += !members[i].is_learner;
    return voters;
}

static bool is_voter(size_t at, size_t who)
{
    struct node_member member = member_of(at, who);
    return member.id != 0 && !member.is_learner;
}

/* A person's value of it: so many voters. */
static void set_active_size(uint64_t size, double remove_delay_s)
{
    struct command command = {
        .type = COMMAND_CLUSTER,
        .cluster = {.has_active_size = true,
                    .active_size = size,
                    .has_remove_delay = true,
                    .remove_delay_us = (uint64_t)(remove_delay_s * 1e6)}};
    assert_int_equal(cluster_wait(&world, cluster_submit(&world, 0, &command)),
                     ERR_OK);
}

/* ---- coming -------------------------------------------------------------- */

static void a_member_is_added_and_joins(void **state)
{
    (void)state;
    start(3, 1);
    SET(0, "/a", "1");
    CHANGE(cluster_leader(&world), NODE_ADD_VOTER, 3);
    assert_int_equal(members_of(cluster_leader(&world)), 4);
    OPEN(3);
    cluster_settle(&world);
    VALUE(3, "/a", "1");
    cluster_run(&world, 1500);
    for (size_t i = 0; i < 4; i++) {
        struct node_member member = member_of(i, 3);
        assert_true(slice_eq(member.name, SLICE("m3")));
        assert_true(slice_eq(member.peer_urls, SLICE("http://m3:2380")));
        assert_true(slice_eq(member.client_urls, SLICE("http://client:2379")));
        assert_false(member.is_learner);
        assert_int_equal(world.members[i].others, 3);
    }
    SET(3, "/b", "2");
    cluster_settle(&world);
    cluster_check_same(&world);
    /* It knows all that by itself after a crash. */
    cluster_crash(&world, 3);
    OPEN(3);
    assert_int_equal(world.members[3].others, 3);
    SET(3, "/c", "3");
}

static void one_becomes_three(void **state)
{
    (void)state;
    start(1, 2);
    SET(0, "/a", "1");
    assert_true(node_reads_are_current(world.members[0].node));
    CHANGE(0, NODE_ADD_LEARNER, 1);
    OPEN(1);
    cluster_settle(&world);
    assert_true(node_reads_are_current(world.members[0].node));
    assert_true(cluster_progress(&world, 1).is_learner);
    CHANGE(0, NODE_PROMOTE, 1);
    assert_false(node_reads_are_current(world.members[0].node));
    cluster_settle(&world);
    assert_false(cluster_progress(&world, 1).is_learner);
    CHANGE(1, NODE_ADD_LEARNER, 2);
    OPEN(2);
    cluster_settle(&world);
    CHANGE(2, NODE_PROMOTE, 2);
    cluster_settle(&world);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(voters_of(i), 3);
    cluster_crash(&world, 0);
    SET(cluster_leader(&world), "/b", "2");
    VALUE(cluster_leader(&world), "/a", "1");
}

/* A second voter that nobody has heard of would end a cluster of one: it
 * stands by until it has come. */
static void one_takes_a_second_voter_when_it_has_come(void **state)
{
    (void)state;
    start(1, 1);
    CHANGE(0, NODE_ADD_VOTER, 1);
    cluster_run(&world, 3000);
    assert_int_equal(voters_of(0), 1);
    SET(0, "/a", "1");
    OPEN(1);
    cluster_run(&world, 3000);
    assert_int_equal(voters_of(0), 2);
    SET(1, "/a", "1");
    cluster_settle(&world);
    cluster_check_same(&world);
}

static void a_learner_follows_and_doesnt_vote(void **state)
{
    (void)state;
    start(3, 1);
    CHANGE(0, NODE_ADD_LEARNER, 3);
    OPEN(3);
    cluster_settle(&world);
    SET(3, "/a", "1");
    assert_int_equal(cluster_read(&world, 3), ERR_OK);
    VALUE(3, "/a", "1");
    assert_true(member_of(0, 3).is_learner);
    assert_false(member_of(0, 3).is_standby);
    /* Two voters of three are gone: the learner doesn't count. */
    size_t leader = cluster_leader(&world);
    for (size_t i = 0, gone = 0; i < 3 && gone < 2; i++) {
        if (i != leader) {
            cluster_crash(&world, i);
            gone++;
        }
    }
    cluster_run(&world, 1000);
    assert_int_equal(cluster_set(&world, leader, "/b", "1"), ERR_NO_LEADER);
    cluster_open_all(&world);
    SET(cluster_leader(&world), "/b", "2");
}

/* ---- refusals ------------------------------------------------------------ */

static void what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    start(3, 3);
    for (size_t at = 0; at < 3; at++) {
        REFUSED(at, NODE_ADD_VOTER, 1, ERR_EXISTS);
        REFUSED(at, NODE_ADD_LEARNER, 2, ERR_EXISTS);
        REFUSED(at, NODE_REMOVE, 4, ERR_NOT_FOUND);
        REFUSED(at, NODE_UPDATE, 4, ERR_NOT_FOUND);
        REFUSED(at, NODE_PROMOTE, 4, ERR_NOT_FOUND);
        REFUSED(at, NODE_PROMOTE, 1, ERR_INVALID);
    }
    /* A new id, but an address that somebody has. */
    struct node_member kept = world.list[3];
    world.list[3].peer_urls = SLICE("http://new:1,http://m1:2380");
    REFUSED(0, NODE_ADD_VOTER, 3, ERR_EXISTS);
    world.list[3].peer_urls = SLICE("");
    REFUSED(0, NODE_ADD_VOTER, 3, ERR_INVALID);
    world.list[3] = kept;
    world.list[1].peer_urls = SLICE("http://m2:2380");
    REFUSED(0, NODE_UPDATE, 1, ERR_EXISTS);
    world.list[1].peer_urls = slice_str(world.urls[1]);
    cluster_settle(&world);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(members_of(i), 3);
}

static void the_last_voter_stays(void **state)
{
    (void)state;
    start(1, 0);
    REFUSED(0, NODE_REMOVE, 0, ERR_INVALID);
    SET(0, "/a", "1");
}

static void a_change_that_would_end_the_cluster_is_refused(void **state)
{
    (void)state;
    start(3, 1);
    size_t leader = cluster_leader(&world);
    size_t gone = (leader + 1) % 3;
    size_t other = (leader + 2) % 3;
    cluster_crash(&world, gone);
    cluster_run(&world, 2 * CLUSTER_ELECTION_MS);
    /* Of four, three would be needed; two are heard from. */
    REFUSED(leader, NODE_ADD_VOTER, 3, ERR_UNHEALTHY);
    /* Of two, both would be. */
    REFUSED(leader, NODE_REMOVE, other, ERR_UNHEALTHY);
    /* A learner is no danger, nor is the dead one's removal. */
    CHANGE(leader, NODE_ADD_LEARNER, 3);
    CHANGE(leader, NODE_REMOVE, gone);
    SET(leader, "/a", "1");
}

static void without_strictness_it_is_not(void **state)
{
    (void)state;
    cluster_deinit(&world);
    cluster_init(&world, 3, 1, 1);
    for (size_t i = 0; i < 3; i++)
        world.members[i].config.strict_reconfig = false;
    cluster_open_all(&world);
    size_t leader = cluster_leader(&world);
    cluster_run(&world, 500);
    cluster_crash(&world, (leader + 1) % 3);
    cluster_run(&world, 2 * CLUSTER_ELECTION_MS);
    struct cluster_wait *change =
        cluster_change_async(&world, leader, NODE_ADD_VOTER, 3);
    cluster_run(&world, 100);
    OPEN(3);
    assert_int_equal(cluster_wait(&world, change), ERR_OK);
}

static void a_learner_that_is_behind_is_not_promoted(void **state)
{
    (void)state;
    start(3, 1);
    CHANGE(0, NODE_ADD_LEARNER, 3);
    REFUSED(0, NODE_PROMOTE, 3, ERR_NOT_READY);
    OPEN(3);
    cluster_settle(&world);
    CHANGE(1, NODE_PROMOTE, 3);
    cluster_settle(&world);
    assert_int_equal(voters_of(2), 4);
}

/* ---- going --------------------------------------------------------------- */

static void a_member_is_removed_and_knows_it(void **state)
{
    (void)state;
    start(3, 0);
    size_t leader = cluster_leader(&world);
    size_t gone = cluster_follower(&world);
    size_t other = 3 - leader - gone;
    CHANGE(other, NODE_REMOVE, gone);
    cluster_run(&world, 500);
    assert_true(cluster_progress(&world, gone).is_removed);
    assert_false(cluster_progress(&world, leader).is_removed);
    assert_int_equal(members_of(leader), 2);
    assert_true(
        node_member_removed(world.members[other].node, cluster_id(gone)));
    assert_false(
        node_member_removed(world.members[other].node, cluster_id(leader)));
    SET(other, "/a", "1");
    /* It isn't taken back, and does no harm. */
    REFUSED(leader, NODE_ADD_VOTER, gone, ERR_GONE);
    REFUSED(leader, NODE_REMOVE, gone, ERR_GONE);
    REFUSED(leader, NODE_UPDATE, gone, ERR_GONE);
    cluster_run(&world, 3000);
    assert_int_equal(cluster_leader(&world), leader);
    assert_int_equal(world.members[leader].others, 1);
    cluster_close(&world, gone);
    OPEN(gone);
    assert_true(cluster_progress(&world, gone).is_removed);
}

static void a_leader_removes_itself(void **state)
{
    (void)state;
    start(3, 0);
    size_t leader = cluster_leader(&world);
    CHANGE(leader, NODE_REMOVE, leader);
    cluster_run(&world, 1000);
    assert_true(cluster_progress(&world, leader).is_removed);
    cluster_close(&world, leader);
    size_t next = cluster_leader(&world);
    assert_true(next != leader);
    assert_int_equal(members_of(next), 2);
    SET(next, "/a", "1");
}

static void addresses_change(void **state)
{
    (void)state;
    start(3, 0);
    world.list[1].peer_urls = SLICE("http://elsewhere:1,http://elsewhere:2");
    CHANGE(2, NODE_UPDATE, 1);
    cluster_settle(&world);
    for (size_t i = 0; i < 3; i++) {
        struct node_member member = member_of(i, 1);
        assert_true(slice_eq(member.peer_urls,
                             SLICE("http://elsewhere:1,http://elsewhere:2")));
        assert_true(slice_eq(member.name, SLICE("m1")));
    }
    cluster_check_same(&world);
}

static void changes_wait_for_each_other(void **state)
{
    (void)state;
    struct cluster_wait *waits[3];
    start(3, 3);
    for (size_t i = 0; i < 3; i++)
        waits[i] = cluster_change_async(&world, i, NODE_ADD_LEARNER, 3 + i);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(cluster_wait(&world, waits[i]), ERR_OK);
    assert_int_equal(members_of(cluster_leader(&world)), 6);
}

static bool lose_answers(struct node_cluster *cluster, member_id from,
                         member_id to, struct slice bytes)
{
    (void)cluster;
    (void)from;
    (void)to;
    return bytes.at[0] != NODE_ENVELOPE_ANSWER;
}

/* Who asked for it sees it in the log, too. */
static void an_answer_that_is_lost_is_no_loss(void **state)
{
    (void)state;
    start(3, 1);
    size_t follower = cluster_follower(&world);
    world.filter = lose_answers;
    CHANGE(follower, NODE_ADD_LEARNER, 3);
    assert_int_equal(members_of(follower), 4);
}

/* ---- standbys ------------------------------------------------------------ */

static void standbys_wait_behind_the_active_ones(void **state)
{
    (void)state;
    start(3, 2);
    set_active_size(3, 1);
    CHANGE(1, NODE_ADD_STANDBY, 3);
    OPEN(3);
    cluster_run(&world, 3000);
    struct node_member member = member_of(0, 3);
    assert_true(member.is_learner);
    assert_true(member.is_standby);
    assert_int_equal(voters_of(0), 3);
    /* A person's learner is never taken. */
    CHANGE(1, NODE_ADD_LEARNER, 4);
    OPEN(4);
    set_active_size(5, 1);
    cluster_run(&world, 3000);
    for (size_t i = 0; i < 5; i++) {
        assert_true(is_voter(i, 3));
        assert_false(is_voter(i, 4));
    }
    cluster_settle(&world);
    cluster_check_same(&world);
}

/* Nine unless it is set: but first it must have come. */
static void a_standby_votes_where_one_is_missing(void **state)
{
    (void)state;
    start(3, 1);
    CHANGE(1, NODE_ADD_STANDBY, 3);
    cluster_run(&world, 3000);
    assert_true(member_of(cluster_leader(&world), 3).is_standby);
    OPEN(3);
    cluster_run(&world, 2000);
    assert_true(is_voter(cluster_leader(&world), 3));
    assert_true(is_voter(3, 3));
    assert_false(cluster_progress(&world, 3).is_learner);
}

static void too_many_voters_become_standbys(void **state)
{
    (void)state;
    start(5, 0);
    size_t leader = cluster_leader(&world);
    set_active_size(3, 1);
    cluster_run(&world, 4000);
    assert_int_equal(voters_of(leader), 3);
    assert_int_equal(members_of(leader), 5);
    assert_true(is_voter(leader, leader));
    set_active_size(5, 1);
    cluster_run(&world, 4000);
    assert_int_equal(voters_of(leader), 5);
}

static void start_with_standby(void)
{
    start(3, 1);
    set_active_size(3, 1);
    CHANGE(1, NODE_ADD_STANDBY, 3);
    OPEN(3);
    cluster_run(&world, 2000);
    assert_int_equal(voters_of(0), 3);
}

static void a_dead_member_is_replaced(size_t dead)
{
    int64_t start_ns = world.now_ns;
    cluster_crash(&world, dead);
    size_t leader = cluster_leader(&world);
    while (!is_voter(leader, 3)) {
        /* No write fails meanwhile. */
        SET(leader, "/a", "x");
        cluster_run(&world, 50);
        assert_true(world.now_ns - start_ns < 6000 * CLUSTER_MS);
    }
    assert_true(world.now_ns - start_ns >= 1000 * CLUSTER_MS);
    cluster_run(&world, 1000);
    assert_int_equal(voters_of(leader), 3);
    assert_false(is_voter(leader, dead));
    assert_true(member_of(leader, dead).is_standby);
    /* One more may go now. */
    for (size_t i = 0; i < 3; i++) {
        if (i != dead && i != leader) {
            cluster_crash(&world, i);
            SET(cluster_leader(&world), "/b", "y");
            OPEN(i);
            break;
        }
    }
    /* It comes back as a standby. */
    OPEN(dead);
    cluster_run(&world, 3000);
    cluster_settle(&world);
    assert_true(cluster_progress(&world, dead).is_learner);
    assert_int_equal(voters_of(dead), 3);
    VALUE(dead, "/b", "y");
    cluster_check_same(&world);
}

static void a_dead_follower_is_replaced(void **state)
{
    (void)state;
    start_with_standby();
    size_t leader = cluster_leader(&world);
    a_dead_member_is_replaced((leader + 1) % 3);
}

static void a_dead_leader_is_replaced(void **state)
{
    (void)state;
    start_with_standby();
    a_dead_member_is_replaced(cluster_leader(&world));
}

static void one_that_is_back_in_time_keeps_its_vote(void **state)
{
    (void)state;
    start_with_standby();
    size_t gone = (cluster_leader(&world) + 1) % 3;
    for (int i = 0; i < 4; i++) {
        cluster_crash(&world, gone);
        cluster_run(&world, 700);
        OPEN(gone);
        cluster_run(&world, 700);
    }
    assert_true(is_voter(cluster_leader(&world), gone));
}

/* With two of three silent nothing may change: not even for the better. */
static void without_a_quorum_nobody_is_replaced(void **state)
{
    (void)state;
    start_with_standby();
    size_t leader = cluster_leader(&world);
    cluster_isolate(&world, (leader + 1) % 3, true);
    cluster_isolate(&world, (leader + 2) % 3, true);
    cluster_run(&world, 5000);
    assert_int_equal(voters_of(leader), 3);
    assert_false(is_voter(leader, 3));
    cluster_mend(&world);
    cluster_settle(&world);
    SET(cluster_leader(&world), "/a", "1");
}

static void the_clusters_config_is_kept(void **state)
{
    (void)state;
    struct node_cluster_config config;
    start(3, 0);
    node_cluster_config(world.members[1].node, &config);
    assert_int_equal(config.active_size, 9);
    assert_true(config.remove_delay_s == 1800);
    assert_true(config.sync_interval_s == 5);
    set_active_size(7, 12.5);
    struct command command = {
        .type = COMMAND_CLUSTER,
        .cluster = {.has_sync_interval = true, .sync_interval_us = 2500000}};
    assert_int_equal(cluster_wait(&world, cluster_submit(&world, 2, &command)),
                     ERR_OK);
    cluster_settle(&world);
    for (size_t i = 0; i < 3; i++) {
        node_cluster_config(world.members[i].node, &config);
        assert_int_equal(config.active_size, 7);
        assert_true(config.remove_delay_s == 12.5);
        assert_true(config.sync_interval_s == 2.5);
    }
    cluster_crash(&world, 0);
    OPEN(0);
    (void)cluster_leader(&world);
    cluster_settle(&world);
    node_cluster_config(world.members[0].node, &config);
    assert_int_equal(config.active_size, 7);
    set_active_size(1, 0);
    cluster_settle(&world);
    node_cluster_config(world.members[1].node, &config);
    assert_int_equal(config.active_size, 3);
    assert_true(config.remove_delay_s == 0.1); /* as the tests have it */
}

/* ---- disaster ------------------------------------------------------------ */

static void one_of_three_begins_anew_alone(void **state)
{
    (void)state;
    start(3, 1);
    SET(0, "/a", "1");
    cluster_settle(&world);
    size_t leader = cluster_leader(&world);
    size_t left = (leader + 1) % 3;
    for (size_t i = 0; i < 3; i++)
        cluster_crash(&world, i);
    world.members[left].config.force_new_cluster = true;
    OPEN(left);
    assert_int_equal(members_of(left), 1);
    VALUE(left, "/a", "1");
    SET(left, "/b", "2");
    assert_true(
        node_member_removed(world.members[left].node, cluster_id(leader)));
    /* From now on it needs no force, whatever it lost. */
    world.members[left].config.force_new_cluster = false;
    for (int i = 0; i < 3; i++) {
        cluster_crash(&world, left);
        OPEN(left);
        assert_int_equal(members_of(left), 1);
        assert_true(node_reads_are_current(world.members[left].node));
        VALUE(left, "/b", "2");
        if (i == 1)
            assert_int_equal(cluster_flush(&world, left), ERR_OK);
    }
    CHANGE(left, NODE_ADD_LEARNER, 3);
    OPEN(3);
    cluster_settle(&world);
    VALUE(3, "/b", "2");
    cluster_check_same(&world);
}

/* A new member that was told of nobody asks nobody for its vote. */
static void who_joins_waits(void **state)
{
    (void)state;
    start(3, 1);
    OPEN(3);
    cluster_run(&world, 5000);
    struct node_progress progress = cluster_progress(&world, 3);
    assert_int_equal(progress.term, 0);
    assert_int_equal(progress.applied, 0);
    assert_int_equal(progress.leader, 0);
    assert_false(progress.is_removed);
    assert_int_equal(members_of(3), 0);
    cluster_crash(&world, 3);
    OPEN(3);
    CHANGE(0, NODE_ADD_VOTER, 3);
    cluster_settle(&world);
    assert_int_equal(members_of(3), 4);
    assert_false(cluster_progress(&world, 3).is_removed);
}

/* The first start may end anywhere; the second one makes it whole. */
static void a_first_start_may_crash_at_any_call(void **state)
{
    (void)state;
    cluster_deinit(&world);
    for (uint64_t n = 1;; n++) {
        cluster_init(&world, 3, 0, n);
        kv_memory_fail_after(world.members[0].kv, n, ERR_IO);
        enum err err = cluster_open(&world, 0);
        if (err == ERR_OK) {
            kv_memory_fail_after(world.members[0].kv, 0, ERR_OK);
            assert_true(n > 5);
            return;
        }
        cluster_crash(&world, 0);
        cluster_open_all(&world);
        SET(cluster_leader(&world), "/a", "1");
        cluster_deinit(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_member_is_added_and_joins),
        STORY(one_becomes_three),
        STORY(one_takes_a_second_voter_when_it_has_come),
        STORY(a_learner_follows_and_doesnt_vote),
        STORY(what_makes_no_sense_is_refused),
        STORY(the_last_voter_stays),
        STORY(a_change_that_would_end_the_cluster_is_refused),
        STORY(without_strictness_it_is_not),
        STORY(a_learner_that_is_behind_is_not_promoted),
        STORY(a_member_is_removed_and_knows_it),
        STORY(a_leader_removes_itself),
        STORY(addresses_change),
        STORY(changes_wait_for_each_other),
        STORY(an_answer_that_is_lost_is_no_loss),
        STORY(standbys_wait_behind_the_active_ones),
        STORY(a_standby_votes_where_one_is_missing),
        STORY(too_many_voters_become_standbys),
        STORY(a_dead_follower_is_replaced),
        STORY(a_dead_leader_is_replaced),
        STORY(one_that_is_back_in_time_keeps_its_vote),
        STORY(without_a_quorum_nobody_is_replaced),
        STORY(the_clusters_config_is_kept),
        STORY(one_of_three_begins_anew_alone),
        STORY(who_joins_waits),
        STORY(a_first_start_may_crash_at_any_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
