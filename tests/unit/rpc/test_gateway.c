/* JSON over HTTP as etcd's gateway takes it: paths, methods, errors and their
 * status, streams as lines, metadata as headers. */
#include "gates.h"

#include <string.h>

#include "rpc/rpc_int.h"

static struct gates *gates;

static int set_up(void **state)
{
    (void)state;
    gates = gates_new(1, 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    gates_free(gates);
    return 0;
}

#define HEAD(revision)                                                     \
    "\"header\":{\"cluster_id\":\"*\",\"member_id\":\"161\",\"revision\":" \
    "\"" revision "\",\"raft_term\":\"*\"}"
#define ERROR(text, code)                                             \
    "{\"error\":\"" text "\",\"message\":\"" text "\",\"code\":" code \
    ",\"details\":[]}"

static void story(const char *path, const char *body, int status,
                  const char *expected)
{
    gate_story(gates, 0, path, body, status, expected);
}

/* ---- unary ----------------------------------------------------------- */

static void a_put_is_read_back(void **state)
{
    (void)state;
    story("/v3/kv/put", "{\"key\":\"Zm9v\",\"value\":\"YmFy\"}", 200,
          "{" HEAD("2") "}");
    story("/v3/kv/range", "{\"key\":\"Zm9v\"}", 200,
          "{" HEAD("2") ",\"kvs\":[{\"key\":\"Zm9v\","
                        "\"create_revision\":\"2\",\"mod_revision\":\"2\","
                        "\"version\":\"1\",\"value\":\"YmFy\"}],"
                        "\"count\":\"1\"}");
    story("/v3/kv/put", "{\"key\":\"Zm9v\",\"value\":\"YmF6\",\"prevKv\":true}",
          200, "{" HEAD("3") ",\"prev_kv\":{*\"value\":\"YmFy\"}}");
    story("/v3/kv/deleterange", "{\"key\":\"AA==\",\"range_end\":\"AA==\"}",
          200, "{" HEAD("4") ",\"deleted\":\"1\"}");
    story("/v3/kv/txn",
          "{\"success\":[{\"request_put\":{\"key\":\"YQ==\"}},"
          "{\"request_range\":{\"key\":\"YQ==\"}}]}",
          200,
          "{" HEAD("5") ",\"succeeded\":true,\"responses\":[{\"response_put\":"
                        "{\"header\":{\"revision\":\"5\"}}},"
                        "{\"response_range\":{\"header\":{\"revision\":\"5\"},"
                        "\"kvs\":[{*}],\"count\":\"1\"}}]}");
}

static void older_paths_lead_to_the_same(void **state)
{
    (void)state;
    story("/v3beta/kv/put", "{\"key\":\"Zm9v\"}", 200, "{*}");
    story("/v3alpha/kv/put", "{\"key\":\"Zm9v\"}", 200, "{*}");
    story("/v3/kv/lease/leases", "", 200, "{" HEAD("3") "}");
    story("/v3/lease/leases", "", 200, "{" HEAD("3") "}");
    story("/v3beta/lease/timetolive", "{\"ID\":9}", 200,
          "{" HEAD("3") ",\"ID\":\"9\",\"TTL\":\"-1\"}");
    story("/v3/lease/nope", "", 404, ERROR("Not Found", "5"));
}

static void errors_have_etcds_words_and_a_status(void **state)
{
    (void)state;
    story("/v3/kv/range", "{}", 400,
          ERROR("etcdserver: key is not provided", "3"));
    story("/v3/kv/range", "", 400,
          ERROR("etcdserver: key is not provided", "3"));
    story("/v3/kv/range", "null", 400,
          ERROR("etcdserver: key is not provided", "3"));
    story("/v3/kv/range", "{\"key\":\"YQ==\",\"revision\":9}", 400,
          ERROR("etcdserver: mvcc: required revision is a future revision",
                "11"));
    story("/v3/kv/lease/revoke", "{\"ID\":5}", 404,
          ERROR("etcdserver: requested lease not found", "5"));
    story("/v3/auth/authenticate", "{\"name\":\"a\"}", 400,
          ERROR("etcdserver: authentication is not enabled", "9"));
    story("/v3/auth/user/add", "{\"name\":\"a\"}", 400,
          ERROR("etched: the password is empty", "3"));
    story("/v3/auth/status", "", 200, "{" HEAD("1") ",\"authRevision\":\"1\"}");
}

static void what_is_no_json_is_refused_with_its_place(void **state)
{
    (void)state;
    story("/v3/kv/range", "{\"key\":\"YQ==\" x}", 400,
          ERROR("byte 15: ',' or '}' is missing", "3"));
    story("/v3/kv/range", "{\"key\":\"Y!==\"}", 400,
          ERROR("key: byte 14: not base64", "3"));
    story("/v3/kv/range", "[]", 400,
          ERROR("byte 1: an object is wanted here", "3"));
    /* What follows the object isn't looked at. */
    story("/v3/kv/range", "{\"key\":\"YQ==\"} trailing", 200,
          "{" HEAD("1") "}");
}

static void only_what_there_is_is_served(void **state)
{
    static const struct {
        enum http_method method;
        const char *path;
        int status;
    } asked[] = {
        {HTTP_POST, "/v3/kv/nope", 404},
        {HTTP_POST, "/v3/", 404},
        {HTTP_POST, "/v3/kv", 404},
        {HTTP_POST, "/v3/kv/range/", 404},
        {HTTP_POST, "/v3gamma/kv/range", 404},
        {HTTP_GET, "/v3/kv/nope", 404},
        {HTTP_GET, "/v3/kv/range", 405},
        {HTTP_PUT, "/v3/kv/range", 405},
        {HTTP_HEAD, "/v3/kv/range", 405},
        {HTTP_OPTIONS, "/v3/kv/range", 200},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        struct ask *ask = gate_ask(gates, 0, asked[i].method, asked[i].path,
                                   NULL, "{\"key\":\"YQ==\"}");
        assert_true(ask->ended);
        ask_expect(ask, asked[i].status,
                   asked[i].status == 404   ? ERROR("Not Found", "5")
                   : asked[i].status == 405 ? ERROR("Method Not Allowed", "12")
                                            : "");
        buf_append_char(&ask->answer_headers, '\0');
        assert_int_equal(strstr(ask->answer_headers.at, "Allow: POST") != NULL,
                         asked[i].status == 405);
        ask_free(ask);
    }
    assert_true(rpc_is_gateway(SLICE("/v3/watch")));
    assert_false(rpc_is_gateway(SLICE("/v2/keys")));
    assert_false(rpc_is_gateway(SLICE("/v3")));
}

/* ---- headers --------------------------------------------------------- */

static void expect_header(struct ask *ask, const char *line, bool there)
{
    buf_append_char(&ask->answer_headers, '\0');
    if ((strstr(ask->answer_headers.at, line) != NULL) != there) {
        fail_msg("%s in %s", line, ask->answer_headers.at);
    }
    ask->answer_headers.size--;
}

static void other_origins_are_told_as_by_the_other_apis(void **state)
{
    static const char *const origins[] = {"http://here"};
    (void)state;
    struct ask *ask = gate_post(gates, 0, "/v3/maintenance/status", "");
    expect_header(ask, "Content-Type: application/json\n", true);
    expect_header(ask, "Access-Control", false);
    ask_free(ask);
    gates->gates[0].api.cors = origins;
    gates->gates[0].api.cors_count = 1;
    ask = gate_ask(gates, 0, HTTP_OPTIONS, "/v3/kv/put",
                   "Origin: http://here\n", "");
    expect_header(ask, "Access-Control-Allow-Origin: http://here\n", true);
    expect_header(ask, "Vary: Origin\n", true);
    ask_free(ask);
    ask =
        gate_ask(gates, 0, HTTP_POST, "/v3/nope", "Origin: http://there\n", "");
    expect_header(ask, "Access-Control", false);
    ask_free(ask);
}

static void a_timeout_is_a_deadline(void **state)
{
    (void)state;
    struct ask *ask = gate_ask(gates, 0, HTTP_POST, "/v3/kv/put",
                               "Grpc-Timeout: x\n", "{\"key\":\"YQ==\"}");
    ask_expect(ask, 400, ERROR("invalid grpc-timeout: x", "3"));
    ask_free(ask);
    ask = gate_ask(gates, 0, HTTP_POST, "/v3/watch", "Grpc-Timeout: 50m\n",
                   "{\"create_request\":{\"key\":\"YQ==\"}}");
    gates_run(gates, 40);
    assert_false(ask->ended);
    gates_run(gates, 20);
    assert_true(ask->ended);
    ask_expect(ask, 200,
               "{\"result\":*}\n{\"error\":{\"grpc_code\":4,\"http_code\":504,"
               "\"message\":\"context deadline exceeded\",*}}\n");
    ask_free(ask);
}

/* Of a body that is longer for its base64 only what it stands for counts. */
static void a_request_is_as_large_as_what_it_says(void **state)
{
    enum { MAX = 1572864 };
    static const char *const rests[] = {"", "AA==", "AAA="};
    static const struct {
        size_t value_bytes;
        int status;
        const char *answer;
    } asked[] = {
        {MAX - 12, 200, "{\"header\":{*}}"},
        {MAX, 400, "{\"error\":\"etcdserver: request is too large\",*}"},
        {MAX + RPC_REQUEST_OVERHEAD_BYTES - 12, 400,
         "{\"error\":\"etcdserver: request is too large\",*}"},
        {MAX + RPC_REQUEST_OVERHEAD_BYTES, 429,
         "{\"error\":\"grpc: received message larger than max (2097160 vs. "
         "2097152)\",*\"code\":8,*}"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        struct buf body = {0};
        size_t size = asked[i].value_bytes / 3 * 4;
        buf_append_str(&body, "{\"key\":\"YQ==\",\"value\":\"");
        memset(buf_extend(&body, size), 'A', size);
        buf_append_str(&body, rests[asked[i].value_bytes % 3]);
        buf_append(&body, "\"}", 3);
        assert_true(body.size <= rpc_body_bytes_max(MAX));
        struct ask *ask = gate_post(gates, 0, "/v3/kv/put", body.at);
        gates_run(gates, 5);
        ask_expect(ask, asked[i].status, asked[i].answer);
        ask_free(ask);
        buf_deinit(&body);
    }
}

static void metadata_are_headers(void **state)
{
    struct ask *ask;
    (void)state;
    ask = gate_ask(gates, 0, HTTP_POST, "/v3/watch",
                   "grpc-metadata-hasleader: true\nEtched-At: then\n"
                   "Hasleader: false\nAuthorization: a token\n",
                   "{\"create_request\":{\"key\":\"YQ==\"}}");
    struct rpc *rpc = gates->gates[0].rpc;
    struct call *call = CONTAINER_OF(rpc->calls.next, struct call, link);
    assert_true(call->needs_leader);
    assert_true(slice_eq(call__metadata(call, "hasleader"), SLICE("true")));
    assert_true(slice_eq(call__metadata(call, "etched-at"), SLICE("then")));
    assert_true(
        slice_eq(call__metadata(call, "authorization"), SLICE("a token")));
    assert_null(call__metadata(call, "token").at);
    ask_free(ask);
}

/* ---- streams --------------------------------------------------------- */

static void a_watch_goes_on_behind_its_body(void **state)
{
    (void)state;
    struct ask *ask =
        gate_post(gates, 0, "/v3/watch",
                  "{\"create_request\":{\"key\":\"YQ==\"}}"
                  "{\"create_request\":{\"key\":\"Yg==\",\"prevKv\":true}}");
    gates_run(gates, 1);
    ask_expect(ask, 200,
               "{\"result\":{" HEAD("1") ",\"created\":true}}\n"
                                         "{\"result\":{" HEAD(
                                             "1") ",\"watch_id\":\"1\","
                                                  "\"created\":true}}\n");
    buf_reset(&ask->body);
    story("/v3/kv/put", "{\"key\":\"Yg==\",\"value\":\"MQ==\"}", 200, "{*}");
    gates_run(gates, 1);
    ask_expect(ask, 200,
               "{\"result\":{" HEAD(
                   "2") ",\"watch_id\":\"1\",\"events\":[{"
                        "\"kv\":{\"key\":\"Yg==\",\"create_revision\":\"2\","
                        "\"mod_revision\":\"2\",\"version\":\"1\","
                        "\"value\":\"MQ==\"}}]}}\n");
    buf_reset(&ask->body);
    story("/v3/kv/deleterange", "{\"key\":\"Yg==\"}", 200, "{*}");
    gates_run(gates, 1);
    ask_expect(ask, 200,
               "{\"result\":{" HEAD(
                   "3") ",\"watch_id\":\"1\",\"events\":[{"
                        "\"type\":\"DELETE\",\"kv\":{\"key\":\"Yg==\","
                        "\"mod_revision\":\"3\"},\"prev_kv\":{*}}]}}\n");
    assert_false(ask->ended);
    ask_free(ask);
    assert_false(gates->gates[0].watching);
}

static void a_keepalive_ends_with_its_body(void **state)
{
    (void)state;
    story("/v3/lease/grant", "{\"ID\":7,\"TTL\":60}", 200,
          "{" HEAD("1") ",\"ID\":\"7\",\"TTL\":\"60\"}");
    story("/v3/lease/keepalive", "{\"ID\":7} {\"ID\":8}", 200,
          "{\"result\":{" HEAD("1") ",\"ID\":\"7\",\"TTL\":\"60\"}}\n"
                                    "{\"result\":{" HEAD(
                                        "1") ",\"ID\":\"8\"}}\n");
    story("/v3/lease/keepalive", "", 200, "");
}

static void a_stream_that_breaks_says_so(void **state)
{
    (void)state;
    story("/v3/watch", "x", 400,
          "{\"error\":{\"grpc_code\":3,\"http_code\":400,\"message\":"
          "\"byte 1: a value is wanted here\",\"http_status\":\"Bad Request\","
          "\"code\":3,\"details\":[]}}\n");
    story("/v3/watch", "{\"create_request\":{\"key\":\"YQ==\"}} {\"x\":", 200,
          "{\"result\":{*}}\n{\"error\":{\"grpc_code\":3,*}}\n");
    story("/v3/watch", "5", 400, "{\"error\":{*an object is wanted here*}}\n");
    assert_false(gates->gates[0].watching);
}

static void one_body_holds_only_so_many_messages(void **state)
{
    struct buf body = {0};
    (void)state;
    for (int i = 0; i < 4096; i++) {
        buf_append_str(&body, "{\"progress_request\":{}}");
    }
    buf_append_char(&body, '\0');
    struct ask *ask = gate_post(gates, 0, "/v3/watch", body.at);
    assert_false(ask->ended);
    ask_free(ask);
    body.size--;
    buf_append(&body, "{}", 3);
    ask = gate_post(gates, 0, "/v3/watch", body.at);
    assert_true(ask->ended);
    assert_non_null(memmem(ask->body.at, ask->body.size,
                           SLICE("too many messages in one body").at, 29));
    ask_free(ask);
    buf_deinit(&body);
}

static void a_server_that_stops_ends_its_streams(void **state)
{
    (void)state;
    struct ask *ask = gate_post(gates, 0, "/v3/watch",
                                "{\"create_request\":{\"key\":\"YQ==\"}}");
    gates_run(gates, 1);
    rpc_stop(gates->gates[0].rpc);
    assert_true(ask->ended);
    ask_expect(ask, 200,
               "{\"result\":*{\"error\":{\"grpc_code\":14,\"http_code\":503,"
               "\"message\":\"etcdserver: server stopped\",*");
    ask_free(ask);
    story("/v3/kv/put", "{\"key\":\"YQ==\"}", 503,
          ERROR("etcdserver: server stopped", "14"));
}

/* A client that goes away while its write is with the node. */
static void nobody_needs_to_wait_for_an_answer(void **state)
{
    (void)state;
    struct ask *ask = gate_post(gates, 0, "/v3/kv/put", "{\"key\":\"YQ==\"}");
    assert_false(ask->ended);
    ask_free(ask);
    gates_run(gates, 5);
    story("/v3/kv/range", "{\"key\":\"YQ==\"}", 200,
          "{" HEAD("2") ",\"kvs\":[{*}],\"count\":\"1\"}");
}

/* A txn's answer lies one deeper than what was asked: a client must not bring
 * the server down with it. */
static void an_answer_may_be_too_deep_to_be_told(void **state)
{
    struct buf body = {0};
    (void)state;
    for (int i = 0; i < 31; i++) {
        buf_append_str(&body, "{\"success\":[{\"request_txn\":");
    }
    buf_append_str(&body,
                   "{\"success\":[{\"request_range\":{\"key\":\"YQ==\"}}]}");
    for (int i = 0; i < 31; i++) {
        buf_append_str(&body, "}]}");
    }
    buf_append_char(&body, '\0');
    struct ask *ask = gate_post(gates, 0, "/v3/kv/txn", body.at);
    gates_run(gates, 5);
    assert_true(ask->ended);
    assert_true(ask->status == 500 || ask->status == 400 || ask->status == 200);
    ask_free(ask);
    buf_deinit(&body);
}

/* ---- counting -------------------------------------------------------- */

static uint64_t counted(const char *line)
{
    struct buf text = {0};
    rpc_metrics(gates->nodes.members[0].node, &text);
    buf_append_char(&text, '\0');
    const char *at = strstr(text.at, line);
    uint64_t value = UINT64_MAX;
    if (at != NULL) {
        struct slice rest = slice_str(at + strlen(line));
        (void)slice_to_u64(slice_of(rest.at, (size_t)slice_find(rest, '\n')),
                           &value);
    }
    buf_deinit(&text);
    return value;
}

static void calls_are_counted_as_etcd_counts_them(void **state)
{
#define OF_PUT                                                        \
    "grpc_method=\"Put\",grpc_service=\"etcdserverpb.KV\",grpc_type=" \
    "\"unary\"} "
    uint64_t started = counted("grpc_server_started_total{" OF_PUT);
    uint64_t received = counted("grpc_server_msg_received_total{" OF_PUT);
    uint64_t sent = counted("grpc_server_msg_sent_total{" OF_PUT);
    uint64_t well = counted("\netcd_mvcc_put_total ");
    (void)state;
    story("/v3/kv/put", "{\"key\":\"YQ==\"}", 200, "{*}");
    story("/v3/kv/put", "{}", 400, "{*}");
    assert_int_equal(counted("grpc_server_started_total{" OF_PUT), started + 2);
    assert_int_equal(counted("grpc_server_msg_received_total{" OF_PUT),
                     received + 2);
    assert_int_equal(counted("grpc_server_msg_sent_total{" OF_PUT), sent + 1);
    assert_int_equal(counted("\netcd_mvcc_put_total "), well + 1);
    assert_true(counted("grpc_server_handled_total{grpc_code="
                        "\"InvalidArgument\"," OF_PUT) < UINT64_MAX);
    struct ask *ask = gate_post(gates, 0, "/v3/watch",
                                "{\"create_request\":{\"key\":\"YQ==\"}}");
    assert_int_equal(counted("\netcd_debugging_mvcc_watch_stream_total "), 1);
    ask_free(ask);
    assert_int_equal(counted("\netcd_debugging_mvcc_watch_stream_total "), 0);
    assert_true(counted("\netcd_network_client_grpc_sent_bytes_total ") > 0);
}

/* Not calls: whoever asked, and one by one in a txn. */
static void operations_are_counted_where_they_are_applied(void **state)
{
    static const struct {
        const char *path;
        const char *body;
        unsigned puts, deletes, ranges, txns, revoked;
    } asked[] = {
        {"/v3/kv/put", "{\"key\":\"YQ==\",\"lease\":99}", 0, 0, 0, 0, 0},
        {"/v3/lease/grant", "{\"ID\":7,\"TTL\":60}", 0, 0, 0, 0, 0},
        {"/v3/kv/put", "{\"key\":\"YQ==\",\"lease\":7}", 1, 0, 0, 0, 0},
        {"/v3/kv/txn",
         "{\"success\":[{\"request_put\":{\"key\":\"Yg==\",\"lease\":7}},"
         "{\"request_put\":{\"key\":\"Yw==\"}},{\"request_range\":{\"key\":"
         "\"YQ==\"}},{\"request_delete_range\":{\"key\":\"eg==\"}}]}",
         3, 1, 1, 1, 0},
        {"/v3/kv/txn",
         "{\"compare\":[{\"key\":\"YQ==\",\"target\":\"VERSION\","
         "\"version\":9}],\"success\":[{\"request_put\":{\"key\":"
         "\"Yg==\"}}]}",
         3, 1, 1, 1, 0},
        {"/v3/kv/txn",
         "{\"success\":[{\"request_range\":{\"key\":\"YQ==\"}},"
         "{\"request_range\":{\"key\":\"YQ==\"}}]}",
         3, 1, 3, 2, 0},
        {"/v3/kv/range", "{\"key\":\"YQ==\"}", 3, 1, 4, 2, 0},
        {"/v3/kv/lease/revoke", "{\"ID\":7}", 3, 3, 4, 3, 1},
        {"/v3/kv/put", "{\"key\":\"YQ==\"}", 4, 3, 4, 3, 1},
        {"/v3/kv/deleterange", "{\"key\":\"YQ==\",\"range_end\":\"eg==\"}", 4,
         4, 4, 3, 1},
    };
    uint64_t ranges = counted("\netcd_mvcc_range_total ");
    uint64_t txns = counted("\netcd_mvcc_txn_total ");
    (void)state;
    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        struct ask *ask = gate_post(gates, 0, asked[i].path, asked[i].body);
        gates_run(gates, 5);
        assert_true(ask->ended);
        ask_free(ask);
        assert_int_equal(counted("\netcd_mvcc_put_total "), asked[i].puts);
        assert_int_equal(counted("\netcd_mvcc_delete_total "),
                         asked[i].deletes);
        assert_int_equal(counted("\netcd_mvcc_range_total ") - ranges,
                         asked[i].ranges);
        assert_int_equal(counted("\netcd_mvcc_txn_total ") - txns,
                         asked[i].txns);
        assert_int_equal(counted("\netcd_debugging_lease_revoked_total "),
                         asked[i].revoked);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        STORY(a_put_is_read_back),
        STORY(older_paths_lead_to_the_same),
        STORY(errors_have_etcds_words_and_a_status),
        STORY(what_is_no_json_is_refused_with_its_place),
        STORY(only_what_there_is_is_served),
        STORY(other_origins_are_told_as_by_the_other_apis),
        STORY(a_timeout_is_a_deadline),
        STORY(a_request_is_as_large_as_what_it_says),
        STORY(metadata_are_headers),
        STORY(a_watch_goes_on_behind_its_body),
        STORY(a_keepalive_ends_with_its_body),
        STORY(a_stream_that_breaks_says_so),
        STORY(one_body_holds_only_so_many_messages),
        STORY(a_server_that_stops_ends_its_streams),
        STORY(nobody_needs_to_wait_for_an_answer),
        STORY(an_answer_may_be_too_deep_to_be_told),
        STORY(calls_are_counted_as_etcd_counts_them),
        STORY(operations_are_counted_where_they_are_applied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
