/* What the server has of the process it runs in: fewer rights than it started
 * with, the audit log, what its clients may have. */
#include "host/harden.h"
#include "host/server_int.h"

enum err server__open_process(struct server *server)
{
    const struct config *config = server->config;
    const struct limits_config limits = {
        .connections_max = (uint64_t)config->limit_connections,
        .requests_per_second = (uint64_t)config->limit_requests_per_second,
        .bytes_max = (uint64_t)config->limit_bytes_in_flight,
        .seed = server__random_seed(),
    };
    server->hosts = harden_hosts_new(config);
    server->limits = limits_new(&limits);
    return privileges_find(config->user, &server->privileges);
}

/* The audit log comes last: it has to be opened anew later on, by who the
 * process is then. */
enum err server__confine(struct server *server)
{
    const struct config *config = server->config;
    enum err err = harden_confine(config, &server->privileges);
    if (err == ERR_OK && config->audit_log[0] != '\0') {
        err = audit_log_open(config->audit_log, &server->audit);
    }
    return err;
}

static void put_metrics(void *context, struct buf *out)
{
    struct server *server = context;
    if (server->recipes != NULL) {
        recipes_metrics(server->recipes, out);
    }
    server__put_tls_metrics(server, out);
    audit_log_metrics(server->audit, out);
    limits_metrics(server->limits,
                   atomic_load_explicit(&server->shared.watchers_refused,
                                        memory_order_relaxed),
                   out);
}

void server__fill_process(struct server *server)
{
    struct api_shared *shared = &server->shared;
    shared->audit = audit_log_door(server->audit);
    shared->connection_watchers_max = (size_t)server->config->limit_watchers;
    shared->more_metrics = put_metrics;
    shared->more_metrics_context = server;
}

void server__close_process(struct server *server)
{
    audit_log_close(server->audit);
    limits_free(server->limits);
    harden_hosts_free(server->hosts);
}
