/* Proxy mode (--proxy on|readonly): no member, but a server on this machine
 * that hands each request on to one of the cluster's members.
 *
 *   client --HTTP/1.1--> wire/ (http1) --> a transfer of libcurl --> member
 *          <------------ begin, send, end <-------------------------
 *
 * A request is read whole, then sent to the next endpoint in turn; where no
 * connection can be made (or a GET or HEAD gets no answer), to the one after
 * it, and the endpoint is put aside for --proxy-failure-wait. An answer passes
 * through as it comes, so that a watch is one here, too; a client that reads
 * slowly makes the member wait.
 *
 * The endpoints are the members' client URLs, asked of the cluster's peer URLs
 * (GET /members) every --proxy-refresh-interval, and every second as long as
 * there is none. GET /v2/config/local/proxy shows them.
 *
 * One thread, one loop; curl's sockets are watched by the same one.
 */
#ifndef ETCHED_HOST_PROXY_H
#define ETCHED_HOST_PROXY_H

#include "host/config.h"

/* Serves until SIGTERM or SIGINT. `peer_urls`: of the cluster, joined with
 * ','; NULL: as the flags say (bootstrap_proxy_urls), which may take a while.
 * Errors: those of listener_open and bootstrap_proxy_urls. */
enum err proxy_run(const struct config *config, const char *peer_urls) MUST_USE;

#endif
