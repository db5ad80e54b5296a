//! Which images a release's pods run in an older version than the store has.

use std::collections::{BTreeMap, BTreeSet};

use coracle_image::reference::Reference;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};

use super::deploy::Deployed;
use crate::failure::Failure;

/// Returns the names of the images, among `ids`, that a pod of the newest
/// template runs in another version.
///
/// Workloads whose controllers have not caught up yet are passed over: their
/// next pods take what the store has now.
pub async fn images(
    client: &Client,
    deployed: &Deployed,
    ids: &BTreeMap<String, String>,
) -> Result<BTreeSet<String>, Failure> {
    let mut stale = BTreeSet::new();
    if ids.is_empty() {
        return Ok(stale);
    }
    for workload in deployed.workloads() {
        let live = deployed.live(client, workload).await?;
        if live["status"]["observedGeneration"] != live["metadata"]["generation"] {
            continue;
        }
        let namespace = deployed.namespace_of(workload);
        let pods = Api::<Pod>::namespaced(client.clone(), namespace)
            .list(&ListParams::default().labels(&deployed.selector(workload)))
            .await?;
        let newest = newest_generation(&pods.items);
        for pod in newest {
            let statuses = pod.status.iter().flat_map(|status| {
                status
                    .container_statuses
                    .iter()
                    .flatten()
                    .chain(status.init_container_statuses.iter().flatten())
            });
            stale.extend(statuses.filter_map(|status| outdated(pod, status, ids)));
        }
    }
    Ok(stale)
}

/// Returns the living pods that were made from the newest template.
pub fn newest_generation(pods: &[Pod]) -> Vec<&Pod> {
    let hash = |pod: &Pod| {
        ["pod-template-hash", "controller-revision-hash"]
            .iter()
            .find_map(|label| pod.labels().get(*label).cloned())
    };
    let living = || {
        pods.iter()
            .filter(|pod| pod.metadata.deletion_timestamp.is_none())
    };
    let newest = living().max_by_key(|pod| pod.metadata.creation_timestamp.clone());
    let Some(newest) = newest else {
        return Vec::new();
    };
    living().filter(|pod| hash(pod) == hash(newest)).collect()
}

/// Returns the name of the container's image if the store has another one under it.
fn outdated(pod: &Pod, status: &ContainerStatus, ids: &BTreeMap<String, String>) -> Option<String> {
    let spec = serde_json::to_value(&pod.spec).ok()?;
    let image = ["containers", "initContainers"]
        .iter()
        .flat_map(|list| spec[list].as_array().into_iter().flatten())
        .find(|container| container["name"] == status.name.as_str())?["image"]
        .as_str()?
        .to_owned();
    let name = Reference::parse(&image).ok()?.familiar();
    let id = ids.get(&name)?;
    (!status.image_id.is_empty() && !status.image_id.ends_with(id.as_str())).then_some(name)
}
