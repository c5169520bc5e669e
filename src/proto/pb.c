#include "proto/pb.h"

#include "base/check.h"

void pb_reader_init(struct pb_reader *reader, struct slice input)
{
    /* An empty slice may have no place. */
    reader->at = input.size > 0 ? input.at : "";
    reader->end = reader->at + input.size;
    reader->failed = false;
}

static bool fail(struct pb_reader *reader)
{
    reader->failed = true;
    return false;
}

static bool read_fixed(struct pb_reader *reader, size_t size, uint64_t *out)
{
    if ((size_t)(reader->end - reader->at) < size) {
        return fail(reader);
    }
    *out = size == 8 ? get_le64(reader->at) : get_le32(reader->at);
    reader->at += size;
    return true;
}

static bool read_bytes(struct pb_reader *reader, struct slice *out)
{
    uint64_t size;
    if (!get_varint(&reader->at, reader->end, &size) ||
        size > (uint64_t)(reader->end - reader->at)) {
        return fail(reader);
    }
    *out = slice_of(reader->at, (size_t)size);
    reader->at += size;
    return true;
}

bool pb_next(struct pb_reader *reader, struct pb_field *field)
{
    uint64_t tag;
    CHECK(reader->at <= reader->end);
    if (reader->failed || reader->at == reader->end) {
        return false;
    }
    if (!get_varint(&reader->at, reader->end, &tag) || tag >> 3 == 0 ||
        tag >> 3 > UINT32_MAX) {
        return fail(reader);
    }
    field->number = (uint32_t)(tag >> 3);
    field->value = 0;
    field->bytes = slice_of(NULL, 0);
    switch (tag & 7) {
    case PB_VARINT:
        field->type = PB_VARINT;
        return get_varint(&reader->at, reader->end, &field->value) ||
               fail(reader);
    case PB_FIXED64:
        field->type = PB_FIXED64;
        return read_fixed(reader, 8, &field->value);
    case PB_FIXED32:
        field->type = PB_FIXED32;
        return read_fixed(reader, 4, &field->value);
    case PB_BYTES:
        field->type = PB_BYTES;
        return read_bytes(reader, &field->bytes);
    default:
        return fail(reader);
    }
}

static void put_number(struct buf *out, uint64_t number)
{
    char bytes[VARINT_BYTES_MAX];
    buf_append(out, bytes, put_varint(bytes, number));
}

void pb_put_u64(struct buf *out, uint32_t number, uint64_t value)
{
    CHECK(number > 0);
    if (value != 0) {
        put_number(out, (uint64_t)number << 3 | PB_VARINT);
        put_number(out, value);
    }
}

void pb_put_i64(struct buf *out, uint32_t number, int64_t value)
{
    pb_put_u64(out, number, (uint64_t)value);
}

void pb_put_bool(struct buf *out, uint32_t number, bool value)
{
    pb_put_u64(out, number, value ? 1 : 0);
}

void pb_put_bytes(struct buf *out, uint32_t number, struct slice bytes)
{
    if (bytes.size > 0) {
        pb_put_bytes_always(out, number, bytes);
    }
}

void pb_put_bytes_always(struct buf *out, uint32_t number, struct slice bytes)
{
    CHECK(number > 0);
    put_number(out, (uint64_t)number << 3 | PB_BYTES);
    put_number(out, bytes.size);
    buf_append_slice(out, bytes);
}
