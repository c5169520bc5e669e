/* A whole member in one thread: a node on a disk and a store in memory, the
 * api before it, connections that are spoken to in bytes, and a clock that
 * moves when the test says so. What a test doesn't expect aborts.
 *
 *   client_send --> http1 --> api --> node        world_turn: until nothing
 *   client->got <-- http1 <-- api <-- node        is left to do
 */
#ifndef ETCHED_TESTS_SUPPORT_NODE_WORLD_H
#define ETCHED_TESTS_SUPPORT_NODE_WORLD_H

#include "api/api.h"
#include "base/list.h"
#include "memory/disk_memory.h"
#include "memory/kv_memory.h"
#include "wire/http1.h"

/* 2026-01-01T00:00:00Z, when a world begins. */
#define WORLD_START_NS INT64_C(1767225600000000000)

enum { WORLD_BODY_BYTES_MAX = 1572864 };

struct world {
    /* To be changed between world_init and world_open: */
    struct node_config config;
    struct node_member member; /* itself, as it begins */
    struct api_shared shared;

    struct clock clock;
    int64_t wall_ns;
    int64_t monotonic_ns;
    struct lock lock;
    int readers;
    bool writing;
    struct disk_memory *disk;
    struct kv *kv;

    struct node *node; /* NULL while closed */
    struct api *api;
    struct http_server client_port;
    struct http_server peer_port;
    struct list clients;
    struct queue_link *answers; /* that the api has not been given yet */
    struct queue_link *answers_end;
    struct mvcc_commit **commits; /* neither */
    size_t commit_count;
    size_t commit_capacity;
    bool watching;
    bool idle_core;           /* writes wait: node_run is not called */
    struct queue_link *work;  /* that waits for a worker, see world_do_work */
    struct slice certificate; /* of who connects from now on */
    bool is_own;              /* that is this process */
    enum err core_failed;     /* what node_run said; not ERR_OK: it is over */
    size_t flushes_due;
    struct slice date;
    struct buf reply; /* of the last world_request */
};

/* A connection. */
struct client {
    struct world *world;
    struct list link;
    struct http1 *http1;
    struct buf got;  /* what came and was not looked at yet */
    struct buf body; /* of the last client_reply, where it was in chunks */
    bool is_slow;    /* takes nothing by itself */
};

struct reply {
    int status;
    struct slice head; /* of the client's memory, as `body` is */
    struct slice body; /* without its chunks' frames */
    bool is_whole;     /* false: more is to come, or it broke off */
    size_t bytes;      /* of all that it took */
};

void world_init(struct world *world, uint64_t seed);
void world_deinit(struct world *world); /* closes */
/* Opens the node and the api over what disk and store hold. */
enum err world_try_open(struct world *world) MUST_USE;
void world_open(struct world *world);
/* As when the process is asked to stop. */
void world_close(struct world *world);
/* As when the machine goes off: what wasn't synced is gone. Closed. */
void world_crash(struct world *world);
/* Both clocks move, and all that is due is done. */
void world_wait(struct world *world, int64_t ns);
/* For world->shared.submit_work, whose context is the world: what takes long
 * waits until world_do_work, which does what waits and tells the api. */
void world_submit_work(void *context, struct work *work);
size_t world_do_work(struct world *world);
/* Does all that can be done now. */
void world_turn(struct world *world);
/* Moves all into the kv file. */
enum err world_flush(struct world *world) MUST_USE;
/* Forgets the history up to `at`, now. */
void world_compact(struct world *world, revision at);
revision world_revision(struct world *world);

struct client *client_new(struct world *world);
struct client *client_new_peer_port(struct world *world);
/* It goes away, without a word. */
void client_free(struct client *client);
void client_send(struct client *client, struct slice bytes);
void client_say(struct client *client, const char *text);
/* A request; `form` NULL: without a body; `headers` NULL, or lines that each
 * end in "\r\n". */
void client_ask(struct client *client, const char *method, const char *target,
                const char *headers, const char *form);
/* A slow one takes up to `max` bytes. Returns how many there were. */
size_t client_take(struct client *client, size_t max);
/* What lies in client->got, as an answer; `head_only`: without a body. */
bool client_reply(struct client *client, bool head_only, struct reply *reply);
/* Drops the reply from client->got. */
void client_next(struct client *client, const struct reply *reply);

/* Asks and waits for the whole answer; it is good until the next one. */
struct reply world_request(struct world *world, const char *method,
                           const char *target, const char *headers,
                           const char *form);
/* The value of a header, or a slice with at == NULL. */
struct slice reply_header(const struct reply *reply, const char *name);

#endif
