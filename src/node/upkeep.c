/* What the leader does by itself: ends leases, compacts history. And what each
 * member tells the cluster of itself. */
#include "base/check.h"
#include "base/list.h"
#include "base/log.h"
#include "base/plant.h"
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

void node__keep_time(struct node *node)
{
    if (node__peek_now_ns(node) < node->time_ns) {
        node->own_ns = node->time_ns;
        node->own_since_ns = clock_monotonic_ns(node->config.ports.clock);
    }
}

void node__lead_time(struct node *node)
{
    struct raft_status status;
    raft_status(node->raft, &status);
    const struct raft_entry *newest = raft_entry_at(node->raft, status.last);
    if (newest != NULL && newest->time_ns > node->time_ns) {
        node->time_ns = newest->time_ns;
    }
    node__keep_time(node);
}

bool node__is_expiring(const struct node *node)
{
    struct raft_status status;
    raft_status(node->raft, &status);
    return node->expiry_term == status.term &&
           node->expiry_index > status.applied &&
           node->expiry_index <= status.last;
}

static size_t count_waiting(const struct node *node, const lease_id *ids,
                            size_t count)
{
    int64_t expire_ns;
    size_t i = 0;
    while (i < count && lease_get(node->leases, ids[i], &expire_ns) &&
           expire_ns == NODE_LEASE_WAITS) {
        i++;
    }
    return i;
}

/* How many times the least that goes into a command. */
static size_t parts_of_a_command(const struct node *node)
{
    int64_t parts = node->expiry_took_ns / NODE_EXPIRE_PART_NS;
    CHECK_LE(0, parts);
    parts = parts > 1 ? parts : 1;
    return parts < NODE_EXPIRE_PARTS_MAX ? (size_t)parts
                                         : NODE_EXPIRE_PARTS_MAX;
}

/* So many of them as don't hold up the writes behind them: one at least, and
 * few where they have many keys. */
static size_t worth_a_command(const struct node *node, const lease_id *ids,
                              size_t count, size_t keys_max)
{
    struct lease_info info;
    size_t keys = 0;
    for (size_t i = 0; i < count; i++) {
        bool found = lease_info(node->leases, ids[i], &info);
        CHECK(found);
        keys += info.keys;
        if (i > 0 && keys > keys_max) {
            return i;
        }
    }
    return count;
}

void node__propose_expiry(struct node *node, int64_t now_ns, int64_t now_ms)
{
    int64_t early_ns = PLANTED(LEASE_EARLY) ? NODE_PLANTED_EARLY_NS : 0;
    lease_id ids[NODE_EXPIRE_MAX * NODE_EXPIRE_PARTS_MAX];
    size_t parts = parts_of_a_command(node);
    struct raft_status status;
    if (node__is_expiring(node)) {
        return;
    }
    /* Without room it would be refused again and again, at once. */
    if (atomic_load_explicit(&node->log_full, memory_order_relaxed)) {
        if (now_ms < node->room_due_ms) {
            return;
        }
        node->room_due_ms = now_ms + NODE_ROOM_RETRY_MS;
    }
    size_t count = lease_expired(node->leases, now_ns + early_ns, ids,
                                 parts * NODE_EXPIRE_MAX);
    CHECK_LE(count, parts * NODE_EXPIRE_MAX);
    count = worth_a_command(node, ids, count, parts * NODE_EXPIRE_KEYS_MAX);
    if (count == 0) {
        return;
    }
    /* Those that wait stand in front. */
    size_t waiting = count_waiting(node, ids, count);
    struct command command = {
        .type = COMMAND_EXPIRE,
        .expire = {.leases = ids, .count = count},
    };
    if (waiting > 0) {
        command = (struct command){
            .type = COMMAND_LEASE_RENEW,
            .user = AUTH_SERVER,
            .renew = {.leases = ids, .count = waiting},
        };
    }
    CHECK_EQ(node->batch->count, 0);
    raft_status(node->raft, &status);
    node->expiry_index = status.last + 1;
    node->expiry_term = status.term;
    node__batch_add(node, command_encode(&command), now_ns);
}

/* What is before it isn't among the last `keep`; 0: there is nothing. */
static revision last_to_go(struct node *node, const struct mvcc_status *status,
                           int64_t keep, int64_t now_ns)
{
    revision at = 0;
    if (node->config.compaction == NODE_COMPACTION_REVISION) {
        return status->current > keep ? status->current - keep : 0;
    }
    enum err err = mvcc_revision_at(node->reader, now_ns - keep, &at);
    if (err != ERR_OK && err != ERR_COMPACTED && err != ERR_NOT_FOUND) {
        log_warn("node", "can't tell how much history is old enough",
                 LOG_STR("error", err_note()));
    }
    return err == ERR_OK ? at : 0;
}

/* What somebody has yet to read stays, but for no more than as much again. */
static revision hold_back(struct node *node, const struct mvcc_status *status,
                          revision at, int64_t now_ns)
{
    int64_t keep = node->config.compaction_keep;
    if (node->config.oldest_wanted == NULL || at <= status->compacted) {
        return at;
    }
    revision wanted = node->config.oldest_wanted(node->reader);
    CHECK_LE(0, wanted);
    if (wanted > at) {
        return at;
    }
    revision least =
        keep < INT64_MAX / 2 ? last_to_go(node, status, 2 * keep, now_ns) : 0;
    CHECK_LE(least, at);
    return wanted - 1 > least ? wanted - 1 : least;
}

/* Up to where history may go; 0: nothing to do, or not yet worth a walk. */
static revision compaction_target(struct node *node, int64_t now_ns)
{
    int64_t keep = node->config.compaction_keep;
    struct mvcc_status status;
    revision worth = 0;
    mvcc_status(node->mvcc, &status);
    CHECK_LE(status.compacted, status.current);
    mvcc_read_begin(node->reader);
    revision at = last_to_go(node, &status, keep, now_ns);
    at = hold_back(node, &status, at, now_ns);
    mvcc_read_end(node->reader);
    if (node->config.compaction == NODE_COMPACTION_REVISION) {
        worth = keep / NODE_COMPACTION_PARTS;
    }
    return at - status.compacted > worth ? at : 0;
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
        struct command command = {
            .type = COMMAND_COMPACT,
            .user = AUTH_SERVER,
            .compact = at,
        };
        node__batch_add(node, command_encode(&command), now_ns);
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

/* ---- this member's name and addresses ------------------------------------ */

static void on_published(struct node_request *request)
{
    struct node *node = CONTAINER_OF(request, struct node, publish);
    tree_result_deinit(&request->tree);
    CHECK(node->publishing);
    node->publishing = false;
    node->publish_due_ms =
        request->err == ERR_OK ? INT64_MAX : node->now_ms + NODE_UPKEEP_MS;
}

/* Nobody knows this member before it is in the log's membership: what it said
 * earlier would be lost with the first change. */
static bool is_known(struct node *node)
{
    struct node_member self;
    arena_reset(&node->arena);
    return node->change_index == 0 ||
           !node_member(node, node->member_id, &node->arena, &self) ||
           (slice_eq(self.name, slice_str(node->name)) &&
            slice_eq(self.client_urls, slice_str(node->client_urls)));
}

void node__publish_self(struct node *node)
{
    if (node->publishing || node->now_ms < node->publish_due_ms ||
        atomic_load_explicit(&node->leader, memory_order_relaxed) == 0) {
        return;
    }
    if (is_known(node)) {
        node->publish_due_ms = INT64_MAX; /* until the next change */
        return;
    }
    struct command command = {
        .type = COMMAND_PUBLISH,
        .publish = {.member = node->member_id,
                    .name = slice_str(node->name),
                    .client_urls = slice_str(node->client_urls)},
    };
    node->publishing = true;
    node->publish = (struct node_request){
        .command = command_encode(&command),
        .on_done = on_published,
    };
    node__put_back(node, &node->publish);
}
