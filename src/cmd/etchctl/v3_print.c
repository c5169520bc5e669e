#include "cmd/etchctl/v3_print.h"

int v3_fail_format(const struct v3 *v3)
{
    static const char *const names[] = {
        [V3_SIMPLE] = "simple",     [V3_FIELDS] = "fields", [V3_JSON] = "json",
        [V3_PROTOBUF] = "protobuf", [V3_TABLE] = "table",
    };

    return v3_fail(v3, V3_BAD_FEATURE, "%s not supported as output format",
                   names[v3->format]);
}

/* etcdctl's structs for leases have a header and no encoding of their own, so
 * that it is the header's that it prints. */
static const ProtobufCMessage *encoded_part(const ProtobufCMessage *message)
{
    const Etcdserverpb__ResponseHeader *header = NULL;

    if (message->descriptor == &etcdserverpb__lease_grant_response__descriptor)
        header = ((const Etcdserverpb__LeaseGrantResponse *)message)->header;
    else if (message->descriptor ==
             &etcdserverpb__lease_keep_alive_response__descriptor)
        header =
            ((const Etcdserverpb__LeaseKeepAliveResponse *)message)->header;
    else if (message->descriptor ==
             &etcdserverpb__lease_time_to_live_response__descriptor)
        header =
            ((const Etcdserverpb__LeaseTimeToLiveResponse *)message)->header;
    else if (message->descriptor ==
             &etcdserverpb__lease_leases_response__descriptor)
        header = ((const Etcdserverpb__LeaseLeasesResponse *)message)->header;
    return header ? &header->base : message;
}

void v3_protobuf_write(const struct v3_result *result, struct buf *out)
{
    const ProtobufCMessage *message = result->message;
    Etcdserverpb__WatchResponse watch;

    if (message->descriptor == &etcdserverpb__watch_response__descriptor) {
        /* etcdctl's has no watch id. */
        watch = *(const Etcdserverpb__WatchResponse *)message;
        watch.watch_id = 0;
        watch.fragment = 0;
        watch.cancel_reason = NULL;
        message_encode(&watch.base, out);
        return;
    }
    message_encode(encoded_part(message), out);
}

int v3_print(struct v3 *v3, const struct v3_result *result)
{
    struct v3_result with_hex = *result;
    struct buf text = {0};
    bool good = true;

    with_hex.is_hex = v3->is_hex;
    switch (v3->format) {
    case V3_SIMPLE:
        good = v3_simple_write(&with_hex, &text);
        break;
    case V3_FIELDS:
        good = v3_fields_write(&with_hex, &text);
        break;
    case V3_JSON:
        v3_json_write(&with_hex, &text);
        break;
    case V3_TABLE:
        good = v3_table_write(&with_hex, &text);
        break;
    case V3_PROTOBUF:
        v3_protobuf_write(&with_hex, &text);
        break;
    }
    if (good)
        return v3_write(&text);
    buf_deinit(&text);
    return v3_fail_format(v3);
}
