//! A work queue: each key is handed out to one worker at a time, keys added
//! meanwhile come once more, failures come back after a growing delay.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::wake::woken;

/// Delay after the first failure of a key; it doubles with each further one.
const BACKOFF_MIN: Duration = Duration::from_millis(5);
/// The longest delay after a failure.
const BACKOFF_MAX: Duration = Duration::from_secs(60);

struct State<T> {
    waiting: VecDeque<T>,
    queued: HashSet<T>,
    busy: HashSet<T>,
    failures: HashMap<T, u32>,
    /// When each key that was put off comes again.
    timers: HashMap<T, Instant>,
}

/// A queue of keys to reconcile.
pub struct Queue<T> {
    inner: Arc<(Mutex<State<T>>, Notify)>,
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Queue {
            inner: self.inner.clone(),
        }
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        let state = State {
            waiting: VecDeque::new(),
            queued: HashSet::new(),
            busy: HashSet::new(),
            failures: HashMap::new(),
            timers: HashMap::new(),
        };
        Queue {
            inner: Arc::new((Mutex::new(state), Notify::new())),
        }
    }
}

impl<T: Clone + Eq + Hash + Send + 'static> Queue<T> {
    /// Adds a key, unless it waits already.
    pub fn add(&self, key: T) {
        let (state, notify) = &*self.inner;
        let mut state = state.lock();
        if state.queued.insert(key.clone()) && !state.busy.contains(&key) {
            state.waiting.push_back(key);
            notify.notify_one();
        }
    }

    /// Adds a key after `delay`, unless it comes sooner already; and when the
    /// machine wakes from a sleep, in which the delay has not passed.
    ///
    /// # Panics
    /// Panics outside a tokio runtime.
    pub fn add_after(&self, key: T, delay: Duration) {
        let at = Instant::now() + delay;
        {
            let mut state = self.inner.0.lock();
            if state.timers.get(&key).is_some_and(|sooner| *sooner <= at) {
                return;
            }
            state.timers.insert(key.clone(), at);
        }
        let queue = self.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = tokio::time::sleep_until(at) => {}
                () = woken() => {}
            }
            if queue.is_due(&key, at) {
                queue.add(key);
            }
        });
    }

    /// Ends a timer; one that a sooner one replaced is not due.
    fn is_due(&self, key: &T, at: Instant) -> bool {
        let mut state = self.inner.0.lock();
        if state.timers.get(key) != Some(&at) {
            return false;
        }
        state.timers.remove(key);
        true
    }

    /// Waits for a key and takes it; [`Queue::done`] must follow.
    pub async fn next(&self) -> T {
        let (state, notify) = &*self.inner;
        loop {
            {
                let mut state = state.lock();
                if let Some(key) = state.waiting.pop_front() {
                    state.queued.remove(&key);
                    state.busy.insert(key.clone());
                    if !state.waiting.is_empty() {
                        notify.notify_one();
                    }
                    return key;
                }
            }
            notify.notified().await;
        }
    }

    /// Gives a key back; if it was added meanwhile it comes again.
    pub fn done(&self, key: &T) {
        let (state, notify) = &*self.inner;
        let mut state = state.lock();
        state.busy.remove(key);
        if state.queued.contains(key) {
            state.waiting.push_back(key.clone());
            notify.notify_one();
        }
    }

    /// Forgets the failures of a key.
    pub fn succeeded(&self, key: &T) {
        self.inner.0.lock().failures.remove(key);
    }

    /// Counts a failure of a key and adds it again after a delay that grows.
    pub fn failed(&self, key: T) {
        let delay = {
            let mut state = self.inner.0.lock();
            let failures = state.failures.entry(key.clone()).or_insert(0);
            *failures += 1;
            backoff(*failures)
        };
        self.add_after(key, delay);
    }
}

/// Returns the delay after the given number of failures in a row.
fn backoff(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(20);
    BACKOFF_MIN.saturating_mul(1 << doublings).min(BACKOFF_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_key_is_handed_out_once_at_a_time() {
        let queue = Queue::default();
        queue.add("a");
        queue.add("a");
        assert_eq!(queue.next().await, "a");
        queue.add("a");
        queue.add("b");
        assert_eq!(queue.next().await, "b");
        queue.done(&"a");
        assert_eq!(queue.next().await, "a");
    }

    #[tokio::test]
    async fn a_key_that_is_put_off_twice_comes_once_and_sooner() {
        let queue = Queue::default();
        queue.add_after("a", Duration::from_secs(900));
        queue.add_after("a", Duration::from_millis(1));
        queue.add_after("a", Duration::from_secs(500));
        assert_eq!(queue.next().await, "a");
        queue.done(&"a");
        assert!(queue.inner.0.lock().timers.is_empty());
    }

    #[tokio::test]
    async fn a_key_that_is_put_off_comes_when_the_machine_wakes() {
        let queue = Queue::default();
        queue.add_after("a", Duration::from_secs(900));
        let waking = async {
            loop {
                crate::wake::wake();
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            key = queue.next() => assert_eq!(key, "a"),
            () = waking => {}
        }
        assert!(queue.inner.0.lock().timers.is_empty());
    }

    #[test]
    fn delays_double_up_to_a_minute() {
        let check =
            |failures, expected| assert_eq!(backoff(failures), Duration::from_millis(expected));
        check(1, 5);
        check(2, 10);
        check(5, 80);
        check(40, 60_000);
    }
}
