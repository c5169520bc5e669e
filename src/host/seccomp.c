/* The filter's assembler. It is one list, in the order in which calls are
 * common: each entry is compared, and what follows a match returns, so that
 * the call's number stays in the accumulator for the next. Kernels since 5.11
 * remember which numbers are always allowed and don't run it for them. */
#include "host/seccomp.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/check.h"
#include "host/seccomp_int.h"

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

#ifndef SECCOMP_FILTER_FLAG_SPEC_ALLOW
#define SECCOMP_FILTER_FLAG_SPEC_ALLOW (1UL << 2)
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif

enum {
    DO = SECCOMP_RET_ALLOW,
    REFUSE = SECCOMP_RET_ERRNO | EPERM,
    UNKNOWN = SECCOMP_RET_ERRNO | ENOSYS,
    /* Numbers from here on are of kernels after 6.4, which this list has not
     * seen. They are the same on all machines. */
    NEWER = 451,
    X32_BIT = 0x40000000, /* of x86-64: the same calls by other numbers */
};
/* No enum constant: it doesn't fit an int. */
#define END SECCOMP_RET_KILL_PROCESS

/* ---- steps --------------------------------------------------------------- */

static void put(struct seccomp_program *to, struct sock_filter step)
{
    CHECK_LT(to->count, SECCOMP_STEPS_MAX);
    to->steps[to->count++] = step;
}

static void load(struct seccomp_program *to, size_t offset)
{
    put(to, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                         (uint32_t)offset));
}

static void answer(struct seccomp_program *to, uint32_t what)
{
    put(to, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, what));
}

/* The accumulator against `value` (BPF_JEQ, BPF_JGE, BPF_JSET): true, and it
 * is `what`; false, and it goes on. */
static void when(struct seccomp_program *to, uint16_t how, uint32_t value,
                 uint32_t what)
{
    put(to, (struct sock_filter)BPF_JUMP((uint16_t)(BPF_JMP | how | BPF_K),
                                         value, 0, 1));
    answer(to, what);
}

/* What is put between these two is for this call alone, and returns in any
 * case. */
static size_t begin_call(struct seccomp_program *to, long number)
{
    put(to, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
                                         (uint32_t)number, 0, 0));
    return to->count - 1;
}

static void end_call(struct seccomp_program *to, size_t begun)
{
    size_t skipped = to->count - begun - 1;
    CHECK(skipped > 0 && skipped <= UINT8_MAX);
    to->steps[begun].jf = (uint8_t)skipped;
}

/* The low half of an argument: those below are ints. */
static void load_argument(struct seccomp_program *to, size_t number)
{
    load(to, offsetof(struct seccomp_data, args) + number * sizeof(uint64_t));
}

/* ---- calls whose arguments are looked at --------------------------------- */

/* Only one of these values is done. */
static void allow_values(struct seccomp_program *to, long call, size_t argument,
                         const uint32_t *values, size_t count)
{
    size_t begun = begin_call(to, call);
    load_argument(to, argument);
    for (size_t i = 0; i < count; i++) {
        when(to, BPF_JEQ, values[i], DO);
    }
    answer(to, REFUSE);
    end_call(to, begun);
}

/* Memory that can be written and run is how data becomes code. */
static void allow_mapping(struct seccomp_program *to, long call)
{
    size_t begun = begin_call(to, call);
    load_argument(to, 2);
    put(to, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K,
                                         PROT_WRITE | PROT_EXEC));
    when(to, BPF_JEQ, PROT_WRITE | PROT_EXEC, REFUSE);
    answer(to, DO);
    end_call(to, begun);
}

/* A user namespace of one's own is the way to many a hole in the kernel. */
static void allow_threads(struct seccomp_program *to)
{
    const uint32_t namespaces = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID |
                                CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |
                                CLONE_NEWCGROUP;
    size_t begun = begin_call(to, SYS_clone);
    load_argument(to, 0);
    when(to, BPF_JSET, namespaces, REFUSE);
    answer(to, DO);
    end_call(to, begun);
}

static void look_at_arguments(struct seccomp_program *to)
{
    static const uint32_t families[] = {AF_INET, AF_INET6, AF_UNIX, AF_NETLINK};
    /* isatty, and what libuv sets. Not TIOCSTI, which types on a terminal. */
    static const uint32_t requests[] = {FIONBIO, FIOCLEX, FIONCLEX, FIONREAD,
                                        0x5401 /* TCGETS */};
    static const uint32_t options[] = {PR_SET_NAME, PR_GET_NAME, PR_SET_VMA,
                                       PR_GET_DUMPABLE};
    allow_mapping(to, SYS_mmap);
    allow_mapping(to, SYS_mprotect);
    allow_values(to, SYS_socket, 0, families,
                 sizeof(families) / sizeof(families[0]));
    allow_values(to, SYS_ioctl, 1, requests,
                 sizeof(requests) / sizeof(requests[0]));
    allow_values(to, SYS_prctl, 0, options,
                 sizeof(options) / sizeof(options[0]));
    allow_threads(to);
}

/* ---- the two filters ----------------------------------------------------- */

static void all_of(struct seccomp_program *to, const struct seccomp__list *list,
                   uint32_t what)
{
    for (size_t i = 0; i < list->count; i++) {
        when(to, BPF_JEQ, (uint32_t)list->calls[i], what);
    }
}

void seccomp_assemble(bool exec_allowed, struct seccomp_program *out)
{
    out->count = 0;
#ifdef ARCHITECTURE
    load(out, offsetof(struct seccomp_data, arch));
    put(out, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
                                          ARCHITECTURE, 1, 0));
    answer(out, END); /* 32 bits: other numbers for the same calls */
#endif
    load(out, offsetof(struct seccomp_data, nr));
    when(out, BPF_JGE, X32_BIT, END);
    if (!exec_allowed) {
        all_of(out, &seccomp__common, DO);
        look_at_arguments(out);
        all_of(out, &seccomp__allowed, DO);
        all_of(out, &seccomp__exec, END);
    }
    all_of(out, &seccomp__unknown, UNKNOWN);
    all_of(out, &seccomp__hostile, exec_allowed ? REFUSE : END);
    if (exec_allowed) {
        allow_threads(out);
    }
    when(out, BPF_JGE, NEWER, UNKNOWN);
    answer(out, exec_allowed ? DO : REFUSE);
}

/* ---- entering it --------------------------------------------------------- */

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif

bool seccomp_is_possible(void)
{
#if defined(SANITIZED) || !defined(ARCHITECTURE)
    return false;
#else
    return true;
#endif
}

enum err seccomp_enter(bool exec_allowed)
{
    struct seccomp_program program;
    CHECK(seccomp_is_possible());
    seccomp_assemble(exec_allowed, &program);
    struct sock_fprog filter = {.len = (unsigned short)program.count,
                                .filter = program.steps};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return err_set(ERR_UNSUPPORTED, "no-new-privs: %s", strerror(errno));
    }
    /* Without SPEC_ALLOW older kernels make every thread slower, against code
     * that shares the process with secrets of others; there is none here. */
    long failed = syscall(
        SYS_seccomp, SECCOMP_SET_MODE_FILTER,
        SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_SPEC_ALLOW, &filter);
    if (failed != 0) {
        return err_set(ERR_UNSUPPORTED, "seccomp: %s", strerror(errno));
    }
    return ERR_OK;
}
