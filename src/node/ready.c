/* What raft's update asks for, in raft's order: messages that need not wait,
 * one frame of the log and one sync, messages that had to wait for it, what is
 * committed; until nothing is left. */
#include "base/check.h"
#include "base/list.h"
#include "base/log.h"
#include "node/node_int.h"

/* ---- what raft is ------------------------------------------------------- */

static void lead(struct node *node, raft_term term)
{
    node->is_leader = true;
    node->change_proposed = 0;
    node->inflight_bytes = 0;
    node->members_dirty = true;
    node->upkeep_due_ms = node->now_ms;
    node__guests_of_term(node, term);
    node__lead_time(node);
}

/* Forwarded changes go with the leadership that they were handed to. */
static void drop_guest_changes(struct node *node)
{
    struct node_chain all = node->changes;
    struct queue_link *link;
    node->changes = (struct node_chain){0};
    while ((link = node__chain_pop(&all)) != NULL) {
        struct node_change *change =
            CONTAINER_OF(link, struct node_change, link);
        change->wait.due_ms = 0;
        if (change->wait.from == 0) {
            node__chain_push(&node->changes, link);
        } else {
            node__answer_change(node, change, ERR_NOT_LEADER);
        }
    }
}

static void follow(struct node *node)
{
    node->is_leader = false;
    node->members_dirty = true;
    node->stats_due_ms = node->now_ms;
    node__refuse_guests(node, ERR_NOT_LEADER);
    drop_guest_changes(node);
}

static void note_leader(struct node *node, const struct raft_status *status)
{
    member_id before =
        atomic_load_explicit(&node->leader, memory_order_relaxed);
    int role = atomic_load_explicit(&node->role, memory_order_relaxed);
    if (before == status->leader && role == (int)status->role) {
        return;
    }
    atomic_store_explicit(&node->leader_since_ns,
                          clock_wall_ns(node->config.ports.clock),
                          memory_order_relaxed);
    if (status->leader != 0 && before != status->leader) {
        node__count(node, NODE_COUNTER(leader_changes), 1);
        log_info("node", "a leader is known", LOG_HEX("leader", status->leader),
                 LOG_UINT("term", status->term));
    }
    node__reads_anew(node);
}

void node__publish_state(struct node *node)
{
    struct raft_status status;
    raft_status(node->raft, &status);
    note_leader(node, &status);
    atomic_store_explicit(&node->leader, status.leader, memory_order_relaxed);
    atomic_store_explicit(&node->term, status.term, memory_order_relaxed);
    atomic_store_explicit(&node->role, (int)status.role, memory_order_relaxed);
    atomic_store_explicit(&node->committed, status.commit,
                          memory_order_relaxed);
    bool leads = status.role == RAFT_LEADER;
    if (node->is_leader && (!leads || status.term != node->led_term)) {
        follow(node);
    }
    if (leads && !node->is_leader) {
        lead(node, status.term);
    }
    node__look_at_members(node);
    bool current =
        leads && node->is_alone && status.applied >= status.term_start;
    if (current !=
        atomic_load_explicit(&node->reads_are_current, memory_order_relaxed)) {
        atomic_store(&node->reads_are_current, current);
    }
}

/* ---- messages ----------------------------------------------------------- */

static void send_message(struct node *node, const struct raft_message *message)
{
    struct buf *out = &node->wire;
    buf_reset(out);
    buf_append_char(out, NODE_ENVELOPE_RAFT);
    raft_message_encode(message, out);
    if (message->type == RAFT_MESSAGE_APPEND) {
        node__count(node, NODE_COUNTER(append_sent), 1);
        node__count(node, NODE_COUNTER(append_sent_bytes), out->size);
        node__peer_appended(node, message);
    }
    node__send(node, message->to, refbuf_dup(out->at, out->size));
}

static void send_messages(struct node *node)
{
    struct raft_message message;
    if (node->config.ports.net == NULL) {
        return;
    }
    while (raft_next_message(node->raft, &message)) {
        send_message(node, &message);
    }
    if (node->sent) {
        node->sent = false;
        net_flush(node->config.ports.net);
    }
}

/* What an update says that isn't in the order of things. */
static void take_news(struct node *node)
{
    struct raft_update *update = &node->update;
    CHECK(!update->install);
    update->role_changed = false;
    node__confirm_reads(node, update);
    update->read_count = 0;
    for (size_t i = 0; i < update->snapshot_to_count; i++) {
        if (node->config.ports.net != NULL) {
            net_snapshot(node->config.ports.net, update->snapshot_to[i]);
        }
    }
    update->snapshot_to_count = 0;
}

/* ---- the log ------------------------------------------------------------ */

/* What an update asks for, of which there is little to copy. */
struct work {
    bool hard_state_changed;
    struct raft_hard_state hard_state;
    raft_index persist_from;
    raft_index persist_to;
    raft_index apply_from;
    raft_index apply_to;
};

static void take_work(struct raft_update *update, struct work *out)
{
    *out = (struct work){
        .hard_state_changed = update->hard_state_changed,
        .hard_state = update->hard_state,
        .persist_from = update->persist_from,
        .persist_to = update->persist_to,
        .apply_from = update->apply_from,
        .apply_to = update->apply_to,
    };
    CHECK_LE(out->persist_from, out->persist_to);
    CHECK_LE(out->apply_from, out->apply_to);
    raft_update_init(update);
}

/* What is gathered leaves as a frame, with the hard state in the first. */
struct frame {
    const struct raft_hard_state *hard; /* NULL: none, or written */
    size_t count;
    uint64_t bytes;
};

static enum err write_frame(struct node *node, struct frame *frame)
{
    CHECK(frame->count > 0 || frame->hard != NULL);
    enum err err =
        wal_append(node->wal, frame->hard, node->batch->pointers, frame->count);
    node__count(node, NODE_COUNTER(wal_bytes), frame->bytes);
    *frame = (struct frame){0};
    return err;
}

/* One frame, save where there is more than one holds. */
static enum err write_log(struct node *node, const struct work *update)
{
    struct frame frame = {
        .hard = update->hard_state_changed ? &update->hard_state : NULL};
    raft_index from = update->persist_from;
    enum err err = ERR_OK;
    for (raft_index i = from; i != 0 && i <= update->persist_to; i++) {
        const struct raft_entry *entry = raft_entry_at(node->raft, i);
        CHECK(entry != NULL);
        CHECK_EQ(entry->index, i);
        uint64_t bytes = entry->data == NULL ? 0 : entry->data->size;
        if (frame.count == LIMIT_BATCH_ENTRIES_MAX ||
            (frame.count > 0 &&
             frame.bytes + bytes > LIMIT_WAL_FRAME_BYTES_MAX / 2)) {
            err = write_frame(node, &frame);
            if (err != ERR_OK) {
                return err;
            }
        }
        node->batch->pointers[frame.count++] = entry;
        frame.bytes += bytes;
        if (entry->time_ns > node->time_ns) {
            node->time_ns = entry->time_ns;
        }
    }
    return write_frame(node, &frame);
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

static enum err persist(struct node *node, const struct work *update)
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
    if (!node->is_leader) {
        node__keep_time(node);
    }
    struct raft_event event = {
        .type = RAFT_PERSISTED,
        .index = update->persist_to,
        .term = update->hard_state.term,
    };
    return node__step(node, &event);
}

/* ---- the turn's inner loop ---------------------------------------------- */

static enum err apply(struct node *node, const struct work *update)
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
    return node__step(node, &event);
}

static bool has_work(const struct raft_update *update)
{
    return update->hard_state_changed || update->persist_from != 0 ||
           update->apply_from != 0;
}

enum err node__ready(struct node *node)
{
    enum err err = ERR_OK;
    if (node->update.role_changed || node->members_dirty) {
        node__publish_state(node);
    }
    take_news(node);
    send_messages(node);
    while (err == ERR_OK && has_work(&node->update)) {
        struct work work;
        take_work(&node->update, &work);
        err = persist(node, &work);
        if (err == ERR_OK) {
            send_messages(node);
            err = apply(node, &work);
        }
        node__publish_state(node);
        take_news(node);
        send_messages(node);
    }
    node->frame_bytes = 0; /* what wasn't written was not wanted */
    node__serve_reads(node);
    return err;
}
