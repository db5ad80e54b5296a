//! What is stored where: volumes here, `claim`s and the `classes` of
//! storage.k8s.io in files of their own.

mod claim;
mod classes;

use serde_json::Value;

use super::immutable::{equal, field, structure};
use super::{At, Causes, dump, names, pod, resources};
use crate::path::Path;

pub(super) use claim::{claim, claim_status, claim_update};
pub(super) use classes::{attachment_status, class_kinds, class_update, driver_form};

const MODES: &[&str] = &[
    "ReadOnlyMany",
    "ReadWriteMany",
    "ReadWriteOnce",
    "ReadWriteOncePod",
];

/// Sources of a persistent volume.
const SOURCES: &[&str] = &[
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "flocker",
    "nfs",
    "rbd",
    "quobyte",
    "cephfs",
    "iscsi",
    "cinder",
    "fc",
    "flexVolume",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "scaleIO",
    "local",
    "storageos",
    "csi",
];

/// A `PersistentVolume`.
pub(super) fn persistent_volume(object: &At<'_>, causes: &mut Causes) {
    volume_spec(&object.field("spec"), causes);
}

/// A spec that stands in an attachment instead of in a volume of its own.
fn inline_spec(spec: &At<'_>, causes: &mut Causes) {
    const HERE: &str = "in the context of inline volumes";
    let forbid = |name: &'static str, causes: &mut Causes| {
        let at = spec.field(name);
        let given = match name {
            "capacity" | "storageClassName" => !at.is_empty(),
            _ => at.is_set(),
        };
        if given {
            causes.forbidden(&at.path, &format!("may not be specified {HERE}"));
        }
    };
    forbid("claimRef", causes);
    forbid("capacity", causes);
    let driver = spec.field("csi");
    if !driver.is_set() {
        causes.required(&driver.path, &format!("has to be specified {HERE}"));
    }
    let modes = spec.field("accessModes");
    if modes.is_empty() {
        causes.required(&modes.path, "");
    }
    access_modes(&modes, causes);
    let policy = spec.field("persistentVolumeReclaimPolicy");
    if !matches!(policy.text(), "" | "Retain") {
        causes.forbidden(&policy.path, &format!("may only be Retain {HERE}"));
    }
    forbid("nodeAffinity", causes);
    sources(spec, causes);
    forbid("storageClassName", causes);
    let mode = spec.field("volumeMode");
    if mode.is_set() && mode.text() != "Filesystem" {
        let detail = format!("may not specify volumeMode other than Filesystem {HERE}");
        causes.forbidden(&mode.path, &detail);
    }
}

fn volume_spec(spec: &At<'_>, causes: &mut Causes) {
    let modes = spec.field("accessModes");
    if modes.is_empty() {
        causes.required(&modes.path, "");
    }
    access_modes(&modes, causes);
    capacity(&spec.field("capacity"), causes);
    let policy = spec.field("persistentVolumeReclaimPolicy");
    if !policy.is_empty() {
        causes.one_of(&policy, &["Delete", "Recycle", "Retain"]);
    }
    let affinity = spec.field("nodeAffinity");
    let required = affinity.field("required");
    if affinity.is_set() {
        match required.is_set() {
            true => pod::node_selector(&required, causes),
            false => causes.required(&required.path, "must specify required node constraints"),
        }
    }
    sources(spec, causes);
    class_name(spec, causes);
    volume_mode(spec, causes);
    attributes_class(spec, causes);
    let class = spec.field("volumeAttributesClassName");
    if class.is_set() {
        if class.is_empty() {
            causes.required(&class.path, "an empty string is disallowed");
        }
        let driver = spec.field("csi");
        if !driver.is_set() {
            let detail = "has to be specified when using volumeAttributesClassName";
            causes.required(&driver.path, detail);
        }
    }
}

fn access_modes(modes: &At<'_>, causes: &mut Causes) {
    for mode in modes.items().filter(|mode| !MODES.contains(&mode.text())) {
        causes.not_supported(&modes.path, mode.text(), MODES);
    }
    let single = modes.items().any(|mode| mode.text() == "ReadWriteOncePod");
    if single && modes.len() > 1 {
        let detail = "may not use ReadWriteOncePod with other access modes";
        causes.forbidden(&modes.path, detail);
    }
}

fn capacity(capacity: &At<'_>, causes: &mut Causes) {
    if capacity.is_empty() {
        causes.required(&capacity.path, "");
    }
    if capacity.value.get("storage").is_none() || capacity.len() > 1 {
        causes.not_supported(&capacity.path, capacity.value, &["storage"]);
    }
    for (name, value) in capacity.entries() {
        let path = capacity.path.key(name);
        let amount = resources::amount(value);
        if amount.signum() < 0 {
            causes.invalid(&path, amount.value(), "must be a valid resource quantity");
        }
        positive(&path, value, causes);
    }
}

fn positive(path: &Path<'_>, value: &Value, causes: &mut Causes) {
    if resources::amount(value).signum() <= 0 {
        causes.invalid(path, resources::shown(value), "must be greater than zero");
    }
}

fn sources(spec: &At<'_>, causes: &mut Causes) {
    let mut found = false;
    for name in SOURCES {
        let source = spec.field(name);
        if !source.is_set() {
            continue;
        }
        if found {
            causes.forbidden(&source.path, "may not specify more than 1 volume type");
            continue;
        }
        found = true;
        pod::source_fields(name, &source, causes);
        match *name {
            "csi" => {
                let handle = source.field("volumeHandle");
                if handle.is_empty() {
                    causes.required(&handle.path, "");
                }
                for name in CSI_SECRETS {
                    secret_reference(&source.field(name), true, causes);
                }
            }
            "iscsi" => secret_reference(&source.field("secretRef"), false, causes),
            "storageos" => secret_reference(&source.field("secretRef"), true, causes),
            "azureFile" => {
                let namespace = source.field("secretNamespace");
                if namespace.is_set() && namespace.is_empty() {
                    causes.required(&namespace.path, "");
                }
            }
            "glusterfs" => {
                let namespace = source.field("endpointsNamespace");
                if namespace.is_set() && namespace.is_empty() {
                    let detail =
                        "if the endpointnamespace is set, it must be a valid namespace name";
                    causes.invalid(&namespace.path, "", detail);
                }
            }
            "local" => {
                let path = source.field("path");
                if path.is_empty() {
                    causes.required(&path.path, "");
                }
                pod::no_backsteps(&path.path, path.text(), causes);
                let affinity = spec.field("nodeAffinity");
                if !affinity.is_set() {
                    let detail = "Local volume requires node affinity";
                    causes.required(&affinity.path, detail);
                }
            }
            "hostPath" => recycled_root(spec, &source, causes),
            _ => {}
        }
    }
    if !found {
        causes.required(&spec.path, "must specify a volume type");
    }
}

/// Secrets that a CSI driver may be given.
const CSI_SECRETS: [&str; 5] = [
    "controllerPublishSecretRef",
    "controllerExpandSecretRef",
    "nodePublishSecretRef",
    "nodeStageSecretRef",
    "nodeExpandSecretRef",
];

/// A reference to a Secret, and to its namespace where one is needed.
fn secret_reference(reference: &At<'_>, with_namespace: bool, causes: &mut Causes) {
    if !reference.is_set() {
        return;
    }
    for name in ["name", "namespace"] {
        let at = reference.field(name);
        if at.is_empty() && (name == "name" || with_namespace) {
            causes.required(&at.path, "");
        }
    }
}

/// Recycling empties the volume, which must not be the root.
fn recycled_root(spec: &At<'_>, source: &At<'_>, causes: &mut Causes) {
    let path = source.field("path").text();
    let policy = spec.field("persistentVolumeReclaimPolicy");
    if policy.text() == "Recycle" && !path.is_empty() && path.bytes().all(|b| b == b'/') {
        let detail = "may not be 'recycle' for a hostPath mount of '/'";
        causes.forbidden(&policy.path, detail);
    }
}

fn class_name(spec: &At<'_>, causes: &mut Causes) {
    let class = spec.field("storageClassName");
    if !class.is_empty() {
        causes.invalid_text(&class.path, class.text(), names::subdomain(class.text()));
    }
}

fn volume_mode(spec: &At<'_>, causes: &mut Causes) {
    let mode = spec.field("volumeMode");
    if mode.is_set() {
        causes.one_of(&mode, &["Block", "Filesystem"]);
    }
}

fn attributes_class(spec: &At<'_>, causes: &mut Causes) {
    let class = spec.field("volumeAttributesClassName");
    if !class.is_empty() {
        causes.invalid_text(&class.path, class.text(), names::subdomain(class.text()));
    }
}

/// A driver's secret for growth may be named later.
fn with_old_secret(spec: &Value, before: &Value) -> Value {
    let mut spec = spec.clone();
    if before["csi"].get("controllerExpandSecretRef").is_none()
        && let Some(csi) = spec.get_mut("csi").and_then(Value::as_object_mut)
    {
        csi.shift_remove("controllerExpandSecretRef");
    }
    spec
}

/// What of a `PersistentVolume` an update may change.
pub(super) fn volume_update(object: &At<'_>, old: &Value, causes: &mut Causes) {
    let spec = object.field("spec");
    let before = &old["spec"];
    let source = with_old_secret(spec.value, before);
    let changed = SOURCES
        .iter()
        .any(|name| !equal(&source[*name], &before[*name]));
    if changed {
        let shown = dump::volume_sources(before, &source);
        let detail = format!("spec.persistentvolumesource is immutable after creation\n{shown}");
        causes.forbidden(&spec.path.field("persistentvolumesource"), &detail);
    }
    let mode = At {
        value: &spec.value["volumeMode"],
        path: object.path.field("volumeMode"),
    };
    field(&mode, &before["volumeMode"], causes);
    if !before["nodeAffinity"].is_null() {
        let affinity = At {
            value: &spec.value["nodeAffinity"],
            path: object.path.field("nodeAffinity"),
        };
        let since = causes.len();
        structure(&affinity, &before["nodeAffinity"], &["required"], causes);
        for cause in &mut causes.list[since..] {
            cause
                .message
                .push_str(", except for updating from beta label to GA");
        }
    }
    let class = spec.field("volumeAttributesClassName");
    if !before["volumeAttributesClassName"].is_null() && !class.is_set() {
        causes.forbidden(&class.path, "update from non-nil value to nil is forbidden");
    }
}
