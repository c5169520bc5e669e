#include "host/peers_tls.h"

#include "base/check.h"
#include "base/log.h"
#include "host/peers.h"

const char *const peers_tls_alpn[2] = {PEERS_ALPN, "http/1.1"};

static bool is_set(const char *text)
{
    return text != NULL && text[0] != '\0';
}

struct peers_tls_files peers_tls_files(const struct config *config)
{
    const struct config_tls *tls = &config->peer_tls;
    bool has_own = is_set(tls->client_cert_file);
    struct peers_tls_files files = {
        .ca_file =
            is_set(tls->trusted_ca_file) ? tls->trusted_ca_file : tls->ca_file,
        .cert_file = has_own ? tls->client_cert_file : tls->cert_file,
        .key_file = has_own ? tls->client_key_file : tls->key_file,
        .crl_file = tls->crl_file,
    };
    /* Certificates that were given can be looked at. */
    files.skip_verify =
        tls->auto_tls && !is_set(files.ca_file) && !is_set(tls->cert_file);
    return files;
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

static bool cluster_has_tls(const struct config_cluster *cluster)
{
    for (size_t i = 0; i < cluster->count; i++) {
        if (cluster->at[i].url.tls) {
            return true;
        }
    }
    return false;
}

static bool is_wanted(const struct config *config,
                      const struct peers_tls_files *files)
{
    return is_set(files->ca_file) || is_set(files->cert_file) ||
           config->peer_tls.auto_tls || any_tls(&config->listen_peer_urls) ||
           any_tls(&config->initial_advertise_peer_urls) ||
           any_tls(&config->peers) || cluster_has_tls(&config->initial_cluster);
}

enum err peers_tls_open(const struct config *config, struct tls_context **out)
{
    struct peers_tls_files files = peers_tls_files(config);
    const struct tls_options options = {
        .side = TLS_CLIENT,
        .cert_file = files.cert_file,
        .key_file = files.key_file,
        .ca_file = files.ca_file,
        .crl_file = files.crl_file,
        .skip_verify = files.skip_verify,
        .cipher_suites = config->cipher_suites.at,
        .cipher_suite_count = config->cipher_suites.count,
        .min_version = config->tls_min_version,
        .max_version = config->tls_max_version,
        .alpn = peers_tls_alpn,
        .alpn_count = 1,
    };
    *out = NULL;
    if (!is_wanted(config, &files)) {
        return ERR_OK;
    }
    if (files.skip_verify) {
        log_warn("peers", "--peer-auto-tls: members take each other's "
                          "certificates unseen; whoever can answer for a "
                          "member's address is taken for it. Use "
                          "--peer-trusted-ca-file where that matters");
    }
    return err_wrap(tls_context_new(&options, out), "TLS with other members");
}
