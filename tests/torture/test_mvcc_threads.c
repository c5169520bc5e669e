/* Threads on one store, under the lock as node/ holds it: one writes and
 * compacts, one flushes, some read. For ThreadSanitizer, and for the rule
 * that a reader finds each record either in the tail or in its snapshot.
 *
 * Every transaction puts one number under all keys: so whatever revision is
 * read, all keys have the same number, and it is that of the revision. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/prng.h"
#include "mvcc/mvcc.h"
#include "memory/kv_memory.h"

enum { KEYS = 20, READERS = 3, SECONDS = 2, BEHIND = 200 };

static struct kv *kv;
static struct mvcc *store;
/* Writers go first: else the readers would never let one in. */
static pthread_rwlock_t lock =
    PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
static atomic_bool stopped;
static atomic_ulong flushes, reads, compactions;

static struct slice key_of(unsigned i)
{
    static const char keys[] = "abcdefghijklmnopqrstuvwxyz";
    return slice_of(keys + i, 1);
}

/* ---- the writer ---------------------------------------------------------- */

static void write_all(revision main)
{
    char value[8];
    put_le64(value, (uint64_t)main);
    mvcc_begin(store, main * 100);
    for (unsigned i = 0; i < KEYS; i++) {
        struct mvcc_put put = {
            .cause = MVCC_PUT,
            .key = key_of(i),
            .value = slice_of(value, sizeof value),
        };
        mvcc_put(store, &put);
    }
    mvcc_commit_unref(mvcc_commit(store));
    mvcc_set_applied(store, (uint64_t)main, 1);
}

/* One key more, which lives for one revision: the index changes its shape. */
static void write_passing(struct prng *prng)
{
    char key[32];
    snprintf(key, sizeof key, "passing/%u", (unsigned)prng_below(prng, 5000));
    struct mvcc_put put = {.cause = MVCC_PUT, .key = slice_str(key)};
    mvcc_begin(store, 0);
    mvcc_put(store, &put);
    enum err err =
        mvcc_delete(store, MVCC_KEYS, slice_str(key), MVCC_DELETE, 0);
    CHECK(err == ERR_OK);
    mvcc_meta_put(store, slice_str(key), SLICE("x"));
}

static void *write_on(void *context)
{
    (void)context;
    struct prng prng;
    prng_init(&prng, 1);
    for (unsigned turn = 0; !atomic_load(&stopped); turn++) {
        pthread_rwlock_wrlock(&lock);
        revision main = mvcc_next_revision(store);
        if (turn % 7 == 6) {
            write_passing(&prng);
            mvcc_commit_unref(mvcc_commit(store));
            mvcc_set_applied(store, (uint64_t)main, 1);
        } else {
            write_all(main);
        }
        if (turn % 50 == 49 && main > BEHIND) {
            CHECK(mvcc_compact(store, main - BEHIND) == ERR_OK);
            atomic_fetch_add(&compactions, 1);
        }
        mvcc_compact_slice(store, 10);
        pthread_rwlock_unlock(&lock);
    }
    return NULL;
}

/* ---- the backend --------------------------------------------------------- */

static void *flush_on(void *context)
{
    (void)context;
    struct prng prng;
    prng_init(&prng, 2);
    while (!atomic_load(&stopped)) {
        pthread_rwlock_rdlock(&lock);
        struct mvcc_flush *flush =
            mvcc_flush_begin(store, 1 + prng_below(&prng, 30));
        pthread_rwlock_unlock(&lock);
        if (flush == NULL)
            continue;
        if (prng_below(&prng, 10) == 0)
            kv_memory_fail_after(kv, 1 + prng_below(&prng, 50), ERR_DISK_FULL);
        enum err err = mvcc_flush_write(flush);
        kv_memory_fail_after(kv, 0, ERR_OK);
        pthread_rwlock_wrlock(&lock);
        mvcc_flush_done(store, flush, err);
        pthread_rwlock_unlock(&lock);
        mvcc_flush_free(flush);
        atomic_fetch_add(&flushes, 1);
    }
    return NULL;
}

/* ---- the readers --------------------------------------------------------- */

/* The errors that a flush was to meet may meet a reader instead. */
static bool is_injected(enum err err)
{
    return err == ERR_DISK_FULL;
}

static void read_keys(struct mvcc_reader *reader, revision at)
{
    revision seen = 0;
    for (unsigned i = 0; i < KEYS; i++) {
        struct record record;
        enum err err = mvcc_get(reader, MVCC_KEYS, key_of(i), at, &record);
        if (is_injected(err) || err == ERR_NOT_FOUND)
            return;
        CHECK(err == ERR_OK);
        CHECK(record.value.size == 8);
        CHECK_EQ(get_le64(record.value.at), (uint64_t)record.rev.main);
        CHECK(record.rev.main <= at && (seen == 0 || seen == record.rev.main));
        CHECK_EQ(record.rev.sub, i);
        seen = record.rev.main;
    }
}

static void read_history(struct mvcc_reader *reader, revision at)
{
    struct rev from = {at + 1, 0};
    revision last = at;
    for (int i = 0; i < 100; i++) {
        struct record record;
        enum err err = mvcc_history(reader, from, &record);
        if (err == ERR_END || is_injected(err))
            return;
        CHECK(err == ERR_OK);
        CHECK(record.rev.main == last || record.rev.main == last + 1);
        CHECK(record.rev.main == last || record.rev.sub == 0);
        last = record.rev.main;
        from = (struct rev){last, record.rev.sub + 1};
    }
}

static void read_range(struct mvcc_reader *reader, revision at)
{
    struct mvcc_walk walk;
    struct slice key;
    struct rev rev;
    unsigned count = 0;
    uint64_t counted;
    enum err err =
        mvcc_walk_init(&walk, reader, MVCC_KEYS, SLICE("a"), SLICE("zz"), at);
    CHECK(err == ERR_OK);
    while (mvcc_walk_next(&walk, &key, &rev) == ERR_OK) {
        CHECK(slice_eq(key, key_of(count)));
        count++;
    }
    CHECK(count == 0 || count == KEYS);
    err = mvcc_count(reader, MVCC_KEYS, SLICE("a"), SLICE("zz"), at, &counted);
    CHECK(err == ERR_OK && counted == count);
}

static void *read_on(void *context)
{
    struct prng prng;
    prng_init(&prng, *(unsigned *)context);
    struct mvcc_reader *reader;
    enum err err = mvcc_reader_new(store, &reader);
    CHECK(err == ERR_OK);
    while (!atomic_load(&stopped)) {
        struct mvcc_status status;
        pthread_rwlock_rdlock(&lock);
        mvcc_read_begin(reader);
        mvcc_status(store, &status);
        revision low = status.compacted > 2 ? status.compacted : 2;
        if (status.current >= low) {
            revision at = prng_between(&prng, low, status.current);
            read_keys(reader, at);
            read_history(reader, at);
            read_range(reader, at);
            atomic_fetch_add(&reads, 1);
        }
        mvcc_read_end(reader);
        pthread_rwlock_unlock(&lock);
    }
    mvcc_reader_free(reader);
    return NULL;
}

/* ---- all together -------------------------------------------------------- */

static void flush_rest(void)
{
    struct mvcc_flush *flush;
    while (mvcc_compact_slice(store, 1000)) {
    }
    while ((flush = mvcc_flush_begin(store, 1000)) != NULL) {
        enum err err = mvcc_flush_write(flush);
        assert_int_equal(err, ERR_OK);
        mvcc_flush_done(store, flush, err);
        mvcc_flush_free(flush);
    }
}

static void open_store(void)
{
    struct mvcc_config config = {.kv = kv, .seed = 5};
    assert_int_equal(mvcc_open(&config, &store), ERR_OK);
}

static void test_all_at_once(void **state)
{
    (void)state;
    static unsigned seeds[READERS] = {10, 11, 12};
    pthread_t writer, backend, readers[READERS];
    kv = kv_memory_new();
    open_store();
    mvcc_set_applied(store, 1, 1);
    assert_int_equal(pthread_create(&writer, NULL, write_on, NULL), 0);
    assert_int_equal(pthread_create(&backend, NULL, flush_on, NULL), 0);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_on, &seeds[i]),
                         0);
    struct timespec while_they_run = {.tv_sec = SECONDS};
    nanosleep(&while_they_run, NULL);
    atomic_store(&stopped, true);
    pthread_join(writer, NULL);
    pthread_join(backend, NULL);
    for (int i = 0; i < READERS; i++)
        pthread_join(readers[i], NULL);

    /* A compaction is flushed with the next entry that is applied: the writer
     * may have been stopped between the two. */
    struct mvcc_status before, after;
    mvcc_status(store, &before);
    mvcc_set_applied(store, before.applied_index + 1, 1);
    flush_rest();
    mvcc_status(store, &before);
    mvcc_close(store);
    kv = kv_memory_reopen(kv);
    open_store();
    mvcc_status(store, &after);
    assert_int_equal(after.current, before.current);
    assert_int_equal(after.applied_index, before.applied_index);
    assert_int_equal(after.compacted, before.compacted);
    assert_int_equal(after.keys, KEYS);
    mvcc_close(store);
    kv_memory_free(kv);
    assert_true(atomic_load(&reads) > 0 && atomic_load(&flushes) > 0);
    print_message("%lld revisions, %lu reads, %lu flushes, %lu compactions\n",
                  (long long)before.current, atomic_load(&reads),
                  atomic_load(&flushes), atomic_load(&compactions));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
