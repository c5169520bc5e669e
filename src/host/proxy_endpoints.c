/* Where the members are: asked of their peer ports, one after the other until
 * one knows. */
#include <stdio.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/bootstrap_int.h"
#include "host/proxy_int.h"

enum {
    ASK_MS = 5000,
    /* As long as there is none, it is asked more often. */
    NONE_REFRESH_MS = 1000,
    LIST_BYTES_MAX = 1024 * 1024,
};

/* A round of asking. */
struct refresh {
    struct transfer transfer;
    struct proxy *proxy;
    struct curl_slist *headers;
    size_t at; /* of the peers: who is asked */
    struct buf body;
};

/* ---- lists of URLs ------------------------------------------------------- */

/* Takes the first of a list joined with ','; false at its end. */
static bool next_url(struct slice *rest, struct slice *url)
{
    ptrdiff_t comma;
    if (rest->size == 0) {
        return false;
    }
    comma = slice_find(*rest, ',');
    *url = slice_of(rest->at, comma < 0 ? rest->size : (size_t)comma);
    size_t step = comma < 0 ? rest->size : url->size + 1;
    *rest = slice_of(rest->at + step, rest->size - step);
    return true;
}

static char *copy_of(struct slice text)
{
    char *copy = mem_alloc(text.size + 1);
    memcpy(copy, text.at, text.size);
    copy[text.size] = '\0';
    return copy;
}

static void free_peers(struct proxy *proxy)
{
    for (size_t i = 0; i < proxy->peer_count; i++) {
        mem_free(proxy->peers[i]);
    }
    mem_free(proxy->peers);
    proxy->peers = NULL;
    proxy->peer_count = 0;
}

void proxy__set_peers(struct proxy *proxy, struct slice urls)
{
    struct slice url;
    free_peers(proxy);
    while (next_url(&urls, &url)) {
        proxy->peers = mem_realloc(proxy->peers, (proxy->peer_count + 1) *
                                                     sizeof(*proxy->peers));
        proxy->peers[proxy->peer_count++] = copy_of(url);
    }
}

/* ---- the endpoints ------------------------------------------------------- */

static struct proxy_endpoint *find(struct proxy_endpoint *endpoints,
                                   size_t count, struct slice url)
{
    for (size_t i = 0; i < count; i++) {
        if (slice_eq(slice_str(endpoints[i].url), url)) {
            return &endpoints[i];
        }
    }
    return NULL;
}

static bool is_aside(const struct proxy *proxy,
                     const struct proxy_endpoint *endpoint)
{
    return endpoint->aside_until_ms > proxy__now_ms(proxy);
}

size_t proxy__pick(struct proxy *proxy, struct arena *arena, const char ***urls)
{
    size_t count = proxy->endpoint_count;
    size_t picked = 0;
    *urls = arena_alloc(arena, (count + 1) * sizeof(**urls));
    for (size_t i = 0; i < count; i++) {
        const struct proxy_endpoint *endpoint =
            &proxy->endpoints[(proxy->next_endpoint + i) % count];
        if (!is_aside(proxy, endpoint)) {
            (*urls)[picked++] =
                arena_dup(arena, endpoint->url, strlen(endpoint->url) + 1);
        }
    }
    proxy->next_endpoint++;
    return picked;
}

void proxy__put_aside(struct proxy *proxy, const char *url, const char *why)
{
    struct proxy_endpoint *endpoint =
        find(proxy->endpoints, proxy->endpoint_count, slice_str(url));
    int64_t wait_ms = proxy->config->proxy_failure_wait_ms;
    if (!endpoint || is_aside(proxy, endpoint)) {
        return;
    }
    endpoint->aside_until_ms = proxy__now_ms(proxy) + wait_ms;
    log_warn("proxy", "an endpoint is put aside", LOG_STR("endpoint", url),
             LOG_STR("why", why), LOG_INT("for_ms", wait_ms));
}

/* The new list in place of the old; who was put aside stays it. */
static void take_endpoints(struct proxy *proxy,
                           const struct bootstrap_view *view)
{
    struct proxy_endpoint fresh[PROXY_ENDPOINTS_MAX];
    size_t count = 0;
    bool changed = false;
    for (size_t i = 0; i < view->count; i++) {
        struct slice rest = view->members[i].client_urls;
        struct slice url;
        while (count < PROXY_ENDPOINTS_MAX && next_url(&rest, &url)) {
            if ((!slice_has_prefix(url, SLICE("http://")) &&
                 !slice_has_prefix(url, SLICE("https://"))) ||
                find(fresh, count, url)) {
                continue; /* Unix sockets aren't spoken to */
            }
            struct proxy_endpoint *old =
                find(proxy->endpoints, proxy->endpoint_count, url);
            changed = changed || !old;
            fresh[count++] = (struct proxy_endpoint){
                .url = copy_of(url),
                .aside_until_ms = old ? old->aside_until_ms : 0};
        }
    }
    changed = changed || count != proxy->endpoint_count;
    for (size_t i = 0; i < proxy->endpoint_count; i++) {
        mem_free(proxy->endpoints[i].url);
    }
    memcpy(proxy->endpoints, fresh, count * sizeof(*fresh));
    proxy->endpoint_count = count;
    for (size_t i = 0; changed && i < count; i++) {
        log_info("proxy", "an endpoint", LOG_STR("url", fresh[i].url));
    }
}

/* The cluster may move: next time those are asked who belong to it now. */
static void take_peers(struct proxy *proxy, const struct bootstrap_view *view)
{
    struct buf urls = {0};
    for (size_t i = 0; i < view->count; i++) {
        if (view->members[i].peer_urls.size > 0) {
            buf_append_str(&urls, urls.size ? "," : "");
            buf_append_slice(&urls, view->members[i].peer_urls);
        }
    }
    if (urls.size > 0) {
        proxy__set_peers(proxy, buf_slice(&urls));
    }
    buf_deinit(&urls);
}

/* ---- asking -------------------------------------------------------------- */

static void ask_next(struct refresh *refresh);

static void finish(struct refresh *refresh)
{
    struct proxy *proxy = refresh->proxy;
    int64_t pause_ms = proxy->config->proxy_refresh_interval_ms;
    if (proxy->endpoint_count == 0 || pause_ms <= 0) {
        pause_ms = NONE_REFRESH_MS;
    }
    proxy->refresh_at_ms = proxy__now_ms(proxy) + pause_ms;
    proxy->refresh = NULL;
    curl_easy_cleanup(refresh->transfer.easy);
    curl_slist_free_all(refresh->headers);
    buf_deinit(&refresh->body);
    mem_free(refresh);
}

static size_t on_body(char *at, size_t size, size_t count, void *context)
{
    struct refresh *refresh = context;
    if (refresh->body.size + size * count > LIST_BYTES_MAX) {
        return 0;
    }
    buf_append(&refresh->body, at, size * count);
    return size * count;
}

static bool take_list(struct refresh *refresh)
{
    struct arena arena;
    struct bootstrap_view view = {0};
    long status = 0;
    curl_easy_getinfo(refresh->transfer.easy, CURLINFO_RESPONSE_CODE, &status);
    arena_init(&arena, 0);
    bool ok = status == 200 &&
              bootstrap__parse_members(&arena, buf_slice(&refresh->body),
                                       &view) == ERR_OK &&
              view.count > 0;
    if (ok) {
        take_endpoints(refresh->proxy, &view);
        take_peers(refresh->proxy, &view);
    }
    arena_deinit(&arena);
    return ok;
}

static void on_done(struct transfer *transfer, CURLcode code)
{
    struct refresh *refresh = CONTAINER_OF(transfer, struct refresh, transfer);
    struct proxy *proxy = refresh->proxy;
    proxy__end_transfer(proxy, transfer);
    if (code == CURLE_OK && take_list(refresh)) {
        finish(refresh);
        return;
    }
    log_warn("proxy", "a member doesn't say who belongs to the cluster",
             LOG_STR("peer", proxy->peers[refresh->at]),
             LOG_STR("why", code == CURLE_OK ? "no list of members"
                                             : curl_easy_strerror(code)));
    refresh->at++;
    if (refresh->at < proxy->peer_count) {
        ask_next(refresh);
    } else {
        finish(refresh);
    }
}

static void ask_next(struct refresh *refresh)
{
    struct proxy *proxy = refresh->proxy;
    CURL *easy = refresh->transfer.easy;
    struct buf url = {0};
    buf_reset(&refresh->body);
    buf_printf(&url, "%s/members", proxy->peers[refresh->at]);
    buf_append_char(&url, '\0');
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, refresh);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)ASK_MS);
    proxy__start_transfer(proxy, &refresh->transfer, url.at);
    buf_deinit(&url);
}

void proxy__refresh_if_due(struct proxy *proxy)
{
    if (proxy->refresh || proxy->peer_count == 0 ||
        proxy__now_ms(proxy) < proxy->refresh_at_ms) {
        return;
    }
    struct refresh *refresh = mem_alloc_zero(sizeof(*refresh));
    struct buf passed = {0};
    refresh->proxy = proxy;
    refresh->transfer.easy = curl_easy_init();
    refresh->transfer.on_done = on_done;
    CHECK(refresh->transfer.easy);
    buf_printf(&passed, PROXY_PASSED ": %s", proxy->id);
    buf_append_char(&passed, '\0');
    refresh->headers = curl_slist_append(NULL, passed.at);
    CHECK(refresh->headers);
    curl_easy_setopt(refresh->transfer.easy, CURLOPT_HTTPHEADER,
                     refresh->headers);
    buf_deinit(&passed);
    proxy->refresh = refresh;
    ask_next(refresh);
}

void proxy__free_endpoints(struct proxy *proxy)
{
    if (proxy->refresh) {
        proxy__end_transfer(proxy, &proxy->refresh->transfer);
        finish(proxy->refresh);
    }
    for (size_t i = 0; i < proxy->endpoint_count; i++) {
        mem_free(proxy->endpoints[i].url);
    }
    proxy->endpoint_count = 0;
    free_peers(proxy);
}
