/* One line for each thing that happens: who, what, and its numbers. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "unit/raft/raft_cluster.h"

static void add_ids(struct buf *out, const char *name, const member_id *ids,
                    size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buf_printf(out, "%s%d", i == 0 ? name : " ", (int)ids[i]);
    }
}

void cluster_members_text(const struct raft_members *members, struct buf *out)
{
    if (members->voter_count == 0) {
        buf_append_str(out, "nobody");
        return;
    }
    add_ids(out, "", members->voters, members->voter_count);
    add_ids(out, ", outgoing ", members->outgoing, members->outgoing_count);
    add_ids(out, ", learners ", members->learners, members->learner_count);
    add_ids(out, ", learners soon ", members->learners_next,
            members->learner_next_count);
}

void cluster_entry_text(const struct raft_entry *entry, struct buf *out)
{
    struct raft_members members;
    buf_printf(out, "%d/%d:", (int)entry->term, (int)entry->index);
    switch (entry->type) {
    case RAFT_ENTRY_EMPTY:
        buf_append_str(out, "(empty)");
        break;
    case RAFT_ENTRY_COMMAND:
        buf_append(out, entry->data->bytes, entry->data->size);
        break;
    case RAFT_ENTRY_CHANGE:
        assert_int_equal(
            raft_members_decode(slice_of(entry->data->bytes, entry->data->size),
                                &members, NULL),
            ERR_OK);
        buf_append_char(out, '(');
        cluster_members_text(&members, out);
        buf_append_char(out, ')');
        break;
    }
}

/* "  1      write             term 1, vote 1"; before it the time, when it has
 * moved. */
static void say_line(const struct cluster *cluster, const char *who,
                     const char *what, struct slice text)
{
    struct cluster_trace *trace = cluster->trace;
    struct buf *out = &trace->out;
    if (trace->said_ms != cluster->now_ms) {
        trace->said_ms = cluster->now_ms;
        buf_printf(out, "  at %lld ms:\n", (long long)cluster->now_ms);
    }
    buf_printf(out, "  %-6s %-17s", who, what);
    buf_append_slice(out, text);
    while (out->at[out->size - 1] == ' ') {
        out->size--;
    }
    buf_append_char(out, '\n');
}

void cluster__say(const struct cluster *cluster, member_id member,
                  const char *what, const char *format, ...)
{
    struct buf text = {0};
    char who[16];
    va_list args;
    if (cluster->trace == NULL) {
        return;
    }
    va_start(args, format);
    buf_vprintf(&text, format, args);
    va_end(args);
    (void)snprintf(who, sizeof(who), "%d", (int)member);
    say_line(cluster, who, what, buf_slice(&text));
    buf_deinit(&text);
}

static void add_entries(struct buf *out, const struct raft_entry *entries,
                        size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            buf_append_char(out, ' ');
        }
        cluster_entry_text(&entries[i], out);
    }
}

void cluster__say_entries(const struct cluster *cluster, member_id member,
                          const char *what, const struct raft_entry *entries,
                          size_t count)
{
    struct buf text = {0};
    char who[16];
    if (cluster->trace == NULL) {
        return;
    }
    add_entries(&text, entries, count);
    (void)snprintf(who, sizeof(who), "%d", (int)member);
    say_line(cluster, who, what, buf_slice(&text));
    buf_deinit(&text);
}

void cluster__say_role(const struct cluster *cluster,
                       struct cluster_member *member)
{
    struct raft_status status;
    raft_status(member->raft, &status);
    if (status.role == member->role_seen &&
        status.leader == member->leader_seen) {
        return;
    }
    member->role_seen = status.role;
    member->leader_seen = status.leader;
    const char *role = raft_role_text(status.role) + strlen("State");
    if (status.role == RAFT_FOLLOWER && status.leader != 0) {
        cluster__say(cluster, member->id, "role", "%s of %d, term %d", role,
                     (int)status.leader, (int)status.term);
    } else {
        cluster__say(cluster, member->id, "role", "%s, term %d", role,
                     (int)status.term);
    }
}

/* ---- messages ------------------------------------------------------------ */

static void add_append(struct buf *out, const struct raft_message *m)
{
    buf_printf(out, ", after %d/%d, commit %d", (int)m->log_term, (int)m->index,
               (int)m->commit);
    if (m->count > 0) {
        buf_append_str(out, ": ");
        add_entries(out, m->entries, m->count);
    }
}

static void add_append_answer(struct buf *out, const struct raft_message *m)
{
    if (m->rejected) {
        buf_printf(out, ", not after %d, perhaps after %d/%d", (int)m->index,
                   (int)m->hint_term, (int)m->hint_index);
    } else {
        buf_printf(out, ", has all to %d", (int)m->index);
    }
}

static void add_details(struct buf *out, const struct raft_message *m)
{
    switch (m->type) {
    case RAFT_MESSAGE_PRE_VOTE:
    case RAFT_MESSAGE_VOTE:
        buf_printf(out, ", last %d/%d%s", (int)m->log_term, (int)m->index,
                   m->forced ? ", forced" : "");
        break;
    case RAFT_MESSAGE_PRE_VOTE_ANSWER:
    case RAFT_MESSAGE_VOTE_ANSWER:
        buf_append_str(out, m->rejected ? ", no" : ", yes");
        break;
    case RAFT_MESSAGE_APPEND:
        add_append(out, m);
        break;
    case RAFT_MESSAGE_APPEND_ANSWER:
        add_append_answer(out, m);
        break;
    case RAFT_MESSAGE_HEARTBEAT:
        buf_printf(out, ", commit %d, round %d", (int)m->commit, (int)m->read);
        break;
    case RAFT_MESSAGE_HEARTBEAT_ANSWER:
        buf_printf(out, ", round %d%s", (int)m->read,
                   m->rejected ? ", rejected" : "");
        break;
    case RAFT_MESSAGE_SNAPSHOT:
        buf_printf(out, ", of %d/%d: ", (int)m->log_term, (int)m->index);
        cluster_members_text(m->members, out);
        break;
    case RAFT_MESSAGE_READ_ANSWER:
        buf_printf(out, ", at %d%s", (int)m->index,
                   m->rejected ? ", rejected" : "");
        break;
    case RAFT_MESSAGE_READ:
    case RAFT_MESSAGE_TIMEOUT_NOW:
        break;
    }
}

void cluster__say_message(const struct cluster *cluster,
                          const struct raft_message *message, bool lost)
{
    struct buf text = {0};
    char who[32];
    if (cluster->trace == NULL ||
        (!cluster->trace->heartbeats &&
         (message->type == RAFT_MESSAGE_HEARTBEAT ||
          message->type == RAFT_MESSAGE_HEARTBEAT_ANSWER))) {
        return;
    }
    (void)snprintf(who, sizeof(who), "%d%s%d", (int)message->from,
                   lost ? " x " : " > ", (int)message->to);
    buf_printf(&text, "term %d", (int)message->term);
    add_details(&text, message);
    say_line(cluster, who, raft_message_text(message->type), buf_slice(&text));
    buf_deinit(&text);
}
