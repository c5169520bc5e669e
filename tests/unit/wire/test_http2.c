/* Whole requests and whole answers over HTTP/2, and what is refused. */
#include "http2_harness.h"

#include <stdio.h>

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

static const char *header(int32_t id, const char *name)
{
    static char value[256];
    return h2_value(&h2_answer_of(&peer, id)->headers, name, value,
                    sizeof value);
}

/* ---- the preface -------------------------------------------------------- */

static void the_preface_is_told_from_anything_else(void **state)
{
    (void)state;
    struct slice preface = SLICE(NGHTTP2_CLIENT_MAGIC);
    for (size_t size = 0; size < preface.size; size++)
        assert_int_equal(http2_is_preface(slice_of(preface.at, size)),
                         HTTP2_PREFACE_MORE);
    assert_int_equal(http2_is_preface(preface), HTTP2_PREFACE_YES);
    assert_int_equal(http2_is_preface(SLICE(NGHTTP2_CLIENT_MAGIC "more")),
                     HTTP2_PREFACE_YES);
    assert_int_equal(http2_is_preface(SLICE("G")), HTTP2_PREFACE_NO);
    assert_int_equal(http2_is_preface(SLICE("PUT")), HTTP2_PREFACE_NO);
    assert_int_equal(http2_is_preface(SLICE("PRI * HTTP/1.1\r\n")),
                     HTTP2_PREFACE_NO);
    assert_int_equal(
        http2_is_preface(SLICE("GET / HTTP/1.1\r\nHost: long\r\n")),
        HTTP2_PREFACE_NO);
    assert_int_equal(http2_is_preface(SLICE("\x16\x03\x01")), HTTP2_PREFACE_NO);
}

static void our_settings_say_our_limits(void **state)
{
    (void)state;
    assert_int_equal(peer.settings[NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS],
                     100);
    assert_int_equal(peer.settings[NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE],
                     4096);
    assert_int_equal(nghttp2_session_get_remote_window_size(peer.client),
                     HTTP2_WINDOW_BYTES);
}

/* ---- requests ----------------------------------------------------------- */

static void a_get_is_answered(void **state)
{
    (void)state;
    int32_t id = h2_get(&peer, "/echo/a%20b?c=d&e");
    h2_expect(&peer, id, 200, "GET /echo/a%20b ?c=d&e [host=h] <>\n");
    assert_string_equal(header(id, "content-length"), "35");
    assert_true(h2_answer_of(&peer, id)->closed);
    assert_int_equal(h2_answer_of(&peer, id)->code, NGHTTP2_NO_ERROR);
    assert_int_equal(peer.requests, 1);
}

static void a_body_comes_whole(void **state)
{
    (void)state;
    int32_t id = h2_ask(&peer, "PUT", "/echo", "value=1", "content-type",
                        "application/x-www-form-urlencoded", "content-length",
                        "7", (char *)NULL);
    h2_expect(&peer, id, 200,
              "PUT /echo ? [content-type=application/x-www-form-urlencoded] "
              "[content-length=7] [host=h] <value=1>\n");
    id = h2_ask(&peer, "POST", "/echo", "", (char *)NULL);
    h2_expect(&peer, id, 200, "POST /echo ? [host=h] <>\n");
}

static void a_body_that_comes_in_pieces_is_gathered(void **state)
{
    (void)state;
    int32_t id = h2_open(&peer, "/echo");
    h2_upload(&peer, id, "one ", false);
    h2_upload(&peer, id, "two ", false);
    assert_int_equal(peer.requests, 0);
    h2_upload(&peer, id, "", true);
    h2_expect(&peer, id, 200, "POST /echo ? [host=h] <one two >\n");
}

static void a_body_larger_than_all_windows_comes(void **state)
{
    (void)state;
    char *body = mem_alloc(900 * 1000 + 1);
    memset(body, 'x', 900 * 1000);
    body[900 * 1000] = '\0';
    for (int i = 0; i < 3; i++) {
        int32_t id = h2_open(&peer, "/size");
        h2_upload(&peer, id, body, true);
        h2_expect(&peer, id, 200, "900000");
    }
    assert_true(peer.window_updates > 3 * (900 / 64));
    mem_free(body);
}

static void a_host_that_is_given_counts(void **state)
{
    (void)state;
    int32_t id =
        h2_ask(&peer, "GET", "/echo", NULL, "host", "given", (char *)NULL);
    h2_expect(&peer, id, 200, "GET /echo ? [host=given] <>\n");
}

static void every_method_is_known(void **state)
{
    (void)state;
    static const char *const methods[] = {"GET",     "PUT",   "POST", "DELETE",
                                          "OPTIONS", "PATCH", "TRACE"};
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        char text[64];
        int32_t id = h2_ask(&peer, methods[i], "/echo", NULL, (char *)NULL);
        snprintf(text, sizeof text, "%s /echo ? [host=h] <>\n", methods[i]);
        h2_expect(&peer, id, 200, text);
    }
}

static void options_may_ask_for_no_path(void **state)
{
    (void)state;
    int32_t id = h2_ask(&peer, "OPTIONS", "*", NULL, (char *)NULL);
    h2_expect(&peer, id, 200, "OPTIONS * ? [host=h] <>\n");
}

static void trailers_of_a_request_are_nobodys(void **state)
{
    (void)state;
    struct buf frames = {0}, head = {0};
    const char *const pairs[] = {"x-sum", "1"};
    h2_connect_raw(&peer);
    h2_frame_get(&frames, 1, "/hold");
    frames.at[4] = NGHTTP2_FLAG_END_HEADERS;
    h2_frame(&frames, NGHTTP2_DATA, 0, 1, SLICE("ab"));
    h2_head(&head, pairs, 1);
    h2_frame(&frames, NGHTTP2_HEADERS,
             NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1,
             buf_slice(&head));
    h2_say(&peer, &frames);
    h2_expect_seen(&peer, "GET /hold ? [host=h] <ab>\n");
    http_respond(h2_held(&peer), 200, NULL, 0, SLICE(""));
    buf_deinit(&frames);
    buf_deinit(&head);
}

static void a_hundred_streams_at_once_are_all_answered(void **state)
{
    (void)state;
    int32_t ids[100];
    for (int i = 0; i < 100; i++)
        ids[i] = h2_get(&peer, i % 2 ? "/echo/odd" : "/big/5");
    for (int i = 0; i < 100; i++)
        h2_expect(&peer, ids[i], 200,
                  i % 2 ? "GET /echo/odd ? [host=h] <>\n" : "bbbbb");
}

static void a_stream_too_many_waits_at_the_client(void **state)
{
    (void)state;
    peer.config.streams_max = 2;
    h2_connect(&peer);
    h2_get(&peer, "/hold");
    h2_get(&peer, "/hold");
    int32_t third = h2_get(&peer, "/echo");
    h2_run(&peer);
    assert_int_equal(peer.requests, 2);
    http_respond(h2_held(&peer), 200, NULL, 0, SLICE("1"));
    h2_expect(&peer, third, 200, "GET /echo ? [host=h] <>\n");
}

/* ---- answers ------------------------------------------------------------ */

static void an_answer_that_comes_later(void **state)
{
    (void)state;
    int32_t first = h2_get(&peer, "/hold/1");
    int32_t second = h2_get(&peer, "/hold/2");
    h2_run(&peer);
    assert_int_equal(peer.held_count, 2);
    assert_int_equal(peer.outputs, 0);
    http_respond(peer.held[1], 404, NULL, 0, SLICE("second"));
    assert_int_equal(peer.outputs, 1);
    h2_expect(&peer, second, 404, "second");
    assert_false(h2_answer_of(&peer, first)->ended);
    http_respond(peer.held[0], 201, NULL, 0, SLICE("first"));
    h2_expect(&peer, first, 201, "first");
}

static void headers_are_small_and_of_the_connection_none(void **state)
{
    (void)state;
    const struct http_header headers[] = {
        {SLICE("Content-Type"), SLICE("application/json")},
        {SLICE("X-Etcd-Index"), SLICE("35")},
        {SLICE("Connection"), SLICE("close")},
        {SLICE("Transfer-Encoding"), SLICE("chunked")},
        {SLICE("X-Empty"), SLICE("")},
    };
    peer.date = SLICE("Thu, 01 Jan 1970 00:00:00 GMT");
    for (int i = 0; i < 3; i++) {
        int32_t id = h2_get(&peer, "/hold");
        http_respond(h2_held(&peer), 200, headers, 5, SLICE("{}"));
        peer.held_count = 0;
        h2_expect(&peer, id, 200, "{}");
        struct buf *got = &h2_answer_of(&peer, id)->headers;
        buf_append_char(got, '\0');
        assert_string_equal(got->at, "content-type=application/json\n"
                                     "x-etcd-index=35\n"
                                     "x-empty=\n"
                                     "date=Thu, 01 Jan 1970 00:00:00 GMT\n"
                                     "content-length=2\n");
    }
}

static void a_head_says_the_length_and_no_more(void **state)
{
    (void)state;
    int32_t id = h2_ask(&peer, "HEAD", "/big/777", NULL, (char *)NULL);
    h2_expect(&peer, id, 200, "");
    assert_string_equal(header(id, "content-length"), "777");
    id = h2_ask(&peer, "HEAD", "/make/3/100000", NULL, (char *)NULL);
    h2_expect(&peer, id, 200, "");
    assert_int_equal(peer.produced, 3);
    id = h2_ask(&peer, "HEAD", "/watch", NULL, (char *)NULL);
    http_send(h2_held(&peer), SLICE("never seen"));
    http_end(h2_held(&peer));
    h2_expect(&peer, id, 200, "");
}

static void no_content_has_no_length(void **state)
{
    (void)state;
    int32_t id = h2_get(&peer, "/empty");
    h2_expect(&peer, id, 204, "");
    assert_string_equal(header(id, "content-length"), "");
    id = h2_get(&peer, "/hold");
    http_begin(h2_held(&peer), 204, NULL, 0);
    http_send(h2_held(&peer), SLICE("never seen"));
    http_end(h2_held(&peer));
    h2_expect(&peer, id, 204, "");
}

static void an_empty_answer_ends_with_its_head(void **state)
{
    (void)state;
    int32_t id = h2_get(&peer, "/big/0");
    h2_expect(&peer, id, 200, "");
    assert_string_equal(header(id, "content-length"), "0");
    assert_int_equal(peer.data_frames, 0);
}

/* ---- refused with an answer --------------------------------------------- */

static void a_head_that_is_too_large_is_431(void **state)
{
    (void)state;
    char value[4096];
    memset(value, 'v', sizeof value);
    value[sizeof value - 1] = '\0';
    int32_t id =
        h2_ask(&peer, "GET", "/echo", NULL, "x-large", value, (char *)NULL);
    h2_expect(&peer, id, 431, "431 Request Header Fields Too Large");
    /* Up to the limit, which counts 32 more for each. */
    size_t rest = 4096 - 5 * 32 -
                  strlen(":methodGET:schemehttp:authorityh"
                         ":path/sizex-large");
    value[rest] = '\0';
    id = h2_ask(&peer, "GET", "/size", NULL, "x-large", value, (char *)NULL);
    h2_expect(&peer, id, 200, "0");
    value[rest] = 'v';
    value[rest + 1] = '\0';
    id = h2_ask(&peer, "GET", "/size", NULL, "x-large", value, (char *)NULL);
    h2_expect(&peer, id, 431, "431 Request Header Fields Too Large");
    assert_int_equal(peer.requests, 1);
}

static void too_many_headers_are_431(void **state)
{
    (void)state;
    peer.config.header_count_max = 3;
    h2_connect(&peer);
    int32_t id = h2_ask(&peer, "GET", "/echo", NULL, "a", "1", "b", "2", "c",
                        "3", (char *)NULL);
    h2_expect(&peer, id, 200, "GET /echo ? [a=1] [b=2] [c=3] [host=h] <>\n");
    id = h2_ask(&peer, "GET", "/echo", NULL, "a", "1", "b", "2", "c", "3", "d",
                "4", (char *)NULL);
    h2_expect(&peer, id, 431, "431 Request Header Fields Too Large");
}

static void a_body_that_is_too_large_is_413(void **state)
{
    (void)state;
    peer.config.body_bytes_max = 10;
    h2_connect(&peer);
    int32_t id = h2_ask(&peer, "PUT", "/size", "0123456789", "content-length",
                        "10", (char *)NULL);
    h2_expect(&peer, id, 200, "10");
    id = h2_ask(&peer, "PUT", "/size", "0123456789a", "content-length", "11",
                (char *)NULL);
    h2_expect(&peer, id, 413, "413 Request Entity Too Large");
    id = h2_ask(&peer, "PUT", "/size", "0123456789a", (char *)NULL);
    h2_expect(&peer, id, 413, "413 Request Entity Too Large");
    assert_int_equal(peer.requests, 1);
}

/* The client is told to stop, and its other streams don't notice. */
static void a_refused_body_that_goes_on_is_cut_off(void **state)
{
    (void)state;
    peer.config.body_bytes_max = 10;
    h2_connect(&peer);
    int32_t id = h2_open(&peer, "/size");
    h2_upload(&peer, id, "0123456789", false);
    h2_run(&peer);
    assert_int_equal(h2_answer_of(&peer, id)->status, 0);
    h2_upload(&peer, id, "a", false);
    h2_expect(&peer, id, 413, "413 Request Entity Too Large");
    h2_expect_reset(&peer, id, NGHTTP2_NO_ERROR);
    assert_int_equal(peer.resets, 1);
    id = h2_get(&peer, "/big/1");
    h2_expect(&peer, id, 200, "b");
}

static void a_path_that_is_none_is_400(void **state)
{
    (void)state;
    int32_t id = h2_ask(&peer, "GET", "/a#b", NULL, (char *)NULL);
    h2_expect(&peer, id, 400, "400 Bad Request");
    assert_int_equal(peer.requests, 0);
}

static void connect_is_501(void **state)
{
    (void)state;
    struct buf frames = {0}, head = {0};
    const char *const pairs[] = {":method", "CONNECT", ":authority", "h:1"};
    size_t at = 0;
    struct slice payload;
    uint32_t id;
    h2_connect_raw(&peer);
    h2_head(&head, pairs, 2);
    h2_frame(&frames, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1,
             buf_slice(&head));
    h2_say(&peer, &frames);
    h2_run(&peer);
    assert_true(h2_find(&peer, NGHTTP2_DATA, &at, &payload, &id));
    assert_true(slice_eq(payload, SLICE("501 Not Implemented")));
    buf_deinit(&frames);
    buf_deinit(&head);
}

static void an_expectation_is_met_or_417(void **state)
{
    (void)state;
    int32_t id = h2_ask(&peer, "PUT", "/echo", "body", "expect", "100-continue",
                        (char *)NULL);
    h2_expect(&peer, id, 200,
              "PUT /echo ? [expect=100-continue] [host=h] <body>\n");
    assert_int_equal(h2_answer_of(&peer, id)->heads, 2);
    id = h2_ask(&peer, "PUT", "/echo", "body", "expect", "miracles",
                (char *)NULL);
    h2_expect(&peer, id, 417, "417 Expectation Failed");
}

/* Whichever try fails; the connection goes on. */
static void no_memory_for_a_body_is_503(void **state)
{
    (void)state;
    char body[3001];
    memset(body, 'x', 3000);
    body[3000] = '\0';
    uint64_t tries, n = 0;
    do {
        mem_fail_after(++n);
        int32_t id = h2_open(&peer, "/size");
        for (int i = 0; i < 10; i++)
            h2_upload(&peer, id, body, i == 9);
        tries = mem_fail_after(0);
        if (tries >= n)
            h2_expect(&peer, id, 503, "503 Service Unavailable");
        else
            h2_expect(&peer, id, 200, "30000");
    } while (tries >= n);
    assert_in_range(n, 3, 10);
    assert_int_equal(peer.requests, 1);
}

/* ---- malformed: a stream error ------------------------------------------ */

static void expect_malformed(const char *const *pairs, size_t count)
{
    struct buf frames = {0}, head = {0};
    h2_connect_raw(&peer);
    h2_head(&head, pairs, count);
    h2_frame(&frames, NGHTTP2_HEADERS,
             NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1,
             buf_slice(&head));
    h2_frame_get(&frames, 3, "/hold");
    h2_say(&peer, &frames);
    h2_run(&peer);
    assert_int_equal(h2_raw_reset(&peer, 1), NGHTTP2_PROTOCOL_ERROR);
    assert_int_equal(h2_raw_away(&peer), -1);
    /* The next one is served. */
    h2_expect_seen(&peer, "GET /hold ? [host=h] <>\n");
    http_respond(h2_held(&peer), 200, NULL, 0, SLICE(""));
    buf_deinit(&frames);
    buf_deinit(&head);
}

#define GOOD \
    ":method", "GET", ":scheme", "http", ":path", "/hold", ":authority", "h"
#define EXPECT_MALFORMED(...)                                      \
    do {                                                           \
        const char *const pairs[] = {__VA_ARGS__};                 \
        expect_malformed(pairs, sizeof pairs / sizeof *pairs / 2); \
    } while (0)

static void malformed_heads_are_reset(void **state)
{
    (void)state;
    EXPECT_MALFORMED(":method", "GET", ":scheme", "http", ":authority", "h");
    EXPECT_MALFORMED(":scheme", "http", ":path", "/", ":authority", "h");
    EXPECT_MALFORMED(":method", "GET", ":path", "/", ":authority", "h");
    EXPECT_MALFORMED(":method", "GET", ":scheme", "http", ":path", "/");
    EXPECT_MALFORMED(GOOD, ":method", "PUT");
    EXPECT_MALFORMED(GOOD, ":status", "200");
    EXPECT_MALFORMED(GOOD, ":unknown", "1");
    EXPECT_MALFORMED("a", "b", GOOD);
    EXPECT_MALFORMED(":method", "GET", ":scheme", "http", ":path", "",
                     ":authority", "h");
    /* CVE-2026-33186: rules about "/hold" would not have seen this one. */
    EXPECT_MALFORMED(":method", "GET", ":scheme", "http", ":path", "hold",
                     ":authority", "h");
    EXPECT_MALFORMED(":method", "GET", ":scheme", "http", ":path", "*",
                     ":authority", "h");
}

static void headers_of_a_connection_are_reset(void **state)
{
    (void)state;
    EXPECT_MALFORMED(GOOD, "connection", "close");
    EXPECT_MALFORMED(GOOD, "keep-alive", "timeout=5");
    EXPECT_MALFORMED(GOOD, "proxy-connection", "close");
    EXPECT_MALFORMED(GOOD, "transfer-encoding", "chunked");
    EXPECT_MALFORMED(GOOD, "upgrade", "h2c");
    EXPECT_MALFORMED(GOOD, "te", "gzip");
}

static void bad_bytes_in_headers_are_reset(void **state)
{
    (void)state;
    EXPECT_MALFORMED(GOOD, "Upper", "1");
    EXPECT_MALFORMED(GOOD, "sp ace", "1");
    EXPECT_MALFORMED(GOOD, "value", "a\nb");
    EXPECT_MALFORMED(GOOD, "value", " led by a space");
    EXPECT_MALFORMED(":method", "G T", ":scheme", "http", ":path", "/",
                     ":authority", "h");
}

static void bad_lengths_are_reset(void **state)
{
    (void)state;
    EXPECT_MALFORMED(GOOD, "content-length", "x");
    EXPECT_MALFORMED(GOOD, "content-length", "-1");
    EXPECT_MALFORMED(GOOD, "content-length", "5"); /* and no body */
    EXPECT_MALFORMED(GOOD, "content-length", "0", "content-length", "0");
    EXPECT_MALFORMED(GOOD, "content-length", "99999999999999999999");
}

static void expect_host(const char *authority, const char *seen)
{
    const char *const pairs[] = {":method", "GET",   ":scheme",    "http",
                                 ":path",   "/hold", ":authority", authority};
    struct buf frames = {0}, head = {0};
    h2_connect_raw(&peer);
    h2_head(&head, pairs, 4);
    h2_frame(&frames, NGHTTP2_HEADERS,
             NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1,
             buf_slice(&head));
    h2_say(&peer, &frames);
    h2_run(&peer);
    h2_expect_seen(&peer, seen);
    http_respond(h2_held(&peer), 200, NULL, 0, SLICE(""));
    buf_deinit(&frames);
    buf_deinit(&head);
}

/* As clients of etcd send it whose endpoint is a URL. */
static void an_authority_may_be_a_url(void **state)
{
    (void)state;
    expect_host("http://127.0.0.1:2379",
                "GET /hold ? [host=http://127.0.0.1:2379] <>\n");
}

/* As HTTP/1.1 has it with a Host that is empty: who checks it must see it. */
static void an_empty_authority_is_an_empty_host(void **state)
{
    (void)state;
    expect_host("", "GET /hold ? [host=] <>\n");
}

static void trailers_end_a_request(void **state)
{
    static const char *const bad[][2] = {{":path", "/"}, {"Upper", "1"}};
    (void)state;
    for (int i = 0; i < 4; i++) {
        static const char *const post[] = {":method",    "POST",  ":scheme",
                                           "http",       ":path", "/hold",
                                           ":authority", "h"};
        static const char *const good[] = {"a", "b"};
        struct buf frames = {0}, head = {0};
        const char *const *pair = i < 2 ? bad[i] : good;
        uint8_t end = i == 2 ? 0 : NGHTTP2_FLAG_END_STREAM;
        h2_connect_raw(&peer);
        h2_head(&head, post, 4);
        h2_frame(&frames, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1,
                 buf_slice(&head));
        buf_reset(&head);
        h2_head(&head, pair, 1);
        h2_frame(&frames, NGHTTP2_HEADERS,
                 (uint8_t)(NGHTTP2_FLAG_END_HEADERS | end), 1,
                 buf_slice(&head));
        h2_say(&peer, &frames);
        h2_run(&peer);
        if (i == 3)
            http_respond(h2_held(&peer), 200, NULL, 0, SLICE(""));
        else
            assert_int_equal(h2_raw_reset(&peer, 1), NGHTTP2_PROTOCOL_ERROR);
        buf_deinit(&frames);
        buf_deinit(&head);
    }
}

static void te_may_be_trailers(void **state)
{
    (void)state;
    int32_t id =
        h2_ask(&peer, "GET", "/echo", NULL, "te", "trailers", (char *)NULL);
    h2_expect(&peer, id, 200, "GET /echo ? [te=trailers] [host=h] <>\n");
}

static void a_body_of_another_length_is_reset(void **state)
{
    (void)state;
    int32_t id = h2_ask(&peer, "PUT", "/echo", "four", "content-length", "5",
                        (char *)NULL);
    h2_expect_reset(&peer, id, NGHTTP2_PROTOCOL_ERROR);
    id = h2_ask(&peer, "PUT", "/echo", "four", "content-length", "3",
                (char *)NULL);
    h2_expect_reset(&peer, id, NGHTTP2_PROTOCOL_ERROR);
    assert_int_equal(peer.requests, 0);
    assert_false(peer.went_away);
}

static void every_byte_may_come_alone(void **state)
{
    (void)state;
    struct buf frames = {0};
    struct slice payload;
    uint32_t id;
    size_t at = 0;
    h2_connect_raw(&peer);
    h2_frame_get(&frames, 1, "/big/3");
    for (size_t i = 0; i < frames.size; i++)
        h2_input(&peer, slice_of(frames.at + i, 1));
    h2_run(&peer);
    assert_true(h2_find(&peer, NGHTTP2_DATA, &at, &payload, &id));
    assert_true(slice_eq(payload, SLICE("bbb")));
    buf_deinit(&frames);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_preface_is_told_from_anything_else),
        TEST(our_settings_say_our_limits),
        TEST(a_get_is_answered),
        TEST(a_body_comes_whole),
        TEST(a_body_that_comes_in_pieces_is_gathered),
        TEST(a_body_larger_than_all_windows_comes),
        TEST(a_host_that_is_given_counts),
        TEST(every_method_is_known),
        TEST(options_may_ask_for_no_path),
        TEST(trailers_of_a_request_are_nobodys),
        TEST(a_hundred_streams_at_once_are_all_answered),
        TEST(a_stream_too_many_waits_at_the_client),
        TEST(an_answer_that_comes_later),
        TEST(headers_are_small_and_of_the_connection_none),
        TEST(a_head_says_the_length_and_no_more),
        TEST(no_content_has_no_length),
        TEST(an_empty_answer_ends_with_its_head),
        TEST(a_head_that_is_too_large_is_431),
        TEST(too_many_headers_are_431),
        TEST(a_body_that_is_too_large_is_413),
        TEST(a_refused_body_that_goes_on_is_cut_off),
        TEST(a_path_that_is_none_is_400),
        TEST(connect_is_501),
        TEST(an_expectation_is_met_or_417),
        TEST(no_memory_for_a_body_is_503),
        TEST(malformed_heads_are_reset),
        TEST(headers_of_a_connection_are_reset),
        TEST(bad_bytes_in_headers_are_reset),
        TEST(bad_lengths_are_reset),
        TEST(te_may_be_trailers),
        TEST(an_authority_may_be_a_url),
        TEST(an_empty_authority_is_an_empty_host),
        TEST(trailers_end_a_request),
        TEST(a_body_of_another_length_is_reset),
        TEST(every_byte_may_come_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
