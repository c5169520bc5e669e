/* Leadership is handed over (thesis 3.10): the target gets all entries, then
 * the word to stand at once. Until it has won, or an election timeout has
 * passed, nothing is proposed. */
#include "base/check.h"
#include "raft/raft_int.h"

static bool is_voter(const struct raft_peer *peer)
{
    return (peer->voter_in & RAFT_IN_VOTERS) != 0;
}

/* Of those that were heard from lately the one whose log is the longest. */
static member_id fittest(const struct raft *raft)
{
    const struct raft_peer *best = NULL;
    for (size_t i = 0; i < raft->peer_count; i++) {
        const struct raft_peer *peer = &raft->peers[i];
        if (!is_voter(peer) ||
            raft->now_ms - peer->heard_ms > raft->config.election_ms) {
            continue;
        }
        if (best == NULL || peer->match > best->match ||
            (peer->match == best->match && peer->heard_ms > best->heard_ms)) {
            best = peer;
        }
    }
    return best != NULL ? best->id : 0;
}

/* From now on somebody may be elected without waiting for this leader's
 * lease to end. */
static void tell_to_stand(struct raft *raft, member_id to)
{
    CHECK(to != 0 && to != raft->id);
    struct raft_message message =
        raft__message(raft, RAFT_MESSAGE_TIMEOUT_NOW, to);
    raft->lease_given_up = true;
    raft__send(raft, &message);
}

enum err raft__on_transfer(struct raft *raft, member_id to)
{
    if (raft->role != RAFT_LEADER) {
        return err_set(ERR_NOT_LEADER, "member is %s",
                       raft_role_text(raft->role));
    }
    if (to == raft->id) {
        return ERR_OK;
    }
    if (raft->transfer_to != 0) {
        return err_set(ERR_BUSY, "leadership is being handed over");
    }
    if (to == 0) {
        to = fittest(raft);
    }
    const struct raft_peer *peer = raft__peer(raft, to);
    if (peer == NULL || !is_voter(peer)) {
        return err_set(ERR_INVALID, "no voter to hand leadership to");
    }
    raft->transfer_to = to;
    raft->transfer_by_ms = raft->now_ms + raft->config.election_ms;
    raft__transfer_go_on(raft);
    return ERR_OK;
}

void raft__transfer_go_on(struct raft *raft)
{
    if (raft->transfer_to == 0) {
        return;
    }
    CHECK_EQ(raft->role, RAFT_LEADER);
    const struct raft_peer *peer = raft__peer(raft, raft->transfer_to);
    CHECK(peer != NULL);
    if (peer->match == raft->log.last) {
        tell_to_stand(raft, peer->id);
    }
}

/* It took too long: this member goes on leading. The word may have been lost
 * before: it is said again until then. */
void raft__transfer_tick(struct raft *raft)
{
    if (raft->transfer_to != 0 && raft->now_ms >= raft->transfer_by_ms) {
        raft->transfer_to = 0;
    }
    raft__transfer_go_on(raft);
}

/* Thesis 4.2.2: it led until it was certain that it is no member; what is
 * committed with that it could still tell the others since. */
void raft__leave_office(struct raft *raft)
{
    if (raft->role != RAFT_LEADER || raft->self_in != 0 ||
        raft__change_pending(raft)) {
        return;
    }
    member_id next = fittest(raft);
    if (next != 0) {
        tell_to_stand(raft, next);
    }
    raft__become_follower(raft, raft->hard.term, 0);
}

void raft__on_timeout_now(struct raft *raft, const struct raft_message *message)
{
    CHECK_EQ(message->term, raft->hard.term);
    if (raft->role == RAFT_FOLLOWER &&
        (raft->leader == 0 || raft->leader == message->from)) {
        raft__campaign(raft, true);
    }
}
