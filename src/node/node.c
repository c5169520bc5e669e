/* Opening and closing a member, and what may be called from any thread. */
#include "node/node.h"

#include "base/check.h"
#include "base/list.h"
#include "node/node_int.h"

static int64_t now_ms(const struct node *node)
{
    return clock_monotonic_ns(node->config.ports.clock) / 1000000;
}

enum err node__step(struct node *node, struct raft_event *event)
{
    event->now_ms = node->now_ms;
    enum err err = raft_step(node->raft, event, &node->update);
    node->raft_deadline_ms = node->update.deadline_ms;
    return err;
}

/* ---- opening ------------------------------------------------------------ */

/* Numbers that no entry of an earlier life of this member bears. */
static void draw_boot(struct node *node)
{
    struct clock *clock = node->config.ports.clock;
    struct raft_status status;
    raft_status(node->raft, &status);
    prng_init(&node->prng, node->config.seed ^
                               (uint64_t)clock_wall_ns(clock) *
                                   UINT64_C(0x9e3779b97f4a7c15) ^
                               (uint64_t)clock_monotonic_ns(clock) ^
                               status.term * UINT64_C(0xd6e8feb86659fd93) ^
                               status.last * UINT64_C(0xff51afd7ed558ccd));
    node->boot = (prng_next(&node->prng) >> 12) + 1;
    node->last_number = node->boot;
}

/* Alone there is nobody to wait for: stand at once. What the log holds is
 * committed, and so applied, with the new term's first entry. */
static enum err lead(struct node *node)
{
    struct raft_event event = {.type = RAFT_CAMPAIGN};
    enum err err = node__step(node, &event);
    if (err == ERR_OK) {
        err = node__ready(node);
    }
    /* The membership and this member's name are put into the log, where they
     * aren't. */
    for (int i = 0; err == ERR_OK && i < 2; i++) {
        bool is_new = node->change_index == 0;
        node__publish_self(node);
        if (is_new || node->backlog.count > 0) {
            err = node__turn(node);
        }
    }
    return err;
}

static enum err wait_for_leader(struct node *node)
{
    struct raft_event event = {.type = RAFT_TICK};
    enum err err = node__step(node, &event);
    return err == ERR_OK ? node__ready(node) : err;
}

static enum err open_all(struct node *node)
{
    enum err err = node__restore(node);
    if (err != ERR_OK) {
        return err;
    }
    draw_boot(node);
    node__publish_state(node);
    err = node->is_alone ? lead(node) : wait_for_leader(node);
    node->answered = 0;
    return err;
}

static void free_node(struct node *node)
{
    node->closing = true;
    if (node->raft != NULL) {
        (void)node__drop_leavers(node);
    }
    raft_free(node->raft);
    wal_close(node->wal);
    mvcc_reader_free(node->reader);
    mvcc_close(node->mvcc);
    if (node->set != NULL) {
        snap_set_close(node->set);
    }
    auth_free(node->auth);
    lease_table_free(node->leases);
    node__guests_free(node);
    map_u64_deinit(&node->handed);
    arena_deinit(&node->arena);
    arena_deinit(&node->net_arena);
    buf_deinit(&node->wire);
    mem_free(node->entries);
    mem_free(node->commits);
    node__drop_quotas(node);
    mem_free(node->ring);
    mem_free(node->batch);
    mem_free(node->name);
    mem_free(node->client_urls);
    mem_free(node->peer_urls);
    mem_free(node);
}

static struct node *new_node(const struct node_config *config)
{
    struct node *node = mem_alloc_zero(sizeof(*node));
    node->config = *config;
    if (node->config.request_timeout_ms == 0) {
        node->config.request_timeout_ms = 5000 + 2 * config->election_ms;
    }
    node->name = mem_strdup(config->name);
    node->client_urls = mem_strdup(config->client_urls);
    node->peer_urls =
        mem_strdup(config->peer_urls == NULL ? "" : config->peer_urls);
    node->leases = lease_table_new();
    node->auth = auth_new();
    node->batch = mem_alloc_zero(sizeof(*node->batch));
    node->ring = mem_alloc_zero(NODE_INFLIGHT_MAX * sizeof(*node->ring));
    arena_init(&node->arena, 0);
    arena_init(&node->net_arena, 0);
    map_u64_init(&node->handed);
    queue_init(&node->queue, LIMIT_PROPOSALS_MAX);
    queue_init(&node->read_queue, LIMIT_PROPOSALS_MAX);
    queue_init(&node->change_queue, NODE_CHANGES_MAX);
    queue_init(&node->inbox, NODE_INBOX_EVENTS_MAX);
    queue_init(&node->arrivals, NODE_ARRIVALS_MAX);
    raft_update_init(&node->update);
    node->now_ms = now_ms(node);
    node->raft_deadline_ms = INT64_MAX;
    node->sweep_due_ms = INT64_MAX;
    node->members_dirty = true;
    atomic_init(&node->clean_at_ms, config->ports.net == NULL
                                        ? INT64_MAX
                                        : node->now_ms + NODE_CLEAN_MS);
    return node;
}

enum err node_open(const struct node_config *config, struct node **out)
{
    CHECK(config->cluster_id != 0 && config->member_id != 0);
    CHECK(config->flush_revisions > 0);
    CHECK(config->member_count == 0 || config->members != NULL);
    CHECK(config->compaction == NODE_COMPACTION_OFF ||
          config->compaction_keep > 0);
    struct node *node = new_node(config);
    enum err err = open_all(node);
    /* The caller's list is good no longer. */
    node->config.members = NULL;
    node->config.member_count = 0;
    if (err != ERR_OK) {
        free_node(node);
        *out = NULL;
        return err;
    }
    *out = node;
    return ERR_OK;
}

/* ---- one turn ----------------------------------------------------------- */

void node__tell_answered(struct node *node)
{
    if (node->answered > 0) {
        node->answered = 0;
        node->config.on_answered(node->config.context);
    }
}

enum err node_run(struct node *node)
{
    if (node->stopped) {
        return err_set(ERR_STOPPED, "the member has stopped");
    }
    node->now_ms = now_ms(node);
    enum err err = node__turn(node);
    if (err != ERR_OK) {
        /* Not acknowledged; whether they are in the log the restart tells. */
        node->stopped = true;
        node__fail_all(node, ERR_STOPPED);
    }
    node__tell_answered(node);
    CHECK_EQ(node->batch->count, 0);
    return err;
}

/* ---- when to run again --------------------------------------------------- */

static int64_t sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t lease_deadline_ms(const struct node *node, int64_t at_ms)
{
    lease_id id;
    int64_t expire_ns;
    if (!lease_next(node->leases, &id, &expire_ns) || node__is_expiring(node)) {
        return INT64_MAX;
    }
    int64_t left_ns = expire_ns - node__peek_now_ns(node);
    if (left_ns > 0) {
        return at_ms + left_ns / 1000000 + 1;
    }
    /* While nothing can be proposed (leadership is being handed over, say) it
     * would be asked for again and again. */
    return at_ms + (node->stuck ? node->config.heartbeat_ms : 0);
}

/* What only a leader does. */
static int64_t leader_deadline_ms(const struct node *node, int64_t at_ms)
{
    int64_t deadline_ms = lease_deadline_ms(node, at_ms);
    if (atomic_load_explicit(&node->log_full, memory_order_relaxed)) {
        /* What ends leases has no room either, until there is some. */
        deadline_ms = node->room_due_ms;
    }
    if (node->config.compaction != NODE_COMPACTION_OFF) {
        deadline_ms = sooner(deadline_ms, node->compaction_due_ms);
    }
    if (node->has_others) {
        deadline_ms = sooner(deadline_ms, node->upkeep_due_ms);
    }
    return deadline_ms;
}

static int64_t timers_ms(const struct node *node)
{
    int64_t deadline_ms = node->raft_deadline_ms;
    if (node->grace_ms != 0) {
        deadline_ms = node->grace_ms;
    }
    deadline_ms = sooner(deadline_ms, node->sweep_due_ms);
    if (atomic_load_explicit(&node->leader, memory_order_relaxed) != 0 &&
        !node->publishing) {
        deadline_ms = sooner(deadline_ms, node->publish_due_ms);
    }
    for (size_t i = 0; i < NODE_LEAVERS; i++) {
        if (node->leavers[i].id != 0) {
            deadline_ms = sooner(deadline_ms, node->leavers[i].until_ms);
        }
    }
    return deadline_ms;
}

static bool has_come(const struct node *node)
{
    return queue_count(&node->inbox) > 0 ||
           queue_count(&node->read_queue) > 0 ||
           queue_count(&node->change_queue) > 0 ||
           queue_count(&node->arrivals) > 0 || node->inbox_rest != NULL ||
           atomic_load_explicit(&node->transfer_wanted, memory_order_relaxed);
}

/* What came while there was a backlog has woken the writer already. */
static bool has_writes(const struct node *node)
{
    if (node->behind) {
        return false;
    }
    if (node->backlog.count + node->guests.count > 0) {
        return !node->stuck;
    }
    return queue_count(&node->queue) > 0 || node->compacting;
}

int64_t node_deadline_ms(const struct node *node)
{
    if (node->stopped) {
        return INT64_MAX;
    }
    int64_t at_ms = now_ms(node);
    if (has_come(node) || has_writes(node)) {
        return at_ms;
    }
    int64_t deadline_ms = timers_ms(node);
    if (node->behind || node->arrived.count > 0) {
        return sooner(deadline_ms, at_ms + NODE_BACKEND_WAIT_MS);
    }
    if (node->is_leader) {
        deadline_ms = sooner(deadline_ms, leader_deadline_ms(node, at_ms));
    } else if (atomic_load_explicit(&node->log_full, memory_order_relaxed)) {
        deadline_ms = sooner(deadline_ms, node->room_due_ms);
    }
    return deadline_ms;
}

/* ---- from any thread ----------------------------------------------------- */

enum err node_submit(struct node *node, struct node_request *request)
{
    bool was_empty = false;
    CHECK(request->command != NULL && request->on_done != NULL);
    request->tree = (struct tree_result){0};
    request->answer = (struct txn_answer){0};
    request->wait = (struct node_wait){0};
    if (!queue_push(&node->queue, &request->link, &was_empty)) {
        return err_set(ERR_FULL, "too many requests wait");
    }
    if (was_empty) {
        node->config.on_submitted(node->config.context);
    }
    return ERR_OK;
}

enum err node_read(struct node *node, struct node_read *read)
{
    bool was_empty = false;
    CHECK(read->on_done != NULL);
    if (!queue_push(&node->read_queue, &read->link, &was_empty)) {
        return err_set(ERR_FULL, "too many reads wait");
    }
    if (was_empty) {
        node->config.on_submitted(node->config.context);
    }
    return ERR_OK;
}

void node_transfer(struct node *node, member_id to)
{
    atomic_store(&node->transfer_to, to);
    if (!atomic_exchange(&node->transfer_wanted, true)) {
        node->config.on_submitted(node->config.context);
    }
}

/* ---- closing ------------------------------------------------------------- */

static void fail_backlog(struct node *node)
{
    do {
        node__take_queue(node);
        while (node->backlog.count > 0) {
            node__answer(node, node__take_backlog(node), ERR_STOPPED);
        }
    } while (queue_count(&node->queue) > 0);
}

void node_close(struct node *node)
{
    bool more = true;
    if (node == NULL) {
        return;
    }
    node->closing = true;
    node__fail_all(node, ERR_STOPPED);
    fail_backlog(node);
    node__fail_reads(node, ERR_STOPPED);
    node__fail_changes(node, ERR_STOPPED);
    node__fail_arrivals(node, ERR_STOPPED);
    node__inbox_free(node);
    node__tell_answered(node);
    /* What stopped it may have left the store half replaced. */
    while (!node->stopped && more && node_flush(node, &more) == ERR_OK) {
    }
    free_node(node);
}
