/* URLs as etcd takes them: scheme://host:port and nothing behind it, or
 * unix://path; 0.4's host:port; and lists of them. */
#include "host/config_int.h"

#include <arpa/inet.h>

#include "base/check.h"

enum { HOST_BYTES_MAX = 253 }; /* of a name (RFC 1035, 2.3.4) */

static bool parses_as(int family, const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];
    return inet_pton(family, host, address) == 1;
}

bool config__is_ip(const char *host)
{
    char address[INET6_ADDRSTRLEN];
    const char *zone = strchr(host, '%');
    size_t size = zone ? (size_t)(zone - host) : strlen(host);
    if (size >= sizeof address) {
        return false;
    }
    memcpy(address, host, size);
    address[size] = '\0';
    return parses_as(AF_INET6, address) ||
           (!zone && parses_as(AF_INET, address));
}

bool config__is_any_ip(const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];
    if (inet_pton(AF_INET, host, address) == 1) {
        return memcmp(address, "\0\0\0\0", 4) == 0;
    }
    struct in6_addr any = IN6ADDR_ANY_INIT;
    return inet_pton(AF_INET6, host, address) == 1 &&
           memcmp(address, &any, sizeof any) == 0;
}

struct config_url config__make_url(struct arena *arena, bool tls,
                                   const char *host, int port)
{
    CHECK(port >= 0 && port <= 65535);
    bool is_ip6 = strchr(host, ':') != NULL;
    return (struct config_url){
        .tls = tls,
        .host = host,
        .port = port,
        .text = arena_printf(arena, "%s://%s%s%s:%d", tls ? "https" : "http",
                             is_ip6 ? "[" : "", host, is_ip6 ? "]" : "", port),
    };
}

/* ---- host and port ----------------------------------------------------- */

/* "a.b:1" or "[::1]:1" taken apart. *port_text is empty without a port. */
static bool split_host(struct slice text, struct slice *host,
                       struct slice *port_text)
{
    size_t at;
    if (text.size && text.at[0] == '[') {
        ptrdiff_t closing = slice_find(text, ']');
        if (closing < 0) {
            return false;
        }
        *host = slice_of(text.at + 1, (size_t)closing - 1);
        at = (size_t)closing + 1;
    } else {
        ptrdiff_t colon = slice_find(text, ':');
        at = colon < 0 ? text.size : (size_t)colon;
        *host = slice_of(text.at, at);
    }
    *port_text = slice_of(text.at + at, 0);
    if (at == text.size) {
        return true;
    }
    *port_text = slice_of(text.at + at + 1, text.size - at - 1);
    return text.at[at] == ':' && port_text->size > 0;
}

/* Letters, digits, and what names and addresses have besides. */
static bool is_host(const char *host)
{
    size_t size = strlen(host);
    if (strchr(host, ':')) {
        return config__is_ip(host);
    }
    for (size_t i = 0; i < size; i++) {
        char c = host[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                         (c >= '0' && c <= '9');
        if (!is_letter && c != '-' && c != '.' && c != '_') {
            return false;
        }
    }
    return size > 0 && size <= HOST_BYTES_MAX;
}

static enum err parse_port(struct slice text, struct slice whole, int *out)
{
    uint64_t port;
    if (!slice_to_u64(text, &port) || port > 65535) {
        return err_set(ERR_INVALID, "\"%.*s\" has no port from 0 to 65535",
                       (int)whole.size, whole.at);
    }
    *out = (int)port;
    return ERR_OK;
}

/* ---- one URL ----------------------------------------------------------- */

static bool take_prefix(struct slice *text, const char *prefix)
{
    struct slice wanted = slice_str(prefix);
    if (text->size < wanted.size ||
        !slice_eq_nocase(slice_of(text->at, wanted.size), wanted)) {
        return false;
    }
    *text = slice_of(text->at + wanted.size, text->size - wanted.size);
    return true;
}

static enum err parse_unix(struct arena *arena, struct slice whole,
                           struct slice path, bool tls, struct config_url *out)
{
    if (path.size == 0) {
        return err_set(ERR_INVALID, "\"%.*s\" has no path", (int)whole.size,
                       whole.at);
    }
    const char *host = arena_printf(arena, "%.*s", (int)path.size, path.at);
    *out = (struct config_url){
        .tls = tls,
        .is_unix = true,
        .host = host,
        .text = arena_printf(arena, "%s://%s", tls ? "unixs" : "unix", host),
    };
    return ERR_OK;
}

static bool has_any(struct slice text, const char *bytes)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.at[i] && strchr(bytes, text.at[i])) {
            return true;
        }
    }
    return false;
}

static enum err parse_net(struct arena *arena, struct slice whole,
                          struct slice rest, bool tls, struct config_url *out)
{
    int shown = (int)whole.size;
    if (rest.size && rest.at[rest.size - 1] == '/') {
        rest.size--;
    }
    if (has_any(rest, "/?#@")) {
        return err_set(ERR_INVALID,
                       "\"%.*s\" has more than scheme, host and port", shown,
                       whole.at);
    }
    struct slice host_text;
    struct slice port_text;
    if (!split_host(rest, &host_text, &port_text)) {
        return err_set(ERR_INVALID, "\"%.*s\" is not SCHEME://HOST:PORT", shown,
                       whole.at);
    }
    if (port_text.size == 0) {
        return err_set(ERR_INVALID, "\"%.*s\" has no port", shown, whole.at);
    }
    const char *host =
        arena_printf(arena, "%.*s", (int)host_text.size, host_text.at);
    if (!is_host(host)) {
        return err_set(ERR_INVALID, "\"%.*s\" has no valid host", shown,
                       whole.at);
    }
    int port = 0;
    enum err err = parse_port(port_text, whole, &port);
    if (!err) {
        *out = config__make_url(arena, tls, host, port);
    }
    return err;
}

enum err config__parse_url(struct arena *arena, struct slice text,
                           struct config_url *out)
{
    struct slice rest = text;
    /* What is quoted in a note shouldn't crowd out the reason. */
    struct slice whole = slice_of(text.at, text.size < 120 ? text.size : 120);
    if (take_prefix(&rest, "http://")) {
        return parse_net(arena, whole, rest, false, out);
    }
    if (take_prefix(&rest, "https://")) {
        return parse_net(arena, whole, rest, true, out);
    }
    if (take_prefix(&rest, "unix://")) {
        return parse_unix(arena, whole, rest, false, out);
    }
    if (take_prefix(&rest, "unixs://")) {
        return parse_unix(arena, whole, rest, true, out);
    }
    return err_set(ERR_INVALID,
                   "\"%.*s\" does not begin with http://, https://, unix:// "
                   "or unixs://",
                   (int)whole.size, whole.at);
}

enum err config__parse_urls(struct arena *arena, const char *text,
                            struct config_urls *out)
{
    struct config_list list;
    enum err err = config__parse_list(arena, text, &list);
    if (err) {
        return err;
    }
    *out = (struct config_urls){
        .at = arena_alloc(arena, (list.count + 1) * sizeof *out->at)};
    for (size_t i = 0; i < list.count; i++) {
        err = config__parse_url(arena, slice_str(list.at[i]), &out->at[i]);
        if (err) {
            return err;
        }
    }
    out->count = list.count;
    return ERR_OK;
}

/* ---- what else has addresses in it ------------------------------------- */

enum err config__parse_cluster(struct arena *arena, const char *text,
                               struct config_cluster *out)
{
    struct config_list list;
    enum err err = config__parse_list(arena, text, &list);
    if (err) {
        return err;
    }
    *out = (struct config_cluster){
        .at = arena_alloc(arena, (list.count + 1) * sizeof *out->at)};
    for (size_t i = 0; i < list.count; i++) {
        struct slice part = slice_str(list.at[i]);
        ptrdiff_t equals = slice_find(part, '=');
        if (equals <= 0) {
            return err_set(ERR_INVALID, "\"%.120s\" is not NAME=URL",
                           list.at[i]);
        }
        size_t size = (size_t)equals;
        out->at[i].name = arena_printf(arena, "%.*s", (int)size, part.at);
        err = config__parse_url(
            arena, slice_of(part.at + size + 1, part.size - size - 1),
            &out->at[i].url);
        if (err) {
            return err;
        }
    }
    out->count = list.count;
    return ERR_OK;
}

enum err config__parse_address(struct arena *arena, const char *text,
                               const char *host, int port,
                               struct config_url *out)
{
    if (strstr(text, "://")) {
        return config__parse_url(arena, slice_str(text), out);
    }
    struct slice whole = slice_str(text);
    whole.size = whole.size < 120 ? whole.size : 120;
    struct slice host_text;
    struct slice port_text;
    if (!split_host(slice_str(text), &host_text, &port_text)) {
        return err_set(ERR_INVALID, "\"%.*s\" is not HOST:PORT",
                       (int)whole.size, whole.at);
    }
    if (host_text.size) {
        host = arena_printf(arena, "%.*s", (int)host_text.size, host_text.at);
    }
    if (!host || !is_host(host)) {
        return err_set(ERR_INVALID, "\"%.*s\" has no valid host",
                       (int)whole.size, whole.at);
    }
    if (port_text.size || port < 0) {
        enum err err = parse_port(port_text, whole, &port);
        if (err) {
            return err;
        }
    }
    *out = config__make_url(arena, false, host, port);
    return ERR_OK;
}
