/* One HTTP request and its answer (an exchange), whichever version of HTTP
 * brought it. api/ sees only this header; http1.h (and HTTP/2 beside it)
 * implement it; host/ moves the bytes.
 *
 * An exchange is answered in one of three ways:
 *
 *   http_respond            status, headers and the whole body at once
 *   http_begin, http_send.. a body in pieces, pushed as they come (a watch)
 *   http_begin + producer   a body in pieces, pulled as the peer reads (a
 *                           large listing): bounded memory
 *
 * and ends with http_end (http_respond does it). It may be answered at once,
 * from within on_request, or later, from the same thread.
 *
 * Owns: the exchange, its arena and the request's slices belong to the wire
 *       and live until http_end returns or `on_gone` was called. After either
 *       the api must not touch it.
 * Threads: all calls come from, and must be made on, the connection's thread.
 */
#ifndef ETCHED_WIRE_HTTP_H
#define ETCHED_WIRE_HTTP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/mem.h"

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_PUT,
    HTTP_POST,
    HTTP_DELETE,
    HTTP_OPTIONS,
    HTTP_PATCH,
    HTTP_OTHER,
};

struct http_header {
    struct slice name; /* as it came; compare without case */
    struct slice value;
};

struct http_request {
    enum http_method method;
    struct slice method_text;
    struct slice path;  /* as it came, still percent-encoded, without query */
    struct slice query; /* after the '?', "" if none */
    struct http_header *headers;
    size_t header_count;
    struct slice body; /* whole; within the size limit */
    struct slice peer; /* "127.0.0.1:4711" */
    /* The common name of the client's certificate, where TLS has verified one;
     * "": none. */
    struct slice certificate;
    bool is_own; /* the connection is this process's own, by no port */
    bool is_tls;
};

struct http_exchange;

/* Appends the next piece of the body to `out` (about LIMIT_HTTP_OUT_LOW_BYTES)
 * and says whether there is more. Called when the peer has read enough of
 * what was written. */
enum http_more { HTTP_MORE, HTTP_LAST };
typedef enum http_more (*http_produce)(struct http_exchange *exchange,
                                       void *context, struct buf *out);

struct http_exchange_ops {
    void (*respond)(struct http_exchange *exchange, int status,
                    const struct http_header *headers, size_t count,
                    struct slice body);
    void (*begin)(struct http_exchange *exchange, int status,
                  const struct http_header *headers, size_t count);
    void (*send)(struct http_exchange *exchange, struct slice piece);
    /* The same for bytes that many connections share: a reference is taken,
     * nothing is copied. */
    void (*send_shared)(struct http_exchange *exchange, struct refbuf *piece);
    void (*produce)(struct http_exchange *exchange, http_produce produce,
                    void *context);
    void (*end)(struct http_exchange *exchange);
    /* Ends the body without its proper end (the peer sees a broken answer):
     * for an error found after `begin`. */
    void (*fail)(struct http_exchange *exchange);
    /* Bytes given to send that the peer has not taken yet. */
    size_t (*unsent)(const struct http_exchange *exchange);
};

struct http_exchange {
    struct http_request request;
    struct arena *arena; /* one a request; gone with the exchange */
    const struct http_exchange_ops *ops;
    /* The api's: what it keeps with an exchange that it answers later. */
    void *context;
    /* Called once if the peer goes away (or the server stops) before the
     * answer ended; `context` is the api's. NULL: nobody minds. */
    void (*on_gone)(struct http_exchange *exchange);
    /* Called when `unsent` has fallen below LIMIT_HTTP_OUT_LOW_BYTES after it
     * was above LIMIT_HTTP_OUT_HIGH_BYTES. NULL: nobody minds. */
    void (*on_drained)(struct http_exchange *exchange);
};

/* What a connection calls when it has a whole request. */
struct http_server {
    void (*on_request)(struct http_server *server,
                       struct http_exchange *exchange);
};

/* Headers are written as given; Content-Length or chunking, Connection and
 * Date are the wire's. HEAD: the body is counted and left out. */
static inline void http_respond(struct http_exchange *exchange, int status,
                                const struct http_header *headers, size_t count,
                                struct slice body)
{
    exchange->ops->respond(exchange, status, headers, count, body);
}
static inline void http_begin(struct http_exchange *exchange, int status,
                              const struct http_header *headers, size_t count)
{
    exchange->ops->begin(exchange, status, headers, count);
}
static inline void http_send(struct http_exchange *exchange, struct slice piece)
{
    exchange->ops->send(exchange, piece);
}
static inline void http_send_shared(struct http_exchange *exchange,
                                    struct refbuf *piece)
{
    exchange->ops->send_shared(exchange, piece);
}
/* The exchange ends by itself after the piece that is HTTP_LAST. */
static inline void http_produce_body(struct http_exchange *exchange,
                                     http_produce produce, void *context)
{
    exchange->ops->produce(exchange, produce, context);
}
static inline void http_end(struct http_exchange *exchange)
{
    exchange->ops->end(exchange);
}
/* In brackets, as cmocka has a macro fail(). */
static inline void http_fail(struct http_exchange *exchange)
{
    (exchange->ops->fail)(exchange);
}
static inline size_t http_unsent(const struct http_exchange *exchange)
{
    return exchange->ops->unsent(exchange);
}

/* The first header of that name (case ignored), or a slice with at == NULL. */
struct slice http_header_get(const struct http_request *request,
                             const char *name);

/* A header of proxies of ours (host/proxy.h): who has handed the request on. */
#define HTTP_PASSED "X-Etched-Proxies"
/* The name in a connection's certificate, if it is whose request this is: a
 * proxy shows its own, for whoever is behind it (CVE-2018-16886). Needs: the
 * request's headers. */
struct slice http_certificate(const struct http_request *request,
                              struct slice of_connection);
/* "Not Found" for 404; "Unknown" for what has no name. */
const char *http_status_text(int status);

#endif
