#include "tests/support/stub_rpc.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"

struct connection {
    int fd; /* -1: none */
    bool drops;
    struct grpc_stub *grpc;
    struct stub_rpc *stub;
};

/* ---- answers ------------------------------------------------------------ */

static bool is_path(const struct grpc_stub_call *call, const char *path)
{
    size_t size = strlen(path);
    return call->head.size > size && memcmp(call->head.at, path, size) == 0 &&
           call->head.at[size] == '\n';
}

static void answer_code(struct grpc_stub_call *call, struct slice message)
{
    char text[128];
    snprintf(text, sizeof text, "%.*s", (int)message.size, message.at);
    char *space = strchr(text, ' ');
    CHECK(space != NULL);
    *space = '\0';
    grpc_stub_end(call, text, space + 1);
}

static void answer(struct connection *connection, struct grpc_stub_call *call,
                   struct slice message)
{
    struct stub_rpc *stub = connection->stub;
    if (stub->answer != NULL) {
        connection->drops =
            stub->answer(stub->context, call, message) == STUB_RPC_DROP;
        return;
    }
    if (is_path(call, "/s/Never"))
        return;
    if (is_path(call, "/s/Code")) {
        answer_code(call, message);
    } else if (is_path(call, "/s/Drop")) {
        connection->drops = true;
    } else if (is_path(call, "/s/None")) {
        grpc_stub_end(call, "0", NULL);
    } else if (is_path(call, "/s/Unavailable") &&
               atomic_fetch_sub(&stub->unavailable, 1) > 0) {
        grpc_stub_end(call, "14", "not now");
    } else {
        grpc_stub_send(call, is_path(call, "/s/Head") ? buf_slice(&call->head)
                                                      : message);
        if (!is_path(call, "/s/Stream"))
            grpc_stub_end(call, "0", NULL);
    }
}

static void on_data(struct grpc_stub_call *call)
{
    struct connection *connection = call->stub->context;
    struct slice message;
    while (call->exchange != NULL && !connection->drops &&
           grpc_stub_next(call, &message)) {
        atomic_fetch_add(&connection->stub->calls, 1);
        answer(connection, call, message);
    }
    if (call->ended && call->exchange != NULL && is_path(call, "/s/Stream"))
        grpc_stub_end(call, "0", NULL);
}

/* ---- connections -------------------------------------------------------- */

static void open_connection(struct stub_rpc *stub,
                            struct connection *connection)
{
    connection->fd =
        accept4(stub->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    CHECK(connection->fd >= 0);
    atomic_fetch_add(&stub->connections, 1);
    connection->stub = stub;
    connection->drops = false;
    connection->grpc = mem_alloc(sizeof *connection->grpc);
    grpc_stub_init(connection->grpc);
    connection->grpc->on_data = on_data;
    connection->grpc->context = connection;
    grpc_stub_open(connection->grpc);
}

static void close_connection(struct connection *connection)
{
    struct grpc_stub *grpc = connection->grpc;
    for (size_t i = 0; i < grpc->count; i++)
        if (grpc->calls[i].gone)
            atomic_fetch_add(&connection->stub->gone, 1);
    grpc_stub_deinit(grpc);
    mem_free(grpc);
    close(connection->fd);
    connection->fd = -1;
}

static bool send_all(struct connection *connection)
{
    struct slice piece;
    while (http2_output(connection->grpc->http2, &piece, 1) > 0) {
        ssize_t sent = send(connection->fd, piece.at, piece.size, MSG_NOSIGNAL);
        if (sent < 0)
            return errno == EAGAIN;
        http2_sent(connection->grpc->http2, (size_t)sent, 1);
    }
    return true;
}

/* False: it is over. */
static bool work(struct connection *connection)
{
    char bytes[16 * 1024];
    ssize_t got = 0;
    if (!atomic_load(&connection->stub->is_deaf)) {
        got = recv(connection->fd, bytes, sizeof bytes, 0);
        if (got == 0 || (got < 0 && errno != EAGAIN))
            return false;
    }
    if (got > 0)
        http2_input(connection->grpc->http2, slice_of(bytes, (size_t)got), 1);
    return send_all(connection) && !connection->drops &&
           !http2_is_finished(connection->grpc->http2);
}

static struct connection *free_place(struct connection *connections)
{
    for (int i = 0; i < STUB_RPC_CONNECTIONS_MAX; i++)
        if (connections[i].fd < 0)
            return &connections[i];
    UNREACHABLE();
}

static void work_all(struct stub_rpc *stub, struct connection *connections)
{
    bool goes = atomic_exchange(&stub->goes_away, false);
    for (int i = 0; i < STUB_RPC_CONNECTIONS_MAX; i++) {
        if (connections[i].fd < 0)
            continue;
        if (goes)
            http2_stop(connections[i].grpc->http2);
        if (!work(&connections[i]))
            close_connection(&connections[i]);
    }
}

static void *serve(void *context)
{
    struct stub_rpc *stub = context;
    struct connection connections[STUB_RPC_CONNECTIONS_MAX];
    struct pollfd polls[2 + STUB_RPC_CONNECTIONS_MAX];
    char byte;
    for (int i = 0; i < STUB_RPC_CONNECTIONS_MAX; i++)
        connections[i].fd = -1;
    while (!atomic_load(&stub->stops)) {
        bool is_deaf = atomic_load(&stub->is_deaf);
        polls[0] = (struct pollfd){.fd = stub->listener, .events = POLLIN};
        polls[1] = (struct pollfd){.fd = stub->wake[0], .events = POLLIN};
        for (int i = 0; i < STUB_RPC_CONNECTIONS_MAX; i++)
            polls[2 + i] = (struct pollfd){
                .fd = is_deaf ? -1 : connections[i].fd, .events = POLLIN};
        CHECK(poll(polls, 2 + STUB_RPC_CONNECTIONS_MAX, 1000) >= 0);
        if (polls[1].revents)
            CHECK(read(stub->wake[0], &byte, 1) == 1);
        if (polls[0].revents)
            open_connection(stub, free_place(connections));
        work_all(stub, connections);
    }
    for (int i = 0; i < STUB_RPC_CONNECTIONS_MAX; i++)
        if (connections[i].fd >= 0)
            close_connection(&connections[i]);
    return NULL;
}

/* ---- the server --------------------------------------------------------- */

static void start(struct stub_rpc *stub, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons((uint16_t)port)};
    socklen_t size = sizeof address;
    int one = 1;
    stub->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(stub->listener >= 0);
    setsockopt(stub->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    CHECK(bind(stub->listener, (struct sockaddr *)&address, size) == 0);
    CHECK(listen(stub->listener, 16) == 0);
    CHECK(getsockname(stub->listener, (struct sockaddr *)&address, &size) == 0);
    stub->port = ntohs(address.sin_port);
    snprintf(stub->endpoint, sizeof stub->endpoint, "127.0.0.1:%d", stub->port);
    CHECK(pipe2(stub->wake, O_CLOEXEC) == 0);
    CHECK(pthread_create(&stub->thread, NULL, serve, stub) == 0);
}

void stub_rpc_start(struct stub_rpc *stub, int port)
{
    memset(stub, 0, sizeof *stub);
    start(stub, port);
}

void stub_rpc_start_with(struct stub_rpc *stub, stub_rpc_answer answer_it,
                         void *context)
{
    memset(stub, 0, sizeof *stub);
    stub->answer = answer_it;
    stub->context = context;
    start(stub, 0);
}

void stub_rpc_wake(struct stub_rpc *stub)
{
    CHECK(write(stub->wake[1], "", 1) == 1);
}

void stub_rpc_stop(struct stub_rpc *stub)
{
    atomic_store(&stub->stops, true);
    stub_rpc_wake(stub);
    CHECK(pthread_join(stub->thread, NULL) == 0);
    close(stub->listener);
    close(stub->wake[0]);
    close(stub->wake[1]);
}
