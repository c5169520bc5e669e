/* etched.v1.Quota: what may live below a prefix, and what does. */
#include "base/check.h"
#include "proto/pb.h"
#include "proto/quota.pb-c.h"
#include "rpc/rpc_int.h"

/* ---- Set ----------------------------------------------------------------- */

static void finish_set(struct rpc *rpc, struct task *done)
{
    struct call *call = done->call;
    struct txn_answer *answer = &done->write.answer;
    (void)rpc;
    if (call == NULL) {
        /* Nobody waits any more. */
    } else if (done->write.err != ERR_OK) {
        call__fail_err(call, done->write.err);
    } else if (answer->error != V3_OK) {
        call__fail(call, answer->error);
    } else {
        call__answer(call, answer->revision, SLICE(""));
    }
    if (done->write.err == ERR_OK) {
        txn_answer_deinit(answer);
    }
}

void quota__set(struct call *call, ProtobufCMessage *request)
{
    const Etched__V1__QuotaSetRequest *asked = (const void *)request;
    struct command command = {
        .type = COMMAND_QUOTA,
        .quota = {.prefix = message_bytes(asked->prefix),
                  .keys_max = asked->keys_max,
                  .bytes_max = asked->bytes_max},
    };
    who__about(call, command.quota.prefix, SLICE(""));
    who__sign(call, &command);
    task__write(task__new(call->rpc, call, finish_set),
                command_encode(&command));
}

/* ---- List ---------------------------------------------------------------- */

enum { LIST_QUOTAS = 2 };

static void put_quota(struct buf *out, const struct node_quota *quota)
{
    struct buf one = {0};
    pb_put_bytes(&one, 1, quota->prefix);
    pb_put_u64(&one, 2, quota->keys_max);
    pb_put_u64(&one, 3, quota->bytes_max);
    pb_put_u64(&one, 4, quota->keys);
    pb_put_u64(&one, 5, quota->bytes);
    pb_put_bytes_always(out, LIST_QUOTAS, buf_slice(&one));
    buf_deinit(&one);
}

static void answer_list(struct call *call, void *context)
{
    struct rpc *rpc = call->rpc;
    struct buf *body = rpc__body(rpc);
    struct node_quota *quotas;
    (void)context;
    rpc__read_begin(rpc);
    revision now = rpc__revision(rpc);
    size_t count = node_quotas(rpc->node, &call->arena, &quotas);
    rpc__read_end(rpc);
    for (size_t i = 0; i < count; i++) {
        CHECK(quotas[i].keys_max > 0 || quotas[i].bytes_max > 0);
        put_quota(body, &quotas[i]);
    }
    call__answer(call, now, buf_slice(body));
}

void quota__list(struct call *call, ProtobufCMessage *request)
{
    task__when_current(call, false, request, answer_list);
}
