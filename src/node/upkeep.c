/* What the leader does by itself: ends leases, compacts history. */
#include "base/check.h"
#include "base/log.h"
#include "node/node_int.h"

void node__propose_expiry(struct node *node, int64_t now_ns)
{
    lease_id ids[NODE_EXPIRE_MAX];
    size_t count = lease_expired(node->leases, now_ns, ids, NODE_EXPIRE_MAX);
    CHECK_LE(count, NODE_EXPIRE_MAX);
    if (count == 0) {
        return;
    }
    struct command command = {
        .type = COMMAND_EXPIRE,
        .expire = {.leases = ids, .count = count},
    };
    node__batch_add(node, NULL, command_encode(&command), now_ns);
}

static revision compaction_target(struct node *node, int64_t now_ns)
{
    struct mvcc_status status;
    revision at = 0;
    mvcc_status(node->mvcc, &status);
    if (node->config.compaction == NODE_COMPACTION_REVISION) {
        at = status.current - node->config.compaction_keep;
        return at > status.compacted ? at : 0;
    }
    mvcc_read_begin(node->reader);
    enum err err = mvcc_revision_at(node->reader,
                                    now_ns - node->config.compaction_keep, &at);
    mvcc_read_end(node->reader);
    return err == ERR_OK && at > status.compacted ? at : 0;
}

void node__propose_compaction(struct node *node, int64_t now_ns)
{
    int64_t now_ms = clock_monotonic_ns(node->config.ports.clock) / 1000000;
    if (node->config.compaction == NODE_COMPACTION_OFF ||
        now_ms < node->compaction_due_ms) {
        return;
    }
    node->compaction_due_ms = now_ms + NODE_COMPACTION_PERIOD_MS;
    lock_read(node->config.ports.lock);
    revision at = compaction_target(node, now_ns);
    unlock_read(node->config.ports.lock);
    if (at > 1) {
        struct command command = {.type = COMMAND_COMPACT, .compact = at};
        node__batch_add(node, NULL, command_encode(&command), now_ns);
    }
}

/* A slice between two batches: nobody waits long for it. */
void node__compact_slice(struct node *node)
{
    struct mvcc_status status;
    mvcc_status(node->mvcc, &status);
    if (status.compacting) {
        lock_write(node->config.ports.lock);
        (void)mvcc_compact_slice(node->mvcc, NODE_COMPACT_KEYS);
        unlock_write(node->config.ports.lock);
    }
}
