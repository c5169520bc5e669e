/* gRPC's frames: any bytes as a body, in pieces that the input chooses, make
 * the same messages as they do in one piece; no message is larger than it may
 * be; texts and timeouts survive.
 *
 * The input: one byte that seeds the pieces, one for the bound and whether
 * compressed messages are taken; then the body.
 */
#include <stdint.h>

#include "base/check.h"
#include "base/prng.h"
#include "wire/grpc.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* What came of a body: a mark for each message, and how it ended. */
struct outcome {
    uint64_t marks;
    size_t messages;
    enum err err;
    bool is_idle;
};

static enum err read_piece(struct grpc_reader *reader, struct slice piece,
                           struct outcome *outcome)
{
    struct slice message;
    enum err err;
    while ((err = grpc_read(reader, &piece, &message)) == ERR_OK) {
        CHECK_LE(message.size, reader->message_bytes_max);
        outcome->messages++;
        outcome->marks =
            outcome->marks * 31 + slice_hash(message, outcome->messages);
    }
    CHECK(err != ERR_END || piece.size == 0);
    return err;
}

static struct outcome read_body(struct slice body, uint8_t kind,
                                struct prng *prng)
{
    struct grpc_reader reader = {
        .message_bytes_max = (size_t)1 << (kind >> 4),
        .may_inflate = (kind & 1) != 0,
    };
    struct outcome outcome = {.err = ERR_END};
    while (body.size > 0 && outcome.err == ERR_END) {
        size_t size =
            prng == NULL ? body.size : 1 + (size_t)prng_below(prng, 40);
        size = size < body.size ? size : body.size;
        outcome.err = read_piece(&reader, slice_of(body.at, size), &outcome);
        body = slice_of(body.at + size, body.size - size);
    }
    outcome.is_idle = grpc_reader_is_idle(&reader);
    grpc_reader_deinit(&reader);
    return outcome;
}

static void check_text(struct slice text)
{
    struct buf encoded = {0};
    struct buf decoded = {0};
    grpc_text_encode(&encoded, text);
    for (size_t i = 0; i < encoded.size; i++) {
        CHECK(encoded.at[i] >= ' ' && encoded.at[i] <= '~');
    }
    grpc_text_decode(&decoded, buf_slice(&encoded));
    CHECK(slice_eq(buf_slice(&decoded), text));
    buf_reset(&decoded);
    grpc_text_decode(&decoded, text);
    CHECK_LE(decoded.size, text.size);
    buf_deinit(&encoded);
    buf_deinit(&decoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct prng prng;
    int64_t timeout_ms = 0;
    if (size < 2) {
        return 0;
    }
    struct slice body = slice_of(bytes + 2, size - 2);
    prng_init(&prng, bytes[0]);
    struct outcome whole = read_body(body, bytes[1], NULL);
    struct outcome pieces = read_body(body, bytes[1], &prng);
    CHECK_EQ(whole.err, pieces.err);
    CHECK_EQ(whole.messages, pieces.messages);
    CHECK_EQ(whole.marks, pieces.marks);
    CHECK(whole.err != ERR_END || whole.is_idle == pieces.is_idle);
    check_text(body);
    CHECK(!grpc_timeout_parse(body, &timeout_ms) || timeout_ms >= 0);
    return 0;
}
