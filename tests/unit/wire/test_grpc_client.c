/* The client's side of gRPC, with our own HTTP/2 server behind it, both in
 * memory. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/mem.h"
#include "proto/v3_error.h"
#include "tests/support/grpc_stub.h"
#include "wire/grpc.h"
#include "wire/grpc_client.h"

enum { MESSAGE_BYTES_MAX = 8 * 1024 * 1024 };

static struct grpc_stub stub;
static struct grpc_client *client;
static int outputs;

/* What the owner of a call has heard. */
struct owner {
    struct grpc_call *call;
    struct buf said; /* "<message>\n" each; then "= code text" */
    int messages, ends;
    size_t last_size;
    bool cancels; /* with the first message */
    bool begins;  /* another call, when it is told of the end */
};

static struct owner owners[64];

static void on_output(void *context)
{
    (void)context;
    outputs++;
}

static void connect_with(uint32_t streams_max)
{
    struct grpc_client_config config = {
        .authority = SLICE("host:2379"),
        .user_agent = SLICE("tester"),
        .message_bytes_max = MESSAGE_BYTES_MAX,
        .on_output = on_output,
    };
    stub.config.streams_max = streams_max;
    grpc_stub_open(&stub);
    client = grpc_client_new(&config);
}

static int set_up(void **state)
{
    (void)state;
    memset(owners, 0, sizeof owners);
    outputs = 0;
    grpc_stub_init(&stub);
    connect_with(100);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    grpc_client_free(client);
    grpc_stub_deinit(&stub);
    for (size_t i = 0; i < sizeof owners / sizeof *owners; i++)
        buf_deinit(&owners[i].said);
    return 0;
}

/* ---- moving bytes ------------------------------------------------------- */

static size_t to_server(void)
{
    struct slice piece;
    size_t moved = 0;
    while (grpc_client_output(client, &piece, 1) > 0) {
        moved += piece.size;
        http2_input(stub.http2, piece, 1);
        grpc_client_sent(client, piece.size);
    }
    return moved;
}

static enum err to_client(size_t piece_max, size_t *moved)
{
    struct slice piece;
    *moved = 0;
    while (http2_output(stub.http2, &piece, 1) > 0) {
        size_t size = piece.size < piece_max ? piece.size : piece_max;
        enum err err = grpc_client_input(client, slice_of(piece.at, size));
        http2_sent(stub.http2, size, 1);
        *moved += size;
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

/* Until nothing moves any more. */
static enum err run_in_pieces(size_t piece_max)
{
    for (;;) {
        size_t sent = to_server();
        size_t got;
        enum err err = to_client(piece_max, &got);
        if (err != ERR_OK || sent + got == 0)
            return err;
    }
}

static void run(void)
{
    assert_int_equal(run_in_pieces(SIZE_MAX), ERR_OK);
}

/* ---- calls -------------------------------------------------------------- */

static struct grpc_call *begin(struct owner *owner, const char *path);

static void on_message(void *context, struct slice message)
{
    struct owner *owner = context;
    owner->messages++;
    owner->last_size = message.size;
    if (message.size < 100) {
        buf_append_slice(&owner->said, message);
        buf_append_char(&owner->said, '\n');
    }
    if (owner->cancels)
        grpc_call_cancel(owner->call);
}

static void on_end(void *context, int code, struct slice text)
{
    struct owner *owner = context;
    owner->call = NULL;
    owner->ends++;
    buf_printf(&owner->said, "= %d %.*s", code, (int)text.size, text.at);
    if (owner->begins)
        assert_non_null(begin(owner + 1, "/s/Next"));
}

static struct grpc_call *begin_with(struct owner *owner,
                                    struct grpc_call_config config)
{
    config.on_message = on_message;
    config.on_end = on_end;
    config.context = owner;
    owner->call = grpc_call_new(client, &config);
    return owner->call;
}

static struct grpc_call *begin(struct owner *owner, const char *path)
{
    return begin_with(owner,
                      (struct grpc_call_config){.path = slice_str(path)});
}

static void ask(struct owner *owner, const char *path, const char *message)
{
    grpc_call_send(begin(owner, path), slice_str(message), true);
    run();
}

static void expect(struct owner *owner, const char *said)
{
    buf_append_char(&owner->said, '\0');
    assert_string_equal(owner->said.at, said);
    owner->said.size--;
}

static void expect_next(struct grpc_stub_call *call, const char *text)
{
    struct slice message;
    assert_true(grpc_stub_next(call, &message));
    assert_int_equal(message.size, strlen(text));
    assert_memory_equal(message.at, text, message.size);
}

/* ---- one out, one back -------------------------------------------------- */

static void a_call_and_its_answer(void **state)
{
    (void)state;
    const struct grpc_header metadata[] = {
        {SLICE("hasleader"), SLICE("true")},
        {SLICE("token"), SLICE("t 1")},
    };
    begin_with(&owners[0], (struct grpc_call_config){
                               .path = SLICE("/etcdserverpb.KV/Put"),
                               .metadata = metadata,
                               .metadata_count = 2,
                               .timeout_ms = 5000,
                           });
    grpc_call_send(owners[0].call, SLICE("question"), true);
    assert_int_equal(grpc_client_calls(client), 1);
    run();
    assert_int_equal(stub.count, 1);
    struct grpc_stub_call *call = &stub.calls[0];
    buf_append_char(&call->head, '\0');
    assert_string_equal(call->head.at, "/etcdserverpb.KV/Put\n"
                                       "content-type: application/grpc\n"
                                       "te: trailers\n"
                                       "user-agent: tester\n"
                                       "grpc-timeout: 5000m\n"
                                       "hasleader: true\n"
                                       "token: t 1\n"
                                       "host: host:2379\n");
    expect_next(call, "question");
    assert_true(call->ended);

    grpc_stub_send(call, SLICE("answer"));
    grpc_stub_end(call, "0", NULL);
    run();
    expect(&owners[0], "answer\n= 0 ");
    assert_int_equal(owners[0].ends, 1);
    assert_int_equal(grpc_client_calls(client), 0);
}

static void expect_timeout(int which, int64_t timeout_ms, const char *text)
{
    begin_with(&owners[which], (struct grpc_call_config){
                                   .path = SLICE("/s/T"),
                                   .timeout_ms = timeout_ms,
                               });
    run();
    buf_append_char(&stub.calls[which].head, '\0');
    assert_non_null(strstr(stub.calls[which].head.at, text));
}

static void timeouts_have_eight_digits_at_most(void **state)
{
    (void)state;
    expect_timeout(0, 1, "grpc-timeout: 1m\n");
    expect_timeout(1, 99999999, "grpc-timeout: 99999999m\n");
    expect_timeout(2, 100000000, "grpc-timeout: 100000S\n");
    expect_timeout(3, INT64_MAX, "grpc-timeout: 99999999S\n");
}

static void errors_come_with_their_text(void **state)
{
    (void)state;
    ask(&owners[0], "/s/A", "x");
    grpc_stub_end(&stub.calls[0], "5", "no%20such%25 key");
    run();
    expect(&owners[0], "= 5 no such% key");

    ask(&owners[1], "/s/B", "x");
    grpc_stub_send(&stub.calls[1], SLICE("half"));
    grpc_stub_end(&stub.calls[1], "8", "too much");
    run();
    expect(&owners[1], "half\n= 8 too much");

    ask(&owners[2], "/s/C", "x");
    grpc_stub_end(&stub.calls[2], "bogus", NULL);
    run();
    expect(&owners[2], "= 2 ");
}

static void answers_that_are_not_grpc(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *type;
        const char *said;
    } cases[] = {
        {503, "text/plain",
         "= 14 unexpected HTTP status code received from server: 503"},
        {404, "text/plain",
         "= 12 unexpected HTTP status code received from server: 404"},
        {400, "text/plain",
         "= 13 unexpected HTTP status code received from server: 400"},
        {401, "application/grpc",
         "= 16 unexpected HTTP status code received from server: 401"},
        {403, "text/plain",
         "= 7 unexpected HTTP status code received from server: 403"},
        {302, "text/plain",
         "= 2 unexpected HTTP status code received from server: 302"},
        {200, "text/plain", "= 2 the answer isn't gRPC's"},
    };
    for (int i = 0; i < 7; i++) {
        ask(&owners[i], "/s/A", "x");
        grpc_stub_refuse(&stub.calls[i], cases[i].status, cases[i].type);
        run();
        expect(&owners[i], cases[i].said);
    }
}

static void an_answer_without_trailers(void **state)
{
    (void)state;
    ask(&owners[0], "/s/A", "x");
    grpc_stub_send(&stub.calls[0], SLICE("answer"));
    http_end(stub.calls[0].exchange);
    run();
    expect(&owners[0], "answer\n= 13 server closed the stream without sending "
                       "trailers");
}

static void resets_have_codes(void **state)
{
    (void)state;
    static const struct {
        uint32_t code;
        int said;
    } cases[] = {
        {7, GRPC_UNAVAILABLE},
        {8, GRPC_CANCELED},
        {11, GRPC_RESOURCE_EXHAUSTED},
        {12, GRPC_PERMISSION_DENIED},
        {2, GRPC_INTERNAL},
    };
    for (int i = 0; i < 5; i++) {
        char said[64];
        ask(&owners[i], "/s/A", "x");
        grpc_stub_reset(&stub.calls[i], cases[i].code);
        run();
        snprintf(said, sizeof said,
                 "= %d the stream was reset: ", cases[i].said);
        assert_int_equal(owners[i].ends, 1);
        assert_memory_equal(owners[i].said.at, said, strlen(said));
    }
}

/* ---- messages ----------------------------------------------------------- */

static void messages_both_ways(void **state)
{
    (void)state;
    struct grpc_call *call = begin(&owners[0], "/s/Stream");
    struct grpc_stub_call *other = &stub.calls[0];
    grpc_call_send(call, SLICE("one"), false);
    run();
    expect_next(other, "one");
    assert_false(other->ended);
    grpc_stub_send(other, SLICE("un"));
    grpc_stub_send(other, SLICE(""));
    run();
    expect(&owners[0], "un\n\n");
    grpc_call_send(call, SLICE("two"), false);
    grpc_call_send(call, SLICE(""), false);
    run();
    expect_next(other, "two");
    expect_next(other, "");
    grpc_call_half_close(call);
    run();
    assert_true(other->ended);
    grpc_stub_send(other, SLICE("deux"));
    grpc_stub_end(other, "0", "");
    run();
    expect(&owners[0], "un\n\ndeux\n= 0 ");
}

static void a_call_of_no_message(void **state)
{
    (void)state;
    grpc_call_half_close(begin(&owners[0], "/s/None"));
    run();
    assert_true(stub.calls[0].ended);
    assert_int_equal(stub.calls[0].body.size, 0);
    grpc_stub_end(&stub.calls[0], "0", NULL);
    run();
    expect(&owners[0], "= 0 ");
}

static void the_server_may_end_first(void **state)
{
    (void)state;
    begin(&owners[0], "/s/Stream");
    run();
    grpc_stub_send(&stub.calls[0], SLICE("bye"));
    grpc_stub_end(&stub.calls[0], "14", "stopping");
    run();
    expect(&owners[0], "bye\n= 14 stopping");
    /* The connection goes on. */
    ask(&owners[1], "/s/A", "x");
    grpc_stub_end(&stub.calls[1], "0", NULL);
    run();
    expect(&owners[1], "= 0 ");
}

static void messages_come_in_any_pieces(void **state)
{
    (void)state;
    struct buf frames = {0};
    ask(&owners[0], "/s/A", "x");
    grpc_stub_frame(&frames, SLICE("alpha"));
    grpc_stub_frame(&frames, SLICE("beta"));
    for (size_t i = 0; i < frames.size; i++) {
        grpc_stub_send_raw(&stub.calls[0], slice_of(frames.at + i, 1));
        assert_int_equal(run_in_pieces(3), ERR_OK);
    }
    grpc_stub_end(&stub.calls[0], "0", NULL);
    assert_int_equal(run_in_pieces(1), ERR_OK);
    expect(&owners[0], "alpha\nbeta\n= 0 ");
    buf_deinit(&frames);
}

static void an_answer_that_breaks_off(void **state)
{
    (void)state;
    ask(&owners[0], "/s/A", "x");
    grpc_stub_send_raw(&stub.calls[0], slice_of("\0\0\0\0\7abc", 8));
    grpc_stub_end(&stub.calls[0], "0", NULL);
    run();
    expect(&owners[0], "= 13 the answer breaks off");
}

static void a_message_that_is_none(void **state)
{
    (void)state;
    ask(&owners[0], "/s/A", "x");
    grpc_stub_send_raw(&stub.calls[0], slice_of("\7\0\0\0\1a", 6));
    run();
    assert_int_equal(owners[0].ends, 1);
    assert_memory_equal(owners[0].said.at, "= 13 ", 5);
    assert_true(stub.calls[0].gone); /* the server needn't go on */
}

static void a_message_that_is_too_large(void **state)
{
    (void)state;
    char text[96];
    char prefix[GRPC_PREFIX_BYTES];
    ask(&owners[0], "/s/A", "x");
    grpc_prefix(prefix, MESSAGE_BYTES_MAX + 1, false);
    grpc_stub_send_raw(&stub.calls[0], slice_of(prefix, sizeof prefix));
    run();
    snprintf(text, sizeof text,
             "= 8 grpc: received message larger than max (%d vs. %d)",
             MESSAGE_BYTES_MAX + 1, MESSAGE_BYTES_MAX);
    expect(&owners[0], text);
}

static void compressed_messages(void **state)
{
    (void)state;
    struct buf packed = {0};
    char prefix[GRPC_PREFIX_BYTES];
    ask(&owners[0], "/s/A", "x");
    grpc_deflate(&packed, SLICE("what was compressed"));
    grpc_prefix(prefix, packed.size, true);
    grpc_stub_begin(&stub.calls[0], "gzip");
    grpc_stub_send_raw(&stub.calls[0], slice_of(prefix, sizeof prefix));
    grpc_stub_send_raw(&stub.calls[0], buf_slice(&packed));
    grpc_stub_end(&stub.calls[0], "0", NULL);
    run();
    expect(&owners[0], "what was compressed\n= 0 ");
    buf_deinit(&packed);
}

/* ---- much --------------------------------------------------------------- */

static void large_messages_both_ways(void **state)
{
    (void)state;
    size_t size = 5 * 1000 * 1000;
    char *large = mem_alloc(size);
    struct slice message;
    memset(large, 'l', size);
    grpc_call_send(begin(&owners[0], "/s/Large"), slice_of(large, size), true);
    run();
    assert_true(grpc_stub_next(&stub.calls[0], &message));
    assert_int_equal(message.size, size);
    grpc_stub_send(&stub.calls[0], slice_of(large, size));
    grpc_stub_end(&stub.calls[0], "0", NULL);
    run();
    assert_int_equal(owners[0].last_size, size);
    expect(&owners[0], "= 0 ");
    mem_free(large);
}

static void a_server_that_is_slow_is_waited_for(void **state)
{
    (void)state;
    size_t size = 300 * 1000;
    char *large = mem_alloc(size);
    memset(large, 'l', size);
    stub.holds = true;
    struct grpc_call *call = begin(&owners[0], "/s/Slow");
    grpc_call_send(call, slice_of(large, size), false);
    run();
    size_t waits = grpc_call_unsent(call);
    assert_true(waits > size - HTTP2_STREAM_WINDOW_BYTES - 100);
    /* Others go between. */
    ask(&owners[1], "/s/A", "x");
    grpc_stub_end(&stub.calls[1], "0", NULL);
    run();
    expect(&owners[1], "= 0 ");
    while (grpc_call_unsent(call) > 0) {
        grpc_stub_consume(&stub.calls[0]);
        run();
        assert_true(grpc_call_unsent(call) < waits);
        waits = grpc_call_unsent(call);
    }
    assert_int_equal(stub.calls[0].body.size, size + GRPC_PREFIX_BYTES);
    mem_free(large);
}

static void more_calls_than_the_server_takes(void **state)
{
    (void)state;
    tear_down(NULL);
    memset(owners, 0, sizeof owners);
    grpc_stub_init(&stub);
    connect_with(5);
    run(); /* its settings are known */
    for (int i = 0; i < 50; i++)
        grpc_call_send(begin(&owners[i], "/s/Many"), SLICE("m"), true);
    for (size_t done = 0; done < 50; done++) {
        run();
        assert_in_range(stub.count, done + 1, done + 5);
        grpc_stub_send(&stub.calls[done], SLICE("ok"));
        grpc_stub_end(&stub.calls[done], "0", NULL);
    }
    run();
    for (int i = 0; i < 50; i++)
        expect(&owners[i], "ok\n= 0 ");
    assert_int_equal(grpc_client_calls(client), 0);
}

/* ---- ends --------------------------------------------------------------- */

static void a_cancelled_call_is_not_told(void **state)
{
    (void)state;
    struct grpc_call *call = begin(&owners[0], "/s/A");
    grpc_call_send(call, SLICE("x"), false);
    run();
    grpc_call_cancel(call);
    assert_int_equal(grpc_client_calls(client), 0);
    run();
    assert_true(stub.calls[0].gone);
    assert_int_equal(owners[0].ends, 0);
}

static void cancelled_before_it_was_sent(void **state)
{
    (void)state;
    run();
    grpc_call_cancel(begin(&owners[0], "/s/A"));
    run();
    assert_int_equal(owners[0].ends, 0);
    ask(&owners[1], "/s/B", "x");
    grpc_stub_end(&stub.calls[stub.count - 1], "0", NULL);
    run();
    expect(&owners[1], "= 0 ");
}

static void cancelled_with_a_message(void **state)
{
    (void)state;
    owners[0].cancels = true;
    ask(&owners[0], "/s/A", "x");
    grpc_stub_send(&stub.calls[0], SLICE("first"));
    grpc_stub_send(&stub.calls[0], SLICE("second"));
    run();
    expect(&owners[0], "first\n");
    assert_true(stub.calls[0].gone);
    assert_int_equal(owners[0].ends, 0);
}

static void a_call_begins_where_one_ends(void **state)
{
    (void)state;
    owners[0].begins = true;
    ask(&owners[0], "/s/A", "x");
    grpc_stub_end(&stub.calls[0], "0", NULL);
    run();
    assert_int_equal(stub.count, 2);
    assert_memory_equal(stub.calls[1].head.at, "/s/Next\n", 8);
}

static void a_server_that_goes_away(void **state)
{
    (void)state;
    ask(&owners[0], "/s/A", "x");
    grpc_stub_begin(&stub.calls[0], NULL);
    run();
    assert_false(grpc_client_is_leaving(client));
    /* What comes while it says so is refused. */
    http2_stop(stub.http2);
    begin(&owners[1], "/s/B");
    size_t moved;
    (void)to_client(SIZE_MAX, &moved);
    assert_true(grpc_client_is_leaving(client));
    assert_null(begin(&owners[2], "/s/C"));
    (void)run_in_pieces(SIZE_MAX);
    assert_int_equal(owners[1].ends, 1);
    assert_memory_equal(owners[1].said.at, "= 14 ", 5);
    assert_int_equal(owners[0].ends, 1);
}

static void a_connection_that_ends(void **state)
{
    (void)state;
    begin(&owners[0], "/s/A");
    run();
    grpc_client_free(client);
    client = NULL;
    expect(&owners[0], "= 14 the connection is closed");
}

static void what_comes_is_not_http2(void **state)
{
    (void)state;
    begin(&owners[0], "/s/A");
    to_server();
    assert_int_equal(
        grpc_client_input(client, SLICE("HTTP/1.1 400 Bad Request\r\n\r\n")),
        ERR_CLOSED);
    assert_true(strlen(err_note()) > 0);
    assert_int_equal(owners[0].ends, 1);
    assert_memory_equal(owners[0].said.at, "= 14 ", 5);
    assert_true(grpc_client_is_leaving(client));
    assert_null(begin(&owners[1], "/s/B"));
    assert_int_equal(grpc_client_input(client, SLICE("more")), ERR_CLOSED);
}

/* ---- the rest ----------------------------------------------------------- */

static void pings_are_answered(void **state)
{
    (void)state;
    run();
    assert_int_equal(grpc_client_pongs(client), 0);
    grpc_client_ping(client);
    run();
    assert_int_equal(grpc_client_pongs(client), 1);
}

static void the_owner_hears_of_output(void **state)
{
    (void)state;
    run();
    outputs = 0;
    struct grpc_call *call = begin(&owners[0], "/s/A");
    assert_int_equal(outputs, 1);
    grpc_call_send(call, SLICE("x"), false);
    assert_int_equal(outputs, 2);
    run();
    outputs = 0;
    grpc_client_ping(client);
    grpc_call_cancel(call);
    assert_int_equal(outputs, 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_call_and_its_answer),
        TEST(timeouts_have_eight_digits_at_most),
        TEST(errors_come_with_their_text),
        TEST(answers_that_are_not_grpc),
        TEST(an_answer_without_trailers),
        TEST(resets_have_codes),
        TEST(messages_both_ways),
        TEST(a_call_of_no_message),
        TEST(the_server_may_end_first),
        TEST(messages_come_in_any_pieces),
        TEST(an_answer_that_breaks_off),
        TEST(a_message_that_is_none),
        TEST(a_message_that_is_too_large),
        TEST(compressed_messages),
        TEST(large_messages_both_ways),
        TEST(a_server_that_is_slow_is_waited_for),
        TEST(more_calls_than_the_server_takes),
        TEST(a_cancelled_call_is_not_told),
        TEST(cancelled_before_it_was_sent),
        TEST(cancelled_with_a_message),
        TEST(a_call_begins_where_one_ends),
        TEST(a_server_that_goes_away),
        TEST(a_connection_that_ends),
        TEST(what_comes_is_not_http2),
        TEST(pings_are_answered),
        TEST(the_owner_hears_of_output),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
