/* The gRPC client for programs, with a small server on a thread. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "host/rpc_client.h"
#include "stub_http.h"
#include "tests/support/stub_rpc.h"

static struct stub_rpc server;
static struct rpc_client *client;
static struct rpc_answer answer;

static void connect_to(const char *const *endpoints, size_t count)
{
    struct rpc_client_options options = {
        .endpoints = endpoints,
        .endpoint_count = count,
        .dial_ms = 1000,
        .user_agent = "tester",
        .stop_fd = -1,
    };
    assert_int_equal(rpc_client_open(&options, &client), ERR_OK);
}

static int set_up(void **state)
{
    (void)state;
    stub_rpc_start(&server, 0);
    connect_to((const char *const[]){server.endpoint}, 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rpc_client_close(client);
    client = NULL;
    rpc_answer_deinit(&answer);
    stub_rpc_stop(&server);
    return 0;
}

static int64_t in_ms(int64_t ms)
{
    return rpc_client_now_ms() + ms;
}

static enum err ask_within(const char *path, const char *message, int64_t ms,
                           bool is_repeatable)
{
    struct rpc_request request = {
        .path = slice_str(path),
        .message = slice_str(message),
        .deadline_ms = in_ms(ms),
        .is_repeatable = is_repeatable,
    };
    return rpc_client_call(client, &request, &answer);
}

static enum err ask(const char *path, const char *message)
{
    return ask_within(path, message, 10000, false);
}

static void expect_answer(const char *message)
{
    assert_int_equal(answer.code, GRPC_OK);
    assert_int_equal(answer.message.size, strlen(message));
    assert_memory_equal(answer.message.at, message, strlen(message));
}

/* ---- one out, one back -------------------------------------------------- */

static void a_call_and_its_answer(void **state)
{
    (void)state;
    assert_false(rpc_client_is_connected(client));
    assert_int_equal(ask("/s/Echo", "hello"), ERR_OK);
    expect_answer("hello");
    assert_int_equal(ask("/s/Echo", "again"), ERR_OK);
    expect_answer("again");
    assert_true(rpc_client_is_connected(client));
    assert_int_equal(atomic_load(&server.connections), 1);
    assert_string_equal(rpc_client_failure(client), "");
}

static void errors_have_code_and_text(void **state)
{
    (void)state;
    static const struct {
        const char *message;
        enum err err;
    } cases[] = {
        {"5 no such key", ERR_NOT_FOUND}, {"6 there", ERR_EXISTS},
        {"7 no", ERR_PERMISSION},         {"8 much", ERR_FULL},
        {"12 what?", ERR_UNSUPPORTED},    {"14 away", ERR_CLOSED},
        {"3 bad", ERR_INVALID},           {"15 lost", ERR_CORRUPT},
        {"4 late", ERR_TIMEOUT},          {"1 no more", ERR_STOPPED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(ask("/s/Code", cases[i].message), cases[i].err);
        assert_int_equal(answer.code, strtol(cases[i].message, NULL, 10));
        assert_string_equal(err_note(), strchr(cases[i].message, ' ') + 1);
    }
    assert_int_equal(ask("/s/None", ""), ERR_INVALID);
    assert_int_equal(answer.code, GRPC_INTERNAL);
}

static void a_deadline_while_the_server_thinks(void **state)
{
    (void)state;
    int64_t start = rpc_client_now_ms();
    assert_int_equal(ask_within("/s/Never", "x", 100, true), ERR_TIMEOUT);
    assert_string_equal(err_note(), "context deadline exceeded");
    assert_int_equal(answer.code, GRPC_DEADLINE_EXCEEDED);
    assert_in_range(rpc_client_now_ms() - start, 100, 5000);
    /* The connection is as good as before. */
    assert_int_equal(ask("/s/Echo", "x"), ERR_OK);
    assert_int_equal(atomic_load(&server.connections), 1);
}

static void what_may_be_repeated_is(void **state)
{
    (void)state;
    atomic_store(&server.unavailable, 3);
    assert_int_equal(ask_within("/s/Unavailable", "x", 10000, true), ERR_OK);
    expect_answer("x");
    assert_int_equal(atomic_load(&server.calls), 4);

    atomic_store(&server.unavailable, 1);
    assert_int_equal(ask("/s/Unavailable", "x"), ERR_CLOSED);
    assert_string_equal(err_note(), "not now");
    assert_int_equal(atomic_load(&server.calls), 5);

    atomic_store(&server.unavailable, 1000);
    assert_int_equal(ask_within("/s/Unavailable", "x", 200, true), ERR_CLOSED);
}

static void a_connection_that_breaks(void **state)
{
    (void)state;
    assert_int_equal(ask("/s/Drop", "x"), ERR_CLOSED);
    assert_int_equal(answer.code, GRPC_UNAVAILABLE);
    assert_non_null(strstr(rpc_client_failure(client), server.endpoint));
    assert_int_equal(ask("/s/Echo", "x"), ERR_OK);
    assert_int_equal(atomic_load(&server.connections), 2);
}

/* ---- endpoints ---------------------------------------------------------- */

static void the_next_endpoint_where_one_does_not_answer(void **state)
{
    (void)state;
    char none[32];
    rpc_client_close(client);
    snprintf(none, sizeof none, "http://127.0.0.1:%d", stub_free_port());
    connect_to((const char *const[]){none, server.endpoint}, 2);
    assert_int_equal(ask("/s/Echo", "x"), ERR_OK);
    assert_string_equal(rpc_client_endpoint(client), server.endpoint);
    assert_non_null(strstr(rpc_client_failure(client), none + 7));
}

static void the_other_endpoint_where_one_breaks(void **state)
{
    (void)state;
    struct stub_rpc other;
    stub_rpc_start(&other, 0);
    rpc_client_close(client);
    connect_to((const char *const[]){server.endpoint, other.endpoint}, 2);
    assert_int_equal(ask("/s/Drop", "x"), ERR_CLOSED);
    assert_int_equal(ask("/s/Echo", "x"), ERR_OK);
    assert_string_equal(rpc_client_endpoint(client), other.endpoint);
    /* And for what only this one can't. */
    atomic_store(&other.unavailable, 1000);
    atomic_store(&server.unavailable, 0);
    assert_int_equal(ask_within("/s/Unavailable", "x", 10000, true), ERR_OK);
    assert_string_equal(rpc_client_endpoint(client), server.endpoint);
    stub_rpc_stop(&other);
}

static void nobody_is_there(void **state)
{
    (void)state;
    char none[32];
    rpc_client_close(client);
    snprintf(none, sizeof none, "127.0.0.1:%d", stub_free_port());
    connect_to((const char *const[]){none}, 1);
    assert_int_equal(ask_within("/s/Echo", "x", 300, true), ERR_TIMEOUT);
    assert_string_equal(err_note(), "context deadline exceeded");
    assert_non_null(strstr(rpc_client_failure(client), "Connection refused"));
}

static void a_server_that_comes_late(void **state)
{
    (void)state;
    int port = server.port;
    stub_rpc_stop(&server);
    assert_int_equal(ask_within("/s/Echo", "x", 200, false), ERR_TIMEOUT);
    stub_rpc_start(&server, port);
    assert_int_equal(ask_within("/s/Echo", "x", 10000, false), ERR_OK);
}

static void endpoints_that_are_none(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum err err;
        const char *note;
    } cases[] = {
        {"ftp://127.0.0.1:1", ERR_UNSUPPORTED, "ftp://"},
        {"unix://", ERR_INVALID, "path is missing"},
        {"https://127.0.0.1", ERR_INVALID, "missing port"},
        {"localhost", ERR_INVALID, "missing port"},
        {"localhost:", ERR_INVALID, "missing port"},
        {"", ERR_INVALID, "missing port"},
        {"http://[::1]", ERR_INVALID, "missing port"},
        {"::1:2379", ERR_INVALID, "too many colons"},
    };
    struct rpc_client_options options = {.endpoint_count = 0, .stop_fd = -1};
    struct rpc_client *none;
    assert_int_equal(rpc_client_open(&options, &none), ERR_INVALID);
    assert_null(none);
    options.endpoint_count = 1;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        options.endpoints = &cases[i].text;
        assert_int_equal(rpc_client_open(&options, &none), cases[i].err);
        assert_non_null(strstr(err_note(), cases[i].note));
    }
}

static void expect_reached(const char *before, const char *behind)
{
    char text[64];
    const char *endpoint = text;
    rpc_client_close(client);
    snprintf(text, sizeof text, "%s:%d%s", before, server.port, behind);
    connect_to(&endpoint, 1);
    assert_int_equal(ask("/s/Echo", "x"), ERR_OK);
}

static void endpoints_as_people_write_them(void **state)
{
    (void)state;
    expect_reached("127.0.0.1", "");
    expect_reached("http://127.0.0.1", "/");
    expect_reached(" localhost", " ");
    expect_reached("http://localhost", "/path");
}

/* ---- streams ------------------------------------------------------------ */

struct owner {
    struct rpc_stream *stream;
    struct buf said;
    int messages, ends, code;
    bool cancels, opens;
};

static void open_stream(struct owner *owner, const char *path,
                        int64_t deadline_ms);

static void on_message(void *context, struct slice message)
{
    struct owner *owner = context;
    owner->messages++;
    buf_append_slice(&owner->said, message);
    buf_append_char(&owner->said, '\n');
    if (owner->cancels) {
        rpc_stream_cancel(owner->stream);
        owner->stream = NULL;
    }
    rpc_client_wake(client);
}

static void on_end(void *context, int code, struct slice text)
{
    struct owner *owner = context;
    owner->stream = NULL;
    owner->ends++;
    owner->code = code;
    buf_printf(&owner->said, "= %d %.*s", code, (int)text.size, text.at);
    if (owner->opens) {
        owner->opens = false;
        open_stream(owner, "/s/Stream", 0);
        rpc_stream_send(owner->stream, SLICE("reopened"), true);
    }
    rpc_client_wake(client);
}

static void open_stream(struct owner *owner, const char *path,
                        int64_t deadline_ms)
{
    struct rpc_stream_config config = {
        .path = slice_str(path),
        .deadline_ms = deadline_ms,
        .on_message = on_message,
        .on_end = on_end,
        .context = owner,
    };
    owner->stream = rpc_stream_open(client, &config);
}

static void run_until(const int *count, int wanted)
{
    int64_t until = in_ms(10000);
    while (*count < wanted && rpc_client_now_ms() < until)
        rpc_client_run(client, until, -1);
    assert_int_equal(*count, wanted);
}

static void expect_said(struct owner *owner, const char *text)
{
    buf_append_char(&owner->said, '\0');
    assert_string_equal(owner->said.at, text);
    buf_deinit(&owner->said);
    owner->said = (struct buf){0};
}

static void messages_both_ways(void **state)
{
    (void)state;
    struct owner owner = {0};
    open_stream(&owner, "/s/Stream", 0);
    /* Before there is a connection. */
    rpc_stream_send(owner.stream, SLICE("one"), false);
    rpc_stream_send(owner.stream, SLICE(""), false);
    assert_int_not_equal(rpc_stream_unsent(owner.stream), 0);
    run_until(&owner.messages, 2);
    expect_said(&owner, "one\n\n");
    rpc_stream_send(owner.stream, SLICE("two"), false);
    run_until(&owner.messages, 3);
    assert_int_equal(rpc_stream_unsent(owner.stream), 0);
    rpc_stream_half_close(owner.stream);
    run_until(&owner.ends, 1);
    expect_said(&owner, "two\n= 0 ");
}

static void half_closed_before_it_began(void **state)
{
    (void)state;
    struct owner owner = {0};
    open_stream(&owner, "/s/Stream", 0);
    rpc_stream_half_close(owner.stream);
    run_until(&owner.ends, 1);
    expect_said(&owner, "= 0 ");
    open_stream(&owner, "/s/Stream", 0);
    rpc_stream_send(owner.stream, SLICE("only"), true);
    run_until(&owner.ends, 2);
    expect_said(&owner, "only\n= 0 ");
}

static void many_streams_at_once(void **state)
{
    (void)state;
    static struct owner owners[60];
    int ends = 0;
    memset(owners, 0, sizeof owners);
    for (int i = 0; i < 60; i++) {
        open_stream(&owners[i], "/s/Stream", 0);
        rpc_stream_send(owners[i].stream, SLICE("m"), true);
    }
    for (int64_t until = in_ms(10000);
         ends < 60 && rpc_client_now_ms() < until;) {
        rpc_client_run(client, until, -1);
        ends = 0;
        for (int i = 0; i < 60; i++)
            ends += owners[i].ends;
    }
    for (int i = 0; i < 60; i++)
        expect_said(&owners[i], "m\n= 0 ");
    assert_int_equal(atomic_load(&server.connections), 1);
}

static void a_stream_goes_on_while_a_call_waits(void **state)
{
    (void)state;
    struct owner owner = {0};
    open_stream(&owner, "/s/Stream", 0);
    rpc_stream_send(owner.stream, SLICE("one"), false);
    assert_int_equal(ask_within("/s/Never", "x", 300, false), ERR_TIMEOUT);
    assert_int_equal(owner.messages, 1);
    rpc_stream_cancel(owner.stream);
    buf_deinit(&owner.said);
}

static void cancelled_with_a_message(void **state)
{
    (void)state;
    struct owner owner = {.cancels = true};
    open_stream(&owner, "/s/Stream", 0);
    rpc_stream_send(owner.stream, SLICE("one"), false);
    rpc_stream_send(owner.stream, SLICE("two"), false);
    run_until(&owner.messages, 1);
    assert_null(owner.stream);
    assert_int_equal(ask("/s/Echo", "x"), ERR_OK);
    assert_int_equal(owner.ends, 0);
    expect_said(&owner, "one\n");
}

static void cancelled_before_it_began(void **state)
{
    (void)state;
    struct owner owner = {0};
    open_stream(&owner, "/s/Stream", 0);
    rpc_stream_send(owner.stream, SLICE("one"), false);
    rpc_stream_cancel(owner.stream);
    assert_int_equal(ask("/s/Echo", "x"), ERR_OK);
    assert_int_equal(owner.messages + owner.ends, 0);
}

static void a_stream_has_a_deadline(void **state)
{
    (void)state;
    struct owner owner = {0};
    open_stream(&owner, "/s/Never", in_ms(100));
    rpc_stream_send(owner.stream, SLICE("x"), false);
    run_until(&owner.ends, 1);
    expect_said(&owner, "= 4 context deadline exceeded");
}

static void a_stream_hears_of_a_broken_connection(void **state)
{
    (void)state;
    struct owner owner = {.opens = true};
    open_stream(&owner, "/s/Stream", 0);
    rpc_stream_send(owner.stream, SLICE("one"), false);
    run_until(&owner.messages, 1);
    expect_said(&owner, "one\n");
    assert_int_equal(ask("/s/Drop", "x"), ERR_CLOSED);
    /* What it opens from there on waits for the next connection. */
    run_until(&owner.ends, 2);
    buf_append_char(&owner.said, '\0');
    assert_memory_equal(owner.said.at, "= 14 ", 5);
    assert_non_null(strstr(owner.said.at, "reopened\n= 0 "));
    buf_deinit(&owner.said);
}

static void streams_are_gone_with_the_client(void **state)
{
    (void)state;
    struct owner owner = {0};
    open_stream(&owner, "/s/Stream", 0);
    rpc_stream_send(owner.stream, SLICE("one"), false);
    run_until(&owner.messages, 1);
    rpc_client_close(client);
    client = NULL;
    assert_int_equal(owner.ends, 0);
    buf_deinit(&owner.said);
}

static void a_server_that_goes_away(void **state)
{
    (void)state;
    assert_int_equal(ask("/s/Echo", "x"), ERR_OK);
    atomic_store(&server.goes_away, true);
    stub_rpc_wake(&server);
    for (int i = 0; i < 20; i++)
        assert_int_equal(ask_within("/s/Echo", "x", 10000, true), ERR_OK);
    assert_int_equal(atomic_load(&server.connections), 2);
}

static void a_silent_server_is_left(void **state)
{
    (void)state;
    struct owner owner = {0};
    struct rpc_client_options options = {
        .endpoints = (const char *const[]){server.endpoint},
        .endpoint_count = 1,
        .keepalive_ms = 100,
        .keepalive_timeout_ms = 100,
        .stop_fd = -1,
    };
    rpc_client_close(client);
    assert_int_equal(rpc_client_open(&options, &client), ERR_OK);
    open_stream(&owner, "/s/Stream", 0);
    rpc_stream_send(owner.stream, SLICE("one"), false);
    run_until(&owner.messages, 1);
    /* While it answers, it stays. */
    assert_int_equal(rpc_client_run(client, in_ms(500), -1), RPC_DEADLINE);
    assert_int_equal(owner.ends, 0);
    atomic_store(&server.is_deaf, true);
    stub_rpc_wake(&server);
    run_until(&owner.ends, 1);
    assert_int_equal(owner.code, GRPC_UNAVAILABLE);
    assert_non_null(strstr(rpc_client_failure(client), "keepalive"));
    buf_deinit(&owner.said);
}

/* ---- run ---------------------------------------------------------------- */

static void run_returns_for_what_it_is_told(void **state)
{
    (void)state;
    int pipes[2];
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    int64_t start = rpc_client_now_ms();
    assert_int_equal(rpc_client_run(client, start + 50, pipes[0]),
                     RPC_DEADLINE);
    assert_in_range(rpc_client_now_ms() - start, 50, 5000);
    rpc_client_wake(client);
    assert_int_equal(rpc_client_run(client, INT64_MAX, pipes[0]), RPC_WOKEN);
    assert_int_equal(write(pipes[1], "x", 1), 1);
    assert_int_equal(rpc_client_run(client, INT64_MAX, pipes[0]), RPC_READABLE);
    /* In the past: what is here already, and no wait. */
    assert_int_equal(rpc_client_run(client, 0, pipes[0]), RPC_READABLE);
    assert_int_equal(rpc_client_run(client, 0, -1), RPC_DEADLINE);
    close(pipes[0]);
    close(pipes[1]);
}

static void a_stop_ends_what_blocks(void **state)
{
    (void)state;
    int pipes[2];
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    assert_int_equal(write(pipes[1], "x", 1), 1);
    rpc_client_set_stop_fd(client, pipes[0]);
    assert_int_equal(ask("/s/Never", "x"), ERR_STOPPED);
    assert_string_equal(err_note(), "context canceled");
    assert_int_equal(answer.code, GRPC_CANCELED);
    assert_int_equal(rpc_client_run(client, INT64_MAX, -1), RPC_STOPPED);
    /* What is to be done yet is done without it. */
    rpc_client_set_stop_fd(client, -1);
    assert_int_equal(ask("/s/Echo", "x"), ERR_OK);
    close(pipes[0]);
    close(pipes[1]);
}

static void expect_token(const char *token)
{
    assert_int_equal(ask("/s/Head", "x"), ERR_OK);
    buf_append_char(&answer.message, '\0');
    const char *found = strstr(answer.message.at, "token: ");
    if (token == NULL) {
        assert_null(found);
        return;
    }
    assert_non_null(found);
    assert_memory_equal(found + 7, token, strlen(token));
}

static void metadata_goes_with_every_call(void **state)
{
    (void)state;
    const struct grpc_header metadata[] = {{SLICE("token"), SLICE("secret")}};
    expect_token(NULL);
    rpc_client_set_metadata(client, metadata, 1);
    expect_token("secret\n");
    expect_token("secret\n");
    rpc_client_set_metadata(client, NULL, 0);
    expect_token(NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_call_and_its_answer),
        TEST(errors_have_code_and_text),
        TEST(a_deadline_while_the_server_thinks),
        TEST(what_may_be_repeated_is),
        TEST(a_connection_that_breaks),
        TEST(the_next_endpoint_where_one_does_not_answer),
        TEST(the_other_endpoint_where_one_breaks),
        TEST(nobody_is_there),
        TEST(a_server_that_comes_late),
        TEST(endpoints_that_are_none),
        TEST(endpoints_as_people_write_them),
        TEST(messages_both_ways),
        TEST(half_closed_before_it_began),
        TEST(many_streams_at_once),
        TEST(a_stream_goes_on_while_a_call_waits),
        TEST(cancelled_with_a_message),
        TEST(cancelled_before_it_began),
        TEST(a_stream_has_a_deadline),
        TEST(a_stream_hears_of_a_broken_connection),
        TEST(streams_are_gone_with_the_client),
        TEST(a_server_that_goes_away),
        TEST(a_silent_server_is_left),
        TEST(run_returns_for_what_it_is_told),
        TEST(a_stop_ends_what_blocks),
        TEST(metadata_goes_with_every_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
