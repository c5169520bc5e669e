/* Snapshots out and in, and how much of the log is kept.
 *
 * INSTALLING one, by the writer, with the backend shut out:
 *
 *   1  the file "installed" names it, durably
 *   2  the set that came becomes the active one (one transaction)
 *   3  the store, the leases, the membership are read anew
 *   4  the log starts anew behind it
 *   5  raft, the watchers and the net are told
 *
 * A crash before 2 leaves all as it was: the store isn't where the file says.
 * One between 2 and 4 leaves a store that is, beside a log that isn't: then
 * restore.c does 4. */
#include "base/check.h"
#include "base/list.h"
#include "base/log.h"
#include "base/plant.h"
#include "node/node_int.h"

/* ---- out ---------------------------------------------------------------- */

/* What a snapshot is of stays in the log while it is under way. */
static bool take_hold(struct node *node, raft_index index)
{
    for (size_t i = 0; i < NODE_HOLDS; i++) {
        uint64_t free = 0;
        if (atomic_compare_exchange_strong(&node->holds[i], &free, index)) {
            return true;
        }
    }
    return false;
}

void node__release_hold(struct node *node, raft_index index)
{
    for (size_t i = 0; i < NODE_HOLDS && index != 0; i++) {
        uint64_t held = index;
        if (atomic_compare_exchange_strong(&node->holds[i], &held, 0)) {
            return;
        }
    }
}

static enum err open_source(struct node *node, struct snap_header *header,
                            struct snap_source **out)
{
    struct buf unused = {0};
    lock_read(node->config.ports.lock);
    enum err err = snap_source_open(node->set, out);
    if (err == ERR_OK) {
        err = mvcc_peek(snap_source_kv(*out), SLICE("change"), &header->index,
                        &header->log_term, &unused);
        if (err != ERR_OK) {
            snap_source_close(*out);
        }
    }
    unlock_read(node->config.ports.lock);
    buf_deinit(&unused);
    return err;
}

enum err node_snapshot_open(struct node *node, struct snap_header *header,
                            struct snap_source **out)
{
    *out = NULL;
    *header = (struct snap_header){
        .cluster_id = node->cluster_id,
        .from = node->member_id,
        .term = atomic_load(&node->term),
    };
    if (atomic_load(&node->role) != (int)RAFT_LEADER) {
        return err_set(ERR_NOT_LEADER, "only the leader sends snapshots");
    }
    enum err err = open_source(node, header, out);
    if (err != ERR_OK) {
        *out = NULL;
        return err_wrap(err, "open a snapshot");
    }
    if (header->index == 0 || !take_hold(node, header->index)) {
        snap_source_close(*out);
        *out = NULL;
        return header->index == 0
                   ? err_set(ERR_BUSY, "nothing is in the store yet")
                   : err_set(ERR_FULL, "too many snapshots are under way");
    }
    header->id = node->boot + atomic_fetch_add(&node->snapshots, 1);
    return ERR_OK;
}

/* ---- in ----------------------------------------------------------------- */

/* What is left in it is of no use, or may be gone on with for a while. */
static void free_other_set(struct node *node, bool clean_now)
{
    struct clock *clock = node->config.ports.clock;
    atomic_store(
        &node->clean_at_ms,
        clean_now ? 0 : clock_monotonic_ns(clock) / 1000000 + NODE_CLEAN_MS);
    int owner = atomic_exchange(&node->other_set_owner, NODE_OTHER_SET_FREE);
    CHECK_EQ(owner, NODE_OTHER_SET_SNAPSHOT);
}

enum err node_snapshot_receive(struct node *node,
                               const struct snap_header *header,
                               struct snap_sink **out)
{
    int owner = NODE_OTHER_SET_FREE;
    *out = NULL;
    if (header->cluster_id != node->cluster_id) {
        return err_set(ERR_WRONG_CLUSTER, "a snapshot of another cluster");
    }
    if (header->index <= atomic_load(&node->applied) &&
        !PLANTED(SNAPSHOT_OLD)) {
        return err_set(ERR_EXISTS, "this member is as far");
    }
    if (!atomic_compare_exchange_strong(&node->other_set_owner, &owner,
                                        NODE_OTHER_SET_SNAPSHOT)) {
        return err_set(ERR_BUSY, "another snapshot is under way");
    }
    atomic_store(&node->clean_at_ms, INT64_MAX);
    enum err err = snap_sink_open(node->set, header, out);
    if (err != ERR_OK) {
        *out = NULL;
        free_other_set(node, false);
    }
    return err_wrap(err, "take a snapshot in");
}

void node_snapshot_arrived(struct node *node,
                           struct node_snapshot_arrival *arrival)
{
    bool was_empty = false;
    CHECK(arrival->sink != NULL);
    if (arrival->complete &&
        queue_push(&node->arrivals, &arrival->link, &was_empty)) {
        if (was_empty) {
            node->config.on_submitted(node->config.context);
        }
        return;
    }
    CHECK(!arrival->complete); /* there is one at a time */
    snap_sink_close(arrival->sink);
    arrival->sink = NULL;
    free_other_set(node, false);
}

static void finish(struct node *node, struct node_snapshot_arrival *arrival,
                   enum err err)
{
    snap_sink_close(arrival->sink);
    arrival->sink = NULL;
    arrival->err = err;
    free_other_set(node, true);
    node->answered++;
    arrival->on_done(arrival);
}

/* What it is of, as its own state says. */
static enum err read_members(struct node_snapshot_arrival *arrival,
                             struct raft_members *members)
{
    struct buf value = {0};
    raft_index index;
    raft_term term;
    *members = (struct raft_members){0};
    enum err err = mvcc_peek(snap_sink_kv(arrival->sink), SLICE("membership"),
                             &index, &term, &value);
    if (err == ERR_OK) {
        err = raft_members_decode(buf_slice(&value), members, NULL);
    }
    if (err == ERR_OK &&
        (index != arrival->header.index || term != arrival->header.log_term)) {
        err = err_set(ERR_CORRUPT,
                      "a snapshot that is said to be of entry %llu is of "
                      "entry %llu",
                      (unsigned long long)arrival->header.index,
                      (unsigned long long)index);
    }
    buf_deinit(&value);
    return err;
}

static enum err read_store_anew(struct node *node)
{
    enum err err = mvcc_reload(node->mvcc);
    lease_table_clear(node->leases);
    if (err == ERR_OK && !PLANTED(SNAPSHOT_NO_LEASES)) {
        err = node__restore_leases(node);
    }
    return err == ERR_OK ? node__take_store(node) : err;
}

/* Steps 1 to 4. From 2 on there is no way back but a restart. */
static enum err replace_state(struct node *node, struct snap_sink *sink,
                              const struct raft_update *update)
{
    struct lock *lock = node->config.ports.lock;
    struct raft_hard_state hard = update->hard_state;
    raft_index index = update->install_index;
    hard.commit = index;
    enum err err = node__installed_write(node->config.ports.disk, index,
                                         update->install_term);
    if (err != ERR_OK) {
        return err;
    }
    lock_write(lock);
    err = snap_sink_activate(sink);
    if (err == ERR_OK) {
        err = read_store_anew(node);
        atomic_store(&node->unusable, err != ERR_OK);
    }
    unlock_write(lock);
    if (err != ERR_OK) {
        return err;
    }
    CHECK_EQ(atomic_load(&node->applied), index);
    CHECK_EQ(atomic_load(&node->flushed), index);
    CHECK_EQ(node->applied_term, update->install_term);
    node->trimmed = 0;
    return wal_reset(node->wal, index, update->install_term, &hard);
}

static enum err tell_raft(struct node *node, const struct raft_update *update)
{
    struct raft_event installed = {
        .type = RAFT_INSTALLED,
        .index = update->install_index,
        .term = update->install_term,
    };
    struct raft_event persisted = {.type = RAFT_PERSISTED,
                                   .term = update->hard_state.term};
    raft_update_init(&node->update);
    enum err err = node__step(node, &installed);
    return err == ERR_OK ? node__step(node, &persisted) : err;
}

static enum err install(struct node *node,
                        struct node_snapshot_arrival *arrival)
{
    struct raft_update update = node->update;
    CHECK(!node->is_leader);
    CHECK_EQ(update.persist_from, 0);
    CHECK_EQ(update.apply_from, 0);
    CHECK_EQ(atomic_load(&node->flush_owner), NODE_FLUSH_WRITER);
    CHECK_EQ(atomic_load(&node->other_set_owner), NODE_OTHER_SET_SNAPSHOT);
    CHECK_EQ(update.install_index, arrival->header.index);
    enum err err = replace_state(node, arrival->sink, &update);
    if (err == ERR_OK) {
        err = tell_raft(node, &update);
    }
    if (err != ERR_OK) {
        return err_wrap(err, "install a snapshot");
    }
    /* What waited for an entry that is in the snapshot isn't told by it. */
    node__ring_end(node, 0, ERR_TIMEOUT);
    node__fail_handed(node, ERR_TIMEOUT);
    node__count(node, NODE_COUNTER(snapshots_installed), 1);
    log_info("node", "a snapshot was installed",
             LOG_UINT("index", update.install_index),
             LOG_UINT("from", arrival->header.from));
    if (node->config.on_jump != NULL) {
        node->config.on_jump(node->config.context,
                             atomic_load(&node->revision));
    }
    return ERR_OK;
}

static enum err take_arrival(struct node *node,
                             struct node_snapshot_arrival *arrival)
{
    struct raft_members members;
    enum err err = read_members(arrival, &members);
    if (err != ERR_OK) {
        log_warn("node", "a snapshot can't be used",
                 LOG_STR("error", err_note()));
        finish(node, arrival, err);
        return ERR_OK;
    }
    struct raft_message message = {
        .type = RAFT_MESSAGE_SNAPSHOT,
        .from = arrival->header.from,
        .to = node->member_id,
        .term = arrival->header.term,
        .index = arrival->header.index,
        .log_term = arrival->header.log_term,
        .members = &members,
    };
    struct raft_event event = {.type = RAFT_RECEIVE, .message = &message};
    err = node__step(node, &event);
    CHECK_EQ(err, ERR_OK);
    if (!node->update.install) {
        finish(node, arrival, ERR_EXISTS);
        return ERR_OK;
    }
    err = install(node, arrival);
    finish(node, arrival, err == ERR_OK ? ERR_OK : ERR_STOPPED);
    return err;
}

enum err node__take_arrivals(struct node *node)
{
    int owner = NODE_FLUSH_FREE;
    if (queue_count(&node->arrivals) > 0) {
        struct queue_link *link = queue_take_all(&node->arrivals);
        while (link != NULL) {
            struct queue_link *next = link->next;
            node__chain_push(&node->arrived, link);
            link = next;
        }
    }
    if (node->arrived.count == 0) {
        return ERR_OK;
    }
    /* The backend wakes the writer when it has finished. */
    if (!atomic_compare_exchange_strong(&node->flush_owner, &owner,
                                        NODE_FLUSH_WRITER)) {
        return ERR_OK;
    }
    enum err err = node__ready(node);
    while (err == ERR_OK && node->arrived.count > 0) {
        struct queue_link *link = node__chain_pop(&node->arrived);
        err = take_arrival(
            node, CONTAINER_OF(link, struct node_snapshot_arrival, link));
    }
    owner = atomic_exchange(&node->flush_owner, NODE_FLUSH_FREE);
    CHECK_EQ(owner, NODE_FLUSH_WRITER);
    /* It may have come for work and gone again; there is some now. */
    node->config.on_flush_due(node->config.context);
    return err;
}

void node__fail_arrivals(struct node *node, enum err err)
{
    struct queue_link *link = queue_take_all(&node->arrivals);
    while (link != NULL) {
        struct queue_link *next = link->next;
        node__chain_push(&node->arrived, link);
        link = next;
    }
    while ((link = node__chain_pop(&node->arrived)) != NULL) {
        finish(node, CONTAINER_OF(link, struct node_snapshot_arrival, link),
               err);
    }
}

bool node__clean_other_set(struct node *node)
{
    int owner = NODE_OTHER_SET_FREE;
    bool more = false;
    int64_t now_ms = clock_monotonic_ns(node->config.ports.clock) / 1000000;
    if (now_ms < atomic_load(&node->clean_at_ms) ||
        !atomic_compare_exchange_strong(&node->other_set_owner, &owner,
                                        NODE_OTHER_SET_CLEANING)) {
        return false;
    }
    enum err err = snap_set_clean(node->set, &more);
    if (err != ERR_OK) {
        log_warn("node", "what an old snapshot left can't be removed",
                 LOG_STR("error", err_note()));
        more = false;
        atomic_store(&node->clean_at_ms, now_ms + NODE_CLEAN_MS);
    } else if (!more) {
        atomic_store(&node->clean_at_ms, INT64_MAX);
    }
    owner = atomic_exchange(&node->other_set_owner, NODE_OTHER_SET_FREE);
    CHECK_EQ(owner, NODE_OTHER_SET_CLEANING);
    return more;
}

/* ---- how much of the log is kept ---------------------------------------- */

static uint64_t entry_bytes(const struct node *node, raft_index index)
{
    const struct raft_entry *entry = raft_entry_at(node->raft, index);
    return entry == NULL || entry->data == NULL ? 0 : entry->data->size;
}

/* What snapshots under way, and those who just had one, go on from: without
 * it they would need another. */
static raft_index held_from(const struct node *node, raft_index from)
{
    if (node->is_leader) {
        raft_index behind = raft_behind_from(node->raft);
        from = behind < from ? behind : from;
    }
    for (size_t i = 0; i < NODE_HOLDS; i++) {
        raft_index held =
            atomic_load_explicit(&node->holds[i], memory_order_relaxed);
        from = held != 0 && held + 1 < from ? held + 1 : from;
    }
    return from;
}

/* The least index that somebody may still want. */
static raft_index wanted_from(const struct node *node, raft_index flushed)
{
    if (node->is_leader) {
        raft_index needed = raft_needed_from(node->raft);
        return needed <= flushed ? needed : flushed + 1;
    }
    return flushed > NODE_KEPT_BY_FOLLOWER ? flushed - NODE_KEPT_BY_FOLLOWER
                                           : 1;
}

static raft_index within(raft_index from, raft_index flushed, uint64_t most)
{
    return flushed > most && from <= flushed - most ? flushed - most + 1 : from;
}

/* Up to where the log may be forgotten: within the bounds on what is kept for
 * others. The bytes of what is kept are counted as it is flushed. */
static raft_index forget_to(struct node *node, raft_index first,
                            raft_index flushed)
{
    raft_index from = within(wanted_from(node, flushed), flushed,
                             node->config.catch_up_entries);
    from = within(held_from(node, from), flushed, NODE_KEPT_MAX);
    raft_index to = from - 1;
    CHECK_LE(to, flushed);
    if (node->kept_to < first - 1) {
        node->kept_to = first - 1;
        node->kept_bytes = 0;
    }
    while (node->kept_to < flushed) {
        node->kept_bytes += entry_bytes(node, ++node->kept_to);
    }
    for (raft_index i = first; i <= flushed; i++) {
        if (i > to && node->kept_bytes <= node->config.catch_up_bytes) {
            break;
        }
        uint64_t bytes = entry_bytes(node, i);
        CHECK_LE(bytes, node->kept_bytes);
        node->kept_bytes -= bytes;
        to = i > to ? i : to;
    }
    return to;
}

/* The log's memory is let go behind what is in the kv file, and then its
 * files; but the last entry stays: a log that is short of the store's end is
 * known for an old copy by that. */
enum err node__forget(struct node *node)
{
    struct raft_status status;
    raft_index flushed = atomic_load(&node->flushed);
    raft_status(node->raft, &status);
    CHECK_LE(flushed, status.applied);
    struct raft_event event = {.type = RAFT_COMPACT, .index = flushed};
    if (status.first > flushed) {
        event.index = 0;
    } else if (node->has_others) {
        event.index = forget_to(node, status.first, flushed);
    }
    if (event.index >= status.first) {
        enum err err = node__step(node, &event);
        if (err != ERR_OK) {
            return err;
        }
    }
    raft_index to = flushed < status.last ? flushed : status.last - 1;
    if (status.last == 0 || to <= node->trimmed) {
        return ERR_OK;
    }
    node->trimmed = to;
    return err_wrap(wal_trim(node->wal, to), "trim the log");
}
