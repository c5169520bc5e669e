/* One replica: raft, the log, the store, the tree and the leases, and the
 * order in which things happen to them.
 *
 *   any thread          writer (core thread)                 backend thread
 *   node_submit  --->   node_run:                            node_flush:
 *                         1 propose all that waits, at most    1 cut (shared
 *                           one batch                            lock)
 *                         2 append to the log, ONE sync        2 write, sync
 *                         3 apply in order (exclusive lock)    3 let the tail
 *                         4 answer, tell the watchers            go (exclusive
 *                                                                lock)
 *
 * What is applied is in memory; the applied index and the applied data reach
 * the kv file in one transaction, and the log below it may go.
 *
 * Threads: node_submit, node_progress: any. node_run and the like: the writer.
 *          node_flush: one other. Readers use node_mvcc with a reader of
 *          their own under node_lock.
 */
#ifndef ETCHED_NODE_NODE_H
#define ETCHED_NODE_NODE_H

#include "base/queue.h"
#include "lease/lease.h"
#include "mvcc/mvcc.h"
#include "port/clock.h"
#include "port/disk.h"
#include "port/kv.h"
#include "port/lock.h"
#include "proto/command.h"
#include "raft/raft.h"
#include "tree/tree.h"

/* A write that waits for its answer. The submitter's memory, untouched by it
 * between node_submit and on_done. */
struct node_request {
    struct queue_link link;
    struct refbuf *command; /* encoded; the reference passes */
    /* Called by the writer when all is decided; the request is the
     * submitter's again. */
    void (*on_done)(struct node_request *request);
    /* The answer: */
    enum err err;            /* not applied: ERR_FULL, ERR_NO_SPACE, ... */
    struct tree_result tree; /* of a COMMAND_TREE without err; to be given back
                                with tree_result_deinit */
    raft_index index;
    raft_term term;
};

struct node_ports {
    struct clock *clock;
    struct disk *disk; /* the log's directory */
    struct kv *kv;
    struct lock *lock;
};

enum node_compaction {
    NODE_COMPACTION_OFF,
    NODE_COMPACTION_PERIODIC,
    NODE_COMPACTION_REVISION,
};

struct node_config {
    struct node_ports ports;
    /* Of a new member; one that has data keeps what it has. */
    uint64_t cluster_id;
    member_id member_id;
    const char *name;
    const char *client_urls; /* joined with ',' */
    uint64_t seed;
    int64_t heartbeat_ms;
    int64_t election_ms;
    uint64_t wal_segment_bytes;
    bool unsafe_no_sync;
    uint64_t quota_bytes;   /* of the kv file in use; 0: none */
    size_t flush_revisions; /* the backend is woken after this many */
    enum node_compaction compaction;
    int64_t compaction_keep; /* nanoseconds or revisions */

    /* Called by the writer after each batch was applied, with what changed,
     * in order; references are the node's, take your own. */
    void (*on_commits)(void *context, struct mvcc_commit *const *commits,
                       size_t count);
    /* Called by the writer when answers were given: wake who waits. */
    void (*on_answered)(void *context);
    /* Called by the writer when the backend has work. */
    void (*on_flush_due)(void *context);
    /* Called by whoever submits when the writer may be asleep. Any thread. */
    void (*on_submitted)(void *context);
    void *context;
};

struct node;

/* Opens or creates the member's data, applies what the log holds beyond the
 * store, and (alone) leads. The callbacks, on_answered apart, are called from
 * in here.
 * Errors: ERR_CORRUPT, ERR_WRONG_CLUSTER, ERR_IO, ERR_DISK_FULL; the note
 *         says what can be done. */
enum err node_open(const struct node_config *config,
                   struct node **out) MUST_USE;
/* Flushes what is left and closes all. Requests that wait are answered
 * ERR_STOPPED. Needs: no other thread uses the node. */
void node_close(struct node *node);

/* Hands a write to the writer. ERR_FULL: nothing was taken, the command's
 * reference stays the caller's. */
enum err node_submit(struct node *node, struct node_request *request) MUST_USE;

/* Does all that waits; answers, expires leases, compacts. Not ERR_OK: this
 * member can't go on (the note says why); nothing more was acknowledged. */
enum err node_run(struct node *node) MUST_USE;
/* When node_run should be called though nothing was submitted, on the
 * monotonic clock, in milliseconds; INT64_MAX: no need. */
int64_t node_deadline_ms(const struct node *node);

/* One flush. *more: there is more to write. ERR_DISK_FULL and ERR_NO_SPACE
 * raise the alarm and are worth another try later; others end the member.
 * Requests may have waited for it: wake the writer. */
enum err node_flush(struct node *node, bool *more) MUST_USE;

struct mvcc *node_mvcc(struct node *node);
struct lease_table *node_leases(struct node *node);
struct lock *node_lock(struct node *node);

/* What other threads may know at any time. */
struct node_progress {
    uint64_t cluster_id;
    member_id member_id;
    member_id leader;
    raft_term term;
    raft_index committed;
    raft_index applied;
    enum raft_role role;
    revision revision;
    bool no_space;           /* the alarm: writes are refused */
    int64_t leader_since_ns; /* wall clock */
    size_t pending;          /* writes that wait */
};
void node_progress(const struct node *node, struct node_progress *out);

/* Counters for metrics; each is a plain number that only grows. */
struct node_counters {
    uint64_t proposals_applied;
    uint64_t proposals_failed;
    uint64_t leases_expired;
    uint64_t wal_syncs;
    uint64_t wal_bytes;
    uint64_t batches;
    uint64_t flushes;
    uint64_t wal_sync_ns;
    uint64_t flush_ns;
    uint64_t compactions;
    uint64_t leader_changes;
};
void node_counters(const struct node *node, struct node_counters *out);

/* The name and client URLs (joined with ',') that a member published, copied
 * into the arena. Shared lock. False: no such member. */
bool node_member(struct node *node, member_id id, struct arena *arena,
                 struct slice *name, struct slice *client_urls);

#endif
