/* A whole server in this process, asked by gRPC over loopback: both HTTPs on
 * one port, many clients at once, and a stop that waits for what it has. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "host/config.h"
#include "host/server.h"
#include "proto/pb.h"
#include "wire/grpc_client.h"

enum { CLIENTS = 6, WRITES = 150 };

static char folder[] = "/tmp/etched-server-rpc-XXXXXX";
static char client_url[64];
static char peer_url[64];
static uint16_t port;
static struct config config;
static pthread_t thread;
static _Atomic bool ended;

/* ---- the server ------------------------------------------------------ */

static uint16_t free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (void *)&address, size), 0);
    assert_int_equal(getsockname(fd, (void *)&address, &size), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static enum err no_file(void *context, const char *path, struct buf *out)
{
    (void)context;
    (void)out;
    return err_set(ERR_NOT_FOUND, "%s: there are no files here", path);
}

static void *serve(void *context)
{
    struct server_args args = {0};
    bool server_ended = false;
    (void)context;
    enum err err = server_run(&config, &args, &server_ended);
    assert_int_equal(err, ERR_OK);
    assert_true(server_ended);
    ended = true;
    return NULL;
}

static int dial(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < 1000; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(fd, (void *)&address, sizeof(address)) == 0) {
            return fd;
        }
        close(fd);
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    fail_msg("nobody listens on port %d", port);
    return -1;
}

static int start_server(void **state)
{
    (void)state;
    port = free_port();
    assert_non_null(mkdtemp(folder));
    (void)snprintf(client_url, sizeof(client_url), "http://127.0.0.1:%d", port);
    (void)snprintf(peer_url, sizeof(peer_url), "http://127.0.0.1:%d",
                   free_port());
    char *argv[] = {"etched",   "--data-dir",
                    folder,     "--listen-client-urls",
                    client_url, "--advertise-client-urls",
                    client_url, "--listen-peer-urls",
                    peer_url,   "--io-threads",
                    "2",        NULL};
    struct config_input input = {.argc = 11, .argv = argv, .read = no_file};
    assert_int_equal(config_load(&config, &input), ERR_OK);
    config.has_seccomp = false; /* the process is the test's */
    assert_int_equal(pthread_create(&thread, NULL, serve, NULL), 0);
    close(dial());
    return 0;
}

static void end_server(void)
{
    if (!ended) {
        assert_int_equal(raise(SIGTERM), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
}

static int stop_server(void **state)
{
    char command[128];
    (void)state;
    end_server();
    config_deinit(&config);
    (void)snprintf(command, sizeof(command), "rm -r '%s'", folder);
    return ended ? system(command) : -1;
}

/* ---- a client -------------------------------------------------------- */

struct phone {
    int fd;
    struct grpc_client *client;
    int code; /* of the last call; -1: not yet */
    struct buf message;
    struct buf text;
};

static void on_message(void *context, struct slice message)
{
    struct phone *phone = context;
    buf_reset(&phone->message);
    buf_append_slice(&phone->message, message);
}

static void on_end(void *context, int code, struct slice text)
{
    struct phone *phone = context;
    phone->code = code;
    buf_reset(&phone->text);
    buf_append_slice(&phone->text, text);
}

static struct phone phone_open(void)
{
    struct grpc_client_config client = {
        .authority = SLICE("test"),
        .user_agent = SLICE("test"),
        .message_bytes_max = 64 << 20,
    };
    return (struct phone){.fd = dial(), .client = grpc_client_new(&client)};
}

static void phone_close(struct phone *phone)
{
    grpc_client_free(phone->client);
    close(phone->fd);
    buf_deinit(&phone->message);
    buf_deinit(&phone->text);
}

static void say(struct phone *phone, size_t piece)
{
    struct slice slices[4];
    size_t count;
    while ((count = grpc_client_output(phone->client, slices, 4)) > 0) {
        size_t size = slices[0].size < piece ? slices[0].size : piece;
        ssize_t sent = send(phone->fd, slices[0].at, size, MSG_NOSIGNAL);
        assert_true(sent > 0);
        grpc_client_sent(phone->client, (size_t)sent);
    }
}

/* One round trip of bytes; false: the server has closed. */
static bool talk(struct phone *phone, size_t piece)
{
    static _Thread_local char bytes[256 * 1024];
    say(phone, piece);
    ssize_t size = recv(phone->fd, bytes, sizeof(bytes), 0);
    assert_true(size >= 0);
    return size > 0 &&
           grpc_client_input(phone->client, slice_of(bytes, (size_t)size)) ==
               ERR_OK;
}

static struct grpc_call *begin(struct phone *phone, const char *path)
{
    struct grpc_call_config call = {
        .path = slice_str(path),
        .on_message = on_message,
        .on_end = on_end,
        .context = phone,
    };
    phone->code = -1;
    return grpc_call_new(phone->client, &call);
}

/* Sends with pieces of `piece` bytes. */
static int call(struct phone *phone, const char *path, struct slice message,
                size_t piece)
{
    grpc_call_send(begin(phone, path), message, true);
    while (phone->code == -1 && talk(phone, piece)) {
    }
    return phone->code;
}

static int put(struct phone *phone, const char *key, const char *value)
{
    struct buf request = {0};
    pb_put_bytes(&request, 1, slice_str(key));
    pb_put_bytes(&request, 2, slice_str(value));
    int code =
        call(phone, "/etcdserverpb.KV/Put", buf_slice(&request), SIZE_MAX);
    buf_deinit(&request);
    return code;
}

static uint64_t count_range(struct phone *phone, const char *key,
                            const char *end)
{
    struct buf request = {0};
    struct pb_reader reader;
    struct pb_field field;
    uint64_t count = 0;
    pb_put_bytes(&request, 1, slice_str(key));
    pb_put_bytes(&request, 2, slice_str(end));
    assert_int_equal(
        call(phone, "/etcdserverpb.KV/Range", buf_slice(&request), SIZE_MAX),
        0);
    pb_reader_init(&reader, buf_slice(&phone->message));
    while (pb_next(&reader, &field)) {
        count = field.number == 4 ? field.value : count;
    }
    buf_deinit(&request);
    return count;
}

/* ---- the stories ----------------------------------------------------- */

static void what_grpc_puts_http1_gets(void **state)
{
    static const char request[] =
        "GET /v2/keys/crossing HTTP/1.1\r\nHost: localhost\r\n\r\n";
    char answer[4096];
    struct phone phone = phone_open();
    (void)state;
    assert_int_equal(put(&phone, "/crossing", "bridge"), 0);
    int fd = dial();
    assert_int_equal(send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL),
                     sizeof(request) - 1);
    ssize_t size = recv(fd, answer, sizeof(answer) - 1, 0);
    assert_true(size > 0);
    answer[size] = '\0';
    assert_non_null(strstr(answer, "HTTP/1.1 200"));
    assert_non_null(strstr(answer, "\"value\":\"bridge\""));
    close(fd);
    phone_close(&phone);
}

/* The preface too. */
static void a_client_may_speak_in_single_bytes(void **state)
{
    int on = 1;
    struct phone phone = phone_open();
    struct buf request = {0};
    (void)state;
    pb_put_bytes(&request, 1, SLICE("/slow"));
    assert_int_equal(
        setsockopt(phone.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
    assert_int_equal(
        call(&phone, "/etcdserverpb.KV/Put", buf_slice(&request), 1), 0);
    assert_int_equal(count_range(&phone, "/slow", ""), 1);
    buf_deinit(&request);
    phone_close(&phone);
}

/* A first byte that could be either's, and then HTTP/1.1. */
static void a_post_in_two_pieces_is_http1(void **state)
{
    char answer[1024];
    (void)state;
    int fd = dial();
    assert_int_equal(send(fd, "P", 1, MSG_NOSIGNAL), 1);
    nanosleep(&(struct timespec){.tv_nsec = 30000000}, NULL);
    static const char rest[] = "OST / HTTP/1.1\r\nHost: localhost\r\n"
                               "Content-Length: 0\r\n\r\n";
    assert_int_equal(send(fd, rest, sizeof(rest) - 1, MSG_NOSIGNAL),
                     sizeof(rest) - 1);
    ssize_t size = recv(fd, answer, sizeof(answer) - 1, 0);
    assert_true(size > 12);
    assert_memory_equal(answer, "HTTP/1.1 405", 12);
    close(fd);
    fd = dial();
    assert_int_equal(send(fd, "P", 1, MSG_NOSIGNAL), 1);
    close(fd);
}

static void *write_many(void *context)
{
    struct phone phone = phone_open();
    int *number = context;
    for (int i = 0; i < WRITES; i++) {
        char key[48];
        (void)snprintf(key, sizeof(key), "many/%d/%d", *number, i);
        assert_int_equal(put(&phone, key, "v"), 0);
        assert_int_equal(count_range(&phone, key, ""), 1);
    }
    phone_close(&phone);
    return NULL;
}

static void many_clients_at_once_lose_nothing(void **state)
{
    pthread_t threads[CLIENTS];
    int numbers[CLIENTS];
    (void)state;
    for (int i = 0; i < CLIENTS; i++) {
        numbers[i] = i;
        assert_int_equal(
            pthread_create(&threads[i], NULL, write_many, &numbers[i]), 0);
    }
    for (int i = 0; i < CLIENTS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    struct phone phone = phone_open();
    assert_int_equal(count_range(&phone, "many/", "many0"), CLIENTS * WRITES);
    phone_close(&phone);
}

static void a_large_range_comes_whole(void **state)
{
    enum { KEYS = 120, VALUE_BYTES = 32 * 1024 };
    struct phone phone = phone_open();
    char *value = calloc(1, VALUE_BYTES);
    (void)state;
    memset(value, 'v', VALUE_BYTES - 1);
    for (int i = 0; i < KEYS; i++) {
        char key[32];
        (void)snprintf(key, sizeof(key), "large/%d", i);
        assert_int_equal(put(&phone, key, value), 0);
    }
    assert_int_equal(count_range(&phone, "large/", "large0"), KEYS);
    assert_true(phone.message.size > (size_t)KEYS * (VALUE_BYTES - 1));
    free(value);
    phone_close(&phone);
}

/* The last one: the server is gone afterwards. */
static void a_stop_tells_streams_and_says_goodbye(void **state)
{
    struct phone phone = phone_open();
    (void)state;
    (void)begin(&phone, "/grpc.reflection.v1.ServerReflection/"
                        "ServerReflectionInfo");
    say(&phone, SIZE_MAX);
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    assert_int_equal(raise(SIGTERM), 0);
    while (phone.code == -1 && talk(&phone, SIZE_MAX)) {
    }
    assert_int_equal(phone.code, 14);
    assert_true(
        slice_eq(buf_slice(&phone.text), SLICE("etcdserver: server stopped")));
    while (talk(&phone, SIZE_MAX)) {
    }
    phone_close(&phone);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(ended);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_grpc_puts_http1_gets),
        cmocka_unit_test(a_client_may_speak_in_single_bytes),
        cmocka_unit_test(a_post_in_two_pieces_is_http1),
        cmocka_unit_test(many_clients_at_once_lose_nothing),
        cmocka_unit_test(a_large_range_comes_whole),
        cmocka_unit_test(a_stop_tells_streams_and_says_goodbye),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
