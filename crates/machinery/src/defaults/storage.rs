//! Defaults of volumes, claims, storage classes and CSI kinds.

use serde_json::json;

use super::{Object, child, text, volumes};
use crate::default::{child_or_new, value};

/// Defaults of a `PersistentVolume`.
pub fn persistent_volume(object: &mut Object) {
    if let Some(status) = child_or_new(object, "status") {
        text(status, "phase", "Pending");
    }
    if let Some(spec) = child_or_new(object, "spec") {
        volume_spec(spec);
    }
}

fn volume_spec(spec: &mut Object) {
    text(spec, "persistentVolumeReclaimPolicy", "Retain");
    value(spec, "volumeMode", || "Filesystem");
    volumes::sources(spec);
}

/// Defaults of a `PersistentVolumeClaim`.
pub fn claim(object: &mut Object) {
    if let Some(status) = child_or_new(object, "status") {
        text(status, "phase", "Pending");
    }
    if let Some(spec) = child_or_new(object, "spec") {
        value(spec, "volumeMode", || "Filesystem");
    }
}

/// Defaults of a `StorageClass`.
pub fn class(object: &mut Object) {
    value(object, "reclaimPolicy", || "Delete");
    value(object, "volumeBindingMode", || "Immediate");
}

/// Defaults of a `CSIDriver`.
pub fn driver(object: &mut Object) {
    let Some(spec) = child_or_new(object, "spec") else {
        return;
    };
    value(spec, "attachRequired", || true);
    value(spec, "podInfoOnMount", || false);
    value(spec, "storageCapacity", || false);
    value(spec, "fsGroupPolicy", || "ReadWriteOnceWithFSType");
    let modes = spec.get("volumeLifecycleModes").and_then(|m| m.as_array());
    if modes.is_none_or(Vec::is_empty) {
        spec.insert("volumeLifecycleModes".into(), json!(["Persistent"]));
    }
    value(spec, "requiresRepublish", || false);
    value(spec, "seLinuxMount", || false);
}

/// Defaults of a `VolumeAttachment`.
pub fn attachment(object: &mut Object) {
    let inline = child(object, "spec")
        .and_then(|spec| child(spec, "source"))
        .and_then(|source| child(source, "inlineVolumeSpec"));
    if let Some(spec) = inline {
        volume_spec(spec);
    }
}
