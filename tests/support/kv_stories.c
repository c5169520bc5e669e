#include "support/kv_stories.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/prng.h"

/* ---- a little language --------------------------------------------------- */

static const struct kv_tenant *tenant;
static struct kv *kv;

static struct kv_txn *begin_read(void)
{
    struct kv_txn *txn = NULL;
    assert_int_equal(kv->ops->begin_read(kv, &txn), ERR_OK);
    return txn;
}

static void end_read(struct kv_txn *txn)
{
    kv->ops->end_read(kv, txn);
}

static struct kv_txn *begin_write(void)
{
    struct kv_txn *txn = NULL;
    assert_int_equal(kv->ops->begin_write(kv, &txn), ERR_OK);
    return txn;
}

static void commit(struct kv_txn *txn)
{
    assert_int_equal(kv->ops->commit(kv, txn), ERR_OK);
}

static void put(struct kv_txn *txn, kv_table table, const char *key,
                const char *value)
{
    assert_int_equal(
        kv->ops->put(kv, txn, table, slice_str(key), slice_str(value)), ERR_OK);
}

static enum err del(struct kv_txn *txn, kv_table table, const char *key)
{
    return kv->ops->del(kv, txn, table, slice_str(key));
}

static void clear(struct kv_txn *txn, kv_table table)
{
    assert_int_equal(kv->ops->clear(kv, txn, table), ERR_OK);
}

static void put_alone(kv_table table, const char *key, const char *value)
{
    struct kv_txn *txn = begin_write();
    put(txn, table, key, value);
    commit(txn);
}

/* NULL: it is not there. */
static void expect(struct kv_txn *txn, kv_table table, const char *key,
                   const char *value)
{
    struct slice found;
    enum err err = kv->ops->get(kv, txn, table, slice_str(key), &found);
    assert_int_equal(err, value ? ERR_OK : ERR_NOT_FOUND);
    if (value == NULL)
        return;
    assert_int_equal(found.size, strlen(value));
    assert_memory_equal(found.at, value, found.size);
}

static void expect_now(kv_table table, const char *key, const char *value)
{
    struct kv_txn *txn = begin_read();
    expect(txn, table, key, value);
    end_read(txn);
}

static struct kv_cursor *cursor_open(struct kv_txn *txn, kv_table table)
{
    struct kv_cursor *cursor = NULL;
    assert_int_equal(kv->ops->cursor_open(kv, txn, table, &cursor), ERR_OK);
    return cursor;
}

static void expect_seek(struct kv_cursor *cursor, const char *from,
                        const char *key)
{
    struct slice found, value;
    enum err err =
        kv->ops->cursor_seek(kv, cursor, slice_str(from), &found, &value);
    assert_int_equal(err, key ? ERR_OK : ERR_END);
    if (key)
        assert_true(slice_eq(found, slice_str(key)));
}

static void expect_next(struct kv_cursor *cursor, const char *key)
{
    struct slice found, value;
    enum err err = kv->ops->cursor_next(kv, cursor, &found, &value);
    assert_int_equal(err, key ? ERR_OK : ERR_END);
    if (key)
        assert_true(slice_eq(found, slice_str(key)));
}

/* ---- the stories --------------------------------------------------------- */

static void what_is_put_is_got(void)
{
    struct kv_txn *txn = begin_write();
    put(txn, 0, "a", "1");
    put(txn, 0, "empty", "");
    expect(txn, 0, "a", "1"); /* its own writes, before the commit */
    put(txn, 0, "a", "one");
    expect(txn, 0, "a", "one");
    commit(txn);
    expect_now(0, "a", "one");
    expect_now(0, "empty", "");
    expect_now(0, "b", NULL);
    expect_now(0, "aa", NULL);
}

static void tables_are_apart(void)
{
    struct kv_txn *txn = begin_write();
    put(txn, 0, "k", "first");
    put(txn, KV_TABLES_MAX - 1, "k", "last");
    commit(txn);
    expect_now(0, "k", "first");
    expect_now(1, "k", NULL);
    expect_now(KV_TABLES_MAX - 1, "k", "last");
}

static void what_is_deleted_is_gone(void)
{
    put_alone(2, "k", "v");
    struct kv_txn *txn = begin_write();
    assert_int_equal(del(txn, 2, "k"), ERR_OK);
    assert_int_equal(del(txn, 2, "k"), ERR_NOT_FOUND);
    expect(txn, 2, "k", NULL);
    commit(txn);
    expect_now(2, "k", NULL);
}

static void an_abort_leaves_no_trace(void)
{
    put_alone(0, "a", "before");
    struct kv_txn *txn = begin_write();
    put(txn, 0, "a", "after");
    put(txn, 0, "b", "new");
    kv->ops->abort(kv, txn);
    expect_now(0, "a", "before");
    expect_now(0, "b", NULL);
}

static void a_reader_keeps_its_snapshot(void)
{
    put_alone(0, "a", "1");
    struct kv_txn *old = begin_read();
    struct kv_txn *writer = begin_write();
    put(writer, 0, "a", "2");
    put(writer, 0, "b", "2");
    expect(old, 0, "a", "1");
    commit(writer);
    expect(old, 0, "a", "1");
    expect(old, 0, "b", NULL);
    expect_now(0, "a", "2");

    kv->ops->reset(kv, old);
    put_alone(0, "a", "3");
    assert_int_equal(kv->ops->renew(kv, old), ERR_OK);
    expect(old, 0, "a", "3");
    put_alone(0, "a", "4");
    expect(old, 0, "a", "3");
    kv->ops->reset(kv, old);
    end_read(old); /* a reset one may be ended too */
}

static void a_value_stays_while_others_write(void)
{
    put_alone(0, "a", "steady");
    struct kv_txn *reader = begin_read();
    struct slice value;
    assert_int_equal(kv->ops->get(kv, reader, 0, SLICE("a"), &value), ERR_OK);
    for (int i = 0; i < 20; i++)
        put_alone(0, "a", i % 2 ? "odd___" : "even__");
    assert_true(slice_eq(value, SLICE("steady")));
    end_read(reader);
}

static void a_cursor_walks_in_order(void)
{
    struct kv_txn *txn = begin_write();
    const char *keys[] = {"b", "a", "\xff", "ab", "c"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        put(txn, 1, keys[i], "v");
    commit(txn);
    txn = begin_read();
    struct kv_cursor *cursor = cursor_open(txn, 1);
    expect_seek(cursor, "", "a");
    expect_next(cursor, "ab");
    expect_next(cursor, "b");
    expect_next(cursor, "c");
    expect_next(cursor, "\xff");
    expect_next(cursor, NULL);
    expect_next(cursor, NULL); /* and it stays at the end */
    expect_seek(cursor, "aa", "ab");
    expect_seek(cursor, "c", "c");
    expect_seek(cursor, "\xff\xff", NULL);
    expect_next(cursor, NULL);
    expect_seek(cursor, "a", "a");
    kv->ops->cursor_close(kv, cursor);
    cursor = cursor_open(txn, 1);
    expect_next(cursor, "a"); /* a new one stands before the first */
    kv->ops->cursor_close(kv, cursor);
    cursor = cursor_open(txn, 3);
    expect_seek(cursor, "", NULL);
    kv->ops->cursor_close(kv, cursor);
    end_read(txn);
}

static void a_cursor_in_a_write_sees_the_writes(void)
{
    struct kv_txn *txn = begin_write();
    put(txn, 0, "a", "1");
    put(txn, 0, "b", "2");
    put(txn, 0, "c", "3");
    struct kv_cursor *cursor = cursor_open(txn, 0);
    expect_seek(cursor, "a", "a");
    assert_int_equal(del(txn, 0, "a"), ERR_OK);
    expect_next(cursor, "b");
    assert_int_equal(del(txn, 0, "b"), ERR_OK);
    expect_next(cursor, "c");
    assert_int_equal(del(txn, 0, "c"), ERR_OK);
    expect_next(cursor, NULL);
    kv->ops->cursor_close(kv, cursor);
    commit(txn);
}

static void append_takes_the_greatest(void)
{
    struct kv_txn *txn = begin_write();
    char key[8];
    for (uint64_t i = 0; i < 1000; i++) {
        put_be64(key, i);
        assert_int_equal(
            kv->ops->append(kv, txn, 0, slice_of(key, 8), slice_of(key, 8)),
            ERR_OK);
    }
    commit(txn);
    txn = begin_read();
    for (uint64_t i = 0; i < 1000; i++) {
        struct slice value;
        put_be64(key, i);
        assert_int_equal(kv->ops->get(kv, txn, 0, slice_of(key, 8), &value),
                         ERR_OK);
        assert_true(slice_eq(value, slice_of(key, 8)));
    }
    end_read(txn);
}

static void a_table_that_is_cleared_is_empty(void)
{
    put_alone(0, "a", "1");
    put_alone(1, "a", "1");
    put_alone(1, "b", "2");
    put_alone(2, "a", "1");
    struct kv_txn *txn = begin_write();
    clear(txn, 1);
    expect(txn, 1, "a", NULL);
    struct kv_cursor *cursor = cursor_open(txn, 1);
    expect_seek(cursor, "", NULL);
    kv->ops->cursor_close(kv, cursor);
    commit(txn);
    expect_now(0, "a", "1");
    expect_now(1, "a", NULL);
    expect_now(1, "b", NULL);
    expect_now(2, "a", "1");
    kv = tenant->reopen(kv);
    expect_now(1, "b", NULL);
    expect_now(2, "a", "1");
}

static void what_is_clear_may_be_cleared_and_filled_again(void)
{
    struct kv_txn *txn = begin_write();
    clear(txn, 3);
    put(txn, 3, "z", "1");
    clear(txn, 3);
    clear(txn, 3);
    /* What it had doesn't count: this is the greatest key now. */
    assert_int_equal(kv->ops->append(kv, txn, 3, SLICE("a"), SLICE("2")),
                     ERR_OK);
    assert_int_equal(del(txn, 3, "z"), ERR_NOT_FOUND);
    expect(txn, 3, "a", "2");
    commit(txn);
    expect_now(3, "a", "2");
}

static void a_clear_that_is_aborted_never_was(void)
{
    put_alone(4, "a", "1");
    struct kv_txn *txn = begin_write();
    clear(txn, 4);
    put(txn, 4, "b", "2");
    kv->ops->abort(kv, txn);
    expect_now(4, "a", "1");
    expect_now(4, "b", NULL);
}

static void a_reader_keeps_what_is_cleared(void)
{
    put_alone(4, "a", "1");
    struct kv_txn *reader = begin_read();
    struct kv_cursor *cursor = cursor_open(reader, 4);
    expect_seek(cursor, "a", "a");
    struct kv_txn *txn = begin_write();
    clear(txn, 4);
    commit(txn);
    put_alone(4, "b", "2");
    expect(reader, 4, "a", "1");
    expect(reader, 4, "b", NULL);
    expect_next(cursor, NULL);
    kv->ops->cursor_close(kv, cursor);
    kv->ops->reset(kv, reader);
    assert_int_equal(kv->ops->renew(kv, reader), ERR_OK);
    expect(reader, 4, "a", NULL);
    expect(reader, 4, "b", "2");
    end_read(reader);
}

static void room_that_was_cleared_is_counted_as_free(void)
{
    char value[1000] = {0};
    struct kv_stat before, after;
    struct kv_txn *txn = begin_write();
    for (uint64_t i = 0; i < 2000; i++) {
        char key[8];
        put_be64(key, i);
        assert_int_equal(kv->ops->append(kv, txn, 9, slice_of(key, 8),
                                         slice_of(value, sizeof value)),
                         ERR_OK);
    }
    commit(txn);
    kv = tenant->reopen(kv);
    kv->ops->stat(kv, &before);
    assert_true(before.in_use_bytes > 2000 * 1000);
    txn = begin_write();
    clear(txn, 9);
    commit(txn);
    kv = tenant->reopen(kv);
    kv->ops->stat(kv, &after);
    assert_true(after.in_use_bytes < before.in_use_bytes / 4);
}

struct second {
    pthread_t thread;
    atomic_bool wrote;
};

static void *write_second(void *context)
{
    struct second *second = context;
    struct kv_txn *txn = NULL;
    enum err err = kv->ops->begin_write(kv, &txn);
    if (err == ERR_OK) {
        atomic_store(&second->wrote, true);
        err = kv->ops->put(kv, txn, 0, SLICE("second"), SLICE("2"));
    }
    if (err == ERR_OK)
        err = kv->ops->commit(kv, txn);
    return (void *)(uintptr_t)err;
}

static void a_second_writer_waits_for_the_first(void)
{
    struct second second = {0};
    void *result;
    struct kv_txn *txn = begin_write();
    put(txn, 0, "first", "1");
    assert_int_equal(
        pthread_create(&second.thread, NULL, write_second, &second), 0);
    nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL);
    assert_false(atomic_load(&second.wrote));
    commit(txn);
    assert_int_equal(pthread_join(second.thread, &result), 0);
    assert_int_equal((uintptr_t)result, ERR_OK);
    expect_now(0, "first", "1");
    expect_now(0, "second", "2");
}

static void the_largest_keys_and_values_fit(void)
{
    char key[KV_KEY_BYTES_MAX];
    memset(key, 'k', sizeof key);
    size_t size = 3 << 20;
    char *value = mem_alloc(size);
    memset(value, 'v', size);
    struct kv_txn *txn = begin_write();
    assert_int_equal(kv->ops->put(kv, txn, 0, slice_of(key, sizeof key),
                                  slice_of(value, size)),
                     ERR_OK);
    commit(txn);
    txn = begin_read();
    struct slice found;
    assert_int_equal(
        kv->ops->get(kv, txn, 0, slice_of(key, sizeof key), &found), ERR_OK);
    assert_true(slice_eq(found, slice_of(value, size)));
    end_read(txn);
    mem_free(value);
}

static void what_was_committed_is_there_at_the_next_start(void)
{
    struct kv_txn *txn = begin_write();
    put(txn, 0, "a", "1");
    put(txn, 7, "b", "2");
    commit(txn);
    kv = tenant->reopen(kv);
    expect_now(0, "a", "1");
    expect_now(7, "b", "2");
    put_alone(0, "a", "2");
    kv = tenant->reopen(kv);
    expect_now(0, "a", "2");
}

static void the_file_is_counted(void)
{
    char value[1000];
    memset(value, 'v', sizeof value);
    char key[8];
    struct kv_txn *txn = begin_write();
    for (uint64_t i = 0; i < 1000; i++) {
        put_be64(key, i);
        assert_int_equal(kv->ops->put(kv, txn, 0, slice_of(key, 8),
                                      slice_of(value, sizeof value)),
                         ERR_OK);
    }
    commit(txn);
    struct kv_stat full;
    kv->ops->stat(kv, &full);
    assert_true(full.in_use_bytes >= 1000 * 1000);
    assert_true(full.in_use_bytes < 2 * 1000 * 1000);
    assert_true(full.file_bytes >= 1000 * 1000);

    txn = begin_write();
    for (uint64_t i = 0; i < 900; i++) {
        put_be64(key, i);
        assert_int_equal(kv->ops->del(kv, txn, 0, slice_of(key, 8)), ERR_OK);
    }
    commit(txn);
    kv = tenant->reopen(kv);
    struct kv_stat rest;
    kv->ops->stat(kv, &rest);
    assert_true(rest.in_use_bytes < full.in_use_bytes / 4);
    assert_true(rest.in_use_bytes >= 100 * 1000);
    assert_true(rest.file_bytes >= full.in_use_bytes / 2);
}

static void forgetting_loses_nothing(void)
{
    put_alone(0, "a", "1");
    struct kv_txn *txn = begin_read();
    struct slice value;
    kv->ops->forget(kv); /* nothing was read yet */
    assert_int_equal(kv->ops->get(kv, txn, 0, SLICE("a"), &value), ERR_OK);
    kv->ops->forget(kv);
    assert_true(slice_eq(value, SLICE("1")));
    expect(txn, 0, "a", "1");
    end_read(txn);
    kv->ops->forget(kv);
    expect_now(0, "a", "1");
}

/* ---- against a naive twin ------------------------------------------------ */

enum { TWIN_KEYS = 200, TWIN_STEPS = 20000 };

/* 0: not there; else the value is this number. */
struct twin {
    uint32_t value[TWIN_KEYS];
};

static struct slice twin_key(unsigned i, char out[8])
{
    /* Lengths differ too, and some keys are prefixes of others. */
    out[0] = (char)('a' + i % 10);
    out[1] = (char)('a' + i / 10 % 10);
    out[2] = (char)('a' + i / 100);
    return slice_of(out, i % 3 == 0 && i < 100 ? 2 : 3);
}

static void twin_agrees(const struct twin *twin, struct kv_txn *txn)
{
    uint64_t there = 0, walked = 0;
    for (unsigned i = 0; i < TWIN_KEYS; i++) {
        char key[8];
        struct slice value;
        enum err err = kv->ops->get(kv, txn, 5, twin_key(i, key), &value);
        assert_int_equal(err, twin->value[i] ? ERR_OK : ERR_NOT_FOUND);
        if (err == ERR_OK) {
            assert_int_equal(get_le32(value.at), twin->value[i]);
            there++;
        }
    }
    struct kv_cursor *cursor = cursor_open(txn, 5);
    struct slice key, value;
    char last[8] = "";
    size_t last_size = 0;
    enum err err = kv->ops->cursor_seek(kv, cursor, SLICE(""), &key, &value);
    for (; err == ERR_OK; walked++) {
        assert_true(slice_cmp(slice_of(last, last_size), key) < 0);
        memcpy(last, key.at, key.size);
        last_size = key.size;
        err = kv->ops->cursor_next(kv, cursor, &key, &value);
    }
    assert_int_equal(err, ERR_END);
    assert_int_equal(walked, there);
    kv->ops->cursor_close(kv, cursor);
}

static void twin_change(struct prng *prng, struct twin *twin,
                        struct kv_txn *txn, uint32_t number)
{
    unsigned i = (unsigned)prng_below(prng, TWIN_KEYS);
    char key[8];
    struct slice name = twin_key(i, key);
    if (prng_below(prng, 1000) == 0) {
        clear(txn, 5);
        *twin = (struct twin){0};
        return;
    }
    if (prng_below(prng, 3) == 0) {
        enum err err = kv->ops->del(kv, txn, 5, name);
        assert_int_equal(err, twin->value[i] ? ERR_OK : ERR_NOT_FOUND);
        twin->value[i] = 0;
        return;
    }
    char value[600] = {0};
    put_le32(value, number);
    assert_int_equal(kv->ops->put(kv, txn, 5, name,
                                  slice_of(value, 4 + prng_below(prng, 590))),
                     ERR_OK);
    twin->value[i] = number;
}

static void random_steps_agree_with_a_naive_twin(void)
{
    struct prng prng;
    prng_init(&prng, 20260);
    struct twin committed = {0}, old = {0};
    struct kv_txn *reader = begin_read();
    for (uint32_t step = 1; step < TWIN_STEPS;) {
        struct kv_txn *txn = begin_write();
        struct twin changed = committed;
        for (uint64_t n = prng_below(&prng, 400); n > 0; n--)
            twin_change(&prng, &changed, txn, step++);
        if (prng_below(&prng, 4) == 0) {
            kv->ops->abort(kv, txn);
        } else {
            twin_agrees(&changed, txn);
            commit(txn);
            committed = changed;
        }
        twin_agrees(&old, reader);
        if (prng_below(&prng, 3) == 0) {
            kv->ops->reset(kv, reader);
            assert_int_equal(kv->ops->renew(kv, reader), ERR_OK);
            old = committed;
        }
        if (prng_below(&prng, 10) == 0) {
            end_read(reader);
            kv = tenant->reopen(kv);
            reader = begin_read();
            old = committed;
        }
    }
    twin_agrees(&old, reader);
    end_read(reader);
    reader = begin_read();
    twin_agrees(&committed, reader);
    end_read(reader);
}

/* ---- running them -------------------------------------------------------- */

static const struct story {
    const char *name;
    void (*tell)(void);
} stories[] = {
#define STORY(name) \
    {               \
#name, name \
    }
    STORY(what_is_put_is_got),
    STORY(tables_are_apart),
    STORY(what_is_deleted_is_gone),
    STORY(an_abort_leaves_no_trace),
    STORY(a_reader_keeps_its_snapshot),
    STORY(a_value_stays_while_others_write),
    STORY(a_cursor_walks_in_order),
    STORY(a_cursor_in_a_write_sees_the_writes),
    STORY(append_takes_the_greatest),
    STORY(a_table_that_is_cleared_is_empty),
    STORY(what_is_clear_may_be_cleared_and_filled_again),
    STORY(a_clear_that_is_aborted_never_was),
    STORY(a_reader_keeps_what_is_cleared),
    STORY(room_that_was_cleared_is_counted_as_free),
    STORY(a_second_writer_waits_for_the_first),
    STORY(the_largest_keys_and_values_fit),
    STORY(what_was_committed_is_there_at_the_next_start),
    STORY(the_file_is_counted),
    STORY(forgetting_loses_nothing),
    STORY(random_steps_agree_with_a_naive_twin),
};

enum { STORY_COUNT = sizeof stories / sizeof *stories };

static void run_story(void **state)
{
    const struct story *story = *state;
    kv = tenant->open();
    story->tell();
    tenant->close(kv);
}

int kv_stories_run(const struct kv_tenant *of)
{
    struct CMUnitTest tests[STORY_COUNT];
    tenant = of;
    for (size_t i = 0; i < STORY_COUNT; i++)
        tests[i] = (struct CMUnitTest){
            .name = stories[i].name,
            .test_func = run_story,
            .initial_state = (void *)(uintptr_t)&stories[i],
        };
    return _cmocka_run_group_tests(of->name, tests, STORY_COUNT, NULL, NULL);
}
