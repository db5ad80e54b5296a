//! What an update of a pod may change.

use serde_json::Value;

use super::super::{At, Causes, ip, names};
use crate::schema;

/// Fields that updates may change, as the refusal names them.
const CHANGEABLE: &str = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// An update through the pod itself.
pub(in super::super) fn update(object: &At<'_>, old: &Value, causes: &mut Causes) {
    let spec = object.field("spec");
    let before = &old["spec"];
    for list in ["containers", "initContainers"] {
        let containers = spec.field(list);
        if containers.len() != before[list].as_array().map_or(0, Vec::len) {
            causes.forbidden(
                &containers.path,
                "pod updates may not add or remove containers",
            );
            return;
        }
    }
    if !deadline(
        &spec.field("activeDeadlineSeconds"),
        &before["activeDeadlineSeconds"],
        causes,
    ) {
        return;
    }
    tolerations(&spec.field("tolerations"), &before["tolerations"], causes);
    gates(
        &spec.field("schedulingGates"),
        &before["schedulingGates"],
        causes,
    );
    if canonical(munged(spec.value, before)) != canonical(before.clone()) {
        let detail = format!("pod updates may not change fields other than {CHANGEABLE}\n");
        causes.forbidden(&spec.path, &detail);
    }
}

/// Returns whether the check may go on.
fn deadline(at: &At<'_>, before: &Value, causes: &mut Causes) -> bool {
    match (at.int(), before.as_i64()) {
        (Some(new), _) if !(0..=i64::from(i32::MAX)).contains(&new) => {
            causes.invalid(&at.path, new, &names::range(0, i32::MAX.into()));
            false
        }
        (Some(new), Some(old)) if new > old => {
            causes.invalid(
                &at.path,
                new,
                "must be less than or equal to previous value",
            );
            false
        }
        (None, Some(_)) => {
            let detail = "must not update from a positive integer to nil value";
            causes.invalid(&at.path, &Value::Null, detail);
            true
        }
        _ => true,
    }
}

fn tolerations(at: &At<'_>, before: &Value, causes: &mut Causes) {
    let without_seconds = |value: &Value| {
        let mut value = value.clone();
        if let Some(map) = value.as_object_mut() {
            map.remove("tolerationSeconds");
        }
        value
    };
    let new: Vec<Value> = at.items().map(|item| without_seconds(item.value)).collect();
    let kept = before.as_array().into_iter().flatten();
    if kept.map(without_seconds).any(|old| !new.contains(&old)) {
        let detail = "existing toleration can not be modified except its tolerationSeconds";
        causes.forbidden(&at.path, detail);
    }
}

fn gates(at: &At<'_>, before: &Value, causes: &mut Causes) {
    let known = |gate: &Value| before.as_array().is_some_and(|list| list.contains(gate));
    for gate in at.items().filter(|gate| !known(gate.value)) {
        let detail = format!(
            "only deletion is allowed, but found new scheduling gate '{}'",
            gate.field("name").text()
        );
        causes.forbidden(&at.path, &detail);
    }
}

/// The new spec with all that may change taken from the old one.
fn munged(spec: &Value, before: &Value) -> Value {
    let mut spec = spec.clone();
    for list in ["containers", "initContainers"] {
        let images: Vec<Value> = before[list]
            .as_array()
            .into_iter()
            .flatten()
            .map(|container| container["image"].clone())
            .collect();
        let containers = spec.get_mut(list).and_then(Value::as_array_mut);
        for (container, image) in containers.into_iter().flatten().zip(images) {
            container["image"] = image;
        }
    }
    let gated = before["schedulingGates"]
        .as_array()
        .is_some_and(|list| !list.is_empty());
    let mut keep = vec!["activeDeadlineSeconds", "tolerations", "schedulingGates"];
    if gated {
        // A pod that waits at a gate may still be steered.
        keep.extend(["nodeSelector", "affinity"]);
    }
    if before["terminationGracePeriodSeconds"]
        .as_i64()
        .is_some_and(|old| old < 0)
        && spec["terminationGracePeriodSeconds"] == 1
    {
        keep.push("terminationGracePeriodSeconds");
    }
    let Some(map) = spec.as_object_mut() else {
        return spec;
    };
    for name in keep {
        match before.get(name) {
            Some(value) => map.insert(name.to_owned(), value.clone()),
            None => map.remove(name),
        };
    }
    spec
}

fn canonical(mut spec: Value) -> Value {
    if let Some(node) = schema::builtin().get("io.k8s.api.core.v1.PodSpec") {
        crate::canonical::canonicalize(node, &mut spec);
    }
    spec
}

/// An update through `ephemeralcontainers`.
pub(in super::super) fn update_ephemeral(object: &At<'_>, old: &Value, causes: &mut Causes) {
    let spec = object.field("spec");
    super::spec(&spec, causes);
    let new = spec.field("ephemeralContainers");
    let before = &old["spec"]["ephemeralContainers"];
    for container in before.as_array().into_iter().flatten() {
        let name = container["name"].as_str().unwrap_or_default();
        let found = new
            .items()
            .find(|new| new.field("name").text() == name)
            .map(|at| at.value);
        if found.is_none() {
            let detail = format!("existing ephemeral containers \"{name}\" may not be removed\n");
            causes.forbidden(&new.path, &detail);
        } else if found != Some(container) {
            let detail = format!("existing ephemeral containers \"{name}\" may not be changed\n");
            causes.forbidden(&new.path, &detail);
        }
    }
}

/// An update through `resize`.
pub(in super::super) fn update_resources(object: &At<'_>, old: &Value, causes: &mut Causes) {
    let spec = object.field("spec");
    super::spec(&spec, causes);
    let class = crate::strategy::qos_class;
    let before = class(&old["spec"]);
    if class(spec.value) != before {
        let detail = "Pod QOS Class may not change as a result of resizing";
        causes.invalid(&spec.path, before, detail);
    }
    for list in ["containers", "initContainers"] {
        let containers = old["spec"][list].as_array();
        for (new, old) in spec
            .field(list)
            .items()
            .zip(containers.into_iter().flatten())
        {
            nothing_removed(&new.field("resources"), &old["resources"], causes);
        }
    }
}

/// A resize changes amounts; it takes none away.
fn nothing_removed(resources: &At<'_>, old: &Value, causes: &mut Causes) {
    for (list, detail) in [
        ("requests", "resource requests cannot be removed"),
        ("limits", "resource limits cannot be removed"),
    ] {
        let at = resources.field(list);
        let mut before = old[list].as_object().into_iter().flatten();
        if before.any(|(name, _)| at.value.get(name).is_none()) {
            causes.forbidden(&at.path, detail);
        }
    }
}

/// An update through `status`: a container that has ended for good stays so.
pub(in super::super) fn status(object: &At<'_>, old: &Value, causes: &mut Causes) {
    let addresses = object.field("status");
    for address in addresses.field("podIPs").items() {
        let text = address.value["ip"].as_str().unwrap_or_default();
        ip::legacy(&address.path, text, causes);
    }
    let policy = old["spec"]["restartPolicy"].as_str().unwrap_or("Always");
    if policy == "Always" {
        return;
    }
    let status = object.field("status");
    let statuses = status.field("containerStatuses");
    let before = old["status"]["containerStatuses"].as_array();
    for old in before.into_iter().flatten() {
        let ended = &old["state"]["terminated"];
        let final_ = ended.is_object() && (policy == "Never" || ended["exitCode"] == 0);
        if !final_ {
            continue;
        }
        let found = statuses
            .items()
            .find(|new| new.value["name"] == old["name"]);
        if let Some(new) = found {
            let state = new.field("state");
            if !state.field("terminated").is_set() {
                causes.forbidden(
                    &state.path,
                    "may not be transitioned to non-terminated state",
                );
            }
        }
    }
}
