/* set, mk, update: write the value of a key. */
#include "cmd/etchctl/session.h"
#include "cmd/etchctl/url.h"

#define TTL_FLAG                                                    \
    {                                                               \
        .name = "ttl", .kind = FLAG_INT, .value = "seconds",        \
        .about = "the key expires after so many seconds (0: never)" \
    }

#define VALUE_ABOUT                                                            \
    "The value may begin with '-' (put '--' before it where it looks like a\n" \
    "flag). Without one it is read from stdin, as it is, line ends and all.\n"

static const struct flag_spec set_flags[] = {
    TTL_FLAG,
    {.name = "swap-with-value",
     .kind = FLAG_STRING,
     .value = "value",
     .about = "only if the key has this value now"},
    {.name = "swap-with-index",
     .kind = FLAG_INT,
     .value = "index",
     .about = "only if the key was last modified at this index"},
    {0},
};

static const struct flag_spec mk_flags[] = {
    {.name = "in-order",
     .about = "make a key in the directory <key>, numbered in order"},
    TTL_FLAG,
    {0},
};

static const struct flag_spec update_flags[] = {TTL_FLAG, {0}};

/* Connects, and fills in what the three have in common: key, value, TTL. */
static int prepare(struct session *session, struct keys_request *request)
{
    struct slice value;
    int code;

    request->key = session_word(session, 0);
    if (!request->key)
        return session_fail_text(session, EXIT_BAD_ARGUMENTS, "key required");
    if (!session_word_or_stdin(session, 1, &value))
        return session_fail_text(session, EXIT_BAD_ARGUMENTS, "value required");
    code = session_connect(session, true);
    if (code != EXIT_DONE)
        return code;
    request->has_form = true;
    keys_request_ttl(request, flags_number(&session->flags, "ttl"));
    url_append_field(&request->form, "value", value);
    return EXIT_DONE;
}

static int send(struct session *session, struct keys_request *request)
{
    struct v2_response response;

    if (!session_keys(session, request, session->arena, &response, NULL))
        return session_fail(session, EXIT_SERVER_ERROR);
    return session_print(session, &response);
}

static int run_set(struct session *session)
{
    struct keys_request request = {.method = "PUT"};
    const char *prev_value = flags_text(&session->flags, "swap-with-value");
    int64_t prev_index = flags_number(&session->flags, "swap-with-index");
    int code = prepare(session, &request);

    if (code != EXIT_DONE)
        return code;
    if (prev_index)
        url_append_number(&request.query, "prevIndex", (uint64_t)prev_index);
    if (prev_value[0])
        url_append_field(&request.query, "prevValue", slice_str(prev_value));
    return send(session, &request);
}

static int run_mk(struct session *session)
{
    struct keys_request request = {.method = "PUT"};
    int code = prepare(session, &request);

    if (code != EXIT_DONE)
        return code;
    if (flags_bool(&session->flags, "in-order")) {
        request.method = "POST";
    } else {
        url_append_field(&request.query, "prevExist", SLICE("false"));
        request.is_one_shot = true;
    }
    return send(session, &request);
}

static int run_update(struct session *session)
{
    struct keys_request request = {.method = "PUT"};
    int code = prepare(session, &request);

    if (code != EXIT_DONE)
        return code;
    url_append_field(&request.query, "prevExist", SLICE("true"));
    return send(session, &request);
}

const struct command command_set = {
    .name = "set",
    .family = "Keys",
    .arguments = "<key> <value>",
    .summary = "set the value of a key",
    .about = VALUE_ABOUT,
    .flags = set_flags,
    .is_dash_word = true,
    .run = run_set,
};

const struct command command_mk = {
    .name = "mk",
    .family = "Keys",
    .arguments = "<key> <value>",
    .summary = "make a new key; an error if it is there already",
    .about = VALUE_ABOUT,
    .flags = mk_flags,
    .is_dash_word = true,
    .run = run_mk,
};

const struct command command_update = {
    .name = "update",
    .family = "Keys",
    .arguments = "<key> <value>",
    .summary = "update a key; an error if it isn't there",
    .about = VALUE_ABOUT,
    .flags = update_flags,
    .is_dash_word = true,
    .run = run_update,
};
