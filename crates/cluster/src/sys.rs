//! The few system calls that have no safe wrapper: fork, unshare, ids, signals.
//!
//! Everything here is for processes that have one thread only; the callers are
//! the entry points of re-executed processes, before any runtime starts.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::mount::MountAttrFlags;

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Which side of a fork this is.
pub enum Fork {
    /// The parent, with the child's process id in its own pid namespace.
    Parent(i32),
    /// The child.
    Child,
}

/// Forks the process.
///
/// # Errors
/// Returns what fork(2) reports.
pub fn fork() -> io::Result<Fork> {
    // SAFETY: the callers are single-threaded, so the child inherits no lock
    // held by a thread that does not exist in it.
    match check(unsafe { libc::fork() })? {
        0 => Ok(Fork::Child),
        pid => Ok(Fork::Parent(pid)),
    }
}

/// Leaves the namespaces in `flags` for new ones.
///
/// # Errors
/// Returns what unshare(2) reports.
pub fn unshare(flags: libc::c_int) -> io::Result<()> {
    // SAFETY: unshare takes no pointer.
    check(unsafe { libc::unshare(flags) }).map(drop)
}

/// Becomes user and group `0` of the current user namespace, without further groups.
///
/// # Errors
/// Returns what the system reports, except that `setgroups` may be denied.
pub fn become_root() -> io::Result<()> {
    // SAFETY: a null list of length zero is what setgroups(2) asks for to
    // drop all groups; the other calls take no pointer.
    unsafe {
        if libc::setgroups(0, std::ptr::null()) < 0 {
            let error = io::Error::last_os_error();
            // A single-id map must deny setgroups (user_namespaces(7)).
            if error.raw_os_error() != Some(libc::EPERM) {
                return Err(error);
            }
        }
        check(libc::setresgid(0, 0, 0))?;
        check(libc::setresuid(0, 0, 0))?;
    }
    Ok(())
}

/// Starts a session of its own, away from any terminal.
///
/// # Errors
/// Returns what setsid(2) reports.
pub fn setsid() -> io::Result<()> {
    // SAFETY: setsid takes no argument.
    check(unsafe { libc::setsid() }).map(drop)
}

/// Names the calling thread, as `ps -o comm` shows it (at most 15 bytes).
pub fn set_name(name: &std::ffi::CStr) {
    // SAFETY: the pointer is valid for the call and ends in a zero byte.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
}

/// Asks for `signal` when the parent dies.
pub fn die_with_parent(signal: libc::c_int) {
    // SAFETY: PR_SET_PDEATHSIG takes a number.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal) };
}

/// Sends `signal` to process `pid`.
///
/// # Errors
/// Returns what kill(2) reports.
pub fn kill(pid: i32, signal: libc::c_int) -> io::Result<()> {
    // SAFETY: kill takes no pointer.
    check(unsafe { libc::kill(pid, signal) }).map(drop)
}

/// Makes `fd` stay open over an exec.
///
/// # Errors
/// Returns what fcntl(2) reports.
pub fn keep_over_exec(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: F_SETFD takes a number, the descriptor is borrowed and open.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, 0) }).map(drop)
}

/// One reaped child: its process id and raw wait status.
pub struct Reaped {
    /// Process id in the caller's pid namespace.
    pub pid: i32,
    /// Status as waitpid(2) gives it.
    pub status: i32,
}

impl std::fmt::Display for Reaped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if libc::WIFSIGNALED(self.status) {
            write!(f, "signal {}", libc::WTERMSIG(self.status))
        } else {
            write!(f, "exit code {}", libc::WEXITSTATUS(self.status))
        }
    }
}

/// Reaps one dead child if there is one.
pub fn reap() -> Option<Reaped> {
    let mut status = 0;
    // SAFETY: `status` outlives the call.
    let pid = unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) };
    (pid > 0).then_some(Reaped { pid, status })
}

/// Waits for the child `pid` and returns its exit code; 128 and more is a signal.
///
/// # Errors
/// Returns what waitpid(2) reports.
pub fn wait_code(pid: i32) -> io::Result<i32> {
    let mut status = 0;
    loop {
        // SAFETY: `status` outlives the call.
        match check(unsafe { libc::waitpid(pid, &mut status, 0) }) {
            Ok(_) if libc::WIFEXITED(status) => return Ok(libc::WEXITSTATUS(status)),
            Ok(_) => return Ok(128 + libc::WTERMSIG(status)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Waits for the child `pid` and returns whether it ended with exit code 0.
///
/// # Errors
/// Returns what waitpid(2) reports.
pub fn wait_success(pid: i32) -> io::Result<bool> {
    Ok(wait_code(pid)? == 0)
}

/// Blocks the given signals and returns a descriptor from which they are read.
///
/// # Errors
/// Returns what sigprocmask(2) or signalfd(2) report.
pub fn signal_fd(signals: &[libc::c_int]) -> io::Result<std::os::fd::OwnedFd> {
    use std::os::fd::FromRawFd;
    // SAFETY: the set is initialised by sigemptyset before it is used, and
    // signalfd's descriptor is owned by nobody else.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        check(libc::sigemptyset(&mut set))?;
        for &signal in signals {
            check(libc::sigaddset(&mut set, signal))?;
        }
        check(libc::sigprocmask(
            libc::SIG_BLOCK,
            &set,
            std::ptr::null_mut(),
        ))?;
        let fd = check(libc::signalfd(-1, &set, libc::SFD_CLOEXEC))?;
        Ok(std::os::fd::OwnedFd::from_raw_fd(fd))
    }
}

/// Clears the signal mask, as a child must before it executes another program.
pub fn unblock_signals() {
    // SAFETY: the set is initialised by sigemptyset before it is used.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigprocmask(libc::SIG_SETMASK, &set, std::ptr::null_mut());
    }
}

/// Shows the files of a detached mount with the ids of a user namespace; see
/// mount_setattr(2).
///
/// # Errors
/// Returns what mount_setattr(2) reports, such as `EINVAL` for a file system
/// that cannot be shown with other ids.
pub fn map_ids(
    mount: BorrowedFd<'_>,
    namespace: BorrowedFd<'_>,
    recursive: bool,
) -> io::Result<()> {
    let namespace = namespace.as_raw_fd() as u64;
    set_attributes(mount, libc::MOUNT_ATTR_IDMAP, namespace, recursive)
}

/// Forbids something in a mount and in those below it, and keeps what is
/// mounted there from appearing elsewhere.
///
/// # Errors
/// Returns what mount_setattr(2) reports.
pub fn restrict(mount: BorrowedFd<'_>, attributes: MountAttrFlags) -> io::Result<()> {
    set_attributes(mount, attributes.bits().into(), 0, true)
}

fn set_attributes(
    mount: BorrowedFd<'_>,
    attributes: u64,
    namespace: u64,
    recursive: bool,
) -> io::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: attributes,
        attr_clr: 0,
        propagation: libc::MS_PRIVATE,
        userns_fd: namespace,
    };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a C string, the attributes live across the call and
    // their size is given.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    check(answer as libc::c_int).map(drop)
}

/// Reads the next signal from a descriptor made by [`signal_fd`].
///
/// # Errors
/// Returns what read(2) reports.
pub fn next_signal(fd: BorrowedFd<'_>) -> io::Result<libc::c_int> {
    let mut info = [0u8; size_of::<libc::signalfd_siginfo>()];
    let read = rustix::io::read(fd, &mut info)?;
    if read != info.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let number = u32::from_ne_bytes([info[0], info[1], info[2], info[3]]);
    Ok(number as libc::c_int)
}
