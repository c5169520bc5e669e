/* Slow peers over HTTP/2, by a clock that the test turns, and the server's
 * stop. The limits are the harness's: idle 60 s, head 1 s, body 5 s, stall
 * 3 s. */
#include "http2_harness.h"

static struct h2_peer peer;
static struct buf frames;

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
    buf_deinit(&frames);
    return 0;
}

static void expect_left(int64_t ms)
{
    assert_int_equal(http2_deadline_ms(peer.http2) - peer.now_ms, ms);
}

/* ---- between requests --------------------------------------------------- */

static void an_idle_connection_ends_with_a_word(void **state)
{
    (void)state;
    expect_left(60 * 1000);
    h2_pass(&peer, 60 * 1000 - 1);
    h2_run(&peer);
    assert_false(peer.went_away);
    h2_pass(&peer, 1);
    h2_expect_away(&peer, NGHTTP2_NO_ERROR, "");
    assert_false(h2_is_finished(&peer));
    expect_left(HTTP2_LINGER_MS);
    h2_pass(&peer, HTTP2_LINGER_MS);
    assert_true(h2_is_finished(&peer));
    assert_int_equal(http2_deadline_ms(peer.http2), INT64_MAX);
}

static void what_happens_begins_the_idle_time_anew(void **state)
{
    (void)state;
    h2_pass(&peer, 30 * 1000);
    h2_expect(&peer, h2_get(&peer, "/big/1"), 200, "b");
    expect_left(60 * 1000);
    h2_pass(&peer, 30 * 1000);
    h2_ping(&peer);
    h2_run(&peer);
    expect_left(60 * 1000);
    assert_int_equal(peer.pongs, 1);
}

static void an_open_stream_is_not_idle(void **state)
{
    (void)state;
    int32_t id = h2_get(&peer, "/watch");
    h2_run(&peer);
    expect_left(INT64_MAX - peer.now_ms);
    h2_pass(&peer, 24 * 60 * 60 * 1000);
    http_end(h2_held(&peer));
    h2_expect(&peer, id, 200, "");
    /* Its end had an old time; the first look makes it the right one. */
    h2_pass(&peer, 1);
    expect_left(60 * 1000 - 1);
    assert_false(peer.went_away);
}

/* ---- heads and bodies --------------------------------------------------- */

static void a_peer_that_says_nothing_is_not_waited_for(void **state)
{
    (void)state;
    http2_free(peer.http2);
    peer.http2 = http2_new(&peer.config, SLICE("peer"), peer.now_ms);
    h2_run_out(&peer, SIZE_MAX);
    expect_left(1000);
    for (size_t i = 0; i < 9; i++) {
        h2_input(&peer, slice_of(&NGHTTP2_CLIENT_MAGIC[i], 1));
        h2_pass(&peer, 100);
    }
    expect_left(100);
    h2_pass(&peer, 100);
    h2_expect_away(&peer, NGHTTP2_PROTOCOL_ERROR, "too slow");
}

static void a_head_that_comes_slowly(void **state)
{
    (void)state;
    h2_connect_raw(&peer);
    h2_frame_get(&frames, 1, "/minded");
    h2_say(&peer, &frames);
    h2_frame_get(&frames, 3, "/size");
    h2_input(&peer, slice_of(frames.at, frames.size - 3));
    expect_left(1000);
    h2_pass(&peer, 999);
    h2_input(&peer, slice_of(frames.at + frames.size - 3, 2));
    expect_left(1);
    h2_pass(&peer, 1);
    h2_run(&peer);
    assert_int_equal(h2_raw_away(&peer), NGHTTP2_PROTOCOL_ERROR);
    assert_int_equal(peer.gone, 1);
}

static void a_head_that_is_malformed_is_done_with(void **state)
{
    (void)state;
    static const char *const wrong[] = {"Upper", "connection", ":late"};
    for (size_t i = 0; i < 3; i++) {
        const char *const pairs[] = {":method", "GET", wrong[i], "1", "a", "b"};
        struct buf head = {0};
        h2_connect_raw(&peer);
        h2_head(&head, pairs, 3);
        h2_frame(&frames, NGHTTP2_HEADERS,
                 NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1,
                 buf_slice(&head));
        buf_deinit(&head);
        h2_say(&peer, &frames);
        h2_run(&peer);
        assert_int_equal(h2_raw_reset(&peer, 1), NGHTTP2_PROTOCOL_ERROR);
        expect_left(60 * 1000);
    }
}

static void a_body_that_comes_slowly_is_408(void **state)
{
    (void)state;
    int32_t id = h2_open(&peer, "/size");
    for (int i = 0; i < 5; i++) {
        h2_upload(&peer, id, "x", false);
        expect_left(5000 - 999 * i);
        h2_pass(&peer, 999);
    }
    h2_pass(&peer, 5);
    h2_expect(&peer, id, 408, "408 Request Timeout");
    h2_expect_reset(&peer, id, NGHTTP2_NO_ERROR);
    assert_int_equal(peer.requests, 0);
    assert_false(peer.went_away);
    h2_expect(&peer, h2_get(&peer, "/big/1"), 200, "b");
}

static void each_body_has_its_own_time(void **state)
{
    (void)state;
    h2_connect_raw(&peer);
    for (uint32_t id = 1; id < 7; id += 2) {
        size_t at = frames.size;
        h2_frame_get(&frames, id, "/size");
        frames.at[at + 4] = NGHTTP2_FLAG_END_HEADERS;
        h2_say(&peer, &frames);
        h2_pass(&peer, 1000);
    }
    expect_left(2000);
    h2_frame(&frames, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, SLICE(""));
    h2_say(&peer, &frames);
    expect_left(3000);
    h2_run(&peer);
    h2_pass(&peer, 3000);
    h2_run(&peer);
    assert_int_equal(h2_raw_reset(&peer, 3), NGHTTP2_NO_ERROR);
    assert_int_equal(h2_raw_reset(&peer, 5), -1);
    expect_left(1000);
}

/* ---- who doesn't read --------------------------------------------------- */

static void a_socket_that_takes_nothing(void **state)
{
    (void)state;
    h2_get(&peer, "/minded");
    h2_get(&peer, "/big/100");
    expect_left(3000);
    h2_pass(&peer, 2000);
    h2_run_out(&peer, 5);
    expect_left(3000);
    h2_pass(&peer, 3000);
    assert_int_equal(peer.gone, 1);
    assert_true(h2_is_finished(&peer));
}

/* A stream whose window stays closed, beside others that are read. */
static void a_stream_that_is_not_read_is_reset(void **state)
{
    (void)state;
    peer.reads = false;
    int32_t watch = h2_get(&peer, "/watch");
    int32_t quiet = h2_get(&peer, "/minded");
    http_send(peer.held[0], SLICE("event"));
    h2_run(&peer);
    expect_left(INT64_MAX - peer.now_ms);
    int32_t made = h2_get(&peer, "/make/20/50000");
    h2_run(&peer);
    expect_left(3000);
    h2_pass(&peer, 2000);
    h2_consume_all(&peer, made, 40000);
    h2_run(&peer);
    expect_left(3000);
    h2_pass(&peer, 3000);
    h2_expect_reset(&peer, made, NGHTTP2_CANCEL);
    assert_int_equal(peer.gone, 0);
    expect_left(INT64_MAX - peer.now_ms);
    nghttp2_session_consume_connection(peer.client, 65535);
    http_end(peer.held[0]);
    http_respond(peer.held[1], 200, NULL, 0, SLICE(""));
    h2_run(&peer);
    assert_true(h2_answer_of(&peer, watch)->ended);
    assert_true(h2_answer_of(&peer, quiet)->ended);
}

static void a_watch_that_is_not_read_is_told_of(void **state)
{
    (void)state;
    struct buf large = {0};
    peer.reads = false;
    int32_t id = h2_get(&peer, "/watch");
    h2_run(&peer);
    h2_pass(&peer, 60 * 60 * 1000);
    memset(buf_extend(&large, 100 * 1000), 'x', 100 * 1000);
    http_send(h2_held(&peer), buf_slice(&large));
    buf_deinit(&large);
    h2_run(&peer);
    /* The host's time was old when it was sent. */
    h2_pass(&peer, 2999);
    assert_int_equal(peer.gone, 0);
    h2_pass(&peer, 3000);
    assert_int_equal(peer.gone, 1);
    h2_expect_reset(&peer, id, NGHTTP2_CANCEL);
}

/* ---- our pings ---------------------------------------------------------- */

static void a_silent_peer_is_asked(void **state)
{
    (void)state;
    peer.config.keepalive_ms = 10 * 1000;
    peer.config.keepalive_timeout_ms = 2 * 1000;
    h2_connect(&peer);
    h2_get(&peer, "/watch");
    h2_run(&peer);
    for (int i = 1; i < 5; i++) {
        expect_left(10 * 1000);
        h2_pass(&peer, 10 * 1000);
        expect_left(2 * 1000);
        h2_run(&peer);
        assert_int_equal(peer.pings, i);
    }
    h2_pass(&peer, 10 * 1000);
    h2_run_out(&peer, SIZE_MAX);
    h2_pass(&peer, 1999);
    assert_int_equal(peer.gone, 0);
    h2_pass(&peer, 1);
    assert_int_equal(peer.gone, 1);
    assert_true(h2_is_finished(&peer));
}

/* ---- the peer's end ----------------------------------------------------- */

static void a_peer_that_closes_its_half_is_gone(void **state)
{
    (void)state;
    h2_get(&peer, "/watch");
    h2_get(&peer, "/minded");
    h2_get(&peer, "/hold");
    h2_open(&peer, "/size");
    http2_input_end(peer.http2);
    assert_int_equal(peer.gone, 2);
    assert_int_equal(peer.outputs, 1);
    assert_true(h2_is_finished(&peer));
    assert_false(http2_wants_input(peer.http2));
    /* The third one's owner doesn't know and answers. */
    http_respond(peer.held[0], 200, NULL, 0, SLICE(""));
    assert_true(h2_is_finished(&peer));
}

/* ---- stop --------------------------------------------------------------- */

static void an_idle_connection_stops_at_once(void **state)
{
    (void)state;
    http2_stop(peer.http2);
    assert_int_equal(peer.outputs, 1);
    h2_expect_away(&peer, NGHTTP2_NO_ERROR, "");
    http2_input_end(peer.http2);
    assert_true(h2_is_finished(&peer));
}

static void at_a_stop_requests_at_work_are_answered(void **state)
{
    (void)state;
    int32_t held = h2_get(&peer, "/hold");
    int32_t made = h2_get(&peer, "/make/20/50000");
    peer.reads = false;
    h2_run(&peer);
    http2_stop(peer.http2);
    http2_stop(peer.http2);
    h2_run(&peer);
    assert_true(peer.went_away);
    assert_int_equal(peer.away_code, NGHTTP2_NO_ERROR);
    assert_int_equal(peer.away_last, made);
    nghttp2_session_consume_connection(peer.client, 65535);
    http_respond(h2_held(&peer), 200, NULL, 0, SLICE("done"));
    h2_expect(&peer, held, 200, "done");
    assert_false(h2_is_finished(&peer));
    peer.reads = true;
    nghttp2_session_consume_stream(peer.client, made, 65535);
    h2_run(&peer);
    assert_int_equal(h2_answer_of(&peer, made)->body.size, 20 * 50000);
    h2_pass(&peer, 2 * HTTP2_LINGER_MS);
    assert_true(h2_is_finished(&peer));
    assert_int_equal(peer.gone, 0);
}

static void at_a_stop_watches_end(void **state)
{
    (void)state;
    int32_t first = h2_get(&peer, "/watch");
    int32_t second = h2_get(&peer, "/watch");
    http_send(peer.held[0], SLICE("event "));
    h2_run(&peer);
    peer.ends_when_gone = true;
    http2_stop(peer.http2);
    h2_expect(&peer, first, 200, "event bye");
    h2_expect(&peer, second, 200, "bye");
    assert_int_equal(peer.gone, 2);
}

static void at_a_stop_watches_are_ended(void **state)
{
    (void)state;
    int32_t id = h2_get(&peer, "/watch");
    h2_run(&peer);
    http2_stop(peer.http2);
    h2_expect(&peer, id, 200, "");
    assert_int_equal(peer.gone, 1);
}

static void end_the_other(struct http_exchange *exchange)
{
    for (int i = 0; i < 2; i++) {
        if (peer.held[i] == exchange)
            continue;
        peer.held[i]->on_gone = NULL;
        http_end(peer.held[i]);
    }
    peer.gone++;
}

static void who_is_told_may_end_others(void **state)
{
    (void)state;
    int32_t first = h2_get(&peer, "/watch");
    int32_t second = h2_get(&peer, "/watch");
    h2_run(&peer);
    for (int i = 0; i < 2; i++)
        peer.held[i]->on_gone = end_the_other;
    http2_stop(peer.http2);
    h2_expect(&peer, first, 200, "");
    h2_expect(&peer, second, 200, "");
    assert_int_equal(peer.gone, 1);
}

static void at_a_stop_what_is_not_whole_is_refused(void **state)
{
    (void)state;
    int32_t id = h2_open(&peer, "/size");
    h2_upload(&peer, id, "x", false);
    http2_stop(peer.http2);
    h2_expect_reset(&peer, id, NGHTTP2_REFUSED_STREAM);
    assert_int_equal(peer.requests, 0);
}

/* Half of a head is here, and the rest comes behind the stop. */
static void at_a_stop_what_begins_is_refused(void **state)
{
    (void)state;
    h2_connect_raw(&peer);
    h2_frame_get(&frames, 1, "/minded");
    h2_say(&peer, &frames);
    h2_frame_get(&frames, 3, "/size");
    size_t first = frames.size;
    h2_frame_get(&frames, 5, "/size");
    h2_input(&peer, slice_of(frames.at, first / 2));
    http2_stop(peer.http2);
    h2_input(&peer, slice_of(frames.at + first / 2, frames.size - first / 2));
    h2_run(&peer);
    assert_int_equal(peer.requests, 1);
    assert_int_equal(h2_raw_away(&peer), NGHTTP2_NO_ERROR);
    http_respond(h2_held(&peer), 200, NULL, 0, SLICE(""));
    h2_run(&peer);
    h2_pass(&peer, 2 * HTTP2_LINGER_MS);
    assert_true(h2_is_finished(&peer));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(an_idle_connection_ends_with_a_word),
        TEST(what_happens_begins_the_idle_time_anew),
        TEST(an_open_stream_is_not_idle),
        TEST(a_peer_that_says_nothing_is_not_waited_for),
        TEST(a_head_that_comes_slowly),
        TEST(a_head_that_is_malformed_is_done_with),
        TEST(a_body_that_comes_slowly_is_408),
        TEST(each_body_has_its_own_time),
        TEST(a_socket_that_takes_nothing),
        TEST(a_stream_that_is_not_read_is_reset),
        TEST(a_watch_that_is_not_read_is_told_of),
        TEST(a_silent_peer_is_asked),
        TEST(a_peer_that_closes_its_half_is_gone),
        TEST(an_idle_connection_stops_at_once),
        TEST(at_a_stop_requests_at_work_are_answered),
        TEST(at_a_stop_watches_end),
        TEST(at_a_stop_watches_are_ended),
        TEST(who_is_told_may_end_others),
        TEST(at_a_stop_what_is_not_whole_is_refused),
        TEST(at_a_stop_what_begins_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
