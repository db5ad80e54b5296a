//! What an update of a pod may change.

use serde_json::Value;

use super::super::{At, Causes, Path, names};
use super::gated;
use crate::schema;

/// Fields that updates may change, as the refusal names them.
const CHANGEABLE: &str = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// An update through the pod itself.
pub(in super::super) fn update(object: &At<'_>, old: &Value, causes: &mut Causes) {
    let spec = object.field("spec");
    let before = &old["spec"];
    for list in ["containers", "initContainers"] {
        let containers = spec.field(list);
        if containers.len() != before[list].as_array().map_or(0, Vec::len) {
            causes.forbidden(
                &containers.path,
                "pod updates may not add or remove containers",
            );
            return;
        }
        for container in containers.items() {
            images(&container.field("image"), causes);
        }
    }
    if !deadline(
        &spec.field("activeDeadlineSeconds"),
        &before["activeDeadlineSeconds"],
        causes,
    ) {
        return;
    }
    tolerations(&spec.field("tolerations"), &before["tolerations"], causes);
    gated::gates(
        &spec.field("schedulingGates"),
        &before["schedulingGates"],
        causes,
    );
    let mut munged = munged(spec.value, before);
    let waits = before["schedulingGates"].as_array();
    if waits.is_some_and(|gates| !gates.is_empty()) {
        gated::narrowed(&spec, before, &mut munged, causes);
    }
    if canonical(munged) != canonical(before.clone()) {
        let detail = format!("pod updates may not change fields other than {CHANGEABLE}\n");
        causes.forbidden(&spec.path, &detail);
    }
}

/// Upstream judges images of an update once more.
fn images(image: &At<'_>, causes: &mut Causes) {
    if image.is_empty() {
        causes.required(&image.path, "");
    } else if image.text().trim() != image.text() {
        let detail = "must not have leading or trailing whitespace";
        causes.invalid(&image.path, image.text(), detail);
    }
}

/// Returns whether the check may go on.
fn deadline(at: &At<'_>, before: &Value, causes: &mut Causes) -> bool {
    match (at.int(), before.as_i64()) {
        (Some(new), _) if !(0..=i64::from(i32::MAX)).contains(&new) => {
            causes.invalid(&at.path, new, &names::range(0, i32::MAX.into()));
            false
        }
        (Some(new), Some(old)) if new > old => {
            causes.invalid(
                &at.path,
                new,
                "must be less than or equal to previous value",
            );
            false
        }
        (None, Some(_)) => {
            let detail = "must not update from a positive integer to nil value";
            causes.invalid(&at.path, &Value::Null, detail);
            true
        }
        _ => true,
    }
}

fn tolerations(at: &At<'_>, before: &Value, causes: &mut Causes) {
    let without_seconds = |value: &Value| {
        let mut value = value.clone();
        if let Some(map) = value.as_object_mut() {
            map.remove("tolerationSeconds");
        }
        value
    };
    let new: Vec<Value> = at.items().map(|item| without_seconds(item.value)).collect();
    let kept = before.as_array().into_iter().flatten();
    if kept.map(without_seconds).any(|old| !new.contains(&old)) {
        let detail = "existing toleration can not be modified except its tolerationSeconds";
        causes.forbidden(&at.path, detail);
    }
}

/// The new spec with all that may change taken from the old one.
fn munged(spec: &Value, before: &Value) -> Value {
    let mut spec = spec.clone();
    for list in ["containers", "initContainers"] {
        let images: Vec<Value> = before[list]
            .as_array()
            .into_iter()
            .flatten()
            .map(|container| container["image"].clone())
            .collect();
        let containers = spec.get_mut(list).and_then(Value::as_array_mut);
        for (container, image) in containers.into_iter().flatten().zip(images) {
            container["image"] = image;
        }
    }
    let mut keep = vec!["activeDeadlineSeconds", "tolerations", "schedulingGates"];
    if before["terminationGracePeriodSeconds"]
        .as_i64()
        .is_some_and(|old| old < 0)
        && spec["terminationGracePeriodSeconds"] == 1
    {
        keep.push("terminationGracePeriodSeconds");
    }
    let Some(map) = spec.as_object_mut() else {
        return spec;
    };
    for name in keep {
        match before.get(name) {
            Some(value) => map.insert(name.to_owned(), value.clone()),
            None => map.remove(name),
        };
    }
    spec
}

pub(super) fn canonical(mut spec: Value) -> Value {
    if let Some(node) = schema::builtin().get("io.k8s.api.core.v1.PodSpec") {
        crate::canonical::canonicalize(node, &mut spec);
    }
    spec
}

/// Whether a pod mirrors one that its node started from a file.
pub(super) fn is_static(pod: &Value) -> bool {
    let annotations = &pod["metadata"]["annotations"];
    annotations.get("kubernetes.io/config.mirror").is_some()
}

/// An update through `ephemeralcontainers`.
pub(in super::super) fn update_ephemeral(object: &At<'_>, old: &Value, causes: &mut Causes) {
    if is_static(old) {
        let detail = "static pods do not support ephemeral containers";
        return causes.only_forbidden(&Path::WHOLE, detail);
    }
    let spec = object.field("spec");
    super::spec(&spec, causes);
    let new = spec.field("ephemeralContainers");
    let before = &old["spec"]["ephemeralContainers"];
    for container in before.as_array().into_iter().flatten() {
        let name = container["name"].as_str().unwrap_or_default();
        let found = new
            .items()
            .find(|new| new.field("name").text() == name)
            .map(|at| at.value);
        if found.is_none() {
            let detail = format!("existing ephemeral containers \"{name}\" may not be removed\n");
            causes.forbidden(&new.path, &detail);
        } else if found != Some(container) {
            let detail = format!("existing ephemeral containers \"{name}\" may not be changed\n");
            causes.forbidden(&new.path, &detail);
        }
    }
}
