/* Messages of the APIs, as protobuf-c knows them from the .proto files beside
 * this header. The generated headers are "proto/rpc.pb-c.h" and so on.
 *
 * A decoded message lives in an arena and is gone with it: it isn't freed.
 */
#ifndef ETCHED_PROTO_MESSAGE_H
#define ETCHED_PROTO_MESSAGE_H

#include <protobuf-c/protobuf-c.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/mem.h"

/* Messages may lie in each other this deep (a txn in an operation in a txn). */
enum { MESSAGE_DEPTH_MAX = 64 };

/* Errors: ERR_INVALID (malformed, nested too deep, a string that isn't UTF-8 or
 *         has a zero in it), ERR_NO_MEMORY (the arena's bound). */
enum err message_decode(const ProtobufCMessageDescriptor *type,
                        struct slice bytes, struct arena *arena,
                        ProtobufCMessage **out) MUST_USE;
/* Appends it. */
void message_encode(const ProtobufCMessage *message, struct buf *out);

static inline struct slice message_bytes(ProtobufCBinaryData bytes)
{
    return slice_of(bytes.data, bytes.len);
}
/* For a message that is to be encoded; the bytes stay where they are. */
static inline ProtobufCBinaryData message_data(struct slice bytes)
{
    return (ProtobufCBinaryData){
        .len = bytes.size,
        .data = (uint8_t *)(uintptr_t)bytes.at,
    };
}

/* The FileDescriptorSet of all .proto files (descriptor.proto, message 1), for
 * who asks what there is (server reflection). */
struct slice message_descriptors(void);

#endif
