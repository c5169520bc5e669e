/* An HTTP/2 connection fed with any frames, in pieces and with pauses that the
 * input chooses, whose api and taker answer in every way that they have. What
 * comes out must be frames in an order that a peer can read, bounded while it
 * isn't taken, and every owner must hear of his exchange's end once.
 *
 * The input: one byte that seeds the choices, one that says what the peer is
 * like, then what it sends behind its preface.
 */
#include <nghttp2/nghttp2.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/prng.h"
#include "wire/http2.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum {
    HELD_MAX = 16,
    WATCHED_STREAMS = 256,
    FRAME_HEAD_BYTES = 9,
    FRAME_BYTES_MAX = 16384,
    /* What nghttp2 may have ready beyond the bound: a frame or two. */
    OUT_BYTES_MAX = LIMIT_HTTP_OUT_HIGH_BYTES + 64 * 1024,
};

struct side {
    struct http_server server;
    struct http2_streaming streaming;
    struct http2 *http2;
    struct prng prng;
    struct http_exchange *held[HELD_MAX];
    bool begun[HELD_MAX];
    int held_count;
    int64_t now_ms;
    /* What came out and isn't a whole frame yet, and what each stream said. */
    struct buf out;
    bool has_head[WATCHED_STREAMS], has_end[WATCHED_STREAMS];
    bool went_away;
    bool takes;
};

static bool flips(struct side *side, uint64_t one_in)
{
    return prng_below(&side->prng, one_in) == 0;
}

/* ---- the api and the taker ---------------------------------------------- */

static void forget(struct http_exchange *exchange)
{
    struct side *side = exchange->context;
    for (int i = 0; i < side->held_count; i++) {
        if (side->held[i] != exchange)
            continue;
        side->held[i] = side->held[--side->held_count];
        side->begun[i] = side->begun[side->held_count];
        return;
    }
    UNREACHABLE();
}

/* What is told of its end may try to say something. */
static void on_gone(struct http_exchange *exchange)
{
    struct side *side = exchange->context;
    forget(exchange);
    if (flips(side, 2))
        http_fail(exchange);
}

struct made {
    struct side *side;
    int pieces_left;
};

static enum http_more produce(struct http_exchange *exchange, void *context,
                              struct buf *out)
{
    struct made *made = context;
    CHECK(made->pieces_left > 0);
    if (flips(made->side, 50)) {
        http_fail(exchange);
        return HTTP_LAST;
    }
    size_t size = (size_t)prng_below(&made->side->prng, 50 * 1000);
    if (size)
        memset(buf_extend(out, size), 'm', size);
    return --made->pieces_left > 0 ? HTTP_MORE : HTTP_LAST;
}

static void send_some(struct side *side, struct http_exchange *exchange)
{
    size_t size = (size_t)prng_below(&side->prng, 40 * 1000) + 1;
    if (http_unsent(exchange) > LIMIT_HTTP_OUT_HIGH_BYTES)
        return;
    struct refbuf *piece = refbuf_new(size);
    memset(piece->bytes, 's', size);
    if (flips(side, 2))
        http_send_shared(exchange, piece);
    else
        http_send(exchange, slice_of(piece->bytes, size));
    refbuf_unref(piece);
}

static void begin(struct side *side, int which)
{
    struct http_exchange *exchange = side->held[which];
    http_begin(exchange, 200, NULL, 0);
    side->begun[which] = true;
    send_some(side, exchange);
}

static void hold(struct side *side, struct http_exchange *exchange)
{
    if (side->held_count == HELD_MAX) {
        http_respond(exchange, 503, NULL, 0, SLICE("full"));
        return;
    }
    int which = side->held_count++;
    exchange->context = side;
    exchange->on_gone = on_gone;
    side->held[which] = exchange;
    side->begun[which] = false;
    if (flips(side, 2))
        begin(side, which);
}

static void make(struct side *side, struct http_exchange *exchange)
{
    struct made *made = arena_alloc(exchange->arena, sizeof *made);
    *made = (struct made){side, 1 + (int)prng_below(&side->prng, 10)};
    http_begin(exchange, 200, NULL, 0);
    http_produce_body(exchange, produce, made);
}

static void check_request(const struct http_request *request)
{
    CHECK(request->path.size > 0);
    CHECK(request->path.at[0] == '/' || request->path.at[0] == '*');
    CHECK(slice_find(request->path, ' ') < 0);
    CHECK(slice_find(request->query, ' ') < 0);
    CHECK(request->method_text.size > 0);
    CHECK(http_header_get(request, "Host").at != NULL);
    for (size_t i = 0; i < request->header_count; i++) {
        struct http_header *header = &request->headers[i];
        CHECK(header->name.size > 0 && slice_find(header->name, ':') < 0);
        CHECK(slice_find(header->value, '\n') < 0);
        CHECK(slice_find(header->value, '\r') < 0);
    }
}

static void on_request(struct http_server *server,
                       struct http_exchange *exchange)
{
    struct side *side = (struct side *)server;
    const struct http_request *request = &exchange->request;
    check_request(request);
    CHECK_LE(request->body.size, 4096);
    switch (slice_hash(request->path, 1) % 4) {
    case 0:
        make(side, exchange);
        break;
    case 1:
    case 2:
        hold(side, exchange);
        break;
    default:
        http_respond(exchange, 200, request->headers, 1, request->body);
    }
}

static struct side *side_of(struct http2_streaming *streaming)
{
    return (struct side *)(void *)((char *)streaming -
                                   offsetof(struct side, streaming));
}

static bool on_head(struct http2_streaming *streaming,
                    struct http_exchange *exchange)
{
    struct side *side = side_of(streaming);
    check_request(&exchange->request);
    if (exchange->request.method != HTTP_POST)
        return false;
    if (flips(side, 8))
        http2_respond_head(exchange, 200, NULL, 0);
    else
        hold(side, exchange);
    return true;
}

static void on_data(struct http2_streaming *streaming,
                    struct http_exchange *exchange, struct slice piece)
{
    CHECK(exchange->context == side_of(streaming) && piece.size > 0);
    if (!flips(side_of(streaming), 4))
        http2_consume(exchange, piece.size);
}

static void on_end(struct http2_streaming *streaming,
                   struct http_exchange *exchange)
{
    CHECK(exchange->context == side_of(streaming));
}

static void end(struct side *side, struct http_exchange *exchange, bool begun)
{
    const struct http_header trailer = {SLICE("status"), SLICE("0")};
    forget(exchange);
    exchange->on_gone = NULL;
    if (flips(side, 4))
        http_fail(exchange);
    else if (begun)
        http_end(exchange);
    else
        http_respond(exchange, 200, &trailer, 1, SLICE("late"));
}

/* What only a taken stream can. */
static void end_taken(struct side *side, struct http_exchange *exchange,
                      bool begun)
{
    const struct http_header trailer = {SLICE("status"), SLICE("0")};
    if (flips(side, 4)) {
        forget(exchange);
        http2_reset(exchange, NGHTTP2_CANCEL);
        return;
    }
    http2_trailers(exchange, &trailer, 1);
    end(side, exchange, begun);
}

/* One of those that are held goes on, or ends. */
static void go_on(struct side *side)
{
    if (side->held_count == 0)
        return;
    int which = (int)prng_below(&side->prng, (uint64_t)side->held_count);
    struct http_exchange *exchange = side->held[which];
    bool begun = side->begun[which];
    bool is_taken = side->takes && exchange->request.method == HTTP_POST;
    if (!flips(side, 3)) {
        if (begun)
            send_some(side, exchange);
        else
            begin(side, which);
    } else if (is_taken && flips(side, 2)) {
        end_taken(side, exchange, begun);
    } else {
        end(side, exchange, begun);
    }
}

/* ---- what comes out ----------------------------------------------------- */

static void check_frame(struct side *side, const char *head, size_t size)
{
    uint8_t type = (uint8_t)head[3];
    uint32_t id = get_be32(head + 5);
    bool ends = (head[4] & NGHTTP2_FLAG_END_STREAM) != 0;
    CHECK_LE(size, FRAME_BYTES_MAX);
    CHECK(type != NGHTTP2_GOAWAY || size >= 8);
    if (type == NGHTTP2_GOAWAY)
        side->went_away = true;
    if (id == 0 || id >= WATCHED_STREAMS)
        return;
    CHECK(id % 2 == 1);
    if (type == NGHTTP2_HEADERS || type == NGHTTP2_DATA) {
        CHECK(!side->has_end[id]);
        CHECK(type == NGHTTP2_HEADERS || side->has_head[id]);
        side->has_head[id] = true;
        side->has_end[id] = ends;
    } else if (type == NGHTTP2_RST_STREAM) {
        CHECK_EQ(size, 4);
        side->has_end[id] = true;
    }
}

static void check_frames(struct side *side)
{
    size_t at = 0;
    while (at + FRAME_HEAD_BYTES <= side->out.size) {
        const char *head = side->out.at + at;
        size_t size = get_be32(head) >> 8;
        if (at + FRAME_HEAD_BYTES + size > side->out.size)
            break;
        check_frame(side, head, size);
        at += FRAME_HEAD_BYTES + size;
    }
    buf_consume(&side->out, at);
}

static size_t take(struct side *side, size_t max)
{
    struct slice slices[4];
    size_t taken = 0;
    while (taken < max) {
        size_t count = http2_output(side->http2, slices, 4);
        if (count == 0)
            break;
        size_t size = slices[0].size;
        if (size > max - taken)
            size = max - taken;
        buf_append(&side->out, slices[0].at, size);
        http2_sent(side->http2, size, side->now_ms);
        taken += size;
    }
    check_frames(side);
    return taken;
}

static void check_bound(struct side *side)
{
    struct slice slices[512];
    size_t count = http2_output(side->http2, slices, 512);
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        CHECK(slices[i].size > 0);
        size += slices[i].size;
    }
    CHECK_LE(size, OUT_BYTES_MAX);
}

/* ---- a run -------------------------------------------------------------- */

static void start(struct side *side, uint64_t seed, unsigned kind)
{
    static const struct slice date = {"now", 3};
    struct http2_config config = {
        .server = &side->server,
        .streaming = kind & 1 ? NULL : &side->streaming,
        .streams_max = 20,
        .head_bytes_max = 1024,
        .header_count_max = 16,
        .body_bytes_max = 4096,
        .idle_ms = 1000,
        .head_ms = 1000,
        .body_ms = 1000,
        .stall_ms = 1000,
        .ping_min_ms = kind & 2 ? 100 : 0,
        .keepalive_ms = kind & 4 ? 500 : 0,
        .keepalive_timeout_ms = 200,
        .date = &date,
    };
    *side = (struct side){.server = {on_request},
                          .streaming = {on_head, on_data, on_end},
                          .takes = config.streaming != NULL};
    prng_init(&side->prng, seed);
    side->http2 = http2_new(&config, SLICE("peer"), 0);
}

static void give(struct side *side, const void *bytes, size_t size)
{
    char *copy = mem_dup(bytes, size);
    http2_input(side->http2, slice_of(copy, size), side->now_ms);
    mem_free(copy);
    check_bound(side);
}

static void let_time_pass(struct side *side)
{
    side->now_ms += (int64_t)prng_below(&side->prng, 300);
    if (http2_deadline_ms(side->http2) <= side->now_ms)
        http2_timeout(side->http2, side->now_ms);
    CHECK(http2_deadline_ms(side->http2) > side->now_ms);
}

static void give_all(struct side *side, const uint8_t *bytes, size_t size,
                     unsigned kind)
{
    size_t piece_max = kind & 8 ? 20 : size + 1;
    while (size > 0) {
        size_t piece = (size_t)prng_below(&side->prng, piece_max) + 1;
        if (piece > size)
            piece = size;
        give(side, bytes, piece);
        bytes += piece;
        size -= piece;
        if (flips(side, 2))
            take(side, (size_t)prng_below(&side->prng, 100 * 1000));
        if (flips(side, 3))
            go_on(side);
        if (kind & 16)
            let_time_pass(side);
    }
}

static void finish(struct side *side, unsigned kind)
{
    if (kind & 32)
        http2_stop(side->http2);
    else if (kind & 64)
        http2_input_end(side->http2);
    while (take(side, SIZE_MAX) > 0)
        go_on(side);
    http2_free(side->http2);
    CHECK_EQ(side->held_count, 0);
    buf_deinit(&side->out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const char settings[] = "\0\0\0\4\0\0\0\0\0";
    struct side side;
    if (size < 2)
        return 0;
    unsigned kind = bytes[1];
    start(&side, bytes[0], kind);
    give(&side, NGHTTP2_CLIENT_MAGIC, NGHTTP2_CLIENT_MAGIC_LEN);
    if (!(kind & 128))
        give(&side, settings, sizeof settings - 1);
    give_all(&side, bytes + 2, size - 2, kind);
    finish(&side, kind);
    return 0;
}
