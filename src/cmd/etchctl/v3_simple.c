/* The format `simple`. */
#include <stdarg.h>

#include "base/check.h"
#include "cmd/etchctl/go_text.h"
#include "cmd/etchctl/v3_print.h"

void v3_line(struct buf *out, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    buf_vprintf(out, format, args);
    va_end(args);
    buf_append_char(out, '\n');
}

/* ---- keys --------------------------------------------------------------- */

static void bytes_line(const struct v3_result *result,
                       ProtobufCBinaryData bytes, struct buf *out)
{
    if (!result->is_hex)
        buf_append(out, bytes.data, bytes.len);
    for (size_t i = 0; result->is_hex && i < bytes.len; i++)
        buf_printf(out, "\\x%02x", bytes.data[i]);
    buf_append_char(out, '\n');
}

static void print_kv(const struct v3_result *result, const Mvccpb__KeyValue *kv,
                     struct buf *out)
{
    if (!result->is_value_only)
        bytes_line(result, kv->key, out);
    bytes_line(result, kv->value, out);
}

static void print_range(const struct v3_result *result, struct buf *out)
{
    const Etcdserverpb__RangeResponse *answer = result->message;

    for (size_t i = 0; i < answer->n_kvs; i++)
        print_kv(result, answer->kvs[i], out);
}

static void print_put(const struct v3_result *result, struct buf *out)
{
    const Etcdserverpb__PutResponse *answer = result->message;

    v3_line(out, "OK");
    if (answer->prev_kv)
        print_kv(result, answer->prev_kv, out);
}

static void print_delete(const struct v3_result *result, struct buf *out)
{
    const Etcdserverpb__DeleteRangeResponse *answer = result->message;

    v3_line(out, "%lld", (long long)answer->deleted);
    for (size_t i = 0; i < answer->n_prev_kvs; i++)
        print_kv(result, answer->prev_kvs[i], out);
}

static const void *part_of(const Etcdserverpb__ResponseOp *part)
{
    switch (part->response_case) {
    case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_RANGE:
        return part->response_range;
    case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_PUT:
        return part->response_put;
    case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_DELETE_RANGE:
        return part->response_delete_range;
    case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_TXN:
        return part->response_txn;
    default:
        return NULL;
    }
}

static void print_txn(const struct v3_result *result, struct buf *out)
{
    const Etcdserverpb__TxnResponse *answer = result->message;

    v3_line(out, answer->succeeded ? "SUCCESS" : "FAILURE");
    for (size_t i = 0; i < answer->n_responses; i++) {
        struct v3_result part = *result;
        part.message = part_of(answer->responses[i]);
        buf_append_char(out, '\n');
        if (part.message)
            v3_simple_write(&part, out);
    }
}

static void print_watch(const struct v3_result *result, struct buf *out)
{
    const Etcdserverpb__WatchResponse *answer = result->message;

    for (size_t i = 0; i < answer->n_events; i++) {
        const Mvccpb__Event *event = answer->events[i];
        v3_line(out, "%s",
                event->type == MVCCPB__EVENT__EVENT_TYPE__PUT ? "PUT"
                                                              : "DELETE");
        if (event->prev_kv)
            print_kv(result, event->prev_kv, out);
        if (event->kv)
            print_kv(result, event->kv, out);
    }
}

/* ---- leases ------------------------------------------------------------- */

static void print_grant(const struct v3_result *result, struct buf *out)
{
    const Etcdserverpb__LeaseGrantResponse *answer = result->message;

    v3_line(out, "lease %016llx granted with TTL(%llds)",
            (unsigned long long)answer->id, (long long)answer->ttl);
}

static void print_revoke(const struct v3_result *result, struct buf *out)
{
    v3_line(out, "lease %016llx revoked", (unsigned long long)result->id);
}

static void print_keepalive(const struct v3_result *result, struct buf *out)
{
    const Etcdserverpb__LeaseKeepAliveResponse *answer = result->message;

    v3_line(out, "lease %016llx keepalived with TTL(%lld)",
            (unsigned long long)answer->id, (long long)answer->ttl);
}

static void print_ttl(const struct v3_result *result, struct buf *out)
{
    const Etcdserverpb__LeaseTimeToLiveResponse *answer = result->message;
    unsigned long long id = (unsigned long long)answer->id;

    if (answer->grantedttl == 0 && answer->ttl == -1) {
        v3_line(out, "lease %016llx already expired", id);
        return;
    }
    buf_printf(out, "lease %016llx granted with TTL(%llds), remaining(%llds)",
               id, (long long)answer->grantedttl, (long long)answer->ttl);
    if (result->has_keys) {
        buf_append_str(out, ", attached keys([");
        for (size_t i = 0; i < answer->n_keys; i++) {
            if (i > 0)
                buf_append_char(out, ' ');
            buf_append_slice(out, message_bytes(answer->keys[i]));
        }
        buf_append_str(out, "])");
    }
    buf_append_char(out, '\n');
}

static void print_leases(const struct v3_result *result, struct buf *out)
{
    const Etcdserverpb__LeaseLeasesResponse *answer = result->message;

    v3_line(out, "found %zu leases", answer->n_leases);
    for (size_t i = 0; i < answer->n_leases; i++)
        v3_line(out, "%016llx", (unsigned long long)answer->leases[i]->id);
}

/* ---- members ------------------------------------------------------------ */

static void member_line(struct buf *out, uint64_t id, const char *what,
                        const Etcdserverpb__ResponseHeader *header)
{
    v3_line(out, "Member %16llx %s cluster %16llx", (unsigned long long)id,
            what, header ? (unsigned long long)header->cluster_id : 0);
}

static void print_member_add(const struct v3_result *result, struct buf *out)
{
    const Etcdserverpb__MemberAddResponse *answer = result->message;

    member_line(out, answer->member ? answer->member->id : 0, "added to",
                answer->header);
}

static void print_member_remove(const struct v3_result *result, struct buf *out)
{
    const Etcdserverpb__MemberRemoveResponse *answer = result->message;

    member_line(out, result->id, "removed from", answer->header);
}

static void print_member_update(const struct v3_result *result, struct buf *out)
{
    const Etcdserverpb__MemberUpdateResponse *answer = result->message;

    member_line(out, result->id, "updated in", answer->header);
}

static void print_member_promote(const struct v3_result *result,
                                 struct buf *out)
{
    const Etcdserverpb__MemberPromoteResponse *answer = result->message;

    member_line(out, result->id, "promoted in", answer->header);
}

static void print_member_list(const struct v3_result *result, struct buf *out)
{
    struct arena arena;
    struct v3_rows rows;

    arena_init(&arena, 0);
    rows = v3_member_rows(result->message, &arena);
    v3_rows_list(&rows, out);
    arena_deinit(&arena);
}

/* ---- upkeep ------------------------------------------------------------- */

static void print_alarms(const struct v3_result *result, struct buf *out)
{
    static const char *const names[] = {"NONE", "NOSPACE", "CORRUPT"};
    const Etcdserverpb__AlarmResponse *answer = result->message;

    for (size_t i = 0; i < answer->n_alarms; i++) {
        const Etcdserverpb__AlarmMember *alarm = answer->alarms[i];
        size_t type = (size_t)alarm->alarm;
        if (alarm->memberid)
            buf_printf(out, "memberID:%llu ",
                       (unsigned long long)alarm->memberid);
        if (type > 0 && type < sizeof(names) / sizeof(names[0]))
            buf_printf(out, "alarm:%s ", names[type]);
        buf_append_char(out, '\n');
    }
}

static void print_move_leader(const struct v3_result *result, struct buf *out)
{
    v3_line(out, "Leadership transferred from %llx to %llx",
            (unsigned long long)result->id, (unsigned long long)result->target);
}

/* ---- which one ---------------------------------------------------------- */

static const struct {
    const ProtobufCMessageDescriptor *type;
    void (*print)(const struct v3_result *result, struct buf *out);
} printers[] = {
    {&etcdserverpb__range_response__descriptor, print_range},
    {&etcdserverpb__put_response__descriptor, print_put},
    {&etcdserverpb__delete_range_response__descriptor, print_delete},
    {&etcdserverpb__txn_response__descriptor, print_txn},
    {&etcdserverpb__watch_response__descriptor, print_watch},
    {&etcdserverpb__lease_grant_response__descriptor, print_grant},
    {&etcdserverpb__lease_revoke_response__descriptor, print_revoke},
    {&etcdserverpb__lease_keep_alive_response__descriptor, print_keepalive},
    {&etcdserverpb__lease_time_to_live_response__descriptor, print_ttl},
    {&etcdserverpb__lease_leases_response__descriptor, print_leases},
    {&etcdserverpb__member_add_response__descriptor, print_member_add},
    {&etcdserverpb__member_remove_response__descriptor, print_member_remove},
    {&etcdserverpb__member_update_response__descriptor, print_member_update},
    {&etcdserverpb__member_promote_response__descriptor, print_member_promote},
    {&etcdserverpb__member_list_response__descriptor, print_member_list},
    {&etcdserverpb__alarm_response__descriptor, print_alarms},
    {&etcdserverpb__move_leader_response__descriptor, print_move_leader},
    {&etcdserverpb__auth_user_get_response__descriptor, v3_simple_user},
    {&etcdserverpb__auth_user_list_response__descriptor, v3_simple_users},
    {&etcdserverpb__auth_role_get_response__descriptor, v3_simple_role},
    {&etcdserverpb__auth_role_list_response__descriptor, v3_simple_roles},
    {&etcdserverpb__auth_status_response__descriptor, v3_simple_auth_status},
};

bool v3_simple_write(const struct v3_result *result, struct buf *out)
{
    const ProtobufCMessage *message = result->message;

    if (result->line) {
        v3_line(out, "%s", result->line);
        return true;
    }
    for (size_t i = 0; i < sizeof(printers) / sizeof(printers[0]); i++) {
        if (printers[i].type == message->descriptor) {
            printers[i].print(result, out);
            return true;
        }
    }
    return false;
}
