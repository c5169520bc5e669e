/* An HTTP/2 connection with a make-believe host, api and taker of streams, and
 * nghttp2 as its client, for tests.
 *
 * The api writes down what it gets and answers by the path:
 *
 *   /echo...   200 at once, the body is what it wrote down
 *   /size...   200 at once, with the size of the request's body
 *   /big/N     200 at once, with a body of N bytes
 *   /hold...   keeps the exchange in `held` for the test to answer
 *   /minded... the same, and minds whether the peer goes away
 *   /watch...  the same as /minded, and begins a 200 first
 *   /make/N/S  a producer of N pieces of S bytes; its last one fails if the
 *              path ends with "/fail"
 *   /empty     204
 *
 * and what begins with /take is taken as a stream by the taker, which writes
 * down what it is told and keeps it in `taken` for the test; /take-not isn't.
 *
 * The host has one clock, `now_ms`. The client keeps what it gets for each of
 * its streams; it opens windows by itself unless `reads` is false.
 */
#ifndef ETCHED_TESTS_WIRE_HTTP2_HARNESS_H
#define ETCHED_TESTS_WIRE_HTTP2_HARNESS_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <nghttp2/nghttp2.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "base/mem.h"
#include "wire/http2.h"

enum { H2_STREAMS_MAX = 4096, H2_HELD_MAX = 128 };

/* What the client has of one of its streams. */
struct h2_answer {
    int status;
    struct buf headers;  /* "name=value\n" each, without those of trailers */
    struct buf trailers; /* the same */
    struct buf body;
    int heads; /* HEADERS frames */
    bool ended;
    bool closed;
    uint32_t code; /* with which it was closed */
};

struct h2_peer {
    struct http_server server; /* first: the api finds the peer by it */
    struct http2_streaming streaming;
    struct http2_config config;
    struct http2 *http2;
    struct slice date;
    int64_t now_ms;

    /* The api's. */
    struct buf seen; /* one line a request or event of the taker */
    struct http_exchange *held[H2_HELD_MAX];
    int held_count;
    struct http_exchange *taken;
    bool consumes; /* the taker does so by itself */
    bool ends_when_gone;
    int requests, gone, drained, outputs;
    int produced; /* pieces asked for */

    /* The client's. */
    nghttp2_session *client;
    bool reads;
    bool has_large_windows;    /* from the next h2_connect on */
    struct h2_answer *answers; /* by stream id */
    struct buf upload;
    size_t upload_at;
    bool upload_ends;
    bool went_away;
    uint32_t away_code;
    int32_t away_last;
    struct buf away_words;
    int pongs, resets, window_updates, pings;
    uint32_t settings[16];
    size_t data_frames;
    struct buf raw; /* what the server sent, when there is no client */
};

/* With limits that are small enough for tests to reach. */
void h2_init(struct h2_peer *peer);
/* After a change of peer->config: the preface and settings are exchanged. */
void h2_connect(struct h2_peer *peer);
/* Without a client: the test says each byte, after the preface and empty
 * settings, and reads `raw`. */
void h2_connect_raw(struct h2_peer *peer);
void h2_deinit(struct h2_peer *peer);

/* A request of the client's, which is sent with the next h2_run; body NULL:
 * none. `more` are further headers, name and value in turn, then NULL. */
int32_t h2_ask(struct h2_peer *peer, const char *method, const char *path,
               const char *body, ...) __attribute__((sentinel));
/* A GET that is sent at once. */
int32_t h2_get(struct h2_peer *peer, const char *path);
/* A POST whose body comes by h2_upload. */
int32_t h2_open(struct h2_peer *peer, const char *path);
void h2_upload(struct h2_peer *peer, int32_t id, const char *piece, bool ends);
void h2_cancel(struct h2_peer *peer, int32_t id);
void h2_ping(struct h2_peer *peer);
/* The client opens its windows by as much as it got. */
void h2_consume_all(struct h2_peer *peer, int32_t id, size_t size);

/* Moves bytes in both directions until none are left. */
void h2_run(struct h2_peer *peer);
/* Only from the client to the server, nothing back; and the other way round,
 * `max` bytes at most. */
void h2_run_in(struct h2_peer *peer);
size_t h2_run_out(struct h2_peer *peer, size_t max);
void h2_input(struct h2_peer *peer, struct slice bytes);

struct h2_answer *h2_answer_of(struct h2_peer *peer, int32_t id);
void h2_expect(struct h2_peer *peer, int32_t id, int status, const char *body);
void h2_expect_reset(struct h2_peer *peer, int32_t id, uint32_t code);
void h2_expect_away(struct h2_peer *peer, uint32_t code, const char *words);
void h2_expect_seen(struct h2_peer *peer, const char *text);
/* The value of a header or trailer, in `out`; "" if there is none. */
const char *h2_value(const struct buf *headers, const char *name, char *out,
                     size_t size);
struct http_exchange *h2_held(struct h2_peer *peer);
/* A producer, as for /make. */
void h2_make(struct h2_peer *peer, struct http_exchange *exchange,
             size_t pieces, size_t bytes, bool fails);
bool h2_is_finished(const struct h2_peer *peer);
/* The host's timer: it sleeps until the deadline and calls. */
void h2_pass(struct h2_peer *peer, int64_t ms);

/* ---- by hand ---- */

/* Appends a frame. */
void h2_frame(struct buf *out, uint8_t type, uint8_t flags, uint32_t id,
              struct slice payload);
/* The payload of HEADERS: literals, never indexed. Name and value in turn. */
void h2_head(struct buf *out, const char *const *pairs, size_t count);
/* A GET of `path`, complete in one frame. */
void h2_frame_get(struct buf *out, uint32_t id, const char *path);
void h2_say(struct h2_peer *peer, struct buf *frames); /* and empties it */
/* The next frame of `raw` of this type at or after *at, which moves behind it;
 * false if there is none. */
bool h2_find(const struct h2_peer *peer, uint8_t type, size_t *at,
             struct slice *payload, uint32_t *id);
/* The code of the RST_STREAM or GOAWAY in `raw`, -1 if there is none. */
int64_t h2_raw_reset(const struct h2_peer *peer, uint32_t id);
int64_t h2_raw_away(const struct h2_peer *peer);
/* The whole of GOAWAY's words, in `out`. */
const char *h2_raw_words(const struct h2_peer *peer, char *out, size_t size);

#endif
