#include "proto/message.h"

#include "base/check.h"
#include "proto/pb.h"

/* Where protobuf-c takes its memory. */
struct taker {
    struct arena *arena;
    bool failed;
};

static void *take(void *context, size_t size)
{
    struct taker *taker = context;
    void *memory = arena_try_alloc(taker->arena, size > 0 ? size : 1);
    taker->failed = taker->failed || memory == NULL;
    return memory;
}

static void give(void *context, void *memory)
{
    (void)context;
    (void)memory; /* gone with the arena */
}

static bool is_sound(const ProtobufCMessageDescriptor *type, struct slice bytes,
                     int depth);

/* A string ends with a zero once it is decoded, so none may be in it. */
static bool is_sound_field(const ProtobufCFieldDescriptor *known,
                           struct slice bytes, int depth)
{
    switch (known->type) {
    case PROTOBUF_C_TYPE_STRING:
        return slice_find(bytes, '\0') < 0 && slice_is_utf8(bytes);
    case PROTOBUF_C_TYPE_MESSAGE:
        return is_sound(known->descriptor, bytes, depth - 1);
    default:
        return true;
    }
}

/* protobuf-c goes down as deep as the bytes say; the stack doesn't. And it
 * takes a field of number 0, which it doesn't take from itself. */
static bool is_sound(const ProtobufCMessageDescriptor *type, struct slice bytes,
                     int depth)
{
    struct pb_reader reader;
    struct pb_field field;
    if (depth < 0) {
        return false;
    }
    pb_reader_init(&reader, bytes);
    while (pb_next(&reader, &field)) {
        const ProtobufCFieldDescriptor *known =
            protobuf_c_message_descriptor_get_field(type, field.number);
        if (field.type == PB_BYTES && known != NULL &&
            !is_sound_field(known, field.bytes, depth)) {
            return false;
        }
    }
    return !reader.failed;
}

enum err message_decode(const ProtobufCMessageDescriptor *type,
                        struct slice bytes, struct arena *arena,
                        ProtobufCMessage **out)
{
    struct taker taker = {.arena = arena};
    ProtobufCAllocator allocator = {
        .alloc = take, .free = give, .allocator_data = &taker};
    *out = NULL;
    if (!is_sound(type, bytes, MESSAGE_DEPTH_MAX)) {
        return err_set(ERR_INVALID, "%s is malformed or too deep",
                       type->short_name);
    }
    *out = protobuf_c_message_unpack(type, &allocator, bytes.size,
                                     (const uint8_t *)bytes.at);
    if (*out != NULL) {
        return ERR_OK;
    }
    return taker.failed
               ? err_set(ERR_NO_MEMORY, "%s takes too much memory",
                         type->short_name)
               : err_set(ERR_INVALID, "%s is malformed", type->short_name);
}

void message_encode(const ProtobufCMessage *message, struct buf *out)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    char *at = buf_extend(out, size);
    size_t written = protobuf_c_message_pack(message, (uint8_t *)at);
    CHECK_EQ(written, size);
}

/* Made of the .proto files when the program is built. */
extern const unsigned char message_descriptor_set[];
extern const unsigned message_descriptor_set_size;

struct slice message_descriptors(void)
{
    return slice_of(message_descriptor_set, message_descriptor_set_size);
}
