/* Lock: one after the other, in the order in which they came. */
#include "watch_world.h"

#include <stdio.h>

#define LOCK "/v3lockpb.Lock/Lock"
#define UNLOCK "/v3lockpb.Lock/Unlock"
#define RANGE "/etcdserverpb.KV/Range"

static struct hearer *lock(struct stage *stage, const char *name, lease_id id)
{
    V3lockpb__LockRequest request = V3LOCKPB__LOCK_REQUEST__INIT;
    request.name = encoded_bytes_of(name);
    request.lease = id;
    struct hearer *hearer = stage_call(stage, LOCK, &request);
    stage_turn(stage);
    return hearer;
}

static void unlock(struct stage *stage, const char *key, const char *lines)
{
    V3lockpb__UnlockRequest request = V3LOCKPB__UNLOCK_REQUEST__INIT;
    request.key = encoded_bytes_of(key);
    ask_alone(stage, UNLOCK, &request, lines);
}

static void got(struct hearer *hearer, const char *line)
{
    hear_end(hearer, GRPC_OK, "");
    hear(hearer, line);
    stage_hang_up(hearer);
}

static void waits(struct hearer *hearer)
{
    assert_false(hearer->is_over);
    hear(hearer, "");
}

static void keys(struct stage *stage, const char *lines)
{
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    request.key = message_data(SLICE("\0"));
    request.range_end = message_data(SLICE("\0"));
    ask_alone(stage, RANGE, &request, lines);
}

static void revoke(struct stage *stage, lease_id id)
{
    Etcdserverpb__LeaseRevokeRequest request =
        ETCDSERVERPB__LEASE_REVOKE_REQUEST__INIT;
    request.id = id;
    ask_alone(stage, "/etcdserverpb.Lease/LeaseRevoke", &request, "@*\n");
}

static void a_lock_is_free(void **state)
{
    struct stage *stage = *state;
    grant(stage, 0x1a, 100);
    grant(stage, -7, 100);
    got(lock(stage, "L", 0x1a), "@2 key=L/1a\n");
    got(lock(stage, "L", 0x1a), "@2 key=L/1a\n"); /* it has it */
    got(lock(stage, "N", -7), "@3 key=N/-7\n");
    keys(stage, "@3 L/1a= 2/2/1 lease 26 N/-7= 3/3/1 lease -7 count=2\n");
    assert_false(stage->watching);
}

static void others_wait_for_their_turn(void **state)
{
    struct stage *stage = *state;
    for (lease_id id = 1; id <= 4; id++) {
        grant(stage, id, 100);
    }
    got(lock(stage, "L", 3), "@2 key=L/3\n");
    struct hearer *second = lock(stage, "L", 1);
    struct hearer *third = lock(stage, "L", 4);
    struct hearer *fourth = lock(stage, "L", 2);
    waits(second);
    waits(third);
    put(stage, "L/3", "not gone");
    unlock(stage, "L/4", "@7\n"); /* not one's turn: it stops waiting */
    hear_end(third, GRPC_UNKNOWN, "mutex: session is expired");
    waits(second);
    unlock(stage, "L/3", "@8\n");
    got(second, "@8 key=L/1\n");
    waits(fourth);
    unlock(stage, "L/1", "@9\n");
    got(fourth, "@9 key=L/2\n");
    stage_hang_up(third);
    assert_false(stage->watching);
}

static void names_are_apart(void **state)
{
    struct stage *stage = *state;
    grant(stage, 1, 100);
    grant(stage, 2, 100);
    put(stage, "L", "");
    put(stage, "L0", "");
    put(stage, "L-", "");
    got(lock(stage, "L", 1), "@5 key=L/1\n");
    got(lock(stage, "", 1), "@6 key=/1\n");
    got(lock(stage, "LL", 2), "@7 key=LL/2\n");
}

static void a_lease_of_ones_own(void **state)
{
    struct stage *stage = *state;
    got(lock(stage, "L", 0), "@2 key=L/*\n");
    keys(stage, "@2 L/*= 2/2/1 lease * count=1\n");
    struct hearer *other = lock(stage, "L", 0);
    waits(other);
    stage_wait(stage, 50 * SECOND_NS);
    waits(other);
    stage_wait(stage, 12 * SECOND_NS);
    assert_true(other->is_over); /* both were over: neither was kept alive */
    stage_hang_up(other);
}

static void errors_are_as_etcd_says_them(void **state)
{
    struct stage *stage = *state;
    struct hearer *hearer = lock(stage, "L", 1234);
    hear_end(hearer, GRPC_UNKNOWN, "etcdserver: requested lease not found");
    stage_hang_up(hearer);
    V3lockpb__UnlockRequest request = V3LOCKPB__UNLOCK_REQUEST__INIT;
    ask_fails(stage, UNLOCK, &request, GRPC_UNKNOWN,
              "etcdserver: key is not provided");
    unlock(stage, "L/99", "@1\n");
    stage->rpc_shared.request_bytes_max = 10;
    grant(stage, 1, 60);
    hearer = lock(stage, "a long name", 1);
    hear_end(hearer, GRPC_UNKNOWN, "etcdserver: request is too large");
    stage_hang_up(hearer);
    request.key = encoded_bytes_of("a long name");
    ask_fails(stage, UNLOCK, &request, GRPC_UNKNOWN,
              "etcdserver: request is too large");
}

/* ---- those who wait ------------------------------------------------------ */

static void who_goes_leaves_no_key(void **state)
{
    struct stage *stage = *state;
    grant(stage, 1, 100);
    grant(stage, 2, 100);
    grant(stage, 3, 100);
    got(lock(stage, "L", 1), "@2 key=L/1\n");
    struct hearer *second = lock(stage, "L", 2);
    struct hearer *third = lock(stage, "L", 3);
    stage_hang_up(second);
    stage_turn(stage);
    keys(stage, "@5 L/1= 2/2/1 lease 1 L/3= 4/4/1 lease 3 count=2\n");
    waits(third);
    unlock(stage, "L/1", "@6\n");
    got(third, "@6 key=L/3\n");
}

static void a_deadline_leaves_no_key(void **state)
{
    struct stage *stage = *state;
    grant(stage, 1, 100);
    grant(stage, 2, 100);
    got(lock(stage, "L", 1), "@2 key=L/1\n");
    struct hearer *second = lock(stage, "L", 2);
    call__expire(second->call);
    hear_end(second, GRPC_DEADLINE_EXCEEDED, "context deadline exceeded");
    stage_turn(stage);
    keys(stage, "@4 L/1= 2/2/1 lease 1 count=1\n");
    stage_hang_up(second);
}

/* Whatever is on its way to the node just then. */
static void who_goes_early_leaves_no_key(void **state)
{
    struct stage *stage = *state;
    V3lockpb__LockRequest request = V3LOCKPB__LOCK_REQUEST__INIT;
    request.name = encoded_bytes_of("L");
    request.lease = 1;
    grant(stage, 1, 100);
    struct hearer *hearer = stage_call(stage, LOCK, &request);
    stage_hang_up(hearer);
    stage_turn(stage);
    keys(stage, "@3\n");
    request.lease = 0; /* before the lease has come */
    hearer = stage_call(stage, LOCK, &request);
    stage_hang_up(hearer);
    stage_turn(stage);
    keys(stage, "@3\n");
    request.lease = 99; /* no such lease */
    hearer = stage_call(stage, LOCK, &request);
    stage_hang_up(hearer);
    stage_turn(stage);
    keys(stage, "@3\n");
}

/* The key is another call's: who goes first doesn't take it along. */
static void a_key_that_is_shared_stays(void **state)
{
    struct stage *stage = *state;
    grant(stage, 1, 100);
    grant(stage, 2, 100);
    got(lock(stage, "L", 1), "@2 key=L/1\n");
    struct hearer *one = lock(stage, "L", 2);
    struct hearer *again = lock(stage, "L", 2);
    stage_hang_up(again);
    stage_turn(stage);
    keys(stage, "@3 L/1* L/2= 3/3/1 lease 2 count=2\n");
    unlock(stage, "L/1", "@4\n");
    got(one, "@4 key=L/2\n");
}

static void who_loses_the_lease_is_told(void **state)
{
    struct stage *stage = *state;
    grant(stage, 1, 1000);
    grant(stage, 2, 1000);
    grant(stage, 3, 10);
    got(lock(stage, "L", 1), "@2 key=L/1\n");
    struct hearer *second = lock(stage, "L", 2);
    struct hearer *third = lock(stage, "L", 3);
    revoke(stage, 2);
    hear_end(second, GRPC_UNKNOWN, "mutex: session is expired");
    waits(third);
    stage_wait(stage, 11 * SECOND_NS);
    hear_end(third, GRPC_UNKNOWN, "mutex: session is expired");
    stage_hang_up(second);
    stage_hang_up(third);
    keys(stage, "@6 L/1= 2/2/1 lease 1 count=1\n");
}

static void the_holders_lease_ends(void **state)
{
    struct stage *stage = *state;
    grant(stage, 1, 10);
    grant(stage, 2, 1000);
    got(lock(stage, "L", 1), "@2 key=L/1\n");
    struct hearer *second = lock(stage, "L", 2);
    stage_wait(stage, 9 * SECOND_NS);
    waits(second);
    stage_wait(stage, 2 * SECOND_NS);
    got(second, "@4 key=L/2\n");
}

/* What happened meanwhile isn't in history any more: it is looked at anew. */
static void a_wait_survives_a_compaction(void **state)
{
    struct stage *stage = *state;
    grant(stage, 1, 1000);
    grant(stage, 2, 1000);
    grant(stage, 3, 1000);
    got(lock(stage, "L", 1), "@2 key=L/1\n");
    struct hearer *second = lock(stage, "L", 2);
    put(stage, "a", "1");
    stage_compact(stage, 4);
    waits(second);
    put(stage, "a", "2");
    stage->hold_commits = true;
    unlock(stage, "L/1", "@6\n");
    struct hearer *third = lock(stage, "L", 3);
    put(stage, "a", "3");
    stage_compact(stage, 8);
    waits(second);
    rpc_jump(stage->rpc, 8); /* as after a snapshot: only history has it */
    stage_turn(stage);
    got(second, "@8 key=L/2\n");
    stage->hold_commits = false;
    stage_turn(stage);
    waits(third);
    unlock(stage, "L/2", "@9\n");
    got(third, "@9 key=L/3\n");
}

static void a_stop_ends_the_wait(void **state)
{
    struct stage *stage = *state;
    grant(stage, 1, 1000);
    grant(stage, 2, 1000);
    got(lock(stage, "L", 1), "@2 key=L/1\n");
    struct hearer *second = lock(stage, "L", 2);
    rpc_stop(stage->rpc);
    hear_end(second, GRPC_UNAVAILABLE, "etcdserver: server stopped");
    stage_hang_up(second);
}

/* The node takes nothing: the call fails, and nothing is left of it. */
static void a_full_node_is_said(void **state)
{
    struct stage *stage = *state;
    V3lockpb__LockRequest request = V3LOCKPB__LOCK_REQUEST__INIT;
    struct hearer *calls[LIMIT_PROPOSALS_MAX + 1];
    size_t count = 0;
    stage->idle_core = true;
    request.name = encoded_bytes_of("L");
    do {
        assert_true(count <= LIMIT_PROPOSALS_MAX);
        calls[count] = stage_call(stage, LOCK, &request);
    } while (!calls[count++]->is_over);
    assert_int_equal(calls[count - 1]->code, GRPC_RESOURCE_EXHAUSTED);
    for (size_t i = 0; i < count; i++) {
        stage_hang_up(calls[i]);
    }
    stage->idle_core = false;
    stage_turn(stage);
}

static void what_the_node_says_is_passed_on(void **state)
{
    struct stage *stage = *state;
    V3lockpb__LockRequest request = V3LOCKPB__LOCK_REQUEST__INIT;
    V3lockpb__UnlockRequest unlocked = V3LOCKPB__UNLOCK_REQUEST__INIT;
    request.name = unlocked.key = encoded_bytes_of("L");
    struct hearer *calls[2] = {stage_call(stage, LOCK, &request),
                               stage_call(stage, UNLOCK, &unlocked)};
    stage->hold_answers = true;
    stage_turn(stage);
    stage_spoil_answers(stage, ERR_TIMEOUT);
    for (int i = 0; i < 2; i++) {
        hear_end(calls[i], GRPC_UNAVAILABLE, "etcdserver: request timed out");
        stage_hang_up(calls[i]);
    }
}

/* The lease that it draws for itself is another one's already. */
static void a_lease_that_is_taken_is_drawn_again(void **state)
{
    struct stage *stage = *state;
    struct prng *prng = &stage->rpc->watches->prng;
    struct prng before = *prng;
    got(lock(stage, "L", 0), "@2 key=L/*\n");
    *prng = before;
    got(lock(stage, "M", 0), "@3 key=M/*\n");
    assert_int_equal(lease_count(node_leases(stage->node)), 2);
}

/* More keys than are looked at under one lock. */
static void a_crowd_waits(void **state)
{
    struct stage *stage = *state;
    put_many(stage, "L/before", 2500, 1);
    grant(stage, 1, 1000);
    struct hearer *hearer = lock(stage, "L", 1);
    waits(hearer);
    del_prefix(stage, "L/before");
    got(hearer, "@4 key=L/1\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_begin, stage_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_lock_is_free),
        TEST(others_wait_for_their_turn),
        TEST(names_are_apart),
        TEST(a_lease_of_ones_own),
        TEST(errors_are_as_etcd_says_them),
        TEST(who_goes_leaves_no_key),
        TEST(a_deadline_leaves_no_key),
        TEST(who_goes_early_leaves_no_key),
        TEST(a_key_that_is_shared_stays),
        TEST(who_loses_the_lease_is_told),
        TEST(the_holders_lease_ends),
        TEST(a_wait_survives_a_compaction),
        TEST(a_stop_ends_the_wait),
        TEST(a_full_node_is_said),
        TEST(what_the_node_says_is_passed_on),
        TEST(a_lease_that_is_taken_is_drawn_again),
        TEST(a_crowd_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
