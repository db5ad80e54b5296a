//! Rows of configuration, namespaces, nodes, events and quotas.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;

use super::{age, at, flag, int, length, list, name, number, scalar, since, string, text, text_or};

/// Cells of a `ConfigMap`.
pub(super) fn config_map(object: &Value, now: Timestamp) -> Vec<Value> {
    let count = length(object, "data") + length(object, "binaryData");
    vec![name(object), count.into(), age(object, now)]
}

/// Cells of a `Secret`.
pub(super) fn secret(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        name(object),
        string(object, "type"),
        length(object, "data").into(),
        age(object, now),
    ]
}

/// Cells of an `Event` (in its core/v1 form).
pub(super) fn event(object: &Value, now: Timestamp) -> Vec<Value> {
    let first = match at(object, "firstTimestamp") {
        Value::Null => since(object.get("eventTime"), now),
        time => since(Some(time), now),
    };
    let mut last = match at(object, "lastTimestamp") {
        Value::Null => first.clone(),
        time => since(Some(time), now),
    };
    let mut count = number(object, "count");
    let series = at(object, "series");
    if series.is_object() {
        last = since(series.get("lastObservedTime"), now);
        count = number(series, "count");
    } else if count == 0 {
        // Events of the newer API that happened once have no count.
        count = 1;
    }
    let about = at(object, "involvedObject");
    let kind = text(about, "kind").to_lowercase();
    let target = match text(about, "name") {
        "" => kind,
        name => format!("{kind}/{name}"),
    };
    vec![
        last.into(),
        string(object, "type"),
        string(object, "reason"),
        target.into(),
        string(about, "fieldPath"),
        source(object).into(),
        text(object, "message").trim().into(),
        first.into(),
        count.into(),
        name(object),
    ]
}

fn source(object: &Value) -> String {
    let component = text(object, "reportingComponent");
    let component = text_or(object, "source.component", component);
    let instance = text(object, "reportingInstance");
    match text_or(object, "source.host", instance) {
        "" => component.to_owned(),
        instance => format!("{component}, {instance}"),
    }
}

/// Cells of a `ResourceQuota`.
pub(super) fn resource_quota(object: &Value, now: Timestamp) -> Vec<Value> {
    let mut hard: Vec<(&String, &Value)> = at(object, "status.hard")
        .as_object()
        .into_iter()
        .flatten()
        .collect();
    hard.sort_by_key(|(resource, _)| resource.as_str());
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    for (resource, limit) in hard {
        let used = match &at(object, "status.used")[resource.as_str()] {
            Value::Null => "0".to_owned(),
            used => scalar(used),
        };
        let shown = format!("{resource}: {used}/{}", scalar(limit));
        match resource.starts_with("limits.") {
            true => limits.push(shown),
            false => requests.push(shown),
        }
    }
    vec![
        name(object),
        requests.join(", ").into(),
        limits.join(", ").into(),
        age(object, now),
    ]
}

/// Cells of a `Namespace`.
pub(super) fn namespace(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        name(object),
        string(object, "status.phase"),
        age(object, now),
    ]
}

/// Cells of a `Node`.
pub(super) fn node(object: &Value, now: Timestamp) -> Vec<Value> {
    let info = at(object, "status.nodeInfo");
    let known = |field: &str| -> Value { text_or(info, field, "<unknown>").into() };
    vec![
        name(object),
        node_status(object).into(),
        roles(object).into(),
        age(object, now),
        string(info, "kubeletVersion"),
        node_address(object, "InternalIP").into(),
        node_address(object, "ExternalIP").into(),
        known("osImage"),
        known("kernelVersion"),
        known("containerRuntimeVersion"),
    ]
}

fn node_status(object: &Value) -> String {
    let ready = list(object, "status.conditions")
        .iter()
        .find(|condition| condition["type"] == "Ready");
    let mut status = match ready {
        Some(ready) if ready["status"] == "True" => "Ready".to_owned(),
        Some(_) => "NotReady".to_owned(),
        None => "Unknown".to_owned(),
    };
    if flag(object, "spec.unschedulable") {
        status.push_str(",SchedulingDisabled");
    }
    status
}

fn roles(object: &Value) -> String {
    let mut roles = BTreeSet::new();
    for (key, value) in at(object, "metadata.labels")
        .as_object()
        .into_iter()
        .flatten()
    {
        match key.strip_prefix("node-role.kubernetes.io/") {
            Some("") => {}
            Some(role) => {
                roles.insert(role.to_owned());
            }
            None if key == "kubernetes.io/role" && *value != "" => {
                roles.insert(scalar(value));
            }
            None => {}
        }
    }
    super::none_if_empty(roles.into_iter().collect::<Vec<_>>().join(","))
}

fn node_address<'a>(object: &'a Value, kind: &str) -> &'a str {
    let found = list(object, "status.addresses")
        .iter()
        .find(|address| address["type"] == kind);
    found.map_or("<none>", |address| text(address, "address"))
}

/// Cells of a `ComponentStatus`.
pub(super) fn component_status(object: &Value, _now: Timestamp) -> Vec<Value> {
    let healthy = list(object, "conditions")
        .iter()
        .find(|condition| condition["type"] == "Healthy")
        .unwrap_or(&Value::Null);
    let status = match text(healthy, "status") {
        "True" => "Healthy",
        "False" => "Unhealthy",
        _ => "Unknown",
    };
    vec![
        name(object),
        status.into(),
        string(healthy, "message"),
        string(healthy, "error"),
    ]
}

/// Cells of a `Lease`.
pub(super) fn lease(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        name(object),
        string(object, "spec.holderIdentity"),
        age(object, now),
    ]
}

/// Cells of a `PriorityClass`.
pub(super) fn priority_class(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        name(object),
        int(object, "value"),
        flag(object, "globalDefault").into(),
        age(object, now),
        string(object, "preemptionPolicy"),
    ]
}

/// Cells of a `RuntimeClass`.
pub(super) fn runtime_class(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), string(object, "handler"), age(object, now)]
}
