#include "wire/http1.h"

#include <assert.h>

#include "base/check.h"
#include "base/limits.h"
#include "wire/http1_int.h"
#include "wire/spare_int.h"

static_assert(sizeof(struct http1) + SPARE_BLOCK_BYTES <= 1984,
              "a connection that waits for an event holds less than 2 KiB");

/* ---- life -----------------------------------------------------------------
 */

struct http1 *http1_new(const struct http1_config *config, struct slice peer,
                        int64_t now_ms)
{
    CHECK(config->server != NULL && config->server->on_request != NULL);
    CHECK(config->head_bytes_max > 0);
    CHECK_LE(config->head_bytes_max, LIMIT_HTTP_HEAD_BYTES_MAX);
    CHECK_LE(config->header_count_max, LIMIT_HTTP_HEADER_COUNT_MAX);
    struct http1 *http1 = mem_alloc_zero(sizeof *http1 + peer.size);
    http1->config = *config;
    http1->exchange.ops = &http1__ops;
    http1->exchange.arena = &http1->arena;
    http1->peer_size = peer.size;
    if (peer.size)
        memcpy(http1->peer, peer.at, peer.size);
    http1->now_ms = now_ms;
    http1->since = (struct moment){.ms = now_ms};
    spare__join();
    return http1;
}

void http1_free(struct http1 *http1)
{
    if (http1 == NULL)
        return;
    CHECK(!http1->busy);
    http1->busy = true;
    http1__drop(http1);
    buf_deinit(&http1->in);
    mem_free(http1);
    spare__leave();
}

/* ---- phases and time ------------------------------------------------------
 */

static struct moment now(const struct http1 *http1)
{
    return (struct moment){http1->now_ms, http1->now_is_old};
}

void http1__enter(struct http1 *http1, enum phase phase)
{
    CHECK(http1->phase != PHASE_CLOSING || phase == PHASE_LINGER);
    http1->phase = phase;
    http1->since = now(http1);
}

/* `in` may be read by a caller: leave() frees it. */
void http1__close(struct http1 *http1)
{
    CHECK(http1->block == NULL);
    http1->phase = PHASE_CLOSING;
}

/* Who comes in from the host without a time gives `http1->now_ms`. */
static void enter(struct http1 *http1, int64_t now_ms, bool is_old)
{
    CHECK(!http1->busy);
    http1->busy = true;
    http1->now_ms = now_ms;
    http1->now_is_old = is_old;
}

static void note_output(struct http1 *http1)
{
    size_t size = out__size(&http1->out);
    if (size > 0 && !http1->out_waits)
        http1->out_since = now(http1);
    http1->out_waits = size > 0;
    if (size > LIMIT_HTTP_OUT_HIGH_BYTES)
        http1->over_high = true;
}

/* ---- input ----------------------------------------------------------------
 */

static bool may_begin(const struct http1 *http1)
{
    return out__size(&http1->out) <= LIMIT_HTTP_OUT_HIGH_BYTES;
}

/* One step with the bytes from *at on; false when there is none. */
static bool step(struct http1 *http1, const char **at, const char *end)
{
    switch (http1->phase) {
    case PHASE_IDLE:
        if (*at == end || !may_begin(http1))
            return false;
        http1__begin_request(http1);
        return true;
    case PHASE_HEAD:
        return http1__read_head(http1, at, end);
    case PHASE_BODY:
        return http1__read_body(http1, at, end);
    case PHASE_OPEN:
        return false;
    case PHASE_LINGER:
    case PHASE_CLOSING:
        *at = end;
        return false;
    }
    UNREACHABLE();
}

/* Returns how many bytes are used; of a head that isn't complete, none. */
static size_t read_all(struct http1 *http1, struct slice bytes)
{
    const char *at = bytes.at;
    const char *end = bytes.at + bytes.size;
    while (step(http1, &at, end))
        ;
    return (size_t)(at - bytes.at);
}

static size_t ahead_bytes(const struct http1 *http1)
{
    return http1->in.size - http1->in_at;
}

static void keep(struct http1 *http1, struct slice bytes)
{
    if (http1->in_at > 0 && http1->in_at >= ahead_bytes(http1)) {
        buf_consume(&http1->in, http1->in_at);
        http1->in_at = 0;
    }
    buf_append_slice(&http1->in, bytes);
}

static void read_kept(struct http1 *http1)
{
    struct slice bytes =
        slice_of(http1->in.at + http1->in_at, ahead_bytes(http1));
    http1->in_at += read_all(http1, bytes);
    if (ahead_bytes(http1) == 0) {
        buf_deinit(&http1->in);
        http1->in_at = 0;
    }
}

/* ---- the work loop --------------------------------------------------------
 */

static bool wants_piece(const struct http1 *http1)
{
    return http1->phase == PHASE_OPEN && http1->produce != NULL &&
           out__size(&http1->out) < LIMIT_HTTP_OUT_LOW_BYTES;
}

/* A head that isn't complete has been read as far as it is here. */
static bool has_next_request(const struct http1 *http1)
{
    return http1->phase == PHASE_IDLE && ahead_bytes(http1) > 0 &&
           may_begin(http1);
}

static void work(struct http1 *http1)
{
    for (;;) {
        if (wants_piece(http1))
            http1__pull(http1);
        else if (has_next_request(http1))
            read_kept(http1);
        else
            break;
    }
}

/* Nothing more comes: what isn't whole will never be. */
static void close_if_ended(struct http1 *http1)
{
    bool is_reading = http1->phase == PHASE_HEAD ||
                      http1->phase == PHASE_BODY ||
                      (http1->phase == PHASE_IDLE && ahead_bytes(http1) == 0);
    if (!http1->input_ended || !is_reading)
        return;
    http1__release_request(http1);
    http1__close(http1);
}

static void leave(struct http1 *http1)
{
    work(http1);
    close_if_ended(http1);
    if (http1->phase == PHASE_CLOSING || http1->phase == PHASE_LINGER) {
        buf_deinit(&http1->in);
        http1->in_at = 0;
    }
    note_output(http1);
    http1->busy = false;
}

/* The host may free the connection in on_output. */
static void notify(struct http1 *http1)
{
    if (http1->config.on_output != NULL &&
        (http1->out_waits || http1_is_finished(http1)))
        http1->config.on_output(http1->config.context);
}

void http1__settle(struct http1 *http1)
{
    if (http1->busy)
        return;
    enter(http1, http1->now_ms, true);
    leave(http1);
    notify(http1);
}

void http1_input(struct http1 *http1, struct slice bytes, int64_t now_ms)
{
    enter(http1, now_ms, false);
    CHECK(!http1->input_ended);
    if (ahead_bytes(http1) > 0) {
        keep(http1, bytes);
        read_kept(http1);
    } else if (bytes.size > 0) {
        size_t used = read_all(http1, bytes);
        CHECK_LE(used, bytes.size);
        if (used < bytes.size)
            keep(http1, slice_of(bytes.at + used, bytes.size - used));
    }
    leave(http1);
}

bool http1_wants_input(const struct http1 *http1)
{
    switch (http1->phase) {
    case PHASE_IDLE:
    case PHASE_OPEN:
        return !http1->input_ended &&
               ahead_bytes(http1) < HTTP1_AHEAD_BYTES_MAX;
    case PHASE_HEAD:
    case PHASE_BODY:
    case PHASE_LINGER:
        return !http1->input_ended;
    case PHASE_CLOSING:
        return false;
    }
    UNREACHABLE();
}

/* An answer that comes piece by piece as things happen. Its peer waits for
 * events and not for an end; one that closes its half doesn't wait. */
static bool is_watch(const struct http1 *http1)
{
    return http1->phase == PHASE_OPEN && http1->begun && http1->produce == NULL;
}

/* A peer may send its request, close its half and read the answer (nc -N). If
 * the answer hasn't begun and somebody minds whether the peer is there, we
 * can't know which of both it is: it gets its answer if that comes soon. */
static bool is_half_closed(const struct http1 *http1)
{
    return http1->input_ended && http1->phase == PHASE_OPEN &&
           http1->exchange.on_gone != NULL && http1->produce == NULL;
}

void http1_input_end(struct http1 *http1)
{
    enter(http1, http1->now_ms, true);
    if (!http1->input_ended) {
        http1->input_ended = true;
        if (is_watch(http1))
            http1__drop(http1);
        else if (http1->phase == PHASE_LINGER)
            http1__close(http1);
        else if (http1->phase == PHASE_OPEN)
            http1->since = now(http1);
    }
    leave(http1);
    notify(http1);
}

/* ---- output ---------------------------------------------------------------
 */

size_t http1_output(struct http1 *http1, struct slice *out, size_t max)
{
    return out__slices(&http1->out, out, max);
}

static void tell_drained(struct http1 *http1)
{
    if (!http1->over_high || out__size(&http1->out) >= LIMIT_HTTP_OUT_LOW_BYTES)
        return;
    http1->over_high = false;
    if (http1->phase == PHASE_OPEN && http1->exchange.on_drained != NULL)
        http1->exchange.on_drained(&http1->exchange);
}

void http1_sent(struct http1 *http1, size_t size, int64_t now_ms)
{
    enter(http1, now_ms, false);
    if (size > 0) {
        out__sent(&http1->out, size);
        http1->out_since = now(http1);
        http1->out_waits = out__size(&http1->out) > 0;
        if (http1->phase == PHASE_IDLE)
            http1->since = now(http1);
        tell_drained(http1);
    }
    leave(http1);
}

size_t http1_held(const struct http1 *http1)
{
    if (http1->phase == PHASE_BODY)
        return http1->body.size;
    bool waits = http1->phase == PHASE_OPEN && !http1->begun;
    return waits ? http1->exchange.request.body.size : 0;
}

bool http1_is_finished(const struct http1 *http1)
{
    return http1->phase == PHASE_CLOSING && out__size(&http1->out) == 0;
}

/* ---- time -----------------------------------------------------------------
 */

/* A limit of 0 is none. */
static int64_t deadline_of(struct moment since, int64_t limit_ms)
{
    if (limit_ms <= 0 || since.ms > INT64_MAX - limit_ms)
        return INT64_MAX;
    return since.ms + limit_ms;
}

static int64_t phase_limit_ms(const struct http1 *http1)
{
    switch (http1->phase) {
    case PHASE_IDLE: /* what isn't taken is watched by stall_ms */
        return http1->out_waits ? 0 : http1->config.idle_ms;
    case PHASE_HEAD:
        return http1->config.head_ms;
    case PHASE_BODY:
        return http1->config.body_ms;
    case PHASE_OPEN:
        return is_half_closed(http1) ? HTTP1_HALF_CLOSED_MS : 0;
    case PHASE_LINGER:
        return HTTP1_LINGER_MS;
    case PHASE_CLOSING:
        return 0;
    }
    UNREACHABLE();
}

static int64_t phase_deadline_ms(const struct http1 *http1)
{
    return deadline_of(http1->since, phase_limit_ms(http1));
}

static int64_t stall_deadline_ms(const struct http1 *http1)
{
    return http1->out_waits
               ? deadline_of(http1->out_since, http1->config.stall_ms)
               : INT64_MAX;
}

int64_t http1_deadline_ms(const struct http1 *http1)
{
    int64_t phase = phase_deadline_ms(http1);
    int64_t stall = stall_deadline_ms(http1);
    return phase < stall ? phase : stall;
}

static void freshen(struct moment *moment, int64_t now_ms)
{
    if (moment->stale)
        *moment = (struct moment){.ms = now_ms};
}

void http1_timeout(struct http1 *http1, int64_t now_ms)
{
    enter(http1, now_ms, false);
    freshen(&http1->since, now_ms);
    freshen(&http1->out_since, now_ms);
    if (now_ms >= stall_deadline_ms(http1)) {
        http1__drop(http1);
    } else if (now_ms >= phase_deadline_ms(http1)) {
        if (http1->phase == PHASE_HEAD || http1->phase == PHASE_BODY)
            http1__refuse(http1, 408, NULL);
        else if (http1->phase == PHASE_OPEN)
            http1__drop(http1);
        else
            http1__close(http1);
    }
    leave(http1);
    notify(http1);
}

/* ---- stop -----------------------------------------------------------------
 */

/* A watch would never end by itself: its body ends here and properly, unless
 * its owner has ended it when told. */
static void end_watch(struct http1 *http1)
{
    http1__tell_gone(http1);
    if (http1->phase == PHASE_OPEN)
        http_end(&http1->exchange);
}

void http1_stop(struct http1 *http1)
{
    enter(http1, http1->now_ms, true);
    http1->stopping = true;
    if (is_watch(http1)) {
        end_watch(http1);
    } else if (http1->phase != PHASE_OPEN && http1->phase != PHASE_LINGER &&
               http1->phase != PHASE_CLOSING) {
        http1__release_request(http1);
        http1__close(http1);
    }
    leave(http1);
    notify(http1);
}
