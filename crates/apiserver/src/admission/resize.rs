//! A pod on a node is resized only as far as the node knows how and has room
//! (upstream's plug-ins NodeDeclaredFeatureValidator and PodResizeValidator).

use coracle_machinery::kind::Kind;
use coracle_machinery::quantity::Quantity;
use coracle_machinery::quota::totals;
use serde_json::Value;

use crate::context::Context;
use crate::resource;
use crate::status::{ApiError, ApiResult, Cause};

const OS: &str = "kubernetes.io/os";

/// Compares what a resized pod asks for with what its node can give.
///
/// # Errors
/// 403 naming what the node lacks.
pub fn check(context: &Context, kind: &'static Kind, pod: &Value, live: &Value) -> ApiResult<()> {
    let name = pod["spec"]["nodeName"].as_str().unwrap_or_default();
    if name.is_empty() || pod["metadata"]["generation"] == live["metadata"]["generation"] {
        return Ok(());
    }
    let nodes = resource::builtin("", "nodes");
    let node = context.core.store.get(&resource::key(nodes, "", name));
    let refuse = |why: &str, reason: Option<&str>| {
        let pod = pod["metadata"]["name"].as_str().unwrap_or_default();
        let mut error = ApiError::forbidden(kind, pod, why);
        if let (Some(details), Some(reason)) = (&mut error.details, reason) {
            details.causes.push(Cause {
                reason: reason.to_owned(),
                message: String::new(),
                field: String::new(),
            });
        }
        Err(error)
    };
    let Some(node) = node else {
        return refuse(&format!("node {name:?} not found"), None);
    };
    let missing = missing_features(pod, live, &node.to_plain_value()["status"]);
    if !missing.is_empty() {
        let missing = missing.join(", ");
        let why = format!(
            "pod update requires features {missing} which are not available on node {name:?}"
        );
        return refuse(&why, None);
    }
    if let Some(system) = node.meta.labels.get(OS).filter(|system| *system != "linux") {
        let why =
            format!("pod resize is only supported on linux nodes, node {name:?} is {system:?}");
        return refuse(&why, Some("UnsupportedPlatform"));
    }
    let lacking = lacking(pod, &node.to_plain_value()["status"]["allocatable"]);
    if lacking.is_empty() {
        return Ok(());
    }
    let lacking = lacking.join("; ");
    let why = format!("node didn't have enough allocatable resources: {lacking}");
    refuse(&why, Some("NodeCapacity"))
}

/// What the node would have to know for this change, and does not declare.
fn missing_features(pod: &Value, live: &Value, status: &Value) -> Vec<&'static str> {
    let (spec, before) = (&pod["spec"], &live["spec"]);
    let resources = |spec: &Value| {
        let list = spec["initContainers"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let once = list
            .into_iter()
            .filter(|one| one["restartPolicy"] != "Always");
        once.map(|one| one["resources"].clone()).collect::<Vec<_>>()
    };
    let asked = [
        (
            "InPlacePodLevelResourcesVerticalScaling",
            spec["resources"] != before["resources"],
        ),
        (
            "InPlacePodVerticalScalingInitContainers",
            resources(spec) != resources(before),
        ),
    ];
    let declared = status["declaredFeatures"].as_array();
    let declares = |name: &str| declared.is_some_and(|list| list.iter().any(|one| one == name));
    asked
        .into_iter()
        .filter(|(name, asked)| *asked && !declares(name))
        .map(|(name, _)| name)
        .collect()
}

/// How an amount is shown.
type Number = fn(Quantity) -> i64;

fn lacking(pod: &Value, allocatable: &Value) -> Vec<String> {
    let requests = totals::of_pod(&pod["spec"], "requests");
    let allocatable = totals::read(allocatable);
    let shown: [(&str, Number); 2] = [("cpu", Quantity::milli_value), ("memory", Quantity::value)];
    let mut lacking = Vec::new();
    for (resource, number) in shown {
        let of = |amounts: &totals::Amounts| amounts.get(resource).copied().unwrap_or_default();
        let (wanted, there) = (of(&requests), of(&allocatable));
        if wanted > there {
            let (wanted, there) = (number(wanted), number(there));
            lacking.push(format!(
                "{resource}, requested: {wanted}, allocatable: {there}"
            ));
        }
    }
    lacking
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_node_must_know_how_to_resize() {
        let check = |pod: Value, status: Value, expected: &[&str]| {
            let live = json!({"spec": {"initContainers": [{"resources": {}}], "resources": {}}});
            assert_eq!(missing_features(&pod, &live, &status), expected, "{pod}");
        };
        let once = json!({"spec": {"resources": {}, "initContainers": [{"resources": {"a": 1}}]}});
        let name = "InPlacePodVerticalScalingInitContainers";
        check(once.clone(), json!({}), &[name]);
        check(once, json!({"declaredFeatures": [name]}), &[]);
        let whole = json!({"spec": {"resources": {"a": 1}, "initContainers": [{"resources": {}}]}});
        check(
            whole,
            json!({}),
            &["InPlacePodLevelResourcesVerticalScaling"],
        );
    }

    /// `validateRequestsWithinAllocatable`, case by case.
    #[test]
    fn what_a_node_lacks_is_named_in_its_units() {
        let check = |requests: Value, expected: &[&str]| {
            let pod = json!({"spec": {"containers": [{"resources": {"requests": requests}}]}});
            let node = json!({"cpu": "2", "memory": "1Gi"});
            assert_eq!(lacking(&pod, &node), expected, "{pod}");
        };
        check(json!({"cpu": "2", "memory": "1Gi"}), &[]);
        check(
            json!({"cpu": "2500m"}),
            &["cpu, requested: 2500, allocatable: 2000"],
        );
        check(
            json!({"cpu": "3", "memory": "2Gi"}),
            &[
                "cpu, requested: 3000, allocatable: 2000",
                "memory, requested: 2147483648, allocatable: 1073741824",
            ],
        );
    }
}
