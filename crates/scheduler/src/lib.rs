//! Where a pod lands: pods without a node are bound to one that fits, or told
//! why none does (upstream: pkg/scheduler).
//!
//! [`run`] is the loop; [`filter`] holds the pure decisions.

mod affinity;
pub mod filter;
mod ledger;
mod resources;
mod volumes;

use std::sync::Arc;

use coracle_client::storage::{BOUND_BY_CONTROLLER, SELECTED_NODE, claim_ref};
use coracle_client::{Cache, Caches, Key, Outcome, Queue, Recorder, Severity, key_of, now};
use k8s_openapi::api::core::v1::{
    Binding, Namespace, Node, ObjectReference, PersistentVolume, PersistentVolumeClaim, Pod,
    PodCondition,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::Semaphore;

use affinity::{Peer, Peers};
use ledger::Ledger;
use volumes::{Needs, Step, Storage, claims_of};

const NAME: &str = "default-scheduler";
/// Bindings that are written at once while the next pods are placed.
const BINDINGS_MAX: usize = 32;

struct Scheduler {
    client: Client,
    pods: Cache<Pod>,
    nodes: Cache<Node>,
    namespaces: Cache<Namespace>,
    storage: Storage,
    recorder: Recorder,
    ledger: Arc<Mutex<Ledger>>,
    queue: Queue<Key>,
    bindings: Arc<Semaphore>,
}

/// Runs the scheduler for ever, writing through `client` (`system:kube-scheduler`).
pub async fn run(caches: Caches, client: Client) {
    let scheduler = Arc::new(Scheduler {
        pods: caches.of(),
        nodes: caches.of(),
        namespaces: caches.of(),
        storage: Storage {
            claims: caches.of(),
            volumes: caches.of(),
            classes: caches.of(),
        },
        recorder: Recorder::new(client.clone(), NAME),
        client,
        ledger: Arc::default(),
        queue: Queue::default(),
        bindings: Arc::new(Semaphore::new(BINDINGS_MAX)),
    });
    scheduler.pods.ready().await;
    scheduler.nodes.ready().await;
    scheduler.namespaces.ready().await;
    scheduler.storage.claims.ready().await;
    scheduler.storage.volumes.ready().await;
    scheduler.storage.classes.ready().await;
    let queue = scheduler.queue.clone();
    subscribe(&scheduler, &queue);
    // One at a time: each decision counts on the ones before it.
    coracle_client::run("scheduler", queue, 1, move |key| {
        let scheduler = scheduler.clone();
        async move { scheduler.schedule(&key).await }
    })
    .await;
}

fn subscribe(scheduler: &Scheduler, queue: &Queue<Key>) {
    let (own, ledger, pods) = (
        queue.clone(),
        scheduler.ledger.clone(),
        scheduler.pods.clone(),
    );
    scheduler.pods.on_change(move |pod| {
        let key = key_of(&**pod);
        let mut ledger = ledger.lock();
        let gone = pods
            .of(&key)
            .is_none_or(|current| current.metadata.uid != pod.metadata.uid);
        if gone || has_ended(pod) {
            // Its resources are free again for those that wait.
            if ledger.remove(&key) {
                ledger.waiting().for_each(|key| own.add(key.clone()));
            }
        } else if let Some(node) = node_of(pod) {
            ledger.place(key, pod, node);
            ledger.dependent().for_each(|key| own.add(key.clone()));
        } else if is_waiting(pod) {
            ledger.wait(key.clone(), pod);
            own.add(key);
        } else {
            ledger.remove(&key);
        }
    });
    let retry = {
        let (own, ledger) = (queue.clone(), scheduler.ledger.clone());
        move || {
            let ledger = ledger.lock();
            ledger.waiting().for_each(|key| own.add(key.clone()));
        }
    };
    let nodes = retry.clone();
    scheduler.nodes.on_change(move |_| nodes());
    let classes = retry.clone();
    scheduler.storage.classes.on_change(move |_| classes());
    scheduler.storage.volumes.on_change(move |_| retry());
    let (own, ledger, pods) = (
        queue.clone(),
        scheduler.ledger.clone(),
        scheduler.pods.clone(),
    );
    scheduler.storage.claims.on_change(move |claim| {
        let namespace = claim.namespace().unwrap_or_default();
        let name = claim.name_any();
        let ledger = ledger.lock();
        for key in ledger.waiting().filter(|key| key.namespace == namespace) {
            let pod = pods.of(key);
            if pod.is_some_and(|pod| claims_of(&pod).any(|used| used == name)) {
                own.add(key.clone());
            }
        }
    });
}

fn node_of(pod: &Pod) -> Option<&str> {
    let name = pod.spec.as_ref()?.node_name.as_deref()?;
    (!name.is_empty()).then_some(name)
}

/// Returns whether the pod is this scheduler's to place.
fn is_waiting(pod: &Pod) -> bool {
    node_of(pod).is_none()
        && pod.spec.as_ref().is_some_and(|spec| {
            spec.scheduler_name.as_deref().unwrap_or(NAME) == NAME
                && spec.scheduling_gates.as_ref().is_none_or(Vec::is_empty)
        })
        && pod.metadata.deletion_timestamp.is_none()
}

fn has_ended(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

impl Scheduler {
    async fn schedule(self: &Arc<Self>, key: &Key) -> Result<Outcome, kube::Error> {
        let Some(pod) = self.pods.of(key).filter(|pod| is_waiting(pod)) else {
            return Ok(Outcome::Done);
        };
        if self.ledger.lock().is_assumed(key) {
            return Ok(Outcome::Done);
        }
        let nodes = self.nodes.all();
        let needs = match Needs::of(&pod, &self.storage) {
            Ok(needs) => needs,
            Err(reason) => {
                let text = filter::refused_everywhere(&pod, nodes.len(), &reason);
                self.refuse(&pod, &text).await?;
                return Ok(Outcome::Done);
            }
        };
        let load = |name: &str| self.ledger.lock().load(name);
        match filter::choose(&pod, &nodes, load, &needs, &self.peers(&pod, &nodes)) {
            Ok(node) => {
                let steps = needs.steps(&node).unwrap_or_default();
                if steps.is_empty() {
                    self.bind(key, &pod, &node.name_any()).await;
                }
                // The claims' changes bring the pod back.
                for step in steps {
                    self.take(step, &node.name_any()).await?;
                }
            }
            Err(reasons) => self.refuse(&pod, &reasons).await?,
        }
        Ok(Outcome::Done)
    }

    /// Returns the pods that count where the pod's place depends on others, and
    /// those that keep it away.
    fn peers(&self, pod: &Pod, nodes: &[Arc<Node>]) -> Peers {
        let ledger = self.ledger.lock();
        let peer = |(key, name): (&Key, &str)| {
            let node = nodes.iter().find(|node| node.name_any() == name)?;
            Some(Peer {
                pod: self.pods.of(key)?,
                labels: node.labels().clone(),
            })
        };
        let depends = affinity::depends(pod);
        let all = ledger.placed().filter(|_| depends);
        Peers {
            all: all.filter_map(peer).collect(),
            guarded: ledger.guarded().filter_map(peer).collect(),
            namespaces: self.namespaces.all(),
        }
    }

    /// Writes what a claim needs before its pod can be bound.
    async fn take(&self, step: Step, node: &str) -> Result<(), kube::Error> {
        match step {
            Step::Wait => Ok(()),
            Step::Select(claim) => {
                let patch = json!({"metadata": {
                    "uid": claim.uid(), "annotations": {SELECTED_NODE: node},
                }});
                let namespace = claim.namespace().unwrap_or_default();
                let api: Api<PersistentVolumeClaim> =
                    Api::namespaced(self.client.clone(), &namespace);
                api.patch(
                    &claim.name_any(),
                    &PatchParams::default(),
                    &Patch::Merge(&patch),
                )
                .await
                .map(drop)
            }
            Step::Reserve(volume, claim) => {
                let mut patch = json!({
                    "metadata": {"resourceVersion": volume.resource_version()},
                    "spec": {"claimRef": coracle_client::reference(&*claim)},
                });
                if claim_ref(&volume).is_none() {
                    patch["metadata"]["annotations"] = json!({BOUND_BY_CONTROLLER: "yes"});
                }
                let api: Api<PersistentVolume> = Api::all(self.client.clone());
                api.patch(
                    &volume.name_any(),
                    &PatchParams::default(),
                    &Patch::Merge(&patch),
                )
                .await
                .map(drop)
            }
        }
    }

    /// Gives the pod its place and lets the binding be written while the next
    /// pods are placed.
    async fn bind(self: &Arc<Self>, key: &Key, pod: &Arc<Pod>, node: &str) {
        self.ledger.lock().assume(key.clone(), pod, node);
        let permit = self.bindings.clone().acquire_owned().await;
        let (scheduler, key) = (self.clone(), key.clone());
        let (pod, node) = (pod.clone(), node.to_owned());
        tokio::spawn(async move {
            let _permit = permit;
            let Err(error) = scheduler.write_binding(&key, &pod, &node).await else {
                return;
            };
            scheduler.ledger.lock().refuse(&key);
            if !coracle_client::is_not_found(&error) {
                tracing::debug!(pod = %key, %error, "not bound, trying again");
                scheduler.queue.failed(key);
            }
        });
    }

    async fn write_binding(&self, key: &Key, pod: &Pod, node: &str) -> Result<(), kube::Error> {
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
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &key.namespace);
        let _: Status = api
            .create_subresource("binding", &key.name, &PostParams::default(), &binding)
            .await?;
        let text = format!("Successfully assigned {key} to {node}");
        self.recorder
            .event(pod, Severity::Normal, "Scheduled", text);
        Ok(())
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
            observed_generation: pod.metadata.generation,
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
