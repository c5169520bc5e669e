#include "cmd/etchctl/v3_keeper.h"

#include "cmd/etchctl/v3_login.h"

enum {
    RETRY_MS = 500,
    /* Until the first answer has come: the dialing, and this. */
    FIRST_MS = 1000,
};

static void on_message(void *context, struct slice message)
{
    struct v3_keeper *keeper = context;
    const Etcdserverpb__LeaseKeepAliveResponse *answer;
    ProtobufCMessage *decoded;
    struct arena arena;
    int64_t now_ms = rpc_client_now_ms();

    arena_init(&arena, 0);
    if (message_decode(&etcdserverpb__lease_keep_alive_response__descriptor,
                       message, &arena, &decoded) == ERR_OK) {
        answer = (const Etcdserverpb__LeaseKeepAliveResponse *)decoded;
        keeper->is_stale = false;
        if (answer->ttl <= 0) {
            keeper->is_over = true;
            rpc_client_wake(keeper->v3->client);
        } else {
            keeper->next_ms = now_ms + answer->ttl * 1000 / 3;
            keeper->expiry_ms = now_ms + answer->ttl * 1000;
            if (keeper->on_answer)
                keeper->on_answer(keeper->context, answer);
        }
    }
    arena_deinit(&arena);
}

/* Only what may pass is tried again. */
static void on_end(void *context, int code, struct slice text)
{
    struct v3_keeper *keeper = context;

    keeper->stream = NULL;
    keeper->retry_ms = rpc_client_now_ms() + RETRY_MS;
    rpc_client_wake(keeper->v3->client); /* there is work to be done */
    if (code == GRPC_UNAVAILABLE || code == GRPC_INTERNAL || code == GRPC_OK)
        return;
    if (!keeper->is_stale && v3_login_is_over(keeper->v3, text)) {
        keeper->is_stale = true;
        return;
    }
    keeper->is_over = true;
    keeper->failure = v3_failure(keeper->v3->arena, code, text);
}

static void open_stream(struct v3_keeper *keeper)
{
    const struct grpc_header leader = {SLICE("hasleader"), SLICE("true")};
    struct rpc_stream_config config = {
        .path = SLICE("/etcdserverpb.Lease/LeaseKeepAlive"),
        .metadata = &leader,
        .metadata_count = 1,
        .on_message = on_message,
        .on_end = on_end,
        .context = keeper,
    };

    keeper->stream = rpc_stream_open(keeper->v3->client, &config);
    keeper->next_ms = 0;
}

void v3_keeper_start(
    struct v3_keeper *keeper, struct v3 *v3, int64_t id,
    void (*on_answer)(void *context,
                      const Etcdserverpb__LeaseKeepAliveResponse *answer),
    void *context)
{
    *keeper = (struct v3_keeper){
        .v3 = v3, .id = id, .on_answer = on_answer, .context = context};
    keeper->expiry_ms = rpc_client_now_ms() + FIRST_MS +
                        pflags_number(&v3->flags, "dial-timeout");
}

static void renew(struct v3_keeper *keeper, int64_t now_ms)
{
    Etcdserverpb__LeaseKeepAliveRequest request =
        ETCDSERVERPB__LEASE_KEEP_ALIVE_REQUEST__INIT;
    struct buf body = {0};

    request.id = keeper->id;
    message_encode(&request.base, &body);
    rpc_stream_send(keeper->stream, buf_slice(&body), false);
    buf_deinit(&body);
    /* Again, if no answer comes. */
    keeper->next_ms = now_ms + RETRY_MS;
}

int64_t v3_keeper_work(struct v3_keeper *keeper)
{
    struct v3 *v3 = keeper->v3;
    int64_t now_ms = rpc_client_now_ms();
    int64_t next_ms;

    if (now_ms >= keeper->expiry_ms || keeper->failure)
        keeper->is_over = true;
    if (keeper->is_over)
        return now_ms;
    if (!keeper->stream && now_ms >= keeper->retry_ms) {
        if (!keeper->is_stale || v3_login_again(v3, v3->client))
            open_stream(keeper);
        else if (v3_login_is_refused(v3))
            keeper->failure = v3->failure;
        else
            keeper->retry_ms = now_ms + RETRY_MS;
    }
    if (keeper->stream && now_ms >= keeper->next_ms)
        renew(keeper, now_ms);
    next_ms = keeper->stream ? keeper->next_ms : keeper->retry_ms;
    return next_ms < keeper->expiry_ms ? next_ms : keeper->expiry_ms;
}

void v3_keeper_stop(struct v3_keeper *keeper)
{
    if (keeper->stream)
        rpc_stream_cancel(keeper->stream);
    keeper->stream = NULL;
}
