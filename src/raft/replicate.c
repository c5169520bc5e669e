/* A leader and the logs of the others (paper 5.3; thesis 3.5, 10.2).
 *
 *             an answer that agrees
 *     PROBE -----------------------> REPLICATE
 *      ^ ^  <----------------------- many at once, up to a window of messages
 *      | |   rejected, or messages   and bytes; what was sent counts as come
 *      | |   may have been lost
 *      | '------------------------.
 *      |                          | it was sent, or not; or an answer shows
 *      |  the log doesn't reach   | that it isn't needed any more
 *      '---- back far enough ---> SNAPSHOT: nothing but heartbeats
 *
 *     PROBE: one append at a time; the next when it, or a heartbeat, is
 *     answered.
 *
 * Appends are made when they are pulled, so all that has come in a turn
 * leaves in one, and nothing is sent twice because of a window that is full.
 * What is lost shows by a rejection, or by a heartbeat's answer while
 * something that was sent isn't answered for a whole round.
 */
#include "base/check.h"
#include "raft/raft_int.h"

/* ---- the leader's own log ------------------------------------------------ */

void raft__append_own(struct raft *raft, struct raft_entry *entry)
{
    int64_t last_time_ns = raft_log__last_time_ns(&raft->log);
    CHECK_EQ(raft->role, RAFT_LEADER);
    entry->term = raft->hard.term;
    entry->index = raft->log.last + 1;
    if (entry->time_ns < last_time_ns) {
        entry->time_ns = last_time_ns;
    }
    if (PLANTED(TIME_BACKWARDS) && entry->index % 2 == 1 &&
        entry->time_ns > 1000000000) {
        entry->time_ns -= 1000000000;
    }
    raft_log__append(&raft->log, entry);
    if (entry->type == RAFT_ENTRY_CHANGE) {
        raft__changes_add(raft, entry);
        raft__peers_renew(raft);
        raft__reads_confirm(raft);
    }
}

/* ---- heartbeats ---------------------------------------------------------- */

/* A round that nobody has been sent anything of is still a new one. */
void raft__heartbeat(struct raft *raft)
{
    CHECK_EQ(raft->role, RAFT_LEADER);
    if (raft->round_left) {
        raft->round++;
        raft->round_left = false;
        raft->round_ms[raft->round % RAFT_ROUNDS_MAX] = raft->now_ms;
    }
    for (size_t i = 0; i < raft->peer_count; i++) {
        raft->peers[i].heartbeat_due = true;
    }
}

/* Thesis 6.2: a leader that a quorum doesn't answer is of no use, and stands
 * in the way of those who look for another. */
void raft__leader_tick(struct raft *raft)
{
    CHECK_EQ(raft->role, RAFT_LEADER);
    if (raft->now_ms < raft->heartbeat_due_ms) {
        return;
    }
    if (raft->config.check_quorum && !raft__quorum_heard(raft)) {
        raft__become_follower(raft, raft->hard.term, 0);
        return;
    }
    raft->heartbeat_due_ms = raft->now_ms + raft->config.heartbeat_ms;
    raft__peers_drop_left(raft);
    raft__transfer_tick(raft);
    raft__heartbeat(raft);
}

static void note_round(struct raft *raft, struct raft_peer *peer,
                       uint64_t round)
{
    if (round <= peer->round || round > raft->round) {
        return;
    }
    peer->round = round;
    if (raft->round - round < RAFT_ROUNDS_MAX) {
        peer->lease_ms = raft->round_ms[round % RAFT_ROUNDS_MAX];
        CHECK_LE(peer->lease_ms, raft->now_ms);
    }
}

void raft__on_heartbeat_answer(struct raft *raft,
                               const struct raft_message *message)
{
    struct raft_peer *peer = raft__peer(raft, message->from);
    if (raft->role != RAFT_LEADER || peer == NULL || message->rejected) {
        return;
    }
    CHECK_EQ(message->term, raft->hard.term);
    peer->heard_ms = raft->now_ms;
    note_round(raft, peer, message->read);
    if (peer->state == RAFT_PEER_PROBE) {
        peer->paused = false;
    } else if (peer->state == RAFT_PEER_REPLICATE &&
               peer->match + 1 < peer->next &&
               peer->match == peer->match_before) {
        peer->nudged = true;
    }
    peer->match_before = peer->match;
    raft__reads_confirm(raft);
}

/* ---- answers ------------------------------------------------------------- */

/* Paper 5.3, end: the follower said up to where its log could agree, by index
 * and term; this log may rule out more of it. */
static void back_off(struct raft *raft, struct raft_peer *peer,
                     const struct raft_message *message)
{
    CHECK_EQ(peer->state, RAFT_PEER_PROBE);
    if (message->index + 1 != peer->next || message->index == 0) {
        return; /* of an append before the last one */
    }
    raft_index same = raft_log__last_of_term(&raft->log, message->hint_index,
                                             message->hint_term);
    raft_index next = same + 1 < message->index ? same + 1 : message->index;
    peer->next = next > peer->match ? next : peer->match + 1;
    peer->paused = false;
    CHECK_LE(peer->next, message->index + 1);
}

static void on_rejected(struct raft *raft, struct raft_peer *peer,
                        const struct raft_message *message)
{
    if (message->index <= peer->match) {
        return; /* old: it has said better since */
    }
    if (peer->state == RAFT_PEER_REPLICATE) {
        raft__peer_set_state(peer, RAFT_PEER_PROBE);
        CHECK_EQ(peer->next, peer->match + 1);
    } else if (peer->state == RAFT_PEER_PROBE) {
        back_off(raft, peer, message);
    }
}

/* A probe that brought nothing new leaves it in PROBE until its next heartbeat:
 * the other's log is full, or the answer is an old one. */
static void on_agreed(struct raft *raft, struct raft_peer *peer,
                      raft_index index)
{
    if (index < peer->match ||
        (index == peer->match && peer->state == RAFT_PEER_PROBE &&
         index < raft->log.last)) {
        return;
    }
    peer->match = index;
    if (peer->next <= index) {
        peer->next = index + 1;
    }
    if (peer->state == RAFT_PEER_PROBE ||
        (peer->state == RAFT_PEER_SNAPSHOT && index >= raft->log.base_index)) {
        raft__peer_set_state(peer, RAFT_PEER_REPLICATE);
    }
    if (peer->match >= raft->hard.commit) {
        peer->behind = false;
    }
    raft__peer_free_sent(raft, peer);
    CHECK_LT(peer->match, peer->next);
}

void raft__on_append_answer(struct raft *raft,
                            const struct raft_message *message)
{
    struct raft_peer *peer = raft__peer(raft, message->from);
    if (raft->role != RAFT_LEADER || peer == NULL) {
        return;
    }
    CHECK_EQ(message->term, raft->hard.term);
    peer->heard_ms = raft->now_ms;
    if (message->rejected) {
        on_rejected(raft, peer, message);
        return;
    }
    if (message->index > raft->log.last) {
        return; /* it can't agree with what isn't there */
    }
    raft_index before = peer->match;
    on_agreed(raft, peer, message->index);
    if (peer->match > before) {
        raft__advance_commit(raft);
        raft__transfer_go_on(raft);
    }
}

void raft__on_unreachable(struct raft *raft, member_id id)
{
    struct raft_peer *peer = raft__peer(raft, id);
    if (raft->role == RAFT_LEADER && peer != NULL &&
        peer->state == RAFT_PEER_REPLICATE) {
        raft__peer_set_state(peer, RAFT_PEER_PROBE);
        CHECK_EQ(peer->next, peer->match + 1);
    }
}

/* ---- snapshots ----------------------------------------------------------- */

/* The entry before `next` isn't known any more. */
static bool is_left_behind(const struct raft *raft,
                           const struct raft_peer *peer)
{
    return peer->next <= raft->log.base_index;
}

/* Only for those that are there to take it. */
void raft__ask_snapshots(struct raft *raft)
{
    struct raft_update *update = raft->update;
    CHECK_EQ(raft->role, RAFT_LEADER);
    for (size_t i = 0; i < raft->peer_count; i++) {
        struct raft_peer *peer = &raft->peers[i];
        if (peer->state == RAFT_PEER_SNAPSHOT || !is_left_behind(raft, peer) ||
            peer->paused || peer->leaving ||
            raft->now_ms - peer->heard_ms > raft->config.election_ms ||
            update->snapshot_to_count == RAFT_MEMBERS_MAX) {
            continue;
        }
        raft__peer_set_state(peer, RAFT_PEER_SNAPSHOT);
        peer->behind = true;
        update->snapshot_to[update->snapshot_to_count++] = peer->id;
    }
}

/* Whether it really has it, its own answer will tell. */
void raft__on_snapshot_sent(struct raft *raft, const struct raft_event *event)
{
    struct raft_peer *peer = raft__peer(raft, event->member);
    if (raft->role != RAFT_LEADER || peer == NULL ||
        peer->state != RAFT_PEER_SNAPSHOT) {
        return;
    }
    raft__peer_set_state(peer, RAFT_PEER_PROBE);
    if (event->failed) {
        /* Tried again when it shows that it lives. */
        peer->paused = true;
    } else if (event->index >= peer->next && event->index <= raft->log.last) {
        peer->next = event->index + 1;
    }
    CHECK(peer->next > peer->match);
}

/* ---- what is sent -------------------------------------------------------- */

static void make_heartbeat(struct raft *raft, struct raft_peer *peer,
                           struct raft_message *out)
{
    raft_index commit = raft->hard.commit;
    peer->heartbeat_due = false;
    raft->round_left = true;
    *out = raft__message(raft, RAFT_MESSAGE_HEARTBEAT, peer->id);
    /* Beyond `match` its log could be another one. */
    out->commit = commit < peer->match ? commit : peer->match;
    out->read = raft->round;
    if (peer->commit_sent < out->commit) {
        peer->commit_sent = out->commit;
    }
}

/* The commit index as far as it concerns what the peer was sent. */
static raft_index news_for(const struct raft *raft,
                           const struct raft_peer *peer)
{
    raft_index commit = raft->hard.commit;
    return commit < peer->next ? commit : peer->next - 1;
}

static bool wants_append(const struct raft *raft, const struct raft_peer *peer)
{
    if (peer->state == RAFT_PEER_SNAPSHOT || is_left_behind(raft, peer)) {
        return false;
    }
    if (peer->state == RAFT_PEER_PROBE) {
        return !peer->paused;
    }
    return peer->nudged || news_for(raft, peer) > peer->commit_sent ||
           (peer->next <= raft->log.last && raft__peer_window_open(raft, peer));
}

static void add_entries(struct raft *raft, struct raft_peer *peer,
                        struct raft_message *out)
{
    size_t bytes;
    out->entries =
        raft_log__run(&raft->log, peer->next, raft->config.append_entries_max,
                      raft->config.append_bytes_max, &out->count, &bytes);
    CHECK(out->count > 0 && out->count <= raft->config.append_entries_max);
    if (peer->state == RAFT_PEER_REPLICATE) {
        peer->next += out->count;
        raft__peer_sent(raft, peer, peer->next - 1, bytes);
    }
}

/* In an empty one to a peer that is in step, hint_index tells what is known
 * of it: it needn't say so again. */
static void make_append(struct raft *raft, struct raft_peer *peer,
                        struct raft_message *out)
{
    raft_index commit = raft->hard.commit;
    *out = raft__message(raft, RAFT_MESSAGE_APPEND, peer->id);
    out->index = peer->next - 1;
    out->log_term = raft_log__term(&raft->log, out->index);
    out->commit = commit;
    if (peer->state == RAFT_PEER_REPLICATE) {
        out->hint_index = peer->match;
    }
    if (peer->next <= raft->log.last && (peer->state == RAFT_PEER_PROBE ||
                                         raft__peer_window_open(raft, peer))) {
        add_entries(raft, peer, out);
    }
    peer->nudged = false;
    peer->paused = peer->state == RAFT_PEER_PROBE;
    raft_index told = out->index + out->count;
    told = told < commit ? told : commit;
    if (peer->commit_sent < told) {
        peer->commit_sent = told;
    }
    CHECK_LE(peer->next, raft->log.last + 1);
}

bool raft__next_to_peer(struct raft *raft, struct raft_message *out)
{
    CHECK_EQ(raft->role, RAFT_LEADER);
    for (size_t i = 0; i < raft->peer_count; i++) {
        struct raft_peer *peer = &raft->peers[i];
        if (peer->heartbeat_due) {
            make_heartbeat(raft, peer, out);
            return true;
        }
        if (wants_append(raft, peer)) {
            make_append(raft, peer, out);
            return true;
        }
    }
    return false;
}
