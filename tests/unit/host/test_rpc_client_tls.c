/* The gRPC client over TLS, and over a socket's path: a relay with TLS stands
 * before a small server that has none. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "certificates.h"
#include "host/rpc_client.h"
#include "tests/support/stub_rpc.h"

enum { LARGE_BYTES = 6 * 1024 * 1024, PIECE_BYTES = 64 * 1024 };

/* ---- the relay ----------------------------------------------------------- */

static struct {
    struct tls_context *tls; /* NULL: plain */
    int listener;
    int port;
    char path[108]; /* "": a port */
    int target;
    pthread_t thread;
    atomic_bool stops;
    atomic_int relayed; /* bytes of clients */
} relay;

static void send_on(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);
        if (sent <= 0) {
            return;
        }
        bytes += sent;
        size -= (size_t)sent;
    }
}

static bool take_from_client(int client, struct tls *tls, int server)
{
    char bytes[PIECE_BYTES];
    ssize_t got = tls != NULL ? tls_recv(tls, bytes, sizeof(bytes))
                              : recv(client, bytes, sizeof(bytes), 0);
    if (got > 0) {
        relay.relayed += (int)got;
        send_on(server, bytes, (size_t)got);
    }
    return got > 0;
}

static bool take_from_server(int client, struct tls *tls, int server)
{
    char bytes[PIECE_BYTES];
    ssize_t got = recv(server, bytes, sizeof(bytes), 0);
    struct iovec piece = {.iov_base = bytes,
                          .iov_len = got > 0 ? (size_t)got : 0};
    if (got <= 0) {
        return false;
    }
    if (tls == NULL) {
        send_on(client, bytes, (size_t)got);
        return true;
    }
    return tls_send(tls, &piece, 1) == got; /* the socket blocks */
}

static int dial_target(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)relay.target)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (void *)&to, sizeof(to)), 0);
    return fd;
}

static void serve_one(int client)
{
    struct tls *tls =
        relay.tls != NULL ? tls_new(relay.tls, client, NULL) : NULL;
    int server = -1;
    bool goes_on = tls == NULL || tls_handshake(tls) == ERR_OK;
    if (goes_on) {
        server = dial_target();
    }
    while (goes_on && !relay.stops) {
        struct pollfd ready[] = {{.fd = client, .events = POLLIN},
                                 {.fd = server, .events = POLLIN}};
        (void)poll(ready, 2, 20);
        if (ready[0].revents != 0) {
            goes_on = take_from_client(client, tls, server);
        }
        if (goes_on && ready[1].revents != 0) {
            goes_on = take_from_server(client, tls, server);
        }
    }
    tls_free(tls);
    close(client);
    if (server >= 0) {
        close(server);
    }
}

static void *serve(void *context)
{
    (void)context;
    while (!relay.stops) {
        struct pollfd ready = {.fd = relay.listener, .events = POLLIN};
        if (poll(&ready, 1, 20) > 0) {
            serve_one(accept4(relay.listener, NULL, NULL, SOCK_CLOEXEC));
        }
    }
    return NULL;
}

static void listen_at_path(void)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    (void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", relay.path);
    relay.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(relay.listener, (void *)&at, sizeof(at)), 0);
}

static void listen_at_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t size = sizeof(at);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    relay.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(relay.listener, (void *)&at, size), 0);
    assert_int_equal(getsockname(relay.listener, (void *)&at, &size), 0);
    relay.port = ntohs(at.sin_port);
}

/* ---- a server, and a client ---------------------------------------------- */

static struct stub_rpc server;
static struct rpc_client *client;
static struct rpc_answer answer;

/* `name` NULL: without TLS. `is_path`: at a socket's path. */
static void start(const char *name, bool is_path)
{
    static const char *const alpn[] = {"h2"};
    stub_rpc_start(&server, 0);
    memset(&relay, 0, sizeof(relay));
    relay.target = server.port;
    if (name != NULL) {
        struct tls_options options = certificates_of(TLS_SERVER, name, "ca");
        options.alpn = alpn;
        options.alpn_count = 1;
        assert_int_equal(tls_context_new(&options, &relay.tls), ERR_OK);
    }
    if (is_path) {
        (void)snprintf(relay.path, sizeof(relay.path), "%s",
                       certificates_path("relay", ".socket"));
        listen_at_path();
    } else {
        listen_at_port();
    }
    assert_int_equal(listen(relay.listener, 8), 0);
    assert_int_equal(pthread_create(&relay.thread, NULL, serve, NULL), 0);
}

static struct rpc_client_tls security(const char *name, const char *ca)
{
    struct rpc_client_tls tls = {.ca_file = certificates_path(ca, ".pem")};
    if (name != NULL) {
        tls.cert_file = certificates_path(name, ".pem");
        tls.key_file = certificates_path(name, ".key");
    }
    return tls;
}

static enum err ask(const struct rpc_client_tls *tls, const char *scheme,
                    const char *host, struct slice message, int64_t ms)
{
    char endpoint[160];
    const char *endpoints = endpoint;
    const struct rpc_client_options options = {.endpoints = &endpoints,
                                               .endpoint_count = 1,
                                               .tls = *tls,
                                               .dial_ms = 2000,
                                               .user_agent = "tester",
                                               .stop_fd = -1};
    const struct rpc_request request = {.path = SLICE("/s/Echo"),
                                        .message = message,
                                        .deadline_ms =
                                            rpc_client_now_ms() + ms};
    if (relay.path[0] != '\0') {
        (void)snprintf(endpoint, sizeof(endpoint), "%s%s", scheme, relay.path);
    } else {
        (void)snprintf(endpoint, sizeof(endpoint), "%s%s:%d", scheme, host,
                       relay.port);
    }
    assert_int_equal(rpc_client_open(&options, &client), ERR_OK);
    return rpc_client_call(client, &request, &answer);
}

static void expect_echo(const struct rpc_client_tls *tls, const char *scheme,
                        const char *host)
{
    assert_int_equal(ask(tls, scheme, host, SLICE("hello"), 10000), ERR_OK);
    assert_true(slice_eq(buf_slice(&answer.message), SLICE("hello")));
    rpc_client_close(client);
    client = NULL;
}

/* Nothing of a call reaches the other side; why not is known. */
static void expect_refused(const struct rpc_client_tls *tls, const char *why)
{
    assert_int_not_equal(
        ask(tls, "https://", "127.0.0.1", SLICE("secret"), 400), ERR_OK);
    if (strstr(rpc_client_failure(client), why) == NULL) {
        fail_msg("%s", rpc_client_failure(client));
    }
    assert_int_equal(atomic_load(&server.calls), 0);
    rpc_client_close(client);
    client = NULL;
}

static int stop(void **state)
{
    (void)state;
    relay.stops = true;
    pthread_join(relay.thread, NULL);
    close(relay.listener);
    if (relay.path[0] != '\0') {
        (void)unlink(relay.path);
    }
    tls_context_unref(relay.tls);
    rpc_client_close(client);
    client = NULL;
    rpc_answer_deinit(&answer);
    stub_rpc_stop(&server);
    return 0;
}

/* ---- the stories --------------------------------------------------------- */

static void a_call_goes_over_tls(void **state)
{
    struct rpc_client_tls tls = security("client", "ca");
    (void)state;
    start("m1", false);
    expect_echo(&tls, "https://", "127.0.0.1");
    expect_echo(&tls, "https://", "localhost");
    tls.is_default = true;
    expect_echo(&tls, "", "127.0.0.1");
    tls.server_name = "localhost";
    expect_echo(&tls, "https://", "127.0.0.1");
}

/* TLS holds bytes that the socket tells nothing of: an answer of hundreds of
 * records, read in rounds, comes whole. */
static void a_large_answer_comes_whole(void **state)
{
    struct rpc_client_tls tls = security("client", "ca");
    struct buf large = {0};
    (void)state;
    start("m1", false);
    memset(buf_extend(&large, LARGE_BYTES), 'x', LARGE_BYTES);
    large.at[LARGE_BYTES - 1] = 'y';
    assert_int_equal(
        ask(&tls, "https://", "127.0.0.1", buf_slice(&large), 20000), ERR_OK);
    assert_true(slice_eq(buf_slice(&answer.message), buf_slice(&large)));
    buf_deinit(&large);
}

static void who_is_not_trusted_is_not_called(void **state)
{
    static const struct {
        const char *name;
        const char *why;
    } cases[] = {
        {"stranger", "certificate is refused"},
        {"self", "certificate is refused"},
        {"elsewhere", "certificate is refused"},
        {"expired", "certificate has expired"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct rpc_client_tls tls = security("client", "ca");
        start(cases[i].name, false);
        expect_refused(&tls, cases[i].why);
        (void)stop(state);
    }
    start("self", false);
    struct rpc_client_tls tls = {.skip_verify = true};
    tls.cert_file = certificates_path("client", ".pem");
    tls.key_file = certificates_path("client", ".key");
    expect_echo(&tls, "https://", "127.0.0.1");
}

static void a_server_that_wants_a_certificate_is_understood(void **state)
{
    struct rpc_client_tls tls = security(NULL, "ca");
    (void)state;
    start("m1", false);
    expect_refused(&tls, "does it want a");
}

static void https_is_not_spoken_to_a_plain_port(void **state)
{
    struct rpc_client_tls tls = security(NULL, "ca");
    (void)state;
    start(NULL, false);
    expect_refused(&tls, "authentication handshake failed");
    assert_true(relay.relayed > 0); /* a hello, and nothing of the call */
}

static void plain_is_not_spoken_to_a_port_with_tls(void **state)
{
    struct rpc_client_tls tls = {0};
    (void)state;
    start("m1", false);
    assert_int_not_equal(ask(&tls, "http://", "127.0.0.1", SLICE("x"), 300),
                         ERR_OK);
    assert_non_null(strstr(rpc_client_failure(client), "127.0.0.1"));
    assert_int_equal(atomic_load(&server.calls), 0);
}

static void a_path_in_place_of_a_port(void **state)
{
    struct rpc_client_tls tls = {0};
    (void)state;
    start(NULL, true);
    expect_echo(&tls, "unix://", "");
}

/* Its certificate is this machine's. */
static void a_path_with_tls(void **state)
{
    struct rpc_client_tls tls = security("client", "ca");
    (void)state;
    start("m1", true);
    expect_echo(&tls, "unixs://", "");
}

static void files_that_cannot_be_used_are_told_when_it_is_opened(void **state)
{
    const char *endpoint = "https://127.0.0.1:1";
    struct rpc_client_options options = {.endpoints = &endpoint,
                                         .endpoint_count = 1,
                                         .user_agent = "tester",
                                         .stop_fd = -1};
    struct rpc_client *none;
    (void)state;
    start(NULL, false);
    options.tls.ca_file = "/nowhere/ca.pem";
    assert_int_equal(rpc_client_open(&options, &none), ERR_NOT_FOUND);
    assert_non_null(strstr(err_note(), "/nowhere/ca.pem"));
    assert_null(none);
    options.tls = security(NULL, "ca");
    options.tls.cert_file = certificates_path("client", ".pem");
    assert_int_equal(rpc_client_open(&options, &none), ERR_INVALID);
    assert_null(none);
}

#define STORY(name) cmocka_unit_test_teardown(name, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_call_goes_over_tls),
        STORY(a_large_answer_comes_whole),
        STORY(who_is_not_trusted_is_not_called),
        STORY(a_server_that_wants_a_certificate_is_understood),
        STORY(https_is_not_spoken_to_a_plain_port),
        STORY(plain_is_not_spoken_to_a_port_with_tls),
        STORY(a_path_in_place_of_a_port),
        STORY(a_path_with_tls),
        STORY(files_that_cannot_be_used_are_told_when_it_is_opened),
    };
    return cmocka_run_group_tests(tests, certificates_make,
                                  certificates_remove);
}
