//! Rows of volumes, claims and storage classes.

use jiff::Timestamp;
use serde_json::Value;

use super::{age, at, flag, length, list, name, scalar, string, text, text_or};

const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";
const DEFAULT_CLASS: [&str; 2] = [
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
];

/// Cells of a `PersistentVolume`.
pub(super) fn persistent_volume(object: &Value, now: Timestamp) -> Vec<Value> {
    let claim = at(object, "spec.claimRef");
    let claim = match claim.is_null() {
        true => String::new(),
        false => format!("{}/{}", text(claim, "namespace"), text(claim, "name")),
    };
    vec![
        name(object),
        capacity(at(object, "spec.capacity")).into(),
        access_modes(list(object, "spec.accessModes")).into(),
        string(object, "spec.persistentVolumeReclaimPolicy"),
        phase(object),
        claim.into(),
        class_of(object).into(),
        text_or(object, "spec.volumeAttributesClassName", "<unset>").into(),
        string(object, "status.reason"),
        age(object, now),
        text_or(object, "spec.volumeMode", "<unset>").into(),
    ]
}

/// Cells of a `PersistentVolumeClaim`.
pub(super) fn claim(object: &Value, now: Timestamp) -> Vec<Value> {
    let volume = text(object, "spec.volumeName");
    let (size, modes) = match volume {
        "" => Default::default(),
        _ => (
            capacity(at(object, "status.capacity")),
            access_modes(list(object, "status.accessModes")),
        ),
    };
    vec![
        name(object),
        phase(object),
        volume.into(),
        size.into(),
        modes.into(),
        class_of(object).into(),
        text_or(object, "spec.volumeAttributesClassName", "<unset>").into(),
        age(object, now),
        text_or(object, "spec.volumeMode", "<unset>").into(),
    ]
}

fn phase(object: &Value) -> Value {
    match at(object, "metadata.deletionTimestamp") {
        Value::Null => string(object, "status.phase"),
        _ => "Terminating".into(),
    }
}

fn capacity(list: &Value) -> String {
    match &list["storage"] {
        Value::Null => "0".into(),
        amount => scalar(amount),
    }
}

/// Access modes in their short names, each once, in a fixed order.
fn access_modes(modes: &[Value]) -> String {
    let names = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ];
    let shown: Vec<&str> = names
        .iter()
        .filter(|(mode, _)| modes.iter().any(|given| given == mode))
        .map(|(_, short)| *short)
        .collect();
    shown.join(",")
}

/// The annotation is older than the field and wins.
fn class_of(object: &Value) -> String {
    let annotated = &at(object, "metadata.annotations")[CLASS_ANNOTATION];
    match annotated.as_str() {
        Some(class) => class.to_owned(),
        None => text(object, "spec.storageClassName").to_owned(),
    }
}

/// Cells of a `StorageClass`.
pub(super) fn class(object: &Value, now: Timestamp) -> Vec<Value> {
    let annotations = at(object, "metadata.annotations");
    let is_default = DEFAULT_CLASS.iter().any(|key| annotations[*key] == "true");
    let shown = match is_default {
        true => format!("{} (default)", text(object, "metadata.name")),
        false => text(object, "metadata.name").to_owned(),
    };
    vec![
        shown.into(),
        string(object, "provisioner"),
        text_or(object, "reclaimPolicy", "Delete").into(),
        text_or(object, "volumeBindingMode", "Immediate").into(),
        flag(object, "allowVolumeExpansion").into(),
        age(object, now),
    ]
}

/// Cells of a `CSIDriver`.
pub(super) fn driver(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let attach = spec["attachRequired"].as_bool().unwrap_or(true);
    let audiences: Vec<&str> = list(spec, "tokenRequests")
        .iter()
        .map(|request| text(request, "audience"))
        .collect();
    let audiences = match audiences.is_empty() {
        true => "<unset>".to_owned(),
        false => audiences.join(","),
    };
    let modes: Vec<&str> = list(spec, "volumeLifecycleModes")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let modes = match modes.is_empty() {
        true => "<none>".to_owned(),
        false => modes.join(","),
    };
    vec![
        name(object),
        attach.into(),
        flag(spec, "podInfoOnMount").into(),
        flag(spec, "storageCapacity").into(),
        audiences.into(),
        flag(spec, "requiresRepublish").into(),
        modes.into(),
        age(object, now),
    ]
}

/// Cells of a `CSINode`.
pub(super) fn node(object: &Value, now: Timestamp) -> Vec<Value> {
    let drivers = length(object, "spec.drivers");
    vec![name(object), drivers.into(), age(object, now)]
}

/// Cells of a `VolumeAttachment`.
pub(super) fn attachment(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        name(object),
        string(object, "spec.attacher"),
        string(object, "spec.source.persistentVolumeName"),
        string(object, "spec.nodeName"),
        flag(object, "status.attached").into(),
        age(object, now),
    ]
}

/// Cells of a `VolumeAttributesClass`.
pub(super) fn attributes_class(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), string(object, "driverName"), age(object, now)]
}
