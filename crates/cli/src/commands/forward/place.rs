//! Where forwarded connections lead: a pod that is ready now.

use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{Pod, Service, ServicePort};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::ListParams;
use kube::core::Selector;
use kube::{Api, Client, ResourceExt};
use tokio::net::TcpStream;

/// How long a connection waits for a pod while one is replaced.
const PATIENCE: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_millis(200);

/// What is forwarded to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subject {
    kind: Kind,
    name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Service,
    Deployment,
    StatefulSet,
    ReplicaSet,
    Pod,
}

impl Subject {
    /// Reads `KIND/NAME`, or the NAME of a Service.
    pub(super) fn read(text: &str) -> Result<Subject, String> {
        let (kind, name) = text.split_once('/').unwrap_or(("svc", text));
        let kind = match kind {
            "svc" | "service" | "services" => Kind::Service,
            "deploy" | "deployment" | "deployments" | "deployment.apps" => Kind::Deployment,
            "sts" | "statefulset" | "statefulsets" | "statefulset.apps" => Kind::StatefulSet,
            "rs" | "replicaset" | "replicasets" | "replicaset.apps" => Kind::ReplicaSet,
            "po" | "pod" | "pods" => Kind::Pod,
            other => {
                return Err(format!(
                    "{other:?} is not a kind that can be forwarded to; use svc/NAME, deploy/NAME, sts/NAME, rs/NAME or pod/NAME"
                ));
            }
        };
        if name.is_empty() {
            return Err(format!("{text:?} names nothing"));
        }
        Ok(Subject {
            kind,
            name: name.to_owned(),
        })
    }
}

impl std::fmt::Display for Subject {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.kind {
            Kind::Service => "service",
            Kind::Deployment => "deployment",
            Kind::StatefulSet => "statefulset",
            Kind::ReplicaSet => "replicaset",
            Kind::Pod => "pod",
        };
        write!(formatter, "{kind}/{}", self.name)
    }
}

/// Where connections lead.
pub(super) struct Place {
    pub client: Client,
    pub namespace: String,
    pub subject: Subject,
}

/// A pod and a port of it.
type End = (String, u16);

impl Place {
    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Fails where the subject, or the port of a Service, does not exist.
    pub(super) async fn check(&self, remote: &str) -> anyhow::Result<()> {
        match self.subject.kind {
            Kind::Service => self.service_port(remote).await.map(drop),
            Kind::Pod => Ok(self.api::<Pod>().get(&self.subject.name).await.map(drop)?),
            _ => self.selector().await.map(drop),
        }
    }

    /// Carries one connection.
    pub(super) async fn carry(&self, mut stream: TcpStream, remote: &str) -> anyhow::Result<()> {
        let since = Instant::now();
        let (mut forwarder, port) = loop {
            match self.open(remote).await {
                Ok(open) => break open,
                Err(error) if since.elapsed() > PATIENCE => return Err(error),
                Err(_) => tokio::time::sleep(AGAIN).await,
            }
        };
        let mut pod = forwarder
            .take_stream(port)
            .context("no stream for the port")?;
        let failure = forwarder.take_error(port);
        // Each side sees the other's end, whatever its reason.
        let _ = tokio::io::copy_bidirectional(&mut stream, &mut pod).await;
        drop(pod);
        let failure = match failure {
            Some(failure) => tokio::time::timeout(AGAIN, failure).await.ok().flatten(),
            None => None,
        };
        match failure {
            Some(text) => bail!("{text}"),
            None => Ok(()),
        }
    }

    async fn open(&self, remote: &str) -> anyhow::Result<(kube::api::Portforwarder, u16)> {
        let (pod, port) = self.end(remote).await?;
        let forwarder = self.api::<Pod>().portforward(&pod, &[port]).await;
        Ok((forwarder.with_context(|| format!("pod {pod}"))?, port))
    }

    /// Picks a pod that is ready now.
    async fn end(&self, remote: &str) -> anyhow::Result<End> {
        let ends = match self.subject.kind {
            Kind::Service => self.endpoints(remote).await?,
            Kind::Pod => {
                let pod = self.api::<Pod>().get(&self.subject.name).await?;
                self.ports([pod], remote, |_| true)
            }
            _ => {
                let labels = self.selector().await?.to_string();
                let wanted = ListParams::default().labels(&labels);
                let pods = self.api::<Pod>().list(&wanted).await?;
                self.ports(pods.items, remote, is_ready)
            }
        };
        match ends.len() {
            0 => bail!("{} has no ready pod with port {remote}", self.subject),
            count => Ok(ends[some_number() % count].clone()),
        }
    }

    async fn service_port(&self, remote: &str) -> anyhow::Result<ServicePort> {
        let service = self.api::<Service>().get(&self.subject.name).await?;
        let ports = service.spec.unwrap_or_default().ports.unwrap_or_default();
        let is_meant = |port: &&ServicePort| {
            port.name.as_deref() == Some(remote) || port.port.to_string() == remote
        };
        let names: Vec<String> = ports.iter().map(|port| port.port.to_string()).collect();
        ports.iter().find(is_meant).cloned().ok_or_else(|| {
            anyhow!(
                "{} has no port {remote}; it has {}",
                self.subject,
                names.join(", ")
            )
        })
    }

    async fn endpoints(&self, remote: &str) -> anyhow::Result<Vec<End>> {
        let port = self.service_port(remote).await?;
        let label = format!("kubernetes.io/service-name={}", self.subject.name);
        let slices = self.api::<EndpointSlice>();
        let slices = slices.list(&ListParams::default().labels(&label)).await?;
        let mut ends = Vec::new();
        for slice in slices {
            let name = |name: &Option<String>| name.clone().unwrap_or_default();
            let ports = slice.ports.iter().flatten();
            let number = ports
                .filter(|found| name(&found.name) == name(&port.name))
                .find_map(|found| u16::try_from(found.port?).ok());
            for endpoint in slice.endpoints.into_iter().flatten() {
                let conditions = endpoint.conditions.unwrap_or_default();
                let pod = endpoint
                    .target_ref
                    .filter(|target| target.kind.as_deref() == Some("Pod"));
                let (Some(pod), Some(number), true) = (
                    pod.and_then(|pod| pod.name),
                    number,
                    conditions.ready.unwrap_or(true),
                ) else {
                    continue;
                };
                ends.push((pod, number));
            }
        }
        Ok(ends)
    }

    async fn selector(&self) -> anyhow::Result<Selector> {
        let name = &self.subject.name;
        let selector: Option<LabelSelector> = match self.subject.kind {
            Kind::Deployment => self
                .api::<Deployment>()
                .get(name)
                .await?
                .spec
                .map(|s| s.selector),
            Kind::StatefulSet => self
                .api::<StatefulSet>()
                .get(name)
                .await?
                .spec
                .map(|s| s.selector),
            Kind::ReplicaSet => self
                .api::<ReplicaSet>()
                .get(name)
                .await?
                .spec
                .map(|s| s.selector),
            Kind::Service | Kind::Pod => None,
        };
        Ok(selector.unwrap_or_default().try_into()?)
    }

    fn ports(
        &self,
        pods: impl IntoIterator<Item = Pod>,
        remote: &str,
        fits: impl Fn(&Pod) -> bool,
    ) -> Vec<End> {
        let pods = pods.into_iter().filter(|pod| fits(pod));
        pods.filter_map(|pod| Some((pod.name_any(), container_port(&pod, remote)?)))
            .collect()
    }
}

/// Reads a container's port by name; a number is taken as it is.
fn container_port(pod: &Pod, remote: &str) -> Option<u16> {
    if let Ok(number) = remote.parse() {
        return Some(number);
    }
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    containers
        .flat_map(|container| container.ports.iter().flatten())
        .find(|port| port.name.as_deref() == Some(remote))
        .and_then(|port| u16::try_from(port.container_port).ok())
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .iter()
        .flat_map(|s| s.conditions.iter().flatten());
    pod.metadata.deletion_timestamp.is_none()
        && conditions
            .into_iter()
            .any(|one| one.type_ == "Ready" && one.status == "True")
}

/// Spreads connections; nothing depends on how evenly.
fn some_number() -> usize {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read() {
        let check = |text: &str, expected: Option<&str>| {
            let read = Subject::read(text).map(|subject| subject.to_string());
            assert_eq!(read.ok().as_deref(), expected, "{text}");
        };
        check("web", Some("service/web"));
        check("svc/web", Some("service/web"));
        check("deploy/web", Some("deployment/web"));
        check("sts/db", Some("statefulset/db"));
        check("pod/db-0", Some("pod/db-0"));
        check("node/x", None);
        check("svc/", None);
    }
}
