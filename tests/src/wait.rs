//! Waiting for a state, with a limit.

use std::time::{Duration, Instant};

/// How long a state may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(300);

/// Waits until `holds` does; fails with what it last said.
///
/// # Panics
/// Panics after five minutes.
pub fn until(what: &str, holds: impl FnMut() -> Result<(), String>) {
    until_within(LIMIT, what, holds);
}

/// As [`until`], with another limit.
///
/// # Panics
/// Panics when the time is over.
pub fn until_within(limit: Duration, what: &str, mut holds: impl FnMut() -> Result<(), String>) {
    let since = Instant::now();
    while let Err(said) = holds() {
        assert!(since.elapsed() < limit, "{what}: {said}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
