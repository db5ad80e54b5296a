//! Warnings about volumes, claims and storage classes
//! (`pkg/api/persistentvolume/util.go` and its neighbours upstream).

use serde_json::Value;

use super::super::At;
use super::{fraction, old_label, old_labels_of};

const CLASS: &str = "volume.beta.kubernetes.io/storage-class";
const CLASS_TEXT: &str = "deprecated since v1.8; use \"storageClassName\" attribute instead";
const MOUNT_OPTIONS: &str = "volume.beta.kubernetes.io/mount-options";
const MOUNT_OPTIONS_TEXT: &str = "deprecated since v1.31; use \"mountOptions\" attribute instead";

/// Volume sources that pass out of use, or have.
pub(super) const OLD_SOURCES: &[(&str, &str)] = &[
    (
        "photonPersistentDisk",
        "deprecated in v1.11, non-functional in v1.16+",
    ),
    ("scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("storageos", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("rbd", "deprecated in v1.28, non-functional in v1.31+"),
];

/// A `PersistentVolume`.
pub(super) fn volume(object: &At<'_>, found: &mut Vec<String>) {
    annotation(object, CLASS, CLASS_TEXT, found);
    annotation(object, MOUNT_OPTIONS, MOUNT_OPTIONS_TEXT, found);
    let spec = object.field("spec");
    let policy = spec.field("persistentVolumeReclaimPolicy");
    if policy.text() == "Recycle" {
        found.push(format!("{}: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.", policy.path));
    }
    let affinity = spec.field("nodeAffinity");
    let required = affinity.field("required");
    for term in required.field("nodeSelectorTerms").items() {
        old_labels_of(&term, false, found);
    }
    for (source, text) in OLD_SOURCES {
        if spec.field(source).is_set() {
            // Upstream spells one of them otherwise here.
            let name = if *source == "storageos" {
                "storageOS"
            } else {
                source
            };
            found.push(format!("{}: {text}", spec.path.field(name)));
        }
    }
}

fn annotation(object: &At<'_>, key: &str, text: &str, found: &mut Vec<String>) {
    let metadata = object.field("metadata");
    let annotations = metadata.field("annotations");
    if annotations.value.get(key).is_some() {
        found.push(format!("{}: {text}", annotations.path.key(key)));
    }
}

/// A `PersistentVolumeClaim`.
pub(super) fn claim(object: &At<'_>, found: &mut Vec<String>) {
    annotation(object, CLASS, CLASS_TEXT, found);
    claim_spec(&object.field("spec"), found);
}

/// The spec of a claim, or of a template of claims.
pub(super) fn claim_spec(spec: &At<'_>, found: &mut Vec<String>) {
    let resources = spec.field("resources");
    for list in ["requests", "limits"] {
        fraction(&resources.field(list), "storage", found);
    }
}

/// The claims of a `StatefulSet`, and how much of its past it keeps.
pub(super) fn set_claims(object: &At<'_>, is_update: bool, found: &mut Vec<String>) {
    let spec = object.field("spec");
    for template in spec.field("volumeClaimTemplates").items() {
        // Upstream names the spec in updates alone, and in capitals.
        let inner = template.path.field("Spec");
        let path = if is_update { inner } else { template.path };
        let value = template.field("spec").value;
        claim_spec(&At { value, path }, found);
    }
    let history = spec.field("revisionHistoryLimit");
    if history.int().is_some_and(|limit| limit < 0) {
        found.push(format!(
            "{}: a negative value retains all historical revisions; a value >= 0 is recommended",
            history.path
        ));
    }
}

/// The kinds of `storage.k8s.io`.
pub(super) fn class_kinds(
    kind: &str,
    object: &At<'_>,
    old: Option<&Value>,
    found: &mut Vec<String>,
) {
    match kind {
        "StorageClass" => {
            for topology in object.field("allowedTopologies").items() {
                for expression in topology.field("matchLabelExpressions").items() {
                    let key = expression.field("key");
                    if let Some(text) = old_label(key.text()) {
                        found.push(format!("{}: {text}", key.path));
                    }
                }
            }
        }
        "CSIStorageCapacity" => {
            let topology = object.field("nodeTopology");
            old_labels_of(&topology, false, found);
            let labels = topology.field("matchLabels");
            for (label, _) in labels.entries() {
                if let Some(text) = old_label(label) {
                    found.push(format!("{}: {text}", labels.path.entry(label)));
                }
            }
        }
        "CSIDriver" => driver(object, old, found),
        _ => {}
    }
}

fn driver(object: &At<'_>, old: Option<&Value>, found: &mut Vec<String>) {
    let spec = object.field("spec");
    let requests = spec.field("tokenRequests");
    let is_news = old.is_none_or(|old| old["spec"]["tokenRequests"] != *requests.value);
    if is_news && !requests.is_empty() && !spec.field("serviceAccountTokenInSecrets").is_set() {
        found.push("spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible logging of tokens in volume attributes".into());
    }
}
