/* member: the members of the cluster. */
#include <stdio.h>

#include "cmd/etchctl/member_change.h"
#include "cmd/etchctl/member_list.h"
#include "cmd/etchctl/session.h"

static int fail_plain(const struct session *session, const char *before)
{
    const struct failure *failure = &session->failure;

    fprintf(stderr, "%s%.*s\n", before, (int)failure->text.size,
            failure->text.at);
    return EXIT_BAD_ARGUMENTS;
}

static int print_members(const struct member_list *members,
                         struct slice leader_id)
{
    struct buf text = {0};
    int code;

    for (size_t i = 0; i < members->count; i++)
        member_print(&members->at[i], leader_id, &text);
    code = session_write(&text);
    buf_deinit(&text);
    return code;
}

static int run_list(struct session *session)
{
    struct member_list members;
    struct member leader;
    struct slice body;
    int code;

    if (session->words.count > 0) {
        fputs("No arguments accepted\n", stderr);
        return EXIT_BAD_ARGUMENTS;
    }
    code = session_connect(session, true);
    if (code != EXIT_DONE)
        return code;
    session_start_deadline(session);
    if (!session_get(session, "/v2/members", &body))
        return fail_plain(session, "");
    if (!member_list_parse(session->arena, body, &members)) {
        fputs("the answer is no list of members\n", stderr);
        return EXIT_BAD_ARGUMENTS;
    }
    if (!session_get(session, "/v2/members/leader", &body))
        return fail_plain(session, "Failed to get leader:  ");
    if (!member_parse(session->arena, body, &leader)) {
        fputs("Failed to get leader:  the answer is no member\n", stderr);
        return EXIT_BAD_ARGUMENTS;
    }
    return print_members(&members, leader.id);
}

static const struct command list = {
    .name = "list",
    .arguments = "",
    .summary = "list the members of the cluster",
    .run = run_list,
};
static const struct command *const subcommands[] = {
    &list, &command_member_add, &command_member_remove, &command_member_update,
    NULL};

const struct command command_member = {
    .name = "member",
    .family = "Cluster",
    .arguments = "<command>",
    .summary = "list, add, remove and change the members of the cluster",
    .subcommands = subcommands,
};
