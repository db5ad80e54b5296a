//! Reads the counters of all containers and of the machine, at a steady pace
//! and whenever somebody asks. The main type is [`Meter`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use coracle_runtime::cgroup::usage_by_mount_namespace;
use coracle_runtime::{Container, Usage};
use parking_lot::Mutex;

use super::machine;
use super::window::{History, Reading, Sample, WINDOW};
use crate::manager::Workers;
use crate::shared::Shared;

/// Answers within this time of each other rest on the same samples.
const FRESH: Duration = Duration::from_secs(1);
/// A container younger than this is known to have begun at zero within a
/// window that still means something.
const YOUNG: Duration = Duration::from_secs(30);

/// The samples of everything that is measured.
#[derive(Debug, Default)]
pub struct Meter(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// By container id: a container that is restarted is another one.
    containers: HashMap<String, History>,
    machine: History,
    last: Option<Instant>,
}

impl Meter {
    /// Reads all counters, unless that was done just now. Blocks on /proc and
    /// the cgroup file system, for some microseconds a container.
    pub fn observe(&self, workers: &Workers) {
        let mut state = self.0.lock();
        if state.last.is_some_and(|last| last.elapsed() < FRESH) {
            return;
        }
        let running: Vec<Container> = workers
            .read()
            .values()
            .flat_map(|(.., handle)| {
                handle
                    .live
                    .read()
                    .values()
                    .filter_map(|running| running.linux().cloned())
                    .collect::<Vec<_>>()
            })
            .collect();
        let mut histories = std::mem::take(&mut state.containers);
        state.containers = usages(&running)
            .into_iter()
            .map(|(container, usage)| {
                let mut history = histories
                    .remove(container.id())
                    .unwrap_or_else(|| beginning(container));
                history.push(Sample {
                    at: Instant::now(),
                    cpu_nanos: usage.cpu_nanos,
                    memory_bytes: usage.memory_bytes,
                });
                (container.id().to_owned(), history)
            })
            .collect();
        if let Some(sample) = machine::sample() {
            state.machine.push(sample);
        }
        state.last = Some(Instant::now());
    }

    /// Returns what a container uses, once that is known.
    pub fn container(&self, container: &Container) -> Option<Reading> {
        self.0.lock().containers.get(container.id())?.reading()
    }

    /// Returns what the machine uses, once that is known.
    pub fn machine(&self) -> Option<Reading> {
        self.0.lock().machine.reading()
    }
}

/// Reads the counters of containers; those that end meanwhile are left out.
pub fn usages(running: &[Container]) -> Vec<(&Container, Usage)> {
    let uncounted = running
        .iter()
        .any(|container| container.usage_key().is_some());
    let sums = if uncounted {
        usage_by_mount_namespace()
    } else {
        HashMap::new()
    };
    running
        .iter()
        .filter_map(|container| {
            let usage = match container.usage_key() {
                Some(key) => sums.get(&key).copied(),
                None => container.stats().ok(),
            };
            Some((container, usage?))
        })
        .collect()
}

fn beginning(container: &Container) -> History {
    let started = SystemTime::UNIX_EPOCH + Duration::from_nanos(container.started_at_nanos());
    let age = SystemTime::now().duration_since(started).ok();
    let young = age.filter(|age| *age < YOUNG);
    young
        .and_then(|age| Instant::now().checked_sub(age))
        .map_or_else(History::default, History::beginning)
}

/// Reads the counters at a steady pace, for ever.
pub async fn keep(shared: Arc<Shared>, workers: Workers) {
    loop {
        observe(&shared, &workers).await;
        tokio::time::sleep(WINDOW).await;
    }
}

/// Reads the counters on a thread that may block.
pub async fn observe(shared: &Arc<Shared>, workers: &Workers) {
    let (shared, workers) = (shared.clone(), workers.clone());
    let read = tokio::task::spawn_blocking(move || shared.meter.observe(&workers));
    if let Err(error) = read.await {
        tracing::error!(%error, "the counters were not read");
    }
}
