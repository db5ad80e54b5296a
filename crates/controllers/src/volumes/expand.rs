//! Growing a claim: volume and claim are told their new size
//! (upstream: pkg/controller/volume/expand). A folder of the cluster's own
//! tree has no size of its own, so there is nothing to wait for.

use std::sync::Arc;

use coracle_client::storage::{self, PROVISIONED_BY, PROVISIONER};
use coracle_client::{Cache, Key, Outcome, Queue, Recorder, Severity, key_of};
use coracle_machinery::quantity::Quantity;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use crate::context::Context;

struct Controller {
    client: Client,
    volumes: Cache<PersistentVolume>,
    claims: Cache<PersistentVolumeClaim>,
    recorder: Recorder,
}

/// Runs the controller for ever.
pub async fn run(context: Context) {
    let client = context.client("expand-controller");
    let controller = Arc::new(Controller {
        volumes: context.caches.of(),
        claims: context.caches.of(),
        recorder: Recorder::new(client.clone(), "volume_expand"),
        client,
    });
    controller.volumes.ready().await;
    controller.claims.ready().await;
    let queue: Queue<Key> = Queue::default();
    let own = queue.clone();
    controller.claims.on_change(move |claim| {
        if growth(claim).is_some() {
            own.add(key_of(&**claim));
        }
    });
    coracle_client::run("expand", queue, 1, move |key| {
        let controller = controller.clone();
        async move { controller.reconcile(&key).await }
    })
    .await;
}

/// Returns the size that a bound claim asks for beyond what it has.
fn growth(claim: &PersistentVolumeClaim) -> Option<Quantity> {
    if !storage::is_bound(claim) {
        return None;
    }
    let have = claim.status.as_ref()?.capacity.as_ref()?.get("storage")?;
    let have: Quantity = have.0.parse().ok()?;
    storage::requested(claim).filter(|want| *want > have)
}

impl Controller {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, kube::Error> {
        let Some(claim) = self.claims.of(key) else {
            return Ok(Outcome::Done);
        };
        let Some(size) = growth(&claim) else {
            return Ok(Outcome::Done);
        };
        let volume = storage::volume_name(&claim).and_then(|name| self.volumes.get("", name));
        let Some(volume) = volume else {
            return Ok(Outcome::Done);
        };
        let ours = volume.annotations().get(PROVISIONED_BY).map(String::as_str);
        if ours != Some(PROVISIONER) {
            let text = "waiting for an external controller to expand this PVC";
            self.recorder
                .event(&*claim, Severity::Normal, "ExternalExpanding", text);
            return Ok(Outcome::Done);
        }
        let capacity = json!({"storage": size.to_string()});
        if storage::capacity(&volume) < Some(size) {
            let api: Api<PersistentVolume> = Api::all(self.client.clone());
            let patch = json!({"spec": {"capacity": capacity}});
            api.patch(
                &volume.name_any(),
                &PatchParams::default(),
                &Patch::Merge(&patch),
            )
            .await?;
        }
        let api: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), &key.namespace);
        let patch = json!({"status": {"capacity": capacity}});
        api.patch_status(&key.name, &PatchParams::default(), &Patch::Merge(&patch))
            .await?;
        let text = format!("ExpandVolume succeeded for volume {key}");
        self.recorder
            .event(&*claim, Severity::Normal, "VolumeResizeSuccessful", text);
        Ok(Outcome::Done)
    }
}
