/* What the leader does by itself: ends leases, compacts history. */
#include "base/check.h"
#include "base/log.h"
#include "node/node_int.h"

int64_t node__peek_now_ns(const struct node *node)
{
    struct clock *clock = node->config.ports.clock;
    int64_t wall_ns = clock_wall_ns(clock);
    int64_t since_ns = clock_monotonic_ns(clock) - node->own_since_ns;
    CHECK_LE(0, since_ns);
    int64_t own_ns = node->own_ns + since_ns - since_ns / 1000;
    return wall_ns > own_ns ? wall_ns : own_ns;
}

int64_t node__now_ns(struct node *node)
{
    struct clock *clock = node->config.ports.clock;
    int64_t now_ns = node__peek_now_ns(node);
    CHECK_LE(node->time_ns, now_ns);
    if (now_ns <= clock_wall_ns(clock)) {
        node->own_ns = now_ns;
        node->own_since_ns = clock_monotonic_ns(clock);
    }
    return now_ns;
}

void node__propose_expiry(struct node *node, int64_t now_ns, int64_t now_ms)
{
    lease_id ids[NODE_EXPIRE_MAX];
    /* Without room it would be refused again and again, at once. */
    if (atomic_load_explicit(&node->log_full, memory_order_relaxed)) {
        if (now_ms < node->room_due_ms) {
            return;
        }
        node->room_due_ms = now_ms + NODE_ROOM_RETRY_MS;
    }
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

/* Up to where history may go; 0: nothing to do, or not yet worth a walk. */
static revision compaction_target(struct node *node, int64_t now_ns)
{
    int64_t keep = node->config.compaction_keep;
    struct mvcc_status status;
    revision at = 0;
    mvcc_status(node->mvcc, &status);
    CHECK_LE(status.compacted, status.current);
    if (node->config.compaction == NODE_COMPACTION_REVISION) {
        at = status.current - keep;
        return at - status.compacted > keep / NODE_COMPACTION_PARTS ? at : 0;
    }
    mvcc_read_begin(node->reader);
    enum err err = mvcc_revision_at(node->reader, now_ns - keep, &at);
    mvcc_read_end(node->reader);
    if (err != ERR_OK && err != ERR_COMPACTED && err != ERR_NOT_FOUND) {
        log_warn("node", "can't tell how much history is old enough",
                 LOG_STR("error", err_note()));
    }
    return err == ERR_OK && at > status.compacted ? at : 0;
}

static int64_t compaction_period_ms(const struct node *node)
{
    int64_t period_ms = NODE_COMPACTION_PERIOD_MS;
    CHECK(node->config.compaction_keep > 0);
    if (node->config.compaction == NODE_COMPACTION_PERIODIC) {
        int64_t part_ms =
            node->config.compaction_keep / NODE_COMPACTION_PARTS / 1000000;
        period_ms = part_ms > period_ms ? part_ms : period_ms;
    }
    return period_ms < NODE_COMPACTION_PERIOD_MS_MAX
               ? period_ms
               : NODE_COMPACTION_PERIOD_MS_MAX;
}

void node__propose_compaction(struct node *node, int64_t now_ns, int64_t now_ms)
{
    if (node->config.compaction == NODE_COMPACTION_OFF ||
        now_ms < node->compaction_due_ms) {
        return;
    }
    node->compaction_due_ms = now_ms + compaction_period_ms(node);
    if (node->compacting) {
        return; /* a walk that starts over never ends */
    }
    lock_read(node->config.ports.lock);
    revision at = compaction_target(node, now_ns);
    unlock_read(node->config.ports.lock);
    if (at > 1) {
        struct command command = {.type = COMMAND_COMPACT, .compact = at};
        node__batch_add(node, NULL, command_encode(&command), now_ns);
    }
}

/* A slice between two batches: nobody waits long for it. When the walk is
 * done the backend takes what it found out of the file. */
void node__compact_slice(struct node *node)
{
    struct lock *lock = node->config.ports.lock;
    if (!node->compacting) {
        return;
    }
    lock_write(lock);
    node->compacting = mvcc_compact_slice(node->mvcc, NODE_COMPACT_KEYS);
    unlock_write(lock);
    if (!node->compacting) {
        atomic_store(&node->garbage, true);
        node->config.on_flush_due(node->config.context);
    }
}
