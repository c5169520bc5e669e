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

/* Where a follower by the log goes on; the log's end for any other. */
static raft_index goes_on_from(const struct raft *raft,
                               const struct raft_peer *peer)
{
    raft_index base = raft->log.base_index;
    if (peer->state == RAFT_PEER_SNAPSHOT || peer->leaving ||
        peer->next <= base) {
        return raft->log.last;
    }
    return peer->match > base ? peer->match + 1 : base + 1;
}

raft_index raft_needed_from(const struct raft *raft)
{
    raft_index needed = raft->log.last;
    if (raft->role != RAFT_LEADER) {
        return needed;
    }
    for (size_t i = 0; i < raft->peer_count; i++) {
        raft_index from = goes_on_from(raft, &raft->peers[i]);
        needed = from < needed ? from : needed;
    }
    CHECK(needed >= raft->log.base_index);
    return needed;
}

raft_index raft_behind_from(const struct raft *raft)
{
    raft_index needed = raft->log.last;
    for (size_t i = 0; i < raft->peer_count && raft->role == RAFT_LEADER; i++) {
        const struct raft_peer *peer = &raft->peers[i];
        bool lives = raft->now_ms - peer->heard_ms <= raft->config.election_ms;
        raft_index from = goes_on_from(raft, peer);
        if (peer->behind && lives && from < needed) {
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
