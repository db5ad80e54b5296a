//! Warnings about valid objects: values that are probably mistakes
//! (`pkg/api/pod/warnings.go` upstream).

use serde_json::Value;

use super::super::{At, quote, resources};
use crate::kind::Kind;

/// Warnings of a valid object; `old` is what an update replaces.
pub(in super::super) fn warnings(kind: &Kind, object: &Value, old: Option<&Value>) -> Vec<String> {
    let mut found = Vec::new();
    duplicate_owners(object, &mut found);
    match (kind.group, kind.kind) {
        ("", "Pod") if old.is_none() => pod_spec(&object["spec"], "spec", &mut found),
        ("", "PodTemplate") => template(object, old, "template", &mut found),
        ("apps", "Deployment" | "ReplicaSet" | "DaemonSet" | "StatefulSet")
        | ("", "ReplicationController")
        | ("batch", "Job") => template(object, old, "spec.template", &mut found),
        ("batch", "CronJob") => {
            template(object, old, "spec.jobTemplate.spec.template", &mut found);
        }
        ("", "PersistentVolume")
            if object["spec"]["persistentVolumeReclaimPolicy"] == "Recycle" =>
        {
            found.push("spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.".into());
        }
        ("", "Service") => {
            let external = object["spec"]["externalIPs"].as_array();
            if external.is_some_and(|list| !list.is_empty()) {
                found.push("spec.externalIPs is deprecated and may no longer be implemented in some clusters".into());
            }
        }
        ("storage.k8s.io", "CSIDriver") => {
            let spec = &object["spec"];
            let requests = spec["tokenRequests"].as_array();
            if requests.is_some_and(|list| !list.is_empty())
                && spec["serviceAccountTokenInSecrets"].is_null()
            {
                found.push("spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible logging of tokens in volume attributes".into());
            }
        }
        _ => {}
    }
    found
}

fn duplicate_owners(object: &Value, found: &mut Vec<String>) {
    let mut seen: Vec<&Value> = Vec::new();
    let mut twice: Vec<&str> = Vec::new();
    let owners = object["metadata"]["ownerReferences"].as_array();
    for owner in owners.into_iter().flatten() {
        let uid = owner["uid"].as_str().unwrap_or_default();
        if seen.contains(&owner) && !twice.contains(&uid) {
            twice.push(uid);
        }
        seen.push(owner);
    }
    if !twice.is_empty() {
        found.push(format!(
            ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {}",
            twice.join(", ")
        ));
    }
}

/// A template earns its warnings when it is new or changes.
fn template(object: &Value, old: Option<&Value>, path: &str, found: &mut Vec<String>) {
    let at = |object: &Value| {
        path.split('.')
            .fold(object.clone(), |v, name| v[name].clone())
    };
    let template = at(object);
    if old.is_none_or(|old| at(old) != template) {
        pod_spec(&template["spec"], &format!("{path}.spec"), found);
    }
}

fn pod_spec(spec: &Value, path: &str, found: &mut Vec<String>) {
    let path = crate::path::Path::new(path);
    let spec = At { value: spec, path };
    for constraint in spec.field("topologySpreadConstraints").items() {
        let selector = constraint.field("labelSelector");
        if !selector.is_set() {
            let text = "a null labelSelector results in matching no pod";
            found.push(format!("{}: {text}", selector.path));
        }
    }
    for list in ["initContainers", "containers"] {
        for container in spec.field(list).items() {
            fractional_bytes(&container, found);
            hidden_variables(&container, found);
        }
    }
    duplicate_ports(&spec, found);
    deprecated_fields(&spec, found);
}

fn fractional_bytes(container: &At<'_>, found: &mut Vec<String>) {
    let requirements = container.field("resources");
    for list in ["limits", "requests"] {
        let list = requirements.field(list);
        for (name, value) in list.entries() {
            let counts_bytes = matches!(name, "memory" | "ephemeral-storage");
            let amount = resources::amount(value);
            if counts_bytes && amount.milli_value() % 1000 != 0 {
                found.push(format!(
                    "{}: fractional byte value {} is invalid, must be an integer",
                    list.path.key(name),
                    quote(&amount.to_string())
                ));
            }
        }
    }
}

fn hidden_variables(container: &At<'_>, found: &mut Vec<String>) {
    let env = container.field("env");
    let mut values: Vec<(&str, &str)> = Vec::new();
    for (index, variable) in env.value.as_array().into_iter().flatten().enumerate() {
        let text = |name: &str| variable[name].as_str().unwrap_or_default();
        let (name, value) = (text("name"), text("value"));
        // Naming its own former value is the one use of defining it twice.
        let refers = value.contains(&format!("$({name})"));
        if values.iter().any(|(known, _)| *known == name) && !refers {
            found.push(format!(
                "{}: hides previous definition of {}, which may be dropped when using apply",
                env.path.index(index),
                quote(name)
            ));
        }
        values.push((name, value));
    }
}

/// The same port and protocol twice, in one container or in two.
fn duplicate_ports(spec: &At<'_>, found: &mut Vec<String>) {
    type Key = (i64, String, String, i64);
    let mut seen: Vec<(Key, String)> = Vec::new();
    for container in spec.field("containers").items() {
        for port in container.field("ports").items() {
            let text = |name: &str| port.value[name].as_str().unwrap_or_default().to_owned();
            let number = |name: &str| port.value[name].as_i64().unwrap_or(0);
            let key = (
                number("containerPort"),
                text("protocol"),
                text("hostIP"),
                number("hostPort"),
            );
            let path = port.path.to_string();
            match seen.iter().find(|(known, _)| *known == key) {
                Some((_, first)) => {
                    found.push(format!("{path}: duplicate port definition with {first}"));
                }
                None => seen.push((key, path)),
            }
        }
    }
}

/// Labels and annotations of nodes that have newer names.
const OLD_LABELS: &[(&str, &str)] = &[
    (
        "beta.kubernetes.io/arch",
        "deprecated since v1.14; use \"kubernetes.io/arch\" instead",
    ),
    (
        "beta.kubernetes.io/os",
        "deprecated since v1.14; use \"kubernetes.io/os\" instead",
    ),
    (
        "failure-domain.beta.kubernetes.io/region",
        "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead",
    ),
    (
        "failure-domain.beta.kubernetes.io/zone",
        "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead",
    ),
    (
        "beta.kubernetes.io/instance-type",
        "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead",
    ),
];

fn deprecated_fields(spec: &At<'_>, found: &mut Vec<String>) {
    let selector = spec.field("nodeSelector");
    for (label, text) in OLD_LABELS {
        if selector.value.get(*label).is_some() {
            found.push(format!("{}: {text}", selector.path.key(label)));
        }
    }
    for volume in spec.field("volumes").items() {
        for (kind, text) in [
            (
                "gitRepo",
                "deprecated in v1.11, and disabled by default in v1.33+",
            ),
            ("glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
            ("rbd", "deprecated in v1.28, non-functional in v1.31+"),
            ("cephfs", "deprecated in v1.28, non-functional in v1.31+"),
        ] {
            let source = volume.field(kind);
            if source.is_set() {
                found.push(format!("{}: {text}", source.path));
            }
        }
    }
    let secrets = spec.field("imagePullSecrets");
    for secret in secrets
        .items()
        .filter(|secret| secret.field("name").is_empty())
    {
        let name = secret.field("name");
        found.push(format!(
            "{}: invalid empty name {}",
            name.path,
            quote(name.text())
        ));
    }
}
