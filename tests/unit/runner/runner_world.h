/* Runners in a world of their own: a store in memory, a clock that stands
 * still until it is moved, and between them a net that delays, loses and
 * breaks off, all from a seed.
 *
 * A call that is lost may have been done, now or later, when its caller has
 * long been told UNAVAILABLE. A runner that is killed leaves its calls under
 * way; each of them may still be done. */
#ifndef RUNNER_WORLD_H
#define RUNNER_WORLD_H

#include "base/heap.h"
#include "base/prng.h"
#include "runner/runner.h"
#include "runner_store.h"
#include "runner_users.h"

enum { WORLD_RUNNERS_MAX = 5 };

struct world_watch {
    int64_t id;
    struct buf key;
    struct buf end;
    size_t next; /* event */
    bool wants_prev;
};

struct world_client {
    struct world *world;
    struct runner *runner;  /* NULL: dead */
    unsigned life;          /* what was sent to an earlier one is passed over */
    unsigned stream;        /* of the watch stream */
    bool is_open;           /* as the runner sees it */
    bool has_stream;        /* as the store does */
    int64_t stream_last_ns; /* of the stream's messages, either way */
    int64_t asked_last_ns;
    struct world_watch *watches;
    size_t watch_count;
    int64_t wake_ns;
};

struct world_faults {
    int64_t delay_ns;   /* of a message: 0 to this */
    unsigned lost;      /* calls of a thousand */
    int64_t late_ns;    /* a lost one may be done within this */
    unsigned broken;    /* streams, of a thousand messages of them */
    bool is_away;       /* the store can't be reached */
    unsigned fragments; /* of a thousand responses */
};

struct world_rest {
    uint64_t id;
    int status;
    char allow[32]; /* of a 405 */
    struct buf body;
};

struct world {
    struct memory_store store;
    struct prng prng;
    int64_t mono_ns;
    struct heap queue;
    struct world_client clients[WORLD_RUNNERS_MAX];
    struct world_faults faults;
    struct world_users users;
    uint64_t denied; /* transactions that an owner mustn't do */
    bool is_etched;
    int64_t lease_ns;
    int64_t lazy_ns;
    unsigned conflicts;
    uint64_t calls;
    /* What actions outside do: fills the answer, or returns false, and it is
     * never answered. NULL: status 200. */
    bool (*act)(struct world *world, const struct act *act,
                struct act_answer *answer);
    int64_t act_ns; /* how long they take */
    /* A code that the store answers with instead; 0: it does it. */
    int (*refuse)(struct world *world, enum runner_method method,
                  struct slice request);
    void *context;
    struct buf acted; /* "METHOD url body\n" each */
    struct world_rest *rests;
    size_t rest_count;
    enum err (*feed_items)(void *context, struct arena *arena,
                           struct slice body, struct value *out);
};

void world_init(struct world *world, uint64_t seed);
void world_deinit(struct world *world);
void world_start(struct world *world, int index);
void world_kill(struct world *world, int index); /* dead is fine */
/* It leaves as it should; *_run until it has. */
void world_stop(struct world *world, int index);
void world_run(struct world *world, int64_t ns);
/* Runs until `is_so`, at most so long; false: it never was. */
bool world_run_until(struct world *world, bool (*is_so)(struct world *world),
                     int64_t most_ns);
int64_t world_wall(const struct world *world);

/* As a client at the store itself, without a net. */
int64_t world_put(struct world *world, const char *key, const char *value);
int64_t world_delete(struct world *world, const char *key);
/* "": it isn't there. */
struct slice world_get(const struct world *world, const char *key);
size_t world_count(const struct world *world, const char *prefix);
/* Puts that a key has had, ever. */
size_t world_puts(const struct world *world, const char *key);
/* A definition, as REST would put it. */
void world_define(struct world *world, const char *yaml);
void world_undefine(struct world *world, const char *name);
const struct zones *world_zones(void);

#endif
