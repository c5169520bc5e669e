/* Which names a request may call this server by (its Host header): a page in a
 * browser can let its own name stand for 127.0.0.1, and then read a server
 * that listens for this machine alone (DNS rebinding, CVE-2018-1099).
 *
 *   --host-whitelist not given   from this machine: an address, localhost, this
 *                                machine's name, or a name in the server's own
 *                                URLs; from elsewhere, and with TLS: any
 *   a list of names              these alone, for all without TLS, as etcd
 *   *                            any
 *
 * A browser always sends the header; a request without it is let in.
 */
#ifndef ETCHED_HOST_HARDEN_HOSTS_H
#define ETCHED_HOST_HARDEN_HOSTS_H

#include "host/config.h"
#include "wire/http.h"

struct harden_hosts;

struct harden_hosts *harden_hosts_new(const struct config *config);
void harden_hosts_free(struct harden_hosts *hosts);

/* `is_local`: it comes from this machine. Threads: any. */
bool harden_hosts_allow(const struct harden_hosts *hosts, struct slice host,
                        bool is_local);
/* True: it was answered 403. NULL: all are let in. */
bool harden_hosts_refuse(const struct harden_hosts *hosts,
                         struct http_exchange *exchange);

#endif
