#include "host/tls_config.h"

#include "base/check.h"

static bool is_set(const char *text)
{
    return text != NULL && text[0] != '\0';
}

struct tls_options tls_config_listener(const struct config *config,
                                       const struct config_tls *tls)
{
    const char *ca =
        is_set(tls->trusted_ca_file) ? tls->trusted_ca_file : tls->ca_file;
    CHECK(tls == &config->client_tls || tls == &config->peer_tls);
    return (struct tls_options){
        .side = TLS_SERVER,
        .cert_file = tls->cert_file,
        .key_file = tls->key_file,
        .ca_file = ca,
        .crl_file = tls->crl_file,
        /* A CA that is given is there to be asked for, as with etcd. */
        .cert_auth = tls->client_cert_auth || is_set(ca),
        .allowed_cn = tls->allowed_cn.at,
        .allowed_cn_count = tls->allowed_cn.count,
        .allowed_hostname = tls->allowed_hostname.at,
        .allowed_hostname_count = tls->allowed_hostname.count,
        .cipher_suites = config->cipher_suites.at,
        .cipher_suite_count = config->cipher_suites.count,
        .min_version = config->tls_min_version,
        .max_version = config->tls_max_version,
    };
}
