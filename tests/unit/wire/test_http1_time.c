/* Slow peers, by a clock that the test turns, and the server's stop. The
 * limits are the harness's: idle 60 s, head 1 s, body 5 s, stall 3 s. */
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

/* The host's timer: it sleeps until the deadline and calls. */
static void pass(int64_t ms)
{
    int64_t end = peer.now_ms + ms;
    for (;;) {
        int64_t deadline = http1_deadline_ms(peer.http1);
        if (deadline > end)
            break;
        if (deadline > peer.now_ms)
            peer.now_ms = deadline;
        http1_timeout(peer.http1, peer.now_ms);
        assert_true(http1_deadline_ms(peer.http1) > peer.now_ms);
    }
    peer.now_ms = end;
}

static void expect_left(int64_t ms)
{
    assert_int_equal(http1_deadline_ms(peer.http1) - peer.now_ms, ms);
}

#define GET_EMPTY "GET /empty HTTP/1.1\r\nHost: h\r\n\r\n"

/* ---- between requests --------------------------------------------------- */

static void an_idle_connection_ends_without_a_word(void **state)
{
    (void)state;
    expect_left(60 * 1000);
    pass(60 * 1000 - 1);
    assert_false(peer_is_finished(&peer));
    pass(1);
    assert_true(peer_is_finished(&peer));
    peer_expect(&peer, "");
    assert_int_equal(http1_deadline_ms(peer.http1), INT64_MAX);
}

static void each_request_begins_the_idle_time_anew(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        pass(50 * 1000);
        peer_says(&peer, GET_EMPTY);
        peer_expect_status(&peer, 204);
        expect_left(60 * 1000);
    }
    pass(60 * 1000);
    assert_true(peer_is_finished(&peer));
}

static void idle_time_begins_when_the_answer_is_taken(void **state)
{
    (void)state;
    peer_says(&peer, GET_EMPTY);
    expect_left(3000);
    pass(2000);
    peer_take_all(&peer);
    expect_left(60 * 1000);
}

/* The answer came without a clock: its time is not guessed to the peer's
 * disadvantage. */
static void a_late_answer_leaves_the_whole_idle_time(void **state)
{
    (void)state;
    peer_says(&peer, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n"
                     "GET /hold HTTP/1.1\r\nHost: h\r\n\r\nGET /hal");
    assert_int_equal(http1_deadline_ms(peer.http1), INT64_MAX);
    pass(3600 * 1000);
    http_respond(peer.held, 200, NULL, 0, SLICE(""));
    peer_take_all(&peer);
    pass(3600 * 1000);
    http_respond(peer.held, 200, NULL, 0, SLICE(""));
    /* Now a part of a head is here, and we don't know since when. */
    pass(0);
    assert_false(peer_is_finished(&peer));
    peer_take_all(&peer);
    buf_reset(&peer.sent);
    expect_left(1000);
    pass(1000);
    peer_expect_status(&peer, 408);
    assert_true(peer_is_finished(&peer));
}

static void no_limit_is_no_deadline(void **state)
{
    (void)state;
    peer.config.idle_ms = 0;
    peer.config.head_ms = INT64_MAX;
    peer.config.stall_ms = 0;
    peer_connect(&peer);
    assert_int_equal(http1_deadline_ms(peer.http1), INT64_MAX);
    peer_says(&peer, GET_EMPTY "GET");
    assert_int_equal(http1_deadline_ms(peer.http1), INT64_MAX);
    http1_timeout(peer.http1, INT64_MAX - 1);
    assert_false(peer_is_finished(&peer));
}

/* ---- slow requests ------------------------------------------------------ */

static void a_slow_head_is_told_so(void **state)
{
    (void)state;
    pass(30 * 1000);
    const char *head = "GET /empty HTTP/1.1\r\nHost: h\r\n";
    for (int i = 0; i < 10; i++) {
        peer_input(&peer, slice_of(head + i, 1));
        expect_left(1000 - i * 90);
        pass(90);
    }
    pass(99);
    peer_expect(&peer, "");
    pass(1);
    peer_expect(&peer, "HTTP/1.1 408 Request Timeout\r\n"
                       "Content-Type: text/plain; charset=utf-8\r\n"
                       "Content-Length: 19\r\nConnection: close\r\n\r\n"
                       "408 Request Timeout");
    assert_true(peer_is_finished(&peer));
}

static void a_slow_body_is_told_so(void **state)
{
    (void)state;
    static const char *const heads[] = {
        "PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n",
        ("PUT /echo HTTP/1.1\r\nHost: h\r\n"
         "Transfer-Encoding: chunked\r\n\r\n64\r\n"),
    };
    for (size_t i = 0; i < 2; i++) {
        peer_connect(&peer);
        pass(100);
        peer_says(&peer, "PUT ");
        pass(900);
        peer_says(&peer, heads[i] + 4);
        for (int second = 0; second < 5; second++) {
            expect_left(5000 - second * 1000);
            peer_says(&peer, "x");
            pass(1000);
        }
        peer_expect_status(&peer, 408);
        assert_true(peer_is_finished(&peer));
        assert_int_equal(peer.requests, 0);
    }
}

static void the_api_has_all_the_time_it_needs(void **state)
{
    (void)state;
    peer_says(&peer, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(http1_deadline_ms(peer.http1), INT64_MAX);
    http1_timeout(peer.http1, peer.now_ms + 1000 * 1000);
    assert_false(peer_is_finished(&peer));
    http_respond(peer.held, 200, NULL, 0, SLICE(""));
    peer_expect_status(&peer, 200);
}

/* ---- a peer that does not read ------------------------------------------ */

static void an_answer_that_is_not_taken_ends_the_connection(void **state)
{
    (void)state;
    peer_says(&peer, "GET /echo HTTP/1.1\r\nHost: h\r\n\r\n");
    for (int i = 0; i < 5; i++) {
        expect_left(3000);
        pass(2999);
        assert_int_equal(peer_take(&peer, 1), 1);
    }
    http1_sent(peer.http1, 0, peer.now_ms + 1);
    pass(2999);
    assert_false(peer_is_finished(&peer));
    pass(1);
    assert_true(peer_is_finished(&peer));
    assert_int_equal(peer_take_all(&peer), 0);
}

static void a_stalled_watch_is_told(void **state)
{
    (void)state;
    peer_says(&peer, "GET /watch HTTP/1.1\r\nHost: h\r\n\r\n");
    peer_take_all(&peer);
    pass(3600 * 1000);
    http_send(peer.held, SLICE("event"));
    pass(2000);
    assert_int_equal(peer.gone, 0);
    http_send(peer.held, SLICE("event"));
    pass(1000);
    assert_int_equal(peer.gone, 1);
    assert_true(peer_is_finished(&peer));
    assert_int_equal(peer_take_all(&peer), 0);
}

static void a_stalled_producer_is_stopped(void **state)
{
    (void)state;
    peer_says(&peer, "GET /make/100/65536 HTTP/1.1\r\nHost: h\r\n\r\n");
    pass(3000);
    assert_true(peer_is_finished(&peer));
    assert_int_equal(peer.produced, 1);
}

/* ---- stop --------------------------------------------------------------- */

static void a_stop_ends_what_is_not_at_work(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "GET /ec",
        "PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nab",
        GET_EMPTY,
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        peer_connect(&peer);
        peer_says(&peer, cases[i]);
        http1_stop(peer.http1);
        assert_false(http1_wants_input(peer.http1));
        peer_says(&peer, GET_EMPTY);
        peer_expect(&peer, i == 3 ? "HTTP/1.1 204 No Content\r\n\r\n" : "");
        assert_true(peer_is_finished(&peer));
    }
    assert_int_equal(peer.requests, 1);
}

static void a_request_at_work_may_end(void **state)
{
    (void)state;
    peer_says(&peer, "PUT /minded HTTP/1.1\r\nHost: h\r\n\r\n" GET_EMPTY);
    http1_stop(peer.http1);
    assert_false(peer_is_finished(&peer));
    assert_int_equal(peer.gone, 0);
    http_respond(peer.held, 201, NULL, 0, SLICE("x"));
    peer_expect(&peer, "HTTP/1.1 201 Created\r\nContent-Length: 1\r\n"
                       "Connection: close\r\n\r\nx");
    assert_true(peer_is_finished(&peer));
    assert_int_equal(peer.requests, 1);
}

static void a_listing_at_work_may_end(void **state)
{
    (void)state;
    peer_says(&peer, "GET /make/5/50000 HTTP/1.1\r\nHost: h\r\n\r\n");
    http1_stop(peer.http1);
    peer_take_all(&peer);
    assert_int_equal(peer.produced, 5);
    assert_true(peer_is_finished(&peer));
}

static void a_watch_is_told_and_ends_properly(void **state)
{
    (void)state;
    peer_says(&peer, "GET /watch HTTP/1.1\r\nHost: h\r\n\r\n");
    http_send(peer.held, SLICE("event"));
    http1_stop(peer.http1);
    assert_int_equal(peer.gone, 1);
    assert_int_equal(peer.outputs, 2);
    peer_expect(&peer, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                       "5\r\nevent\r\n0\r\n\r\n");
    assert_true(peer_is_finished(&peer));
    http1_stop(peer.http1);
    assert_int_equal(peer.gone, 1);
}

static void say_goodbye(struct http_exchange *exchange)
{
    http_send(exchange, SLICE("bye"));
    http_end(exchange);
}

static void a_watch_may_say_goodbye(void **state)
{
    (void)state;
    peer_says(&peer, "GET /watch HTTP/1.1\r\nHost: h\r\n\r\n");
    peer_take_all(&peer);
    buf_reset(&peer.sent);
    peer.held->on_gone = say_goodbye;
    http1_stop(peer.http1);
    peer_expect(&peer, "3\r\nbye\r\n0\r\n\r\n");
    assert_true(peer_is_finished(&peer));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_idle_connection_ends_without_a_word),
        TEST(each_request_begins_the_idle_time_anew),
        TEST(idle_time_begins_when_the_answer_is_taken),
        TEST(a_late_answer_leaves_the_whole_idle_time),
        TEST(no_limit_is_no_deadline),
        TEST(a_slow_head_is_told_so),
        TEST(a_slow_body_is_told_so),
        TEST(the_api_has_all_the_time_it_needs),
        TEST(an_answer_that_is_not_taken_ends_the_connection),
        TEST(a_stalled_watch_is_told),
        TEST(a_stalled_producer_is_stopped),
        TEST(a_stop_ends_what_is_not_at_work),
        TEST(a_request_at_work_may_end),
        TEST(a_listing_at_work_may_end),
        TEST(a_watch_is_told_and_ends_properly),
        TEST(a_watch_may_say_goodbye),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
