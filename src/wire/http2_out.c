/* What a stream has to send: from what waits to frames. */
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "wire/http2_int.h"
#include "wire/spare_int.h"

enum {
    /* A shorter shared piece is copied to its frame: a reference costs more. */
    SHARED_BYTES_MIN = 1024,
};

/* ---- what waits -----------------------------------------------------------
 */

static bool is_waiting(const struct stream *stream)
{
    return out__size(&stream->out) > 0 || stream->produce != NULL;
}

/* The stream's place in the order of those that the peer keeps waiting. */
void stream__note_wait(struct stream *stream, bool has_moved)
{
    struct http2 *http2 = stream->http2;
    bool is_listed = !list_is_empty(&stream->sends);
    bool has_to = is_waiting(stream) && !stream->taken && !stream->is_reset;
    if (is_listed && (!has_to || has_moved))
        list_remove(&stream->sends);
    if (has_to && (!is_listed || has_moved)) {
        stream->sent = http2__now(http2);
        list_push_back(&http2->sending, &stream->sends);
    }
}

static void wait_for_room(struct stream *stream)
{
    if (list_is_empty(&stream->waits))
        list_push_back(&stream->http2->waiting, &stream->waits);
}

/* When the connection holds too much, each of its streams does. */
size_t stream__unsent(const struct stream *stream)
{
    size_t size = out__size(&stream->out);
    if (stream->http2->queued_bytes > HTTP2_QUEUED_BYTES_MAX)
        size += LIMIT_HTTP_OUT_HIGH_BYTES;
    return size;
}

void stream__note_queued(struct stream *stream, size_t more)
{
    struct http2 *http2 = stream->http2;
    http2->queued_bytes += more;
    if (!stream->over_high && stream->state == STREAM_OPEN &&
        stream->produce == NULL &&
        stream__unsent(stream) > LIMIT_HTTP_OUT_HIGH_BYTES) {
        stream->over_high = true;
        wait_for_room(stream);
    }
    stream__note_wait(stream, false);
}

/* The buffer is the stream's own, of the size that it needs: many may wait,
 * and the thread's spare one is large. */
void stream__queue_bytes(struct stream *stream, struct slice piece)
{
    if (stream->out.text.at == NULL)
        buf_reserve(&stream->out.text, piece.size ? piece.size : 1);
    out__append(&stream->out, piece.at, piece.size);
    stream__note_queued(stream, piece.size);
}

void stream__clear_out(struct stream *stream)
{
    struct http2 *http2 = stream->http2;
    size_t size = out__size(&stream->out);
    CHECK_LE(size, http2->queued_bytes);
    http2->queued_bytes -= size;
    out__clear(&stream->out);
    list_remove(&stream->sends);
    list_remove(&stream->waits);
    stream->over_high = false;
    stream->waits_room = false;
}

/* nghttp2 asks for the stream's bytes again, if it had been told that there
 * are none; an error says only that it hadn't been. */
void stream__resume(struct stream *stream)
{
    struct http2 *http2 = stream->http2;
    int result = nghttp2_session_resume_data(http2->session, stream->id);
    if (result != NGHTTP2_ERR_INVALID_ARGUMENT)
        http2__note(http2, result);
}

static void find_drained(struct http2 *http2)
{
    LIST_EACH (node, &http2->waiting) {
        struct stream *stream = CONTAINER_OF(node, struct stream, waits);
        if (out__size(&stream->out) >= LIMIT_HTTP_OUT_LOW_BYTES)
            continue;
        list_remove(&stream->waits);
        if (stream->waits_room) {
            stream->waits_room = false;
            stream__resume(stream);
        }
        if (stream->over_high)
            list_push_back(&http2->drained, &stream->waits);
    }
}

void http2__tell_drained(struct http2 *http2)
{
    if (http2->queued_bytes > HTTP2_QUEUED_BYTES_MAX)
        return;
    find_drained(http2);
    struct list *node;
    while ((node = list_first(&http2->drained)) != NULL) {
        struct stream *stream = CONTAINER_OF(node, struct stream, waits);
        list_remove(&stream->waits);
        stream->over_high = false;
        if (stream->exchange.on_drained != NULL)
            stream->exchange.on_drained(&stream->exchange);
    }
}

/* ---- to frames ------------------------------------------------------------
 */

/* Discards what a HEAD or a 204 can't have. */
static void take_produced(struct stream *stream, struct buf *piece)
{
    size_t size = piece->size;
    if (size == 0 || stream->no_body) {
        spare__give_buf(piece);
        return;
    }
    out__append_buf(&stream->out, piece, 0);
    stream__note_queued(stream, size);
}

/* False when the producer failed the answer. */
static bool pull(struct stream *stream)
{
    struct buf piece = spare__take_buf();
    stream->pulling = true;
    enum http_more more =
        stream->produce(&stream->exchange, stream->produce_context, &piece);
    stream->pulling = false;
    if (stream->failed || stream->produce == NULL) {
        spare__give_buf(&piece);
        return false;
    }
    take_produced(stream, &piece);
    if (more == HTTP_LAST) {
        stream__end_request(stream);
        stream__note_wait(stream, false);
    }
    return true;
}

static ssize_t read_end(struct stream *stream, uint32_t *flags)
{
    struct http2 *http2 = stream->http2;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (stream->trailer_count == 0)
        return 0;
    *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    int result = nghttp2_submit_trailer(
        http2->session, stream->id, stream->trailers, stream->trailer_count);
    return result ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

/* Whether a producer may be asked; it is again when there is room. */
static bool may_pull(struct stream *stream)
{
    if (stream->http2->queued_bytes <= HTTP2_QUEUED_BYTES_MAX)
        return true;
    stream->waits_room = true;
    wait_for_room(stream);
    return false;
}

ssize_t stream__read(nghttp2_session *session, int32_t id, uint8_t *room,
                     size_t size, uint32_t *flags, nghttp2_data_source *source,
                     void *user_data)
{
    (void)session;
    (void)room;
    (void)user_data;
    struct stream *stream = source->ptr;
    CHECK(stream->id == id && !stream->closed);
    while (out__size(&stream->out) == 0 && stream->produce != NULL) {
        if (!may_pull(stream))
            return NGHTTP2_ERR_DEFERRED;
        if (!pull(stream))
            return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    size_t here = out__size(&stream->out);
    size_t taken = here < size ? here : size;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (taken == here && stream->state == STREAM_ENDED) {
        ssize_t result = read_end(stream, flags);
        return result ? result : (ssize_t)taken;
    }
    return taken ? (ssize_t)taken : NGHTTP2_ERR_DEFERRED;
}

/* Moves the first bytes of `from` to `to`: of a shared piece by reference, if
 * they are enough to be worth it. Returns how many. */
static size_t move_some(struct out *from, struct out *to, size_t max)
{
    struct slice first;
    const struct out_piece *piece =
        from->count ? &from->pieces[from->first] : NULL;
    CHECK_EQ(out__slices(from, &first, 1), 1);
    if (first.size > max)
        first.size = max;
    if (piece != NULL && piece->text_bytes == 0 &&
        first.size >= SHARED_BYTES_MIN)
        out__append_part(to, piece->shared, piece->at, piece->at + first.size);
    else
        out__append(to, first.at, first.size);
    out__sent(from, first.size);
    return first.size;
}

static void move(struct stream *stream, size_t size)
{
    struct http2 *http2 = stream->http2;
    CHECK_LE(size, out__size(&stream->out));
    CHECK_LE(size, http2->queued_bytes);
    for (size_t left = size; left > 0;)
        left -= move_some(&stream->out, &http2->out, left);
    http2->queued_bytes -= size;
    stream__note_wait(stream, size > 0);
}

int stream__send_frame(nghttp2_session *session, nghttp2_frame *frame,
                       const uint8_t *head, size_t size,
                       nghttp2_data_source *source, void *user_data)
{
    (void)session;
    struct http2 *http2 = user_data;
    struct stream *stream = source->ptr;
    CHECK(frame->data.padlen == 0);
    if (out__size(&http2->out) >= LIMIT_HTTP_OUT_HIGH_BYTES)
        return NGHTTP2_ERR_WOULDBLOCK;
    out__append(&http2->out, head, FRAME_HEAD_BYTES);
    move(stream, size);
    return 0;
}
