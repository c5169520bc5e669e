/* TLS on the server's ports: what it shows and whom it trusts, the gate where
 * handshakes are done, and the look at whether the files have changed.
 *
 * One context for all ports of a kind, so that no address of theirs is less
 * careful than another. */
#include <string.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/list.h"
#include "base/log.h"
#include "host/machine.h"
#include "host/peers_tls.h"
#include "host/server_int.h"
#include "host/tls_config.h"

enum {
    LOOK_MS = 400, /* new files are in use within a second */
    HOSTS_MAX = 64,
};

static const char *const client_alpn[] = {"h2", "http/1.1"};

static bool any_tls(const struct config_urls *urls)
{
    for (size_t i = 0; i < urls->count; i++) {
        if (urls->at[i].tls) {
            return true;
        }
    }
    return false;
}

/* ---- certificates of our own --------------------------------------------- */

struct hosts {
    const char *at[HOSTS_MAX];
    size_t count;
};

static void add_host(struct hosts *hosts, const char *host)
{
    for (size_t i = 0; i < hosts->count; i++) {
        if (strcmp(hosts->at[i], host) == 0) {
            return;
        }
    }
    if (hosts->count < HOSTS_MAX) {
        hosts->at[hosts->count++] = host;
    }
}

static void add_hosts(struct hosts *hosts, const struct config_urls *urls)
{
    for (size_t i = 0; i < urls->count; i++) {
        if (!urls->at[i].is_unix) {
            add_host(hosts, urls->at[i].host);
        }
    }
}

/* In the folder where etcd has its own. */
static enum err make_own(const struct server *server, const char *kind,
                         const struct config_urls *listen,
                         const struct config_urls *advertise, struct buf *cert,
                         struct buf *key)
{
    struct hosts hosts = {.at = {"localhost"}, .count = 1};
    struct buf folder = {0};
    add_hosts(&hosts, listen);
    add_hosts(&hosts, advertise);
    buf_printf(&folder, "%s/fixtures", server->dir.path);
    buf_append_char(&folder, '\0');
    (void)mkdir(folder.at, 0700); /* what is wrong shows when it is used */
    folder.size--;
    buf_printf(&folder, "/%s", kind);
    buf_append_char(&folder, '\0');
    enum err err =
        tls_self_signed(folder.at, hosts.at, hosts.count,
                        server->config->self_signed_years, cert, key);
    buf_deinit(&folder);
    return err;
}

/* ---- the contexts -------------------------------------------------------- */

static bool is_set(const char *text)
{
    return text != NULL && text[0] != '\0';
}

struct side {
    const char *kind;
    const struct config_tls *tls;
    const struct config_urls *listen;
    const struct config_urls *advertise;
    const char *const *alpn;
};

static enum err open_side(const struct server *server, const struct side *side,
                          struct tls_context **out)
{
    struct tls_options options = tls_config_listener(server->config, side->tls);
    struct buf cert = {0};
    struct buf key = {0};
    enum err err = ERR_OK;
    options.alpn = side->alpn;
    options.alpn_count = 2;
    if (!is_set(options.cert_file) && side->tls->auto_tls) {
        err = make_own(server, side->kind, side->listen, side->advertise, &cert,
                       &key);
        options.cert_file = cert.at;
        options.key_file = key.at;
    }
    if (err == ERR_OK) {
        err = tls_context_new(&options, out);
    }
    buf_deinit(&cert);
    buf_deinit(&key);
    return err_wrap(err, "TLS for %ss", side->kind);
}

enum err server__open_tls(struct server *server)
{
    const struct config *config = server->config;
    const struct side client = {
        .kind = "client",
        .tls = &config->client_tls,
        .listen = &config->listen_client_urls,
        .advertise = &config->advertise_client_urls,
        .alpn = client_alpn,
    };
    const struct side peer = {
        .kind = "peer",
        .tls = &config->peer_tls,
        .listen = &config->listen_peer_urls,
        .advertise = &config->initial_advertise_peer_urls,
        .alpn = peers_tls_alpn,
    };
    enum err err = ERR_OK;
    if (any_tls(&config->listen_client_urls) ||
        any_tls(&config->listen_client_http_urls) ||
        any_tls(&config->listen_metrics_urls)) {
        err = open_side(server, &client, &server->client_tls);
    }
    if (err == ERR_OK && any_tls(&config->listen_peer_urls)) {
        err = open_side(server, &peer, &server->peer_tls);
    }
    if (err == ERR_OK) {
        err = peers_tls_open(config, &server->peer_out_tls);
    }
    return err;
}

/* ---- the gate ------------------------------------------------------------ */

static void on_ready(void *context, int fd, struct tls *tls, int tag)
{
    CHECK(tag == SERVER_CLIENTS || tag == SERVER_METRICS ||
          tag == SERVER_PEERS);
    server__adopt(context, fd, tls, (enum server_port_kind)tag);
}

static bool has_tls_port(const struct server *server)
{
    return server->client_tls != NULL || server->peer_tls != NULL;
}

size_t server__handshakes_max(const struct server *server, size_t fds)
{
    if (!has_tls_port(server)) {
        return 0;
    }
    return fds / 8 < TLS_GATE_MAX ? fds / 8 + 1 : TLS_GATE_MAX;
}

/* ---- files that change --------------------------------------------------- */

static void look(struct tls_context *context)
{
    if (context != NULL) {
        (void)tls_context_reload(context);
    }
}

static void on_look(uv_timer_t *timer)
{
    struct server *server = CONTAINER_OF(timer, struct server, tls_look);
    look(server->client_tls);
    look(server->peer_tls);
    look(server->peer_out_tls);
}

enum err server__start_tls(struct server *server)
{
    const struct tls_gate_config config = {
        .on_ready = on_ready,
        .context = server,
        .handshakes_max = server->handshakes_max,
    };
    if (has_tls_port(server) || server->peer_out_tls != NULL) {
        uv_timer_start(&server->tls_look, on_look, LOOK_MS, LOOK_MS);
    }
    if (!has_tls_port(server)) {
        return ERR_OK;
    }
    CHECK(config.handshakes_max > 0);
    return tls_gate_start(&config, &server->gate);
}

/* ---- metrics and the end ------------------------------------------------- */

static void put_count(struct buf *out, const char *result, uint64_t count)
{
    buf_printf(out, "etched_tls_handshakes_total{result=\"%s\"} %llu\n", result,
               (unsigned long long)count);
}

void server__put_tls_metrics(struct server *server, struct buf *out)
{
    struct tls_gate_stat stat;
    if (server->gate == NULL) {
        return;
    }
    tls_gate_stat(server->gate, &stat);
    buf_append_str(out,
                   "# HELP etched_tls_handshakes_total Handshakes of those who "
                   "connected, by what came of them.\n"
                   "# TYPE etched_tls_handshakes_total counter\n");
    put_count(out, "done", stat.done);
    put_count(out, "failed", stat.failed);
    put_count(out, "timed_out", stat.timed_out);
    put_count(out, "displaced", stat.displaced);
    buf_printf(out,
               "# HELP etched_tls_resumed_total Handshakes that went on with "
               "an earlier session.\n"
               "# TYPE etched_tls_resumed_total counter\n"
               "etched_tls_resumed_total %llu\n"
               "# HELP etched_tls_handshakes_open Handshakes under way.\n"
               "# TYPE etched_tls_handshakes_open gauge\n"
               "etched_tls_handshakes_open %zu\n",
               (unsigned long long)stat.resumed, stat.open);
}

void server__stop_tls(struct server *server)
{
    tls_gate_stop(server->gate);
    server->gate = NULL;
}

void server__close_tls(struct server *server)
{
    CHECK(server->gate == NULL);
    tls_context_unref(server->client_tls);
    tls_context_unref(server->peer_tls);
    tls_context_unref(server->peer_out_tls);
}
