/* MoveLeader: asks for it, and waits until it has happened, which is seen by
 * looking. */
#include "base/check.h"
#include "proto/rpc.pb-c.h"
#include "rpc/rpc_int.h"

enum {
    LOOK_MS = 20,
    /* Where the client has no deadline of its own. A transfer is given up by
     * raft after an election timeout. */
    MOVE_MS_MAX = 10000,
};

struct mover {
    struct list link; /* in rpc->movers */
    struct call *call;
    member_id target;
    int64_t until_ms;
};

static void leave(struct call *call)
{
    struct mover *mover = call->context;
    list_remove(&mover->link);
    mem_free(mover);
}

/* True: the call is over. As etcd's, its answer has no header. */
static bool look(struct mover *mover, int64_t now_ms)
{
    struct call *call = mover->call;
    struct node_progress progress;
    node_progress(call->rpc->node, &progress);
    bool moved = progress.leader == mover->target;
    if (!moved && now_ms < mover->until_ms) {
        return false;
    }
    call->on_gone = NULL;
    leave(call);
    if (moved) {
        call__send(call, SLICE(""));
        call__finish(call);
    } else {
        call__fail(call, V3_TIMEOUT);
    }
    return true;
}

/* Only a voter can lead. */
static bool may_lead(struct call *call, member_id id)
{
    struct node_member member;
    struct lock *lock = node_lock(call->rpc->node);
    lock_read(lock);
    bool found = node_member(call->rpc->node, id, &call->arena, &member);
    unlock_read(lock);
    return found && !member.is_learner;
}

void maintenance__move_leader(struct call *call, ProtobufCMessage *request)
{
    const Etcdserverpb__MoveLeaderRequest *move = (const void *)request;
    struct rpc *rpc = call->rpc;
    struct node_progress progress;
    node_progress(rpc->node, &progress);
    if (progress.leader != progress.member_id) {
        call__fail(call, V3_NOT_LEADER);
        return;
    }
    if (!may_lead(call, move->targetid)) {
        call__fail(call, V3_BAD_LEADER_TRANSFEREE);
        return;
    }
    struct mover *mover = mem_alloc_zero(sizeof(*mover));
    mover->call = call;
    mover->target = move->targetid;
    mover->until_ms = rpc__now_ms(rpc) + MOVE_MS_MAX;
    list_push_back(&rpc->movers, &mover->link);
    call->context = mover;
    call->on_gone = leave;
    if (!look(mover, rpc__now_ms(rpc))) {
        node_transfer(rpc->node, move->targetid);
    }
}

/* What ends a call may end others: so it begins anew each time. */
void move_leader__tick(struct rpc *rpc, int64_t now_ms)
{
    struct list *node = rpc->movers.next;
    while (node != &rpc->movers) {
        struct mover *mover = CONTAINER_OF(node, struct mover, link);
        struct list *next = node->next;
        node = look(mover, now_ms) ? rpc->movers.next : next;
    }
}

int64_t move_leader__deadline_ms(const struct rpc *rpc)
{
    return list_is_empty(&rpc->movers) ? INT64_MAX : rpc__now_ms(rpc) + LOOK_MS;
}
