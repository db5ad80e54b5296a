//! Volumes of class `standard`: folders of the cluster's own tree, made when a
//! claim asks for one and removed with their data when it is given back
//! (upstream: sig-storage-lib-external-provisioner, the protocol of an
//! external provisioner).
//!
//! [`Provisioner`] is that provisioner. Who is bound to whom is decided in
//! `controllers`, and on which node in `scheduler`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use coracle_client::storage::{
    self, PROVISIONED_BY, PROVISIONER, SELECTED_NODE, STORAGE_PROVISIONER, claim_ref,
};
use coracle_client::{Cache, Caches, Key, Outcome, Queue, Recorder, Severity, key_of};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use super::tree::Tree;
use super::usage::Watcher;

/// Holds a volume until its data is removed.
const FINALIZER: &str = "external-provisioner.volume.kubernetes.io/finalizer";
/// Where provisioned folders are in the cluster's own tree.
const FOLDER: &str = "/var/local/volumes";
/// How often the use of mounted claims is looked at.
const USAGE_EVERY: Duration = Duration::from_secs(60);

/// Makes and removes the folders behind claims.
pub struct Provisioner {
    client: Client,
    volumes: Cache<PersistentVolume>,
    claims: Cache<PersistentVolumeClaim>,
    classes: Cache<StorageClass>,
    pods: Cache<Pod>,
    recorder: Recorder,
    tree: Tree,
    node: String,
}

impl Provisioner {
    /// Returns the provisioner of node `node`, whose folder of volumes is `folder`.
    ///
    /// `client` writes as `persistent-volume-binder`, as upstream's built-in
    /// provisioners do.
    pub fn new(caches: &Caches, client: Client, folder: PathBuf, node: &str) -> Provisioner {
        Provisioner {
            volumes: caches.of(),
            claims: caches.of(),
            classes: caches.of(),
            pods: caches.of(),
            recorder: Recorder::new(client.clone(), PROVISIONER),
            client,
            tree: Tree::new(folder),
            node: node.into(),
        }
    }

    /// Follows claims and volumes, for ever.
    pub async fn run(self) {
        self.volumes.ready().await;
        self.claims.ready().await;
        self.classes.ready().await;
        self.pods.ready().await;
        let queue: Queue<Key> = Queue::default();
        let own = queue.clone();
        self.volumes
            .on_change(move |volume| own.add(key_of(&**volume)));
        let own = queue.clone();
        self.claims
            .on_change(move |claim| own.add(key_of(&**claim)));
        let provisioner = Arc::new(self);
        let watcher = provisioner.clone();
        let watching = async move {
            let mut usage = Watcher::default();
            loop {
                tokio::time::sleep(USAGE_EVERY).await;
                usage = watcher.look_at_usage(usage).await;
            }
        };
        let working = coracle_client::run("provisioner", queue, 2, move |key| {
            let provisioner = provisioner.clone();
            async move { provisioner.reconcile(&key).await }
        });
        tokio::join!(watching, working);
    }

    async fn reconcile(&self, key: &Key) -> Result<Outcome, kube::Error> {
        if key.namespace.is_empty() {
            if let Some(volume) = self.volumes.of(key) {
                self.reclaim(&volume).await?;
            }
        } else if let Some(claim) = self.claims.of(key) {
            self.provision(&claim).await?;
        }
        Ok(Outcome::Done)
    }

    /// Makes the volume of a claim that asks this node for one.
    async fn provision(&self, claim: &PersistentVolumeClaim) -> Result<(), kube::Error> {
        if !asks_for_volume(claim) {
            return Ok(());
        }
        let Some(class) = self.classes.get("", storage::class_of_claim(claim)) else {
            return Ok(());
        };
        let selected = claim.annotations().get(SELECTED_NODE);
        if class.provisioner != PROVISIONER
            || storage::waits_for_consumer(&class) && selected != Some(&self.node)
        {
            return Ok(());
        }
        let name = volume_name(claim);
        if self.volumes.get("", &name).is_some() {
            return Ok(());
        }
        if let Some(refusal) = refusal(claim) {
            let text = format!(
                "failed to provision volume with StorageClass \"{}\": {refusal}",
                class.name_any()
            );
            self.recorder
                .event(claim, Severity::Warning, "ProvisioningFailed", text);
            return Ok(());
        }
        let path = format!("{FOLDER}/{name}");
        if let Err(error) = self.tree.make_shared(&path) {
            let text = format!(
                "failed to provision volume with StorageClass \"{}\": {error}",
                class.name_any()
            );
            self.recorder
                .event(claim, Severity::Warning, "ProvisioningFailed", text);
            return Err(kube::Error::Service(error.into()));
        }
        let volume = new_volume(claim, &class, &self.node, &path);
        let api: Api<PersistentVolume> = Api::all(self.client.clone());
        match api.create(&PostParams::default(), &volume).await {
            Ok(_) => {
                let text = format!("Successfully provisioned volume {name}");
                self.recorder
                    .event(claim, Severity::Normal, "ProvisioningSucceeded", text);
                Ok(())
            }
            Err(error) if coracle_client::is_conflict(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Removes a volume that is given back, its data first.
    async fn reclaim(&self, volume: &PersistentVolume) -> Result<(), kube::Error> {
        let Some(path) = self.own_path(volume) else {
            return Ok(());
        };
        let phase = storage::phase(volume);
        let deleting = volume.metadata.deletion_timestamp.is_some();
        let spec = volume.spec.as_ref();
        let policy = spec.and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref());
        if phase == "Released" && policy == Some("Delete") {
            if let Err(error) = self.remove_data(path).await {
                self.recorder.event(
                    volume,
                    Severity::Warning,
                    "VolumeFailedDelete",
                    error.to_string(),
                );
                return Err(kube::Error::Service(error.into()));
            }
            self.let_go(volume).await?;
            return if deleting {
                Ok(())
            } else {
                self.delete(volume).await
            };
        }
        // Whoever deletes a volume that is to be retained keeps its data.
        if deleting && phase != "Bound" && policy != Some("Delete") {
            return self.let_go(volume).await;
        }
        Ok(())
    }

    /// Returns the path of a volume that is this node's to empty.
    fn own_path<'a>(&self, volume: &'a PersistentVolume) -> Option<&'a str> {
        let path = &volume.spec.as_ref()?.host_path.as_ref()?.path;
        match volume.annotations().get(PROVISIONED_BY) {
            Some(provisioner) => provisioner == PROVISIONER && is_on(volume, &self.node),
            None => path.starts_with("/tmp/"),
        }
        .then_some(path)
    }

    async fn remove_data(&self, path: &str) -> std::io::Result<()> {
        let (tree, path) = (self.tree.clone(), path.to_owned());
        tokio::task::spawn_blocking(move || tree.remove(&path))
            .await
            .map_err(std::io::Error::other)?
    }

    /// Takes the finalizer off a volume.
    async fn let_go(&self, volume: &PersistentVolume) -> Result<(), kube::Error> {
        if !volume.finalizers().iter().any(|one| one == FINALIZER) {
            return Ok(());
        }
        let mut changed = volume.clone();
        changed.finalizers_mut().retain(|one| one != FINALIZER);
        let api: Api<PersistentVolume> = Api::all(self.client.clone());
        gone_is_fine(
            api.replace(&volume.name_any(), &PostParams::default(), &changed)
                .await
                .map(drop),
        )
    }

    async fn delete(&self, volume: &PersistentVolume) -> Result<(), kube::Error> {
        let api: Api<PersistentVolume> = Api::all(self.client.clone());
        let params = DeleteParams::default().preconditions(Preconditions {
            uid: volume.uid(),
            resource_version: None,
        });
        gone_is_fine(api.delete(&volume.name_any(), &params).await.map(drop))
    }

    /// Tells of mounted claims whose data has outgrown them.
    async fn look_at_usage(&self, mut usage: Watcher) -> Watcher {
        let mounted = self.mounted();
        let tree = self.tree.clone();
        let measured = tokio::task::spawn_blocking(move || {
            let exceeded = usage.measure(&tree, mounted);
            (usage, exceeded)
        });
        let Ok((usage, exceeded)) = measured.await else {
            return Watcher::default();
        };
        for (key, text) in exceeded {
            if let Some(claim) = self.claims.of(&key) {
                self.recorder
                    .event(&*claim, Severity::Warning, "VolumeUsageExceeded", text);
            }
        }
        usage
    }

    /// Returns the path and size of each claim that a pod of this node uses.
    fn mounted(&self) -> BTreeMap<Key, (String, i64)> {
        let mut mounted = BTreeMap::new();
        for volume in self.volumes.all() {
            let (Some(reference), Some(size)) = (claim_ref(&volume), storage::capacity(&volume))
            else {
                continue;
            };
            let Some(path) = self.own_path(&volume) else {
                continue;
            };
            let namespace = reference.namespace.clone().unwrap_or_default();
            let name = reference.name.clone().unwrap_or_default();
            if self.is_used(&namespace, &name) {
                mounted.insert(Key::new(namespace, name), (path.to_owned(), size.value()));
            }
        }
        mounted
    }

    fn is_used(&self, namespace: &str, claim: &str) -> bool {
        self.pods.within(namespace).iter().any(|pod| {
            let spec = pod.spec.as_ref();
            spec.is_some_and(|spec| {
                spec.node_name.as_deref() == Some(&self.node)
                    && spec.volumes.iter().flatten().any(|volume| {
                        let source = volume.persistent_volume_claim.as_ref();
                        source.is_some_and(|source| source.claim_name == claim)
                    })
            })
        })
    }
}

fn gone_is_fine(result: Result<(), kube::Error>) -> Result<(), kube::Error> {
    match result {
        Err(error) if !coracle_client::is_not_found(&error) => Err(error),
        _ => Ok(()),
    }
}

fn volume_name(claim: &PersistentVolumeClaim) -> String {
    format!("pvc-{}", claim.uid().unwrap_or_default())
}

/// Returns whether a claim waits for a volume of this provisioner.
fn asks_for_volume(claim: &PersistentVolumeClaim) -> bool {
    storage::volume_name(claim).is_none()
        && claim.metadata.deletion_timestamp.is_none()
        && claim
            .annotations()
            .get(STORAGE_PROVISIONER)
            .map(String::as_str)
            == Some(PROVISIONER)
}

/// Returns why a folder cannot be what the claim asks for.
fn refusal(claim: &PersistentVolumeClaim) -> Option<&'static str> {
    let spec = claim.spec.as_ref()?;
    if spec.selector.is_some() {
        Some("claim.Spec.Selector is not supported")
    } else if spec.volume_mode.as_deref() == Some("Block") {
        Some("block volumes are not supported")
    } else if spec.data_source.is_some() || spec.data_source_ref.is_some() {
        Some("claims with a data source are not supported")
    } else {
        None
    }
}

/// Returns whether a provisioned volume is a folder of node `node`.
fn is_on(volume: &PersistentVolume, node: &str) -> bool {
    let required = volume
        .spec
        .as_ref()
        .and_then(|spec| spec.node_affinity.as_ref()?.required.as_ref());
    required.is_some_and(|required| {
        required.node_selector_terms.iter().any(|term| {
            term.match_expressions.iter().flatten().any(|one| {
                let values = one.values.as_deref().unwrap_or_default();
                one.key == HOSTNAME && values.iter().any(|value| value == node)
            })
        })
    })
}

const HOSTNAME: &str = "kubernetes.io/hostname";

fn new_volume(
    claim: &PersistentVolumeClaim,
    class: &StorageClass,
    node: &str,
    path: &str,
) -> PersistentVolume {
    let spec = claim.spec.clone().unwrap_or_default();
    let size = spec
        .resources
        .and_then(|resources| resources.requests?.get("storage").cloned());
    let volume: Value = json!({
        "metadata": {
            "name": volume_name(claim),
            "annotations": {PROVISIONED_BY: PROVISIONER},
            "finalizers": [FINALIZER],
        },
        "spec": {
            "capacity": {"storage": size},
            "accessModes": spec.access_modes,
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": claim.namespace(),
                "name": claim.name_any(),
                "uid": claim.uid(),
                "resourceVersion": claim.resource_version(),
            },
            "hostPath": {"path": path, "type": "DirectoryOrCreate"},
            "mountOptions": class.mount_options,
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{
                "matchExpressions": [{"key": HOSTNAME, "operator": "In", "values": [node]}],
            }]}},
            "persistentVolumeReclaimPolicy": class.reclaim_policy.as_deref().unwrap_or("Delete"),
            "storageClassName": class.name_any(),
            "volumeMode": "Filesystem",
        },
    });
    serde_json::from_value(volume).expect("it is written as a volume")
}
