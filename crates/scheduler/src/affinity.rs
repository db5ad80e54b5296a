//! Which nodes a pod may share with which others, and would rather: pod affinity
//! and anti-affinity (upstream: pkg/scheduler/framework/plugins/interpodaffinity).
//!
//! Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use coracle_client::key_of;
use k8s_openapi::api::core::v1::{Affinity, Namespace, Node, Pod, PodAffinityTerm};
use kube::ResourceExt;
use kube::core::{Selector, SelectorExt};

use crate::filter::Failure;

/// A pod and the node that carries it.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The pod.
    pub pod: Arc<Pod>,
    /// Its node.
    pub node: Arc<Node>,
}

/// The pods that count for the one that is placed.
#[derive(Debug, Clone, Default)]
pub struct Peers {
    /// Every pod on a node; may be empty where the pod itself asks for nothing.
    pub all: Vec<Peer>,
    /// Those that have a word in where others go.
    pub concerned: Vec<Peer>,
    /// The namespaces, whose labels terms may select.
    pub namespaces: Vec<Arc<Namespace>>,
}

fn affinity(pod: &Pod) -> Option<&Affinity> {
    pod.spec.as_ref()?.affinity.as_ref()
}

/// Returns the terms of which all must hold beside some other pod.
pub fn attracted(pod: &Pod) -> &[PodAffinityTerm] {
    let affinity = affinity(pod).and_then(|affinity| affinity.pod_affinity.as_ref());
    affinity
        .and_then(|own| {
            own.required_during_scheduling_ignored_during_execution
                .as_deref()
        })
        .unwrap_or_default()
}

/// Returns the terms of which none may hold beside any other pod.
pub fn repelled(pod: &Pod) -> &[PodAffinityTerm] {
    let affinity = affinity(pod).and_then(|affinity| affinity.pod_anti_affinity.as_ref());
    affinity
        .and_then(|own| {
            own.required_during_scheduling_ignored_during_execution
                .as_deref()
        })
        .unwrap_or_default()
}

/// Returns whether a pod's place depends on where others are.
pub fn depends(pod: &Pod) -> bool {
    !attracted(pod).is_empty() || !repelled(pod).is_empty()
}

/// Returns the terms of which a pod would rather have the one, and not the other,
/// beside it, with what they count.
fn preferred(pod: &Pod) -> impl Iterator<Item = (&PodAffinityTerm, i64)> {
    let affinity = affinity(pod);
    let near = affinity.and_then(|affinity| affinity.pod_affinity.as_ref());
    let near = near.and_then(|own| {
        own.preferred_during_scheduling_ignored_during_execution
            .as_ref()
    });
    let away = affinity.and_then(|affinity| affinity.pod_anti_affinity.as_ref());
    let away = away.and_then(|own| {
        own.preferred_during_scheduling_ignored_during_execution
            .as_ref()
    });
    let near = near.into_iter().flatten();
    let away = away.into_iter().flatten();
    near.map(|one| (&one.pod_affinity_term, i64::from(one.weight)))
        .chain(away.map(|one| (&one.pod_affinity_term, -i64::from(one.weight))))
}

/// Returns whether a pod says anything of what is to be beside it.
pub fn concerns_others(pod: &Pod) -> bool {
    depends(pod) || preferred(pod).next().is_some()
}

impl Peers {
    /// Adds a pod on a node.
    pub fn add(&mut self, pod: &Arc<Pod>, node: &Arc<Node>) {
        let peer = Peer {
            pod: pod.clone(),
            node: node.clone(),
        };
        if concerns_others(pod) {
            self.concerned.push(peer.clone());
        }
        self.all.push(peer);
    }

    /// Takes a pod off its node.
    pub fn remove(&mut self, pod: &Pod) {
        let key = key_of(pod);
        for peers in [&mut self.all, &mut self.concerned] {
            peers.retain(|peer| key_of(&*peer.pod) != key);
        }
    }

    /// Returns why the pod may not share the node with those that are near it.
    pub fn failures(&self, pod: &Pod, node: &Node) -> Vec<Failure> {
        let reason = if !self.is_attracted(pod, node) {
            ("node(s) didn't match pod affinity rules", false)
        } else if self.is_repelled(pod, node) {
            ("node(s) didn't match pod anti-affinity rules", true)
        } else if self.is_kept_away(pod, node) {
            let reason = "node(s) didn't satisfy existing pods anti-affinity rules";
            (reason, true)
        } else {
            return Vec::new();
        };
        vec![(reason.0.to_owned(), reason.1)]
    }

    fn is_attracted(&self, pod: &Pod, node: &Node) -> bool {
        let terms = attracted(pod);
        if !terms
            .iter()
            .all(|term| node.labels().contains_key(&term.topology_key))
        {
            return false;
        }
        let fits = |other: &Pod| terms.iter().all(|term| self.selects(term, pod, other));
        let mut friends = self.all.iter().filter(|peer| fits(&peer.pod)).peekable();
        // The first of a group that asks for itself has to begin somewhere.
        if friends.peek().is_none() {
            return fits(pod);
        }
        let friends: Vec<&Peer> = friends.collect();
        terms.iter().all(|term| {
            let mut friends = friends.iter();
            friends.any(|peer| is_near(term, node, &peer.node))
        })
    }

    fn is_repelled(&self, pod: &Pod, node: &Node) -> bool {
        repelled(pod).iter().any(|term| {
            let mut near = self
                .all
                .iter()
                .filter(|peer| is_near(term, node, &peer.node));
            near.any(|peer| self.selects(term, pod, &peer.pod))
        })
    }

    fn is_kept_away(&self, pod: &Pod, node: &Node) -> bool {
        self.concerned.iter().any(|peer| {
            repelled(&peer.pod)
                .iter()
                .any(|term| is_near(term, node, &peer.node) && self.selects(term, &peer.pod, pod))
        })
    }

    /// Returns what each part of the cluster, named by a label, counts for a pod:
    /// what it would rather have beside it, and those that are there would
    /// (upstream: interpodaffinity/scoring.go, processExistingPod).
    pub fn preference(&self, pod: &Pod) -> BTreeMap<(String, String), i64> {
        let mut scores = BTreeMap::new();
        let mut count = |term: &PodAffinityTerm, node: &Node, weight: i64| {
            if let Some(part) = node.labels().get(&term.topology_key) {
                let part = (term.topology_key.clone(), part.clone());
                *scores.entry(part).or_default() += weight;
            }
        };
        for peer in &self.all {
            for (term, weight) in preferred(pod) {
                if self.selects(term, pod, &peer.pod) {
                    count(term, &peer.node, weight);
                }
            }
        }
        for peer in &self.concerned {
            // What one must have beside it counts a little too.
            let required = attracted(&peer.pod).iter().map(|term| (term, 1));
            for (term, weight) in required.chain(preferred(&peer.pod)) {
                if self.selects(term, &peer.pod, pod) {
                    count(term, &peer.node, weight);
                }
            }
        }
        scores
    }

    /// Returns whether a term of `owner` selects another pod.
    fn selects(&self, term: &PodAffinityTerm, owner: &Pod, other: &Pod) -> bool {
        let selector = term.label_selector.clone();
        let selector = selector.and_then(|selector| Selector::try_from(selector).ok());
        selector.is_some_and(|selector| selector.matches(other.labels()))
            && self.covers(term, owner, &other.namespace().unwrap_or_default())
    }

    /// Returns whether a term looks into a namespace: by default the owner's own.
    fn covers(&self, term: &PodAffinityTerm, owner: &Pod, namespace: &str) -> bool {
        let named = term.namespaces.as_deref().unwrap_or_default();
        let Some(selector) = term.namespace_selector.clone() else {
            return match named {
                [] => owner.namespace().unwrap_or_default() == namespace,
                named => named.iter().any(|name| name == namespace),
            };
        };
        let selected = Selector::try_from(selector).is_ok_and(|selector| {
            let found = self
                .namespaces
                .iter()
                .find(|one| one.name_any() == namespace);
            found.is_some_and(|found| selector.matches(found.labels()))
        });
        selected || named.iter().any(|name| name == namespace)
    }
}

/// Returns whether a node is in the same part of the cluster as another.
fn is_near(term: &PodAffinityTerm, node: &Node, other: &Node) -> bool {
    let here = node.labels().get(&term.topology_key);
    here.is_some() && here == other.labels().get(&term.topology_key)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const AFFINITY: &str = "node(s) didn't match pod affinity rules";
    const ANTI: &str = "node(s) didn't match pod anti-affinity rules";
    const EXISTING: &str = "node(s) didn't satisfy existing pods anti-affinity rules";

    fn pod(namespace: &str, app: &str, affinity: Value) -> Arc<Pod> {
        let pod = json!({
            "metadata": {"name": app, "namespace": namespace, "labels": {"app": app}},
            "spec": {"containers": [], "affinity": affinity},
        });
        Arc::new(serde_json::from_value(pod).expect("a pod"))
    }

    fn node(zone: &str) -> Node {
        let labels = json!({"zone": zone});
        serde_json::from_value(json!({"metadata": {"name": zone, "labels": labels}}))
            .expect("a node")
    }

    fn term(app: &str, more: Value) -> Value {
        let mut term =
            json!({"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": app}}});
        for (key, value) in more.as_object().expect("a mapping") {
            term[key.as_str()] = value.clone();
        }
        term
    }

    fn required(kind: &str, term: Value) -> Value {
        json!({kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}})
    }

    fn near(term: Value) -> Value {
        required("podAffinity", term)
    }

    fn apart(term: Value) -> Value {
        required("podAntiAffinity", term)
    }

    fn check(pod: &Arc<Pod>, others: &[(&Arc<Pod>, &str)], expected: [Option<&str>; 2]) {
        let peers: Vec<Peer> = others
            .iter()
            .map(|(pod, zone)| Peer {
                pod: (*pod).clone(),
                node: Arc::new(node(zone)),
            })
            .collect();
        let concerned = peers.iter().filter(|peer| concerns_others(&peer.pod));
        let namespace = json!({"metadata": {"name": "b", "labels": {"team": "two"}}});
        let peers = Peers {
            concerned: concerned.cloned().collect(),
            all: peers,
            namespaces: vec![Arc::new(serde_json::from_value(namespace).expect("one"))],
        };
        let got = ["east", "west"].map(|zone| peers.failures(pod, &node(zone)));
        let got = got
            .each_ref()
            .map(|all| all.first().map(|(reason, _)| &**reason));
        assert_eq!(got, expected, "{pod:?}");
    }

    /// Upstream: interpodaffinity/filtering_test.go, TestRequiredAffinitySingleNode,
    /// TestRequiredAffinityMultipleNodes.
    #[test]
    fn pods_go_where_their_friends_are() {
        let plain = pod("a", "db", json!({}));
        let asks = |more: Value| pod("a", "web", near(term("db", more)));
        check(
            &asks(json!({})),
            &[(&plain, "west")],
            [Some(AFFINITY), None],
        );
        check(&asks(json!({})), &[], [Some(AFFINITY); 2]);
        let missing = asks(json!({"topologyKey": "rack"}));
        check(&missing, &[(&plain, "west")], [Some(AFFINITY); 2]);
        // The first of its own kind may go anywhere, the next goes to it.
        let own = pod("a", "web", near(term("web", json!({}))));
        check(&own, &[], [None; 2]);
        check(&own, &[(&own, "east")], [None, Some(AFFINITY)]);
    }

    #[test]
    fn pods_stay_away_from_those_they_are_kept_from() {
        let plain = pod("a", "web", json!({}));
        let spread = pod("a", "web", apart(term("web", json!({}))));
        check(&spread, &[(&plain, "west")], [None, Some(ANTI)]);
        check(&spread, &[], [None; 2]);
        // It holds the other way round too.
        check(&plain, &[(&spread, "east")], [Some(EXISTING), None]);
        check(&pod("a", "db", json!({})), &[(&spread, "east")], [None; 2]);
        let unknown = pod(
            "a",
            "web",
            apart(term("web", json!({"topologyKey": "rack"}))),
        );
        check(&unknown, &[(&plain, "west")], [None; 2]);
    }

    #[test]
    fn a_term_looks_into_its_namespaces() {
        let there = pod("b", "db", json!({}));
        let asks = |more: Value| pod("a", "web", apart(term("db", more)));
        let kept = [None, Some(ANTI)];
        check(&asks(json!({})), &[(&there, "west")], [None; 2]);
        check(
            &asks(json!({"namespaces": ["b"]})),
            &[(&there, "west")],
            kept,
        );
        check(
            &asks(json!({"namespaceSelector": {}})),
            &[(&there, "west")],
            kept,
        );
        let team = |name: &str| asks(json!({"namespaceSelector": {"matchLabels": {"team": name}}}));
        check(&team("two"), &[(&there, "west")], kept);
        check(&team("one"), &[(&there, "west")], [None; 2]);
    }
}
