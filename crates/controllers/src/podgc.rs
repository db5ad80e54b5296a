//! Pods that are deleted and that no node takes away: something holds their
//! object, and they have no node that could say that they have ended
//! (upstream: pkg/controller/podgc, gcUnscheduledTerminating).

use std::sync::Arc;

use coracle_client::{Cache, Key, Outcome, Queue, is_not_found, key_of};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use crate::context::Context;
use crate::pods;

/// Runs the controller for ever.
pub async fn run(context: Context) {
    let client = Arc::new(context.client("pod-garbage-collector"));
    let pods: Cache<Pod> = context.caches.of();
    pods.ready().await;
    let queue: Queue<Key> = Queue::default();
    let own = queue.clone();
    pods.on_change(move |pod| {
        if is_stranded(pod) {
            own.add(key_of(&**pod));
        }
    });
    coracle_client::run("podgc", queue, 1, move |key| {
        let (client, pods) = (client.clone(), pods.clone());
        async move { reconcile(&client, &pods, &key).await }
    })
    .await;
}

/// Returns whether a pod waits for an end that nobody will tell.
fn is_stranded(pod: &Pod) -> bool {
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref());
    node.is_none_or(String::is_empty) && pods::is_terminating(pod)
}

async fn reconcile(client: &Client, pods: &Cache<Pod>, key: &Key) -> Result<Outcome, kube::Error> {
    let Some(pod) = pods.of(key).filter(|pod| is_stranded(pod)) else {
        return Ok(Outcome::Done);
    };
    match end(client, &pod).await {
        Err(error) if !is_not_found(&error) => Err(error),
        _ => Ok(Outcome::Done),
    }
}

/// Says that the pod has failed and lets it go.
async fn end(client: &Client, pod: &Pod) -> Result<(), kube::Error> {
    let api: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
    let name = pod.name_any();
    let failed = json!({
        "metadata": {"uid": pod.uid()},
        "status": {"phase": "Failed", "observedGeneration": pod.metadata.generation},
    });
    api.patch_status(&name, &PatchParams::default(), &Patch::Strategic(failed))
        .await?;
    let this = Preconditions {
        uid: pod.uid(),
        resource_version: None,
    };
    let params = DeleteParams::default().grace_period(0).preconditions(this);
    api.delete(&name, &params).await.map(drop)
}
