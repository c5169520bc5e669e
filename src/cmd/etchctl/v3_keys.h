/* The requests of get, put and del, made of flags and words: for these
 * commands, and for the lines of a txn that look like them. */
#ifndef ETCHED_CMD_ETCHCTL_V3_KEYS_H
#define ETCHED_CMD_ETCHCTL_V3_KEYS_H

#include "cmd/etchctl/v3.h"

/* Each fills `out` and returns V3_DONE, or says what is wrong and returns an
 * exit code. */
int v3_get_request(struct v3 *v3, const struct pflags *flags,
                   const struct words *words, Etcdserverpb__RangeRequest *out);
int v3_put_request(struct v3 *v3, const struct pflags *flags,
                   const struct words *words, Etcdserverpb__PutRequest *out);
int v3_del_request(struct v3 *v3, const struct pflags *flags,
                   const struct words *words,
                   Etcdserverpb__DeleteRangeRequest *out);

/* A key and the end of its range as --prefix and --from-key have it. */
struct v3_range {
    ProtobufCBinaryData key;
    ProtobufCBinaryData end;
};
struct v3_range v3_prefix_range(struct arena *arena, const char *key);
struct v3_range v3_from_range(const char *key);
static inline ProtobufCBinaryData v3_text(const char *text)
{
    return message_data(slice_str(text));
}

#endif
