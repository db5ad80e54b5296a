//! On which nodes a daemon's pod is to run
//! (upstream: pkg/controller/daemon/util, nodeShouldRunDaemonPod).

use std::sync::Arc;

use coracle_client::matching::{matches_selectors, tolerates};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Node, Pod, PodSpec, Toleration};
use kube::ResourceExt;
use serde_json::json;

/// Whether a node is to run a daemon's pod.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Place {
    /// It is to have one.
    Wanted,
    /// One that runs may stay, but none is made.
    Kept,
    /// It must have none.
    Refused,
}

/// Key and effect of the taints that every daemon tolerates; the node life
/// cycle must not take daemons away.
const TOLERATED: [(&str, &str); 6] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];

/// Adds the tolerations of daemons to a pod.
pub fn tolerate(spec: &mut PodSpec) {
    let network = ("node.kubernetes.io/network-unavailable", "NoSchedule");
    let more = (spec.host_network == Some(true)).then_some(network);
    let tolerations = spec.tolerations.get_or_insert_default();
    for (key, effect) in TOLERATED.into_iter().chain(more) {
        let toleration = Toleration {
            key: Some(key.into()),
            operator: Some("Exists".into()),
            effect: Some(effect.into()),
            ..Default::default()
        };
        if !tolerations.contains(&toleration) {
            tolerations.push(toleration);
        }
    }
}

/// Binds a pod to a node by affinity, which the scheduler follows.
pub fn pin(spec: &mut PodSpec, node: &str) {
    let affinity = spec.affinity.get_or_insert_default();
    let nodes = affinity.node_affinity.get_or_insert_default();
    let pinned = json!({"nodeSelectorTerms": [{
        "matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}],
    }]});
    nodes.required_during_scheduling_ignored_during_execution = serde_json::from_value(pinned).ok();
}

/// Returns the node that a pod has, or is pinned to.
pub fn node_of(pod: &Pod) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    if let Some(name) = spec.node_name.as_ref().filter(|name| !name.is_empty()) {
        return Some(name.clone());
    }
    let required = spec
        .affinity
        .as_ref()?
        .node_affinity
        .as_ref()?
        .required_during_scheduling_ignored_during_execution
        .as_ref()?;
    let mut fields = required
        .node_selector_terms
        .iter()
        .flat_map(|term| term.match_fields.iter().flatten());
    let field = fields.find(|field| field.key == "metadata.name" && field.operator == "In")?;
    field.values.as_ref()?.first().cloned()
}

/// Returns whether a node is to run a pod of the daemon.
pub fn place(set: &DaemonSet, node: &Arc<Node>) -> Place {
    let Some(mut spec) = set
        .spec
        .as_ref()
        .and_then(|spec| spec.template.spec.clone())
    else {
        return Place::Refused;
    };
    tolerate(&mut spec);
    let named = spec.node_name.as_ref().filter(|name| !name.is_empty());
    if named.is_some_and(|name| *name != node.name_any()) || !matches_selectors(&spec, node) {
        return Place::Refused;
    }
    let tolerations = spec.tolerations.as_deref().unwrap_or_default();
    let refused = |effect: &str| {
        let taints = node
            .spec
            .iter()
            .flat_map(|spec| spec.taints.iter().flatten());
        taints
            .filter(|taint| taint.effect == effect)
            .any(|taint| !tolerations.iter().any(|one| tolerates(one, taint)))
    };
    if refused("NoExecute") {
        Place::Refused
    } else if refused("NoSchedule") {
        Place::Kept
    } else {
        Place::Wanted
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn check(pod: Value, taints: Value, expected: Place) {
        let set: DaemonSet = serde_json::from_value(json!({
            "spec": {"selector": {}, "template": {"spec": pod}},
        }))
        .expect("a set");
        let node: Arc<Node> = Arc::new(
            serde_json::from_value(json!({
                "metadata": {"name": "one", "labels": {"disk": "ssd"}}, "spec": {"taints": taints},
            }))
            .expect("a node"),
        );
        assert_eq!(place(&set, &node), expected, "{set:?} on {node:?}");
    }

    /// Upstream: pkg/controller/daemon/daemon_controller_test.go, TestNodeShouldRunDaemonPod.
    #[test]
    fn selectors_and_taints_decide() {
        let plain = || json!({"containers": []});
        let taint = |key: &str, effect: &str| json!([{"key": key, "effect": effect}]);
        check(plain(), json!([]), Place::Wanted);
        check(
            json!({"containers": [], "nodeSelector": {"disk": "hdd"}}),
            json!([]),
            Place::Refused,
        );
        check(
            json!({"containers": [], "nodeName": "two"}),
            json!([]),
            Place::Refused,
        );
        check(plain(), taint("dedicated", "NoSchedule"), Place::Kept);
        check(plain(), taint("dedicated", "NoExecute"), Place::Refused);
        check(
            plain(),
            taint("dedicated", "PreferNoSchedule"),
            Place::Wanted,
        );
        check(
            plain(),
            taint("node.kubernetes.io/unschedulable", "NoSchedule"),
            Place::Wanted,
        );
        check(
            plain(),
            taint("node.kubernetes.io/not-ready", "NoExecute"),
            Place::Wanted,
        );
        check(
            json!({"containers": [], "tolerations": [{"operator": "Exists"}]}),
            taint("dedicated", "NoExecute"),
            Place::Wanted,
        );
    }

    #[test]
    fn a_pinned_pod_has_its_node() {
        let mut spec = PodSpec::default();
        pin(&mut spec, "one");
        let mut pod = Pod {
            spec: Some(spec),
            ..Default::default()
        };
        assert_eq!(node_of(&pod).as_deref(), Some("one"));
        pod.spec.as_mut().unwrap().node_name = Some("two".into());
        assert_eq!(node_of(&pod).as_deref(), Some("two"));
    }
}
