//! The sleep of the machine: timers stand still meanwhile (CLOCK_MONOTONIC in
//! clock_gettime(2)), dates do not. Whoever waits for a date waits for
//! [`woken`] as well and looks again.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;

/// How much further the clock may go than timers do; that much it is corrected.
const SLACK: Duration = Duration::from_secs(5);

static WAKES: LazyLock<watch::Sender<()>> = LazyLock::new(watch::Sender::default);

/// Waits until the machine wakes from a sleep.
pub async fn woken() {
    // The sender lives as long as the process.
    let _ = WAKES.subscribe().changed().await;
}

/// Sleeps for a time; tells all who wait if the machine has slept meanwhile.
pub async fn watchful_sleep(time: Duration) {
    let (clock, timers) = (SystemTime::now(), Instant::now());
    tokio::time::sleep(time).await;
    if has_slept(clock.elapsed().unwrap_or_default(), timers.elapsed()) {
        tracing::info!("the machine has slept");
        wake();
    }
}

pub(crate) fn wake() {
    WAKES.send_replace(());
}

fn has_slept(clock: Duration, timers: Duration) -> bool {
    clock > timers + SLACK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_went_further_than_timers_tells_of_a_sleep() {
        let check = |clock, timers, expected| {
            let slept = has_slept(Duration::from_secs(clock), Duration::from_secs(timers));
            assert_eq!(slept, expected, "{clock} s, {timers} s");
        };
        check(10, 10, false);
        check(15, 10, false);
        check(16, 10, true);
        check(30_000, 10, true);
        // Set back; and a machine that is slow, not asleep.
        check(0, 10, false);
        check(40, 40, false);
    }
}
