//! A pod takes the overhead and the place of its RuntimeClass.

use coracle_machinery::kind::Kind;
use serde_json::{Value, json};

use crate::context::Context;
use crate::resource;
use crate::status::{ApiError, ApiResult};

/// Changes a new pod, or refuses it.
///
/// # Errors
/// 403 for an unknown class and for conflicts with the pod's own wishes.
pub fn mutate(context: &Context, kind: &'static Kind, pod: &mut Value) -> ApiResult<()> {
    let name = pod["metadata"]["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let forbidden = |why: &str| ApiError::forbidden(kind, &name, why);
    let spec = &mut pod["spec"];
    let Some(class_name) = spec["runtimeClassName"]
        .as_str()
        .filter(|class| !class.is_empty())
        .map(str::to_owned)
    else {
        if spec
            .get("overhead")
            .and_then(Value::as_object)
            .is_some_and(|overhead| !overhead.is_empty())
        {
            return Err(forbidden(
                "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
            ));
        }
        return Ok(());
    };
    let classes = resource::builtin("node.k8s.io", "runtimeclasses");
    let Some(class) = context
        .core
        .store
        .get(&resource::key(classes, "", &class_name))
    else {
        return Err(forbidden(&format!(
            "pod rejected: RuntimeClass {class_name:?} not found"
        )));
    };
    let class = class.to_plain_value();
    overhead(spec, &class, &forbidden)?;
    place(spec, &class["scheduling"], &forbidden)
}

fn overhead(
    spec: &mut Value,
    class: &Value,
    forbidden: &dyn Fn(&str) -> ApiError,
) -> ApiResult<()> {
    let defined = &class["overhead"]["podFixed"];
    let given = spec
        .get("overhead")
        .filter(|overhead| overhead.as_object().is_some_and(|map| !map.is_empty()));
    match (given, defined.is_object()) {
        (Some(given), true) if given != defined => Err(forbidden(
            "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead",
        )),
        (Some(_), false) => Err(forbidden(
            "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
        )),
        (None, true) => {
            spec["overhead"] = defined.clone();
            Ok(())
        }
        _ => Ok(()),
    }
}

fn place(
    spec: &mut Value,
    scheduling: &Value,
    forbidden: &dyn Fn(&str) -> ApiError,
) -> ApiResult<()> {
    for (key, value) in scheduling["nodeSelector"].as_object().into_iter().flatten() {
        let wanted = value.as_str().unwrap_or_default();
        match spec["nodeSelector"][key].as_str() {
            Some(given) if given != wanted => {
                return Err(forbidden(&format!(
                    "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {wanted}; pod.spec.nodeSelector[{key}] = {given}"
                )));
            }
            Some(_) => {}
            None => spec["nodeSelector"][key] = json!(wanted),
        }
    }
    let mut tolerations = spec["tolerations"].as_array().cloned().unwrap_or_default();
    for toleration in scheduling["tolerations"].as_array().into_iter().flatten() {
        if !tolerations.contains(toleration) {
            tolerations.push(toleration.clone());
        }
    }
    if !tolerations.is_empty() {
        spec["tolerations"] = json!(tolerations);
    }
    Ok(())
}
