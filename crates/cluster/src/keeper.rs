//! The gateway's keeper: a process on the host that restarts its worker while
//! the cluster's pid 1 lives, and removes what the kernel leaves behind when
//! that ends.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::init;
use crate::sys;

/// Keeps the worker (`coracle gateway-worker NAME`) running until the process
/// that `CORACLE_INIT` names ends, then calls `clean` and returns.
///
/// The worker inherits the gateway's listening socket.
///
/// # Errors
/// Fails if the environment names no process or the worker cannot be started.
pub fn keep(name: &str, clean: impl FnOnce()) -> io::Result<()> {
    sys::set_name(c"coracle-gateway");
    let init = std::env::var("CORACLE_INIT")
        .ok()
        .and_then(|pid| pid.parse().ok());
    let init = init
        .and_then(Pid::from_raw)
        .ok_or_else(|| io::Error::other("CORACLE_INIT names no process"))?;
    let listener = init::descriptor("gateway")
        .ok_or_else(|| io::Error::other("no gateway socket was inherited"))?;
    let init = match pidfd_open(init, PidfdFlags::empty()) {
        Ok(fd) => fd,
        Err(rustix::io::Errno::SRCH) => {
            clean();
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    loop {
        let mut worker = start(name, listener)?;
        let pid = Pid::from_child(&worker);
        let ended = pidfd_open(pid, PidfdFlags::empty())?;
        let mut fds = [
            PollFd::new(&init, PollFlags::IN),
            PollFd::new(&ended, PollFlags::IN),
        ];
        while poll(&mut fds, None).is_err() {}
        if !fds[0].revents().is_empty() {
            let _ = worker.kill();
            let _ = worker.wait();
            clean();
            return Ok(());
        }
        let _ = worker.wait();
        drop(ended);
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn start(name: &str, listener: RawFd) -> io::Result<std::process::Child> {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("coracle").args(["gateway-worker", name]);
    command.env(init::DESCRIPTORS, format!("gateway={listener}"));
    // SAFETY: the closure makes only async-signal-safe calls, on a descriptor
    // that stays open for the life of the keeper.
    unsafe {
        command.pre_exec(move || {
            sys::die_with_parent(libc::SIGKILL);
            sys::keep_over_exec(BorrowedFd::borrow_raw(listener).as_fd())
        });
    }
    command.spawn()
}
