//! Eviction: what the node does before its disk is full, and to pods that use
//! more of it than they said (upstream: pkg/kubelet/eviction). Image content
//! that no name and no container needs goes before any pod does.
//!
//! Memory is not watched for eviction: containers have limits, and the machine
//! is shared with programs that are none of the node's business; the condition
//! alone tells of it.

mod disk;
mod rank;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use coracle_client::Severity;
use coracle_image::store::{Steps, StoreError};
use k8s_openapi::api::core::v1::Node;
use parking_lot::Mutex;

use crate::manager::Workers;
use crate::node_status;
use crate::shared::Shared;
use crate::worker::{Doom, Message};
use disk::Space;

/// How often the node looks (upstream: monitoringInterval).
const PACE: Duration = Duration::from_secs(10);
/// How long a condition is kept after its cause is gone, so that it does not
/// flap (upstream: evictionPressureTransitionPeriod, five minutes there).
const CALM: Duration = Duration::from_secs(30);
/// Upstream's hard threshold, memory.available.
const MEMORY_FREE_MIN: u64 = 100 << 20;

/// What the node is short of.
#[derive(Debug, Default)]
pub struct Pressure {
    disk: Signal,
    memory: Signal,
}

#[derive(Debug, Default)]
struct Signal {
    under: AtomicBool,
    seen: Mutex<Option<Instant>>,
}

impl Signal {
    /// Takes what was seen; returns whether the condition changed.
    fn see(&self, short: bool) -> bool {
        let mut seen = self.seen.lock();
        if short {
            *seen = Some(Instant::now());
        }
        let under = seen.is_some_and(|seen| seen.elapsed() < CALM);
        self.under.swap(under, Ordering::Relaxed) != under
    }

    fn is_under(&self) -> bool {
        self.under.load(Ordering::Relaxed)
    }
}

impl Pressure {
    /// Whether the disk is short.
    pub fn of_disk(&self) -> bool {
        self.disk.is_under()
    }

    /// Whether memory is short.
    pub fn of_memory(&self) -> bool {
        self.memory.is_under()
    }
}

/// Looks after the disk, for ever.
pub async fn keep(shared: Arc<Shared>, workers: Workers) {
    loop {
        look(&shared, &workers).await;
        tokio::time::sleep(PACE).await;
    }
}

async fn look(shared: &Arc<Shared>, workers: &Workers) {
    let space = disk::space(&shared.config.pods);
    let short = space.is_some_and(|space| space.is_short());
    let memory = free_memory().is_some_and(|free| free < MEMORY_FREE_MIN);
    let pressure = &shared.pressure;
    let changes = [
        (pressure.disk.see(short), pressure.of_disk(), "DiskPressure"),
        (
            pressure.memory.see(memory),
            pressure.of_memory(),
            "InsufficientMemory",
        ),
    ];
    for (_, under, what) in changes.iter().filter(|(changed, ..)| *changed) {
        tell(shared, what, *under);
    }
    if changes.iter().any(|(changed, ..)| *changed)
        && let Err(error) = node_status::report(shared).await
    {
        tracing::warn!(%error, "the node's conditions were not written");
    }
    let (shared, workers) = (shared.clone(), workers.clone());
    // Walks through folders.
    let walked = tokio::task::spawn_blocking(move || evict(&shared, &workers, space));
    if let Err(error) = walked.await {
        tracing::error!(%error, "no pod was evicted");
    }
}

/// Tells of a condition that changed (upstream: kubelet_node_status.go).
fn tell(shared: &Shared, what: &str, under: bool) {
    let reason = match (what, under) {
        ("DiskPressure", true) => "NodeHasDiskPressure",
        ("DiskPressure", false) => "NodeHasNoDiskPressure",
        (_, true) => "NodeHasInsufficientMemory",
        (_, false) => "NodeHasSufficientMemory",
    };
    let name = &shared.config.name;
    let text = format!("Node {name} status is now: {reason}");
    if let Some(node) = shared.nodes.get("", name) {
        shared
            .recorder
            .event::<Node>(&node, Severity::Normal, reason, text);
    }
}

fn free_memory() -> Option<u64> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").ok()?;
    crate::metrics::available_bytes(&meminfo)
}

fn evict(shared: &Shared, workers: &Workers, space: Option<Space>) {
    let pods = rank::pods(shared, workers);
    for pod in &pods {
        if let Some(message) = rank::excess(pod) {
            doom(pod, message);
        }
    }
    let Some(mut space) = space.filter(|space| space.is_short()) else {
        return;
    };
    if reclaim(shared) {
        space = disk::space(&shared.config.pods).unwrap_or(space);
        if !space.is_short() {
            return;
        }
    }
    if let Some(node) = shared.nodes.get("", &shared.config.name) {
        shared.recorder.event::<Node>(
            &node,
            Severity::Warning,
            "EvictionThresholdMet",
            "Attempting to reclaim ephemeral-storage",
        );
    }
    // One at a time: it may be enough.
    if let Some(first) = rank::first(pods) {
        let message = rank::message(&first, space);
        doom(&first, message);
    }
}

/// Removes what the image store holds for convenience alone: content without a
/// name, steps and caches of builds. Returns whether there was any (upstream:
/// reclaimNodeLevelResources).
fn reclaim(shared: &Shared) -> bool {
    match shared.images.collect(Steps::Drop) {
        Ok(collected) => {
            if collected.bytes > 0 {
                tracing::warn!(
                    bytes = collected.bytes,
                    "the disk is short: image content that nothing uses was removed"
                );
            }
            collected.bytes > 0
        }
        // An image is being added; it may be enough without.
        Err(StoreError::Busy) => false,
        Err(error) => {
            tracing::warn!(%error, "the disk is short and the image store was not cleaned");
            false
        }
    }
}

fn doom(pod: &rank::Candidate, message: String) {
    tracing::warn!(pod = pod.name, namespace = pod.namespace, %message, "evicting a pod");
    let doom = Doom {
        reason: "Evicted".into(),
        message,
        // A full disk does not wait (upstream: immediateEvictionGracePeriodSeconds).
        grace: Some(Duration::from_secs(1)),
    };
    let _ = pod.tell.send(Message::Doomed(doom));
}
