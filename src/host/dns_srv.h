/* SRV records (RFC 2782), by the resolver of the system's library. */
#ifndef ETCHED_HOST_DNS_SRV_H
#define ETCHED_HOST_DNS_SRV_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"

struct dns_srv_record {
    uint16_t priority;
    uint16_t weight;
    uint16_t port;
    const char *target; /* without the dot at its end */
};

/* All records of a name ("_etcd-server._tcp.example.com"), in the arena, the
 * lowest priority first, so that all who ask see them in the same order.
 * `server`: who is asked in place of the system's servers; NULL: these.
 * Errors: ERR_NOT_FOUND (no such name, or it has none), ERR_TIMEOUT (no
 *         answer), ERR_IO (an answer that makes no sense, a refusal). */
enum err dns_srv_lookup(const char *name, const struct sockaddr_in *server,
                        struct arena *arena, struct dns_srv_record **out,
                        size_t *count) MUST_USE;

#endif
