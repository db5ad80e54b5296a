//! From counters to rates: [`History`] keeps the few samples that a figure needs.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The time over which processor use is averaged, where there is a choice.
pub const WINDOW: Duration = Duration::from_secs(10);
/// A shorter time would tell more of the clock's grain than of the program:
/// without cgroups its ticks are a hundredth of a second.
const WINDOW_MIN: Duration = Duration::from_secs(1);

/// Counters at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// When they were read.
    pub at: Instant,
    /// Processor time since the beginning.
    pub cpu_nanos: u64,
    /// The working set.
    pub memory_bytes: u64,
}

/// What two samples tell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// When the later sample was taken.
    pub at: Instant,
    /// Time between the two.
    pub window: Duration,
    /// Billionths of a core, averaged over the window.
    pub cpu_nanocores: u64,
    /// The working set at the end of the window.
    pub memory_bytes: u64,
}

/// Samples of one group of processes, oldest first: the newest that is a
/// window old, and everything after it.
#[derive(Debug, Default)]
pub struct History(VecDeque<Sample>);

impl History {
    /// Returns a history that knows when the counters began at zero.
    pub fn beginning(at: Instant) -> History {
        let zero = Sample {
            at,
            cpu_nanos: 0,
            memory_bytes: 0,
        };
        History([zero].into())
    }

    /// Notes a sample.
    pub fn push(&mut self, sample: Sample) {
        // Without cgroups the counters are a sum over processes, and shrink
        // when one of them ends unseen: what was before cannot be compared.
        if self
            .0
            .back()
            .is_some_and(|last| sample.cpu_nanos < last.cpu_nanos)
        {
            self.0.clear();
        }
        self.0.push_back(sample);
        while self
            .0
            .get(1)
            .is_some_and(|next| next.at + WINDOW <= sample.at)
        {
            self.0.pop_front();
        }
    }

    /// Returns what the samples tell; `None` while they are too few.
    pub fn reading(&self) -> Option<Reading> {
        let (first, last) = (self.0.front()?, self.0.back()?);
        let window = last.at.duration_since(first.at);
        if window < WINDOW_MIN {
            return None;
        }
        let nanos = u128::from(last.cpu_nanos - first.cpu_nanos) * 1_000_000_000;
        Some(Reading {
            at: last.at,
            window,
            cpu_nanocores: u64::try_from(nanos / window.as_nanos()).unwrap_or(u64::MAX),
            memory_bytes: last.memory_bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pushes (second, milliseconds of processor time) and expects
    /// (window in seconds, thousandths of a core).
    fn check(samples: &[(f64, u64)], expected: Option<(f64, u64)>) {
        let start = Instant::now();
        let mut history = History::default();
        for (second, millis) in samples {
            history.push(Sample {
                at: start + Duration::from_secs_f64(*second),
                cpu_nanos: millis * 1_000_000,
                memory_bytes: 1,
            });
        }
        let found = history.reading().map(|reading| {
            (
                reading.window.as_secs_f64(),
                reading.cpu_nanocores / 1_000_000,
            )
        });
        assert_eq!(found, expected, "{samples:?}");
    }

    #[test]
    fn a_figure_needs_two_samples_that_are_apart() {
        check(&[], None);
        check(&[(0.0, 5)], None);
        check(&[(0.0, 0), (0.9, 100)], None);
        check(&[(0.0, 0), (1.0, 500)], Some((1.0, 500)));
        check(&[(0.0, 0), (5.0, 2500)], Some((5.0, 500)));
    }

    #[test]
    fn the_window_is_the_shortest_that_is_long_enough() {
        check(
            &[(0.0, 0), (10.0, 0), (20.0, 0), (30.0, 10_000)],
            Some((10.0, 1000)),
        );
        // Asked in between: the sample before the last one counts.
        check(&[(0.0, 0), (10.0, 0), (13.0, 1300)], Some((13.0, 100)));
    }

    #[test]
    fn counters_that_shrink_begin_anew() {
        check(&[(0.0, 9000), (10.0, 10_000), (20.0, 500)], None);
        check(&[(0.0, 9000), (10.0, 500), (20.0, 1500)], Some((10.0, 100)));
    }

    #[test]
    fn a_known_beginning_counts_as_a_sample() {
        let start = Instant::now();
        let mut history = History::beginning(start);
        history.push(Sample {
            at: start + Duration::from_secs(2),
            cpu_nanos: 1_000_000_000,
            memory_bytes: 7,
        });
        let reading = history.reading().expect("two samples, two seconds apart");
        assert_eq!(
            (reading.cpu_nanocores, reading.memory_bytes),
            (500_000_000, 7)
        );
    }
}
