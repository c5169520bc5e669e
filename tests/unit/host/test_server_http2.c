/* A server's client port as HTTP/2 sees it, frame by frame: how it is told from
 * HTTP/1.1, what the flags say to a client, and how it ends. */
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

enum {
    FRAME_DATA = 0,
    FRAME_HEADERS = 1,
    FRAME_SETTINGS = 4,
    FRAME_PING = 6,
    FRAME_GOAWAY = 7,
    FLAG_ACK = 1,
    FLAG_END_STREAM = 1,
    FLAG_END_HEADERS = 4,
    SETTING_STREAMS = 3,
    STREAMS = 7,
    BESIDE = 12,
};

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

static char folder[] = "/tmp/etched-server-http2-XXXXXX";
static char client_url[64];
static char peer_url[64];
static uint16_t port;
static struct config config;
static pthread_t thread;
static bool joined;

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
    bool ended = false;
    (void)context;
    assert_int_equal(server_run(&config, &args, &ended), ERR_OK);
    assert_true(ended);
    return NULL;
}

/* -1: nobody listens. */
static int try_dial(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(port)};
    struct timeval patience = {.tv_sec = 10};
    int on = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (void *)&address, sizeof(address)) != 0) {
        close(fd);
        return -1;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    return fd;
}

static int dial(void)
{
    for (int i = 0; i < 1000; i++) {
        int fd = try_dial();
        if (fd >= 0) {
            return fd;
        }
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
                    peer_url,   "--max-concurrent-streams",
                    "7",        "--grpc-keepalive-interval",
                    "1s",       "--grpc-keepalive-timeout",
                    "1s",       "--enable-grpc-gateway=false",
                    NULL};
    struct config_input input = {.argc = 16, .argv = argv, .read = no_file};
    assert_int_equal(config_load(&config, &input), ERR_OK);
    config.has_seccomp = false; /* the process is the test's */
    assert_int_equal(pthread_create(&thread, NULL, serve, NULL), 0);
    close(dial());
    return 0;
}

static void join(void)
{
    if (!joined) {
        joined = true;
        assert_int_equal(raise(SIGTERM), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
}

static int stop_server(void **state)
{
    char command[128];
    (void)state;
    join();
    config_deinit(&config);
    (void)snprintf(command, sizeof(command), "rm -r '%s'", folder);
    return system(command);
}

/* ---- frames ---------------------------------------------------------- */

static void say(int fd, const void *bytes, size_t size)
{
    assert_int_equal(send(fd, bytes, size, MSG_NOSIGNAL), size);
}

static void say_frame(int fd, uint8_t type, uint8_t flags, uint8_t stream,
                      const char *payload, size_t size)
{
    char frame[512] = {0};
    assert_true(size <= sizeof(frame) - 9);
    frame[1] = (char)(size >> 8);
    frame[2] = (char)size;
    frame[3] = (char)type;
    frame[4] = (char)flags;
    frame[8] = (char)stream;
    if (size > 0) {
        memcpy(frame + 9, payload, size);
    }
    say(fd, frame, 9 + size);
}

struct frame {
    uint8_t type, flags;
    uint32_t stream;
    size_t size;
    unsigned char payload[17000];
};

/* False: the peer has closed. */
static bool hear(int fd, void *out, size_t size)
{
    size_t got = 0;
    while (got < size) {
        ssize_t more = recv(fd, (char *)out + got, size - got, 0);
        assert_true(more >= 0 || got == 0);
        if (more <= 0) {
            return false;
        }
        got += (size_t)more;
    }
    return true;
}

static bool hear_frame(int fd, struct frame *frame)
{
    unsigned char head[9];
    if (!hear(fd, head, sizeof(head))) {
        return false;
    }
    frame->size = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
    frame->type = head[3];
    frame->flags = head[4];
    frame->stream = (uint32_t)head[7] << 8 | head[8];
    assert_true(frame->size <= sizeof(frame->payload));
    return frame->size == 0 || hear(fd, frame->payload, frame->size);
}

/* The next of this type; pings and the like are passed over. */
static bool hear_type(int fd, uint8_t type, struct frame *frame)
{
    while (hear_frame(fd, frame)) {
        if (frame->type == type) {
            return true;
        }
    }
    return false;
}

static uint32_t number_at(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 |
           (uint32_t)at[2] << 8 | at[3];
}

static int open_http2(void)
{
    int fd = dial();
    say(fd, preface, sizeof(preface) - 1);
    say_frame(fd, FRAME_SETTINGS, 0, 0, NULL, 0);
    return fd;
}

/* GET of a path: static entries and one literal. */
static void ask(int fd, uint8_t stream, const char *path)
{
    char head[256];
    size_t size = strlen(path);
    assert_true(size < 100);
    int used = snprintf(head, sizeof(head), "\x82\x86\x04%c%s\x01%c%s",
                        (int)size, path, 9, "localhost");
    say_frame(fd, FRAME_HEADERS, FLAG_END_HEADERS | FLAG_END_STREAM, stream,
              head, (size_t)used);
}

/* The body of the answer on this stream, which is short. */
static void hear_body(int fd, uint8_t stream, char *out, size_t size)
{
    struct frame frame;
    size_t used = 0;
    do {
        assert_true(hear_type(fd, FRAME_DATA, &frame));
        assert_int_equal(frame.stream, stream);
        assert_true(used + frame.size < size);
        memcpy(out + used, frame.payload, frame.size);
        used += frame.size;
    } while ((frame.flags & FLAG_END_STREAM) == 0);
    out[used] = '\0';
}

static void ask_http1(int fd, const char *head, const char *wanted)
{
    char answer[4096];
    say(fd, head, strlen(head));
    ssize_t size = recv(fd, answer, sizeof(answer) - 1, 0);
    assert_true(size > 0);
    answer[size] = '\0';
    assert_non_null(strstr(answer, wanted));
}

static void server_is_well(void)
{
    int fd = dial();
    ask_http1(fd, "GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n", "200 OK");
    close(fd);
}

/* ---- told apart ------------------------------------------------------ */

static void a_preface_may_come_byte_by_byte(void **state)
{
    struct frame frame;
    (void)state;
    int fd = dial();
    for (size_t i = 0; i < sizeof(preface) - 1; i++) {
        say(fd, preface + i, 1);
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    say_frame(fd, FRAME_SETTINGS, 0, 0, NULL, 0);
    assert_true(hear_frame(fd, &frame));
    assert_int_equal(frame.type, FRAME_SETTINGS);
    assert_int_equal(frame.flags, 0);
    assert_true(hear_type(fd, FRAME_SETTINGS, &frame));
    assert_int_equal(frame.flags, FLAG_ACK);
    close(fd);
}

/* It begins well and turns into something else: at each byte. */
static void a_preface_that_goes_wrong_is_no_request(void **state)
{
    (void)state;
    for (size_t good = 1; good < sizeof(preface) - 1; good++) {
        char answer[1024];
        int fd = dial();
        say(fd, preface, good);
        say(fd, "\x01\r\n\r\n", 5);
        ssize_t size = recv(fd, answer, sizeof(answer) - 1, 0);
        /* As HTTP/1.1 it is refused; or the connection is just over. */
        if (size > 12) {
            answer[size] = '\0';
            assert_memory_equal(answer, "HTTP/1.1 ", 9);
            assert_true(answer[9] == '4' || answer[9] == '5');
        } else {
            assert_true(size <= 0);
        }
        close(fd);
    }
    server_is_well();
}

/* And nothing follows it, or the client is gone. */
static void a_preface_may_break_off(void **state)
{
    (void)state;
    for (size_t size = 1; size < sizeof(preface); size++) {
        int fd = dial();
        say(fd, preface, size);
        if (size % 2 == 0) {
            char byte;
            assert_int_equal(shutdown(fd, SHUT_WR), 0);
            while (recv(fd, &byte, 1, 0) > 0) {
            }
        }
        close(fd);
    }
    server_is_well();
}

/* Connections of both kinds, open together, each in the midst of something. */
static void both_are_served_beside_each_other(void **state)
{
    int old[BESIDE];
    int new[BESIDE];
    char text[4096];
    (void)state;
    for (int i = 0; i < BESIDE; i++) {
        old[i] = dial();
        new[i] = open_http2();
        say(old[i], "GET /v2/keys/b", 14);
    }
    int fd = dial();
    ask_http1(fd,
              "PUT /v2/keys/beside HTTP/1.1\r\nHost: localhost\r\n"
              "Content-Type: application/x-www-form-urlencoded\r\n"
              "Content-Length: 10\r\n\r\nvalue=here",
              "201 Created");
    close(fd);
    for (uint8_t round = 0; round < 3; round++) {
        for (int i = 0; i < BESIDE; i++) {
            uint8_t stream = (uint8_t)(2 * round + 1);
            ask(new[i], stream, "/v2/keys/beside");
            ask_http1(
                old[i],
                round == 0
                    ? "eside HTTP/1.1\r\nHost: localhost\r\n\r\n"
                    : "GET /v2/keys/beside HTTP/1.1\r\nHost: localhost\r\n\r\n",
                "\"value\":\"here\"");
            hear_body(new[i], stream, text, sizeof(text));
            assert_non_null(strstr(text, "\"value\":\"here\""));
        }
    }
    for (int i = 0; i < BESIDE; i++) {
        close(old[i]);
        close(new[i]);
    }
}

/* ---- what the flags say ---------------------------------------------- */

static void the_limit_of_streams_is_told(void **state)
{
    struct frame frame;
    uint32_t streams = 0;
    (void)state;
    int fd = open_http2();
    assert_true(hear_type(fd, FRAME_SETTINGS, &frame));
    for (size_t at = 0; at + 6 <= frame.size; at += 6) {
        if (frame.payload[at + 1] == SETTING_STREAMS) {
            streams = number_at(frame.payload + at + 2);
        }
    }
    assert_int_equal(streams, STREAMS);
    close(fd);
}

static void a_silent_client_is_asked_and_then_left(void **state)
{
    struct frame frame;
    (void)state;
    int fd = open_http2();
    int lively = open_http2();
    assert_true(hear_type(fd, FRAME_PING, &frame));
    assert_int_equal(frame.flags, 0);
    assert_true(hear_type(lively, FRAME_PING, &frame));
    say_frame(lively, FRAME_PING, FLAG_ACK, 0, (char *)frame.payload, 8);
    while (hear_frame(fd, &frame)) {
    }
    /* Who answers is asked again. */
    say_frame(lively, FRAME_PING, 0, 0, "measured", 8);
    assert_true(hear_type(lively, FRAME_PING, &frame));
    close(fd);
    close(lively);
}

static void a_gateway_that_is_off_is_not_there(void **state)
{
    (void)state;
    int fd = dial();
    ask_http1(fd,
              "POST /v3/kv/range HTTP/1.1\r\nHost: localhost\r\n"
              "Content-Length: 14\r\n\r\n{\"key\":\"YQ==\"}",
              "404 Not Found");
    close(fd);
}

/* ---- the end --------------------------------------------------------- */

static int64_t now_ms(void)
{
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The last one. Idle connections of both kinds, one with an open watch, and
 * one that doesn't read hold a stop up for a moment only. */
static void a_stop_says_goodbye_to_all(void **state)
{
    struct frame frame;
    char answer[2048];
    int idle[BESIDE];
    (void)state;
    for (int i = 0; i < BESIDE; i++) {
        idle[i] = open_http2();
        ask(idle[i], 1, "/version");
        hear_body(idle[i], 1, answer, sizeof(answer));
    }
    int watch = open_http2();
    ask(watch, 1, "/v2/keys/none?wait=true&stream=true");
    assert_true(hear_type(watch, FRAME_HEADERS, &frame));
    int old = dial();
    ask_http1(old, "GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n",
              "200 OK");
    int64_t began_ms = now_ms();
    join();
    assert_true(now_ms() - began_ms < 2500);
    for (int i = 0; i < BESIDE; i++) {
        assert_true(hear_type(idle[i], FRAME_GOAWAY, &frame));
        assert_int_equal(number_at(frame.payload), 1);
        assert_int_equal(number_at(frame.payload + 4), 0);
        while (hear_frame(idle[i], &frame)) {
        }
        close(idle[i]);
    }
    assert_true(hear_type(watch, FRAME_GOAWAY, &frame));
    hear_body(watch, 1, answer, sizeof(answer));
    assert_string_equal(answer, "");
    assert_int_equal(recv(old, answer, sizeof(answer), 0), 0);
    assert_int_equal(try_dial(), -1);
    close(watch);
    close(old);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_preface_may_come_byte_by_byte),
        cmocka_unit_test(a_preface_that_goes_wrong_is_no_request),
        cmocka_unit_test(a_preface_may_break_off),
        cmocka_unit_test(both_are_served_beside_each_other),
        cmocka_unit_test(the_limit_of_streams_is_told),
        cmocka_unit_test(a_silent_client_is_asked_and_then_left),
        cmocka_unit_test(a_gateway_that_is_off_is_not_there),
        cmocka_unit_test(a_stop_says_goodbye_to_all),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
