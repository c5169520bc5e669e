/* Bytes: a slice that is seen (struct slice), a buffer that grows (struct
 * buf), fixed-width codecs, and numbers to and from text. */
#ifndef ETCHED_BASE_BYTES_H
#define ETCHED_BASE_BYTES_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "the put_ and get_ functions below copy native integers");

/* A view of bytes that somebody else owns. Not zero-terminated. */
struct slice {
    const char *at;
    size_t size;
};

#define SLICE(literal) ((struct slice){(literal), sizeof(literal) - 1})

static inline struct slice slice_of(const void *at, size_t size)
{
    return (struct slice){at, size};
}
static inline struct slice slice_str(const char *text)
{
    return (struct slice){text, text ? strlen(text) : 0};
}
static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.at, b.at, a.size) == 0);
}
static inline bool slice_has_prefix(struct slice a, struct slice prefix)
{
    return a.size >= prefix.size &&
           (prefix.size == 0 || memcmp(a.at, prefix.at, prefix.size) == 0);
}
/* Bytewise order, the shorter first where one is the other's prefix. */
static inline int slice_cmp(struct slice a, struct slice b)
{
    size_t size = a.size < b.size ? a.size : b.size;
    int order = size ? memcmp(a.at, b.at, size) : 0;
    return order ? order : (a.size > b.size) - (a.size < b.size);
}
/* Same letters, ASCII case ignored. */
bool slice_eq_nocase(struct slice a, struct slice b);
/* Index of the first `c`, or -1. */
ptrdiff_t slice_find(struct slice a, char c);
/* True when it is well-formed UTF-8 (RFC 3629: no surrogates, no overlongs). */
bool slice_is_utf8(struct slice a);
/* Strict decimal: digits only (a '-' for the signed one), no overflow. *out
 * is written only when true is returned. */
bool slice_to_u64(struct slice a, uint64_t *out);
bool slice_to_i64(struct slice a, int64_t *out);
/* 64 well-mixed bits. With a secret seed nobody can make keys that collide.
 * Not stable from one version to the next: never store it. */
uint64_t slice_hash(struct slice a, uint64_t seed);

/* ---- a buffer that grows ---------------------------------------------- */

struct buf {
    char *at;
    size_t size;
    size_t capacity;
};

/* {0} is a valid empty buffer. All append functions abort when there is no
 * memory: who appends what a client sent has bounded it before.
 * Needs: what is appended is not part of the buffer itself (it may move). */
void buf_deinit(struct buf *buf);
void buf_reset(struct buf *buf); /* size 0, memory kept */
/* The slow path of buf_reserve: moves the buffer to a larger place. */
void buf__grow(struct buf *buf, size_t more);

/* Make room for `more` bytes. */
static inline void buf_reserve(struct buf *buf, size_t more)
{
    if (__builtin_expect(more > buf->capacity - buf->size, 0))
        buf__grow(buf, more);
}
static inline void buf_append(struct buf *buf, const void *bytes, size_t size)
{
    if (size == 0)
        return;
    buf_reserve(buf, size);
    memcpy(buf->at + buf->size, bytes, size);
    buf->size += size;
}
static inline void buf_append_slice(struct buf *buf, struct slice slice)
{
    buf_append(buf, slice.at, slice.size);
}
/* Inline so that the length of a literal is known when it is compiled. */
static inline void buf_append_str(struct buf *buf, const char *text)
{
    buf_append(buf, text, strlen(text));
}
static inline void buf_append_char(struct buf *buf, char c)
{
    buf_reserve(buf, 1);
    buf->at[buf->size++] = c;
}
/* The size grows by `more`; returns the new bytes, undefined. */
char *buf_extend(struct buf *buf, size_t more);
void buf_append_u64(struct buf *buf, uint64_t number); /* decimal */
void buf_append_i64(struct buf *buf, int64_t number);
void buf_append_hex(struct buf *buf, uint64_t number); /* no leading zeros */
void buf_printf(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);
void buf_vprintf(struct buf *buf, const char *format, va_list args);
void buf_consume(struct buf *buf, size_t size); /* drop from the front */
static inline struct slice buf_slice(const struct buf *buf)
{
    return (struct slice){buf->at, buf->size};
}

/* Decimal digits of `number` into `out` (at least 20 bytes, not terminated);
 * returns how many. */
size_t u64_to_text(uint64_t number, char *out);

/* ---- fixed width, little and big end first ----------------------------- */

static inline void put_le32(void *to, uint32_t v)
{
    memcpy(to, &v, 4);
}
static inline void put_le64(void *to, uint64_t v)
{
    memcpy(to, &v, 8);
}
static inline uint32_t get_le32(const void *from)
{
    uint32_t v;
    memcpy(&v, from, 4);
    return v;
}
static inline uint64_t get_le64(const void *from)
{
    uint64_t v;
    memcpy(&v, from, 8);
    return v;
}
static inline void put_be32(void *to, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(to, &v, 4);
}
static inline void put_be64(void *to, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(to, &v, 8);
}
static inline uint32_t get_be32(const void *from)
{
    return __builtin_bswap32(get_le32(from));
}
static inline uint64_t get_be64(const void *from)
{
    return __builtin_bswap64(get_le64(from));
}

/* ---- variable width (LEB128, as protobuf's varint) ---------------------- */

enum { VARINT_BYTES_MAX = 10 };
/* Writes at most VARINT_BYTES_MAX bytes; returns how many. */
size_t put_varint(void *to, uint64_t v);
/* Reads one from [*at, end) and moves *at; false when cut short or longer
 * than 64 bits. */
bool get_varint(const char **at, const char *end, uint64_t *out);

#endif
