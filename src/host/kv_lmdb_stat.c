/* How much of the file is in use: its pages up to the last one, less those
 * that are free. LMDB lists the free ones in a tree of its own, table 0,
 *
 *      id of the transaction that freed them -> count, page, page...
 *
 * (native words), of which only each first word is read here.
 *
 * To count costs a look at each entry, so it is done at most once a second,
 * and by one thread: who comes meanwhile gets the last count.
 */
#include <sys/stat.h>
#include <time.h>

#include "base/check.h"
#include "host/kv_lmdb_int.h"

enum { FREE_DBI = 0 };

static const int64_t COUNT_INTERVAL_NS = 1000 * 1000 * 1000;

static int64_t now_ns(void)
{
    struct timespec now;
    CHECK_EQ(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* False when it can't be counted now (no place for a reader, a bad page). */
static bool count_free_pages(struct kv_lmdb *lmdb, uint64_t *out)
{
    MDB_txn *txn;
    MDB_cursor *cursor;
    MDB_val key, value;
    *out = 0;
    if (mdb_txn_begin(lmdb->env, NULL, MDB_RDONLY, &txn))
        return false;
    int number = mdb_cursor_open(txn, FREE_DBI, &cursor);
    if (number == 0) {
        while ((number = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0)
            if (value.mv_size >= sizeof(uint64_t))
                *out += get_le64(value.mv_data);
        mdb_cursor_close(cursor);
    }
    mdb_txn_abort(txn);
    return number == MDB_NOTFOUND;
}

static void count(struct kv_lmdb *lmdb)
{
    MDB_envinfo info;
    struct stat file;
    uint64_t free_pages;
    CHECK_EQ(mdb_env_info(lmdb->env, &info), 0);
    int64_t now = now_ns();
    if (lmdb->stat_txn_id == info.me_last_txnid ||
        (lmdb->stat_at_ns && now - lmdb->stat_at_ns < COUNT_INTERVAL_NS))
        return;
    if (fstat(lmdb->fd, &file) || !count_free_pages(lmdb, &free_pages))
        return;
    /* st_blocks counts 512 bytes, whatever the file system's blocks are. */
    atomic_store(&lmdb->file_bytes, (uint64_t)file.st_blocks * 512);
    uint64_t pages = info.me_last_pgno + 1;
    /* A commit since we asked may have freed more than there were. */
    pages -= free_pages < pages ? free_pages : pages;
    atomic_store(&lmdb->in_use_bytes, pages * lmdb->page_bytes);
    lmdb->stat_txn_id = info.me_last_txnid;
    lmdb->stat_at_ns = now;
}

void kv_lmdb__stat(struct kv *kv, struct kv_stat *out)
{
    struct kv_lmdb *lmdb = kv_lmdb__of(kv);
    bool counted = atomic_load(&lmdb->in_use_bytes) != 0;
    /* Only the first count is worth waiting for. */
    if ((counted ? pthread_mutex_trylock(&lmdb->stat_mutex)
                 : pthread_mutex_lock(&lmdb->stat_mutex)) == 0) {
        count(lmdb);
        pthread_mutex_unlock(&lmdb->stat_mutex);
    }
    out->file_bytes = atomic_load(&lmdb->file_bytes);
    out->in_use_bytes = atomic_load(&lmdb->in_use_bytes);
}
