"""The seccomp allowlist of a sandbox: what ordinary programs need, and nothing that changes the machine.

The system calls are those that the container runtimes' common default profile allows without any capability, less
keyrings, `ptrace` and its kin, namespaces, `io_uring` and `userfaultfd`.
"""

from __future__ import annotations

import errno
import functools
import tempfile

_ALLOWED = """
accept accept4 access alarm arch_prctl bind brk capget capset cachestat chdir chmod chown clock_getres clock_gettime
clock_nanosleep close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl
epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64
fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr flock fork
fremovexattr fsetxattr fstat fstatfs fsync ftruncate futex futex_requeue futex_wait futex_waitv futex_wake futimesat
get_mempolicy get_robust_list getcpu getcwd getdents getdents64 getegid geteuid getgid getgroups getitimer getpeername
getpgid getpgrp getpid getppid getpriority getrandom getresgid getresuid getrlimit getrusage getsid getsockname
getsockopt gettid gettimeofday getuid getxattr inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel
io_destroy io_getevents io_pgetevents io_setup io_submit ioprio_get ioprio_set kill landlock_add_rule
landlock_create_ruleset landlock_restrict_self lchown lgetxattr link linkat listen listxattr llistxattr lremovexattr
lseek lsetxattr lstat madvise map_shadow_stack mbind membarrier memfd_create memfd_secret mincore mkdir mkdirat mlock
mlock2 mlockall mmap mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink mremap mseal
msgctl msgget msgrcv msgsnd msync munlock munlockall munmap nanosleep newfstatat open openat openat2 pause pidfd_open
pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll prctl pread64 preadv preadv2 prlimit64
process_mrelease pselect6 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recvfrom recvmmsg recvmsg
remap_file_pages removexattr rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending
rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max
sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval
sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop
semtimedop sendfile sendmmsg sendmsg sendto set_mempolicy set_robust_list set_tid_address setfsgid setfsuid setgid
setgroups setitimer setpgid setpriority setregid setresgid setresuid setreuid setrlimit setsid setsockopt setuid
setxattr shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 socketpair splice stat statfs statx symlink
symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime
timer_settime timerfd_create timerfd_gettime timerfd_settime times tkill truncate umask uname unlink unlinkat utime
utimensat utimes vfork vmsplice wait4 waitid write writev
"""

# What is refused by name answers EPERM, as to any program without privileges. All else answers ENOSYS, on which
# programs and their libraries fall back to older calls: it may be a call that this libseccomp does not know yet.
_REFUSED = """
acct add_key adjtimex bpf chroot clock_adjtime clock_settime clone delete_module fanotify_init finit_module fsconfig
fsmount fsopen fspick get_kernel_syms init_module ioperm iopl ioctl kcmp kexec_file_load kexec_load keyctl
lookup_dcookie mknod mknodat migrate_pages mount mount_setattr move_mount move_pages name_to_handle_at nfsservctl
open_by_handle_at open_tree perf_event_open personality pivot_root pidfd_getfd process_madvise process_vm_readv
process_vm_writev ptrace quotactl quotactl_fd reboot request_key setdomainname sethostname setns settimeofday socket
swapoff swapon syslog umount umount2 unshare userfaultfd vhangup io_uring_setup io_uring_enter io_uring_register
"""

_NEW_NAMESPACES = 0x7E020000
# libseccomp's SCMP_FLTATR_CTL_OPTIMIZE: a tree of system call numbers instead of a chain.
_OPTIMIZE, _BINARY_TREE = 8, 2
_ADDRESS_FAMILIES = (1, 2, 10, 16)  # unix, inet, inet6, netlink
_INJECT_INPUT, _TIOCLINUX = 0x5412, 0x541C
_PERSONALITIES = (0x0, 0x0008, 0x20000, 0x20008, 0xFFFFFFFF)


@functools.cache
def compiled() -> bytes:
    """The allowlist as a BPF program for this machine. Raises `OSError` where libseccomp is missing.

    Compiled once per process; 15 ms.
    """
    try:
        import pyseccomp as seccomp
    except (ImportError, RuntimeError, OSError) as error:
        raise OSError(errno.ENOENT, f"libseccomp cannot be loaded: {error}") from error

    profile = seccomp.SyscallFilter(seccomp.ERRNO(errno.ENOSYS))
    profile.set_attr(_OPTIMIZE, _BINARY_TREE)
    equal, masked = seccomp.EQ, seccomp.MASKED_EQ

    def add(action: int, name: str, *conditions: object) -> None:
        # A name this architecture or this libseccomp does not know is answered like any unknown call.
        try:
            profile.add_rule_exactly(action, name, *conditions)
        except (OSError, ValueError, RuntimeError):
            return

    refuse = seccomp.ERRNO(errno.EPERM)
    for name in _ALLOWED.split():
        add(seccomp.ALLOW, name)
    for name in _REFUSED.split():
        if name not in ("clone", "ioctl", "personality", "socket"):
            add(refuse, name)
    # `clone3` (left out) passes its flags in memory, where no filter sees them: libc falls back on `clone`.
    add(seccomp.ALLOW, "clone", seccomp.Arg(0, masked, _NEW_NAMESPACES, 0))
    for bit in range(32):
        if _NEW_NAMESPACES & 1 << bit:
            add(refuse, "clone", seccomp.Arg(0, masked, 1 << bit, 1 << bit))
    for family in _ADDRESS_FAMILIES:
        add(seccomp.ALLOW, "socket", seccomp.Arg(0, equal, family))
    add(refuse, "socket", seccomp.Arg(0, seccomp.GT, max(_ADDRESS_FAMILIES)))
    for value in _PERSONALITIES:
        add(seccomp.ALLOW, "personality", seccomp.Arg(0, equal, value))
    # Nothing is typed into a terminal it was started from. libseccomp takes one comparison of an argument a rule, and
    # the kernel looks at the argument's lower half only, whatever stands in the upper: so all is allowed that differs
    # from both requests in a bit they share, and what is left but for these two.
    differing = _INJECT_INPUT ^ _TIOCLINUX
    for bit in (1 << number for number in range(32)):
        if not differing & bit:
            add(seccomp.ALLOW, "ioctl", seccomp.Arg(1, masked, bit, ~_INJECT_INPUT & bit))
    for number in range(16):
        request = (_INJECT_INPUT & ~differing) | number & differing
        if number & ~differing == 0 and request not in (_INJECT_INPUT, _TIOCLINUX):
            add(seccomp.ALLOW, "ioctl", seccomp.Arg(1, masked, 0xFFFFFFFF, request))
    with tempfile.TemporaryFile() as file:
        profile.export_bpf(file)
        file.seek(0)
        return file.read()
