//! The status of a budget: what may be disturbed now, and which evicted pods
//! are still to go.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use coracle_client::now;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use super::expected::Expected;

/// How long an evicted pod may take until its deletion is seen
/// (upstream: DeletionTimeout).
const PATIENCE: SignedDuration = SignedDuration::from_secs(120);

/// Returns the evicted pods whose deletion is still to be seen, and when to
/// look again.
pub fn still_disrupted(
    budget: &PodDisruptionBudget,
    pods: &[Arc<Pod>],
    at: Timestamp,
) -> (BTreeMap<String, Time>, Option<Duration>) {
    let told = budget
        .status
        .as_ref()
        .and_then(|status| status.disrupted_pods.clone())
        .unwrap_or_default();
    let mut left: BTreeMap<String, Time> = BTreeMap::new();
    let mut again = None;
    for (name, since) in told {
        let alive = pods
            .iter()
            .any(|pod| pod.name_any() == name && pod.metadata.deletion_timestamp.is_none());
        let until = since.0 + PATIENCE;
        if alive && until > at {
            let wait = until.duration_since(at).unsigned_abs();
            again = Some(again.map_or(wait, |sooner: Duration| sooner.min(wait)));
            left.insert(name, since);
        }
    }
    (left, again)
}

/// Returns the pods that were evicted and should have gone by now.
pub fn not_deleted<'a>(
    budget: &PodDisruptionBudget,
    pods: &'a [Arc<Pod>],
    left: &BTreeMap<String, Time>,
) -> Vec<&'a Arc<Pod>> {
    let status = budget.status.as_ref();
    let told = status.and_then(|status| status.disrupted_pods.as_ref());
    let late = pods.iter().filter(|pod| {
        let name = pod.name_any();
        told.is_some_and(|told| told.contains_key(&name))
            && !left.contains_key(&name)
            && pod.metadata.deletion_timestamp.is_none()
    });
    late.collect()
}

/// Returns the status that the numbers amount to.
pub fn status(
    budget: &PodDisruptionBudget,
    expected: Expected,
    healthy: i32,
    disrupted: BTreeMap<String, Time>,
) -> PodDisruptionBudgetStatus {
    let allowed = if expected.count > 0 {
        (healthy - expected.healthy).max(0)
    } else {
        0
    };
    let reason = if allowed > 0 {
        "SufficientPods"
    } else {
        "InsufficientPods"
    };
    PodDisruptionBudgetStatus {
        conditions: conditions(
            budget,
            budget.metadata.generation,
            allowed > 0,
            reason,
            String::new(),
        ),
        current_healthy: Some(healthy),
        desired_healthy: Some(expected.healthy),
        disrupted_pods: (!disrupted.is_empty()).then_some(disrupted),
        disruptions_allowed: Some(allowed),
        expected_pods: Some(expected.count),
        observed_generation: budget.metadata.generation,
    }
}

/// Nothing is allowed while it is not known what is wanted; the rest of the
/// status is still that of the generation it was written for (upstream: failSafe).
pub fn failed(budget: &PodDisruptionBudget, text: String) -> PodDisruptionBudgetStatus {
    let before = budget.status.clone().unwrap_or_default();
    PodDisruptionBudgetStatus {
        conditions: conditions(
            budget,
            before.observed_generation,
            false,
            "SyncFailed",
            text,
        ),
        disruptions_allowed: Some(0),
        ..before
    }
}

fn conditions(
    budget: &PodDisruptionBudget,
    generation: Option<i64>,
    allowed: bool,
    reason: &str,
    message: String,
) -> Option<Vec<Condition>> {
    let mut all = budget
        .status
        .as_ref()
        .and_then(|status| status.conditions.clone())
        .unwrap_or_default();
    let status = if allowed { "True" } else { "False" };
    let old = all.iter().find(|one| one.type_ == "DisruptionAllowed");
    let since = old
        .filter(|old| old.status == status)
        .map_or_else(now, |old| old.last_transition_time.clone());
    all.retain(|one| one.type_ != "DisruptionAllowed");
    all.push(Condition {
        type_: "DisruptionAllowed".into(),
        status: status.into(),
        observed_generation: generation,
        last_transition_time: since,
        reason: reason.into(),
        message,
    });
    Some(all)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn budget(status: Value) -> PodDisruptionBudget {
        serde_json::from_value(json!({"metadata": {"name": "b"}, "status": status}))
            .expect("a budget")
    }

    /// Upstream: pkg/controller/disruption/disruption_test.go.
    #[test]
    fn what_is_above_the_need_may_be_disturbed() {
        let check = |count, needed, healthy, allowed| {
            let expected = Expected {
                count,
                healthy: needed,
            };
            let status = status(&budget(json!({})), expected, healthy, BTreeMap::new());
            assert_eq!(status.disruptions_allowed, Some(allowed));
        };
        check(3, 2, 3, 1);
        check(3, 2, 2, 0);
        check(3, 2, 1, 0);
        check(0, 0, 0, 0);
        check(5, 0, 5, 5);
    }

    /// Upstream: pkg/controller/disruption/disruption.go, failSafe.
    #[test]
    fn a_failure_allows_nothing_and_observes_nothing() {
        let check = |status: Value, observed: Option<i64>| {
            let mut budget = budget(status);
            budget.metadata.generation = Some(3);
            let status = failed(&budget, "jobs.batch does not implement the scale".into());
            assert_eq!(status.disruptions_allowed, Some(0));
            assert_eq!(status.observed_generation, observed);
            let condition = &status.conditions.expect("it has one")[0];
            assert_eq!(condition.reason, "SyncFailed");
            assert_eq!(condition.observed_generation, observed);
        };
        check(json!({}), None);
        check(json!({"observedGeneration": 2}), Some(2));
    }

    #[test]
    fn an_evicted_pod_counts_until_it_goes_or_time_is_up() {
        let at: Timestamp = "2026-01-01T12:00:00Z".parse().expect("a time");
        let budget = budget(json!({"disruptedPods": {
            "fresh": "2026-01-01T11:59:30Z", "old": "2026-01-01T11:50:00Z",
            "going": "2026-01-01T11:59:30Z", "gone": "2026-01-01T11:59:30Z",
        }, "currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0}));
        let pod = |name: &str, deleted: Value| -> Arc<Pod> {
            let value = json!({"metadata": {"name": name, "deletionTimestamp": deleted}});
            Arc::new(serde_json::from_value(value).expect("a pod"))
        };
        let pods = [
            pod("fresh", Value::Null),
            pod("old", Value::Null),
            pod("going", json!("2026-01-01T11:59:31Z")),
        ];
        let (left, again) = still_disrupted(&budget, &pods, at);
        assert_eq!(left.keys().collect::<Vec<_>>(), ["fresh"]);
        assert_eq!(again, Some(Duration::from_secs(90)));
        let late = not_deleted(&budget, &pods, &left);
        let names: Vec<String> = late.iter().map(|pod| pod.name_any()).collect();
        assert_eq!(names, ["old"]);
    }
}
