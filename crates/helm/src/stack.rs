//! Threads with a stack on which templates may recurse.

use std::panic::resume_unwind;
use std::thread::{Builder, Scope, ScopedJoinHandle};

/// Templates recurse: an include inside an include takes stack. Helm allows a
/// thousand of each name.
const STACK_BYTES: usize = 1 << 30;

/// Runs `work` where recursion has room.
pub(crate) fn on_large_stack<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| join(spawn(scope, "render", work)))
}

/// Starts a thread where recursion has room.
pub(crate) fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    work: impl FnOnce() -> T + Send + 'scope,
) -> ScopedJoinHandle<'scope, T> {
    let thread = Builder::new().name(name.into()).stack_size(STACK_BYTES);
    let started = thread.spawn_scoped(scope, work);
    started.expect("a thread can be started")
}

/// Waits for a thread; its panic goes on here.
pub(crate) fn join<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}
