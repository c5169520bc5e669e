/* A worker's watch stream: what rpc/watch.c does, on the messages themselves.
 *
 *   worker --asked--> [create, cancel, progress]  --> the member's hub
 *   worker <--told--- [created, events, progress] <-- on_event, gathered
 *
 * Both ways keep their order. Events are gathered until the hub has been told
 * of all that was committed in a step; what is read from history may end in
 * the middle of a revision, which then goes in fragments, as others do by
 * chance. */
#include "base/check.h"
#include "base/mem.h"
#include "proto/message.h"
#include "proto/pb.h"
#include "proto/v3_error.h"
#include "sim/service.h"
#include "txn/txn.h"

struct piece {
    struct list link;
    int64_t at_ns;
    bool is_end;
    struct buf bytes;
};

/* One way of a stream. */
struct pipe {
    struct list pieces;
    struct sim_event event; /* the first of them is there */
    int64_t last_ns;
};

struct watch {
    struct list link;
    struct watcher watcher;
    struct sim_stream *stream;
    int64_t id;
    struct buf key;
    struct buf end;
    bool wants_prev;
    bool is_gone; /* from the hub: its history is compacted */
    revision compacted;
    struct rev last; /* that was gathered */
    struct buf events;
};

struct sim_stream {
    struct sim_worker *worker;
    struct sim_member *member; /* NULL: it has let go of it */
    struct pipe asked;
    struct pipe told;
    struct list watches;
    struct sim_event flush;
    bool wants_progress;
};

/* ---- pipes --------------------------------------------------------------- */

static void push(struct sim_stream *stream, struct pipe *pipe,
                 struct slice bytes, bool is_end)
{
    struct sim_service *service = stream->worker->service;
    struct sim *sim = service->sim;
    struct piece *piece = mem_alloc_zero(sizeof *piece);
    piece->at_ns = sim->now_ns +
                   prng_between(&service->prng, 20 * SIM_US, service->delay_ns);
    if (piece->at_ns <= pipe->last_ns)
        piece->at_ns = pipe->last_ns + 1;
    pipe->last_ns = piece->at_ns;
    piece->is_end = is_end;
    buf_append_slice(&piece->bytes, bytes);
    list_push_back(&pipe->pieces, &piece->link);
    if (!sim__is_set(&pipe->event))
        sim__at(sim, &pipe->event, piece->at_ns);
}

static struct piece *first_of(struct pipe *pipe)
{
    return CONTAINER_OF(list_first(&pipe->pieces), struct piece, link);
}

static void drop_first(struct sim *sim, struct pipe *pipe)
{
    struct piece *piece = first_of(pipe);
    list_remove(&piece->link);
    buf_deinit(&piece->bytes);
    mem_free(piece);
    if (!list_is_empty(&pipe->pieces))
        sim__at(sim, &pipe->event, first_of(pipe)->at_ns);
}

static void empty(struct sim *sim, struct pipe *pipe)
{
    while (!list_is_empty(&pipe->pieces))
        drop_first(sim, pipe);
    sim__cancel(sim, &pipe->event);
}

/* ---- its ends ------------------------------------------------------------ */

static void free_watch(struct watch *watch)
{
    list_remove(&watch->link);
    if (!watch->is_gone)
        watch_hub_remove(watch->stream->member->hub, &watch->watcher);
    buf_deinit(&watch->key);
    buf_deinit(&watch->end);
    buf_deinit(&watch->events);
    mem_free(watch);
}

/* The member's end of it is gone. */
static void let_go(struct sim_stream *stream)
{
    struct sim *sim = stream->worker->service->sim;
    if (stream->member == NULL)
        return;
    LIST_EACH (link, &stream->watches) {
        free_watch(CONTAINER_OF(link, struct watch, link));
    }
    sim__cancel(sim, &stream->flush);
    empty(sim, &stream->asked);
    stream->member = NULL;
}

static void free_stream(struct sim_stream *stream)
{
    let_go(stream);
    empty(stream->worker->service->sim, &stream->told);
    CHECK(stream->worker->stream == stream);
    stream->worker->stream = NULL;
    mem_free(stream);
}

void sim__stream_drop(struct sim_worker *worker)
{
    if (worker->stream)
        free_stream(worker->stream);
}

void sim__stream_break(struct sim_worker *worker)
{
    struct sim_stream *stream = worker->stream;
    if (stream == NULL || stream->member == NULL)
        return;
    let_go(stream);
    push(stream, &stream->told, SLICE(""), true);
}

void sim__service_detach(struct sim *sim, struct sim_member *member)
{
    for (int i = 0; sim->service && i < sim->service->worker_count; i++) {
        struct sim_worker *worker = &sim->service->workers[i];
        if (worker->stream && worker->stream->member == member)
            sim__stream_break(worker);
    }
}

/* ---- events -------------------------------------------------------------- */

static struct watch *watch_of(struct watcher *watcher)
{
    return CONTAINER_OF(watcher, struct watch, watcher);
}

static void flush_soon(struct sim_stream *stream, int64_t ns)
{
    struct sim *sim = stream->worker->service->sim;
    sim__at_latest(sim, &stream->flush, sim->now_ns + ns);
}

static void add_event(struct watch *watch, const struct record *record)
{
    const struct ledger *ledger = &watch->stream->member->sim->ledger;
    struct buf event = {0};
    bool is_first = (record->flags & MVCC_TOMBSTONE) == 0 &&
                    record->create == record->rev.main;
    const struct record *prev =
        watch->wants_prev && !is_first
            ? ledger_get(ledger, MVCC_KEYS, record->key, record->rev.main - 1)
            : NULL;
    txn_event(&event, record, prev);
    txn_event_cause(&event, record);
    pb_put_bytes_always(&watch->events, 11, buf_slice(&event));
    watch->last = record->rev;
    buf_deinit(&event);
}

/* Is there more of this revision for it? */
static bool is_within_revision(const struct watch *watch)
{
    const struct watcher *watcher = &watch->watcher;
    const struct mvcc_commit *commit =
        ledger_commit_at(&watch->stream->member->sim->ledger, watch->last.main);
    for (uint32_t i = watch->last.sub + 1; commit && i < commit->count; i++) {
        const struct record *record = &commit->records[i];
        bool is_in = watcher->end.at == NULL
                         ? slice_eq(record->key, watcher->key)
                         : slice_cmp(record->key, watcher->key) >= 0 &&
                               (watcher->end.size == 0 ||
                                slice_cmp(record->key, watcher->end) < 0);
        if (record->table == MVCC_KEYS && is_in)
            return true;
    }
    return false;
}

static void send_events(struct watch *watch)
{
    struct buf response = {0};
    struct sim_stream *stream = watch->stream;
    sim__put_header(&response, stream->member->hub_revision);
    pb_put_i64(&response, 2, watch->id);
    pb_put_bool(&response, 7, is_within_revision(watch));
    buf_append_slice(&response, buf_slice(&watch->events));
    buf_reset(&watch->events);
    push(stream, &stream->told, buf_slice(&response), false);
    buf_deinit(&response);
}

static void on_event(struct watcher *watcher, const struct record *record,
                     struct mvcc_commit *commit)
{
    struct watch *watch = watch_of(watcher);
    struct sim_service *service = watch->stream->worker->service;
    (void)commit;
    /* Between two of a revision too: then it is a fragment. */
    if (watch->events.size && prng_below(&service->prng, 6) == 0)
        send_events(watch);
    add_event(watch, record);
    flush_soon(watch->stream, 50 * SIM_US);
}

static void on_compacted(struct watcher *watcher, revision compacted)
{
    struct watch *watch = watch_of(watcher);
    watch->is_gone = true;
    watch->compacted = compacted;
    flush_soon(watch->stream, 50 * SIM_US);
}

static void send_control(struct sim_stream *stream, int64_t id, bool created,
                         revision compacted)
{
    struct buf response = {0};
    sim__put_header(&response, stream->member->hub_revision);
    pb_put_i64(&response, 2, id);
    pb_put_bool(&response, 3, created);
    pb_put_bool(&response, 4, compacted > 0);
    pb_put_i64(&response, 5, compacted);
    push(stream, &stream->told, buf_slice(&response), false);
    buf_deinit(&response);
}

/* Field numbers are enough where all have been told of everything. */
static void try_progress(struct sim_stream *stream)
{
    LIST_EACH (link, &stream->watches) {
        if (!watch_is_live(&CONTAINER_OF(link, struct watch, link)->watcher)) {
            flush_soon(stream, 10 * SIM_MS);
            return;
        }
    }
    stream->wants_progress = false;
    send_control(stream, -1, false, 0);
}

static void flush(struct sim *sim, struct sim_event *event)
{
    struct sim_stream *stream = CONTAINER_OF(event, struct sim_stream, flush);
    if (stream->member->state == SIM_PAUSED) {
        sim__at(sim, event, stream->member->rise.node.key + SIM_US);
        return;
    }
    LIST_EACH (link, &stream->watches) {
        struct watch *watch = CONTAINER_OF(link, struct watch, link);
        if (watch->events.size)
            send_events(watch);
        if (watch->is_gone) {
            send_control(stream, watch->id, false, watch->compacted);
            free_watch(watch);
        }
    }
    if (stream->wants_progress)
        try_progress(stream);
}

/* ---- requests ------------------------------------------------------------ */

static void create(struct sim_stream *stream,
                   const Etcdserverpb__WatchCreateRequest *request)
{
    struct sim_member *member = stream->member;
    struct watch *watch = mem_alloc_zero(sizeof *watch);
    watch->stream = stream;
    watch->id = request->watch_id;
    watch->wants_prev = request->prev_kv;
    buf_append_slice(&watch->key, message_bytes(request->key));
    buf_append_slice(&watch->end, message_bytes(request->range_end));
    watch->watcher = (struct watcher){
        .key = buf_slice(&watch->key),
        .end = buf_slice(&watch->end),
        .tables = 1U << MVCC_KEYS,
        .next = request->start_revision,
        .on_event = on_event,
        .on_compacted = on_compacted,
    };
    /* "\0": no upper end. */
    if (watch->end.size == 1 && watch->end.at[0] == '\0')
        watch->watcher.end.size = 0;
    else if (watch->end.size == 0)
        watch->watcher.end.at = NULL;
    if (watch->watcher.next <= 0)
        watch->watcher.next = member->hub_revision + 1;
    list_push_back(&stream->watches, &watch->link);
    send_control(stream, watch->id, true, 0);
    watch_hub_add(member->hub, &watch->watcher, member->hub_revision);
    sim__at_latest(member->sim, &member->look, member->sim->now_ns + SIM_US);
}

static void cancel(struct sim_stream *stream, int64_t id)
{
    LIST_EACH (link, &stream->watches) {
        struct watch *watch = CONTAINER_OF(link, struct watch, link);
        if (watch->id == id)
            free_watch(watch);
    }
}

static void handle(struct sim_stream *stream,
                   const Etcdserverpb__WatchRequest *request)
{
    switch (request->request_union_case) {
    case ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST:
        create(stream, request->create_request);
        break;
    case ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CANCEL_REQUEST:
        cancel(stream, request->cancel_request->watch_id);
        break;
    default:
        stream->wants_progress = true;
        flush_soon(stream, 50 * SIM_US);
        break;
    }
}

static void on_asked(struct sim *sim, struct sim_event *event)
{
    struct pipe *pipe = CONTAINER_OF(event, struct pipe, event);
    struct sim_stream *stream = CONTAINER_OF(pipe, struct sim_stream, asked);
    struct sim_member *member = stream->member;
    struct arena arena;
    ProtobufCMessage *message;
    if (member->state == SIM_PAUSED) {
        sim__at(sim, event, member->rise.node.key + SIM_US);
        return;
    }
    if (member->state != SIM_UP) {
        sim__stream_break(stream->worker);
        return;
    }
    arena_init(&arena, 0);
    enum err err =
        message_decode(&etcdserverpb__watch_request__descriptor,
                       buf_slice(&first_of(pipe)->bytes), &arena, &message);
    CHECK_EQ(err, ERR_OK);
    handle(stream, (const void *)message);
    arena_deinit(&arena);
    drop_first(sim, pipe);
}

/* ---- the worker's end ---------------------------------------------------- */

static void on_told(struct sim *sim, struct sim_event *event)
{
    struct pipe *pipe = CONTAINER_OF(event, struct pipe, event);
    struct sim_stream *stream = CONTAINER_OF(pipe, struct sim_stream, told);
    struct sim_worker *worker = stream->worker;
    struct runner *runner = worker->runner;
    struct sim_service *service = worker->service;
    CHECK(runner != NULL);
    if (worker->state == SIM_WORKER_PAUSED) {
        sim__at(sim, event, worker->rise.node.key + SIM_US);
        return;
    }
    if (first_of(pipe)->is_end) {
        free_stream(stream);
        runner_watch_ended(runner, GRPC_UNAVAILABLE, SLICE("it broke"));
    } else {
        runner_watched(runner, buf_slice(&first_of(pipe)->bytes));
        drop_first(sim, pipe);
        if (sim__chance(&service->prng, service->lost_ppm / 4))
            sim__stream_break(worker);
    }
    sim__worker_touch(worker);
}

static void open_stream(struct sim_worker *worker)
{
    struct sim *sim = worker->service->sim;
    struct sim_stream *stream = mem_alloc_zero(sizeof *stream);
    bool is_cut = worker->cut_until_ns > sim->now_ns;
    stream->worker = worker;
    stream->asked.event.fire = on_asked;
    stream->told.event.fire = on_told;
    stream->flush.fire = flush;
    list_init(&stream->asked.pieces);
    list_init(&stream->told.pieces);
    list_init(&stream->watches);
    worker->stream = stream;
    stream->member = is_cut ? NULL : sim__worker_home(worker);
    if (stream->member == NULL)
        push(stream, &stream->told, SLICE(""), true);
}

void sim__stream_ask(struct sim_worker *worker, struct slice request)
{
    if (worker->stream == NULL)
        open_stream(worker);
    /* To one that has ended, which isn't known here yet. */
    if (worker->stream->member)
        push(worker->stream, &worker->stream->asked, request, false);
}
