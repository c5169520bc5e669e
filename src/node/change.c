/* Changing who belongs to the cluster: one change at a time, looked at by the
 * leader when the one before is applied, as etcd's rules have it.
 *
 * The leader makes changes of its own too: the end of a joint change, the
 * number of voters (standby.c), and a new cluster's first one, which says who
 * its members are: until then each has only its own word for it, and one that
 * joins and reads the log from its beginning would not know of them. */
#include "base/check.h"
#include "base/list.h"
#include "base/log.h"
#include "node/node_int.h"

/* ---- coming and going ---------------------------------------------------- */

enum err node_change(struct node *node, struct node_change *change)
{
    bool was_empty = false;
    struct command command = {
        .type = COMMAND_MEMBER,
        .member = {.op = change->op,
                   .member = change->member.id,
                   .name = change->member.name,
                   .peer_urls = change->member.peer_urls,
                   .client_urls = change->member.client_urls},
    };
    CHECK(change->on_done != NULL);
    change->wait = (struct node_wait){.is_change = true};
    change->command = command_encode(&command);
    change->err = ERR_OK;
    if (!queue_push(&node->change_queue, &change->link, &was_empty)) {
        refbuf_unref(change->command);
        change->command = NULL;
        return err_set(ERR_FULL, "too many changes of membership wait");
    }
    if (was_empty) {
        node->config.on_submitted(node->config.context);
    }
    return ERR_OK;
}

void node__queue_change(struct node *node, struct node_change *change)
{
    CHECK(change->command != NULL);
    CHECK(change->wait.is_change);
    node__chain_push(&node->changes, &change->link);
}

void node__take_changes(struct node *node)
{
    if (queue_count(&node->change_queue) == 0) {
        return;
    }
    struct queue_link *link = queue_take_all(&node->change_queue);
    while (link != NULL) {
        struct queue_link *next = link->next;
        node__chain_push(&node->changes, link);
        link = next;
    }
}

void node__answer_change(struct node *node, struct node_change *change,
                         enum err err)
{
    CHECK(change->wait.is_change);
    refbuf_unref(change->command);
    change->command = NULL;
    change->err = err;
    node->answered++;
    change->on_done(change);
}

static struct node_change *pop_change(struct node_chain *chain)
{
    struct queue_link *link = node__chain_pop(chain);
    return link == NULL ? NULL : CONTAINER_OF(link, struct node_change, link);
}

void node__fail_changes(struct node *node, enum err err)
{
    struct node_change *change;
    node__take_changes(node);
    while ((change = pop_change(&node->changes)) != NULL) {
        node__answer_change(node, change, err);
    }
}

/* Nothing was done of those that wait here. */
void node__sweep_changes(struct node *node)
{
    struct node_chain all = node->changes;
    struct node_change *change;
    node->changes = (struct node_chain){0};
    while ((change = pop_change(&all)) != NULL) {
        if (change->wait.due_ms == 0) {
            change->wait.due_ms =
                node->now_ms + (node->is_leader
                                    ? node->config.request_timeout_ms
                                    : node->config.election_ms);
        }
        if (node->now_ms < change->wait.due_ms) {
            node__chain_push(&node->changes, &change->link);
        } else {
            node__answer_change(node, change,
                                node->is_leader ? ERR_BUSY : ERR_NO_LEADER);
        }
    }
}

/* ---- who is heard from --------------------------------------------------- */

static bool is_heard(const struct node *node, member_id id)
{
    struct raft_peer_status status;
    return id == node->member_id ||
           (raft_peer_status(node->raft, id, &status) &&
            node->now_ms - status.heard_ms <= node->config.election_ms);
}

static bool has_quorum(const struct node *node, const member_id *ids,
                       size_t count, member_id also)
{
    size_t heard = 0;
    for (size_t i = 0; i < count; i++) {
        heard += ids[i] == also || is_heard(node, ids[i]);
    }
    return count == 0 || heard > count / 2;
}

bool node__is_heard(const struct node *node, const struct raft_members *members,
                    member_id also)
{
    CHECK(members->voter_count > 0);
    return has_quorum(node, members->voters, members->voter_count, also) &&
           has_quorum(node, members->outgoing, members->outgoing_count, also);
}

bool node__is_ready(const struct node *node, member_id learner)
{
    struct raft_peer_status peer;
    struct raft_status status;
    raft_status(node->raft, &status);
    if (!raft_peer_status(node->raft, learner, &peer) ||
        peer.state != RAFT_PEER_REPLICATE) {
        return false;
    }
    uint64_t lag = status.last > peer.match ? status.last - peer.match : 0;
    uint64_t most = status.last / 10;
    return lag <= (most < NODE_READY_LAG ? most : NODE_READY_LAG);
}

/* ---- what is allowed ----------------------------------------------------- */

static bool share_url(struct slice a, struct slice b)
{
    while (a.size > 0) {
        ptrdiff_t comma = slice_find(a, ',');
        size_t size = comma < 0 ? a.size : (size_t)comma;
        struct slice url = slice_of(a.at, size);
        struct slice rest = b;
        while (rest.size > 0) {
            ptrdiff_t end = slice_find(rest, ',');
            size_t other = end < 0 ? rest.size : (size_t)end;
            if (slice_eq(url, slice_of(rest.at, other))) {
                return true;
            }
            other += end >= 0;
            rest = slice_of(rest.at + other, rest.size - other);
        }
        size += comma >= 0;
        a = slice_of(a.at + size, a.size - size);
    }
    return false;
}

static bool is_url_taken(struct node *node, const struct node_member *member)
{
    struct node_member *members;
    size_t count = node_members(node, &node->arena, &members);
    for (size_t i = 0; i < count; i++) {
        if (members[i].id != member->id &&
            share_url(members[i].peer_urls, member->peer_urls)) {
            return true;
        }
    }
    return false;
}

static enum err check_new(struct node *node, const struct node_member *member)
{
    if (member->id == 0 || member->peer_urls.size == 0) {
        return ERR_INVALID;
    }
    if (raft_members_have(&node->stored, member->id)) {
        return ERR_EXISTS;
    }
    if (node_member_removed(node, member->id)) {
        return ERR_GONE;
    }
    return is_url_taken(node, member) ? ERR_EXISTS : ERR_OK;
}

static enum err check_old(struct node *node, member_id id)
{
    if (raft_members_have(&node->stored, id)) {
        return ERR_OK;
    }
    return node_member_removed(node, id) ? ERR_GONE : ERR_NOT_FOUND;
}

static enum err check_update(struct node *node,
                             const struct node_member *member)
{
    enum err err = check_old(node, member->id);
    if (err == ERR_OK && member->peer_urls.size == 0) {
        err = ERR_INVALID;
    }
    if (err == ERR_OK && is_url_taken(node, member)) {
        err = ERR_EXISTS;
    }
    return err;
}

static enum err check_promote(struct node *node, member_id id)
{
    enum err err = check_old(node, id);
    if (err == ERR_OK && raft_members_votes(&node->stored, id)) {
        err = ERR_INVALID;
    }
    if (err == ERR_OK && !node__is_ready(node, id)) {
        err = ERR_NOT_READY;
    }
    return err;
}

/* What a change is to raft, and to the member's record. */
struct plan {
    struct raft_change change;
    bool is_change; /* to raft too */
    struct node_member note;
    bool has_note;
};

static enum err plan_new(struct node *node, const struct node_member *member,
                         enum node_change_op op, struct plan *plan)
{
    enum err err = check_new(node, member);
    plan->note = *member;
    plan->has_note = plan->is_change = true;
    /* The second voter of two would have to agree to its own coming, and can't
     * come before it is a member: so it comes as a standby, and votes as soon
     * as it has caught up. */
    bool votes = op == NODE_ADD_VOTER && node->stored.voter_count > 1;
    plan->note.is_standby = !votes && op != NODE_ADD_LEARNER;
    plan->change = (struct raft_change){
        votes ? RAFT_ADD_VOTER : RAFT_ADD_LEARNER, member->id};
    return err;
}

/* The member's record, with `peer_urls` where they are given. */
static void note_of(struct node *node, member_id id, struct slice peer_urls,
                    struct plan *plan)
{
    plan->has_note = node_member(node, id, &node->arena, &plan->note);
    if (plan->has_note && peer_urls.size > 0) {
        plan->note.peer_urls = peer_urls;
    }
}

static enum err make_plan(struct node *node, enum node_change_op op,
                          const struct node_member *member, struct plan *plan)
{
    enum err err = ERR_INVALID;
    *plan = (struct plan){.is_change = true};
    switch (op) {
    case NODE_ADD_VOTER:
    case NODE_ADD_LEARNER:
    case NODE_ADD_STANDBY:
        return plan_new(node, member, op, plan);
    case NODE_REMOVE:
        plan->change = (struct raft_change){RAFT_REMOVE, member->id};
        return check_old(node, member->id);
    case NODE_UPDATE:
        plan->is_change = false;
        err = check_update(node, member);
        note_of(node, member->id, member->peer_urls, plan);
        return err;
    case NODE_PROMOTE:
        plan->change = (struct raft_change){RAFT_ADD_VOTER, member->id};
        err = check_promote(node, member->id);
        note_of(node, member->id, SLICE(""), plan);
        plan->note.is_standby = false;
        return err;
    }
    return err;
}

/* A cluster of one may take a second member in, which nobody has heard of. */
static bool is_safe(const struct node *node, const struct raft_members *next)
{
    return !node->config.strict_reconfig || node->stored.voter_count == 1 ||
           node__is_heard(node, next, 0);
}

/* ---- proposing ----------------------------------------------------------- */

/* The one before is applied here, and this term has committed something: then
 * all that the log had before is applied too. */
static bool may_change(const struct node *node, struct raft_status *status)
{
    raft_status(node->raft, status);
    return status->role == RAFT_LEADER && !status->change_pending &&
           status->transfer_to == 0 && status->applied >= status->term_start &&
           status->applied >= node->change_proposed;
}

static enum err propose(struct node *node, const struct raft_members *next,
                        const struct node_change_note *note,
                        struct node_wait *wait)
{
    CHECK(next->voter_count > 0);
    struct refbuf *data = node__change_encode(next, note);
    enum err err = node__propose_change(node, data, wait);
    if (err != ERR_OK) {
        refbuf_unref(data);
    }
    return err;
}

static enum err start_change(struct node *node, struct node_change *change)
{
    struct command command;
    struct plan plan;
    struct raft_members next = node->stored;
    CHECK(node->is_leader && node->stored.outgoing_count == 0);
    arena_reset(&node->arena);
    enum err err =
        command_decode(slice_of(change->command->bytes, change->command->size),
                       &node->arena, &command);
    if (err != ERR_OK || command.type != COMMAND_MEMBER) {
        return ERR_INVALID;
    }
    struct node_member member = {
        .id = command.member.member,
        .name = command.member.name,
        .peer_urls = command.member.peer_urls,
        .client_urls = command.member.client_urls,
    };
    err = make_plan(node, change->op, &member, &plan);
    if (err == ERR_OK && plan.is_change) {
        err = raft_members_change(&node->stored, &plan.change, 1, &next);
    }
    if (err == ERR_OK && plan.is_change && !is_safe(node, &next)) {
        err = ERR_UNHEALTHY;
    }
    if (err != ERR_OK) {
        return err;
    }
    /* Who asked for it finds it by its number, when it is applied there. */
    struct node_change_note note = {
        .members = &plan.note,
        .count = plan.has_note ? 1 : 0,
        .from = change->wait.from,
        .number = change->wait.number,
    };
    return propose(node, &next, &note, &change->wait);
}

/* What is about this change alone; else the member can't go on. */
static bool is_refusal(enum err err)
{
    switch (err) {
    case ERR_EXISTS:
    case ERR_NOT_FOUND:
    case ERR_GONE:
    case ERR_INVALID:
    case ERR_UNHEALTHY:
    case ERR_NOT_READY:
    case ERR_FULL:
    case ERR_DISK_FULL:
        return true;
    default:
        return false;
    }
}

enum err node__propose_changes(struct node *node)
{
    struct raft_status status;
    while (node->changes.count > 0 && may_change(node, &status) &&
           status.leave_joint_due == false &&
           node->stored.outgoing_count == 0 && node->change_index != 0) {
        struct node_change *change = pop_change(&node->changes);
        enum err err = start_change(node, change);
        if (err == ERR_BUSY || err == ERR_NOT_LEADER) {
            node__chain_push_front(&node->changes, &change->link);
            return ERR_OK;
        }
        if (is_refusal(err)) {
            node__answer_change(node, change, err);
        } else if (err != ERR_OK) {
            node__chain_push_front(&node->changes, &change->link);
            return err;
        }
    }
    return ERR_OK;
}

/* ---- the leader's own ---------------------------------------------------- */

/* Room that is missing now may be there the next time. */
static enum err try(enum err err)
{
    return err == ERR_OK || is_refusal(err) || err == ERR_BUSY ||
                   err == ERR_NOT_LEADER
               ? ERR_OK
               : err;
}

static enum err announce(struct node *node)
{
    struct node_change_note note = {.is_all = true};
    arena_reset(&node->arena);
    note.count = node_members(node, &node->arena, &note.members);
    CHECK(note.count > 0);
    log_info("node", "the cluster's members are put into the log",
             LOG_UINT("members", note.count));
    return try(propose(node, &node->stored, &note, NULL));
}

static enum err leave_joint(struct node *node)
{
    struct raft_members next;
    struct node_change_note note = {0};
    CHECK(raft_members(node->raft)->outgoing_count > 0);
    raft_members_leave_joint(raft_members(node->raft), &next);
    CHECK_EQ(next.outgoing_count, 0);
    return try(propose(node, &next, &note, NULL));
}

static enum err step_standbys(struct node *node)
{
    struct raft_change changes[2];
    struct node_member notes[2];
    struct raft_members next;
    size_t count;
    arena_reset(&node->arena);
    if (!node__standby_step(node, changes, &count, notes)) {
        return ERR_OK;
    }
    enum err err = raft_members_change(&node->stored, changes, count, &next);
    CHECK(count == 1 || count == 2);
    if (err != ERR_OK || !node__is_heard(node, &next, 0)) {
        return ERR_OK;
    }
    struct node_change_note note = {.members = notes, .count = count};
    log_info("node", "the number of voters is put right",
             LOG_UINT("member", changes[0].id),
             LOG_UINT("voters", next.voter_count));
    return try(propose(node, &next, &note, NULL));
}

enum err node__keep_members(struct node *node)
{
    struct raft_status status;
    bool is_due = node->has_others && node->now_ms >= node->upkeep_due_ms;
    if (node->change_index != 0 && !is_due &&
        raft_members(node->raft)->outgoing_count == 0) {
        return ERR_OK;
    }
    if (!may_change(node, &status)) {
        node->upkeep_due_ms = node->now_ms + node->config.heartbeat_ms;
        return ERR_OK;
    }
    if (status.leave_joint_due) {
        return leave_joint(node);
    }
    if (node->stored.outgoing_count > 0) {
        return ERR_OK;
    }
    if (node->change_index == 0) {
        return announce(node);
    }
    node->upkeep_due_ms = node->now_ms + NODE_UPKEEP_MS;
    return step_standbys(node);
}
