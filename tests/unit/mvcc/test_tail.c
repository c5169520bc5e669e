/* The tail: a ring of commits, found by their revision. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/prng.h"
#include "mvcc/mvcc_int.h"

static struct tail tail;

static int setup(void **state)
{
    (void)state;
    tail = (struct tail){.first = 2};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tail__deinit(&tail);
    return 0;
}

static struct mvcc_commit *new_commit(revision main, size_t bytes)
{
    struct mvcc_commit *commit = mem_alloc_zero(sizeof *commit);
    atomic_init(&commit->refs, 1);
    commit->main = main;
    commit->bytes = bytes;
    return commit;
}

static void push(size_t bytes)
{
    revision main = tail.first + (revision)tail.count;
    tail__push(&tail, new_commit(main, bytes));
}

static void take(size_t count)
{
    uint64_t bytes = 0;
    struct mvcc_commit **commits = mem_alloc(count * sizeof(*commits));
    for (size_t i = 0; i < count; i++) {
        commits[i] = tail__slot(&tail, i)->commit;
        bytes += commits[i]->bytes;
    }
    tail__take(&tail, count, bytes);
    for (size_t i = 0; i < count; i++)
        mvcc_commit_unref(commits[i]);
    mem_free(commits);
}

static void test_empty(void **state)
{
    (void)state;
    assert_null(tail__get(&tail, 1));
    assert_null(tail__get(&tail, 2));
    assert_null(tail__get(&tail, 0));
    assert_null(tail__get(&tail, INT64_MAX));
    tail__take(&tail, 0, 0);
}

static void test_found_by_revision(void **state)
{
    (void)state;
    for (size_t i = 0; i < 1000; i++)
        push(i);
    assert_int_equal(tail.bytes, 999 * 500);
    assert_null(tail__get(&tail, 1));
    for (revision main = 2; main <= 1001; main++)
        assert_int_equal(tail__get(&tail, main)->main, main);
    assert_null(tail__get(&tail, 1002));
    take(300);
    assert_int_equal(tail.first, 302);
    assert_null(tail__get(&tail, 301));
    for (revision main = 302; main <= 1001; main++)
        assert_int_equal(tail__get(&tail, main)->main, main);
}

static void test_a_new_commit_has_no_mark(void **state)
{
    (void)state;
    for (int i = 0; i < 300; i++) {
        push(1);
        assert_false(tail__slot(&tail, tail.count - 1)->marked);
        tail__slot(&tail, tail.count - 1)->marked = true;
        if (i % 3)
            take(1);
    }
    for (size_t i = 0; i < tail.count; i++)
        assert_true(tail__slot(&tail, i)->marked);
}

/* It goes round and round, grows while it is wrapped, and runs empty. */
static void test_round_and_round(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 2);
    for (int turn = 0; turn < 2000; turn++) {
        for (uint64_t n = prng_below(&prng, 60); n > 0; n--)
            push(n);
        uint64_t most = tail.count < 70 ? tail.count : 70;
        take(turn % 100 == 99 ? tail.count : prng_below(&prng, most + 1));
        uint64_t bytes = 0;
        for (size_t i = 0; i < tail.count; i++) {
            const struct mvcc_commit *commit = tail__slot(&tail, i)->commit;
            assert_int_equal(commit->main, tail.first + (revision)i);
            assert_ptr_equal(tail__get(&tail, commit->main), commit);
            bytes += commit->bytes;
        }
        assert_int_equal(tail.bytes, bytes);
    }
    assert_true(tail.capacity <= 4096);
}

static void test_a_large_ring_is_given_back(void **state)
{
    (void)state;
    for (int i = 0; i < 40000; i++)
        push(1);
    take(39999);
    assert_true(tail.capacity >= 40000);
    take(1);
    assert_int_equal(tail.capacity, 0);
    push(1);
    assert_int_equal(tail__get(&tail, 40002)->main, 40002);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_empty),
        STORY(test_found_by_revision),
        STORY(test_a_new_commit_has_no_mark),
        STORY(test_round_and_round),
        STORY(test_a_large_ring_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
