/* What the files of runner/ share.
 *
 *   may.c       whose permissions count
 *   store.c     calls: requests of v3 made, answers read, callbacks
 *   watch.c     feeds over the one Watch stream
 *   workers.c   the lease, who lives, who owns what
 *   defs.c      definitions, status; plans compiled
 *   work.c      a recipe that is this worker's: load, take, commit
 *   lookup.c    get, exists, count at a revision
 *   depth.c     who made an event
 *   clocks.c    ticks
 *   fetch.c     feeds and polls
 *   outside.c   actions outside, secrets
 *   keep.c      retention of records, lazy cursors
 *   told.c      what metrics are told
 *   rest*.c     the REST interface
 */
#ifndef ETCHED_RUNNER_RUNNER_INT_H
#define ETCHED_RUNNER_RUNNER_INT_H

#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/prng.h"
#include "proto/rpc.pb-c.h"
#include "recipe/explain.h"
#include "recipe/keys.h"
#include "recipe/machine.h"
#include "recipe/recipe.h"
#include "runner/runner.h"

/* ---- store.c ------------------------------------------------------------ */

/* An answer: OK, or gRPC's code and text. `message` is encoded; for Range and
 * Txn it has been decoded to `range` or `txn` (in the call's arena, gone when
 * the callback returns). RUNNER_HISTORY: called for each part with more =
 * true, and once with more = false. */
struct store_answer {
    int code;
    struct slice text;
    struct slice message;
    bool more;
    const Etcdserverpb__RangeResponse *range;
    const Etcdserverpb__TxnResponse *txn;
};
typedef void (*store_done)(struct runner *runner, void *context,
                           const struct store_answer *answer);

/* Sends a message; `done` is called once it is answered (from within
 * runner_answered), unless it was cancelled. Returns the call's id. */
uint64_t store__call(struct runner *runner, enum runner_method method,
                     struct slice request, store_done done, void *context);
void store__cancel(struct runner *runner, uint64_t id); /* 0 is fine */
/* The usual ones. `end` NULL: one key; `revision` 0: now; `limit` 0: all. */
uint64_t store__range(struct runner *runner, struct slice key,
                      const struct slice *end, int64_t revision, int64_t limit,
                      store_done done, void *context);
/* Whether the answer, if it isn't OK, may have been done all the same. */
bool store__is_unsure(const struct store_answer *answer);

/* As store__call, with a user's permissions; user.at NULL: the service's. */
uint64_t store__call_as(struct runner *runner, enum runner_method method,
                        struct slice user, struct slice request,
                        store_done done, void *context);

/* A transaction that is being made. */
struct store_txn {
    struct buf body;   /* an encoded TxnRequest */
    struct slice user; /* whose permissions it needs; at NULL: the service's */
};
void store_txn__begin(struct store_txn *txn);
void store_txn__compare(struct store_txn *txn,
                        const struct turn_compare *compare);
void store_txn__put(struct store_txn *txn, struct slice key, struct slice value,
                    int64_t lease);
/* `end` empty: one key. */
void store_txn__delete(struct store_txn *txn, struct slice key,
                       struct slice end);
/* An operation of a turn; where something in it has a ttl, with the lease that
 * `lease_of` gives for it. */
typedef int64_t (*store_lease_of)(const void *context, int64_t ttl_ns);
void store_txn__operation(struct store_txn *txn,
                          const struct turn_operation *operation,
                          store_lease_of lease_of, const void *context);
/* In `else`: read this key. */
void store_txn__else_get(struct store_txn *txn, struct slice key);
uint64_t store_txn__send(struct runner *runner, struct store_txn *txn,
                         store_done done, void *context);

/* ---- defs.c ------------------------------------------------------------- */

enum def_state {
    DEF_RUNS,
    DEF_DISABLED,
    DEF_PAUSED,
    DEF_TRIPPED,
    DEF_GAP,
    DEF_BROKEN
};
const char *def_state_text(enum def_state state);

/* A definition, as the store has it now. */
struct def {
    struct slice name;
    struct slice json;
    int64_t uid; /* create revision */
    int64_t mod_revision;
    int64_t version;       /* of the key, from 1 */
    struct recipe *recipe; /* NULL: broken (`why`); a newer program's, say */
    enum def_state state;
    struct slice why;    /* paused by whom, tripped by what, ... */
    struct slice owner;  /* worker id; empty: nobody */
    int64_t owner_claim; /* create revision of the owner's key */
    struct work *work;   /* where it is ours; NULL */
    /* private to defs.c, workers.c and depth.c: */
    bool is_defined; /* false: only its status or owner is there */
    int64_t status_revision;
    int64_t owner_revision;
    unsigned marks[3];   /* of the reading that last saw def, status, owner */
    struct slice status; /* its state's text; empty: none */
    struct slice status_why;
    struct pattern retries; /* in/<name>/retry/; lives as long as the recipe */
    struct list claims;     /* waits to be claimed */
    uint64_t claiming;      /* the call that claims or releases it; 0: none */
};
struct def *def__find(struct runner *runner, struct slice name);
/* In the order of their names. */
struct def *def__next(struct runner *runner, struct slice after);
/* True once the definitions have been read for the first time. */
bool defs__are_known(const struct runner *runner);

/* ---- work.c ------------------------------------------------------------- */

/* For REST: what the machine has under way, NULL where it isn't ours. */
struct machine *work__machine(const struct def *def);
/* Revisions and seconds that it is behind. */
void work__lag(const struct runner *runner, const struct def *def,
               int64_t *revisions, double *seconds);

/* ---- may.c -------------------------------------------------------------- */

bool runner__may(const struct runner *runner, struct slice user,
                 enum runner_right right, struct slice key, struct slice end);
bool runner__has_users(const struct runner *runner);
/* What it watches. */
bool runner__may_trigger(const struct runner *runner, struct slice user,
                         const struct trigger *trigger);
/* Whether this user may own it: what it watches, and whom it calls. False:
 * `why` is appended. */
bool runner__may_recipe(const struct runner *runner, struct slice user,
                        const struct recipe *recipe, struct buf *why);

/* ---- rest.c ------------------------------------------------------------- */

struct rest; /* all requests under way; in struct runner */
void rest__init(struct runner *runner);
void rest__deinit(struct runner *runner);
/* Time has passed; returns when to be called next (mono_ns). */
int64_t rest__run(struct runner *runner);

/* The struct itself, and what only the core shares, is in runner_core.h. */

/* What REST may use of it. */
struct runner_now runner__now(const struct runner *runner);
const struct runner_config *runner__config(const struct runner *runner);
int64_t runner__revision(const struct runner *runner); /* newest seen */
struct rest *runner__rest(const struct runner *runner);
void runner__set_rest(struct runner *runner, struct rest *rest);
uint64_t runner__random(struct runner *runner);
/* Has runner_run do its next round at once. */
void runner__wake(struct runner *runner);

#endif
