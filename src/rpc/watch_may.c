/* Who may have a watch: seen when it is asked for, with the range exactly as
 * it is asked for (an open end is all that there is, CVE-2026-73499), and
 * again whenever users or roles have changed: before anything that was
 * committed later is told.
 *
 * As in etcd the stream stays: a watch that its user may not have is answered
 * as created and canceled at once, one that he may have no more is canceled. */
#include "base/check.h"
#include "rpc/count.h"
#include "rpc/watch_int.h"

/* Looked at under one hold of the lock. */
enum { LOOKED_AT_ONCE = 1000 };

static const char *text_of(struct call *call, enum v3_error error)
{
    return arena_printf(call->exchange->arena, "rpc error: code = %s desc = %s",
                        count__code_name(v3_error_code(error)),
                        v3_error_text(error));
}

/* ---- when it begins ------------------------------------------------------ */

const char *watch__refusal(struct watch_stream *stream,
                           const Etcdserverpb__WatchCreateRequest *request)
{
    struct call *call = stream->call;
    struct slice key = message_bytes(request->key);
    struct slice range_end = message_bytes(request->range_end);
    if (key.size == 0) {
        key = slice_of("", 1);
    }
    enum v3_error error = who__look(call);
    if (error == V3_OK && call->auth_revision != 0) {
        error = who__may(call, AUTH_READ, key, range_end);
    }
    who__note_range(call, key, range_end,
                    error != V3_OK ? v3_error_text(error) : NULL);
    return error != V3_OK ? text_of(call, error) : NULL;
}

/* ---- when users have changed --------------------------------------------- */

struct looking {
    struct watch_stream *stream;
    enum v3_error error; /* of the stream's user, whatever he watches */
    struct buf refused;  /* ids, int64_t each */
};

/* The range as it was asked for. Needs: the shared lock. */
static bool may_have(const struct call *call, const struct watch *watch)
{
    const struct watcher *watcher = &watch->watcher;
    struct slice range_end = watcher->end;
    if (range_end.at != NULL && range_end.size == 0) {
        range_end = slice_of("", 1);
    }
    return auth_may(node_auth(call->rpc->node), call->user, AUTH_READ,
                    watcher->key, range_end) == V3_OK;
}

/* False: there are no more. */
static bool look_at_some(struct looking *looking, size_t *position)
{
    struct watch_stream *stream = looking->stream;
    struct lock *lock = node_lock(stream->rpc->node);
    const struct watch *watch = NULL;
    uint64_t id;
    lock_read(lock);
    for (size_t i = 0; i < LOOKED_AT_ONCE; i++) {
        watch = map_u64_next(&stream->watches, position, &id);
        if (watch == NULL) {
            break;
        }
        if (looking->error != V3_OK || !may_have(stream->call, watch)) {
            buf_append(&looking->refused, &watch->id, sizeof(watch->id));
        }
    }
    unlock_read(lock);
    return watch != NULL;
}

static void cancel(struct looking *looking, int64_t id, revision at)
{
    struct watch_stream *stream = looking->stream;
    struct watch *watch = map_u64_get(&stream->watches, (uint64_t)id);
    enum v3_error error =
        looking->error != V3_OK ? looking->error : V3_PERMISSION_DENIED;
    struct watch_control control = {
        .at = at,
        .id = id,
        .canceled = true,
        .reason = text_of(stream->call, error),
    };
    CHECK(watch != NULL);
    who__note_range(stream->call, watch->watcher.key, watch->watcher.end,
                    v3_error_text(error));
    watch__free(watch);
    watch__send_control(stream, &control);
}

static void look_at_stream(struct watch_stream *stream)
{
    struct rpc *rpc = stream->rpc;
    struct call *call = stream->call;
    struct looking looking = {.stream = stream};
    size_t position = 0;
    /* One that was there before users were asked for hasn't said who it is;
     * else his token may have ended since, which is no matter. */
    looking.error = call->user.size == 0 ? who__look(call) : V3_OK;
    if (looking.error == V3_OK && stream->watches.count > 0) {
        looking.error = who__again(call);
    }
    while (look_at_some(&looking, &position)) {
    }
    rpc__read_begin(rpc);
    revision at = rpc__revision(rpc);
    rpc__read_end(rpc);
    for (size_t i = 0; i < looking.refused.size; i += sizeof(int64_t)) {
        int64_t id;
        memcpy(&id, looking.refused.at + i, sizeof(id));
        cancel(&looking, id, at);
    }
    buf_deinit(&looking.refused);
}

void watching__look_again(struct rpc *rpc)
{
    const struct auth *auth = node_auth(rpc->node);
    uint64_t now = auth_is_on(auth) ? auth_revision(auth) : 0;
    if (now == rpc->watched_revision) {
        return;
    }
    rpc->watched_revision = now;
    if (now == 0) {
        return; /* everybody may have all */
    }
    LIST_EACH (node, &rpc->calls) {
        struct call *call = CONTAINER_OF(node, struct call, link);
        if (call->method->begin == watch__watch && call->context != NULL) {
            look_at_stream(call->context);
        }
    }
    watching__settle(rpc);
}
