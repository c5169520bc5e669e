#include "host/rpc_client.h"

#include <errno.h>

#include "base/check.h"
#include "host/clock_posix.h"
#include "host/rpc_client_int.h"

int64_t rpc_client_now_ms(void)
{
    return clock_monotonic_ns(clock_posix()) / 1000000;
}

/* ---- open and close ----------------------------------------------------- */

static struct slice keep(struct arena *arena, struct slice text)
{
    return slice_of(arena_dup(arena, text.at ? text.at : "", text.size),
                    text.size);
}

void rpc_client_set_metadata(struct rpc_client *client,
                             const struct grpc_header *metadata, size_t count)
{
    struct arena *arena = &client->metadata_arena;
    arena_reset(arena);
    client->metadata =
        arena_alloc(arena, (count + 1) * sizeof *client->metadata);
    client->metadata_count = count;
    for (size_t i = 0; i < count; i++) {
        client->metadata[i].name = keep(arena, metadata[i].name);
        client->metadata[i].value = keep(arena, metadata[i].value);
    }
}

static void copy_options(struct rpc_client *client,
                         const struct rpc_client_options *options)
{
    struct arena *arena = &client->arena;
    client->connect = options->connect;
    client->connect_context = options->connect_context;
    client->dial_ms = options->dial_ms;
    client->keepalive_ms = options->keepalive_ms;
    client->keepalive_timeout_ms = options->keepalive_timeout_ms;
    client->message_bytes_max = options->message_bytes_max
                                    ? options->message_bytes_max
                                    : RPC_CLIENT_MESSAGE_BYTES_MAX;
    client->user_agent = keep(arena, slice_str(options->user_agent));
    rpc_client_set_metadata(client, options->metadata, options->metadata_count);
    client->stop_fd = options->stop_fd;
}

static enum err copy_endpoints(struct rpc_client *client,
                               const struct rpc_client_options *options)
{
    if (options->endpoint_count == 0)
        return err_set(ERR_INVALID, "no available endpoints");
    client->endpoint_count = options->endpoint_count;
    client->endpoints = arena_alloc(
        &client->arena, client->endpoint_count * sizeof *client->endpoints);
    for (size_t i = 0; i < client->endpoint_count; i++) {
        enum err err = rpc_client__parse_endpoint(
            &client->arena, options->endpoints[i], &client->endpoints[i]);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

enum err rpc_client_open(const struct rpc_client_options *options,
                         struct rpc_client **out)
{
    struct rpc_client *client = mem_alloc_zero(sizeof *client);
    *out = NULL;
    arena_init(&client->arena, 0);
    arena_init(&client->metadata_arena, 0);
    list_init(&client->streams);
    client->fd = -1;
    client->backoff_ms = RPC_BACKOFF_MS_MIN;
    copy_options(client, options);
    enum err err = copy_endpoints(client, options);
    if (err == ERR_OK)
        err = rpc_client__open_tls(client, &options->tls);
    if (err != ERR_OK) {
        rpc_client_close(client);
        return err;
    }
    *out = client;
    return ERR_OK;
}

void rpc_client_close(struct rpc_client *client)
{
    struct list *node;
    if (client == NULL)
        return;
    CHECK(!client->inside);
    while ((node = list_first(&client->streams)) != NULL)
        rpc_client__forget(CONTAINER_OF(node, struct rpc_stream, link));
    grpc_client_free(client->grpc);
    rpc_client__close_socket(client);
    tls_context_unref(client->tls_context);
    buf_deinit(&client->failure);
    arena_deinit(&client->metadata_arena);
    arena_deinit(&client->arena);
    mem_free(client);
}

bool rpc_client_is_connected(const struct rpc_client *client)
{
    return client->state == RPC_UP;
}

const char *rpc_client_endpoint(const struct rpc_client *client)
{
    return client->endpoints[client->at].text;
}

const char *rpc_client_failure(const struct rpc_client *client)
{
    return client->failure.size > 0 ? client->failure.at : "";
}

void rpc_client_set_stop_fd(struct rpc_client *client, int fd)
{
    client->stop_fd = fd;
}

/* ---- run ---------------------------------------------------------------- */

void rpc_client_wake(struct rpc_client *client)
{
    client->woken = true;
}

static int poll_ms(int64_t until_ms, int64_t now_ms)
{
    if (until_ms == INT64_MAX)
        return -1;
    if (until_ms <= now_ms)
        return 0;
    return until_ms - now_ms < INT32_MAX ? (int)(until_ms - now_ms) : INT32_MAX;
}

/* What has happened, as bits. */
enum { STEP_READABLE = 1, STEP_STOPPED = 2 };

/* Works and waits once: at the latest until then. `is_done`: whether callbacks
 * have made the wait pointless. */
static int step(struct rpc_client *client, int64_t until_ms, int fd,
                const bool *is_done)
{
    CHECK(!client->inside);
    client->inside = true;
    int64_t now_ms = rpc_client_now_ms();
    int64_t next_ms = rpc_client__advance(client, now_ms);
    if (*is_done)
        until_ms = now_ms;
    struct pollfd polls[] = {
        {.fd = client->fd, .events = rpc_client__wants(client)},
        {.fd = client->stop_fd, .events = POLLIN},
        {.fd = fd, .events = POLLIN},
    };
    int count = poll(
        polls, sizeof polls / sizeof *polls,
        poll_ms(next_ms < until_ms ? next_ms : until_ms, rpc_client_now_ms()));
    if (count > 0 && polls[0].fd >= 0)
        rpc_client__handle(client, polls[0].revents);
    client->inside = false;
    CHECK(count >= 0 || errno == EINTR);
    if (count <= 0)
        return 0;
    return (polls[1].revents != 0 ? STEP_STOPPED : 0) |
           (polls[2].revents != 0 ? STEP_READABLE : 0);
}

enum rpc_wake rpc_client_run(struct rpc_client *client, int64_t deadline_ms,
                             int fd)
{
    for (;;) {
        int events = step(client, deadline_ms, fd, &client->woken);
        if (client->woken) {
            client->woken = false;
            return RPC_WOKEN;
        }
        if (events & STEP_STOPPED)
            return RPC_STOPPED;
        if (events & STEP_READABLE)
            return RPC_READABLE;
        if (deadline_ms != INT64_MAX && rpc_client_now_ms() >= deadline_ms)
            return RPC_DEADLINE;
    }
}

/* ---- one out, one back -------------------------------------------------- */

void rpc_answer_deinit(struct rpc_answer *answer)
{
    buf_deinit(&answer->text);
    buf_deinit(&answer->message);
    *answer = (struct rpc_answer){0};
}

struct unary {
    struct rpc_answer *answer;
    size_t messages;
    bool done;
};

static void on_message(void *context, struct slice message)
{
    struct unary *unary = context;
    if (unary->messages++ == 0)
        buf_append_slice(&unary->answer->message, message);
}

static void set_answer(struct rpc_answer *answer, int code, struct slice text)
{
    answer->code = code;
    buf_reset(&answer->text);
    buf_append_slice(&answer->text, text);
}

static void on_end(void *context, int code, struct slice text)
{
    struct unary *unary = context;
    if (code == GRPC_OK && unary->messages != 1)
        set_answer(unary->answer, GRPC_INTERNAL,
                   SLICE("not one message in the answer"));
    else
        set_answer(unary->answer, code, text);
    unary->done = true;
}

static void call_once(struct rpc_client *client,
                      const struct rpc_request *request,
                      struct rpc_answer *answer)
{
    struct unary unary = {.answer = answer};
    struct rpc_stream_config config = {
        .path = request->path,
        .metadata = request->metadata,
        .metadata_count = request->metadata_count,
        .deadline_ms = request->deadline_ms,
        .on_message = on_message,
        .on_end = on_end,
        .context = &unary,
    };
    struct rpc_stream *stream = rpc_stream_open(client, &config);
    buf_reset(&answer->message);
    rpc_stream_send(stream, request->message, true);
    while (!unary.done) {
        int events = step(client, INT64_MAX, -1, &unary.done);
        if (!unary.done && (events & STEP_STOPPED)) {
            rpc_stream_cancel(stream);
            set_answer(answer, GRPC_CANCELED, SLICE("context canceled"));
            return;
        }
    }
}

/* A pause before the next attempt, which goes to another endpoint where this
 * one only serves us. False: no time is left. */
static bool pause_before_retry(struct rpc_client *client,
                               const struct rpc_request *request)
{
    const bool no = false;
    int64_t until_ms = rpc_client_now_ms() + RPC_CLIENT_RETRY_MS;
    if (request->deadline_ms > 0 && until_ms >= request->deadline_ms)
        return false;
    if (client->state == RPC_UP && client->endpoint_count > 1 &&
        list_is_empty(&client->streams))
        rpc_client__drop(client, "unavailable");
    while (rpc_client_now_ms() < until_ms)
        if (step(client, until_ms, -1, &no) & STEP_STOPPED)
            return true; /* the next attempt says so */
    return true;
}

static enum err err_of_code(int code)
{
    switch (code) {
    case GRPC_OK:
        return ERR_OK;
    case GRPC_CANCELED:
        return ERR_STOPPED;
    case GRPC_DEADLINE_EXCEEDED:
        return ERR_TIMEOUT;
    case GRPC_NOT_FOUND:
        return ERR_NOT_FOUND;
    case GRPC_ALREADY_EXISTS:
        return ERR_EXISTS;
    case GRPC_PERMISSION_DENIED:
    case GRPC_UNAUTHENTICATED:
        return ERR_PERMISSION;
    case GRPC_RESOURCE_EXHAUSTED:
        return ERR_FULL;
    case GRPC_UNIMPLEMENTED:
        return ERR_UNSUPPORTED;
    case GRPC_UNAVAILABLE:
        return ERR_CLOSED;
    case GRPC_DATA_LOSS:
        return ERR_CORRUPT;
    default:
        return ERR_INVALID;
    }
}

enum err rpc_client_call(struct rpc_client *client,
                         const struct rpc_request *request,
                         struct rpc_answer *answer)
{
    for (int attempt = 1;; attempt++) {
        call_once(client, request, answer);
        if (answer->code != GRPC_UNAVAILABLE || !request->is_repeatable ||
            attempt == RPC_CLIENT_ATTEMPTS_MAX ||
            !pause_before_retry(client, request))
            break;
    }
    if (answer->code == GRPC_OK)
        return ERR_OK;
    return err_set(err_of_code(answer->code), "%.*s", (int)answer->text.size,
                   answer->text.at ? answer->text.at : "");
}
