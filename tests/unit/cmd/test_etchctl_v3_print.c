/* Answers of the v3 API as text, in each format. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "cmd/etchctl/v3_print.h"

static struct buf out;
static Etcdserverpb__ResponseHeader header;
static Mvccpb__KeyValue kv;

static int set_up(void **state)
{
    (void)state;
    out = (struct buf){0};
    etcdserverpb__response_header__init(&header);
    header.cluster_id = 12255814595214759696ULL;
    header.member_id = 7;
    header.revision = 5;
    header.raft_term = 2;
    mvccpb__key_value__init(&kv);
    kv.key = message_data(SLICE("k\n"));
    kv.value = message_data(SLICE("v<\xff"));
    kv.create_revision = 2;
    kv.mod_revision = 5;
    kv.version = 3;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buf_deinit(&out);
    return 0;
}

static void expect(const char *text)
{
    buf_append_char(&out, '\0');
    assert_string_equal(out.at, text);
    buf_reset(&out);
}

static void expect_formats(const struct v3_result *result, const char *simple,
                           const char *fields, const char *json)
{
    assert_true(v3_simple_write(result, &out));
    expect(simple);
    if (fields) {
        assert_true(v3_fields_write(result, &out));
        expect(fields);
    } else {
        assert_false(v3_fields_write(result, &out));
    }
    v3_json_write(result, &out);
    expect(json);
}

#define FIELDS_HEADER                        \
    "\"ClusterID\" : 12255814595214759696\n" \
    "\"MemberID\" : 7\n"                     \
    "\"Revision\" : 5\n"                     \
    "\"RaftTerm\" : 2\n"
#define FIELDS_KV(prefix)                 \
    "\"" prefix "Key\" : \"k\\n\"\n"      \
    "\"" prefix "CreateRevision\" : 2\n"  \
    "\"" prefix "ModRevision\" : 5\n"     \
    "\"" prefix "Version\" : 3\n"         \
    "\"" prefix "Value\" : \"v<\\xff\"\n" \
    "\"" prefix "Lease\" : 0\n"
#define JSON_INNER                                                        \
    "\"cluster_id\":12255814595214759696,\"member_id\":7,\"revision\":5," \
    "\"raft_term\":2"
#define JSON_HEADER "\"header\":{" JSON_INNER "}"
#define JSON_KV                                                   \
    "{\"key\":\"awo=\",\"create_revision\":2,\"mod_revision\":5," \
    "\"version\":3,\"value\":\"djz/\"}"

static void a_range(void **state)
{
    (void)state;
    Etcdserverpb__RangeResponse answer = ETCDSERVERPB__RANGE_RESPONSE__INIT;
    Mvccpb__KeyValue *kvs[] = {&kv, &kv};
    struct v3_result result = {.message = &answer};

    answer.header = &header;
    answer.kvs = kvs;
    answer.n_kvs = 2;
    answer.count = 9;
    answer.more = true;
    expect_formats(&result, "k\n\nv<\xff\nk\n\nv<\xff\n",
                   FIELDS_HEADER FIELDS_KV("")
                       FIELDS_KV("") "\"More\" : true\n\"Count\" : 9\n",
                   "{" JSON_HEADER ",\"kvs\":[" JSON_KV "," JSON_KV
                   "],\"more\":true,\"count\":9}\n");
    result.is_value_only = true;
    result.is_hex = true;
    assert_true(v3_simple_write(&result, &out));
    expect("\\x76\\x3c\\xff\n\\x76\\x3c\\xff\n");
    result.is_value_only = false;
    answer.n_kvs = 1;
    assert_true(v3_simple_write(&result, &out));
    expect("\\x6b\\x0a\n\\x76\\x3c\\xff\n");
    assert_false(v3_table_write(&result, &out));
}

static void nothing_at_all(void **state)
{
    (void)state;
    Etcdserverpb__RangeResponse answer = ETCDSERVERPB__RANGE_RESPONSE__INIT;
    struct v3_result result = {.message = &answer};

    expect_formats(&result, "",
                   "\"ClusterID\" : 0\n\"MemberID\" : 0\n\"Revision\" : 0\n"
                   "\"RaftTerm\" : 0\n\"More\" : false\n\"Count\" : 0\n",
                   "{}\n");
}

static void a_put(void **state)
{
    (void)state;
    Etcdserverpb__PutResponse answer = ETCDSERVERPB__PUT_RESPONSE__INIT;
    struct v3_result result = {.message = &answer};

    answer.header = &header;
    expect_formats(&result, "OK\n", FIELDS_HEADER, "{" JSON_HEADER "}\n");
    answer.prev_kv = &kv;
    expect_formats(&result, "OK\nk\n\nv<\xff\n",
                   FIELDS_HEADER FIELDS_KV("Prev"),
                   "{" JSON_HEADER ",\"prev_kv\":" JSON_KV "}\n");
}

static void a_deletion(void **state)
{
    (void)state;
    Etcdserverpb__DeleteRangeResponse answer =
        ETCDSERVERPB__DELETE_RANGE_RESPONSE__INIT;
    Mvccpb__KeyValue *kvs[] = {&kv};
    struct v3_result result = {.message = &answer};

    answer.deleted = 1;
    answer.prev_kvs = kvs;
    answer.n_prev_kvs = 1;
    answer.header = &header;
    expect_formats(&result, "1\nk\n\nv<\xff\n",
                   FIELDS_HEADER "\"Deleted\" : 1\n" FIELDS_KV("Prev"),
                   "{" JSON_HEADER ",\"deleted\":1,\"prev_kvs\":[" JSON_KV
                   "]}\n");
}

static void a_txn(void **state)
{
    (void)state;
    Etcdserverpb__TxnResponse answer = ETCDSERVERPB__TXN_RESPONSE__INIT;
    Etcdserverpb__TxnResponse inner = ETCDSERVERPB__TXN_RESPONSE__INIT;
    Etcdserverpb__PutResponse put = ETCDSERVERPB__PUT_RESPONSE__INIT;
    Etcdserverpb__RangeResponse range = ETCDSERVERPB__RANGE_RESPONSE__INIT;
    Etcdserverpb__DeleteRangeResponse deletion =
        ETCDSERVERPB__DELETE_RANGE_RESPONSE__INIT;
    Etcdserverpb__ResponseOp ops[4];
    Etcdserverpb__ResponseOp *responses[4];
    struct v3_result result = {.message = &answer};

    for (int i = 0; i < 4; i++) {
        etcdserverpb__response_op__init(&ops[i]);
        responses[i] = &ops[i];
    }
    ops[0].response_case = ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_PUT;
    ops[0].response_put = &put;
    ops[1].response_case = ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_RANGE;
    ops[1].response_range = &range;
    ops[2].response_case =
        ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_DELETE_RANGE;
    ops[2].response_delete_range = &deletion;
    ops[3].response_case = ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_TXN;
    ops[3].response_txn = &inner;
    deletion.deleted = 2;
    answer.header = &header;
    answer.succeeded = true;
    answer.responses = responses;
    answer.n_responses = 4;
    assert_true(v3_simple_write(&result, &out));
    expect("SUCCESS\n\nOK\n\n\n2\n\nFAILURE\n");
    v3_json_write(&result, &out);
    expect("{" JSON_HEADER ",\"succeeded\":true,\"responses\":["
           "{\"Response\":{\"ResponsePut\":{}}},"
           "{\"Response\":{\"ResponseRange\":{}}},"
           "{\"Response\":{\"ResponseDeleteRange\":{\"deleted\":2}}},"
           "{\"Response\":{\"ResponseTxn\":{}}}]}\n");
    assert_true(v3_fields_write(&result, &out));
    assert_true(out.size > 0);
    buf_reset(&out);
    answer.succeeded = false;
    answer.n_responses = 0;
    expect_formats(&result, "FAILURE\n",
                   FIELDS_HEADER "\"Succeeded\" : false\n",
                   "{" JSON_HEADER "}\n");
}

static void events(void **state)
{
    (void)state;
    Etcdserverpb__WatchResponse answer = ETCDSERVERPB__WATCH_RESPONSE__INIT;
    Mvccpb__Event put = MVCCPB__EVENT__INIT;
    Mvccpb__Event gone = MVCCPB__EVENT__INIT;
    Mvccpb__Event *both[] = {&put, &gone};
    struct v3_result result = {.message = &answer};

    put.kv = &kv;
    gone.type = MVCCPB__EVENT__EVENT_TYPE__DELETE;
    gone.kv = &kv;
    gone.prev_kv = &kv;
    answer.header = &header;
    answer.events = both;
    answer.n_events = 2;
    answer.watch_id = 3;
    expect_formats(
        &result, "PUT\nk\n\nv<\xff\nDELETE\nk\n\nv<\xff\nk\n\nv<\xff\n",
        FIELDS_HEADER
        "\"Type\" : PUT\n" FIELDS_KV("") "\"Type\" : DELETE\n" FIELDS_KV("Prev")
            FIELDS_KV(""),
        "{\"Header\":{" JSON_INNER "},\"Events\":[{\"kv\":" JSON_KV
        "},{\"type\":1,\"kv\":" JSON_KV ",\"prev_kv\":" JSON_KV
        "}],\"CompactRevision\":0,\"Canceled\":false,\"Created\":false}\n");
}

static void leases(void **state)
{
    (void)state;
    Etcdserverpb__LeaseGrantResponse grant =
        ETCDSERVERPB__LEASE_GRANT_RESPONSE__INIT;
    Etcdserverpb__LeaseRevokeResponse revoke =
        ETCDSERVERPB__LEASE_REVOKE_RESPONSE__INIT;
    Etcdserverpb__LeaseKeepAliveResponse alive =
        ETCDSERVERPB__LEASE_KEEP_ALIVE_RESPONSE__INIT;
    Etcdserverpb__LeaseLeasesResponse all =
        ETCDSERVERPB__LEASE_LEASES_RESPONSE__INIT;
    Etcdserverpb__LeaseStatus one = ETCDSERVERPB__LEASE_STATUS__INIT;
    Etcdserverpb__LeaseStatus *list[] = {&one, &one};
    struct v3_result result = {.message = &grant};

    grant.id = 0x1f;
    grant.ttl = 60;
    expect_formats(&result, "lease 000000000000001f granted with TTL(60s)\n",
                   "\"ClusterID\" : 0\n\"MemberID\" : 0\n\"Revision\" : 0\n"
                   "\"RaftTerm\" : 0\n\"ID\" : 31\n\"TTL\" : 60\n",
                   "{\"ID\":31,\"TTL\":60,\"Error\":\"\"}\n");
    result = (struct v3_result){.message = &revoke, .id = 0x1f};
    revoke.header = &header;
    expect_formats(&result, "lease 000000000000001f revoked\n", FIELDS_HEADER,
                   "{" JSON_HEADER "}\n");
    result = (struct v3_result){.message = &alive};
    alive.header = &header;
    alive.id = 0x1f;
    alive.ttl = 60;
    expect_formats(&result, "lease 000000000000001f keepalived with TTL(60)\n",
                   FIELDS_HEADER "\"ID\" : 31\n\"TTL\" : 60\n",
                   "{" JSON_INNER ",\"ID\":31,\"TTL\":60}\n");
    result = (struct v3_result){.message = &all};
    all.header = &header;
    expect_formats(&result, "found 0 leases\n", FIELDS_HEADER,
                   "{" JSON_INNER ",\"leases\":[]}\n");
    one.id = 0x1f;
    all.leases = list;
    all.n_leases = 2;
    expect_formats(&result,
                   "found 2 leases\n000000000000001f\n000000000000001f\n",
                   FIELDS_HEADER "\"ID\" : 31\n\"ID\" : 31\n",
                   "{" JSON_INNER ",\"leases\":[{\"id\":31},{\"id\":31}]}\n");
}

static void times_to_live(void **state)
{
    (void)state;
    Etcdserverpb__LeaseTimeToLiveResponse answer =
        ETCDSERVERPB__LEASE_TIME_TO_LIVE_RESPONSE__INIT;
    ProtobufCBinaryData keys[] = {message_data(SLICE("a")),
                                  message_data(SLICE("b c"))};
    struct v3_result result = {.message = &answer};

    answer.header = &header;
    answer.id = 0x1f;
    answer.ttl = -1;
    expect_formats(&result, "lease 000000000000001f already expired\n",
                   FIELDS_HEADER
                   "\"ID\" : 31\n\"TTL\" : -1\n\"GrantedTTL\" : 0\n",
                   "{" JSON_INNER ",\"id\":31,\"ttl\":-1,\"granted-ttl\":0,"
                   "\"keys\":null}\n");
    answer.ttl = 5;
    answer.grantedttl = 9;
    answer.keys = keys;
    answer.n_keys = 2;
    expect_formats(&result,
                   "lease 000000000000001f granted with TTL(9s), "
                   "remaining(5s)\n",
                   FIELDS_HEADER
                   "\"ID\" : 31\n\"TTL\" : 5\n\"GrantedTTL\" : 9\n"
                   "\"Key\" : \"a\"\n\"Key\" : \"b c\"\n",
                   "{" JSON_INNER ",\"id\":31,\"ttl\":5,\"granted-ttl\":9,"
                   "\"keys\":[\"YQ==\",\"YiBj\"]}\n");
    result.has_keys = true;
    assert_true(v3_simple_write(&result, &out));
    expect("lease 000000000000001f granted with TTL(9s), remaining(5s), "
           "attached keys([a b c])\n");
}

static void members(void **state)
{
    (void)state;
    Etcdserverpb__MemberListResponse answer =
        ETCDSERVERPB__MEMBER_LIST_RESPONSE__INIT;
    Etcdserverpb__Member one = ETCDSERVERPB__MEMBER__INIT;
    Etcdserverpb__Member two = ETCDSERVERPB__MEMBER__INIT;
    Etcdserverpb__Member *list[] = {&one, &two};
    char name[] = "n1";
    char url[] = "http://a:1";
    char *urls[] = {url, url};
    struct v3_result result = {.message = &answer};

    one.id = 0xab;
    one.name = name;
    one.peerurls = urls;
    one.n_peerurls = 2;
    one.clienturls = urls;
    one.n_clienturls = 1;
    two.id = 1;
    two.islearner = true;
    answer.members = list;
    answer.n_members = 2;
    answer.header = &header;
    expect_formats(
        &result,
        "ab, started, n1, http://a:1,http://a:1, http://a:1, false\n"
        "1, unstarted, , , , true\n",
        FIELDS_HEADER
        "\"ID\" : 171\n\"Name\" : \"n1\"\n\"PeerURL\" : \"http://a:1\"\n"
        "\"PeerURL\" : \"http://a:1\"\n\"ClientURL\" : \"http://a:1\"\n"
        "\"IsLearner\" : false\n\n"
        "\"ID\" : 1\n\"Name\" : \"\"\n\"IsLearner\" : true\n\n",
        "{" JSON_HEADER
        ",\"members\":[{\"ID\":171,\"name\":\"n1\",\"peerURLs\":["
        "\"http://a:1\",\"http://a:1\"],\"clientURLs\":[\"http://a:1\"]},"
        "{\"ID\":1,\"isLearner\":true}]}\n");
    assert_true(v3_table_write(&result, &out));
    expect(
        "+----+-----------+------+-----------------------+--------------+-----"
        "-------+\n"
        "| ID |  STATUS   | NAME |      PEER ADDRS       | CLIENT ADDRS | IS "
        "LEARNER |\n"
        "+----+-----------+------+-----------------------+--------------+-----"
        "-------+\n"
        "| ab |   started |   n1 | http://a:1,http://a:1 |   http://a:1 |     "
        " false |\n"
        "|  1 | unstarted |      |                       |              |     "
        "  true |\n"
        "+----+-----------+------+-----------------------+--------------+-----"
        "-------+\n");
}

static void changes_of_members(void **state)
{
    (void)state;
    Etcdserverpb__MemberAddResponse add =
        ETCDSERVERPB__MEMBER_ADD_RESPONSE__INIT;
    Etcdserverpb__MemberRemoveResponse gone =
        ETCDSERVERPB__MEMBER_REMOVE_RESPONSE__INIT;
    Etcdserverpb__Member one = ETCDSERVERPB__MEMBER__INIT;
    struct v3_result result = {.message = &add};

    header.cluster_id = 0x10;
    one.id = 0xabc;
    add.header = &header;
    add.member = &one;
    assert_true(v3_simple_write(&result, &out));
    expect("Member              abc added to cluster               10\n");
    assert_false(v3_fields_write(&result, &out));
    result = (struct v3_result){.message = &gone, .id = 0x1234567890abcdef};
    gone.header = &header;
    assert_true(v3_simple_write(&result, &out));
    expect("Member 1234567890abcdef removed from cluster               10\n");
}

static void alarms(void **state)
{
    (void)state;
    Etcdserverpb__AlarmResponse answer = ETCDSERVERPB__ALARM_RESPONSE__INIT;
    Etcdserverpb__AlarmMember one = ETCDSERVERPB__ALARM_MEMBER__INIT;
    Etcdserverpb__AlarmMember *list[] = {&one};
    struct v3_result result = {.message = &answer};

    one.memberid = 7;
    one.alarm = ETCDSERVERPB__ALARM_TYPE__NOSPACE;
    answer.header = &header;
    answer.alarms = list;
    answer.n_alarms = 1;
    expect_formats(
        &result, "memberID:7 alarm:NOSPACE \n",
        FIELDS_HEADER "\"MemberID\" : 7\n\"AlarmType\" : NOSPACE\n\n",
        "{" JSON_HEADER ",\"alarms\":[{\"memberID\":7,\"alarm\":1}]}\n");
}

static void the_leader_that_was_and_is(void **state)
{
    (void)state;
    Etcdserverpb__MoveLeaderResponse answer =
        ETCDSERVERPB__MOVE_LEADER_RESPONSE__INIT;
    struct v3_result result = {.message = &answer, .id = 0xa, .target = 0xb};

    answer.header = &header;
    expect_formats(&result, "Leadership transferred from a to b\n", NULL,
                   "{" JSON_HEADER "}\n");
}

static void wide_cells_have_lines(void **state)
{
    (void)state;
    const char *const heads[] = {"a", "error"};
    const char *cells[] = {"x", "one two three four five six seven eight", "y",
                           "averyveryverylongwordthatcannotbewrapped"};
    struct v3_rows rows = {heads, 2, cells, 2};

    v3_rows_table(&rows, &out);
    expect("+---+------------------------------------------+\n"
           "| A |                  ERROR                   |\n"
           "+---+------------------------------------------+\n"
           "| x |              one two three four five six |\n"
           "|   |                              seven eight |\n"
           "| y | averyveryverylongwordthatcannotbewrapped |\n"
           "+---+------------------------------------------+\n");
    v3_rows_list(&rows, &out);
    expect("x, one two three four five six seven eight\n"
           "y, averyveryverylongwordthatcannotbewrapped\n");
    rows.count = 0;
    v3_rows_table(&rows, &out);
    expect("+---+-------+\n"
           "| A | ERROR |\n"
           "+---+-------+\n");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_range),
        TEST(nothing_at_all),
        TEST(a_put),
        TEST(a_deletion),
        TEST(a_txn),
        TEST(events),
        TEST(leases),
        TEST(times_to_live),
        TEST(members),
        TEST(changes_of_members),
        TEST(alarms),
        TEST(the_leader_that_was_and_is),
        TEST(wide_cells_have_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
