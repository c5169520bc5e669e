#include "cmd/etchctl/cluster.h"

#include <stdarg.h>
#include <string.h>

#include "base/check.h"
#include "cmd/etchctl/member_list.h"

/* ---- failures ----------------------------------------------------------- */

void failure_init(struct failure *failure)
{
    *failure = (struct failure){0};
}

void failure_deinit(struct failure *failure)
{
    buf_deinit(&failure->text);
    buf_deinit(&failure->detail);
}

static void reset_failure(struct failure *failure)
{
    failure->kind = FAILURE_NONE;
    failure->is_connection = false;
    buf_reset(&failure->text);
    buf_reset(&failure->detail);
}

void failure_set(struct failure *failure, enum failure_kind kind,
                 const char *format, ...)
{
    va_list args;

    reset_failure(failure);
    failure->kind = kind;
    va_start(args, format);
    buf_vprintf(&failure->text, format, args);
    va_end(args);
}

/* ---- one endpoint ------------------------------------------------------- */

static void print_curl(const struct cluster *cluster,
                       const struct cluster_request *request, const char *url)
{
    if (!cluster->debug)
        return;
    fprintf(cluster->debug, "cURL Command: curl -X %s %s", request->method,
            url);
    if (request->has_body) {
        fputs(" -d \"", cluster->debug);
        if (request->body.size)
            fwrite(request->body.at, 1, request->body.size, cluster->debug);
        fputc('"', cluster->debug);
    }
    fputc('\n', cluster->debug);
}

/* The text of one endpoint's failure, as it stands in the list of them. */
static void describe(const struct http_client_response *response,
                     const char *endpoint, struct buf *out)
{
    if (response->failure == HTTP_CLIENT_HEADER_TIMEOUT)
        buf_printf(out, "client: endpoint %s exceeded header timeout",
                   endpoint);
    else
        buf_append_str(out, err_note());
}

static enum err send_once(const struct cluster *cluster,
                          const struct cluster_request *request,
                          const char *url,
                          struct http_client_response *response)
{
    static const char *const form[] = {
        "Content-Type: application/x-www-form-urlencoded"};
    static const char *const json[] = {"Content-Type: application/json"};
    struct http_client_request http = {
        .method = request->method,
        .url = url,
        .headers = request->headers   ? request->headers
                   : request->is_json ? json
                                      : form,
        .header_count = request->headers    ? request->header_count
                        : request->has_body ? 1
                                            : 0,
        .body = request->body,
        .has_body = request->has_body,
        .header_timeout_ms = request->is_wait ? 0 : cluster->timeout_ms,
        .deadline_ms = request->is_wait ? 0 : cluster->deadline_ms,
        .on_body = request->on_body,
        .context = request->context,
    };

    print_curl(cluster, request, url);
    return http_client_do(cluster->http, &http, response);
}

/* A follower that doesn't forward says where the leader is. Returns false
 * when the answer names no place to go on. */
static bool redirect(const struct http_client_response *response,
                     const char *endpoint, struct buf *url, struct buf *why)
{
    struct slice location = http_client_header(response, "Location");

    if (!location.at || location.size == 0) {
        buf_append_str(why, "location header not set");
        return false;
    }
    buf_reset(url);
    if (location.at[0] == '/')
        buf_append_str(url, endpoint);
    buf_append_slice(url, location);
    buf_append_char(url, '\0');
    return true;
}

/* True when there is an answer that isn't a redirect; else `why` says it. */
static bool send_to(const struct cluster *cluster,
                    const struct cluster_request *request, const char *endpoint,
                    struct http_client_response *response, struct buf *why)
{
    struct buf url = {0};
    bool done = false;
    int redirects = 0;

    buf_printf(&url, "%s%s", endpoint, request->path);
    buf_append_char(&url, '\0');
    for (;;) {
        if (send_once(cluster, request, url.at, response) != ERR_OK) {
            describe(response, endpoint, why);
            break;
        }
        done = response->status / 100 != 3;
        if (done)
            break;
        if (++redirects > CLUSTER_REDIRECTS_MAX) {
            buf_append_str(why, "client: too many redirects");
            break;
        }
        if (!redirect(response, endpoint, &url, why))
            break;
    }
    buf_deinit(&url);
    return done;
}

/* ---- one endpoint after the other ---------------------------------------- */

static void describe_status(int status, const char *endpoint, struct buf *why)
{
    if (status == 500 || status == 503)
        buf_printf(why, "client: etcd member %s has no leader", endpoint);
    else
        buf_printf(why, "client: etcd member %s returns server error [%s]",
                   endpoint,
                   status == 504   ? "Gateway Timeout"
                   : status == 502 ? "Bad Gateway"
                   : status == 501 ? "Not Implemented"
                   : status == 505 ? "HTTP Version Not Supported"
                   : status == 507 ? "Insufficient Storage"
                                   : "");
}

static void add_failure(struct failure *failure, size_t number,
                        struct slice why)
{
    if (number == 0)
        buf_append_str(&failure->text,
                       "client: etcd cluster is unavailable or misconfigured");
    buf_printf(&failure->text, "; error #%zu: %.*s\n", number, (int)why.size,
               why.at);
    buf_printf(&failure->detail, "error #%zu: %.*s\n", number, (int)why.size,
               why.at);
}

/* What ends the whole attempt, and not only this endpoint's. */
static bool is_final(const struct cluster_request *request,
                     const struct http_client_response *response,
                     struct slice why, struct failure *failure)
{
    if (response->failure == HTTP_CLIENT_DEADLINE) {
        failure_set(failure, FAILURE_DEADLINE, "context deadline exceeded");
        failure->is_connection = true;
    } else if (response->failure == HTTP_CLIENT_STOPPED) {
        failure_set(failure, FAILURE_STOPPED, "stopped");
    } else if (request->is_one_shot) {
        failure_set(failure, FAILURE_OTHER, "%.*s", (int)why.size, why.at);
    } else {
        return false;
    }
    return true;
}

static bool is_connection_failure(const struct http_client_response *response)
{
    return response->failure == HTTP_CLIENT_DIAL ||
           response->failure == HTTP_CLIENT_READ;
}

/* A watch that had begun, and broke: whoever watches wants to know, since it
 * goes on elsewhere with a later index. */
static bool is_broken_watch(const struct cluster_request *request,
                            const struct http_client_response *response)
{
    return request->is_wait && response->status / 100 == 2;
}

/* One endpoint's turn. True when nothing more is to be tried; *done says
 * whether there is an answer. */
static bool try_endpoint(struct cluster *cluster, size_t at,
                         const struct cluster_request *request,
                         struct http_client_response *response, struct buf *why,
                         bool *done)
{
    const char *endpoint = cluster->endpoints[at];

    *done = send_to(cluster, request, endpoint, response, why) &&
            response->status / 100 != 5;
    cluster->pinned = at;
    if (*done)
        return true;
    if (why->size == 0)
        describe_status(response->status, endpoint, why);
    return is_broken_watch(request, response);
}

bool cluster_do(struct cluster *cluster, const struct cluster_request *request,
                struct http_client_response *response, struct failure *failure)
{
    bool all_connection = true;
    bool done = false;
    bool ended = false;
    struct buf why = {0};
    size_t first = cluster->pinned;

    CHECK(cluster->count > 0 && first < cluster->count);
    reset_failure(failure);
    for (size_t i = 0; i < cluster->count && !ended; i++) {
        buf_reset(&why);
        ended = try_endpoint(cluster, (first + i) % cluster->count, request,
                             response, &why, &done);
        if (done)
            break;
        all_connection = all_connection && is_connection_failure(response);
        if (is_final(request, response, buf_slice(&why), failure)) {
            buf_deinit(&why);
            return false;
        }
        add_failure(failure, i, buf_slice(&why));
    }
    buf_deinit(&why);
    if (done) {
        reset_failure(failure);
        return true;
    }
    /* The next request begins with another one. */
    cluster->pinned = (cluster->pinned + 1) % cluster->count;
    failure->kind = FAILURE_UNAVAILABLE;
    failure->is_connection = all_connection;
    return false;
}

/* ---- the members' own addresses ------------------------------------------ */

static bool has_endpoint(const struct cluster *cluster, struct slice url,
                         size_t *at)
{
    for (size_t i = 0; i < cluster->count; i++) {
        if (slice_eq(slice_str(cluster->endpoints[i]), url)) {
            *at = i;
            return true;
        }
    }
    return false;
}

static size_t count_urls(const struct member_list *members)
{
    size_t count = 0;

    for (size_t i = 0; i < members->count; i++)
        count += members->at[i].client_urls.count;
    return count;
}

/* The same URLs in another order are no news: the user's order stays. */
static bool is_news(const struct cluster *cluster,
                    const struct member_list *members)
{
    size_t at;

    if (count_urls(members) != cluster->count)
        return true;
    for (size_t i = 0; i < members->count; i++)
        for (size_t j = 0; j < members->at[i].client_urls.count; j++)
            if (!has_endpoint(cluster, members->at[i].client_urls.at[j], &at))
                return true;
    return false;
}

static void adopt(struct cluster *cluster, const struct member_list *members)
{
    const char *answered = cluster->endpoints[cluster->pinned];
    size_t count = count_urls(members);

    cluster->endpoints =
        arena_alloc(cluster->arena, count * sizeof(*cluster->endpoints));
    cluster->count = 0;
    for (size_t i = 0; i < members->count; i++) {
        const struct url_list *urls = &members->at[i].client_urls;
        for (size_t j = 0; j < urls->count; j++)
            cluster->endpoints[cluster->count++] = arena_printf(
                cluster->arena, "%.*s", (int)urls->at[j].size, urls->at[j].at);
    }
    if (!has_endpoint(cluster, slice_str(answered), &cluster->pinned))
        cluster->pinned = 0;
}

bool cluster_sync(struct cluster *cluster, struct failure *failure)
{
    struct cluster_request request = {.method = "GET", .path = "/v2/members"};
    struct http_client_response response = {0};
    struct member_list members;
    bool good = cluster_do(cluster, &request, &response, failure);

    if (good && response.status != 200) {
        failure_set(failure, FAILURE_OTHER, "unexpected status code %d",
                    response.status);
        good = false;
    } else if (good &&
               !member_list_parse(cluster->arena, buf_slice(&response.body),
                                  &members)) {
        failure_set(failure, FAILURE_OTHER, "no list of members");
        good = false;
    } else if (good && count_urls(&members) == 0) {
        failure_set(failure, FAILURE_EMPTY_BODY,
                    "client: no endpoints available");
        good = false;
    } else if (good && is_news(cluster, &members)) {
        adopt(cluster, &members);
    }
    http_client_response_deinit(&response);
    return good;
}

void cluster_print_endpoints(const struct cluster *cluster,
                             const char *separator, FILE *out)
{
    for (size_t i = 0; i < cluster->count; i++)
        fprintf(out, "%s%s", i ? separator : "", cluster->endpoints[i]);
}
