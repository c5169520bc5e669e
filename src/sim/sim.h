/* A whole cluster in one thread, from one seed: real members (node/ and all
 * below it) over a make-believe clock, network, disk and kv file, with faults
 * by a plan, clients, and checkers that look on after each step.
 *
 *      plan (faults)      operator (members)      clients, watchers
 *           \                   |                    /
 *      +-----v-------------------v------------------v-----+
 *      |  events by simulated time, one after the other   |
 *      +--+----------+-----------+-----------+------------+
 *         | node m1  |  node m2  |  node m3  |   network
 *         | disk, kv |  disk, kv |  disk, kv |   (packets, snapshots)
 *         +----------+-----------+-----------+
 *                 v each step
 *      checkers: ledger (what was committed), twin (what was applied)
 *
 * Everything comes from the seed: no address, no time of the host, no thread.
 * The same seed and options make the same run, event by event.
 *
 * Threads: one at a time.
 */
#ifndef ETCHED_SIM_SIM_H
#define ETCHED_SIM_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

enum { SIM_MEMBERS_MAX = 7, SIM_WORKERS_MAX = 4, SIM_WHY_BYTES_MAX = 400 };

struct sim_options {
    uint64_t seed;
    int members;    /* 1 to SIM_MEMBERS_MAX; 0: by the seed */
    int seconds;    /* with faults, simulated; 0: by the seed */
    int workers;    /* that do recipes; less than 0: by the seed */
    uint64_t steps; /* events at most; 0: no bound */
    bool calm;      /* no faults at all: for tests */
    /* Each event as it happens, as an aligned line; NULL: they are kept only
     * for sim_story. */
    void (*on_line)(void *context, struct slice line);
    void *context;
};

/* What happened, summed up. */
#define SIM_COUNT_TABLE(X)           \
    X(EVENTS, "events")              \
    X(MESSAGES, "messages")          \
    X(WRITES, "writes")              \
    X(V3, "of them by v3")           \
    X(READS, "reads")                \
    X(LOOKS, "local reads")          \
    X(UNKNOWN, "unknown outcomes")   \
    X(REVISIONS, "revisions")        \
    X(TOLD, "watch events")          \
    X(LEADERS, "leaders")            \
    X(KILLS, "kills")                \
    X(STARTS, "starts")              \
    X(CUTS, "partitions")            \
    X(DAMAGED, "damaged disks")      \
    X(REFUSED, "refused to start")   \
    X(SNAPSHOTS, "snapshots")        \
    X(CHANGES, "membership changes") \
    X(EXPIRIES, "expiries")          \
    X(EFFECTS, "recipe effects")     \
    X(WORKERS, "workers killed")     \
    X(UNSURE, "undecided histories")

enum sim_count {
#define X(name, text) SIM_COUNT_##name,
    SIM_COUNT_TABLE(X)
#undef X
        SIM_COUNT_COUNT
};
const char *sim_count_text(enum sim_count count);

struct sim_result {
    bool failed;
    char why[SIM_WHY_BYTES_MAX];
    int64_t simulated_ns;
    /* Of all events in order: equal where two runs were equal. */
    uint64_t digest;
    uint64_t counts[SIM_COUNT_COUNT];
};

struct sim;

struct sim *sim_new(const struct sim_options *options);
/* Once. */
void sim_run(struct sim *sim, struct sim_result *out);
/* The last `count` events, oldest first, as aligned lines: time, member, what.
 * May be called in the middle of a step (a failed CHECK). */
void sim_story(const struct sim *sim, size_t count,
               void (*each)(void *context, struct slice line), void *context);
void sim_free(struct sim *sim);

#endif
