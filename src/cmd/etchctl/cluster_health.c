/* cluster-health: ask every member how it is. */
#include <stdio.h>
#include <string.h>

#include "cmd/etchctl/member_list.h"
#include "cmd/etchctl/session.h"

enum { NEXT_CHECK_MS = 10 * 1000 };

static const struct flag_spec flags[] = {
    {.name = "forever",
     .letter = 'f',
     .about = "check every 10 seconds, until Ctrl-C"},
    {0},
};

/* One address of a member: 1 healthy, 0 not, -1 when it didn't say. */
static int ask(struct session *session, const struct member *member,
               struct slice url)
{
    struct http_client_response response = {0};
    char *address =
        arena_printf(session->arena, "%.*s/health", (int)url.size, url.at);
    struct http_client_request request = {
        .method = "GET",
        .url = address,
        .header_timeout_ms = session->settings.timeout_ms,
    };
    int health = -1;

    if (http_client_do(session->cluster.http, &request, &response) != ERR_OK)
        printf("failed to check the health of member %.*s on %.*s: Get "
               "\"%s\": %s\n",
               (int)member->id.size, member->id.at, (int)url.size, url.at,
               address, err_note());
    else
        health = health_parse(session->arena, buf_slice(&response.body));
    if (response.status && health < 0)
        printf("failed to check the health of member %.*s on %.*s: status %d, "
               "not a health report\n",
               (int)member->id.size, member->id.at, (int)url.size, url.at,
               response.status);
    http_client_response_deinit(&response);
    return health;
}

/* True when it is healthy: the first address that answers decides. */
static bool check_member(struct session *session, const struct member *member)
{
    const struct url_list *urls = &member->client_urls;
    struct buf text = {0};
    int health = -1;

    for (size_t i = 0; i < urls->count && health < 0; i++) {
        health = ask(session, member, urls->at[i]);
        if (health >= 0)
            printf("member %.*s is %s: got %s result from %.*s\n",
                   (int)member->id.size, member->id.at,
                   health ? "healthy" : "unhealthy",
                   health ? "healthy" : "unhealthy", (int)urls->at[i].size,
                   urls->at[i].at);
    }
    if (health < 0) {
        url_list_print(urls, " ", &text);
        buf_append_char(&text, '\0');
        if (urls->count == 0)
            printf("member %.*s is unreachable: no available published client "
                   "urls\n",
                   (int)member->id.size, member->id.at);
        else
            printf("member %.*s is unreachable: [%s] are all unreachable\n",
                   (int)member->id.size, member->id.at, text.at);
    }
    buf_deinit(&text);
    return health > 0;
}

/* True when all are healthy. */
static bool check_cluster(struct session *session,
                          const struct member_list *members)
{
    size_t healthy = 0;

    for (size_t i = 0; i < members->count; i++)
        if (check_member(session, &members->at[i]))
            healthy++;
    if (healthy == members->count)
        puts("cluster is healthy");
    else if (healthy > 0)
        puts("cluster is degraded");
    else
        puts("cluster is unavailable");
    fflush(stdout);
    return healthy == members->count;
}

static int run(struct session *session)
{
    bool forever = flags_bool(&session->flags, "forever");
    struct member_list members;
    struct slice body;
    int code;

    if (forever)
        session_catch_signals(session);
    code = session_connect(session, false);
    if (code != EXIT_DONE)
        return code;
    if (!session_get(session, "/v2/members", &body)) {
        puts("cluster may be unhealthy: failed to list members");
        return session_fail(session, EXIT_SERVER_ERROR);
    }
    if (!member_list_parse(session->arena, body, &members)) {
        puts("cluster may be unhealthy: failed to list members");
        return session_fail_text(session, EXIT_SERVER_ERROR,
                                 "no list of members");
    }
    for (;;) {
        bool healthy = check_cluster(session, &members);
        if (!forever)
            return healthy ? EXIT_DONE : EXIT_NOT_HEALTHY;
        printf("\nnext check after 10 second...\n\n");
        fflush(stdout);
        if (!http_client_wait(session->cluster.http, NEXT_CHECK_MS))
            return EXIT_DONE;
    }
}

const struct command command_cluster_health = {
    .name = "cluster-health",
    .family = "Cluster",
    .arguments = "",
    .summary = "ask every member how it is",
    .about =
        "The exit code is 0 when all members are healthy, 5 when one is not.\n",
    .flags = flags,
    .run = run,
};
