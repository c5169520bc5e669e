/* The audit log as a file: lines of JSON, one an event (port/audit.h):
 *
 *   {"time":"2026-01-02T03:04:05.678Z","user":"anna","how":"token",
 *    "what":"/etcdserverpb.KV/Put","key":"a","range_end":"",
 *    "from":"10.0.0.1:4711","allowed":true,"why":""}
 *
 * A key that isn't UTF-8 is "key_base64" instead (and "range_end_base64"); one
 * longer than AUDIT_VALUE_BYTES_MAX is cut, and "cut":true says so.
 *
 * Whoever writes an event never waits: it goes into a queue in memory, which a
 * thread of its own writes out. What doesn't fit is counted, and told as soon
 * as there is room: {"time":...,"lost":17}.
 *
 * Threads: audit_write: any; the others: the one that opened it.
 */
#ifndef ETCHED_HOST_AUDIT_H
#define ETCHED_HOST_AUDIT_H

#include "base/bytes.h"
#include "base/err.h"
#include "port/audit.h"

enum {
    AUDIT_QUEUE_BYTES_MAX = 1024 * 1024,
    AUDIT_VALUE_BYTES_MAX = 1024,
    AUDIT_CLOSE_MS = 1000, /* what still waits is written for so long */
};

struct audit_log;

/* `path`: "stderr", or a file, which is made (0600) or appended to; it may not
 * be a symbolic link, and others' rights to it are taken away.
 * Errors: ERR_PERMISSION, ERR_IO, ERR_INVALID (no plain file), with a note. */
enum err audit_log_open(const char *path, struct audit_log **out) MUST_USE;
/* Writes out what waits. Needs: nobody writes any more. NULL: nothing. */
void audit_log_close(struct audit_log *log);

struct audit *audit_log_door(struct audit_log *log);
/* The file was renamed: the next lines go into a new one of its name. Where it
 * can't be opened, they go on into the old one. NULL: nothing. */
void audit_log_reopen(struct audit_log *log);

struct audit_log_stat {
    uint64_t written; /* events */
    uint64_t lost;    /* no room, or the file took none */
};
void audit_log_stat(struct audit_log *log, struct audit_log_stat *out);
void audit_log_metrics(struct audit_log *log, struct buf *out);

#endif
