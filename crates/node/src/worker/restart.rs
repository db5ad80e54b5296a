//! Growing delays (upstream: client-go/util/flowcontrol, Backoff).

use tokio::time::{Duration, Instant};

/// A delay that doubles with each failure.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    delay: Duration,
    until: Option<Instant>,
}

impl Backoff {
    /// Returns a delay that begins at `first` and ends at `max`.
    pub fn new(first: Duration, max: Duration) -> Backoff {
        Backoff {
            first,
            max,
            delay: Duration::ZERO,
            until: None,
        }
    }

    /// Counts a failure; returns when to try again.
    pub fn failed(&mut self) -> Instant {
        self.delay = (self.delay * 2).clamp(self.first, self.max);
        let until = Instant::now() + self.delay;
        self.until = Some(until);
        until
    }

    /// Begins anew with a failure that is tried again at once; the next one is
    /// delayed.
    pub fn arm(&mut self) {
        self.delay = self.first / 2;
        self.until = None;
    }

    /// Returns when to try again, if that is still ahead.
    pub fn until(&self) -> Option<Instant> {
        self.until.filter(|until| *until > Instant::now())
    }

    /// Returns the present delay.
    pub fn delay(&self) -> Duration {
        self.delay
    }

    /// Forgets all failures.
    pub fn reset(&mut self) {
        self.delay = Duration::ZERO;
        self.until = None;
    }
}
