#include "support/node_requests.h"

#include <stdio.h>

#include "base/check.h"
#include "proto/message.h"
#include "proto/pb.h"

/* ---- asking -------------------------------------------------------------- */

/* One for each thread that asks. */
static _Thread_local char body_bytes[256 * 1024];

static struct command with_body(enum command_type type, const struct buf *body)
{
    CHECK_LE(body->size, sizeof body_bytes);
    if (body->size > 0)
        memcpy(body_bytes, body->at, body->size);
    return (struct command){.type = type,
                            .message = slice_of(body_bytes, body->size)};
}

struct command ask_message(enum command_type type,
                           const ProtobufCMessage *message)
{
    struct buf body = {0};
    message_encode(message, &body);
    struct command command = with_body(type, &body);
    buf_deinit(&body);
    return command;
}

static ProtobufCBinaryData data_of(const char *text)
{
    return message_data(slice_str(text));
}

struct command ask_put(const char *key, const char *value, lease_id lease)
{
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    put.key = data_of(key);
    put.value = data_of(value);
    put.lease = lease;
    return ask_message(COMMAND_PUT, &put.base);
}

struct command ask_delete(const char *key, const char *end)
{
    Etcdserverpb__DeleteRangeRequest request =
        ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    request.key = data_of(key);
    if (end != NULL)
        request.range_end = data_of(end);
    return ask_message(COMMAND_DELETE_RANGE, &request.base);
}

struct command ask_toggle(const char *key)
{
    Etcdserverpb__Compare compare = ETCDSERVERPB__COMPARE__INIT;
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__DeleteRangeRequest end =
        ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    Etcdserverpb__RequestOp yes = ETCDSERVERPB__REQUEST_OP__INIT;
    Etcdserverpb__RequestOp no = ETCDSERVERPB__REQUEST_OP__INIT;
    Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT;
    compare.result = ETCDSERVERPB__COMPARE__COMPARE_RESULT__EQUAL;
    compare.target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__VERSION;
    compare.key = data_of(key);
    compare.target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_VERSION;
    put.key = end.key = data_of(key);
    put.value = data_of("on");
    yes.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    yes.request_put = &put;
    no.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
    no.request_delete_range = &end;
    txn.n_compare = txn.n_success = txn.n_failure = 1;
    txn.compare = (Etcdserverpb__Compare *[]){&compare};
    txn.success = (Etcdserverpb__RequestOp *[]){&yes};
    txn.failure = (Etcdserverpb__RequestOp *[]){&no};
    return ask_message(COMMAND_TXN, &txn.base);
}

struct command ask_grant(lease_id id, int64_t ttl_s)
{
    Etcdserverpb__LeaseGrantRequest request =
        ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    request.id = id;
    request.ttl = ttl_s;
    return ask_message(COMMAND_LEASE_GRANT, &request.base);
}

struct command ask_revoke(lease_id id)
{
    Etcdserverpb__LeaseRevokeRequest request =
        ETCDSERVERPB__LEASE_REVOKE_REQUEST__INIT;
    request.id = id;
    return ask_message(COMMAND_LEASE_REVOKE, &request.base);
}

struct command ask_renew(lease_id id)
{
    static _Thread_local lease_id renewed;
    renewed = id;
    return (struct command){.type = COMMAND_LEASE_RENEW,
                            .renew = {.leases = &renewed, .count = 1}};
}

struct command ask_compact(revision at)
{
    return (struct command){.type = COMMAND_COMPACT, .compact = at};
}

static struct command ask_alarm(int action, member_id member, uint32_t type)
{
    Etcdserverpb__AlarmRequest request = ETCDSERVERPB__ALARM_REQUEST__INIT;
    request.action = (Etcdserverpb__AlarmRequest__AlarmAction)action;
    request.memberid = member;
    request.alarm = (Etcdserverpb__AlarmType)type;
    return ask_message(COMMAND_ALARM, &request.base);
}

struct command ask_raise(member_id member, uint32_t type)
{
    return ask_alarm(ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__ACTIVATE,
                     member, type);
}

struct command ask_end(member_id member, uint32_t type)
{
    return ask_alarm(ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__DEACTIVATE,
                     member, type);
}

int64_t answer_number(const struct txn_answer *answer, uint32_t number)
{
    struct pb_reader reader;
    struct pb_field field;
    pb_reader_init(&reader, buf_slice(&answer->body));
    while (pb_next(&reader, &field)) {
        if (field.number == number && field.type == PB_VARINT)
            return (int64_t)field.value;
    }
    CHECK(!reader.failed);
    return 0;
}

/* ---- looking ------------------------------------------------------------- */

struct text {
    char bytes[512];
    size_t size;
};

static void say(struct text *text, const char *format, ...) PRINTF_LIKE(2, 3);
static void say(struct text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int size = vsnprintf(text->bytes + text->size,
                         sizeof text->bytes - text->size, format, args);
    va_end(args);
    CHECK(size >= 0 && (size_t)size < sizeof text->bytes - text->size);
    text->size += (size_t)size;
}

static void say_slice(struct text *text, struct slice slice)
{
    say(text, "%.*s", (int)slice.size, slice.at);
}

static struct mvcc_reader *begin_look(struct node *node)
{
    struct mvcc_reader *reader;
    enum err err = mvcc_reader_new(node_mvcc(node), &reader);
    CHECK_EQ(err, ERR_OK);
    lock_read(node_lock(node));
    mvcc_read_begin(reader);
    return reader;
}

static void end_look(struct node *node, struct mvcc_reader *reader)
{
    mvcc_read_end(reader);
    unlock_read(node_lock(node));
    mvcc_reader_free(reader);
}

static void say_lease(struct text *text, lease_id lease)
{
    if (lease_is_v2(lease))
        say(text, " lease=v2:%lld", (long long)(lease ^ LEASE_V2));
    else if (lease != 0)
        say(text, " lease=%lld", (long long)lease);
}

const char *record_text(struct node *node, const char *key)
{
    static struct text text;
    struct record record;
    struct mvcc_reader *reader = begin_look(node);
    enum err err = mvcc_get(reader, MVCC_KEYS, slice_str(key), 0, &record);
    text.size = 0;
    if (err == ERR_NOT_FOUND) {
        say(&text, "none");
    } else {
        CHECK_EQ(err, ERR_OK);
        say_slice(&text, record.value);
        say(&text, " [%lld,%lld] v%lld %s", (long long)record.create,
            (long long)record.rev.main, (long long)record.version,
            mvcc_cause_text(record.cause));
        say_lease(&text, record.lease);
    }
    end_look(node, reader);
    return text.bytes;
}

static void say_node(struct text *text, const struct tree_node *seen)
{
    say_slice(text, seen->key);
    if (seen->dir) {
        say(text, seen->key.size > 1 ? "/" : "");
    } else {
        say(text, "=");
        say_slice(text, seen->value);
    }
}

const char *node_text(struct node *node, const char *path, int64_t now_ns)
{
    static struct text text;
    struct tree_node seen;
    enum tree_error error;
    struct slice cause;
    struct mvcc_reader *reader = begin_look(node);
    enum err err = tree_get(reader, slice_str(path), 0, &seen, &error, &cause);
    CHECK_EQ(err, ERR_OK);
    text.size = 0;
    if (error != TREE_NONE) {
        say(&text, "%d", (int)error);
    } else {
        say_node(&text, &seen);
        say(&text, " [%lld,%lld]", (long long)seen.created,
            (long long)seen.modified);
        if (seen.expire_ns != 0)
            say(&text, " ttl=%lld",
                (long long)((seen.expire_ns - now_ns) / 1000000000));
    }
    end_look(node, reader);
    return text.bytes;
}

const char *event_text(struct node *node, revision at)
{
    static struct text text;
    struct rev rev = {at, 0}, told_last = {0};
    struct record record;
    struct mvcc_reader *reader = begin_look(node);
    text.size = 0;
    text.bytes[0] = 0;
    for (; mvcc_get_rev(reader, rev, &record) == ERR_OK; rev.sub++) {
        struct tree_event event;
        struct rev event_rev;
        bool told;
        enum err err = tree_event(reader, &record, NULL, SLICE("/"), &event,
                                  &event_rev, &told);
        CHECK_EQ(err, ERR_OK);
        if (!told || (event_rev.main == told_last.main &&
                      event_rev.sub == told_last.sub))
            continue;
        told_last = event_rev;
        say(&text, "%s%s ", text.size > 0 ? " " : "", event.action);
        say_node(&text, &event.node);
    }
    end_look(node, reader);
    return text.bytes;
}

static void say_key(void *context, enum mvcc_table table, struct slice key)
{
    struct text *text = context;
    say_slice(text, key);
    say(text, table == MVCC_DIRS ? "/ " : " ");
}

const char *lease_text(struct node *node, lease_id id)
{
    static struct text text;
    int64_t expire_ns;
    text.size = 0;
    text.bytes[0] = 0;
    lock_read(node_lock(node));
    if (!lease_get(node_leases(node), id, &expire_ns))
        say(&text, "none");
    lease_each_key(node_leases(node), id, say_key, &text);
    unlock_read(node_lock(node));
    return text.bytes;
}

const char *alarm_text(struct node *node)
{
    static struct text text;
    struct node_alarm alarms[8];
    text.size = 0;
    text.bytes[0] = 0;
    lock_read(node_lock(node));
    size_t count = node_alarms(node, alarms, 8);
    unlock_read(node_lock(node));
    for (size_t i = 0; i < count; i++)
        say(&text, "%llx:%u ", (unsigned long long)alarms[i].member,
            alarms[i].type);
    return text.bytes;
}
