/* The ids of a new member and its cluster, computed as etcd does: the first
 * 8 bytes of SHA-1 over the sorted peer URLs and the cluster token, and over
 * the sorted member ids. */
#ifndef ETCHED_HOST_BOOTSTRAP_H
#define ETCHED_HOST_BOOTSTRAP_H

#include "host/config.h"

struct bootstrap {
    uint64_t cluster_id;
    uint64_t member_id;
};

void bootstrap_ids(const struct config *config, struct bootstrap *out);
/* The URLs' texts, joined with ','. Owns: the caller (mem_free). */
char *bootstrap_join_urls(const struct config_urls *urls);

#endif
