//! What a decision becomes: bindings, reservations, refusals, displaced pods.

use std::sync::Arc;

use coracle_client::storage::{BOUND_BY_CONTROLLER, SELECTED_NODE, claim_ref};
use coracle_client::{Key, Severity, is_not_found, now};
use k8s_openapi::api::core::v1::{
    Binding, ObjectReference, PersistentVolume, PersistentVolumeClaim, Pod, PodCondition,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::ledger::nominated_node;
use crate::preempt::{self, Candidate};
use crate::volumes::Step;
use crate::{NAME, Scheduler};

/// What a refused pod's status says of the node where room is made for it.
pub(crate) enum Nomination<'a> {
    /// What it has said.
    Kept,
    /// None.
    Cleared,
    /// This one.
    Of(&'a str),
}

impl Scheduler {
    /// Writes what a claim needs before its pod can be bound.
    pub(crate) async fn take(&self, step: Step, node: &str) -> Result<(), kube::Error> {
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
    pub(crate) async fn bind(self: &Arc<Self>, key: &Key, pod: &Arc<Pod>, node: &str) {
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
            if !is_not_found(&error) {
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

    /// Says on the pod why no node fits, and where room is made for it.
    pub(crate) async fn refuse(
        &self,
        pod: &Pod,
        message: &str,
        nomination: Nomination<'_>,
    ) -> Result<(), kube::Error> {
        self.recorder
            .event(pod, Severity::Warning, "FailedScheduling", message);
        let mut status = json!({});
        if !has_reason(pod, message) {
            status["conditions"] = json!([PodCondition {
                type_: "PodScheduled".into(),
                status: "False".into(),
                reason: Some("Unschedulable".into()),
                message: Some(message.into()),
                last_transition_time: Some(now()),
                observed_generation: pod.metadata.generation,
                ..Default::default()
            }]);
        }
        match (nomination, nominated_node(pod)) {
            (Nomination::Cleared, Some(_)) => status["nominatedNodeName"] = Value::Null,
            (Nomination::Of(node), told) if told != Some(node) => {
                status["nominatedNodeName"] = node.into();
            }
            _ => {}
        }
        match status.as_object().is_some_and(|status| status.is_empty()) {
            true => Ok(()),
            false => self.patch_status(pod, &status).await,
        }
    }

    /// Ends the pods that have to go for another, and tells them
    /// (upstream: framework/preemption, prepareCandidate).
    pub(crate) async fn displace(
        &self,
        pod: &Pod,
        candidate: &Candidate,
    ) -> Result<(), kube::Error> {
        let node = candidate.node.name_any();
        // They may no longer fit there, and are tried again at once.
        let below = self
            .ledger
            .lock()
            .nominated_below(&node, preempt::priority(pod));
        for (key, other) in below {
            self.ledger.lock().nominate(&key, None);
            let status = json!({"nominatedNodeName": null});
            gone_is_fine(self.patch_status(&other, &status).await)?;
            self.queue.add(key);
        }
        for victim in &candidate.victims {
            if victim.metadata.deletion_timestamp.is_none() {
                self.end(victim).await?;
                let text = format!(
                    "Preempted by pod {} on node {node}",
                    pod.uid().unwrap_or_default()
                );
                self.recorder
                    .event(&**victim, Severity::Normal, "Preempted", text);
            }
        }
        Ok(())
    }

    async fn end(&self, victim: &Pod) -> Result<(), kube::Error> {
        if !preempt::has_condition(victim) {
            let condition = PodCondition {
                type_: "DisruptionTarget".into(),
                status: "True".into(),
                reason: Some(preempt::REASON.into()),
                message: Some(format!(
                    "{NAME}: preempting to accommodate a higher priority pod"
                )),
                last_transition_time: Some(now()),
                observed_generation: victim.metadata.generation,
                ..Default::default()
            };
            let status = json!({"conditions": [condition]});
            gone_is_fine(self.patch_status(victim, &status).await)?;
        }
        let api: Api<Pod> =
            Api::namespaced(self.client.clone(), &victim.namespace().unwrap_or_default());
        let parameters = DeleteParams::default().preconditions(Preconditions {
            uid: victim.uid(),
            ..Preconditions::default()
        });
        let ended = api.delete(&victim.name_any(), &parameters).await;
        gone_is_fine(ended.map(drop))
    }

    async fn patch_status(&self, pod: &Pod, status: &Value) -> Result<(), kube::Error> {
        let api: Api<Pod> =
            Api::namespaced(self.client.clone(), &pod.namespace().unwrap_or_default());
        let patch = json!({"status": status});
        let patched = api
            .patch_status(
                &pod.name_any(),
                &PatchParams::default(),
                &Patch::Strategic(&patch),
            )
            .await;
        patched.map(drop)
    }
}

/// Returns whether the pod has been told already that it fits nowhere, and why.
fn has_reason(pod: &Pod, message: &str) -> bool {
    let conditions = pod
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    conditions
        .into_iter()
        .any(|one| one.type_ == "PodScheduled" && one.message.as_deref() == Some(message))
}

fn gone_is_fine(result: Result<(), kube::Error>) -> Result<(), kube::Error> {
    match result {
        Err(error) if is_not_found(&error) => Ok(()),
        result => result,
    }
}
