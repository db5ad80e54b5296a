//! What the workers of all pods share.

use std::collections::BTreeMap;
use std::sync::Arc;

use coracle_client::{Cache, Recorder};
use coracle_image::store::ImageStore;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{
    ConfigMap, Node, PersistentVolume, PersistentVolumeClaim, Pod, Secret, Service,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Client;

use crate::address::Addresses;
use crate::config::Config;
use crate::env::Lookup;
use crate::eviction::Pressure;
use crate::images::{Pins, Puller};
use crate::machine::Machine;
use crate::metrics::{Meter, Scrapes};
use crate::tokens::Tokens;

/// What the workers of all pods share.
pub struct Shared {
    /// What the node was told.
    pub config: Config,
    /// Writes as the node.
    pub client: Client,
    /// Writes events as `kubelet`.
    pub recorder: Recorder,
    /// Runs containers.
    pub machine: Machine,
    /// Finds images.
    pub images: ImageStore,
    /// Keeps images that are in use.
    pub pins: Pins,
    /// Pulls images.
    pub puller: Arc<Puller>,
    /// Pod addresses.
    pub addresses: Addresses,
    /// Pod tokens.
    pub tokens: Tokens,
    /// What the node can give, in units of a thousandth.
    pub allocatable: BTreeMap<String, i64>,
    /// What the node is short of.
    pub pressure: Pressure,
    /// What containers and the machine use.
    pub meter: Meter,
    /// What pods tell about themselves.
    pub scrapes: Scrapes,
    /// The cache of nodes.
    pub nodes: Cache<Node>,
    /// The cache of pods.
    pub pods: Cache<Pod>,
    /// The cache of Deployments.
    pub deployments: Cache<Deployment>,
    /// The cache of autoscalers.
    pub autoscalers: Cache<HorizontalPodAutoscaler>,
    /// The cache of ConfigMaps.
    pub config_maps: Cache<ConfigMap>,
    /// The cache of Secrets.
    pub secrets: Cache<Secret>,
    /// The cache of Services.
    pub services: Cache<Service>,
    /// The cache of EndpointSlices.
    pub endpoint_slices: Cache<EndpointSlice>,
    /// The cache of claims.
    pub claims: Cache<PersistentVolumeClaim>,
    /// The cache of persistent volumes.
    pub persistent_volumes: Cache<PersistentVolume>,
}

impl Shared {
    /// Waits until every cache is filled.
    pub async fn ready(&self) {
        self.config_maps.ready().await;
        self.secrets.ready().await;
        self.services.ready().await;
        self.endpoint_slices.ready().await;
        self.claims.ready().await;
        self.persistent_volumes.ready().await;
    }

    /// Returns what an environment in `namespace` may refer to.
    pub fn lookup<'a>(&'a self, namespace: &'a str) -> impl Lookup + 'a {
        InNamespace {
            shared: self,
            namespace,
        }
    }
}

struct InNamespace<'a> {
    shared: &'a Shared,
    namespace: &'a str,
}

impl Lookup for InNamespace<'_> {
    fn config_map(&self, name: &str) -> Option<ConfigMap> {
        self.shared
            .config_maps
            .get(self.namespace, name)
            .map(|map| (*map).clone())
    }

    fn secret(&self, name: &str) -> Option<Secret> {
        self.shared
            .secrets
            .get(self.namespace, name)
            .map(|secret| (*secret).clone())
    }

    fn services(&self, namespace: &str) -> Vec<Service> {
        self.shared
            .services
            .within(namespace)
            .into_iter()
            .map(|service| (*service).clone())
            .collect()
    }
}
