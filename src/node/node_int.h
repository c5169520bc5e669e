/* What the files of this folder share.
 *
 * Invariants, between two calls of node_run:
 *   flushed <= applied == raft's applied <= commit <= persisted == last
 *   a request that was taken off its queue is answered, or in exactly one of:
 *     backlog    it waits to be proposed, or for a leader to be handed to
 *     ring       it was proposed here; found again by its entry's index
 *     handed     it is the leader's; found again by its number
 *   a forwarded command of another member that was taken in is proposed,
 *   refused (its member was told), or in `guests`
 *
 * A FORWARDED COMMAND belongs to one term: the leader of that term proposes
 * it, or nobody does. So when a member has applied the first entry of a later
 * term, what it handed over in an earlier one and hasn't seen yet was not
 * done and never will be: it may be handed over again.
 */
#ifndef ETCHED_NODE_NODE_INT_H
#define ETCHED_NODE_NODE_INT_H

#include "base/limits.h"
#include "base/map.h"
#include "base/prng.h"
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
    /* Proposed here and not applied yet, at most. */
    NODE_INFLIGHT_MAX = 2 * LIMIT_BATCH_ENTRIES_MAX, /* power of two */
    NODE_INFLIGHT_BYTES_MAX = 64 * 1024 * 1024, /* and one batch beyond it */
    /* Below what is in the kv file, for those who are behind: at most, and
     * by a member that doesn't lead but may tomorrow. */
    NODE_KEPT_MAX = 64 * 1024,
    NODE_KEPT_BY_FOLLOWER = 4 * 1024,
    /* Leases in one command, and their keys, if it is more than one lease: at
     * most a millisecond's work, with all that each of their commits costs
     * those who are told. A write waits for one of them. Where the log is
     * slow they are up to four times as many: for each further two
     * milliseconds that the last command took to come back. */
    NODE_EXPIRE_MAX = 250,
    NODE_EXPIRE_KEYS_MAX = 1000,
    NODE_EXPIRE_PARTS_MAX = 4,
    NODE_EXPIRE_PART_NS = 2 * 1000 * 1000,
    /* The end of a lease whose time hasn't begun (node_found_lease): the first
     * leader lets it begin. */
    NODE_LEASE_WAITS = 0,
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

    /* Messages that wait for the writer; beyond it they are lost. Events of
     * the connections, which are few, may still come. */
    NODE_INBOX_MAX = 4096,
    NODE_INBOX_EVENTS_MAX = 2 * NODE_INBOX_MAX,
    NODE_INBOX_BYTES_MAX = 128 * 1024 * 1024,
    /* Forwarded commands that wait to be proposed. */
    NODE_GUESTS_MAX = LIMIT_PROPOSALS_MAX,
    NODE_FORWARD_BYTES = 512 * 1024, /* of one message, about */
    NODE_CHANGES_MAX = 64,
    NODE_ARRIVALS_MAX = 4,
    NODE_HOLDS = 16, /* snapshots that leave at once */
    /* What a transfer that broke off has left may be gone on with so long. */
    NODE_CLEAN_MS = 10 * 60 * 1000,
    NODE_WINDOWS = 128,
    NODE_WINDOW_BITS = LIMIT_PROPOSALS_MAX,

    NODE_ALARMS_MAX = 64, /* raised by clients, for any number they name */

    /* At the most; and how long a prefix may be, which names it in the meta.
     */
    NODE_QUOTAS_MAX = 1000,
    NODE_QUOTA_PREFIX_MAX = 400,
    NODE_NO_QUOTA = -1,

    NODE_LEAVERS = 8,
    NODE_UPKEEP_MS = 1000,
    NODE_STATS_MS = 100,
    /* A learner is ready to vote when it is no further behind than this, or
     * than a tenth of a short log. */
    NODE_READY_LAG = 1000,
};

static_assert(NODE_UNFLUSHED_MAX + NODE_INFLIGHT_MAX + NODE_KEPT_MAX +
                      LIMIT_BATCH_ENTRIES_MAX <=
                  NODE_LOG_ENTRIES,
              "a batch fits the in-memory log beside all that it keeps");
static_assert((NODE_INFLIGHT_MAX & (NODE_INFLIGHT_MAX - 1)) == 0,
              "an index has its place in the ring by its last bits");
static_assert((int)NODE_WINDOW_BITS >= (int)LIMIT_PROPOSALS_MAX,
              "what a member has handed over is in its window");

/* The first byte of what members send each other. On the wire: numbers never
 * change. */
enum node_envelope {
    NODE_ENVELOPE_RAFT = 1,    /* raft_message_encode */
    NODE_ENVELOPE_FORWARD = 2, /* forward.c */
    NODE_ENVELOPE_ANSWER = 3,  /* forward.c */
};

/* Where a forwarded command comes from. */
struct node_origin {
    member_id from;
    uint64_t boot;   /* of that member: another one each time it starts */
    uint64_t number; /* rising in each of its lives, never 0 */
    raft_term term;  /* the leader's, to which it was handed */
};

/* A forwarded command, on the leader. */
struct node_guest {
    struct queue_link link;
    struct node_origin origin;
    struct refbuf *command; /* with its origin, as the log has it */
};

/* A change of membership that was forwarded. */
struct node_guest_change {
    struct node_change change;
    struct node *node;
    struct node_origin origin;
};

/* Which numbers of one life of a member were seen: of the last ones up to the
 * highest, one bit each. */
struct node_window {
    member_id from;
    uint64_t boot;
    uint64_t highest;
    uint64_t used; /* when, by node->window_clock */
    uint64_t bits[NODE_WINDOW_BITS / 64];
};

struct node_inbox_item {
    struct queue_link link;
    enum { NODE_INBOX_MESSAGE, NODE_INBOX_EVENT } kind;
    enum raft_event_type event;
    member_id from;
    raft_index index;
    bool failed;
    struct refbuf *message;
};

/* A batch on its way into the log: at each position a wait of this member's,
 * or a guest, or neither (a command of the node's own). */
struct node_batch {
    struct node_wait *waits[LIMIT_BATCH_ENTRIES_MAX];
    struct node_guest *guests[LIMIT_BATCH_ENTRIES_MAX];
    struct raft_entry entries[LIMIT_BATCH_ENTRIES_MAX];
    const struct raft_entry *pointers[LIMIT_BATCH_ENTRIES_MAX];
    size_t count;
    size_t bytes;
};

struct node_slot {
    struct node_wait *wait; /* NULL: free */
    raft_index index;
    raft_term term;
};

/* What was decided while the lock was held, to be told without it. */
struct node_decided {
    struct node_wait *wait;
    enum err err;
};

/* Requests or changes, by their links. */
struct node_chain {
    struct queue_link *first;
    struct queue_link *last;
    size_t count;
};

/* A member that was removed: it is still to be told so. */
struct node_leaver {
    member_id id; /* 0: free */
    char *peer_urls;
    int64_t until_ms;
};

/* Of node_peers. The writer writes, any thread reads. */
struct node_peer_slot {
    _Atomic uint64_t id; /* 0: free */
    _Atomic uint64_t match;
    _Atomic int state;
    _Atomic bool is_learner;
    _Atomic int64_t heard_ms;
    _Atomic uint64_t answered;
    _Atomic uint64_t failed;
    _Atomic double now_ms;
    _Atomic double sum_ms;
    _Atomic double squares_ms;
    _Atomic double min_ms;
    _Atomic double max_ms;
    /* The writer's: the append that is being timed; 0: none. */
    raft_index timed;
    int64_t timed_ns;
};

/* A prefix that has a quota. */
struct quota {
    struct node_quota seen;
    char *bytes;     /* the prefix's */
    int around;      /* of the longest other prefix that this begins with */
    bool is_touched; /* by the write that is looked at */
};

struct node {
    struct node_config config;
    char *name;
    char *client_urls;
    char *peer_urls;
    uint64_t cluster_id;
    member_id member_id;

    struct snap_set *set;
    struct raft *raft;
    struct raft_update update;
    struct wal *wal;
    struct mvcc *mvcc;
    struct mvcc_reader *reader;
    struct lease_table *leases;
    struct auth *auth;
    struct tree tree;
    struct txn txn;
    struct arena arena; /* of one command */
    struct prng prng;

    /* Time, of this turn. */
    int64_t now_ms;
    int64_t raft_deadline_ms;
    int64_t grace_ms; /* no tick before; 0: none */

    /* Writes. */
    struct queue queue;
    struct node_chain backlog;
    struct node_batch *batch;
    struct node_slot *ring;
    size_t ring_count;
    uint64_t inflight_bytes; /* proposed in led_term, not applied */
    struct node_decided decided[NODE_APPLY_CHUNK];
    size_t decided_count;
    struct mvcc_commit **commits; /* of one chunk */
    size_t commit_count;
    size_t commit_capacity;

    /* Forwarding: what this member has handed over... */
    struct map_u64 handed; /* waits by number */
    uint64_t boot;
    uint64_t last_number;
    raft_term refused_term; /* its leader leads no more */
    /* ...and, of a leader, what was handed to it. */
    struct node_chain guests;
    struct node_window *windows[NODE_WINDOWS];
    uint64_t window_clock;
    raft_term led_term; /* the windows are of it; 0: never led */

    /* Reads. */
    struct queue read_queue;
    struct node_chain asking;    /* by number, those without one last */
    struct node_chain confirmed; /* by index */
    uint64_t read_number;
    int64_t asked_ms;

    /* Membership. */
    struct queue change_queue;
    struct node_chain changes;  /* this member's and others', in order */
    struct raft_members stored; /* as of what is applied */
    raft_index change_index;    /* of the last change applied; 0: none */
    raft_index change_proposed; /* the last one proposed here */
    bool members_dirty;         /* the newest membership may be another */
    bool is_alone;              /* the only voter */
    bool has_others;            /* in the membership */
    struct arena net_arena;
    int64_t upkeep_due_ms;
    struct node_request publish;
    bool publishing;
    int64_t publish_due_ms; /* INT64_MAX: all know it */

    /* Messages. */
    struct queue inbox;
    _Atomic uint64_t inbox_bytes;
    struct queue_link *inbox_rest; /* taken, not looked at */
    struct raft_entry *entries;    /* of one message; NULL: none came yet */
    size_t entries_max;
    uint64_t frame_bytes; /* taken in since the last write, about */
    struct buf wire;
    bool sent; /* since the last flush of the net */
    struct node_leaver leavers[NODE_LEAVERS];

    /* Snapshots. */
    struct queue arrivals;
    struct node_chain arrived;
    _Atomic int flush_owner;     /* enum node_flush_owner */
    _Atomic int other_set_owner; /* enum node_other_set_owner */
    _Atomic bool unusable;       /* the store couldn't be read anew */
    _Atomic int64_t clean_at_ms; /* the other set; INT64_MAX: no need */
    _Atomic uint64_t holds[NODE_HOLDS];
    _Atomic uint64_t snapshots; /* that were opened */
    raft_index kept_to;         /* entries (first, kept_to] are in kept_bytes */
    uint64_t kept_bytes;
    raft_index trimmed;

    /* The alarms that are stored, by member and type. */
    struct node_alarm alarms[NODE_ALARMS_MAX];
    size_t alarm_count;

    /* By prefix; NULL: none. */
    struct quota *quotas;
    size_t quota_count;

    int64_t time_ns;      /* of the newest entry, proposed here or persisted */
    int64_t kept_time_ns; /* meta "time": of an entry that made no commit */
    raft_term applied_term;
    /* The member's own clock: node__now_ns. */
    int64_t own_ns;
    int64_t own_since_ns;
    int64_t compaction_due_ms;
    /* The newest command that ends leases; not another before it is applied
     * (or lost with its term). */
    raft_index expiry_index;
    raft_term expiry_term;
    int64_t expiry_took_ns; /* the last one, until it was applied */
    int64_t room_due_ms;    /* with log_full: when to ask again */
    int64_t sweep_due_ms;
    int64_t stats_due_ms;
    bool compacting; /* mvcc_compact_slice has work */
    bool behind;     /* must wait for the backend */
    bool stuck;      /* what waits can't be proposed at once */
    bool is_leader;  /* as raft was seen last */
    bool stopped;    /* it can't go on */
    bool closing;    /* nothing is sent any more */
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
    _Atomic bool alarm_raised; /* NOSPACE, by whomever, for all members */
    _Atomic bool flush_wanted;
    _Atomic bool reads_are_current;
    _Atomic bool is_learner;
    _Atomic bool is_removed;
    /* A transfer that was asked for: the member and 1 more, or 0. */
    _Atomic bool transfer_wanted;
    _Atomic uint64_t transfer_to;
    _Atomic uint64_t active_size;
    _Atomic uint64_t remove_delay_us;
    _Atomic uint64_t sync_interval_us;
    struct node_peer_slot peers[RAFT_MEMBERS_MAX];
    _Atomic uint64_t counters[sizeof(struct node_counters) / 8];
};

/* The flush and the installation of a snapshot exclude each other. */
enum node_flush_owner {
    NODE_FLUSH_FREE,
    NODE_FLUSH_BACKEND,
    NODE_FLUSH_WRITER
};
/* The set that isn't active is written to by one at a time. */
enum node_other_set_owner {
    NODE_OTHER_SET_FREE,
    NODE_OTHER_SET_SNAPSHOT, /* from node_snapshot_receive to its end */
    NODE_OTHER_SET_CLEANING,
};

/* Of the planted bug: so much too early. */
#define NODE_PLANTED_EARLY_NS INT64_C(2000000000)

#define NODE_COUNTER(field) (offsetof(struct node_counters, field) / 8)

static inline void node__count(struct node *node, size_t counter, uint64_t by)
{
    atomic_fetch_add_explicit(&node->counters[counter], by,
                              memory_order_relaxed);
}

/* ---- node.c ------------------------------------------------------------- */

/* raft_step at this turn's time. */
enum err node__step(struct node *node, struct raft_event *event) MUST_USE;
void node__tell_answered(struct node *node);

/* ---- identity.c: small files of the log's folder ------------------------ */

/* The ids of cluster and member. */
enum err node__identity_read(struct disk *disk, uint64_t *cluster,
                             member_id *member) MUST_USE;
enum err node__identity_write(struct disk *disk, uint64_t cluster,
                              member_id member) MUST_USE;
/* The snapshot that was installed last, or was about to be; 0 and 0: none. */
enum err node__installed_read(struct disk *disk, raft_index *index,
                              raft_term *term) MUST_USE;
enum err node__installed_write(struct disk *disk, raft_index index,
                               raft_term term) MUST_USE;

/* ---- backend.c ---------------------------------------------------------- */

/* Raises or ends an alarm, and says so once. */
void node__set_alarm(_Atomic bool *alarm, bool on, const char *what);
/* What the quota says to what the kv file holds. */
void node__look_at_quota(struct node *node);
/* All that there is, by who owns the flush. */
enum err node__flush_now(struct node *node) MUST_USE;

/* ---- restore.c: the store and the log, and what joins them -------------- */

/* All but the election. */
enum err node__restore(struct node *node) MUST_USE;
/* After the store was read anew: what the node keeps of it. */
enum err node__take_store(struct node *node) MUST_USE;

/* ---- turn.c ------------------------------------------------------------- */

enum err node__turn(struct node *node) MUST_USE;
/* Puts a request in front of all that wait. */
void node__put_back(struct node *node, struct node_request *request);
struct node_request *node__take_backlog(struct node *node);
/* Takes what was submitted since the last time. */
void node__take_queue(struct node *node);

/* ---- ready.c ------------------------------------------------------------ */

/* What an update asks for, until nothing is left to do. */
enum err node__ready(struct node *node) MUST_USE;
/* What raft is, where others look for it. */
void node__publish_state(struct node *node);

/* ---- batch.c ------------------------------------------------------------ */

/* Fills the batch and proposes it. */
enum err node__propose_waiting(struct node *node) MUST_USE;
/* A command of the node's own; the reference passes. */
void node__batch_add(struct node *node, struct refbuf *command, int64_t now_ns);
/* Proposes a change; the entry's reference passes. ERR_DISK_FULL and what
 * raft says: nothing was proposed. */
enum err node__propose_change(struct node *node, struct refbuf *data,
                              struct node_wait *wait) MUST_USE;
/* Asks whether a full log has room again. */
void node__probe_log(struct node *node);
/* Room for a frame; no room is an alarm. */
enum err node__reserve(struct node *node, uint64_t bytes) MUST_USE;

/* ---- waits.c: who waits, and what they are told ------------------------- */

void node__chain_push(struct node_chain *chain, struct queue_link *link);
void node__chain_push_front(struct node_chain *chain, struct queue_link *link);
struct queue_link *node__chain_pop(struct node_chain *chain);
struct node_request *node__request_of(struct node_wait *wait);
struct node_change *node__change_of(struct node_wait *wait);
struct refbuf *node__command_of(struct node_wait *wait);
void node__answer(struct node *node, struct node_request *request,
                  enum err err);
void node__answer_wait(struct node *node, struct node_wait *wait, enum err err);
void node__ring_put(struct node *node, const struct raft_entry *entry,
                    struct node_wait *wait);
/* Who waits for this entry. One who waits for another at its index comes out
 * with *err ERR_TIMEOUT. */
struct node_wait *node__ring_take(struct node *node,
                                  const struct raft_entry *entry,
                                  enum err *err);
/* Decides for all whose entry is of an earlier term (0: of any), or who have
 * waited long enough. */
void node__ring_end(struct node *node, raft_term before, enum err err);
void node__ring_sweep(struct node *node);
/* The member can't go on: nothing is acknowledged any more. */
void node__fail_all(struct node *node, enum err err);
/* Aborts where what node_int.h says of the time between two turns isn't so. */
void node__check_invariants(const struct node *node);
/* Tells those that have waited too long, asks again where it may help. */
void node__sweep(struct node *node);
bool node__is_waited_for(const struct node *node);

/* ---- apply.c ------------------------------------------------------------ */

/* Keeps a commit for the watchers, until the chunk is applied. */
void node__add_commit(void *node, struct mvcc_commit *commit);
/* Applies [from, to] in chunks. */
enum err node__apply(struct node *node, raft_index from,
                     raft_index to) MUST_USE;

/* ---- requests.c: v3's ---------------------------------------------------- */

/* Applies one of those commands; `request` NULL: nobody waits here.
 * Errors: of the store, and ERR_CORRUPT (what nobody can have checked). */
/* For etcd's metrics. */
void node__count_operations(struct node *node, const struct txn_count *done);
enum err node__apply_request(struct node *node, const struct command *command,
                             int64_t time_ns,
                             struct node_request *request) MUST_USE;
/* True when the message in it is one; other commands have none. */
bool node__is_well_formed(struct node *node, const struct command *command);
/* While there is no room, only what makes room may pass. Uses the arena. */
bool node__is_refused(struct node *node, const struct refbuf *encoded);

/* ---- users.c: who may do what -------------------------------------------- */

/* As the store has them: after it was opened, or replaced. */
enum err node__load_users(struct node *node) MUST_USE;
/* Whether the command's user may have all of it done; `message`: what is in
 * it, where it is a request of v3's. Not for what only members propose. */
enum v3_error node__may(const struct node *node, const struct command *command,
                        const ProtobufCMessage *message);
enum v3_error node__apply_auth(struct node *node, const struct command *command,
                               int64_t time_ns);

/* ---- leases.c ------------------------------------------------------------ */

enum err node__apply_expire(struct node *node,
                            const struct expire_command *expire,
                            int64_t time_ns) MUST_USE;
/* *granted_s: how long it lives now. */
enum v3_error node__grant(struct node *node, lease_id id, int64_t ttl_s,
                          int64_t time_ns, int64_t *granted_s);
enum err node__revoke(struct node *node, lease_id id, int64_t time_ns,
                      enum v3_error *error) MUST_USE;
/* Returns what it was granted, and is again; 0: there is no such lease. */
int64_t node__renew(struct node *node, lease_id id, int64_t time_ns);
/* The table as the store has it: after it was opened, or replaced. */
enum err node__restore_leases(struct node *node) MUST_USE;

/* ---- alarms.c ------------------------------------------------------------ */

void node__apply_alarm(struct node *node,
                       const Etcdserverpb__AlarmRequest *request,
                       struct txn_answer *answer);
void node__load_alarms(struct node *node);
bool node__has_alarm(const struct node *node, uint32_t type);
/* This member has no room itself. Any thread. */
bool node__is_full(const struct node *node);

/* ---- quota.c, quota_check.c ---------------------------------------------- */

/* As the store has them, and what lives below each: after it was opened, or
 * replaced. */
enum err node__load_quotas(struct node *node) MUST_USE;
void node__drop_quotas(struct node *node);
enum err node__apply_quota(struct node *node, const struct quota_command *set,
                           struct txn_answer *answer) MUST_USE;
/* The commits of this chunk from `from` on, once each. */
enum err node__count_quotas(struct node *node, size_t from) MUST_USE;
/* The innermost quota that the key is below, or NODE_NO_QUOTA. */
int node__quota_of(const struct node *node, struct slice key);
/* Whether a put or a txn fits; others do. Errors: of the store. */
enum err node__check_quotas(struct node *node, const struct command *command,
                            const ProtobufCMessage *message,
                            enum v3_error *error) MUST_USE;
/* result->error isn't TREE_NONE: it is refused. Uses the arena. */
enum err node__check_tree_quotas(struct node *node,
                                 const struct tree_command *tree,
                                 struct tree_result *result) MUST_USE;

/* ---- forward.c: a follower's side --------------------------------------- */

/* Hands what waits to the leader, if one is known. */
void node__hand_over(struct node *node);
/* The wait of this number; it is no longer one that was handed over. */
struct node_wait *node__take_handed(struct node *node, uint64_t number);
/* What the leader answers to a command. */
void node__take_answer(struct node *node, struct slice payload);
/* An entry of `term` is applied: what was handed over before it and isn't
 * applied was not done. */
void node__hand_over_again(struct node *node, raft_term term);
void node__sweep_handed(struct node *node);
void node__fail_handed(struct node *node, enum err err);
/* Asks the leader for a transfer. */
void node__forward_transfer(struct node *node, member_id to);
void node__send(struct node *node, member_id to, struct refbuf *message);

/* ---- guests.c: the leader's side ---------------------------------------- */

/* Commands come from another member. */
void node__take_forward(struct node *node, member_id from,
                        struct slice payload);
/* Tells a member what came of its command; ERR_NOT_LEADER: nothing, it may
 * hand it over anew. */
void node__answer_guest(struct node *node, const struct node_origin *origin,
                        enum err err);
/* Refuses it; the guest goes. */
void node__refuse_guest(struct node *node, struct node_guest *guest,
                        enum err err);
/* Tells all that wait to be proposed. */
void node__refuse_guests(struct node *node, enum err err);
void node__guests_of_term(struct node *node, raft_term term);
void node__guests_free(struct node *node);

/* ---- reads.c ------------------------------------------------------------ */

void node__take_reads(struct node *node);
/* Asks for those that no question covers yet. */
enum err node__ask_reads(struct node *node) MUST_USE;
void node__confirm_reads(struct node *node, const struct raft_update *update);
/* Answers those whose state is applied. */
void node__serve_reads(struct node *node);
void node__sweep_reads(struct node *node);
void node__fail_reads(struct node *node, enum err err);
/* What was asked of a leader that is gone is asked anew. */
void node__reads_anew(struct node *node);

/* ---- inbox.c ------------------------------------------------------------ */

enum err node__take_inbox(struct node *node) MUST_USE;
void node__inbox_free(struct node *node);

/* ---- records.c: the members, in the store -------------------------------- */

/* The meta name of a member: a word, '/', and its id, big endian. */
struct slice node__meta_name(const char *word, member_id id, char out[24]);
/* What a change says beside the membership. */
struct node_change_note {
    bool is_all; /* `members` are all there are; what isn't here goes */
    struct node_member *members;
    size_t count;
    member_id from; /* whose change it is; 0: the leader's own */
    uint64_t number;
};
struct refbuf *node__change_encode(const struct raft_members *members,
                                   const struct node_change_note *note);
enum err node__change_decode(struct slice rest, struct arena *arena,
                             struct node_change_note *out) MUST_USE;
/* These put into the store what has changed; exclusive lock, or alone. */
void node__put_membership(struct node *node,
                          const struct raft_members *members);
void node__put_member(struct node *node, const struct node_member *member);
void node__put_address(struct node *node, const struct node_member *member);
/* As they stand in the store. */
void node__address_encode(struct buf *out, const struct node_member *member);
void node__published_encode(struct buf *out, struct slice name,
                            struct slice client_urls);
void node__put_published(struct node *node, member_id id, struct slice name,
                         struct slice client_urls);
void node__remove_meta(struct node *node, const char *word, member_id id);
void node__apply_publish(struct node *node,
                         const struct publish_command *publish);
void node__apply_cluster(struct node *node,
                         const struct cluster_command *cluster);
void node__read_address(const struct node *node, member_id id,
                        struct slice *peer_urls, bool *is_standby);
/* Reads what is stored; members_dirty follows. */
enum err node__load_members(struct node *node) MUST_USE;
/* Adds to a sorted list. */
void node__add_ids(member_id *out, size_t *count, const member_id *ids,
                   size_t id_count);
size_t node__member_ids(const struct raft_members *members,
                        member_id out[RAFT_MEMBERS_MAX * 2]);

/* ---- members.c: as they change ------------------------------------------- */

enum err node__apply_change(struct node *node, const struct raft_entry *entry,
                            struct node_wait **wait) MUST_USE;
/* A new cluster's, as listed; or of this member alone. */
void node__found_cluster(struct node *node, bool is_alone);
void node__forget_others(struct node *node);
/* Looks at the newest membership: whether this member is alone, and whom the
 * net must know. */
void node__look_at_members(struct node *node);
/* Those that were told for long enough are let go; when the next is due. */
int64_t node__drop_leavers(struct node *node);

/* ---- change.c: changing it ---------------------------------------------- */

void node__take_changes(struct node *node);
/* Adds one to those that wait. */
void node__queue_change(struct node *node, struct node_change *change);
/* Proposes the next one, as far as may be. */
enum err node__propose_changes(struct node *node) MUST_USE;
void node__answer_change(struct node *node, struct node_change *change,
                         enum err err);
void node__fail_changes(struct node *node, enum err err);
void node__sweep_changes(struct node *node);
/* Whether a quorum of `members` was heard from lately. */
bool node__is_heard(const struct node *node, const struct raft_members *members,
                    member_id also);
bool node__is_ready(const struct node *node, member_id learner);
/* What the leader changes by itself, when it is due. */
enum err node__keep_members(struct node *node) MUST_USE;

/* ---- standby.c ---------------------------------------------------------- */

/* The next step to the wanted number of voters; false: none is due. */
bool node__standby_step(struct node *node, struct raft_change changes[2],
                        size_t *count, struct node_member notes[2]);

/* ---- snapshot.c --------------------------------------------------------- */

enum err node__take_arrivals(struct node *node) MUST_USE;
void node__fail_arrivals(struct node *node, enum err err);
/* Lets go of the log behind what is in the kv file. */
enum err node__forget(struct node *node) MUST_USE;
/* Cleans some of the other set; true: there is more. The backend. */
bool node__clean_other_set(struct node *node);
void node__release_hold(struct node *node, raft_index index);

/* ---- peers.c ------------------------------------------------------------ */

void node__peer_appended(struct node *node, const struct raft_message *append);
void node__peer_answered(struct node *node, const struct raft_message *answer);
void node__peer_failed(struct node *node, member_id id);
/* Now and then: how they stand. */
void node__peers_refresh(struct node *node);

/* ---- upkeep.c: what the leader proposes by itself ----------------------- */

/* The time of the log: the wall clock's, but where that falls behind what was
 * said before (it was set back, or is another member's), it goes on at the
 * pace of the monotonic one: what lives ten seconds lives ten seconds. It is a
 * thousandth slow then, so that the two meet again. */
int64_t node__now_ns(struct node *node);
int64_t node__peek_now_ns(const struct node *node);
/* The member's own clock goes on from the newest entry's time, if it is behind
 * that: so a follower's is about where its leader's is. */
void node__keep_time(struct node *node);
/* The same, by the newest entry of the log, durable or not. */
void node__lead_time(struct node *node);
bool node__is_expiring(const struct node *node);
/* Needs: the batch is empty. */
void node__propose_expiry(struct node *node, int64_t now_ns, int64_t now_ms);
void node__propose_compaction(struct node *node, int64_t now_ns,
                              int64_t now_ms);
void node__compact_slice(struct node *node);
/* Tells the cluster this member's name and addresses, where they changed. */
void node__publish_self(struct node *node);

#endif
