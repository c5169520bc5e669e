/* etched.v1.History: changes with their cause and their time, and which
 * revision there was at a time. */
#include "gates.h"

#include <inttypes.h>
#include <stdio.h>
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

#define RECORDS "/v3/history/records"
#define REVISION_AT "/v3/history/revisionat"
#define HEAD(revision)                                                   \
    "\"header\":{\"cluster_id\":\"*\",\"member_id\":\"*\",\"revision\":" \
    "\"" revision "\",\"raft_term\":\"*\"}"
#define ERROR(text, code)                                             \
    "{\"error\":\"" text "\",\"message\":\"" text "\",\"code\":" code \
    ",\"details\":[]}"

static void story(const char *path, const char *body, int status,
                  const char *expected)
{
    gate_story(gates, 0, path, body, status, expected);
}

static void put(const char *key)
{
    char body[100];
    snprintf(body, sizeof(body), "{\"key\":\"%s\",\"value\":\"eA==\"}", key);
    story("/v3/kv/put", body, 200, "{*}");
}

/* a (YQ==) and b (Yg==), put by v3 and v2, deleted, and gone with a lease. */
static void make_history(void)
{
    put("YQ=="); /* 2 */
    gates_run(gates, 100);
    put("Yg=="); /* 3 */
    gates_run(gates, 100);
    story("/v3/kv/deleterange", "{\"key\":\"YQ==\"}", 200, "{*}"); /* 4 */
    assert_int_equal(cluster_set(&gates->nodes, 0, "/v2", "x"), ERR_OK);
    story("/v3/lease/grant", "{\"ID\":7,\"TTL\":60}", 200, "{*}");
    story("/v3/kv/put", "{\"key\":\"YQ==\",\"lease\":7}", 200, "{*}"); /* 6 */
    story("/v3/kv/lease/revoke", "{\"ID\":7}", 200, "{*}");            /* 7 */
}

#define PUT_A                                                                  \
    "{\"event\":{\"kv\":{\"key\":\"YQ==\",\"create_revision\":\"2\","          \
    "\"mod_revision\":\"2\",\"version\":\"1\",\"value\":\"eA==\"}},\"cause\":" \
    "\"put\",\"time_unix_nanos\":\"*\"}"
#define PUT_B "{\"event\":{\"kv\":{\"key\":\"Yg==\",*}},\"cause\":\"put\",*}"
#define DELETE_A                                                              \
    "{\"event\":{\"type\":\"DELETE\",\"kv\":{\"key\":\"YQ==\","               \
    "\"mod_revision\":\"4\"}},\"cause\":\"deleteRange\",\"time_unix_nanos\":" \
    "\"*\"}"
#define SET_V2 "{\"event\":{\"kv\":{\"key\":\"L3Yy\",*}},\"cause\":\"set\",*}"
#define LEASED_A                                                         \
    "{\"event\":{\"kv\":{\"key\":\"YQ==\",*\"lease\":\"7\"}},\"cause\":" \
    "\"put\",*}"
#define REVOKED_A                                               \
    "{\"event\":{\"type\":\"DELETE\",\"kv\":{\"key\":\"YQ==\"," \
    "\"mod_revision\":\"7\"}},\"cause\":\"revoke\",*}"

static void every_change_has_a_cause(void **state)
{
    (void)state;
    make_history();
    story(RECORDS, "{}", 200,
          "{\"result\":{" HEAD("7") ",\"records\":[" PUT_A "," PUT_B
                                    "," DELETE_A "," SET_V2 "," LEASED_A
                                    "," REVOKED_A "]}}\n");
}

static void only_what_is_asked_for_is_told(void **state)
{
    (void)state;
    make_history();
    story(RECORDS, "{\"key\":\"YQ==\"}", 200,
          "{\"result\":{" HEAD("7") ",\"records\":[" PUT_A "," DELETE_A
                                    "," LEASED_A "," REVOKED_A "]}}\n");
    story(RECORDS, "{\"key\":\"YQ==\",\"start_revision\":3,\"limit\":2}", 200,
          "{\"result\":{" HEAD("7") ",\"records\":[" DELETE_A "," LEASED_A
                                    "]}}\n");
    story(RECORDS, "{\"key\":\"Yg==\",\"range_end\":\"AA==\"}", 200,
          "{\"result\":{" HEAD("7") ",\"records\":[" PUT_B "]}}\n");
    story(RECORDS, "{\"key\":\"YQ==\",\"range_end\":\"Yw==\",\"limit\":2}", 200,
          "{\"result\":{" HEAD("7") ",\"records\":[" PUT_A "," PUT_B "]}}\n");
    story(RECORDS, "{\"start_revision\":4,\"end_revision\":5}", 200,
          "{\"result\":{" HEAD("7") ",\"records\":[" DELETE_A "," SET_V2
                                    "]}}\n");
    story(RECORDS, "{\"start_revision\":7,\"end_revision\":99}", 200,
          "{\"result\":{" HEAD("7") ",\"records\":[" REVOKED_A "]}}\n");
    /* Nothing is an answer too: it tells how far there is history. */
    story(RECORDS, "{\"start_revision\":8}", 200,
          "{\"result\":{" HEAD("7") "}}\n");
    story(RECORDS, "{\"key\":\"enp6\"}", 200, "{\"result\":{" HEAD("7") "}}\n");
}

static void what_makes_no_sense_is_refused(void **state)
{
    static const char *const wrong[] = {
        "{\"start_revision\":-1}", "{\"end_revision\":-1}", "{\"limit\":-1}"};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        story(RECORDS, wrong[i], 400,
              "{\"error\":{\"grpc_code\":3,*\"etched: a revision or a limit is "
              "less than 0\",*}}\n");
    }
}

static void what_is_compacted_is_gone(void **state)
{
    (void)state;
    make_history();
    story("/v3/kv/compaction", "{\"revision\":4,\"physical\":true}", 200,
          "{*}");
    story(RECORDS, "{\"start_revision\":4}", 400,
          "{\"error\":{\"grpc_code\":11,*\"etcdserver: mvcc: required revision "
          "has been compacted\",*}}\n");
    story(RECORDS, "{\"key\":\"YQ==\",\"start_revision\":2}", 400,
          "{\"error\":{\"grpc_code\":11,*}}\n");
    /* With no word of where to begin, it is the oldest there is. */
    story(RECORDS, "{}", 200,
          "{\"result\":{" HEAD("7") ",\"records\":[" SET_V2 "," LEASED_A
                                    "," REVOKED_A "]}}\n");
    story(RECORDS, "{\"key\":\"YQ==\"}", 200,
          "{\"result\":{" HEAD("7") ",\"records\":[" LEASED_A "," REVOKED_A
                                    "]}}\n");
}

/* ---- much of it ------------------------------------------------------ */

enum { MANY = 3000 };

static size_t count_of(const struct ask *ask, const char *what)
{
    size_t count = 0;
    const char *at = ask->body.at;
    const char *end = at + ask->body.size;
    while ((at = memmem(at, (size_t)(end - at), what, strlen(what))) != NULL) {
        count++;
        at++;
    }
    return count;
}

static void put_many(void)
{
    struct ask *asks[100];
    for (int i = 0; i < MANY; i += 100) {
        for (int j = 0; j < 100; j++) {
            asks[j] = gate_post(
                gates, 0, "/v3/kv/put",
                (i + j) % 10 == 0 ? "{\"key\":\"Yg==\",\"value\":\"YmJiYg==\"}"
                                  : "{\"key\":\"YQ==\",\"value\":\"YWFh\"}");
        }
        gates_run(gates, 3);
        for (int j = 0; j < 100; j++) {
            assert_int_equal(asks[j]->status, 200);
            ask_free(asks[j]);
        }
    }
}

static void a_long_history_comes_in_pieces(void **state)
{
    (void)state;
    put_many();
    struct ask *ask = gate_post(gates, 0, RECORDS, "{}");
    gates_run(gates, 5);
    assert_true(ask->ended);
    assert_int_equal(count_of(ask, "\"event\":"), MANY);
    assert_true(count_of(ask, "\"result\":") >= 2);
    ask_free(ask);
    ask = gate_post(gates, 0, RECORDS, "{\"key\":\"Yg==\"}");
    gates_run(gates, 5);
    assert_true(ask->ended);
    assert_int_equal(count_of(ask, "\"event\":"), MANY / 10);
    assert_int_equal(count_of(ask, "\"YmJiYg==\""), MANY / 10);
    ask_free(ask);
}

static void a_slow_reader_is_waited_for(void **state)
{
    (void)state;
    put_many();
    struct ask *ask = gate_post(gates, 0, RECORDS, "{}");
    ask->unsent = LIMIT_HTTP_OUT_HIGH_BYTES + 1;
    gates_run(gates, 20);
    assert_int_equal(count_of(ask, "\"result\":"), 1);
    ask->unsent = 0;
    ask->exchange.on_drained(&ask->exchange);
    gates_run(gates, 20);
    assert_true(ask->ended);
    assert_int_equal(count_of(ask, "\"event\":"), MANY);
    ask_free(ask);
    /* Or it goes away: while it waits, and while a worker reads. */
    ask = gate_post(gates, 0, RECORDS, "{}");
    ask->unsent = LIMIT_HTTP_OUT_HIGH_BYTES + 1;
    gates_run(gates, 20);
    ask_free(ask);
    gates->gates[0].holds_works = true;
    ask = gate_post(gates, 0, RECORDS, "{\"key\":\"YQ==\"}");
    gates_run(gates, 2);
    ask_free(ask);
    gates->gates[0].holds_works = false;
    gates_run(gates, 2);
    assert_int_equal(rpc_pending(gates->gates[0].rpc), 0);
}

/* A compaction overtakes a reader: what it has is right; then it is told. */
static void a_reader_may_be_overtaken(void **state)
{
    (void)state;
    put_many();
    struct ask *ask = gate_post(gates, 0, RECORDS, "{}");
    ask->unsent = LIMIT_HTTP_OUT_HIGH_BYTES + 1;
    gates_run(gates, 5);
    story("/v3/kv/compaction", "{\"revision\":3000,\"physical\":true}", 200,
          "{*}");
    ask->exchange.on_drained(&ask->exchange);
    ask->unsent = 0;
    ask->exchange.on_drained(&ask->exchange);
    gates_run(gates, 20);
    ask_expect(ask, 200, "{\"result\":*}\n{\"error\":{\"grpc_code\":11,*}}\n");
    ask_free(ask);
}

/* ---- by the clock ---------------------------------------------------- */

static int64_t time_of(const char *at_revision)
{
    char body[100];
    snprintf(body, sizeof(body), "{\"start_revision\":%s,\"end_revision\":%s}",
             at_revision, at_revision);
    story(RECORDS, body, 200, "{\"result\":{*}}\n");
    return (int64_t)gate_number("time_unix_nanos");
}

static void at(int64_t time_ns, int status, const char *expected)
{
    char body[100];
    snprintf(body, sizeof(body), "{\"time_unix_nanos\":\"%" PRId64 "\"}",
             time_ns);
    story(REVISION_AT, body, status, expected);
}

static void a_time_has_a_revision(void **state)
{
    char want[300];
    (void)state;
    make_history();
    int64_t second = time_of("2");
    int64_t third = time_of("3");
    assert_true(third >= second + 100 * CLUSTER_MS);
    at(second - 1, 404,
       ERROR("etched: nothing was committed by that time", "5"));
    snprintf(want, sizeof(want),
             "{" HEAD("7") ",\"revision\":\"2\",\"time_unix_nanos\":\"%" PRId64
                           "\"}",
             second);
    at(second, 200, want);
    at(third - 1, 200, want);
    at(third, 200, "{*\"revision\":\"3\",\"time_unix_nanos\":*}");
    at(INT64_MAX, 200, "{*,\"revision\":\"7\",*}");
    story("/v3/kv/compaction", "{\"revision\":3,\"physical\":true}", 200,
          "{*}");
    at(second, 400,
       ERROR("etcdserver: mvcc: required revision has been compacted", "11"));
    at(third, 200, "{" HEAD("7") ",\"revision\":\"3\"}");
    at(INT64_MAX, 200, "{*,\"revision\":\"7\",*}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        STORY(every_change_has_a_cause),
        STORY(only_what_is_asked_for_is_told),
        STORY(what_makes_no_sense_is_refused),
        STORY(what_is_compacted_is_gone),
        STORY(a_long_history_comes_in_pieces),
        STORY(a_slow_reader_is_waited_for),
        STORY(a_reader_may_be_overtaken),
        STORY(a_time_has_a_revision),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
