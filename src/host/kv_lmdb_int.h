/* What the two files of the LMDB tenant share. */
#ifndef ETCHED_HOST_KV_LMDB_INT_H
#define ETCHED_HOST_KV_LMDB_INT_H

#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>

#include "port/kv.h"

struct kv_lmdb {
    struct kv kv; /* first: a `struct kv *` points here */
    MDB_env *env;
    char *path;
    int fd;    /* LMDB's */
    void *map; /* LMDB's; NULL: not known */
    size_t page_bytes;
    MDB_dbi dbis[KV_TABLES_MAX];

    /* The last count of pages; the mutex is for who counts. */
    pthread_mutex_t stat_mutex;
    uint64_t stat_txn_id; /* of the commit that was counted; under the mutex */
    int64_t stat_at_ns;
    atomic_uint_least64_t file_bytes;
    atomic_uint_least64_t in_use_bytes;
};

static inline struct kv_lmdb *kv_lmdb__of(struct kv *kv)
{
    return (struct kv_lmdb *)(void *)kv;
}

/* An `enum err` for LMDB's number, with a note; MDB_NOTFOUND without. */
enum err kv_lmdb__error(const struct kv_lmdb *lmdb, const char *what,
                        int number);
void kv_lmdb__stat(struct kv *kv, struct kv_stat *out);

#endif
