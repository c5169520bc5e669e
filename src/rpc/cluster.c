/* Who belongs to the cluster, and changing it. As etcd's, these answers have
 * no revision in their header. */
#include "api/member_form.h"
#include "base/check.h"
#include "proto/rpc.pb-c.h"
#include "rpc/rpc_int.h"

enum {
    PEER_URLS_MAX = 16,
    LEARNERS_MAX_DEFAULT = 1, /* as etcd's --max-learners */
};

/* ---- members as messages --------------------------------------------- */

static char *text_of(struct arena *arena, struct slice text)
{
    return arena_printf(arena, "%.*s", (int)text.size,
                        text.size > 0 ? text.at : "");
}

static char **list_of(struct arena *arena, struct slice urls, size_t *count)
{
    struct slice rest = urls;
    *count = 0;
    while (rest.size > 0) {
        (void)member_next_url(&rest);
        ++*count;
    }
    char **list = arena_alloc(arena, (*count + 1) * sizeof(*list));
    for (size_t i = 0; i < *count; i++) {
        list[i] = text_of(arena, member_next_url(&urls));
    }
    return list;
}

static Etcdserverpb__Member *member_of(struct arena *arena,
                                       const struct node_member *from)
{
    Etcdserverpb__Member *to = arena_alloc(arena, sizeof(*to));
    etcdserverpb__member__init(to);
    to->id = from->id;
    to->name = text_of(arena, from->name);
    to->peerurls = list_of(arena, from->peer_urls, &to->n_peerurls);
    to->clienturls = list_of(arena, from->client_urls, &to->n_clienturls);
    /* One that was added as a member is a standby until it is up to date; as
     * long as it hasn't begun to be, a client sees what it asked for. */
    to->islearner =
        from->is_learner && !(from->is_standby && from->name.size == 0);
    return to;
}

static size_t all_members(struct call *call, struct node_member **out)
{
    struct lock *lock = node_lock(call->rpc->node);
    lock_read(lock);
    size_t count = node_members(call->rpc->node, &call->arena, out);
    unlock_read(lock);
    return count;
}

static Etcdserverpb__Member **all_messages(struct call *call, size_t *count)
{
    struct node_member *members;
    *count = all_members(call, &members);
    Etcdserverpb__Member **list =
        arena_alloc(&call->arena, (*count + 1) * sizeof(*list));
    for (size_t i = 0; i < *count; i++) {
        list[i] = member_of(&call->arena, &members[i]);
    }
    return list;
}

/* `message` has no header: it is put in front. */
static void answer(struct call *call, const ProtobufCMessage *message)
{
    struct buf *body = rpc__body(call->rpc);
    message_encode(message, body);
    call__answer(call, 0, buf_slice(body));
}

/* ---- looking --------------------------------------------------------- */

static void list_members(struct call *call, void *context)
{
    Etcdserverpb__MemberListResponse response =
        ETCDSERVERPB__MEMBER_LIST_RESPONSE__INIT;
    (void)context;
    response.members = all_messages(call, &response.n_members);
    answer(call, &response.base);
}

void cluster__member_list(struct call *call, ProtobufCMessage *request)
{
    const Etcdserverpb__MemberListRequest *list = (const void *)request;
    task__when_current(call, !list->linearizable, NULL, list_members);
}

/* ---- what a request says --------------------------------------------- */

/* Sorted and joined, as the store has them. False: they can't be a member's. */
static bool join(struct call *call, char *const *list, size_t count,
                 struct slice *out)
{
    struct slice urls[PEER_URLS_MAX];
    if (count == 0 || count > PEER_URLS_MAX) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        urls[i] = slice_str(list[i]);
        if (member_url_fault(urls[i]) != NULL) {
            return false;
        }
    }
    *out = member_join_urls(&call->arena, urls, count);
    return true;
}

static bool find_member(struct call *call, member_id id,
                        struct node_member *member)
{
    struct lock *lock = node_lock(call->rpc->node);
    lock_read(lock);
    bool found = node_member(call->rpc->node, id, &call->arena, member);
    unlock_read(lock);
    return found;
}

static bool has_member(struct call *call, member_id id)
{
    struct node_member member;
    return find_member(call, id, &member);
}

static bool may_have_learner(struct call *call)
{
    struct node_member *members;
    size_t max = call->rpc->shared->learners_max;
    size_t count = all_members(call, &members);
    size_t learners = 0;
    for (size_t i = 0; i < count; i++) {
        learners += member_is_to_learn(&members[i]);
    }
    return learners < (max > 0 ? max : LEARNERS_MAX_DEFAULT);
}

/* ---- refusals -------------------------------------------------------- */

static bool are_most_started(struct call *call, enum node_change_op op,
                             member_id id)
{
    struct node_member *members;
    size_t count = all_members(call, &members);
    return members_are_most_started(members, count, op, id);
}

/* False: it was refused. The node looks at who is heard from; a member that
 * was added just now passes for that, but not for one that was started. */
static bool check_started(struct call *call, enum node_change_op op,
                          member_id id)
{
    if (!call->rpc->shared->api->strict_reconfig ||
        are_most_started(call, op, id)) {
        return true;
    }
    call__fail(call, V3_MEMBER_NOT_ENOUGH_STARTED);
    return false;
}

static enum v3_error refusal_of(struct call *call,
                                const struct node_change *change)
{
    switch (change->err) {
    case ERR_EXISTS:
        return V3_PEER_URL_EXIST;
    case ERR_NOT_FOUND:
    case ERR_GONE:
        return V3_MEMBER_NOT_FOUND;
    case ERR_NOT_READY:
        return V3_LEARNER_NOT_READY;
    case ERR_INVALID:
        if (change->op == NODE_REMOVE) { /* the last one that votes */
            return V3_MEMBER_NOT_ENOUGH_STARTED;
        }
        return change->op == NODE_PROMOTE ? V3_MEMBER_NOT_LEARNER
                                          : V3_MEMBER_BAD_URLS;
    case ERR_UNHEALTHY:
        return are_most_started(call, change->op, change->member.id)
                   ? V3_UNHEALTHY
                   : V3_MEMBER_NOT_ENOUGH_STARTED;
    default:
        return V3_OK;
    }
}

/* True: it was done. */
static bool check_done(struct call *call, const struct node_change *change)
{
    if (change->err == ERR_OK) {
        return true;
    }
    enum v3_error error = refusal_of(call, change);
    if (error != V3_OK) {
        call__fail(call, error);
    } else {
        call__fail_err(call, change->err);
    }
    return false;
}

/* ---- changing -------------------------------------------------------- */

static void start_change(struct call *call, enum node_change_op op,
                         const struct node_member *member,
                         void (*finish)(struct rpc *rpc, struct task *done))
{
    struct task *task = task__new(call->rpc, call, finish);
    task->change.op = op;
    task->change.member = *member;
    task__change(task);
}

static void finish_add(struct rpc *rpc, struct task *done)
{
    struct call *call = done->call;
    Etcdserverpb__MemberAddResponse response =
        ETCDSERVERPB__MEMBER_ADD_RESPONSE__INIT;
    (void)rpc;
    if (call == NULL || !check_done(call, &done->change)) {
        return;
    }
    done->change.member.is_learner = done->change.op == NODE_ADD_LEARNER;
    response.member = member_of(&call->arena, &done->change.member);
    response.members = all_messages(call, &response.n_members);
    answer(call, &response.base);
}

void cluster__member_add(struct call *call, ProtobufCMessage *request)
{
    const Etcdserverpb__MemberAddRequest *add = (const void *)request;
    struct node_member member = {.name = SLICE(""), .client_urls = SLICE("")};
    enum node_change_op op = add->islearner ? NODE_ADD_LEARNER : NODE_ADD_VOTER;
    if (!join(call, add->peerurls, add->n_peerurls, &member.peer_urls)) {
        call__fail(call, V3_MEMBER_BAD_URLS);
    } else if (add->islearner && !may_have_learner(call)) {
        call__fail(call, V3_TOO_MANY_LEARNERS);
    } else if (add->islearner || check_started(call, op, 0)) {
        member.id =
            member_new_id(call->rpc->shared->api->clock, member.peer_urls);
        start_change(call, op, &member, finish_add);
    }
}

/* The answers of the other three are the same message. */
static void finish_other(struct rpc *rpc, struct task *done)
{
    struct call *call = done->call;
    Etcdserverpb__MemberListResponse response =
        ETCDSERVERPB__MEMBER_LIST_RESPONSE__INIT;
    (void)rpc;
    if (call != NULL && check_done(call, &done->change)) {
        response.members = all_messages(call, &response.n_members);
        answer(call, &response.base);
    }
}

void cluster__member_remove(struct call *call, ProtobufCMessage *request)
{
    const Etcdserverpb__MemberRemoveRequest *remove = (const void *)request;
    struct node_member member = {.id = remove->id};
    if (check_started(call, NODE_REMOVE, remove->id)) {
        start_change(call, NODE_REMOVE, &member, finish_other);
    }
}

void cluster__member_update(struct call *call, ProtobufCMessage *request)
{
    const Etcdserverpb__MemberUpdateRequest *update = (const void *)request;
    struct node_member member = {.id = update->id};
    if (join(call, update->peerurls, update->n_peerurls, &member.peer_urls)) {
        start_change(call, NODE_UPDATE, &member, finish_other);
    } else {
        call__fail(call, has_member(call, update->id) ? V3_MEMBER_BAD_URLS
                                                      : V3_MEMBER_NOT_FOUND);
    }
}

void cluster__member_promote(struct call *call, ProtobufCMessage *request)
{
    const Etcdserverpb__MemberPromoteRequest *promote = (const void *)request;
    struct node_member member = {.id = promote->id};
    start_change(call, NODE_PROMOTE, &member, finish_other);
}
