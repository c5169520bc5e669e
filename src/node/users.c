/* Users and roles, as commands change them; and whether the user that a
 * command names may have it done.
 *
 * What a client asked for is looked at when it is APPLIED, by every member the
 * same: under the revision of users and roles that it was let in with, or not
 * at all. What the members themselves propose is told by its type, or says
 * AUTH_SERVER. So nothing slips through behind a revocation, and a member that
 * forgets to ask is caught here.
 *
 * Tokens are no part of the state: each member has its own table of them, and
 * is told here of those that begin, and of users that lose theirs. */
#include "base/check.h"
#include "base/log.h"
#include "node/node_int.h"

/* A token that is older than this when it comes (this member was away, or
 * begins again) isn't taken: it may have ended, and who had it logs in again.
 */
#define TOKEN_AGE_MAX_NS (AUTH_TOKEN_TTL_S * INT64_C(1000000000))

struct auth *node_auth(struct node *node)
{
    CHECK(node->auth != NULL);
    return node->auth;
}

struct lock *node_auth_lock(struct node *node)
{
    const struct node_ports *ports = &node->config.ports;
    return ports->auth_lock == NULL ? ports->lock : ports->auth_lock;
}

/* Around a change; `lock` is held, or there is but one thread. */
static void lock_users(struct node *node)
{
    if (node->config.ports.auth_lock != NULL) {
        lock_write(node->config.ports.auth_lock);
    }
}

static void unlock_users(struct node *node)
{
    if (node->config.ports.auth_lock != NULL) {
        unlock_write(node->config.ports.auth_lock);
    }
}

enum err node__load_users(struct node *node)
{
    lock_users(node);
    enum err err = auth_load(node->auth, node->mvcc);
    unlock_users(node);
    CHECK(err != ERR_OK || auth_revision(node->auth) > 0);
    if (node->config.tokens != NULL) {
        /* Who was deleted between here and there isn't known. */
        auth_tokens_drop(node->config.tokens, slice_of(NULL, 0));
    }
    return err_wrap(err, "read the users");
}

/* ---- may they? ----------------------------------------------------------- */

static enum v3_error may_renew(const struct node *node, struct slice user,
                               const struct renew_command *renew)
{
    enum v3_error error = auth_may_ask(node->auth, user);
    for (size_t i = 0; i < renew->count && error == V3_OK; i++) {
        error = auth_may_lease(node->auth, user, AUTH_WRITE, node->leases,
                               renew->leases[i]);
    }
    return error;
}

static enum v3_error may_revoke(const struct node *node, struct slice user,
                                const Etcdserverpb__LeaseRevokeRequest *request)
{
    enum v3_error error = auth_may_ask(node->auth, user);
    return error != V3_OK ? error
                          : auth_may_lease(node->auth, user, AUTH_WRITE,
                                           node->leases, request->id);
}

/* What is made in a directory lies below it. */
static enum v3_error may_write_tree(const struct node *node, struct slice user,
                                    const struct tree_command *tree)
{
    bool recursive = tree->recursive || tree->op == TREE_CREATE_IN_ORDER;
    return auth_may_path(node->auth, user, AUTH_WRITE, tree->path, recursive);
}

static enum v3_error may(const struct node *node, const struct command *command,
                         const ProtobufCMessage *message)
{
    const struct auth *auth = node->auth;
    struct slice user = command->user;
    switch (command->type) {
    case COMMAND_PUT:
        return auth_may_put(auth, user, (const void *)message, node->leases);
    case COMMAND_DELETE_RANGE:
        return auth_may_delete_range(auth, user, (const void *)message);
    case COMMAND_TXN:
        return auth_may_txn(auth, user, (const void *)message, node->leases);
    case COMMAND_LEASE_GRANT:
        return auth_may_ask(auth, user);
    case COMMAND_LEASE_RENEW:
        return may_renew(node, user, &command->renew);
    case COMMAND_LEASE_REVOKE:
        return may_revoke(node, user, (const void *)message);
    case COMMAND_TREE:
        return may_write_tree(node, user, &command->tree);
    default:
        return auth_may_admin(auth, user);
    }
}

enum v3_error node__may(const struct node *node, const struct command *command,
                        const ProtobufCMessage *message)
{
    CHECK(command->type != COMMAND_EXPIRE && command->type != COMMAND_PUBLISH);
    if (!auth_is_on(node->auth) || slice_eq(command->user, AUTH_SERVER)) {
        return V3_OK;
    }
    if (command->user.size == 0) {
        return V3_USER_EMPTY;
    }
    if (command->auth_revision != auth_revision(node->auth)) {
        return V3_AUTH_OLD_REVISION;
    }
    return may(node, command, message);
}

/* ---- changes ------------------------------------------------------------- */

/* A password was right, as of that revision. */
static enum v3_error add_token(struct node *node, const struct command *command,
                               int64_t time_ns)
{
    const struct auth_change *change = command->auth.changes;
    struct auth_user user;
    CHECK_EQ(command->auth.count, 1);
    if (!auth_is_on(node->auth)) {
        return V3_AUTH_NOT_ENABLED;
    }
    if (!slice_eq(command->user, AUTH_SERVER)) {
        return V3_PERMISSION_DENIED;
    }
    if (command->auth_revision != auth_revision(node->auth)) {
        return V3_AUTH_OLD_REVISION;
    }
    if (!auth_user(node->auth, change->user, &user) ||
        change->hash.size != CRYPTO_SHA256_BYTES) {
        return V3_AUTH_FAILED;
    }
    int64_t age_ns = node__peek_now_ns(node) - time_ns;
    if (node->config.tokens != NULL && age_ns <= TOKEN_AGE_MAX_NS) {
        auth_tokens_add(node->config.tokens, change->user, change->hash);
    }
    return V3_OK;
}

static void drop_tokens(struct node *node, const struct auth_command *changes)
{
    for (size_t i = 0; i < changes->count; i++) {
        const struct auth_change *change = &changes->changes[i];
        if (change->op == AUTH_USER_DELETE ||
            change->op == AUTH_USER_PASSWORD) {
            CHECK(change->user.at != NULL); /* which would be all of them */
            auth_tokens_drop(node->config.tokens, change->user);
        }
    }
}

/* On or off: whoever has logged in before does it again. */
static void turn(struct node *node)
{
    bool is_on = auth_is_on(node->auth);
    if (node->config.tokens != NULL) {
        auth_tokens_drop(node->config.tokens, slice_of(NULL, 0));
    }
    log_info("auth",
             is_on ? "nothing is done without a user from now on"
                   : "users aren't asked for any more",
             LOG_UINT("auth_revision", auth_revision(node->auth)));
}

static bool has_token(const struct auth_command *changes)
{
    for (size_t i = 0; i < changes->count; i++) {
        if (changes->changes[i].op == AUTH_TOKEN) {
            return true;
        }
    }
    return false;
}

static enum v3_error change_users(struct node *node,
                                  const struct auth_command *changes)
{
    bool was_on = auth_is_on(node->auth);
    uint64_t before = auth_revision(node->auth);
    enum v3_error error = V3_OK;
    size_t refused = 0;
    lock_users(node);
    auth_apply(node->auth, node->mvcc, changes, &error, &refused);
    unlock_users(node);
    CHECK_LE(before, auth_revision(node->auth));
    if (error != V3_OK) {
        CHECK_LT(refused, changes->count);
        CHECK_EQ(before, auth_revision(node->auth));
        return error;
    }
    if (was_on != auth_is_on(node->auth)) {
        turn(node);
    } else if (node->config.tokens != NULL) {
        drop_tokens(node, changes);
    }
    return V3_OK;
}

enum v3_error node__apply_auth(struct node *node, const struct command *command,
                               int64_t time_ns)
{
    const struct auth_command *changes = &command->auth;
    CHECK_EQ(command->type, COMMAND_AUTH);
    if (changes->count == 0) {
        return V3_OK;
    }
    if (has_token(changes)) {
        return changes->count == 1 ? add_token(node, command, time_ns)
                                   : V3_INVALID_AUTH_MGMT;
    }
    enum v3_error error = node__may(node, command, NULL);
    return error != V3_OK ? error : change_users(node, changes);
}
