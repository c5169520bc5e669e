#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "wire/http2_int.h"
#include "wire/spare_int.h"

enum {
    /* Of what compresses our heads: they are few and alike. */
    DEFLATE_TABLE_BYTES = 1024,
    /* Acknowledgements that wait for a peer that doesn't read. */
    ACKS_MAX = 1000,
    /* A bound of nghttp2's own counts the reads of a frame's head, byte by
     * byte at worst; http2_calm.c counts the frames. */
    CONTINUATION_READS_MAX = FRAME_HEAD_BYTES * (CONTINUATIONS_MAX + 1),
};

/* ---- memory ---------------------------------------------------------------
 */

/* The sizes are small ones, bounded by our settings, so that to have none is
 * the end of the program and not of a connection. It has to be: of what can't
 * be put to its queue for want of memory, nghttp2 frees the same twice. */
static void *allocate(size_t size, void *user_data)
{
    (void)user_data;
    return spare__alloc(size);
}

static void release(void *memory, void *user_data)
{
    (void)user_data;
    spare__free(memory);
}

static void *allocate_zero(size_t count, size_t size, void *user_data)
{
    (void)user_data;
    CHECK(size == 0 || count <= SIZE_MAX / size);
    return memset(spare__alloc(count * size), 0, count * size);
}

static void *reallocate(void *old, size_t size, void *user_data)
{
    (void)user_data;
    return spare__realloc(old, size);
}

/* ---- what comes -----------------------------------------------------------
 */

static struct stream *find(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

static int on_begin_frame(nghttp2_session *session,
                          const nghttp2_frame_hd *frame, void *user_data)
{
    (void)session;
    calm__heard(user_data, frame);
    return 0;
}

/* Streams take turns: without this, one that has much to send would go first
 * to its end. */
static void share_turns(struct http2 *http2, int32_t id)
{
    const nghttp2_extpri turns = {
        .urgency = NGHTTP2_EXTPRI_DEFAULT_URGENCY,
        .inc = 1,
    };
    http2__note(http2, nghttp2_session_change_extpri_stream_priority(
                           http2->session, id, &turns, 1));
}

/* What follows of its head is decompressed and thrown away. */
static int refuse(nghttp2_session *session, struct http2 *http2, int32_t id,
                  uint32_t code)
{
    http2->in_head = false;
    int result =
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, code);
    return result ? NGHTTP2_ERR_CALLBACK_FAILURE
                  : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int on_begin_headers(nghttp2_session *session,
                            const nghttp2_frame *frame, void *user_data)
{
    struct http2 *http2 = user_data;
    http2->in_head = true;
    http2->head_at = http2__now(http2);
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    /* The peer is about to hear that we won't have seen it. */
    if (http2->stopping)
        return refuse(session, http2, frame->hd.stream_id,
                      NGHTTP2_REFUSED_STREAM);
    if (stream__new(http2, frame->hd.stream_id) == NULL)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    share_turns(http2, frame->hd.stream_id);
    return 0;
}

/* A request that isn't one (RFC 9113, section 8.1.1). */
static int refuse_malformed(nghttp2_session *session, struct http2 *http2,
                            int32_t id)
{
    return refuse(session, http2, id, NGHTTP2_PROTOCOL_ERROR);
}

/* Trailers of a request are nobody's. */
static int on_header(nghttp2_session *session, const nghttp2_frame *frame,
                     const uint8_t *name, size_t name_size,
                     const uint8_t *value, size_t value_size, uint8_t flags,
                     void *user_data)
{
    (void)flags;
    struct slice key = slice_of(name, name_size);
    struct slice text = slice_of(value, value_size);
    struct stream *stream = find(session, frame->hd.stream_id);
    bool good = frame->headers.cat == NGHTTP2_HCAT_REQUEST
                    ? stream == NULL || stream__add_header(stream, key, text)
                    : head__check_trailer(key, text);
    return good ? 0 : refuse_malformed(session, user_data, frame->hd.stream_id);
}

/* All of a body counts as received by the connection at once: one stream whose
 * owner is slow must not stop the others. Its own window is the owner's. */
static int on_data(nghttp2_session *session, uint8_t flags, int32_t id,
                   const uint8_t *bytes, size_t size, void *user_data)
{
    (void)flags;
    struct http2 *http2 = user_data;
    http2__note(http2, nghttp2_session_consume_connection(session, size));
    struct stream *stream = find(session, id);
    if (stream != NULL && size > 0)
        stream__take_body(stream, bytes, size);
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame,
                    void *user_data)
{
    struct http2 *http2 = user_data;
    bool is_last = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    struct stream *stream = NULL;
    switch (frame->hd.type) {
    case NGHTTP2_SETTINGS:
        http2->started = true;
        break;
    case NGHTTP2_PING:
        if (frame->hd.flags & NGHTTP2_FLAG_ACK)
            http2->asked = false;
        break;
    case NGHTTP2_HEADERS:
        http2->in_head = false;
        stream = find(session, frame->hd.stream_id);
        if (stream == NULL)
            break;
        if (frame->headers.cat == NGHTTP2_HCAT_REQUEST)
            stream__take_head(stream, is_last);
        else if (is_last)
            stream__take_end(stream);
        else
            stream__refuse_malformed(stream); /* trailers end a request */
        break;
    case NGHTTP2_DATA:
        if (frame->data.padlen > 0 && frame->hd.length == frame->data.padlen &&
            !is_last)
            calm__heard_padding(http2);
        stream = find(session, frame->hd.stream_id);
        if (stream != NULL && is_last)
            stream__take_end(stream);
        break;
    default:
        break;
    }
    return 0;
}

/* A head that was refused while it came. */
static int on_invalid_frame(nghttp2_session *session,
                            const nghttp2_frame *frame, int code,
                            void *user_data)
{
    (void)session;
    (void)code;
    struct http2 *http2 = user_data;
    if (frame->hd.type == NGHTTP2_HEADERS)
        http2->in_head = false;
    return 0;
}

/* ---- what goes ------------------------------------------------------------
 */

/* All is answered and the peer still sends: it needn't. */
static void stop_input(nghttp2_session *session, struct http2 *http2,
                       int32_t id)
{
    if (nghttp2_session_get_stream_remote_close(session, id) == 0)
        http2__note(http2, nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE,
                                                     id, NGHTTP2_NO_ERROR));
}

static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame,
                         void *user_data)
{
    bool has_end =
        frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS;
    calm__said(user_data, frame);
    if (has_end && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        stop_input(session, user_data, frame->hd.stream_id);
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code,
                    void *user_data)
{
    (void)code;
    (void)user_data;
    struct stream *stream = find(session, id);
    if (stream != NULL)
        stream__close(stream);
    return 0;
}

/* ---- the session ----------------------------------------------------------
 */

static void set_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks,
                                                          on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks,
                                                            on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks,
                                                              on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(
        callbacks, on_invalid_frame);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks,
                                                         on_frame_sent);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_session_callbacks_set_send_data_callback(callbacks,
                                                     stream__send_frame);
}

/* Resets are bounded by http2_calm.c, which has the connection's clock and
 * knows which of them were for nothing. */
static void set_options(nghttp2_option *option)
{
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_option_set_no_http_messaging(option, 1); /* http2_head.c */
    nghttp2_option_set_max_deflate_dynamic_table_size(option,
                                                      DEFLATE_TABLE_BYTES);
    nghttp2_option_set_max_outbound_ack(option, ACKS_MAX);
    nghttp2_option_set_max_continuations(option, CONTINUATION_READS_MAX);
    nghttp2_option_set_stream_reset_rate_limit(option, UINT32_MAX, UINT32_MAX);
}

static void make_session(struct http2 *http2)
{
    nghttp2_mem memory = {NULL, allocate, release, allocate_zero, reallocate};
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    CHECK_EQ(nghttp2_session_callbacks_new(&callbacks), 0);
    CHECK_EQ(nghttp2_option_new(&option), 0);
    set_callbacks(callbacks);
    set_options(option);
    CHECK_EQ(nghttp2_session_server_new3(&http2->session, callbacks, http2,
                                         option, &memory),
             0);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
}

void http2__open_session(struct http2 *http2)
{
    const struct http2_config *config = &http2->config;
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, config->streams_max},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,
         (uint32_t)config->head_bytes_max},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    make_session(http2);
    int result =
        nghttp2_submit_settings(http2->session, NGHTTP2_FLAG_NONE, settings,
                                sizeof settings / sizeof *settings);
    CHECK_EQ(result, 0);
    result = nghttp2_session_set_local_window_size(
        http2->session, NGHTTP2_FLAG_NONE, 0, HTTP2_WINDOW_BYTES);
    CHECK_EQ(result, 0);
}
