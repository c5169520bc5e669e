/* One spare block and one spare buffer a thread, and the small pieces of
 * memory that nghttp2 takes and gives by the dozen for each request, so that
 * connections between two requests hold nothing and a request in steady state
 * allocates nothing: what the last request on this thread gave back serves the
 * next, still warm in the cache.
 *
 * Each thread that has connections joins once for each of them and leaves as
 * often; who leaves last frees the spares. A connection may leave on another
 * thread than it joined: the spares are then freed too often, not too late.
 *
 * Under AddressSanitizer nothing is kept, so that use after the end of an
 * exchange is found.
 */
#ifndef ETCHED_WIRE_SPARE_INT_H
#define ETCHED_WIRE_SPARE_INT_H

#include "base/bytes.h"

enum {
    /* The first block of an exchange's arena. With it a connection whose
     * exchange waits (a watch) holds about 2 KiB. */
    SPARE_BLOCK_BYTES = 1280,
    /* A larger buffer is freed and not kept. */
    SPARE_BUF_BYTES_MAX = 256 * 1024,
};

void spare__join(void);
void spare__leave(void);

char *spare__take_block(void); /* SPARE_BLOCK_BYTES, aligned to 16 */
void spare__give_block(char *block);

/* Empty, with whatever capacity the spare one had. */
struct buf spare__take_buf(void);
void spare__give_buf(struct buf *buf);

/* Pieces of any size; small ones are kept for the next. */
void *spare__alloc(size_t size);
void *spare__realloc(void *old, size_t size);
void spare__free(void *piece); /* NULL is fine */

#endif
