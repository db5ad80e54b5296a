//! Nodes.

use serde_json::Value;

use super::{At, Bad, Causes, go_json, immutable, ip, names, pod, resources};

/// Longest name of a declared feature.
const FEATURE_MAX: usize = 253;

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
    status(object, causes);
}

/// What holds of the status whenever a node is written.
fn status(object: &At<'_>, causes: &mut Causes) {
    let status = object.field("status");
    for list in ["capacity", "allocatable"] {
        let at = status.field(list);
        for (name, value) in at.entries() {
            let path = at.path.entry(name);
            resources::value(&path, name, value, causes);
        }
    }
    declared_features(&status.field("declaredFeatures"), causes);
}

/// Names such as `MyFeature/part`, sorted, each once.
fn declared_features(features: &At<'_>, causes: &mut Causes) {
    let mut before: Option<&str> = None;
    for feature in features.items() {
        let text = feature.text();
        if let Some(detail) = not_a_feature(text) {
            causes.invalid(&feature.path, text, &detail);
        }
        match before {
            Some(before) if before == text => causes.duplicate(&feature.path, text),
            Some(before) if before > text => {
                let detail = "list must be sorted alphabetically";
                causes.invalid(&feature.path, text, detail);
            }
            _ => {}
        }
        before = Some(text);
    }
}

fn not_a_feature(text: &str) -> Option<String> {
    let quoted = super::quote(text);
    if text.len() > FEATURE_MAX {
        return Some(format!(
            "invalid feature name {quoted}: must be no more than {FEATURE_MAX} characters"
        ));
    }
    let is_part = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_alphabetic())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    let fits =
        text.starts_with(|first: char| first.is_ascii_uppercase()) && text.split('/').all(is_part);
    (!fits).then(|| {
        format!(
            "invalid feature name {quoted}: must start with an UpperCamelCase segment, with subsequent segments separated by '/' (e.g., MyFeature or MyFeature/mySubFeature), and contain only alphanumeric characters and slashes"
        )
    })
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

/// What of a `Node` an update may change, through its status too: not what is
/// known of its place. Upstream looks at the status and the taints here again.
pub(super) fn update(object: &At<'_>, old: &Value, causes: &mut Causes) {
    status(object, causes);
    let addresses = object.field("status");
    let addresses = addresses.field("addresses");
    let mut seen = Vec::new();
    for address in addresses.items() {
        if seen.contains(&address.value) {
            let shown = ["type", "address"].map(|name| go_json(&address.value[name]));
            let shown = format!("{{\"Type\":{},\"Address\":{}}}", shown[0], shown[1]);
            causes.duplicate(&address.path, Bad::raw(shown));
        }
        seen.push(address.value);
    }
    let spec = object.field("spec");
    let before = &old["spec"];
    pod_ranges(&spec.field("podCIDRs"), &before["podCIDRs"], causes);
    let provider = spec.field("providerID");
    let had = before["providerID"]
        .as_str()
        .is_some_and(|id| !id.is_empty());
    if had && provider.value != &before["providerID"] {
        let detail = "node updates may not change providerID except from \"\" to valid";
        causes.forbidden(&provider.path, detail);
    }
    taints(object, &spec, causes);
    let external = spec.field("externalID");
    if !immutable::equal(external.value, &before["externalID"]) {
        causes.forbidden(&external.path, "may not be updated");
    }
}

fn pod_ranges(ranges: &At<'_>, old: &Value, causes: &mut Causes) {
    let old = old.as_array().map_or(&[][..], Vec::as_slice);
    let changed = match ranges.len() == old.len() {
        true => ranges
            .items()
            .zip(old)
            .filter(|(new, old)| new.value != *old)
            .count(),
        false => usize::from(!old.is_empty()),
    };
    for _ in 0..changed {
        let detail = "node updates may not change podCIDR except from \"\" to valid";
        causes.forbidden(&ranges.path, detail);
    }
}
