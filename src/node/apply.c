/* Applying committed entries: each by its command, in order, the applied index
 * along with what it did. */
#include "base/check.h"
#include "base/log.h"
#include "base/plant.h"
#include "node/node_int.h"

void node__add_commit(void *context, struct mvcc_commit *commit)
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

/* Nothing was done. */
static void refuse_tree(struct node *node, struct tree_result *result)
{
    *result = (struct tree_result){
        .error = TREE_UNAUTHORIZED,
        .index = mvcc_next_revision(node->mvcc) - 1,
    };
}

static enum err apply_tree(struct node *node, const struct command *command,
                           int64_t time_ns, struct node_request *request)
{
    struct tree_result result = {0};
    struct mvcc_commit *commit = NULL;
    enum err err = ERR_OK;
    if (node__may(node, command, NULL) != V3_OK) {
        refuse_tree(node, &result);
    } else {
        err = node__check_tree_quotas(node, &command->tree, &result);
    }
    if (err == ERR_OK && result.error == TREE_NONE) {
        err =
            tree_write(&node->tree, &command->tree, time_ns, &result, &commit);
    }
    if (err != ERR_OK) {
        CHECK(commit == NULL);
        tree_result_deinit(&result);
        return err;
    }
    if (commit != NULL) {
        node__add_commit(node, commit);
    }
    if (request != NULL) {
        CHECK(request->tree.commit == NULL);
        request->tree = result;
    } else {
        tree_result_deinit(&result);
    }
    return ERR_OK;
}

static struct node_wait *handed_wait(struct node *node, uint64_t number)
{
    struct node_wait *wait = NULL;
    if (PLANTED(ANSWER_OTHER)) {
        wait = node__take_handed(node, number + 1);
    }
    return wait != NULL ? wait : node__take_handed(node, number);
}

static enum err apply_command(struct node *node, const struct raft_entry *entry,
                              struct node_wait **wait)
{
    struct command command;
    struct node_request *request;
    arena_reset(&node->arena);
    struct slice input = slice_of(entry->data->bytes, entry->data->size);
    enum err err = command_decode(input, &node->arena, &command);
    if (err != ERR_OK) {
        return err;
    }
    if (*wait == NULL && command.from == node->member_id) {
        *wait = handed_wait(node, command.number);
    }
    request = *wait == NULL ? NULL : node__request_of(*wait);
    if (request != NULL) {
        request->index = entry->index;
    }
    switch (command.type) {
    case COMMAND_TREE:
        return apply_tree(node, &command, entry->time_ns, request);
    case COMMAND_EXPIRE:
        return node__apply_expire(node, &command.expire, entry->time_ns);
    case COMMAND_PUBLISH:
        node__apply_publish(node, &command.publish);
        return ERR_OK;
    case COMMAND_CLUSTER:
    case COMMAND_COMPACT:
    case COMMAND_PUT:
    case COMMAND_DELETE_RANGE:
    case COMMAND_TXN:
    case COMMAND_LEASE_GRANT:
    case COMMAND_LEASE_REVOKE:
    case COMMAND_LEASE_RENEW:
    case COMMAND_ALARM:
    case COMMAND_AUTH:
    case COMMAND_QUOTA:
        return node__apply_request(node, &command, entry->time_ns, request);
    case COMMAND_MEMBER:
    case COMMAND_TRANSFER:
        return err_set(ERR_CORRUPT, "a question to the leader is in the log");
    }
    UNREACHABLE();
}

static void decide(struct node *node, struct node_wait *wait, enum err err)
{
    if (wait != NULL) {
        CHECK_LT(node->decided_count, NODE_APPLY_CHUNK);
        node->decided[node->decided_count++] =
            (struct node_decided){.wait = wait, .err = err};
    }
}

/* Who waits for this entry; one who waits for another one at its index, which
 * is never to come, is decided for. */
static struct node_wait *wait_of(struct node *node,
                                 const struct raft_entry *entry)
{
    enum err err;
    if (node->ring_count == 0) {
        return NULL;
    }
    struct node_wait *wait = node__ring_take(node, entry, &err);
    if (err != ERR_OK) {
        decide(node, wait, err);
        return NULL;
    }
    return wait;
}

static void set_applied(struct node *node, const struct raft_entry *entry)
{
    if (PLANTED(APPLIED_BEHIND) && entry->index > 1) {
        mvcc_set_applied(node->mvcc, entry->index - 1, node->applied_term);
    } else {
        mvcc_set_applied(node->mvcc, entry->index, entry->term);
    }
    node->applied_term = entry->term;
    atomic_store_explicit(&node->applied, entry->index, memory_order_release);
}

static void land(struct node *node, const struct raft_entry *entry)
{
    if (entry->term == node->led_term && entry->data != NULL) {
        CHECK_LE(entry->data->size, node->inflight_bytes);
        node->inflight_bytes -= entry->data->size;
    }
}

/* A commit keeps its time in the store; of an entry that made none it is kept
 * beside it. For time never falls in the log, and who leads from a snapshot
 * has nothing else to know it by. */
static void keep_time(struct node *node, const struct raft_entry *entry)
{
    char bytes[8];
    if (node->stored.voter_count + node->stored.learner_count < 2 ||
        entry->time_ns <= node->kept_time_ns) {
        return;
    }
    node->kept_time_ns = entry->time_ns;
    put_le64(bytes, (uint64_t)entry->time_ns);
    mvcc_meta_put(node->mvcc, SLICE("time"), slice_of(bytes, sizeof(bytes)));
}

static enum err apply_entry(struct node *node, const struct raft_entry *entry)
{
    size_t commits_before = node->commit_count;
    struct node_wait *wait = wait_of(node, entry);
    enum err err = ERR_OK;
    CHECK_LT(atomic_load_explicit(&node->applied, memory_order_relaxed),
             entry->index);
    CHECK_LE(node->applied_term, entry->term);
    CHECK_EQ(atomic_load_explicit(&node->applied, memory_order_relaxed) + 1,
             entry->index);
    if (entry->type == RAFT_ENTRY_COMMAND && entry->data != NULL) {
        err = apply_command(node, entry, &wait);
    } else if (entry->type == RAFT_ENTRY_CHANGE) {
        err = node__apply_change(node, entry, &wait);
    }
    decide(node, wait, ERR_OK);
    if (err == ERR_OK) {
        err = node__count_quotas(node, commits_before);
    }
    if (err != ERR_OK) {
        return err_wrap(err, "entry %llu", (unsigned long long)entry->index);
    }
    if (node->commit_count == commits_before) {
        keep_time(node, entry);
    }
    land(node, entry);
    set_applied(node, entry);
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
    raft_index applied = atomic_load(&node->applied);
    CHECK_LE(atomic_load(&node->revision), status.current);
    atomic_store_explicit(&node->revision, status.current,
                          memory_order_relaxed);
    atomic_store(&node->tail_bytes, status.tail_bytes);
    unlock_write(lock);
    node__count(node, NODE_COUNTER(proposals_applied), applied + 1 - from);
    tell_watchers(node);
    return err;
}

/* In the order of the entries; what was handed over in earlier terms and isn't
 * among them never will be. */
static void answer_chunk(struct node *node, raft_term term_before)
{
    size_t count = node->decided_count;
    node->decided_count = 0;
    for (size_t i = 0; i < count; i++) {
        node__answer_wait(node, node->decided[i].wait, node->decided[i].err);
    }
    if (node->applied_term != term_before) {
        node__ring_end(node, node->applied_term, ERR_TIMEOUT);
        node__hand_over_again(node, node->applied_term);
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
        raft_term term_before = node->applied_term;
        err = apply_chunk(node, from, end);
        if (err == ERR_OK) {
            answer_chunk(node, term_before);
        }
        from = end + 1;
    }
    want_flush(node, atomic_load(&node->applied));
    return err;
}
