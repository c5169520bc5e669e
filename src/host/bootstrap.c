/* Which way a member finds its cluster, and the data that is there already. */
#include "host/bootstrap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "host/bootstrap_int.h"
#include "host/config_int.h"
#include "host/dns_srv.h"
#include "host/peers_tls.h"

const struct bootstrap_world bootstrap__world = {
    .ask_ms = 5000,
    .probe_ms = 250,
    .probe_total_ms = 500,
    .retry_ms = 500,
    .retry_max_ms = 10 * 1000,
    .give_up_ms = 60 * 1000,
    .wait_ms = 60 * 1000,
};

/* ---- data that is there -------------------------------------------------- */

static const char *log_folder(const struct config *config, struct arena *arena)
{
    return *config->wal_dir ? config->wal_dir
                            : arena_printf(arena, "%s/wal", config->data_dir);
}

static bool has_segment(const char *folder)
{
    bool found = false;
    DIR *dir = opendir(folder);
    if (!dir) {
        return false;
    }
    for (struct dirent *entry; !found && (entry = readdir(dir)) != NULL;) {
        size_t size = strlen(entry->d_name);
        found = size > 4 && strcmp(entry->d_name + size - 4, ".wal") == 0;
    }
    closedir(dir);
    return found;
}

/* node/ writes it, reads it again and says what is wrong with it. */
static bool read_identity(const char *path, struct bootstrap *out)
{
    char text[128] = "";
    char *at = text;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    ssize_t size = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (size <= 0 || strncmp(text, "cluster ", 8) != 0) {
        return false;
    }
    out->cluster_id = strtoull(text + 8, &at, 16);
    if (strncmp(at, "\nmember ", 8) != 0) {
        return false;
    }
    out->member_id = strtoull(at + 8, &at, 16);
    return *at == '\n' && out->cluster_id != 0 && out->member_id != 0;
}

/* A log is what makes data: without one, nothing was promised to anybody. */
bool bootstrap_has_data(const struct config *config)
{
    struct arena arena;
    if (config->force) {
        return false; /* it is removed, or was */
    }
    arena_init(&arena, 0);
    bool found = has_segment(log_folder(config, &arena));
    arena_deinit(&arena);
    return found;
}

/* The start before may have ended before it had written down who the members
 * are: they are told again, where the flags still make the same cluster. */
static void tell_members_again(const struct config *config, struct arena *arena,
                               struct bootstrap *out)
{
    if (config->initial_cluster_existing || *config->discovery ||
        *config->discovery_srv || config->peers.count > 0) {
        return;
    }
    struct bootstrap_list list =
        bootstrap__group(arena, &config->initial_cluster);
    if (bootstrap__assign_ids(&list, config->initial_cluster_token) ||
        bootstrap__cluster_id(&list) != out->cluster_id) {
        return;
    }
    bootstrap__fill(&list, arena, out);
}

static enum err use_data(const struct config *config, struct arena *arena,
                         struct bootstrap *out)
{
    const char *folder = log_folder(config, arena);
    if (!read_identity(arena_printf(arena, "%s/identity", folder), out)) {
        return err_set(ERR_CORRUPT,
                       "the log is there but not the file \"identity\" beside "
                       "it, or that is damaged: put the log's whole folder "
                       "(%.200s) back",
                       folder);
    }
    tell_members_again(config, arena, out);
    return ERR_OK;
}

/* ---- DNS ----------------------------------------------------------------- */

/* The name of a record's member: this one's where the URLs say so, else a
 * number, as with etcd: names aren't in DNS. */
static const char *name_of_record(const struct config *config,
                                  const struct config_url *url,
                                  struct arena *arena, int *number)
{
    const struct config_urls one = {.at = (struct config_url[]){*url},
                                    .count = 1};
    const struct config_urls *own = &config->initial_advertise_peer_urls;
    for (size_t i = 0; i < own->count; i++) {
        const struct config_urls mine = {.at = &own->at[i], .count = 1};
        if (bootstrap__same_urls(&one, &mine)) {
            return config->name;
        }
    }
    return arena_printf(arena, "%d", (*number)++);
}

struct records {
    struct dns_srv_record *at;
    size_t count;
};

static enum err ask_dns(struct bootstrap_run *run, const char *service,
                        struct records *out)
{
    const struct config *config = run->config;
    const char *suffix = config->discovery_srv_name;
    const char *name =
        arena_printf(run->arena, "_%s%s%s._tcp.%s", service, *suffix ? "-" : "",
                     suffix, config->discovery_srv);
    *out = (struct records){0};
    return dns_srv_lookup(name, run->world->dns, run->arena, &out->at,
                          &out->count);
}

static void add_records(struct bootstrap_run *run,
                        const struct records *records, bool is_tls, int *number,
                        struct config_cluster *out)
{
    for (size_t i = 0; i < records->count; i++) {
        const struct dns_srv_record *record = &records->at[i];
        struct config_peer *peer = &out->at[out->count++];
        peer->url =
            config__make_url(run->arena, is_tls, record->target, record->port);
        peer->name =
            name_of_record(run->config, &peer->url, run->arena, number);
        log_info("bootstrap", "found a member in DNS",
                 LOG_STR("name", peer->name), LOG_STR("url", peer->url.text));
    }
}

/* DNS can be forged: whoever does it has a certificate for a host of his own,
 * from an authority that all the world trusts. */
static enum err check_trust(const struct config *config,
                            const struct records *with_tls)
{
    struct peers_tls_files files = peers_tls_files(config);
    bool is_trusting = files.ca_file[0] == '\0' && !files.skip_verify;
    return with_tls->count > 0 && is_trusting
               ? err_set(ERR_INVALID,
                         "members with TLS (_etcd-server-ssl) need "
                         "--peer-trusted-ca-file: anybody may own a host that "
                         "DNS names")
               : ERR_OK;
}

/* Members with TLS have a service of their own; either may be missing. */
static enum err look_up(struct bootstrap_run *run, struct config_cluster *out)
{
    struct records with_tls;
    struct records plain;
    int number = 0;
    enum err tls_err = ask_dns(run, "etcd-server-ssl", &with_tls);
    if (tls_err != ERR_OK && tls_err != ERR_NOT_FOUND) {
        return tls_err;
    }
    enum err err = ask_dns(run, "etcd-server", &plain);
    if (err != ERR_OK && (err != ERR_NOT_FOUND || tls_err != ERR_OK)) {
        return err;
    }
    err = check_trust(run->config, &with_tls);
    if (err != ERR_OK) {
        return err;
    }
    size_t count = with_tls.count + plain.count;
    out->at = arena_alloc(run->arena, (count + 1) * sizeof(*out->at));
    out->count = 0;
    add_records(run, &with_tls, true, &number, out);
    add_records(run, &plain, false, &number, out);
    return ERR_OK;
}

static enum err find_by_dns(struct bootstrap_run *run,
                            struct config_cluster *out)
{
    int64_t until_ms = http_client_now_ms() + run->world->give_up_ms;
    for (int n = 1;; n++) {
        enum err err = look_up(run, out);
        if (err == ERR_OK || err == ERR_NOT_FOUND || err == ERR_INVALID ||
            http_client_now_ms() >= until_ms) {
            return err_wrap(err, "--discovery-srv");
        }
        log_warn("bootstrap", "DNS doesn't answer; asking again",
                 LOG_STR("why", err_note()));
        bootstrap__pause(run, n);
    }
}

/* ---- which way ----------------------------------------------------------- */

static enum err find_cluster(struct bootstrap_run *run, struct bootstrap *out)
{
    const struct config *config = run->config;
    struct config_cluster by_dns;
    if (*config->discovery) {
        return bootstrap__discover(run, out);
    }
    if (config->peers.count > 0) {
        return bootstrap__join_peers(run, out);
    }
    if (!*config->discovery_srv) {
        return bootstrap__start_static(run, &config->initial_cluster, out);
    }
    enum err err = find_by_dns(run, &by_dns);
    return err ? err : bootstrap__start_static(run, &by_dns, out);
}

static void close_run(struct bootstrap_run *run)
{
    http_client_response_deinit(&run->response);
    http_client_close(run->client);
}

enum err bootstrap__run(const struct config *config,
                        const struct bootstrap_world *world,
                        struct arena *arena, struct bootstrap *out)
{
    struct bootstrap_run run = {
        .config = config, .world = world, .arena = arena};
    *out = (struct bootstrap){0};
    if (bootstrap_has_data(config)) {
        return use_data(config, arena, out);
    }
    enum err err = find_cluster(&run, out);
    close_run(&run);
    CHECK(err || out->proxy_of || (out->cluster_id && out->member_id));
    return err;
}

enum err bootstrap_run(const struct config *config, struct arena *arena,
                       struct bootstrap *out)
{
    return bootstrap__run(config, &bootstrap__world, arena, out);
}

/* ---- for a proxy --------------------------------------------------------- */

static enum err find_urls(struct bootstrap_run *run, const char **urls)
{
    const struct config *config = run->config;
    struct config_cluster cluster = config->initial_cluster;
    if (*config->discovery) {
        return bootstrap__discovered_urls(run, urls);
    }
    if (config->peers.count > 0) {
        *urls = bootstrap__join(run->arena, &config->peers);
        return ERR_OK;
    }
    enum err err = *config->discovery_srv ? find_by_dns(run, &cluster) : ERR_OK;
    if (err) {
        return err;
    }
    struct config_urls all = {
        .at = arena_alloc(run->arena, (cluster.count + 1) * sizeof(*all.at)),
        .count = cluster.count};
    for (size_t i = 0; i < cluster.count; i++) {
        all.at[i] = cluster.at[i].url;
    }
    *urls = bootstrap__join(run->arena, &all);
    return ERR_OK;
}

enum err bootstrap_proxy_urls(const struct config *config, struct arena *arena,
                              const char **urls)
{
    struct bootstrap_run run = {
        .config = config, .world = &bootstrap__world, .arena = arena};
    enum err err = find_urls(&run, urls);
    close_run(&run);
    return err;
}
