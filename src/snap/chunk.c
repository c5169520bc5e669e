/* Chunks, byte by byte. All numbers are little-endian.
 *
 *   crc      le32   CRC-32C of the rest
 *   format   u8     1
 *   last     u8     1: nothing follows
 *   pairs    le32   in this chunk; 0 only in a last one
 *   behind   le16   size of the place that this chunk begins behind
 *            place  snap_int.h
 *   pair     u8     table
 *            varint size of the key, 1 to KV_KEY_BYTES_MAX
 *            varint size of the value
 *            key
 *            value
 *   ...
 *   total    le64   of a last one: the pairs of all chunks
 */
#include "base/check.h"
#include "snap/snap_int.h"

enum {
    HEAD_BYTES = 1 + 4 + 2, /* last, pairs, size of the place */
    TOTAL_BYTES = 8,
};

/* ---- writing ------------------------------------------------------------- */

void snap__chunk_begin(struct snap__chunk_writer *writer, struct buf *out,
                       struct slice behind)
{
    CHECK_LE(behind.size, SNAP_PLACE_BYTES_MAX);
    *writer = (struct snap__chunk_writer){.out = out};
    writer->begin = snap__seal_begin(out);
    char *head = buf_extend(out, HEAD_BYTES);
    memset(head, 0, HEAD_BYTES);
    head[5] = (char)(behind.size & 255);
    head[6] = (char)(behind.size >> 8);
    buf_append_slice(out, behind);
}

void snap__chunk_pair(struct snap__chunk_writer *writer,
                      const struct snap__pair *pair)
{
    char head[1 + 2 * VARINT_BYTES_MAX];
    CHECK_LT(pair->table, SNAP_SET_TABLES);
    CHECK(pair->key.size >= 1 && pair->key.size <= KV_KEY_BYTES_MAX);
    head[0] = (char)pair->table;
    size_t size = 1;
    size += put_varint(head + size, pair->key.size);
    size += put_varint(head + size, pair->value.size);
    buf_append(writer->out, head, size);
    buf_append_slice(writer->out, pair->key);
    buf_append_slice(writer->out, pair->value);
    writer->pairs++;
}

uint32_t snap__chunk_end(struct snap__chunk_writer *writer, bool last,
                         uint64_t total)
{
    CHECK(last || writer->pairs > 0);
    CHECK_LE(writer->pairs, total);
    char *head = writer->out->at + writer->begin + SNAP_SEAL_BYTES;
    head[0] = last;
    put_le32(head + 1, writer->pairs);
    if (last)
        put_le64(buf_extend(writer->out, TOTAL_BYTES), total);
    return snap__seal_end(writer->out, writer->begin);
}

/* ---- reading ------------------------------------------------------------- */

static enum err is_bad(const char *why)
{
    return err_set(ERR_CORRUPT, "chunk of a snapshot: %s", why);
}

enum err snap__chunk_open(struct slice bytes, struct snap__chunk *out)
{
    struct slice body;
    *out = (struct snap__chunk){0};
    enum err err = snap__unseal(bytes, &body);
    if (err != ERR_OK)
        return err_wrap(err, "chunk of a snapshot");
    if (body.size < HEAD_BYTES)
        return is_bad("no head");
    uint8_t last = (uint8_t)body.at[0];
    size_t place = (size_t)(uint8_t)body.at[5] | (size_t)(uint8_t)body.at[6]
                                                     << 8;
    size_t foot = last ? TOTAL_BYTES : 0;
    if (last > 1 || place > SNAP_PLACE_BYTES_MAX ||
        body.size < HEAD_BYTES + place + foot)
        return is_bad("a head that can't be");
    out->crc = get_le32(bytes.at);
    out->last = last;
    out->pairs = get_le32(body.at + 1);
    out->behind = slice_of(body.at + HEAD_BYTES, place);
    out->at = body.at + HEAD_BYTES + place;
    out->end = body.at + body.size - foot;
    if (last)
        out->total = get_le64(out->end);
    CHECK(out->at <= out->end);
    if (out->pairs == 0 && !last)
        return is_bad("it is empty and not the last");
    return ERR_OK;
}

enum err snap__chunk_next(struct snap__chunk *chunk, struct snap__pair *out)
{
    uint64_t key_size, value_size;
    const char *at = chunk->at, *end = chunk->end;
    if (chunk->pairs == 0)
        return at == end ? ERR_END : is_bad("more than its pairs");
    if (at == end)
        return is_bad("fewer pairs than it says");
    out->table = (uint8_t)*at++;
    if (!get_varint(&at, end, &key_size) || !get_varint(&at, end, &value_size))
        return is_bad("a pair is cut short");
    size_t left = (size_t)(end - at);
    if (out->table >= SNAP_SET_TABLES || key_size < 1 ||
        key_size > KV_KEY_BYTES_MAX || key_size > left ||
        value_size > left - key_size)
        return is_bad("a pair that can't be");
    out->key = slice_of(at, (size_t)key_size);
    out->value = slice_of(at + key_size, (size_t)value_size);
    chunk->at = at + key_size + value_size;
    chunk->pairs--;
    CHECK(chunk->at <= end);
    return ERR_OK;
}
