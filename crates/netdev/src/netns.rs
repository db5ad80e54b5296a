//! Making and entering network namespaces.
//!
//! Work inside another namespace runs on a throw-away thread, so that no
//! thread of the caller ever changes its own. It does not bind namespaces to
//! file names: whoever holds the fd holds the namespace.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::thread::{LinkNameSpaceType, UnshareFlags};

use crate::error::{Error, Result};

/// Makes a network namespace and returns the fd that holds it.
pub fn create() -> Result<OwnedFd> {
    on_thread("make", || {
        // SAFETY: only the network namespace is left, by a thread of our own
        // that ends at once; no other thread's state is touched.
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }?;
        Ok(File::open("/proc/thread-self/ns/net")?.into())
    })
}

/// Returns an fd of the calling thread's network namespace.
pub fn current() -> Result<OwnedFd> {
    let file = File::open("/proc/thread-self/ns/net").map_err(|source| Error::Namespace {
        step: "open",
        source,
    })?;
    Ok(file.into())
}

/// Runs `work` on a throw-away thread inside the namespace `netns`.
pub fn enter<T: Send>(netns: BorrowedFd<'_>, work: impl FnOnce() -> T + Send) -> Result<T> {
    on_thread("enter", || {
        join(netns)?;
        Ok(work())
    })
}

/// Moves the calling thread into `netns` for good.
///
/// For threads made for the purpose, such as one that runs a whole runtime.
pub fn join(netns: impl AsFd) -> io::Result<()> {
    rustix::thread::move_into_link_name_space(netns.as_fd(), Some(LinkNameSpaceType::Network))?;
    Ok(())
}

fn on_thread<T: Send>(
    step: &'static str,
    work: impl FnOnce() -> io::Result<T> + Send,
) -> Result<T> {
    let failed = |source| Error::Namespace { step, source };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .stack_size(256 << 10)
            .spawn_scoped(scope, work)
            .map_err(failed)?;
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            .map_err(failed)
    })
}
