/* The HTTP APIs of one I/O thread: v2 (keys, members, stats, machines), the
 * version, health, metrics and debug pages. No sockets: exchanges come in from
 * wire/, writes go to the node, answers and commits come back through the
 * host, which moves them between threads.
 *
 *      http_exchange                            node_submit
 *   wire --> api_request --> routes --> v2 keys ----------> writer thread
 *                              |                               |
 *                              | reads: here, now,             | on_answer
 *                              | under the shared lock         v
 *   wire <-- answer <----------'<---- api_answer <----- host's inbox
 *   wire <-- watch events <---------- api_commits <---- host's inbox
 *
 * Threads: everything on the one I/O thread that owns the struct, but
 *          api_shared (any) and the on_answer callback (the writer's).
 */
#ifndef ETCHED_API_API_H
#define ETCHED_API_API_H

#include "auth/credentials.h"
#include "auth/tokens.h"
#include "base/log.h"
#include "node/node.h"
#include "port/audit.h"
#include "port/work.h"
#include "wire/http.h"

/* ---- what all I/O threads share ------------------------------------------ */

enum api_stat {
    API_GETS_SUCCESS,
    API_GETS_FAIL,
    API_SETS_SUCCESS,
    API_SETS_FAIL,
    API_DELETE_SUCCESS,
    API_DELETE_FAIL,
    API_UPDATE_SUCCESS,
    API_UPDATE_FAIL,
    API_CREATE_SUCCESS,
    API_CREATE_FAIL,
    API_COMPARE_AND_SWAP_SUCCESS,
    API_COMPARE_AND_SWAP_FAIL,
    API_COMPARE_AND_DELETE_SUCCESS,
    API_COMPARE_AND_DELETE_FAIL,
    API_EXPIRE_COUNT,
    API_WATCHERS,       /* now, of v2 */
    API_V3_WATCHERS,    /* now; with those of v2 at most watchers_max */
    API_WATCH_REQUESTS, /* ever */
    API_EVENTS_SENT,
    API_REQUESTS,    /* of any kind */
    API_CONNECTIONS, /* now; kept by the host */
    API_STAT_COUNT,
};

/* What the operating system knows; filled in by the host. */
struct api_machine {
    uint64_t resident_bytes;
    uint64_t virtual_bytes;
    double cpu_seconds;
    uint64_t fd_used;
    uint64_t fd_limit;
    int64_t start_ns; /* wall clock, of the process */
};

/* The connections to another member, as the host counts them. */
struct api_peer {
    uint64_t member;
    bool connected;
    uint64_t sent_bytes;
    uint64_t received_bytes;
    uint64_t send_failures;
};

struct api_shared {
    struct node *node;
    struct clock *clock;
    const char *name;
    /* Origins for CORS: "*" any; count 0: off. */
    const char *const *cors;
    size_t cors_count;
    size_t key_bytes_max;
    size_t body_bytes_max; /* of v2's own requests; 0: as the wire has it */
    size_t watchers_max;
    size_t connection_watchers_max;    /* v3's of one connection; 0: any */
    _Atomic uint64_t watchers_refused; /* by that */
    uint64_t quota_bytes;
    bool strict_reconfig; /* as node_config's */
    int argc;             /* for /debug/vars */
    char *const *argv;
    void (*machine)(struct api_machine *out);
    /* How the kv file stands (mvcc_db_total_size...). */
    void (*kv_stat)(void *context, struct kv_stat *out);
    void *kv_context;
    /* The other members; returns how many. NULL: there are none. */
    size_t (*peers)(void *context, struct api_peer *out, size_t max);
    void *peers_context;
    /* Appends what the floors above have counted to /metrics. NULL: nothing. */
    void (*metrics)(const struct node *node, struct buf *out);
    /* And what runs beside: the Recipes service. NULL: nothing does. */
    void (*more_metrics)(void *context, struct buf *out);
    void *more_metrics_context;
    /* Any thread: runs `work` on a worker. NULL: in place. */
    void (*submit_work)(void *context, struct work *work);
    void *work_context;
    /* Users (auth/): who they are is found by these; what they may do is in
     * the node's store. NULL, all of them: nobody can log in. */
    struct crypto *crypto;
    struct auth_tokens *tokens;
    struct auth_credentials *credentials;
    int bcrypt_cost;
    struct audit *audit; /* NULL: nobody wants to know */
    /* Request durations of v2 and WAL syncs live in metrics.c's histograms. */
    _Atomic uint64_t stats[API_STAT_COUNT];
};

/* ---- one I/O thread ------------------------------------------------------ */

struct api;

struct api_config {
    struct api_shared *shared; /* outlives it */
    uint64_t seed;
    /* Called on the writer's thread when the node has decided of a write, a
     * read or a change of membership: hand it to this I/O thread, which calls
     * api_answer. */
    void (*on_answer)(void *context, struct queue_link *answer);
    /* The number of this thread's watchers has become more than none (true)
     * or none (false): commits need only be handed over in between. Called
     * BEFORE the store's revision is looked at, so that none is missed. */
    void (*on_watching)(void *context, bool watching);
    /* Work is done (on the worker's thread): hand it to this I/O thread, which
     * calls api_worked. */
    void (*on_worked)(void *context, struct work *work);
    /* A request for the Recipes service, and who asks: "" where there are no
     * users, of guests and of webhooks. NULL: api_recipes isn't called. */
    void (*on_recipes)(void *context, struct http_exchange *exchange,
                       struct slice user);
    void *context;
};

enum err api_new(const struct api_config *config, struct api **out) MUST_USE;
/* Needs: no request on its way, no watcher (api_stop, and answers awaited). */
void api_free(struct api *api);

/* A whole request has come: answers it now or later. */
void api_request(struct api *api, struct http_exchange *exchange);
/* One for /recipes/v1/: finds out who asks, then calls on_recipes, or answers
 * 401. */
void api_recipes(struct api *api, struct http_exchange *exchange);
/* The same for one that came in on the peer port. */
void api_peer_request(struct api *api, struct http_exchange *exchange);
/* What the node decided, on the I/O thread. */
void api_answer(struct api *api, struct queue_link *answer);
void api_worked(struct api *api, struct work *work);
/* Live commits, in order, each exactly once. */
void api_commits(struct api *api, struct mvcc_commit *const *commits,
                 size_t count);
/* The store was replaced by a newer state (a snapshot): watchers read from
 * history what came up to `newest`. */
void api_jump(struct api *api, revision newest);
/* Reads some history for watchers that are behind. True: call again soon
 * (after the sockets had their turn). */
bool api_catch_up(struct api *api);
/* Ends all watches (their streams end properly); new requests get 503. */
void api_stop(struct api *api);
/* What was handed to the node and has not come back yet. */
size_t api_pending(const struct api *api);

/* ---- for who serves other paths beside it -------------------------------- */

/* The headers that CORS asks for, by its configuration; returns how many. */
enum { API_CORS_HEADERS_MAX = 4 };
size_t api_cors_headers(const struct api_shared *shared,
                        const struct http_request *request,
                        struct http_header out[API_CORS_HEADERS_MAX]);
/* A browser asks to change something, from a page that isn't this server's and
 * that CORS doesn't allow: nobody but the page's maker has meant it, so it is
 * refused (CVE-2018-1098). */
bool api_is_forged(const struct api_shared *shared,
                   const struct http_request *request);
/* Of the routes of both ports, in order: what `etched --help`'s makers and
 * tests want to know. False: there are no more. */
struct api_route {
    bool is_peer_port;
    const char *path;  /* with a '/' at its end: all below it, too */
    const char *allow; /* methods, joined with ',' */
    const char *rule;  /* who may: "anyone", "root changes", "root", "keys" */
};
bool api_route(size_t number, struct api_route *out);

#endif
