//! Environment variables and what fills them.

use super::super::{At, Causes, names};
use super::volume;

/// Fields of a pod that a variable can show.
const FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
/// Every field that the downward API knows in some place.
const KNOWN_FIELDS: &[&str] = &[
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.serviceAccountName",
    "spec.schedulerName",
    "status.phase",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
/// Resources of a container that the downward API knows.
const RESOURCES: &[&str] = &[
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];
const DIVISORS_CPU: &[&str] = &["1m", "1"];
const DIVISORS_BYTES: &[&str] = &[
    "1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei",
];

/// A container's `env`.
pub(super) fn variables(env: &At<'_>, causes: &mut Causes) {
    for variable in env.items() {
        let name = variable.field("name");
        if name.is_empty() {
            causes.required(&name.path, "");
        } else {
            causes.invalid_text(&name.path, name.text(), names::variable(name.text()));
        }
        let from = variable.field("valueFrom");
        if from.is_set() {
            value_from(&from, !variable.field("value").is_empty(), causes);
        }
    }
}

fn value_from(from: &At<'_>, has_value: bool, causes: &mut Causes) {
    let mut sources = 0;
    let field = from.field("fieldRef");
    if field.is_set() {
        sources += 1;
        field_reference(&field, FIELDS, causes);
    }
    let resource = from.field("resourceFieldRef");
    if resource.is_set() {
        sources += 1;
        resource_reference(&resource, false, causes);
    }
    for name in ["configMapKeyRef", "secretKeyRef"] {
        let key = from.field(name);
        if key.is_set() {
            sources += 1;
            key_reference(&key, causes);
        }
    }
    let file = from.field("fileKeyRef");
    if file.is_set() {
        sources += 1;
        file_reference(&file, causes);
    }
    if sources == 0 {
        let detail = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`";
        causes.invalid(&from.path, "", detail);
    }
    if has_value && sources != 0 {
        causes.invalid(
            &from.path,
            "",
            "may not be specified when `value` is not empty",
        );
    } else if sources > 1 {
        let detail = "may not have more than one field specified at a time";
        causes.invalid(&from.path, "", detail);
    }
}

fn key_reference(reference: &At<'_>, causes: &mut Causes) {
    let (name, key) = (reference.field("name"), reference.field("key"));
    causes.invalid_text(&name.path, name.text(), names::subdomain(name.text()));
    if key.is_empty() {
        causes.required(&key.path, "");
    } else {
        causes.invalid_text(&key.path, key.text(), names::config_key(key.text()));
    }
}

fn file_reference(reference: &At<'_>, causes: &mut Causes) {
    let rules = [
        ("key", names::variable as fn(&str) -> Vec<String>),
        ("volumeName", names::label),
    ];
    for (name, rule) in rules {
        let at = reference.field(name);
        match at.text() {
            "" => causes.required(&at.path, ""),
            text => causes.invalid_text(&at.path, text, rule(text)),
        }
    }
    let path = reference.field("path");
    match path.text() {
        "" => causes.required(&path.path, ""),
        text => volume::no_backsteps(&path.path, text, causes),
    }
}

/// Files that variables come from lie in volumes that containers can write.
pub(super) fn files(spec: &At<'_>, causes: &mut Causes) {
    let volumes = spec.field("volumes");
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for container in spec.field(list).items() {
            for variable in container.field("env").items() {
                let from = variable.field("valueFrom");
                let file = from.field("fileKeyRef");
                if file.is_set() {
                    file_volume(&file.field("volumeName"), &volumes, causes);
                }
            }
        }
    }
}

fn file_volume(name: &At<'_>, volumes: &At<'_>, causes: &mut Causes) {
    let found = volumes
        .items()
        .filter(|volume| volume.field("name").text() == name.text())
        .last();
    match found {
        None => causes.not_found(&name.path, name.text()),
        Some(volume) if !volume.field("emptyDir").is_set() => {
            let detail = "referenced volume must be of type emptyDir";
            causes.invalid(&name.path, name.text(), detail);
        }
        Some(_) => {}
    }
}

/// An `ObjectFieldSelector`; `allowed` are the fields it may name.
pub(super) fn field_reference(reference: &At<'_>, allowed: &[&str], causes: &mut Causes) {
    let (version, path) = (reference.field("apiVersion"), reference.field("fieldPath"));
    for at in [&version, &path] {
        if at.is_empty() {
            causes.required(&at.path, "");
            return;
        }
    }
    let text = path.text();
    let (base, subscript) = subscripted(text);
    if version.text() != "v1" {
        let detail = format!(
            "error converting fieldPath: unsupported pod version: {}",
            version.text()
        );
        causes.invalid(&path.path, text, &detail);
        return;
    }
    let converts = match subscript {
        Some(_) => matches!(base, "metadata.annotations" | "metadata.labels"),
        None => KNOWN_FIELDS.contains(&base),
    };
    if !converts {
        let detail = format!("error converting fieldPath: field label not supported: {base}");
        causes.invalid(&path.path, text, &detail);
        return;
    }
    match subscript {
        Some(key) => {
            let key = match base {
                "metadata.annotations" => key.to_lowercase(),
                _ => key.to_owned(),
            };
            causes.invalid_text(&reference.path, &key, names::qualified(&key));
        }
        None if !allowed.contains(&base) => {
            let mut allowed = allowed.to_vec();
            allowed.sort_unstable();
            causes.not_supported(&path.path, base, &allowed);
        }
        None => {}
    }
}

/// `path['key']` as path and key.
fn subscripted(text: &str) -> (&str, Option<&str>) {
    let split = text
        .strip_suffix("']")
        .and_then(|rest| rest.split_once("['"))
        .filter(|(path, _)| !path.is_empty());
    match split {
        Some((path, key)) => (path, Some(key)),
        None => (text, None),
    }
}

/// A `ResourceFieldSelector`; in a volume it must name its container.
pub(super) fn resource_reference(reference: &At<'_>, in_volume: bool, causes: &mut Causes) {
    let container = reference.field("containerName");
    let resource = reference.field("resource");
    if in_volume && container.is_empty() {
        causes.required(&container.path, "");
    } else if resource.is_empty() {
        causes.required(&resource.path, "");
    } else if !RESOURCES.contains(&resource.text()) && !resource.text().contains(".hugepages-") {
        causes.not_supported(&resource.path, resource.text(), RESOURCES);
    }
    divisor(reference, resource.text(), causes);
}

fn divisor(reference: &At<'_>, resource: &str, causes: &mut Causes) {
    let divisor = reference.field("divisor");
    if !divisor.is_set() || divisor.text() == "0" {
        return;
    }
    let (allowed, shown) = match resource.rsplit('.').next().unwrap_or_default() {
        "cpu" => (DIVISORS_CPU, "1m and 1 are supported with the cpu resource"),
        "memory" => (
            DIVISORS_BYTES,
            "1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the memory resource",
        ),
        "ephemeral-storage" => (
            DIVISORS_BYTES,
            "1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the local ephemeral storage resource",
        ),
        _ => return,
    };
    if !allowed.contains(&divisor.text()) {
        let detail = format!("only divisor's values {shown}");
        causes.invalid(&divisor.path, resource, &detail);
    }
}

/// A container's `envFrom`.
pub(super) fn sources(env: &At<'_>, causes: &mut Causes) {
    for source in env.items() {
        let prefix = source.field("prefix");
        if !prefix.is_empty() {
            causes.invalid_text(&prefix.path, prefix.text(), names::variable(prefix.text()));
        }
        let mut count = 0;
        for name in ["configMapRef", "secretRef"] {
            let reference = source.field(name);
            if reference.is_set() {
                count += 1;
                let name = reference.field("name");
                if name.is_empty() {
                    causes.required(&name.path, "");
                } else {
                    causes.invalid_text(&name.path, name.text(), names::subdomain(name.text()));
                }
            }
        }
        match count {
            1 => {}
            0 => {
                let detail = "must specify one of: `configMapRef` or `secretRef`";
                causes.invalid(&env.path, "", detail);
            }
            _ => {
                let detail = "may not have more than one field specified at a time";
                causes.invalid(&env.path, "", detail);
            }
        }
    }
}
