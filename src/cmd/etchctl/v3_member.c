/* member: list, add, remove, update, promote. */
#include <string.h>
#include <strings.h>

#include "cmd/etchctl/go_text.h"
#include "cmd/etchctl/v3_print.h"

/* ---- words -------------------------------------------------------------- */

static int parse_member(struct v3 *v3, uint64_t *out)
{
    if (v3->words.count != 1)
        return v3_fail(v3, V3_BAD_ARGUMENTS, "member ID is not provided");
    if (go_parse_uint(v3_word(v3, 0), 16, out) != ERR_OK)
        return v3_fail(v3, V3_BAD_ARGUMENTS,
                       "bad member ID arg (%s), expecting ID in Hex",
                       err_note());
    return V3_DONE;
}

/* Where a peer may be: a scheme, a host and a port, and no more. */
static int check_url(struct v3 *v3, const char *url)
{
    static const char *const schemes[] = {"http://", "https://", "unix://",
                                          "unixs://"};
    const char *host = NULL;
    const char *path;

    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
        if (strncasecmp(url, schemes[i], strlen(schemes[i])) == 0)
            host = url + strlen(schemes[i]);
    if (!host)
        return v3_fail(v3, V3_ERROR,
                       "URL scheme must be http, https, unix, or unixs: %s",
                       url);
    path = host + strcspn(host, "/");
    if (!memchr(host, ':', (size_t)(path - host)))
        return v3_fail(v3, V3_ERROR,
                       "URL address does not have the form \"host:port\": %s",
                       url);
    if (path[0])
        return v3_fail(v3, V3_ERROR, "URL must not contain a path: %s", url);
    return V3_DONE;
}

static int parse_urls(struct v3 *v3, char ***out, size_t *count)
{
    const char *text = pflags_text(&v3->flags, "peer-urls");

    if (text[0] == '\0')
        return v3_fail(v3, V3_BAD_ARGUMENTS, "member peer urls not provided");
    *out = arena_alloc(v3->arena, (strlen(text) + 1) * sizeof(**out));
    *count = 0;
    for (;;) {
        size_t size = strcspn(text, ",");
        char *url = arena_printf(v3->arena, "%.*s", (int)size, text);
        int code = check_url(v3, url);
        (*out)[(*count)++] = url;
        if (code != V3_DONE || text[size] == '\0')
            return code;
        text += size + 1;
    }
}

/* Connects, calls and prints. */
static int finish(struct v3 *v3, struct v3_call *call, uint64_t id,
                  const void **answer)
{
    struct v3_result result = {.id = id};
    int code = v3_connect(v3);

    call->deadline_ms = v3_deadline(v3);
    if (code != V3_DONE)
        return code;
    result.message = v3_call(v3, call);
    if (answer)
        *answer = result.message;
    if (!result.message)
        return v3_fail(v3, V3_ERROR, "%s", v3->failure);
    return v3_print(v3, &result);
}

/* ---- add ---------------------------------------------------------------- */

static const struct pflag_spec add_flags[] = {
    {"peer-urls", 0, PFLAG_STRING, NULL, "its peer URLs, separated by commas"},
    {"learner", 0, PFLAG_BOOL, NULL, "without a vote, until it is promoted"},
    {0},
};

/* What the new member must be started with. */
static int print_settings(const struct v3 *v3,
                          const Etcdserverpb__MemberAddResponse *answer)
{
    struct buf text = {0};
    const char *name = v3_word(v3, 0);
    bool is_first = true;

    buf_append_str(&text, "\nETCD_NAME=");
    go_quote(&text, slice_str(name));
    buf_append_str(&text, "\nETCD_INITIAL_CLUSTER=\"");
    for (size_t i = 0; i < answer->n_members; i++) {
        const Etcdserverpb__Member *member = answer->members[i];
        bool is_new = answer->member && member->id == answer->member->id;
        for (size_t j = 0; j < member->n_peerurls; j++) {
            buf_printf(&text, "%s%s=%s", is_first ? "" : ",",
                       is_new ? name : member->name, member->peerurls[j]);
            is_first = false;
        }
    }
    buf_append_str(&text, "\"\nETCD_INITIAL_ADVERTISE_PEER_URLS=");
    go_quote(&text, slice_str(pflags_text(&v3->flags, "peer-urls")));
    buf_append_str(&text, "\nETCD_INITIAL_CLUSTER_STATE=\"existing\"\n");
    return v3_write(&text);
}

static int fail_words(struct v3 *v3)
{
    struct buf text = {0};
    int code;

    buf_append_str(&text, "too many arguments");
    for (size_t i = 0; i < v3->words.count; i++)
        if (strncasecmp(v3_word(v3, i), "http", 4) == 0)
            buf_printf(&text, ", did you mean --peer-urls=%s", v3_word(v3, i));
    code = v3_fail(v3, V3_BAD_ARGUMENTS, "%.*s", (int)text.size, text.at);
    buf_deinit(&text);
    return code;
}

static int run_add(struct v3 *v3)
{
    Etcdserverpb__MemberAddRequest request =
        ETCDSERVERPB__MEMBER_ADD_REQUEST__INIT;
    struct v3_call call = {
        .method = "Cluster/MemberAdd",
        .request = &request.base,
        .answer = &etcdserverpb__member_add_response__descriptor,
    };
    const void *answer;
    int code;

    if (v3->words.count < 1)
        return v3_fail(v3, V3_BAD_ARGUMENTS, "member name not provided");
    if (v3->words.count > 1)
        return fail_words(v3);
    code = parse_urls(v3, &request.peerurls, &request.n_peerurls);
    if (code != V3_DONE)
        return code;
    request.islearner = pflags_bool(&v3->flags, "learner");
    code = finish(v3, &call, 0, &answer);
    if (code != V3_DONE || v3->format != V3_SIMPLE)
        return code;
    return print_settings(v3, answer);
}

static const struct v3_command add = {
    .name = "add",
    .arguments = "[flags] <memberName>",
    .summary = "adds a member",
    .about = "Prints what the new member must be started with.\n",
    .flags = add_flags,
    .run = run_add,
};

/* ---- remove ------------------------------------------------------------- */

static int run_remove(struct v3 *v3)
{
    Etcdserverpb__MemberRemoveRequest request =
        ETCDSERVERPB__MEMBER_REMOVE_REQUEST__INIT;
    struct v3_call call = {
        .method = "Cluster/MemberRemove",
        .request = &request.base,
        .answer = &etcdserverpb__member_remove_response__descriptor,
    };
    int code = parse_member(v3, &request.id);

    return code == V3_DONE ? finish(v3, &call, request.id, NULL) : code;
}

static const struct v3_command remove_member = {
    .name = "remove",
    .arguments = "<memberID>",
    .summary = "removes a member",
    .run = run_remove,
};

/* ---- update ------------------------------------------------------------- */

static const struct pflag_spec update_flags[] = {
    {"peer-urls", 0, PFLAG_STRING, NULL,
     "where it is now, separated by commas"},
    {0},
};

static int run_update(struct v3 *v3)
{
    Etcdserverpb__MemberUpdateRequest request =
        ETCDSERVERPB__MEMBER_UPDATE_REQUEST__INIT;
    struct v3_call call = {
        .method = "Cluster/MemberUpdate",
        .request = &request.base,
        .answer = &etcdserverpb__member_update_response__descriptor,
    };
    int code = parse_member(v3, &request.id);

    if (code == V3_DONE)
        code = parse_urls(v3, &request.peerurls, &request.n_peerurls);
    return code == V3_DONE ? finish(v3, &call, request.id, NULL) : code;
}

static const struct v3_command update = {
    .name = "update",
    .arguments = "[flags] <memberID>",
    .summary = "tells where a member is now",
    .flags = update_flags,
    .run = run_update,
};

/* ---- promote ------------------------------------------------------------ */

static int run_promote(struct v3 *v3)
{
    Etcdserverpb__MemberPromoteRequest request =
        ETCDSERVERPB__MEMBER_PROMOTE_REQUEST__INIT;
    struct v3_call call = {
        .method = "Cluster/MemberPromote",
        .request = &request.base,
        .answer = &etcdserverpb__member_promote_response__descriptor,
    };
    int code = parse_member(v3, &request.id);

    return code == V3_DONE ? finish(v3, &call, request.id, NULL) : code;
}

static const struct v3_command promote = {
    .name = "promote",
    .arguments = "<memberID>",
    .summary = "gives a learner its vote",
    .run = run_promote,
};

/* ---- list --------------------------------------------------------------- */

static const struct pflag_spec list_flags[] = {
    {"consistency", 0, PFLAG_STRING, "l",
     "l: what a majority knows; s: what the asked member knows"},
    {0},
};

static int run_list(struct v3 *v3)
{
    Etcdserverpb__MemberListRequest request =
        ETCDSERVERPB__MEMBER_LIST_REQUEST__INIT;
    struct v3_call call = {
        .method = "Cluster/MemberList",
        .request = &request.base,
        .answer = &etcdserverpb__member_list_response__descriptor,
        .is_repeatable = true,
    };
    const char *consistency = pflags_text(&v3->flags, "consistency");

    request.linearizable = strcmp(consistency, "l") == 0;
    if (!request.linearizable && strcmp(consistency, "s") != 0)
        return v3_fail(v3, V3_BAD_FEATURE, "unknown consistency flag \"%s\"",
                       consistency);
    return finish(v3, &call, 0, NULL);
}

static const struct v3_command list = {
    .name = "list",
    .arguments = "[flags]",
    .summary = "all members",
    .about = "In the format simple: ID, status, name, peer URLs, client URLs,\n"
             "whether it is a learner.\n",
    .flags = list_flags,
    .run = run_list,
};

static const struct v3_command *const subcommands[] = {
    &add, &list, &promote, &remove_member, &update, NULL,
};

const struct v3_command v3_command_member = {
    .name = "member",
    .arguments = "<command>",
    .summary = "the members of the cluster",
    .subcommands = subcommands,
};
