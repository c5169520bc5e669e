/* What a member that is to be must look like, for whoever is asked to add one:
 * v2's API here, v3's above. */
#ifndef ETCHED_API_MEMBER_FORM_H
#define ETCHED_API_MEMBER_FORM_H

#include "base/bytes.h"
#include "node/node.h"

/* A member's address as etcd takes it is http or https, host:port, no path.
 * NULL: it is such a one. */
const char *member_url_fault(struct slice url);
/* Joined with ',' in the arena, and sorted (so is `urls` then), as the ids are
 * computed from them. */
struct slice member_join_urls(struct arena *arena, struct slice *urls,
                              size_t count);
/* The first of such a list, which is moved on. */
struct slice member_next_url(struct slice *urls);
/* The id of a new member, as etcd computes it: from its URLs and the time. */
member_id member_new_id(struct clock *clock, struct slice peer_urls);

#endif
