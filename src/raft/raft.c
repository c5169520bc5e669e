/* The life of a member, the step, and what its update says.
 *
 *               the election's time has come, or the leader was lost
 *       .----------------------------------------------------.
 *       |                                                    v
 *   FOLLOWER <--- no quorum would vote for it ---- PRE_CANDIDATE
 *    ^  ^  ^                                                 |
 *    |  |  '---- a quorum votes for others ----.             | a quorum would
 *    |  |                                      |             v
 *    |  '----- a leader of this term ------ CANDIDATE <------'
 *    |                                         |
 *    | a higher term; no quorum heard;         | votes of a quorum, its own
 *    | no member any more                      | durable
 *    '-------------------------------- LEADER <'
 *
 * (From anywhere a higher term leads to FOLLOWER.) With one voter there is no
 * pre-vote, its own durable vote is the quorum, and its own disk is the only
 * one that counts. The order of things is the general one all the same: term
 * and vote are durable before the vote counts, an entry before it is
 * committed.
 *
 * WHAT IS DURABLE. The caller writes what an update asks for and steps
 * RAFT_PERSISTED before it takes the next update. So an update that already
 * asks for something when RAFT_PERSISTED comes asks for what came after that
 * write: entries from its persist_from on, and its hard state, aren't durable
 * yet, whatever the event's index says.
 */
#include "base/check.h"
#include "raft/raft_int.h"

static void check_invariants(const struct raft *raft)
{
    CHECK(raft->id != 0);
    CHECK_LE(raft->log.base_index, raft->applied);
    CHECK_LE(raft->applied, raft->offered);
    CHECK_LE(raft->offered, raft->hard.commit);
    CHECK(raft->offered <= raft->persisted || PLANTED(COMMIT_UNSYNCED));
    CHECK_LE(raft->hard.commit, raft->log.last);
    CHECK_LE(raft->persisted, raft->emitted);
    CHECK_LE(raft->emitted, raft->log.last);
    CHECK_LE(raft->hard_durable, raft->hard_taken);
    CHECK_LE(raft->hard_taken, raft->hard_made);
    CHECK_LE(raft->answered, raft->agreed);
    CHECK_LE(raft->log.base_term, raft->hard.term);
    CHECK_LE(raft->committed.index, raft->hard.commit);
    CHECK_LE(raft->newest.index, raft->log.last);
    CHECK((raft->pending_count > 0) ==
          (raft->newest.index > raft->committed.index));
    if (raft->role == RAFT_LEADER) {
        CHECK_EQ(raft->leader, raft->id);
        CHECK_EQ(raft->hard.vote, raft->id);
        CHECK(raft->term_start > 0 && raft->term_start <= raft->log.last);
        CHECK(!raft->installing);
    } else {
        CHECK_NE(raft->leader, raft->id);
        CHECK(raft->role == RAFT_FOLLOWER || raft->leader == 0);
        CHECK_EQ(raft->transfer_to, 0);
        CHECK_EQ(raft->waiting_count, 0);
    }
}

/* ---- life ---------------------------------------------------------------- */

void raft_config_init(struct raft_config *config)
{
    *config = (struct raft_config){
        .heartbeat_ms = 100,
        .election_ms = 1000,
        .log_entries_max = 256 * 1024,
        .append_bytes_max = 1024 * 1024,
        .append_entries_max = 1024,
        .inflight_messages_max = 256,
        .inflight_bytes_max = 16 * 1024 * 1024,
        .pre_vote = true,
        .check_quorum = true,
        .drift_percent = 10,
    };
}

static void check_config(const struct raft_config *config)
{
    CHECK(config->id != 0);
    CHECK(config->heartbeat_ms > 0);
    CHECK_LT(config->heartbeat_ms, config->election_ms);
    CHECK(config->append_bytes_max > 0);
    CHECK(config->append_entries_max > 0);
    CHECK(config->inflight_messages_max > 0);
    CHECK(config->inflight_bytes_max > 0);
    CHECK(config->drift_percent >= 0 && config->drift_percent < 100);
    CHECK_LE(config->members.voter_count, RAFT_MEMBERS_MAX);
    CHECK_LE(config->members.learner_count, RAFT_MEMBERS_MAX);
}

struct raft *raft_new(const struct raft_config *config,
                      const struct raft_hard_state *hard_state,
                      raft_index snapshot_index, raft_term snapshot_term)
{
    check_config(config);
    struct raft *raft = mem_alloc_zero(sizeof(*raft));
    raft->config = *config;
    raft->id = config->id;
    raft->lease_ms = config->election_ms * (100 - config->drift_percent) / 100;
    prng_init(&raft->prng, config->seed);
    raft->hard = *hard_state;
    raft_log__init(&raft->log, config->log_entries_max, snapshot_index,
                   snapshot_term);
    raft->persisted = raft->emitted = snapshot_index;
    raft->offered = raft->applied = snapshot_index;
    raft->role = RAFT_FOLLOWER;
    raft__changes_reset(raft, snapshot_index, &config->members);
    raft__peers_init(raft);
    return raft;
}

void raft_free(struct raft *raft)
{
    if (raft != NULL) {
        raft__peers_deinit(raft);
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
        (void)raft__changes_cut(raft);
    }
    if (entry->term < raft_log__last_term(log) ||
        !raft_log__time_follows(raft_log__last_time_ns(log), entry)) {
        return err_set(ERR_CORRUPT, "term or time falls at entry %llu",
                       (unsigned long long)entry->index);
    }
    if (raft_log__room(log) == 0) {
        return err_set(ERR_TOO_LARGE,
                       "more than %zu entries are not in the store yet",
                       log->capacity);
    }
    enum err err = raft__changes_check_entry(entry);
    if (err != ERR_OK) {
        return err_wrap(err, "entry %llu", (unsigned long long)entry->index);
    }
    raft_log__append(log, entry);
    if (entry->type == RAFT_ENTRY_CHANGE) {
        raft__changes_add(raft, entry);
    }
    return ERR_OK;
}

void raft_restore_done(struct raft *raft)
{
    CHECK(!raft->started);
    raft->persisted = raft->emitted = raft->log.last;
    /* The hard state's commit is a hint that may be behind the snapshot, or
     * ahead of what a cut tail left. */
    if (raft->hard.commit < raft->log.base_index) {
        raft->hard.commit = raft->log.base_index;
    }
    if (raft->hard.commit > raft->log.last) {
        raft->hard.commit = raft->log.last;
    }
    /* A member has seen the terms of its entries, though its hard state may
     * have come by another way (a snapshot's). */
    if (raft->hard.term < raft_log__last_term(&raft->log)) {
        raft->hard.term = raft_log__last_term(&raft->log);
        raft->hard.vote = 0;
    }
    raft__changes_commit(raft, raft->log.base_index);
    raft__peers_renew(raft);
    raft->started = true;
    check_invariants(raft);
}

/* ---- what all concerns share --------------------------------------------- */

void raft__hard_changed(struct raft *raft)
{
    CHECK(raft->update != NULL);
    raft->hard_made++;
    raft->update->hard_state_changed = true;
}

void raft__set_role(struct raft *raft, enum raft_role role, member_id leader)
{
    CHECK((role == RAFT_LEADER) == (leader == raft->id));
    if (raft->role != role || raft->leader != leader) {
        raft->update->role_changed = true;
    }
    raft->role = role;
    raft->leader = leader;
}

void raft__commit_to(struct raft *raft, raft_index index)
{
    CHECK_LE(index, raft->log.last);
    raft_index before = raft->hard.commit;
    if (index > before) {
        raft->hard.commit = index;
        raft__changes_commit(raft, before);
    }
}

/* What was durable of it isn't counted any more: what comes in its place has
 * to be written first. */
void raft__cut(struct raft *raft, raft_index from)
{
    struct raft_update *update = raft->update;
    CHECK(from > raft->hard.commit);
    CHECK(from > raft->agreed);
    CHECK_NE(raft->role, RAFT_LEADER);
    raft_log__truncate(&raft->log, from);
    if (raft->emitted >= from) {
        raft->emitted = from - 1;
    }
    if (raft->persisted >= from) {
        raft->persisted = from - 1;
    }
    if (update->persist_from >= from) {
        update->persist_from = update->persist_to = 0;
    } else if (update->persist_to >= from) {
        update->persist_to = from - 1;
    }
    if (raft__changes_cut(raft)) {
        raft__peers_renew(raft);
    }
}

void raft__start_anew(struct raft *raft, raft_index index, raft_term term)
{
    CHECK_NE(raft->role, RAFT_LEADER);
    raft_log__reset(&raft->log, index, term);
    raft->hard.commit = index;
    raft->applied = raft->offered = index;
    raft->persisted = raft->emitted = index;
    raft->agreed = index; /* with any leader: it is committed */
    raft->answered = 0;
}

/* ---- the update ---------------------------------------------------------- */

void raft_update_init(struct raft_update *update)
{
    *update = (struct raft_update){.deadline_ms = INT64_MAX};
}

/* Gives out what has come into the log since the last time. */
static void emit_entries(struct raft *raft)
{
    struct raft_update *update = raft->update;
    if (raft->emitted < raft->log.last) {
        if (update->persist_from == 0 ||
            update->persist_from > raft->emitted + 1) {
            update->persist_from = raft->emitted + 1;
        }
        update->persist_to = raft->log.last;
        raft->emitted = raft->log.last;
    }
}

/* Only what is durable here too: a member that comes back must find in its
 * log what it had applied. */
static void emit_committed(struct raft *raft)
{
    struct raft_update *update = raft->update;
    raft_index to = raft->hard.commit;
    if (to > raft->persisted && !PLANTED(COMMIT_UNSYNCED)) {
        to = raft->persisted;
    }
    if (raft->offered < to) {
        if (update->apply_from == 0) {
            update->apply_from = raft->offered + 1;
        }
        CHECK_LE(update->apply_from, raft->offered + 1);
        update->apply_to = to;
        raft->offered = to;
    }
}

static int64_t deadline_ms(const struct raft *raft)
{
    if (raft->role == RAFT_LEADER) {
        return raft->peer_count == 0 ? INT64_MAX : raft->heartbeat_due_ms;
    }
    return raft__is_promotable(raft) ? raft->election_due_ms : INT64_MAX;
}

static void emit(struct raft *raft)
{
    struct raft_update *update = raft->update;
    if (!raft->installing) {
        emit_entries(raft);
        emit_committed(raft);
    }
    if (raft->role == RAFT_LEADER && raft->peer_count > 0) {
        raft__ask_snapshots(raft);
    }
    update->hard_state = raft->hard;
    if (raft->hard.commit > raft->persisted) {
        /* It may be on disk before the entries that it speaks of, and what is
         * there in their place isn't committed. */
        update->hard_state.commit = raft->persisted;
    }
    update->role = raft->role;
    update->leader = raft->leader;
    update->deadline_ms = deadline_ms(raft);
}

/* ---- the events ---------------------------------------------------------- */

static void on_tick(struct raft *raft)
{
    if (raft->role == RAFT_LEADER) {
        raft__leader_tick(raft);
    } else if (raft__is_promotable(raft) &&
               raft->now_ms >= raft->election_due_ms) {
        raft__campaign(raft, false);
    }
}

static size_t room_for_proposals(const struct raft *raft)
{
    size_t room = raft_log__room(&raft->log);
    size_t reserve = (raft->log.capacity + 15) / 16;
    CHECK(reserve > 0);
    reserve = reserve < RAFT_RESERVE_MAX ? reserve : RAFT_RESERVE_MAX;
    return room > reserve ? room - reserve : 0;
}

/* All or nothing. */
static enum err on_propose(struct raft *raft, const struct raft_event *event)
{
    if (raft->role != RAFT_LEADER) {
        return err_set(ERR_NOT_LEADER, "member is %s",
                       raft_role_text(raft->role));
    }
    /* Thesis 3.10: what is proposed now would delay the transfer or be lost
     * by it. */
    if (raft->transfer_to != 0) {
        return err_set(ERR_NOT_LEADER, "leadership is being handed over");
    }
    if (room_for_proposals(raft) < event->count) {
        return err_set(ERR_FULL, "the log's tail is full");
    }
    enum err err = raft__changes_check(raft, event->entries, event->count);
    if (err != ERR_OK) {
        return err;
    }
    for (size_t i = 0; i < event->count; i++) {
        raft__append_own(raft, &event->entries[i]);
    }
    return ERR_OK;
}

/* At most what had been given out before the update that is open now. */
static void on_persisted(struct raft *raft, const struct raft_event *event)
{
    raft_index index = event->index;
    raft_index given = raft->update->persist_from != 0
                           ? raft->update->persist_from - 1
                           : raft->emitted;
    CHECK_LE(event->term, raft->hard.term);
    if (index > given) {
        index = given;
    }
    if (index > raft->persisted) {
        raft->persisted = index;
    }
    raft->hard_durable = raft->hard_taken;
    raft__count_votes(raft);
    if (raft->role == RAFT_LEADER) {
        raft__advance_commit(raft);
    }
}

static void on_applied(struct raft *raft, const struct raft_event *event)
{
    CHECK_LE(raft->applied, event->index);
    CHECK_LE(event->index, raft->offered);
    raft->applied = event->index;
}

static void on_compact(struct raft *raft, const struct raft_event *event)
{
    CHECK_LE(event->index, raft->applied);
    if (!raft->installing) {
        raft_log__compact(&raft->log, event->index);
    }
}

static void on_peer_lost(struct raft *raft, member_id member)
{
    if (raft->role == RAFT_LEADER) {
        raft__on_unreachable(raft, member);
    } else if (member != 0 && raft->leader == member) {
        raft__on_leader_lost(raft);
    }
}

/* Of this term, and not a request for a vote. */
static void on_current(struct raft *raft, const struct raft_message *message)
{
    switch (message->type) {
    case RAFT_MESSAGE_VOTE_ANSWER:
        raft__on_vote_answer(raft, message);
        break;
    case RAFT_MESSAGE_APPEND:
        raft__on_append(raft, message);
        break;
    case RAFT_MESSAGE_APPEND_ANSWER:
        raft__on_append_answer(raft, message);
        break;
    case RAFT_MESSAGE_HEARTBEAT:
        raft__on_heartbeat(raft, message);
        break;
    case RAFT_MESSAGE_HEARTBEAT_ANSWER:
        raft__on_heartbeat_answer(raft, message);
        break;
    case RAFT_MESSAGE_TIMEOUT_NOW:
        raft__on_timeout_now(raft, message);
        break;
    case RAFT_MESSAGE_READ:
        raft__on_read_message(raft, message);
        break;
    case RAFT_MESSAGE_READ_ANSWER:
        raft__on_read_answer(raft, message);
        break;
    case RAFT_MESSAGE_PRE_VOTE:
    case RAFT_MESSAGE_PRE_VOTE_ANSWER:
    case RAFT_MESSAGE_VOTE:
    case RAFT_MESSAGE_SNAPSHOT:
        UNREACHABLE();
    }
}

/* Of an old term: its leader, if that is who speaks, learns of the new one
 * (paper 5.1). */
static void on_stale(struct raft *raft, const struct raft_message *message)
{
    enum raft_message_type type;
    if (message->type == RAFT_MESSAGE_APPEND) {
        type = RAFT_MESSAGE_APPEND_ANSWER;
    } else if (message->type == RAFT_MESSAGE_HEARTBEAT) {
        type = RAFT_MESSAGE_HEARTBEAT_ANSWER;
    } else {
        return;
    }
    struct raft_message answer = raft__message(raft, type, message->from);
    answer.rejected = true;
    answer.index = message->index;
    raft__send_durable(raft, &answer);
}

static void on_receive(struct raft *raft, const struct raft_message *message)
{
    if (message->to != raft->id || message->from == raft->id ||
        message->from == 0) {
        return; /* not for this member */
    }
    switch (message->type) {
    case RAFT_MESSAGE_PRE_VOTE:
        raft__on_pre_vote(raft, message);
        return;
    case RAFT_MESSAGE_PRE_VOTE_ANSWER:
        raft__on_pre_vote_answer(raft, message);
        return;
    case RAFT_MESSAGE_VOTE:
        raft__on_vote(raft, message);
        return;
    case RAFT_MESSAGE_SNAPSHOT:
        raft__on_snapshot(raft, message);
        return;
    default:
        break;
    }
    if (message->term < raft->hard.term) {
        on_stale(raft, message);
        return;
    }
    if (message->term > raft->hard.term) {
        raft__become_follower(raft, message->term, 0);
    }
    on_current(raft, message);
}

static enum err dispatch(struct raft *raft, const struct raft_event *event)
{
    switch (event->type) {
    case RAFT_TICK:
        on_tick(raft);
        return ERR_OK;
    case RAFT_CAMPAIGN:
        raft__campaign(raft, false);
        return ERR_OK;
    case RAFT_PROPOSE:
        return on_propose(raft, event);
    case RAFT_RECEIVE:
        CHECK(event->message != NULL);
        on_receive(raft, event->message);
        return ERR_OK;
    case RAFT_PERSISTED:
        on_persisted(raft, event);
        return ERR_OK;
    case RAFT_APPLIED:
        on_applied(raft, event);
        return ERR_OK;
    case RAFT_READ:
        return raft__on_read(raft, event->read);
    case RAFT_COMPACT:
        on_compact(raft, event);
        return ERR_OK;
    case RAFT_TRANSFER:
        return raft__on_transfer(raft, event->member);
    case RAFT_PEER_LOST:
        on_peer_lost(raft, event->member);
        return ERR_OK;
    case RAFT_UNREACHABLE:
        raft__on_unreachable(raft, event->member);
        return ERR_OK;
    case RAFT_SNAPSHOT_SENT:
        raft__on_snapshot_sent(raft, event);
        return ERR_OK;
    case RAFT_INSTALLED:
        raft__on_installed(raft, event->index);
        return ERR_OK;
    }
    UNREACHABLE();
}

/* The first event tells the time for the first time. */
static void set_timer(struct raft *raft)
{
    raft->timer_set = true;
    raft__draw_election(raft);
    raft__reads_init(raft);
    /* In an earlier life it may have heard from a leader that counts on its
     * lease (thesis 6.4.1); not where there is nobody else. */
    raft->votes_from_ms = raft->config.lease_reads && !raft__is_alone(raft)
                              ? raft->now_ms + raft->config.election_ms
                              : INT64_MIN;
}

enum err raft_step(struct raft *raft, const struct raft_event *event,
                   struct raft_update *update)
{
    CHECK(raft->started);
    CHECK(raft->update == NULL);
    raft->update = update;
    raft->now_ms = event->now_ms;
    if (!update->hard_state_changed) {
        raft->hard_taken = raft->hard_made;
    }
    if (!raft->timer_set) {
        set_timer(raft);
    }
    raft__leave_office(raft);
    enum err err = dispatch(raft, event);
    emit(raft);
    raft->update = NULL;
    check_invariants(raft);
    return err;
}
