#include "http2_harness.h"

#include <stdio.h>
#include <stdlib.h>

enum { LARGE_WINDOW_BYTES = 64 * 1024 * 1024 };

static struct h2_peer *peer_of(struct http_server *server)
{
    return (struct h2_peer *)server;
}

/* ---- the api ------------------------------------------------------------ */

static void write_down(struct h2_peer *peer, const struct http_request *request)
{
    struct buf *seen = &peer->seen;
    buf_append_slice(seen, request->method_text);
    buf_append_char(seen, ' ');
    buf_append_slice(seen, request->path);
    buf_append_str(seen, " ?");
    buf_append_slice(seen, request->query);
    for (size_t i = 0; i < request->header_count; i++) {
        buf_append_str(seen, " [");
        buf_append_slice(seen, request->headers[i].name);
        buf_append_char(seen, '=');
        buf_append_slice(seen, request->headers[i].value);
        buf_append_char(seen, ']');
    }
    buf_append_str(seen, " <");
    buf_append_slice(seen, request->body);
    buf_append_str(seen, ">\n");
}

static void forget(struct h2_peer *peer, struct http_exchange *exchange)
{
    for (int i = 0; i < peer->held_count; i++) {
        if (peer->held[i] != exchange)
            continue;
        peer->held[i] = peer->held[--peer->held_count];
        return;
    }
    fail_msg("gone, but not held");
}

static void on_gone(struct http_exchange *exchange)
{
    struct h2_peer *peer = exchange->context;
    forget(peer, exchange);
    peer->gone++;
    if (peer->ends_when_gone) {
        http_send(exchange, SLICE("bye"));
        http_end(exchange);
    }
}

static void on_drained(struct http_exchange *exchange)
{
    struct h2_peer *peer = exchange->context;
    peer->drained++;
}

struct made {
    struct h2_peer *peer;
    size_t pieces_left, piece_bytes;
    bool fails;
};

static enum http_more produce(struct http_exchange *exchange, void *context,
                              struct buf *out)
{
    struct made *made = context;
    made->peer->produced++;
    assert_true(made->pieces_left > 0);
    made->pieces_left--;
    if (made->pieces_left == 0 && made->fails) {
        http_fail(exchange);
        return HTTP_LAST;
    }
    if (made->piece_bytes)
        memset(buf_extend(out, made->piece_bytes),
               'a' + (int)(made->pieces_left % 26), made->piece_bytes);
    return made->pieces_left ? HTTP_MORE : HTTP_LAST;
}

void h2_make(struct h2_peer *peer, struct http_exchange *exchange,
             size_t pieces, size_t bytes, bool fails)
{
    struct made *made = arena_alloc(exchange->arena, sizeof *made);
    *made = (struct made){peer, pieces, bytes, fails};
    http_produce_body(exchange, produce, made);
}

static void path_text(const struct http_exchange *exchange, char *out,
                      size_t size)
{
    struct slice path = exchange->request.path;
    assert_true(path.size < size);
    memcpy(out, path.at, path.size);
    out[path.size] = '\0';
}

static void make(struct h2_peer *peer, struct http_exchange *exchange)
{
    char path[64];
    path_text(exchange, path, sizeof path);
    char *end = NULL;
    size_t pieces = strtoul(path + strlen("/make/"), &end, 10);
    size_t bytes = strtoul(end + 1, &end, 10);
    http_begin(exchange, 200, NULL, 0);
    h2_make(peer, exchange, pieces, bytes, strcmp(end, "/fail") == 0);
}

static void respond_size(struct http_exchange *exchange)
{
    struct buf text = {0};
    buf_append_u64(&text, exchange->request.body.size);
    http_respond(exchange, 200, NULL, 0, buf_slice(&text));
    buf_deinit(&text);
}

static void respond_big(struct http_exchange *exchange)
{
    char path[64];
    path_text(exchange, path, sizeof path);
    size_t size = strtoul(path + strlen("/big/"), NULL, 10);
    struct buf text = {0};
    memset(buf_extend(&text, size), 'b', size);
    http_respond(exchange, 200, NULL, 0, buf_slice(&text));
    buf_deinit(&text);
}

static bool path_is(const struct http_exchange *exchange, const char *prefix)
{
    return slice_has_prefix(exchange->request.path, slice_str(prefix));
}

static void hold(struct h2_peer *peer, struct http_exchange *exchange)
{
    assert_true(peer->held_count < H2_HELD_MAX);
    peer->held[peer->held_count++] = exchange;
    if (!path_is(exchange, "/hold"))
        exchange->on_gone = on_gone;
    if (path_is(exchange, "/watch"))
        http_begin(exchange, 200, NULL, 0);
}

static void on_request(struct http_server *server,
                       struct http_exchange *exchange)
{
    struct h2_peer *peer = peer_of(server);
    size_t before = peer->seen.size;
    peer->requests++;
    assert_null(exchange->context);
    write_down(peer, &exchange->request);
    exchange->context = peer;
    exchange->on_drained = on_drained;
    if (path_is(exchange, "/make/"))
        make(peer, exchange);
    else if (path_is(exchange, "/empty"))
        http_respond(exchange, 204, NULL, 0, SLICE("never seen"));
    else if (path_is(exchange, "/size"))
        respond_size(exchange);
    else if (path_is(exchange, "/big/"))
        respond_big(exchange);
    else if (path_is(exchange, "/hold") || path_is(exchange, "/minded") ||
             path_is(exchange, "/watch"))
        hold(peer, exchange);
    else
        http_respond(
            exchange, 200, NULL, 0,
            slice_of(peer->seen.at + before, peer->seen.size - before));
}

/* ---- the taker ---------------------------------------------------------- */

static struct h2_peer *peer_of_streaming(struct http2_streaming *streaming)
{
    return (struct h2_peer *)(void *)((char *)streaming -
                                      offsetof(struct h2_peer, streaming));
}

static void on_taken_gone(struct http_exchange *exchange)
{
    struct h2_peer *peer = exchange->context;
    assert_ptr_equal(peer->taken, exchange);
    peer->taken = NULL;
    peer->gone++;
    buf_append_str(&peer->seen, "gone\n");
}

static bool on_head(struct http2_streaming *streaming,
                    struct http_exchange *exchange)
{
    struct h2_peer *peer = peer_of_streaming(streaming);
    assert_int_equal(exchange->request.body.size, 0);
    if (!path_is(exchange, "/take") || path_is(exchange, "/take-not"))
        return false;
    write_down(peer, &exchange->request);
    exchange->context = peer;
    if (path_is(exchange, "/take-refused")) {
        const struct http_header headers[] = {
            {SLICE("grpc-status"), SLICE("12")},
        };
        http2_respond_head(exchange, 200, headers, 1);
        return true;
    }
    exchange->on_gone = on_taken_gone;
    exchange->on_drained = on_drained;
    peer->taken = exchange;
    return true;
}

static void on_data(struct http2_streaming *streaming,
                    struct http_exchange *exchange, struct slice piece)
{
    struct h2_peer *peer = peer_of_streaming(streaming);
    assert_ptr_equal(peer->taken, exchange);
    assert_true(piece.size > 0);
    if (piece.size < 100) {
        buf_append_str(&peer->seen, "data ");
        buf_append_slice(&peer->seen, piece);
        buf_append_char(&peer->seen, '\n');
    }
    if (peer->consumes)
        http2_consume(exchange, piece.size);
}

static void on_end(struct http2_streaming *streaming,
                   struct http_exchange *exchange)
{
    struct h2_peer *peer = peer_of_streaming(streaming);
    assert_ptr_equal(peer->taken, exchange);
    buf_append_str(&peer->seen, "end\n");
}

/* ---- the client ----------------------------------------------------------
 */

struct h2_answer *h2_answer_of(struct h2_peer *peer, int32_t id)
{
    assert_true(id > 0 && id < H2_STREAMS_MAX);
    return &peer->answers[id];
}

static int client_header(nghttp2_session *session, const nghttp2_frame *frame,
                         const uint8_t *name, size_t name_size,
                         const uint8_t *value, size_t value_size, uint8_t flags,
                         void *user_data)
{
    (void)session;
    (void)flags;
    struct h2_answer *answer = h2_answer_of(user_data, frame->hd.stream_id);
    if (slice_eq(slice_of(name, name_size), SLICE(":status"))) {
        uint64_t status = 0;
        assert_true(slice_to_u64(slice_of(value, value_size), &status));
        answer->status = (int)status;
        return 0;
    }
    struct buf *out = frame->headers.cat == NGHTTP2_HCAT_HEADERS &&
                              answer->status >= 200 && answer->heads > 0
                          ? &answer->trailers
                          : &answer->headers;
    buf_append(out, name, name_size);
    buf_append_char(out, '=');
    buf_append(out, value, value_size);
    buf_append_char(out, '\n');
    return 0;
}

static int client_data(nghttp2_session *session, uint8_t flags, int32_t id,
                       const uint8_t *bytes, size_t size, void *user_data)
{
    (void)flags;
    struct h2_peer *peer = user_data;
    buf_append(&h2_answer_of(peer, id)->body, bytes, size);
    if (peer->reads)
        nghttp2_session_consume(session, id, size);
    return 0;
}

static void note_away(struct h2_peer *peer, const nghttp2_goaway *goaway)
{
    peer->went_away = true;
    peer->away_code = goaway->error_code;
    peer->away_last = goaway->last_stream_id;
    buf_reset(&peer->away_words);
    buf_append(&peer->away_words, goaway->opaque_data, goaway->opaque_data_len);
}

static void note_settings(struct h2_peer *peer,
                          const nghttp2_settings *settings)
{
    for (size_t i = 0; i < settings->niv; i++) {
        if (settings->iv[i].settings_id < 16)
            peer->settings[settings->iv[i].settings_id] = settings->iv[i].value;
    }
}

static int client_frame(nghttp2_session *session, const nghttp2_frame *frame,
                        void *user_data)
{
    (void)session;
    struct h2_peer *peer = user_data;
    bool is_ack = (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        h2_answer_of(peer, frame->hd.stream_id)->heads++;
        break;
    case NGHTTP2_DATA:
        peer->data_frames++;
        break;
    case NGHTTP2_GOAWAY:
        note_away(peer, &frame->goaway);
        break;
    case NGHTTP2_PING:
        if (is_ack)
            peer->pongs++;
        else
            peer->pings++;
        break;
    case NGHTTP2_RST_STREAM:
        peer->resets++;
        break;
    case NGHTTP2_WINDOW_UPDATE:
        peer->window_updates++;
        break;
    case NGHTTP2_SETTINGS:
        note_settings(peer, &frame->settings);
        break;
    default:
        break;
    }
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) && frame->hd.stream_id)
        h2_answer_of(peer, frame->hd.stream_id)->ended = true;
    return 0;
}

static int client_close(nghttp2_session *session, int32_t id, uint32_t code,
                        void *user_data)
{
    (void)session;
    struct h2_answer *answer = h2_answer_of(user_data, id);
    answer->closed = true;
    answer->code = code;
    return 0;
}

static int client_invalid(nghttp2_session *session, const nghttp2_frame *frame,
                          int code, void *user_data)
{
    (void)session;
    (void)user_data;
    fail_msg("the client finds a frame of type %d bad: %s", frame->hd.type,
             nghttp2_strerror(code));
    return 0;
}

static ssize_t client_upload(nghttp2_session *session, int32_t id,
                             uint8_t *room, size_t size, uint32_t *flags,
                             nghttp2_data_source *source, void *user_data)
{
    (void)session;
    (void)id;
    (void)source;
    struct h2_peer *peer = user_data;
    size_t left = peer->upload.size - peer->upload_at;
    if (left == 0 && !peer->upload_ends)
        return NGHTTP2_ERR_DEFERRED;
    if (size > left)
        size = left;
    if (size)
        memcpy(room, peer->upload.at + peer->upload_at, size);
    peer->upload_at += size;
    if (peer->upload_at == peer->upload.size && peer->upload_ends)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)size;
}

static ssize_t client_body(nghttp2_session *session, int32_t id, uint8_t *room,
                           size_t size, uint32_t *flags,
                           nghttp2_data_source *source, void *user_data)
{
    (void)session;
    (void)id;
    (void)user_data;
    struct slice *body = source->ptr;
    if (size >= body->size) {
        size = body->size;
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    }
    if (size)
        memcpy(room, body->at, size);
    body->at += size;
    body->size -= size;
    return (ssize_t)size;
}

static void start_client(struct h2_peer *peer)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    assert_int_equal(nghttp2_session_callbacks_new(&callbacks), 0);
    assert_int_equal(nghttp2_option_new(&option), 0);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, client_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks,
                                                              client_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks,
                                                         client_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks,
                                                           client_close);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(
        callbacks, client_invalid);
    nghttp2_option_set_no_auto_window_update(option, 1);
    assert_int_equal(
        nghttp2_session_client_new2(&peer->client, callbacks, peer, option), 0);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    const nghttp2_settings_entry large = {
        NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,
        LARGE_WINDOW_BYTES,
    };
    bool is_large = peer->has_large_windows;
    assert_int_equal(nghttp2_submit_settings(peer->client, NGHTTP2_FLAG_NONE,
                                             is_large ? &large : NULL,
                                             is_large ? 1 : 0),
                     0);
    if (is_large)
        nghttp2_session_set_local_window_size(peer->client, NGHTTP2_FLAG_NONE,
                                              0, LARGE_WINDOW_BYTES);
}

/* ---- life ---------------------------------------------------------------
 */

static void on_output(void *context)
{
    struct h2_peer *peer = context;
    peer->outputs++;
}

void h2_init(struct h2_peer *peer)
{
    *peer = (struct h2_peer){
        .server = {on_request},
        .streaming = {on_head, on_data, on_end},
        .now_ms = 1000,
        .reads = true,
        .consumes = true,
    };
    peer->config = (struct http2_config){
        .streams_max = 100,
        .head_bytes_max = 4096,
        .header_count_max = 20,
        .body_bytes_max = 1000 * 1000,
        .idle_ms = 60 * 1000,
        .head_ms = 1000,
        .body_ms = 5000,
        .stall_ms = 3000,
        .on_output = on_output,
    };
    peer->answers = mem_alloc_zero(H2_STREAMS_MAX * sizeof *peer->answers);
    h2_connect(peer);
}

static void disconnect(struct h2_peer *peer)
{
    http2_free(peer->http2);
    peer->http2 = NULL;
    nghttp2_session_del(peer->client);
    peer->client = NULL;
    for (size_t i = 0; i < H2_STREAMS_MAX; i++) {
        buf_deinit(&peer->answers[i].headers);
        buf_deinit(&peer->answers[i].trailers);
        buf_deinit(&peer->answers[i].body);
        peer->answers[i] = (struct h2_answer){0};
    }
    buf_reset(&peer->raw);
    buf_reset(&peer->seen);
    buf_reset(&peer->upload);
    peer->upload_at = 0;
    peer->upload_ends = false;
    peer->held_count = 0;
    peer->went_away = false;
    peer->pongs = peer->resets = peer->window_updates = peer->pings = 0;
    peer->gone = peer->requests = peer->drained = 0;
    peer->data_frames = 0;
}

static void connect_server(struct h2_peer *peer)
{
    disconnect(peer);
    peer->config.server = &peer->server;
    peer->config.streaming = &peer->streaming;
    peer->config.date = &peer->date;
    peer->config.context = peer;
    peer->http2 =
        http2_new(&peer->config, SLICE("127.0.0.1:4711"), peer->now_ms);
}

void h2_connect(struct h2_peer *peer)
{
    connect_server(peer);
    start_client(peer);
    h2_run(peer);
}

void h2_connect_raw(struct h2_peer *peer)
{
    connect_server(peer);
    struct buf start = {0};
    buf_append_str(&start, NGHTTP2_CLIENT_MAGIC);
    h2_frame(&start, NGHTTP2_SETTINGS, 0, 0, SLICE(""));
    h2_frame(&start, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, SLICE(""));
    h2_say(peer, &start);
    buf_deinit(&start);
    h2_run_out(peer, SIZE_MAX);
    buf_reset(&peer->raw);
}

void h2_deinit(struct h2_peer *peer)
{
    disconnect(peer);
    mem_free(peer->answers);
    buf_deinit(&peer->raw);
    buf_deinit(&peer->seen);
    buf_deinit(&peer->upload);
    buf_deinit(&peer->away_words);
}

/* ---- requests -----------------------------------------------------------
 */

static nghttp2_nv nv_of(const char *name, const char *value)
{
    return (nghttp2_nv){
        .name = (uint8_t *)(uintptr_t)name,
        .value = (uint8_t *)(uintptr_t)value,
        .namelen = strlen(name),
        .valuelen = strlen(value),
    };
}

static size_t common_headers(nghttp2_nv *nv, const char *method,
                             const char *path)
{
    nv[0] = nv_of(":method", method);
    nv[1] = nv_of(":scheme", "http");
    nv[2] = nv_of(":authority", "h");
    nv[3] = nv_of(":path", path);
    return 4;
}

int32_t h2_ask(struct h2_peer *peer, const char *method, const char *path,
               const char *body, ...)
{
    nghttp2_nv nv[64];
    size_t count = common_headers(nv, method, path);
    va_list more;
    va_start(more, body);
    for (const char *name; (name = va_arg(more, const char *)) != NULL;) {
        assert_true(count < 64);
        nv[count++] = nv_of(name, va_arg(more, const char *));
    }
    va_end(more);
    struct slice left = slice_str(body ? body : "");
    nghttp2_data_provider provider = {.source.ptr = &left,
                                      .read_callback = client_body};
    int32_t id = nghttp2_submit_request(peer->client, NULL, nv, count,
                                        body ? &provider : NULL, NULL);
    assert_true(id > 0);
    h2_run_in(peer);
    return id;
}

int32_t h2_get(struct h2_peer *peer, const char *path)
{
    return h2_ask(peer, "GET", path, NULL, (char *)NULL);
}

int32_t h2_open(struct h2_peer *peer, const char *path)
{
    nghttp2_nv nv[4];
    size_t count = common_headers(nv, "POST", path);
    buf_reset(&peer->upload);
    peer->upload_at = 0;
    peer->upload_ends = false;
    nghttp2_data_provider provider = {.read_callback = client_upload};
    int32_t id =
        nghttp2_submit_request(peer->client, NULL, nv, count, &provider, NULL);
    assert_true(id > 0);
    h2_run_in(peer);
    return id;
}

void h2_upload(struct h2_peer *peer, int32_t id, const char *piece, bool ends)
{
    buf_append_str(&peer->upload, piece);
    peer->upload_ends = ends;
    nghttp2_session_resume_data(peer->client, id);
    h2_run_in(peer);
}

void h2_cancel(struct h2_peer *peer, int32_t id)
{
    assert_int_equal(nghttp2_submit_rst_stream(peer->client, NGHTTP2_FLAG_NONE,
                                               id, NGHTTP2_CANCEL),
                     0);
    h2_run_in(peer);
}

void h2_ping(struct h2_peer *peer)
{
    assert_int_equal(nghttp2_submit_ping(peer->client, NGHTTP2_FLAG_NONE, NULL),
                     0);
    h2_run_in(peer);
}

void h2_consume_all(struct h2_peer *peer, int32_t id, size_t size)
{
    nghttp2_session_consume(peer->client, id, size);
    h2_run_in(peer);
}

/* ---- bytes --------------------------------------------------------------
 */

/* From memory of its exact size that is gone afterwards, as a socket's is. */
void h2_input(struct h2_peer *peer, struct slice bytes)
{
    char *copy = mem_dup(bytes.at, bytes.size);
    http2_input(peer->http2, slice_of(copy, bytes.size), peer->now_ms);
    if (bytes.size)
        memset(copy, '#', bytes.size);
    mem_free(copy);
}

void h2_run_in(struct h2_peer *peer)
{
    for (;;) {
        const uint8_t *bytes;
        ssize_t size = nghttp2_session_mem_send(peer->client, &bytes);
        assert_true(size >= 0);
        if (size == 0)
            return;
        h2_input(peer, slice_of(bytes, (size_t)size));
    }
}

static void hear(struct h2_peer *peer, struct slice bytes)
{
    if (peer->client == NULL) {
        buf_append_slice(&peer->raw, bytes);
        return;
    }
    ssize_t used = nghttp2_session_mem_recv(
        peer->client, (const uint8_t *)bytes.at, bytes.size);
    assert_int_equal(used, bytes.size);
}

size_t h2_run_out(struct h2_peer *peer, size_t max)
{
    size_t taken = 0;
    while (taken < max) {
        struct slice slices[3];
        size_t count = http2_output(peer->http2, slices, 3);
        size_t size = 0;
        for (size_t i = 0; i < count && taken + size < max; i++) {
            assert_true(slices[i].size > 0);
            if (slices[i].size > max - taken - size)
                slices[i].size = max - taken - size;
            hear(peer, slices[i]);
            size += slices[i].size;
        }
        if (size == 0)
            break;
        http2_sent(peer->http2, size, peer->now_ms);
        taken += size;
    }
    return taken;
}

void h2_run(struct h2_peer *peer)
{
    do {
        if (peer->client != NULL)
            h2_run_in(peer);
    } while (h2_run_out(peer, SIZE_MAX) > 0);
}

/* ---- what came ----------------------------------------------------------
 */

void h2_expect(struct h2_peer *peer, int32_t id, int status, const char *body)
{
    h2_run(peer);
    struct h2_answer *answer = h2_answer_of(peer, id);
    assert_int_equal(answer->status, status);
    buf_append_char(&answer->body, '\0');
    assert_string_equal(answer->body.at, body);
    answer->body.size--;
    assert_true(answer->ended);
}

void h2_expect_reset(struct h2_peer *peer, int32_t id, uint32_t code)
{
    h2_run(peer);
    struct h2_answer *answer = h2_answer_of(peer, id);
    assert_true(answer->closed);
    assert_int_equal(answer->code, code);
}

static void compare(struct buf *buf, const char *text)
{
    buf_append_char(buf, '\0');
    assert_string_equal(buf->at, text);
    buf_reset(buf);
}

void h2_expect_away(struct h2_peer *peer, uint32_t code, const char *words)
{
    h2_run_out(peer, SIZE_MAX);
    assert_true(peer->went_away);
    assert_int_equal(peer->away_code, code);
    compare(&peer->away_words, words);
}

void h2_expect_seen(struct h2_peer *peer, const char *text)
{
    compare(&peer->seen, text);
}

const char *h2_value(const struct buf *headers, const char *name, char *out,
                     size_t size)
{
    size_t name_size = strlen(name);
    size_t at = 0;
    out[0] = '\0';
    while (at < headers->size) {
        struct slice rest = slice_of(headers->at + at, headers->size - at);
        size_t line = (size_t)slice_find(rest, '\n');
        if (line > name_size && rest.at[name_size] == '=' &&
            memcmp(rest.at, name, name_size) == 0) {
            size_t value = line - name_size - 1;
            assert_true(value < size);
            memcpy(out, rest.at + name_size + 1, value);
            out[value] = '\0';
        }
        at += line + 1;
    }
    return out;
}

struct http_exchange *h2_held(struct h2_peer *peer)
{
    assert_true(peer->held_count > 0);
    return peer->held[peer->held_count - 1];
}

bool h2_is_finished(const struct h2_peer *peer)
{
    return http2_is_finished(peer->http2);
}

void h2_pass(struct h2_peer *peer, int64_t ms)
{
    int64_t end = peer->now_ms + ms;
    for (;;) {
        int64_t deadline = http2_deadline_ms(peer->http2);
        if (deadline > end)
            break;
        if (deadline > peer->now_ms)
            peer->now_ms = deadline;
        http2_timeout(peer->http2, peer->now_ms);
        assert_true(http2_deadline_ms(peer->http2) > peer->now_ms);
    }
    peer->now_ms = end;
}

/* ---- by hand ------------------------------------------------------------
 */

void h2_frame(struct buf *out, uint8_t type, uint8_t flags, uint32_t id,
              struct slice payload)
{
    char head[9];
    put_be32(head, (uint32_t)(payload.size << 8) | type);
    head[4] = (char)flags;
    put_be32(head + 5, id);
    buf_append(out, head, sizeof head);
    buf_append_slice(out, payload);
}

static void put_text(struct buf *out, const char *text)
{
    size_t size = strlen(text);
    assert_true(size < 127 + 16384);
    if (size < 127) {
        buf_append_char(out, (char)size);
    } else {
        buf_append_char(out, 127);
        size_t rest = size - 127;
        buf_append_char(out, (char)((rest & 127) | 128));
        buf_append_char(out, (char)(rest >> 7));
    }
    buf_append_str(out, text);
}

void h2_head(struct buf *out, const char *const *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buf_append_char(out, 0x10);
        put_text(out, pairs[2 * i]);
        put_text(out, pairs[2 * i + 1]);
    }
}

void h2_frame_get(struct buf *out, uint32_t id, const char *path)
{
    const char *const pairs[] = {":method", "GET", ":scheme",    "http",
                                 ":path",   path,  ":authority", "h"};
    struct buf head = {0};
    h2_head(&head, pairs, 4);
    h2_frame(out, NGHTTP2_HEADERS,
             NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, id,
             buf_slice(&head));
    buf_deinit(&head);
}

void h2_say(struct h2_peer *peer, struct buf *frames)
{
    h2_input(peer, buf_slice(frames));
    buf_reset(frames);
}

bool h2_find(const struct h2_peer *peer, uint8_t type, size_t *at,
             struct slice *payload, uint32_t *id)
{
    while (*at + 9 <= peer->raw.size) {
        const char *head = peer->raw.at + *at;
        size_t size = get_be32(head) >> 8;
        assert_true(*at + 9 + size <= peer->raw.size);
        *at += 9 + size;
        if ((uint8_t)head[3] != type)
            continue;
        *payload = slice_of(head + 9, size);
        *id = get_be32(head + 5);
        return true;
    }
    return false;
}

int64_t h2_raw_reset(const struct h2_peer *peer, uint32_t id)
{
    size_t at = 0;
    struct slice payload;
    uint32_t found;
    while (h2_find(peer, NGHTTP2_RST_STREAM, &at, &payload, &found)) {
        if (found == id)
            return get_be32(payload.at);
    }
    return -1;
}

int64_t h2_raw_away(const struct h2_peer *peer)
{
    size_t at = 0;
    struct slice payload;
    uint32_t id;
    if (!h2_find(peer, NGHTTP2_GOAWAY, &at, &payload, &id))
        return -1;
    return get_be32(payload.at + 4);
}

const char *h2_raw_words(const struct h2_peer *peer, char *out, size_t size)
{
    size_t at = 0;
    struct slice payload;
    uint32_t id;
    out[0] = '\0';
    if (!h2_find(peer, NGHTTP2_GOAWAY, &at, &payload, &id))
        return out;
    assert_true(payload.size - 8 < size);
    memcpy(out, payload.at + 8, payload.size - 8);
    out[payload.size - 8] = '\0';
    return out;
}
