/* Passwords that were right a moment ago, so that v2's clients, who send
 * theirs with every request, don't cost a bcrypt each. Keyed by a digest of a
 * secret of this process, user, password and the user's hash; so another
 * password, or the same after a change, isn't found. Nothing of it is ever
 * written down. Bounded; each lives AUTH_CREDENTIALS_MS.
 *
 * Threads: any, under the lock that it is given.
 */
#ifndef ETCHED_AUTH_CREDENTIALS_H
#define ETCHED_AUTH_CREDENTIALS_H

#include "auth/auth.h"
#include "port/clock.h"
#include "port/crypto.h"
#include "port/lock.h"

enum {
    AUTH_CREDENTIALS_MAX = 4096,
    AUTH_CREDENTIALS_MS = 60 * 1000,
};

struct auth_credentials;
struct auth_credentials *auth_credentials_new(struct crypto *crypto,
                                              struct clock *clock,
                                              struct lock *lock);
void auth_credentials_free(struct auth_credentials *credentials);
/* True: this password was right for this hash not long ago. */
bool auth_credentials_know(struct auth_credentials *credentials,
                           struct slice user, struct slice password,
                           struct slice hash);
void auth_credentials_add(struct auth_credentials *credentials,
                          struct slice user, struct slice password,
                          struct slice hash);

#endif
