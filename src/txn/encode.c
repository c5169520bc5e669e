/* Messages of v3 that are written often, by hand: sizes first, then the bytes
 * in one go. */
#include "txn/txn_int.h"

enum { TAG_VARINT = 0, TAG_BYTES = 2 };

enum kv_field {
    KV_KEY = 1,
    KV_CREATE = 2,
    KV_MOD = 3,
    KV_VERSION = 4,
    KV_VALUE = 5,
    KV_LEASE = 6,
};

enum event_field {
    EVENT_TYPE = 1,
    EVENT_KV = 2,
    EVENT_PREV = 3,
    EVENT_CAUSE = 100,
    EVENT_TIME = 101,
};

static inline size_t varint_bytes(uint64_t v)
{
    return (size_t)(70 - __builtin_clzll(v | 1)) / 7;
}

/* Most numbers are small. */
static inline char *write_varint(char *at, uint64_t v)
{
    if (v < 0x80) {
        *at = (char)v;
        return at + 1;
    }
    return at + put_varint(at, v);
}

static inline size_t number_bytes(int64_t v)
{
    return v == 0 ? 0 : 1 + varint_bytes((uint64_t)v);
}

static inline char *write_number(char *at, enum kv_field field, int64_t v)
{
    if (v == 0)
        return at;
    *at++ = (char)(field << 3 | TAG_VARINT);
    return write_varint(at, (uint64_t)v);
}

static inline size_t bytes_bytes(size_t size)
{
    return size == 0 ? 0 : 1 + varint_bytes(size) + size;
}

static inline char *write_bytes(char *at, enum kv_field field,
                                struct slice bytes)
{
    if (bytes.size == 0)
        return at;
    *at++ = (char)(field << 3 | TAG_BYTES);
    at = write_varint(at, bytes.size);
    memcpy(at, bytes.at, bytes.size);
    return at + bytes.size;
}

/* ---- KeyValue ------------------------------------------------------------ */

static size_t kv_bytes(const struct record *record, bool keys_only)
{
    return bytes_bytes(record->key.size) + number_bytes(record->create) +
           number_bytes(record->rev.main) + number_bytes(record->version) +
           (keys_only ? 0 : bytes_bytes(record->value.size)) +
           number_bytes(record->lease);
}

static char *write_kv(char *at, const struct record *record, bool keys_only)
{
    at = write_bytes(at, KV_KEY, record->key);
    at = write_number(at, KV_CREATE, record->create);
    at = write_number(at, KV_MOD, record->rev.main);
    at = write_number(at, KV_VERSION, record->version);
    if (!keys_only)
        at = write_bytes(at, KV_VALUE, record->value);
    return write_number(at, KV_LEASE, record->lease);
}

void txn__put_kv(struct buf *out, uint32_t number, const struct record *record,
                 bool keys_only)
{
    uint64_t tag = (uint64_t)number << 3 | TAG_BYTES;
    size_t size = kv_bytes(record, keys_only);
    size_t total = varint_bytes(tag) + varint_bytes(size) + size;
    CHECK(number > 0);
    buf_reserve(out, total);
    char *at = out->at + out->size;
    at = write_varint(at, tag);
    at = write_varint(at, size);
    at = write_kv(at, record, keys_only);
    out->size += total;
    CHECK(at == out->at + out->size);
}

size_t txn__kv_field_bytes(const struct record *record, bool keys_only)
{
    size_t size = kv_bytes(record, keys_only);
    return 1 + varint_bytes(size) + size;
}

void txn_put_key_value(struct buf *out, uint32_t number,
                       const struct record *record)
{
    txn__put_kv(out, number, record, false);
}

size_t txn_key_value_bytes(const struct record *record)
{
    return kv_bytes(record, false);
}

void txn_key_value(struct buf *out, const struct record *record)
{
    size_t size = kv_bytes(record, false);
    char *start = buf_extend(out, size);
    char *end = write_kv(start, record, false);
    CHECK(end == start + size);
}

void txn__stored_kv(struct buf *out, const struct record *record)
{
    if (record->flags & MVCC_TOMBSTONE)
        pb_put_bytes(out, KV_KEY, record->key);
    else
        txn_key_value(out, record);
}

void txn_event(struct buf *out, const struct record *record,
               const struct record *prev)
{
    enum { DELETE = MVCCPB__EVENT__EVENT_TYPE__DELETE };
    if (record->flags & MVCC_TOMBSTONE)
        pb_put_u64(out, EVENT_TYPE, DELETE);
    txn_put_key_value(out, EVENT_KV, record);
    if (prev != NULL)
        txn_put_key_value(out, EVENT_PREV, prev);
}

void txn_event_cause(struct buf *out, const struct record *record)
{
    pb_put_bytes(out, EVENT_CAUSE, slice_str(mvcc_cause_text(record->cause)));
    pb_put_i64(out, EVENT_TIME, record->time_ns);
}

/* ---- parts of responses -------------------------------------------------- */

void txn__put_header(struct buf *out, revision newest)
{
    size_t size = number_bytes(newest);
    char *at = buf_extend(out, 2 + size);
    *at++ = (char)(FIELD_HEADER << 3 | TAG_BYTES);
    *at++ = (char)size;
    if (newest != 0) {
        *at++ = (char)(FIELD_HEADER_REVISION << 3 | TAG_VARINT);
        write_varint(at, (uint64_t)newest);
    }
}

size_t txn__field_begin(struct buf *out, uint32_t number)
{
    CHECK(number > 0 && number < 16);
    char *at = buf_extend(out, 2);
    at[0] = (char)(number << 3 | TAG_BYTES);
    at[1] = 0;
    return out->size;
}

/* One byte was kept for the length; where it needs more, the content moves. */
void txn__field_end(struct buf *out, size_t start)
{
    CHECK(start >= 2 && start <= out->size);
    size_t size = out->size - start;
    size_t more = varint_bytes(size) - 1;
    if (more > 0) {
        (void)buf_extend(out, more);
        memmove(out->at + start + more, out->at + start, size);
    }
    write_varint(out->at + start - 1, size);
}

void txn__bound_answer(struct txn_answer *answer)
{
    if (answer->body.size <= TXN_ANSWER_BYTES_MAX)
        return;
    buf_deinit(&answer->body);
    answer->body = (struct buf){0};
    answer->error = V3_REQUEST_TOO_LARGE;
}

void txn_answer_deinit(struct txn_answer *answer)
{
    buf_deinit(&answer->body);
    *answer = (struct txn_answer){0};
}
