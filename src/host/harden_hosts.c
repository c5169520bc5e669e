#include "host/harden_hosts.h"

#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "doc/json_write.h"
#include "host/config_int.h"

enum {
    NAME_BYTES_MAX = 256,
};

struct harden_hosts {
    const struct config *config;
    bool any;      /* whatever it is */
    bool is_given; /* the list counts, and nothing else */
    char machine[NAME_BYTES_MAX];
};

struct harden_hosts *harden_hosts_new(const struct config *config)
{
    struct harden_hosts *hosts = mem_alloc_zero(sizeof(*hosts));
    hosts->config = config;
    hosts->is_given = config->has_host_whitelist;
    if (hosts->is_given) {
        for (size_t i = 0; i < config->host_whitelist.count; i++) {
            hosts->any |= strcmp(config->host_whitelist.at[i], "*") == 0;
        }
    }
    if (gethostname(hosts->machine, sizeof(hosts->machine) - 1) != 0) {
        hosts->machine[0] = '\0';
    }
    return hosts;
}

void harden_hosts_free(struct harden_hosts *hosts)
{
    mem_free(hosts);
}

/* "[::1]:2379" -> "::1", "a.b:2379" -> "a.b", "a." -> "a". */
static struct slice name_of(struct slice host)
{
    ptrdiff_t end;
    if (host.size > 0 && host.at[0] == '[') {
        host.at++;
        host.size--;
        end = slice_find(host, ']');
    } else {
        end = slice_find(host, ':');
    }
    if (end >= 0) {
        host.size = (size_t)end;
    }
    if (host.size > 1 && host.at[host.size - 1] == '.') {
        host.size--;
    }
    return host;
}

static bool is_name(struct slice name, const char *text)
{
    return slice_eq_nocase(name, slice_str(text));
}

/* An address isn't looked up, so nobody can make it stand for another. */
static bool is_address(struct slice name)
{
    char text[64];
    if (name.size >= sizeof(text)) {
        return false;
    }
    memcpy(text, name.at, name.size);
    text[name.size] = '\0';
    return config__is_ip(text);
}

/* RFC 6761: these never leave the machine. */
static bool is_localhost(struct slice name)
{
    static const char suffix[] = ".localhost";
    size_t size = sizeof(suffix) - 1;
    return is_name(name, "localhost") ||
           (name.size > size &&
            slice_eq_nocase(slice_of(name.at + name.size - size, size),
                            SLICE(".localhost")));
}

static bool is_in_urls(const struct config_urls *urls, struct slice name)
{
    for (size_t i = 0; i < urls->count; i++) {
        if (!urls->at[i].is_unix && is_name(name, urls->at[i].host)) {
            return true;
        }
    }
    return false;
}

static bool is_ours(const struct harden_hosts *hosts, struct slice name)
{
    const struct config *config = hosts->config;
    return is_address(name) || is_localhost(name) ||
           (hosts->machine[0] != '\0' && is_name(name, hosts->machine)) ||
           is_in_urls(&config->advertise_client_urls, name) ||
           is_in_urls(&config->initial_advertise_peer_urls, name) ||
           is_in_urls(&config->listen_client_urls, name);
}

static bool is_in_list(const struct config_list *list, struct slice name)
{
    for (size_t i = 0; i < list->count; i++) {
        if (is_name(name, list->at[i])) {
            return true;
        }
    }
    return list->count == 0;
}

bool harden_hosts_allow(const struct harden_hosts *hosts, struct slice host,
                        bool is_local)
{
    struct slice name = name_of(host);
    if (hosts->any || host.size == 0) {
        return true;
    }
    if (hosts->is_given) {
        return is_in_list(&hosts->config->host_whitelist, name);
    }
    return !is_local || is_ours(hosts, name);
}

/* The connection's other end, not what a header says. */
static bool is_from_here(struct slice peer)
{
    return slice_has_prefix(peer, SLICE("127.")) ||
           slice_has_prefix(peer, SLICE("::1:")) ||
           slice_has_prefix(peer, SLICE("[::1]:")) ||
           slice_has_prefix(peer, SLICE("::ffff:127."));
}

static void answer(struct http_exchange *exchange, struct slice host)
{
    static const struct http_header headers[] = {
        {{"Content-Type", 12}, {"application/json", 16}},
        {{"X-Content-Type-Options", 22}, {"nosniff", 7}},
    };
    struct buf text = {0};
    struct buf body = {0};
    buf_append_str(&text, "etched: not served under the name ");
    buf_append(&text, host.at,
               host.size < NAME_BYTES_MAX ? host.size : NAME_BYTES_MAX);
    buf_append_str(&text, " (see --host-whitelist)");
    buf_append_str(&body, "{\"error\":");
    json_write_string(&body, buf_slice(&text));
    buf_append_str(&body, ",\"code\":7,\"message\":");
    json_write_string(&body, buf_slice(&text));
    buf_append_char(&body, '}');
    http_respond(exchange, 403, headers, sizeof(headers) / sizeof(headers[0]),
                 buf_slice(&body));
    buf_deinit(&text);
    buf_deinit(&body);
}

bool harden_hosts_refuse(const struct harden_hosts *hosts,
                         struct http_exchange *exchange)
{
    const struct http_request *request = &exchange->request;
    if (hosts == NULL || hosts->any || request->is_own || request->is_tls) {
        return false;
    }
    struct slice host = http_header_get(request, "host");
    if (harden_hosts_allow(hosts, host, is_from_here(request->peer))) {
        return false;
    }
    answer(exchange, host);
    return true;
}
