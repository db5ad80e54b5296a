//! Nodes.

use serde_json::Value;

use super::{At, Bad, Causes, ip, names, pod, resources};

/// A `Node`.
pub(super) fn node(object: &At<'_>, causes: &mut Causes) {
    let spec = object.field("spec");
    taints(object, &spec, causes);
    let ranges = spec.field("podCIDRs");
    for range in ranges.items() {
        ip::legacy_range(&range.path, range.text(), causes);
    }
    let families: Vec<Option<bool>> = ranges
        .items()
        .map(|range| Some(ip::Range::sloppy(range.text())?.address.is_ipv4()))
        .collect();
    let dual = matches!(families.as_slice(), [Some(one), Some(other)] if one != other);
    let readable = families.iter().all(Option::is_some);
    if ranges.len() > 1 && readable && !dual {
        let detail = "may specify no more than one CIDR for each IP family";
        causes.invalid(&ranges.path, ranges.value, detail);
    }
    let status = object.field("status");
    for list in ["capacity", "allocatable"] {
        let at = status.field(list);
        for (name, value) in at.entries() {
            let path = at.path.key(name);
            resources::value(&path, name, value, causes);
        }
    }
}

/// Upstream names the taints of a node by its metadata.
fn taints(object: &At<'_>, spec: &At<'_>, causes: &mut Causes) {
    let metadata = object.path.field("metadata");
    let taints = At {
        value: &spec.value["taints"],
        path: metadata.field("taints"),
    };
    let mut seen = Vec::new();
    for taint in taints.items() {
        let (key, value, effect) = (
            taint.field("key"),
            taint.field("value"),
            taint.field("effect"),
        );
        causes.invalid_text(&key.path, key.text(), names::qualified(key.text()));
        let wrong = names::label_value(value.text());
        if !wrong.is_empty() {
            causes.invalid(&value.path, value.text(), &wrong.join(";"));
        }
        match effect.text() {
            "" => causes.required(&effect.path, ""),
            _ => causes.one_of(&effect, pod::TAINT_EFFECTS),
        }
        let pair = (key.text().to_owned(), effect.text().to_owned());
        if seen.contains(&pair) {
            let shown = format!(
                "{{\"Key\":{},\"Value\":{},\"Effect\":{},\"TimeAdded\":{}}}: taints must be unique by key and effect pair",
                super::quote(key.text()),
                super::quote(value.text()),
                super::quote(effect.text()),
                taint.value["timeAdded"]
            );
            causes.duplicate(&taint.path, Bad::raw(shown));
        }
        seen.push(pair);
    }
}

/// What of a `Node` an update may change: not what is known of its place.
pub(super) fn update(object: &At<'_>, old: &Value, causes: &mut Causes) {
    let spec = object.field("spec");
    let before = &old["spec"];
    let ranges = spec.field("podCIDRs");
    let had = before["podCIDRs"]
        .as_array()
        .is_some_and(|list| !list.is_empty());
    if had && ranges.value != &before["podCIDRs"] {
        let detail = "node updates may not change podCIDR except from \"\" to valid";
        causes.forbidden(&ranges.path, detail);
    }
    let provider = spec.field("providerID");
    let had = before["providerID"]
        .as_str()
        .is_some_and(|id| !id.is_empty());
    if had && provider.value != &before["providerID"] {
        let detail = "node updates may not change providerID except from \"\" to valid";
        causes.forbidden(&provider.path, detail);
    }
}
