/* The tests' own kv tenant: it must behave as LMDB's does, and fail where a
 * test asks it to. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "memory/kv_memory.h"
#include "support/kv_stories.h"

static struct kv_txn *begin_write(struct kv *kv)
{
    struct kv_txn *txn = NULL;
    assert_int_equal(kv->ops->begin_write(kv, &txn), ERR_OK);
    return txn;
}

static bool has(struct kv *kv, struct slice key)
{
    struct kv_txn *txn = NULL;
    assert_int_equal(kv->ops->begin_read(kv, &txn), ERR_OK);
    struct slice value;
    enum err err = kv->ops->get(kv, txn, 0, key, &value);
    kv->ops->end_read(kv, txn);
    return err == ERR_OK;
}

static void the_nth_call_fails_once(void **state)
{
    (void)state;
    struct kv *kv = kv_memory_new();
    kv_memory_fail_after(kv, 3, ERR_DISK_FULL);
    struct kv_txn *txn = begin_write(kv);
    assert_int_equal(kv->ops->put(kv, txn, 0, SLICE("a"), SLICE("1")), ERR_OK);
    assert_int_equal(kv->ops->put(kv, txn, 0, SLICE("b"), SLICE("1")),
                     ERR_DISK_FULL);
    assert_string_equal(err_note(), "put: as the test asked for");
    /* The transaction can't be saved any more. */
    assert_int_equal(kv->ops->commit(kv, txn), ERR_DISK_FULL);
    assert_false(has(kv, SLICE("a")));
    txn = begin_write(kv);
    assert_int_equal(kv->ops->put(kv, txn, 0, SLICE("b"), SLICE("1")), ERR_OK);
    assert_int_equal(kv->ops->commit(kv, txn), ERR_OK);
    assert_true(has(kv, SLICE("b")));
    kv_memory_free(kv);
}

static void a_failed_commit_leaves_nothing(void **state)
{
    (void)state;
    struct kv *kv = kv_memory_new();
    struct kv_txn *txn = begin_write(kv);
    assert_int_equal(kv->ops->put(kv, txn, 0, SLICE("a"), SLICE("1")), ERR_OK);
    kv_memory_fail_after(kv, 1, ERR_IO);
    assert_int_equal(kv->ops->commit(kv, txn), ERR_IO);
    assert_false(has(kv, SLICE("a")));
    uint64_t calls = kv_memory_calls(kv);
    assert_false(has(kv, SLICE("a")));
    assert_int_equal(kv_memory_calls(kv), calls + 2); /* begin, get */
    kv_memory_free(kv);
}

static void a_clear_that_fails_ends_its_transaction(void **state)
{
    (void)state;
    struct kv *kv = kv_memory_new();
    struct kv_txn *txn = begin_write(kv);
    assert_int_equal(kv->ops->put(kv, txn, 0, SLICE("a"), SLICE("1")), ERR_OK);
    assert_int_equal(kv->ops->commit(kv, txn), ERR_OK);
    txn = begin_write(kv);
    kv_memory_fail_after(kv, 1, ERR_NO_SPACE);
    assert_int_equal(kv->ops->clear(kv, txn, 0), ERR_NO_SPACE);
    assert_int_equal(kv->ops->commit(kv, txn), ERR_NO_SPACE);
    assert_true(has(kv, SLICE("a")));
    kv_memory_free(kv);
}

static void only_what_is_there_is_counted(void **state)
{
    (void)state;
    struct kv *kv = kv_memory_new();
    struct kv_stat stat;
    struct kv_txn *txn = begin_write(kv);
    assert_int_equal(kv->ops->put(kv, txn, 0, SLICE("a"), SLICE("123")),
                     ERR_OK);
    assert_int_equal(kv->ops->put(kv, txn, 1, SLICE("b"), SLICE("12345")),
                     ERR_OK);
    assert_int_equal(kv->ops->commit(kv, txn), ERR_OK);
    txn = begin_write(kv);
    assert_int_equal(kv->ops->clear(kv, txn, 0), ERR_OK);
    assert_int_equal(kv->ops->commit(kv, txn), ERR_OK);
    kv->ops->stat(kv, &stat);
    assert_int_equal(stat.in_use_bytes, 6);
    assert_int_equal(stat.file_bytes, 10); /* as it was at its largest */
    kv_memory_free(kv);
}

static void a_crash_keeps_only_what_was_committed(void **state)
{
    (void)state;
    struct kv *kv = kv_memory_new();
    struct kv_txn *txn = begin_write(kv);
    assert_int_equal(kv->ops->put(kv, txn, 0, SLICE("a"), SLICE("1")), ERR_OK);
    assert_int_equal(kv->ops->commit(kv, txn), ERR_OK);
    txn = begin_write(kv);
    assert_int_equal(kv->ops->put(kv, txn, 0, SLICE("b"), SLICE("2")), ERR_OK);
    struct kv_txn *reader;
    assert_int_equal(kv->ops->begin_read(kv, &reader), ERR_OK);
    struct kv_cursor *cursor;
    assert_int_equal(kv->ops->cursor_open(kv, reader, 0, &cursor), ERR_OK);
    kv = kv_memory_reopen(kv); /* with two transactions and a cursor open */
    assert_true(has(kv, SLICE("a")));
    assert_false(has(kv, SLICE("b")));
    kv_memory_free(kv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nth_call_fails_once),
        cmocka_unit_test(a_failed_commit_leaves_nothing),
        cmocka_unit_test(a_clear_that_fails_ends_its_transaction),
        cmocka_unit_test(only_what_is_there_is_counted),
        cmocka_unit_test(a_crash_keeps_only_what_was_committed),
    };
    const struct kv_tenant tenant = {
        .name = "kv_memory: the stories of every tenant",
        .open = kv_memory_new,
        .reopen = kv_memory_reopen,
        .close = kv_memory_free,
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return failed + kv_stories_run(&tenant);
}
