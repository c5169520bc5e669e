/* The Recipes service of one worker: which recipes there are and which of
 * them are its own, what happens to their keys, turns and their commits,
 * actions outside, clocks, the inbox, and the REST interface.
 *
 * A client of the v3 API, whoever serves it: it asks by the doors below and is
 * told by the runner_* functions. It does no input and output of its own and
 * has no clock, so it runs in host/ on a thread and in sim/ from a seed.
 *
 *     v3 <--call, watch-- runner --act--> HTTP, e-mail, programs
 *                           ^
 *                  REST ----+---- respond, runner_metrics
 *
 * How it is put together: docs/internals/recipes-design.md.
 *
 * Threads: one at a time. Doors may not call back into the runner.
 */
#ifndef ETCHED_RUNNER_RUNNER_H
#define ETCHED_RUNNER_RUNNER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "expr/expr.h"
#include "port/zones.h"

/* ---- doors -------------------------------------------------------------- */

/* One message out. All have one back, but RUNNER_HISTORY, which has several.
 * A keepalive is one message out and one back too. */
enum runner_method {
    RUNNER_RANGE,
    RUNNER_TXN,
    RUNNER_LEASE_GRANT,
    RUNNER_LEASE_REVOKE,
    RUNNER_LEASE_KEEPALIVE,
    RUNNER_COMPACT,     /* never sent but by tests */
    RUNNER_HISTORY,     /* etched.v1.History/Records */
    RUNNER_REVISION_AT, /* etched.v1.History/RevisionAt */
    RUNNER_METHOD_COUNT,
};
/* "/etcdserverpb.KV/Range", ... */
const char *runner_method_path(enum runner_method method);

enum act_kind { ACT_HTTP, ACT_EMAIL, ACT_EXEC };
struct act {
    enum act_kind kind;
    int64_t timeout_ns;
    /* http: */
    struct slice method;
    struct slice url;
    struct slice headers; /* "Name: value" lines, each ended by CR LF */
    struct slice body;
    bool redirects;
    bool is_fetch; /* of a feed or a poll: answers of up to 4 MiB */
    /* email: */
    struct slice server;
    struct slice from;
    const struct slice *to;
    size_t to_count;
    struct slice message; /* headers and text, CR LF */
    /* exec: */
    const struct slice *arguments;
    size_t argument_count;
    struct slice input;
};
struct act_answer {
    bool was_sent;      /* false: nothing has been tried, or was refused here */
    bool is_refused;    /* by a rule of ours: trying again is no use */
    int status;         /* HTTP's, SMTP's, or the exit code; 0: none */
    struct slice error; /* "": none */
    struct slice headers; /* JSON map, names in lower case */
    struct slice body;    /* or what the program wrote */
    int64_t retry_after_ns;
};

struct rest_header {
    struct slice name; /* in lower case */
    struct slice value;
};
struct rest_request {
    struct slice method; /* "GET" */
    struct slice path;   /* after "/recipes/v1/", as it came: "defs/a%2Fb" */
    struct slice query;  /* after the '?', as it came */
    const struct rest_header *headers;
    size_t header_count;
    struct slice body;
    struct slice peer; /* "127.0.0.1:5555" */
    struct slice user; /* who asks, where the store has users; "": nobody */
};
struct rest_answer {
    int status;
    const char *content_type;
    struct slice body;
    bool more;               /* a stream: more parts come, same status */
    const char *retry_after; /* NULL: none */
    const char *allow;       /* of a 405: "GET, PUT"; NULL: none */
};

/* ADMIN: what only root may; of no key. */
enum runner_right { RUNNER_READ, RUNNER_WRITE, RUNNER_ADMIN };

struct runner_doors {
    void *context;
    /* Sends `request`, and tells the end by runner_answered. What is in it has
     * been copied when it returns. `has_told`: with the metadata
     * "etched-cause: recipe" (a server that doesn't know it passes over it). */
    void (*call)(void *context, uint64_t id, enum runner_method method,
                 struct slice request);
    /* The same, with the permissions of this user where the store has users
     * ("": nobody's); metadata "etched-owner". NULL: as `call`. */
    void (*call_as)(void *context, uint64_t id, enum runner_method method,
                    struct slice user, struct slice request);
    /* Whether a user ("": nobody) may read or write a key, or (`end` not empty)
     * all from it to that. Below /_recipes/ what is meant is by the REST
     * interface, as keys belong to the service. NULL: the store has no users,
     * and all may all. */
    bool (*may)(void *context, struct slice user, enum runner_right right,
                struct slice key, struct slice end);
    /* The one Watch stream: opened with the first message (metadata
     * "etched-told: cause"); each WatchResponse by runner_watched, its end by
     * runner_watch_ended, and the next message opens a new one. */
    void (*watch)(void *context, struct slice request);
    void (*act)(void *context, uint64_t id, const struct act *act);
    void (*respond)(void *context, uint64_t id, const struct rest_answer *);
    /* Items of a feed (RSS, Atom, JSON Feed) as a list of maps {id, title,
     * link, time, text, author}. Errors: ERR_INVALID. */
    enum err (*feed_items)(void *context, struct arena *arena,
                           struct slice body, struct value *out);
    /* A secret's text to what may be stored, and back. `name` is bound to it.
     * Errors: ERR_UNSUPPORTED (no key was given; the note says how to give
     * one), ERR_CORRUPT (another key, or changed). */
    enum err (*seal)(void *context, struct slice name, struct slice text,
                     struct buf *out);
    enum err (*unseal)(void *context, struct slice name, struct slice sealed,
                       struct buf *out);
    void (*hmac_sha256)(void *context, struct slice key, struct slice text,
                        unsigned char out[32]);
};

/* ---- the runner --------------------------------------------------------- */

struct runner_config {
    struct runner_doors doors;
    const struct zones *zones;
    uint64_t seed;
    const char *name; /* of the worker, for people: the member's name */
    bool exec_allowed;
    bool is_etched;   /* false: etcd, where cause, time and history are
                              not to be had */
    int64_t lease_ns; /* a worker's: 10 s; at least 2 s */
    int64_t lazy_ns;  /* cursors without a turn: 60 s */
};
struct runner_now {
    int64_t mono_ns; /* never runs back */
    int64_t wall_ns; /* since 1970 */
};

struct runner *runner_new(const struct runner_config *config);
void runner_free(struct runner *runner);

/* Does what is to be done by now: begins, after runner_new. Call it after
 * each of the functions below too (or after a few of them), and when the
 * moment that it returns (mono_ns) has come. */
int64_t runner_run(struct runner *runner, struct runner_now now);
/* Gives its recipes up and its lease back: *_answered goes on until
 * runner_is_stopped; after a second or two the host may free it anyway. */
void runner_stop(struct runner *runner);
bool runner_is_stopped(const struct runner *runner);

/* What a door's request came to. `code` is gRPC's (0: OK), `text` its message
 * then; RUNNER_HISTORY: a message each, then code with no message. */
void runner_answered(struct runner *runner, uint64_t id, int code,
                     struct slice text, struct slice message, bool more);
void runner_watched(struct runner *runner, struct slice response);
void runner_watch_ended(struct runner *runner, int code, struct slice text);
void runner_acted(struct runner *runner, uint64_t id,
                  const struct act_answer *answer);
/* REST. `id` is the caller's, for doors.respond. All is copied. */
void runner_request(struct runner *runner, uint64_t id,
                    const struct rest_request *request);
/* The client is gone, or reads too slowly: no more answers. */
void runner_request_gone(struct runner *runner, uint64_t id);

/* Prometheus text: etched_recipes_*. */
void runner_metrics(const struct runner *runner, struct buf *out);

#endif
