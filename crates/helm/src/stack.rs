//! A stack on which templates may recurse.

use std::panic::resume_unwind;

/// Templates recurse: an include inside an include takes stack. Helm allows a
/// thousand of each name.
pub(crate) const STACK_BYTES: usize = 1 << 30;

/// Runs `work` where recursion has room.
pub(crate) fn on_large_stack<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("render".into())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, work)
            .expect("a thread can be started");
        match thread.join() {
            Ok(value) => value,
            Err(panic) => resume_unwind(panic),
        }
    })
}
