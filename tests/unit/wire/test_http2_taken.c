/* Taken streams: a make-believe gRPC that gets its request in pieces, holds
 * the client back, and answers with a head, pieces and trailers. */
#include "http2_harness.h"

static struct h2_peer peer;

static int set_up(void **state)
{
    (void)state;
    h2_init(&peer);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    h2_deinit(&peer);
    return 0;
}

static const struct http_header grpc = {
    {"content-type", 12},
    {"application/grpc", 16},
};
static const struct http_header status_ok = {{"grpc-status", 11}, {"0", 1}};

static void expect_trailers(int32_t id, const char *text)
{
    struct buf *trailers = &h2_answer_of(&peer, id)->trailers;
    buf_append_char(trailers, '\0');
    assert_string_equal(trailers->at, text);
    trailers->size--;
}

static void expect_headers(int32_t id, const char *text)
{
    struct buf *headers = &h2_answer_of(&peer, id)->headers;
    buf_append_char(headers, '\0');
    assert_string_equal(headers->at, text);
    headers->size--;
}

static void upload_much(int32_t id, size_t size)
{
    memset(buf_extend(&peer.upload, size), 'x', size);
    nghttp2_session_resume_data(peer.client, id);
    h2_run(&peer);
}

static size_t uploaded(void)
{
    return peer.upload_at;
}

/* ---- the request -------------------------------------------------------- */

static void a_stream_is_offered_with_its_head(void **state)
{
    (void)state;
    int32_t id = h2_open(&peer, "/take/this");
    assert_non_null(peer.taken);
    h2_expect_seen(&peer, "POST /take/this ? [host=h] <>\n");
    h2_upload(&peer, id, "one", false);
    h2_expect_seen(&peer, "data one\n");
    h2_upload(&peer, id, "two", false);
    h2_upload(&peer, id, "three", true);
    h2_expect_seen(&peer, "data two\ndata three\nend\n");
    http_respond(peer.taken, 200, &grpc, 1, SLICE("answer"));
    h2_expect(&peer, id, 200, "answer");
    assert_int_equal(peer.requests, 0);
    assert_int_equal(peer.gone, 0);
}

static void a_request_without_a_body_ends_at_once(void **state)
{
    (void)state;
    int32_t id = h2_get(&peer, "/take");
    h2_expect_seen(&peer, "GET /take ? [host=h] <>\nend\n");
    http_respond(peer.taken, 200, NULL, 0, SLICE(""));
    h2_expect(&peer, id, 200, "");
    id = h2_open(&peer, "/take");
    h2_upload(&peer, id, "", true);
    h2_expect_seen(&peer, "POST /take ? [host=h] <>\nend\n");
    http_respond(peer.taken, 200, NULL, 0, SLICE(""));
    h2_expect(&peer, id, 200, "");
}

static void what_isnt_taken_comes_whole(void **state)
{
    (void)state;
    int32_t id = h2_open(&peer, "/take-not");
    h2_upload(&peer, id, "one ", false);
    assert_int_equal(peer.requests, 0);
    h2_upload(&peer, id, "two", true);
    h2_expect(&peer, id, 200, "POST /take-not ? [host=h] <one two>\n");
    assert_null(peer.taken);
}

static void nobody_takes_without_a_taker(void **state)
{
    (void)state;
    http2_free(peer.http2);
    peer.config.streaming = NULL;
    peer.http2 = http2_new(&peer.config, SLICE("peer"), peer.now_ms);
    struct buf frames = {0};
    nghttp2_session_del(peer.client);
    peer.client = NULL;
    buf_append_str(&frames, NGHTTP2_CLIENT_MAGIC);
    h2_frame(&frames, NGHTTP2_SETTINGS, 0, 0, SLICE(""));
    h2_frame_get(&frames, 1, "/take");
    h2_say(&peer, &frames);
    h2_expect_seen(&peer, "GET /take ? [host=h] <>\n");
    buf_deinit(&frames);
}

static void a_body_has_no_limit_of_ours(void **state)
{
    (void)state;
    peer.config.body_bytes_max = 10;
    h2_connect(&peer);
    int32_t id = h2_open(&peer, "/take");
    upload_much(id, 3 * 1000 * 1000);
    assert_int_equal(uploaded(), 3 * 1000 * 1000);
    assert_int_equal(h2_answer_of(&peer, id)->status, 0);
    h2_upload(&peer, id, "", true);
    http_respond(peer.taken, 200, NULL, 0, SLICE(""));
    h2_expect(&peer, id, 200, "");
}

static void who_doesnt_consume_holds_the_client_back(void **state)
{
    (void)state;
    peer.consumes = false;
    int32_t id = h2_open(&peer, "/take");
    upload_much(id, 200 * 1000);
    assert_int_equal(uploaded(), 65535);
    http2_consume(peer.taken, 40000);
    assert_int_equal(peer.outputs, 1);
    h2_run(&peer);
    assert_int_equal(uploaded(), 65535 + 40000);
    http2_consume(peer.taken, 65535);
    h2_run(&peer);
    assert_int_equal(uploaded(), 65535 + 40000 + 65535);
    peer.consumes = true;
    http2_consume(peer.taken, 65535);
    h2_run(&peer);
    assert_int_equal(uploaded(), 200 * 1000);
    h2_upload(&peer, id, "", true);
    http2_consume(peer.taken, 100); /* of nothing more: nobody minds */
    http_respond(peer.taken, 200, NULL, 0, SLICE(""));
    h2_expect(&peer, id, 200, "");
}

/* More streams than the connection's window has room for are held back, and
 * others get through. */
static void streams_that_are_held_back_stop_no_others(void **state)
{
    (void)state;
    peer.consumes = false;
    for (int i = 0; i < 20; i++) {
        int32_t id = h2_open(&peer, "/take");
        upload_much(id, 100 * 1000);
        assert_int_equal(uploaded(), 65535);
        /* The harness knows one at a time. */
        peer.taken->on_gone = NULL;
    }
    int32_t id = h2_open(&peer, "/size");
    upload_much(id, 500 * 1000);
    assert_int_equal(uploaded(), 500 * 1000);
    h2_upload(&peer, id, "", true);
    h2_expect(&peer, id, 200, "500000");
}

/* ---- the answer --------------------------------------------------------- */

static void an_answer_ends_with_its_trailers(void **state)
{
    (void)state;
    const struct http_header trailers[] = {
        {SLICE("Grpc-Status"), SLICE("0")},
        {SLICE("grpc-message"), SLICE("")},
    };
    peer.date = SLICE("today");
    int32_t id = h2_open(&peer, "/take");
    http_begin(peer.taken, 200, &grpc, 1);
    h2_run(&peer);
    expect_headers(id, "content-type=application/grpc\n");
    http_send(peer.taken, SLICE("one "));
    h2_run(&peer);
    h2_upload(&peer, id, "", true);
    struct refbuf *two = refbuf_dup("two", 3);
    http_send_shared(peer.taken, two);
    refbuf_unref(two);
    http2_trailers(peer.taken, &grpc, 1);
    http2_trailers(peer.taken, trailers, 2);
    http_end(peer.taken);
    h2_expect(&peer, id, 200, "one two");
    expect_trailers(id, "grpc-status=0\ngrpc-message=\n");
    assert_int_equal(h2_answer_of(&peer, id)->heads, 2);
    assert_true(h2_answer_of(&peer, id)->closed);
    assert_int_equal(peer.gone, 0);
}

static void trailers_come_behind_what_a_window_holds_back(void **state)
{
    (void)state;
    peer.reads = false;
    int32_t id = h2_get(&peer, "/take");
    http_begin(peer.taken, 200, &grpc, 1);
    struct buf large = {0};
    memset(buf_extend(&large, 100 * 1000), 'x', 100 * 1000);
    http_send(peer.taken, buf_slice(&large));
    http2_trailers(peer.taken, &status_ok, 1);
    http_end(peer.taken);
    buf_deinit(&large);
    h2_run(&peer);
    assert_int_equal(h2_answer_of(&peer, id)->heads, 1);
    peer.reads = true;
    h2_consume_all(&peer, id, 65535);
    h2_run(&peer);
    assert_int_equal(h2_answer_of(&peer, id)->body.size, 100 * 1000);
    assert_true(h2_answer_of(&peer, id)->ended);
    expect_trailers(id, "grpc-status=0\n");
}

static void a_whole_answer_may_have_trailers(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        int32_t id = h2_get(&peer, "/take");
        http2_trailers(peer.taken, &status_ok, 1);
        http_respond(peer.taken, 200, NULL, 0, i ? SLICE("") : SLICE("x"));
        h2_expect(&peer, id, 200, i ? "" : "x");
        expect_trailers(id, "grpc-status=0\n");
    }
    int32_t id = h2_get(&peer, "/take");
    http2_trailers(peer.taken, &status_ok, 1);
    http2_trailers(peer.taken, NULL, 0);
    http_respond(peer.taken, 200, NULL, 0, SLICE("x"));
    h2_expect(&peer, id, 200, "x");
    assert_int_equal(h2_answer_of(&peer, id)->heads, 1);
}

static void a_producers_answer_may_have_trailers(void **state)
{
    (void)state;
    int32_t id = h2_get(&peer, "/take");
    http_begin(peer.taken, 200, &grpc, 1);
    http2_trailers(peer.taken, &status_ok, 1);
    h2_make(&peer, peer.taken, 5, 60 * 1000, false);
    h2_run(&peer);
    assert_int_equal(h2_answer_of(&peer, id)->body.size, 5 * 60 * 1000);
    assert_true(h2_answer_of(&peer, id)->ended);
    expect_trailers(id, "grpc-status=0\n");
}

static void an_answer_may_be_a_head_alone(void **state)
{
    (void)state;
    int32_t id = h2_get(&peer, "/take-refused");
    h2_expect(&peer, id, 200, "");
    expect_headers(id, "grpc-status=12\n");
    assert_int_equal(h2_answer_of(&peer, id)->heads, 1);
    assert_int_equal(peer.data_frames, 0);
    id = h2_get(&peer, "/take");
    http2_respond_head(peer.taken, 200, &status_ok, 1);
    h2_expect(&peer, id, 200, "");
    expect_headers(id, "grpc-status=0\n");
}

/* The client needn't send the rest. */
static void an_answer_may_come_before_the_end(void **state)
{
    (void)state;
    int32_t id = h2_open(&peer, "/take");
    h2_upload(&peer, id, "one", false);
    http_begin(peer.taken, 200, &grpc, 1);
    http2_trailers(peer.taken, &status_ok, 1);
    http_end(peer.taken);
    h2_expect(&peer, id, 200, "");
    h2_expect_reset(&peer, id, NGHTTP2_NO_ERROR);
    h2_expect_seen(&peer, "POST /take ? [host=h] <>\ndata one\n");
    id = h2_open(&peer, "/take-refused");
    h2_expect(&peer, id, 200, "");
    h2_expect_reset(&peer, id, NGHTTP2_NO_ERROR);
}

/* What comes before the client hears of the end is nobody's. */
static void nothing_is_told_after_the_end(void **state)
{
    (void)state;
    int32_t id = h2_open(&peer, "/take");
    http_respond(peer.taken, 200, NULL, 0, SLICE(""));
    h2_upload(&peer, id, "late", true);
    h2_expect(&peer, id, 200, "");
    h2_expect_seen(&peer, "POST /take ? [host=h] <>\n");
    assert_int_equal(peer.gone, 0);
}

static void both_sides_may_talk_at_once(void **state)
{
    (void)state;
    int32_t id = h2_open(&peer, "/take");
    http_begin(peer.taken, 200, &grpc, 1);
    struct buf expected = {0};
    for (int i = 0; i < 50; i++) {
        char line[16];
        size_t size = u64_to_text((uint64_t)i, line);
        line[size] = '\0';
        h2_upload(&peer, id, line, false);
        http_send(peer.taken, slice_str(line));
        buf_append_str(&expected, line);
        if (i % 7 == 0)
            h2_run(&peer);
    }
    h2_upload(&peer, id, "", true);
    http_end(peer.taken);
    buf_append_char(&expected, '\0');
    h2_expect(&peer, id, 200, expected.at);
    buf_deinit(&expected);
}

static void who_pushed_too_much_is_told_when_it_drained(void **state)
{
    (void)state;
    peer.reads = false;
    int32_t id = h2_get(&peer, "/take");
    http_begin(peer.taken, 200, &grpc, 1);
    struct buf large = {0};
    memset(buf_extend(&large, 400 * 1000), 'x', 400 * 1000);
    http_send(peer.taken, buf_slice(&large));
    buf_deinit(&large);
    h2_run(&peer);
    assert_true(http_unsent(peer.taken) > LIMIT_HTTP_OUT_HIGH_BYTES);
    assert_int_equal(peer.drained, 0);
    peer.reads = true;
    h2_consume_all(&peer, id, 65535);
    h2_run(&peer);
    assert_int_equal(peer.drained, 1);
    assert_int_equal(http_unsent(peer.taken), 0);
}

/* ---- the end before the end --------------------------------------------- */

static void a_cancelled_stream_is_told_of(void **state)
{
    (void)state;
    int32_t id = h2_open(&peer, "/take");
    h2_upload(&peer, id, "one", false);
    http_begin(peer.taken, 200, &grpc, 1);
    h2_cancel(&peer, id);
    h2_expect_seen(&peer, "POST /take ? [host=h] <>\ndata one\ngone\n");
    assert_null(peer.taken);
    id = h2_get(&peer, "/take");
    h2_cancel(&peer, id);
    h2_expect_seen(&peer, "GET /take ? [host=h] <>\nend\ngone\n");
    assert_int_equal(peer.gone, 2);
}

static void a_stream_may_be_reset(void **state)
{
    (void)state;
    int32_t id = h2_open(&peer, "/take");
    http2_reset(peer.taken, NGHTTP2_ENHANCE_YOUR_CALM);
    h2_expect_reset(&peer, id, NGHTTP2_ENHANCE_YOUR_CALM);
    id = h2_get(&peer, "/take");
    http_begin(peer.taken, 200, &grpc, 1);
    http_send(peer.taken, SLICE("half of"));
    http2_reset(peer.taken, NGHTTP2_INTERNAL_ERROR);
    h2_expect_reset(&peer, id, NGHTTP2_INTERNAL_ERROR);
    assert_int_equal(peer.gone, 0);
    assert_int_equal(peer.resets, 2);
}

/* nghttp2 finds the length wrong: the end never comes. */
static void a_body_that_breaks_off_has_no_end(void **state)
{
    (void)state;
    int32_t id = h2_ask(&peer, "POST", "/take", "four", "content-length", "5",
                        (char *)NULL);
    h2_expect_reset(&peer, id, NGHTTP2_PROTOCOL_ERROR);
    h2_expect_seen(&peer, "POST /take ? [content-length=5] [host=h] <>\n"
                          "data four\ngone\n");
}

static void a_connection_that_goes_tells_of_all(void **state)
{
    (void)state;
    h2_get(&peer, "/take");
    http2_input_end(peer.http2);
    assert_int_equal(peer.gone, 1);
    assert_true(h2_is_finished(&peer));
    h2_connect(&peer);
    h2_get(&peer, "/take");
    http2_free(peer.http2);
    peer.http2 = NULL;
    assert_int_equal(peer.gone, 1);
}

/* Neither the body's time nor the answer's. */
static void a_taken_stream_may_take_its_time(void **state)
{
    (void)state;
    peer.reads = false;
    int32_t id = h2_open(&peer, "/take");
    struct buf large = {0};
    memset(buf_extend(&large, 100 * 1000), 'x', 100 * 1000);
    http_begin(peer.taken, 200, &grpc, 1);
    http_send(peer.taken, buf_slice(&large));
    buf_deinit(&large);
    h2_run(&peer);
    assert_int_equal(http2_deadline_ms(peer.http2), INT64_MAX);
    h2_pass(&peer, 24 * 60 * 60 * 1000);
    h2_upload(&peer, id, "late", true);
    peer.reads = true;
    h2_consume_all(&peer, id, 65535);
    http_end(peer.taken);
    h2_run(&peer);
    assert_true(h2_answer_of(&peer, id)->ended);
    assert_int_equal(peer.gone, 0);
}

/* ---- stop --------------------------------------------------------------- */

static void end_with_trailers(struct http_exchange *exchange)
{
    const struct http_header unavailable = {SLICE("grpc-status"), SLICE("14")};
    http2_trailers(exchange, &unavailable, 1);
    http_end(exchange);
    peer.taken = NULL;
}

static void at_a_stop_it_may_end_properly(void **state)
{
    (void)state;
    int32_t id = h2_open(&peer, "/take");
    http_begin(peer.taken, 200, &grpc, 1);
    peer.taken->on_gone = end_with_trailers;
    http2_stop(peer.http2);
    h2_expect(&peer, id, 200, "");
    expect_trailers(id, "grpc-status=14\n");
    h2_expect_away(&peer, NGHTTP2_NO_ERROR, "");
}

static void at_a_stop_it_is_reset_else(void **state)
{
    (void)state;
    int32_t id = h2_get(&peer, "/take");
    http_begin(peer.taken, 200, &grpc, 1);
    http2_stop(peer.http2);
    assert_int_equal(peer.gone, 1);
    h2_expect_reset(&peer, id, NGHTTP2_CANCEL);
    h2_connect(&peer);
    id = h2_open(&peer, "/take");
    http2_stop(peer.http2);
    assert_int_equal(peer.gone, 1);
    h2_expect_reset(&peer, id, NGHTTP2_REFUSED_STREAM);
}

static void at_a_stop_one_at_work_may_answer(void **state)
{
    (void)state;
    int32_t id = h2_get(&peer, "/take");
    http2_stop(peer.http2);
    h2_run(&peer);
    assert_int_equal(peer.gone, 0);
    http_begin(peer.taken, 200, &grpc, 1);
    http_send(peer.taken, SLICE("answer"));
    http2_trailers(peer.taken, &status_ok, 1);
    http_end(peer.taken);
    h2_expect(&peer, id, 200, "answer");
    expect_trailers(id, "grpc-status=0\n");
    h2_pass(&peer, 2 * HTTP2_LINGER_MS);
    assert_true(h2_is_finished(&peer));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_stream_is_offered_with_its_head),
        TEST(a_request_without_a_body_ends_at_once),
        TEST(what_isnt_taken_comes_whole),
        TEST(nobody_takes_without_a_taker),
        TEST(a_body_has_no_limit_of_ours),
        TEST(who_doesnt_consume_holds_the_client_back),
        TEST(streams_that_are_held_back_stop_no_others),
        TEST(an_answer_ends_with_its_trailers),
        TEST(trailers_come_behind_what_a_window_holds_back),
        TEST(a_whole_answer_may_have_trailers),
        TEST(a_producers_answer_may_have_trailers),
        TEST(an_answer_may_be_a_head_alone),
        TEST(an_answer_may_come_before_the_end),
        TEST(nothing_is_told_after_the_end),
        TEST(both_sides_may_talk_at_once),
        TEST(who_pushed_too_much_is_told_when_it_drained),
        TEST(a_cancelled_stream_is_told_of),
        TEST(a_stream_may_be_reset),
        TEST(a_body_that_breaks_off_has_no_end),
        TEST(a_connection_that_goes_tells_of_all),
        TEST(a_taken_stream_may_take_its_time),
        TEST(at_a_stop_it_may_end_properly),
        TEST(at_a_stop_it_is_reset_else),
        TEST(at_a_stop_one_at_work_may_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
