//! An update through `resize` (`ValidatePodResize` upstream): amounts of cpu and
//! memory change, and nothing else.

use serde_json::Value;

use super::super::{At, Causes};
use super::update::canonical;

const ONLY: &str = "only cpu and memory resources are mutable";
const ONLY_OF_INIT: &str =
    "only cpu and memory resources for init or sidecar containers are mutable";

/// Judges the new pod beside the old one.
pub(in super::super) fn resize(object: &At<'_>, old: &Value, causes: &mut Causes) {
    let spec = object.field("spec");
    let before = &old["spec"];
    super::spec(&spec, causes);
    let class = crate::strategy::qos_class;
    let of_old = class(before);
    if class(spec.value) != of_old {
        let detail = "Pod QOS Class may not change as a result of resizing";
        causes.invalid(&spec.path, of_old, detail);
    }
    if !same_order(&spec, before, causes) {
        return;
    }
    for list in ["initContainers", "containers"] {
        for (new, old) in pairs(&spec.field(list), &before[list]) {
            nothing_removed(&new.field("resources"), &old["resources"], causes);
        }
    }
    nothing_else(&spec, before, causes);
}

fn pairs<'a>(list: &'a At<'a>, old: &'a Value) -> impl Iterator<Item = (At<'a>, &'a Value)> {
    list.items().zip(old.as_array().into_iter().flatten())
}

fn same_order(spec: &At<'_>, before: &Value, causes: &mut Causes) -> bool {
    let since = causes.len();
    for list in ["containers", "initContainers"] {
        let containers = spec.field(list);
        if containers.len() != before[list].as_array().map_or(0, Vec::len) {
            let detail = format!("{list} may not be added or removed on resize");
            causes.forbidden(&containers.path, &detail);
            continue;
        }
        for (new, old) in pairs(&containers, &before[list]) {
            if new.value["name"] != old["name"] {
                let detail = format!("{list} may not be renamed or reordered on resize");
                causes.forbidden(&new.field("name").path, &detail);
            }
        }
    }
    causes.len() == since
}

/// A resize changes amounts; it takes none away.
fn nothing_removed(resources: &At<'_>, old: &Value, causes: &mut Causes) {
    for (list, detail) in [
        ("requests", "resource requests cannot be removed"),
        ("limits", "resource limits cannot be removed"),
    ] {
        let at = resources.field(list);
        let mut before = old[list].as_object().into_iter().flatten();
        if before.any(|(name, _)| at.value.get(name).is_none()) {
            causes.forbidden(&at.path, detail);
        }
    }
}

/// Puts the old amounts in the place of the new ones and compares.
fn nothing_else(spec: &At<'_>, before: &Value, causes: &mut Causes) {
    let since = causes.len();
    let mut munged = spec.value.clone();
    for list in ["containers", "initContainers"] {
        let containers = spec.field(list);
        for (index, (new, old)) in pairs(&containers, &before[list]).enumerate() {
            let container = &mut munged[list][index];
            with_old_amounts(container, old);
            if *container == *old {
                continue;
            }
            match list {
                "containers" => causes.forbidden(&spec.path, ONLY),
                _ => causes.forbidden(&new.path, ONLY_OF_INIT),
            }
        }
    }
    if let (Some(new), Some(old)) = (munged.get_mut("resources"), before.get("resources")) {
        new.clone_from(old);
    }
    if causes.len() == since && canonical(munged) != canonical(before.clone()) {
        causes.forbidden(&spec.path, ONLY);
    }
}

fn with_old_amounts(container: &mut Value, old: &Value) {
    for list in ["requests", "limits"] {
        for name in ["cpu", "memory"] {
            let was = old["resources"][list].get(name);
            let Some(resources) = container["resources"].as_object_mut() else {
                continue;
            };
            let amounts = resources
                .entry(list)
                .or_insert_with(|| serde_json::json!({}));
            let Some(amounts) = amounts.as_object_mut() else {
                continue;
            };
            match was {
                Some(was) => amounts.insert(name.to_owned(), was.clone()),
                None => amounts.shift_remove(name),
            };
            if amounts.is_empty() {
                resources.shift_remove(list);
            }
        }
    }
}
