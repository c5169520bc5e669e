/* Several members with an api each, in one thread: the nodes of a cluster in
 * memory, and before each of them a world without a node of its own, which has
 * the connections, the answers and the commits that wait.
 *
 *   connection --> world --> api --> node ---.
 *                                            |  node_cluster's network
 *   connection <-- world <-- api <-- node <--'
 */
#ifndef ETCHED_TESTS_API_CLUSTER_H
#define ETCHED_TESTS_API_CLUSTER_H

#include "story.h"

#include "support/node_cluster.h"

/* What a client of v2 is told where a write or a read isn't done. */
#define NOT_DONE(cause)                                       \
    "{\"errorCode\":300,\"message\":\"Raft Internal Error\"," \
    "\"cause\":\"" cause "\",\"index\":*}\n"

#define TYPE_JSON "Content-Type: application/json\r\n"
#define TYPE_FORM "Content-Type: application/x-www-form-urlencoded\r\n"

struct api_cluster;

struct api_member {
    struct api_cluster *cluster;
    size_t number;
    struct world world;       /* its node is the cluster's; `api` NULL: down */
    struct node_config inner; /* whose callbacks the node's go on to */
    bool jumped;              /* and the api doesn't know yet */
    revision newest;
};

struct api_cluster {
    struct node_cluster nodes;
    struct api_member members[CLUSTER_MAX];
    struct buf reply; /* of the last request */
};

/* `count` members, all up and with a leader; and `more`, which join later. */
struct api_cluster *api_cluster_new(size_t count, size_t more);
/* The same, but none is up: their nodes' config can still be changed. */
struct api_cluster *api_cluster_new_asleep(size_t count, size_t more);
/* All but those that join later; waits for a leader. */
void api_cluster_wake(struct api_cluster *cluster);
void api_cluster_free(struct api_cluster *cluster);

/* Opens a member's node and its api. */
void api_cluster_open(struct api_cluster *cluster, size_t number);
/* As when the process is asked to stop: all that is with the node is awaited,
 * for as long as the node takes. */
void api_cluster_close(struct api_cluster *cluster, size_t number);

/* All that can be done now; time stands still. */
void api_cluster_turn(struct api_cluster *cluster);
/* Time goes on, by a millisecond at once. */
void api_cluster_run(struct api_cluster *cluster, int64_t ms);
/* Until all have applied what the leader has, and have answered. */
void api_cluster_settle(struct api_cluster *cluster);
/* Nothing reaches a member nor comes from it, until it knows of no leader;
 * cluster_mend ends it. */
void api_cluster_isolate(struct api_cluster *cluster, size_t number);
size_t api_cluster_leader(struct api_cluster *cluster);
size_t api_cluster_follower(struct api_cluster *cluster);

struct client *api_cluster_client(struct api_cluster *cluster, size_t number);
/* Asks a member and lets time go on until the whole answer is there. `request`
 * is a method and a target, "GET /v2/keys/a"; where it begins with "peer " it
 * goes to the peer port. The reply is good until the next one. */
struct reply api_cluster_ask(struct api_cluster *cluster, size_t number,
                             const char *request, const char *headers,
                             const char *body);
/* And expects this status and this body ('*': any run of characters). What is
 * sent is a form, or, where it begins with '{', JSON. */
void api_cluster_story(struct api_cluster *cluster, size_t number,
                       const char *request, const char *body, int status,
                       const char *expected);
/* Sends such a request, for which nobody waits. */
void api_cluster_send(struct client *client, const char *request,
                      const char *body);
/* What has come for it: the status, 0 for none yet. */
int api_cluster_status(struct client *client);

#endif
