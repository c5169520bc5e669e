/* The peer port's pages: for people, tools and 0.4's clients. Members talk to
 * each other once there are several. */
#include "api/api_int.h"
#include "doc/json_write.h"

void api__peer_members(struct api *api, struct http_exchange *exchange,
                       struct slice rest)
{
    struct node_progress progress;
    struct answer answer;
    struct buf *out = api__body(api);
    (void)rest;
    node_progress(api->node, &progress);
    buf_append_str(out, "[{\"id\":");
    buf_append_u64(out, progress.member_id);
    buf_append_str(out, ",\"peerURLs\":");
    json__urls(out, api->shared->peer_urls);
    buf_append_str(out, ",\"name\":");
    json_write_string(out, slice_str(api->shared->name));
    buf_append_str(out, ",\"clientURLs\":");
    json__urls(out, api->shared->client_urls);
    buf_append_str(out, "}]\n");
    answer__init(&answer, api, exchange, api__type_json);
    answer__add_cluster(&answer, api);
    answer__send(&answer, api, exchange, 200);
}

static bool is_write(const struct http_exchange *exchange)
{
    return exchange->request.method == HTTP_PUT ||
           exchange->request.method == HTTP_POST ||
           exchange->request.method == HTTP_DELETE;
}

static void respond_later(struct api *api, struct http_exchange *exchange)
{
    api__respond_message(api, exchange, 501,
                         "not implemented: active size and standbys come with "
                         "clusters of several members");
}

void api__admin_config(struct api *api, struct http_exchange *exchange,
                       struct slice rest)
{
    (void)rest;
    if (is_write(exchange)) {
        respond_later(api, exchange);
        return;
    }
    buf_append_str(
        api__body(api),
        "{\"activeSize\":9,\"removeDelay\":1800,\"syncInterval\":5}\n");
    api__respond(api, exchange, 200, api__type_json);
}

/* The first of a list joined with ','. */
static struct slice first_url(const char *urls)
{
    struct slice all = slice_str(urls);
    ptrdiff_t comma = slice_find(all, ',');
    return comma < 0 ? all : slice_of(all.at, (size_t)comma);
}

static void write_machine(struct api *api, struct buf *out)
{
    struct node_progress progress;
    node_progress(api->node, &progress);
    bool leads = progress.role == RAFT_LEADER;
    buf_append_str(out, "{\"name\":");
    json_write_string(out, slice_str(api->shared->name));
    buf_append_str(out, leads ? ",\"state\":\"leader\",\"clientURL\":"
                              : ",\"state\":\"follower\",\"clientURL\":");
    json_write_string(out, first_url(api->shared->client_urls));
    buf_append_str(out, ",\"peerURL\":");
    json_write_string(out, first_url(api->shared->peer_urls));
    buf_append_char(out, '}');
}

/* `rest` "": all; else the one of that name, or null. */
void api__admin_machines(struct api *api, struct http_exchange *exchange,
                         struct slice rest)
{
    if (is_write(exchange)) {
        respond_later(api, exchange);
        return;
    }
    struct buf *out = api__body(api);
    if (rest.size == 0) {
        buf_append_char(out, '[');
        write_machine(api, out);
        buf_append_char(out, ']');
    } else if (slice_eq(rest, slice_str(api->shared->name))) {
        write_machine(api, out);
    } else {
        buf_append_str(out, "null");
    }
    buf_append_char(out, '\n');
    api__respond(api, exchange, 200, api__type_json);
}

const struct route api__peer_routes[] = {
    {"/members", METHOD_GET, "GET", api__peer_members},
    {"/v2/admin/config", METHOD_GET | METHOD_HEAD | METHOD_PUT, "GET,HEAD,PUT",
     api__admin_config},
    {"/v2/admin/machines", METHOD_GET | METHOD_HEAD, "GET,HEAD",
     api__admin_machines},
    {"/v2/admin/machines/", METHOD_GET | METHOD_HEAD | METHOD_DELETE,
     "GET,HEAD,DELETE", api__admin_machines},
    {"/version", METHOD_GET, "GET", api__version},
};

const size_t api__peer_route_count =
    sizeof(api__peer_routes) / sizeof(api__peer_routes[0]);
