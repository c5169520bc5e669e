/* auth: enable, disable, status. */
#include <string.h>

#include "cmd/etchctl/v3_auth.h"

int v3_auth_finish(struct v3 *v3, struct v3_call *call,
                   struct v3_result *result)
{
    int code = v3->client ? V3_DONE : v3_connect(v3);

    if (code != V3_DONE)
        return code;
    call->deadline_ms = v3_deadline(v3);
    result->message = v3_call(v3, call);
    if (!result->message)
        return v3_fail(v3, V3_ERROR, "%s", v3->failure);
    return v3_print(v3, result);
}

/* ---- enable ------------------------------------------------------------- */

static const void *simple_call(struct v3 *v3, const char *method,
                               const ProtobufCMessage *request,
                               const ProtobufCMessageDescriptor *answer)
{
    struct v3_call call = {
        .method = method,
        .request = request,
        .answer = answer,
        .deadline_ms = v3_deadline(v3),
    };

    return v3_call(v3, &call);
}

static bool failed_with(const struct v3 *v3, enum v3_error error)
{
    return strcmp(v3->failure, v3_error_text(error)) == 0;
}

/* The user root has to have the role root. */
static bool make_root(struct v3 *v3)
{
    Etcdserverpb__AuthRoleAddRequest add =
        ETCDSERVERPB__AUTH_ROLE_ADD_REQUEST__INIT;
    Etcdserverpb__AuthUserGrantRoleRequest grant =
        ETCDSERVERPB__AUTH_USER_GRANT_ROLE_REQUEST__INIT;
    char *root = arena_printf(v3->arena, "root");

    add.name = grant.user = grant.role = root;
    if (!simple_call(v3, "Auth/RoleAdd", &add.base,
                     &etcdserverpb__auth_role_add_response__descriptor) &&
        !failed_with(v3, V3_ROLE_ALREADY_EXIST))
        return false;
    return simple_call(
               v3, "Auth/UserGrantRole", &grant.base,
               &etcdserverpb__auth_user_grant_role_response__descriptor) !=
           NULL;
}

static bool enable(struct v3 *v3)
{
    Etcdserverpb__AuthEnableRequest request =
        ETCDSERVERPB__AUTH_ENABLE_REQUEST__INIT;

    return simple_call(v3, "Auth/AuthEnable", &request.base,
                       &etcdserverpb__auth_enable_response__descriptor) != NULL;
}

static int run_enable(struct v3 *v3)
{
    struct buf text = {0};
    int code;

    if (v3->words.count != 0)
        return v3_fail(v3, V3_BAD_ARGUMENTS,
                       "auth enable command does not accept any arguments");
    code = v3_connect(v3);
    if (code != V3_DONE)
        return code;
    if (!enable(v3) && (!failed_with(v3, V3_ROOT_ROLE_NOT_EXIST) ||
                        !make_root(v3) || !enable(v3)))
        return v3_fail(v3, V3_ERROR, "%s", v3->failure);
    v3_line(&text, "Authentication Enabled");
    return v3_write(&text);
}

static const struct v3_command enable_command = {
    .name = "enable",
    .arguments = "",
    .summary = "asks everybody who he is",
    .about =
        "There must be a user root; its role root is given to it where it\n"
        "doesn't have it.\n",
    .run = run_enable,
};

/* ---- disable ------------------------------------------------------------ */

static int run_disable(struct v3 *v3)
{
    Etcdserverpb__AuthDisableRequest request =
        ETCDSERVERPB__AUTH_DISABLE_REQUEST__INIT;
    struct buf text = {0};
    int code;

    if (v3->words.count != 0)
        return v3_fail(v3, V3_BAD_ARGUMENTS,
                       "auth disable command does not accept any arguments");
    code = v3_connect(v3);
    if (code != V3_DONE)
        return code;
    if (!simple_call(v3, "Auth/AuthDisable", &request.base,
                     &etcdserverpb__auth_disable_response__descriptor))
        return v3_fail(v3, V3_ERROR, "%s", v3->failure);
    v3_line(&text, "Authentication Disabled");
    return v3_write(&text);
}

static const struct v3_command disable_command = {
    .name = "disable",
    .arguments = "",
    .summary = "lets everybody do everything",
    .run = run_disable,
};

/* ---- status ------------------------------------------------------------- */

static int run_status(struct v3 *v3)
{
    Etcdserverpb__AuthStatusRequest request =
        ETCDSERVERPB__AUTH_STATUS_REQUEST__INIT;
    struct v3_call call = {
        .method = "Auth/AuthStatus",
        .request = &request.base,
        .answer = &etcdserverpb__auth_status_response__descriptor,
        .is_repeatable = true,
    };
    struct v3_result result = {0};

    if (v3->words.count != 0)
        return v3_fail(v3, V3_BAD_ARGUMENTS,
                       "auth status command does not accept any arguments");
    return v3_auth_finish(v3, &call, &result);
}

static const struct v3_command status_command = {
    .name = "status",
    .arguments = "",
    .summary = "is everybody asked?",
    .run = run_status,
};

static const struct v3_command *const subcommands[] = {
    &disable_command,
    &enable_command,
    &status_command,
    NULL,
};

const struct v3_command v3_command_auth = {
    .name = "auth",
    .arguments = "<command>",
    .summary = "turns authentication on or off",
    .subcommands = subcommands,
};
