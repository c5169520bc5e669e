#include "mvcc/slab.h"

#include <stdbool.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

/* Under AddressSanitizer each thing is an allocation of its own, so that it
 * sees what is used after it was freed. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLAB_PASSES_THROUGH 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define SLAB_PASSES_THROUGH 1
#endif
#ifndef SLAB_PASSES_THROUGH
#define SLAB_PASSES_THROUGH 0
#endif

enum {
    CHUNK_BYTES_MIN = 8 * 1024, /* an empty store is small */
    CHUNK_BYTES_MAX = 1024 * 1024,
};

struct slab_chunk {
    struct slab_chunk *next;
};

struct large {
    struct list link;
};

static size_t round_up(size_t size)
{
    size = size < SLAB_BYTES_MIN ? SLAB_BYTES_MIN : size;
    return (size + 7) & ~(size_t)7;
}

static bool is_large(size_t size)
{
    return SLAB_PASSES_THROUGH || size > SLAB_BYTES_MAX;
}

void slab_init(struct slab *slab)
{
    *slab = (struct slab){.chunk_bytes = CHUNK_BYTES_MIN};
    list_init(&slab->large);
}

void slab_deinit(struct slab *slab)
{
    while (slab->chunks != NULL) {
        struct slab_chunk *chunk = slab->chunks;
        slab->chunks = chunk->next;
        mem_free(chunk);
    }
    LIST_EACH (node, &slab->large)
        mem_free(CONTAINER_OF(node, struct large, link));
    slab_init(slab);
}

static void *alloc_large(struct slab *slab, size_t size)
{
    CHECK(size <= SIZE_MAX - sizeof(struct large));
    struct large *large = mem_alloc(sizeof *large + size);
    list_push_back(&slab->large, &large->link);
    slab->bytes += sizeof *large + size;
    return large + 1;
}

static void *realloc_large(struct slab *slab, void *memory, size_t size,
                           size_t new_size)
{
    struct large *large = (struct large *)memory - 1;
    CHECK(slab->bytes >= size);
    list_remove(&large->link);
    large = mem_realloc(large, sizeof *large + new_size);
    list_push_back(&slab->large, &large->link);
    slab->bytes += new_size - size;
    return large + 1;
}

static void free_large(struct slab *slab, void *memory, size_t size)
{
    struct large *large = (struct large *)memory - 1;
    CHECK(slab->bytes >= sizeof *large + size);
    slab->bytes -= sizeof *large + size;
    list_remove(&large->link);
    mem_free(large);
}

static void put_free(struct slab *slab, void *memory, size_t size)
{
    CHECK(size >= SLAB_BYTES_MIN && size % 8 == 0);
    memcpy(memory, &slab->free[size / 8], sizeof(void *));
    slab->free[size / 8] = memory;
}

/* The rest of the old chunk becomes one free thing of its size. */
static void add_chunk(struct slab *slab)
{
    size_t rest = (size_t)(slab->end - slab->at);
    if (rest >= SLAB_BYTES_MIN)
        put_free(slab, slab->at, rest);
    struct slab_chunk *chunk = mem_alloc(slab->chunk_bytes);
    chunk->next = slab->chunks;
    slab->chunks = chunk;
    slab->at = (char *)(chunk + 1);
    slab->end = (char *)chunk + slab->chunk_bytes;
    slab->bytes += slab->chunk_bytes;
    if (slab->chunk_bytes < CHUNK_BYTES_MAX)
        slab->chunk_bytes *= 2;
}

void *slab_alloc(struct slab *slab, size_t size)
{
    size = round_up(size);
    if (is_large(size))
        return alloc_large(slab, size);
    void *memory = slab->free[size / 8];
    if (memory != NULL) {
        memcpy(&slab->free[size / 8], memory, sizeof(void *));
        return memory;
    }
    if ((size_t)(slab->end - slab->at) < size)
        add_chunk(slab);
    memory = slab->at;
    slab->at += size;
    CHECK(slab->at <= slab->end);
    return memory;
}

void *slab_realloc(struct slab *slab, void *memory, size_t size,
                   size_t new_size)
{
    size = round_up(size);
    new_size = round_up(new_size);
    if (size == new_size)
        return memory;
    if (is_large(size) && is_large(new_size))
        return realloc_large(slab, memory, size, new_size);
    void *new = slab_alloc(slab, new_size);
    memcpy(new, memory, size < new_size ? size : new_size);
    slab_free(slab, memory, size);
    return new;
}

void slab_free(struct slab *slab, void *memory, size_t size)
{
    CHECK(memory != NULL);
    size = round_up(size);
    if (is_large(size))
        free_large(slab, memory, size);
    else
        put_free(slab, memory, size);
}
