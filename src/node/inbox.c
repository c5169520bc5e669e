/* What comes from the other members, and what is told of the connections to
 * them. All that waits is taken in before time goes on in raft: who slept for
 * a while hears what was said meanwhile before it stands for election. */
#include "base/check.h"
#include "base/list.h"
#include "node/node_int.h"

/* ---- from any thread ----------------------------------------------------- */

static void free_item(struct node *node, struct node_inbox_item *item)
{
    if (item->message != NULL) {
        atomic_fetch_sub(&node->inbox_bytes, item->message->size);
        refbuf_unref(item->message);
    }
    mem_free(item);
}

static bool push(struct node *node, const struct node_inbox_item *what)
{
    bool was_empty = false;
    struct node_inbox_item *item = mem_dup(what, sizeof(*what));
    if (item->message != NULL) {
        atomic_fetch_add(&node->inbox_bytes, item->message->size);
    }
    if (!queue_push(&node->inbox, &item->link, &was_empty)) {
        free_item(node, item);
        node__count(node, NODE_COUNTER(messages_dropped), 1);
        return false;
    }
    if (was_empty) {
        node->config.on_submitted(node->config.context);
    }
    return true;
}

void node_receive(struct node *node, member_id from, struct refbuf *message)
{
    CHECK(from != 0);
    CHECK(message != NULL);
    node__count(node, NODE_COUNTER(messages_received), 1);
    if (queue_count(&node->inbox) >= NODE_INBOX_MAX ||
        atomic_load(&node->inbox_bytes) >= NODE_INBOX_BYTES_MAX) {
        node__count(node, NODE_COUNTER(messages_dropped), 1);
        refbuf_unref(message);
        return;
    }
    (void)push(node, &(struct node_inbox_item){
                         .kind = NODE_INBOX_MESSAGE,
                         .from = from,
                         .message = message,
                     });
}

static bool push_event(struct node *node, enum raft_event_type event,
                       member_id from, raft_index index, bool failed)
{
    CHECK(from != 0);
    return push(node, &(struct node_inbox_item){
                          .kind = NODE_INBOX_EVENT,
                          .event = event,
                          .from = from,
                          .index = index,
                          .failed = failed,
                      });
}

void node_peer_lost(struct node *node, member_id member)
{
    (void)push_event(node, RAFT_PEER_LOST, member, 0, false);
}

void node_unreachable(struct node *node, member_id member)
{
    (void)push_event(node, RAFT_UNREACHABLE, member, 0, false);
}

void node_snapshot_sent(struct node *node, member_id to, raft_index index,
                        bool failed)
{
    /* Until raft knows that it follows by the log again, the log behind the
     * snapshot is held. */
    if (!push_event(node, RAFT_SNAPSHOT_SENT, to, index, failed)) {
        node__release_hold(node, index);
    }
}

/* ---- by the writer ------------------------------------------------------- */

static void drop(struct node *node)
{
    node__count(node, NODE_COUNTER(messages_dropped), 1);
}

/* An append must find room on the disk, and a backend that keeps up: else it
 * is as if it had been lost, and comes again. */
static bool is_welcome(struct node *node, const struct raft_message *message,
                       enum err *err)
{
    *err = ERR_OK;
    if (message->type != RAFT_MESSAGE_APPEND || message->count == 0) {
        return true;
    }
    if (node->behind) {
        return false;
    }
    uint64_t bytes = wal_frame_bytes(message->entries, message->count);
    *err = node__reserve(node, node->frame_bytes + bytes);
    if (*err == ERR_DISK_FULL) {
        *err = ERR_OK;
        return false;
    }
    CHECK(bytes > 0);
    node->frame_bytes += bytes;
    return *err == ERR_OK;
}

static void note_message(struct node *node, const struct raft_message *message,
                         size_t bytes)
{
    if (message->type == RAFT_MESSAGE_APPEND) {
        node__count(node, NODE_COUNTER(append_received), 1);
        node__count(node, NODE_COUNTER(append_received_bytes), bytes);
    } else if (message->type == RAFT_MESSAGE_APPEND_ANSWER) {
        node__peer_answered(node, message);
    }
    for (size_t i = 0; i < message->count; i++) {
        node->members_dirty |= message->entries[i].type == RAFT_ENTRY_CHANGE;
    }
}

static enum err take_raft_message(struct node *node, member_id from,
                                  struct slice bytes)
{
    struct raft_message message;
    if (node->entries == NULL) {
        node->entries = mem_alloc(node->entries_max * sizeof(*node->entries));
    }
    if (raft_message_decode(bytes, node->entries, node->entries_max,
                            &message) != ERR_OK) {
        drop(node);
        return ERR_OK;
    }
    enum err err = ERR_OK;
    if (message.from != from || message.to != node->member_id ||
        !is_welcome(node, &message, &err)) {
        drop(node);
    } else {
        struct raft_event event = {.type = RAFT_RECEIVE, .message = &message};
        note_message(node, &message, bytes.size);
        if (node__step(node, &event) != ERR_OK) {
            drop(node);
        }
    }
    raft_message_release(&message);
    return err;
}

static enum err take_message(struct node *node,
                             const struct node_inbox_item *item)
{
    struct slice bytes = slice_of(item->message->bytes, item->message->size);
    if (bytes.size == 0) {
        drop(node);
        return ERR_OK;
    }
    struct slice payload = slice_of(bytes.at + 1, bytes.size - 1);
    switch (bytes.at[0]) {
    case NODE_ENVELOPE_RAFT:
        return take_raft_message(node, item->from, payload);
    case NODE_ENVELOPE_FORWARD:
        node__take_forward(node, item->from, payload);
        return ERR_OK;
    case NODE_ENVELOPE_ANSWER:
        node__take_answer(node, payload);
        return ERR_OK;
    default:
        drop(node); /* a newer version's */
        return ERR_OK;
    }
}

static enum err take_event(struct node *node,
                           const struct node_inbox_item *item)
{
    struct raft_event event = {
        .type = item->event,
        .member = item->from,
        .index = item->index,
        .failed = item->failed,
    };
    if (item->event == RAFT_UNREACHABLE) {
        node__peer_failed(node, item->from);
    }
    if (node__step(node, &event) != ERR_OK) {
        drop(node);
    }
    if (item->event == RAFT_SNAPSHOT_SENT) {
        node__release_hold(node, item->index);
    }
    return ERR_OK;
}

static enum err take_item(struct node *node, const struct node_inbox_item *item)
{
    if (item->from == node->member_id) {
        drop(node);
        return ERR_OK;
    }
    return item->kind == NODE_INBOX_MESSAGE ? take_message(node, item)
                                            : take_event(node, item);
}

enum err node__take_inbox(struct node *node)
{
    enum err err = ERR_OK;
    if (node->inbox_rest == NULL) {
        if (queue_count(&node->inbox) == 0) {
            return ERR_OK;
        }
        node->inbox_rest = queue_take_all(&node->inbox);
    }
    while (node->inbox_rest != NULL && err == ERR_OK) {
        struct node_inbox_item *item =
            CONTAINER_OF(node->inbox_rest, struct node_inbox_item, link);
        node->inbox_rest = item->link.next;
        err = take_item(node, item);
        free_item(node, item);
        if (err == ERR_OK && node->frame_bytes >= LIMIT_BATCH_BYTES_MAX) {
            err = node__ready(node);
        }
    }
    node__publish_state(node);
    return err;
}

static void free_chain(struct node *node, struct queue_link *link)
{
    while (link != NULL) {
        struct queue_link *next = link->next;
        free_item(node, CONTAINER_OF(link, struct node_inbox_item, link));
        link = next;
    }
}

void node__inbox_free(struct node *node)
{
    free_chain(node, node->inbox_rest);
    free_chain(node, queue_take_all(&node->inbox));
    node->inbox_rest = NULL;
    CHECK_EQ(atomic_load(&node->inbox_bytes), 0);
}
