/* Passwords on their way to bcrypt and back: what v2's and v3's logins share.
 *
 * A bcrypt takes 50 ms and more of a processor, so it is a worker's
 * (port/work.h), and there are so many at once, of both together: whoever
 * comes then is told to come again. A name that nobody has takes as long as
 * one that somebody has. What was secret is wiped when it was used.
 *
 * Threads: any.
 */
#ifndef ETCHED_AUTH_LOGIN_H
#define ETCHED_AUTH_LOGIN_H

#include "base/bytes.h"

enum {
    /* Of the process, with workers or waiting for one: behind so many a
     * client waits for about a second. */
    AUTH_LOGINS_MAX = 64,
    AUTH_BCRYPT_COST = 10,
};

/* False: there are as many as there may be (V3_REQUEST_TOO_MANY_REQUESTS).
 * Each that was let in leaves once. */
bool auth_login_enter(void);
void auth_login_leave(void);
/* How many are in. */
unsigned auth_login_count(void);

/* Appends the bcrypt hash of a password that nobody knows. `cost` 0: the
 * default. */
void auth_login_nobody(int cost, struct buf *out);

/* Zeroes, which the compiler may not leave out. */
void auth_wipe(void *bytes, size_t size);
/* All that it ever held where it is now; it is empty then, without memory. */
void auth_wipe_buf(struct buf *buf);

#endif
