/* v3's requests on three members: answered where they came in, the leases'
 * ends the same everywhere, whoever leads. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/check.h"
#include "base/plant.h"
#include "support/node_requests.h"
#include "support/node_cluster.h"

static struct node_cluster world;

static int begin(void **state)
{
    (void)state;
    cluster_init(&world, 3, 0, 1);
    for (size_t i = 0; i < 3; i++)
        world.members[i].config.catch_up_entries = 0;
    return 0;
}

static int end(void **state)
{
    (void)state;
    cluster_deinit(&world);
    return 0;
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, begin, end)
#define RECORD(at, key, text) \
    assert_string_equal(record_text(world.members[at].node, key), text)

enum { NOSPACE = 1 };

static const struct txn_answer *ask(size_t at, struct command command)
{
    struct cluster_wait *wait = cluster_submit(&world, at, &command);
    assert_int_equal(cluster_wait(&world, wait), ERR_OK);
    return &wait->request.answer;
}

static const struct txn_answer *good(size_t at, struct command command)
{
    const struct txn_answer *answer = ask(at, command);
    assert_int_equal(answer->error, V3_OK);
    return answer;
}

static enum err fails(size_t at, struct command command)
{
    struct cluster_wait *wait = cluster_submit(&world, at, &command);
    enum err err = cluster_wait(&world, wait);
    assert_null(wait->request.answer.body.at);
    return err;
}

static struct lease_info info_of(size_t at, lease_id id)
{
    struct lease_info info = {0};
    (void)lease_info(node_leases(world.members[at].node), id, &info);
    return info;
}

/* On the wall. */
static int64_t left_ms(int64_t end_ns)
{
    return (end_ns - CLUSTER_START_NS - world.now_ns) / CLUSTER_MS;
}

static void same_lease_everywhere(lease_id id)
{
    cluster_settle(&world);
    struct lease_info first = info_of(0, id);
    for (size_t i = 1; i < 3; i++) {
        struct lease_info other = info_of(i, id);
        assert_int_equal(other.expire_ns, first.expire_ns);
        assert_int_equal(other.granted_s, first.granted_s);
        assert_int_equal(other.keys, first.keys);
    }
}

/* ---- forwarded ----------------------------------------------------------- */

static void a_follower_answers_with_the_body(void **state)
{
    (void)state;
    cluster_open_all(&world);
    size_t at = cluster_follower(&world);
    assert_int_equal(good(at, ask_put("a", "1", 0))->revision, 2);
    RECORD(at, "a", "1 [2,2] v1 put"); /* its own reads see it */
    const struct txn_answer *answer = good(at, ask_delete("a", "b"));
    assert_int_equal(answer_number(answer, 2), 1);
    assert_int_equal(answer->revision, 3);
    assert_int_equal(answer_number(good(at, ask_toggle("a")), 2), 1);
    assert_int_equal(answer_number(good(at, ask_toggle("a")), 2), 0);
    answer = good(at, ask_grant(77, 60));
    assert_int_equal(answer_number(answer, 2), 77);
    assert_int_equal(answer_number(answer, 3), 60);
    assert_int_equal(answer_number(good(at, ask_renew(77)), 3), 60);
    assert_int_equal(good(at, ask_raise(5, NOSPACE))->body.size, 6);
    assert_int_equal(good(at, ask_end(5, NOSPACE))->body.size, 6);
    good(at, ask_compact(3));
    good(at, ask_revoke(77));
    cluster_settle(&world);
    cluster_check_same(&world);
}

static void a_follower_answers_with_the_error(void **state)
{
    (void)state;
    cluster_open_all(&world);
    size_t at = cluster_follower(&world);
    good(at, ask_grant(77, 60));
    assert_int_equal(ask(at, ask_grant(77, 60))->error, V3_LEASE_EXIST);
    assert_int_equal(ask(at, ask_revoke(78))->error, V3_LEASE_NOT_FOUND);
    assert_int_equal(ask(at, ask_compact(99))->error, V3_FUTURE_REV);
    assert_int_equal(ask(at, ask_put("a", "1", 78))->error, V3_LEASE_NOT_FOUND);
    cluster_settle(&world);
    cluster_check_same(&world);
}

static void many_at_all_members(void **state)
{
    (void)state;
    enum { COUNT = 300 };
    struct cluster_wait *waits[COUNT];
    cluster_open_all(&world);
    (void)cluster_leader(&world);
    for (size_t i = 0; i < COUNT; i++) {
        struct command put = ask_put("a", "1", 0);
        waits[i] = cluster_submit(&world, i % 3, &put);
    }
    bool seen[COUNT] = {false};
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(cluster_wait(&world, waits[i]), ERR_OK);
        revision at = waits[i]->request.answer.revision;
        assert_true(at >= 2 && at < COUNT + 2 && !seen[at - 2]);
        seen[at - 2] = true;
    }
    cluster_settle(&world);
    cluster_check_same(&world);
}

/* It would stop every member that applies it. */
static void what_is_no_request_is_not_proposed(void **state)
{
    (void)state;
    static const enum command_type types[] = {
        COMMAND_PUT,         COMMAND_DELETE_RANGE, COMMAND_TXN,
        COMMAND_LEASE_GRANT, COMMAND_LEASE_REVOKE, COMMAND_ALARM};
    cluster_open_all(&world);
    size_t at = cluster_follower(&world);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct command command = {.type = types[i],
                                  .message = SLICE("\x0a\x7f")};
        assert_int_equal(fails(at, command), ERR_TIMEOUT);
    }
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(world.members[i].failed, ERR_OK);
    good(at, ask_put("a", "1", 0));
}

static void without_a_leader_nothing_is_answered(void **state)
{
    (void)state;
    cluster_open_all(&world);
    size_t at = cluster_follower(&world);
    cluster_isolate(&world, at, true);
    cluster_run(&world, 10 * CLUSTER_ELECTION_MS);
    assert_int_equal(fails(at, ask_put("a", "1", 0)), ERR_NO_LEADER);
    assert_int_equal(fails(at, ask_grant(77, 60)), ERR_NO_LEADER);
    cluster_mend(&world);
    cluster_settle(&world);
    RECORD(at, "a", "none");
    assert_int_equal(lease_count(node_leases(world.members[at].node)), 0);
}

/* ---- leases -------------------------------------------------------------- */

static void a_change_of_leader_changes_no_end(void **state)
{
    (void)state;
    cluster_open_all(&world);
    size_t leader = cluster_leader(&world);
    good(leader, ask_grant(77, 10));
    good(leader, ask_put("/a", "1", 77));
    cluster_run(&world, 4000);
    good(leader, ask_renew(77));
    int64_t end_ns = info_of(leader, 77).expire_ns;
    assert_true(left_ms(end_ns) > 9900);
    cluster_run(&world, 3000);
    cluster_crash(&world, leader);
    size_t next = cluster_leader(&world);
    assert_int_not_equal(next, leader);
    assert_int_equal(info_of(next, 77).expire_ns, end_ns);
    assert_int_equal(cluster_open(&world, leader), ERR_OK);
    same_lease_everywhere(77);
    cluster_run(&world, left_ms(end_ns) - 100);
    RECORD(next, "/a", "1 [2,2] v1 put lease=77");
    cluster_run(&world, 300);
    for (size_t i = 0; i < 3; i++)
        RECORD(i, "/a", "none");
    assert_string_equal(event_text(world.members[leader].node, 3),
                        "expire /a=");
    cluster_check_same(&world);
}

static void kept_alive_through_any_member_it_lives(void **state)
{
    (void)state;
    cluster_open_all(&world);
    (void)cluster_leader(&world);
    good(0, ask_grant(77, 3));
    good(1, ask_put("/a", "1", 77));
    for (size_t i = 0; i < 9; i++) {
        cluster_run(&world, 2000);
        assert_int_equal(answer_number(good(i % 3, ask_renew(77)), 3), 3);
    }
    same_lease_everywhere(77);
    cluster_run(&world, 3300);
    RECORD(0, "/a", "none");
    assert_int_equal(answer_number(good(2, ask_renew(77)), 3), 0);
    cluster_check_same(&world);
}

static bool all_have_ended(struct node_cluster *cluster)
{
    for (size_t i = 0; i < cluster->count; i++)
        if (lease_count(node_leases(cluster->members[i].node)) > 0)
            return false;
    return true;
}

static void those_that_end_together_end_everywhere(void **state)
{
    (void)state;
    enum { COUNT = 2500 };
    cluster_open_all(&world);
    size_t leader = cluster_leader(&world);
    for (lease_id id = 1; id <= COUNT; id++) {
        char key[48];
        struct command grant = ask_grant(id, 20);
        (void)cluster_submit(&world, leader, &grant);
        snprintf(key, sizeof key, "/%lld", (long long)id);
        struct command put = ask_put(key, "v", id);
        (void)cluster_submit(&world, leader, &put);
    }
    cluster_run(&world, 1000);
    assert_int_equal(lease_count(node_leases(world.members[leader].node)),
                     COUNT);
    cluster_until(&world, all_have_ended, 20000);
    cluster_settle(&world);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(cluster_counters(&world, i).leases_expired, COUNT);
    RECORD(0, "/1", "none");
    cluster_check_same(&world);
}

/* Nothing can be proposed then, and the leader must not ask all the time. */
static void an_end_waits_while_leadership_is_handed_over(void **state)
{
    (void)state;
    cluster_open_all(&world);
    size_t leader = cluster_leader(&world);
    size_t next = cluster_follower(&world);
    good(leader, ask_grant(77, 2));
    good(leader, ask_put("a", "1", 77));
    cluster_settle(&world);
    cluster_run(&world, left_ms(info_of(leader, 77).expire_ns) - 20);
    cluster_isolate(&world, next, true); /* it can't take it */
    node_transfer(world.members[leader].node, cluster_id(next));
    cluster_run(&world, 50);
    RECORD(leader, "a", "1 [2,2] v1 put lease=77");
    cluster_run(&world, 3 * CLUSTER_ELECTION_MS);
    assert_int_equal(cluster_leader(&world), leader);
    RECORD(leader, "a", "none");
}

/* ---- by a snapshot ------------------------------------------------------- */

static void flush_all(void)
{
    for (size_t i = 0; i < world.count; i++)
        if (world.members[i].node != NULL)
            assert_int_equal(cluster_flush(&world, i), ERR_OK);
}

static size_t fall_behind(void)
{
    cluster_open_all(&world);
    size_t away = cluster_follower(&world);
    good(away, ask_grant(70, 100)); /* it will be gone */
    good(away, ask_put("/gone", "1", 70));
    good(away, ask_raise(9, 2));
    good(away, ask_end(9, 2));
    good(away, ask_raise(8, 2));
    good(away, ask_end(8, 2));
    cluster_settle(&world);
    cluster_close(&world, away);
    size_t leader = cluster_leader(&world);
    good(leader, ask_revoke(70));
    good(leader, ask_grant(77, 30));
    good(leader, ask_put("/b", "1", 77));
    good(leader, ask_put("a", "1", 77));
    good(leader, ask_put("/b", "2", 77));
    assert_int_equal(cluster_set_ttl(&world, leader, "/v2", "1", 40), ERR_OK);
    cluster_run(&world, 5000);
    good(leader, ask_renew(77));
    good(leader, ask_raise(cluster_id(away), NOSPACE));
    for (int i = 0; i < 3; i++) {
        flush_all();
        good(leader, ask_renew(4711));
    }
    assert_int_equal(cluster_open(&world, away), ERR_OK);
    cluster_settle(&world);
    assert_int_equal(world.members[away].snapshots_taken, 1);
    return away;
}

static void a_snapshot_brings_leases_and_alarms(void **state)
{
    (void)state;
    size_t away = fall_behind();
    struct node *node = world.members[away].node;
    char alarm[32];
    same_lease_everywhere(77);
    assert_int_equal(info_of(away, 77).granted_s, 30);
    assert_string_equal(lease_text(node, 77), "a /b ");
    assert_string_equal(lease_text(node, 70), "none");
    assert_int_equal(lease_count(node_leases(node)), 2);
    snprintf(alarm, sizeof alarm, "%llx:1 ",
             (unsigned long long)cluster_id(away));
    assert_string_equal(alarm_text(node), alarm);
    assert_int_equal(fails(away, ask_put("c", "1", 0)), ERR_NO_SPACE);
    good(away, ask_end(cluster_id(away), NOSPACE));
    good(away, ask_put("c", "1", 0));
    cluster_check_same(&world);
    /* What it brought stands a restart of it. */
    cluster_crash(&world, away);
    assert_int_equal(cluster_open(&world, away), ERR_OK);
    same_lease_everywhere(77);
    assert_string_equal(lease_text(world.members[away].node, 77), "a /b ");
}

/* Who has the store from a snapshot ends the leases when it leads. */
static void who_got_a_snapshot_ends_them_in_time(void **state)
{
    (void)state;
    size_t away = fall_behind();
    int64_t end_ns = info_of(away, 77).expire_ns;
    good(away, ask_end(cluster_id(away), NOSPACE));
    node_transfer(world.members[away].node, cluster_id(away));
    cluster_run(&world, 1000);
    assert_int_equal(cluster_leader(&world), away);
    cluster_run(&world, left_ms(end_ns) - 100);
    RECORD(away, "a", "1 [5,5] v1 put lease=77");
    cluster_run(&world, 300);
    RECORD(away, "a", "none");
    RECORD(away, "/b", "none");
    assert_string_equal(cluster_get(&world, away, "/v2"), "1");
    cluster_check_same(&world);
}

/* ---- room ---------------------------------------------------------------- */

static void an_alarm_refuses_at_every_member(void **state)
{
    (void)state;
    cluster_open_all(&world);
    size_t leader = cluster_leader(&world);
    size_t at = cluster_follower(&world);
    good(at, ask_grant(77, 60));
    good(at, ask_put("a", "1", 77));
    good(at, ask_raise(cluster_id(at), NOSPACE));
    cluster_settle(&world);
    for (size_t i = 0; i < 3; i++) {
        assert_true(cluster_progress(&world, i).no_space);
        assert_int_equal(fails(i, ask_put("b", "1", 0)), ERR_NO_SPACE);
        assert_int_equal(fails(i, ask_grant(78, 60)), ERR_NO_SPACE);
        assert_int_equal(fails(i, ask_toggle("b")), ERR_NO_SPACE);
    }
    good(at, ask_renew(77));
    good(at, ask_delete("a", NULL));
    good(leader, ask_revoke(77));
    cluster_crash(&world, leader);
    size_t next = cluster_leader(&world);
    assert_int_equal(fails(next, ask_put("b", "1", 0)), ERR_NO_SPACE);
    good(next, ask_end(cluster_id(at), NOSPACE));
    good(next, ask_put("b", "1", 0));
}

/* Its own clients only; what the others write it takes as it comes. */
static void a_full_follower_refuses_by_itself(void **state)
{
    (void)state;
    cluster_open_all(&world);
    size_t at = cluster_follower(&world);
    size_t leader = cluster_leader(&world);
    good(at, ask_put("a", "1", 0));
    cluster_settle(&world);
    flush_all();
    cluster_close(&world, at);
    world.members[at].config.quota_bytes = 1;
    assert_int_equal(cluster_open(&world, at), ERR_OK);
    cluster_settle(&world);
    assert_int_equal(fails(at, ask_put("a", "2", 0)), ERR_NO_SPACE);
    good(leader, ask_put("a", "3", 0));
    good(at, ask_delete("a", NULL));
    cluster_settle(&world);
    cluster_check_same(&world);
    char alarm[32];
    snprintf(alarm, sizeof alarm, "%llx:1 ",
             (unsigned long long)cluster_id(at));
    assert_string_equal(alarm_text(world.members[at].node), alarm);
    assert_string_equal(alarm_text(world.members[leader].node), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_follower_answers_with_the_body),
        STORY(a_follower_answers_with_the_error),
        STORY(many_at_all_members),
        STORY(what_is_no_request_is_not_proposed),
        STORY(without_a_leader_nothing_is_answered),
        STORY(a_change_of_leader_changes_no_end),
        STORY(kept_alive_through_any_member_it_lives),
        STORY(those_that_end_together_end_everywhere),
        STORY(an_end_waits_while_leadership_is_handed_over),
        STORY(a_snapshot_brings_leases_and_alarms),
        STORY(who_got_a_snapshot_ends_them_in_time),
        STORY(an_alarm_refuses_at_every_member),
        STORY(a_full_follower_refuses_by_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
