/* Answers that come in pieces over HTTP/2: watches, shared pieces, producers,
 * many streams that share one connection, and what happens when the peer
 * doesn't read or takes its request back. */
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

static size_t got(int32_t id)
{
    return h2_answer_of(&peer, id)->body.size;
}

static size_t waiting_bytes(void)
{
    struct slice slices[256];
    size_t count = http2_output(peer.http2, slices, 256);
    size_t size = 0;
    assert_true(count < 256);
    for (size_t i = 0; i < count; i++)
        size += slices[i].size;
    return size;
}

static void send_shared_of(struct http_exchange *exchange, char c, size_t size)
{
    struct refbuf *piece = refbuf_new(size);
    memset(piece->bytes, c, size);
    http_send_shared(exchange, piece);
    refbuf_unref(piece);
}

/* ---- pushed pieces ------------------------------------------------------ */

static void a_watch_is_sent_as_it_happens(void **state)
{
    (void)state;
    int32_t id = h2_get(&peer, "/watch");
    h2_run(&peer);
    assert_int_equal(h2_answer_of(&peer, id)->status, 200);
    assert_int_equal(peer.outputs, 0);
    http_send(h2_held(&peer), SLICE("{\"first\":1}\n"));
    assert_int_equal(peer.outputs, 1);
    h2_run(&peer);
    assert_int_equal(got(id), 12);
    assert_int_equal(http_unsent(h2_held(&peer)), 0);
    http_send(h2_held(&peer), SLICE(""));
    h2_run(&peer);
    assert_int_equal(peer.data_frames, 1);
    http_send(h2_held(&peer), SLICE("second\n"));
    http_end(h2_held(&peer));
    h2_expect(&peer, id, 200, "{\"first\":1}\nsecond\n");
    assert_int_equal(peer.gone, 0);
}

static void a_shared_piece_is_not_copied(void **state)
{
    (void)state;
    struct http_exchange *watches[3];
    int32_t ids[3];
    for (int i = 0; i < 3; i++) {
        ids[i] = h2_get(&peer, "/watch");
        watches[i] = h2_held(&peer);
    }
    h2_run(&peer);
    struct refbuf *piece = refbuf_new(5000);
    memset(piece->bytes, 's', 5000);
    for (int i = 0; i < 3; i++)
        http_send_shared(watches[i], piece);
    struct slice slices[8];
    assert_int_equal(http2_output(peer.http2, slices, 8), 6);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(slices[2 * i].size, 9);
        assert_ptr_equal(slices[2 * i + 1].at, piece->bytes);
        assert_int_equal(slices[2 * i + 1].size, 5000);
    }
    assert_int_equal(atomic_load(&piece->refs), 4);
    h2_run(&peer);
    assert_int_equal(atomic_load(&piece->refs), 1);
    for (int i = 0; i < 3; i++)
        assert_int_equal(got(ids[i]), 5000);
    refbuf_unref(piece);
}

/* What arrives is what was sent, in its order, however it is cut. */
static void pieces_of_all_sizes_keep_their_order(void **state)
{
    (void)state;
    static const size_t sizes[] = {1,     10,   1023,  1024,  5000,
                                   16384, 3,    16383, 16385, 40000,
                                   9,     1500, 1500,  12000, 100000};
    struct buf all = {0};
    int32_t id = h2_get(&peer, "/watch");
    for (size_t i = 0; i < 4 * sizeof sizes / sizeof *sizes; i++) {
        size_t size = sizes[i * 7 % (sizeof sizes / sizeof *sizes)];
        char c = (char)('a' + i % 26);
        memset(buf_extend(&all, size), c, size);
        if (i % 3 == 0)
            http_send(h2_held(&peer), slice_of(all.at + all.size - size, size));
        else
            send_shared_of(h2_held(&peer), c, size);
        if (i % 5 == 0)
            h2_run_out(&peer, 1000);
        if (i % 11 == 0)
            h2_run(&peer);
    }
    http_end(h2_held(&peer));
    h2_run(&peer);
    assert_true(
        slice_eq(buf_slice(&h2_answer_of(&peer, id)->body), buf_slice(&all)));
    assert_true(h2_answer_of(&peer, id)->ended);
    buf_deinit(&all);
}

static void a_closed_window_holds_back(void **state)
{
    (void)state;
    peer.reads = false;
    int32_t id = h2_get(&peer, "/watch");
    send_shared_of(h2_held(&peer), 'x', 100 * 1000);
    h2_run(&peer);
    assert_int_equal(got(id), 65535);
    assert_int_equal(http_unsent(h2_held(&peer)), 100 * 1000 - 65535);
    peer.reads = true;
    h2_consume_all(&peer, id, 65535);
    h2_run(&peer);
    assert_int_equal(got(id), 100 * 1000);
    assert_int_equal(http_unsent(h2_held(&peer)), 0);
}

static void who_pushed_too_much_is_told_when_it_drained(void **state)
{
    (void)state;
    peer.reads = false;
    int32_t id = h2_get(&peer, "/watch");
    while (http_unsent(h2_held(&peer)) <= LIMIT_HTTP_OUT_HIGH_BYTES)
        send_shared_of(h2_held(&peer), 'x', 50 * 1000);
    h2_run(&peer);
    assert_int_equal(peer.drained, 0);
    while (http_unsent(h2_held(&peer)) >= LIMIT_HTTP_OUT_LOW_BYTES) {
        assert_int_equal(peer.drained, 0);
        h2_consume_all(&peer, id, 65535);
        h2_run(&peer);
    }
    assert_int_equal(peer.drained, 1);
    peer.reads = true;
    h2_consume_all(&peer, id, 65535);
    h2_run(&peer);
    assert_int_equal(peer.drained, 1);
}

/* ---- producers ---------------------------------------------------------- */

static void a_producer_is_asked_as_the_peer_reads(void **state)
{
    (void)state;
    peer.reads = false;
    int32_t id = h2_get(&peer, "/make/20/50000");
    h2_run(&peer);
    assert_int_equal(got(id), 65535);
    assert_int_equal(peer.produced, 2);
    peer.reads = true;
    h2_consume_all(&peer, id, 65535);
    h2_run(&peer);
    assert_int_equal(peer.produced, 20);
    assert_int_equal(got(id), 20 * 50000);
    assert_true(h2_answer_of(&peer, id)->ended);
}

static void a_producer_may_have_nothing_to_say(void **state)
{
    (void)state;
    int32_t id = h2_get(&peer, "/make/5/0");
    h2_expect(&peer, id, 200, "");
    assert_int_equal(peer.produced, 5);
}

/* However large the windows: the host's socket is full. */
static void nothing_is_made_for_a_socket_that_is_full(void **state)
{
    (void)state;
    peer.has_large_windows = true;
    h2_connect(&peer);
    int32_t id = h2_get(&peer, "/make/1000/50000");
    assert_in_range(waiting_bytes(), LIMIT_HTTP_OUT_HIGH_BYTES,
                    LIMIT_HTTP_OUT_HIGH_BYTES + 17000);
    int produced = peer.produced;
    assert_in_range(produced, 5, 8);
    h2_run_out(&peer, 10);
    assert_int_equal(peer.produced, produced);
    h2_run_out(&peer, 100 * 1000);
    assert_in_range(peer.produced, produced + 1, produced + 3);
    h2_run(&peer);
    assert_int_equal(got(id), 1000 * 50000);
}

/* Each of these streams could send 65,535 bytes and holds the rest of its
 * piece: together they would hold 13 MB. */
static void producers_wait_while_the_connection_holds_enough(void **state)
{
    (void)state;
    peer.reads = false;
    h2_connect(&peer);
    nghttp2_session_set_local_window_size(peer.client, NGHTTP2_FLAG_NONE, 0,
                                          100 * 1000 * 1000);
    int32_t ids[100];
    size_t total = 0;
    for (int i = 0; i < 100; i++)
        ids[i] = h2_get(&peer, "/watch");
    h2_run(&peer);
    for (int i = 0; i < 100; i++) {
        h2_make(&peer, peer.held[i], 1, 200000, false);
        h2_run(&peer);
        total += got(ids[i]);
    }
    assert_in_range(peer.produced, 31, 33);
    assert_int_equal(total, (size_t)peer.produced * 65535);
    /* What is in the queue is read, and all others come. */
    peer.reads = true;
    for (int i = 0; i < 100; i++) {
        if (got(ids[i]))
            h2_consume_all(&peer, ids[i], 65535);
    }
    h2_run(&peer);
    for (int i = 0; i < 100; i++)
        assert_int_equal(got(ids[i]), 200000);
}

static void streams_take_turns(void **state)
{
    (void)state;
    peer.has_large_windows = true;
    h2_connect(&peer);
    int32_t large = h2_get(&peer, "/big/3000000");
    int32_t small = h2_get(&peer, "/big/50000");
    while (!h2_answer_of(&peer, small)->ended)
        assert_true(h2_run_out(&peer, 16 * 1024) > 0);
    assert_true(got(large) < 500 * 1000);
    h2_run(&peer);
    assert_int_equal(got(large), 3000000);
}

/* ---- a peer that doesn't read ------------------------------------------- */

static void requests_wait_while_answers_do(void **state)
{
    (void)state;
    int32_t ids[90];
    peer.reads = false;
    for (int i = 0; i < 90; i++)
        ids[i] = h2_get(&peer, "/big/100000");
    h2_run(&peer);
    /* Up to the connection's bound, one more, and what one window held. */
    assert_in_range(peer.requests, 42, 45);
    peer.reads = true;
    for (int i = 0; i < 90; i++)
        h2_consume_all(&peer, ids[i], got(ids[i]));
    h2_run(&peer);
    assert_int_equal(peer.requests, 90);
    for (int i = 0; i < 90; i++)
        assert_int_equal(got(ids[i]), 100000);
}

static void a_full_connection_counts_for_each_of_its_streams(void **state)
{
    (void)state;
    peer.reads = false;
    int32_t id = h2_get(&peer, "/watch");
    struct http_exchange *watch = h2_held(&peer);
    h2_get(&peer, "/big/5000000");
    http_send(watch, SLICE("event"));
    assert_true(http_unsent(watch) > LIMIT_HTTP_OUT_HIGH_BYTES);
    h2_run(&peer);
    assert_int_equal(peer.drained, 0);
    peer.reads = true;
    h2_consume_all(&peer, id, got(id));
    h2_consume_all(&peer, id + 2, got(id + 2));
    h2_run(&peer);
    assert_int_equal(got(id + 2), 5000000);
    assert_int_equal(http_unsent(watch), 0);
    assert_int_equal(peer.drained, 1);
    http_send(watch, SLICE("!"));
    http_end(watch);
    h2_expect(&peer, id, 200, "event!");
}

static void input_waits_while_its_answers_do(void **state)
{
    (void)state;
    struct buf frames = {0};
    peer.has_large_windows = true;
    h2_connect(&peer);
    h2_get(&peer, "/make/1000/50000");
    assert_true(http2_wants_input(peer.http2));
    for (int i = 0; i < 100; i++)
        h2_frame(&frames, NGHTTP2_PING, 0, 0, SLICE("12345678"));
    h2_say(&peer, &frames);
    assert_false(http2_wants_input(peer.http2));
    h2_run_out(&peer, LIMIT_HTTP_OUT_HIGH_BYTES);
    assert_true(http2_wants_input(peer.http2));
    buf_deinit(&frames);
}

/* ---- ends --------------------------------------------------------------- */

static void a_failed_answer_is_reset(void **state)
{
    (void)state;
    int32_t id = h2_get(&peer, "/watch");
    http_send(h2_held(&peer), SLICE("begun"));
    h2_run(&peer);
    http_fail(h2_held(&peer));
    h2_expect_reset(&peer, id, NGHTTP2_INTERNAL_ERROR);
    assert_false(h2_answer_of(&peer, id)->ended);
    assert_int_equal(got(id), 5);
    id = h2_get(&peer, "/make/3/1000/fail");
    h2_expect_reset(&peer, id, NGHTTP2_INTERNAL_ERROR);
    assert_int_equal(got(id), 2000);
    id = h2_get(&peer, "/minded");
    http_fail(h2_held(&peer));
    h2_expect(&peer, id, 500, "Internal Server Error");
    assert_int_equal(peer.gone, 0);
}

static void a_request_that_is_taken_back_is_told_of(void **state)
{
    (void)state;
    int32_t watch = h2_get(&peer, "/watch");
    int32_t other = h2_get(&peer, "/minded");
    h2_run(&peer);
    h2_cancel(&peer, watch);
    assert_int_equal(peer.gone, 1);
    assert_int_equal(peer.held_count, 1);
    http_respond(h2_held(&peer), 200, NULL, 0, SLICE("still here"));
    h2_expect(&peer, other, 200, "still here");
    assert_int_equal(peer.gone, 1);
}

static void who_is_told_may_try_to_answer(void **state)
{
    (void)state;
    peer.ends_when_gone = true;
    int32_t watch = h2_get(&peer, "/watch");
    h2_run(&peer);
    h2_cancel(&peer, watch);
    h2_run(&peer);
    assert_int_equal(peer.gone, 1);
    assert_int_equal(got(watch), 0);
}

static void a_producer_whose_request_is_taken_back_is_forgotten(void **state)
{
    (void)state;
    peer.reads = false;
    int32_t id = h2_get(&peer, "/make/20/50000");
    h2_run(&peer);
    h2_cancel(&peer, id);
    h2_run(&peer);
    assert_int_equal(peer.produced, 2);
}

/* Nobody minds, so the exchange waits for its answer, as http.h has it. */
static void an_answer_for_nobody_goes_nowhere(void **state)
{
    (void)state;
    int32_t first = h2_get(&peer, "/hold");
    int32_t second = h2_get(&peer, "/hold");
    int32_t third = h2_get(&peer, "/hold");
    h2_run(&peer);
    h2_cancel(&peer, first);
    h2_cancel(&peer, second);
    h2_cancel(&peer, third);
    http_respond(peer.held[0], 200, NULL, 0, SLICE("late"));
    http_begin(peer.held[1], 200, NULL, 0);
    http_send(peer.held[1], SLICE("late"));
    assert_int_equal(http_unsent(peer.held[1]), 0);
    http_end(peer.held[1]);
    h2_run(&peer);
    assert_int_equal(h2_answer_of(&peer, first)->status, 0);
    int32_t last = h2_get(&peer, "/big/1");
    h2_expect(&peer, last, 200, "b");
    /* The third one is freed with the connection. */
}

static void a_request_that_is_taken_back_at_once_is_never_seen(void **state)
{
    (void)state;
    struct buf frames = {0};
    h2_connect_raw(&peer);
    for (uint32_t id = 1; id < 100; id += 2) {
        h2_frame_get(&frames, id, "/hold");
        h2_frame(&frames, NGHTTP2_RST_STREAM, 0, id, SLICE("\0\0\0\x8"));
    }
    h2_say(&peer, &frames);
    assert_int_equal(peer.requests, 0);
    buf_deinit(&frames);
}

/* nghttp2 has taken a frame's length from the stream when the socket is full,
 * and asks for its bytes later: they may not go before. */
static void a_stream_that_ends_while_its_frame_waits(void **state)
{
    (void)state;
    peer.has_large_windows = true;
    for (int how = 0; how < 3; how++) {
        h2_connect(&peer);
        int32_t id = h2_get(&peer, "/watch");
        send_shared_of(h2_held(&peer), 'x', 500 * 1000);
        assert_in_range(waiting_bytes(), LIMIT_HTTP_OUT_HIGH_BYTES,
                        LIMIT_HTTP_OUT_HIGH_BYTES + 17000);
        if (how == 0)
            h2_cancel(&peer, id);
        else if (how == 1)
            http_fail(h2_held(&peer));
        else
            http_end(h2_held(&peer));
        h2_run(&peer);
        assert_int_equal(peer.gone, how == 0);
        if (how == 1)
            h2_expect_reset(&peer, id, NGHTTP2_INTERNAL_ERROR);
        if (how == 2)
            assert_int_equal(got(id), 500 * 1000);
        assert_int_equal(h2_answer_of(&peer, id)->ended, how == 2);
        id = h2_get(&peer, "/big/1");
        h2_expect(&peer, id, 200, "b");
    }
}

static void a_free_tells_all(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        h2_get(&peer, i % 2 ? "/watch" : "/minded");
    h2_get(&peer, "/hold");
    h2_get(&peer, "/make/100/100000");
    h2_open(&peer, "/size");
    http2_free(peer.http2);
    peer.http2 = NULL;
    assert_int_equal(peer.gone, 5);
}

/* ---- bodies ------------------------------------------------------------- */

/* Twenty bodies of 900 kB that never end: those that came first are let come
 * until enough is gathered, then only the oldest is. */
static void bodies_are_gathered_up_to_a_bound(void **state)
{
    (void)state;
    struct buf frames = {0};
    size_t sent[20] = {0};
    size_t windows[20];
    char piece[10000];
    memset(piece, 'x', sizeof piece);
    h2_connect_raw(&peer);
    for (uint32_t i = 0; i < 20; i++) {
        windows[i] = 65535;
        h2_frame_get(&frames, 2 * i + 1, "/size");
        frames.at[frames.size - get_be32(frames.at) / 256 % 256 - 5] =
            NGHTTP2_FLAG_END_HEADERS;
    }
    h2_say(&peer, &frames);
    for (bool goes_on = true; goes_on;) {
        goes_on = false;
        for (uint32_t i = 0; i < 20; i++) {
            if (sent[i] + sizeof piece > 900 * 1000 ||
                windows[i] < sizeof piece)
                continue;
            goes_on = true;
            sent[i] += sizeof piece;
            windows[i] -= sizeof piece;
            h2_frame(&frames, NGHTTP2_DATA, 0, 2 * i + 1,
                     slice_of(piece, sizeof piece));
            h2_say(&peer, &frames);
        }
        h2_run(&peer);
        size_t at = 0;
        struct slice payload;
        uint32_t id;
        while (h2_find(&peer, NGHTTP2_WINDOW_UPDATE, &at, &payload, &id)) {
            if (id)
                windows[id / 2] += get_be32(payload.at);
        }
        buf_reset(&peer.raw);
    }
    size_t total = 0;
    for (int i = 0; i < 20; i++)
        total += sent[i];
    assert_int_equal(sent[0], 900 * 1000);
    assert_in_range(total, HTTP2_GATHERED_BYTES_MAX,
                    HTTP2_GATHERED_BYTES_MAX + 900 * 1000 + 20 * 65535);
    /* When the oldest has ended, the next ones come, oldest first. */
    h2_frame(&frames, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, SLICE(""));
    h2_say(&peer, &frames);
    h2_run(&peer);
    assert_int_equal(peer.requests, 1);
    size_t at = 0;
    struct slice payload;
    uint32_t id;
    bool opened = false;
    while (h2_find(&peer, NGHTTP2_WINDOW_UPDATE, &at, &payload, &id))
        opened = opened || id == 3;
    assert_true(opened);
    buf_deinit(&frames);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_watch_is_sent_as_it_happens),
        TEST(a_shared_piece_is_not_copied),
        TEST(pieces_of_all_sizes_keep_their_order),
        TEST(a_closed_window_holds_back),
        TEST(who_pushed_too_much_is_told_when_it_drained),
        TEST(a_producer_is_asked_as_the_peer_reads),
        TEST(a_producer_may_have_nothing_to_say),
        TEST(nothing_is_made_for_a_socket_that_is_full),
        TEST(producers_wait_while_the_connection_holds_enough),
        TEST(streams_take_turns),
        TEST(requests_wait_while_answers_do),
        TEST(a_full_connection_counts_for_each_of_its_streams),
        TEST(input_waits_while_its_answers_do),
        TEST(a_failed_answer_is_reset),
        TEST(a_request_that_is_taken_back_is_told_of),
        TEST(who_is_told_may_try_to_answer),
        TEST(a_producer_whose_request_is_taken_back_is_forgotten),
        TEST(an_answer_for_nobody_goes_nowhere),
        TEST(a_request_that_is_taken_back_at_once_is_never_seen),
        TEST(a_stream_that_ends_while_its_frame_waits),
        TEST(a_free_tells_all),
        TEST(bodies_are_gathered_up_to_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
