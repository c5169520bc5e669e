/* A connection fed with any bytes, in pieces that the input chooses, whose
 * api answers in every way that it has. Two connections get the same bytes,
 * one whole and one in pieces: what they answer must be the same.
 *
 * The input: one byte that seeds the sizes of the pieces, then the stream.
 */
#include <stdint.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/prng.h"
#include "wire/form.h"
#include "wire/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

struct side {
    struct http_server server;
    struct http1 *http1;
    struct buf sent;
    struct buf seen;
    struct http_exchange *held;
    int pieces_left;
    int64_t now_ms;
};

static enum http_more produce(struct http_exchange *exchange, void *context,
                              struct buf *out)
{
    struct side *side = context;
    CHECK(exchange->context == side);
    buf_append_u64(out, (uint64_t)side->pieces_left);
    return --side->pieces_left > 0 ? HTTP_MORE : HTTP_LAST;
}

static void forget(struct http_exchange *exchange)
{
    struct side *side = exchange->context;
    CHECK(side->held == exchange);
    side->held = NULL;
}

static void check_slice(struct slice slice)
{
    CHECK(slice.at != NULL);
    for (size_t i = 0; i < slice.size; i++)
        CHECK(slice.at[i] != '\n' && slice.at[i] != '\r');
}

/* Each answer depends on the request alone. */
static void answer(struct side *side, struct http_exchange *exchange)
{
    const struct http_request *request = &exchange->request;
    struct refbuf *shared = refbuf_dup("shared", 6);
    switch (slice_hash(request->path, 1) % 5) {
    case 0:
        http_begin(exchange, 200, NULL, 0);
        http_send(exchange, request->path);
        http_send_shared(exchange, shared);
        http_end(exchange);
        break;
    case 1:
        side->pieces_left = 3;
        http_begin(exchange, 200, NULL, 0);
        http_produce_body(exchange, produce, side);
        break;
    case 2:
        exchange->on_gone = forget;
        side->held = exchange;
        break;
    case 3:
        side->held = exchange;
        break;
    default:
        http_respond(exchange, 200, request->headers, 1, request->body);
    }
    refbuf_unref(shared);
}

static void on_request(struct http_server *server,
                       struct http_exchange *exchange)
{
    struct side *side = (struct side *)server;
    const struct http_request *request = &exchange->request;
    struct slice path;
    exchange->context = side;
    check_slice(request->path);
    check_slice(request->query);
    CHECK(request->header_count > 0 ||
          http_header_get(request, "Host").at == NULL);
    for (size_t i = 0; i < request->header_count; i++) {
        check_slice(request->headers[i].name);
        check_slice(request->headers[i].value);
        CHECK(slice_find(request->headers[i].name, ' ') < 0);
    }
    buf_append_slice(&side->seen, request->method_text);
    buf_append_slice(&side->seen, request->path);
    buf_append_slice(&side->seen, request->body);
    if (path_decode(exchange->arena, request->path, &path) == ERR_OK)
        CHECK(path_clean(exchange->arena, path).at[0] == '/');
    if (request->header_count == 0)
        http_respond(exchange, 200, NULL, 0, SLICE(""));
    else
        answer(side, exchange);
}

static void start(struct side *side)
{
    static const struct slice date = {"now", 3};
    struct http1_config config = {
        .server = &side->server,
        .head_bytes_max = 1024,
        .header_count_max = 16,
        .body_bytes_max = 4096,
        .idle_ms = 1000,
        .head_ms = 1000,
        .body_ms = 1000,
        .stall_ms = 1000,
        .date = &date,
    };
    *side = (struct side){.server = {on_request}};
    side->http1 = http1_new(&config, SLICE("peer"), 0);
}

static void take(struct side *side, struct prng *prng)
{
    struct slice slices[4];
    for (;;) {
        size_t count = http1_output(side->http1, slices, 4);
        if (count == 0)
            break;
        size_t size = slices[0].size;
        if (prng != NULL)
            size = (size_t)prng_below(prng, size) + 1;
        buf_append(&side->sent, slices[0].at, size);
        http1_sent(side->http1, size, side->now_ms);
    }
}

static void answer_held(struct side *side)
{
    while (side->held != NULL) {
        struct http_exchange *exchange = side->held;
        side->held = NULL;
        exchange->on_gone = NULL;
        http_respond(exchange, 404, NULL, 0, exchange->request.body);
    }
}

static void give(struct side *side, const uint8_t *bytes, size_t size)
{
    uint8_t *copy = mem_dup(bytes, size);
    http1_input(side->http1, slice_of(copy, size), side->now_ms);
    mem_free(copy);
}

static void give_whole(struct side *side, const uint8_t *bytes, size_t size)
{
    give(side, bytes, size);
    answer_held(side);
    take(side, NULL);
    answer_held(side);
    take(side, NULL);
}

static void give_in_pieces(struct side *side, const uint8_t *bytes, size_t size,
                           uint64_t seed)
{
    struct prng prng;
    prng_init(&prng, seed);
    size_t piece_max = seed % 4 == 0 ? 3 : 1 + (size_t)(seed / 4);
    while (size > 0) {
        size_t piece = (size_t)prng_below(&prng, piece_max) + 1;
        if (piece > size)
            piece = size;
        give(side, bytes, piece);
        bytes += piece;
        size -= piece;
        if (prng_below(&prng, 2))
            take(side, &prng);
        if (prng_below(&prng, 3) == 0)
            answer_held(side);
        CHECK(http1_deadline_ms(side->http1) > side->now_ms ||
              http1_is_finished(side->http1));
    }
    answer_held(side);
    take(side, &prng);
    answer_held(side);
    take(side, &prng);
}

/* Only whether "100 Continue" is said depends on the pieces. */
static void drop_continue(struct buf *sent)
{
    static const struct slice line = {"HTTP/1.1 100 Continue\r\n\r\n", 25};
    size_t kept = 0;
    for (size_t i = 0; i < sent->size;) {
        struct slice rest = slice_of(sent->at + i, sent->size - i);
        if (slice_has_prefix(rest, line))
            i += line.size;
        else
            sent->at[kept++] = sent->at[i++];
    }
    sent->size = kept;
}

/* The connection's end, in one of the ways that there are. */
static void finish(struct side *side, uint64_t seed)
{
    switch (seed % 4) {
    case 0:
        http1_input_end(side->http1);
        break;
    case 1:
        http1_stop(side->http1);
        break;
    case 2:
        http1_timeout(side->http1, http1_deadline_ms(side->http1));
        break;
    default:
        break;
    }
    answer_held(side);
    take(side, NULL);
    http1_free(side->http1);
    CHECK(side->held == NULL);
    buf_deinit(&side->sent);
    buf_deinit(&side->seen);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct side whole, pieces;
    uint64_t seed = size ? bytes[0] : 0;
    if (size) {
        bytes++;
        size--;
    }
    start(&whole);
    start(&pieces);
    give_whole(&whole, bytes, size);
    give_in_pieces(&pieces, bytes, size, seed);
    drop_continue(&whole.sent);
    drop_continue(&pieces.sent);
    CHECK(slice_eq(buf_slice(&whole.seen), buf_slice(&pieces.seen)));
    CHECK(slice_eq(buf_slice(&whole.sent), buf_slice(&pieces.sent)));
    CHECK_EQ(http1_is_finished(whole.http1), http1_is_finished(pieces.http1));
    finish(&whole, seed);
    finish(&pieces, seed + 1);
    return 0;
}
