/* Applying committed entries: each by its command, in order, the applied index
 * along with what it did. */
#include "base/check.h"
#include "base/log.h"
#include "node/node_int.h"

static void add_commit(void *context, struct mvcc_commit *commit)
{
    struct node *node = context;
    if (node->commit_count == node->commit_capacity) {
        node->commit_capacity = node->commit_capacity * 2 + 64;
        node->commits =
            mem_realloc(node->commits,
                        node->commit_capacity * sizeof(struct mvcc_commit *));
    }
    node->commits[node->commit_count++] = commit;
}

static enum err apply_tree(struct node *node, const struct tree_command *tree,
                           int64_t time_ns, struct node_request *request)
{
    struct tree_result result = {0};
    struct mvcc_commit *commit = NULL;
    enum err err = tree_write(&node->tree, tree, time_ns, &result, &commit);
    if (err != ERR_OK) {
        CHECK(commit == NULL);
        tree_result_deinit(&result);
        return err;
    }
    if (commit != NULL) {
        add_commit(node, commit);
    }
    if (request != NULL) {
        CHECK(request->tree.commit == NULL);
        request->tree = result;
    } else {
        tree_result_deinit(&result);
    }
    return ERR_OK;
}

static enum err apply_expire(struct node *node,
                             const struct expire_command *expire,
                             int64_t time_ns)
{
    enum err err = ERR_OK;
    for (size_t i = 0; i < expire->count && err == ERR_OK; i++) {
        err = tree_expire(&node->tree, expire->leases[i], time_ns, add_commit,
                          node);
        node__count(node, NODE_COUNTER(leases_expired), 1);
    }
    return err;
}

static enum err apply_compact(struct node *node, revision at)
{
    enum err err = mvcc_compact(node->mvcc, at);
    if (err == ERR_COMPACTED || err == ERR_FUTURE_REVISION) {
        return ERR_OK; /* no change, the same on every member */
    }
    if (err == ERR_OK) {
        node->compacting = true;
        node__count(node, NODE_COUNTER(compactions), 1);
        log_info("mvcc", "compacted history", LOG_INT("revision", at));
    }
    return err;
}

/* A member as it published itself: name and URLs, each with its length. */
static void apply_publish(struct node *node,
                          const struct publish_command *publish)
{
    char name[16];
    struct buf value = {0};
    char size[VARINT_BYTES_MAX];
    buf_append(&value, size, put_varint(size, publish->name.size));
    buf_append_slice(&value, publish->name);
    buf_append_slice(&value, publish->client_urls);
    mvcc_meta_put(node->mvcc, node__member_name(publish->member, name),
                  buf_slice(&value));
    buf_deinit(&value);
}

static enum err apply_command(struct node *node, const struct raft_entry *entry,
                              struct node_request *request)
{
    struct command command;
    arena_reset(&node->arena);
    struct slice input = slice_of(entry->data->bytes, entry->data->size);
    enum err err = command_decode(input, &node->arena, &command);
    if (err != ERR_OK) {
        return err;
    }
    switch (command.type) {
    case COMMAND_TREE:
        return apply_tree(node, &command.tree, entry->time_ns, request);
    case COMMAND_EXPIRE:
        return apply_expire(node, &command.expire, entry->time_ns);
    case COMMAND_COMPACT:
        return apply_compact(node, command.compact);
    case COMMAND_PUBLISH:
        apply_publish(node, &command.publish);
        return ERR_OK;
    }
    UNREACHABLE();
}

/* The request that waits for this entry, if it is one of the batch. */
static struct node_request *request_of(struct node *node, raft_index index)
{
    const struct node_batch *batch = node->batch;
    if (batch->count == 0 || index < batch->first ||
        index >= batch->first + batch->count) {
        return NULL;
    }
    return batch->requests[index - batch->first];
}

static enum err apply_entry(struct node *node, const struct raft_entry *entry)
{
    struct node_request *request = request_of(node, entry->index);
    enum err err = ERR_OK;
    CHECK_LT(atomic_load_explicit(&node->applied, memory_order_relaxed),
             entry->index);
    if (entry->type == RAFT_ENTRY_COMMAND && entry->data != NULL) {
        err = apply_command(node, entry, request);
    }
    if (err != ERR_OK) {
        return err_wrap(err, "entry %llu", (unsigned long long)entry->index);
    }
    if (request != NULL) {
        request->index = entry->index;
    }
    mvcc_set_applied(node->mvcc, entry->index, entry->term);
    atomic_store_explicit(&node->applied, entry->index, memory_order_release);
    return ERR_OK;
}

static void tell_watchers(struct node *node)
{
    CHECK_LE(node->commit_count, node->commit_capacity);
    if (node->commit_count > 0) {
        node->config.on_commits(node->config.context, node->commits,
                                node->commit_count);
    }
    for (size_t i = 0; i < node->commit_count; i++) {
        mvcc_commit_unref(node->commits[i]);
    }
    node->commit_count = 0;
}

static enum err apply_chunk(struct node *node, raft_index from, raft_index to)
{
    struct lock *lock = node->config.ports.lock;
    struct mvcc_status status;
    enum err err = ERR_OK;
    lock_write(lock);
    mvcc_read_begin(node->reader);
    for (raft_index i = from; i <= to && err == ERR_OK; i++) {
        const struct raft_entry *entry = raft_entry_at(node->raft, i);
        CHECK(entry != NULL);
        CHECK_EQ(entry->index, i);
        err = apply_entry(node, entry);
    }
    mvcc_read_end(node->reader);
    mvcc_status(node->mvcc, &status);
    CHECK_LE(atomic_load(&node->revision), status.current);
    atomic_store_explicit(&node->revision, status.current,
                          memory_order_relaxed);
    atomic_store(&node->tail_bytes, status.tail_bytes);
    unlock_write(lock);
    node__count(node, NODE_COUNTER(proposals_applied),
                status.applied_index + 1 - from);
    tell_watchers(node);
    return err;
}

static void answer_chunk(struct node *node, raft_index from, raft_index to)
{
    for (raft_index i = from; i <= to; i++) {
        struct node_request *request = request_of(node, i);
        if (request != NULL) {
            node->batch->requests[i - node->batch->first] = NULL;
            node__answer(node, request, ERR_OK);
        }
    }
}

/* Wakes the backend once enough has gathered. */
static void want_flush(struct node *node, raft_index applied)
{
    uint64_t flushed = atomic_load(&node->flushed);
    CHECK_LE(flushed, applied);
    if (applied - flushed >= node->config.flush_revisions &&
        !atomic_exchange(&node->flush_wanted, true)) {
        node->config.on_flush_due(node->config.context);
    }
}

enum err node__apply(struct node *node, raft_index from, raft_index to)
{
    enum err err = ERR_OK;
    CHECK(from > 0 && from <= to);
    CHECK_EQ(atomic_load(&node->applied) + 1, from);
    while (from <= to && err == ERR_OK) {
        raft_index end = from + NODE_APPLY_CHUNK - 1;
        end = end < to ? end : to;
        err = apply_chunk(node, from, end);
        if (err == ERR_OK) {
            answer_chunk(node, from, end);
        }
        from = end + 1;
    }
    want_flush(node, atomic_load(&node->applied));
    return err;
}
