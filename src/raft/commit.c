/* Quorums, and the commit index (paper 5.3, 5.4.2; thesis 4.3, 6.2). */
#include "base/check.h"
#include "raft/raft_int.h"

/* Into `values`, which is sorted, the greatest first. */
static void put_in_order(uint64_t *values, size_t count, uint64_t value)
{
    size_t at = count;
    while (at > 0 && values[at - 1] < value) {
        values[at] = values[at - 1];
        at--;
    }
    values[at] = value;
}

/* What a majority of one list has reached is the middle of all values. */
static uint64_t majority(const struct raft *raft, unsigned list,
                         raft_peer_value value, uint64_t own)
{
    uint64_t values[RAFT_MEMBERS_MAX];
    size_t count = 0;
    if ((raft->self_in & list) != 0) {
        put_in_order(values, count++, own);
    }
    for (size_t i = 0; i < raft->peer_count; i++) {
        if ((raft->peers[i].voter_in & list) != 0) {
            CHECK_LT(count, RAFT_MEMBERS_MAX);
            put_in_order(values, count++, value(&raft->peers[i]));
        }
    }
    return count == 0 ? 0 : values[count / 2];
}

uint64_t raft__quorum(const struct raft *raft, raft_peer_value value,
                      uint64_t own)
{
    uint64_t now = majority(raft, RAFT_IN_VOTERS, value, own);
    if (raft__members(raft)->outgoing_count == 0 || PLANTED(JOINT_ONE_QUORUM)) {
        return now;
    }
    uint64_t before = majority(raft, RAFT_IN_OUTGOING, value, own);
    return now < before ? now : before;
}

bool raft__is_alone(const struct raft *raft)
{
    const struct raft_members *members = raft__members(raft);
    return raft->self_in == RAFT_IN_VOTERS && members->voter_count == 1 &&
           members->outgoing_count == 0;
}

static uint64_t match_of(const struct raft_peer *peer)
{
    return peer->match;
}

/* Those that were removed are told for a while that it is so. */
static void part_with_removed(struct raft *raft)
{
    for (size_t i = 0; i < raft->peer_count; i++) {
        struct raft_peer *peer = &raft->peers[i];
        if (peer->leaving && peer->leave_index <= raft->hard.commit &&
            peer->leave_by_ms == INT64_MAX) {
            peer->leave_by_ms = raft->now_ms + raft->config.election_ms;
        }
    }
}

/* Paper 5.4.2: only an entry of its own term is counted; with it all that is
 * before is committed. Its own disk counts as any other's, no earlier and not
 * before the others' (thesis 10.2.1). */
void raft__advance_commit(struct raft *raft)
{
    CHECK_EQ(raft->role, RAFT_LEADER);
    raft_index before = raft->hard.commit;
    raft_index own =
        PLANTED(COMMIT_UNSYNCED) ? raft->log.last : raft->persisted;
    raft_index index = raft__quorum(raft, match_of, own);
    if (index <= before ||
        (index < raft->term_start && !PLANTED(COMMIT_OLD_TERM))) {
        return;
    }
    CHECK_LE(index, raft->log.last);
    raft__commit_to(raft, index);
    part_with_removed(raft);
    if (before < raft->term_start && index >= raft->term_start) {
        raft__reads_resume(raft);
    }
}

static uint64_t heard_of(const struct raft_peer *peer)
{
    CHECK(peer->heard_ms >= 0);
    return (uint64_t)peer->heard_ms;
}

/* Thesis 6.2. */
bool raft__quorum_heard(const struct raft *raft)
{
    int64_t since_ms = raft->now_ms - raft->config.election_ms;
    CHECK(raft->now_ms >= 0);
    uint64_t heard = raft__quorum(raft, heard_of, (uint64_t)raft->now_ms);
    return since_ms < 0 || heard >= (uint64_t)since_ms;
}
