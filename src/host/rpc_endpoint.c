/* How endpoints are written, and the TLS that they want. */
#include <string.h>
#include <sys/un.h>

#include "base/check.h"
#include "host/rpc_client_int.h"

struct scheme {
    const char *name;
    bool is_tls;
    bool is_path;
};

static const struct scheme schemes[] = {
    {"http", false, false},
    {"https", true, false},
    {"unix", false, true},
    {"unixs", true, true},
};

/* *out NULL: it has none. */
static enum err strip_scheme(struct slice *text, const struct scheme **out)
{
    const struct slice separator = SLICE("://");
    const char *at = memmem(text->at, text->size, separator.at, separator.size);
    *out = NULL;
    if (at == NULL)
        return ERR_OK;
    struct slice name = slice_of(text->at, (size_t)(at - text->at));
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (slice_eq(name, slice_str(schemes[i].name)))
            *out = &schemes[i];
    if (*out == NULL)
        return err_set(ERR_UNSUPPORTED, "%.*s:// isn't supported",
                       (int)name.size, name.at);
    text->at += name.size + separator.size;
    text->size -= name.size + separator.size;
    return ERR_OK;
}

static struct slice trim(struct slice text)
{
    while (text.size > 0 && text.at[0] == ' ')
        text = slice_of(text.at + 1, text.size - 1);
    while (text.size > 0 && text.at[text.size - 1] == ' ')
        text.size--;
    return text;
}

static char *keep(struct arena *arena, struct slice text)
{
    return arena_printf(arena, "%.*s", (int)text.size, text.at);
}

/* The colon before the port: the last one, but none within brackets. */
static enum err split(struct slice text, struct slice *host, struct slice *port)
{
    const char *colon = text.size > 0 ? memrchr(text.at, ':', text.size) : NULL;
    if (colon == NULL ||
        memchr(colon, ']', (size_t)(text.at + text.size - colon)) != NULL)
        return err_set(ERR_INVALID, "missing port in address");
    *host = slice_of(text.at, (size_t)(colon - text.at));
    *port = slice_of(colon + 1, text.size - host->size - 1);
    if (host->size >= 2 && host->at[0] == '[' &&
        host->at[host->size - 1] == ']')
        *host = slice_of(host->at + 1, host->size - 2);
    else if (slice_find(*host, ':') >= 0)
        return err_set(ERR_INVALID, "too many colons in address");
    return port->size > 0 ? ERR_OK
                          : err_set(ERR_INVALID, "missing port in address");
}

static enum err parse_address(struct arena *arena, struct slice text,
                              struct rpc_endpoint *out)
{
    struct slice host = {0};
    struct slice port = {0};
    ptrdiff_t slash = slice_find(text, '/');
    if (slash >= 0)
        text.size = (size_t)slash;
    enum err err = split(text, &host, &port);
    if (err != ERR_OK)
        return err;
    out->text = out->authority = keep(arena, text);
    out->host = keep(arena, host);
    out->port = keep(arena, port);
    return ERR_OK;
}

/* A path is no name of a host: it is this machine's. */
static enum err parse_path(struct arena *arena, struct slice text,
                           struct rpc_endpoint *out)
{
    struct sockaddr_un address;
    if (text.size == 0 || text.size >= sizeof address.sun_path)
        return err_set(ERR_INVALID, text.size == 0
                                        ? "the socket's path is missing"
                                        : "the socket's path is too long");
    out->text = out->path = keep(arena, text);
    out->host = out->authority = keep(arena, SLICE("localhost"));
    return ERR_OK;
}

enum err rpc_client__parse_endpoint(struct arena *arena, const char *text,
                                    struct rpc_endpoint *out)
{
    struct slice rest = trim(slice_str(text));
    const struct scheme *scheme;
    *out = (struct rpc_endpoint){0};
    enum err err = strip_scheme(&rest, &scheme);
    if (err == ERR_OK) {
        out->has_scheme = scheme != NULL;
        out->is_tls = scheme != NULL && scheme->is_tls;
        err = scheme != NULL && scheme->is_path
                  ? parse_path(arena, rest, out)
                  : parse_address(arena, rest, out);
    }
    return err != ERR_OK ? err_wrap(err, "endpoint \"%s\"", text) : ERR_OK;
}

enum err rpc_client__open_tls(struct rpc_client *client,
                              const struct rpc_client_tls *options)
{
    static const char *const alpn[] = {"h2"};
    const struct tls_options wanted = {
        .side = TLS_CLIENT,
        .cert_file = options->cert_file,
        .key_file = options->key_file,
        .ca_file = options->ca_file,
        .skip_verify = options->skip_verify,
        .alpn = alpn,
        .alpn_count = 1,
    };
    const char *name = options->server_name;
    bool is_needed = false;
    client->server_name =
        arena_printf(&client->arena, "%s", name != NULL ? name : "");
    for (size_t i = 0; i < client->endpoint_count; i++) {
        struct rpc_endpoint *endpoint = &client->endpoints[i];
        endpoint->is_tls |= !endpoint->has_scheme && options->is_default;
        is_needed |= endpoint->is_tls;
    }
    CHECK(client->tls_context == NULL);
    return is_needed ? tls_context_new(&wanted, &client->tls_context) : ERR_OK;
}
