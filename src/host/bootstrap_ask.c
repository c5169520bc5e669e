/* HTTP with patience, and what a cluster says of its members. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "doc/doc.h"
#include "host/bootstrap_int.h"
#include "host/config_int.h"
#include "host/peers_tls.h"

enum { REDIRECTS_MAX = 5, LONG_INTEGER_DIGITS = 19 };

/* ---- requests ------------------------------------------------------------ */

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 307 || status == 308;
}

/* Where it says to go; NULL: nowhere that can be gone to. */
static const char *next_url(struct bootstrap_run *run)
{
    struct slice to = http_client_header(&run->response, "Location");
    if (!slice_has_prefix(to, SLICE("http://")) &&
        !slice_has_prefix(to, SLICE("https://"))) {
        return NULL;
    }
    return arena_printf(run->arena, "%.*s", (int)to.size, to.at);
}

/* Most servers have nobody to ask, and no need of a client. */
static enum err open_client(struct bootstrap_run *run)
{
    const struct config *config = run->config;
    const struct peers_tls_files files = peers_tls_files(config);
    const struct http_client_options discovery = {
        .ca_file = config->discovery_ca_file,
        .cert_file = config->discovery_cert_file,
        .key_file = config->discovery_key_file,
        .skip_verify = config->discovery_skip_verify,
        .user_agent = "etched",
        .proxy = config->discovery_proxy,
        .stop_fd = -1,
    };
    const struct http_client_options members = {
        .ca_file = files.ca_file,
        .cert_file = files.cert_file,
        .key_file = files.key_file,
        .crl_file = files.crl_file,
        .skip_verify = files.skip_verify,
        .user_agent = "etched",
        .stop_fd = -1,
    };
    if (run->client) {
        return ERR_OK;
    }
    /* The discovery service is somebody else's: it isn't shown what members
     * show each other. */
    return http_client_open(*config->discovery ? &discovery : &members,
                            &run->client);
}

/* The socket of "unix:///path/members": all but the last part. NULL: another
 * URL. */
static const char *socket_of(struct bootstrap_run *run, const char **url)
{
    bool is_tls = strncmp(*url, "unixs://", 8) == 0;
    if (!is_tls && strncmp(*url, "unix://", 7) != 0) {
        return NULL;
    }
    const char *path = *url + (is_tls ? 8 : 7);
    const char *rest = strrchr(path, '/');
    CHECK(rest != NULL);
    *url = arena_printf(run->arena, "%s://localhost%s",
                        is_tls ? "https" : "http", rest);
    return arena_printf(run->arena, "%.*s", (int)(rest - path), path);
}

enum err bootstrap__ask(struct bootstrap_run *run, const char *method,
                        const char *url, const char *body, int64_t timeout_ms)
{
    const char *type = body && body[0] == '{'
                           ? "Content-Type: application/json"
                           : "Content-Type: application/x-www-form-urlencoded";
    struct http_client_request request = {
        .method = method,
        .headers = &type,
        .header_count = body ? 1 : 0,
        .body = slice_str(body ? body : ""),
        .has_body = body != NULL,
        .deadline_ms = http_client_now_ms() + timeout_ms,
    };
    enum err err = open_client(run);
    if (err) {
        return err;
    }
    for (int i = 0; i <= REDIRECTS_MAX; i++) {
        request.unix_path = socket_of(run, &url);
        request.url = url;
        err = http_client_do(run->client, &request, &run->response);
        if (err) {
            return err;
        }
        CHECK_LT(0, run->response.status);
        if (!is_redirect(run->response.status)) {
            return ERR_OK;
        }
        const char *next = next_url(run);
        if (!next) {
            return err_set(ERR_INVALID, "%.200s: a redirect to nowhere", url);
        }
        if (strncmp(url, "https:", 6) == 0 && strncmp(next, "https:", 6) != 0) {
            return err_set(ERR_PERMISSION,
                           "%.200s: a redirect from https to %.200s", url,
                           next);
        }
        url = next;
    }
    return err_set(ERR_INVALID, "%.200s: more than %d redirects", url,
                   REDIRECTS_MAX);
}

void bootstrap__pause(struct bootstrap_run *run, int n)
{
    int64_t pause_ms = run->world->retry_ms;
    CHECK_LT(0, n);
    for (int i = 1; i < n && pause_ms < run->world->retry_max_ms; i++) {
        pause_ms *= 2;
    }
    (void)http_client_wait(run->client, pause_ms < run->world->retry_max_ms
                                            ? pause_ms
                                            : run->world->retry_max_ms);
}

/* ---- the list of members ------------------------------------------------- */

/* Ids are numbers up to 2^64, for which the reader of JSON has no place: long
 * integers are put in quotation marks. */
static void quote_long_integers(struct slice json, struct buf *out)
{
    bool in_text = false;
    size_t at = 0;
    while (at < json.size) {
        char c = json.at[at];
        size_t digits = 0;
        while (!in_text && at + digits < json.size &&
               json.at[at + digits] >= '0' && json.at[at + digits] <= '9') {
            digits++;
        }
        if (digits >= LONG_INTEGER_DIGITS) {
            buf_printf(out, "\"%.*s\"", (int)digits, json.at + at);
        } else if (digits > 0) {
            buf_append(out, json.at + at, digits);
        } else if (in_text && c == '\\' && at + 1 < json.size) {
            digits = 2;
            buf_append(out, json.at + at, 2);
        } else {
            in_text = in_text != (c == '"');
            buf_append_char(out, c);
        }
        at += digits > 0 ? digits : 1;
    }
}

static bool get_id(const struct doc_value *member, uint64_t *out)
{
    const struct doc_value *id = doc_get(member, "id");
    if (id && id->kind == DOC_INT && id->integer > 0) {
        *out = (uint64_t)id->integer;
        return true;
    }
    return id && id->kind == DOC_STRING && slice_to_u64(id->text, out) &&
           *out != 0;
}

/* A list of texts, joined with ','. Not there, or null: "". */
static bool get_list(struct arena *arena, const struct doc_value *member,
                     const char *name, struct slice *out)
{
    const struct doc_value *list = doc_get(member, name);
    struct buf joined = {0};
    *out = SLICE("");
    if (!list || list->kind == DOC_NULL) {
        return true;
    }
    for (size_t i = 0; list->kind == DOC_LIST && i < list->count; i++) {
        if (list->items[i]->kind != DOC_STRING) {
            buf_deinit(&joined);
            return false;
        }
        if (i > 0) {
            buf_append_char(&joined, ',');
        }
        buf_append_slice(&joined, list->items[i]->text);
    }
    if (joined.size > 0) {
        *out = slice_of(arena_dup(arena, joined.at, joined.size), joined.size);
    }
    buf_deinit(&joined);
    return list->kind == DOC_LIST;
}

static bool read_member(struct arena *arena, const struct doc_value *from,
                        struct node_member *out)
{
    const struct doc_value *name = doc_get(from, "name");
    const struct doc_value *learner = doc_get(from, "isLearner");
    *out = (struct node_member){.name = SLICE("")};
    if (name && name->kind == DOC_STRING) {
        out->name = name->text;
    }
    out->is_learner = learner && learner->kind == DOC_BOOL && learner->boolean;
    return get_id(from, &out->id) &&
           get_list(arena, from, "peerURLs", &out->peer_urls) &&
           get_list(arena, from, "clientURLs", &out->client_urls);
}

enum err bootstrap__parse_members(struct arena *arena, struct slice json,
                                  struct bootstrap_view *out)
{
    struct buf text = {0};
    struct doc_value *doc = NULL;
    quote_long_integers(json, &text);
    enum err err =
        doc_parse_json(arena, buf_slice(&text), &doc_limits_default, &doc);
    buf_deinit(&text);
    if (err) {
        return err_wrap(ERR_INVALID, "not a list of members");
    }
    if (doc->kind != DOC_LIST) {
        return err_set(ERR_INVALID, "not a list of members");
    }
    out->members = arena_alloc(arena, (doc->count + 1) * sizeof(*out->members));
    out->count = doc->count;
    for (size_t i = 0; i < doc->count; i++) {
        if (!read_member(arena, doc->items[i], &out->members[i])) {
            return err_set(ERR_INVALID, "not a list of members");
        }
    }
    return ERR_OK;
}

static bool hex_to_u64(struct slice text, uint64_t *out)
{
    char copy[17];
    char *end;
    if (text.size == 0 || text.size >= sizeof(copy) || text.at[0] == '-') {
        return false;
    }
    memcpy(copy, text.at, text.size);
    copy[text.size] = '\0';
    *out = strtoull(copy, &end, 16);
    return *end == '\0';
}

/* A port with TLS has no word for who comes without it, or with a certificate
 * that it doesn't take: it ends the connection. */
static const char *hint_of(const struct bootstrap_run *run, const char *url)
{
    enum http_client_failure failure = run->response.failure;
    if (failure != HTTP_CLIENT_READ && failure != HTTP_CLIENT_EOF) {
        return "";
    }
    return strncmp(url, "https:", 6) == 0
               ? " (does it take this member's certificate? its log says so)"
               : " (has its peer port TLS, https?)";
}

enum err bootstrap__ask_members(struct bootstrap_run *run, const char *peer_url,
                                int64_t timeout_ms, struct bootstrap_view *out)
{
    *out = (struct bootstrap_view){0};
    const char *url = arena_printf(run->arena, "%s/members", peer_url);
    enum err err = bootstrap__ask(run, "GET", url, NULL, timeout_ms);
    if (err) {
        return err_wrap(err, "%.200s%s", url, hint_of(run, url));
    }
    if (run->response.status != 200) {
        return err_set(ERR_INVALID, "%.200s: status %d", url,
                       run->response.status);
    }
    struct slice id = http_client_header(&run->response, "X-Etcd-Cluster-ID");
    if (!hex_to_u64(id, &out->cluster_id)) {
        return err_set(ERR_INVALID,
                       "%.200s: no X-Etcd-Cluster-ID in the answer; is it the "
                       "peer port of a member?",
                       url);
    }
    return err_wrap(bootstrap__parse_members(
                        run->arena, buf_slice(&run->response.body), out),
                    "%.200s", url);
}

const struct node_member *
bootstrap__find_by_urls(struct arena *arena, const struct bootstrap_view *view,
                        const struct config_urls *urls)
{
    for (size_t i = 0; i < view->count; i++) {
        struct slice text = view->members[i].peer_urls;
        struct config_urls theirs;
        const char *copy = arena_printf(arena, "%.*s", (int)text.size, text.at);
        if (text.size > 0 && !config__parse_urls(arena, copy, &theirs) &&
            bootstrap__same_urls(urls, &theirs)) {
            return &view->members[i];
        }
    }
    return NULL;
}
