/* Where the members are: 0.4's lists of addresses; and what this server is. */
#include "api/api_int.h"
#include "base/version.h"

static void append_urls(struct buf *out, struct slice urls)
{
    for (size_t i = 0; i < urls.size; i++) {
        buf_append_char(out, urls.at[i]);
        if (urls.at[i] == ',') {
            buf_append_char(out, ' ');
        }
    }
}

static void append_machine(struct buf *out, const struct node_member *member)
{
    if (member->client_urls.size > 0) {
        if (out->size > 0) {
            buf_append_str(out, ", ");
        }
        append_urls(out, member->client_urls);
    }
}

/* The leader's come first, as 0.4 has it. */
void api__machines(struct api *api, struct http_exchange *exchange,
                   struct slice rest)
{
    struct node_progress progress;
    struct node_member *members;
    size_t count = members__all(api, exchange->arena, &members);
    struct buf *out = api__body(api);
    (void)rest;
    node_progress(api->node, &progress);
    const struct node_member *leader =
        members__find(members, count, progress.leader);
    if (leader != NULL) {
        append_machine(out, leader);
    }
    for (size_t i = 0; i < count; i++) {
        if (&members[i] != leader) {
            append_machine(out, &members[i]);
        }
    }
    api__respond(api, exchange, 200, api__type_text);
}

/* As 0.4 has it: where the leader's peers reach it. */
void api__leader(struct api *api, struct http_exchange *exchange,
                 struct slice rest)
{
    struct node_progress progress;
    struct node_member *members;
    size_t count = members__all(api, exchange->arena, &members);
    (void)rest;
    node_progress(api->node, &progress);
    const struct node_member *leader =
        members__find(members, count, progress.leader);
    if (leader == NULL) {
        struct v2_error error = {.code = V2_LEADER_ELECT};
        api__respond_error(api, exchange, 0, &error, progress.revision);
        return;
    }
    append_urls(api__body(api), leader->peer_urls);
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
