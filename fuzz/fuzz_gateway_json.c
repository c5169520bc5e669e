/* JSON as the gateway gets it, of every method's request: the first byte says
 * whose. What is read is the same when it is written and read again, in JSON
 * and in protobuf; and a run of values is cut without a byte lost. */
#include <stdint.h>

#include "base/check.h"
#include "rpc/rpc_int.h"

enum { ARENA_BYTES_MAX = 4 * 1024 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check_again(const ProtobufCMessage *message, struct arena *arena)
{
    struct buf first = {0};
    struct buf second = {0};
    struct buf coded = {0};
    ProtobufCMessage *again;
    json__write(&first, message);
    enum err err =
        json__read(buf_slice(&first), message->descriptor, arena, &again);
    CHECK(err == ERR_OK || err == ERR_NO_MEMORY);
    if (err == ERR_OK) {
        json__write(&second, again);
        CHECK(slice_eq(buf_slice(&first), buf_slice(&second)));
        message_encode(again, &coded);
        err = message_decode(message->descriptor, buf_slice(&coded), arena,
                             &again);
        CHECK(err == ERR_OK || err == ERR_NO_MEMORY);
    }
    if (err == ERR_OK) {
        buf_reset(&second);
        json__write(&second, again);
        CHECK(slice_eq(buf_slice(&first), buf_slice(&second)));
    }
    buf_deinit(&first);
    buf_deinit(&second);
    buf_deinit(&coded);
}

static void cut(struct slice rest)
{
    struct slice value;
    const char *end = rest.at + rest.size;
    while (json__next(&rest, &value) == ERR_OK) {
        CHECK(value.size > 0 && value.at + value.size <= rest.at);
        CHECK(rest.at + rest.size == end);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct arena arena;
    ProtobufCMessage *message;
    size_t count;
    const struct method *methods = method__table(&count);
    if (size == 0) {
        return 0;
    }
    struct slice text = slice_of(bytes + 1, size - 1);
    arena_init(&arena, ARENA_BYTES_MAX);
    enum err err =
        json__read(text, methods[bytes[0] % count].request, &arena, &message);
    CHECK(err == ERR_OK || err == ERR_INVALID || err == ERR_NO_MEMORY);
    if (err == ERR_OK) {
        check_again(message, &arena);
    }
    cut(text);
    arena_deinit(&arena);
    return 0;
}
