/* One run of a v3 command: its client, its calls, what it says. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/version.h"
#include "cmd/etchctl/v3.h"
#include "cmd/etchctl/v3_environment.h"
#include "cmd/etchctl/v3_login.h"
#include "cmd/etchctl/v3_security.h"

extern char **environ;

/* ---- settings ----------------------------------------------------------- */

static int apply_environment(struct v3 *v3)
{
    static const char *const known[] = {"ETCDCTL_API", "ETCDCTL_WATCH_KEY",
                                        "ETCDCTL_WATCH_RANGE_END", NULL};
    bool is_watch = v3->command == &v3_command_watch;
    const char *const *mine =
        is_watch ? known : (const char *const[]){known[0], NULL};
    struct pflag_spec both[PFLAGS_MAX] = {0};
    struct buf warnings = {0};
    size_t count = 0;
    enum err err;

    for (size_t i = 0; v3_global_flags[i].name; i++)
        if (strcmp(v3_global_flags[i].name, "help") != 0)
            both[count++] = v3_global_flags[i];
    for (const struct pflag_spec *spec = v3->group ? v3->group->shared : NULL;
         spec && spec->name; spec++)
        both[count++] = *spec;
    err = v3_environment_apply(&v3->flags, both, environ, mine, &warnings);
    if (warnings.size)
        fwrite(warnings.at, 1, warnings.size, stderr);
    buf_deinit(&warnings);
    if (err != ERR_OK)
        fprintf(stderr, "%s\n", err_note());
    return err == ERR_OK ? V3_DONE : V3_ERROR;
}

static int check_discovery(struct v3 *v3)
{
    if (pflags_text(&v3->flags, "discovery-srv")[0])
        return v3_fail(v3, V3_BAD_ARGUMENTS,
                       "discovery by SRV records comes with a later version: "
                       "name the members with --endpoints");
    return V3_DONE;
}

static int settle_format(struct v3 *v3)
{
    static const char *const names[] = {"simple", "fields", "json", "protobuf",
                                        "table"};
    const char *text = pflags_text(&v3->flags, "write-out");

    v3->is_hex = pflags_bool(&v3->flags, "hex");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(text, names[i]) == 0) {
            v3->format = (enum v3_format)i;
            return V3_DONE;
        }
    }
    return v3_fail(v3, V3_BAD_FEATURE, "unsupported output format");
}

static void show_settings(const struct v3 *v3)
{
    for (size_t i = 0; v3_global_flags[i].name; i++)
        fprintf(stderr, "--%s=%s\n", v3_global_flags[i].name,
                pflags_text(&v3->flags, v3_global_flags[i].name));
}

int v3_settle(struct v3 *v3)
{
    int code = apply_environment(v3);

    if (code == V3_DONE && pflags_bool(&v3->flags, "debug"))
        show_settings(v3);
    if (code == V3_DONE)
        code = v3_check_security(v3);
    if (code == V3_DONE)
        code = check_discovery(v3);
    return code == V3_DONE ? settle_format(v3) : code;
}

/* ---- connecting --------------------------------------------------------- */

/* The parts of a list that aren't empty. */
static struct words split_list(struct arena *arena, const char *text)
{
    struct words out = {
        .at = arena_alloc(arena, (strlen(text) + 1) * sizeof(*out.at))};

    while (*text) {
        size_t size = strcspn(text, ",");
        if (size > 0)
            out.at[out.count++] = arena_printf(arena, "%.*s", (int)size, text);
        text += size + (text[size] == ',');
    }
    return out;
}

static int open_client(struct v3 *v3, struct words endpoints,
                       const char *prefix, struct rpc_client **out)
{
    const struct grpc_header version = {SLICE("client-api-version"),
                                        SLICE(ETCHED_API_VERSION)};
    int64_t keepalive_ms = pflags_number(&v3->flags, "keepalive-time");
    struct rpc_client_options options = {
        .endpoints = endpoints.at,
        .endpoint_count = endpoints.count,
        .tls = v3_security(v3, prefix),
        .dial_ms = pflags_number(&v3->flags, "dial-timeout"),
        .keepalive_ms =
            keepalive_ms > 0 && keepalive_ms < RPC_CLIENT_KEEPALIVE_MS_MIN
                ? RPC_CLIENT_KEEPALIVE_MS_MIN
                : keepalive_ms,
        .keepalive_timeout_ms = pflags_number(&v3->flags, "keepalive-timeout"),
        .user_agent = "etchctl/" ETCHED_VERSION,
        .metadata = &version,
        .metadata_count = 1,
        .stop_fd = v3->stop_fd,
    };

    if (endpoints.count == 0)
        return v3_fail(v3, V3_BAD_CONNECTION,
                       "etcdclient: no available endpoints");
    if (v3_check_files(v3, &options.tls) != V3_DONE)
        return V3_BAD_ARGUMENTS;
    if (rpc_client_open(&options, out) != ERR_OK)
        return v3_fail(v3, V3_BAD_ARGUMENTS, "%s", err_note());
    return V3_DONE;
}

static int connect_with(struct v3 *v3, struct words endpoints,
                        struct rpc_client **out)
{
    int code = open_client(v3, endpoints, "", out);

    return code == V3_DONE ? v3_login(v3, *out) : code;
}

int v3_connect(struct v3 *v3)
{
    int code = v3_settle(v3);

    if (code != V3_DONE)
        return code;
    return connect_with(
        v3, split_list(v3->arena, pflags_text(&v3->flags, "endpoints")),
        &v3->client);
}

int v3_connect_to(struct v3 *v3, const char *endpoint, struct rpc_client **out)
{
    return connect_with(v3, (struct words){&endpoint, 1}, out);
}

int v3_connect_away(struct v3 *v3, const char *endpoint,
                    struct rpc_client **out)
{
    int code = open_client(v3, (struct words){&endpoint, 1}, "dest-", out);

    v3->away = *out;
    return code;
}

void v3_close(struct v3 *v3)
{
    rpc_client_close(v3->client);
    v3->client = NULL;
}

/* The URLs that the members tell clients. */
static int ask_endpoints(struct v3 *v3, struct words *out)
{
    Etcdserverpb__MemberListRequest request =
        ETCDSERVERPB__MEMBER_LIST_REQUEST__INIT;
    const Etcdserverpb__MemberListResponse *answer;
    struct v3_call call = {
        .method = "Cluster/MemberList",
        .request = &request.base,
        .answer = &etcdserverpb__member_list_response__descriptor,
        .deadline_ms = v3_deadline(v3),
        .is_repeatable = true,
    };
    size_t count = 0;

    answer = v3_call(v3, &call);
    if (!answer)
        return v3_fail(v3, V3_ERROR,
                       "failed to fetch endpoints from etcd cluster member "
                       "list: %s",
                       v3->failure);
    for (size_t i = 0; i < answer->n_members; i++)
        count += answer->members[i]->n_clienturls;
    out->at = arena_alloc(v3->arena, (count + 1) * sizeof(*out->at));
    out->count = 0;
    for (size_t i = 0; i < answer->n_members; i++)
        for (size_t j = 0; j < answer->members[i]->n_clienturls; j++)
            out->at[out->count++] = answer->members[i]->clienturls[j];
    return V3_DONE;
}

int v3_endpoints(struct v3 *v3, struct words *out)
{
    const struct pflag *cluster = pflags_find(&v3->flags, "cluster");

    if (cluster && cluster->boolean)
        return ask_endpoints(v3, out);
    *out = split_list(v3->arena, pflags_text(&v3->flags, "endpoints"));
    return V3_DONE;
}

int64_t v3_deadline(const struct v3 *v3)
{
    int64_t timeout_ms = pflags_number(&v3->flags, "command-timeout");

    return rpc_client_now_ms() + (timeout_ms > 0 ? timeout_ms : 1);
}

/* ---- calls -------------------------------------------------------------- */

static const char *code_name(int code)
{
    static const char *const names[] = {
        "OK",
        "Canceled",
        "Unknown",
        "InvalidArgument",
        "DeadlineExceeded",
        "NotFound",
        "AlreadyExists",
        "PermissionDenied",
        "ResourceExhausted",
        "FailedPrecondition",
        "Aborted",
        "OutOfRange",
        "Unimplemented",
        "Internal",
        "Unavailable",
        "DataLoss",
        "Unauthenticated",
    };

    if (code < 0 || (size_t)code >= sizeof(names) / sizeof(names[0]))
        return "Unknown";
    return names[code];
}

/* etcd's own errors are shown by their texts, all others with their code. */
char *v3_failure(struct arena *arena, int code, struct slice text)
{
    bool is_known =
        (code == GRPC_DEADLINE_EXCEEDED &&
         slice_eq(text, SLICE("context deadline exceeded"))) ||
        (code == GRPC_CANCELED && slice_eq(text, SLICE("context canceled")));

    for (int i = 1; i < V3_ERROR_COUNT && !is_known; i++)
        is_known = slice_eq(text, slice_str(v3_error_text((enum v3_error)i)));
    if (is_known)
        return arena_printf(arena, "%.*s", (int)text.size, text.at);
    return arena_printf(arena, "rpc error: code = %s desc = %.*s",
                        code_name(code), (int)text.size,
                        text.at ? text.at : "");
}

/* What nobody sees from "context deadline exceeded". */
static void explain(const struct v3 *v3, const struct rpc_client *client,
                    int code)
{
    const char *why = rpc_client_failure(client);

    if (code == GRPC_DEADLINE_EXCEEDED && why[0])
        fprintf(stderr, "%s: %s\n", v3->program, why);
}

void *v3_call_on(struct v3 *v3, struct rpc_client *client,
                 const struct v3_call *call)
{
    ProtobufCMessage *message = NULL;
    struct rpc_answer answer = {0};
    struct buf body = {0};
    char *path = arena_printf(v3->arena, "/%s%s",
                              strchr(call->method, '.') ? "" : "etcdserverpb.",
                              call->method);
    struct rpc_request request = {
        .path = slice_str(path),
        .deadline_ms = call->deadline_ms,
        .is_repeatable = call->is_repeatable,
    };
    enum err err;

    message_encode(call->request, &body);
    request.message = buf_slice(&body);
    err = rpc_client_call(client, &request, &answer);
    if (err != ERR_OK && client != v3->away &&
        v3_login_is_over(v3, buf_slice(&answer.text)) &&
        v3_login_again(v3, client))
        err = rpc_client_call(client, &request, &answer);
    if (err == ERR_OK) {
        err = message_decode(call->answer, buf_slice(&answer.message),
                             v3->arena, &message);
        if (err != ERR_OK)
            v3->failure =
                v3_failure(v3->arena, GRPC_INTERNAL, slice_str(err_note()));
    } else {
        explain(v3, client, answer.code);
        v3->failure =
            v3_failure(v3->arena, answer.code, buf_slice(&answer.text));
    }
    buf_deinit(&body);
    rpc_answer_deinit(&answer);
    return message;
}

void *v3_call(struct v3 *v3, const struct v3_call *call)
{
    CHECK(v3->client);
    return v3_call_on(v3, v3->client, call);
}

/* ---- saying ------------------------------------------------------------- */

int v3_fail(const struct v3 *v3, enum v3_exit code, const char *format, ...)
{
    va_list args;

    (void)v3;
    fflush(stdout);
    fputs("Error: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return (int)code;
}

int v3_write(struct buf *text)
{
    bool good = true;

    if (text->size)
        good = fwrite(text->at, 1, text->size, stdout) == text->size;
    buf_deinit(text);
    *text = (struct buf){0};
    if (fflush(stdout) == 0 && good)
        return V3_DONE;
    fprintf(stderr, "Error: write to stdout: %s\n", strerror(errno));
    return V3_ERROR;
}

/* ---- words -------------------------------------------------------------- */

const char *v3_word(const struct v3 *v3, size_t at)
{
    return at < v3->words.count ? v3->words.at[at] : NULL;
}

struct slice v3_read_stdin(struct v3 *v3)
{
    struct buf all = {0};
    struct slice out = SLICE("");
    size_t got;

    do {
        buf_reserve(&all, 64 * 1024);
        got = fread(all.at + all.size, 1, 64 * 1024, stdin);
        all.size += got;
    } while (got > 0);
    if (all.size > 0)
        out = slice_of(arena_dup(v3->arena, all.at, all.size), all.size);
    buf_deinit(&all);
    return out;
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

void v3_catch_signals(struct v3 *v3)
{
    struct sigaction action = {.sa_handler = on_stop_signal};

    CHECK(pipe2(stop_pipe, O_CLOEXEC | O_NONBLOCK) == 0);
    sigemptyset(&action.sa_mask);
    CHECK(sigaction(SIGINT, &action, NULL) == 0);
    CHECK(sigaction(SIGTERM, &action, NULL) == 0);
    v3->stop_fd = stop_pipe[0];
}
