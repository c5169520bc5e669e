/* One recipe at work: a state machine. Events, moments and answers go in;
 * turns come out. A turn is what has to be committed as one transaction.
 *
 *   machine_load       what the store has of it: memos, active runs
 *   machine_event      one event of one trigger
 *   machine_due        what is due by a moment: holds, waits, debounces, ...
 *   machine_answer     how an action outside ended
 *
 * Each of them adds to the caller's struct turn, or says TURN_FULL (commit
 * that, then the same again with a new one), or TURN_WANTS (a lookup that it
 * needs isn't there: fetch it, then the same again). What was wanted hasn't
 * happened in these two cases; but something that comes before it may have (a
 * hold that was due, the first records of a list), and is in the turn.
 * TURN_FULL is never said of a turn that is empty.
 *
 * The machine's state runs ahead of the store until the turn is committed; a
 * turn that can't be committed makes the machine worthless: free it, load a
 * new one from the store. From machine_write_lazy until the turn is committed
 * it is told nothing.
 *
 * Explain, backtest and the tests of documents are these same functions over
 * events from elsewhere (recipe/explain.h, recipe/test.h).
 *
 * Pure: time comes with what goes in. Threads: one at a time.
 */
#ifndef ETCHED_RECIPE_MACHINE_H
#define ETCHED_RECIPE_MACHINE_H

#include "base/list.h"
#include "base/map.h"
#include "recipe/recipe.h"

enum {
    TURN_OPERATIONS_MAX = 100, /* etcd refuses more than 128 in a Txn */
    TURN_BYTES_MAX = 512 << 10,
    MACHINE_MEMOS_MAX = 100000,
};

/* ---- in ----------------------------------------------------------------- */

struct recipe_event {
    struct run_id id; /* tag 0 */
    int64_t time_ns;
    enum event_type type;
    struct slice cause; /* "": not known (etcd) */
    struct slice key;
    struct slice raw; /* the value; of a delete: empty */
    bool has_prev;
    struct slice prev;
    int64_t mod_revision; /* the key's, or 0 where it is gone */
    unsigned depth;       /* 0: no recipe made it */
    struct slice parent;  /* "name/run" of the batch that made it; "": none */
};

/* What get, exists and count found at a revision. */
struct lookup {
    enum { LOOKUP_GET, LOOKUP_COUNT } kind;
    int64_t revision;
    struct slice key;
    /* REFUSED: the owner may not read it */
    enum { LOOKUP_FOUND, LOOKUP_NONE, LOOKUP_COMPACTED, LOOKUP_REFUSED } found;
    struct slice value;
    int64_t count;
};
struct lookups {
    void *context;
    /* NULL: not known yet; it has been noted, and is what TURN_WANTS means. */
    const struct lookup *(*find)(void *context, int kind, int64_t revision,
                                 struct slice key);
};

enum run_status {
    RUN_OK,
    RUN_FAILED,    /* after on_failure */
    RUN_SKIPPED,   /* mode single, and one was under way */
    RUN_CANCELLED, /* mode restart, and a newer one came */
    RUN_ACTIVE,    /* queued, waiting or acting: not in `run/` */
};
const char *run_status_text(enum run_status status);

/* ---- out ---------------------------------------------------------------- */

struct turn_operation {
    enum { TURN_PUT, TURN_DELETE, TURN_TXN } kind;
    struct slice key;
    struct slice end; /* delete: range_end, empty for one key */
    struct slice value;
    int64_t ttl_ns; /* put: 0 none; the runner has a lease for it */
    const struct turn_txn *txn;
    bool is_effect; /* the user's; else the machine's own */
};
struct turn_compare {
    struct slice key;
    enum {
        TURN_MOD_REVISION,
        TURN_CREATE_REVISION,
        TURN_VERSION,
        TURN_VALUE
    } target;
    enum { TURN_EQUAL, TURN_UNEQUAL, TURN_GREATER, TURN_LESS } operator;
    int64_t number;
    struct slice value;
};
struct turn_txn {
    struct turn_compare *compares;
    size_t compare_count;
    struct turn_operation *then;
    size_t then_count;
    struct turn_operation *otherwise;
    size_t otherwise_count;
};

/* For the runner's counters, the log and SSE. */
struct turn_run {
    struct run_id id;
    enum run_status status;
    struct slice record; /* JSON of the run, as REST shows it */
};

struct turn {
    struct arena arena;
    struct turn_operation *operations;
    size_t count;
    size_t capacity;
    size_t bytes;
    struct turn_compare *guards; /* beside the runner's two */
    size_t guard_count;
    struct turn_run *runs;
    size_t run_count;
    struct slice *logs; /* of log actions, "level message" */
    size_t log_count;
    unsigned depth; /* of what caused it */
    bool has_depth;
    uint64_t fired, skipped, failed; /* skipped: by a condition */
    bool tripped; /* with this turn the recipe stops; why is in `stop` */
    struct slice stop;
    /* private: */
    struct map touched; /* keys, so that none is there twice */
    struct list ranges; /* of deletes */
    struct buf records; /* the value of the put to run/ */
    size_t records_at;  /* that operation, from 1; 0: none yet */
    size_t run_capacity;
    size_t guard_capacity;
    size_t log_capacity;
};
void turn_init(struct turn *turn);
void turn_deinit(struct turn *turn);
/* What its effects are to: the same for the same keys; 0: it has none. */
uint64_t turn_effects(const struct turn *turn);
/* True where it has nothing to commit but, maybe, positions. */
bool turn_is_empty(const struct turn *turn);

enum turn_end { TURN_TAKEN, TURN_FULL, TURN_WANTS };

/* ---- the machine -------------------------------------------------------- */

struct machine_config {
    const struct recipe *recipe; /* must outlive it */
    int64_t uid;                 /* the definition's create revision */
    const struct zones *zones;
    uint64_t seed; /* for jitter */
};
struct machine;
struct machine *machine_new(const struct machine_config *config);
void machine_free(struct machine *machine); /* NULL is fine */

/* One key below state/<name>/ or active/<name>/, in any order, before the
 * first event. Errors: ERR_CORRUPT. */
enum err machine_load(struct machine *machine, struct slice key,
                      struct slice value, int64_t mod_revision) MUST_USE;
/* The cursor's value; where there is none, each trigger begins after
 * `revision`. Errors: ERR_CORRUPT. */
enum err machine_load_cursor(struct machine *machine, struct slice value,
                             int64_t revision) MUST_USE;
/* Of a cursor's value: the oldest revision that a trigger stands at, of those
 * whose history would be missed; INT64_MAX: there is none. */
int64_t machine_cursor_oldest(struct slice value);
/* The value for the cursor's key, with the positions as they are now:
 *   {"depth": of the turn, "run": its first one's id, as text,
 *    "triggers": [{"watches": pattern, "at": "1234.2"}, ...]}
 * A trigger of another pattern begins anew when that is loaded. */
void machine_write_cursor(const struct machine *machine,
                          const struct turn *turn, struct buf *out);
/* All up to and with this have been taken. */
struct run_id machine_position(const struct machine *machine, size_t trigger);
/* Everything up to the end of `revision` is known to have no more events. */
void machine_advance(struct machine *machine, size_t trigger, int64_t revision);
/* Its events of revisions `from` to `revision` are lost (compacted): as
 * machine_advance, and what is known of keys from before counts no more. Holds
 * that began before are dropped, and the times of absent keys begin anew: the
 * keys may have changed, so that what is due could never be committed. */
void machine_skip(struct machine *machine, size_t trigger, int64_t from,
                  int64_t revision, int64_t now_ns);

/* Events of a trigger come in their order; one at or before its position is
 * passed over. What was due by event->time_ns fires first.
 * `account` (may be NULL) is told why: see explain.h. */
struct account;
enum turn_end machine_event(struct machine *machine, size_t trigger,
                            const struct recipe_event *event,
                            const struct lookups *lookups, struct turn *turn,
                            struct account *account);
/* What is due by now, where the world is quiet: each with a guard that its key
 * hasn't changed. */
enum turn_end machine_due(struct machine *machine, int64_t now_ns,
                          const struct lookups *lookups, struct turn *turn);
/* When machine_due has something to do; INT64_MAX: never. */
int64_t machine_next_due(const struct machine *machine);
/* What comes next goes one unit a turn, so that what a store refuses is known:
 * an event, or one thing that is due. */
void machine_set_narrow(struct machine *machine, bool is_narrow);
/* The store won't have these effects (turn_effects of a narrow turn), for a
 * reason that stays: what would have them is a run that fails with this text,
 * or an on_failure that does nothing. Of more than four the last ones count;
 * NULL: it will have all again. */
void machine_deny(struct machine *machine, uint64_t effects, const char *why);
/* As many runs under way as there may be: take no events for now. */
bool machine_is_busy(const struct machine *machine);
/* Memos that changed without a turn (absent: a key was refreshed), to be
 * written before the cursor that passes them; at most a turn full. False:
 * there are none (more). */
bool machine_write_lazy(struct machine *machine, struct turn *turn);

/* ---- actions outside ---------------------------------------------------- */

/* One that is to be tried. Secrets in it stand as "\x01name\x02" and are put
 * in when it goes out. */
struct outside {
    struct run_id run;
    struct slice step;
    enum action_kind kind; /* HTTP, EMAIL, EXEC */
    unsigned attempt;      /* from 0 */
    int64_t not_before_ns;
    int64_t timeout_ns;
    struct slice idempotency_key;
    /* JSON:
     *   http   {"method", "url", "headers": {..}, "redirects": true or not
     *          there, and "json": any value (to be written as JSON once its
     *          secrets are in) or "body": text, or neither}
     *   email  {"server", "from", "to": [..], "subject", "text"}
     *   exec   {"arguments": [..], "input": text or not there} */
    struct slice request;
    const struct value *parts; /* the same, read */
};
/* Each that may go out now, once until it was answered; false: no more. It is
 * the machine's, valid until machine_answer. Only what was committed: call it
 * between turns. */
bool machine_next_outside(struct machine *machine, int64_t now_ns,
                          const struct outside **out);
/* When the next one may go out; INT64_MAX: none. */
int64_t machine_next_outside_at(const struct machine *machine);
size_t machine_outside_count(const struct machine *machine);

struct outside_answer {
    bool is_final; /* there was an answer that no repetition would better */
    bool is_ok;
    int status;             /* HTTP's, or the program's exit */
    struct slice error;     /* "": none */
    int64_t retry_after_ns; /* 0: not said */
    struct slice headers;   /* JSON map */
    struct slice body;
    int64_t time_ns;
};
enum turn_end machine_answer(struct machine *machine, const struct run_id *run,
                             struct slice step,
                             const struct outside_answer *answer,
                             const struct lookups *lookups, struct turn *turn);
/* A dead entry (its value) comes to life again as an active run: that action
 * is tried anew, and goes on from there. The entry is deleted. Nothing happens
 * where it isn't one, or is alive already. */
enum turn_end machine_revive(struct machine *machine, struct slice key,
                             struct slice value, int64_t now_ns,
                             struct turn *turn);
/* Active runs, as REST shows them: JSON records, oldest first. */
void machine_list_active(const struct machine *machine, struct buf *out);

#endif
