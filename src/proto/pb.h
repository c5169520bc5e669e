/* The protobuf wire format (protobuf.dev/programming-guides/encoding), read
 * and written in place: no allocation, no copies. For what is on the hot path
 * of every write; everything else uses protobuf-c. Unknown fields are skipped,
 * so an older member reads what a newer one wrote.
 */
#ifndef ETCHED_PROTO_PB_H
#define ETCHED_PROTO_PB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

enum pb_type { PB_VARINT = 0, PB_FIXED64 = 1, PB_BYTES = 2, PB_FIXED32 = 5 };

struct pb_reader {
    const char *at;
    const char *end;
    bool failed; /* malformed: nothing read since can be trusted */
};

struct pb_field {
    uint32_t number;
    enum pb_type type;
    uint64_t value;     /* all but PB_BYTES */
    struct slice bytes; /* PB_BYTES: a view into the input */
};

void pb_reader_init(struct pb_reader *reader, struct slice input);
/* The next field; false at the end or when malformed (reader->failed). */
bool pb_next(struct pb_reader *reader, struct pb_field *field);

/* Fields with the value zero are left out, as proto3 does. */
void pb_put_u64(struct buf *out, uint32_t number, uint64_t value);
void pb_put_i64(struct buf *out, uint32_t number, int64_t value);
void pb_put_bool(struct buf *out, uint32_t number, bool value);
void pb_put_bytes(struct buf *out, uint32_t number, struct slice bytes);
/* Bytes that are there even when empty. */
void pb_put_bytes_always(struct buf *out, uint32_t number, struct slice bytes);

#endif
