/* Bootstrap's own header.
 *
 *   bootstrap.c            which way, and data that is there
 *   bootstrap_static.c     --initial-cluster, new or existing
 *   bootstrap_list.c       lists of members: their ids, and what is wrong
 *   bootstrap_ask.c        HTTP with patience; GET /members
 *   bootstrap_discovery.c  --discovery
 *   bootstrap_join.c       0.4's --peers
 */
#ifndef ETCHED_HOST_BOOTSTRAP_INT_H
#define ETCHED_HOST_BOOTSTRAP_INT_H

#include <netinet/in.h>

#include "host/bootstrap.h"
#include "host/http_client.h"

/* How long one waits, and whom one asks; tests are less patient. */
struct bootstrap_world {
    int64_t ask_ms;         /* for an answer */
    int64_t probe_ms;       /* of one that needn't be there yet */
    int64_t probe_total_ms; /* of all of these */
    int64_t retry_ms;       /* before asking again; each time twice as long */
    int64_t retry_max_ms;
    int64_t give_up_ms;            /* when nobody has answered for so long */
    int64_t wait_ms;               /* one long poll; then it is asked anew */
    const struct sockaddr_in *dns; /* NULL: the system's */
};

extern const struct bootstrap_world bootstrap__world;

/* One bootstrap under way. */
struct bootstrap_run {
    const struct config *config;
    const struct bootstrap_world *world;
    struct arena *arena;
    struct http_client *client;
    struct http_client_response response; /* the last one */
};

/* bootstrap_run in that world. */
enum err bootstrap__run(const struct config *config,
                        const struct bootstrap_world *world,
                        struct arena *arena, struct bootstrap *out) MUST_USE;

/* ---- lists of members ---------------------------------------------------- */

struct bootstrap_member {
    const char *name;
    struct config_urls urls; /* sorted by their text */
    uint64_t id;
};

struct bootstrap_list {
    struct bootstrap_member *at; /* sorted by id, once they have ids */
    size_t count;
};

/* Gathers the URLs of each name. */
struct bootstrap_list bootstrap__group(struct arena *arena,
                                       const struct config_cluster *cluster);
/* NULL: none of that name. */
const struct bootstrap_member *
bootstrap__named(const struct bootstrap_list *list, const char *name);
/* That this member is among them, with the URLs that it tells others, and no
 * URL is there twice.
 * Errors: ERR_INVALID, ERR_EXISTS; in etcd's words. */
enum err bootstrap__check_list(const struct config *config,
                               const struct bootstrap_list *list) MUST_USE;
/* Ids of all. ERR_EXISTS: two have the same. */
enum err bootstrap__assign_ids(struct bootstrap_list *list,
                               const char *token) MUST_USE;
/* Needs: they have ids. */
uint64_t bootstrap__cluster_id(const struct bootstrap_list *list);
uint64_t bootstrap__member_id(const struct config_urls *urls,
                              const char *token);
/* The same places, whether they are written the same way or not. Names of
 * hosts that differ are looked up. */
bool bootstrap__same_urls(const struct config_urls *a,
                          const struct config_urls *b);
/* In the arena, sorted. */
struct config_urls bootstrap__sort_urls(struct arena *arena,
                                        const struct config_urls *urls);
const char *bootstrap__join(struct arena *arena,
                            const struct config_urls *urls);
/* A new cluster of these members. Needs: they have ids. */
void bootstrap__fill(const struct bootstrap_list *list, struct arena *arena,
                     struct bootstrap *out);

/* ---- asking -------------------------------------------------------------- */

/* Sends a request and follows redirects. `body` NULL: none, else a form, or
 * JSON where it begins with a brace. Any status is an answer.
 * Errors: those of http_client_do, ERR_INVALID for a redirect too many. */
enum err bootstrap__ask(struct bootstrap_run *run, const char *method,
                        const char *url, const char *body,
                        int64_t timeout_ms) MUST_USE;
/* The pause before attempt `n` (1 is the first that is one anew), slept. */
void bootstrap__pause(struct bootstrap_run *run, int n);

/* What a cluster says of its members. */
struct bootstrap_view {
    uint64_t cluster_id; /* 0: it wasn't told */
    struct node_member *members;
    size_t count;
};

/* GET /members of a peer URL.
 * Errors: those of bootstrap__ask; ERR_INVALID: no such list. */
enum err bootstrap__ask_members(struct bootstrap_run *run, const char *peer_url,
                                int64_t timeout_ms,
                                struct bootstrap_view *out) MUST_USE;
enum err bootstrap__parse_members(struct arena *arena, struct slice json,
                                  struct bootstrap_view *out) MUST_USE;
/* The member that has these peer URLs, all and no others; NULL: none. */
const struct node_member *
bootstrap__find_by_urls(struct arena *arena, const struct bootstrap_view *view,
                        const struct config_urls *urls);

/* ---- the ways ------------------------------------------------------------ */

enum err bootstrap__start_static(struct bootstrap_run *run,
                                 const struct config_cluster *cluster,
                                 struct bootstrap *out) MUST_USE;
enum err bootstrap__discover(struct bootstrap_run *run,
                             struct bootstrap *out) MUST_USE;
/* The peer URLs that are registered there, for a proxy. */
enum err bootstrap__discovered_urls(struct bootstrap_run *run,
                                    const char **urls) MUST_USE;
enum err bootstrap__join_peers(struct bootstrap_run *run,
                               struct bootstrap *out) MUST_USE;
/* Refuses a member that has run before, since what it promised is forgotten:
 * its data is gone. */
enum err bootstrap__refuse_forgetful(const struct bootstrap_run *run,
                                     const struct node_member *member) MUST_USE;

#endif
