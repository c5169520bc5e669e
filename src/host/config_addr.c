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
};

static struct config_urls one_url(struct config *config, struct config_url url)
{
    struct config_urls urls = {.at = arena_alloc(&config->arena, sizeof url),
                               .count = 1};
    urls.at[0] = url;
    return urls;
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
            *side->advertise = one_url(config, url);
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
        if (err || !bind_source) {
            *side->listen = one_url(config, addr);
            return wrap(loader, side->addr_flag, err);
        }
    }
    struct config_url bind;
    enum err err = config__parse_address(&config->arena,
                                         config__text(loader, side->bind_flag),
                                         "0.0.0.0", addr.port, &bind);
    if (!err) {
        *side->listen = one_url(config, bind);
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
                             const struct side *side)
{
    const char *origin = listen_origin(loader, side);
    bool is_addr = origin == side->addr_flag;
    for (size_t i = 0; i < side->listen->count; i++) {
        const struct config_url *url = &side->listen->at[i];
        if (url->tls) {
            return config__refuse(loader, origin, ERR_UNSUPPORTED,
                                  "\"%.120s\": TLS comes with a later "
                                  "version; use http:// or unix://",
                                  url->text);
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
        err = check_listen(loader, side);
    }
    if (!err) {
        err = resolve_advertise(loader, side);
    }
    CHECK(err || (side->listen->count && side->advertise->count));
    return err;
}

/* One port can't be for clients and for peers. Port 0 is another each time. */
static enum err check_apart(const struct config_loader *loader,
                            const struct side *client, const struct side *peer)
{
    for (size_t i = 0; i < client->listen->count; i++) {
        const struct config_url *a = &client->listen->at[i];
        for (size_t j = 0; j < peer->listen->count; j++) {
            const struct config_url *b = &peer->listen->at[j];
            if (strcmp(a->text, b->text) == 0 && (a->is_unix || a->port != 0)) {
                return config__refuse(
                    loader, listen_origin(loader, peer), ERR_INVALID,
                    "\"%.120s\" is for clients already; peers need another",
                    b->text);
            }
        }
    }
    return ERR_OK;
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
    };
    const struct side peer = {
        .listen_flag = "listen-peer-urls",
        .advertise_flag = "initial-advertise-peer-urls",
        .bind_flag = "peer-bind-addr",
        .addr_flag = "peer-addr",
        .port = 2380,
        .listen = &config->listen_peer_urls,
        .advertise = &config->initial_advertise_peer_urls,
    };
    enum err err = resolve_side(loader, &client);
    if (!err) {
        err = resolve_side(loader, &peer);
    }
    if (!err) {
        err = check_apart(loader, &client, &peer);
    }
    return err;
}
