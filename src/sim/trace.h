/* The last events of a run, as numbers; they become text when somebody wants
 * to read them. All of them, in order, make the digest. */
#ifndef ETCHED_SIM_TRACE_H
#define ETCHED_SIM_TRACE_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

/* name, text, what its numbers are (NULL: none) */
#define SIM_TRACE_TABLE(X)                                            \
    X(BEGIN, "the world begins", "members", "election_ms", "profile") \
    X(HEAL, "faults end", NULL, NULL, NULL)                           \
    X(END, "the world ends", "committed", "revision", NULL)           \
    X(START, "starts", "incarnation", "id", NULL)                     \
    X(STARTED, "is up", "applied", "term", "last")                    \
    X(REFUSED, "refuses to start", "error", NULL, NULL)               \
    X(KILL, "is killed", "persisted", "applied", "term")              \
    X(BREAK, "breaks down", "error", NULL, NULL)                      \
    X(STOP, "stops in order", "applied", NULL, NULL)                  \
    X(REMOVED, "was removed, ends", NULL, NULL, NULL)                 \
    X(ARM_DISK, "disk will fail", "calls", NULL, NULL)                \
    X(ARM_KV, "kv file will fail", "calls", NULL, NULL)               \
    X(PAUSE, "is paused", "ms", NULL, NULL)                           \
    X(RESUME, "goes on", NULL, NULL, NULL)                            \
    X(JUMP, "wall clock jumps", "ms", NULL, NULL)                     \
    X(SLOW, "disk is slow", "sync_us", NULL, NULL)                    \
    X(FULL, "disk is full", "used", NULL, NULL)                       \
    X(ROOM, "disk is well", NULL, NULL, NULL)                         \
    X(DAMAGE, "disk is damaged", "kind", "offset", NULL)              \
    X(CUT, "doesn't reach", "member", NULL, NULL)                     \
    X(JOIN, "reaches all again", NULL, NULL, NULL)                    \
    X(WEATHER, "network", "loss_ppm", "delay_us", "twice_ppm")        \
    X(LOST, "connection broke", "member", NULL, NULL)                 \
    X(OVERFLOW, "queue is full", "member", NULL, NULL)                \
    X(ROLE, "is now", "role", "term", "last")                         \
    X(COMMIT, "commits", "index", "term", "type")                     \
    X(MEMBERSHIP, "membership", "index", "voters", "outgoing")        \
    X(SEND, "sends", "member", "type", "term")                        \
    X(RUN, "runs", "last", "commit", "applied")                       \
    X(FLUSH, "flushes", "error", NULL, NULL)                          \
    X(SNAP_OPEN, "snapshot begins", "member", "index", "error")       \
    X(SNAP_CHUNK, "snapshot chunk", "member", "bytes", "error")       \
    X(SNAP_END, "snapshot ends", "member", "index", "error")          \
    X(CALL, "client asks", "client", "kind", "value")                 \
    X(ANSWER, "client is told", "client", "error", "revision")        \
    X(GIVE_UP, "client gives up", "client", "kind", "value")          \
    X(WATCH, "watcher begins", "watcher", "from", NULL)               \
    X(COMPACTED, "watcher is told", "watcher", "compacted", NULL)     \
    X(CALLS, "asks", "id", "method", "member")                        \
    X(CALLED, "is told", "id", "code", NULL)                          \
    X(CHANGE, "change asked", "op", "id", NULL)                       \
    X(CHANGED, "change told", "op", "id", "error")                    \
    X(TRANSFER, "transfer asked", "to", NULL, NULL)                   \
    X(FAILED, "FAILED", NULL, NULL, NULL)

enum sim_trace_what {
#define X(name, text, a, b, c) SIM_TRACE_##name,
    SIM_TRACE_TABLE(X)
#undef X
        SIM_TRACE_COUNT
};

/* A place's number 0 is the world, n the n-th member, SIM_TRACE_WORKERS + n the
 * n-th worker. */
enum { SIM_TRACE_WORKERS = 16 };
struct sim_trace_event {
    int64_t at_ns;
    uint16_t what;
    uint16_t place;
    uint64_t numbers[3];
};

enum { SIM_TRACE_EVENTS_MAX = 4096, SIM_TRACE_LINE_BYTES_MAX = 160 };

struct sim_trace {
    struct sim_trace_event events[SIM_TRACE_EVENTS_MAX]; /* a ring */
    uint64_t count;                                      /* ever */
    uint64_t digest;
    void (*on_line)(void *context, struct slice line);
    void *context;
};

void sim__trace_add(struct sim_trace *trace,
                    const struct sim_trace_event *event);
/* One aligned line: time, member, what; returns its length. */
size_t sim__trace_text(const struct sim_trace_event *event,
                       char out[SIM_TRACE_LINE_BYTES_MAX]);
void sim__trace_each(const struct sim_trace *trace, size_t count,
                     void (*each)(void *context, struct slice line),
                     void *context);

#endif
