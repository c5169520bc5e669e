/* Opening LMDB's file, and the door's functions in LMDB's terms. How much of
 * the file is in use is counted in kv_lmdb_stat.c.
 *
 * What has been read is in the map, and resident: `forget` gives it back. The
 * map is a shared, read-only one of a file, so to drop its pages only means
 * that they are read anew when they are touched. LMDB doesn't tell where the
 * map is: the system is asked (/proc/self/maps).
 */
#include "host/kv_lmdb.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/kv_lmdb_int.h"

enum { READERS_MAX = 1024, TRY_NEXT_EVERY = 32 };

static const uint64_t MAP_BYTES_DEFAULT = UINT64_C(1) << 40;
/* Below this there is no sense in trying. */
static const uint64_t MAP_BYTES_MIN = UINT64_C(64) << 20;

struct kv_txn {
    MDB_txn *mdb;
    bool writes;
    enum err broken; /* the error that a write call gave */
    /* Of a read, by table: those who read many keys that follow each other
     * find the next one on the page of the last. NULL: none yet. */
    MDB_cursor *cursors[KV_TABLES_MAX];
    bool found[KV_TABLES_MAX]; /* the cursor stands at what was asked for */
    unsigned misses[KV_TABLES_MAX]; /* since the next pair was the one */
    bool is_stale[KV_TABLES_MAX];   /* to be renewed, as the txn was */
};

struct kv_cursor {
    MDB_cursor *mdb;
    bool at_end; /* LMDB would begin again at the first pair */
};

/* ---- errors -------------------------------------------------------------- */

enum err kv_lmdb__error(const struct kv_lmdb *lmdb, const char *what,
                        int number)
{
    enum err err;
    switch (number) {
    case MDB_NOTFOUND:
        return ERR_NOT_FOUND; /* an answer, so no note */
    case MDB_MAP_FULL:
        err = ERR_NO_SPACE;
        break;
    case MDB_TXN_FULL:
        err = ERR_TOO_LARGE;
        break;
    case MDB_READERS_FULL:
        err = ERR_FULL;
        break;
    case MDB_PANIC: /* a write of the meta page failed before */
        err = ERR_IO;
        break;
    case MDB_PAGE_NOTFOUND:
    case MDB_CORRUPTED:
    case MDB_VERSION_MISMATCH:
    case MDB_INVALID:
    case MDB_PAGE_FULL:
    case MDB_CURSOR_FULL:
    case MDB_INCOMPATIBLE:
    case MDB_KEYEXIST: /* of an append: the table has a greater key */
        err = ERR_CORRUPT;
        break;
    default:
        err = number > 0 ? err_from_errno(number) : ERR_INVALID;
    }
    return err_set(err, "%s: %s: %s", lmdb->path, what, mdb_strerror(number));
}

/* ---- transactions -------------------------------------------------------- */

static struct kv_txn *txn_new(MDB_txn *mdb, bool writes)
{
    struct kv_txn *txn = mem_alloc_zero(sizeof *txn);
    txn->mdb = mdb;
    txn->writes = writes;
    return txn;
}

static enum err begin(struct kv *kv, unsigned flags, struct kv_txn **out)
{
    struct kv_lmdb *lmdb = kv_lmdb__of(kv);
    MDB_txn *mdb = NULL;
    *out = NULL;
    int number = mdb_txn_begin(lmdb->env, NULL, flags, &mdb);
    if (number)
        return kv_lmdb__error(lmdb, "begin", number);
    *out = txn_new(mdb, flags == 0);
    return ERR_OK;
}

static enum err begin_read(struct kv *kv, struct kv_txn **out)
{
    return begin(kv, MDB_RDONLY, out);
}

static void reset(struct kv *kv, struct kv_txn *txn)
{
    (void)kv;
    CHECK(!txn->writes);
    mdb_txn_reset(txn->mdb);
}

static enum err renew(struct kv *kv, struct kv_txn *txn)
{
    CHECK(!txn->writes);
    int number = mdb_txn_renew(txn->mdb);
    for (size_t i = 0; i < KV_TABLES_MAX; i++)
        txn->is_stale[i] = true;
    return number ? kv_lmdb__error(kv_lmdb__of(kv), "renew", number) : ERR_OK;
}

static void end_read(struct kv *kv, struct kv_txn *txn)
{
    (void)kv;
    CHECK(!txn->writes);
    for (size_t i = 0; i < KV_TABLES_MAX; i++)
        if (txn->cursors[i])
            mdb_cursor_close(txn->cursors[i]);
    mdb_txn_abort(txn->mdb);
    mem_free(txn);
}

static enum err begin_write(struct kv *kv, struct kv_txn **out)
{
    return begin(kv, 0, out);
}

static void abort_write(struct kv *kv, struct kv_txn *txn)
{
    (void)kv;
    CHECK(txn->writes);
    mdb_txn_abort(txn->mdb);
    mem_free(txn);
}

static enum err commit(struct kv *kv, struct kv_txn *txn)
{
    CHECK(txn->writes);
    enum err err = txn->broken;
    if (err) {
        /* The note of the call that failed may be overwritten by now. */
        err_set(err, "%s: commit: a write had failed", kv_lmdb__of(kv)->path);
        mdb_txn_abort(txn->mdb);
    } else {
        int number = mdb_txn_commit(txn->mdb);
        if (number)
            err = kv_lmdb__error(kv_lmdb__of(kv), "commit", number);
    }
    mem_free(txn);
    return err;
}

/* ---- pairs --------------------------------------------------------------- */

static MDB_val val_of(struct slice slice)
{
    /* LMDB takes what it only reads without a const. */
    return (MDB_val){slice.size, (void *)(uintptr_t)slice.at};
}

static struct slice slice_of_val(const MDB_val *val)
{
    return slice_of(val->mv_data, val->mv_size);
}

static void check_key(kv_table table, struct slice key)
{
    CHECK_LT(table, KV_TABLES_MAX);
    CHECK_LE(1, key.size);
    CHECK_LE(key.size, KV_KEY_BYTES_MAX);
}

static int cursor_of(struct kv_lmdb *lmdb, struct kv_txn *txn, kv_table table,
                     MDB_cursor **out)
{
    MDB_cursor **cursor = &txn->cursors[table];
    int number = 0;
    if (!*cursor)
        number = mdb_cursor_open(txn->mdb, lmdb->dbis[table], cursor);
    else if (txn->is_stale[table])
        number = mdb_cursor_renew(txn->mdb, *cursor);
    txn->is_stale[table] = number != 0;
    *out = *cursor;
    return number;
}

/* Whether the pair behind the cursor's is the one: what was written one after
 * the other is often read so, and that costs a tenth of a search. */
static bool is_next(MDB_cursor *cursor, const MDB_val *key, MDB_val *value)
{
    MDB_val found;
    return mdb_cursor_get(cursor, &found, value, MDB_NEXT) == 0 &&
           found.mv_size == key->mv_size &&
           memcmp(found.mv_data, key->mv_data, key->mv_size) == 0;
}

/* Looked for behind the last one as long as that was of use, and now and then
 * anew. */
static int find(struct kv_lmdb *lmdb, struct kv_txn *txn, kv_table table,
                MDB_val *key, MDB_val *value)
{
    MDB_cursor *cursor;
    if (txn->writes)
        return mdb_get(txn->mdb, lmdb->dbis[table], key, value);
    bool stands = txn->cursors[table] != NULL && !txn->is_stale[table] &&
                  txn->found[table];
    int number = cursor_of(lmdb, txn, table, &cursor);
    if (number)
        return number;
    unsigned misses = txn->misses[table];
    if (stands && (misses == 0 || ++txn->misses[table] % TRY_NEXT_EVERY == 0)) {
        if (is_next(cursor, key, value)) {
            txn->misses[table] = 0;
            return 0;
        }
        txn->misses[table] |= 1;
    }
    number = mdb_cursor_get(cursor, key, value, MDB_SET);
    txn->found[table] = number == 0;
    return number;
}

static enum err get(struct kv *kv, struct kv_txn *txn, kv_table table,
                    struct slice key, struct slice *value)
{
    check_key(table, key);
    struct kv_lmdb *lmdb = kv_lmdb__of(kv);
    MDB_val k = val_of(key), v;
    int number = find(lmdb, txn, table, &k, &v);
    if (number)
        return kv_lmdb__error(lmdb, "get", number);
    *value = slice_of_val(&v);
    return ERR_OK;
}

static enum err put_with(struct kv *kv, struct kv_txn *txn, kv_table table,
                         struct slice key, struct slice value, unsigned flags)
{
    check_key(table, key);
    CHECK(txn->writes && txn->broken == ERR_OK);
    struct kv_lmdb *lmdb = kv_lmdb__of(kv);
    MDB_val k = val_of(key), v = val_of(value);
    int number = mdb_put(txn->mdb, lmdb->dbis[table], &k, &v, flags);
    if (number)
        txn->broken = kv_lmdb__error(lmdb, "put", number);
    return txn->broken;
}

static enum err put(struct kv *kv, struct kv_txn *txn, kv_table table,
                    struct slice key, struct slice value)
{
    return put_with(kv, txn, table, key, value, 0);
}

static enum err append(struct kv *kv, struct kv_txn *txn, kv_table table,
                       struct slice key, struct slice value)
{
    return put_with(kv, txn, table, key, value, MDB_APPEND);
}

static enum err del(struct kv *kv, struct kv_txn *txn, kv_table table,
                    struct slice key)
{
    check_key(table, key);
    CHECK(txn->writes && txn->broken == ERR_OK);
    struct kv_lmdb *lmdb = kv_lmdb__of(kv);
    MDB_val k = val_of(key);
    int number = mdb_del(txn->mdb, lmdb->dbis[table], &k, NULL);
    if (number == MDB_NOTFOUND)
        return ERR_NOT_FOUND;
    if (number)
        txn->broken = kv_lmdb__error(lmdb, "del", number);
    return txn->broken;
}

/* LMDB lists all the pages as ONE entry of its tree of free pages, so that
 * whoever takes some of them later rewrites what is left of the entry. Hence
 * kv.h's advice about large tables. */
static enum err clear(struct kv *kv, struct kv_txn *txn, kv_table table)
{
    CHECK_LT(table, KV_TABLES_MAX);
    CHECK(txn->writes && txn->broken == ERR_OK);
    struct kv_lmdb *lmdb = kv_lmdb__of(kv);
    int number = mdb_drop(txn->mdb, lmdb->dbis[table], 0);
    if (number)
        txn->broken = kv_lmdb__error(lmdb, "clear", number);
    return txn->broken;
}

/* ---- cursors ------------------------------------------------------------- */

static enum err cursor_open(struct kv *kv, struct kv_txn *txn, kv_table table,
                            struct kv_cursor **out)
{
    CHECK_LT(table, KV_TABLES_MAX);
    struct kv_lmdb *lmdb = kv_lmdb__of(kv);
    MDB_cursor *mdb = NULL;
    *out = NULL;
    int number = mdb_cursor_open(txn->mdb, lmdb->dbis[table], &mdb);
    if (number)
        return kv_lmdb__error(lmdb, "open a cursor", number);
    struct kv_cursor *cursor = mem_alloc_zero(sizeof *cursor);
    cursor->mdb = mdb;
    *out = cursor;
    return ERR_OK;
}

static void cursor_close(struct kv *kv, struct kv_cursor *cursor)
{
    (void)kv;
    mdb_cursor_close(cursor->mdb);
    mem_free(cursor);
}

static enum err cursor_move(struct kv *kv, struct kv_cursor *cursor, MDB_val *k,
                            MDB_cursor_op op, struct slice *key,
                            struct slice *value)
{
    MDB_val v;
    int number = mdb_cursor_get(cursor->mdb, k, &v, op);
    cursor->at_end = number == MDB_NOTFOUND;
    if (cursor->at_end)
        return ERR_END;
    if (number)
        return kv_lmdb__error(kv_lmdb__of(kv), "walk", number);
    *key = slice_of_val(k);
    *value = slice_of_val(&v);
    return ERR_OK;
}

static enum err cursor_seek(struct kv *kv, struct kv_cursor *cursor,
                            struct slice from, struct slice *key,
                            struct slice *value)
{
    MDB_val k = val_of(from);
    /* LMDB has no empty key, not even to compare with. */
    return cursor_move(kv, cursor, &k, from.size ? MDB_SET_RANGE : MDB_FIRST,
                       key, value);
}

static enum err cursor_next(struct kv *kv, struct kv_cursor *cursor,
                            struct slice *key, struct slice *value)
{
    if (cursor->at_end)
        return ERR_END;
    MDB_val k;
    return cursor_move(kv, cursor, &k, MDB_NEXT, key, value);
}

static void forget(struct kv *kv)
{
    struct kv_lmdb *lmdb = kv_lmdb__of(kv);
    MDB_envinfo info;
    CHECK_EQ(mdb_env_info(lmdb->env, &info), 0);
    /* Only a hint: where it can't be taken, nothing is lost. */
    if (lmdb->map)
        madvise(lmdb->map, (info.me_last_pgno + 1) * lmdb->page_bytes,
                MADV_DONTNEED);
}

/* ---- opening ------------------------------------------------------------- */

static const struct kv_ops ops = {
    .begin_read = begin_read,
    .reset = reset,
    .renew = renew,
    .end_read = end_read,
    .begin_write = begin_write,
    .commit = commit,
    .abort = abort_write,
    .get = get,
    .put = put,
    .append = append,
    .del = del,
    .clear = clear,
    .cursor_open = cursor_open,
    .cursor_close = cursor_close,
    .cursor_seek = cursor_seek,
    .cursor_next = cursor_next,
    .stat = kv_lmdb__stat,
    .forget = forget,
};

static char *file_path(const char *path)
{
    struct stat info;
    struct buf buf = {0};
    buf_append_str(&buf, path);
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
        buf_append_str(&buf, "/db");
    buf_append_char(&buf, 0);
    return buf.at;
}

/* LMDB answers most damage with an error, but some ends in an assertion. */
static void on_damage(MDB_env *env, const char *message)
{
    const struct kv_lmdb *lmdb = mdb_env_get_userctx(env);
    log_error("kv",
              "the file is damaged: restore it from a snapshot, or remove "
              "this member and add it anew",
              LOG_STR("file", lmdb->path), LOG_STR("found", message));
    check_failed(lmdb->path, 0, message);
}

/* One try with one size. LMDB wants a new environment after each failure. */
static int try_env(struct kv_lmdb *lmdb, uint64_t map_bytes, bool no_sync)
{
    /* NOTLS: a read transaction belongs to its object, not to its thread.
     * NORDAHEAD: what is read is scattered, and would push out what is in
     * use. */
    unsigned flags = MDB_NOSUBDIR | MDB_NOTLS | MDB_NORDAHEAD;
    if (no_sync)
        flags |= MDB_NOSYNC;
    int number = mdb_env_create(&lmdb->env);
    if (number)
        return number;
    mdb_env_set_userctx(lmdb->env, lmdb);
    mdb_env_set_assert(lmdb->env, on_damage);
    number = mdb_env_set_mapsize(lmdb->env, map_bytes);
    if (number == 0)
        number = mdb_env_set_maxdbs(lmdb->env, KV_TABLES_MAX);
    if (number == 0)
        number = mdb_env_set_maxreaders(lmdb->env, READERS_MAX);
    if (number == 0)
        number = mdb_env_open(lmdb->env, lmdb->path, flags, 0600);
    if (number) {
        mdb_env_close(lmdb->env);
        lmdb->env = NULL;
    }
    return number;
}

static enum err open_env(struct kv_lmdb *lmdb,
                         const struct kv_lmdb_config *config)
{
    uint64_t bytes = config->map_bytes ? config->map_bytes : MAP_BYTES_DEFAULT;
    int number;
    while ((number = try_env(lmdb, bytes, config->no_sync)) == ENOMEM &&
           bytes / 2 >= MAP_BYTES_MIN)
        bytes /= 2;
    return number ? kv_lmdb__error(lmdb, "open", number) : ERR_OK;
}

/* A file that was cut short would end the process by SIGBUS where it is
 * read. Made as long as it should be, the lost pages are zero, which LMDB
 * takes notice of. (The last pages may rightly be missing, when they were
 * given back before they were ever written: then nobody reads them. So to be
 * short is no error in itself.) */
static enum err mend_length(struct kv_lmdb *lmdb)
{
    MDB_envinfo info;
    MDB_stat stat;
    struct stat file;
    int fd;
    CHECK_EQ(mdb_env_info(lmdb->env, &info), 0);
    CHECK_EQ(mdb_env_stat(lmdb->env, &stat), 0);
    CHECK_EQ(mdb_env_get_fd(lmdb->env, &fd), 0);
    lmdb->fd = fd;
    lmdb->page_bytes = stat.ms_psize;
    if (fstat(fd, &file))
        return kv_lmdb__error(lmdb, "size", errno);
    off_t needed = (off_t)((info.me_last_pgno + 1) * stat.ms_psize);
    if (file.st_size >= needed)
        return ERR_OK;
    log_warn("kv", "the file is shorter than its pages",
             LOG_STR("file", lmdb->path), LOG_INT("bytes", file.st_size),
             LOG_INT("expected", needed));
    if (ftruncate(fd, needed))
        return kv_lmdb__error(lmdb, "make longer", errno);
    return ERR_OK;
}

/* One line of /proc/self/maps: "from-to flags offset device inode path". */
static void *map_of_line(const char *line, ino_t inode, uint64_t map_bytes)
{
    char *at;
    uintptr_t from = strtoull(line, &at, 16);
    if (*at != '-')
        return NULL;
    uintptr_t to = strtoull(at + 1, &at, 16);
    if (to - from != map_bytes || strncmp(at, " r--s ", 6) != 0)
        return NULL;
    strtoull(at + 6, &at, 16);
    at = strchr(at + 1, ' ');
    return at && strtoull(at, NULL, 10) == inode ? (void *)from : NULL;
}

static void find_map(struct kv_lmdb *lmdb)
{
    MDB_envinfo info;
    struct stat file;
    char line[256]; /* of a longer one, the rest is a line that matches not */
    FILE *maps = fopen("/proc/self/maps", "re");
    if (maps == NULL)
        return;
    CHECK_EQ(mdb_env_info(lmdb->env, &info), 0);
    if (fstat(lmdb->fd, &file) == 0)
        while (lmdb->map == NULL && fgets(line, sizeof line, maps))
            lmdb->map = map_of_line(line, file.st_ino, info.me_mapsize);
    fclose(maps);
}

/* The handles are good for all transactions once this one is committed. */
static int open_tables(struct kv_lmdb *lmdb, unsigned flags)
{
    MDB_txn *txn;
    bool reads = flags == 0;
    int number = mdb_txn_begin(lmdb->env, NULL, reads ? MDB_RDONLY : 0, &txn);
    if (number)
        return number;
    for (unsigned i = 0; i < KV_TABLES_MAX; i++) {
        char name[3] = {(char)('0' + i), 0, 0};
        if (i >= 10) {
            name[0] = '1';
            name[1] = (char)('0' + i - 10);
        }
        number = mdb_dbi_open(txn, name, flags, &lmdb->dbis[i]);
        if (number) {
            mdb_txn_abort(txn);
            return number;
        }
    }
    return mdb_txn_commit(txn);
}

static enum err open_rest(struct kv_lmdb *lmdb)
{
    int dead = 0;
    enum err err = mend_length(lmdb);
    if (err)
        return err;
    find_map(lmdb);
    /* A reader that crashed would keep old pages from being used again. */
    int number = mdb_reader_check(lmdb->env, &dead);
    if (number)
        return kv_lmdb__error(lmdb, "check readers", number);
    if (dead)
        log_info("kv", "removed stale readers", LOG_STR("file", lmdb->path),
                 LOG_INT("count", dead));
    /* Only the first start has to write. */
    number = open_tables(lmdb, 0);
    if (number == MDB_NOTFOUND)
        number = open_tables(lmdb, MDB_CREATE);
    return number ? kv_lmdb__error(lmdb, "open tables", number) : ERR_OK;
}

enum err kv_lmdb_open(const char *path, const struct kv_lmdb_config *config,
                      struct kv **out)
{
    *out = NULL;
    struct kv_lmdb *lmdb = mem_alloc_zero(sizeof *lmdb);
    lmdb->kv.ops = &ops;
    lmdb->path = file_path(path);
    CHECK_EQ(pthread_mutex_init(&lmdb->stat_mutex, NULL), 0);
    enum err err = open_env(lmdb, config);
    if (err)
        goto err_after_path;
    err = open_rest(lmdb);
    if (err)
        goto err_after_env;
    *out = &lmdb->kv;
    return ERR_OK;

err_after_env:
    mdb_env_close(lmdb->env);
err_after_path:
    pthread_mutex_destroy(&lmdb->stat_mutex);
    mem_free(lmdb->path);
    mem_free(lmdb);
    return err;
}

void kv_lmdb_close(struct kv *kv)
{
    struct kv_lmdb *lmdb = kv_lmdb__of(kv);
    mdb_env_close(lmdb->env);
    pthread_mutex_destroy(&lmdb->stat_mutex);
    mem_free(lmdb->path);
    mem_free(lmdb);
}
