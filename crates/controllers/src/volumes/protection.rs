//! What is in use is not taken away: the finalizers of claims and volumes go
//! when no pod, or no claim, holds them any more
//! (upstream: pkg/controller/volume/pvcprotection, pvprotection).

use std::sync::Arc;

use coracle_client::storage::phase;
use coracle_client::{Cache, Key, Outcome, Queue, key_of};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use kube::api::PostParams;
use kube::{Api, Client, Resource, ResourceExt};

use crate::context::Context;

const CLAIM: &str = "kubernetes.io/pvc-protection";
const VOLUME: &str = "kubernetes.io/pv-protection";

struct Controller {
    claim_client: Client,
    volume_client: Client,
    claims: Cache<PersistentVolumeClaim>,
    volumes: Cache<PersistentVolume>,
    pods: Cache<Pod>,
}

/// Runs the controllers of both finalizers for ever.
pub async fn run(context: Context) {
    let controller = Arc::new(Controller {
        claim_client: context.client("pvc-protection-controller"),
        volume_client: context.client("pv-protection-controller"),
        claims: context.caches.of(),
        volumes: context.caches.of(),
        pods: context.caches.of(),
    });
    controller.claims.ready().await;
    controller.volumes.ready().await;
    controller.pods.ready().await;
    let queue = Queue::default();
    subscribe(&controller, &queue);
    coracle_client::run("protection", queue, 1, move |key| {
        let controller = controller.clone();
        async move { controller.reconcile(&key).await }
    })
    .await;
}

/// Returns whether an object is being deleted and held by `finalizer`.
fn is_held<K: Resource>(object: &K, finalizer: &str) -> bool {
    object.meta().deletion_timestamp.is_some()
        && object.finalizers().iter().any(|one| one == finalizer)
}

fn subscribe(controller: &Controller, queue: &Queue<Key>) {
    let own = queue.clone();
    controller.claims.on_change(move |claim| {
        if is_held(&**claim, CLAIM) {
            own.add(key_of(&**claim));
        }
    });
    let own = queue.clone();
    controller.volumes.on_change(move |volume| {
        if is_held(&**volume, VOLUME) {
            own.add(key_of(&**volume));
        }
    });
    let (own, claims) = (queue.clone(), controller.claims.clone());
    controller.pods.on_change(move |pod| {
        let namespace = pod.namespace().unwrap_or_default();
        for name in claims_of(pod) {
            let claim = claims.get(&namespace, name);
            if claim.is_some_and(|claim| is_held(&*claim, CLAIM)) {
                own.add(Key::new(namespace.clone(), name));
            }
        }
    });
}

/// Returns the names of the claims that a pod uses.
fn claims_of(pod: &Pod) -> impl Iterator<Item = &str> {
    let volumes = pod
        .spec
        .iter()
        .flat_map(|spec| spec.volumes.iter().flatten());
    volumes.filter_map(|volume| Some(volume.persistent_volume_claim.as_ref()?.claim_name.as_str()))
}

impl Controller {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, kube::Error> {
        if key.namespace.is_empty() {
            let volume = self.volumes.of(key);
            if let Some(volume) = volume.filter(|volume| is_held(&**volume, VOLUME))
                && phase(&volume) != "Bound"
            {
                let api = Api::all(self.volume_client.clone());
                release(&api, (*volume).clone(), VOLUME).await?;
            }
        } else if let Some(claim) = self.claims.of(key)
            && is_held(&*claim, CLAIM)
            && !self.is_used(key)
        {
            let api = Api::namespaced(self.claim_client.clone(), &key.namespace);
            release(&api, (*claim).clone(), CLAIM).await?;
        }
        Ok(Outcome::Done)
    }

    /// Returns whether a pod that has a node uses the claim; one without cannot
    /// start any more once the claim is being deleted.
    fn is_used(&self, key: &Key) -> bool {
        self.pods.within(&key.namespace).iter().any(|pod| {
            let placed = pod
                .spec
                .as_ref()
                .is_some_and(|spec| spec.node_name.is_some());
            placed && claims_of(pod).any(|name| name == key.name)
        })
    }
}

async fn release<K>(api: &Api<K>, mut object: K, finalizer: &str) -> Result<(), kube::Error>
where
    K: Resource + Clone + std::fmt::Debug + serde::Serialize + serde::de::DeserializeOwned,
{
    object.finalizers_mut().retain(|one| one != finalizer);
    match api
        .replace(&object.name_any(), &PostParams::default(), &object)
        .await
    {
        Err(error) if !coracle_client::is_not_found(&error) => Err(error),
        _ => Ok(()),
    }
}
