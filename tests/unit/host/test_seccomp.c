#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/seccomp.h"
#include "host/seccomp_int.h"

/* ---- the filter, run here ------------------------------------------------ */

#if defined(__x86_64__)
#define OURS AUDIT_ARCH_X86_64
#else
#define OURS AUDIT_ARCH_AARCH64
#endif

static uint32_t word_at(const struct seccomp_data *data, uint32_t offset)
{
    uint32_t word;
    assert_true(offset + sizeof(word) <= sizeof(*data));
    memcpy(&word, (const char *)data + offset, sizeof(word));
    return word;
}

static bool holds(uint16_t how, uint32_t a, uint32_t k)
{
    switch (how) {
    case BPF_JEQ:
        return a == k;
    case BPF_JGE:
        return a >= k;
    case BPF_JSET:
        return (a & k) != 0;
    default:
        fail_msg("an unknown jump");
        return false;
    }
}

/* As the kernel would: what the program returns for this call. */
static uint32_t run(const struct seccomp_program *program,
                    const struct seccomp_data *data)
{
    uint32_t a = 0;
    for (size_t at = 0; at < program->count; at++) {
        const struct sock_filter *step = &program->steps[at];
        switch (BPF_CLASS(step->code)) {
        case BPF_LD:
            a = word_at(data, step->k);
            break;
        case BPF_ALU:
            assert_int_equal(BPF_OP(step->code), BPF_AND);
            a &= step->k;
            break;
        case BPF_JMP:
            at += holds(BPF_OP(step->code), a, step->k) ? step->jt : step->jf;
            break;
        case BPF_RET:
            return step->k;
        default:
            fail_msg("an unknown step");
        }
    }
    fail_msg("the program has no end");
    return 0;
}

static uint32_t answer_with(bool exec_allowed, long call, uint64_t first,
                            uint64_t second, uint64_t third)
{
    static struct seccomp_program program;
    struct seccomp_data data = {.nr = (int)call, .arch = OURS};
    data.args[0] = first;
    data.args[1] = second;
    data.args[2] = third;
    seccomp_assemble(exec_allowed, &program);
    return run(&program, &data);
}

static uint32_t answer_to(bool exec_allowed, long call)
{
    return answer_with(exec_allowed, call, 0, 0, 0);
}

static const uint32_t refused = SECCOMP_RET_ERRNO | EPERM;
static const uint32_t unknown = SECCOMP_RET_ERRNO | ENOSYS;

static void what_a_server_does_is_done(void **state)
{
    static const int calls[] = {SYS_read,       SYS_pwrite64,    SYS_fdatasync,
                                SYS_epoll_ctl,  SYS_accept4,     SYS_openat,
                                SYS_renameat2,  SYS_futex,       SYS_munmap,
                                SYS_exit_group, SYS_tgkill,      SYS_getrandom,
                                SYS_sendmsg,    SYS_rt_sigreturn};
    (void)state;
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        assert_int_equal(answer_to(false, calls[i]), SECCOMP_RET_ALLOW);
        assert_int_equal(answer_to(true, calls[i]), SECCOMP_RET_ALLOW);
    }
}

/* Every call of every list gets its own answer: none hides another. */
static void each_list_has_its_answer(void **state)
{
    (void)state;
    for (size_t i = 0; i < seccomp__common.count; i++) {
        assert_int_equal(answer_to(false, seccomp__common.calls[i]),
                         SECCOMP_RET_ALLOW);
    }
    for (size_t i = 0; i < seccomp__allowed.count; i++) {
        assert_int_equal(answer_to(false, seccomp__allowed.calls[i]),
                         SECCOMP_RET_ALLOW);
    }
    for (size_t i = 0; i < seccomp__hostile.count; i++) {
        assert_int_equal(answer_to(false, seccomp__hostile.calls[i]),
                         SECCOMP_RET_KILL_PROCESS);
        assert_int_equal(answer_to(true, seccomp__hostile.calls[i]), refused);
    }
    for (size_t i = 0; i < seccomp__unknown.count; i++) {
        assert_int_equal(answer_to(false, seccomp__unknown.calls[i]), unknown);
        assert_int_equal(answer_to(true, seccomp__unknown.calls[i]), unknown);
    }
}

static void programs_start_only_where_recipes_may(void **state)
{
    (void)state;
    assert_int_equal(answer_to(false, SYS_execve), SECCOMP_RET_KILL_PROCESS);
    assert_int_equal(answer_to(false, SYS_execveat), SECCOMP_RET_KILL_PROCESS);
    assert_int_equal(answer_to(true, SYS_execve), SECCOMP_RET_ALLOW);
    assert_int_equal(answer_to(true, SYS_wait4), SECCOMP_RET_ALLOW);
    assert_int_equal(answer_to(true, SYS_chdir), SECCOMP_RET_ALLOW);
}

static void the_rest_is_refused(void **state)
{
    (void)state;
    assert_int_equal(answer_to(false, SYS_chdir), refused);
    assert_int_equal(answer_to(false, SYS_kill), refused);
    assert_int_equal(answer_to(false, SYS_setresuid), refused);
    assert_int_equal(answer_to(false, SYS_seccomp), refused);
    assert_int_equal(answer_to(false, 100000), unknown);
    assert_int_equal(answer_to(true, 100000), unknown);
}

static void sockets_are_of_few_families(void **state)
{
    (void)state;
    assert_int_equal(answer_with(false, SYS_socket, AF_INET6, 0, 0),
                     SECCOMP_RET_ALLOW);
    assert_int_equal(answer_with(false, SYS_socket, AF_UNIX, 0, 0),
                     SECCOMP_RET_ALLOW);
    assert_int_equal(answer_with(false, SYS_socket, AF_PACKET, 0, 0), refused);
    assert_int_equal(answer_with(false, SYS_socket, AF_VSOCK, 0, 0), refused);
}

static void nothing_is_written_and_run(void **state)
{
    const uint64_t both = PROT_READ | PROT_WRITE | PROT_EXEC;
    (void)state;
    assert_int_equal(answer_with(false, SYS_mmap, 0, 0, both), refused);
    assert_int_equal(answer_with(false, SYS_mprotect, 0, 0, both), refused);
    /* A library that is loaded late. */
    assert_int_equal(answer_with(false, SYS_mmap, 0, 0, PROT_READ | PROT_EXEC),
                     SECCOMP_RET_ALLOW);
    assert_int_equal(answer_with(false, SYS_mmap, 0, 0, PROT_READ | PROT_WRITE),
                     SECCOMP_RET_ALLOW);
}

static void arguments_that_are_ways_out(void **state)
{
    (void)state;
    assert_int_equal(answer_with(false, SYS_clone, CLONE_NEWUSER, 0, 0),
                     refused);
    assert_int_equal(answer_with(true, SYS_clone, CLONE_NEWNS, 0, 0), refused);
    assert_int_equal(
        answer_with(false, SYS_clone, CLONE_VM | CLONE_THREAD, 0, 0),
        SECCOMP_RET_ALLOW);
    assert_int_equal(answer_with(false, SYS_ioctl, 0, TIOCSTI, 0), refused);
    assert_int_equal(answer_with(false, SYS_ioctl, 0, FIONBIO, 0),
                     SECCOMP_RET_ALLOW);
    assert_int_equal(answer_with(false, SYS_prctl, PR_SET_DUMPABLE, 1, 0),
                     refused);
    assert_int_equal(answer_with(false, SYS_prctl, PR_SET_NAME, 0, 0),
                     SECCOMP_RET_ALLOW);
}

static void other_numbers_for_the_same_calls_end_it(void **state)
{
    static struct seccomp_program program;
    struct seccomp_data data = {.nr = SYS_read, .arch = AUDIT_ARCH_I386};
    (void)state;
    seccomp_assemble(false, &program);
    assert_int_equal(run(&program, &data), SECCOMP_RET_KILL_PROCESS);
    data.arch = OURS;
    data.nr |= 0x40000000; /* x32 */
    assert_int_equal(run(&program, &data), SECCOMP_RET_KILL_PROCESS);
    seccomp_assemble(true, &program);
    assert_int_equal(run(&program, &data), SECCOMP_RET_KILL_PROCESS);
}

/* ---- the filter, in the kernel ------------------------------------------- */

static int child(bool exec_allowed, void (*act)(void))
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (seccomp_enter(exec_allowed) != ERR_OK) {
            _exit(99);
        }
        act();
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void refused_chdir(void)
{
    _exit(chdir("/") == -1 && errno == EPERM ? 7 : 1);
}

static void start_a_program(void)
{
    char *const arguments[] = {(char *)(uintptr_t) "true", NULL};
    execv("/bin/true", arguments);
    _exit(8);
}

static void the_kernel_takes_it(void **state)
{
    (void)state;
    if (!seccomp_is_possible()) {
        skip();
    }
    int status = child(false, refused_chdir);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 99) {
        skip(); /* a kernel without it */
    }
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
    status = child(false, start_a_program);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSYS);
    status = child(true, start_a_program);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_server_does_is_done),
        cmocka_unit_test(each_list_has_its_answer),
        cmocka_unit_test(programs_start_only_where_recipes_may),
        cmocka_unit_test(the_rest_is_refused),
        cmocka_unit_test(sockets_are_of_few_families),
        cmocka_unit_test(nothing_is_written_and_run),
        cmocka_unit_test(arguments_that_are_ways_out),
        cmocka_unit_test(other_numbers_for_the_same_calls_end_it),
        cmocka_unit_test(the_kernel_takes_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
