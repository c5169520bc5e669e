/* A connection, inside. Its files:
 *
 *   http2.c          the host's side: bytes in and out, stop, the work loop
 *   http2_time.c     deadlines
 *   http2_session.c  nghttp2's: options, callbacks, what comes in
 *   http2_head.c     is it a request?
 *   http2_request.c  a stream: its head, its body, refusals, its end
 *   http2_answer.c   the exchange's operations
 *   http2_out.c      from what waits to frames
 *   http2_calm.c     floods, pings
 *
 * States of a stream, and the function that moves:
 *
 *        on_frame_recv      end of body         hand_over
 *   HEAD ------------> BODY ------------> READY -----------> OPEN  with the api
 *    |  |  refused      |                   |                 |  ^
 *    |  +------------------------> ENDED <--+------------- end |  | on_head
 *    |                               |                         v  | (taken)
 *    +---------- on_stream_close, drop: stream__release <------+--+
 *
 * An ENDED stream has nothing to do with the api any more; it sends what it
 * has and is released when nghttp2 closes it. One that nghttp2 closes while
 * it is OPEN goes to `gone`, where the work loop tells its owner. Without an
 * on_gone there is nobody to tell: it waits, deaf, for its owner to end it.
 *
 * Who calls whom: nghttp2's callbacks change state and call only on_head,
 * on_data, on_end and producers. All else of the api (on_request, on_gone,
 * on_drained) is called from the work loop, with no function of nghttp2 on the
 * stack. busy: some function of ours is on the stack, which does the work that
 * an operation called from below it makes possible, so that nothing recurses.
 * What an operation begins with nobody on the stack is only sent: the api is
 * never told of one exchange from within an operation on another.
 *
 * Where the bytes of an answer are: what was pushed or produced waits in the
 * stream's `out`; as windows allow, and while the connection's `out` is below
 * LIMIT_HTTP_OUT_HIGH_BYTES, it moves there, cut to frames. Shared pieces move
 * by reference.
 *
 * Phases of the connection:
 *
 *   LIVE ------------> LINGER --------> CLOSED
 *     |  finish_session   time, or peer ends  ^
 *     +---------------------------------------+  http2__drop
 *
 * Only a LIVE one has a session. CLOSED is finished when nothing waits.
 */
#ifndef ETCHED_WIRE_HTTP2_INT_H
#define ETCHED_WIRE_HTTP2_INT_H

#include <nghttp2/nghttp2.h>

#include "base/list.h"
#include "wire/http2.h"
#include "wire/out_int.h"

enum {
    FRAME_HEAD_BYTES = 9,
    /* Frames of one head behind its first. */
    CONTINUATIONS_MAX = 8,
};

enum http2_phase { HTTP2_LIVE, HTTP2_LINGER, HTTP2_CLOSED };

enum stream_state {
    STREAM_HEAD,
    STREAM_BODY,
    STREAM_READY,
    STREAM_OPEN,
    STREAM_ENDED,
};

/* The operations have no clock: what they begin has the time last heard of
 * and is stale; the first http2_timeout sets it anew. */
struct instant {
    int64_t ms;
    bool stale;
};

struct stream {
    struct http_exchange exchange; /* first */
    struct http2 *http2;
    struct arena arena; /* its first room is what the block has left */
    int32_t id;
    enum stream_state state;

    bool closed;       /* nghttp2 doesn't know it any more */
    bool taken;        /* by config.streaming */
    bool input_ended;  /* the request is complete */
    bool begun;        /* the answer */
    bool no_body;      /* what is sent is left out: HEAD, 204, 304 */
    bool is_gone;      /* for the peer: its owner is told, or was not there */
    bool telling;      /* its on_gone is on the stack */
    bool is_reset;     /* by us: nghttp2 will say so before anything else */
    bool pulling;      /* its producer is on the stack */
    bool failed;       /* by its producer: the read callback says so */
    bool over_high;    /* on_drained is owed */
    bool waits_room;   /* its producer isn't asked: the connection is full */
    bool head_too_big; /* by size or count: the rest isn't kept */
    bool expects;      /* a "100 Continue" */
    bool bad_expect;

    struct list link;  /* of all */
    struct list place; /* in gathering (BODY), ready (READY), gone */
    struct list sends; /* in sending: something waits for the peer */
    struct list waits; /* in waiting (over_high or waits_room), drained */

    /* The head. */
    struct http_header *headers;
    uint32_t header_count, header_capacity;
    size_t head_bytes;
    struct slice target, authority;
    bool has_host;
    uint64_t length;     /* content-length, UINT64_MAX: none */
    uint64_t body_bytes; /* that have come */
    uint8_t seen;        /* http2_head.c's */

    struct buf body;
    size_t held;          /* of http2's: came, and no answer has begun */
    size_t withheld;      /* taken, with no window update yet */
    struct instant since; /* of the head's end */

    struct out out;
    struct instant sent; /* the peer took something, or it began to wait */
    http_produce produce;
    void *produce_context;
    nghttp2_nv *trailers; /* in the arena */
    size_t trailer_count;
};

struct http2 {
    struct http2_config config;
    nghttp2_session *session;
    enum http2_phase phase;
    bool busy;
    bool stopping;
    bool input_ended;
    bool unsettled;    /* is_lazy: work waits for http2_output */
    bool out_waits;    /* something waits to be sent, since out_since */
    bool withholds;    /* some stream in gathering waits for its window */
    bool now_is_old;   /* what we do now was begun without a clock */
    bool started;      /* the preface and the first SETTINGS were here */
    bool in_head;      /* a head isn't complete, since head_at */
    bool asked;        /* our PING isn't answered, since asked_at */
    bool spoke;        /* HEADERS or DATA were sent since the last PING */
    uint32_t failure;  /* the code to end with, if `fails` */
    bool fails;        /* at the next occasion */
    const char *words; /* for the peer's log, or NULL */

    int64_t now_ms;
    struct instant since; /* last heard, or the linger began */
    struct instant out_since;
    struct instant head_at; /* a head has begun, or the connection */
    struct instant asked_at;

    int64_t calm;      /* what it may cost yet */
    int64_t calm_ms;   /* reckoned up to then */
    int64_t pinged_ms; /* -1: never */
    int strikes;
    uint32_t continuations; /* of the last head */

    struct list streams, gathering, ready, gone, sending, waiting, drained;
    size_t stream_count;
    size_t gathered_bytes; /* bodies of streams in BODY */
    size_t queued_bytes;   /* `out` of all streams */
    size_t held_bytes;     /* `held` of all streams */
    struct out out;

    size_t peer_size;
    char peer[];
};

extern const struct http_exchange_ops http2__ops;

/* ---- http2.c ---- */

static inline struct instant http2__now(const struct http2 *http2)
{
    return (struct instant){http2->now_ms, http2->now_is_old};
}
/* After an operation of the api: sends what it made possible and tells the
 * host, unless a function that will do so is on the stack. */
void http2__settle(struct http2 *http2);
/* The connection ends with GOAWAY and this code at the next occasion: not at
 * once, as nghttp2 may be on the stack. The first one counts. */
void http2__fail(struct http2 *http2, uint32_t code, const char *words);
/* The same for what a function of nghttp2 returned, if it is an error. */
void http2__note(struct http2 *http2, int result);

/* The connection is over with what the peer hasn't taken. */
void http2__drop(struct http2 *http2);

/* ---- http2_session.c ---- */

/* With our settings to be sent. */
void http2__open_session(struct http2 *http2);

/* ---- http2_head.c ---- */

/* False: the request is malformed. Of each header; of each trailer; of a head
 * that is complete; of `size` more bytes of its body; of its end. */
bool head__check(struct stream *stream, struct slice name, struct slice value);
bool head__check_trailer(struct slice name, struct slice value);
bool head__is_request(const struct stream *stream);
bool head__count_body(struct stream *stream, size_t size);
bool head__is_whole(const struct stream *stream);

/* ---- http2_request.c ---- */

/* NULL: nghttp2 could not be told of it. */
struct stream *stream__new(struct http2 *http2, int32_t id);
/* Takes it out of all lists and gives back all it held. */
void stream__release(struct stream *stream);
/* Its answer begins: its body isn't held any more. */
void stream__let_go(struct stream *stream);
/* The api has done with it, or will never see it: ENDED. */
void stream__end_request(struct stream *stream);
/* One header; false for one that makes the request malformed. */
bool stream__add_header(struct stream *stream, struct slice name,
                        struct slice value);
/* The head is complete; `is_last`: and has no body. */
void stream__take_head(struct stream *stream, bool is_last);
void stream__take_body(struct stream *stream, const uint8_t *bytes,
                       size_t size);
void stream__take_end(struct stream *stream);
/* It is no request: reset, whoever has it. */
void stream__refuse_malformed(struct stream *stream);
/* Opens the window of bodies that wait, as far as there is room. */
void http2__open_windows(struct http2 *http2);
/* Answers what can't become a request. */
void stream__refuse(struct stream *stream, int status, const char *detail);
/* nghttp2 knows it no more. */
void stream__close(struct stream *stream);
/* Calls on_gone, once; the exchange is the api's no more when this returns,
 * unless there was no on_gone. */
void stream__tell_gone(struct stream *stream);

/* ---- http2_answer.c ---- */

/* Status, headers and the whole body; ends the stream. */
void stream__respond(struct stream *stream, int status,
                     const struct http_header *headers, size_t count,
                     struct slice body);
/* Has it reset, whoever has it. What nghttp2 has taken of it may be on its way
 * to a frame, so all stays where it is until it is closed. */
void stream__reset(struct stream *stream, uint32_t code);
/* ---- http2_out.c ---- */

/* Bytes that wait; and after a change of what waits: `more` bytes, or whether
 * the peer has taken some. */
void stream__queue_bytes(struct stream *stream, struct slice piece);
void stream__note_queued(struct stream *stream, size_t more);
void stream__note_wait(struct stream *stream, bool has_moved);
/* As http_unsent says. */
size_t stream__unsent(const struct stream *stream);
/* There is something to send again. */
void stream__resume(struct stream *stream);
/* Forgets what waits to be sent. */
void stream__clear_out(struct stream *stream);
/* nghttp2's callbacks that take a stream's bytes. */
ssize_t stream__read(nghttp2_session *session, int32_t id, uint8_t *room,
                     size_t size, uint32_t *flags, nghttp2_data_source *source,
                     void *user_data);
int stream__send_frame(nghttp2_session *session, nghttp2_frame *frame,
                       const uint8_t *head, size_t size,
                       nghttp2_data_source *source, void *user_data);
/* Calls on_drained and asks producers again, where there is room again. */
void http2__tell_drained(struct http2 *http2);

/* ---- http2_time.c ---- */

/* What is late ends. */
void http2__time_is_up(struct http2 *http2);

/* ---- http2_calm.c ---- */

void calm__start(struct http2 *http2);
/* A frame begins to come. */
void calm__heard(struct http2 *http2, const nghttp2_frame_hd *frame);
/* A frame of DATA was padding alone, which its head doesn't tell. */
void calm__heard_padding(struct http2 *http2);
/* A frame was sent. */
void calm__said(struct http2 *http2, const nghttp2_frame *frame);

#endif
