/* Requests that come in every form they may come in, and the answers byte by
 * byte. */
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

/* ---- one request, one answer -------------------------------------------- */

static void a_get_is_answered(void **state)
{
    (void)state;
    peer_says(&peer, "GET /echo?a=1&b HTTP/1.1\r\nHost: here\r\n\r\n");
    peer_expect_seen(&peer, "GET /echo ?a=1&b [Host=here] <>\n");
    peer_expect(&peer, "HTTP/1.1 200 OK\r\nContent-Length: 32\r\n\r\n"
                       "GET /echo ?a=1&b [Host=here] <>\n");
    assert_false(peer_is_finished(&peer));
    assert_int_equal(peer.outputs, 0);
}

static void a_put_has_its_body(void **state)
{
    (void)state;
    peer_says(&peer, "PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 7\r\n"
                     "\r\nvalue=x");
    peer_expect_seen(&peer,
                     "PUT /echo ? [Host=h] [Content-Length=7] <value=x>\n");
    peer_expect_status(&peer, 200);
}

static void each_method_has_its_name(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum http_method method;
    } methods[] = {
        {"GET", HTTP_GET},        {"HEAD", HTTP_HEAD},
        {"PUT", HTTP_PUT},        {"POST", HTTP_POST},
        {"DELETE", HTTP_DELETE},  {"OPTIONS", HTTP_OPTIONS},
        {"PATCH", HTTP_PATCH},    {"TRACE", HTTP_OTHER},
        {"PROPFIND", HTTP_OTHER},
    };
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        char text[128];
        snprintf(text, sizeof text, "%s /hold HTTP/1.1\r\nHost: h\r\n\r\n",
                 methods[i].text);
        peer_says(&peer, text);
        const struct http_request *request = &peer.held->request;
        assert_int_equal(request->method, methods[i].method);
        assert_true(slice_eq(request->method_text, slice_str(methods[i].text)));
        assert_true(slice_eq(request->peer, SLICE("127.0.0.1:4711")));
        http_respond(peer.held, 200, NULL, 0, SLICE(""));
        peer.held = NULL;
        peer_expect_status(&peer, 200);
    }
}

static void headers_are_written_as_given(void **state)
{
    (void)state;
    const struct http_header headers[] = {
        {SLICE("X-Etcd-Index"), SLICE("7")},
        {SLICE("Empty"), SLICE("")},
    };
    peer.date = SLICE("Thu, 01 Jan 1970 00:00:00 GMT");
    peer_says(&peer, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
    http_respond(peer.held, 404, headers, 2, SLICE("no"));
    peer_expect(&peer, "HTTP/1.1 404 Not Found\r\nX-Etcd-Index: 7\r\n"
                       "Empty: \r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
                       "Content-Length: 2\r\n\r\nno");
}

static void a_status_without_a_name_is_written(void **state)
{
    (void)state;
    peer_says(&peer, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
    http_respond(peer.held, 599, NULL, 0, SLICE(""));
    peer_expect(&peer, "HTTP/1.1 599 Unknown\r\nContent-Length: 0\r\n\r\n");
}

static void a_head_has_no_body(void **state)
{
    (void)state;
    peer_says(&peer, "HEAD /echo HTTP/1.1\r\nHost: h\r\n\r\n"
                     "GET /empty HTTP/1.1\r\nHost: h\r\n\r\n");
    peer_expect(&peer, "HTTP/1.1 200 OK\r\nContent-Length: 25\r\n\r\n"
                       "HTTP/1.1 204 No Content\r\n\r\n");
}

/* ---- the connection after it -------------------------------------------- */

static void the_connection_is_kept_or_closed(void **state)
{
    (void)state;
    static const struct {
        const char *request, *answer;
        bool closes;
    } cases[] = {
        {"GET /empty HTTP/1.1\r\nHost: h\r\n\r\n",
         "HTTP/1.1 204 No Content\r\n\r\n", false},
        {"GET /empty HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
         "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", true},
        {"GET /empty HTTP/1.1\r\nHost: h\r\nconnection: TE, Close\r\n\r\n",
         "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", true},
        {"GET /empty HTTP/1.0\r\n\r\n",
         "HTTP/1.0 204 No Content\r\nConnection: close\r\n\r\n", true},
        {"GET /empty HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
         "HTTP/1.0 204 No Content\r\nConnection: keep-alive\r\n\r\n", false},
        {"GET /empty HTTP/1.2\r\nHost: h\r\n\r\n",
         "HTTP/1.1 204 No Content\r\n\r\n", false},
        /* An offer to change to another protocol is not taken up. */
        {"GET /empty HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\n"
         "Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AA\r\n\r\n",
         "HTTP/1.1 204 No Content\r\n\r\n", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        peer_connect(&peer);
        peer_says(&peer, cases[i].request);
        assert_false(peer_is_finished(&peer) && cases[i].closes);
        peer_expect(&peer, cases[i].answer);
        assert_int_equal(peer_is_finished(&peer), cases[i].closes);
        assert_int_equal(http1_wants_input(peer.http1), !cases[i].closes);
    }
}

static void what_follows_a_close_is_not_read(void **state)
{
    (void)state;
    peer_says(&peer, "GET /empty HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
                     "\r\nGET /echo HTTP/1.1\r\nHost: h\r\n\r\n");
    peer_says(&peer, "GET /echo HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(peer.requests, 1);
    peer_expect(&peer, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    assert_true(peer_is_finished(&peer));
}

/* ---- the target --------------------------------------------------------- */

static void targets_become_path_and_query(void **state)
{
    (void)state;
    static const struct {
        const char *request_line, *path, *query;
    } cases[] = {
        {"GET / HTTP/1.1", "/", ""},
        {"GET /? HTTP/1.1", "/", ""},
        {"GET /a%2Fb/../c?x=1?y HTTP/1.1", "/a%2Fb/../c", "x=1?y"},
        {"GET //evil/path HTTP/1.1", "//evil/path", ""},
        {"GET /caf\xc3\xa9 HTTP/1.1", "/caf\xc3\xa9", ""},
        {"GET http://host/a/b?c HTTP/1.1", "/a/b", "c"},
        {"GET HTTPS://host:2379/a HTTP/1.1", "/a", ""},
        {"GET http://host HTTP/1.1", "/", ""},
        {"GET http://host?q HTTP/1.1", "/", "q"},
        {"OPTIONS * HTTP/1.1", "*", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char expected[256];
        peer_says(&peer, cases[i].request_line);
        peer_says(&peer, "\r\nHost: h\r\n\r\n");
        snprintf(expected, sizeof expected, "%.*s %s ?%s [Host=h] <>\n",
                 (int)strcspn(cases[i].request_line, " "),
                 cases[i].request_line, cases[i].path, cases[i].query);
        peer_expect_seen(&peer, expected);
        peer_expect_status(&peer, 200);
    }
}

static void values_lose_the_blanks_around_them(void **state)
{
    (void)state;
    peer_says(&peer, "\r\nGET /echo HTTP/1.1\r\nHost:h\r\nA: \t b\tc \t\r\n"
                     "Empty:\r\nBlank: \t\r\nHigh: \xff\xc3\xa9\r\n\r\n");
    peer_expect_seen(&peer, "GET /echo ? [Host=h] [A=b\tc] [Empty=] [Blank=] "
                            "[High=\xff\xc3\xa9] <>\n");
}

static void bare_line_feeds_end_a_heads_lines(void **state)
{
    (void)state;
    peer_says(&peer, "GET /echo HTTP/1.1\nHost: h\nEmpty:\nX: y\n\n");
    peer_expect_seen(&peer, "GET /echo ? [Host=h] [Empty=] [X=y] <>\n");
}

/* ---- refusals ----------------------------------------------------------- */

struct refused {
    int status;
    const char *request;
};

#define GET11 "GET /echo HTTP/1.1\r\nHost: h\r\n"
#define PUT11 "PUT /echo HTTP/1.1\r\nHost: h\r\n"

static const struct refused refused[] = {
    /* no request at all */
    {400, "\x16\x03\x01\x02"},
    {400, " GET /echo HTTP/1.1\r\n"},
    {400, "GET\t/echo HTTP/1.1\r\n"},
    {501, "BREW /echo HTTP/1.1\r\n"},
    {501, "get /echo HTTP/1.1\r\n"},
    {501, "CONNECT host:80 HTTP/1.1\r\nHost: h\r\n\r\n"},
    {501, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
    /* versions */
    {400, "GET /echo\r\n\r\n"},
    {400, "GET /echo HTTQ/1.1\r\nHost: h\r\n\r\n"},
    {400, "GET /echo HTTP/1\r\nHost: h\r\n\r\n"},
    {400, "GET /echo HTTP/11.1\r\n"},
    {400, "GET /echo HTTP/1.1 x\r\n"},
    {505, "GET /echo HTTP/2.0\r\nHost: h\r\n\r\n"},
    {505, "GET /echo HTTP/3.1\r\nHost: h\r\n\r\n"},
    /* targets */
    {400, "GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n"},
    {400, "GET * HTTP/1.1\r\nHost: h\r\n\r\n"},
    {400, "OPTIONS *x HTTP/1.1\r\nHost: h\r\n\r\n"},
    {400, "GET echo HTTP/1.1\r\nHost: h\r\n\r\n"},
    {400, "GET ftp://host/a HTTP/1.1\r\nHost: h\r\n\r\n"},
    {400, "GET http:///a HTTP/1.1\r\nHost: h\r\n\r\n"},
    {400, "GET /a\x01 HTTP/1.1\r\nHost: h\r\n\r\n"},
    {400, "GET /a\tb HTTP/1.1\r\nHost: h\r\n\r\n"},
    {400, "GET /a\x7f HTTP/1.1\r\nHost: h\r\n\r\n"},
    /* header lines */
    {400, GET11 "X y: z\r\n\r\n"},
    {400, GET11 "X : z\r\n\r\n"},
    {400, GET11 "X\t: z\r\n\r\n"},
    {400, GET11 ": z\r\n\r\n"},
    {400, GET11 "X\r\n\r\n"},
    {400, GET11 "X(: z\r\n\r\n"},
    {400, GET11 "X\x80: z\r\n\r\n"},
    {400, GET11 "X: a\x01z\r\n\r\n"},
    {400, GET11 "X: \x01\r\n\r\n"},
    {400, GET11 "X: a long one that is fine up to\x1f here\r\n\r\n"},
    {400, GET11 "X: a long one that is fine up to\x7f here\r\n\r\n"},
    {400, GET11 "X: a\rb\r\n\r\n"},
    {400, GET11 "X:\rZ y\r\n\r\n"},
    {400, GET11 "X: y\r\n\rZ"},
    {400, "GET  /echo HTTP/1.1\r\nHost: h\r\n\r\n"},
    {400, "GET /echo  HTTP/1.1\r\nHost: h\r\n\r\n"},
    {400, GET11 " X: folded\r\n\r\n"},
    {400, GET11 "X: a\r\n b\r\n\r\n"},
    {400, GET11 "X: a\r\n\tb\r\n\r\n"},
    {400, GET11 "X:\r\n b\r\n\r\n"},
    {400, GET11 "X:\r\n \r\n\r\n"},
    {400, GET11 "X: a\r\n \r\n\r\n"},
    /* hosts */
    {400, "GET /echo HTTP/1.1\r\n\r\n"},
    {400, "GET /echo HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"},
    {400, "GET /echo HTTP/1.1\r\nHost: a b\r\n\r\n"},
    {400, "GET /echo HTTP/1.1\r\nHost: a/b\r\n\r\n"},
    /* one stream, two readings */
    {400, PUT11 "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"},
    {400, PUT11 "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"},
    {400, PUT11 "Content-Length: 3, 3\r\n\r\nabc"},
    {400, PUT11 "Content-Length: +3\r\n\r\nabc"},
    {400, PUT11 "Content-Length: -3\r\n\r\nabc"},
    {400, PUT11 "Content-Length: 0x3\r\n\r\nabc"},
    {400, PUT11 "Content-Length: 3 3\r\n\r\nabc"},
    {400, PUT11 "Content-Length: 3\r\n 3\r\n\r\nabc"},
    {400, PUT11 "Content-Length:\r\n\r\nabc"},
    {400, PUT11 "Content-Length : 3\r\n\r\nabc"},
    {400, PUT11 "Content-Length: 99999999999999999999\r\n\r\n"},
    {400, PUT11 "Content-Length: 18446744073709551616\r\n\r\n"},
    {400, PUT11 "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
                "0\r\n\r\n"},
    {400, PUT11 "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"
                "0\r\n\r\n"},
    {400, PUT11 "Transfer-Encoding: x\r\nContent-Length: 5\r\n\r\n"},
    {400, PUT11 "Transfer-Encoding: chunked\r\n"
                "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
    {400, PUT11 "Transfer-Encoding: chunked\r\n"
                "Transfer-Encoding: identity\r\n\r\n0\r\n\r\n"},
    {400, PUT11 "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"},
    {400, PUT11 "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"},
    {400, PUT11 "Transfer-Encoding: \x0b"
                "chunked\r\n\r\n0\r\n\r\n"},
    {501, PUT11 "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"},
    {501, PUT11 "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"},
    {501, PUT11 "Transfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n"},
    {501, PUT11 "Transfer-Encoding: identity\r\n\r\n"},
    {501, PUT11 "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"},
    {501, PUT11 "Transfer-Encoding:\r\n\r\n0\r\n\r\n"},
    {400, "PUT /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"
          "0\r\n\r\n"},
    /* what is asked and can't be */
    {413, PUT11 "Content-Length: 100001\r\n\r\n"},
    {413, PUT11 "Content-Length: 999999999999999999\r\n\r\n"},
    {417, PUT11 "Expect: a-miracle\r\nContent-Length: 3\r\n\r\nabc"},
    {431, GET11 "1:\r\n2:\r\n3:\r\n4:\r\n5:\r\n6:\r\n7:\r\n8:\r\n9:\r\n"
                "a:\r\nb:\r\nc:\r\nd:\r\ne:\r\nf:\r\ng:\r\nh:\r\ni:\r\n"
                "j:\r\nk:\r\n\r\n"},
};

enum { REFUSED = sizeof refused / sizeof *refused };

static void what_is_no_request_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < REFUSED; i++) {
        peer_connect(&peer);
        peer_says(&peer, refused[i].request);
        if (peer.requests)
            fail_msg("accepted: %s", refused[i].request);
        peer_take_all(&peer);
        if (peer.sent.size == 0)
            fail_msg("not refused: %s", refused[i].request);
        peer_expect_status(&peer, refused[i].status);
        http1_input_end(peer.http1);
        assert_true(peer_is_finished(&peer));
    }
}

static void a_refusal_is_told_in_plain_text(void **state)
{
    (void)state;
    peer_says(&peer, "GET /echo HTTP/1.1\r\n\r\n");
    peer_expect(&peer, "HTTP/1.1 400 Bad Request\r\n"
                       "Content-Type: text/plain; charset=utf-8\r\n"
                       "Content-Length: 45\r\nConnection: close\r\n\r\n"
                       "400 Bad Request: missing required Host header");
    assert_true(peer_is_finished(&peer));
    peer_connect(&peer);
    peer_says(&peer, "nonsense!\r\n");
    peer_expect(&peer, "HTTP/1.1 501 Not Implemented\r\n"
                       "Content-Type: text/plain; charset=utf-8\r\n"
                       "Content-Length: 19\r\nConnection: close\r\n\r\n"
                       "501 Not Implemented");
}

static void a_refusal_comes_behind_the_answers_before_it(void **state)
{
    (void)state;
    peer_says(&peer, "GET /empty HTTP/1.1\r\nHost: h\r\n\r\n\x01\x02"
                     "GET /echo HTTP/1.1\r\nHost: h\r\n\r\n");
    peer_take_all(&peer);
    const char *begin = "HTTP/1.1 204 No Content\r\n\r\n"
                        "HTTP/1.1 400 Bad Request\r\n";
    assert_true(slice_has_prefix(buf_slice(&peer.sent), slice_str(begin)));
    assert_int_equal(peer.requests, 1);
    assert_true(peer_is_finished(&peer));
}

/* ---- limits of the head ------------------------------------------------- */

/* A head of exactly `size` bytes. */
static void make_head(struct buf *out, size_t size)
{
    buf_reset(out);
    buf_append_str(out, "GET /empty HTTP/1.1\r\nHost: h\r\nX: ");
    while (out->size < size - 4)
        buf_append_char(out, 'x');
    buf_append_str(out, "\r\n\r\n");
}

static void a_head_fits_to_the_byte(void **state)
{
    (void)state;
    struct buf head = {0};
    make_head(&head, peer.config.head_bytes_max);
    peer_input(&peer, buf_slice(&head));
    peer_expect_status(&peer, 204);

    make_head(&head, peer.config.head_bytes_max + 1);
    peer_input(&peer, buf_slice(&head));
    peer_expect_status(&peer, 431);

    for (size_t i = 0; i < 2; i++) {
        peer_connect(&peer);
        make_head(&head, peer.config.head_bytes_max + i);
        for (size_t at = 0; at < head.size; at++)
            peer_input(&peer, slice_of(head.at + at, 1));
        peer_expect_status(&peer, i == 0 ? 204 : 431);
    }
    buf_deinit(&head);
}

static void as_many_headers_as_allowed(void **state)
{
    (void)state;
    for (size_t more = 0; more < 2; more++) {
        peer_connect(&peer);
        peer_says(&peer, "GET /empty HTTP/1.1\r\nHost: h\r\n");
        for (size_t i = 1; i < peer.config.header_count_max + more; i++)
            peer_says(&peer, "X: y\r\n");
        peer_says(&peer, "\r\n");
        peer_expect_status(&peer, more ? 431 : 204);
    }
}

static void a_head_without_end_is_refused_while_it_comes(void **state)
{
    (void)state;
    peer_says(&peer, "GET /");
    for (size_t i = 0; i < peer.config.head_bytes_max; i++)
        peer_says(&peer, "a");
    peer_expect_status(&peer, 431);
    assert_false(peer_is_finished(&peer));
    peer_says(&peer, "and so on, which is thrown away");
    http1_input_end(peer.http1);
    assert_true(peer_is_finished(&peer));
}

/* ---- split everywhere --------------------------------------------------- */

static const char *const streams[] = {
    "GET /echo?a=1 HTTP/1.1\r\nHost: localhost:2379\r\n"
    "User-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n",
    "\r\nPUT /echo HTTP/1.1\r\nHost: h\r\nEmpty:\r\nBlank: \r\n"
    "Content-Length: 11\r\n\r\nvalue=hello",
    "PUT /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n"
    "5\r\nhello\r\nA;ext=\"x\"\r\n, chunked \r\n006 \r\nworld!\r\n"
    "0\r\nTrailer: t\r\n\r\n",
    "GET /echo HTTP/1.1\r\nHost: a\r\n\r\nHEAD /echo HTTP/1.1\r\n"
    "Host: b\r\n\r\nPOST /empty HTTP/1.1\r\nHost: c\r\nContent-Length: 2\r\n"
    "\r\nxyGET /make/3/10 HTTP/1.1\r\nHost: d\r\n\r\n"
    "GET /echo HTTP/1.1\r\nHost: e\r\nConnection: close\r\n\r\nignored",
    "GET /make/2/5 HTTP/1.0\r\nConnection: keep-alive\r\n\r\nignored",
    "GET /echo HTTP/1.1\nHost: h\nX: y\n\nGET /echo HTTP/1.1\r\n"
    "Host: h\r\n\r\n",
    PUT11 "Content-Length: 100001\r\n\r\nignored",
    PUT11 "Transfer-Encoding: chunked\r\n\r\n186a1\r\nignored",
    PUT11 "Transfer-Encoding: chunked\r\n\r\n3\r\nabcX\r\n0\r\n\r\n",
};

enum { STREAMS = sizeof streams / sizeof *streams };

/* Everything the peer got and the api saw, as one text. */
static void record(struct buf *out)
{
    peer_take_all(&peer);
    buf_reset(out);
    buf_append_slice(out, buf_slice(&peer.sent));
    buf_append_str(out, "\n----\n");
    buf_append_slice(out, buf_slice(&peer.seen));
    buf_append_str(out, peer_is_finished(&peer) ? "finished" : "goes on");
    buf_append_char(out, '\0');
    buf_reset(&peer.sent);
    buf_reset(&peer.seen);
}

static void expect_same_in_two_parts(struct slice stream, const char *whole)
{
    struct buf parts = {0};
    for (size_t at = 0; at <= stream.size; at++) {
        peer_connect(&peer);
        peer_input(&peer, slice_of(stream.at, at));
        peer_input(&peer, slice_of(stream.at + at, stream.size - at));
        record(&parts);
        assert_string_equal(parts.at, whole);
    }
    buf_deinit(&parts);
}

static void expect_same_in_steps(struct slice stream, size_t step,
                                 const char *whole)
{
    struct buf parts = {0};
    peer_connect(&peer);
    for (size_t at = 0; at < stream.size; at += step) {
        size_t size = stream.size - at < step ? stream.size - at : step;
        peer_input(&peer, slice_of(stream.at + at, size));
        peer_take_all(&peer);
    }
    record(&parts);
    assert_string_equal(parts.at, whole);
    buf_deinit(&parts);
}

static void expect_same_however_split(const char *text)
{
    struct buf whole = {0};
    struct slice stream = slice_str(text);
    peer_connect(&peer);
    peer_input(&peer, stream);
    record(&whole);
    expect_same_in_two_parts(stream, whole.at);
    for (size_t step = 1; step < 8; step++)
        expect_same_in_steps(stream, step, whole.at);
    buf_deinit(&whole);
}

static void a_split_changes_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < STREAMS; i++)
        expect_same_however_split(streams[i]);
    for (size_t i = 0; i < REFUSED; i++)
        expect_same_however_split(refused[i].request);
}

/* ---- pipelining --------------------------------------------------------- */

enum { MANY = 5000 };

static void thousands_in_one_input(void **state)
{
    (void)state;
    struct buf all = {0};
    for (int i = 0; i < MANY; i++)
        buf_append_str(&all, "GET /empty HTTP/1.1\r\nHost: h\r\n\r\n");
    peer_input(&peer, buf_slice(&all));
    assert_int_equal(peer.requests, MANY);
    peer_take_all(&peer);
    assert_int_equal(peer.sent.size,
                     MANY * strlen("HTTP/1.1 204 No Content\r\n\r\n"));
    buf_deinit(&all);
}

/* A peer that asks and asks and never reads has its requests wait. */
static void answers_that_nobody_reads_stop_the_reading(void **state)
{
    (void)state;
    struct buf all = {0};
    for (int i = 0; i < MANY; i++)
        buf_append_str(&all, "GET /echo/with/a/long/path/so/that/the/answers"
                             "/are/long HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_true(http1_wants_input(peer.http1));
    peer_input(&peer, buf_slice(&all));
    assert_true(peer.requests < MANY);
    assert_false(http1_wants_input(peer.http1));
    int before = peer.requests;
    peer_take(&peer, LIMIT_HTTP_OUT_HIGH_BYTES / 2);
    assert_true(peer.requests > before);
    peer_take_all(&peer);
    assert_int_equal(peer.requests, MANY);
    assert_true(http1_wants_input(peer.http1));
    buf_deinit(&all);
}

static void requests_wait_behind_one_that_is_answered_later(void **state)
{
    (void)state;
    peer_says(&peer, "GET /hold/1 HTTP/1.1\r\nHost: h\r\n\r\n"
                     "GET /echo/2 HTTP/1.1\r\nHost: h\r\n\r\n"
                     "GET /hold/3 HTTP/1.1\r\nHost: h\r\n\r\nGET /echo/4");
    assert_int_equal(peer.requests, 1);
    peer_says(&peer, " HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(peer.requests, 1);
    assert_int_equal(peer.outputs, 0);

    struct http_exchange *first = peer.held;
    peer.held = NULL;
    http_respond(first, 200, NULL, 0, SLICE("one"));
    assert_int_equal(peer.requests, 3);
    assert_int_equal(peer.outputs, 1);
    peer_expect(&peer, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none"
                       "HTTP/1.1 200 OK\r\nContent-Length: 26\r\n\r\n"
                       "GET /echo/2 ? [Host=h] <>\n");
    http_respond(peer.held, 200, NULL, 0, SLICE("three"));
    assert_int_equal(peer.requests, 4);
    peer_expect(&peer, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nthree"
                       "HTTP/1.1 200 OK\r\nContent-Length: 26\r\n\r\n"
                       "GET /echo/4 ? [Host=h] <>\n");
}

static void what_comes_ahead_is_bounded(void **state)
{
    (void)state;
    peer_says(&peer, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
    int sent = 0;
    while (http1_wants_input(peer.http1)) {
        peer_says(&peer, "GET /empty HTTP/1.1\r\nHost: h\r\n\r\n");
        sent++;
        assert_true(sent < 10 * 1000);
    }
    assert_int_equal(peer.requests, 1);
    http_respond(peer.held, 200, NULL, 0, SLICE(""));
    assert_int_equal(peer.requests, 1 + sent);
    assert_true(http1_wants_input(peer.http1));
}

/* What the api keeps of a request is there for as long as the exchange, while
 * more input comes and goes. */
static void a_request_lives_until_its_answer(void **state)
{
    (void)state;
    peer_says(&peer, "PUT /hold/this?wait=true HTTP/1.1\r\nHost: h\r\n"
                     "Content-Length: 4\r\n\r\nbody");
    struct http_request request = peer.held->request;
    char *own = arena_alloc(peer.held->arena, 8000);
    memset(own, 'o', 8000);
    for (int i = 0; i < 100; i++)
        peer_says(&peer, "GET /empty HTTP/1.1\r\nHost: other\r\n\r\n");
    assert_true(slice_eq(request.path, SLICE("/hold/this")));
    assert_true(slice_eq(request.query, SLICE("wait=true")));
    assert_true(slice_eq(request.body, SLICE("body")));
    assert_true(slice_eq(http_header_get(&request, "hOST"), SLICE("h")));
    assert_null(http_header_get(&request, "Hos").at);
    assert_int_equal(own[7999], 'o');
    http_respond(peer.held, 200, NULL, 0, request.body);
    assert_int_equal(peer.requests, 101);
}

static void two_connections_do_not_share(void **state)
{
    (void)state;
    struct peer other;
    peer_init(&other);
    peer_says(&peer, "PUT /hold/a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n"
                     "\r\naaa");
    peer_says(&other, "PUT /hold/b HTTP/1.1\r\nHost: h\r\n"
                      "Content-Length: 3\r\n\r\nbb");
    peer_says(&other, "b");
    http_respond(peer.held, 200, NULL, 0, peer.held->request.body);
    http_respond(other.held, 200, NULL, 0, other.held->request.body);
    peer_expect(&peer, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\naaa");
    peer_expect(&other, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbbb");
    peer_deinit(&other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_get_is_answered),
        TEST(a_put_has_its_body),
        TEST(each_method_has_its_name),
        TEST(headers_are_written_as_given),
        TEST(a_status_without_a_name_is_written),
        TEST(a_head_has_no_body),
        TEST(the_connection_is_kept_or_closed),
        TEST(what_follows_a_close_is_not_read),
        TEST(targets_become_path_and_query),
        TEST(values_lose_the_blanks_around_them),
        TEST(bare_line_feeds_end_a_heads_lines),
        TEST(what_is_no_request_is_refused),
        TEST(a_refusal_is_told_in_plain_text),
        TEST(a_refusal_comes_behind_the_answers_before_it),
        TEST(a_head_fits_to_the_byte),
        TEST(as_many_headers_as_allowed),
        TEST(a_head_without_end_is_refused_while_it_comes),
        TEST(a_split_changes_nothing),
        TEST(thousands_in_one_input),
        TEST(answers_that_nobody_reads_stop_the_reading),
        TEST(requests_wait_behind_one_that_is_answered_later),
        TEST(what_comes_ahead_is_bounded),
        TEST(a_request_lives_until_its_answer),
        TEST(two_connections_do_not_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
