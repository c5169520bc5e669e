#include <stdio.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/mem.h"

enum { CAPACITY_MIN = 64 };

void buf_deinit(struct buf *buf)
{
    mem_free(buf->at);
    *buf = (struct buf){0};
}

void buf_reset(struct buf *buf)
{
    buf->size = 0;
}

void buf__grow(struct buf *buf, size_t more)
{
    CHECK(more <= SIZE_MAX / 4 && buf->size <= SIZE_MAX / 4);
    size_t capacity = buf->capacity * 2;
    if (capacity < CAPACITY_MIN)
        capacity = CAPACITY_MIN;
    if (capacity < buf->size + more)
        capacity = buf->size + more;
    buf->at = mem_realloc(buf->at, capacity);
    buf->capacity = capacity;
}

char *buf_extend(struct buf *buf, size_t more)
{
    if (buf->at == NULL)
        buf__grow(buf, more);
    buf_reserve(buf, more);
    char *added = buf->at + buf->size;
    buf->size += more;
    return added;
}

void buf_append_u64(struct buf *buf, uint64_t number)
{
    buf_reserve(buf, 20);
    buf->size += u64_to_text(number, buf->at + buf->size);
}

void buf_append_i64(struct buf *buf, int64_t number)
{
    if (number < 0)
        buf_append_char(buf, '-');
    buf_append_u64(buf, number < 0 ? 0 - (uint64_t)number : (uint64_t)number);
}

void buf_append_hex(struct buf *buf, uint64_t number)
{
    int shift = 60;
    while (shift > 0 && number >> shift == 0)
        shift -= 4;
    buf_reserve(buf, 16);
    for (; shift >= 0; shift -= 4)
        buf->at[buf->size++] = "0123456789abcdef"[number >> shift & 15];
}

void buf_vprintf(struct buf *buf, const char *format, va_list args)
{
    buf_reserve(buf, CAPACITY_MIN);
    va_list again;
    va_copy(again, args);
    size_t room = buf->capacity - buf->size;
    int length = vsnprintf(buf->at + buf->size, room, format, args);
    CHECK(length >= 0);
    if ((size_t)length >= room) {
        buf_reserve(buf, (size_t)length + 1); /* and the zero */
        vsnprintf(buf->at + buf->size, (size_t)length + 1, format, again);
    }
    va_end(again);
    buf->size += (size_t)length;
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    buf_vprintf(buf, format, args);
    va_end(args);
}

void buf_consume(struct buf *buf, size_t size)
{
    CHECK(size <= buf->size);
    buf->size -= size;
    if (size && buf->size)
        memmove(buf->at, buf->at + size, buf->size);
}
