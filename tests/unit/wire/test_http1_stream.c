/* Answers that come in pieces: watches, shared pieces, producers, and what
 * happens when the peer doesn't read or goes away. */

#include <stdlib.h>

#include "harness.h"
#include "wire/http1_int.h"
#include "wire/spare_int.h"

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

#define WATCH "GET /watch HTTP/1.1\r\nHost: h\r\n\r\n"
#define CHUNKED_200 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

/* ---- pushed pieces ------------------------------------------------------ */

static void a_watch_is_sent_as_it_happens(void **state)
{
    (void)state;
    peer_says(&peer, WATCH);
    peer_expect(&peer, CHUNKED_200);
    assert_int_equal(peer.outputs, 0);
    http_send(peer.held, SLICE("{\"first\":1}\n"));
    assert_int_equal(peer.outputs, 1);
    assert_int_equal(http_unsent(peer.held), 17);
    peer_expect(&peer, "c\r\n{\"first\":1}\n\r\n");
    assert_int_equal(http_unsent(peer.held), 0);
    http_send(peer.held, SLICE(""));
    peer_expect(&peer, "");
    http_send(peer.held, SLICE("0123456789abcdef"));
    http_end(peer.held);
    peer_expect(&peer, "10\r\n0123456789abcdef\r\n0\r\n\r\n");
    assert_int_equal(peer.gone, 0);
    peer_says(&peer, "GET /empty HTTP/1.1\r\nHost: h\r\n\r\n");
    peer_expect_status(&peer, 204);
}

static void an_old_peers_stream_ends_with_the_connection(void **state)
{
    (void)state;
    peer_says(&peer, "GET /watch HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    peer_expect(&peer, "HTTP/1.0 200 OK\r\nConnection: close\r\n\r\n");
    http_send(peer.held, SLICE("one"));
    struct refbuf *two = refbuf_dup("two", 3);
    http_send_shared(peer.held, two);
    refbuf_unref(two);
    http_end(peer.held);
    assert_false(peer_is_finished(&peer));
    peer_expect(&peer, "onetwo");
    assert_true(peer_is_finished(&peer));
}

static void a_head_of_a_stream_has_no_body(void **state)
{
    (void)state;
    peer_says(&peer, "HEAD /watch HTTP/1.1\r\nHost: h\r\n\r\n");
    struct refbuf *shared = refbuf_dup("two", 3);
    http_send(peer.held, SLICE("one"));
    http_send_shared(peer.held, shared);
    refbuf_unref(shared);
    http_end(peer.held);
    peer_expect(&peer, CHUNKED_200);
    peer_says(&peer, "HEAD /make/3/100000 HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(peer.produced, 3);
    peer_expect(&peer, CHUNKED_200);
    peer_says(&peer, "GET /empty HTTP/1.1\r\nHost: h\r\n\r\n");
    peer_expect_status(&peer, 204);
}

static void a_stream_that_fails_has_no_end(void **state)
{
    (void)state;
    peer_says(&peer, WATCH);
    http_send(peer.held, SLICE("half"));
    http_fail(peer.held);
    assert_false(peer_is_finished(&peer));
    peer_expect(&peer, CHUNKED_200 "4\r\nhalf\r\n");
    assert_true(peer_is_finished(&peer));
    assert_int_equal(peer.gone, 0);

    peer_connect(&peer);
    peer_says(&peer, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
    http_fail(peer.held);
    peer_expect_status(&peer, 500);
    assert_false(peer_is_finished(&peer));
}

static void a_status_without_body_has_no_chunks(void **state)
{
    (void)state;
    peer_says(&peer, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
    http_begin(peer.held, 304, NULL, 0);
    http_send(peer.held, SLICE("never seen"));
    http_end(peer.held);
    peer_expect(&peer, "HTTP/1.1 304 Not Modified\r\n\r\n");
}

/* ---- shared pieces ------------------------------------------------------ */

static void a_shared_piece_is_not_copied(void **state)
{
    (void)state;
    struct refbuf *event = refbuf_dup("an event for many", 17);
    struct slice slices[8];
    peer_says(&peer, WATCH);
    peer_expect(&peer, CHUNKED_200);
    http_send_shared(peer.held, event);
    assert_int_equal(atomic_load(&event->refs), 2);
    assert_int_equal(http1_output(peer.http1, slices, 8), 3);
    assert_ptr_equal(slices[1].at, event->bytes);
    assert_int_equal(slices[1].size, 17);
    assert_int_equal(http1_output(peer.http1, slices, 2), 2);
    assert_int_equal(http1_output(peer.http1, slices, 0), 0);
    peer_expect(&peer, "11\r\nan event for many\r\n");
    assert_int_equal(atomic_load(&event->refs), 1);

    http_send_shared(peer.held, event);
    http_send_shared(peer.held, event);
    assert_int_equal(atomic_load(&event->refs), 3);
    http1_free(peer.http1);
    peer.http1 = NULL;
    assert_int_equal(atomic_load(&event->refs), 1);
    assert_int_equal(peer.gone, 1);
    refbuf_unref(event);
}

static void pieces_leave_in_order_however_they_are_taken(void **state)
{
    (void)state;
    struct refbuf *shared = refbuf_dup("SHARED", 6);
    struct refbuf *empty = refbuf_new(0);
    for (size_t step = 1; step < 100; step++) {
        peer_connect(&peer);
        peer_says(&peer, WATCH);
        for (int i = 0; i < 3; i++) {
            http_send_shared(peer.held, shared);
            http_send(peer.held, SLICE("own"));
            peer_take(&peer, 5);
            http_send_shared(peer.held, empty);
            http_send_shared(peer.held, shared);
            http_send_shared(peer.held, shared);
        }
        http_end(peer.held);
        peer.held = NULL;
        while (peer_take(&peer, step) > 0)
            ;
        peer_expect(&peer, CHUNKED_200
                    "6\r\nSHARED\r\n3\r\nown\r\n6\r\nSHARED\r\n6\r\nSHARED\r\n"
                    "6\r\nSHARED\r\n3\r\nown\r\n6\r\nSHARED\r\n6\r\nSHARED\r\n"
                    "6\r\nSHARED\r\n3\r\nown\r\n6\r\nSHARED\r\n6\r\nSHARED\r\n"
                    "0\r\n\r\n");
        assert_int_equal(atomic_load(&shared->refs), 1);
    }
    refbuf_unref(shared);
    refbuf_unref(empty);
}

static void a_slow_reader_is_noticed(void **state)
{
    (void)state;
    struct refbuf *event = refbuf_new(1000);
    memset(event->bytes, 'e', event->size);
    peer_says(&peer, WATCH);
    while (http_unsent(peer.held) <= LIMIT_HTTP_OUT_HIGH_BYTES)
        http_send_shared(peer.held, event);
    peer_take(&peer, http_unsent(peer.held) - LIMIT_HTTP_OUT_LOW_BYTES);
    assert_int_equal(peer.drained, 0);
    peer_take(&peer, 1);
    assert_int_equal(peer.drained, 1);
    peer_take_all(&peer);
    assert_int_equal(peer.drained, 1);
    http_send_shared(peer.held, event);
    peer_take_all(&peer);
    assert_int_equal(peer.drained, 1);
    refbuf_unref(event);
}

/* ---- pulled pieces ------------------------------------------------------ */

/* Takes the chunks out of peer.sent and returns the size of all. */
static size_t check_chunks(size_t from, size_t *count)
{
    size_t total = 0;
    const char *at = peer.sent.at + from;
    for (*count = 0;; (*count)++) {
        char *end = NULL;
        size_t size = strtoul(at, &end, 16);
        assert_memory_equal(end, "\r\n", 2);
        at = end + 2 + size;
        assert_memory_equal(at, "\r\n", 2);
        at += 2;
        total += size;
        if (size == 0)
            break;
        assert_true(at[-3] >= 'a' && at[-3] <= 'z');
    }
    assert_ptr_equal(at, peer.sent.at + peer.sent.size);
    return total;
}

static void a_producer_is_asked_as_the_peer_reads(void **state)
{
    (void)state;
    peer_says(&peer, "GET /make/100/65536 HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(peer.produced, 1);
    for (int pieces = 1; pieces < 100; pieces++) {
        peer_take(&peer, 65536 + 9);
        assert_in_range(peer.produced, pieces, pieces + 1);
    }
    peer_take_all(&peer);
    assert_int_equal(peer.produced, 100);
    size_t count = 0;
    assert_int_equal(check_chunks(strlen(CHUNKED_200), &count), 6553600);
    assert_int_equal(count, 100);
    assert_int_equal(peer.outputs, 0);
    peer_says(&peer, "GET /empty HTTP/1.1\r\nHost: h\r\n\r\n");
    buf_reset(&peer.sent);
    peer_expect_status(&peer, 204);
}

static void small_pieces_are_gathered(void **state)
{
    (void)state;
    peer_says(&peer, "GET /make/1000/100 HTTP/1.1\r\nHost: h\r\n\r\n"
                     "GET /empty HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_in_range(peer.produced, 600, 999);
    assert_int_equal(peer.requests, 1);
    peer_take(&peer, 50 * 1000);
    assert_int_equal(peer.requests, 2);
    peer_take_all(&peer);
    peer.sent.size -= strlen("HTTP/1.1 204 No Content\r\n\r\n");
    size_t count = 0;
    assert_int_equal(check_chunks(strlen(CHUNKED_200), &count), 100 * 1000);
}

static void a_producer_may_have_nothing_yet(void **state)
{
    (void)state;
    peer_says(&peer, "GET /make/5/0 HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(peer.produced, 5);
    peer_expect(&peer, CHUNKED_200 "0\r\n\r\n");
}

static void an_old_peer_gets_the_plain_pieces(void **state)
{
    (void)state;
    peer_says(&peer, "GET /make/3/4 HTTP/1.0\r\n\r\n");
    peer_expect(&peer, "HTTP/1.0 200 OK\r\nConnection: close\r\n\r\n"
                       "ccccbbbbaaaa");
    assert_true(peer_is_finished(&peer));
}

static enum http_more fail_in_piece(struct http_exchange *exchange,
                                    void *context, struct buf *out)
{
    (void)context;
    buf_append_str(out, "lost");
    http_fail(exchange);
    return HTTP_MORE;
}

static void a_producer_may_fail(void **state)
{
    (void)state;
    peer_says(&peer, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
    http_begin(peer.held, 200, NULL, 0);
    peer_expect(&peer, CHUNKED_200);
    http_produce_body(peer.held, fail_in_piece, NULL);
    peer_expect(&peer, "");
    assert_true(peer_is_finished(&peer));
}

/* ---- the peer goes ------------------------------------------------------ */

static void a_watch_is_told_that_the_peer_is_gone(void **state)
{
    (void)state;
    peer_says(&peer, WATCH);
    http_send(peer.held, SLICE("not taken"));
    http1_input_end(peer.http1);
    assert_int_equal(peer.gone, 1);
    assert_true(peer_is_finished(&peer));
    http1_input_end(peer.http1);
    http1_free(peer.http1);
    peer.http1 = NULL;
    assert_int_equal(peer.gone, 1);
}

static void nobody_is_told_who_does_not_mind(void **state)
{
    (void)state;
    peer_says(&peer, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
    http_begin(peer.held, 200, NULL, 0);
    http1_input_end(peer.http1);
    assert_true(peer_is_finished(&peer));
    assert_int_equal(peer.gone, 0);
}

static void say_more_and_end(struct http_exchange *exchange)
{
    struct refbuf *last = refbuf_dup("last", 4);
    http_send(exchange, SLICE("more"));
    http_send_shared(exchange, last);
    refbuf_unref(last);
    http_end(exchange);
    peer.gone++;
}

static void what_is_said_to_a_peer_that_is_gone_is_lost(void **state)
{
    (void)state;
    peer_says(&peer, WATCH);
    peer_expect(&peer, CHUNKED_200);
    peer.held->on_gone = say_more_and_end;
    http1_input_end(peer.http1);
    assert_int_equal(peer.gone, 1);
    peer_expect(&peer, "");
    assert_true(peer_is_finished(&peer));
}

/* printf 'GET ...' | nc -N */
static void a_half_closed_peer_gets_its_answer(void **state)
{
    (void)state;
    peer_says(&peer, "GET /hold/1 HTTP/1.1\r\nHost: h\r\n\r\n"
                     "GET /hold/2 HTTP/1.1\r\nHost: h\r\n\r\nGET /hal");
    http1_input_end(peer.http1);
    assert_false(peer_is_finished(&peer));
    assert_false(http1_wants_input(peer.http1));
    assert_int_equal(http1_deadline_ms(peer.http1), INT64_MAX);
    http_respond(peer.held, 200, NULL, 0, SLICE("one"));
    assert_int_equal(peer.requests, 2);
    assert_false(peer_is_finished(&peer));
    http_respond(peer.held, 200, NULL, 0, SLICE("two"));
    peer_expect(&peer, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none"
                       "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo");
    assert_true(peer_is_finished(&peer));
}

static void a_half_closed_peer_gets_its_listing(void **state)
{
    (void)state;
    peer_says(&peer, "GET /make/10/50000 HTTP/1.1\r\nHost: h\r\n\r\n");
    http1_input_end(peer.http1);
    peer_take_all(&peer);
    size_t count = 0;
    assert_int_equal(check_chunks(strlen(CHUNKED_200), &count), 500 * 1000);
    assert_true(peer_is_finished(&peer));
}

/* A write at work and a watch that hasn't begun look the same: an answer that
 * comes soon is delivered. */
static void a_half_closed_peer_is_waited_for_a_while(void **state)
{
    (void)state;
    peer_says(&peer, "PUT /minded HTTP/1.1\r\nHost: h\r\n\r\n");
    http1_input_end(peer.http1);
    assert_int_equal(peer.gone, 0);
    http_respond(peer.held, 200, NULL, 0, SLICE(""));
    peer_expect_status(&peer, 200);
    assert_true(peer_is_finished(&peer));

    peer.held = NULL;
    peer_connect(&peer);
    peer_says(&peer, "PUT /minded HTTP/1.1\r\nHost: h\r\n\r\n");
    http1_input_end(peer.http1);
    peer.now_ms += 20 * 1000;
    http1_timeout(peer.http1, peer.now_ms);
    assert_int_equal(peer.gone, 0);
    assert_int_equal(http1_deadline_ms(peer.http1), peer.now_ms + 10 * 1000);
    peer.now_ms += 10 * 1000;
    http1_timeout(peer.http1, peer.now_ms);
    assert_int_equal(peer.gone, 1);
    assert_true(peer_is_finished(&peer));
}

static void an_idle_peer_that_ends_is_done(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "GET /ec",
        "GET /empty HTTP/1.1\r\nHost: h\r\n\r\n",
        "PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nab",
        ("PUT /echo HTTP/1.1\r\nHost: h\r\n"
         "Transfer-Encoding: chunked\r\n\r\n5\r\nab"),
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        peer_connect(&peer);
        peer_says(&peer, cases[i]);
        http1_input_end(peer.http1);
        peer_take_all(&peer);
        assert_true(peer_is_finished(&peer));
        assert_int_equal(peer.requests, i >= 2);
    }
}

static void a_connection_freed_tells_its_exchange(void **state)
{
    (void)state;
    peer_says(&peer, "GET /minded HTTP/1.1\r\nHost: h\r\n\r\n");
    http1_free(peer.http1);
    peer.http1 = NULL;
    assert_int_equal(peer.gone, 1);
    http1_free(NULL);
}

/* The host may free the connection as soon as it hears of output. */
static void free_it(void *context)
{
    struct peer *of = context;
    http1_free(of->http1);
    of->http1 = NULL;
}

static void a_connection_may_be_freed_on_output(void **state)
{
    (void)state;
    peer.config.on_output = free_it;
    for (int i = 0; i < 5; i++) {
        peer_connect(&peer);
        peer_says(&peer,
                  i == 4 ? WATCH : "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
        switch (i) {
        case 0:
            http_respond(peer.held, 200, NULL, 0, SLICE("x"));
            break;
        case 1:
            http_begin(peer.held, 200, NULL, 0);
            break;
        case 2:
            http_fail(peer.held);
            break;
        case 3:
            http1_stop(peer.http1);
            http_respond(peer.held, 200, NULL, 0, SLICE("x"));
            break;
        default:
            http1_input_end(peer.http1);
        }
        assert_null(peer.http1);
        peer.held = NULL;
    }
}

/* ---- what waits holds little -------------------------------------------- */

static void expect_no_buffers(void)
{
    assert_null(peer.http1->in.at);
    assert_null(peer.http1->body.at);
    assert_null(peer.http1->out.text.at);
    assert_null(peer.http1->out.pieces);
}

static void an_idle_connection_holds_nothing(void **state)
{
    (void)state;
    peer_says(&peer, "PUT /echo HTTP/1.1\r\nHost: h\r\n");
    peer_says(&peer, "Content-Length: 50000\r\n\r\n");
    for (int i = 0; i < 500; i++) {
        char part[100] = {0};
        peer_input(&peer, slice_of(part, sizeof part));
    }
    peer_says(&peer, "GET /make/3/70000 HTTP/1.1\r\nHost: h\r\n\r\n");
    peer_take_all(&peer);
    assert_int_equal(peer.requests, 2);
    expect_no_buffers();
    assert_null(peer.http1->block);
    assert_null(peer.http1->arena.block);
}

static void a_waiting_watch_holds_one_small_block(void **state)
{
    (void)state;
    struct refbuf *event = refbuf_dup("event", 5);
    peer_says(&peer, "GET /watch/registry/services?wait=true&recursive=true "
                     "HTTP/1.1\r\nHost: 127.0.0.1:2379\r\n");
    peer_says(&peer, "User-Agent: Go-http-client/1.1\r\n"
                     "Accept-Encoding: gzip\r\n\r\n");
    for (int i = 0; i < 3; i++) {
        peer_take_all(&peer);
        expect_no_buffers();
        http_send_shared(peer.held, event);
    }
    assert_non_null(peer.http1->block);
    assert_null(peer.http1->arena.block);
    /* And most of it is left for the api. */
    assert_true(peer.held->arena->used_bytes < SPARE_BLOCK_BYTES / 2);
    refbuf_unref(event);
}

static void a_request_may_need_more_than_a_block(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        peer_says(&peer, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
        for (size_t size = 1; size < 100 * 1000; size *= 3)
            memset(arena_alloc(peer.held->arena, size), 'x', size);
        assert_non_null(peer.http1->arena.block);
        http_respond(peer.held, 200, NULL, 0, SLICE(""));
        assert_null(peer.http1->arena.block);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_watch_is_sent_as_it_happens),
        TEST(an_old_peers_stream_ends_with_the_connection),
        TEST(a_head_of_a_stream_has_no_body),
        TEST(a_stream_that_fails_has_no_end),
        TEST(a_status_without_body_has_no_chunks),
        TEST(a_shared_piece_is_not_copied),
        TEST(pieces_leave_in_order_however_they_are_taken),
        TEST(a_slow_reader_is_noticed),
        TEST(a_producer_is_asked_as_the_peer_reads),
        TEST(small_pieces_are_gathered),
        TEST(a_producer_may_have_nothing_yet),
        TEST(an_old_peer_gets_the_plain_pieces),
        TEST(a_producer_may_fail),
        TEST(a_watch_is_told_that_the_peer_is_gone),
        TEST(nobody_is_told_who_does_not_mind),
        TEST(what_is_said_to_a_peer_that_is_gone_is_lost),
        TEST(a_half_closed_peer_gets_its_answer),
        TEST(a_half_closed_peer_gets_its_listing),
        TEST(a_half_closed_peer_is_waited_for_a_while),
        TEST(an_idle_peer_that_ends_is_done),
        TEST(a_connection_freed_tells_its_exchange),
        TEST(a_connection_may_be_freed_on_output),
        TEST(an_idle_connection_holds_nothing),
        TEST(a_waiting_watch_holds_one_small_block),
        TEST(a_request_may_need_more_than_a_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
