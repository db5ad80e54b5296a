//! How evenly a pod's kind is spread over the parts of the cluster: topology
//! spread constraints, which nodes must satisfy (`DoNotSchedule`) or are ordered
//! by (`ScheduleAnyway`)
//! (upstream: pkg/scheduler/framework/plugins/podtopologyspread).
//!
//! Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use coracle_client::matching::matches_selectors;
use k8s_openapi::api::core::v1::{Node, Pod, TopologySpreadConstraint};
use kube::ResourceExt;
use kube::core::{Selector, SelectorExt};

use crate::affinity::Peer;
use crate::filter::{Failure, Placement, has_untolerated_taint};

const UNEVEN: &str = "node(s) didn't match pod topology spread constraints";
const UNLABELLED: &str =
    "node(s) didn't match pod topology spread constraints (missing required label)";

fn all(pod: &Pod) -> impl Iterator<Item = &TopologySpreadConstraint> {
    let spec = pod.spec.iter();
    spec.flat_map(|spec| spec.topology_spread_constraints.iter().flatten())
}

/// Returns the constraints that a node has to satisfy.
fn constraints(pod: &Pod) -> impl Iterator<Item = &TopologySpreadConstraint> {
    all(pod).filter(|constraint| constraint.when_unsatisfiable == "DoNotSchedule")
}

/// Returns whether others count for a pod in any of its constraints.
pub fn counts_others(pod: &Pod) -> bool {
    all(pod).next().is_some()
}

/// A constraint, and how many pods it counts in each part of the cluster.
pub type Counted<'a> = (&'a TopologySpreadConstraint, BTreeMap<&'a str, i64>);

/// Returns the counts of the constraints that only order nodes, in the parts to
/// which the fitting nodes belong (upstream: scoring.go, initPreScoreState).
pub fn soft_counts<'a>(placement: &Placement<'a>, fitting: &'a [Arc<Node>]) -> Vec<Counted<'a>> {
    let pod = placement.pod;
    let soft = all(pod).filter(|constraint| constraint.when_unsatisfiable == "ScheduleAnyway");
    soft.map(|constraint| {
        let mut counts = counts(pod, constraint, placement.nodes, &placement.peers.all);
        let labels = fitting
            .iter()
            .filter(|node| is_labelled(pod, constraint, node));
        let parts: BTreeSet<&str> = labels
            .map(|node| node.labels()[&constraint.topology_key].as_str())
            .collect();
        counts.retain(|part, _| parts.contains(part));
        for part in parts {
            counts.entry(part).or_default();
        }
        (constraint, counts)
    })
    .collect()
}

/// Returns whether a pod's place depends on where others are.
pub fn depends(pod: &Pod) -> bool {
    constraints(pod).next().is_some()
}

/// Returns why the pod would be spread too unevenly on a node, given all nodes
/// and the pods on them.
pub fn failures(pod: &Pod, node: &Node, nodes: &[Arc<Node>], peers: &[Peer]) -> Vec<Failure> {
    for constraint in constraints(pod) {
        let Some(here) = node.labels().get(&constraint.topology_key) else {
            return vec![(UNLABELLED.to_owned(), false)];
        };
        let counts = counts(pod, constraint, nodes, peers);
        let min_domains = usize::try_from(constraint.min_domains.unwrap_or(1)).unwrap_or(1);
        let fewest = match counts.len() < min_domains {
            true => 0,
            false => counts.values().copied().min().unwrap_or(0),
        };
        let found = counts.get(here.as_str()).copied().unwrap_or(0);
        let own = selector(constraint).is_some_and(|selector| selector.matches(pod.labels()));
        if found + i64::from(own) - fewest > i64::from(constraint.max_skew) {
            return vec![(UNEVEN.to_owned(), true)];
        }
    }
    Vec::new()
}

/// Returns a constraint's selector; none selects nothing.
fn selector(constraint: &TopologySpreadConstraint) -> Option<Selector> {
    let selector = constraint.label_selector.clone()?;
    Selector::try_from(selector).ok()
}

/// Returns how many pods a constraint counts in each part of the cluster.
fn counts<'a>(
    pod: &Pod,
    constraint: &TopologySpreadConstraint,
    nodes: &'a [Arc<Node>],
    peers: &[Peer],
) -> BTreeMap<&'a str, i64> {
    let mut counts = BTreeMap::new();
    // An empty selector counts nobody (upstream: countPodsMatchSelector).
    let selector = selector(constraint).filter(|selector| !selector.selects_all());
    for node in nodes
        .iter()
        .filter(|node| is_counted(pod, constraint, node))
    {
        let here = peers.iter().filter(|peer| {
            peer.node.metadata.name == node.metadata.name
                && peer.pod.metadata.deletion_timestamp.is_none()
                && peer.pod.metadata.namespace == pod.metadata.namespace
        });
        let matching = here.filter(|peer| {
            let selector = selector.as_ref();
            selector.is_some_and(|selector| selector.matches(peer.pod.labels()))
        });
        let part = node.labels()[&constraint.topology_key].as_str();
        *counts.entry(part).or_default() += i64::try_from(matching.count()).unwrap_or(i64::MAX);
    }
    counts
}

/// Returns whether a node's pods count: it has the labels of all constraints,
/// and the pod could go there as far as the constraint's policies ask.
fn is_counted(pod: &Pod, constraint: &TopologySpreadConstraint, node: &Node) -> bool {
    let ignores_affinity = constraint.node_affinity_policy.as_deref() == Some("Ignore");
    let honors_taints = constraint.node_taints_policy.as_deref() == Some("Honor");
    let spec = pod.spec.as_ref();
    is_labelled(pod, constraint, node)
        && (ignores_affinity || spec.is_none_or(|spec| matches_selectors(spec, node)))
        && !(honors_taints && has_untolerated_taint(pod, node))
}

/// Returns whether a node has the labels of all constraints of this kind.
fn is_labelled(pod: &Pod, constraint: &TopologySpreadConstraint, node: &Node) -> bool {
    let alike = all(pod).filter(|one| one.when_unsatisfiable == constraint.when_unsatisfiable);
    let mut keys = alike.map(|one| &one.topology_key);
    keys.all(|key| node.labels().contains_key(key))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn node(name: &str, labels: Value, spec: Value) -> Arc<Node> {
        let node = json!({"metadata": {"name": name, "labels": labels}, "spec": spec});
        Arc::new(serde_json::from_value(node).expect("a node"))
    }

    /// Two zones of two nodes; the last node belongs to none.
    fn nodes() -> Vec<Arc<Node>> {
        let named = |name: &str, zone: &str, spec: Value| {
            node(name, json!({"zone": zone, "node": name}), spec)
        };
        let tainted = json!({"taints": [{"key": "k", "effect": "NoSchedule"}]});
        vec![
            named("a", "zone1", json!({})),
            named("b", "zone1", json!({})),
            named("x", "zone2", json!({})),
            named("y", "zone2", tainted),
            node("bare", json!({"node": "bare"}), json!({})),
        ]
    }

    fn pod(namespace: &str, app: &str, spec: Value) -> Pod {
        let meta = json!({"name": app, "namespace": namespace, "labels": {"app": app}});
        serde_json::from_value(json!({"metadata": meta, "spec": spec})).expect("a pod")
    }

    fn spread(constraints: Value) -> Value {
        json!({"containers": [], "topologySpreadConstraints": constraints})
    }

    fn constraint(key: &str, more: Value) -> Value {
        let mut constraint = json!({
            "maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"app": "web"}},
        });
        for (key, value) in more.as_object().expect("a mapping") {
            constraint[key.as_str()] = value.clone();
        }
        constraint
    }

    /// `fits` names the nodes that fit, with `placed` as many pods on each node.
    fn check(spec: Value, placed: [usize; 5], fits: &[&str]) {
        let (nodes, wanting) = (nodes(), pod("ns", "web", spec.clone()));
        let other = Arc::new(pod("ns", "web", json!({"containers": []})));
        let stranger = Arc::new(pod("elsewhere", "web", json!({"containers": []})));
        let mut peers = Vec::new();
        for (node, count) in nodes.iter().zip(placed) {
            let peer = |pod: &Arc<Pod>| Peer {
                pod: pod.clone(),
                node: node.clone(),
            };
            peers.extend((0..count).map(|_| peer(&other)));
            // Pods of other namespaces never count.
            peers.extend([peer(&stranger), peer(&stranger)]);
        }
        let fit = nodes
            .iter()
            .filter(|node| failures(&wanting, node, &nodes, &peers).is_empty());
        let names: Vec<String> = fit.map(|node| node.name_any()).collect();
        assert_eq!(names, fits, "{spec} {placed:?}");
    }

    /// Upstream: podtopologyspread/filtering_test.go, TestSingleConstraint,
    /// TestMultipleConstraints.
    #[test]
    fn pods_are_spread_over_the_parts_of_the_cluster() {
        let zones = |more: Value| spread(json!([constraint("zone", more)]));
        let names = |more: Value| spread(json!([constraint("node", more)]));
        let all = ["a", "b", "x", "y"];
        check(zones(json!({})), [0; 5], &all);
        check(zones(json!({})), [2, 1, 0, 0, 0], &["x", "y"]);
        check(zones(json!({})), [1, 0, 1, 0, 0], &all);
        check(zones(json!({"maxSkew": 2})), [1, 0, 0, 0, 0], &all);
        check(names(json!({})), [2, 1, 0, 3, 0], &["x", "bare"]);
        check(
            zones(json!({"whenUnsatisfiable": "ScheduleAnyway"})),
            [9; 5],
            &["a", "b", "x", "y", "bare"],
        );
        // Pods that the constraint does not count do not stand in the way.
        let others = json!({"labelSelector": {"matchLabels": {"app": "db"}}});
        check(zones(others), [5, 0, 0, 0, 0], &all);
        // Both must hold; nodes without one of the labels are not counted.
        let both = spread(json!([
            constraint("zone", json!({})),
            constraint("node", json!({}))
        ]));
        check(both, [1, 0, 0, 1, 3], &["b", "x"]);
    }

    #[test]
    fn missing_parts_count_as_empty() {
        let zones = |more: Value| spread(json!([constraint("zone", more)]));
        check(zones(json!({"minDomains": 3})), [1, 0, 1, 0, 0], &[]);
        check(
            zones(json!({"minDomains": 3})),
            [1, 0, 0, 0, 0],
            &["x", "y"],
        );
        check(
            zones(json!({"minDomains": 2})),
            [1, 0, 1, 0, 0],
            &["a", "b", "x", "y"],
        );
    }

    /// Upstream: filtering_test.go, the cases of NodeInclusionPolicies.
    #[test]
    fn nodes_that_the_pod_cannot_use_do_not_count() {
        let one = |more: Value| {
            let mut spec = spread(json!([constraint("node", more)]));
            spec["nodeSelector"] = json!({"zone": "zone2"});
            spec
        };
        check(
            one(json!({})),
            [0, 0, 1, 1, 0],
            &["a", "b", "x", "y", "bare"],
        );
        check(
            one(json!({"nodeAffinityPolicy": "Ignore"})),
            [0, 0, 1, 1, 0],
            &["a", "b", "bare"],
        );
        check(
            one(json!({"nodeTaintsPolicy": "Honor"})),
            [0, 0, 1, 0, 0],
            &["a", "b", "x", "y", "bare"],
        );
        check(one(json!({})), [0, 0, 1, 0, 0], &["a", "b", "y", "bare"]);
    }

    #[test]
    fn the_reason_says_whether_others_could_make_room() {
        let nodes = nodes();
        let check = |key: &str, node: &Arc<Node>, expected: (&str, bool)| {
            let spec = spread(json!([constraint(
                key,
                json!({"maxSkew": 1, "minDomains": 9})
            )]));
            let peer = Peer {
                pod: Arc::new(pod("ns", "web", json!({"containers": []}))),
                node: node.clone(),
            };
            let got = failures(&pod("ns", "web", spec), node, &nodes, &[peer]);
            assert_eq!(got, [(expected.0.to_owned(), expected.1)]);
        };
        check("node", &nodes[0], (UNEVEN, true));
        check("rack", &nodes[0], (UNLABELLED, false));
        check("zone", &nodes[4], (UNLABELLED, false));
    }
}
