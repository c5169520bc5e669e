/* wait=true: a watcher in this thread's hub, and an answer that stays open.
 *
 *   on_event ---> piece sent ---stream--> (stays)
 *                      |------long poll--> `ended` ---> http_end
 *   on_compacted ----------------------> `ended` ---> error, http_end
 *
 * A watcher is ended only when the hub is at rest: with the answer's end the
 * connection's next request comes in, and may want to watch too.
 *
 * A path is watched as an exact key, or, recursively, as the range of keys
 * from the path itself to the end of what lies below it; keys between, as
 * "/a-b" is between "/a" and "/a/b", are passed over. */
#include "api/api_int.h"
#include "base/check.h"
#include "base/log.h"

struct watch {
    struct watcher watcher;
    struct list link; /* in api->watches or api->ended */
    struct api *api;
    struct http_exchange *exchange;
    struct rev last;    /* the event that was told last */
    revision compacted; /* the end: what it waits for is gone */
    bool stream;
    bool failed;
    bool recursive;
    struct slice user; /* whose rights count: behind the path */
    char path[];       /* and the last letter of the range's end */
};

/* A range's end is the path with this letter behind it. */
static const char after_slash = '/' + 1;

static struct watch *watch_of(struct watcher *watcher)
{
    return CONTAINER_OF(watcher, struct watch, watcher);
}

static struct slice path_of(const struct watch *watch)
{
    return slice_of(watch->path, watch->watcher.key.size);
}

static void set_watching(struct api *api, bool watching)
{
    if (api->watching != watching) {
        api->watching = watching;
        api->config.on_watching(api->config.context, watching);
    }
}

static void discount(struct api *api)
{
    uint64_t before = atomic_fetch_sub_explicit(
        &api->shared->stats[API_WATCHERS], 1, memory_order_relaxed);
    CHECK_LT(0, before);
}

/* Needs: it is not in the hub. */
static void watch_free(struct watch *watch)
{
    struct api *api = watch->api;
    list_remove(&watch->link);
    mem_free(watch);
    discount(api);
    if (list_is_empty(&api->watches) && list_is_empty(&api->ended)) {
        CHECK_EQ(watch_hub_count(api->hub), 0);
        set_watching(api, false);
    }
}

/* ---- its end ------------------------------------------------------------ */

/* Needs: it is not in the hub. */
static void move_to_ended(struct watch *watch)
{
    list_remove(&watch->link);
    list_push_back(&watch->api->ended, &watch->link);
}

static void on_gone(struct http_exchange *exchange)
{
    struct watch *watch = exchange->context;
    watch_hub_remove(watch->api->hub, &watch->watcher);
    watch_free(watch);
}

static void on_drained(struct http_exchange *exchange)
{
    struct watch *watch = exchange->context;
    CHECK(watch->exchange == exchange && watch->stream);
    watch_resume(watch->api->hub, &watch->watcher);
}

static struct slice cleared_cause(struct arena *arena, revision oldest,
                                  revision wanted)
{
    return slice_str(arena_printf(
        arena, "the requested history has been cleared [%lld/%lld]",
        (long long)oldest, (long long)wanted));
}

static void send_cleared(struct watch *watch)
{
    struct http_exchange *exchange = watch->exchange;
    struct api *api = watch->api;
    struct node_progress progress;
    node_progress(api->node, &progress);
    struct v2_error error = {
        .code = V2_INDEX_CLEARED,
        .cause = cleared_cause(exchange->arena, watch->compacted + 1,
                               watch->watcher.next),
    };
    struct buf *out = api__body(api);
    v2_error_write(out, &error, progress.revision);
    http_send(exchange, buf_slice(out));
}

void api__end_watches(struct api *api)
{
    struct list *link;
    CHECK(!api->reading);
    told__clear(&api->told);
    while ((link = list_first(&api->ended)) != NULL) {
        struct watch *watch = CONTAINER_OF(link, struct watch, link);
        struct http_exchange *exchange = watch->exchange;
        bool failed = watch->failed;
        exchange->on_gone = NULL;
        exchange->on_drained = NULL;
        if (watch->compacted != 0) {
            send_cleared(watch);
        }
        watch_free(watch);
        if (failed) {
            http_fail(exchange);
        } else {
            http_end(exchange);
        }
    }
}

void api__stop_watches(struct api *api)
{
    CHECK(list_is_empty(&api->ended));
    LIST_EACH (link, &api->watches) {
        struct watch *watch = CONTAINER_OF(link, struct watch, link);
        watch_hub_remove(api->hub, &watch->watcher);
        move_to_ended(watch);
    }
    api__end_watches(api);
}

/* ---- events ------------------------------------------------------------- */

static bool is_at_or_below(struct slice path, struct slice key)
{
    return key.size == path.size || path.size == 1 ||
           (key.size > path.size && key.at[path.size] == '/');
}

static void end_with(struct watch *watch, bool failed)
{
    watch->failed = failed;
    watch_hub_remove(watch->api->hub, &watch->watcher);
    move_to_ended(watch);
}

static void send_event(struct watch *watch, struct refbuf *json)
{
    struct api *api = watch->api;
    CHECK(json != NULL && json->size > 0);
    api__count(api, API_EVENTS_SENT);
    http_send_shared(watch->exchange, json);
    if (!watch->stream) {
        end_with(watch, false);
    } else if (http_unsent(watch->exchange) > LIMIT_WATCH_UNSENT_BYTES_MAX) {
        /* Its memory is bounded: it goes on where it was, from history, when
         * the client has read what it has. */
        watch_lag(api->hub, &watch->watcher);
    }
}

/* Several records may be parts of one event: it is told once. */
static bool is_news(const struct watch *watch, struct rev event)
{
    return event.main > watch->last.main ||
           (event.main == watch->last.main && event.sub > watch->last.sub);
}

static void on_event(struct watcher *watcher, const struct record *record,
                     struct mvcc_commit *commit)
{
    struct watch *watch = watch_of(watcher);
    struct slice path = path_of(watch);
    if (!is_at_or_below(path, record->key)) {
        return;
    }
    const struct told *told = api__told(watch->api, record, commit);
    if (told->err != ERR_OK) {
        log_error("api", "a watcher can't be told of a change",
                  LOG_STR("why", err_note()),
                  LOG_INT("revision", record->rev.main));
        end_with(watch, true);
    } else if (told->told && is_news(watch, told->event) &&
               !tree_is_hidden(path, buf_slice(&told->key))) {
        watch->last = told->event;
        send_event(watch, told->json);
    }
}

static void on_compacted(struct watcher *watcher, revision compacted)
{
    struct watch *watch = watch_of(watcher);
    CHECK_LE(watcher->next, compacted);
    watch->compacted = compacted;
    move_to_ended(watch);
}

/* ---- its right ---------------------------------------------------------- */

/* Users or roles have changed: watches whose user may not read any more what
 * they watch end, before they are told of anything that came later. Their
 * clients ask again, and are told why. */
static void look_at_rights(struct api *api)
{
    const struct auth *auth = node_auth(api->node);
    uint64_t now = auth_is_on(auth) ? auth_revision(auth) : 0;
    if (api->auth_revision == now) {
        return;
    }
    api->auth_revision = now;
    lock_read(node_lock(api->node));
    LIST_EACH (link, &api->watches) {
        struct watch *watch = CONTAINER_OF(link, struct watch, link);
        if (!access__may(api, watch->user, AUTH_READ, path_of(watch),
                         watch->recursive)) {
            end_with(watch, false);
        }
    }
    unlock_read(node_lock(api->node));
}

void api_commits(struct api *api, struct mvcc_commit *const *commits,
                 size_t count)
{
    CHECK(!api->reading);
    look_at_rights(api);
    for (size_t i = 0; i < count && watch_hub_count(api->hub) > 0; i++) {
        watch_hub_commit(api->hub, commits[i]);
    }
    api__end_watches(api);
}

bool api_catch_up(struct api *api)
{
    if (watch_hub_count(api->hub) == 0) {
        return false;
    }
    look_at_rights(api);
    api__read_begin(api);
    bool more = watch_catch_up(api->hub, api->reader, LIMIT_HISTORY_SLICE);
    api__read_end(api);
    api__end_watches(api);
    return more;
}

/* ---- its beginning ------------------------------------------------------ */

/* Who was let in while auth was off is a guest when it is on. */
static struct slice user_of(const struct api *api)
{
    return api->caller.user.size > 0 ? api->caller.user : AUTH_GUEST;
}

static struct watch *watch_new(struct api *api, struct http_exchange *exchange,
                               struct slice key,
                               const struct keys_params *params)
{
    struct slice user = user_of(api);
    struct watch *watch =
        mem_alloc_zero(sizeof(*watch) + key.size + 1 + user.size);
    memcpy(watch->path, key.at, key.size);
    watch->path[key.size] = after_slash;
    memcpy(watch->path + key.size + 1, user.at, user.size);
    watch->user = slice_of(watch->path + key.size + 1, user.size);
    watch->recursive = params->recursive;
    watch->watcher.key = slice_of(watch->path, key.size);
    if (params->recursive) {
        watch->watcher.end = key.size == 1
                                 ? slice_of(&after_slash, 1)
                                 : slice_of(watch->path, key.size + 1);
    }
    watch->watcher.on_event = on_event;
    watch->watcher.on_compacted = on_compacted;
    watch->watcher.tables = 1U << MVCC_KEYS | 1U << MVCC_DIRS;
    watch->api = api;
    watch->exchange = exchange;
    watch->stream = params->stream;
    list_push_back(&api->watches, &watch->link);
    exchange->context = watch;
    exchange->on_gone = on_gone;
    exchange->on_drained = on_drained;
    return watch;
}

/* False: there are too many, and that was answered. */
static bool admit(struct api *api, struct http_exchange *exchange)
{
    struct api_shared *shared = api->shared;
    uint64_t before = atomic_fetch_add_explicit(&shared->stats[API_WATCHERS], 1,
                                                memory_order_relaxed);
    uint64_t others = atomic_load_explicit(&shared->stats[API_V3_WATCHERS],
                                           memory_order_relaxed);
    if (before + others < shared->watchers_max) {
        return true;
    }
    struct node_progress progress;
    node_progress(api->node, &progress);
    struct v2_error error = {
        .code = V2_RAFT_INTERNAL,
        .cause = SLICE("etcdserver: too many watchers"),
    };
    discount(api);
    api__respond_error(api, exchange, 503, &error, progress.revision);
    return false;
}

static void respond_cleared(struct api *api, struct http_exchange *exchange,
                            revision compacted, revision wanted,
                            revision current)
{
    struct v2_error error = {
        .code = V2_INDEX_CLEARED,
        .cause = cleared_cause(exchange->arena, compacted + 1, wanted),
    };
    discount(api);
    if (list_is_empty(&api->watches)) {
        set_watching(api, false);
    }
    api__respond_error(api, exchange, 0, &error, current);
}

void keys__watch(struct api *api, struct http_exchange *exchange,
                 struct slice key, const struct keys_params *params)
{
    struct mvcc_status status;
    struct answer answer;
    /* Above this no revision will ever be. */
    revision wanted = params->wait_index < (uint64_t)INT64_MAX / 2
                          ? (revision)params->wait_index
                          : INT64_MAX / 2;
    api__count(api, API_WATCH_REQUESTS);
    if (!admit(api, exchange)) {
        return;
    }
    set_watching(api, true);
    lock_read(node_lock(api->node));
    mvcc_status(node_mvcc(api->node), &status);
    unlock_read(node_lock(api->node));
    if (wanted > 0 && wanted <= status.compacted) {
        respond_cleared(api, exchange, status.compacted, wanted,
                        status.current);
        return;
    }
    struct watch *watch = watch_new(api, exchange, key, params);
    watch->watcher.next = wanted > 0 ? wanted : status.current + 1;
    watch_hub_add(api->hub, &watch->watcher, status.current);
    answer__init_keys(&answer, api, exchange, status.current, 0, 0);
    http_begin(exchange, 200, answer.headers, answer.count);
}
