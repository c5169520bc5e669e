/* What others may ask of a member. */
#include "base/check.h"
#include "raft/raft_int.h"

const struct raft_entry *raft_entry_at(const struct raft *raft,
                                       raft_index index)
{
    return raft_log__at(&raft->log, index);
}

const struct raft_members *raft_members(const struct raft *raft)
{
    return raft__members(raft);
}

void raft_status(const struct raft *raft, struct raft_status *out)
{
    bool pending = raft__change_pending(raft);
    bool leads = raft->role == RAFT_LEADER;
    *out = (struct raft_status){
        .id = raft->id,
        .role = raft->role,
        .leader = raft->leader,
        .transfer_to = raft->transfer_to,
        .term = raft->hard.term,
        .first = raft->log.base_index + 1,
        .last = raft->log.last,
        .persisted = raft->persisted,
        .commit = raft->hard.commit,
        .applied = raft->applied,
        .term_start = leads ? raft->term_start : 0,
        .change_pending = pending,
        .leave_joint_due =
            leads && !pending && raft__members(raft)->outgoing_count > 0,
    };
    CHECK_LE(out->applied, out->commit);
}

bool raft_peer_status(const struct raft *raft, member_id id,
                      struct raft_peer_status *out)
{
    const struct raft_peer *peer = raft__peer(raft, id);
    if (raft->role != RAFT_LEADER || peer == NULL || peer->leaving) {
        return false;
    }
    *out = (struct raft_peer_status){
        .id = id,
        .state = peer->state,
        .match = peer->match,
        .next = peer->next,
        .is_voter = peer->voter_in != 0,
        .is_learner = peer->is_learner,
        .heard_ms = peer->heard_ms,
        .inflight_messages = peer->sent_count,
        .inflight_bytes = peer->sent_bytes,
    };
    CHECK(out->is_voter != out->is_learner);
    return true;
}

raft_index raft_needed_from(const struct raft *raft)
{
    raft_index needed = raft->log.last;
    if (raft->role != RAFT_LEADER) {
        return needed;
    }
    for (size_t i = 0; i < raft->peer_count; i++) {
        const struct raft_peer *peer = &raft->peers[i];
        raft_index from = peer->match > raft->log.base_index
                              ? peer->match + 1
                              : raft->log.base_index + 1;
        if (peer->state != RAFT_PEER_SNAPSHOT && !peer->leaving &&
            peer->next > raft->log.base_index && from < needed) {
            needed = from;
        }
    }
    CHECK(needed >= raft->log.base_index);
    return needed;
}

const char *raft_role_text(enum raft_role role)
{
    switch (role) {
    case RAFT_FOLLOWER:
        return "StateFollower";
    case RAFT_PRE_CANDIDATE:
        return "StatePreCandidate";
    case RAFT_CANDIDATE:
        return "StateCandidate";
    case RAFT_LEADER:
        return "StateLeader";
    }
    UNREACHABLE();
}
