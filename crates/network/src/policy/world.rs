//! What policies depend on: pods, namespaces, and the policies themselves.
//!
//! Main type: [`World`]. A pod's facts are few, so that the many changes of a
//! pod's status that matter to no policy are seen to change nothing.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use coracle_client::Key;
use k8s_openapi::api::core::v1::{ContainerPort, Namespace, Pod};
use k8s_openapi::api::networking::v1::NetworkPolicy;

use crate::endpoints;
use crate::plan::AddressPlan;

/// The label every namespace carries with its own name.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Labels of an object.
pub type Labels = BTreeMap<String, String>;

/// What policies know of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodFacts {
    /// Its address.
    pub address: Ipv4Addr,
    /// Its labels.
    pub labels: Labels,
    /// Its named ports: name, protocol, number.
    pub ports: Vec<(String, u8, u16)>,
    /// Its ports on the node.
    pub host_ports: Vec<HostPort>,
}

/// A container's port that the node opens for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostPort {
    /// The transport protocol.
    pub protocol: u8,
    /// The port on the node.
    pub number: u16,
    /// The container's port.
    pub target: u16,
    /// The node's address it is opened on; all where it is not given.
    pub address: Option<IpAddr>,
}

/// All that policies depend on.
#[derive(Debug, Clone, Default)]
pub struct World {
    /// Pods with an address of their own.
    pub pods: BTreeMap<Key, PodFacts>,
    /// Labels of namespaces by name.
    pub namespaces: BTreeMap<String, Labels>,
    /// The policies.
    pub policies: BTreeMap<Key, NetworkPolicy>,
}

impl PodFacts {
    /// Reads a pod; `None` while it has no address of its own, or no more.
    ///
    /// A pod in the node's network namespace cannot be told from the node and
    /// is no subject of policies (as in the API's documentation).
    pub fn of(pod: &Pod) -> Option<Self> {
        let address = pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()?;
        PodFacts::at(pod, address)
    }

    /// Reads a pod that has this address, whatever its status says of it.
    pub fn at(pod: &Pod, address: Ipv4Addr) -> Option<Self> {
        let spec = pod.spec.as_ref()?;
        let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
        let over = matches!(phase, Some("Succeeded" | "Failed"));
        if over || spec.host_network == Some(true) {
            return None;
        }
        // Init containers that keep running serve ports like any other.
        let init = spec.init_containers.iter().flatten();
        let (mut ports, mut host_ports) = (Vec::new(), Vec::new());
        for container in spec.containers.iter().chain(init) {
            for port in container.ports.iter().flatten() {
                ports.extend(named_port(port));
                host_ports.extend(host_port(port));
            }
        }
        Some(PodFacts {
            address,
            labels: pod.metadata.labels.clone().unwrap_or_default(),
            ports,
            host_ports,
        })
    }
}

fn named_port(port: &ContainerPort) -> Option<(String, u8, u16)> {
    let (protocol, target) = target(port)?;
    Some((port.name.clone()?, protocol, target))
}

fn host_port(port: &ContainerPort) -> Option<HostPort> {
    let (protocol, target) = target(port)?;
    Some(HostPort {
        protocol,
        number: u16::try_from(port.host_port?).ok().filter(|n| *n > 0)?,
        target,
        address: port
            .host_ip
            .as_ref()
            .and_then(|ip| ip.parse().ok())
            .filter(|ip: &IpAddr| !ip.is_unspecified()),
    })
}

fn target(port: &ContainerPort) -> Option<(u8, u16)> {
    let protocol = endpoints::protocol_number(endpoints::protocol(&port.protocol))?;
    Some((protocol, u16::try_from(port.container_port).ok()?))
}

impl World {
    /// Returns a world that holds the two built-in services as pods, under the
    /// names and labels that common policies select.
    pub fn new(plan: &AddressPlan) -> Self {
        let mut world = World::default();
        let mut put = |namespace: &str, name: &str, address, labels: &[(&str, &str)], ports| {
            let facts = PodFacts {
                address,
                labels: labels
                    .iter()
                    .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                    .collect(),
                ports,
                host_ports: Vec::new(),
            };
            world.pods.insert(Key::new(namespace, name), facts);
            world.set_namespace(namespace, Some(Labels::new()));
        };
        put(
            "kube-system",
            "coredns",
            plan.dns(),
            &[("k8s-app", "kube-dns")],
            vec![("dns".into(), 17, 53), ("dns-tcp".into(), 6, 53)],
        );
        put(
            "ingress-nginx",
            "ingress-nginx-controller",
            plan.ingress(),
            &[
                ("app.kubernetes.io/name", "ingress-nginx"),
                ("app.kubernetes.io/instance", "ingress-nginx"),
                ("app.kubernetes.io/component", "controller"),
            ],
            vec![("http".into(), 6, 80), ("https".into(), 6, 443)],
        );
        world
    }

    /// Writes a pod's facts; tells whether anything changed.
    pub fn set_pod(&mut self, key: Key, facts: Option<PodFacts>) -> bool {
        if self.pods.get(&key) == facts.as_ref() {
            return false;
        }
        match facts {
            Some(facts) => self.pods.insert(key, facts),
            None => self.pods.remove(&key),
        };
        true
    }

    /// Writes a namespace's labels; tells whether anything changed.
    ///
    /// A namespace that is gone but holds a built-in service stays.
    pub fn set_namespace(&mut self, name: &str, labels: Option<Labels>) -> bool {
        let built_in = ["kube-system", "ingress-nginx"].contains(&name);
        let labels = match labels {
            None if built_in => Some(Labels::new()),
            labels => labels,
        };
        let labels = labels.map(|mut labels| {
            labels.insert(NAME_LABEL.to_owned(), name.to_owned());
            labels
        });
        if self.namespaces.get(name) == labels.as_ref() {
            return false;
        }
        match labels {
            Some(labels) => self.namespaces.insert(name.to_owned(), labels),
            None => self.namespaces.remove(name),
        };
        true
    }

    /// Writes a policy; tells whether its spec changed.
    pub fn set_policy(&mut self, key: Key, policy: Option<NetworkPolicy>) -> bool {
        let spec = |policy: &NetworkPolicy| policy.spec.clone();
        if self.policies.get(&key).map(spec) == policy.as_ref().map(spec) {
            return false;
        }
        match policy {
            Some(policy) => self.policies.insert(key, policy),
            None => self.policies.remove(&key),
        };
        true
    }
}

/// Returns the labels of a namespace.
pub fn labels_of(namespace: &Namespace) -> Labels {
    namespace.metadata.labels.clone().unwrap_or_default()
}
