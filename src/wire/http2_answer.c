#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "wire/http2_int.h"
#include "wire/http_int.h"

enum {
    STATUS_DIGITS = 3,
    OWN_HEADERS = 3, /* :status, content-length, date */
};

static struct stream *stream_of(struct http_exchange *exchange)
{
    return (struct stream *)(void *)exchange;
}

/* ---- the head -------------------------------------------------------------
 */

static nghttp2_nv nv_of(struct slice name, struct slice value)
{
    return (nghttp2_nv){
        .name = (uint8_t *)(uintptr_t)name.at,
        .value = (uint8_t *)(uintptr_t)(value.size ? value.at : ""),
        .namelen = name.size,
        .valuelen = value.size,
    };
}

/* What is said of a connection of HTTP/1.1 (RFC 9113, section 8.2.2). */
static bool is_of_connection(struct slice name)
{
    static const struct slice names[] = {
        {"connection", 10}, {"keep-alive", 10},        {"proxy-connection", 16},
        {"upgrade", 7},     {"transfer-encoding", 17},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (slice_eq_nocase(name, names[i]))
            return true;
    }
    return false;
}

/* An index is another one in each answer: it would only drive the others out
 * of the table. */
static bool changes(struct slice name)
{
    const struct slice end = SLICE("-index");
    return name.size > end.size &&
           slice_eq_nocase(slice_of(name.at + name.size - end.size, end.size),
                           end);
}

/* nghttp2 makes the names' letters small. */
static size_t put_headers(nghttp2_nv *to, const struct http_header *headers,
                          size_t count)
{
    size_t put = 0;
    for (size_t i = 0; i < count; i++) {
        if (is_of_connection(headers[i].name))
            continue;
        to[put] = nv_of(headers[i].name, headers[i].value);
        if (changes(headers[i].name))
            to[put].flags |= NGHTTP2_NV_FLAG_NO_INDEX;
        put++;
    }
    return put;
}

static struct slice date_of(const struct stream *stream)
{
    const struct slice *date = stream->http2->config.date;
    return date && !stream->taken ? *date : SLICE("");
}

/* `length` < 0: not said. */
static void submit_head(struct stream *stream, int status,
                        const struct http_header *headers, size_t count,
                        int64_t length, bool has_body)
{
    struct http2 *http2 = stream->http2;
    char status_text[20];
    char length_text[20];
    nghttp2_nv *nv =
        arena_alloc(&stream->arena, (count + OWN_HEADERS) * sizeof *nv);
    size_t n = 0;
    CHECK(status >= 200 && status <= 999);
    CHECK_EQ(u64_to_text((uint64_t)status, status_text), STATUS_DIGITS);
    nv[n++] = nv_of(SLICE(":status"), slice_of(status_text, STATUS_DIGITS));
    n += put_headers(nv + n, headers, count);
    struct slice date = date_of(stream);
    if (date.size)
        nv[n++] = nv_of(SLICE("date"), date);
    if (length >= 0 && !http__has_no_body(status)) {
        size_t size = u64_to_text((uint64_t)length, length_text);
        nv[n++] = nv_of(SLICE("content-length"), slice_of(length_text, size));
    }
    nghttp2_data_provider provider = {
        .source.ptr = stream,
        .read_callback = stream__read,
    };
    stream->begun = true;
    stream__let_go(stream);
    http2__note(http2, nghttp2_submit_response(http2->session, stream->id, nv,
                                               n, has_body ? &provider : NULL));
}

/* ---- ends -----------------------------------------------------------------
 */

static void end_stream(struct stream *stream)
{
    stream__end_request(stream);
    stream__note_wait(stream, false);
    stream__resume(stream);
}

void stream__respond(struct stream *stream, int status,
                     const struct http_header *headers, size_t count,
                     struct slice body)
{
    CHECK(!stream->begun);
    bool has_body =
        body.size > 0 && !stream->no_body && !http__has_no_body(status);
    bool has_trailers = stream->trailer_count > 0;
    submit_head(stream, status, headers, count, (int64_t)body.size,
                has_body || has_trailers);
    if (has_body)
        stream__queue_bytes(stream, body);
    stream__end_request(stream);
}

void stream__reset(struct stream *stream, uint32_t code)
{
    struct http2 *http2 = stream->http2;
    http2__note(http2,
                nghttp2_submit_rst_stream(http2->session, NGHTTP2_FLAG_NONE,
                                          stream->id, code));
    stream->is_reset = true;
    stream__note_wait(stream, false);
}

/* True for an operation on an exchange that is over for the peer: while it is
 * told so, before, or ever after where nobody was to be told. */
static bool is_deaf(const struct stream *stream)
{
    CHECK_EQ(stream->state, STREAM_OPEN);
    return stream->is_gone;
}

/* The same for an operation that ends it: a stream that waited for nothing
 * else goes. While on_gone runs, the work loop has it. */
static bool is_deaf_to_end(struct stream *stream)
{
    if (!is_deaf(stream))
        return false;
    if (!stream->telling)
        stream__release(stream);
    return true;
}

/* ---- the operations -------------------------------------------------------
 */

static void respond(struct http_exchange *exchange, int status,
                    const struct http_header *headers, size_t count,
                    struct slice body)
{
    struct stream *stream = stream_of(exchange);
    if (is_deaf_to_end(stream))
        return;
    struct http2 *http2 = stream->http2;
    stream__respond(stream, status, headers, count, body);
    http2__settle(http2);
}

static void begin(struct http_exchange *exchange, int status,
                  const struct http_header *headers, size_t count)
{
    struct stream *stream = stream_of(exchange);
    if (is_deaf(stream))
        return;
    CHECK(!stream->begun);
    if (http__has_no_body(status))
        stream->no_body = true;
    submit_head(stream, status, headers, count, -1, true);
    http2__settle(stream->http2);
}

static bool can_send(const struct stream *stream, size_t size)
{
    if (is_deaf(stream))
        return false;
    CHECK(stream->begun && stream->produce == NULL);
    return size > 0 && !stream->no_body;
}

static void send(struct http_exchange *exchange, struct slice piece)
{
    struct stream *stream = stream_of(exchange);
    if (!can_send(stream, piece.size))
        return;
    stream__queue_bytes(stream, piece);
    stream__resume(stream);
    http2__settle(stream->http2);
}

static void send_shared(struct http_exchange *exchange, struct refbuf *piece)
{
    struct stream *stream = stream_of(exchange);
    if (!can_send(stream, piece->size))
        return;
    out__append_shared(&stream->out, piece);
    stream__note_queued(stream, piece->size);
    stream__resume(stream);
    http2__settle(stream->http2);
}

static void produce_body(struct http_exchange *exchange, http_produce produce,
                         void *context)
{
    struct stream *stream = stream_of(exchange);
    if (is_deaf(stream))
        return;
    CHECK(stream->begun && stream->produce == NULL && produce != NULL);
    stream->produce = produce;
    stream->produce_context = context;
    stream__note_wait(stream, false);
    stream__resume(stream);
    http2__settle(stream->http2);
}

static void end(struct http_exchange *exchange)
{
    struct stream *stream = stream_of(exchange);
    if (is_deaf_to_end(stream))
        return;
    struct http2 *http2 = stream->http2;
    CHECK(stream->begun && stream->produce == NULL);
    end_stream(stream);
    http2__settle(http2);
}

/* From within its producer the stream is left to the read callback, whose
 * result has nghttp2 reset it. */
static void fail(struct http_exchange *exchange)
{
    struct stream *stream = stream_of(exchange);
    if (is_deaf_to_end(stream))
        return;
    struct http2 *http2 = stream->http2;
    const struct http_header type = {SLICE("content-type"),
                                     SLICE("text/plain; charset=utf-8")};
    if (stream->pulling) {
        stream->failed = true;
        stream__end_request(stream);
    } else if (stream->begun) {
        stream__end_request(stream);
        stream__reset(stream, NGHTTP2_INTERNAL_ERROR);
    } else {
        stream__respond(stream, 500, &type, 1, SLICE("Internal Server Error"));
    }
    http2__settle(http2);
}

static size_t unsent(const struct http_exchange *exchange)
{
    return stream__unsent((const struct stream *)(const void *)exchange);
}

const struct http_exchange_ops http2__ops = {
    .respond = respond,
    .begin = begin,
    .send = send,
    .send_shared = send_shared,
    .produce = produce_body,
    .end = end,
    .fail = fail,
    .unsent = unsent,
};

/* ---- taken streams --------------------------------------------------------
 */

void http2_consume(struct http_exchange *exchange, size_t size)
{
    struct stream *stream = stream_of(exchange);
    struct http2 *http2 = stream->http2;
    CHECK(stream->taken);
    if (is_deaf(stream) || stream->input_ended || size == 0)
        return;
    http2__note(http2, nghttp2_session_consume_stream(http2->session,
                                                      stream->id, size));
    http2__settle(http2);
}

void http2_trailers(struct http_exchange *exchange,
                    const struct http_header *trailers, size_t count)
{
    struct stream *stream = stream_of(exchange);
    struct arena *arena = &stream->arena;
    CHECK(stream->taken);
    if (is_deaf(stream))
        return;
    stream->trailer_count = count;
    if (count > 0)
        stream->trailers = arena_alloc(arena, count * sizeof *stream->trailers);
    for (size_t i = 0; i < count; i++) {
        struct slice name = trailers[i].name;
        struct slice value = trailers[i].value;
        name.at = arena_dup(arena, name.at, name.size);
        if (value.size)
            value.at = arena_dup(arena, value.at, value.size);
        stream->trailers[i] = nv_of(name, value);
    }
}

void http2_respond_head(struct http_exchange *exchange, int status,
                        const struct http_header *headers, size_t count)
{
    struct stream *stream = stream_of(exchange);
    CHECK(stream->taken);
    if (is_deaf_to_end(stream))
        return;
    struct http2 *http2 = stream->http2;
    CHECK(!stream->begun);
    submit_head(stream, status, headers, count, -1, false);
    stream__end_request(stream);
    http2__settle(http2);
}

void http2_reset(struct http_exchange *exchange, uint32_t code)
{
    struct stream *stream = stream_of(exchange);
    CHECK(stream->taken);
    if (is_deaf_to_end(stream))
        return;
    struct http2 *http2 = stream->http2;
    CHECK(!stream->pulling);
    stream__end_request(stream);
    stream__reset(stream, code);
    http2__settle(http2);
}
