//! Namespaces that are being deleted: everything in them goes first, then the
//! finalizer (upstream: pkg/controller/namespace/deletion).

mod remaining;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use coracle_client::{Cache, Key, Outcome, Queue, key_of};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{DeleteParams, DynamicObject, ListParams, PostParams};
use kube::core::discovery::{ApiCapabilities, ApiResource, Scope, verbs};
use kube::{Api, Client, Discovery, ResourceExt};
use parking_lot::Mutex;

use crate::context::Context;
use remaining::Remaining;

const FINALIZER: &str = "kubernetes";
/// How long to wait before looking again at what has not gone yet; it doubles
/// with every look.
const AGAIN_MIN: Duration = Duration::from_millis(100);
const AGAIN_MAX: Duration = Duration::from_secs(5);

struct Controller {
    client: Client,
    namespaces: Cache<Namespace>,
    /// How often each namespace was looked at that is not empty yet.
    looks: Mutex<HashMap<String, u32>>,
}

/// Runs the controller for ever.
pub async fn run(context: Context) {
    let controller = Arc::new(Controller {
        client: context.client("namespace-controller"),
        namespaces: context.caches.of(),
        looks: Mutex::default(),
    });
    controller.namespaces.ready().await;
    let queue: Queue<Key> = Queue::default();
    let own = queue.clone();
    controller.namespaces.on_change(move |namespace| {
        if namespace.metadata.deletion_timestamp.is_some() {
            own.add(key_of(&**namespace));
        }
    });
    // Pods take their time, and everything else waits for them.
    let (own, namespaces) = (queue.clone(), controller.namespaces.clone());
    let pods: Cache<Pod> = context.caches.of();
    let others = pods.clone();
    pods.on_change(move |pod| {
        let name = pod.namespace().unwrap_or_default();
        let ends = namespaces
            .get("", &name)
            .is_some_and(|namespace| namespace.metadata.deletion_timestamp.is_some());
        if ends && others.of(&key_of(&**pod)).is_none() {
            own.add(Key::new("", name));
        }
    });
    coracle_client::run("namespace", queue, 2, move |key| {
        let controller = controller.clone();
        async move { controller.reconcile(&key.name).await }
    })
    .await;
}

fn is_deletable(capabilities: &ApiCapabilities) -> bool {
    capabilities.scope == Scope::Namespaced
        && capabilities.supports_operation(verbs::LIST)
        && capabilities.supports_operation(verbs::DELETE_COLLECTION)
}

impl Controller {
    async fn reconcile(&self, name: &str) -> Result<Outcome, kube::Error> {
        let held = self.namespaces.get("", name).filter(|namespace| {
            let spec = namespace.spec.as_ref();
            let finalizers = spec.and_then(|spec| spec.finalizers.as_ref());
            namespace.metadata.deletion_timestamp.is_some()
                && finalizers.is_some_and(|all| all.iter().any(|one| one == FINALIZER))
        });
        let Some(namespace) = held else {
            self.looks.lock().remove(name);
            return Ok(Outcome::Done);
        };
        let remaining = self.delete_content(name).await?;
        if remaining.is_empty() {
            self.finalize(&namespace).await?;
            return Ok(Outcome::Done);
        }
        self.tell(&namespace, &remaining).await?;
        let look = {
            let mut looks = self.looks.lock();
            let look = looks.entry(name.to_owned()).or_default();
            *look += 1;
            *look
        };
        let delay = AGAIN_MIN.saturating_mul(1 << look.min(10)).min(AGAIN_MAX);
        Ok(Outcome::Again(delay))
    }

    /// Deletes everything in the namespace, its pods first; returns what is left.
    async fn delete_content(&self, namespace: &str) -> Result<Remaining, kube::Error> {
        let discovery = Discovery::new(self.client.clone()).run_aggregated().await?;
        let mut resources: Vec<ApiResource> = discovery
            .groups()
            .flat_map(|group| group.recommended_resources())
            .filter(|(_, capabilities)| is_deletable(capabilities))
            .map(|(resource, _)| resource)
            .collect();
        let is_pods =
            |resource: &ApiResource| resource.group.is_empty() && resource.plural == "pods";
        resources.sort_by_key(|resource| !is_pods(resource));
        let mut remaining = Remaining::default();
        for resource in resources {
            self.delete_all(namespace, &resource, &mut remaining)
                .await?;
            if is_pods(&resource) && !remaining.is_empty() {
                break;
            }
        }
        Ok(remaining)
    }

    async fn delete_all(
        &self,
        namespace: &str,
        resource: &ApiResource,
        remaining: &mut Remaining,
    ) -> Result<(), kube::Error> {
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), namespace, resource);
        let first = api.list_metadata(&ListParams::default().limit(1)).await?;
        if first.items.is_empty() {
            return Ok(());
        }
        api.delete_collection(&DeleteParams::background(), &ListParams::default())
            .await?;
        let left = api.list_metadata(&ListParams::default()).await?.items;
        remaining.count(resource, left.iter().map(|object| &object.metadata));
        Ok(())
    }

    /// Says in the namespace's status what is left.
    async fn tell(&self, namespace: &Namespace, remaining: &Remaining) -> Result<(), kube::Error> {
        let mut changed = namespace.clone();
        let conditions = &mut changed.status.get_or_insert_default().conditions;
        remaining.tell(conditions.get_or_insert_default());
        if changed == *namespace {
            return Ok(());
        }
        let api: Api<Namespace> = Api::all(self.client.clone());
        let name = namespace.name_any();
        match api
            .replace_status(&name, &PostParams::default(), &changed)
            .await
        {
            Err(error) if !coracle_client::is_not_found(&error) => Err(error),
            _ => Ok(()),
        }
    }

    async fn finalize(&self, namespace: &Namespace) -> Result<(), kube::Error> {
        let mut changed = namespace.clone();
        if let Some(finalizers) = changed
            .spec
            .as_mut()
            .and_then(|spec| spec.finalizers.as_mut())
        {
            finalizers.retain(|finalizer| finalizer != FINALIZER);
        }
        let api: Api<Namespace> = Api::all(self.client.clone());
        let name = namespace.metadata.name.clone().unwrap_or_default();
        match api
            .replace_subresource("finalize", &name, &PostParams::default(), &changed)
            .await
        {
            Err(error) if !coracle_client::is_not_found(&error) => Err(error),
            _ => Ok(()),
        }
    }
}
