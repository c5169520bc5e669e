/* Who leads: pre-votes, votes, and when a member stands (paper 5.2, 5.4.1;
 * thesis 3.4, 3.6, 4.2.3, 9.6).
 *
 * A member that heard from its leader within the least election timeout
 * neither grants a vote nor takes over the term of one that asks for it
 * (thesis 4.2.3), so nobody who merely lost sight of the leader disturbs the
 * others. Three things set that aside: the leader's own wish (a transfer), the
 * break of the connection to the leader, and having become a candidate.
 *
 * A BROKEN CONNECTION to the leader mostly means that its process has ended.
 * Waiting out a whole election timeout would be a waste: who loses it forgets
 * the leader and holds a pre-vote soon. Not all at once: they go by an order
 * that all compute alike, a few milliseconds apart, the next one having its
 * turn if those before it can't win. It is safe, since it is an election like
 * any other, and harmless if the leader lives: those that still hear it refuse
 * their pre-vote. Where leaders answer reads by their lease this isn't done:
 * the lease is a promise not to vote.
 */
#include "base/check.h"
#include "raft/raft_int.h"

enum {
    /* From one member's turn to the next after a broken connection: a round of
     * pre-votes, one of votes and their writes fit in it. */
    LOST_STEP_MS = 8,
    LOST_STEPS_MAX = 4,
    /* The first timeout of the elections that follow; each is twice the one
     * before, until it is as long as any. */
    HURRY_MS = 20,
    HURRIES_MAX = 16,
};

/* ---- when ---------------------------------------------------------------- */

/* A voter; also one that has lost its vote by a change of which it doesn't know
 * whether it is committed: perhaps nobody else has all entries up to there
 * (thesis 4.2.2, fig. 4.6). A leader begins with an entry of its own: it needs
 * room for that. */
bool raft__is_promotable(const struct raft *raft)
{
    return raft->stands && !raft->installing && raft_log__room(&raft->log) > 0;
}

/* Paper 5.2: drawn at random, so that votes are seldom split. */
void raft__draw_election(struct raft *raft)
{
    int64_t base_ms = raft->config.election_ms;
    raft->election_due_ms =
        raft->now_ms + prng_between(&raft->prng, base_ms, 2 * base_ms - 1);
}

/* After a lost leader the next attempts come sooner. */
static void draw_next(struct raft *raft)
{
    raft__draw_election(raft);
    if (raft->hurry == 0) {
        return;
    }
    CHECK_LE(raft->hurry, HURRIES_MAX);
    int64_t base_ms = (int64_t)HURRY_MS << (raft->hurry - 1);
    if (raft->hurry == HURRIES_MAX || base_ms >= raft->config.election_ms) {
        raft->hurry = 0;
        return;
    }
    raft->hurry++;
    raft->election_due_ms =
        raft->now_ms + prng_between(&raft->prng, base_ms, 2 * base_ms - 1);
}

/* Any good mixer does, as long as all have the same. */
static uint64_t place_of(member_id id, raft_term term)
{
    uint64_t x = id ^ (term * UINT64_C(0x9e3779b97f4a7c15));
    x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
    x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
    return x ^ x >> 32;
}

/* How many voters, the lost leader not among them, have their turn first. */
static unsigned turn_of(const struct raft *raft, member_id lost)
{
    unsigned turn = 0;
    uint64_t own = place_of(raft->id, raft->hard.term);
    for (size_t i = 0; i < raft->peer_count; i++) {
        const struct raft_peer *peer = &raft->peers[i];
        if (peer->voter_in != 0 && peer->id != lost) {
            uint64_t other = place_of(peer->id, raft->hard.term);
            turn += other < own || (other == own && peer->id < raft->id);
        }
    }
    return turn < LOST_STEPS_MAX ? turn : LOST_STEPS_MAX;
}

void raft__on_leader_lost(struct raft *raft)
{
    CHECK_EQ(raft->role, RAFT_FOLLOWER);
    CHECK(raft->leader != 0);
    if (raft->config.lease_reads) {
        return;
    }
    int64_t due_ms = raft->now_ms +
                     LOST_STEP_MS * (int64_t)turn_of(raft, raft->leader) +
                     prng_between(&raft->prng, 0, LOST_STEP_MS / 4);
    raft__set_role(raft, RAFT_FOLLOWER, 0);
    raft->hurry = 1;
    if (due_ms < raft->election_due_ms) {
        raft->election_due_ms = due_ms;
    }
}

/* ---- roles --------------------------------------------------------------- */

static void forget_leader_things(struct raft *raft)
{
    raft->transfer_to = 0;
    raft->waiting_head = raft->waiting_count = 0;
    raft->term_start = 0;
}

/* What was agreed upon with a leader holds for its term. */
static void forget_follower_things(struct raft *raft)
{
    raft->agreed = raft->answered = 0;
    raft->answer_due = false;
    raft->heartbeat_answer_due = false;
    raft->heartbeat_round = 0;
}

static void set_term(struct raft *raft, raft_term term, member_id vote)
{
    CHECK_LT(raft->hard.term, term);
    raft->hard.term = term;
    raft->hard.vote = vote;
    raft__hard_changed(raft);
    forget_follower_things(raft);
}

void raft__become_follower(struct raft *raft, raft_term term, member_id leader)
{
    enum raft_role was = raft->role;
    CHECK_LE(raft->hard.term, term);
    CHECK_NE(leader, raft->id);
    if (term > raft->hard.term) {
        set_term(raft, term, 0);
    }
    if (was == RAFT_LEADER) {
        forget_leader_things(raft);
    }
    raft__set_role(raft, RAFT_FOLLOWER, leader);
    if (was == RAFT_LEADER) {
        raft__peers_drop_left(raft);
        raft__draw_election(raft);
    }
    CHECK(raft->role == RAFT_FOLLOWER && raft->leader == leader);
}

/* Paper 5.2, 5.4.2, 8: its first entry is empty; with it all before is
 * committed. */
static void become_leader(struct raft *raft)
{
    struct raft_entry empty = {.type = RAFT_ENTRY_EMPTY};
    CHECK_EQ(raft->role, RAFT_CANDIDATE);
    CHECK_EQ(raft->hard.vote, raft->id);
    CHECK_LE(raft->vote_after, raft->hard_durable);
    CHECK_EQ(raft->waiting_count, 0);
    raft->hurry = 0;
    raft->round = 0;
    raft->round_left = true;
    raft->transfer_to = 0;
    raft->lease_given_up = false;
    raft->term_start = raft->log.last + 1;
    raft__peers_reset(raft);
    raft__set_role(raft, RAFT_LEADER, raft->id);
    raft->heartbeat_due_ms = raft->now_ms + raft->config.heartbeat_ms;
    raft__append_own(raft, &empty);
}

/* ---- standing ------------------------------------------------------------ */

static void ask_for_votes(struct raft *raft)
{
    for (size_t i = 0; i < raft->peer_count; i++) {
        raft->peers[i].vote = RAFT_VOTE_OPEN;
        raft->peers[i].vote_due = raft->peers[i].voter_in != 0;
    }
}

/* Paper 5.2. Its own vote counts when it is durable: raft__count_votes. */
static void stand(struct raft *raft, bool forced)
{
    CHECK_NE(raft->role, RAFT_LEADER);
    raft__set_role(raft, RAFT_CANDIDATE, 0);
    draw_next(raft);
    set_term(raft, raft->hard.term + 1, raft->id);
    raft->vote_after = raft->hard_made;
    raft->vote_forced = forced;
    ask_for_votes(raft);
}

/* Thesis 9.6: first it asks whether it would be voted for. The term stays. */
static void ask_around(struct raft *raft)
{
    CHECK_NE(raft->role, RAFT_LEADER);
    raft__set_role(raft, RAFT_PRE_CANDIDATE, 0);
    draw_next(raft);
    ask_for_votes(raft);
}

/* Its own vote is one that a lease may stand on, too. */
static bool is_bound_by_lease(const struct raft *raft)
{
    return raft->config.lease_reads && raft->now_ms < raft->votes_from_ms;
}

void raft__campaign(struct raft *raft, bool forced)
{
    if (raft->role == RAFT_LEADER || !raft__is_promotable(raft) ||
        (!forced && is_bound_by_lease(raft))) {
        return;
    }
    bool pre_vote = raft->config.pre_vote || raft->hurry > 0;
    if (forced || !pre_vote || raft__is_alone(raft)) {
        stand(raft, forced);
    } else {
        ask_around(raft);
    }
}

/* ---- counting ------------------------------------------------------------ */

static void count_list(const struct raft *raft, unsigned list, bool own,
                       enum raft_vote *out)
{
    size_t all = (raft->self_in & list) != 0;
    size_t granted = own && all > 0;
    size_t rejected = 0;
    for (size_t i = 0; i < raft->peer_count; i++) {
        const struct raft_peer *peer = &raft->peers[i];
        if ((peer->voter_in & list) != 0) {
            all++;
            granted += peer->vote == RAFT_VOTE_GRANTED;
            rejected += peer->vote == RAFT_VOTE_REJECTED;
        }
    }
    CHECK_LE(granted + rejected, all);
    if (granted > all / 2) {
        *out = RAFT_VOTE_GRANTED;
    } else if (rejected >= all - all / 2) {
        *out = RAFT_VOTE_REJECTED;
    } else {
        *out = RAFT_VOTE_OPEN;
    }
}

/* Thesis 4.3: in joint consensus both lists have to elect it. */
static enum raft_vote count_all(const struct raft *raft, bool own)
{
    enum raft_vote now;
    enum raft_vote before = RAFT_VOTE_GRANTED;
    count_list(raft, RAFT_IN_VOTERS, own, &now);
    if (raft__members(raft)->outgoing_count > 0 && !PLANTED(JOINT_ONE_QUORUM)) {
        count_list(raft, RAFT_IN_OUTGOING, own, &before);
    }
    if (now == RAFT_VOTE_REJECTED || before == RAFT_VOTE_REJECTED) {
        return RAFT_VOTE_REJECTED;
    }
    return now == RAFT_VOTE_GRANTED ? before : RAFT_VOTE_OPEN;
}

void raft__count_votes(struct raft *raft)
{
    if (raft->role == RAFT_PRE_CANDIDATE) {
        enum raft_vote all = count_all(raft, true);
        if (all == RAFT_VOTE_GRANTED) {
            stand(raft, false);
        } else if (all == RAFT_VOTE_REJECTED) {
            raft__become_follower(raft, raft->hard.term, 0);
        }
    } else if (raft->role == RAFT_CANDIDATE) {
        bool own = raft->hard_durable >= raft->vote_after;
        enum raft_vote all = count_all(raft, own);
        if (all == RAFT_VOTE_GRANTED && own) {
            become_leader(raft);
        } else if (all == RAFT_VOTE_REJECTED) {
            raft__become_follower(raft, raft->hard.term, 0);
        }
    }
}

static void note_vote(struct raft *raft, const struct raft_message *message)
{
    struct raft_peer *peer = raft__peer(raft, message->from);
    if (peer != NULL && peer->vote == RAFT_VOTE_OPEN) {
        peer->vote = message->rejected ? RAFT_VOTE_REJECTED : RAFT_VOTE_GRANTED;
        raft__count_votes(raft);
    }
}

/* Granted it has the term that was asked about, rejected the voter's own. */
void raft__on_pre_vote_answer(struct raft *raft,
                              const struct raft_message *message)
{
    if (message->rejected && message->term > raft->hard.term) {
        raft__become_follower(raft, message->term, 0);
    } else if (raft->role == RAFT_PRE_CANDIDATE &&
               (message->rejected ? message->term == raft->hard.term
                                  : message->term == raft->hard.term + 1)) {
        note_vote(raft, message);
    }
}

void raft__on_vote_answer(struct raft *raft, const struct raft_message *message)
{
    CHECK_EQ(message->term, raft->hard.term);
    if (raft->role == RAFT_CANDIDATE) {
        note_vote(raft, message);
    }
}

/* ---- voting -------------------------------------------------------------- */

/* Thesis 4.2.3 and, of a lease that may still hold, 6.4.1. */
static bool stands_by_leader(const struct raft *raft)
{
    if (raft->role == RAFT_LEADER) {
        return raft->config.check_quorum;
    }
    return raft->now_ms < raft->votes_from_ms ||
           (raft->leader != 0 &&
            raft->now_ms - raft->heard_ms < raft->config.election_ms);
}

/* Paper 5.4.1: whose log is behind could lack what is committed. */
static bool is_up_to_date(const struct raft *raft,
                          const struct raft_message *message)
{
    raft_term last_term = raft_log__last_term(&raft->log);
    return message->log_term > last_term ||
           (message->log_term == last_term &&
            message->index >= raft->log.last) ||
           PLANTED(VOTE_OLD_LOG);
}

/* Nothing is promised by it, so it may be granted to many. */
void raft__on_pre_vote(struct raft *raft, const struct raft_message *message)
{
    bool granted = message->term > raft->hard.term && !stands_by_leader(raft) &&
                   is_up_to_date(raft, message);
    struct raft_message answer =
        raft__message(raft, RAFT_MESSAGE_PRE_VOTE_ANSWER, message->from);
    answer.rejected = !granted;
    if (granted) {
        answer.term = message->term;
    }
    raft__send(raft, &answer);
}

static bool may_vote_for(const struct raft *raft, member_id candidate)
{
    return (raft->role == RAFT_FOLLOWER || raft->role == RAFT_PRE_CANDIDATE) &&
           (raft->hard.vote == candidate ||
            (raft->hard.vote == 0 && raft->leader == 0) || PLANTED(VOTE_TWICE));
}

static void vote_for(struct raft *raft, member_id candidate)
{
    CHECK_NE(candidate, raft->id);
    raft__become_follower(raft, raft->hard.term, 0);
    if (raft->hard.vote != candidate) {
        raft->hard.vote = candidate;
        if (!PLANTED(VOTE_NOT_PERSISTED)) {
            raft__hard_changed(raft);
        }
    }
    raft__draw_election(raft);
}

void raft__on_vote(struct raft *raft, const struct raft_message *message)
{
    if (message->term > raft->hard.term) {
        if (stands_by_leader(raft) && !message->forced) {
            return;
        }
        raft__become_follower(raft, message->term, 0);
    }
    bool granted = message->term == raft->hard.term &&
                   may_vote_for(raft, message->from) &&
                   is_up_to_date(raft, message);
    if (granted) {
        vote_for(raft, message->from);
    }
    struct raft_message answer =
        raft__message(raft, RAFT_MESSAGE_VOTE_ANSWER, message->from);
    answer.rejected = !granted;
    if (PLANTED(VOTE_NOT_PERSISTED)) {
        raft__send(raft, &answer);
    } else {
        raft__send_durable(raft, &answer);
    }
}
