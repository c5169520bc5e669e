/* role: add, delete, get, list, grant-permission, revoke-permission. */
#include <string.h>
#include <strings.h>

#include "cmd/etchctl/v3_auth.h"
#include "cmd/etchctl/v3_keys.h"

static char *keep(struct v3 *v3, const char *text)
{
    return arena_printf(v3->arena, "%s", text);
}

/* ---- add, delete -------------------------------------------------------- */

static int run_add(struct v3 *v3)
{
    Etcdserverpb__AuthRoleAddRequest request =
        ETCDSERVERPB__AUTH_ROLE_ADD_REQUEST__INIT;
    struct v3_call call = {
        .method = "Auth/RoleAdd",
        .request = &request.base,
        .answer = &etcdserverpb__auth_role_add_response__descriptor,
    };
    struct v3_result result = {0};

    if (v3->words.count != 1)
        return v3_fail(v3, V3_BAD_ARGUMENTS,
                       "role add command requires role name as its argument");
    request.name = keep(v3, v3_word(v3, 0));
    result.line = arena_printf(v3->arena, "Role %s created", request.name);
    return v3_auth_finish(v3, &call, &result);
}

static const struct v3_command add = {
    .name = "add",
    .arguments = "<role name>",
    .summary = "makes a role",
    .run = run_add,
};

static int run_delete(struct v3 *v3)
{
    Etcdserverpb__AuthRoleDeleteRequest request =
        ETCDSERVERPB__AUTH_ROLE_DELETE_REQUEST__INIT;
    struct v3_call call = {
        .method = "Auth/RoleDelete",
        .request = &request.base,
        .answer = &etcdserverpb__auth_role_delete_response__descriptor,
    };
    struct v3_result result = {0};

    if (v3->words.count != 1)
        return v3_fail(
            v3, V3_BAD_ARGUMENTS,
            "role delete command requires role name as its argument");
    request.role = keep(v3, v3_word(v3, 0));
    result.line = arena_printf(v3->arena, "Role %s deleted", request.role);
    return v3_auth_finish(v3, &call, &result);
}

static const struct v3_command delete_command = {
    .name = "delete",
    .arguments = "<role name>",
    .summary = "deletes a role",
    .run = run_delete,
};

/* ---- get, list ---------------------------------------------------------- */

static int run_get(struct v3 *v3)
{
    Etcdserverpb__AuthRoleGetRequest request =
        ETCDSERVERPB__AUTH_ROLE_GET_REQUEST__INIT;
    struct v3_call call = {
        .method = "Auth/RoleGet",
        .request = &request.base,
        .answer = &etcdserverpb__auth_role_get_response__descriptor,
        .is_repeatable = true,
    };
    struct v3_result result = {.name = v3_word(v3, 0)};

    if (v3->words.count != 1)
        return v3_fail(v3, V3_BAD_ARGUMENTS,
                       "role get command requires role name as its argument");
    request.role = keep(v3, result.name);
    return v3_auth_finish(v3, &call, &result);
}

static const struct v3_command get = {
    .name = "get",
    .arguments = "<role name>",
    .summary = "what a role may do",
    .run = run_get,
};

static int run_list(struct v3 *v3)
{
    Etcdserverpb__AuthRoleListRequest request =
        ETCDSERVERPB__AUTH_ROLE_LIST_REQUEST__INIT;
    struct v3_call call = {
        .method = "Auth/RoleList",
        .request = &request.base,
        .answer = &etcdserverpb__auth_role_list_response__descriptor,
        .is_repeatable = true,
    };
    struct v3_result result = {0};

    if (v3->words.count != 0)
        return v3_fail(v3, V3_BAD_ARGUMENTS,
                       "role list command requires no arguments");
    return v3_auth_finish(v3, &call, &result);
}

static const struct v3_command list = {
    .name = "list",
    .arguments = "",
    .summary = "all roles",
    .run = run_list,
};

/* ---- permissions -------------------------------------------------------- */

static const struct pflag_spec range_flags[] = {
    {"prefix", 0, PFLAG_BOOL, NULL, "all keys that begin with the key"},
    {"from-key", 0, PFLAG_BOOL, NULL, "the key and all behind it"},
    {0},
};

/* Keys: the word at `at`, and maybe the one behind it. */
static int find_range(struct v3 *v3, size_t at, struct v3_range *out)
{
    const char *key = v3_word(v3, at);
    const char *end = v3_word(v3, at + 1);
    bool is_prefix = pflags_bool(&v3->flags, "prefix");
    bool is_from = pflags_bool(&v3->flags, "from-key");

    if (is_prefix && is_from && (!end || !key[0]))
        return v3_fail(v3, V3_BAD_ARGUMENTS,
                       "--from-key and --prefix flags are mutually exclusive");
    if (!key[0]) {
        /* No key is empty: all of them begin behind this. */
        out->key = message_data(SLICE("\0"));
        out->end = message_data(is_prefix || is_from ? SLICE("\0") : SLICE(""));
        return V3_DONE;
    }
    if (end && (is_prefix || is_from))
        return v3_fail(v3, V3_BAD_ARGUMENTS,
                       "unexpected endkey argument with --%s flag",
                       is_prefix ? "prefix" : "from-key");
    *out =
        (struct v3_range){.key = v3_text(key), .end = v3_text(end ? end : "")};
    if (is_prefix)
        *out = v3_prefix_range(v3->arena, key);
    else if (is_from)
        out->end = message_data(SLICE("\0"));
    return V3_DONE;
}

static int find_type(struct v3 *v3, const char *text,
                     Authpb__Permission__Type *out)
{
    static const char *const names[] = {
        [AUTHPB__PERMISSION__TYPE__READ] = "READ",
        [AUTHPB__PERMISSION__TYPE__WRITE] = "WRITE",
        [AUTHPB__PERMISSION__TYPE__READWRITE] = "READWRITE",
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcasecmp(text, names[i]) == 0) {
            *out = (Authpb__Permission__Type)i;
            return V3_DONE;
        }
    }
    return v3_fail(v3, V3_BAD_ARGUMENTS, "invalid permission type: %s", text);
}

static int run_grant(struct v3 *v3)
{
    Etcdserverpb__AuthRoleGrantPermissionRequest request =
        ETCDSERVERPB__AUTH_ROLE_GRANT_PERMISSION_REQUEST__INIT;
    Authpb__Permission permission = AUTHPB__PERMISSION__INIT;
    struct v3_call call = {
        .method = "Auth/RoleGrantPermission",
        .request = &request.base,
        .answer =
            &etcdserverpb__auth_role_grant_permission_response__descriptor,
    };
    struct v3_result result = {0};
    struct v3_range range;
    int code;

    if (v3->words.count < 3)
        return v3_fail(v3, V3_BAD_ARGUMENTS,
                       "role grant command requires role name, permission "
                       "type, and key [endkey] as its argument");
    code = find_type(v3, v3_word(v3, 1), &permission.permtype);
    if (code == V3_DONE)
        code = find_range(v3, 2, &range);
    if (code != V3_DONE)
        return code;
    permission.key = range.key;
    permission.range_end = range.end;
    request.name = keep(v3, v3_word(v3, 0));
    request.perm = &permission;
    result.line = arena_printf(v3->arena, "Role %s updated", request.name);
    return v3_auth_finish(v3, &call, &result);
}

static const struct v3_command grant = {
    .name = "grant-permission",
    .arguments = "[flags] <role name> <read|write|readwrite> <key> [endkey]",
    .summary = "lets a role do something with keys",
    .flags = range_flags,
    .run = run_grant,
};

/* The key as it was given: an empty one is shown as such. */
static const char *revoked(struct v3 *v3, const struct v3_range *range)
{
    const char *role = v3_word(v3, 0);
    const char *key = v3_word(v3, 1);
    struct slice end = message_bytes(range->end);

    if (end.size == 0)
        return arena_printf(v3->arena,
                            "Permission of key %s is revoked from role %s", key,
                            role);
    if (slice_eq(end, SLICE("\0")))
        return arena_printf(
            v3->arena,
            "Permission of range [%s, <open ended> is revoked from role %s",
            key, role);
    return arena_printf(
        v3->arena, "Permission of range [%s, %.*s) is revoked from role %s",
        key, (int)end.size, end.at, role);
}

static int run_revoke(struct v3 *v3)
{
    Etcdserverpb__AuthRoleRevokePermissionRequest request =
        ETCDSERVERPB__AUTH_ROLE_REVOKE_PERMISSION_REQUEST__INIT;
    struct v3_call call = {
        .method = "Auth/RoleRevokePermission",
        .request = &request.base,
        .answer =
            &etcdserverpb__auth_role_revoke_permission_response__descriptor,
    };
    struct v3_result result = {0};
    struct v3_range range;
    int code;

    if (v3->words.count < 2)
        return v3_fail(v3, V3_BAD_ARGUMENTS,
                       "role revoke-permission command requires role name and "
                       "key [endkey] as its argument");
    code = find_range(v3, 1, &range);
    if (code != V3_DONE)
        return code;
    request.role = keep(v3, v3_word(v3, 0));
    request.key = range.key;
    request.range_end = range.end;
    result.line = revoked(v3, &range);
    return v3_auth_finish(v3, &call, &result);
}

static const struct v3_command revoke = {
    .name = "revoke-permission",
    .arguments = "[flags] <role name> <key> [endkey]",
    .summary = "takes a permission away from a role",
    .flags = range_flags,
    .run = run_revoke,
};

static const struct v3_command *const subcommands[] = {
    &add, &delete_command, &get, &grant, &list, &revoke, NULL,
};

const struct v3_command v3_command_role = {
    .name = "role",
    .arguments = "<command>",
    .summary = "roles, and what they may do",
    .subcommands = subcommands,
};
