/* The Recipes service beside the server: a client of it, by a connection of the
 * process's own. */
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "host/server_int.h"

/* No port has seen it, so it needs neither TLS nor a password, and counts for
 * nobody's limits. On the thread of the service. */
static int connect_own(void *context)
{
    struct server *server = context;
    int pair[2];
    CHECK(server->io_count > 0);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
                   pair) != 0) {
        return -1;
    }
    atomic_fetch_add(&server->shared.stats[API_CONNECTIONS], 1);
    io_thread_adopt_own(server->io[0], pair[1]);
    return pair[0];
}

/* On the thread of the service. */
static bool may(void *context, struct slice user, enum runner_right right,
                struct slice key, struct slice end)
{
    static const struct slice ours = {"/_recipes/", 10};
    const struct server *server = context;
    const struct auth *auth = node_auth(server->node);
    struct lock *lock = node_lock(server->node);
    enum auth_access access = right == RUNNER_READ ? AUTH_READ : AUTH_WRITE;
    lock_read(lock);
    enum v3_error error = right == RUNNER_ADMIN ? auth_may_admin(auth, user)
                          : slice_has_prefix(key, ours)
                              ? auth_may_recipe(auth, user, access, key, end)
                              : auth_may(auth, user, access, key, end);
    unlock_read(lock);
    return error == V3_OK;
}

static enum err open_with(struct server *server,
                          const struct recipes_config *config)
{
    enum err err = recipes_new(config, &server->recipes);
    if (err == ERR_OK) {
        server->shared.more_metrics = recipes_metrics;
        server->shared.more_metrics_context = server->recipes;
    }
    return err;
}

enum err server__open_recipes(struct server *server)
{
    const struct config *flags = server->config;
    struct recipes_config config = {.flags = flags};
    enum err err = ERR_OK;
    const char *why_not = NULL;
    if (!flags->recipes) {
        why_not = "the Recipes service is turned off here (--recipes=false)";
    } else if (flags->recipes_endpoints.count > 0) {
        config.endpoints = flags->recipes_endpoints.at;
        config.endpoint_count = flags->recipes_endpoints.count;
        err = open_with(server, &config);
    } else {
        config.connect = connect_own;
        config.may = may;
        config.context = server;
        err = open_with(server, &config);
    }
    server->recipes_why_not = mem_strdup(why_not != NULL ? why_not : "");
    return err;
}
