/* member add, remove, update: in etcdctl's words. */
#include "cmd/etchctl/member_change.h"

#include <stdio.h>
#include <string.h>

#include "cmd/etchctl/member_list.h"
#include "cmd/etchctl/session.h"
#include "doc/doc.h"
#include "doc/json_write.h"

static int fail_text(const char *text)
{
    fprintf(stderr, "%s\n", text);
    return EXIT_BAD_ARGUMENTS;
}

/* What the server said in {"message":...}, or all of it. */
static struct slice message_of(struct session *session, struct slice body)
{
    struct doc_value *doc = NULL;
    const struct doc_value *message = NULL;

    if (doc_parse_json(session->arena, body, &doc_limits_default, &doc) ==
        ERR_OK)
        message = doc_get(doc, "message");
    return message && message->kind == DOC_STRING ? message->text : body;
}

static int fail_slice(struct slice text)
{
    fprintf(stderr, "%.*s\n", (int)text.size, text.at);
    return EXIT_BAD_ARGUMENTS;
}

static int connect_to_all(struct session *session)
{
    int code = session_connect(session, true);

    if (code == EXIT_DONE)
        session_start_deadline(session);
    return code;
}

/* {"peerURLs":["http://a","http://b"]} of "http://a,http://b" */
static struct slice urls_document(struct session *session, const char *urls)
{
    struct buf json = {0};
    struct slice rest = slice_str(urls);

    buf_append_str(&json, "{\"peerURLs\":[");
    for (;;) {
        ptrdiff_t comma = slice_find(rest, ',');
        size_t size = comma < 0 ? rest.size : (size_t)comma;
        json_write_string(&json, slice_of(rest.at, size));
        if (comma < 0)
            break;
        buf_append_char(&json, ',');
        rest = slice_of(rest.at + size + 1, rest.size - size - 1);
    }
    buf_append_str(&json, "]}");
    struct slice out =
        slice_of(arena_dup(session->arena, json.at, json.size), json.size);
    buf_deinit(&json);
    return out;
}

static bool get_members(struct session *session, struct member_list *members)
{
    struct slice body;

    return session_get(session, "/v2/members", &body) &&
           member_list_parse(session->arena, body, members);
}

/* ---- add ----------------------------------------------------------------- */

static void print_added(const char *name, const struct member *added,
                        const struct member_list *members, struct buf *text)
{
    bool first = true;

    buf_printf(text, "Added member named %s with ID %.*s to cluster\n\n", name,
               (int)added->id.size, added->id.at);
    buf_printf(text, "ETCD_NAME=\"%s\"\nETCD_INITIAL_CLUSTER=\"", name);
    for (size_t i = 0; i < members->count; i++) {
        const struct member *member = &members->at[i];
        struct slice its_name =
            slice_eq(member->id, added->id) ? slice_str(name) : member->name;
        for (size_t j = 0; j < member->peer_urls.count; j++) {
            buf_printf(text, "%s%.*s=%.*s", first ? "" : ",",
                       (int)its_name.size, its_name.at,
                       (int)member->peer_urls.at[j].size,
                       member->peer_urls.at[j].at);
            first = false;
        }
    }
    buf_append_str(text, "\"\nETCD_INITIAL_CLUSTER_STATE=\"existing\"\n");
}

static int run_add(struct session *session)
{
    struct member added;
    struct member_list members;
    struct slice body;
    struct buf text = {0};
    int status;

    if (session->words.count != 2)
        return fail_text("Provide a name and a single member peerURL");
    int code = connect_to_all(session);
    if (code != EXIT_DONE)
        return code;
    if (!session_send_json(session, "POST", "/v2/members",
                           urls_document(session, session_word(session, 1)),
                           &status, &body))
        return fail_slice(buf_slice(&session->failure.text));
    if (status != 201 || !member_parse(session->arena, body, &added))
        return fail_slice(message_of(session, body));
    if (!get_members(session, &members))
        return fail_slice(buf_slice(&session->failure.text));
    print_added(session_word(session, 0), &added, &members, &text);
    code = session_write(&text);
    buf_deinit(&text);
    return code;
}

/* ---- remove, update ------------------------------------------------------ */

static const char *path_of(struct session *session, struct slice id)
{
    return arena_printf(session->arena, "/v2/members/%.*s", (int)id.size,
                        id.at);
}

/* By its id or its name. */
static const struct member *find(const struct member_list *members,
                                 const char *wanted)
{
    for (size_t i = 0; i < members->count; i++)
        if (slice_eq(members->at[i].id, slice_str(wanted)) ||
            slice_eq(members->at[i].name, slice_str(wanted)))
            return &members->at[i];
    return NULL;
}

static int say(const char *before, struct slice id, const char *after)
{
    struct buf text = {0};

    buf_printf(&text, "%s%.*s%s\n", before, (int)id.size, id.at, after);
    int code = session_write(&text);
    buf_deinit(&text);
    return code;
}

static int fail_remove(struct slice id, struct slice why)
{
    fprintf(stderr, "Received an error trying to remove member %.*s: %.*s\n",
            (int)id.size, id.at, (int)why.size, why.at);
    return EXIT_BAD_ARGUMENTS;
}

static int run_remove(struct session *session)
{
    struct member_list members;
    struct slice body;
    int status;

    if (session->words.count != 1)
        return fail_text("Provide a single member ID");
    int code = connect_to_all(session);
    if (code != EXIT_DONE)
        return code;
    const char *wanted = session_word(session, 0);
    if (!get_members(session, &members))
        return fail_slice(buf_slice(&session->failure.text));
    const struct member *member = find(&members, wanted);
    if (!member) {
        fprintf(stderr,
                "Couldn't find a member in the cluster with an ID of %s.\n",
                wanted);
        return EXIT_BAD_ARGUMENTS;
    }
    if (!session_send_json(session, "DELETE", path_of(session, member->id),
                           SLICE(""), &status, &body))
        return fail_remove(member->id, buf_slice(&session->failure.text));
    if (status / 100 != 2)
        return fail_remove(member->id, message_of(session, body));
    return say("Removed member ", member->id, " from cluster");
}

static int run_update(struct session *session)
{
    struct slice body;
    int status;

    if (session->words.count != 2)
        return fail_text("Provide an ID and a list of comma separated peerURL "
                         "(0xabcd http://example.com,http://example1.com)");
    int code = connect_to_all(session);
    if (code != EXIT_DONE)
        return code;
    struct slice id = slice_str(session_word(session, 0));
    if (!session_send_json(session, "PUT", path_of(session, id),
                           urls_document(session, session_word(session, 1)),
                           &status, &body))
        return fail_slice(buf_slice(&session->failure.text));
    if (status / 100 != 2)
        return fail_slice(message_of(session, body));
    return say("Updated member with ID ", id, " in cluster");
}

const struct command command_member_add = {
    .name = "add",
    .arguments = "<name> <peerURL>",
    .summary = "add a member to the cluster",
    .run = run_add,
};
const struct command command_member_remove = {
    .name = "remove",
    .arguments = "<memberID>",
    .summary = "remove a member from the cluster",
    .run = run_remove,
};
const struct command command_member_update = {
    .name = "update",
    .arguments = "<memberID> <peerURLs>",
    .summary = "change the peer URLs of a member",
    .run = run_update,
};
