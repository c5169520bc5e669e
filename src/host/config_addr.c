/* The four lists of URLs. Each may come from 3.x's flag, from 0.4's, or from
 * another of the four; the source of the higher rank wins, and both forms in
 * one source contradict each other.
 *
 *                 3.x                            0.4               else
 *   listen        --listen-client-urls           --bind-addr       --addr
 *   advertise     --advertise-client-urls        --addr            listen
 *   listen        --listen-peer-urls             --peer-bind-addr  --peer-addr
 *   advertise     --initial-advertise-peer-urls  --peer-addr       listen
 *
 * 0.4's own default ports (4001, 7001) are not used. */
#include "host/config_int.h"

#include "base/check.h"

/* One side: the flags' names, and the two lists that come of them. */
struct side {
    const char *listen_flag;
    const char *advertise_flag;
    const char *bind_flag; /* 0.4's */
    const char *addr_flag;
    int port; /* when no port is given */
    struct config_urls *listen;
    struct config_urls *advertise;
    const struct config_tls *tls;
    const char *cert_flag;
    const char *key_flag;
    const char *auto_flag;
};

static bool has_certificate(const struct config_tls *tls)
{
    return tls->auto_tls || tls->cert_file[0] != '\0';
}

static struct config_urls one_url(struct config *config, struct config_url url)
{
    struct config_urls urls = {.at = arena_alloc(&config->arena, sizeof url),
                               .count = 1};
    urls.at[0] = url;
    return urls;
}

/* 0.4's HOST:PORT says nothing of TLS; as with 0.4, who gives a certificate
 * has it. */
static struct config_urls one_address(struct config *config,
                                      const struct side *side,
                                      struct config_url url)
{
    if (has_certificate(side->tls) && !url.is_unix) {
        url = config__make_url(&config->arena, true, url.host, url.port);
    }
    return one_url(config, url);
}

static enum err refuse_both(const struct config_loader *loader,
                            const char *flag, const char *other)
{
    int source = config__source(loader, flag);
    if (source == 0 || source != config__source(loader, other)) {
        return ERR_OK;
    }
    return config__refuse(
        loader, flag, ERR_INVALID,
        "give this or %s, not both; they say the same",
        config__place(loader, config__setting(loader, config__flag(other))));
}

/* Puts the place of `flag` in front of the note. */
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

/* ---- advertise --------------------------------------------------------- */

/* What listens on every address is told of as localhost, which is right for
 * this machine only. */
static struct config_url reachable(struct config_loader *loader,
                                   const struct side *side,
                                   struct config_url url)
{
    if (url.is_unix || !config__is_any_ip(url.host)) {
        return url;
    }
    struct config_url local = config__make_url(&loader->config->arena, url.tls,
                                               "localhost", url.port);
    if (strcmp(side->advertise_flag, "advertise-client-urls") == 0) {
        config__warn(loader,
                     "clients are told %s, since %s is every address of this "
                     "machine; give --%s where they come from elsewhere",
                     local.text, url.text, side->advertise_flag);
    }
    return local;
}

static enum err resolve_advertise(struct config_loader *loader,
                                  const struct side *side)
{
    struct config *config = loader->config;
    int urls_source = config__source(loader, side->advertise_flag);
    int addr_source = config__source(loader, side->addr_flag);
    if (urls_source > addr_source) {
        return ERR_OK; /* parsed already */
    }
    if (addr_source) {
        struct config_url url;
        enum err err = config__parse_address(
            &config->arena, config__text(loader, side->addr_flag), NULL,
            side->port, &url);
        if (!err) {
            *side->advertise = one_address(config, side, url);
        }
        return wrap(loader, side->addr_flag, err);
    }
    size_t count = side->listen->count;
    struct config_url *urls =
        arena_alloc(&config->arena, (count + 1) * sizeof *urls);
    for (size_t i = 0; i < count; i++) {
        urls[i] = reachable(loader, side, side->listen->at[i]);
    }
    *side->advertise = (struct config_urls){.at = urls, .count = count};
    return ERR_OK;
}

/* ---- listen ------------------------------------------------------------ */

static enum err resolve_listen(struct config_loader *loader,
                               const struct side *side)
{
    struct config *config = loader->config;
    int urls_source = config__source(loader, side->listen_flag);
    int bind_source = config__source(loader, side->bind_flag);
    bool has_addr = config__is_given(loader, side->addr_flag);
    if (urls_source > bind_source || (!bind_source && !has_addr)) {
        return ERR_OK; /* parsed already, or the default */
    }
    struct config_url addr = {.port = side->port};
    if (has_addr) {
        enum err err = config__parse_address(
            &config->arena, config__text(loader, side->addr_flag), NULL,
            side->port, &addr);
        if (err) {
            return wrap(loader, side->addr_flag, err);
        }
        if (!bind_source) {
            *side->listen = one_address(config, side, addr);
            return ERR_OK;
        }
    }
    struct config_url bind;
    enum err err = config__parse_address(&config->arena,
                                         config__text(loader, side->bind_flag),
                                         "0.0.0.0", addr.port, &bind);
    if (!err) {
        *side->listen = one_address(config, side, bind);
    }
    return wrap(loader, side->bind_flag, err);
}

/* The flag that the list came from, for messages. */
static const char *listen_origin(const struct config_loader *loader,
                                 const struct side *side)
{
    int bind_source = config__source(loader, side->bind_flag);
    if (config__source(loader, side->listen_flag) > bind_source) {
        return side->listen_flag;
    }
    if (bind_source) {
        return side->bind_flag;
    }
    return config__is_given(loader, side->addr_flag) ? side->addr_flag
                                                     : side->listen_flag;
}

static enum err check_listen(const struct config_loader *loader,
                             const struct side *side, const char *origin)
{
    bool is_addr = side->addr_flag != NULL && origin == side->addr_flag;
    for (size_t i = 0; i < side->listen->count; i++) {
        const struct config_url *url = &side->listen->at[i];
        if (url->tls && !has_certificate(side->tls)) {
            return config__refuse(loader, origin, ERR_INVALID,
                                  "\"%.120s\" needs --%s and --%s, or --%s",
                                  url->text, side->cert_flag, side->key_flag,
                                  side->auto_flag);
        }
        if (!url->is_unix && !config__is_ip(url->host) &&
            strcmp(url->host, "localhost") != 0) {
            return config__refuse(
                loader, origin, ERR_INVALID,
                "\"%.120s\" can't be listened on; an IP address or localhost "
                "is wanted%s%s%s",
                url->text, is_addr ? " (or give --" : "",
                is_addr ? side->bind_flag : "", is_addr ? " besides)" : "");
        }
        for (size_t j = 0; j < i; j++) {
            if (strcmp(side->listen->at[j].text, url->text) == 0) {
                return config__refuse(loader, origin, ERR_INVALID,
                                      "\"%.120s\" is there twice", url->text);
            }
        }
    }
    return ERR_OK;
}

static enum err resolve_side(struct config_loader *loader,
                             const struct side *side)
{
    enum err err = refuse_both(loader, side->listen_flag, side->bind_flag);
    if (!err) {
        err = refuse_both(loader, side->advertise_flag, side->addr_flag);
    }
    if (!err) {
        err = resolve_listen(loader, side);
    }
    if (!err) {
        err = check_listen(loader, side, listen_origin(loader, side));
    }
    if (!err) {
        err = resolve_advertise(loader, side);
    }
    CHECK(err || (side->listen->count && side->advertise->count));
    return err;
}

/* One port can't be for two things. Port 0 is another each time. */
static enum err check_apart(const struct config_loader *loader,
                            const struct config_urls *client, const char *flag,
                            const struct config_urls *other, const char *who)
{
    for (size_t i = 0; i < client->count; i++) {
        const struct config_url *a = &client->at[i];
        for (size_t j = 0; j < other->count; j++) {
            const struct config_url *b = &other->at[j];
            bool same = a->is_unix == b->is_unix &&
                        strcmp(a->host, b->host) == 0 &&
                        (a->is_unix || (a->port == b->port && a->port != 0));
            if (same) {
                return config__refuse(
                    loader, flag, ERR_INVALID,
                    "\"%.120s\" is for clients already; %s need another",
                    b->text, who);
            }
        }
    }
    return ERR_OK;
}

/* Other ports of the client's side have all that its own has, its TLS too. */
static enum err check_more(const struct config_loader *loader,
                           const struct side *client, const char *flag,
                           struct config_urls *urls, const char *who)
{
    struct side side = *client;
    side.listen = urls;
    side.addr_flag = NULL;
    enum err err = check_listen(loader, &side, flag);
    return err ? err : check_apart(loader, client->listen, flag, urls, who);
}

static bool any_tls(const struct config_urls *urls)
{
    for (size_t i = 0; i < urls->count; i++) {
        if (urls->at[i].tls) {
            return true;
        }
    }
    return false;
}

static void warn_unused(struct config_loader *loader, const struct side *side,
                        bool others_use_it)
{
    if (has_certificate(side->tls) && !any_tls(side->listen) &&
        !others_use_it) {
        config__warn(loader,
                     "a certificate is given, but no URL of --%s is https: "
                     "what is sent there can be read on the way",
                     side->listen_flag);
    }
}

enum err config__resolve_addresses(struct config_loader *loader)
{
    struct config *config = loader->config;
    const struct side client = {
        .listen_flag = "listen-client-urls",
        .advertise_flag = "advertise-client-urls",
        .bind_flag = "bind-addr",
        .addr_flag = "addr",
        .port = 2379,
        .listen = &config->listen_client_urls,
        .advertise = &config->advertise_client_urls,
        .tls = &config->client_tls,
        .cert_flag = "cert-file",
        .key_flag = "key-file",
        .auto_flag = "auto-tls",
    };
    const struct side peer = {
        .listen_flag = "listen-peer-urls",
        .advertise_flag = "initial-advertise-peer-urls",
        .bind_flag = "peer-bind-addr",
        .addr_flag = "peer-addr",
        .port = 2380,
        .listen = &config->listen_peer_urls,
        .advertise = &config->initial_advertise_peer_urls,
        .tls = &config->peer_tls,
        .cert_flag = "peer-cert-file",
        .key_flag = "peer-key-file",
        .auto_flag = "peer-auto-tls",
    };
    enum err err = resolve_side(loader, &client);
    if (!err) {
        err = resolve_side(loader, &peer);
    }
    if (!err) {
        err = check_apart(loader, client.listen, listen_origin(loader, &peer),
                          peer.listen, "peers");
    }
    if (!err) {
        err = check_more(loader, &client, "listen-metrics-urls",
                         &config->listen_metrics_urls, "metrics");
    }
    if (!err) {
        err = check_more(loader, &client, "listen-client-http-urls",
                         &config->listen_client_http_urls, "others");
    }
    if (!err) {
        warn_unused(loader, &client,
                    any_tls(&config->listen_metrics_urls) ||
                        any_tls(&config->listen_client_http_urls));
        warn_unused(loader, &peer, false);
    }
    return err;
}
