/* Floods, each of which ends the connection with ENHANCE_YOUR_CALM, and what
 * busy but decent clients do, which doesn't. Frames are made by hand. */
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

static void say(uint8_t type, uint8_t flags, uint32_t id, struct slice payload)
{
    h2_frame(&frames, type, flags, id, payload);
    h2_say(&peer, &frames);
}

#define PING() say(NGHTTP2_PING, 0, 0, SLICE("12345678"))

static void expect_calm(const char *words)
{
    char text[64];
    h2_run(&peer);
    assert_int_equal(h2_raw_away(&peer), NGHTTP2_ENHANCE_YOUR_CALM);
    assert_string_equal(h2_raw_words(&peer, text, sizeof text), words);
    assert_false(h2_is_finished(&peer));
    assert_true(http2_wants_input(peer.http2));
    h2_pass(&peer, HTTP2_LINGER_MS);
    assert_true(h2_is_finished(&peer));
}

static void expect_no_end(void)
{
    h2_run(&peer);
    assert_int_equal(h2_raw_away(&peer), -1);
    assert_false(h2_is_finished(&peer));
}

/* ---- floods ------------------------------------------------------------- */

/* CVE-2023-44487, rapid reset: each costs the peer two frames, and a server
 * that counts only what is open would work through all of them. */
static void resets_of_requests_that_do_nothing(void **state)
{
    (void)state;
    uint32_t id = 1;
    while (h2_raw_away(&peer) < 0) {
        h2_frame_get(&frames, id, "/minded");
        h2_frame(&frames, NGHTTP2_RST_STREAM, 0, id, SLICE("\0\0\0\x8"));
        h2_say(&peer, &frames);
        h2_run(&peer);
        id += 2;
        assert_in_range(id, 1, 2 * 900);
    }
    assert_in_range(id, 2 * 600, 2 * 900);
    assert_int_equal(peer.requests, 0);
    expect_calm("too many resets");
}

/* The same, but each request is begun before it is taken back. */
static void resets_of_requests_that_were_begun(void **state)
{
    (void)state;
    uint32_t id = 1;
    while (h2_raw_away(&peer) < 0) {
        h2_frame_get(&frames, id, "/minded");
        h2_say(&peer, &frames);
        say(NGHTTP2_RST_STREAM, 0, id, SLICE("\0\0\0\x8"));
        h2_run(&peer);
        id += 2;
        assert_in_range(id, 1, 2 * 900);
    }
    assert_int_equal(peer.requests, peer.gone);
    assert_int_equal(peer.held_count, 0);
    expect_calm("too many resets");
}

/* Requests that have us send the resets. */
static void resets_that_we_are_made_to_send(void **state)
{
    (void)state;
    uint32_t id = 1;
    while (h2_raw_away(&peer) < 0) {
        h2_frame_get(&frames, id, "/minded");
        h2_say(&peer, &frames);
        say(NGHTTP2_WINDOW_UPDATE, 0, id, SLICE("\x7f\xff\xff\xff"));
        h2_run(&peer);
        id += 2;
        assert_in_range(id, 1, 2 * 900);
    }
    assert_int_equal(h2_raw_reset(&peer, 1), NGHTTP2_FLOW_CONTROL_ERROR);
    assert_int_equal(peer.held_count, 0);
    expect_calm("too many resets");
}

/* The payload of a request's head. */
static void add_head(uint8_t flags, uint32_t id, const char *name,
                     const char *value)
{
    const char *const pairs[] = {":method", "GET", ":scheme",    "http",
                                 ":path",   "/",   ":authority", "h",
                                 name,      value};
    struct buf head = {0};
    h2_head(&head, pairs, 5);
    h2_frame(&frames, NGHTTP2_HEADERS, flags, id, buf_slice(&head));
    buf_deinit(&head);
}

enum {
    WHOLE_HEAD = NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM,
    OPEN_HEAD = NGHTTP2_FLAG_END_HEADERS,
};

static void a_head_that_is_none(uint32_t id)
{
    add_head(WHOLE_HEAD, id, "Capital", "b");
}

static void a_connection_header(uint32_t id)
{
    add_head(WHOLE_HEAD, id, "connection", "close");
}

static void more_than_it_said(uint32_t id)
{
    add_head(OPEN_HEAD, id, "content-length", "1");
    h2_frame(&frames, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, id, SLICE("abc"));
}

static void less_than_it_said(uint32_t id)
{
    add_head(OPEN_HEAD, id, "content-length", "9");
    h2_frame(&frames, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, id, SLICE("abc"));
}

static void a_window_of_too_much(uint32_t id)
{
    add_head(OPEN_HEAD, id, "a", "b");
    h2_frame(&frames, NGHTTP2_WINDOW_UPDATE, 0, id, SLICE("\x7f\xff\xff\xff"));
}

/* All the ways in which a request can end in a reset of ours (CVE-2025-8671):
 * the resets are few, the requests leave nothing behind. */
static void resets_that_are_provoked(void **state)
{
    static void (*const provoke[])(uint32_t id) = {
        a_head_that_is_none, a_connection_header,  more_than_it_said,
        less_than_it_said,   a_window_of_too_much,
    };
    (void)state;
    for (size_t i = 0; i < sizeof(provoke) / sizeof(provoke[0]); i++) {
        uint32_t id = 1;
        h2_connect_raw(&peer);
        while (h2_raw_away(&peer) < 0) {
            provoke[i](id);
            h2_say(&peer, &frames);
            h2_run(&peer);
            id += 2;
            assert_in_range(id, 1, 2 * 1100);
        }
        assert_true(h2_raw_reset(&peer, 1) > 0);
        assert_int_equal(peer.held_count, 0);
        expect_calm("too many resets");
    }
}

/* More requests at once than there may be, as the client was told: the first
 * one too many is the last. */
static void requests_beyond_the_limit(void **state)
{
    uint32_t id = 1;
    (void)state;
    for (; id < 2 * 100; id += 2) {
        add_head(OPEN_HEAD, id, "a", "b");
    }
    h2_say(&peer, &frames);
    expect_no_end();
    add_head(OPEN_HEAD, id, "a", "b");
    h2_say(&peer, &frames);
    h2_run(&peer);
    assert_int_equal(h2_raw_away(&peer), NGHTTP2_PROTOCOL_ERROR);
    assert_int_equal(peer.held_count, 0);
}

static void say_until_away(uint8_t type, uint8_t flags, uint32_t id,
                           struct slice payload, int from, int to)
{
    int count = 0;
    while (h2_raw_away(&peer) < 0) {
        say(type, flags, id, payload);
        h2_run(&peer);
        count++;
        assert_in_range(count, 1, to);
    }
    assert_in_range(count, from, to);
}

static void pings(void **state)
{
    (void)state;
    say_until_away(NGHTTP2_PING, 0, 0, SLICE("12345678"), 700, 900);
    expect_calm("too_many_pings");
}

static void answers_to_pings_that_were_none(void **state)
{
    (void)state;
    say_until_away(NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, SLICE("12345678"), 700,
                   900);
    expect_calm("too_many_pings");
}

static void settings(void **state)
{
    (void)state;
    say_until_away(NGHTTP2_SETTINGS, 0, 0, SLICE(""), 150, 250);
    expect_calm("too many settings");
}

static void settings_of_many_values(void **state)
{
    (void)state;
    struct buf many = {0};
    for (int i = 0; i < 100; i++)
        buf_append(&many, "\0\4\0\0\1\0", 6);
    say(NGHTTP2_SETTINGS, 0, 0, buf_slice(&many));
    buf_deinit(&many);
    h2_run(&peer);
    assert_int_equal(h2_raw_away(&peer), NGHTTP2_ENHANCE_YOUR_CALM);
}

static void empty_data(void **state)
{
    (void)state;
    h2_frame_get(&frames, 1, "/size");
    frames.at[4] = NGHTTP2_FLAG_END_HEADERS;
    h2_say(&peer, &frames);
    say_until_away(NGHTTP2_DATA, 0, 1, SLICE(""), 700, 900);
    expect_calm("too much empty data");
    assert_int_equal(peer.requests, 0);
}

/* A request of which the body is still to come. */
static void begin_upload(uint32_t id)
{
    h2_frame_get(&frames, id, "/size");
    frames.at[4] = NGHTTP2_FLAG_END_HEADERS;
    h2_say(&peer, &frames);
}

/* Frames that aren't empty, but say no more: only the length of the padding,
 * with or without some behind it. */
static void padding_alone(void **state)
{
    static const struct slice paddings[] = {{"\0", 1}, {"\3\0\0\0", 4}};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        h2_connect_raw(&peer);
        begin_upload(1);
        say_until_away(NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, 1, paddings[i], 700,
                       900);
        expect_calm("too much empty data");
        assert_int_equal(peer.requests, 0);
    }
}

/* As long as it may be: then the windows, too, are the flood's. */
static void the_longest_padding(void **state)
{
    char padding[256] = {(char)255};
    (void)state;
    begin_upload(1);
    say_until_away(NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, 1,
                   slice_of(padding, sizeof(padding)), 600, 900);
    expect_calm("too much empty data");
}

static void priorities(void **state)
{
    (void)state;
    say_until_away(NGHTTP2_PRIORITY, 0, 1, SLICE("\0\0\0\3\x10"), 3500, 4500);
    expect_calm("too many frames");
}

static void window_updates(void **state)
{
    (void)state;
    say_until_away(NGHTTP2_WINDOW_UPDATE, 0, 0, SLICE("\0\0\0\1"), 3500, 4500);
    expect_calm("too many frames");
}

static void continuations(void **state)
{
    (void)state;
    for (int is_empty = 0; is_empty < 2; is_empty++) {
        h2_connect_raw(&peer);
        h2_frame_get(&frames, 1, "/size");
        frames.at[4] = 0;
        h2_say(&peer, &frames);
        for (int i = 0; i < 20; i++)
            h2_frame(&frames, NGHTTP2_CONTINUATION, 0, 1,
                     is_empty ? SLICE("") : SLICE("\x10\1a\1b"));
        h2_say(&peer, &frames);
        h2_run(&peer);
        assert_int_equal(h2_raw_away(&peer), NGHTTP2_ENHANCE_YOUR_CALM);
        assert_int_equal(peer.requests, 0);
    }
}

/* All in one input: no more than this input is read of it. */
static void a_flood_in_one_input(void **state)
{
    (void)state;
    for (int i = 0; i < 3000; i++)
        h2_frame(&frames, NGHTTP2_PING, 0, 0, SLICE("12345678"));
    h2_say(&peer, &frames);
    h2_run(&peer);
    assert_int_equal(h2_raw_away(&peer), NGHTTP2_ENHANCE_YOUR_CALM);
}

/* A head whose few bytes stand for many headers. */
static void a_head_that_grows(void **state)
{
    (void)state;
    struct buf head = {0};
    const char *const pairs[] = {":method", "GET", ":scheme",    "http",
                                 ":path",   "/",   ":authority", "h"};
    char large[2001];
    memset(large, 'v', 2000);
    large[2000] = '\0';
    h2_head(&head, pairs, 4);
    size_t literal_at = head.size;
    const char *const one[] = {"x-large", large};
    h2_head(&head, one, 1);
    head.at[literal_at] = 0x40; /* to be indexed: the first dynamic one */
    for (int i = 0; i < 10000; i++)
        buf_append_char(&head, (char)0xbe);
    h2_frame(&frames, NGHTTP2_HEADERS,
             NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1,
             buf_slice(&head));
    h2_say(&peer, &frames);
    h2_run(&peer);
    size_t at = 0;
    struct slice payload;
    uint32_t id;
    assert_true(h2_find(&peer, NGHTTP2_DATA, &at, &payload, &id));
    assert_true(
        slice_eq(payload, SLICE("431 Request Header Fields Too Large")));
    buf_deinit(&head);
}

/* ---- what is no flood --------------------------------------------------- */

static void frames_of_unknown_types_are_free(void **state)
{
    (void)state;
    for (int i = 0; i < 5000; i++)
        say(0x77, 0, 0, SLICE("what?"));
    expect_no_end();
}

/* Padding hides how long something is: with something in it, it is free. */
static void a_body_may_be_padded(void **state)
{
    size_t at = 0;
    struct slice payload;
    uint32_t id;
    (void)state;
    begin_upload(1);
    for (int i = 0; i < 5000; i++) {
        say(NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, 1, SLICE("\2x\0\0"));
        h2_run(&peer);
    }
    say(NGHTTP2_DATA, NGHTTP2_FLAG_PADDED | NGHTTP2_FLAG_END_STREAM, 1,
        SLICE("\0"));
    expect_no_end();
    assert_true(h2_find(&peer, NGHTTP2_DATA, &at, &payload, &id));
    assert_true(slice_eq(payload, SLICE("5000")));
}

static void time_makes_up_for_it(void **state)
{
    (void)state;
    for (int i = 0; i < 5000; i++) {
        PING();
        h2_run(&peer);
        buf_reset(&peer.raw);
        peer.now_ms += 13;
    }
    expect_no_end();
}

static void answers_make_up_for_it(void **state)
{
    (void)state;
    for (uint32_t id = 1; id < 2 * 3000; id += 2) {
        h2_frame_get(&frames, id, "/watch");
        h2_say(&peer, &frames);
        http_send(h2_held(&peer), SLICE("created"));
        say(NGHTTP2_RST_STREAM, 0, id, SLICE("\0\0\0\x8"));
        PING();
        h2_run(&peer);
        buf_reset(&peer.raw);
        if (id % 3)
            peer.now_ms += 10;
    }
    expect_no_end();
    assert_int_equal(peer.gone, 3000);
}

/* More than all floods above would pay for. */
static void what_we_reset_ourselves_is_free(void **state)
{
    (void)state;
    for (uint32_t id = 1; id < 2 * 3000; id += 2) {
        h2_frame_get(&frames, id, "/minded");
        h2_say(&peer, &frames);
        http_begin(h2_held(&peer), 200, NULL, 0);
        http_fail(h2_held(&peer));
        peer.held_count = 0;
        h2_run(&peer);
        buf_reset(&peer.raw);
    }
    expect_no_end();
}

/* Two updates for each frame that is read, as some clients do. */
static void a_reader_opens_windows(void **state)
{
    (void)state;
    h2_frame_get(&frames, 1, "/make/1000/100000");
    h2_say(&peer, &frames);
    size_t total = 0;
    for (bool goes_on = true; goes_on;) {
        h2_run(&peer);
        size_t at = 0;
        struct slice payload;
        uint32_t id;
        goes_on = false;
        while (h2_find(&peer, NGHTTP2_DATA, &at, &payload, &id)) {
            char size[4];
            total += payload.size;
            put_be32(size, (uint32_t)payload.size);
            goes_on = payload.size > 0;
            if (goes_on) {
                h2_frame(&frames, NGHTTP2_WINDOW_UPDATE, 0, 0,
                         slice_of(size, 4));
                h2_frame(&frames, NGHTTP2_WINDOW_UPDATE, 0, 1,
                         slice_of(size, 4));
            }
        }
        assert_int_equal(h2_raw_away(&peer), -1);
        buf_reset(&peer.raw);
        h2_say(&peer, &frames);
    }
    assert_int_equal(total, 100 * 1000 * 1000);
}

/* ---- the rule of gRPC --------------------------------------------------- */

static void start_with_rule(void)
{
    peer.config.ping_min_ms = 5000;
    peer.config.idle_ms = 0;
    h2_connect_raw(&peer);
    h2_frame_get(&frames, 1, "/minded");
    h2_say(&peer, &frames);
}

static void pings_at_decent_times_are_answered(void **state)
{
    (void)state;
    start_with_rule();
    for (int i = 0; i < 20; i++) {
        peer.now_ms += 5000;
        PING();
        h2_run(&peer);
        size_t at = 0;
        struct slice payload;
        uint32_t id;
        assert_true(h2_find(&peer, NGHTTP2_PING, &at, &payload, &id));
        assert_true(slice_eq(payload, SLICE("12345678")));
        buf_reset(&peer.raw);
    }
    expect_no_end();
}

static void the_third_ping_too_soon_is_one_too_many(void **state)
{
    (void)state;
    start_with_rule();
    PING();
    for (int i = 0; i < 2; i++) {
        peer.now_ms += 4999;
        PING();
        expect_no_end();
    }
    peer.now_ms += 4999;
    PING();
    assert_int_equal(peer.gone, 1);
    expect_calm("too_many_pings");
}

static void what_we_send_takes_strikes_back(void **state)
{
    (void)state;
    peer.config.ping_min_ms = 5000;
    h2_connect_raw(&peer);
    h2_frame_get(&frames, 1, "/watch");
    h2_say(&peer, &frames);
    PING();
    for (int i = 0; i < 20; i++) {
        PING();
        PING();
        http_send(h2_held(&peer), SLICE("event"));
        PING();
    }
    expect_no_end();
}

static void without_a_stream_pings_are_for_every_two_hours(void **state)
{
    (void)state;
    peer.config.ping_min_ms = 5000;
    peer.config.idle_ms = 0;
    h2_connect_raw(&peer);
    for (int i = 0; i < 5; i++) {
        PING();
        peer.now_ms += 2 * 60 * 60 * 1000;
    }
    expect_no_end();
    for (int i = 0; i < 3; i++) {
        PING();
        expect_no_end();
        peer.now_ms += 60 * 60 * 1000;
    }
    PING();
    expect_calm("too_many_pings");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(resets_of_requests_that_do_nothing),
        TEST(resets_of_requests_that_were_begun),
        TEST(resets_that_we_are_made_to_send),
        TEST(resets_that_are_provoked),
        TEST(requests_beyond_the_limit),
        TEST(pings),
        TEST(answers_to_pings_that_were_none),
        TEST(settings),
        TEST(settings_of_many_values),
        TEST(empty_data),
        TEST(padding_alone),
        TEST(the_longest_padding),
        TEST(priorities),
        TEST(window_updates),
        TEST(continuations),
        TEST(a_flood_in_one_input),
        TEST(a_head_that_grows),
        TEST(frames_of_unknown_types_are_free),
        TEST(a_body_may_be_padded),
        TEST(time_makes_up_for_it),
        TEST(answers_make_up_for_it),
        TEST(what_we_reset_ourselves_is_free),
        TEST(a_reader_opens_windows),
        TEST(pings_at_decent_times_are_answered),
        TEST(the_third_ping_too_soon_is_one_too_many),
        TEST(what_we_send_takes_strikes_back),
        TEST(without_a_stream_pings_are_for_every_two_hours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
