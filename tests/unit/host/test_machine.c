/* What the system tells about this process. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/mem.h"
#include "host/clock_posix.h"
#include "host/machine.h"

enum { BLOCK_BYTES = 32 * 1024 * 1024 };

static struct machine look(void)
{
    struct machine machine;
    machine_read(&machine);
    return machine;
}

static void memory_in_use_is_seen(void **state)
{
    (void)state;
    struct machine before = look();
    assert_true(before.resident_bytes > 100 * 1024);
    assert_true(before.virtual_bytes >= before.resident_bytes);
    char *block = mem_alloc(BLOCK_BYTES);
    memset(block, 1, BLOCK_BYTES);
    struct machine after = look();
    assert_true(block[BLOCK_BYTES - 1] == 1);
    assert_true(after.resident_bytes >=
                before.resident_bytes + BLOCK_BYTES / 2);
    mem_free(block);
}

static void open_files_are_counted(void **state)
{
    (void)state;
    struct machine before = look();
    int fds[5];
    for (int i = 0; i < 5; i++) {
        fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        assert_true(fds[i] >= 0);
    }
    assert_int_equal(look().fd_used, before.fd_used + 5);
    for (int i = 0; i < 5; i++) {
        close(fds[i]);
    }
    assert_int_equal(look().fd_used, before.fd_used);
}

static void the_limit_is_raised_to_the_hard_one(void **state)
{
    struct rlimit limit;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = 100;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(look().fd_limit, 100);
    assert_int_equal(machine_raise_fd_limit(), limit.rlim_max);
    assert_int_equal(look().fd_limit, limit.rlim_max);
    assert_int_equal(machine_raise_fd_limit(), limit.rlim_max);
    limit.rlim_cur = before;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void processor_time_is_counted(void **state)
{
    (void)state;
    double before = look().cpu_seconds;
    int64_t begin_ns = clock_monotonic_ns(clock_posix());
    while (look().cpu_seconds < before + 0.02) {
        assert_true(clock_monotonic_ns(clock_posix()) - begin_ns <
                    INT64_C(20000000000));
    }
}

static void the_start_is_when_it_was_told(void **state)
{
    (void)state;
    int64_t before_ns = clock_wall_ns(clock_posix());
    machine_init();
    int64_t after_ns = clock_wall_ns(clock_posix());
    int64_t start_ns = look().start_ns;
    assert_true(before_ns <= start_ns && start_ns <= after_ns);
    assert_int_equal(look().start_ns, start_ns);
}

static void there_is_a_processor(void **state)
{
    (void)state;
    assert_true(machine_processors() >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_in_use_is_seen),
        cmocka_unit_test(open_files_are_counted),
        cmocka_unit_test(the_limit_is_raised_to_the_hard_one),
        cmocka_unit_test(processor_time_is_counted),
        cmocka_unit_test(the_start_is_when_it_was_told),
        cmocka_unit_test(there_is_a_processor),
    };
    machine_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
