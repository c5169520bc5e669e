/* ls: the keys of a directory. */
#include "cmd/etchctl/session.h"
#include "cmd/etchctl/url.h"

static const struct flag_spec flags[] = {
    {.name = "sort", .about = "return the result in sorted order"},
    {.name = "recursive",
     .letter = 'r',
     .about = "all that is below the path, and not only its children"},
    {.name = "p", .about = "a slash (/) after directories"},
    {.name = "quorum",
     .letter = 'q',
     .about = "ask a majority, so that no older state is seen"},
    {0},
};

static int run(struct session *session)
{
    const char *key = session_word(session, 0);
    struct keys_request request = {.method = "GET", .key = key ? key : "/"};
    struct v2_response response;
    struct buf text = {0};
    int code = session_connect(session, true);

    if (code != EXIT_DONE)
        return code;
    url_append_bool(&request.query, "quorum",
                    flags_bool(&session->flags, "quorum"));
    url_append_bool(&request.query, "recursive",
                    flags_bool(&session->flags, "recursive"));
    url_append_bool(&request.query, "sorted",
                    flags_bool(&session->flags, "sort"));
    if (!session_keys(session, &request, session->arena, &response, NULL))
        return session_fail(session, EXIT_SERVER_ERROR);
    if (session->settings.output != OUTPUT_SIMPLE)
        return session_print(session, &response);
    v2_listing_print(&response, flags_bool(&session->flags, "p"), &text);
    code = session_write(&text);
    buf_deinit(&text);
    return code;
}

const struct command command_ls = {
    .name = "ls",
    .family = "Keys",
    .arguments = "[key]",
    .summary = "list the keys of a directory",
    .about = "Without a key it lists the root. Keys that begin with '_' are\n"
             "hidden, as everywhere in the v2 API.\n",
    .flags = flags,
    .run = run,
};
