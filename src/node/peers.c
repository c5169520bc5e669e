/* How the leader sees the other members: kept for other threads to look at,
 * as numbers that need no lock. */
#include "base/check.h"
#include "node/node_int.h"

#define SET(field, value) \
    atomic_store_explicit(&slot->field, (value), memory_order_relaxed)
#define GET(field) atomic_load_explicit(&slot->field, memory_order_relaxed)

static struct node_peer_slot *find(struct node *node, member_id id)
{
    for (size_t i = 0; i < RAFT_MEMBERS_MAX; i++) {
        struct node_peer_slot *slot = &node->peers[i];
        if (GET(id) == id) {
            return slot;
        }
    }
    return NULL;
}

static void clear(struct node_peer_slot *slot)
{
    SET(id, 0);
    SET(answered, 0);
    SET(failed, 0);
    SET(now_ms, 0);
    SET(sum_ms, 0);
    SET(squares_ms, 0);
    SET(min_ms, 0);
    SET(max_ms, 0);
    slot->timed = 0;
}

static int64_t now_ns(const struct node *node)
{
    return clock_monotonic_ns(node->config.ports.clock);
}

void node__peer_appended(struct node *node, const struct raft_message *append)
{
    struct node_peer_slot *slot = find(node, append->to);
    CHECK_EQ(append->type, RAFT_MESSAGE_APPEND);
    if (slot != NULL && slot->timed == 0 && append->count > 0) {
        slot->timed = append->index + append->count;
        slot->timed_ns = now_ns(node);
    }
}

void node__peer_answered(struct node *node, const struct raft_message *answer)
{
    struct node_peer_slot *slot = find(node, answer->from);
    CHECK_EQ(answer->type, RAFT_MESSAGE_APPEND_ANSWER);
    if (slot == NULL || slot->timed == 0) {
        return;
    }
    if (answer->rejected) {
        slot->timed = 0;
        return;
    }
    if (answer->index < slot->timed) {
        return;
    }
    double took_ms = (double)(now_ns(node) - slot->timed_ns) / 1e6;
    slot->timed = 0;
    SET(now_ms, took_ms);
    SET(sum_ms, GET(sum_ms) + took_ms);
    SET(squares_ms, GET(squares_ms) + took_ms * took_ms);
    if (GET(answered) == 0 || took_ms < GET(min_ms)) {
        SET(min_ms, took_ms);
    }
    if (took_ms > GET(max_ms)) {
        SET(max_ms, took_ms);
    }
    SET(answered, GET(answered) + 1);
}

void node__peer_failed(struct node *node, member_id id)
{
    struct node_peer_slot *slot = find(node, id);
    if (slot != NULL) {
        SET(failed, GET(failed) + 1);
        slot->timed = 0;
    }
}

static void refresh(struct node_peer_slot *slot,
                    const struct raft_peer_status *status)
{
    CHECK(status->id != 0);
    SET(match, status->match);
    SET(state, (int)status->state);
    SET(is_learner, status->is_learner);
    SET(heard_ms, status->heard_ms);
    SET(id, status->id);
}

/* Those that left go, those that came get a place. */
void node__peers_refresh(struct node *node)
{
    member_id ids[2 * RAFT_MEMBERS_MAX];
    struct raft_peer_status status;
    if (node->now_ms < node->stats_due_ms) {
        return;
    }
    node->stats_due_ms = node->now_ms + NODE_STATS_MS;
    for (size_t i = 0; i < RAFT_MEMBERS_MAX; i++) {
        struct node_peer_slot *slot = &node->peers[i];
        if (GET(id) != 0 && !raft_peer_status(node->raft, GET(id), &status)) {
            clear(slot);
        }
    }
    if (!node->is_leader || !node->has_others) {
        return;
    }
    size_t count = node__member_ids(raft_members(node->raft), ids);
    for (size_t i = 0; i < count; i++) {
        if (ids[i] == node->member_id ||
            !raft_peer_status(node->raft, ids[i], &status)) {
            continue;
        }
        struct node_peer_slot *slot = find(node, ids[i]);
        if (slot == NULL) {
            slot = find(node, 0);
        }
        if (slot != NULL) {
            refresh(slot, &status);
        }
    }
}

size_t node_peers(const struct node *node, struct node_peer *out, size_t max)
{
    size_t count = 0;
    int role = atomic_load_explicit(&node->role, memory_order_relaxed);
    if (role != (int)RAFT_LEADER) {
        return 0;
    }
    for (size_t i = 0; i < RAFT_MEMBERS_MAX && count < max; i++) {
        const struct node_peer_slot *slot = &node->peers[i];
        if (GET(id) == 0) {
            continue;
        }
        out[count++] = (struct node_peer){
            .id = GET(id),
            .match = GET(match),
            .state = (enum raft_peer_state)GET(state),
            .is_learner = GET(is_learner),
            .heard_ms = GET(heard_ms),
            .answered = GET(answered),
            .failed = GET(failed),
            .latency_now_ms = GET(now_ms),
            .latency_sum_ms = GET(sum_ms),
            .latency_squares_ms = GET(squares_ms),
            .latency_min_ms = GET(min_ms),
            .latency_max_ms = GET(max_ms),
        };
    }
    return count;
}
