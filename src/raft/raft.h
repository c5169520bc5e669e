/* Consensus (Ongaro and Ousterhout 2014; Ongaro's thesis 2014) as a pure
 * state machine: an event goes in, an update comes out. No clock, no socket,
 * no file, no thread; randomness from the seed in the struct.
 *
 *   proposals, messages, time          what must be durable, what may be
 *          raft_event     ---->  raft_step  ---->   applied: raft_update
 *                                    |
 *                                    '--> raft_next_message: what may be sent
 *
 * The caller's turn, again and again, in this order:
 *   1. raft_step for each event that waits; updates merge;
 *   2. raft_next_message until there is none: a leader's appends leave before
 *      its own write (thesis 10.2.1);
 *   3. hard_state (if changed) and the entries [persist_from, persist_to] are
 *      made durable; then RAFT_PERSISTED is stepped. persist_from may be at or
 *      below what was made durable before: a follower's log was cut there;
 *   4. raft_next_message until there is none: votes and answers, which hold
 *      only once something is durable. Raft keeps each back until it is;
 *   5. the entries [apply_from, apply_to] are committed: they are applied in
 *      order; then RAFT_APPLIED is stepped.
 * Steps give new work: the turn goes on until there is none.
 *
 * MEMBERSHIP (thesis 4, and 4.3 for joint consensus). An entry of type
 * RAFT_ENTRY_CHANGE begins with the whole new membership (raft_members_encode),
 * what follows is the caller's. It counts from the moment when it is in the
 * log, on every member, and no longer when it is cut off again. One change
 * that isn't committed at a time.
 *
 * Owns:    an entry's data is a refbuf; a proposal's reference passes to raft,
 *          which lets go of it when the log is compacted behind it. Of a
 *          received message raft takes references of its own.
 * Limits:  the in-memory log holds log_entries_max; proposals are refused
 *          (ERR_FULL) a little before, so that a new leader can still begin
 *          its term. No allocation in a step once started.
 * Threads: one at a time.
 */
#ifndef ETCHED_RAFT_RAFT_H
#define ETCHED_RAFT_RAFT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/mem.h"

typedef uint64_t raft_index; /* the first entry has 1 */
typedef uint64_t raft_term;
typedef uint64_t member_id; /* 0: none */

enum raft_entry_type {
    RAFT_ENTRY_EMPTY,   /* a new leader's first (paper 5.4.2, 8) */
    RAFT_ENTRY_COMMAND, /* the application's */
    RAFT_ENTRY_CHANGE,  /* of membership (thesis 4) */
};

struct raft_entry {
    raft_term term;
    raft_index index;
    /* The leader's; never less than the entry's before. Only a leader's first
     * entry may be of less, when its log begins behind a snapshot. */
    int64_t time_ns;
    enum raft_entry_type type;
    struct refbuf *data; /* NULL: empty */
};

/* What a member must never forget (paper fig. 2, "persistent state"). */
struct raft_hard_state {
    raft_term term;
    member_id vote;
    raft_index commit; /* a hint: saves work after a restart */
};

/* ---- who belongs to the cluster ------------------------------------------ */

enum { RAFT_MEMBERS_MAX = 64 };

/* In joint consensus both `voters` and `outgoing` must agree; otherwise
 * outgoing_count is 0. No member is both a voter (of either list) and a
 * learner, save one that leaves the voters in a joint change and becomes a
 * learner with its end: it is in `outgoing` and in `learners_next`. All lists
 * are sorted. */
struct raft_members {
    size_t voter_count;
    size_t outgoing_count;
    size_t learner_count;
    size_t learner_next_count;
    member_id voters[RAFT_MEMBERS_MAX];
    member_id outgoing[RAFT_MEMBERS_MAX];
    member_id learners[RAFT_MEMBERS_MAX];
    member_id learners_next[RAFT_MEMBERS_MAX];
};

enum raft_change_op {
    RAFT_ADD_VOTER,   /* or make a voter of a learner */
    RAFT_ADD_LEARNER, /* or make a learner of a voter */
    RAFT_REMOVE,
};
struct raft_change {
    enum raft_change_op op;
    member_id id;
};

/* What the membership becomes by `changes`: with one voter more or less in
 * one step, with more through a joint one (thesis 4.1, 4.3).
 * Errors: ERR_INVALID (nothing changes, no voter would be left, already joint),
 *         ERR_FULL (RAFT_MEMBERS_MAX). */
enum err raft_members_change(const struct raft_members *now,
                             const struct raft_change *changes, size_t count,
                             struct raft_members *out) MUST_USE;
/* The end of a joint change. Needs: outgoing_count > 0. */
void raft_members_leave_joint(const struct raft_members *now,
                              struct raft_members *out);
bool raft_members_have(const struct raft_members *members, member_id id);
bool raft_members_votes(const struct raft_members *members, member_id id);

/* As bytes, with their length: what an entry of type CHANGE begins with, and
 * what the store keeps. Decoding gives what follows in *rest (may be NULL).
 * Errors: ERR_CORRUPT. */
void raft_members_encode(const struct raft_members *members, struct buf *out);
enum err raft_members_decode(struct slice bytes, struct raft_members *out,
                             struct slice *rest) MUST_USE;

/* ---- messages between members -------------------------------------------- */

/* On the wire: numbers never change. */
enum raft_message_type {
    RAFT_MESSAGE_PRE_VOTE = 1,
    RAFT_MESSAGE_PRE_VOTE_ANSWER = 2,
    RAFT_MESSAGE_VOTE = 3,
    RAFT_MESSAGE_VOTE_ANSWER = 4,
    RAFT_MESSAGE_APPEND = 5,
    RAFT_MESSAGE_APPEND_ANSWER = 6,
    RAFT_MESSAGE_HEARTBEAT = 7,
    RAFT_MESSAGE_HEARTBEAT_ANSWER = 8,
    /* A whole snapshot has come from `from` beside the messages: index,
     * log_term and members say of what. Made by the receiver's side. */
    RAFT_MESSAGE_SNAPSHOT = 9,
    RAFT_MESSAGE_TIMEOUT_NOW = 10, /* thesis 3.10: stand for election now */
    RAFT_MESSAGE_READ = 11,        /* a follower asks for a read index */
    RAFT_MESSAGE_READ_ANSWER = 12,
};

struct raft_message {
    enum raft_message_type type;
    member_id from;
    member_id to;
    raft_term term;
    /* VOTE, PRE_VOTE: of the candidate's last entry. APPEND: of the entry
     * before the first. APPEND_ANSWER: up to where the logs agree and are
     * durable; rejected: the `index` that was asked about. */
    raft_index index;
    raft_term log_term;
    raft_index commit; /* APPEND, HEARTBEAT: the leader's */
    /* Rejected APPEND_ANSWER: the last index and its term that could agree
     * (fast back-off over a whole term: paper 5.3, end). */
    raft_index hint_index;
    raft_term hint_term;
    uint64_t read; /* HEARTBEAT: round of read confirmation; READ: whose */
    bool rejected;
    bool forced; /* VOTE: by the leader's wish (transfer) */
    const struct raft_entry *entries; /* APPEND */
    size_t count;
    const struct raft_members *members; /* SNAPSHOT */
};

/* One message as protobuf wire bytes, appended to `out`. Not SNAPSHOT. */
void raft_message_encode(const struct raft_message *message, struct buf *out);
/* `entries` has room for `entries_max`; each entry's data is a new reference,
 * to be let go by the caller (raft_message_release).
 * Errors: ERR_CORRUPT (also: SNAPSHOT), ERR_TOO_LARGE (more entries). */
enum err raft_message_decode(struct slice bytes, struct raft_entry *entries,
                             size_t entries_max,
                             struct raft_message *out) MUST_USE;
void raft_message_release(struct raft_message *message);
const char *raft_message_text(enum raft_message_type type);

/* ---- events and updates -------------------------------------------------- */

enum raft_role {
    RAFT_FOLLOWER, /* learners too */
    RAFT_PRE_CANDIDATE,
    RAFT_CANDIDATE,
    RAFT_LEADER,
};

enum raft_event_type {
    RAFT_TICK,      /* time has passed: now_ms */
    RAFT_CAMPAIGN,  /* stand for election now, without waiting; nothing happens
                       while a leader's lease may stand on this vote */
    RAFT_PROPOSE,   /* entries: type, time_ns and data are read */
    RAFT_RECEIVE,   /* message */
    RAFT_PERSISTED, /* everything up to `index` of the log, and the hard state
                       of `term`, is durable; index 0: the hard state alone */
    RAFT_APPLIED,   /* everything up to `index` is applied */
    RAFT_READ,      /* a linearizable read, known as `read` here; the numbers
                       of a caller rise */
    RAFT_COMPACT,   /* entries up to `index` may be forgotten */
    RAFT_TRANSFER,  /* hand leadership to `member`; 0: to whoever is fittest */
    RAFT_PEER_LOST, /* the connection to `member` broke: where that was the
                       leader, a pre-vote begins soon (not at once on all) */
    RAFT_UNREACHABLE, /* messages to `member` may have been lost */
    /* The snapshot for `member`, of `index`, has been installed there (or
     * not: failed). */
    RAFT_SNAPSHOT_SENT,
    /* What update.install asked for is done and durable: the state is that of
     * `index`. */
    RAFT_INSTALLED,
};

struct raft_event {
    enum raft_event_type type;
    int64_t now_ms; /* of EVERY event: the caller's monotonic clock */
    raft_index index;
    raft_term term;
    uint64_t read;
    member_id member;
    bool failed;
    struct raft_entry *entries; /* RAFT_PROPOSE; index and term are filled in */
    size_t count;
    const struct raft_message *message; /* RAFT_RECEIVE */
};

struct raft_read_ready {
    uint64_t read;    /* what RAFT_READ carried */
    raft_index index; /* serve it, and all of lower numbers that wait, when
                         this is applied */
};

enum { RAFT_READS_MAX = 1024 };

struct raft_update {
    bool hard_state_changed; /* term or vote: durable before anything else */
    struct raft_hard_state hard_state;
    raft_index persist_from; /* 0: nothing new */
    raft_index persist_to;
    raft_index apply_from; /* 0: nothing new */
    raft_index apply_to;
    size_t read_count;
    const struct raft_read_ready *reads; /* raft's; valid until the next step */
    /* A snapshot that came is newer than all that is here: put its state in
     * the place of what is here, then start the log anew behind it, then step
     * RAFT_INSTALLED. Nothing is persisted or applied in between. */
    bool install;
    raft_index install_index;
    raft_term install_term;
    /* Members (few) for whom the log doesn't reach back far enough. */
    size_t snapshot_to_count;
    member_id snapshot_to[RAFT_MEMBERS_MAX];
    bool role_changed;
    enum raft_role role;
    member_id leader;    /* 0: none known */
    int64_t deadline_ms; /* step RAFT_TICK by then; INT64_MAX: no need */
};

struct raft_config {
    member_id id;
    uint64_t seed;
    int64_t heartbeat_ms;
    int64_t election_ms;    /* timeouts are drawn from [this, 2 * this) */
    size_t log_entries_max; /* power of two */
    /* One append holds at most so much (one entry at least). */
    size_t append_bytes_max;
    size_t append_entries_max;
    /* On its way to one member and not answered yet, at most. */
    size_t inflight_messages_max;
    size_t inflight_bytes_max;
    bool pre_vote;     /* thesis 9.6 */
    bool check_quorum; /* thesis 6.2: a leader without a quorum steps down */
    /* Reads by the leader's lease (thesis 6.4.1): no round of heartbeats,
     * but clocks must not run apart faster than drift_percent. */
    bool lease_reads;
    int drift_percent;
    /* As of the snapshot or the bootstrap; empty for one that joins and hears
     * of the cluster from its leader. */
    struct raft_members members;
};
/* All but id, seed and members as the house has them. */
void raft_config_init(struct raft_config *config);

struct raft;

/* A member that starts anew, or from what it had made durable: the log below
 * `snapshot_index` (of `snapshot_term`) is in the applied state already, and
 * config->members is as of there.
 * Then raft_restore_entry for each entry above it, in order, and
 * raft_restore_done, before the first step. */
struct raft *raft_new(const struct raft_config *config,
                      const struct raft_hard_state *hard_state,
                      raft_index snapshot_index, raft_term snapshot_term);
/* A later entry of the same index replaces it and all that follow. The
 * reference passes. Errors: ERR_CORRUPT on a gap or a falling term. */
enum err raft_restore_entry(struct raft *raft,
                            const struct raft_entry *entry) MUST_USE;
void raft_restore_done(struct raft *raft);
void raft_free(struct raft *raft);

/* Merges what follows from `event` into `update` (raft_update_init before the
 * first and after the caller has done its duty).
 * Errors: RAFT_PROPOSE: ERR_NOT_LEADER (also while leadership is being handed
 *         over), ERR_FULL, and for a change ERR_BUSY
 *         (another is on its way, or this term has committed nothing yet) or
 *         ERR_INVALID (it isn't one step from what is): nothing was taken, the
 *         references stay the caller's.
 *         RAFT_READ: ERR_NO_LEADER (none known, or it has committed nothing in
 *         its term yet: try again), ERR_FULL.
 *         RAFT_TRANSFER: ERR_NOT_LEADER, ERR_INVALID (no voter), ERR_BUSY. */
enum err raft_step(struct raft *raft, const struct raft_event *event,
                   struct raft_update *update) MUST_USE;
void raft_update_init(struct raft_update *update);

/* The next message that may leave now; false: none. What it points to is
 * valid until the next raft_step; it counts as sent. */
bool raft_next_message(struct raft *raft, struct raft_message *out);

/* The entry at `index`; NULL when compacted away or not there yet. Valid
 * until the next step. */
const struct raft_entry *raft_entry_at(const struct raft *raft,
                                       raft_index index);

/* The membership that counts now (the newest in the log). */
const struct raft_members *raft_members(const struct raft *raft);

struct raft_status {
    member_id id;
    enum raft_role role;
    member_id leader;
    member_id transfer_to; /* 0: none under way */
    raft_term term;
    raft_index first; /* of the in-memory log */
    raft_index last;
    raft_index persisted;
    raft_index commit;
    raft_index applied;
    raft_index term_start; /* of a leader: its first entry */
    bool change_pending;   /* a change in the log isn't committed yet */
    /* The joint membership is committed: the leader proposes its end
     * (raft_members_leave_joint). */
    bool leave_joint_due;
};
void raft_status(const struct raft *raft, struct raft_status *out);
const char *raft_role_text(enum raft_role role); /* "StateLeader", ... */

enum raft_peer_state {
    RAFT_PEER_PROBE,
    RAFT_PEER_REPLICATE,
    RAFT_PEER_SNAPSHOT
};

/* How a leader sees another member (etcd calls it progress). */
struct raft_peer_status {
    member_id id;
    enum raft_peer_state state;
    raft_index match;
    raft_index next;
    bool is_voter;
    bool is_learner;
    int64_t heard_ms; /* when it last answered, in the caller's time; the
                         moment of becoming leader until then */
    size_t inflight_messages;
    size_t inflight_bytes;
};
/* False: not leader, or no such member. */
bool raft_peer_status(const struct raft *raft, member_id id,
                      struct raft_peer_status *out);
/* The least index that a member which still follows by the log may need: what
 * is below may be forgotten without costing anybody a snapshot. Of a member
 * that isn't leader: its last. */
raft_index raft_needed_from(const struct raft *raft);
/* The same for those alone who were sent a snapshot and aren't at the commit
 * yet: what they need must stay, or they need one snapshot after the other. */
raft_index raft_behind_from(const struct raft *raft);

#endif
