/* What the files of the machine share.
 *
 *   machine.c         making it, loading it, positions
 *   machine_memo.c    what it remembers, by the store's keys; when it is due
 *   machine_unit.c    a change that is done as a whole, or not at all
 *   machine_scene.c   ingredients, and evaluating with them
 *   machine_reads.c   which ingredients a recipe's actions read
 *   machine_event.c   one event: which path it takes
 *   machine_key.c     key triggers: changed, crosses, for
 *   machine_absent.c  absent triggers
 *   machine_limit.c   dedupe, debounce, throttle, loops, the breaker
 *   machine_run.c     a run: its scope, its steps, its end
 *   machine_step.c    put, delete, txn, log, call
 *   machine_form.c    templates and forms as text and values
 *   machine_outside.c actions outside: requests, answers, the dead
 *   machine_due.c     what is due
 *   record.c          records, runs, events and values as JSON; and back
 *   account.c         why, and why not
 *   turn.c            what is to be committed
 *
 * All that a machine knows beyond its positions is memos: each is one key of
 * the store, is never changed once it is made, and is replaced as a whole. A
 * run under way is a memo too: it goes on from what stands there, so it makes
 * no difference whether there was a crash in between.
 *
 * A unit replaces memos at once and remembers those that it replaced. At its
 * end it goes into the turn, or, where it doesn't fit or wants something, all
 * of them are put back.
 */
#ifndef ETCHED_RECIPE_MACHINE_INT_H
#define ETCHED_RECIPE_MACHINE_INT_H

#include "base/heap.h"
#include "recipe/explain.h"
#include "recipe/machine.h"

enum {
    /* What a turn of one event may have: etcd's --max-request-bytes is 1.5
     * MiB. */
    TURN_BYTES_ALONE_MAX = 5 << 18,
    TURN_GUARDS_MAX = 100,
    /* Of an answer's body, for the steps that follow. */
    ANSWER_BODY_BYTES_MAX = 64 << 10,
    ERROR_BYTES_MAX = 512,
    LOG_BYTES_MAX = 4 << 10,
    /* A throttle remembers each run up to this count; beyond, when its time
     * began and how many. */
    THROTTLE_TIMES_MAX = 100,
    RUN_ACTIONS_MAX = 2 * RECIPE_ACTIONS_MAX,
};

/* ---- memos -------------------------------------------------------------- */

enum memo_kind {
    MEMO_EDGE,     /* it has crossed, and isn't armed; without: it is */
    MEMO_HOLD,     /* `for` counts, or has fired and isn't broken yet */
    MEMO_ABSENT,   /* when a key was last put */
    MEMO_DEDUPE,   /* seen, until when */
    MEMO_THROTTLE, /* when it ran */
    MEMO_DEBOUNCE, /* the latest event, until it has been quiet */
    MEMO_BREAKER,  /* how often it ran of what recipes made */
    MEMO_ACTIVE,   /* a run under way */
    MEMO_KIND_COUNT,
};

enum active_state {
    ACTIVE_QUEUED,  /* another of its scope is before it */
    ACTIVE_OUTSIDE, /* an action is to be tried, or is being tried */
    ACTIVE_WAITING,
};

struct scope;
struct memo {
    struct slice key;   /* the store's */
    struct slice id;    /* part of it: behind the kind and the trigger's tag */
    struct slice value; /* JSON; MEMO_ABSENT: made when it is written */
    enum memo_kind kind;
    size_t trigger; /* EDGE, HOLD, ABSENT, DEBOUNCE; else SIZE_MAX */
    struct heap_node due;
    int64_t due_ns; /* INT64_MAX: never; 0: at once */
    bool is_dirty;  /* isn't in the store like this yet */
    struct list dirty;
    union {
        struct {
            int64_t at_ns;      /* last put */
            struct run_id seen; /* last event */
            int64_t put;        /* revision of the last put; 0: none seen */
            bool is_gone;       /* deleted since */
            bool has_fired;
        } absent;
        struct {
            bool has_fired;
        } hold;
        struct {
            int64_t until_ns;
            struct heap_node node;
        } dedupe;
        struct {
            int64_t start_ns;
            uint64_t count;
        } breaker;
        struct {
            struct run_id id;
            int64_t sequence; /* the order in which they began */
            enum active_state state;
            struct slice scope; /* empty: none */
            struct list in_scope;
            struct scope *scoped;
            struct list by_age;
            struct heap_node ready; /* machine->outs */
            int64_t not_before_ns;
            bool is_out;
            struct active_outside *outside; /* made when it is asked for */
        } active;
    };
    char bytes[];
};

/* Runs under way that follow each other, oldest first. */
struct scope {
    struct slice name;
    struct list runs;
    char bytes[];
};

enum { DENIED_MAX = 4 };

struct machine {
    struct machine_config config;
    const struct recipe *recipe;
    bool is_loaded; /* its cursor */
    bool has_stopped;
    struct run_id *positions; /* by trigger */
    struct slice *tags;       /* of triggers, in the ids of memos */
    bool *absent_begun; /* absent triggers of one key: have a memo, or can't */
    struct map memos;
    /* By when they are due: one a trigger, and one for runs. */
    struct heap *due;
    struct heap expiry; /* MEMO_DEDUPE */
    struct heap outs;   /* MEMO_ACTIVE that may go out */
    struct list dirty;
    struct list actives; /* oldest first */
    size_t active_count;
    size_t outside_count;
    struct map scopes;
    int64_t next_sequence;
    int64_t latest_ns;    /* of events */
    int64_t clock_ns;     /* of machine_due */
    struct list gone;     /* replaced while they were out */
    struct list stale;    /* keys of triggers that are no more */
    struct arena arena;   /* of the machine's life */
    struct arena scratch; /* of one unit */
    bool reads_value, reads_prev, reads_steps;
    bool is_narrow; /* one unit a turn */
    const char *denied_why;
    uint64_t denied[DENIED_MAX]; /* effects that are refused */
    size_t denied_count;         /* so many ever */
    char nonce[16];              /* what stands for a secret can't be guessed */
};

/* All of the key but "/_recipes/state/<name>/". */
struct memo *memo__new(const struct machine *machine, enum memo_kind kind,
                       size_t trigger, struct slice id, struct slice value);
void memo__free(struct memo *memo);
struct memo *memo__find(const struct machine *machine, enum memo_kind kind,
                        size_t trigger, struct slice id);
struct memo *memo__find_run(const struct machine *machine,
                            const struct run_id *id);
/* In and out of the machine and all its lists. */
void memo__attach(struct machine *machine, struct memo *memo);
void memo__detach(struct machine *machine, struct memo *memo);
/* The first run of a scope; NULL: there is none. */
struct memo *memo__first_in_scope(const struct machine *machine,
                                  struct slice scope);
struct run;
/* What is known of a run without reading all of it. */
void memo__set_active(struct memo *memo, const struct run *run);
/* From the store. A memo of a trigger that is no more: *out is NULL. */
enum err memo__read(struct machine *machine, struct slice key,
                    struct slice rest, enum memo_kind kind, struct slice value,
                    struct memo **out) MUST_USE;
bool memo__kind_from_text(struct slice text, enum memo_kind *out);
void memo__write_absent(const struct memo *memo, struct buf *out);

/* ---- units -------------------------------------------------------------- */

/* How a unit that is too large for a turn of its own is done again. */
enum unit_level {
    UNIT_NORMAL,
    UNIT_FAILS,      /* its steps fail at once; on_failure is done */
    UNIT_FAILS_BARE, /* without on_failure, too */
    UNIT_LEVELS,
};

struct unit_change {
    struct memo *old; /* NULL: there was none */
    struct memo *new; /* NULL: there is none now */
    bool is_lazy;     /* not in the turn */
};
struct unit_range {
    struct list node;
    struct slice key;
    struct slice end;
};
struct unit {
    struct machine *machine;
    struct turn *turn;
    const struct lookups *lookups;
    struct account *account;
    struct arena *arena; /* until the unit's end */
    enum unit_level level;
    bool wants;          /* a lookup isn't there */
    bool is_by_clock;    /* something is due, and no event says that it is */
    const char *refusal; /* why it fails, above UNIT_NORMAL */
    int64_t now_ns;
    struct unit_change *changes;
    size_t change_count;
    size_t change_capacity;
    struct turn_operation *operations;
    size_t count;
    size_t capacity;
    struct turn_run *runs;
    size_t run_count;
    struct slice *logs;
    size_t log_count;
    size_t log_capacity;
    struct turn_compare guard;
    bool has_guard;
    uint64_t fired, skipped, failed;
    unsigned depth;    /* of its effects */
    struct slice stop; /* why the recipe stops; empty: it doesn't */
    size_t trigger;    /* whose position moves; SIZE_MAX: none */
    struct run_id position;
};

/* Does `body` as a unit; again at a higher level where it is too large. */
typedef void (*unit_body)(struct unit *unit, void *context);
struct unit_config {
    struct machine *machine;
    struct turn *turn;
    const struct lookups *lookups;
    struct account *account;
    int64_t now_ns;
    bool is_by_clock;
};
enum turn_end unit__do(const struct unit_config *config, unit_body body,
                       void *context);
/* The memo takes the place of the one with its key; the unit has it now. */
void unit__set(struct unit *unit, struct memo *memo);
/* As that, but needn't be in the store before the cursor is. */
void unit__set_lazily(struct unit *unit, struct memo *memo);
void unit__drop(struct unit *unit, struct memo *memo);
/* An operation of the machine's own, on a key that is no memo. */
void unit__put_own(struct unit *unit, struct slice key, struct slice value);
void unit__delete_own(struct unit *unit, struct slice key);
/* An effect. What the unit did to the same key before is replaced by it.
 * False where that can't be done (*why). Lives in the unit's arena. */
bool unit__add_effect(struct unit *unit, const struct turn_operation *operation,
                      const char **why);
void unit__add_run(struct unit *unit, const struct run_id *id,
                   enum run_status status, struct slice record);
void unit__add_log(struct unit *unit, struct slice line);
/* "prefix", "prefiy": the end of all that begins with it; empty: no end. */
struct slice unit__prefix_end(struct arena *arena, struct slice prefix);

/* ---- turn.c ------------------------------------------------------------- */

/* The operation on this key, or NULL. */
struct turn_operation *turn__find(const struct turn *turn, struct slice key);
bool turn__touches(const struct turn *turn,
                   const struct turn_operation *operation);
/* Copies it. One of the machine's own replaces an earlier one of the key. */
void turn__add(struct turn *turn, const struct turn_operation *operation);
uint64_t turn__effects(const struct turn_operation *operations, size_t count);
void turn__add_run(struct turn *turn, struct slice recipe,
                   const struct turn_run *run);
void turn__add_guard(struct turn *turn, const struct turn_compare *guard);
void turn__add_log(struct turn *turn, struct slice line);
size_t turn__bytes(const struct turn_operation *operation);
struct slice turn__copy(struct arena *arena, struct slice text);
/* True where [a, a_end) and [b, b_end) have a key in common; an empty end: one
 * key; a zero byte: no end. */
bool turn__overlap(struct slice a, struct slice a_end, struct slice b,
                   struct slice b_end);

/* ---- scenes ------------------------------------------------------------- */

/* What a run keeps of the event that it is about. */
struct scene_event {
    struct recipe_event event;
    bool has_raw; /* else it is looked up where it is wanted */
    bool knows_prev;
    int64_t look; /* revision that lookups read */
    int64_t put;  /* revision of the value that is looked up */
};
struct scene_answer {
    struct slice id;
    struct value value; /* {"status", "headers", "body": text} */
};

struct scene {
    struct unit *unit;
    size_t trigger; /* SIZE_MAX: one that is no more */
    struct scene_event event;
    struct value *slots;
    struct expr_world world;
    bool shows_secrets; /* as what stands for them */
    const struct scene_answer *answers;
    size_t answer_count;
    struct slice error;
};
void scene__init(struct scene *scene, struct unit *unit, size_t trigger,
                 const struct scene_event *event);
/* For an action outside: what secret() gives never gets into `of`. */
void scene__init_outside(struct scene *scene, const struct scene *of);
/* `answers` or `error` have changed. */
void scene__forget_steps(struct scene *scene);
/* False where it waits (unit->wants). An error is a value. */
bool scene__eval(struct scene *scene, const struct expr *expr,
                 struct value *out);
bool scene__eval_template(struct scene *scene, const struct template *template,
                          struct value *out);
/* With this value in the place of `value`. */
bool scene__eval_with(struct scene *scene, const struct expr *expr,
                      struct value value, struct value *out);
struct value scene__prev(struct scene *scene);
void scene__from_event(struct scene_event *out,
                       const struct recipe_event *event);
/* Evaluates those `let`s whose worth may be gone later. */
void scene__settle_lets(struct scene *scene);
bool reads__slot(const struct recipe *recipe, size_t slot);

/* ---- templates and forms (machine_form.c) -------------------------------- */

/* Each: false where it waits, or failed (*why is set, else empty). */
bool form__text(struct scene *scene, const struct template *template,
                struct slice *out, struct slice *why);
bool form__value(struct scene *scene, const struct form *form,
                 struct value *out, struct slice *why);
/* As it is put: strings as they are, all else as JSON. */
bool form__put_text(struct scene *scene, const struct form *form,
                    struct slice *out, struct slice *why);
struct slice form__json(struct arena *arena, const struct value *value);
struct slice form__shorten(struct slice text, size_t max);
struct slice form__printf(struct arena *arena, const char *format, ...)
    PRINTF_LIKE(2, 3);

/* ---- runs --------------------------------------------------------------- */

/* A run, as it is worked at: made of an event, or of a memo; all of it is the
 * unit's. */
struct run {
    struct run_id id;
    struct run_id origin; /* what it is called outside */
    size_t trigger;
    struct scene_event event;
    int64_t started_ns;
    int64_t sequence; /* 0: hasn't been under way */
    struct slice scope;
    struct memo *memo; /* it has; NULL: none */
    bool in_failure;   /* at on_failure, of which `next` is the next */
    size_t next;
    struct slice error;
    struct scene_answer answers[RUN_ACTIONS_MAX];
    size_t answer_count;
    struct slice notes; /* of its steps: JSON, without the brackets */
    struct value lets;  /* a map, or null */
    /* Under way: */
    enum active_state state;
    struct slice step;
    int64_t not_before_ns;
    enum action_kind kind; /* of an action outside: */
    int64_t timeout_ns;
    unsigned attempt;
    struct slice request;
    /* While its steps are done: */
    struct scene scene;
};
/* What has fired: goes through the limits, or is recorded. */
void run__fire(struct unit *unit, size_t trigger,
               const struct scene_event *event, uint32_t tag);
/* After them. */
void run__begin(struct unit *unit, size_t trigger,
                const struct scene_event *event, const struct run_id *id);
/* Recorded as failed, and nothing else. */
void run__record_failed(struct unit *unit, size_t trigger,
                        const struct scene_event *event,
                        const struct run_id *id, struct slice error);
void run__go_on(struct unit *unit, struct run *run);
/* From its memo, to go on: NULL where the recipe hasn't the step any more;
 * then it has been brought to its end. */
struct run *run__resume(struct unit *unit, struct memo *memo);
/* Makes its scene, with the lets that were settled when it was suspended. */
void run__set_scene(struct unit *unit, struct run *run);
/* The step at hand has failed: on_failure, or the end. */
void run__fail(struct unit *unit, struct run *run, struct slice error);
void run__suspend(struct unit *unit, struct run *run, enum active_state state);
/* The action at hand; NULL: the recipe has none such any more. */
const struct action *run__action(const struct unit *unit,
                                 const struct run *run);
/* `more`: further members, each with a comma before it. */
void run__note(struct unit *unit, struct run *run, const struct action *action,
               const char *status, struct slice more);
struct run_id run__id(size_t trigger, const struct run_id *event, uint32_t tag);

enum step_end { STEP_DONE, STEP_FAILED, STEP_SUSPENDED, STEP_WANTS };
/* The store's own; *why: of STEP_FAILED; *more: for its note. */
enum step_end step__do(struct unit *unit, struct run *run,
                       const struct action *action, struct slice *why,
                       struct slice *more);
enum step_end outside__begin(struct unit *unit, struct run *run,
                             const struct action *action, struct slice *why,
                             struct slice *more);
void outside__free(struct active_outside *outside);

/* ---- limits ------------------------------------------------------------- */

/* True where it may pass; false: it is held back or the unit wants. */
bool limit__dedupe(struct unit *unit, struct scene *scene,
                   const struct run_id *id);
bool limit__debounce(struct unit *unit, struct scene *scene);
bool limit__throttle(struct unit *unit);
bool limit__breaker(struct unit *unit, const struct scene_event *event);
/* Ones that have passed by are dropped into `turn`. */
void limit__expire(struct machine *machine, struct turn *turn);

/* ---- triggers ----------------------------------------------------------- */

/* The conditions: are all of them true? One that is an error is recorded as the
 * failure of the run `id`. */
bool where__holds(struct unit *unit, struct scene *scene,
                  const struct run_id *id);
void key__take(struct unit *unit, size_t trigger,
               const struct scene_event *event);
void key__fire_hold(struct unit *unit, struct memo *memo);
void absent__take(struct unit *unit, size_t trigger,
                  const struct recipe_event *event);
void absent__fire(struct unit *unit, struct memo *memo);
int64_t absent__due(const struct machine *machine, const struct memo *memo);
bool absent__is_to_begin(const struct machine *machine, size_t trigger);
void absent__begin(struct unit *unit, size_t trigger);
void debounce__fire(struct unit *unit, struct memo *memo);
/* What is due by config->now_ns; of one trigger (and runs), or with SIZE_MAX
 * all. */
enum turn_end due__fire(const struct unit_config *config, size_t trigger);

/* ---- record.c ----------------------------------------------------------- */

void record__write_event(const struct machine *machine, struct buf *out,
                         const struct scene_event *event);
enum err record__read_event(struct arena *arena, const struct doc_value *doc,
                            struct scene_event *out) MUST_USE;
/* A run under way, to its memo and back. */
void record__write_active(const struct machine *machine, const struct run *run,
                          struct buf *out);
enum err record__read_active(const struct machine *machine, struct arena *arena,
                             const struct doc_value *doc,
                             struct run *out) MUST_USE;
/* Members of a note, each with a comma before it: the host, the program. */
struct slice record__of_request(struct arena *arena, enum action_kind kind,
                                struct slice request);
void record__write_dead(const struct unit *unit, const struct run *run,
                        struct slice why, struct buf *out);
/* As REST shows it. */
struct slice record__of_run(const struct unit *unit, const struct run *run,
                            enum run_status status);
void record__write_run(const struct machine *machine, const struct run *run,
                       enum run_status status, int64_t ended_ns,
                       struct buf *out);
/* A value with its kind; values that came from the store as they were. */
void record__pack(struct buf *out, const struct value *value);
struct value record__unpack(struct arena *arena, const struct doc_value *doc);
enum err record__parse(struct arena *arena, struct slice text,
                       struct doc_value **out) MUST_USE;
/* A string, with quotes; where it isn't UTF-8 {"hex": ".."}. */
void record__string(struct buf *out, struct slice text);
bool record__text(struct arena *arena, const struct doc_value *doc,
                  struct slice *out);
bool record__number(const struct doc_value *map, const char *name,
                    int64_t *out);
void record__time(struct buf *out, int64_t time_ns);

/* ---- account.c ---------------------------------------------------------- */

/* All take NULL. */
void account__begin(struct account *account, size_t trigger,
                    const struct recipe_event *event);
/* `saw`: JSON; empty: {}. */
void account__check(struct account *account, const char *check,
                    struct slice text, struct slice saw, bool result,
                    const char *why);
/* The first one counts. */
void account__outcome(struct account *account, const char *format, ...)
    PRINTF_LIKE(2, 3);
void account__fired(struct account *account);
void account__end(struct account *account);
void account__check_values(struct account *account, const char *check,
                           struct slice text, const char *name,
                           const struct value *value, const char *other_name,
                           const struct value *other, bool result,
                           const char *why);
/* The ingredients that it reads, as JSON; empty where there is no account. */
struct slice account__saw(const struct scene *scene, const struct expr *expr);

#endif
