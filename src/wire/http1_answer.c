#include "base/check.h"
#include "base/limits.h"
#include "wire/http1_int.h"
#include "wire/http_int.h"
#include "wire/spare_int.h"

enum {
    HEAD_FIXED_BYTES = 192, /* more than all but status text, date, headers */
    CHUNK_HEAD_BYTES = 18,  /* sixteen digits and the line's end */
};

static struct http1 *http1_of(struct http_exchange *exchange)
{
    return (struct http1 *)((char *)exchange -
                            offsetof(struct http1, exchange));
}

/* ---- the head -------------------------------------------------------------
 */

static char *put(char *to, const void *bytes, size_t size)
{
    memcpy(to, bytes, size);
    return to + size;
}

static char *put_slice(char *to, struct slice slice)
{
    return slice.size ? put(to, slice.at, slice.size) : to;
}

#define PUT(to, literal) put(to, literal, sizeof(literal) - 1)

static struct slice status_line(int status)
{
    switch (status) {
#define X(number, text) \
    case number:        \
        return SLICE("HTTP/1.1 " #number " " text "\r\n");
        HTTP_STATUS_TABLE(X)
#undef X
    default:
        return SLICE("");
    }
}

static char *put_status(const struct http1 *http1, char *to, int status)
{
    struct slice line = status_line(status);
    char *end = put_slice(to, line);
    if (line.size == 0) {
        CHECK(status >= 100 && status <= 999);
        end = PUT(end, "HTTP/1.1 ");
        end += u64_to_text((uint64_t)status, end);
        end = PUT(end, " Unknown\r\n");
    }
    if (http1->is_1_0)
        to[sizeof "HTTP/1." - 1] = '0';
    return end;
}

static char *put_headers(char *to, const struct http_header *headers,
                         size_t count)
{
    for (size_t i = 0; i < count; i++) {
        to = put_slice(to, headers[i].name);
        to = PUT(to, ": ");
        to = put_slice(to, headers[i].value);
        to = PUT(to, "\r\n");
    }
    return to;
}

static struct slice date_of(const struct http1 *http1)
{
    const struct slice *date = http1->config.date;
    return date ? *date : SLICE("");
}

static char *put_framing(const struct http1 *http1, char *to, int status,
                         int64_t length)
{
    if (http__has_no_body(status))
        return to;
    if (length >= 0) {
        to = PUT(to, "Content-Length: ");
        to += u64_to_text((uint64_t)length, to);
        return PUT(to, "\r\n");
    }
    return http1->is_1_0 ? to : PUT(to, "Transfer-Encoding: chunked\r\n");
}

static char *put_connection(const struct http1 *http1, char *to)
{
    if (!http1->keep_alive || http1->stopping)
        return PUT(to, "Connection: close\r\n");
    return http1->is_1_0 ? PUT(to, "Connection: keep-alive\r\n") : to;
}

/* Room for head and `more` bytes, so that an answer is written at once. */
static char *write_head(struct http1 *http1, int status,
                        const struct http_header *headers, size_t count,
                        int64_t length, size_t more)
{
    struct slice date = date_of(http1);
    size_t size = HEAD_FIXED_BYTES + date.size + more;
    for (size_t i = 0; i < count; i++)
        size += headers[i].name.size + headers[i].value.size + 4;

    char *to = out__reserve(&http1->out, size);
    to = put_status(http1, to, status);
    to = put_headers(to, headers, count);
    if (date.size) {
        to = PUT(to, "Date: ");
        to = put_slice(to, date);
        to = PUT(to, "\r\n");
    }
    to = put_framing(http1, to, status, length);
    to = put_connection(http1, to);
    return PUT(to, "\r\n");
}

void http1__write_head(struct http1 *http1, int status,
                       const struct http_header *headers, size_t count,
                       int64_t length)
{
    char *end = write_head(http1, status, headers, count, length, 0);
    out__wrote(&http1->out, end);
}

/* ---- the end --------------------------------------------------------------
 */

void http1__end(struct http1 *http1)
{
    CHECK_EQ(http1->phase, PHASE_OPEN);
    http1->produce = NULL;
    http1->exchange.on_gone = NULL;
    http1__release_request(http1);
    if (http1->keep_alive && !http1->stopping)
        http1__enter(http1, PHASE_IDLE);
    else
        http1__close(http1);
}

void http1__tell_gone(struct http1 *http1)
{
    CHECK_EQ(http1->phase, PHASE_OPEN);
    void (*on_gone)(struct http_exchange *) = http1->exchange.on_gone;
    http1->exchange.on_gone = NULL;
    if (on_gone != NULL)
        on_gone(&http1->exchange);
}

void http1__drop(struct http1 *http1)
{
    if (http1->phase == PHASE_OPEN) {
        http1->is_gone = true;
        http1__tell_gone(http1);
        http1->keep_alive = false;
        http1__end(http1);
    } else {
        http1__release_request(http1);
        http1__close(http1);
    }
    out__clear(&http1->out);
}

/* True for an operation on an exchange that is over for the peer: only
 * on_gone, while it runs, may do that without knowing. */
static bool is_deaf(const struct http1 *http1)
{
    CHECK_EQ(http1->phase, PHASE_OPEN);
    return http1->is_gone;
}

static void end_body(struct http1 *http1)
{
    if (http1->out_chunked && !http1->out_no_body)
        out__append(&http1->out, "0\r\n\r\n", 5);
    http1__end(http1);
}

/* ---- the operations -------------------------------------------------------
 */

static void respond(struct http_exchange *exchange, int status,
                    const struct http_header *headers, size_t count,
                    struct slice body)
{
    struct http1 *http1 = http1_of(exchange);
    if (is_deaf(http1))
        return;
    CHECK(!http1->begun);
    size_t size = body.size;
    if (http1->out_no_body || http__has_no_body(status))
        size = 0;
    char *to =
        write_head(http1, status, headers, count, (int64_t)body.size, size);
    if (size)
        to = put(to, body.at, size);
    out__wrote(&http1->out, to);
    http1__end(http1);
    http1__settle(http1);
}

static void begin(struct http_exchange *exchange, int status,
                  const struct http_header *headers, size_t count)
{
    struct http1 *http1 = http1_of(exchange);
    if (is_deaf(http1))
        return;
    CHECK(!http1->begun);
    http1->begun = true;
    http1->out_chunked = !http1->is_1_0;
    if (http__has_no_body(status))
        http1->out_no_body = true;
    /* Nothing but the connection's end can tell 1.0 where the body ends. */
    if (http1->is_1_0)
        http1->keep_alive = false;
    http1__write_head(http1, status, headers, count, -1);
    http1__settle(http1);
}

/* Writes "1a3\r\n" to end at `end`; returns where it begins. */
static char *chunk_head(char *end, size_t size)
{
    *--end = '\n';
    *--end = '\r';
    do {
        *--end = "0123456789abcdef"[size & 15];
        size >>= 4;
    } while (size);
    return end;
}

static void append_chunk_head(struct http1 *http1, size_t size)
{
    char text[CHUNK_HEAD_BYTES];
    char *head = chunk_head(text + sizeof text, size);
    out__append(&http1->out, head, (size_t)(text + sizeof text - head));
}

/* An empty piece is nothing: as a chunk it would be the end. */
static bool can_send(const struct http1 *http1, size_t size)
{
    if (is_deaf(http1))
        return false;
    CHECK(http1->begun && http1->produce == NULL);
    return size > 0 && !http1->out_no_body;
}

static void send(struct http_exchange *exchange, struct slice piece)
{
    struct http1 *http1 = http1_of(exchange);
    if (!can_send(http1, piece.size))
        return;
    out__reserve(&http1->out, CHUNK_HEAD_BYTES + piece.size + 2);
    if (http1->out_chunked)
        append_chunk_head(http1, piece.size);
    out__append(&http1->out, piece.at, piece.size);
    if (http1->out_chunked)
        out__append(&http1->out, "\r\n", 2);
    http1__settle(http1);
}

static void send_shared(struct http_exchange *exchange, struct refbuf *piece)
{
    struct http1 *http1 = http1_of(exchange);
    if (!can_send(http1, piece->size))
        return;
    if (http1->out_chunked)
        append_chunk_head(http1, piece->size);
    out__append_shared(&http1->out, piece);
    if (http1->out_chunked)
        out__append(&http1->out, "\r\n", 2);
    http1__settle(http1);
}

static void produce_body(struct http_exchange *exchange, http_produce produce,
                         void *context)
{
    struct http1 *http1 = http1_of(exchange);
    if (is_deaf(http1))
        return;
    CHECK(http1->begun && http1->produce == NULL && produce != NULL);
    http1->produce = produce;
    http1->produce_context = context;
    http1__settle(http1);
}

/* The chunk's head is written before the piece when its size is known, into
 * room that was left for it, so that the piece needn't be copied. */
static void append_produced(struct http1 *http1, struct buf *piece)
{
    size_t size = piece->size - CHUNK_HEAD_BYTES;
    size_t skip = CHUNK_HEAD_BYTES;
    if (size == 0 || http1->out_no_body) {
        spare__give_buf(piece);
        return;
    }
    if (http1->out_chunked) {
        char *head = chunk_head(piece->at + CHUNK_HEAD_BYTES, size);
        skip = (size_t)(head - piece->at);
        buf_append(piece, "\r\n", 2);
    }
    out__append_buf(&http1->out, piece, skip);
}

void http1__pull(struct http1 *http1)
{
    struct buf piece = spare__take_buf();
    buf_extend(&piece, CHUNK_HEAD_BYTES);
    enum http_more more =
        http1->produce(&http1->exchange, http1->produce_context, &piece);
    CHECK(piece.size >= CHUNK_HEAD_BYTES);
    if (http1->phase != PHASE_OPEN || http1->produce == NULL) {
        /* The producer failed the answer. */
        spare__give_buf(&piece);
        return;
    }
    append_produced(http1, &piece);
    if (more == HTTP_LAST)
        end_body(http1);
}

static void end(struct http_exchange *exchange)
{
    struct http1 *http1 = http1_of(exchange);
    if (is_deaf(http1))
        return;
    CHECK(http1->begun && http1->produce == NULL);
    end_body(http1);
    http1__settle(http1);
}

static void fail(struct http_exchange *exchange)
{
    struct http1 *http1 = http1_of(exchange);
    if (is_deaf(http1))
        return;
    if (!http1->begun) {
        const struct http_header type = {SLICE("Content-Type"),
                                         SLICE("text/plain; charset=utf-8")};
        respond(exchange, 500, &type, 1, SLICE("Internal Server Error"));
        return;
    }
    http1->keep_alive = false;
    http1__end(http1);
    http1__settle(http1);
}

static size_t unsent(const struct http_exchange *exchange)
{
    const struct http1 *http1 =
        (const struct http1 *)((const char *)exchange -
                               offsetof(struct http1, exchange));
    return out__size(&http1->out);
}

const struct http_exchange_ops http1__ops = {
    .respond = respond,
    .begin = begin,
    .send = send,
    .send_shared = send_shared,
    .produce = produce_body,
    .end = end,
    .fail = fail,
    .unsent = unsent,
};
