/* One connection: a socket that libuv watches, and the HTTP state beside it.
 * Reads and writes are plain system calls on a non-blocking socket: one read
 * into the thread's buffer, parsed in place, and one vectored write of all
 * that waits. What is not taken stays in wire/ until the socket is writable.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "host/io_int.h"

enum {
    SLICES_MAX = 16,
    /* What one connection is sent in one turn of the loop: while a client
     * takes a large listing as fast as it is made, others are served too. */
    TURN_BYTES_MAX = 64 * 1024,
    /* What the system keeps of it beyond what is on its way to the client:
     * megabytes for each client that doesn't read would be lost memory. */
    UNSENT_BYTES_MAX = 256 * 1024,
};

struct connection {
    uv_poll_t poll; /* first: libuv hands it back */
    struct io_thread *io;
    struct http1 *http1;
    int fd;
    int interest; /* UV_READABLE | UV_WRITABLE, as the loop knows it */
    bool closing;
    struct list link;
    struct list dirty;
};

/* Counted out only now, so that no more sockets are open than are counted. */
static void free_connection(struct connection *connection)
{
    struct io_thread *io = connection->io;
    close(connection->fd);
    mem_free(connection);
    atomic_fetch_sub_explicit(&io->config.shared->stats[API_CONNECTIONS], 1,
                              memory_order_relaxed);
}

static void on_closed(uv_handle_t *handle)
{
    free_connection((struct connection *)(void *)handle);
}

static void close_connection(struct connection *connection)
{
    if (connection->closing) {
        return;
    }
    connection->closing = true;
    list_remove(&connection->link);
    http1_free(connection->http1);
    list_remove(&connection->dirty);
    connection->http1 = NULL;
    uv_close((uv_handle_t *)&connection->poll, on_closed);
}

static void on_poll(uv_poll_t *poll, int status, int events);

static void set_interest(struct connection *connection, int interest)
{
    if (interest == connection->interest) {
        return;
    }
    connection->interest = interest;
    int failed = interest == 0
                     ? uv_poll_stop(&connection->poll)
                     : uv_poll_start(&connection->poll, interest, on_poll);
    CHECK_EQ(failed, 0);
}

static int64_t now_of(const struct connection *connection)
{
    return (int64_t)uv_now(&connection->io->loop);
}

/* Sends until all is gone (true), the socket takes no more, or its turn is
 * over. */
static bool send_waiting(struct connection *connection, bool *broken)
{
    struct slice slices[SLICES_MAX];
    struct iovec vectors[SLICES_MAX];
    size_t turn_bytes = 0;
    size_t count;
    while ((count = http1_output(connection->http1, slices, SLICES_MAX)) > 0) {
        size_t total = 0;
        for (size_t i = 0; i < count; i++) {
            vectors[i].iov_base = (void *)(uintptr_t)slices[i].at;
            vectors[i].iov_len = slices[i].size;
            total += slices[i].size;
        }
        struct msghdr message = {.msg_iov = vectors, .msg_iovlen = count};
        ssize_t sent = sendmsg(connection->fd, &message, MSG_NOSIGNAL);
        if (sent < 0) {
            *broken = errno != EAGAIN && errno != EINTR;
            return false;
        }
        http1_sent(connection->http1, (size_t)sent, now_of(connection));
        turn_bytes += (size_t)sent;
        if ((size_t)sent < total || turn_bytes >= TURN_BYTES_MAX) {
            return false;
        }
    }
    return true;
}

static void flush(struct connection *connection)
{
    bool broken = false;
    if (connection->closing) {
        return;
    }
    list_remove(&connection->dirty);
    bool all_sent = send_waiting(connection, &broken);
    if (broken || (all_sent && http1_is_finished(connection->http1))) {
        close_connection(connection);
        return;
    }
    set_interest(connection,
                 (http1_wants_input(connection->http1) ? UV_READABLE : 0) |
                     (all_sent ? 0 : UV_WRITABLE));
}

static void read_input(struct connection *connection)
{
    struct io_thread *io = connection->io;
    ssize_t size = recv(connection->fd, io->read_buffer, IO_READ_BYTES, 0);
    if (size > 0) {
        http1_input(connection->http1, slice_of(io->read_buffer, (size_t)size),
                    now_of(connection));
    } else if (size == 0) {
        http1_input_end(connection->http1);
    } else if (errno != EAGAIN && errno != EINTR) {
        close_connection(connection);
    }
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct connection *connection = (struct connection *)(void *)poll;
    connection->io->active = true;
    if (status < 0) {
        close_connection(connection);
        return;
    }
    if ((events & UV_READABLE) != 0) {
        read_input(connection);
    }
    flush(connection);
}

static void on_output(void *context)
{
    struct connection *connection = context;
    if (list_is_empty(&connection->dirty) && !connection->closing) {
        list_push_back(&connection->io->dirty, &connection->dirty);
    }
}

static size_t peer_text(int fd, char *out, size_t size)
{
    char address[64];
    struct sockaddr_storage peer;
    socklen_t length = sizeof(peer);
    int port = 0;
    if (getpeername(fd, (struct sockaddr *)&peer, &length) != 0) {
        return 0;
    }
    if (peer.ss_family == AF_INET) {
        const struct sockaddr_in *ip4 = (const void *)&peer;
        uv_ip4_name(ip4, address, sizeof(address));
        port = ntohs(ip4->sin_port);
    } else if (peer.ss_family == AF_INET6) {
        const struct sockaddr_in6 *ip6 = (const void *)&peer;
        uv_ip6_name(ip6, address, sizeof(address));
        port = ntohs(ip6->sin6_port);
    } else {
        return 0;
    }
    int written = snprintf(out, size, "%s:%d", address, port);
    return written > 0 && (size_t)written < size ? (size_t)written : 0;
}

static struct http1 *new_http1(struct connection *connection, bool is_peer_port)
{
    struct io_thread *io = connection->io;
    char peer[96];
    struct http1_config config = {
        .server = is_peer_port ? &io->peer_port : &io->client_port,
        .head_bytes_max = LIMIT_HTTP_HEAD_BYTES_MAX,
        .header_count_max = LIMIT_HTTP_HEADER_COUNT_MAX,
        .body_bytes_max = io->config.body_bytes_max,
        .idle_ms = LIMIT_HTTP_IDLE_MS,
        .head_ms = LIMIT_HTTP_HEAD_MS,
        .body_ms = LIMIT_HTTP_BODY_MS,
        .stall_ms = LIMIT_HTTP_WRITE_STALL_MS,
        .date = &io->date,
        .on_output = on_output,
        .context = connection,
    };
    size_t size = peer_text(connection->fd, peer, sizeof(peer));
    return http1_new(&config, slice_of(peer, size), now_of(connection));
}

void connection__open(struct io_thread *io, int fd, bool is_peer_port)
{
    int on = 1;
    int unsent = UNSENT_BYTES_MAX;
    struct connection *connection = mem_alloc_zero(sizeof(*connection));
    connection->io = io;
    connection->fd = fd;
    /* The first two fail on a Unix socket, which knows neither. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent,
                     sizeof(unsent));
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    list_init(&connection->dirty);
    if (uv_poll_init(&io->loop, &connection->poll, fd) != 0) {
        free_connection(connection); /* the system can watch no more */
        return;
    }
    connection->http1 = new_http1(connection, is_peer_port);
    list_push_back(&io->connections, &connection->link);
    set_interest(connection, UV_READABLE);
    if (io->stopping) {
        close_connection(connection);
    }
}

void connection__flush_dirty(struct io_thread *io)
{
    struct list *node;
    while ((node = list_first(&io->dirty)) != NULL) {
        flush(CONTAINER_OF(node, struct connection, dirty));
    }
}

void connection__sweep(struct io_thread *io, int64_t now_ms)
{
    LIST_EACH (node, &io->connections) {
        struct connection *connection =
            CONTAINER_OF(node, struct connection, link);
        if (http1_deadline_ms(connection->http1) <= now_ms) {
            http1_timeout(connection->http1, now_ms);
            flush(connection);
        }
    }
}

void connection__stop_all(struct io_thread *io)
{
    LIST_EACH (node, &io->connections) {
        struct connection *connection =
            CONTAINER_OF(node, struct connection, link);
        http1_stop(connection->http1);
        flush(connection);
    }
}

void connection__close_all(struct io_thread *io)
{
    struct list *node;
    while ((node = list_first(&io->connections)) != NULL) {
        close_connection(CONTAINER_OF(node, struct connection, link));
    }
}
