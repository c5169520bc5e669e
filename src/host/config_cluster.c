/* How the member finds the others of its cluster: one of --initial-cluster,
 * --discovery, --discovery-srv and 0.4's --peers. What is wrong with a list
 * only as long as there is no data (a name that isn't in it, URLs that don't
 * match) is bootstrap's to say: a member that has data doesn't look at it. */
#include "host/config_int.h"

#include "base/check.h"

static const int64_t second_ns = 1000LL * 1000 * 1000;

enum { ACTIVE_SIZE_MIN = 3, REMOVE_DELAY_MIN_S = 2, SYNC_INTERVAL_MIN_S = 1 };

static enum err wrap(const struct config_loader *loader, const char *flag,
                     enum err err)
{
    if (!err) {
        return ERR_OK;
    }
    return err_wrap(
        err, "%s",
        config__place(loader, config__setting(loader, config__flag(flag))));
}

/* ---- --initial-cluster --------------------------------------------------- */

/* What other members are told isn't given: it is what the list says. */
static void take_urls(struct config *config)
{
    const struct config_cluster *cluster = &config->initial_cluster;
    struct config_url *urls =
        arena_alloc(&config->arena, (cluster->count + 1) * sizeof *urls);
    size_t count = 0;
    for (size_t i = 0; i < cluster->count; i++) {
        if (strcmp(cluster->at[i].name, config->name) == 0) {
            urls[count++] = cluster->at[i].url;
        }
    }
    if (count > 0) {
        config->initial_advertise_peer_urls =
            (struct config_urls){.at = urls, .count = count};
    }
}

static enum err resolve_given_cluster(struct config_loader *loader)
{
    struct config *config = loader->config;
    enum err err = config__parse_cluster(
        &config->arena, config__text(loader, "initial-cluster"),
        &config->initial_cluster);
    if (err) {
        return wrap(loader, "initial-cluster", err);
    }
    CHECK_LT(0, config->initial_cluster.count);
    if (!config__is_given(loader, "initial-advertise-peer-urls") &&
        !config__is_given(loader, "peer-addr")) {
        take_urls(config);
    }
    return ERR_OK;
}

static enum err resolve_initial_cluster(struct config_loader *loader)
{
    struct config *config = loader->config;
    config->initial_cluster_existing =
        strcmp(config__text(loader, "initial-cluster-state"), "existing") == 0;
    config->has_initial_cluster = config__is_given(loader, "initial-cluster");
    if (config->has_initial_cluster) {
        return resolve_given_cluster(loader);
    }
    const struct config_urls *urls = &config->initial_advertise_peer_urls;
    struct config_cluster *cluster = &config->initial_cluster;
    cluster->at =
        arena_alloc(&config->arena, urls->count * sizeof *cluster->at);
    cluster->count = urls->count;
    for (size_t i = 0; i < urls->count; i++) {
        cluster->at[i] =
            (struct config_peer){.name = config->name, .url = urls->at[i]};
    }
    return ERR_OK;
}

/* ---- 0.4's peers --------------------------------------------------------- */

enum { PEERS_MAX = 64, DEFAULT_PEER_PORT = 2380 };

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ',';
}

/* Addresses with commas, blanks or new lines between them; what stands behind
 * a # is for people. */
static enum err add_peers(struct config *config, struct slice text,
                          struct config_urls *out)
{
    size_t at = 0;
    while (at < text.size) {
        size_t begin = at;
        if (text.at[at] == '#') {
            while (at < text.size && text.at[at] != '\n') {
                at++;
            }
            continue;
        }
        while (at < text.size && !is_blank(text.at[at])) {
            at++;
        }
        if (at == begin) {
            at++;
            continue;
        }
        if (out->count == PEERS_MAX) {
            return err_set(ERR_TOO_LARGE, "more than %d peers", PEERS_MAX);
        }
        const char *address = arena_printf(&config->arena, "%.*s",
                                           (int)(at - begin), text.at + begin);
        enum err err =
            config__parse_address(&config->arena, address, NULL,
                                  DEFAULT_PEER_PORT, &out->at[out->count]);
        if (err) {
            return err;
        }
        out->count++;
    }
    return ERR_OK;
}

static enum err add_peers_of_file(struct config_loader *loader,
                                  struct config_urls *out)
{
    const struct config_input *input = loader->input;
    struct buf text = {0};
    enum err err =
        input->read(input->context, config__text(loader, "peers-file"), &text);
    if (!err) {
        err = add_peers(loader->config, buf_slice(&text), out);
    }
    buf_deinit(&text);
    return wrap(loader, "peers-file", err);
}

static enum err resolve_peers(struct config_loader *loader)
{
    struct config *config = loader->config;
    struct config_urls *peers = &config->peers;
    enum err err = ERR_OK;
    peers->at = arena_alloc(&config->arena, PEERS_MAX * sizeof *peers->at);
    if (config__is_given(loader, "peers")) {
        err = wrap(
            loader, "peers",
            add_peers(config, slice_str(config__text(loader, "peers")), peers));
    }
    if (!err && config__is_given(loader, "peers-file")) {
        err = add_peers_of_file(loader, peers);
    }
    for (size_t i = 0; i < peers->count && !err; i++) {
        if (peers->at[i].is_unix) {
            err = config__refuse(
                loader,
                config__is_given(loader, "peers") ? "peers" : "peers-file",
                ERR_UNSUPPORTED, "\"%.120s\": peers are HOST:PORT",
                peers->at[i].text);
        }
    }
    return err;
}

/* A number that is below what makes sense is raised, as 0.4 does. */
static void raise_to(struct config_loader *loader, const char *flag,
                     int64_t *value, int64_t least, int64_t unit)
{
    if (*value < least * unit) {
        config__warn(loader, "--%s is raised to %lld, the least that there is",
                     flag, (long long)least);
        *value = least * unit;
    }
}

static void resolve_sizes(struct config_loader *loader)
{
    struct config *config = loader->config;
    raise_to(loader, "cluster-active-size", &config->cluster_active_size,
             ACTIVE_SIZE_MIN, 1);
    raise_to(loader, "cluster-remove-delay", &config->cluster_remove_delay_ns,
             REMOVE_DELAY_MIN_S, second_ns);
    raise_to(loader, "cluster-sync-interval", &config->cluster_sync_interval_ns,
             SYNC_INTERVAL_MIN_S, second_ns);
}

/* ---- one way only -------------------------------------------------------- */

static enum err refuse_several_ways(const struct config_loader *loader)
{
    static const char *const ways[] = {"initial-cluster", "discovery",
                                       "discovery-srv", "peers", "peers-file"};
    const char *first = NULL;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        if (!config__is_given(loader, ways[i])) {
            continue;
        }
        bool both_are_peers = first && strcmp(first, "peers") == 0 &&
                              strcmp(ways[i], "peers-file") == 0;
        if (first && !both_are_peers) {
            return config__refuse(
                loader, ways[i], ERR_INVALID,
                "multiple discovery or bootstrap flags are set; choose one of "
                "this and %s",
                config__place(loader,
                              config__setting(loader, config__flag(first))));
        }
        first = first ? first : ways[i];
    }
    return ERR_OK;
}

static enum err check_discovery(const struct config_loader *loader)
{
    const struct config *config = loader->config;
    if (config__is_given(loader, "discovery-endpoints")) {
        return config__refuse(loader, "discovery-endpoints", ERR_UNSUPPORTED,
                              "v3 discovery comes with a later version, and to "
                              "run as a cluster of one instead would be wrong; "
                              "use --discovery, --discovery-srv or "
                              "--initial-cluster");
    }
    if (*config->discovery && config->initial_cluster_existing) {
        return config__refuse(loader, "discovery", ERR_INVALID,
                              "it is for a new cluster; to join one that "
                              "exists give --initial-cluster with its members");
    }
    if (*config->discovery && strncmp(config->discovery, "http://", 7) != 0 &&
        strncmp(config->discovery, "https://", 8) != 0) {
        return config__refuse(loader, "discovery", ERR_INVALID,
                              "\"%.120s\" is not a URL with http:// or "
                              "https://",
                              config->discovery);
    }
    return ERR_OK;
}

static void resolve_proxy(struct config_loader *loader)
{
    struct config *config = loader->config;
    const char *proxy = config__text(loader, "proxy");
    config->proxy = strcmp(proxy, "on") == 0         ? CONFIG_PROXY_ON
                    : strcmp(proxy, "readonly") == 0 ? CONFIG_PROXY_READONLY
                                                     : CONFIG_PROXY_OFF;
    config->discovery_fallback_proxy =
        strcmp(config__text(loader, "discovery-fallback"), "proxy") == 0;
}

enum err config__check_cluster(struct config_loader *loader)
{
    resolve_proxy(loader);
    resolve_sizes(loader);
    enum err err = refuse_several_ways(loader);
    if (!err) {
        err = resolve_initial_cluster(loader);
    }
    if (!err) {
        err = check_discovery(loader);
    }
    if (!err) {
        err = resolve_peers(loader);
    }
    return err;
}
