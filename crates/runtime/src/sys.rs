//! The system calls that neither std nor rustix wraps. All of this crate's
//! `unsafe` that is about the kernel's calling convention lives here.
//!
//! Not here: anything with a decision in it.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::process::Pid;

/// `linux/sched.h`; the `libc` crate's constant has too narrow a type.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// What [`clone3`] returned.
pub(crate) enum Forked {
    /// This is the new process.
    Child,
    /// This is the caller; the new process and a descriptor that names it.
    Parent(Pid, OwnedFd),
}

/// Makes a new process, in new namespaces as `flags` say, and in the cgroup
/// (v2) of `cgroup` from birth.
///
/// # Safety
///
/// The calling process must have a single thread: the child owns a copy of
/// all memory, and a lock held by another thread would stay locked for ever.
pub(crate) unsafe fn clone3(flags: u64, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Forked> {
    let mut pidfd: libc::c_int = -1;
    // SAFETY: clone_args is plain numbers; all zero is its documented default.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = flags | libc::CLONE_PIDFD as u64;
    args.pidfd = &raw mut pidfd as u64;
    args.exit_signal = libc::SIGCHLD as u64;
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: args lives across the call and its size is given; without
    // CLONE_VM this is fork(2), which the caller promised to be sound.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            &raw const args,
            size_of::<libc::clone_args>(),
        )
    };
    match answer {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Forked::Child),
        pid => {
            let pid = Pid::from_raw(pid as i32).ok_or(io::ErrorKind::InvalidData)?;
            // SAFETY: the kernel stored a new descriptor that nobody else owns.
            Ok(Forked::Parent(pid, unsafe { OwnedFd::from_raw_fd(pidfd) }))
        }
    }
}

/// Changes attributes of the mount (or, recursively, the mount tree) that
/// `mount` refers to. `propagation` is one of `MS_PRIVATE`, `MS_SLAVE`,
/// `MS_SHARED` or 0 for no change.
pub(crate) fn mount_setattr(
    mount: impl AsFd,
    recursive: bool,
    set: u64,
    propagation: u64,
) -> io::Result<()> {
    let attr = libc::mount_attr {
        attr_set: set,
        attr_clr: 0,
        propagation,
        userns_fd: 0,
    };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a C string, attr lives across the call and its size
    // is given.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attr,
            size_of::<libc::mount_attr>(),
        )
    };
    check(answer)
}

/// Marks every descriptor from `first` upwards close-on-exec.
pub(crate) fn close_on_exec_from(first: u32) -> io::Result<()> {
    // SAFETY: changes descriptor flags only; no memory is passed.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            first,
            u32::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    check(answer)
}

/// Closes every descriptor from `first` upwards.
///
/// # Safety
///
/// Nothing in this process may own a descriptor in that range.
pub(crate) unsafe fn close_from(first: u32) -> io::Result<()> {
    // SAFETY: the caller promised that no owner is left behind.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) })
}

/// Installs one seccomp program on the calling thread.
///
/// `seccompiler::apply_filter` is not used because it always sets
/// no_new_privs, which is the container's own choice.
pub(crate) fn seccomp(program: &[seccompiler::sock_filter]) -> io::Result<()> {
    let length = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let filter = libc::sock_fprog {
        len: length,
        filter: program.as_ptr() as *mut _,
    };
    // SAFETY: sock_filter has the kernel's layout, the pointer and length
    // describe `program`, and the kernel copies it.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            0,
            &raw const filter,
        )
    };
    check(answer)
}

/// Has the calling process go on when it is asked to end.
pub(crate) fn ignore_termination() {
    // SAFETY: SIG_IGN is a disposition that SIGTERM may have; no handler runs.
    unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
}

/// Gives every signal its default disposition and unblocks all of them, as a
/// program expects at its start. (Rust ignores SIGPIPE, and ignoring is
/// inherited through exec.)
pub(crate) fn reset_signals() {
    for signal in 1..=64 {
        // SAFETY: SIG_DFL installs no handler; numbers without meaning and
        // SIGKILL and SIGSTOP are refused by the kernel, harmlessly.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: an empty set is made before it is read.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// Replaces this process's program. Returns only to say why it could not.
pub(crate) fn execve(path: &CStr, args: &[CString], env: &[CString]) -> io::Error {
    let pointers = |strings: &[CString]| -> Vec<*const libc::c_char> {
        strings
            .iter()
            .map(|s| s.as_ptr())
            .chain([std::ptr::null()])
            .collect()
    };
    let (args, env) = (pointers(args), pointers(env));
    // SAFETY: both vectors end with a null pointer and point to C strings that
    // outlive the call.
    unsafe { libc::execve(path.as_ptr(), args.as_ptr(), env.as_ptr()) };
    io::Error::last_os_error()
}

/// Ends this process at once, without running destructors or exit handlers:
/// a forked child must not run those of its parent.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: never returns and touches no memory.
    unsafe { libc::_exit(code) }
}

/// Moves the calling process or thread into new namespaces.
///
/// # Safety
///
/// As for [`rustix::thread::unshare_unsafe`]; the flags used here never
/// include `CLONE_FILES`.
pub(crate) fn unshare(flags: rustix::thread::UnshareFlags) -> io::Result<()> {
    debug_assert!(!flags.contains(rustix::thread::UnshareFlags::FILES));
    // SAFETY: without FILES no descriptor table is split.
    Ok(unsafe { rustix::thread::unshare_unsafe(flags) }?)
}

fn check(answer: libc::c_long) -> io::Result<()> {
    if answer < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Sends a signal, real-time ones included, to the process of `pidfd`.
pub(crate) fn signal(pidfd: impl AsFd, signal: i32) -> io::Result<()> {
    // SAFETY: no memory is passed; the kernel checks the number.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_fd().as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    check(answer)
}

/// The set with nothing but SIGCHLD.
fn child_signal() -> libc::sigset_t {
    // SAFETY: the set is made empty before it is used.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        set
    }
}

/// Keeps SIGCHLD pending until it is waited for.
pub(crate) fn block_child_signal() -> io::Result<()> {
    let set = child_signal();
    // SAFETY: set is initialised; the old mask is not asked for.
    check(
        unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) }.into(),
    )
}

/// Sleeps until a child ends.
pub(crate) fn wait_child_signal() {
    let set = child_signal();
    // SAFETY: set is initialised; no information about the signal is asked for.
    unsafe { libc::sigwaitinfo(&raw const set, std::ptr::null_mut()) };
}
