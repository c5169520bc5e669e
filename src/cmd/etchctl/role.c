/* role: add, get, list, remove, grant, revoke. */
#include <stdio.h>
#include <string.h>

#include "cmd/etchctl/auth_ask.h"
#include "doc/json_write.h"
#include "wire/form.h"

static const char path[] = "/v2/auth/roles";

static const char *only_name(struct session *session)
{
    if (session->words.count == 1)
        return session_word(session, 0);
    auth_fail("Please provide a role name");
    return NULL;
}

/* PUTs {"role":name,"permissions":none<more>}. */
static bool put(struct session *session, const char *name, struct slice more)
{
    struct buf json = {0};
    bool good;

    buf_append_str(&json, "{\"role\":");
    json_write_string(&json, slice_str(name));
    buf_append_str(&json,
                   ",\"permissions\":{\"kv\":{\"read\":null,\"write\":null}}");
    buf_append_slice(&json, more);
    buf_append_char(&json, '}');
    good = auth_ask(session, "PUT", path, name, buf_slice(&json), NULL);
    buf_deinit(&json);
    return good;
}

/* ---- add, remove -------------------------------------------------------- */

static int run_add(struct session *session)
{
    const char *name = only_name(session);
    int code;

    if (!name)
        return EXIT_BAD_ARGUMENTS;
    code = auth_connect(session);
    if (code != EXIT_DONE)
        return code;
    if (auth_is_there(session, path, name)) {
        fprintf(stderr, "Role %s already exists\n", name);
        return EXIT_BAD_ARGUMENTS;
    }
    return put(session, name, SLICE("")) ? auth_say("Role %s created", name)
                                         : EXIT_BAD_ARGUMENTS;
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
    return auth_say("Role %s removed", name);
}

static const struct command add = {
    .name = "add",
    .arguments = "<role>",
    .summary = "make a role",
    .run = run_add,
};
static const struct command remove_role = {
    .name = "remove",
    .arguments = "<role>",
    .summary = "remove a role",
    .run = run_remove,
};

/* ---- get, list ---------------------------------------------------------- */

static const struct doc_value *patterns_of(const struct doc_value *doc,
                                           const char *which)
{
    const struct doc_value *value = doc ? doc_get(doc, "permissions") : NULL;

    value = value ? doc_get(value, "kv") : NULL;
    return value ? doc_get(value, which) : NULL;
}

static void print_patterns(const struct doc_value *list, struct buf *text)
{
    for (size_t i = 0; list && i < list->count; i++)
        if (list->items[i]->kind == DOC_STRING)
            buf_printf(text, "\t%.*s\n", (int)list->items[i]->text.size,
                       list->items[i]->text.at);
}

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
    struct slice role = auth_text(doc, "role");
    buf_printf(&text, "Role: %.*s\nKV Read:\n", (int)role.size, role.at);
    print_patterns(patterns_of(doc, "read"), &text);
    buf_append_str(&text, "KV Write:\n");
    print_patterns(patterns_of(doc, "write"), &text);
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
    return auth_print_names(doc ? doc_get(doc, "roles") : NULL, "role");
}

static const struct command get = {
    .name = "get",
    .arguments = "<role>",
    .summary = "show what a role may do",
    .run = run_get,
};
static const struct command list = {
    .name = "list",
    .arguments = "",
    .summary = "list all roles",
    .run = run_list,
};

/* ---- grant, revoke ------------------------------------------------------ */

static const struct flag_spec access_flags[] = {
    {.name = "path",
     .kind = FLAG_STRING,
     .value = "pattern",
     .about = "the key; with a * at its end all that begin so"},
    {.name = "read", .about = "reading alone"},
    {.name = "write", .about = "writing alone"},
    {.name = "readwrite", .about = "both (--rw is the same)"},
    {.name = "rw", .is_hidden = true},
    {0},
};

/* As the server will look it up. False: it was said how to write it. */
static bool check_path(struct session *session, const char *text)
{
    size_t size = strlen(text);
    const char *rooted =
        arena_printf(session->arena, "%s%s", text[0] == '/' ? "" : "/", text);
    struct slice clean = path_clean(session->arena, slice_str(rooted));
    const char *slash = text[size - 1] == '/' && clean.size > 1 ? "/" : "";
    const char *good = arena_printf(session->arena, "%.*s%s", (int)clean.size,
                                    clean.at, slash);

    if (strcmp(good, text) == 0)
        return true;
    fprintf(stderr, "Not canonical path; please use `--path=%s`\n", good);
    return false;
}

/* ,"grant":{"kv":{"read":["/a"],"write":null}} */
static void write_access(struct buf *json, const char *what, const char *text,
                         bool reads, bool writes)
{
    buf_printf(json, ",\"%s\":{\"kv\":{\"read\":[", what);
    if (reads)
        json_write_string(json, slice_str(text));
    buf_append_str(json, "],\"write\":[");
    if (writes)
        json_write_string(json, slice_str(text));
    buf_append_str(json, "]}}");
}

static int change_access(struct session *session, const char *what)
{
    const struct flags *flags = &session->flags;
    const char *text = flags_text(flags, "path");
    bool reads = flags_bool(flags, "read");
    bool writes = flags_bool(flags, "write");
    bool both = flags_bool(flags, "readwrite") || flags_bool(flags, "rw");
    struct buf json = {0};
    const char *name;
    bool good;
    int code;

    if (text[0] == '\0')
        return auth_fail("No path specified; please use `--path`");
    if (!check_path(session, text))
        return EXIT_BAD_ARGUMENTS;
    if (reads + writes + both != 1)
        return auth_fail("Please specify exactly one of --read, --write or "
                         "--readwrite");
    name = only_name(session);
    if (!name)
        return EXIT_BAD_ARGUMENTS;
    code = auth_connect(session);
    if (code != EXIT_DONE)
        return code;
    if (!auth_ask(session, "GET", path, name, SLICE(""), NULL))
        return EXIT_BAD_ARGUMENTS;
    write_access(&json, what, text, reads || both, writes || both);
    good = put(session, name, buf_slice(&json));
    buf_deinit(&json);
    return good ? auth_say("Role %s updated", name) : EXIT_BAD_ARGUMENTS;
}

static int run_grant(struct session *session)
{
    return change_access(session, "grant");
}

static int run_revoke(struct session *session)
{
    return change_access(session, "revoke");
}

static const struct command grant = {
    .name = "grant",
    .arguments = "<role>",
    .summary = "let a role do something with keys",
    .flags = access_flags,
    .run = run_grant,
};
static const struct command revoke = {
    .name = "revoke",
    .arguments = "<role>",
    .summary = "take that away from a role",
    .flags = access_flags,
    .run = run_revoke,
};

static const struct command *const subcommands[] = {
    &add, &get, &list, &remove_role, &grant, &revoke, NULL,
};

const struct command command_role = {
    .name = "role",
    .family = "Users",
    .arguments = "<command>",
    .summary = "roles, and what they may do",
    .subcommands = subcommands,
};
