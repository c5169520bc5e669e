/* Frames that are wrong, byte by byte: of the connection, which ends with
 * GOAWAY, or of one stream, which is reset while all others go on. */
#include "http2_harness.h"

static struct h2_peer peer;
static struct buf frames;

static int set_up(void **state)
{
    (void)state;
    h2_init(&peer);
    h2_connect_raw(&peer);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    h2_deinit(&peer);
    buf_deinit(&frames);
    return 0;
}

enum { GET_FLAGS = NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM };

#define FRAME(type, flags, id, payload) \
    h2_frame(&frames, NGHTTP2_##type, flags, id, SLICE(payload))

/* Says all frames; the connection ends with `code`, whole or byte by byte. */
static void expect_away(uint32_t code)
{
    struct buf said = frames;
    frames = (struct buf){0};
    for (int by_bytes = 0; by_bytes < 2; by_bytes++) {
        h2_connect_raw(&peer);
        size_t step = by_bytes ? 1 : said.size;
        for (size_t i = 0; i < said.size; i += step)
            h2_input(&peer, slice_of(said.at + i, step));
        h2_run(&peer);
        assert_int_equal(h2_raw_away(&peer), code);
        assert_int_equal(peer.held_count, 0);
        h2_pass(&peer, HTTP2_LINGER_MS);
        assert_true(h2_is_finished(&peer));
    }
    buf_deinit(&said);
}

/* Says all frames; stream 1 is reset with `code`, and the next one served. */
static void expect_reset(uint32_t code)
{
    h2_say(&peer, &frames);
    h2_run(&peer);
    assert_int_equal(h2_raw_reset(&peer, 1), code);
    assert_int_equal(h2_raw_away(&peer), -1);
    h2_frame_get(&frames, 101, "/big/1");
    h2_say(&peer, &frames);
    h2_run(&peer);
    size_t at = 0;
    struct slice payload;
    uint32_t id = 0;
    while (id != 101)
        assert_true(h2_find(&peer, NGHTTP2_DATA, &at, &payload, &id));
    h2_connect_raw(&peer);
}

/* A request on stream 1 that has a body to come. */
static void open_stream(void)
{
    size_t at = frames.size;
    h2_frame_get(&frames, 1, "/size");
    frames.at[at + 4] = NGHTTP2_FLAG_END_HEADERS;
}

/* ---- the preface -------------------------------------------------------- */

static void a_preface_that_is_none(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\rX",
    };
    for (size_t i = 0; i < 2; i++) {
        http2_free(peer.http2);
        peer.http2 = http2_new(&peer.config, SLICE("peer"), peer.now_ms);
        buf_reset(&peer.raw);
        h2_input(&peer, slice_str(wrong[i]));
        h2_run(&peer);
        assert_int_equal(h2_raw_away(&peer), NGHTTP2_PROTOCOL_ERROR);
    }
}

static void settings_must_come_first(void **state)
{
    (void)state;
    http2_free(peer.http2);
    peer.http2 = http2_new(&peer.config, SLICE("peer"), peer.now_ms);
    buf_append_str(&frames, NGHTTP2_CLIENT_MAGIC);
    FRAME(PING, 0, 0, "12345678");
    h2_say(&peer, &frames);
    h2_run(&peer);
    assert_int_equal(h2_raw_away(&peer), NGHTTP2_PROTOCOL_ERROR);
}

/* ---- sizes -------------------------------------------------------------- */

static void frames_of_wrong_sizes(void **state)
{
    (void)state;
    FRAME(PING, 0, 0, "1234567");
    expect_away(NGHTTP2_FRAME_SIZE_ERROR);
    FRAME(PING, 0, 0, "123456789");
    expect_away(NGHTTP2_FRAME_SIZE_ERROR);
    FRAME(SETTINGS, 0, 0, "12345");
    expect_away(NGHTTP2_FRAME_SIZE_ERROR);
    FRAME(SETTINGS, NGHTTP2_FLAG_ACK, 0, "\0\4\0\0\1\0");
    expect_away(NGHTTP2_FRAME_SIZE_ERROR);
    FRAME(WINDOW_UPDATE, 0, 0, "\0\0\1");
    expect_away(NGHTTP2_FRAME_SIZE_ERROR);
    FRAME(GOAWAY, 0, 0, "1234567");
    expect_away(NGHTTP2_FRAME_SIZE_ERROR);
    open_stream();
    FRAME(RST_STREAM, 0, 1, "\0\0\0");
    expect_away(NGHTTP2_FRAME_SIZE_ERROR);
    open_stream();
    FRAME(PRIORITY, 0, 1, "\0\0\0\0");
    expect_away(NGHTTP2_FRAME_SIZE_ERROR);
}

static void a_frame_that_is_too_large(void **state)
{
    (void)state;
    char large[16385] = {0};
    open_stream();
    h2_frame(&frames, NGHTTP2_DATA, 0, 1, slice_of(large, sizeof large));
    expect_away(NGHTTP2_FRAME_SIZE_ERROR);
}

/* ---- streams ------------------------------------------------------------ */

static void frames_on_streams_that_they_cannot_have(void **state)
{
    (void)state;
    FRAME(DATA, 0, 0, "x");
    expect_away(NGHTTP2_PROTOCOL_ERROR);
    FRAME(HEADERS, GET_FLAGS, 0, "\x82");
    expect_away(NGHTTP2_PROTOCOL_ERROR);
    FRAME(RST_STREAM, 0, 0, "\0\0\0\0");
    expect_away(NGHTTP2_PROTOCOL_ERROR);
    FRAME(SETTINGS, 0, 1, "");
    expect_away(NGHTTP2_PROTOCOL_ERROR);
    FRAME(PING, 0, 1, "12345678");
    expect_away(NGHTTP2_PROTOCOL_ERROR);
    FRAME(GOAWAY, 0, 1, "12345678");
    expect_away(NGHTTP2_PROTOCOL_ERROR);
}

static void frames_on_streams_that_are_idle(void **state)
{
    (void)state;
    FRAME(DATA, 0, 1, "x");
    expect_away(NGHTTP2_PROTOCOL_ERROR);
    FRAME(RST_STREAM, 0, 1, "\0\0\0\0");
    expect_away(NGHTTP2_PROTOCOL_ERROR);
    FRAME(WINDOW_UPDATE, 0, 1, "\0\0\0\1");
    expect_away(NGHTTP2_PROTOCOL_ERROR);
    FRAME(CONTINUATION, NGHTTP2_FLAG_END_HEADERS, 1, "");
    expect_away(NGHTTP2_PROTOCOL_ERROR);
}

static void requests_on_streams_of_wrong_numbers(void **state)
{
    (void)state;
    h2_frame_get(&frames, 2, "/size");
    expect_away(NGHTTP2_PROTOCOL_ERROR);
    FRAME(PUSH_PROMISE, NGHTTP2_FLAG_END_HEADERS, 1, "\0\0\0\2");
    expect_away(NGHTTP2_PROTOCOL_ERROR);
}

/* nghttp2 takes it for one that was closed long ago. */
static void a_request_on_a_stream_before_the_last(void **state)
{
    (void)state;
    h2_frame_get(&frames, 5, "/empty");
    h2_frame_get(&frames, 3, "/size");
    h2_say(&peer, &frames);
    h2_run(&peer);
    assert_int_equal(peer.requests, 1);
}

static void frames_behind_the_end(void **state)
{
    (void)state;
    h2_frame_get(&frames, 1, "/hold");
    FRAME(DATA, 0, 1, "x");
    h2_say(&peer, &frames);
    h2_run(&peer);
    assert_int_equal(h2_raw_away(&peer), NGHTTP2_STREAM_CLOSED);
}

static void more_streams_than_are_allowed(void **state)
{
    (void)state;
    peer.config.streams_max = 2;
    h2_connect_raw(&peer);
    for (uint32_t id = 1; id < 7; id += 2)
        h2_frame_get(&frames, id, "/minded");
    h2_say(&peer, &frames);
    h2_run(&peer);
    assert_int_equal(h2_raw_away(&peer), NGHTTP2_PROTOCOL_ERROR);
    assert_int_equal(peer.requests, peer.gone);
}

/* ---- heads -------------------------------------------------------------- */

static void heads_that_are_no_hpack(void **state)
{
    (void)state;
    FRAME(HEADERS, GET_FLAGS, 1, "\x80");
    expect_away(NGHTTP2_COMPRESSION_ERROR);
    FRAME(HEADERS, GET_FLAGS, 1, "\xff\xff\xff\xff\xff\xff");
    expect_away(NGHTTP2_COMPRESSION_ERROR);
    FRAME(HEADERS, GET_FLAGS, 1, "\x82\x10\x7f");
    expect_away(NGHTTP2_COMPRESSION_ERROR);
    FRAME(HEADERS, GET_FLAGS, 1, "\x3f\xff\xff\xff\x7f"); /* table size */
    expect_away(NGHTTP2_COMPRESSION_ERROR);
}

static void a_head_that_others_break_into(void **state)
{
    (void)state;
    h2_frame_get(&frames, 1, "/size");
    frames.at[4] = 0;
    FRAME(PING, 0, 0, "12345678");
    expect_away(NGHTTP2_PROTOCOL_ERROR);
    h2_frame_get(&frames, 1, "/size");
    frames.at[4] = 0;
    FRAME(CONTINUATION, NGHTTP2_FLAG_END_HEADERS, 3, "");
    expect_away(NGHTTP2_PROTOCOL_ERROR);
}

static void a_head_in_parts(void **state)
{
    (void)state;
    struct buf whole = {0};
    h2_frame_get(&whole, 1, "/size");
    size_t head = whole.size - 9;
    h2_frame(&frames, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM, 1,
             slice_of(whole.at + 9, 5));
    h2_frame(&frames, NGHTTP2_CONTINUATION, 0, 1, slice_of(whole.at + 14, 7));
    h2_frame(&frames, NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, 1,
             slice_of(whole.at + 21, head - 12));
    h2_say(&peer, &frames);
    assert_int_equal(peer.requests, 1);
    buf_deinit(&whole);
}

static void padding_that_is_too_long(void **state)
{
    (void)state;
    open_stream();
    FRAME(DATA, NGHTTP2_FLAG_PADDED, 1, "\5abc");
    expect_away(NGHTTP2_PROTOCOL_ERROR);
    FRAME(HEADERS, GET_FLAGS | NGHTTP2_FLAG_PADDED, 1, "\x09\x82\x84");
    expect_away(NGHTTP2_PROTOCOL_ERROR);
}

static void padding_is_left_out(void **state)
{
    (void)state;
    open_stream();
    FRAME(DATA, NGHTTP2_FLAG_PADDED | NGHTTP2_FLAG_END_STREAM, 1,
          "\3abcd\0\0\0");
    h2_say(&peer, &frames);
    h2_expect_seen(&peer, "GET /size ? [host=h] <abcd>\n");
}

static void a_stream_that_depends_on_itself_is_no_matter(void **state)
{
    (void)state;
    h2_frame_get(&frames, 1, "/size");
    FRAME(PRIORITY, 0, 3, "\0\0\0\5\x10");
    h2_say(&peer, &frames);
    h2_run(&peer);
    assert_int_equal(peer.requests, 1);
    assert_int_equal(h2_raw_away(&peer), -1);
}

/* ---- windows ------------------------------------------------------------ */

static void windows_that_are_too_large(void **state)
{
    (void)state;
    FRAME(WINDOW_UPDATE, 0, 0, "\x7f\xff\xff\xff");
    expect_away(NGHTTP2_FLOW_CONTROL_ERROR);
    FRAME(SETTINGS, 0, 0, "\0\4\x80\0\0\0");
    expect_away(NGHTTP2_FLOW_CONTROL_ERROR);
    h2_connect_raw(&peer);
    open_stream();
    FRAME(WINDOW_UPDATE, 0, 1, "\x7f\xff\xff\xff");
    expect_reset(NGHTTP2_FLOW_CONTROL_ERROR);
}

static void an_update_of_nothing(void **state)
{
    (void)state;
    FRAME(WINDOW_UPDATE, 0, 0, "\0\0\0\0");
    expect_away(NGHTTP2_PROTOCOL_ERROR);
}

/* Five frames are more than a stream's window, which nobody opens. */
static void more_than_the_window(void **state)
{
    (void)state;
    char piece[16384] = {0};
    peer.consumes = false;
    h2_frame_get(&frames, 1, "/take");
    frames.at[4] = NGHTTP2_FLAG_END_HEADERS;
    for (int i = 0; i < 5; i++)
        h2_frame(&frames, NGHTTP2_DATA, 0, 1, slice_of(piece, sizeof piece));
    h2_say(&peer, &frames);
    h2_run(&peer);
    assert_true(h2_raw_away(&peer) == NGHTTP2_FLOW_CONTROL_ERROR ||
                h2_raw_reset(&peer, 1) == NGHTTP2_FLOW_CONTROL_ERROR);
    assert_int_equal(peer.gone, 1);
}

static void settings_of_wrong_values(void **state)
{
    (void)state;
    FRAME(SETTINGS, 0, 0, "\0\2\0\0\0\2"); /* push: neither 0 nor 1 */
    expect_away(NGHTTP2_PROTOCOL_ERROR);
    FRAME(SETTINGS, 0, 0, "\0\5\0\0\0\1"); /* frames of one byte */
    expect_away(NGHTTP2_PROTOCOL_ERROR);
    FRAME(SETTINGS, NGHTTP2_FLAG_ACK, 0, ""); /* of what we haven't said */
    expect_away(NGHTTP2_PROTOCOL_ERROR);
}

/* A smaller window than what is under way: nothing until it is made up. */
static void a_window_may_become_smaller(void **state)
{
    (void)state;
    h2_frame_get(&frames, 1, "/big/100000");
    h2_say(&peer, &frames);
    h2_run(&peer);
    buf_reset(&peer.raw);
    FRAME(SETTINGS, 0, 0, "\0\4\0\0\0\0");
    FRAME(WINDOW_UPDATE, 0, 0, "\0\1\0\0");
    FRAME(WINDOW_UPDATE, 0, 1, "\0\0\xff\xff");
    h2_say(&peer, &frames);
    h2_run(&peer);
    size_t at = 0;
    struct slice payload;
    uint32_t id;
    assert_false(h2_find(&peer, NGHTTP2_DATA, &at, &payload, &id));
    FRAME(WINDOW_UPDATE, 0, 1, "\0\0\0\7");
    h2_say(&peer, &frames);
    h2_run(&peer);
    at = 0;
    assert_true(h2_find(&peer, NGHTTP2_DATA, &at, &payload, &id));
    assert_int_equal(payload.size, 7);
}

/* ---- ends --------------------------------------------------------------- */

static void a_peer_that_goes_away_is_served_to_the_end(void **state)
{
    (void)state;
    h2_frame_get(&frames, 1, "/hold");
    FRAME(GOAWAY, 0, 0, "\0\0\0\0\0\0\0\0");
    h2_say(&peer, &frames);
    h2_run(&peer);
    assert_false(h2_is_finished(&peer));
    http_respond(h2_held(&peer), 200, NULL, 0, SLICE("x"));
    h2_run(&peer);
    h2_pass(&peer, 2 * HTTP2_LINGER_MS);
    assert_true(h2_is_finished(&peer));
    size_t at = 0;
    struct slice payload;
    uint32_t id;
    assert_true(h2_find(&peer, NGHTTP2_DATA, &at, &payload, &id));
}

static void what_comes_behind_an_end_is_thrown_away(void **state)
{
    (void)state;
    FRAME(PING, 0, 0, "short");
    h2_say(&peer, &frames);
    assert_false(h2_is_finished(&peer));
    for (uint32_t id = 1; id < 9; id += 2) {
        assert_true(http2_wants_input(peer.http2));
        h2_frame_get(&frames, id, "/size");
        h2_say(&peer, &frames);
    }
    h2_run(&peer);
    assert_int_equal(peer.requests, 0);
    http2_input_end(peer.http2);
    assert_true(h2_is_finished(&peer));
    assert_false(http2_wants_input(peer.http2));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_preface_that_is_none),
        TEST(settings_must_come_first),
        TEST(frames_of_wrong_sizes),
        TEST(a_frame_that_is_too_large),
        TEST(frames_on_streams_that_they_cannot_have),
        TEST(frames_on_streams_that_are_idle),
        TEST(requests_on_streams_of_wrong_numbers),
        TEST(a_request_on_a_stream_before_the_last),
        TEST(frames_behind_the_end),
        TEST(more_streams_than_are_allowed),
        TEST(heads_that_are_no_hpack),
        TEST(a_head_that_others_break_into),
        TEST(a_head_in_parts),
        TEST(padding_that_is_too_long),
        TEST(padding_is_left_out),
        TEST(a_stream_that_depends_on_itself_is_no_matter),
        TEST(windows_that_are_too_large),
        TEST(an_update_of_nothing),
        TEST(more_than_the_window),
        TEST(settings_of_wrong_values),
        TEST(a_window_may_become_smaller),
        TEST(a_peer_that_goes_away_is_served_to_the_end),
        TEST(what_comes_behind_an_end_is_thrown_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
