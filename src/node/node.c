/* Opening, closing, and one turn of the writer. */
#include "node/node.h"

#include "base/check.h"
#include "base/list.h"
#include "node/node_int.h"

/* ---- opening ------------------------------------------------------------ */

/* Alone there is nobody to wait for: stand at once. What the log holds is
 * committed, and so applied, with the new term's first entry. */
static enum err lead(struct node *node)
{
    struct raft_event event = {
        .type = RAFT_CAMPAIGN,
        .now_ms = clock_monotonic_ns(node->config.ports.clock) / 1000000,
    };
    enum err err = raft_step(node->raft, &event, &node->update);
    return err == ERR_OK ? node__ready(node) : err;
}

/* Tells the cluster this member's name and addresses, where they changed. */
static enum err publish(struct node *node)
{
    struct slice name;
    struct slice urls;
    arena_reset(&node->arena);
    if (node_member(node, node->member_id, &node->arena, &name, &urls) &&
        slice_eq(name, slice_str(node->name)) &&
        slice_eq(urls, slice_str(node->client_urls))) {
        return ERR_OK;
    }
    struct command command = {
        .type = COMMAND_PUBLISH,
        .publish = {.member = node->member_id,
                    .name = slice_str(node->name),
                    .client_urls = slice_str(node->client_urls)},
    };
    node__batch_add(node, NULL, command_encode(&command), node__now_ns(node));
    return node__run_batch(node);
}

static enum err open_all(struct node *node)
{
    enum err err = node__restore(node);
    if (err == ERR_OK) {
        err = lead(node);
    }
    return err == ERR_OK ? publish(node) : err;
}

static void free_node(struct node *node)
{
    raft_free(node->raft);
    wal_close(node->wal);
    mvcc_reader_free(node->reader);
    mvcc_close(node->mvcc);
    lease_table_free(node->leases);
    arena_deinit(&node->arena);
    mem_free(node->commits);
    mem_free(node->batch);
    mem_free(node->name);
    mem_free(node->client_urls);
    mem_free(node);
}

enum err node_open(const struct node_config *config, struct node **out)
{
    CHECK(config->cluster_id != 0 && config->member_id != 0);
    CHECK(config->flush_revisions > 0);
    CHECK(config->compaction == NODE_COMPACTION_OFF ||
          config->compaction_keep > 0);
    struct node *node = mem_alloc_zero(sizeof(*node));
    node->config = *config;
    node->name = mem_strdup(config->name);
    node->client_urls = mem_strdup(config->client_urls);
    node->leases = lease_table_new();
    node->batch = mem_alloc_zero(sizeof(*node->batch));
    arena_init(&node->arena, 0);
    queue_init(&node->queue, LIMIT_PROPOSALS_MAX);
    raft_update_init(&node->update);
    enum err err = open_all(node);
    if (err != ERR_OK) {
        free_node(node);
        *out = NULL;
        return err;
    }
    *out = node;
    return ERR_OK;
}

/* ---- one turn ----------------------------------------------------------- */

/* Only when nothing is left of the last time: so the queue's bound holds while
 * what waits must wait. */
static void take_queue(struct node *node)
{
    size_t count = 0;
    if (node->backlog != NULL) {
        return;
    }
    node->backlog = queue_take_all(&node->queue);
    for (struct queue_link *at = node->backlog; at != NULL; at = at->next) {
        count++;
    }
    CHECK_LE(count, LIMIT_PROPOSALS_MAX);
    atomic_store_explicit(&node->waiting, count, memory_order_relaxed);
}

static struct node_request *take_backlog(struct node *node)
{
    struct queue_link *link = node->backlog;
    CHECK(link != NULL);
    node->backlog = link->next;
    size_t before =
        atomic_fetch_sub_explicit(&node->waiting, 1, memory_order_relaxed);
    CHECK(before > 0);
    return CONTAINER_OF(link, struct node_request, link);
}

/* While there is no room, only what makes room may pass. */
static bool is_refused(struct node *node, const struct node_request *request)
{
    struct command command;
    if (!atomic_load_explicit(&node->log_full, memory_order_relaxed) &&
        !atomic_load_explicit(&node->kv_full, memory_order_relaxed) &&
        !atomic_load_explicit(&node->over_quota, memory_order_relaxed)) {
        return false;
    }
    arena_reset(&node->arena);
    struct slice input =
        slice_of(request->command->bytes, request->command->size);
    if (command_decode(input, &node->arena, &command) != ERR_OK) {
        return true;
    }
    return command.type == COMMAND_TREE && command.tree.op != TREE_DELETE &&
           command.tree.op != TREE_COMPARE_AND_DELETE;
}

static void fill_batch(struct node *node)
{
    struct node_batch *batch = node->batch;
    int64_t now_ns = node__now_ns(node);
    int64_t now_ms = clock_monotonic_ns(node->config.ports.clock) / 1000000;
    CHECK_EQ(batch->count, 0);
    CHECK_EQ(batch->bytes, 0);
    node__probe_log(node);
    node__propose_expiry(node, now_ns, now_ms);
    node__propose_compaction(node, now_ns, now_ms);
    while (node->backlog != NULL && batch->count < LIMIT_BATCH_ENTRIES_MAX &&
           batch->bytes < LIMIT_BATCH_BYTES_MAX) {
        struct node_request *request = take_backlog(node);
        struct refbuf *command = request->command;
        bool refused = is_refused(node, request);
        request->command = NULL;
        if (refused) {
            refbuf_unref(command);
            node__answer(node, request, ERR_NO_SPACE);
        } else {
            node__batch_add(node, request, command, now_ns);
        }
    }
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

/* The log's memory is let go behind what is in the kv file, and then its
 * files; but the last entry stays: a log that is short of the store's end is
 * known for an old copy by that. */
static enum err forget_flushed(struct node *node)
{
    struct raft_status status;
    struct raft_event event = {.type = RAFT_COMPACT,
                               .index = atomic_load(&node->flushed)};
    enum err err = raft_step(node->raft, &event, &node->update);
    raft_status(node->raft, &status);
    CHECK_LE(event.index, status.applied);
    CHECK(status.last > 0);
    if (err != ERR_OK) {
        return err;
    }
    raft_index to = event.index < status.last ? event.index : status.last - 1;
    return err_wrap(wal_trim(node->wal, to), "trim the log");
}

static enum err run(struct node *node)
{
    take_queue(node);
    enum err err = forget_flushed(node);
    node->behind = is_behind(node);
    if (err != ERR_OK || node->behind) {
        return err;
    }
    fill_batch(node);
    err = node__run_batch(node);
    if (err == ERR_OK) {
        node__compact_slice(node);
    }
    return err;
}

static void tell_answered(struct node *node)
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
    enum err err = run(node);
    tell_answered(node);
    node->stopped = err != ERR_OK;
    CHECK_EQ(node->batch->count, 0);
    return err;
}

static int64_t sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t lease_deadline_ms(const struct node *node, int64_t now_ms)
{
    lease_id id;
    int64_t expire_ns;
    if (!lease_next(node->leases, &id, &expire_ns)) {
        return INT64_MAX;
    }
    int64_t left_ns = expire_ns - node__peek_now_ns(node);
    return now_ms + (left_ns > 0 ? left_ns / 1000000 + 1 : 0);
}

int64_t node_deadline_ms(const struct node *node)
{
    int64_t now_ms = clock_monotonic_ns(node->config.ports.clock) / 1000000;
    if (node->stopped) {
        return INT64_MAX;
    }
    if (node->behind) {
        return now_ms + NODE_BACKEND_WAIT_MS;
    }
    /* What came while there was a backlog has woken the writer already. */
    if (node->backlog != NULL || queue_count(&node->queue) > 0 ||
        node->compacting) {
        return now_ms;
    }
    int64_t deadline_ms = lease_deadline_ms(node, now_ms);
    if (atomic_load_explicit(&node->log_full, memory_order_relaxed)) {
        /* What ends leases has no room either, until there is some. */
        deadline_ms = node->room_due_ms;
    }
    if (node->config.compaction != NODE_COMPACTION_OFF) {
        deadline_ms = sooner(deadline_ms, node->compaction_due_ms);
    }
    return deadline_ms;
}

enum err node_submit(struct node *node, struct node_request *request)
{
    bool was_empty = false;
    CHECK(request->command != NULL && request->on_done != NULL);
    request->tree = (struct tree_result){0};
    if (!queue_push(&node->queue, &request->link, &was_empty)) {
        return err_set(ERR_FULL, "too many requests wait");
    }
    if (was_empty) {
        node->config.on_submitted(node->config.context);
    }
    return ERR_OK;
}

void node_close(struct node *node)
{
    bool more = true;
    if (node == NULL) {
        return;
    }
    do {
        take_queue(node);
        while (node->backlog != NULL) {
            struct node_request *request = take_backlog(node);
            refbuf_unref(request->command);
            request->command = NULL;
            node__answer(node, request, ERR_STOPPED);
        }
    } while (queue_count(&node->queue) > 0);
    tell_answered(node);
    while (more && node_flush(node, &more) == ERR_OK) {
    }
    free_node(node);
}
