/* A lazy connection: what operations from outside begin is made into frames
 * when the host asks, all of it together. */
#include "http2_harness.h"

static struct h2_peer peer;

static int set_up(void **state)
{
    (void)state;
    h2_init(&peer);
    peer.config.is_lazy = true;
    h2_connect(&peer);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    h2_deinit(&peer);
    return 0;
}

static const struct http_header type = {{"content-type", 12},
                                        {"application/grpc", 16}};
static const struct http_header status_ok = {{"grpc-status", 11}, {"0", 1}};

static struct http_exchange *take(const char *path, int32_t *id)
{
    *id = h2_open(&peer, path);
    h2_upload(&peer, *id, "x", true);
    h2_run(&peer);
    assert_non_null(peer.taken);
    return peer.taken;
}

static void answer(struct http_exchange *exchange, const char *text)
{
    http_begin(exchange, 200, &type, 1);
    http_send(exchange, slice_str(text));
    http2_trailers(exchange, &status_ok, 1);
    http_end(exchange);
}

static void many_answers_wake_the_host_once(void **state)
{
    int32_t ids[8];
    struct http_exchange *taken[8];
    (void)state;
    for (int i = 0; i < 8; i++) {
        taken[i] = take("/take", &ids[i]);
    }
    int outputs = peer.outputs;
    for (int i = 0; i < 8; i++) {
        answer(taken[i], "yes");
    }
    assert_int_equal(peer.outputs, outputs + 1);
    h2_run(&peer);
    for (int i = 0; i < 8; i++) {
        h2_expect(&peer, ids[i], 200, "yes");
    }
}

/* Head, body and trailers are known at once: three frames, none of them
 * empty. */
static void an_answer_has_no_empty_frames(void **state)
{
    int32_t id;
    (void)state;
    struct http_exchange *exchange = take("/take", &id);
    size_t frames = peer.data_frames;
    answer(exchange, "yes");
    h2_run(&peer);
    h2_expect(&peer, id, 200, "yes");
    assert_int_equal(peer.data_frames, frames + 1);
}

static void the_host_is_woken_again_after_it_has_looked(void **state)
{
    int32_t id;
    (void)state;
    struct http_exchange *exchange = take("/take", &id);
    int outputs = peer.outputs;
    http_begin(exchange, 200, &type, 1);
    h2_run(&peer);
    http_send(exchange, SLICE("a"));
    http_send(exchange, SLICE("b"));
    h2_run(&peer);
    http2_trailers(exchange, &status_ok, 1);
    http_end(exchange);
    h2_run(&peer);
    assert_int_equal(peer.outputs, outputs + 3);
    h2_expect(&peer, id, 200, "ab");
}

/* What the peer sends meanwhile does the work, too. */
static void input_takes_along_what_waits(void **state)
{
    int32_t id;
    (void)state;
    struct http_exchange *exchange = take("/take", &id);
    answer(exchange, "yes");
    h2_ping(&peer);
    h2_run(&peer);
    h2_expect(&peer, id, 200, "yes");
    assert_int_equal(peer.pongs, 1);
}

static void a_connection_that_goes_says_so_without_being_asked(void **state)
{
    int32_t id;
    (void)state;
    struct http_exchange *exchange = take("/take", &id);
    http_begin(exchange, 200, &type, 1);
    http2_stop(peer.http2);
    h2_run(&peer);
    h2_expect_reset(&peer, id, NGHTTP2_CANCEL);
    assert_int_equal(peer.gone, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(many_answers_wake_the_host_once, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_answer_has_no_empty_frames, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            the_host_is_woken_again_after_it_has_looked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(input_takes_along_what_waits, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            a_connection_that_goes_says_so_without_being_asked, set_up,
            tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
