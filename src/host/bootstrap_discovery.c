/* --discovery: the v2 protocol. Under the URL, a directory of keys,
 *
 *   _config/size    how many members the cluster has
 *   <member id>     "name=peerURL,name=peerURL2": one that has registered
 *
 *   read the size and who is there -> [full: that's it]
 *     -> register -> read again -> wait until there are enough
 *
 * The first ones, by the index at which they were created, are the cluster;
 * the URL itself is its token. */
#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "doc/doc.h"
#include "host/bootstrap_int.h"
#include "host/config_int.h"
#include "wire/form.h"

enum { SIZE_MAX_MEMBERS = 1000, KEY_NOT_FOUND = 100, NODE_EXISTS = 105 };

struct entry {
    struct slice name; /* the last part of its key */
    struct slice value;
    uint64_t created;
};

struct registry {
    const char *url; /* without '/' at its end */
    uint64_t size;
    uint64_t index; /* as of when `entries` were read */
    struct entry *entries;
    size_t count;
};

/* ---- answers ------------------------------------------------------------- */

/* The answer as JSON. *code: of an error of the v2 API; 0: it is none. */
static enum err parse(struct bootstrap_run *run, struct doc_value **doc,
                      int64_t *code)
{
    enum err err = doc_parse_json(run->arena, buf_slice(&run->response.body),
                                  &doc_limits_default, doc);
    *code = 0;
    if (err || (*doc)->kind != DOC_MAP) {
        return err_set(ERR_INVALID,
                       "invalid JSON (status %d); is this a directory of a v2 "
                       "API, http://HOST:PORT/v2/keys/...?",
                       run->response.status);
    }
    const struct doc_value *number = doc_get(*doc, "errorCode");
    if (number && number->kind == DOC_INT) {
        *code = number->integer;
    }
    return ERR_OK;
}

static struct slice text_of(const struct doc_value *map, const char *name)
{
    const struct doc_value *value = map ? doc_get(map, name) : NULL;
    return value && value->kind == DOC_STRING ? value->text : SLICE("");
}

static struct slice last_part(struct slice key)
{
    size_t at = key.size;
    while (at > 0 && key.at[at - 1] != '/') {
        at--;
    }
    return slice_of(key.at + at, key.size - at);
}

/* A server that can't answer now may be able to later. */
static bool is_passing(enum err err, int status)
{
    return err ? err != ERR_INVALID : status >= 500;
}

/* Asks until there is an answer that isn't a server's trouble. */
static enum err ask(struct bootstrap_run *run, const char *method,
                    const char *url, const char *body, int64_t timeout_ms,
                    struct doc_value **doc, int64_t *code)
{
    int64_t until_ms = http_client_now_ms() + run->world->give_up_ms;
    for (int n = 1;; n++) {
        enum err err = bootstrap__ask(run, method, url, body, timeout_ms);
        int status = run->response.status;
        if (!is_passing(err, status)) {
            return err ? err : parse(run, doc, code);
        }
        if (!err) {
            err = err_set(ERR_TIMEOUT, "status %d", status);
        }
        if (http_client_now_ms() >= until_ms) {
            err = err_set(ERR_TIMEOUT, "%s", err_note());
            return err_wrap(err, "the discovery service doesn't answer");
        }
        log_warn("discovery", "the service doesn't answer; asking again",
                 LOG_STR("url", url), LOG_STR("why", err_note()));
        bootstrap__pause(run, n);
    }
}

static enum err refuse_code(struct bootstrap_run *run,
                            const struct doc_value *doc, int64_t code)
{
    struct slice message = text_of(doc, "message");
    struct slice cause = text_of(doc, "cause");
    return err_set(ERR_IO, "%.*s (%.*s), error %lld, status %d",
                   (int)(message.size < 100 ? message.size : 100), message.at,
                   (int)(cause.size < 100 ? cause.size : 100), cause.at,
                   (long long)code, run->response.status);
}

/* ---- reading ------------------------------------------------------------- */

static enum err read_size(struct bootstrap_run *run, struct registry *registry)
{
    struct doc_value *doc;
    int64_t code;
    const char *url =
        arena_printf(run->arena, "%s/_config/size", registry->url);
    enum err err = ask(run, "GET", url, NULL, run->world->ask_ms, &doc, &code);
    if (err) {
        return err;
    }
    if (code == KEY_NOT_FOUND) {
        return err_set(ERR_NOT_FOUND,
                       "size key not found: has the token been made? (PUT "
                       "%.200s with value=<number of members>)",
                       url);
    }
    if (code != 0) {
        return refuse_code(run, doc, code);
    }
    struct slice text = text_of(doc_get(doc, "node"), "value");
    if (!slice_to_u64(text, &registry->size) || registry->size == 0 ||
        registry->size > SIZE_MAX_MEMBERS) {
        return err_set(ERR_INVALID, "size key is bad: \"%.*s\"",
                       (int)(text.size < 100 ? text.size : 100), text.at);
    }
    return ERR_OK;
}

static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = a;
    const struct entry *y = b;
    return (x->created > y->created) - (x->created < y->created);
}

static void read_entries(struct bootstrap_run *run,
                         const struct doc_value *nodes,
                         struct registry *registry)
{
    size_t count = nodes && nodes->kind == DOC_LIST ? nodes->count : 0;
    registry->entries =
        arena_alloc(run->arena, (count + 1) * sizeof(*registry->entries));
    registry->count = 0;
    for (size_t i = 0; i < count; i++) {
        const struct doc_value *node = nodes->items[i];
        const struct doc_value *created = doc_get(node, "createdIndex");
        struct entry entry = {.name = last_part(text_of(node, "key")),
                              .value = text_of(node, "value")};
        entry.created = created && created->kind == DOC_INT
                            ? (uint64_t)created->integer
                            : UINT64_MAX;
        if (entry.name.size > 0 && entry.name.at[0] != '_') {
            registry->entries[registry->count++] = entry;
        }
    }
    qsort(registry->entries, registry->count, sizeof(*registry->entries),
          compare_entries);
}

static enum err read_members(struct bootstrap_run *run,
                             struct registry *registry)
{
    struct doc_value *doc;
    int64_t code;
    enum err err =
        ask(run, "GET", registry->url, NULL, run->world->ask_ms, &doc, &code);
    if (err) {
        return err;
    }
    if (code != 0) {
        return refuse_code(run, doc, code);
    }
    struct slice index = http_client_header(&run->response, "X-Etcd-Index");
    if (!slice_to_u64(index, &registry->index)) {
        return err_set(ERR_INVALID, "no X-Etcd-Index in the answer");
    }
    const struct doc_value *node = doc_get(doc, "node");
    read_entries(run, node ? doc_get(node, "nodes") : NULL, registry);
    return ERR_OK;
}

static const struct entry *find(const struct registry *registry,
                                const char *name)
{
    for (size_t i = 0; i < registry->count; i++) {
        if (slice_eq(registry->entries[i].name, slice_str(name))) {
            return &registry->entries[i];
        }
    }
    return NULL;
}

/* Among the first ones. */
static bool belongs(const struct registry *registry, const char *name)
{
    const struct entry *own = find(registry, name);
    return own && (uint64_t)(own - registry->entries) < registry->size;
}

/* ---- registering, waiting ------------------------------------------------ */

/* Whoever is registered while there are too few has never run: the cluster
 * hasn't begun. So a start that was broken off may be made again. */
static enum err judge_known(const struct bootstrap_run *run,
                            const struct registry *registry, const char *id)
{
    if (!belongs(registry, id) || registry->count < registry->size) {
        return ERR_OK;
    }
    return err_set(ERR_EXISTS,
                   "member %s has previously registered with discovery "
                   "service %.150s, and that cluster has begun; but its data "
                   "is not in %.100s. If it is lost, remove the member and add "
                   "it again (etchctl member remove; etchctl member add)",
                   id, registry->url, run->config->data_dir);
}

static enum err enlist(struct bootstrap_run *run,
                       const struct registry *registry, const char *id,
                       const char *value)
{
    struct doc_value *doc;
    struct buf body = {0};
    int64_t code = 0;
    const char *url =
        arena_printf(run->arena, "%s/%s?prevExist=false", registry->url, id);
    buf_append_str(&body, "value=");
    percent_encode(&body, slice_str(value), false);
    buf_append_char(&body, '\0');
    enum err err =
        ask(run, "PUT", url, body.at, run->world->ask_ms, &doc, &code);
    buf_deinit(&body);
    if (err || code == 0) {
        return err;
    }
    /* An answer that was lost comes back as this. */
    return code == NODE_EXISTS ? ERR_OK : refuse_code(run, doc, code);
}

/* One change below the directory, or none for a while. */
static enum err wait_for_change(struct bootstrap_run *run,
                                const struct registry *registry)
{
    const char *url =
        arena_printf(run->arena, "%s?wait=true&recursive=true&waitIndex=%llu",
                     registry->url, (unsigned long long)registry->index + 1);
    enum err err = bootstrap__ask(run, "GET", url, NULL, run->world->wait_ms);
    if (err == ERR_INVALID) {
        return err;
    }
    bool is_time = err && run->response.failure == HTTP_CLIENT_DEADLINE;
    if (!is_time && (err || run->response.status != 200)) {
        bootstrap__pause(run, 1); /* nothing to wait by: ask now and then */
    }
    return ERR_OK; /* all is read anew */
}

static enum err wait_for_members(struct bootstrap_run *run,
                                 struct registry *registry)
{
    size_t told = 0;
    while (registry->count < registry->size) {
        if (told != registry->count) {
            log_info("discovery", "waiting for other members to register",
                     LOG_UINT("registered", registry->count),
                     LOG_UINT("size", registry->size));
            told = registry->count;
        }
        enum err err = wait_for_change(run, registry);
        if (!err) {
            err = read_members(run, registry);
        }
        if (err) {
            return err;
        }
    }
    return ERR_OK;
}

/* ---- the cluster --------------------------------------------------------- */

/* The members' values, joined as in --initial-cluster. */
static enum err cluster_of(struct bootstrap_run *run,
                           const struct registry *registry,
                           struct config_cluster *out)
{
    struct buf text = {0};
    CHECK_LE(registry->size, registry->count);
    for (size_t i = 0; i < registry->size; i++) {
        if (i > 0) {
            buf_append_char(&text, ',');
        }
        buf_append_slice(&text, registry->entries[i].value);
    }
    buf_append_char(&text, '\0');
    enum err err = config__parse_cluster(
        run->arena, arena_dup(run->arena, text.at, text.size), out);
    buf_deinit(&text);
    return err_wrap(err, "what a member registered");
}

static enum err start(struct bootstrap_run *run,
                      const struct registry *registry, struct bootstrap *out)
{
    const struct config *config = run->config;
    struct config_cluster cluster;
    enum err err = cluster_of(run, registry, &cluster);
    if (err) {
        return err;
    }
    struct bootstrap_list list = bootstrap__group(run->arena, &cluster);
    if (list.count != registry->size) {
        return err_set(ERR_EXISTS, "found duplicate name: two members that "
                                   "registered have the same --name; the "
                                   "token is used up, make another");
    }
    err = bootstrap__check_list(config, &list);
    if (!err) {
        err = bootstrap__assign_ids(&list, config->discovery);
    }
    if (err) {
        return err;
    }
    const struct bootstrap_member *own = bootstrap__named(&list, config->name);
    CHECK(own);
    out->member_id = own->id;
    out->cluster_id = bootstrap__cluster_id(&list);
    bootstrap__fill(&list, run->arena, out);
    log_info("discovery", "all members have registered: a new cluster",
             LOG_HEX("cluster", out->cluster_id),
             LOG_HEX("member", out->member_id),
             LOG_UINT("members", out->member_count));
    return ERR_OK;
}

static enum err urls_of(struct bootstrap_run *run,
                        const struct registry *registry, const char **urls)
{
    struct config_cluster cluster;
    enum err err = cluster_of(run, registry, &cluster);
    if (err) {
        return err;
    }
    struct config_urls all = {
        .at = arena_alloc(run->arena, (cluster.count + 1) * sizeof(*all.at)),
        .count = cluster.count};
    for (size_t i = 0; i < cluster.count; i++) {
        all.at[i] = cluster.at[i].url;
    }
    *urls = bootstrap__join(run->arena, &all);
    return ERR_OK;
}

static enum err give_up_place(struct bootstrap_run *run,
                              const struct registry *registry,
                              struct bootstrap *out)
{
    if (!run->config->discovery_fallback_proxy) {
        return err_set(ERR_FULL,
                       "cluster is full: %llu members have registered with "
                       "%.150s; add this one with etchctl member add, or give "
                       "--discovery-fallback proxy",
                       (unsigned long long)registry->size, registry->url);
    }
    log_info("discovery", "cluster is full, falling back to proxy");
    return urls_of(run, registry, &out->proxy_of);
}

static enum err open_registry(struct bootstrap_run *run,
                              struct registry *registry)
{
    const char *url = run->config->discovery;
    size_t size = strlen(url);
    while (size > 0 && url[size - 1] == '/') {
        size--;
    }
    registry->url = arena_printf(run->arena, "%.*s", (int)size, url);
    enum err err = read_size(run, registry);
    return err ? err : read_members(run, registry);
}

/* "name=url,name=url2", sorted, as etcd writes it. */
static const char *own_value(struct bootstrap_run *run)
{
    const struct config *config = run->config;
    struct config_urls urls =
        bootstrap__sort_urls(run->arena, &config->initial_advertise_peer_urls);
    const char *value = "";
    for (size_t i = 0; i < urls.count; i++) {
        value = arena_printf(run->arena, "%s%s%s=%s", value, i ? "," : "",
                             config->name, urls.at[i].text);
    }
    return value;
}

static enum err discover(struct bootstrap_run *run, struct bootstrap *out)
{
    const struct config *config = run->config;
    struct registry registry;
    struct config_urls urls =
        bootstrap__sort_urls(run->arena, &config->initial_advertise_peer_urls);
    const char *id = arena_printf(
        run->arena, "%llx",
        (unsigned long long)bootstrap__member_id(&urls, config->discovery));
    enum err err = open_registry(run, &registry);
    if (!err) {
        err = judge_known(run, &registry, id);
    }
    if (!err && !find(&registry, id) && registry.count < registry.size) {
        err = enlist(run, &registry, id, own_value(run));
        if (!err) {
            err = read_members(run, &registry);
        }
    }
    if (err) {
        return err;
    }
    if (registry.count >= registry.size && !belongs(&registry, id)) {
        return give_up_place(run, &registry, out);
    }
    err = wait_for_members(run, &registry);
    return err ? err : start(run, &registry, out);
}

enum err bootstrap__discover(struct bootstrap_run *run, struct bootstrap *out)
{
    return err_wrap(discover(run, out), "--discovery");
}

enum err bootstrap__discovered_urls(struct bootstrap_run *run,
                                    const char **urls)
{
    struct registry registry;
    enum err err = open_registry(run, &registry);
    if (!err) {
        err = wait_for_members(run, &registry);
    }
    if (!err) {
        err = urls_of(run, &registry, urls);
    }
    return err_wrap(err, "--discovery");
}
