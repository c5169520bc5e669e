/* user: add, get, list, remove, grant, revoke, passwd. */
#include <string.h>

#include "cmd/etchctl/auth_ask.h"
#include "cmd/etchctl/password.h"
#include "doc/json_write.h"

static const char path[] = "/v2/auth/users";

/* The only word; NULL: it was said that there must be one. */
static const char *only_name(struct session *session)
{
    if (session->words.count == 1)
        return session_word(session, 0);
    auth_fail("Please provide a username");
    return NULL;
}

/* ---- requests ----------------------------------------------------------- */

/* PUTs {"user":name,<more>}. */
static bool put(struct session *session, const char *name, struct slice more)
{
    struct buf json = {0};
    bool good;

    buf_append_str(&json, "{\"user\":");
    json_write_string(&json, slice_str(name));
    buf_append_char(&json, ',');
    buf_append_slice(&json, more);
    buf_append_char(&json, '}');
    good = auth_ask(session, "PUT", path, name, buf_slice(&json), NULL);
    explicit_bzero(json.at, json.size);
    buf_deinit(&json);
    return good;
}

static bool put_password(struct session *session, const char *name,
                         const char *password)
{
    struct buf json = {0};
    bool good;

    buf_append_str(&json, "\"password\":");
    json_write_string(&json, slice_str(password));
    buf_append_str(&json, ",\"roles\":null");
    good = put(session, name, buf_slice(&json));
    explicit_bzero(json.at, json.size);
    buf_deinit(&json);
    return good;
}

/* ---- add, passwd -------------------------------------------------------- */

/* "name:password", or "name", and it is asked for. */
static int run_add(struct session *session)
{
    const char *word = only_name(session);
    const char *colon = word ? strchr(word, ':') : NULL;
    const char *name = word;
    char *asked = NULL;
    bool good;
    int code;

    if (!word)
        return EXIT_BAD_ARGUMENTS;
    code = auth_connect(session);
    if (code != EXIT_DONE)
        return code;
    if (colon)
        name = arena_printf(session->arena, "%.*s", (int)(colon - word), word);
    else
        asked = password_ask("New password: ");
    /* The time of typing doesn't count. */
    session_start_deadline(session);
    good = put_password(session, name, colon ? colon + 1 : asked);
    password_free(asked);
    return good ? auth_say("User %s created", name) : EXIT_BAD_ARGUMENTS;
}

static int run_password(struct session *session)
{
    const char *name = only_name(session);
    char *asked;
    bool good;
    int code;

    if (!name)
        return EXIT_BAD_ARGUMENTS;
    code = auth_connect(session);
    if (code != EXIT_DONE)
        return code;
    asked = password_ask("New password: ");
    session_start_deadline(session);
    good = put_password(session, name, asked);
    password_free(asked);
    return good ? auth_say("Password updated") : EXIT_BAD_ARGUMENTS;
}

static const struct command add = {
    .name = "add",
    .arguments = "<user>",
    .summary = "make a user",
    .about = "Its password may stand behind its name: name:password.\n",
    .run = run_add,
};
static const struct command passwd = {
    .name = "passwd",
    .arguments = "<user>",
    .summary = "give a user another password",
    .run = run_password,
};

/* ---- get, list, remove -------------------------------------------------- */

static int run_get(struct session *session)
{
    const char *name = only_name(session);
    struct doc_value *doc;
    struct buf text = {0};
    int code;

    if (!name)
        return EXIT_BAD_ARGUMENTS;
    code = auth_connect(session);
    if (code != EXIT_DONE)
        return code;
    if (!auth_ask(session, "GET", path, name, SLICE(""), &doc))
        return EXIT_BAD_ARGUMENTS;
    struct slice user = auth_text(doc, "user");
    const struct doc_value *roles = doc ? doc_get(doc, "roles") : NULL;
    buf_printf(&text, "User: %.*s\nRoles: ", (int)user.size, user.at);
    /* etcdctl's list of them begins with an empty one. */
    for (size_t i = 0; roles && i < roles->count; i++) {
        struct slice role = auth_text(roles->items[i], "role");
        buf_printf(&text, " %.*s", (int)role.size, role.at);
    }
    buf_append_char(&text, '\n');
    code = session_write(&text);
    buf_deinit(&text);
    return code;
}

static int run_list(struct session *session)
{
    struct doc_value *doc;
    int code;

    if (session->words.count > 0)
        return auth_fail("No arguments accepted");
    code = auth_connect(session);
    if (code != EXIT_DONE)
        return code;
    if (!auth_ask(session, "GET", path, NULL, SLICE(""), &doc))
        return EXIT_BAD_ARGUMENTS;
    return auth_print_names(doc ? doc_get(doc, "users") : NULL, "user");
}

static int run_remove(struct session *session)
{
    const char *name = only_name(session);
    int code;

    if (!name)
        return EXIT_BAD_ARGUMENTS;
    code = auth_connect(session);
    if (code != EXIT_DONE)
        return code;
    if (!auth_ask(session, "DELETE", path, name, SLICE(""), NULL))
        return EXIT_BAD_ARGUMENTS;
    return auth_say("User %s removed", name);
}

static const struct command get = {
    .name = "get",
    .arguments = "<user>",
    .summary = "show which roles a user has",
    .run = run_get,
};
static const struct command list = {
    .name = "list",
    .arguments = "",
    .summary = "list all users",
    .run = run_list,
};
static const struct command remove_user = {
    .name = "remove",
    .arguments = "<user>",
    .summary = "remove a user",
    .run = run_remove,
};

/* ---- grant, revoke ------------------------------------------------------ */

static const struct flag_spec role_flags[] = {
    {.name = "roles",
     .kind = FLAG_STRING,
     .value = "names",
     .about = "the roles, separated by commas"},
    {0},
};

/* "roles":null,"grant":["a","b"] */
static void write_roles(struct buf *json, const char *what, const char *roles)
{
    bool is_first = true;

    buf_printf(json, "\"roles\":null,\"%s\":[", what);
    while (*roles) {
        size_t size = strcspn(roles, ",");
        if (!is_first)
            buf_append_char(json, ',');
        is_first = false;
        json_write_string(json, slice_of(roles, size));
        roles += size + (roles[size] == ',');
    }
    buf_append_char(json, ']');
}

static int change_roles(struct session *session, const char *what)
{
    const char *roles = flags_text(&session->flags, "roles");
    const char *name;
    struct buf json = {0};
    bool good;
    int code;

    if (roles[0] == '\0')
        return auth_fail("No roles specified; please use `--roles`");
    name = only_name(session);
    if (!name)
        return EXIT_BAD_ARGUMENTS;
    code = auth_connect(session);
    if (code != EXIT_DONE)
        return code;
    write_roles(&json, what, roles);
    good = put(session, name, buf_slice(&json));
    buf_deinit(&json);
    return good ? auth_say("User %s updated", name) : EXIT_BAD_ARGUMENTS;
}

static int run_grant(struct session *session)
{
    return change_roles(session, "grant");
}

static int run_revoke(struct session *session)
{
    return change_roles(session, "revoke");
}

static const struct command grant = {
    .name = "grant",
    .arguments = "<user>",
    .summary = "give a user roles",
    .flags = role_flags,
    .run = run_grant,
};
static const struct command revoke = {
    .name = "revoke",
    .arguments = "<user>",
    .summary = "take roles away from a user",
    .flags = role_flags,
    .run = run_revoke,
};

static const struct command *const subcommands[] = {
    &add, &get, &list, &remove_user, &grant, &revoke, &passwd, NULL,
};

const struct command command_user = {
    .name = "user",
    .family = "Users",
    .arguments = "<command>",
    .summary = "users and their roles",
    .subcommands = subcommands,
};
