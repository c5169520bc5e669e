/* From the flags to what a listener has: one place for all listeners (client,
 * peer and metrics ports, the proxy's, `etched recipes`), so that none is less
 * careful than another. What this process has as a client is in peers_tls.h. */
#ifndef ETCHED_HOST_TLS_CONFIG_H
#define ETCHED_HOST_TLS_CONFIG_H

#include "host/config.h"
#include "host/tls.h"

/* All but ALPN and a certificate of --auto-tls. It points to the
 * configuration. */
struct tls_options tls_config_listener(const struct config *config,
                                       const struct config_tls *tls);

#endif
