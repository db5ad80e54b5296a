//! Charts on disk and what a cluster knows, handed to the renderer, which does
//! no I/O of its own.

use std::path::{Path, PathBuf};

use anyhow::Context;
use coracle_goyaml as yaml;
use coracle_helm::{
    Capabilities, Chart, KubeVersion, Level, Lookup, Release, Rendered, Values, render,
};
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::folder::Folder;

/// Loads a chart from a folder or an archive.
pub fn load(path: &Path) -> anyhow::Result<Chart> {
    if path.is_dir() {
        let files = Folder::read(path)?.files;
        return Chart::load(files).with_context(|| path.display().to_string());
    }
    let bytes =
        std::fs::read(path).with_context(|| format!("could not read chart {}", path.display()))?;
    Chart::load_archive(&bytes).with_context(|| path.display().to_string())
}

/// Gathers `-f` and `--set`.
pub fn values(files: &[PathBuf], sets: &[String]) -> Result<Values, Failure> {
    let mut values = Values::default();
    for path in files {
        let text = std::fs::read(path)
            .with_context(|| format!("could not read values {}", path.display()))?;
        values.add_file(&path.display().to_string(), &text)?;
    }
    for set in sets {
        values.set(set)?;
    }
    Ok(values)
}

/// Renders a chart; a refusal comes with place and remedy.
pub fn rendered(
    chart: &Chart,
    values: &Values,
    release: &Release,
    capabilities: &Capabilities,
    lookup: &dyn Lookup,
) -> Result<Rendered, Failure> {
    render(chart, values, release, capabilities, lookup)
        .map_err(|error| Failure::from(anyhow::anyhow!("{}", error.report().trim_end())))
}

/// Returns the record of a chart as Helm keeps it.
pub fn record(chart: &Chart) -> Value {
    coracle_release::chart_to_record(chart)
}

/// Asks a cluster what templates may know of it.
pub async fn capabilities(client: &Client) -> Result<Capabilities, Failure> {
    let mut capabilities = Capabilities::of(Level::default());
    let version = client.apiserver_version().await?;
    capabilities.kube_version =
        KubeVersion::parse(&version.git_version).map_err(|message| anyhow::anyhow!("{message}"))?;
    let groups = kube::Discovery::new(client.clone())
        .run_aggregated()
        .await?;
    let mut versions: Vec<String> = Vec::new();
    for group in groups.groups() {
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
    capabilities.api_versions = versions;
    Ok(capabilities)
}

/// Answers `lookup` from a cluster, for a renderer on another thread.
pub struct ClusterLookup {
    client: Client,
    runtime: tokio::runtime::Handle,
}

impl ClusterLookup {
    /// Returns a lookup that asks through `client`; it blocks the thread it is
    /// used on, which must not be one of the runtime's own.
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
        let text = serde_json::to_vec(&found.map_err(|error| error.to_string())?)
            .map_err(|error| error.to_string())?;
        // JSON is YAML.
        yaml::from_slice(&text).map_err(|error| error.to_string())
    }
}
