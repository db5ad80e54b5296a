//! Claims and volumes: who is bound to whom, and what becomes of a volume
//! whose claim is gone (upstream: pkg/controller/volume/persistentvolume).
//!
//! Volumes of the cluster's own tree are made and emptied where the disk is,
//! by the node; this controller only asks for them (`storage-provisioner`).

mod bind;
mod claim;
mod expand;
mod protection;
mod volume;

use std::sync::Arc;

use coracle_client::storage::{claim_ref, phase, volume_name};
use coracle_client::{Cache, Key, Outcome, Queue, Recorder, key_of};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::{Api, Client};

use crate::context::Context;

/// Reads and writes claims and volumes.
struct Controller {
    client: Client,
    volumes: Cache<PersistentVolume>,
    claims: Cache<PersistentVolumeClaim>,
    classes: Cache<StorageClass>,
    pods: Cache<Pod>,
    recorder: Recorder,
    queue: Queue<Key>,
}

/// Runs the controllers of claims and volumes for ever.
pub async fn run(context: Context) {
    tokio::join!(
        run_binder(context.clone()),
        expand::run(context.clone()),
        protection::run(context),
    );
}

async fn run_binder(context: Context) {
    let client = context.client("persistent-volume-binder");
    let controller = Arc::new(Controller {
        volumes: context.caches.of(),
        claims: context.caches.of(),
        classes: context.caches.of(),
        pods: context.caches.of(),
        recorder: Recorder::new(client.clone(), "persistentvolume-controller"),
        client,
        queue: Queue::default(),
    });
    controller.volumes.ready().await;
    controller.claims.ready().await;
    controller.classes.ready().await;
    controller.pods.ready().await;
    subscribe(&controller);
    let queue = controller.queue.clone();
    // One at a time: two claims must not choose the same volume.
    coracle_client::run("volumes", queue, 1, move |key| {
        let controller = controller.clone();
        async move { controller.reconcile(&key).await }
    })
    .await;
}

fn subscribe(controller: &Controller) {
    let (queue, claims) = (controller.queue.clone(), controller.claims.clone());
    controller.volumes.on_change(move |volume| {
        queue.add(key_of(&**volume));
        if let Some(reference) = claim_ref(volume) {
            queue.add(Key::new(
                reference.namespace.clone().unwrap_or_default(),
                reference.name.clone().unwrap_or_default(),
            ));
        } else if phase(volume) == "Available" {
            retry_unbound(&claims, &queue);
        }
    });
    let (queue, claims, volumes) = (
        controller.queue.clone(),
        controller.claims.clone(),
        controller.volumes.clone(),
    );
    controller.claims.on_change(move |claim| {
        let key = key_of(&**claim);
        if let Some(name) = volume_name(claim) {
            queue.add(Key::new("", name));
        }
        if claims.of(&key).is_none() {
            // It may have gone before its volume's name was seen.
            for volume in volumes.all() {
                if claim_ref(&volume).is_some_and(|reference| reference.uid == claim.metadata.uid) {
                    queue.add(key_of(&*volume));
                }
            }
        }
        queue.add(key);
    });
    let (queue, claims) = (controller.queue.clone(), controller.claims.clone());
    controller
        .classes
        .on_change(move |_| retry_unbound(&claims, &queue));
}

fn retry_unbound(claims: &Cache<PersistentVolumeClaim>, queue: &Queue<Key>) {
    for claim in claims.all() {
        if volume_name(&claim).is_none() {
            queue.add(key_of(&*claim));
        }
    }
}

impl Controller {
    /// Reconciles a claim, or the volume of a key without a namespace.
    async fn reconcile(&self, key: &Key) -> Result<Outcome, kube::Error> {
        if key.namespace.is_empty() {
            if let Some(volume) = self.volumes.of(key) {
                self.sync_volume(&volume).await?;
            }
        } else if let Some(claim) = self.claims.of(key) {
            self.sync_claim(&claim).await?;
        }
        Ok(Outcome::Done)
    }

    fn volume_api(&self) -> Api<PersistentVolume> {
        Api::all(self.client.clone())
    }

    fn claim_api(&self, namespace: &str) -> Api<PersistentVolumeClaim> {
        Api::namespaced(self.client.clone(), namespace)
    }
}
