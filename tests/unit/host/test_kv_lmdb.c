/* The LMDB tenant: the stories of every kv, and what only a file has. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/prng.h"
#include "host/kv_lmdb.h"
#include "support/kv_stories.h"

/* ---- a little language --------------------------------------------------- */

static char directory[256];
static char file[300];
static char lock_file[300];

static void fresh_directory(void)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(directory, sizeof directory, "%s/etched-kv-XXXXXX",
             tmp && strlen(tmp) < 200 ? tmp : "/tmp");
    assert_non_null(mkdtemp(directory));
    snprintf(file, sizeof file, "%s/db", directory);
    snprintf(lock_file, sizeof lock_file, "%s/db-lock", directory);
}

static void remove_directory(void)
{
    unlink(file);
    unlink(lock_file);
    assert_int_equal(rmdir(directory), 0);
}

static int setup(void **state)
{
    (void)state;
    fresh_directory();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    remove_directory();
    return 0;
}

static struct kv *open_with(uint64_t map_bytes)
{
    struct kv_lmdb_config config = {.map_bytes = map_bytes, .no_sync = true};
    struct kv *kv = NULL;
    enum err err = kv_lmdb_open(directory, &config, &kv);
    if (err)
        fail_msg("open: %s (%s)", err_name(err), err_note());
    return kv;
}

static struct kv_txn *begin_write(struct kv *kv)
{
    struct kv_txn *txn = NULL;
    assert_int_equal(kv->ops->begin_write(kv, &txn), ERR_OK);
    return txn;
}

static struct kv_txn *begin_read(struct kv *kv)
{
    struct kv_txn *txn = NULL;
    assert_int_equal(kv->ops->begin_read(kv, &txn), ERR_OK);
    return txn;
}

/* `count` pairs of 1,000 bytes, numbered from `first`, in one transaction. */
static enum err fill(struct kv *kv, uint64_t first, uint64_t count)
{
    char key[8], value[1000];
    memset(value, 'v', sizeof value);
    struct kv_txn *txn = begin_write(kv);
    for (uint64_t i = first; i < first + count; i++) {
        put_be64(key, i);
        enum err err = kv->ops->append(kv, txn, 0, slice_of(key, 8),
                                       slice_of(value, sizeof value));
        if (err) {
            kv->ops->abort(kv, txn);
            return err;
        }
    }
    return kv->ops->commit(kv, txn);
}

/* Walks over all, and counts in *out. */
static enum err read_all(struct kv *kv, uint64_t *out)
{
    struct kv_txn *txn = begin_read(kv);
    struct kv_cursor *cursor = NULL;
    struct slice key, value;
    *out = 0;
    enum err err = kv->ops->cursor_open(kv, txn, 0, &cursor);
    if (err == ERR_OK) {
        err = kv->ops->cursor_seek(kv, cursor, SLICE(""), &key, &value);
        for (; err == ERR_OK; ++*out) {
            assert_int_equal(value.at[value.size - 1], 'v');
            err = kv->ops->cursor_next(kv, cursor, &key, &value);
        }
        kv->ops->cursor_close(kv, cursor);
    }
    kv->ops->end_read(kv, txn);
    return err;
}

/* ---- files --------------------------------------------------------------- */

static void only_the_owner_may_read_the_files(void **state)
{
    (void)state;
    mode_t before = umask(0);
    struct kv *kv = open_with(0);
    umask(before);
    struct stat info;
    assert_int_equal(stat(file, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_int_equal(stat(lock_file, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    kv_lmdb_close(kv);
}

static void a_file_may_be_named_itself(void **state)
{
    (void)state;
    struct kv_lmdb_config config = {.no_sync = true};
    struct kv *kv = NULL;
    assert_int_equal(kv_lmdb_open(file, &config, &kv), ERR_OK);
    assert_int_equal(fill(kv, 0, 10), ERR_OK);
    kv_lmdb_close(kv);
    kv = open_with(0); /* the same, by its directory */
    uint64_t count;
    assert_int_equal(read_all(kv, &count), ERR_END);
    assert_int_equal(count, 10);
    kv_lmdb_close(kv);
}

static void a_start_without_a_change_writes_nothing(void **state)
{
    (void)state;
    kv_lmdb_close(open_with(0));
    struct stat before, after;
    assert_int_equal(stat(file, &before), 0);
    kv_lmdb_close(open_with(0));
    assert_int_equal(stat(file, &after), 0);
    assert_memory_equal(&before.st_mtim, &after.st_mtim, sizeof before.st_mtim);
}

static void a_file_of_something_else_is_refused(void **state)
{
    (void)state;
    FILE *other = fopen(file, "w");
    for (int i = 0; i < 1000; i++)
        fputs("This is a letter, not a database.\n", other);
    fclose(other);
    struct kv_lmdb_config config = {0};
    struct kv *kv = NULL;
    assert_int_equal(kv_lmdb_open(directory, &config, &kv), ERR_CORRUPT);
    assert_null(kv);
    assert_non_null(strstr(err_note(), file));
}

static void a_path_that_leads_nowhere_is_said(void **state)
{
    (void)state;
    struct kv_lmdb_config config = {0};
    struct kv *kv = NULL;
    assert_int_equal(kv_lmdb_open("/nowhere/at/all", &config, &kv),
                     ERR_NOT_FOUND);
    assert_non_null(strstr(err_note(), "/nowhere/at/all: open: "));
}

/* In a process of its own: some damage LMDB answers by an assertion. */
static void read_the_cut_file(int err_out)
{
    struct kv_lmdb_config config = {.no_sync = true};
    struct kv *kv = NULL;
    uint64_t count;
    dup2(err_out, STDERR_FILENO);
    enum err err = kv_lmdb_open(directory, &config, &kv);
    if (err == ERR_OK)
        err = read_all(kv, &count);
    dprintf(STDERR_FILENO, "%s", err_note());
    _exit(err == ERR_CORRUPT ? 0 : 1);
}

static void a_file_that_was_cut_is_named(void **state)
{
    (void)state;
    for (int eighths = 1; eighths < 8; eighths++) {
        struct kv *kv = open_with(0);
        for (uint64_t i = 0; i < 20; i++)
            assert_int_equal(fill(kv, i * 100, 100), ERR_OK);
        kv_lmdb_close(kv);
        struct stat info;
        assert_int_equal(stat(file, &info), 0);
        off_t cut = info.st_size * eighths / 8;
        /* At a page: a part of one has no sum that LMDB could check. */
        assert_int_equal(truncate(file, cut - cut % 4096), 0);
        int said[2], status = 0;
        assert_int_equal(pipe2(said, O_CLOEXEC), 0);
        pid_t pid = fork();
        if (pid == 0)
            read_the_cut_file(said[1]);
        close(said[1]);
        char text[65536] = "";
        size_t size = 0;
        for (ssize_t n;
             (n = read(said[0], text + size, sizeof text - 1 - size)) > 0;)
            size += (size_t)n;
        close(said[0]);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(status == 0 ||
                    (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT));
        assert_non_null(strstr(text, file));
        unlink(file);
    }
}

/* ---- space --------------------------------------------------------------- */

static void more_than_there_is_of_addresses_is_halved(void **state)
{
    (void)state;
    struct kv *kv = open_with(UINT64_C(1) << 50);
    assert_int_equal(fill(kv, 0, 100), ERR_OK);
    kv_lmdb_close(kv);
}

static void a_full_map_is_an_answer(void **state)
{
    (void)state;
    struct kv *kv = open_with(1 << 20);
    assert_int_equal(fill(kv, 0, 100), ERR_OK);
    assert_int_equal(fill(kv, 100, 2000), ERR_NO_SPACE);
    assert_non_null(strstr(err_note(), file));
    uint64_t count;
    assert_int_equal(read_all(kv, &count), ERR_END);
    assert_int_equal(count, 100);
    assert_int_equal(fill(kv, 100, 1), ERR_OK); /* and life goes on */
    kv_lmdb_close(kv);
}

/* A limit on the file's size stands for a full disk. */
static void a_commit_that_cant_be_written_leaves_the_old(void **state)
{
    (void)state;
    struct kv *kv = open_with(0);
    assert_int_equal(fill(kv, 0, 100), ERR_OK);
    struct rlimit before, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 200 * 1024;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    enum err err = fill(kv, 100, 1000);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_not_equal(err, ERR_OK);
    assert_non_null(strstr(err_note(), "commit"));
    uint64_t count;
    assert_int_equal(read_all(kv, &count), ERR_END);
    assert_int_equal(count, 100);
    assert_int_equal(fill(kv, 100, 1000), ERR_OK);
    kv_lmdb_close(kv);
}

static void freed_pages_are_used_again(void **state)
{
    (void)state;
    struct kv *kv = open_with(0);
    uint64_t next = 0;
    uint64_t file_bytes = 0;
    char key[8];
    for (int round = 0; round < 30; round++) {
        assert_int_equal(fill(kv, next, 500), ERR_OK);
        struct kv_txn *txn = begin_write(kv);
        for (uint64_t i = next; i < next + 500; i++) {
            put_be64(key, i);
            assert_int_equal(kv->ops->del(kv, txn, 0, slice_of(key, 8)),
                             ERR_OK);
        }
        assert_int_equal(kv->ops->commit(kv, txn), ERR_OK);
        next += 500;
        struct stat info;
        assert_int_equal(stat(file, &info), 0);
        if (round == 9)
            file_bytes = (uint64_t)info.st_size;
        else if (round > 9)
            assert_true((uint64_t)info.st_size <= file_bytes * 3 / 2);
    }
    struct kv_stat stat;
    kv->ops->stat(kv, &stat);
    assert_true(stat.in_use_bytes < 500 * 1000 / 4);
    assert_true(stat.file_bytes >= 500 * 1000);
    kv_lmdb_close(kv);
}

static void clear_all(struct kv *kv)
{
    struct kv_txn *txn = begin_write(kv);
    assert_int_equal(kv->ops->clear(kv, txn, 0), ERR_OK);
    assert_int_equal(kv->ops->commit(kv, txn), ERR_OK);
}

static void pages_of_a_cleared_table_are_used_again(void **state)
{
    (void)state;
    struct kv *kv = open_with(0);
    uint64_t count;
    struct stat info;
    off_t bytes = 0;
    for (int round = 0; round < 10; round++) {
        for (uint64_t i = 0; i < 8; i++)
            assert_int_equal(fill(kv, i * 500, 500), ERR_OK);
        assert_int_equal(read_all(kv, &count), ERR_END);
        assert_int_equal(count, 4000);
        clear_all(kv);
        assert_int_equal(read_all(kv, &count), ERR_END);
        assert_int_equal(count, 0);
        assert_int_equal(stat(file, &info), 0);
        if (round == 3)
            bytes = info.st_size;
        assert_true(round <= 3 || info.st_size <= bytes * 5 / 4);
    }
    kv_lmdb_close(kv);
    kv = open_with(0);
    assert_int_equal(read_all(kv, &count), ERR_END);
    assert_int_equal(count, 0);
    kv_lmdb_close(kv);
}

/* Values that have pages of their own: those are found through the leaves. */
static void large_values_are_cleared_with_their_pages(void **state)
{
    (void)state;
    enum { VALUES = 20, VALUE_BYTES = 1 << 20 };
    struct kv *kv = open_with(0);
    char *value = mem_alloc_zero(VALUE_BYTES);
    struct stat info;
    for (int round = 0; round < 6; round++) {
        struct kv_txn *txn = begin_write(kv);
        for (uint64_t i = 0; i < VALUES; i++) {
            char key[8];
            put_be64(key, i);
            assert_int_equal(kv->ops->put(kv, txn, 0, slice_of(key, 8),
                                          slice_of(value, VALUE_BYTES)),
                             ERR_OK);
        }
        assert_int_equal(kv->ops->commit(kv, txn), ERR_OK);
        clear_all(kv);
    }
    assert_int_equal(stat(file, &info), 0);
    assert_true(info.st_size < 3 * VALUES * VALUE_BYTES);
    mem_free(value);
    kv_lmdb_close(kv);
}

/* As the writes that fail do, it ends its transaction. */
static void a_clear_that_finds_no_room_is_an_answer(void **state)
{
    (void)state;
    struct kv *kv = open_with(64 << 20);
    uint64_t filled = 0, count;
    while (fill(kv, filled * 1000, 1000) == ERR_OK)
        filled++;
    assert_true(filled > 10);
    struct kv_txn *txn = begin_write(kv);
    enum err err = kv->ops->clear(kv, txn, 0);
    err = err ? (kv->ops->abort(kv, txn), err) : kv->ops->commit(kv, txn);
    assert_true(err == ERR_OK || err == ERR_NO_SPACE);
    assert_int_equal(read_all(kv, &count), ERR_END);
    assert_int_equal(count, err ? filled * 1000 : 0);
    kv_lmdb_close(kv);
}

static long resident_file_kb(void)
{
    char line[256];
    long kb = -1;
    FILE *status = fopen("/proc/self/status", "r");
    assert_non_null(status);
    while (fgets(line, sizeof line, status))
        if (strncmp(line, "RssFile:", 8) == 0)
            kb = strtol(line + 8, NULL, 10);
    fclose(status);
    return kb;
}

static void a_scan_that_is_forgotten_is_not_resident(void **state)
{
    (void)state;
    struct kv *kv = open_with(0);
    for (uint64_t i = 0; i < 32; i++)
        assert_int_equal(fill(kv, i * 500, 500), ERR_OK);
    kv->ops->forget(kv);
    long before = resident_file_kb();
    uint64_t count;
    assert_int_equal(read_all(kv, &count), ERR_END);
    assert_int_equal(count, 16000);
    long scanned = resident_file_kb();
    assert_true(scanned - before > 14000);
    kv->ops->forget(kv);
    assert_true(resident_file_kb() - before < 4000);
    assert_int_equal(read_all(kv, &count), ERR_END);
    assert_int_equal(count, 16000);
    kv_lmdb_close(kv);
}

/* ---- processes and threads ----------------------------------------------- */

static atomic_int stale_lines;

static void count_stale(void *context, enum log_level level, struct slice line)
{
    (void)context;
    (void)level;
    char text[LOG_LINE_BYTES_MAX + 1];
    size_t size = line.size < sizeof text ? line.size : sizeof text - 1;
    memcpy(text, line.at, size);
    text[size] = 0;
    if (strstr(text, "removed stale readers"))
        stale_lines++;
}

/* A process that opens the file, and says so by a byte; with `reads` it dies
 * inside a read, else it waits until `until` is closed. */
static pid_t start_process(bool reads, int said, int until)
{
    pid_t pid = fork();
    assert_int_not_equal(pid, -1);
    if (pid)
        return pid;
    struct kv_lmdb_config config = {.no_sync = true};
    struct kv *kv = NULL;
    struct kv_txn *txn = NULL;
    if (kv_lmdb_open(directory, &config, &kv))
        _exit(1);
    if (reads && kv->ops->begin_read(kv, &txn))
        _exit(1);
    char byte = 'x';
    if (write(said, &byte, 1) != 1)
        _exit(1);
    while (!reads && read(until, &byte, 1) > 0)
        ;
    _exit(0);
}

static void a_reader_that_died_is_cleared_away(void **state)
{
    (void)state;
    int said[2], until[2];
    char byte;
    assert_int_equal(pipe2(said, O_CLOEXEC), 0);
    assert_int_equal(pipe2(until, O_CLOEXEC), 0);
    /* As long as one lives, the lock file isn't made anew. */
    pid_t keeper = fork();
    if (keeper == 0) {
        close(until[1]);
        pid_t inner = start_process(false, said[1], until[0]);
        int status = 1;
        waitpid(inner, &status, 0);
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
    }
    close(until[0]);
    assert_int_equal(read(said[0], &byte, 1), 1);
    pid_t dying = start_process(true, said[1], -1);
    int status = 1;
    assert_int_equal(waitpid(dying, &status, 0), dying);
    assert_int_equal(status, 0);

    log_setup(LOG_TEXT, count_stale, NULL, NULL);
    struct kv *kv = open_with(0);
    log_setup(LOG_TEXT, NULL, NULL, NULL);
    assert_int_equal(stale_lines, 1);
    kv_lmdb_close(kv);
    close(until[1]);
    assert_int_equal(waitpid(keeper, &status, 0), keeper);
    assert_int_equal(status, 0);
    close(said[0]);
    close(said[1]);
}

/* Reads look behind the last one first: whatever the order, what is there is
 * found and what isn't is not. */
static void pairs_are_found_in_any_order(void **state)
{
    enum { PAIRS = 2000, GETS = 40000 };
    (void)state;
    struct kv *kv = open_with(0);
    struct prng prng;
    char key[8], value[8];
    prng_init(&prng, 3);
    struct kv_txn *txn = begin_write(kv);
    for (uint64_t i = 0; i < PAIRS; i++) {
        put_be64(key, 2 * i);
        put_le64(value, 7 * i);
        assert_int_equal(
            kv->ops->append(kv, txn, 0, slice_of(key, 8), slice_of(value, 8)),
            ERR_OK);
    }
    assert_int_equal(kv->ops->commit(kv, txn), ERR_OK);
    txn = begin_read(kv);
    uint64_t at = 0;
    for (int i = 0; i < GETS; i++) {
        struct slice found;
        uint64_t step = prng_below(&prng, 100);
        at = step == 0   ? prng_below(&prng, 2 * PAIRS + 2)
             : step == 1 ? at + 1 /* the odd ones aren't there */
                         : (at + 2) & ~UINT64_C(1);
        put_be64(key, at);
        enum err err = kv->ops->get(kv, txn, 0, slice_of(key, 8), &found);
        bool is_there = at % 2 == 0 && at < 2 * (uint64_t)PAIRS;
        assert_int_equal(err, is_there ? ERR_OK : ERR_NOT_FOUND);
        if (is_there)
            assert_int_equal(get_le64(found.at), 7 * (at / 2));
        if (step == 2) {
            kv->ops->reset(kv, txn);
            assert_int_equal(kv->ops->renew(kv, txn), ERR_OK);
        }
        at = at > 2 * (uint64_t)PAIRS + 4 ? 0 : at;
    }
    kv->ops->end_read(kv, txn);
    kv_lmdb_close(kv);
}

enum { ROUNDS = 300 };

struct race {
    struct kv *kv;
    atomic_bool over;
    atomic_uint failures;
};

static void *read_pairs(void *context)
{
    struct race *race = context;
    struct kv *kv = race->kv;
    struct kv_txn *txn = NULL;
    if (kv->ops->begin_read(kv, &txn)) {
        race->failures++;
        return NULL;
    }
    uint64_t last = 0;
    while (!race->over) {
        struct slice a, b;
        struct kv_stat stat;
        if (kv->ops->get(kv, txn, 0, SLICE("a"), &a) ||
            kv->ops->get(kv, txn, 1, SLICE("b"), &b) ||
            get_le64(a.at) != get_le64(b.at) || get_le64(a.at) < last) {
            race->failures++;
            break;
        }
        last = get_le64(a.at);
        kv->ops->stat(kv, &stat);
        kv->ops->reset(kv, txn);
        kv->ops->forget(kv);
        if (kv->ops->renew(kv, txn))
            race->failures++;
    }
    kv->ops->end_read(kv, txn);
    return NULL;
}

static void write_pair(struct kv *kv, uint64_t number)
{
    char value[8];
    put_le64(value, number);
    struct kv_txn *txn = begin_write(kv);
    assert_int_equal(kv->ops->put(kv, txn, 0, SLICE("a"), slice_of(value, 8)),
                     ERR_OK);
    assert_int_equal(kv->ops->put(kv, txn, 1, SLICE("b"), slice_of(value, 8)),
                     ERR_OK);
    assert_int_equal(kv->ops->commit(kv, txn), ERR_OK);
}

static void readers_on_threads_see_whole_commits(void **state)
{
    (void)state;
    struct race race = {.kv = open_with(0)};
    pthread_t threads[3];
    write_pair(race.kv, 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_pairs, &race),
                         0);
    for (uint64_t i = 1; i < ROUNDS; i++)
        write_pair(race.kv, i);
    race.over = true;
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(race.failures, 0);
    kv_lmdb_close(race.kv);
}

/* A transaction isn't its thread's: what one began, another ends. */
static void *end_elsewhere(void *context)
{
    struct kv *kv = ((void **)context)[0];
    struct kv_txn *txn = ((void **)context)[1];
    struct slice value;
    enum err err = kv->ops->get(kv, txn, 0, SLICE("a"), &value);
    kv->ops->end_read(kv, txn);
    return err == ERR_OK ? NULL : kv;
}

static void a_read_may_move_to_another_thread(void **state)
{
    (void)state;
    struct kv *kv = open_with(0);
    write_pair(kv, 1);
    struct kv_txn *mine = begin_read(kv); /* two at a time in one thread */
    void *context[2] = {kv, begin_read(kv)};
    pthread_t thread;
    void *failed = NULL;
    assert_int_equal(pthread_create(&thread, NULL, end_elsewhere, context), 0);
    assert_int_equal(pthread_join(thread, &failed), 0);
    assert_null(failed);
    kv->ops->end_read(kv, mine);
    kv_lmdb_close(kv);
}

/* ---- the stories --------------------------------------------------------- */

static struct kv *story_open(void)
{
    fresh_directory();
    return open_with(0);
}

static struct kv *story_reopen(struct kv *kv)
{
    kv_lmdb_close(kv);
    return open_with(0);
}

static void story_close(struct kv *kv)
{
    kv_lmdb_close(kv);
    remove_directory();
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(only_the_owner_may_read_the_files),
        CASE(a_file_may_be_named_itself),
        CASE(a_start_without_a_change_writes_nothing),
        CASE(a_file_of_something_else_is_refused),
        CASE(a_path_that_leads_nowhere_is_said),
        CASE(a_file_that_was_cut_is_named),
        CASE(more_than_there_is_of_addresses_is_halved),
        CASE(a_full_map_is_an_answer),
        CASE(a_commit_that_cant_be_written_leaves_the_old),
        CASE(freed_pages_are_used_again),
        CASE(pages_of_a_cleared_table_are_used_again),
        CASE(large_values_are_cleared_with_their_pages),
        CASE(a_clear_that_finds_no_room_is_an_answer),
        CASE(a_scan_that_is_forgotten_is_not_resident),
        CASE(a_reader_that_died_is_cleared_away),
        CASE(pairs_are_found_in_any_order),
        CASE(readers_on_threads_see_whole_commits),
        CASE(a_read_may_move_to_another_thread),
    };
    const struct kv_tenant tenant = {
        .name = "kv_lmdb: the stories of every tenant",
        .open = story_open,
        .reopen = story_reopen,
        .close = story_close,
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return failed + kv_stories_run(&tenant);
}
