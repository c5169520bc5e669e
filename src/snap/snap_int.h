/* What the files of this folder share.
 *
 *   tables of the file    0 1 2 3    4 5 6 7    8
 *                         set 0      set 1      control
 *
 * The control table holds up to two pairs, each a SEALED value: a CRC-32C of
 * the rest (le32), a format (u8, 1), then
 *
 *   "active"   u8 set           the set in use; no such pair: set 0
 *   "sink"     u8 set           the set that a transfer is written to
 *              u8 complete      1: all of it is there
 *              header           snap_header_encode
 *              place            the rest: where it goes on
 *
 * A PLACE says up to which pair a transfer has come. It is empty at the start;
 * else
 *
 *   pairs   le64   up to here
 *   crc     le32   of the chunk that ended here
 *   table   u8     of the last pair
 *   key     the rest: 1 to KV_KEY_BYTES_MAX bytes
 *
 * Each chunk's CRC covers the place that it begins behind, and with it the
 * CRC of the chunk before: so two places are equal only where all that came
 * before them is.
 */
#ifndef ETCHED_SNAP_SNAP_INT_H
#define ETCHED_SNAP_SNAP_INT_H

#include <assert.h>
#include <stdatomic.h>

#include "base/bytes.h"
#include "port/kv.h"
#include "snap/snap.h"

enum {
    SNAP_SETS = 2,
    SNAP_CONTROL_TABLE = SNAP_SETS * SNAP_SET_TABLES,
};
static_assert((int)SNAP_CONTROL_TABLE < (int)KV_TABLES_MAX, "one table more");

struct snap_set {
    struct kv kv; /* first: a `struct kv *` points here */
    struct kv *file;
    atomic_uint active; /* as of the last activation, or the start */
    atomic_uint sources;
    atomic_bool has_sink;
};

static inline kv_table snap__table(unsigned set, kv_table table)
{
    return set * SNAP_SET_TABLES + table;
}

/* ---- codec.c: sealed values, headers, places ----------------------------- */

enum {
    SNAP_SEAL_BYTES = 5, /* CRC, format */
    SNAP_HEADER_BYTES = SNAP_SEAL_BYTES + 6 * 8,
    SNAP_PLACE_BYTES_MIN = 8 + 4 + 1, /* and a key */
    SNAP_PLACE_BYTES_MAX = SNAP_PLACE_BYTES_MIN + KV_KEY_BYTES_MAX,
};

/* Makes room for the seal of what is appended next; returns where. */
size_t snap__seal_begin(struct buf *out);
/* Returns the CRC. */
uint32_t snap__seal_end(struct buf *out, size_t begin);
/* The sealed bytes without their seal. ERR_CORRUPT. */
enum err snap__unseal(struct slice bytes, struct slice *out) MUST_USE;

struct snap__place {
    uint64_t pairs;
    uint32_t crc;
    kv_table table;
    struct slice key; /* size 0: the start, and all else zero */
};
/* More than a file can hold. A place from elsewhere that says more is refused,
 * so that nothing counted on from there overflows. */
static const uint64_t SNAP_PAIRS_MAX = UINT64_C(1) << 48;
void snap__place_encode(const struct snap__place *place, struct buf *out);
/* False: no place. The key is within `bytes`. */
bool snap__place_decode(struct slice bytes, struct snap__place *out);

/* ---- chunk.c ------------------------------------------------------------- */

struct snap__pair {
    kv_table table;
    struct slice key, value;
};

struct snap__chunk_writer {
    struct buf *out;
    size_t begin; /* of the chunk in it */
    uint32_t pairs;
};
void snap__chunk_begin(struct snap__chunk_writer *writer, struct buf *out,
                       struct slice behind);
void snap__chunk_pair(struct snap__chunk_writer *writer,
                      const struct snap__pair *pair);
/* Returns the CRC. `total` counts all pairs, where it is the last. */
uint32_t snap__chunk_end(struct snap__chunk_writer *writer, bool last,
                         uint64_t total);

/* A chunk that is read; slices are within its bytes. */
struct snap__chunk {
    uint32_t crc;
    bool last;
    uint32_t pairs; /* still to be read */
    uint64_t total; /* of the last */
    struct slice behind;
    const char *at, *end; /* the pairs */
};
enum err snap__chunk_open(struct slice bytes, struct snap__chunk *out) MUST_USE;
/* ERR_END behind the last pair; ERR_CORRUPT. */
enum err snap__chunk_next(struct snap__chunk *chunk,
                          struct snap__pair *out) MUST_USE;

/* ---- view.c -------------------------------------------------------------- */

struct snap__view {
    struct kv kv; /* first: a `struct kv *` points here */
    struct kv *file;
    struct kv_txn *txn; /* what all reads go through; NULL: one each */
    unsigned set;
};
void snap__view_init(struct snap__view *view, struct kv *file, unsigned set,
                     struct kv_txn *txn);

/* ---- set.c: the control table -------------------------------------------- */

/* The active set as the transaction sees it. */
enum err snap__active(struct kv *file, struct kv_txn *txn,
                      unsigned *out) MUST_USE;
extern const struct slice snap__active_key;
extern const struct slice snap__sink_key;
/* As snap_set_clean, whoever has a sink. */
enum err snap__clean_part(struct snap_set *set, bool *more) MUST_USE;

#endif
