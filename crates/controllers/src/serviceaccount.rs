//! What every namespace gets: the ServiceAccount `default` and a copy of the
//! authority's certificate (upstream: pkg/controller/serviceaccount,
//! pkg/controller/certificates/rootcacertpublisher).

use std::sync::Arc;

use coracle_client::{Cache, Key, Outcome, Queue, is_conflict, key_of};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ServiceAccount};
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client, ResourceExt};

use crate::context::Context;

const ROOT_CA: &str = "kube-root-ca.crt";
const DESCRIPTION: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.";

struct Controller {
    accounts_client: Client,
    publisher_client: Client,
    root_ca: Arc<str>,
    namespaces: Cache<Namespace>,
    accounts: Cache<ServiceAccount>,
    maps: Cache<ConfigMap>,
}

/// Runs the controller for ever.
pub async fn run(context: Context) {
    let controller = Arc::new(Controller {
        accounts_client: context.client("service-account-controller"),
        publisher_client: context.client("root-ca-cert-publisher"),
        root_ca: context.root_ca.clone(),
        namespaces: context.caches.of(),
        accounts: context.caches.of(),
        maps: context.caches.of(),
    });
    controller.namespaces.ready().await;
    controller.accounts.ready().await;
    controller.maps.ready().await;
    let queue: Queue<Key> = Queue::default();
    let own = queue.clone();
    controller
        .namespaces
        .on_change(move |namespace| own.add(key_of(&**namespace)));
    let own = queue.clone();
    controller.accounts.on_change(move |account| {
        if account.name_any() == "default" {
            own.add(Key::new("", account.namespace().unwrap_or_default()));
        }
    });
    let own = queue.clone();
    controller.maps.on_change(move |map| {
        if map.name_any() == ROOT_CA {
            own.add(Key::new("", map.namespace().unwrap_or_default()));
        }
    });
    coracle_client::run("serviceaccount", queue, 2, move |key| {
        let controller = controller.clone();
        async move { controller.reconcile(&key.name).await }
    })
    .await;
}

impl Controller {
    async fn reconcile(&self, namespace: &str) -> Result<Outcome, kube::Error> {
        let Some(object) = self.namespaces.get("", namespace) else {
            return Ok(Outcome::Done);
        };
        if object.metadata.deletion_timestamp.is_some() {
            return Ok(Outcome::Done);
        }
        if self.accounts.get(namespace, "default").is_none() {
            self.create_account(namespace).await?;
        }
        self.publish(namespace).await?;
        Ok(Outcome::Done)
    }

    async fn create_account(&self, namespace: &str) -> Result<(), kube::Error> {
        let account = ServiceAccount {
            metadata: ObjectMeta {
                name: Some("default".into()),
                ..Default::default()
            },
            ..Default::default()
        };
        let api: Api<ServiceAccount> = Api::namespaced(self.accounts_client.clone(), namespace);
        unless_there(api.create(&PostParams::default(), &account).await)
    }

    async fn publish(&self, namespace: &str) -> Result<(), kube::Error> {
        let data = [("ca.crt".to_owned(), self.root_ca.to_string())].into();
        let api: Api<ConfigMap> = Api::namespaced(self.publisher_client.clone(), namespace);
        match self.maps.get(namespace, ROOT_CA) {
            Some(map) if map.data.as_ref() == Some(&data) => Ok(()),
            Some(map) => {
                let changed = ConfigMap {
                    data: Some(data),
                    ..(*map).clone()
                };
                api.replace(ROOT_CA, &PostParams::default(), &changed)
                    .await
                    .map(drop)
            }
            None => {
                let annotations = [(
                    "kubernetes.io/description".to_owned(),
                    DESCRIPTION.to_owned(),
                )];
                let map = ConfigMap {
                    metadata: ObjectMeta {
                        name: Some(ROOT_CA.into()),
                        annotations: Some(annotations.into()),
                        ..Default::default()
                    },
                    data: Some(data),
                    ..Default::default()
                };
                unless_there(api.create(&PostParams::default(), &map).await)
            }
        }
    }
}

fn unless_there<T>(result: Result<T, kube::Error>) -> Result<(), kube::Error> {
    match result {
        Err(error) if !is_conflict(&error) => Err(error),
        _ => Ok(()),
    }
}
