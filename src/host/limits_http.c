/* The limits at the door: what a client reads that is over one of them. */
#include <sys/socket.h>

#include "base/check.h"
#include "host/limits.h"
#include "proto/v3_error.h"

static const char *const texts[LIMITS_KIND_COUNT] = {
    [LIMITS_CONNECTIONS] = "etched: too many connections from this address",
    [LIMITS_REQUESTS] = "etched: too many requests from this address a second",
    [LIMITS_BYTES] = ("etched: too many bytes of requests from this address "
                      "wait for their answers"),
    [LIMITS_WATCHERS] = "etched: too many watchers on this connection",
};

static const char *why_not(struct limits *limits,
                           const struct http_exchange *exchange, int64_t now_ns,
                           uint64_t *retry_s)
{
    enum limits_kind why = LIMITS_REQUESTS;
    const struct http_request *request = &exchange->request;
    if (limits == NULL || request->is_own ||
        limits_request(limits, request->peer, request->body.size, now_ns, &why,
                       retry_s)) {
        return NULL;
    }
    return texts[why];
}

bool limits_refuse_request(struct limits *limits,
                           struct http_exchange *exchange, int64_t now_ns)
{
    uint64_t retry_s;
    const char *text = why_not(limits, exchange, now_ns, &retry_s);
    if (text == NULL) {
        return false;
    }
    const struct http_header headers[] = {
        {SLICE("Content-Type"), SLICE("application/json")},
        {SLICE("X-Content-Type-Options"), SLICE("nosniff")},
        {SLICE("Retry-After"),
         slice_str(arena_printf(exchange->arena, "%llu",
                                (unsigned long long)retry_s))},
    };
    const char *body = arena_printf(
        exchange->arena, "{\"error\":\"%s\",\"code\":%d,\"message\":\"%s\"}",
        text, GRPC_RESOURCE_EXHAUSTED, text);
    http_respond(exchange, 429, headers, sizeof(headers) / sizeof(headers[0]),
                 slice_str(body));
    return true;
}

bool limits_refuse_call(struct limits *limits, struct http_exchange *exchange,
                        int64_t now_ns)
{
    uint64_t retry_s;
    struct slice type = http_header_get(&exchange->request, "content-type");
    if (type.at == NULL || !slice_has_prefix(type, SLICE("application/grpc"))) {
        return false; /* it comes again, as a whole request */
    }
    const char *text = why_not(limits, exchange, now_ns, &retry_s);
    if (text == NULL) {
        return false;
    }
    const struct http_header headers[] = {
        {SLICE("content-type"), SLICE("application/grpc")},
        {SLICE("grpc-status"),
         slice_str(
             arena_printf(exchange->arena, "%d", GRPC_RESOURCE_EXHAUSTED))},
        {SLICE("grpc-message"), slice_str(text)},
    };
    http2_respond_head(exchange, 200, headers,
                       sizeof(headers) / sizeof(headers[0]));
    return true;
}

/* What the client has sent by now is read: closing with unread bytes resets
 * the connection, and it might not see the answer. */
void limits_refuse_connection(int fd, struct tls *tls)
{
    static const char answer[] =
        "HTTP/1.1 503 Service Unavailable\r\n"
        "Content-Type: application/json\r\n"
        "Content-Length: 60\r\n"
        "Connection: close\r\n\r\n"
        "{\"message\":\"etched: too many connections from this address\"}";
    char unread[4096];
    const struct iovec piece = {.iov_base = (void *)(uintptr_t)answer,
                                .iov_len = sizeof(answer) - 1};
    ssize_t sent = tls != NULL
                       ? tls_send(tls, &piece, 1)
                       : send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL);
    (void)sent;
    if (tls != NULL) {
        tls_goodbye(tls);
    }
    (void)shutdown(fd, SHUT_WR);
    ssize_t got = recv(fd, unread, sizeof(unread), MSG_DONTWAIT);
    (void)got;
}
