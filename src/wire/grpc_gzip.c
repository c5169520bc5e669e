/* gzip (RFC 1952) of whole messages: zlib's. */
#include <zlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "wire/grpc.h"

enum {
    GZIP_WINDOW_BITS = 15 + 16, /* 16: with gzip's head and tail */
    MEMORY_LEVEL = 8,           /* zlib's default */
    PIECE_BYTES_MIN = 4096,
};

static void *take(void *context, uInt count, uInt size)
{
    (void)context;
    return mem_alloc((size_t)count * size);
}

static void give(void *context, void *memory)
{
    (void)context;
    mem_free(memory);
}

static z_stream new_stream(struct slice bytes)
{
    CHECK_LE(bytes.size, UINT32_MAX);
    return (z_stream){
        .zalloc = take,
        .zfree = give,
        .next_in = (Bytef *)(uintptr_t)bytes.at,
        .avail_in = (uInt)bytes.size,
    };
}

void grpc_deflate(struct buf *out, struct slice bytes)
{
    z_stream stream = new_stream(bytes);
    int result =
        deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED,
                     GZIP_WINDOW_BITS, MEMORY_LEVEL, Z_DEFAULT_STRATEGY);
    CHECK_EQ(result, Z_OK);
    /* So that one step does it. */
    size_t room = deflateBound(&stream, (uLong)bytes.size);
    CHECK_LE(room, UINT32_MAX);
    buf_reserve(out, room);
    stream.next_out = (Bytef *)out->at + out->size;
    stream.avail_out = (uInt)room;
    result = deflate(&stream, Z_FINISH);
    CHECK_EQ(result, Z_STREAM_END);
    out->size += room - stream.avail_out;
    (void)deflateEnd(&stream);
}

/* Twice as much room as there is, up to what is left of `bytes_max` and one
 * byte, which shows that there is more. */
static void make_room(struct buf *out, z_stream *stream, size_t left)
{
    size_t room = out->size < PIECE_BYTES_MIN ? PIECE_BYTES_MIN : out->size;
    room = room <= left ? room : left + 1;
    buf_reserve(out, room);
    stream->next_out = (Bytef *)out->at + out->size;
    stream->avail_out = (uInt)room;
}

static enum err inflate_all(struct buf *out, z_stream *stream, size_t bytes_max)
{
    size_t begin = out->size;
    int result = Z_OK;
    while (result == Z_OK) {
        make_room(out, stream, bytes_max - (out->size - begin));
        size_t room = stream->avail_out;
        result = inflate(stream, Z_NO_FLUSH);
        out->size += room - stream->avail_out;
        if (out->size - begin > bytes_max) {
            return err_set(ERR_TOO_LARGE, "more than %zu bytes when inflated",
                           bytes_max);
        }
        if (result == Z_OK && stream->avail_in == 0 && stream->avail_out > 0) {
            break;
        }
    }
    /* One member, and nothing behind it. */
    return result == Z_STREAM_END && stream->avail_in == 0
               ? ERR_OK
               : err_set(ERR_CORRUPT, "not a gzip stream");
}

enum err grpc_inflate(struct buf *out, struct slice bytes, size_t bytes_max)
{
    z_stream stream = new_stream(bytes);
    CHECK_LT(bytes_max, UINT32_MAX);
    int result = inflateInit2(&stream, GZIP_WINDOW_BITS);
    CHECK_EQ(result, Z_OK);
    enum err err = inflate_all(out, &stream, bytes_max);
    (void)inflateEnd(&stream);
    return err;
}
