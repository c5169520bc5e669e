/* Whether a thread has to wait for a processor. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "host/crowd.h"

static void test_text_of_the_system(void **state)
{
    uint64_t waited_ns = 0;
    (void)state;
    assert_true(crowd_parse("12 345 6\n", &waited_ns));
    assert_int_equal(waited_ns, 345);
    assert_true(crowd_parse("0 0 0", &waited_ns));
    assert_int_equal(waited_ns, 0);
}

static void test_other_text_is_refused(void **state)
{
    static const char *const wrong[] = {
        "",     "1",     "1 2",    " ",
        "1  3", "1 x 3", "a -1 3", "1 99999999999999999999 3"};
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        uint64_t waited_ns = 7;
        assert_false(crowd_parse(wrong[i], &waited_ns));
        assert_int_equal(waited_ns, 7);
    }
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t spin_ms(uint64_t ms)
{
    uint64_t end_ns = now_ns() + ms * 1000000;
    uint64_t at_ns;
    do {
        at_ns = now_ns();
    } while (at_ns < end_ns);
    return at_ns;
}

/* Two that never rest, on one processor: each waits half of the time. */
static void test_a_shared_processor_is_crowded(void **state)
{
    struct crowd crowd;
    cpu_set_t before;
    cpu_set_t one;
    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
    CPU_ZERO(&one);
    for (size_t i = 0; i < CPU_SETSIZE; i++) {
        if (CPU_ISSET(i, &before)) {
            CPU_SET(i, &one);
            break;
        }
    }
    assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
    pid_t child = fork();
    if (child == 0) {
        spin_ms(10000);
        _exit(0);
    }
    assert_true(child > 0);
    crowd_init(&crowd);
    bool crowded = false;
    for (int i = 0; i < 50 && crowd.fd >= 0 && !crowded; i++) {
        crowded = crowd_is_here(&crowd, spin_ms(60));
    }
    bool known = crowd.fd >= 0;
    crowd_deinit(&crowd);
    assert_int_equal(kill(child, 9), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
    assert_true(crowded || !known);
}

/* What was seen is believed for a while, then looked at anew. */
static void test_a_crowd_goes_away(void **state)
{
    struct crowd crowd;
    uint64_t ms = 1000000;
    (void)state;
    crowd_init(&crowd);
    crowd.until_ns = 5000 * ms;
    crowd.looked_ns = 4990 * ms;
    assert_true(crowd_is_here(&crowd, 4999 * ms));
    assert_false(crowd_is_here(&crowd, 5000 * ms));
    crowd_deinit(&crowd);
}

enum { LOOK_NS = CROWD_LOOK_MS * 1000000, WAITED_NS = LOOK_NS / 50 + 1 };

/* One look after another; how many of them say that there is a crowd. */
static int looks(struct crowd *crowd, uint64_t *now, uint64_t *waited,
                 int count, uint64_t each_waits_ns)
{
    int crowded = 0;
    for (int i = 0; i < count; i++) {
        *now += LOOK_NS;
        *waited += each_waits_ns;
        crowd_looked(crowd, *now, *waited);
        crowded += *now < crowd->until_ns;
    }
    return crowded;
}

static void test_what_passes_by_costs_little(void **state)
{
    struct crowd crowd = {.fd = -1};
    uint64_t now = 1000 * (uint64_t)LOOK_NS;
    uint64_t waited = 0;
    (void)state;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(looks(&crowd, &now, &waited, 9, LOOK_NS / 50), 0);
        assert_int_equal(looks(&crowd, &now, &waited, 1, WAITED_NS), 1);
    }
}

static void test_a_busy_machine_is_seldom_tried(void **state)
{
    struct crowd crowd = {.fd = -1};
    uint64_t now = 1000 * (uint64_t)LOOK_NS;
    uint64_t waited = 0;
    (void)state;
    assert_int_equal(looks(&crowd, &now, &waited, 6, WAITED_NS), 6);
    assert_int_equal(crowd.until_ns - now,
                     CROWD_STAYS_MAX_MS * (uint64_t)1000000);
    /* When it is over it is over, ... */
    int after = looks(&crowd, &now, &waited, 100, 0);
    assert_int_equal(after, CROWD_STAYS_MAX_MS / CROWD_LOOK_MS - 1);
    /* ... and long after it the next is a new one. */
    assert_int_equal(looks(&crowd, &now, &waited, 1, WAITED_NS), 1);
    assert_int_equal(looks(&crowd, &now, &waited, 9, 0), 0);
}

static void test_a_system_that_does_not_tell(void **state)
{
    struct crowd crowd = {.fd = -1};
    (void)state;
    assert_false(crowd_is_here(&crowd, 1000000000));
    crowd_deinit(&crowd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_of_the_system),
        cmocka_unit_test(test_other_text_is_refused),
        cmocka_unit_test(test_a_shared_processor_is_crowded),
        cmocka_unit_test(test_a_crowd_goes_away),
        cmocka_unit_test(test_what_passes_by_costs_little),
        cmocka_unit_test(test_a_busy_machine_is_seldom_tried),
        cmocka_unit_test(test_a_system_that_does_not_tell),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
