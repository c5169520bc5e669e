/* A follower, or a learner: what its leader sends, and what it answers
 * (paper 5.3; thesis 3.5).
 *
 * Answers are merged: however many appends have come, one answer says up to
 * where the log is durable and the leader's. */
#include "base/check.h"
#include "raft/raft_int.h"

void raft__hear_leader(struct raft *raft, member_id leader)
{
    CHECK_NE(leader, raft->id);
    if (raft->role != RAFT_FOLLOWER || raft->leader != leader) {
        raft__become_follower(raft, raft->hard.term, leader);
        raft->own_due = raft->own_waits;
    }
    raft->heard_ms = raft->now_ms;
    if (raft->config.lease_reads) {
        /* Its lease may stand on this, whoever is followed next. */
        raft->votes_from_ms = raft->now_ms + raft->config.election_ms;
    }
    raft->hurry = 0;
    raft__draw_election(raft);
}

/* ---- appends ------------------------------------------------------------- */

/* Paper 5.3, end: says where the logs may still be the same, so that the
 * leader skips all that can't be. What is committed is the same for certain. */
static void reject(struct raft *raft, const struct raft_message *message)
{
    struct raft_message answer =
        raft__message(raft, RAFT_MESSAGE_APPEND_ANSWER, message->from);
    raft_index hint =
        raft_log__last_of_term(&raft->log, message->index, message->log_term);
    if (hint < raft->hard.commit) {
        hint = raft->hard.commit;
    }
    answer.rejected = true;
    answer.index = message->index;
    answer.hint_index = hint;
    answer.hint_term = raft_log__term(&raft->log, hint);
    raft__send_durable(raft, &answer);
}

/* The message's entries belong behind one another and into this log; if not,
 * somebody is broken and nothing is taken. */
static bool is_sound(const struct raft_message *message)
{
    raft_index index = message->index;
    raft_term term = message->log_term;
    int64_t time_ns = INT64_MIN;
    for (size_t i = 0; i < message->count; i++) {
        const struct raft_entry *entry = &message->entries[i];
        if (entry->index != index + 1 || entry->term < term ||
            entry->term > message->term ||
            !raft_log__time_follows(time_ns, entry)) {
            return false;
        }
        index = entry->index;
        term = entry->term;
        time_ns = entry->time_ns;
    }
    return true;
}

static bool take(struct raft *raft, const struct raft_entry *entry)
{
    struct raft_entry copy = *entry;
    if (raft_log__room(&raft->log) == 0 ||
        raft__changes_check_entry(entry) != ERR_OK ||
        !raft_log__time_follows(raft_log__last_time_ns(&raft->log), entry)) {
        return false;
    }
    if (copy.data != NULL) {
        copy.data = refbuf_ref(copy.data);
    }
    raft_log__append(&raft->log, &copy);
    if (copy.type == RAFT_ENTRY_CHANGE) {
        raft__changes_add(raft, &copy);
        raft__peers_renew(raft);
    }
    return true;
}

/* Paper 5.3: an entry that conflicts goes, and all that follow it; what is
 * the same stays, for the message may be old and short. Returns up to where
 * the log is the leader's now. */
static raft_index take_entries(struct raft *raft,
                               const struct raft_message *message)
{
    raft_index same = message->index;
    for (size_t i = 0; i < message->count; i++) {
        const struct raft_entry *entry = &message->entries[i];
        if (entry->index <= raft->hard.commit) {
            same = entry->index;
            continue;
        }
        if (entry->index <= raft->log.last &&
            raft_log__term(&raft->log, entry->index) != entry->term &&
            !PLANTED(TRUNCATE_SKIPPED)) {
            raft__cut(raft, entry->index);
        }
        if (entry->index > raft->log.last && !take(raft, entry)) {
            break;
        }
        same = entry->index;
    }
    return same;
}

/* In an append without entries the leader says by hint_index what it knows to
 * be durable here. If that is all there is to know, it is owed no answer. */
static bool is_answer_owed(const struct raft *raft,
                           const struct raft_message *message)
{
    return message->count > 0 || message->hint_index == 0 ||
           message->hint_index < raft->agreed;
}

void raft__on_append(struct raft *raft, const struct raft_message *message)
{
    if (raft->role == RAFT_LEADER) {
        return; /* of another leader in its term: there is none */
    }
    CHECK_EQ(message->term, raft->hard.term);
    raft__hear_leader(raft, message->from);
    if (raft->installing || !is_sound(message)) {
        return;
    }
    /* Below the commit index all logs are the same. */
    if (message->index >= raft->hard.commit &&
        !raft_log__matches(&raft->log, message->index, message->log_term)) {
        reject(raft, message);
        return;
    }
    raft_index same = take_entries(raft, message);
    if (same < raft->hard.commit) {
        same = raft->hard.commit;
    }
    if (same > raft->agreed) {
        raft->agreed = same;
    }
    CHECK_LE(raft->agreed, raft->log.last);
    raft->answer_due = raft->answer_due || is_answer_owed(raft, message);
    raft__commit_to(raft, message->commit < raft->agreed ? message->commit
                                                         : raft->agreed);
}

/* The leader tells each no more than what that one has durable. */
void raft__on_heartbeat(struct raft *raft, const struct raft_message *message)
{
    if (raft->role == RAFT_LEADER) {
        return; /* as above */
    }
    CHECK_EQ(message->term, raft->hard.term);
    raft__hear_leader(raft, message->from);
    raft->heartbeat_answer_due = true;
    if (message->read > raft->heartbeat_round) {
        raft->heartbeat_round = message->read;
    }
    /* A read index that was asked for and not answered may have been lost. The
     * round that it began brings a heartbeat too: that is no reason. */
    if (raft->own_waits &&
        raft->now_ms - raft->own_asked_ms >= raft->config.heartbeat_ms) {
        raft->own_due = true;
    }
    if (!raft->installing) {
        raft__commit_to(raft, message->commit < raft->log.last
                                  ? message->commit
                                  : raft->log.last);
    }
}

/* ---- answers ------------------------------------------------------------- */

static raft_index durable(const struct raft *raft)
{
    return raft->persisted < raft->agreed && !PLANTED(COMMIT_UNSYNCED)
               ? raft->persisted
               : raft->agreed;
}

/* Paper fig. 2: it answers when the entries, and the term, are durable. */
static bool is_answer_ready(const struct raft *raft)
{
    return raft->answer_due && raft->hard_durable == raft->hard_made &&
           (durable(raft) == raft->agreed || durable(raft) > raft->answered);
}

static void say_durable(struct raft *raft, struct raft_message *out)
{
    *out = raft__message(raft, RAFT_MESSAGE_APPEND_ANSWER, raft->leader);
    out->index = durable(raft);
    out->log_term = raft_log__term(&raft->log, out->index);
    CHECK_LE(raft->answered, out->index);
    raft->answered = out->index;
    raft->answer_due = out->index < raft->agreed;
}

bool raft__next_answer(struct raft *raft, struct raft_message *out)
{
    CHECK_EQ(raft->role, RAFT_FOLLOWER);
    if (raft->leader == 0) {
        return false;
    }
    if (raft->heartbeat_answer_due) {
        raft->heartbeat_answer_due = false;
        *out = raft__message(raft, RAFT_MESSAGE_HEARTBEAT_ANSWER, raft->leader);
        out->read = raft->heartbeat_round;
        return true;
    }
    if (!raft->installing && is_answer_ready(raft)) {
        say_durable(raft, out);
        return true;
    }
    return false;
}
