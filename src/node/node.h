/* One replica: raft, the log, the store, the tree and the leases, and the
 * order in which things happen to them.
 *
 *   any thread          writer (core thread)                 backend thread
 *   node_submit  --->   node_run:                            node_flush:
 *   node_read             1 take in what has come: messages,   1 cut (shared
 *   node_receive            writes (at most one batch),          lock)
 *   ...                     reads, the time                    2 write, sync
 *                         2 send what may be sent              3 let the tail
 *                         3 append to the log, ONE sync          go (exclusive
 *                         4 send what had to wait for it         lock)
 *                         5 apply in order (exclusive lock)
 *                         6 answer, tell the watchers
 *
 * What is applied is in memory; the applied index and the applied data reach
 * the kv file in one transaction, and the log below it may go.
 *
 * EVERY MEMBER SERVES. A write that comes to a follower goes to the leader as
 * a message, with the follower's id and a number; the follower answers its
 * client when it applies that entry itself, so the answer is computed where
 * it is needed and the follower's own reads see the write. Writes wait for a
 * leader for at most an election timeout (then ERR_NO_LEADER, nothing was
 * done); one that was handed over and never came back is ERR_TIMEOUT: nobody
 * knows whether it will be done. The same holds for one that the leader itself
 * had in its log when it lost its place.
 *
 * Threads: node_submit, node_read, node_receive, node_peer_lost,
 *          node_unreachable, node_snapshot_* (save where said), node_progress:
 *          any. node_run and the like: the writer. node_flush: one other.
 *          Readers use node_mvcc with a reader of their own under node_lock.
 */
#ifndef ETCHED_NODE_NODE_H
#define ETCHED_NODE_NODE_H

#include "auth/auth.h"
#include "auth/tokens.h"
#include "base/queue.h"
#include "lease/lease.h"
#include "mvcc/mvcc.h"
#include "port/clock.h"
#include "port/disk.h"
#include "port/kv.h"
#include "port/lock.h"
#include "port/net.h"
#include "proto/command.h"
#include "raft/raft.h"
#include "snap/snap.h"
#include "tree/tree.h"
#include "txn/txn.h"

/* The node's own note on what waits for an answer. */
struct node_wait {
    bool is_change;
    bool is_handed_over;
    member_id from;  /* whose it is, of a change: 0: this member's own */
    raft_term term;  /* in which it was proposed, or handed to the leader */
    uint64_t number; /* by which this member knows it again */
    int64_t due_ms;  /* when it has waited long enough; 0: not set yet */
    int64_t sent_ms; /* to the leader, the last time */
};

/* A write that waits for its answer. The submitter's memory, untouched by it
 * between node_submit and on_done. */
struct node_request {
    struct queue_link link;
    struct node_wait wait;
    struct refbuf *command; /* encoded; the reference passes */
    /* Called by the writer when all is decided; the request is the
     * submitter's again. */
    void (*on_done)(struct node_request *request);
    /* The answer: */
    enum err err;            /* not applied: ERR_FULL, ERR_NO_SPACE, ... */
    struct tree_result tree; /* of a COMMAND_TREE without err; to be given back
                                with tree_result_deinit */
    /* Of a request of v3's (and of a COMMAND_COMPACT) without err; to be given
     * back with txn_answer_deinit. A LEASE_RENEW answers with a
     * LeaseKeepAliveResponse: ID, and TTL 0 where there is no such lease (one
     * lease a command; a list has no body). */
    struct txn_answer answer;
    raft_index index;
    raft_term term;
};

/* A read that must see every write that was answered before it began
 * (linearizable). Memory and on_done as with a node_request; on_done is called
 * when this member has applied what the read must see: it is then done here,
 * under the shared lock. */
struct node_read {
    struct queue_link link;
    void (*on_done)(struct node_read *read);
    enum err err; /* ERR_NO_LEADER, ERR_TIMEOUT, ERR_STOPPED */
    /* The node's: */
    uint64_t number;  /* of the question that it is part of; 0: not asked */
    raft_index index; /* what it must see */
    int64_t since_ms;
};

/* A member as it stands in the store: the same on every member. Slices are in
 * the arena that was given, or the caller's. */
struct node_member {
    member_id id;
    struct slice name;        /* "" until it has published itself */
    struct slice peer_urls;   /* joined with ',' */
    struct slice client_urls; /* joined with ',' */
    bool is_learner;
    /* A learner that active size may make a voter (a standby); one that a
     * person has added as a learner waits for a person. */
    bool is_standby;
};

/* A change of membership. Memory and on_done as with a node_request. Only the
 * leader can do it: elsewhere it is forwarded as a write is. */
enum node_change_op {
    NODE_ADD_VOTER, /* to a cluster of one: as a standby is */
    NODE_ADD_LEARNER,
    NODE_ADD_STANDBY, /* a voter as soon as it has caught up, if there are fewer
                         than active size: until then it isn't counted on */
    NODE_REMOVE,
    NODE_UPDATE,  /* peer_urls */
    NODE_PROMOTE, /* a learner to a voter */
};
struct node_change {
    struct queue_link link;
    struct node_wait wait;
    struct refbuf *command; /* the node's: what is asked, encoded */
    enum node_change_op op;
    struct node_member member; /* what `op` needs of it; copied at once */
    void (*on_done)(struct node_change *change);
    /* ERR_EXISTS (id or peer URL), ERR_NOT_FOUND, ERR_GONE (was removed),
     * ERR_BUSY (another change, all the time), ERR_UNHEALTHY (would leave no
     * quorum that is heard from: only with strict_reconfig), ERR_NOT_READY
     * (the learner is behind), ERR_INVALID, ERR_NO_LEADER, ERR_TIMEOUT. */
    enum err err;
};

/* 0.4's cluster configuration, kept in the store. */
struct node_cluster_config {
    uint64_t active_size;   /* voters, at most; 9 unless set; at least 3 */
    double remove_delay_s;  /* 1800; at least 2 (tests: node_config) */
    double sync_interval_s; /* 5; at least 1 */
};

struct node_ports {
    struct clock *clock;
    struct disk *disk; /* the log's directory */
    struct kv *kv;     /* the whole file: snap/ divides it */
    struct lock *lock;
    struct lock *auth_lock; /* of users and roles; NULL: `lock` is */
    struct net *net;        /* NULL: a cluster of one that stays so */
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
    /* This member's own, joined with ','; used where its store knows none: of
     * a version that kept none, or with force_new_cluster. May be NULL. */
    const char *peer_urls;
    /* A new cluster's members, this one among them, with their peer URLs (and
     * names, where they are known). Count 0: a new member of a cluster that
     * exists: it knows nobody until its leader speaks to it. (Without
     * a net: a cluster of one.) */
    const struct node_member *members;
    size_t member_count;
    /* --force-new-cluster: all others are forgotten, this member is the only
     * voter of a cluster of one. */
    bool force_new_cluster;
    bool strict_reconfig;
    bool pre_vote;
    bool lease_reads;
    int64_t request_timeout_ms; /* of a write or a read; 0: 5 s and twice the
                                   election timeout */
    /* Entries kept in memory for followers that are behind, at most. */
    size_t catch_up_entries;
    size_t catch_up_bytes;
    double remove_delay_min_s;          /* 2; less in tests */
    struct node_cluster_config cluster; /* until it was set in the store */
    uint64_t seed;
    int64_t heartbeat_ms;
    int64_t election_ms;
    uint64_t wal_segment_bytes;
    bool unsafe_no_sync;
    uint64_t quota_bytes;   /* of the kv file in use; 0: none */
    size_t flush_revisions; /* the backend is woken after this many */
    enum node_compaction compaction;
    int64_t compaction_keep; /* nanoseconds or revisions */
    /* The oldest revision that somebody will read history from: compaction
     * stays below it, until it has kept twice as much as it would. Called by
     * the writer, in a read. NULL: nobody. */
    revision (*oldest_wanted)(struct mvcc_reader *reader);
    /* Told of tokens and of users that lose theirs. NULL: nobody logs in. */
    struct auth_tokens *tokens;

    /* Called by the writer after each batch was applied, with what changed,
     * in order; references are the node's, take your own. After a snapshot
     * there is a hole, told by on_jump. */
    void (*on_commits)(void *context, struct mvcc_commit *const *commits,
                       size_t count);
    /* Called by the writer when answers were given: wake who waits. */
    void (*on_answered)(void *context);
    /* Called by the writer, when a snapshot has taken the store's place, which
     * is at `newest` now: what lies between was not told by on_commits and is
     * in history. May be NULL. */
    void (*on_jump)(void *context, revision newest);
    /* Called by the writer when the backend has work. */
    void (*on_flush_due)(void *context);
    /* Called by whoever submits (or hands in a message) when the writer may be
     * asleep. Any thread. */
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

/* ---- the other members --------------------------------------------------- */

/* A message as another node's net_send had it; the reference passes. Dropped
 * when too much waits, or when it makes no sense. */
void node_receive(struct node *node, member_id from, struct refbuf *message);
/* The connection from or to a member broke. */
void node_peer_lost(struct node *node, member_id member);
/* What was sent to it may be lost. */
void node_unreachable(struct node *node, member_id member);

/* A snapshot of this member as leader, for another; the source reads a set of
 * this node's, so it is closed before node_close. node_snapshot_sent follows
 * in any case.
 * Errors: ERR_NOT_LEADER, ERR_IO, ERR_FULL, ERR_BUSY (try again). */
enum err node_snapshot_open(struct node *node, struct snap_header *header,
                            struct snap_source **out) MUST_USE;
/* `index` as in the header; failed: it didn't come to its end. */
void node_snapshot_sent(struct node *node, member_id to, raft_index index,
                        bool failed);
/* A snapshot comes in: the sink to write it to.
 * Errors: ERR_WRONG_CLUSTER, ERR_BUSY, ERR_EXISTS (this member is as far: to
 *         the sender that is as good as done, node_snapshot_sent isn't told
 *         of a failure; so too when it comes as an arrival's answer). */
enum err node_snapshot_receive(struct node *node,
                               const struct snap_header *header,
                               struct snap_sink **out) MUST_USE;
/* It is complete, or was given up: the sink passes back. on_done comes when
 * it is installed (or not wanted any more: not ERR_OK). Where `complete` is
 * false, the transfer ended early: on_done is not called, and the arrival is
 * the caller's again on return. */
struct node_snapshot_arrival {
    struct queue_link link;
    struct snap_sink *sink;
    struct snap_header header;
    bool complete;
    void (*on_done)(struct node_snapshot_arrival *arrival);
    enum err err;
};
void node_snapshot_arrived(struct node *node,
                           struct node_snapshot_arrival *arrival);

/* ---- reads, changes ------------------------------------------------------ */

/* True: this moment's state here is good enough for a linearizable read (a
 * cluster of one), no node_read is needed. */
bool node_reads_are_current(const struct node *node);
/* ERR_FULL: nothing was taken. */
enum err node_read(struct node *node, struct node_read *read) MUST_USE;
enum err node_change(struct node *node, struct node_change *change) MUST_USE;
/* Hands leadership over; 0: to whoever is fittest. Also forwarded. */
void node_transfer(struct node *node, member_id to);

/* ---- writes -------------------------------------------------------------- */

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
/* Users and roles, as of what is applied. They change under the locks of both,
 * so they may be looked at under either: who needs nothing else of the node
 * takes this one, and doesn't wait for what is applied. Never node_lock while
 * this one is held. */
struct auth *node_auth(struct node *node);
struct lock *node_auth_lock(struct node *node);
/* For those who look on (the simulator). Threads: the writer. */
const struct raft *node_raft(const struct node *node);

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
    bool is_learner;
    bool is_removed; /* from its cluster: the member ends */
};
void node_progress(const struct node *node, struct node_progress *out);

/* The alarms that are raised, by members or by clients (Maintenance.Alarm):
 * kept in the store, the same on every member. While NOSPACE is raised puts,
 * txns that put and grants are refused everywhere, ERR_NO_SPACE. A member
 * whose own store is full refuses by itself, without an alarm (see no_space),
 * and is shown here too. Shared lock. */
struct node_alarm {
    member_id member;
    uint32_t type; /* as AlarmType */
};
size_t node_alarms(struct node *node, struct node_alarm *out, size_t max);

/* What may be below a prefix, and what is (COMMAND_QUOTA): the same on every
 * member. By prefix, in the arena. Shared lock. */
struct node_quota {
    struct slice prefix;
    uint64_t keys_max;  /* 0: any number */
    uint64_t bytes_max; /* of keys and values; 0: any number */
    uint64_t keys;
    uint64_t bytes;
};
size_t node_quotas(struct node *node, struct arena *arena,
                   struct node_quota **out);

/* A file that holds the database in etcd's own format needs the indexes that
 * the store stands at. Shared lock. */
struct node_position {
    raft_index applied;
    raft_term term;
};
void node_position(struct node *node, struct node_position *out);

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
    uint64_t messages_received;
    uint64_t messages_dropped; /* the inbox was full, or it made no sense */
    uint64_t append_received;  /* appends, as stats/self counts them */
    uint64_t append_sent;
    uint64_t append_received_bytes;
    uint64_t append_sent_bytes;
    uint64_t reads_confirmed;
    uint64_t forwarded;
    uint64_t snapshots_installed;
    uint64_t leases_granted; /* of v3 */
    uint64_t leases_revoked; /* or expired */
    uint64_t leases_renewed;
    /* As etcd counts in etcd_mvcc_*: operations of v3 that were applied, those
     * in txns too, and the ends of leased keys; and what was more than one of
     * them at once. */
    uint64_t ranges;
    uint64_t puts;
    uint64_t deletes;
    uint64_t txns;
    uint64_t quota_refused; /* writes, for a quota of a prefix */
};
void node_counters(const struct node *node, struct node_counters *out);

/* The member of that id; slices are in the arena. Shared lock. False: no such
 * member. */
bool node_member(struct node *node, member_id id, struct arena *arena,
                 struct node_member *out);
/* All members, by id, in the arena. Shared lock. */
size_t node_members(struct node *node, struct arena *arena,
                    struct node_member **out);
/* True: a member of this id was removed once. Shared lock. */
bool node_member_removed(struct node *node, member_id id);
void node_cluster_config(struct node *node, struct node_cluster_config *out);

/* How the leader sees the others; of stats and metrics. Any thread. Returns
 * the count; 0 where this member doesn't lead. */
struct node_peer {
    member_id id;
    raft_index match;
    enum raft_peer_state state;
    bool is_learner;
    int64_t heard_ms; /* monotonic */
    /* Of appends, from sent to answered, in milliseconds. */
    uint64_t answered;
    uint64_t failed;
    double latency_now_ms;
    double latency_sum_ms;
    double latency_squares_ms;
    double latency_min_ms;
    double latency_max_ms;
};
size_t node_peers(const struct node *node, struct node_peer *out, size_t max);

/* ---- a member that begins with a store from elsewhere -------------------- */

/* What the store's meta must hold for node_open to find a member of this new
 * cluster in it: each pair is given to `put`, which passes errors on. Slices
 * are good for the call. */
struct node_founding {
    enum err (*put)(void *context, struct slice name, struct slice value);
    void *context;
};
enum err node_found_members(const struct node_founding *founding,
                            uint64_t cluster_id,
                            const struct node_member *members,
                            size_t member_count) MUST_USE;
/* A lease of v3 that was granted `ttl_s` seconds. Its time begins when the
 * cluster has its first leader, the same on every member, however long after
 * one another they were made. */
enum err node_found_lease(const struct node_founding *founding, lease_id id,
                          int64_t ttl_s) MUST_USE;
/* The log of that member, empty, behind a store that stands at `index` in
 * `term`. The store is durable by then; an end in between leaves what
 * node_open refuses. Errors: ERR_EXISTS, and those of the disk. */
struct node_founding_log {
    struct disk *disk;
    uint64_t segment_bytes;
    uint64_t cluster_id;
    member_id member_id;
    raft_index index;
    raft_term term;
};
enum err node_found_log(const struct node_founding_log *log) MUST_USE;

#endif
