/* The in-memory log: a ring that knows where it begins. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/prng.h"
#include "raft/raft_int.h"

static struct raft_entry entry_of(raft_index index, raft_term term)
{
    return (struct raft_entry){
        .index = index, .term = term, .data = refbuf_dup("x", 1)};
}

static void fill(struct raft_log *log, raft_index to)
{
    for (raft_index i = log->last + 1; i <= to; i++) {
        struct raft_entry entry = entry_of(i, 1);
        raft_log__append(log, &entry);
    }
}

static void an_empty_log_knows_what_is_before_it(void **state)
{
    (void)state;
    struct raft_log log;
    raft_log__init(&log, 8, 41, 3);
    assert_int_equal(log.last, 41);
    assert_int_equal(raft_log__last_term(&log), 3);
    assert_int_equal(raft_log__room(&log), 8);
    assert_null(raft_log__at(&log, 41));
    assert_null(raft_log__at(&log, 42));
    raft_log__deinit(&log);
}

static void entries_are_found_by_index(void **state)
{
    (void)state;
    struct raft_log log;
    raft_log__init(&log, 8, 0, 0);
    fill(&log, 5);
    for (raft_index i = 1; i <= 5; i++) {
        assert_int_equal(raft_log__at(&log, i)->index, i);
    }
    assert_null(raft_log__at(&log, 0));
    assert_null(raft_log__at(&log, 6));
    assert_int_equal(raft_log__room(&log), 3);
    raft_log__deinit(&log);
}

static void the_ring_turns(void **state)
{
    (void)state;
    struct raft_log log;
    raft_log__init(&log, 8, 0, 0);
    for (raft_index i = 8; i < 100; i += 4) {
        fill(&log, i);
        raft_log__compact(&log, i - 4);
        assert_int_equal(raft_log__room(&log), 4);
        assert_null(raft_log__at(&log, i - 4));
        assert_int_equal(raft_log__at(&log, i - 3)->index, i - 3);
    }
    raft_log__deinit(&log);
}

static void truncating_drops_the_newest(void **state)
{
    (void)state;
    struct raft_log log;
    raft_log__init(&log, 8, 0, 0);
    fill(&log, 6);
    raft_log__truncate(&log, 4);
    assert_int_equal(log.last, 3);
    raft_log__truncate(&log, 4); /* nothing there */
    assert_int_equal(log.last, 3);
    struct raft_entry entry = entry_of(4, 2);
    raft_log__append(&log, &entry);
    assert_int_equal(raft_log__last_term(&log), 2);
    raft_log__deinit(&log);
}

static void compacting_keeps_the_term_before_the_first(void **state)
{
    (void)state;
    struct raft_log log;
    raft_log__init(&log, 8, 0, 0);
    fill(&log, 3);
    struct raft_entry entry = entry_of(4, 7);
    raft_log__append(&log, &entry);
    raft_log__compact(&log, 4);
    assert_int_equal(raft_log__last_term(&log), 7);
    assert_int_equal(log.base_term, 7);
    raft_log__compact(&log, 2); /* behind: nothing to do */
    assert_int_equal(log.base_index, 4);
    raft_log__deinit(&log);
}

static void references_are_let_go(void **state)
{
    (void)state;
    struct refbuf *data = refbuf_dup("shared", 6);
    struct raft_log log;
    raft_log__init(&log, 4, 0, 0);
    for (raft_index i = 1; i <= 4; i++) {
        struct raft_entry entry = {
            .index = i, .term = 1, .data = refbuf_ref(data)};
        raft_log__append(&log, &entry);
    }
    assert_int_equal(atomic_load(&data->refs), 5);
    raft_log__compact(&log, 1);
    assert_int_equal(atomic_load(&data->refs), 4);
    raft_log__truncate(&log, 4);
    assert_int_equal(atomic_load(&data->refs), 3);
    raft_log__deinit(&log);
    assert_int_equal(atomic_load(&data->refs), 1);
    refbuf_unref(data);
}

static void a_reset_forgets_all(void **state)
{
    (void)state;
    struct raft_log log;
    raft_log__init(&log, 8, 0, 0);
    fill(&log, 5);
    raft_log__reset(&log, 40, 6);
    assert_int_equal(log.last, 40);
    assert_int_equal(raft_log__room(&log), 8);
    assert_int_equal(raft_log__last_term(&log), 6);
    assert_null(raft_log__at(&log, 5));
    struct raft_entry entry = entry_of(41, 6);
    raft_log__append(&log, &entry);
    assert_int_equal(raft_log__at(&log, 41)->term, 6);
    raft_log__deinit(&log);
}

static void an_entry_matches_by_index_and_term(void **state)
{
    (void)state;
    struct raft_log log;
    raft_log__init(&log, 8, 3, 2);
    struct raft_entry entry = entry_of(4, 5);
    raft_log__append(&log, &entry);
    assert_true(raft_log__matches(&log, 3, 2)); /* the base counts */
    assert_true(raft_log__matches(&log, 4, 5));
    assert_false(raft_log__matches(&log, 4, 2));
    assert_false(raft_log__matches(&log, 3, 5));
    assert_false(raft_log__matches(&log, 2, 2));
    assert_false(raft_log__matches(&log, 5, 5));
    raft_log__deinit(&log);
}

static void the_last_of_a_term_is_found(void **state)
{
    (void)state;
    static const raft_term terms[] = {2, 2, 4, 4, 7};
    struct raft_log log;
    raft_log__init(&log, 8, 10, 2);
    for (size_t i = 0; i < 5; i++) {
        struct raft_entry entry = entry_of(11 + i, terms[i]);
        raft_log__append(&log, &entry);
    }
    assert_int_equal(raft_log__last_of_term(&log, 15, 9), 15);
    assert_int_equal(raft_log__last_of_term(&log, 99, 7), 15);
    assert_int_equal(raft_log__last_of_term(&log, 15, 6), 14);
    assert_int_equal(raft_log__last_of_term(&log, 13, 6), 13);
    assert_int_equal(raft_log__last_of_term(&log, 15, 3), 12);
    assert_int_equal(raft_log__last_of_term(&log, 10, 2), 10);
    /* Somewhere before the base. */
    assert_int_equal(raft_log__last_of_term(&log, 15, 1), 9);
    assert_int_equal(raft_log__last_of_term(&log, 5, 9), 5);
    raft_log__deinit(&log);
    raft_log__init(&log, 8, 0, 0);
    assert_int_equal(raft_log__last_of_term(&log, 7, 3), 0);
    raft_log__deinit(&log);
}

static void a_run_lies_in_one_piece(void **state)
{
    (void)state;
    struct raft_log log;
    size_t count;
    size_t bytes;
    raft_log__init(&log, 8, 0, 0);
    fill(&log, 6);
    raft_log__compact(&log, 5);
    fill(&log, 11); /* 6 7 | 8 9 10 11 */
    const struct raft_entry *run =
        raft_log__run(&log, 6, 100, 10000, &count, &bytes);
    assert_int_equal(run->index, 6);
    assert_int_equal(count, 2);
    assert_int_equal(bytes, 2 * (RAFT_ENTRY_BYTES + 1));
    run = raft_log__run(&log, 8, 100, 10000, &count, &bytes);
    assert_int_equal(run->index, 8);
    assert_int_equal(count, 4);
    (void)raft_log__run(&log, 8, 3, 10000, &count, &bytes);
    assert_int_equal(count, 3);
    (void)raft_log__run(&log, 8, 100, 2 * (RAFT_ENTRY_BYTES + 1), &count,
                        &bytes);
    assert_int_equal(count, 2);
    (void)raft_log__run(&log, 8, 100, 1, &count, &bytes);
    assert_int_equal(count, 1); /* one in any case */
    raft_log__deinit(&log);
}

static void the_time_of_what_was_forgotten_is_known(void **state)
{
    (void)state;
    struct raft_log log;
    raft_log__init(&log, 8, 0, 0);
    struct raft_entry entry = {
        .index = 1, .term = 1, .time_ns = 90, .type = RAFT_ENTRY_COMMAND};
    raft_log__append(&log, &entry);
    raft_log__compact(&log, 1);
    assert_int_equal(raft_log__last_time_ns(&log), 90);
    entry.time_ns = 89;
    assert_false(raft_log__time_follows(90, &entry));
    entry.time_ns = 90;
    assert_true(raft_log__time_follows(90, &entry));
    entry = (struct raft_entry){.type = RAFT_ENTRY_EMPTY};
    assert_true(raft_log__time_follows(90, &entry));
    raft_log__deinit(&log);
}

/* Leaders that don't know the time begin with one of 0. */
static void an_empty_entry_hides_no_time(void **state)
{
    (void)state;
    struct raft_log log;
    raft_log__init(&log, 8, 0, 0);
    raft_log__append(&log, &(struct raft_entry){.index = 1,
                                                .term = 1,
                                                .time_ns = 90,
                                                .type = RAFT_ENTRY_COMMAND});
    raft_log__append(&log, &(struct raft_entry){.index = 2, .term = 2});
    raft_log__append(&log, &(struct raft_entry){.index = 3, .term = 3});
    assert_int_equal(raft_log__last_time_ns(&log), 90);
    raft_log__compact(&log, 1);
    assert_int_equal(raft_log__last_time_ns(&log), 90);
    raft_log__compact(&log, 2);
    assert_int_equal(raft_log__last_time_ns(&log), 90);
    raft_log__compact(&log, 3);
    assert_int_equal(raft_log__last_time_ns(&log), 90);
    raft_log__append(
        &log, &(struct raft_entry){.index = 4, .term = 4, .time_ns = 95});
    assert_int_equal(raft_log__last_time_ns(&log), 95);
    raft_log__deinit(&log);
}

/* Beside a plain array of terms. */
static void random_changes_agree_with_an_array(void **state)
{
    (void)state;
    enum { CAPACITY = 16, STEPS = 20000 };
    raft_term terms[STEPS + 1] = {0};
    raft_index base = 0;
    raft_index last = 0;
    raft_term term = 1;
    struct raft_log log;
    struct prng prng;
    prng_init(&prng, 4);
    raft_log__init(&log, CAPACITY, 0, 0);
    for (int i = 0; i < STEPS; i++) {
        uint64_t choice = prng_below(&prng, 10);
        if (choice < 7 && last - base < CAPACITY) {
            term += prng_below(&prng, 5) == 0 ? 1 : 0;
            struct raft_entry entry = entry_of(++last, term);
            raft_log__append(&log, &entry);
            terms[last] = term;
        } else if (choice < 9) {
            base += prng_below(&prng, last - base + 1);
            raft_log__compact(&log, base);
        } else if (last > base) {
            raft_index from = base + 1 + prng_below(&prng, last - base);
            raft_log__truncate(&log, from);
            last = from - 1;
        }
        assert_int_equal(log.last, last);
        assert_int_equal(log.base_index, base);
        for (raft_index at = base + 1; at <= last; at++) {
            assert_int_equal(raft_log__at(&log, at)->term, terms[at]);
        }
        raft_term asked = terms[base] + prng_below(&prng, 4);
        raft_index found = last;
        while (found > base && terms[found] > asked) {
            found--;
        }
        assert_int_equal(raft_log__last_of_term(&log, last, asked), found);
    }
    raft_log__deinit(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_log_knows_what_is_before_it),
        cmocka_unit_test(entries_are_found_by_index),
        cmocka_unit_test(the_ring_turns),
        cmocka_unit_test(truncating_drops_the_newest),
        cmocka_unit_test(compacting_keeps_the_term_before_the_first),
        cmocka_unit_test(references_are_let_go),
        cmocka_unit_test(a_reset_forgets_all),
        cmocka_unit_test(an_entry_matches_by_index_and_term),
        cmocka_unit_test(the_last_of_a_term_is_found),
        cmocka_unit_test(a_run_lies_in_one_piece),
        cmocka_unit_test(the_time_of_what_was_forgotten_is_known),
        cmocka_unit_test(an_empty_entry_hides_no_time),
        cmocka_unit_test(random_changes_agree_with_an_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
