#include <assert.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "wire/http2_int.h"
#include "wire/spare_int.h"

enum {
    HEADERS_MIN = 10, /* what a client of gRPC sends, with our host */
    HEADER_COSTS = 32,
    /* A body of this length gets its room at once. */
    BODY_AT_ONCE_MAX = 64 * 1024,
};

static_assert(sizeof(struct stream) + HEADERS_MIN * sizeof(struct http_header) +
                      256 <=
                  SPARE_BLOCK_BYTES,
              "a common request fits the block");

/* ---- life -----------------------------------------------------------------
 */

/* One block holds the stream and, behind it, the first room of its arena. */
static void start_arena(struct stream *stream)
{
    char *block = (char *)stream;
    size_t used = (sizeof *stream + 15) / 16 * 16;
    arena_init(&stream->arena, 0);
    stream->arena.at = block + used;
    stream->arena.end = block + SPARE_BLOCK_BYTES;
}

struct stream *stream__new(struct http2 *http2, int32_t id)
{
    struct stream *stream = (struct stream *)(void *)spare__take_block();
    if (nghttp2_session_set_stream_user_data(http2->session, id, stream)) {
        spare__give_block((char *)stream);
        return NULL;
    }
    *stream = (struct stream){.http2 = http2, .id = id, .length = UINT64_MAX};
    stream->exchange.ops = &http2__ops;
    stream->exchange.arena = &stream->arena;
    start_arena(stream);
    list_init(&stream->place);
    list_init(&stream->sends);
    list_init(&stream->waits);
    list_push_back(&http2->streams, &stream->link);
    http2->stream_count++;
    return stream;
}

/* What the peer may send again of what others held back. */
static void leave_gathering(struct stream *stream)
{
    struct http2 *http2 = stream->http2;
    CHECK_EQ(stream->state, STREAM_BODY);
    CHECK_LE(stream->body.size, http2->gathered_bytes);
    http2->gathered_bytes -= stream->body.size;
    list_remove(&stream->place);
}

void stream__end_request(struct stream *stream)
{
    if (stream->state == STREAM_BODY)
        leave_gathering(stream);
    list_remove(&stream->place);
    stream->state = STREAM_ENDED;
    stream->exchange.on_gone = NULL;
    stream->exchange.on_drained = NULL;
    stream->produce = NULL;
    if (stream->body.at != NULL)
        buf_deinit(&stream->body);
}

void stream__let_go(struct stream *stream)
{
    struct http2 *http2 = stream->http2;
    CHECK_LE(stream->held, http2->held_bytes);
    http2->held_bytes -= stream->held;
    stream->held = 0;
}

void stream__release(struct stream *stream)
{
    struct http2 *http2 = stream->http2;
    stream__end_request(stream);
    stream__clear_out(stream);
    stream__let_go(stream);
    list_remove(&stream->link);
    CHECK(http2->stream_count > 0);
    http2->stream_count--;
    if (http2->stream_count == 0)
        http2->since = http2__now(http2);
    if (!stream->closed && http2->session != NULL)
        (void)nghttp2_session_set_stream_user_data(http2->session, stream->id,
                                                   NULL);
    arena_deinit(&stream->arena);
    spare__give_block((char *)stream);
}

void stream__tell_gone(struct stream *stream)
{
    CHECK_EQ(stream->state, STREAM_OPEN);
    void (*on_gone)(struct http_exchange *) = stream->exchange.on_gone;
    stream->exchange.on_gone = NULL;
    stream->telling = true;
    if (on_gone != NULL)
        on_gone(&stream->exchange);
    stream->telling = false;
}

void stream__close(struct stream *stream)
{
    CHECK(!stream->closed && !stream->pulling);
    stream->closed = true;
    if (stream->state != STREAM_OPEN) {
        stream__release(stream);
        return;
    }
    stream->is_gone = true;
    stream__clear_out(stream);
    list_push_back(&stream->http2->gone, &stream->place);
}

/* ---- refusals -------------------------------------------------------------
 */

void stream__refuse(struct stream *stream, int status, const char *detail)
{
    const struct http_header type = {SLICE("content-type"),
                                     SLICE("text/plain; charset=utf-8")};
    const char *text = http_status_text(status);
    struct arena *arena = &stream->arena;
    struct slice body = slice_str(
        detail ? arena_printf(arena, "%d %s: %s", status, text, detail)
               : arena_printf(arena, "%d %s", status, text));
    stream__respond(stream, status, &type, 1, body);
}

/* ---- the head -------------------------------------------------------------
 */

static struct slice keep(struct stream *stream, struct slice bytes)
{
    if (bytes.size == 0)
        return SLICE("");
    return slice_of(arena_dup(&stream->arena, bytes.at, bytes.size),
                    bytes.size);
}

static void push_header(struct stream *stream, struct slice name,
                        struct slice value)
{
    if (stream->header_count == stream->header_capacity) {
        uint32_t capacity = stream->header_capacity * 2;
        if (capacity == 0)
            capacity = HEADERS_MIN;
        struct http_header *headers =
            arena_alloc(&stream->arena, capacity * sizeof *headers);
        if (stream->header_count)
            memcpy(headers, stream->headers,
                   stream->header_count * sizeof *headers);
        stream->headers = headers;
        stream->header_capacity = capacity;
    }
    stream->headers[stream->header_count++] = (struct http_header){name, value};
}

/* http2_head.c has seen to it that each comes once and before all others. */
static bool add_pseudo(struct stream *stream, struct slice name,
                       struct slice value)
{
    struct http_request *request = &stream->exchange.request;
    if (slice_eq(name, SLICE(":method")))
        request->method_text = keep(stream, value);
    else if (slice_eq(name, SLICE(":path")))
        stream->target = keep(stream, value);
    else if (slice_eq(name, SLICE(":authority")))
        stream->authority = keep(stream, value);
    return true;
}

static bool note_header(struct stream *stream, struct slice name,
                        struct slice value)
{
    if (slice_eq(name, SLICE("host"))) {
        stream->has_host = true;
    } else if (slice_eq(name, SLICE("content-length"))) {
        if (!slice_to_u64(value, &stream->length))
            return false;
    } else if (slice_eq(name, SLICE("expect"))) {
        stream->expects = slice_eq_nocase(value, SLICE("100-continue"));
        stream->bad_expect = !stream->expects;
    }
    return true;
}

bool stream__add_header(struct stream *stream, struct slice name,
                        struct slice value)
{
    const struct http2_config *config = &stream->http2->config;
    if (!head__check(stream, name, value))
        return false;
    stream->head_bytes += name.size + value.size + HEADER_COSTS;
    if (stream->head_bytes > config->head_bytes_max)
        stream->head_too_big = true;
    /* What is left out may be the method: only the answer needs it. */
    if (stream->head_too_big)
        return true;
    if (name.size > 0 && name.at[0] == ':')
        return add_pseudo(stream, name, value);
    if (stream->header_count == config->header_count_max) {
        stream->head_too_big = true;
        return true;
    }
    if (!note_header(stream, name, value))
        return false;
    push_header(stream, keep(stream, name), keep(stream, value));
    return true;
}

static enum http_method method_of(struct slice text)
{
    static const struct {
        struct slice text;
        enum http_method method;
    } methods[] = {
        {{"GET", 3}, HTTP_GET},         {{"PUT", 3}, HTTP_PUT},
        {{"POST", 4}, HTTP_POST},       {{"HEAD", 4}, HTTP_HEAD},
        {{"DELETE", 6}, HTTP_DELETE},   {{"PATCH", 5}, HTTP_PATCH},
        {{"OPTIONS", 7}, HTTP_OPTIONS},
    };
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        if (slice_eq(text, methods[i].text))
            return methods[i].method;
    }
    return HTTP_OTHER;
}

/* A path, or the "*" of OPTIONS; no control, no space, no fragment. */
static bool split_target(struct http_request *request, struct slice target)
{
    for (size_t i = 0; i < target.size; i++) {
        unsigned char c = (unsigned char)target.at[i];
        if (c <= ' ' || c == 0x7f || c == '#')
            return false;
    }
    request->path = target;
    request->query = SLICE("");
    if (slice_eq(target, SLICE("*")))
        return request->method == HTTP_OPTIONS;
    if (target.size == 0 || target.at[0] != '/')
        return false;
    ptrdiff_t mark = slice_find(target, '?');
    if (mark >= 0) {
        size_t behind = (size_t)mark + 1;
        request->path = slice_of(target.at, (size_t)mark);
        request->query = slice_of(target.at + behind, target.size - behind);
    }
    return true;
}

/* The api knows who was called by "host", as in HTTP/1.1; it may be empty. */
static bool make_request(struct stream *stream)
{
    struct http2 *http2 = stream->http2;
    struct http_request *request = &stream->exchange.request;
    if (!stream->has_host && stream->authority.at)
        push_header(stream, SLICE("host"), stream->authority);
    request->headers = stream->headers;
    request->header_count = stream->header_count;
    request->body = SLICE("");
    request->peer = slice_of(http2->peer, http2->peer_size);
    request->certificate = http_certificate(request, http2->config.certificate);
    request->is_own = http2->config.is_own;
    request->is_tls = http2->config.is_tls;
    return split_target(request, stream->target);
}

/* 0, or the status to refuse it with. */
static int check_head(struct stream *stream)
{
    struct http_request *request = &stream->exchange.request;
    request->method = method_of(request->method_text);
    stream->no_body = request->method == HTTP_HEAD;
    if (stream->head_too_big)
        return 431;
    if (slice_eq(request->method_text, SLICE("CONNECT")))
        return 501;
    if (!make_request(stream))
        return 400;
    return stream->bad_expect ? 417 : 0;
}

static bool is_taken(struct stream *stream)
{
    struct http2_streaming *streaming = stream->http2->config.streaming;
    if (streaming == NULL)
        return false;
    stream->state = STREAM_OPEN;
    stream->taken = true;
    if (streaming->on_head(streaming, &stream->exchange))
        return true;
    CHECK(stream->state == STREAM_OPEN && !stream->begun);
    stream->exchange.context = NULL;
    stream->exchange.on_gone = NULL;
    stream->exchange.on_drained = NULL;
    stream->state = STREAM_HEAD;
    stream->taken = false;
    return false;
}

static void say_continue(struct stream *stream)
{
    nghttp2_nv status = {
        .name = (uint8_t *)(uintptr_t) ":status",
        .value = (uint8_t *)(uintptr_t) "100",
        .namelen = 7,
        .valuelen = 3,
    };
    struct http2 *http2 = stream->http2;
    http2__note(http2,
                nghttp2_submit_headers(http2->session, NGHTTP2_FLAG_NONE,
                                       stream->id, NULL, &status, 1, NULL));
}

static bool try_reserve(struct stream *stream, size_t more);

static void start_body(struct stream *stream)
{
    struct http2 *http2 = stream->http2;
    stream->state = STREAM_BODY;
    stream->since = http2__now(http2);
    list_push_back(&http2->gathering, &stream->place);
    if (stream->length <= BODY_AT_ONCE_MAX && stream->length > 0)
        (void)try_reserve(stream, (size_t)stream->length);
}

void stream__take_head(struct stream *stream, bool is_last)
{
    struct http2 *http2 = stream->http2;
    if (stream->state != STREAM_HEAD) /* the server has stopped meanwhile */
        return;
    if (!stream->head_too_big && !head__is_request(stream)) {
        stream__refuse_malformed(stream);
        return;
    }
    int status = check_head(stream);
    if (status) {
        stream__refuse(stream, status, NULL);
        return;
    }
    if (stream->expects && !is_last)
        say_continue(stream);
    if (is_taken(stream)) {
        if (is_last)
            stream__take_end(stream);
    } else if (!is_last && stream->length != UINT64_MAX &&
               stream->length > http2->config.body_bytes_max) {
        stream__refuse(stream, 413, NULL);
    } else {
        start_body(stream);
        if (is_last)
            stream__take_end(stream);
    }
}

/* ---- the body -------------------------------------------------------------
 */

/* Takes memory as bytes come and not as the peer says they would. It may be
 * a lot, so there may be none. */
static bool try_reserve(struct stream *stream, size_t more)
{
    struct buf *body = &stream->body;
    if (body->capacity - body->size >= more)
        return true;
    size_t capacity = body->size + more;
    if (capacity < body->capacity * 2)
        capacity = body->capacity * 2;
    char *bytes = mem_try_realloc(body->at, capacity);
    if (bytes == NULL) {
        stream__refuse(stream, 503, NULL);
        return false;
    }
    body->at = bytes;
    body->capacity = capacity;
    return true;
}

static void open_window(struct stream *stream, size_t size)
{
    struct http2 *http2 = stream->http2;
    if (size > 0)
        http2__note(http2, nghttp2_session_consume_stream(http2->session,
                                                          stream->id, size));
}

static bool may_gather(const struct stream *stream)
{
    const struct http2 *http2 = stream->http2;
    return http2->gathered_bytes < HTTP2_GATHERED_BYTES_MAX ||
           http2->gathering.next == &stream->place;
}

static void gather(struct stream *stream, const uint8_t *bytes, size_t size)
{
    struct http2 *http2 = stream->http2;
    if (size > http2->config.body_bytes_max - stream->body.size) {
        stream__refuse(stream, 413, NULL);
        return;
    }
    if (!try_reserve(stream, size))
        return;
    buf_append(&stream->body, bytes, size);
    http2->gathered_bytes += size;
    stream->withheld += size;
    if (may_gather(stream)) {
        open_window(stream, stream->withheld);
        stream->withheld = 0;
    } else {
        http2->withholds = true;
    }
}

/* Its time begins anew, as it was us that it waited for. The order of the
 * list is that of age, so the first is looked at first. */
void http2__open_windows(struct http2 *http2)
{
    if (!http2->withholds)
        return;
    LIST_EACH (node, &http2->gathering) {
        struct stream *stream = CONTAINER_OF(node, struct stream, place);
        if (!may_gather(stream))
            return;
        if (stream->withheld == 0)
            continue;
        open_window(stream, stream->withheld);
        stream->withheld = 0;
        stream->since = http2__now(http2);
    }
    http2->withholds = false;
}

void stream__refuse_malformed(struct stream *stream)
{
    if (stream->state == STREAM_HEAD || stream->state == STREAM_BODY)
        stream__end_request(stream);
    stream__reset(stream, NGHTTP2_PROTOCOL_ERROR);
}

void stream__take_body(struct stream *stream, const uint8_t *bytes, size_t size)
{
    struct http2_streaming *streaming = stream->http2->config.streaming;
    if (stream->is_reset)
        return;
    if (!head__count_body(stream, size)) {
        stream__refuse_malformed(stream);
        return;
    }
    if (!stream->begun) {
        stream->held += size;
        stream->http2->held_bytes += size;
    }
    if (stream->state == STREAM_BODY)
        gather(stream, bytes, size);
    else if (stream->state == STREAM_OPEN && stream->taken)
        streaming->on_data(streaming, &stream->exchange, slice_of(bytes, size));
}

void stream__take_end(struct stream *stream)
{
    struct http2 *http2 = stream->http2;
    struct http2_streaming *streaming = http2->config.streaming;
    if (stream->is_reset)
        return;
    if (!head__is_whole(stream)) {
        stream__refuse_malformed(stream);
        return;
    }
    stream->input_ended = true;
    if (stream->state == STREAM_BODY) {
        leave_gathering(stream);
        stream->state = STREAM_READY;
        list_push_back(&http2->ready, &stream->place);
    } else if (stream->state == STREAM_OPEN && stream->taken) {
        streaming->on_end(streaming, &stream->exchange);
    }
}
