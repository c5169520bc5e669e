#include "host/recipes_http.h"

#include <sys/epoll.h>

#include "base/check.h"
#include "base/mem.h"
#include "host/clock_posix.h"
#include "host/recipes_http_int.h"

enum { CONNECTIONS_KEPT = 32 };

/* One of libcurl's sockets. */
struct curl_entry {
    struct poller_entry entry;
    struct recipes_http *http;
};

static int64_t now_ms_of(void)
{
    return clock_monotonic_ns(clock_posix()) / 1000000;
}

/* ---- transfers ---------------------------------------------------------- */

static struct slice keep(struct arena *arena, struct slice text)
{
    char *copy = arena_alloc(arena, text.size + 1);
    if (text.size > 0) {
        memcpy(copy, text.at, text.size);
    }
    copy[text.size] = '\0';
    return slice_of(copy, text.size);
}

static void copy_act(struct transfer *transfer, const struct act *act)
{
    struct arena *arena = &transfer->arena;
    struct act *own = &transfer->act;
    struct slice *to = arena_alloc(arena, (act->to_count + 1) * sizeof(*to));
    for (size_t i = 0; i < act->to_count; i++) {
        to[i] = keep(arena, act->to[i]);
    }
    *own = *act;
    own->method = keep(arena, act->method);
    own->url = keep(arena, act->url);
    own->headers = keep(arena, act->headers);
    own->body = keep(arena, act->body);
    own->server = keep(arena, act->server);
    own->from = keep(arena, act->from);
    own->to = to;
    own->message = keep(arena, act->message);
    own->arguments = NULL;
    own->argument_count = 0;
    transfer->method = own->method.at;
}

static void free_transfer(struct transfer *transfer)
{
    list_remove(&transfer->link);
    transfer__tear_down(transfer);
    buf_deinit(&transfer->why);
    buf_deinit(&transfer->head);
    buf_deinit(&transfer->body);
    buf_deinit(&transfer->json);
    arena_deinit(&transfer->arena);
    mem_free(transfer);
}

/* Tells what came of it. */
static void finish(struct transfer *transfer, CURLcode result)
{
    struct recipes_http *http = transfer->http;
    struct act_answer answer;
    transfer__answer(transfer, result, &answer);
    http->config.on_acted(http->config.context, transfer->id, &answer);
    free_transfer(transfer);
}

static void end_under_way(struct transfer *transfer, CURLcode result)
{
    struct recipes_http *http = transfer->http;
    CHECK_LT(0, http->under_way_count);
    http->under_way_count--;
    http->has_room = true;
    finish(transfer, result);
}

/* ---- hops --------------------------------------------------------------- */

/* Hands it to libcurl; false where a rule forbids it. */
static bool begin_hop(struct transfer *transfer)
{
    struct recipes_http *http = transfer->http;
    int64_t left_ms = transfer->until_ms - now_ms_of();
    transfer->is_hop_tried = false;
    transfer->local_address[0] = '\0';
    if (!transfer__set_up(transfer, left_ms > 0 ? left_ms : 1)) {
        return false;
    }
    CHECK(curl_multi_add_handle(http->multi, transfer->easy) == CURLM_OK);
    return true;
}

static void end_hop(struct recipes_http *http, CURL *easy, CURLcode result)
{
    struct transfer *transfer = NULL;
    char *context = NULL;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &context);
    transfer = (struct transfer *)(void *)context;
    CHECK(transfer != NULL && transfer->easy == easy);
    curl_multi_remove_handle(http->multi, easy);
    if (transfer__redirect(transfer, result)) {
        buf_reset(&transfer->head);
        buf_reset(&transfer->body);
        if (begin_hop(transfer)) {
            return;
        }
    }
    end_under_way(transfer, result);
}

static void take_ended(struct recipes_http *http)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(http->multi, &left)) != NULL) {
        if (message->msg == CURLMSG_DONE) {
            end_hop(http, message->easy_handle, message->data.result);
        }
    }
}

/* ---- libcurl's sockets and its timer ------------------------------------ */

static void on_ready(struct poller_entry *entry, uint32_t events)
{
    struct curl_entry *own = CONTAINER_OF(entry, struct curl_entry, entry);
    struct recipes_http *http = own->http;
    int running;
    int happened = (events & EPOLLIN ? CURL_CSELECT_IN : 0) |
                   (events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                   (events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
    curl_multi_socket_action(http->multi, entry->fd, happened, &running);
    take_ended(http);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context,
                     void *socket_context)
{
    struct recipes_http *http = context;
    struct curl_entry *own = socket_context;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (own != NULL) {
            poller_set(http->config.poller, &own->entry, 0);
            mem_free(own);
            curl_multi_assign(http->multi, fd, NULL);
        }
        return 0;
    }
    if (own == NULL) {
        own = mem_alloc_zero(sizeof(*own));
        own->entry.fd = fd;
        own->entry.on_ready = on_ready;
        own->http = http;
        curl_multi_assign(http->multi, fd, own);
    }
    poller_set(http->config.poller, &own->entry,
               (what & CURL_POLL_IN ? EPOLLIN : 0) |
                   (what & CURL_POLL_OUT ? EPOLLOUT : 0));
    return 0;
}

static int on_timer(CURLM *multi, long timeout_ms, void *context)
{
    struct recipes_http *http = context;
    (void)multi;
    http->timer_ms = timeout_ms < 0 ? INT64_MAX : now_ms_of() + timeout_ms;
    return 0;
}

static enum err load_curl(struct recipes_http *http)
{
    if (http->multi != NULL) {
        return ERR_OK;
    }
    enum err err = late_load(LATE_CURL);
    if (err != ERR_OK) {
        return err;
    }
    CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    http->multi = curl_multi_init();
    CHECK(http->multi != NULL);
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS,
                      (long)CONNECTIONS_KEPT);
    return ERR_OK;
}

/* ---- who begins --------------------------------------------------------- */

static bool host_has_room(struct recipes_http *http,
                          const struct transfer *transfer)
{
    size_t count = 0;
    LIST_EACH (node, &http->under_way) {
        struct transfer *other = CONTAINER_OF(node, struct transfer, link);
        count += other->host_hash == transfer->host_hash ? 1 : 0;
    }
    return count < RECIPES_HTTP_HOST_AT_ONCE_MAX;
}

static void begin(struct transfer *transfer, int64_t now_ms)
{
    struct recipes_http *http = transfer->http;
    list_remove(&transfer->link);
    list_push_back(&http->under_way, &transfer->link);
    http->under_way_count++;
    int64_t timeout_ms = transfer->act.timeout_ns / 1000000;
    transfer->until_ms = now_ms + (timeout_ms > 0 ? timeout_ms : 1);
    if (!begin_hop(transfer)) {
        end_under_way(transfer, CURLE_OK);
    }
}

/* The library isn't there: an attempt failed, and may be made again. */
static void fail_all(struct recipes_http *http)
{
    struct list *node;
    while ((node = list_first(&http->waiting)) != NULL) {
        struct transfer *transfer = CONTAINER_OF(node, struct transfer, link);
        const struct act_answer answer = {
            .error = slice_str(err_note()),
            .headers = SLICE("{}"),
        };
        http->config.on_acted(http->config.context, transfer->id, &answer);
        free_transfer(transfer);
    }
}

static void begin_waiting(struct recipes_http *http, int64_t now_ms)
{
    http->has_room = false;
    if (list_is_empty(&http->waiting)) {
        return;
    }
    if (load_curl(http) != ERR_OK) {
        fail_all(http);
        return;
    }
    LIST_EACH (node, &http->waiting) {
        struct transfer *transfer = CONTAINER_OF(node, struct transfer, link);
        if (http->under_way_count == RECIPES_HTTP_AT_ONCE_MAX) {
            return;
        }
        if (transfer->url == NULL &&
            !transfer__set_url(transfer, transfer->act.kind == ACT_EMAIL
                                             ? transfer->act.server
                                             : transfer->act.url)) {
            finish(transfer, CURLE_OK);
        } else if (host_has_room(http, transfer)) {
            begin(transfer, now_ms);
        }
    }
}

/* ---- the outside -------------------------------------------------------- */

struct recipes_http *recipes_http_new(const struct recipes_http_config *config)
{
    struct recipes_http *http = mem_alloc_zero(sizeof(*http));
    CHECK(config->on_acted != NULL && config->poller != NULL);
    http->config = *config;
    http->timer_ms = INT64_MAX;
    list_init(&http->waiting);
    list_init(&http->under_way);
    return http;
}

void recipes_http_free(struct recipes_http *http)
{
    struct list *node;
    if (http == NULL) {
        return;
    }
    while ((node = list_first(&http->under_way)) != NULL) {
        struct transfer *transfer = CONTAINER_OF(node, struct transfer, link);
        curl_multi_remove_handle(http->multi, transfer->easy);
        free_transfer(transfer);
    }
    while ((node = list_first(&http->waiting)) != NULL) {
        free_transfer(CONTAINER_OF(node, struct transfer, link));
    }
    if (http->multi != NULL) {
        curl_multi_cleanup(http->multi);
        curl_global_cleanup();
    }
    mem_free(http);
}

void recipes_http_start(struct recipes_http *http, uint64_t id,
                        const struct act *act)
{
    struct transfer *transfer = mem_alloc_zero(sizeof(*transfer));
    CHECK(act->kind == ACT_HTTP || act->kind == ACT_EMAIL);
    transfer->http = http;
    transfer->id = id;
    arena_init(&transfer->arena, 0);
    copy_act(transfer, act);
    list_push_back(&http->waiting, &transfer->link);
    http->has_room = true;
}

int64_t recipes_http_run(struct recipes_http *http, int64_t now_ms)
{
    int running;
    if (http->has_room) {
        begin_waiting(http, now_ms);
    }
    if (http->multi != NULL && http->timer_ms <= now_ms) {
        http->timer_ms = INT64_MAX;
        curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
        take_ended(http);
    }
    return http->has_room ? now_ms : http->timer_ms;
}
