/* Messages as JSON, by their descriptors: out (protobuf's "JSON mapping" as
 * etcd's gateway has it). json_read.c is the way in. */
#include "base/check.h"
#include "doc/json_write.h"
#include "rpc/rpc_int.h"

static void write_message(struct buf *out, const ProtobufCMessage *message,
                          int depth);

static void write_quoted(struct buf *out, bool negative, uint64_t magnitude)
{
    buf_append_str(out, negative ? "\"-" : "\"");
    buf_append_u64(out, magnitude);
    buf_append_char(out, '"');
}

static void write_i64(struct buf *out, int64_t value)
{
    uint64_t bits = (uint64_t)value;
    write_quoted(out, value < 0, value < 0 ? 0 - bits : bits);
}

static void write_enum(struct buf *out, const ProtobufCEnumDescriptor *type,
                       int32_t value)
{
    const ProtobufCEnumValue *known =
        protobuf_c_enum_descriptor_get_value(type, value);
    if (known == NULL) {
        buf_append_i64(out, value); /* of a newer one's */
        return;
    }
    json_write_string(out, slice_str(known->name));
}

/* The value at `at`: a field's, or one of a repeated field's. */
static void write_value(struct buf *out, const ProtobufCFieldDescriptor *field,
                        const void *at, int depth)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_BOOL:
        buf_append_str(out, *(const protobuf_c_boolean *)at ? "true" : "false");
        return;
    case PROTOBUF_C_TYPE_INT64:
        write_i64(out, *(const int64_t *)at);
        return;
    case PROTOBUF_C_TYPE_UINT64:
        write_quoted(out, false, *(const uint64_t *)at);
        return;
    case PROTOBUF_C_TYPE_INT32:
        buf_append_i64(out, *(const int32_t *)at);
        return;
    case PROTOBUF_C_TYPE_UINT32:
        buf_append_u64(out, *(const uint32_t *)at);
        return;
    case PROTOBUF_C_TYPE_ENUM:
        write_enum(out, field->descriptor, *(const int32_t *)at);
        return;
    case PROTOBUF_C_TYPE_STRING:
        json_write_string(out, slice_str(*(const char *const *)at));
        return;
    case PROTOBUF_C_TYPE_BYTES:
        json_write_base64(out, message_bytes(*(const ProtobufCBinaryData *)at));
        return;
    case PROTOBUF_C_TYPE_MESSAGE:
        write_message(out, *(const ProtobufCMessage *const *)at, depth + 1);
        return;
    default:
        UNREACHABLE(); /* our .proto files have no others */
    }
}

/* False: it has its default, and is left out. */
static bool is_set(const ProtobufCMessage *message,
                   const ProtobufCFieldDescriptor *field)
{
    const char *base = (const char *)message;
    const void *at = base + field->offset;
    const void *quantifier = base + field->quantifier_offset;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        return *(const size_t *)quantifier > 0;
    }
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
        return *(const uint32_t *)quantifier == field->id;
    }
    switch (field->type) {
    case PROTOBUF_C_TYPE_BOOL:
        return *(const protobuf_c_boolean *)at != 0;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64:
        return *(const uint64_t *)at != 0;
    case PROTOBUF_C_TYPE_STRING:
        return *(const char *const *)at != NULL &&
               **(const char *const *)at != '\0';
    case PROTOBUF_C_TYPE_BYTES:
        return ((const ProtobufCBinaryData *)at)->len > 0;
    case PROTOBUF_C_TYPE_MESSAGE:
        return *(const ProtobufCMessage *const *)at != NULL;
    default:
        return *(const uint32_t *)at != 0; /* 32 bits, an enum */
    }
}

static void write_list(struct buf *out, const ProtobufCMessage *message,
                       const ProtobufCFieldDescriptor *field, int depth)
{
    const char *base = (const char *)message;
    size_t count =
        *(const size_t *)(const void *)(base + field->quantifier_offset);
    const char *items = *(char *const *)(const void *)(base + field->offset);
    size_t step = json__value_bytes(field);
    buf_append_char(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            buf_append_char(out, ',');
        }
        write_value(out, field, items + i * step, depth);
    }
    buf_append_char(out, ']');
}

static void write_message(struct buf *out, const ProtobufCMessage *message,
                          int depth)
{
    const ProtobufCMessageDescriptor *type = message->descriptor;
    bool first = true;
    CHECK_LE(depth, MESSAGE_DEPTH_MAX);
    buf_append_char(out, '{');
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        if (!is_set(message, field)) {
            continue;
        }
        if (!first) {
            buf_append_char(out, ',');
        }
        first = false;
        json_write_string(out, slice_str(field->name));
        buf_append_char(out, ':');
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            write_list(out, message, field, depth);
        } else {
            write_value(out, field, (const char *)message + field->offset,
                        depth);
        }
    }
    buf_append_char(out, '}');
}

void json__write(struct buf *out, const ProtobufCMessage *message)
{
    write_message(out, message, 0);
}

size_t json__value_bytes(const ProtobufCFieldDescriptor *field)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64:
        return sizeof(uint64_t);
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_ENUM:
        return sizeof(uint32_t);
    case PROTOBUF_C_TYPE_STRING:
        return sizeof(char *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(ProtobufCMessage *);
    default:
        UNREACHABLE();
    }
}
