//! The default profile: which system calls a container may make, as moby and
//! containerd give it (moby `profiles/seccomp/default.json`, containerd
//! `contrib/seccomp/seccomp_default.go`; facts, not code, are taken from them).
//!
//! Names of calls that only 32-bit programs make are left out: those programs
//! are refused, as COMPATIBILITY.md says.

use super::profile::{Action, Compare, Condition, Profile, Rule};
use crate::caps::CapSet;

/// Namespaces that clone(2) can make.
const CLONE_NAMESPACES: u64 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWCGROUP) as u64;

/// Execution domains of personality(2) that change nothing but what uname
/// says or where addresses lie: Linux, with and without the 2.6 disguise, and
/// the question for the current one.
const PERSONALITIES: [u64; 5] = [0, 0x0008, 0x20000, 0x20008, 0xffff_ffff];

/// A socket family that reaches the host past all network namespaces.
const AF_VSOCK: u64 = 40;

/// Allowed whatever the arguments.
#[rustfmt::skip]
const ALLOWED: &[&str] = &[
    "accept", "accept4", "access", "alarm", "arch_prctl", "bind", "brk", "cachestat", "capget",
    "capset", "chdir", "chmod", "chown", "clock_adjtime", "clock_getres", "clock_gettime",
    "clock_nanosleep", "close", "close_range", "connect", "copy_file_range", "creat", "dup",
    "dup2", "dup3", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_ctl_old",
    "epoll_pwait", "epoll_pwait2", "epoll_wait", "epoll_wait_old", "eventfd", "eventfd2",
    "execve", "execveat", "exit", "exit_group", "faccessat", "faccessat2", "fadvise64",
    "fallocate", "fanotify_mark", "fchdir", "fchmod", "fchmodat", "fchmodat2", "fchown",
    "fchownat", "fcntl", "fdatasync", "fgetxattr", "flistxattr", "flock", "fork",
    "fremovexattr", "fsetxattr", "fstat", "fstatfs", "fsync", "ftruncate", "futex",
    "futex_requeue", "futex_wait", "futex_waitv", "futex_wake", "futimesat", "get_robust_list",
    "get_thread_area", "getcpu", "getcwd", "getdents", "getdents64", "getegid", "geteuid",
    "getgid", "getgroups", "getitimer", "getpeername", "getpgid", "getpgrp", "getpid",
    "getppid", "getpriority", "getrandom", "getresgid", "getresuid", "getrlimit", "getrusage",
    "getsid", "getsockname", "getsockopt", "gettid", "gettimeofday", "getuid", "getxattr",
    "inotify_add_watch", "inotify_init", "inotify_init1", "inotify_rm_watch", "io_cancel",
    "io_destroy", "io_getevents", "io_pgetevents", "io_setup", "io_submit", "ioctl",
    "ioprio_get", "ioprio_set", "kill", "landlock_add_rule", "landlock_create_ruleset",
    "landlock_restrict_self", "lchown", "lgetxattr", "link", "linkat", "listen", "listxattr",
    "llistxattr", "lremovexattr", "lseek", "lsetxattr", "lstat", "madvise", "map_shadow_stack",
    "membarrier", "memfd_create", "memfd_secret", "mincore", "mkdir", "mkdirat", "mknod",
    "mknodat", "mlock", "mlock2", "mlockall", "mmap", "modify_ldt", "mprotect", "mq_getsetattr",
    "mq_notify", "mq_open", "mq_timedreceive", "mq_timedsend", "mq_unlink", "mremap", "mseal",
    "msgctl", "msgget", "msgrcv", "msgsnd", "msync", "munlock", "munlockall", "munmap",
    "name_to_handle_at", "nanosleep", "newfstatat", "open", "openat", "openat2", "pause",
    "pidfd_getfd", "pidfd_open", "pidfd_send_signal", "pipe", "pipe2", "pkey_alloc",
    "pkey_free", "pkey_mprotect", "poll", "ppoll", "prctl", "pread64", "preadv", "preadv2",
    "prlimit64", "process_mrelease", "process_vm_readv", "process_vm_writev", "pselect6",
    "ptrace", "pwrite64", "pwritev", "pwritev2", "read", "readahead", "readlink", "readlinkat",
    "readv", "recvfrom", "recvmmsg", "recvmsg", "remap_file_pages", "removexattr", "rename",
    "renameat", "renameat2", "restart_syscall", "rmdir", "rseq", "rt_sigaction",
    "rt_sigpending", "rt_sigprocmask", "rt_sigqueueinfo", "rt_sigreturn", "rt_sigsuspend",
    "rt_sigtimedwait", "rt_tgsigqueueinfo", "sched_get_priority_max", "sched_get_priority_min",
    "sched_getaffinity", "sched_getattr", "sched_getparam", "sched_getscheduler",
    "sched_rr_get_interval", "sched_setaffinity", "sched_setattr", "sched_setparam",
    "sched_setscheduler", "sched_yield", "seccomp", "select", "semctl", "semget", "semop",
    "semtimedop", "sendfile", "sendmmsg", "sendmsg", "sendto", "set_robust_list",
    "set_thread_area", "set_tid_address", "setfsgid", "setfsuid", "setgid", "setgroups",
    "setitimer", "setpgid", "setpriority", "setregid", "setresgid", "setresuid", "setreuid",
    "setrlimit", "setsid", "setsockopt", "setuid", "setxattr", "shmat", "shmctl", "shmdt",
    "shmget", "shutdown", "sigaltstack", "signalfd", "signalfd4", "socketpair", "splice",
    "stat", "statfs", "statx", "symlink", "symlinkat", "sync", "sync_file_range", "syncfs",
    "sysinfo", "tee", "tgkill", "time", "timer_create", "timer_delete", "timer_getoverrun",
    "timer_gettime", "timer_settime", "timerfd_create", "timerfd_gettime", "timerfd_settime",
    "times", "tkill", "truncate", "umask", "uname", "unlink", "unlinkat", "utime", "utimensat",
    "utimes", "vfork", "vmsplice", "wait4", "waitid", "write", "writev",
];

/// Allowed in addition with a capability in the bounding set.
#[rustfmt::skip]
const WITH_CAPABILITY: &[(&str, &[&str])] = &[
    ("DAC_READ_SEARCH", &[
        "open_by_handle_at",
    ]),
    ("SYS_ADMIN", &[
        "bpf", "clone", "clone3", "fanotify_init", "fsconfig", "fsmount", "fsopen",
        "fspick", "lookup_dcookie", "mount", "mount_setattr", "move_mount", "open_tree",
        "perf_event_open", "quotactl", "quotactl_fd", "setdomainname", "sethostname",
        "setns", "syslog", "umount2", "unshare",
    ]),
    ("SYS_BOOT", &[
        "reboot",
    ]),
    ("SYS_CHROOT", &[
        "chroot",
    ]),
    ("SYS_MODULE", &[
        "delete_module", "finit_module", "init_module",
    ]),
    ("SYS_PACCT", &[
        "acct",
    ]),
    ("SYS_PTRACE", &[
        "kcmp", "pidfd_getfd", "process_madvise", "process_vm_readv",
        "process_vm_writev", "ptrace",
    ]),
    ("SYS_RAWIO", &[
        "ioperm", "iopl",
    ]),
    ("SYS_TIME", &[
        "adjtimex", "clock_settime", "settimeofday",
    ]),
    ("SYS_TTY_CONFIG", &[
        "vhangup",
    ]),
    ("SYS_NICE", &[
        "get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node",
    ]),
    ("SYSLOG", &[
        "syslog",
    ]),
    ("BPF", &[
        "bpf",
    ]),
    ("PERFMON", &[
        "perf_event_open",
    ]),
];

/// Returns the default profile for a container with these capabilities.
pub(super) fn profile(bounding: CapSet) -> Profile {
    let mut rules = vec![Rule::allow(ALLOWED)];
    for (capability, names) in WITH_CAPABILITY {
        if bounding.contains(capability) {
            rules.push(Rule::allow(names));
        }
    }
    for domain in PERSONALITIES {
        let condition = Condition {
            argument: 0,
            compare: Compare::Equal,
            value: domain,
            mask: 0,
        };
        rules.push(Rule::allow(&["personality"]).when(condition));
    }
    let compare = Compare::NotEqual;
    let not_vsock = Condition {
        argument: 0,
        compare,
        value: AF_VSOCK,
        mask: 0,
    };
    rules.push(Rule::allow(&["socket"]).when(not_vsock));
    if !bounding.contains("SYS_ADMIN") {
        let compare = Compare::MaskedEqual;
        let plain = Condition {
            argument: 0,
            compare,
            value: 0,
            mask: CLONE_NAMESPACES,
        };
        rules.push(Rule::allow(&["clone"]).when(plain));
        // A filter cannot look into clone3's argument block; "no such call"
        // makes libraries fall back to clone.
        rules.push(Rule::new(&["clone3"], Action::Errno(libc::ENOSYS as u32)));
    }
    Profile {
        default: Action::Errno(libc::EPERM as u32),
        rules,
    }
}
