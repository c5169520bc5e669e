/* The door to the world's time zones. host/ reads them from the system's
 * zoneinfo; tests and sim/ bring a few of their own. */
#ifndef ETCHED_PORT_ZONES_H
#define ETCHED_PORT_ZONES_H

#include "base/bytes.h"
#include "base/err.h"

struct zones {
    /* The contents of the TZif file (RFC 9636) of a zone, "Asia/Shanghai".
     * "UTC" is never asked for.
     * Owns:   the door's; valid as long as it is.
     * Errors: ERR_NOT_FOUND.
     * Threads: any. */
    enum err (*find)(const struct zones *zones, struct slice name,
                     struct slice *tzif);
};

#endif
