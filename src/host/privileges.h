/* Becoming somebody with fewer rights: started as root, for a port or a folder
 * that needs it, the server goes on as --user. */
#ifndef ETCHED_HOST_PRIVILEGES_H
#define ETCHED_HOST_PRIVILEGES_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

enum { PRIVILEGES_NAME_BYTES_MAX = 64 };

/* Who the process is going to be. */
struct privileges {
    bool change; /* false: it stays who it is, which is what the ids say */
    uid_t uid;
    gid_t gid;
    char name[PRIVILEGES_NAME_BYTES_MAX];
};

/* `user`: a name or a number; "": no change.
 * Errors: ERR_NOT_FOUND (there is no such user), ERR_PERMISSION (this isn't
 *         root, so it can't become anybody), ERR_INVALID (root: nothing would
 *         be dropped). */
enum err privileges_find(const char *user, struct privileges *out) MUST_USE;

/* For good, and for all threads: its groups, its group, its user.
 * Errors: ERR_PERMISSION. */
enum err privileges_drop(const struct privileges *who) MUST_USE;

#endif
