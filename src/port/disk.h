/* The door to files, for the log: a flat directory of named files.
 *
 * Every call can fail, and the tenants make it (the simulator's disk, the
 * torture tests' "fail the Nth call"). A failed sync is final: the caller
 * stops, it never tries again (the page cache may have dropped the data).
 *
 * Errors: ERR_IO, ERR_DISK_FULL, ERR_NOT_FOUND (open without create),
 *         ERR_EXISTS (create); the note names the file.
 * Threads: a file belongs to one thread at a time.
 */
#ifndef ETCHED_PORT_DISK_H
#define ETCHED_PORT_DISK_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

enum { DISK_NAME_BYTES_MAX = 128, DISK_BLOCK_BYTES = 4096 };

struct disk;
struct disk_file; /* the tenant's */

struct disk_ops {
    /* Calls `each` with every name in the directory, in any order. */
    enum err (*list)(struct disk *disk,
                     void (*each)(void *context, const char *name),
                     void *context);
    /* DISK_CREATE makes a new empty file (0600), fails if there is one. */
    enum err (*open)(struct disk *disk, const char *name, int flags,
                     struct disk_file **out);
    void (*close)(struct disk *disk, struct disk_file *file);
    enum err (*size)(struct disk *disk, struct disk_file *file, uint64_t *out);
    /* Reads up to `size` bytes; *out_size is less only at the end. */
    enum err (*read)(struct disk *disk, struct disk_file *file, uint64_t offset,
                     void *to, size_t size, size_t *out_size);
    /* Writes all or fails; what is there after a failure is unknown. */
    enum err (*write)(struct disk *disk, struct disk_file *file,
                      uint64_t offset, const void *from, size_t size);
    /* The same, where the file holds zeros from the end of what is written to
     * the next multiple of DISK_BLOCK_BYTES: a tenant may write those anew,
     * and so go by the page cache, which costs a sync more than a small write
     * is worth. NULL: use write. */
    enum err (*append)(struct disk *disk, struct disk_file *file,
                       uint64_t offset, const void *from, size_t size);
    /* Makes [0, size) of the file exist, zero where not written. */
    enum err (*allocate)(struct disk *disk, struct disk_file *file,
                         uint64_t size);
    enum err (*truncate)(struct disk *disk, struct disk_file *file,
                         uint64_t size);
    /* Returns when all that was written is durable (fdatasync). */
    enum err (*sync)(struct disk *disk, struct disk_file *file);
    enum err (*rename)(struct disk *disk, const char *from, const char *to);
    enum err (*remove)(struct disk *disk, const char *name);
    /* Makes creations, renames and removals durable. */
    enum err (*sync_names)(struct disk *disk);
};

enum { DISK_READ = 0, DISK_WRITE = 1, DISK_CREATE = 2 };

struct disk {
    const struct disk_ops *ops;
};

#endif
