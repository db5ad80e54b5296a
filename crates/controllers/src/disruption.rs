//! PodDisruptionBudgets: how many pods may be disturbed now
//! (upstream: pkg/controller/disruption). The eviction itself, which counts
//! down what is written here, belongs to the API server.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use coracle_client::{Cache, Key, Outcome, Queue, Recorder, Severity, key_of, now};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, OwnerReference, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::PostParams;
use kube::core::{Selector, SelectorExt};
use kube::{Api, Client, ResourceExt};

use crate::context::Context;
use crate::owner::controller_of;
use crate::pods;

/// How long an evicted pod may take until its deletion is seen
/// (upstream: DeletionTimeout).
const PATIENCE: SignedDuration = SignedDuration::from_secs(120);

struct Controller {
    client: Client,
    budgets: Cache<PodDisruptionBudget>,
    pods: Cache<Pod>,
    replica_sets: Cache<ReplicaSet>,
    deployments: Cache<Deployment>,
    stateful_sets: Cache<StatefulSet>,
    recorder: Recorder,
}

/// Runs the controller for ever.
pub async fn run(context: Context) {
    let client = context.client("disruption-controller");
    let controller = Arc::new(Controller {
        budgets: context.caches.of(),
        pods: context.caches.of(),
        replica_sets: context.caches.of(),
        deployments: context.caches.of(),
        stateful_sets: context.caches.of(),
        recorder: Recorder::new(client.clone(), "controllermanager"),
        client,
    });
    controller.budgets.ready().await;
    controller.pods.ready().await;
    controller.replica_sets.ready().await;
    controller.deployments.ready().await;
    controller.stateful_sets.ready().await;
    let queue: Queue<Key> = Queue::default();
    let own = queue.clone();
    controller
        .budgets
        .on_change(move |budget| own.add(key_of(&**budget)));
    let (own, budgets) = (queue.clone(), controller.budgets.clone());
    controller.pods.on_transition(move |pod| {
        for budget in budgets.within(&pod.namespace().unwrap_or_default()) {
            if selector(&budget).is_some_and(|selector| selector.matches(pod.labels())) {
                own.add(key_of(&*budget));
            }
        }
    });
    coracle_client::run("disruption", queue, 2, move |key| {
        let controller = controller.clone();
        async move { controller.reconcile(&key).await }
    })
    .await;
}

/// Returns a budget's selector; one without selects nothing, an empty one everything.
fn selector(budget: &PodDisruptionBudget) -> Option<Selector> {
    let selector = budget.spec.as_ref()?.selector.clone()?;
    Selector::try_from(selector).ok()
}

/// How many pods there should be.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Expected {
    count: i32,
    healthy: i32,
}

impl Controller {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, kube::Error> {
        let Some(budget) = self.budgets.of(key) else {
            return Ok(Outcome::Done);
        };
        let selector = selector(&budget);
        let mut pods = self.pods.within(&key.namespace);
        pods.retain(|pod| {
            let labels = pod.labels();
            selector
                .as_ref()
                .is_some_and(|selector| selector.matches(labels))
        });
        if pods.is_empty() {
            self.recorder.event(
                &*budget,
                Severity::Normal,
                "NoPods",
                "No matching pods found",
            );
        }
        let at = Timestamp::now();
        let (disrupted, again) = still_disrupted(&budget, &pods, at);
        let status = match self.expected(&budget, &pods) {
            Ok(expected) => {
                let healthy = pods
                    .iter()
                    .filter(|pod| {
                        pod.metadata.deletion_timestamp.is_none()
                            && pods::is_ready(pod)
                            && !disrupted.contains_key(&pod.name_any())
                    })
                    .count() as i32;
                status(&budget, expected, healthy, disrupted)
            }
            Err(text) => {
                self.recorder.event(
                    &*budget,
                    Severity::Warning,
                    "CalculateExpectedPodCountFailed",
                    format!("Failed to calculate the number of expected pods: {text}"),
                );
                failed(&budget, text)
            }
        };
        if budget.status.as_ref() != Some(&status) {
            let mut changed = (*budget).clone();
            changed.status = Some(status);
            let api: Api<PodDisruptionBudget> =
                Api::namespaced(self.client.clone(), &key.namespace);
            match api
                .replace_status(&key.name, &PostParams::default(), &changed)
                .await
            {
                Err(error) if !coracle_client::is_not_found(&error) => return Err(error),
                _ => {}
            }
        }
        Ok(again.map_or(Outcome::Done, Outcome::Again))
    }

    fn expected(
        &self,
        budget: &PodDisruptionBudget,
        pods: &[Arc<Pod>],
    ) -> Result<Expected, String> {
        let spec = budget.spec.clone().unwrap_or_default();
        match (&spec.max_unavailable, &spec.min_available) {
            (Some(most), _) => {
                let count = self.scale(budget, pods)?;
                Ok(Expected {
                    count,
                    healthy: (count - scaled(most, count)).max(0),
                })
            }
            (None, Some(IntOrString::Int(least))) => Ok(Expected {
                count: pods.len() as i32,
                healthy: *least,
            }),
            (None, Some(least)) => {
                let count = self.scale(budget, pods)?;
                Ok(Expected {
                    count,
                    healthy: scaled(least, count),
                })
            }
            (None, None) => Ok(Expected {
                count: 0,
                healthy: 0,
            }),
        }
    }

    /// Returns how many pods the controllers of the pods want together.
    fn scale(&self, budget: &PodDisruptionBudget, pods: &[Arc<Pod>]) -> Result<i32, String> {
        let namespace = budget.namespace().unwrap_or_default();
        let mut wanted: BTreeMap<String, i32> = BTreeMap::new();
        let mut unmanaged = false;
        for pod in pods {
            let Some(owner) = controller_of(&**pod) else {
                unmanaged = true;
                continue;
            };
            match owner.kind.as_str() {
                "ReplicaSet" => {
                    let set = self.replica_sets.get(&namespace, &owner.name);
                    let set = set.filter(|set| set.metadata.uid.as_ref() == Some(&owner.uid));
                    if let Some(set) = set {
                        let (uid, replicas) = self.scale_of_set(&namespace, &set);
                        wanted.insert(uid, replicas);
                    }
                }
                "StatefulSet" => {
                    let set = self.stateful_sets.get(&namespace, &owner.name);
                    let replicas = set.and_then(|set| set.spec.as_ref()?.replicas);
                    wanted.insert(owner.uid.clone(), replicas.unwrap_or(0));
                }
                _ => {
                    let resource = resource(owner);
                    return Err(format!(
                        "{resource} does not implement the scale subresource"
                    ));
                }
            }
        }
        if unmanaged {
            self.recorder
                .event(budget, Severity::Warning, "UnmanagedPods", UNMANAGED);
        }
        Ok(wanted.values().sum())
    }

    fn scale_of_set(&self, namespace: &str, set: &ReplicaSet) -> (String, i32) {
        let own = set.spec.as_ref().and_then(|spec| spec.replicas);
        let by_deployment = controller_of(set)
            .filter(|owner| owner.kind == "Deployment")
            .and_then(|owner| {
                let deployment = self.deployments.get(namespace, &owner.name)?;
                let replicas = deployment.spec.as_ref()?.replicas?;
                Some((owner.uid.clone(), replicas))
            });
        by_deployment.unwrap_or((set.uid().unwrap_or_default(), own.unwrap_or(1)))
    }
}

/// Returns the name and group of an owner's resource, as upstream prints it.
fn resource(owner: &OwnerReference) -> String {
    let group = owner
        .api_version
        .split_once('/')
        .map_or("", |(group, _)| group);
    let plural = format!("{}s", owner.kind.to_lowercase());
    format!("{plural}.{group}").trim_end_matches('.').to_owned()
}

const UNMANAGED: &str = "Pods selected by this PodDisruptionBudget were found to be unmanaged. As a result, the status of the PDB cannot be calculated correctly, which may result in undefined behavior. To account for these pods please set \".spec.minAvailable\" field of the PDB to an integer value.";

/// Returns a number, or a percentage of `total` rounded up.
fn scaled(value: &IntOrString, total: i32) -> i32 {
    match value {
        IntOrString::Int(number) => *number,
        IntOrString::String(text) => {
            let percent: i64 = text
                .strip_suffix('%')
                .and_then(|number| number.parse().ok())
                .unwrap_or(0);
            ((percent * i64::from(total) + 99) / 100) as i32
        }
    }
}

/// Returns the evicted pods whose deletion is still to be seen, and when to
/// look again.
fn still_disrupted(
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

fn status(
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
        conditions: conditions(budget, allowed > 0, reason, String::new()),
        current_healthy: Some(healthy),
        desired_healthy: Some(expected.healthy),
        disrupted_pods: (!disrupted.is_empty()).then_some(disrupted),
        disruptions_allowed: Some(allowed),
        expected_pods: Some(expected.count),
        observed_generation: budget.metadata.generation,
    }
}

/// Nothing is allowed while it is not known what is wanted (upstream: failSafe).
fn failed(budget: &PodDisruptionBudget, text: String) -> PodDisruptionBudgetStatus {
    PodDisruptionBudgetStatus {
        conditions: conditions(budget, false, "SyncFailed", text),
        disruptions_allowed: Some(0),
        observed_generation: budget.metadata.generation,
        ..budget.status.clone().unwrap_or_default()
    }
}

fn conditions(
    budget: &PodDisruptionBudget,
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
        observed_generation: budget.metadata.generation,
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

    /// Upstream: disruption.go, getScaleController.
    #[test]
    fn an_owner_without_a_scale_is_named_by_its_resource() {
        let check = |api_version: &str, kind: &str, expected: &str| {
            let owner = OwnerReference {
                api_version: api_version.into(),
                kind: kind.into(),
                ..Default::default()
            };
            assert_eq!(resource(&owner), expected);
        };
        check("batch/v1", "Job", "jobs.batch");
        check("apps/v1", "DaemonSet", "daemonsets.apps");
        check("v1", "Node", "nodes");
    }

    #[test]
    fn percentages_round_up() {
        let check = |value: Value, total, expected| {
            let value: IntOrString = serde_json::from_value(value).expect("a number or text");
            assert_eq!(scaled(&value, total), expected);
        };
        check(json!(2), 10, 2);
        check(json!("30%"), 5, 2);
        check(json!("28%"), 7, 2);
        check(json!("100%"), 7, 7);
        check(json!("0%"), 7, 0);
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
    }
}
