/* The client against a small server in a thread of this process, which
 * answers by the path that is asked for, well or badly. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/http_client.h"

enum { CONNECTIONS_MAX = 8, TEXT_MAX = 8192, HOLD_MS = 10000 };

struct server {
    int listener;
    int stop[2]; /* its read end becomes readable when all is over */
    int port;
    int connections; /* accepted so far */
    pthread_t acceptor;
    pthread_t threads[CONNECTIONS_MAX];
    int sockets[CONNECTIONS_MAX];
    pthread_mutex_t lock;
    char last[TEXT_MAX]; /* the last request, head and body */
};

struct world {
    struct server server;
    struct http_client *client;
    struct http_client_response response;
    int stop[2]; /* of the client */
    char url[256];
};

struct connection {
    struct server *server;
    int fd;
};

/* ---- the server -------------------------------------------------------- */

/* True when there is something to read; false when all is over. */
static bool wait_readable(const struct server *server, int fd)
{
    struct pollfd fds[2] = {{.fd = server->stop[0], .events = POLLIN},
                            {.fd = fd, .events = POLLIN}};

    if (poll(fds, 2, HOLD_MS) <= 0)
        return false;
    return fds[0].revents == 0;
}

static size_t body_size(const char *head)
{
    const char *at = strstr(head, "Content-Length: ");
    return at ? strtoul(at + strlen("Content-Length: "), NULL, 10) : 0;
}

/* Reads one request into `text`; false at the connection's end. */
static bool read_request(const struct server *server, int fd, char *text)
{
    size_t size = 0;

    for (;;) {
        const char *head_end;
        ssize_t got;
        text[size] = '\0';
        head_end = strstr(text, "\r\n\r\n");
        if (head_end && size >= (size_t)(head_end + 4 - text) + body_size(text))
            return true;
        if (!wait_readable(server, fd))
            return false;
        got = read(fd, text + size, TEXT_MAX - 1 - size);
        if (got <= 0)
            return false;
        size += (size_t)got;
    }
}

static void send_text(int fd, const char *text)
{
    (void)!send(fd, text, strlen(text), MSG_NOSIGNAL);
}

/* Answers; false when the connection is to be closed. */
static bool answer(const struct server *server, int fd, const char *request)
{
    const char *path = strchr(request, ' ') + 1;
    char text[256];

    if (strncmp(path, "/close", 6) == 0)
        return false;
    if (strncmp(path, "/partial", 8) == 0) {
        send_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
        return false;
    }
    if (strncmp(path, "/chunks", 7) == 0) {
        send_text(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                      "3\r\none\r\n");
        usleep(20000);
        send_text(fd, "3\r\ntwo\r\n0\r\n\r\n");
        return true;
    }
    if (strncmp(path, "/hold", 5) == 0) {
        /* Headers at once, and nothing more until all is over. */
        send_text(fd, "HTTP/1.1 200 OK\r\nX-Etcd-Index: 5\r\n"
                      "Transfer-Encoding: chunked\r\n\r\n");
        return wait_readable(server, fd);
    }
    if (strncmp(path, "/never", 6) == 0)
        return wait_readable(server, fd);
    if (strncmp(path, "/continue", 9) == 0)
        send_text(fd, "HTTP/1.1 100 Continue\r\nX-Interim: yes\r\n\r\n");
    if (strncmp(path, "/error", 6) == 0) {
        send_text(fd, "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n"
                      "X-Etcd-Index:  12 \r\n\r\nnone");
        return true;
    }
    snprintf(text, sizeof(text),
             "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Path: %.*s\r\n\r\nok",
             (int)strcspn(path, " "), path);
    send_text(fd, text);
    return true;
}

static void *serve(void *context)
{
    struct connection *connection = context;
    struct server *server = connection->server;
    int fd = connection->fd;
    char text[TEXT_MAX];

    while (read_request(server, fd, text)) {
        pthread_mutex_lock(&server->lock);
        memcpy(server->last, text, sizeof(text));
        pthread_mutex_unlock(&server->lock);
        if (!answer(server, fd, text))
            break;
    }
    shutdown(fd, SHUT_RDWR);
    close(fd);
    return NULL;
}

static void *accept_all(void *context)
{
    struct server *server = context;
    static struct connection connections[CONNECTIONS_MAX];

    while (server->connections < CONNECTIONS_MAX &&
           wait_readable(server, server->listener)) {
        int at = server->connections;
        connections[at].server = server;
        connections[at].fd = accept(server->listener, NULL, NULL);
        assert_int_equal(
            pthread_create(&server->threads[at], NULL, serve, &connections[at]),
            0);
        pthread_mutex_lock(&server->lock);
        server->connections++;
        pthread_mutex_unlock(&server->lock);
    }
    return NULL;
}

static void server_start(struct server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);

    memset(server, 0, sizeof(*server));
    pthread_mutex_init(&server->lock, NULL);
    assert_int_equal(pipe(server->stop), 0);
    server->listener = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(server->listener, (struct sockaddr *)&address, size),
                     0);
    assert_int_equal(listen(server->listener, 8), 0);
    assert_int_equal(
        getsockname(server->listener, (struct sockaddr *)&address, &size), 0);
    server->port = ntohs(address.sin_port);
    assert_int_equal(
        pthread_create(&server->acceptor, NULL, accept_all, server), 0);
}

static void server_stop(struct server *server)
{
    assert_int_equal(write(server->stop[1], "x", 1), 1);
    pthread_join(server->acceptor, NULL);
    for (int i = 0; i < server->connections; i++)
        pthread_join(server->threads[i], NULL);
    close(server->listener);
    close(server->stop[0]);
    close(server->stop[1]);
    pthread_mutex_destroy(&server->lock);
}

/* ---- the world --------------------------------------------------------- */

static struct http_client_options plain_options(const struct world *world)
{
    return (struct http_client_options){.user_agent = "test/1",
                                        .stop_fd = world->stop[0]};
}

static int set_up(void **state)
{
    static struct world world;
    struct http_client_options options;

    memset(&world, 0, sizeof(world));
    server_start(&world.server);
    assert_int_equal(pipe(world.stop), 0);
    options = plain_options(&world);
    assert_int_equal(http_client_open(&options, &world.client), ERR_OK);
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    http_client_response_deinit(&world->response);
    http_client_close(world->client);
    server_stop(&world->server);
    close(world->stop[0]);
    close(world->stop[1]);
    return 0;
}

static const char *url_of(struct world *world, const char *path)
{
    snprintf(world->url, sizeof(world->url), "http://127.0.0.1:%d%s",
             world->server.port, path);
    return world->url;
}

static struct http_client_request get(struct world *world, const char *path)
{
    return (struct http_client_request){.method = "GET",
                                        .url = url_of(world, path)};
}

static enum err ask(struct world *world,
                    const struct http_client_request *request)
{
    return http_client_do(world->client, request, &world->response);
}

static void assert_body(const struct world *world, const char *text)
{
    assert_true(slice_eq(buf_slice(&world->response.body), slice_str(text)));
}

static void assert_header(const struct world *world, const char *name,
                          const char *value)
{
    struct slice got = http_client_header(&world->response, name);
    assert_true(slice_eq(got, slice_str(value)));
}

static void copy_last(struct world *world, char *out)
{
    pthread_mutex_lock(&world->server.lock);
    memcpy(out, world->server.last, TEXT_MAX);
    pthread_mutex_unlock(&world->server.lock);
}

/* ---- answers ----------------------------------------------------------- */

static void an_answer_has_status_headers_and_body(void **state)
{
    struct world *world = *state;
    struct http_client_request request = get(world, "/a%20b/../c?x=y");
    char last[TEXT_MAX];

    assert_int_equal(ask(world, &request), ERR_OK);
    assert_int_equal(world->response.status, 200);
    assert_int_equal(world->response.failure, HTTP_CLIENT_NO_FAILURE);
    assert_body(world, "ok");
    /* The path goes out as it is. */
    assert_header(world, "x-path", "/a%20b/../c?x=y");
    assert_null(http_client_header(&world->response, "x-other").at);
    copy_last(world, last);
    assert_non_null(strstr(last, "User-Agent: test/1\r\n"));
}

static void any_status_is_an_answer(void **state)
{
    struct world *world = *state;
    struct http_client_request request = get(world, "/error");

    assert_int_equal(ask(world, &request), ERR_OK);
    assert_int_equal(world->response.status, 404);
    assert_body(world, "none");
    assert_header(world, "X-Etcd-Index", "12");
}

static void a_body_and_headers_are_sent(void **state)
{
    struct world *world = *state;
    static const char *const headers[] = {"Content-Type: text/x", "X-A: b"};
    struct http_client_request request = get(world, "/put");
    char last[TEXT_MAX];

    request.method = "PUT";
    request.headers = headers;
    request.header_count = 2;
    request.has_body = true;
    request.body = SLICE("value=1");
    assert_int_equal(ask(world, &request), ERR_OK);
    copy_last(world, last);
    assert_int_equal(strncmp(last, "PUT /put HTTP/1.1\r\n", 19), 0);
    assert_non_null(strstr(last, "\r\nContent-Type: text/x\r\n"));
    assert_non_null(strstr(last, "\r\nX-A: b\r\n"));
    assert_non_null(strstr(last, "\r\n\r\nvalue=1"));
    assert_null(strstr(last, "Expect:"));
}

static void an_empty_body_is_one_too(void **state)
{
    struct world *world = *state;
    struct http_client_request request = get(world, "/put");
    char last[TEXT_MAX];

    request.method = "PUT";
    request.has_body = true;
    assert_int_equal(ask(world, &request), ERR_OK);
    copy_last(world, last);
    assert_non_null(strstr(last, "Content-Length: 0\r\n"));

    request = get(world, "/delete");
    request.method = "DELETE";
    assert_int_equal(ask(world, &request), ERR_OK);
    copy_last(world, last);
    assert_int_equal(strncmp(last, "DELETE /delete ", 15), 0);
    assert_null(strstr(last, "Content-Length"));
}

static void one_connection_serves_many_requests(void **state)
{
    struct world *world = *state;

    for (int i = 0; i < 5; i++) {
        struct http_client_request request = get(world, "/again");
        assert_int_equal(ask(world, &request), ERR_OK);
    }
    pthread_mutex_lock(&world->server.lock);
    assert_int_equal(world->server.connections, 1);
    pthread_mutex_unlock(&world->server.lock);
}

static void an_interim_answer_is_forgotten(void **state)
{
    struct world *world = *state;
    struct http_client_request request = get(world, "/continue");

    assert_int_equal(ask(world, &request), ERR_OK);
    assert_int_equal(world->response.status, 200);
    assert_body(world, "ok");
    assert_null(http_client_header(&world->response, "X-Interim").at);
}

/* ---- pieces ------------------------------------------------------------ */

struct pieces {
    char text[64];
    size_t size;
    size_t stop_at; /* 0: never */
};

static bool take_piece(void *context, struct slice piece)
{
    struct pieces *pieces = context;

    assert_true(pieces->size + piece.size < sizeof(pieces->text));
    memcpy(pieces->text + pieces->size, piece.at, piece.size);
    pieces->size += piece.size;
    return pieces->stop_at == 0 || pieces->size < pieces->stop_at;
}

static void a_body_can_be_read_as_it_comes(void **state)
{
    struct world *world = *state;
    struct http_client_request request = get(world, "/chunks");
    struct pieces pieces = {0};

    request.on_body = take_piece;
    request.context = &pieces;
    assert_int_equal(ask(world, &request), ERR_OK);
    assert_string_equal(pieces.text, "onetwo");
    assert_int_equal(world->response.body.size, 0);
}

static void a_reader_can_stop(void **state)
{
    struct world *world = *state;
    struct http_client_request request = get(world, "/chunks");
    struct pieces pieces = {.stop_at = 3};

    request.on_body = take_piece;
    request.context = &pieces;
    assert_int_equal(ask(world, &request), ERR_STOPPED);
    assert_int_equal(world->response.failure, HTTP_CLIENT_STOPPED);
    assert_string_equal(pieces.text, "one");
    /* The next request is none the worse for it. */
    request = get(world, "/after");
    assert_int_equal(ask(world, &request), ERR_OK);
}

/* ---- failures ---------------------------------------------------------- */

static void nobody_listens(void **state)
{
    struct world *world = *state;
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);
    struct http_client_request request = {.method = "GET"};
    char url[64];
    char expected[96];
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    /* Bound but never listened on: nobody else can have the port. */
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/x",
             ntohs(address.sin_port));
    request.url = url;
    assert_int_equal(ask(world, &request), ERR_CLOSED);
    assert_int_equal(world->response.failure, HTTP_CLIENT_DIAL);
    assert_int_equal(world->response.status, 0);
    snprintf(expected, sizeof(expected),
             "dial tcp 127.0.0.1:%d: connect: connection refused",
             ntohs(address.sin_port));
    assert_string_equal(err_note(), expected);
    close(fd);
}

static void a_connection_closed_without_an_answer(void **state)
{
    struct world *world = *state;
    struct http_client_request request = get(world, "/close");

    assert_int_equal(ask(world, &request), ERR_CLOSED);
    assert_int_equal(world->response.failure, HTTP_CLIENT_EOF);
    assert_string_equal(err_note(), "EOF");
}

static void an_answer_that_breaks_off(void **state)
{
    struct world *world = *state;
    struct http_client_request request = get(world, "/partial");

    assert_int_equal(ask(world, &request), ERR_CLOSED);
    assert_int_equal(world->response.failure, HTTP_CLIENT_EOF);
    assert_string_equal(err_note(), "unexpected EOF");
    /* What came is there: status, headers and the beginning. */
    assert_int_equal(world->response.status, 200);
    assert_header(world, "content-length", "10");
}

static void urls_that_name_nothing(void **state)
{
    struct world *world = *state;
    static const struct {
        const char *url;
        const char *note;
    } cases[] = {
        {"ftp://127.0.0.1/x", "unsupported protocol scheme \"ftp\""},
        {"/x", "unsupported protocol scheme \"\""},
        {"http:///x", "http: no Host in request URL"},
        {"http://", "http: no Host in request URL"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct http_client_request request = {.method = "GET",
                                              .url = cases[i].url};
        assert_int_equal(ask(world, &request), ERR_INVALID);
        assert_int_equal(world->response.failure, HTTP_CLIENT_OTHER);
        assert_string_equal(err_note(), cases[i].note);
    }
}

static void assert_took(int64_t began_ms, int64_t least, int64_t most)
{
    int64_t took = http_client_now_ms() - began_ms;
    assert_in_range(took, least, most);
}

static void headers_that_do_not_come_in_time(void **state)
{
    struct world *world = *state;
    struct http_client_request request = get(world, "/never");
    int64_t began_ms = http_client_now_ms();

    request.header_timeout_ms = 100;
    assert_int_equal(ask(world, &request), ERR_TIMEOUT);
    assert_int_equal(world->response.failure, HTTP_CLIENT_HEADER_TIMEOUT);
    assert_took(began_ms, 100, 5000);
}

static void a_deadline_ends_even_a_body_that_has_begun(void **state)
{
    struct world *world = *state;
    struct http_client_request request = get(world, "/hold");
    int64_t began_ms = http_client_now_ms();

    request.header_timeout_ms = 5000;
    request.deadline_ms = began_ms + 150;
    assert_int_equal(ask(world, &request), ERR_TIMEOUT);
    assert_int_equal(world->response.failure, HTTP_CLIENT_DEADLINE);
    assert_string_equal(err_note(), "context deadline exceeded");
    assert_took(began_ms, 150, 5000);
    /* The headers of a watch that broke off say where to go on. */
    assert_header(world, "X-Etcd-Index", "5");
}

/* ---- stopping ---------------------------------------------------------- */

static void *stop_soon(void *context)
{
    struct world *world = context;

    usleep(100000);
    assert_int_equal(write(world->stop[1], "x", 1), 1);
    return NULL;
}

static void a_descriptor_stops_what_waits(void **state)
{
    struct world *world = *state;
    struct http_client_request request = get(world, "/hold");
    int64_t began_ms = http_client_now_ms();
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, stop_soon, world), 0);
    assert_int_equal(ask(world, &request), ERR_STOPPED);
    assert_int_equal(world->response.failure, HTTP_CLIENT_STOPPED);
    assert_took(began_ms, 90, 5000);
    pthread_join(thread, NULL);
    /* It stays readable: a wait ends at once. */
    assert_false(http_client_wait(world->client, 10000));
    assert_took(began_ms, 90, 5000);
}

static void a_wait_waits(void **state)
{
    struct world *world = *state;
    int64_t began_ms = http_client_now_ms();

    assert_true(http_client_wait(world->client, 50));
    assert_took(began_ms, 50, 5000);
    assert_true(http_client_wait(world->client, 0));
}

/* ---- options ----------------------------------------------------------- */

static void a_user_is_sent_with_the_first_request(void **state)
{
    struct world *world = *state;
    struct http_client_options options = plain_options(world);
    struct http_client_request request = get(world, "/auth");
    char last[TEXT_MAX];

    http_client_close(world->client);
    options.username = "root";
    options.password = "pw:x";
    assert_int_equal(http_client_open(&options, &world->client), ERR_OK);
    assert_int_equal(ask(world, &request), ERR_OK);
    copy_last(world, last);
    assert_non_null(strstr(last, "Authorization: Basic cm9vdDpwdzp4\r\n"));
}

static void a_proxy_is_never_used_on_this_machine(void **state)
{
    struct world *world = *state;
    struct http_client_request request = get(world, "/direct");

    /* Nobody listens there. */
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("HTTP_PROXY", "http://127.0.0.1:1", 1);
    assert_int_equal(ask(world, &request), ERR_OK);
    unsetenv("http_proxy");
    unsetenv("HTTP_PROXY");
}

static void a_proxy_is_used_for_the_world(void **state)
{
    struct world *world = *state;
    struct http_client_request request = {.method = "GET",
                                          .url = "http://example.invalid/x"};
    char last[TEXT_MAX];

    /* Go reads both; this one curl does not. */
    unsetenv("http_proxy");
    setenv("HTTP_PROXY", url_of(world, ""), 1);
    assert_int_equal(ask(world, &request), ERR_OK);
    unsetenv("HTTP_PROXY");
    copy_last(world, last);
    assert_int_equal(strncmp(last, "GET http://example.invalid/x ", 29), 0);
}

static void files_are_looked_at_when_it_opens(void **state)
{
    struct world *world = *state;
    struct http_client_options options = plain_options(world);
    struct http_client *client = NULL;

    options.ca_file = "/nonexistent/ca";
    assert_int_equal(http_client_open(&options, &client), ERR_INVALID);
    assert_null(client);
    assert_string_equal(err_note(),
                        "open /nonexistent/ca: no such file or directory");
    options.ca_file = NULL;
    options.cert_file = "/nonexistent/cert";
    assert_int_equal(http_client_open(&options, &client), ERR_INVALID);
    assert_string_equal(err_note(), "KeyFile and CertFile must both be "
                                    "present[key: , cert: "
                                    "/nonexistent/cert]");
    options.key_file = "/nonexistent/key";
    assert_int_equal(http_client_open(&options, &client), ERR_INVALID);
    assert_string_equal(err_note(),
                        "open /nonexistent/cert: no such file or directory");
}

static void loopback_is_told_by_its_name_or_number(void **state)
{
    static const char *const yes[] = {"localhost", "LocalHost", "127.0.0.1",
                                      "127.9.8.7", "::1",       "[::1]"};
    static const char *const no[] = {
        "",     "localhost.example",    "128.0.0.1", "127.0.0", "::2",
        "[::1", "127.0.0.1.example.org"};

    (void)state;
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
        assert_true(http_client_is_loopback(slice_str(yes[i])));
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
        assert_false(http_client_is_loopback(slice_str(no[i])));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_answer_has_status_headers_and_body),
        TEST(any_status_is_an_answer),
        TEST(a_body_and_headers_are_sent),
        TEST(an_empty_body_is_one_too),
        TEST(one_connection_serves_many_requests),
        TEST(an_interim_answer_is_forgotten),
        TEST(a_body_can_be_read_as_it_comes),
        TEST(a_reader_can_stop),
        TEST(nobody_listens),
        TEST(a_connection_closed_without_an_answer),
        TEST(an_answer_that_breaks_off),
        TEST(urls_that_name_nothing),
        TEST(headers_that_do_not_come_in_time),
        TEST(a_deadline_ends_even_a_body_that_has_begun),
        TEST(a_descriptor_stops_what_waits),
        TEST(a_wait_waits),
        TEST(a_user_is_sent_with_the_first_request),
        TEST(a_proxy_is_never_used_on_this_machine),
        TEST(a_proxy_is_used_for_the_world),
        TEST(files_are_looked_at_when_it_opens),
        cmocka_unit_test(loopback_is_told_by_its_name_or_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
