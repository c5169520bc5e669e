/* Every bound in one place, each with its reason. What a client can make grow
 * is in here; "full" is a state with a reply, not an accident. */
#ifndef ETCHED_BASE_LIMITS_H
#define ETCHED_BASE_LIMITS_H

#include <assert.h>

enum {
    /* One request's key and value: etcd's --max-request-bytes default. */
    LIMIT_REQUEST_BYTES_DEFAULT = 1572864,
    /* What the flag may raise it to (etcd recommends at most 10 MiB). */
    LIMIT_REQUEST_BYTES_MAX = 64 * 1024 * 1024,
    /* A key: far longer than any path seen in practice, small enough that a
     * listing's line and a log line stay readable. */
    LIMIT_KEY_BYTES_MAX = 64 * 1024,
    /* Directories above a v2 key: a recursive delete and a listing keep one
     * small frame a level. */
    LIMIT_PATH_DEPTH_MAX = 256,

    /* HTTP/1.1: request line and headers together, and their count. Node and
     * nginx use 8 to 16 KiB; keys arrive in the request line. */
    LIMIT_HTTP_HEAD_BYTES_MAX = 128 * 1024,
    LIMIT_HTTP_HEADER_COUNT_MAX = 100,
    /* A slow client can't hold a place for ever. */
    LIMIT_HTTP_IDLE_MS = 10 * 60 * 1000,
    LIMIT_HTTP_HEAD_MS = 10 * 1000,
    LIMIT_HTTP_BODY_MS = 60 * 1000,
    LIMIT_HTTP_WRITE_STALL_MS = 60 * 1000,
    /* A response is produced in pieces of this size while it drains. */
    LIMIT_HTTP_OUT_HIGH_BYTES = 256 * 1024,
    LIMIT_HTTP_OUT_LOW_BYTES = 64 * 1024,
    /* Connections of one server; above it a new one gets 503 and is closed. */
    LIMIT_CONNECTIONS_DEFAULT = 20000,

    /* Requests that wait for the core thread; above it 503. */
    LIMIT_PROPOSALS_MAX = 16 * 1024,
    /* What one group commit holds at the most. */
    LIMIT_BATCH_ENTRIES_MAX = 4096,
    LIMIT_BATCH_BYTES_MAX = 8 * 1024 * 1024,

    /* A WAL segment, as preallocated; a frame (one group commit) fits the
     * larger of this and the frame itself. */
    LIMIT_WAL_SEGMENT_BYTES = 64 * 1024 * 1024,
    LIMIT_WAL_FRAME_BYTES_MAX = 128 * 1024 * 1024,

    /* The backend moves the tail to the B+tree after this long or this many
     * revisions, as etcd's --backend-batch-interval and -limit. */
    LIMIT_FLUSH_INTERVAL_MS = 100,
    LIMIT_FLUSH_REVISIONS = 10000,
    /* When the tail holds this much, proposals wait for the backend. */
    LIMIT_TAIL_BYTES_MAX = 256 * 1024 * 1024,

    /* A watcher that has this much unsent goes to history. */
    LIMIT_WATCH_UNSENT_BYTES_MAX = 1024 * 1024,
    /* Watchers of one member, all connections together. */
    LIMIT_WATCHERS_MAX = 1000000,
    /* History is read for a watcher in slices of this many revisions. */
    LIMIT_HISTORY_SLICE = 1000,
    /* Leases granted at once. */
    LIMIT_LEASES_MAX = 10 * 1000 * 1000,
};

static_assert(LIMIT_BATCH_BYTES_MAX + LIMIT_REQUEST_BYTES_MAX + (1 << 20) <=
                  LIMIT_WAL_FRAME_BYTES_MAX,
              "a full batch and one largest request fit a WAL frame");
static_assert(LIMIT_HTTP_OUT_LOW_BYTES < LIMIT_HTTP_OUT_HIGH_BYTES,
              "a drained response is refilled before it runs dry");
static_assert(LIMIT_KEY_BYTES_MAX < LIMIT_HTTP_HEAD_BYTES_MAX,
              "a key of the largest size fits a request line");

#endif
