#include "cmd/etchctl/v3_login.h"

#include <string.h>

#include "base/version.h"
#include "cmd/etchctl/password.h"

/* Who --user and --password say, the latter asked for where need be. Once:
 * whoever logs in again, or at several members, isn't asked again. */
static void find_user(struct v3 *v3)
{
    const char *user = pflags_text(&v3->flags, "user");
    const char *password = pflags_text(&v3->flags, "password");
    const char *colon = strchr(user, ':');
    char *asked;

    if (v3->user)
        return;
    if (password[0] == '\0' && colon) {
        v3->user = arena_printf(v3->arena, "%.*s", (int)(colon - user), user);
        v3->password = arena_printf(v3->arena, "%s", colon + 1);
        return;
    }
    v3->user = arena_printf(v3->arena, "%s", user);
    if (password[0] == '\0') {
        asked = password_ask("Password: ");
        v3->password = arena_printf(v3->arena, "%s", asked);
        password_free(asked);
        return;
    }
    v3->password = arena_printf(v3->arena, "%s", password);
}

static void use_token(struct rpc_client *client, const char *token)
{
    const struct grpc_header metadata[] = {
        {SLICE("client-api-version"), SLICE(ETCHED_API_VERSION)},
        {SLICE("token"), slice_str(token)},
    };

    rpc_client_set_metadata(client, metadata, token[0] ? 2 : 1);
}

/* False: v3->failure says why not. */
static bool authenticate(struct v3 *v3, struct rpc_client *client)
{
    Etcdserverpb__AuthenticateRequest request =
        ETCDSERVERPB__AUTHENTICATE_REQUEST__INIT;
    const Etcdserverpb__AuthenticateResponse *answer;
    struct v3_call call = {
        .method = "Auth/Authenticate",
        .request = &request.base,
        .answer = &etcdserverpb__authenticate_response__descriptor,
        .deadline_ms =
            rpc_client_now_ms() + pflags_number(&v3->flags, "dial-timeout"),
        .is_repeatable = true,
    };

    request.name = v3->user;
    request.password = v3->password;
    use_token(client, "");
    answer = v3_call_on(v3, client, &call);
    if (answer)
        use_token(client, answer->token);
    return answer != NULL;
}

/* A cluster that has it turned off takes everybody. */
static bool get_in(struct v3 *v3, struct rpc_client *client)
{
    bool good;

    v3->is_logging_in = true;
    good = authenticate(v3, client) ||
           strcmp(v3->failure, v3_error_text(V3_AUTH_NOT_ENABLED)) == 0;
    v3->is_logging_in = false;
    return good;
}

int v3_login(struct v3 *v3, struct rpc_client *client)
{
    const char *jwt = pflags_text(&v3->flags, "auth-jwt-token");

    if (jwt[0] && pflags_text(&v3->flags, "user")[0])
        return v3_fail(v3, V3_BAD_ARGUMENTS,
                       "--user and --auth-jwt-token say two things: give one "
                       "of them");
    if (jwt[0])
        use_token(client, jwt);
    if (pflags_text(&v3->flags, "user")[0] == '\0')
        return V3_DONE;
    find_user(v3);
    /* As etcdctl has it: then it is nobody, whom servers may take. */
    if (v3->user[0] == '\0' || v3->password[0] == '\0')
        return V3_DONE;
    return get_in(v3, client)
               ? V3_DONE
               : v3_fail(v3, V3_BAD_CONNECTION, "%s", v3->failure);
}

/* With or without "rpc error: code = Unauthenticated desc = " before it. */
static bool says(struct slice text, enum v3_error error)
{
    struct slice own = slice_str(v3_error_text(error));

    return text.size >= own.size &&
           slice_eq(slice_of(text.at + text.size - own.size, own.size), own);
}

bool v3_login_is_over(const struct v3 *v3, struct slice text)
{
    return v3->user && v3->password[0] && !v3->is_logging_in &&
           (says(text, V3_INVALID_AUTH_TOKEN) ||
            says(text, V3_AUTH_OLD_REVISION));
}

bool v3_login_again(struct v3 *v3, struct rpc_client *client)
{
    return get_in(v3, client);
}

bool v3_login_is_refused(const struct v3 *v3)
{
    return says(slice_str(v3->failure), V3_AUTH_FAILED);
}
