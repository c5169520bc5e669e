/* The in-memory log: a ring that knows where it begins. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/prng.h"
#include "raft/log_int.h"

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
        cmocka_unit_test(random_changes_agree_with_an_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
