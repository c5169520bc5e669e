/* A member's data directory, made of a snapshot file of etcd's format: of a
 * new cluster that begins with what is in it. Nobody else is asked; each
 * member's is made by itself, from the same file and the same flags.
 */
#ifndef ETCHED_HOST_RESTORE_H
#define ETCHED_HOST_RESTORE_H

#include "etcdb/etcdb.h"

/* As the flags of `snapshot restore` are; "": the default. */
struct restore_options {
    const char *file;
    const char *name;
    const char *data_dir; /* must not be there yet, or be empty */
    const char *wal_dir;  /* must not be there yet */
    const char *initial_cluster;
    const char *initial_cluster_token;
    const char *initial_advertise_peer_urls;
    bool skip_hash_check;
    revision bump;
    bool mark_compacted;
};

/* Errors: ERR_INVALID, ERR_EXISTS, ERR_NOT_FOUND, ERR_CORRUPT, those of the
 *         disk; the note says what and why. A directory that was begun stays
 *         as it is, and no member starts on it. */
enum err restore_run(const struct restore_options *options,
                     struct etcdb_imported *out) MUST_USE;

#endif
