/* The state machine: raft_step and what each event does.
 *
 *              campaign, or the election timeout passed
 *   FOLLOWER ------------------------------------------> CANDIDATE
 *       ^                                                    |
 *       |   a higher term is seen           votes of a quorum|
 *       '---------------------- LEADER <---------------------'
 *
 * With one voter the candidate's own vote, once durable, is a quorum, and the
 * leader's own disk is the only one that counts for commitment. The order of
 * things is the general one all the same: term and vote are durable before
 * the vote counts, an entry before it is committed.
 */
#include "raft/raft.h"

#include "base/check.h"
#include "base/prng.h"
#include "raft/log_int.h"

struct raft {
    member_id id;
    struct prng prng;
    int64_t heartbeat_ms;
    int64_t election_ms;
    member_id voter; /* the one there is; 0: none, never a leader */

    struct raft_hard_state hard; /* invariant: hard.commit <= log.last */
    bool vote_durable;           /* hard.vote may be counted */
    struct raft_log log;
    raft_index persisted; /* log up to here is durable */
    raft_index emitted;   /* log up to here was given out to be persisted */
    raft_index offered;   /* commit up to here was given out to be applied */
    raft_index applied;   /* offered up to here is applied */
    enum raft_role role;
    member_id leader;
    raft_index term_start; /* the empty entry of this leader's term */
    int64_t election_deadline_ms;
    bool started;
    struct raft_read_ready reads[RAFT_READS_MAX]; /* of the open update */
};

static void check_invariants(const struct raft *raft)
{
    CHECK(raft->id != 0);
    CHECK_LE(raft->applied, raft->offered);
    CHECK_LE(raft->offered, raft->hard.commit);
    CHECK_LE(raft->hard.commit, raft->log.last);
    CHECK_LE(raft->persisted, raft->emitted);
    CHECK_LE(raft->emitted, raft->log.last);
    CHECK_LE(raft->log.base_index, raft->applied);
    CHECK(raft->role != RAFT_LEADER || raft->leader == raft->id);
    CHECK(raft->role != RAFT_LEADER || raft->hard.vote == raft->id);
}

static void draw_election_deadline(struct raft *raft, int64_t now_ms)
{
    raft->election_deadline_ms =
        now_ms +
        prng_between(&raft->prng, raft->election_ms, 2 * raft->election_ms - 1);
}

struct raft *raft_new(const struct raft_config *config,
                      const struct raft_hard_state *hard_state,
                      raft_index snapshot_index, raft_term snapshot_term)
{
    CHECK(config->id != 0);
    CHECK(config->heartbeat_ms > 0);
    CHECK_LT(config->heartbeat_ms, config->election_ms);
    CHECK(config->voter_count <= 1);
    struct raft *raft = mem_alloc_zero(sizeof(*raft));
    raft->id = config->id;
    prng_init(&raft->prng, config->seed);
    raft->heartbeat_ms = config->heartbeat_ms;
    raft->election_ms = config->election_ms;
    raft->voter = config->voter_count > 0 ? config->voters[0] : 0;
    raft->hard = *hard_state;
    raft_log__init(&raft->log, config->log_entries_max, snapshot_index,
                   snapshot_term);
    raft->persisted = raft->emitted = snapshot_index;
    raft->offered = raft->applied = snapshot_index;
    raft->role = RAFT_FOLLOWER;
    return raft;
}

void raft_free(struct raft *raft)
{
    if (raft != NULL) {
        raft_log__deinit(&raft->log);
        mem_free(raft);
    }
}

enum err raft_restore_entry(struct raft *raft, const struct raft_entry *entry)
{
    struct raft_log *log = &raft->log;
    CHECK(!raft->started);
    if (entry->index <= log->base_index || entry->index > log->last + 1) {
        return err_set(ERR_CORRUPT, "the log jumps from entry %llu to %llu",
                       (unsigned long long)log->last,
                       (unsigned long long)entry->index);
    }
    if (entry->index <= log->last) {
        raft_log__truncate(log, entry->index);
    }
    if (entry->term < raft_log__last_term(log) ||
        entry->time_ns < raft_log__last_time_ns(log)) {
        return err_set(ERR_CORRUPT, "term or time falls at entry %llu",
                       (unsigned long long)entry->index);
    }
    if (raft_log__room(log) == 0) {
        return err_set(ERR_TOO_LARGE,
                       "more than %zu entries are not in the store yet",
                       log->capacity);
    }
    raft_log__append(log, entry);
    return ERR_OK;
}

void raft_restore_done(struct raft *raft)
{
    CHECK(!raft->started);
    raft->started = true;
    raft->persisted = raft->emitted = raft->log.last;
    /* The hard state's commit is a hint that may be behind the snapshot, or
     * ahead of what a cut tail left. */
    if (raft->hard.commit < raft->log.base_index) {
        raft->hard.commit = raft->log.base_index;
    }
    if (raft->hard.commit > raft->log.last) {
        raft->hard.commit = raft->log.last;
    }
    check_invariants(raft);
}

void raft_update_init(struct raft_update *update)
{
    update->hard_state_changed = false;
    *update = (struct raft_update){.deadline_ms = INT64_MAX};
}

static void set_role(struct raft *raft, enum raft_role role,
                     struct raft_update *update)
{
    raft->role = role;
    raft->leader = role == RAFT_LEADER ? raft->id : 0;
    update->role_changed = true;
}

/* Gives out what was appended since the last time. */
static void emit_entries(struct raft *raft, struct raft_update *update)
{
    if (raft->emitted < raft->log.last) {
        if (update->persist_from == 0) {
            update->persist_from = raft->emitted + 1;
        }
        update->persist_to = raft->log.last;
        raft->emitted = raft->log.last;
    }
}

static void emit_committed(struct raft *raft, struct raft_update *update)
{
    if (raft->offered < raft->hard.commit) {
        if (update->apply_from == 0) {
            update->apply_from = raft->offered + 1;
        }
        update->apply_to = raft->hard.commit;
        raft->offered = raft->hard.commit;
    }
}

/* Paper 5.3 and 5.4.2: an entry is committed once a quorum has it durable,
 * and only entries of the leader's own term are counted. */
static void advance_commit(struct raft *raft)
{
    if (raft->role == RAFT_LEADER && raft->persisted >= raft->term_start &&
        raft->persisted > raft->hard.commit) {
        raft->hard.commit = raft->persisted;
    }
}

/* Paper 5.2. The vote is counted when it is durable: see on_persisted. */
static void campaign(struct raft *raft, int64_t now_ms,
                     struct raft_update *update)
{
    if (raft->role == RAFT_LEADER || raft->voter != raft->id) {
        return;
    }
    raft->hard.term++;
    raft->hard.vote = raft->id;
    raft->vote_durable = false;
    update->hard_state_changed = true;
    set_role(raft, RAFT_CANDIDATE, update);
    draw_election_deadline(raft, now_ms);
}

static void append_own(struct raft *raft, struct raft_entry *entry)
{
    int64_t last_time_ns = raft_log__last_time_ns(&raft->log);
    CHECK_EQ(raft->role, RAFT_LEADER);
    entry->term = raft->hard.term;
    entry->index = raft->log.last + 1;
    if (entry->time_ns < last_time_ns) {
        entry->time_ns = last_time_ns;
    }
    raft_log__append(&raft->log, entry);
}

/* A new leader's first entry is empty: with it everything before is
 * committed (paper 5.4.2 and 8). */
static void become_leader(struct raft *raft, struct raft_update *update)
{
    struct raft_entry empty = {.type = RAFT_ENTRY_EMPTY};
    CHECK_EQ(raft->role, RAFT_CANDIDATE);
    CHECK_EQ(raft->hard.vote, raft->id);
    CHECK(raft->vote_durable);
    set_role(raft, RAFT_LEADER, update);
    raft->term_start = raft->log.last + 1;
    append_own(raft, &empty);
}

static enum err on_propose(struct raft *raft, const struct raft_event *event)
{
    if (raft->role != RAFT_LEADER) {
        return err_set(ERR_NOT_LEADER, "member is %s",
                       raft_role_text(raft->role));
    }
    if (raft_log__room(&raft->log) < event->count) {
        return err_set(ERR_FULL, "the log's tail is full");
    }
    for (size_t i = 0; i < event->count; i++) {
        append_own(raft, &event->entries[i]);
    }
    return ERR_OK;
}

static void on_persisted(struct raft *raft, const struct raft_event *event,
                         struct raft_update *update)
{
    CHECK_LE(event->index, raft->emitted);
    CHECK_LE(event->term, raft->hard.term);
    if (event->index > raft->persisted) {
        raft->persisted = event->index;
    }
    if (raft->role == RAFT_CANDIDATE && event->term == raft->hard.term) {
        raft->vote_durable = true;
        become_leader(raft, update);
    }
    advance_commit(raft);
}

static void on_applied(struct raft *raft, const struct raft_event *event)
{
    CHECK_LE(raft->applied, event->index);
    CHECK_LE(event->index, raft->offered);
    raft->applied = event->index;
}

/* Thesis 6.4: a leader that has committed an entry of its own term, and that
 * a quorum still follows, may serve reads from its commit index. One voter is
 * its own quorum. */
static enum err on_read(struct raft *raft, const struct raft_event *event,
                        struct raft_update *update)
{
    if (raft->role != RAFT_LEADER || raft->hard.commit < raft->term_start) {
        return err_set(ERR_NO_LEADER, "no leader has committed in this term");
    }
    if (update->read_count == RAFT_READS_MAX) {
        return err_set(ERR_FULL, "too many reads wait");
    }
    raft->reads[update->read_count++] =
        (struct raft_read_ready){event->read, raft->hard.commit};
    update->reads = raft->reads;
    return ERR_OK;
}

static void on_tick(struct raft *raft, const struct raft_event *event,
                    struct raft_update *update)
{
    if (raft->role == RAFT_LEADER) {
        return;
    }
    if (raft->election_deadline_ms == 0) {
        draw_election_deadline(raft, event->now_ms);
    } else if (event->now_ms >= raft->election_deadline_ms) {
        campaign(raft, event->now_ms, update);
    }
}

static enum err dispatch(struct raft *raft, const struct raft_event *event,
                         struct raft_update *update)
{
    switch (event->type) {
    case RAFT_TICK:
        on_tick(raft, event, update);
        return ERR_OK;
    case RAFT_CAMPAIGN:
        campaign(raft, event->now_ms, update);
        return ERR_OK;
    case RAFT_PROPOSE:
        return on_propose(raft, event);
    case RAFT_PERSISTED:
        on_persisted(raft, event, update);
        return ERR_OK;
    case RAFT_APPLIED:
        on_applied(raft, event);
        return ERR_OK;
    case RAFT_READ:
        return on_read(raft, event, update);
    case RAFT_COMPACT:
        CHECK_LE(event->index, raft->applied);
        raft_log__compact(&raft->log, event->index);
        return ERR_OK;
    }
    UNREACHABLE();
}

enum err raft_step(struct raft *raft, const struct raft_event *event,
                   struct raft_update *update)
{
    CHECK(raft->started);
    enum err err = dispatch(raft, event, update);
    emit_entries(raft, update);
    emit_committed(raft, update);
    update->hard_state = raft->hard;
    update->role = raft->role;
    update->leader = raft->leader;
    update->deadline_ms = raft->role == RAFT_LEADER || raft->voter != raft->id
                              ? INT64_MAX
                              : raft->election_deadline_ms;
    check_invariants(raft);
    return err;
}

const struct raft_entry *raft_entry_at(const struct raft *raft,
                                       raft_index index)
{
    return raft_log__at(&raft->log, index);
}

void raft_status(const struct raft *raft, struct raft_status *out)
{
    *out = (struct raft_status){
        .id = raft->id,
        .role = raft->role,
        .leader = raft->leader,
        .term = raft->hard.term,
        .first = raft->log.base_index + 1,
        .last = raft->log.last,
        .persisted = raft->persisted,
        .commit = raft->hard.commit,
        .applied = raft->applied,
    };
}

const char *raft_role_text(enum raft_role role)
{
    switch (role) {
    case RAFT_FOLLOWER:
        return "StateFollower";
    case RAFT_PRE_CANDIDATE:
        return "StatePreCandidate";
    case RAFT_CANDIDATE:
        return "StateCandidate";
    case RAFT_LEADER:
        return "StateLeader";
    }
    UNREACHABLE();
}
