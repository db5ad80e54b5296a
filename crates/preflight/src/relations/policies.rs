//! What NetworkPolicies allow between pods of the release.
//!
//! Main type: [`Policies`]. Where a rule cannot be decided from manifests
//! alone, such as an address block, it counts as allowing.

use crate::object::Object;
use crate::workload::Workload;
use crate::world::World;
use coracle_machinery::selector::LabelSelector;
use serde_json::{Map, Value};

/// All policies of the release.
pub struct Policies<'p> {
    world: &'p World<'p>,
    all: Vec<&'p Object>,
}

/// A direction.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Into the pods.
    Ingress,
    /// Out of the pods.
    Egress,
}

impl Way {
    fn rules(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Way::Ingress => ("Ingress", "ingress", "from"),
            Way::Egress => ("Egress", "egress", "to"),
        }
    }
}

/// The other end of a connection.
#[derive(Clone, Copy)]
pub enum Peer<'p> {
    /// Pods of a workload.
    Pods(&'p Workload<'p>),
    /// Something outside.
    Outside,
    /// The cluster's name service.
    Names,
}

impl<'p> Policies<'p> {
    /// Gathers the policies.
    pub fn of(world: &'p World<'p>) -> Policies<'p> {
        Policies {
            world,
            all: world.of_kind("NetworkPolicy").collect(),
        }
    }

    /// Returns the policies that isolate pods in a direction and none of which
    /// allows the connection; nothing when it is allowed.
    pub fn denied(
        &self,
        pods: &Workload<'_>,
        way: Way,
        peer: Peer<'_>,
        ports: &[(i64, &str)],
        protocol: &str,
    ) -> Vec<&'p Object> {
        let isolating: Vec<&Object> = self
            .all
            .iter()
            .filter(|policy| selects(policy, pods) && isolates(policy, way))
            .copied()
            .collect();
        let allowed = isolating
            .iter()
            .any(|policy| self.allows(policy, way, peer, ports, protocol));
        if allowed { Vec::new() } else { isolating }
    }

    fn allows(
        &self,
        policy: &Object,
        way: Way,
        peer: Peer<'_>,
        ports: &[(i64, &str)],
        protocol: &str,
    ) -> bool {
        let (_, rules, peers) = way.rules();
        let rules = policy.value["spec"][rules].as_array();
        rules.into_iter().flatten().any(|rule| {
            self.peer_matches(policy, &rule[peers], peer)
                && port_matches(&rule["ports"], ports, protocol)
        })
    }

    fn peer_matches(&self, policy: &Object, peers: &Value, peer: Peer<'_>) -> bool {
        let Some(peers) = peers.as_array().filter(|list| !list.is_empty()) else {
            return true;
        };
        peers.iter().any(|one| {
            if !one["ipBlock"].is_null() {
                return !matches!(peer, Peer::Names);
            }
            match peer {
                Peer::Outside => false,
                Peer::Names => names_match(one),
                Peer::Pods(pods) => self.pods_match(policy, one, pods),
            }
        })
    }

    fn pods_match(&self, policy: &Object, peer: &Value, pods: &Workload<'_>) -> bool {
        let in_namespace = match peer.get("namespaceSelector") {
            None | Some(Value::Null) => pods.namespace() == policy.id.namespace,
            Some(selector) => {
                let labels = self.namespace_labels(pods.namespace());
                matches(selector, &labels)
            }
        };
        let selected = match peer.get("podSelector") {
            None | Some(Value::Null) => true,
            Some(selector) => matches(selector, &pods.labels()),
        };
        in_namespace && selected
    }

    fn namespace_labels(&self, name: &str) -> Map<String, Value> {
        let found = self.world.find("Namespace", "", name).value();
        let mut labels = found
            .and_then(|namespace| namespace["metadata"]["labels"].as_object())
            .cloned()
            .unwrap_or_default();
        labels.insert("kubernetes.io/metadata.name".into(), name.into());
        labels
    }
}

fn selects(policy: &Object, pods: &Workload<'_>) -> bool {
    policy.id.namespace == pods.namespace()
        && matches(&policy.value["spec"]["podSelector"], &pods.labels())
}

/// Without `policyTypes` a policy is about ingress, and about egress if it has
/// such rules.
fn isolates(policy: &Object, way: Way) -> bool {
    let (word, rules, _) = way.rules();
    match policy.value["spec"]["policyTypes"].as_array() {
        Some(types) => types.iter().any(|one| one == word),
        None => way == Way::Ingress || !policy.value["spec"][rules].is_null(),
    }
}

fn matches(selector: &Value, labels: &Map<String, Value>) -> bool {
    LabelSelector::from_object(Some(selector)).is_ok_and(|selector| selector.matches(labels))
}

/// The pods of the name service and their namespace have well-known labels.
fn names_match(peer: &Value) -> bool {
    let labels = |text: &[(&str, &str)]| -> Map<String, Value> {
        text.iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).into()))
            .collect()
    };
    let namespace = labels(&[
        ("kubernetes.io/metadata.name", "kube-system"),
        ("name", "kube-system"),
    ]);
    let in_namespace = match peer.get("namespaceSelector") {
        None | Some(Value::Null) => false,
        Some(selector) => matches(selector, &namespace),
    };
    let selected = match peer.get("podSelector") {
        None | Some(Value::Null) => true,
        Some(selector) => {
            matches(selector, &labels(&[("k8s-app", "kube-dns")]))
                || matches(selector, &labels(&[("k8s-app", "coredns")]))
                || matches(selector, &labels(&[("app.kubernetes.io/name", "coredns")]))
        }
    };
    in_namespace && selected
}

fn port_matches(rules: &Value, ports: &[(i64, &str)], protocol: &str) -> bool {
    let Some(rules) = rules.as_array().filter(|list| !list.is_empty()) else {
        return true;
    };
    rules.iter().any(|rule| {
        if rule["protocol"].as_str().unwrap_or("TCP") != protocol {
            return false;
        }
        match &rule["port"] {
            Value::Null => true,
            Value::String(name) => ports.iter().any(|(_, own)| own == name),
            first => {
                let first = first.as_i64().unwrap_or_default();
                let last = rule["endPort"].as_i64().unwrap_or(first);
                ports
                    .iter()
                    .any(|(number, _)| (first..=last).contains(number))
            }
        }
    })
}
