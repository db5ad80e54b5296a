//! Autoscalers: v1 knows one CPU target; everything else of v2 travels in
//! three annotations, as JSON in the form of v1's own types.

use serde_json::{Map, Value, json};

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const STATUS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";

/// Converts autoscaling/v1 to v2.
pub(super) fn v1_to_v2(object: &mut Value) {
    let mut metrics = annotation(object, METRICS).unwrap_or_default();
    for metric in &mut metrics {
        metric_to_v2(metric);
    }
    if let Some(target) = take(object, "spec", "targetCPUUtilizationPercentage") {
        metrics.push(cpu_metric(target));
    }
    if !metrics.is_empty() {
        part(object, "spec").insert("metrics".into(), metrics.into());
    }
    let mut current = annotation(object, STATUS).unwrap_or_default();
    for metric in &mut current {
        status_to_v2(metric);
    }
    if let Some(used) = take(object, "status", "currentCPUUtilizationPercentage") {
        let value = json!({"type": "Resource", "resource": {
            "name": "cpu", "current": {"averageUtilization": used, "averageValue": "0"}
        }});
        current.push(value);
    }
    if !current.is_empty() {
        part(object, "status").insert("currentMetrics".into(), current.into());
    }
    if let Some(conditions) = annotation(object, CONDITIONS) {
        part(object, "status").insert("conditions".into(), conditions.into());
    }
    if let Some(text) = annotation_text(object, BEHAVIOR)
        && let Ok(behavior @ Value::Object(_)) = serde_json::from_str(&text)
    {
        let behavior = without_nulls(with_case(behavior, lower_first));
        part(object, "spec").insert("behavior".into(), behavior);
    }
    drop_annotations(object);
    set_version(object, "autoscaling/v2");
}

/// Converts autoscaling/v2 to v1.
pub(super) fn v2_to_v1(object: &mut Value) {
    let metrics = take_list(object, "spec", "metrics");
    let (cpu, others) = split_cpu(metrics, "target");
    if let Some(metric) = cpu {
        let target = metric["resource"]["target"]["averageUtilization"].clone();
        part(object, "spec").insert("targetCPUUtilizationPercentage".into(), target);
    }
    let others = others.into_iter().map(metric_to_v1).map(in_order).collect();
    annotate(object, METRICS, others);
    let current = take_list(object, "status", "currentMetrics");
    let (cpu, others) = split_cpu(current, "current");
    if let Some(metric) = cpu {
        let used = metric["resource"]["current"]["averageUtilization"].clone();
        part(object, "status").insert("currentCPUUtilizationPercentage".into(), used);
    }
    let others = others.into_iter().map(status_to_v1).map(in_order).collect();
    annotate(object, STATUS, others);
    let conditions = take_list(object, "status", "conditions");
    let conditions = conditions.into_iter().map(in_order).collect();
    annotate(object, CONDITIONS, conditions);
    if let Some(behavior) = take(object, "spec", "behavior") {
        let behavior = behavior_in_order(&behavior);
        set_annotation(object, BEHAVIOR, behavior.to_string());
    }
    set_version(object, "autoscaling/v1");
}

fn cpu_metric(target: Value) -> Value {
    json!({"type": "Resource", "resource": {
        "name": "cpu", "target": {"type": "Utilization", "averageUtilization": target}
    }})
}

/// Takes the CPU utilization metric out of a list: what v1 has a field for.
fn split_cpu(metrics: Vec<Value>, part: &str) -> (Option<Value>, Vec<Value>) {
    let mut cpu = None;
    let mut others = Vec::new();
    for metric in metrics {
        let resource = &metric["resource"];
        let is_cpu = metric["type"] == "Resource"
            && resource["name"] == "cpu"
            && resource[part]["averageUtilization"].is_number();
        if is_cpu && cpu.is_none() {
            cpu = Some(metric);
        } else {
            others.push(metric);
        }
    }
    (cpu, others)
}

/// v1 writes targets flat: `targetAverageUtilization` instead of `target`.
fn metric_to_v1(mut metric: Value) -> Value {
    let kind = source(&metric);
    let Some(from) = metric.get_mut(kind).and_then(Value::as_object_mut) else {
        return metric;
    };
    let target = from.remove("target").unwrap_or_default();
    flatten_metric(from);
    let names = target_names(kind, "target");
    move_values(&target, from, &names);
    metric
}

fn metric_to_v2(metric: &mut Value) {
    let kind = source(metric);
    let Some(from) = metric.get_mut(kind).and_then(Value::as_object_mut) else {
        return;
    };
    nest_metric(kind, from);
    let mut target = Map::new();
    for (nested, flat) in target_names(kind, "target") {
        if let Some(value) = from.remove(&flat) {
            target.insert(nested.to_owned(), value);
        }
    }
    let kind = if target.contains_key("averageUtilization") {
        "Utilization"
    } else if target.contains_key("averageValue") {
        // A value per pod and a value of the whole never stand together.
        target.remove("value");
        "AverageValue"
    } else {
        "Value"
    };
    target.insert("type".into(), kind.into());
    from.insert("target".into(), target.into());
}

fn status_to_v1(mut metric: Value) -> Value {
    let kind = source(&metric);
    let Some(from) = metric.get_mut(kind).and_then(Value::as_object_mut) else {
        return metric;
    };
    let current = from.remove("current").unwrap_or_default();
    flatten_metric(from);
    let names = target_names(kind, "current");
    move_values(&current, from, &names);
    metric
}

fn status_to_v2(metric: &mut Value) {
    let kind = source(metric);
    let Some(from) = metric.get_mut(kind).and_then(Value::as_object_mut) else {
        return;
    };
    nest_metric(kind, from);
    let mut current = Map::new();
    for (nested, flat) in target_names(kind, "current") {
        if let Some(value) = from.remove(&flat) {
            current.insert(nested.to_owned(), value);
        }
    }
    from.insert("current".into(), current.into());
}

/// The field of a metric that holds its source.
fn source(metric: &Value) -> &'static str {
    match metric["type"].as_str() {
        Some("Resource") => "resource",
        Some("ContainerResource") => "containerResource",
        Some("Pods") => "pods",
        Some("Object") => "object",
        _ => "external",
    }
}

/// Names inside a v2 target beside v1's flat names.
fn target_names(kind: &str, prefix: &str) -> Vec<(&'static str, String)> {
    let flat = |name: &str| format!("{prefix}{name}");
    match kind {
        "resource" | "containerResource" => vec![
            ("averageUtilization", flat("AverageUtilization")),
            ("averageValue", flat("AverageValue")),
        ],
        "pods" => vec![("averageValue", flat("AverageValue"))],
        "object" => vec![
            ("value", flat("Value")),
            ("averageValue", "averageValue".into()),
        ],
        _ => vec![
            ("value", flat("Value")),
            ("averageValue", flat("AverageValue")),
        ],
    }
}

fn move_values(from: &Value, to: &mut Map<String, Value>, names: &[(&'static str, String)]) {
    for (nested, flat) in names {
        if let Some(value) = from.get(*nested) {
            to.insert(flat.clone(), value.clone());
        }
    }
}

/// `metric: {name, selector}` and `describedObject` of v2 in v1's names.
fn flatten_metric(from: &mut Map<String, Value>) {
    if let Some(Value::Object(mut metric)) = from.remove("metric") {
        if let Some(name) = metric.remove("name") {
            from.insert("metricName".into(), name);
        }
        if let Some(selector) = metric.remove("selector") {
            from.insert("selector".into(), selector);
        }
    }
    if let Some(described) = from.remove("describedObject") {
        from.insert("target".into(), described);
    }
}

fn nest_metric(kind: &str, from: &mut Map<String, Value>) {
    if !matches!(kind, "pods" | "object" | "external") {
        return;
    }
    let mut metric = Map::new();
    if let Some(name) = from.remove("metricName") {
        metric.insert("name".into(), name);
    }
    let selector = match kind {
        "external" => from
            .remove("metricSelector")
            .or_else(|| from.remove("selector")),
        _ => from.remove("selector"),
    };
    if let Some(selector) = selector {
        metric.insert("selector".into(), selector);
    }
    from.insert("metric".into(), metric.into());
    if kind == "object"
        && let Some(described) = from.remove("target")
    {
        from.insert("describedObject".into(), described);
    }
}

fn part<'a>(object: &'a mut Value, name: &str) -> &'a mut Map<String, Value> {
    crate::strategy::object_at(object, name)
}

fn take(object: &mut Value, part: &str, name: &str) -> Option<Value> {
    object.get_mut(part)?.as_object_mut()?.remove(name)
}

fn take_list(object: &mut Value, part: &str, name: &str) -> Vec<Value> {
    match take(object, part, name) {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    }
}

fn annotation_text(object: &Value, name: &str) -> Option<String> {
    let text = object["metadata"]["annotations"].get(name)?.as_str()?;
    Some(text.to_owned())
}

fn annotation(object: &Value, name: &str) -> Option<Vec<Value>> {
    let text = annotation_text(object, name)?;
    match serde_json::from_str(&text) {
        Ok(Value::Array(list)) => Some(list),
        _ => None,
    }
}

fn annotate(object: &mut Value, name: &str, list: Vec<Value>) {
    if !list.is_empty() {
        set_annotation(object, name, Value::Array(list).to_string());
    }
}

fn set_annotation(object: &mut Value, name: &str, text: String) {
    let metadata = part(object, "metadata");
    let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.insert(name.to_owned(), text.into());
    }
}

fn drop_annotations(object: &mut Value) {
    let Some(metadata) = object["metadata"].as_object_mut() else {
        return;
    };
    let Some(Value::Object(annotations)) = metadata.get_mut("annotations") else {
        return;
    };
    for name in [METRICS, STATUS, CONDITIONS, BEHAVIOR] {
        annotations.remove(name);
    }
    if annotations.is_empty() {
        metadata.remove("annotations");
    }
}

/// Fields of v1's metric types, in the order of the types: annotations are text.
const ORDER: [&str; 24] = [
    "type",
    "status",
    "lastTransitionTime",
    "reason",
    "message",
    "object",
    "pods",
    "resource",
    "containerResource",
    "external",
    "target",
    "kind",
    "name",
    "apiVersion",
    "metricName",
    "metricSelector",
    "targetAverageUtilization",
    "targetValue",
    "targetAverageValue",
    "currentAverageUtilization",
    "currentValue",
    "currentAverageValue",
    "selector",
    "averageValue",
];

/// Puts the fields of a metric into the order of their type. The container of
/// a resource metric stands last; a selector and what is in it keep theirs.
fn in_order(value: Value) -> Value {
    let Value::Object(map) = value else {
        return value;
    };
    let place = |name: &str| ORDER.iter().position(|known| *known == name);
    let mut entries: Vec<(String, Value)> = map
        .into_iter()
        .map(|(name, value)| match name.ends_with("elector") {
            true => (name, value),
            false => (name, in_order(value)),
        })
        .collect();
    entries.sort_by_key(|(name, _)| place(name).unwrap_or(ORDER.len()));
    Value::Object(entries.into_iter().collect())
}

/// Writes a behavior as upstream's internal types are written: every field,
/// in their order.
fn behavior_in_order(behavior: &Value) -> Value {
    let rules = |rules: &Value| -> Value {
        if rules.is_null() {
            return Value::Null;
        }
        let policies = rules["policies"].as_array().map(|policies| {
            let policies = policies.iter().map(|policy| {
                json!({
                    "Type": policy["type"], "Value": policy["value"],
                    "PeriodSeconds": policy["periodSeconds"],
                })
            });
            policies.collect::<Vec<Value>>()
        });
        json!({
            "StabilizationWindowSeconds": rules["stabilizationWindowSeconds"],
            "SelectPolicy": rules["selectPolicy"],
            "Policies": policies,
            "Tolerance": rules["tolerance"],
        })
    };
    json!({"ScaleUp": rules(&behavior["scaleUp"]), "ScaleDown": rules(&behavior["scaleDown"])})
}

/// Drops what is null: fields of the internal types are always written.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name, without_nulls(value)))
                .collect(),
        ),
        Value::Array(list) => list.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

/// The behavior annotation carries upstream's internal names, which start
/// with capitals.
fn with_case(value: Value, change: fn(&str) -> String) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.into_iter()
                .map(|(name, value)| (change(&name), with_case(value, change)))
                .collect(),
        ),
        Value::Array(list) => Value::Array(
            list.into_iter()
                .map(|value| with_case(value, change))
                .collect(),
        ),
        other => other,
    }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_ascii_lowercase());
    first.into_iter().chain(chars).collect()
}

fn set_version(object: &mut Value, version: &str) {
    if let Some(map) = object.as_object_mut() {
        map.insert("apiVersion".into(), version.into());
    }
}
