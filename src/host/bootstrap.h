/* Who belongs to the cluster when a member starts for the first time, and what
 * the ids are. Ids are computed as etcd does: of a member, the first 8 bytes
 * of SHA-1 over its sorted peer URLs and the cluster token; of a cluster, of
 * SHA-1 over the sorted member ids.
 *
 *   --initial-cluster, state new      all members, as listed
 *   --initial-cluster, state existing the cluster is asked (GET /members of a
 *                                     listed peer URL): this member was added
 *                                     before, or is refused
 *   --discovery=<url>                 the v2 protocol: registers, then waits
 *                                     until the cluster has its size
 *   --discovery-srv=<domain>          DNS SRV records
 *   -peers, -peers-file (0.4)         none of them answers: a new cluster of
 *                                     one; else it joins theirs (POST /join)
 *                                     as a voter or, where active size is
 *                                     reached, as a standby
 *   none of these                     a cluster of one
 *
 * A member that has data needs none of it and keeps what it has.
 */
#ifndef ETCHED_HOST_BOOTSTRAP_H
#define ETCHED_HOST_BOOTSTRAP_H

#include "base/mem.h"
#include "host/config.h"
#include "node/node.h"

struct bootstrap {
    uint64_t cluster_id;
    uint64_t member_id;
    /* Of a new cluster, in the arena; count 0: it exists and this one joins. */
    struct node_member *members;
    size_t member_count;
    /* --discovery found the cluster full and --discovery-fallback=proxy: run
     * as a proxy of these peer URLs (joined with ','). NULL: no. */
    const char *proxy_of;
};

/* May wait for the network: a minute for an answer, and with --discovery as
 * long as it takes for the other members; the log tells what for.
 * Errors: ERR_INVALID (the flags don't fit together), ERR_WRONG_CLUSTER,
 *         ERR_EXISTS (the same name or URL twice), ERR_GONE (this member was
 *         removed), ERR_NOT_FOUND (no records, no such token), ERR_FULL (the
 *         discovered cluster), ERR_TIMEOUT, ERR_CORRUPT; the note says what
 *         can be done. */
enum err bootstrap_run(const struct config *config, struct arena *arena,
                       struct bootstrap *out) MUST_USE;
/* The data directory holds a member's data already: bootstrap_run asks nobody
 * and gives its ids (and the members, where the flags still make the same
 * cluster; they are for a start that ended before it had written them down). */
bool bootstrap_has_data(const struct config *config);
/* Where a proxy's cluster is to be found: peer URLs, joined with ','; in the
 * arena. Errors: as of bootstrap_run. */
enum err bootstrap_proxy_urls(const struct config *config, struct arena *arena,
                              const char **urls) MUST_USE;
/* The URLs' texts, joined with ','. Owns: the caller (mem_free). */
char *bootstrap_join_urls(const struct config_urls *urls);

#endif
