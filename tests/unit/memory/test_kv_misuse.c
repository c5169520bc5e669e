/* The kv in memory is as strict as LMDB is, or more: what a caller must not do
 * stops the program, so that a test finds it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "memory/kv_memory.h"

static struct kv *kv;

/* Does it in a process of its own; true when that stopped at a CHECK. */
static bool stops(void (*misuse)(void))
{
    int ends[2];
    char text[4096];
    size_t size = 0;
    int how = 0;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        kv = kv_memory_new();
        misuse();
        _exit(0);
    }
    close(ends[1]);
    for (ssize_t got;
         (got = read(ends[0], text + size, sizeof text - 1 - size)) > 0;)
        size += (size_t)got;
    text[size] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(child, &how, 0), child);
    return WIFSIGNALED(how) && WTERMSIG(how) == SIGABRT &&
           strstr(text, "check failed") != NULL;
}

/* ---- a little language --------------------------------------------------- */

static struct kv_txn *begin_read(void)
{
    struct kv_txn *txn = NULL;
    (void)!kv->ops->begin_read(kv, &txn);
    return txn;
}

static struct kv_txn *begin_write(void)
{
    struct kv_txn *txn = NULL;
    (void)!kv->ops->begin_write(kv, &txn);
    return txn;
}

static void put(struct kv_txn *txn, kv_table table, const char *key)
{
    (void)!kv->ops->put(kv, txn, table, slice_str(key), SLICE("v"));
}

static void append(struct kv_txn *txn, const char *key)
{
    (void)!kv->ops->append(kv, txn, 0, slice_str(key), SLICE("v"));
}

static void get(struct kv_txn *txn, kv_table table, struct slice key)
{
    struct slice value;
    (void)!kv->ops->get(kv, txn, table, key, &value);
}

static struct kv_cursor *cursor_of(struct kv_txn *txn, kv_table table)
{
    struct kv_cursor *cursor = NULL;
    (void)!kv->ops->cursor_open(kv, txn, table, &cursor);
    return cursor;
}

/* ---- transactions -------------------------------------------------------- */

/* LMDB would wait for itself. */
static void write_within_a_write(void)
{
    begin_write();
    begin_write();
}

static void commit_a_read(void)
{
    (void)!kv->ops->commit(kv, begin_read());
}

static void abort_a_read(void)
{
    kv->ops->abort(kv, begin_read());
}

static void end_a_write_as_a_read(void)
{
    kv->ops->end_read(kv, begin_write());
}

static void reset_a_write(void)
{
    kv->ops->reset(kv, begin_write());
}

static void reset_twice(void)
{
    struct kv_txn *txn = begin_read();
    kv->ops->reset(kv, txn);
    kv->ops->reset(kv, txn);
}

static void renew_what_is_not_reset(void)
{
    (void)!kv->ops->renew(kv, begin_read());
}

static void free_with_a_transaction(void)
{
    begin_read();
    kv_memory_free(kv);
}

/* ---- pairs --------------------------------------------------------------- */

static void get_no_key(void)
{
    get(begin_read(), 0, SLICE(""));
}

static void get_a_key_that_is_too_long(void)
{
    static char key[KV_KEY_BYTES_MAX + 1];
    get(begin_read(), 0, slice_of(key, sizeof key));
}

static void get_from_a_table_too_many(void)
{
    get(begin_read(), KV_TABLES_MAX, SLICE("k"));
}

static void get_in_a_reset_transaction(void)
{
    struct kv_txn *txn = begin_read();
    kv->ops->reset(kv, txn);
    get(txn, 0, SLICE("k"));
}

static void put_in_a_read(void)
{
    put(begin_read(), 0, "k");
}

static void put_no_key(void)
{
    put(begin_write(), 0, "");
}

static void put_behind_what_failed(void)
{
    struct kv_txn *txn = begin_write();
    kv_memory_fail_after(kv, 1, ERR_NO_SPACE);
    put(txn, 0, "a");
    put(txn, 0, "b");
}

static void del_in_a_read(void)
{
    (void)!kv->ops->del(kv, begin_read(), 0, SLICE("k"));
}

static void append_what_is_less(void)
{
    struct kv_txn *txn = begin_write();
    append(txn, "b");
    append(txn, "a");
}

static void append_what_is_there(void)
{
    struct kv_txn *txn = begin_write();
    append(txn, "b");
    append(txn, "b");
}

static void clear_in_a_read(void)
{
    (void)!kv->ops->clear(kv, begin_read(), 0);
}

static void clear_a_table_too_many(void)
{
    (void)!kv->ops->clear(kv, begin_write(), KV_TABLES_MAX);
}

static void clear_under_a_cursor(void)
{
    struct kv_txn *txn = begin_write();
    cursor_of(txn, 1);
    (void)!kv->ops->clear(kv, txn, 1);
}

static void clear_behind_what_failed(void)
{
    struct kv_txn *txn = begin_write();
    kv_memory_fail_after(kv, 1, ERR_NO_SPACE);
    put(txn, 0, "a");
    (void)!kv->ops->clear(kv, txn, 0);
}

/* ---- cursors ------------------------------------------------------------- */

static void end_with_a_cursor(void)
{
    struct kv_txn *txn = begin_read();
    cursor_of(txn, 0);
    kv->ops->end_read(kv, txn);
}

static void reset_with_a_cursor(void)
{
    struct kv_txn *txn = begin_read();
    cursor_of(txn, 0);
    kv->ops->reset(kv, txn);
}

static void commit_with_a_cursor(void)
{
    struct kv_txn *txn = begin_write();
    cursor_of(txn, 0);
    (void)!kv->ops->commit(kv, txn);
}

static void a_cursor_of_a_table_too_many(void)
{
    cursor_of(begin_read(), KV_TABLES_MAX);
}

static void a_cursor_in_a_reset_transaction(void)
{
    struct kv_txn *txn = begin_read();
    kv->ops->reset(kv, txn);
    cursor_of(txn, 0);
}

/* ---- what is allowed ----------------------------------------------------- */

static void all_that_is_right(void)
{
    static char key[KV_KEY_BYTES_MAX];
    struct kv_txn *txn = begin_write();
    struct kv_cursor *cursor = cursor_of(txn, 1);
    append(txn, "a");
    append(txn, "b");
    (void)!kv->ops->clear(kv, txn, 0); /* the cursor is of another one */
    append(txn, "a");
    kv->ops->cursor_close(kv, cursor);
    struct kv_txn *reader = begin_read(); /* beside a writer */
    (void)!kv->ops->commit(kv, txn);
    txn = begin_write();
    get(txn, KV_TABLES_MAX - 1, slice_of(key, sizeof key));
    kv->ops->abort(kv, txn);
    kv->ops->reset(kv, reader);
    (void)!kv->ops->renew(kv, reader);
    kv->ops->reset(kv, reader);
    kv->ops->end_read(kv, reader); /* reset or not */
    kv_memory_free(kv);
}

static void what_is_right_goes_on(void **state)
{
    (void)state;
    assert_false(stops(all_that_is_right));
}

static void transactions_are_watched(void **state)
{
    (void)state;
    assert_true(stops(write_within_a_write));
    assert_true(stops(commit_a_read));
    assert_true(stops(abort_a_read));
    assert_true(stops(end_a_write_as_a_read));
    assert_true(stops(reset_a_write));
    assert_true(stops(reset_twice));
    assert_true(stops(renew_what_is_not_reset));
    assert_true(stops(free_with_a_transaction));
}

static void pairs_are_watched(void **state)
{
    (void)state;
    assert_true(stops(get_no_key));
    assert_true(stops(get_a_key_that_is_too_long));
    assert_true(stops(get_from_a_table_too_many));
    assert_true(stops(get_in_a_reset_transaction));
    assert_true(stops(put_in_a_read));
    assert_true(stops(put_no_key));
    assert_true(stops(put_behind_what_failed));
    assert_true(stops(del_in_a_read));
    assert_true(stops(append_what_is_less));
    assert_true(stops(append_what_is_there));
    assert_true(stops(clear_in_a_read));
    assert_true(stops(clear_a_table_too_many));
    assert_true(stops(clear_under_a_cursor));
    assert_true(stops(clear_behind_what_failed));
}

static void cursors_are_watched(void **state)
{
    (void)state;
    assert_true(stops(end_with_a_cursor));
    assert_true(stops(reset_with_a_cursor));
    assert_true(stops(commit_with_a_cursor));
    assert_true(stops(a_cursor_of_a_table_too_many));
    assert_true(stops(a_cursor_in_a_reset_transaction));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_right_goes_on),
        cmocka_unit_test(transactions_are_watched),
        cmocka_unit_test(pairs_are_watched),
        cmocka_unit_test(cursors_are_watched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
