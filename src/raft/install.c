/* A snapshot has come (paper 7). Between update.install and RAFT_INSTALLED the
 * log is left alone: appends are passed over, nothing is given out, and this
 * member doesn't stand for election. It does vote: its old log says the truth
 * until it is replaced. */
#include "base/check.h"
#include "raft/raft_int.h"

/* Everything committed is the same everywhere. */
static void answer(struct raft *raft, member_id to, raft_index index)
{
    struct raft_message message =
        raft__message(raft, RAFT_MESSAGE_APPEND_ANSWER, to);
    CHECK_LE(index, raft->hard.commit);
    CHECK_LE(index, raft->persisted);
    message.index = index;
    message.log_term = raft_log__term(&raft->log, index);
    raft__send_durable(raft, &message);
}

static void answer_commit(struct raft *raft, member_id to)
{
    raft_index index = raft->hard.commit;
    answer(raft, to, index < raft->persisted ? index : raft->persisted);
}

/* What was about to be written or applied will be in the snapshot. */
static void begin(struct raft *raft, const struct raft_message *message)
{
    struct raft_update *update = raft->update;
    CHECK(!raft->installing);
    CHECK(message->index > 0 && message->log_term > 0);
    raft->installing = true;
    raft->install_index = message->index;
    raft->install_term = message->log_term;
    raft->install_from = message->from;
    raft->install_members = *message->members;
    if (update->apply_from != 0) {
        raft->offered = update->apply_from - 1;
        update->apply_from = update->apply_to = 0;
    }
    update->persist_from = update->persist_to = 0;
    update->install = true;
    update->install_index = message->index;
    update->install_term = message->log_term;
}

/* What is committed is committed whoever sends it, so an old term is no
 * reason to refuse it. */
void raft__on_snapshot(struct raft *raft, const struct raft_message *message)
{
    CHECK(message->members != NULL);
    if (message->index == 0 || message->log_term == 0 ||
        message->log_term > message->term) {
        return; /* of nothing */
    }
    if (message->term > raft->hard.term) {
        raft__become_follower(raft, message->term, 0);
    }
    if (raft->role == RAFT_LEADER || raft->installing) {
        return;
    }
    if (message->term == raft->hard.term) {
        raft__hear_leader(raft, message->from);
    }
    if (message->index <= raft->hard.commit && !PLANTED(SNAPSHOT_OLD)) {
        answer_commit(raft, message->from);
        return;
    }
    if (raft_log__matches(&raft->log, message->index, message->log_term) &&
        !PLANTED(SNAPSHOT_OLD)) {
        raft__commit_to(raft, message->index);
        answer_commit(raft, message->from);
        return;
    }
    raft__become_follower(raft, raft->hard.term, raft->leader);
    begin(raft, message);
}

void raft__on_installed(struct raft *raft, raft_index index)
{
    CHECK(raft->installing);
    CHECK_EQ(index, raft->install_index);
    CHECK_LE(raft->install_term, raft->hard.term);
    raft->installing = false;
    raft__start_anew(raft, index, raft->install_term);
    raft__changes_reset(raft, index, &raft->install_members);
    raft__peers_renew(raft);
    raft__draw_election(raft);
    answer(raft, raft->leader != 0 ? raft->leader : raft->install_from, index);
}
