/* A member whose users log in: real tokens, and a door to cryptography that
 * can be seen through. Work for workers waits here, so that a test can hold it.
 *
 *   root   role root           with   role keeper: reads and writes "k/" to
 *   boss   role root                  "k0", reads "r/" to "r0"
 *                              bare   no role
 *
 * Everybody's password is his name.
 */
#ifndef ETCHED_TESTS_RPC_AUTH_WORLD_H
#define ETCHED_TESTS_RPC_AUTH_WORLD_H

#include "grpc_world.h"
#include "proto/rpc.pb-c.h"

enum { AUTH_WORLD_TOKENS = 16, AUTH_WORLD_TTL_MS = 2000, AUTH_WORLD_COST = 4 };

struct auth_world {
    struct grpc_world *grpc;
    struct line *line;
    struct crypto crypto;
    uint64_t chance;
    size_t hashed; /* passwords, by the door */
    size_t compared;
    struct lock lock;
    struct auth_tokens *tokens;
    struct audit audit;
    struct buf audited; /* a line each */
    struct work *works[128];
    size_t work_count;
    bool holds_work;
    char made[AUTH_WORLD_TOKENS][64]; /* tokens, used again after so many */
    size_t made_count;
};

/* With users and roles; auth is off. */
void auth_world_init(struct auth_world *world, uint64_t seed);
void auth_world_deinit(struct auth_world *world);
void auth_world_turn(struct auth_world *world);
void auth_world_wait(struct auth_world *world, int64_t ms);
/* Auth is on from now on. */
void auth_world_enable(struct auth_world *world);

/* Whoever's token it is asks; NULL: nobody's. */
struct talk *ask_as(struct auth_world *world, const char *token,
                    const char *path, struct slice message);
/* Begins a call that goes on. */
struct talk *open_as(struct auth_world *world, const char *token,
                     const char *path);
/* A whole call that ends so. */
void expect_as(struct auth_world *world, const char *token, const char *path,
               struct slice message, int code, const char *text);
/* And well. */
void do_as(struct auth_world *world, const char *token, const char *path,
           struct slice message);
/* Logs in: good for a while, see AUTH_WORLD_TOKENS. */
const char *login(struct auth_world *world, const char *name,
                  const char *password);
void expect_no_login(struct auth_world *world, const char *name,
                     const char *password, int code, const char *text);

/* Requests. */
struct slice login_request(const char *name, const char *password);
struct slice user_request(const char *name, const char *password);
struct slice password_request(const char *name, const char *password);
struct slice name_request(const ProtobufCMessageDescriptor *type,
                          const char *name);
struct slice grant_role_request(const char *user, const char *role);
struct slice revoke_role_request(const char *user, const char *role);
struct slice permission_request(const char *role, uint32_t access,
                                const char *key, const char *end);
struct slice lease_request(lease_id id);
/* A put that attaches its key to a lease. */
struct slice leased_put_request(const char *key, lease_id lease);
/* Any message that has a key and maybe an end; the end's bytes may be zeros. */
struct slice watch_request(int64_t id, struct slice key, struct slice end);

extern const char user_empty[];
extern const char no_token[];
extern const char denied[];

#endif
