#include "cmd/etchctl/session.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/version.h"
#include "cmd/etchctl/password.h"
#include "cmd/etchctl/url.h"

/* ---- connecting --------------------------------------------------------- */

void session_start_deadline(struct session *session)
{
    int64_t total_ms = session->settings.total_timeout_ms;

    session->cluster.deadline_ms =
        total_ms > 0 ? http_client_now_ms() + total_ms : 0;
}

static bool open_client(struct session *session)
{
    const struct settings *settings = &session->settings;
    struct http_client_options options = {
        .ca_file = settings->ca_file,
        .cert_file = settings->cert_file,
        .key_file = settings->key_file,
        .username = settings->username,
        .password = settings->password,
        .user_agent = "etchctl/" ETCHED_VERSION,
        .stop_fd = session->stop_fd,
    };
    char *asked = NULL;
    enum err err;

    if (settings->username && !settings->password) {
        asked = password_ask("Password: ");
        options.password = asked;
    }
    err = http_client_open(&options, &session->cluster.http);
    password_free(asked);
    if (err != ERR_OK)
        fprintf(stderr, "%s\n", err_note());
    return err == ERR_OK;
}

static int sync_members(struct session *session)
{
    struct cluster *cluster = &session->cluster;
    struct failure *failure = &session->failure;
    bool synced;

    if (cluster->debug) {
        fputs("start to sync cluster using endpoints(", cluster->debug);
        cluster_print_endpoints(cluster, ",", cluster->debug);
        fputs(")\n", cluster->debug);
    }
    session_start_deadline(session);
    synced = cluster_sync(cluster, failure);
    if (!synced && failure->kind == FAILURE_EMPTY_BODY) {
        fputs("etcd cluster has no published client endpoints.\n"
              "Try '--no-sync' if you want to access non-published client "
              "endpoints(",
              stderr);
        cluster_print_endpoints(cluster, ",", stderr);
        fputs(").\n", stderr);
        return session_fail(session, EXIT_SERVER_ERROR);
    }
    if (!synced && failure->is_connection)
        return session_fail(session, EXIT_BAD_CONNECTION);
    /* Anything else may be no more than a server that has no /v2/members, or
     * doesn't show it to this user: the endpoints as given may do. */
    if (cluster->debug) {
        fputs("got endpoints(", cluster->debug);
        cluster_print_endpoints(cluster, ",", cluster->debug);
        fputs(") after sync\n", cluster->debug);
    }
    return EXIT_DONE;
}

int session_connect(struct session *session, bool sync)
{
    const struct settings *settings = &session->settings;
    struct cluster *cluster = &session->cluster;
    int code = EXIT_DONE;

    CHECK(settings->endpoint_count > 0);
    cluster->arena = session->arena;
    cluster->endpoints = settings->endpoints;
    cluster->count = settings->endpoint_count;
    cluster->timeout_ms = settings->timeout_ms;
    cluster->debug = settings->is_debug ? stderr : NULL;
    if (!open_client(session))
        return EXIT_BAD_ARGUMENTS;
    if (sync && !settings->is_no_sync)
        code = sync_members(session);
    if (code == EXIT_DONE && cluster->debug) {
        fputs("Cluster-Endpoints: ", cluster->debug);
        cluster_print_endpoints(cluster, ", ", cluster->debug);
        fputc('\n', cluster->debug);
    }
    return code;
}

int session_connect_for_key(struct session *session, const char **key)
{
    *key = session_word(session, 0);
    if (!*key)
        return session_fail_text(session, EXIT_BAD_ARGUMENTS, "key required");
    return session_connect(session, true);
}

void session_close(struct session *session)
{
    http_client_close(session->cluster.http);
    session->cluster.http = NULL;
    failure_deinit(&session->failure);
    failure_init(&session->failure);
}

/* ---- requests ----------------------------------------------------------- */

void keys_request_deinit(struct keys_request *request)
{
    buf_deinit(&request->query);
    buf_deinit(&request->form);
}

void keys_request_ttl(struct keys_request *request, int64_t ttl)
{
    if (ttl > 0)
        url_append_number(&request->form, "ttl", (uint64_t)ttl);
}

/* What the answer says, or why it says nothing. */
static bool read_answer(const struct http_client_response *http,
                        struct arena *arena, struct v2_response *out,
                        struct failure *failure)
{
    struct slice body = buf_slice(&http->body);
    struct v2_response response;
    struct v2_error error;
    bool good = http->status == 200 || http->status == 201;

    if (good && body.size == 0) {
        failure_set(failure, FAILURE_EMPTY_BODY,
                    "client: response body is empty");
        return false;
    }
    if (good && v2_response_parse(arena, body, &response)) {
        *out = response;
        return true;
    }
    if (!good && v2_error_parse(arena, body, &error)) {
        failure_set(failure, FAILURE_OTHER, "%s", "");
        v2_error_print(&error, &failure->text);
        return false;
    }
    failure_set(failure, FAILURE_OTHER,
                "client: response is invalid json. The endpoint is probably "
                "not valid etcd cluster endpoint");
    return false;
}

static uint64_t etcd_index(const struct http_client_response *http)
{
    struct slice text = http_client_header(http, "X-Etcd-Index");
    uint64_t index = 0;

    return text.at && slice_to_u64(text, &index) ? index : 0;
}

bool session_keys(struct session *session, struct keys_request *request,
                  struct arena *arena, struct v2_response *out,
                  uint64_t *index_seen)
{
    struct http_client_response http = {0};
    struct cluster_request cluster_request = {
        .method = request->method,
        .body = buf_slice(&request->form),
        .has_body = request->has_form,
        .is_one_shot = request->is_one_shot,
        .is_wait = request->is_wait,
    };
    struct buf path = {0};
    bool good;

    url_append_key(&path, request->key);
    if (request->query.size) {
        buf_append_char(&path, '?');
        buf_append_slice(&path, buf_slice(&request->query));
    }
    buf_append_char(&path, '\0');
    cluster_request.path = path.at;
    session_start_deadline(session);
    good = cluster_do(&session->cluster, &cluster_request, &http,
                      &session->failure) &&
           read_answer(&http, arena, out, &session->failure);
    if (good)
        out->index = etcd_index(&http);
    if (index_seen)
        *index_seen = etcd_index(&http);
    buf_deinit(&path);
    http_client_response_deinit(&http);
    if (!request->is_wait)
        keys_request_deinit(request);
    return good;
}

static struct slice keep(struct session *session, const struct buf *body)
{
    return slice_of(
        arena_dup(session->arena, body->at ? body->at : "", body->size),
        body->size);
}

bool session_send_json(struct session *session, const char *method,
                       const char *path, struct slice json, int *status,
                       struct slice *body)
{
    struct http_client_response http = {0};
    struct cluster_request request = {.method = method,
                                      .path = path,
                                      .body = json,
                                      .has_body = json.size > 0,
                                      .is_json = true,
                                      .is_one_shot = true};
    bool good =
        cluster_do(&session->cluster, &request, &http, &session->failure);

    if (good) {
        *status = http.status;
        *body = keep(session, &http.body);
    }
    http_client_response_deinit(&http);
    return good;
}

bool session_get(struct session *session, const char *path, struct slice *body)
{
    struct http_client_response http = {0};
    struct cluster_request request = {.method = "GET", .path = path};
    bool good =
        cluster_do(&session->cluster, &request, &http, &session->failure);

    if (good && http.status != 200) {
        failure_set(&session->failure, FAILURE_OTHER,
                    "unexpected status code %d", http.status);
        good = false;
    }
    if (good)
        *body = keep(session, &http.body);
    http_client_response_deinit(&http);
    return good;
}

/* ---- saying ------------------------------------------------------------- */

int session_fail_text(const struct session *session, enum exit_code code,
                      const char *text)
{
    (void)session;
    fprintf(stderr, "Error:  %s\n", text);
    return (int)code;
}

int session_fail(const struct session *session, enum exit_code code)
{
    const struct failure *failure = &session->failure;

    if (failure->kind == FAILURE_STOPPED)
        return EXIT_DONE;
    fputs("Error:  ", stderr);
    fwrite(failure->text.at, 1, failure->text.size, stderr);
    fputc('\n', stderr);
    if (failure->detail.size) {
        fwrite(failure->detail.at, 1, failure->detail.size, stderr);
        fputc('\n', stderr);
    }
    return (int)code;
}

int session_write(const struct buf *text)
{
    bool good = true;

    if (text->size)
        good = fwrite(text->at, 1, text->size, stdout) == text->size;
    if (fflush(stdout) == 0 && good)
        return EXIT_DONE;
    fprintf(stderr, "Error:  write to stdout: %s\n", strerror(errno));
    return EXIT_BAD_ARGUMENTS;
}

int session_print(const struct session *session,
                  const struct v2_response *response)
{
    struct buf text = {0};
    int code;

    v2_response_print(response, session->settings.output, &text);
    code = session_write(&text);
    buf_deinit(&text);
    return code;
}

/* ---- words -------------------------------------------------------------- */

const char *session_word(const struct session *session, size_t at)
{
    return at < session->words.count ? session->words.at[at] : NULL;
}

bool session_word_or_stdin(const struct session *session, size_t at,
                           struct slice *out)
{
    const char *word = session_word(session, at);
    struct buf all = {0};
    size_t got;

    *out = SLICE("");
    if (word) {
        *out = slice_str(word);
        return true;
    }
    do {
        buf_reserve(&all, 64 * 1024);
        got = fread(all.at + all.size, 1, 64 * 1024, stdin);
        all.size += got;
    } while (got > 0 && all.size <= LIMIT_REQUEST_BYTES_MAX);
    if (all.size > 0)
        *out = slice_of(arena_dup(session->arena, all.at, all.size), all.size);
    buf_deinit(&all);
    return out->size > 0;
}

/* ---- signals ------------------------------------------------------------ */

static int stop_pipe[2] = {-1, -1};

static void on_stop_signal(int number)
{
    int saved = errno;

    (void)number;
    /* A full pipe has said it already. */
    if (write(stop_pipe[1], "", 1) < 0) {
        errno = saved;
        return;
    }
    errno = saved;
}

void session_catch_signals(struct session *session)
{
    struct sigaction action = {.sa_handler = on_stop_signal};

    CHECK(pipe2(stop_pipe, O_CLOEXEC | O_NONBLOCK) == 0);
    sigemptyset(&action.sa_mask);
    CHECK(sigaction(SIGINT, &action, NULL) == 0);
    CHECK(sigaction(SIGTERM, &action, NULL) == 0);
    session->stop_fd = stop_pipe[0];
}
