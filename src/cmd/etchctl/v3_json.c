/* The format `json`: etcd's structs as Go's encoding/json writes them. Names
 * are those of the .proto files, numbers are numbers, bytes are base64, and
 * what is zero is left out; but for the structs that etcd's client makes of
 * its own (leases, watches), which have names of theirs and leave nothing out.
 */
#include "base/check.h"
#include "cmd/etchctl/v3_print.h"
#include "doc/json_write.h"

/* ---- any message -------------------------------------------------------- */

static size_t size_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return sizeof(uint64_t);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    default:
        return sizeof(uint32_t);
    }
}

static bool is_zero(ProtobufCType type, const void *at)
{
    static const char zeros[sizeof(uint64_t)];

    if (type == PROTOBUF_C_TYPE_STRING) {
        const char *text = *(const char *const *)at;
        return !text || !text[0];
    }
    if (type == PROTOBUF_C_TYPE_MESSAGE)
        return *(const void *const *)at == NULL;
    if (type == PROTOBUF_C_TYPE_BYTES)
        return ((const ProtobufCBinaryData *)at)->len == 0;
    return memcmp(at, zeros, size_of(type)) == 0;
}

static void write_value(ProtobufCType type, const void *at, struct buf *out)
{
    switch (type) {
    case PROTOBUF_C_TYPE_STRING:
        json_write_string(out, slice_str(*(const char *const *)at));
        return;
    case PROTOBUF_C_TYPE_BYTES:
        json_write_base64(out, message_bytes(*(const ProtobufCBinaryData *)at));
        return;
    case PROTOBUF_C_TYPE_MESSAGE:
        v3_json_message(*(const ProtobufCMessage *const *)at, out);
        return;
    case PROTOBUF_C_TYPE_BOOL:
        buf_append_str(out, *(const protobuf_c_boolean *)at ? "true" : "false");
        return;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        buf_append_u64(out, *(const uint64_t *)at);
        return;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        buf_append_i64(out, *(const int64_t *)at);
        return;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        buf_append_u64(out, *(const uint32_t *)at);
        return;
    default:
        buf_append_i64(out, *(const int32_t *)at);
        return;
    }
}

static void write_list(const ProtobufCFieldDescriptor *field, const char *at,
                       size_t count, struct buf *out)
{
    buf_append_char(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_append_char(out, ',');
        write_value(field->type, at + i * size_of(field->type), out);
    }
    buf_append_char(out, ']');
}

/* "response_put" -> "ResponsePut" */
static void write_go_name(const char *name, struct buf *out)
{
    bool upper = true;

    for (; *name; name++) {
        if (*name != '_')
            buf_append_char(out, (char)(upper && *name >= 'a' && *name <= 'z'
                                            ? *name - 'a' + 'A'
                                            : *name));
        upper = *name == '_';
    }
}

/* The one oneof that is in answers is ResponseOp's, "Response" in Go, whose
 * value is a struct with one field. */
static void write_oneof(const ProtobufCFieldDescriptor *field, const void *at,
                        struct buf *out)
{
    buf_append_str(out, "\"Response\":{\"");
    write_go_name(field->name, out);
    buf_append_str(out, "\":");
    write_value(field->type, at, out);
    buf_append_char(out, '}');
}

static bool is_there(const ProtobufCMessage *message,
                     const ProtobufCFieldDescriptor *field)
{
    const char *base = (const char *)message;
    const void *at = base + field->offset;
    const void *quantifier = base + field->quantifier_offset;

    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return *(const size_t *)quantifier > 0;
    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
        return *(const uint32_t *)quantifier == field->id;
    return !is_zero(field->type, at);
}

void v3_json_message(const ProtobufCMessage *message, struct buf *out)
{
    const ProtobufCMessageDescriptor *type = message->descriptor;
    const char *base = (const char *)message;
    bool is_first = true;

    buf_append_char(out, '{');
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        const char *at = base + field->offset;
        if (!is_there(message, field))
            continue;
        if (!is_first)
            buf_append_char(out, ',');
        is_first = false;
        if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
            write_oneof(field, at, out);
            continue;
        }
        buf_printf(out, "\"%s\":", field->name);
        if (field->label == PROTOBUF_C_LABEL_REPEATED)
            write_list(
                field, *(const char *const *)(const void *)at,
                *(const size_t *)(const void *)(base +
                                                field->quantifier_offset),
                out);
        else
            write_value(field->type, at, out);
    }
    buf_append_char(out, '}');
}

/* ---- structs of etcd's client ------------------------------------------- */

/* The header's fields lie in the struct itself; what follows begins with a
 * comma where there are any. */
static void open_with_header(const Etcdserverpb__ResponseHeader *header,
                             struct buf *out)
{
    size_t start = out->size;

    if (header)
        v3_json_message(&header->base, out);
    else
        buf_append_str(out, "{}");
    out->size--;
    if (out->size > start + 1)
        buf_append_char(out, ',');
}

static void write_grant(const void *message, struct buf *out)
{
    const Etcdserverpb__LeaseGrantResponse *answer = message;

    open_with_header(answer->header, out);
    buf_printf(out,
               "\"ID\":%lld,\"TTL\":%lld,\"Error\":", (long long)answer->id,
               (long long)answer->ttl);
    json_write_string(out, slice_str(answer->error));
    buf_append_char(out, '}');
}

static void write_keepalive(const void *message, struct buf *out)
{
    const Etcdserverpb__LeaseKeepAliveResponse *answer = message;

    open_with_header(answer->header, out);
    buf_printf(out, "\"ID\":%lld,\"TTL\":%lld}", (long long)answer->id,
               (long long)answer->ttl);
}

static void write_ttl(const void *message, struct buf *out)
{
    const Etcdserverpb__LeaseTimeToLiveResponse *answer = message;

    open_with_header(answer->header, out);
    buf_printf(out, "\"id\":%lld,\"ttl\":%lld,\"granted-ttl\":%lld,\"keys\":",
               (long long)answer->id, (long long)answer->ttl,
               (long long)answer->grantedttl);
    if (answer->n_keys == 0)
        buf_append_str(out, "null");
    for (size_t i = 0; i < answer->n_keys; i++) {
        buf_append_char(out, i == 0 ? '[' : ',');
        json_write_base64(out, message_bytes(answer->keys[i]));
    }
    buf_append_str(out, answer->n_keys ? "]}" : "}");
}

static void write_leases(const void *message, struct buf *out)
{
    const Etcdserverpb__LeaseLeasesResponse *answer = message;

    open_with_header(answer->header, out);
    buf_append_str(out, "\"leases\":[");
    for (size_t i = 0; i < answer->n_leases; i++)
        buf_printf(out, "%s{\"id\":%lld}", i > 0 ? "," : "",
                   (long long)answer->leases[i]->id);
    buf_append_str(out, "]}");
}

static void write_watch(const void *message, struct buf *out)
{
    const Etcdserverpb__WatchResponse *answer = message;

    buf_append_str(out, "{\"Header\":");
    if (answer->header)
        v3_json_message(&answer->header->base, out);
    else
        buf_append_str(out, "{}");
    buf_append_str(out, ",\"Events\":[");
    for (size_t i = 0; i < answer->n_events; i++) {
        if (i > 0)
            buf_append_char(out, ',');
        v3_json_message(&answer->events[i]->base, out);
    }
    buf_printf(out,
               "],\"CompactRevision\":%lld,\"Canceled\":%s,\"Created\":%s}",
               (long long)answer->compact_revision,
               answer->canceled ? "true" : "false",
               answer->created ? "true" : "false");
}

static const struct {
    const ProtobufCMessageDescriptor *type;
    void (*write)(const void *message, struct buf *out);
} writers[] = {
    {&etcdserverpb__lease_grant_response__descriptor, write_grant},
    {&etcdserverpb__lease_keep_alive_response__descriptor, write_keepalive},
    {&etcdserverpb__lease_time_to_live_response__descriptor, write_ttl},
    {&etcdserverpb__lease_leases_response__descriptor, write_leases},
    {&etcdserverpb__watch_response__descriptor, write_watch},
};

void v3_json_write(const struct v3_result *result, struct buf *out)
{
    const ProtobufCMessage *message = result->message;
    size_t count = sizeof(writers) / sizeof(writers[0]);
    size_t i = 0;

    while (i < count && writers[i].type != message->descriptor)
        i++;
    if (i < count)
        writers[i].write(message, out);
    else
        v3_json_message(message, out);
    buf_append_char(out, '\n');
}
