/* A recipe: the document, read and checked, as a plan that a machine works by.
 *
 *   recipe_parse   YAML or JSON -> struct recipe, or where and why not
 *
 * The plan is plain data and never changes once it is made. Everything in it
 * lives in its own arena; expressions and templates are compiled.
 *
 * Threads: a plan may be read by any number at once.
 */
#ifndef ETCHED_RECIPE_RECIPE_H
#define ETCHED_RECIPE_RECIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "doc/doc.h"
#include "expr/expr.h"
#include "recipe/keys.h"
#include "recipe/pattern.h"
#include "recipe/schedule.h"

enum {
    RECIPE_BYTES_MAX = 64 << 10,
    RECIPE_TRIGGERS_MAX = 16,
    RECIPE_ACTIONS_MAX = 32, /* of a list */
    RECIPE_ACTIVE_MAX = 1000,
    RECIPE_DEPTH_DEFAULT = 8,
};

/* ---- ingredients -------------------------------------------------------- */

/* Slots that every recipe has; then its captures by name (of all triggers,
 * each name once), then its `let`s. */
enum ingredient {
    INGREDIENT_KEY,     /* string */
    INGREDIENT_VALUE,   /* parsed where it is JSON, else the string */
    INGREDIENT_RAW,     /* string, or bytes where it isn't UTF-8 */
    INGREDIENT_PREV,    /* as value; null where there was none */
    INGREDIENT_EVENT,   /* {type, cause, revision, time, depth} */
    INGREDIENT_RECIPE,  /* the name */
    INGREDIENT_LABELS,  /* a map */
    INGREDIENT_ITEM,    /* of a feed or poll */
    INGREDIENT_BODY,    /* of a webhook; parsed where it is JSON */
    INGREDIENT_HEADERS, /* of a webhook; names in lower case */
    INGREDIENT_ARGS,    /* of a manual run or a call: a map */
    INGREDIENT_STEPS,   /* answers of earlier actions, by id */
    INGREDIENT_ERROR,   /* in on_failure: a string */
    INGREDIENT_COUNT,
};

/* ---- triggers ----------------------------------------------------------- */

enum trigger_kind {
    TRIGGER_KEY,
    TRIGGER_ABSENT,
    TRIGGER_EVERY,
    TRIGGER_CRON,
    TRIGGER_AT,
    TRIGGER_WEBHOOK,
    TRIGGER_FEED,
    TRIGGER_POLL,
    TRIGGER_RECIPE,
    TRIGGER_MANUAL,
    TRIGGER_CALL, /* every recipe has it, as its last: what `call` and `run`
                     put; not in the document */
};

enum event_type {
    EVENT_CREATE = 1,
    EVENT_UPDATE = 2,
    EVENT_DELETE = 4, /* by somebody */
    EVENT_EXPIRE = 8, /* by its lease; told apart by the cause */
    EVENT_PUT = EVENT_CREATE | EVENT_UPDATE,
};
const char *event_type_text(enum event_type type);

enum misfire { MISFIRE_LAST, MISFIRE_SKIP, MISFIRE_ALL };
enum { MISFIRE_ALL_MAX = 100 };

struct trigger {
    enum trigger_kind kind;
    size_t index;
    /* Of the keys that it watches: the user's, or its place in the inbox. */
    struct pattern pattern;
    /* Slot of each capture of the pattern, in its order. Those of the inbox
     * have one too, whose name is empty. */
    size_t capture_slots[PATTERN_CAPTURES_MAX];
    unsigned events; /* enum event_type, as bits */
    /* NULL: none. What must differ from before: it is evaluated as it stands
     * and with `prev` in the place of `value`. `changed: true` is `value`. */
    struct expr *changed;
    struct {
        struct expr *of; /* NULL: none */
        double limit;    /* above it, or below */
        double reset;
        bool below;
    } crosses;
    int64_t for_ns; /* 0: none */
    struct schedule schedule;
    enum misfire misfire;
    struct {
        struct slice path;   /* webhook */
        struct slice secret; /* name of the HMAC secret; empty: none */
        struct slice header; /* with the signature: "x-hub-signature-256" */
        struct expr *dedupe; /* NULL: the delivery's header, else the body */
        int64_t dedupe_ns;   /* how long an id is remembered: 24 h */
    } hook;
    struct {
        struct template *url; /* feed and poll */
        int64_t every_ns;
        struct expr *items; /* poll: the list in the answer (`body`) */
        struct expr *id;    /* of one `item` */
    } fetch;
    struct {
        struct slice name; /* the other recipe */
        unsigned outcomes; /* bits 1 << enum run_status; without a word of it
                              RUN_OK alone */
    } other;
};

/* ---- actions ------------------------------------------------------------ */

enum action_kind {
    ACTION_PUT,
    ACTION_DELETE,
    ACTION_TXN,
    ACTION_HTTP,
    ACTION_EMAIL,
    ACTION_EXEC,
    ACTION_LOG,
    ACTION_CALL,
    ACTION_WAIT,
};
/* Not the store's business: the run waits for its answer. (A wait has none:
 * it isn't one of these.) */
bool action_is_outside(enum action_kind kind);
const char *action_kind_text(enum action_kind kind);

/* JSON whose strings are templates: a leaf, a list or a map. */
struct form {
    enum { FORM_CONSTANT, FORM_TEMPLATE, FORM_LIST, FORM_MAP } kind;
    struct value constant;
    struct template *template;
    struct form *items;  /* of a list or a map */
    struct slice *names; /* of a map */
    size_t count;
};

struct action;
struct compare {
    struct template *key;
    enum {
        COMPARE_VALUE,
        COMPARE_VERSION,
        COMPARE_CREATED,
        COMPARE_MODIFIED,
        COMPARE_EXISTS
    } target;
    enum {
        COMPARE_EQUAL,
        COMPARE_UNEQUAL,
        COMPARE_GREATER,
        COMPARE_LESS
    }
    operator;
    struct form *value;
};

struct action {
    enum action_kind kind;
    struct slice id;   /* given, or its place: "0", "1"; in on_failure "f0",
                         "f1"; empty within a txn */
    struct expr *when; /* its own `if`; NULL: always */
    int64_t timeout_ns;
    struct {
        unsigned max; /* tries after the first */
        int64_t base_ns;
        int64_t cap_ns;
    } retry;
    /* put, delete: */
    struct template *key;
    struct form *value;
    int64_t ttl_ns;          /* 0: none */
    bool prefix;             /* delete: all below */
    struct key_shape writes; /* what `key` may become (with prefix: and all
                                below) */
    /* txn: */
    struct compare *compares;
    size_t compare_count;
    struct action *then;
    size_t then_count;
    struct action *otherwise;
    size_t otherwise_count;
    /* http: */
    struct template *method;
    struct template *url;
    struct form *headers; /* a map; NULL: none */
    struct form *json;    /* one of these two, or neither */
    struct template *body;
    bool redirects;
    /* email: */
    struct form *to; /* a list */
    struct template *from;
    struct template *subject;
    struct template *text;
    struct template *server; /* smtp://.. */
    /* exec: */
    struct form *arguments; /* a list; the first is the program */
    struct form *input;
    /* log: */
    struct template *message;
    enum { LOG_AT_DEBUG, LOG_AT_INFO, LOG_AT_WARN, LOG_AT_ERROR } level;
    /* call: */
    struct slice callee;
    struct form *args;
    /* wait: */
    int64_t wait_ns;
};

/* ---- the recipe --------------------------------------------------------- */

enum recipe_order { ORDER_PER_KEY, ORDER_STRICT, ORDER_NONE };
enum recipe_mode { MODE_QUEUED, MODE_SINGLE, MODE_RESTART, MODE_PARALLEL };
enum recipe_start { START_NOW, START_BEGINNING, START_REVISION };
enum recipe_gap { GAP_PAUSE, GAP_SKIP, GAP_RESYNC };

struct condition {
    struct slice text;
    struct expr *expr;
};
struct let {
    struct slice name;
    size_t slot;
    struct template *value;
};

struct recipe {
    struct arena arena; /* all of it */
    struct slice name;
    struct slice description;
    struct value labels; /* a map of strings */
    bool enabled;
    bool shadow;
    struct slice owner;
    struct trigger *triggers; /* the last one is TRIGGER_CALL */
    size_t trigger_count;
    struct condition *where;
    size_t where_count;
    struct let *lets; /* each may use those before it */
    size_t let_count;
    struct action *then;
    size_t then_count;
    struct action *on_failure;
    size_t on_failure_count;
    enum recipe_order order;
    enum recipe_mode mode;
    unsigned max; /* runs under way, those that are queued too */
    struct {
        struct template *key; /* NULL: none */
        int64_t ttl_ns;
    } dedupe;
    struct {
        unsigned count; /* 0: none */
        int64_t per_ns;
    } throttle;
    int64_t debounce_ns;
    enum recipe_start start;
    int64_t start_revision;
    enum recipe_gap on_gap;
    unsigned max_depth;
    bool reentrant;
    /* More runs than this of events that recipes made: tripped. */
    struct {
        unsigned count; /* 1,000 */
        int64_t per_ns; /* 1 m */
    } breaker;
    unsigned keep_runs;      /* 1,000 */
    int64_t keep_ns;         /* 7 d */
    struct expr_names names; /* ingredients, captures, lets */
    struct doc_value *tests; /* NULL: none; checked in form (recipe/test.h) */
    struct slice json;       /* canonical: members in the order of the
                                specification, defaults left out */
};

struct recipe_fault {
    int line; /* of the document; 0: not known */
    int column;
    char path[128]; /* "then[1].http.url" */
    char text[512]; /* what is wrong, and what to write instead */
};

/* `zones` for cron and for zones in expressions; must outlive the plan.
 * Owns:   *out is the caller's, for recipe_free.
 * Errors: ERR_INVALID with *fault and a note ("line 3, column 7: if[0].key:
 *         ..."); ERR_TOO_LARGE; ERR_UNSUPPORTED for what comes later (mqtt,
 *         cluster, lua), saying so. */
enum err recipe_parse(struct slice text, const struct zones *zones,
                      struct recipe **out, struct recipe_fault *fault) MUST_USE;
/* The same, of a document that says no name or no owner of its own: these are
 * taken then ("": none). */
struct recipe_given {
    struct slice name;
    struct slice owner;
};
enum err recipe_parse_given(struct slice text, const struct recipe_given *given,
                            const struct zones *zones, struct recipe **out,
                            struct recipe_fault *fault) MUST_USE;
void recipe_free(struct recipe *recipe); /* NULL is fine */

/* What a put or delete (`then` of a txn too) of its actions may write. Appends
 * to arena; returns the count. */
size_t recipe_writes(const struct recipe *recipe, struct arena *arena,
                     struct key_shape **out);
/* True where an action of `writer` may make an event of `trigger`. */
bool recipe_feeds(const struct recipe *writer, const struct trigger *trigger);

/* "5m", "1h30m", "7d", "250ms"; false: not one. */
bool recipe_duration(struct slice text, int64_t *out);

#endif
