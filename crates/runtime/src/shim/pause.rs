//! The first process of a pid namespace that several containers share: reaps
//! orphans and does nothing else.

use std::process::exit;

use rustix::process::WaitOptions;

use crate::sys;

/// The argument in place of a container's id.
pub(crate) const WORD: &str = "--pause";

/// Waits for children until killed.
pub(super) fn main() -> ! {
    let _ = rustix::process::setsid();
    let _ = rustix::thread::set_name(c"coracle-pause");
    // SAFETY: the process has just begun and owns no descriptor there.
    let _ = unsafe { sys::close_from(3) };
    if sys::block_child_signal().is_err() {
        exit(1);
    }
    loop {
        // pid_namespaces(7): orphans become children of the namespace's first
        // process, which has to wait for them.
        while let Ok(Some(_)) = rustix::process::wait(WaitOptions::NOHANG) {}
        sys::wait_child_signal();
    }
}
