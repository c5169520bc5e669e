/* The connection to one of the endpoints, and its bytes. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "host/rpc_client_int.h"

/* ---- the connection ----------------------------------------------------- */

static struct rpc_endpoint *endpoint(const struct rpc_client *client)
{
    return &client->endpoints[client->at];
}

void rpc_client__close_socket(struct rpc_client *client)
{
    if (client->tls != NULL)
        tls_goodbye(client->tls);
    tls_free(client->tls);
    client->tls = NULL;
    client->has_more = false;
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
    if (client->addresses != NULL)
        freeaddrinfo(client->addresses);
    client->addresses = client->address = NULL;
    client->state = RPC_DOWN;
}

/* Each endpoint has its turn before we wait. */
static void count_failure(struct rpc_client *client, int64_t now_ms)
{
    client->at = (client->at + 1) % client->endpoint_count;
    if (++client->failed % client->endpoint_count != 0)
        return;
    client->not_before_ms = now_ms + client->backoff_ms;
    client->backoff_ms *= 2;
    if (client->backoff_ms > RPC_BACKOFF_MS_MAX)
        client->backoff_ms = RPC_BACKOFF_MS_MAX;
}

static void set_failure(struct rpc_client *client, const char *why)
{
    buf_reset(&client->failure);
    buf_printf(&client->failure, "%s: %s", endpoint(client)->text, why);
    buf_append_char(&client->failure, '\0');
}

/* Those that were on it hear of it when there is none any more, so that what
 * they open anew waits for the next. */
void rpc_client__drop(struct rpc_client *client, const char *why)
{
    struct grpc_client *grpc = client->grpc;
    set_failure(client, why);
    rpc_client__close_socket(client);
    client->grpc = NULL;
    count_failure(client, rpc_client_now_ms());
    grpc_client_free(grpc);
}

static void go_up(struct rpc_client *client)
{
    struct grpc_client_config config = {
        .authority = slice_str(endpoint(client)->authority),
        .user_agent = client->user_agent,
        .message_bytes_max = client->message_bytes_max,
    };
    int one = 1;
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    CHECK(client->grpc == NULL);
    client->grpc = grpc_client_new(&config);
    client->state = RPC_UP;
    client->heard_ms = rpc_client_now_ms();
    client->has_answered = false;
    client->pinged_ms = 0;
    client->leaving_ms = 0;
    freeaddrinfo(client->addresses);
    client->addresses = client->address = NULL;
}

/* A step of it. */
static void shake_hands(struct rpc_client *client)
{
    enum err err = tls_handshake(client->tls);
    if (err == ERR_BUSY)
        return;
    if (err == ERR_OK) {
        go_up(client);
        return;
    }
    (void)err_wrap(err, "authentication handshake failed");
    rpc_client__drop(client, err_note());
}

static void be_connected(struct rpc_client *client)
{
    const char *name = client->server_name;
    if (!endpoint(client)->is_tls) {
        go_up(client);
        return;
    }
    (void)tls_context_reload(client->tls_context);
    client->tls = tls_new(client->tls_context, client->fd,
                          name[0] ? name : endpoint(client)->host);
    CHECK(client->tls != NULL);
    client->state = RPC_HANDSHAKE;
    shake_hands(client);
}

/* Begins with the next address that can be begun with; none: the endpoint has
 * failed. */
static void dial_address(struct rpc_client *client)
{
    int number = 0;
    for (; client->address != NULL;
         client->address = client->address->ai_next) {
        const struct addrinfo *to = client->address;
        if (client->fd >= 0)
            close(client->fd);
        client->fd = socket(to->ai_family,
                            to->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC,
                            to->ai_protocol);
        if (client->fd < 0) {
            number = errno;
            continue;
        }
        if (connect(client->fd, to->ai_addr, to->ai_addrlen) == 0) {
            be_connected(client);
            return;
        }
        if (errno == EINPROGRESS)
            return;
        number = errno;
    }
    rpc_client__drop(client, strerror(number));
}

static void dial_own(struct rpc_client *client)
{
    client->fd = client->connect(client->connect_context);
    client->state = RPC_DIALING;
    if (client->fd < 0) {
        rpc_client__drop(client, "there is no connection now");
        return;
    }
    go_up(client);
}

/* Such a connection is there at once, or not at all. */
static void dial_path(struct rpc_client *client)
{
    const char *path = endpoint(client)->path;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t size = strlen(path);
    CHECK_LT(size, sizeof address.sun_path);
    memcpy(address.sun_path, path, size);
    client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (client->fd < 0 ||
        connect(client->fd, (void *)&address, sizeof address) != 0)
        rpc_client__drop(client, strerror(errno));
    else
        be_connected(client);
}

/* Names are looked up while all else waits. */
static void dial(struct rpc_client *client, int64_t now_ms)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICSERV};
    if (client->connect != NULL) {
        dial_own(client);
        return;
    }
    client->dial_deadline_ms =
        client->dial_ms > 0 ? now_ms + client->dial_ms : INT64_MAX;
    if (endpoint(client)->path != NULL) {
        client->state = RPC_DIALING;
        dial_path(client);
        return;
    }
    int result = getaddrinfo(endpoint(client)->host, endpoint(client)->port,
                             &hints, &client->addresses);
    client->state = RPC_DIALING;
    if (result != 0) {
        client->addresses = NULL;
        rpc_client__drop(client, gai_strerror(result));
        return;
    }
    client->address = client->addresses;
    dial_address(client);
}

static void finish_dial(struct rpc_client *client)
{
    int number = 0;
    socklen_t size = sizeof number;
    if (getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &number, &size) != 0)
        number = errno;
    if (number == 0) {
        be_connected(client);
        return;
    }
    if (client->address->ai_next == NULL) {
        rpc_client__drop(client, strerror(number));
        return;
    }
    client->address = client->address->ai_next;
    dial_address(client);
}

/* ---- bytes -------------------------------------------------------------- */

/* With TLS 1.3 a server says what it thinks of our certificate when for us the
 * handshake is done, and one that wants TLS has no word for who comes without.
 */
static void drop_ended(struct rpc_client *client, ssize_t got)
{
    const char *why =
        got < 0 ? strerror(errno) : "the server closed the connection";
    struct buf text = {0};
    buf_append_str(&text, why);
    if (!client->has_answered)
        buf_append_str(&text, client->tls != NULL
                                  ? " after the TLS handshake: does it want a "
                                    "(another) certificate?"
                                  : " without an answer: does it want https?");
    buf_append_char(&text, '\0');
    rpc_client__drop(client, text.at);
    buf_deinit(&text);
}

static ssize_t send_piece(struct rpc_client *client, struct slice piece)
{
    /* iovec has no const; what it points to is only read. */
    struct iovec bytes = {.iov_base = (void *)(uintptr_t)piece.at,
                          .iov_len = piece.size};
    return client->tls != NULL
               ? tls_send(client->tls, &bytes, 1)
               : send(client->fd, piece.at, piece.size, MSG_NOSIGNAL);
}

static void send_bytes(struct rpc_client *client)
{
    struct slice piece;
    while (client->state == RPC_UP &&
           grpc_client_output(client->grpc, &piece, 1) > 0) {
        ssize_t sent = send_piece(client, piece);
        if (sent >= 0) {
            grpc_client_sent(client->grpc, (size_t)sent);
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            drop_ended(client, sent);
        return;
    }
}

/* The server has spoken HTTP/2, so it is one that can be used. */
static void note_heard(struct rpc_client *client)
{
    client->heard_ms = rpc_client_now_ms();
    client->has_answered = true;
    client->pinged_ms = 0;
    client->failed = 0;
    client->backoff_ms = RPC_BACKOFF_MS_MIN;
}

/* What TLS holds already isn't polled for: has_more says that some may be
 * left. */
static void receive_bytes(struct rpc_client *client)
{
    char bytes[RPC_READ_BYTES];
    client->has_more = false;
    for (int i = 0; i < RPC_READS_MAX && client->state == RPC_UP; i++) {
        ssize_t got = client->tls != NULL
                          ? tls_recv(client->tls, bytes, sizeof bytes)
                          : recv(client->fd, bytes, sizeof bytes, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0) {
            drop_ended(client, got);
            return;
        }
        enum err err =
            grpc_client_input(client->grpc, slice_of(bytes, (size_t)got));
        if (err != ERR_OK) {
            send_bytes(client); /* what we have to say of it */
            if (client->state == RPC_UP)
                rpc_client__drop(client, err_note());
            return;
        }
        note_heard(client);
    }
    client->has_more = client->tls != NULL;
}

void rpc_client__handle(struct rpc_client *client, short events)
{
    if (client->state == RPC_DIALING && events != 0)
        finish_dial(client);
    else if (client->state == RPC_HANDSHAKE && events != 0)
        shake_hands(client);
    else if (client->state == RPC_UP && (events & (POLLIN | POLLERR | POLLHUP)))
        receive_bytes(client);
}

short rpc_client__wants(struct rpc_client *client)
{
    struct slice piece;
    if (client->state == RPC_DIALING)
        return POLLOUT;
    if (client->state == RPC_HANDSHAKE)
        return tls_wants(client->tls);
    if (client->state != RPC_UP)
        return 0;
    return grpc_client_output(client->grpc, &piece, 1) > 0 ? POLLIN | POLLOUT
                                                           : POLLIN;
}

/* ---- what is due -------------------------------------------------------- */

static bool somebody_waits(struct rpc_client *client)
{
    LIST_EACH (node, &client->streams)
        if (CONTAINER_OF(node, struct rpc_stream, link)->call == NULL)
            return true;
    return false;
}

/* Ends what is late; when is the next? */
static int64_t end_late(struct rpc_client *client, int64_t now_ms)
{
    int64_t next_ms = INT64_MAX;
    LIST_EACH (node, &client->streams) {
        struct rpc_stream *stream = CONTAINER_OF(node, struct rpc_stream, link);
        int64_t deadline_ms = stream->config.deadline_ms;
        if (deadline_ms == 0)
            continue;
        if (deadline_ms > now_ms) {
            next_ms = deadline_ms < next_ms ? deadline_ms : next_ms;
            continue;
        }
        if (stream->call != NULL)
            grpc_call_cancel(stream->call);
        stream->call = NULL;
        rpc_client__end(stream, GRPC_DEADLINE_EXCEEDED,
                        SLICE("context deadline exceeded"));
        /* Its owner may have ended the one that was next. */
        return now_ms;
    }
    return next_ms;
}

static void start_waiting(struct rpc_client *client, int64_t now_ms)
{
    LIST_EACH (node, &client->streams) {
        struct rpc_stream *stream = CONTAINER_OF(node, struct rpc_stream, link);
        if (stream->call == NULL && !grpc_client_is_leaving(client->grpc))
            rpc_client__start(stream, now_ms);
    }
}

/* A connection that takes no new calls, and somebody waits. */
static int64_t leave(struct rpc_client *client, int64_t now_ms)
{
    if (!grpc_client_is_leaving(client->grpc) || !somebody_waits(client))
        return INT64_MAX;
    if (client->leaving_ms == 0)
        client->leaving_ms = now_ms;
    if (grpc_client_calls(client->grpc) > 0 &&
        now_ms < client->leaving_ms + RPC_LEAVING_MS)
        return client->leaving_ms + RPC_LEAVING_MS;
    rpc_client__drop(client, "the server is leaving");
    return now_ms;
}

/* A PING after silence, and the end after more of it. */
static int64_t keep_alive(struct rpc_client *client, int64_t now_ms)
{
    if (client->keepalive_ms <= 0 || grpc_client_calls(client->grpc) == 0) {
        client->heard_ms = now_ms;
        return INT64_MAX;
    }
    if (client->pinged_ms > 0) {
        int64_t end_ms = client->pinged_ms + client->keepalive_timeout_ms;
        if (now_ms < end_ms)
            return end_ms;
        rpc_client__drop(client, "the server doesn't answer (keepalive)");
        return now_ms;
    }
    if (now_ms < client->heard_ms + client->keepalive_ms)
        return client->heard_ms + client->keepalive_ms;
    grpc_client_ping(client->grpc);
    client->pinged_ms = now_ms;
    return now_ms + client->keepalive_timeout_ms;
}

static bool is_dialing(const struct rpc_client *client)
{
    return client->state == RPC_DIALING || client->state == RPC_HANDSHAKE;
}

static int64_t advance_down(struct rpc_client *client, int64_t now_ms)
{
    if (!somebody_waits(client))
        return INT64_MAX;
    if (now_ms < client->not_before_ms)
        return client->not_before_ms;
    dial(client, now_ms);
    return is_dialing(client) ? client->dial_deadline_ms : now_ms;
}

static int64_t advance_up(struct rpc_client *client, int64_t now_ms)
{
    if (client->has_more)
        receive_bytes(client);
    if (client->state != RPC_UP)
        return now_ms;
    start_waiting(client, now_ms);
    int64_t next_ms = leave(client, now_ms);
    if (client->state == RPC_UP) {
        int64_t alive_ms = keep_alive(client, now_ms);
        next_ms = alive_ms < next_ms ? alive_ms : next_ms;
    }
    send_bytes(client);
    return client->state == RPC_UP && !client->has_more ? next_ms : now_ms;
}

int64_t rpc_client__advance(struct rpc_client *client, int64_t now_ms)
{
    int64_t late_ms = end_late(client, now_ms);
    int64_t next_ms = now_ms;
    if (is_dialing(client) && now_ms >= client->dial_deadline_ms)
        rpc_client__drop(client, client->state == RPC_HANDSHAKE
                                     ? "the TLS handshake timed out"
                                     : "dialing timed out");
    else if (is_dialing(client))
        next_ms = client->dial_deadline_ms;
    else if (client->state == RPC_UP)
        next_ms = advance_up(client, now_ms);
    else
        next_ms = advance_down(client, now_ms);
    return late_ms < next_ms ? late_ms : next_ms;
}
