/* The door to the audit log: who asked for what, from where, and whether it
 * was allowed.
 *
 * Threads: any.
 */
#ifndef ETCHED_PORT_AUDIT_H
#define ETCHED_PORT_AUDIT_H

#include <stdbool.h>

#include "base/bytes.h"

/* Values and passwords are never in it. Slices are good for the call. */
struct audit_event {
    struct slice user; /* "": nobody */
    struct slice how; /* what says so: "token", "certificate", "password", "" */
    struct slice what; /* "/etcdserverpb.KV/Put", "PUT /v2/keys" */
    struct slice key;  /* the first one it is about; "": none */
    struct slice range_end;
    struct slice from; /* "127.0.0.1:4711" */
    bool allowed;
    struct slice why; /* not: the answer's words */
};

struct audit {
    void (*write)(struct audit *audit, const struct audit_event *event);
};

/* NULL: nobody wants to know. */
static inline void audit_write(struct audit *audit,
                               const struct audit_event *event)
{
    if (audit != NULL) {
        audit->write(audit, event);
    }
}

#endif
