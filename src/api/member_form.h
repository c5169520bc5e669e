/* What a member that is to be must look like, and whether one may come or go,
 * for whoever is asked for it: v2's API here, v3's above. */
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

/* A learner that waits for a person. A standby was added as a member and is
 * not up to date yet: etcd knows no such thing, and counts it as what it will
 * be. */
static inline bool member_is_to_learn(const struct node_member *member)
{
    return member->is_learner && !member->is_standby;
}
/* Whether most voters have been started, as etcd counts them for
 * --strict-reconfig-check: with the member that comes (NODE_ADD_VOTER), or
 * without the one that goes (NODE_REMOVE; a learner may always). A cluster of
 * one may always take a second in. */
bool members_are_most_started(const struct node_member *members, size_t count,
                              enum node_change_op op, member_id id);

#endif
