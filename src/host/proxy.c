#include "host/proxy.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/bootstrap.h"
#include "host/harden.h"
#include "host/listener.h"
#include "host/machine.h"
#include "host/proxy_int.h"

enum { SWEEP_MS = 100, SLICES_MAX = 16, ACCEPTS_AT_ONCE = 64 };

struct connection {
    uv_poll_t poll; /* first: libuv hands it back */
    struct proxy *proxy;
    struct http1 *http1;
    int fd;
    struct tls *tls; /* NULL: plain */
    int interest;
    bool closing;
    struct list link;
    struct list dirty;
};

int64_t proxy__now_ms(const struct proxy *proxy)
{
    return (int64_t)uv_now(&proxy->loop);
}

/* ---- a client's connection ----------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
    struct connection *connection = (struct connection *)(void *)handle;
    if (connection->tls != NULL) {
        tls_goodbye(connection->tls);
    }
    tls_free(connection->tls);
    close(connection->fd);
    connection->proxy->connection_count--;
    mem_free(connection);
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

/* True: all is sent. */
static bool send_waiting(struct connection *connection, bool *broken)
{
    struct slice slices[SLICES_MAX];
    struct iovec vectors[SLICES_MAX];
    size_t count;
    while ((count = http1_output(connection->http1, slices, SLICES_MAX)) > 0) {
        size_t total = 0;
        for (size_t i = 0; i < count; i++) {
            vectors[i].iov_base = (void *)(uintptr_t)slices[i].at;
            vectors[i].iov_len = slices[i].size;
            total += slices[i].size;
        }
        struct msghdr message = {.msg_iov = vectors, .msg_iovlen = count};
        ssize_t sent = connection->tls != NULL
                           ? tls_send(connection->tls, vectors, count)
                           : sendmsg(connection->fd, &message, MSG_NOSIGNAL);
        if (sent < 0) {
            *broken = errno != EAGAIN && errno != EINTR;
            return false;
        }
        http1_sent(connection->http1, (size_t)sent,
                   proxy__now_ms(connection->proxy));
        if ((size_t)sent < total) {
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

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct connection *connection = (struct connection *)(void *)poll;
    struct proxy *proxy = connection->proxy;
    if (status < 0) {
        close_connection(connection);
        return;
    }
    if (events & UV_READABLE) {
        ssize_t size =
            connection->tls != NULL
                ? tls_recv(connection->tls, proxy->read_buffer,
                           PROXY_READ_BYTES)
                : recv(connection->fd, proxy->read_buffer, PROXY_READ_BYTES, 0);
        if (size > 0) {
            http1_input(connection->http1,
                        slice_of(proxy->read_buffer, (size_t)size),
                        proxy__now_ms(proxy));
        } else if (size == 0) {
            http1_input_end(connection->http1);
        } else if (errno != EAGAIN && errno != EINTR) {
            close_connection(connection);
        }
    }
    flush(connection);
}

/* May be called from within libcurl, where a connection must not end (its
 * transfer would): what waits is sent before the loop sleeps. */
static void on_output(void *context)
{
    struct connection *connection = context;
    if (list_is_empty(&connection->dirty) && !connection->closing) {
        list_push_back(&connection->proxy->dirty, &connection->dirty);
    }
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct proxy *proxy = CONTAINER_OF(prepare, struct proxy, prepare);
    struct list *node;
    while ((node = list_first(&proxy->dirty)) != NULL) {
        flush(CONTAINER_OF(node, struct connection, dirty));
    }
}

/* "10.0.0.1:4711"; "" for a Unix socket. */
static void peer_text(int fd, char *out, size_t size)
{
    char address[64];
    struct sockaddr_storage peer;
    socklen_t length = sizeof(peer);
    out[0] = '\0';
    if (getpeername(fd, (struct sockaddr *)&peer, &length) != 0) {
        return;
    }
    if (peer.ss_family == AF_INET) {
        const struct sockaddr_in *ip4 = (const void *)&peer;
        uv_ip4_name(ip4, address, sizeof(address));
        (void)snprintf(out, size, "%s:%d", address, ntohs(ip4->sin_port));
    } else if (peer.ss_family == AF_INET6) {
        const struct sockaddr_in6 *ip6 = (const void *)&peer;
        uv_ip6_name(ip6, address, sizeof(address));
        (void)snprintf(out, size, "%s:%d", address, ntohs(ip6->sin6_port));
    }
}

static void open_connection(struct proxy *proxy, int fd, struct tls *tls)
{
    int on = 1;
    char peer[96];
    struct connection *connection = mem_alloc_zero(sizeof(*connection));
    struct http1_config config = {
        .server = &proxy->server,
        .head_bytes_max = LIMIT_HTTP_HEAD_BYTES_MAX,
        .header_count_max = LIMIT_HTTP_HEADER_COUNT_MAX,
        .body_bytes_max = (size_t)proxy->config->max_request_bytes,
        .idle_ms = LIMIT_HTTP_IDLE_MS,
        .head_ms = LIMIT_HTTP_HEAD_MS,
        .body_ms = LIMIT_HTTP_BODY_MS,
        .stall_ms = LIMIT_HTTP_WRITE_STALL_MS,
        .date = &proxy->no_date, /* the member's passes through */
        .on_output = on_output,
        .context = connection,
    };
    connection->proxy = proxy;
    connection->fd = fd;
    connection->tls = tls;
    list_init(&connection->dirty);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    if (uv_poll_init(&proxy->loop, &connection->poll, fd) != 0) {
        tls_free(tls);
        close(fd);
        mem_free(connection);
        return;
    }
    peer_text(fd, peer, sizeof(peer));
    connection->http1 =
        http1_new(&config, slice_str(peer), proxy__now_ms(proxy));
    proxy->connection_count++;
    list_push_back(&proxy->connections, &connection->link);
    set_interest(connection, UV_READABLE);
}

void proxy__admit(struct proxy *proxy, int fd, struct tls *tls)
{
    if (proxy->connection_count >= proxy->config->max_connections) {
        tls_free(tls);
        close(fd);
    } else {
        open_connection(proxy, fd, tls);
    }
}

static void on_connection(uv_poll_t *poll, int status, int events);

static void accept_again(struct proxy *proxy)
{
    for (size_t i = 0; i < proxy->listener_count; i++) {
        uv_poll_start(&proxy->listeners[i].poll, UV_READABLE, on_connection);
    }
}

static void on_accept_again(uv_timer_t *timer)
{
    accept_again(CONTAINER_OF(timer, struct proxy, accept_again));
}

static void on_connection(uv_poll_t *poll, int status, int events)
{
    struct proxy_listener *listener = (struct proxy_listener *)(void *)poll;
    struct proxy *proxy = listener->proxy;
    (void)status;
    (void)events;
    for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
        bool full = false;
        if (listener->is_tls && !tls_gate_has_room(proxy->gate)) {
            uv_poll_stop(poll);
            uv_timer_start(&proxy->accept_again, on_accept_again,
                           TLS_GATE_PAUSE_MS, 0);
            return;
        }
        int fd = listener_accept(listener->fd, &full);
        if (fd < 0) {
            if (full) {
                uv_poll_stop(poll); /* the next sweep tries again */
            }
            return;
        }
        if (listener->is_tls) {
            tls_gate_take(proxy->gate, fd, proxy->tls, 0);
        } else {
            proxy__admit(proxy, fd, NULL);
        }
    }
}

/* ---- time, and the end --------------------------------------------------- */

static void on_sweep(uv_timer_t *timer)
{
    struct proxy *proxy = CONTAINER_OF(timer, struct proxy, sweep);
    int64_t now_ms = proxy__now_ms(proxy);
    LIST_EACH (node, &proxy->connections) {
        struct connection *connection =
            CONTAINER_OF(node, struct connection, link);
        if (http1_deadline_ms(connection->http1) <= now_ms) {
            http1_timeout(connection->http1, now_ms);
            flush(connection);
        }
    }
    accept_again(proxy);
    proxy__sweep_forwards(proxy);
    proxy__refresh_if_due(proxy);
    proxy__look_at_tls(proxy);
}

static void close_handle(uv_handle_t *handle)
{
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

/* All handles end, and with them the loop. */
static void shut_down(struct proxy *proxy)
{
    struct list *node;
    for (size_t i = 0; i < proxy->listener_count; i++) {
        close_handle((uv_handle_t *)&proxy->listeners[i].poll);
    }
    proxy__stop_tls(proxy);
    while ((node = list_first(&proxy->connections)) != NULL) {
        close_connection(CONTAINER_OF(node, struct connection, link));
    }
    proxy__free_endpoints(proxy);
    proxy__close_transfers(proxy);
    close_handle((uv_handle_t *)&proxy->sweep);
    close_handle((uv_handle_t *)&proxy->accept_again);
    close_handle((uv_handle_t *)&proxy->prepare);
    close_handle((uv_handle_t *)&proxy->stop);
    for (size_t i = 0; proxy->has_signals && i < PROXY_SIGNALS; i++) {
        close_handle((uv_handle_t *)&proxy->signals[i]);
    }
}

static void on_stop(uv_async_t *async)
{
    struct proxy *proxy = CONTAINER_OF(async, struct proxy, stop);
    if (!uv_is_closing((uv_handle_t *)async)) {
        shut_down(proxy);
    }
}

static void on_signal(uv_signal_t *signal, int number)
{
    struct proxy *proxy = signal->data;
    if (number == SIGHUP) {
        return; /* which would end the process: it has nothing to read anew */
    }
    log_info("proxy", "stopping", LOG_INT("signal", number));
    on_stop(&proxy->stop);
}

void proxy__stop(struct proxy *proxy)
{
    uv_async_send(&proxy->stop);
}

/* ---- starting ------------------------------------------------------------ */

static int port_of(int fd)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof(address);
    if (getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
        return 0;
    }
    return address.ss_family == AF_INET
               ? ntohs(((const struct sockaddr_in *)(void *)&address)->sin_port)
           : address.ss_family == AF_INET6
               ? ntohs(
                     ((const struct sockaddr_in6 *)(void *)&address)->sin6_port)
               : 0;
}

static enum err listen_on(struct proxy *proxy, const struct config_url *url)
{
    struct proxy_listener *listener = &proxy->listeners[proxy->listener_count];
    enum err err =
        listener_open(url, proxy->config->socket_reuse_port, &listener->fd);
    if (err) {
        return err;
    }
    listener->proxy = proxy;
    listener->is_tls = url->tls;
    listener->port = port_of(listener->fd);
    CHECK_EQ(uv_poll_init(&proxy->loop, &listener->poll, listener->fd), 0);
    CHECK_EQ(uv_poll_start(&listener->poll, UV_READABLE, on_connection), 0);
    proxy->listener_count++;
    log_info("proxy", "serving clients", LOG_STR("url", url->text),
             LOG_INT("port", listener->port));
    return ERR_OK;
}

static enum err listen_on_all(struct proxy *proxy)
{
    const struct config_urls *urls = &proxy->config->listen_client_urls;
    enum err err = ERR_OK;
    if (urls->count > PROXY_LISTENERS_MAX) {
        return err_set(ERR_TOO_LARGE, "--listen-client-urls: more than %d URLs",
                       PROXY_LISTENERS_MAX);
    }
    for (size_t i = 0; i < urls->count && !err; i++) {
        err = listen_on(proxy, &urls->at[i]);
    }
    return err;
}

static void make_id(struct proxy *proxy)
{
    uint64_t random[2];
    CHECK_EQ(getrandom(random, sizeof(random), 0), sizeof(random));
    (void)snprintf(proxy->id, sizeof(proxy->id), "%016llx%016llx",
                   (unsigned long long)random[0],
                   (unsigned long long)random[1]);
}

/* The member behind it would be asked by the proxy's name for it. */
static void on_request(struct http_server *server,
                       struct http_exchange *exchange)
{
    struct proxy *proxy = CONTAINER_OF(server, struct proxy, server);
    if (!harden_hosts_refuse(proxy->hosts, exchange)) {
        proxy__on_request(server, exchange);
    }
}

enum err proxy__open(const struct config *config, const char *peer_urls,
                     struct proxy **out)
{
    enum err err = late_load(LATE_CURL);
    if (err) {
        return err;
    }
    struct proxy *proxy = mem_alloc_zero(sizeof(*proxy));
    proxy->config = config;
    proxy->server.on_request = on_request;
    proxy->hosts = harden_hosts_new(config);
    list_init(&proxy->connections);
    list_init(&proxy->dirty);
    list_init(&proxy->forwards);
    CHECK_EQ(uv_loop_init(&proxy->loop), 0);
    CHECK_EQ(uv_timer_init(&proxy->loop, &proxy->sweep), 0);
    CHECK_EQ(uv_timer_init(&proxy->loop, &proxy->accept_again), 0);
    CHECK_EQ(uv_prepare_init(&proxy->loop, &proxy->prepare), 0);
    CHECK_EQ(uv_async_init(&proxy->loop, &proxy->stop, on_stop), 0);
    CHECK_EQ(uv_prepare_start(&proxy->prepare, on_prepare), 0);
    CHECK_EQ(uv_timer_start(&proxy->sweep, on_sweep, 0, SWEEP_MS), 0);
    proxy__init_tls(proxy);
    make_id(proxy);
    proxy__open_transfers(proxy);
    proxy__set_peers(proxy, slice_str(peer_urls));
    err = proxy__open_tls(proxy);
    if (!err) {
        err = listen_on_all(proxy);
    }
    if (err) {
        shut_down(proxy);
        proxy__serve(proxy);
        proxy__close(proxy);
        return err;
    }
    *out = proxy;
    return ERR_OK;
}

void proxy__serve(struct proxy *proxy)
{
    CHECK_EQ(uv_run(&proxy->loop, UV_RUN_DEFAULT), 0);
}

void proxy__close(struct proxy *proxy)
{
    CHECK_EQ(proxy->connection_count, 0);
    for (size_t i = 0; i < proxy->listener_count; i++) {
        close(proxy->listeners[i].fd);
    }
    CHECK_EQ(uv_loop_close(&proxy->loop), 0);
    harden_hosts_free(proxy->hosts);
    mem_free(proxy);
}

static void watch_signals(struct proxy *proxy)
{
    static const int numbers[PROXY_SIGNALS] = {SIGTERM, SIGINT, SIGHUP};
    proxy->has_signals = true;
    for (size_t i = 0; i < PROXY_SIGNALS; i++) {
        CHECK_EQ(uv_signal_init(&proxy->loop, &proxy->signals[i]), 0);
        proxy->signals[i].data = proxy;
        CHECK_EQ(uv_signal_start(&proxy->signals[i], on_signal, numbers[i]), 0);
    }
}

static enum err serve(const struct config *config, const char *peer_urls)
{
    struct proxy *proxy;
    enum err err = proxy__open(config, peer_urls, &proxy);
    if (err) {
        return err;
    }
    struct privileges who;
    err = privileges_find(config->user, &who);
    if (!err) {
        err = harden_confine(config, &who);
    }
    if (err) {
        shut_down(proxy);
        proxy__serve(proxy);
        proxy__close(proxy);
        return err;
    }
    watch_signals(proxy);
    log_info("proxy",
             config->proxy == CONFIG_PROXY_READONLY ? "a proxy for reading only"
                                                    : "a proxy",
             LOG_STR("cluster", peer_urls));
    proxy__serve(proxy);
    proxy__close(proxy);
    return ERR_OK;
}

enum err proxy_run(const struct config *config, const char *peer_urls)
{
    struct arena arena;
    enum err err = ERR_OK;
    (void)machine_raise_fd_limit();
    arena_init(&arena, 0);
    if (!peer_urls) {
        err = bootstrap_proxy_urls(config, &arena, &peer_urls);
    }
    if (!err) {
        err = serve(config, peer_urls);
    }
    arena_deinit(&arena);
    return err;
}
