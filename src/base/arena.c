/* The arena of mem.h: a chain of blocks, the newest first.
 *
 *   arena.block -> | block | handed out ... | at ...... end |
 *                     |
 *                     v next
 *                  | block | handed out ................... |
 *
 * Blocks double up to BLOCK_BYTES_MAX. What is larger than half of that gets
 * a block of its own behind the newest, whose room so isn't lost.
 *
 * Under AddressSanitizer all that isn't handed out is poisoned: use after a
 * reset and writing past the end are found as with malloc.
 */
#include "base/mem.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem_int.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_POISONS 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define ARENA_POISONS 1
#endif

#ifdef ARENA_POISONS
#include <sanitizer/asan_interface.h>
#define POISON(at, size) __asan_poison_memory_region(at, size)
#define UNPOISON(at, size) __asan_unpoison_memory_region(at, size)
#else
#define POISON(at, size) ((void)(at), (void)(size))
#define UNPOISON(at, size) ((void)(at), (void)(size))
#endif

enum {
    ALIGN = 16,
    BLOCK_BYTES_MIN = 4096, /* holds most requests whole */
    BLOCK_BYTES_MAX = 64 * 1024,
};

struct arena_block {
    struct arena_block *next; /* older */
    size_t size;              /* of `bytes` */
    alignas(ALIGN) char bytes[];
};

static_assert(sizeof(struct arena_block) % ALIGN == 0,
              "a block's bytes begin aligned");

void arena_init(struct arena *arena, size_t bytes_max)
{
    *arena = (struct arena){.bytes_max = bytes_max};
}

static void free_block(struct arena_block *block)
{
    UNPOISON(block->bytes, block->size);
    mem_free(block);
}

void arena_deinit(struct arena *arena)
{
    while (arena->block != NULL) {
        struct arena_block *block = arena->block;
        arena->block = block->next;
        free_block(block);
    }
    arena_init(arena, arena->bytes_max);
}

void arena_reset(struct arena *arena)
{
    while (arena->block != NULL && arena->block->next != NULL) {
        struct arena_block *block = arena->block;
        arena->block = block->next;
        free_block(block);
    }
    arena->used_bytes = 0;
    struct arena_block *first = arena->block;
    if (first == NULL)
        return;
    if (first->size > BLOCK_BYTES_MAX) {
        arena_deinit(arena);
        return;
    }
    arena->at = first->bytes;
    arena->end = first->bytes + first->size;
    POISON(first->bytes, first->size);
}

static struct arena_block *new_block(size_t size)
{
    struct arena_block *block = mem__alloc_or_null(sizeof *block + size);
    if (block == NULL)
        return NULL;
    block->size = size;
    POISON(block->bytes, size);
    return block;
}

static void *alloc_alone(struct arena *arena, size_t size)
{
    struct arena_block *block = new_block(size);
    if (block == NULL)
        return NULL;
    if (arena->block == NULL) {
        block->next = NULL;
        arena->block = block;
        arena->at = arena->end = block->bytes + size;
    } else {
        block->next = arena->block->next;
        arena->block->next = block;
    }
    return block->bytes;
}

static bool add_block(struct arena *arena)
{
    size_t size = BLOCK_BYTES_MIN - sizeof(struct arena_block);
    if (arena->block != NULL)
        size = arena->block->size * 2;
    if (size > BLOCK_BYTES_MAX)
        size = BLOCK_BYTES_MAX;
    struct arena_block *block = new_block(size);
    if (block == NULL)
        return false;
    block->next = arena->block;
    arena->block = block;
    arena->at = block->bytes;
    arena->end = block->bytes + size;
    return true;
}

/* `size` is a multiple of ALIGN. */
static void *take(struct arena *arena, size_t size)
{
    while (size > (size_t)(arena->end - arena->at)) {
        if (size > BLOCK_BYTES_MAX / 2)
            return alloc_alone(arena, size);
        if (!add_block(arena))
            return NULL;
    }
    char *memory = arena->at;
    arena->at += size;
    return memory;
}

static void *alloc(struct arena *arena, size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    size_t padded = (size ? size + ALIGN - 1 : ALIGN) & ~(size_t)(ALIGN - 1);
    void *memory = take(arena, padded);
    if (memory == NULL)
        return NULL;
    UNPOISON(memory, size);
    arena->used_bytes += padded;
    return memory;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    void *memory = alloc(arena, size);
    CHECK(memory != NULL);
    return memory;
}

void *arena_try_alloc(struct arena *arena, size_t size)
{
    if (mem__try_fails())
        return NULL;
    if (arena->bytes_max != 0 && (arena->used_bytes > arena->bytes_max ||
                                  size > arena->bytes_max - arena->used_bytes))
        return NULL;
    return alloc(arena, size);
}

void *arena_dup(struct arena *arena, const void *bytes, size_t size)
{
    void *copy = arena_alloc(arena, size);
    if (size)
        memcpy(copy, bytes, size);
    return copy;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args;
    CHECK(format != NULL);
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    CHECK(length >= 0);

    size_t size = (size_t)length + 1;
    char *text = arena_alloc(arena, size);
    va_start(args, format);
    vsnprintf(text, size, format, args);
    va_end(args);
    return text;
}
