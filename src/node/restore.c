/* What a member has: its store and its log, and whether the two belong
 * together.
 *
 *     the log       |---- may be trimmed ----|------------------| last
 *     the store     |--------------------------------| applied
 *                                                    |--replay--|
 *
 * Both name the cluster and the member. The log always holds its last entry
 * (node__run trims no further), which is the store's last or comes later, and
 * no entry between the two is missing: else one of them is not the other's,
 * or was put back from an older copy, and the member doesn't start. */
#include "base/check.h"
#include "base/list.h"
#include "base/log.h"
#include "node/node_int.h"

struct restore {
    struct wal_reader reader;
    struct raft_hard_state hard;
    struct raft_entry *entries; /* above what the store has applied */
    size_t count;
    size_t capacity;
    raft_index applied; /* by the store */
    raft_term applied_term;
    bool joined; /* the log was seen to reach the store's last entry */
};

/* ---- the store ---------------------------------------------------------- */

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

static void take_store(struct node *node, const struct mvcc_status *status)
{
    CHECK_EQ(status->applied_index, status->flushed_index);
    CHECK_EQ(status->tail_commits, 0);
    node->time_ns = status->time_ns;
    node->compacting = status->compacting;
    atomic_store(&node->applied, status->applied_index);
    atomic_store(&node->flushed, status->applied_index);
    atomic_store(&node->revision, status->current);
    node__look_at_quota(node);
}

/* ---- whose are they ----------------------------------------------------- */

static bool store_identity(struct node *node, struct slice *found)
{
    return mvcc_meta_get(node->mvcc, SLICE("identity"), found);
}

static void put_store_identity(struct node *node)
{
    char ids[16];
    CHECK(node->cluster_id != 0 && node->member_id != 0);
    put_be64(ids, node->cluster_id);
    put_be64(ids + 8, node->member_id);
    mvcc_meta_put(node->mvcc, SLICE("identity"), slice_of(ids, 16));
}

/* The store names the cluster and member too, so that the files of two
 * members can't be mixed unnoticed. */
static enum err check_store_identity(struct node *node)
{
    char ids[16];
    struct slice found;
    if (!store_identity(node, &found)) {
        put_store_identity(node);
        return ERR_OK;
    }
    put_be64(ids, node->cluster_id);
    put_be64(ids + 8, node->member_id);
    if (!slice_eq(found, slice_of(ids, 16))) {
        return err_set(ERR_WRONG_CLUSTER,
                       "the store belongs to another cluster or member than "
                       "the log (cluster %016llx, member %016llx): put the "
                       "files of one member together",
                       (unsigned long long)node->cluster_id,
                       (unsigned long long)node->member_id);
    }
    return ERR_OK;
}

static enum err read_log_identity(struct node *node)
{
    enum err err = node__identity_read(node->config.ports.disk,
                                       &node->cluster_id, &node->member_id);
    if (err == ERR_NOT_FOUND) {
        return err_set(ERR_CORRUPT,
                       "the log is there but not the file \"identity\" beside "
                       "it: put the log's whole folder back");
    }
    CHECK(err != ERR_OK || (node->cluster_id != 0 && node->member_id != 0));
    return err;
}

/* ---- the log ------------------------------------------------------------ */

static struct wal_config wal_config_of(const struct node *node)
{
    CHECK(node->cluster_id != 0 && node->member_id != 0);
    return (struct wal_config){
        .disk = node->config.ports.disk,
        .cluster_id = node->cluster_id,
        .member_id = node->member_id,
        .segment_bytes = node->config.wal_segment_bytes,
        .unsafe_no_sync = node->config.unsafe_no_sync,
    };
}

static enum err on_hard_state(struct wal_reader *reader,
                              const struct raft_hard_state *state)
{
    struct restore *restore = CONTAINER_OF(reader, struct restore, reader);
    restore->hard = *state;
    return ERR_OK;
}

/* The store's last entry, if the log still has it, must be the log's too. */
static enum err join(struct restore *restore, const struct raft_entry *entry)
{
    raft_term term = entry->term;
    refbuf_unref(entry->data);
    if (entry->index == restore->applied && term != restore->applied_term) {
        return err_set(ERR_CORRUPT,
                       "entry %llu is of term %llu in the log and of term "
                       "%llu in the store: they are not of one member",
                       (unsigned long long)restore->applied,
                       (unsigned long long)term,
                       (unsigned long long)restore->applied_term);
    }
    restore->joined |= entry->index == restore->applied;
    return ERR_OK;
}

static enum err on_entry(struct wal_reader *reader,
                         const struct raft_entry *entry)
{
    struct restore *restore = CONTAINER_OF(reader, struct restore, reader);
    if (entry->index <= restore->applied) {
        return join(restore, entry);
    }
    if (restore->count == restore->capacity) {
        restore->capacity = restore->capacity * 2 + 1024;
        restore->entries = mem_realloc(
            restore->entries, restore->capacity * sizeof(struct raft_entry));
    }
    CHECK_LT(restore->count, restore->capacity);
    restore->entries[restore->count++] = *entry;
    return ERR_OK;
}

static enum err check_joined(const struct restore *restore)
{
    raft_index first = restore->count > 0 ? restore->entries[0].index : 0;
    if (first > restore->applied + 1) {
        return err_set(ERR_CORRUPT,
                       "the log begins at entry %llu but the store ends at "
                       "%llu: the store is missing or was put back from an "
                       "older copy; put the newest one back",
                       (unsigned long long)first,
                       (unsigned long long)restore->applied);
    }
    if (first == 0 && restore->applied > 0 && !restore->joined) {
        return err_set(ERR_CORRUPT,
                       "the log ends before entry %llu, which the store has: "
                       "the log was put back from an older copy, or lost what "
                       "was not synced; put the newest one back",
                       (unsigned long long)restore->applied);
    }
    return ERR_OK;
}

static enum err open_log(struct node *node, struct restore *restore)
{
    struct wal_opened opened = {0};
    struct wal_config config = wal_config_of(node);
    /* One entry more than is needed, to see that the two join. */
    raft_index skip_to = restore->applied > 0 ? restore->applied - 1 : 0;
    enum err err =
        wal_open(&config, skip_to, &restore->reader, &opened, &node->wal);
    if (err == ERR_OK) {
        err = check_joined(restore);
    }
    return err_wrap(err, "open the log");
}

/* Nothing is made where a store shows that there was a log: a second start
 * would find it, and believe it. */
static enum err create_log(struct node *node)
{
    struct slice found;
    if (store_identity(node, &found) || atomic_load(&node->applied) > 0) {
        return err_set(ERR_CORRUPT,
                       "the store holds data but its log is missing; put the "
                       "log's folder back, or start with an empty data "
                       "directory");
    }
    node->cluster_id = node->config.cluster_id;
    node->member_id = node->config.member_id;
    enum err err = node__identity_write(node->config.ports.disk,
                                        node->cluster_id, node->member_id);
    if (err == ERR_OK) {
        struct wal_config config = wal_config_of(node);
        err = wal_create(&config, &node->wal);
    }
    if (err == ERR_OK) {
        put_store_identity(node);
    }
    return err_wrap(err, "create the log");
}

static enum err open_or_create_log(struct node *node, struct restore *restore)
{
    bool exists = false;
    enum err err = wal_exists(node->config.ports.disk, &exists);
    if (err != ERR_OK) {
        return err_wrap(err, "look for the log");
    }
    if (!exists) {
        return create_log(node);
    }
    err = read_log_identity(node);
    if (err == ERR_OK) {
        err = check_store_identity(node);
    }
    return err == ERR_OK ? open_log(node, restore) : err;
}

/* ---- both --------------------------------------------------------------- */

/* The entries' references pass to raft, or stay with an error. */
static enum err restore_entries(struct node *node, struct restore *restore)
{
    for (size_t i = 0; i < restore->count; i++) {
        struct raft_entry *entry = &restore->entries[i];
        enum err err = raft_restore_entry(node->raft, entry);
        if (err != ERR_OK) {
            return err_wrap(err, "read the log");
        }
        entry->data = NULL;
        if (entry->time_ns > node->time_ns) {
            node->time_ns = entry->time_ns;
        }
    }
    return ERR_OK;
}

static enum err start_raft(struct node *node, struct restore *restore)
{
    struct raft_config config = {
        .id = node->member_id,
        .seed = node->config.seed,
        .heartbeat_ms = node->config.heartbeat_ms,
        .election_ms = node->config.election_ms,
        .log_entries_max = NODE_LOG_ENTRIES,
        .voters = &node->member_id,
        .voter_count = 1,
    };
    CHECK(node->raft == NULL && node->wal != NULL);
    node->raft = raft_new(&config, &restore->hard, restore->applied,
                          restore->applied_term);
    enum err err = restore_entries(node, restore);
    if (err == ERR_OK) {
        raft_restore_done(node->raft);
    }
    return err;
}

static void let_go(struct restore *restore)
{
    for (size_t i = 0; i < restore->count; i++) {
        refbuf_unref(restore->entries[i].data);
    }
    mem_free(restore->entries);
}

enum err node__restore(struct node *node)
{
    struct mvcc_status status;
    struct restore restore = {
        .reader = {.on_hard_state = on_hard_state, .on_entry = on_entry},
    };
    CHECK(node->mvcc == NULL && node->wal == NULL);
    enum err err = open_store(node);
    if (err != ERR_OK) {
        return err;
    }
    mvcc_status(node->mvcc, &status);
    take_store(node, &status);
    restore.applied = status.applied_index;
    restore.applied_term = status.applied_term;
    err = open_or_create_log(node, &restore);
    if (err == ERR_OK) {
        err = start_raft(node, &restore);
    }
    let_go(&restore);
    node->own_ns = node->time_ns;
    node->own_since_ns = clock_monotonic_ns(node->config.ports.clock);
    return err;
}
