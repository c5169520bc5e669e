/* The member's folder on disk:
 *
 *   <data-dir>/        0700, forced
 *     LOCK             held while the member runs
 *     db, db-lock      the kv file
 *     wal/             the log's segments (or --wal-dir)
 *
 * Files in it are 0600, forced; they and the folders belong to the user that
 * the server runs as, and none of them is a symbolic link: what is there is
 * ours, and nobody else has a say where a name leads (CVE-2020-15113).
 */
#ifndef ETCHED_HOST_DATA_DIR_H
#define ETCHED_HOST_DATA_DIR_H

#include <stdbool.h>

#include "base/err.h"
#include "host/privileges.h"

struct data_dir {
    int lock_fd;
    struct privileges owner;
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
/* The same for who this process is going to be: what root made or has there
 * becomes that user's. */
enum err data_dir_open_as(const struct privileges *owner, const char *path,
                          const char *wal_path, bool force,
                          struct data_dir *out) MUST_USE;
void data_dir_close(struct data_dir *dir);

#endif
