//! Namespaces that are being deleted: everything in them goes first, then the
//! finalizer (upstream: pkg/controller/namespace/deletion).

use std::sync::Arc;
use std::time::Duration;

use coracle_client::{Cache, Key, Outcome, Queue, key_of};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, DynamicObject, ListParams, PostParams};
use kube::core::discovery::{ApiCapabilities, Scope, verbs};
use kube::{Api, Client, Discovery};

use crate::context::Context;

const FINALIZER: &str = "kubernetes";
/// How long to wait before looking again at what has not gone yet.
const AGAIN: Duration = Duration::from_millis(200);

struct Controller {
    client: Client,
    namespaces: Cache<Namespace>,
}

/// Runs the controller for ever.
pub async fn run(context: Context) {
    let controller = Arc::new(Controller {
        client: context.client("namespace-controller"),
        namespaces: context.caches.of(),
    });
    controller.namespaces.ready().await;
    let queue: Queue<Key> = Queue::default();
    let own = queue.clone();
    controller.namespaces.on_change(move |namespace| {
        if namespace.metadata.deletion_timestamp.is_some() {
            own.add(key_of(&**namespace));
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
        let Some(namespace) = self.namespaces.get("", name) else {
            return Ok(Outcome::Done);
        };
        let finalizers = namespace
            .spec
            .as_ref()
            .and_then(|spec| spec.finalizers.as_ref());
        let held = finalizers
            .is_some_and(|finalizers| finalizers.iter().any(|finalizer| finalizer == FINALIZER));
        if namespace.metadata.deletion_timestamp.is_none() || !held {
            return Ok(Outcome::Done);
        }
        if self.delete_content(name).await? > 0 {
            return Ok(Outcome::Again(AGAIN));
        }
        self.finalize(&namespace).await?;
        Ok(Outcome::Done)
    }

    /// Deletes everything in the namespace; returns how many objects are left.
    async fn delete_content(&self, namespace: &str) -> Result<usize, kube::Error> {
        let discovery = Discovery::new(self.client.clone()).run_aggregated().await?;
        let mut left = 0;
        for group in discovery.groups() {
            for (resource, capabilities) in group.recommended_resources() {
                if !is_deletable(&capabilities) {
                    continue;
                }
                let api: Api<DynamicObject> =
                    Api::namespaced_with(self.client.clone(), namespace, &resource);
                if api
                    .list_metadata(&ListParams::default().limit(1))
                    .await?
                    .items
                    .is_empty()
                {
                    continue;
                }
                api.delete_collection(&DeleteParams::background(), &ListParams::default())
                    .await?;
                left += api.list_metadata(&ListParams::default()).await?.items.len();
            }
        }
        Ok(left)
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
