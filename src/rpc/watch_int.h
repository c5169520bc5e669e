/* What the files of Watch share.
 *
 *   watch.c         a stream's requests: create, cancel, progress
 *   watch_begin.c   one watch: from its request to its place in the hub
 *   watch_may.c     who may have one, and who no longer
 *   watch_told.c    events as they are told: encoded once, shared
 *   watch_flush.c   from the hub's events to responses; slow readers
 *   watch_life.c    the life of struct watching; commits, history, time
 *   watch_inner.c   watches of this folder's own (locks, elections)
 *
 * A watch gathers events while the hub gives them, and they are sent when it
 * is at rest. So what a watch has may stand in three places:
 *
 *   told     events that were gathered, of whole revisions but maybe the last
 *   ready    a response before those, that is complete
 *   the hub  what is still to come
 *
 * Where a watch stands:
 *
 *   IDLE     nothing is gathered; its link is in no list
 *   DIRTY    in watching->dirty: the next flush looks at it
 *   PARKED   in stream->parked: the client reads too slowly. It lags in the
 *            hub, and goes on when the call has drained
 */
#ifndef ETCHED_RPC_WATCH_INT_H
#define ETCHED_RPC_WATCH_INT_H

#include "base/map.h"
#include "base/prng.h"
#include "proto/rpc.pb-c.h"
#include "rpc/rpc_int.h"

/* ---- watch_told.c -------------------------------------------------------- */

/* What is told beside the change itself: one bit each. */
enum { TOLD_PREV = 1, TOLD_CAUSE = 2, TOLD_KINDS = 4 };

/* The events of one response: a chain, newest first. Watches that were given
 * the same events have the same chain, so it is made, and encoded, once. */
struct told {
    uint32_t refs;
    uint32_t count; /* of events */
    struct told *before;
    struct told *next; /* what was made of this one last, if it still is */
    struct rev rev;    /* of the last event */
    unsigned kind;
    size_t bytes;          /* of all events, encoded */
    struct refbuf *event;  /* the last one, as field 11 of a WatchResponse */
    struct refbuf *events; /* all; NULL: not made yet */
};

/* `before` (NULL: none) and then this record. The caller's reference to
 * `before` passes; one to the result is the caller's. Needs: the store can be
 * read, where `kind` has TOLD_PREV. */
struct told *told__add(struct rpc *rpc, struct told *before,
                       const struct record *record, unsigned kind);
struct told *told__ref(struct told *told);
/* What this record would add to it. Needs: as told__add. */
size_t told__event_bytes(struct rpc *rpc, const struct record *record,
                         unsigned kind);
void told__unref(struct watching *watches, struct told *told);
/* All events, encoded; the reference is the chain's. */
struct refbuf *told__events(struct told *told);
/* The last event isn't kept for others any more. */
void told__forget(struct watching *watches);

/* ---- all of one I/O thread ----------------------------------------------- */

/* An event that was encoded, for chains that end alike. */
struct told_event {
    struct rev rev;
    struct refbuf *bytes; /* NULL: none */
};

struct watching {
    struct list dirty;
    struct list asking;   /* streams that wait to say how far they are */
    struct list fired;    /* inner watches */
    struct heap due;      /* streams, by the time of their next notification */
    revision newest;      /* all LIVE watches were given what is up to here */
    size_t history_slice; /* records to be read at once, by their size */
    size_t gathered;      /* bytes encoded since the last flush */
    bool full;            /* a response is long enough to be sent */
    bool resumed;         /* there is history to be read again */
    bool of_history;      /* what is flushed was read from history */
    struct told *first[TOLD_KINDS];
    struct told_event event[TOLD_KINDS];
    struct buf scratch;
    struct prng prng;
    revision header_at; /* of `header`; -1: none */
    size_t header_size;
    char header[RPC_HEADER_BYTES_MAX];
};

enum {
    /* A response that has so much is sent before more is gathered. */
    WATCH_RESPONSE_BYTES = 256 * 1024,
    /* What one slice of history should encode, about. */
    WATCH_SLICE_BYTES = 4 * 1024 * 1024,
    WATCH_SLICE_RECORDS_MIN = 16,
    /* One that should have been told how far it is and couldn't be. */
    WATCH_RETRY_MS = 100,
    /* The id in responses that are of no watch. */
    WATCH_ID_NONE = -1,
};

/* ---- one stream, one watch ----------------------------------------------- */

struct watch_stream {
    struct rpc *rpc;
    struct call *call;
    struct map_u64 watches; /* by id */
    int64_t next_id;
    revision promised;    /* the greatest revision that a header has told */
    struct list parked;   /* watches */
    struct list asking;   /* in watching->asking */
    struct heap_node due; /* in watching->due */
    size_t owed;          /* of requests: not said consumed yet */
    bool tells_cause;     /* with every event, and its time */
    bool congested;       /* on_drained will come */
    bool notifies;        /* some of its watches ask for notifications */
};

struct watch {
    struct watcher watcher;
    struct watch_stream *stream;
    int64_t id;
    struct list link; /* in watching->dirty, stream->parked, or none */
    struct told *ready;
    struct told *told;
    revision compacted; /* it is over: out of the hub */
    uint8_t kind;       /* of what it is told */
    bool notify;
    bool fragment;
    bool no_put;
    bool no_delete;
    bool cut;     /* `ready` is a part of a revision; the rest is in `told` */
    bool lags;    /* in the hub */
    bool refused; /* then: it has to be given again what is from `next` on */
    bool active;  /* it was told of something since the last notification */
    char key[];   /* and the range's end behind it */
};

/* ---- watch.c ------------------------------------------------------------- */

/* Fields of a WatchResponse. */
enum {
    WATCH_FIELD_ID = 2,
    WATCH_FIELD_CREATED = 3,
    WATCH_FIELD_CANCELED = 4,
    WATCH_FIELD_COMPACTED = 5,
    WATCH_FIELD_REASON = 6,
    WATCH_FIELD_FRAGMENT = 7,
    WATCH_FIELD_EVENTS = 11,
};
/* One without events. `compacted` 0, `reason` NULL: none. */
struct watch_control {
    revision at; /* 0: the header has none */
    int64_t id;
    bool created;
    bool canceled;
    revision compacted;
    const char *reason;
};
void watch__send_control(struct watch_stream *stream,
                         const struct watch_control *control);
/* Answers progress requests, if all its watches were told of the same. */
bool watch__try_progress(struct watch_stream *stream);
/* Tells those that asked to be, and were idle. */
void watch__notify(struct watch_stream *stream, int64_t now_ms);
/* After a send: whether the peer reads. */
void watch__note_sent(struct watch_stream *stream);

/* ---- watch_may.c --------------------------------------------------------- */

/* Why the one who asks may not have this watch, as etcd says it; NULL: he may.
 * In the exchange's memory. */
const char *watch__refusal(struct watch_stream *stream,
                           const Etcdserverpb__WatchCreateRequest *request);
/* Users or roles have changed: watches whose users may not have them any more
 * are cancelled. */
void watching__look_again(struct rpc *rpc);

/* ---- watch_begin.c ------------------------------------------------------- */

void watch__create(struct watch_stream *stream,
                   const Etcdserverpb__WatchCreateRequest *request);
/* Takes it out of wherever it is. */
void watch__free(struct watch *watch);
/* The same for one that its stream doesn't know any more. */
void watch__free_alone(struct watch *watch);

/* ---- watch_flush.c ------------------------------------------------------- */

void watch__on_event(struct watcher *watcher, const struct record *record,
                     struct mvcc_commit *commit);
void watch__on_compacted(struct watcher *watcher, revision compacted);
/* Adds a record to what the watch was told. */
void watch__gather(struct watch *watch, const struct record *record);
/* Sends what is whole; the watch may be gone afterwards. Needs: the hub is at
 * rest. */
void watch__flush(struct watch *watch);
/* The same for all that are dirty; then the inner ones that have fired. */
void watching__flush(struct rpc *rpc);
/* The client reads again. */
void watch__unpark(struct watch_stream *stream);
/* True: all that the hub has seen was told. */
bool watch__is_up_to_date(const struct watch *watch);

/* ---- watch_life.c -------------------------------------------------------- */

/* Before a watcher is added: commits are wanted from now on. Gives the store's
 * revision, and the one that is compacted (0: none). */
void watching__prepare(struct rpc *rpc, revision *current, revision *compacted);
/* After some were removed. */
void watching__settle(struct rpc *rpc);
int64_t watching__interval_ms(struct rpc *rpc);
/* As rpc__put_header; remembers the last one. */
void watching__put_header(struct rpc *rpc, struct buf *out, revision at);

/* ---- watch_inner.c ------------------------------------------------------- */

/* `on_event` comes once, of the first change that matches, or when history
 * that it wants is gone: who watches looks for himself. It comes when the hub
 * is at rest. {0} is one that isn't begun. */
enum inner_kind { INNER_PUT = 1, INNER_DELETE = 2 };
struct inner_watch {
    struct watcher watcher;
    struct list link; /* in watching->fired */
    struct rpc *rpc;  /* NULL: it isn't begun */
    void (*on_event)(struct inner_watch *watch);
    unsigned kinds;
    bool fired;
};
/* The key's bytes must outlive it. `end`: as a watcher's. */
void inner_watch__begin(struct inner_watch *watch, struct rpc *rpc,
                        struct slice key, struct slice end, revision from,
                        unsigned kinds,
                        void (*on_event)(struct inner_watch *watch));
/* Harmless where it isn't begun, or is over. */
void inner_watch__end(struct inner_watch *watch);
void inner_watch__tell(struct rpc *rpc);

#endif
