/* An answer of /v2/keys, read from its JSON and printed the way etcdctl
 * prints it. Pure. */
#ifndef ETCHED_CMD_ETCHCTL_V2_RESPONSE_H
#define ETCHED_CMD_ETCHCTL_V2_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "cmd/etchctl/settings.h"
#include "doc/doc.h"

/* A recursive listing is as large as the store: the bounds are those of what
 * http_client takes, and of the deepest path. */
extern const struct doc_limits v2_response_limits;

struct v2_node {
    struct slice key;
    struct slice value;
    bool is_dir;
    uint64_t created_index;
    uint64_t modified_index;
    int64_t ttl;             /* 0: none */
    struct slice expiration; /* empty: none */
    struct v2_node *nodes;
    size_t node_count;
};

struct v2_response {
    struct slice action;
    struct v2_node *node;
    struct v2_node *prev_node; /* NULL: none */
    uint64_t index;            /* of X-Etcd-Index */
};

struct v2_error {
    int64_t code;
    struct slice message;
    struct slice cause;
    uint64_t index;
};

/* The string of that name in a map; "" where there is none. */
struct slice v2_text_of(const struct doc_value *map, const char *name);

/* False when it is no such document.
 * Owns: everything lives in the arena. */
bool v2_response_parse(struct arena *arena, struct slice json,
                       struct v2_response *out);
bool v2_error_parse(struct arena *arena, struct slice json,
                    struct v2_error *out);

/* "100: Key not found (/foo) [12]", without a line's end. */
void v2_error_print(const struct v2_error *error, struct buf *out);
/* What `get`, `set`, `rm`, `watch`, ... print, with the line's end. */
void v2_response_print(const struct v2_response *response,
                       enum output_format format, struct buf *out);
/* The keys of a listing, one a line; `slash`: a '/' after directories. */
void v2_listing_print(const struct v2_response *response, bool slash,
                      struct buf *out);

#endif
