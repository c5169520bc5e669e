/* Sealed values, headers and places: see snap_int.h. */
#include "base/check.h"
#include "base/crc.h"
#include "snap/snap_int.h"

enum { FORMAT = 1 };

/* ---- sealed values ------------------------------------------------------- */

size_t snap__seal_begin(struct buf *out)
{
    size_t begin = out->size;
    char *seal = buf_extend(out, SNAP_SEAL_BYTES);
    put_le32(seal, 0);
    seal[4] = FORMAT;
    return begin;
}

uint32_t snap__seal_end(struct buf *out, size_t begin)
{
    CHECK_LE(begin + SNAP_SEAL_BYTES, out->size);
    CHECK_EQ(out->at[begin + 4], FORMAT);
    uint32_t crc = crc32c(0, out->at + begin + 4, out->size - begin - 4);
    put_le32(out->at + begin, crc);
    return crc;
}

enum err snap__unseal(struct slice bytes, struct slice *out)
{
    *out = (struct slice){0};
    if (bytes.size < SNAP_SEAL_BYTES)
        return err_set(ERR_CORRUPT, "cut short");
    if (get_le32(bytes.at) != crc32c(0, bytes.at + 4, bytes.size - 4))
        return err_set(ERR_CORRUPT, "a wrong checksum");
    if (bytes.at[4] != FORMAT)
        return err_set(ERR_CORRUPT, "unknown format %d",
                       (int)(uint8_t)bytes.at[4]);
    *out = slice_of(bytes.at + SNAP_SEAL_BYTES, bytes.size - SNAP_SEAL_BYTES);
    return ERR_OK;
}

/* ---- headers ------------------------------------------------------------- */

void snap_header_encode(const struct snap_header *header, struct buf *out)
{
    const uint64_t numbers[] = {
        header->cluster_id, header->from,  header->id,
        header->term,       header->index, header->log_term,
    };
    size_t begin = snap__seal_begin(out);
    char *at = buf_extend(out, sizeof numbers);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        put_le64(at + 8 * i, numbers[i]);
    snap__seal_end(out, begin);
    CHECK_EQ(out->size - begin, SNAP_HEADER_BYTES);
}

enum err snap_header_decode(struct slice bytes, struct snap_header *out)
{
    struct slice body;
    *out = (struct snap_header){0};
    enum err err = snap__unseal(bytes, &body);
    if (err == ERR_OK && bytes.size != SNAP_HEADER_BYTES)
        err = err_set(ERR_CORRUPT, "%zu bytes", bytes.size);
    if (err != ERR_OK)
        return err_wrap(err, "header of a snapshot");
    uint64_t *const numbers[] = {
        &out->cluster_id, &out->from,  &out->id,
        &out->term,       &out->index, &out->log_term,
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        *numbers[i] = get_le64(body.at + 8 * i);
    return ERR_OK;
}

/* ---- places -------------------------------------------------------------- */

void snap__place_encode(const struct snap__place *place, struct buf *out)
{
    if (place->key.size == 0) {
        CHECK(place->pairs == 0 && place->crc == 0 && place->table == 0);
        return;
    }
    CHECK_LT(place->table, SNAP_SET_TABLES);
    CHECK_LE(place->key.size, KV_KEY_BYTES_MAX);
    CHECK_NE(place->pairs, 0);
    char *at = buf_extend(out, SNAP_PLACE_BYTES_MIN);
    put_le64(at, place->pairs);
    put_le32(at + 8, place->crc);
    at[12] = (char)place->table;
    buf_append_slice(out, place->key);
}

bool snap__place_decode(struct slice bytes, struct snap__place *out)
{
    *out = (struct snap__place){0};
    if (bytes.size == 0)
        return true;
    if (bytes.size <= SNAP_PLACE_BYTES_MIN || bytes.size > SNAP_PLACE_BYTES_MAX)
        return false;
    struct snap__place place = {
        .pairs = get_le64(bytes.at),
        .crc = get_le32(bytes.at + 8),
        .table = (uint8_t)bytes.at[12],
        .key = slice_of(bytes.at + SNAP_PLACE_BYTES_MIN,
                        bytes.size - SNAP_PLACE_BYTES_MIN),
    };
    if (place.pairs == 0 || place.table >= SNAP_SET_TABLES)
        return false;
    *out = place;
    return true;
}
