/* The members of the cluster, of which there is one; its addresses. */
#include "api/api_int.h"
#include "base/version.h"
#include "doc/json_write.h"

static const char not_yet[] =
    "not implemented: a cluster of this version has one member; changes of "
    "membership come with clusters";

void json__urls(struct buf *out, const char *urls)
{
    struct slice rest = slice_str(urls);
    buf_append_char(out, '[');
    while (rest.size > 0) {
        ptrdiff_t comma = slice_find(rest, ',');
        size_t size = comma < 0 ? rest.size : (size_t)comma;
        size_t step = comma < 0 ? size : size + 1;
        json_write_string(out, slice_of(rest.at, size));
        rest = slice_of(rest.at + step, rest.size - step);
        if (rest.size > 0) {
            buf_append_char(out, ',');
        }
    }
    buf_append_char(out, ']');
}

static void write_member(struct api *api, struct buf *out)
{
    const struct api_shared *shared = api->shared;
    buf_append_str(out, "{\"id\":");
    json_write_string(out, api->member_id);
    buf_append_str(out, ",\"name\":");
    json_write_string(out, slice_str(shared->name));
    buf_append_str(out, ",\"peerURLs\":");
    json__urls(out, shared->peer_urls);
    buf_append_str(out, ",\"clientURLs\":");
    json__urls(out, shared->client_urls);
    buf_append_char(out, '}');
}

static void respond(struct api *api, struct http_exchange *exchange)
{
    struct answer answer;
    buf_append_char(&api->out, '\n');
    answer__init(&answer, api, exchange, api__type_json);
    answer__add_cluster(&answer, api);
    answer__send(&answer, api, exchange, 200);
}

static void list_members(struct api *api, struct http_exchange *exchange)
{
    struct buf *out = api__body(api);
    buf_append_str(out, "{\"members\":[");
    write_member(api, out);
    buf_append_str(out, "]}");
    respond(api, exchange);
}

static void give_leader(struct api *api, struct http_exchange *exchange)
{
    struct node_progress progress;
    node_progress(api->node, &progress);
    if (progress.leader != progress.member_id) {
        api__respond_message(api, exchange, 503, "During election");
        return;
    }
    write_member(api, api__body(api));
    respond(api, exchange);
}

void api__members(struct api *api, struct http_exchange *exchange,
                  struct slice rest)
{
    bool is_list = rest.size == 0;
    switch (exchange->request.method) {
    case HTTP_GET:
        if (is_list) {
            list_members(api, exchange);
        } else if (slice_eq(rest, SLICE("leader"))) {
            give_leader(api, exchange);
        } else {
            api__respond_message(api, exchange, 404, "Not found");
        }
        return;
    case HTTP_POST:
        if (!is_list) {
            api__respond_not_allowed(api, exchange, "GET,PUT,DELETE");
            return;
        }
        break;
    default:
        if (is_list) {
            api__respond_not_allowed(api, exchange, "GET,POST");
            return;
        }
    }
    api__respond_message(api, exchange, 501, not_yet);
}

static void append_urls(struct buf *out, const char *urls)
{
    for (const char *at = urls; *at != '\0'; at++) {
        buf_append_char(out, *at);
        if (*at == ',') {
            buf_append_char(out, ' ');
        }
    }
}

void api__machines(struct api *api, struct http_exchange *exchange,
                   struct slice rest)
{
    (void)rest;
    append_urls(api__body(api), api->shared->client_urls);
    api__respond(api, exchange, 200, api__type_text);
}

/* As 0.4 has it: where the leader's peers reach it. */
void api__leader(struct api *api, struct http_exchange *exchange,
                 struct slice rest)
{
    struct node_progress progress;
    (void)rest;
    node_progress(api->node, &progress);
    if (progress.leader == 0) {
        struct v2_error error = {.code = 301};
        api__respond_error(api, exchange, 0, &error, progress.revision);
        return;
    }
    append_urls(api__body(api), api->shared->peer_urls);
    api__respond(api, exchange, 200, api__type_text);
}

void api__version(struct api *api, struct http_exchange *exchange,
                  struct slice rest)
{
    (void)rest;
    buf_append_str(api__body(api),
                   "{\"etcdserver\":\"" ETCHED_API_VERSION
                   "\",\"etcdcluster\":\"" ETCHED_CLUSTER_API_VERSION
                   "\",\"etched\":\"" ETCHED_VERSION "\"}");
    api__respond(api, exchange, 200, api__type_json);
}

void api__home(struct api *api, struct http_exchange *exchange,
               struct slice rest)
{
    (void)rest;
    buf_append_str(
        api__body(api),
        "This is etched " ETCHED_VERSION
        ", a store for the few facts that everything else depends on.\n"
        "\n"
        "Try:\n"
        "  curl <here>/v2/keys/message -XPUT -d value='Hello world'\n"
        "  curl <here>/v2/keys/message\n"
        "  curl '<here>/v2/keys/?recursive=true'\n"
        "  curl '<here>/v2/keys/message?wait=true'\n"
        "\n"
        "Look at: /version /health /readyz?verbose /metrics /v2/members\n"
        "         /v2/stats/self /v2/stats/store /v2/stats/leader\n");
    api__respond(api, exchange, 200, api__type_text);
}
