/* What other threads may know of the node. */
#include "base/check.h"
#include "node/node_int.h"

struct mvcc *node_mvcc(struct node *node)
{
    return node->mvcc;
}

struct lease_table *node_leases(struct node *node)
{
    return node->leases;
}

struct lock *node_lock(struct node *node)
{
    return node->config.ports.lock;
}

const struct raft *node_raft(const struct node *node)
{
    return node->raft;
}

#define READ(field) atomic_load_explicit(&node->field, memory_order_relaxed)

void node_progress(const struct node *node, struct node_progress *out)
{
    CHECK(node->member_id != 0);
    *out = (struct node_progress){
        .cluster_id = node->cluster_id,
        .member_id = node->member_id,
        .leader = READ(leader),
        .term = READ(term),
        .committed = READ(committed),
        .applied = READ(applied),
        .role = (enum raft_role)READ(role),
        .revision = READ(revision),
        .no_space = node__is_full(node) || READ(alarm_raised),
        .leader_since_ns = READ(leader_since_ns),
        .pending = queue_count(&node->queue) + READ(waiting),
        .is_learner = READ(is_learner),
        .is_removed = READ(is_removed),
    };
}

void node_position(struct node *node, struct node_position *out)
{
    struct mvcc_status status;
    mvcc_status(node->mvcc, &status);
    *out = (struct node_position){.applied = status.applied_index,
                                  .term = status.applied_term};
    CHECK(out->applied == 0 || out->term > 0);
}

void node_counters(const struct node *node, struct node_counters *out)
{
    uint64_t copy[sizeof(*out) / 8];
    static_assert(sizeof(copy) == sizeof(*out), "counters are 64 bits each");
    for (size_t i = 0; i < sizeof(*out) / 8; i++) {
        copy[i] = READ(counters[i]);
    }
    memcpy(out, copy, sizeof(copy));
}

bool node_reads_are_current(const struct node *node)
{
    return atomic_load(&node->reads_are_current);
}
