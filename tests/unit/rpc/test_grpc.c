/* Calls as gRPC brings them: heads, frames, status, time, cancellation. */
#include "grpc_world.h"

static struct grpc_world *world;
static struct line *line;

static int begin(void **state)
{
    (void)state;
    world = grpc_world_new(7);
    line = line_open(world);
    return 0;
}

static int end(void **state)
{
    (void)state;
    grpc_world_free(world);
    return 0;
}

#define PUT "/etcdserverpb.KV/Put"
#define RANGE "/etcdserverpb.KV/Range"
#define REFLECTION "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"

/* ---- the life of a unary call ---------------------------------------- */

static void a_put_is_answered_with_a_header_and_read_back(void **state)
{
    (void)state;
    struct talk *put = ask(line, PUT, NULL, put_request("a", "1"));
    expect_end(put, GRPC_OK, "");
    assert_int_equal(put->status, 200);
    assert_true(
        slice_eq(talk_header(put, "content-type"), SLICE("application/grpc")));
    struct slice header = bytes_of(expect_message(put), 1);
    assert_int_equal(number_of(header, 1), 0xc1);
    assert_int_equal(number_of(header, 2), 0x3e3);
    assert_int_equal(number_of(header, 3), 2);
    assert_int_not_equal(number_of(header, 4), 0);
    struct talk *range = ask(line, RANGE, NULL, range_request("a", ""));
    expect_end(range, GRPC_OK, "");
    struct slice message = expect_message(range);
    assert_int_equal(number_of(bytes_of(message, 1), 3), 2);
    assert_true(slice_eq(bytes_of(bytes_of(message, 2), 5), SLICE("1")));
    assert_int_equal(number_of(message, 4), 1);
}

static void many_calls_share_a_connection(void **state)
{
    enum { CALLS = 64 };
    struct talk *talks[CALLS];
    (void)state;
    for (int i = 0; i < CALLS; i++) {
        talks[i] = talk_open(line, PUT, NULL);
    }
    world->holds_answers = true;
    for (int i = CALLS - 1; i >= 0; i--) {
        talk_send(talks[i], put_request("k", "v"), true);
        assert_false(talks[i]->ended);
    }
    assert_int_equal(rpc_pending(world->rpc), CALLS);
    world->holds_answers = false;
    grpc_world_turn(world);
    for (int i = 0; i < CALLS; i++) {
        expect_end(talks[i], GRPC_OK, "");
        assert_int_equal(number_of(bytes_of(expect_message(talks[i]), 1), 3),
                         2 + CALLS - 1 - i);
    }
    assert_int_equal(rpc_pending(world->rpc), 0);
}

static void the_request_is_taken_before_the_client_ends_it(void **state)
{
    (void)state;
    struct talk *talk = talk_open(line, PUT, NULL);
    talk_send(talk, put_request("a", "1"), false);
    expect_end(talk, GRPC_OK, "");
    assert_int_equal(talk->reset, NGHTTP2_NO_ERROR);
}

static void a_request_in_single_bytes_is_whole(void **state)
{
    (void)state;
    struct slice request = put_request("key", "value");
    char prefix[GRPC_PREFIX_BYTES];
    struct talk *talk = talk_open(line, PUT, NULL);
    grpc_prefix(prefix, request.size, false);
    for (size_t i = 0; i < sizeof(prefix); i++) {
        talk_bytes(talk, slice_of(prefix + i, 1), false);
    }
    for (size_t i = 0; i < request.size; i++) {
        assert_false(talk->ended);
        talk_bytes(talk, slice_of(request.at + i, 1), i + 1 == request.size);
    }
    expect_end(talk, GRPC_OK, "");
    struct talk *range = ask(line, RANGE, NULL, range_request("key", ""));
    assert_true(slice_eq(bytes_of(bytes_of(expect_message(range), 2), 5),
                         SLICE("value")));
}

static void a_client_that_goes_away_leaves_its_write_to_be_done(void **state)
{
    (void)state;
    world->holds_answers = true;
    struct talk *talk = ask(line, PUT, NULL, put_request("a", "1"));
    assert_int_equal(rpc_pending(world->rpc), 1);
    talk_reset(talk);
    world->holds_answers = false;
    grpc_world_turn(world);
    assert_int_equal(rpc_pending(world->rpc), 0);
    struct talk *range = ask(line, RANGE, NULL, range_request("a", ""));
    assert_int_equal(number_of(expect_message(range), 4), 1);
}

static void a_connection_that_breaks_takes_its_calls_with_it(void **state)
{
    (void)state;
    struct line *other = line_open(world);
    world->holds_answers = true;
    (void)ask(other, PUT, NULL, put_request("a", "1"));
    (void)talk_open(other, REFLECTION, NULL);
    line_close(other);
    assert_true(list_is_empty(&world->rpc->calls));
    world->holds_answers = false;
    grpc_world_turn(world);
    assert_int_equal(rpc_pending(world->rpc), 0);
}

/* ---- heads ----------------------------------------------------------- */

static void other_content_types_are_not_calls(void **state)
{
    static const char *const types[] = {"content-type: application/json\n",
                                        "content-type: application/grp\n",
                                        "content-type: application/grpc-web\n",
                                        "content-type: application/grpcx\n"};
    (void)state;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        struct talk *talk = ask(line, PUT, types[i], SLICE(""));
        assert_int_equal(talk->status, 404);
        assert_int_equal(talk->code, -1);
    }
    struct talk *talk = ask(line, PUT, "content-type: application/grpc+proto\n",
                            put_request("a", "1"));
    expect_end(talk, GRPC_OK, "");
    talk = ask(line, PUT, "content-type: application/grpc;x=1\n",
               put_request("a", "1"));
    expect_end(talk, GRPC_OK, "");
}

static void what_there_is_not_is_unimplemented_in_known_words(void **state)
{
    static const struct {
        const char *path;
        const char *text;
    } cases[] = {
        {"/etcdserverpb.KV/Frob",
         "unknown method Frob for service etcdserverpb.KV"},
        {"/etcdserverpb.KVs/Put", "unknown service etcdserverpb.KVs"},
        {"/etcdserverpb.K/Put", "unknown service etcdserverpb.K"},
        {"/Put", "malformed method name: \"/Put\""},
        {"/", "malformed method name: \"/\""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct talk *talk = ask(line, cases[i].path, NULL, SLICE(""));
        expect_end(talk, GRPC_UNIMPLEMENTED, cases[i].text);
        assert_int_equal(talk->status, 200);
    }
}

static void a_call_is_a_post(void **state)
{
    (void)state;
    struct talk *talk = ask(line, PUT, ":method: PUT\n", SLICE(""));
    assert_int_equal(talk->status, 405);
    assert_int_equal(talk->code, GRPC_INTERNAL);
}

static void a_timeout_that_is_none_is_refused(void **state)
{
    (void)state;
    struct talk *talk =
        ask(line, PUT, "grpc-timeout: soon\n", put_request("a", "1"));
    assert_int_equal(talk->status, 400);
    expect_end(talk, GRPC_INTERNAL, "malformed grpc-timeout: \"soon\"");
}

/* ---- frames ---------------------------------------------------------- */

static void too_large_a_message_is_refused_by_its_prefix(void **state)
{
    char prefix[GRPC_PREFIX_BYTES];
    (void)state;
    grpc_prefix(prefix, 3 * 1024 * 1024, false);
    struct talk *talk = talk_open(line, PUT, NULL);
    talk_bytes(talk, slice_of(prefix, sizeof(prefix)), false);
    expect_end(talk, GRPC_RESOURCE_EXHAUSTED,
               "grpc: received message larger than max (3145728 vs. 2097152)");
}

static void a_proposal_over_the_bound_is_too_large(void **state)
{
    (void)state;
    char *value = mem_alloc(1600 * 1024);
    memset(value, 'v', 1600 * 1024);
    value[1600 * 1024 - 1] = '\0';
    struct talk *talk = ask(line, PUT, NULL, put_request("big", value));
    expect_end(talk, GRPC_INVALID_ARGUMENT, "etcdserver: request is too large");
    value[1024 * 1024] = '\0';
    talk = ask(line, PUT, NULL, put_request("big", value));
    expect_end(talk, GRPC_OK, "");
    assert_int_equal(world->rpc->gathered_bytes, 0);
    mem_free(value);
}

static void a_malformed_message_is_said_to_be_so(void **state)
{
    (void)state;
    struct talk *talk = ask(line, PUT, NULL, SLICE("\x0a\xff"));
    assert_int_equal(talk->code, GRPC_INTERNAL);
    assert_true(slice_has_prefix(buf_slice(&talk->text),
                                 SLICE("grpc: error unmarshalling request: ")));
    /* A key is no number. */
    talk = ask(line, PUT, NULL, SLICE("\x08\x01"));
    assert_int_not_equal(talk->code, GRPC_OK);
}

static void a_body_that_breaks_off_is_an_error(void **state)
{
    (void)state;
    struct talk *talk = talk_open(line, PUT, NULL);
    talk_bytes(talk, slice_of("\0\0\0\0\5abc", 8), true);
    expect_end(talk, GRPC_INTERNAL, "unexpected EOF");
    talk = talk_open(line, PUT, NULL);
    talk_bytes(talk, SLICE(""), true);
    expect_end(talk, GRPC_INTERNAL, "grpc: the call has no request message");
    talk = talk_open(line, PUT, NULL);
    talk_bytes(talk, slice_of("\7\0\0\0\0", 5), true);
    expect_end(talk, GRPC_INTERNAL,
               "grpc: failed to read the message: a message's first byte is 7");
    talk = talk_open(line, REFLECTION, NULL);
    talk_bytes(talk, slice_of("\0\0\0", 3), true);
    expect_end(talk, GRPC_INTERNAL, "unexpected EOF");
}

/* ---- compression ----------------------------------------------------- */

static void send_deflated(struct talk *talk, struct slice message)
{
    char prefix[GRPC_PREFIX_BYTES];
    struct buf small = {0};
    grpc_deflate(&small, message);
    grpc_prefix(prefix, small.size, true);
    talk_bytes(talk, slice_of(prefix, sizeof(prefix)), false);
    talk_bytes(talk, buf_slice(&small), true);
    buf_deinit(&small);
}

static void who_compresses_is_answered_so(void **state)
{
    bool compressed;
    struct slice message;
    struct buf plain = {0};
    (void)state;
    put_key(line, "a", "1");
    struct talk *talk = talk_open(line, RANGE, "grpc-encoding: gzip\n");
    send_deflated(talk, range_request("a", ""));
    expect_end(talk, GRPC_OK, "");
    assert_true(slice_eq(talk_header(talk, "grpc-encoding"), SLICE("gzip")));
    assert_true(
        slice_eq(talk_header(talk, "grpc-accept-encoding"), SLICE("gzip")));
    assert_true(talk_message(talk, &compressed, &message));
    assert_true(compressed);
    assert_int_equal(grpc_inflate(&plain, message, 4096), ERR_OK);
    assert_int_equal(number_of(buf_slice(&plain), 4), 1);
    buf_deinit(&plain);
}

static void who_does_not_compress_is_not(void **state)
{
    (void)state;
    struct talk *talk = ask(line, RANGE, "grpc-accept-encoding: gzip\n",
                            range_request("a", ""));
    expect_end(talk, GRPC_OK, "");
    assert_true(slice_eq(talk_header(talk, "grpc-encoding"), SLICE("-")));
    assert_int_equal(talk->got.at[0], 0);
}

static void unknown_compression_is_refused(void **state)
{
    (void)state;
    struct talk *talk =
        ask(line, RANGE, "grpc-encoding: snappy\n", range_request("a", ""));
    expect_end(talk, GRPC_UNIMPLEMENTED,
               "grpc: Decompressor is not installed for grpc-encoding "
               "\"snappy\"");
    assert_true(
        slice_eq(talk_header(talk, "grpc-accept-encoding"), SLICE("gzip")));
    talk = talk_open(line, RANGE, NULL);
    send_deflated(talk, range_request("a", ""));
    expect_end(talk, GRPC_INTERNAL,
               "grpc: compressed flag set with identity or empty encoding");
}

static void a_bomb_is_not_inflated(void **state)
{
    (void)state;
    struct buf zeros = {0};
    memset(buf_extend(&zeros, 8 << 20), 0, 8 << 20);
    struct talk *talk = talk_open(line, PUT, "grpc-encoding: gzip\n");
    send_deflated(talk, buf_slice(&zeros));
    assert_true(talk->ended);
    assert_int_equal(talk->code, GRPC_RESOURCE_EXHAUSTED);
    buf_deinit(&zeros);
}

/* ---- time ------------------------------------------------------------ */

static void a_deadline_ends_the_call_when_it_comes(void **state)
{
    (void)state;
    world->holds_answers = true;
    struct talk *talk =
        ask(line, PUT, "grpc-timeout: 300m\n", put_request("a", "1"));
    struct talk *patient =
        ask(line, PUT, "grpc-timeout: 5S\n", put_request("b", "1"));
    grpc_world_wait(world, 290);
    assert_false(talk->ended);
    grpc_world_wait(world, 20);
    expect_end(talk, GRPC_DEADLINE_EXCEEDED, "context deadline exceeded");
    assert_false(patient->ended);
    world->holds_answers = false;
    grpc_world_turn(world);
    expect_end(patient, GRPC_OK, "");
    assert_int_equal(rpc_deadline_ms(world->rpc), INT64_MAX);
}

static void a_stream_has_a_deadline_too(void **state)
{
    (void)state;
    struct talk *talk = talk_open(line, REFLECTION, "grpc-timeout: 1S\n");
    grpc_world_wait(world, 900);
    assert_false(talk->ended);
    grpc_world_wait(world, 200);
    expect_end(talk, GRPC_DEADLINE_EXCEEDED, "context deadline exceeded");
}

/* ---- streams, flow control ------------------------------------------- */

static void what_is_not_consumed_is_not_sent_again(void **state)
{
    enum { MESSAGES = 4000 };
    (void)state;
    /* Reflection consumes what it has answered: no window runs dry. */
    struct talk *talk = talk_open(line, REFLECTION, NULL);
    for (int i = 0; i < MESSAGES; i++) {
        talk_send(talk, SLICE("\x3a\x01*"), false);
    }
    for (int i = 0; i < MESSAGES; i++) {
        talk_next(talk);
    }
    assert_int_equal(talk->got.size, 0);
    talk_bytes(talk, SLICE(""), true);
    expect_end(talk, GRPC_OK, "");
}

static void large_messages_come_through_small_windows(void **state)
{
    (void)state;
    char *host = mem_alloc(700 * 1024);
    memset(host, 'h', 700 * 1024);
    struct buf message = {0};
    pb_put_bytes(&message, 1, slice_of(host, 700 * 1024));
    pb_put_bytes(&message, 7, SLICE("*"));
    struct talk *talk = talk_open(line, REFLECTION, NULL);
    for (int i = 0; i < 3; i++) {
        talk_send(talk, buf_slice(&message), i == 2);
        talk_next(talk);
    }
    expect_end(talk, GRPC_OK, "");
    buf_deinit(&message);
    mem_free(host);
}

/* Far more than may be gathered: the streams come to their turn one after the
 * other, and all end. */
static void gathered_messages_are_bounded(void **state)
{
    enum { TALKS = 24, VALUE_BYTES = 1400 * 1024 };
    struct talk *talks[TALKS];
    char *value = mem_alloc(VALUE_BYTES);
    struct buf message = {0};
    char prefix[GRPC_PREFIX_BYTES];
    (void)state;
    memset(value, 'v', VALUE_BYTES);
    pb_put_bytes(&message, 1, SLICE("k"));
    pb_put_bytes(&message, 2, slice_of(value, VALUE_BYTES));
    grpc_prefix(prefix, message.size, false);
    struct slice first = slice_of(message.at, message.size - 10);
    for (int i = 0; i < TALKS; i++) {
        talks[i] = talk_open(line, PUT, NULL);
        talk_bytes(talks[i], slice_of(prefix, sizeof(prefix)), false);
        talk_bytes(talks[i], first, false);
        assert_in_range(world->rpc->gathered_bytes, 0,
                        RPC_GATHERED_BYTES_MAX + VALUE_BYTES +
                            TALKS * HTTP2_STREAM_WINDOW_BYTES);
    }
    assert_false(list_is_empty(&world->rpc->withheld));
    for (int i = 0; i < TALKS; i++) {
        talk_bytes(talks[i], slice_of(message.at + first.size, 10), true);
    }
    for (int i = 0; i < TALKS; i++) {
        expect_end(talks[i], GRPC_OK, "");
    }
    assert_true(list_is_empty(&world->rpc->withheld));
    assert_int_equal(world->rpc->gathered_bytes, 0);
    buf_deinit(&message);
    mem_free(value);
}

/* ---- the end --------------------------------------------------------- */

static void a_stop_ends_streams_and_refuses_calls(void **state)
{
    (void)state;
    struct talk *stream = talk_open(line, REFLECTION, NULL);
    struct talk *half = talk_open(line, PUT, NULL);
    world->holds_answers = true;
    struct talk *put = ask(line, PUT, NULL, put_request("a", "1"));
    rpc_stop(world->rpc);
    grpc_world_turn(world);
    expect_end(stream, GRPC_UNAVAILABLE, "etcdserver: server stopped");
    expect_end(half, GRPC_UNAVAILABLE, "etcdserver: server stopped");
    assert_false(put->ended);
    struct talk *late = ask(line, PUT, NULL, put_request("a", "2"));
    expect_end(late, GRPC_UNAVAILABLE, "etcdserver: server stopped");
    world->holds_answers = false;
    grpc_world_turn(world);
    expect_end(put, GRPC_OK, "");
}

/* ---- health, reflection ---------------------------------------------- */

#define HEALTH "/grpc.health.v1.Health/"

static void health_is_told_by_service(void **state)
{
    (void)state;
    struct talk *all = ask(line, HEALTH "Check", NULL, SLICE(""));
    expect_end(all, GRPC_OK, "");
    assert_int_equal(number_of(expect_message(all), 1), 1);
    struct talk *kv = ask(line, HEALTH "Check", NULL,
                          SLICE("\x0a\x0f"
                                "etcdserverpb.KV"));
    expect_end(kv, GRPC_OK, "");
    struct talk *none = ask(line, HEALTH "Check", NULL, SLICE("\x0a\x01x"));
    expect_end(none, GRPC_NOT_FOUND, "unknown service");
    struct talk *watch = ask(line, HEALTH "Watch", NULL, SLICE("\x0a\x01x"));
    assert_false(watch->ended);
    assert_int_equal(number_of(expect_message(watch), 1), 3);
    talk_reset(watch);
    assert_true(list_is_empty(&world->rpc->health_watches));
}

static struct slice reflect(struct talk **talk, struct slice request)
{
    *talk = ask(line, REFLECTION, NULL, request);
    expect_end(*talk, GRPC_OK, "");
    return expect_message(*talk);
}

static void reflection_lists_services_and_finds_their_files(void **state)
{
    struct talk *talk;
    (void)state;
    struct slice list = bytes_of(reflect(&talk, SLICE("\x3a\x01*")), 6);
    assert_in_range(count_of(list, 1), 11, 13);
    struct slice found =
        bytes_of(reflect(&talk, SLICE("\x22\x15"
                                      "etcdserverpb.KV.Range")),
                 4);
    assert_int_equal(count_of(found, 1), 3); /* with what it imports */
    assert_true(
        slice_eq(bytes_of(bytes_of(found, 1), 1), SLICE("proto/rpc.proto")));
    found = bytes_of(reflect(&talk, SLICE("\x22\x1e"
                                          "etcdserverpb.RangeRequest.key1")),
                     7);
    assert_int_equal(number_of(found, 1), GRPC_NOT_FOUND);
    found = bytes_of(reflect(&talk, SLICE("\x22\x1d"
                                          "etcdserverpb.RangeRequest.key")),
                     4);
    assert_int_equal(count_of(found, 1), 3);
    found = bytes_of(reflect(&talk, SLICE("\x1a\x0e"
                                          "proto/kv.proto")),
                     4);
    assert_int_equal(count_of(found, 1), 1);
    found = bytes_of(reflect(&talk, SLICE("\x1a\x01x")), 7);
    assert_true(slice_eq(bytes_of(found, 2), SLICE("not found: x")));
}

static void every_service_has_its_descriptor(void **state)
{
    size_t count;
    const struct method *methods = method__table(&count);
    (void)state;
    for (size_t i = 0; i < count; i++) {
        struct buf request = {0};
        struct talk *talk;
        struct buf symbol = {0};
        buf_append_str(&symbol, methods[i].path + 1);
        for (size_t k = 0; k < symbol.size; k++) {
            symbol.at[k] = symbol.at[k] == '/' ? '.' : symbol.at[k];
        }
        pb_put_bytes(&request, 4, buf_slice(&symbol));
        assert_int_not_equal(count_of(reflect(&talk, buf_slice(&request)), 4),
                             0);
        talk_free(talk);
        buf_deinit(&symbol);
        buf_deinit(&request);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_put_is_answered_with_a_header_and_read_back),
        TEST(many_calls_share_a_connection),
        TEST(the_request_is_taken_before_the_client_ends_it),
        TEST(a_request_in_single_bytes_is_whole),
        TEST(a_client_that_goes_away_leaves_its_write_to_be_done),
        TEST(a_connection_that_breaks_takes_its_calls_with_it),
        TEST(other_content_types_are_not_calls),
        TEST(what_there_is_not_is_unimplemented_in_known_words),
        TEST(a_call_is_a_post),
        TEST(a_timeout_that_is_none_is_refused),
        TEST(too_large_a_message_is_refused_by_its_prefix),
        TEST(a_proposal_over_the_bound_is_too_large),
        TEST(a_malformed_message_is_said_to_be_so),
        TEST(a_body_that_breaks_off_is_an_error),
        TEST(who_compresses_is_answered_so),
        TEST(who_does_not_compress_is_not),
        TEST(unknown_compression_is_refused),
        TEST(a_bomb_is_not_inflated),
        TEST(a_deadline_ends_the_call_when_it_comes),
        TEST(a_stream_has_a_deadline_too),
        TEST(what_is_not_consumed_is_not_sent_again),
        TEST(large_messages_come_through_small_windows),
        TEST(gathered_messages_are_bounded),
        TEST(a_stop_ends_streams_and_refuses_calls),
        TEST(health_is_told_by_service),
        TEST(reflection_lists_services_and_finds_their_files),
        TEST(every_service_has_its_descriptor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
