#include "unit/raft/raft_cluster.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

/* ---- life ---------------------------------------------------------------- */

static struct raft_entry copy_of(const struct raft_entry *entry)
{
    struct raft_entry copy = *entry;
    if (entry->data != NULL) {
        copy.data = refbuf_ref(entry->data);
    }
    return copy;
}

static int64_t clock_of(const struct cluster *cluster,
                        const struct cluster_member *member)
{
    return member->clock_offset_ms +
           cluster->now_ms * member->clock_permille / 1000;
}

struct cluster_member *cluster_member(struct cluster *cluster, member_id id)
{
    return id >= 1 && id <= cluster->member_count ? &cluster->members[id - 1]
                                                  : NULL;
}

struct cluster_member *cluster_leader(struct cluster *cluster)
{
    struct cluster_member *leader = NULL;
    raft_term term = 0;
    for (size_t i = 0; i < cluster->member_count; i++) {
        struct cluster_member *member = &cluster->members[i];
        struct raft_status status;
        if (member->raft == NULL) {
            continue;
        }
        raft_status(member->raft, &status);
        if (status.role == RAFT_LEADER && status.term >= term) {
            leader = member;
            term = status.term;
        }
    }
    return leader;
}

struct cluster_member *cluster_add(struct cluster *cluster, bool up)
{
    assert_true(cluster->member_count < CLUSTER_MEMBERS_MAX);
    struct cluster_member *member = &cluster->members[cluster->member_count++];
    member->id = cluster->member_count;
    member->clock_permille = 1000;
    member->read_next = 1;
    member->disk.log =
        mem_alloc_zero(CLUSTER_LOG_MAX * sizeof(struct raft_entry));
    if (up) {
        cluster_start(cluster, member);
    }
    return member;
}

struct cluster *cluster_new(const struct raft_config *config, size_t voters,
                            size_t learners, uint64_t seed)
{
    struct cluster *cluster = mem_alloc_zero(sizeof(*cluster));
    struct raft_members *members = &cluster->first_members;
    cluster->config = *config;
    cluster->seed = seed;
    cluster->leave_joint = true;
    for (member_id id = 1; id <= voters; id++) {
        members->voters[members->voter_count++] = id;
    }
    for (member_id id = voters + 1; id <= voters + learners; id++) {
        members->learners[members->learner_count++] = id;
    }
    for (size_t i = 0; i < voters + learners; i++) {
        struct cluster_member *member = cluster_add(cluster, false);
        member->first_members = *members;
        member->disk.state.members = *members;
        cluster_start(cluster, member);
    }
    return cluster;
}

void cluster_free(struct cluster *cluster)
{
    cluster__net_deinit(cluster);
    for (size_t i = 0; i < cluster->member_count; i++) {
        struct cluster_member *member = &cluster->members[i];
        raft_free(member->raft);
        for (size_t at = 0; at < CLUSTER_LOG_MAX; at++) {
            refbuf_unref(member->disk.log[at].data);
        }
        mem_free(member->disk.log);
    }
    cluster__check_deinit(cluster);
    mem_free(cluster);
}

/* From the disk alone. */
void cluster_start(struct cluster *cluster, struct cluster_member *member)
{
    struct cluster_disk *disk = &member->disk;
    struct raft_config config = cluster->config;
    assert_null(member->raft);
    config.id = member->id;
    config.seed = cluster->seed * 1000 + member->id * 100 + member->lives++;
    config.members = disk->state.members;
    member->state = disk->state;
    member->incoming.index = 0;
    member->read_count = 0;
    member->raft =
        raft_new(&config, &disk->hard, disk->state.index, disk->state.term);
    for (raft_index i = disk->state.index + 1; i <= disk->last; i++) {
        struct raft_entry entry = copy_of(&disk->log[i]);
        assert_int_equal(raft_restore_entry(member->raft, &entry), ERR_OK);
    }
    raft_restore_done(member->raft);
    raft_update_init(&member->update);
    member->term_seen = disk->hard.term;
    member->commit_seen = 0;
    member->last_seen = UINT64_MAX;
    member->role_seen = RAFT_FOLLOWER;
    member->leader_seen = 0;
    cluster_tick(cluster, member);
}

void cluster_crash(struct cluster *cluster, struct cluster_member *member)
{
    cluster__say(cluster, member->id, "crash", " ");
    raft_free(member->raft);
    member->raft = NULL;
    cluster->counters.crashes++;
    if (member->incoming.index > 0) {
        struct cluster_member *from =
            cluster_member(cluster, member->incoming_from);
        raft_index index = member->incoming.index;
        member->incoming.index = 0;
        if (from->raft != NULL) {
            (void)cluster_step(cluster, from,
                               (struct raft_event){.type = RAFT_SNAPSHOT_SENT,
                                                   .member = member->id,
                                                   .index = index,
                                                   .failed = true});
        }
    }
}

/* ---- events -------------------------------------------------------------- */

enum err cluster_step(struct cluster *cluster, struct cluster_member *member,
                      struct raft_event event)
{
    assert_non_null(member->raft);
    event.now_ms = clock_of(cluster, member);
    enum err err = raft_step(member->raft, &event, &member->update);
    member->deadline_ms = member->update.deadline_ms;
    cluster__say_role(cluster, member);
    cluster__check(cluster, member);
    cluster__check_reads(cluster, member);
    return err;
}

void cluster_tick(struct cluster *cluster, struct cluster_member *member)
{
    assert_int_equal(
        cluster_step(cluster, member, (struct raft_event){.type = RAFT_TICK}),
        ERR_OK);
}

/* The clocks of members differ, and none is behind what it has applied. */
static enum err propose(struct cluster *cluster, struct cluster_member *member,
                        enum raft_entry_type type, struct refbuf *data)
{
    struct raft_entry entry = {.type = type, .data = data};
    entry.time_ns = clock_of(cluster, member) * 1000000;
    if (entry.time_ns < member->state.time_ns) {
        entry.time_ns = member->state.time_ns;
    }
    enum err err =
        cluster_step(cluster, member,
                     (struct raft_event){
                         .type = RAFT_PROPOSE, .entries = &entry, .count = 1});
    if (err != ERR_OK) {
        refbuf_unref(data);
    }
    return err;
}

enum err cluster_propose(struct cluster *cluster, struct cluster_member *member,
                         const char *text)
{
    return propose(cluster, member, RAFT_ENTRY_COMMAND,
                   refbuf_dup(text, strlen(text)));
}

static enum err propose_members(struct cluster *cluster,
                                struct cluster_member *member,
                                const struct raft_members *members)
{
    struct buf bytes = {0};
    raft_members_encode(members, &bytes);
    struct refbuf *data = refbuf_dup(bytes.at, bytes.size);
    buf_deinit(&bytes);
    return propose(cluster, member, RAFT_ENTRY_CHANGE, data);
}

enum err cluster_change(struct cluster *cluster, struct cluster_member *member,
                        const struct raft_change *changes, size_t count)
{
    struct raft_members next;
    enum err err =
        raft_members_change(raft_members(member->raft), changes, count, &next);
    return err != ERR_OK ? err : propose_members(cluster, member, &next);
}

enum err cluster_leave_joint(struct cluster *cluster,
                             struct cluster_member *member)
{
    struct raft_members next;
    raft_members_leave_joint(raft_members(member->raft), &next);
    return propose_members(cluster, member, &next);
}

enum err cluster_read(struct cluster *cluster, struct cluster_member *member)
{
    struct cluster_read read = {member->read_next, cluster->commit_max};
    if (member->read_count == CLUSTER_READS_MAX) {
        return ERR_FULL;
    }
    /* It may be answered in the step itself. */
    member->reads[member->read_count++] = read;
    enum err err = cluster_step(
        cluster, member,
        (struct raft_event){.type = RAFT_READ, .read = read.number});
    if (err == ERR_OK) {
        member->read_next++;
    } else {
        assert_int_equal(member->reads[member->read_count - 1].number,
                         read.number);
        member->read_count--;
    }
    return err;
}

/* ---- a turn -------------------------------------------------------------- */

bool cluster_send(struct cluster *cluster, struct cluster_member *member)
{
    struct raft_message message;
    bool sent = false;
    while (raft_next_message(member->raft, &message)) {
        cluster__check_message(cluster, &message);
        cluster_net_send(cluster, &message, NULL);
        sent = true;
    }
    struct raft_update *update = &member->update;
    for (size_t i = 0; i < update->snapshot_to_count; i++) {
        const struct cluster_state *state = &member->disk.state;
        struct raft_status status;
        raft_status(member->raft, &status);
        assert_true(state->index + 1 >= status.first);
        message = (struct raft_message){.type = RAFT_MESSAGE_SNAPSHOT,
                                        .from = member->id,
                                        .to = update->snapshot_to[i],
                                        .term = status.term,
                                        .index = state->index,
                                        .log_term = state->term,
                                        .members = &state->members};
        cluster_net_send(cluster, &message, state);
        sent = true;
    }
    update->snapshot_to_count = 0;
    return sent;
}

static void write_hard_state(struct cluster *cluster,
                             struct cluster_member *member,
                             const struct raft_update *update)
{
    if (update->hard_state_changed) {
        member->disk.hard = update->hard_state;
        cluster__say(cluster, member->id, "write", "term %d, vote %d",
                     (int)update->hard_state.term,
                     (int)update->hard_state.vote);
    }
}

static void write_entries(struct cluster *cluster,
                          struct cluster_member *member, raft_index from,
                          raft_index to)
{
    struct cluster_disk *disk = &member->disk;
    if (from == 0 || from > to) {
        return;
    }
    assert_true(from > disk->state.index && from <= disk->last + 1);
    assert_true(to < CLUSTER_LOG_MAX);
    for (raft_index i = from; i <= to; i++) {
        const struct raft_entry *entry = raft_entry_at(member->raft, i);
        assert_non_null(entry);
        refbuf_unref(disk->log[i].data);
        disk->log[i] = copy_of(entry);
    }
    disk->last = to;
    cluster__say_entries(cluster, member->id, "write", &disk->log[from],
                         (size_t)(to - from) + 1);
}

/* What came takes the place of all that is here. */
static void install(struct cluster *cluster, struct cluster_member *member)
{
    raft_index index = member->incoming.index;
    assert_true(index == member->update.install_index);
    assert_true(member->incoming.term == member->update.install_term);
    assert_true(member->update.persist_from == 0);
    assert_true(member->update.apply_from == 0);
    if (index <= member->state.index) {
        cluster_fail(cluster, "%d: a snapshot of %d replaces a state of %d",
                     (int)member->id, (int)index, (int)member->state.index);
    }
    if (cluster->slots[index].change == 0) {
        /* Whoever joined learns who was there in the beginning. */
        member->first_members = member->incoming.members;
    }
    member->disk.state = member->state = member->incoming;
    member->disk.last = index;
    member->incoming.index = 0;
    cluster->counters.snapshots++;
    cluster__say(cluster, member->id, "install", "%d/%d",
                 (int)member->state.term, (int)index);
    raft_update_init(&member->update);
    (void)cluster_step(
        cluster, member,
        (struct raft_event){.type = RAFT_INSTALLED, .index = index});
    struct cluster_member *from =
        cluster_member(cluster, member->incoming_from);
    if (from->raft != NULL) {
        bool failed = cluster->cut[member->id - 1][from->id - 1];
        (void)cluster_step(cluster, from,
                           (struct raft_event){.type = RAFT_SNAPSHOT_SENT,
                                               .member = member->id,
                                               .index = index,
                                               .failed = failed});
    }
}

bool cluster_write(struct cluster *cluster, struct cluster_member *member)
{
    struct raft_update *update = &member->update;
    bool worked = false;
    if (update->hard_state_changed || update->persist_from != 0) {
        struct raft_event event = {.type = RAFT_PERSISTED,
                                   .index = update->persist_to,
                                   .term = update->hard_state.term};
        write_hard_state(cluster, member, update);
        write_entries(cluster, member, update->persist_from,
                      update->persist_to);
        /* What is left of the update is what comes after a write. */
        update->hard_state_changed = false;
        update->persist_from = update->persist_to = 0;
        assert_int_equal(cluster_step(cluster, member, event), ERR_OK);
        worked = true;
    }
    if (member->update.install) {
        install(cluster, member);
        worked = true;
    }
    return worked;
}

void cluster_crash_in_write(struct cluster *cluster,
                            struct cluster_member *member, size_t entries)
{
    const struct raft_update *update = &member->update;
    raft_index to = update->persist_to;
    if (update->persist_from != 0 && to > update->persist_from + entries - 1) {
        to = update->persist_from + entries - 1;
    }
    write_hard_state(cluster, member, update);
    write_entries(cluster, member, update->persist_from, to);
    cluster_crash(cluster, member);
}

static void apply_one(struct cluster *cluster, struct cluster_member *member,
                      const struct raft_entry *entry)
{
    struct cluster_state *state = &member->state;
    cluster__check_apply(cluster, member, entry);
    state->index = entry->index;
    state->term = entry->term;
    state->hash = cluster->slots[entry->index].state_hash;
    if (entry->type != RAFT_ENTRY_EMPTY) {
        state->time_ns = entry->time_ns;
    }
    if (entry->type == RAFT_ENTRY_CHANGE) {
        state->members = cluster__members_at(cluster, entry->index);
    }
    cluster->counters.applied++;
}

bool cluster_apply(struct cluster *cluster, struct cluster_member *member)
{
    struct raft_update *update = &member->update;
    raft_index to = update->apply_to;
    if (update->apply_from == 0) {
        return false;
    }
    assert_true(update->apply_from == member->state.index + 1);
    for (raft_index i = update->apply_from; i <= to; i++) {
        const struct raft_entry *entry = raft_entry_at(member->raft, i);
        assert_non_null(entry);
        apply_one(cluster, member, entry);
    }
    cluster__say_entries(cluster, member->id, "apply",
                         &member->disk.log[update->apply_from],
                         (size_t)(to - update->apply_from) + 1);
    update->apply_from = update->apply_to = 0;
    assert_int_equal(
        cluster_step(cluster, member,
                     (struct raft_event){.type = RAFT_APPLIED, .index = to}),
        ERR_OK);
    return true;
}

bool cluster_turn(struct cluster *cluster, struct cluster_member *member)
{
    struct raft_status status;
    bool worked = cluster_send(cluster, member);
    worked |= cluster_write(cluster, member);
    worked |= cluster_send(cluster, member);
    worked |= cluster_apply(cluster, member);
    raft_status(member->raft, &status);
    if (cluster->leave_joint && status.leave_joint_due) {
        worked |= cluster_leave_joint(cluster, member) == ERR_OK;
    }
    return worked;
}

void cluster_save(struct cluster *cluster, struct cluster_member *member)
{
    (void)cluster;
    member->disk.state = member->state;
}

void cluster_compact(struct cluster *cluster, struct cluster_member *member,
                     raft_index index)
{
    assert_true(index <= member->disk.state.index);
    (void)cluster_step(
        cluster, member,
        (struct raft_event){.type = RAFT_COMPACT, .index = index});
}

/* ---- all ----------------------------------------------------------------- */

static bool turn_all(struct cluster *cluster)
{
    bool worked = false;
    for (size_t i = 0; i < cluster->member_count; i++) {
        struct cluster_member *member = &cluster->members[i];
        if (member->raft != NULL && !member->paused) {
            worked |= cluster_turn(cluster, member);
        }
    }
    return worked;
}

/* What is on its way now, and not what is sent meanwhile. */
static bool deliver_all(struct cluster *cluster)
{
    bool worked = false;
    size_t at = 0;
    for (size_t left = cluster->packet_count; left > 0; left--) {
        const struct cluster_member *to =
            cluster_member(cluster, cluster->packets[at]->message.to);
        if (to != NULL && to->paused) {
            at++;
        } else {
            cluster_net_deliver(cluster, at);
            worked = true;
        }
    }
    return worked;
}

void cluster_settle(struct cluster *cluster)
{
    bool worked = true;
    for (int round = 0; worked; round++) {
        if (round == 10000) {
            cluster_fail(cluster, "there is no end of messages");
        }
        worked = turn_all(cluster);
        worked |= deliver_all(cluster);
    }
}

/* The next moment, in the cluster's time, when somebody is to be woken. */
static int64_t next_wake(const struct cluster *cluster)
{
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < cluster->member_count; i++) {
        const struct cluster_member *member = &cluster->members[i];
        if (member->raft != NULL && !member->paused &&
            member->deadline_ms != INT64_MAX) {
            int64_t local = member->deadline_ms - member->clock_offset_ms;
            int64_t at = (local * 1000 + member->clock_permille - 1) /
                         member->clock_permille;
            next = at < next ? at : next;
        }
    }
    return next;
}

static void tick_all(struct cluster *cluster)
{
    for (size_t i = 0; i < cluster->member_count; i++) {
        struct cluster_member *member = &cluster->members[i];
        if (member->raft != NULL && !member->paused &&
            clock_of(cluster, member) >= member->deadline_ms) {
            cluster_tick(cluster, member);
        }
    }
}

void cluster_run(struct cluster *cluster, int64_t ms)
{
    int64_t end = cluster->now_ms + ms;
    int standing = 0;
    cluster_settle(cluster);
    for (;;) {
        int64_t next = next_wake(cluster);
        if (next > end) {
            break;
        }
        standing = next > cluster->now_ms ? 0 : standing + 1;
        if (standing > 100) {
            cluster_fail(cluster, "a deadline stands still");
        }
        cluster->now_ms = next > cluster->now_ms ? next : cluster->now_ms;
        tick_all(cluster);
        cluster_settle(cluster);
    }
    cluster->now_ms = end;
}
