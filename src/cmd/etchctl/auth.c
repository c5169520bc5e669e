/* auth: enable, disable. */
#include "cmd/etchctl/auth_ask.h"

static int switch_to(struct session *session, const char *method,
                     const char *done)
{
    int code;

    if (session->words.count > 0)
        return auth_fail("No arguments accepted");
    code = auth_connect(session);
    if (code != EXIT_DONE)
        return code;
    if (!auth_ask(session, method, "/v2/auth/enable", NULL, SLICE(""), NULL))
        return EXIT_BAD_ARGUMENTS;
    return auth_say("%s", done);
}

static int run_enable(struct session *session)
{
    return switch_to(session, "PUT", "Authentication Enabled");
}

static int run_disable(struct session *session)
{
    return switch_to(session, "DELETE", "Authentication Disabled");
}

static const struct command enable = {
    .name = "enable",
    .arguments = "",
    .summary = "ask everybody who he is",
    .about = "There must be a user root. Whoever has no user has the role\n"
             "guest, which is made where there is none; it may do all with\n"
             "keys then.\n",
    .run = run_enable,
};
static const struct command disable = {
    .name = "disable",
    .arguments = "",
    .summary = "let everybody do everything",
    .run = run_disable,
};
static const struct command *const subcommands[] = {&enable, &disable, NULL};

const struct command command_auth = {
    .name = "auth",
    .family = "Users",
    .arguments = "<command>",
    .summary = "turn authentication on or off",
    .subcommands = subcommands,
};
