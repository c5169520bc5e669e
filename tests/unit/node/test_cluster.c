/* Three members and more: who leads, what a write goes through, and what comes
 * of it when a leader goes. */
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

static int begin(void **state)
{
    (void)state;
    cluster_init(&world, 3, 0, 1);
    return 0;
}

static int end(void **state)
{
    (void)state;
    cluster_deinit(&world);
    return 0;
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, begin, end)
#define SET(at, key, value) \
    assert_int_equal(cluster_set(&world, at, key, value), ERR_OK)
#define VALUE(at, key, value) \
    assert_string_equal(cluster_get(&world, at, key), value)
#define NOTHING(at, key) assert_null(cluster_get(&world, at, key))
#define READ(at) assert_int_equal(cluster_read(&world, at), ERR_OK)

/* ---- a leader ------------------------------------------------------------ */

static void three_elect_one(void **state)
{
    (void)state;
    cluster_open_all(&world);
    int64_t start_ns = world.now_ns;
    size_t leader = cluster_leader(&world);
    assert_true(world.now_ns - start_ns < 4 * CLUSTER_ELECTION_MS * CLUSTER_MS);
    cluster_settle(&world);
    for (size_t i = 0; i < 3; i++) {
        struct node_progress progress = cluster_progress(&world, i);
        assert_int_equal(progress.leader, cluster_id(leader));
        assert_int_equal(progress.role,
                         i == leader ? RAFT_LEADER : RAFT_FOLLOWER);
        assert_false(progress.is_learner);
        assert_false(progress.is_removed);
        assert_int_equal(world.members[i].others, 2);
    }
    cluster_check_same(&world);
}

static void one_of_three_elects_nobody(void **state)
{
    (void)state;
    assert_int_equal(cluster_open(&world, 0), ERR_OK);
    cluster_run(&world, 5000);
    assert_int_equal(cluster_progress(&world, 0).leader, 0);
    assert_int_equal(cluster_progress(&world, 0).applied, 0);
    assert_int_equal(cluster_open(&world, 1), ERR_OK);
    (void)cluster_leader(&world);
    SET(0, "/a", "1");
    VALUE(0, "/a", "1");
}

static void each_says_who_it_is(void **state)
{
    (void)state;
    struct arena arena;
    struct node_member *members;
    cluster_open_all(&world);
    (void)cluster_leader(&world);
    cluster_run(&world, 1000);
    cluster_settle(&world);
    arena_init(&arena, 0);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(node_members(world.members[i].node, &arena, &members),
                         3);
        for (size_t j = 0; j < 3; j++) {
            assert_int_equal(members[j].id, cluster_id(j));
            assert_true(slice_eq(members[j].name, slice_str(world.names[j])));
            assert_true(
                slice_eq(members[j].peer_urls, slice_str(world.urls[j])));
            assert_true(
                slice_eq(members[j].client_urls, SLICE("http://client:2379")));
        }
    }
    arena_deinit(&arena);
    cluster_check_same(&world);
}

static void a_quiet_cluster_writes_nothing(void **state)
{
    (void)state;
    cluster_open_all(&world);
    size_t leader = cluster_leader(&world);
    cluster_run(&world, 3000);
    raft_index applied = cluster_progress(&world, leader).applied;
    uint64_t syncs = disk_memory_syncs(world.members[leader].disk);
    cluster_run(&world, 10000);
    assert_int_equal(cluster_progress(&world, leader).applied, applied);
    assert_int_equal(disk_memory_syncs(world.members[leader].disk), syncs);
    assert_int_equal(cluster_leader(&world), leader);
}

/* ---- writes -------------------------------------------------------------- */

static void a_write_reaches_all(void **state)
{
    (void)state;
    cluster_open_all(&world);
    size_t leader = cluster_leader(&world);
    SET(leader, "/a", "1");
    cluster_settle(&world);
    for (size_t i = 0; i < 3; i++)
        VALUE(i, "/a", "1");
    cluster_check_same(&world);
}

static void a_follower_answers_when_it_has_it_itself(void **state)
{
    (void)state;
    cluster_open_all(&world);
    size_t follower = cluster_follower(&world);
    cluster_run(&world, 1000);
    struct cluster_wait *wait = cluster_set_async(&world, follower, "/a", "1");
    assert_int_equal(cluster_wait(&world, wait), ERR_OK);
    VALUE(follower, "/a", "1");
    assert_int_equal(wait->request.tree.index, 2);
    assert_string_equal(wait->request.tree.event.action, "set");
    assert_int_equal(wait->request.index,
                     cluster_progress(&world, follower).applied);
    assert_true(cluster_counters(&world, follower).forwarded >= 1);
}

static void many_come_to_all_members_at_once(void **state)
{
    (void)state;
    enum { COUNT = 900 };
    struct cluster_wait *waits[COUNT];
    char key[32];
    cluster_open_all(&world);
    (void)cluster_leader(&world);
    for (size_t i = 0; i < COUNT; i++) {
        snprintf(key, sizeof key, "/k%zu", i);
        waits[i] = cluster_set_async(&world, i % 3, key, "v");
    }
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(cluster_wait(&world, waits[i]), ERR_OK);
    cluster_settle(&world);
    assert_int_equal(cluster_progress(&world, 0).revision, COUNT + 1);
    cluster_check_same(&world);
}

static void a_write_before_there_is_a_leader_waits_for_it(void **state)
{
    (void)state;
    cluster_open_all(&world);
    struct cluster_wait *waits[3];
    for (size_t i = 0; i < 3; i++)
        waits[i] = cluster_set_async(&world, i, "/a", "1");
    (void)cluster_leader(&world);
    cluster_run(&world, CLUSTER_HEARTBEAT_MS);
    for (size_t i = 0; i < 3; i++) {
        assert_true(waits[i]->done);
        /* An election may take longer than one timeout. */
        assert_true(waits[i]->err == ERR_OK || waits[i]->err == ERR_NO_LEADER);
    }
}

static void without_a_leader_an_election_timeout_is_the_end(void **state)
{
    (void)state;
    assert_int_equal(cluster_open(&world, 0), ERR_OK);
    cluster_run(&world, 100);
    int64_t start_ns = world.now_ns;
    assert_int_equal(cluster_set(&world, 0, "/a", "1"), ERR_NO_LEADER);
    int64_t took_ms = (world.now_ns - start_ns) / CLUSTER_MS;
    assert_in_range(took_ms, CLUSTER_ELECTION_MS,
                    CLUSTER_ELECTION_MS + CLUSTER_HEARTBEAT_MS);
    start_ns = world.now_ns;
    assert_int_equal(cluster_read(&world, 0), ERR_NO_LEADER);
    took_ms = (world.now_ns - start_ns) / CLUSTER_MS;
    assert_in_range(took_ms, CLUSTER_ELECTION_MS,
                    CLUSTER_ELECTION_MS + CLUSTER_HEARTBEAT_MS);
    assert_int_equal(cluster_change(&world, 0, NODE_REMOVE, 1), ERR_NO_LEADER);
}

/* A second one, that comes late, has its own time. */
static void each_waits_its_own_time(void **state)
{
    (void)state;
    assert_int_equal(cluster_open(&world, 0), ERR_OK);
    cluster_run(&world, 100);
    struct cluster_wait *first = cluster_set_async(&world, 0, "/a", "1");
    cluster_run(&world, CLUSTER_ELECTION_MS / 2);
    struct cluster_wait *second = cluster_set_async(&world, 0, "/b", "1");
    cluster_run(&world, CLUSTER_ELECTION_MS / 2 + 2 * CLUSTER_HEARTBEAT_MS);
    assert_true(first->done);
    assert_false(second->done);
    assert_int_equal(cluster_wait(&world, second), ERR_NO_LEADER);
}

/* ---- forwarding that goes wrong ------------------------------------------ */

static bool is_forward(struct slice bytes)
{
    return bytes.at[0] == NODE_ENVELOPE_FORWARD;
}

static size_t forwards_to_lose;

static bool lose_forwards(struct node_cluster *cluster, member_id from,
                          member_id to, struct slice bytes)
{
    (void)cluster;
    (void)from;
    (void)to;
    if (is_forward(bytes) && forwards_to_lose > 0) {
        forwards_to_lose--;
        return false;
    }
    return true;
}

static void a_lost_forward_is_sent_again(void **state)
{
    (void)state;
    cluster_open_all(&world);
    size_t follower = cluster_follower(&world);
    SET(follower, "/before", "1");
    world.filter = lose_forwards;
    forwards_to_lose = 2;
    SET(follower, "/a", "1");
    assert_int_equal(forwards_to_lose, 0);
    VALUE(follower, "/a", "1");
    /* It is one write all the same. */
    assert_int_equal(cluster_progress(&world, follower).revision, 3);
}

static void all_lost_is_told_in_time(void **state)
{
    (void)state;
    cluster_open_all(&world);
    size_t follower = cluster_follower(&world);
    world.filter = lose_forwards;
    forwards_to_lose = SIZE_MAX;
    int64_t start_ns = world.now_ns;
    assert_int_equal(cluster_set(&world, follower, "/a", "1"), ERR_TIMEOUT);
    assert_true(world.now_ns - start_ns >= 2000 * CLUSTER_MS);
    assert_true(world.now_ns - start_ns <= 2100 * CLUSTER_MS);
    world.filter = NULL;
    cluster_run(&world, 3000);
    NOTHING(follower, "/a");
}

static void what_comes_twice_is_done_once(void **state)
{
    (void)state;
    char key[32];
    cluster_open_all(&world);
    size_t follower = cluster_follower(&world);
    cluster_run(&world, 1000);
    cluster_settle(&world);
    revision before = cluster_progress(&world, follower).revision;
    world.doubled_percent = 100;
    world.jitter_ms = 50;
    for (int i = 0; i < 50; i++) {
        snprintf(key, sizeof key, "/k%d", i);
        SET(follower, key, "v");
    }
    cluster_run(&world, 1000);
    cluster_settle(&world);
    assert_int_equal(cluster_progress(&world, follower).revision, before + 50);
    cluster_check_same(&world);
}

static struct refbuf *kept_forward;

static bool keep_forward(struct node_cluster *cluster, member_id from,
                         member_id to, struct slice bytes)
{
    (void)cluster;
    (void)from;
    (void)to;
    if (is_forward(bytes) && kept_forward == NULL)
        kept_forward = refbuf_dup(bytes.at, bytes.size);
    return true;
}

/* The command was for one term: in another one it is of no use, also to the
 * same leader, who has forgotten it. */
static void a_forward_of_an_old_term_is_not_proposed(void **state)
{
    (void)state;
    cluster_open_all(&world);
    size_t leader = cluster_leader(&world);
    size_t follower = cluster_follower(&world);
    cluster_run(&world, 1000);
    kept_forward = NULL;
    world.filter = keep_forward;
    SET(follower, "/a", "1");
    world.filter = NULL;
    assert_non_null(kept_forward);
    SET(follower, "/a", "2");
    cluster_crash(&world, leader);
    (void)cluster_leader(&world);
    assert_int_equal(cluster_open(&world, leader), ERR_OK);
    for (int i = 0; i < 20 && cluster_leader(&world) != leader; i++) {
        node_transfer(world.members[cluster_leader(&world)].node,
                      cluster_id(leader));
        cluster_run(&world, 500);
    }
    assert_int_equal(cluster_leader(&world), leader);
    node_receive(world.members[leader].node, cluster_id(follower),
                 kept_forward);
    cluster_run(&world, 500);
    for (size_t i = 0; i < 3; i++)
        VALUE(i, "/a", "2");
}

/* Without room the leader says so, and the follower at once. */
static void a_refusal_reaches_the_client(void **state)
{
    (void)state;
    char large[4096];
    memset(large, 'x', sizeof large);
    large[sizeof large - 1] = 0;
    for (size_t i = 0; i < 3; i++)
        world.members[i].config.quota_bytes = 20000;
    cluster_open_all(&world);
    size_t leader = cluster_leader(&world);
    size_t follower = cluster_follower(&world);
    char key[32];
    for (int i = 0; i < 8; i++) {
        snprintf(key, sizeof key, "/k%d", i);
        SET(follower, key, large);
    }
    assert_int_equal(cluster_flush(&world, leader), ERR_OK);
    assert_true(cluster_progress(&world, leader).no_space);
    int64_t start_ns = world.now_ns;
    assert_int_equal(cluster_set(&world, follower, "/more", large),
                     ERR_NO_SPACE);
    assert_true(world.now_ns - start_ns <= 10 * CLUSTER_MS);
    NOTHING(follower, "/more");
}

/* ---- a leader goes ------------------------------------------------------- */

static void tell_lost(size_t gone)
{
    for (size_t i = 0; i < 3; i++)
        if (world.members[i].node != NULL)
            node_peer_lost(world.members[i].node, cluster_id(gone));
}

static void the_others_go_on_without_it(void **state)
{
    (void)state;
    cluster_open_all(&world);
    size_t leader = cluster_leader(&world);
    SET(leader, "/a", "1");
    cluster_crash(&world, leader);
    int64_t start_ns = world.now_ns;
    tell_lost(leader);
    size_t next = cluster_leader(&world);
    assert_true(next != leader);
    assert_true(world.now_ns - start_ns < CLUSTER_ELECTION_MS * CLUSTER_MS);
    SET(next, "/b", "2");
    SET(cluster_follower(&world), "/c", "3");
    assert_int_equal(cluster_open(&world, leader), ERR_OK);
    cluster_settle(&world);
    VALUE(leader, "/a", "1");
    VALUE(leader, "/b", "2");
    VALUE(leader, "/c", "3");
    cluster_check_same(&world);
}

/* Handed over, and the leader is gone with it: the next one gets it. */
static void what_the_leader_took_along_is_handed_over_again(void **state)
{
    (void)state;
    cluster_open_all(&world);
    size_t leader = cluster_leader(&world);
    size_t follower = cluster_follower(&world);
    SET(follower, "/before", "1");
    world.delay_ms = 5;
    struct cluster_wait *wait = cluster_set_async(&world, follower, "/a", "1");
    cluster_run(&world, 2);
    assert_false(wait->done);
    cluster_crash(&world, leader);
    int64_t start_ns = world.now_ns;
    tell_lost(leader);
    assert_int_equal(cluster_wait(&world, wait), ERR_OK);
    assert_true(world.now_ns - start_ns < 2 * CLUSTER_ELECTION_MS * CLUSTER_MS);
    VALUE(follower, "/a", "1");
    assert_int_equal(cluster_progress(&world, follower).revision, 3);
}

/* In the log of both when the leader goes: it is done, once. */
static void what_was_on_its_way_is_done_once(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 30; seed++) {
        cluster_deinit(&world);
        cluster_init(&world, 3, 0, seed);
        cluster_open_all(&world);
        size_t leader = cluster_leader(&world);
        size_t follower = cluster_follower(&world);
        SET(follower, "/before", "1");
        cluster_run(&world, 500);
        revision before = cluster_progress(&world, follower).revision;
        world.delay_ms = 5;
        world.jitter_ms = 3;
        struct cluster_wait *wait =
            cluster_set_async(&world, follower, "/a", "1");
        cluster_run(&world, (int64_t)seed);
        cluster_crash(&world, leader);
        tell_lost(leader);
        assert_int_equal(cluster_wait(&world, wait), ERR_OK);
        cluster_settle(&world);
        assert_int_equal(cluster_progress(&world, follower).revision,
                         before + 1);
        VALUE(follower, "/a", "1");
        cluster_check_same(&world);
    }
}

/* A leader that is cut off doesn't know what became of what it proposed. */
static void a_leader_that_is_cut_off_says_so(void **state)
{
    (void)state;
    cluster_open_all(&world);
    size_t leader = cluster_leader(&world);
    SET(leader, "/a", "1");
    cluster_isolate(&world, leader, true);
    struct cluster_wait *wait = cluster_set_async(&world, leader, "/a", "2");
    struct cluster_wait *read = cluster_read_async(&world, leader);
    size_t next = cluster_leader(&world);
    assert_true(next != leader);
    SET(next, "/a", "3");
    cluster_run(&world, 1000);
    assert_false(wait->done);
    assert_int_equal(cluster_progress(&world, leader).leader, 0);
    assert_true(read->done);
    assert_int_equal(read->err, ERR_NO_LEADER);
    assert_int_equal(cluster_set(&world, leader, "/a", "4"), ERR_NO_LEADER);
    cluster_mend(&world);
    assert_int_equal(cluster_wait(&world, wait), ERR_TIMEOUT);
    cluster_settle(&world);
    for (size_t i = 0; i < 3; i++)
        VALUE(i, "/a", "3");
    cluster_check_same(&world);
}

static void it_says_so_in_time_even_if_it_stays_cut_off(void **state)
{
    (void)state;
    cluster_open_all(&world);
    size_t leader = cluster_leader(&world);
    cluster_isolate(&world, leader, true);
    int64_t start_ns = world.now_ns;
    assert_int_equal(cluster_set(&world, leader, "/a", "2"), ERR_TIMEOUT);
    assert_true(world.now_ns - start_ns >= 2000 * CLUSTER_MS);
    assert_true(world.now_ns - start_ns <= 2100 * CLUSTER_MS);
}

static void a_member_that_slept_hears_first(void **state)
{
    (void)state;
    cluster_open_all(&world);
    size_t leader = cluster_leader(&world);
    size_t follower = cluster_follower(&world);
    raft_term term = cluster_progress(&world, leader).term;
    for (int i = 0; i < 5; i++) {
        world.members[follower].paused = true;
        cluster_run(&world, 1000 + 300 * i);
        world.members[follower].paused = false;
        cluster_run(&world, 1000);
    }
    assert_int_equal(cluster_leader(&world), leader);
    assert_int_equal(cluster_progress(&world, leader).term, term);
}

static void leadership_is_handed_over(void **state)
{
    (void)state;
    cluster_open_all(&world);
    size_t leader = cluster_leader(&world);
    SET(leader, "/a", "1");
    size_t to = cluster_follower(&world);
    node_transfer(world.members[leader].node, cluster_id(to));
    struct cluster_wait *meanwhile =
        cluster_set_async(&world, leader, "/b", "2");
    cluster_run(&world, CLUSTER_ELECTION_MS);
    assert_int_equal(cluster_leader(&world), to);
    assert_int_equal(cluster_wait(&world, meanwhile), ERR_OK);
    /* Asked of a follower it is forwarded. */
    node_transfer(world.members[leader].node, cluster_id(leader));
    cluster_run(&world, CLUSTER_ELECTION_MS);
    assert_int_equal(cluster_leader(&world), leader);
    node_transfer(world.members[leader].node, 0);
    cluster_run(&world, CLUSTER_ELECTION_MS);
    assert_true(cluster_leader(&world) != leader);
}

/* ---- reads --------------------------------------------------------------- */

static void a_read_sees_what_was_answered_before(void **state)
{
    (void)state;
    char value[16];
    cluster_open_all(&world);
    (void)cluster_leader(&world);
    world.delay_ms = 3;
    for (size_t i = 0; i < 30; i++) {
        snprintf(value, sizeof value, "%zu", i);
        SET(i % 3, "/a", value);
        READ((i + 1) % 3);
        VALUE((i + 1) % 3, "/a", value);
    }
    assert_false(node_reads_are_current(world.members[0].node));
}

static void reads_of_a_turn_are_one_question(void **state)
{
    (void)state;
    struct cluster_wait *waits[100];
    cluster_open_all(&world);
    size_t follower = cluster_follower(&world);
    SET(follower, "/a", "1");
    world.delay_ms = 2;
    uint64_t before = cluster_counters(&world, follower).messages_received;
    for (size_t i = 0; i < 100; i++)
        waits[i] = cluster_read_async(&world, follower);
    cluster_run(&world, 10);
    for (size_t i = 0; i < 100; i++) {
        assert_true(waits[i]->done);
        assert_int_equal(waits[i]->err, ERR_OK);
    }
    assert_true(cluster_counters(&world, follower).messages_received - before <
                10);
    assert_true(cluster_counters(&world, follower).reads_confirmed >= 100);
}

static void lost_questions_are_asked_again(void **state)
{
    (void)state;
    cluster_open_all(&world);
    (void)cluster_leader(&world);
    world.lost_percent = 20;
    for (size_t i = 0; i < 60; i++) {
        enum err err = cluster_read(&world, i % 3);
        assert_true(err == ERR_OK || err == ERR_NO_LEADER);
    }
}

/* ---- restarts ------------------------------------------------------------ */

static void all_go_off_and_come_back(void **state)
{
    (void)state;
    char key[32];
    cluster_open_all(&world);
    size_t leader = cluster_leader(&world);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 20; i++) {
            snprintf(key, sizeof key, "/r%d/k%d", round, i);
            SET((size_t)i % 3, key, "v");
        }
        if (round % 2 == 0)
            assert_int_equal(cluster_flush(&world, leader), ERR_OK);
        for (size_t i = 0; i < 3; i++)
            cluster_crash(&world, i);
        cluster_open_all(&world);
        leader = cluster_leader(&world);
        SET(leader, "/round", "x");
        cluster_settle(&world);
        for (size_t i = 0; i < 3; i++) {
            VALUE(i, "/r0/k0", "v");
            VALUE(i, key, "v");
        }
        cluster_check_same(&world);
    }
}

static void one_after_the_other_restarts(void **state)
{
    (void)state;
    cluster_open_all(&world);
    for (size_t i = 0; i < 9; i++) {
        SET(cluster_leader(&world), "/a", "1");
        cluster_close(&world, i % 3);
        SET(cluster_leader(&world), "/b", "2");
        assert_int_equal(cluster_open(&world, i % 3), ERR_OK);
        cluster_settle(&world);
        VALUE(i % 3, "/b", "2");
    }
    cluster_check_same(&world);
}

/* ---- leases -------------------------------------------------------------- */

static void a_lease_ends_everywhere_at_its_time(void **state)
{
    (void)state;
    cluster_open_all(&world);
    size_t follower = cluster_follower(&world);
    assert_int_equal(cluster_set_ttl(&world, follower, "/a", "1", 5), ERR_OK);
    cluster_run(&world, 4900);
    for (size_t i = 0; i < 3; i++)
        VALUE(i, "/a", "1");
    cluster_run(&world, 200);
    for (size_t i = 0; i < 3; i++)
        NOTHING(i, "/a");
    cluster_check_same(&world);
}

/* The next leader's clock may be far behind: time goes on from the log's. */
static void another_leaders_clock_gives_no_time(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++)
        world.members[i].wall_shift_ns = (int64_t)i * -3600 * 1000 * CLUSTER_MS;
    cluster_open_all(&world);
    (void)cluster_leader(&world);
    for (int i = 0; i < 20 && cluster_leader(&world) != 0; i++) {
        node_transfer(world.members[cluster_leader(&world)].node,
                      cluster_id(0));
        cluster_run(&world, 500);
    }
    assert_int_equal(cluster_leader(&world), 0);
    assert_int_equal(cluster_set_ttl(&world, 1, "/a", "1", 10), ERR_OK);
    cluster_run(&world, 3000);
    cluster_crash(&world, 0);
    size_t next = cluster_leader(&world);
    cluster_run(&world, 5500);
    VALUE(next, "/a", "1");
    cluster_run(&world, 2500);
    NOTHING(next, "/a");
}

static void lead_by(size_t number)
{
    for (int i = 0; i < 20 && cluster_leader(&world) != number; i++) {
        node_transfer(world.members[cluster_leader(&world)].node,
                      cluster_id(number));
        cluster_run(&world, 500);
    }
    assert_int_equal(cluster_leader(&world), number);
}

/* What was said last made no commit, and all of it is in the store: its time
 * counts all the same, or the others would refuse what comes behind it. */
static void a_late_clock_leads_too(void **state)
{
    (void)state;
    struct command nothing = {
        .type = COMMAND_TREE,
        .tree = {.op = TREE_DELETE, .path = SLICE("/nothing")}};
    for (size_t i = 1; i < 3; i++)
        world.members[i].wall_shift_ns = -3600 * 1000 * CLUSTER_MS;
    cluster_open_all(&world);
    lead_by(0);
    assert_int_equal(cluster_wait(&world, cluster_submit(&world, 0, &nothing)),
                     ERR_OK);
    cluster_settle(&world);
    /* One has all of it in the store, the other all in the log. */
    cluster_close(&world, 1);
    cluster_crash(&world, 2);
    cluster_crash(&world, 0);
    assert_int_equal(cluster_open(&world, 1), ERR_OK);
    assert_int_equal(cluster_open(&world, 2), ERR_OK);
    for (size_t i = 1; i < 3; i++) {
        lead_by(i);
        SET(i, "/a", "1");
        SET(3 - i, "/b", "1");
    }
    assert_int_equal(cluster_open(&world, 0), ERR_OK);
    cluster_settle(&world);
    cluster_check_same(&world);
}

/* ---- what is told of it -------------------------------------------------- */

static void the_leader_tells_of_the_others(void **state)
{
    (void)state;
    struct node_peer peers[8];
    cluster_open_all(&world);
    size_t leader = cluster_leader(&world);
    world.delay_ms = 4;
    for (int i = 0; i < 20; i++)
        SET(leader, "/a", "1");
    cluster_run(&world, 500);
    assert_int_equal(node_peers(world.members[leader].node, peers, 8), 2);
    for (size_t i = 0; i < 2; i++) {
        assert_true(peers[i].id != cluster_id(leader));
        assert_int_equal(peers[i].state, RAFT_PEER_REPLICATE);
        assert_int_equal(peers[i].match,
                         cluster_progress(&world, leader).applied);
        assert_true(peers[i].answered >= 10);
        assert_int_equal(peers[i].failed, 0);
        double average = peers[i].latency_sum_ms / (double)peers[i].answered;
        assert_true(average >= 7 && average < 20);
        assert_true(peers[i].latency_min_ms <= average);
        assert_true(peers[i].latency_max_ms >= average);
    }
    node_unreachable(world.members[leader].node, peers[0].id);
    cluster_run(&world, 200);
    assert_int_equal(node_peers(world.members[leader].node, peers, 8), 2);
    assert_int_equal(peers[0].failed, 1);
    assert_int_equal(
        node_peers(world.members[cluster_follower(&world)].node, peers, 8), 0);
    assert_true(cluster_counters(&world, leader).append_sent > 20);
    assert_true(
        cluster_counters(&world, cluster_follower(&world)).append_received >
        10);
}

static void nonsense_is_dropped(void **state)
{
    (void)state;
    static const char *const messages[] = {
        "", "\1", "\1xyz", "\2", "\2\1", "\3", "\3abc", "\4", "zzzz"};
    cluster_open_all(&world);
    size_t leader = cluster_leader(&world);
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++)
        for (size_t j = 0; j < 3; j++)
            node_receive(world.members[j].node, cluster_id((j + 1) % 3),
                         refbuf_dup(messages[i], strlen(messages[i])));
    struct prng prng;
    prng_init(&prng, 7);
    for (int i = 0; i < 2000; i++) {
        char bytes[40];
        size_t size = prng_below(&prng, sizeof bytes);
        for (size_t j = 0; j < size; j++)
            bytes[j] = (char)prng_below(&prng, j == 0 ? 5 : 256);
        node_receive(world.members[i % 3].node, cluster_id((size_t)(i + 1) % 3),
                     refbuf_dup(bytes, size));
        if (i % 100 == 0)
            cluster_run(&world, 1);
    }
    cluster_run(&world, 100);
    assert_true(cluster_counters(&world, leader).messages_dropped > 0);
    SET(cluster_leader(&world), "/a", "1");
    cluster_settle(&world);
    cluster_check_same(&world);
}

static void too_much_at_once_is_lost(void **state)
{
    (void)state;
    cluster_open_all(&world);
    size_t leader = cluster_leader(&world);
    for (size_t i = 0; i < NODE_INBOX_MAX + 10; i++)
        node_receive(world.members[leader].node, cluster_id((leader + 1) % 3),
                     refbuf_dup("\4", 1));
    struct node_counters counters = cluster_counters(&world, leader);
    assert_int_equal(counters.messages_dropped, 10);
    cluster_run(&world, 10);
    SET(leader, "/a", "1");
}

/* Losses, delays and doubles, crashes now and then: what was answered is
 * there, and all have the same. */
static void through_thick_and_thin(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        cluster_deinit(&world);
        cluster_init(&world, 3, 0, seed);
        cluster_open_all(&world);
        world.lost_percent = 5;
        world.doubled_percent = 5;
        world.jitter_ms = 15;
        struct prng prng;
        char key[32];
        char done[150] = {0};
        prng_init(&prng, seed);
        for (size_t i = 0; i < sizeof done; i++) {
            snprintf(key, sizeof key, "/k%zu", i);
            size_t at = prng_below(&prng, 3);
            done[i] = cluster_set(&world, at, key, "v") == ERR_OK;
            if (prng_below(&prng, 20) == 0) {
                cluster_crash(&world, at);
                cluster_run(&world, 100);
                assert_int_equal(cluster_open(&world, at), ERR_OK);
            }
        }
        world.lost_percent = world.doubled_percent = 0;
        (void)cluster_leader(&world);
        cluster_settle(&world);
        cluster_check_same(&world);
        size_t count = 0;
        for (size_t i = 0; i < sizeof done; i++) {
            snprintf(key, sizeof key, "/k%zu", i);
            count += done[i] != 0;
            if (done[i])
                VALUE(0, key, "v");
        }
        assert_true(count > 50);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(three_elect_one),
        STORY(one_of_three_elects_nobody),
        STORY(each_says_who_it_is),
        STORY(a_quiet_cluster_writes_nothing),
        STORY(a_write_reaches_all),
        STORY(a_follower_answers_when_it_has_it_itself),
        STORY(many_come_to_all_members_at_once),
        STORY(a_write_before_there_is_a_leader_waits_for_it),
        STORY(without_a_leader_an_election_timeout_is_the_end),
        STORY(each_waits_its_own_time),
        STORY(a_lost_forward_is_sent_again),
        STORY(all_lost_is_told_in_time),
        STORY(what_comes_twice_is_done_once),
        STORY(a_forward_of_an_old_term_is_not_proposed),
        STORY(a_refusal_reaches_the_client),
        STORY(the_others_go_on_without_it),
        STORY(what_the_leader_took_along_is_handed_over_again),
        STORY(what_was_on_its_way_is_done_once),
        STORY(a_leader_that_is_cut_off_says_so),
        STORY(it_says_so_in_time_even_if_it_stays_cut_off),
        STORY(a_member_that_slept_hears_first),
        STORY(leadership_is_handed_over),
        STORY(a_read_sees_what_was_answered_before),
        STORY(reads_of_a_turn_are_one_question),
        STORY(lost_questions_are_asked_again),
        STORY(all_go_off_and_come_back),
        STORY(one_after_the_other_restarts),
        STORY(a_lease_ends_everywhere_at_its_time),
        STORY(another_leaders_clock_gives_no_time),
        STORY(a_late_clock_leads_too),
        STORY(the_leader_tells_of_the_others),
        STORY(nonsense_is_dropped),
        STORY(too_much_at_once_is_lost),
        STORY(through_thick_and_thin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
