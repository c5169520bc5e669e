/* Active size (0.4): so many members vote, the rest are standbys, learners
 * that the leader makes voters where one is missing or dead. One step at a
 * time, each a change of membership. */
#include "base/check.h"
#include "node/node_int.h"

static int64_t silence_ms(const struct node *node, member_id id)
{
    struct raft_peer_status status;
    if (id == node->member_id || !raft_peer_status(node->raft, id, &status)) {
        return 0;
    }
    return node->now_ms - status.heard_ms;
}

static raft_index match_of(const struct node *node, member_id id)
{
    struct raft_peer_status status;
    return raft_peer_status(node->raft, id, &status) ? status.match : 0;
}

/* The one that is furthest, of those that could vote at once. */
static bool freshest_standby(struct node *node, struct node_member *out)
{
    const struct raft_members *stored = &node->stored;
    bool found = false;
    for (size_t i = 0; i < stored->learner_count; i++) {
        struct node_member member;
        member_id id = stored->learners[i];
        bool is_member = node_member(node, id, &node->arena, &member);
        CHECK(is_member);
        if (!member.is_standby || !node__is_ready(node, id) ||
            silence_ms(node, id) > node->config.election_ms) {
            continue;
        }
        if (!found || match_of(node, id) > match_of(node, out->id)) {
            *out = member;
            found = true;
        }
    }
    return found;
}

/* The voter that was not heard from for longest, or is furthest behind. */
static member_id worst_voter(const struct node *node)
{
    const struct raft_members *stored = &node->stored;
    int64_t election_ms = node->config.election_ms;
    member_id worst = 0;
    for (size_t i = 0; i < stored->voter_count; i++) {
        member_id id = stored->voters[i];
        if (id == node->member_id) {
            continue;
        }
        int64_t silent_ms = silence_ms(node, id);
        int64_t worst_ms = worst == 0 ? 0 : silence_ms(node, worst);
        bool is_worse = silent_ms > election_ms || worst_ms > election_ms
                            ? silent_ms > worst_ms
                            : match_of(node, id) < match_of(node, worst);
        if (worst == 0 || is_worse) {
            worst = id;
        }
    }
    return worst;
}

static void promote(const struct node_member *standby,
                    struct raft_change *change, struct node_member *note)
{
    CHECK(standby->is_standby && standby->is_learner);
    *change = (struct raft_change){RAFT_ADD_VOTER, standby->id};
    *note = *standby;
    note->is_standby = false;
}

static void demote(struct node *node, member_id voter,
                   struct raft_change *change, struct node_member *note)
{
    bool is_member = node_member(node, voter, &node->arena, note);
    CHECK(is_member && !note->is_learner);
    CHECK_NE(voter, node->member_id);
    *change = (struct raft_change){RAFT_ADD_LEARNER, voter};
    note->is_standby = true;
}

bool node__standby_step(struct node *node, struct raft_change changes[2],
                        size_t *count, struct node_member notes[2])
{
    struct node_cluster_config cluster;
    struct node_member standby;
    size_t voters = node->stored.voter_count;
    node_cluster_config(node, &cluster);
    CHECK(cluster.active_size >= 3);
    CHECK_EQ(node->stored.outgoing_count, 0);
    CHECK(node->is_leader);
    bool has_standby = freshest_standby(node, &standby);
    member_id worst = worst_voter(node);
    *count = 1;
    if (voters < cluster.active_size && has_standby) {
        promote(&standby, &changes[0], &notes[0]);
        return true;
    }
    if (voters > cluster.active_size && worst != 0) {
        demote(node, worst, &changes[0], &notes[0]);
        return true;
    }
    if (worst != 0 && has_standby &&
        (double)silence_ms(node, worst) > cluster.remove_delay_s * 1000) {
        demote(node, worst, &changes[0], &notes[0]);
        promote(&standby, &changes[1], &notes[1]);
        *count = 2;
        return true;
    }
    return false;
}
