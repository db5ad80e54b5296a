//! Volumes, claims, classes and CSI kinds.

use serde_json::Value;

use super::immutable::{equal, field, same, structure};
use super::{At, Causes, dump, labels, names, pod, resources};
use crate::path::Path;

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

/// Most parameters of a class, and most bytes of them.
const PARAMETERS_MAX: usize = 512;
const PARAMETERS_SIZE_MAX: usize = 256 * 1024;
/// Most bytes of an attachment's metadata and of its error messages.
const ATTACHMENT_SIZE_MAX: usize = 256 * 1024;
const ERROR_MESSAGE_MAX: usize = 1024;

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

/// A `PersistentVolumeClaimSpec`.
pub(super) fn claim(spec: &At<'_>, causes: &mut Causes) {
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
pub(super) fn claim_status(object: &At<'_>, causes: &mut Causes) {
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
        let shown = super::Bad::raw(amount.value().to_string());
        causes.invalid(path, shown, "must be a valid resource quantity");
    }
}

/// What of a `PersistentVolumeClaim` an update may change.
pub(super) fn claim_update(object: &At<'_>, old: &Value, causes: &mut Causes) {
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

/// The kinds of the storage.k8s.io group.
pub(super) fn class_kinds(kind: &str, object: &At<'_>, causes: &mut Causes) {
    match kind {
        "StorageClass" => class(object, causes),
        "CSIDriver" => driver(object, causes),
        "CSINode" => node(object, causes),
        "CSIStorageCapacity" => storage_capacity(object, causes),
        "VolumeAttachment" => attachment(object, causes),
        "VolumeAttributesClass" => {
            provisioner(&object.field("driverName"), causes);
            let parameters = object.field("parameters");
            if parameters.is_empty() {
                let detail = "must contain at least one key/value pair";
                causes.required(&parameters.path, detail);
            }
            parameters_named(&parameters, causes);
        }
        _ => {}
    }
}

fn class(object: &At<'_>, causes: &mut Causes) {
    provisioner(&object.field("provisioner"), causes);
    parameters_named(&object.field("parameters"), causes);
    let policy = object.field("reclaimPolicy");
    if !policy.is_empty() {
        causes.one_of(&policy, &["Delete", "Retain"]);
    }
    let mode = object.field("volumeBindingMode");
    match mode.is_set() {
        false => causes.required(&mode.path, ""),
        true => causes.one_of(&mode, &["Immediate", "WaitForFirstConsumer"]),
    }
    let mut terms = Vec::new();
    for term in object.field("allowedTopologies").items() {
        let expressions = term.field("matchLabelExpressions");
        // An empty term is as good as every other that says nothing.
        let sorted = topology(&expressions);
        if sorted.as_ref().is_some_and(|sorted| terms.contains(sorted)) {
            causes.duplicate(&expressions.path, "");
        }
        terms.extend(sorted);
        let mut keys = Vec::new();
        for expression in expressions.items() {
            let values = expression.field("values");
            if values.is_empty() {
                causes.required(&values.path, "");
            }
            let mut seen = Vec::new();
            for value in values.items() {
                if seen.contains(&value.text().to_owned()) {
                    causes.duplicate(&value.path, value.text());
                }
                seen.push(value.text().to_owned());
            }
            let key = expression.field("key");
            causes.invalid_text(&key.path, key.text(), names::qualified(key.text()));
            if keys.contains(&key.text().to_owned()) {
                causes.duplicate(&key.path, key.text());
            }
            keys.push(key.text().to_owned());
        }
    }
}

/// What a topology term asks for, in one order; `None` for nothing.
fn topology(expressions: &At<'_>) -> Option<Vec<(String, Vec<String>)>> {
    let mut asked: Vec<_> = expressions
        .items()
        .map(|expression| {
            let values = expression.field("values");
            let mut values: Vec<_> = values.items().map(|v| v.text().to_owned()).collect();
            values.sort();
            (expression.field("key").text().to_owned(), values)
        })
        .collect();
    asked.sort();
    (!asked.is_empty()).then_some(asked)
}

fn provisioner(at: &At<'_>, causes: &mut Causes) {
    if at.is_empty() {
        causes.required(&at.path, "");
    } else {
        let text = at.text().to_lowercase();
        causes.invalid_text(&at.path, &text, names::qualified(&text));
    }
}

fn parameters_named(parameters: &At<'_>, causes: &mut Causes) {
    if parameters.len() > PARAMETERS_MAX {
        causes.too_long(&parameters.path, PARAMETERS_MAX);
        return;
    }
    if parameters.value.get("").is_some() {
        causes.invalid(&parameters.path, "", "field can not be empty.");
    }
    let size = parameters
        .entries()
        .map(|(key, value)| key.len() + value.as_str().map_or(0, str::len))
        .sum::<usize>();
    if size > PARAMETERS_SIZE_MAX {
        causes.too_long(&parameters.path, PARAMETERS_SIZE_MAX);
    }
}

/// The name of a CSI driver.
fn driver_name(at: &At<'_>, causes: &mut Causes) {
    if at.is_empty() {
        causes.required(&at.path, "");
        return;
    }
    driver_form(at, causes);
}

/// The form of a driver's name, if one is given.
pub(super) fn driver_form(at: &At<'_>, causes: &mut Causes) {
    if at.is_empty() {
        return;
    }
    if at.len() > 63 {
        causes.too_long(&at.path, 63);
    }
    let wrong = names::subdomain(&at.text().to_lowercase());
    causes.invalid_text(&at.path, at.text(), wrong);
}

/// What causes call `attachRequired` of a driver.
const ATTACH_REQUIRED: &str = "attachedRequired";

fn driver(object: &At<'_>, causes: &mut Causes) {
    let spec = object.field("spec");
    for (name, shown) in [
        ("attachRequired", ATTACH_REQUIRED),
        ("podInfoOnMount", "podInfoOnMount"),
        ("storageCapacity", "storageCapacity"),
    ] {
        if !spec.field(name).is_set() {
            causes.required(&spec.path.field(shown), "");
        }
    }
    let policy = spec.field("fsGroupPolicy");
    if policy.is_set() {
        causes.one_of(&policy, &["File", "None", "ReadWriteOnceWithFSType"]);
    }
    let mut audiences: Vec<String> = Vec::new();
    for request in spec.field("tokenRequests").items() {
        let audience = request.field("audience");
        if audiences.iter().any(|known| known == audience.text()) {
            causes.duplicate(&audience.path, audience.text());
            continue;
        }
        audiences.push(audience.text().to_owned());
        pod::token_seconds(&request.field("expirationSeconds"), causes);
    }
    let modes = spec.field("volumeLifecycleModes");
    for mode in modes.items() {
        if !matches!(mode.text(), "Persistent" | "Ephemeral") {
            causes.not_supported(&modes.path, mode.text(), &["Persistent", "Ephemeral"]);
        }
    }
    let period = spec.field("nodeAllocatableUpdatePeriodSeconds");
    if let Some(seconds) = period.int().filter(|seconds| *seconds < 10) {
        let detail = "must be greater than or equal to 10 seconds";
        causes.invalid(&period.path, seconds, detail);
    }
}

fn node(object: &At<'_>, causes: &mut Causes) {
    let spec = object.field("spec");
    let mut seen = Vec::new();
    for driver in spec.field("drivers").items() {
        let name = driver.field("name");
        driver_name(&name, causes);
        let id = driver.field("nodeID");
        match id.len() {
            0 => causes.required(&id.path, ""),
            193.. => causes.invalid(&id.path, id.text(), "must be 192 characters or less"),
            _ => {}
        }
        let allocatable = driver.field("allocatable");
        causes.not_negative(&allocatable.field("count"));
        let mut keys = Vec::new();
        for key in driver.field("topologyKeys").items() {
            // Causes name the driver, not the key.
            if key.is_empty() {
                causes.required(&driver.path, "");
            }
            if keys.contains(&key.text().to_owned()) {
                causes.duplicate(&driver.path, key.text());
            }
            keys.push(key.text().to_owned());
            causes.invalid_text(&driver.path, key.text(), names::qualified(key.text()));
        }
        if seen.contains(&name.text().to_owned()) {
            causes.duplicate(&name.path, name.text());
        }
        seen.push(name.text().to_owned());
    }
}

fn storage_capacity(object: &At<'_>, causes: &mut Causes) {
    labels::selector(&object.field("nodeTopology"), causes);
    let class = object.field("storageClassName");
    causes.invalid_text(&class.path, class.text(), names::subdomain(class.text()));
    let capacity = object.field("capacity");
    if capacity.is_set() && resources::amount(capacity.value).signum() < 0 {
        let shown = resources::shown(capacity.value);
        causes.invalid(&capacity.path, shown, names::NOT_NEGATIVE);
    }
}

fn attachment(object: &At<'_>, causes: &mut Causes) {
    const ONE: &str = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
    let spec = object.field("spec");
    let attacher = spec.field("attacher");
    if attacher.is_empty() {
        // Asked for by the rules of all versions and by those of this one.
        causes.required(&attacher.path, "");
    }
    driver_name(&attacher, causes);
    let source = spec.field("source");
    let (inline, volume) = (
        source.field("inlineVolumeSpec"),
        source.field("persistentVolumeName"),
    );
    match (inline.is_set(), volume.is_set()) {
        (false, false) => causes.required(&source.path, ONE),
        (true, true) => causes.forbidden(&source.path, ONE),
        (false, true) if volume.is_empty() => {
            causes.required(&volume.path, "must specify non empty persistentVolumeName");
        }
        (false, true) => {}
        (true, false) => inline_spec(&inline, causes),
    }
    if volume.is_set() {
        causes.invalid_text(&volume.path, volume.text(), names::subdomain(volume.text()));
    }
    let node = spec.field("nodeName");
    causes.invalid_text(&node.path, node.text(), names::subdomain(node.text()));
    attachment_status(object, causes);
}

/// The status of a `VolumeAttachment`.
pub(super) fn attachment_status(object: &At<'_>, causes: &mut Causes) {
    let status = object.field("status");
    let metadata = status.field("attachmentMetadata");
    let size = metadata
        .entries()
        .map(|(key, value)| key.len() + value.as_str().map_or(0, str::len))
        .sum::<usize>();
    if size > ATTACHMENT_SIZE_MAX {
        causes.too_long(&metadata.path, ATTACHMENT_SIZE_MAX);
    }
    for name in ["attachError", "detachError"] {
        let error = status.field(name);
        let message = error.field("message");
        if message.len() > ERROR_MESSAGE_MAX {
            // Upstream tells the other limit here.
            causes.too_long(&message.path, ATTACHMENT_SIZE_MAX);
        }
        let code = error.field("errorCode");
        if let Some(number) = code.int().filter(|number| *number < 0) {
            causes.invalid(&code.path, number, &names::range(0, i64::from(i32::MAX)));
        }
    }
}

/// What of the storage.k8s.io kinds an update may change.
pub(super) fn class_update(kind: &str, object: &At<'_>, old: &Value, causes: &mut Causes) {
    let fixed: &[&str] = match kind {
        "StorageClass" => &[
            "parameters",
            "provisioner",
            "reclaimPolicy",
            "volumeBindingMode",
        ],
        "CSIStorageCapacity" => &["nodeTopology", "storageClassName"],
        _ => &[],
    };
    for name in fixed {
        field(&object.field(name), &old[*name], causes);
    }
    let spec = object.field("spec");
    let before = &old["spec"];
    match kind {
        "CSIDriver" => {
            let attach = At {
                value: &spec.value["attachRequired"],
                path: spec.path.field(ATTACH_REQUIRED),
            };
            field(&attach, &before["attachRequired"], causes);
            let modes = "volumeLifecycleModes";
            field(&spec.field(modes), &before[modes], causes);
        }
        "VolumeAttributesClass" => {
            for name in ["driverName", "parameters"] {
                let at = object.field(name);
                if !equal(at.value, &old[name]) {
                    causes.forbidden(&at.path, &format!("updates to {name} are forbidden."));
                }
            }
        }
        "VolumeAttachment" => attachment_update(&spec, before, causes),
        "CSINode" => node_update(&spec, before, causes),
        _ => {}
    }
}

fn attachment_update(spec: &At<'_>, before: &Value, causes: &mut Causes) {
    if equal(spec.value, before) {
        return;
    }
    let source = &spec.value["source"];
    let shown = format!(
        "{{\"Attacher\":{},\"Source\":{{\"PersistentVolumeName\":{},\"InlineVolumeSpec\":{}}},\"NodeName\":{}}}",
        spec.value["attacher"],
        source["persistentVolumeName"],
        super::go_json(&source["inlineVolumeSpec"]),
        spec.value["nodeName"],
    );
    causes.invalid(&spec.path, super::Bad::raw(shown), names::IMMUTABLE);
}

fn node_update(spec: &At<'_>, before: &Value, causes: &mut Causes) {
    for old in before["drivers"].as_array().into_iter().flatten() {
        let found = spec.value["drivers"].as_array().into_iter().flatten();
        let found = found.into_iter().find(|new| new["name"] == old["name"]);
        if let Some(new) = found {
            let fixed = |driver: &Value| (driver["nodeID"].clone(), driver["topologyKeys"].clone());
            if fixed(new) != fixed(old) {
                let keys = match &new["topologyKeys"] {
                    Value::Null => "null".to_owned(),
                    keys => keys.to_string(),
                };
                let shown = format!(
                    "{{\"Name\":{},\"NodeID\":{},\"TopologyKeys\":{keys},\"Allocatable\":null}}",
                    new["name"], new["nodeID"]
                );
                let path = spec.path.field("drivers");
                causes.invalid(&path, super::Bad::raw(shown), names::IMMUTABLE);
            }
        }
    }
}
