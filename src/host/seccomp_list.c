/* The lists of calls, for x86-64 and aarch64. An #ifdef is around what not all
 * machines have, or not all headers know.
 *
 * They were made by running the tests under the filter, and by reading what
 * glibc, libuv, LMDB, OpenSSL and libcurl call. A call that is missing shows
 * as EPERM in strace, and in the kernel's log where
 * /proc/sys/kernel/seccomp/actions_logged has "errno". */
#include "host/seccomp_int.h"

#include <sys/syscall.h>

#define LIST(calls)                                 \
    {                                               \
        (calls), sizeof(calls) / sizeof((calls)[0]) \
    }

/* What the loops, the log and the store do all day. */
static const int common[] = {
    SYS_read,          SYS_write,           SYS_readv,   SYS_writev,
    SYS_recvfrom,      SYS_recvmsg,         SYS_sendto,  SYS_sendmsg,
#ifdef SYS_epoll_wait
    SYS_epoll_wait,
#endif
    SYS_epoll_pwait,   SYS_epoll_ctl,       SYS_futex,   SYS_pread64,
    SYS_pwrite64,      SYS_pwritev,         SYS_preadv,  SYS_fdatasync,
    SYS_accept4,       SYS_close,           SYS_madvise, SYS_munmap,
    SYS_clock_gettime, SYS_clock_nanosleep,
};
const struct seccomp__list seccomp__common = LIST(common);

/* Waiting and waking; sockets; files; memory; threads; signals. */
static const int allowed[] = {
#ifdef SYS_epoll_create
    SYS_epoll_create,
#endif
    SYS_epoll_create1,
#ifdef SYS_epoll_pwait2
    SYS_epoll_pwait2,
#endif
#ifdef SYS_poll
    SYS_poll,
#endif
    SYS_ppoll,
#ifdef SYS_select
    SYS_select,
#endif
    SYS_pselect6,
    SYS_eventfd2,
#ifdef SYS_pipe
    SYS_pipe,
#endif
    SYS_pipe2,
    SYS_timerfd_create,
    SYS_timerfd_settime,
    SYS_timerfd_gettime,
    SYS_signalfd4,
    SYS_inotify_init1,
    SYS_inotify_add_watch,
    SYS_inotify_rm_watch,

    SYS_socketpair,
    SYS_bind,
    SYS_listen,
    SYS_accept,
    SYS_connect,
    SYS_shutdown,
    SYS_getsockname,
    SYS_getpeername,
    SYS_getsockopt,
    SYS_setsockopt,
    SYS_recvmmsg,
    SYS_sendmmsg,

#ifdef SYS_open
    SYS_open,
#endif
    SYS_openat,
#ifdef SYS_stat
    SYS_stat,
#endif
    SYS_fstat,
#ifdef SYS_lstat
    SYS_lstat,
#endif
#ifdef SYS_newfstatat
    SYS_newfstatat,
#endif
#ifdef SYS_statx
    SYS_statx,
#endif
    SYS_statfs,
    SYS_fstatfs,
#ifdef SYS_access
    SYS_access,
#endif
    SYS_faccessat,
#ifdef SYS_faccessat2
    SYS_faccessat2,
#endif
    SYS_lseek,
    SYS_fallocate,
    SYS_ftruncate,
    SYS_fsync,
#ifdef SYS_sync_file_range
    SYS_sync_file_range,
#endif
#ifdef SYS_copy_file_range
    SYS_copy_file_range,
#endif
#ifdef SYS_sendfile
    SYS_sendfile,
#endif
    SYS_readahead,
#ifdef SYS_fadvise64
    SYS_fadvise64,
#endif
#ifdef SYS_rename
    SYS_rename,
#endif
#ifdef SYS_renameat
    SYS_renameat,
#endif
    SYS_renameat2,
#ifdef SYS_unlink
    SYS_unlink,
#endif
    SYS_unlinkat,
    SYS_linkat,
#ifdef SYS_mkdir
    SYS_mkdir,
#endif
    SYS_mkdirat,
#ifdef SYS_rmdir
    SYS_rmdir,
#endif
#ifdef SYS_getdents
    SYS_getdents,
#endif
    SYS_getdents64,
#ifdef SYS_readlink
    SYS_readlink,
#endif
    SYS_readlinkat,
    SYS_getcwd,
    SYS_umask,
    SYS_fchmod,
    SYS_fchmodat,
    SYS_utimensat,
    SYS_flock,
    SYS_fcntl,
    SYS_dup,
#ifdef SYS_dup2
    SYS_dup2,
#endif
    SYS_dup3,
#ifdef SYS_close_range
    SYS_close_range,
#endif
#ifdef SYS_memfd_create
    SYS_memfd_create,
#endif

    SYS_brk,
    SYS_mremap,
    SYS_msync,
    SYS_mincore,
    SYS_mlock,
    SYS_munlock,
#ifdef SYS_membarrier
    SYS_membarrier,
#endif

    SYS_exit,
    SYS_exit_group,
    SYS_gettid,
    SYS_getpid,
    SYS_getppid,
    SYS_getuid,
    SYS_geteuid,
    SYS_getgid,
    SYS_getegid,
    SYS_getgroups,
    SYS_getresuid,
    SYS_getresgid,
    SYS_set_robust_list,
    SYS_get_robust_list,
#ifdef SYS_rseq
    SYS_rseq,
#endif
    SYS_set_tid_address,
#ifdef SYS_arch_prctl
    SYS_arch_prctl,
#endif
    SYS_sched_yield,
    SYS_sched_getaffinity,
    SYS_sched_setaffinity,
    SYS_sched_getparam,
    SYS_sched_getscheduler,
    SYS_sched_setscheduler,
    SYS_sched_get_priority_max,
    SYS_sched_get_priority_min,
    SYS_getcpu,
    SYS_getrandom,
    SYS_getrusage,
    SYS_times,
    SYS_sysinfo,
    SYS_uname,
#ifdef SYS_getrlimit
    SYS_getrlimit,
#endif
    SYS_prlimit64,
    SYS_nanosleep,
    SYS_clock_getres,
    SYS_gettimeofday,
#ifdef SYS_time
    SYS_time,
#endif

    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_rt_sigpending,
    SYS_rt_sigtimedwait,
    SYS_rt_sigsuspend,
    SYS_sigaltstack,
    SYS_tgkill,
    SYS_restart_syscall,
};
const struct seccomp__list seccomp__allowed = LIST(allowed);

/* What has an older way: clone3's and openat2's arguments can't be seen from a
 * filter, and a ring does calls that no filter sees. */
static const int unknown[] = {
#ifdef SYS_clone3
    SYS_clone3,
#endif
#ifdef SYS_openat2
    SYS_openat2,
#endif
#ifdef SYS_io_uring_setup
    SYS_io_uring_setup,
#endif
#ifdef SYS_io_uring_enter
    SYS_io_uring_enter,
#endif
#ifdef SYS_io_uring_register
    SYS_io_uring_register,
#endif
};
const struct seccomp__list seccomp__unknown = LIST(unknown);

/* Another program in this one's place. */
static const int exec[] = {
    SYS_execve,
    SYS_execveat,
};
const struct seccomp__list seccomp__exec = LIST(exec);

/* Other processes; the kernel's inside; the kernel itself; the file system's
 * shape; keys and doors of old; the machine's clock and name. */
static const int hostile[] = {
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_kcmp,
#ifdef SYS_pidfd_getfd
    SYS_pidfd_getfd,
#endif

    SYS_bpf,
    SYS_perf_event_open,
#ifdef SYS_userfaultfd
    SYS_userfaultfd,
#endif

    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_kexec_load,
#ifdef SYS_kexec_file_load
    SYS_kexec_file_load,
#endif
    SYS_reboot,

    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    SYS_setns,
    SYS_unshare,
#ifdef SYS_move_mount
    SYS_move_mount,
#endif
#ifdef SYS_open_tree
    SYS_open_tree,
#endif
#ifdef SYS_fsopen
    SYS_fsopen,
#endif
#ifdef SYS_fsmount
    SYS_fsmount,
#endif
    SYS_swapon,
    SYS_swapoff,
    SYS_acct,
    SYS_quotactl,

    SYS_add_key,
    SYS_request_key,
    SYS_keyctl,
    SYS_open_by_handle_at,
#ifdef SYS_iopl
    SYS_iopl,
#endif
#ifdef SYS_ioperm
    SYS_ioperm,
#endif
#ifdef SYS_modify_ldt
    SYS_modify_ldt,
#endif
#ifdef SYS_uselib
    SYS_uselib,
#endif

    SYS_settimeofday,
    SYS_clock_settime,
    SYS_adjtimex,
    SYS_clock_adjtime,
    SYS_sethostname,
    SYS_setdomainname,
    SYS_syslog,
    SYS_vhangup,
};
const struct seccomp__list seccomp__hostile = LIST(hostile);
