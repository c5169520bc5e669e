/* Commands: what the log replicates and every member applies in the same
 * order. A command says what a client asked for, not what came of it; the
 * outcome is computed from it, the entry's time and the state, the same on
 * every member.
 *
 * Encoded as protobuf messages of our own:
 *
 *   Command { 1: type  2: body (bytes, by type)
 *             3: member that it came from (fixed64)  4: its number there
 *             5: a recipe's (bool)  6: user (bytes)  7: auth revision }
 *
 * Fields 3 and 4 are there when a follower has handed the command to the
 * leader; they come last, so they can be appended to what is encoded.
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
    COMMAND_CLUSTER = 5, /* 0.4's active size and such */
    /* What a follower asks of the leader; never in the log: */
    COMMAND_MEMBER = 6,   /* a change of membership */
    COMMAND_TRANSFER = 7, /* of leadership */
    /* Requests of v3, as they came and were checked. */
    COMMAND_PUT = 8,           /* PutRequest */
    COMMAND_DELETE_RANGE = 9,  /* DeleteRangeRequest */
    COMMAND_TXN = 10,          /* TxnRequest */
    COMMAND_LEASE_GRANT = 11,  /* LeaseGrantRequest; its ID is set */
    COMMAND_LEASE_REVOKE = 12, /* LeaseRevokeRequest */
    COMMAND_ALARM = 13,        /* AlarmRequest: ACTIVATE or DEACTIVATE */
    /* Leases that were kept alive: each ends its TTL from now on. A keepalive
     * is a write, so every member knows when a lease ends, and a change of
     * leader changes nothing. */
    COMMAND_LEASE_RENEW = 14,
    COMMAND_AUTH = 15,  /* users, roles, permissions */
    COMMAND_QUOTA = 16, /* of a prefix */
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

struct renew_command {
    const int64_t *leases;
    size_t count;
};

struct publish_command {
    uint64_t member;
    struct slice name;
    struct slice client_urls; /* joined with ',' */
};

/* As struct node_cluster_config. A field that isn't set is left as it is. */
struct cluster_command {
    bool has_active_size;
    bool has_remove_delay;
    bool has_sync_interval;
    uint64_t active_size;
    uint64_t remove_delay_us;
    uint64_t sync_interval_us;
};

/* As struct node_change. */
struct member_command {
    uint32_t op;
    uint64_t member;
    struct slice name;
    struct slice peer_urls;
    struct slice client_urls;
};

enum auth_op {
    AUTH_ENABLE = 1,
    AUTH_DISABLE = 2,
    AUTH_USER_ADD = 3,      /* user, hash or no_password */
    AUTH_USER_DELETE = 4,   /* user */
    AUTH_USER_PASSWORD = 5, /* user, hash or no_password */
    AUTH_USER_GRANT = 6,    /* user, role */
    AUTH_USER_REVOKE = 7,   /* user, role */
    AUTH_ROLE_ADD = 8,      /* role */
    AUTH_ROLE_DELETE = 9,   /* role */
    AUTH_ROLE_GRANT = 10,   /* role, key, range_end, access */
    AUTH_ROLE_REVOKE = 11,  /* role, key, range_end */
    AUTH_TOKEN = 12,        /* user, and the token's SHA-256 as hash */
};

/* As authpb.Permission.Type. */
enum auth_access { AUTH_READ = 0, AUTH_WRITE = 1, AUTH_READWRITE = 2 };

/* One change of users and roles. A password comes as its hash: bcrypt's, made
 * by the member that was asked. */
struct auth_change {
    enum auth_op op;
    struct slice user;
    struct slice role;
    struct slice hash;
    bool no_password;
    uint32_t access; /* enum auth_access */
    struct slice key;
    struct slice range_end;
};

/* All of them, or none. */
struct auth_command {
    const struct auth_change *changes;
    size_t count;
};

/* What may be below a prefix, at most; both 0: no bound any more. */
struct quota_command {
    struct slice prefix;
    uint64_t keys_max;  /* 0: any number */
    uint64_t bytes_max; /* of keys and values; 0: any number */
};

struct command {
    enum command_type type;
    uint64_t from;   /* the member that forwarded it; 0: none */
    uint64_t number; /* of that member's; never 0 with `from` */
    bool by_recipe;  /* a PUT, DELETE_RANGE or TXN: what its changes say */
    /* Who asked, and the revision of users and roles that it was let in with
     * (auth/auth.h). "": the server itself, or nobody; 0: auth was off. */
    struct slice user;
    uint64_t auth_revision;
    union {
        struct tree_command tree;
        struct expire_command expire;
        int64_t compact; /* revision */
        struct publish_command publish;
        struct cluster_command cluster;
        struct member_command member;
        uint64_t transfer_to;
        struct renew_command renew;
        struct auth_command auth;
        struct quota_command quota;
        struct slice message; /* of a request of v3's */
    };
};

/* A new refbuf that holds the encoded command. */
struct refbuf *command_encode(const struct command *command);

/* Fields 3 and 4, to be appended to an encoded command that has none; returns
 * how many bytes they are. Needs: neither is 0. */
enum { COMMAND_ORIGIN_BYTES_MAX = 1 + 8 + 1 + VARINT_BYTES_MAX };
size_t command_origin_encode(uint64_t from, uint64_t number,
                             char out[COMMAND_ORIGIN_BYTES_MAX]);

/* Views into `input`; lists are in the arena.
 * Errors: ERR_CORRUPT (malformed), ERR_UNSUPPORTED (a type that this version
 *         doesn't know). */
enum err command_decode(struct slice input, struct arena *arena,
                        struct command *out) MUST_USE;

#endif
