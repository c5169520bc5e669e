/* From the hub's events to responses.
 *
 *   on_event --> gathered --> flush --> call__send_shared
 *                  |            |
 *                  |            '-- the client doesn't read: PARKED
 *                  '-- enough for a response: it lags until that is sent
 *
 * Events of one revision stay in one response: what was gathered last is held
 * back as long as more of its revision may come, save for who asked for
 * fragments. A watch whose client doesn't read takes nothing more: where an
 * event comes to it all the same it lags from there, and the event is read
 * again from history when the client has read what it has. So a slow client
 * costs what is on its way to it, and a response for each of its watches at
 * the most, which they share.
 */
#include "base/check.h"
#include "proto/pb.h"
#include "rpc/count.h"
#include "rpc/watch_int.h"

/* All of a response but its events: the header, an id, a flag. */
enum { HEAD_BYTES_MAX = RPC_HEADER_BYTES_MAX + 1 + VARINT_BYTES_MAX + 2 };

static struct watch *watch_of(struct watcher *watcher)
{
    return CONTAINER_OF(watcher, struct watch, watcher);
}

static struct watching *all_of(const struct watch *watch)
{
    return watch->stream->rpc->watches;
}

/* ---- events come --------------------------------------------------------- */

/* Where it is dirty already it keeps its turn. */
static void make_dirty(struct watch *watch)
{
    if (list_is_empty(&watch->link)) {
        list_push_back(&all_of(watch)->dirty, &watch->link);
    }
}

static void park(struct watch *watch)
{
    list_remove(&watch->link);
    list_push_back(&watch->stream->parked, &watch->link);
}

static void lag(struct watch *watch)
{
    watch_lag(watch->stream->rpc->hub, &watch->watcher);
    count__add(COUNT_SLOW_WATCHERS, watch->lags ? 0 : 1);
    watch->lags = true;
}

/* What was gathered is a response of its own. */
static void cut(struct watch *watch, bool within_revision)
{
    CHECK(watch->ready == NULL && watch->told != NULL);
    watch->ready = watch->told;
    watch->told = NULL;
    watch->cut = within_revision;
}

/* What was before an event is read for it. False: nothing was begun. */
static bool begin_read(const struct watch *watch)
{
    struct rpc *rpc = watch->stream->rpc;
    if ((watch->kind & TOLD_PREV) == 0 || rpc->reading) {
        return false;
    }
    rpc__read_begin(rpc);
    return true;
}

static void end_read(const struct watch *watch, bool begun)
{
    if (begun) {
        rpc__read_end(watch->stream->rpc);
    }
}

/* The response with this record in it would be as long as etcd lets none be
 * that is more than one event. */
static bool is_too_long(const struct watch *watch, const struct record *record)
{
    struct rpc *rpc = watch->stream->rpc;
    bool begun = begin_read(watch);
    size_t bytes =
        watch->told->bytes + told__event_bytes(rpc, record, watch->kind);
    end_read(watch, begun);
    return bytes + HEAD_BYTES_MAX >=
           rpc->shared->request_bytes_max + RPC_REQUEST_OVERHEAD_BYTES;
}

/* Whether what was gathered has to go before this record is added. */
static bool is_enough(const struct watch *watch, const struct record *record)
{
    const struct told *told = watch->told;
    if (told == NULL) {
        return false;
    }
    if (told->rev.main != record->rev.main) {
        return told->bytes >= WATCH_RESPONSE_BYTES;
    }
    return watch->fragment && is_too_long(watch, record);
}

void watch__gather(struct watch *watch, const struct record *record)
{
    struct rpc *rpc = watch->stream->rpc;
    bool begun = begin_read(watch);
    watch->told = told__add(rpc, watch->told, record, watch->kind);
    end_read(watch, begun);
    if (watch->told->bytes >= WATCH_RESPONSE_BYTES) {
        rpc->watches->full = true;
    }
    make_dirty(watch);
}

/* Nobody takes it now: from its revision on all is given again. */
static void refuse(struct watch *watch, const struct record *record)
{
    lag(watch);
    watch->watcher.next = record->rev.main;
    watch->refused = true;
    park(watch);
}

void watch__on_event(struct watcher *watcher, const struct record *record,
                     struct mvcc_commit *commit)
{
    struct watch *watch = watch_of(watcher);
    bool is_delete = (record->flags & MVCC_TOMBSTONE) != 0;
    (void)commit;
    if (is_delete ? watch->no_delete : watch->no_put) {
        return;
    }
    if (watch->stream->congested && watch->told == NULL) {
        refuse(watch, record);
        return;
    }
    bool enough = is_enough(watch, record);
    if (enough) {
        cut(watch, watch->told->rev.main == record->rev.main);
    }
    watch__gather(watch, record);
    if (enough) {
        /* It stays dirty, and goes on when this was sent. */
        lag(watch);
    }
}

void watch__on_compacted(struct watcher *watcher, revision compacted)
{
    struct watch *watch = watch_of(watcher);
    CHECK_LE(watcher->next, compacted);
    CHECK_LT(0, compacted);
    watch->compacted = compacted;
    make_dirty(watch);
}

/* ---- responses go -------------------------------------------------------- */

/* All of the last revision that was gathered is there. */
static bool is_whole(const struct watch *watch)
{
    return watch->told->rev.main < watch->watcher.next ||
           (watch->compacted == 0 && watch_is_live(&watch->watcher));
}

/* As etcd says it: of what is live, its own revision; where that was history,
 * how far the store is, once all is told. */
static revision revision_of(const struct watch *watch, const struct told *told)
{
    const struct watching *watches = all_of(watch);
    if (!watches->of_history || watch->compacted != 0 || watch->told != NULL ||
        !watch_is_live(&watch->watcher) || watches->newest < told->rev.main) {
        return told->rev.main;
    }
    return watches->newest;
}

/* Takes the reference. */
static void send(struct watch *watch, struct told *told, bool is_fragment)
{
    struct watch_stream *stream = watch->stream;
    struct buf *head = rpc__body(stream->rpc);
    watching__put_header(stream->rpc, head, revision_of(watch, told));
    pb_put_i64(head, WATCH_FIELD_ID, watch->id);
    pb_put_bool(head, WATCH_FIELD_FRAGMENT, is_fragment);
    call__send_shared(stream->call, buf_slice(head), told__events(told));
    count__add(COUNT_EVENTS, told->count);
    told__unref(all_of(watch), told);
    watch->active = true;
    watch__note_sent(stream);
}

static void send_ready(struct watch *watch)
{
    struct told *told = watch->ready;
    if (told != NULL) {
        watch->ready = NULL;
        send(watch, told, watch->cut);
        watch->cut = false;
    }
}

static void send_told(struct watch *watch)
{
    struct told *told = watch->told;
    if (told != NULL && is_whole(watch)) {
        watch->told = NULL;
        send(watch, told, false);
    }
}

/* Goes on in the hub where it was. */
static void resume(struct watch *watch)
{
    struct rpc *rpc = watch->stream->rpc;
    revision next = watch->watcher.next;
    if (!watch->lags) {
        return;
    }
    watch->lags = false;
    count__add(COUNT_SLOW_WATCHERS, -1);
    if (watch->refused) {
        watch->refused = false;
        watch_hub_remove(rpc->hub, &watch->watcher);
        watch->watcher.next = next;
        watch_hub_add(rpc->hub, &watch->watcher, rpc->watches->newest);
    } else {
        watch_resume(rpc->hub, &watch->watcher);
    }
    if (!watch_is_live(&watch->watcher)) {
        rpc->watches->resumed = true;
    }
}

/* Its history is gone: the last that is heard of it. As in etcd, the header
 * has no revision. */
static void end_compacted(struct watch *watch)
{
    struct watch_stream *stream = watch->stream;
    struct watch_control control = {
        .id = watch->id,
        .canceled = true,
        .compacted = watch->compacted,
    };
    watch__free(watch);
    watch__send_control(stream, &control);
}

void watch__flush(struct watch *watch)
{
    struct watch_stream *stream = watch->stream;
    list_remove(&watch->link);
    if (!stream->congested) {
        send_ready(watch);
    }
    if (!stream->congested) {
        send_told(watch);
    }
    if (stream->congested) {
        if (watch->compacted == 0) {
            lag(watch);
        }
        park(watch);
        return;
    }
    if (watch->compacted != 0) {
        end_compacted(watch);
        return;
    }
    resume(watch);
    if (watch->told != NULL) {
        make_dirty(watch);
    }
}

void watching__flush(struct rpc *rpc)
{
    struct watching *watches = rpc->watches;
    struct list *link;
    struct list now;
    CHECK(!rpc->reading);
    watches->header_at = -1;
    list_init(&now);
    while ((link = list_first(&watches->dirty)) != NULL) {
        list_remove(link);
        list_push_back(&now, link);
    }
    while ((link = list_first(&now)) != NULL) {
        watch__flush(CONTAINER_OF(link, struct watch, link));
    }
    told__forget(watches);
    watches->full = false;
    watches->gathered = 0;
    LIST_EACH (node, &watches->asking) {
        watch__try_progress(CONTAINER_OF(node, struct watch_stream, asking));
    }
    inner_watch__tell(rpc);
    watching__settle(rpc);
}

void watch__unpark(struct watch_stream *stream)
{
    struct list *link;
    while (!stream->congested && (link = list_first(&stream->parked)) != NULL) {
        watch__flush(CONTAINER_OF(link, struct watch, link));
    }
}

bool watch__is_up_to_date(const struct watch *watch)
{
    return watch->compacted == 0 && watch->ready == NULL &&
           watch->told == NULL && watch_is_live(&watch->watcher);
}
