/* A world with users, for who must not do what he may not: root, whose password
 * nobody guesses, and alice (password: alice), who may read and write what is
 * below /a/, and nothing else. A secret is at /z: nobody but root may ever see
 * it or change it.
 */
#ifndef ETCHED_TESTS_SUPPORT_NODE_USERS_H
#define ETCHED_TESTS_SUPPORT_NODE_USERS_H

#include "node_world.h"

/* Of world_request, for root. */
extern const char node_users_root[];

/* Between world_init and world_open. One world at a time. */
void node_users_prepare(struct world *world);
/* After world_open: they are made, and the secret, and the rest is closed. */
void node_users_enable(struct world *world);
/* After world_deinit. */
void node_users_free(void);

/* Aborts where the secret isn't as it was, or users aren't. */
void node_users_check(struct world *world);
/* Aborts where the secret is among these bytes. */
void node_users_check_told(struct slice bytes);

#endif
