#include "stub_http.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"

enum { REQUEST_MAX = 8192, IDLE_MS = 10000 };

struct connection {
    struct stub_http *stub;
    int fd;
    struct tls *tls;
};

static int listen_anywhere(int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(fd >= 0);
    CHECK(bind(fd, (struct sockaddr *)&address, size) == 0);
    CHECK(listen(fd, 64) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&address, &size) == 0);
    *port = ntohs(address.sin_port);
    return fd;
}

int stub_free_port(void)
{
    int port;
    close(listen_anywhere(&port));
    return port;
}

static size_t length_of(const char *head)
{
    const char *at = strcasestr(head, "\r\nContent-Length: ");
    return at ? strtoul(at + 18, NULL, 10) : 0;
}

/* Takes one request apart; false at the connection's end. */
static bool read_request(const struct connection *connection,
                         struct stub_request *request)
{
    char text[REQUEST_MAX];
    size_t size = 0;
    for (;;) {
        text[size] = '\0';
        char *end = strstr(text, "\r\n\r\n");
        if (end && size >= (size_t)(end + 4 - text) + length_of(text)) {
            char *target = strchr(text, ' ');
            CHECK(target);
            (void)snprintf(request->method, sizeof(request->method), "%.*s",
                           (int)(target - text), text);
            (void)snprintf(request->target, sizeof(request->target), "%.*s",
                           (int)strcspn(target + 1, " "), target + 1);
            (void)snprintf(request->head, sizeof(request->head), "%.*s",
                           (int)(end - text), text);
            (void)snprintf(request->body, sizeof(request->body), "%s", end + 4);
            return true;
        }
        struct pollfd poll_fd = {.fd = connection->fd, .events = POLLIN};
        if (size >= sizeof(text) - 1 || poll(&poll_fd, 1, IDLE_MS) <= 0) {
            return false;
        }
        size_t room = sizeof(text) - 1 - size;
        ssize_t got = connection->tls != NULL
                          ? tls_recv(connection->tls, text + size, room)
                          : recv(connection->fd, text + size, room, 0);
        if (got <= 0) {
            return false;
        }
        size += (size_t)got;
    }
}

static void send_all(const struct connection *connection, struct slice bytes)
{
    while (bytes.size > 0) {
        struct iovec piece = {.iov_base = (void *)(uintptr_t)bytes.at,
                              .iov_len = bytes.size};
        ssize_t sent =
            connection->tls != NULL
                ? tls_send(connection->tls, &piece, 1)
                : send(connection->fd, bytes.at, bytes.size, MSG_NOSIGNAL);
        if (sent <= 0) {
            return;
        }
        bytes = slice_of(bytes.at + sent, bytes.size - (size_t)sent);
    }
}

/* The socket blocks, so that one call does it. */
static bool shake_hands(struct connection *connection)
{
    struct stub_http *stub = connection->stub;
    if (connection->tls != NULL && tls_handshake(connection->tls) != ERR_OK) {
        return false;
    }
    stub->handshakes += connection->tls != NULL ? 1 : 0;
    return true;
}

static void *serve(void *context)
{
    struct connection connection = *(struct connection *)context;
    struct stub_request request;
    mem_free(context);
    bool goes_on = shake_hands(&connection);
    while (goes_on && read_request(&connection, &request)) {
        struct stub_reply reply = {.status = 200};
        struct buf out = {0};
        connection.stub->answer(connection.stub->context, &request, &reply);
        goes_on = reply.status != 0 && !reply.stream;
        if (reply.stream) {
            reply.stream(connection.stub->context, connection.fd);
        } else if (goes_on) {
            buf_printf(&out, "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n%s\r\n",
                       reply.status, reply.body.size, reply.head);
            if (strcmp(request.method, "HEAD") != 0) {
                buf_append_slice(&out, buf_slice(&reply.body));
            }
            send_all(&connection, buf_slice(&out));
        }
        buf_deinit(&out);
        buf_deinit(&reply.body);
    }
    tls_free(connection.tls);
    (void)shutdown(connection.fd, SHUT_RDWR);
    return NULL;
}

static void *accept_all(void *context)
{
    struct stub_http *stub = context;
    for (;;) {
        int fd = accept4(stub->listener, NULL, NULL, SOCK_CLOEXEC);
        pthread_mutex_lock(&stub->lock);
        if (fd < 0 || stub->stopping || stub->count == STUB_CONNECTIONS_MAX) {
            pthread_mutex_unlock(&stub->lock);
            if (fd >= 0) {
                close(fd);
            }
            return NULL;
        }
        struct connection *connection = mem_alloc(sizeof(*connection));
        *connection = (struct connection){.stub = stub, .fd = fd};
        if (stub->tls != NULL) {
            connection->tls = tls_new(stub->tls, fd, NULL);
        }
        stub->fds[stub->count] = fd;
        CHECK(pthread_create(&stub->threads[stub->count], NULL, serve,
                             connection) == 0);
        stub->count++;
        pthread_mutex_unlock(&stub->lock);
    }
}

void stub_http_start(struct stub_http *stub, stub_answer answer, void *context)
{
    stub_http_start_tls(stub, answer, context, NULL);
}

void stub_http_change_tls(struct stub_http *stub, struct tls_context *tls)
{
    pthread_mutex_lock(&stub->lock);
    tls_context_unref(stub->tls);
    stub->tls = tls_context_ref(tls);
    pthread_mutex_unlock(&stub->lock);
}

void stub_http_start_tls(struct stub_http *stub, stub_answer answer,
                         void *context, struct tls_context *tls)
{
    memset(stub, 0, sizeof(*stub));
    stub->tls = tls != NULL ? tls_context_ref(tls) : NULL;
    pthread_mutex_init(&stub->lock, NULL);
    stub->listener = listen_anywhere(&stub->port);
    stub->answer = answer;
    stub->context = context;
    (void)snprintf(stub->url, sizeof(stub->url), "http%s://127.0.0.1:%d",
                   tls != NULL ? "s" : "", stub->port);
    CHECK(pthread_create(&stub->acceptor, NULL, accept_all, stub) == 0);
}

void stub_http_stop(struct stub_http *stub)
{
    pthread_mutex_lock(&stub->lock);
    stub->stopping = true;
    for (int i = 0; i < stub->count; i++) {
        (void)shutdown(stub->fds[i], SHUT_RD);
    }
    pthread_mutex_unlock(&stub->lock);
    (void)shutdown(stub->listener, SHUT_RDWR);
    pthread_join(stub->acceptor, NULL);
    for (int i = 0; i < stub->count; i++) {
        pthread_join(stub->threads[i], NULL);
        close(stub->fds[i]);
    }
    close(stub->listener);
    tls_context_unref(stub->tls);
    pthread_mutex_destroy(&stub->lock);
}
