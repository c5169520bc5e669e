/* The LMDB tenant of port/kv.h: one file, "db", and its lock file beside it.
 *
 * LMDB maps the file and never writes a page in place: a commit writes new
 * pages, syncs, then writes one of two meta pages and syncs again. So the
 * file is whole after a crash, wherever it came, and readers need no lock.
 * The pages of old versions are used again when no reader sees them.
 *
 * Limits: LMDB keeps the buffers of a transaction's single dirty pages for
 *         the next one, so the largest flush stays resident: bound it.
 * Threads: as in port/kv.h. Not for a process that forks and uses it in both.
 */
#ifndef ETCHED_HOST_KV_LMDB_H
#define ETCHED_HOST_KV_LMDB_H

#include "port/kv.h"

struct kv_lmdb_config {
    /* The largest the file may become; this much address space is reserved.
     * 0: 1 TiB. Where the system gives less, half is tried, and so on. */
    uint64_t map_bytes;
    /* Commits don't wait for the disk. A crash of the machine may then leave
     * a file that can't be used. */
    bool no_sync;
};

/* `path` is the file, or a directory, in which it is "db". It is made (mode
 * 0600) where there is none.
 * Errors: ERR_CORRUPT (not LMDB's, or of another version), ERR_PERMISSION,
 *         ERR_NO_MEMORY (no address space), ERR_DISK_FULL, ERR_IO... */
enum err kv_lmdb_open(const char *path, const struct kv_lmdb_config *config,
                      struct kv **out) MUST_USE;
/* Needs: no transaction is open. */
void kv_lmdb_close(struct kv *kv);

#endif
