/* Threads of a member that takes snapshots in while it serves: the writer
 * writes and installs, the backend flushes and cleans, a worker writes what
 * comes into the sink, another sends, readers read. For ThreadSanitizer, and
 * for the rule that a reader sees one state or the other and no mixture.
 *
 * In each state all keys have one value: the sender's have a number from
 * SENT on, the receiver's own the revision. */
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
#include "memory/kv_memory.h"
#include "mvcc/mvcc.h"
#include "support/snap_world.h"

enum { KEYS = 30, READERS = 2, SNAPSHOTS = 6, VALUE_BYTES = 40000 };
#define SENT (UINT64_C(1) << 32)

static struct kv *from_file, *to_file;
static struct snap_set *from, *to;
static struct mvcc *store; /* the receiver's */
static pthread_rwlock_t lock =
    PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
static atomic_bool stopped;
static atomic_uint flushes, reads, installed;

/* The transfer's hand to the writer: a sink that is complete. */
static _Atomic(struct snap_sink *) arrived;

/* ---- keys ---------------------------------------------------------------- */

static void put_all(struct mvcc *mvcc, uint64_t number, size_t bytes)
{
    struct buf value = {0};
    put_le64(buf_extend(&value, 8), number);
    memset(buf_extend(&value, bytes), 'v', bytes);
    mvcc_begin(mvcc, 1);
    for (unsigned i = 0; i < KEYS; i++) {
        char key[2] = {'/', (char)('A' + i)};
        mvcc_put(mvcc, &(struct mvcc_put){.cause = MVCC_PUT,
                                          .key = slice_of(key, 2),
                                          .value = buf_slice(&value)});
    }
    mvcc_commit_unref(mvcc_commit(mvcc));
    buf_deinit(&value);
}

static void flush(struct mvcc *mvcc)
{
    struct mvcc_flush *cut;
    while ((cut = mvcc_flush_begin(mvcc, 100)) != NULL) {
        enum err err = mvcc_flush_write(cut);
        CHECK_EQ(err, ERR_OK);
        mvcc_flush_done(mvcc, cut, err);
        mvcc_flush_free(cut);
    }
}

/* ---- the sender: a store that moves on with each snapshot ---------------- */

static void move_on(uint64_t round)
{
    struct mvcc_config config = {.kv = snap_set_kv(from), .seed = 1};
    struct mvcc *mvcc;
    CHECK_EQ(mvcc_open(&config, &mvcc), ERR_OK);
    put_all(mvcc, SENT + round, VALUE_BYTES);
    mvcc_set_applied(mvcc, 1000000 * round, round);
    flush(mvcc);
    mvcc_close(mvcc);
}

/* Takes one snapshot over, waits until it is installed, and gives the place
 * to the cleaning. */
static void *transfer(void *unused)
{
    struct snap_header header = snap_world_header;
    (void)unused;
    for (uint64_t round = 1; round <= SNAPSHOTS; round++) {
        move_on(round);
        struct snap_source *source = snap_world_source(from);
        header.id = round;
        struct snap_sink *sink = snap_world_sink(to, &header);
        if (round % 2) { /* it breaks off once */
            CHECK(!snap_world_send(source, sink, 1));
            snap_sink_close(sink);
            sink = snap_world_sink(to, &header);
            CHECK_EQ(snap_source_seek(source, snap_sink_place(sink)), ERR_OK);
        }
        CHECK(snap_world_send(source, sink, UINT32_MAX));
        atomic_store(&arrived, sink);
        while (atomic_load(&arrived) != NULL)
            nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
        if (round % 3 == 0)
            snap_world_clean(to);
        snap_source_close(source);
    }
    atomic_store(&stopped, true);
    return NULL;
}

/* ---- the receiver -------------------------------------------------------- */

/* While a flush is under way it waits for another turn. */
static void install(void)
{
    struct snap_sink *sink = atomic_load(&arrived);
    if (sink == NULL)
        return;
    pthread_rwlock_wrlock(&lock);
    if (!mvcc_is_flushing(store)) {
        struct mvcc_status status;
        CHECK_EQ(snap_sink_activate(sink), ERR_OK);
        CHECK_EQ(mvcc_reload(store), ERR_OK);
        mvcc_status(store, &status);
        CHECK_EQ(status.keys, KEYS);
        CHECK_EQ(status.applied_index % 1000000, 0);
        atomic_fetch_add(&installed, 1);
        snap_sink_close(sink);
        atomic_store(&arrived, NULL);
    }
    pthread_rwlock_unlock(&lock);
}

static void *write_on(void *unused)
{
    (void)unused;
    while (!atomic_load(&stopped)) {
        install();
        pthread_rwlock_wrlock(&lock);
        struct mvcc_status status;
        mvcc_status(store, &status);
        put_all(store, (uint64_t)status.current + 1, 10);
        mvcc_set_applied(store, status.applied_index + 1, SNAPSHOTS + 1);
        pthread_rwlock_unlock(&lock);
    }
    return NULL;
}

static void *flush_on(void *unused)
{
    (void)unused;
    while (!atomic_load(&stopped)) {
        pthread_rwlock_rdlock(&lock);
        struct mvcc_flush *cut = mvcc_flush_begin(store, 50);
        pthread_rwlock_unlock(&lock);
        if (cut == NULL)
            continue;
        enum err err = mvcc_flush_write(cut);
        CHECK_EQ(err, ERR_OK);
        pthread_rwlock_wrlock(&lock);
        mvcc_flush_done(store, cut, err);
        pthread_rwlock_unlock(&lock);
        mvcc_flush_free(cut);
        atomic_fetch_add(&flushes, 1);
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    }
    return NULL;
}

static void look(struct mvcc_reader *reader)
{
    uint64_t first = 0;
    mvcc_read_begin(reader);
    for (unsigned i = 0; i < KEYS; i++) {
        char key[2] = {'/', (char)('A' + i)};
        struct record record;
        enum err err =
            mvcc_get(reader, MVCC_KEYS, slice_of(key, 2), 0, &record);
        if (err == ERR_NOT_FOUND && i == 0)
            break; /* nothing was written yet */
        CHECK_EQ(err, ERR_OK);
        uint64_t number = get_le64(record.value.at);
        CHECK(number >= SENT || number == (uint64_t)record.rev.main);
        CHECK(i == 0 || number == first);
        first = number;
    }
    mvcc_read_end(reader);
}

static void *read_on(void *context)
{
    while (!atomic_load(&stopped)) {
        pthread_rwlock_rdlock(&lock);
        look(context);
        pthread_rwlock_unlock(&lock);
        atomic_fetch_add(&reads, 1);
    }
    return NULL;
}

static void a_member_serves_while_snapshots_come(void **state)
{
    (void)state;
    struct mvcc_reader *readers[READERS];
    pthread_t threads[READERS + 3];
    struct mvcc_config config;
    from_file = kv_memory_new();
    to_file = kv_memory_new();
    from = snap_world_set(from_file);
    to = snap_world_set(to_file);
    config = (struct mvcc_config){.kv = snap_set_kv(to), .seed = 1};
    assert_int_equal(mvcc_open(&config, &store), ERR_OK);
    for (unsigned i = 0; i < READERS; i++) {
        assert_int_equal(mvcc_reader_new(store, &readers[i]), ERR_OK);
        pthread_create(&threads[i], NULL, read_on, readers[i]);
    }
    pthread_create(&threads[READERS], NULL, write_on, NULL);
    pthread_create(&threads[READERS + 1], NULL, flush_on, NULL);
    pthread_create(&threads[READERS + 2], NULL, transfer, NULL);
    for (unsigned i = 0; i < READERS + 3; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&installed), SNAPSHOTS);
    assert_true(atomic_load(&flushes) > SNAPSHOTS);
    assert_true(atomic_load(&reads) > SNAPSHOTS);
    for (unsigned i = 0; i < READERS; i++)
        mvcc_reader_free(readers[i]);
    mvcc_close(store);
    snap_set_close(from);
    snap_set_close(to);
    kv_memory_free(from_file);
    kv_memory_free(to_file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_member_serves_while_snapshots_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
