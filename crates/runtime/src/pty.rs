//! Terminals. The new process makes one in the container's own devpts, keeps
//! the program's side and hands the controlling side to its shim.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// Both sides of a terminal.
pub(crate) struct Pty {
    pub controlling: OwnedFd,
    pub program: OwnedFd,
}

impl Pty {
    /// Makes a terminal that belongs to `uid`. To be called inside the
    /// container's mount namespace.
    pub(crate) fn open(uid: u32) -> io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let controlling = rustix::fs::openat(CWD, "/dev/pts/ptmx", flags, Mode::empty())?;
        unlockpt(&controlling)?;
        let program = peer(controlling.as_fd())?;
        match rustix::fs::fchown(&program, Some(rustix::fs::Uid::from_raw(uid)), None) {
            // An id that only a nested user namespace will have; there the
            // terminal appears as that id's already.
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(Self {
            controlling,
            program,
        })
    }
}

/// Opens the program's side of a terminal, wherever its devpts is mounted.
pub(crate) fn peer(controlling: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    Ok(ioctl_tiocgptpeer(controlling, flags)?)
}

/// Tells the programs behind a terminal how large it is.
pub(crate) fn resize(terminal: BorrowedFd<'_>, columns: u16, rows: u16) -> io::Result<()> {
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    Ok(tcsetwinsize(terminal, size)?)
}

/// Makes `program` the terminal and the three standard streams of this
/// process, which must lead a session.
pub(crate) fn become_terminal(program: &OwnedFd) -> io::Result<()> {
    rustix::process::ioctl_tiocsctty(program)?;
    become_streams(program, program, program)
}

/// Makes the three the standard streams of this process.
pub(crate) fn become_streams(
    stdin: impl AsFd,
    stdout: impl AsFd,
    stderr: impl AsFd,
) -> io::Result<()> {
    debug_assert!(
        stdin.as_fd().as_raw_fd() > 2,
        "a stream would be overwritten before it is used"
    );
    rustix::stdio::dup2_stdin(stdin)?;
    rustix::stdio::dup2_stdout(stdout)?;
    rustix::stdio::dup2_stderr(stderr)?;
    Ok(())
}
