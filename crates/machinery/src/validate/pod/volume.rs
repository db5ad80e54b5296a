//! Volumes of a pod, and the sources that persistent volumes share.

use super::super::{At, Causes, labels, names, resources, storage};
use super::{env, source};
use crate::path::Path;

/// Sources in the order in which upstream looks at them.
const SOURCES: &[&str] = &[
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "flocker",
    "downwardAPI",
    "fc",
    "flexVolume",
    "configMap",
    "azureFile",
    "vsphereVolume",
    "quobyte",
    "azureDisk",
    "storageos",
    "projected",
    "portworxVolume",
    "scaleIO",
    "csi",
    "ephemeral",
    "image",
];

/// Fields that a source cannot do without.
const REQUIRED: &[(&str, &[&str])] = &[
    ("gitRepo", &["repository"]),
    ("gcePersistentDisk", &["pdName"]),
    ("awsElasticBlockStore", &["volumeID"]),
    ("secret", &["secretName"]),
    ("nfs", &["server", "path"]),
    ("iscsi", &["targetPortal", "iqn"]),
    ("glusterfs", &["endpoints", "path"]),
    ("persistentVolumeClaim", &["claimName"]),
    ("rbd", &["monitors", "image"]),
    ("cinder", &["volumeID"]),
    ("cephfs", &["monitors"]),
    ("flexVolume", &["driver"]),
    ("configMap", &["name"]),
    ("azureFile", &["secretName", "shareName"]),
    ("vsphereVolume", &["volumePath"]),
    ("quobyte", &["volume"]),
    ("azureDisk", &["diskName", "diskURI"]),
    ("storageos", &["volumeName"]),
    ("portworxVolume", &["volumeID"]),
    ("scaleIO", &["gateway", "system", "volumeName"]),
    ("csi", &["driver"]),
    ("hostPath", &["path"]),
];

/// Kinds of `hostPath`.
const HOST_PATH_TYPES: &[&str] = &[
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
];

/// Fields of a pod that a downward volume can show.
const FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.labels",
    "metadata.annotations",
    "metadata.uid",
];

const MODE: &str = "must be a number between 0 and 0777 (octal), both inclusive";

/// The volumes that mounts may name: name and kind of source.
#[derive(Debug, Default)]
pub(super) struct Volumes<'a> {
    known: Vec<(&'a str, &'static str)>,
}

impl Volumes<'_> {
    /// Whether a volume of this name is there.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.kind(name).is_some()
    }

    /// The kind of source of a volume.
    pub(super) fn kind(&self, name: &str) -> Option<&'static str> {
        let found = self.known.iter().find(|(known, _)| *known == name);
        found.map(|(_, kind)| *kind)
    }
}

/// Judges a pod's volumes and returns those that are sound.
pub(super) fn volumes<'a>(volumes: &At<'a>, causes: &mut Causes) -> Volumes<'a> {
    let mut sound = Volumes::default();
    let list = volumes.value.as_array();
    for (index, value) in list.into_iter().flatten().enumerate() {
        let volume = At {
            value,
            path: volumes.path.index(index),
        };
        let mut own = Causes::default();
        let kind = chosen_source(&volume, &mut own);
        let name = volume.field("name");
        let text = value["name"].as_str().unwrap_or_default();
        if text.is_empty() {
            own.required(&name.path, "");
        } else {
            own.invalid_text(&name.path, text, names::label(text));
        }
        if sound.contains(text) {
            own.duplicate(&name.path, text);
        }
        match kind {
            Some(kind) if own.len() == 0 => sound.known.push((text, kind)),
            _ => {}
        }
        causes.list.append(&mut own.list);
    }
    sound
}

fn chosen_source(volume: &At<'_>, causes: &mut Causes) -> Option<&'static str> {
    let mut found = None;
    for name in SOURCES {
        let at = volume.field(name);
        if !at.is_set() {
            continue;
        }
        if found.is_some() {
            causes.forbidden(&at.path, "may not specify more than 1 volume type");
            continue;
        }
        found = Some(*name);
        let at = At {
            path: volume.path.field(shown_name(name)),
            ..at
        };
        source_fields(name, &at, causes);
        pod_source(name, &at, volume, causes);
    }
    if found.is_none() {
        causes.required(&volume.path, "must specify a volume type");
    }
    found
}

/// The name of a source in the faults of its fields.
pub(in super::super) fn shown_name(source: &str) -> &str {
    match source {
        "gcePersistentDisk" => "persistentDisk",
        other => other,
    }
}

/// Rules of a source, in pods and persistent volumes alike.
pub(in super::super) fn source_fields(kind: &str, at: &At<'_>, causes: &mut Causes) {
    let required = REQUIRED.iter().find(|(known, _)| *known == kind);
    for name in required.into_iter().flat_map(|(_, names)| *names) {
        let field = at.field(name);
        if field.is_empty() {
            causes.required(&field.path, "");
        }
    }
    match kind {
        "hostPath" => {
            let path = at.field("path");
            no_backsteps(&path.path, path.text(), causes);
            let kind = at.field("type");
            if kind.is_set() {
                causes.one_of(&kind, HOST_PATH_TYPES);
            }
        }
        "nfs" => {
            let path = at.field("path");
            if !path.text().starts_with('/') {
                causes.invalid(&path.path, path.text(), "must be an absolute path");
            }
        }
        _ => source::source(kind, at, causes),
    }
}

fn pod_source(kind: &str, at: &At<'_>, volume: &At<'_>, causes: &mut Causes) {
    match kind {
        "emptyDir" => {
            let limit = at.field("sizeLimit");
            if limit.is_set() && resources::amount(limit.value).signum() < 0 {
                let detail = "SizeLimit field must be a valid resource quantity";
                causes.forbidden(&limit.path, detail);
            }
        }
        "secret" | "configMap" => {
            mode(&at.field("defaultMode"), causes);
            for item in at.field("items").items() {
                key_to_path(&item, causes);
            }
        }
        "downwardAPI" => {
            mode(&at.field("defaultMode"), causes);
            for item in at.field("items").items() {
                downward_file(&item, &at.path, causes);
            }
        }
        "projected" => projected(at, causes),
        "ephemeral" => ephemeral(at, causes),
        "csi" => {
            let secret = at.field("nodePublishSecretRef");
            let name = secret.field("name");
            if secret.is_set() && name.is_empty() {
                causes.required(&name.path, "");
            } else if secret.is_set() {
                let path = at.path.field("name");
                causes.invalid_text(&path, name.text(), names::subdomain(name.text()));
            }
        }
        "cinder" => {
            let secret = at.field("secretRef");
            let name = secret.field("name");
            if secret.is_set() && name.is_empty() {
                causes.required(&name.path, "");
            }
        }
        "iscsi" => {
            let portal = at.field("targetPortal").text();
            let name = volume.field("name");
            let length = format!("{}:{portal}", name.text()).len();
            if at.field("initiatorName").is_set() && length > 64 {
                let detail = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.";
                causes.invalid(&name.path, name.text(), detail);
            }
        }
        "image" => {
            let policy = at.field("pullPolicy");
            match policy.text() {
                "" => causes.required(&policy.path, ""),
                _ => causes.one_of(&policy, &["Always", "IfNotPresent", "Never"]),
            }
        }
        _ => {}
    }
}

fn mode(at: &At<'_>, causes: &mut Causes) {
    if let Some(mode) = at.int()
        && !(0..=0o777).contains(&mode)
    {
        causes.invalid(&at.path, mode, MODE);
    }
}

fn key_to_path(item: &At<'_>, causes: &mut Causes) {
    let (key, path) = (item.field("key"), item.field("path"));
    if key.is_empty() {
        causes.required(&key.path, "");
    }
    file_path(&path, causes);
    mode(&item.field("mode"), causes);
}

/// A path of a file inside the volume; names that start with `..` are reserved.
fn file_path(path: &At<'_>, causes: &mut Causes) {
    if path.is_empty() {
        causes.required(&path.path, "");
        return;
    }
    descending(&path.path, path.text(), causes);
    if path.text().starts_with("..") && !path.text().starts_with("../") {
        causes.invalid(&path.path, path.text(), "must not start with '..'");
    }
}

/// A relative path without `..`.
pub(super) fn descending(path: &Path<'_>, text: &str, causes: &mut Causes) {
    if text.starts_with('/') {
        causes.invalid(path, text, "must be a relative path");
    }
    no_backsteps(path, text, causes);
}

/// A path without `..`.
pub(in super::super) fn no_backsteps(path: &Path<'_>, text: &str, causes: &mut Causes) {
    if text.split('/').any(|part| part == "..") {
        causes.invalid(path, text, "must not contain '..'");
    }
}

/// A file of the downward API; upstream names it by its volume.
fn downward_file(item: &At<'_>, volume: &Path<'_>, causes: &mut Causes) {
    let at = |name: &'static str| At {
        value: &item.value[name],
        path: volume.field(name),
    };
    file_path(&at("path"), causes);
    let (field, resource) = (at("fieldRef"), at("resourceFieldRef"));
    if field.is_set() {
        env::field_reference(&field, FIELDS, causes);
        if resource.is_set() {
            let detail = "fieldRef and resourceFieldRef can not be specified simultaneously";
            causes.invalid(volume, "resource", detail);
        }
    } else if resource.is_set() {
        env::resource_reference(&resource, true, causes);
    } else {
        causes.required(volume, "one of fieldRef and resourceFieldRef is required");
    }
    mode(&at("mode"), causes);
}

/// Kinds of sources of a projected volume.
const PROJECTIONS: [&str; 6] = [
    "secret",
    "configMap",
    "downwardAPI",
    "serviceAccountToken",
    "clusterTrustBundle",
    "podCertificate",
];

fn projected(at: &At<'_>, causes: &mut Causes) {
    mode(&at.field("defaultMode"), causes);
    let mut paths = Vec::new();
    for source in at.field("sources").items() {
        let mut found = 0;
        for name in PROJECTIONS {
            let part = source.field(name);
            if part.is_set() {
                found += 1;
                projection(name, &part, &at.path, causes);
                different_paths(name, &part, &at.path, &mut paths, causes);
            }
        }
        if found > 1 {
            let detail = "may not specify more than 1 volume type per source";
            causes.forbidden(&source.path, detail);
        }
    }
}

/// Two sources may not name one file; a fault shows where the second is from.
fn different_paths(
    kind: &str,
    part: &At<'_>,
    volume: &Path<'_>,
    paths: &mut Vec<String>,
    causes: &mut Causes,
) {
    for item in part.field("items").items() {
        let path = item.field("path").text().to_owned();
        if paths.contains(&path) {
            let name = part.field("name");
            let shown = if kind == "downwardAPI" {
                &path
            } else {
                name.text()
            };
            causes.invalid(volume, shown, "conflicting duplicate paths");
        }
        if !path.is_empty() {
            paths.push(path);
        }
    }
}

fn projection(kind: &str, part: &At<'_>, volume: &Path<'_>, causes: &mut Causes) {
    match kind {
        "secret" | "configMap" => {
            let name = part.field("name");
            if name.is_empty() {
                causes.required(&name.path, "");
            }
            for item in part.field("items").items() {
                key_to_path(&item, causes);
            }
        }
        "downwardAPI" => {
            for item in part.field("items").items() {
                downward_file(&item, &part.path, causes);
            }
        }
        "serviceAccountToken" => {
            let seconds = part.field("expirationSeconds");
            token_seconds(&seconds, causes);
            let value = part.field("path").value;
            // Upstream names the volume here, not the source.
            let path = volume.field("path");
            file_path(&At { value, path }, causes);
        }
        "clusterTrustBundle" => file_path(&part.field("path"), causes),
        _ => {}
    }
}

/// How long a token may live.
pub(super) fn token_seconds(at: &At<'_>, causes: &mut Causes) {
    let Some(seconds) = at.int() else {
        return;
    };
    if seconds < 600 {
        causes.invalid(
            &at.path,
            seconds,
            "may not specify a duration less than 10 minutes",
        );
    }
    if seconds > 1 << 32 {
        causes.invalid(
            &at.path,
            seconds,
            "may not specify a duration larger than 2^32 seconds",
        );
    }
}

fn ephemeral(at: &At<'_>, causes: &mut Causes) {
    let template = at.field("volumeClaimTemplate");
    if !template.is_set() {
        causes.required(&template.path, "");
        return;
    }
    let metadata = template.field("metadata");
    labels::annotations(&metadata.field("annotations"), causes);
    labels::labels(&metadata.field("labels"), causes);
    storage::claim(&template.field("spec"), causes);
}
