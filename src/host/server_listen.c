/* The listening sockets, and what becomes of who connects. */
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/list.h"
#include "base/log.h"
#include "host/listener.h"
#include "host/machine.h"
#include "host/server_int.h"

enum {
    ACCEPTS_AT_ONCE = 64,
    ACCEPT_RETRY_MS = 100, /* when there is no file descriptor left */
    /* File descriptors that connections leave to the log, the kv file and
     * what /proc is read with. */
    FDS_RESERVED = 16,
    /* And to the peer port: a quarter, but not more than this. Half of it is
     * for those who have not said yet who they are. */
    FDS_OF_PEERS = 256,
};

/* What the client has sent by now is read: closing with unread bytes resets
 * the connection, and the client might not see the answer. */
static void refuse(int fd, struct tls *tls)
{
    char unread[4096];
    static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\n"
                                 "Content-Type: application/json\r\n"
                                 "Content-Length: 34\r\n"
                                 "Connection: close\r\n\r\n"
                                 "{\"message\":\"too many connections\"}";
    const struct iovec piece = {.iov_base = (void *)(uintptr_t)answer,
                                .iov_len = sizeof(answer) - 1};
    ssize_t sent = tls != NULL
                       ? tls_send(tls, &piece, 1)
                       : send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL);
    (void)sent;
    if (tls != NULL) {
        tls_goodbye(tls);
        tls_free(tls);
    }
    (void)shutdown(fd, SHUT_WR);
    ssize_t got = recv(fd, unread, sizeof(unread), 0);
    (void)got;
    close(fd);
}

static bool may_come(struct server *server)
{
    _Atomic uint64_t *open = &server->shared.stats[API_CONNECTIONS];
    if (atomic_fetch_add(open, 1) < server->connections_max) {
        return true;
    }
    atomic_fetch_sub(open, 1);
    return false;
}

/* One that speaks HTTP. */
static void adopt(struct server *server, int fd, struct tls *tls,
                  enum server_port_kind kind)
{
    CHECK(server->io_count > 0);
    if (!may_come(server)) {
        refuse(fd, tls);
        return;
    }
    size_t next = atomic_fetch_add(&server->next_io, 1);
    struct io_thread *io = server->io[next % server->io_count];
    if (kind == SERVER_METRICS) {
        io_thread_adopt_metrics(io, fd, tls);
    } else {
        io_thread_adopt_tls(io, fd, tls, kind == SERVER_PEERS);
    }
}

void server__adopt(struct server *server, int fd, struct tls *tls,
                   enum server_port_kind kind)
{
    if (kind == SERVER_PEERS) {
        peers_accept(server->peers, fd, tls);
    } else {
        adopt(server, fd, tls, kind);
    }
}

void server__on_peer_http(void *context, int fd, struct tls *tls)
{
    adopt(context, fd, tls, SERVER_PEERS);
}

static struct tls_context *tls_of(const struct server_port *port)
{
    return port->kind == SERVER_PEERS ? port->server->peer_tls
                                      : port->server->client_tls;
}

static void on_connection(uv_poll_t *poll, int status, int events);

static void set_accepting(struct server *server, bool on)
{
    for (size_t i = 0; i < server->port_count; i++) {
        uv_poll_t *poll = &server->ports[i].poll;
        if (on) {
            uv_poll_start(poll, UV_READABLE, on_connection);
        } else {
            uv_poll_stop(poll);
        }
    }
}

static void on_accept_again(uv_timer_t *timer)
{
    set_accepting(CONTAINER_OF(timer, struct server, accept_again), true);
}

/* There is no file descriptor left: tried again in a moment. Said once. */
static void pause_accepting(struct server *server)
{
    if (!server->accept_failing) {
        server->accept_failing = true;
        log_error("host",
                  "no file descriptor left for a connection; they wait until "
                  "others are closed (see ulimit -n)",
                  LOG_INT("retry_ms", ACCEPT_RETRY_MS));
    }
    set_accepting(server, false);
    uv_timer_start(&server->accept_again, on_accept_again, ACCEPT_RETRY_MS, 0);
}

/* The gate is behind: its port waits for it, and no other. */
static void pause_port(struct server_port *port)
{
    uv_poll_stop(&port->poll);
    uv_timer_start(&port->server->accept_again, on_accept_again,
                   TLS_GATE_PAUSE_MS, 0);
}

static void on_connection(uv_poll_t *poll, int status, int events)
{
    struct server_port *port = CONTAINER_OF(poll, struct server_port, poll);
    struct server *server = port->server;
    (void)status;
    (void)events;
    for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
        bool full = false;
        if (port->is_tls && !tls_gate_has_room(server->gate)) {
            pause_port(port);
            return;
        }
        int fd = listener_accept(port->fd, &full);
        if (full) {
            pause_accepting(server);
        }
        if (fd < 0) {
            return;
        }
        server->accept_failing = false;
        if (port->is_tls) {
            tls_gate_take(server->gate, fd, tls_of(port), (int)port->kind);
        } else {
            server__adopt(server, fd, NULL, port->kind);
        }
    }
}

void server__start_accepting(struct server *server)
{
    for (size_t i = 0; i < server->port_count; i++) {
        int failed = uv_poll_init(&server->loop, &server->ports[i].poll,
                                  server->ports[i].fd);
        CHECK_EQ(failed, 0);
    }
    set_accepting(server, true);
}

/* ---- the sockets --------------------------------------------------------- */

/* Connections may not take the last file descriptors: without one for its
 * next segment the log could not go on. */
enum err server__bound_connections(struct server *server)
{
    struct machine machine;
    uint64_t wanted = (uint64_t)server->config->max_connections;
    machine_read(&machine);
    CHECK(machine.fd_used > 0);
    uint64_t needed = machine.fd_used + FDS_RESERVED;
    if (machine.fd_limit <= needed) {
        return err_set(ERR_FULL,
                       "%llu open files are allowed, %llu are needed; raise "
                       "the limit (ulimit -n)",
                       (unsigned long long)machine.fd_limit,
                       (unsigned long long)needed + 1);
    }
    uint64_t peers = (machine.fd_limit - needed) / 4;
    peers = peers < FDS_OF_PEERS ? peers : FDS_OF_PEERS;
    peers_bound_strangers(server->peers, (size_t)peers / 2 + 1);
    server->handshakes_max = server__handshakes_max(
        server, (size_t)(machine.fd_limit - needed - peers));
    server->connections_max = machine.fd_limit - needed - peers;
    if (server->handshakes_max > 0) {
        server->connections_max -=
            server->handshakes_max + TLS_GATE_WAITING(server->handshakes_max);
    }
    if (server->connections_max > wanted) {
        server->connections_max = wanted;
    } else if (server->connections_max < wanted / 2) {
        log_warn("host",
                 "the limit on open files (ulimit -n) allows fewer "
                 "connections than --max-connections",
                 LOG_UINT("open_files_max", machine.fd_limit),
                 LOG_UINT("connections_max", server->connections_max));
    }
    return ERR_OK;
}

static enum err listen_on(struct server *server, const struct config_urls *urls,
                          enum server_port_kind kind)
{
    for (size_t i = 0; i < urls->count; i++) {
        struct server_port *port = &server->ports[server->port_count];
        if (server->port_count == SERVER_PORTS_MAX) {
            return err_set(ERR_INVALID, "more than %d addresses to listen on",
                           SERVER_PORTS_MAX);
        }
        enum err err = listener_open(
            &urls->at[i], server->config->socket_reuse_port, &port->fd);
        if (err != ERR_OK) {
            return err;
        }
        port->server = server;
        port->kind = kind;
        port->is_tls = urls->at[i].tls;
        server->port_count++;
    }
    return ERR_OK;
}

enum err server__listen(struct server *server)
{
    const struct config *config = server->config;
    enum err err =
        listen_on(server, &config->listen_client_urls, SERVER_CLIENTS);
    if (err == ERR_OK) {
        err =
            listen_on(server, &config->listen_client_http_urls, SERVER_CLIENTS);
    }
    if (err == ERR_OK) {
        err = listen_on(server, &config->listen_metrics_urls, SERVER_METRICS);
    }
    if (err == ERR_OK) {
        err = listen_on(server, &config->listen_peer_urls, SERVER_PEERS);
    }
    return err;
}

void server__close_ports(struct server *server)
{
    for (size_t i = 0; i < server->port_count; i++) {
        close(server->ports[i].fd);
    }
}
