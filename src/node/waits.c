/* Who waits for an answer, where they are found again, and what they are told.
 *
 * The ring holds what was proposed here and isn't applied yet, each at the
 * last bits of its entry's index: of those there are at most as many as the
 * ring has places. An entry that was cut off the log again leaves its wait
 * behind; it is told when another entry takes the index, when an entry of a
 * later term is applied, or when it has waited long enough. */
#include "base/check.h"
#include "base/list.h"
#include "base/plant.h"
#include "node/node_int.h"

/* ---- chains -------------------------------------------------------------- */

void node__chain_push(struct node_chain *chain, struct queue_link *link)
{
    CHECK_EQ(chain->first == NULL, chain->count == 0);
    link->next = NULL;
    if (chain->first == NULL) {
        chain->first = link;
    } else {
        chain->last->next = link;
    }
    chain->last = link;
    chain->count++;
}

void node__chain_push_front(struct node_chain *chain, struct queue_link *link)
{
    CHECK_EQ(chain->first == NULL, chain->count == 0);
    link->next = chain->first;
    if (chain->first == NULL) {
        chain->last = link;
    }
    chain->first = link;
    chain->count++;
}

struct queue_link *node__chain_pop(struct node_chain *chain)
{
    struct queue_link *link = chain->first;
    CHECK_EQ(chain->first == NULL, chain->count == 0);
    if (link != NULL) {
        chain->first = link->next;
        chain->count--;
        link->next = NULL;
    }
    return link;
}

/* ---- answers ------------------------------------------------------------- */

struct node_request *node__request_of(struct node_wait *wait)
{
    CHECK(!wait->is_change);
    return CONTAINER_OF(wait, struct node_request, wait);
}

struct node_change *node__change_of(struct node_wait *wait)
{
    CHECK(wait->is_change);
    return CONTAINER_OF(wait, struct node_change, wait);
}

struct refbuf *node__command_of(struct node_wait *wait)
{
    struct refbuf *command = wait->is_change ? node__change_of(wait)->command
                                             : node__request_of(wait)->command;
    CHECK(command != NULL);
    return command;
}

void node__answer(struct node *node, struct node_request *request, enum err err)
{
    CHECK(request->on_done != NULL);
    refbuf_unref(request->command);
    request->command = NULL;
    request->err = err;
    request->term = atomic_load_explicit(&node->term, memory_order_relaxed);
    if (err != ERR_OK) {
        tree_result_deinit(&request->tree);
        txn_answer_deinit(&request->answer);
        request->index =
            atomic_load_explicit(&node->applied, memory_order_relaxed);
        node__count(node, NODE_COUNTER(proposals_failed), 1);
    }
    node->answered++;
    request->on_done(request);
}

void node__answer_wait(struct node *node, struct node_wait *wait, enum err err)
{
    if (wait->is_change) {
        node__answer_change(node, node__change_of(wait), err);
    } else {
        node__answer(node, node__request_of(wait), err);
    }
}

/* ---- the ring ------------------------------------------------------------ */

static struct node_slot *slot_of(struct node *node, raft_index index)
{
    return &node->ring[index & (NODE_INFLIGHT_MAX - 1)];
}

static struct node_wait *empty_slot(struct node *node, struct node_slot *slot)
{
    struct node_wait *wait = slot->wait;
    CHECK(wait != NULL);
    CHECK(node->ring_count > 0);
    slot->wait = NULL;
    node->ring_count--;
    return wait;
}

void node__ring_put(struct node *node, const struct raft_entry *entry,
                    struct node_wait *wait)
{
    struct node_slot *slot = slot_of(node, entry->index);
    CHECK(entry->index > 0 && entry->term > 0);
    if (slot->wait != NULL) {
        /* Its entry was cut off: this one has its place, or the ring's. */
        CHECK_LT(slot->term, entry->term);
        node__answer_wait(node, empty_slot(node, slot), ERR_TIMEOUT);
    }
    CHECK(!wait->is_handed_over);
    wait->term = entry->term;
    wait->due_ms = node->now_ms + node->config.request_timeout_ms;
    slot->wait = wait;
    slot->index = entry->index;
    slot->term = entry->term;
    node->ring_count++;
}

struct node_wait *node__ring_take(struct node *node,
                                  const struct raft_entry *entry, enum err *err)
{
    struct node_slot *slot = slot_of(node, entry->index);
    *err = ERR_OK;
    if (slot->wait == NULL || slot->index != entry->index) {
        return NULL;
    }
    if (slot->term != entry->term) {
        *err = ERR_TIMEOUT;
    }
    return empty_slot(node, slot);
}

void node__ring_end(struct node *node, raft_term before, enum err err)
{
    if (node->ring_count == 0) {
        return;
    }
    for (size_t i = 0; i < NODE_INFLIGHT_MAX; i++) {
        struct node_slot *slot = &node->ring[i];
        if (slot->wait != NULL && (before == 0 || slot->term < before)) {
            node__answer_wait(node, empty_slot(node, slot), err);
        }
    }
    CHECK(before != 0 || node->ring_count == 0);
}

void node__ring_sweep(struct node *node)
{
    if (node->ring_count == 0) {
        return;
    }
    for (size_t i = 0; i < NODE_INFLIGHT_MAX; i++) {
        struct node_slot *slot = &node->ring[i];
        if (slot->wait != NULL && node->now_ms >= slot->wait->due_ms) {
            node__answer_wait(node, empty_slot(node, slot), ERR_TIMEOUT);
        }
    }
}

/* ---- all of them --------------------------------------------------------- */

void node__fail_all(struct node *node, enum err err)
{
    for (size_t i = 0; i < node->decided_count; i++) {
        node__answer_wait(node, node->decided[i].wait, err);
    }
    node->decided_count = 0;
    node__ring_end(node, 0, err);
    node__fail_handed(node, err);
}

/* Those that nobody has taken in: nothing was done of them. */
static void sweep_backlog(struct node *node)
{
    bool is_led = atomic_load_explicit(&node->leader, memory_order_relaxed) &&
                  node->refused_term !=
                      atomic_load_explicit(&node->term, memory_order_relaxed);
    struct node_chain chain = node->backlog;
    struct queue_link *link;
    if (is_led) {
        for (link = chain.first; link != NULL; link = link->next) {
            CONTAINER_OF(link, struct node_request, link)->wait.due_ms = 0;
        }
        return;
    }
    node->backlog = (struct node_chain){0};
    while ((link = node__chain_pop(&chain)) != NULL) {
        struct node_request *request =
            CONTAINER_OF(link, struct node_request, link);
        if (request->wait.due_ms == 0) {
            request->wait.due_ms = node->now_ms + node->config.election_ms;
        }
        if (node->now_ms < request->wait.due_ms) {
            node__chain_push(&node->backlog, link);
        } else {
            node__answer(node, request, ERR_NO_LEADER);
        }
    }
    atomic_store_explicit(&node->waiting, node->backlog.count,
                          memory_order_relaxed);
}

/* ---- what must hold ------------------------------------------------------ */

static void check_chain(const struct node_chain *chain)
{
    CHECK_EQ(chain->first == NULL, chain->count == 0);
    CHECK(chain->first == NULL || chain->last->next == NULL);
    CHECK(chain->count != 1 || chain->first == chain->last);
}

static void check_waits(const struct node *node)
{
    check_chain(&node->backlog);
    check_chain(&node->guests);
    check_chain(&node->asking);
    check_chain(&node->confirmed);
    check_chain(&node->changes);
    check_chain(&node->arrived);
    CHECK_LE(node->ring_count, NODE_INFLIGHT_MAX);
    CHECK_LE(node->handed.count, LIMIT_PROPOSALS_MAX);
    CHECK_LE(node->guests.count, NODE_GUESTS_MAX);
    CHECK_EQ(node->decided_count, 0);
    CHECK_EQ(node->commit_count, 0);
    CHECK_EQ(node->batch->count, 0);
    CHECK_EQ(node->batch->bytes, 0);
    CHECK(node->guests.count == 0 || node->is_leader);
    CHECK_LE(node->boot, node->last_number);
    CHECK(node->inbox_rest == NULL);
}

void node__check_invariants(const struct node *node)
{
    struct raft_status status;
    raft_status(node->raft, &status);
    check_waits(node);
    CHECK_EQ(status.applied, atomic_load(&node->applied));
    CHECK_LE(atomic_load(&node->flushed), status.applied);
    CHECK_LE(status.applied, status.commit);
    CHECK_EQ(status.commit, atomic_load(&node->committed));
    CHECK_EQ(status.term, atomic_load(&node->term));
    CHECK_EQ(status.leader, atomic_load(&node->leader));
    CHECK_EQ(node->is_leader, status.role == RAFT_LEADER);
    CHECK_LE(node->led_term, status.term);
    CHECK(!node->is_leader || node->led_term == status.term);
    CHECK_LE(node->applied_term, status.term);
    CHECK(node->change_index <= status.applied || PLANTED(APPLIED_BEHIND));
    CHECK_LE(node->trimmed, atomic_load(&node->flushed));
    CHECK(!node->members_dirty);
    CHECK(!node->sent);
    CHECK_EQ(node->frame_bytes, 0);
    CHECK(!node->update.install);
    CHECK_EQ(node->update.persist_from, 0);
    CHECK_EQ(node->update.apply_from, 0);
}

/* ---- waiting too long ---------------------------------------------------- */

static int64_t sweep_period_ms(const struct node *node)
{
    int64_t period_ms = node->config.election_ms / 20;
    if (period_ms > node->config.heartbeat_ms) {
        period_ms = node->config.heartbeat_ms;
    }
    return period_ms > 0 ? period_ms : 1;
}

bool node__is_waited_for(const struct node *node)
{
    if (node->is_leader && node->is_alone) {
        return node->changes.count > 0;
    }
    return node->backlog.count > 0 || node->ring_count > 0 ||
           node->handed.count > 0 || node->asking.count > 0 ||
           node->confirmed.count > 0 || node->changes.count > 0;
}

void node__sweep(struct node *node)
{
    if (!node__is_waited_for(node)) {
        node->sweep_due_ms = INT64_MAX;
        return;
    }
    if (node->sweep_due_ms == INT64_MAX) {
        /* From now on their time runs. */
        sweep_backlog(node);
        node->sweep_due_ms = node->now_ms + sweep_period_ms(node);
        return;
    }
    if (node->now_ms < node->sweep_due_ms) {
        return;
    }
    sweep_backlog(node);
    node__ring_sweep(node);
    node__sweep_handed(node);
    node__sweep_reads(node);
    node__sweep_changes(node);
    node->sweep_due_ms = node->now_ms + sweep_period_ms(node);
}
