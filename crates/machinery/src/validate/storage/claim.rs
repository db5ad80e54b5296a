//! Claims: what they ask for, how far their growth has come, what may change.

use serde_json::Value;

use super::super::immutable::{field, same};
use super::super::{At, Bad, Causes, dump, labels, names, resources};
use super::{access_modes, attributes_class, class_name, positive, volume_mode};
use crate::path::Path;

/// A `PersistentVolumeClaimSpec`.
pub(in crate::validate) fn claim(spec: &At<'_>, causes: &mut Causes) {
    let modes = spec.field("accessModes");
    if modes.is_empty() {
        causes.required(&modes.path, "at least 1 access mode is required");
    }
    labels::selector(&spec.field("selector"), causes);
    access_modes(&modes, causes);
    let given = spec.field("resources");
    let path = given.path.key("storage");
    match given.value["requests"].get("storage") {
        None => causes.required(&path, ""),
        Some(value) => positive(&path, value, causes),
    }
    class_name(spec, causes);
    volume_mode(spec, causes);
    data_sources(spec, causes);
    attributes_class(spec, causes);
}

fn data_sources(spec: &At<'_>, causes: &mut Causes) {
    let (source, reference) = (spec.field("dataSource"), spec.field("dataSourceRef"));
    for at in [&source, &reference] {
        if !at.is_set() {
            continue;
        }
        for name in ["name", "kind"] {
            let part = at.field(name);
            if part.is_empty() {
                causes.required(&part.path, "");
            }
        }
        let kind = at.field("kind");
        if at.field("apiGroup").is_empty() && kind.text() != "PersistentVolumeClaim" {
            let detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
            causes.invalid(&at.path, kind.text(), detail);
        }
    }
    if source.is_set() && reference.is_set() && reference.field("namespace").is_empty() {
        let same = ["apiGroup", "kind", "name"]
            .iter()
            .all(|name| source.value[*name] == reference.value[*name]);
        if !same {
            let empty = Value::Object(serde_json::Map::new());
            causes.invalid(&spec.path, &empty, "must match dataSourceRef");
        }
    }
}

const CLAIM: &str = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";

/// How far the growth of a claim has come.
const RESIZE: &[&str] = &[
    "ControllerResizeInProgress",
    "ControllerResizeInfeasible",
    "NodeResizeInProgress",
    "NodeResizeInfeasible",
    "NodeResizePending",
];

/// The status of a `PersistentVolumeClaim`.
pub(in crate::validate) fn claim_status(object: &At<'_>, causes: &mut Causes) {
    let status = object.field("status");
    let capacity = status.field("capacity");
    for (name, value) in capacity.entries() {
        readable(&capacity.path.key(name), value, causes);
    }
    let statuses = status.field("allocatedResourceStatuses");
    for (name, value) in statuses.entries() {
        claim_resource(&statuses.path, name, causes);
        if !RESIZE.contains(&value.as_str().unwrap_or_default()) {
            causes.not_supported(&statuses.path, name, RESIZE);
        }
    }
    let allocated = status.field("allocatedResources");
    for (name, value) in allocated.entries() {
        if claim_resource(&allocated.path, name, causes) {
            readable(&allocated.path.key(name), value, causes);
        }
    }
}

/// Whether a claim can have a resource: of Kubernetes' own only storage.
fn claim_resource(path: &Path<'_>, name: &str, causes: &mut Causes) -> bool {
    let before = causes.len();
    causes.invalid_text(path, name, names::qualified(name));
    if causes.len() == before && resources::is_native(name) && name != "storage" {
        causes.not_supported(path, name, &["storage"]);
    }
    causes.len() == before
}

fn readable(path: &Path<'_>, value: &Value, causes: &mut Causes) {
    let amount = resources::amount(value);
    if amount.signum() < 0 {
        let shown = Bad::raw(amount.value().to_string());
        causes.invalid(path, shown, "must be a valid resource quantity");
    }
}

/// What of a `PersistentVolumeClaim` an update may change.
pub(in crate::validate) fn claim_update(object: &At<'_>, old: &Value, causes: &mut Causes) {
    let spec = object.field("spec");
    let before = &old["spec"];
    let mut munged = spec.value.clone();
    let bound = object.value["status"]["phase"] == "Bound";
    let keep = |munged: &mut Value, name: &str| {
        let Some(map) = munged.as_object_mut() else {
            return;
        };
        match before.get(name) {
            Some(value) => map.insert(name.to_owned(), value.clone()),
            None => map.remove(name),
        };
    };
    if before["volumeName"].as_str().is_none_or(str::is_empty) {
        keep(&mut munged, "volumeName");
    }
    // A class may be given to a claim that named none.
    if before["storageClassName"].is_null() {
        keep(&mut munged, "storageClassName");
    }
    if bound {
        let size = &before["resources"]["requests"]["storage"];
        if let Some(requests) = munged["resources"]["requests"].as_object_mut() {
            requests.insert("storage".into(), size.clone());
        }
        keep(&mut munged, "volumeAttributesClassName");
    }
    let definition = "io.k8s.api.core.v1.PersistentVolumeClaimSpec";
    if !same(definition, &munged, before) {
        let shown = dump::claims(before, &munged);
        causes.forbidden(&spec.path, &format!("{CLAIM}\n{shown}"));
    }
    let size = |spec: &Value| resources::amount(&spec["resources"]["requests"]["storage"]);
    if size(spec.value) < size(before) {
        let reached = resources::amount(&old["status"]["capacity"]["storage"]);
        if size(spec.value) <= reached {
            let path = spec.path.field("resources.requests.storage");
            causes.forbidden(&path, "field can not be less than status.capacity");
        }
    }
    let mode = At {
        value: &spec.value["volumeMode"],
        path: object.path.field("volumeMode"),
    };
    field(&mode, &before["volumeMode"], causes);
    let applied = &old["status"]["currentVolumeAttributesClassName"];
    let class = spec.field("volumeAttributesClassName");
    if !applied.is_null() && class.value != &before["volumeAttributesClassName"] && class.is_empty()
    {
        let what = if class.is_set() {
            "empty string"
        } else {
            "nil"
        };
        let detail = format!(
            "update to {what} is forbidden when status.currentVolumeAttributesClassName is not nil"
        );
        causes.forbidden(&class.path, &detail);
    }
}
