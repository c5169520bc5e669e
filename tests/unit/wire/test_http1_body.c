/* Bodies: of a known length and in chunks, in odd pieces, too large, and
 * asked for with "Expect: 100-continue". */
#include <stdio.h>

#include "harness.h"

static struct peer peer;

static int set_up(void **state)
{
    (void)state;
    peer_init(&peer);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    peer_deinit(&peer);
    return 0;
}

#define CHUNKED \
    "PUT /hold HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"

/* The body that the api has got, and an end to its exchange. */
static void expect_body(struct slice body)
{
    assert_non_null(peer.held);
    assert_int_equal(peer.held->request.body.size, body.size);
    assert_memory_equal(peer.held->request.body.at, body.at, body.size);
    http_respond(peer.held, 200, NULL, 0, SLICE(""));
    peer.held = NULL;
    peer_expect_status(&peer, 200);
    assert_false(peer_is_finished(&peer));
}

/* ---- a known length ----------------------------------------------------- */

static void fill(struct buf *out, size_t size)
{
    for (size_t i = 0; i < size; i++)
        buf_append_char(out, (char)(i * 7 + i / 251));
}

static void a_large_body_in_pieces_of_all_sizes(void **state)
{
    (void)state;
    struct buf body = {0};
    size_t size = peer.config.body_bytes_max;
    fill(&body, size);
    char head[128];
    snprintf(head, sizeof head,
             "PUT /hold HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n",
             size);
    static const size_t steps[] = {1, 13, 4096, 65536, 1000 * 1000};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        peer_says(&peer, head);
        for (size_t at = 0; at < size; at += steps[i]) {
            size_t left = size - at;
            assert_null(peer.held);
            peer_input(&peer, slice_of(body.at + at,
                                       left < steps[i] ? left : steps[i]));
        }
        expect_body(buf_slice(&body));
    }
    buf_deinit(&body);
}

static void an_empty_body_is_no_wait(void **state)
{
    (void)state;
    peer_says(&peer, "PUT /hold HTTP/1.1\r\nHost: h\r\n"
                     "Content-Length: 0\r\n\r\n");
    expect_body(SLICE(""));
    peer_says(&peer, CHUNKED "0\r\n\r\n");
    expect_body(SLICE(""));
    peer_says(&peer, "DELETE /hold HTTP/1.0\r\nConnection: keep-alive\r\n"
                     "Content-Length: 00\r\n\r\n");
    expect_body(SLICE(""));
}

static void a_get_may_have_a_body(void **state)
{
    (void)state;
    peer_says(&peer, "GET /hold HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n"
                     "\r\nabGET /echo HTTP/1.1\r\nHost: h\r\n\r\n");
    expect_body(SLICE("ab"));
    assert_int_equal(peer.requests, 2);
}

static void what_follows_a_body_is_the_next_request(void **state)
{
    (void)state;
    peer_says(&peer, "PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n"
                     "\r\nabc");
    peer_says(&peer, "deGET /echo HTTP/1.1\r\nHost: h\r\n\r\n");
    peer_expect_seen(&peer, "PUT /echo ? [Host=h] [Content-Length=5] <abcde>\n"
                            "GET /echo ? [Host=h] <>\n");
}

/* ---- chunks ------------------------------------------------------------- */

static void chunks_become_one_body(void **state)
{
    (void)state;
    static const struct {
        const char *chunks, *body;
    } cases[] = {
        {"5\r\nhello\r\n0\r\n\r\n", "hello"},
        {"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world"},
        {"a\r\n0123456789\r\nA\r\n0123456789\r\n00\r\n\r\n",
         "01234567890123456789"},
        {"0000000000000001\r\nx\r\n0000000000000000\r\n\r\n", "x"},
        {"1;a\r\nx\r\n1;a=b;c=\"d\"\r\ny\r\n1 ;e\r\nz\r\n0;f\r\n\r\n", "xyz"},
        {"2\r\n\r\n\r\n0\r\n\r\n", "\r\n"},
        {"1\r\nx\r\n0\r\nA: b\r\nContent-Length: 9\r\n\r\n", "x"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        peer_says(&peer, CHUNKED);
        peer_says(&peer, cases[i].chunks);
        expect_body(slice_str(cases[i].body));
        peer_says(&peer, CHUNKED);
        for (const char *at = cases[i].chunks; *at; at++)
            peer_input(&peer, slice_of(at, 1));
        expect_body(slice_str(cases[i].body));
    }
}

static void many_chunks_of_all_sizes(void **state)
{
    (void)state;
    struct buf body = {0}, chunks = {0};
    for (size_t size = 1; size < 300; size++) {
        buf_append_hex(&chunks, size);
        buf_append_str(&chunks, "\r\n");
        size_t from = body.size;
        fill(&body, size);
        buf_append(&chunks, body.at + from, size);
        buf_append_str(&chunks, "\r\n");
    }
    buf_append_str(&chunks, "0\r\n\r\n");
    for (size_t step = 1; step < 2000; step = step * 3 + 1) {
        peer_says(&peer, CHUNKED);
        for (size_t at = 0; at < chunks.size; at += step) {
            size_t left = chunks.size - at;
            peer_input(&peer,
                       slice_of(chunks.at + at, left < step ? left : step));
        }
        expect_body(buf_slice(&body));
    }
    buf_deinit(&body);
    buf_deinit(&chunks);
}

static void bad_chunks_are_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "\r\n",
        "g\r\n",
        "-1\r\n",
        "+1\r\nx\r\n",
        "0x1\r\nx\r\n",
        " 1\r\nx\r\n",
        "1\nx\r\n0\r\n\r\n",
        "1\r\nx\n0\r\n\r\n",
        "1\rZx\r\n",
        "1;a\nx\r\n",
        "1;a\rZx\r\n",
        "1;\x01\r\nx\r\n",
        "1\r\nxy\r\n",
        "1\r\nx\rZ0\r\n\r\n",
        "1\r\nx0\r\n\r\n",
        "00000000000000001\r\nx\r\n",
        "0\r\nA: b\nC: d\r\n\r\n",
        "0\r\nA: \x7f\r\n\r\n",
        "0\r\n\rZ",
        "0\r\n\n",
        "0\n\r\n",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        peer_connect(&peer);
        peer_says(&peer, CHUNKED);
        peer_says(&peer, cases[i]);
        if (peer.held != NULL || http1_wants_input(peer.http1))
            fail_msg("accepted: %s", cases[i]);
        peer_expect_status(&peer, 400);
        assert_true(peer_is_finished(&peer));
    }
}

static void extensions_and_trailers_are_bounded(void **state)
{
    (void)state;
    for (int is_trailer = 0; is_trailer < 2; is_trailer++) {
        peer_connect(&peer);
        peer_says(&peer, CHUNKED);
        size_t size = 0;
        while (http1_wants_input(peer.http1)) {
            peer_says(&peer, is_trailer ? size ? "A: b\r\n" : "0\r\n"
                                        : "1;aaaa\r\nx\r\n");
            size += 4;
            assert_true(size < 3 * peer.config.head_bytes_max);
        }
        assert_true(size > peer.config.head_bytes_max / 2);
        peer_expect_status(&peer, 400);
    }
}

/* ---- too large ---------------------------------------------------------- */

static void a_body_fits_to_the_byte(void **state)
{
    (void)state;
    struct buf body = {0};
    peer.config.body_bytes_max = 10;
    peer_connect(&peer);
    fill(&body, 10);
    peer_says(&peer, "PUT /hold HTTP/1.1\r\nHost: h\r\n"
                     "Content-Length: 10\r\n\r\n");
    peer_input(&peer, buf_slice(&body));
    expect_body(buf_slice(&body));
    peer_says(&peer, CHUNKED "4\r\n");
    peer_input(&peer, slice_of(body.at, 4));
    peer_says(&peer, "\r\n6\r\n");
    peer_input(&peer, slice_of(body.at + 4, 6));
    peer_says(&peer, "\r\n0\r\n\r\n");
    expect_body(buf_slice(&body));
    buf_deinit(&body);
}

static void a_body_too_large_is_not_read(void **state)
{
    (void)state;
    peer.config.body_bytes_max = 10;
    static const char *const cases[] = {
        "PUT /hold HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n",
        CHUNKED "b\r\n",
        CHUNKED "4\r\nabcd\r\n7\r\n",
        CHUNKED "ffffffffffffffff\r\n",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        peer_connect(&peer);
        peer_says(&peer, cases[i]);
        peer_expect(&peer, "HTTP/1.1 413 Request Entity Too Large\r\n"
                           "Content-Type: text/plain; charset=utf-8\r\n"
                           "Content-Length: 28\r\nConnection: close\r\n\r\n"
                           "413 Request Entity Too Large");
        /* The peer must be able to read it: what it still sends is thrown
         * away, for a while. */
        assert_false(peer_is_finished(&peer));
        assert_true(http1_wants_input(peer.http1));
        peer_says(&peer, "GET /echo HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_int_equal(http1_deadline_ms(peer.http1), peer.now_ms + 500);
        http1_timeout(peer.http1, peer.now_ms + 499);
        assert_false(peer_is_finished(&peer));
        http1_timeout(peer.http1, peer.now_ms + 500);
        assert_true(peer_is_finished(&peer));
        assert_int_equal(peer.requests, 0);
    }
}

/* ---- no memory ---------------------------------------------------------- */

/* Fails each allocation in turn that a body's size makes necessary. */
static void a_body_without_memory_is_refused(void **state)
{
    (void)state;
    struct buf body = {0};
    fill(&body, 60 * 1000);
    static const char *const heads[] = {
        "PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 60000\r\n\r\n",
        "PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 90000\r\n\r\n",
        ("PUT /echo HTTP/1.1\r\nHost: h\r\n"
         "Transfer-Encoding: chunked\r\n\r\nea60\r\n"),
    };
    int refused = 0;
    for (size_t i = 0; i < 3; i++) {
        for (uint64_t n = 1; n > 0; n++) {
            struct buf whole = {0};
            peer_connect(&peer);
            buf_append_str(&whole, heads[i]);
            buf_append(&whole, body.at, i == 2 ? 50 * 1000 : body.size);
            mem_fail_after(n);
            peer_input(&peer, buf_slice(&whole));
            peer_input(&peer, slice_of(body.at, 20 * 1000));
            bool failed = mem_fail_after(0) >= n;
            buf_deinit(&whole);
            if (!failed)
                break;
            peer_expect_status(&peer, 503);
            refused++;
        }
    }
    assert_in_range(refused, 3, 20);
    buf_deinit(&body);
}

/* ---- Expect ------------------------------------------------------------- */

#define EXPECT(version, length)                                         \
    "PUT /hold HTTP/" version "\r\nHost: h\r\nExpect: 100-Continue\r\n" \
    "Connection: keep-alive\r\nContent-Length: " length "\r\n\r\n"

static void who_asks_is_told_to_go_on(void **state)
{
    (void)state;
    peer_says(&peer, EXPECT("1.1", "5"));
    peer_expect(&peer, "HTTP/1.1 100 Continue\r\n\r\n");
    peer_says(&peer, "hello");
    expect_body(SLICE("hello"));
    peer_says(&peer, "PUT /hold HTTP/1.1\r\nHost: h\r\nExpect: 100-continue"
                     "\r\nTransfer-Encoding: chunked\r\n\r\n");
    peer_expect(&peer, "HTTP/1.1 100 Continue\r\n\r\n");
    peer_says(&peer, "1\r\nx\r\n0\r\n\r\n");
    expect_body(SLICE("x"));
}

static void who_needs_not_be_told_is_not(void **state)
{
    (void)state;
    peer_says(&peer, EXPECT("1.1", "5") "he");
    peer_expect(&peer, "");
    peer_says(&peer, "llo");
    expect_body(SLICE("hello"));
    peer_says(&peer, EXPECT("1.1", "5") "hello");
    expect_body(SLICE("hello"));
    peer_says(&peer, EXPECT("1.1", "0"));
    expect_body(SLICE(""));
    peer_says(&peer, EXPECT("1.0", "5"));
    peer_expect(&peer, "");
    peer_says(&peer, "hello");
    assert_non_null(peer.held);
}

static void who_asks_for_too_much_is_told_so(void **state)
{
    (void)state;
    peer_says(&peer, EXPECT("1.1", "100001"));
    peer_expect_status(&peer, 413);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_large_body_in_pieces_of_all_sizes),
        TEST(an_empty_body_is_no_wait),
        TEST(a_get_may_have_a_body),
        TEST(what_follows_a_body_is_the_next_request),
        TEST(chunks_become_one_body),
        TEST(many_chunks_of_all_sizes),
        TEST(bad_chunks_are_refused),
        TEST(extensions_and_trailers_are_bounded),
        TEST(a_body_fits_to_the_byte),
        TEST(a_body_too_large_is_not_read),
        TEST(a_body_without_memory_is_refused),
        TEST(who_asks_is_told_to_go_on),
        TEST(who_needs_not_be_told_is_not),
        TEST(who_asks_for_too_much_is_told_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
