/* Auth, as it is where there are no users: the service says that it is off. */
#include "proto/rpc.pb-c.h"
#include "rpc/rpc_int.h"

/* etcd's store of users begins with this revision. */
enum { FIRST_AUTH_REVISION = 1 };

void auth__status(struct call *call, ProtobufCMessage *request)
{
    struct rpc *rpc = call->rpc;
    struct buf *body = rpc__body(rpc);
    Etcdserverpb__AuthStatusResponse response =
        ETCDSERVERPB__AUTH_STATUS_RESPONSE__INIT;
    (void)request;
    response.enabled = false;
    response.authrevision = FIRST_AUTH_REVISION;
    message_encode(&response.base, body);
    rpc__read_begin(rpc);
    revision now = rpc__revision(rpc);
    rpc__read_end(rpc);
    call__answer(call, now, buf_slice(body));
}

void auth__refuse(struct call *call, ProtobufCMessage *request)
{
    if (request->descriptor ==
        &etcdserverpb__authenticate_request__descriptor) {
        call__fail(call, V3_AUTH_NOT_ENABLED);
        return;
    }
    call__fail_code(call, GRPC_UNIMPLEMENTED,
                    "etched: users and roles are not there yet");
}
