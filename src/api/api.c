#include "api/api.h"

#include "api/api_int.h"
#include "base/check.h"

/* ---- the routes of the client port -------------------------------------- */

enum {
    MEMBERS_METHODS = METHOD_GET | METHOD_POST | METHOD_DELETE | METHOD_PUT,
    LOOK_METHODS = METHOD_GET | METHOD_HEAD,
    USERS_METHODS = METHOD_GET | METHOD_PUT | METHOD_DELETE,
};

#define MEMBERS_ALLOW "GET,POST,DELETE,PUT"
#define USERS_ALLOW "GET,PUT,DELETE"

/* clang-format off */
static const struct route client_routes[] = {
    {"/", LOOK_METHODS, "GET,HEAD", ACCESS_ANYONE, api__home},
    {"/config/local/log", METHOD_PUT, "PUT", ACCESS_ROOT, api__log_level},
    {"/debug/vars", METHOD_GET, "GET", ACCESS_ROOT, api__debug_vars},
    {"/health", METHOD_GET, "GET", ACCESS_ANYONE, api__health},
    {"/livez", METHOD_GET, "GET", ACCESS_ANYONE, api__livez},
    {"/livez/", METHOD_GET, "GET", ACCESS_ANYONE, api__livez},
    {"/metrics", METHOD_ANY, "GET", ACCESS_ANYONE, api__metrics},
    {"/readyz", METHOD_GET, "GET", ACCESS_ANYONE, api__readyz},
    {"/readyz/", METHOD_GET, "GET", ACCESS_ANYONE, api__readyz},
    {"/v2/auth/enable", USERS_METHODS, USERS_ALLOW, ACCESS_ROOT_CHANGES,
     api__auth_enable},
    {"/v2/auth/roles", METHOD_GET, "GET", ACCESS_ROOT, api__auth_roles},
    {"/v2/auth/roles/", USERS_METHODS, USERS_ALLOW, ACCESS_ROOT,
     api__auth_roles},
    {"/v2/auth/users", METHOD_GET, "GET", ACCESS_ROOT, api__auth_users},
    {"/v2/auth/users/", USERS_METHODS, USERS_ALLOW, ACCESS_ROOT,
     api__auth_users},
    {"/v2/leader", LOOK_METHODS, "GET,HEAD", ACCESS_ANYONE, api__leader},
    {"/v2/machines", LOOK_METHODS, "GET,HEAD", ACCESS_ANYONE, api__machines},
    {"/v2/members", MEMBERS_METHODS, MEMBERS_ALLOW, ACCESS_ROOT_CHANGES,
     api__members},
    {"/v2/members/", MEMBERS_METHODS, MEMBERS_ALLOW, ACCESS_ROOT_CHANGES,
     api__members},
    {"/v2/stats/leader", METHOD_GET, "GET", ACCESS_ANYONE, api__stats_leader},
    {"/v2/stats/self", METHOD_GET, "GET", ACCESS_ANYONE, api__stats_self},
    {"/v2/stats/store", METHOD_GET, "GET", ACCESS_ANYONE, api__stats_store},
    {"/version", METHOD_GET, "GET", ACCESS_ANYONE, api__version},
};
/* clang-format on */

enum { CLIENT_ROUTES = sizeof(client_routes) / sizeof(client_routes[0]) };

/* The one that most requests are for, so it is looked at first; its page gets
 * the '/' too. */
static const struct route keys_route = {
    .path = "/v2/keys/",
    .methods =
        METHOD_HEAD | METHOD_GET | METHOD_PUT | METHOD_POST | METHOD_DELETE,
    .allow = "HEAD,GET,PUT,POST,DELETE",
    .rule = ACCESS_KEYS,
    .page = api__keys,
};
enum { KEYS_PREFIX_BYTES = sizeof("/v2/keys") - 1 };

bool api_route(size_t number, struct api_route *out)
{
    const struct route *route = &keys_route;
    if (number > CLIENT_ROUTES + api__peer_route_count) {
        return false;
    }
    if (number > CLIENT_ROUTES) {
        route = &api__peer_routes[number - CLIENT_ROUTES - 1];
    } else if (number > 0) {
        route = &client_routes[number - 1];
    }
    *out = (struct api_route){
        .is_peer_port = number > CLIENT_ROUTES,
        .path = route->path,
        .allow = route->allow,
        .rule = access__rule_text(route->rule),
    };
    return true;
}

/* Whether `path` is the route's or, where that ends in '/', below it; *rest
 * is then what follows. */
static bool matches(const struct route *route, struct slice path,
                    struct slice *rest)
{
    struct slice own = slice_str(route->path);
    bool is_tree = own.size > 1 && own.at[own.size - 1] == '/';
    if (!slice_has_prefix(path, own) || (!is_tree && path.size != own.size)) {
        return false;
    }
    *rest = slice_of(path.at + own.size, path.size - own.size);
    return true;
}

static void serve_route(struct api *api, struct http_exchange *exchange,
                        const struct route *route, struct slice rest)
{
    if ((route->methods & 1U << exchange->request.method) != 0) {
        access__serve(api, exchange, route, rest);
    } else {
        api__respond_not_allowed(api, exchange, route->allow);
    }
}

static void serve_page(struct api *api, struct http_exchange *exchange,
                       struct slice path, const struct route *routes,
                       size_t count)
{
    struct slice rest;
    for (size_t i = 0; i < count; i++) {
        if (matches(&routes[i], path, &rest)) {
            serve_route(api, exchange, &routes[i], rest);
            return;
        }
    }
    api__respond_not_found(api, exchange);
}

/* ---- paths -------------------------------------------------------------- */

static void append_html(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        switch (text.at[i]) {
        case '&':
            buf_append_str(out, "&amp;");
            break;
        case '<':
            buf_append_str(out, "&lt;");
            break;
        case '>':
            buf_append_str(out, "&gt;");
            break;
        case '"':
            buf_append_str(out, "&#34;");
            break;
        case '\'':
            buf_append_str(out, "&#39;");
            break;
        default:
            buf_append_char(out, text.at[i]);
        }
    }
}

static void append_query(struct buf *out, struct slice query)
{
    if (query.size > 0) {
        buf_append_char(out, '?');
    }
    for (size_t i = 0; i < query.size; i++) {
        if ((unsigned char)query.at[i] < 0x80) {
            buf_append_char(out, query.at[i]);
        } else {
            percent_encode(out, slice_of(query.at + i, 1), false);
        }
    }
}

/* A path that isn't clean is sent to where it leads, as Go's mux does. */
static void redirect(struct api *api, struct http_exchange *exchange,
                     struct slice clean, bool has_slash)
{
    const struct http_request *request = &exchange->request;
    bool has_body = request->method == HTTP_GET || request->method == HTTP_HEAD;
    struct answer answer;
    struct buf location = {0};
    struct buf *out = api__body(api);
    percent_encode(&location, clean, true);
    if (has_slash) {
        buf_append_char(&location, '/');
    }
    append_query(&location, request->query);
    if (has_body) {
        buf_append_str(out, "<a href=\"");
        append_html(out, buf_slice(&location));
        buf_append_str(out, "\">Moved Permanently</a>.\n\n");
    }
    struct slice type =
        has_body ? SLICE("text/html; charset=utf-8") : slice_of(NULL, 0);
    char *kept = arena_dup(exchange->arena, location.at, location.size);
    answer__init(&answer, api, exchange, type);
    answer__add(&answer, SLICE("Location"), slice_of(kept, location.size));
    buf_deinit(&location);
    answer__send(&answer, api, exchange, 301);
}

/* The path, decoded; false where it was answered already. */
static bool read_path(struct api *api, struct http_exchange *exchange,
                      struct slice *path)
{
    struct slice text = exchange->request.path;
    if (text.size == 0 || text.at[0] != '/' ||
        path_decode(exchange->arena, text, path) != ERR_OK) {
        buf_append_str(api__body(api), "400 Bad Request");
        api__respond(api, exchange, 400, api__type_text);
        return false;
    }
    struct slice clean = path_clean(exchange->arena, *path);
    bool has_slash = path->at[path->size - 1] == '/' && clean.size > 1;
    if (clean.size + has_slash == path->size) {
        return true;
    }
    redirect(api, exchange, clean, has_slash);
    return false;
}

/* ---- requests ----------------------------------------------------------- */

/* The wire takes more, for the gateway's base64. */
static bool is_too_large(const struct api *api,
                         const struct http_exchange *exchange)
{
    size_t max = api->shared->body_bytes_max;
    return max > 0 && exchange->request.body.size > max;
}

/* False where it was answered already. */
static bool begin_request(struct api *api, struct http_exchange *exchange,
                          struct slice *path)
{
    CHECK(!api->reading && exchange->on_gone == NULL);
    api__count(api, API_REQUESTS);
    if (api->stopping) {
        api__respond_message(api, exchange, 503, "etcdserver: server stopped");
        return false;
    }
    if (is_too_large(api, exchange)) {
        api__respond_text(api, exchange, 413, "413 Request Entity Too Large");
        return false;
    }
    if (exchange->request.method == HTTP_OPTIONS) {
        api__body(api);
        api__respond(api, exchange, 200, slice_of(NULL, 0));
        return false;
    }
    if (api_is_forged(api->shared, &exchange->request)) {
        api->caller = (struct caller){.user = SLICE("")};
        access__note(api, exchange, &api->caller, SLICE(""),
                     "another origin's page");
        api__respond_message(api, exchange, 403,
                             "a page of another origin may not change things "
                             "here (see --cors)");
        return false;
    }
    return read_path(api, exchange, path);
}

static bool is_of_keys(struct slice path)
{
    struct slice prefix = slice_of(keys_route.path, KEYS_PREFIX_BYTES);
    return slice_has_prefix(path, prefix) &&
           (path.size == prefix.size || path.at[prefix.size] == '/');
}

void api_request(struct api *api, struct http_exchange *exchange)
{
    struct slice path;
    if (!begin_request(api, exchange, &path)) {
        return;
    }
    if (is_of_keys(path)) {
        serve_route(api, exchange, &keys_route,
                    slice_of(path.at + KEYS_PREFIX_BYTES,
                             path.size - KEYS_PREFIX_BYTES));
    } else {
        serve_page(api, exchange, path, client_routes, CLIENT_ROUTES);
    }
}

void api_peer_request(struct api *api, struct http_exchange *exchange)
{
    struct slice path;
    if (begin_request(api, exchange, &path)) {
        serve_page(api, exchange, path, api__peer_routes,
                   api__peer_route_count);
    }
}

/* ---- a thread's api ----------------------------------------------------- */

static void set_ids(struct api *api)
{
    struct node_progress progress;
    struct buf text = {0};
    node_progress(api->node, &progress);
    buf_append_hex(&text, progress.cluster_id);
    size_t cluster_size = text.size;
    buf_append_hex(&text, progress.member_id);
    CHECK_LE(text.size, sizeof(api->id_text));
    memcpy(api->id_text, text.at, text.size);
    api->cluster_id = slice_of(api->id_text, cluster_size);
    api->member_id =
        slice_of(api->id_text + cluster_size, text.size - cluster_size);
    buf_deinit(&text);
}

enum err api_new(const struct api_config *config, struct api **out)
{
    struct mvcc_reader *reader;
    *out = NULL;
    CHECK(config->on_answer != NULL && config->on_watching != NULL);
    struct node *node = config->shared->node;
    enum err err = mvcc_reader_new(node_mvcc(node), &reader);
    if (err != ERR_OK) {
        return err;
    }
    struct api *api = mem_alloc_zero(sizeof(*api));
    api->config = *config;
    api->shared = config->shared;
    api->node = node;
    api->reader = reader;
    api->hub = watch_hub_new(config->seed);
    list_init(&api->watches);
    list_init(&api->ended);
    set_ids(api);
    *out = api;
    return ERR_OK;
}

void api_free(struct api *api)
{
    if (api == NULL) {
        return;
    }
    CHECK_EQ(api->job_count, 0);
    CHECK(list_is_empty(&api->watches) && list_is_empty(&api->ended));
    watch_hub_free(api->hub);
    job__free_spare(api);
    told__clear(&api->told);
    buf_deinit(&api->told.key);
    buf_deinit(&api->out);
    mvcc_reader_free(api->reader);
    mem_free(api);
}

void api_jump(struct api *api, revision newest)
{
    CHECK(!api->reading);
    told__clear(&api->told);
    watch_hub_jump(api->hub, newest);
}

void api_stop(struct api *api)
{
    CHECK(!api->reading);
    api->stopping = true;
    api__stop_watches(api);
}

size_t api_pending(const struct api *api)
{
    return api->job_count;
}
