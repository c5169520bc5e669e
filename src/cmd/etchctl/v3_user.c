/* user: add, delete, get, list, passwd, grant-role, revoke-role. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "cmd/etchctl/password.h"
#include "cmd/etchctl/v3_auth.h"

static char *keep(struct v3 *v3, const char *text)
{
    return arena_printf(v3->arena, "%s", text);
}

/* ---- passwords ---------------------------------------------------------- */

/* Asked for twice; NULL: it was said what is wrong. */
static char *ask_twice(struct v3 *v3, const char *name)
{
    char *first =
        password_ask(arena_printf(v3->arena, "Password of %s: ", name));
    char *second = NULL;
    char *kept = NULL;

    if (first[0] == '\0') {
        v3_fail(v3, V3_BAD_ARGUMENTS, "empty password");
    } else {
        second = password_ask(arena_printf(
            v3->arena, "Type password of %s again for confirmation: ", name));
        if (strcmp(first, second) == 0)
            kept = keep(v3, first);
        else
            v3_fail(v3, V3_BAD_ARGUMENTS, "given passwords are different");
    }
    password_free(first);
    password_free(second);
    return kept;
}

/* The first word of stdin; "" where there is none. */
static char *read_word(struct v3 *v3)
{
    struct slice text = v3_read_stdin(v3);
    size_t start = 0, end;

    while (start < text.size && text.at[start] == ' ')
        start++;
    end = start;
    while (end < text.size && !isspace((unsigned char)text.at[end]))
        end++;
    return arena_printf(v3->arena, "%.*s", (int)(end - start), text.at + start);
}

static char *get_password(struct v3 *v3, const char *name)
{
    return pflags_bool(&v3->flags, "interactive") ? ask_twice(v3, name)
                                                  : read_word(v3);
}

/* ---- add ---------------------------------------------------------------- */

static const struct pflag_spec add_flags[] = {
    {"interactive", 0, PFLAG_BOOL, "true",
     "ask for the password at the terminal; else it is read from stdin"},
    {"new-user-password", 0, PFLAG_STRING, NULL, "the password"},
    {"no-password", 0, PFLAG_BOOL, NULL,
     "without one: only a certificate's name can be this user"},
    {0},
};

/* "name:password", or "name" and a password from elsewhere. */
static int find_password(struct v3 *v3,
                         Etcdserverpb__AuthUserAddRequest *request)
{
    const char *word = v3_word(v3, 0);
    const char *given = pflags_text(&v3->flags, "new-user-password");
    const char *colon = strchr(word, ':');

    request->name = keep(v3, word);
    if (pflags_bool(&v3->flags, "no-password"))
        return V3_DONE;
    if (given[0]) {
        request->password = keep(v3, given);
        return V3_DONE;
    }
    if (!colon) {
        request->password = get_password(v3, word);
        return request->password ? V3_DONE : V3_BAD_ARGUMENTS;
    }
    if (colon == word)
        return v3_fail(v3, V3_BAD_ARGUMENTS, "empty user name is not allowed");
    request->name = arena_printf(v3->arena, "%.*s", (int)(colon - word), word);
    request->password = keep(v3, colon + 1);
    return V3_DONE;
}

static int run_add(struct v3 *v3)
{
    Etcdserverpb__AuthUserAddRequest request =
        ETCDSERVERPB__AUTH_USER_ADD_REQUEST__INIT;
    Authpb__UserAddOptions options = AUTHPB__USER_ADD_OPTIONS__INIT;
    struct v3_call call = {
        .method = "Auth/UserAdd",
        .request = &request.base,
        .answer = &etcdserverpb__auth_user_add_response__descriptor,
    };
    struct v3_result result = {0};
    int code;

    if (v3->words.count != 1)
        return v3_fail(v3, V3_BAD_ARGUMENTS,
                       "user add command requires user name as its argument");
    code = find_password(v3, &request);
    if (code != V3_DONE)
        return code;
    options.no_password = pflags_bool(&v3->flags, "no-password");
    request.options = &options;
    result.line = arena_printf(v3->arena, "User %s created", request.name);
    return v3_auth_finish(v3, &call, &result);
}

static const struct v3_command add = {
    .name = "add",
    .arguments = "[flags] <user name or user:password>",
    .summary = "makes a user",
    .flags = add_flags,
    .run = run_add,
};

/* ---- delete ------------------------------------------------------------- */

static int run_delete(struct v3 *v3)
{
    Etcdserverpb__AuthUserDeleteRequest request =
        ETCDSERVERPB__AUTH_USER_DELETE_REQUEST__INIT;
    struct v3_call call = {
        .method = "Auth/UserDelete",
        .request = &request.base,
        .answer = &etcdserverpb__auth_user_delete_response__descriptor,
    };
    struct v3_result result = {0};

    if (v3->words.count != 1)
        return v3_fail(
            v3, V3_BAD_ARGUMENTS,
            "user delete command requires user name as its argument");
    request.name = keep(v3, v3_word(v3, 0));
    result.line = arena_printf(v3->arena, "User %s deleted", request.name);
    return v3_auth_finish(v3, &call, &result);
}

static const struct v3_command delete_command = {
    .name = "delete",
    .arguments = "<user name>",
    .summary = "deletes a user",
    .run = run_delete,
};

/* ---- get ---------------------------------------------------------------- */

static const struct pflag_spec get_flags[] = {
    {"detail", 0, PFLAG_BOOL, NULL, "what its roles may do, too"},
    {0},
};

static int show_roles(struct v3 *v3, const char *user,
                      const Etcdserverpb__AuthUserGetResponse *answer)
{
    Etcdserverpb__AuthRoleGetRequest request =
        ETCDSERVERPB__AUTH_ROLE_GET_REQUEST__INIT;
    struct v3_call call = {
        .method = "Auth/RoleGet",
        .request = &request.base,
        .answer = &etcdserverpb__auth_role_get_response__descriptor,
        .is_repeatable = true,
    };
    struct buf text = {0};
    int code;

    v3_line(&text, "User: %s", user);
    code = v3_write(&text);
    for (size_t i = 0; i < answer->n_roles && code == V3_DONE; i++) {
        struct v3_result result = {.name = answer->roles[i]};
        v3_line(&text, "%s", "");
        code = v3_write(&text);
        request.role = answer->roles[i];
        if (code == V3_DONE)
            code = v3_auth_finish(v3, &call, &result);
    }
    return code;
}

static int run_get(struct v3 *v3)
{
    Etcdserverpb__AuthUserGetRequest request =
        ETCDSERVERPB__AUTH_USER_GET_REQUEST__INIT;
    struct v3_call call = {
        .method = "Auth/UserGet",
        .request = &request.base,
        .answer = &etcdserverpb__auth_user_get_response__descriptor,
        .is_repeatable = true,
    };
    struct v3_result result = {.name = v3_word(v3, 0)};
    int code;

    if (v3->words.count != 1)
        return v3_fail(v3, V3_BAD_ARGUMENTS,
                       "user get command requires user name as its argument");
    request.name = keep(v3, result.name);
    if (!pflags_bool(&v3->flags, "detail"))
        return v3_auth_finish(v3, &call, &result);
    code = v3_connect(v3);
    if (code != V3_DONE)
        return code;
    call.deadline_ms = v3_deadline(v3);
    result.message = v3_call(v3, &call);
    if (!result.message)
        return v3_fail(v3, V3_ERROR, "%s", v3->failure);
    return show_roles(v3, result.name, result.message);
}

static const struct v3_command get = {
    .name = "get",
    .arguments = "[flags] <user name>",
    .summary = "which roles a user has",
    .flags = get_flags,
    .run = run_get,
};

/* ---- list --------------------------------------------------------------- */

static int run_list(struct v3 *v3)
{
    Etcdserverpb__AuthUserListRequest request =
        ETCDSERVERPB__AUTH_USER_LIST_REQUEST__INIT;
    struct v3_call call = {
        .method = "Auth/UserList",
        .request = &request.base,
        .answer = &etcdserverpb__auth_user_list_response__descriptor,
        .is_repeatable = true,
    };
    struct v3_result result = {0};

    if (v3->words.count != 0)
        return v3_fail(v3, V3_BAD_ARGUMENTS,
                       "user list command requires no arguments");
    return v3_auth_finish(v3, &call, &result);
}

static const struct v3_command list = {
    .name = "list",
    .arguments = "",
    .summary = "all users",
    .run = run_list,
};

/* ---- passwd ------------------------------------------------------------- */

static const struct pflag_spec password_flags[] = {
    {"interactive", 0, PFLAG_BOOL, "true",
     "ask for the password at the terminal; else it is read from stdin"},
    {0},
};

static int run_password(struct v3 *v3)
{
    Etcdserverpb__AuthUserChangePasswordRequest request =
        ETCDSERVERPB__AUTH_USER_CHANGE_PASSWORD_REQUEST__INIT;
    struct v3_call call = {
        .method = "Auth/UserChangePassword",
        .request = &request.base,
        .answer = &etcdserverpb__auth_user_change_password_response__descriptor,
    };
    struct v3_result result = {.line = "Password updated"};

    if (v3->words.count != 1)
        return v3_fail(
            v3, V3_BAD_ARGUMENTS,
            "user passwd command requires user name as its argument");
    request.name = keep(v3, v3_word(v3, 0));
    request.password = get_password(v3, request.name);
    return request.password ? v3_auth_finish(v3, &call, &result)
                            : V3_BAD_ARGUMENTS;
}

static const struct v3_command passwd = {
    .name = "passwd",
    .arguments = "[flags] <user name>",
    .summary = "gives a user another password",
    .flags = password_flags,
    .run = run_password,
};

/* ---- grant-role, revoke-role -------------------------------------------- */

static int run_grant(struct v3 *v3)
{
    Etcdserverpb__AuthUserGrantRoleRequest request =
        ETCDSERVERPB__AUTH_USER_GRANT_ROLE_REQUEST__INIT;
    struct v3_call call = {
        .method = "Auth/UserGrantRole",
        .request = &request.base,
        .answer = &etcdserverpb__auth_user_grant_role_response__descriptor,
    };
    struct v3_result result = {0};

    if (v3->words.count != 2)
        return v3_fail(v3, V3_BAD_ARGUMENTS,
                       "user grant command requires user name and role name "
                       "as its argument");
    request.user = keep(v3, v3_word(v3, 0));
    request.role = keep(v3, v3_word(v3, 1));
    result.line = arena_printf(v3->arena, "Role %s is granted to user %s",
                               request.role, request.user);
    return v3_auth_finish(v3, &call, &result);
}

static const struct v3_command grant_role = {
    .name = "grant-role",
    .arguments = "<user name> <role name>",
    .summary = "gives a user a role",
    .run = run_grant,
};

static int run_revoke(struct v3 *v3)
{
    Etcdserverpb__AuthUserRevokeRoleRequest request =
        ETCDSERVERPB__AUTH_USER_REVOKE_ROLE_REQUEST__INIT;
    struct v3_call call = {
        .method = "Auth/UserRevokeRole",
        .request = &request.base,
        .answer = &etcdserverpb__auth_user_revoke_role_response__descriptor,
    };
    struct v3_result result = {0};

    if (v3->words.count != 2)
        return v3_fail(v3, V3_BAD_ARGUMENTS,
                       "user revoke-role requires user name and role name as "
                       "its argument");
    request.name = keep(v3, v3_word(v3, 0));
    request.role = keep(v3, v3_word(v3, 1));
    result.line = arena_printf(v3->arena, "Role %s is revoked from user %s",
                               request.role, request.name);
    return v3_auth_finish(v3, &call, &result);
}

static const struct v3_command revoke_role = {
    .name = "revoke-role",
    .arguments = "<user name> <role name>",
    .summary = "takes a role away from a user",
    .run = run_revoke,
};

static const struct v3_command *const subcommands[] = {
    &add,  &delete_command, &get,         &grant_role,
    &list, &passwd,         &revoke_role, NULL,
};

const struct v3_command v3_command_user = {
    .name = "user",
    .arguments = "<command>",
    .summary = "users and their roles",
    .subcommands = subcommands,
};
