#include "wire/out_int.h"

#include "base/check.h"
#include "wire/spare_int.h"

enum { PIECES_MIN = 4 };

static void drop_first(struct out *out)
{
    refbuf_unref(out->pieces[out->first].shared);
    out->first++;
    out->count--;
}

void out__clear(struct out *out)
{
    while (out->count)
        drop_first(out);
    mem_free(out->pieces);
    spare__give_buf(&out->text);
    *out = (struct out){0};
}

/* The text that is sent gives its place to what comes, when that is at least
 * as much as has to be moved. */
static void make_room(struct out *out, size_t more)
{
    if (out->text.at == NULL)
        out->text = spare__take_buf();
    if (out->text_at > 0 && out->text_at >= out->text.size - out->text_at) {
        buf_consume(&out->text, out->text_at);
        out->text_at = 0;
    }
    buf_reserve(&out->text, more ? more : 1);
}

char *out__reserve(struct out *out, size_t more)
{
    if (out->text.capacity - out->text.size < more || out->text.at == NULL)
        make_room(out, more);
    return out->text.at + out->text.size;
}

void out__append(struct out *out, const void *bytes, size_t size)
{
    if (size == 0)
        return;
    memcpy(out__reserve(out, size), bytes, size);
    out->text.size += size;
}

static void make_piece_room(struct out *out)
{
    if (out->first + out->count < out->capacity)
        return;
    if (out->first > 0) {
        memmove(out->pieces, out->pieces + out->first,
                out->count * sizeof *out->pieces);
        out->first = 0;
        return;
    }
    CHECK(out->capacity <= UINT32_MAX / 4);
    out->capacity = out->capacity ? out->capacity * 2 : PIECES_MIN;
    out->pieces = mem_realloc(out->pieces, out->capacity * sizeof *out->pieces);
}

void out__append_part(struct out *out, struct refbuf *shared, size_t at,
                      size_t end)
{
    CHECK(at <= end && end <= shared->size);
    if (at == end)
        return;
    make_piece_room(out);
    size_t waiting = out->text.size - out->text_at;
    CHECK_LE(out->covered, waiting);
    out->pieces[out->first + out->count] =
        (struct out_piece){.text_bytes = waiting - out->covered,
                           .shared = refbuf_ref(shared),
                           .at = at,
                           .end = end};
    out->count++;
    out->covered = waiting;
    out->shared_bytes += end - at;
}

void out__append_shared(struct out *out, struct refbuf *shared)
{
    out__append_part(out, shared, 0, shared->size);
}

void out__append_buf(struct out *out, struct buf *buf, size_t skip)
{
    CHECK_LE(skip, buf->size);
    if (out__size(out) == 0) {
        spare__give_buf(&out->text);
        out->text = *buf;
        out->text_at = skip;
        *buf = (struct buf){0};
        return;
    }
    out__append(out, buf->at + skip, buf->size - skip);
    spare__give_buf(buf);
}

size_t out__slices(const struct out *out, struct slice *slices, size_t max)
{
    size_t n = 0;
    size_t text_at = out->text_at;
    for (uint32_t i = 0; i < out->count && n < max; i++) {
        const struct out_piece *piece = &out->pieces[out->first + i];
        if (piece->text_bytes)
            slices[n++] = slice_of(out->text.at + text_at, piece->text_bytes);
        text_at += piece->text_bytes;
        if (n == max)
            return n;
        slices[n++] =
            slice_of(piece->shared->bytes + piece->at, piece->end - piece->at);
    }
    if (n < max && text_at < out->text.size)
        slices[n++] =
            slice_of(out->text.at + text_at, out->text.size - text_at);
    return n;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

void out__sent(struct out *out, size_t size)
{
    CHECK_LE(size, out__size(out));
    while (size && out->count) {
        struct out_piece *piece = &out->pieces[out->first];
        size_t text = smaller(size, piece->text_bytes);
        piece->text_bytes -= text;
        out->covered -= text;
        out->text_at += text;
        size -= text;

        size_t shared = smaller(size, piece->end - piece->at);
        piece->at += shared;
        out->shared_bytes -= shared;
        size -= shared;
        if (piece->at == piece->end)
            drop_first(out);
    }
    out->text_at += size;
    CHECK_LE(out->text_at, out->text.size);
    if (out__size(out) == 0)
        out__clear(out);
}
