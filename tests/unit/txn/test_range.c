/* Range: in one piece, and the same in many. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "unit/txn/stories.h"

/* All ways to the same answer. */
#define GETS(request, want)                                    \
    do {                                                       \
        IS(ask(request), want);                                \
        for (size_t bytes_ = 1; bytes_ < 4000; bytes_ *= 13) { \
            IS(scan(request, bytes_, false), want);            \
            IS(scan(request, bytes_, true), want);             \
        }                                                      \
    } while (0)

/* a=3 [2,7,2]  b=1 [3,3,1]  c=2 [4,6,2]  d=1 [5,5,1] */
static void put_some(void)
{
    ask("put a 1");
    ask("put b 1");
    ask("put c 1");
    ask("put d 1");
    ask("put c 2");
    ask("put a 3");
}

static void what_a_range_is(void **state)
{
    (void)state;
    put_some();
    GETS("get b", "b=1 [3,3,1]; count 1 @7");
    GETS("get bb", "count 0 @7");
    GETS("get b..d", "b=1 [3,3,1], c=2 [4,6,2]; count 2 @7");
    GETS("get c..", "c=2 [4,6,2], d=1 [5,5,1]; count 2 @7");
    GETS("get \x01..",
         "a=3 [2,7,2], b=1 [3,3,1], c=2 [4,6,2], d=1 [5,5,1]; count 4 @7");
    GETS("get d..b", "count 0 @7");
    GETS("get b..b", "count 0 @7");
    GETS("get e..", "count 0 @7");
}

static void the_past(void **state)
{
    (void)state;
    put_some();
    ask("del a..c");
    GETS("get a.. rev=4", "a=1 [2,2,1], b=1 [3,3,1], c=1 [4,4,1]; count 3 @8");
    GETS("get a.. rev=7 limit=1", "a=3 [2,7,2]; count 4 more @8");
    GETS("get a.. rev=-1", "c=2 [4,6,2], d=1 [5,5,1]; count 2 @8");
    GETS("get a rev=7", "a=3 [2,7,2]; count 1 @8");
    GETS("get a rev=8", "count 0 @8");
    GETS("get a rev=1", "count 0 @8");
    GETS("get a rev=9", "mvcc: required revision is a future revision");
    compact(5);
    GETS("get a rev=4", "mvcc: required revision has been compacted");
    GETS("get a..c rev=4", "mvcc: required revision has been compacted");
    GETS("get a..c rev=4 count", "mvcc: required revision has been compacted");
    GETS("get a..c rev=5", "a=1 [2,2,1], b=1 [3,3,1]; count 2 @8");
}

static void now_is_what_the_caller_says(void **state)
{
    (void)state;
    struct txn_answer answer = {0};
    put_some();
    mvcc_read_begin(reader);
    assert_int_equal(
        txn_range(reader, range_of("get a..c"), 4, 1 << 20, &answer), ERR_OK);
    IS(show_range(buf_slice(&answer.body), answer.revision),
       "a=1 [2,2,1], b=1 [3,3,1]; count 2 @4");
    txn_answer_deinit(&answer);
    assert_int_equal(
        txn_range(reader, range_of("get a rev=5"), 4, 1 << 20, &answer),
        ERR_OK);
    assert_int_equal(answer.error, V3_FUTURE_REV);
    mvcc_read_end(reader);
}

static void a_limit_does_not_change_the_count(void **state)
{
    (void)state;
    put_some();
    GETS("get a.. limit=2", "a=3 [2,7,2], b=1 [3,3,1]; count 4 more @7");
    GETS("get a.. limit=4 keys",
         "a= [2,7,2], b= [3,3,1], c= [4,6,2], d= [5,5,1]; count 4 @7");
    GETS("get a.. limit=1 count", "count 4 @7");
    GETS("get a limit=1", "a=3 [2,7,2]; count 1 @7");
    GETS("get a count", "count 1 @7");
    GETS("get x count", "count 0 @7");
    GETS("get a keys", "a= [2,7,2]; count 1 @7");
    GETS("get c.. limit=-1", "c=2 [4,6,2], d=1 [5,5,1]; count 2 @7");
}

static void filters_do_not_change_the_count_either(void **state)
{
    (void)state;
    put_some();
    GETS("get a.. minmod=6", "a=3 [2,7,2], c=2 [4,6,2]; count 4 @7");
    GETS("get a.. maxmod=5", "b=1 [3,3,1], d=1 [5,5,1]; count 4 @7");
    GETS("get a.. maxmod=5 limit=1", "b=1 [3,3,1]; count 4 more @7");
    GETS("get a.. minmod=6 limit=2", "a=3 [2,7,2], c=2 [4,6,2]; count 4 @7");
    GETS("get a.. mincreate=3 maxcreate=4",
         "b=1 [3,3,1], c=2 [4,6,2]; count 4 @7");
    GETS("get a.. mincreate=3 limit=1", "b=1 [3,3,1]; count 4 more @7");
    GETS("get a.. mincreate=9", "count 4 @7");
    GETS("get a minmod=8", "count 1 @7");
    GETS("get a maxcreate=1", "count 1 @7");
}

static void by_key_both_ways(void **state)
{
    (void)state;
    put_some();
    GETS("get a.. asc limit=1", "a=3 [2,7,2]; count 4 more @7");
    GETS("get a.. desc limit=2", "d=1 [5,5,1], c=2 [4,6,2]; count 4 more @7");
    GETS("get a..d desc", "c=2 [4,6,2], b=1 [3,3,1], a=3 [2,7,2]; count 3 @7");
    GETS("get b..cc desc keys", "c= [4,6,2], b= [3,3,1]; count 2 @7");
    GETS("get a.. desc maxmod=3", "b=1 [3,3,1]; count 4 @7");
    GETS("get a.. desc rev=3", "b=1 [3,3,1], a=1 [2,2,1]; count 2 @7");
    GETS("get d..a desc", "count 0 @7");
}

static void by_other_than_the_key(void **state)
{
    (void)state;
    put_some();
    GETS("get a.. by=mod desc keys limit=2",
         "a= [2,7,2], c= [4,6,2]; count 4 more @7");
    GETS("get a.. by=create desc keys limit=1", "d= [5,5,1]; count 4 more @7");
    GETS("get a.. by=create asc keys maxcreate=3",
         "a= [2,7,2], b= [3,3,1]; count 4 @7");
    GETS("get a.. by=version asc limit=3",
         "b=1 [3,3,1], d=1 [5,5,1], a=3 [2,7,2]; count 4 more @7");
    /* What is equal stays in the order of keys, either way. */
    GETS("get a.. by=version desc",
         "a=3 [2,7,2], c=2 [4,6,2], b=1 [3,3,1], d=1 [5,5,1]; count 4 @7");
    GETS("get a.. by=value asc",
         "b=1 [3,3,1], d=1 [5,5,1], c=2 [4,6,2], a=3 [2,7,2]; count 4 @7");
    GETS("get a.. by=value desc rev=4 keys",
         "a= [2,2,1], b= [3,3,1], c= [4,4,1]; count 3 @7");
    GETS("get a.. by=value desc count", "count 4 @7");
    GETS("get a.. by=value desc minmod=8", "count 4 @7");
}

/* etcd fetches limit + 1 keys first, if no order is asked for. */
static void a_target_alone_sorts_what_was_cut(void **state)
{
    (void)state;
    put_some();
    GETS("get a.. by=mod keys",
         "b= [3,3,1], d= [5,5,1], c= [4,6,2], a= [2,7,2]; count 4 @7");
    GETS("get a.. by=mod keys limit=1", "b= [3,3,1]; count 4 more @7");
    GETS("get a.. by=mod keys limit=2",
         "b= [3,3,1], c= [4,6,2]; count 4 more @7");
    GETS("get a.. by=mod keys limit=2 maxmod=9",
         "b= [3,3,1], d= [5,5,1]; count 4 more @7");
    GETS("get a.. by=mod keys limit=2 rev=6",
         "a= [2,2,1], b= [3,3,1]; count 4 more @7");
}

static void values_that_begin_alike(void **state)
{
    (void)state;
    ask("put a 1234567");
    ask("put b 12345678");
    ask("put c 123456789");
    ask("put d 12345678");
    ask("put e 123456");
    ask("put f 1234568");
    ask("put g 1234567z");
    ask("put h -");
    GETS("get a..z by=value asc limit=5",
         "h= [9,9,1], e=123456 [6,6,1], a=1234567 [2,2,1], b=12345678 "
         "[3,3,1], d=12345678 [5,5,1]; count 8 more @9");
    GETS("get a..z by=value desc limit=5",
         "f=1234568 [7,7,1], g=1234567z [8,8,1], c=123456789 [4,4,1], "
         "b=12345678 [3,3,1], d=12345678 [5,5,1]; count 8 more @9");
}

static void of_many_the_best(void **state)
{
    (void)state;
    for (int i = 0; i < 300; i++) {
        struct buf line = {0};
        buf_printf(&line, "put k%03d %d%c", i * 7 % 300, i * 11 % 300, 0);
        ask(line.at);
        buf_deinit(&line);
    }
    flush();
    GETS("get k..l by=mod desc keys limit=2",
         "k293= [301,301,1], k286= [300,300,1]; count 300 more @301");
    GETS("get k..l desc keys limit=2",
         "k299= [259,259,1], k298= [216,216,1]; count 300 more @301");
    GETS("get k..l by=value asc limit=2",
         "k000=0 [2,2,1], k137=1 [193,193,1]; count 300 more @301");
    GETS("get k.. rev=100 keys limit=1", "k000= [2,2,1]; count 99 more @301");
}

static void what_is_too_long_is_refused(void **state)
{
    (void)state;
    static const char *const requests[] = {"get a..", "get a.. desc", "get a",
                                           "get a.. by=value"};
    put_some();
    mvcc_read_begin(reader);
    for (size_t i = 0; i < 4; i++) {
        const Etcdserverpb__RangeRequest *range = range_of(requests[i]);
        struct txn_answer answer = {0};
        assert_int_equal(txn_range(reader, range, 7, 5, &answer),
                         ERR_TOO_LARGE);
        assert_int_equal(answer.body.size, 0);
        assert_int_equal(txn_range(reader, range, 7, 100, &answer), ERR_OK);
        txn_answer_deinit(&answer);
    }
    mvcc_read_end(reader);
}

/* ---- while it is in pieces ----------------------------------------------- */

static struct txn_scan *new_scan(const char *request, revision now)
{
    struct txn_answer answer = {0};
    struct txn_scan *of;
    assert_int_equal(txn_scan_new(reader, range_of(request), now, &answer, &of),
                     ERR_OK);
    assert_non_null(of);
    return of;
}

/* In between the keys that it stands on are deleted, and others come. */
static void a_scan_sees_one_revision(void **state)
{
    (void)state;
    static const char *const requests[] = {"get a..", "get a.. desc",
                                           "get a.. by=version desc"};
    static const char *const answers[] = {
        "a=3 [2,7,2], b=1 [3,3,1], c=2 [4,6,2], d=1 [5,5,1]; count 4 @7",
        "d=1 [5,5,1], c=2 [4,6,2], b=1 [3,3,1], a=3 [2,7,2]; count 4 @7",
        "a=3 [2,7,2], c=2 [4,6,2], b=1 [3,3,1], d=1 [5,5,1]; count 4 @7",
    };
    put_some();
    for (size_t i = 0; i < 3; i++) {
        struct buf body = {0};
        bool done = false;
        mvcc_read_begin(reader);
        struct txn_scan *of = new_scan(requests[i], 7);
        while (!done) {
            assert_int_equal(txn_scan_next(of, reader, 1, &body, &done),
                             ERR_OK);
            mvcc_read_end(reader);
            ask("del a..");
            ask("put c 0");
            ask("put a0 0");
            ask("put bb 0");
            mvcc_read_begin(reader);
        }
        mvcc_read_end(reader);
        IS(show_range(buf_slice(&body), 7), answers[i]);
        txn_scan_free(of);
        buf_deinit(&body);
        ask("del a..");
    }
}

static void a_scan_that_takes_too_long(void **state)
{
    (void)state;
    static const char *const requests[] = {"get a..", "get a.. desc",
                                           "get a.. by=version desc"};
    for (size_t i = 0; i < 3; i++) {
        struct buf body = {0};
        bool done;
        revision now, compacted;
        put_some();
        mvcc_read_begin(reader);
        mvcc_reader_revisions(reader, &now, &compacted);
        struct txn_scan *of = new_scan(requests[i], now);
        assert_int_equal(txn_scan_next(of, reader, 1, &body, &done), ERR_OK);
        mvcc_read_end(reader);
        ask("del a..");
        compact(now + 1);
        mvcc_read_begin(reader);
        assert_int_equal(txn_scan_next(of, reader, 1, &body, &done),
                         ERR_COMPACTED);
        mvcc_read_end(reader);
        txn_scan_free(of);
        buf_deinit(&body);
    }
}

/* Where a filter lets nothing pass the lock isn't kept. */
static void a_scan_looks_at_so_many_keys_at_once(void **state)
{
    (void)state;
    enum { MANY = 25000 };
    struct buf body = {0};
    bool done = false;
    size_t calls = 0;
    mvcc_begin(store, clock_ns);
    for (uint32_t i = 0; i < MANY; i++) {
        char key[4];
        put_be32(key, i);
        mvcc_put(store, &(struct mvcc_put){.table = MVCC_KEYS,
                                           .cause = MVCC_PUT,
                                           .key = slice_of(key, 4)});
    }
    mvcc_commit_unref(mvcc_commit(store));
    mvcc_read_begin(reader);
    Etcdserverpb__RangeRequest *range = range_of("get x.. minmod=9");
    range->key = message_data(slice_of("\0", 1));
    struct txn_answer answer = {0};
    struct txn_scan *of;
    assert_int_equal(txn_scan_new(reader, range, 2, &answer, &of), ERR_OK);
    for (; !done; calls++)
        assert_int_equal(txn_scan_next(of, reader, 100, &body, &done), ERR_OK);
    assert_int_equal(calls, 3);
    IS(show_range(buf_slice(&body), 2), "count 25000 @2");
    txn_scan_free(of);
    mvcc_read_end(reader);
    buf_deinit(&body);
}

static void a_sort_without_memory(void **state)
{
    (void)state;
    struct txn_answer answer = {0};
    put_some();
    mvcc_read_begin(reader);
    const Etcdserverpb__RangeRequest *range = range_of("get a.. by=mod desc");
    mem_fail_after(1);
    assert_int_equal(txn_range(reader, range, 7, 1000, &answer), ERR_NO_MEMORY);
    mem_fail_after(0);
    txn_answer_deinit(&answer);
    mvcc_read_end(reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(what_a_range_is),
        STORY(the_past),
        STORY(now_is_what_the_caller_says),
        STORY(a_limit_does_not_change_the_count),
        STORY(filters_do_not_change_the_count_either),
        STORY(by_key_both_ways),
        STORY(by_other_than_the_key),
        STORY(a_target_alone_sorts_what_was_cut),
        STORY(values_that_begin_alike),
        STORY(of_many_the_best),
        STORY(what_is_too_long_is_refused),
        STORY(a_scan_sees_one_revision),
        STORY(a_scan_that_takes_too_long),
        STORY(a_scan_looks_at_so_many_keys_at_once),
        STORY(a_sort_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
