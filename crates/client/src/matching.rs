//! Which nodes a pod's selectors and tolerations fit, as scheduler and daemons
//! must answer alike (upstream: k8s.io/component-helpers/scheduling/corev1).

use k8s_openapi::api::core::v1::{
    Node, NodeSelectorRequirement, NodeSelectorTerm, PodSpec, Taint, Toleration,
};
use kube::ResourceExt;

/// Returns whether a toleration covers a taint (Kubernetes: Taints and Tolerations).
pub fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let effect = toleration.effect.as_deref().unwrap_or("");
    let key = toleration.key.as_deref().unwrap_or("");
    if !effect.is_empty() && effect != taint.effect || !key.is_empty() && key != taint.key {
        return false;
    }
    match toleration.operator.as_deref() {
        Some("Exists") => true,
        _ => {
            !key.is_empty()
                && toleration.value.as_deref().unwrap_or("") == taint.value.as_deref().unwrap_or("")
        }
    }
}

/// Returns whether a node has what a pod's node selector and required node
/// affinity ask for.
pub fn matches_selectors(spec: &PodSpec, node: &Node) -> bool {
    let selected = spec
        .node_selector
        .iter()
        .flatten()
        .all(|(key, value)| node.labels().get(key) == Some(value));
    let required = spec
        .affinity
        .as_ref()
        .and_then(|affinity| affinity.node_affinity.as_ref())
        .and_then(|affinity| {
            affinity
                .required_during_scheduling_ignored_during_execution
                .as_ref()
        });
    let matched = required.is_none_or(|required| {
        required
            .node_selector_terms
            .iter()
            .any(|term| matches_term(term, node))
    });
    selected && matched
}

/// Returns whether a node matches all of a term's requirements; an empty term matches none.
pub fn matches_term(term: &NodeSelectorTerm, node: &Node) -> bool {
    let by_label: Vec<_> = term.match_expressions.iter().flatten().collect();
    let by_field: Vec<_> = term.match_fields.iter().flatten().collect();
    if by_label.is_empty() && by_field.is_empty() {
        return false;
    }
    let name = node.name_any();
    by_label.iter().all(|requirement| {
        matches(
            requirement,
            node.labels().get(&requirement.key).map(String::as_str),
        )
    }) && by_field
        .iter()
        .all(|requirement| requirement.key == "metadata.name" && matches(requirement, Some(&name)))
}

fn matches(requirement: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let among = || value.is_some_and(|value| values.iter().any(|one| one == value));
    let compare = |ordering: std::cmp::Ordering| {
        let numbers = value
            .and_then(|value| value.parse::<i64>().ok())
            .zip(values.first().and_then(|one| one.parse().ok()));
        numbers.is_some_and(|(have, bound): (i64, i64)| have.cmp(&bound) == ordering)
    };
    match requirement.operator.as_str() {
        "In" => among(),
        "NotIn" => !among(),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => compare(std::cmp::Ordering::Greater),
        "Lt" => compare(std::cmp::Ordering::Less),
        _ => false,
    }
}
