//! The kinds of storage.k8s.io: classes, drivers, capacities, attachments.

use serde_json::Value;

use super::super::immutable::{equal, field};
use super::super::{At, Bad, Causes, go_json, labels, names, pod, resources};
use super::inline_spec;

/// Most parameters of a class, and most bytes of them.
const PARAMETERS_MAX: usize = 512;
const PARAMETERS_SIZE_MAX: usize = 256 * 1024;
/// Most bytes of an attachment's metadata and of its error messages.
const ATTACHMENT_SIZE_MAX: usize = 256 * 1024;
const ERROR_MESSAGE_MAX: usize = 1024;

/// The kinds of the storage.k8s.io group.
pub(in crate::validate) fn class_kinds(kind: &str, object: &At<'_>, causes: &mut Causes) {
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
pub(in crate::validate) fn driver_form(at: &At<'_>, causes: &mut Causes) {
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
pub(in crate::validate) fn attachment_status(object: &At<'_>, causes: &mut Causes) {
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
pub(in crate::validate) fn class_update(
    kind: &str,
    object: &At<'_>,
    old: &Value,
    causes: &mut Causes,
) {
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
        go_json(&source["inlineVolumeSpec"]),
        spec.value["nodeName"],
    );
    causes.invalid(&spec.path, Bad::raw(shown), names::IMMUTABLE);
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
                causes.invalid(&path, Bad::raw(shown), names::IMMUTABLE);
            }
        }
    }
}
