//! ReplicaSets: keeps as many pods as asked for
//! (upstream: pkg/controller/replicaset).

use std::sync::Arc;

use coracle_client::{Cache, Key, Outcome, Queue, Recorder, Severity, key_of, now};
use futures::future::join_all;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetStatus};
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::core::{Selector, SelectorExt};
use kube::{Api, Client, ResourceExt};

use crate::context::Context;
use crate::expectations::{Expectations, PATIENCE};
use crate::owner::{Claim, controller_name, controller_of};
use crate::pods;
use crate::template::{message, pod_from};

/// How many pods are created or deleted in one reconciliation at most.
const BURST: usize = 500;
/// How many pods are created at once before the first answer is known.
const FIRST_BATCH: usize = 1;

struct Controller {
    client: Client,
    replica_sets: Cache<ReplicaSet>,
    pods: Cache<Pod>,
    recorder: Recorder,
    expectations: Arc<Expectations>,
}

/// Runs the controller for ever.
pub async fn run(context: Context) {
    let client = context.client("replicaset-controller");
    let controller = Arc::new(Controller {
        replica_sets: context.caches.of(),
        pods: context.caches.of(),
        recorder: Recorder::new(client.clone(), "replicaset-controller"),
        client,
        expectations: Arc::default(),
    });
    controller.replica_sets.ready().await;
    controller.pods.ready().await;
    let queue = Queue::default();
    subscribe(&controller, &queue);
    coracle_client::run("replicaset", queue, 5, move |key| {
        let controller = controller.clone();
        async move { controller.reconcile(&key).await }
    })
    .await;
}

fn subscribe(controller: &Controller, queue: &Queue<Key>) {
    let own = queue.clone();
    controller
        .replica_sets
        .on_change(move |set| own.add(key_of(&**set)));
    let own = queue.clone();
    let sets = controller.replica_sets.clone();
    let expectations = controller.expectations.clone();
    controller.pods.on_transition(move |pod| {
        expectations.seen(&**pod);
        let namespace = pod.namespace().unwrap_or_default();
        if let Some(name) = controller_name(&**pod, "ReplicaSet") {
            own.add(Key::new(namespace, name));
        } else if controller_of(&**pod).is_none() {
            // An orphan: whoever selects it may adopt it.
            for set in sets.within(&namespace) {
                if selector(&set).is_some_and(|selector| selector.matches(pod.labels())) {
                    own.add(key_of(&*set));
                }
            }
        }
    });
}

fn selector(set: &ReplicaSet) -> Option<Selector> {
    let selector = Selector::try_from(set.spec.as_ref()?.selector.clone()).ok()?;
    (!selector.selects_all()).then_some(selector)
}

impl Controller {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, kube::Error> {
        let Some(set) = self.replica_sets.of(key) else {
            return Ok(Outcome::Done);
        };
        let Some(selector) = selector(&set) else {
            return Ok(Outcome::Done);
        };
        // Asked before the pods are counted: what comes after is counted as well.
        let find = |name: &str| self.pods.get(&key.namespace, name);
        let is_current = self.expectations.are_met(&*set, find);
        let claim = Claim {
            api: self.pod_api(&set),
            cache: &self.pods,
            owner: &*set,
            finalizer: None,
        };
        let selected = |pod: &Pod| selector.matches(pod.labels());
        let owned = claim.children(selected, pods::is_active).await?;
        let active: Vec<Arc<Pod>> = owned
            .iter()
            .filter(|pod| pods::is_active(pod))
            .cloned()
            .collect();
        let mut failure = None;
        if set.metadata.deletion_timestamp.is_none() && is_current {
            failure = self.scale(&set, active.clone()).await.err();
        }
        self.write_status(&set, &owned, &active, failure.as_ref())
            .await?;
        match failure {
            Some(error) => Err(error),
            None if !is_current => Ok(Outcome::Again(PATIENCE)),
            None => Ok(next_availability(&set, &active)),
        }
    }

    fn pod_api(&self, set: &ReplicaSet) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &set.namespace().unwrap_or_default())
    }

    /// Creates or deletes pods until there are as many as asked for.
    async fn scale(&self, set: &ReplicaSet, active: Vec<Arc<Pod>>) -> Result<(), kube::Error> {
        let wanted = usize::try_from(replicas(set)).unwrap_or(0);
        if active.len() < wanted {
            self.create(set, (wanted - active.len()).min(BURST)).await
        } else {
            let surplus = surplus(active, wanted);
            self.delete(set, &surplus[..surplus.len().min(BURST)]).await
        }
    }

    /// Creates `count` pods in batches that double, so that a template which
    /// the API refuses costs few requests.
    async fn create(&self, set: &ReplicaSet, count: usize) -> Result<(), kube::Error> {
        let (mut left, mut batch) = (count, FIRST_BATCH);
        while left > 0 {
            let size = batch.min(left);
            let results = join_all((0..size).map(|_| self.create_one(set))).await;
            results.into_iter().collect::<Result<Vec<()>, _>>()?;
            left -= size;
            batch *= 2;
        }
        Ok(())
    }

    async fn create_one(&self, set: &ReplicaSet) -> Result<(), kube::Error> {
        match self
            .pod_api(set)
            .create(&PostParams::default(), &pod_of(set))
            .await
        {
            Ok(pod) => {
                let name = pod.name_any();
                self.expectations.created(set, &name);
                self.recorder.event(
                    set,
                    Severity::Normal,
                    "SuccessfulCreate",
                    format!("Created pod: {name}"),
                );
                Ok(())
            }
            Err(error) => {
                let text = message(&error);
                self.recorder.event(
                    set,
                    Severity::Warning,
                    "FailedCreate",
                    format!("Error creating: {text}"),
                );
                Err(error)
            }
        }
    }

    async fn delete(&self, set: &ReplicaSet, surplus: &[Arc<Pod>]) -> Result<(), kube::Error> {
        let api = self.pod_api(set);
        let deletions = surplus.iter().map(|pod| async {
            let name = pod.name_any();
            let preconditions = Preconditions {
                uid: pod.uid(),
                resource_version: None,
            };
            let result = api
                .delete(&name, &DeleteParams::default().preconditions(preconditions))
                .await;
            match result {
                Ok(_) => {
                    self.expectations.deleted(set, &name);
                    let text = format!("Deleted pod: {name}");
                    self.recorder
                        .event(set, Severity::Normal, "SuccessfulDelete", text);
                    Ok(())
                }
                Err(error) if coracle_client::is_not_found(&error) => {
                    self.expectations.deleted(set, &name);
                    Ok(())
                }
                Err(error) => {
                    let text = format!("Error deleting: {}", message(&error));
                    self.recorder
                        .event(set, Severity::Warning, "FailedDelete", text);
                    Err(error)
                }
            }
        });
        join_all(deletions).await.into_iter().collect()
    }

    async fn write_status(
        &self,
        set: &ReplicaSet,
        owned: &[Arc<Pod>],
        active: &[Arc<Pod>],
        failure: Option<&kube::Error>,
    ) -> Result<(), kube::Error> {
        let status = status(set, owned, active, failure.map(message), Timestamp::now());
        if set.status.as_ref() == Some(&status) {
            return Ok(());
        }
        let api: Api<ReplicaSet> =
            Api::namespaced(self.client.clone(), &set.namespace().unwrap_or_default());
        let mut changed = set.clone();
        changed.status = Some(status);
        match api
            .replace_status(&set.name_any(), &PostParams::default(), &changed)
            .await
        {
            Err(error) if coracle_client::is_not_found(&error) => Ok(()),
            result => result.map(drop),
        }
    }
}

fn replicas(set: &ReplicaSet) -> i32 {
    set.spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1)
}

fn min_ready_seconds(set: &ReplicaSet) -> i32 {
    set.spec
        .as_ref()
        .and_then(|spec| spec.min_ready_seconds)
        .unwrap_or(0)
}

/// Returns the pods above `wanted`, those to be deleted first.
fn surplus(mut active: Vec<Arc<Pod>>, wanted: usize) -> Vec<Arc<Pod>> {
    active.sort_by_key(|pod| pods::deletion_rank(pod));
    active.truncate(active.len().saturating_sub(wanted));
    active
}

/// Returns the pod that the set's template describes.
fn pod_of(set: &ReplicaSet) -> Pod {
    let template = set.spec.as_ref().and_then(|spec| spec.template.as_ref());
    pod_from(template.unwrap_or(&PodTemplateSpec::default()), set)
}

/// Returns when a ready pod becomes available, if one has yet to.
fn next_availability(set: &ReplicaSet, active: &[Arc<Pod>]) -> Outcome {
    let seconds = min_ready_seconds(set);
    let now = Timestamp::now();
    let waiting = active
        .iter()
        .any(|pod| pods::is_ready(pod) && !pods::is_available(pod, seconds, now));
    if waiting {
        Outcome::Again(std::time::Duration::from_secs(
            seconds.unsigned_abs().into(),
        ))
    } else {
        Outcome::Done
    }
}

/// Returns the status that the pods amount to (upstream: calculateStatus).
fn status(
    set: &ReplicaSet,
    owned: &[Arc<Pod>],
    active: &[Arc<Pod>],
    failure: Option<String>,
    at: Timestamp,
) -> ReplicaSetStatus {
    let count = |test: &dyn Fn(&Pod) -> bool| active.iter().filter(|pod| test(pod)).count() as i32;
    let template_labels = set
        .spec
        .as_ref()
        .and_then(|spec| spec.template.as_ref()?.metadata.as_ref()?.labels.clone())
        .unwrap_or_default();
    let fully_labeled = count(&|pod| {
        template_labels
            .iter()
            .all(|(key, value)| pod.labels().get(key) == Some(value))
    });
    let ready = count(&|pod| pods::is_ready(pod));
    let available = count(&|pod| pods::is_available(pod, min_ready_seconds(set), at));
    let terminating = owned.iter().filter(|pod| pods::is_terminating(pod)).count() as i32;
    let old = set.status.clone().unwrap_or_default();
    let nonzero = |count: i32| (count != 0).then_some(count);
    ReplicaSetStatus {
        replicas: active.len() as i32,
        fully_labeled_replicas: nonzero(fully_labeled),
        ready_replicas: nonzero(ready),
        available_replicas: nonzero(available),
        terminating_replicas: Some(terminating),
        observed_generation: set.metadata.generation,
        conditions: conditions(old.conditions, failure, active.len() as i32, replicas(set)),
    }
}

/// Returns the condition `ReplicaFailure` while pods cannot be made or deleted;
/// it keeps the words of the first failure.
fn conditions(
    old: Option<Vec<ReplicaSetCondition>>,
    failure: Option<String>,
    have: i32,
    want: i32,
) -> Option<Vec<ReplicaSetCondition>> {
    let text = failure?;
    if old.as_ref().is_some_and(|old| !old.is_empty()) {
        return old;
    }
    let reason = if have < want {
        "FailedCreate"
    } else {
        "FailedDelete"
    };
    Some(vec![ReplicaSetCondition {
        type_: "ReplicaFailure".into(),
        status: "True".into(),
        reason: Some(reason.into()),
        message: Some(text),
        last_transition_time: Some(now()),
    }])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(value: serde_json::Value) -> Arc<Pod> {
        Arc::new(serde_json::from_value(value).expect("a pod"))
    }

    fn running(name: &str, ready: bool, since: &str) -> Arc<Pod> {
        pod(json!({
            "metadata": {"name": name},
            "spec": {"containers": [], "nodeName": "node"},
            "status": {"phase": "Running", "conditions": [
                {"type": "Ready", "status": if ready { "True" } else { "False" }, "lastTransitionTime": since},
            ]},
        }))
    }

    /// Upstream: pkg/controller/controller_utils_test.go, TestSortingActivePods.
    #[test]
    fn unassigned_then_unready_then_youngest_pods_go_first() {
        let unassigned =
            pod(json!({"metadata": {"name": "unassigned"}, "spec": {"containers": []}}));
        let old = running("old", true, "2026-01-01T00:00:00Z");
        let young = running("young", true, "2026-01-01T01:00:00Z");
        let unready = running("unready", false, "2026-01-01T00:00:00Z");
        let all = vec![old, young, unready, unassigned];
        let names = |wanted| -> Vec<String> {
            surplus(all.clone(), wanted)
                .iter()
                .map(|pod| pod.name_any())
                .collect()
        };
        assert_eq!(names(0), ["unassigned", "unready", "young", "old"]);
        assert_eq!(names(2), ["unassigned", "unready"]);
        assert_eq!(names(9), [""; 0]);
    }
}
