/* Watch: a stream that holds many watches.
 *
 *   create_request   --> created (or created and canceled: why not), then its
 *                        events
 *   cancel_request   --> canceled; nothing, where there is no such watch
 *   progress_request --> a response of no watch: its header's revision is how
 *                        far all watches of the stream are
 *
 * The stream goes on when the client has said all that it will say, as in
 * etcd: it ends when the client cancels it, or leaves.
 */
#include "base/check.h"
#include "proto/pb.h"
#include "rpc/watch_int.h"

/* ---- responses without events -------------------------------------------- */

void watch__note_sent(struct watch_stream *stream)
{
    if (call__unsent(stream->call) > LIMIT_HTTP_OUT_HIGH_BYTES) {
        stream->congested = true;
    }
}

void watch__send_control(struct watch_stream *stream,
                         const struct watch_control *control)
{
    struct buf *out = rpc__body(stream->rpc);
    rpc__put_header(stream->rpc, out, control->at);
    pb_put_i64(out, WATCH_FIELD_ID, control->id);
    pb_put_bool(out, WATCH_FIELD_CREATED, control->created);
    pb_put_bool(out, WATCH_FIELD_CANCELED, control->canceled);
    pb_put_i64(out, WATCH_FIELD_COMPACTED, control->compacted);
    if (control->reason != NULL) {
        pb_put_bytes(out, WATCH_FIELD_REASON, slice_str(control->reason));
    }
    call__send(stream->call, buf_slice(out));
    if (control->at > stream->promised) {
        stream->promised = control->at;
    }
    watch__note_sent(stream);
}

/* ---- how far it is ------------------------------------------------------- */

static bool is_up_to_date(const struct watch_stream *stream)
{
    const struct watch *watch;
    size_t position = 0;
    uint64_t id;
    if (stream->congested || !list_is_empty(&stream->parked) ||
        stream->rpc->watches->newest < stream->promised) {
        return false;
    }
    while ((watch = map_u64_next(&stream->watches, &position, &id)) != NULL) {
        if (!watch__is_up_to_date(watch)) {
            return false;
        }
    }
    return true;
}

static revision store_revision(struct rpc *rpc)
{
    rpc__read_begin(rpc);
    revision at = rpc__revision(rpc);
    rpc__read_end(rpc);
    return at;
}

bool watch__try_progress(struct watch_stream *stream)
{
    struct watch_control control = {.id = WATCH_ID_NONE};
    if (stream->watches.count == 0) {
        control.at = store_revision(stream->rpc);
    } else if (is_up_to_date(stream)) {
        control.at = stream->rpc->watches->newest;
    } else {
        return false;
    }
    list_remove(&stream->asking);
    watch__send_control(stream, &control);
    return true;
}

static void ask_progress(struct watch_stream *stream)
{
    if (!watch__try_progress(stream)) {
        list_remove(&stream->asking);
        list_push_back(&stream->rpc->watches->asking, &stream->asking);
    }
}

void watch__notify(struct watch_stream *stream, int64_t now_ms)
{
    struct rpc *rpc = stream->rpc;
    struct watch *watch;
    size_t position = 0;
    uint64_t id;
    if (rpc->watches->newest < stream->promised) {
        heap_set(&rpc->watches->due, &stream->due, now_ms + WATCH_RETRY_MS);
        return;
    }
    while ((watch = map_u64_next(&stream->watches, &position, &id)) != NULL) {
        if (watch->notify && !watch->active && !stream->congested &&
            watch__is_up_to_date(watch)) {
            struct watch_control control = {.at = rpc->watches->newest,
                                            .id = watch->id};
            watch__send_control(stream, &control);
        }
        watch->active = false;
    }
    heap_set(&rpc->watches->due, &stream->due,
             now_ms + watching__interval_ms(rpc));
}

/* ---- requests ------------------------------------------------------------ */

static void cancel(struct watch_stream *stream, int64_t id)
{
    struct rpc *rpc = stream->rpc;
    struct watch *watch = map_u64_get(&stream->watches, (uint64_t)id);
    if (watch == NULL) {
        return;
    }
    struct watch_control control = {
        .at = store_revision(rpc),
        .id = id,
        .canceled = true,
    };
    watch__free(watch);
    watch__send_control(stream, &control);
    watching__settle(rpc);
}

static void handle(struct watch_stream *stream,
                   const Etcdserverpb__WatchRequest *request)
{
    switch (request->request_union_case) {
    case ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST:
        watch__create(stream, request->create_request);
        break;
    case ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CANCEL_REQUEST:
        cancel(stream, request->cancel_request->watch_id);
        break;
    case ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_PROGRESS_REQUEST:
        ask_progress(stream);
        break;
    default:
        break; /* of a newer version: etcd passes it over, too */
    }
}

/* ---- the stream ---------------------------------------------------------- */

static void free_stream(struct watch_stream *stream)
{
    struct rpc *rpc = stream->rpc;
    struct watch *watch;
    size_t position = 0;
    uint64_t id;
    while ((watch = map_u64_next(&stream->watches, &position, &id)) != NULL) {
        watch__free_alone(watch);
    }
    CHECK(list_is_empty(&stream->parked));
    map_u64_deinit(&stream->watches);
    list_remove(&stream->asking);
    heap_remove(&rpc->watches->due, &stream->due);
    mem_free(stream);
    watching__settle(rpc);
}

static void on_gone(struct call *call)
{
    free_stream(call->context);
}

/* While the client doesn't read what it is told it isn't read, either. */
static void on_message(struct call *call, struct slice message)
{
    struct watch_stream *stream = call->context;
    ProtobufCMessage *request;
    CHECK(stream->call == call);
    enum err err = message_decode(&etcdserverpb__watch_request__descriptor,
                                  message, &call->arena, &request);
    if (err != ERR_OK) {
        free_stream(stream);
        call__fail_malformed(call);
        return;
    }
    handle(stream, (const Etcdserverpb__WatchRequest *)request);
    arena_reset(&call->arena);
    if (stream->congested) {
        stream->owed += message.size;
    } else {
        call__consumed(call, message.size);
    }
}

static void on_drained(struct call *call)
{
    struct watch_stream *stream = call->context;
    size_t owed = stream->owed;
    stream->congested = false;
    stream->owed = 0;
    watch__unpark(stream);
    if (!list_is_empty(&stream->asking)) {
        watch__try_progress(stream);
    }
    call__consumed(call, owed);
}

/* The watches go on. */
static void on_half_close(struct call *call)
{
    CHECK(call->context != NULL);
}

void watch__watch(struct call *call, ProtobufCMessage *request)
{
    struct rpc *rpc = call->rpc;
    struct watch_stream *stream = mem_alloc_zero(sizeof(*stream));
    CHECK(request == NULL);
    stream->rpc = rpc;
    stream->call = call;
    stream->tells_cause = call->tells_cause;
    list_init(&stream->parked);
    list_init(&stream->asking);
    map_u64_init_seeded(&stream->watches, prng_next(&rpc->watches->prng));
    call->context = stream;
    call->on_message = on_message;
    call->on_half_close = on_half_close;
    call->on_gone = on_gone;
    call->on_drained = on_drained;
}
