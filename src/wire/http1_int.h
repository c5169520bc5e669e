/* A connection, inside. Its files:
 *
 *   http1.c          the host's side: bytes in and out, time, the work loop
 *   http1_request.c  from bytes to a request: head, target, body, refusals
 *   http1_answer.c   the exchange's operations: from an answer to bytes
 *
 * and below them head_parse.c, chunked.c, out.c and spare.c.
 *
 * Phases, and the function that moves:
 *
 *          begin            accept              accept
 *   IDLE ---------> HEAD ----------> BODY      (body is here)
 *    ^               |  refuse        | finish_body
 *    |               v                v
 *    |   LINGER <----+----------- (refuse)    OPEN   with the api
 *    |     |  time, or peer ends              | |
 *    |     v                http1__end        | | http1__drop
 *    +---- | ----<----------------------------+ |
 *          +--> CLOSING <-----------------------+   (all phases: http1_stop,
 *                                                    peer ends, time is up)
 *
 * CLOSING is finished when nothing waits to be sent. LINGER throws away what
 * comes in, so that the peer of a refused body reads the answer before it
 * sees the connection reset.
 *
 * Where the bytes of a request are: a head is read where the host or `in` has
 * it, and copied once, when it is complete, to the exchange's arena, as the
 * host's bytes are gone when http1_input returns and the api may answer
 * later. So is a body that came with it; any other is gathered in `body`.
 * `in` holds what can't be used yet: the first part of a head, or requests
 * behind the one at work.
 *
 * busy: some function of ours is on the stack, which does the work that an
 * operation called from below it makes possible (the next request, the next
 * piece of a producer). So nothing recurses, however many requests one input
 * holds.
 *
 * Time: `since_ms` is when the phase began. The operations have no clock, so
 * what they begin has the time last heard of and is marked stale; the first
 * http1_timeout then sets it anew and nobody is cut off early.
 */
#ifndef ETCHED_WIRE_HTTP1_INT_H
#define ETCHED_WIRE_HTTP1_INT_H

#include "wire/chunked_int.h"
#include "wire/head_parse_int.h"
#include "wire/http1.h"
#include "wire/out_int.h"

enum phase {
    PHASE_IDLE,
    PHASE_HEAD,
    PHASE_BODY,
    PHASE_OPEN,
    PHASE_LINGER,
    PHASE_CLOSING,
};

enum {
    /* What the peer may send ahead while its request is answered. */
    HTTP1_AHEAD_BYTES_MAX = 64 * 1024,
    /* A refused body is thrown away for so long. */
    HTTP1_LINGER_MS = 500,
    /* A peer that has ended its sending gets an answer of so long. */
    HTTP1_HALF_CLOSED_MS = 10 * 1000,
};

struct moment {
    int64_t ms;
    bool stale; /* no earlier than `ms`, but maybe later */
};

struct http1 {
    struct http_exchange exchange; /* open in PHASE_OPEN */
    struct http1_config config;

    enum phase phase;
    bool busy;
    bool stopping;
    bool input_ended;
    bool out_waits;  /* something waits to be sent, since out_since */
    bool over_high;  /* and was more than LIMIT_HTTP_OUT_HIGH_BYTES */
    bool now_is_old; /* what we do now was begun without a clock */
    /* Of the request: */
    bool is_1_0;
    bool is_chunked;
    bool is_head;    /* so no answer has a body */
    bool keep_alive; /* as asked; false once something speaks against it */
    /* Of its answer: */
    bool begun;
    bool out_chunked;
    bool out_no_body; /* what is sent is counted as sent and left out */
    bool is_gone;     /* on_gone was called for a peer that went away */

    int64_t now_ms;
    struct moment since;     /* the phase */
    struct moment out_since; /* the peer took something, or it began to wait */

    struct head_parse parse;
    struct buf in; /* in_at: the first byte that is not used */
    size_t in_at;
    struct buf body;
    uint64_t body_bytes; /* what Content-Length said */
    struct chunked chunked;

    struct out out;
    http_produce produce;
    void *produce_context;

    struct arena arena;
    char *block; /* the first one of `arena`, while a request is there */

    size_t peer_size;
    char peer[];
};

extern const struct http_exchange_ops http1__ops;

/* ---- http1.c ---- */

/* The phase begins, now. */
void http1__enter(struct http1 *http1, enum phase phase);
/* The connection is over when all that waits is sent. */
void http1__close(struct http1 *http1);
/* After an operation of the api: does what it made possible and tells the
 * host, unless a function that will do so is on the stack. */
void http1__settle(struct http1 *http1);

/* ---- http1_request.c ---- */

/* A message begins, with nothing of it read. */
void http1__begin_request(struct http1 *http1);
/* Reads from *at on; false when there is no more to do with what is here. */
bool http1__read_head(struct http1 *http1, const char **at, const char *end);
bool http1__read_body(struct http1 *http1, const char **at, const char *end);
/* Answers what can't become a request, and ends the connection. */
void http1__refuse(struct http1 *http1, int status, const char *detail);
/* Gives back what the request held. */
void http1__release_request(struct http1 *http1);

/* ---- http1_answer.c ---- */

/* Writes status and headers; `length` < 0: unknown before the end. */
void http1__write_head(struct http1 *http1, int status,
                       const struct http_header *headers, size_t count,
                       int64_t length);
/* The next piece of a producer. */
void http1__pull(struct http1 *http1);
/* The exchange ended: ready for the next request, or closing. */
void http1__end(struct http1 *http1);
/* The peer is gone, or might as well be: on_gone, and the connection is over
 * with what it has not taken. */
void http1__drop(struct http1 *http1);
/* Calls on_gone, once. */
void http1__tell_gone(struct http1 *http1);

#endif
