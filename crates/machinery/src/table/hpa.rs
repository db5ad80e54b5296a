//! Rows of autoscalers (in their v2 form).

use jiff::Timestamp;
use serde_json::Value;

use super::{age, at, int, list, name, scalar, text};

/// Most metrics that are shown.
const METRICS_MAX: usize = 2;

/// Cells of a `HorizontalPodAutoscaler`.
pub(super) fn autoscaler(object: &Value, now: Timestamp) -> Vec<Value> {
    let target = at(object, "spec.scaleTargetRef");
    let min = match at(object, "spec.minReplicas").as_i64() {
        Some(min) => min.to_string(),
        None => "<unset>".into(),
    };
    vec![
        name(object),
        format!("{}/{}", text(target, "kind"), text(target, "name")).into(),
        metrics(object).into(),
        min.into(),
        int(object, "spec.maxReplicas"),
        int(object, "status.currentReplicas"),
        age(object, now),
    ]
}

fn metrics(object: &Value) -> String {
    let current = list(object, "status.currentMetrics");
    let texts: Vec<String> = list(object, "spec.metrics")
        .iter()
        .enumerate()
        .map(|(index, spec)| metric(spec, current.get(index).unwrap_or(&Value::Null)))
        .collect();
    super::with_more(&texts, METRICS_MAX, ", ", "<none>")
}

fn metric(spec: &Value, status: &Value) -> String {
    let source = match text(spec, "type") {
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        "Pods" => "pods",
        "Object" => "object",
        "External" => "external",
        _ => return "<unknown type>".into(),
    };
    let target = &spec[source]["target"];
    let current = &status[source]["current"];
    let pair = |field: &str| format!("{}/{}", known(&current[field]), scalar(&target[field]));
    match source {
        "resource" | "containerResource" => {
            let name = text(&spec[source], "name");
            if !target["averageValue"].is_null() {
                return format!("{name}: {}", pair("averageValue"));
            }
            let percent = |value: &Value, absent: &str| match value.as_i64() {
                Some(percent) => format!("{percent}%"),
                None => absent.to_owned(),
            };
            let used = percent(&current["averageUtilization"], "<unknown>");
            let wanted = percent(&target["averageUtilization"], "<auto>");
            format!("{name}: {used}/{wanted}")
        }
        "pods" => pair("averageValue"),
        _ if !target["averageValue"].is_null() => format!("{} (avg)", pair("averageValue")),
        _ => pair("value"),
    }
}

fn known(value: &Value) -> String {
    match value {
        Value::Null => "<unknown>".into(),
        value => scalar(value),
    }
}
