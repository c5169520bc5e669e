#include "wire/grpc_client.h"

#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"
#include "proto/v3_error.h"
#include "wire/grpc_client_int.h"

/* ---- a connection ------------------------------------------------------- */

static struct slice copy(struct slice text)
{
    return slice_of(mem_dup(text.at ? text.at : "", text.size), text.size);
}

struct grpc_client *grpc_client_new(const struct grpc_client_config *config)
{
    struct grpc_client *client = mem_alloc_zero(sizeof *client);
    CHECK(config->message_bytes_max > 0);
    client->config = *config;
    client->config.authority = copy(config->authority);
    client->config.user_agent = copy(config->user_agent);
    list_init(&client->calls);
    client__open_session(client);
    return client;
}

/* Nothing more will come: all that are open hear of it. */
static void end_calls(struct grpc_client *client)
{
    struct list *node;
    char text[ERR_NOTE_BYTES_MAX];
    client->over = true;
    if (client->words.size == 0)
        buf_append_str(&client->words, "the connection is closed");
    snprintf(text, sizeof text, "%.*s", (int)client->words.size,
             client->words.at);
    while ((node = list_first(&client->calls)) != NULL)
        client_call__end(CONTAINER_OF(node, struct grpc_call, link),
                         GRPC_UNAVAILABLE, slice_str(text), CALL_CLOSED);
}

void grpc_client_free(struct grpc_client *client)
{
    if (client == NULL)
        return;
    CHECK(!client->busy);
    client->busy = true;
    end_calls(client);
    nghttp2_session_del(client->session);
    buf_deinit(&client->out);
    buf_deinit(&client->words);
    mem_free((void *)(uintptr_t)client->config.authority.at);
    mem_free((void *)(uintptr_t)client->config.user_agent.at);
    mem_free(client);
}

static void say_output(struct grpc_client *client)
{
    if (!client->busy && !client->over && client->config.on_output != NULL)
        client->config.on_output(client->config.context);
}

/* Reads no more. What we have to say of it still goes out. */
static enum err finish_input(struct grpc_client *client)
{
    if (client->words.size == 0)
        buf_append_str(&client->words, "what came isn't HTTP/2");
    end_calls(client);
    return err_set(ERR_CLOSED, "%.*s", (int)client->words.size,
                   client->words.at);
}

/* Until there is enough for one write. */
static void gather(struct grpc_client *client)
{
    buf_consume(&client->out, client->out_at);
    client->out_at = 0;
    while (client->out.size < GRPC_CLIENT_OUT_BYTES) {
        const uint8_t *bytes;
        ssize_t size = nghttp2_session_mem_send(client->session, &bytes);
        if (size <= 0)
            return;
        buf_append(&client->out, bytes, (size_t)size);
    }
}

/* That a connection is over for what came, nghttp2 says only with its GOAWAY
 * on the way. */
enum err grpc_client_input(struct grpc_client *client, struct slice bytes)
{
    CHECK(!client->busy);
    if (client->over)
        return finish_input(client);
    client->busy = true;
    ssize_t used = nghttp2_session_mem_recv(
        client->session, (const uint8_t *)bytes.at, bytes.size);
    enum err err = ERR_OK;
    gather(client);
    if (used < 0 && client->words.size == 0)
        buf_append_str(&client->words, nghttp2_strerror((int)used));
    if (used < 0 || !nghttp2_session_want_read(client->session))
        err = finish_input(client);
    client->busy = false;
    return err;
}

size_t grpc_client_output(struct grpc_client *client, struct slice *out,
                          size_t max)
{
    CHECK(!client->busy);
    client->busy = true;
    if (client->out_at == client->out.size)
        gather(client);
    client->busy = false;
    if (max == 0 || client->out_at == client->out.size)
        return 0;
    *out = slice_of(client->out.at + client->out_at,
                    client->out.size - client->out_at);
    return 1;
}

void grpc_client_sent(struct grpc_client *client, size_t size)
{
    CHECK_LE(size, client->out.size - client->out_at);
    client->out_at += size;
}

bool grpc_client_is_leaving(const struct grpc_client *client)
{
    return client->over || client->away ||
           !nghttp2_session_check_request_allowed(client->session);
}

size_t grpc_client_calls(const struct grpc_client *client)
{
    return client->call_count;
}

void grpc_client_ping(struct grpc_client *client)
{
    if (client->over)
        return;
    CHECK_EQ(nghttp2_submit_ping(client->session, NGHTTP2_FLAG_NONE, NULL), 0);
    say_output(client);
}

uint64_t grpc_client_pongs(const struct grpc_client *client)
{
    return client->pongs;
}

enum { TIMEOUT_MAX = 99999999 }; /* grpc-timeout has eight digits */

/* ---- a call begins ------------------------------------------------------ */

struct head {
    nghttp2_nv at[8 + GRPC_CALL_METADATA_MAX];
    size_t count;
    char timeout[24];
};

static void add(struct head *head, struct slice name, struct slice value)
{
    CHECK_LT(head->count, sizeof head->at / sizeof *head->at);
    head->at[head->count++] = (nghttp2_nv){
        .name = (uint8_t *)(uintptr_t)name.at,
        .value = (uint8_t *)(uintptr_t)value.at,
        .namelen = name.size,
        .valuelen = value.size,
    };
}

/* At most eight digits, so that what is longer than a day goes in seconds. */
static void add_timeout(struct head *head, int64_t timeout_ms)
{
    bool is_long = timeout_ms > TIMEOUT_MAX;
    int64_t number = is_long ? timeout_ms / 1000 : timeout_ms;
    size_t size = u64_to_text(
        (uint64_t)(number < TIMEOUT_MAX ? number : TIMEOUT_MAX), head->timeout);
    head->timeout[size++] = is_long ? 'S' : 'm';
    add(head, SLICE("grpc-timeout"), slice_of(head->timeout, size));
}

static void fill_head(struct head *head, const struct grpc_client *client,
                      const struct grpc_call_config *config)
{
    add(head, SLICE(":method"), SLICE("POST"));
    add(head, SLICE(":scheme"), SLICE("http"));
    add(head, SLICE(":path"), config->path);
    add(head, SLICE(":authority"), client->config.authority);
    add(head, SLICE("content-type"), SLICE("application/grpc"));
    add(head, SLICE("te"), SLICE("trailers"));
    if (client->config.user_agent.size > 0)
        add(head, SLICE("user-agent"), client->config.user_agent);
    if (config->timeout_ms > 0)
        add_timeout(head, config->timeout_ms);
    for (size_t i = 0; i < config->metadata_count; i++)
        add(head, config->metadata[i].name, config->metadata[i].value);
}

struct grpc_call *grpc_call_new(struct grpc_client *client,
                                const struct grpc_call_config *config)
{
    struct head head = {.count = 0};
    nghttp2_data_provider provider = {.read_callback = client_call__read};
    CHECK_LE(config->metadata_count, GRPC_CALL_METADATA_MAX);
    CHECK(config->path.size > 0 && config->path.at[0] == '/');
    if (grpc_client_is_leaving(client))
        return NULL;
    struct grpc_call *call = mem_alloc_zero(sizeof *call);
    fill_head(&head, client, config);
    call->id = nghttp2_submit_request(client->session, NULL, head.at,
                                      head.count, &provider, call);
    if (call->id < 0) {
        mem_free(call);
        return NULL;
    }
    call->client = client;
    call->on_message = config->on_message;
    call->on_end = config->on_end;
    call->context = config->context;
    call->code = -1;
    call->reader.message_bytes_max = client->config.message_bytes_max;
    list_push_back(&client->calls, &call->link);
    client->call_count++;
    say_output(client);
    return call;
}

/* ---- what goes ---------------------------------------------------------- */

/* An error says only that nghttp2 wasn't waiting. */
static void resume(struct grpc_call *call)
{
    int result = nghttp2_session_resume_data(call->client->session, call->id);
    CHECK(result == 0 || result == NGHTTP2_ERR_INVALID_ARGUMENT);
    say_output(call->client);
}

void grpc_call_send(struct grpc_call *call, struct slice message, bool last)
{
    char prefix[GRPC_PREFIX_BYTES];
    CHECK(!call->last && !call->gone);
    if (call->out_at > 0 && call->out_at >= call->out.size / 2) {
        buf_consume(&call->out, call->out_at);
        call->out_at = 0;
    }
    grpc_prefix(prefix, message.size, false);
    buf_append(&call->out, prefix, sizeof prefix);
    buf_append_slice(&call->out, message);
    call->last = last;
    resume(call);
}

void grpc_call_half_close(struct grpc_call *call)
{
    CHECK(!call->gone);
    call->last = true;
    resume(call);
}

size_t grpc_call_unsent(const struct grpc_call *call)
{
    return call->out.size - call->out_at;
}

/* ---- a call ends -------------------------------------------------------- */

struct grpc_call *client__find(struct grpc_client *client, int32_t id)
{
    LIST_EACH (node, &client->calls) {
        struct grpc_call *call = CONTAINER_OF(node, struct grpc_call, link);
        if (call->id == id)
            return call;
    }
    return NULL;
}

static void release(struct grpc_call *call)
{
    grpc_reader_deinit(&call->reader);
    buf_deinit(&call->out);
    buf_deinit(&call->text);
    mem_free(call);
}

/* nghttp2 forgets it. */
static void detach(struct grpc_call *call, enum call_stream stream)
{
    struct grpc_client *client = call->client;
    list_remove(&call->link);
    CHECK_LT(0, client->call_count);
    client->call_count--;
    nghttp2_session_set_stream_user_data(client->session, call->id, NULL);
    if (stream == CALL_CLOSED || (stream == CALL_ANSWERED && call->all_sent))
        return;
    int result = nghttp2_submit_rst_stream(
        client->session, NGHTTP2_FLAG_NONE, call->id,
        stream == CALL_ANSWERED ? NGHTTP2_NO_ERROR : NGHTTP2_CANCEL);
    CHECK_EQ(result, 0);
}

void client_call__end(struct grpc_call *call, int code, struct slice text,
                      enum call_stream stream)
{
    CHECK(!call->gone && !call->calling);
    detach(call, stream);
    call->gone = true; /* to cancel it now would be the owner's mistake */
    if (call->on_end != NULL)
        call->on_end(call->context, code, text);
    release(call);
}

void grpc_call_cancel(struct grpc_call *call)
{
    struct grpc_client *client = call->client;
    CHECK(!call->gone);
    detach(call, CALL_OPEN);
    call->gone = true;
    if (!call->calling)
        release(call);
    say_output(client);
}

/* ---- what comes --------------------------------------------------------- */

/* Why a message can't be read. */
static void end_unreadable(struct grpc_call *call, enum err err)
{
    char text[ERR_NOTE_BYTES_MAX + 64];
    bool is_large = err == ERR_TOO_LARGE;
    snprintf(text, sizeof text, "%s%s%s",
             is_large ? "grpc: received message larger than max (" : "",
             err_note(), is_large ? ")" : "");
    client_call__end(call, is_large ? GRPC_RESOURCE_EXHAUSTED : GRPC_INTERNAL,
                     slice_str(text), CALL_OPEN);
}

void client_call__take(struct grpc_call *call, struct slice piece)
{
    struct slice message;
    enum err err = ERR_OK;
    /* The body of an answer that isn't gRPC's says nothing to us. */
    if (call->http_status != 200 || !call->is_grpc)
        return;
    call->calling = true;
    while (!call->gone && err == ERR_OK) {
        err = grpc_read(&call->reader, &piece, &message);
        if (err == ERR_OK && call->on_message != NULL)
            call->on_message(call->context, message);
    }
    call->calling = false;
    if (call->gone)
        release(call);
    else if (err != ERR_END)
        end_unreadable(call, err);
}

/* What the codes of HTTP mean to gRPC (http-grpc-status-mapping.md). */
static int code_of_http(int status)
{
    switch (status) {
    case 400:
        return GRPC_INTERNAL;
    case 401:
        return GRPC_UNAUTHENTICATED;
    case 403:
        return GRPC_PERMISSION_DENIED;
    case 404:
        return GRPC_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return GRPC_UNAVAILABLE;
    default:
        return GRPC_UNKNOWN;
    }
}

void client_call__finish(struct grpc_call *call)
{
    char text[96];
    if (call->code == GRPC_OK && !grpc_reader_is_idle(&call->reader)) {
        client_call__end(call, GRPC_INTERNAL, SLICE("the answer breaks off"),
                         CALL_ANSWERED);
        return;
    }
    if (call->code >= 0) {
        client_call__end(call, call->code, buf_slice(&call->text),
                         CALL_ANSWERED);
        return;
    }
    if (call->http_status != 200) {
        snprintf(text, sizeof text,
                 "unexpected HTTP status code received "
                 "from server: %d",
                 call->http_status);
        client_call__end(call, code_of_http(call->http_status), slice_str(text),
                         CALL_ANSWERED);
        return;
    }
    client_call__end(
        call, call->is_grpc ? GRPC_INTERNAL : GRPC_UNKNOWN,
        call->is_grpc
            ? SLICE("server closed the stream without sending trailers")
            : SLICE("the answer isn't gRPC's"),
        CALL_ANSWERED);
}
