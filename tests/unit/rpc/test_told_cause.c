/* What calls ask for in metadata of our own: watches that are told each
 * change's cause and time, writes that are a recipe's, answers that tell their
 * commit's time. */
#include "gates.h"
#include "grpc_world.h"

#include <stdio.h>
#include <stdlib.h>

#define KV "/etcdserverpb.KV/"
#define WATCH "/etcdserverpb.Watch/Watch"

static struct grpc_world *world;
static struct line *line;

static int begin(void **state)
{
    (void)state;
    world = grpc_world_new(23);
    line = line_open(world);
    return 0;
}

static int end(void **state)
{
    (void)state;
    grpc_world_free(world);
    return 0;
}

/* ---- watches --------------------------------------------------------- */

static struct talk *watch(const char *headers, revision from, bool with_prev)
{
    Etcdserverpb__WatchRequest request = ETCDSERVERPB__WATCH_REQUEST__INIT;
    Etcdserverpb__WatchCreateRequest create =
        ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;
    struct talk *talk = talk_open(line, WATCH, headers);
    struct slice created;
    bool compressed;
    create.key = message_data(SLICE("a"));
    create.range_end = message_data(SLICE("z"));
    create.start_revision = from;
    create.prev_kv = with_prev;
    request.request_union_case =
        ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST;
    request.create_request = &create;
    talk_send(talk, request_of(&request.base), false);
    grpc_world_turn(world);
    assert_true(talk_message(talk, &compressed, &created));
    assert_int_equal(number_of(created, 3), 1);
    talk_next(talk);
    return talk;
}

/* Its next response, which has `count` events; the first of them. */
static struct slice event_of(struct talk *talk, size_t count)
{
    bool compressed;
    struct slice message;
    grpc_world_turn(world);
    assert_true(talk_message(talk, &compressed, &message));
    assert_int_equal(count_of(message, 11), count);
    return bytes_of(message, 11);
}

static void expect_told(struct talk *talk, const char *cause, int64_t time_ns)
{
    struct slice event = event_of(talk, 1);
    assert_true(slice_eq(bytes_of(event, 100), slice_str(cause)));
    assert_int_equal(number_of(event, 101), time_ns);
    talk_next(talk);
}

static int64_t now_ns(void)
{
    return world->world.wall_ns;
}

static void delete_with(const char *headers, const char *key)
{
    Etcdserverpb__DeleteRangeRequest request =
        ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    request.key = message_data(slice_str(key));
    struct talk *talk =
        ask(line, KV "DeleteRange", headers, request_of(&request.base));
    expect_end(talk, GRPC_OK, "");
    talk_free(talk);
}

static void who_asks_is_told_cause_and_time(void **state)
{
    (void)state;
    struct talk *talk = watch("etched-told: cause\n", 0, false);
    int64_t first_ns = now_ns();
    put_key(line, "a", "1");
    expect_told(talk, "put", first_ns);
    grpc_world_wait(world, 1000);
    int64_t second_ns = now_ns();
    assert_true(second_ns > first_ns);
    delete_with(NULL, "a");
    expect_told(talk, "deleteRange", second_ns);
    talk_free(talk);
    /* History tells the same. */
    talk = watch("etched-told: cause\n", 2, false);
    struct slice event = event_of(talk, 2);
    assert_true(slice_eq(bytes_of(event, 100), SLICE("put")));
    assert_int_equal(number_of(event, 101), first_ns);
    talk_free(talk);
}

/* What the event has in front is what others are told, to the byte; and what a
 * key was before goes with it. */
static void others_are_told_what_they_always_were(void **state)
{
    static const char *const others[] = {NULL, "etched-told: time\n",
                                         "etched-told: causes\n"};
    struct talk *plain[3];
    (void)state;
    put_key(line, "a", "1");
    struct talk *told = watch("etched-told: cause\n", 0, true);
    for (size_t i = 0; i < 3; i++) {
        plain[i] = watch(others[i], 0, true);
    }
    put_key(line, "a", "2");
    struct slice long_event = event_of(told, 1);
    assert_int_equal(count_of(long_event, 3), 1);
    for (size_t i = 0; i < 3; i++) {
        struct slice event = event_of(plain[i], 1);
        assert_int_equal(count_of(event, 100) + count_of(event, 101), 0);
        assert_true(slice_has_prefix(long_event, event));
        /* Two bytes of tag, one of length, "put"; two of tag, nine of time. */
        assert_int_equal(long_event.size - event.size, 6 + 11);
        talk_free(plain[i]);
    }
    talk_free(told);
}

/* Whatever the watches ask for, each has its own. */
static void all_kinds_go_side_by_side(void **state)
{
    struct talk *talks[8];
    (void)state;
    put_key(line, "a", "1");
    for (size_t i = 0; i < 8; i++) {
        talks[i] =
            watch(i & 1 ? "etched-told: cause\n" : NULL, i & 4 ? 2 : 0, i & 2);
        if (i & 4) {
            event_of(talks[i], 1);
            talk_next(talks[i]);
        }
    }
    put_key(line, "a", "2");
    for (size_t i = 0; i < 8; i++) {
        struct slice event = event_of(talks[i], 1);
        assert_int_equal(count_of(event, 100), i & 1);
        assert_int_equal(count_of(event, 101), i & 1);
        assert_int_equal(count_of(event, 3), i & 2 ? 1 : 0);
        talk_free(talks[i]);
    }
}

/* ---- a recipe's writes ----------------------------------------------- */

#define BY_RECIPE "etched-cause: recipe\n"

static void put_by_recipe(const char *key, lease_id lease)
{
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    put.key = message_data(slice_str(key));
    put.lease = lease;
    struct talk *talk = ask(line, KV "Put", BY_RECIPE, request_of(&put.base));
    expect_end(talk, GRPC_OK, "");
    talk_free(talk);
}

/* Puts a and deletes b. */
static void txn_by_recipe(void)
{
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__DeleteRangeRequest delete =
        ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    Etcdserverpb__RequestOp op[2] = {ETCDSERVERPB__REQUEST_OP__INIT,
                                     ETCDSERVERPB__REQUEST_OP__INIT};
    Etcdserverpb__RequestOp *ops[2] = {&op[0], &op[1]};
    Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT;
    put.key = message_data(SLICE("a"));
    delete.key = message_data(SLICE("b"));
    op[0].request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    op[0].request_put = &put;
    op[1].request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
    op[1].request_delete_range = &delete;
    txn.n_success = 2;
    txn.success = ops;
    struct talk *talk = ask(line, KV "Txn", BY_RECIPE, request_of(&txn.base));
    expect_end(talk, GRPC_OK, "");
    talk_free(talk);
}

static void what_a_recipe_writes_says_so(void **state)
{
    (void)state;
    put_key(line, "b", "1");
    struct talk *talk = watch("etched-told: cause\n", 0, false);
    put_by_recipe("a", 0);
    expect_told(talk, "recipe", now_ns());
    txn_by_recipe();
    struct slice event = event_of(talk, 2);
    assert_true(slice_eq(bytes_of(event, 100), SLICE("recipe")));
    talk_next(talk);
    delete_with(BY_RECIPE, "a");
    expect_told(talk, "recipe", now_ns());
    /* The next one's is its own again. */
    put_key(line, "a", "2");
    expect_told(talk, "put", now_ns());
    talk_free(talk);
}

static void a_lease_that_ends_is_no_recipe(void **state)
{
    Etcdserverpb__LeaseGrantRequest grant =
        ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    (void)state;
    grant.id = 7;
    grant.ttl = 2;
    struct talk *talk = ask(line, "/etcdserverpb.Lease/LeaseGrant", NULL,
                            request_of(&grant.base));
    expect_end(talk, GRPC_OK, "");
    talk_free(talk);
    talk = watch("etched-told: cause\n", 0, false);
    put_by_recipe("a", 7);
    expect_told(talk, "recipe", now_ns());
    grpc_world_wait(world, 3000);
    struct slice event = event_of(talk, 1);
    assert_true(slice_eq(bytes_of(event, 100), SLICE("expire")));
    talk_free(talk);
}

static void another_cause_is_refused(void **state)
{
    static const char *const others[] = {
        "etched-cause: put\n", "etched-cause: Recipe\n", "etched-cause: \n"};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct talk *talk =
            ask(line, KV "Put", others[i], put_request("a", "1"));
        expect_end(talk, GRPC_INVALID_ARGUMENT,
                   "etched: etched-cause can only be \"recipe\"");
        talk_free(talk);
    }
    assert_int_equal(world_revision(&world->world), 1);
}

/* ---- the time of an answer ------------------------------------------- */

static int64_t time_of(struct talk *talk)
{
    struct slice text = talk_header(talk, "etched-time");
    int64_t time_ns;
    expect_end(talk, GRPC_OK, "");
    assert_true(slice_to_i64(text, &time_ns));
    talk_free(talk);
    return time_ns;
}

static struct talk *range_with(const char *headers)
{
    return ask(line, KV "Range", headers, range_request("a", ""));
}

static void an_answer_tells_its_time(void **state)
{
    const char *asked = "etched-told: time\n";
    (void)state;
    int64_t put_ns = now_ns();
    assert_int_equal(time_of(ask(line, KV "Put", asked, put_request("a", "1"))),
                     put_ns);
    grpc_world_wait(world, 500);
    /* A read's is that of what it has read, and so is a delete's of nothing. */
    assert_int_equal(time_of(range_with(asked)), put_ns);
    Etcdserverpb__DeleteRangeRequest none =
        ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    none.key = message_data(SLICE("none"));
    assert_int_equal(
        time_of(ask(line, KV "DeleteRange", asked, request_of(&none.base))),
        put_ns);
    Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT;
    assert_int_equal(time_of(ask(line, KV "Txn", asked, request_of(&txn.base))),
                     put_ns);
    int64_t delete_ns = now_ns();
    none.key = message_data(SLICE("a"));
    assert_int_equal(
        time_of(ask(line, KV "DeleteRange", asked, request_of(&none.base))),
        delete_ns);
    assert_true(delete_ns > put_ns);
}

/* Also where its message is made in pieces. */
static void a_long_answer_tells_its_time(void **state)
{
    enum { LARGE = 700 * 1024 };
    char *value = calloc(1, LARGE + 1);
    (void)state;
    memset(value, 'v', LARGE);
    put_key(line, "a", value);
    put_key(line, "b", value);
    free(value);
    assert_int_equal(time_of(ask(line, KV "Range", "etched-told: time\n",
                                 range_request("a", "c"))),
                     now_ns());
}

static void nobody_else_is_told_the_time(void **state)
{
    (void)state;
    put_key(line, "a", "1");
    struct talk *talk = range_with(NULL);
    assert_true(slice_eq(talk_header(talk, "etched-time"), SLICE("-")));
    talk_free(talk);
    talk = range_with("etched-told: cause\n");
    assert_true(slice_eq(talk_header(talk, "etched-time"), SLICE("-")));
    talk_free(talk);
    talk = ask(line, KV "Range", "etched-told: time\n", SLICE(""));
    expect_end(talk, GRPC_INVALID_ARGUMENT, "etcdserver: key is not provided");
    assert_true(slice_eq(talk_header(talk, "etched-time"), SLICE("-")));
    talk_free(talk);
}

/* ---- over JSON, and on every member ---------------------------------- */

/* Written through a follower, told by the leader and by the other one. */
static void every_member_tells_the_same(void **state)
{
    struct ask *told[3];
    (void)state;
    struct gates *gates = gates_new(3, 0);
    for (size_t i = 0; i < 3; i++) {
        told[i] =
            gate_ask(gates, i, HTTP_POST, "/v3/watch", "Etched-Told: cause\n",
                     "{\"create_request\":{\"key\":\"YQ==\"}}");
    }
    struct ask *put =
        gate_ask(gates, gates_follower(gates), HTTP_POST, "/v3/kv/put",
                 "Grpc-Metadata-Etched-Cause: recipe\n"
                 "Grpc-Metadata-Etched-Told: time\n",
                 "{\"key\":\"YQ==\",\"value\":\"eA==\"}");
    gates_run(gates, 500);
    ask_expect(put, 200, "{*}");
    buf_append_char(&put->answer_headers, '\0');
    assert_non_null(strstr(put->answer_headers.at, "Etched-Time: 17"));
    for (size_t i = 0; i < 3; i++) {
        ask_expect(told[i], 200,
                   "{\"result\":{*\"created\":true}}\n"
                   "{\"result\":{*\"events\":[{\"kv\":{*},"
                   "\"cause\":\"recipe\",\"time_unix_nanos\":\"17*\"}]}}\n");
        ask_free(told[i]);
    }
    ask_free(put);
    gates_free(gates);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(who_asks_is_told_cause_and_time),
        TEST(others_are_told_what_they_always_were),
        TEST(all_kinds_go_side_by_side),
        TEST(what_a_recipe_writes_says_so),
        TEST(a_lease_that_ends_is_no_recipe),
        TEST(another_cause_is_refused),
        TEST(an_answer_tells_its_time),
        TEST(a_long_answer_tells_its_time),
        TEST(nobody_else_is_told_the_time),
        cmocka_unit_test(every_member_tells_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
