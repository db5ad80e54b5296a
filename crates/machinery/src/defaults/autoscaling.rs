//! Defaults of horizontal pod autoscalers.

use serde_json::{Value, json};

use super::{Object, child};
use crate::default::{child_or_new, is_absent, text, value};

/// Utilization an autoscaler without metrics aims at.
const CPU_PERCENT: i64 = 80;

/// Defaults of a `HorizontalPodAutoscaler` of version `v1` or `v2`.
pub fn autoscaler(object: &mut Object, version: &str) {
    let has_others = object
        .get("metadata")
        .and_then(|metadata| {
            metadata.pointer("/annotations/autoscaling.alpha.kubernetes.io~1metrics")
        })
        .is_some();
    let Some(spec) = child_or_new(object, "spec") else {
        return;
    };
    value(spec, "minReplicas", || 1);
    if version == "v1" {
        // The metric that v2 gives to an autoscaler without metrics.
        if !has_others {
            value(spec, "targetCPUUtilizationPercentage", || CPU_PERCENT);
        }
        return;
    }
    let has_metrics = spec
        .get("metrics")
        .and_then(Value::as_array)
        .is_some_and(|metrics| !metrics.is_empty());
    if !has_metrics {
        spec.insert("metrics".into(), cpu_metric());
    }
    if let Some(behavior) = child(spec, "behavior") {
        scale_up(behavior);
        scale_down(behavior);
    }
}

fn cpu_metric() -> Value {
    json!([{
        "type": "Resource",
        "resource": {
            "name": "cpu",
            "target": {"type": "Utilization", "averageUtilization": CPU_PERCENT}
        }
    }])
}

fn scale_up(behavior: &mut Object) {
    if let Some(rules) = child_or_new(behavior, "scaleUp") {
        value(rules, "stabilizationWindowSeconds", || 0);
        text(rules, "selectPolicy", "Max");
        if is_absent(rules, "policies") {
            let policies = json!([
                {"type": "Pods", "value": 4, "periodSeconds": 15},
                {"type": "Percent", "value": 100, "periodSeconds": 15}
            ]);
            rules.insert("policies".into(), policies);
        }
    }
}

fn scale_down(behavior: &mut Object) {
    if let Some(rules) = child_or_new(behavior, "scaleDown") {
        text(rules, "selectPolicy", "Max");
        if is_absent(rules, "policies") {
            let policies = json!([{"type": "Percent", "value": 100, "periodSeconds": 15}]);
            rules.insert("policies".into(), policies);
        }
    }
}
