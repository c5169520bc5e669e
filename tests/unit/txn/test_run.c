/* Txns: what they compare, and what they do in which order. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/txn/stories.h"

static const char *is(const char *compare)
{
    struct buf line = {0};
    const char *answer;
    buf_printf(&line, "txn if %s%c", compare, 0);
    answer = ask(line.at);
    buf_deinit(&line);
    assert_true(answer[0] == 'y' || answer[0] == 'n');
    return answer[0] == 'y' ? "yes" : "no";
}

static void a_key_is_compared(void **state)
{
    (void)state;
    grant(7);
    ask("put a 1");
    ask("put a 2 lease=7"); /* [2,3,2] */
    IS(is("version a = 2"), "yes");
    IS(is("version a > 1"), "yes");
    IS(is("version a > 2"), "no");
    IS(is("version a < 2"), "no");
    IS(is("version a != 2"), "no");
    IS(is("create a = 2"), "yes");
    IS(is("create a < 3"), "yes");
    IS(is("mod a = 3"), "yes");
    IS(is("mod a != 2"), "yes");
    IS(is("mod a > 3"), "no");
    IS(is("value a = 2"), "yes");
    IS(is("value a > 1"), "yes");
    IS(is("value a > 10"), "yes");
    IS(is("value a < 2"), "no");
    IS(is("value a > -"), "yes");
    IS(is("lease a = 7"), "yes");
    IS(is("lease a = 0"), "no");
}

static void a_key_that_is_not_there(void **state)
{
    (void)state;
    ask("put a 1");
    ask("del a");
    IS(is("version a = 0"), "yes");
    IS(is("create a = 0"), "yes");
    IS(is("mod a = 0"), "yes");
    IS(is("mod a < 1"), "yes");
    IS(is("mod a > 0"), "no");
    IS(is("lease a = 0"), "yes");
    IS(is("version b = 0"), "yes");
    /* It has no value, not even an empty one. */
    IS(is("value a = -"), "no");
    IS(is("value a != 1"), "no");
}

static void a_range_is_compared_key_by_key(void **state)
{
    (void)state;
    ask("put a 1");
    ask("put b 1");
    ask("put c 2");
    IS(is("value a..c = 1"), "yes");
    IS(is("value a.. = 1"), "no");
    IS(is("mod a.. > 1"), "yes");
    IS(is("mod b.. > 3"), "no");
    IS(is("version a.. = 1"), "yes");
    IS(is("version x.. = 0"), "yes");
    IS(is("version c..a = 0"), "yes");
    IS(is("value x.. = 1"), "no");
}

static void what_is_not_sent_counts_as_nothing(void **state)
{
    (void)state;
    ask("put a 1");
    ask("put b -");
    IS(is("version a > unset"), "yes");
    IS(is("create a = unset"), "no");
    IS(is("mod x = unset"), "yes");
    IS(is("lease a = unset"), "yes");
    IS(is("value a = unset"), "no");
    IS(is("value b = unset"), "yes");
    /* A number for another target isn't looked at. */
    Etcdserverpb__TxnRequest *txn = txn_of("txn if version a = 1");
    txn->compare[0]->target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD;
    struct txn_answer answer = {0};
    mvcc_read_begin(reader);
    assert_int_equal(txn_read(reader, txn, &answer), ERR_OK);
    assert_int_equal(answer.body.size, 0); /* no */
    mvcc_read_end(reader);
    txn_answer_deinit(&answer);
}

static bool succeeds(Etcdserverpb__TxnRequest *txn)
{
    struct txn_answer answer = {0};
    mvcc_read_begin(reader);
    assert_int_equal(txn_read(reader, txn, &answer), ERR_OK);
    mvcc_read_end(reader);
    bool yes = answer.body.size > 0;
    txn_answer_deinit(&answer);
    return yes;
}

/* As etcd: an unknown result is true, an unknown target equal. */
static void what_nobody_knows_is_compared_too(void **state)
{
    (void)state;
    Etcdserverpb__TxnRequest *txn = txn_of("txn if version a = 1");
    assert_false(succeeds(txn));
    txn->compare[0]->target = (Etcdserverpb__Compare__CompareTarget)9;
    assert_true(succeeds(txn));
    txn->compare[0]->result = ETCDSERVERPB__COMPARE__COMPARE_RESULT__LESS;
    assert_false(succeeds(txn));
    txn->compare[0]->result = (Etcdserverpb__Compare__CompareResult)9;
    assert_true(succeeds(txn));
}

static void all_comparisons_must_hold(void **state)
{
    (void)state;
    ask("put a 1");
    IS(ask("txn if version a = 1 , value a = 1 then get a else get b"),
       "yes (a=1 [2,2,1]; count 1 @2) @2");
    IS(ask("txn if version a = 1 , value a = 2 then get a else get b"),
       "no (count 0 @2) @2");
    IS(ask("txn then get a"), "yes (a=1 [2,2,1]; count 1 @2) @2");
    IS(ask("txn"), "yes @2");
    IS(ask("txn if version a = 0"), "no @2");
}

/* ---- writing ------------------------------------------------------------- */

static void a_txn_is_one_revision(void **state)
{
    (void)state;
    IS(ask("txn then put a 1 , put b 2 , put c 3"), "yes (@2) (@2) (@2) @2");
    IS(committed, "a=1 put, b=2 put, c=3 put");
    IS(ask("txn then put a 2 prev , del b..z prev"),
       "yes (was a=1 [2,2,1] @3) (deleted 2: b=2 [2,2,1], c=3 [2,2,1] @3) @3");
    IS(committed, "a=2 put, b! deleteRange, c! deleteRange");
    IS(ask("get a.."), "a=2 [2,3,2]; count 1 @3");
}

static void a_txn_sees_what_it_has_done(void **state)
{
    (void)state;
    ask("put a 1");
    IS(ask("txn then get a.. , put b 2 , get a.. , del a , get a.. , "
           "get a.. rev=2 , get a.. count"),
       "yes (a=1 [2,2,1]; count 1 @2) (@3) "
       "(a=1 [2,2,1], b=2 [3,3,1]; count 2 @3) (deleted 1 @3) "
       "(b=2 [3,3,1]; count 1 @3) (a=1 [2,2,1]; count 1 @3) (count 1 @3) @3");
}

static void the_headers_tell_when_it_began_to_write(void **state)
{
    (void)state;
    ask("put a 1");
    IS(ask("txn then del x , get x , put a 2 , del x , get x"),
       "yes (deleted 0 @2) (count 0 @2) (@3) (deleted 0 @3) (count 0 @3) @3");
    IS(ask("txn then del x , del y..z"),
       "yes (deleted 0 @3) (deleted 0 @3) @3");
    IS(committed, "none");
}

static void txns_within(void **state)
{
    (void)state;
    ask("put a 1");
    /* Comparisons see what was before, wherever they stand. */
    IS(ask("txn then put a 2 , ( if value a = 1 then put b 1 , get a else put "
           "c 1 ) , ( if version b = 0 then ( if mod a = 2 then get b ) )"),
       "yes (@3) (yes (@3) (a=2 [2,3,2]; count 1 @3) @0) "
       "(yes (yes (b=1 [3,3,1]; count 1 @3) @0) @0) @3");
    IS(ask("txn if value a = 1 then put a 3 else ( if version b > 0 then "
           "put b 2 prev else put b 3 ) , get b"),
       "no (yes (was b=1 [3,3,1] @4) @0) (b=2 [3,4,2]; count 1 @4) @4");
}

static void many_txns_within(void **state)
{
    (void)state;
    struct buf line = {0};
    buf_printf(&line, "txn then ( then put k 1 )");
    for (int i = 0; i < 120; i++)
        buf_printf(&line, " , ( if version k = %d then put k%d 1 else get k )",
                   i % 2, i);
    buf_append_char(&line, '\0');
    const char *answer = ask(line.at);
    assert_true(slice_has_prefix(
        slice_str(answer),
        SLICE("yes (yes (@2) @0) (yes (@2) @0) (no (k=1 [2,2,1]; count 1 @2) "
              "@0) (yes (@2) @0) (no")));
    buf_deinit(&line);
    IS(ask("get k.. count"), "count 61 @2");
}

static void what_is_not_taken_is_not_done(void **state)
{
    (void)state;
    IS(ask("txn if version a > 0 then put a 1 , put b - keep-value , "
           "put c 1 lease=9 , get a rev=99 else put d 1"),
       "no (@2) @2");
    IS(committed, "d=1 put");
}

/* ---- what is refused ----------------------------------------------------- */

static void nothing_is_done_where_one_thing_fails(void **state)
{
    (void)state;
    IS(ask("txn then put a 1 , put b - keep-value"), "key not found");
    IS(ask("txn then put a 1 , put b - keep-lease"), "key not found");
    IS(ask("txn then put a 1 , put b 1 lease=7"), "requested lease not found");
    IS(ask("txn then put a 1 , get a rev=2"),
       "mvcc: required revision is a future revision");
    IS(ask("txn then get a rev=2"),
       "mvcc: required revision is a future revision");
    IS(ask("txn then put a 1 , ( then get a , ( then put b 1 lease=7 ) )"),
       "requested lease not found");
    IS(committed, "none");
    IS(ask("get a.."), "count 0 @1");
}

static void puts_are_checked_before_ranges(void **state)
{
    (void)state;
    IS(ask("txn then get a rev=9 , put b 1 lease=7"),
       "requested lease not found");
    /* Here the key comes before the lease. */
    IS(ask("txn then get a rev=9 , put b - keep-value lease=7"),
       "key not found");
}

static void revisions_that_are_gone(void **state)
{
    (void)state;
    ask("put a 1");
    ask("put a 2");
    ask("put a 3");
    /* etcd's first revision is -1 before any compaction. */
    IS(ask("txn then get a rev=-1"), "yes (a=3 [2,4,3]; count 1 @4) @4");
    IS(ask("txn then get a rev=-2"),
       "mvcc: required revision has been compacted");
    compact(3);
    IS(ask("txn then get a rev=3"), "yes (a=2 [2,3,2]; count 1 @4) @4");
    IS(ask("txn then get a rev=2"),
       "mvcc: required revision has been compacted");
    IS(ask("txn then get a rev=-1"),
       "mvcc: required revision has been compacted");
    IS(ask("txn then put a 4 , get a rev=2"),
       "mvcc: required revision has been compacted");
    IS(ask("txn then get a"), "yes (a=3 [2,4,3]; count 1 @4) @4");
}

static void leases_in_a_txn(void **state)
{
    (void)state;
    grant(7);
    IS(ask("txn then put a 1 lease=7 , put b 1 lease=7 , put c 1"),
       "yes (@2) (@2) (@2) @2");
    assert_int_equal(keys_of(7), 2);
    ask("txn then del a , put b - keep-value keep-lease , put c 2 lease=7");
    assert_int_equal(keys_of(7), 2);
    IS(ask("get a.."), "b=1 [2,3,2] lease=7, c=2 [2,3,2] lease=7; count 2 @3");
}

/* etcd panics here: the key is there when it is checked, and then it isn't. */
static void a_put_that_keeps_what_was_deleted(void **state)
{
    (void)state;
    grant(7);
    ask("put b 1 lease=7");
    IS(ask("txn then del a.. , put b - keep-value keep-lease , get b"),
       "yes (deleted 1 @3) (@3) (b= [3,3,1]; count 1 @3) @3");
    assert_int_equal(keys_of(7), 0);
}

static void nobody_waits_for_the_answer(void **state)
{
    (void)state;
    IS(tell("txn then ( then put a 1 prev , get a ) , "
            "( then del a..b prev , get a )"),
       "");
    IS(committed, "a=1 put, a! deleteRange");
    IS(tell("txn then get a"), "");
    IS(tell("txn then put a - keep-value"), "key not found");
}

/* ---- answers that are too long ------------------------------------------- */

enum { LONG = 40 << 20, TIMES = TXN_ANSWER_BYTES_MAX / LONG + 1 };

static char long_value[LONG];

static void put_long(void)
{
    mvcc_begin(store, clock_ns);
    mvcc_put(store, &(struct mvcc_put){.table = MVCC_KEYS,
                                       .cause = MVCC_PUT,
                                       .key = SLICE("long"),
                                       .value = slice_of(long_value, LONG)});
    mvcc_commit_unref(mvcc_commit(store));
}

static void an_answer_has_a_bound(void **state)
{
    (void)state;
    struct buf line = {0};
    put_long();
    buf_printf(&line, "txn then get long");
    for (int i = 1; i < TIMES; i++)
        buf_printf(&line, " , get long");
    size_t reads = line.size;
    buf_append_char(&line, '\0');
    IS(ask(line.at), "request is too large");
    /* What was to be written is written. */
    line.size = reads;
    buf_printf(&line, " , put a 1 , get a%c", 0);
    IS(ask(line.at), "request is too large");
    IS(committed, "a=1 put");
    IS(ask("get a"), "a=1 [3,3,1]; count 1 @3");
    buf_deinit(&line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_key_is_compared),
        STORY(a_key_that_is_not_there),
        STORY(a_range_is_compared_key_by_key),
        STORY(what_is_not_sent_counts_as_nothing),
        STORY(what_nobody_knows_is_compared_too),
        STORY(all_comparisons_must_hold),
        STORY(a_txn_is_one_revision),
        STORY(a_txn_sees_what_it_has_done),
        STORY(the_headers_tell_when_it_began_to_write),
        STORY(txns_within),
        STORY(many_txns_within),
        STORY(what_is_not_taken_is_not_done),
        STORY(nothing_is_done_where_one_thing_fails),
        STORY(puts_are_checked_before_ranges),
        STORY(revisions_that_are_gone),
        STORY(leases_in_a_txn),
        STORY(a_put_that_keeps_what_was_deleted),
        STORY(nobody_waits_for_the_answer),
        STORY(an_answer_has_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
