//! The node as a whole: adopts what runs, keeps a worker per pod, removes what
//! belongs to no pod any more.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::sync::Arc;

use coracle_client::{Caches, Recorder};
use coracle_image::Digest;
use coracle_image::store::ImageStore;
use coracle_runtime::{Cgroups, Runtime};
use k8s_openapi::api::core::v1::Pod;
use kube::{Client, ResourceExt};
use parking_lot::RwLock;

use crate::address::Addresses;
use crate::config::Config;
use crate::eviction::{self, Pressure};
use crate::images::{Pins, Puller};
use crate::kubelet::Kubelet;
use crate::machine::{Machine, Running};
use crate::metrics::{self, Meter, Scrapes};
use crate::node_status;
use crate::shared::Shared;
use crate::simulated::Simulated;
use crate::tokens::Tokens;
use crate::worker::{self, Handle, Message};

/// A node could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The folders of the runtime could not be made.
    #[error("could not start the container runtime")]
    Runtime(#[from] coracle_runtime::RuntimeError),
    /// The image store could not be opened.
    #[error("could not open the image store")]
    Images(#[from] coracle_image::store::StoreError),
    /// A folder could not be made.
    #[error("could not make {path}")]
    Folder {
        /// The folder.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

fn make_folders(config: &Config) -> Result<(), StartError> {
    for path in [&config.pods, &config.volumes, &config.logs, &config.run] {
        std::fs::create_dir_all(path).map_err(|source| StartError::Folder {
            path: path.clone(),
            source,
        })?;
    }
    Ok(())
}

/// Returns whose container it is and the image it was started from.
fn image_of(container: &Running) -> Option<(String, String, Digest)> {
    let label = |key: &str| container.label(key).map(str::to_owned);
    let digest = container.label("image")?.parse().ok()?;
    Some((label("pod")?, label("container")?, digest))
}

/// The workers by pod uid.
pub(crate) type Workers = Arc<RwLock<HashMap<String, (String, String, Handle)>>>;

/// A node of the cluster.
#[derive(Clone)]
pub struct Node {
    shared: Arc<Shared>,
    caches: Caches,
    workers: Workers,
}

impl Node {
    /// Prepares a node; [`Node::run`] makes it work.
    ///
    /// `client` writes as `system:node:<name>`, `cgroups` are those that
    /// containers are put in.
    ///
    /// # Errors
    /// Fails if its folders cannot be made.
    pub fn new(
        config: Config,
        caches: Caches,
        client: Client,
        cgroups: Cgroups,
    ) -> Result<Node, StartError> {
        make_folders(&config)?;
        let runtime = Runtime::new(&config.executable, &config.state, cgroups)?;
        let allocatable = node_status::capacity(&config);
        Node::on(Machine::Linux(runtime), config, allocatable, caches, client)
    }

    /// Prepares a node that has no machine.
    ///
    /// # Errors
    /// Fails if its folders cannot be made.
    pub fn simulated(
        simulated: &Simulated,
        caches: Caches,
        client: Client,
    ) -> Result<Node, StartError> {
        let allocatable = node_status::pretended_capacity(simulated);
        let config = simulated.config();
        make_folders(&config)?;
        Node::on(Machine::Pretended, config, allocatable, caches, client)
    }

    fn on(
        machine: Machine,
        config: Config,
        allocatable: BTreeMap<String, i64>,
        caches: Caches,
        client: Client,
    ) -> Result<Node, StartError> {
        let images = ImageStore::open(&config.images)?;
        let registries = config.registries.clone();
        let shared = Shared {
            puller: Arc::new(Puller::new(images.clone(), &config.cluster, registries)),
            pins: Pins::new(images.clone(), &config.cluster),
            recorder: Recorder::new(client.clone(), "kubelet"),
            machine,
            images,
            addresses: Addresses::new(config.plan.clone()),
            tokens: Tokens::new(client.clone()),
            allocatable,
            pressure: Pressure::default(),
            meter: Meter::default(),
            scrapes: Scrapes::default(),
            nodes: caches.of(),
            pods: caches.of(),
            deployments: caches.of(),
            autoscalers: caches.of(),
            config_maps: caches.of(),
            secrets: caches.of(),
            services: caches.of(),
            endpoint_slices: caches.of(),
            claims: caches.of(),
            persistent_volumes: caches.of(),
            client,
            config,
        };
        Ok(Node {
            shared: Arc::new(shared),
            caches,
            workers: Workers::default(),
        })
    }

    /// Returns the service through which the API server reaches this node.
    pub fn kubelet(&self) -> Kubelet {
        Kubelet::new(self.shared.clone(), self.workers.clone())
    }

    /// Registers the node, adopts what runs and follows the pods, for ever; it
    /// returns only when its own status is no longer kept.
    pub async fn run(self) {
        let status = tokio::spawn(node_status::run(self.shared.clone(), self.caches.of()));
        self.shared.ready().await;
        let pods = self.caches.of::<Pod>();
        pods.ready().await;
        let mut adopted = self.adopt().await;
        let mine: Vec<Arc<Pod>> = pods
            .all()
            .into_iter()
            .filter(|pod| self.is_mine(pod))
            .collect();
        self.hold_addresses(&mine);
        for pod in mine {
            let running = adopted
                .remove(&pod.uid().unwrap_or_default())
                .unwrap_or_default();
            self.start_worker(pod, running);
        }
        self.clear_away(adopted).await;
        let node = self.clone();
        let cache = pods.clone();
        pods.on_change(move |pod| node.on_pod(pod, &cache));
        self.follow_settings();
        tokio::spawn(metrics::keep_meter(
            self.shared.clone(),
            self.workers.clone(),
        ));
        tokio::spawn(metrics::keep_scrapes(self.kubelet()));
        tokio::spawn(eviction::keep(self.shared.clone(), self.workers.clone()));
        // A panic there ends the node visibly.
        if let Err(error) = status.await {
            tracing::error!(%error, "the node's status is no longer kept");
        }
    }

    fn is_mine(&self, pod: &Pod) -> bool {
        pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref())
            == Some(&self.shared.config.name)
    }

    /// Finds running containers by the uid of their pod.
    async fn adopt(&self) -> BTreeMap<String, Vec<Running>> {
        let mut found: BTreeMap<String, Vec<Running>> = BTreeMap::new();
        match self.shared.machine.adopt().await {
            Ok(containers) => {
                self.shared
                    .pins
                    .adopt(containers.iter().filter_map(image_of));
                for container in containers {
                    let pod = container.label("pod").unwrap_or_default().to_owned();
                    found.entry(pod).or_default().push(container);
                }
            }
            Err(error) => tracing::error!(%error, "running containers could not be found"),
        }
        found
    }

    /// Keeps addresses that pods of an earlier engine hold.
    fn hold_addresses(&self, pods: &[Arc<Pod>]) {
        for pod in pods {
            let uid = pod.uid().unwrap_or_default();
            let record = std::fs::read(self.shared.config.pods.join(&uid).join("sandbox.json"));
            let address = record
                .ok()
                .and_then(|text| serde_json::from_slice::<serde_json::Value>(&text).ok())
                .and_then(|record| record["address"].as_str()?.parse::<Ipv4Addr>().ok());
            if let Some(address) =
                address.filter(|address| *address != self.shared.config.address())
            {
                self.shared.addresses.hold(&uid, address);
            }
        }
    }

    /// Ends containers and removes sandboxes that belong to no pod.
    async fn clear_away(&self, orphans: BTreeMap<String, Vec<Running>>) {
        for container in orphans.into_values().flatten() {
            if let Err(error) = container.remove().await {
                tracing::warn!(id = container.id(), %error, "a container without a pod was not removed");
            }
        }
        let workers = self.workers.read().keys().cloned().collect::<Vec<_>>();
        for sandbox in self.shared.machine.sandboxes() {
            if !workers.iter().any(|uid| uid == sandbox.id()) {
                let _ = sandbox.remove().await;
            }
        }
        for entry in std::fs::read_dir(&self.shared.config.pods)
            .into_iter()
            .flatten()
            .flatten()
        {
            let uid = entry.file_name().to_string_lossy().into_owned();
            if !workers.contains(&uid) {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
    }

    fn start_worker(&self, pod: Arc<Pod>, adopted: Vec<Running>) {
        let uid = pod.uid().unwrap_or_default();
        let names = (pod.namespace().unwrap_or_default(), pod.name_any());
        let handle = worker::start(self.shared.clone(), pod, adopted);
        self.workers.write().insert(uid, (names.0, names.1, handle));
    }

    fn on_pod(&self, pod: &Arc<Pod>, cache: &coracle_client::Cache<Pod>) {
        if !self.is_mine(pod) {
            return;
        }
        let uid = pod.uid().unwrap_or_default();
        let current = cache.get(&pod.namespace().unwrap_or_default(), &pod.name_any());
        let exists = current.is_some_and(|current| current.uid() == pod.uid());
        let told = {
            let mut workers = self.workers.write();
            match workers.get(&uid) {
                Some((.., handle)) if exists => {
                    handle.tell.send(Message::Changed(pod.clone())).is_ok()
                }
                Some((.., handle)) => {
                    let _ = handle.tell.send(Message::Gone);
                    workers.remove(&uid);
                    true
                }
                None => !exists,
            }
        };
        if !told {
            // Where it was deleted before it ever ran here, it is only taken away.
            self.start_worker(pod.clone(), Vec::new());
        }
    }

    /// Tells the workers of a namespace when a ConfigMap, Secret or claim changes.
    fn follow_settings(&self) {
        let node = self.clone();
        self.shared
            .config_maps
            .on_change(move |map| node.refresh(&map.namespace().unwrap_or_default()));
        let node = self.clone();
        self.shared
            .secrets
            .on_change(move |secret| node.refresh(&secret.namespace().unwrap_or_default()));
        let node = self.clone();
        self.shared
            .claims
            .on_change(move |claim| node.refresh(&claim.namespace().unwrap_or_default()));
    }

    fn refresh(&self, namespace: &str) {
        for (of, _, handle) in self.workers.read().values() {
            if of == namespace {
                let _ = handle.tell.send(Message::Refresh);
            }
        }
    }
}
