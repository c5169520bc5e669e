/* What is refused before it is proposed, in etcd's order. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/txn/stories.h"

static void a_request_has_a_key(void **state)
{
    (void)state;
    IS(ask("put - 1"), "key is not provided");
    IS(ask("get -"), "key is not provided");
    IS(ask("get -..b"), "key is not provided");
    IS(ask("del -"), "key is not provided");
    IS(ask("txn if version - = 0"), "key is not provided");
    IS(ask("txn then put - 1"), "key is not provided");
    IS(ask("txn then get -"), "key is not provided");
    IS(ask("txn then put a 1 else del -"), "key is not provided");
}

static void of_two_faults_the_first_is_told(void **state)
{
    (void)state;
    IS(ask("put - 1 keep-value keep-lease lease=1"), "key is not provided");
    IS(ask("put a 1 keep-value keep-lease lease=1"), "value is provided");
    IS(ask("put a - keep-value keep-lease lease=1"), "lease is provided");
    ops_max = 1;
    IS(ask("txn if version - = 0 , version b = 0"),
       "too many operations in txn request");
    IS(ask("txn if version - = 0 then put a 1 keep-value"),
       "key is not provided");
    IS(ask("txn then put a 1 keep-value else put - 1"), "value is provided");
    ops_max = 128;
    IS(ask("txn then put a 1 , put a 2 , put - 1"), "key is not provided");
}

static void an_order_that_nobody_knows(void **state)
{
    (void)state;
    Etcdserverpb__RangeRequest *range = range_of("get a..c desc by=value");
    assert_int_equal(txn_check_range(range), V3_OK);
    range->sort_order = (Etcdserverpb__RangeRequest__SortOrder)3;
    assert_int_equal(txn_check_range(range), V3_INVALID_SORT_OPTION);
    range->sort_order = (Etcdserverpb__RangeRequest__SortOrder)-1;
    assert_int_equal(txn_check_range(range), V3_INVALID_SORT_OPTION);
    range->sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__NONE;
    range->sort_target = (Etcdserverpb__RangeRequest__SortTarget)5;
    assert_int_equal(txn_check_range(range), V3_INVALID_SORT_OPTION);
    range->key.len = 0;
    assert_int_equal(txn_check_range(range), V3_EMPTY_KEY);
}

static void an_operation_is_something(void **state)
{
    (void)state;
    IS(ask("txn then nothing"), "key not found");
    IS(ask("txn then put a 1 else ( then nothing )"), "key not found");
}

static void the_longest_list_counts(void **state)
{
    (void)state;
    ops_max = 3;
    IS(ask("txn if version a = 0 , version a = 0 , version a = 0 then "
           "get a , get a , get a else get a , get a , get a"),
       "yes (count 0 @1) (count 0 @1) (count 0 @1) @1");
    IS(ask("txn then get a , get a , get a , get a"),
       "too many operations in txn request");
    IS(ask("txn else get a , get a , get a , get a"),
       "too many operations in txn request");
}

static void a_txn_in_a_txn_has_what_is_left(void **state)
{
    (void)state;
    ops_max = 3;
    IS(ask("txn then ( then get a , get a )"),
       "yes (yes (count 0 @1) (count 0 @1) @0) @1");
    IS(ask("txn then ( then get a , get a , get a )"),
       "too many operations in txn request");
    IS(ask("txn then ( then get a , get a ) , get a"),
       "too many operations in txn request");
    IS(ask("txn then ( then ( then get a ) )"),
       "yes (yes (yes (count 0 @1) @0) @0) @1");
    IS(ask("txn then ( then ( then ( then get a ) ) )"),
       "too many operations in txn request");
}

/* ---- overlaps ------------------------------------------------------------ */

static const char *check(const char *request)
{
    enum v3_error error = txn_check(txn_of(request), ops_max);
    assert_true(error == V3_OK || error == V3_DUPLICATE_KEY);
    return error == V3_OK ? "fine" : "duplicate";
}

static void a_branch_puts_a_key_once(void **state)
{
    (void)state;
    IS(ask("txn then put a 1 , put a 2"), "duplicate key given in txn request");
    IS(check("txn then put a 1 , put b 2 , get a , put c 1"), "fine");
    IS(check("txn then put a 1 , put b 2 , put c 1 , put b 1"), "duplicate");
    IS(check("txn else put a 1 , put a 2"), "duplicate");
    IS(check("txn then put a 1 else put a 2"), "fine");
}

static void a_branch_does_not_put_what_it_deletes(void **state)
{
    (void)state;
    IS(check("txn then put a 1 , del a"), "duplicate");
    IS(check("txn then del a , put a 1"), "duplicate");
    IS(check("txn then del a , del a , del a..b"), "fine");
    IS(check("txn then del a..c , put b 1"), "duplicate");
    IS(check("txn then del a..c , put c 1"), "fine");
    IS(check("txn then del b..c , put a 1"), "fine");
    IS(check("txn then put a 1 else del a"), "fine");
}

/* As etcd, which compares the end "\0" as a text here. */
static void from_the_key_on_is_not_looked_at(void **state)
{
    (void)state;
    IS(check("txn then del a.. , put b 1"), "fine");
    IS(check("txn then del c..a , put b 1"), "fine");
    ask("put b 0");
    IS(ask("txn then del a.. prev , put b 1 , get b"),
       "yes (deleted 1: b=0 [2,2,1] @3) (@3) (b=1 [3,3,1]; count 1 @3) @3");
    IS(ask("txn then put b 2 , del a.. , get b"),
       "yes (@4) (deleted 1 @4) (count 0 @4) @4");
    IS(committed, "b=2 put, b! deleteRange");
}

static void what_a_txn_in_it_puts_is_put(void **state)
{
    (void)state;
    IS(check("txn then ( then put a 1 ) , put a 1"), "duplicate");
    IS(check("txn then put a 1 , ( then put a 1 )"), "duplicate");
    IS(check("txn then ( else put a 1 ) , put a 1"), "duplicate");
    IS(check("txn then ( then put a 1 ) , ( then put a 1 )"), "duplicate");
    IS(check("txn then ( then put a 1 ) , ( else put a 1 )"), "duplicate");
    IS(check("txn then ( then put a 1 else put a 2 )"), "fine");
    IS(check("txn then ( then put a 1 else put a 2 ) , put b 1"), "fine");
    IS(check("txn then ( then put a 1 else put b 2 ) , put b 1"), "duplicate");
    IS(check("txn then ( then put a 1 ) else ( then put a 1 )"), "fine");
    IS(check("txn then ( then ( then put a 1 ) ) , put a 1"), "duplicate");
    IS(check("txn then ( then put a 1 , put a 1 )"), "duplicate");
}

static void deletes_within_count_for_what_follows(void **state)
{
    (void)state;
    IS(check("txn then ( then put a 1 ) , ( then del a )"), "fine");
    IS(check("txn then ( then del a ) , ( then put a 1 )"), "duplicate");
    IS(check("txn then ( else del a ) , ( then put a 1 )"), "duplicate");
    IS(check("txn then ( then del a else put a 1 )"), "fine");
    IS(check("txn then ( then del a ) , put a 1"), "duplicate");
    IS(check("txn then put a 1 , ( then del a..b )"), "duplicate");
    IS(check("txn then ( then put a 1 ) , del a"), "duplicate");
    IS(check("txn then ( then ( then del a..c ) ) , put b 1"), "duplicate");
}

/* Spans that touch, hold each other, or are one key: in a list that is too
 * long for pairs. */
static void many_deletes_are_one_list(void **state)
{
    (void)state;
#define SPANS                                                               \
    "txn then del b..d , del d..f , del c , del f , del h..k , del i..j , " \
    "del h , del m , del m , del o..p , del o..r , del q , del s..s , "     \
    "del u..t , del w , del w..x , ( then get a )"
    static const struct {
        const char *key;
        bool deleted;
    } cases[] = {
        {"a", false},  {"b", true},  {"bb", true},  {"c", true},   {"d", true},
        {"ez", true},  {"f", true},  {"fa", false}, {"g", false},  {"h", true},
        {"jz", true},  {"k", false}, {"m", true},   {"ma", false}, {"o", true},
        {"pq", true},  {"qz", true}, {"r", false},  {"s", false},  {"t", false},
        {"ta", false}, {"u", false}, {"w", true},   {"wz", true},  {"x", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf line = {0};
        buf_printf(&line, SPANS " , put %s 1%c", cases[i].key, 0);
        IS(check(line.at), cases[i].deleted ? "duplicate" : "fine");
        buf_deinit(&line);
    }
}

static void many_puts_are_one_list(void **state)
{
    (void)state;
    for (int twice = 0; twice < 2; twice++) {
        struct buf line = {0};
        buf_printf(&line, "txn then put k99 1");
        for (int i = 0; i < 60; i++)
            buf_printf(&line, " , put k%d 1", 10 + i * 37 % 60);
        buf_printf(&line, " , put %s 1%c", twice ? "k42" : "k9", 0);
        IS(check(line.at), twice ? "duplicate" : "fine");
        buf_deinit(&line);
    }
}

/* ---- what is in a txn ---------------------------------------------------- */

static void a_txn_is_known_by_its_operations(void **state)
{
    (void)state;
    const struct {
        const char *request;
        bool reads, puts, serializable;
    } cases[] = {
        {"txn", true, false, true},
        {"txn if version a = 0", true, false, true},
        {"txn then get a", true, false, false},
        {"txn then get a serializable", true, false, true},
        {"txn then get a serializable else get b", true, false, false},
        {"txn then put a 1", false, true, false},
        {"txn else put a 1", false, true, false},
        {"txn then del a", false, false, false},
        {"txn then ( then get a serializable )", true, false, true},
        {"txn then ( else get a )", true, false, false},
        {"txn then ( else del a )", false, false, false},
        {"txn then get a , ( then get a , ( else put a 1 ) )", false, true,
         false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const Etcdserverpb__TxnRequest *txn = txn_of(cases[i].request);
        assert_int_equal(txn_is_read_only(txn), cases[i].reads);
        assert_int_equal(txn_has_put(txn), cases[i].puts);
        assert_int_equal(txn_is_serializable(txn), cases[i].serializable);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_request_has_a_key),
        STORY(of_two_faults_the_first_is_told),
        STORY(an_order_that_nobody_knows),
        STORY(an_operation_is_something),
        STORY(the_longest_list_counts),
        STORY(a_txn_in_a_txn_has_what_is_left),
        STORY(a_branch_puts_a_key_once),
        STORY(a_branch_does_not_put_what_it_deletes),
        STORY(from_the_key_on_is_not_looked_at),
        STORY(what_a_txn_in_it_puts_is_put),
        STORY(deletes_within_count_for_what_follows),
        STORY(many_deletes_are_one_list),
        STORY(many_puts_are_one_list),
        STORY(a_txn_is_known_by_its_operations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
