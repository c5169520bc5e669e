/* A connection with a make-believe host and a make-believe api, for tests.
 *
 * The api writes down what it gets and answers by the path:
 *
 *   /echo...   200 at once, the body is what it wrote down
 *   /hold...   keeps the exchange in `held` for the test to answer
 *   /minded... the same, and minds whether the peer goes away
 *   /watch...  the same as /minded, and begins a 200 first
 *   /make/N/S  a producer of N pieces of S bytes
 *   /empty     204
 *
 * The host has one clock, `now_ms`, and gathers what is sent in `sent`.
 */
#ifndef ETCHED_TESTS_WIRE_HARNESS_H
#define ETCHED_TESTS_WIRE_HARNESS_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "base/mem.h"
#include "wire/http1.h"

struct peer {
    struct http_server server; /* first: the api finds the peer by it */
    struct http1_config config;
    struct http1 *http1;
    struct slice date;
    int64_t now_ms;
    struct buf sent;
    struct buf seen; /* one line a request */
    struct http_exchange *held;
    int requests;
    int gone;
    int drained;
    int outputs; /* calls of on_output */
    size_t pieces_left, piece_bytes;
    int produced; /* pieces asked for */
};

/* With limits that are small enough for tests to reach. */
void peer_init(struct peer *peer);
/* After a change of peer->config. */
void peer_connect(struct peer *peer);
void peer_deinit(struct peer *peer);

void peer_input(struct peer *peer, struct slice bytes);
void peer_says(struct peer *peer, const char *text);
/* Takes what waits, all of it or up to `max` bytes; returns how much. */
size_t peer_take(struct peer *peer, size_t max);
size_t peer_take_all(struct peer *peer);
/* Takes all, and compares what was sent since the last call. */
void peer_expect(struct peer *peer, const char *text);
void peer_expect_seen(struct peer *peer, const char *text);
void peer_expect_status(struct peer *peer, int status);
bool peer_is_finished(const struct peer *peer);

#endif
