/* The REST interface, inside.
 *
 *   rest.c          requests under way, routes, answers, errors
 *   rest_access.c   who may
 *   rest_query.c    what stands behind the '?'
 *   rest_defs.c     defs: list, read, write, delete, run, pause, resume, test
 *   rest_runs.c     runs: those under way and the records of the finished
 *   rest_run.c      one of them, by its id alone
 *   rest_resume.c   resume, from where it is or from elsewhere
 *   rest_dead.c     the dead-letter list
 *   rest_hooks.c    webhooks
 *   rest_secrets.c  secrets
 *   rest_stream.c   server-sent events
 *   rest_past.c     a recipe's state and events at a revision
 *   rest_explain.c  why, and why not
 *   rest_backtest.c a draft over the past
 */
#ifndef ETCHED_RUNNER_REST_INT_H
#define ETCHED_RUNNER_REST_INT_H

#include "proto/message.h"
#include "proto/rpc.pb-c.h"
#include "runner/runner_int.h"

enum {
    REST_REQUESTS_MAX = 1000,
    REST_STREAMS_MAX = 100,
    REST_BODY_BYTES_MAX = 1 << 20,
    REST_PARAMETERS_MAX = 16,
    REST_PAGE = 100, /* of a list, where nothing is said */
    REST_PAGE_MAX = 1000,
    REST_SEGMENTS_MAX = 32,
    REST_REPLAYS_MAX = 4, /* explain and backtest, at a time */
};
#define REST_SECOND INT64_C(1000000000)

struct parameter {
    struct slice name;
    struct slice value;
};

/* One request. All of it lives in its arena, and ends with its answer. */
struct request {
    struct list link;
    struct runner *runner;
    uint64_t id; /* the caller's */
    struct arena arena;
    struct rest_request asked;
    struct slice segments[REST_SEGMENTS_MAX]; /* of the path, decoded */
    size_t segment_count;
    struct parameter parameters[REST_PARAMETERS_MAX];
    size_t parameter_count;
    uint64_t call; /* the one that it waits for; 0: none */
    void (*undo)(struct request *request);  /* beside the arena; may be NULL */
    void *state;                            /* the route's */
    void (*again)(struct request *request); /* in the next round; or NULL */
    const char *allow;                      /* of a 405 */
    bool is_replay;
    /* A stream: */
    bool is_stream; /* it counts as one */
    struct list streams;
    struct slice only; /* this recipe; empty: all */
    int64_t beat_ns;
};

struct listening;
struct rest {
    struct list requests;
    struct list streams;
    struct listening *listening; /* NULL: nobody listens */
    size_t count;
    size_t stream_count;
    size_t replay_count;
    size_t again_count;
    /* Leases that inbox keys of webhooks share, by how long they last. */
    struct shared_lease {
        int64_t ttl_s;
        int64_t lease;
        int64_t until_ns; /* mono: give it to new ones */
    } leases[8];
};

/* ---- rest.c ------------------------------------------------------------- */

/* Each of these ends the request. `json` is what buf has. */
void rest__answer(struct request *request, int status, struct buf *json);
void rest__error(struct request *request, int status, const char *code,
                 const char *format, ...) PRINTF_LIKE(4, 5);
/* With "at", where the document is at fault. */
void rest__refuse(struct request *request, const struct recipe_fault *fault);
/* The store didn't do it. */
void rest__store_error(struct request *request,
                       const struct store_answer *answer);
/* Definitions haven't been read yet. */
void rest__not_ready(struct request *request);
/* The rest of the work of a request goes on with the answer. */
void rest__range(struct request *request, struct slice key,
                 const struct slice *end, int64_t revision, int64_t limit,
                 store_done done);
void rest__call(struct request *request, enum runner_method method,
                struct slice message, store_done done);
void rest__txn(struct request *request, struct store_txn *txn, store_done done);
/* A Range with what store__range has no words for. */
void rest__range_of(struct request *request,
                    const Etcdserverpb__RangeRequest *range, store_done done);
/* The work goes on in the runner's next call of runner_run: what has come
 * meanwhile has its turn. */
void rest__again(struct request *request,
                 void (*again)(struct request *request));
/* It will read history; false: answered, since it can't, or too many do. */
bool rest__begin_replay(struct request *request);
struct slice rest__keep(struct request *request, struct slice text);
/* The least key behind it, for the next page. */
struct slice rest__behind(struct request *request, struct slice key);
/* "/_recipes/<kind>/<name>/<rest>", in the arena. */
struct slice rest__key(struct request *request, enum recipe_key kind,
                       struct slice name, const char *rest);
/* The end of the range of all keys that begin with it. */
struct slice rest__end(struct request *request, struct slice prefix);
/* The definition of this name; NULL: answered. */
struct def *rest__def(struct request *request, struct slice name);
/* "true", "false", or nothing: false. False: answered. */
bool rest__flag(struct request *request, const char *name, bool *out);
/* [since 1970, ns], RFC 3339 or "5m" before now. False: answered. */
bool rest__time(struct request *request, const char *name, int64_t *out);
bool rest__number(struct request *request, const char *name, int64_t least,
                  int64_t most, int64_t *out);
/* The parameter's value; {0}: not given. */
struct slice rest__parameter(const struct request *request, const char *name);
/* `name` in lower case; the first of that name. */
struct slice rest__header(const struct request *request, struct slice name);
/* Decodes, and refuses names that aren't in `allowed` ("recipe limit"). */
bool rest__read_query(struct request *request, const char *allowed);
bool rest__read_path(struct request *request);
/* The body as JSON (or YAML); an empty one is an empty map. False: answered. */
bool rest__body(struct request *request, struct doc_value **out);
/* Refuses members that aren't in `allowed`. False: answered. */
bool rest__members(struct request *request, const struct doc_value *map,
                   const char *allowed);
/* {"name": value, ...} by hand; see recipe's record.c for its like. */
void rest__name(struct buf *out, const char *name);
void rest__text(struct buf *out, const char *name, struct slice text);
void rest__integer(struct buf *out, const char *name, int64_t number);
void rest__boolean(struct buf *out, const char *name, bool is_so);
void rest__time_text(struct buf *out, const char *name, int64_t time_ns);
/* What the store has, which should be JSON; as a string where it isn't. */
void rest__json(struct buf *out, struct slice stored);
/* Lists of records may be as large as a transaction. */
extern const struct doc_limits rest__record_limits;

/* ---- rest_access.c ------------------------------------------------------ */

enum rest_rule {
    REST_FREE,       /* whoever it is: webhooks have signatures */
    REST_KNOWN,      /* any user */
    REST_EACH,       /* any user; the route looks at each */
    REST_READ_NAMED, /* the recipe in the path */
    REST_WRITE_NAMED,
    REST_READ_WANTED, /* the one in the query, or all */
    REST_WRITE_WANTED,
    REST_READ_ALL,
    REST_READ_SECRETS,
    REST_WRITE_SECRET,
};
/* False: answered, 401 or 403. */
bool rest__let_in(struct request *request, enum rest_rule rule);
bool rest__may(const struct request *request, enum runner_right right,
               struct slice key, struct slice end);
bool rest__may_name(struct request *request, enum runner_right right,
                    struct slice name);
/* False: answered. */
bool rest__check_name(struct request *request, enum runner_right right,
                      struct slice name);
/* Of a document that names no owner; "": none. `def` may be NULL. */
struct slice rest__owner_of(const struct request *request,
                            const struct def *def);
/* May who asks save it, with this owner? False: answered. */
bool rest__check_owner(struct request *request, const struct recipe *recipe);
/* May who asks see the events that it watches? False: answered. */
bool rest__may_see(struct request *request, const struct recipe *recipe);

/* ---- routes ------------------------------------------------------------- */

void rest__list_defs(struct request *request);
void rest__get_def(struct request *request);
void rest__put_def(struct request *request);
void rest__delete_def(struct request *request);
void rest__run_def(struct request *request);
void rest__pause_def(struct request *request);
void rest__resume_def(struct request *request);
void rest__test(struct request *request);
void rest__list_runs(struct request *request);
void rest__get_run(struct request *request);
void rest__find_run(struct request *request);
void rest__stream_all(struct request *request);
void rest__explain(struct request *request);
void rest__backtest(struct request *request);
void rest__list_dead(struct request *request);
void rest__delete_dead(struct request *request);
void rest__retry_dead(struct request *request);
void rest__retry_all(struct request *request);
void rest__hook(struct request *request);
void rest__list_secrets(struct request *request);
void rest__put_secret(struct request *request);
void rest__delete_secret(struct request *request);
/* {"recipe", "id", ...}: what people may see of a dead letter. False: it isn't
 * one. */
bool rest__write_letter(struct buf *out, struct slice key, struct slice value,
                        int64_t revision);
/* A run under way, as its key has it. */
void rest__write_active(struct runner *runner, struct buf *out,
                        struct slice key, struct slice value);
/* Time for heartbeats; when next. */
int64_t rest__run_streams(struct runner *runner);
void rest__end_stream(struct request *request);
/* The end of a stream, from this side. */
void rest__finish(struct request *request);

#endif
