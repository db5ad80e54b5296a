//! Questions about pods that several controllers ask
//! (upstream: pkg/api/v1/pod/util.go, pkg/controller/controller_utils.go).

use std::cmp::Reverse;

use k8s_openapi::api::core::v1::{Pod, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

/// Returns the pod's phase, empty before it has one.
pub fn phase(pod: &Pod) -> &str {
    pod.status
        .as_ref()
        .and_then(|status| status.phase.as_deref())
        .unwrap_or("")
}

/// Returns whether the pod has not ended and is not being deleted.
pub fn is_active(pod: &Pod) -> bool {
    !matches!(phase(pod), "Succeeded" | "Failed") && pod.metadata.deletion_timestamp.is_none()
}

/// Returns whether the pod is being deleted and has not ended.
pub fn is_terminating(pod: &Pod) -> bool {
    !matches!(phase(pod), "Succeeded" | "Failed") && pod.metadata.deletion_timestamp.is_some()
}

fn ready_condition(pod: &Pod) -> Option<&PodCondition> {
    pod.status
        .as_ref()?
        .conditions
        .as_ref()?
        .iter()
        .find(|condition| condition.type_ == "Ready")
}

/// Returns whether the pod's condition `Ready` is true.
pub fn is_ready(pod: &Pod) -> bool {
    ready_condition(pod).is_some_and(|condition| condition.status == "True")
}

/// Returns since when the pod is ready.
pub fn ready_since(pod: &Pod) -> Option<Timestamp> {
    let condition = ready_condition(pod).filter(|condition| condition.status == "True")?;
    condition.last_transition_time.as_ref().map(|time| time.0)
}

/// Returns whether the pod has been ready for `min_ready_seconds` at time `now`.
pub fn is_available(pod: &Pod, min_ready_seconds: i32, now: Timestamp) -> bool {
    if !is_ready(pod) {
        return false;
    }
    min_ready_seconds == 0
        || ready_since(pod)
            .is_some_and(|since| since + SignedDuration::from_secs(min_ready_seconds.into()) <= now)
}

/// What decides which pod is deleted first; the smallest goes first
/// (upstream: ActivePodsWithRanks).
type Rank = (
    bool,
    u8,
    bool,
    i64,
    Reverse<i64>,
    Reverse<i32>,
    Reverse<Option<Time>>,
);

/// Returns the pod's place in the order of deletion: unassigned before
/// assigned, pending before running, unready before ready, cheap before dear,
/// young before old, often restarted before seldom.
pub fn deletion_rank(pod: &Pod) -> Rank {
    let assigned = pod
        .spec
        .as_ref()
        .is_some_and(|spec| spec.node_name.is_some());
    let phase = match phase(pod) {
        "" | "Pending" => 0,
        "Unknown" => 1,
        _ => 2,
    };
    let cost = pod
        .annotations()
        .get("controller.kubernetes.io/pod-deletion-cost")
        .and_then(|cost| cost.parse().ok())
        .unwrap_or(0);
    let ready = ready_since(pod).map_or(i64::MAX, |since| since.as_second());
    let restarts = pod
        .status
        .as_ref()
        .and_then(|status| status.container_statuses.as_ref())
        .map_or(0, |statuses| {
            statuses
                .iter()
                .map(|status| status.restart_count)
                .max()
                .unwrap_or(0)
        });
    (
        assigned,
        phase,
        is_ready(pod),
        cost,
        Reverse(ready),
        Reverse(restarts),
        Reverse(pod.metadata.creation_timestamp.clone()),
    )
}
