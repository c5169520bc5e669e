/* A gRPC client fed with what a server might say, in pieces that the input
 * chooses, while its owner begins, sends, cancels and pings at any time. Each
 * call must come to its end once, and never after it was cancelled; a message
 * is within the bound; and once the connection is over all calls are.
 *
 * The input: one byte that seeds the choices, then what the server sends. Three
 * calls are under way from the start.
 */
#include <stdint.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/prng.h"
#include "wire/grpc_client.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { CALLS_MAX = 32, MESSAGE_BYTES_MAX = 100 * 1000 };

struct owner {
    struct side *side;
    struct grpc_call *call; /* NULL: over */
    bool has_ended, has_last;
};

struct side {
    struct grpc_client *client;
    struct prng prng;
    struct owner owners[CALLS_MAX];
    size_t count, open;
};

static bool flips(struct side *side, uint64_t one_in)
{
    return prng_below(&side->prng, one_in) == 0;
}

static void close_call(struct owner *owner)
{
    owner->call = NULL;
    owner->has_ended = true;
    CHECK(owner->side->open > 0);
    owner->side->open--;
}

static void begin(struct side *side);

static void on_message(void *context, struct slice message)
{
    struct owner *owner = context;
    CHECK(!owner->has_ended && owner->call != NULL);
    CHECK_LE(message.size, MESSAGE_BYTES_MAX);
    if (flips(owner->side, 8)) {
        struct grpc_call *call = owner->call;
        close_call(owner);
        grpc_call_cancel(call);
    }
}

static void on_end(void *context, int code, struct slice text)
{
    struct owner *owner = context;
    CHECK(!owner->has_ended && owner->call != NULL);
    CHECK(code >= 0 && (text.size == 0 || text.at != NULL));
    close_call(owner);
    if (flips(owner->side, 4))
        begin(owner->side);
}

static void begin(struct side *side)
{
    if (side->count == CALLS_MAX)
        return;
    struct owner *owner = &side->owners[side->count++];
    struct grpc_call_config config = {
        .path = SLICE("/s/Method"),
        .timeout_ms = (int64_t)prng_below(&side->prng, 1000),
        .on_message = on_message,
        .on_end = on_end,
        .context = owner,
    };
    owner->side = side;
    owner->call = grpc_call_new(side->client, &config);
    if (owner->call == NULL) {
        CHECK(grpc_client_is_leaving(side->client));
        owner->has_ended = true;
        return;
    }
    side->open++;
}

static void act(struct side *side)
{
    struct owner *owner =
        &side->owners[prng_below(&side->prng, side->count ? side->count : 1)];
    if (flips(side, 4))
        begin(side);
    if (flips(side, 16))
        grpc_client_ping(side->client);
    if (owner->call == NULL)
        return;
    if (!owner->has_last && flips(side, 2)) {
        owner->has_last = flips(side, 2);
        grpc_call_send(owner->call, SLICE("a question"), owner->has_last);
    } else if (!owner->has_last && flips(side, 4)) {
        owner->has_last = true;
        grpc_call_half_close(owner->call);
    } else if (flips(side, 8)) {
        struct grpc_call *call = owner->call;
        close_call(owner);
        grpc_call_cancel(call);
    }
}

static void take_output(struct side *side)
{
    struct slice piece;
    for (int i = 0; i < 8; i++) {
        if (grpc_client_output(side->client, &piece, 1) == 0)
            return;
        CHECK(piece.size > 0);
        grpc_client_sent(side->client,
                         1 + (size_t)prng_below(&side->prng, piece.size));
    }
}

static void feed(struct side *side, struct slice bytes)
{
    while (bytes.size > 0) {
        size_t size =
            1 + (size_t)prng_below(&side->prng,
                                   flips(side, 2)
                                       ? bytes.size
                                       : (bytes.size < 16 ? bytes.size : 16));
        enum err err =
            grpc_client_input(side->client, slice_of(bytes.at, size));
        CHECK_EQ(grpc_client_calls(side->client), side->open);
        if (err != ERR_OK) {
            CHECK_EQ(side->open, 0);
            CHECK(grpc_client_is_leaving(side->client));
        }
        bytes = slice_of(bytes.at + size, bytes.size - size);
        act(side);
        take_output(side);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct side side = {0};
    struct grpc_client_config config = {
        .authority = SLICE("h:1"),
        .message_bytes_max = MESSAGE_BYTES_MAX,
    };
    if (size == 0)
        return 0;
    prng_init(&side.prng, bytes[0]);
    side.client = grpc_client_new(&config);
    for (int i = 0; i < 3; i++)
        begin(&side);
    take_output(&side);
    feed(&side, slice_of(bytes + 1, size - 1));
    grpc_client_free(side.client);
    CHECK_EQ(side.open, 0);
    return 0;
}
