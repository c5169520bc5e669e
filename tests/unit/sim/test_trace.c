/* Events become lines that a person can read, and a number that says whether
 * two runs were the same. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "sim/trace.h"

static void add(struct sim_trace *trace, int64_t at_ns, int place,
                enum sim_trace_what what, uint64_t a)
{
    sim__trace_add(trace, &(struct sim_trace_event){
                              .at_ns = at_ns,
                              .place = (uint16_t)place,
                              .what = (uint16_t)what,
                              .numbers = {a, 2, 3},
                          });
}

static void append_line(void *context, struct slice line)
{
    buf_append_slice(context, line);
    buf_append_char(context, '\n');
}

static void expect(struct buf *text, const char *lines)
{
    buf_append_char(text, 0);
    assert_string_equal(text->at, lines);
    buf_deinit(text);
}

static struct sim_trace *trace_new(void)
{
    return mem_alloc_zero(sizeof(struct sim_trace));
}

static void test_lines_are_aligned(void **state)
{
    (void)state;
    struct sim_trace *trace = trace_new();
    struct buf text = {0};
    add(trace, 0, 0, SIM_TRACE_HEAL, 1);
    add(trace, 1500000, 1, SIM_TRACE_RESUME, 1);
    add(trace, 61000000000, 12, SIM_TRACE_ROLE, 3);
    add(trace, 61000000999, 2, SIM_TRACE_JUMP, (uint64_t)-20);
    sim__trace_each(trace, 10, append_line, &text);
    expect(&text, "     0.000000 -    faults end        \n"
                  "     0.001500 m1   goes on           \n"
                  "    61.000000 m12  is now             role=3 term=2 last=3\n"
                  "    61.000000 m2   wall clock jumps   ms=-20\n");
    mem_free(trace);
}

static void test_every_kind_of_event_has_a_line(void **state)
{
    (void)state;
    for (int what = 0; what < SIM_TRACE_COUNT; what++) {
        char line[SIM_TRACE_LINE_BYTES_MAX];
        struct sim_trace_event event = {
            .at_ns = INT64_C(99999999) * 1000000000,
            .place = 65535,
            .what = (uint16_t)what,
            .numbers = {1ull << 63, 1ull << 63, 1ull << 63},
        };
        size_t size = sim__trace_text(&event, line);
        assert_true(size > 30);
        assert_true(size < SIM_TRACE_LINE_BYTES_MAX);
    }
}

static void test_only_the_last_are_told(void **state)
{
    (void)state;
    struct sim_trace *trace = trace_new();
    struct buf text = {0};
    for (int i = 1; i <= 5; i++)
        add(trace, i * 1000000, 1, SIM_TRACE_FULL, (uint64_t)i);
    sim__trace_each(trace, 2, append_line, &text);
    expect(&text, "     0.004000 m1   disk is full       used=4\n"
                  "     0.005000 m1   disk is full       used=5\n");
    mem_free(trace);
}

static void count_line(void *context, struct slice line)
{
    (void)line;
    ++*(size_t *)context;
}

static void test_the_ring_keeps_what_fits(void **state)
{
    (void)state;
    struct sim_trace *trace = trace_new();
    size_t count = 0;
    for (int i = 0; i < SIM_TRACE_EVENTS_MAX + 10; i++)
        add(trace, i, 1, SIM_TRACE_FULL, (uint64_t)i);
    sim__trace_each(trace, SIZE_MAX, count_line, &count);
    assert_int_equal(count, SIM_TRACE_EVENTS_MAX);
    struct buf text = {0};
    sim__trace_each(trace, 1, append_line, &text);
    buf_append_char(&text, 0);
    assert_non_null(strstr(text.at, "used=4105"));
    buf_deinit(&text);
    mem_free(trace);
}

static void test_lines_as_they_happen(void **state)
{
    (void)state;
    struct sim_trace *trace = trace_new();
    struct buf text = {0};
    trace->on_line = append_line;
    trace->context = &text;
    add(trace, 7000, 3, SIM_TRACE_KILL, 9);
    expect(&text, "     0.000007 m3   is killed          "
                  "persisted=9 applied=2 term=3\n");
    mem_free(trace);
}

static void test_the_digest_is_of_all_that_happened(void **state)
{
    (void)state;
    struct sim_trace *a = trace_new();
    struct sim_trace *b = trace_new();
    for (int i = 0; i < 100; i++) {
        add(a, i, 1, SIM_TRACE_FULL, 5);
        add(b, i, 1, SIM_TRACE_FULL, 5);
    }
    assert_int_equal(a->digest, b->digest);
    uint64_t before = a->digest;
    /* Each thing that differs makes another. */
    const struct {
        int64_t at_ns;
        int place;
        enum sim_trace_what what;
        uint64_t number;
    } others[] = {
        {100, 1, SIM_TRACE_FULL, 5}, {101, 1, SIM_TRACE_FULL, 5},
        {100, 2, SIM_TRACE_FULL, 5}, {100, 1, SIM_TRACE_ROOM, 5},
        {100, 1, SIM_TRACE_FULL, 6},
    };
    uint64_t digests[5];
    for (int i = 0; i < 5; i++) {
        a->digest = before;
        add(a, others[i].at_ns, others[i].place, others[i].what,
            others[i].number);
        digests[i] = a->digest;
        for (int j = 0; j < i; j++)
            assert_int_not_equal(digests[i], digests[j]);
    }
    mem_free(a);
    mem_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_are_aligned),
        cmocka_unit_test(test_every_kind_of_event_has_a_line),
        cmocka_unit_test(test_only_the_last_are_told),
        cmocka_unit_test(test_the_ring_keeps_what_fits),
        cmocka_unit_test(test_lines_as_they_happen),
        cmocka_unit_test(test_the_digest_is_of_all_that_happened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
