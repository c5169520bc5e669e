/* Endpoints, the connection to one of them, and its bytes. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "host/rpc_client_int.h"

/* ---- endpoints ---------------------------------------------------------- */

static enum err strip_scheme(struct slice *text)
{
    const struct slice separator = SLICE("://");
    const char *at = memmem(text->at, text->size, separator.at, separator.size);
    if (at == NULL)
        return ERR_OK;
    struct slice scheme = slice_of(text->at, (size_t)(at - text->at));
    if (slice_eq(scheme, SLICE("https")))
        return err_set(ERR_UNSUPPORTED,
                       "https:// isn't supported: TLS comes with a later "
                       "version");
    if (!slice_eq(scheme, SLICE("http")))
        return err_set(ERR_UNSUPPORTED, "%.*s:// isn't supported",
                       (int)scheme.size, scheme.at);
    text->at += scheme.size + separator.size;
    text->size -= scheme.size + separator.size;
    return ERR_OK;
}

static struct slice trim(struct slice text)
{
    while (text.size > 0 && text.at[0] == ' ')
        text = slice_of(text.at + 1, text.size - 1);
    while (text.size > 0 && text.at[text.size - 1] == ' ')
        text.size--;
    return text;
}

static char *keep(struct arena *arena, struct slice text)
{
    return arena_printf(arena, "%.*s", (int)text.size, text.at);
}

/* The colon before the port: the last one, but none within brackets. */
static enum err split(struct slice text, struct slice *host, struct slice *port)
{
    const char *colon = text.size > 0 ? memrchr(text.at, ':', text.size) : NULL;
    if (colon == NULL ||
        memchr(colon, ']', (size_t)(text.at + text.size - colon)) != NULL)
        return err_set(ERR_INVALID, "missing port in address");
    *host = slice_of(text.at, (size_t)(colon - text.at));
    *port = slice_of(colon + 1, text.size - host->size - 1);
    if (host->size >= 2 && host->at[0] == '[' &&
        host->at[host->size - 1] == ']')
        *host = slice_of(host->at + 1, host->size - 2);
    else if (slice_find(*host, ':') >= 0)
        return err_set(ERR_INVALID, "too many colons in address");
    return port->size > 0 ? ERR_OK
                          : err_set(ERR_INVALID, "missing port in address");
}

enum err rpc_client__parse_endpoint(struct arena *arena, const char *text,
                                    struct rpc_endpoint *out)
{
    struct slice rest = trim(slice_str(text));
    struct slice host = {0};
    struct slice port = {0};
    enum err err = strip_scheme(&rest);
    ptrdiff_t slash = slice_find(rest, '/');
    if (slash >= 0)
        rest.size = (size_t)slash;
    if (err == ERR_OK)
        err = split(rest, &host, &port);
    if (err != ERR_OK)
        return err_wrap(err, "endpoint \"%s\"", text);
    out->text = keep(arena, rest);
    out->host = keep(arena, host);
    out->port = keep(arena, port);
    return ERR_OK;
}

/* ---- the connection ----------------------------------------------------- */

static struct rpc_endpoint *endpoint(const struct rpc_client *client)
{
    return &client->endpoints[client->at];
}

static void close_socket(struct rpc_client *client)
{
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
    close_socket(client);
    client->grpc = NULL;
    count_failure(client, rpc_client_now_ms());
    grpc_client_free(grpc);
}

static void go_up(struct rpc_client *client)
{
    struct grpc_client_config config = {
        .authority = slice_str(endpoint(client)->text),
        .user_agent = client->user_agent,
        .message_bytes_max = client->message_bytes_max,
    };
    int one = 1;
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    CHECK(client->grpc == NULL);
    client->grpc = grpc_client_new(&config);
    client->state = RPC_UP;
    client->heard_ms = rpc_client_now_ms();
    client->pinged_ms = 0;
    client->leaving_ms = 0;
    freeaddrinfo(client->addresses);
    client->addresses = client->address = NULL;
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
            go_up(client);
            return;
        }
        if (errno == EINPROGRESS)
            return;
        number = errno;
    }
    rpc_client__drop(client, strerror(number));
}

/* Names are looked up while all else waits. */
static void dial(struct rpc_client *client, int64_t now_ms)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICSERV};
    int result = getaddrinfo(endpoint(client)->host, endpoint(client)->port,
                             &hints, &client->addresses);
    client->state = RPC_DIALING;
    if (result != 0) {
        client->addresses = NULL;
        rpc_client__drop(client, gai_strerror(result));
        return;
    }
    client->address = client->addresses;
    client->dial_deadline_ms =
        client->dial_ms > 0 ? now_ms + client->dial_ms : INT64_MAX;
    dial_address(client);
}

static void finish_dial(struct rpc_client *client)
{
    int number = 0;
    socklen_t size = sizeof number;
    if (getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &number, &size) != 0)
        number = errno;
    if (number == 0) {
        go_up(client);
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

static void send_bytes(struct rpc_client *client)
{
    struct slice piece;
    while (client->state == RPC_UP &&
           grpc_client_output(client->grpc, &piece, 1) > 0) {
        ssize_t sent = send(client->fd, piece.at, piece.size, MSG_NOSIGNAL);
        if (sent >= 0) {
            grpc_client_sent(client->grpc, (size_t)sent);
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            rpc_client__drop(client, strerror(errno));
        return;
    }
}

/* The server has spoken HTTP/2, so it is one that can be used. */
static void note_heard(struct rpc_client *client)
{
    client->heard_ms = rpc_client_now_ms();
    client->pinged_ms = 0;
    client->failed = 0;
    client->backoff_ms = RPC_BACKOFF_MS_MIN;
}

static void receive_bytes(struct rpc_client *client)
{
    char bytes[RPC_READ_BYTES];
    for (int i = 0; i < RPC_READS_MAX && client->state == RPC_UP; i++) {
        ssize_t got = recv(client->fd, bytes, sizeof bytes, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0) {
            rpc_client__drop(client, got < 0
                                         ? strerror(errno)
                                         : "the server closed the connection");
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
}

void rpc_client__handle(struct rpc_client *client, short events)
{
    if (client->state == RPC_DIALING && events != 0)
        finish_dial(client);
    else if (client->state == RPC_UP && (events & (POLLIN | POLLERR | POLLHUP)))
        receive_bytes(client);
}

short rpc_client__wants(struct rpc_client *client)
{
    struct slice piece;
    if (client->state == RPC_DIALING)
        return POLLOUT;
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

static int64_t advance_down(struct rpc_client *client, int64_t now_ms)
{
    if (!somebody_waits(client))
        return INT64_MAX;
    if (now_ms < client->not_before_ms)
        return client->not_before_ms;
    dial(client, now_ms);
    return client->state == RPC_DIALING ? client->dial_deadline_ms : now_ms;
}

static int64_t advance_up(struct rpc_client *client, int64_t now_ms)
{
    start_waiting(client, now_ms);
    int64_t next_ms = leave(client, now_ms);
    if (client->state == RPC_UP) {
        int64_t alive_ms = keep_alive(client, now_ms);
        next_ms = alive_ms < next_ms ? alive_ms : next_ms;
    }
    send_bytes(client);
    return client->state == RPC_UP ? next_ms : now_ms;
}

int64_t rpc_client__advance(struct rpc_client *client, int64_t now_ms)
{
    int64_t late_ms = end_late(client, now_ms);
    int64_t next_ms = now_ms;
    if (client->state == RPC_DIALING && now_ms >= client->dial_deadline_ms)
        rpc_client__drop(client, "dialing timed out");
    else if (client->state == RPC_DIALING)
        next_ms = client->dial_deadline_ms;
    else if (client->state == RPC_UP)
        next_ms = advance_up(client, now_ms);
    else
        next_ms = advance_down(client, now_ms);
    return late_ms < next_ms ? late_ms : next_ms;
}
