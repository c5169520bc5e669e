/* Memory: the only place that calls malloc and free.
 *
 * mem_alloc      our size: aborts when there is none
 * mem_try_alloc  their size (a client, a file): returns NULL, and tests make
 *                it fail with mem_fail_after
 * struct arena   one a request: bump allocation, freed as a whole
 * struct refbuf  immutable bytes that many share: counted, freed by the last
 */
#ifndef ETCHED_BASE_MEM_H
#define ETCHED_BASE_MEM_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

void *mem_alloc(size_t size);              /* contents undefined */
void *mem_alloc_zero(size_t size);         /* all zero */
void *mem_realloc(void *old, size_t size); /* aborts when there is none */
void *mem_try_alloc(size_t size) MUST_USE; /* NULL when there is none */
void *mem_try_realloc(void *old, size_t size) MUST_USE;
void mem_free(void *memory); /* NULL is fine */
char *mem_strdup(const char *text);
void *mem_dup(const void *bytes, size_t size);

/* Make the n-th mem_try_* or arena_try_alloc call from now on (1 = the next)
 * on this thread return NULL, once. 0 turns it off. Returns the calls seen
 * since the last setting. */
uint64_t mem_fail_after(uint64_t n);

/* Give free pages back to the system, as after a large load. */
void mem_trim(void);

/* ---- arena ------------------------------------------------------------ */

struct arena_block;

struct arena {
    struct arena_block *block; /* newest first */
    char *at;                  /* next free byte of it */
    char *end;
    size_t used_bytes; /* handed out since the last reset */
    size_t bytes_max;  /* 0: no bound */
};

/* Costs nothing until the first allocation.
 * Limits: with bytes_max != 0, arena_try_alloc fails beyond it; arena_alloc,
 *         whose sizes are ours, doesn't. */
void arena_init(struct arena *arena, size_t bytes_max);
void arena_deinit(struct arena *arena);
/* Everything handed out is gone; the first block, unless it was made for one
 * large thing, is kept for the next request. */
void arena_reset(struct arena *arena);
void *arena_alloc(struct arena *arena, size_t size); /* aligned to 16 */
void *arena_try_alloc(struct arena *arena, size_t size) MUST_USE;
void *arena_dup(struct arena *arena, const void *bytes, size_t size);
char *arena_printf(struct arena *arena, const char *format, ...)
    PRINTF_LIKE(2, 3);

/* ---- refbuf ----------------------------------------------------------- */

struct refbuf {
    atomic_uint refs;
    uint32_t unused;
    size_t size;
    char bytes[];
};

/* One reference is the caller's; with it the bytes may be written as long as
 * nobody else has one. Aborts when there is no memory: the size has been
 * bounded before.
 * Threads: ref and unref from any. */
struct refbuf *refbuf_new(size_t size);
struct refbuf *refbuf_dup(const void *bytes, size_t size);
/* The memory of a struct buf whose first REFBUF_HEAD_BYTES were left for this
 * (mem_alloc's, `size` with them) becomes a refbuf: nothing is copied. */
#define REFBUF_HEAD_BYTES sizeof(struct refbuf)
struct refbuf *refbuf_from(char *memory, size_t size);
struct refbuf *refbuf_ref(struct refbuf *buf);
void refbuf_unref(struct refbuf *buf); /* NULL is fine */

#endif
