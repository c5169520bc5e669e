/* The peer port's pages: for people, tools and 0.4's machines. Members speak
 * to each other there too, but not in HTTP. */
#include "api/api_int.h"
#include "api/member_form.h"
#include "doc/doc.h"
#include "doc/json_write.h"

/* ---- looking ------------------------------------------------------------- */

/* As etcd's peer port tells it: ids are numbers. Who joins reads this. */
static void peer_members(struct api *api, struct http_exchange *exchange,
                         struct slice rest)
{
    struct answer answer;
    struct node_member *members;
    size_t count = members__all(api, exchange->arena, &members);
    struct buf *out = api__body(api);
    (void)rest;
    for (size_t i = 0; i < count; i++) {
        buf_append_str(out, i == 0 ? "[{\"id\":" : ",{\"id\":");
        buf_append_u64(out, members[i].id);
        buf_append_str(out, ",\"peerURLs\":");
        json__urls(out, members[i].peer_urls);
        buf_append_str(out, ",\"name\":");
        json_write_string(out, members[i].name);
        if (members[i].client_urls.size > 0) {
            buf_append_str(out, ",\"clientURLs\":");
            json__urls(out, members[i].client_urls);
        }
        if (members[i].is_learner) {
            buf_append_str(out, ",\"isLearner\":true");
        }
        buf_append_char(out, '}');
    }
    buf_append_str(out, count == 0 ? "[]\n" : "]\n");
    answer__init(&answer, api, exchange, api__type_json);
    answer__add_cluster(&answer, api);
    answer__send(&answer, api, exchange, 200);
}

static void peer_name(struct api *api, struct http_exchange *exchange,
                      struct slice rest)
{
    (void)rest;
    buf_append_str(api__body(api), api->shared->name);
    api__respond(api, exchange, 200, api__type_text);
}

static void client_url(struct api *api, struct http_exchange *exchange,
                       struct slice rest)
{
    struct node_progress progress;
    struct node_member *members;
    size_t count = members__all(api, exchange->arena, &members);
    struct buf *out = api__body(api);
    (void)rest;
    node_progress(api->node, &progress);
    const struct node_member *own =
        members__find(members, count, progress.member_id);
    if (own != NULL) {
        buf_append_slice(out, first__url(own->client_urls));
    }
    api__respond(api, exchange, 200, api__type_text);
}

/* ---- the machines -------------------------------------------------------- */

static void write_machine(struct api *api, struct buf *out,
                          const struct node_member *member)
{
    struct node_progress progress;
    node_progress(api->node, &progress);
    buf_append_str(out, "{\"name\":");
    json_write_string(out, member->name);
    buf_append_str(out, member->id == progress.leader
                            ? ",\"state\":\"leader\",\"clientURL\":"
                        : member->is_learner
                            ? ",\"state\":\"standby\",\"clientURL\":"
                            : ",\"state\":\"follower\",\"clientURL\":");
    json_write_string(out, first__url(member->client_urls));
    buf_append_str(out, ",\"peerURL\":");
    json_write_string(out, first__url(member->peer_urls));
    buf_append_char(out, '}');
}

static const struct node_member *find_named(const struct node_member *members,
                                            size_t count, struct slice name)
{
    for (size_t i = 0; i < count; i++) {
        if (name.size > 0 && slice_eq(members[i].name, name)) {
            return &members[i];
        }
    }
    return NULL;
}

/* 0.4's answer to a change of the peers: an index of the log, as a varint in
 * eight bytes. */
static void respond_index(struct api *api, struct http_exchange *exchange)
{
    struct node_progress progress;
    char bytes[VARINT_BYTES_MAX] = {0};
    node_progress(api->node, &progress);
    put_varint(bytes, progress.applied & ((UINT64_C(1) << 56) - 1));
    buf_append(api__body(api), bytes, 8);
    api__respond(api, exchange, 200, SLICE("application/octet-stream"));
}

static void respond_v2(struct api *api, struct http_exchange *exchange,
                       int status, int code, struct slice cause)
{
    struct node_progress progress;
    struct v2_error error = {.code = code, .cause = cause};
    node_progress(api->node, &progress);
    api__respond_error(api, exchange, status, &error, progress.revision);
}

static void finish_change(struct api *api, struct job *done)
{
    enum err err = done->change.err;
    if (done->exchange == NULL) {
        return;
    }
    if (err == ERR_OK) {
        respond_index(api, done->exchange);
    } else if (err == ERR_EXISTS) {
        respond_v2(api, done->exchange, 0, V2_PEER_ADDR_EXISTS,
                   done->change.member.peer_urls);
    } else {
        api__respond_failure(api, done->exchange, err);
    }
}

static void start_change(struct api *api, struct http_exchange *exchange,
                         enum node_change_op op,
                         const struct node_member *member)
{
    struct job *job = job__new(api, exchange, finish_change);
    job->change.op = op;
    job->change.member = *member;
    job__change(job);
}

static void remove_named(struct api *api, struct http_exchange *exchange,
                         struct slice name)
{
    struct node_member *members;
    size_t count = members__all(api, exchange->arena, &members);
    const struct node_member *member = find_named(members, count, name);
    if (member == NULL) {
        /* A name may hold anything, a NUL too: the text ends there. */
        respond_v2(
            api, exchange, 0, TREE_KEY_NOT_FOUND,
            slice_str(arena_printf(exchange->arena, "no machine is named %.*s",
                                   (int)name.size, name.at)));
    } else {
        start_change(api, exchange, NODE_REMOVE, member);
    }
}

/* `rest` "": all; else the one of that name, or null. */
static void machines(struct api *api, struct http_exchange *exchange,
                     struct slice rest)
{
    struct node_member *members;
    if (exchange->request.method == HTTP_DELETE) {
        remove_named(api, exchange, rest);
        return;
    }
    size_t count = members__all(api, exchange->arena, &members);
    struct buf *out = api__body(api);
    if (rest.size == 0) {
        for (size_t i = 0; i < count; i++) {
            buf_append_char(out, i == 0 ? '[' : ',');
            write_machine(api, out, &members[i]);
        }
        buf_append_str(out, count == 0 ? "[]" : "]");
    } else {
        const struct node_member *member = find_named(members, count, rest);
        if (member == NULL) {
            buf_append_str(out, "null");
        } else {
            write_machine(api, out, member);
        }
    }
    buf_append_char(out, '\n');
    api__respond(api, exchange, 200, api__type_json);
}

/* ---- the cluster's configuration ----------------------------------------- */

static void respond_config(struct api *api, struct http_exchange *exchange)
{
    struct node_cluster_config config;
    node_cluster_config(api->node, &config);
    buf_printf(api__body(api),
               "{\"activeSize\":%llu,\"removeDelay\":%.15g,"
               "\"syncInterval\":%.15g}\n",
               (unsigned long long)config.active_size, config.remove_delay_s,
               config.sync_interval_s);
    api__respond(api, exchange, 200, api__type_json);
}

static void finish_config(struct api *api, struct job *done)
{
    enum err err = done->write.err;
    enum v3_error error = V3_OK;
    if (err == ERR_OK) {
        error = done->write.answer.error;
        txn_answer_deinit(&done->write.answer);
    }
    if (done->exchange == NULL) {
        return;
    }
    if (err == ERR_OK && error != V3_OK) {
        if (!access__again(api, done->exchange, &done->caller)) {
            access__refuse(api, done->exchange, &done->caller);
        }
    } else if (err == ERR_OK) {
        respond_config(api, done->exchange);
    } else {
        api__respond_failure(api, done->exchange, err);
    }
}

/* A number of seconds as microseconds; what isn't a number that can be meant
 * is left out. */
static bool get_number(const struct doc_value *doc, const char *name,
                       double scale, uint64_t *out)
{
    const struct doc_value *value = doc_get(doc, name);
    if (value == NULL ||
        (value->kind != DOC_INT && value->kind != DOC_DOUBLE) ||
        !(value->number >= 0 && value->number * scale < 1e15)) {
        return false;
    }
    *out = (uint64_t)(value->number * scale);
    return true;
}

static void change_config(struct api *api, struct http_exchange *exchange)
{
    struct doc_value *doc = NULL;
    struct command command = {
        .type = COMMAND_CLUSTER,
        .user = api->caller.user,
        .auth_revision = api->caller.auth_revision,
    };
    struct cluster_command *cluster = &command.cluster;
    if (doc_parse_json(exchange->arena, exchange->request.body,
                       &doc_limits_default, &doc) != ERR_OK ||
        doc->kind != DOC_MAP) {
        api__respond_text(api, exchange, 500,
                          doc == NULL ? err_note() : "not a JSON object");
        return;
    }
    cluster->has_active_size =
        get_number(doc, "activeSize", 1, &cluster->active_size);
    cluster->has_remove_delay =
        get_number(doc, "removeDelay", 1e6, &cluster->remove_delay_us);
    cluster->has_sync_interval =
        get_number(doc, "syncInterval", 1e6, &cluster->sync_interval_us);
    job__write(job__new(api, exchange, finish_config),
               command_encode(&command));
}

static void admin_config(struct api *api, struct http_exchange *exchange,
                         struct slice rest)
{
    (void)rest;
    if (exchange->request.method == HTTP_PUT) {
        change_config(api, exchange);
    } else {
        respond_config(api, exchange);
    }
}

/* ---- joining ------------------------------------------------------------- */

static bool get_text(const struct doc_value *doc, const char *name,
                     struct slice *out)
{
    const struct doc_value *value = doc_get(doc, name);
    if (value == NULL || value->kind != DOC_STRING || value->text.size == 0) {
        return false;
    }
    *out = value->text;
    return true;
}

/* A machine that comes again, as it was, is welcome; one that takes the name
 * or the address of another is not. True: it was answered. */
static bool is_known(struct api *api, struct http_exchange *exchange,
                     const struct node_member *joins)
{
    struct node_member *members;
    size_t count = members__all(api, exchange->arena, &members);
    for (size_t i = 0; i < count; i++) {
        bool same_name = slice_eq(members[i].name, joins->name);
        bool same_url = slice_eq(members[i].peer_urls, joins->peer_urls);
        if (same_url && (same_name || members[i].name.size == 0)) {
            respond_index(api, exchange);
            return true;
        }
        if (same_name || same_url) {
            respond_v2(api, exchange, 0, V2_PEER_ADDR_EXISTS,
                       same_url ? joins->peer_urls : joins->name);
            return true;
        }
    }
    return false;
}

/* 0.4's {"name":...,"raftURL":...,"etcdURL":...}: a voter where there are fewer
 * than the active size, else a standby. */
static void join(struct api *api, struct http_exchange *exchange,
                 struct slice rest)
{
    struct doc_value *doc;
    struct node_member member = {.client_urls = SLICE("")};
    (void)rest;
    if (doc_parse_json(exchange->arena, exchange->request.body,
                       &doc_limits_default, &doc) != ERR_OK ||
        !get_text(doc, "name", &member.name) ||
        !get_text(doc, "raftURL", &member.peer_urls)) {
        api__respond_text(api, exchange, 400,
                          "a name and a raftURL are needed to join");
        return;
    }
    const char *fault = member_url_fault(member.peer_urls);
    if (fault != NULL) {
        api__respond_text(api, exchange, 400, fault);
        return;
    }
    (void)get_text(doc, "etcdURL", &member.client_urls);
    if (!is_known(api, exchange, &member)) {
        member.id = member_new_id(api->shared->clock, member.peer_urls);
        start_change(api, exchange, NODE_ADD_STANDBY, &member);
    }
}

static void remove_member(struct api *api, struct http_exchange *exchange,
                          struct slice rest)
{
    remove_named(api, exchange, rest);
}

/* clang-format off */
const struct route api__peer_routes[] = {
    {"/etcdURL", METHOD_ANY, "GET", ACCESS_ANYONE, client_url},
    /* Who joins has no user yet: who may speak to this port is what its TLS
     * says. */
    {"/join", METHOD_POST, "POST", ACCESS_ANYONE, join},
    {"/members", METHOD_GET, "GET", ACCESS_ANYONE, peer_members},
    {"/name", METHOD_ANY, "GET", ACCESS_ANYONE, peer_name},
    {"/remove/", METHOD_DELETE, "DELETE", ACCESS_ROOT, remove_member},
    {"/v2/admin/config", METHOD_GET | METHOD_HEAD | METHOD_PUT, "GET,HEAD,PUT",
     ACCESS_ROOT_CHANGES, admin_config},
    {"/v2/admin/machines", METHOD_GET | METHOD_HEAD, "GET,HEAD",
     ACCESS_ANYONE, machines},
    {"/v2/admin/machines/", METHOD_GET | METHOD_HEAD | METHOD_DELETE,
     "GET,HEAD,DELETE", ACCESS_ROOT_CHANGES, machines},
    {"/version", METHOD_GET, "GET", ACCESS_ANYONE, api__version},
};
/* clang-format on */

const size_t api__peer_route_count =
    sizeof(api__peer_routes) / sizeof(api__peer_routes[0]);
