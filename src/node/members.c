/* The membership as it changes: a change that is applied, a cluster that
 * begins, and what the net must know of it all. */
#include "base/check.h"
#include "base/list.h"
#include "base/log.h"
#include "base/plant.h"
#include "node/node_int.h"

/* ---- applying ------------------------------------------------------------ */

/* The oldest makes room. */
static void keep_leaver(struct node *node, member_id id)
{
    struct node_leaver *leaver = &node->leavers[0];
    struct slice urls;
    bool is_standby;
    for (size_t i = 0; i < NODE_LEAVERS && leaver->id != 0; i++) {
        if (node->leavers[i].id == 0 ||
            node->leavers[i].until_ms < leaver->until_ms) {
            leaver = &node->leavers[i];
        }
    }
    node__read_address(node, id, &urls, &is_standby);
    mem_free(leaver->peer_urls);
    leaver->id = id;
    leaver->until_ms = node->now_ms + 3 * node->config.election_ms;
    leaver->peer_urls = mem_alloc(urls.size + 1);
    memcpy(leaver->peer_urls, urls.at, urls.size);
    leaver->peer_urls[urls.size] = '\0';
}

int64_t node__drop_leavers(struct node *node)
{
    int64_t next_ms = INT64_MAX;
    for (size_t i = 0; i < NODE_LEAVERS; i++) {
        struct node_leaver *leaver = &node->leavers[i];
        if (leaver->id == 0) {
            continue;
        }
        if (node->now_ms >= leaver->until_ms || node->closing) {
            mem_free(leaver->peer_urls);
            *leaver = (struct node_leaver){0};
            node->members_dirty = true;
        } else if (leaver->until_ms < next_ms) {
            next_ms = leaver->until_ms;
        }
    }
    return next_ms;
}

static void mark_removed(struct node *node, member_id id)
{
    char name[24];
    if (node->config.ports.net != NULL && id != node->member_id) {
        keep_leaver(node, id);
    }
    mvcc_meta_put(node->mvcc, node__meta_name("removed", id, name), SLICE("1"));
    node__remove_meta(node, "member", id);
    node__remove_meta(node, "address", id);
    log_info("node", "a member was removed from the cluster",
             LOG_UINT("member", id));
}

struct ids {
    member_id at[8 * RAFT_MEMBERS_MAX];
    size_t count;
};

static void add_id(void *context, struct slice name, struct slice value)
{
    struct ids *ids = context;
    (void)value;
    if (ids->count < sizeof(ids->at) / sizeof(ids->at[0])) {
        CHECK(name.size > 8);
        ids->at[ids->count++] = get_be64(name.at + name.size - 8);
    }
}

/* What was known of anybody before this goes. */
static void remove_all(struct node *node)
{
    struct ids ids = {.count = 0};
    mvcc_meta_each(node->mvcc, SLICE("address/"), add_id, &ids);
    mvcc_meta_each(node->mvcc, SLICE("member/"), add_id, &ids);
    for (size_t i = 0; i < ids.count; i++) {
        node__remove_meta(node, "address", ids.at[i]);
        node__remove_meta(node, "member", ids.at[i]);
    }
}

/* A name that was published is newer than what a change may say of it. */
static void upsert(struct node *node, const struct node_member *member)
{
    char name[24];
    struct slice found;
    node__put_address(node, member);
    if ((member->name.size > 0 || member->client_urls.size > 0) &&
        !mvcc_meta_get(node->mvcc, node__meta_name("member", member->id, name),
                       &found)) {
        node__put_published(node, member->id, member->name,
                            member->client_urls);
    }
}

static void replace_membership(struct node *node, raft_index index,
                               const struct raft_members *now,
                               const struct node_change_note *note)
{
    member_id before[2 * RAFT_MEMBERS_MAX];
    char bytes[8];
    size_t count = node__member_ids(&node->stored, before);
    for (size_t i = 0; i < count; i++) {
        if (!raft_members_have(now, before[i])) {
            mark_removed(node, before[i]);
        }
    }
    if (note->is_all) {
        remove_all(node);
    }
    for (size_t i = 0; i < note->count; i++) {
        if (raft_members_have(now, note->members[i].id)) {
            upsert(node, &note->members[i]);
        }
    }
    CHECK(node->change_index < index || PLANTED(APPLIED_BEHIND));
    node__put_membership(node, now);
    put_le64(bytes, index);
    mvcc_meta_put(node->mvcc, SLICE("change"), slice_of(bytes, 8));
    node->change_index = index;
}

enum err node__apply_change(struct node *node, const struct raft_entry *entry,
                            struct node_wait **wait)
{
    struct raft_members now = {0};
    struct node_change_note note;
    struct slice rest;
    CHECK_EQ(entry->type, RAFT_ENTRY_CHANGE);
    if (entry->data == NULL) {
        return err_set(ERR_CORRUPT, "a change of membership is empty");
    }
    arena_reset(&node->arena);
    struct slice data = slice_of(entry->data->bytes, entry->data->size);
    enum err err = raft_members_decode(data, &now, &rest);
    if (err == ERR_OK) {
        err = node__change_decode(rest, &node->arena, &note);
    }
    if (err != ERR_OK) {
        return err;
    }
    replace_membership(node, entry->index, &now, &note);
    node->publish_due_ms = node->now_ms;
    node->upkeep_due_ms = node->now_ms;
    if (note.from == node->member_id && *wait == NULL) {
        *wait = node__take_handed(node, note.number);
    }
    return ERR_OK;
}

/* ---- a cluster begins ---------------------------------------------------- */

static struct node_member self_of(const struct node *node)
{
    return (struct node_member){
        .id = node->member_id,
        .peer_urls = slice_str(node->peer_urls),
    };
}

/* Its members as they were listed; nobody, for one that joins. */
void node__found_cluster(struct node *node, bool is_alone)
{
    struct raft_members members = {0};
    const struct node_config *config = &node->config;
    struct node_member self = self_of(node);
    const struct node_member *list = config->members;
    size_t count = config->member_count;
    CHECK_LE(count, RAFT_MEMBERS_MAX);
    is_alone |= count == 0 && config->ports.net == NULL;
    if (is_alone) {
        members.voter_count = 1;
        members.voters[0] = node->member_id;
        node__put_address(node, &self);
        node__put_membership(node, &members);
        return;
    }
    remove_all(node);
    for (size_t i = 0; i < count; i++) {
        node__add_ids(list[i].is_learner ? members.learners : members.voters,
                      list[i].is_learner ? &members.learner_count
                                         : &members.voter_count,
                      &list[i].id, 1);
        node__put_member(node, &list[i]);
    }
    node__put_membership(node, &members);
}

/* This member is all that is left; it says so first thing when it leads. */
void node__forget_others(struct node *node)
{
    struct raft_members alone = {.voter_count = 1, .voters = {node->member_id}};
    member_id before[2 * RAFT_MEMBERS_MAX];
    struct slice found;
    struct node_member self = self_of(node);
    size_t count = node__member_ids(&node->stored, before);
    arena_reset(&node->arena);
    struct node_member old;
    if (node_member(node, node->member_id, &node->arena, &old)) {
        self.name = old.name;
        self.client_urls = old.client_urls;
        self.peer_urls =
            self.peer_urls.size > 0 ? self.peer_urls : old.peer_urls;
    }
    for (size_t i = 0; i < count; i++) {
        if (before[i] != node->member_id) {
            mark_removed(node, before[i]);
        }
    }
    node__put_member(node, &self);
    node__put_membership(node, &alone);
    if (mvcc_meta_get(node->mvcc, SLICE("change"), &found)) {
        mvcc_meta_put(node->mvcc, SLICE("change"), slice_of(NULL, 0));
    }
    node->change_index = 0;
}

/* ---- the newest membership ----------------------------------------------- */

/* Peer URLs of changes that are in the log and not applied yet. */
static struct slice newest_urls(struct node *node, member_id id)
{
    struct raft_status status;
    struct slice urls;
    bool is_standby;
    node__read_address(node, id, &urls, &is_standby);
    raft_status(node->raft, &status);
    for (raft_index i = status.applied + 1; i <= status.last; i++) {
        const struct raft_entry *entry = raft_entry_at(node->raft, i);
        struct raft_members members;
        struct node_change_note note;
        struct slice rest;
        if (entry == NULL || entry->type != RAFT_ENTRY_CHANGE ||
            entry->data == NULL ||
            raft_members_decode(slice_of(entry->data->bytes, entry->data->size),
                                &members, &rest) != ERR_OK ||
            node__change_decode(rest, &node->net_arena, &note) != ERR_OK) {
            continue;
        }
        for (size_t j = 0; j < note.count; j++) {
            if (note.members[j].id == id) {
                urls = note.members[j].peer_urls;
            }
        }
    }
    return urls;
}

static void tell_net(struct node *node, const struct raft_members *newest)
{
    struct net_member others[4 * RAFT_MEMBERS_MAX + NODE_LEAVERS];
    member_id ids[4 * RAFT_MEMBERS_MAX];
    member_id stored[2 * RAFT_MEMBERS_MAX];
    size_t count = node__member_ids(newest, ids);
    size_t stored_count = node__member_ids(&node->stored, stored);
    size_t out = 0;
    /* One that leaves must hear that it does. */
    for (size_t i = 0; i < stored_count; i++) {
        if (!raft_members_have(newest, stored[i])) {
            ids[count++] = stored[i];
        }
    }
    CHECK_LE(count, sizeof(ids) / sizeof(ids[0]));
    arena_reset(&node->net_arena);
    for (size_t i = 0; i < count; i++) {
        if (ids[i] != node->member_id) {
            others[out].id = ids[i];
            others[out++].peer_urls = newest_urls(node, ids[i]);
        }
    }
    for (size_t i = 0; i < NODE_LEAVERS; i++) {
        const struct node_leaver *leaver = &node->leavers[i];
        if (leaver->id != 0 && !raft_members_have(newest, leaver->id) &&
            !raft_members_have(&node->stored, leaver->id)) {
            others[out].id = leaver->id;
            others[out++].peer_urls = slice_str(leaver->peer_urls);
        }
    }
    net_set_members(node->config.ports.net, others, out);
}

void node__look_at_members(struct node *node)
{
    if (!node->members_dirty) {
        return;
    }
    const struct raft_members *newest = raft_members(node->raft);
    member_id ids[2 * RAFT_MEMBERS_MAX];
    size_t count = node__member_ids(newest, ids);
    bool is_in = raft_members_have(newest, node->member_id);
    node->members_dirty = false;
    node->is_alone = newest->voter_count == 1 && newest->outgoing_count == 0 &&
                     newest->voters[0] == node->member_id;
    node->has_others = count > (is_in ? 1u : 0u);
    atomic_store(&node->is_learner,
                 is_in && !raft_members_votes(newest, node->member_id));
    atomic_store(&node->is_removed,
                 !raft_members_have(&node->stored, node->member_id) &&
                     node_member_removed(node, node->member_id));
    node->stats_due_ms = node->now_ms;
    if (node->config.ports.net != NULL) {
        tell_net(node, newest);
    }
}
