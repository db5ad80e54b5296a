//! Defaults of volumes and volume sources, in pods and persistent volumes.

use serde_json::json;

use super::{Object, child, each, pods, text};
use crate::default::{is_absent, value};

/// Mode bits of files in projected volumes: 0644.
const MODE: i64 = 0o644;

/// Defaults of a pod's `Volume`; one without a source is an `emptyDir`.
pub fn volume(volume: &mut Object) {
    if volume
        .iter()
        .all(|(key, value)| key == "name" || value.is_null())
    {
        volume.insert("emptyDir".into(), json!({}));
    }
    for name in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = child(volume, name) {
            value(source, "defaultMode", || MODE);
            downward_items(source);
        }
    }
    if let Some(projected) = child(volume, "projected") {
        for source in each(projected, "sources") {
            if let Some(token) = child(source, "serviceAccountToken") {
                value(token, "expirationSeconds", || 3600);
            }
            if let Some(downward) = child(source, "downwardAPI") {
                downward_items(downward);
            }
        }
    }
    if let Some(claim) = child(volume, "ephemeral")
        .and_then(|ephemeral| child(ephemeral, "volumeClaimTemplate"))
        .and_then(|template| child(template, "spec"))
    {
        text(claim, "volumeMode", "Filesystem");
    }
    if let Some(image) = child(volume, "image") {
        let policy = match image.get("reference").and_then(|r| r.as_str()) {
            Some(reference) if pods_tag_is_latest(reference) => "Always",
            _ => "IfNotPresent",
        };
        text(image, "pullPolicy", policy);
    }
    sources(volume);
}

fn pods_tag_is_latest(reference: &str) -> bool {
    let last = reference.rsplit('/').next().unwrap_or_default();
    !reference.is_empty()
        && !reference.contains('@')
        && last.rsplit_once(':').is_none_or(|(_, tag)| tag == "latest")
}

fn downward_items(source: &mut Object) {
    for item in each(source, "items") {
        pods::field_reference(child(item, "fieldRef"));
    }
}

/// Defaults of the sources that pods and persistent volumes have in common.
pub fn sources(object: &mut Object) {
    if let Some(path) = child(object, "hostPath") {
        value(path, "type", || "");
    }
    if let Some(iscsi) = child(object, "iscsi") {
        text(iscsi, "iscsiInterface", "default");
    }
    if let Some(rbd) = child(object, "rbd") {
        text(rbd, "pool", "rbd");
        text(rbd, "user", "admin");
        text(rbd, "keyring", "/etc/ceph/keyring");
    }
    if let Some(disk) = child(object, "azureDisk") {
        value(disk, "cachingMode", || "ReadWrite");
        value(disk, "kind", || "Shared");
        value(disk, "fsType", || "ext4");
        value(disk, "readOnly", || false);
    }
    if let Some(scale) = child(object, "scaleIO") {
        text(scale, "storageMode", "ThinProvisioned");
        if is_absent(scale, "fsType") {
            text(scale, "fsType", "xfs");
        }
    }
}
