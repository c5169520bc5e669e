/* Lease: granted, kept alive, asked about, revoked. */
#include "watch_world.h"

#include "rpc/lease_int.h"

#define GRANT "/etcdserverpb.Lease/LeaseGrant"
#define REVOKE "/etcdserverpb.Lease/LeaseRevoke"
#define KEEP "/etcdserverpb.Lease/LeaseKeepAlive"
#define TTL "/etcdserverpb.Lease/LeaseTimeToLive"
#define LEASES "/etcdserverpb.Lease/LeaseLeases"

static Etcdserverpb__LeaseGrantRequest granting(int64_t ttl_s, lease_id id)
{
    Etcdserverpb__LeaseGrantRequest request =
        ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    request.ttl = ttl_s;
    request.id = id;
    return request;
}

static void grants(struct stage *stage, int64_t ttl_s, lease_id id,
                   const char *lines)
{
    Etcdserverpb__LeaseGrantRequest request = granting(ttl_s, id);
    ask_alone(stage, GRANT, &request, lines);
}

static void refuses(struct stage *stage, int64_t ttl_s, lease_id id,
                    enum grpc_code code, const char *reason)
{
    Etcdserverpb__LeaseGrantRequest request = granting(ttl_s, id);
    ask_fails(stage, GRANT, &request, code, reason);
}

static void lives(struct stage *stage, lease_id id, bool keys,
                  const char *lines)
{
    Etcdserverpb__LeaseTimeToLiveRequest request =
        ETCDSERVERPB__LEASE_TIME_TO_LIVE_REQUEST__INIT;
    request.id = id;
    request.keys = keys;
    ask_alone(stage, TTL, &request, lines);
}

static void keep(struct hearer *stream, lease_id id)
{
    Etcdserverpb__LeaseKeepAliveRequest request =
        ETCDSERVERPB__LEASE_KEEP_ALIVE_REQUEST__INIT;
    request.id = id;
    stage_say(stream, &request);
}

/* ---- granting ------------------------------------------------------------ */

static void a_lease_is_granted(void **state)
{
    struct stage *stage = *state;
    grants(stage, 100, 77, "@1 ID=77 TTL=100\n");
    grants(stage, 50, -7, "@1 ID=-7 TTL=50\n");
    grants(stage, 9000000000, 78, "@1 ID=78 TTL=9000000000\n");
    refuses(stage, 100, 77, GRPC_FAILED_PRECONDITION,
            "etcdserver: lease already exists");
    refuses(stage, 9000000001, 79, GRPC_OUT_OF_RANGE,
            "etcdserver: too large lease TTL");
    refuses(stage, 9000000001, 77, GRPC_OUT_OF_RANGE,
            "etcdserver: too large lease TTL");
}

/* As etcd raises it, with its default election timeout. */
static void none_is_shorter_than_two_seconds(void **state)
{
    struct stage *stage = *state;
    grants(stage, 0, 1, "@1 ID=1 TTL=2\n");
    grants(stage, -3, 2, "@1 ID=2 TTL=2\n");
    grants(stage, 1, 3, "@1 ID=3 TTL=2\n");
    grants(stage, 2, 4, "@1 ID=4 TTL=2\n");
}

static void ids_of_v2_are_not_for_clients(void **state)
{
    struct stage *stage = *state;
    refuses(stage, 100, LEASE_V2, GRPC_FAILED_PRECONDITION,
            "etcdserver: lease already exists");
    refuses(stage, 100, LEASE_V2 + 5, GRPC_FAILED_PRECONDITION,
            "etcdserver: lease already exists");
}

static void the_server_chooses(void **state)
{
    struct stage *stage = *state;
    lease_id before = 0;
    for (int i = 0; i < 1000; i++) {
        lease_id id = lease__new_id(stage->rpc);
        assert_true(id > 0 && id < LEASE_V2 && id != before);
        before = id;
    }
    grants(stage, 10, 0, "@1 ID=* TTL=10\n");
    assert_int_equal(lease_count(node_leases(stage->node)), 1);
}

/* A process that starts again may draw a number that it has drawn before. */
static void a_choice_that_is_taken_is_made_again(void **state)
{
    struct stage *stage = *state;
    struct prng *prng = &stage->rpc->watches->prng;
    struct prng before = *prng;
    grants(stage, 10, 0, "@1 ID=* TTL=10\n");
    *prng = before;
    grants(stage, 10, 0, "@1 ID=* TTL=10\n");
    assert_int_equal(lease_count(node_leases(stage->node)), 2);
}

/* ---- its end ------------------------------------------------------------- */

static void a_lease_is_revoked(void **state)
{
    struct stage *stage = *state;
    Etcdserverpb__LeaseRevokeRequest request =
        ETCDSERVERPB__LEASE_REVOKE_REQUEST__INIT;
    grant(stage, 5, 100);
    put_leased(stage, "a", 5);
    put_leased(stage, "b", 5);
    request.id = 5;
    ask_alone(stage, REVOKE, &request, "@4\n");
    ask_fails(stage, REVOKE, &request, GRPC_NOT_FOUND,
              "etcdserver: requested lease not found");
    request.id = 0;
    ask_fails(stage, REVOKE, &request, GRPC_NOT_FOUND,
              "etcdserver: requested lease not found");
    assert_int_equal(lease_count(node_leases(stage->node)), 0);
}

static void questions_are_answered(void **state)
{
    struct stage *stage = *state;
    Etcdserverpb__LeaseLeasesRequest all =
        ETCDSERVERPB__LEASE_LEASES_REQUEST__INIT;
    ask_alone(stage, LEASES, &all, "@1\n");
    grant(stage, 5, 100);
    grant(stage, 6, 50);
    grant(stage, -7, 70);
    put_leased(stage, "a", 5);
    put_leased(stage, "b", 5);
    ask_alone(stage, LEASES, &all,
              "@3 leases{ ID=6} leases{ ID=-7} leases{ ID=5}\n");
    lives(stage, 5, true, "@3 ID=5 TTL=100 grantedTTL=100 keys=a keys=b\n");
    lives(stage, 5, false, "@3 ID=5 TTL=100 grantedTTL=100\n");
    lives(stage, 6, true, "@3 ID=6 TTL=50 grantedTTL=50\n");
    lives(stage, 8, true, "@3 ID=8 TTL=-1\n");
    lives(stage, 0, true, "@3 TTL=-1\n");
    stage_wait(stage, 500 * 1000 * 1000);
    lives(stage, 5, false, "@3 ID=5 TTL=99 grantedTTL=100\n");
    stage->idle_core = true; /* it is over, and nobody has said so yet */
    stage->wall_ns += 60 * SECOND_NS;
    struct hearer *asked = stage_call(
        stage, TTL,
        &(Etcdserverpb__LeaseTimeToLiveRequest){
            .base.descriptor =
                &etcdserverpb__lease_time_to_live_request__descriptor,
            .id = 6});
    hear(asked, "@3 ID=6 grantedTTL=50\n");
    stage_hang_up(asked);
}

static void on_done(struct node_request *request)
{
    assert_int_equal(request->err, ERR_OK);
}

static void v2_leases_are_seen(void **state)
{
    struct stage *stage = *state;
    struct command command = {
        .type = COMMAND_TREE,
        .tree = {.op = TREE_SET,
                 .path = SLICE("/k"),
                 .value = SLICE("v"),
                 .has_ttl = true,
                 .ttl_s = 30},
    };
    struct node_request request = {.command = command_encode(&command)};
    request.on_done = on_done;
    assert_int_equal(node_submit(stage->node, &request), ERR_OK);
    stage_turn(stage);
    tree_result_deinit(&request.tree);
    lives(stage, LEASE_V2 | 2, true, "@2 ID=* TTL=30 grantedTTL=30 keys=/k\n");
}

/* ---- keeping alive ------------------------------------------------------- */

static void keepalives_are_answered_in_order(void **state)
{
    struct stage *stage = *state;
    struct hearer *stream = stage_call(stage, KEEP, NULL);
    grant(stage, 5, 10);
    grant(stage, 6, 20);
    stage_wait(stage, 6 * SECOND_NS);
    keep(stream, 5);
    keep(stream, 9);
    keep(stream, 0);
    keep(stream, 6);
    hear(stream, "");
    assert_int_equal(stream->consumed, 0);
    stage_turn(stage);
    hear(stream, "@1 ID=5 TTL=10\n@1 ID=9\n@1\n@1 ID=6 TTL=20\n");
    assert_int_equal(stream->consumed, stream->said);
    stage_wait(stage, 6 * SECOND_NS);
    lives(stage, 5, false, "@1 ID=5 TTL=4 grantedTTL=10\n");
    stage_wait(stage, 5 * SECOND_NS);
    keep(stream, 5);
    stage_turn(stage);
    hear(stream, "@1 ID=5\n");
    stage_half_close(stream);
    hear_end(stream, GRPC_OK, "");
    stage_hang_up(stream);
}

/* One that was asked later may be decided earlier. */
static void an_answer_waits_for_those_before(void **state)
{
    struct stage *stage = *state;
    struct hearer *stream = stage_call(stage, KEEP, NULL);
    grant(stage, 5, 10);
    grant(stage, 6, 20);
    keep(stream, 5);
    keep(stream, 6);
    stage->hold_answers = true;
    stage_turn(stage);
    stage_turn_round_answers(stage);
    stage->hold_answers = false;
    stage_turn(stage);
    hear(stream, "@1 ID=5 TTL=10\n@1 ID=6 TTL=20\n");
    stage_hang_up(stream);
}

static void a_half_closed_stream_is_answered(void **state)
{
    struct stage *stage = *state;
    struct hearer *stream = stage_call(stage, KEEP, NULL);
    grant(stage, 5, 10);
    keep(stream, 5);
    keep(stream, 5);
    stage_half_close(stream);
    assert_false(stream->is_over);
    stage_turn(stage);
    hear(stream, "@1 ID=5 TTL=10\n@1 ID=5 TTL=10\n");
    hear_end(stream, GRPC_OK, "");
    stage_hang_up(stream);
    stream = stage_call(stage, KEEP, NULL);
    stage_half_close(stream);
    hear_end(stream, GRPC_OK, "");
    stage_hang_up(stream);
}

static void a_client_may_go_meanwhile(void **state)
{
    struct stage *stage = *state;
    struct hearer *stream = stage_call(stage, KEEP, NULL);
    grant(stage, 5, 10);
    stage_wait(stage, 5 * SECOND_NS);
    keep(stream, 5);
    keep(stream, 5);
    stage_hang_up(stream);
    stage_turn(stage);
    lives(stage, 5, false, "@1 ID=5 TTL=10 grantedTTL=10\n");
}

static void a_slow_client_is_told_later(void **state)
{
    struct stage *stage = *state;
    struct hearer *stream = stage_call(stage, KEEP, NULL);
    grant(stage, 5, 10);
    stream->is_slow = true;
    stream->unsent = LIMIT_HTTP_OUT_HIGH_BYTES + 1;
    stream->was_high = true;
    keep(stream, 5);
    stage_turn(stage);
    hear(stream, "");
    assert_int_equal(stream->consumed, 0);
    stage_half_close(stream);
    stage_take(stream);
    hear(stream, "@1 ID=5 TTL=10\n");
    hear_end(stream, GRPC_OK, "");
    stage_hang_up(stream);
}

static void malformed_requests_end_it(void **state)
{
    struct stage *stage = *state;
    struct hearer *stream = stage_call(stage, KEEP, NULL);
    grant(stage, 5, 10);
    keep(stream, 5);
    stage_say_bytes(stream, SLICE("\x08"));
    assert_int_equal(stream->code, GRPC_INTERNAL);
    stage_turn(stage);
    stage_hang_up(stream);
}

/* The node is full: it takes no more. */
static void a_refusal_ends_it(void **state)
{
    struct stage *stage = *state;
    struct hearer *stream = stage_call(stage, KEEP, NULL);
    stage->idle_core = true;
    for (int i = 0; !stream->is_over; i++) {
        assert_true(i <= LIMIT_PROPOSALS_MAX);
        keep(stream, 5);
    }
    assert_int_equal(stream->code, GRPC_RESOURCE_EXHAUSTED);
    stage_hang_up(stream);
    stage->idle_core = false;
    stage_turn(stage);
}

/* Nobody knows what came of it: the client is told so. */
static void what_the_node_says_is_passed_on(void **state)
{
    struct stage *stage = *state;
    Etcdserverpb__LeaseGrantRequest granted = granting(10, 5);
    Etcdserverpb__LeaseRevokeRequest revoked =
        ETCDSERVERPB__LEASE_REVOKE_REQUEST__INIT;
    revoked.id = 5;
    struct hearer *stream = stage_call(stage, KEEP, NULL);
    struct hearer *others[2] = {stage_call(stage, GRANT, &granted),
                                stage_call(stage, REVOKE, &revoked)};
    keep(stream, 5);
    keep(stream, 5);
    stage->hold_answers = true;
    stage_turn(stage);
    stage_spoil_answers(stage, ERR_TIMEOUT);
    hear_end(stream, GRPC_UNAVAILABLE, "etcdserver: request timed out");
    stage_hang_up(stream);
    for (int i = 0; i < 2; i++) {
        hear_end(others[i], GRPC_UNAVAILABLE, "etcdserver: request timed out");
        stage_hang_up(others[i]);
    }
}

static void who_has_gone_isnt_told(void **state)
{
    struct stage *stage = *state;
    Etcdserverpb__LeaseGrantRequest granted = granting(10, 5);
    Etcdserverpb__LeaseRevokeRequest revoked =
        ETCDSERVERPB__LEASE_REVOKE_REQUEST__INIT;
    revoked.id = 5;
    stage_hang_up(stage_call(stage, GRANT, &granted));
    stage_turn(stage);
    assert_int_equal(lease_count(node_leases(stage->node)), 1);
    stage_hang_up(stage_call(stage, REVOKE, &revoked));
    stage_turn(stage);
    assert_int_equal(lease_count(node_leases(stage->node)), 0);
}

static void a_stop_ends_it(void **state)
{
    struct stage *stage = *state;
    struct hearer *stream = stage_call(stage, KEEP, NULL);
    keep(stream, 5);
    rpc_stop(stage->rpc);
    hear_end(stream, GRPC_UNAVAILABLE, "etcdserver: server stopped");
    stage_hang_up(stream);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_begin, stage_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_lease_is_granted),
        TEST(none_is_shorter_than_two_seconds),
        TEST(ids_of_v2_are_not_for_clients),
        TEST(the_server_chooses),
        TEST(a_choice_that_is_taken_is_made_again),
        TEST(a_lease_is_revoked),
        TEST(questions_are_answered),
        TEST(v2_leases_are_seen),
        TEST(keepalives_are_answered_in_order),
        TEST(an_answer_waits_for_those_before),
        TEST(a_half_closed_stream_is_answered),
        TEST(a_client_may_go_meanwhile),
        TEST(a_slow_client_is_told_later),
        TEST(malformed_requests_end_it),
        TEST(a_refusal_ends_it),
        TEST(what_the_node_says_is_passed_on),
        TEST(who_has_gone_isnt_told),
        TEST(a_stop_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
