/* What a member has: its store and its log, and whether the two belong
 * together.
 *
 *     the log       |---- may be trimmed ----|------------------| last
 *     the store     |--------------------------------| applied
 *                                                    |--replay--|
 *
 * Both name the cluster, and the log's folder the member. The log always holds
 * its last entry (node__forget trims no further), which is the store's last or
 * comes later, and no entry between the two is missing: else one of them is
 * not the other's, or was put back from an older copy, and the member doesn't
 * start. A log that was started anew behind a snapshot holds nothing, and goes
 * on from there; where the crash came before that, it is done now. */
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
    raft_term joined_term; /* of that entry in the log; 0: it isn't there */
    int64_t joined_time_ns;
    bool is_installed; /* the store is what a snapshot brought */
};

/* ---- the store ---------------------------------------------------------- */

static enum err open_mvcc(struct node *node)
{
    struct mvcc_config config = {.kv = snap_set_kv(node->set),
                                 .seed = node->config.seed};
    enum err err = mvcc_open(&config, &node->mvcc);
    if (err == ERR_OK) {
        err = mvcc_reader_new(node->mvcc, &node->reader);
    }
    return err;
}

static enum err open_store(struct node *node)
{
    enum err err = snap_set_open(node->config.ports.kv, &node->set);
    if (err == ERR_OK) {
        err = open_mvcc(node);
    }
    if (err != ERR_OK) {
        return err_wrap(err, "open the store");
    }
    node->tree = (struct tree){
        .mvcc = node->mvcc, .reader = node->reader, .leases = node->leases};
    node->txn = (struct txn){
        .mvcc = node->mvcc, .reader = node->reader, .leases = node->leases};
    return node__restore_leases(node);
}

static void note_time(struct node *node, int64_t time_ns)
{
    if (time_ns > node->time_ns) {
        node->time_ns = time_ns;
    }
}

static int64_t kept_time_ns(const struct node *node)
{
    struct slice value;
    return mvcc_meta_get(node->mvcc, SLICE("time"), &value) && value.size == 8
               ? (int64_t)get_le64(value.at)
               : 0;
}

enum err node__take_store(struct node *node)
{
    struct mvcc_status status;
    node->kept_time_ns = kept_time_ns(node);
    mvcc_status(node->mvcc, &status);
    CHECK_EQ(status.applied_index, status.flushed_index);
    CHECK_EQ(status.tail_commits, 0);
    note_time(node, status.time_ns);
    note_time(node, node->kept_time_ns);
    node->compacting = status.compacting;
    node->applied_term = status.applied_term;
    atomic_store(&node->applied, status.applied_index);
    atomic_store(&node->flushed, status.applied_index);
    atomic_store(&node->revision, status.current);
    atomic_store(&node->tail_bytes, status.tail_bytes);
    node__look_at_quota(node);
    node__load_alarms(node);
    enum err err = node__load_users(node);
    if (err == ERR_OK) {
        err = node__load_quotas(node);
    }
    return err == ERR_OK ? node__load_members(node) : err;
}

/* ---- whose are they ----------------------------------------------------- */

/* The cluster's id; where an earlier version has written it, the member's
 * behind it: of one member alone, whose store can't be another's. */
enum { IDENTITY_BYTES = 8, IDENTITY_BYTES_OLD = 16 };

static bool store_identity(struct node *node, struct slice *found)
{
    return mvcc_meta_get(node->mvcc, SLICE("identity"), found);
}

static void put_store_identity(struct node *node)
{
    char id[IDENTITY_BYTES];
    CHECK(node->cluster_id != 0 && node->member_id != 0);
    put_be64(id, node->cluster_id);
    mvcc_meta_put(node->mvcc, SLICE("identity"), slice_of(id, sizeof(id)));
}

static bool is_ours(const struct node *node, struct slice identity)
{
    return (identity.size == IDENTITY_BYTES ||
            (identity.size == IDENTITY_BYTES_OLD &&
             get_be64(identity.at + 8) == node->member_id)) &&
           get_be64(identity.at) == node->cluster_id;
}

/* The store names the cluster too, so that the files of two clusters can't be
 * mixed unnoticed. One that is missing is made again by the log. */
static enum err check_store_identity(struct node *node)
{
    struct slice found;
    bool is_empty = !store_identity(node, &found);
    if (!is_empty && !is_ours(node, found)) {
        return err_set(ERR_WRONG_CLUSTER,
                       "the store belongs to another cluster or member than "
                       "the log (cluster %016llx, member %016llx): put the "
                       "files of one member together",
                       (unsigned long long)node->cluster_id,
                       (unsigned long long)node->member_id);
    }
    if (is_empty || found.size != IDENTITY_BYTES) {
        put_store_identity(node);
    }
    if (!mvcc_meta_get(node->mvcc, SLICE("membership"), &found)) {
        node__found_cluster(node, !is_empty);
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

/* An entry replaces all of its index and above that came before. */
static void cut_from(struct restore *restore, raft_index index)
{
    while (restore->count > 0 &&
           restore->entries[restore->count - 1].index >= index) {
        refbuf_unref(restore->entries[--restore->count].data);
    }
    CHECK(restore->count == 0 ||
          restore->entries[restore->count - 1].index == index - 1);
}

static enum err on_entry(struct wal_reader *reader,
                         const struct raft_entry *entry)
{
    struct restore *restore = CONTAINER_OF(reader, struct restore, reader);
    cut_from(restore, entry->index);
    if (entry->index <= restore->applied) {
        restore->joined_term =
            entry->index == restore->applied ? entry->term : 0;
        restore->joined_time_ns = entry->time_ns;
        refbuf_unref(entry->data);
        return ERR_OK;
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

static void drop_entries(struct restore *restore)
{
    for (size_t i = 0; i < restore->count; i++) {
        refbuf_unref(restore->entries[i].data);
    }
    restore->count = 0;
}

/* The store's last entry, if the log still has it, must be the log's too. */
static enum err check_term(const struct restore *restore)
{
    if (restore->joined_term != 0 &&
        restore->joined_term != restore->applied_term) {
        return err_set(ERR_CORRUPT,
                       "entry %llu is of term %llu in the log and of term "
                       "%llu in the store: they are not of one member",
                       (unsigned long long)restore->applied,
                       (unsigned long long)restore->joined_term,
                       (unsigned long long)restore->applied_term);
    }
    return ERR_OK;
}

static enum err check_joined(const struct restore *restore,
                             const struct wal_opened *opened)
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
    if (first == 0 && restore->applied > 0 && restore->joined_term == 0 &&
        opened->first_index != restore->applied + 1) {
        return err_set(ERR_CORRUPT,
                       "the log ends before entry %llu, which the store has: "
                       "the log was put back from an older copy, or lost what "
                       "was not synced; put the newest one back",
                       (unsigned long long)restore->applied);
    }
    return ERR_OK;
}

/* The store is a snapshot's, and the log is what it was before it. */
static bool is_left_over(const struct restore *restore,
                         const struct wal_opened *opened)
{
    return restore->is_installed &&
           opened->first_index != restore->applied + 1 &&
           restore->joined_term != restore->applied_term;
}

static enum err start_log_anew(struct node *node, struct restore *restore)
{
    struct raft_hard_state *hard = &restore->hard;
    CHECK(restore->is_installed && restore->applied > 0);
    drop_entries(restore);
    if (hard->term < restore->applied_term) {
        *hard = (struct raft_hard_state){.term = restore->applied_term};
    }
    hard->commit = restore->applied;
    log_info("node", "a snapshot that was being installed is made use of",
             LOG_UINT("index", restore->applied));
    return wal_reset(node->wal, restore->applied, restore->applied_term, hard);
}

static enum err read_installed(struct node *node, struct restore *restore)
{
    raft_index index;
    raft_term term;
    enum err err = node__installed_read(node->config.ports.disk, &index, &term);
    restore->is_installed = index != 0 && index == restore->applied &&
                            term == restore->applied_term;
    return err;
}

static enum err open_log(struct node *node, struct restore *restore)
{
    struct wal_opened opened = {0};
    struct wal_config config = wal_config_of(node);
    /* One entry more than is needed, to see that the two join. */
    raft_index skip_to = restore->applied > 0 ? restore->applied - 1 : 0;
    enum err err = read_installed(node, restore);
    if (err == ERR_OK) {
        err = wal_open(&config, skip_to, &restore->reader, &opened, &node->wal);
    }
    if (err == ERR_OK && is_left_over(restore, &opened)) {
        err = start_log_anew(node, restore);
    } else if (err == ERR_OK) {
        err = check_term(restore);
        if (err == ERR_OK) {
            err = check_joined(restore, &opened);
        }
    }
    return err_wrap(err, "open the log");
}

/* What a new member is must be durable before there is a log: a second start
 * would find the log, and ask the store. */
static enum err create_store(struct node *node)
{
    CHECK_EQ(atomic_load(&node->applied), 0);
    put_store_identity(node);
    node__found_cluster(node, false);
    return err_wrap(node__flush_now(node), "create the store");
}

/* Nothing is made where a store shows that there was a log: a second start
 * would find it, and believe it. */
static enum err create_log(struct node *node)
{
    if (atomic_load(&node->applied) > 0) {
        return err_set(ERR_CORRUPT,
                       "the store holds data but its log is missing; put the "
                       "log's folder back, or start with an empty data "
                       "directory");
    }
    node->cluster_id = node->config.cluster_id;
    node->member_id = node->config.member_id;
    enum err err = create_store(node);
    if (err == ERR_OK) {
        err = node__identity_write(node->config.ports.disk, node->cluster_id,
                                   node->member_id);
    }
    if (err == ERR_OK) {
        struct wal_config config = wal_config_of(node);
        err = wal_create(&config, &node->wal);
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
        note_time(node, entry->time_ns);
    }
    return ERR_OK;
}

/* What the log says of the others counts no more; the log itself keeps it, and
 * this member's first word as a leader comes behind it. */
static void forget_others(struct node *node, struct restore *restore)
{
    node__forget_others(node);
    for (size_t i = 0; i < restore->count; i++) {
        struct raft_entry *entry = &restore->entries[i];
        if (entry->type == RAFT_ENTRY_CHANGE) {
            refbuf_unref(entry->data);
            entry->data = NULL;
            entry->type = RAFT_ENTRY_EMPTY;
        }
    }
    log_warn("node", "all other members are forgotten: a cluster of one",
             LOG_UINT("member", node->member_id));
}

static enum err start_raft(struct node *node, struct restore *restore)
{
    struct raft_config config;
    CHECK(node->raft == NULL && node->wal != NULL);
    raft_config_init(&config);
    config.id = node->member_id;
    config.seed = node->config.seed;
    config.heartbeat_ms = node->config.heartbeat_ms;
    config.election_ms = node->config.election_ms;
    config.log_entries_max = NODE_LOG_ENTRIES;
    config.pre_vote = node->config.pre_vote;
    config.lease_reads = node->config.lease_reads;
    config.members = node->stored;
    node->entries_max = config.append_entries_max;
    node->raft = raft_new(&config, &restore->hard, restore->applied,
                          restore->applied_term);
    note_time(node, restore->joined_time_ns);
    enum err err = restore_entries(node, restore);
    if (err == ERR_OK) {
        raft_restore_done(node->raft);
    }
    return err;
}

static enum err restore_all(struct node *node, struct restore *restore)
{
    CHECK(node->mvcc == NULL && node->wal == NULL);
    enum err err = open_store(node);
    if (err == ERR_OK) {
        err = node__take_store(node);
    }
    if (err != ERR_OK) {
        return err;
    }
    restore->applied = atomic_load(&node->applied);
    restore->applied_term = node->applied_term;
    err = open_or_create_log(node, restore);
    if (err == ERR_OK && node->config.force_new_cluster) {
        forget_others(node, restore);
    }
    return err == ERR_OK ? start_raft(node, restore) : err;
}

enum err node__restore(struct node *node)
{
    struct restore restore = {
        .reader = {.on_hard_state = on_hard_state, .on_entry = on_entry},
    };
    enum err err = restore_all(node, &restore);
    drop_entries(&restore);
    mem_free(restore.entries);
    node->own_ns = node->time_ns;
    node->own_since_ns = clock_monotonic_ns(node->config.ports.clock);
    return err;
}
