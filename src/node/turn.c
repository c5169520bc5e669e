/* One turn of the writer: all that has come is taken in, then raft's update is
 * seen through. */
#include "base/check.h"
#include "base/list.h"
#include "base/log.h"
#include "node/node_int.h"

/* ---- the queue ---------------------------------------------------------- */

static void count_backlog(struct node *node)
{
    atomic_store_explicit(&node->waiting, node->backlog.count,
                          memory_order_relaxed);
}

/* While what was taken must wait, the queue fills, and its bound holds; save
 * without a leader, when all have their time to wait and no more. */
void node__take_queue(struct node *node)
{
    size_t count = queue_count(&node->queue);
    if (count == 0 || (node->backlog.count > 0 &&
                       (node->is_leader ||
                        node->backlog.count + count > LIMIT_PROPOSALS_MAX))) {
        return;
    }
    struct queue_link *link = queue_take_all(&node->queue);
    while (link != NULL) {
        struct queue_link *next = link->next;
        node__chain_push(&node->backlog, link);
        link = next;
    }
    count_backlog(node);
}

struct node_request *node__take_backlog(struct node *node)
{
    struct queue_link *link = node__chain_pop(&node->backlog);
    CHECK(link != NULL);
    count_backlog(node);
    return CONTAINER_OF(link, struct node_request, link);
}

void node__put_back(struct node *node, struct node_request *request)
{
    CHECK(request->command != NULL);
    node__chain_push_front(&node->backlog, &request->link);
    count_backlog(node);
}

/* ---- time --------------------------------------------------------------- */

/* Who comes this late has slept, and what was said meanwhile may still be on
 * its way through this machine: time stands still for a moment more. */
static bool is_late(struct node *node)
{
    int64_t late_ms = node->now_ms - node->raft_deadline_ms;
    if (node->grace_ms != 0) {
        if (node->now_ms < node->grace_ms) {
            return true;
        }
        node->grace_ms = 0;
        return false;
    }
    if (late_ms <= node->config.election_ms || !node->has_others) {
        return false;
    }
    node->grace_ms = node->now_ms + node->config.heartbeat_ms / 4 + 1;
    return true;
}

static enum err tick(struct node *node)
{
    struct raft_event event = {.type = RAFT_TICK};
    if (node->now_ms < node->raft_deadline_ms) {
        node->grace_ms = 0; /* it has heard something */
        return ERR_OK;
    }
    if (is_late(node)) {
        return ERR_OK;
    }
    return node__step(node, &event);
}

/* ---- what else was asked ------------------------------------------------ */

static void transfer(struct node *node)
{
    struct raft_event event = {.type = RAFT_TRANSFER};
    if (!atomic_load_explicit(&node->transfer_wanted, memory_order_relaxed) ||
        !atomic_exchange(&node->transfer_wanted, false)) {
        return;
    }
    event.member = atomic_load(&node->transfer_to);
    if (!node->is_leader) {
        node__forward_transfer(node, event.member);
    } else if (node__step(node, &event) != ERR_OK) {
        log_warn("node", "leadership can't be handed over",
                 LOG_STR("error", err_note()));
    }
}

static enum err change_members(struct node *node)
{
    node__take_changes(node);
    if (!node->is_leader) {
        return ERR_OK;
    }
    enum err err = node__keep_members(node);
    return err == ERR_OK ? node__propose_changes(node) : err;
}

/* The backend is behind: what waits must wait until it has caught up. */
static bool is_behind(const struct node *node)
{
    uint64_t applied = atomic_load(&node->applied);
    uint64_t flushed = atomic_load(&node->flushed);
    CHECK_LE(flushed, applied);
    return applied - flushed > NODE_UNFLUSHED_MAX ||
           atomic_load(&node->tail_bytes) > LIMIT_TAIL_BYTES_MAX;
}

/* ---- the turn ----------------------------------------------------------- */

static enum err take_in(struct node *node)
{
    node->behind = is_behind(node);
    node__probe_log(node);
    enum err err = node__take_inbox(node);
    if (err == ERR_OK) {
        err = node__take_arrivals(node);
    }
    if (err != ERR_OK) {
        return err;
    }
    node__take_queue(node);
    node__take_reads(node);
    node__publish_self(node);
    transfer(node);
    err = node__propose_waiting(node);
    if (err == ERR_OK) {
        err = node__ask_reads(node);
    }
    if (err == ERR_OK) {
        err = change_members(node);
    }
    if (!node->is_leader) {
        node__hand_over(node);
    }
    return err == ERR_OK ? tick(node) : err;
}

enum err node__turn(struct node *node)
{
    enum err err = node__forget(node);
    if (err == ERR_OK) {
        err = take_in(node);
    }
    if (err == ERR_OK) {
        err = node__ready(node);
    }
    if (err != ERR_OK) {
        return err;
    }
    node__check_invariants(node);
    if (!node->behind) {
        node__compact_slice(node);
    }
    node__sweep(node);
    node__peers_refresh(node);
    (void)node__drop_leavers(node);
    return ERR_OK;
}
