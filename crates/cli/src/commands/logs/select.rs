//! Whose logs are asked for: the pods of a release, of a workload, of a
//! Service, or one pod.

use std::path::Path;

use coracle_release::{latest, parse};
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use serde_json::Value;

use crate::commands::namesake;
use crate::failure::Failure;
use crate::project;

/// What the user named.
pub struct Asked {
    resource: String,
    namespace: String,
}

/// Pods of a namespace.
pub struct Selection {
    /// What was asked for.
    pub title: String,
    /// The namespace.
    pub namespace: String,
    /// Selectors of labels; a pod that fits one belongs to the selection.
    pub selectors: Vec<String>,
    /// One pod by its name.
    pub pod: Option<String>,
}

impl Asked {
    /// Returns what is asked for: what is named, else the release of the folder.
    pub fn of(
        resource: Option<&str>,
        namespace: Option<&str>,
        folder: &Path,
    ) -> Result<Asked, Failure> {
        let project = match resource {
            Some(_) => None,
            None => {
                let advice = "name a release or TYPE/NAME: coracle logs deploy/web";
                Some(project::read_or(folder, &[], advice)?)
            }
        };
        let of_project = project.as_ref().map(|project| project.namespace.as_str());
        Ok(Asked {
            namespace: namespace.or(of_project).unwrap_or("default").to_owned(),
            resource: match (resource, &project) {
                (Some(resource), _) => resource.to_owned(),
                (None, Some(project)) => project.release.clone(),
                (None, None) => String::new(),
            },
        })
    }

    /// Asks the cluster which pods those are.
    pub async fn resolve(mut self, client: &Client) -> Result<Selection, Failure> {
        if let Some(named) = namesake::of(client, &self.namespace, &self.resource).await? {
            self.resource = named;
        }
        let mut selection = Selection {
            title: self.resource.clone(),
            namespace: self.namespace.clone(),
            selectors: Vec::new(),
            pod: None,
        };
        let Some((kind, name)) = self.resource.split_once('/') else {
            selection.selectors = self.of_release(client).await?;
            return Ok(selection);
        };
        match kind.split('.').next().unwrap_or_default() {
            "pod" | "pods" | "po" => selection.pod = Some(name.to_owned()),
            "svc" | "service" | "services" => {
                let services: Api<Service> = Api::namespaced(client.clone(), &self.namespace);
                let service = services.get(name).await?;
                let selector = service
                    .spec
                    .and_then(|spec| spec.selector)
                    .unwrap_or_default();
                selection.selectors = vec![joined(selector.iter())];
            }
            kind => {
                let path = workload_path(kind, &self.namespace, name).ok_or_else(|| {
                    Failure::usage(format!("a {kind:?} writes no log"))
                        .hint("name a pod, deploy, sts, ds, rs, job or svc, or a release")
                })?;
                let request = http::Request::get(path).body(Vec::new())?;
                let live: Value = client.request(request).await?;
                selection.selectors = labels(&live).into_iter().collect();
            }
        }
        Ok(selection)
    }

    async fn of_release(&self, client: &Client) -> Result<Vec<String>, Failure> {
        let Some(record) = latest(client, &self.namespace, &self.resource).await? else {
            return Err(Failure::from(anyhow::anyhow!(
                "there is no release {} in namespace {}",
                self.resource,
                self.namespace
            ))
            .hint("a pod or workload is named by TYPE/NAME: coracle logs deploy/web"));
        };
        let objects = parse(&record.manifest)?;
        Ok(objects
            .iter()
            .filter_map(|object| match object.kind() {
                "Pod" | "Job" | "CronJob" => None,
                _ => labels(&object.value),
            })
            .chain(objects.iter().filter_map(|object| match object.kind() {
                "Job" => Some(format!("job-name={}", object.name())),
                _ => None,
            }))
            .collect())
    }
}

impl Selection {
    /// Returns the pods that belong to the selection now.
    pub async fn pods(&self, client: &Client) -> Result<Vec<Pod>, Failure> {
        let api: Api<Pod> = Api::namespaced(client.clone(), &self.namespace);
        if let Some(name) = &self.pod {
            return match api.get_opt(name).await? {
                Some(pod) => Ok(vec![pod]),
                None => Err(Failure::from(anyhow::anyhow!(
                    "there is no pod {name} in namespace {}",
                    self.namespace
                ))),
            };
        }
        let mut pods: Vec<Pod> = Vec::new();
        for selector in &self.selectors {
            for pod in api.list(&ListParams::default().labels(selector)).await? {
                if pods.iter().all(|known| known.name_any() != pod.name_any()) {
                    pods.push(pod);
                }
            }
        }
        Ok(pods)
    }
}

fn workload_path(kind: &str, namespace: &str, name: &str) -> Option<String> {
    let (group, plural) = match kind {
        "deploy" | "deployment" | "deployments" => ("apps", "deployments"),
        "sts" | "statefulset" | "statefulsets" => ("apps", "statefulsets"),
        "ds" | "daemonset" | "daemonsets" => ("apps", "daemonsets"),
        "rs" | "replicaset" | "replicasets" => ("apps", "replicasets"),
        "job" | "jobs" => ("batch", "jobs"),
        _ => return None,
    };
    Some(format!(
        "/apis/{group}/v1/namespaces/{namespace}/{plural}/{name}"
    ))
}

/// Returns the labels by which a workload selects its pods.
fn labels(workload: &Value) -> Option<String> {
    let labels = workload["spec"]["selector"]["matchLabels"].as_object()?;
    let pairs = labels
        .iter()
        .filter_map(|(key, value)| Some((key, value.as_str()?)));
    Some(joined(pairs))
}

fn joined<K: std::fmt::Display, V: std::fmt::Display>(
    pairs: impl Iterator<Item = (K, V)>,
) -> String {
    pairs
        .map(|(key, value)| format!("{key}={value}"))
        .collect::<Vec<_>>()
        .join(",")
}
