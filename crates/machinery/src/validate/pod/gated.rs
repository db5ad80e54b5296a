//! What may still change in a pod that waits at a scheduling gate: where it may
//! go can be narrowed.

use serde_json::Value;

use super::super::immutable::equal;
use super::super::{At, Causes};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";

/// Gates go one by one; none comes.
pub(super) fn gates(at: &At<'_>, before: &Value, causes: &mut Causes) {
    let known = |gate: &Value| before.as_array().is_some_and(|list| list.contains(gate));
    for gate in at.items().filter(|gate| !known(gate.value)) {
        let name = gate.field("name");
        let detail = format!(
            "only deletion is allowed, but found new scheduling gate '{}'",
            name.text()
        );
        causes.forbidden(&name.path, &detail);
    }
}

/// Judges what a gated pod may change, and takes it from the old spec.
pub(super) fn narrowed(spec: &At<'_>, before: &Value, munged: &mut Value, causes: &mut Causes) {
    let selector = spec.field("nodeSelector");
    let mut kept = before["nodeSelector"].as_object().into_iter().flatten();
    if kept.any(|(key, value)| selector.value.get(key) != Some(value)) {
        let detail = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
        causes.invalid(&selector.path, selector.value, detail);
    }
    put(munged, "nodeSelector", before.get("nodeSelector"));
    let affinity = spec.field("affinity");
    let node = affinity.field("nodeAffinity");
    let old = &before["affinity"]["nodeAffinity"];
    if equal(node.value, old) {
        return;
    }
    let required = node.field(REQUIRED);
    terms(
        &required.field("nodeSelectorTerms"),
        &old[REQUIRED]["nodeSelectorTerms"],
        causes,
    );
    if munged["affinity"].is_null() {
        munged["affinity"] = serde_json::json!({});
    }
    put(
        &mut munged["affinity"],
        "nodeAffinity",
        before["affinity"].get("nodeAffinity"),
    );
    let is_empty = munged["affinity"]
        .as_object()
        .is_some_and(serde_json::Map::is_empty);
    if is_empty && before["affinity"].is_null() {
        put(munged, "affinity", None);
    }
}

fn put(object: &mut Value, name: &str, value: Option<&Value>) {
    let Some(map) = object.as_object_mut() else {
        return;
    };
    match value {
        Some(value) => map.insert(name.to_owned(), value.clone()),
        None => map.shift_remove(name),
    };
}

/// Terms may gain requirements; there are as many as before.
fn terms(terms: &At<'_>, old: &Value, causes: &mut Causes) {
    let Some(old) = old.as_array().filter(|old| !old.is_empty()) else {
        return;
    };
    if terms.len() != old.len() {
        let detail = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
        causes.invalid(&terms.path, terms.value, detail);
        return;
    }
    for (term, old) in terms.items().zip(old) {
        if !only_adds(term.value, old) {
            let detail = "only additions are allowed (no mutations or deletions)";
            causes.invalid(&term.path, term.value, detail);
        }
    }
}

fn only_adds(new: &Value, old: &Value) -> bool {
    let list = |term: &Value, name: &str| term[name].as_array().cloned().unwrap_or_default();
    let names = ["matchExpressions", "matchFields"];
    let nothing = |term: &Value| names.iter().all(|name| list(term, name).is_empty());
    // A term without requirements selects nothing; it may not begin to.
    (!nothing(old) || nothing(new))
        && names
            .iter()
            .all(|name| list(new, name).starts_with(&list(old, name)))
}
