/* Files of bbolt (go.etcd.io/bbolt), the B+tree that etcd keeps its database
 * in: read whole, and written in one pass. Pure: bytes in, bytes out.
 *
 * The file is pages of one size: two meta pages (0 and 1; magic 0xED0CDAED,
 * version 2, FNV-1a checksum; the one with the higher txid counts), a freelist,
 * and branch and leaf pages. A leaf element with flag 1 is a bucket: its value
 * is a header {root page, sequence}, with the page inline where root is 0.
 * The pictures of the pages stand at the top of page.h.
 *
 * Threads: one at a time each.
 */
#ifndef ETCHED_BOLT_BOLT_H
#define ETCHED_BOLT_BOLT_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

enum {
    BOLT_PAGE_BYTES_MIN = 1024,
    BOLT_PAGE_BYTES_MAX = 65536,
    BOLT_KEY_BYTES_MAX = 32768,
};
#define BOLT_VALUE_BYTES_MAX ((uint64_t)INT32_MAX - 1)

/* ---- reading ------------------------------------------------------------- */

/* The whole file in memory (mapped). Everything in it is distrusted: page
 * numbers, counts, offsets, loops, depth. */
struct bolt {
    struct slice file;
    size_t page_bytes;
    uint64_t txid;
    uint64_t root;
    uint64_t pages; /* the number of the first page that was never used */
};
/* Errors: ERR_CORRUPT; the note says which page and why. */
enum err bolt_open(struct slice file, struct bolt *out) MUST_USE;
/* What the pages of the database take: without what follows (etcd's snapshot
 * has 32 bytes of SHA-256 behind them). */
uint64_t bolt_bytes(const struct bolt *bolt);

struct bolt_bucket {
    const struct bolt *bolt;
    uint64_t root;        /* 0: inline */
    struct slice in_line; /* its page */
};
/* The top buckets by name, in order. Stops at what `each` returns but ERR_OK,
 * and returns it. Errors: ERR_CORRUPT. */
enum err bolt_each_bucket(const struct bolt *bolt,
                          enum err (*each)(void *context, struct slice name,
                                           const struct bolt_bucket *bucket),
                          void *context) MUST_USE;
/* ERR_NOT_FOUND, ERR_CORRUPT. */
enum err bolt_find(const struct bolt *bolt, struct slice name,
                   struct bolt_bucket *out) MUST_USE;
/* The pairs of a bucket, in order of their keys: what comes out rises, or is
 * ERR_CORRUPT. Buckets within it are passed over. Slices lie in the file. */
enum err bolt_each(const struct bolt_bucket *bucket,
                   enum err (*each)(void *context, struct slice key,
                                    struct slice value),
                   void *context) MUST_USE;

/* ---- writing ------------------------------------------------------------- */

/* Pages leave in order as they are full; in memory are one page of each level
 * of the tree and the largest value. The meta pages come last, and belong in
 * front.
 *
 * No branch but a root has less than two children, and no page is empty but
 * the root of an empty bucket: bbolt counts on both when it deletes. */
struct bolt_writer;
struct bolt_sink {
    /* Bytes for the file's place `offset`, mostly in order. */
    enum err (*write)(void *context, uint64_t offset, struct slice bytes);
    void *context;
};
/* `page_bytes`: a power of two, BOLT_PAGE_BYTES_MIN to _MAX. What `sink`
 * returns but ERR_OK comes out of the call, and ends the writer's use. */
struct bolt_writer *bolt_writer_new(const struct bolt_sink *sink,
                                    size_t page_bytes);
void bolt_writer_free(struct bolt_writer *writer);
/* The next bucket. Needs: names rise. */
enum err bolt_writer_bucket(struct bolt_writer *writer,
                            struct slice name) MUST_USE;
/* A pair of it. Needs: keys rise. Values have any size (overflow pages).
 * Errors: ERR_TOO_LARGE (bbolt's limits), ERR_INVALID (no key). */
enum err bolt_writer_put(struct bolt_writer *writer, struct slice key,
                         struct slice value) MUST_USE;
/* The rest, an empty freelist, and the metas with this txid. `bytes`: of the
 * whole file, a multiple of the page. */
enum err bolt_writer_finish(struct bolt_writer *writer, uint64_t txid,
                            uint64_t *bytes) MUST_USE;

#endif
