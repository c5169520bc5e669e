/* Users of the store in memory: a table of what each may do, by prefix. Root
 * may all. */
#ifndef RUNNER_USERS_H
#define RUNNER_USERS_H

#include "runner/runner.h"

struct world_grant {
    const char *user;
    enum runner_right right;
    const char *prefix;
};
enum { WORLD_GRANTS_MAX = 32 };
struct world_users {
    bool are_there; /* false: everybody may all */
    struct world_grant grants[WORLD_GRANTS_MAX];
    size_t count;
    uint64_t asked;
};
void world_grant(struct world_users *users, const char *user,
                 enum runner_right right, const char *prefix);
/* All that was granted to a user for this prefix. */
void world_revoke(struct world_users *users, const char *user,
                  const char *prefix);
/* As runner_doors' may. */
bool world_may(struct world_users *users, struct slice user,
               enum runner_right right, struct slice key, struct slice end);
/* Whether a recipe of this owner may do this TxnRequest: all that isn't the
 * service's own, with the owner's permissions and never root's. */
bool world_may_txn(struct world_users *users, struct slice owner,
                   struct slice request);

#endif
