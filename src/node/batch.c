/* What waits becomes a batch: this member's writes and those that others have
 * forwarded, in turn, behind what the leader has to do by itself. */
#include "base/check.h"
#include "base/list.h"
#include "node/node_int.h"

/* ---- room ---------------------------------------------------------------- */

/* Room on disk is asked for before anything is proposed, so that a full disk
 * is an answer and not a log that can't be written. */
enum err node__reserve(struct node *node, uint64_t bytes)
{
    enum err err = wal_reserve(node->wal, bytes);
    if (err == ERR_DISK_FULL) {
        node->room_due_ms = node->now_ms + NODE_ROOM_RETRY_MS;
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
    if (!atomic_load_explicit(&node->log_full, memory_order_relaxed)) {
        return;
    }
    if (wal_reserve(node->wal, bytes) == ERR_OK) {
        node__set_alarm(&node->log_full, false, "no room for the log");
    } else if (!node->is_leader && node->now_ms >= node->room_due_ms) {
        node->room_due_ms = node->now_ms + NODE_ROOM_RETRY_MS;
    }
}

/* ---- filling ------------------------------------------------------------- */

static void add(struct node *node, struct node_wait *wait,
                struct node_guest *guest, struct refbuf *command,
                int64_t now_ns)
{
    struct node_batch *batch = node->batch;
    CHECK_LT(batch->count, LIMIT_BATCH_ENTRIES_MAX);
    CHECK(command != NULL);
    if (now_ns > node->time_ns) {
        node->time_ns = now_ns;
    }
    batch->waits[batch->count] = wait;
    batch->guests[batch->count] = guest;
    batch->entries[batch->count] = (struct raft_entry){
        .type = RAFT_ENTRY_COMMAND,
        .time_ns = node->time_ns,
        .data = command,
    };
    batch->count++;
    batch->bytes += command->size;
}

void node__batch_add(struct node *node, struct refbuf *command, int64_t now_ns)
{
    add(node, NULL, NULL, command, now_ns);
}

static void add_own(struct node *node, int64_t now_ns)
{
    struct node_request *request = node__take_backlog(node);
    struct refbuf *command = request->command;
    if (node__is_refused(node, command)) {
        node__answer(node, request, ERR_NO_SPACE);
        return;
    }
    request->command = NULL;
    add(node, &request->wait, NULL, command, now_ns);
}

static void add_guest(struct node *node, int64_t now_ns)
{
    struct queue_link *link = node__chain_pop(&node->guests);
    struct node_guest *guest = CONTAINER_OF(link, struct node_guest, link);
    struct refbuf *command = guest->command;
    CHECK_EQ(guest->origin.term, node->led_term);
    if (node__is_refused(node, command)) {
        node__refuse_guest(node, guest, ERR_NO_SPACE);
        return;
    }
    guest->command = NULL;
    add(node, NULL, guest, command, now_ns);
}

static bool has_room(const struct node *node, size_t most)
{
    return node->batch->count < most &&
           node->batch->bytes < LIMIT_BATCH_BYTES_MAX;
}

static void fill(struct node *node, size_t most)
{
    int64_t now_ns = node__now_ns(node);
    CHECK_EQ(node->batch->count, 0);
    CHECK_EQ(node->batch->bytes, 0);
    node__propose_expiry(node, now_ns, node->now_ms);
    node__propose_compaction(node, now_ns, node->now_ms);
    while (has_room(node, most) &&
           node->backlog.count + node->guests.count > 0) {
        if (node->backlog.count > 0) {
            add_own(node, now_ns);
        }
        if (node->guests.count > 0 && has_room(node, most)) {
            add_guest(node, now_ns);
        }
    }
}

/* ---- proposing ----------------------------------------------------------- */

static void clear(struct node_batch *batch)
{
    batch->count = 0;
    batch->bytes = 0;
}

/* What could not be proposed is answered; its command is let go. */
static void refuse_batch(struct node *node, enum err err)
{
    struct node_batch *batch = node->batch;
    for (size_t i = 0; i < batch->count; i++) {
        refbuf_unref(batch->entries[i].data);
        if (batch->waits[i] != NULL) {
            node__answer_wait(node, batch->waits[i], err);
        }
        if (batch->guests[i] != NULL) {
            node__refuse_guest(node, batch->guests[i], err);
        }
    }
    clear(batch);
}

/* Raft takes nothing now: they wait on, in their order. The node's own
 * commands are made anew. */
static void put_batch_back(struct node *node)
{
    struct node_batch *batch = node->batch;
    for (size_t i = batch->count; i-- > 0;) {
        struct refbuf *command = batch->entries[i].data;
        if (batch->waits[i] != NULL) {
            struct node_request *request = node__request_of(batch->waits[i]);
            request->command = command;
            node__put_back(node, request);
        } else if (batch->guests[i] != NULL) {
            batch->guests[i]->command = command;
            node__chain_push_front(&node->guests, &batch->guests[i]->link);
        } else {
            refbuf_unref(command);
        }
    }
    clear(batch);
    node->stuck = true;
}

static void note_proposed(struct node *node)
{
    struct node_batch *batch = node->batch;
    CHECK(batch->count > 0);
    CHECK(node->is_leader);
    CHECK_EQ(batch->entries[0].term, node->led_term);
    for (size_t i = 0; i < batch->count; i++) {
        CHECK_EQ(batch->entries[i].index, batch->entries[0].index + i);
        if (batch->waits[i] != NULL) {
            node__ring_put(node, &batch->entries[i], batch->waits[i]);
        }
        mem_free(batch->guests[i]);
    }
    node->inflight_bytes += batch->bytes;
    clear(batch);
    node__count(node, NODE_COUNTER(batches), 1);
}

static enum err propose(struct node *node)
{
    struct node_batch *batch = node->batch;
    if (batch->count == 0) {
        return ERR_OK;
    }
    uint64_t bytes =
        node->frame_bytes + wal_frame_bytes(batch->entries, batch->count);
    enum err err = node__reserve(node, bytes);
    if (err != ERR_OK) {
        refuse_batch(node, err);
        return err == ERR_DISK_FULL ? ERR_OK : err;
    }
    struct raft_event event = {
        .type = RAFT_PROPOSE,
        .entries = batch->entries,
        .count = batch->count,
    };
    if (node__step(node, &event) != ERR_OK) {
        put_batch_back(node);
        return ERR_OK;
    }
    node->frame_bytes = bytes;
    note_proposed(node);
    return ERR_OK;
}

/* How many may be on their way beside those that are. */
static size_t room_in_flight(const struct node *node)
{
    struct raft_status status;
    raft_status(node->raft, &status);
    CHECK_LE(status.applied, status.last);
    if (node->inflight_bytes >= NODE_INFLIGHT_BYTES_MAX) {
        return 0;
    }
    uint64_t in_flight = status.last - status.applied;
    uint64_t room =
        in_flight < NODE_INFLIGHT_MAX ? NODE_INFLIGHT_MAX - in_flight : 0;
    return room < LIMIT_BATCH_ENTRIES_MAX ? (size_t)room
                                          : LIMIT_BATCH_ENTRIES_MAX;
}

enum err node__propose_waiting(struct node *node)
{
    node->stuck = true;
    if (!node->is_leader || node->behind) {
        return ERR_OK;
    }
    size_t room = room_in_flight(node);
    CHECK_LE(room, LIMIT_BATCH_ENTRIES_MAX);
    /* Two places are for what the leader has to do by itself. */
    if (room <= 2) {
        return ERR_OK;
    }
    node->stuck = false;
    fill(node, room);
    return propose(node);
}

enum err node__propose_change(struct node *node, struct refbuf *data,
                              struct node_wait *wait)
{
    int64_t now_ns = node__now_ns(node);
    if (room_in_flight(node) == 0) {
        return err_set(ERR_BUSY, "too much is on its way");
    }
    if (now_ns > node->time_ns) {
        node->time_ns = now_ns;
    }
    struct raft_entry entry = {
        .type = RAFT_ENTRY_CHANGE,
        .time_ns = node->time_ns,
        .data = data,
    };
    struct raft_event event = {
        .type = RAFT_PROPOSE, .entries = &entry, .count = 1};
    enum err err =
        node__reserve(node, node->frame_bytes + wal_frame_bytes(&entry, 1));
    if (err == ERR_OK) {
        err = node__step(node, &event);
    }
    if (err != ERR_OK) {
        return err;
    }
    CHECK(node->change_proposed < entry.index);
    CHECK_EQ(entry.term, node->led_term);
    node->inflight_bytes += data->size;
    node->members_dirty = true;
    node->change_proposed = entry.index;
    if (wait != NULL) {
        node__ring_put(node, &entry, wait);
    }
    return ERR_OK;
}
