/* The one Watch stream, and the watches on it.
 *
 *            watch__begin              created
 *     (none) -------------> asked for ---------> told of events
 *        ^                     ^                     |
 *        |  watch__end         |   the stream ended  |
 *        +---------------------+---------------------+
 *
 * WatchResponses are read in place: an event costs no allocation here. An
 * event of a revision below watch->next has been told before and is left out,
 * so a watch may begin earlier than it has to.
 *
 * How far a quiet watch is, it learns from progress: the server's own, each
 * few minutes, and on etched by asking (etcd 3.4 and 3.5 before .8 answer a
 * request before they have told what came first, so they aren't asked). */
#include "runner/runner_core.h"

/* WatchRequest, WatchCreateRequest, WatchResponse, Event, KeyValue. */
enum { REQUEST_CREATE = 1, REQUEST_CANCEL = 2, REQUEST_PROGRESS = 3 };
enum {
    RESPONSE_HEADER = 1,
    RESPONSE_ID = 2,
    RESPONSE_CREATED = 3,
    RESPONSE_CANCELED = 4,
    RESPONSE_COMPACTED = 5,
    RESPONSE_REASON = 6,
    RESPONSE_FRAGMENT = 7,
    RESPONSE_EVENT = 11
};
enum {
    EVENT_TYPE = 1,
    EVENT_KV = 2,
    EVENT_PREV = 3,
    EVENT_CAUSE = 100,
    EVENT_TIME = 101
};
enum { KV_KEY = 1, KV_CREATE = 2, KV_MOD = 3, KV_VERSION = 4, KV_VALUE = 5 };

#define PROGRESS_EACH_NS (200 * MILLI_NS)
#define PROGRESS_FIRST_NS (20 * MILLI_NS)

static void send_create(struct runner *runner, struct watch *watch)
{
    struct watching *watching = &runner->watching;
    CHECK_EQ(watch->id, 0);
    CHECK_LT(0, watch->next);
    watch->id = ++watching->next_id;
    watch->generation++;
    watch->is_created = false;
    watch->in_fragment = false;
    map_u64_put(&watching->by_id, (uint64_t)watch->id, watch);
    struct buf request = {0};
    size_t mark = store__nest(&request, REQUEST_CREATE);
    pb_put_bytes(&request, 1, watch->key);
    pb_put_bytes(&request, 2, watch->end);
    pb_put_i64(&request, 3, watch->next > 1 ? watch->next - 1 : 1);
    pb_put_bool(&request, 4, true); /* progress_notify */
    pb_put_bool(&request, 6, watch->wants_prev);
    pb_put_i64(&request, 7, watch->id);
    pb_put_bool(&request, 8, true); /* fragment */
    store__unnest(&request, mark);
    watching->is_open = true;
    runner->config.doors.watch(runner->config.doors.context,
                               buf_slice(&request));
    buf_deinit(&request);
}

static bool may_send(const struct runner *runner)
{
    const struct watching *watching = &runner->watching;
    return watching->is_open || runner->now.mono_ns >= watching->retry_at_ns;
}

void watch__begin(struct runner *runner, struct watch *watch)
{
    CHECK_EQ(watch->id, 0);
    CHECK_LT(0, watch->key.size);
    list_push_back(&runner->watching.all, &watch->node);
    if (may_send(runner))
        send_create(runner, watch);
}

static void forget(struct runner *runner, struct watch *watch)
{
    struct watching *watching = &runner->watching;
    watch__want_progress(runner, watch, false);
    if (watch->id)
        map_u64_remove(&watching->by_id, (uint64_t)watch->id);
    watch->id = 0;
    if (watch->node.next)
        list_remove(&watch->node);
    watch->node = (struct list){0};
    if (watching->current == watch)
        watching->current = NULL;
}

void watch__end(struct runner *runner, struct watch *watch)
{
    int64_t id = watch->id;
    forget(runner, watch);
    if (id == 0 || !runner->watching.is_open)
        return;
    struct buf request = {0};
    size_t mark = store__nest(&request, REQUEST_CANCEL);
    pb_put_i64(&request, 1, id);
    store__unnest(&request, mark);
    runner->config.doors.watch(runner->config.doors.context,
                               buf_slice(&request));
    buf_deinit(&request);
}

/* ---- progress ----------------------------------------------------------- */

void watch__want_progress(struct runner *runner, struct watch *watch,
                          bool wants)
{
    struct watching *watching = &runner->watching;
    if (watch->wants_progress == wants)
        return;
    CHECK(wants || watching->wanting > 0);
    watch->wants_progress = wants;
    watching->wanting += wants ? 1 : (size_t)-1;
    if (wants && watching->progress.node.place == 0)
        timer__set(runner, &watching->progress,
                   runner->now.mono_ns + PROGRESS_FIRST_NS);
}

static void ask_progress(struct runner *runner, struct timer *timer)
{
    struct watching *watching = &runner->watching;
    if (watching->wanting == 0)
        return;
    timer__set(runner, timer, runner->now.mono_ns + PROGRESS_EACH_NS);
    if (!runner->config.is_etched || !watching->is_open ||
        watching->progress_asked)
        return;
    struct buf request = {0};
    store__unnest(&request, store__nest(&request, REQUEST_PROGRESS));
    watching->progress_asked = true;
    runner->config.doors.watch(runner->config.doors.context,
                               buf_slice(&request));
    buf_deinit(&request);
}

/* All revisions below `next` have been told. */
static void move_on(struct runner *runner, struct watch *watch, int64_t next)
{
    if (next <= watch->next)
        return;
    watch->next = next;
    if (watch->kind->seen)
        watch->kind->seen(runner, watch);
}

static void take_progress(struct runner *runner, int64_t revision)
{
    runner->watching.progress_asked = false;
    /* `seen` may end the watch that it is told of, and no other. */
    LIST_EACH (node, &runner->watching.all) {
        struct watch *watch = CONTAINER_OF(node, struct watch, node);
        if (watch->is_created && !watch->in_fragment)
            move_on(runner, watch, revision + 1);
    }
}

/* ---- events ------------------------------------------------------------- */

struct key_value {
    struct slice key;
    struct slice value;
    int64_t create_revision;
    int64_t mod_revision;
    int64_t version;
};

static bool read_key_value(struct slice bytes, struct key_value *out)
{
    struct pb_reader reader;
    struct pb_field field;
    pb_reader_init(&reader, bytes);
    while (pb_next(&reader, &field)) {
        switch (field.number) {
        case KV_KEY:
            out->key = field.bytes;
            break;
        case KV_CREATE:
            out->create_revision = (int64_t)field.value;
            break;
        case KV_MOD:
            out->mod_revision = (int64_t)field.value;
            break;
        case KV_VERSION:
            out->version = (int64_t)field.value;
            break;
        case KV_VALUE:
            out->value = field.bytes;
            break;
        default:
            break;
        }
    }
    return !reader.failed;
}

static bool read_event(const struct runner *runner, struct slice bytes,
                       struct watch_event *out)
{
    struct pb_reader reader;
    struct pb_field field;
    struct key_value kv = {.key = SLICE(""), .value = SLICE("")};
    struct key_value prev = kv;
    bool is_fine = true;
    *out = (struct watch_event){.cause = SLICE(""),
                                .time_ns = runner->now.wall_ns};
    pb_reader_init(&reader, bytes);
    while (pb_next(&reader, &field)) {
        switch (field.number) {
        case EVENT_TYPE:
            out->is_delete = field.value == 1;
            break;
        case EVENT_KV:
            is_fine = is_fine && read_key_value(field.bytes, &kv);
            break;
        case EVENT_PREV:
            is_fine = is_fine && read_key_value(field.bytes, &prev);
            out->has_prev = true;
            break;
        case EVENT_CAUSE:
            out->cause = field.bytes;
            break;
        case EVENT_TIME:
            out->time_ns = (int64_t)field.value;
            break;
        default:
            break;
        }
    }
    out->revision = kv.mod_revision;
    out->key = kv.key;
    out->value = kv.value;
    out->create_revision = kv.create_revision;
    out->version = kv.version;
    out->is_create = !out->is_delete && kv.version == 1;
    out->prev = prev.value;
    return is_fine && !reader.failed && kv.mod_revision > 0;
}

struct response {
    struct slice bytes;
    int64_t id;
    int64_t header_revision;
    int64_t compacted;
    struct slice reason;
    bool is_created;
    bool is_canceled;
    bool is_fragment;
    bool has_events;
};

static bool read_response(struct slice bytes, struct response *out)
{
    struct pb_reader reader;
    struct pb_field field;
    *out = (struct response){.bytes = bytes, .reason = SLICE("")};
    pb_reader_init(&reader, bytes);
    while (pb_next(&reader, &field)) {
        switch (field.number) {
        case RESPONSE_ID:
            out->id = (int64_t)field.value;
            break;
        case RESPONSE_CREATED:
            out->is_created = field.value != 0;
            break;
        case RESPONSE_CANCELED:
            out->is_canceled = field.value != 0;
            break;
        case RESPONSE_COMPACTED:
            out->compacted = (int64_t)field.value;
            break;
        case RESPONSE_REASON:
            out->reason = field.bytes;
            break;
        case RESPONSE_FRAGMENT:
            out->is_fragment = field.value != 0;
            break;
        case RESPONSE_EVENT:
            out->has_events = true;
            break;
        default:
            break;
        }
    }
    out->header_revision = store__header_revision(bytes);
    return !reader.failed;
}

/* False where the response can't be read: the stream is of no use then. */
static bool tell_events(struct runner *runner, struct watch *watch,
                        const struct response *response)
{
    struct watching *watching = &runner->watching;
    struct pb_reader reader;
    struct pb_field field;
    struct watch_event event;
    int64_t last = 0;
    watching->current = watch;
    pb_reader_init(&reader, response->bytes);
    while (watching->current && pb_next(&reader, &field)) {
        if (field.number != RESPONSE_EVENT)
            continue;
        if (field.type != PB_BYTES || !read_event(runner, field.bytes, &event))
            return false;
        if (event.revision < last)
            return false;
        last = event.revision;
        runner__see_revision(runner, last);
        if (last < watch->next)
            continue;
        /* Of `last` there may be more: what is below it is whole. */
        watch->in_fragment = true;
        watch->next = last;
        watching->events++;
        watch->kind->event(runner, watch, &event);
    }
    if (!watching->current)
        return true; /* it was ended by what it told */
    watching->current = NULL;
    if (!response->is_fragment) {
        watch->in_fragment = false;
        move_on(runner, watch, last + 1);
    }
    return !reader.failed;
}

/* It is begun anew, from where it is, after a while. */
static void begin_later(struct runner *runner, struct watch *watch)
{
    map_u64_remove(&runner->watching.by_id, (uint64_t)watch->id);
    watch->id = 0;
    watch->is_created = false;
    struct timer *retry = &runner->watching.retry;
    if (retry->node.place == 0)
        timer__set(runner, retry, runner->now.mono_ns + SECOND_NS);
}

static void take_canceled(struct runner *runner, struct watch *watch,
                          const struct response *response)
{
    if (response->compacted) {
        forget(runner, watch);
        watch->kind->compacted(runner, watch, response->compacted);
        return;
    }
    /* Refused or ended, whyever. */
    log_warn("recipes", "the store ended a watch", LOG_SLICE("key", watch->key),
             LOG_SLICE("why", response->reason));
    begin_later(runner, watch);
}

/* etcd doesn't say which it refuses (it names -1): one of those that it hasn't
 * answered yet. */
static void take_refusal(struct runner *runner, const struct response *response)
{
    size_t count = 0;
    LIST_EACH (node, &runner->watching.all) {
        struct watch *watch = CONTAINER_OF(node, struct watch, node);
        if (watch->id != 0 && !watch->is_created) {
            begin_later(runner, watch);
            count++;
        }
    }
    if (count > 0)
        log_warn("recipes", "the store refuses to let keys be watched",
                 LOG_UINT("watches", count),
                 LOG_SLICE("why", response->reason));
}

static void take_of_none(struct runner *runner, const struct response *response)
{
    if (response->is_canceled)
        take_refusal(runner, response);
    else if (!response->is_created && !response->has_events)
        take_progress(runner, response->header_revision);
}

static void take_response(struct runner *runner,
                          const struct response *response)
{
    struct watching *watching = &runner->watching;
    if (response->id < 0) {
        take_of_none(runner, response);
        return;
    }
    struct watch *watch = map_u64_get(&watching->by_id, (uint64_t)response->id);
    if (!watch)
        return; /* it was ended */
    if (response->is_canceled) {
        take_canceled(runner, watch, response);
    } else if (response->is_created) {
        watch->is_created = true;
    } else if (!response->has_events) {
        if (!watch->in_fragment)
            move_on(runner, watch, response->header_revision + 1);
    } else if (!tell_events(runner, watch, response)) {
        log_error("recipes", "a watch event can't be read");
        if (watching->current)
            begin_later(runner, watch);
        watching->current = NULL;
    }
}

void runner_watched(struct runner *runner, struct slice bytes)
{
    struct response response;
    if (!runner->watching.is_open)
        return;
    if (!read_response(bytes, &response)) {
        log_error("recipes", "a watch response can't be read",
                  LOG_UINT("bytes", bytes.size));
        return;
    }
    runner->watching.failures = 0;
    runner__see_revision(runner, response.header_revision);
    take_response(runner, &response);
    feeds__relieve(runner);
}

/* ---- the stream --------------------------------------------------------- */

void runner_watch_ended(struct runner *runner, int code, struct slice text)
{
    struct watching *watching = &runner->watching;
    if (!watching->is_open)
        return;
    log_debug("recipes", "the watch stream ended", LOG_INT("code", code),
              LOG_SLICE("why", text));
    CHECK(watching->current == NULL);
    watching->is_open = false;
    watching->progress_asked = false;
    LIST_EACH (node, &watching->all) {
        struct watch *watch = CONTAINER_OF(node, struct watch, node);
        if (watch->id)
            map_u64_remove(&watching->by_id, (uint64_t)watch->id);
        watch->id = 0;
        watch->is_created = false;
    }
    watching->failures++;
    watching->retry_at_ns =
        runner->now.mono_ns + runner__backoff(runner, watching->failures);
    timer__set(runner, &watching->retry, watching->retry_at_ns);
}

static void begin_again(struct runner *runner, struct timer *timer)
{
    (void)timer;
    if (!may_send(runner))
        return;
    LIST_EACH (node, &runner->watching.all) {
        struct watch *watch = CONTAINER_OF(node, struct watch, node);
        if (!watch->id)
            send_create(runner, watch);
    }
}

void watching__init(struct runner *runner)
{
    struct watching *watching = &runner->watching;
    list_init(&watching->all);
    map_u64_init(&watching->by_id);
    watching->retry.due = begin_again;
    watching->progress.due = ask_progress;
}

void watching__deinit(struct runner *runner)
{
    struct watching *watching = &runner->watching;
    CHECK(list_is_empty(&watching->all));
    timer__stop(runner, &watching->retry);
    timer__stop(runner, &watching->progress);
    map_u64_deinit(&watching->by_id);
}
