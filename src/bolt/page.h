/* The pages of a bbolt file, byte by byte. All numbers are little-endian.
 *
 *   PAGE       id        u64   its own number: it begins at id * page size
 *              flags     u16   1 branch, 2 leaf, 4 meta, 16 freelist
 *              count     u16   of elements
 *              overflow  u32   how many more pages it takes
 *              the rest
 *
 *   META       magic     u32   0xED0CDAED      (behind the page's head)
 *              version   u32   2
 *              page_size u32
 *              flags     u32   0
 *              root      u64   page of the bucket of buckets
 *              sequence  u64   of that
 *              freelist  u64   page of it; all ones: none was written
 *              pages     u64   the first page that was never used
 *              txid      u64   page 0 holds the even ones, page 1 the odd
 *              checksum  u64   FNV-1a of what is before it, from magic on
 *
 *   BRANCH     per element: pos u32, key size u32, page u64; then the keys
 *   LEAF       per element: flags u32, pos u32, key size u32, value size u32;
 *              then each key and its value. `pos` counts from where the
 *              element begins. flags 1: the value is a bucket
 *   FREELIST   `count` page numbers (u64), rising
 *
 *   BUCKET     root      u64   page; 0: the page follows, inline, as long as
 *              sequence  u64   the value
 *
 * A branch's key is the first one of the page below it.
 */
#ifndef ETCHED_BOLT_PAGE_H
#define ETCHED_BOLT_PAGE_H

#include "bolt/bolt.h"

enum {
    PAGE_HEAD_BYTES = 16,
    PAGE_ELEMENT_BYTES = 16, /* of a branch and of a leaf */
    PAGE_META_BYTES = 64,
    PAGE_META_SUMMED = 56, /* what the checksum is of */
    PAGE_BUCKET_BYTES = 16,
    PAGE_FIRST = 2, /* the metas are before it */
    PAGE_COUNT_MAX = 0xFFFE,

    PAGE_BRANCH = 1,
    PAGE_LEAF = 2,
    PAGE_META = 4,
    PAGE_FREELIST = 16,

    ELEMENT_BUCKET = 1,

    META_VERSION = 2,
};
#define META_MAGIC UINT32_C(0xED0CDAED)

static inline uint64_t page__checksum(const char *meta)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < PAGE_META_SUMMED; i++)
        hash = (hash ^ (unsigned char)meta[i]) * UINT64_C(1099511628211);
    return hash;
}

static inline uint16_t get_le16(const char *from)
{
    uint16_t v;
    memcpy(&v, from, 2);
    return v;
}

static inline void put_le16(char *to, uint16_t v)
{
    memcpy(to, &v, 2);
}

#endif
