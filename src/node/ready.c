/* The ready loop: proposals in, durable, committed, applied, answered. */
#include "base/check.h"
#include "node/node_int.h"

void node__answer(struct node *node, struct node_request *request, enum err err)
{
    struct raft_status status;
    if (request == NULL) {
        return;
    }
    CHECK(request->command == NULL);
    raft_status(node->raft, &status);
    request->err = err;
    request->term = status.term;
    if (err != ERR_OK) {
        tree_result_deinit(&request->tree);
        request->index = status.applied;
        node__count(node, NODE_COUNTER(proposals_failed), 1);
    }
    node->answered++;
    request->on_done(request);
}

static void publish_state(struct node *node)
{
    struct raft_status status;
    raft_status(node->raft, &status);
    atomic_store_explicit(&node->leader, status.leader, memory_order_relaxed);
    atomic_store_explicit(&node->term, status.term, memory_order_relaxed);
    atomic_store_explicit(&node->role, (int)status.role, memory_order_relaxed);
    atomic_store_explicit(&node->committed, status.commit,
                          memory_order_relaxed);
}

static void note_role(struct node *node)
{
    struct clock *clock = node->config.ports.clock;
    if (!node->update.role_changed) {
        return;
    }
    atomic_store_explicit(&node->leader_since_ns, clock_wall_ns(clock),
                          memory_order_relaxed);
    if (node->update.leader != 0) {
        node__count(node, NODE_COUNTER(leader_changes), 1);
    }
}

/* The entries that raft gave out, and the hard state, as one frame. */
static enum err write_log(struct node *node, const struct raft_update *update)
{
    size_t count = 0;
    uint64_t bytes = 0;
    if (update->persist_from != 0) {
        for (raft_index i = update->persist_from; i <= update->persist_to;
             i++) {
            const struct raft_entry *entry = raft_entry_at(node->raft, i);
            CHECK(entry != NULL);
            CHECK_EQ(entry->index, i);
            CHECK_LT(count, LIMIT_BATCH_ENTRIES_MAX);
            node->batch->pointers[count++] = entry;
            bytes += entry->data == NULL ? 0 : entry->data->size;
        }
    }
    enum err err = wal_append(
        node->wal, update->hard_state_changed ? &update->hard_state : NULL,
        node->batch->pointers, count);
    node__count(node, NODE_COUNTER(wal_bytes), bytes);
    return err;
}

static enum err sync_log(struct node *node)
{
    struct clock *clock = node->config.ports.clock;
    int64_t start_ns = clock_monotonic_ns(clock);
    enum err err = wal_sync(node->wal);
    int64_t took_ns = clock_monotonic_ns(clock) - start_ns;
    node__count(node, NODE_COUNTER(wal_syncs), 1);
    node__count(node, NODE_COUNTER(wal_sync_ns), (uint64_t)took_ns);
    return err;
}

static enum err persist(struct node *node, const struct raft_update *update)
{
    enum err err;
    if (!update->hard_state_changed && update->persist_from == 0) {
        return ERR_OK;
    }
    err = write_log(node, update);
    if (err == ERR_OK) {
        err = sync_log(node);
    }
    if (err != ERR_OK) {
        return err_wrap(err, "write the log");
    }
    struct raft_event event = {
        .type = RAFT_PERSISTED,
        .index = update->persist_to,
        .term = update->hard_state.term,
    };
    return raft_step(node->raft, &event, &node->update);
}

static enum err apply(struct node *node, const struct raft_update *update)
{
    if (update->apply_from == 0) {
        return ERR_OK;
    }
    enum err err = node__apply(node, update->apply_from, update->apply_to);
    if (err != ERR_OK) {
        return err_wrap(err, "apply entries %llu to %llu",
                        (unsigned long long)update->apply_from,
                        (unsigned long long)update->apply_to);
    }
    struct raft_event event = {.type = RAFT_APPLIED, .index = update->apply_to};
    return raft_step(node->raft, &event, &node->update);
}

static bool has_work(const struct raft_update *update)
{
    return update->hard_state_changed || update->persist_from != 0 ||
           update->apply_from != 0;
}

enum err node__ready(struct node *node)
{
    enum err err = ERR_OK;
    while (err == ERR_OK && has_work(&node->update)) {
        struct raft_update update = node->update;
        CHECK_LE(update.persist_from, update.persist_to);
        CHECK_LE(update.apply_from, update.apply_to);
        note_role(node);
        raft_update_init(&node->update);
        err = persist(node, &update);
        publish_state(node);
        if (err == ERR_OK) {
            err = apply(node, &update);
        }
    }
    note_role(node);
    node->update.role_changed = false;
    return err;
}

void node__batch_add(struct node *node, struct node_request *request,
                     struct refbuf *command, int64_t now_ns)
{
    struct node_batch *batch = node->batch;
    CHECK_LT(batch->count, LIMIT_BATCH_ENTRIES_MAX);
    CHECK(command != NULL);
    if (now_ns > node->time_ns) {
        node->time_ns = now_ns;
    }
    CHECK(request == NULL || request->command == NULL);
    batch->requests[batch->count] = request;
    batch->entries[batch->count] = (struct raft_entry){
        .type = RAFT_ENTRY_COMMAND,
        .time_ns = node->time_ns,
        .data = command,
    };
    batch->count++;
    batch->bytes += command->size;
}

/* What could not be proposed is answered; its command is let go. */
static void refuse_batch(struct node *node, enum err err)
{
    struct node_batch *batch = node->batch;
    for (size_t i = 0; i < batch->count; i++) {
        refbuf_unref(batch->entries[i].data);
        node__answer(node, batch->requests[i], err);
    }
    batch->count = batch->bytes = 0;
}

/* Room on disk is asked for before anything is proposed, so that a full disk
 * is an answer and not a log that can't be written. */
static enum err reserve(struct node *node)
{
    struct node_batch *batch = node->batch;
    uint64_t bytes = wal_frame_bytes(batch->entries, batch->count);
    enum err err = wal_reserve(node->wal, bytes);
    if (err == ERR_DISK_FULL) {
        int64_t now_ns = clock_monotonic_ns(node->config.ports.clock);
        node->room_due_ms = now_ns / 1000000 + NODE_ROOM_RETRY_MS;
        node__set_alarm(&node->log_full, true, "no room for the log");
    }
    return err;
}

void node__probe_log(struct node *node)
{
    uint64_t bytes = node->config.wal_segment_bytes / 2;
    if (bytes > NODE_PROBE_BYTES) {
        bytes = NODE_PROBE_BYTES;
    }
    if (atomic_load_explicit(&node->log_full, memory_order_relaxed) &&
        wal_reserve(node->wal, bytes) == ERR_OK) {
        node__set_alarm(&node->log_full, false, "no room for the log");
    }
}

enum err node__run_batch(struct node *node)
{
    struct node_batch *batch = node->batch;
    struct raft_status status;
    if (batch->count == 0) {
        return ERR_OK;
    }
    CHECK_LE(batch->count, LIMIT_BATCH_ENTRIES_MAX);
    enum err err = reserve(node);
    if (err != ERR_OK) {
        refuse_batch(node, err);
        return err == ERR_DISK_FULL ? ERR_OK : err;
    }
    raft_status(node->raft, &status);
    struct raft_event event = {
        .type = RAFT_PROPOSE,
        .entries = batch->entries,
        .count = batch->count,
    };
    /* All of the last batch was seen through: nothing is on its way. */
    CHECK_EQ(status.last, status.persisted);
    CHECK_EQ(status.last, status.applied);
    batch->first = status.last + 1;
    err = raft_step(node->raft, &event, &node->update);
    if (err != ERR_OK) {
        refuse_batch(node, err);
        return ERR_OK;
    }
    err = node__ready(node);
    node__count(node, NODE_COUNTER(batches), 1);
    if (err != ERR_OK) {
        /* Not acknowledged; whether they are in the log the restart tells. */
        for (size_t i = 0; i < batch->count; i++) {
            node__answer(node, batch->requests[i], ERR_STOPPED);
        }
    }
    batch->count = batch->bytes = 0;
    return err;
}
