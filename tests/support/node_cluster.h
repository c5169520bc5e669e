/* Several members in one thread, over doors in memory: a network that the test
 * cuts, delays and doubles, clocks that move together, disks and stores that
 * crash. What a test doesn't expect aborts.
 *
 * A member has a number, from 0; its id is 0xa1 and up, in that order.
 */
#ifndef ETCHED_TESTS_SUPPORT_NODE_CLUSTER_H
#define ETCHED_TESTS_SUPPORT_NODE_CLUSTER_H

#include "memory/disk_memory.h"
#include "memory/kv_memory.h"
#include "base/prng.h"
#include "node/node.h"

#define CLUSTER_START_NS INT64_C(1700000000000000000)
#define CLUSTER_MS INT64_C(1000000)

enum { CLUSTER_MAX = 7, CLUSTER_HEARTBEAT_MS = 20, CLUSTER_ELECTION_MS = 200 };

struct node_cluster;

struct cluster_member {
    struct node_cluster *cluster;
    size_t number;
    struct clock clock;
    int64_t wall_shift_ns; /* how wrong its clock on the wall is */
    struct lock lock;
    int readers;
    bool writing;
    struct net net;
    struct disk_memory *disk;
    struct kv *kv;
    struct node_config config; /* to be changed before an opening */
    struct node *node;         /* NULL: down */
    enum err failed;           /* what stopped it */
    bool paused;               /* it isn't run, but messages reach it */
    revision told; /* the newest commit that its watchers were told of */
    size_t jumps;
    size_t told_count;
    bool wants_snapshot[CLUSTER_MAX]; /* of it, as leader, by others */
    size_t snapshots_taken;           /* in */
    size_t others;                    /* as its net was told */
    member_id known[CLUSTER_MAX];
    struct buf text;
};

/* A write, a read or a change; the cluster's, until it ends. */
struct cluster_wait {
    struct cluster_wait *next;
    struct node_request request;
    struct node_read read;
    struct node_change change;
    struct node_snapshot_arrival arrival;
    bool done;
    enum err err;
};

struct cluster_message {
    struct cluster_message *next;
    member_id from;
    member_id to;
    int64_t due_ns;
    struct refbuf *bytes;
};

struct node_cluster {
    size_t count;
    struct cluster_member members[CLUSTER_MAX];
    struct node_member list[CLUSTER_MAX]; /* of the first start */
    char urls[CLUSTER_MAX][32];
    char names[CLUSTER_MAX][16];
    int64_t now_ns;
    uint64_t seed;
    struct prng prng;
    struct cluster_message *messages;   /* oldest first */
    bool cut[CLUSTER_MAX][CLUSTER_MAX]; /* from, to */
    int64_t delay_ms;                   /* of each message */
    int64_t jitter_ms; /* and up to this more: they pass each other */
    unsigned lost_percent;
    unsigned doubled_percent;
    /* False: the message is lost. */
    bool (*filter)(struct node_cluster *cluster, member_id from, member_id to,
                   struct slice bytes);
    bool no_snapshots; /* those that are wanted stay so */
    struct cluster_wait *waits;
};

/* A cluster of `count`, none of them up; and so many more that aren't in the
 * list and join later. */
void cluster_init(struct node_cluster *cluster, size_t count, size_t more,
                  uint64_t seed);
void cluster_deinit(struct node_cluster *cluster);

enum err cluster_open(struct node_cluster *cluster, size_t number) MUST_USE;
void cluster_open_all(struct node_cluster *cluster);
void cluster_close(struct node_cluster *cluster, size_t number);
/* As when the machine goes off. */
void cluster_crash(struct node_cluster *cluster, size_t number);
/* Its data is gone for good. */
void cluster_wipe(struct node_cluster *cluster, size_t number);
member_id cluster_id(size_t number);

/* Cuts the lines between this member and all others, or mends them. */
void cluster_isolate(struct node_cluster *cluster, size_t number, bool on);
void cluster_mend(struct node_cluster *cluster);

/* Time goes on; all that is due is done. */
void cluster_run(struct node_cluster *cluster, int64_t ms);
/* Until it is so; aborts after `ms`. */
void cluster_until(struct node_cluster *cluster,
                   bool (*holds)(struct node_cluster *cluster), int64_t ms);
/* The one that leads by its own word and that of a majority of those that are
 * up; waits for it. */
size_t cluster_leader(struct node_cluster *cluster);
/* One that is up and doesn't lead. */
size_t cluster_follower(struct node_cluster *cluster);
/* Until all that are up have applied what the leader has. */
void cluster_settle(struct node_cluster *cluster);
/* All that are up and as far as each other have the same in their stores. */
void cluster_check_same(struct node_cluster *cluster);

/* ---- asking -------------------------------------------------------------- */

struct cluster_wait *cluster_submit(struct node_cluster *cluster, size_t number,
                                    const struct command *command);
struct cluster_wait *cluster_set_async(struct node_cluster *cluster,
                                       size_t number, const char *key,
                                       const char *value);
/* Waits for the answer. */
enum err cluster_wait(struct node_cluster *cluster, struct cluster_wait *wait);
enum err cluster_set(struct node_cluster *cluster, size_t number,
                     const char *key, const char *value) MUST_USE;
enum err cluster_set_ttl(struct node_cluster *cluster, size_t number,
                         const char *key, const char *value,
                         uint64_t ttl_s) MUST_USE;
struct cluster_wait *cluster_read_async(struct node_cluster *cluster,
                                        size_t number);
enum err cluster_read(struct node_cluster *cluster, size_t number) MUST_USE;
struct cluster_wait *cluster_change_async(struct node_cluster *cluster,
                                          size_t number, enum node_change_op op,
                                          size_t who);
enum err cluster_change(struct node_cluster *cluster, size_t number,
                        enum node_change_op op, size_t who) MUST_USE;
/* What its store has, as it stands; NULL: nothing. Until the next call. */
const char *cluster_get(struct node_cluster *cluster, size_t number,
                        const char *key);
struct node_progress cluster_progress(struct node_cluster *cluster,
                                      size_t number);
struct node_counters cluster_counters(struct node_cluster *cluster,
                                      size_t number);
enum err cluster_flush(struct node_cluster *cluster, size_t number) MUST_USE;

#endif
