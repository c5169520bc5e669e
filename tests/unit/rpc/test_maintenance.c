/* Upkeep: the status, alarms, hashes, snapshots in pieces, a leader that is
 * moved. */
#include "gates.h"

#include <stdio.h>
#include <string.h>

#include "base/version.h"
#include "rpc/rpc_int.h"

static struct gates *gates;

static void open_cluster(size_t count)
{
    gates = gates_new(count, 0);
}

static int tear_down(void **state)
{
    (void)state;
    gates_free(gates);
    return 0;
}

#define HEAD(revision)                                                   \
    "\"header\":{\"cluster_id\":\"*\",\"member_id\":\"*\",\"revision\":" \
    "\"" revision "\",\"raft_term\":\"*\"}"
#define ERROR(text, code)                                             \
    "{\"error\":\"" text "\",\"message\":\"" text "\",\"code\":" code \
    ",\"details\":[]}"

static void story(const char *path, const char *body, int status,
                  const char *expected)
{
    gate_story(gates, gates_leader(gates), path, body, status, expected);
}

static void put(const char *key)
{
    char body[100];
    snprintf(body, sizeof(body), "{\"key\":\"%s\",\"value\":\"%s\"}", key, key);
    story("/v3/kv/put", body, 200, "{*}");
}

/* ---- Status ---------------------------------------------------------- */

static void the_status_is_the_members(void **state)
{
    (void)state;
    open_cluster(1);
    put("YQ==");
    story("/v3/maintenance/status", "", 200,
          "{" HEAD("2") ",\"version\":\"" ETCHED_API_VERSION
                        "\",\"dbSize\":\"20480\",\"leader\":\"161\","
                        "\"raftIndex\":\"*\",\"raftTerm\":\"*\","
                        "\"raftAppliedIndex\":\"*\",\"dbSizeInUse\":\"16384\","
                        "\"storageVersion\":\"" ETCHED_CLUSTER_API_VERSION
                        "\",\"dbSizeQuota\":\"1073741824\","
                        "\"downgradeInfo\":{}}");
    struct node_progress progress = cluster_progress(&gates->nodes, 0);
    assert_int_equal(gate_number("raftIndex"), progress.committed);
    assert_int_equal(gate_number("raftAppliedIndex"), progress.applied);
    assert_int_equal(gate_number("raftTerm"), progress.term);
}

static void a_status_tells_what_is_wrong(void **state)
{
    (void)state;
    open_cluster(3);
    size_t number = gates_follower(gates);
    story("/v3/maintenance/alarm",
          "{\"action\":\"ACTIVATE\",\"alarm\":\"NOSPACE\",\"memberID\":\"77\"}",
          200, "{*}");
    cluster_settle(&gates->nodes);
    cluster_isolate(&gates->nodes, number, true);
    gates_run(gates, 3000);
    gate_story(gates, number, "/v3/maintenance/status", "", 200,
               "{*\"errors\":[\"etcdserver: no leader\","
               "\"memberID:77 alarm:NOSPACE \"]*}");
    assert_null(strstr(gate_last().at, "\"leader\""));
    cluster_mend(&gates->nodes);
    gates_run(gates, 1000);
}

/* ---- Alarm ----------------------------------------------------------- */

static void alarms_are_raised_and_dropped(void **state)
{
    (void)state;
    open_cluster(1);
    story("/v3/maintenance/alarm", "{}", 200, "{" HEAD("1") "}");
    story("/v3/maintenance/alarm",
          "{\"action\":\"ACTIVATE\",\"alarm\":\"NOSPACE\",\"memberID\":\"77\"}",
          200,
          "{" HEAD("1") ",\"alarms\":[{\"memberID\":\"77\","
                        "\"alarm\":\"NOSPACE\"}]}");
    story("/v3/maintenance/alarm", "{\"action\":1,\"alarm\":2,\"memberID\":77}",
          200, "{*\"alarms\":[{\"memberID\":\"77\",\"alarm\":\"CORRUPT\"}]}");
    story("/v3/maintenance/alarm", "", 200, "{*\"alarms\":[{*},{*}]}");
    story("/v3/maintenance/alarm", "{\"action\":\"GET\",\"alarm\":\"CORRUPT\"}",
          200,
          "{" HEAD("1") ",\"alarms\":[{\"memberID\":\"77\","
                        "\"alarm\":\"CORRUPT\"}]}");
    story("/v3/maintenance/alarm",
          "{\"action\":\"DEACTIVATE\",\"alarm\":\"CORRUPT\",\"memberID\":77}",
          200, "{*\"alarms\":[{\"memberID\":\"77\",\"alarm\":\"CORRUPT\"}]}");
    story("/v3/maintenance/alarm",
          "{\"action\":\"DEACTIVATE\",\"alarm\":\"CORRUPT\",\"memberID\":77}",
          200, "{" HEAD("1") "}");
    story("/v3/maintenance/alarm", "{\"action\":3}", 501,
          ERROR("no such action", "12"));
}

static void no_space_refuses_puts_until_it_is_dropped(void **state)
{
    (void)state;
    open_cluster(1);
    story("/v3/maintenance/alarm",
          "{\"action\":\"ACTIVATE\",\"alarm\":\"NOSPACE\",\"memberID\":161}",
          200, "{*}");
    story("/v3/kv/put", "{\"key\":\"YQ==\"}", 429,
          ERROR("etcdserver: mvcc: database space exceeded", "8"));
    story("/v3/kv/deleterange", "{\"key\":\"YQ==\"}", 200, "{*}");
    story("/v3/maintenance/alarm",
          "{\"action\":\"DEACTIVATE\",\"alarm\":\"NOSPACE\",\"memberID\":161}",
          200, "{*}");
    put("YQ==");
}

/* ---- hashes ---------------------------------------------------------- */

static void members_with_the_same_history_have_the_same_hash(void **state)
{
    char want[200];
    char sum[40];
    (void)state;
    open_cluster(3);
    put("YQ==");
    put("Yg==");
    story("/v3/kv/deleterange", "{\"key\":\"YQ==\"}", 200, "{*}");
    cluster_settle(&gates->nodes);
    story("/v3/maintenance/hashkv", "{}", 200,
          "{" HEAD("4") ",\"hash\":*,\"compact_revision\":\"-1\","
                        "\"hash_revision\":\"4\"}");
    const char *hash = strstr(gate_last().at, "\"hash\":");
    snprintf(sum, sizeof(sum), "%.*s", (int)(strstr(hash, ",") - hash), hash);
    snprintf(want, sizeof(want), "{*%s,\"compact_revision\":*}", sum);
    for (size_t i = 0; i < 3; i++) {
        gate_story(gates, i, "/v3/maintenance/hashkv", "{\"revision\":4}", 200,
                   want);
    }
    put("YQ==");
    cluster_settle(&gates->nodes);
    gate_story(gates, 0, "/v3/maintenance/hashkv", "{\"revision\":4}", 200,
               want);
    gate_story(gates, 0, "/v3/maintenance/hashkv", "{}", 200,
               "{" HEAD("5") ",*\"hash_revision\":\"5\"}");
    assert_null(strstr(gate_last().at, sum));
    story("/v3/maintenance/hash", "", 200, "{" HEAD("5") ",\"hash\":*}");
}

static void a_hash_of_what_is_gone_or_to_come_is_refused(void **state)
{
    (void)state;
    open_cluster(1);
    put("YQ==");
    put("YQ==");
    put("YQ==");
    story("/v3/kv/compaction", "{\"revision\":3}", 200, "{*}");
    story(
        "/v3/maintenance/hashkv", "{\"revision\":2}", 400,
        ERROR("etcdserver: mvcc: required revision has been compacted", "11"));
    story("/v3/maintenance/hashkv", "{\"revision\":5}", 400,
          ERROR("etcdserver: mvcc: required revision is a future revision",
                "11"));
    story("/v3/maintenance/hashkv", "{}", 200,
          "{*\"compact_revision\":\"3\",\"hash_revision\":\"4\"}");
}

static void who_goes_away_leaves_a_hash_behind(void **state)
{
    (void)state;
    open_cluster(1);
    gates->gates[0].holds_works = true;
    struct ask *ask = gate_post(gates, 0, "/v3/maintenance/hashkv", "");
    gates_run(gates, 3);
    assert_int_equal(rpc_pending(gates->gates[0].rpc), 1);
    ask_free(ask);
    gates->gates[0].holds_works = false;
    gates_run(gates, 1);
    assert_int_equal(rpc_pending(gates->gates[0].rpc), 0);
}

/* ---- Defragment, Downgrade ------------------------------------------- */

static void defragmenting_is_a_workers(void **state)
{
    (void)state;
    open_cluster(1);
    gates->gates[0].holds_works = true;
    struct ask *ask = gate_post(gates, 0, "/v3/maintenance/defragment", "");
    gates_run(gates, 3);
    assert_true(!ask->ended && gates->gates[0].defragmented == 0);
    gates->gates[0].holds_works = false;
    gates_run(gates, 1);
    assert_int_equal(gates->gates[0].defragmented, 1);
    ask_expect(ask, 200, "{}");
    ask_free(ask);
}

static void there_is_no_way_down(void **state)
{
    static const char *const right[] = {"3.5", "3.5.0", "3.7", "3.6.0-rc.1",
                                        "3.5.2+x"};
    static const char *const wrong[] = {"",     "3",     "3.",     "3.5.",
                                        "x",    "3.5x",  "3.5.1x", "3.5-rc",
                                        "v3.5", "3.5.1-"};
    char body[100];
    (void)state;
    open_cluster(1);
    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
        snprintf(body, sizeof(body), "{\"action\":%d,\"version\":\"%s\"}",
                 (int)(i % 2), right[i]);
        story("/v3/maintenance/downgrade", body, 400,
              ERROR("etcdserver: invalid downgrade target version", "3"));
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        snprintf(body, sizeof(body), "{\"version\":\"%s\"}", wrong[i]);
        story("/v3/maintenance/downgrade", body, 400,
              ERROR("etcdserver: wrong downgrade target version format", "3"));
    }
    story("/v3/maintenance/downgrade", "{\"action\":\"CANCEL\"}", 400,
          ERROR("etcdserver: no inflight downgrade job", "9"));
    story("/v3/maintenance/downgrade", "{\"action\":7}", 501,
          ERROR("no such action", "12"));
}

/* ---- MoveLeader ------------------------------------------------------ */

static void move(size_t number, uint64_t id, int status, const char *expected)
{
    char body[100];
    snprintf(body, sizeof(body), "{\"targetID\":\"%llu\"}",
             (unsigned long long)id);
    gate_story(gates, number, "/v3/maintenance/transfer-leadership", body,
               status, expected);
}

static void the_leader_moves_and_then_says_so(void **state)
{
    (void)state;
    open_cluster(3);
    size_t old = gates_leader(gates);
    size_t next = gates_follower(gates);
    move(old, cluster_id(next), 200, "{}");
    assert_int_equal(cluster_progress(&gates->nodes, old).leader,
                     cluster_id(next));
    assert_int_equal(gates_leader(gates), next);
    move(next, cluster_id(next), 200, "{}"); /* it leads already */
}

static void only_a_leader_moves_and_only_to_a_voter(void **state)
{
    (void)state;
    open_cluster(3);
    move(gates_follower(gates), cluster_id(0), 400,
         ERROR("etcdserver: not leader", "9"));
    move(gates_leader(gates), 5, 400,
         ERROR("etcdserver: bad leader transferee", "9"));
    move(gates_leader(gates), 0, 400,
         ERROR("etcdserver: bad leader transferee", "9"));
    story("/v3/cluster/member/add",
          "{\"peerURLs\":[\"http://a:1\"],\"isLearner\":true}", 200, "{*}");
    move(gates_leader(gates), gate_number("ID"), 400,
         ERROR("etcdserver: bad leader transferee", "9"));
}

static void a_move_that_does_not_happen_times_out(void **state)
{
    (void)state;
    open_cluster(3);
    size_t leader = gates_leader(gates);
    size_t next = gates_follower(gates);
    cluster_isolate(&gates->nodes, next, true);
    move(leader, cluster_id(next), 503,
         ERROR("etcdserver: request timed out", "14"));
    /* With a deadline it is over by then; and a client may go away. */
    char body[100];
    snprintf(body, sizeof(body), "{\"targetID\":\"%llu\"}",
             (unsigned long long)cluster_id(next));
    leader = gates_leader(gates);
    struct ask *ask = gate_ask(gates, leader, HTTP_POST,
                               "/v3/maintenance/transfer-leadership",
                               "Grpc-Timeout: 100m\n", body);
    struct ask *other =
        gate_post(gates, leader, "/v3/maintenance/transfer-leadership", body);
    gates_run(gates, 50);
    assert_true(!ask->ended && !other->ended);
    assert_true(rpc_deadline_ms(gates->gates[leader].rpc) <=
                gate_now_ms(&gates->gates[leader]) + 20);
    ask_free(other);
    gates_run(gates, 100);
    ask_expect(ask, 504, "{*\"code\":4,*}");
    ask_free(ask);
    cluster_mend(&gates->nodes);
    gates_run(gates, 1000);
}

/* ---- Snapshot -------------------------------------------------------- */

static int base64_value(char c)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "abcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c != '\0' ? strchr(letters, c) : NULL;
    return at != NULL ? (int)(at - letters) : -1;
}

/* Checks one line's blob against the file's bytes from `at` on; returns how
 * many there were. */
static uint64_t check_blob(const char *blob, uint64_t at)
{
    uint64_t from = at;
    uint32_t bits = 0;
    unsigned count = 0;
    for (int six; (six = base64_value(*blob)) >= 0; blob++) {
        bits = bits << 6 | (uint32_t)six;
        count += 6;
        if (count >= 8) {
            count -= 8;
            assert_int_equal((char)(bits >> count), gate_file_byte(at++));
        }
    }
    return at - from;
}

/* All lines of a snapshot; returns how many pieces. */
static size_t check_pieces(struct ask *ask, uint64_t bytes)
{
    uint64_t at = 0;
    size_t pieces = 0;
    buf_append_char(&ask->body, '\0');
    const char *line = ask->body.at;
    while ((line = strstr(line, "{\"result\":{")) != NULL) {
        const char *left = strstr(line, "\"remaining_bytes\":\"");
        const char *blob = strstr(line, "\"blob\":\"");
        const char *end = strchr(line, '\n');
        uint64_t remaining = 0;
        assert_non_null(blob);
        at += check_blob(blob + 8, at);
        if (left != NULL && left < end) {
            left += strlen("\"remaining_bytes\":\"");
            assert_true(
                slice_to_u64(slice_of(left, strcspn(left, "\"")), &remaining));
        }
        /* The sum at the end isn't counted. */
        assert_int_equal(remaining, at > bytes - 32 ? 0 : bytes - 32 - at);
        line = end;
        pieces++;
    }
    assert_int_equal(at, bytes);
    return pieces;
}

static void snapshot_of(uint64_t bytes, size_t want_pieces)
{
    gates->gates[0].file = (struct gate_file){.bytes = bytes};
    struct ask *ask = gate_post(gates, 0, "/v3/maintenance/snapshot", "");
    gates_run(gates, 3);
    assert_true(ask->ended);
    assert_int_equal(ask->status, 200);
    assert_int_equal(check_pieces(ask, bytes), want_pieces);
    assert_int_equal(gates->gates[0].file.open_count, 0);
    ask_free(ask);
}

static void a_snapshot_comes_in_pieces_and_its_sum_last(void **state)
{
    (void)state;
    open_cluster(1);
    snapshot_of(33, 2);
    snapshot_of(32 + 256 * 1024, 2);
    snapshot_of(32 + 256 * 1024 + 1, 3);
    snapshot_of(1000000, 5);
}

static void a_snapshot_waits_for_a_slow_client(void **state)
{
    (void)state;
    open_cluster(1);
    struct gate_file *file = &gates->gates[0].file;
    *file = (struct gate_file){.bytes = 4000000};
    struct ask *ask = gate_post(gates, 0, "/v3/maintenance/snapshot", "");
    ask->unsent = LIMIT_HTTP_OUT_HIGH_BYTES + 1;
    gates_run(gates, 5);
    size_t reads = file->reads;
    assert_true(reads > 0 && !ask->ended);
    gates_run(gates, 100);
    assert_int_equal(file->reads, reads);
    ask->unsent = 0;
    ask->exchange.on_drained(&ask->exchange);
    gates_run(gates, 5);
    assert_true(ask->ended && file->reads > reads);
    assert_int_equal(check_pieces(ask, 4000000), 17);
    ask_free(ask);
}

static void whoever_goes_away_gives_the_file_back(void **state)
{
    (void)state;
    open_cluster(1);
    struct gate *gate = &gates->gates[0];
    for (int step = 0; step < 4; step++) {
        gate->file = (struct gate_file){.bytes = 4000000};
        gate->holds_works = step == 0;
        struct ask *ask = gate_post(gates, 0, "/v3/maintenance/snapshot", "");
        ask->unsent = LIMIT_HTTP_OUT_HIGH_BYTES + 1;
        gates_run(gates, 2);
        if (step == 1) {
            assert_int_equal(gate->file.open_count, 1);
        }
        if (step == 2) { /* a piece is being read */
            gate->holds_works = true;
            ask->unsent = 0;
            ask->exchange.on_drained(&ask->exchange);
        }
        if (step == 3) {
            rpc_stop(gate->rpc);
            assert_true(ask->ended);
            ask_expect(ask, 200, "*etcdserver: server stopped*");
        }
        ask_free(ask);
        gate->holds_works = false;
        gates_run(gates, 2);
        assert_int_equal(gate->file.open_count, 0);
        assert_int_equal(rpc_pending(gate->rpc), 0);
    }
}

static void a_snapshot_that_fails_says_so(void **state)
{
    (void)state;
    open_cluster(1);
    struct gate_file *file = &gates->gates[0].file;
    *file = (struct gate_file){.open_err = ERR_DISK_FULL};
    story("/v3/maintenance/snapshot", "", 429,
          "{\"error\":{\"grpc_code\":8,*}}\n");
    *file = (struct gate_file){.bytes = 1000000, .short_by = 600000};
    story("/v3/maintenance/snapshot", "", 200,
          "{\"result\":*}\n{\"error\":{\"grpc_code\":15,*}}\n");
    assert_int_equal(file->open_count, 0);
}

static void so_many_snapshots_are_made_at_once(void **state)
{
    enum { MANY = 8 };
    struct ask *asks[MANY];
    (void)state;
    open_cluster(1);
    gates->gates[0].file = (struct gate_file){.bytes = 4000000};
    for (int i = 0; i < MANY; i++) {
        asks[i] = gate_post(gates, 0, "/v3/maintenance/snapshot", "");
        asks[i]->unsent = LIMIT_HTTP_OUT_HIGH_BYTES + 1;
    }
    gates_run(gates, 2);
    story("/v3/maintenance/snapshot", "", 429,
          "{\"error\":{*\"message\":\"etcdserver: too many requests\",*}}\n");
    for (int i = 0; i < MANY; i++) {
        ask_free(asks[i]);
    }
    gates_run(gates, 2);
    snapshot_of(1000, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define STORY(name) cmocka_unit_test_teardown(name, tear_down)
        STORY(the_status_is_the_members),
        STORY(a_status_tells_what_is_wrong),
        STORY(alarms_are_raised_and_dropped),
        STORY(no_space_refuses_puts_until_it_is_dropped),
        STORY(members_with_the_same_history_have_the_same_hash),
        STORY(a_hash_of_what_is_gone_or_to_come_is_refused),
        STORY(who_goes_away_leaves_a_hash_behind),
        STORY(defragmenting_is_a_workers),
        STORY(there_is_no_way_down),
        STORY(the_leader_moves_and_then_says_so),
        STORY(only_a_leader_moves_and_only_to_a_voter),
        STORY(a_move_that_does_not_happen_times_out),
        STORY(a_snapshot_comes_in_pieces_and_its_sum_last),
        STORY(a_snapshot_waits_for_a_slow_client),
        STORY(whoever_goes_away_gives_the_file_back),
        STORY(a_snapshot_that_fails_says_so),
        STORY(so_many_snapshots_are_made_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
