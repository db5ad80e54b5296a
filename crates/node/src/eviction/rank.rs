//! Which pod goes first, and what is said of it (upstream:
//! pkg/kubelet/eviction/helpers.go, rankDiskPressureFunc; eviction_manager.go,
//! localStorageEviction).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Container, Pod};
use tokio::sync::mpsc;

use super::disk::{self, Space};
use crate::manager::Workers;
use crate::quantity;
use crate::shared::Shared;
use crate::worker::Message;

const RESOURCE: &str = "ephemeral-storage";

/// A pod that may be evicted.
pub struct Candidate {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The way to its worker.
    pub tell: mpsc::UnboundedSender<Message>,
    pod: Arc<Pod>,
    dir: PathBuf,
    logs: PathBuf,
}

/// Returns the pods of this node that are not over yet.
pub fn pods(shared: &Shared, workers: &Workers) -> Vec<Candidate> {
    let workers = workers.read();
    let alive = |pod: &Pod| {
        let phase = pod
            .status
            .as_ref()
            .and_then(|status| status.phase.as_deref());
        !matches!(phase, Some("Succeeded" | "Failed")) && pod.metadata.deletion_timestamp.is_none()
    };
    workers
        .values()
        .filter_map(|(namespace, name, handle)| {
            let pod = shared.pods.get(namespace, name).filter(|pod| alive(pod))?;
            Some(Candidate {
                namespace: namespace.clone(),
                name: name.clone(),
                tell: handle.tell.clone(),
                pod,
                dir: handle.paths.dir.clone(),
                logs: handle.paths.logs.clone(),
            })
        })
        .collect()
}

impl Candidate {
    fn containers(&self) -> &[Container] {
        self.pod.spec.as_ref().map_or(&[], |spec| &spec.containers)
    }

    /// What a container wrote, its log included.
    fn used_by(&self, container: &str) -> u64 {
        disk::usage(&self.dir.join("containers").join(container))
            + disk::usage(&self.logs.join(container))
    }

    fn used(&self) -> u64 {
        disk::usage(&self.dir) + disk::usage(&self.logs)
    }

    fn priority(&self) -> i32 {
        let spec = self.pod.spec.as_ref();
        spec.and_then(|spec| spec.priority).unwrap_or(0)
    }
}

fn bytes(container: &Container, limit: bool) -> Option<u64> {
    let resources = container.resources.as_ref()?;
    let list: &BTreeMap<_, _> = match limit {
        true => resources.limits.as_ref()?,
        false => resources.requests.as_ref()?,
    };
    list.get(RESOURCE)
        .and_then(quantity::units)
        .and_then(|value| u64::try_from(value).ok())
}

/// Says how a pod uses more than it may; `None` for one that does not.
pub fn excess(pod: &Candidate) -> Option<String> {
    let spec = pod.pod.spec.as_ref()?;
    for volume in spec.volumes.iter().flatten() {
        let Some(source) = &volume.empty_dir else {
            continue;
        };
        // One in memory is limited by its mount.
        let limit = source
            .size_limit
            .as_ref()
            .filter(|_| source.medium.as_deref() != Some("Memory"));
        let Some(text) = limit else { continue };
        let most = quantity::units(text).and_then(|value| u64::try_from(value).ok());
        let used = disk::usage(&pod.dir.join("volumes").join(&volume.name));
        if most.is_some_and(|most| most > 0 && used > most) {
            return Some(format!(
                "Usage of EmptyDir volume \"{}\" exceeds the limit \"{}\". ",
                volume.name, text.0
            ));
        }
    }
    let limits: Vec<u64> = pod
        .containers()
        .iter()
        .filter_map(|one| bytes(one, true))
        .collect();
    if limits.is_empty() {
        return None;
    }
    if limits.len() == pod.containers().len() && pod.used() > limits.iter().sum() {
        return Some(format!(
            "Pod ephemeral local storage usage exceeds the total limit of containers {}. ",
            human(limits.iter().sum())
        ));
    }
    pod.containers().iter().find_map(|container| {
        let limit = bytes(container, true)?;
        (pod.used_by(&container.name) > limit).then(|| {
            format!(
                "Container {} exceeded its local ephemeral storage limit \"{}\". ",
                container.name,
                human(limit)
            )
        })
    })
}

/// Returns the pod that goes first: one above its request before one that is
/// not, the less important before the more, the larger before the smaller.
pub fn first(pods: Vec<Candidate>) -> Option<Candidate> {
    pods.into_iter().min_by_key(|pod| {
        let used = pod.used();
        let asked: u64 = pod
            .containers()
            .iter()
            .filter_map(|one| bytes(one, false))
            .sum();
        order(used, asked, pod.priority())
    })
}

fn order(used: u64, asked: u64, priority: i32) -> (bool, i32, std::cmp::Reverse<u64>) {
    (
        used <= asked,
        priority,
        std::cmp::Reverse(used.saturating_sub(asked)),
    )
}

/// Returns what is said of a pod that is evicted for the disk's sake.
pub fn message(pod: &Candidate, space: Space) -> String {
    let mut text = format!(
        "The node was low on resource: {RESOURCE}. Threshold quantity: {}, available: {}. ",
        human(space.threshold()),
        human(space.available)
    );
    for container in pod.containers() {
        let (used, asked) = (
            pod.used_by(&container.name),
            bytes(container, false).unwrap_or(0),
        );
        if used > asked {
            text.push_str(&format!(
                "Container {} was using {}, request is {}, has larger consumption of {RESOURCE}. ",
                container.name,
                human(used),
                human(asked)
            ));
        }
    }
    text
}

/// Writes bytes as a quantity: with the largest binary suffix that is exact.
fn human(bytes: u64) -> String {
    let (mut value, mut suffix) = (bytes, "");
    for next in ["Ki", "Mi", "Gi", "Ti"] {
        if value == 0 || value % 1024 != 0 {
            break;
        }
        value /= 1024;
        suffix = next;
    }
    format!("{value}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_upstreams() {
        // Used, requested, priority; the first goes first.
        let check = |first: (u64, u64, i32), second: (u64, u64, i32)| {
            assert!(
                order(first.0, first.1, first.2) < order(second.0, second.1, second.2),
                "{first:?} {second:?}"
            );
        };
        check((10, 0, 1000), (10, 20, 0));
        check((10, 0, 0), (900, 0, 5));
        check((30, 10, 0), (25, 10, 0));
    }

    #[test]
    fn bytes_are_written_as_quantities() {
        let check = |bytes, expected: &str| assert_eq!(human(bytes), expected);
        check(0, "0");
        check(1 << 30, "1Gi");
        check(1_500, "1500");
        check(1536 << 10, "1536Ki");
    }
}
