/* A small store and one recipe's machine in it, as a runner would have them:
 * events are fed in order, turns are committed as one change whose compares
 * are looked at, and a crash forgets all but the store. */
#ifndef ETCHED_TESTS_MACHINE_WORLD_H
#define ETCHED_TESTS_MACHINE_WORLD_H

#include "base/prng.h"
#include "recipe/machine.h"

struct world_record {
    int64_t revision;
    int64_t time_ns;
    enum event_type type;
    struct slice key;
    struct slice value;
    struct slice prev;
    bool has_prev;
    unsigned depth;
    struct slice parent;
};

enum { WORLD_TRIGGERS_MAX = 8, WORLD_OUT_MAX = 64, WORLD_CRASHES_MAX = 100 };

struct world_out { /* an action that went out */
    struct run_id run;
    char step[32];
    char key[64]; /* Idempotency-Key */
    unsigned attempt;
    char request[512];
};

struct world {
    struct arena arena;
    struct recipe *recipe;
    struct machine *machine;
    struct turn turn;
    bool has_turn;
    int64_t revision;
    int64_t now_ns;
    struct world_record *records; /* every change that ever was */
    size_t count;
    size_t capacity;
    size_t next[WORLD_TRIGGERS_MAX];      /* to be fed, by trigger */
    struct world_out outs[WORLD_OUT_MAX]; /* not answered yet */
    size_t out_count;
    size_t sent;
    struct buf log;  /* effects, one a line: "put /a 1" */
    struct buf runs; /* records: "ok /a" */
    struct buf last; /* the last record, JSON */
    struct buf said; /* log actions */
    struct buf stop;
    bool has_stopped;
    uint64_t fired, skipped, failed;
    size_t turns;
    struct lookups lookups;
    struct lookup found;
    bool is_shy; /* what is looked up is known only when asked again */
    struct buf asked;
    size_t lookups_made;
    int64_t compacted;
    /* What may go wrong, by chance; NULL: nothing does. */
    struct prng *prng;
    unsigned crash_percent;
    size_t crashes;
    size_t guards_failed;
};

#define WORLD_SECOND INT64_C(1000000000)
#define WORLD_MINUTE (60 * WORLD_SECOND)

void world_open(struct world *world, const char *text);
void world_close(struct world *world);

/* Changes by somebody; the world isn't run. */
void world_put(struct world *world, const char *key, const char *value);
void world_put_slice(struct world *world, const char *key, struct slice value);
void world_delete(struct world *world, const char *key);
void world_expire(struct world *world, const char *key);
/* The depth of what recipes made, for the next world_put. */
void world_put_deep(struct world *world, const char *key, const char *value,
                    unsigned depth);
/* In the inbox of a trigger. */
void world_come_in(struct world *world, const char *trigger, const char *id,
                   const char *value);
/* A request of another recipe's: the list of its records. */
void world_other(struct world *world, const char *name, const char *id,
                 const char *list);

/* Until nothing is left to do at this moment. */
void world_run(struct world *world);
/* Time passes, and then it is run. */
void world_advance(struct world *world, int64_t by_ns);
void world_crash(struct world *world);
/* All that may go out goes out; false: nothing is out. */
bool world_send(struct world *world);
/* The oldest that is out; "" and 0: fine. Then it is run. */
void world_answer(struct world *world, int status, const char *body);
/* Only feeds events and commits nothing: for tests of turns. */
enum turn_end world_feed(struct world *world);
void world_commit(struct world *world);

/* What is there now; NULL where it isn't. */
const char *world_get(const struct world *world, const char *key);
/* How many keys begin so. */
size_t world_count(const struct world *world, const char *prefix);
/* The key of the n-th that begins so. */
struct slice world_key(const struct world *world, const char *prefix, size_t n);
const struct world_record *world_find(const struct world *world,
                                      struct slice key, int64_t revision);
/* Takes the log's text away and compares it. */
void world_expect(struct world *world, const char *log);
void world_expect_runs(struct world *world, const char *runs);
bool world_has(const struct buf *text, const char *part);
/* Is it in a key's value? */
bool world_value_has(const struct world *world, struct slice key,
                     const char *part);

#endif
