/* One connection: a socket that libuv watches, and the HTTP state beside it.
 * On the client port the first bytes say which HTTP it is: it begins as
 * HTTP/1.1, and with the preface of HTTP/2 becomes that.
 *
 * Reads and writes are plain system calls on a non-blocking socket: one read
 * into the thread's buffer, parsed in place, and one vectored write of all
 * that waits. What is not taken stays in wire/ until the socket is writable.
 * With TLS the same goes through it (tls.h).
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "host/io_int.h"

enum {
    SLICES_MAX = 64,
    /* What one connection is sent in one turn of the loop: while a client
     * takes a large listing as fast as it is made, others are served too. */
    TURN_BYTES_MAX = 256 * 1024,
    /* What the system keeps of it beyond what is on its way to the client:
     * megabytes for each client that doesn't read would be lost memory. */
    UNSENT_BYTES_MAX = 256 * 1024,
};

struct connection {
    uv_poll_t poll; /* first: libuv hands it back */
    struct io_thread *io;
    struct http1 *http1; /* one of these two, none once it is closing */
    struct http2 *http2;
    char first[IO_PREFACE_BYTES]; /* while they may yet be the preface */
    size_t first_size;
    bool is_known;                /* which HTTP it is */
    bool is_own;                  /* this process is at its other end */
    struct limits_client *client; /* NULL: it has no limits */
    size_t held;                  /* bytes that count against them */
    int fd;
    struct tls *tls;   /* NULL: plain */
    bool tls_is_dry;   /* what it has is a part of a record */
    bool turn_is_over; /* of sending: not for want of room */
    bool is_metrics_port;
    int interest; /* UV_READABLE | UV_WRITABLE, as the loop knows it */
    bool closing;
    struct list link;
    struct list dirty;
};

/* ---- whichever HTTP it is -------------------------------------------- */

static int64_t now_of(const struct connection *connection)
{
    return (int64_t)uv_now(&connection->io->loop);
}

static size_t output(struct connection *connection, struct slice *out,
                     size_t max)
{
    return connection->http2 != NULL
               ? http2_output(connection->http2, out, max)
               : http1_output(connection->http1, out, max);
}

static void sent(struct connection *connection, size_t size)
{
    if (connection->http2 != NULL) {
        http2_sent(connection->http2, size, now_of(connection));
    } else {
        http1_sent(connection->http1, size, now_of(connection));
    }
}

static bool wants_input(const struct connection *connection)
{
    return connection->http2 != NULL ? http2_wants_input(connection->http2)
                                     : http1_wants_input(connection->http1);
}

static size_t held(const struct connection *connection)
{
    return connection->http2 != NULL ? http2_held(connection->http2)
                                     : http1_held(connection->http1);
}

static bool is_finished(const struct connection *connection)
{
    return connection->http2 != NULL ? http2_is_finished(connection->http2)
                                     : http1_is_finished(connection->http1);
}

static void input_end(struct connection *connection)
{
    if (connection->http2 != NULL) {
        http2_input_end(connection->http2);
    } else {
        http1_input_end(connection->http1);
    }
}

static void input(struct connection *connection, struct slice bytes)
{
    if (connection->http2 != NULL) {
        http2_input(connection->http2, bytes, now_of(connection));
    } else {
        http1_input(connection->http1, bytes, now_of(connection));
    }
}

static int64_t deadline_ms(const struct connection *connection)
{
    return connection->http2 != NULL ? http2_deadline_ms(connection->http2)
                                     : http1_deadline_ms(connection->http1);
}

static void time_is_up(struct connection *connection, int64_t now_ms)
{
    if (connection->http2 != NULL) {
        http2_timeout(connection->http2, now_ms);
    } else {
        http1_timeout(connection->http1, now_ms);
    }
}

static void stop(struct connection *connection)
{
    if (connection->http2 != NULL) {
        http2_stop(connection->http2);
    } else {
        http1_stop(connection->http1);
    }
}

static void free_http(struct connection *connection)
{
    if (connection->http2 != NULL) {
        http2_free(connection->http2);
    } else {
        http1_free(connection->http1);
    }
    connection->http1 = NULL;
    connection->http2 = NULL;
}

/* ---- the socket ------------------------------------------------------ */

/* Counted out only now, so that no more sockets are open than are counted. */
static void free_connection(struct connection *connection)
{
    struct io_thread *io = connection->io;
    limits_leave(io->config.limits, connection->client, (int64_t)uv_hrtime());
    if (connection->tls != NULL) {
        tls_goodbye(connection->tls);
        tls_free(connection->tls);
    }
    close(connection->fd);
    mem_free(connection);
    atomic_fetch_sub_explicit(&io->config.shared->stats[API_CONNECTIONS], 1,
                              memory_order_relaxed);
}

/* What its requests hold counts for its client. */
static void hold(struct connection *connection, size_t bytes)
{
    limits_hold(connection->client, (int64_t)bytes - (int64_t)connection->held);
    connection->held = bytes;
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
    free_http(connection);
    hold(connection, 0);
    list_remove(&connection->dirty);
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

static ssize_t send_pieces(struct connection *connection, struct iovec *pieces,
                           size_t count)
{
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = count};
    return connection->tls != NULL
               ? tls_send(connection->tls, pieces, count)
               : sendmsg(connection->fd, &message, MSG_NOSIGNAL);
}

/* Sends until all is gone (true), the socket takes no more, or its turn is
 * over. */
static bool send_waiting(struct connection *connection, bool *broken)
{
    struct slice slices[SLICES_MAX];
    struct iovec vectors[SLICES_MAX];
    size_t turn_bytes = 0;
    size_t count;
    connection->turn_is_over = false;
    while ((count = output(connection, slices, SLICES_MAX)) > 0) {
        size_t total = 0;
        for (size_t i = 0; i < count; i++) {
            vectors[i].iov_base = (void *)(uintptr_t)slices[i].at;
            vectors[i].iov_len = slices[i].size;
            total += slices[i].size;
        }
        ssize_t taken = send_pieces(connection, vectors, count);
        if (taken < 0) {
            *broken = errno != EAGAIN && errno != EINTR;
            return false;
        }
        sent(connection, (size_t)taken);
        turn_bytes += (size_t)taken;
        if ((size_t)taken < total || turn_bytes >= TURN_BYTES_MAX) {
            connection->turn_is_over = (size_t)taken == total;
            return false;
        }
    }
    return true;
}

static void read_rest(struct connection *connection);

/* What TLS waits for before it can go on is not always what we do: to send it
 * may have to read. */
static int wanted_events(const struct connection *connection, bool all_sent)
{
    int events = wants_input(connection) ? UV_READABLE : 0;
    if (!all_sent) {
        bool reads = connection->tls != NULL &&
                     (tls_wants(connection->tls) & POLLIN) != 0 &&
                     !connection->turn_is_over;
        events |= reads ? UV_READABLE : UV_WRITABLE;
    }
    return events;
}

static void flush(struct connection *connection)
{
    bool broken = false;
    read_rest(connection);
    if (connection->closing) {
        return;
    }
    list_remove(&connection->dirty);
    if (connection->client != NULL) {
        hold(connection, held(connection));
    }
    bool all_sent = send_waiting(connection, &broken);
    if (broken || (all_sent && is_finished(connection))) {
        close_connection(connection);
        return;
    }
    set_interest(connection, wanted_events(connection, all_sent));
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

enum { PEER_BYTES_MAX = 96 };

/* Who --client-cert-auth says is calling. */
static struct slice certificate_of(const struct connection *connection)
{
    bool counts = connection->tls != NULL &&
                  connection->io->config.certificates_are_users;
    return counts ? tls_peer_name(connection->tls) : slice_of(NULL, 0);
}

static struct http1 *new_http1(struct connection *connection, bool is_peer_port)
{
    struct io_thread *io = connection->io;
    char peer[PEER_BYTES_MAX];
    struct http1_config config = {
        .server = is_peer_port                  ? &io->peer_port
                  : connection->is_metrics_port ? &io->metrics_port
                                                : &io->client_port,
        .certificate = certificate_of(connection),
        .head_bytes_max = LIMIT_HTTP_HEAD_BYTES_MAX,
        .header_count_max = LIMIT_HTTP_HEADER_COUNT_MAX,
        .body_bytes_max = io->config.body_bytes_max,
        .idle_ms = LIMIT_HTTP_IDLE_MS,
        .head_ms = LIMIT_HTTP_HEAD_MS,
        .body_ms = LIMIT_HTTP_BODY_MS,
        .stall_ms = LIMIT_HTTP_WRITE_STALL_MS,
        .date = &io->date,
        .is_own = connection->is_own,
        .is_tls = connection->tls != NULL,
        .on_output = on_output,
        .context = connection,
    };
    size_t size = peer_text(connection->fd, peer, sizeof(peer));
    return http1_new(&config, slice_of(peer, size), now_of(connection));
}

static struct http2 *new_http2(struct connection *connection)
{
    struct io_thread *io = connection->io;
    char peer[PEER_BYTES_MAX];
    struct http2_config config = {
        .server =
            connection->is_metrics_port ? &io->metrics_port : &io->client_port,
        .streaming =
            connection->is_metrics_port ? NULL : io_thread__streaming(io),
        .certificate = certificate_of(connection),
        .streams_max = io->config.streams_max,
        .head_bytes_max = LIMIT_HTTP_HEAD_BYTES_MAX,
        .header_count_max = LIMIT_HTTP_HEADER_COUNT_MAX,
        .body_bytes_max = io->config.body_bytes_max,
        .idle_ms = 0, /* clients of gRPC keep a connection for later */
        .head_ms = LIMIT_HTTP_HEAD_MS,
        .body_ms = LIMIT_HTTP_BODY_MS,
        .stall_ms = LIMIT_HTTP_WRITE_STALL_MS,
        .ping_min_ms = io->config.ping_min_ms,
        .keepalive_ms = io->config.keepalive_ms,
        .keepalive_timeout_ms = io->config.keepalive_timeout_ms,
        .date = &io->date,
        .is_lazy = true,
        .is_own = connection->is_own,
        .is_tls = connection->tls != NULL,
        .on_output = on_output,
        .context = connection,
    };
    size_t size = peer_text(connection->fd, peer, sizeof(peer));
    return http2_new(&config, slice_of(peer, size), now_of(connection));
}

/* ---- what comes in --------------------------------------------------- */

/* What was kept while it could have been the preface. */
static void take_first(struct connection *connection)
{
    size_t size = connection->first_size;
    connection->first_size = 0;
    if (size > 0) {
        input(connection, slice_of(connection->first, size));
    }
}

static void tell_version(struct connection *connection, struct slice bytes)
{
    char first[IO_PREFACE_BYTES];
    size_t size = connection->first_size;
    size_t more = sizeof(first) - size;
    more = more < bytes.size ? more : bytes.size;
    memcpy(first, connection->first, size);
    memcpy(first + size, bytes.at, more);
    switch (http2_is_preface(slice_of(first, size + more))) {
    case HTTP2_PREFACE_YES:
        http1_free(connection->http1);
        connection->http1 = NULL;
        connection->http2 = new_http2(connection);
        connection->is_known = true;
        break;
    case HTTP2_PREFACE_NO:
        connection->is_known = true;
        break;
    case HTTP2_PREFACE_MORE:
        CHECK_EQ(more, bytes.size);
        memcpy(connection->first, first, size + more);
        connection->first_size = size + more;
        break;
    }
}

static void take_input(struct connection *connection, struct slice bytes)
{
    if (!connection->is_known) {
        tell_version(connection, bytes);
        if (!connection->is_known) {
            return;
        }
        take_first(connection);
    }
    input(connection, bytes);
}

static ssize_t read_some(struct connection *connection)
{
    struct io_thread *io = connection->io;
    return connection->tls != NULL
               ? tls_recv(connection->tls, io->read_buffer, IO_READ_BYTES)
               : recv(connection->fd, io->read_buffer, IO_READ_BYTES, 0);
}

/* False: there was nothing. */
static bool read_input(struct connection *connection)
{
    struct io_thread *io = connection->io;
    ssize_t size = read_some(connection);
    if (size > 0) {
        take_input(connection, slice_of(io->read_buffer, (size_t)size));
    } else if (size == 0) {
        take_first(connection);
        input_end(connection);
        return false;
    } else {
        if (errno != EAGAIN && errno != EINTR) {
            close_connection(connection);
        }
        return false;
    }
    return true;
}

/* What TLS has read beyond what it gave: the socket won't tell of it. */
static void read_rest(struct connection *connection)
{
    if (connection->tls == NULL || connection->tls_is_dry) {
        return;
    }
    while (!connection->closing && tls_has_more(connection->tls) &&
           wants_input(connection)) {
        if (!read_input(connection)) {
            connection->tls_is_dry = true;
            return;
        }
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
    if ((events & UV_READABLE) != 0 && wants_input(connection)) {
        connection->tls_is_dry = false;
        (void)read_input(connection);
    }
    flush(connection);
}

/* False: its client has as many as it may have. */
static bool enter_limits(struct connection *connection)
{
    struct limits *limits = connection->io->config.limits;
    struct sockaddr_storage peer;
    socklen_t size = sizeof(peer);
    struct sockaddr *address = (struct sockaddr *)&peer;
    if (limits == NULL || connection->is_own ||
        getpeername(connection->fd, address, &size) != 0) {
        return true;
    }
    return limits_enter(limits, address, (int64_t)uv_hrtime(),
                        &connection->client);
}

static void open_http(struct connection *connection, bool is_peer_port)
{
    if (!is_peer_port && connection->tls != NULL &&
        slice_eq(tls_alpn(connection->tls), SLICE("h2"))) {
        connection->http2 = new_http2(connection);
        connection->is_known = true;
    } else {
        connection->http1 = new_http1(connection, is_peer_port);
        connection->is_known = is_peer_port;
    }
}

void connection__open(struct io_thread *io, const struct socket_post *post)
{
    int fd = post->fd;
    bool is_peer_port = post->is_peer_port;
    int on = 1;
    int unsent = UNSENT_BYTES_MAX;
    struct connection *connection = mem_alloc_zero(sizeof(*connection));
    connection->io = io;
    connection->fd = fd;
    connection->tls = post->tls;
    connection->is_own = post->is_own;
    connection->is_metrics_port = post->is_metrics_port;
    /* The first two fail on a Unix socket, which knows neither. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent,
                     sizeof(unsent));
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    list_init(&connection->dirty);
    if (!is_peer_port && !enter_limits(connection)) {
        limits_refuse_connection(fd, post->tls);
        free_connection(connection);
        return;
    }
    if (uv_poll_init(&io->loop, &connection->poll, fd) != 0) {
        free_connection(connection); /* the system can watch no more */
        return;
    }
    open_http(connection, is_peer_port);
    list_push_back(&io->connections, &connection->link);
    set_interest(connection, UV_READABLE);
    if (io->stopping) {
        close_connection(connection);
    } else if (connection->tls != NULL) {
        /* The request may have come with the handshake's last bytes. */
        tls_read_ahead(connection->tls);
        if (tls_has_more(connection->tls)) {
            (void)read_input(connection);
        }
        flush(connection); /* HTTP/2's settings go unasked */
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
        if (deadline_ms(connection) <= now_ms) {
            time_is_up(connection, now_ms);
            flush(connection);
        }
    }
}

void connection__stop_all(struct io_thread *io)
{
    LIST_EACH (node, &io->connections) {
        struct connection *connection =
            CONTAINER_OF(node, struct connection, link);
        stop(connection);
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
