#include <limits.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

struct refbuf *refbuf_new(size_t size)
{
    CHECK(size <= SIZE_MAX - sizeof(struct refbuf));
    struct refbuf *buf = mem_alloc(sizeof *buf + size);
    atomic_init(&buf->refs, 1);
    buf->unused = 0;
    buf->size = size;
    return buf;
}

struct refbuf *refbuf_dup(const void *bytes, size_t size)
{
    struct refbuf *buf = refbuf_new(size);
    if (size)
        memcpy(buf->bytes, bytes, size);
    return buf;
}

struct refbuf *refbuf_from(char *memory, size_t size)
{
    CHECK(size >= REFBUF_HEAD_BYTES);
    struct refbuf *buf = (struct refbuf *)(void *)memory;
    atomic_init(&buf->refs, 1);
    buf->unused = 0;
    buf->size = size - REFBUF_HEAD_BYTES;
    return buf;
}

/* Relaxed: who refs has a reference already, so nothing can be freed, and the
 * bytes came to it by whatever brought it the reference. */
struct refbuf *refbuf_ref(struct refbuf *buf)
{
    unsigned before =
        atomic_fetch_add_explicit(&buf->refs, 1, memory_order_relaxed);
    CHECK(before != 0 && before < UINT_MAX / 2);
    return buf;
}

/* Release, so that all our reads come before the free; acquire, so that the
 * one who frees comes after everybody's. */
void refbuf_unref(struct refbuf *buf)
{
    if (buf == NULL)
        return;
    unsigned before =
        atomic_fetch_sub_explicit(&buf->refs, 1, memory_order_acq_rel);
    CHECK(before != 0);
    if (before == 1)
        mem_free(buf);
}
