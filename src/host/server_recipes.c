/* The Recipes service beside the server: a client of it, by its own port. */
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/check.h"
#include "base/log.h"
#include "host/server_int.h"

/* A port of 0 was chosen by the system. */
static int port_of(int fd)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof(address);
    if (getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
        return 0;
    }
    if (address.ss_family == AF_INET6) {
        return ntohs(
            ((const struct sockaddr_in6 *)(const void *)&address)->sin6_port);
    }
    return ntohs(
        ((const struct sockaddr_in *)(const void *)&address)->sin_port);
}

/* How this machine reaches what listens there. */
static void write_endpoint(struct buf *out, const struct config_url *url,
                           int port)
{
    const char *host = url->host;
    if (strcmp(host, "localhost") == 0 || strcmp(host, "0.0.0.0") == 0) {
        host = "127.0.0.1";
    } else if (strcmp(host, "::") == 0) {
        host = "::1";
    }
    buf_printf(out, strchr(host, ':') != NULL ? "[%s]:%d" : "%s:%d", host,
               port);
    buf_append_char(out, '\0');
}

/* The server's own: the first address that can be dialed. False: none. */
static bool own_endpoint(const struct server *server, struct buf *out)
{
    const struct config_urls *urls = &server->config->listen_client_urls;
    CHECK_LE(urls->count, server->port_count);
    for (size_t i = 0; i < urls->count; i++) {
        if (!urls->at[i].is_unix && !urls->at[i].tls) {
            write_endpoint(out, &urls->at[i], port_of(server->ports[i].fd));
            return true;
        }
    }
    return false;
}

static enum err open_at(struct server *server, const char *const *endpoints,
                        size_t count, bool is_own)
{
    const struct recipes_config config = {
        .endpoints = endpoints,
        .endpoint_count = count,
        .is_own = is_own,
        .flags = server->config,
    };
    enum err err = recipes_new(&config, &server->recipes);
    if (err == ERR_OK) {
        server->shared.more_metrics = recipes_metrics;
        server->shared.more_metrics_context = server->recipes;
    }
    return err;
}

enum err server__open_recipes(struct server *server)
{
    const struct config *config = server->config;
    const struct config_list *endpoints = &config->recipes_endpoints;
    struct buf own = {0};
    enum err err = ERR_OK;
    const char *why_not = NULL;
    if (!config->recipes) {
        why_not = "the Recipes service is turned off here (--recipes=false)";
    } else if (endpoints->count > 0) {
        err = open_at(server, endpoints->at, endpoints->count, false);
    } else if (own_endpoint(server, &own)) {
        const char *endpoint = own.at;
        err = open_at(server, &endpoint, 1, true);
    } else {
        why_not = "the Recipes service is a client of this server, which "
                  "listens on no plain TCP address that it could use "
                  "(--recipes-endpoints names another)";
        log_warn("recipes", why_not);
    }
    server->recipes_why_not = mem_strdup(why_not != NULL ? why_not : "");
    buf_deinit(&own);
    return err;
}
