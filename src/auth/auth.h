/* Users, roles, and what they may do: the same for v2, v3 and Recipes.
 *
 * A user has roles, a role has permissions on ranges of keys; who has the role
 * "root" may do everything. All of it is in the store's meta, changed only by
 * applied commands (COMMAND_AUTH), so it is the same on every member and goes
 * along in snapshots:
 *
 *   "auth"               is it on, and its revision
 *   "auth/user/<name>"   authpb.User, with the hash of the password
 *   "auth/role/<name>"   authpb.Role, permissions in order
 *
 * THE AUTH REVISION grows with every change. A write carries the user and the
 * revision that it was let in with; applied under another one it is refused
 * (V3_AUTH_OLD_REVISION), so no write slips through behind a revocation. What
 * a user may do is decided when a write is applied, and when a read is made,
 * of EVERY operation in it.
 *
 * Where it is off everything is allowed. While it is on, a user "" (nobody)
 * may do nothing here; v2's guest is the user of whom only the role "guest"
 * counts: AUTH_GUEST.
 *
 * KEYS OF OUR OWN: /_recipes/ belongs to the Recipes service: only root and the
 * server itself (AUTH_SERVER) write it as keys; others by its REST interface.
 * It is read as any key is, but not by v2, whose guest may see all the rest.
 *
 * Threads: auth_load, auth_apply: the writer, exclusive lock. auth_is_on,
 *          auth_revision: any. The rest: shared lock, that of the node or that
 *          of its users (node_auth_lock).
 */
#ifndef ETCHED_AUTH_AUTH_H
#define ETCHED_AUTH_AUTH_H

#include "lease/lease.h"
#include "mvcc/mvcc.h"
#include "proto/command.h"
#include "proto/rpc.pb-c.h"
#include "proto/v3_error.h"

/* Users that nobody can log in as; no user can be called so: a name with a NUL
 * is refused. */
#define AUTH_GUEST SLICE("\0guest")
#define AUTH_SERVER SLICE("\0server")
/* Followed by the owner's name: what a recipe does to the store. Of /_recipes/
 * it is the server's, of all else the owner's, whose role "root", if any,
 * doesn't count. */
#define AUTH_RECIPE_OF SLICE("\0recipe:")

#define AUTH_ROOT "root"

enum {
    AUTH_NAME_BYTES_MAX = 256,
    AUTH_USERS_MAX = 100 * 1000,
    AUTH_ROLES_MAX = 10 * 1000,
    AUTH_ROLE_PERMISSIONS_MAX = 10 * 1000,
    AUTH_USER_ROLES_MAX = 1000,
};

struct auth;

struct auth *auth_new(void);
void auth_free(struct auth *auth);
/* From the meta, after mvcc_open or mvcc_reload.
 * Errors: ERR_CORRUPT, the note says which name. */
enum err auth_load(struct auth *auth, const struct mvcc *mvcc) MUST_USE;

/* All changes of the command, or none. What was refused is in *error, and
 * *refused is which one. */
void auth_apply(struct auth *auth, struct mvcc *mvcc,
                const struct auth_command *command, enum v3_error *error,
                size_t *refused);

bool auth_is_on(const struct auth *auth);
uint64_t auth_revision(const struct auth *auth); /* 1 in the beginning */

/* ---- what is there ------------------------------------------------------- */

struct auth_permission {
    uint32_t access; /* enum auth_access */
    struct slice key;
    struct slice range_end; /* as a RangeRequest has it */
};
/* Views, until the next change. */
struct auth_user {
    struct slice name;
    struct slice hash;         /* "": it has no password */
    const struct slice *roles; /* by name */
    size_t role_count;
    bool no_password;
};
struct auth_role {
    struct slice name;
    const struct auth_permission *permissions; /* by key, range_end */
    size_t permission_count;
};
bool auth_user(const struct auth *auth, struct slice name,
               struct auth_user *out);
bool auth_role(const struct auth *auth, struct slice name,
               struct auth_role *out);
/* By name. `each` false: enough. */
void auth_users(const struct auth *auth,
                bool (*each)(void *context, const struct auth_user *user),
                void *context);
void auth_roles(const struct auth *auth,
                bool (*each)(void *context, const struct auth_role *role),
                void *context);

/* ---- may they? ----------------------------------------------------------- */

/* V3_OK, V3_USER_EMPTY (nobody), V3_PERMISSION_DENIED. All are V3_OK where
 * auth is off. A range is allowed where the union of the user's permissions
 * covers it whole. */
enum v3_error auth_may(const struct auth *auth, struct slice user,
                       enum auth_access access, struct slice key,
                       struct slice range_end);
/* What only root may. */
enum v3_error auth_may_admin(const struct auth *auth, struct slice user);
/* Known at all: V3_USER_EMPTY, else V3_OK (a user that was deleted since:
 * V3_PERMISSION_DENIED). */
enum v3_error auth_may_ask(const struct auth *auth, struct slice user);

/* Whole requests, each with all that lies in it: compares, prev_kv, leases to
 * attach to (whose other keys must be the user's to write), txns in txns. */
enum v3_error auth_may_range(const struct auth *auth, struct slice user,
                             const Etcdserverpb__RangeRequest *request);
enum v3_error auth_may_put(const struct auth *auth, struct slice user,
                           const Etcdserverpb__PutRequest *request,
                           const struct lease_table *leases);
enum v3_error
auth_may_delete_range(const struct auth *auth, struct slice user,
                      const Etcdserverpb__DeleteRangeRequest *request);
enum v3_error auth_may_txn(const struct auth *auth, struct slice user,
                           const Etcdserverpb__TxnRequest *request,
                           const struct lease_table *leases);
/* All its keys must be the user's: to write, or (of TimeToLive with keys) to
 * read. No such lease, or no keys: V3_OK. */
enum v3_error auth_may_lease(const struct auth *auth, struct slice user,
                             enum auth_access access,
                             const struct lease_table *leases, lease_id lease);
/* By the REST interface of Recipes: keys below /_recipes/, to which a user's
 * permissions lead only there. */
enum v3_error auth_may_recipe(const struct auth *auth, struct slice user,
                              enum auth_access access, struct slice key,
                              struct slice range_end);
/* v2: the node at `path`; with `recursive` all that is or can be below it. */
enum v3_error auth_may_path(const struct auth *auth, struct slice user,
                            enum auth_access access, struct slice path,
                            bool recursive);

/* ---- v2's patterns ------------------------------------------------------- */

/* "/a" is a key, "/a*" all keys that begin with "/a". False: it can't be said
 * as a pattern. *pattern is in the arena. */
bool auth_pattern_of(const struct auth_permission *permission,
                     struct arena *arena, struct slice *pattern);
/* The other way; both slices are in the arena. */
void auth_range_of(struct slice pattern, struct arena *arena, struct slice *key,
                   struct slice *range_end);

/* ---- a store from elsewhere ---------------------------------------------- */

/* Each pair that its meta must hold is given to `put`, which passes errors on;
 * slices are good for the call. Users and roles come as authpb's messages,
 * whoever wrote them. Errors: ERR_CORRUPT (no user or role of ours can be so),
 * and put's. */
struct auth_founding {
    enum err (*put)(void *context, struct slice name, struct slice value);
    void *context;
};
enum err auth_found_user(const struct auth_founding *founding,
                         struct slice name, struct slice bytes) MUST_USE;
enum err auth_found_role(const struct auth_founding *founding,
                         struct slice name, struct slice bytes) MUST_USE;
/* Needs: the revision isn't 0. */
enum err auth_found_state(const struct auth_founding *founding, bool on,
                          uint64_t revision_of_auth) MUST_USE;
/* authpb's message of one that is there, appended. */
void auth_user_encode(const struct auth_user *user, struct buf *out);
void auth_role_encode(const struct auth_role *role, struct buf *out);

#endif
