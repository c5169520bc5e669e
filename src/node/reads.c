/* Linearizable reads (thesis 6.4). All that have come since the last turn are
 * one question to raft; its answer is an index, and once that is applied here
 * they may be served from this member's state.
 *
 *   node_read --> asking (no number) --> asking (numbered) --> confirmed
 *                                  question      |       answer     | applied
 *                                      ^---------'                  v
 *                               lost, or another leader          on_done
 *
 * An answer is good for all questions of lower numbers too, so one that was
 * lost is asked again, for all who wait, under a new number. */
#include "base/check.h"
#include "base/list.h"
#include "node/node_int.h"

static struct node_read *read_of(struct queue_link *link)
{
    return CONTAINER_OF(link, struct node_read, link);
}

static void answer(struct node *node, struct queue_link *link, enum err err)
{
    struct node_read *read = read_of(link);
    CHECK(read->on_done != NULL);
    read->err = err;
    node->answered++;
    read->on_done(read);
}

void node__take_reads(struct node *node)
{
    struct queue_link *link;
    if (queue_count(&node->read_queue) == 0) {
        return;
    }
    link = queue_take_all(&node->read_queue);
    while (link != NULL) {
        struct queue_link *next = link->next;
        struct node_read *read = read_of(link);
        read->number = 0;
        read->index = 0;
        read->since_ms = node->now_ms;
        node__chain_push(&node->asking, link);
        link = next;
    }
}

/* Those without a number are the last ones. */
static bool is_asked(const struct node *node)
{
    return node->asking.count == 0 ||
           CONTAINER_OF(node->asking.last, struct node_read, link)->number != 0;
}

enum err node__ask_reads(struct node *node)
{
    if (is_asked(node)) {
        return ERR_OK;
    }
    struct raft_event event = {.type = RAFT_READ,
                               .read = node->read_number + 1};
    enum err err = node__step(node, &event);
    if (err != ERR_OK) {
        return ERR_OK; /* no leader yet, or too many: asked again later */
    }
    CHECK(node->asking.count > 0);
    node->read_number++;
    node->asked_ms = node->now_ms;
    for (struct queue_link *at = node->asking.first; at; at = at->next) {
        if (read_of(at)->number == 0) {
            read_of(at)->number = node->read_number;
        }
    }
    return ERR_OK;
}

void node__confirm_reads(struct node *node, const struct raft_update *update)
{
    for (size_t i = 0; i < update->read_count; i++) {
        const struct raft_read_ready *ready = &update->reads[i];
        CHECK_LE(ready->read, node->read_number);
        while (node->asking.count > 0) {
            struct node_read *read = read_of(node->asking.first);
            if (read->number == 0 || read->number > ready->read) {
                break;
            }
            CHECK_EQ(read->index, 0);
            read->index = ready->index;
            node__chain_push(&node->confirmed, node__chain_pop(&node->asking));
            node__count(node, NODE_COUNTER(reads_confirmed), 1);
        }
    }
}

void node__serve_reads(struct node *node)
{
    raft_index applied =
        atomic_load_explicit(&node->applied, memory_order_relaxed);
    while (node->confirmed.count > 0 &&
           read_of(node->confirmed.first)->index <= applied) {
        answer(node, node__chain_pop(&node->confirmed), ERR_OK);
    }
}

void node__reads_anew(struct node *node)
{
    for (struct queue_link *at = node->asking.first; at; at = at->next) {
        read_of(at)->number = 0;
    }
}

/* Confirmed ones wait for this member to catch up. */
static bool is_over(const struct node *node, const struct node_read *read,
                    bool is_led, enum err *err)
{
    int64_t waited_ms = node->now_ms - read->since_ms;
    CHECK_LE(0, waited_ms);
    *err = ERR_TIMEOUT;
    if (waited_ms >= node->config.request_timeout_ms) {
        return true;
    }
    *err = ERR_NO_LEADER;
    return read->index == 0 && !is_led && waited_ms >= node->config.election_ms;
}

static void sweep(struct node *node, struct node_chain *chain)
{
    struct node_chain all = *chain;
    struct queue_link *link;
    bool is_led = atomic_load_explicit(&node->leader, memory_order_relaxed);
    *chain = (struct node_chain){0};
    while ((link = node__chain_pop(&all)) != NULL) {
        enum err err;
        if (is_over(node, read_of(link), is_led, &err)) {
            answer(node, link, err);
        } else {
            node__chain_push(chain, link);
        }
    }
}

void node__sweep_reads(struct node *node)
{
    sweep(node, &node->asking);
    sweep(node, &node->confirmed);
    if (node->now_ms - node->asked_ms >= 2 * node->config.heartbeat_ms) {
        node__reads_anew(node);
    }
}

void node__fail_reads(struct node *node, enum err err)
{
    node__take_reads(node);
    while (node->asking.count > 0) {
        answer(node, node__chain_pop(&node->asking), err);
    }
    while (node->confirmed.count > 0) {
        answer(node, node__chain_pop(&node->confirmed), err);
    }
}
