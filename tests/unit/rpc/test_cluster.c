/* Who belongs to the cluster: lists, additions, promotions, removals, and
 * etcd's own words where they are refused. */
#include "gates.h"

#include <stdio.h>
#include <string.h>

static struct gates *gates;

static void open_cluster(size_t count)
{
    gates = gates_new(count, 1);
}

static int tear_down(void **state)
{
    (void)state;
    gates_free(gates);
    return 0;
}

/* As etcd's: without a revision. */
#define HEAD                                          \
    "\"header\":{\"cluster_id\":\"*\",\"member_id\":" \
    "\"*\",\"raft_term\":\"*\"}"
#define ERROR(text, code)                                             \
    "{\"error\":\"" text "\",\"message\":\"" text "\",\"code\":" code \
    ",\"details\":[]}"

static void story(const char *path, const char *body, int status,
                  const char *expected)
{
    gate_story(gates, gates_leader(gates), path, body, status, expected);
}

static void id_story(const char *path, const char *format, uint64_t id,
                     int status, const char *expected)
{
    char body[200];
    snprintf(body, sizeof(body), format, (unsigned long long)id);
    story(path, body, status, expected);
}

/* ---- looking --------------------------------------------------------- */

static void the_members_are_listed_by_id(void **state)
{
    (void)state;
    open_cluster(3);
    story("/v3/cluster/member/list", "", 200,
          "{" HEAD ",\"members\":[{\"ID\":\"161\",\"name\":\"*\",\"peerURLs\":"
          "[\"*\"]*},{\"ID\":\"162\",*},{\"ID\":\"163\",*}]}");
    assert_null(strstr(gate_last().at, "isLearner"));
    assert_null(strstr(gate_last().at, "revision"));
    gate_story(gates, gates_follower(gates), "/v3/cluster/member/list",
               "{\"linearizable\":true}", 200, "{" HEAD ",\"members\":[*]}");
}

/* One that is cut off tells what it knows, but not for more than that. */
static void a_list_may_be_asked_to_be_current(void **state)
{
    (void)state;
    open_cluster(3);
    size_t number = gates_follower(gates);
    cluster_isolate(&gates->nodes, number, true);
    gates_run(gates, 500);
    gate_story(gates, number, "/v3/cluster/member/list", "", 200,
               "{" HEAD ",\"members\":[*]}");
    struct ask *ask = gate_post(gates, number, "/v3/cluster/member/list",
                                "{\"linearizable\":true}");
    gates_run(gates, 15000);
    ask_expect(ask, 503, "{\"error\":\"etcdserver: *\",*\"code\":14,*}");
    ask_free(ask);
    cluster_mend(&gates->nodes);
    gates_run(gates, 1000);
}

/* ---- adding ---------------------------------------------------------- */

static void a_learner_is_added_and_only_one(void **state)
{
    (void)state;
    open_cluster(1);
    story("/v3/cluster/member/add",
          "{\"peerURLs\":[\"http://b:2\",\"http://a:1\"],\"isLearner\":true}",
          200,
          "{" HEAD ",\"member\":{\"ID\":\"*\",\"peerURLs\":[\"http://a:1\","
          "\"http://b:2\"],\"isLearner\":true},\"members\":[*]}");
    assert_non_null(strstr(gate_last().at, "\"ID\":\"161\""));
    story("/v3/cluster/member/add",
          "{\"peerURLs\":[\"http://c:1\"],\"isLearner\":true}", 400,
          ERROR("etcdserver: too many learner members in cluster", "9"));
    gates->gates[0].shared.learners_max = 2;
    story("/v3/cluster/member/add",
          "{\"peerURLs\":[\"http://c:1\"],\"isLearner\":true}", 200, "{*}");
}

static void a_voter_is_a_learner_at_first(void **state)
{
    (void)state;
    open_cluster(1);
    /* The second one votes only when it is up to date. As long as it hasn't
     * begun to be, it is listed as what it was added as. */
    story("/v3/cluster/member/add", "{\"peerURLs\":[\"https://a:1\"]}", 200,
          "{" HEAD ",\"member\":{\"ID\":\"*\",\"peerURLs\":"
          "[\"https://a:1\"]},\"members\":[*]}");
    story("/v3/cluster/member/list", "{}", 200,
          "{" HEAD ",\"members\":[*\"https://a:1\"]}*]}");
    /* It isn't one of those that are counted as such. */
    story("/v3/cluster/member/add",
          "{\"peerURLs\":[\"http://b:1\"],\"isLearner\":true}", 200, "{*}");
}

static void addresses_must_be_a_members(void **state)
{
    static const char *const wrong[] = {
        "[]",
        "[\"\"]",
        "[\"garbage\"]",
        "[\"http://a\"]",
        "[\"http://a:1/path\"]",
        "[\"ftp://a:1\"]",
        "[\"http://a:1\",\"http://b:0\"]",
        "[\"http://a:1\",\"http://a:1,http://b:1\"]",
    };
    char body[200];
    (void)state;
    open_cluster(1);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        snprintf(body, sizeof(body), "{\"peerURLs\":%s}", wrong[i]);
        story("/v3/cluster/member/add", body, 400,
              ERROR("etcdserver: given member URLs are invalid", "3"));
        snprintf(body, sizeof(body), "{\"ID\":161,\"peerURLs\":%s}", wrong[i]);
        story("/v3/cluster/member/update", body, 400,
              ERROR("etcdserver: given member URLs are invalid", "3"));
    }
    struct buf many = {0};
    buf_append_str(&many, "{\"peerURLs\":[\"http://a:1\"");
    for (int i = 2; i < 20; i++) {
        buf_printf(&many, ",\"http://a:%d\"", i);
    }
    buf_append(&many, "]}", 3);
    story("/v3/cluster/member/add", many.at, 400,
          ERROR("etcdserver: given member URLs are invalid", "3"));
    buf_deinit(&many);
}

static void an_address_belongs_to_one_member(void **state)
{
    char body[200];
    (void)state;
    open_cluster(1);
    snprintf(body, sizeof(body), "{\"peerURLs\":[\"%s\"]}",
             gates->nodes.urls[0]);
    story("/v3/cluster/member/add", body, 400,
          ERROR("etcdserver: Peer URLs already exists", "9"));
    story("/v3/cluster/member/add",
          "{\"peerURLs\":[\"http://a:1\"],\"isLearner\":true}", 200, "{*}");
    snprintf(body, sizeof(body), "{\"ID\":161,\"peerURLs\":[\"http://a:1\"]}");
    story("/v3/cluster/member/update", body, 400,
          ERROR("etcdserver: Peer URLs already exists", "9"));
}

/* ---- learners -------------------------------------------------------- */

static void open_learner(void)
{
    open_cluster(1);
    assert_int_equal(cluster_change(&gates->nodes, 0, NODE_ADD_LEARNER, 1),
                     ERR_OK);
    gates_open(gates, 1);
    gates_run(gates, 2000);
}

#define NOT_HERE ERROR("etcdserver: rpc not supported for learner", "9")

static void a_learner_answers_what_it_can_say_by_itself(void **state)
{
    (void)state;
    open_learner();
    story("/v3/kv/put", "{\"key\":\"YQ==\",\"value\":\"eA==\"}", 200, "{*}");
    gates_run(gates, 500);
    gate_story(gates, 1, "/v3/kv/range",
               "{\"key\":\"YQ==\",\"serializable\":true}", 200,
               "{*\"value\":\"eA==\"*}");
    gate_story(gates, 1, "/v3/kv/range", "{\"serializable\":true}", 400,
               ERROR("etcdserver: key is not provided", "3"));
    gate_story(gates, 1, "/v3/maintenance/status", "{}", 200,
               "{*\"isLearner\":true*}");
}

static void a_learner_answers_nothing_else(void **state)
{
    static const struct {
        const char *path;
        const char *body;
    } asked[] = {
        {"/v3/kv/range", "{\"key\":\"YQ==\"}"},
        {"/v3/kv/range", "{}"},
        {"/v3/kv/put", "{\"key\":\"YQ==\"}"},
        {"/v3/kv/put", "{}"},
        {"/v3/kv/txn", "{}"},
        {"/v3/kv/deleterange", "{\"key\":\"YQ==\"}"},
        {"/v3/kv/compaction", "{\"revision\":1}"},
        {"/v3/lease/grant", "{\"TTL\":5}"},
        {"/v3/lease/leases", "{}"},
        {"/v3/cluster/member/list", "{}"},
        {"/v3/maintenance/hash", "{}"},
        {"/v3/maintenance/alarm", "{}"},
        {"/v3/maintenance/defragment", "{}"},
        {"/v3/lock/lock", "{\"name\":\"YQ==\"}"},
        {"/v3/election/leader", "{\"name\":\"YQ==\"}"},
        {"/v3/history/revisionat", "{}"},
    };
    (void)state;
    open_learner();
    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        gate_story(gates, 1, asked[i].path, asked[i].body, 400, NOT_HERE);
    }
    gate_story(gates, 1, "/v3/watch", "{\"create_request\":{\"key\":\"YQ==\"}}",
               400,
               "{\"error\":{\"grpc_code\":9,*\"etcdserver: rpc not supported "
               "for learner\",*}}\n");
}

static void promoted_it_answers_all(void **state)
{
    (void)state;
    open_learner();
    story("/v3/cluster/member/promote", "{\"ID\":162}", 200, "{*}");
    gates_run(gates, 500);
    gate_story(gates, 1, "/v3/kv/put", "{\"key\":\"YQ==\"}", 200, "{*}");
    gate_story(gates, 1, "/v3/kv/range", "{\"key\":\"YQ==\"}", 200,
               "{*\"count\":\"1\"}");
}

/* ---- changing -------------------------------------------------------- */

static void a_member_moves(void **state)
{
    (void)state;
    open_cluster(1);
    story("/v3/cluster/member/update",
          "{\"ID\":\"161\",\"peerURLs\":[\"http://new:1\"]}", 200,
          "{" HEAD ",\"members\":[{\"ID\":\"161\",\"name\":\"*\",\"peerURLs\":"
          "[\"http://new:1\"]*}]}");
}

static void nobody_is_not_found(void **state)
{
    static const struct {
        const char *path;
        const char *body;
    } asked[] = {
        {"/v3/cluster/member/update",
         "{\"ID\":5,\"peerURLs\":[\"http://a:1\"]}"},
        {"/v3/cluster/member/update", "{\"ID\":5,\"peerURLs\":[\"garbage\"]}"},
        {"/v3/cluster/member/update", "{\"ID\":5}"},
        {"/v3/cluster/member/remove", "{\"ID\":5}"},
        {"/v3/cluster/member/remove", "{}"},
        {"/v3/cluster/member/promote", "{\"ID\":5}"},
    };
    (void)state;
    open_cluster(1);
    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        story(asked[i].path, asked[i].body, 404,
              ERROR("etcdserver: member not found", "5"));
    }
}

static void a_member_that_was_removed_stays_so(void **state)
{
    (void)state;
    open_cluster(1);
    story("/v3/cluster/member/add",
          "{\"peerURLs\":[\"http://a:1\"],\"isLearner\":true}", 200, "{*}");
    uint64_t id = gate_number("ID");
    id_story("/v3/cluster/member/remove", "{\"ID\":%llu}", id, 200,
             "{" HEAD ",\"members\":[{\"ID\":\"161\",*}]}");
    id_story("/v3/cluster/member/remove", "{\"ID\":%llu}", id, 404,
             ERROR("etcdserver: member not found", "5"));
}

static void only_a_learner_that_keeps_up_is_promoted(void **state)
{
    (void)state;
    open_cluster(1);
    story("/v3/cluster/member/promote", "{\"ID\":161}", 400,
          ERROR("etcdserver: can only promote a learner member", "9"));
    story("/v3/cluster/member/add",
          "{\"peerURLs\":[\"http://a:1\"],\"isLearner\":true}", 200, "{*}");
    id_story("/v3/cluster/member/promote", "{\"ID\":%llu}", gate_number("ID"),
             400,
             ERROR("etcdserver: can only promote a learner member which is in "
                   "sync with leader",
                   "9"));
}

/* Through a member that doesn't lead it is the same. */
static void any_member_takes_a_change(void **state)
{
    (void)state;
    open_cluster(3);
    size_t number = gates_follower(gates);
    gate_story(gates, number, "/v3/cluster/member/add",
               "{\"peerURLs\":[\"http://a:1\"],\"isLearner\":true}", 200,
               "{" HEAD ",\"member\":{*\"isLearner\":true},\"members\":[*]}");
    gate_story(gates, number, "/v3/cluster/member/promote", "{\"ID\":161}", 400,
               ERROR("etcdserver: can only promote a learner member", "9"));
}

/* With --strict-reconfig-check: etcd tells members that never came from those
 * that went. */
static void what_would_lose_the_majority_is_refused(void **state)
{
    (void)state;
    open_cluster(3);
    size_t lost = gates_follower(gates);
    cluster_isolate(&gates->nodes, lost, true);
    gates_run(gates, 3000);
    story("/v3/cluster/member/add", "{\"peerURLs\":[\"http://a:1\"]}", 503,
          ERROR("etcdserver: unhealthy cluster", "14"));
    size_t other = 0;
    while (other == lost || other == gates_leader(gates)) {
        other++;
    }
    id_story("/v3/cluster/member/remove", "{\"ID\":%llu}", cluster_id(other),
             503, ERROR("etcdserver: unhealthy cluster", "14"));
    cluster_mend(&gates->nodes);
    gates_run(gates, 1000);
}

static void members_that_never_came_are_told_apart(void **state)
{
    (void)state;
    open_cluster(3);
    story("/v3/cluster/member/add", "{\"peerURLs\":[\"http://a:1\"]}", 200,
          "{*}");
    story("/v3/cluster/member/add", "{\"peerURLs\":[\"http://b:1\"]}", 200,
          "{*}");
    story("/v3/cluster/member/add", "{\"peerURLs\":[\"http://c:1\"]}", 400,
          ERROR("etcdserver: re-configuration failed due to not enough started "
                "members",
                "9"));
    id_story("/v3/cluster/member/remove", "{\"ID\":%llu}",
             cluster_id(gates_follower(gates)), 400,
             ERROR("etcdserver: re-configuration failed due to not enough "
                   "started members",
                   "9"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define STORY(name) cmocka_unit_test_teardown(name, tear_down)
        STORY(the_members_are_listed_by_id),
        STORY(a_list_may_be_asked_to_be_current),
        STORY(a_learner_is_added_and_only_one),
        STORY(a_voter_is_a_learner_at_first),
        STORY(addresses_must_be_a_members),
        STORY(an_address_belongs_to_one_member),
        STORY(a_member_moves),
        STORY(nobody_is_not_found),
        STORY(a_member_that_was_removed_stays_so),
        STORY(only_a_learner_that_keeps_up_is_promoted),
        STORY(any_member_takes_a_change),
        STORY(a_learner_answers_what_it_can_say_by_itself),
        STORY(a_learner_answers_nothing_else),
        STORY(promoted_it_answers_all),
        STORY(what_would_lose_the_majority_is_refused),
        STORY(members_that_never_came_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
