/* What the files of this folder share.
 *
 * Invariants, between two calls of node_run:
 *   flushed <= applied == raft's applied <= commit <= persisted == last
 *   (one voter; with more, persisted and last may be ahead)
 *   every request that was taken off the queue is answered or in `backlog`
 */
#ifndef ETCHED_NODE_NODE_INT_H
#define ETCHED_NODE_NODE_INT_H

#include "base/limits.h"
#include "node/node.h"
#include "wal/wal.h"

enum {
    /* Entries applied under one hold of the exclusive lock: readers wait no
     * longer than this takes (about a millisecond). */
    NODE_APPLY_CHUNK = 256,
    /* Entries that may be in the log but not in the kv file: what a restart
     * applies again. The in-memory log holds them all. */
    NODE_UNFLUSHED_MAX = 128 * 1024,
    NODE_LOG_ENTRIES = 256 * 1024,
    NODE_EXPIRE_MAX = 1000, /* leases in one command */
    /* So much room in the log ends its alarm (or half of a small segment). */
    NODE_PROBE_BYTES = 1024 * 1024,
    NODE_COMPACT_KEYS = 1000,   /* index entries in one slice */
    NODE_ROOM_RETRY_MS = 1000,  /* between looks whether the log has room */
    NODE_BACKEND_WAIT_MS = 100, /* while the backend is behind */
    /* Between looks at what to compact. Each compaction walks the whole
     * index, so the history that it takes off is a good part of what is kept:
     * a tenth, which may take its time to gather. */
    NODE_COMPACTION_PERIOD_MS = 5000,
    NODE_COMPACTION_PERIOD_MS_MAX = 60 * 60 * 1000,
    NODE_COMPACTION_PARTS = 10,
};

static_assert(NODE_UNFLUSHED_MAX + LIMIT_BATCH_ENTRIES_MAX <= NODE_LOG_ENTRIES,
              "a batch fits the in-memory log beside all that is unflushed");

/* A batch on its way: requests by position; NULL where the command is the
 * node's own. */
struct node_batch {
    struct node_request *requests[LIMIT_BATCH_ENTRIES_MAX];
    struct raft_entry entries[LIMIT_BATCH_ENTRIES_MAX];
    const struct raft_entry *pointers[LIMIT_BATCH_ENTRIES_MAX];
    size_t count;
    size_t bytes;
    raft_index first; /* index of entries[0], once proposed */
};

struct node {
    struct node_config config;
    char *name;
    char *client_urls;
    uint64_t cluster_id;
    member_id member_id;

    struct raft *raft;
    struct raft_update update;
    struct wal *wal;
    struct mvcc *mvcc;
    struct mvcc_reader *reader;
    struct lease_table *leases;
    struct tree tree;
    struct arena arena; /* of one command */

    struct queue queue;
    struct queue_link *backlog; /* taken, not proposed */
    struct node_batch *batch;
    struct mvcc_commit **commits; /* of one chunk */
    size_t commit_count;
    size_t commit_capacity;
    int64_t time_ns; /* of the newest entry, proposed here or restored */
    /* The member's own clock: node__now_ns. */
    int64_t own_ns;
    int64_t own_since_ns;
    int64_t compaction_due_ms;
    int64_t room_due_ms; /* with log_full: when to ask again */
    bool compacting;     /* mvcc_compact_slice has work */
    bool behind;         /* must wait for the backend */
    bool stopped;
    /* A thousand answers, one wake-up. */
    size_t answered;

    /* Shared with other threads. */
    _Atomic uint64_t leader;
    _Atomic uint64_t term;
    _Atomic uint64_t committed;
    _Atomic uint64_t applied;
    _Atomic uint64_t flushed;
    _Atomic int role;
    _Atomic int64_t revision;
    _Atomic int64_t leader_since_ns;
    _Atomic uint64_t tail_bytes;
    _Atomic size_t waiting; /* of the backlog */
    _Atomic bool garbage;   /* compaction dropped what the kv file has */
    _Atomic bool log_full;  /* the log found no room */
    _Atomic bool kv_full;   /* the kv file found none */
    _Atomic bool over_quota;
    _Atomic bool flush_wanted;
    _Atomic uint64_t counters[sizeof(struct node_counters) / 8];
};

#define NODE_COUNTER(field) (offsetof(struct node_counters, field) / 8)

static inline void node__count(struct node *node, size_t counter, uint64_t by)
{
    atomic_fetch_add_explicit(&node->counters[counter], by,
                              memory_order_relaxed);
}

/* identity.c: the ids of cluster and member, in a file of the log's folder. */
enum err node__identity_read(struct disk *disk, uint64_t *cluster,
                             member_id *member) MUST_USE;
enum err node__identity_write(struct disk *disk, uint64_t cluster,
                              member_id member) MUST_USE;

/* backend.c: raises or ends an alarm, and says so once. */
void node__set_alarm(_Atomic bool *alarm, bool on, const char *what);
/* What the quota says to what the kv file holds. */
void node__look_at_quota(struct node *node);

/* restore.c: the store and the log, and what joins them; all but the
 * election. */
enum err node__restore(struct node *node) MUST_USE;

/* ready.c: what an update asks for, until nothing is left to do. */
enum err node__ready(struct node *node) MUST_USE;
/* Proposes the batch and sees it through to the answers. */
enum err node__run_batch(struct node *node) MUST_USE;
/* Asks whether a full log has room again. */
void node__probe_log(struct node *node);
/* Adds a command to the batch; the reference passes. `request` may be NULL. */
void node__batch_add(struct node *node, struct node_request *request,
                     struct refbuf *command, int64_t now_ns);
void node__answer(struct node *node, struct node_request *request,
                  enum err err);

/* apply.c: applies [from, to] in chunks. */
enum err node__apply(struct node *node, raft_index from,
                     raft_index to) MUST_USE;

/* upkeep.c: what the leader proposes by itself.
 *
 * The time of the log: the wall clock's, but where that falls behind what was
 * said before (it was set back), it goes on at the pace of the monotonic one:
 * what lives ten seconds lives ten seconds. It is a thousandth slow then, so
 * that the two meet again. */
int64_t node__now_ns(struct node *node);
int64_t node__peek_now_ns(const struct node *node);
void node__propose_expiry(struct node *node, int64_t now_ns, int64_t now_ms);
void node__propose_compaction(struct node *node, int64_t now_ns,
                              int64_t now_ms);
void node__compact_slice(struct node *node);
/* The meta name of a member: "member/" and its id, big endian. */
struct slice node__member_name(member_id id, char out[16]);

#endif
