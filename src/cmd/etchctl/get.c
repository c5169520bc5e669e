/* get: the value of a key. */
#include <stdio.h>

#include "cmd/etchctl/session.h"
#include "cmd/etchctl/url.h"

static const struct flag_spec flags[] = {
    {.name = "sort", .about = "return the result in sorted order"},
    {.name = "quorum",
     .letter = 'q',
     .about = "ask a majority, so that no older value is seen"},
    {0},
};

static int run(struct session *session)
{
    struct keys_request request = {.method = "GET"};
    struct v2_response response;
    int code = session_connect_for_key(session, &request.key);

    if (code != EXIT_DONE)
        return code;
    url_append_bool(&request.query, "quorum",
                    flags_bool(&session->flags, "quorum"));
    url_append_bool(&request.query, "recursive", false);
    url_append_bool(&request.query, "sorted",
                    flags_bool(&session->flags, "sort"));
    if (!session_keys(session, &request, session->arena, &response, NULL))
        return session_fail(session, EXIT_SERVER_ERROR);
    if (response.node->is_dir) {
        fprintf(stderr, "%.*s: is a directory\n", (int)response.node->key.size,
                response.node->key.at);
        return EXIT_BAD_ARGUMENTS;
    }
    return session_print(session, &response);
}

const struct command command_get = {
    .name = "get",
    .family = "Keys",
    .arguments = "<key>",
    .summary = "retrieve the value of a key",
    .flags = flags,
    .run = run,
};
