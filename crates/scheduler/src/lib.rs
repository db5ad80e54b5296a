//! Where a pod lands: pods without a node are bound to one that fits, or told
//! why none does (upstream: pkg/scheduler).
//!
//! [`run`] is the loop; [`filter`] holds the pure decisions.

pub mod filter;
mod resources;

use std::collections::HashMap;
use std::sync::Arc;

use coracle_client::{Cache, Caches, Key, Outcome, Queue, Recorder, Severity, key_of, now};
use k8s_openapi::api::core::v1::{Binding, Node, ObjectReference, Pod, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use parking_lot::Mutex;
use serde_json::json;

const NAME: &str = "default-scheduler";

struct Scheduler {
    client: Client,
    pods: Cache<Pod>,
    nodes: Cache<Node>,
    recorder: Recorder,
    /// Pods that were bound and may not show it in the cache yet.
    assumed: Mutex<HashMap<Key, Arc<Pod>>>,
}

/// Runs the scheduler for ever, writing through `client` (`system:kube-scheduler`).
pub async fn run(caches: Caches, client: Client) {
    let scheduler = Arc::new(Scheduler {
        pods: caches.of(),
        nodes: caches.of(),
        recorder: Recorder::new(client.clone(), NAME),
        client,
        assumed: Mutex::default(),
    });
    scheduler.pods.ready().await;
    scheduler.nodes.ready().await;
    let queue = Queue::default();
    subscribe(&scheduler, &queue);
    // One at a time: each decision counts on the ones before it.
    coracle_client::run("scheduler", queue, 1, move |key| {
        let scheduler = scheduler.clone();
        async move { scheduler.schedule(&key).await }
    })
    .await;
}

fn subscribe(scheduler: &Scheduler, queue: &Queue<Key>) {
    let pods = scheduler.pods.clone();
    let own = queue.clone();
    let retry = move || {
        for pod in pods.all() {
            if is_waiting(&pod) {
                own.add(key_of(&*pod));
            }
        }
    };
    let on_node = retry.clone();
    scheduler.nodes.on_change(move |_| on_node());
    let own = queue.clone();
    scheduler.pods.on_change(move |pod| {
        if is_waiting(pod) {
            own.add(key_of(&**pod));
        } else if has_ended(pod) || pod.metadata.deletion_timestamp.is_some() {
            // Its resources are free again for those that wait.
            let retry = retry.clone();
            tokio::spawn(async move { retry() });
        }
    });
}

/// Returns whether the pod is this scheduler's to place.
fn is_waiting(pod: &Pod) -> bool {
    pod.spec.as_ref().is_some_and(|spec| {
        spec.node_name.as_deref().unwrap_or("").is_empty()
            && spec.scheduler_name.as_deref().unwrap_or(NAME) == NAME
            && spec.scheduling_gates.as_ref().is_none_or(Vec::is_empty)
    }) && pod.metadata.deletion_timestamp.is_none()
}

fn has_ended(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

impl Scheduler {
    async fn schedule(&self, key: &Key) -> Result<Outcome, kube::Error> {
        let Some(pod) = self.pods.of(key).filter(|pod| is_waiting(pod)) else {
            return Ok(Outcome::Done);
        };
        if self.assumed.lock().contains_key(key) {
            return Ok(Outcome::Done);
        }
        let placed = self.placed();
        match filter::choose(&pod, &self.nodes.all(), &placed) {
            Ok(node) => self.bind(key, &pod, &node.name_any()).await?,
            Err(reasons) => self.refuse(&pod, &reasons).await?,
        }
        Ok(Outcome::Done)
    }

    /// Returns the pods that hold resources of a node, those just bound included.
    fn placed(&self) -> Vec<Arc<Pod>> {
        let mut assumed = self.assumed.lock();
        let pods = self.pods.all();
        assumed.retain(|key, _| self.pods.of(key).is_some_and(|pod| is_waiting(&pod)));
        let waiting = assumed.values().cloned();
        pods.into_iter()
            .filter(|pod| !is_waiting(pod) && !has_ended(pod))
            .chain(waiting)
            .collect()
    }

    async fn bind(&self, key: &Key, pod: &Pod, node: &str) -> Result<(), kube::Error> {
        let binding = Binding {
            metadata: ObjectMeta {
                name: Some(key.name.clone()),
                uid: pod.uid(),
                ..Default::default()
            },
            target: ObjectReference {
                kind: Some("Node".into()),
                name: Some(node.into()),
                ..Default::default()
            },
        };
        let mut assumed = pod.clone();
        if let Some(spec) = &mut assumed.spec {
            spec.node_name = Some(node.into());
        }
        self.assume(key, assumed);
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &key.namespace);
        let result: Result<Status, _> = api
            .create_subresource("binding", &key.name, &PostParams::default(), &binding)
            .await;
        match result {
            Ok(_) => {
                let text = format!("Successfully assigned {key} to {node}");
                self.recorder
                    .event(pod, Severity::Normal, "Scheduled", text);
                Ok(())
            }
            Err(error) => {
                self.assumed.lock().remove(key);
                if coracle_client::is_not_found(&error) {
                    Ok(())
                } else {
                    Err(error)
                }
            }
        }
    }

    fn assume(&self, key: &Key, pod: Pod) {
        self.assumed.lock().insert(key.clone(), Arc::new(pod));
    }

    /// Says on the pod why no node fits.
    async fn refuse(&self, pod: &Pod, message: &str) -> Result<(), kube::Error> {
        self.recorder
            .event(pod, Severity::Warning, "FailedScheduling", message);
        let told = pod
            .status
            .as_ref()
            .and_then(|status| status.conditions.as_ref())
            .is_some_and(|conditions| {
                conditions.iter().any(|condition| {
                    condition.type_ == "PodScheduled"
                        && condition.message.as_deref() == Some(message)
                })
            });
        if told {
            return Ok(());
        }
        let condition = PodCondition {
            type_: "PodScheduled".into(),
            status: "False".into(),
            reason: Some("Unschedulable".into()),
            message: Some(message.into()),
            last_transition_time: Some(now()),
            ..Default::default()
        };
        let patch = json!({"status": {"conditions": [condition]}});
        let api: Api<Pod> =
            Api::namespaced(self.client.clone(), &pod.namespace().unwrap_or_default());
        api.patch_status(
            &pod.name_any(),
            &PatchParams::default(),
            &Patch::Strategic(&patch),
        )
        .await
        .map(drop)
    }
}
