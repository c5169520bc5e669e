/* One keyspace, as its clients see it: what one of them writes by v3's gRPC
 * another reads, lists and watches by v2's HTTP, and the other way round. What
 * the rules are is node/'s test_crossing to show; this shows both wires. */
#include "grpc_world.h"

#include <inttypes.h>
#include <stdio.h>

static struct grpc_world *world;
static struct line *line;

static int begin(void **state)
{
    (void)state;
    world = grpc_world_new(31);
    line = line_open(world);
    return 0;
}

static int end(void **state)
{
    (void)state;
    grpc_world_free(world);
    return 0;
}

/* '*' stands for any run of characters. */
static bool matches(struct slice text, const char *pattern)
{
    for (; *pattern != '\0'; pattern++) {
        if (*pattern == '*') {
            for (size_t i = 0; i <= text.size; i++) {
                if (matches(slice_of(text.at + i, text.size - i),
                            pattern + 1)) {
                    return true;
                }
            }
            return false;
        }
        if (text.size == 0 || text.at[0] != *pattern) {
            return false;
        }
        text = slice_of(text.at + 1, text.size - 1);
    }
    return text.size == 0;
}

static void expect(struct slice text, const char *pattern)
{
    if (!matches(text, pattern)) {
        fail_msg("got      %.*s\nexpected %s", (int)text.size, text.at,
                 pattern);
    }
}

/* ---- v2 -------------------------------------------------------------- */

/* "PUT /a", below /v2/keys. */
static void v2(const char *request, const char *form, int status,
               const char *body)
{
    char method[8];
    char target[200];
    size_t size = strcspn(request, " ");
    (void)snprintf(method, sizeof(method), "%.*s", (int)size, request);
    (void)snprintf(target, sizeof(target), "/v2/keys%s", request + size + 1);
    struct reply reply =
        world_request(&world->world, method, target, NULL, form);
    expect(reply.body, body);
    assert_int_equal(reply.status, status);
    grpc_world_turn(world);
}

static struct client *v2_watch(const char *target)
{
    char path[200];
    struct client *client = client_new(&world->world);
    (void)snprintf(path, sizeof(path), "/v2/keys%s", target);
    client_ask(client, "GET", path, NULL, NULL);
    grpc_world_turn(world);
    return client;
}

/* All that it was told. */
static void v2_told(struct client *client, const char *body)
{
    struct reply reply;
    grpc_world_turn(world);
    assert_true(client_reply(client, false, &reply));
    expect(reply.body, body);
    client_free(client);
}

/* ---- v3 -------------------------------------------------------------- */

#define KV "/etcdserverpb.KV/"
#define LEASE "/etcdserverpb.Lease/"

/* Answers are kept for the test to look at. */
static struct slice v3(const char *method, const ProtobufCMessage *request)
{
    static struct buf kept;
    struct talk *talk = ask(line, method, NULL, request_of(request));
    expect_end(talk, GRPC_OK, "");
    struct slice answer = expect_message(talk);
    buf_reset(&kept);
    buf_append_slice(&kept, answer);
    talk_free(talk);
    return buf_slice(&kept);
}

static uint64_t v3_revision(struct slice answer)
{
    return number_of(bytes_of(answer, 1), 3);
}

static struct slice v3_put(const char *key, const char *value, lease_id lease)
{
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    put.key = message_data(slice_str(key));
    put.value = message_data(slice_str(value));
    put.lease = lease;
    return v3(KV "Put", &put.base);
}

static struct slice v3_delete(const char *key, const char *range_end)
{
    Etcdserverpb__DeleteRangeRequest delete =
        ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    delete.key = message_data(slice_str(key));
    delete.range_end = message_data(slice_str(range_end));
    return v3(KV "DeleteRange", &delete.base);
}

static void v3_grant(lease_id id, int64_t ttl_s)
{
    Etcdserverpb__LeaseGrantRequest grant =
        ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    grant.id = id;
    grant.ttl = ttl_s;
    (void)v3(LEASE "LeaseGrant", &grant.base);
}

static void v3_revoke(lease_id id)
{
    Etcdserverpb__LeaseRevokeRequest revoke =
        ETCDSERVERPB__LEASE_REVOKE_REQUEST__INIT;
    revoke.id = id;
    (void)v3(LEASE "LeaseRevoke", &revoke.base);
}

/* "key=value [create,mod,version]" and " lease". */
static void add_pair(struct buf *out, struct slice pair)
{
    buf_append_slice(out, bytes_of(pair, 1));
    buf_append_char(out, '=');
    buf_append_slice(out, bytes_of(pair, 5));
    buf_printf(out, " [%" PRIu64 ",%" PRIu64 ",%" PRIu64 "]%s",
               number_of(pair, 2), number_of(pair, 3), number_of(pair, 4),
               number_of(pair, 6) != 0 ? " lease" : "");
}

/* All keys, a line each. */
static void v3_has(const char *lines)
{
    Etcdserverpb__RangeRequest range = ETCDSERVERPB__RANGE_REQUEST__INIT;
    struct pb_reader reader;
    struct pb_field field;
    struct buf text = {0};
    range.key = message_data(slice_of("\0", 1));
    range.range_end = message_data(slice_of("\0", 1));
    pb_reader_init(&reader, v3(KV "Range", &range.base));
    while (pb_next(&reader, &field)) {
        if (field.number == 2) {
            add_pair(&text, field.bytes);
            buf_append_char(&text, '\n');
        }
    }
    expect(buf_slice(&text), lines);
    buf_deinit(&text);
}

/* Of all keys, with what they were before. */
static struct talk *v3_watch(revision from)
{
    Etcdserverpb__WatchRequest request = ETCDSERVERPB__WATCH_REQUEST__INIT;
    Etcdserverpb__WatchCreateRequest create =
        ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;
    struct talk *talk = talk_open(line, "/etcdserverpb.Watch/Watch", NULL);
    create.key = message_data(slice_of("\0", 1));
    create.range_end = message_data(slice_of("\0", 1));
    create.start_revision = from;
    create.prev_kv = true;
    request.request_union_case =
        ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST;
    request.create_request = &create;
    talk_send(talk, request_of(&request.base), false);
    return talk;
}

static void add_event(struct buf *out, struct slice event)
{
    struct slice kv = bytes_of(event, 2);
    struct slice prev = bytes_of(event, 3);
    if (number_of(event, 1) != 0) {
        buf_printf(out, "DELETE %.*s @%" PRIu64, (int)bytes_of(kv, 1).size,
                   bytes_of(kv, 1).at, number_of(kv, 3));
    } else {
        buf_append_str(out, "PUT ");
        add_pair(out, kv);
    }
    if (prev.size > 0) {
        buf_append_str(out, " was ");
        buf_append_slice(out, bytes_of(prev, 5));
    }
    buf_append_char(out, '\n');
}

/* All that it was told, a line each; it is over then. */
static void v3_told(struct talk *talk, const char *lines)
{
    struct buf text = {0};
    struct slice message;
    bool compressed;
    grpc_world_turn(world);
    while (talk_message(talk, &compressed, &message)) {
        struct pb_reader reader;
        struct pb_field field;
        pb_reader_init(&reader, message);
        while (pb_next(&reader, &field)) {
            if (field.number == 11) {
                add_event(&text, field.bytes);
            }
        }
        talk_next(talk);
    }
    expect(buf_slice(&text), lines);
    buf_deinit(&text);
    talk_free(talk);
}

/* ---- what v3 writes, v2 reads ---------------------------------------- */

static void v2_reads_what_v3_puts(void **state)
{
    (void)state;
    assert_int_equal(v3_revision(v3_put("/a/b", "1", 0)), 2);
    assert_int_equal(v3_revision(v3_put("/a/c/d", "2", 0)), 3);
    v2("GET /a/b", NULL, 200,
       "{\"action\":\"get\",\"node\":{\"key\":\"/a/b\",\"value\":\"1\","
       "\"modifiedIndex\":2,\"createdIndex\":2}}\n");
    /* What has keys below it is a directory, though nobody made it. */
    v2("GET /?recursive=true&sorted=true", NULL, 200,
       "{\"action\":\"get\",\"node\":{\"dir\":true,\"nodes\":[{\"key\":\"/a\","
       "\"dir\":true,\"nodes\":[{\"key\":\"/a/b\",\"value\":\"1\",*},{\"key\":"
       "\"/a/c\",\"dir\":true,\"nodes\":[{\"key\":\"/a/c/d\",\"value\":\"2\","
       "*}]*}]*}]*}}\n");
    v2("GET /a", NULL, 200, "*\"dir\":true,\"nodes\":[*");
    (void)v3_delete("/a/b", "");
    v2("GET /a/b", NULL, 404,
       "{\"errorCode\":100,\"message\":\"Key not found\",\"cause\":\"/a/b\","
       "\"index\":4}\n");
}

static void v2_sees_only_what_begins_with_a_slash(void **state)
{
    (void)state;
    struct client *all = v2_watch("/?wait=true&recursive=true&stream=true");
    (void)v3_put("a", "1", 0);
    (void)v3_put("//b", "1", 0);
    (void)v3_put("/c/", "1", 0);
    v2("GET /?recursive=true", NULL, 200,
       "{\"action\":\"get\",\"node\":{\"dir\":true}}\n");
    v2_told(all, "");
}

static void v2_compares_with_what_v3_wrote(void **state)
{
    (void)state;
    (void)v3_put("/a", "1", 0);
    (void)v3_put("/a", "2", 0);
    v2("PUT /a?prevExist=false", "value=3", 412,
       "{\"errorCode\":105,*\"index\":3}\n");
    v2("PUT /a?prevIndex=2", "value=3", 412, "{\"errorCode\":101,*");
    v2("PUT /a?prevIndex=3", "value=3", 200,
       "{\"action\":\"compareAndSwap\",\"node\":{\"key\":\"/a\",\"value\":"
       "\"3\",\"modifiedIndex\":4,\"createdIndex\":2},\"prevNode\":{*"
       "\"value\":\"2\",*}}\n");
    v2("DELETE /a?prevValue=3", NULL, 200,
       "{\"action\":\"compareAndDelete\",*");
    v3_has("");
}

/* ---- what v3 does, v2's watchers are told ----------------------------- */

static void v2_is_told_what_v3_does(void **state)
{
    (void)state;
    struct client *all = v2_watch("/?wait=true&recursive=true&stream=true");
    struct client *one = v2_watch("/a/b?wait=true");
    (void)v3_put("/other", "1", 0);
    (void)v3_put("/a/b", "1", 0);
    (void)v3_put("/a/b", "2", 0);
    (void)v3_delete("/a/b", "");
    v2_told(one,
            "{\"action\":\"set\",\"node\":{\"key\":\"/a/b\",\"value\":\"1\","
            "\"modifiedIndex\":3,\"createdIndex\":3}}\n");
    v2_told(all,
            "{\"action\":\"set\",\"node\":{\"key\":\"/other\",*}}\n"
            "{\"action\":\"set\",\"node\":{\"key\":\"/a/b\",*}}\n"
            "{\"action\":\"set\",\"node\":{\"key\":\"/a/b\",\"value\":\"2\","
            "\"modifiedIndex\":4,\"createdIndex\":3},\"prevNode\":{\"key\":"
            "\"/a/b\",\"value\":\"1\",\"modifiedIndex\":3,\"createdIndex\":3}}"
            "\n"
            "{\"action\":\"delete\",\"node\":{\"key\":\"/a/b\","
            "\"modifiedIndex\":5,\"createdIndex\":3},\"prevNode\":{\"key\":"
            "\"/a/b\",\"value\":\"2\",*}}\n");
}

/* Each change of a txn by itself, at its one index. */
static void v2_is_told_all_of_a_txn(void **state)
{
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__DeleteRangeRequest delete =
        ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    Etcdserverpb__RequestOp op[2] = {ETCDSERVERPB__REQUEST_OP__INIT,
                                     ETCDSERVERPB__REQUEST_OP__INIT};
    Etcdserverpb__RequestOp *ops[2] = {&op[0], &op[1]};
    Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT;
    (void)state;
    v2("PUT /a", "value=1", 201, "*");
    v2("PUT /b", "value=1", 201, "*");
    struct client *all = v2_watch("/?wait=true&recursive=true&stream=true");
    put.key = message_data(SLICE("/c"));
    delete.key = message_data(SLICE("/a"));
    delete.range_end = message_data(SLICE("/c"));
    op[0].request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
    op[0].request_delete_range = &delete;
    op[1].request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    op[1].request_put = &put;
    txn.n_success = 2;
    txn.success = ops;
    assert_int_equal(v3_revision(v3(KV "Txn", &txn.base)), 4);
    v2_told(all,
            "{\"action\":\"delete\",\"node\":{\"key\":\"/a\",\"modifiedIndex\":"
            "4,*},\"prevNode\":{*\"value\":\"1\",*}}\n"
            "{\"action\":\"delete\",\"node\":{\"key\":\"/b\",\"modifiedIndex\":"
            "4,*},\"prevNode\":{*}}\n"
            "{\"action\":\"set\",\"node\":{\"key\":\"/c\",*\"modifiedIndex\":4,"
            "\"createdIndex\":4}}\n");
}

static void v2_goes_back_to_what_v3_did(void **state)
{
    Etcdserverpb__CompactionRequest compact =
        ETCDSERVERPB__COMPACTION_REQUEST__INIT;
    (void)state;
    (void)v3_put("/a", "1", 0);
    v2("PUT /a", "value=2", 200, "*");
    (void)v3_delete("/a", "");
    v2_told(v2_watch("/a?wait=true&waitIndex=2"),
            "{\"action\":\"set\",\"node\":{\"key\":\"/a\",\"value\":\"1\",*");
    v2_told(v2_watch("/a?wait=true&waitIndex=4"),
            "{\"action\":\"delete\",*\"prevNode\":{*\"value\":\"2\",*}}\n");
    compact.revision = 3;
    compact.physical = true;
    (void)v3(KV "Compact", &compact.base);
    v2("GET /a?wait=true&waitIndex=2", NULL, 400,
       "{\"errorCode\":401,\"message\":\"The event in requested index is "
       "outdated and cleared\",*}\n");
}

/* ---- v3's leases ----------------------------------------------------- */

static void v2_is_told_of_a_lease_that_ends(void **state)
{
    (void)state;
    v3_grant(77, 5);
    v3_grant(78, 60);
    (void)v3_put("/ends", "1", 77);
    (void)v3_put("/revoked", "1", 78);
    /* To v2 it has no TTL: it isn't v2 that keeps it alive. */
    v2("GET /ends", NULL, 200,
       "{\"action\":\"get\",\"node\":{\"key\":\"/ends\",\"value\":\"1\","
       "\"modifiedIndex\":2,\"createdIndex\":2}}\n");
    struct client *all = v2_watch("/?wait=true&recursive=true&stream=true");
    grpc_world_wait(world, 5500);
    v3_revoke(78);
    v2_told(all, "{\"action\":\"expire\",\"node\":{\"key\":\"/ends\","
                 "\"modifiedIndex\":4,\"createdIndex\":2},\"prevNode\":{*}}\n"
                 "{\"action\":\"delete\",\"node\":{\"key\":\"/revoked\","
                 "\"modifiedIndex\":5,*},\"prevNode\":{*}}\n");
    v2("GET /ends", NULL, 404, "{\"errorCode\":100,*");
}

/* What v2 writes says how long it lives: for good, if it says nothing. */
static void what_v2_writes_leaves_its_lease(void **state)
{
    (void)state;
    v3_grant(77, 5);
    (void)v3_put("/a", "1", 77);
    v3_has("/a=1 [2,2,1] lease\n");
    v2("PUT /a", "value=2", 200, "*");
    v3_has("/a=2 [3,3,1]\n");
    grpc_world_wait(world, 6000);
    v2("GET /a", NULL, 200, "*\"value\":\"2\",*");
}

/* ---- what v2 writes, v3 reads ---------------------------------------- */

static void v3_reads_what_v2_writes(void **state)
{
    (void)state;
    v2("PUT /a", "value=1", 201, "*");
    v3_has("/a=1 [2,2,1]\n");
    v2("PUT /a?prevExist=true", "value=2", 200, "{\"action\":\"update\",*");
    v3_has("/a=2 [2,3,2]\n");
    v2("PUT /a?prevValue=2", "value=3", 200,
       "{\"action\":\"compareAndSwap\",*");
    v3_has("/a=3 [2,4,3]\n");
    /* A set begins the key anew. */
    v2("PUT /a", "value=4", 200, "{\"action\":\"set\",*");
    v3_has("/a=4 [5,5,1]\n");
    (void)v3_put("/a", "5", 0);
    v3_has("/a=5 [5,6,2]\n");
    v2("GET /a", NULL, 200, "*\"modifiedIndex\":6,\"createdIndex\":5}}\n");
    v2("DELETE /a", NULL, 200, "*");
    v3_has("");
}

static void v3_sees_no_directories(void **state)
{
    (void)state;
    v2("PUT /d", "dir=true", 201, "*");
    v2("POST /d", "value=1", 201, "*\"key\":\"/d/00000000000000000003\",*");
    v2("POST /d", "value=2", 201, "*");
    v3_has("/d/00000000000000000003=1 [3,3,1]\n"
           "/d/00000000000000000004=2 [4,4,1]\n");
    /* Nor ends one, with all that is in it. */
    assert_int_equal(number_of(v3_delete("/", "0"), 2), 2);
    v2("GET /d", NULL, 200,
       "{\"action\":\"get\",\"node\":{\"key\":\"/d\",\"dir\":true,"
       "\"modifiedIndex\":2,\"createdIndex\":2}}\n");
}

static void v3_compares_with_what_v2_wrote(void **state)
{
    Etcdserverpb__Compare compare = ETCDSERVERPB__COMPARE__INIT;
    Etcdserverpb__Compare *compares[1] = {&compare};
    Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT;
    (void)state;
    v2("PUT /a", "value=1", 201, "*");
    v2("PUT /a?prevExist=true", "value=2", 200, "*");
    txn.n_compare = 1;
    txn.compare = compares;
    compare.key = message_data(SLICE("/a"));
    compare.target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE;
    compare.target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_VALUE;
    compare.value = message_data(SLICE("2"));
    assert_int_equal(number_of(v3(KV "Txn", &txn.base), 2), 1);
    compare.target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD;
    compare.target_union_case =
        ETCDSERVERPB__COMPARE__TARGET_UNION_MOD_REVISION;
    compare.mod_revision = 2;
    assert_int_equal(number_of(v3(KV "Txn", &txn.base), 2), 0);
    compare.mod_revision = 3;
    assert_int_equal(number_of(v3(KV "Txn", &txn.base), 2), 1);
}

/* ---- what v2 does, v3's watchers are told ----------------------------- */

static void v3_is_told_what_v2_does(void **state)
{
    (void)state;
    struct talk *live = v3_watch(0);
    v2("PUT /a", "value=1", 201, "*");
    v2("PUT /a?prevExist=true", "value=2", 200, "*");
    v2("PUT /a", "value=3", 200, "*");
    v2("PUT /d", "dir=true", 201, "*"); /* nothing of v3's */
    v2("DELETE /a?prevValue=3", NULL, 200, "*");
    const char *lines = "PUT /a=1 [2,2,1]\n"
                        "PUT /a=2 [2,3,2] was 1\n"
                        "PUT /a=3 [4,4,1]\n"
                        "DELETE /a @6 was 3\n";
    v3_told(live, lines);
    v3_told(v3_watch(2), lines);
    v3_told(v3_watch(5), "DELETE /a @6 was 3\n");
}

/* All of a directory, in one revision. */
static void v3_is_told_what_a_directory_takes_along(void **state)
{
    (void)state;
    (void)v3_put("/d/a", "1", 0);
    v2("PUT /d/sub/b", "value=2", 201, "*");
    (void)v3_put("/e", "3", 0);
    struct talk *talk = v3_watch(0);
    v2("DELETE /d?recursive=true", NULL, 200, "*");
    v3_told(talk, "DELETE /d/a @5 was 1\nDELETE /d/sub/b @5 was 2\n");
    v3_has("/e=3 [4,4,1]\n");
}

/* ---- v2's TTLs ------------------------------------------------------- */

/* The one lease that there is. */
static lease_id only_lease(void)
{
    Etcdserverpb__LeaseLeasesRequest list =
        ETCDSERVERPB__LEASE_LEASES_REQUEST__INIT;
    struct slice answer = v3(LEASE "LeaseLeases", &list.base);
    assert_int_equal(count_of(answer, 2), 1);
    return (lease_id)number_of(bytes_of(answer, 2), 1);
}

static struct slice time_to_live(lease_id id)
{
    Etcdserverpb__LeaseTimeToLiveRequest request =
        ETCDSERVERPB__LEASE_TIME_TO_LIVE_REQUEST__INIT;
    request.id = id;
    request.keys = true;
    return v3(LEASE "LeaseTimeToLive", &request.base);
}

static void v3_sees_the_lease_of_a_ttl(void **state)
{
    (void)state;
    v2("PUT /a", "value=1&ttl=30", 201, "*\"ttl\":30,*");
    v3_has("/a=1 [2,2,1] lease\n");
    lease_id id = only_lease();
    grpc_world_wait(world, 10000);
    struct slice answer = time_to_live(id);
    assert_in_range(number_of(answer, 3), 19, 20);
    assert_int_equal(number_of(answer, 4), 30);
    expect(bytes_of(answer, 5), "/a");
    struct talk *talk = v3_watch(0);
    grpc_world_wait(world, 21000);
    v3_told(talk, "DELETE /a @3 was 1\n");
    v3_has("");
    assert_true(number_of(time_to_live(id), 3) == UINT64_MAX); /* -1: gone */
}

/* Only who made it keeps it alive; to v3 there is nothing to renew. */
static void v3_does_not_keep_a_ttl_alive(void **state)
{
    Etcdserverpb__LeaseKeepAliveRequest request =
        ETCDSERVERPB__LEASE_KEEP_ALIVE_REQUEST__INIT;
    (void)state;
    v2("PUT /a", "value=1&ttl=5", 201, "*");
    request.id = only_lease();
    struct talk *talk = talk_open(line, LEASE "LeaseKeepAlive", NULL);
    talk_send(talk, request_of(&request.base), false);
    assert_int_equal(number_of(expect_message(talk), 3), 0);
    talk_free(talk);
    v2("PUT /a?prevExist=true", "ttl=5&refresh=true", 200, "*\"ttl\":5,*");
    grpc_world_wait(world, 3000);
    v2("PUT /a?prevExist=true", "ttl=5&refresh=true", 200, "*");
    grpc_world_wait(world, 3000);
    v2("GET /a", NULL, 200, "*\"value\":\"1\",*");
    grpc_world_wait(world, 3000);
    v3_has("");
}

static void v3_may_end_a_ttl(void **state)
{
    (void)state;
    v2("PUT /a", "value=1&ttl=30", 201, "*");
    struct client *all = v2_watch("/?wait=true&recursive=true&stream=true");
    v3_revoke(only_lease());
    v2_told(all, "{\"action\":\"delete\",\"node\":{\"key\":\"/a\",*}}\n");
    v2("PUT /b", "value=1&ttl=5", 201, "*");
    (void)v3_put("/b", "2", 0); /* over it: for good */
    v2("GET /b", NULL, 200,
       "{\"action\":\"get\",\"node\":{\"key\":\"/b\",\"value\":\"2\","
       "\"modifiedIndex\":5,\"createdIndex\":4}}\n");
    grpc_world_wait(world, 6000);
    v3_has("/b=2 [4,5,2]\n");
}

static void the_ttl_of_a_directory_takes_what_v3_put(void **state)
{
    (void)state;
    v2("PUT /d", "dir=true&ttl=5", 201, "*");
    (void)v3_put("/d/a", "1", 0);
    struct talk *talk = v3_watch(0);
    struct client *all = v2_watch("/?wait=true&recursive=true&stream=true");
    grpc_world_wait(world, 6000);
    v3_told(talk, "DELETE /d/a @4 was 1\n");
    v2_told(all, "{\"action\":\"expire\",\"node\":{\"key\":\"/d\",*");
    v3_has("");
}

/* v3's clients can't put their keys under what is another's. */
static void v3_can_not_share_a_ttl(void **state)
{
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    (void)state;
    v2("PUT /a", "value=1&ttl=30", 201, "*");
    put.key = message_data(SLICE("b"));
    put.lease = only_lease();
    struct talk *talk = ask(line, KV "Put", NULL, request_of(&put.base));
    expect_end(talk, GRPC_NOT_FOUND, "etcdserver: requested lease not found");
    talk_free(talk);
}

/* ---- one clock ------------------------------------------------------- */

/* What one has counted, the other goes on from. */
static void an_index_is_a_revision(void **state)
{
    (void)state;
    for (uint64_t i = 2; i < 20; i += 2) {
        char body[64];
        (void)snprintf(body, sizeof(body), "*\"modifiedIndex\":%" PRIu64 ",*",
                       i);
        v2("PUT /a", "value=1", i == 2 ? 201 : 200, body);
        assert_int_equal(v3_revision(v3_put("b", "1", 0)), i + 1);
    }
    struct reply reply =
        world_request(&world->world, "GET", "/v2/keys/a", NULL, NULL);
    expect(reply_header(&reply, "X-Etcd-Index"), "19");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(v2_reads_what_v3_puts),
        TEST(v2_sees_only_what_begins_with_a_slash),
        TEST(v2_compares_with_what_v3_wrote),
        TEST(v2_is_told_what_v3_does),
        TEST(v2_is_told_all_of_a_txn),
        TEST(v2_goes_back_to_what_v3_did),
        TEST(v2_is_told_of_a_lease_that_ends),
        TEST(what_v2_writes_leaves_its_lease),
        TEST(v3_reads_what_v2_writes),
        TEST(v3_sees_no_directories),
        TEST(v3_compares_with_what_v2_wrote),
        TEST(v3_is_told_what_v2_does),
        TEST(v3_is_told_what_a_directory_takes_along),
        TEST(v3_sees_the_lease_of_a_ttl),
        TEST(v3_does_not_keep_a_ttl_alive),
        TEST(v3_may_end_a_ttl),
        TEST(the_ttl_of_a_directory_takes_what_v3_put),
        TEST(v3_can_not_share_a_ttl),
        TEST(an_index_is_a_revision),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
