//! Phases Configuration and Deployment: render, compare with the newest
//! revision, apply where something differs.

use std::sync::Arc;

use coracle_helm::{File, Release, Rendered, print};
use coracle_release::{Hook, Object, Record, Request, Status, latest, parse, values_to_record};
use kube::Client;
use serde_json::Value;

use super::super::progress::Progress;
use super::super::release::failure_of;
use super::current;
use super::push::{Pushed, rewrite};
use crate::chart;
use crate::facts::Cluster;
use crate::failure::Failure;
use crate::look::{self, Look};
use crate::project::Project;

/// What is to be deployed.
pub struct Plan {
    /// Name of the release.
    pub release: String,
    /// Its namespace.
    pub namespace: String,
    /// A hash of chart and values.
    pub inputs: String,
    record: Value,
    config: Value,
    hooks: Vec<Hook>,
    definitions: Vec<File>,
    manifest: String,
    notes: String,
    last: Option<Record>,
    look: Option<Look>,
}

/// What stands in the cluster now.
pub struct Deployed {
    /// Whether a new revision was made.
    pub is_new: bool,
    /// The objects of the release.
    pub objects: Vec<Object>,
    /// What NOTES.txt came to.
    pub notes: String,
    /// The release's namespace.
    pub namespace: String,
}

impl Plan {
    /// Renders the project's chart for the cluster.
    pub async fn make(
        client: &Client,
        project: &Project,
        pushed: &Pushed,
        progress: &Progress,
    ) -> Result<Plan, Failure> {
        let step = progress.step("Configuration");
        let made = Plan::render(client, project, pushed).await;
        step.finish(made, |(_, objects)| format!("{objects} objects rendered"))
            .map(|(plan, _)| plan)
    }

    async fn render(
        client: &Client,
        project: &Project,
        pushed: &Pushed,
    ) -> Result<(Plan, usize), Failure> {
        let path = project.path(&project.chart);
        let chart = chart::load(&path)?;
        let files: Vec<_> = project
            .values
            .iter()
            .map(|path| project.path(path))
            .collect();
        let values = chart::values(&files, &project.set)?;
        let last = latest(client, &project.namespace, &project.release).await?;
        let release = Release {
            name: project.release.clone(),
            namespace: project.namespace.clone(),
            revision: last
                .as_ref()
                .map_or(1, |last| last.version + 1)
                .unsigned_abs(),
            is_install: last.is_none(),
        };
        let capabilities = coracle_release::capabilities(client).await?;
        let lookup = coracle_release::ClusterLookup::new(client.clone());
        let record = coracle_release::chart_to_record(&chart);
        let config = values_to_record(&values);
        let inputs = inputs(project, &path, &files, pushed)?;
        let look = Look {
            chart,
            values,
            release,
            capabilities,
            lookup: Arc::new(lookup),
            create_namespace: true,
        };
        // The renderer blocks while it asks the cluster, so it has a thread of its own.
        let rendering = tokio::task::spawn_blocking(move || (look.rendered(), look));
        let (rendered, look) = rendering.await?;
        let rendered: Rendered = rendered?;
        let plan = Plan {
            release: project.release.clone(),
            namespace: project.namespace.clone(),
            inputs,
            record,
            config,
            hooks: hooks(&rendered, pushed),
            definitions: rendered.crds.clone(),
            manifest: rewrite(&print::manifest(&rendered, false), pushed),
            notes: rendered.notes.clone(),
            last,
            look: Some(look),
        };
        Ok((plan, rendered.manifests.len()))
    }

    /// Deploys what was rendered, unless it stands there already; tells first
    /// what would go wrong.
    pub async fn carry_out(
        mut self,
        cluster: &Cluster,
        progress: &Progress,
    ) -> Result<Deployed, Failure> {
        let client = &cluster.client;
        let stands = self.last.as_ref().is_some_and(|last| {
            last.info.status == Status::Deployed && last.manifest == self.manifest
        });
        if !stands && let Some(look) = self.look.take() {
            look::tell(look, cluster, progress.is_quiet()).await?;
        }
        let step = progress.step("Deployment");
        let difference = match self.difference(client).await {
            Ok(None) => {
                let last = self.last.expect("without a revision there is a difference");
                step.skipped(&format!("revision {} stands", last.version));
                return Ok(Deployed {
                    is_new: false,
                    objects: parse(&last.manifest)?,
                    notes: self.notes,
                    namespace: self.namespace,
                });
            }
            Ok(Some(difference)) => difference,
            Err(failure) => {
                step.failed();
                return Err(failure);
            }
        };
        step.say(&difference);
        let deployed = self.deploy(client).await;
        let (_, objects) = step.finish(deployed, |(version, _)| {
            format!("release {} revision {version}: {difference}", self.release)
        })?;
        Ok(Deployed {
            is_new: true,
            objects,
            notes: self.notes,
            namespace: self.namespace,
        })
    }

    async fn deploy(&self, client: &Client) -> Result<(i64, Vec<Object>), Failure> {
        let request = Request {
            name: self.release.clone(),
            namespace: self.namespace.clone(),
            chart: self.record.clone(),
            config: self.config.clone(),
            manifest: self.manifest.clone(),
            hooks: self.hooks.clone(),
            notes: self.notes.clone(),
            definitions: self.definitions.clone(),
        };
        let deployed = coracle_release::deploy(client, &request).await;
        let deployed = deployed.map_err(|error| failure_of(&error))?;
        current::remember(client, self, deployed.version).await?;
        Ok((deployed.version, deployed.objects))
    }

    /// Returns why the newest revision is not what is wanted; `None` if it is.
    async fn difference(&self, client: &Client) -> Result<Option<String>, Failure> {
        let Some(last) = &self.last else {
            return Ok(Some("installed".into()));
        };
        if last.info.status != Status::Deployed {
            let status = last.info.status.word();
            return Ok(Some(format!("revision {} is {status}", last.version)));
        }
        if current::inputs(client, self, last.version)
            .await?
            .as_deref()
            != Some(&self.inputs)
        {
            return Ok(Some("chart or values changed".into()));
        }
        let objects = parse(&last.manifest)?;
        let changed = current::changed(client, self, &objects).await?;
        Ok(changed.map(|object| format!("{} is not as deployed", object.title())))
    }
}

/// The hooks, with the pushed images in place of the local ones.
fn hooks(rendered: &Rendered, pushed: &Pushed) -> Vec<Hook> {
    let hooks = rendered.hooks.iter().map(Hook::of);
    hooks
        .map(|hook| Hook {
            manifest: rewrite(&hook.manifest, pushed),
            ..hook
        })
        .collect()
}

impl Deployed {
    /// Returns the objects that own pods and are waited for.
    pub fn workloads(&self) -> impl Iterator<Item = &Object> {
        self.objects
            .iter()
            .filter(|object| matches!(object.kind(), "Deployment" | "StatefulSet" | "DaemonSet"))
    }

    /// Returns the namespace of an object.
    pub fn namespace_of<'a>(&'a self, object: &'a Object) -> &'a str {
        object.own_namespace().unwrap_or(&self.namespace)
    }

    /// Returns the labels of a workload's pods as a selector.
    pub fn selector(&self, object: &Object) -> String {
        let labels = object.value["spec"]["selector"]["matchLabels"].as_object();
        let pairs = labels
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)));
        pairs.collect::<Vec<_>>().join(",")
    }

    /// Returns a workload as it stands in the cluster.
    pub async fn live(&self, client: &Client, object: &Object) -> Result<Value, Failure> {
        let plural = format!("{}s", object.kind().to_lowercase());
        let path = format!(
            "/apis/apps/v1/namespaces/{}/{plural}/{}",
            self.namespace_of(object),
            object.name()
        );
        let request = http::Request::get(path).body(Vec::new())?;
        Ok(client.request(request).await?)
    }
}

/// Hashes what the release is made of.
fn inputs(
    project: &Project,
    chart: &std::path::Path,
    values: &[std::path::PathBuf],
    pushed: &Pushed,
) -> Result<String, Failure> {
    let mut parts = Vec::new();
    current::files(chart, &mut parts)?;
    for file in values {
        parts.push(("values".into(), std::fs::read(file)?));
    }
    for set in &project.set {
        parts.push(("set".into(), set.clone().into_bytes()));
    }
    for image in pushed.values() {
        parts.push(("image".into(), image.clone().into_bytes()));
    }
    let parts: Vec<(&str, &[u8])> = parts
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
        .collect();
    Ok(current::hash(&parts))
}
