/* What the files of this folder share.
 *
 *   api.c          the life of a struct api; from a request to its handler
 *   answer.c       headers, and answers of one piece
 *   errors.c       v2's error codes
 *   cors.c         other origins
 *   keys.c         /v2/keys: the key, and which of the following it is for
 *   keys_params.c    what the query and the form ask for
 *   keys_read.c      GET of a file or a directory
 *   listing.c        a directory in pieces
 *   keys_write.c     PUT, POST, DELETE: to the node, and its answer back
 *   job.c          what is with the node, until its answer comes back
 *   keys_watch.c     wait=true
 *   told.c           a change as the watchers are told it, rendered once
 *   event_json.c   nodes and events as JSON
 *   members.c        who belongs to the cluster, and changing it
 *   admin.c          0.4's administration and its way to join
 *   machines.c stats.c health.c metrics.c debug.c   the other pages
 *
 * http_respond and http_end may bring in the connection's next request before
 * they return. So they come last: nothing of an exchange, of `out`, or of the
 * lock is held across them.
 */
#ifndef ETCHED_API_API_INT_H
#define ETCHED_API_API_INT_H

#include "api/api.h"
#include "base/limits.h"
#include "base/list.h"
#include "mvcc/watch.h"
#include "wire/form.h"

/* ---- one I/O thread ------------------------------------------------------ */

/* A change, as it was rendered for the watcher that asked first. */
struct told {
    struct rev record; /* main 0: none */
    enum err err;      /* not ERR_OK: it can't be read */
    bool told;         /* false: watchers are not told of this record */
    struct rev event;
    struct buf key; /* of the event's node */
    struct refbuf *json;
};

struct job;
struct route;

/* Who asks, and for what. Its slices are in the exchange's arena. */
struct caller {
    struct slice user; /* as auth/auth.h has it; "": auth is off, or nobody had
                          to say who he is */
    struct slice how;  /* what says so: "password", "certificate", "" */
    uint64_t auth_revision; /* with which it was let in; 0: auth is off */
    const struct route *route;
    struct slice rest; /* of the path, behind the route's */
    bool is_again;     /* the second try, see access__again */
};

struct api {
    struct api_config config;
    struct api_shared *shared;
    struct node *node;
    struct mvcc_reader *reader;
    bool reading; /* the reader has begun, the lock is held */
    bool stopping;
    bool watching; /* as config.on_watching was told */

    struct buf out;       /* the body of the answer that is being made */
    struct caller caller; /* while a page is called: whose request it is */
    /* For which the watches were looked at; 0: auth was off. */
    uint64_t auth_revision;

    struct job *spare; /* of those that were answered */
    size_t spare_count;
    size_t job_count; /* with the node */

    struct watch_hub *hub;
    struct list watches;
    struct list ended; /* to be ended as soon as the hub is at rest */
    struct told told;

    struct slice cluster_id; /* in hex */
    struct slice member_id;
    char id_text[32];
};

enum {
    /* More than this is given back after the answer that needed it. */
    API_OUT_BYTES_KEPT = 1024 * 1024,
    API_SPARE_JOBS_MAX = 1024,
};

/* Between these the store can be read. */
static inline void api__read_begin(struct api *api)
{
    lock_read(node_lock(api->node));
    mvcc_read_begin(api->reader);
    api->reading = true;
}
static inline void api__read_end(struct api *api)
{
    api->reading = false;
    mvcc_read_end(api->reader);
    unlock_read(node_lock(api->node));
}
/* Needs: api__read_begin. */
static inline revision api__revision(struct api *api)
{
    return mvcc_next_revision(node_mvcc(api->node)) - 1;
}

static inline void api__count(struct api *api, enum api_stat stat)
{
    atomic_fetch_add_explicit(&api->shared->stats[stat], 1,
                              memory_order_relaxed);
}
static inline uint64_t api__stat(struct api *api, enum api_stat stat)
{
    return atomic_load_explicit(&api->shared->stats[stat],
                                memory_order_relaxed);
}

/* ---- job.c --------------------------------------------------------------- */

/* Something that the node was asked for. It is decided whether its client is
 * still there or not; until then this memory is the node's. */
struct job {
    union {
        struct queue_link link; /* the first of each of them */
        struct node_request write;
        struct node_read read;
        struct node_change change;
    };
    struct api *api;
    struct http_exchange *exchange; /* NULL: the client went away */
    struct job *next;               /* among the spare ones */
    struct caller caller;           /* good while the exchange is there */
    /* Answers, on the I/O thread. `done` is a copy: the job may be in use
     * again. */
    void (*finish)(struct api *api, struct job *done);
    int64_t start_ns;
    /* Of a write of a key: */
    enum tree_op op;
    bool no_value_on_success;
    struct slice key; /* in the exchange's arena */
    /* Of a read of a key: */
    bool recursive;
    /* Of a change of users: the answer where it is done, in that arena. */
    int status;
    struct slice body;
};

static_assert(offsetof(struct job, link) == 0 &&
                  offsetof(struct node_request, link) == 0 &&
                  offsetof(struct node_read, link) == 0 &&
                  offsetof(struct node_change, link) == 0,
              "an answer's link is its job");

/* A new one for this exchange, which is answered later; all else is zero. */
struct job *job__new(struct api *api, struct http_exchange *exchange,
                     void (*finish)(struct api *api, struct job *done));
/* Hands it to the node. Where that refuses, the exchange is answered here and
 * the job is gone. */
void job__write(struct job *job, struct refbuf *command);
void job__read(struct job *job);
void job__change(struct job *job);
void job__free_spare(struct api *api);

/* ---- chore.c ------------------------------------------------------------- */

/* What takes too long for an I/O thread, for an exchange that waits. */
struct chore {
    struct work work;
    struct api *api;
    struct http_exchange *exchange; /* NULL: the client went away */
    struct caller caller;           /* as a job's */
    /* On a worker: nothing but the chore and the crypto door. */
    void (*run)(struct chore *chore, struct crypto *crypto);
    /* On the I/O thread; the exchange is there. */
    void (*done)(struct api *api, struct chore *chore);
    void *context;   /* the maker's, in the exchange's arena */
    bool matches;    /* the password is that of `hash` */
    enum err err;    /* of a new hash */
    struct buf hash; /* of the user, or the new one */
    struct buf user;
    struct buf password;
};

/* NULL: there are too many, or nobody can log in here; it was answered. */
struct chore *chore__new(struct api *api, struct http_exchange *exchange);
/* Then it is gone, with all that is secret in it. */
void chore__submit(struct chore *chore);

/* ---- access.c ------------------------------------------------------------ */

/* Who may ask for a route, while auth is on; api.c's tables say it of each. */
enum access_rule {
    ACCESS_UNSAID,       /* no route has this */
    ACCESS_ANYONE,       /* nobody is asked who he is */
    ACCESS_ROOT_CHANGES, /* anyone may look, root may change */
    ACCESS_ROOT,
    ACCESS_KEYS,    /* by the key: users, and guests */
    ACCESS_RECIPES, /* as the Recipes service says */
};
const char *access__rule_text(enum access_rule rule);

/* Finds out who asks, and calls the route's page, now or later; or answers
 * 401. */
void access__serve(struct api *api, struct http_exchange *exchange,
                   const struct route *route, struct slice rest);
/* True: users or roles have changed since the caller was let in, so that the
 * node has refused what it might have to do now; it is asked once more, from
 * the beginning. Needs: nothing was answered. */
bool access__again(struct api *api, struct http_exchange *exchange,
                   const struct caller *caller);
/* May the one who asks do this to the key? False: it was answered. A write is
 * decided again when it is applied. */
bool access__key(struct api *api, struct http_exchange *exchange,
                 enum auth_access access, struct slice key, bool recursive);
/* Of a caller of before; nothing is answered. Shared lock. */
bool access__may(const struct api *api, struct slice user,
                 enum auth_access access, struct slice key, bool recursive);
void access__refuse_key(struct api *api, struct http_exchange *exchange,
                        const struct caller *caller, struct slice key);
/* 401, as the route's clients know it. */
void access__refuse(struct api *api, struct http_exchange *exchange,
                    const struct caller *caller);
/* To the audit log. `why` NULL: it was allowed. */
void access__note(struct api *api, const struct http_exchange *exchange,
                  const struct caller *caller, struct slice key,
                  const char *why);
/* "Basic dXNlcjpwYXNz" (RFC 7617). False: it isn't one. */
bool access__read_basic(struct arena *arena, struct slice header,
                        struct slice *user, struct slice *password);

/* ---- answer.c ------------------------------------------------------------ */

/* The head of an answer while it is put together, on the caller's stack. */
struct answer {
    struct http_header headers[12];
    size_t count;
    char digits[96]; /* of the numbers among them */
    size_t digit_count;
};

extern const struct slice api__type_json;
extern const struct slice api__type_text;

/* `type` with at == NULL: none. */
void answer__init(struct answer *answer, struct api *api,
                  struct http_exchange *exchange, struct slice type);
void answer__add(struct answer *answer, struct slice name, struct slice value);
void answer__add_number(struct answer *answer, struct slice name,
                        uint64_t number);
/* X-Etcd-Cluster-Id */
void answer__add_cluster(struct answer *answer, struct api *api);
/* What every answer about keys has; `log_index` 0: the node's. */
void answer__init_keys(struct answer *answer, struct api *api,
                       struct http_exchange *exchange, revision index,
                       raft_index log_index, raft_term term);
/* Answers with api->out. */
void answer__send(const struct answer *answer, struct api *api,
                  struct http_exchange *exchange, int status);

/* Empties api->out and gives it, for a body to be written. */
struct buf *api__body(struct api *api);
/* Answers with api->out, of this type. */
void api__respond(struct api *api, struct http_exchange *exchange, int status,
                  struct slice type);
/* A line of text. */
void api__respond_text(struct api *api, struct http_exchange *exchange,
                       int status, const char *text);
/* {"message":...} */
void api__respond_message(struct api *api, struct http_exchange *exchange,
                          int status, const char *message);
void api__respond_not_found(struct api *api, struct http_exchange *exchange);
void api__respond_not_allowed(struct api *api, struct http_exchange *exchange,
                              const char *allow);

/* ---- cors.c -------------------------------------------------------------- */

void api__add_cors(struct answer *answer, const struct api_shared *shared,
                   const struct http_request *request);

/* ---- errors.c ------------------------------------------------------------ */

enum v2_code {
    V2_PEER_ADDR_EXISTS = 109,
    V2_PREV_VALUE_REQUIRED = 201,
    V2_TTL_NAN = 202,
    V2_INDEX_NAN = 203,
    V2_INVALID_FIELD = 209,
    V2_INVALID_FORM = 210,
    V2_REFRESH_VALUE = 211,
    V2_REFRESH_TTL_REQUIRED = 212,
    V2_RAFT_INTERNAL = TREE_RAFT_INTERNAL,
    V2_LEADER_ELECT = 301,
    V2_INDEX_CLEARED = TREE_INDEX_CLEARED,
};

struct v2_error {
    int code; /* of enum v2_code or enum tree_error; 0: none */
    struct slice cause;
};

/* Of this code: the message, the HTTP status. */
const char *v2_error_text(int code);
int v2_error_status(int code);
/* Appends the JSON object and a newline. */
void v2_error_write(struct buf *out, const struct v2_error *error,
                    revision index);
/* `status` 0: by the code. */
void api__respond_error(struct api *api, struct http_exchange *exchange,
                        int status, const struct v2_error *error,
                        revision index);
/* What the node says of a write that it didn't take, or the store of a read
 * that went wrong. */
void api__respond_failure(struct api *api, struct http_exchange *exchange,
                          enum err err);

/* ---- event_json.c -------------------------------------------------------- */

/* Writes what of a node stands before its "nodes": from the brace on. */
void json__node_begin(struct buf *out, const struct tree_node *node,
                      bool with_value, struct clock *clock);
/* And what stands behind: the indexes and the brace. */
void json__node_end(struct buf *out, revision created, revision modified);
void json__node(struct buf *out, const struct tree_node *node,
                struct clock *clock);
/* The object and a newline. */
void json__event(struct buf *out, const struct tree_event *event,
                 struct clock *clock);

/* ---- keys.c -------------------------------------------------------------- */

struct keys_params {
    bool recursive;
    bool quorum; /* a read that sees every write answered before */
    bool wait;
    bool dir;
    bool stream;
    bool refresh;
    bool has_prev_exist;
    bool prev_exist;
    bool has_ttl;
    bool no_value_on_success;
    uint64_t ttl_s;
    uint64_t prev_index;
    uint64_t wait_index;
    struct slice prev_value;
    struct slice value;
};

/* `path` is what follows "/v2/keys", decoded and clean but for a '/' that it
 * may end with. A page. */
void api__keys(struct api *api, struct http_exchange *exchange,
               struct slice path);
/* False: *error says what is wrong. */
bool keys__form(struct http_exchange *exchange, struct form *form,
                struct v2_error *error);
bool keys__params(const struct form *form, bool is_get,
                  struct keys_params *params, struct v2_error *error);
/* The media type that says that a body is a form. An error's words are Go's,
 * as etcd's clients know them.
 * NULL: it is well written. */
const char *media_type_parse(struct slice value, bool *is_form);

void keys__read(struct api *api, struct http_exchange *exchange,
                struct slice key, const struct keys_params *params);
void keys__write(struct api *api, struct http_exchange *exchange,
                 struct slice key, const struct keys_params *params);
void keys__watch(struct api *api, struct http_exchange *exchange,
                 struct slice key, const struct keys_params *params);

/* ---- listing.c ----------------------------------------------------------- */

/* Answers with directory `key` as of the revision that is the newest one now.
 * Needs: api__read_begin; it is ended here. */
void api__list(struct api *api, struct http_exchange *exchange,
               const struct tree_node *node, bool recursive);

/* ---- told.c -------------------------------------------------------------- */

/* What watchers are told of a record; stays until told__clear or the next
 * record. */
const struct told *api__told(struct api *api, const struct record *record,
                             struct mvcc_commit *commit);
void told__clear(struct told *told);

/* ---- keys_watch.c -------------------------------------------------------- */

/* Ends those whose event was sent. Needs: the hub is at rest, no lock. */
void api__end_watches(struct api *api);
/* Ends all. */
void api__stop_watches(struct api *api);

/* ---- pages --------------------------------------------------------------- */

/* `rest`: what follows the route's path. */
typedef void (*api_page)(struct api *api, struct http_exchange *exchange,
                         struct slice rest);

void api__home(struct api *api, struct http_exchange *exchange,
               struct slice rest);
void api__version(struct api *api, struct http_exchange *exchange,
                  struct slice rest);
void api__members(struct api *api, struct http_exchange *exchange,
                  struct slice rest);
void api__machines(struct api *api, struct http_exchange *exchange,
                   struct slice rest);
void api__leader(struct api *api, struct http_exchange *exchange,
                 struct slice rest);
void api__stats_self(struct api *api, struct http_exchange *exchange,
                     struct slice rest);
void api__stats_store(struct api *api, struct http_exchange *exchange,
                      struct slice rest);
void api__stats_leader(struct api *api, struct http_exchange *exchange,
                       struct slice rest);
void api__health(struct api *api, struct http_exchange *exchange,
                 struct slice rest);
void api__livez(struct api *api, struct http_exchange *exchange,
                struct slice rest);
void api__readyz(struct api *api, struct http_exchange *exchange,
                 struct slice rest);
void api__metrics(struct api *api, struct http_exchange *exchange,
                  struct slice rest);
void api__debug_vars(struct api *api, struct http_exchange *exchange,
                     struct slice rest);
void api__log_level(struct api *api, struct http_exchange *exchange,
                    struct slice rest);

void api__auth_enable(struct api *api, struct http_exchange *exchange,
                      struct slice rest);
void api__auth_users(struct api *api, struct http_exchange *exchange,
                     struct slice rest);
void api__auth_roles(struct api *api, struct http_exchange *exchange,
                     struct slice rest);

/* ---- members.c ----------------------------------------------------------- */

/* A list joined with ',' as a JSON array of strings, or, where there is none,
 * [] . */
void json__urls(struct buf *out, struct slice urls);
/* The first of such a list. */
struct slice first__url(struct slice urls);
/* All members, in the arena. */
size_t members__all(struct api *api, struct arena *arena,
                    struct node_member **out);
/* The one of that id; NULL: none. */
const struct node_member *members__find(const struct node_member *members,
                                        size_t count, member_id id);
/* A document that lists peer URLs of a member that is to be, or is to have
 * them; joined with ',' in the arena. False: it was answered. */
bool members__read_urls(struct api *api, struct http_exchange *exchange,
                        struct slice *peer_urls);

/* stats.c: as etcd counts them. */
const char *api__role_text(enum raft_role role);
/* The machine as the host sees it; all zero where nobody does. */
void api__machine(struct api *api, struct api_machine *out);

/* ---- metrics.c ----------------------------------------------------------- */

/* Counted for the whole process. */
enum meter { METER_HEALTH_SUCCESS, METER_HEALTH_FAILURES, METER_COUNT };
void meter__count(enum meter meter);
/* How long a write took from its request to its answer. */
void meter__write(int64_t took_ns);

/* ---- api.c --------------------------------------------------------------- */

enum {
    METHOD_GET = 1 << HTTP_GET,
    METHOD_HEAD = 1 << HTTP_HEAD,
    METHOD_PUT = 1 << HTTP_PUT,
    METHOD_POST = 1 << HTTP_POST,
    METHOD_DELETE = 1 << HTTP_DELETE,
    METHOD_ANY = 0xff,
};

struct route {
    const char *path; /* with a '/' at its end: that, and all below it */
    unsigned methods;
    const char *allow; /* as the Allow header says it */
    enum access_rule rule;
    api_page page;
};

extern const struct route api__peer_routes[];
extern const size_t api__peer_route_count;

#endif
