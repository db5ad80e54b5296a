//! PodDisruptionBudgets: how many pods may be disturbed now
//! (upstream: pkg/controller/disruption). The eviction itself, which counts
//! down what is written here, belongs to the API server.
//!
//! `expected` finds how many pods there should be, `status` says what that
//! allows; here is the loop.

mod expected;
mod status;

use std::sync::Arc;

use coracle_client::{Cache, Key, Outcome, Queue, Recorder, Severity, key_of};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::core::{Selector, SelectorExt};
use kube::{Api, Client, ResourceExt};

use crate::context::Context;
use crate::pods;
use status::{failed, not_deleted, status, still_disrupted};

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
    let recorder = controller.recorder.clone();
    controller.pods.on_transition(move |pod| {
        let mut selecting = budgets.within(&pod.namespace().unwrap_or_default());
        selecting.retain(|budget| {
            selector(budget).is_some_and(|selector| selector.matches(pod.labels()))
        });
        if let [first, _, ..] = selecting.as_slice() {
            let text = ambiguity(pod, &first.name_any());
            recorder.event(
                &**pod,
                Severity::Warning,
                "MultiplePodDisruptionBudgets",
                text,
            );
        }
        for budget in selecting {
            own.add(key_of(&*budget));
        }
    });
    coracle_client::run("disruption", queue, 2, move |key| {
        let controller = controller.clone();
        async move { controller.reconcile(&key).await }
    })
    .await;
}

/// Returns what a pod of several budgets is told (upstream: getPdbForPod).
fn ambiguity(pod: &Pod, first: &str) -> String {
    let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
    format!(
        "Pod {namespace:?}/{name:?} matches multiple PodDisruptionBudgets.  Chose {first:?} arbitrarily."
    )
}

/// Returns a budget's selector; one without selects nothing, an empty one everything.
fn selector(budget: &PodDisruptionBudget) -> Option<Selector> {
    let selector = budget.spec.as_ref()?.selector.clone()?;
    Selector::try_from(selector).ok()
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
        for pod in not_deleted(&budget, &pods, &disrupted) {
            let text = format!("Pod was expected by PDB {key} to be deleted but it wasn't");
            self.recorder
                .event(&**pod, Severity::Warning, "NotDeleted", text);
        }
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
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Upstream: pkg/controller/disruption/disruption.go, getPdbForPod.
    #[test]
    fn a_pod_of_several_budgets_is_told() {
        let mut pod = Pod::default();
        pod.metadata.namespace = Some("shop".into());
        pod.metadata.name = Some("web-0".into());
        assert_eq!(
            ambiguity(&pod, "one"),
            "Pod \"shop\"/\"web-0\" matches multiple PodDisruptionBudgets.  Chose \"one\" arbitrarily."
        );
    }
}
