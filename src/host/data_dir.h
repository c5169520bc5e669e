/* The member's folder on disk:
 *
 *   <data-dir>/        0700, forced
 *     LOCK             held while the member runs
 *     db, db-lock      the kv file
 *     wal/             the log's segments (or --wal-dir)
 */
#ifndef ETCHED_HOST_DATA_DIR_H
#define ETCHED_HOST_DATA_DIR_H

#include <stdbool.h>

#include "base/err.h"

struct data_dir {
    int lock_fd;
    char *path;
    char *wal_path;
    char *db_path;
};

/* Makes what is missing, forces the modes, takes the lock. `wal_path` "": in
 * the folder. `force`: what an earlier member left is removed first (0.4's
 * -f).
 * Errors: ERR_BUSY (another process has it), ERR_PERMISSION, ERR_IO,
 *         ERR_DISK_FULL, ERR_UNSUPPORTED (the folder holds etcd's own data);
 *         the note names the path and says what can be done. */
enum err data_dir_open(const char *path, const char *wal_path, bool force,
                       struct data_dir *out) MUST_USE;
void data_dir_close(struct data_dir *dir);

#endif
