/* HTTP/1.0 and 1.1 (RFC 9110, 9112), server side: bytes in, bytes out. No
 * socket, no clock: the host gives bytes and the time, takes bytes.
 *
 *   host                       http1                         api
 *   http1_input(bytes, now) -> parse -> server->on_request -> http_respond...
 *   http1_output -> writev  <- bytes waiting to be sent
 *   http1_sent(n)           -> drops them, asks a producer for more
 *
 * One exchange at a time: bytes of a pipelined next request wait, bounded,
 * until the answer before it has ended; many small pipelined answers leave in
 * one write. Covered: keep-alive, pipelining, chunked both ways, Expect:
 * 100-continue, HEAD, bodies refused by size (413) before they are read,
 * heads by size (431), and by form (400, 501 unknown transfer coding, 505).
 * An error that leaves the framing in doubt (a bad request, both
 * Content-Length and Transfer-Encoding) is answered and the connection is
 * closed; all others keep it usable.
 *
 * Threads: one at a time.
 */
#ifndef ETCHED_WIRE_HTTP1_H
#define ETCHED_WIRE_HTTP1_H

#include "wire/http.h"

struct http1;

struct http1_config {
    struct http_server *server;
    size_t head_bytes_max;
    size_t header_count_max;
    size_t body_bytes_max;
    /* A limit of 0 ms is none. */
    int64_t idle_ms;  /* between requests */
    int64_t head_ms;  /* from the first byte of a head to its end */
    int64_t body_ms;  /* from the end of the head to the end of the body */
    int64_t stall_ms; /* the peer takes none of what waits to be sent */
    /* The value of the Date header, as the host keeps it up to date; may
     * point to an empty slice. */
    /* As http_request's; the slice outlives the connection. */
    struct slice certificate;
    bool is_own;
    bool is_tls;
    const struct slice *date;
    /* Called when there are bytes to send, or the connection has become
     * finished, outside of http1_input and http1_sent: an answer that came
     * later, a watch's event. The host then takes them; it may free the
     * connection from in here. */
    void (*on_output)(void *context);
    void *context;
};

/* Copies `config`. `peer` is copied too. */
struct http1 *http1_new(const struct http1_config *config, struct slice peer,
                        int64_t now_ms);
/* An unfinished exchange gets its on_gone. */
void http1_free(struct http1 *http1);

/* Takes all of `bytes`. Errors become answers, so there is nothing to return:
 * http1_is_finished says when the connection is over. */
void http1_input(struct http1 *http1, struct slice bytes, int64_t now_ms);
/* False while enough unread input waits: the host stops reading its socket. */
bool http1_wants_input(const struct http1 *http1);
/* The peer will send no more (its half is closed). A watch (an answer that has
 * begun and has no producer) is told by on_gone and the connection is over.
 * An answer that hasn't begun is still delivered: one that has an on_gone
 * within ten seconds, else it is told; one that has none whenever it comes. */
void http1_input_end(struct http1 *http1);

/* Fills up to `max` slices with what waits to be sent, in order; returns how
 * many. They stay valid until the next call of any other function. */
size_t http1_output(struct http1 *http1, struct slice *out, size_t max);
/* `size` bytes of it are gone to the peer. Afterwards more may wait than
 * before (a producer was asked, pipelined requests were read), which the host
 * sees from http1_output: on_output is not called. */
void http1_sent(struct http1 *http1, size_t size, int64_t now_ms);

/* Bytes of the request's body, while its answer hasn't begun. */
size_t http1_held(const struct http1 *http1);
/* All is said and sent: the host closes the socket. */
bool http1_is_finished(const struct http1 *http1);
/* The moment (same clock as now_ms) when the host must call http1_timeout;
 * INT64_MAX for none. A request being worked on has none. */
int64_t http1_deadline_ms(const struct http1 *http1);
/* Time is up: idle or stalled connections end, an unfinished request is
 * answered 408 first. */
void http1_timeout(struct http1 *http1, int64_t now_ms);
/* The server stops: no new request; the one at work may end. A watch is told
 * by on_gone, from within which its owner may send a last piece and end it;
 * else it is ended here, properly. */
void http1_stop(struct http1 *http1);

#endif
