/* HTTP/2 (RFC 9113), server side: bytes in, bytes out, beside http1.h and with
 * the same functions. No socket, no clock: the host gives bytes and the time,
 * takes bytes. Framing and header compression are nghttp2's.
 *
 *   host                       http2                         api
 *   http2_input(bytes, now) -> frames -> server->on_request -> http_respond...
 *   http2_output -> writev  <- frames waiting to be sent
 *   http2_sent(n)           -> drops them, asks producers for more
 *
 * A connection is HTTP/2 when its first bytes are the client's preface; the
 * host asks http2_is_preface and gives all bytes, the preface too, to
 * http2_input. (Behind TLS the same is known from ALPN, "h2".) An upgrade
 * from HTTP/1.1 isn't offered: RFC 9113 has given it up.
 *
 * Each stream is one exchange, and many are open at once. What one of them
 * may cost is bounded as in http1.h; what all of them may cost together, here:
 *
 *   a peer that doesn't read   its producers aren't asked and its requests not
 *                              begun, while its streams and the connection
 *                              hold enough
 *   bodies                     gathered with window updates as they are
 *                              taken; beyond HTTP2_GATHERED_BYTES_MAX only
 *                              the oldest one's window is opened
 *   frames that ask for work   counted against what they earn (http2_calm.c):
 *   and lead to nothing        PING, SETTINGS, RST_STREAM (rapid reset), empty
 *                              DATA and CONTINUATION; too many are answered
 *                              GOAWAY, ENHANCE_YOUR_CALM
 *
 * A request that is malformed is a stream error (RST_STREAM), as the RFC has
 * it; one that is only refused gets an answer: 400, 408, 413, 417, 431, 501,
 * 503.
 *
 * Threads: one at a time.
 */
#ifndef ETCHED_WIRE_HTTP2_H
#define ETCHED_WIRE_HTTP2_H

#include "wire/http.h"

enum {
    /* Streams that a peer may have open, for want of another number. gRPC
     * clients put watches, keepalives and unary calls on one connection. */
    HTTP2_STREAMS_MAX_DEFAULT = 1000,
    /* What may be on its way to us: for a stream the RFC's default, for the
     * connection that of sixteen streams. */
    HTTP2_STREAM_WINDOW_BYTES = 64 * 1024 - 1,
    HTTP2_WINDOW_BYTES = 1024 * 1024,
    /* Bodies of one connection that aren't complete. */
    HTTP2_GATHERED_BYTES_MAX = 4 * 1024 * 1024,
    /* What the streams of one connection hold for a peer that doesn't take
     * it; above it no producer is asked and no request begun. */
    HTTP2_QUEUED_BYTES_MAX = 4 * 1024 * 1024,
    /* Once all is said, what still comes is thrown away for so long, so that
     * the peer reads our last frames before it sees the connection's end. */
    HTTP2_LINGER_MS = 500,
};

struct http2;

/* ---- streaming --------------------------------------------------------- */

/* For who can't wait for a whole request (gRPC): a stream is offered when its
 * head is complete, and who takes it gets the body in pieces.
 *
 * A taken stream is an exchange as any other: http_respond, http_begin,
 * http_send, http_send_shared, http_produce_body, http_unsent, on_drained and
 * http_end do what they always do, at any time, before, while and after the
 * body comes. Beside them there are the http2_ functions below, for taken
 * streams alone. It has neither a limit to its body nor to its time; a
 * `date` isn't added.
 *
 * on_gone tells of the cancellation: the peer has reset the stream, or the
 * connection is gone, or the server stops (at a stop a stream that has begun
 * its answer, or waits for more of its body, is told, and may end it properly
 * from within). Nothing else is called for the exchange afterwards, nor after
 * http_end has returned.
 *
 * on_head, on_data and on_end come from within http2_input. Each may call
 * any function of an exchange. */
struct http2_streaming {
    /* True takes it: `context`, on_gone and on_drained of the exchange are
     * then the taker's. It may even be ended already. False leaves it to
     * http_server.on_request. request.body is empty. */
    bool (*on_head)(struct http2_streaming *streaming,
                    struct http_exchange *exchange);
    /* The next piece of the body, which is gone when this returns. It counts
     * against the peer's window until http2_consume. */
    void (*on_data)(struct http2_streaming *streaming,
                    struct http_exchange *exchange, struct slice piece);
    /* The body is complete. Not called for one that breaks off. */
    void (*on_end)(struct http2_streaming *streaming,
                   struct http_exchange *exchange);
};

/* `size` bytes of what on_data gave are done with: the peer may send as many
 * again. Limits: HTTP2_STREAM_WINDOW_BYTES may be owed; not to call it is how
 * a peer that is too fast is held back. */
void http2_consume(struct http_exchange *exchange, size_t size);
/* What is sent behind the body when it ends, by http_end or a producer's
 * HTTP_LAST. Copied; the last call counts. */
void http2_trailers(struct http_exchange *exchange,
                    const struct http_header *trailers, size_t count);
/* An answer that is a head alone: for gRPC's "trailers only". Ends the
 * exchange. */
void http2_respond_head(struct http_exchange *exchange, int status,
                        const struct http_header *headers, size_t count);
/* Ends the exchange with RST_STREAM and this code (RFC 9113, section 7), in
 * place of what is still unsent. */
void http2_reset(struct http_exchange *exchange, uint32_t code);

/* ---- a connection ------------------------------------------------------ */

struct http2_config {
    struct http_server *server;
    struct http2_streaming *streaming; /* NULL: every request is whole */
    uint32_t streams_max;
    size_t head_bytes_max; /* as RFC 9113 counts: 32 more for each header */
    size_t header_count_max;
    size_t body_bytes_max;
    /* A limit of 0 ms is none. */
    int64_t idle_ms;  /* nothing comes and no stream is open */
    int64_t head_ms;  /* for the preface, and for one head */
    int64_t body_ms;  /* from the end of a head to the end of its body */
    int64_t stall_ms; /* the peer takes none of what waits, for a stream (one
                         that isn't taken) or the connection */
    /* A PING that comes sooner than this after the one before, or within two
     * hours while no stream is open, is a strike, unless we have sent
     * something in between; the third one ends the connection with the words
     * that gRPC clients know. 0: only floods are minded. */
    int64_t ping_min_ms;
    /* Nothing heard for so long: a PING of ours (0: never), and the end when
     * nothing comes for keepalive_timeout_ms after it. */
    int64_t keepalive_ms;
    int64_t keepalive_timeout_ms;
    /* The value of the date header, as the host keeps it up to date; may
     * point to an empty slice. */
    /* As http_request's; the slice outlives the connection. */
    struct slice certificate;
    bool is_own;
    bool is_tls;
    const struct slice *date;
    /* What operations on exchanges begin, from outside, is made into frames
     * only when http2_output is called: all of it together. on_output is
     * called for it once. */
    bool is_lazy;
    /* Called when there are bytes to send, or the connection has become
     * finished, outside of http2_input and http2_sent. The host then takes
     * them; it may free the connection from in here. */
    void (*on_output)(void *context);
    void *context;
};

enum http2_preface {
    HTTP2_PREFACE_NO,
    HTTP2_PREFACE_MORE, /* it may be: too few bytes to tell */
    HTTP2_PREFACE_YES,
};

/* Do these first bytes of a connection begin with the client's preface? Two of
 * them are enough to know any common request of HTTP/1.1 from it. */
enum http2_preface http2_is_preface(struct slice bytes);

/* Copies `config`. `peer` is copied too. Our settings wait to be sent. */
struct http2 *http2_new(const struct http2_config *config, struct slice peer,
                        int64_t now_ms);
/* Unfinished exchanges get their on_gone. */
void http2_free(struct http2 *http2);

/* Takes all of `bytes`. Errors become answers, so there is nothing to return:
 * http2_is_finished says when the connection is over. */
void http2_input(struct http2 *http2, struct slice bytes, int64_t now_ms);
/* False while the peer doesn't read what its frames have us answer. */
bool http2_wants_input(const struct http2 *http2);
/* The peer has closed its half. It can neither acknowledge nor open windows
 * any more: all exchanges are told by on_gone and the connection is over. */
void http2_input_end(struct http2 *http2);

/* Fills up to `max` slices with what waits to be sent, in order; returns how
 * many. They stay valid until the next call of any other function. */
size_t http2_output(struct http2 *http2, struct slice *out, size_t max);
/* `size` bytes of it are gone to the peer. Afterwards more may wait than
 * before, which the host sees from http2_output: on_output is not called. */
void http2_sent(struct http2 *http2, size_t size, int64_t now_ms);

/* Bytes of bodies that came for streams whose answers haven't begun. */
size_t http2_held(const struct http2 *http2);
/* All is said and sent: the host closes the socket. */
bool http2_is_finished(const struct http2 *http2);
/* The moment (same clock as now_ms) when the host must call http2_timeout;
 * INT64_MAX for none. */
int64_t http2_deadline_ms(const struct http2 *http2);
/* Time is up: idle or stalled connections end, an unfinished request is
 * answered 408, a stalled stream reset, a silent peer asked. */
void http2_timeout(struct http2 *http2, int64_t now_ms);
/* The server stops: GOAWAY, so no new request; those that aren't complete are
 * refused (a client may repeat them elsewhere), those at work may end. A watch
 * (an answer that has begun and has no producer) is told by on_gone, from
 * within which its owner may send a last piece and end it; else it is ended
 * here: properly, or by a reset if it is a taken stream. */
void http2_stop(struct http2 *http2);

#endif
