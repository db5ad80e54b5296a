//! EndpointSlices: the addresses behind each Service
//! (upstream: staging/src/k8s.io/endpointslice).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use coracle_client::{Cache, Groups, Key, Outcome, Queue, Recorder, Severity, is_conflict, key_of};
use k8s_openapi::api::core::v1::{ContainerPort, Node, Pod, Service, ServicePort};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, ObjectMeta, PostParams};
use kube::{Api, Client, ResourceExt};
use parking_lot::Mutex;

use crate::context::Context;
use crate::hash::{fnv32a, safe_encode};
use crate::owner::reference_to;
use crate::pods;
use crate::template::message;

/// Label that names the Service of a slice.
pub(crate) const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// Label that names who keeps a slice.
pub(crate) const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const MANAGER: &str = "endpointslice-controller.k8s.io";
/// Annotation with the time of the change that the slice follows.
pub(crate) const TRIGGER: &str = "endpoints.kubernetes.io/last-change-trigger-time";
/// How many endpoints one slice holds (upstream's default).
const MAX_ENDPOINTS: usize = 100;

struct Controller {
    client: Client,
    services: Cache<Service>,
    pods: Cache<Pod>,
    slices: Groups<EndpointSlice>,
    nodes: Cache<Node>,
    recorder: Recorder,
}

/// Runs the controller for ever.
pub async fn run(context: Context) {
    let slices: Cache<EndpointSlice> = context.caches.of();
    slices.ready().await;
    let client = context.client("endpointslice-controller");
    let controller = Arc::new(Controller {
        recorder: Recorder::new(client.clone(), "endpoint-slice-controller"),
        client,
        services: context.caches.of(),
        pods: context.caches.of(),
        slices: Groups::new(&slices, service_of),
        nodes: context.caches.of(),
    });
    controller.services.ready().await;
    controller.pods.ready().await;
    controller.nodes.ready().await;
    let queue = Queue::default();
    let own = queue.clone();
    subscribe_services(&controller.services, &controller.pods, move |key| {
        own.add(key);
    });
    let own = queue.clone();
    slices.on_transition(move |slice| {
        if let Some(key) = service_of(slice) {
            own.add(key);
        }
    });
    subscribe_nodes(&controller, &queue);
    coracle_client::run("endpointslice", queue, 5, move |key| {
        let controller = controller.clone();
        async move { controller.reconcile(&key).await }
    })
    .await;
}

/// Returns the Service that a slice belongs to.
pub(crate) fn service_of(slice: &EndpointSlice) -> Option<Key> {
    let service = slice.labels().get(SERVICE_NAME)?;
    Some(Key::new(slice.namespace().unwrap_or_default(), service))
}

/// Adds every Service when a node comes or goes.
fn subscribe_nodes(controller: &Controller, queue: &Queue<Key>) {
    let (own, services) = (queue.clone(), controller.services.clone());
    let (nodes, known) = (controller.nodes.clone(), Mutex::new(BTreeSet::new()));
    controller.nodes.on_change(move |node| {
        let name = node.name_any();
        let is_there = nodes.get("", &name).is_some();
        let changed = if is_there {
            known.lock().insert(name)
        } else {
            known.lock().remove(&name)
        };
        if changed {
            services
                .all()
                .iter()
                .for_each(|service| own.add(key_of(&**service)));
        }
    });
}

/// Calls `add` with a Service when it or a pod that it selects changes.
pub(crate) fn subscribe_services(
    services: &Cache<Service>,
    pods: &Cache<Pod>,
    add: impl Fn(Key) + Clone + Send + Sync + 'static,
) {
    let by_label = Groups::new(services, first_label);
    let own = add.clone();
    services.on_change(move |service| own(key_of(&**service)));
    pods.on_transition(move |pod| {
        selecting(&by_label, pod)
            .iter()
            .for_each(|service| add(key_of(&**service)));
    });
}

/// Returns the group of a Service: one of the labels that it selects, all of
/// which its pods have.
fn first_label(service: &Service) -> Option<Key> {
    let selector = service.spec.as_ref()?.selector.as_ref()?;
    let (key, value) = selector.first_key_value()?;
    Some(group(&service.namespace().unwrap_or_default(), key, value))
}

fn group(namespace: &str, key: &str, value: &str) -> Key {
    Key::new(namespace, format!("{key}={value}"))
}

/// Returns the Services that select a pod, without looking at all the others.
fn selecting(by_label: &Groups<Service>, pod: &Pod) -> Vec<Arc<Service>> {
    let namespace = pod.namespace().unwrap_or_default();
    let labels = pod.labels().iter();
    labels
        .flat_map(|(key, value)| by_label.members(&group(&namespace, key, value)))
        .filter(|service| selects(service, pod))
        .collect()
}

/// Returns whether the Service has a selector and it matches the pod.
pub(crate) fn selects(service: &Service, pod: &Pod) -> bool {
    let selector = service
        .spec
        .as_ref()
        .and_then(|spec| spec.selector.as_ref());
    selector.is_some_and(|selector| {
        !selector.is_empty()
            && selector
                .iter()
                .all(|(key, value)| pod.labels().get(key) == Some(value))
    })
}

/// Returns whether the pod belongs into the Service's endpoints: it has an
/// address and has not ended (upstream: ShouldPodBeInEndpoints).
pub(crate) fn has_endpoint(pod: &Pod) -> bool {
    let ip = pod
        .status
        .as_ref()
        .and_then(|status| status.pod_ip.as_deref())
        .unwrap_or("");
    !ip.is_empty() && !matches!(pods::phase(pod), "Succeeded" | "Failed")
}

/// Returns the number that a Service's port has in the pod: the number itself,
/// or that of the container port of this name and protocol.
pub(crate) fn target_port(port: &ServicePort, pod: &Pod) -> Option<i32> {
    match &port.target_port {
        None => Some(port.port),
        Some(IntOrString::Int(0)) => Some(port.port),
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(name)) => {
            let protocol = port.protocol.as_deref().unwrap_or("TCP");
            container_ports(pod)
                .find(|have| {
                    have.name.as_ref() == Some(name)
                        && have.protocol.as_deref().unwrap_or("TCP") == protocol
                })
                .map(|have| have.container_port)
        }
    }
}

fn container_ports(pod: &Pod) -> impl Iterator<Item = &ContainerPort> {
    let spec = pod.spec.iter();
    spec.flat_map(|spec| {
        spec.containers
            .iter()
            .chain(spec.init_containers.iter().flatten())
    })
    .flat_map(|container| container.ports.iter().flatten())
}

impl Controller {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, kube::Error> {
        let mut existing = self.slices.members(key);
        existing
            .retain(|slice| slice.labels().get(MANAGED_BY).map(String::as_str) == Some(MANAGER));
        let service = self.services.of(key);
        let wanted = match &service {
            Some(service) if service.metadata.deletion_timestamp.is_none() => {
                let mut pods = self
                    .pods
                    .matching(&key.namespace, |pod| selects(service, pod));
                let trigger = trigger_time(service, &pods);
                pods.retain(|pod| self.is_on_known_node(pod));
                let mut wanted = desired(service, &pods);
                for slice in &mut wanted {
                    let annotations = slice.annotations_mut();
                    annotations.insert(TRIGGER.into(), trigger.to_string());
                }
                wanted
            }
            _ => Vec::new(),
        };
        let api: Api<EndpointSlice> = Api::namespaced(self.client.clone(), &key.namespace);
        match make_so(&api, &wanted, existing).await {
            Ok(()) => Ok(Outcome::Done),
            Err(failure) if is_in_ending_namespace(&failure.error) => Ok(Outcome::Done),
            Err(failure) => {
                if let Some(service) = service.filter(|_| !is_conflict(&failure.error)) {
                    self.tell(&service, &failure);
                }
                Err(failure.error)
            }
        }
    }

    fn tell(&self, service: &Service, failure: &Failure) {
        let (key, why) = (key_of(service), message(&failure.error));
        let step = &failure.step;
        let text = format!(
            "Error updating Endpoint Slices for Service {key}: failed to {step} for Service {key}: {why}"
        );
        let reason = "FailedToUpdateEndpointSlices";
        self.recorder
            .event(service, Severity::Warning, reason, text);
    }

    /// Returns whether the pod's node is there: the address of a pod on a node
    /// that is gone leads nowhere.
    fn is_on_known_node(&self, pod: &Pod) -> bool {
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
        node.is_none_or(|node| self.nodes.get("", node).is_some())
    }
}

/// Returns the time of the latest change that the slices follow
/// (upstream: endpointslice/util/trigger_time_tracker.go).
fn trigger_time(service: &Service, pods: &[Arc<Pod>]) -> Timestamp {
    let made = service.metadata.creation_timestamp.as_ref();
    let ready = pods.iter().filter_map(|pod| pods::ready_since(pod));
    let latest = ready.chain(made.map(|time| time.0)).max();
    latest.unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Which step towards the wanted slices failed, and why.
#[derive(Debug)]
pub(crate) struct Failure {
    step: String,
    /// What the API said.
    pub(crate) error: kube::Error,
}

/// Returns whether an object was refused because its namespace ends: that is
/// no failure, the Service goes too (upstream: reconciler.go, finalize).
fn is_in_ending_namespace(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else {
        return false;
    };
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes
        .into_iter()
        .any(|one| one.reason == "NamespaceTerminating")
}

/// Makes the existing slices those that are wanted.
pub(crate) async fn make_so(
    api: &Api<EndpointSlice>,
    wanted: &[EndpointSlice],
    existing: Vec<Arc<EndpointSlice>>,
) -> Result<(), Failure> {
    for slice in wanted {
        write(api, slice, &existing).await?;
    }
    for slice in existing {
        let name = slice.name_any();
        let is_kept = wanted.iter().any(|wanted| wanted.name_any() == name);
        if is_kept || slice.metadata.deletion_timestamp.is_some() {
            continue;
        }
        match api.delete(&name, &DeleteParams::default()).await {
            Err(error) if !coracle_client::is_not_found(&error) => {
                let step = format!("delete {name} EndpointSlice");
                return Err(Failure { step, error });
            }
            _ => {}
        }
    }
    Ok(())
}

/// Returns the name of a Service's slice, which is the same for the same seed.
pub(crate) fn slice_name(service: &str, seed: &str) -> String {
    let suffix: String = safe_encode(fnv32a(seed.bytes())).chars().take(5).collect();
    format!("{service}-{suffix}")
}

async fn write(
    api: &Api<EndpointSlice>,
    wanted: &EndpointSlice,
    existing: &[Arc<EndpointSlice>],
) -> Result<(), Failure> {
    let name = wanted.name_any();
    let Some(old) = existing.iter().find(|slice| slice.name_any() == name) else {
        let made = api.create(&PostParams::default(), wanted).await;
        return made.map(drop).map_err(|error| Failure {
            step: "create EndpointSlice".into(),
            error,
        });
    };
    let mut changed = (**old).clone();
    changed.endpoints = wanted.endpoints.clone();
    changed.ports = wanted.ports.clone();
    changed.metadata.labels = wanted.metadata.labels.clone();
    changed.metadata.owner_references = wanted.metadata.owner_references.clone();
    if changed == **old {
        return Ok(());
    }
    let trigger = wanted.annotations().get(TRIGGER).cloned();
    changed
        .annotations_mut()
        .extend(trigger.map(|time| (TRIGGER.into(), time)));
    let written = api.replace(&name, &PostParams::default(), &changed).await;
    written.map(drop).map_err(|error| Failure {
        step: format!("update {name} EndpointSlice"),
        error,
    })
}

/// Returns the slices that the Service should have: one or more for each set
/// of ports that its pods map its ports to.
fn desired(service: &Service, pods: &[Arc<Pod>]) -> Vec<EndpointSlice> {
    let spec = service.spec.clone().unwrap_or_default();
    let has_selector = spec
        .selector
        .as_ref()
        .is_some_and(|selector| !selector.is_empty());
    if !has_selector || spec.type_.as_deref() == Some("ExternalName") {
        return Vec::new();
    }
    let mut groups: BTreeMap<Vec<(String, i32, String)>, Vec<Endpoint>> = BTreeMap::new();
    let ports = spec.ports.unwrap_or_default();
    for pod in pods
        .iter()
        .filter(|pod| selects(service, pod) && has_endpoint(pod))
    {
        let ports = ports_in(&ports, pod);
        groups
            .entry(ports)
            .or_default()
            .push(endpoint(service, pod));
    }
    if groups.is_empty() {
        // A Service without pods still has a slice, which says so.
        groups.insert(Vec::new(), Vec::new());
    }
    let mut slices = Vec::new();
    for (ports, endpoints) in groups {
        let chunks: Vec<&[Endpoint]> = if endpoints.is_empty() {
            vec![&[]]
        } else {
            endpoints.chunks(MAX_ENDPOINTS).collect()
        };
        for (index, chunk) in chunks.into_iter().enumerate() {
            slices.push(slice(service, &ports, chunk, index));
        }
    }
    slices
}

/// Returns the Service's ports as this pod serves them: name, number, protocol.
fn ports_in(ports: &[ServicePort], pod: &Pod) -> Vec<(String, i32, String)> {
    ports
        .iter()
        .filter_map(|port| {
            let protocol = port.protocol.clone().unwrap_or_else(|| "TCP".into());
            Some((
                port.name.clone().unwrap_or_default(),
                target_port(port, pod)?,
                protocol,
            ))
        })
        .collect()
}

fn endpoint(service: &Service, pod: &Pod) -> Endpoint {
    let publish = service
        .spec
        .as_ref()
        .and_then(|spec| spec.publish_not_ready_addresses)
        == Some(true);
    let serving = pods::is_ready(pod);
    let terminating = pod.metadata.deletion_timestamp.is_some();
    let spec = pod.spec.clone().unwrap_or_default();
    let in_subdomain = spec.subdomain.as_ref() == service.metadata.name.as_ref();
    Endpoint {
        addresses: vec![
            pod.status
                .as_ref()
                .and_then(|status| status.pod_ip.clone())
                .unwrap_or_default(),
        ],
        conditions: Some(EndpointConditions {
            ready: Some(publish || (serving && !terminating)),
            serving: Some(serving),
            terminating: Some(terminating),
        }),
        hostname: spec.hostname.filter(|_| in_subdomain),
        node_name: spec.node_name,
        target_ref: Some(k8s_openapi::api::core::v1::ObjectReference {
            kind: Some("Pod".into()),
            name: pod.metadata.name.clone(),
            namespace: pod.metadata.namespace.clone(),
            uid: pod.metadata.uid.clone(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// An empty list is left out, as upstream does.
fn some<T>(items: Vec<T>) -> Option<Vec<T>> {
    (!items.is_empty()).then_some(items)
}

fn slice(
    service: &Service,
    ports: &[(String, i32, String)],
    endpoints: &[Endpoint],
    index: usize,
) -> EndpointSlice {
    let seed = format!("{}{ports:?}{index}", service.uid().unwrap_or_default());
    let mut labels = service.labels().clone();
    labels.insert(SERVICE_NAME.into(), service.name_any());
    labels.insert(MANAGED_BY.into(), MANAGER.into());
    if service
        .spec
        .as_ref()
        .and_then(|spec| spec.cluster_ip.as_deref())
        == Some("None")
    {
        labels.insert("service.kubernetes.io/headless".into(), String::new());
    }
    let app_protocol = |name: &str| {
        let ports = service.spec.as_ref()?.ports.as_ref()?;
        ports
            .iter()
            .find(|port| port.name.as_deref().unwrap_or("") == name)?
            .app_protocol
            .clone()
    };
    EndpointSlice {
        address_type: "IPv4".into(),
        metadata: ObjectMeta {
            name: Some(slice_name(&service.name_any(), &seed)),
            generate_name: Some(format!("{}-", service.name_any())),
            namespace: service.namespace(),
            labels: Some(labels),
            owner_references: Some(vec![reference_to(service)]),
            ..Default::default()
        },
        endpoints: some(endpoints.to_vec()),
        ports: some(
            ports
                .iter()
                .map(|(name, port, protocol)| EndpointPort {
                    name: Some(name.clone()),
                    port: Some(*port),
                    protocol: Some(protocol.clone()),
                    app_protocol: app_protocol(name),
                })
                .collect(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn service(spec: serde_json::Value) -> Service {
        serde_json::from_value(
            json!({"metadata": {"name": "web", "namespace": "default", "uid": "1"}, "spec": spec}),
        )
        .expect("a service")
    }

    fn pod(name: &str, ready: &str, port: i32) -> Arc<Pod> {
        Arc::new(
            serde_json::from_value(json!({
                "metadata": {"name": name, "namespace": "default", "labels": {"app": "web"}},
                "spec": {"nodeName": "node", "containers": [
                    {"name": "web", "ports": [{"name": "http", "containerPort": port}]},
                ]},
                "status": {"phase": "Running", "podIP": "10.244.0.9", "conditions": [{"type": "Ready", "status": ready}]},
            }))
            .expect("a pod"),
        )
    }

    #[test]
    fn a_named_port_is_looked_up_in_each_pod() {
        let web = service(
            json!({"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]}),
        );
        let slices = desired(&web, &[pod("a", "True", 8080), pod("b", "True", 9090)]);
        let ports: Vec<i32> = slices
            .iter()
            .filter_map(|slice| slice.ports.as_ref()?[0].port)
            .collect();
        assert_eq!(ports, [8080, 9090]);
    }

    #[test]
    fn readiness_is_told_and_may_be_overridden() {
        let check = |publish: bool, ready: &str, expected: (bool, bool)| {
            let web = service(
                json!({"selector": {"app": "web"}, "publishNotReadyAddresses": publish,
                "ports": [{"port": 80}]}),
            );
            let slices = desired(&web, &[pod("a", ready, 80)]);
            let conditions = slices[0].endpoints.as_ref().unwrap()[0]
                .conditions
                .clone()
                .unwrap();
            assert_eq!(
                (conditions.ready.unwrap(), conditions.serving.unwrap()),
                expected
            );
        };
        check(false, "True", (true, true));
        check(false, "False", (false, false));
        check(true, "False", (true, false));
    }

    #[test]
    fn without_a_selector_nothing_is_managed() {
        assert!(
            desired(
                &service(json!({"ports": [{"port": 80}]})),
                &[pod("a", "True", 80)]
            )
            .is_empty()
        );
    }
}
