/* grpc.health.v1: this member serves while it runs and knows a leader. The
 * services that can be asked for are etcd's own, by name, and "" for all. */
#include "base/check.h"
#include "proto/health.pb-c.h"
#include "proto/pb.h"
#include "rpc/rpc_int.h"

#define STATUS(name) \
    GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__##name

static int status_of(const struct rpc *rpc, struct slice service)
{
    struct node_progress progress;
    if (service.size > 0 && !method__has_service(service)) {
        return STATUS(SERVICE_UNKNOWN);
    }
    node_progress(rpc->node, &progress);
    return progress.leader != 0 && !rpc->stopping ? STATUS(SERVING)
                                                  : STATUS(NOT_SERVING);
}

static void send_status(struct call *call, int status)
{
    struct buf *out = rpc__body(call->rpc);
    pb_put_u64(out, 1, (uint64_t)status);
    call__send(call, buf_slice(out));
}

void health__check(struct call *call, ProtobufCMessage *request)
{
    const Grpc__Health__V1__HealthCheckRequest *check = (void *)request;
    int status = status_of(call->rpc, slice_str(check->service));
    if (status == STATUS(SERVICE_UNKNOWN)) {
        call__fail_code(call, GRPC_NOT_FOUND, "unknown service");
        return;
    }
    send_status(call, status);
    call__finish(call);
}

/* ---- told of changes ------------------------------------------------- */

struct health_watch {
    struct call *call;
    struct list link; /* in rpc->health_watches */
    struct slice service;
    int status; /* as it was told */
};

static void on_gone(struct call *call)
{
    struct health_watch *watch = call->context;
    list_remove(&watch->link);
}

void health__watch(struct call *call, ProtobufCMessage *request)
{
    const Grpc__Health__V1__HealthCheckRequest *check = (void *)request;
    struct health_watch *watch = arena_alloc(&call->arena, sizeof(*watch));
    *watch = (struct health_watch){
        .call = call,
        .service = slice_str(check->service),
        .status = status_of(call->rpc, slice_str(check->service)),
    };
    list_push_back(&call->rpc->health_watches, &watch->link);
    call->context = watch;
    call->on_gone = on_gone;
    send_status(call, watch->status);
}

void health__tick(struct rpc *rpc)
{
    LIST_EACH (node, &rpc->health_watches) {
        struct health_watch *watch =
            CONTAINER_OF(node, struct health_watch, link);
        int status = status_of(rpc, watch->service);
        if (status != watch->status) {
            watch->status = status;
            send_status(watch->call, status);
        }
    }
}
