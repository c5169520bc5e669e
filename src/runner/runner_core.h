/* The runner's own struct, and what only its core files share (rest*.c go by
 * runner_int.h).
 *
 * A definition (struct def) is known to every worker. The one that has its
 * owner's key has a struct work for it; while that is loaded it has a machine,
 * and a subscription (struct sub) to the feed of each trigger.
 *
 *     Watch stream -> watch -> feed -> sub -> work's queue -> machine -> turn
 *                                                                         |
 *                     store <------------------- one Txn <----------------+
 *
 * Callbacks of calls and watches only note what came and mark works as ready;
 * runner_run does the work.
 */
#ifndef ETCHED_RUNNER_RUNNER_CORE_H
#define ETCHED_RUNNER_RUNNER_CORE_H

#include "base/check.h"
#include "base/log.h"
#include "proto/pb.h"
#include "runner/runner_int.h"

#define SECOND_NS INT64_C(1000000000)
#define MILLI_NS INT64_C(1000000)

enum {
    /* A recipe's queue: beyond it its watches end, to be begun again from
     * where they were once it is at a quarter. */
    QUEUE_EVENTS_MAX = 4000,
    QUEUE_BYTES_MAX = 4 << 20,
    CALLS_IN_FLIGHT_MAX = 64, /* of claims and loads */
    LOAD_PAGE_KEYS = 1000,
    OUTSIDE_OF_RECIPE_MAX = 16,
    OUTSIDE_MAX = 256,
    PASSED_MAX = 10000, /* events without a turn until a cursor is written */
    CALL_TIMEOUT_S = 20,
};

/* ---- runner.c ----------------------------------------------------------- */

struct timer {
    struct heap_node node;
    void (*due)(struct runner *runner, struct timer *timer);
};
/* At a mono_ns; again: moved. INT64_MAX: never. */
void timer__set(struct runner *runner, struct timer *timer, int64_t at_ns);
void timer__stop(struct runner *runner, struct timer *timer);
/* The mono_ns at which the wall clock will show `wall_ns`. */
int64_t runner__mono_of(const struct runner *runner, int64_t wall_ns);
/* The pause before try number `failures` (from 1): twice as long each time, up
 * to 10 s, the half of it by chance. */
int64_t runner__backoff(struct runner *runner, unsigned failures);
void runner__see_revision(struct runner *runner, int64_t revision);

/* ---- store.c ------------------------------------------------------------ */

struct store {
    struct map_u64 calls;
    uint64_t next_id;
    struct list by_age; /* but those of History, which may take their time */
    struct arena arena; /* of the answer that is being told */
    bool is_away;       /* said so once; until an answer comes again */
    int64_t away_since_ns;
};
void store__init(struct runner *runner);
void store__deinit(struct runner *runner);
/* Calls that were never answered are given up. Returns when to look next. */
int64_t store__run(struct runner *runner);
/* As store__call, but a Range isn't decoded. */
uint64_t store__call_raw(struct runner *runner, enum runner_method method,
                         struct slice request, store_done done, void *context);
/* As store_txn__send, but the answer isn't decoded: for what only wants to
 * know store__succeeded of a large one. */
uint64_t store_txn__send_raw(struct runner *runner, struct store_txn *txn,
                             store_done done, void *context);
/* Of an encoded TxnResponse. */
bool store__succeeded(struct slice message, int64_t *revision);
/* Of any response. */
int64_t store__header_revision(struct slice message);
/* False: there is none in it. */
bool store__read_grant(struct slice message, int64_t *lease, int64_t *ttl_s);
/* A callback for what nobody waits for. */
void store__forget(struct runner *runner, void *context,
                   const struct store_answer *answer);
/* The range_end of all keys with this prefix. */
void store__prefix_end(struct slice prefix, struct buf *out);
void store_txn__range(struct store_txn *txn, struct slice key, struct slice end,
                      int64_t revision, int64_t limit);
void store_txn__compare_number(struct store_txn *txn, struct slice key,
                               int target, int64_t number);
/* A message in a message: what is written between them is its body. */
size_t store__nest(struct buf *out, uint32_t number);
void store__unnest(struct buf *out, size_t mark);

/* ---- watch.c ------------------------------------------------------------ */

struct watch_event {
    int64_t revision;
    bool is_delete;
    bool is_create;
    struct slice key;
    struct slice value;
    int64_t create_revision;
    int64_t version;
    bool has_prev;
    struct slice prev;
    struct slice cause;
    int64_t time_ns; /* committed; where the server doesn't say: received */
};

struct watch;
struct watch_kind {
    void (*event)(struct runner *runner, struct watch *watch,
                  const struct watch_event *event);
    /* watch->next has moved: a revision is whole. May be NULL. */
    void (*seen)(struct runner *runner, struct watch *watch);
    /* It is over: what is below `revision` is gone. */
    void (*compacted)(struct runner *runner, struct watch *watch,
                      int64_t revision);
};

/* One range on the stream. It begins again by itself after the stream's end,
 * from where it was. */
struct watch {
    const struct watch_kind *kind;
    struct list node;
    int64_t id; /* 0: not on the stream */
    struct slice key;
    struct slice end; /* empty: one key */
    /* All revisions below have been told. It begins one before it: a watch from
     * just the compacted revision would miss tombstones of that revision
     * without a word; from one before, it is told that it was compacted. */
    int64_t next;
    unsigned generation; /* of its beginnings; places are counted anew */
    bool is_created;
    bool in_fragment; /* of revision `next` a part has been told */
    bool wants_prev;
    bool wants_progress; /* behind; asks how far it is */
};

struct watching {
    struct list all;
    struct map_u64 by_id;
    int64_t next_id;
    bool is_open;
    unsigned failures;
    int64_t retry_at_ns; /* not before it is the stream opened again */
    struct timer retry;
    struct timer progress;
    bool progress_asked;   /* and not answered yet */
    struct watch *current; /* whose response is being told; NULL: it ended */
    size_t wanting;        /* that want progress */
    uint64_t events;
};
void watching__init(struct runner *runner);
void watching__deinit(struct runner *runner);
/* Needs: kind, key, end (which outlive it) and next. */
void watch__begin(struct runner *runner, struct watch *watch);
void watch__end(struct runner *runner, struct watch *watch); /* twice is fine */
void watch__want_progress(struct runner *runner, struct watch *watch,
                          bool wants);

/* ---- feed.c ------------------------------------------------------------- */

/* An event, kept for those that will take it. */
struct event {
    unsigned refs;
    unsigned size;
    int64_t revision;
    int64_t time_ns;
    enum event_type type;
    bool has_prev;
    int64_t mod_revision;
    struct slice cause;
    struct slice key;
    struct slice value;
    struct slice prev;
    char bytes[];
};
void event__unref(struct event *event);
struct event *event__new(const struct watch_event *event);

enum sub_state {
    SUB_OFF,
    SUB_BEHIND, /* on a watch of its own, until it has caught up */
    SUB_LIVE,   /* on the feed */
};
struct sub {
    struct work *work;
    size_t trigger; /* trigger_count: dead letters that are wanted again */
    const struct pattern *pattern;
    enum sub_state state;
    struct feed *feed;
    struct list node;  /* in feed->subs */
    int64_t compacted; /* its history is gone up to this; 0: it isn't */
    bool only_puts;    /* an inbox or records: deletes are only tidying */
    struct watch own;
    struct buf key; /* of `own` */
    struct buf end;
    int64_t next; /* all revisions below have been queued */
    int64_t placed_revision;
    unsigned placed_generation;
    uint32_t place;          /* of its next event of placed_revision */
    int64_t queued_revision; /* of the last event that was queued */
    uint32_t queued_place;
    size_t queued; /* of its events in the work's queue */
};

struct feed {
    struct buf range; /* the key's length, the key, the end */
    struct watch watch;
    struct pattern_trie *trie;
    struct list subs; /* those that are live */
    bool is_begun;
    struct timer gather; /* it waits for others that want the same */
    unsigned gathered;
};
struct feeds {
    struct map by_range;
    struct list overfull; /* works whose queue is full */
    /* What is being told, by which watch; as an event, once it was wanted. */
    const struct watch_event *telling;
    const struct watch *from;
    struct event *made;
};
void feeds__init(struct runner *runner);
void feeds__deinit(struct runner *runner);
void sub__init(struct sub *sub, struct work *work, size_t trigger,
               const struct pattern *pattern);
void sub__deinit(struct runner *runner, struct sub *sub);
/* From sub->next on. */
void sub__start(struct runner *runner, struct sub *sub);
/* sub->next is where it was. */
void sub__stop(struct runner *runner, struct sub *sub);
/* At the end of a response: works whose queue is full read no more. */
void feeds__relieve(struct runner *runner);
/* All revisions below this have been queued. */
int64_t sub__next(const struct sub *sub);

/* ---- defs.c, workers.c -------------------------------------------------- */

struct control {
    struct watch watch;
    char key[64];
    char end[64];
};
enum {
    CONTROL_DEF,
    CONTROL_STATUS,
    CONTROL_OWNER,
    CONTROL_WORKER,
    CONTROL_COUNT
};
struct defs {
    struct map by_name;
    struct def **sorted;
    size_t count;
    size_t capacity;
    bool are_known;
    struct control controls[CONTROL_COUNT];
    int reading; /* the control that is being read; -1: none */
    int64_t read_revision;
    struct buf read_from; /* the next page's first key */
    uint64_t call;
    struct timer retry;
    unsigned failures;
    unsigned mark;       /* of the reading; what isn't marked is gone */
    unsigned generation; /* of what recipes may write, for depth.c */
};
void defs__init(struct runner *runner);
void defs__deinit(struct runner *runner);
/* Reads them all. */
void defs__begin(struct runner *runner);
/* The owner of one, as of `revision`; older news than what is known is passed
 * over. `worker` empty: nobody. */
void def__set_owner(struct runner *runner, struct def *def, struct slice worker,
                    int64_t claim, int64_t revision);

struct worker {
    struct slice id;
    unsigned mark;
    char bytes[];
};
enum worker_state {
    WORKER_NONE,
    WORKER_GRANTING,
    WORKER_JOINING, /* has its lease, puts its key */
    WORKER_LIVES,
    WORKER_LEAVING, /* its works end their turns */
    WORKER_REVOKING,
};
enum { BEATS_MAX = 8 };
struct beat { /* a keepalive under way; call 0: none */
    uint64_t call;
    int64_t sent_ns;
};
struct workers {
    struct map by_id;
    enum worker_state state;
    char id[24]; /* ours: the lease in hex */
    int64_t lease;
    int64_t ttl_ns;
    int64_t alive_until_ns; /* by our clock; then it is in doubt */
    uint64_t call;
    int64_t granted_ns; /* when the lease was asked for */
    struct beat beats[BEATS_MAX];
    size_t next_beat;
    struct timer timer;
    struct timer look_again;
    unsigned failures;
    struct list claims; /* defs that wait to be claimed */
    struct list loads;  /* works that wait to be loaded */
    size_t claiming;    /* claims, releases and loads under way */
    bool has_begun; /* there was a recipe: before, the store is left alone */
    bool is_dirty;  /* all defs have to be looked at */
};
void workers__init(struct runner *runner);
void workers__deinit(struct runner *runner);
void workers__begin(struct runner *runner);
void workers__run(struct runner *runner);
/* A worker's key was put or has gone. */
void workers__told(struct runner *runner, struct slice id, bool lives,
                   unsigned mark);
void workers__sweep(struct runner *runner, unsigned mark);
/* What to do about a definition that has changed, or whose owner has. */
void workers__consider(struct runner *runner, struct def *def);
struct slice workers__me(const struct runner *runner);
void workers__leave(struct runner *runner);
/* A work that was asked to part is at rest: it is freed here. */
void workers__parted(struct runner *runner, struct work *work);
/* The weight of a worker for a recipe; the heaviest should have it. */
uint64_t workers__weight(struct slice name, struct slice worker);

/* ---- work.c ------------------------------------------------------------- */

struct queued {
    struct event *event;
    uint32_t place;
    uint32_t trigger;
};

enum work_state {
    WORK_IDLE, /* nothing of it is in memory: paused, or it waits to load */
    WORK_LOADING,
    WORK_RUNS,       /* has a machine; takes what comes */
    WORK_GRANTING,   /* there is a turn; its leases are asked for */
    WORK_COMMITTING, /* the turn's Txn is under way */
};

enum { LOAD_RANGES = 4 };
struct work_lease { /* for what has this ttl in the turn */
    struct list node;
    struct work *work;
    int64_t ttl_s;
    int64_t id; /* 0: not granted yet */
    int64_t asked_ns;
    uint64_t call;
};

struct work {
    struct def *def;
    enum work_state state;
    struct list ready; /* in runner->ready */
    struct timer timer;
    int64_t claim;           /* create revision of owner/<name> */
    int64_t retry_at_ns;     /* not loaded before */
    unsigned failures;       /* commits and loads, in a row */
    unsigned refused;        /* turns that the store won't take at all */
    unsigned denials;        /* of turns of one event, since one was done */
    uint64_t denied[4];      /* their effects */
    unsigned narrow_turns;   /* so many more go one event at a time */
    struct buf denial;       /* why */
    unsigned misses;         /* clock turns whose guard didn't hold, in a row */
    int64_t due_after_ns;    /* mono: no clock turns before */
    bool is_narrow;          /* one event a turn */
    bool is_parting;         /* gives its claim up once it is at rest */
    struct arena arena;      /* of what goes with the machine */
    struct machine *machine; /* NULL: it isn't loaded */
    int64_t cursor_revision; /* mod revision; what the next Txn compares */
    struct sub *subs;        /* trigger_count, and one for dead letters */
    size_t sub_count;
    size_t trigger_count;
    bool is_held; /* its queue was full: subscriptions are off */
    struct list overfull;
    /* The queue, a ring. */
    struct queued *queue;
    size_t queue_at;
    size_t queue_count;
    size_t queue_capacity;
    size_t queue_bytes;
    /* The turn. */
    struct turn turn;
    bool has_turn;
    bool is_clocked; /* has guards: it may well be too late */
    uint64_t call;
    int64_t committed_at_ns; /* mono: sent */
    struct list leases;
    struct turn lazy; /* memos that go before it */
    bool has_lazy;
    const char *status; /* to be written with it; NULL: none */
    struct slice status_why;
    uint64_t passed; /* events since the cursor was written */
    int64_t lazy_at_ns;
    /* Loading. */
    uint64_t load_call;
    int loading; /* which range */
    int64_t load_revision;
    bool has_more[LOAD_RANGES];
    struct buf load_from[LOAD_RANGES];
    struct buf cursor_value;
    bool has_cursor;
    bool is_counted; /* in workers.claiming */
    struct list load_waits;
    struct gap *gap;
    /* Lookups, and the depth of one revision. */
    struct map lookups;
    size_t lookups_out;
    int64_t depth_revision;
    unsigned depth;
    unsigned depth_at_least;
    struct buf parent;
    bool depth_is_known;
    uint64_t depth_call;
    struct depth_makers *makers; /* by trigger */
    size_t makers_count;
    unsigned makers_generation;
    /* Outside. */
    struct list retries;
    struct list acts;
    size_t outside;
    struct list outside_waits;
    struct clocks *clocks;
    struct fetches *fetches;
    struct keep *keep;
    /* What metrics tell. */
    int64_t last_time_ns; /* of the last event taken */
    uint64_t events, turns, fired, skipped, failed, retried, given_up;
    uint64_t conflicts;
};
struct work *work__new(struct runner *runner, struct def *def, int64_t claim);
void work__free(struct runner *runner, struct work *work);
/* It is looked at in this round. */
void work__ready(struct runner *runner, struct work *work);
void work__run(struct runner *runner, struct work *work);
/* Whose permissions it has; "": nobody's. Its `at` is never NULL. */
struct slice work__owner(const struct work *work);
/* All that is in memory of it goes; it loads again after `pause_ns`. */
void work__drop(struct runner *runner, struct work *work, int64_t pause_ns);
/* The definition or its state has changed. */
void work__changed(struct runner *runner, struct work *work);
/* It goes to another worker when its turn is done; or doesn't after all. */
void work__part(struct runner *runner, struct work *work);
void work__unpart(struct runner *runner, struct work *work);
/* Takes over a reference. */
void work__queue(struct runner *runner, struct sub *sub, struct event *event,
                 uint32_t place);
void work__start_subs(struct runner *runner, struct work *work);
void work__stop_subs(struct runner *runner, struct work *work);
/* A subscription found its history gone. */
void work__gap(struct runner *runner, struct sub *sub, int64_t compacted);
struct turn *work__turn(struct work *work); /* opens it if there is none */
void work__end_turn(struct work *work);
bool work__is_paused(const struct work *work);

/* work_load.c */
void work__load(struct runner *runner, struct work *work);
void load__stop(struct runner *runner, struct work *work);

/* work_commit.c */
void work__commit(struct runner *runner, struct work *work);
void commit__stop(struct runner *runner, struct work *work);
/* It stops, and says why. */
void work__trip(struct runner *runner, struct work *work, struct slice why);
/* The compares that every turn has. */
void work__fence(struct work *work, struct store_txn *txn);
void work__put_status(const struct work *work, struct store_txn *txn,
                      const char *state, struct slice why);
/* A call of it failed: it is loaded again, later and later. */
void work__failed(struct runner *runner, struct work *work, const char *what,
                  const struct store_answer *answer);
void work__drop_leases(struct runner *runner, struct work *work);
void leases__deinit(struct runner *runner);

/* gap.c: true where the work was dropped. */
bool gap__take(struct runner *runner, struct work *work);
void gap__stop(struct runner *runner, struct work *work);

struct lease_kept { /* of effects; young enough for others of this ttl */
    struct list node;
    int64_t ttl_s;
    int64_t id;
    int64_t granted_ns;
    /* And of this owner: who puts a key on a lease must be one who may write
     * all keys that are on it. */
    size_t owner_size;
    char owner[];
};

/* ---- what a turn asks ---------------------------------------------------- */

void lookup__init(struct work *work, uint64_t seed);
void lookup__deinit(struct work *work);
struct lookups lookup__of(struct work *work);
void lookup__clear(struct runner *runner, struct work *work);
/* Asks for what was noted. */
void lookup__fetch(struct runner *runner, struct work *work);

/* Who made an event: false where it has to be asked for first. */
bool depth__of(struct runner *runner, struct work *work, size_t trigger,
               const struct event *event, unsigned *depth,
               struct slice *parent);
void depth__clear(struct runner *runner, struct work *work);
void depth__deinit(struct work *work);
/* A turn of ours was committed. */
void depth__committed(struct runner *runner, struct work *work,
                      int64_t revision, const struct turn *turn);
void depth__forget(struct runner *runner);

struct depth_commit {
    int64_t revision;
    unsigned depth;
    struct buf parent;
};
enum { DEPTH_COMMITS_MAX = 1024 };

/* ---- clocks.c, fetch.c --------------------------------------------------- */

/* A memo, before the recipe runs; `rest` is what its key has behind "tick/" or
 * "fetch/". */
void clocks__memo(struct work *work, struct slice rest, struct slice value,
                  int64_t mod_revision);
void clocks__start(struct runner *runner, struct work *work);
void clocks__stop(struct runner *runner, struct work *work);

void fetch__memo(struct work *work, struct slice rest, struct slice value);
void fetch__start(struct runner *runner, struct work *work);
void fetch__stop(struct runner *runner, struct work *work);

/* ---- secret.c, act.c, outside.c ------------------------------------------ */

enum { SECRETS_MAX = 32 };
struct secret {
    struct slice name; /* part of what was searched */
    struct buf text;
};
struct secrets {
    struct secret all[SECRETS_MAX];
    size_t count;
    bool has_more; /* than that */
    uint64_t call;
    struct buf fault; /* why not; empty: all are there */
    bool is_final;    /* and never will be */
    void (*done)(struct runner *runner, void *context);
    void *context;
};
/* Reads those that `value` (which outlives it) names, where `user` may. `done`
 * is called once, maybe at once. */
void secrets__read(struct runner *runner, struct secrets *secrets,
                   struct slice user, const struct value *value,
                   void (*done)(struct runner *runner, void *context),
                   void *context);
void secrets__put_in(const struct secrets *secrets, struct slice text,
                     struct buf *out);
/* They are wiped. */
void secrets__forget(struct runner *runner, struct secrets *secrets);

enum { ACT_LIST_MAX = 256, ACT_TEXTS_MAX = ACT_LIST_MAX + 16 };
struct act_maker {
    enum action_kind kind;
    const struct value *parts;
    const struct secrets *secrets;
    struct slice idempotency_key;
    int64_t timeout_ns;
    int64_t wall_ns;
    /* private: */
    struct buf filled[ACT_TEXTS_MAX];
    size_t filled_count;
    struct slice list[ACT_LIST_MAX];
    struct arena arena;
};
/* NULL, or why it can't be. `out` is valid until act__unmake. */
const char *act__make(struct act_maker *maker, struct act *out);
void act__unmake(struct act_maker *maker);

/* One that is at the door. */
struct acting {
    uint64_t id; /* 0: it isn't */
    void (*done)(struct runner *runner, struct acting *acting,
                 const struct act_answer *answer);
};
void acting__send(struct runner *runner, struct acting *acting,
                  const struct act *act);
void acting__forget(struct runner *runner, struct acting *acting);

/* Sends what the machine wants; only between turns. */
void outside__pump(struct runner *runner, struct work *work);
/* Answers into the turn; it was committed. */
enum turn_end outside__take(struct runner *runner, struct work *work);
void outside__committed(struct runner *runner, struct work *work);
/* The machine goes; the work goes. */
void outside__drop(struct runner *runner, struct work *work);
void outside__stop(struct runner *runner, struct work *work);
void outside__deinit(struct runner *runner);

/* ---- retries.c, keep.c --------------------------------------------------- */

void retries__add(struct runner *runner, struct work *work, struct slice key);
enum turn_end retries__take(struct runner *runner, struct work *work);
bool retries__are_taken(const struct work *work);
void retries__write(const struct work *work, struct store_txn *txn);
void retries__committed(struct runner *runner, struct work *work);
void retries__drop(struct runner *runner, struct work *work);

void keep__start(struct runner *runner, struct work *work);
void keep__committed(struct work *work, const struct turn *turn);
bool keep__wants_cursor(const struct work *work);
void keep__cursor_written(struct work *work);
void keep__stop(struct runner *runner, struct work *work);

/* ---- age.c --------------------------------------------------------------- */

enum { AGE_SAMPLES_MAX = 8 * 24 * 4 };
struct age_sample {
    int64_t mono_ns;
    int64_t revision;
};
struct ages {
    struct age_sample samples[AGE_SAMPLES_MAX];
    size_t count;
    struct timer timer;
};
void ages__start(struct runner *runner);
void ages__stop(struct runner *runner);
/* The newest revision that is so old. On etched it is asked for, and read from
 * the answer (0: none); on etcd it is known at once, or isn't (0). */
uint64_t age__ask(struct runner *runner, int64_t age_ns, store_done done,
                  void *context);
int64_t age__answer(const struct store_answer *answer);
int64_t age__seen(const struct runner *runner, int64_t age_ns);

/* ---- told.c -------------------------------------------------------------- */

/* Buckets of 0.5 ms, 1 ms, 2 ms, ... */
enum { TOLD_BUCKETS = 18 };
struct told_histogram {
    uint64_t buckets[TOLD_BUCKETS];
    uint64_t count;
    double sum_s;
};
struct told {
    uint64_t events, turns, fired, skipped, failed, retried, dead, trips;
    uint64_t conflicts, gaps;
    struct told_histogram actions;
    struct told_histogram commits;
};
void told__histogram(struct told_histogram *histogram, int64_t took_ns);
void told__action(struct runner *runner, int64_t took_ns);
void told__committed(struct runner *runner, struct work *work,
                     const struct turn *turn);

/* ---- the struct --------------------------------------------------------- */

enum runner_state { RUNNER_NEW, RUNNER_RUNS, RUNNER_STOPS, RUNNER_STOPPED };

struct runner {
    struct runner_config config;
    struct runner_now now;
    enum runner_state state;
    struct prng prng;
    uint64_t hash_seed;
    int64_t revision;
    bool is_woken;
    struct heap timers;
    struct list ready;
    struct store store;
    struct watching watching;
    struct feeds feeds;
    struct defs defs;
    struct workers workers;
    struct map_u64 acts; /* actions and fetches outside, by id */
    uint64_t next_act;
    size_t outside; /* actions under way */
    struct list outside_waits;
    struct list leases;
    struct map_u64 commits; /* of ours, by revision */
    struct depth_commit commit_ring[DEPTH_COMMITS_MAX];
    size_t commit_at;
    struct ages ages;
    struct told told;
    struct rest *rest;
};

#endif
