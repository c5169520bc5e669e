/* Commands: what the log replicates and every member applies in the same
 * order. A command says what a client asked for, not what came of it; the
 * outcome is computed from it, the entry's time and the state, the same on
 * every member.
 *
 * Encoded as protobuf messages of our own:
 *
 *   Command { 1: type  2: body (bytes, by type) }
 *
 * Numbers are stored: they never change and are never used again.
 */
#ifndef ETCHED_PROTO_COMMAND_H
#define ETCHED_PROTO_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/mem.h"

enum command_type {
    COMMAND_TREE = 1,    /* a v2 write */
    COMMAND_EXPIRE = 2,  /* leases whose time is over */
    COMMAND_COMPACT = 3, /* forget history */
    COMMAND_PUBLISH = 4, /* a member's name and addresses */
};

enum tree_op {
    TREE_SET = 1,
    TREE_CREATE = 2,
    TREE_UPDATE = 3,
    TREE_COMPARE_AND_SWAP = 4,
    TREE_DELETE = 5,
    TREE_COMPARE_AND_DELETE = 6,
    TREE_CREATE_IN_ORDER = 7, /* POST: the key's name is the revision */
};

/* A v2 write. Slices are views of whoever filled it in. */
struct tree_command {
    enum tree_op op;
    struct slice path; /* rooted and clean: "/", "/a/b" */
    struct slice value;
    bool dir;
    bool recursive;
    bool refresh;
    bool has_ttl; /* false: permanent */
    uint64_t ttl_s;
    struct slice prev_value; /* "" : not compared */
    uint64_t prev_index;     /* 0: not compared */
};

struct expire_command {
    const int64_t *leases;
    size_t count;
};

struct publish_command {
    uint64_t member;
    struct slice name;
    struct slice client_urls; /* joined with ',' */
};

struct command {
    enum command_type type;
    union {
        struct tree_command tree;
        struct expire_command expire;
        int64_t compact; /* revision */
        struct publish_command publish;
    };
};

/* A new refbuf that holds the encoded command. */
struct refbuf *command_encode(const struct command *command);

/* Views into `input`; lists are in the arena.
 * Errors: ERR_CORRUPT (malformed), ERR_UNSUPPORTED (a type that this version
 *         doesn't know). */
enum err command_decode(struct slice input, struct arena *arena,
                        struct command *out) MUST_USE;

#endif
