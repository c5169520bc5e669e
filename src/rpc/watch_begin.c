/* One watch: from its request to its place in the hub, and its end. */
#include "base/check.h"
#include "rpc/count.h"
#include "rpc/watch_int.h"

static_assert(sizeof(struct watch) <= 192, "there are a million of them");

/* As etcd's mvcc/watcher.go says it. */
static const char empty_range[] = "mvcc: watcher range is empty";
static const char too_many[] = "etched: too many watchers on this connection "
                               "(--limit-watchers-per-connection)";
static const char duplicate_id[] =
    "mvcc: duplicate watch ID provided on the WatchStream";

/* ---- its end ------------------------------------------------------------- */

static void discount(struct rpc *rpc)
{
    uint64_t before = atomic_fetch_sub_explicit(
        &rpc->shared->api->stats[API_V3_WATCHERS], 1, memory_order_relaxed);
    CHECK_LT(0, before);
}

void watch__free_alone(struct watch *watch)
{
    struct rpc *rpc = watch->stream->rpc;
    list_remove(&watch->link);
    if (watch->compacted == 0) {
        watch_hub_remove(rpc->hub, &watch->watcher);
    }
    told__unref(rpc->watches, watch->ready);
    told__unref(rpc->watches, watch->told);
    count__add(COUNT_SLOW_WATCHERS, watch->lags ? -1 : 0);
    count__add(COUNT_WATCHERS, -1);
    mem_free(watch);
    discount(rpc);
}

void watch__free(struct watch *watch)
{
    struct map_u64 *watches = &watch->stream->watches;
    CHECK(map_u64_remove(watches, (uint64_t)watch->id) == watch);
    watch__free_alone(watch);
}

/* ---- what is asked for --------------------------------------------------- */

/* What a request means by its key and range_end, as etcd reads it: no key is
 * the smallest one; no range_end: this key alone; "\0": all from the key on.
 */
struct range {
    struct slice key;
    struct slice end; /* as a watcher's */
};

static struct range range_of(const Etcdserverpb__WatchCreateRequest *request)
{
    struct range range = {.key = message_bytes(request->key)};
    struct slice end = message_bytes(request->range_end);
    if (range.key.size == 0) {
        range.key = slice_of("", 1);
    }
    if (end.size == 1 && end.at[0] == '\0') {
        range.end = slice_of(end.at, 0);
    } else if (end.size > 0) {
        range.end = end;
    }
    return range;
}

static bool is_empty(const struct range *range)
{
    return range->end.size > 0 && slice_cmp(range->key, range->end) >= 0;
}

static int64_t next_id(struct watch_stream *stream)
{
    while (map_u64_get(&stream->watches, (uint64_t)stream->next_id) != NULL) {
        stream->next_id++;
    }
    return stream->next_id++;
}

/* False: there are too many of them. */
static bool count_in(struct rpc *rpc)
{
    struct api_shared *api = rpc->shared->api;
    uint64_t before = atomic_fetch_add_explicit(&api->stats[API_V3_WATCHERS], 1,
                                                memory_order_relaxed);
    uint64_t others =
        atomic_load_explicit(&api->stats[API_WATCHERS], memory_order_relaxed);
    if (before + others < api->watchers_max) {
        return true;
    }
    discount(rpc);
    return false;
}

/* Of all watch streams on the same connection: it has one text that says who
 * the client is. */
static bool connection_has_room(const struct watch_stream *stream)
{
    struct api_shared *api = stream->rpc->shared->api;
    const struct http_exchange *own = stream->call->exchange;
    size_t count = 0;
    if (api->connection_watchers_max == 0 || own->request.is_own) {
        return true;
    }
    LIST_EACH (node, &stream->rpc->calls) {
        const struct call *call = CONTAINER_OF(node, struct call, link);
        if (call->method->begin == watch__watch && call->context != NULL &&
            call->exchange->request.peer.at == own->request.peer.at) {
            count += ((struct watch_stream *)call->context)->watches.count;
        }
    }
    if (count < api->connection_watchers_max) {
        return true;
    }
    atomic_fetch_add_explicit(&api->watchers_refused, 1, memory_order_relaxed);
    return false;
}

/* Why there can't be such a watch; NULL: it was counted. */
static const char *fault_of(struct watch_stream *stream,
                            const struct range *range, int64_t id)
{
    if (is_empty(range)) {
        return empty_range;
    }
    if (id != 0 && map_u64_get(&stream->watches, (uint64_t)id) != NULL) {
        return duplicate_id;
    }
    if (!connection_has_room(stream)) {
        return too_many;
    }
    if (!count_in(stream->rpc)) {
        return v3_error_text(V3_REQUEST_TOO_MANY_REQUESTS);
    }
    return NULL;
}

/* ---- its beginning ------------------------------------------------------- */

static void set_filters(struct watch *watch,
                        const Etcdserverpb__WatchCreateRequest *request)
{
    for (size_t i = 0; i < request->n_filters; i++) {
        switch ((int)request->filters[i]) {
        case ETCDSERVERPB__WATCH_CREATE_REQUEST__FILTER_TYPE__NOPUT:
            watch->no_put = true;
            break;
        case ETCDSERVERPB__WATCH_CREATE_REQUEST__FILTER_TYPE__NODELETE:
            watch->no_delete = true;
            break;
        default:
            break;
        }
    }
}

static void set_range(struct watch *watch, const struct range *range)
{
    struct watcher *watcher = &watch->watcher;
    memcpy(watch->key, range->key.at, range->key.size);
    watcher->key = slice_of(watch->key, range->key.size);
    if (range->end.at != NULL) {
        char *end = watch->key + range->key.size;
        if (range->end.size > 0) {
            memcpy(end, range->end.at, range->end.size);
        }
        watcher->end = slice_of(end, range->end.size);
    }
}

static struct watch *watch_new(struct watch_stream *stream,
                               const struct range *range,
                               const Etcdserverpb__WatchCreateRequest *request)
{
    struct watch *watch =
        mem_alloc_zero(sizeof(*watch) + range->key.size + range->end.size);
    watch->stream = stream;
    watch->id = request->watch_id != 0 ? request->watch_id : next_id(stream);
    watch->kind = (uint8_t)((request->prev_kv ? TOLD_PREV : 0) |
                            (stream->tells_cause ? TOLD_CAUSE : 0));
    watch->notify = request->progress_notify;
    watch->fragment = request->fragment;
    watch->watcher.on_event = watch__on_event;
    watch->watcher.on_compacted = watch__on_compacted;
    watch->watcher.tables = 1U << MVCC_KEYS;
    list_init(&watch->link);
    set_filters(watch, request);
    set_range(watch, range);
    count__add(COUNT_WATCHERS, 1);
    CHECK(map_u64_put(&stream->watches, (uint64_t)watch->id, watch) == NULL);
    return watch;
}

static bool is_in_range(const struct watch *watch, struct slice key)
{
    const struct watcher *watcher = &watch->watcher;
    if (watcher->end.at == NULL) {
        return slice_eq(watcher->key, key);
    }
    return slice_cmp(watcher->key, key) <= 0 &&
           (watcher->end.size == 0 || slice_cmp(key, watcher->end) < 0);
}

/* The revision that was compacted is where a client goes on that was told that
 * it came too late, and etcd lets it: it is given what is left of it, which
 * the hub doesn't read. */
static void gather_compacted(struct watch *watch, revision compacted)
{
    struct rpc *rpc = watch->stream->rpc;
    struct rev at = {compacted, 0};
    struct record record;
    rpc__read_begin(rpc);
    while (mvcc_history_left(rpc->reader, at, &record) == ERR_OK &&
           record.rev.main == compacted) {
        bool is_delete = (record.flags & MVCC_TOMBSTONE) != 0;
        if (record.table == MVCC_KEYS && is_in_range(watch, record.key) &&
            !(is_delete ? watch->no_delete : watch->no_put)) {
            watch__gather(watch, &record);
        }
        at.sub = record.rev.sub + 1;
    }
    rpc__read_end(rpc);
}

static void add(struct watch *watch, revision start, revision current)
{
    struct rpc *rpc = watch->stream->rpc;
    watch->watcher.next = start;
    watch_hub_add(rpc->hub, &watch->watcher, current);
}

/* etcd has -1 for "nothing was compacted", and finds what is less behind it. */
static bool comes_too_late(revision start, revision compacted)
{
    return compacted > 0 ? start < compacted : start < -1;
}

static void begin(struct watch *watch, revision start, revision current,
                  revision compacted)
{
    struct watch_stream *stream = watch->stream;
    struct rpc *rpc = stream->rpc;
    if (start == 0 || (start == -1 && compacted == 0)) {
        start = current + 1;
    }
    if (comes_too_late(start, compacted)) {
        struct watch_control control = {
            .id = watch->id,
            .canceled = true,
            .compacted = compacted > 0 ? compacted : -1,
        };
        watch->compacted = control.compacted; /* it is in no hub */
        watch__free(watch);
        watch__send_control(stream, &control);
        watching__settle(rpc);
        return;
    }
    if (compacted > 0 && start == compacted) {
        gather_compacted(watch, compacted);
        start++;
    }
    add(watch, start, current);
}

static void want_notifications(struct watch_stream *stream)
{
    struct rpc *rpc = stream->rpc;
    int64_t interval_ms = watching__interval_ms(rpc);
    if (!stream->notifies && interval_ms > 0) {
        stream->notifies = true;
        heap_set(&rpc->watches->due, &stream->due,
                 rpc__now_ms(rpc) + interval_ms);
    }
}

void watch__create(struct watch_stream *stream,
                   const Etcdserverpb__WatchCreateRequest *request)
{
    struct range range = range_of(request);
    struct watch_control control = {.id = WATCH_ID_NONE, .created = true};
    revision compacted;
    watching__prepare(stream->rpc, &control.at, &compacted);
    control.reason = watch__refusal(stream, request);
    if (control.reason == NULL) {
        control.reason = fault_of(stream, &range, request->watch_id);
    }
    if (control.reason != NULL) {
        control.canceled = true;
        watch__send_control(stream, &control);
        watching__settle(stream->rpc);
        return;
    }
    struct watch *watch = watch_new(stream, &range, request);
    control.id = watch->id;
    watch__send_control(stream, &control);
    if (watch->notify) {
        want_notifications(stream);
    }
    begin(watch, request->start_revision, control.at, compacted);
}
