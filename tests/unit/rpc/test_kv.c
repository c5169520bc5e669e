/* etcdserverpb.KV as its clients see it: what is answered, in what pieces, and
 * at what cost of memory. What the requests mean is txn/'s to show. */
#include "grpc_world.h"

#include <stdio.h>

static struct grpc_world *world;
static struct line *line;

static int begin(void **state)
{
    (void)state;
    world = grpc_world_new(11);
    line = line_open(world);
    return 0;
}

static int end(void **state)
{
    (void)state;
    grpc_world_free(world);
    return 0;
}

#define KV "/etcdserverpb.KV/"

static uint64_t revision_of(struct slice message)
{
    return number_of(bytes_of(message, 1), 3);
}

/* ---- what is refused before it is proposed --------------------------- */

static void what_is_not_well_formed_is_not_proposed(void **state)
{
    (void)state;
    struct talk *talk = ask(line, KV "Put", NULL, SLICE(""));
    expect_end(talk, GRPC_INVALID_ARGUMENT, "etcdserver: key is not provided");
    talk = ask(line, KV "Range", NULL, SLICE(""));
    expect_end(talk, GRPC_INVALID_ARGUMENT, "etcdserver: key is not provided");
    talk = ask(line, KV "DeleteRange", NULL, SLICE(""));
    expect_end(talk, GRPC_INVALID_ARGUMENT, "etcdserver: key is not provided");
    talk = ask(line, KV "RangeStream", NULL, SLICE(""));
    expect_end(talk, GRPC_INVALID_ARGUMENT, "etcdserver: key is not provided");
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    put.key = message_data(SLICE("a"));
    put.value = message_data(SLICE("b"));
    put.ignore_value = true;
    talk = ask(line, KV "Put", NULL, request_of(&put.base));
    expect_end(talk, GRPC_INVALID_ARGUMENT, "etcdserver: value is provided");
    assert_int_equal(world_revision(&world->world), 1);
}

static void every_field_of_a_put_is_read(void **state)
{
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    (void)state;
    put_key(line, "a", "1");
    put.key = message_data(SLICE("a"));
    put.prev_kv = true;
    put.ignore_value = true;
    put.ignore_lease = true;
    struct talk *talk = ask(line, KV "Put", NULL, request_of(&put.base));
    expect_end(talk, GRPC_OK, "");
    struct slice prev = bytes_of(expect_message(talk), 2);
    assert_true(slice_eq(bytes_of(prev, 5), SLICE("1")));
    put.ignore_lease = false;
    put.lease = 77;
    talk = ask(line, KV "Put", NULL, request_of(&put.base));
    expect_end(talk, GRPC_NOT_FOUND, "etcdserver: requested lease not found");
}

static void a_field_that_is_unknown_is_passed_over(void **state)
{
    (void)state;
    struct talk *talk = ask(line, KV "Put", NULL,
                            SLICE("\x0a\x01"
                                  "a\x12\x01"
                                  "1\xa2\x06\x03"
                                  "xyz"));
    expect_end(talk, GRPC_OK, "");
    talk = ask(line, KV "Range", NULL,
               SLICE("\x0a\x01"
                     "a\xa0\x06\x07"));
    assert_int_equal(number_of(expect_message(talk), 4), 1);
}

/* ---- deletes and transactions ---------------------------------------- */

static void a_delete_says_how_many(void **state)
{
    Etcdserverpb__DeleteRangeRequest delete =
        ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    (void)state;
    put_key(line, "a", "1");
    put_key(line, "b", "2");
    delete.key = message_data(SLICE("a"));
    delete.range_end = message_data(SLICE("c"));
    delete.prev_kv = true;
    struct talk *talk =
        ask(line, KV "DeleteRange", NULL, request_of(&delete.base));
    expect_end(talk, GRPC_OK, "");
    struct slice message = expect_message(talk);
    assert_int_equal(number_of(message, 2), 2);
    assert_int_equal(count_of(message, 3), 2);
    assert_int_equal(revision_of(message), 4);
}

static struct slice txn_request(bool writes)
{
    static Etcdserverpb__RangeRequest range;
    static Etcdserverpb__PutRequest put;
    static Etcdserverpb__RequestOp op;
    static Etcdserverpb__RequestOp *ops[1] = {&op};
    static Etcdserverpb__TxnRequest txn;
    etcdserverpb__range_request__init(&range);
    etcdserverpb__put_request__init(&put);
    etcdserverpb__request_op__init(&op);
    etcdserverpb__txn_request__init(&txn);
    range.key = message_data(SLICE("a"));
    put.key = message_data(SLICE("a"));
    put.value = message_data(SLICE("t"));
    if (writes) {
        op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
        op.request_put = &put;
    } else {
        op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
        op.request_range = &range;
    }
    txn.n_success = 1;
    txn.success = ops;
    return request_of(&txn.base);
}

static void a_txn_that_only_reads_is_a_read(void **state)
{
    struct node_progress before;
    struct node_progress after;
    (void)state;
    put_key(line, "a", "1");
    node_progress(world->world.node, &before);
    struct talk *talk = ask(line, KV "Txn", NULL, txn_request(false));
    expect_end(talk, GRPC_OK, "");
    node_progress(world->world.node, &after);
    assert_int_equal(after.applied, before.applied);
    struct slice message = expect_message(talk);
    assert_int_equal(number_of(message, 2), 1);
    assert_int_equal(revision_of(message), 2);
    struct slice inner = bytes_of(bytes_of(message, 3), 1);
    assert_int_equal(number_of(inner, 4), 1);
    talk = ask(line, KV "Txn", NULL, txn_request(true));
    expect_end(talk, GRPC_OK, "");
    assert_int_equal(revision_of(expect_message(talk)), 3);
}

static void a_txn_has_no_more_operations_than_it_may(void **state)
{
    (void)state;
    world->shared.txn_ops_max = 0;
    struct talk *talk = ask(line, KV "Txn", NULL, txn_request(true));
    expect_end(talk, GRPC_INVALID_ARGUMENT,
               "etcdserver: too many operations in txn request");
}

/* ---- ranges ---------------------------------------------------------- */

static void put_many(int count, size_t value_bytes)
{
    char key[16];
    char *value = mem_alloc(value_bytes + 1);
    memset(value, 'v', value_bytes);
    value[value_bytes] = '\0';
    for (int i = 0; i < count; i++) {
        (void)snprintf(key, sizeof(key), "k%05d", i);
        put_key(line, key, value);
    }
    mem_free(value);
}

static void the_numbers_of_a_range_are_read(void **state)
{
    Etcdserverpb__RangeRequest range = ETCDSERVERPB__RANGE_REQUEST__INIT;
    (void)state;
    put_many(5, 1);
    range.key = message_data(SLICE("k"));
    range.range_end = message_data(SLICE("l"));
    range.limit = 2;
    range.keys_only = true;
    struct talk *talk = ask(line, KV "Range", NULL, request_of(&range.base));
    struct slice message = expect_message(talk);
    assert_int_equal(count_of(message, 2), 2);
    assert_int_equal(number_of(message, 3), 1);
    assert_int_equal(number_of(message, 4), 5);
    assert_int_equal(bytes_of(bytes_of(message, 2), 5).size, 0);
    range.count_only = true;
    talk = ask(line, KV "Range", NULL, request_of(&range.base));
    assert_int_equal(count_of(expect_message(talk), 2), 0);
    range.count_only = false;
    range.revision = 3;
    range.serializable = true;
    talk = ask(line, KV "Range", NULL, request_of(&range.base));
    message = expect_message(talk);
    assert_int_equal(number_of(message, 4), 2);
    assert_int_equal(revision_of(message), 6);
    range.revision = 0;
    range.sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND;
    talk = ask(line, KV "Range", NULL, request_of(&range.base));
    assert_true(slice_eq(bytes_of(bytes_of(expect_message(talk), 2), 1),
                         SLICE("k00004")));
    range.revision = 100;
    talk = ask(line, KV "Range", NULL, request_of(&range.base));
    expect_end(talk, GRPC_OUT_OF_RANGE,
               "etcdserver: mvcc: required revision is a future revision");
}

static void a_long_range_is_one_message_in_bounded_memory(void **state)
{
    (void)state;
    put_many(400, 16 * 1024);
    struct line *slow = line_open(world);
    slow->is_slow = true;
    struct talk *talk = ask(slow, KV "Range", NULL, range_request("k", "l"));
    assert_false(talk->ended);
    for (int i = 0; i < 200 && !talk->ended; i++) {
        line_read(slow, 64 * 1024);
        grpc_world_turn(world);
    }
    expect_end(talk, GRPC_OK, "");
    struct slice message = expect_message(talk);
    assert_int_equal(count_of(message, 2), 400);
    assert_int_equal(number_of(message, 4), 400);
    assert_int_equal(revision_of(message), 401);
    assert_in_range(slow->held_max, 1, 1024 * 1024);
}

static void who_leaves_a_long_range_leaves_nothing_behind(void **state)
{
    (void)state;
    put_many(200, 16 * 1024);
    struct line *slow = line_open(world);
    slow->is_slow = true;
    struct talk *talk = ask(slow, KV "Range", NULL, range_request("k", "l"));
    line_read(slow, 64 * 1024);
    talk_reset(talk);
    assert_true(list_is_empty(&world->rpc->calls));
    talk = ask(slow, KV "RangeStream", NULL, range_request("k", "l"));
    line_read(slow, 64 * 1024);
    line_close(slow);
    assert_true(list_is_empty(&world->rpc->calls));
}

static void a_deadline_breaks_a_long_range_off(void **state)
{
    (void)state;
    put_many(200, 16 * 1024);
    struct line *slow = line_open(world);
    slow->is_slow = true;
    struct talk *talk =
        ask(slow, KV "Range", "grpc-timeout: 1S\n", range_request("k", "l"));
    line_read(slow, 64 * 1024);
    grpc_world_wait(world, 1100);
    slow->is_slow = false;
    grpc_world_turn(world);
    assert_true(talk->ended);
    assert_int_equal(talk->reset, NGHTTP2_CANCEL);
    assert_int_equal(talk->code, -1);
}

static void a_compaction_overtakes_a_slow_reader(void **state)
{
    (void)state;
    put_many(200, 16 * 1024);
    struct line *slow = line_open(world);
    slow->is_slow = true;
    struct talk *talk = ask(slow, KV "Range", NULL, range_request("k", "l"));
    struct talk *stream =
        ask(slow, KV "RangeStream", NULL, range_request("k", "l"));
    line_read(slow, 64 * 1024);
    put_many(200, 1);
    world_compact(&world->world, 400);
    slow->is_slow = false;
    grpc_world_turn(world);
    assert_true(talk->ended);
    assert_int_equal(talk->reset, NGHTTP2_INTERNAL_ERROR);
    expect_end(stream, GRPC_OUT_OF_RANGE,
               "etcdserver: mvcc: required revision has been compacted");
}

/* ---- streamed ranges ------------------------------------------------- */

/* The header, the count and "more" stand in the last chunk alone; the first
 * has ten keys. */
static void a_streamed_range_comes_in_chunks(void **state)
{
    bool compressed;
    struct slice message;
    size_t keys = 0;
    size_t chunks = 0;
    (void)state;
    put_many(300, 8 * 1024);
    struct talk *talk =
        ask(line, KV "RangeStream", NULL, range_request("k", "l"));
    expect_end(talk, GRPC_OK, "");
    while (talk_message(talk, &compressed, &message)) {
        struct slice chunk = bytes_of(message, 1);
        bool last = talk->got.size == GRPC_PREFIX_BYTES + message.size;
        size_t count = count_of(chunk, 2);
        assert_int_equal(count_of(chunk, 1), last ? 1 : 0);
        assert_int_equal(number_of(chunk, 4), last ? 300 : 0);
        assert_true(chunks > 0 || count == 10);
        keys += count;
        chunks++;
        talk_next(talk);
    }
    assert_int_equal(keys, 300);
    assert_in_range(chunks, 4, 10);
}

static void an_empty_range_streams_one_chunk(void **state)
{
    (void)state;
    struct talk *talk =
        ask(line, KV "RangeStream", NULL, range_request("k", "l"));
    expect_end(talk, GRPC_OK, "");
    assert_int_equal(revision_of(bytes_of(expect_message(talk), 1)), 1);
}

static void a_slow_reader_is_not_streamed_ahead_of(void **state)
{
    (void)state;
    put_many(600, 8 * 1024);
    struct line *slow = line_open(world);
    slow->is_slow = true;
    struct talk *talk =
        ask(slow, KV "RangeStream", NULL, range_request("k", "l"));
    struct call *call = CONTAINER_OF(world->rpc->calls.next, struct call, link);
    size_t unsent_max = 0;
    for (int i = 0; i < 400 && !talk->ended; i++) {
        if (!list_is_empty(&world->rpc->calls)) {
            size_t unsent = call__unsent(call);
            unsent_max = unsent > unsent_max ? unsent : unsent_max;
        }
        line_read(slow, 32 * 1024);
        grpc_world_turn(world);
    }
    expect_end(talk, GRPC_OK, "");
    assert_in_range(unsent_max, 1, 1024 * 1024);
}

/* ---- as of a time ---------------------------------------------------- */

static void a_range_is_as_of_a_time(void **state)
{
    (void)state;
    put_key(line, "a", "old");
    grpc_world_wait(world, 10000);
    put_key(line, "a", "new");
    struct talk *talk =
        ask(line, KV "Range", "etched-at: 2026-01-01T00:00:05Z\n",
            range_request("a", ""));
    expect_end(talk, GRPC_OK, "");
    struct slice message = expect_message(talk);
    assert_true(slice_eq(bytes_of(bytes_of(message, 2), 5), SLICE("old")));
    assert_int_equal(revision_of(message), 3);
    talk = ask(line, KV "RangeStream", "etched-at: 2026-01-01T00:00:05Z\n",
               range_request("a", ""));
    message = bytes_of(expect_message(talk), 1);
    assert_true(slice_eq(bytes_of(bytes_of(message, 2), 5), SLICE("old")));
}

static void a_time_that_is_none_is_refused(void **state)
{
    (void)state;
    put_key(line, "a", "1");
    struct talk *talk =
        ask(line, KV "Range", "etched-at: noon\n", range_request("a", ""));
    expect_end(talk, GRPC_INVALID_ARGUMENT,
               "etched: etched-at is no time of RFC 3339");
    talk = ask(line, KV "Range", "etched-at: 1999-01-01T00:00:00Z\n",
               range_request("a", ""));
    expect_end(talk, GRPC_INVALID_ARGUMENT,
               "etched: nothing was committed before etched-at");
    Etcdserverpb__RangeRequest range = ETCDSERVERPB__RANGE_REQUEST__INIT;
    range.key = message_data(SLICE("a"));
    range.revision = 1;
    talk = ask(line, KV "Range", "etched-at: 2026-01-01T00:00:05Z\n",
               request_of(&range.base));
    expect_end(talk, GRPC_INVALID_ARGUMENT,
               "etched: etched-at and a revision exclude each other");
}

/* ---- compaction ------------------------------------------------------ */

static struct talk *compact(int64_t at, bool physical)
{
    Etcdserverpb__CompactionRequest compact =
        ETCDSERVERPB__COMPACTION_REQUEST__INIT;
    compact.revision = at;
    compact.physical = physical;
    return ask(line, KV "Compact", NULL, request_of(&compact.base));
}

static void a_compaction_is_told_what_came_of_it(void **state)
{
    (void)state;
    put_many(20, 1);
    struct talk *talk = compact(10, false);
    expect_end(talk, GRPC_OK, "");
    assert_int_equal(revision_of(expect_message(talk)), 21);
    talk = compact(10, false);
    expect_end(talk, GRPC_OUT_OF_RANGE,
               "etcdserver: mvcc: required revision has been compacted");
    talk = compact(100, false);
    expect_end(talk, GRPC_OUT_OF_RANGE,
               "etcdserver: mvcc: required revision is a future revision");
    talk = compact(15, true);
    grpc_world_wait(world, 100);
    expect_end(talk, GRPC_OK, "");
    assert_true(list_is_empty(&world->rpc->compactions));
}

/* ---- without a leader ------------------------------------------------ */

static void a_member_alone_has_a_leader(void **state)
{
    (void)state;
    struct talk *talk =
        ask(line, KV "Range", "hasleader: true\n", range_request("a", ""));
    expect_end(talk, GRPC_OK, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_not_well_formed_is_not_proposed),
        TEST(every_field_of_a_put_is_read),
        TEST(a_field_that_is_unknown_is_passed_over),
        TEST(a_delete_says_how_many),
        TEST(a_txn_that_only_reads_is_a_read),
        TEST(a_txn_has_no_more_operations_than_it_may),
        TEST(the_numbers_of_a_range_are_read),
        TEST(a_long_range_is_one_message_in_bounded_memory),
        TEST(who_leaves_a_long_range_leaves_nothing_behind),
        TEST(a_deadline_breaks_a_long_range_off),
        TEST(a_compaction_overtakes_a_slow_reader),
        TEST(a_streamed_range_comes_in_chunks),
        TEST(an_empty_range_streams_one_chunk),
        TEST(a_slow_reader_is_not_streamed_ahead_of),
        TEST(a_range_is_as_of_a_time),
        TEST(a_time_that_is_none_is_refused),
        TEST(a_compaction_is_told_what_came_of_it),
        TEST(a_member_alone_has_a_leader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
