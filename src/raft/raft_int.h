/* What the files of this folder share: the state of a member, and of the
 * other members as it sees them.
 *
 *   raft.c       life, the step, the update       log.c       the ring
 *   election.c   pre-vote, vote, roles            peers.c     the others
 *   follow.c     appends, at a follower           replicate.c at a leader
 *   commit.c     quorums, the commit index        read.c      read indexes
 *   change.c     the membership from the log      transfer.c  of leadership
 *   install.c    a snapshot that came             send.c      what may leave
 *   members.c    memberships as values, as bytes  message_codec.c
 *   status.c     what others may ask
 *
 * Indexes of the log, in their order:
 *
 *   base <= applied <= offered <= persisted <= emitted <= last
 *                      offered <= commit    <= last
 *
 * A follower's commit may be beyond what it has durable (others have it); a
 * leader's too (thesis 10.2.1). It is applied when it is durable here as well.
 */
#ifndef ETCHED_RAFT_RAFT_INT_H
#define ETCHED_RAFT_RAFT_INT_H

#include "base/plant.h"
#include "base/prng.h"
#include "raft/log_int.h"
#include "raft/raft.h"

enum {
    /* All others of a membership (at most RAFT_MEMBERS_MAX), and those that
     * are on their way out. */
    RAFT_PEERS_MAX = 2 * RAFT_MEMBERS_MAX,
    /* Answers that wait to be pulled. Beyond it the oldest is dropped, as the
     * network might have. */
    RAFT_ANSWERS_MAX = 256,
    /* Reads that a leader has asked a quorum for. */
    RAFT_WAITING_MAX = 1024,
    /* Read indexes that a follower has asked its leader for. */
    RAFT_ASKED_MAX = 64,
    /* Rounds of heartbeats whose beginning is remembered, for the lease. */
    RAFT_ROUNDS_MAX = 64,
    /* Room in the log that proposals leave for the first entries of leaders to
     * come: a sixteenth, at most this. Without it a log full of entries that
     * aren't committed could never be led to their commit. */
    RAFT_RESERVE_MAX = 64,
    /* What an entry costs of a byte limit beside its data. */
    RAFT_ENTRY_BYTES = 32,
};

/* The lists that a voter may be in; bits. */
enum { RAFT_IN_VOTERS = 1, RAFT_IN_OUTGOING = 2 };

enum raft_vote { RAFT_VOTE_OPEN, RAFT_VOTE_GRANTED, RAFT_VOTE_REJECTED };

/* An append that isn't answered yet. */
struct raft_sent {
    raft_index last;
    size_t bytes;
};

/* Another member. `vote` and `vote_due` are a candidate's, what follows them
 * a leader's: nobody else reads them. */
struct raft_peer {
    member_id id;      /* never 0, never our own, in one peer only */
    unsigned voter_in; /* bits; 0: a learner, or leaving */
    bool is_learner;   /* then voter_in == 0 */
    bool is_wanted;    /* scratch of raft__peers_renew */
    /* No longer in the membership: it is still told of the entry that says
     * so, and that it is committed. Then voter_in == 0 and !is_learner. */
    bool leaving;
    raft_index leave_index; /* of that entry */
    int64_t leave_by_ms;    /* it is told no longer; INT64_MAX: not committed */

    enum raft_vote vote;
    bool vote_due; /* the request hasn't left yet */

    enum raft_peer_state state;
    raft_index match; /* durable there and the same as here; never falls */
    raft_index next;  /* match < next <= last + 1 */
    bool paused;      /* PROBE: one append is on its way, or is no use now */
    bool nudged;      /* REPLICATE: an empty append finds out what was lost */
    bool behind;      /* it needed a snapshot, and isn't at the commit yet */
    raft_index commit_sent;  /* the newest commit that it was told of */
    raft_index match_before; /* match, when it last answered a heartbeat */
    int64_t heard_ms;
    bool heartbeat_due;
    uint64_t round;   /* of heartbeats: the newest that it answered */
    int64_t lease_ms; /* when that round began; INT64_MIN: none */
    /* A ring of inflight_messages_max; only in REPLICATE it isn't empty.
     * Invariant: `last` rises; sent_bytes is the sum of them. */
    struct raft_sent *sent;
    size_t sent_head;
    size_t sent_count;
    size_t sent_bytes;
};

/* A message that waits to be pulled. */
struct raft_queued {
    struct raft_message message; /* without entries and members */
    uint64_t after; /* leaves once so many changes of hard state are durable */
};
struct raft_queue {
    size_t head;
    size_t count; /* <= RAFT_ANSWERS_MAX */
    struct raft_queued ring[RAFT_ANSWERS_MAX];
};

/* A membership and where in the log it begins. */
struct raft_change_at {
    raft_index index;
    struct raft_members members;
};

/* A read that a quorum is asked for. */
struct raft_waiting {
    member_id from; /* our own id, or the follower that asked */
    uint64_t read;  /* the number it is known as there */
    raft_index index;
    uint64_t round; /* once a quorum has answered this one, it may be served */
};

/* A read index that was asked of the leader. */
struct raft_asked {
    bool is_open;
    uint64_t key; /* on the wire */
    uint64_t read;
};

struct raft {
    /* As configured; never changes. */
    struct raft_config config;
    member_id id;
    int64_t lease_ms; /* less than election_ms, by the drift of clocks */

    struct prng prng;
    bool started;
    bool timer_set; /* the first event has set the election's time */
    int64_t now_ms; /* of the event that is being stepped */
    struct raft_update *update; /* of that step; NULL between steps */

    struct raft_hard_state hard; /* hard.commit <= log.last */
    /* Changes of hard state, counted: made, given out in an update that the
     * caller has taken, durable. durable <= taken <= made. */
    uint64_t hard_made;
    uint64_t hard_taken;
    uint64_t hard_durable;

    struct raft_log log;
    raft_index persisted; /* of this very log: falls when it is cut */
    raft_index emitted;   /* given out to be persisted; falls likewise */
    raft_index offered;   /* given out to be applied */
    raft_index applied;

    /* The membership that counts, and the newest that is committed (the same
     * where pending_count is 0). */
    struct raft_change_at newest;
    struct raft_change_at committed;
    size_t pending_count; /* changes in the log behind the committed one */
    bool stands;      /* a voter by the committed one, or by any behind it */
    unsigned self_in; /* bits, as of a peer */
    struct raft_peer *peers;
    size_t peer_count;

    enum raft_role role;
    member_id leader;      /* a leader: itself; a candidate of any kind: 0 */
    int64_t heard_ms;      /* from that leader */
    int64_t votes_from_ms; /* not before: a lease may stand on it */
    int64_t election_due_ms;
    /* Its leader was lost for certain: the number of the next attempt, each of
     * which has twice the time of the one before; 0: no hurry. */
    unsigned hurry;

    /* Of a candidate. */
    uint64_t vote_after; /* its own vote is durable with this change */
    bool vote_forced;    /* by its leader's wish */

    /* Of a follower, in this term: reset with it. */
    raft_index agreed;   /* up to here its log is the leader's */
    raft_index answered; /* the leader was told so, up to here; <= agreed */
    bool answer_due;
    bool heartbeat_answer_due;
    uint64_t heartbeat_round; /* of the newest heartbeat */

    /* Of a leader: reset when it becomes one. */
    raft_index term_start; /* its term's first entry */
    int64_t heartbeat_due_ms;
    uint64_t round;                    /* the newest of heartbeats */
    bool round_left;                   /* one of its heartbeats has left */
    int64_t round_ms[RAFT_ROUNDS_MAX]; /* when a round began, by round % MAX */
    member_id transfer_to;             /* 0: none under way */
    int64_t transfer_by_ms;
    bool lease_given_up; /* somebody was told to stand in this term */
    /* A ring; `round` never falls along it. */
    struct raft_waiting waiting[RAFT_WAITING_MAX];
    size_t waiting_head;
    size_t waiting_count;

    /* This member's own reads that wait, whoever leads: the highest number;
     * the answer to it is an answer to all. */
    bool own_waits;
    uint64_t own_read;
    bool own_due; /* to be asked of the leader */
    int64_t own_asked_ms;
    uint64_t asked_next; /* key; unlike any of an earlier life */
    struct raft_asked asked[RAFT_ASKED_MAX]; /* by key % MAX */

    /* A snapshot that is being put in place: the log is left alone. */
    bool installing;
    raft_index install_index;
    raft_term install_term;
    member_id install_from;
    struct raft_members install_members;

    struct raft_queue ready; /* may leave at once */
    struct raft_queue held;  /* `after` never falls along it */
    struct raft_read_ready reads[RAFT_READS_MAX]; /* of the open update */
};

/* ---- raft.c -------------------------------------------------------------- */

/* Term, vote or both have changed: nothing that follows from it leaves before
 * it is durable. */
void raft__hard_changed(struct raft *raft);
void raft__set_role(struct raft *raft, enum raft_role role, member_id leader);
/* Commits up to `index`, if that is further than now. */
void raft__commit_to(struct raft *raft, raft_index index);
/* Drops the log's entries from `from` on. Needs: not committed. */
void raft__cut(struct raft *raft, raft_index from);
/* Everything up to here is applied, durable and committed; nothing else is in
 * the log. */
void raft__start_anew(struct raft *raft, raft_index index, raft_term term);

/* ---- log.c: see log_int.h ------------------------------------------------ */

/* ---- peers.c ------------------------------------------------------------- */

void raft__peers_init(struct raft *raft);
void raft__peers_deinit(struct raft *raft);
struct raft_peer *raft__peer(const struct raft *raft, member_id id);
/* As the membership that counts now has them. */
void raft__peers_renew(struct raft *raft);
/* A new leader knows nothing of them yet. */
void raft__peers_reset(struct raft *raft);
void raft__peer_set_state(struct raft_peer *peer, enum raft_peer_state state);
void raft__peer_sent(const struct raft *raft, struct raft_peer *peer,
                     raft_index last, size_t bytes);
/* What is up to `match` is on its way no longer. */
void raft__peer_free_sent(const struct raft *raft, struct raft_peer *peer);
bool raft__peer_window_open(const struct raft *raft,
                            const struct raft_peer *peer);
/* Those that have left are told of it no longer: everything was said, or it
 * took too long. */
void raft__peers_drop_left(struct raft *raft);

/* ---- election.c ---------------------------------------------------------- */

void raft__draw_election(struct raft *raft);
/* May stand for election. */
bool raft__is_promotable(const struct raft *raft);
/* Follows nobody (leader 0) or somebody, in this term or a later one. */
void raft__become_follower(struct raft *raft, raft_term term, member_id leader);
void raft__campaign(struct raft *raft, bool forced);
/* Its own vote may have become durable. */
void raft__count_votes(struct raft *raft);
void raft__on_pre_vote(struct raft *raft, const struct raft_message *message);
void raft__on_vote(struct raft *raft, const struct raft_message *message);
void raft__on_pre_vote_answer(struct raft *raft,
                              const struct raft_message *message);
void raft__on_vote_answer(struct raft *raft,
                          const struct raft_message *message);
void raft__on_leader_lost(struct raft *raft);

/* ---- follow.c ------------------------------------------------------------ */

/* A message of this term's leader. */
void raft__hear_leader(struct raft *raft, member_id leader);
void raft__on_append(struct raft *raft, const struct raft_message *message);
void raft__on_heartbeat(struct raft *raft, const struct raft_message *message);
bool raft__next_answer(struct raft *raft, struct raft_message *out);

/* ---- replicate.c --------------------------------------------------------- */

void raft__append_own(struct raft *raft, struct raft_entry *entry);
/* A new round of heartbeats to everybody. */
void raft__heartbeat(struct raft *raft);
void raft__leader_tick(struct raft *raft);
void raft__on_append_answer(struct raft *raft,
                            const struct raft_message *message);
void raft__on_heartbeat_answer(struct raft *raft,
                               const struct raft_message *message);
void raft__on_unreachable(struct raft *raft, member_id id);
void raft__on_snapshot_sent(struct raft *raft, const struct raft_event *event);
/* Says in the update for whom the log doesn't reach back far enough. */
void raft__ask_snapshots(struct raft *raft);
/* The next heartbeat or append. */
bool raft__next_to_peer(struct raft *raft, struct raft_message *out);

/* ---- commit.c ------------------------------------------------------------ */

/* What of a peer is asked about. */
typedef uint64_t (*raft_peer_value)(const struct raft_peer *peer);
/* The greatest value that a majority of the voters has reached, in joint
 * consensus of both lists; our own is `own`. 0 without voters. */
uint64_t raft__quorum(const struct raft *raft, raft_peer_value value,
                      uint64_t own);
/* No other member's agreement is needed. */
bool raft__is_alone(const struct raft *raft);
void raft__advance_commit(struct raft *raft);
/* A quorum, ourselves among it, was heard from lately. */
bool raft__quorum_heard(const struct raft *raft);

/* ---- read.c -------------------------------------------------------------- */

enum err raft__on_read(struct raft *raft, uint64_t read);
void raft__on_read_message(struct raft *raft,
                           const struct raft_message *message);
void raft__on_read_answer(struct raft *raft,
                          const struct raft_message *message);
/* A quorum may have answered a round. */
void raft__reads_confirm(struct raft *raft);
/* A leader has committed in its term: its own reads that waited for another
 * leader go on. */
void raft__reads_resume(struct raft *raft);
bool raft__next_read(struct raft *raft, struct raft_message *out);
/* Needs: the time is known. */
void raft__reads_init(struct raft *raft);

/* ---- change.c ------------------------------------------------------------ */

/* The membership that counts now. */
const struct raft_members *raft__members(const struct raft *raft);
raft_index raft__members_index(const struct raft *raft);
/* An entry that is about to come into the log can be read.
 * Errors: ERR_CORRUPT. */
enum err raft__changes_check_entry(const struct raft_entry *entry) MUST_USE;
/* One has come: its membership counts now. Needs: it can be read; the peers
 * are renewed. */
void raft__changes_add(struct raft *raft, const struct raft_entry *entry);
/* The log was cut: true when the membership is another one now. */
bool raft__changes_cut(struct raft *raft);
/* The commit index has risen, from `before`. */
void raft__changes_commit(struct raft *raft, raft_index before);
void raft__changes_reset(struct raft *raft, raft_index index,
                         const struct raft_members *members);
/* Whether the entries may be proposed now. Errors: ERR_BUSY, ERR_INVALID. */
enum err raft__changes_check(const struct raft *raft,
                             const struct raft_entry *entries,
                             size_t count) MUST_USE;
bool raft__change_pending(const struct raft *raft);

/* ---- transfer.c ---------------------------------------------------------- */

enum err raft__on_transfer(struct raft *raft, member_id to) MUST_USE;
/* The target may have all entries by now. */
void raft__transfer_go_on(struct raft *raft);
void raft__transfer_tick(struct raft *raft);
/* A leader that isn't a member any more, and knows it since the last step,
 * hands over and steps down. */
void raft__leave_office(struct raft *raft);
void raft__on_timeout_now(struct raft *raft,
                          const struct raft_message *message);

/* ---- install.c ----------------------------------------------------------- */

void raft__on_snapshot(struct raft *raft, const struct raft_message *message);
void raft__on_installed(struct raft *raft, raft_index index);

/* ---- send.c -------------------------------------------------------------- */

struct raft_message raft__message(const struct raft *raft,
                                  enum raft_message_type type, member_id to);
void raft__send(struct raft *raft, const struct raft_message *message);
/* Once the hard state of now is durable. */
void raft__send_durable(struct raft *raft, const struct raft_message *message);

#endif
