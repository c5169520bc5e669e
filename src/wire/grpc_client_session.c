/* A client's session of nghttp2: its options, its memory, its callbacks. */
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"
#include "proto/v3_error.h"
#include "wire/grpc_client_int.h"

enum {
    /* Heads are few and alike. */
    DEFLATE_TABLE_BYTES = 4096,
    /* Acknowledgements that wait for a peer that doesn't read. */
    ACKS_MAX = 1000,
};

/* ---- memory ------------------------------------------------------------- */

static void *allocate(size_t size, void *user_data)
{
    (void)user_data;
    return mem_alloc(size);
}

static void release(void *memory, void *user_data)
{
    (void)user_data;
    mem_free(memory);
}

static void *allocate_zero(size_t count, size_t size, void *user_data)
{
    (void)user_data;
    CHECK(size == 0 || count <= SIZE_MAX / size);
    return mem_alloc_zero(count * size);
}

static void *reallocate(void *old, size_t size, void *user_data)
{
    (void)user_data;
    return mem_realloc(old, size);
}

/* ---- what comes --------------------------------------------------------- */

static struct grpc_call *find(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

/* A number of at most three digits; -1 if it isn't one. */
static int small_number(struct slice text)
{
    uint64_t number;
    if (text.size > 3 || !slice_to_u64(text, &number))
        return -1;
    return (int)number;
}

static void take_header(struct grpc_call *call, struct slice name,
                        struct slice value)
{
    if (slice_eq(name, SLICE(":status"))) {
        call->http_status = small_number(value);
    } else if (slice_eq(name, SLICE("content-type"))) {
        call->is_grpc = slice_has_prefix(value, SLICE("application/grpc"));
    } else if (slice_eq(name, SLICE("grpc-encoding"))) {
        call->reader.may_inflate = slice_eq(value, SLICE("gzip"));
    } else if (slice_eq(name, SLICE("grpc-status"))) {
        int code = small_number(value);
        call->code = code < 0 ? GRPC_UNKNOWN : code;
    } else if (slice_eq(name, SLICE("grpc-message"))) {
        buf_reset(&call->text);
        grpc_text_decode(&call->text, value);
    }
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame,
                     const uint8_t *name, size_t name_size,
                     const uint8_t *value, size_t value_size, uint8_t flags,
                     void *user_data)
{
    (void)flags;
    (void)user_data;
    struct grpc_call *call = find(session, frame->hd.stream_id);
    if (call != NULL)
        take_header(call, slice_of(name, name_size),
                    slice_of(value, value_size));
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id,
                   const uint8_t *bytes, size_t size, void *user_data)
{
    (void)flags;
    (void)user_data;
    struct grpc_call *call = find(session, id);
    if (call != NULL)
        client_call__take(call, slice_of(bytes, size));
    return 0;
}

static void take_goaway(struct grpc_client *client,
                        const nghttp2_goaway *goaway)
{
    client->away = true;
    buf_reset(&client->words);
    buf_printf(&client->words, "the server said GOAWAY (%s",
               nghttp2_http2_strerror(goaway->error_code));
    if (goaway->opaque_data_len > 0)
        buf_printf(&client->words, ": %.*s",
                   (int)(goaway->opaque_data_len < 200 ? goaway->opaque_data_len
                                                       : 200),
                   (const char *)goaway->opaque_data);
    buf_append_char(&client->words, ')');
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame,
                    void *user_data)
{
    struct grpc_client *client = user_data;
    bool is_last = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    bool has_end =
        frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (frame->hd.type == NGHTTP2_PING &&
        (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0)
        client->pongs++;
    if (frame->hd.type == NGHTTP2_GOAWAY)
        take_goaway(client, &frame->goaway);
    struct grpc_call *call =
        has_end && is_last ? find(session, frame->hd.stream_id) : NULL;
    if (call != NULL)
        client_call__finish(call);
    return 0;
}

/* What the codes of RST_STREAM mean to gRPC (PROTOCOL-HTTP2.md, "HTTP2
 * Transport Mapping"). */
static int code_of_reset(uint32_t code)
{
    switch (code) {
    case NGHTTP2_REFUSED_STREAM:
        return GRPC_UNAVAILABLE;
    case NGHTTP2_CANCEL:
        return GRPC_CANCELED;
    case NGHTTP2_ENHANCE_YOUR_CALM:
        return GRPC_RESOURCE_EXHAUSTED;
    case NGHTTP2_INADEQUATE_SECURITY:
        return GRPC_PERMISSION_DENIED;
    default:
        return GRPC_INTERNAL;
    }
}

/* A call that is still here wasn't ended by its answer. */
static int on_close(nghttp2_session *session, int32_t id, uint32_t code,
                    void *user_data)
{
    (void)user_data;
    struct grpc_call *call = find(session, id);
    char text[96];
    if (call == NULL)
        return 0;
    snprintf(text, sizeof text, "the stream was reset: %s",
             nghttp2_http2_strerror(code));
    client_call__end(call, code_of_reset(code), slice_str(text), CALL_CLOSED);
    return 0;
}

/* A request that waited for its turn and can't go any more: the peer has said
 * that it takes none. */
static int on_not_sent(nghttp2_session *session, const nghttp2_frame *frame,
                       int reason, void *user_data)
{
    (void)session;
    (void)reason;
    struct grpc_call *call = frame->hd.type == NGHTTP2_HEADERS
                                 ? client__find(user_data, frame->hd.stream_id)
                                 : NULL;
    if (call != NULL)
        client_call__end(call, GRPC_UNAVAILABLE,
                         SLICE("the connection takes no new calls"),
                         CALL_CLOSED);
    return 0;
}

/* ---- what goes ---------------------------------------------------------- */

ssize_t client_call__read(nghttp2_session *session, int32_t id, uint8_t *room,
                          size_t size, uint32_t *flags,
                          nghttp2_data_source *source, void *user_data)
{
    (void)source;
    (void)user_data;
    struct grpc_call *call = find(session, id);
    if (call == NULL)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    size_t here = call->out.size - call->out_at;
    size_t taken = here < size ? here : size;
    if (taken > 0)
        memcpy(room, call->out.at + call->out_at, taken);
    call->out_at += taken;
    if (taken == here) {
        buf_reset(&call->out);
        call->out_at = 0;
    }
    if (taken == here && call->last) {
        call->all_sent = true;
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        return (ssize_t)taken;
    }
    return taken > 0 ? (ssize_t)taken : NGHTTP2_ERR_DEFERRED;
}

/* ---- the session -------------------------------------------------------- */

static void make_session(struct grpc_client *client)
{
    nghttp2_mem memory = {NULL, allocate, release, allocate_zero, reallocate};
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    CHECK_EQ(nghttp2_session_callbacks_new(&callbacks), 0);
    CHECK_EQ(nghttp2_option_new(&option), 0);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks,
                                                              on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks,
                                                             on_not_sent);
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_option_set_max_deflate_dynamic_table_size(option,
                                                      DEFLATE_TABLE_BYTES);
    nghttp2_option_set_max_outbound_ack(option, ACKS_MAX);
    CHECK_EQ(nghttp2_session_client_new3(&client->session, callbacks, client,
                                         option, &memory),
             0);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
}

void client__open_session(struct grpc_client *client)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, GRPC_CLIENT_CALL_WINDOW_BYTES},
    };
    make_session(client);
    CHECK_EQ(nghttp2_submit_settings(client->session, NGHTTP2_FLAG_NONE,
                                     settings,
                                     sizeof settings / sizeof *settings),
             0);
    CHECK_EQ(nghttp2_session_set_local_window_size(client->session,
                                                   NGHTTP2_FLAG_NONE, 0,
                                                   GRPC_CLIENT_WINDOW_BYTES),
             0);
}
