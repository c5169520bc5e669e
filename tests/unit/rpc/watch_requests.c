#include "watch_requests.h"

create_request watch_of(const char *key, const char *end)
{
    create_request request = ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;
    request.key = encoded_bytes_of(key);
    request.range_end = encoded_bytes_of(end);
    return request;
}

void watch_create(struct hearer *stream, create_request request)
{
    Etcdserverpb__WatchRequest message = ETCDSERVERPB__WATCH_REQUEST__INIT;
    message.request_union_case =
        ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST;
    message.create_request = &request;
    stage_say(stream, &message);
    stage_turn(stream->stage);
}

void watch_key(struct hearer *stream, const char *key)
{
    watch_create(stream, watch_of(key, ""));
}

void watch_from(struct hearer *stream, const char *key, revision from)
{
    create_request request = watch_of(key, "");
    request.start_revision = from;
    watch_create(stream, request);
}

void watch_cancel(struct hearer *stream, int64_t id)
{
    Etcdserverpb__WatchRequest message = ETCDSERVERPB__WATCH_REQUEST__INIT;
    Etcdserverpb__WatchCancelRequest request =
        ETCDSERVERPB__WATCH_CANCEL_REQUEST__INIT;
    message.request_union_case =
        ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CANCEL_REQUEST;
    message.cancel_request = &request;
    request.watch_id = id;
    stage_say(stream, &message);
    stage_turn(stream->stage);
}

void watch_ask_progress(struct hearer *stream)
{
    Etcdserverpb__WatchRequest message = ETCDSERVERPB__WATCH_REQUEST__INIT;
    Etcdserverpb__WatchProgressRequest request =
        ETCDSERVERPB__WATCH_PROGRESS_REQUEST__INIT;
    message.request_union_case =
        ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_PROGRESS_REQUEST;
    message.progress_request = &request;
    stage_say(stream, &message);
    stage_turn(stream->stage);
}
