#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "base/check.h"
#include "base/mem_int.h"

/* Counted on each thread alone, so that a test can fail the N-th allocation
 * of a server's thread and always mean the same one. */
static _Thread_local uint64_t tries_seen;
static _Thread_local uint64_t try_that_fails;

static _Noreturn void out_of_memory(size_t size)
{
    check_failed_values(__FILE__, __LINE__, "out of memory (size, 0)",
                        (int64_t)size, 0);
}

/* malloc(0) may return NULL, which would look like a failure. */
static size_t at_least_one(size_t size)
{
    return size ? size : 1;
}

void *mem_alloc(size_t size)
{
    void *memory = malloc(at_least_one(size));
    if (memory == NULL)
        out_of_memory(size);
    return memory;
}

void *mem_alloc_zero(size_t size)
{
    void *memory = calloc(1, at_least_one(size));
    if (memory == NULL)
        out_of_memory(size);
    return memory;
}

void *mem_realloc(void *old, size_t size)
{
    void *memory = realloc(old, at_least_one(size));
    if (memory == NULL)
        out_of_memory(size);
    return memory;
}

bool mem__try_fails(void)
{
    return ++tries_seen == try_that_fails;
}

uint64_t mem_fail_after(uint64_t n)
{
    uint64_t seen = tries_seen;
    tries_seen = 0;
    try_that_fails = n;
    return seen;
}

void *mem__alloc_or_null(size_t size)
{
    return malloc(at_least_one(size));
}

void *mem_try_alloc(size_t size)
{
    return mem__try_fails() ? NULL : mem__alloc_or_null(size);
}

void *mem_try_realloc(void *old, size_t size)
{
    return mem__try_fails() ? NULL : realloc(old, at_least_one(size));
}

void mem_free(void *memory)
{
    free(memory);
}

void *mem_dup(const void *bytes, size_t size)
{
    void *copy = mem_alloc(size);
    if (size)
        memcpy(copy, bytes, size);
    return copy;
}

char *mem_strdup(const char *text)
{
    return mem_dup(text, strlen(text) + 1);
}

void mem_trim(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}
