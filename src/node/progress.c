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
        .no_space = READ(log_full) || READ(kv_full) || READ(over_quota),
        .leader_since_ns = READ(leader_since_ns),
        .pending = queue_count(&node->queue) + READ(waiting),
    };
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

struct slice node__member_name(member_id id, char out[16])
{
    CHECK(id != 0);
    memcpy(out, "member/", 7);
    put_be64(out + 7, id);
    return slice_of(out, 15);
}

bool node_member(struct node *node, member_id id, struct arena *arena,
                 struct slice *name, struct slice *client_urls)
{
    char meta[16];
    struct slice value;
    uint64_t size;
    if (!mvcc_meta_get(node->mvcc, node__member_name(id, meta), &value)) {
        return false;
    }
    const char *bytes = arena_dup(arena, value.at, value.size);
    const char *at = bytes;
    if (!get_varint(&at, bytes + value.size, &size) ||
        size > (uint64_t)(bytes + value.size - at)) {
        return false;
    }
    *name = slice_of(at, (size_t)size);
    *client_urls =
        slice_of(at + size, (size_t)(bytes + value.size - at) - (size_t)size);
    return true;
}
