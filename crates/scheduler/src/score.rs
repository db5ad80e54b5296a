//! Which of the nodes that fit a pod suits it best: what it, and the pods that
//! are there, would rather have
//! (upstream: pkg/scheduler/framework/plugins, Score; apis/config/v1/default_plugins.go).
//!
//! Pure. All nodes share one store of images, and nothing is spread by default.

use std::collections::BTreeMap;
use std::sync::Arc;

use coracle_client::matching::{matches_term, tolerates};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::ResourceExt;

use crate::filter::{Placement, allocatable, tolerations};
use crate::ledger::Load;
use crate::resources::{Amounts, pod_requests, pod_requests_or_usual};
use crate::spread;

/// The best score of a node in one respect (upstream: MaxNodeScore).
const MAX: i64 = 100;
/// The resources by which nodes are compared.
const RESOURCES: [&str; 2] = ["cpu", "memory"];

/// A node that fits, and what it carries.
pub type Fitting = (Arc<Node>, Load);

/// Returns the node with the best score; of equal ones that with the fewest pods.
pub fn best(placement: &Placement<'_>, fitting: Vec<Fitting>) -> Option<Arc<Node>> {
    let scores = match fitting.len() {
        0 | 1 => vec![0; fitting.len()],
        _ => scores(placement, &fitting),
    };
    let scored = scores.into_iter().zip(fitting);
    let best = scored.max_by_key(|(score, (_, load))| (*score, -load.pods));
    best.map(|(_, (node, _))| node)
}

/// Returns the score of each node, weighed as in upstream's default profile.
fn scores(placement: &Placement<'_>, fitting: &[Fitting]) -> Vec<i64> {
    let pod = placement.pod;
    let by_node = |score: &dyn Fn(&Node) -> i64| -> Vec<i64> {
        fitting.iter().map(|(node, _)| score(node)).collect()
    };
    let by_load = |score: &dyn Fn(&Node, &Load) -> i64| -> Vec<i64> {
        let nodes = fitting.iter();
        nodes.map(|(node, load)| score(node, load)).collect()
    };
    let nodes: Vec<Arc<Node>> = fitting.iter().map(|(node, _)| node.clone()).collect();
    let affinity = placement.peers.preference(pod);
    let parts = [
        (3, reversed(by_node(&|node| unwanted_taints(pod, node)))),
        (2, normalized(by_node(&|node| node_affinity(pod, node)))),
        (1, by_load(&|node, load| least_allocated(pod, node, load))),
        (1, by_load(&|node, load| balanced(pod, node, load))),
        (2, spread(placement, &nodes)),
        (2, stretched(by_node(&|node| near(&affinity, node)))),
    ];
    let total = |index: usize| -> i64 {
        let parts = parts.iter();
        parts.map(|(weight, scores)| weight * scores[index]).sum()
    };
    (0..fitting.len()).map(total).collect()
}

/// Upstream: plugins/helper/normalize_score.go, DefaultNormalizeScore.
fn normalized(scores: Vec<i64>) -> Vec<i64> {
    let most = scores.iter().copied().max().unwrap_or(0);
    match most {
        0 => scores,
        most => scores.iter().map(|score| MAX * score / most).collect(),
    }
}

/// The same where less is better.
fn reversed(scores: Vec<i64>) -> Vec<i64> {
    let scores = normalized(scores);
    scores.iter().map(|score| MAX - score).collect()
}

/// Upstream: plugins/interpodaffinity/scoring.go, NormalizeScore.
fn stretched(scores: Vec<i64>) -> Vec<i64> {
    let least = scores.iter().copied().min().unwrap_or(0);
    let range = scores.iter().copied().max().unwrap_or(0) - least;
    let stretch = |score: &i64| match range {
        0 => 0,
        range => (MAX as f64 * ((score - least) as f64 / range as f64)) as i64,
    };
    scores.iter().map(stretch).collect()
}

/// Upstream: plugins/tainttoleration/taint_toleration.go, Score.
fn unwanted_taints(pod: &Pod, node: &Node) -> i64 {
    let spec = node.spec.iter();
    let taints = spec.flat_map(|spec| spec.taints.iter().flatten());
    let soft = taints.filter(|taint| taint.effect == "PreferNoSchedule");
    let unwanted = soft.filter(|taint| !tolerations(pod).iter().any(|one| tolerates(one, taint)));
    unwanted.count() as i64
}

/// Upstream: plugins/nodeaffinity/node_affinity.go, Score.
fn node_affinity(pod: &Pod, node: &Node) -> i64 {
    let affinity = pod.spec.as_ref().and_then(|spec| spec.affinity.as_ref());
    let own = affinity.and_then(|affinity| affinity.node_affinity.as_ref());
    let terms = own.and_then(|own| {
        own.preferred_during_scheduling_ignored_during_execution
            .as_ref()
    });
    let terms = terms.into_iter().flatten();
    let wanted = terms.filter(|term| matches_term(&term.preference, node));
    wanted.map(|term| i64::from(term.weight)).sum()
}

fn get(amounts: &Amounts, name: &str) -> i128 {
    amounts.get(name).copied().unwrap_or(0)
}

/// Upstream: plugins/noderesources/least_allocated.go.
fn least_allocated(pod: &Pod, node: &Node, load: &Load) -> i64 {
    let (have, own) = (allocatable(node), pod_requests_or_usual(pod));
    let known = RESOURCES.iter().filter(|name| get(&have, name) > 0);
    let free: Vec<i128> = known
        .map(|name| {
            let capacity = get(&have, name);
            let requested = get(&load.usual, name) + get(&own, name);
            (capacity - requested).max(0) * i128::from(MAX) / capacity
        })
        .collect();
    let sum: i128 = free.iter().sum();
    i64::try_from(sum / (free.len() as i128).max(1)).unwrap_or(0)
}

/// Upstream: plugins/noderesources/balanced_allocation.go, balancedResourceScorer.
fn balanced(pod: &Pod, node: &Node, load: &Load) -> i64 {
    let own = pod_requests(pod);
    if RESOURCES.iter().all(|name| get(&own, name) == 0) {
        return 0;
    }
    let have = allocatable(node);
    let balance = |with: &Amounts| {
        let known = RESOURCES.iter().filter(|name| get(&have, name) > 0);
        let used: Vec<f64> = known
            .map(|name| {
                let requested = get(&load.requested, name) + get(with, name);
                (requested as f64 / get(&have, name) as f64).min(1.0)
            })
            .collect();
        let deviation = match used[..] {
            [one, other] => ((one - other) / 2.0).abs(),
            _ => 0.0,
        };
        ((1.0 - deviation) * MAX as f64) as i64
    };
    MAX / 2 + (MAX / 2 + balance(&own) - balance(&Amounts::new())) / 2
}

/// Upstream: plugins/podtopologyspread/scoring.go. A node without one of the
/// labels has the least score.
fn spread(placement: &Placement<'_>, fitting: &[Arc<Node>]) -> Vec<i64> {
    let counts = spread::soft_counts(placement, fitting);
    if counts.is_empty() {
        return vec![0; fitting.len()];
    }
    let raw = |node: &Arc<Node>| -> Option<i64> {
        let score: Option<f64> = counts
            .iter()
            .map(|(constraint, counts)| {
                let part = node.labels().get(&constraint.topology_key)?;
                let found = counts.get(part.as_str())?;
                let weight = ((counts.len() + 2) as f64).ln();
                Some(*found as f64 * weight + f64::from(constraint.max_skew - 1))
            })
            .sum();
        score.map(|score| score.round() as i64)
    };
    let scores: Vec<Option<i64>> = fitting.iter().map(raw).collect();
    let least = scores.iter().flatten().copied().min().unwrap_or(0);
    let most = scores.iter().flatten().copied().max().unwrap_or(0);
    let score = |score: &Option<i64>| match (score, most) {
        (None, _) => 0,
        (Some(_), 0) => MAX,
        (Some(score), most) => MAX * (most + least - score) / most,
    };
    scores.iter().map(score).collect()
}

/// Returns what the pods that are near a node, as a pod's affinity has it,
/// count for it (upstream: plugins/interpodaffinity/scoring.go, Score).
fn near(preference: &BTreeMap<(String, String), i64>, node: &Node) -> i64 {
    let of_node = preference
        .iter()
        .filter(|((key, part), _)| node.labels().get(key) == Some(part));
    of_node.map(|(_, score)| score).sum()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::affinity::Peers;
    use crate::volumes::Needs;

    fn node(name: &str, zone: &str, more: Value) -> Arc<Node> {
        let mut node = json!({
            "metadata": {"name": name, "labels": {"zone": zone, "kubernetes.io/hostname": name}},
            "status": {"allocatable": {"cpu": "4", "memory": "10Gi", "pods": "110"}},
        });
        for (key, value) in more.as_object().expect("a mapping") {
            node[key.as_str()] = value.clone();
        }
        Arc::new(serde_json::from_value(node).expect("a node"))
    }

    fn pod(labels: Value, spec: Value) -> Arc<Pod> {
        let mut full = json!({"containers": [{"name": "c"}]});
        for (key, value) in spec.as_object().expect("a mapping") {
            full[key.as_str()] = value.clone();
        }
        let metadata = json!({"name": "p", "namespace": "ns", "labels": labels});
        let pod = json!({"metadata": metadata, "spec": full});
        Arc::new(serde_json::from_value(pod).expect("a pod"))
    }

    /// Checks which of two nodes in two zones is chosen; `there` are pods with
    /// the index of their node.
    #[track_caller]
    fn check(pod: &Arc<Pod>, nodes: &[Arc<Node>; 2], there: &[(usize, Arc<Pod>)], best_one: usize) {
        let mut peers = Peers::default();
        let mut loads = [Load::default(), Load::default()];
        for (index, other) in there {
            peers.add(other, &nodes[*index]);
            loads[*index].add(&crate::ledger::Share::of(other));
        }
        let needs = Needs::default();
        for order in [[0, 1], [1, 0]] {
            let placement = Placement {
                pod,
                nodes,
                needs: &needs,
                peers: &peers,
            };
            let fitting = order.map(|index| (nodes[index].clone(), loads[index].clone()));
            let chosen = best(&placement, fitting.to_vec()).expect("one is the best");
            assert_eq!(chosen.name_any(), nodes[best_one].name_any());
        }
    }

    fn two() -> [Arc<Node>; 2] {
        [node("a", "one", json!({})), node("b", "two", json!({}))]
    }

    fn asking(cpu: &str, memory: &str) -> Value {
        json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu, "memory": memory}}}]})
    }

    #[test]
    fn a_tolerated_and_an_empty_node_are_preferred() {
        let taints = json!({"taints": [{"key": "k", "value": "v", "effect": "PreferNoSchedule"}]});
        let tainted = [
            node("a", "one", json!({"spec": taints})),
            node("b", "two", json!({})),
        ];
        let plain = pod(json!({}), json!({}));
        check(&plain, &tainted, &[], 1);
        let tolerant = json!({"tolerations": [{"key": "k", "operator": "Exists"}]});
        let busy = pod(json!({}), asking("3", "6Gi"));
        check(&pod(json!({}), tolerant), &tainted, &[(1, busy.clone())], 0);
        check(&plain, &two(), &[(0, busy)], 1);
        // Pods that ask for nothing take the usual share (upstream: DefaultMilliCPURequest).
        check(&plain, &two(), &[(0, plain.clone())], 1);
    }

    #[test]
    fn preferred_node_affinity_counts_by_weight() {
        let term = |weight: i32, zone: &str| {
            json!({"weight": weight, "preference": {"matchExpressions": [
                {"key": "zone", "operator": "In", "values": [zone]},
            ]}})
        };
        let wants = |terms: Value| {
            let own = json!({"preferredDuringSchedulingIgnoredDuringExecution": terms});
            pod(json!({}), json!({"affinity": {"nodeAffinity": own}}))
        };
        check(&wants(json!([term(1, "two")])), &two(), &[], 1);
        check(
            &wants(json!([term(1, "two"), term(2, "one")])),
            &two(),
            &[],
            0,
        );
    }

    #[test]
    fn preferred_pod_affinity_attracts_and_repels_both_ways() {
        let term = |app: &str| {
            json!([{"weight": 100, "podAffinityTerm": {
                "topologyKey": "zone", "labelSelector": {"matchLabels": {"app": app}},
            }}])
        };
        let with = |labels: Value, kind: &str, app: &str| {
            let own = json!({"preferredDuringSchedulingIgnoredDuringExecution": term(app)});
            pod(labels, json!({"affinity": {kind: own}}))
        };
        let (web, plain) = (json!({"app": "web"}), json!({}));
        let other = pod(web.clone(), json!({}));
        let near = with(plain.clone(), "podAffinity", "web");
        check(&near, &two(), &[(0, other.clone())], 0);
        let away = with(plain.clone(), "podAntiAffinity", "web");
        check(&away, &two(), &[(1, other.clone())], 0);
        // What those that are there prefer counts too.
        check(&other, &two(), &[(0, near)], 0);
        check(&other, &two(), &[(1, away)], 0);
    }

    #[test]
    fn soft_constraints_spread() {
        let web = json!({"app": "web"});
        let spec = |key: &str| {
            json!({"topologySpreadConstraints": [{
                "maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {"app": "web"}},
            }]})
        };
        let there = pod(web.clone(), json!({}));
        let large = pod(json!({}), asking("500m", "1Gi"));
        for key in ["zone", "kubernetes.io/hostname"] {
            let placed = [(0, there.clone()), (1, large.clone())];
            check(&pod(web.clone(), spec(key)), &two(), &placed, 1);
        }
    }

    /// Upstream: noderesources/balanced_allocation_test.go, least_allocated_test.go.
    #[test]
    fn resources_are_scored_as_upstream_does() {
        let one = node(
            "a",
            "one",
            json!({"status": {"allocatable": {"cpu": "4", "memory": "10000"}}}),
        );
        let wants = pod(json!({}), asking("3", "5000"));
        assert_eq!(least_allocated(&wants, &one, &Load::default()), 37);
        assert_eq!(balanced(&wants, &one, &Load::default()), 68);
        let nothing = pod(json!({}), json!({}));
        assert_eq!(balanced(&nothing, &one, &Load::default()), 0);
    }
}
