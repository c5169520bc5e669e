/* The format `fields`: one line a field. */
#include "cmd/etchctl/go_text.h"
#include "cmd/etchctl/v3_print.h"

static void number_line(struct buf *out, const char *name, int64_t number)
{
    v3_line(out, "\"%s\" : %lld", name, (long long)number);
}

static void unsigned_line(struct buf *out, const char *name, uint64_t number)
{
    v3_line(out, "\"%s\" : %llu", name, (unsigned long long)number);
}

static void bool_line(struct buf *out, const char *name, bool yes)
{
    v3_line(out, "\"%s\" : %s", name, yes ? "true" : "false");
}

static void text_line(struct buf *out, const char *prefix, const char *name,
                      struct slice text)
{
    buf_printf(out, "\"%s%s\" : ", prefix, name);
    go_quote(out, text);
    buf_append_char(out, '\n');
}

void v3_fields_header(const Etcdserverpb__ResponseHeader *header,
                      struct buf *out)
{
    static const Etcdserverpb__ResponseHeader none =
        ETCDSERVERPB__RESPONSE_HEADER__INIT;

    if (!header)
        header = &none;
    unsigned_line(out, "ClusterID", header->cluster_id);
    unsigned_line(out, "MemberID", header->member_id);
    number_line(out, "Revision", header->revision);
    unsigned_line(out, "RaftTerm", header->raft_term);
}

/* ---- keys --------------------------------------------------------------- */

static void print_kv(struct buf *out, const char *prefix,
                     const Mvccpb__KeyValue *kv)
{
    text_line(out, prefix, "Key", message_bytes(kv->key));
    v3_line(out, "\"%sCreateRevision\" : %lld", prefix,
            (long long)kv->create_revision);
    v3_line(out, "\"%sModRevision\" : %lld", prefix,
            (long long)kv->mod_revision);
    v3_line(out, "\"%sVersion\" : %lld", prefix, (long long)kv->version);
    text_line(out, prefix, "Value", message_bytes(kv->value));
    v3_line(out, "\"%sLease\" : %lld", prefix, (long long)kv->lease);
}

static void print_range(const void *message, struct buf *out)
{
    const Etcdserverpb__RangeResponse *answer = message;

    v3_fields_header(answer->header, out);
    for (size_t i = 0; i < answer->n_kvs; i++)
        print_kv(out, "", answer->kvs[i]);
    bool_line(out, "More", answer->more);
    number_line(out, "Count", answer->count);
}

static void print_put(const void *message, struct buf *out)
{
    const Etcdserverpb__PutResponse *answer = message;

    v3_fields_header(answer->header, out);
    if (answer->prev_kv)
        print_kv(out, "Prev", answer->prev_kv);
}

static void print_delete(const void *message, struct buf *out)
{
    const Etcdserverpb__DeleteRangeResponse *answer = message;

    v3_fields_header(answer->header, out);
    number_line(out, "Deleted", answer->deleted);
    for (size_t i = 0; i < answer->n_prev_kvs; i++)
        print_kv(out, "Prev", answer->prev_kvs[i]);
}

static void print_txn(const void *message, struct buf *out)
{
    const Etcdserverpb__TxnResponse *answer = message;

    v3_fields_header(answer->header, out);
    bool_line(out, "Succeeded", answer->succeeded);
    for (size_t i = 0; i < answer->n_responses; i++) {
        const Etcdserverpb__ResponseOp *part = answer->responses[i];
        if (part->response_case ==
            ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_RANGE)
            print_range(part->response_range, out);
        else if (part->response_case ==
                 ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_PUT)
            print_put(part->response_put, out);
        else if (part->response_case ==
                 ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_DELETE_RANGE)
            print_delete(part->response_delete_range, out);
        else if (part->response_case ==
                 ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_TXN)
            print_txn(part->response_txn, out);
    }
}

static void print_watch(const void *message, struct buf *out)
{
    const Etcdserverpb__WatchResponse *answer = message;

    v3_fields_header(answer->header, out);
    for (size_t i = 0; i < answer->n_events; i++) {
        const Mvccpb__Event *event = answer->events[i];
        v3_line(out, "\"Type\" : %s",
                event->type == MVCCPB__EVENT__EVENT_TYPE__PUT ? "PUT"
                                                              : "DELETE");
        if (event->prev_kv)
            print_kv(out, "Prev", event->prev_kv);
        if (event->kv)
            print_kv(out, "", event->kv);
    }
}

/* ---- leases ------------------------------------------------------------- */

static void print_grant(const void *message, struct buf *out)
{
    const Etcdserverpb__LeaseGrantResponse *answer = message;

    v3_fields_header(answer->header, out);
    number_line(out, "ID", answer->id);
    number_line(out, "TTL", answer->ttl);
}

static void print_revoke(const void *message, struct buf *out)
{
    const Etcdserverpb__LeaseRevokeResponse *answer = message;

    v3_fields_header(answer->header, out);
}

static void print_keepalive(const void *message, struct buf *out)
{
    const Etcdserverpb__LeaseKeepAliveResponse *answer = message;

    v3_fields_header(answer->header, out);
    number_line(out, "ID", answer->id);
    number_line(out, "TTL", answer->ttl);
}

static void print_ttl(const void *message, struct buf *out)
{
    const Etcdserverpb__LeaseTimeToLiveResponse *answer = message;

    v3_fields_header(answer->header, out);
    number_line(out, "ID", answer->id);
    number_line(out, "TTL", answer->ttl);
    number_line(out, "GrantedTTL", answer->grantedttl);
    for (size_t i = 0; i < answer->n_keys; i++)
        text_line(out, "", "Key", message_bytes(answer->keys[i]));
}

static void print_leases(const void *message, struct buf *out)
{
    const Etcdserverpb__LeaseLeasesResponse *answer = message;

    v3_fields_header(answer->header, out);
    for (size_t i = 0; i < answer->n_leases; i++)
        number_line(out, "ID", answer->leases[i]->id);
}

/* ---- members, alarms ---------------------------------------------------- */

static void print_member_list(const void *message, struct buf *out)
{
    const Etcdserverpb__MemberListResponse *answer = message;

    v3_fields_header(answer->header, out);
    for (size_t i = 0; i < answer->n_members; i++) {
        const Etcdserverpb__Member *member = answer->members[i];
        unsigned_line(out, "ID", member->id);
        text_line(out, "", "Name", slice_str(member->name));
        for (size_t j = 0; j < member->n_peerurls; j++)
            text_line(out, "", "PeerURL", slice_str(member->peerurls[j]));
        for (size_t j = 0; j < member->n_clienturls; j++)
            text_line(out, "", "ClientURL", slice_str(member->clienturls[j]));
        bool_line(out, "IsLearner", member->islearner);
        buf_append_char(out, '\n');
    }
}

static void print_alarms(const void *message, struct buf *out)
{
    static const char *const names[] = {"NONE", "NOSPACE", "CORRUPT"};
    const Etcdserverpb__AlarmResponse *answer = message;

    v3_fields_header(answer->header, out);
    for (size_t i = 0; i < answer->n_alarms; i++) {
        size_t type = (size_t)answer->alarms[i]->alarm;
        unsigned_line(out, "MemberID", answer->alarms[i]->memberid);
        if (type < sizeof(names) / sizeof(names[0]))
            v3_line(out, "\"AlarmType\" : %s", names[type]);
        else
            unsigned_line(out, "AlarmType", type);
        buf_append_char(out, '\n');
    }
}

/* ---- which one ---------------------------------------------------------- */

static const struct {
    const ProtobufCMessageDescriptor *type;
    void (*print)(const void *message, struct buf *out);
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
    {&etcdserverpb__member_list_response__descriptor, print_member_list},
    {&etcdserverpb__alarm_response__descriptor, print_alarms},
};

bool v3_fields_write(const struct v3_result *result, struct buf *out)
{
    const ProtobufCMessage *message = result->message;

    for (size_t i = 0; i < sizeof(printers) / sizeof(printers[0]); i++) {
        if (printers[i].type == message->descriptor) {
            printers[i].print(message, out);
            return true;
        }
    }
    return v3_fields_auth(message, out);
}
