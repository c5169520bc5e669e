#include "mvcc/record.h"

#include <inttypes.h>

#include "base/check.h"
#include "base/crc.h"

enum {
    CRC_VALUE_AT = 4,
    TABLE_AT = 8,
    CAUSE_AT = 9,
    FLAGS_AT = 10,
    FIELDS_AT = 11,
    TIME_AT = 12,
    FIXED_BYTES = 20,

    FIELD_CREATE = 1,
    FIELD_VERSION = 2,
    FIELD_PREV = 4,
    FIELD_LEASE = 8,
    FIELD_EXPIRE = 16,
    FIELDS_ALL = 31,

    FLAGS_ALL = MVCC_TOMBSTONE | MVCC_PART | MVCC_REFRESH,
    VARINTS_MAX = 7,
};

void record__encode_key(struct rev rev, char out[RECORD_KEY_BYTES])
{
    CHECK(rev.main > 0);
    put_be64(out, (uint64_t)rev.main);
    put_be32(out + 8, rev.sub);
}

enum err record__decode_key(struct slice key, struct rev *out)
{
    if (key.size != RECORD_KEY_BYTES)
        return err_set(ERR_CORRUPT, "a record's key of %zu bytes", key.size);
    uint64_t main = get_be64(key.at);
    if (main == 0 || main > INT64_MAX)
        return err_set(ERR_CORRUPT, "a record of revision %" PRIu64, main);
    *out = (struct rev){(revision)main, get_be32(key.at + 8)};
    return ERR_OK;
}

/* ---- encoding ------------------------------------------------------------ */

static char *encode_fields(char *at, const struct record *record,
                           unsigned *fields)
{
    uint64_t main = (uint64_t)record->rev.main;
    bool lives = !(record->flags & MVCC_TOMBSTONE);
    *fields = 0;
    if (lives && record->create != record->rev.main) {
        *fields |= FIELD_CREATE;
        at += put_varint(at, main - (uint64_t)record->create);
    }
    if (lives && record->version != 1) {
        *fields |= FIELD_VERSION;
        at += put_varint(at, (uint64_t)record->version);
    }
    if (record->prev.main != 0) {
        *fields |= FIELD_PREV;
        at += put_varint(at, main - (uint64_t)record->prev.main);
        at += put_varint(at, record->prev.sub);
    }
    if (record->lease != 0) {
        *fields |= FIELD_LEASE;
        at += put_varint(at, (uint64_t)record->lease);
    }
    if (record->expire_ns != 0) {
        *fields |= FIELD_EXPIRE;
        at += put_varint(at, (uint64_t)record->expire_ns);
    }
    return at + put_varint(at, record->key.size);
}

static void check_record(const struct record *record)
{
    bool lives = !(record->flags & MVCC_TOMBSTONE);
    CHECK_LT(record->table, MVCC_TABLE_COUNT);
    CHECK((record->flags & ~(uint32_t)FLAGS_ALL) == 0);
    CHECK(record->rev.main > 0 && record->prev.main <= record->rev.main);
    CHECK(record->create <= record->rev.main);
    CHECK(lives == (record->create > 0) && lives == (record->version > 0));
    CHECK(lives || record->value.size == 0);
}

void record__encode(struct buf *out, const struct record *record)
{
    check_record(record);
    size_t begin = out->size;
    buf_reserve(out, FIXED_BYTES + VARINTS_MAX * VARINT_BYTES_MAX +
                         record->key.size + record->value.size);
    char *head = out->at + begin;
    unsigned fields;
    char *end = encode_fields(head + FIXED_BYTES, record, &fields);
    head[TABLE_AT] = (char)record->table;
    head[CAUSE_AT] = (char)record->cause;
    head[FLAGS_AT] = (char)record->flags;
    head[FIELDS_AT] = (char)fields;
    put_le64(head + TIME_AT, (uint64_t)record->time_ns);
    out->size += (size_t)(end - head);
    buf_append_slice(out, record->key);
    size_t key_end = out->size - begin;
    buf_append_slice(out, record->value);
    CHECK(out->at + begin == head);
    put_le32(head + CRC_VALUE_AT,
             crc32c(0, record->value.at, record->value.size));
    put_le32(head, crc32c(0, head + TABLE_AT, key_end - TABLE_AT));
}

/* ---- decoding ------------------------------------------------------------ */

/* A field that is there but says what its absence would say is wrong: a
 * record has one form. */
static bool get_field(const char **at, const char *end, uint64_t least,
                      uint64_t most, uint64_t *out)
{
    return get_varint(at, end, out) && *out >= least && *out <= most;
}

static bool decode_life(const char **at, const char *end, unsigned fields,
                        struct record *record)
{
    uint64_t main = (uint64_t)record->rev.main;
    uint64_t age = 0, version = 1;
    if (record->flags & MVCC_TOMBSTONE)
        return (fields & (FIELD_CREATE | FIELD_VERSION)) == 0;
    if ((fields & FIELD_CREATE) && !get_field(at, end, 1, main - 1, &age))
        return false;
    if ((fields & FIELD_VERSION) && !get_field(at, end, 2, INT64_MAX, &version))
        return false;
    record->create = (revision)(main - age);
    record->version = (int64_t)version;
    return true;
}

static bool decode_fields(const char **at, const char *end, unsigned fields,
                          struct record *record)
{
    uint64_t main = (uint64_t)record->rev.main;
    uint64_t age, sub, number;
    if (!decode_life(at, end, fields, record))
        return false;
    if (fields & FIELD_PREV) {
        if (!get_field(at, end, 0, main - 1, &age) ||
            !get_field(at, end, 0, UINT32_MAX, &sub) ||
            (age == 0 && sub >= record->rev.sub))
            return false;
        record->prev = (struct rev){(revision)(main - age), (uint32_t)sub};
    }
    if (fields & FIELD_LEASE) {
        if (!get_field(at, end, 1, UINT64_MAX, &number))
            return false;
        record->lease = (lease_id)number;
    }
    if (fields & FIELD_EXPIRE) {
        if (!get_field(at, end, 1, UINT64_MAX, &number))
            return false;
        record->expire_ns = (int64_t)number;
    }
    return true;
}

static bool is_cause(unsigned number)
{
    switch (number) {
#define X(name, value, text) case value:
        MVCC_CAUSE_TABLE(X)
#undef X
        return true;
    default:
        return false;
    }
}

static bool decode_body(struct slice bytes, struct record *record)
{
    const char *at = bytes.at + FIXED_BYTES;
    const char *end = bytes.at + bytes.size;
    unsigned table = (unsigned char)bytes.at[TABLE_AT];
    unsigned cause = (unsigned char)bytes.at[CAUSE_AT];
    unsigned fields = (unsigned char)bytes.at[FIELDS_AT];
    uint64_t key_size;

    record->flags = (unsigned char)bytes.at[FLAGS_AT];
    record->time_ns = (int64_t)get_le64(bytes.at + TIME_AT);
    if (table >= MVCC_TABLE_COUNT || !is_cause(cause) ||
        (record->flags & ~(uint32_t)FLAGS_ALL) != 0 ||
        (fields & ~(unsigned)FIELDS_ALL) != 0)
        return false;
    record->table = (enum mvcc_table)table;
    record->cause = (enum mvcc_cause)cause;
    if (!decode_fields(&at, end, fields, record) ||
        !get_varint(&at, end, &key_size) || key_size > (size_t)(end - at))
        return false;
    record->key = slice_of(at, (size_t)key_size);
    at += key_size;
    record->value = slice_of(at, (size_t)(end - at));
    return record->value.size == 0 || !(record->flags & MVCC_TOMBSTONE);
}

enum err record__decode(struct slice bytes, struct rev rev,
                        enum record__trust trust, struct record *out)
{
    CHECK(rev.main > 0);
    *out = (struct record){.rev = rev};
    if (bytes.size < FIXED_BYTES || !decode_body(bytes, out))
        return err_set(ERR_CORRUPT, "record %" PRId64 "/%" PRIu32 ": malformed",
                       rev.main, rev.sub);
    const char *head = bytes.at + TABLE_AT;
    const char *key_end = out->key.at + out->key.size;
    if (get_le32(bytes.at) != crc32c(0, head, (size_t)(key_end - head)))
        return err_set(ERR_CORRUPT,
                       "record %" PRId64 "/%" PRIu32 ": wrong checksum",
                       rev.main, rev.sub);
    if (trust == RECORD_CHECK_ALL &&
        get_le32(bytes.at + CRC_VALUE_AT) !=
            crc32c(0, out->value.at, out->value.size))
        return err_set(ERR_CORRUPT,
                       "record %" PRId64 "/%" PRIu32
                       ": wrong checksum of the value",
                       rev.main, rev.sub);
    return ERR_OK;
}
