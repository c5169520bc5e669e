/* A data directory made of a snapshot's file. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bolt/bolt.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/data_dir.h"
#include "host/kv_lmdb.h"
#include "host/restore.h"
#include "host/sha256.h"
#include "host/snapshot_map.h"
#include "snap/snap.h"

static char root[] = "/tmp/etched-restore-XXXXXX";
static char file_path[64], data_path[64], wal_path[64];

/* ---- the folder ---------------------------------------------------------- */

static int make_root(void **state)
{
    (void)state;
    log_set_level(LOG_ERROR);
    if (mkdtemp(root) == NULL)
        return -1;
    snprintf(file_path, sizeof file_path, "%s/file", root);
    snprintf(data_path, sizeof data_path, "%s/data", root);
    snprintf(wal_path, sizeof wal_path, "%s/log", root);
    return 0;
}

static void remove_all(const char *path)
{
    DIR *folder = opendir(path);
    char inner[PATH_MAX];
    if (folder == NULL) {
        unlink(path);
        return;
    }
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        remove_all(inner);
    }
    closedir(folder);
    rmdir(path);
}

static int clean(void **state)
{
    (void)state;
    remove_all(file_path);
    remove_all(data_path);
    remove_all(wal_path);
    return 0;
}

static int remove_root(void **state)
{
    clean(state);
    return rmdir(root);
}

/* ---- the file ------------------------------------------------------------ */

static enum err take(void *context, uint64_t offset, struct slice bytes)
{
    struct buf *file = context;
    size_t end = (size_t)offset + bytes.size;
    if (end > file->size)
        buf_extend(file, end - file->size);
    memcpy(file->at + offset, bytes.at, bytes.size);
    return ERR_OK;
}

static void write_file(struct slice bytes)
{
    FILE *file = fopen(file_path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes.at, 1, bytes.size, file), bytes.size);
    assert_int_equal(fclose(file), 0);
}

/* One key at revision 2. */
static void make_file(bool with_hash)
{
    struct buf file = {0};
    struct bolt_sink sink = {take, &file};
    struct bolt_writer *writer = bolt_writer_new(&sink, 4096);
    unsigned char hash[SHA256_BYTES];
    uint64_t bytes;
    assert_int_equal(bolt_writer_bucket(writer, SLICE("key")), ERR_OK);
    assert_int_equal(bolt_writer_put(writer,
                                     SLICE("\0\0\0\0\0\0\0\2_\0\0\0\0\0\0\0\0"),
                                     SLICE("\x0a\x01"
                                           "a\x10\x02\x18\x02\x20\x01\x2a\x01"
                                           "b")),
                     ERR_OK);
    assert_int_equal(bolt_writer_finish(writer, 2, &bytes), ERR_OK);
    bolt_writer_free(writer);
    sha256(buf_slice(&file), hash);
    if (with_hash)
        buf_append(&file, hash, sizeof hash);
    write_file(buf_slice(&file));
    buf_deinit(&file);
}

static struct restore_options options(void)
{
    return (struct restore_options){
        .file = file_path,
        .name = "one",
        .data_dir = data_path,
        .wal_dir = "",
        .initial_cluster = "",
        .initial_cluster_token = "token",
        .initial_advertise_peer_urls = "http://127.0.0.1:2380",
    };
}

static enum err run(const struct restore_options *given)
{
    struct etcdb_imported imported;
    return restore_run(given, &imported);
}

static void refuse(const struct restore_options *given, enum err err,
                   const char *why)
{
    assert_int_equal(run(given), err);
    if (strstr(err_note(), why) == NULL)
        fail_msg("\"%s\" isn't in \"%s\"", why, err_note());
}

/* What the store is at, by what is in its file. */
static void expect_store(revision current, revision compacted)
{
    struct data_dir dir;
    struct kv *kv;
    struct snap_set *set;
    struct mvcc *mvcc;
    struct mvcc_status status;
    const struct kv_lmdb_config config = {0};
    assert_int_equal(data_dir_open(data_path, "", false, &dir), ERR_OK);
    assert_int_equal(kv_lmdb_open(dir.db_path, &config, &kv), ERR_OK);
    assert_int_equal(snap_set_open(kv, &set), ERR_OK);
    const struct mvcc_config store = {.kv = snap_set_kv(set)};
    assert_int_equal(mvcc_open(&store, &mvcc), ERR_OK);
    mvcc_status(mvcc, &status);
    assert_int_equal(status.current, current);
    assert_int_equal(status.compacted, compacted);
    assert_int_equal(status.applied_index, 1);
    assert_int_equal(status.keys, 1);
    mvcc_close(mvcc);
    snap_set_close(set);
    kv_lmdb_close(kv);
    data_dir_close(&dir);
}

static bool is_there(const char *folder, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

/* ---- stories ------------------------------------------------------------- */

static void a_directory_is_made(void **state)
{
    (void)state;
    struct restore_options given = options();
    struct etcdb_imported imported;
    struct stat stat_of;
    make_file(true);
    if (restore_run(&given, &imported) != ERR_OK)
        fail_msg("%s", err_note());
    assert_int_equal(imported.revision, 2);
    assert_int_equal(imported.records, 1);
    assert_true(is_there(data_path, "wal/identity"));
    assert_int_equal(stat(data_path, &stat_of), 0);
    assert_int_equal(stat_of.st_mode & 0777, 0700);
    expect_store(2, 0);
    /* Not twice. */
    refuse(&given, ERR_EXISTS, "not empty or could not be read");
    expect_store(2, 0);
}

static void the_log_may_be_elsewhere(void **state)
{
    (void)state;
    struct restore_options given = options();
    given.wal_dir = wal_path;
    make_file(true);
    assert_int_equal(run(&given), ERR_OK);
    assert_true(is_there(wal_path, "identity"));
    assert_false(is_there(data_path, "wal"));
    remove_all(data_path);
    refuse(&given, ERR_EXISTS, "wal-dir \"");
}

static void the_hash_is_checked(void **state)
{
    (void)state;
    struct restore_options given = options();
    struct snapshot_map map;
    make_file(false);
    refuse(&given, ERR_INVALID,
           "snapshot missing hash but --skip-hash-check=false");
    assert_false(is_there(root, "data"));
    make_file(true);
    assert_int_equal(snapshot_map_open(file_path, &map), ERR_OK);
    char *bytes = mem_dup(map.bytes.at, map.bytes.size);
    size_t size = map.bytes.size;
    snapshot_map_close(&map);
    bytes[size - 40] = (char)~bytes[size - 40];
    write_file(slice_of(bytes, size));
    refuse(&given, ERR_CORRUPT, "expected sha256 ");
    assert_false(is_there(root, "data"));
    given.skip_hash_check = true;
    assert_int_equal(run(&given), ERR_OK);
    expect_store(2, 0);
    mem_free(bytes);
}

static void the_revision_is_raised(void **state)
{
    (void)state;
    struct restore_options given = options();
    given.bump = 500;
    given.mark_compacted = true;
    make_file(true);
    assert_int_equal(run(&given), ERR_OK);
    expect_store(502, 502);
}

/* Three members compute the same cluster, each its own id. */
static void members_are_of_one_cluster(void **state)
{
    (void)state;
    static const char *const names[] = {"one", "two", "three"};
    static const char *const urls[] = {"http://127.0.0.1:2380",
                                       "http://127.0.0.1:2381",
                                       "http://127.0.0.1:2382"};
    char texts[3][64];
    make_file(true);
    for (size_t i = 0; i < 3; i++) {
        struct restore_options given = options();
        char path[96];
        given.name = names[i];
        given.initial_advertise_peer_urls = urls[i];
        given.initial_cluster =
            "one=http://127.0.0.1:2380,two=http://127.0.0.1:2381,"
            "three=http://127.0.0.1:2382";
        if (run(&given) != ERR_OK)
            fail_msg("%s", err_note());
        snprintf(path, sizeof path, "%s/wal/identity", data_path);
        FILE *file = fopen(path, "r");
        assert_non_null(file);
        size_t size = fread(texts[i], 1, sizeof texts[i] - 1, file);
        texts[i][size] = '\0';
        fclose(file);
        remove_all(data_path);
    }
    size_t cluster = strlen("cluster 0123456789abcdef\n");
    assert_memory_equal(texts[0], texts[1], cluster);
    assert_memory_equal(texts[0], texts[2], cluster);
    assert_string_not_equal(texts[0], texts[1]);
    assert_string_not_equal(texts[0], texts[2]);
    assert_string_not_equal(texts[1], texts[2]);
}

static void flags_that_cannot_be(void **state)
{
    (void)state;
    struct restore_options given = options();
    make_file(true);
    given.initial_cluster = "other=http://127.0.0.1:2380";
    refuse(&given, ERR_INVALID, "couldn't find local name \"one\"");
    given = options();
    given.initial_advertise_peer_urls = "127.0.0.1";
    assert_int_equal(run(&given), ERR_INVALID);
    given = options();
    given.initial_cluster =
        "one=http://127.0.0.1:2380,two=http://127.0.0.1:2380";
    assert_int_equal(run(&given), ERR_EXISTS);
    assert_false(is_there(root, "data"));
}

static void a_file_that_is_not_there(void **state)
{
    (void)state;
    struct restore_options given = options();
    refuse(&given, ERR_NOT_FOUND, "no such file or directory");
    given.file = root;
    assert_int_not_equal(run(&given), ERR_OK);
    assert_false(is_there(root, "data"));
}

static void a_file_of_something_else(void **state)
{
    (void)state;
    struct restore_options given = options();
    given.skip_hash_check = true;
    write_file(SLICE("this is no database at all"));
    refuse(&given, ERR_CORRUPT, "not a bbolt file");
    write_file(SLICE(""));
    remove_all(data_path);
    refuse(&given, ERR_CORRUPT, "not a bbolt file");
    /* What was begun starts no member. */
    assert_false(is_there(data_path, "wal/identity"));
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, NULL, clean)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_directory_is_made),        STORY(the_log_may_be_elsewhere),
        STORY(the_hash_is_checked),        STORY(the_revision_is_raised),
        STORY(members_are_of_one_cluster), STORY(flags_that_cannot_be),
        STORY(a_file_that_is_not_there),   STORY(a_file_of_something_else),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
