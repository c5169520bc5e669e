/* The world's time zones from the system's files (/usr/share/zoneinfo, of
 * Debian's tzdata), read when they are first asked for, and kept. */
#ifndef ETCHED_HOST_ZONES_POSIX_H
#define ETCHED_HOST_ZONES_POSIX_H

#include "port/zones.h"

#define ZONES_FOLDER "/usr/share/zoneinfo"

enum {
    ZONES_NAME_BYTES_MAX = 64,
    ZONES_FILE_BYTES_MAX = 64 * 1024,
    /* There are 600 names; whoever asks for more makes them up. */
    ZONES_KEPT_MAX = 1000,
};

/* `folder` is ZONES_FOLDER but in tests; copied. Nothing is read yet. */
struct zones *zones_posix_new(const char *folder);
/* Needs: nobody uses a file of it any more. */
void zones_posix_free(struct zones *zones); /* NULL is fine */

#endif
