/* rm, rmdir: remove a key or a directory. */
#include "cmd/etchctl/session.h"
#include "cmd/etchctl/url.h"

static const struct flag_spec rm_flags[] = {
    {.name = "dir", .about = "remove an empty directory too"},
    {.name = "recursive",
     .letter = 'r',
     .about = "remove a directory with all that is in it"},
    {.name = "with-value",
     .kind = FLAG_STRING,
     .value = "value",
     .about = "only if the key has this value now"},
    {.name = "with-index",
     .kind = FLAG_INT,
     .value = "index",
     .about = "only if the key was last modified at this index"},
    {0},
};

static int send(struct session *session, struct keys_request *request)
{
    struct v2_response response;
    int code = session_connect_for_key(session, &request->key);

    if (code != EXIT_DONE) {
        keys_request_deinit(request);
        return code;
    }
    request->is_one_shot = true;
    if (!session_keys(session, request, session->arena, &response, NULL))
        return session_fail(session, EXIT_SERVER_ERROR);
    if (response.node->is_dir && session->settings.output == OUTPUT_SIMPLE)
        return EXIT_DONE;
    return session_print(session, &response);
}

static int run_rm(struct session *session)
{
    const struct flags *flags = &session->flags;
    struct keys_request request = {.method = "DELETE"};
    const char *prev_value = flags_text(flags, "with-value");
    int64_t prev_index = flags_number(flags, "with-index");

    if (flags_bool(flags, "dir"))
        url_append_field(&request.query, "dir", SLICE("true"));
    if (prev_index)
        url_append_number(&request.query, "prevIndex", (uint64_t)prev_index);
    if (prev_value[0])
        url_append_field(&request.query, "prevValue", slice_str(prev_value));
    if (flags_bool(flags, "recursive"))
        url_append_field(&request.query, "recursive", SLICE("true"));
    return send(session, &request);
}

static int run_rmdir(struct session *session)
{
    struct keys_request request = {.method = "DELETE"};

    url_append_field(&request.query, "dir", SLICE("true"));
    return send(session, &request);
}

const struct command command_rm = {
    .name = "rm",
    .family = "Keys",
    .arguments = "<key>",
    .summary = "remove a key, or a directory with --recursive",
    .flags = rm_flags,
    .run = run_rm,
};

const struct command command_rmdir = {
    .name = "rmdir",
    .family = "Directories",
    .arguments = "<key>",
    .summary = "remove a key, or a directory if it is empty",
    .run = run_rmdir,
};
