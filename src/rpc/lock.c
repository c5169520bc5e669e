/* Lock: who holds the name has its key, until the lease ends or it unlocks. */
#include "base/check.h"
#include "proto/lock.pb-c.h"
#include "proto/pb.h"
#include "rpc/contest.h"

enum { FIELD_KEY = 2, DELETE_FIELD_KEY = 1 };

static void on_held(struct contest *contest, revision at)
{
    struct call *call = contest->call;
    struct buf body = {0};
    pb_put_bytes(&body, FIELD_KEY, buf_slice(&contest->key));
    contest__free(contest);
    call__answer(call, at, buf_slice(&body));
    buf_deinit(&body);
}

void lock__lock(struct call *call, ProtobufCMessage *message)
{
    const V3lockpb__LockRequest *request = (void *)message;
    struct contest *contest = contest__new(call, SLICE(""), request->lease);
    contest__enter(contest, message_bytes(request->name), on_held,
                   "mutex: session is expired");
}

static void finish_unlock(struct rpc *rpc, struct task *done)
{
    struct txn_answer *answer = &done->write.answer;
    (void)rpc;
    if (done->call != NULL) {
        if (done->write.err != ERR_OK || answer->error != V3_OK) {
            contest__fail(done->call, done->write.err, answer->error);
        } else {
            call__answer(done->call, answer->revision, SLICE(""));
        }
    }
    if (done->write.err == ERR_OK) {
        txn_answer_deinit(answer);
    }
}

void lock__unlock(struct call *call, ProtobufCMessage *message)
{
    const V3lockpb__UnlockRequest *request = (void *)message;
    struct slice key = message_bytes(request->key);
    struct buf *out = rpc__body(call->rpc);
    if (key.size == 0) {
        contest__fail(call, ERR_OK, V3_EMPTY_KEY);
        return;
    }
    who__about(call, key, SLICE(""));
    pb_put_bytes(out, DELETE_FIELD_KEY, key);
    if (out->size > call->rpc->shared->request_bytes_max) {
        contest__fail(call, ERR_OK, V3_REQUEST_TOO_LARGE);
        return;
    }
    task__write_message(task__new(call->rpc, call, finish_unlock),
                        COMMAND_DELETE_RANGE, buf_slice(out));
}
