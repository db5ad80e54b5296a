//! Daemons that have ended: what is said of them, and how long one that failed
//! stays before another is made (upstream: daemon_controller.go, podsShouldBeOnNode).

use std::collections::HashMap;
use std::time::Duration;

use coracle_client::{Severity, key_of};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::pods;

/// How long the second failure in a row stays; each further one twice as long
/// (upstream: NewDaemonSetsController's failedPodsBackoff).
const DELAY_MIN: Duration = Duration::from_secs(1);
const DELAY_MAX: Duration = Duration::from_secs(15 * 60);

/// A set as its spec is now, on a node.
type Place = (String, Option<i64>, String);

/// When pods of daemons failed lately.
#[derive(Debug, Default)]
pub struct Failures(Mutex<HashMap<Place, Failure>>);

#[derive(Debug)]
struct Failure {
    at: Instant,
    delay: Duration,
}

impl Failures {
    /// Returns how long a pod that failed on this node has to stay; one that
    /// may go counts as a failure.
    pub fn delay(&self, set: &DaemonSet, node: &str, now: Instant) -> Duration {
        let uid = set.uid().unwrap_or_default();
        let place = (uid, set.metadata.generation, node.to_owned());
        let mut failures = self.0.lock();
        failures.retain(|_, failure| now - failure.at <= 2 * DELAY_MAX);
        let last = failures.get(&place);
        let left = last.map(|last| (last.at + last.delay).saturating_duration_since(now));
        if let Some(left) = left.filter(|left| !left.is_zero()) {
            return left;
        }
        let delay = last.map_or(DELAY_MIN, |last| (last.delay * 2).min(DELAY_MAX));
        failures.insert(place, Failure { at: now, delay });
        Duration::ZERO
    }
}

/// Returns whether a pod has failed.
pub fn has_failed(pod: &Pod) -> bool {
    pods::phase(pod) == "Failed"
}

/// Returns upstream's event of a pod that has ended.
pub fn event(pod: &Pod, node: &str) -> (Severity, &'static str, String) {
    let pod_name = key_of(pod);
    match has_failed(pod) {
        true => (
            Severity::Warning,
            "FailedDaemonPod",
            format!("Found failed daemon pod {pod_name} on node {node}, will try to kill it"),
        ),
        false => (
            Severity::Normal,
            "SucceededDaemonPod",
            format!("Found succeeded daemon pod {pod_name} on node {node}, will try to delete it"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_ended_is_told_by_how() {
        let check = |phase: &str, reason: &str, message: &str| {
            let value = json!({
                "metadata": {"name": "d", "namespace": "ns"}, "status": {"phase": phase},
            });
            let pod: Pod = serde_json::from_value(value).expect("a pod");
            let (_, told, text) = event(&pod, "one");
            assert_eq!((told, text.as_str()), (reason, message));
        };
        check(
            "Failed",
            "FailedDaemonPod",
            "Found failed daemon pod ns/d on node one, will try to kill it",
        );
        check(
            "Succeeded",
            "SucceededDaemonPod",
            "Found succeeded daemon pod ns/d on node one, will try to delete it",
        );
    }

    #[test]
    fn who_fails_again_is_replaced_later_and_later() {
        let set = |generation: i64| -> DaemonSet {
            let value = json!({"metadata": {"uid": "u", "generation": generation}});
            serde_json::from_value(value).expect("a set")
        };
        let (failures, begin) = (Failures::default(), Instant::now());
        let check = |generation: i64, node: &str, millis: u64, expected: u64| {
            let now = begin + Duration::from_millis(millis);
            let delay = failures.delay(&set(generation), node, now);
            assert_eq!(delay, Duration::from_millis(expected), "{millis}");
        };
        check(1, "one", 0, 0);
        check(1, "one", 400, 600);
        check(1, "one", 1_000, 0);
        check(1, "one", 1_500, 1_500);
        check(1, "one", 3_000, 0);
        check(1, "one", 3_000, 4_000);
        // Another node, and another spec, have failed nothing yet.
        check(1, "two", 3_000, 0);
        check(2, "one", 3_000, 0);
        // Half an hour without a failure is forgotten.
        check(1, "one", 2_000_000, 0);
        check(1, "one", 2_000_500, 500);
    }
}
