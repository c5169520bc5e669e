/* mkdir, setdir, updatedir: make a directory, or give it a TTL. */
#include "cmd/etchctl/session.h"
#include "cmd/etchctl/url.h"

static const struct flag_spec flags[] = {
    {.name = "ttl",
     .kind = FLAG_INT,
     .value = "seconds",
     .about = "the directory expires, with all that is in it, after so many "
              "seconds (0: never)"},
    {0},
};

/* `prev_exist`: NULL, "true" or "false". */
static int put_dir(struct session *session, const char *prev_exist)
{
    struct keys_request request = {.method = "PUT", .has_form = true};
    struct v2_response response;
    int code = session_connect_for_key(session, &request.key);

    if (code != EXIT_DONE)
        return code;
    url_append_field(&request.query, "dir", SLICE("true"));
    if (prev_exist)
        url_append_field(&request.query, "prevExist", slice_str(prev_exist));
    keys_request_ttl(&request, flags_number(&session->flags, "ttl"));
    request.is_one_shot = prev_exist && prev_exist[0] == 'f';
    if (!session_keys(session, &request, session->arena, &response, NULL))
        return session_fail(session, EXIT_SERVER_ERROR);
    if (session->settings.output == OUTPUT_SIMPLE)
        return EXIT_DONE;
    return session_print(session, &response);
}

static int run_mkdir(struct session *session)
{
    return put_dir(session, "false");
}

static int run_setdir(struct session *session)
{
    return put_dir(session, NULL);
}

static int run_updatedir(struct session *session)
{
    return put_dir(session, "true");
}

const struct command command_mkdir = {
    .name = "mkdir",
    .family = "Directories",
    .arguments = "<key>",
    .summary = "make a new directory; an error if it is there already",
    .flags = flags,
    .run = run_mkdir,
};

const struct command command_setdir = {
    .name = "setdir",
    .family = "Directories",
    .arguments = "<key>",
    .summary = "make a directory, or replace a key by one",
    .about = "A directory that is there already is an error: updatedir\n"
             "changes its TTL.\n",
    .flags = flags,
    .run = run_setdir,
};

const struct command command_updatedir = {
    .name = "updatedir",
    .family = "Directories",
    .arguments = "<key>",
    .summary = "change the TTL of a directory",
    .about = "Without --ttl the directory no longer expires.\n",
    .flags = flags,
    .run = run_updatedir,
};
