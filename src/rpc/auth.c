/* Auth: users and roles, what they have, and changing it. Logging in, and
 * whatever has a password in it, is auth_login.c's.
 *
 * A change goes through the log like any other write, and is looked at by all
 * members when it is applied; what is asked is answered here. Texts and codes
 * are etcd's. */
#include "base/check.h"
#include "proto/pb.h"
#include "rpc/auth_int.h"

/* ---- changes ------------------------------------------------------------- */

static void finish_change(struct rpc *rpc, struct task *done)
{
    struct call *call = done->call;
    struct txn_answer *answer = &done->write.answer;
    (void)rpc;
    if (call == NULL) {
        /* Nobody waits any more. */
    } else if (done->write.err != ERR_OK) {
        call__fail_err(call, done->write.err);
    } else if (answer->error != V3_OK) {
        call__fail(call, answer->error);
    } else {
        call__answer(call, answer->revision, SLICE(""));
    }
    if (done->write.err == ERR_OK) {
        txn_answer_deinit(answer);
    }
}

void auth__change(struct call *call, const struct auth_change *change)
{
    struct command command = {
        .type = COMMAND_AUTH,
        .auth = {.changes = change, .count = 1},
    };
    CHECK_NE(change->op, AUTH_TOKEN);
    who__sign(call, &command);
    task__write(task__new(call->rpc, call, finish_change),
                command_encode(&command));
}

void auth__enable(struct call *call, ProtobufCMessage *request)
{
    const struct auth_change change = {.op = AUTH_ENABLE};
    (void)request;
    auth__change(call, &change);
}

void auth__disable(struct call *call, ProtobufCMessage *request)
{
    const struct auth_change change = {.op = AUTH_DISABLE};
    (void)request;
    auth__change(call, &change);
}

void auth__user_delete(struct call *call, ProtobufCMessage *message)
{
    const Etcdserverpb__AuthUserDeleteRequest *request = (const void *)message;
    const struct auth_change change = {
        .op = AUTH_USER_DELETE,
        .user = slice_str(request->name),
    };
    auth__change(call, &change);
}

void auth__user_grant_role(struct call *call, ProtobufCMessage *message)
{
    const Etcdserverpb__AuthUserGrantRoleRequest *request =
        (const void *)message;
    const struct auth_change change = {
        .op = AUTH_USER_GRANT,
        .user = slice_str(request->user),
        .role = slice_str(request->role),
    };
    auth__change(call, &change);
}

void auth__user_revoke_role(struct call *call, ProtobufCMessage *message)
{
    const Etcdserverpb__AuthUserRevokeRoleRequest *request =
        (const void *)message;
    const struct auth_change change = {
        .op = AUTH_USER_REVOKE,
        .user = slice_str(request->name),
        .role = slice_str(request->role),
    };
    auth__change(call, &change);
}

void auth__role_add(struct call *call, ProtobufCMessage *message)
{
    const Etcdserverpb__AuthRoleAddRequest *request = (const void *)message;
    const struct auth_change change = {
        .op = AUTH_ROLE_ADD,
        .role = slice_str(request->name),
    };
    auth__change(call, &change);
}

void auth__role_delete(struct call *call, ProtobufCMessage *message)
{
    const Etcdserverpb__AuthRoleDeleteRequest *request = (const void *)message;
    const struct auth_change change = {
        .op = AUTH_ROLE_DELETE,
        .role = slice_str(request->role),
    };
    auth__change(call, &change);
}

void auth__role_grant_permission(struct call *call, ProtobufCMessage *message)
{
    const Etcdserverpb__AuthRoleGrantPermissionRequest *request =
        (const void *)message;
    const Authpb__Permission *permission = request->perm;
    if (permission == NULL) {
        call__fail(call, V3_PERMISSION_NOT_GIVEN);
        return;
    }
    const struct auth_change change = {
        .op = AUTH_ROLE_GRANT,
        .role = slice_str(request->name),
        .access = (uint32_t)permission->permtype,
        .key = message_bytes(permission->key),
        .range_end = message_bytes(permission->range_end),
    };
    auth__change(call, &change);
}

void auth__role_revoke_permission(struct call *call, ProtobufCMessage *message)
{
    const Etcdserverpb__AuthRoleRevokePermissionRequest *request =
        (const void *)message;
    const struct auth_change change = {
        .op = AUTH_ROLE_REVOKE,
        .role = slice_str(request->role),
        .key = message_bytes(request->key),
        .range_end = message_bytes(request->range_end),
    };
    auth__change(call, &change);
}

/* ---- questions ----------------------------------------------------------- */

enum {
    STATUS_ENABLED = 2,
    STATUS_REVISION = 3,
    NAMES = 2, /* roles or users, in answers that list them */
    ROLE_PERMISSIONS = 2,
    PERMISSION_ACCESS = 1,
    PERMISSION_KEY = 2,
    PERMISSION_RANGE_END = 3,
};

/* What is asked; `tell` appends the answer, under the shared lock. */
struct question {
    enum v3_error (*tell)(const struct auth *auth, const struct call *call,
                          struct slice name, struct buf *out);
    struct slice name;
};

static void answer(struct call *call, void *context)
{
    const struct question *question = context;
    struct rpc *rpc = call->rpc;
    struct buf *out = rpc__body(rpc);
    rpc__read_begin(rpc);
    revision now = rpc__revision(rpc);
    enum v3_error error =
        question->tell(node_auth(rpc->node), call, question->name, out);
    rpc__read_end(rpc);
    if (error != V3_OK) {
        call__fail(call, error);
    } else {
        call__answer(call, now, buf_slice(out));
    }
}

static void ask(struct call *call, const struct question *question)
{
    task__when_current(call, false,
                       arena_dup(&call->arena, question, sizeof(*question)),
                       answer);
}

static enum v3_error tell_status(const struct auth *auth,
                                 const struct call *call, struct slice name,
                                 struct buf *out)
{
    (void)call;
    (void)name;
    pb_put_bool(out, STATUS_ENABLED, auth_is_on(auth));
    pb_put_u64(out, STATUS_REVISION, auth_revision(auth));
    return V3_OK;
}

void auth__status(struct call *call, ProtobufCMessage *request)
{
    (void)request;
    ask(call, &(struct question){.tell = tell_status});
}

static enum v3_error tell_user(const struct auth *auth, const struct call *call,
                               struct slice name, struct buf *out)
{
    struct auth_user user;
    enum v3_error error = auth_may_admin(auth, call->user);
    if (error != V3_OK && !slice_eq(name, call->user)) {
        return error; /* of oneself one may know */
    }
    if (!auth_user(auth, name, &user)) {
        return V3_USER_NOT_FOUND;
    }
    for (size_t i = 0; i < user.role_count; i++) {
        pb_put_bytes_always(out, NAMES, user.roles[i]);
    }
    return V3_OK;
}

void auth__user_get(struct call *call, ProtobufCMessage *message)
{
    const Etcdserverpb__AuthUserGetRequest *request = (const void *)message;
    ask(call, &(struct question){tell_user, slice_str(request->name)});
}

static void put_permission(struct buf *out,
                           const struct auth_permission *permission)
{
    struct buf one = {0};
    pb_put_u64(&one, PERMISSION_ACCESS, permission->access);
    pb_put_bytes(&one, PERMISSION_KEY, permission->key);
    pb_put_bytes(&one, PERMISSION_RANGE_END, permission->range_end);
    pb_put_bytes_always(out, ROLE_PERMISSIONS, buf_slice(&one));
    buf_deinit(&one);
}

static bool has_role(const struct auth *auth, struct slice user,
                     struct slice role)
{
    struct auth_user found;
    if (!auth_user(auth, user, &found)) {
        return false;
    }
    for (size_t i = 0; i < found.role_count; i++) {
        if (slice_eq(found.roles[i], role)) {
            return true;
        }
    }
    return false;
}

static enum v3_error tell_role(const struct auth *auth, const struct call *call,
                               struct slice name, struct buf *out)
{
    struct auth_role role;
    enum v3_error error = auth_may_admin(auth, call->user);
    if (error != V3_OK && !has_role(auth, call->user, name)) {
        return error;
    }
    if (!auth_role(auth, name, &role)) {
        return V3_ROLE_NOT_FOUND;
    }
    for (size_t i = 0; i < role.permission_count; i++) {
        put_permission(out, &role.permissions[i]);
    }
    return V3_OK;
}

void auth__role_get(struct call *call, ProtobufCMessage *message)
{
    const Etcdserverpb__AuthRoleGetRequest *request = (const void *)message;
    ask(call, &(struct question){tell_role, slice_str(request->role)});
}

static bool put_user_name(void *context, const struct auth_user *user)
{
    pb_put_bytes_always(context, NAMES, user->name);
    return true;
}

static enum v3_error tell_users(const struct auth *auth,
                                const struct call *call, struct slice name,
                                struct buf *out)
{
    (void)call;
    (void)name;
    auth_users(auth, put_user_name, out);
    return V3_OK;
}

void auth__user_list(struct call *call, ProtobufCMessage *request)
{
    (void)request;
    ask(call, &(struct question){.tell = tell_users});
}

static bool put_role_name(void *context, const struct auth_role *role)
{
    pb_put_bytes_always(context, NAMES, role->name);
    return true;
}

static enum v3_error tell_roles(const struct auth *auth,
                                const struct call *call, struct slice name,
                                struct buf *out)
{
    (void)call;
    (void)name;
    auth_roles(auth, put_role_name, out);
    return V3_OK;
}

void auth__role_list(struct call *call, ProtobufCMessage *request)
{
    (void)request;
    ask(call, &(struct question){.tell = tell_roles});
}
