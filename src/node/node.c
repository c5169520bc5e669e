/* Opening, closing, and one turn of the writer. */
#include "node/node.h"

#include "base/check.h"
#include "base/list.h"
#include "base/log.h"
#include "node/node_int.h"

/* ---- opening ------------------------------------------------------------ */

struct restore {
    struct wal_reader reader;
    struct raft_hard_state hard;
    struct raft_entry *entries; /* above what the store has applied */
    size_t count;
    size_t capacity;
};

static enum err on_hard_state(struct wal_reader *reader,
                              const struct raft_hard_state *state)
{
    struct restore *restore = CONTAINER_OF(reader, struct restore, reader);
    restore->hard = *state;
    return ERR_OK;
}

static enum err on_entry(struct wal_reader *reader,
                         const struct raft_entry *entry)
{
    struct restore *restore = CONTAINER_OF(reader, struct restore, reader);
    if (restore->count == restore->capacity) {
        restore->capacity = restore->capacity * 2 + 1024;
        restore->entries = mem_realloc(
            restore->entries, restore->capacity * sizeof(struct raft_entry));
    }
    restore->entries[restore->count++] = *entry;
    return ERR_OK;
}

static struct wal_config wal_config_of(const struct node *node)
{
    return (struct wal_config){
        .disk = node->config.ports.disk,
        .cluster_id = node->cluster_id,
        .member_id = node->member_id,
        .segment_bytes = node->config.wal_segment_bytes,
        .unsafe_no_sync = node->config.unsafe_no_sync,
    };
}

/* The store names the cluster and member too, so that the files of two
 * members can't be mixed unnoticed. */
static enum err check_store_identity(struct node *node, bool has_log)
{
    char ids[16];
    struct slice found;
    put_be64(ids, node->cluster_id);
    put_be64(ids + 8, node->member_id);
    if (!mvcc_meta_get(node->mvcc, SLICE("identity"), &found)) {
        mvcc_meta_put(node->mvcc, SLICE("identity"), slice_of(ids, 16));
        return ERR_OK;
    }
    if (!has_log) {
        return err_set(ERR_CORRUPT,
                       "the store holds data but its log is missing; put the "
                       "log's folder back, or start with an empty data "
                       "directory");
    }
    if (!slice_eq(found, slice_of(ids, 16))) {
        return err_set(ERR_WRONG_CLUSTER,
                       "the store belongs to another cluster or member than "
                       "the log (cluster %016llx, member %016llx)",
                       (unsigned long long)node->cluster_id,
                       (unsigned long long)node->member_id);
    }
    return ERR_OK;
}

static enum err create_log(struct node *node)
{
    struct disk *disk = node->config.ports.disk;
    node->cluster_id = node->config.cluster_id;
    node->member_id = node->config.member_id;
    enum err err =
        node__identity_write(disk, node->cluster_id, node->member_id);
    if (err == ERR_OK) {
        struct wal_config config = wal_config_of(node);
        err = wal_create(&config, &node->wal);
    }
    return err_wrap(err, "create the log");
}

static void note_opened(const struct wal_opened *opened)
{
    if (opened->torn) {
        log_warn("wal",
                 "cut a torn tail: the last write was not finished, and not "
                 "acknowledged",
                 LOG_STR("file", opened->torn_file),
                 LOG_UINT("offset", opened->torn_offset),
                 LOG_UINT("bytes", opened->torn_bytes));
    }
}

static enum err open_log(struct node *node, struct restore *restore)
{
    struct wal_opened opened = {0};
    struct mvcc_status status;
    mvcc_status(node->mvcc, &status);
    struct wal_config config = wal_config_of(node);
    enum err err = wal_open(&config, status.applied_index, &restore->reader,
                            &opened, &node->wal);
    if (err != ERR_OK) {
        return err_wrap(err, "open the log");
    }
    note_opened(&opened);
    return ERR_OK;
}

static enum err open_or_create_log(struct node *node, struct restore *restore)
{
    struct disk *disk = node->config.ports.disk;
    bool exists = false;
    enum err err = wal_exists(disk, &exists);
    if (err != ERR_OK) {
        return err_wrap(err, "look for the log");
    }
    if (!exists) {
        err = create_log(node);
        return err == ERR_OK ? check_store_identity(node, false) : err;
    }
    err = node__identity_read(disk, &node->cluster_id, &node->member_id);
    if (err == ERR_OK) {
        err = check_store_identity(node, true);
    }
    return err == ERR_OK ? open_log(node, restore) : err;
}

/* The entries' references pass to raft, or are let go with an error. */
static enum err restore_entries(struct node *node, struct restore *restore)
{
    enum err err = ERR_OK;
    for (size_t i = 0; i < restore->count; i++) {
        struct raft_entry *entry = &restore->entries[i];
        if (err == ERR_OK) {
            err = raft_restore_entry(node->raft, entry);
            if (err == ERR_OK) {
                node->time_ns = entry->time_ns;
                continue;
            }
        }
        refbuf_unref(entry->data);
    }
    mem_free(restore->entries);
    restore->entries = NULL;
    return err_wrap(err, "read the log");
}

static enum err start_raft(struct node *node, struct restore *restore)
{
    struct mvcc_status status;
    mvcc_status(node->mvcc, &status);
    struct raft_config config = {
        .id = node->member_id,
        .seed = node->config.seed,
        .heartbeat_ms = node->config.heartbeat_ms,
        .election_ms = node->config.election_ms,
        .log_entries_max = NODE_LOG_ENTRIES,
        .voters = &node->member_id,
        .voter_count = 1,
    };
    node->raft = raft_new(&config, &restore->hard, status.applied_index,
                          status.applied_term);
    node->time_ns = status.time_ns;
    atomic_store(&node->applied, status.applied_index);
    atomic_store(&node->flushed, status.applied_index);
    enum err err = restore_entries(node, restore);
    if (err == ERR_OK) {
        raft_restore_done(node->raft);
    }
    return err;
}

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
    node__batch_add(node, NULL, command_encode(&command),
                    clock_wall_ns(node->config.ports.clock));
    return node__run_batch(node);
}

static enum err open_store(struct node *node)
{
    struct mvcc_config config = {.kv = node->config.ports.kv,
                                 .seed = node->config.seed};
    enum err err = mvcc_open(&config, &node->mvcc);
    if (err == ERR_OK) {
        err = mvcc_reader_new(node->mvcc, &node->reader);
    }
    if (err != ERR_OK) {
        return err_wrap(err, "open the store");
    }
    node->tree = (struct tree){
        .mvcc = node->mvcc, .reader = node->reader, .leases = node->leases};
    mvcc_read_begin(node->reader);
    err = tree_restore_leases(&node->tree);
    mvcc_read_end(node->reader);
    return err_wrap(err, "read the leases");
}

static enum err open_all(struct node *node)
{
    struct restore restore = {
        .reader = {.on_hard_state = on_hard_state, .on_entry = on_entry},
    };
    enum err err = open_store(node);
    if (err == ERR_OK) {
        err = open_or_create_log(node, &restore);
    }
    if (err == ERR_OK) {
        err = start_raft(node, &restore);
    } else {
        for (size_t i = 0; i < restore.count; i++) {
            refbuf_unref(restore.entries[i].data);
        }
        mem_free(restore.entries);
    }
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

static void take_queue(struct node *node)
{
    struct queue_link *chain = queue_take_all(&node->queue);
    struct queue_link **end = (struct queue_link **)&node->backlog;
    if (chain == NULL) {
        return;
    }
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = chain;
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

static void fill_batch(struct node *node, int64_t now_ns)
{
    struct node_batch *batch = node->batch;
    CHECK_EQ(batch->count, 0);
    node__probe_log(node);
    node__propose_expiry(node, now_ns);
    node__propose_compaction(node, now_ns);
    while (node->backlog != NULL && batch->count < LIMIT_BATCH_ENTRIES_MAX &&
           batch->bytes < LIMIT_BATCH_BYTES_MAX) {
        struct node_request *request = node->backlog;
        node->backlog = (struct node_request *)(void *)request->link.next;
        struct refbuf *command = request->command;
        if (is_refused(node, request)) {
            request->command = NULL;
            refbuf_unref(command);
            node__answer(node, request, ERR_NO_SPACE);
            continue;
        }
        request->command = NULL;
        node__batch_add(node, request, command, now_ns);
    }
}

/* The backend is behind: what waits must wait until it has caught up. */
static bool must_wait(struct node *node)
{
    struct mvcc_status status;
    mvcc_status(node->mvcc, &status);
    return status.applied_index - status.flushed_index > NODE_UNFLUSHED_MAX ||
           status.tail_bytes > LIMIT_TAIL_BYTES_MAX;
}

/* The log's memory is let go behind what is in the kv file. */
static enum err forget_flushed(struct node *node)
{
    struct raft_event event = {.type = RAFT_COMPACT,
                               .index = atomic_load(&node->flushed)};
    enum err err = raft_step(node->raft, &event, &node->update);
    if (err != ERR_OK) {
        return err;
    }
    return wal_trim(node->wal, event.index);
}

enum err node_run(struct node *node)
{
    struct clock *clock = node->config.ports.clock;
    enum err err = ERR_OK;
    if (node->stopped) {
        return err_set(ERR_STOPPED, "the member has stopped");
    }
    take_queue(node);
    err = forget_flushed(node);
    if (err == ERR_OK && !must_wait(node)) {
        fill_batch(node, clock_wall_ns(clock));
        err = node__run_batch(node);
        node__compact_slice(node);
    }
    if (node->answered > 0) {
        node->answered = 0;
        node->config.on_answered(node->config.context);
    }
    node->stopped = err != ERR_OK;
    return err;
}

int64_t node_deadline_ms(const struct node *node)
{
    struct clock *clock = node->config.ports.clock;
    struct mvcc_status status;
    lease_id id;
    int64_t expire_ns;
    int64_t now_ms = clock_monotonic_ns(clock) / 1000000;
    int64_t deadline_ms = INT64_MAX;
    mvcc_status(node->mvcc, &status);
    if (node->backlog != NULL || status.compacting) {
        return now_ms;
    }
    if (node->config.compaction != NODE_COMPACTION_OFF) {
        deadline_ms = node->compaction_due_ms;
    }
    if (lease_next(node->leases, &id, &expire_ns)) {
        int64_t left_ns = expire_ns - clock_wall_ns(clock);
        int64_t at_ms = now_ms + (left_ns > 0 ? left_ns / 1000000 + 1 : 0);
        deadline_ms = at_ms < deadline_ms ? at_ms : deadline_ms;
    }
    return deadline_ms;
}

enum err node_submit(struct node *node, struct node_request *request)
{
    bool was_empty = false;
    CHECK(request->command != NULL);
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
    take_queue(node);
    while (node->backlog != NULL) {
        struct node_request *request = node->backlog;
        node->backlog = (struct node_request *)(void *)request->link.next;
        refbuf_unref(request->command);
        request->command = NULL;
        node__answer(node, request, ERR_STOPPED);
    }
    while (more && node_flush(node, &more) == ERR_OK) {
    }
    free_node(node);
}
