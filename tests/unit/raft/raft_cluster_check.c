/* What must be true after each step (paper fig. 3, and what the caller is
 * promised). `slots` is the truth by index: every version of an entry that
 * any leader made, and the one that was committed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "unit/raft/raft_cluster.h"

_Noreturn void cluster_fail(const struct cluster *cluster, const char *format,
                            ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (cluster->trace != NULL) {
        const struct buf *out = &cluster->trace->out;
        (void)fwrite(out->at, 1, out->size, stderr);
    }
    print_error("seed %llu, at %lld ms: %s\n",
                (unsigned long long)cluster->seed, (long long)cluster->now_ms,
                text);
    fail();
    __builtin_unreachable();
}

void cluster__check_deinit(struct cluster *cluster)
{
    for (size_t i = 0; i < CLUSTER_LOG_MAX; i++) {
        mem_free(cluster->slots[i].versions);
        refbuf_unref(cluster->slots[i].data);
    }
}

bool cluster__disk_has(const struct cluster_member *member, raft_index index,
                       raft_term term)
{
    return index <= member->disk.state.index ||
           (index <= member->disk.last && member->disk.log[index].term == term);
}

/* ---- log matching -------------------------------------------------------- */

static struct cluster_slot *slot_of(struct cluster *cluster, raft_index index)
{
    assert_true(index < CLUSTER_LOG_MAX);
    return &cluster->slots[index];
}

static struct cluster_version *version_of(struct cluster *cluster,
                                          raft_index index, raft_term term)
{
    struct cluster_slot *slot = slot_of(cluster, index);
    for (size_t i = 0; i < slot->version_count; i++) {
        if (slot->versions[i].term == term) {
            return &slot->versions[i];
        }
    }
    return NULL;
}

static struct cluster_version version_from(const struct raft_entry *entry,
                                           raft_term prev_term)
{
    struct slice data = {0};
    if (entry->data != NULL) {
        data = slice_of(entry->data->bytes, entry->data->size);
    }
    return (struct cluster_version){.term = entry->term,
                                    .prev_term = prev_term,
                                    .type = entry->type,
                                    .hash = slice_hash(data, 1),
                                    .time_ns = entry->time_ns};
}

static void add_version(struct cluster *cluster, raft_index index,
                        const struct cluster_version *version)
{
    struct cluster_slot *slot = slot_of(cluster, index);
    slot->versions =
        mem_realloc(slot->versions,
                    (slot->version_count + 1) * sizeof(struct cluster_version));
    slot->versions[slot->version_count++] = *version;
}

/* A term's leader alone makes entries of the term, and each only once. The
 * entry before is the same for all who have the entry: so are all logs up to
 * it (paper 5.3). */
static void check_entry(struct cluster *cluster, struct cluster_member *member,
                        const struct raft_entry *entry, raft_term prev_term,
                        int64_t prev_time_ns)
{
    struct cluster_version now = version_from(entry, prev_term);
    struct cluster_version *was =
        version_of(cluster, entry->index, entry->term);
    if (entry->time_ns < prev_time_ns && entry->type != RAFT_ENTRY_EMPTY) {
        cluster_fail(cluster, "%d: time falls at entry %d", (int)member->id,
                     (int)entry->index);
    }
    if (was == NULL) {
        if (cluster->leaders[entry->term] != member->id) {
            cluster_fail(cluster, "%d: entry %d/%d is nobody's",
                         (int)member->id, (int)entry->term, (int)entry->index);
        }
        add_version(cluster, entry->index, &now);
    } else if (was->prev_term != now.prev_term || was->type != now.type ||
               was->hash != now.hash || was->time_ns != now.time_ns) {
        cluster_fail(cluster, "%d: entry %d/%d is another one elsewhere",
                     (int)member->id, (int)entry->term, (int)entry->index);
    }
}

/* Of the entries that are to be written. */
static void check_log(struct cluster *cluster, struct cluster_member *member)
{
    const struct raft_update *update = &member->update;
    const struct raft_entry *prev;
    if (update->persist_from == 0) {
        return;
    }
    prev = raft_entry_at(member->raft, update->persist_from - 1);
    raft_term prev_term = prev != NULL ? prev->term : 0;
    int64_t prev_time_ns =
        prev != NULL && prev->type != RAFT_ENTRY_EMPTY ? prev->time_ns : 0;
    for (raft_index i = update->persist_from; i <= update->persist_to; i++) {
        const struct raft_entry *entry = raft_entry_at(member->raft, i);
        if (entry == NULL) {
            cluster_fail(cluster, "%d: entry %d is to be written, but gone",
                         (int)member->id, (int)i);
        }
        if (prev == NULL && i > 1) {
            /* Compacted: what it was is known from the committed one. */
            prev_term = cluster->slots[i - 1].term;
        }
        check_entry(cluster, member, entry, prev_term, prev_time_ns);
        prev = entry;
        prev_term = entry->term;
        if (entry->type != RAFT_ENTRY_EMPTY) {
            prev_time_ns = entry->time_ns;
        }
    }
}

/* ---- commitment ---------------------------------------------------------- */

static size_t count_disks(struct cluster *cluster, const member_id *ids,
                          size_t count, raft_index index, raft_term term)
{
    size_t have = 0;
    for (size_t i = 0; i < count; i++) {
        const struct cluster_member *member = cluster_member(cluster, ids[i]);
        have += member != NULL && cluster__disk_has(member, index, term);
    }
    return have;
}

/* Paper 5.3 and 5.4.2, thesis 4.3. */
static void check_quorum(struct cluster *cluster,
                         const struct cluster_member *leader, raft_index index,
                         raft_term term)
{
    const struct raft_members *m = raft_members(leader->raft);
    size_t now = count_disks(cluster, m->voters, m->voter_count, index, term);
    size_t before =
        count_disks(cluster, m->outgoing, m->outgoing_count, index, term);
    if (now <= m->voter_count / 2 ||
        (m->outgoing_count > 0 && before <= m->outgoing_count / 2)) {
        cluster_fail(cluster,
                     "%d commits %d/%d, which is on %d disks of %d, and of the "
                     "outgoing on %d of %d",
                     (int)leader->id, (int)term, (int)index, (int)now,
                     (int)m->voter_count, (int)before, (int)m->outgoing_count);
    }
}

static void commit_one(struct cluster *cluster, const struct raft_entry *entry,
                       raft_term known_term)
{
    struct cluster_slot *slot = slot_of(cluster, entry->index);
    struct cluster_slot *before = slot_of(cluster, entry->index - 1);
    struct cluster_version version = version_from(entry, 0);
    uint64_t words[] = {before->state_hash, entry->term, version.hash,
                        (uint64_t)entry->time_ns, entry->type};
    slot->committed = true;
    slot->term = entry->term;
    slot->known_term = known_term;
    slot->state_hash = slice_hash(slice_of(words, sizeof(words)), 2);
    slot->change = before->change;
    if (entry->type == RAFT_ENTRY_CHANGE) {
        slot->change = entry->index;
        slot->data = refbuf_ref(entry->data);
        cluster->counters.changes++;
    }
}

/* It is always the leader who is first to know. */
static void commit_more(struct cluster *cluster, struct cluster_member *member,
                        const struct raft_status *status)
{
    const struct raft_entry *last = raft_entry_at(member->raft, status->commit);
    if (status->role != RAFT_LEADER || last == NULL ||
        last->term != status->term) {
        cluster_fail(cluster, "%d commits %d, not of its term or no leader",
                     (int)member->id, (int)status->commit);
    }
    check_quorum(cluster, member, status->commit, last->term);
    for (raft_index i = cluster->commit_max + 1; i <= status->commit; i++) {
        commit_one(cluster, raft_entry_at(member->raft, i), status->term);
    }
    cluster->commit_max = status->commit;
}

static void check_commit(struct cluster *cluster, struct cluster_member *member,
                         const struct raft_status *status)
{
    if (status->commit < member->commit_seen || status->commit > status->last ||
        status->applied > status->commit) {
        cluster_fail(cluster, "%d: commit %d was %d, last %d, applied %d",
                     (int)member->id, (int)status->commit,
                     (int)member->commit_seen, (int)status->last,
                     (int)status->applied);
    }
    if (status->commit > cluster->commit_max) {
        commit_more(cluster, member, status);
    }
    for (raft_index i = member->commit_seen + 1; i <= status->commit; i++) {
        const struct raft_entry *entry = raft_entry_at(member->raft, i);
        if (entry != NULL && entry->term != cluster->slots[i].term) {
            cluster_fail(cluster, "%d: %d/%d is committed elsewhere as of %d",
                         (int)member->id, (int)entry->term, (int)i,
                         (int)cluster->slots[i].term);
        }
    }
    member->commit_seen = status->commit;
}

/* ---- leaders ------------------------------------------------------------- */

/* Paper 5.4: a leader has all that was committed in earlier terms. */
static void check_complete(const struct cluster *cluster,
                           const struct cluster_member *leader,
                           const struct raft_status *status)
{
    for (raft_index i = status->first; i <= cluster->commit_max; i++) {
        const struct cluster_slot *slot = &cluster->slots[i];
        const struct raft_entry *entry = raft_entry_at(leader->raft, i);
        if (slot->known_term < status->term &&
            (entry == NULL || entry->term != slot->term)) {
            cluster_fail(cluster, "%d leads term %d without %d/%d",
                         (int)leader->id, (int)status->term, (int)slot->term,
                         (int)i);
        }
    }
}

static void check_leader(struct cluster *cluster, struct cluster_member *member,
                         const struct raft_status *status)
{
    assert_true(status->term < CLUSTER_TERMS_MAX);
    member_id *leader = &cluster->leaders[status->term];
    if (status->role != RAFT_LEADER) {
        return;
    }
    if (*leader == 0) {
        *leader = member->id;
        cluster->counters.elections++;
        check_complete(cluster, member, status);
    } else if (*leader != member->id) {
        cluster_fail(cluster, "%d and %d lead term %d", (int)*leader,
                     (int)member->id, (int)status->term);
    }
}

/* ---- memberships --------------------------------------------------------- */

struct raft_members cluster__members_at(const struct cluster *cluster,
                                        raft_index index)
{
    struct raft_members members = cluster->first_members;
    raft_index change = cluster->slots[index].change;
    if (change != 0) {
        const struct refbuf *data = cluster->slots[change].data;
        assert_int_equal(raft_members_decode(slice_of(data->bytes, data->size),
                                             &members, NULL),
                         ERR_OK);
    }
    return members;
}

/* The newest in the log counts, committed or not (thesis 4.1). */
static void check_members(const struct cluster *cluster,
                          struct cluster_member *member,
                          const struct raft_status *status)
{
    struct raft_members want;
    const struct raft_entry *entry = raft_entry_at(member->raft, status->last);
    raft_index at = status->last;
    raft_term last_term = entry != NULL ? entry->term : 0;
    if (member->last_seen == at && member->last_term_seen == last_term) {
        return; /* the same log as before, but for what is forgotten */
    }
    member->last_seen = at;
    member->last_term_seen = last_term;
    for (; at >= status->first; at--) {
        entry = raft_entry_at(member->raft, at);
        if (entry->type == RAFT_ENTRY_CHANGE) {
            break;
        }
    }
    if (at >= status->first) {
        assert_int_equal(
            raft_members_decode(slice_of(entry->data->bytes, entry->data->size),
                                &want, NULL),
            ERR_OK);
    } else if (cluster->slots[at].change == 0) {
        want = member->first_members;
    } else {
        want = cluster__members_at(cluster, at);
    }
    if (memcmp(&want, raft_members(member->raft), sizeof(want)) != 0) {
        cluster_fail(cluster, "%d has a wrong membership", (int)member->id);
    }
}

void cluster__check(struct cluster *cluster, struct cluster_member *member)
{
    struct raft_status status;
    raft_status(member->raft, &status);
    if (status.term < member->term_seen) {
        cluster_fail(cluster, "%d: term %d was %d", (int)member->id,
                     (int)status.term, (int)member->term_seen);
    }
    member->term_seen = status.term;
    check_leader(cluster, member, &status);
    check_log(cluster, member);
    check_commit(cluster, member, &status);
    check_members(cluster, member, &status);
}

/* ---- what leaves --------------------------------------------------------- */

/* Nothing is promised that a crash could take back (paper fig. 2). */
void cluster__check_message(const struct cluster *cluster,
                            const struct raft_message *message)
{
    const struct cluster_member *from = &cluster->members[message->from - 1];
    const struct cluster_disk *disk = &from->disk;
    bool kept = true;
    switch (message->type) {
    case RAFT_MESSAGE_VOTE:
        kept = disk->hard.term == message->term && disk->hard.vote == from->id;
        break;
    case RAFT_MESSAGE_VOTE_ANSWER:
        /* In a later term it can't vote in this one any more. */
        kept = message->rejected || disk->hard.term > message->term ||
               (disk->hard.term == message->term &&
                disk->hard.vote == message->to);
        break;
    case RAFT_MESSAGE_APPEND_ANSWER:
        kept = message->rejected ||
               (disk->hard.term >= message->term &&
                cluster__disk_has(from, message->index, message->log_term));
        break;
    case RAFT_MESSAGE_APPEND:
    case RAFT_MESSAGE_HEARTBEAT:
        kept = disk->hard.term >= message->term &&
               cluster->leaders[message->term] == from->id;
        break;
    default:
        break;
    }
    if (!kept) {
        cluster_fail(cluster, "%d sends a %s that its disk doesn't know",
                     (int)from->id, raft_message_text(message->type));
    }
}

/* ---- what is applied, and read ------------------------------------------- */

void cluster__check_apply(struct cluster *cluster,
                          struct cluster_member *member,
                          const struct raft_entry *entry)
{
    const struct cluster_slot *slot = &cluster->slots[entry->index];
    if (entry->index != member->state.index + 1 || !slot->committed ||
        slot->term != entry->term || entry->index > member->disk.last ||
        member->disk.log[entry->index].term != entry->term) {
        cluster_fail(cluster, "%d applies %d/%d: not committed, or not here",
                     (int)member->id, (int)entry->term, (int)entry->index);
    }
    if (entry->type != RAFT_ENTRY_EMPTY &&
        entry->time_ns < member->state.time_ns) {
        cluster_fail(cluster, "%d: time falls with %d/%d", (int)member->id,
                     (int)entry->term, (int)entry->index);
    }
    if (member->state.index > 0 &&
        member->state.hash != cluster->slots[member->state.index].state_hash) {
        cluster_fail(cluster, "%d has another state at %d", (int)member->id,
                     (int)member->state.index);
    }
}

/* A read sees all that was committed anywhere when it was asked. One answer
 * is an answer to all of lower numbers. */
static void check_read(struct cluster *cluster, struct cluster_member *member,
                       const struct raft_read_ready *ready)
{
    size_t kept = 0;
    cluster__say(cluster, member->id, "read", "%d at %d", (int)ready->read,
                 (int)ready->index);
    if (ready->index > cluster->commit_max) {
        cluster_fail(cluster, "%d: a read at %d, beyond what is committed",
                     (int)member->id, (int)ready->index);
    }
    for (size_t i = 0; i < member->read_count; i++) {
        const struct cluster_read *read = &member->reads[i];
        if (read->number > ready->read) {
            member->reads[kept++] = *read;
            continue;
        }
        if (ready->index < read->committed) {
            cluster_fail(cluster,
                         "%d: read %d sees %d, but %d was committed before",
                         (int)member->id, (int)read->number, (int)ready->index,
                         (int)read->committed);
        }
        cluster->counters.reads++;
    }
    member->read_count = kept;
}

void cluster__check_reads(struct cluster *cluster,
                          struct cluster_member *member)
{
    struct raft_update *update = &member->update;
    for (size_t i = 0; i < update->read_count; i++) {
        check_read(cluster, member, &update->reads[i]);
    }
    update->read_count = 0;
}
