/* Messages between members as protobuf wire bytes:
 *
 *      1 type  2 from  3 to  4 term  5 index  6 log_term  7 commit
 *      8 hint_index  9 hint_term  10 read  11 rejected  12 forced
 *     13 entry, once for each:
 *            1 term  2 index  3 time_ns  4 type  5 data (absent: none)
 *
 * Fields that are zero are left out, unknown ones are skipped. What comes may
 * be anything: what the state machine relies on is checked here.
 */
#include <string.h>

#include "base/check.h"
#include "proto/pb.h"
#include "raft/log_int.h"
#include "raft/raft.h"

const char *raft_message_text(enum raft_message_type type)
{
    switch (type) {
    case RAFT_MESSAGE_PRE_VOTE:
        return "pre-vote";
    case RAFT_MESSAGE_PRE_VOTE_ANSWER:
        return "pre-vote answer";
    case RAFT_MESSAGE_VOTE:
        return "vote";
    case RAFT_MESSAGE_VOTE_ANSWER:
        return "vote answer";
    case RAFT_MESSAGE_APPEND:
        return "append";
    case RAFT_MESSAGE_APPEND_ANSWER:
        return "append answer";
    case RAFT_MESSAGE_HEARTBEAT:
        return "heartbeat";
    case RAFT_MESSAGE_HEARTBEAT_ANSWER:
        return "heartbeat answer";
    case RAFT_MESSAGE_SNAPSHOT:
        return "snapshot";
    case RAFT_MESSAGE_TIMEOUT_NOW:
        return "timeout now";
    case RAFT_MESSAGE_READ:
        return "read";
    case RAFT_MESSAGE_READ_ANSWER:
        return "read answer";
    }
    UNREACHABLE();
}

/* ---- writing ------------------------------------------------------------- */

enum { ENTRY_HEAD_BYTES_MAX = 64 };

static size_t put_number(char *to, char number, uint64_t value)
{
    if (value == 0) {
        return 0;
    }
    to[0] = (char)(number << 3 | PB_VARINT);
    return 1 + put_varint(to + 1, value);
}

/* All of an entry that stands before the data's bytes. */
static size_t put_entry_head(char *to, const struct raft_entry *entry)
{
    size_t size = put_number(to, 1, entry->term);
    size += put_number(to + size, 2, entry->index);
    size += put_number(to + size, 3, (uint64_t)entry->time_ns);
    size += put_number(to + size, 4, entry->type);
    if (entry->data != NULL) {
        to[size++] = (char)(5 << 3 | PB_BYTES);
        size += put_varint(to + size, entry->data->size);
    }
    CHECK_LE(size, ENTRY_HEAD_BYTES_MAX);
    return size;
}

static void encode_entry(struct buf *out, const struct raft_entry *entry)
{
    char head[ENTRY_HEAD_BYTES_MAX];
    char front[1 + VARINT_BYTES_MAX];
    size_t head_size = put_entry_head(head, entry);
    size_t data_size = entry->data != NULL ? entry->data->size : 0;
    CHECK(entry->index > 0);
    CHECK(entry->term > 0);
    CHECK(entry->time_ns >= 0);
    front[0] = (char)(13 << 3 | PB_BYTES);
    buf_append(out, front, 1 + put_varint(front + 1, head_size + data_size));
    buf_append(out, head, head_size);
    if (data_size > 0) {
        buf_append(out, entry->data->bytes, data_size);
    }
}

void raft_message_encode(const struct raft_message *message, struct buf *out)
{
    CHECK(message->type != RAFT_MESSAGE_SNAPSHOT);
    CHECK(message->from != 0 && message->to != 0);
    CHECK(message->from != message->to);
    CHECK(message->count == 0 || message->type == RAFT_MESSAGE_APPEND);
    pb_put_u64(out, 1, message->type);
    pb_put_u64(out, 2, message->from);
    pb_put_u64(out, 3, message->to);
    pb_put_u64(out, 4, message->term);
    pb_put_u64(out, 5, message->index);
    pb_put_u64(out, 6, message->log_term);
    pb_put_u64(out, 7, message->commit);
    pb_put_u64(out, 8, message->hint_index);
    pb_put_u64(out, 9, message->hint_term);
    pb_put_u64(out, 10, message->read);
    pb_put_bool(out, 11, message->rejected);
    pb_put_bool(out, 12, message->forced);
    for (size_t i = 0; i < message->count; i++) {
        CHECK_EQ(message->entries[i].index, message->index + 1 + i);
        CHECK_LE(message->entries[i].term, message->term);
        encode_entry(out, &message->entries[i]);
    }
}

/* ---- reading ------------------------------------------------------------- */

/* A number's place in the message; NULL: it isn't a number of ours. */
static uint64_t *number_of(struct raft_message *message, uint32_t field)
{
    switch (field) {
    case 2:
        return &message->from;
    case 3:
        return &message->to;
    case 4:
        return &message->term;
    case 5:
        return &message->index;
    case 6:
        return &message->log_term;
    case 7:
        return &message->commit;
    case 8:
        return &message->hint_index;
    case 9:
        return &message->hint_term;
    case 10:
        return &message->read;
    default:
        return NULL;
    }
}

static bool take_bool(const struct pb_field *field, bool *out)
{
    *out = field->value != 0;
    return field->type == PB_VARINT;
}

/* The entries are only counted: they are read when the rest is known. */
static bool take_field(const struct pb_field *field, uint64_t *type,
                       struct raft_message *out)
{
    uint64_t *number = number_of(out, field->number);
    if (number != NULL) {
        *number = field->value;
        return field->type == PB_VARINT;
    }
    switch (field->number) {
    case 1:
        *type = field->value;
        return field->type == PB_VARINT;
    case 11:
        return take_bool(field, &out->rejected);
    case 12:
        return take_bool(field, &out->forced);
    case 13:
        out->count++;
        return field->type == PB_BYTES;
    default:
        return true; /* a newer version's */
    }
}

/* Leaves the data as a view: nothing is to be let go when it is refused. */
static bool decode_entry(struct slice bytes, struct raft_entry *out,
                         struct slice *data, bool *has_data)
{
    struct pb_reader reader;
    struct pb_field field;
    uint64_t type = 0;
    memset(out, 0, sizeof(*out));
    *has_data = false;
    pb_reader_init(&reader, bytes);
    while (pb_next(&reader, &field)) {
        if (field.number >= 1 && field.number <= 5 &&
            field.type != (field.number == 5 ? PB_BYTES : PB_VARINT)) {
            return false;
        }
        if (field.number == 1) {
            out->term = field.value;
        } else if (field.number == 2) {
            out->index = field.value;
        } else if (field.number == 3) {
            out->time_ns = (int64_t)field.value;
        } else if (field.number == 4) {
            type = field.value;
        } else if (field.number == 5) {
            *data = field.bytes;
            *has_data = true;
        }
    }
    out->type = (enum raft_entry_type)type;
    return !reader.failed && type <= RAFT_ENTRY_CHANGE;
}

/* Indexes rise one by one, terms and times don't fall, and no entry is of a
 * later term than its leader. An empty entry's time says nothing. */
static bool follows(const struct raft_message *message,
                    const struct raft_entry *before,
                    const struct raft_entry *entry)
{
    return before->index < UINT64_MAX && entry->index == before->index + 1 &&
           entry->term >= before->term && entry->term > 0 &&
           entry->term <= message->term && entry->time_ns >= 0 &&
           (entry->time_ns >= before->time_ns ||
            entry->type == RAFT_ENTRY_EMPTY);
}

/* A change must say of whom: a membership of nobody would be the end. */
static bool is_change(struct slice data)
{
    struct raft_members members;
    return raft_members_decode(data, &members, NULL) == ERR_OK &&
           members.voter_count > 0;
}

static bool take_entry(struct slice bytes, const struct raft_entry *before,
                       struct raft_message *message, struct raft_entry *out)
{
    struct raft_entry entry;
    struct slice data = {0};
    bool has_data;
    if (!decode_entry(bytes, &entry, &data, &has_data) ||
        !follows(message, before, &entry) ||
        (entry.type == RAFT_ENTRY_CHANGE && !is_change(data))) {
        return false;
    }
    if (has_data) {
        entry.data = refbuf_dup(data.at, data.size);
    }
    CHECK_EQ(entry.index, message->index + message->count + 1);
    *out = entry;
    message->count++;
    return true;
}

static bool take_entries(struct slice bytes, struct raft_message *message,
                         struct raft_entry *entries)
{
    struct raft_entry before = {.index = message->index,
                                .term = message->log_term};
    struct pb_reader reader;
    struct pb_field field;
    message->entries = entries;
    message->count = 0;
    pb_reader_init(&reader, bytes);
    while (pb_next(&reader, &field)) {
        if (field.number != 13) {
            continue;
        }
        if (!take_entry(field.bytes, &before, message,
                        &entries[message->count])) {
            return false;
        }
        int64_t time_ns = before.time_ns;
        before = entries[message->count - 1];
        if (before.type == RAFT_ENTRY_EMPTY) {
            before.time_ns = time_ns;
        }
    }
    CHECK(!reader.failed);
    return true;
}

static bool is_sound(const struct raft_message *message, uint64_t type)
{
    return type >= RAFT_MESSAGE_PRE_VOTE && type <= RAFT_MESSAGE_READ_ANSWER &&
           type != RAFT_MESSAGE_SNAPSHOT && message->from != 0 &&
           message->to != 0 && message->from != message->to &&
           (message->count == 0 || type == RAFT_MESSAGE_APPEND) &&
           (message->index > 0 || message->log_term == 0) &&
           (type != RAFT_MESSAGE_APPEND ||
            (message->log_term <= message->term &&
             (message->index > 0) == (message->log_term > 0)));
}

enum err raft_message_decode(struct slice bytes, struct raft_entry *entries,
                             size_t entries_max, struct raft_message *out)
{
    struct pb_reader reader;
    struct pb_field field;
    uint64_t type = 0;
    bool sound = true;
    memset(out, 0, sizeof(*out));
    pb_reader_init(&reader, bytes);
    while (sound && pb_next(&reader, &field)) {
        sound = take_field(&field, &type, out);
    }
    if (!sound || reader.failed || !is_sound(out, type)) {
        out->count = 0;
        return err_set(ERR_CORRUPT, "a message is malformed");
    }
    out->type = (enum raft_message_type)type;
    if (out->count > entries_max) {
        size_t count = out->count;
        out->count = 0;
        return err_set(ERR_TOO_LARGE, "a message with %zu entries", count);
    }
    if (!take_entries(bytes, out, entries)) {
        raft_message_release(out);
        return err_set(ERR_CORRUPT, "a message's entries are malformed");
    }
    return ERR_OK;
}

void raft_message_release(struct raft_message *message)
{
    CHECK(message->count == 0 || message->entries != NULL);
    for (size_t i = 0; i < message->count; i++) {
        refbuf_unref(message->entries[i].data);
    }
    message->entries = NULL;
    message->count = 0;
}
