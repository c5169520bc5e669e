/* Many snapshots of the kv in memory at once: each stays as it was, whatever
 * writers do, on one thread and on several. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/prng.h"
#include "memory/kv_memory.h"

enum { KEYS = 64, SNAPSHOTS = 16, ROUNDS = 400 };

static struct kv *kv;

static int setup(void **state)
{
    (void)state;
    kv = kv_memory_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kv_memory_free(kv);
    return 0;
}

static struct slice key_of(unsigned i, char out[4])
{
    put_be32(out, i * 0x9e3779b1u);
    return slice_of(out, 4);
}

/* 0: it is not there. */
static uint64_t number_at(struct kv_txn *txn, unsigned i)
{
    char key[4];
    struct slice value;
    enum err err = kv->ops->get(kv, txn, 3, key_of(i, key), &value);
    CHECK(err == ERR_OK || err == ERR_NOT_FOUND);
    return err == ERR_OK ? get_le64(value.at) : 0;
}

static void set_number(struct kv_txn *txn, unsigned i, uint64_t number)
{
    char key[4], value[8];
    put_le64(value, number);
    enum err err = number ? kv->ops->put(kv, txn, 3, key_of(i, key),
                                         slice_of(value, sizeof value))
                          : kv->ops->del(kv, txn, 3, key_of(i, key));
    CHECK(err == ERR_OK || (number == 0 && err == ERR_NOT_FOUND));
}

static struct kv_txn *begin_write(void)
{
    struct kv_txn *txn = NULL;
    CHECK_EQ(kv->ops->begin_write(kv, &txn), ERR_OK);
    return txn;
}

static void commit(struct kv_txn *txn)
{
    CHECK_EQ(kv->ops->commit(kv, txn), ERR_OK);
}

/* ---- one thread ---------------------------------------------------------- */

struct twin {
    uint64_t numbers[KEYS];
};

struct snapshot {
    struct kv_txn *txn;
    struct twin twin;
};

static void agrees(struct kv_txn *txn, const struct twin *twin)
{
    for (unsigned i = 0; i < KEYS; i++)
        assert_int_equal(number_at(txn, i), twin->numbers[i]);
}

static void change(struct prng *prng, struct twin *twin, uint64_t round)
{
    struct kv_txn *txn = begin_write();
    struct twin changed = *twin;
    if (prng_below(prng, 30) == 0) {
        assert_int_equal(kv->ops->clear(kv, txn, 3), ERR_OK);
        changed = (struct twin){0};
    }
    for (uint64_t n = prng_below(prng, 20); n > 0; n--) {
        unsigned i = (unsigned)prng_below(prng, KEYS);
        changed.numbers[i] = prng_below(prng, 3) ? round : 0;
        set_number(txn, i, changed.numbers[i]);
    }
    agrees(txn, &changed);
    if (prng_below(prng, 5) == 0) {
        kv->ops->abort(kv, txn);
        return;
    }
    commit(txn);
    *twin = changed;
}

static void take(struct snapshot *snapshot, const struct twin *now)
{
    enum err err = snapshot->txn ? (kv->ops->reset(kv, snapshot->txn),
                                    kv->ops->renew(kv, snapshot->txn))
                                 : kv->ops->begin_read(kv, &snapshot->txn);
    assert_int_equal(err, ERR_OK);
    snapshot->twin = *now;
}

static void each_snapshot_stays_as_it_was(void **state)
{
    (void)state;
    struct snapshot snapshots[SNAPSHOTS] = {0};
    struct twin now = {0};
    struct prng prng;
    prng_init(&prng, 4711);
    for (uint64_t round = 1; round <= ROUNDS; round++) {
        struct snapshot *one = &snapshots[prng_below(&prng, SNAPSHOTS)];
        change(&prng, &now, round);
        if (one->txn)
            agrees(one->txn, &one->twin);
        take(one, &now);
        if (round % 50 != 0)
            continue;
        for (unsigned i = 0; i < SNAPSHOTS; i++)
            if (snapshots[i].txn)
                agrees(snapshots[i].txn, &snapshots[i].twin);
    }
    for (unsigned i = 0; i < SNAPSHOTS; i++) {
        agrees(snapshots[i].txn, &snapshots[i].twin);
        kv->ops->end_read(kv, snapshots[i].txn);
    }
}

static void a_cursor_walks_its_snapshot(void **state)
{
    (void)state;
    struct kv_txn *reader;
    struct kv_cursor *cursor;
    struct slice key, value, last = {0};
    struct kv_txn *txn = begin_write();
    for (unsigned i = 0; i < KEYS; i++)
        set_number(txn, i, 1);
    commit(txn);
    assert_int_equal(kv->ops->begin_read(kv, &reader), ERR_OK);
    assert_int_equal(kv->ops->cursor_open(kv, reader, 3, &cursor), ERR_OK);
    enum err err = kv->ops->cursor_seek(kv, cursor, SLICE(""), &key, &value);
    for (unsigned i = 0; i < KEYS; i++) {
        assert_int_equal(err, ERR_OK);
        assert_int_equal(get_le64(value.at), 1);
        assert_true(i == 0 || slice_cmp(last, key) < 0);
        last = key; /* good as long as the transaction */
        txn = begin_write();
        set_number(txn, i, 0);
        set_number(txn, KEYS + i, 2);
        commit(txn);
        err = kv->ops->cursor_next(kv, cursor, &key, &value);
    }
    assert_int_equal(err, ERR_END);
    assert_int_equal(kv->ops->cursor_next(kv, cursor, &key, &value), ERR_END);
    kv->ops->cursor_close(kv, cursor);
    kv->ops->end_read(kv, reader);
}

static void after_a_crash_every_call_fails(void **state)
{
    (void)state;
    struct kv_txn *txn, *reader;
    struct slice value;
    char key[4];
    txn = begin_write();
    set_number(txn, 1, 7);
    commit(txn);
    assert_int_equal(kv->ops->begin_read(kv, &reader), ERR_OK);
    txn = begin_write();
    kv_memory_crash(kv);
    assert_int_equal(kv->ops->get(kv, reader, 3, key_of(1, key), &value),
                     ERR_IO);
    assert_int_equal(kv->ops->put(kv, txn, 3, key_of(2, key), SLICE("1")),
                     ERR_IO);
    assert_int_equal(kv->ops->commit(kv, txn), ERR_IO);
    kv->ops->end_read(kv, reader);
    assert_int_equal(kv->ops->begin_read(kv, &reader), ERR_IO);
    assert_int_equal(kv->ops->begin_write(kv, &txn), ERR_IO);
    kv = kv_memory_reopen(kv);
    assert_int_equal(kv->ops->begin_read(kv, &reader), ERR_OK);
    assert_int_equal(number_at(reader, 1), 7);
    assert_int_equal(number_at(reader, 2), 0);
    kv->ops->end_read(kv, reader);
}

/* ---- several ------------------------------------------------------------- */

enum { WRITERS = 2, READERS = 2, TOTAL = 1000000, MOVES = 300 };

static atomic_uint writers_left;
static atomic_uint looks;

/* Moves a number from one key to another: the sum is always the same. */
static void *write_on(void *context)
{
    struct prng prng;
    prng_init(&prng, (uint64_t)(uintptr_t)context);
    for (unsigned n = 0; n < MOVES; n++) {
        struct kv_txn *txn = begin_write();
        unsigned from = (unsigned)prng_below(&prng, KEYS);
        unsigned to = (from + 1 + (unsigned)prng_below(&prng, KEYS - 1)) % KEYS;
        uint64_t have = number_at(txn, from);
        uint64_t moved = have ? prng_below(&prng, have + 1) : 0;
        set_number(txn, from, have - moved);
        set_number(txn, to, number_at(txn, to) + moved);
        if (prng_below(&prng, 4) == 0)
            kv->ops->abort(kv, txn);
        else
            commit(txn);
    }
    atomic_fetch_sub(&writers_left, 1);
    return NULL;
}

static void *read_on(void *unused)
{
    struct kv_txn *txn;
    (void)unused;
    CHECK_EQ(kv->ops->begin_read(kv, &txn), ERR_OK);
    do {
        uint64_t sum = 0;
        for (unsigned i = 0; i < KEYS; i++)
            sum += number_at(txn, i);
        CHECK_EQ(sum, TOTAL);
        kv->ops->reset(kv, txn);
        CHECK_EQ(kv->ops->renew(kv, txn), ERR_OK);
        atomic_fetch_add(&looks, 1);
    } while (atomic_load(&writers_left) > 0);
    kv->ops->end_read(kv, txn);
    return NULL;
}

static void threads_see_whole_transactions(void **state)
{
    (void)state;
    pthread_t threads[WRITERS + READERS];
    struct kv_txn *txn = begin_write();
    set_number(txn, 0, TOTAL);
    commit(txn);
    atomic_store(&writers_left, WRITERS);
    for (uintptr_t i = 0; i < WRITERS + READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL,
                                        i < WRITERS ? write_on : read_on,
                                        (void *)(i + 1)),
                         0);
    for (unsigned i = 0; i < WRITERS + READERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_true(atomic_load(&looks) >= READERS);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        STORY(each_snapshot_stays_as_it_was),
        STORY(a_cursor_walks_its_snapshot),
        STORY(after_a_crash_every_call_fails),
        STORY(threads_see_whole_transactions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
