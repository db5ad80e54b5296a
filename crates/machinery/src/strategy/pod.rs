//! What writes of pods do: the first status, the quality-of-service class.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::quantity::Quantity;

/// Gives a new pod its first status.
pub(super) fn create(object: &mut Value, now: Timestamp) {
    let class = qos_class(&object["spec"]);
    let mut status = json!({"phase": "Pending", "qosClass": class});
    let gates = object["spec"]["schedulingGates"].as_array();
    if gates.is_some_and(|gates| !gates.is_empty()) {
        status["conditions"] = json!([{
            "type": "PodScheduled",
            "status": "False",
            "lastTransitionTime": crate::time::seconds(now),
            "reason": "SchedulingGated",
            "message": "Scheduling is blocked due to non-empty scheduling gates"
        }]);
    }
    if let Some(map) = object.as_object_mut() {
        map.insert("status".into(), status);
    }
    own_label_values(object);
    profiles_of_annotations(object);
}

/// What a writer of the status may leave out: the class, and of which
/// generation the status and its conditions speak.
pub(super) fn update_status(status: &mut Map<String, Value>, old: &Value) {
    let empty = |value: Option<&Value>| match value {
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Number(number)) => number.as_i64() == Some(0),
        other => other.is_none_or(Value::is_null),
    };
    if empty(status.get("qosClass")) {
        status.insert("qosClass".into(), qos_class(&old["spec"]).into());
    }
    let keep = |map: &mut Map<String, Value>, old: &Value| {
        if empty(map.get(GENERATION)) && !old[GENERATION].is_null() {
            map.insert(GENERATION.into(), old[GENERATION].clone());
        }
    };
    let before = &old["status"];
    keep(status, before);
    let mut known: Vec<&Value> = before["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .collect();
    let conditions = status.get_mut("conditions").and_then(Value::as_array_mut);
    for condition in conditions.into_iter().flatten() {
        let Some(map) = condition.as_object_mut() else {
            continue;
        };
        // Conditions of one type are told apart by their order.
        let place = known
            .iter()
            .position(|one| one.get("type") == map.get("type"));
        if let Some(place) = place {
            keep(map, known.remove(place));
        }
    }
}

const GENERATION: &str = "observedGeneration";

/// Where pod specs stand: in pods and in what makes pods.
const SPECS: [&str; 4] = [
    "/spec",
    "/spec/template/spec",
    "/spec/jobTemplate/spec/template/spec",
    "/template/spec",
];

/// Bundles of certificates as a projected volume's source are behind a feature
/// gate that is off in 1.36: unless `old` has one they are left out, and what
/// remains of the source stays (`DropDisabledPodFields`).
pub(super) fn drop_disabled(object: &mut Value, old: Option<&Value>) {
    for pointer in SPECS {
        let spec = |object| Value::pointer(object, pointer).map(|spec| &spec["volumes"]);
        if old
            .and_then(spec)
            .is_some_and(|volumes| volumes.to_string().contains(BUNDLE))
        {
            continue;
        }
        let spec = object.pointer_mut(pointer);
        let volumes = spec
            .and_then(|spec| spec.get_mut("volumes"))
            .and_then(Value::as_array_mut);
        for volume in volumes.into_iter().flatten() {
            let sources = volume.pointer_mut("/projected/sources");
            for source in sources.and_then(Value::as_array_mut).into_iter().flatten() {
                if let Some(source) = source.as_object_mut() {
                    source.shift_remove(BUNDLE);
                }
            }
        }
    }
}

const BUNDLE: &str = "clusterTrustBundle";

const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// Containers without a profile of their own take that of the annotation that
/// said it once, unless the pod's says the same (`applyAppArmorVersionSkew`).
fn profiles_of_annotations(object: &mut Value) {
    let annotations = object["metadata"]["annotations"].clone();
    let Some(annotations) = annotations.as_object() else {
        return;
    };
    let Some(spec) = object
        .get_mut("spec")
        .filter(|spec| spec["os"]["name"] != "windows")
    else {
        return;
    };
    let of_pod = spec["securityContext"]["appArmorProfile"].clone();
    for list in ["initContainers", "containers"] {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            let name = container["name"].as_str().unwrap_or_default();
            let said = annotations.get(&format!("{APP_ARMOR}{name}"));
            let profile = said.and_then(Value::as_str).and_then(app_armor_profile);
            let Some(profile) = profile.filter(|profile| *profile != of_pod) else {
                continue;
            };
            if container["securityContext"]["appArmorProfile"].is_null() {
                container["securityContext"]["appArmorProfile"] = profile;
            }
        }
    }
}

/// The profile that an annotation of AppArmor names.
pub(crate) fn app_armor_profile(text: &str) -> Option<Value> {
    match text {
        "unconfined" => Some(json!({"type": "Unconfined"})),
        "runtime/default" => Some(json!({"type": "RuntimeDefault"})),
        _ => {
            let name = text
                .strip_prefix("localhost/")
                .filter(|name| !name.is_empty())?;
            Some(json!({"type": "Localhost", "localhostProfile": name}))
        }
    }
}

/// Selectors that ask for the pod's own values of some labels get them, as far
/// as the pod has such labels.
fn own_label_values(object: &mut Value) {
    let labels = object["metadata"]["labels"].clone();
    let Some(spec) = object.get_mut("spec") else {
        return;
    };
    for kind in ["podAffinity", "podAntiAffinity"] {
        let mut terms = |list: &str, inner: Option<&str>| {
            let found = spec.pointer_mut(&format!("/affinity/{kind}/{list}"));
            for term in found.and_then(Value::as_array_mut).into_iter().flatten() {
                let term = match inner {
                    Some(inner) => term.get_mut(inner),
                    None => Some(term),
                };
                if let Some(term) = term {
                    select_own(term, "matchLabelKeys", "In", &labels);
                    select_own(term, "mismatchLabelKeys", "NotIn", &labels);
                }
            }
        };
        terms("requiredDuringSchedulingIgnoredDuringExecution", None);
        let preferred = "preferredDuringSchedulingIgnoredDuringExecution";
        terms(preferred, Some("podAffinityTerm"));
    }
    let constraints = spec.get_mut("topologySpreadConstraints");
    for constraint in constraints
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        select_own(constraint, "matchLabelKeys", "In", &labels);
    }
}

fn select_own(term: &mut Value, keys: &str, operator: &str, labels: &Value) {
    let Some(keys) = term[keys].as_array().cloned() else {
        return;
    };
    let Some(selector) = term.get_mut("labelSelector").and_then(Value::as_object_mut) else {
        return;
    };
    let values = keys
        .iter()
        .filter_map(|key| Some((key, labels.get(key.as_str()?)?)))
        .map(|(key, value)| json!({"key": key, "operator": operator, "values": [value]}));
    let added: Vec<Value> = values.collect();
    if added.is_empty() {
        return;
    }
    let expressions = selector
        .entry("matchExpressions")
        .or_insert_with(|| Value::Array(Vec::new()));
    if !expressions.is_array() {
        *expressions = Value::Array(Vec::new());
    }
    if let Some(list) = expressions.as_array_mut() {
        list.extend(added);
    }
}

/// Through `resize` only the containers' resources change.
pub(super) fn keep_all_but_resources(object: &mut Value, old: &Value) {
    let names = |object: &Value, list: &str| -> Vec<Value> {
        let list = object["spec"][list].as_array().into_iter().flatten();
        list.map(|container| container["name"].clone()).collect()
    };
    // Other containers are validation's to refuse.
    if ["containers", "initContainers"]
        .iter()
        .any(|list| names(object, list) != names(old, list))
    {
        return;
    }
    let mut kept = old.clone();
    for list in ["containers", "initContainers"] {
        let new = object["spec"][list].as_array().cloned().unwrap_or_default();
        let Some(before) = kept["spec"].get_mut(list).and_then(Value::as_array_mut) else {
            continue;
        };
        for container in before {
            let Some(map) = container.as_object_mut() else {
                continue;
            };
            let Some(found) = new
                .iter()
                .find(|other| other.get("name") == map.get("name"))
            else {
                continue;
            };
            for field in ["resources", "resizePolicy"] {
                match found.get(field) {
                    Some(value) => map.insert(field.into(), value.clone()),
                    None => map.remove(field),
                };
            }
        }
    }
    match object["spec"].get("resources") {
        Some(value) => kept["spec"]["resources"] = value.clone(),
        None => {
            if let Some(spec) = kept["spec"].as_object_mut() {
                spec.remove("resources");
            }
        }
    }
    if let Some(version) = object["metadata"].get("resourceVersion") {
        kept["metadata"]["resourceVersion"] = version.clone();
    }
    *object = kept;
}

/// Returns the quality-of-service class of a pod spec: `Guaranteed`,
/// `Burstable` or `BestEffort`.
pub fn qos_class(spec: &Value) -> &'static str {
    if let Some(resources) = spec.get("resources").filter(|r| has_any(r)) {
        return class(std::slice::from_ref(resources));
    }
    let containers = ["containers", "initContainers"]
        .iter()
        .filter_map(|list| spec[*list].as_array())
        .flatten()
        .map(|container| container["resources"].clone());
    class(&containers.collect::<Vec<_>>())
}

fn has_any(resources: &Value) -> bool {
    !amounts(&resources["requests"]).is_empty() || !amounts(&resources["limits"]).is_empty()
}

/// Amounts of cpu and memory that are more than nothing.
fn amounts(list: &Value) -> BTreeMap<&str, Quantity> {
    ["cpu", "memory"]
        .into_iter()
        .filter_map(|name| Some((name, Quantity::from_json(list.get(name)?).ok()?)))
        .filter(|(_, amount)| amount.signum() > 0)
        .collect()
}

fn class(all: &[Value]) -> &'static str {
    let pairs: Vec<_> = all
        .iter()
        .map(|resources| {
            (
                amounts(&resources["requests"]),
                amounts(&resources["limits"]),
            )
        })
        .collect();
    if pairs
        .iter()
        .all(|(requests, limits)| requests.is_empty() && limits.is_empty())
    {
        return "BestEffort";
    }
    let guaranteed = pairs.iter().all(|(requests, limits)| {
        limits.len() == 2
            && requests
                .iter()
                .all(|(name, amount)| limits.get(name) == Some(amount))
    });
    if guaranteed {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_follow_requests_and_limits() {
        let check = |resources: Value, expected: &str| {
            let spec = json!({"containers": [{"resources": resources}]});
            assert_eq!(qos_class(&spec), expected, "{spec}");
        };
        check(json!({}), "BestEffort");
        check(json!({"requests": {"cpu": "0"}}), "BestEffort");
        check(json!({"requests": {"cpu": "1"}}), "Burstable");
        check(json!({"limits": {"cpu": "1"}}), "Burstable");
        check(
            json!({"limits": {"cpu": "1", "memory": "1Gi"}}),
            "Guaranteed",
        );
        check(
            json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1Gi"}}),
            "Guaranteed",
        );
        check(
            json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m", "memory": "1Gi"}}),
            "Burstable",
        );
    }
}
