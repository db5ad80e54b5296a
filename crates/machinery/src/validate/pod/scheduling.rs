//! Where a pod may land: affinity, tolerations, spread.

use std::collections::BTreeSet;

use super::super::{At, Causes, internal, labels, names};

/// A pod's `affinity`.
pub(super) fn affinity(affinity: &At<'_>, causes: &mut Causes) {
    let node = affinity.field("nodeAffinity");
    let required = node.field(REQUIRED);
    if required.is_set() {
        node_selector(&required, causes);
    }
    for term in node.field(PREFERRED).items() {
        weight(&term.field("weight"), causes);
        node_term(&term.field("preference"), causes);
    }
    for name in ["podAffinity", "podAntiAffinity"] {
        let pods = affinity.field(name);
        for term in pods.field(REQUIRED).items() {
            pod_term(&term, causes);
        }
        for term in pods.field(PREFERRED).items() {
            weight(&term.field("weight"), causes);
            pod_term(&term.field("podAffinityTerm"), causes);
        }
    }
}

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

fn weight(at: &At<'_>, causes: &mut Causes) {
    let weight = at.int().unwrap_or(0);
    if !(1..=100).contains(&weight) {
        causes.invalid(&at.path, weight, "must be in the range 1-100");
    }
}

/// A `NodeSelector`.
pub(super) fn node_selector(selector: &At<'_>, causes: &mut Causes) {
    let terms = selector.field("nodeSelectorTerms");
    if terms.is_empty() {
        causes.required(&terms.path, "must have at least one node selector term");
    }
    for term in terms.items() {
        node_term(&term, causes);
    }
}

fn node_term(term: &At<'_>, causes: &mut Causes) {
    for expression in term.field("matchExpressions").items() {
        node_expression(&expression, causes);
    }
    for expression in term.field("matchFields").items() {
        node_field(&expression, causes);
    }
}

fn node_expression(expression: &At<'_>, causes: &mut Causes) {
    let values = expression.field("values");
    let operator = expression.field("operator");
    match operator.text() {
        "In" | "NotIn" if values.is_empty() => causes.required(
            &values.path,
            "must be specified when `operator` is 'In' or 'NotIn'",
        ),
        "Exists" | "DoesNotExist" if !values.is_empty() => causes.forbidden(
            &values.path,
            "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
        ),
        "Gt" | "Lt" if values.len() != 1 => causes.required(
            &values.path,
            "must be specified single value when `operator` is 'Lt' or 'Gt'",
        ),
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
        other => causes.invalid(&operator.path, other, "not a valid selector operator"),
    }
    let key = expression.field("key");
    causes.invalid_text(&key.path, key.text(), names::qualified(key.text()));
    for value in values.items() {
        causes.invalid_text(&value.path, value.text(), names::label_value(value.text()));
    }
}

fn node_field(expression: &At<'_>, causes: &mut Causes) {
    let values = expression.field("values");
    let operator = expression.field("operator");
    match operator.text() {
        "In" | "NotIn" if values.len() != 1 => causes.required(
            &values.path,
            "must be only one value when `operator` is 'In' or 'NotIn' for node field selector",
        ),
        "In" | "NotIn" => {}
        other => causes.invalid(&operator.path, other, "not a valid selector operator"),
    }
    let key = expression.field("key");
    if key.text() != "metadata.name" {
        causes.invalid(&key.path, key.text(), "not a valid field selector key");
        return;
    }
    for value in values.items() {
        causes.invalid_text(&value.path, value.text(), names::subdomain(value.text()));
    }
}

fn pod_term(term: &At<'_>, causes: &mut Causes) {
    labels::selector(&term.field("labelSelector"), causes);
    labels::selector(&term.field("namespaceSelector"), causes);
    for namespace in term.field("namespaces").items() {
        let path = term.path.field("namespace");
        causes.invalid_text(&path, namespace.text(), names::label(namespace.text()));
    }
    let key = term.field("topologyKey");
    if key.is_empty() {
        causes.required(&key.path, "can not be empty");
    }
    causes.invalid_text(&key.path, key.text(), names::qualified(key.text()));
    let selector = term.field("labelSelector");
    let (same, other) = (
        term.field("matchLabelKeys"),
        term.field("mismatchLabelKeys"),
    );
    for keys in [&same, &other] {
        label_keys(keys, &selector, causes);
    }
    selected_twice(term, causes);
    for key in same.items() {
        if other.items().any(|other| other.text() == key.text()) {
            let detail = "exists in both matchLabelKeys and mismatchLabelKeys";
            causes.invalid(&key.path, key.text(), detail);
        }
    }
}

/// Keys of labels whose values are those of the pod itself.
fn label_keys(keys: &At<'_>, selector: &At<'_>, causes: &mut Causes) {
    if keys.is_empty() {
        return;
    }
    if !selector.is_set() {
        let detail = "must not be specified when labelSelector is not set";
        causes.forbidden(&keys.path, detail);
        return;
    }
    for key in keys.items() {
        causes.invalid_text(&key.path, key.text(), names::qualified(key.text()));
    }
}

/// A pod's own value of a label becomes the last requirement of the selector:
/// what the selector says of that label before is said twice. Upstream names
/// the key by its place alone, without its list.
fn selected_twice(term: &At<'_>, causes: &mut Causes) {
    let (keys, selector) = (term.field("matchLabelKeys"), term.field("labelSelector"));
    let labels = selector.field("matchLabels");
    let mut seen: BTreeSet<&str> = labels.entries().map(|(key, _)| key).collect();
    let expressions = selector.value["matchExpressions"].as_array();
    for expression in expressions.into_iter().flatten() {
        let key = expression["key"].as_str().unwrap_or_default();
        let is_said = !seen.insert(key);
        let place = keys.items().collect::<Vec<_>>();
        let place = place.iter().rposition(|at| at.text() == key);
        if let Some(place) = place.filter(|_| is_said) {
            let detail = "exists in both matchLabelKeys and labelSelector";
            causes.invalid(&term.path.index(place), key, detail);
        }
    }
}

/// A pod's `topologySpreadConstraints`.
pub(super) fn spread(constraints: &At<'_>, causes: &mut Causes) {
    let pair = |at: &At<'_>| {
        let text = |name: &str| at.value[name].as_str().unwrap_or_default().to_owned();
        (text("topologyKey"), text("whenUnsatisfiable"))
    };
    let pairs: Vec<_> = constraints.items().map(|at| pair(&at)).collect();
    for (index, constraint) in constraints.items().enumerate() {
        greater_than_zero(&constraint.field("maxSkew"), causes);
        let key = constraint.field("topologyKey");
        if key.is_empty() {
            causes.required(&key.path, "can not be empty");
        } else {
            causes.invalid_text(&key.path, key.text(), names::qualified(key.text()));
        }
        let action = constraint.field("whenUnsatisfiable");
        causes.one_of(&action, &["DoNotSchedule", "ScheduleAnyway"]);
        if pairs[index + 1..].contains(&pairs[index]) {
            let (key, action) = &pairs[index];
            let path = constraint.path.field("{topologyKey, whenUnsatisfiable}");
            causes.duplicate(&path, &format!("{{{key}, {action}}}"));
        }
        min_domains(&constraint, causes);
        for name in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            let policy = constraint.field(name);
            if policy.is_set() {
                causes.one_of(&policy, &["Honor", "Ignore"]);
            }
        }
        let selector = constraint.field("labelSelector");
        label_keys(&constraint.field("matchLabelKeys"), &selector, causes);
        selected_twice(&constraint, causes);
        labels::selector(&selector, causes);
    }
}

fn greater_than_zero(at: &At<'_>, causes: &mut Causes) {
    let number = at.int().unwrap_or(0);
    if number <= 0 {
        causes.invalid(&at.path, number, "must be greater than zero");
    }
}

fn min_domains(constraint: &At<'_>, causes: &mut Causes) {
    let domains = constraint.field("minDomains");
    let Some(number) = domains.int() else {
        return;
    };
    greater_than_zero(&domains, causes);
    let action = constraint.field("whenUnsatisfiable");
    if action.text() != "DoNotSchedule" {
        let detail = format!(
            "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {}",
            action.text()
        );
        causes.invalid(&domains.path, number, &detail);
    }
}

/// A pod's `tolerations`.
pub(super) fn tolerations(tolerations: &At<'_>, causes: &mut Causes) {
    for toleration in tolerations.items() {
        let key = toleration.field("key");
        if !key.is_empty() {
            causes.invalid_text(&key.path, key.text(), names::qualified(key.text()));
        }
        let operator = toleration.field("operator");
        if key.is_empty() && operator.text() != "Exists" {
            let detail = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            causes.invalid(&operator.path, operator.text(), detail);
        }
        let effect = toleration.field("effect");
        if toleration.field("tolerationSeconds").is_set() && effect.text() != "NoExecute" {
            let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            causes.invalid(&effect.path, effect.text(), detail);
        }
        let value = toleration.field("value");
        match operator.text() {
            "" | "Equal" => {
                let wrong = names::label_value(value.text());
                if !wrong.is_empty() {
                    causes.invalid(&operator.path, value.text(), &wrong.join(";"));
                }
            }
            "Exists" if !value.is_empty() => {
                let detail = "value must be empty when `operator` is 'Exists'";
                causes.invalid(&operator.path, value.text(), detail);
            }
            "Exists" => {}
            other => causes.not_supported(&operator.path, other, &["Equal", "Exists"]),
        }
        if !effect.is_empty() {
            causes.one_of(&effect, TAINT_EFFECTS);
        }
    }
}

/// No two tolerations differ in their seconds alone.
pub(super) fn unique_tolerations(tolerations: &At<'_>, causes: &mut Causes) {
    let mut seen = BTreeSet::new();
    for toleration in tolerations.items() {
        let fields = ["key", "operator", "value", "effect"];
        let key = fields.map(|name| toleration.value[name].as_str().unwrap_or_default());
        if !seen.insert(key) {
            let shown = internal::shown("Toleration", toleration.value);
            causes.duplicate(&toleration.path, shown);
        }
    }
}

/// What a taint does.
pub(super) const TAINT_EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];
