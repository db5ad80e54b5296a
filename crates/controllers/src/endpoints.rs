//! Endpoints: the older form of what EndpointSlices tell, for clients that
//! still ask for it (upstream: pkg/controller/endpoint).
//!
//! They come a moment after the slices: nobody who waits for a slice waits for
//! the write of its older form.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use coracle_client::{Cache, Key, Outcome, Queue};
use k8s_openapi::api::core::v1::{
    EndpointAddress, EndpointPort, EndpointSubset, Endpoints, ObjectReference, Pod, Service,
};
use kube::api::{DeleteParams, ObjectMeta, PostParams};
use kube::{Api, Client, ResourceExt};

use crate::context::Context;
use crate::endpointslice::{has_endpoint, selects, subscribe_services, target_port};
use crate::pods;

/// How far Endpoints are behind what changes; what changes within this time is
/// written once (upstream: --endpoint-updates-batch-period).
const BEHIND: Duration = Duration::from_millis(20);

struct Controller {
    client: Client,
    services: Cache<Service>,
    pods: Cache<Pod>,
    endpoints: Cache<Endpoints>,
}

/// Runs the controller for ever.
pub async fn run(context: Context) {
    let controller = Arc::new(Controller {
        client: context.client("endpoint-controller"),
        services: context.caches.of(),
        pods: context.caches.of(),
        endpoints: context.caches.of(),
    });
    controller.services.ready().await;
    controller.pods.ready().await;
    controller.endpoints.ready().await;
    let queue = Queue::default();
    let own = queue.clone();
    let behind = move |key| own.add_after(key, BEHIND);
    subscribe_services(&controller.services, &controller.pods, behind);
    coracle_client::run("endpoints", queue, 5, move |key| {
        let controller = controller.clone();
        async move { controller.reconcile(&key).await }
    })
    .await;
}

impl Controller {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, kube::Error> {
        let api: Api<Endpoints> = Api::namespaced(self.client.clone(), &key.namespace);
        let existing = self.endpoints.of(key);
        let service = self
            .services
            .of(key)
            .filter(|service| service.metadata.deletion_timestamp.is_none());
        let Some(service) = service else {
            if existing.is_some() {
                match api.delete(&key.name, &DeleteParams::default()).await {
                    Err(error) if !coracle_client::is_not_found(&error) => return Err(error),
                    _ => {}
                }
            }
            return Ok(Outcome::Done);
        };
        let has_selector = service
            .spec
            .as_ref()
            .and_then(|spec| spec.selector.as_ref())
            .is_some_and(|selector| !selector.is_empty());
        if !has_selector {
            return Ok(Outcome::Done);
        }
        let pods = self
            .pods
            .matching(&key.namespace, |pod| selects(&service, pod));
        let subsets = subsets(&service, &pods);
        let subsets = (!subsets.is_empty()).then_some(subsets);
        match existing {
            Some(old) if old.subsets == subsets => {}
            Some(old) => {
                let changed = Endpoints {
                    subsets,
                    ..(*old).clone()
                };
                api.replace(&key.name, &PostParams::default(), &changed)
                    .await?;
            }
            None => {
                api.create(&PostParams::default(), &new(&service, subsets))
                    .await?;
            }
        }
        Ok(Outcome::Done)
    }
}

fn new(service: &Service, subsets: Option<Vec<EndpointSubset>>) -> Endpoints {
    let mut labels = service.labels().clone();
    labels.insert(
        "endpoints.kubernetes.io/managed-by".into(),
        "endpoint-controller".into(),
    );
    if service
        .spec
        .as_ref()
        .and_then(|spec| spec.cluster_ip.as_deref())
        == Some("None")
    {
        labels.insert("service.kubernetes.io/headless".into(), String::new());
    }
    Endpoints {
        metadata: ObjectMeta {
            name: service.metadata.name.clone(),
            namespace: service.namespace(),
            labels: Some(labels),
            ..Default::default()
        },
        subsets,
    }
}

type Addresses = (Vec<EndpointAddress>, Vec<EndpointAddress>);

/// Returns the addresses by the ports they serve, ready and not ready.
fn subsets(service: &Service, pods: &[Arc<Pod>]) -> Vec<EndpointSubset> {
    let spec = service.spec.clone().unwrap_or_default();
    let publish = spec.publish_not_ready_addresses == Some(true);
    let mut groups: BTreeMap<Vec<(String, i32, String)>, Addresses> = BTreeMap::new();
    for pod in pods
        .iter()
        .filter(|pod| selects(service, pod) && has_endpoint(pod))
    {
        let terminating = pod.metadata.deletion_timestamp.is_some();
        if terminating && !publish {
            continue;
        }
        let ports = spec.ports.iter().flatten().filter_map(|port| {
            let protocol = port.protocol.clone().unwrap_or_else(|| "TCP".into());
            Some((
                port.name.clone().unwrap_or_default(),
                target_port(port, pod)?,
                protocol,
            ))
        });
        let (ready, not_ready) = groups.entry(ports.collect()).or_default();
        if publish || pods::is_ready(pod) {
            ready.push(address(pod));
        } else {
            not_ready.push(address(pod));
        }
    }
    let some = |addresses: Vec<EndpointAddress>| (!addresses.is_empty()).then_some(addresses);
    groups
        .into_iter()
        .map(|(ports, (ready, not_ready))| EndpointSubset {
            addresses: some(ready),
            not_ready_addresses: some(not_ready),
            ports: Some(
                ports
                    .into_iter()
                    .map(|(name, port, protocol)| EndpointPort {
                        name: (!name.is_empty()).then_some(name),
                        port,
                        protocol: Some(protocol),
                        app_protocol: None,
                    })
                    .collect(),
            ),
        })
        .collect()
}

fn address(pod: &Pod) -> EndpointAddress {
    EndpointAddress {
        ip: pod
            .status
            .as_ref()
            .and_then(|status| status.pod_ip.clone())
            .unwrap_or_default(),
        hostname: None,
        node_name: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
        target_ref: Some(ObjectReference {
            kind: Some("Pod".into()),
            name: pod.metadata.name.clone(),
            namespace: pod.metadata.namespace.clone(),
            uid: pod.metadata.uid.clone(),
            ..Default::default()
        }),
    }
}
