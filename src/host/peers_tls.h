/* What this server shows and whom it trusts when it is the client of others:
 * of members (peer URLs), of stores (`etched recipes`, a proxy). One place for
 * all, so that none is less careful than another.
 *
 * To members it shows --peer-client-cert-file, else --peer-cert-file, and
 * trusts who has a certificate of --peer-trusted-ca-file, else the system's
 * authorities; the certificate has to be for the host of the URL, and not in
 * --peer-crl-file. With --peer-auto-tls alone, each makes its own, so nobody's
 * can be looked at: it keeps out who only listens, and is said to at start.
 */
#ifndef ETCHED_HOST_PEERS_TLS_H
#define ETCHED_HOST_PEERS_TLS_H

#include "host/config.h"
#include "host/tls.h"

/* Of the configuration; "": none. */
struct peers_tls_files {
    const char *ca_file;
    const char *cert_file;
    const char *key_file;
    const char *crl_file;
    bool skip_verify;
};

struct peers_tls_files peers_tls_files(const struct config *config);
/* For peers_config.tls; *out NULL: nothing about peers is TLS, so that nothing
 * is loaded. Errors: those of tls_context_new. */
enum err peers_tls_open(const struct config *config,
                        struct tls_context **out) MUST_USE;
/* The members' own word to each other goes before HTTP's: for the context of
 * a peer port. */
extern const char *const peers_tls_alpn[2];

#endif
