/* Consensus (Ongaro and Ousterhout 2014; Ongaro's thesis 2014) as a pure
 * state machine: an event goes in, an update comes out. No clock, no socket,
 * no file, no thread; randomness from the seed in the struct.
 *
 *   proposals, messages, time          what must be durable, what may be sent,
 *          raft_event     ---->  raft_step  ---->   raft_update   what may be
 *                                                   applied
 *
 * The caller's duty, after each step and in this order:
 *   1. hard_state (if changed) and the entries [persist_from, persist_to] are
 *      made durable; then RAFT_PERSISTED is stepped;
 *   2. the entries [apply_from, apply_to] are committed: they are applied in
 *      order; then RAFT_APPLIED is stepped.
 * Messages to other members will come out beside these, those of the leader's
 * appends to be sent before its own write (thesis 10.2.1), votes and answers
 * after it. A cluster of one voter has none.
 * Several steps may be taken before one write: updates merge.
 *
 * Owns:    an entry's data is a refbuf; a proposal's reference passes to raft,
 *          which lets go of it when the log is compacted behind it.
 * Limits:  the in-memory log holds log_entries_max; beyond it proposals are
 *          refused (ERR_FULL). No allocation in a step once started.
 * Threads: one at a time.
 */
#ifndef ETCHED_RAFT_RAFT_H
#define ETCHED_RAFT_RAFT_H

#include <stdbool.h>
#include <stdint.h>

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
    int64_t time_ns; /* the leader's; never less than the entry's before */
    enum raft_entry_type type;
    struct refbuf *data; /* NULL: empty */
};

/* What a member must never forget (paper fig. 2, "persistent state"). */
struct raft_hard_state {
    raft_term term;
    member_id vote;
    raft_index commit; /* a hint: saves work after a restart */
};

enum raft_role {
    RAFT_FOLLOWER,
    RAFT_PRE_CANDIDATE,
    RAFT_CANDIDATE,
    RAFT_LEADER,
};

enum raft_event_type {
    RAFT_TICK,      /* time has passed: now_ms */
    RAFT_CAMPAIGN,  /* stand for election now, without waiting */
    RAFT_PROPOSE,   /* entries: type, time_ns and data are read */
    RAFT_PERSISTED, /* everything up to `index` of `term` is durable */
    RAFT_APPLIED,   /* everything up to `index` is applied */
    RAFT_READ,      /* confirm leadership for a linearizable read: `read` */
    RAFT_COMPACT,   /* entries up to `index` are no longer needed here */
};

struct raft_event {
    enum raft_event_type type;
    int64_t now_ms; /* of every event: the caller's monotonic clock */
    raft_index index;
    raft_term term;
    uint64_t read;
    struct raft_entry *entries; /* RAFT_PROPOSE; index and term are filled in */
    size_t count;
};

struct raft_read_ready {
    uint64_t read;    /* what RAFT_READ carried */
    raft_index index; /* serve it when this is applied */
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
    /* The voters as of the snapshot or the bootstrap. */
    const member_id *voters;
    size_t voter_count;
};

struct raft;

/* A member that starts anew, or from what it had made durable: the log below
 * `snapshot_index` (of `snapshot_term`) is in the applied state already.
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
 * Errors: ERR_NOT_LEADER, ERR_FULL for RAFT_PROPOSE (nothing was taken, the
 *         references stay the caller's); ERR_NO_LEADER for RAFT_READ. */
enum err raft_step(struct raft *raft, const struct raft_event *event,
                   struct raft_update *update) MUST_USE;
void raft_update_init(struct raft_update *update);

/* The entry at `index`; NULL when compacted away or not there yet. Valid
 * until the next step. */
const struct raft_entry *raft_entry_at(const struct raft *raft,
                                       raft_index index);

struct raft_status {
    member_id id;
    enum raft_role role;
    member_id leader;
    raft_term term;
    raft_index first; /* of the in-memory log */
    raft_index last;
    raft_index persisted;
    raft_index commit;
    raft_index applied;
};
void raft_status(const struct raft *raft, struct raft_status *out);
const char *raft_role_text(enum raft_role role); /* "StateLeader", ... */

#endif
