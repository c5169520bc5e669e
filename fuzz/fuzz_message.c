/* Requests and responses of every method, as protobuf: the first byte says
 * which. What is decoded is the same when it is encoded and decoded again, and
 * when it went through JSON. */
#include <stdint.h>

#include "base/check.h"
#include "rpc/rpc_int.h"

enum { ARENA_BYTES_MAX = 4 * 1024 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check_coded(const ProtobufCMessage *message, struct arena *arena)
{
    struct buf first = {0};
    struct buf second = {0};
    ProtobufCMessage *again;
    message_encode(message, &first);
    enum err err =
        message_decode(message->descriptor, buf_slice(&first), arena, &again);
    CHECK(err == ERR_OK || err == ERR_NO_MEMORY);
    if (err == ERR_OK) {
        message_encode(again, &second);
        CHECK(slice_eq(buf_slice(&first), buf_slice(&second)));
    }
    buf_deinit(&first);
    buf_deinit(&second);
}

static void check_json(const ProtobufCMessage *message, struct arena *arena)
{
    struct buf first = {0};
    struct buf second = {0};
    ProtobufCMessage *again;
    json__write(&first, message);
    enum err err =
        json__read(buf_slice(&first), message->descriptor, arena, &again);
    CHECK(err == ERR_OK || err == ERR_NO_MEMORY);
    if (err == ERR_OK) {
        json__write(&second, again);
        CHECK(slice_eq(buf_slice(&first), buf_slice(&second)));
    }
    buf_deinit(&first);
    buf_deinit(&second);
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
    const struct method *method = &methods[bytes[0] / 2 % count];
    arena_init(&arena, ARENA_BYTES_MAX);
    enum err err =
        message_decode(bytes[0] % 2 != 0 ? method->response : method->request,
                       slice_of(bytes + 1, size - 1), &arena, &message);
    CHECK(err == ERR_OK || err == ERR_INVALID || err == ERR_NO_MEMORY);
    if (err == ERR_OK) {
        check_coded(message, &arena);
        check_json(message, &arena);
    }
    arena_deinit(&arena);
    return 0;
}
