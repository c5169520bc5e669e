/* The door to the ordered, transactional key-value file under the store: LMDB
 * on a machine, a sorted array in the simulator.
 *
 * A few named tables; keys of 1 to 511 bytes in bytewise order. One writer at
 * a time: begin_write waits for the one before, on another thread. Readers see
 * the last commit before they began, and never wait.
 *
 * Errors: ERR_NOT_FOUND, ERR_END (cursor past the end), ERR_IO,
 *         ERR_DISK_FULL, ERR_NO_SPACE (the map is full), ERR_CORRUPT.
 * Threads: a write transaction belongs to the thread that began it; a read
 *          transaction to one thread at a time.
 * Owns: slices that come out are valid until their transaction ends or is
 *       reset; those of a write transaction until its next put, append, del
 *       or clear. Cursors are closed before.
 */
#ifndef ETCHED_PORT_KV_H
#define ETCHED_PORT_KV_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

enum { KV_KEY_BYTES_MAX = 511, KV_TABLES_MAX = 16 };

struct kv;
struct kv_txn;    /* the tenant's */
struct kv_cursor; /* the tenant's */

/* A table is a small number that the store chooses (< KV_TABLES_MAX). */
typedef unsigned kv_table;

struct kv_stat {
    uint64_t file_bytes;   /* as allocated on disk */
    uint64_t in_use_bytes; /* less the pages that are free for reuse */
};

struct kv_ops {
    enum err (*begin_read)(struct kv *kv, struct kv_txn **out);
    /* Let go of the snapshot but keep the place; renew takes a new one. */
    void (*reset)(struct kv *kv, struct kv_txn *txn);
    enum err (*renew)(struct kv *kv, struct kv_txn *txn);
    void (*end_read)(struct kv *kv, struct kv_txn *txn);

    enum err (*begin_write)(struct kv *kv, struct kv_txn **out);
    /* Durable on return. After an error nothing of the transaction is there;
     * the transaction is gone in both cases. */
    enum err (*commit)(struct kv *kv, struct kv_txn *txn);
    void (*abort)(struct kv *kv, struct kv_txn *txn);

    enum err (*get)(struct kv *kv, struct kv_txn *txn, kv_table table,
                    struct slice key, struct slice *value);
    enum err (*put)(struct kv *kv, struct kv_txn *txn, kv_table table,
                    struct slice key, struct slice value);
    /* put, where `key` is known to be the table's greatest: packs pages. */
    enum err (*append)(struct kv *kv, struct kv_txn *txn, kv_table table,
                       struct slice key, struct slice value);
    enum err (*del)(struct kv *kv, struct kv_txn *txn, kv_table table,
                    struct slice key);
    /* Empties a table: its pages are free for reuse after the commit. A large
     * one is better taken away in parts: this is one transaction of a size
     * that nobody has bounded. Needs: no cursor of it is open. */
    enum err (*clear)(struct kv *kv, struct kv_txn *txn, kv_table table);

    enum err (*cursor_open)(struct kv *kv, struct kv_txn *txn, kv_table table,
                            struct kv_cursor **out);
    void (*cursor_close)(struct kv *kv, struct kv_cursor *cursor);
    /* The first pair with key >= `from`. */
    enum err (*cursor_seek)(struct kv *kv, struct kv_cursor *cursor,
                            struct slice from, struct slice *key,
                            struct slice *value);
    enum err (*cursor_next)(struct kv *kv, struct kv_cursor *cursor,
                            struct slice *key, struct slice *value);

    void (*stat)(struct kv *kv, struct kv_stat *out);
    /* A hint that what was read so far won't be read again soon: its pages
     * need not stay resident. */
    void (*forget)(struct kv *kv);
};

struct kv {
    const struct kv_ops *ops;
};

#endif
