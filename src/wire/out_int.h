/* What waits to be sent on a connection: one buffer of text that is ours, and
 * between its bytes the shared pieces, in the order of sending:
 *
 *   text    | sent | aaaaaaaa | bbbb | cccccc |
 *           0      text_at                    text.size
 *   pieces  { text_bytes 8, shared -> ==== }, { text_bytes 4, shared -> == }
 *           of each the bytes [at, end) are meant; `at` moves as they are sent
 *   sent as   aaaaaaaa ==== bbbb == cccccc
 *
 * covered: the text bytes before the last piece (8 + 4 here).
 * An empty one holds no memory.
 */
#ifndef ETCHED_WIRE_OUT_INT_H
#define ETCHED_WIRE_OUT_INT_H

#include "base/bytes.h"
#include "base/mem.h"

struct out_piece {
    size_t text_bytes; /* of the text that go before it */
    struct refbuf *shared;
    size_t at, end; /* what of it waits */
};

struct out {
    struct buf text;
    size_t text_at; /* bytes of the text that are sent */
    size_t covered;
    struct out_piece *pieces;
    uint32_t first, count, capacity; /* of pieces */
    size_t shared_bytes;             /* of all pieces, that wait */
};

/* Drops all that waits. {0} is an empty one. */
void out__clear(struct out *out);
static inline size_t out__size(const struct out *out)
{
    return out->text.size - out->text_at + out->shared_bytes;
}
/* Room for `more` bytes of text; where they go. out__wrote says up to where
 * they were written. */
char *out__reserve(struct out *out, size_t more);
static inline void out__wrote(struct out *out, const char *end)
{
    out->text.size = (size_t)(end - out->text.at);
}
void out__append(struct out *out, const void *bytes, size_t size);
/* Takes a reference. */
void out__append_shared(struct out *out, struct refbuf *shared);
/* The bytes [at, end) of it. */
void out__append_part(struct out *out, struct refbuf *shared, size_t at,
                      size_t end);
/* Appends all of `buf` from `skip` on and leaves it empty: without copying
 * where nothing waits. */
void out__append_buf(struct out *out, struct buf *buf, size_t skip);

size_t out__slices(const struct out *out, struct slice *slices, size_t max);
void out__sent(struct out *out, size_t size);

#endif
