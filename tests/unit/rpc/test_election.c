/* Election: who leads, what the leader says, and who is told of it. */
#include "watch_world.h"

#define CAMPAIGN "/v3electionpb.Election/Campaign"
#define PROCLAIM "/v3electionpb.Election/Proclaim"
#define LEADER "/v3electionpb.Election/Leader"
#define OBSERVE "/v3electionpb.Election/Observe"
#define RESIGN "/v3electionpb.Election/Resign"

static struct hearer *campaign(struct stage *stage, const char *name,
                               lease_id lease, const char *value)
{
    V3electionpb__CampaignRequest request =
        V3ELECTIONPB__CAMPAIGN_REQUEST__INIT;
    request.name = encoded_bytes_of(name);
    request.lease = lease;
    request.value = encoded_bytes_of(value);
    struct hearer *hearer = stage_call(stage, CAMPAIGN, &request);
    stage_turn(stage);
    return hearer;
}

static void got(struct hearer *hearer, const char *line)
{
    hear_end(hearer, GRPC_OK, "");
    hear(hearer, line);
    stage_hang_up(hearer);
}

static V3electionpb__LeaderKey leader(const char *key, revision rev,
                                      lease_id lease)
{
    V3electionpb__LeaderKey result = V3ELECTIONPB__LEADER_KEY__INIT;
    result.name = encoded_bytes_of("E");
    result.key = encoded_bytes_of(key);
    result.rev = rev;
    result.lease = lease;
    return result;
}

/* `fault` NULL: it is well. */
static void proclaim(struct stage *stage, V3electionpb__LeaderKey *key,
                     const char *value, const char *fault)
{
    V3electionpb__ProclaimRequest request =
        V3ELECTIONPB__PROCLAIM_REQUEST__INIT;
    request.leader = key;
    request.value = encoded_bytes_of(value);
    if (fault != NULL) {
        ask_fails(stage, PROCLAIM, &request, GRPC_UNKNOWN, fault);
    } else {
        ask_alone(stage, PROCLAIM, &request, "@*\n");
    }
}

static void resign(struct stage *stage, V3electionpb__LeaderKey *key,
                   const char *fault)
{
    V3electionpb__ResignRequest request = V3ELECTIONPB__RESIGN_REQUEST__INIT;
    request.leader = key;
    if (fault != NULL) {
        ask_fails(stage, RESIGN, &request, GRPC_UNKNOWN, fault);
    } else {
        ask_alone(stage, RESIGN, &request, "@*\n");
    }
}

static void leads(struct stage *stage, const char *lines)
{
    V3electionpb__LeaderRequest request = V3ELECTIONPB__LEADER_REQUEST__INIT;
    request.name = encoded_bytes_of("E");
    ask_alone(stage, LEADER, &request, lines);
}

static void leads_none(struct stage *stage)
{
    V3electionpb__LeaderRequest request = V3ELECTIONPB__LEADER_REQUEST__INIT;
    request.name = encoded_bytes_of("E");
    ask_fails(stage, LEADER, &request, GRPC_UNKNOWN, "election: no leader");
}

static struct hearer *observe(struct stage *stage)
{
    V3electionpb__LeaderRequest request = V3ELECTIONPB__LEADER_REQUEST__INIT;
    request.name = encoded_bytes_of("E");
    struct hearer *hearer = stage_call(stage, OBSERVE, &request);
    stage_turn(stage);
    return hearer;
}

/* ---- campaigns ----------------------------------------------------------- */

static void one_is_elected(void **state)
{
    struct stage *stage = *state;
    leads_none(stage);
    grant(stage, 0x1a, 1000);
    got(campaign(stage, "E", 0x1a, "v"),
        "@2 leader{ name=E key=E/1a rev=2 lease=26}\n");
    leads(stage, "@2 E/1a=v 2/2/1 lease 26\n");
    got(campaign(stage, "E", 0x1a, "v"),
        "@2 leader{ name=E key=E/1a rev=2 lease=26}\n");
    leads(stage, "@2 E/1a=v 2/2/1 lease 26\n");
    /* The header is of the moment before the value was put. */
    got(campaign(stage, "E", 0x1a, "w"),
        "@2 leader{ name=E key=E/1a rev=2 lease=26}\n");
    leads(stage, "@3 E/1a=w 2/3/2 lease 26\n");
    assert_false(stage->watching);
}

static void others_wait(void **state)
{
    struct stage *stage = *state;
    grant(stage, 1, 1000);
    grant(stage, 2, 1000);
    V3electionpb__LeaderKey first = leader("E/1", 2, 1);
    got(campaign(stage, "E", 1, "v"), "@2 leader{*}\n");
    struct hearer *second = campaign(stage, "E", 2, "w");
    proclaim(stage, &first, "v2", NULL);
    hear(second, "");
    assert_false(second->is_over);
    resign(stage, &first, NULL);
    got(second, "@3 leader{ name=E key=E/2 rev=3 lease=2}\n");
    leads(stage, "@5 E/2=w 3/3/1 lease 2\n");
}

static void who_goes_leaves_no_key(void **state)
{
    struct stage *stage = *state;
    grant(stage, 1, 1000);
    grant(stage, 2, 1000);
    V3electionpb__LeaderKey first = leader("E/1", 2, 1);
    got(campaign(stage, "E", 1, "v"), "@2 leader{*}\n");
    stage_hang_up(campaign(stage, "E", 2, "w"));
    stage_turn(stage);
    resign(stage, &first, NULL);
    leads_none(stage);
}

static void who_loses_the_key_is_told(void **state)
{
    struct stage *stage = *state;
    grant(stage, 1, 1000);
    grant(stage, 2, 10);
    got(campaign(stage, "E", 1, "v"), "@2 leader{*}\n");
    struct hearer *second = campaign(stage, "E", 2, "w");
    stage_wait(stage, 11 * SECOND_NS);
    hear_end(second, GRPC_UNKNOWN, "election: not leader");
    stage_hang_up(second);
}

static void finish_nothing(struct rpc *rpc, struct task *done)
{
    (void)rpc;
    assert_int_equal(done->write.err, ERR_OK);
    txn_answer_deinit(&done->write.answer);
}

/* Its key goes while it is about to put another value. */
static void a_campaign_may_come_too_late(void **state)
{
    struct stage *stage = *state;
    V3electionpb__CampaignRequest request =
        V3ELECTIONPB__CAMPAIGN_REQUEST__INIT;
    grant(stage, 1, 1000);
    got(campaign(stage, "E", 1, "v"), "@2 leader{*}\n");
    request.name = encoded_bytes_of("E");
    request.lease = 1;
    request.value = encoded_bytes_of("w");
    struct hearer *again = stage_call(stage, CAMPAIGN, &request);
    stage->hold_answers = true;
    stage_turn(stage);
    struct command command = {.type = COMMAND_DELETE_RANGE,
                              .message = SLICE("\x0a\x03"
                                               "E/1")};
    struct task *task = task__new(stage->rpc, NULL, finish_nothing);
    task__write(task, command_encode(&command));
    stage_turn(stage);
    stage->hold_answers = false;
    stage_turn(stage);
    hear_end(again, GRPC_UNKNOWN, "election: not leader");
    stage_hang_up(again);
    leads_none(stage);
}

/* ---- what a leader says -------------------------------------------------- */

static void only_the_leader_proclaims(void **state)
{
    struct stage *stage = *state;
    V3electionpb__LeaderKey key = leader("E/1", 2, 1);
    V3electionpb__LeaderKey old = leader("E/1", 1, 1);
    V3electionpb__LeaderKey no_lease = leader("E/1", 2, 555);
    V3electionpb__LeaderKey own_lease = leader("E/1", 2, 0);
    V3electionpb__LeaderKey empty = leader("", 0, 0);
    grant(stage, 1, 1000);
    got(campaign(stage, "E", 1, "v"), "@2 leader{*}\n");
    proclaim(stage, &key, "w", NULL);
    proclaim(stage, &old, "x", "election: not leader");
    proclaim(stage, &no_lease, "x", "etcdserver: requested lease not found");
    proclaim(stage, &empty, "x", "etcdserver: key is not provided");
    proclaim(stage, NULL, "x", "\"leader\" field must be provided");
    leads(stage, "@3 E/1=w 2/3/2 lease 1\n");
    proclaim(stage, &own_lease, "y", NULL);
    leads(stage, "@4 E/1=y 2/4/3 lease *\n");
}

static void only_the_leader_resigns(void **state)
{
    struct stage *stage = *state;
    V3electionpb__LeaderKey key = leader("E/1", 2, 1);
    V3electionpb__LeaderKey old = leader("E/1", 1, 1);
    V3electionpb__LeaderKey empty = leader("", 0, 0);
    grant(stage, 1, 1000);
    got(campaign(stage, "E", 1, "v"), "@2 leader{*}\n");
    resign(stage, &old, NULL); /* as etcd has it, that is well */
    resign(stage, &empty, "etcdserver: key is not provided");
    resign(stage, NULL, "\"leader\" field must be provided");
    leads(stage, "@2 E/1=v 2/2/1 lease 1\n");
    resign(stage, &key, NULL);
    leads_none(stage);
}

/* ---- observers ----------------------------------------------------------- */

static void an_observer_hears_all(void **state)
{
    struct stage *stage = *state;
    V3electionpb__LeaderKey first = leader("E/1", 2, 1);
    V3electionpb__LeaderKey second = leader("E/2", 5, 2);
    struct hearer *early = observe(stage);
    hear(early, "");
    grant(stage, 1, 1000);
    grant(stage, 2, 1000);
    got(campaign(stage, "E", 1, "v"), "@2 leader{*}\n");
    struct hearer *late = observe(stage);
    hear(early, "@2 E/1=v 2/2/1 lease 1\n");
    hear(late, "@2 E/1=v 2/2/1 lease 1\n");
    proclaim(stage, &first, "v2", NULL);
    proclaim(stage, &first, "v3", NULL);
    hear(early, "@3 E/1=v2 2/3/2 lease 1\n@4 E/1=v3 2/4/3 lease 1\n");
    hear(late, "@3 E/1=v2 2/3/2 lease 1\n@4 E/1=v3 2/4/3 lease 1\n");
    struct hearer *other = campaign(stage, "E", 2, "w");
    hear(early, "");
    resign(stage, &first, NULL);
    hear(early, "@6 E/2=w 5/5/1 lease 2\n");
    hear(late, "@6 E/2=w 5/5/1 lease 2\n");
    got(other, "@5 leader{*}\n");
    resign(stage, &second, NULL);
    hear(early, "");
    put(stage, "E/x", "anybody");
    hear(early, "@8 E/x=anybody 8/8/1\n");
    stage_hang_up(early);
    stage_hang_up(late);
    assert_false(stage->watching);
}

static void a_slow_observer_hears_all(void **state)
{
    struct stage *stage = *state;
    struct hearer *slow = observe(stage);
    slow->is_slow = true;
    for (int i = 0; i < 8; i++) {
        put_large(stage, "E/1", 100000);
    }
    hear(slow, "@2 E/1=<100000> 2/2/1\n@3 E/1=<100000> 2/3/2\n"
               "@4 E/1=<100000> 2/4/3\n");
    stage_take(slow);
    stage_turn(stage);
    hear(slow, "@5 E/1=<100000> 2/5/4\n@6 E/1=<100000> 2/6/5\n"
               "@7 E/1=<100000> 2/7/6\n");
    stage_take(slow);
    stage_turn(stage);
    hear(slow, "@8 E/1=<100000> 2/8/7\n@9 E/1=<100000> 2/9/8\n");
    put(stage, "E/1", "w");
    hear(slow, "@10 E/1=w 2/10/9\n");
    stage_hang_up(slow);
}

/* What it hasn't heard was compacted away: it hears the newest. */
static void an_observer_survives_a_compaction(void **state)
{
    struct stage *stage = *state;
    struct hearer *slow = observe(stage);
    slow->is_slow = true;
    for (int i = 0; i < 8; i++) {
        put_large(stage, "E/1", 100000);
    }
    hear(slow, "*\n*\n@4 E/1=<100000> 2/4/3\n");
    stage_compact(stage, 9);
    stage_take(slow);
    stage_turn(stage);
    hear(slow, "@9 E/1=<100000> 2/9/8\n");
    put(stage, "E/1", "w");
    hear(slow, "@10 E/1=w 2/10/9\n");
    stage_hang_up(slow);
}

static void a_stop_ends_an_observer(void **state)
{
    struct stage *stage = *state;
    struct hearer *hearer = observe(stage);
    rpc_stop(stage->rpc);
    hear_end(hearer, GRPC_UNAVAILABLE, "etcdserver: server stopped");
    stage_hang_up(hearer);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_begin, stage_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_is_elected),
        TEST(others_wait),
        TEST(who_goes_leaves_no_key),
        TEST(who_loses_the_key_is_told),
        TEST(a_campaign_may_come_too_late),
        TEST(only_the_leader_proclaims),
        TEST(only_the_leader_resigns),
        TEST(an_observer_hears_all),
        TEST(a_slow_observer_hears_all),
        TEST(an_observer_survives_a_compaction),
        TEST(a_stop_ends_an_observer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
