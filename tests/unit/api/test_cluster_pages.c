/* What the members of a cluster say of themselves and of each other, and how
 * they are changed. */
#include "api_cluster.h"

#include <stdio.h>
#include <stdlib.h>

static int begin(void **state)
{
    *state = api_cluster_new(3, 1);
    return 0;
}

static int end(void **state)
{
    api_cluster_free(*state);
    return 0;
}

/* The one that neither leads nor is `follower`. */
static size_t third(size_t leader, size_t follower)
{
    return 3 - leader - follower;
}

static void expect_list(struct api_cluster *cluster, size_t number,
                        const char *request, const char *format, size_t a,
                        size_t b, size_t c)
{
    char text[256];
    (void)snprintf(text, sizeof(text), format, a, b, c);
    api_cluster_story(cluster, number, request, NULL, 200, text);
}

/* ---- members ------------------------------------------------------------- */

/* The id in an answer, as it stands in a path. */
static void read_id(const struct reply *reply, char *out, size_t size)
{
    const char *begin =
        memmem(reply->body.at, reply->body.size, "\"id\":\"", 6);
    assert_non_null(begin);
    const char *id = begin + 6;
    size_t left = reply->body.size - (size_t)(id - reply->body.at);
    const char *stop = memchr(id, '"', left);
    assert_non_null(stop);
    (void)snprintf(out, size, "%.*s", (int)(stop - id), id);
}

static void members_are_changed_through_a_follower(void **state)
{
    struct api_cluster *cluster = *state;
    char id[32];
    char request[64];
    char says[128];
    size_t follower = api_cluster_follower(cluster);
    struct reply reply = api_cluster_ask(
        cluster, follower, "POST /v2/members", NULL,
        "{\"peerURLs\":[\"http://new:2381\",\"http://new:2380\"]}");
    assert_int_equal(reply.status, 201);
    expect_text(reply_header(&reply, "X-Etcd-Cluster-Id"), "c1");
    expect_text(reply_header(&reply, "Content-Type"), "application/json");
    expect_text(reply.body,
                "{\"id\":\"*\",\"name\":\"\",\"peerURLs\":[\"http://new:2380\","
                "\"http://new:2381\"],\"clientURLs\":[]}\n");
    read_id(&reply, id, sizeof(id));
    (void)snprintf(request, sizeof(request), "PUT /v2/members/%s", id);
    reply = api_cluster_ask(cluster, follower, request, NULL,
                            "{\"peerURLs\":[\"http://moved:1\"]}");
    assert_int_equal(reply.status, 204);
    assert_int_equal(reply.body.size, 0);
    expect_text(reply_header(&reply, "X-Etcd-Cluster-Id"), "c1");
    api_cluster_settle(cluster);
    (void)snprintf(says, sizeof(says),
                   "{\"members\":[*{\"id\":\"%s\",*\"http://moved:1\"*", id);
    for (size_t i = 0; i < 3; i++) {
        api_cluster_story(cluster, i, "GET /v2/members", NULL, 200, says);
    }
    /* An address that is another's; an id that nobody has. */
    api_cluster_story(cluster, follower, "POST /v2/members",
                      "{\"peerURLs\":[\"http://m0:2380\"]}", 409,
                      "{\"message\":\"membership: peerURL exists\"}");
    api_cluster_story(cluster, follower, request,
                      "{\"peerURLs\":[\"http://m1:2380\"]}", 409,
                      "{\"message\":\"membership: peerURL exists\"}");
    api_cluster_story(cluster, follower, "PUT /v2/members/77",
                      "{\"peerURLs\":[\"http://x:1\"]}", 404,
                      "{\"message\":\"No such member: 77\"}");
    (void)snprintf(request, sizeof(request), "DELETE /v2/members/%s", id);
    (void)snprintf(says, sizeof(says),
                   "{\"message\":\"Member permanently removed: %s\"}", id);
    api_cluster_story(cluster, follower, request, NULL, 204, "");
    api_cluster_story(cluster, follower, request, NULL, 410, says);
    api_cluster_story(cluster, api_cluster_leader(cluster), request, NULL, 410,
                      says);
    api_cluster_settle(cluster);
    api_cluster_story(cluster, third(api_cluster_leader(cluster), follower),
                      "GET /v2/members", NULL, 200,
                      "{\"members\":[{\"id\":\"a1\",*},{\"id\":\"a2\",*},"
                      "{\"id\":\"a3\",\"name\":\"m2\",\"peerURLs\":["
                      "\"http://m2:2380\"],\"clientURLs\":["
                      "\"http://m2:2379\"]}]}\n");
}

static void a_change_that_would_leave_no_quorum(void **state)
{
    struct api_cluster *cluster = *state;
    char request[64];
    size_t leader = api_cluster_leader(cluster);
    size_t follower = api_cluster_follower(cluster);
    size_t down = third(leader, follower);
    api_cluster_close(cluster, down);
    api_cluster_run(cluster, 3 * CLUSTER_ELECTION_MS);
    (void)snprintf(request, sizeof(request), "DELETE /v2/members/%llx",
                   (unsigned long long)cluster_id(follower));
    const char *says = "{\"message\":\"etcdserver: unhealthy cluster: *\"}";
    api_cluster_story(cluster, follower, request, NULL, 503, says);
    api_cluster_story(cluster, leader, request, NULL, 503, says);
    api_cluster_story(cluster, follower, "POST /v2/members",
                      "{\"peerURLs\":[\"http://new:2380\"]}", 503, says);
    (void)snprintf(request, sizeof(request), "peer DELETE /remove/m%zu",
                   follower);
    api_cluster_story(cluster, leader, request, NULL, 500,
                      NOT_DONE("unhealthy cluster"));
    /* The one that is down can go, and comes back only as another one. */
    (void)snprintf(request, sizeof(request), "DELETE /v2/members/%llx",
                   (unsigned long long)cluster_id(down));
    api_cluster_story(cluster, follower, request, NULL, 204, "");
    api_cluster_settle(cluster);
    api_cluster_story(cluster, follower, "PUT /v2/keys/a", "value=1", 201, "*");
}

/* As in etcd, with --strict-reconfig-check: those that were added and never
 * started count as members that are missing. */
static void a_change_while_too_few_were_started(void **state)
{
    struct api_cluster *cluster = *state;
    const char *refused = "{\"message\":\"etcdserver: re-configuration failed "
                          "due to not enough started members\"}";
    char request[64];
    char added[2][17];
    size_t follower = api_cluster_follower(cluster);
    struct api_shared *shared = &cluster->members[follower].world.shared;
    shared->strict_reconfig = true;
    for (int i = 0; i < 2; i++) {
        char body[64];
        (void)snprintf(body, sizeof(body), "{\"peerURLs\":[\"http://n%d:1\"]}",
                       i);
        struct reply reply = api_cluster_ask(
            cluster, follower, "POST /v2/members", TYPE_JSON, body);
        assert_int_equal(reply.status, 201);
        const char *id = strstr(reply.body.at, "\"id\":\"");
        assert_non_null(id);
        (void)snprintf(added[i], sizeof(added[i]), "%.*s",
                       (int)strcspn(id + 6, "\""), id + 6);
        api_cluster_settle(cluster);
    }
    api_cluster_story(cluster, follower, "POST /v2/members",
                      "{\"peerURLs\":[\"http://n2:1\"]}", 503, refused);
    (void)snprintf(request, sizeof(request), "DELETE /v2/members/%llx",
                   (unsigned long long)cluster_id(follower));
    api_cluster_story(cluster, follower, request, NULL, 503, refused);
    /* One of them can go again. */
    (void)snprintf(request, sizeof(request), "DELETE /v2/members/%s", added[0]);
    api_cluster_story(cluster, follower, request, NULL, 204, "");
    shared->strict_reconfig = false;
    api_cluster_story(cluster, follower, "POST /v2/members",
                      "{\"peerURLs\":[\"http://n2:1\"]}", 201, "*");
}

static void changes_without_a_leader(void **state)
{
    struct api_cluster *cluster = *state;
    size_t follower = api_cluster_follower(cluster);
    api_cluster_isolate(cluster, follower);
    const char *urls = "{\"peerURLs\":[\"http://new:2380\"]}";
    const char *no_leader = "{\"message\":\"etcdserver: no leader\"}";
    api_cluster_story(cluster, follower, "POST /v2/members", urls, 503,
                      no_leader);
    api_cluster_story(cluster, follower, "PUT /v2/members/a1", urls, 503,
                      no_leader);
    api_cluster_story(cluster, follower, "DELETE /v2/members/a1", NULL, 503,
                      no_leader);
    api_cluster_story(cluster, follower, "peer DELETE /remove/m0", NULL, 503,
                      NOT_DONE("etcdserver: no leader"));
    api_cluster_story(cluster, follower, "peer POST /join",
                      "{\"name\":\"x\",\"raftURL\":\"http://x:1\"}", 503,
                      NOT_DONE("etcdserver: no leader"));
    api_cluster_story(cluster, follower, "peer PUT /v2/admin/config",
                      "{\"activeSize\":5}", 503,
                      NOT_DONE("etcdserver: no leader"));
    /* What is known here is told. */
    api_cluster_story(cluster, follower, "GET /v2/members", NULL, 200,
                      "*\"a1\"*\"a2\"*\"a3\"*");
    api_cluster_story(cluster, follower, "peer GET /v2/admin/config", NULL, 200,
                      "{\"activeSize\":9,*");
}

/* Heartbeats get through, what is longer doesn't. */
static bool only_short(struct node_cluster *cluster, member_id from,
                       member_id to, struct slice bytes)
{
    (void)cluster;
    (void)from;
    (void)to;
    return bytes.size < 60;
}

static void a_change_that_does_not_come_to_its_end(void **state)
{
    struct api_cluster *cluster = *state;
    size_t leader = api_cluster_leader(cluster);
    const char *urls = "{\"peerURLs\":[\"http://a-rather-long-name:2380\"]}";
    cluster->nodes.filter = only_short;
    struct client *first = api_cluster_client(cluster, leader);
    struct client *second = api_cluster_client(cluster, leader);
    api_cluster_send(first, "PUT /v2/members/a1", urls);
    api_cluster_turn(cluster);
    api_cluster_send(second, "DELETE /v2/members/77", NULL);
    api_cluster_run(cluster, 2500);
    /* It leads all the time, and doesn't know whether the first is done. */
    assert_int_equal(api_cluster_leader(cluster), leader);
    assert_int_equal(api_cluster_status(first), 504);
    story_stream(first, "{\"message\":\"etcdserver: request timed out\"}");
    assert_int_equal(api_cluster_status(second), 503);
    story_stream(second, "{\"message\":\"another change of membership is under "
                         "way; try again\"}");
    client_free(first);
    client_free(second);
    cluster->nodes.filter = NULL;
    api_cluster_settle(cluster);
    api_cluster_story(cluster, leader, "GET /v2/members", NULL, 200,
                      "*\"http://a-rather-long-name:2380\"*");
    api_cluster_story(cluster, leader, "DELETE /v2/members/77", NULL, 404, "*");
}

/* ---- the leader ---------------------------------------------------------- */

static void who_leads(void **state)
{
    struct api_cluster *cluster = *state;
    size_t leader = api_cluster_leader(cluster);
    size_t follower = api_cluster_follower(cluster);
    size_t other = third(leader, follower);
    for (size_t i = 0; i < 3; i++) {
        expect_list(cluster, i, "GET /v2/members/leader",
                    "{\"id\":\"a%zu\",\"name\":\"m%zu\",\"peerURLs\":["
                    "\"http://m%zu:2380\"],*}\n",
                    leader + 1, leader, leader);
        expect_list(cluster, i, "GET /v2/leader", "http://m%zu:2380", leader, 0,
                    0);
        expect_list(cluster, i, "GET /v2/machines",
                    "http://m%zu:2379, http://m%zu:2379, http://m%zu:2379",
                    leader, follower < other ? follower : other,
                    follower < other ? other : follower);
    }
    /* The other one takes over. */
    api_cluster_close(cluster, leader);
    size_t next = api_cluster_leader(cluster);
    api_cluster_settle(cluster);
    expect_list(cluster, third(leader, next), "GET /v2/leader",
                "http://m%zu:2380", next, 0, 0);
    expect_list(cluster, next, "GET /v2/machines", "http://m%zu:2379, *", next,
                0, 0);
}

static void nobody_leads(void **state)
{
    struct api_cluster *cluster = *state;
    size_t follower = api_cluster_follower(cluster);
    api_cluster_isolate(cluster, follower);
    api_cluster_story(cluster, follower, "GET /v2/members/leader", NULL, 503,
                      "{\"message\":\"During election\"}");
    api_cluster_story(cluster, follower, "GET /v2/leader", NULL, 500,
                      "{\"errorCode\":301,\"message\":\"During Leader "
                      "Election\",\"index\":1}\n");
    /* Nobody comes first. */
    api_cluster_story(cluster, follower, "GET /v2/machines", NULL, 200,
                      "http://m0:2379, http://m1:2379, http://m2:2379");
    api_cluster_story(cluster, follower, "GET /v2/stats/self", NULL, 200,
                      "*\"leaderInfo\":{\"leader\":\"0\",*");
    api_cluster_story(cluster, follower, "GET /v2/stats/leader", NULL, 403,
                      "{\"message\":\"not current leader\"}");
    api_cluster_story(cluster, follower, "GET /health", NULL, 503,
                      "{\"health\":\"false\",\"reason\":\"RAFT NO LEADER\"}\n");
    api_cluster_story(cluster, follower, "GET /health?exclude=NOSPACE", NULL,
                      503, "*RAFT NO LEADER*");
    api_cluster_story(cluster, follower, "GET /livez", NULL, 200, "ok\n");
    api_cluster_story(cluster, follower, "GET /readyz", NULL, 503,
                      "[+]data_corruption ok\n[+]serializable_read ok\n"
                      "[-]linearizable_read failed: no leader\n"
                      "[+]non_learner ok\n");
    api_cluster_story(cluster, follower, "GET /readyz/linearizable_read", NULL,
                      503, "[-]linearizable_read failed: no leader\n");
    api_cluster_story(cluster, follower,
                      "GET /readyz?exclude=linearizable_read", NULL, 200,
                      "ok\n");
    api_cluster_story(cluster, follower, "GET /metrics", NULL, 200,
                      "*\netcd_server_has_leader 0\n*");
    cluster_mend(&cluster->nodes);
    api_cluster_settle(cluster);
    api_cluster_story(cluster, follower, "GET /health", NULL, 200,
                      "{\"health\":\"true\"}");
    api_cluster_story(cluster, follower, "GET /readyz", NULL, 200, "ok\n");
    api_cluster_story(cluster, follower, "GET /metrics", NULL, 200,
                      "*\netcd_server_has_leader 1\n*");
}

/* ---- stats --------------------------------------------------------------- */

/* The number behind `name` in what a member says of itself. */
static uint64_t number_in(struct api_cluster *cluster, size_t number,
                          const char *request, const char *name)
{
    uint64_t value = 0;
    struct reply reply = api_cluster_ask(cluster, number, request, NULL, NULL);
    assert_int_equal(reply.status, 200);
    const char *at = memmem(reply.body.at, reply.body.size, name, strlen(name));
    assert_non_null(at);
    for (at += strlen(name); *at >= '0' && *at <= '9'; at++) {
        value = value * 10 + (uint64_t)(*at - '0');
    }
    return value;
}

/* The same, with a point in it. */
static double decimal_in(struct api_cluster *cluster, size_t number,
                         const char *request, const char *name)
{
    struct reply reply = api_cluster_ask(cluster, number, request, NULL, NULL);
    const char *at = memmem(reply.body.at, reply.body.size, name, strlen(name));
    assert_non_null(at);
    return strtod(at + strlen(name), NULL);
}

/* In the beginning the network took no time, then always six milliseconds
 * there and back: with these two values only, the deviation follows from the
 * average. */
static void the_latency_is_what_the_network_takes(void **state)
{
    struct api_cluster *cluster = *state;
    size_t leader = api_cluster_leader(cluster);
    const char *stats = "GET /v2/stats/leader";
    cluster->nodes.delay_ms = 3;
    for (int i = 0; i < 10; i++) {
        (void)api_cluster_ask(cluster, leader, "PUT /v2/keys/a", NULL,
                              "value=");
    }
    api_cluster_run(cluster, 2000);
    double average = decimal_in(cluster, leader, stats, "\"average\":");
    double deviation =
        decimal_in(cluster, leader, stats, "\"standardDeviation\":");
    double variance = average * (6 - average);
    double error = deviation * deviation - variance;
    assert_true(average > 3 && average < 6);
    assert_true(deviation > 0.1 && error < 1e-3 && error > -1e-3);
    api_cluster_story(cluster, leader, stats, NULL, 200,
                      "*\"current\":6.000000,*\"minimum\":0.000000,"
                      "\"maximum\":6.000000},*");
}

static void the_leader_counts_its_followers(void **state)
{
    struct api_cluster *cluster = *state;
    char name[64];
    char says[64];
    size_t leader = api_cluster_leader(cluster);
    size_t follower = api_cluster_follower(cluster);
    const char *fail = "\"counts\":{\"fail\":";
    const char *success = "\"success\":";
    for (int i = 0; i < 10; i++) {
        api_cluster_story(cluster, follower, "PUT /v2/keys/a", "value=1",
                          i == 0 ? 201 : 200, "*");
    }
    api_cluster_run(cluster, 2000); /* they are counted up now and then */
    (void)snprintf(
        says, sizeof(says),
        "{\"leader\":\"a%zu\",\"followers\":{\"a*\":{*},\"a*\":{*}}}",
        leader + 1);
    api_cluster_story(cluster, leader, "GET /v2/stats/leader", NULL, 200, says);
    (void)snprintf(name, sizeof(name), "*\"a%zu\":{\"latency\":{\"current\":*",
                   follower + 1);
    api_cluster_story(cluster, leader, "GET /v2/stats/leader", NULL, 200, name);
    assert_true(number_in(cluster, leader, "GET /v2/stats/leader", success) >=
                10);
    assert_int_equal(number_in(cluster, leader, "GET /v2/stats/leader", fail),
                     0);
    for (size_t i = 0; i < 3; i++) {
        node_unreachable(cluster->nodes.members[leader].node, cluster_id(i));
    }
    api_cluster_run(cluster, 2000);
    assert_true(number_in(cluster, leader, "GET /v2/stats/leader", fail) > 0);
    api_cluster_story(cluster, follower, "GET /v2/stats/leader", NULL, 403,
                      "{\"message\":\"not current leader\"}");
}

static void each_counts_its_appends(void **state)
{
    struct api_cluster *cluster = *state;
    char says[128];
    size_t leader = api_cluster_leader(cluster);
    size_t follower = api_cluster_follower(cluster);
    const char *self = "GET /v2/stats/self";
    const char *received = "\"recvAppendRequestCnt\":";
    const char *sent = "\"sendAppendRequestCnt\":";
    uint64_t received_before = number_in(cluster, follower, self, received);
    uint64_t sent_before = number_in(cluster, leader, self, sent);
    for (int i = 0; i < 5; i++) {
        api_cluster_story(cluster, leader, "PUT /v2/keys/a", "value=1",
                          i == 0 ? 201 : 200, "*");
    }
    api_cluster_settle(cluster);
    assert_true(number_in(cluster, follower, self, received) >=
                received_before + 5);
    assert_true(number_in(cluster, leader, self, sent) >= sent_before + 10);
    assert_int_equal(number_in(cluster, leader, self, received), 0);
    assert_int_equal(number_in(cluster, follower, self, sent), 0);
    (void)snprintf(says, sizeof(says),
                   "{\"name\":\"m%zu\",\"id\":\"a%zu\",\"state\":"
                   "\"StateFollower\",*\"leaderInfo\":{\"leader\":\"a%zu\",*",
                   follower, follower + 1, leader + 1);
    api_cluster_story(cluster, follower, self, NULL, 200, says);
    api_cluster_story(cluster, leader, self, NULL, 200,
                      "*\"state\":\"StateLeader\",*");
}

/* ---- a learner ----------------------------------------------------------- */

static void a_learner_serves_but_does_not_count(void **state)
{
    struct api_cluster *cluster = *state;
    size_t leader = api_cluster_leader(cluster);
    api_cluster_story(cluster, leader, "PUT /v2/keys/a", "value=1", 201, "*");
    assert_int_equal(
        cluster_change(&cluster->nodes, leader, NODE_ADD_LEARNER, 3), ERR_OK);
    api_cluster_open(cluster, 3);
    api_cluster_settle(cluster);
    api_cluster_run(cluster, 2 * CLUSTER_ELECTION_MS);
    api_cluster_story(cluster, 3, "GET /readyz?verbose", NULL, 503,
                      "[+]data_corruption ok\n[+]serializable_read ok\n"
                      "[+]linearizable_read ok\n"
                      "[-]non_learner failed: the member is a learner\n");
    api_cluster_story(cluster, 3, "GET /readyz?exclude=non_learner", NULL, 200,
                      "ok\n");
    api_cluster_story(cluster, 3, "GET /livez", NULL, 200, "ok\n");
    api_cluster_story(cluster, 3, "GET /health", NULL, 200, "*true*");
    api_cluster_story(cluster, 3, "GET /metrics", NULL, 200,
                      "*\netcd_server_is_learner 1\n*");
    api_cluster_story(cluster, leader, "GET /metrics", NULL, 200,
                      "*\netcd_server_is_learner 0\n*");
    /* It has a name of its own by now, and is no standby: a person waits. */
    api_cluster_story(cluster, leader, "GET /v2/members", NULL, 200,
                      "*{\"id\":\"a4\",\"name\":\"m3\",*,\"clientURLs\":["
                      "\"http://m3:2379\"],\"isLearner\":true}]}\n");
    api_cluster_story(cluster, 3, "GET /v2/keys/a?quorum=true", NULL, 200,
                      "*\"value\":\"1\",*");
    api_cluster_story(cluster, 3, "PUT /v2/keys/a", "value=2", 200, "*");
    assert_int_equal(cluster_change(&cluster->nodes, leader, NODE_PROMOTE, 3),
                     ERR_OK);
    api_cluster_settle(cluster);
    api_cluster_story(cluster, 3, "GET /readyz", NULL, 200, "ok\n");
    api_cluster_story(cluster, 3, "GET /v2/members", NULL, 200,
                      "*{\"id\":\"a4\",*[\"http://m3:2379\"]}]}\n");
}

/* ---- 0.4's administration ------------------------------------------------ */

static void the_configuration_is_everybodys(void **state)
{
    struct api_cluster *cluster = *state;
    size_t follower = api_cluster_follower(cluster);
    api_cluster_story(cluster, follower, "peer PUT /v2/admin/config",
                      "{\"activeSize\":3,\"removeDelay\":7,\"syncInterval\":8}",
                      200,
                      "{\"activeSize\":3,\"removeDelay\":7,\"syncInterval\":8}"
                      "\n");
    api_cluster_settle(cluster);
    for (size_t i = 0; i < 3; i++) {
        api_cluster_story(cluster, i, "peer GET /v2/admin/config", NULL, 200,
                          "{\"activeSize\":3,\"removeDelay\":7,"
                          "\"syncInterval\":8}\n");
    }
}

static void machines_come_and_go_through_a_follower(void **state)
{
    struct api_cluster *cluster = *state;
    size_t leader = api_cluster_leader(cluster);
    size_t follower = api_cluster_follower(cluster);
    const char *joins = "{\"name\":\"late\",\"raftURL\":\"http://late:7001\","
                        "\"etcdURL\":\"http://late:4001\"}";
    struct reply reply =
        api_cluster_ask(cluster, follower, "peer POST /join", NULL, joins);
    assert_int_equal(reply.status, 200);
    assert_int_equal(reply.body.size, 8);
    expect_text(reply_header(&reply, "Content-Type"),
                "application/octet-stream");
    api_cluster_settle(cluster);
    for (size_t i = 0; i < 3; i++) {
        api_cluster_story(cluster, i, "peer GET /v2/admin/machines/late", NULL,
                          200,
                          "{\"name\":\"late\",\"state\":\"standby\","
                          "\"clientURL\":\"http://late:4001\",\"peerURL\":"
                          "\"http://late:7001\"}\n");
    }
    expect_list(cluster, follower, "peer GET /v2/admin/machines",
                "[*{\"name\":\"m%zu\",\"state\":\"leader\",\"clientURL\":"
                "\"http://m%zu:2379\",\"peerURL\":\"http://m%zu:2380\"}*]\n",
                leader, leader, leader);
    expect_list(cluster, leader, "peer GET /v2/admin/machines",
                "[*{\"name\":\"m%zu\",\"state\":\"follower\",*{\"name\":\"m*",
                third(leader, follower) < follower ? third(leader, follower)
                                                   : follower,
                0, 0);
    expect_list(cluster, follower, "peer GET /etcdURL", "http://m%zu:2379",
                follower, 0, 0);
    expect_list(cluster, follower, "peer GET /name", "m%zu", follower, 0, 0);
    /* Nobody's name or address is taken twice, whoever is asked. */
    api_cluster_story(cluster, follower, "peer POST /join", joins, 200, "*");
    api_cluster_story(cluster, leader, "peer POST /join",
                      "{\"name\":\"late\",\"raftURL\":\"http://other:1\"}", 400,
                      "{\"errorCode\":109,\"message\":\"Peer address has "
                      "existed\",\"cause\":\"late\",*");
    api_cluster_story(cluster, follower, "peer DELETE /remove/late", NULL, 200,
                      "*");
    api_cluster_settle(cluster);
    api_cluster_story(cluster, leader, "peer DELETE /v2/admin/machines/late",
                      NULL, 404, "{\"errorCode\":100,*no machine is named*");
}

/* Two that ask at once for the same, of members that don't know of each
 * other's question: the leader decides. */
static void two_machines_want_one_address(void **state)
{
    struct api_cluster *cluster = *state;
    size_t leader = api_cluster_leader(cluster);
    size_t follower = api_cluster_follower(cluster);
    struct client *one =
        client_new_peer_port(&cluster->members[follower].world);
    struct client *other =
        client_new_peer_port(&cluster->members[third(leader, follower)].world);
    cluster->nodes.delay_ms = 5;
    api_cluster_send(one, "POST /join",
                     "{\"name\":\"one\",\"raftURL\":\"http://new:1\"}");
    api_cluster_send(other, "POST /join",
                     "{\"name\":\"other\",\"raftURL\":\"http://new:1\"}");
    api_cluster_run(cluster, 300);
    int status = api_cluster_status(one);
    struct client *loser = status == 200 ? other : one;
    assert_int_equal(status + api_cluster_status(other), 200 + 400);
    story_stream(loser, "{\"errorCode\":109,\"message\":\"Peer address has "
                        "existed\",\"cause\":\"http://new:1\",*}\n");
    client_free(one);
    client_free(other);
}

/* Whom the cluster doesn't know any more is told so by its name being free. */
static void two_remove_one_machine(void **state)
{
    struct api_cluster *cluster = *state;
    size_t leader = api_cluster_leader(cluster);
    size_t follower = api_cluster_follower(cluster);
    api_cluster_story(cluster, leader, "peer POST /join",
                      "{\"name\":\"x\",\"raftURL\":\"http://x:1\"}", 200, "*");
    api_cluster_settle(cluster);
    struct client *one =
        client_new_peer_port(&cluster->members[follower].world);
    struct client *other =
        client_new_peer_port(&cluster->members[third(leader, follower)].world);
    cluster->nodes.delay_ms = 5;
    api_cluster_send(one, "DELETE /remove/x", NULL);
    api_cluster_send(other, "DELETE /remove/x", NULL);
    api_cluster_run(cluster, 300);
    struct client *loser = api_cluster_status(one) == 200 ? other : one;
    assert_int_equal(api_cluster_status(one) + api_cluster_status(other),
                     200 + 500);
    story_stream(loser, NOT_DONE("member was removed from the cluster"));
    client_free(one);
    client_free(other);
}

/* ---- metrics ------------------------------------------------------------- */

static size_t two_peers(void *context, struct api_peer *out, size_t max)
{
    size_t *count = context;
    assert_true(max >= 2);
    out[0] = (struct api_peer){.member = 0xa2,
                               .connected = true,
                               .sent_bytes = 1000,
                               .received_bytes = 2000,
                               .send_failures = 3};
    out[1] = (struct api_peer){.member = 0xdeadbeef00000001,
                               .received_bytes = 18446744073709551615U};
    return *count;
}

static void the_metrics_of_the_others(void **state)
{
    struct api_cluster *cluster = *state;
    size_t count = 0;
    struct api_shared *shared = &cluster->members[0].world.shared;
    shared->peers = two_peers;
    shared->peers_context = &count;
    struct reply reply =
        api_cluster_ask(cluster, 0, "GET /metrics", NULL, NULL);
    assert_null(memmem(reply.body.at, reply.body.size, "etcd_network_", 13));
    count = 2;
    api_cluster_story(
        cluster, 0, "GET /metrics", NULL, 200,
        "*# HELP etcd_network_active_peers *\n"
        "# TYPE etcd_network_active_peers gauge\n"
        "etcd_network_active_peers{Local=\"a1\",Remote=\"a2\"} 1\n"
        "etcd_network_active_peers{Local=\"a1\",Remote=\"deadbeef00000001\"} "
        "0\n"
        "*# TYPE etcd_network_peer_sent_bytes_total counter\n"
        "etcd_network_peer_sent_bytes_total{To=\"a2\"} 1000\n"
        "etcd_network_peer_sent_bytes_total{To=\"deadbeef00000001\"} 0\n"
        "*\netcd_network_peer_received_bytes_total{From=\"a2\"} 2000\n"
        "etcd_network_peer_received_bytes_total{From=\"deadbeef00000001\"} "
        "18446744073709551615\n"
        "*\netcd_network_peer_sent_failures_total{To=\"a2\"} 3\n"
        "etcd_network_peer_sent_failures_total{To=\"deadbeef00000001\"} 0\n*");
}

static void the_metrics_of_a_follower(void **state)
{
    struct api_cluster *cluster = *state;
    size_t leader = api_cluster_leader(cluster);
    size_t follower = api_cluster_follower(cluster);
    const char *forwarded = "\netched_forwarded_total ";
    const char *reads = "\netcd_server_read_indexes_total ";
    const char *leads = "\netcd_server_is_leader ";
    uint64_t before = number_in(cluster, follower, "GET /metrics", forwarded);
    api_cluster_story(cluster, follower, "PUT /v2/keys/a", "value=1", 201, "*");
    api_cluster_story(cluster, follower, "GET /v2/keys/a?quorum=true", NULL,
                      200, "*");
    assert_int_equal(number_in(cluster, follower, "GET /metrics", forwarded),
                     before + 1);
    assert_int_equal(number_in(cluster, follower, "GET /metrics", reads), 1);
    assert_int_equal(number_in(cluster, leader, "GET /metrics", reads), 0);
    assert_int_equal(number_in(cluster, follower, "GET /metrics", leads), 0);
    assert_int_equal(number_in(cluster, leader, "GET /metrics", leads), 1);
    assert_true(number_in(cluster, follower, "GET /metrics",
                          "\netched_messages_received_total ") > 0);
}

/* ---- other origins ------------------------------------------------------- */

static void other_origins_are_told_the_same_of_all_answers(void **state)
{
    static const char *const origins[] = {"http://page.example"};
    static const char origin[] = "Origin: http://page.example\r\n";
    static const char stranger[] = "Origin: http://evil.example\r\n";
    struct api_cluster *cluster = *state;
    size_t follower = api_cluster_follower(cluster);
    struct api_shared *shared = &cluster->members[follower].world.shared;
    static const struct {
        const char *request;
        const char *body;
        int status;
    } asked[] = {
        {"PUT /v2/keys/a", "value=1", 201},
        {"PUT /v2/keys/a?prevValue=2", "value=1", 412},
        {"GET /v2/keys/a?quorum=true", NULL, 200},
        {"GET /v2/keys/b?quorum=true", NULL, 404},
        {"POST /v2/members", "{\"peerURLs\":[\"http://new:1\"]}", 201},
        {"POST /v2/members", "{\"peerURLs\":[\"http://new:1\"]}", 409},
        {"PUT /v2/members/a1", "{\"peerURLs\":[\"http://new:2\"]}", 204},
        {"DELETE /v2/members/77", NULL, 404},
        {"OPTIONS /v2/members", NULL, 200},
    };
    shared->cors = origins;
    shared->cors_count = 1;
    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        struct reply reply = api_cluster_ask(
            cluster, follower, asked[i].request, origin, asked[i].body);
        assert_int_equal(reply.status, asked[i].status);
        expect_text(reply_header(&reply, "Access-Control-Allow-Origin"),
                    "http://page.example");
        expect_text(reply_header(&reply, "Vary"), "Origin");
    }
    struct reply reply = api_cluster_ask(
        cluster, follower, "GET /v2/keys/a?quorum=true", stranger, NULL);
    assert_int_equal(reply.status, 200);
    assert_null(reply_header(&reply, "Access-Control-Allow-Origin").at);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        STORY(members_are_changed_through_a_follower),
        STORY(a_change_that_would_leave_no_quorum),
        STORY(a_change_while_too_few_were_started),
        STORY(changes_without_a_leader),
        STORY(a_change_that_does_not_come_to_its_end),
        STORY(who_leads),
        STORY(nobody_leads),
        STORY(the_latency_is_what_the_network_takes),
        STORY(the_leader_counts_its_followers),
        STORY(each_counts_its_appends),
        STORY(a_learner_serves_but_does_not_count),
        STORY(the_configuration_is_everybodys),
        STORY(machines_come_and_go_through_a_follower),
        STORY(two_machines_want_one_address),
        STORY(two_remove_one_machine),
        STORY(the_metrics_of_the_others),
        STORY(the_metrics_of_a_follower),
        STORY(other_origins_are_told_the_same_of_all_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
