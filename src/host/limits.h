/* What one client may have of the server: an address (of IPv6, its /64, which
 * is what a customer is given). Counters in a bounded table.
 *
 *   connections   at once; counted as they are opened and closed
 *   requests      a second: a bucket that fills at that rate and holds as many
 *                 as come in a second
 *   bytes         of requests that came and aren't answered yet
 *
 * A client stays in the table while it has a connection, and until its bucket
 * is full again, so that coming back gains nothing.
 *
 * Where nothing is limited there is no struct limits, and no cost. Clients
 * without an address (a Unix socket) are not limited.
 *
 * Threads: any.
 */
#ifndef ETCHED_HOST_LIMITS_H
#define ETCHED_HOST_LIMITS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/bytes.h"
#include "host/tls.h"
#include "wire/http2.h"

enum limits_kind {
    LIMITS_CONNECTIONS,
    LIMITS_REQUESTS,
    LIMITS_BYTES,
    LIMITS_WATCHERS, /* of a connection; kept by the rpc */
    LIMITS_KIND_COUNT,
};

struct limits_config {
    uint64_t connections_max; /* all of them: 0: no bound */
    uint64_t requests_per_second;
    uint64_t bytes_max;
    uint64_t seed;
};

enum {
    /* Of clients without a connection; the one that left first is forgotten
     * first. */
    LIMITS_IDLE_CLIENTS_MAX = 16384,
};

struct limits;
struct limits_client;

/* NULL: nothing is limited. */
struct limits *limits_new(const struct limits_config *config);
/* Needs: no client any more. */
void limits_free(struct limits *limits);

/* A connection from there. *out: NULL where it isn't limited. False: it has
 * all that it may have; *out is NULL. */
bool limits_enter(struct limits *limits, const struct sockaddr *address,
                  int64_t now_ns, struct limits_client **out) MUST_USE;
/* NULL: nothing. */
void limits_leave(struct limits *limits, struct limits_client *client,
                  int64_t now_ns);
/* `more` bytes (negative: fewer) of requests are on their way. */
void limits_hold(struct limits_client *client, int64_t more);

/* A request by "address:port", with so many bytes, which may have been counted
 * as held by now. False: it is too much, for this reason; *retry_s: when it is
 * worth another try. */
bool limits_request(struct limits *limits, struct slice peer, size_t bytes,
                    int64_t now_ns, enum limits_kind *why,
                    uint64_t *retry_s) MUST_USE;

/* How often a limit was met. NULL: never. */
uint64_t limits_met(const struct limits *limits, enum limits_kind kind);
size_t limits_clients(struct limits *limits);
/* `watchers_met`: how often that limit was, which is counted elsewhere. */
void limits_metrics(struct limits *limits, uint64_t watchers_met,
                    struct buf *out);

/* ---- limits_http.c: at the door ------------------------------------------ */

/* True: it was answered 429. */
bool limits_refuse_request(struct limits *limits,
                           struct http_exchange *exchange, int64_t now_ns);
/* True: it is a call of gRPC's and was answered RESOURCE_EXHAUSTED. */
bool limits_refuse_call(struct limits *limits, struct http_exchange *exchange,
                        int64_t now_ns);
/* Tells a new connection that it is one too many; it is to be closed. */
void limits_refuse_connection(int fd, struct tls *tls);

#endif
