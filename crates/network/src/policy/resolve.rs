//! From selectors to addresses.
//!
//! [`resolve`] reads every policy against the world. A selector that cannot be
//! read selects nothing, as the API refuses such objects anyway.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use coracle_client::Key;
use coracle_netdev::cidr::{self, Cidr, Range};
use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::core::{Selector, SelectorExt};

use super::world::{PodFacts, World};
use crate::endpoints;

/// A policy with addresses in place of selectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Its object.
    pub key: Key,
    /// The pods it restricts.
    pub subjects: BTreeSet<Ipv4Addr>,
    /// What they may receive; `None` when receiving is not restricted.
    pub ingress: Option<Vec<Allowance>>,
    /// What they may send; `None` when sending is not restricted.
    pub egress: Option<Vec<Allowance>>,
}

/// One rule of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance {
    /// The other side.
    pub peers: Peers,
    /// The destination's ports.
    pub ports: Ports,
}

/// The other side of a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peers {
    /// Anybody.
    All,
    /// These.
    Some {
        /// Addresses of pods.
        pods: BTreeSet<Ipv4Addr>,
        /// Blocks without their exceptions.
        blocks: Vec<Range>,
    },
}

/// Ports of a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ports {
    /// Every port of every protocol.
    All,
    /// These.
    Some {
        /// Protocol, first and last port.
        ranges: Vec<(u8, u16, u16)>,
        /// Named ports, as the pods that have them.
        named: BTreeSet<(Ipv4Addr, u8, u16)>,
    },
}

/// Resolves every policy of a world.
pub fn resolve(world: &World) -> Vec<Policy> {
    world
        .policies
        .iter()
        .filter_map(|(key, policy)| one(world, key, policy))
        .collect()
}

fn one(world: &World, key: &Key, policy: &NetworkPolicy) -> Option<Policy> {
    let spec = policy.spec.as_ref()?;
    let selector = spec.pod_selector.clone().unwrap_or_default();
    let subjects: Vec<&PodFacts> = select(world, Some(&key.namespace), None, &selector);
    let (ingress, egress) = directions(spec);
    let receive = || {
        let rules = spec.ingress.iter().flatten();
        rules
            .map(|rule| {
                let peers = peers(world, &key.namespace, rule.from.as_deref());
                // A named port is looked up in the pods that receive.
                let ports = ports(rule.ports.as_deref(), &subjects);
                Allowance { peers, ports }
            })
            .collect()
    };
    let send = || {
        let rules = spec.egress.iter().flatten();
        rules
            .map(|rule| {
                let peers = peers(world, &key.namespace, rule.to.as_deref());
                let ports = ports(rule.ports.as_deref(), &receivers(world, &peers));
                Allowance { peers, ports }
            })
            .collect()
    };
    Some(Policy {
        key: key.clone(),
        subjects: subjects.iter().map(|pod| pod.address).collect(),
        ingress: ingress.then(receive),
        egress: egress.then(send),
    })
}

/// Without types, ingress is meant, and egress when there are egress rules
/// (networking.k8s.io/v1, NetworkPolicySpec.policyTypes).
fn directions(spec: &NetworkPolicySpec) -> (bool, bool) {
    match spec.policy_types.as_deref() {
        Some(types) if !types.is_empty() => {
            let has = |name: &str| types.iter().any(|found| found == name);
            (has("Ingress"), has("Egress"))
        }
        _ => (
            true,
            spec.egress.as_ref().is_some_and(|rules| !rules.is_empty()),
        ),
    }
}

fn peers(world: &World, namespace: &str, peers: Option<&[NetworkPolicyPeer]>) -> Peers {
    let Some(peers) = peers.filter(|peers| !peers.is_empty()) else {
        return Peers::All;
    };
    let (mut pods, mut blocks) = (BTreeSet::new(), Vec::new());
    for peer in peers {
        if let Some(block) = &peer.ip_block {
            blocks.extend(ip_block(block));
            continue;
        }
        let everyone = LabelSelector::default();
        let pod_selector = peer.pod_selector.as_ref().unwrap_or(&everyone);
        let own = peer.namespace_selector.is_none().then_some(namespace);
        let found = select(world, own, peer.namespace_selector.as_ref(), pod_selector);
        pods.extend(found.iter().map(|pod| pod.address));
    }
    Peers::Some {
        pods,
        blocks: cidr::ranges(&blocks),
    }
}

/// An IPv6 block matches nothing here: pods have IPv4 addresses.
fn ip_block(block: &IPBlock) -> Option<(Cidr, Vec<Cidr>)> {
    let except = block.except.iter().flatten();
    let except = except.filter_map(|text| text.parse().ok()).collect();
    Some((block.cidr.parse().ok()?, except))
}

fn receivers<'a>(world: &'a World, peers: &Peers) -> Vec<&'a PodFacts> {
    match peers {
        Peers::Some { pods, blocks } if blocks.is_empty() => world
            .pods
            .values()
            .filter(|pod| pods.contains(&pod.address))
            .collect(),
        _ => world.pods.values().collect(),
    }
}

fn ports(ports: Option<&[NetworkPolicyPort]>, receivers: &[&PodFacts]) -> Ports {
    let Some(ports) = ports.filter(|ports| !ports.is_empty()) else {
        return Ports::All;
    };
    let (mut ranges, mut named) = (Vec::new(), BTreeSet::new());
    for port in ports {
        let protocol = endpoints::protocol(&port.protocol);
        let Some(protocol) = endpoints::protocol_number(protocol) else {
            continue;
        };
        match &port.port {
            None => ranges.push((protocol, 0, u16::MAX)),
            Some(IntOrString::Int(first)) => {
                let last = port.end_port.unwrap_or(*first);
                if let (Ok(first), Ok(last)) = (u16::try_from(*first), u16::try_from(last)) {
                    ranges.push((protocol, first, last));
                }
            }
            Some(IntOrString::String(name)) => {
                for pod in receivers {
                    let found = pod.ports.iter().filter(|(its_name, its_protocol, _)| {
                        its_name == name && *its_protocol == protocol
                    });
                    named.extend(found.map(|(.., number)| (pod.address, protocol, *number)));
                }
            }
        }
    }
    Ports::Some { ranges, named }
}

/// Returns pods by selector, of one namespace or of those another selects.
fn select<'a>(
    world: &'a World,
    namespace: Option<&str>,
    namespaces: Option<&LabelSelector>,
    pods: &LabelSelector,
) -> Vec<&'a PodFacts> {
    let (Some(pods), Some(namespaces)) = (
        read(pods),
        namespaces.map_or(Some(None), |selector| read(selector).map(Some)),
    ) else {
        return Vec::new();
    };
    world
        .pods
        .iter()
        .filter(|(key, pod)| {
            let in_namespace = match &namespaces {
                Some(selector) => world
                    .namespaces
                    .get(&key.namespace)
                    .is_some_and(|labels| selector.matches(labels)),
                None => namespace == Some(&key.namespace),
            };
            in_namespace && pods.matches(&pod.labels)
        })
        .map(|(_, pod)| pod)
        .collect()
}

fn read(selector: &LabelSelector) -> Option<Selector> {
    Selector::try_from(selector.clone()).ok()
}
