/* What a connection may cost.
 *
 * Each frame that asks for work and may lead to nothing costs; the frames of
 * answers earn, and so does time. So a client that cancels watches, opens
 * windows or measures its line with pings while it is served never runs dry,
 * however fast it is; one that does nothing else runs dry soon (rapid reset,
 * CVE-2023-44487; floods of PING, SETTINGS, PRIORITY, empty DATA,
 * CVE-2019-9512 to -9518; resets that it has us send, CVE-2025-8671). Frames
 * of unknown types are free: they are passed over, as the RFC has it.
 *
 * Beside that, pings have the rule of gRPC: see http2_config.ping_min_ms.
 */
#include <assert.h>

#include "base/check.h"
#include "base/limits.h"
#include "wire/http2_int.h"

static_assert((CONTINUATIONS_MAX + 1) * 16 * 1024 >
                  (int)LIMIT_HTTP_HEAD_BYTES_MAX,
              "a head of the largest size comes through, in usual frames");

enum {
    CALM_MAX = 4000,
    CALM_PER_SECOND = 400,

    COST_SMALL = 1, /* HEADERS, CONTINUATION, WINDOW_UPDATE, PRIORITY, .. */
    COST_EMPTY = 5, /* DATA with nothing in it, or nothing but padding */
    COST_PING = 5,
    COST_RESET = 5, /* of either side: a request for nothing */
    COST_SETTINGS = 20,
    EARNED = 4, /* HEADERS or DATA that we sent */

    STRIKES_MAX = 2,
    PING_UNUSED_MS = 2 * 60 * 60 * 1000,
};

void calm__start(struct http2 *http2)
{
    http2->calm = CALM_MAX;
    http2->calm_ms = http2->now_ms;
    http2->pinged_ms = -1;
}

static void earn(struct http2 *http2, int64_t more)
{
    CHECK(more >= 0);
    http2->calm += more;
    if (http2->calm > CALM_MAX)
        http2->calm = CALM_MAX;
}

static void earn_by_time(struct http2 *http2)
{
    int64_t passed_ms = http2->now_ms - http2->calm_ms;
    if (passed_ms >= CALM_MAX * 1000 / CALM_PER_SECOND) {
        http2->calm = CALM_MAX;
        http2->calm_ms = http2->now_ms;
    } else if (passed_ms > 0) {
        int64_t earned = passed_ms * CALM_PER_SECOND / 1000;
        earn(http2, earned);
        http2->calm_ms += earned * 1000 / CALM_PER_SECOND;
    }
}

static void spend(struct http2 *http2, int64_t cost, const char *words)
{
    if (http2->calm < cost)
        earn_by_time(http2);
    http2->calm -= cost;
    if (http2->calm < 0)
        http2__fail(http2, NGHTTP2_ENHANCE_YOUR_CALM, words);
}

/* ---- pings ----------------------------------------------------------------
 */

static void hear_ping(struct http2 *http2)
{
    spend(http2, COST_PING, "too_many_pings");
    int64_t before_ms = http2->pinged_ms;
    http2->pinged_ms = http2->now_ms;
    if (http2->spoke || http2->config.ping_min_ms == 0) {
        http2->spoke = false;
        http2->strikes = 0;
        return;
    }
    int64_t min_ms =
        http2->stream_count ? http2->config.ping_min_ms : PING_UNUSED_MS;
    if (before_ms < 0 || http2->now_ms - before_ms >= min_ms)
        return;
    http2->strikes++;
    if (http2->strikes > STRIKES_MAX)
        http2__fail(http2, NGHTTP2_ENHANCE_YOUR_CALM, "too_many_pings");
}

static void hear_pong(struct http2 *http2)
{
    if (!http2->asked)
        spend(http2, COST_PING, "too_many_pings");
}

/* ---- frames ---------------------------------------------------------------
 */

static void hear_continuation(struct http2 *http2)
{
    spend(http2, COST_SMALL, "too many continuations");
    http2->continuations++;
    if (http2->continuations > CONTINUATIONS_MAX)
        http2__fail(http2, NGHTTP2_ENHANCE_YOUR_CALM, "too many continuations");
}

void calm__heard(struct http2 *http2, const nghttp2_frame_hd *frame)
{
    bool is_ack = (frame->flags & NGHTTP2_FLAG_ACK) != 0;
    switch (frame->type) {
    case NGHTTP2_DATA:
        if (frame->length == 0 && !(frame->flags & NGHTTP2_FLAG_END_STREAM))
            spend(http2, COST_EMPTY, "too much empty data");
        break;
    case NGHTTP2_HEADERS: /* what becomes of it earns, or costs more */
        spend(http2, COST_SMALL, "too many requests");
        http2->continuations = 0;
        break;
    case NGHTTP2_CONTINUATION:
        hear_continuation(http2);
        break;
    case NGHTTP2_RST_STREAM:
        spend(http2, COST_RESET, "too many resets");
        break;
    case NGHTTP2_SETTINGS:
        if (!is_ack)
            spend(http2, COST_SETTINGS, "too many settings");
        break;
    case NGHTTP2_PING:
        if (is_ack)
            hear_pong(http2);
        else
            hear_ping(http2);
        break;
    default:
        spend(http2, COST_SMALL, "too many frames");
        break;
    }
}

void calm__heard_padding(struct http2 *http2)
{
    spend(http2, COST_EMPTY, "too much empty data");
}

/* What we reset for our own sake, by an operation or at a stop, isn't the
 * peer's to pay; a request that is none always is. */
static bool is_provoked(struct http2 *http2, const nghttp2_frame *frame)
{
    const struct stream *stream = nghttp2_session_get_stream_user_data(
        http2->session, frame->hd.stream_id);
    bool is_ours = stream != NULL && (stream->is_reset || stream->failed) &&
                   frame->rst_stream.error_code != NGHTTP2_PROTOCOL_ERROR;
    return frame->rst_stream.error_code != NGHTTP2_NO_ERROR && !is_ours &&
           !http2->stopping;
}

void calm__said(struct http2 *http2, const nghttp2_frame *frame)
{
    switch (frame->hd.type) {
    case NGHTTP2_DATA:
    case NGHTTP2_HEADERS:
        http2->spoke = true;
        earn(http2, EARNED);
        break;
    case NGHTTP2_RST_STREAM:
        if (is_provoked(http2, frame))
            spend(http2, COST_RESET, "too many resets");
        break;
    default:
        break;
    }
}
