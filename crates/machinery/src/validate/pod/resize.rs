//! An update through `resize` (`ValidatePodResize` upstream): amounts of cpu and
//! memory change, and nothing else.

use serde_json::{Value, json};

use super::super::{At, Causes, Path};
use super::update::{canonical, is_static};

const ONLY: &str = "only cpu and memory resources are mutable";
const ONLY_OF_INIT: &str =
    "only cpu and memory resources for init or sidecar containers are mutable";

/// Judges the new pod beside the old one.
pub(in super::super) fn resize(object: &At<'_>, old: &Value, causes: &mut Causes) {
    let spec = object.field("spec");
    let before = &old["spec"];
    super::spec(&spec, causes);
    if is_static(old) {
        return causes.only_forbidden(&Path::WHOLE, "static pods cannot be resized");
    }
    if before["os"]["name"] == "windows" {
        return causes.only_forbidden(&Path::WHOLE, "windows pods cannot be resized");
    }
    let class = crate::strategy::qos_class;
    let of_old = class(before);
    if class(spec.value) != of_old {
        let detail = "Pod QOS Class may not change as a result of resizing";
        causes.invalid(&spec.path, of_old, detail);
    }
    if !is_supported(&old["status"]) {
        let detail = "Pod running on node without support for resize";
        causes.forbidden(&spec.path, detail);
    }
    pod_level(&spec, before, causes);
    if !same_order(&spec, before, causes) {
        return;
    }
    for list in ["initContainers", "containers"] {
        for (new, old) in pairs(&spec.field(list), &before[list]) {
            nothing_removed(
                &new.field("resources"),
                &old["resources"],
                "resource",
                causes,
            );
        }
    }
    nothing_else(&spec, before, causes);
}

/// A node that can resize says what a running container has.
fn is_supported(status: &Value) -> bool {
    let statuses = status["containerStatuses"].as_array();
    let running = |one: &&Value| one["state"]["running"].is_object();
    let first = statuses.into_iter().flatten().find(running);
    first.is_none_or(|one| one["resources"].is_object())
}

/// Amounts of the pod as a whole.
fn pod_level(spec: &At<'_>, before: &Value, causes: &mut Causes) {
    let resources = spec.field("resources");
    let old = &before["resources"];
    if !old.is_object() {
        return;
    }
    if !resources.is_set() {
        causes.forbidden(&resources.path, "pod-level resources cannot be removed");
        return;
    }
    nothing_removed(&resources, old, "pod-level resource", causes);
    let mut munged = resources.value.clone();
    with_old_amounts(&mut munged, old);
    if munged != *old {
        let detail = "only cpu and memory resources are mutable at pod-level";
        causes.forbidden(&spec.path, detail);
    }
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
fn nothing_removed(resources: &At<'_>, old: &Value, what: &str, causes: &mut Causes) {
    for list in ["requests", "limits"] {
        let at = resources.field(list);
        let mut before = old[list].as_object().into_iter().flatten();
        if before.any(|(name, _)| at.value.get(name).is_none()) {
            causes.forbidden(&at.path, &format!("{what} {list} cannot be removed"));
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
            let changed = *container != *old;
            container_with_old_amounts(container, old);
            match (list, *container == *old) {
                (_, true) => {}
                ("containers", false) => causes.forbidden(&spec.path, ONLY),
                (_, false) => causes.forbidden(&new.path, ONLY_OF_INIT),
            }
            if changed && list == "initContainers" {
                not_restarted(&new, causes);
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

/// A container that runs once cannot be restarted for its amounts.
fn not_restarted(container: &At<'_>, causes: &mut Causes) {
    if container.field("restartPolicy").text() == "Always" {
        return;
    }
    for policy in container.field("resizePolicy").items() {
        if policy.field("restartPolicy").text() == "RestartContainer" {
            let detail = "non-sidecar init containers with a resize policy of RestartContainer cannot be resized";
            causes.forbidden(&container.path, detail);
        }
    }
}

fn container_with_old_amounts(container: &mut Value, old: &Value) {
    if let Some(resources) = container.get_mut("resources") {
        with_old_amounts(resources, &old["resources"]);
    }
}

fn with_old_amounts(resources: &mut Value, old: &Value) {
    let Some(resources) = resources.as_object_mut() else {
        return;
    };
    for list in ["requests", "limits"] {
        let amounts = resources.entry(list).or_insert_with(|| json!({}));
        let Some(amounts) = amounts.as_object_mut() else {
            continue;
        };
        for name in ["cpu", "memory"] {
            match old[list].get(name) {
                Some(was) => amounts.insert(name.to_owned(), was.clone()),
                None => amounts.shift_remove(name),
            };
        }
        if amounts.is_empty() {
            resources.shift_remove(list);
        }
    }
}
