//! What templates may know of a cluster: `.Capabilities`, and `lookup`.

use coracle_goyaml as yaml;
use coracle_helm::{Capabilities, KubeVersion, Level, Lookup};
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams};
use kube::{Api, Client, Discovery};
use serde_json::{Value, json};

use crate::ReleaseError;
use crate::error::api;

/// Asks a cluster what templates may know of it.
///
/// # Errors
/// Fails if the cluster does not answer.
pub async fn capabilities(client: &Client) -> Result<Capabilities, ReleaseError> {
    let version = client
        .apiserver_version()
        .await
        .map_err(|error| ReleaseError::Unreachable(Box::new(error)))?;
    let discovery = Discovery::new(client.clone())
        .run_aggregated()
        .await
        .map_err(api("ask what the cluster serves"))?;
    of(&version.git_version, &discovery)
}

/// Returns what templates may know of a cluster with this version and kinds.
pub(crate) fn of(version: &str, discovery: &Discovery) -> Result<Capabilities, ReleaseError> {
    let mut capabilities = Capabilities::of(Level::default());
    capabilities.kube_version = KubeVersion::parse(version).map_err(ReleaseError::Invalid)?;
    capabilities.api_versions = api_versions(discovery);
    Ok(capabilities)
}

fn api_versions(discovery: &Discovery) -> Vec<String> {
    let mut versions: Vec<String> = Vec::new();
    for group in discovery.groups() {
        for version in group.versions() {
            let prefix = if group.name().is_empty() {
                version.to_owned()
            } else {
                format!("{}/{version}", group.name())
            };
            versions.push(prefix.clone());
            let kinds = group.versioned_resources(version);
            versions.extend(
                kinds
                    .into_iter()
                    .map(|(resource, _)| format!("{prefix}/{}", resource.kind)),
            );
        }
    }
    versions
}

/// Answers `lookup` from a cluster, for a renderer on another thread.
pub struct ClusterLookup {
    client: Client,
    runtime: tokio::runtime::Handle,
}

impl ClusterLookup {
    /// Returns a lookup that asks through `client`; it blocks the thread it is
    /// used on, which must not be one of the runtime's own.
    ///
    /// # Panics
    /// Panics outside a runtime.
    pub fn new(client: Client) -> ClusterLookup {
        ClusterLookup {
            client,
            runtime: tokio::runtime::Handle::current(),
        }
    }

    async fn ask(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Value, kube::Error> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let wanted = GroupVersionKind::gvk(group, version, kind);
        let (resource, _): (ApiResource, _) =
            match kube::discovery::pinned_kind(&self.client, &wanted).await {
                Ok(found) => found,
                Err(_) => return Ok(json!({})),
            };
        let objects: Api<DynamicObject> = if namespace.is_empty() {
            Api::all_with(self.client.clone(), &resource)
        } else {
            Api::namespaced_with(self.client.clone(), namespace, &resource)
        };
        if name.is_empty() {
            let list = objects.list(&ListParams::default()).await?;
            return serde_json::to_value(list).map_err(kube::Error::SerdeError);
        }
        match objects.get_opt(name).await? {
            Some(object) => serde_json::to_value(object).map_err(kube::Error::SerdeError),
            None => Ok(json!({})),
        }
    }
}

impl Lookup for ClusterLookup {
    fn lookup(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<yaml::Value, String> {
        let found = self
            .runtime
            .block_on(self.ask(api_version, kind, namespace, name));
        let found = found.map_err(|error| error.to_string())?;
        // Through the text: integers stay integers.
        yaml::from_slice(found.to_string().as_bytes()).map_err(|error| error.to_string())
    }
}
