/* The pages beside the keys. */
#include "base/log.h"
#include "story.h"

static void expect_not_allowed(struct world *world, const char *request,
                               const char *allow)
{
    story(world, request, NULL, 405, "Method Not Allowed\n");
    story_header(world, request, NULL, "Allow", allow);
}

static void what_is_not_there(void **state)
{
    struct world *world = *state;
    const char *requests[] = {
        "GET /v2",
        "GET /v2/",
        "GET /v2/nothing",
        "GET /v1/keys/x",
        "GET /v2/stats",
        "GET /v2/stats/",
        "GET /v2/stats/foo",
        "GET /v2/stats/self/",
        "GET /version/",
        "POST /nothing",
        "GET /v2/machines/x",
        "GET /healthy",
    };
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        story(world, requests[i], NULL, 404, "404 page not found\n");
        story_header(world, requests[i], NULL, "Content-Type",
                     "text/plain; charset=utf-8");
    }
}

static void the_front_page_says_what_to_try(void **state)
{
    struct world *world = *state;
    story(world, "GET /", NULL, 200, "This is etched *curl *\n");
}

static void the_version(void **state)
{
    struct world *world = *state;
    story(world, "GET /version", NULL, 200,
          "{\"etcdserver\":\"3.*\",\"etcdcluster\":\"3.*\",\"etched\":\"*\"}");
    story_header(world, "GET /version", NULL, "Content-Type",
                 "application/json");
    expect_not_allowed(world, "POST /version", "GET");
    expect_not_allowed(world, "DELETE /version", "GET");
}

static void the_members(void **state)
{
    struct world *world = *state;
    const char *member =
        "{\"id\":\"3e3\",\"name\":\"Test01\",\"peerURLs\":"
        "[\"http://127.0.0.1:2380\"],\"clientURLs\":"
        "[\"http://127.0.0.1:2379\",\"http://127.0.0.1:4001\"]}";
    struct buf all = {0};
    struct buf one = {0};
    buf_printf(&all, "{\"members\":[%s]}\n%c", member, '\0');
    buf_printf(&one, "%s\n%c", member, '\0');
    story(world, "GET /v2/members", NULL, 200, all.at);
    story(world, "GET /v2/members/", NULL, 200, all.at);
    story(world, "GET /v2/members/leader", NULL, 200, one.at);
    story(world, "GET /v2/members/3e3", NULL, 404,
          "{\"message\":\"Not found\"}");
    story_header(world, "GET /v2/members", NULL, "X-Etcd-Cluster-Id", "c1");
    buf_deinit(&all);
    buf_deinit(&one);
    expect_not_allowed(world, "PATCH /v2/members", "GET,POST,DELETE,PUT");
    expect_not_allowed(world, "PUT /v2/members", "GET,POST");
    expect_not_allowed(world, "POST /v2/members/3e3", "GET,PUT,DELETE");
}

static void the_machines_and_the_leader(void **state)
{
    struct world *world = *state;
    story(world, "GET /v2/machines", NULL, 200,
          "http://127.0.0.1:2379, http://127.0.0.1:4001");
    story(world, "HEAD /v2/machines", NULL, 200, "");
    story(world, "GET /v2/leader", NULL, 200, "http://127.0.0.1:2380");
    expect_not_allowed(world, "PUT /v2/machines", "GET,HEAD");
    expect_not_allowed(world, "PUT /v2/leader", "GET,HEAD");
}

/* ---- stats -------------------------------------------------------------- */

static void the_stats_of_itself(void **state)
{
    struct world *world = *state;
    world_wait(world, 130 * SECOND_NS + SECOND_NS / 2);
    story(world, "GET /v2/stats/self", NULL, 200,
          "{\"name\":\"Test01\",\"id\":\"3e3\",\"state\":\"StateLeader\","
          "\"startTime\":\"2026-01-01T00:00:00Z\",\"leaderInfo\":{"
          "\"leader\":\"3e3\",\"uptime\":\"2m10.5s\",\"startTime\":"
          "\"2026-01-01T00:00:00Z\"},\"recvAppendRequestCnt\":0,"
          "\"sendAppendRequestCnt\":0}");
    story(world, "GET /v2/stats/leader", NULL, 200,
          "{\"leader\":\"3e3\",\"followers\":{}}");
    expect_not_allowed(world, "PUT /v2/stats/self", "GET");
    expect_not_allowed(world, "POST /v2/stats/leader", "GET");
    expect_not_allowed(world, "DELETE /v2/stats/store", "GET");
}

static void the_store_counts_what_it_did(void **state)
{
    struct world *world = *state;
    story_status(world, "GET /v2/keys/a", NULL, 404);
    story_status(world, "PUT /v2/keys/a", "value=1", 201);
    story_status(world, "PUT /v2/keys/a", "value=1", 200);
    story_status(world, "PUT /v2/keys/a/b", "value=1", 400);
    story_status(world, "GET /v2/keys/a", NULL, 200);
    story_status(world, "GET /v2/keys/", NULL, 200);
    story_status(world, "GET /v2/keys/?recursive=true", NULL, 200);
    story_status(world, "PUT /v2/keys/b?prevExist=false", "value=1", 201);
    story_status(world, "PUT /v2/keys/b?prevExist=false", "value=1", 412);
    story_status(world, "POST /v2/keys/q", "value=1", 201);
    story_status(world, "PUT /v2/keys/b?prevExist=true", "value=1", 200);
    story_status(world, "PUT /v2/keys/c?prevExist=true", "value=1", 404);
    story_status(world, "PUT /v2/keys/b?prevValue=1", "value=2", 200);
    story_status(world, "PUT /v2/keys/b?prevValue=1", "value=2", 412);
    story_status(world, "DELETE /v2/keys/b?prevValue=1", NULL, 412);
    story_status(world, "DELETE /v2/keys/b?prevValue=2", NULL, 200);
    story_status(world, "DELETE /v2/keys/b", NULL, 404);
    story_status(world, "DELETE /v2/keys/a", NULL, 200);
    /* What never reached the store doesn't count. */
    story_status(world, "PUT /v2/keys/a?ttl=x", "value=1", 400);
    story(world, "GET /v2/stats/store", NULL, 200,
          "{\"getsSuccess\":3,\"getsFail\":1,\"setsSuccess\":2,\"setsFail\":1,"
          "\"deleteSuccess\":1,\"deleteFail\":1,\"updateSuccess\":1,"
          "\"updateFail\":1,\"createSuccess\":2,\"createFail\":1,"
          "\"compareAndSwapSuccess\":1,\"compareAndSwapFail\":1,"
          "\"compareAndDeleteSuccess\":1,\"compareAndDeleteFail\":1,"
          "\"expireCount\":0,\"watchers\":0}");
}

/* ---- health ------------------------------------------------------------- */

static void health(void **state)
{
    struct world *world = *state;
    story(world, "GET /health", NULL, 200, "{\"health\":\"true\"}");
    story(world, "GET /livez", NULL, 200, "ok\n");
    story(world, "GET /readyz", NULL, 200, "ok\n");
    story(world, "GET /readyz?verbose", NULL, 200,
          "[+]data_corruption ok\n[+]serializable_read ok\n"
          "[+]linearizable_read ok\n[+]non_learner ok\nok\n");
    story(world, "GET /livez?verbose=1", NULL, 200,
          "[+]serializable_read ok\nok\n");
    story(world, "GET /readyz?verbose&exclude=non_learner", NULL, 200,
          "*[+]non_learner excluded: ok\nok\n");
    story(world, "GET /readyz/linearizable_read?verbose", NULL, 200,
          "[+]linearizable_read ok\nok\n");
    story(world, "GET /livez/serializable_read", NULL, 200, "ok\n");
    story(world, "GET /livez/linearizable_read", NULL, 404,
          "404 page not found\n");
    expect_not_allowed(world, "POST /health", "GET");
    expect_not_allowed(world, "PUT /readyz", "GET");
}

/* ---- metrics and debug -------------------------------------------------- */

/* Each line is a comment, or a name (with labels) and a number; each name has
 * its HELP and TYPE first, and comes in one group. */
static void check_exposition(struct slice text)
{
    char name[128] = "";
    while (text.size > 0) {
        ptrdiff_t end = slice_find(text, '\n');
        assert_true(end > 0);
        struct slice line = slice_of(text.at, (size_t)end);
        text = slice_of(text.at + end + 1, text.size - (size_t)end - 1);
        if (slice_has_prefix(line, SLICE("# HELP "))) {
            struct slice rest = slice_of(line.at + 7, line.size - 7);
            ptrdiff_t space = slice_find(rest, ' ');
            assert_true(space > 0 && (size_t)space < sizeof(name));
            memcpy(name, rest.at, (size_t)space);
            name[space] = '\0';
            assert_true(rest.size > (size_t)space + 1);
        } else if (slice_has_prefix(line, SLICE("# TYPE "))) {
            struct slice rest = slice_of(line.at + 7, line.size - 7);
            assert_true(slice_has_prefix(rest, slice_str(name)));
        } else {
            assert_true(slice_has_prefix(line, slice_str(name)));
            const char *space = memrchr(line.at, ' ', line.size);
            assert_non_null(space);
            assert_true((space[1] >= '0' && space[1] <= '9'));
        }
    }
}

static void the_metrics(void **state)
{
    struct world *world = *state;
    story_status(world, "PUT /v2/keys/a", "value=1&ttl=100", 201);
    story_status(world, "PUT /v2/keys/d", "dir=true", 201);
    story_status(world, "GET /v2/keys/b", NULL, 404);
    assert_int_equal(world_flush(world), ERR_OK);
    struct reply reply = world_request(world, "GET", "/metrics", NULL, NULL);
    assert_int_equal(reply.status, 200);
    expect_text(reply_header(&reply, "Content-Type"),
                "text/plain; version=0.0.4; charset=utf-8");
    check_exposition(reply.body);
    const char *lines[] = {
        "*\netcd_server_has_leader 1\n*",
        "*\netcd_server_is_leader 1\n*",
        "*\netcd_server_id{server_id=\"3e3\"} 1\n*",
        "*\netcd_server_quota_backend_bytes 1073741824\n*",
        "*\netcd_debugging_mvcc_keys_total 1\n*",
        "*\netched_directories 1\n*",
        "*\netched_leases 1\n*",
        "*\netcd_debugging_mvcc_current_revision 3\n*",
        "*\netcd_debugging_store_writes_total{action=\"set\"} 2\n*",
        "*\netcd_debugging_store_reads_total{action=\"get\"} 1\n*",
        "*\netcd_debugging_store_reads_failed_total{action=\"get\"} 1\n*",
        "*\netcd_disk_wal_fsync_duration_seconds_count *\n*",
        "*\netched_v2_write_duration_seconds_bucket{le=\"+Inf\"} *\n*",
        "*\netcd_debugging_server_alarms{*alarm_type=\"NOSPACE\"} 0\n*",
        "*\nos_fd_used 11\n*",
        "*\nprocess_resident_memory_bytes 5000000\n*",
        "*\nprocess_cpu_seconds_total 1.5\n*",
        "*\nprocess_start_time_seconds 1767225600\n*",
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        expect_text(reply.body, lines[i]);
    }
}

static void the_debug_variables(void **state)
{
    struct world *world = *state;
    story(world, "GET /debug/vars", NULL, 200,
          "{\n\"cmdline\": [\"etched\",\"--name=Test01\"],\n*"
          "\"file_descriptor_limit\": 1024,\n*\"raft.status\": {\"id\":\"3e3\","
          "\"term\":1,\"commit\":*,\"lead\":\"3e3\",\"raftState\":"
          "\"StateLeader\",\"applied\":*}\n}\n");
    expect_not_allowed(world, "POST /debug/vars", "GET");
}

static void the_level_of_the_log(void **state)
{
    struct world *world = *state;
    enum log_level before = log_get_level();
    story(world, "PUT /config/local/log", "{\"Level\":\"DEBUG\"}", 204, "");
    assert_int_equal(log_get_level(), LOG_DEBUG);
    story(world, "PUT /config/local/log", "{\"level\":\"WARNING\"}", 204, "");
    assert_int_equal(log_get_level(), LOG_WARN);
    story(world, "PUT /config/local/log", "{\"Level\":\"nope\"}", 400,
          "{\"message\":\"Invalid log level nope\"}");
    const char *bad[] = {"{\"Le", "", "[]", "{\"Level\":5}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        story(world, "PUT /config/local/log", bad[i], 400,
              "{\"message\":\"Invalid json body\"}");
    }
    assert_int_equal(log_get_level(), LOG_WARN);
    expect_not_allowed(world, "GET /config/local/log", "PUT");
    log_set_level(before);
}

/* ---- other origins ------------------------------------------------------ */

static void origins_are_not_told_unless_allowed(void **state)
{
    struct world *world = *state;
    const char *allow = "Access-Control-Allow-Origin";
    story_header(world, "GET /version", "Origin: http://a\r\n", allow, "-");
    const char *origins[] = {"http://a", "https://b:8080"};
    world->shared.cors = origins;
    world->shared.cors_count = 2;
    story_header(world, "GET /version", "Origin: http://a\r\n", allow,
                 "http://a");
    story_header(world, "GET /version", "Origin: http://a\r\n", "Vary",
                 "Origin");
    story_header(world, "GET /v2/keys/", "Origin: https://b:8080\r\n", allow,
                 "https://b:8080");
    story_header(world, "GET /version", "Origin: http://c\r\n", allow, "-");
    story_header(world, "GET /version", NULL, allow, "-");
    /* A preflight is an OPTIONS, of any path. */
    story(world, "OPTIONS /v2/keys/foo", NULL, 200, "");
    story_header(world, "OPTIONS /v2/keys/foo",
                 "Origin: http://a\r\nAccess-Control-Request-Method: PUT\r\n",
                 "Access-Control-Allow-Methods",
                 "POST, GET, OPTIONS, PUT, DELETE");
    story_header(world, "OPTIONS /v2/keys/foo", "Origin: http://a\r\n",
                 "Access-Control-Allow-Headers",
                 "accept, content-type, authorization");
    const char *any[] = {"*"};
    world->shared.cors = any;
    world->shared.cors_count = 1;
    struct reply reply = world_request(world, "GET", "/version", NULL, NULL);
    assert_true(slice_eq(reply_header(&reply, allow), SLICE("*")));
}

/* ---- the peer port ------------------------------------------------------ */

static void expect_peer(struct world *world, const char *method,
                        const char *target, int status, const char *body)
{
    struct client *client = client_new_peer_port(world);
    struct reply reply;
    client_ask(client, method, target, NULL, NULL);
    world_turn(world);
    assert_true(client_reply(client, false, &reply));
    assert_int_equal(reply.status, status);
    expect_text(reply.body, body);
    client_free(client);
}

static void the_peer_port(void **state)
{
    struct world *world = *state;
    const char *machine =
        "{\"name\":\"Test01\",\"state\":\"leader\",\"clientURL\":"
        "\"http://127.0.0.1:2379\",\"peerURL\":\"http://127.0.0.1:2380\"}";
    struct buf text = {0};
    expect_peer(world, "GET", "/version", 200, "{\"etcdserver\":*}");
    expect_peer(world, "GET", "/members", 200,
                "[{\"id\":995,\"peerURLs\":[\"http://127.0.0.1:2380\"],"
                "\"name\":\"Test01\",\"clientURLs\":[\"http://127.0.0.1:2379\","
                "\"http://127.0.0.1:4001\"]}]\n");
    expect_peer(world, "POST", "/members", 405, "Method Not Allowed\n");
    expect_peer(world, "GET", "/v2/admin/config", 200,
                "{\"activeSize\":9,\"removeDelay\":1800,\"syncInterval\":5}\n");
    buf_printf(&text, "[%s]\n%c", machine, '\0');
    expect_peer(world, "GET", "/v2/admin/machines", 200, text.at);
    buf_reset(&text);
    buf_printf(&text, "%s\n%c", machine, '\0');
    expect_peer(world, "GET", "/v2/admin/machines/Test01", 200, text.at);
    expect_peer(world, "GET", "/v2/admin/machines/other", 200, "null\n");
    expect_peer(world, "GET", "/name", 200, "Test01");
    expect_peer(world, "GET", "/etcdURL", 200, "http://127.0.0.1:2379");
    /* Keys are the clients' business. */
    expect_peer(world, "GET", "/v2/keys/", 404, "404 page not found\n");
    expect_peer(world, "GET", "/health", 404, "404 page not found\n");
    expect_peer(world, "GET", "/", 404, "404 page not found\n");
    buf_deinit(&text);
}

int main(void)
{
#define STORY(name) \
    cmocka_unit_test_setup_teardown(name, story_begin, story_end)
    const struct CMUnitTest tests[] = {
        STORY(what_is_not_there),
        STORY(the_front_page_says_what_to_try),
        STORY(the_version),
        STORY(the_members),
        STORY(the_machines_and_the_leader),
        STORY(the_stats_of_itself),
        STORY(the_store_counts_what_it_did),
        STORY(health),
        STORY(the_metrics),
        STORY(the_debug_variables),
        STORY(the_level_of_the_log),
        STORY(origins_are_not_told_unless_allowed),
        STORY(the_peer_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
