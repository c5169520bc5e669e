#include "wire/http2.h"

#include <assert.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "wire/http2_int.h"
#include "wire/spare_int.h"

enum {
    GOAWAY_FIXED_BYTES = 8,
    /* Frames of ours that nghttp2 holds while the peer doesn't read. */
    HELD_FRAMES_MAX = 100,
};

static_assert((int)HTTP2_QUEUED_BYTES_MAX > (int)LIMIT_HTTP_OUT_HIGH_BYTES,
              "one stream alone does not fill the connection");

enum http2_preface http2_is_preface(struct slice bytes)
{
    const struct slice preface =
        slice_of(NGHTTP2_CLIENT_MAGIC, NGHTTP2_CLIENT_MAGIC_LEN);
    if (bytes.size < preface.size)
        return slice_has_prefix(preface, bytes) ? HTTP2_PREFACE_MORE
                                                : HTTP2_PREFACE_NO;
    return slice_has_prefix(bytes, preface) ? HTTP2_PREFACE_YES
                                            : HTTP2_PREFACE_NO;
}

/* ---- the end of a session -------------------------------------------------
 */

void http2__fail(struct http2 *http2, uint32_t code, const char *words)
{
    if (http2->fails)
        return;
    http2->fails = true;
    http2->failure = code;
    http2->words = words;
}

/* What nghttp2 says when it can't go on; other errors it answers itself. */
void http2__note(struct http2 *http2, int result)
{
    if (result >= 0)
        return;
    switch (result) {
    case NGHTTP2_ERR_BAD_CLIENT_MAGIC:
        http2__fail(http2, NGHTTP2_PROTOCOL_ERROR, NULL);
        break;
    case NGHTTP2_ERR_FLOODED:
    case NGHTTP2_ERR_TOO_MANY_SETTINGS:
    case NGHTTP2_ERR_TOO_MANY_CONTINUATIONS:
        http2__fail(http2, NGHTTP2_ENHANCE_YOUR_CALM, NULL);
        break;
    default:
        http2__fail(http2, NGHTTP2_INTERNAL_ERROR, NULL);
        break;
    }
}

/* The owners of what is gone hear of it. One that nobody is told of stays for
 * its owner to end, unless that was to happen by a producer. */
static void tell_gone(struct http2 *http2)
{
    struct list *node;
    while ((node = list_first(&http2->gone)) != NULL) {
        struct stream *stream = CONTAINER_OF(node, struct stream, place);
        bool is_owned =
            stream->exchange.on_gone == NULL && stream->produce == NULL;
        list_remove(&stream->place);
        if (is_owned)
            continue;
        stream__tell_gone(stream);
        stream__release(stream);
    }
}

/* No stream has a peer any more. */
static void drop_streams(struct http2 *http2)
{
    LIST_EACH (node, &http2->streams) {
        struct stream *stream = CONTAINER_OF(node, struct stream, link);
        if (!stream->closed)
            stream__close(stream);
    }
    tell_gone(http2);
}

static void close_session(struct http2 *http2)
{
    CHECK(http2->session != NULL);
    nghttp2_session *session = http2->session;
    http2->session = NULL;
    nghttp2_session_del(session);
}

/* All that is left to do is to see the peer take our last bytes, and to throw
 * away what it sends meanwhile. */
static void linger(struct http2 *http2)
{
    http2->phase = http2->input_ended ? HTTP2_CLOSED : HTTP2_LINGER;
    http2->since = http2__now(http2);
    close_session(http2);
}

void http2__drop(struct http2 *http2)
{
    if (http2->phase == HTTP2_LIVE) {
        drop_streams(http2);
        close_session(http2);
    }
    http2->phase = HTTP2_CLOSED;
    out__clear(&http2->out);
}

/* By hand, as nghttp2 may be unable to. */
static void write_goaway(struct http2 *http2)
{
    char frame[FRAME_HEAD_BYTES + GOAWAY_FIXED_BYTES] = {0};
    size_t words = http2->words ? strlen(http2->words) : 0;
    int32_t last = nghttp2_session_get_last_proc_stream_id(http2->session);
    CHECK(words < 256 - GOAWAY_FIXED_BYTES && last >= 0);
    frame[2] = (char)(GOAWAY_FIXED_BYTES + words);
    frame[3] = NGHTTP2_GOAWAY;
    put_be32(frame + FRAME_HEAD_BYTES, (uint32_t)last);
    put_be32(frame + FRAME_HEAD_BYTES + 4, http2->failure);
    out__append(&http2->out, frame, sizeof frame);
    out__append(&http2->out, http2->words, words);
}

/* ---- the work loop --------------------------------------------------------
 */

/* As long as there is room, what nghttp2 has to say; it asks the streams. */
static void pump(struct http2 *http2)
{
    while (!http2->fails &&
           out__size(&http2->out) < LIMIT_HTTP_OUT_HIGH_BYTES) {
        const uint8_t *bytes;
        ssize_t size = nghttp2_session_mem_send(http2->session, &bytes);
        if (size < 0)
            http2__note(http2, (int)size);
        if (size <= 0)
            return;
        out__append(&http2->out, bytes, (size_t)size);
    }
}

/* A peer that doesn't take its answers gets no new ones. (That the socket is
 * full says nothing: a large answer keeps it so, and small ones go between.) */
static bool may_begin(const struct http2 *http2)
{
    return http2->queued_bytes <= HTTP2_QUEUED_BYTES_MAX;
}

static void hand_over(struct http2 *http2, struct stream *stream)
{
    struct http_exchange *exchange = &stream->exchange;
    CHECK_EQ(stream->state, STREAM_READY);
    list_remove(&stream->place);
    stream->state = STREAM_OPEN;
    if (stream->body.size)
        exchange->request.body = buf_slice(&stream->body);
    http2->config.server->on_request(http2->config.server, exchange);
}

/* Returns whether there was a request. */
static bool hand_over_next(struct http2 *http2)
{
    struct list *node = list_first(&http2->ready);
    if (node == NULL || !may_begin(http2))
        return false;
    hand_over(http2, CONTAINER_OF(node, struct stream, place));
    return true;
}

/* nghttp2 has said and heard all that it wants to. */
static bool is_session_over(const struct http2 *http2)
{
    return !nghttp2_session_want_read(http2->session) &&
           !nghttp2_session_want_write(http2->session);
}

static void end_session(struct http2 *http2)
{
    drop_streams(http2);
    if (http2->fails)
        write_goaway(http2);
    linger(http2);
}

/* What an operation began ends here only where no owner has to be told. */
static bool may_end(const struct http2 *http2, bool is_operation)
{
    if (!http2->fails && !is_session_over(http2))
        return false;
    return !is_operation || list_is_empty(&http2->streams);
}

static void work(struct http2 *http2, bool is_operation)
{
    if (http2->phase != HTTP2_LIVE)
        return;
    http2__open_windows(http2);
    do {
        pump(http2);
        if (is_operation || http2->fails)
            break;
        tell_gone(http2);
        http2__tell_drained(http2);
    } while (hand_over_next(http2));
    if (!is_operation && !http2->fails)
        pump(http2);
    if (may_end(http2, is_operation))
        end_session(http2);
}

/* Who comes in from the host without a time gives `http2->now_ms`. */
static void enter(struct http2 *http2, int64_t now_ms, bool is_old)
{
    CHECK(!http2->busy);
    http2->busy = true;
    http2->unsettled = false; /* what is done now is more than that */
    http2->now_ms = now_ms;
    http2->now_is_old = is_old;
}

static void leave(struct http2 *http2, bool is_operation)
{
    work(http2, is_operation);
    bool waits = out__size(&http2->out) > 0;
    if (waits && !http2->out_waits)
        http2->out_since = http2__now(http2);
    http2->out_waits = waits;
    http2->busy = false;
}

/* The host may free the connection in on_output. One that is to end has
 * something for the host to do, if only to come back. */
static void notify(struct http2 *http2)
{
    if (http2->config.on_output != NULL &&
        (http2->out_waits || http2_is_finished(http2)))
        http2->config.on_output(http2->config.context);
}

void http2__settle(struct http2 *http2)
{
    if (http2->busy || http2->unsettled)
        return;
    if (http2->config.is_lazy && http2->config.on_output != NULL) {
        http2->unsettled = true;
        http2->config.on_output(http2->config.context);
        return;
    }
    enter(http2, http2->now_ms, true);
    leave(http2, true);
    notify(http2);
}

/* ---- life -----------------------------------------------------------------
 */

static void check_config(const struct http2_config *config)
{
    CHECK(config->server != NULL && config->server->on_request != NULL);
    CHECK(config->streams_max > 0);
    CHECK(config->head_bytes_max > 0);
    CHECK_LE(config->head_bytes_max, LIMIT_HTTP_HEAD_BYTES_MAX);
    CHECK_LE(config->header_count_max, LIMIT_HTTP_HEADER_COUNT_MAX);
}

struct http2 *http2_new(const struct http2_config *config, struct slice peer,
                        int64_t now_ms)
{
    check_config(config);
    struct http2 *http2 = mem_alloc_zero(sizeof *http2 + peer.size);
    http2->config = *config;
    http2->peer_size = peer.size;
    if (peer.size)
        memcpy(http2->peer, peer.at, peer.size);
    http2->now_ms = now_ms;
    http2->since = http2->head_at = http2__now(http2);
    list_init(&http2->streams);
    list_init(&http2->gathering);
    list_init(&http2->ready);
    list_init(&http2->gone);
    list_init(&http2->sending);
    list_init(&http2->waiting);
    list_init(&http2->drained);
    calm__start(http2);
    spare__join();
    http2__open_session(http2);
    enter(http2, now_ms, false);
    leave(http2, false);
    return http2;
}

void http2_free(struct http2 *http2)
{
    if (http2 == NULL)
        return;
    CHECK(!http2->busy);
    http2->busy = true;
    http2__drop(http2);
    LIST_EACH (node, &http2->streams) {
        stream__release(CONTAINER_OF(node, struct stream, link));
    }
    CHECK_EQ(http2->stream_count, 0);
    CHECK_EQ(http2->queued_bytes, 0);
    CHECK_EQ(http2->gathered_bytes, 0);
    mem_free(http2);
    spare__leave();
}

/* ---- the host's side ------------------------------------------------------
 */

void http2_input(struct http2 *http2, struct slice bytes, int64_t now_ms)
{
    enter(http2, now_ms, false);
    CHECK(!http2->input_ended);
    if (http2->phase == HTTP2_LIVE && !http2->fails && bytes.size > 0) {
        ssize_t used = nghttp2_session_mem_recv(
            http2->session, (const uint8_t *)bytes.at, bytes.size);
        CHECK(used < 0 || (size_t)used == bytes.size);
        http2__note(http2, used < 0 ? (int)used : 0);
        http2->since = http2__now(http2);
        http2->asked = false;
    }
    leave(http2, false);
}

bool http2_wants_input(const struct http2 *http2)
{
    if (http2->input_ended || http2->phase == HTTP2_CLOSED)
        return false;
    return http2->phase == HTTP2_LINGER ||
           out__size(&http2->out) < LIMIT_HTTP_OUT_HIGH_BYTES ||
           nghttp2_session_get_outbound_queue_size(http2->session) <
               HELD_FRAMES_MAX;
}

void http2_input_end(struct http2 *http2)
{
    enter(http2, http2->now_ms, true);
    http2->input_ended = true;
    if (http2->phase == HTTP2_LIVE)
        http2__drop(http2);
    else
        http2->phase = HTTP2_CLOSED;
    leave(http2, false);
    notify(http2);
}

size_t http2_output(struct http2 *http2, struct slice *out, size_t max)
{
    if (http2->unsettled) {
        enter(http2, http2->now_ms, true);
        leave(http2, true);
    }
    return out__slices(&http2->out, out, max);
}

void http2_sent(struct http2 *http2, size_t size, int64_t now_ms)
{
    enter(http2, now_ms, false);
    if (size > 0) {
        out__sent(&http2->out, size);
        http2->out_since = http2__now(http2);
        http2->out_waits = out__size(&http2->out) > 0;
    }
    leave(http2, false);
}

size_t http2_held(const struct http2 *http2)
{
    return http2->held_bytes;
}

bool http2_is_finished(const struct http2 *http2)
{
    return http2->phase == HTTP2_CLOSED && out__size(&http2->out) == 0;
}

void http2_timeout(struct http2 *http2, int64_t now_ms)
{
    enter(http2, now_ms, false);
    http2__time_is_up(http2);
    leave(http2, false);
    notify(http2);
}

/* ---- stop -----------------------------------------------------------------
 */

/* It would never end by itself, or the server can't wait for its peer. */
static bool must_stop(const struct stream *stream)
{
    bool is_watch = stream->begun && stream->produce == NULL;
    return !stream->is_gone &&
           (is_watch || (stream->taken && !stream->input_ended));
}

static void stop_open(struct stream *stream)
{
    stream__tell_gone(stream);
    if (stream->state != STREAM_OPEN)
        return;
    if (!stream->taken) {
        http_end(&stream->exchange);
        return;
    }
    stream__end_request(stream);
    stream__reset(stream,
                  stream->begun ? NGHTTP2_CANCEL : NGHTTP2_REFUSED_STREAM);
}

/* Who is told may end others, too: they leave the list. */
static void stop_all_open(struct list *open)
{
    struct list *node;
    while ((node = list_first(open)) != NULL) {
        struct stream *stream = CONTAINER_OF(node, struct stream, place);
        list_remove(&stream->place);
        stop_open(stream);
    }
}

static void stop_streams(struct http2 *http2)
{
    struct list open;
    list_init(&open);
    LIST_EACH (node, &http2->streams) {
        struct stream *stream = CONTAINER_OF(node, struct stream, link);
        switch (stream->state) {
        case STREAM_HEAD:
        case STREAM_BODY:
        case STREAM_READY:
            stream__end_request(stream);
            stream__reset(stream, NGHTTP2_REFUSED_STREAM);
            break;
        case STREAM_OPEN:
            if (must_stop(stream))
                list_push_back(&open, &stream->place);
            break;
        case STREAM_ENDED:
            break;
        }
    }
    stop_all_open(&open);
}

static void go_away(struct http2 *http2)
{
    int32_t last = nghttp2_session_get_last_proc_stream_id(http2->session);
    http2__note(http2, nghttp2_submit_goaway(http2->session, NGHTTP2_FLAG_NONE,
                                             last, NGHTTP2_NO_ERROR, NULL, 0));
}

void http2_stop(struct http2 *http2)
{
    enter(http2, http2->now_ms, true);
    if (http2->phase == HTTP2_LIVE && !http2->stopping) {
        http2->stopping = true;
        go_away(http2);
        stop_streams(http2);
    }
    leave(http2, false);
    notify(http2);
}
