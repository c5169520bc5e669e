/* The file in which a snapshot is gathered before it goes to a client: it has
 * no name, and its SHA-256 behind it when it is sealed.
 *
 * Threads: any but one that must not wait for the disk.
 */
#ifndef ETCHED_HOST_SNAPSHOT_FILE_H
#define ETCHED_HOST_SNAPSHOT_FILE_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "bolt/bolt.h"
#include "etcdb/etcdb.h"

enum { SNAPSHOT_HASH_BYTES = ETCDB_HASH_BYTES };

/* Empty, to be read and written; the caller closes it.
 * Errors: ERR_IO, ERR_DISK_FULL, ERR_PERMISSION... */
enum err snapshot_file_open(const char *folder, int *fd) MUST_USE;

/* Where the pages go; it must stay where it is. Once *stopping is set
 * (NULL: never) it takes no more: ERR_STOPPED. */
struct snapshot_sink {
    struct bolt_sink sink;
    int fd;
    const atomic_bool *stopping;
};
void snapshot_sink_init(struct snapshot_sink *sink, int fd,
                        const atomic_bool *stopping);

/* All `bytes` are there: the hash is put behind them, and the file's place is
 * its begin. What stands behind them, from another attempt, is cut off.
 * Errors: ERR_IO..., ERR_STOPPED. */
enum err snapshot_file_seal(const struct snapshot_sink *sink,
                            uint64_t bytes) MUST_USE;
/* What comes next, up to `size`; *got 0: the end. */
enum err snapshot_file_read(int fd, char *out, size_t size,
                            size_t *got) MUST_USE;

#endif
