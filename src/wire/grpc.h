/* What gRPC puts on HTTP/2, both ways (gRPC's PROTOCOL-HTTP2.md): messages
 * with a prefix of five bytes, timeouts, status texts, compression. Pure: who
 * has a stream (http2.h, grpc_client.h) calls these.
 */
#ifndef ETCHED_WIRE_GRPC_H
#define ETCHED_WIRE_GRPC_H

#include "base/bytes.h"
#include "base/err.h"

enum { GRPC_PREFIX_BYTES = 5 };

/* The prefix of a message. */
void grpc_prefix(char out[GRPC_PREFIX_BYTES], size_t size, bool compressed);

/* Messages out of the pieces of a body. {0} is a new one; message_bytes_max and
 * may_inflate are the owner's to set. */
struct grpc_reader {
    size_t message_bytes_max; /* also of one that was compressed */
    bool may_inflate;         /* grpc-encoding was gzip */
    /* private: */
    struct buf partial; /* prefix and what there is of the message */
    struct buf inflated;
};
void grpc_reader_deinit(struct grpc_reader *reader);
/* Takes from `piece` up to the end of the next message, and moves it on.
 * Where a message lies whole in the piece nothing is copied.
 * ERR_OK: `message` is there, until the next call. ERR_END: more bytes are
 * needed. ERR_TOO_LARGE (before its bytes were taken), ERR_UNSUPPORTED
 * (compressed, but not by what was announced), ERR_CORRUPT. */
enum err grpc_read(struct grpc_reader *reader, struct slice *piece,
                   struct slice *message) MUST_USE;
/* True: the body may end here. */
bool grpc_reader_is_idle(const struct grpc_reader *reader);

/* grpc-timeout: at most 8 digits and H M S m u n. In milliseconds, upwards. */
bool grpc_timeout_parse(struct slice text, int64_t *timeout_ms);
/* grpc-message: percent-encoding of all but the printable ASCII, and of '%'. */
void grpc_text_encode(struct buf *out, struct slice text);
void grpc_text_decode(struct buf *out, struct slice text);

/* gzip (RFC 1952). grpc_inflate: ERR_TOO_LARGE above bytes_max, ERR_CORRUPT. */
void grpc_deflate(struct buf *out, struct slice bytes);
enum err grpc_inflate(struct buf *out, struct slice bytes,
                      size_t bytes_max) MUST_USE;

#endif
