/* The checker of histories: known good ones, known bad ones, and random ones
 * against a search that tries every order. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/prng.h"
#include "sim/linear.h"

enum { STEPS = 1000000 };

/* A history reads as one line an operation: when it was asked, when it was
 * answered, and what. */
#define READ(seen_) .kind = LINEAR_READ, .seen = (seen_)
#define SET(value_, seen_) \
    .kind = LINEAR_SET, .value = (value_), .seen = (seen_)
#define CREATE(value_) .kind = LINEAR_CREATE, .value = (value_)
#define UPDATE(value_, seen_) \
    .kind = LINEAR_UPDATE, .value = (value_), .seen = (seen_)
#define SWAP(expect_, value_) \
    .kind = LINEAR_SWAP, .value = (value_), .expect = (expect_)
#define DELETE(seen_) .kind = LINEAR_DELETE, .seen = (seen_)
#define REMOVE(expect_) .kind = LINEAR_REMOVE, .expect = (expect_)
#define PUT_IF(expect_, value_) \
    .kind = LINEAR_PUT_IF, .value = (value_), .expect = (expect_)
#define END_IF(expect_) .kind = LINEAR_END_IF, .expect = (expect_)
#define FOUND(seen_) .refused = true, .seen = (seen_)
#define REFUSED .refused = true
#define OTHER .seen = 99
#define AT(call_, return_) .call_ns = (call_), .return_ns = (return_)
#define OPEN(call_) .call_ns = (call_), .return_ns = LINEAR_NEVER

#define CHECK_HISTORY(verdict, ...)                                     \
    do {                                                                \
        const struct linear_op ops_[] = {__VA_ARGS__};                  \
        assert_int_equal(                                               \
            linear_check(ops_, sizeof ops_ / sizeof ops_[0], 0, STEPS), \
            verdict);                                                   \
    } while (0)

/* ---- one after the other ------------------------------------------------- */

static void test_nothing_at_all(void **state)
{
    (void)state;
    assert_int_equal(linear_check(NULL, 0, 0, 0), LINEAR_GOOD);
}

static void test_one_client_reads_what_it_wrote(void **state)
{
    (void)state;
    CHECK_HISTORY(LINEAR_GOOD, {AT(0, 1), READ(0)}, {AT(2, 3), SET(1, 0)},
                  {AT(4, 5), READ(1)}, {AT(6, 7), SET(2, 1)},
                  {AT(8, 9), READ(2)});
}

static void test_a_write_that_was_answered_is_seen(void **state)
{
    (void)state;
    CHECK_HISTORY(LINEAR_BAD, {AT(0, 1), SET(1, 0)}, {AT(2, 3), READ(0)});
}

static void test_what_nobody_wrote_is_not_read(void **state)
{
    (void)state;
    CHECK_HISTORY(LINEAR_BAD, {AT(0, 1), SET(1, 0)}, {AT(2, 3), READ(7)});
}

static void test_a_read_does_not_go_back(void **state)
{
    (void)state;
    CHECK_HISTORY(LINEAR_BAD, {AT(0, 1), SET(1, 0)}, {AT(2, 20), SET(2, 1)},
                  {AT(4, 5), READ(2)}, {AT(6, 7), READ(1)});
}

static void test_the_start_may_be_a_value(void **state)
{
    (void)state;
    const struct linear_op ops[] = {{AT(0, 1), READ(5)}, {AT(2, 3), DELETE(5)}};
    assert_int_equal(linear_check(ops, 2, 5, STEPS), LINEAR_GOOD);
    assert_int_equal(linear_check(ops, 2, 4, STEPS), LINEAR_BAD);
}

/* ---- what each operation says -------------------------------------------- */

static void test_create_wants_nothing_there(void **state)
{
    (void)state;
    CHECK_HISTORY(LINEAR_GOOD, {AT(0, 1), CREATE(1)},
                  {AT(2, 3), CREATE(2), REFUSED}, {AT(4, 5), READ(1)});
    CHECK_HISTORY(LINEAR_BAD, {AT(0, 1), CREATE(1)}, {AT(2, 3), CREATE(2)});
    CHECK_HISTORY(LINEAR_BAD, {AT(0, 1), CREATE(1), REFUSED});
}

static void test_update_wants_something_there(void **state)
{
    (void)state;
    CHECK_HISTORY(LINEAR_GOOD, {AT(0, 1), UPDATE(1, 0), REFUSED},
                  {AT(2, 3), SET(2, 0)}, {AT(4, 5), UPDATE(3, 2)},
                  {AT(6, 7), READ(3)});
    CHECK_HISTORY(LINEAR_BAD, {AT(0, 1), UPDATE(1, 0)});
    CHECK_HISTORY(LINEAR_BAD, {AT(0, 1), SET(1, 0)},
                  {AT(2, 3), UPDATE(2, 0), REFUSED});
}

static void test_swap_compares(void **state)
{
    (void)state;
    CHECK_HISTORY(LINEAR_GOOD, {AT(0, 1), SWAP(1, 2), REFUSED},
                  {AT(2, 3), SET(1, 0)}, {AT(4, 5), SWAP(9, 3), REFUSED, OTHER},
                  {AT(6, 7), SWAP(1, 2)}, {AT(8, 9), READ(2)});
    /* Done, though another value was there. */
    CHECK_HISTORY(LINEAR_BAD, {AT(0, 1), SET(1, 0)}, {AT(2, 3), SWAP(7, 2)});
    /* Refused, though it was the one. */
    CHECK_HISTORY(LINEAR_BAD, {AT(0, 1), SET(1, 0)},
                  {AT(2, 3), SWAP(1, 2), REFUSED, OTHER});
    /* "Not there", though it was. */
    CHECK_HISTORY(LINEAR_BAD, {AT(0, 1), SET(1, 0)},
                  {AT(2, 3), SWAP(9, 2), REFUSED});
    /* "Another value", though there was none. */
    CHECK_HISTORY(LINEAR_BAD, {AT(2, 3), SWAP(9, 2), REFUSED, OTHER});
}

static void test_delete_ends_it(void **state)
{
    (void)state;
    CHECK_HISTORY(LINEAR_GOOD, {AT(0, 1), DELETE(0), REFUSED},
                  {AT(2, 3), SET(1, 0)}, {AT(4, 5), DELETE(1)},
                  {AT(6, 7), READ(0)});
    CHECK_HISTORY(LINEAR_BAD, {AT(0, 1), DELETE(0)});
    CHECK_HISTORY(LINEAR_BAD, {AT(0, 1), SET(1, 0)}, {AT(2, 3), DELETE(1)},
                  {AT(4, 5), READ(1)});
}

static void test_remove_compares(void **state)
{
    (void)state;
    CHECK_HISTORY(LINEAR_GOOD, {AT(0, 1), SET(1, 0)},
                  {AT(2, 3), REMOVE(2), REFUSED, OTHER}, {AT(4, 5), REMOVE(1)},
                  {AT(6, 7), REMOVE(1), REFUSED}, {AT(8, 9), READ(0)});
    CHECK_HISTORY(LINEAR_BAD, {AT(0, 1), SET(1, 0)}, {AT(2, 3), REMOVE(2)});
}

static void test_two_swaps_of_one_value(void **state)
{
    (void)state;
    /* Of two that overlap one wins. */
    CHECK_HISTORY(LINEAR_GOOD, {AT(0, 1), SET(1, 0)}, {AT(2, 9), SWAP(1, 2)},
                  {AT(3, 8), SWAP(1, 3), REFUSED, OTHER},
                  {AT(10, 11), READ(2)});
    CHECK_HISTORY(LINEAR_BAD, {AT(0, 1), SET(1, 0)}, {AT(2, 9), SWAP(1, 2)},
                  {AT(3, 8), SWAP(1, 3)});
}

static void test_a_txn_tells_what_it_found(void **state)
{
    (void)state;
    /* It wants what is there, or nothing at all. */
    CHECK_HISTORY(LINEAR_GOOD, {AT(0, 1), PUT_IF(0, 1)},
                  {AT(2, 3), PUT_IF(0, 2), FOUND(1)}, {AT(4, 5), PUT_IF(1, 3)},
                  {AT(6, 7), READ(3)});
    CHECK_HISTORY(LINEAR_BAD, {AT(0, 1), PUT_IF(7, 1)});
    /* It says that it found another than there was: older, or none. */
    CHECK_HISTORY(LINEAR_BAD, {AT(0, 1), SET(1, 0)}, {AT(2, 3), SET(2, 1)},
                  {AT(4, 5), PUT_IF(7, 3), FOUND(1)});
    CHECK_HISTORY(LINEAR_BAD, {AT(0, 1), SET(1, 0)},
                  {AT(2, 3), PUT_IF(7, 3), FOUND(0)});
    /* It found what it wanted, and wasn't done. */
    CHECK_HISTORY(LINEAR_BAD, {AT(0, 1), SET(1, 0)},
                  {AT(2, 3), PUT_IF(1, 3), FOUND(1)});
    CHECK_HISTORY(LINEAR_BAD, {AT(0, 1), PUT_IF(0, 3), FOUND(0)});
}

static void test_a_txn_that_deletes_wants_something(void **state)
{
    (void)state;
    CHECK_HISTORY(LINEAR_GOOD, {AT(0, 1), SET(1, 0)}, {AT(2, 3), END_IF(1)},
                  {AT(4, 5), END_IF(1), FOUND(0)},
                  {AT(6, 7), END_IF(0), FOUND(0)}, {AT(8, 9), READ(0)});
    CHECK_HISTORY(LINEAR_BAD, {AT(0, 1), END_IF(0)});
    CHECK_HISTORY(LINEAR_BAD, {AT(0, 1), SET(1, 0)}, {AT(2, 3), END_IF(2)});
    CHECK_HISTORY(LINEAR_BAD, {AT(0, 1), SET(1, 0)},
                  {AT(2, 3), END_IF(1), FOUND(1)});
    CHECK_HISTORY(LINEAR_BAD, {AT(0, 1), SET(1, 0)}, {AT(2, 3), END_IF(1)},
                  {AT(4, 5), READ(1)});
}

static void test_an_open_txn_needs_its_value(void **state)
{
    (void)state;
    CHECK_HISTORY(LINEAR_GOOD, {OPEN(0), PUT_IF(1, 2)}, {AT(1, 2), SET(1, 0)},
                  {AT(3, 4), READ(2)});
    CHECK_HISTORY(LINEAR_BAD, {OPEN(0), PUT_IF(5, 2)}, {AT(1, 2), SET(1, 0)},
                  {AT(3, 4), READ(2)});
    CHECK_HISTORY(LINEAR_GOOD, {OPEN(0), END_IF(1)}, {AT(1, 2), SET(1, 0)},
                  {AT(3, 4), READ(0)});
    CHECK_HISTORY(LINEAR_BAD, {OPEN(0), END_IF(2)}, {AT(1, 2), SET(1, 0)},
                  {AT(3, 4), READ(0)});
}

static void test_a_refused_set_is_nonsense(void **state)
{
    (void)state;
    CHECK_HISTORY(LINEAR_BAD, {AT(0, 1), SET(1, 0), REFUSED});
    CHECK_HISTORY(LINEAR_BAD, {AT(0, 1), READ(0), REFUSED});
}

/* ---- at the same time ---------------------------------------------------- */

static void test_overlapping_writes_may_be_in_any_order(void **state)
{
    (void)state;
    CHECK_HISTORY(LINEAR_GOOD, {AT(0, 10), SET(1, 2)}, {AT(1, 9), SET(2, 0)},
                  {AT(11, 12), READ(1)});
    CHECK_HISTORY(LINEAR_GOOD, {AT(0, 10), SET(1, 0)}, {AT(1, 9), SET(2, 1)},
                  {AT(11, 12), READ(2)});
    /* But what they were told must fit the order that was seen. */
    CHECK_HISTORY(LINEAR_BAD, {AT(0, 10), SET(1, 0)}, {AT(1, 9), SET(2, 1)},
                  {AT(11, 12), READ(1)});
    CHECK_HISTORY(LINEAR_BAD, {AT(0, 10), SET(1, 2)}, {AT(1, 9), SET(2, 1)});
}

static void test_a_read_during_a_write_sees_either(void **state)
{
    (void)state;
    CHECK_HISTORY(LINEAR_GOOD, {AT(0, 10), SET(1, 0)}, {AT(1, 2), READ(0)},
                  {AT(3, 4), READ(1)});
    CHECK_HISTORY(LINEAR_BAD, {AT(0, 10), SET(1, 0)}, {AT(1, 2), READ(1)},
                  {AT(3, 4), READ(0)});
}

static void test_an_answer_and_a_call_of_one_moment_overlap(void **state)
{
    (void)state;
    CHECK_HISTORY(LINEAR_GOOD, {AT(0, 5), SET(1, 0)}, {AT(5, 6), READ(0)});
    CHECK_HISTORY(LINEAR_BAD, {AT(0, 5), SET(1, 0)}, {AT(6, 7), READ(0)});
}

static void test_three_writers_and_two_readers(void **state)
{
    (void)state;
    CHECK_HISTORY(LINEAR_GOOD, {AT(0, 30), SET(1, 3)}, {AT(1, 40), SET(2, 1)},
                  {AT(2, 20), SET(3, 0)}, {AT(3, 50), READ(1)},
                  {AT(4, 19), READ(3)}, {AT(51, 52), READ(2)});
    /* The second reader sees the older one, long after the first has seen the
     * newer one. */
    CHECK_HISTORY(LINEAR_BAD, {AT(0, 30), SET(1, 3)}, {AT(1, 40), SET(2, 1)},
                  {AT(2, 20), SET(3, 0)}, {AT(21, 22), READ(2)},
                  {AT(41, 42), READ(1)});
}

/* ---- never answered ------------------------------------------------------ */

static void test_an_open_write_may_be_done_or_not(void **state)
{
    (void)state;
    CHECK_HISTORY(LINEAR_GOOD, {OPEN(0), SET(1, 0)}, {AT(1, 2), READ(0)});
    CHECK_HISTORY(LINEAR_GOOD, {OPEN(0), SET(1, 0)}, {AT(1, 2), READ(1)});
    /* Late, too; but then it stays done. */
    CHECK_HISTORY(LINEAR_GOOD, {OPEN(0), SET(1, 0)}, {AT(1, 2), READ(0)},
                  {AT(1000, 1001), READ(1)});
    CHECK_HISTORY(LINEAR_BAD, {OPEN(0), SET(1, 0)}, {AT(1, 2), READ(1)},
                  {AT(3, 4), READ(0)});
}

static void test_an_open_write_is_not_done_before_its_call(void **state)
{
    (void)state;
    CHECK_HISTORY(LINEAR_BAD, {AT(1, 2), READ(1)}, {OPEN(3), SET(1, 0)});
}

static void test_an_open_swap_needs_its_value(void **state)
{
    (void)state;
    CHECK_HISTORY(LINEAR_GOOD, {AT(0, 1), SET(1, 0)}, {OPEN(2), SWAP(1, 2)},
                  {AT(3, 4), READ(2)});
    CHECK_HISTORY(LINEAR_BAD, {AT(0, 1), SET(1, 0)}, {OPEN(2), SWAP(9, 2)},
                  {AT(3, 4), READ(2)});
}

static void test_an_open_delete(void **state)
{
    (void)state;
    CHECK_HISTORY(LINEAR_GOOD, {AT(0, 1), SET(1, 0)}, {OPEN(2), DELETE(0)},
                  {AT(3, 4), READ(0)}, {AT(5, 6), CREATE(2)});
    /* Once is once. */
    CHECK_HISTORY(LINEAR_BAD, {AT(0, 1), SET(1, 0)}, {OPEN(2), DELETE(0)},
                  {AT(3, 4), READ(0)}, {AT(5, 6), CREATE(2)},
                  {AT(7, 8), READ(0)});
}

static void test_many_open_writes_stay_cheap(void **state)
{
    (void)state;
    enum { WRITES = 200, READS = 400 };
    struct linear_op ops[WRITES + READS];
    size_t count = 0;
    for (uint32_t i = 0; i < WRITES; i++)
        ops[count++] = (struct linear_op){OPEN(i), SET(i + 1, 0)};
    for (uint32_t i = 0; i < READS; i++)
        ops[count++] = (struct linear_op){
            AT(WRITES + 2 * i, WRITES + 2 * i + 1), READ(i / 10 + 1)};
    assert_int_equal(linear_check(ops, count, 0, STEPS), LINEAR_GOOD);
}

static void test_the_search_is_bounded(void **state)
{
    (void)state;
    struct linear_op ops[64];
    for (uint32_t i = 0; i < 64; i++)
        ops[i] = (struct linear_op){AT(i, 1000), SET(i + 1, 500)};
    assert_int_equal(linear_check(ops, 64, 0, 5), LINEAR_BAD);
    for (uint32_t i = 0; i < 64; i++)
        ops[i] = (struct linear_op){AT(i, 1000), READ(0)};
    assert_int_equal(linear_check(ops, 64, 0, 5), LINEAR_UNSURE);
}

/* ---- against every order ------------------------------------------------- */

enum { FEW = 6 };

/* Tries all orders of what is left, by the definition. */
static bool any_order(const struct linear_op *ops, size_t count, unsigned done,
                      linear_value value)
{
    int64_t first_return = INT64_MAX;
    bool rest = false;
    for (size_t i = 0; i < count; i++) {
        if ((done >> i & 1) == 0 && ops[i].return_ns != LINEAR_NEVER) {
            rest = true;
            if (ops[i].return_ns < first_return)
                first_return = ops[i].return_ns;
        }
    }
    if (!rest)
        return true;
    for (size_t i = 0; i < count; i++) {
        linear_value after = value;
        if ((done >> i & 1) == 0 && ops[i].call_ns <= first_return &&
            linear_apply(&ops[i], &after) &&
            any_order(ops, count, done | 1u << i, after))
            return true;
    }
    return false;
}

static struct linear_op random_op(struct prng *prng, int64_t at)
{
    struct linear_op op = {
        .call_ns = at,
        .return_ns = at + prng_between(prng, 0, 6),
        .kind = (enum linear_kind)prng_below(prng, LINEAR_END_IF + 1),
        .value = 1 + (linear_value)prng_below(prng, 3),
        .expect = 1 + (linear_value)prng_below(prng, 3),
        .seen = (linear_value)prng_below(prng, 4),
        .refused = prng_below(prng, 4) == 0,
    };
    if (op.kind == LINEAR_READ || op.kind == LINEAR_SET)
        op.refused = false;
    if (prng_below(prng, 5) == 0)
        op.return_ns = LINEAR_NEVER;
    return op;
}

/* Histories that are mostly true: done by a register, with times around. */
static void make_true(struct prng *prng, struct linear_op *ops, size_t count)
{
    linear_value value = 0;
    for (size_t i = 0; i < count; i++) {
        struct linear_op *op = &ops[i];
        linear_value after = value;
        if (op->return_ns == LINEAR_NEVER && prng_below(prng, 2) == 0)
            continue;
        op->seen = value;
        op->refused = false;
        if (!linear_apply(op, &after)) {
            op->refused = true;
            if (!linear_apply(op, &after))
                op->kind = LINEAR_READ, op->refused = false;
        }
        value = after;
    }
}

static void test_random_histories_against_every_order(void **state)
{
    (void)state;
    struct prng prng;
    int verdicts[3] = {0};
    prng_init(&prng, 20);
    for (int round = 0; round < 60000; round++) {
        struct linear_op ops[FEW];
        size_t count = 1 + prng_below(&prng, FEW);
        int64_t at = 0;
        for (size_t i = 0; i < count; i++) {
            at += prng_between(&prng, 0, 3);
            ops[i] = random_op(&prng, at);
        }
        if (round % 2)
            make_true(&prng, ops, count);
        enum linear_verdict verdict = linear_check(ops, count, 0, STEPS);
        bool good = any_order(ops, count, 0, 0);
        assert_int_equal(verdict, good ? LINEAR_GOOD : LINEAR_BAD);
        verdicts[verdict]++;
    }
    /* Neither verdict is rare, or this would show little. */
    assert_true(verdicts[LINEAR_GOOD] > 10000);
    assert_true(verdicts[LINEAR_BAD] > 10000);
}

/* ---- long ones ----------------------------------------------------------- */

/* Five clients on one register, which does each operation at some moment
 * between its call and its return. */
static size_t long_history(struct prng *prng, struct linear_op *ops,
                           size_t count)
{
    int64_t moment[5] = {0};
    linear_value value = 0;
    for (size_t i = 0; i < count; i++) {
        int64_t at = (int64_t)(i + 1) * 100;
        size_t client = prng_below(prng, 5);
        struct linear_op *op = &ops[i];
        *op = random_op(prng, 0);
        op->value = (linear_value)i + 1;
        op->expect = value;
        op->call_ns = moment[client] + prng_between(prng, 0, 10);
        if (op->call_ns > at)
            op->call_ns = at;
        op->return_ns = at + prng_between(prng, 0, 300);
        moment[client] = op->return_ns + 1;
        op->seen = value;
        op->refused = false;
        if (!linear_apply(op, &value)) {
            op->refused = true;
            op->seen = 0;
            if (!linear_apply(op, &value)) {
                op->kind = LINEAR_READ;
                op->refused = false;
                op->seen = value;
            }
        }
    }
    return count;
}

static void sort_by_call(struct linear_op *ops, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct linear_op op = ops[i];
        size_t at = i;
        for (; at > 0 && ops[at - 1].call_ns > op.call_ns; at--)
            ops[at] = ops[at - 1];
        ops[at] = op;
    }
}

static void test_long_histories_are_decided(void **state)
{
    (void)state;
    struct prng prng;
    static struct linear_op ops[600];
    prng_init(&prng, 21);
    for (int round = 0; round < 50; round++) {
        size_t count = long_history(&prng, ops, 600);
        sort_by_call(ops, count);
        assert_int_equal(linear_check(ops, count, 0, STEPS), LINEAR_GOOD);
        /* A value that was never written, at the end: found, and soon. */
        ops[count - 1].kind = LINEAR_READ;
        ops[count - 1].refused = false;
        ops[count - 1].seen = 100000;
        assert_int_equal(linear_check(ops, count, 0, STEPS), LINEAR_BAD);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_at_all),
        cmocka_unit_test(test_one_client_reads_what_it_wrote),
        cmocka_unit_test(test_a_write_that_was_answered_is_seen),
        cmocka_unit_test(test_what_nobody_wrote_is_not_read),
        cmocka_unit_test(test_a_read_does_not_go_back),
        cmocka_unit_test(test_the_start_may_be_a_value),
        cmocka_unit_test(test_create_wants_nothing_there),
        cmocka_unit_test(test_update_wants_something_there),
        cmocka_unit_test(test_swap_compares),
        cmocka_unit_test(test_delete_ends_it),
        cmocka_unit_test(test_remove_compares),
        cmocka_unit_test(test_two_swaps_of_one_value),
        cmocka_unit_test(test_a_txn_tells_what_it_found),
        cmocka_unit_test(test_a_txn_that_deletes_wants_something),
        cmocka_unit_test(test_an_open_txn_needs_its_value),
        cmocka_unit_test(test_a_refused_set_is_nonsense),
        cmocka_unit_test(test_overlapping_writes_may_be_in_any_order),
        cmocka_unit_test(test_a_read_during_a_write_sees_either),
        cmocka_unit_test(test_an_answer_and_a_call_of_one_moment_overlap),
        cmocka_unit_test(test_three_writers_and_two_readers),
        cmocka_unit_test(test_an_open_write_may_be_done_or_not),
        cmocka_unit_test(test_an_open_write_is_not_done_before_its_call),
        cmocka_unit_test(test_an_open_swap_needs_its_value),
        cmocka_unit_test(test_an_open_delete),
        cmocka_unit_test(test_many_open_writes_stay_cheap),
        cmocka_unit_test(test_the_search_is_bounded),
        cmocka_unit_test(test_random_histories_against_every_order),
        cmocka_unit_test(test_long_histories_are_decided),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
