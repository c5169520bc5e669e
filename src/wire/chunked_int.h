/* The chunked transfer coding, inwards (RFC 9112, section 7.1):
 *
 *   1a3[;extension]\r\n <0x1a3 bytes> \r\n ... 0\r\n [trailers] \r\n
 *
 * Stricter than it must be, as two readers of one stream must never see two
 * different ends: each line ends in CR LF, a bare LF or CR anywhere is an
 * error, and so is any other control character. Extensions and trailers are
 * read over; their bytes are bounded.
 */
#ifndef ETCHED_WIRE_CHUNKED_INT_H
#define ETCHED_WIRE_CHUNKED_INT_H

#include "base/bytes.h"

enum chunked_result {
    CHUNKED_MORE, /* all read, the end isn't here yet */
    CHUNKED_DONE,
    CHUNKED_BAD,
    CHUNKED_TOO_LARGE, /* the body would be */
};

struct chunked {
    uint64_t left;      /* of this chunk's data; its size while that is read */
    size_t extra_bytes; /* of extensions and trailers so far */
    uint8_t state;      /* 0 to begin */
    uint8_t digits;     /* of the size so far */
};

/* Reads from *at on, appends the data to `body`. *at is then behind what was
 * read.
 * Limits: `body` up to bytes_max, extensions and trailers up to extra_max. */
enum chunked_result chunked__read(struct chunked *chunked, const char **at,
                                  const char *end, size_t bytes_max,
                                  size_t extra_max, struct buf *body);

#endif
