/* Who belongs to the cluster, and changing it, as etcd's v2 API has it. */
#include "api/api_int.h"
#include "api/member_form.h"
#include "doc/doc.h"
#include "doc/json_write.h"

/* ---- lists of URLs ------------------------------------------------------- */

struct slice first__url(struct slice urls)
{
    return member_next_url(&urls);
}

void json__urls(struct buf *out, struct slice urls)
{
    buf_append_char(out, '[');
    while (urls.size > 0) {
        json_write_string(out, member_next_url(&urls));
        if (urls.size > 0) {
            buf_append_char(out, ',');
        }
    }
    buf_append_char(out, ']');
}

/* ---- looking ------------------------------------------------------------- */

size_t members__all(struct api *api, struct arena *arena,
                    struct node_member **out)
{
    lock_read(node_lock(api->node));
    size_t count = node_members(api->node, arena, out);
    unlock_read(node_lock(api->node));
    return count;
}

const struct node_member *members__find(const struct node_member *members,
                                        size_t count, member_id id)
{
    for (size_t i = 0; i < count; i++) {
        if (members[i].id == id) {
            return &members[i];
        }
    }
    return NULL;
}

static void write_member(struct buf *out, const struct node_member *member)
{
    buf_append_str(out, "{\"id\":\"");
    buf_append_hex(out, member->id);
    buf_append_str(out, "\",\"name\":");
    json_write_string(out, member->name);
    buf_append_str(out, ",\"peerURLs\":");
    json__urls(out, member->peer_urls);
    buf_append_str(out, ",\"clientURLs\":");
    json__urls(out, member->client_urls);
    /* What etcd's v2 API never had is told only where it is so. */
    if (member->is_learner) {
        buf_append_str(out, ",\"isLearner\":true");
    }
    if (member->is_standby) {
        buf_append_str(out, ",\"isStandby\":true");
    }
    buf_append_char(out, '}');
}

static void respond(struct api *api, struct http_exchange *exchange, int status)
{
    struct answer answer;
    buf_append_char(&api->out, '\n');
    answer__init(&answer, api, exchange, api__type_json);
    answer__add_cluster(&answer, api);
    answer__send(&answer, api, exchange, status);
}

static void list_members(struct api *api, struct http_exchange *exchange)
{
    struct node_member *members;
    size_t count = members__all(api, exchange->arena, &members);
    struct buf *out = api__body(api);
    buf_append_str(out, "{\"members\":[");
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            buf_append_char(out, ',');
        }
        write_member(out, &members[i]);
    }
    buf_append_str(out, "]}");
    respond(api, exchange, 200);
}

static void give_leader(struct api *api, struct http_exchange *exchange)
{
    struct node_progress progress;
    struct node_member *members;
    size_t count = members__all(api, exchange->arena, &members);
    node_progress(api->node, &progress);
    const struct node_member *leader =
        members__find(members, count, progress.leader);
    if (leader == NULL) {
        api__respond_message(api, exchange, 503, "During election");
        return;
    }
    write_member(api__body(api), leader);
    respond(api, exchange, 200);
}

/* ---- what a request says ------------------------------------------------- */

static bool refuse(struct api *api, struct http_exchange *exchange, int status,
                   const char *message)
{
    api__respond_message(api, exchange, status, message);
    return false;
}

static bool read_list(struct api *api, struct http_exchange *exchange,
                      const struct doc_value *list, struct slice *peer_urls)
{
    enum { URLS_MAX = 16 };
    struct slice urls[URLS_MAX];
    if (list == NULL || list->kind != DOC_LIST || list->count == 0) {
        return refuse(api, exchange, 400, "member has no peer URLs");
    }
    if (list->count > URLS_MAX) {
        return refuse(api, exchange, 400, "member has too many peer URLs");
    }
    for (size_t i = 0; i < list->count; i++) {
        const struct doc_value *item = list->items[i];
        const char *fault = item->kind != DOC_STRING
                                ? "a peer URL is not a string"
                                : member_url_fault(item->text);
        if (fault != NULL) {
            struct slice text =
                item->kind == DOC_STRING ? item->text : SLICE("");
            return refuse(api, exchange, 400,
                          arena_printf(exchange->arena, "%s: %.*s", fault,
                                       (int)(text.size < 200 ? text.size : 200),
                                       text.at));
        }
        urls[i] = item->text;
    }
    *peer_urls = member_join_urls(exchange->arena, urls, list->count);
    return true;
}

bool members__read_urls(struct api *api, struct http_exchange *exchange,
                        struct slice *peer_urls)
{
    struct doc_value *doc;
    struct slice type = http_header_get(&exchange->request, "Content-Type");
    if (!slice_eq(type, SLICE("application/json"))) {
        return refuse(api, exchange, 415,
                      arena_printf(exchange->arena,
                                   "Bad Content-Type %.*s, accept "
                                   "application/json",
                                   (int)(type.size < 200 ? type.size : 200),
                                   type.at == NULL ? "" : type.at));
    }
    if (doc_parse_json(exchange->arena, exchange->request.body,
                       &doc_limits_default, &doc) != ERR_OK) {
        return refuse(api, exchange, 400, err_note());
    }
    return read_list(api, exchange, doc_get(doc, "peerURLs"), peer_urls);
}

static bool hex_to_id(struct slice text, member_id *id)
{
    *id = 0;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.at[i];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                         : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10
                                                : 16;
        if (digit == 16) {
            return false;
        }
        *id = *id << 4 | digit;
    }
    return text.size > 0 && text.size <= 16 && *id != 0;
}

/* ---- changing ------------------------------------------------------------ */

static void respond_no_member(struct api *api, struct http_exchange *exchange,
                              struct slice text)
{
    api__respond_message(api, exchange, 404,
                         arena_printf(exchange->arena, "No such member: %.*s",
                                      (int)(text.size < 200 ? text.size : 200),
                                      text.at == NULL ? "" : text.at));
}

static void respond_change_failed(struct api *api,
                                  struct http_exchange *exchange, enum err err,
                                  member_id id)
{
    int status = err_http_status(err);
    const char *message = err_text(err);
    switch (err) {
    case ERR_EXISTS:
        message = "membership: peerURL exists";
        break;
    case ERR_GONE:
        message =
            arena_printf(exchange->arena, "Member permanently removed: %llx",
                         (unsigned long long)id);
        break;
    case ERR_NOT_FOUND:
        message = arena_printf(exchange->arena, "No such member: %llx",
                               (unsigned long long)id);
        break;
    case ERR_BUSY:
        message = "another change of membership is under way; try again";
        break;
    case ERR_UNHEALTHY:
        message = "etcdserver: unhealthy cluster: too few members would be "
                  "heard from after this change";
        break;
    case ERR_NO_LEADER:
        message = "etcdserver: no leader";
        break;
    case ERR_TIMEOUT:
        message = "etcdserver: request timed out";
        break;
    default:
        break;
    }
    api__respond_message(api, exchange, status, message);
}

static void finish(struct api *api, struct job *done)
{
    struct http_exchange *exchange = done->exchange;
    const struct node_change *change = &done->change;
    struct answer answer;
    if (exchange == NULL) {
        return;
    }
    if (change->err != ERR_OK) {
        respond_change_failed(api, exchange, change->err, change->member.id);
    } else if (exchange->request.method == HTTP_POST) {
        write_member(api__body(api), &change->member);
        respond(api, exchange, 201);
    } else {
        api__body(api);
        answer__init(&answer, api, exchange, slice_of(NULL, 0));
        answer__add_cluster(&answer, api);
        answer__send(&answer, api, exchange, 204);
    }
}

static void start_change(struct api *api, struct http_exchange *exchange,
                         enum node_change_op op,
                         const struct node_member *member)
{
    struct job *job = job__new(api, exchange, finish);
    job->change.op = op;
    job->change.member = *member;
    job__change(job);
}

/* False: it was refused, as by etcd, which has no word for it in v2. The node
 * looks at who is heard from; a member that was added just now passes for that,
 * but not for one that was started. */
static bool check_started(struct api *api, struct http_exchange *exchange,
                          enum node_change_op op, member_id id)
{
    struct node_member *members;
    size_t count = members__all(api, exchange->arena, &members);
    if (!api->shared->strict_reconfig ||
        members_are_most_started(members, count, op, id)) {
        return true;
    }
    api__respond_message(api, exchange, 503,
                         "etcdserver: re-configuration failed due to not "
                         "enough started members");
    return false;
}

static void add_member(struct api *api, struct http_exchange *exchange)
{
    struct node_member member = {.name = SLICE(""), .client_urls = SLICE("")};
    if (members__read_urls(api, exchange, &member.peer_urls) &&
        check_started(api, exchange, NODE_ADD_VOTER, 0)) {
        member.id = member_new_id(api->shared->clock, member.peer_urls);
        start_change(api, exchange, NODE_ADD_VOTER, &member);
    }
}

static void change_member(struct api *api, struct http_exchange *exchange,
                          struct slice rest)
{
    struct node_member member = {.name = SLICE(""), .client_urls = SLICE("")};
    bool removes = exchange->request.method == HTTP_DELETE;
    if (!hex_to_id(rest, &member.id)) {
        respond_no_member(api, exchange, rest);
    } else if (removes) {
        if (check_started(api, exchange, NODE_REMOVE, member.id)) {
            start_change(api, exchange, NODE_REMOVE, &member);
        }
    } else if (members__read_urls(api, exchange, &member.peer_urls)) {
        start_change(api, exchange, NODE_UPDATE, &member);
    }
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
        if (is_list) {
            add_member(api, exchange);
        } else {
            api__respond_not_allowed(api, exchange, "GET,PUT,DELETE");
        }
        return;
    default:
        if (is_list) {
            api__respond_not_allowed(api, exchange, "GET,POST");
        } else {
            change_member(api, exchange, rest);
        }
    }
}
