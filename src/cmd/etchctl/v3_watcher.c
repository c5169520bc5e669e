#include "cmd/etchctl/v3_watcher.h"

#include <string.h>

#include "cmd/etchctl/v3_login.h"

enum { RETRY_MS = 100 };

static void send_request(struct rpc_stream *stream,
                         const Etcdserverpb__WatchRequest *request)
{
    struct buf body = {0};

    message_encode(&request->base, &body);
    rpc_stream_send(stream, buf_slice(&body), false);
    buf_deinit(&body);
}

/* Where to go on: behind what has been seen. */
static void note_revision(struct v3_watcher *watcher,
                          const Etcdserverpb__WatchResponse *answer)
{
    int64_t *start = &watcher->request.start_revision;
    int64_t seen = answer->header ? answer->header->revision : 0;

    if (answer->created && *start == 0)
        *start = seen + 1;
    for (size_t i = 0; i < answer->n_events; i++)
        if (answer->events[i]->kv &&
            answer->events[i]->kv->mod_revision >= *start)
            *start = answer->events[i]->kv->mod_revision + 1;
}

static void finish(struct v3_watcher *watcher)
{
    watcher->is_over = true;
    rpc_client_wake(watcher->client);
}

/* The stream has another token when it is opened again. */
static bool has_stale_token(struct v3_watcher *watcher, struct slice text)
{
    bool is_first = !watcher->is_stale;

    watcher->is_stale = v3_login_is_over(watcher->v3, text);
    return watcher->is_stale && is_first;
}

static void take(struct v3_watcher *watcher,
                 const Etcdserverpb__WatchResponse *answer)
{
    if (answer->canceled &&
        has_stale_token(watcher, slice_str(answer->cancel_reason))) {
        rpc_stream_cancel(watcher->stream);
        watcher->stream = NULL;
        watcher->retry_ms = rpc_client_now_ms();
        rpc_client_wake(watcher->client);
        return;
    }
    note_revision(watcher, answer);
    if (answer->created && !answer->canceled) {
        watcher->is_stale = false;
        watcher->has_begun = true;
        return;
    }
    watcher->on_answer(watcher->context, answer);
    if (answer->canceled)
        finish(watcher);
}

static void on_message(void *context, struct slice message)
{
    struct v3_watcher *watcher = context;
    ProtobufCMessage *decoded;
    struct arena arena;

    arena_init(&arena, 0);
    if (!watcher->is_over &&
        message_decode(&etcdserverpb__watch_response__descriptor, message,
                       &arena, &decoded) == ERR_OK)
        take(watcher, (const Etcdserverpb__WatchResponse *)decoded);
    arena_deinit(&arena);
}

static void on_end(void *context, int code, struct slice text)
{
    struct v3_watcher *watcher = context;

    watcher->stream = NULL;
    watcher->retry_ms = rpc_client_now_ms() + RETRY_MS;
    rpc_client_wake(watcher->client); /* there is work to be done */
    if (watcher->is_over || code == GRPC_UNAVAILABLE || code == GRPC_INTERNAL ||
        code == GRPC_OK || has_stale_token(watcher, text))
        return;
    watcher->failure = v3_failure(watcher->v3->arena, code, text);
    finish(watcher);
}

static void open_stream(struct v3_watcher *watcher)
{
    const struct grpc_header leader = {SLICE("hasleader"), SLICE("true")};
    struct rpc_stream_config config = {
        .path = SLICE("/etcdserverpb.Watch/Watch"),
        .metadata = &leader,
        .metadata_count = watcher->needs_leader ? 1 : 0,
        .on_message = on_message,
        .on_end = on_end,
        .context = watcher,
    };
    Etcdserverpb__WatchRequest request = ETCDSERVERPB__WATCH_REQUEST__INIT;

    watcher->stream = rpc_stream_open(watcher->client, &config);
    request.request_union_case =
        ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST;
    request.create_request = &watcher->request;
    send_request(watcher->stream, &request);
}

void v3_watcher_start(struct v3_watcher *watcher, struct v3 *v3,
                      struct rpc_client *client)
{
    watcher->v3 = v3;
    watcher->client = client;
    open_stream(watcher);
}

int64_t v3_watcher_work(struct v3_watcher *watcher)
{
    if (watcher->is_over || watcher->stream)
        return INT64_MAX;
    if (rpc_client_now_ms() < watcher->retry_ms)
        return watcher->retry_ms;
    if (watcher->is_stale && !v3_login_again(watcher->v3, watcher->client)) {
        if (v3_login_is_refused(watcher->v3)) {
            watcher->failure = watcher->v3->failure;
            watcher->is_over = true;
        }
        watcher->retry_ms = rpc_client_now_ms() + RETRY_MS;
        return watcher->retry_ms;
    }
    open_stream(watcher);
    return INT64_MAX;
}

void v3_watcher_ask_progress(struct v3_watcher *watcher)
{
    Etcdserverpb__WatchProgressRequest progress =
        ETCDSERVERPB__WATCH_PROGRESS_REQUEST__INIT;
    Etcdserverpb__WatchRequest request = ETCDSERVERPB__WATCH_REQUEST__INIT;

    if (!watcher->stream || watcher->is_over)
        return;
    request.request_union_case =
        ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_PROGRESS_REQUEST;
    request.progress_request = &progress;
    send_request(watcher->stream, &request);
}

void v3_watcher_stop(struct v3_watcher *watcher)
{
    if (watcher->stream)
        rpc_stream_cancel(watcher->stream);
    watcher->stream = NULL;
}

const char *v3_watcher_reason(struct arena *arena,
                              const Etcdserverpb__WatchResponse *answer)
{
    if (answer->compact_revision != 0)
        return v3_error_text(V3_COMPACTED);
    /* It may say already what it is. */
    if (strncmp(answer->cancel_reason, "rpc error: ", 11) == 0)
        return answer->cancel_reason;
    if (answer->cancel_reason[0])
        return v3_failure(arena, GRPC_FAILED_PRECONDITION,
                          slice_str(answer->cancel_reason));
    return v3_error_text(V3_FUTURE_REV);
}
