/* How long things may take. */
#include "wire/http2_int.h"

/* ---- deadlines ------------------------------------------------------------
 */

/* A limit of 0 is none. */
static int64_t deadline_of(struct instant since, int64_t limit_ms)
{
    if (limit_ms <= 0 || since.ms > INT64_MAX - limit_ms)
        return INT64_MAX;
    return since.ms + limit_ms;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t stall_deadline(const struct http2 *http2)
{
    return http2->out_waits
               ? deadline_of(http2->out_since, http2->config.stall_ms)
               : INT64_MAX;
}

/* Of a PING of ours, or of the answer to it. */
static int64_t ping_deadline(const struct http2 *http2)
{
    const struct http2_config *config = &http2->config;
    if (http2->asked)
        return deadline_of(http2->asked_at, config->keepalive_timeout_ms);
    return deadline_of(http2->since, config->keepalive_ms);
}

static int64_t head_deadline(const struct http2 *http2)
{
    return http2->started && !http2->in_head
               ? INT64_MAX
               : deadline_of(http2->head_at, http2->config.head_ms);
}

/* What isn't taken is watched by stall_ms. */
static int64_t idle_deadline(const struct http2 *http2)
{
    return http2->stream_count > 0 || http2->out_waits
               ? INT64_MAX
               : deadline_of(http2->since, http2->config.idle_ms);
}

static int64_t body_deadline(const struct http2 *http2)
{
    int64_t deadline = INT64_MAX;
    for (const struct list *node = http2->gathering.next;
         node != &http2->gathering; node = node->next) {
        const struct stream *stream = CONTAINER_OF(node, struct stream, place);
        deadline = earlier(deadline,
                           deadline_of(stream->since, http2->config.body_ms));
    }
    return deadline;
}

/* The first of `sending` waits longest. */
static int64_t sending_deadline(const struct http2 *http2)
{
    if (list_is_empty(&http2->sending))
        return INT64_MAX;
    const struct stream *stream =
        CONTAINER_OF(http2->sending.next, struct stream, sends);
    return deadline_of(stream->sent, http2->config.stall_ms);
}

int64_t http2_deadline_ms(const struct http2 *http2)
{
    int64_t deadline = stall_deadline(http2);
    if (http2->phase == HTTP2_CLOSED)
        return deadline;
    if (http2->phase == HTTP2_LINGER)
        return earlier(deadline, deadline_of(http2->since, HTTP2_LINGER_MS));
    if (http2->fails) /* an operation found it: its end waits for the host */
        return http2->now_ms;
    deadline = earlier(deadline, ping_deadline(http2));
    deadline = earlier(deadline, head_deadline(http2));
    deadline = earlier(deadline, idle_deadline(http2));
    deadline = earlier(deadline, body_deadline(http2));
    return earlier(deadline, sending_deadline(http2));
}

/* ---- when one has come ----------------------------------------------------
 */

static void freshen(struct instant *instant, int64_t now_ms)
{
    if (instant->stale)
        *instant = (struct instant){.ms = now_ms};
}

static void freshen_all(struct http2 *http2)
{
    int64_t now_ms = http2->now_ms;
    freshen(&http2->since, now_ms);
    freshen(&http2->out_since, now_ms);
    freshen(&http2->head_at, now_ms);
    freshen(&http2->asked_at, now_ms);
    LIST_EACH (node, &http2->gathering) {
        freshen(&CONTAINER_OF(node, struct stream, place)->since, now_ms);
    }
    LIST_EACH (node, &http2->sending) {
        freshen(&CONTAINER_OF(node, struct stream, sends)->sent, now_ms);
    }
}

static void refuse_late_bodies(struct http2 *http2)
{
    LIST_EACH (node, &http2->gathering) {
        struct stream *stream = CONTAINER_OF(node, struct stream, place);
        if (http2->now_ms >= deadline_of(stream->since, http2->config.body_ms))
            stream__refuse(stream, 408, NULL);
    }
}

/* The stream's owner, if it has one yet, hears of it when nghttp2 closes it. */
static void reset_stalled(struct http2 *http2)
{
    while (http2->now_ms >= sending_deadline(http2)) {
        struct stream *stream =
            CONTAINER_OF(http2->sending.next, struct stream, sends);
        stream__reset(stream, NGHTTP2_CANCEL);
    }
}

static void ask(struct http2 *http2)
{
    http2__note(http2,
                nghttp2_submit_ping(http2->session, NGHTTP2_FLAG_NONE, NULL));
    http2->asked = true;
    http2->asked_at = http2__now(http2);
}

static void end_idle(struct http2 *http2)
{
    http2__note(http2, nghttp2_session_terminate_session(http2->session,
                                                         NGHTTP2_NO_ERROR));
}

static void live_timeout(struct http2 *http2)
{
    int64_t now_ms = http2->now_ms;
    if (now_ms >= stall_deadline(http2) ||
        (http2->asked && now_ms >= ping_deadline(http2))) {
        http2__drop(http2);
        return;
    }
    if (now_ms >= head_deadline(http2)) {
        http2__fail(http2, NGHTTP2_PROTOCOL_ERROR, "too slow");
        return;
    }
    refuse_late_bodies(http2);
    reset_stalled(http2);
    if (now_ms >= idle_deadline(http2))
        end_idle(http2);
    else if (!http2->asked && now_ms >= ping_deadline(http2))
        ask(http2);
}

void http2__time_is_up(struct http2 *http2)
{
    freshen_all(http2);
    if (http2->phase == HTTP2_LIVE)
        live_timeout(http2);
    else if (http2->now_ms >= stall_deadline(http2))
        http2__drop(http2);
    else if (http2->now_ms >= deadline_of(http2->since, HTTP2_LINGER_MS))
        http2->phase = HTTP2_CLOSED;
}
