/* Memory for many small things that live long: the index's entries and the
 * lists of revisions. A thing costs its size rounded up to 8, and no header.
 *
 * What is freed is used again by things of the same size. Chunks go back to
 * the system only all together, with the slab: a store that once held a
 * million keys is likely to hold as many again.
 *
 * Threads: one at a time.
 */
#ifndef ETCHED_MVCC_SLAB_H
#define ETCHED_MVCC_SLAB_H

#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

enum {
    SLAB_BYTES_MIN = 16,
    SLAB_BYTES_MAX = 1024, /* what is larger goes to mem_alloc */
    SLAB_CLASSES = SLAB_BYTES_MAX / 8 + 1,
};

struct slab_chunk;

struct slab {
    struct slab_chunk *chunks; /* newest first */
    char *at;                  /* the free rest of the newest */
    char *end;
    size_t chunk_bytes; /* of the next */
    void *free[SLAB_CLASSES];
    struct list large;
    uint64_t bytes; /* taken from the system */
};

void slab_init(struct slab *slab);
/* Everything handed out is gone. */
void slab_deinit(struct slab *slab);
void *slab_alloc(struct slab *slab, size_t size); /* aligned to 8 */
/* Gives it another size; what fits of the contents stays. */
void *slab_realloc(struct slab *slab, void *memory, size_t size,
                   size_t new_size);
/* `size` is what it was allocated with. */
void slab_free(struct slab *slab, void *memory, size_t size);

#endif
